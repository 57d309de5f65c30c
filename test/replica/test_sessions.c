/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions in a world of dice: cuts of bytes, late results, lost connections, crashes of either
 * side, a primary that starts anew, a log that is trimmed. */
#include <inttypes.h>
#include <stdlib.h>

#include "test/replica/pair.h"

static void check_always(const struct pair *pair)
{
    const struct pair_copy *primary = &pair->copies[0], *replica = &pair->copies[1];
    if (replica->history != primary->history) return; /* it is none of it */
    /* What the replica has applied is the primary's, entry by entry. */
    assert_true(replica->applied <= primary->size);
    assert_int_equal(replica->log[replica->applied].lineage.hash,
                     primary->log[replica->applied].lineage.hash);
    assert_true(replica->committed <= primary->committed);
    /* A copy that counts has everything that is committed, synced. */
    if (pair->progress.copies[1].counting != COUNTING_OUT) {
        assert_true(replica->durable >= primary->committed);
        assert_int_equal(replica->log[primary->committed].lineage.hash,
                         primary->log[primary->committed].lineage.hash);
    }
    assert_true(pair->pins <= 1);
}

static void write_some(struct pair *pair)
{
    struct pair_copy *copy = &pair->copies[0];
    if (copy->size + 20 > PAIR_LOG_MAX) return;
    struct stamp stamp = {copy->log[copy->size].stamp.bits + dice_below(&pair->dice, 3)};
    uint64_t count = 1 + dice_below(&pair->dice, 5);
    for (uint64_t i = 0; i < count; i++) pair_append(copy, copy->promised, stamp, ++pair->value);
    pair_commit(pair);
}

static void sync_some(struct pair *pair, unsigned i)
{
    struct pair_copy *copy = &pair->copies[i];
    copy->durable += dice_below(&pair->dice, copy->size - copy->durable + 1);
    if (dice_chance(&pair->dice, 1, 4)) copy->flushed = copy->applied;
    if (copy->flushed > copy->durable) copy->flushed = copy->durable;
    if (i == 0) pair_commit(pair);
    else if (pair->follower != NULL) pair_log_event(pair, false);
}

/* Whatever is not durable may be gone; a part of it may be there. */
static void crash(struct pair *pair, unsigned i)
{
    struct pair_copy *copy = &pair->copies[i];
    pair_disconnect(pair);
    uint64_t kept = copy->durable + dice_below(&pair->dice, copy->size - copy->durable + 1);
    if (kept < copy->applied) kept = copy->applied;
    pair_cut(copy, kept);
    copy->durable = copy->size;
    copy->incarnation++;
    if (i == 1) return;
    bool counts = pair->progress.copies[1].counting != COUNTING_OUT;
    if (copy->size + 40 <= PAIR_LOG_MAX) pair_lead(pair, pair->progress.rule, counts);
}

static void trim(struct pair *pair)
{
    struct pair_copy *copy = &pair->copies[0];
    uint64_t most = copy->flushed + 1; /* I6 */
    if (pair->pin > 0 && pair->pin < most) most = pair->pin;
    if (pair->progress.copies[1].counting != COUNTING_OUT) return; /* its place is held */
    if (most > copy->floor) copy->floor += dice_below(&pair->dice, most - copy->floor + 1);
    if (copy->flushed > 0 && dice_chance(&pair->dice, 1, 3))
        pair->image = pair_mark(copy, copy->flushed);
}

/* Somebody has made the replica begin a history of its own, with a promise above all of the
 * primary's; then it is told to follow that one again. Or it is told so for nothing. */
static void stray(struct pair *pair)
{
    struct pair_copy *copy = &pair->copies[1];
    if (pair->progress.copies[1].counting != COUNTING_OUT || copy->size + 40 > PAIR_LOG_MAX) return;
    pair_disconnect(pair);
    copy->wipe = true;
    if (dice_chance(&pair->dice, 1, 3)) return;
    copy->history = 8;
    copy->promised = (struct epoch){copy->promised.number + 40, copy->id};
    for (uint64_t i = dice_below(&pair->dice, 5); i > 0; i--)
        pair_append(copy, copy->promised, copy->log[copy->size].stamp, ++pair->value);
    copy->durable = copy->committed = copy->applied = copy->size;
}

