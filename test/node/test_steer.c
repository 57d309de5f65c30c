/* SPDX-License-Identifier: Apache-2.0 */
/* What people ask to be done: following, handing over, beginning a new history. */
#include "test/node/cohort.h"

static const struct cohort_rule all_two = {.all = true, .min_in_sync = 2};
static const struct cohort_rule local = {.min_in_sync = 1};

static void steered(struct copy *copy)
{
    UNTIL(copy->cohort, copy->steered);
    assert_int_equal(copy->steer.err, ERR_OK);
}

/* --- Failover --- */

TEST(node_steer, a_failover_gives_the_role_to_a_copy_that_has_all)
{
    for (unsigned all = 0; all < 2; all++) {
        struct cohort *cohort = cohort_whole(2, all == 1 ? all_two : local);
        struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
        copy_write(old, "SET k v");
        uint64_t last = copy_last(old);
        copy_steer_at(old, STEER_FAILOVER, copy);
        assert_true(old->steered); /* it goes on behind the answer */
        steered(old);
        UNTIL(cohort, copy_is_open(copy) && copy_follows(old, copy));
        assert_true(log_last(copy->bed.node->log).lsn.at > last); /* nothing was cut off */
        assert_string_equal(copy_read(copy, "GET k"), "$v");
        copy_write(copy, "SET k w");
        UNTIL(cohort, strcmp(copy_read(old, "GET k"), "$w") == 0);
        cohort_run(cohort, SIM_SECOND);
        assert_int_equal(old->bed.node->failover.given_until_us, 0); /* it is taken */
        cohort_close(cohort);
    }
}

TEST(node_steer, no_role_is_given_to_a_copy_that_lacks_something_and_no_write_is_admitted)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    sim_paths_clog(old->bed.sim, copy->bed.sim, SIM_BOTH_WAYS);
    copy_write(old, "SET k v");
    copy_steer_at(old, STEER_FAILOVER, copy);
    steered(old);
    cohort_run(cohort, 2 * SIM_SECOND);
    assert_true(copy_leads(old));
    assert_true(copy_status(old)->failing_over);
    uint64_t last = copy_last(old);
    struct asked *asked = bed_ask(&old->bed, CALL_WRITE, "SET k w");
    cohort_run(cohort, SIM_SECOND);
    expect_end(asked, CALL_REFUSED);
    assert_string_equal(asked->answer, "-READONLY");
    assert_int_equal(copy_last(old), last);
    sim_paths_heal_all(cohort->world);
    UNTIL(cohort, copy_is_open(copy) && copy_follows(old, copy));
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    cohort_close(cohort);
}

TEST(node_steer, a_failover_is_given_up_when_its_time_is_over_or_it_is_aborted)
{
    for (unsigned aborts = 0; aborts < 2; aborts++) {
        struct cohort *cohort = cohort_whole(2, local);
        struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
        sim_paths_clog(old->bed.sim, copy->bed.sim, SIM_BOTH_WAYS);
        copy_write(old, "SET k v");
        copy_steer_so(old, (struct steer){.kind = STEER_FAILOVER, .timeout_us = 3 * SIM_SECOND});
        steered(old);
        copy_steer(old, STEER_FAILOVER);
        assert_int_equal(old->steer.err, ERR_EXISTS);
        if (aborts == 1) {
            copy_steer(old, STEER_FAILOVER_ABORT);
            steered(old);
        } else {
            cohort_run(cohort, 4 * SIM_SECOND);
        }
        assert_false(copy_status(old)->failing_over);
        sim_paths_heal_all(cohort->world);
        copy_write(old, "SET k w");
        UNTIL(cohort, strcmp(copy_read(copy, "GET k"), "$w") == 0);
        assert_true(copy_leads(old));
        copy_steer(old, STEER_FAILOVER_ABORT);
        assert_int_equal(old->steer.err, ERR_REFUSED);
        cohort_close(cohort);
    }
}

TEST(node_steer, a_role_that_was_handed_over_and_not_taken_is_taken_back)
{
    for (unsigned all = 0; all < 2; all++) {
        struct cohort *cohort = cohort_whole(2, all == 1 ? all_two : local);
        struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
        copy_write(old, "SET k v");
        copy_steer_at(old, STEER_FAILOVER, copy);
        assert_false(copy_leads(old));
        cohort_kill(cohort, 1); /* the word is lost */
        cohort_start(cohort, 1);
        UNTIL(cohort, copy_is_open(old) && copy_follows(copy, old));
        copy_write(old, "SET k w");
        UNTIL(cohort, strcmp(copy_read(copy, "GET k"), "$w") == 0);
        cohort_close(cohort);
    }
}

