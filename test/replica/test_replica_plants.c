/* SPDX-License-Identifier: Apache-2.0 */
/* The planted bugs of sessions, commits and promises: each is seen to do what must not be, and
 * without it the same does not happen. */
#include "base/plant.h"

#include "test/replica/talk.h"

#define WITH(plant, on, statement) \
    do { \
        plant_set(plant, on); \
        statement; \
        plant_set(plant, false); \
    } while (0)

/* --- Commits --- */

/* Three copies that count, of which two are needed; the epoch's entry is 11, committed is 8. */
static struct progress three(void)
{
    struct progress progress;
    progress_init(&progress, (struct epoch){5, 1}, 1);
    for (uint64_t copy = 2; copy <= 3; copy++) {
        enum err err = progress_admit(&progress, copy, true);
        assert_int_equal(err, ERR_OK);
    }
    progress_recall(&progress, (struct commit_rule){COMMIT_ALL, 2}, (struct lsn){8},
                    (struct lsn){11});
    for (uint64_t copy = 2; copy <= 3; copy++) progress_attach(&progress, copy, 4, copy + 70);
    return progress;
}

static void ack(struct progress *progress, uint64_t copy, uint64_t durable)
{
    struct progress_ack said = {progress->epoch, copy, 4, copy + 70, {durable}};
    assert_true(progress_ack(progress, &said));
}

static uint64_t committed_with(enum plant plant, bool on, uint64_t own, uint64_t others)
{
    struct progress progress = three();
    progress_own(&progress, (struct lsn){own});
    ack(&progress, 2, others);
    ack(&progress, 3, others);
    WITH(plant, on, (void)progress_commit(&progress));
    return progress.committed.at;
}

TEST(replica_plants, a_copy_that_counts_and_has_less_holds_commits_up)
{
    assert_int_equal(committed_with(PLANT_COMMIT_WITHOUT_COUNTING_ALL, false, 20, 12), 12);
    assert_int_equal(committed_with(PLANT_COMMIT_WITHOUT_COUNTING_ALL, true, 20, 12), 20);
}

TEST(replica_plants, what_is_on_all_disks_and_of_an_earlier_epoch_waits_for_the_own)
{
    assert_int_equal(committed_with(PLANT_COMMIT_BEFORE_OWN_EPOCH, false, 11, 10), 8);
    assert_int_equal(committed_with(PLANT_COMMIT_BEFORE_OWN_EPOCH, true, 11, 10), 10);
}

static enum counting counting_with(bool on)
{
    struct progress progress = three();
    progress_own(&progress, (struct lsn){20});
    ack(&progress, 2, 20);
    ack(&progress, 3, 20);
    (void)progress_commit(&progress);
    assert_int_equal(progress_remove(&progress, 3), PROGRESS_OK);
    progress_step(&progress, 3, (struct lsn){21});
    progress_own(&progress, (struct lsn){21}); /* on one disk of three */
    WITH(PLANT_REMOVE_BEFORE_CONFIRMED, on, (void)progress_commit(&progress));
    return progress.copies[2].counting;
}

TEST(replica_plants, a_removal_that_nobody_else_knows_of_is_none)
{
    assert_int_equal(counting_with(false), COUNTING_LEAVES);
    assert_int_equal(counting_with(true), COUNTING_OUT);
}

static uint64_t committed_without_a_session(bool on)
{
    struct progress progress = three();
    ack(&progress, 2, 20);
    ack(&progress, 3, 20);
    plant_set(PLANT_STALE_SESSION_COUNTED, on);
    progress_detach(&progress, 3, 73);
    progress_attach(&progress, 3, 5, 99); /* it may have been wiped meanwhile */
    plant_set(PLANT_STALE_SESSION_COUNTED, false);
    progress_own(&progress, (struct lsn){20});
    (void)progress_commit(&progress);
    return progress.committed.at;
}

TEST(replica_plants, what_was_acked_in_an_earlier_session_does_not_count)
{
    assert_int_equal(committed_without_a_session(false), 8);
    assert_int_equal(committed_without_a_session(true), 20);
}

static uint64_t best_with(bool on)
{
    struct promotion promotion;
    const struct promise_answer *best;
    promotion_init(&promotion, (struct epoch){9, 1}, 3, 2);
    struct promise_answer answer = {.granted = true, .vouches = true, .promised = {9, 1}};
    answer.copy = 1;
    answer.last = (struct mark){.epoch = {4, 2}, .lsn = {50}};
    assert_true(promotion_answer(&promotion, &answer));
    answer.copy = 2;
    answer.last = (struct mark){.epoch = {5, 3}, .lsn = {40}}; /* shorter, and later */
    assert_true(promotion_answer(&promotion, &answer));
    bool won;
    WITH(PLANT_LONGEST_LOG_WINS, on, won = promotion_won(&promotion, &best));
    assert_true(won);
    return best->copy;
}

TEST(replica_plants, the_log_of_the_later_epoch_is_adopted_not_the_longer_one)
{
    assert_int_equal(best_with(false), 2);
    assert_int_equal(best_with(true), 1);
}