static void disturb(struct pair *pair)
{
    switch (dice_below(&pair->dice, 24)) {
    case 0: pair_disconnect(pair); break;
    case 1: crash(pair, 0); break;
    case 2: crash(pair, 1); break;
    case 3:
    case 4: trim(pair); break;
    case 5: pair->now_us += dice_below(&pair->dice, 3000); break;
    case 6: pair->pin_fails = dice_chance(&pair->dice, 1, 3); break;
    case 7: stray(pair); break;
    default: write_some(pair); break;
    }
}

static void act(struct pair *pair)
{
    uint64_t choice = dice_below(&pair->dice, 40);
    if (pair->primary == NULL && choice < 4) pair_connect(pair);
    else if (choice < 5) disturb(pair);
    else if (choice < 8) sync_some(pair, choice & 1);
    else if (choice < 10) write_some(pair);
    else if (pair->primary == NULL) return;
    else if (choice < 20 && pair->result_count > 0)
        pair_answer(pair, (unsigned)dice_below(&pair->dice, pair->result_count));
    else if (choice < 22) {
        struct session_event tick = {.kind = EVENT_TICK};
        pair->now_us += 200;
        pair_step(pair, choice & 1, &tick);
    } else pair_deliver(pair, choice & 1, 1 + dice_below(&pair->dice, 400));
}

static void check_equal(const struct pair *pair)
{
    const struct pair_copy *primary = &pair->copies[0], *replica = &pair->copies[1];
    assert_int_equal(pair->states[0], STATE_IN_SYNC);
    assert_int_equal(pair->states[1], STATE_IN_SYNC);
    assert_int_equal(replica->size, primary->size);
    assert_int_equal(primary->committed, primary->size);
    assert_int_equal(replica->applied, primary->size);
    assert_int_equal(replica->log[replica->size].lineage.hash,
                     primary->log[primary->size].lineage.hash);
}

static void run(uint64_t seed, struct commit_rule rule, unsigned seen[RECOVER_KINDS],
                unsigned ruled[RECOVER_RULES], uint64_t *resumed)
{
    struct pair pair;
    pair_open(&pair, seed, rule);
    for (unsigned i = 0; i < 3000; i++) {
        act(&pair);
        check_always(&pair);
        bool planned = pair.primary != NULL && pair.primary->phase == PRIMARY_PREPARING;
        if (planned) seen[pair.plan.kind]++, ruled[pair.plan.rule]++;
        if (pair.primary != NULL && pair.primary->phase == PRIMARY_CLOSED) {
            if (pair.plan.kind == RECOVER_REFUSE) {
                char text[RECOVER_TEXT_BYTES];
                recover_format(&pair.plan, text);
                fail_msg("seed %" PRIu64 ": %s", seed, text);
            }
            pair_disconnect(&pair);
        }
    }
    pair.pin_fails = false;
    pair_disconnect(&pair);
    pair_connect(&pair);
    pair_settle(&pair);
    check_equal(&pair);
    *resumed += pair.images_resumed;
    pair_close(&pair);
}

static uint64_t seeds(void)
{
    const char *text = getenv("SEEDS");
    return text == NULL ? 300 : strtoull(text, NULL, 10);
}

TEST(replica_sessions, whatever_happens_the_copies_agree_and_end_equal)
{
    static const struct commit_rule modes[] = {{COMMIT_LOCAL, 1}, {COMMIT_ALL, 2}};
    unsigned seen[RECOVER_KINDS] = {0}, ruled[RECOVER_RULES] = {0};
    uint64_t resumed = 0, count = seeds();
    for (uint64_t seed = 1; seed <= count; seed++)
        run(seed, modes[seed & 1], seen, ruled, &resumed);
    for (unsigned kind = 0; kind < RECOVER_REFUSE; kind++) assert_true(seen[kind] > 0);
    assert_true(ruled[RULE_HISTORY] > 0);
    assert_true(resumed > 0); /* an image went on where a lost connection had left it */
}
