/* SPDX-License-Identifier: Apache-2.0 */
/* The checkers themselves: made-up histories that are good are taken, and each kind of violation is
 * found. */
#include "base/memory.h"
#include "sim/model.h"
#include "sim/oracle.h"
#include "sim/workload.h"
#include "test/test.h"

enum { STEPS = 60, HISTORIES = 1000 };

/* A history, and what clients were told of it. */
struct tale {
    struct canon canon;
    struct ops ops;
    struct model model;
    struct workload workload;
    struct dice dice;
    uint64_t told, stamp_ms;
    bool unknown_ops;
};

static uint64_t below(struct tale *tale, uint64_t bound)
{
    return dice_below(&tale->dice, bound);
}

/* Appends an entry; its reply goes to `reply`. Returns its LSN. */
static uint64_t tell_entry(struct tale *tale, struct bytes payload, struct buffer *reply)
{
    tale->stamp_ms += 1 + below(tale, 5);
    struct entry entry = {.lsn = {tale->canon.count + 1},
                          .epoch = {1, 1},
                          .stamp = stamp_of_ms(tale->stamp_ms),
                          .lineage = {dice_roll(&tale->dice)},
                          .payload = payload};
    canon_add(&tale->canon, &entry, (struct digest){0, 0});
    assert_true(model_apply(&tale->model, entry.lsn.at, tale->stamp_ms, payload, reply));
    return entry.lsn.at;
}

static void tell_mark(struct tale *tale, struct op *op, uint64_t lsn)
{
    op->lsn = lsn;
    op->lineage = tale->canon.facts[lsn - 1].lineage;
    if (lsn > tale->told) tale->told = lsn;
}

static struct op *draw_op(struct tale *tale)
{
    struct workload *workload = &tale->workload;
    struct drawn drawn;
    do drawn = workload_draw(workload, DRAW_ANY);
    while (drawn.kind == OP_WAIT);
    drawn_args(&workload->words, &workload->args);
    struct op *op = ops_add(&tale->ops, drawn.kind);
    op->unique = drawn.unique;
    op->unordered = drawn.unordered;
    op->pairs = drawn.pairs;
    op->floor = tale->told - (tale->told > 3 ? below(tale, 3) : 0);
    payload_put_command(&op->payload, 0, command_find(workload->args.at[0]), &workload->args);
    return op;
}

static void step(struct tale *tale)
{
    struct op *op = draw_op(tale);
    struct bytes payload = buffer_bytes(&op->payload);
    uint64_t dice = tale->unknown_ops ? below(tale, 20) : 20;
    if (op->kind == OP_READ) {
        op->state = OP_ANSWERED;
        assert_true(model_query(&tale->model, tale->stamp_ms, payload, &op->reply));
        tell_mark(tale, op, tale->canon.count);
    } else if (dice == 0) {
        op->state = OP_REFUSED;
    } else if (dice == 1) {
        op->state = OP_UNKNOWN;
    } else {
        uint64_t lsn = tell_entry(tale, payload, &op->reply);
        op->state = dice == 2 ? OP_UNKNOWN : OP_ANSWERED;
        if (op->state == OP_ANSWERED) tell_mark(tale, op, lsn);
        /* The answer with the mark was lost. */
        if (dice == 3 && op->unique) op->lsn = 0;
    }
}

static void tale_begin(struct tale *tale, uint64_t seed)
{
    *tale = (struct tale){.stamp_ms = 1000000, .unknown_ops = true};
    dice_init(&tale->dice, seed);
    canon_init(&tale->canon, NULL);
    ops_init(&tale->ops);
    model_init(&tale->model);
    workload_init(&tale->workload, seed % 3 == 0 ? WORKLOAD_STRINGS : WORKLOAD_MIXED, &tale->dice);
    tale->workload.expiry = seed % 2 == 0;
    struct buffer payload, reply;
    buffer_init(&payload);
    buffer_init(&reply);
    payload_put_epoch(&payload);
    (void)tell_entry(tale, buffer_bytes(&payload), &reply);
    buffer_release(&payload);
    buffer_release(&reply);
    for (unsigned i = 0; i < STEPS; i++) step(tale);
}