/* --- Verdicts --- */

struct facts_of {
    struct epoch_start starts[2];
    struct recover_source source;
    struct recover_facts replica;
};

/* Both have ten entries of one epoch. */
static void same_ten(struct facts_of *facts)
{
    *facts = (struct facts_of){.starts = {{{1, 1}, {1}, 0}}};
    struct recover_facts copy = {.cluster = 3,
                                 .level = 1,
                                 .copy = 1,
                                 .promised = {1, 1},
                                 .last = {{{7}}, {1, 1}, {10}, {77}},
                                 .floor = {1},
                                 .durable = {10},
                                 .committed = {10},
                                 .applied = {10},
                                 .flushed = {5},
                                 .applied_lineage = {77},
                                 .epochs = {facts->starts, 1}};
    facts->source = (struct recover_source){
        .own = copy, .has_lineage = true, .lineage = {77}, .level_least = 1};
    copy.copy = 2;
    facts->replica = copy;
}

static struct recover_plan plan_with(struct facts_of *facts, enum plant plant, bool on)
{
    struct recover_plan plan;
    WITH(plant, on, recover_decide(&facts->source, &facts->replica, &plan));
    return plan;
}

TEST(replica_plants, a_lineage_that_differs_is_no_place_to_go_on)
{
    struct facts_of facts;
    same_ten(&facts);
    facts.replica.last.lineage.hash = facts.replica.applied_lineage.hash = 78;
    assert_int_equal(plan_with(&facts, PLANT_RESUME_WITHOUT_LINEAGE, false).kind, RECOVER_REFUSE);
    assert_int_equal(plan_with(&facts, PLANT_RESUME_WITHOUT_LINEAGE, true).kind, RECOVER_IN_PLACE);
}

TEST(replica_plants, what_was_applied_and_is_not_the_primary_s_is_rebuilt_not_cut)
{
    struct facts_of facts;
    same_ten(&facts);
    facts.source.own.last.lsn.at = facts.source.own.durable.at = 8;
    facts.source.own.committed.at = facts.source.own.applied.at = 8;
    assert_int_equal(plan_with(&facts, PLANT_CUT_BELOW_APPLIED, false).rule, RULE_LOST_BY_MODE);
    assert_int_equal(plan_with(&facts, PLANT_CUT_BELOW_APPLIED, true).kind, RECOVER_CUT);
}

TEST(replica_plants, a_primary_of_an_epoch_below_the_promised_one_refuses_itself)
{
    struct facts_of facts;
    same_ten(&facts);
    facts.replica.promised = (struct epoch){2, 3};
    assert_int_equal(plan_with(&facts, PLANT_ACCEPT_STALE_EPOCH, false).rule, RULE_FENCED);
    assert_int_equal(plan_with(&facts, PLANT_ACCEPT_STALE_EPOCH, true).kind, RECOVER_IN_PLACE);
}

/* --- Sessions --- */

static void to_verdict(struct pair *pair)
{
    while (pair->follower->phase != FOLLOWER_HELLO || pair->pipes[1].size == 0) {
        if (pair->result_count > 0) pair_answer(pair, 0);
        pair_deliver(pair, true, SIZE_MAX);
        if (pair->follower->phase != FOLLOWER_HELLO) pair_deliver(pair, false, SIZE_MAX);
    }
}

static enum bye_reason reason_of_stale(bool on)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    to_verdict(&pair);
    pair.follower->facts.promised = (struct epoch){2, 7}; /* to another one meanwhile */
    WITH(PLANT_ACCEPT_STALE_EPOCH, on, pair_deliver(&pair, false, SIZE_MAX));
    enum bye_reason reason = pair.follower->link.reason;
    pair_close(&pair);
    return reason;
}

TEST(replica_plants, nor_is_it_followed)
{
    assert_int_equal(reason_of_stale(false), BYE_FENCED);
    assert_int_equal(reason_of_stale(true), 0);
}

/* How much more than it was told to be synced the replica has acked, or gives to be applied. */
static uint64_t acked_beyond(bool on)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    write_some(&pair, 4);
    exchange(&pair);
    struct lsn synced = {pair.copies[1].size - 4};
    struct session_event event = {.kind = EVENT_LOG,
                                  .appended = {pair.copies[1].size},
                                  .durable = synced,
                                  .applied = {pair.copies[1].applied},
                                  .flushed = {pair.copies[1].flushed}};
    pair.copies[1].durable = pair.copies[1].size; /* for the pair's own check */
    WITH(PLANT_ACK_WHEN_RECEIVED, on, pair_step(&pair, false, &event));
    pair_deliver(&pair, true, SIZE_MAX);
    uint64_t acked = pair.primary->ack.durable.at - synced.at;
    pair_close(&pair);
    return acked;
}