TEST(node_steer, who_gave_the_promise_that_is_enough_does_not_take_the_role_back)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_steer_at(old, STEER_FAILOVER, copy);
    while (!copy_leads(copy)) cohort_run(cohort, 10);
    assert_false(copy_follows(old, copy));
    sim_paths_cut(old->bed.sim, copy->bed.sim, SIM_BOTH_WAYS);
    cohort_run(cohort, 30 * SIM_SECOND);
    assert_true(copy_leads(copy));
    assert_false(copy_leads(old));
    cohort_close(cohort);
}

TEST(node_steer, a_failover_is_for_a_primary_and_to_a_copy_that_the_log_names)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_steer(leader, STEER_FAILOVER);
    assert_int_equal(leader->steer.err, ERR_NOT_FOUND);
    cohort_visit(cohort, 1); /* it follows, and is not named */
    copy_steer(leader, STEER_FAILOVER);
    assert_int_equal(leader->steer.err, ERR_NOT_FOUND);
    copy_steer_at(leader, STEER_FAILOVER, copy);
    assert_int_equal(leader->steer.err, ERR_NOT_FOUND);
    assert_non_null(strstr(leader->steer.why.text, "FAILOVER target HOST and PORT"));
    copy_steer(copy, STEER_FAILOVER);
    assert_int_equal(copy->steer.err, ERR_REFUSED);
    assert_true(copy_leads(leader));
    cohort_close(cohort);
}

/* --- Rebuilds --- */

TEST(node_steer, a_rebuild_is_allowed_for_a_copy_that_is_known_and_for_no_other)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *leader = &cohort->copies[0];
    copy_steer_at(leader, STEER_REBUILD, &cohort->copies[1]);
    steered(leader);
    assert_string_equal(leader->steer.why.text, ""); /* nothing is to be said about it */
    copy_steer_so(leader, (struct steer){.kind = STEER_REBUILD, .copy = 1});
    assert_int_equal(leader->steer.err, ERR_NOT_FOUND);
    assert_string_equal(leader->steer.why.text, "no copy of that id is known here");
    cohort_close(cohort);
}

/* --- Following --- */

TEST(node_steer, a_primary_that_is_told_to_follow_gives_up_its_calls_and_answers_none_twice)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    sim_paths_cut(old->bed.sim, copy->bed.sim, SIM_BOTH_WAYS);
    struct asked *held[3];
    for (unsigned i = 0; i < 3; i++) held[i] = bed_ask(&old->bed, CALL_WRITE, "LPUSH l a");
    cohort_run(cohort, SIM_SECOND);
    for (unsigned i = 0; i < 3; i++) assert_false(held[i]->ended);
    copy_steer_at(old, STEER_FOLLOW, copy);
    steered(old);
    assert_false(copy_leads(old));
    for (unsigned i = 0; i < 3; i++) expect_end(held[i], CALL_UNKNOWN);
    assert_int_equal(old->bed.ends, 3); /* bed_done() lets none end twice */
    sim_paths_heal_all(cohort->world);
    copy_steer(copy, STEER_PROMOTE);
    steered(copy);
    UNTIL(cohort, copy_follows(old, copy) && copy_is_open(copy));
    copy_write(copy, "LPUSH l b");
    cohort_close(cohort);
}

TEST(node_steer, whom_to_follow_is_written_down_and_a_start_follows_it_too)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy->bed.options.copies.follow = "";
    cohort_start(cohort, 1); /* a primary of its own, with data of its own */
    UNTIL(cohort, copy_is_open(copy));
    copy_write(copy, "SET k own");
    copy_write(leader, "SET k v");
    uint64_t cluster = site_cluster(&leader->bed.node->site);
    assert_true(site_cluster(&copy->bed.node->site) != cluster);
    copy_steer_at(copy, STEER_FOLLOW, leader);
    steered(copy);
    assert_false(copy_leads(copy));
    UNTIL(cohort, copy_follows(copy, leader));
    UNTIL(cohort, strcmp(copy_read(copy, "GET k"), "$v") == 0);
    assert_true(site_cluster(&copy->bed.node->site) == cluster);
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    assert_false(copy_leads(copy));
    UNTIL(cohort, copy_follows(copy, leader));
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    struct site_follow follow;
    struct why why;
    assert_int_equal(site_follow_read(&copy->bed.node->site, &follow, &why), ERR_OK);
    assert_false(follow.wipe); /* once is enough */
    cohort_close(cohort);
}

