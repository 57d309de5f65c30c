/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dice.h"
#include "sim/search.h"
#include "test/test.h"

enum { CLIENTS_MAX = 8, OPS_MAX = 200, HISTORIES = 1000 };

/* A register and its clients: each op is invoked, has its effect and returns at three moments. */
struct register_tale {
    struct dice dice;
    struct search_op ops[OPS_MAX];
    size_t count;
    size_t open[CLIENTS_MAX]; /* a client's op, SIZE_MAX: none */
    bool done[CLIENTS_MAX];
    uint64_t value, values, now;
    unsigned clients;
};

static void client_step(struct register_tale *tale, unsigned client)
{
    size_t at = tale->open[client];
    tale->now++;
    if (at == SIZE_MAX) {
        if (tale->count == OPS_MAX) return;
        bool writes = dice_chance(&tale->dice, 1, 3);
        tale->open[client] = tale->count;
        tale->done[client] = false;
        tale->ops[tale->count++] = (struct search_op){.writes = writes,
                                                      .value = writes ? ++tale->values : 0,
                                                      .invoked = tale->now,
                                                      .returned = UINT64_MAX};
        return;
    }
    struct search_op *op = &tale->ops[at];
    if (!tale->done[client]) {
        if (op->writes) tale->value = op->value;
        else op->value = tale->value;
        tale->done[client] = true;
        return;
    }
    if (!op->writes || !dice_chance(&tale->dice, 1, 20)) op->returned = tale->now;
    tale->open[client] = SIZE_MAX; /* some writes never say that they have happened */
}

static void tale_make(struct register_tale *tale, uint64_t seed)
{
    *tale = (struct register_tale){.now = 1};
    dice_init(&tale->dice, seed);
    tale->clients = 1 + (unsigned)dice_below(&tale->dice, CLIENTS_MAX);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) tale->open[i] = SIZE_MAX;
    size_t steps = 30 + dice_below(&tale->dice, 500);
    for (size_t i = 0; i < steps; i++) {
        client_step(tale, (unsigned)dice_below(&tale->dice, tale->clients));
    }
    /* Reads that were not answered say nothing. */
    size_t kept = 0;
    for (size_t i = 0; i < tale->count; i++) {
        if (!tale->ops[i].writes && tale->ops[i].returned == UINT64_MAX) continue;
        tale->ops[kept++] = tale->ops[i];
    }
    tale->count = kept;
}

static enum search_answer ask(const struct register_tale *tale)
{
    size_t bad = 0;
    return search_register(tale->ops, tale->count, &bad);
}

TEST(sim_search, a_thousand_linearizable_histories_are_taken)
{
    size_t ops = 0;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct register_tale tale;
        tale_make(&tale, seed);
        if (ask(&tale) == SEARCH_BROKEN) fail_msg("history %d is refused", (int)seed);
        ops += tale.count;
    }
    assert_true(ops > 30 * HISTORIES);
}

/* A value that was overwritten, for certain, before the read began; NULL: there is none. */
static const struct search_op *overwritten(const struct register_tale *tale,
                                           const struct search_op *read)
{
    for (size_t i = 0; i < tale->count; i++) {
        const struct search_op *old = &tale->ops[i];
        if (!old->writes || old->returned == UINT64_MAX) continue;
        for (size_t j = 0; j < tale->count; j++) {
            const struct search_op *new = &tale->ops[j];
            if (new->writes &&new->invoked > old->returned &&new->returned < read->invoked) {
                return old;
            }
        }
    }
    return NULL;
}

TEST(sim_search, a_thousand_stale_reads_are_found)
{
    unsigned planted = 0;
    for (uint64_t seed = 1; planted < HISTORIES; seed++) {
        struct register_tale tale;
        tale_make(&tale, seed);
        size_t from = tale.count == 0 ? 0 : dice_below(&tale.dice, tale.count);
        for (size_t i = from; i < tale.count; i++) {
            struct search_op *read = &tale.ops[i];
            const struct search_op *old = read->writes ? NULL : overwritten(&tale, read);
            if (old == NULL) continue;
            read->value = old->value;
            if (ask(&tale) != SEARCH_BROKEN) fail_msg("history %d is taken", (int)seed);
            planted++;
            break;
        }
    }
}

TEST(sim_search, a_write_that_was_acknowledged_and_never_seen_again_is_found)
{
    const struct search_op ops[] = {
        {.writes = true, .value = 1, .invoked = 1, .returned = 2},
        {.writes = false, .value = 0, .invoked = 3, .returned = 4},
    };
    size_t bad = 0;
    assert_int_equal(search_register(ops, 2, &bad), SEARCH_BROKEN);
    assert_int_equal(bad, 1);
}

TEST(sim_search, a_write_of_unknown_outcome_may_happen_late_but_not_be_undone)
{
    struct search_op ops[] = {
        {.writes = true, .value = 1, .invoked = 1, .returned = UINT64_MAX},
        {.writes = false, .value = 0, .invoked = 2, .returned = 3},
        {.writes = false, .value = 1, .invoked = 4, .returned = 5},
        {.writes = false, .value = 1, .invoked = 6, .returned = 7},
    };
    size_t bad = 0;
    assert_int_equal(search_register(ops, 4, &bad), SEARCH_FITS);
    ops[3].value = 0;
    assert_int_equal(search_register(ops, 4, &bad), SEARCH_BROKEN);
    assert_int_equal(bad, 3);
}

TEST(sim_search, two_readers_may_not_see_two_writes_in_different_orders)
{
    const struct search_op ops[] = {
        {.writes = true, .value = 1, .invoked = 1, .returned = 10},
        {.writes = true, .value = 2, .invoked = 2, .returned = 11},
        {.writes = false, .value = 1, .invoked = 3, .returned = 4},
        {.writes = false, .value = 2, .invoked = 5, .returned = 6},
        {.writes = false, .value = 1, .invoked = 7, .returned = 8},
    };
    size_t bad = 0;
    assert_int_equal(search_register(ops, 4, &bad), SEARCH_FITS);
    assert_int_equal(search_register(ops, 5, &bad), SEARCH_BROKEN);
}