/* By the watermarks alone; what the pair itself would say of that is not asked. */
static uint64_t applied_beyond(bool on)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    struct message_watermarks told = pair.follower->watermarks;
    struct buffer out;
    buffer_init(&out);
    told.committed.at = pair.follower->last.lsn.at;
    watermarks_put(&out, &told);
    pair.follower->own.durable.at -= 2; /* as if it were slower than the pair */
    pair.follower->acked.durable = pair.follower->committed = pair.follower->own.durable;
    pair.copies[1].durable = pair.copies[1].size;
    pair.copies[1].committed = pair.copies[1].applied = 0;
    WITH(PLANT_APPLY_BEYOND_DURABLE, on,
         inject(&pair, false, FRAME_WATERMARKS, buffer_bytes(&out)));
    uint64_t beyond = pair.follower->committed.at - pair.follower->own.durable.at;
    buffer_release(&out);
    pair_close(&pair);
    return beyond;
}

TEST(replica_plants, what_is_not_synced_is_neither_acked_nor_applied)
{
    assert_int_equal(acked_beyond(false), 0);
    assert_int_equal(acked_beyond(true), 4);
    assert_int_equal(applied_beyond(false), 0);
    assert_int_equal(applied_beyond(true), 2);
}

static enum session_state state_at_target(bool on)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    while (pair.primary->phase != PRIMARY_CATCH_UP) {
        if (pair.result_count > 0) pair_answer(&pair, 0);
        pair_deliver(&pair, true, SIZE_MAX);
        pair_deliver(&pair, false, SIZE_MAX);
    }
    write_some(&pair, 4); /* committed, and not at this copy */
    exchange(&pair);
    pair.copies[1].durable = pair.primary->plan.target.at;
    pair_log_event(&pair, false);
    WITH(PLANT_IN_SYNC_AT_STALE_TARGET, on, pair_deliver(&pair, true, SIZE_MAX));
    enum session_state state = pair.states[0];
    pair_close(&pair);
    return state;
}

TEST(replica_plants, the_target_of_the_beginning_does_not_make_a_copy_in_sync)
{
    assert_int_equal(state_at_target(false), STATE_CATCHING_UP);
    assert_int_equal(state_at_target(true), STATE_IN_SYNC);
}

static enum primary_phase phase_of_rebuild(bool on)
{
    struct pair pair;
    usual(&pair, 20);
    pair.copies[0].flushed = pair.copies[0].applied;
    pair.copies[0].floor = 15;
    pair_connect(&pair);
    plant_set(PLANT_TAIL_BEFORE_TRANSFER, on);
    while (pair.primary->phase <= PRIMARY_PREPARING) {
        if (pair.result_count > 0) pair_answer(&pair, 0);
        pair_deliver(&pair, true, SIZE_MAX);
        pair_deliver(&pair, false, SIZE_MAX);
    }
    enum primary_phase phase = pair.primary->phase;
    exchange(&pair);
    plant_set(PLANT_TAIL_BEFORE_TRANSFER, false);
    if (on) assert_int_equal(pair.follower->link.reason, BYE_PROTOCOL); /* it takes none of that */
    pair_close(&pair);
    return phase;
}

TEST(replica_plants, no_log_is_sent_to_a_copy_that_waits_for_an_image)
{
    assert_int_equal(phase_of_rebuild(false), PRIMARY_TRANSFER);
    assert_int_equal(phase_of_rebuild(true), PRIMARY_CATCH_UP);
}

static enum session_state state_at_first_ack(bool on)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    exchange(&pair);
    assert_int_equal(pair.primary->phase, PRIMARY_CATCH_UP);
    pair.copies[1].durable = 1;
    WITH(PLANT_TARGET_IGNORED, on, inject_ack(&pair, pair.follower->own.incarnation, 1));
    enum session_state state = pair.states[0];
    pair_close(&pair);
    return state;
}

TEST(replica_plants, nor_does_anything_before_it)
{
    assert_int_equal(state_at_first_ack(false), STATE_CATCHING_UP);
    assert_int_equal(state_at_first_ack(true), STATE_IN_SYNC);
}

static enum bye_reason reason_of_a_later_epoch(bool on)
{
    struct pair pair;
    usual(&pair, 5);
    pair_connect(&pair);
    pair_settle(&pair);
    uint64_t last = pair.copies[1].size;
    struct lineage before = pair.copies[1].log[last].lineage;
    struct entry entry = {.lsn = {last + 1},
                          .epoch = {pair.follower->primary_epoch.number + 1, 9},
                          .stamp = pair.copies[1].log[last].stamp,
                          .payload = bytes_text("8 bytes.")};
    entry.lineage = log_lineage(before, &entry);
    WITH(PLANT_EPOCH_FROM_STREAM, on, inject_entries(&pair, &entry, 1, before));
    enum bye_reason reason = pair.follower->link.reason;
    pair_close(&pair);
    return reason;
}

TEST(replica_plants, no_entry_is_of_an_epoch_that_was_not_promised)
{
    assert_int_equal(reason_of_a_later_epoch(false), BYE_FORK);
    assert_int_equal(reason_of_a_later_epoch(true), 0);
}