TEST(node_steer, a_copy_of_another_cluster_is_refused_unless_it_may_be_wiped)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy->bed.options.copies.follow = "";
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_is_open(copy));
    copy_write(copy, "SET k own");
    cohort_kill(cohort, 1);
    copy->bed.options.copies.follow = copy->follow; /* the file of the configuration says so now */
    cohort_start(cohort, 1);
    cohort_run(cohort, 3 * SIM_SECOND);
    assert_true(copy_leads(copy)); /* it led last: the log knows better */
    assert_string_equal(copy_read(copy, "GET k"), "$own");
    assert_null(copy_says(leader, copy));
    cohort_close(cohort);
}

/* --- A new history --- */

static void no_end(struct steer *steer)
{
    (void)steer;
}

TEST(node_force, without_the_promise_that_is_missing_a_new_history_begins_with_what_is_here)
{
    struct cohort *cohort = cohort_whole(3, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1], *other = &cohort->copies[2];
    copy_write(old, "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(old) && copy_last(other) == copy_last(old));
    cohort_run(cohort, 3 * SIM_SECOND); /* what is committed is recorded */
    uint64_t last = copy_last(copy);
    struct history before = copy->bed.node->site.pointer.history;
    cohort_kill(cohort, 0);
    copy_steer(copy, STEER_PROMOTE);
    UNTIL(cohort, copy->steered);
    assert_int_equal(copy->steer.err, ERR_REFUSED);
    copy_steer(copy, STEER_PROMOTE_FORCE);
    steered(copy);
    assert_non_null(strstr(copy->steer.why.text, "a new history begins behind LSN"));
    UNTIL(cohort, copy_is_open(copy));
    assert_true(copy_last(copy) > last);
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    assert_true(memcmp(&copy->bed.node->site.pointer.history, &before, sizeof before) != 0);
    assert_int_equal(copy->bed.node->membership.now.count, 1); /* nobody else is a part of it */
    copy_write(copy, "SET k w");
    /* The others are of the old history: foreign. */
    cohort_start(cohort, 0);
    cohort_run(cohort, 10 * SIM_SECOND);
    assert_string_equal(copy_read(old, "GET k"), "$v");
    copy_steer_at(other, STEER_FOLLOW, copy); /* which says that it may be wiped */
    steered(other);
    UNTIL(cohort, copy_follows(other, copy));
    UNTIL(cohort, strcmp(copy_read(other, "GET k"), "$w") == 0);
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_is_open(copy));
    assert_string_equal(copy_read(copy, "GET k"), "$w");
    cohort_close(cohort);
}

static void follow_as_is(struct copy *copy)
{
    struct node *node = copy->bed.node;
    node_votes_end(node);
    node_unlead(node, "the test");
    node_follows_end(node, BYE_STOP);
    node_follows_begin(node, "", copy->text, false);
}

TEST(node_force, copies_of_the_old_history_are_refused_as_foreign)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(old, "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(old));
    sim_paths_cut(old->bed.sim, copy->bed.sim, SIM_BOTH_WAYS);
    copy_steer(copy, STEER_PROMOTE_FORCE);
    steered(copy);
    UNTIL(cohort, copy_is_open(copy));
    sim_paths_heal_all(cohort->world);
    (void)snprintf(old->text, sizeof old->text, "%s:%d", copy->host, COHORT_PEER_PORT);
    copy_do(old, follow_as_is);
    UNTIL(cohort, strstr(copy_status(old)->why.text, "rule=history refusal=foreign") != NULL);
    assert_null(copy_says(copy, old));
    assert_string_equal(copy_read(old, "GET k"), "$v");
    cohort_close(cohort);
}

TEST(node_force, in_mode_all_the_forced_copy_writes_once_enough_count_again)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(old, "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(old));
    cohort_kill(cohort, 0);
    copy_steer(copy, STEER_PROMOTE_FORCE);
    steered(copy);
    UNTIL(cohort, copy_is_open(copy));
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    uint64_t last = copy_last(copy);
    struct asked *asked = bed_ask(&copy->bed, CALL_WRITE, "SET k w");
    cohort_run(cohort, SIM_SECOND);
    expect_end(asked, CALL_REFUSED);
    assert_string_equal(asked->answer, "-NOREPLICAS");
    assert_int_equal(copy_last(copy), last);
    cohort_close(cohort);
}

