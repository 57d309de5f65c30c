/* SPDX-License-Identifier: Apache-2.0 */
/* Whether copies hold the same, and what one does that does not. */
#include "state/core.h"
#include "test/node/cohort.h"

static const struct cohort_rule local = {.min_in_sync = 1};

static void write_many(struct copy *copy, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char words[32];
        (void)snprintf(words, sizeof words, "SET k%u v%u", i, i);
        copy_write(copy, words);
    }
}

static const struct service_stamps *figures(const struct copy *copy)
{
    return &copy->bed.node->stamps.figures;
}

static void run_until_applied(struct cohort *cohort, struct copy *copy)
{
    const struct node *leader = cohort->copies[0].bed.node, *node = copy->bed.node;
    UNTIL(cohort, node->machine->ops->applied(node->machine).lsn.at ==
                      leader->machine->ops->applied(leader->machine).lsn.at);
}

/* Its running digest is another from here on; its records are not. */
static void alters_digest(struct copy *copy)
{
    struct state *state = CONTAINER_OF(copy->bed.node->machine, struct state, base);
    state->databases[0]->meta.sum.low ^= 1;
}

/* The digests that it noted are others, though everything that it holds is right. */
static void alters_notes(struct copy *copy)
{
    struct stamps *stamps = &copy->bed.node->stamps;
    for (unsigned i = 0; i < STAMPS_PLACES; i++) {
        if (stamps->notes[i].mark.lsn.at > 0) stamps->notes[i].digest.low ^= 1;
    }
}

/* To where a digest is noted, and no further; it is not in the log yet. */
static void write_to_note(struct copy *copy)
{
    copy->bed.node->stamps.stamped_us = UINT64_MAX - NODE_STAMP_US;
    do write_many(copy, 1);
    while (copy_last(copy) % STAMPS_EVERY != 0);
}

static void stamps_now(struct copy *copy)
{
    copy->bed.node->stamps.stamped_us = 0;
}

static void copy_flushes(struct copy *copy)
{
    node_flush_now(copy->bed.node);
}

static void expect_diverged(struct copy *copy, const char *word)
{
    assert_int_equal(copy->bed.failures, 1);
    assert_int_equal(copy->bed.failure, NODE_FAILED_DIVERGED);
    if (strstr(copy->bed.why.text, word) == NULL) fail_msg("%s", copy->bed.why.text);
    copy->bed.failures = 0;
    if (sim_node_is_up(copy->bed.sim)) (void)sim_node_stop(copy->bed.sim);
}

TEST(node_stamps, every_copy_compares_each_stamp_with_its_own_note)
{
    struct cohort *cohort = cohort_whole(3, local);
    write_many(&cohort->copies[0], STAMPS_EVERY + 10);
    for (unsigned i = 0; i < 3; i++) UNTIL(cohort, figures(&cohort->copies[i])->checked == 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(figures(&cohort->copies[i])->mark.lsn.at, STAMPS_EVERY);
        assert_int_equal(figures(&cohort->copies[i])->skipped, 0);
        assert_int_equal(figures(&cohort->copies[i])->differing, 0);
    }
    cohort_close(cohort);
}

TEST(node_stamps, an_idle_shard_gets_no_more_of_them)
{
    struct cohort *cohort = cohort_whole(2, local);
    write_many(&cohort->copies[0], STAMPS_EVERY + 10);
    UNTIL(cohort, figures(&cohort->copies[1])->checked == 1);
    uint64_t last = copy_last(&cohort->copies[0]);
    cohort_run(cohort, 30 * SIM_SECOND);
    assert_int_equal(copy_last(&cohort->copies[0]), last);
    cohort_close(cohort);
}

TEST(node_stamps, a_copy_that_was_not_there_skips_it)
{
    struct cohort *cohort = cohort_whole(2, local);
    write_to_note(&cohort->copies[0]);
    run_until_applied(cohort, &cohort->copies[1]);
    struct stamps *stamps = &cohort->copies[1].bed.node->stamps;
    memset(stamps->notes, 0, sizeof stamps->notes); /* as after a start from what was flushed */
    stamps_now(&cohort->copies[0]);
    UNTIL(cohort, figures(&cohort->copies[1])->skipped == 1);
    assert_int_equal(figures(&cohort->copies[1])->checked, 0);
    cohort_close(cohort);
}