static void tale_end(struct tale *tale)
{
    canon_release(&tale->canon);
    ops_release(&tale->ops);
    model_release(&tale->model);
    workload_release(&tale->workload);
}

/* The first op from a drawn place on that is one of these; NULL: there is none. */
static struct op *find_op(struct tale *tale, bool reads, bool unique)
{
    size_t from = (size_t)below(tale, tale->ops.count);
    for (size_t i = 0; i < tale->ops.count; i++) {
        struct op *op = tale->ops.list[(from + i) % tale->ops.count];
        if (op->state != OP_ANSWERED || op->lsn < 2 || (op->kind == OP_READ) != reads) continue;
        if (!unique || op->unique) return op;
    }
    return NULL;
}

/* --- Violations: each plants one, and returns the word by which it must be found --- */

static const char *plant_stale_read(struct tale *tale)
{
    struct op *op = find_op(tale, true, false);
    if (op == NULL || op->floor < 2) return NULL;
    tell_mark(tale, op, op->floor - 1);
    return "stale read";
}

/* The mark is the right one, the value is that of before. */
static const char *plant_old_value(struct tale *tale)
{
    struct op *op = find_op(tale, true, false);
    if (op == NULL || op->unordered) return NULL;
    buffer_clear(&op->reply);
    buffer_append_text(&op->reply, "$2\r\nv0\r\n");
    return "a client was told";
}

static const char *plant_lost_write(struct tale *tale)
{
    struct op *op = find_op(tale, false, false);
    if (op == NULL) return NULL;
    static const uint8_t noop[1] = {ENTRY_NOOP};
    struct fact *fact = &tale->canon.facts[op->lsn - 1];
    union {
        const uint8_t *lent;
        uint8_t *owned;
    } payload = {.lent = fact->payload.data};
    payload.owned[0] = noop[0];
    fact->payload.size = 1;
    return "lost write";
}

static const char *plant_lost_unmarked_write(struct tale *tale)
{
    struct op *op = draw_op(tale);
    while (op->kind == OP_READ || !op->unique) {
        op->state = OP_REFUSED;
        op = draw_op(tale);
    }
    op->state = OP_ANSWERED;
    buffer_append_text(&op->reply, "+OK\r\n");
    return "lost write";
}

static const char *plant_second_apply(struct tale *tale)
{
    const struct op *op = find_op(tale, false, true);
    if (op == NULL) return NULL;
    struct buffer reply;
    buffer_init(&reply);
    (void)tell_entry(tale, buffer_bytes(&op->payload), &reply);
    buffer_release(&reply);
    return "applied twice";
}

static const char *plant_reordering(struct tale *tale)
{
    struct op *op = find_op(tale, false, false);
    if (op == NULL) return NULL;
    op->floor = op->lsn + below(tale, 5);
    return "reordered";
}

static const char *plant_reordered_connection(struct tale *tale)
{
    struct op *op = find_op(tale, false, false), *later = find_op(tale, false, false);
    if (op == NULL || later->lsn <= op->lsn) return NULL;
    op->before = later;
    return "is behind its own connection's";
}

static const char *plant_wrong_reply(struct tale *tale)
{
    struct op *op = find_op(tale, false, false);
    if (op == NULL) return NULL;
    buffer_clear(&op->reply);
    buffer_append_text(&op->reply, ":12345\r\n");
    return "a client was told";
}

static const char *plant_refused_but_there(struct tale *tale)
{
    struct op *op = find_op(tale, false, true);
    if (op == NULL) return NULL;
    op->state = OP_REFUSED;
    return "refused or lost, but it stands";
}

static const char *plant_entry_of_nobody(struct tale *tale)
{
    struct op *op = draw_op(tale);
    while (op->kind == OP_READ || !op->unique) op = draw_op(tale);
    struct buffer reply;
    buffer_init(&reply);
    (void)tell_entry(tale, buffer_bytes(&op->payload), &reply);
    buffer_release(&reply);
    op->kind = OP_READ; /* nobody wrote it */
    return "nobody sent";
}