TEST(node_force, who_leads_goes_on_without_a_copy_that_counts_and_is_lost)
{
    struct cohort *cohort = cohort_open(3, all_two);
    struct copy *leader = &cohort->copies[0], *late = &cohort->copies[2];
    cohort_join(cohort, 1);
    UNTIL(cohort, !leader->bed.node->membership.proposes);
    copy_write(leader, "SET k v");
    cohort_visit(cohort, 2);
    uint64_t lost = copy_id(&cohort->copies[1]);
    struct history before = leader->bed.node->site.pointer.history;
    copy_steer(leader, STEER_PROMOTE_FORCE);
    assert_int_equal(leader->steer.err, ERR_REFUSED); /* nothing is lost yet */
    cohort_kill(cohort, 1);
    struct asked *held = bed_ask(&leader->bed, CALL_WRITE, "SET k held");
    UNTIL(cohort, progress_lacks_one(&leader->bed.node->progress));
    assert_false(held->ended);
    copy_steer_so(leader, (struct steer){.kind = STEER_REMOVE, .copy = lost});
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_REFUSED);
    assert_non_null(strstr(leader->steer.why.text, "PROMOTE FORCE"));
    copy_steer(leader, STEER_PROMOTE_FORCE);
    /* What was not committed belongs to no history until the new one is there. */
    while (!leader->steered) {
        struct asked *read = bed_ask(&leader->bed, CALL_READ, "GET k");
        if (read->ended && read->end == CALL_ANSWERED) assert_true(leader->steered);
        assert_true(sim_world_step(cohort->world));
    }
    assert_int_equal(leader->steer.err, ERR_OK);
    expect_end(held, CALL_UNKNOWN);
    UNTIL(cohort, copy_is_open(leader));
    assert_true(memcmp(&leader->bed.node->site.pointer.history, &before, sizeof before) != 0);
    assert_string_equal(copy_read(leader, "GET k"), "$held"); /* it was in its log */
    copy_steer_at(late, STEER_FOLLOW, leader);
    steered(late);
    UNTIL(cohort, copy_follows(late, leader));
    copy_steer_at(leader, STEER_ADD, late);
    steered(leader);
    UNTIL(cohort, copy_status(leader)->may_write);
    copy_write(leader, "SET k w");
    cohort_close(cohort);
}

static void promise_much(struct copy *copy)
{
    struct why why;
    struct epoch epoch = {99, copy->bed.node->site.identity.copy};
    assert_int_equal(log_promise(copy->bed.node->log, epoch, &why), ERR_OK);
}

TEST(node_force, what_was_promised_in_the_old_history_fences_nobody_of_the_new_one)
{
    struct cohort *cohort = cohort_whole(3, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1], *other = &cohort->copies[2];
    copy_write(old, "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(old) && copy_last(other) == copy_last(old));
    cohort_kill(cohort, 0);
    copy_steer(copy, STEER_PROMOTE_FORCE);
    steered(copy);
    UNTIL(cohort, copy_is_open(copy));
    copy_do(other, promise_much);
    copy_steer_at(other, STEER_FOLLOW, copy);
    steered(other);
    UNTIL(cohort, copy_follows(other, copy));
    assert_string_equal(copy_read(other, "GET k"), "$v");
    assert_int_equal(
        epoch_compare(log_promised(other->bed.node->log), log_promised(copy->bed.node->log)), 0);
    cohort_kill(cohort, 2);
    cohort_start(cohort, 2);
    UNTIL(cohort, copy_follows(other, copy));
    cohort_close(cohort);
}

static void force_again(struct copy *copy)
{
    struct steer steer = {.kind = STEER_PROMOTE_FORCE, .done = no_end};
    copy->bed.service->ops->steer(copy->bed.service, &steer);
    assert_int_equal(steer.err, ERR_REFUSED);
    (void)snprintf(copy->text, sizeof copy->text, "%s", steer.why.text);
}

TEST(node_force, who_leads_and_who_is_forced_already_is_refused)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_steer(leader, STEER_PROMOTE_FORCE);
    assert_int_equal(leader->steer.err, ERR_REFUSED);
    cohort_kill(cohort, 0);
    copy_steer(copy, STEER_PROMOTE_FORCE);
    assert_false(copy->steered);
    copy_do(copy, force_again);
    UNTIL(cohort, copy->steered);
    assert_int_equal(copy->steer.err, ERR_OK);
    assert_string_equal(copy->text, "PROMOTE FORCE is under way");
    cohort_close(cohort);
}

TEST(node_force, a_promise_of_another_history_is_none)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1], *other = &cohort->copies[2];
    cohort_kill(cohort, 0);
    copy_steer(copy, STEER_PROMOTE_FORCE);
    steered(copy);
    UNTIL(cohort, copy_is_open(copy));
    copy_steer_at(other, STEER_FOLLOW, copy);
    steered(other);
    UNTIL(cohort, copy_follows(other, copy));
    cohort_kill(cohort, 1);
    cohort_start(cohort, 0); /* the old history names the other one, which has left it */
    cohort_run(cohort, 10 * SIM_SECOND);
    assert_false(copy_leads(old));
    assert_non_null(strstr(copy_status(old)->why.text, "1 of 2 promises"));
    cohort_close(cohort);
}