TEST(node_stamps, a_replay_notes_and_compares_too)
{
    struct cohort *cohort = cohort_whole(2, local);
    write_many(&cohort->copies[0], STAMPS_EVERY + 10);
    UNTIL(cohort, figures(&cohort->copies[1])->checked == 1);
    cohort_run(cohort, 3 * SIM_SECOND); /* so that the commit of the stamp is on disk */
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    assert_int_equal(figures(&cohort->copies[1])->checked, 1);
    UNTIL(cohort, copy_follows(&cohort->copies[1], &cohort->copies[0]));
    cohort_close(cohort);
}

TEST(node_stamps, a_copy_whose_recount_is_another_than_its_digest_stops)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_do(copy, alters_digest);
    write_to_note(leader);
    run_until_applied(cohort, copy);
    stamps_now(leader);
    UNTIL(cohort, copy->bed.failures == 1);
    expect_diverged(copy, "but the recount");
    assert_int_equal(leader->bed.failures, 0);
    copy_write(leader, "SET k w"); /* and its primary goes on */
    cohort_close(cohort);
}

TEST(node_stamps, nothing_is_applied_behind_a_stamp_that_differs)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_do(copy, alters_digest);
    write_to_note(leader);
    run_until_applied(cohort, copy);
    uint64_t noted = copy_last(leader);
    stamps_now(leader);
    UNTIL(cohort, copy_last(leader) > noted); /* the stamp */
    write_many(leader, 5);
    UNTIL(cohort, copy->bed.failures == 1);
    const struct machine *machine = copy->bed.node->machine;
    assert_int_equal(machine->ops->applied(machine).lsn.at, noted + 1);
    expect_diverged(copy, "but the recount");
    cohort_close(cohort);
}

TEST(node_stamps, a_primary_whose_recount_is_another_stops_and_its_replica_does_not)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_do(leader, alters_digest);
    write_to_note(leader);
    run_until_applied(cohort, copy);
    stamps_now(leader);
    UNTIL(cohort, leader->bed.failures == 1);
    expect_diverged(leader, "but the recount");
    cohort_run(cohort, 20 * SIM_SECOND);
    assert_int_equal(copy->bed.failures, 0);
    assert_false(node_stamps_hold(copy->bed.node)); /* it may be made the primary */
    copy_steer(copy, STEER_PROMOTE_FORCE);
    UNTIL(cohort, copy_is_open(copy));
    UNTIL(cohort, copy->bed.node->stamps.phase == STAMPS_AGREES);
    cohort_close(cohort);
}

TEST(node_stamps, when_both_agree_with_themselves_the_replica_stops)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    write_to_note(leader);
    run_until_applied(cohort, copy);
    copy_do(leader, alters_notes);
    stamps_now(leader);
    UNTIL(cohort, copy->bed.failures == 1);
    expect_diverged(copy, "determinism");
    assert_int_equal(leader->bed.failures, 0);
    assert_int_equal(figures(leader)->asked, 1);
    assert_int_equal(figures(leader)->recounts, 1);
    copy_write(leader, "SET k w");
    cohort_close(cohort);
}

TEST(node_stamps, every_record_is_counted_again_each_day)
{
    struct cohort *cohort = cohort_whole(1, local);
    struct copy *leader = &cohort->copies[0];
    struct node *node = leader->bed.node;
    write_many(leader, 10);
    copy_do(leader, copy_flushes);
    cohort_run(cohort, SIM_SECOND);
    uint64_t first_us = node->stamps.scrub_due_us;
    node->stamps.scrub_due_us -= (uint64_t)(NODE_RECOUNT_FIRST_S - 10) * SIM_SECOND;
    cohort_run(cohort, 8 * SIM_SECOND);
    assert_int_equal(figures(leader)->recounts, 0);
    UNTIL(cohort, figures(leader)->recounts == 1);
    assert_int_equal(figures(leader)->recounted.at, copy_last(leader));
    uint64_t later_us = node->stamps.scrub_due_us - first_us;
    assert_true(later_us > 22ULL * 3600 * SIM_SECOND && later_us <= 24ULL * 3600 * SIM_SECOND);
    /* and what it finds ends the process */
    copy_do(leader, alters_digest);
    write_many(leader, 1);
    copy_do(leader, copy_flushes);
    cohort_run(cohort, SIM_SECOND);
    node->stamps.scrub_due_us = 1;
    UNTIL(cohort, leader->bed.failures == 1);
    expect_diverged(leader, "the daily recount");
    cohort_close(cohort);
}