static const char *plant_two_at_one_place(struct tale *tale)
{
    const struct op *op = find_op(tale, false, false);
    if (op == NULL) return NULL;
    struct op *twin = ops_add(&tale->ops, OP_WRITE);
    buffer_append(&twin->payload, buffer_bytes(&op->payload));
    buffer_append(&twin->reply, buffer_bytes(&op->reply));
    twin->state = OP_ANSWERED;
    tell_mark(tale, twin, op->lsn);
    return "two writes";
}

static const char *plant_beyond_the_end(struct tale *tale)
{
    struct op *op = find_op(tale, false, false);
    if (op == NULL) return NULL;
    op->lsn = tale->canon.count + 1 + below(tale, 3);
    return "the history ends";
}

static const char *plant_other_lineage(struct tale *tale)
{
    struct op *op = find_op(tale, below(tale, 2) == 0, false);
    if (op == NULL) return NULL;
    op->lineage.hash++;
    return "another lineage";
}

typedef const char *violation(struct tale *tale);
static violation *const violations[] = {
    plant_stale_read,           plant_old_value,        plant_lost_write,
    plant_lost_unmarked_write,  plant_second_apply,     plant_reordering,
    plant_reordered_connection, plant_wrong_reply,      plant_refused_but_there,
    plant_entry_of_nobody,      plant_two_at_one_place, plant_beyond_the_end,
    plant_other_lineage,
};
enum { VIOLATIONS = sizeof violations / sizeof violations[0] };

TEST(sim_oracle, a_thousand_good_histories_are_taken)
{
    uint64_t reads = 0, writes = 0, found = 0;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct tale tale;
        tale_begin(&tale, seed);
        struct oracle_result result;
        oracle_check(&tale.canon, &tale.ops, &result);
        if (result.failure[0] != '\0') fail_msg("history %d: %s", (int)seed, result.failure);
        reads += result.reads;
        writes += result.writes;
        found += result.unknown_found;
        tale_end(&tale);
    }
    assert_true(reads > 10 * HISTORIES);
    assert_true(writes > 10 * HISTORIES);
    assert_true(found > HISTORIES / 10);
}

TEST(sim_oracle, a_thousand_planted_violations_are_found)
{
    unsigned planted[VIOLATIONS] = {0}, all = 0;
    for (uint64_t seed = 1; all < HISTORIES; seed++) {
        struct tale tale;
        tale_begin(&tale, seed);
        unsigned which = (unsigned)(seed % VIOLATIONS);
        const char *word = violations[which](&tale);
        struct oracle_result result;
        if (word != NULL) {
            oracle_check(&tale.canon, &tale.ops, &result);
            if (strstr(result.failure, word) == NULL) {
                fail_msg("history %d, violation %d: expected \"%s\" in \"%s\"", (int)seed,
                         (int)which, word, result.failure);
            }
            planted[which]++;
            all++;
        }
        tale_end(&tale);
    }
    for (unsigned i = 0; i < VIOLATIONS; i++) assert_true(planted[i] >= HISTORIES / 50);
}

TEST(sim_oracle, what_power_took_is_not_expected_and_may_not_come_back)
{
    struct tale tale;
    tale_begin(&tale, 7);
    struct oracle_result result;
    oracle_check(&tale.canon, &tale.ops, &result);
    assert_string_equal(result.failure, "");
    uint64_t keep = tale.canon.count / 2;
    struct bytes lost = {NULL, 0};
    for (size_t i = 0; i < tale.ops.count; i++) {
        const struct op *op = tale.ops.list[i];
        if (op->kind == OP_WRITE && op->unique && op->lsn > keep) lost = buffer_bytes(&op->payload);
    }
    assert_true(lost.size > 0);
    oracle_forget(&tale.ops, keep);
    uint64_t count = tale.canon.count;
    tale.canon.count = keep; /* what stands behind it is kept by the test */
    oracle_check(&tale.canon, &tale.ops, &result);
    assert_string_equal(result.failure, "");
    struct fact *fact = &tale.canon.facts[keep], before = *fact;
    *fact = (struct fact){.epoch = before.epoch, .stamp = before.stamp, .payload = lost};
    tale.canon.count = keep + 1;
    oracle_check(&tale.canon, &tale.ops, &result);
    assert_non_null(strstr(result.failure, "refused or lost, but it stands"));
    *fact = before;
    tale.canon.count = count;
    tale_end(&tale);
}
