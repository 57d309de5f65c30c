/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: promises between copies, promotions, and what a start does. */
#include <inttypes.h>

#include "test/node/cohort.h"

static const struct cohort_rule all_two = {.all = true, .min_in_sync = 2};
static const struct cohort_rule local = {.min_in_sync = 1};

static void expect_refused(const struct copy *copy, const char *text)
{
    assert_true(copy->steered);
    assert_int_equal(copy->steer.err, ERR_REFUSED);
    if (strstr(copy->steer.why.text, text) == NULL) fail_msg("\"%s\"", copy->steer.why.text);
}

static void promote(struct copy *copy)
{
    copy_steer(copy, STEER_PROMOTE);
    UNTIL(copy->cohort, copy->steered);
}

/* Whether copies of another make may be fed. */
static bool feeds(struct copy *copy)
{
    struct feed *feed = copy->bed.service->ops->feed(copy->bed.service);
    return feed->ops->is_open(feed);
}

/* --- Promotion --- */

TEST(node_votes, two_of_two_one_is_enough_for_a_promotion_and_none_for_a_write)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(old, "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(old));
    cohort_kill(cohort, 0);
    promote(copy);
    assert_int_equal(copy->steer.err, ERR_OK);
    assert_true(copy_leads(copy));
    assert_int_equal(copy->bed.node->progress.epoch.number, 2);
    cohort_run(cohort, 3 * SIM_SECOND);
    assert_false(copy_is_open(copy)); /* its epoch's entry is on one disk of two */
    assert_string_equal(copy_read(copy, "GET k"), "-LOADING");
    assert_false(feeds(copy));
    struct asked *held = bed_ask(&copy->bed, CALL_WRITE, "SET k w");
    cohort_run(cohort, SIM_SECOND);
    assert_false(held->ended);
    cohort_start(cohort, 0); /* who led last asks, and finds who leads */
    UNTIL(cohort, held->ended);
    expect_answer(held, "+OK");
    assert_true(copy_is_open(copy) && feeds(copy));
    UNTIL(cohort, copy_follows(old, copy));
    assert_false(feeds(old));
    assert_string_equal(copy_read(copy, "GET k"), "$w");
    cohort_close(cohort);
}

TEST(node_votes, three_of_which_two_must_have_it_lose_their_primary_and_go_on)
{
    struct cohort_rule rule = {true, 2, 2 * SIM_SECOND};
    struct cohort *cohort = cohort_whole(3, rule);
    struct copy *copy = &cohort->copies[1];
    copy_write(&cohort->copies[0], "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(&cohort->copies[0]) &&
                      copy_last(&cohort->copies[2]) == copy_last(copy));
    cohort_run(cohort, 10 * SIM_SECOND);
    cohort_kill(cohort, 0);
    promote(copy);
    assert_int_equal(copy->steer.err, ERR_OK);
    cohort_run(cohort, SIM_SECOND);
    assert_int_equal(copy_status(copy)->counting, 3); /* it may come back in that time */
    assert_false(copy_is_open(copy));
    UNTIL(cohort, copy_is_open(copy));
    assert_int_equal(copy_status(copy)->counting, 2);
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    copy_write(copy, "SET k w");
    UNTIL(cohort, copy_follows(&cohort->copies[2], copy));
    cohort_close(cohort);
}

TEST(node_votes, a_promotion_without_enough_promises_is_refused_and_says_so)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1];
    cohort_kill(cohort, 0);
    cohort_kill(cohort, 2);
    promote(copy);
    expect_refused(copy, "NOPROMISE 1 of 2 promises");
    assert_false(copy_leads(copy));
    cohort_start(cohort, 2);
    UNTIL(cohort, cohort->copies[2].bed.readies == 1);
    promote(copy);
    assert_int_equal(copy->steer.err, ERR_OK);
    cohort_close(cohort);
}

TEST(node_votes, in_mode_local_a_primary_that_lives_is_not_replaced)
{
    struct cohort *cohort = cohort_whole(3, local);
    struct copy *copy = &cohort->copies[1];
    promote(copy);
    expect_refused(copy, "the primary leads");
    assert_true(copy_leads(&cohort->copies[0]));
    UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
    copy_write(&cohort->copies[0], "SET k v");
    cohort_close(cohort);
}

TEST(node_votes, a_primary_that_enough_have_left_is_fenced_and_what_it_has_answered_is_kept)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(old, "SET k v");
    promote(copy);
    assert_int_equal(copy->steer.err, ERR_OK);
    struct asked *asked = bed_ask(&old->bed, CALL_WRITE, "SET k lost");
    cohort_run(cohort, 2 * SIM_SECOND);
    assert_false(asked->ended); /* nobody acks it */
    assert_true(copy_leads(old));
    UNTIL(cohort, copy_follows(old, copy) && copy_is_open(copy)); /* it asks who leads */
    expect_end(asked, CALL_UNKNOWN);
    assert_string_equal(copy_read(copy, "GET k"), "$v");
    UNTIL(cohort, strcmp(copy_read(old, "GET k"), "$v") == 0);
    cohort_close(cohort);
}

TEST(node_votes, in_mode_local_only_with_the_promise_of_who_led_last)
{
    struct cohort *cohort = cohort_whole(3, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    char last[17];
    (void)snprintf(last, sizeof last, "%llu", (unsigned long long)copy_id(old));
    cohort_kill(cohort, 0);
    promote(copy);
    expect_refused(copy, last);
    expect_refused(copy, "which led last");
    assert_false(copy_leads(copy));
    cohort_close(cohort);
}

TEST(node_votes, a_copy_whose_log_has_more_is_not_overtaken)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *old = &cohort->copies[0], *less = &cohort->copies[1], *more = &cohort->copies[2];
    sim_paths_cut(old->bed.sim, less->bed.sim, SIM_BOTH_WAYS);
    struct asked *held = bed_ask(&old->bed, CALL_WRITE, "SET k v");
    UNTIL(cohort, copy_last(more) > copy_last(less));
    assert_false(held->ended);
    cohort_kill(cohort, 0);
    promote(less);
    char text[32];
    (void)snprintf(text, sizeof text, "copy %llu has more", (unsigned long long)copy_id(more));
    expect_refused(less, text);
    assert_false(copy_leads(less));
    promote(more);
    assert_int_equal(more->steer.err, ERR_OK);
    sim_paths_heal_all(cohort->world);
    UNTIL(cohort, copy_last(less) >= copy_last(more));
    cohort_close(cohort);
}

TEST(node_votes, who_answers_in_the_place_of_a_copy_that_the_log_names_is_not_that_copy)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1], *other = &cohort->copies[2];
    uint64_t id = copy_id(other);
    cohort_kill(cohort, 2);
    other->bed.options.directory = "fresh";
    cohort_visit(cohort, 2); /* another copy, which has all that the primary has */
    assert_true(copy_id(other) != id);
    cohort_kill(cohort, 0);
    promote(copy);
    expect_refused(copy, "1 of 2 promises");
    cohort_close(cohort);
}

static void is_unproven(struct copy *copy)
{
    struct why why;
    assert_int_equal(site_set_unproven(&copy->bed.node->site, &why), ERR_OK);
}

TEST(node_votes, a_copy_that_was_rebuilt_and_not_in_sync_since_does_not_vouch)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1];
    cohort_kill(cohort, 0);
    copy_do(&cohort->copies[2], is_unproven);
    promote(copy);
    expect_refused(copy, "1 of 2 promises");
    cohort_close(cohort);
}

TEST(node_votes, nor_does_it_vouch_for_itself)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1];
    cohort_kill(cohort, 0);
    copy_do(copy, is_unproven);
    promote(copy);
    expect_refused(copy, "1 of 2 promises");
    cohort_close(cohort);
}

TEST(node_votes, a_rebuilt_copy_is_unproven_until_it_was_in_sync_also_over_a_crash)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *copy = &cohort->copies[1];
    assert_false(copy->bed.node->site.unproven);
    copy_do(copy, is_unproven);
    cohort_kill(cohort, 0);
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    UNTIL(cohort, copy->bed.readies == 1);
    assert_true(copy->bed.node->site.unproven);
    cohort_start(cohort, 0);
    UNTIL(cohort, copy_follows(copy, &cohort->copies[0]));
    assert_false(copy->bed.node->site.unproven);
    cohort_close(cohort);
}

/* --- Starts --- */

TEST(node_votes, who_led_last_and_is_alone_in_its_log_leads_at_once)
{
    struct cohort *cohort = cohort_open(1, local);
    cohort_kill(cohort, 0);
    cohort_start(cohort, 0);
    assert_true(copy_leads(&cohort->copies[0])); /* no time has passed */
    cohort_close(cohort);
}

TEST(node_votes, who_led_last_asks_the_others_and_leads_again_with_enough_of_them)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *old = &cohort->copies[0];
    for (unsigned i = 0; i < 3; i++) cohort_kill(cohort, i);
    cohort_start(cohort, 0);
    cohort_run(cohort, 10 * SIM_SECOND);
    assert_false(copy_leads(old));
    assert_int_equal(copy_status(old)->role, COPIES_ASKS);
    assert_non_null(strstr(copy_status(old)->why.text, "1 of 2 promises"));
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_leads(old));
    assert_int_equal(old->bed.node->progress.epoch.number, 2);
    UNTIL(cohort, copy_follows(&cohort->copies[1], old));
    cohort_close(cohort);
}

TEST(node_votes, who_led_last_in_mode_local_leads_though_nobody_answers)
{
    struct cohort *cohort = cohort_whole(2, local);
    cohort_kill(cohort, 0);
    cohort_kill(cohort, 1);
    cohort_start(cohort, 0);
    assert_false(copy_leads(&cohort->copies[0])); /* one of them might lead by now */
    UNTIL(cohort, copy_is_open(&cohort->copies[0]));
    cohort_close(cohort);
}

/* Who led last has given its promise to another copy, which may have led by it and committed alone;
 * the log of the one tells nothing of that. */
TEST(node_votes, who_led_last_and_gave_its_promise_away_leads_only_with_that_copy)
{
    struct cohort *cohort = cohort_whole(3, local);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_steer_at(old, STEER_FOLLOW, &cohort->copies[2]); /* it leads no more */
    UNTIL(cohort, old->steered && !copy_leads(old));
    uint64_t id = copy_id(copy);
    struct promise_request request = {{40, id}, id, false};
    assert_true(copy_asked(old, request).granted);
    cohort_kill(cohort, 1);
    promote(old);
    char text[64];
    (void)snprintf(text, sizeof text, "promise of copy %" PRIu64, id);
    expect_refused(old, text);
    cohort_kill(cohort, 0); /* nor by itself */
    cohort_start(cohort, 0);
    cohort_run(cohort, 10 * SIM_SECOND);
    assert_false(copy_leads(old));
    cohort_start(cohort, 1);
    cohort_run(cohort, SIM_SECOND);
    promote(old); /* it has not led, and promises that it will not */
    assert_int_equal(old->steer.err, ERR_OK);
    assert_true(copy_leads(old));
    cohort_close(cohort);
}

TEST(node_votes, who_did_not_lead_last_never_leads_by_itself)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    for (unsigned i = 0; i < 3; i++) cohort_kill(cohort, i);
    for (unsigned i = 1; i < 3; i++) { /* whom to follow was said once, at the first start */
        cohort->copies[i].bed.options.copies.follow = "";
        cohort_start(cohort, i);
    }
    cohort_run(cohort, 20 * SIM_SECOND);
    assert_false(copy_leads(&cohort->copies[1]));
    assert_false(copy_leads(&cohort->copies[2]));
    assert_non_null(strstr(copy_status(&cohort->copies[1])->why.text, "nobody leads"));
    cohort_start(cohort, 0);
    UNTIL(cohort, copy_is_open(&cohort->copies[0]));
    for (unsigned i = 1; i < 3; i++)
        UNTIL(cohort, copy_follows(&cohort->copies[i], &cohort->copies[0]));
    cohort_close(cohort);
}

TEST(node_votes, who_led_last_and_finds_another_leading_follows_it_and_is_cut_to_its_log)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(old, "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(old));
    sim_net_isolate(old->bed.sim, true);
    (void)bed_ask(&old->bed, CALL_WRITE, "SET k lost"); /* in its log alone */
    cohort_run(cohort, SIM_SECOND);
    uint64_t more = copy_last(old);
    promote(copy);
    assert_int_equal(copy->steer.err, ERR_OK);
    cohort_kill(cohort, 0);
    sim_net_isolate(old->bed.sim, false);
    cohort_start(cohort, 0);
    UNTIL(cohort, copy_follows(old, copy) && copy_is_open(copy));
    UNTIL(cohort, copy_last(old) == copy_last(copy));
    assert_true(more > 0 && strcmp(copy_read(old, "GET k"), "$v") == 0);
    copy_write(copy, "SET k w");
    cohort_close(cohort);
}

/* --- The end that is asked --- */

static struct promise_request request_of(uint64_t number, bool only_asks)
{
    return (struct promise_request){{number, 77}, 77, only_asks};
}

TEST(node_voters, one_never_promises_below_what_it_has_promised)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1];
    struct promise_answer answer = copy_asked(copy, request_of(9, false));
    assert_true(answer.granted && answer.vouches && !answer.leads);
    assert_int_equal(answer.copy, copy_id(copy));
    assert_int_equal(answer.promised.number, 9);
    assert_int_equal(answer.last.lsn.at, copy_last(copy));
    answer = copy_asked(copy, request_of(8, false));
    assert_false(answer.granted);
    assert_int_equal(answer.promised.number, 9); /* it says by what */
    assert_int_equal(answer.promised.copy, 77);
    assert_true(copy_asked(copy, request_of(9, false)).granted); /* the same again */
    struct promise_request other = {{9, 78}, 77, false};
    assert_false(copy_asked(copy, other).granted); /* for somebody else */
    other.candidate = 78;
    assert_true(copy_asked(copy, other).granted); /* {9, 78} is above {9, 77} */
    other = (struct promise_request){{9, 77}, 77, false};
    assert_false(copy_asked(copy, other).granted);
    cohort_close(cohort);
}

TEST(node_voters, an_epoch_that_its_log_has_entries_of_is_not_promised)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *copy = &cohort->copies[1];
    struct epoch last = log_last(copy->bed.node->log).epoch;
    struct promise_request request = {{last.number, 77}, 77, true};
    request.epoch.copy = request.candidate = last.copy; /* its own primary, again */
    assert_false(copy_asked(copy, request).granted);
    cohort_close(cohort);
}

TEST(node_voters, who_leads_promises_nothing_and_says_that_it_leads)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *leader = &cohort->copies[0];
    for (unsigned only = 0; only < 2; only++) {
        struct promise_answer answer = copy_asked(leader, request_of(1000, only == 1));
        assert_int_equal(answer.copy, copy_id(leader));
        assert_false(answer.granted);
        assert_true(answer.leads);
    }
    copy_write(leader, "SET k v");
    cohort_close(cohort);
}

TEST(node_voters, a_question_promises_nothing)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *copy = &cohort->copies[1];
    struct epoch before = log_promised(copy->bed.node->log);
    struct promise_answer answer = copy_asked(copy, request_of(1000, true));
    assert_true(answer.granted);
    assert_int_equal(epoch_compare(log_promised(copy->bed.node->log), before), 0);
    assert_true(copy_follows(copy, &cohort->copies[0]));
    cohort_close(cohort);
}

/* The power goes in the moment in which the answer is there. Returns what is promised then. */
static uint64_t promised_after_the_answer(void)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *copy = &cohort->copies[1];
    struct asker *asker = memory_alloc(sizeof *asker);
    struct promise_request request = request_of(40, false);
    asker_open(asker, copy, &request);
    while (!asker->candidate.answered) assert_true(sim_world_step(cohort->world));
    assert_true(asker->candidate.answer.granted);
    cohort_kill(cohort, 1);
    asker_close(asker);
    memory_free(asker);
    cohort_start(cohort, 1);
    uint64_t promised = log_promised(copy->bed.node->log).number;
    bool granted = copy_asked(copy, request_of(39, false)).granted;
    assert_true(promised == 40 ? !granted : granted);
    cohort_close(cohort);
    return promised;
}

TEST(node_voters, a_promise_is_durable_before_it_is_answered)
{
    assert_int_equal(promised_after_the_answer(), 40);
}

TEST(node_voters, no_primary_of_an_earlier_epoch_is_followed_after_a_promise)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    uint64_t epoch = leader->bed.node->progress.epoch.number;
    assert_true(copy_asked(copy, request_of(40, false)).granted);
    uint64_t last = copy_last(copy);
    (void)bed_ask(&leader->bed, CALL_WRITE, "SET k v");
    cohort_run(cohort, 300 * SIM_MILLISECOND);
    if (leader->bed.node->progress.epoch.number == epoch) assert_int_equal(copy_last(copy), last);
    /* The primary hears of it, and opens an epoch above it. */
    UNTIL(cohort, copy_leads(leader) && leader->bed.node->progress.epoch.number > 40);
    UNTIL(cohort, copy_follows(copy, leader));
    cohort_close(cohort);
}

TEST(node_votes, a_promise_to_another_ends_a_candidacy)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1];
    cohort_kill(cohort, 0);
    sim_paths_cut(copy->bed.sim, cohort->copies[2].bed.sim, SIM_BACK);
    copy_steer(copy, STEER_PROMOTE); /* the other's answer is on its way for a while */
    cohort_run(cohort, 100 * SIM_MILLISECOND);
    while (log_promised(copy->bed.node->log).copy != copy_id(copy) && !copy->steered) {
        sim_paths_heal_all(cohort->world);
        assert_true(sim_world_step(cohort->world));
    }
    sim_paths_cut(copy->bed.sim, cohort->copies[2].bed.sim, SIM_BACK);
    assert_true(
        copy_asked(copy, request_of(40, false)).granted); /* of whom its log knows nothing */
    sim_paths_heal_all(cohort->world);
    UNTIL(cohort, copy->steered);
    assert_int_equal(copy->steer.err, ERR_SHUT);
    assert_false(copy_leads(copy));
    assert_int_equal(log_promised(copy->bed.node->log).number, 40);
    cohort_close(cohort);
}

static void hand_over_to(struct copy *copy)
{
    node_votes_promote(copy->bed.node, NULL);
}

TEST(node_votes, a_role_that_is_handed_over_while_somebody_asks_for_it_is_taken_once)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1];
    cohort_kill(cohort, 0);
    sim_paths_cut(copy->bed.sim, cohort->copies[2].bed.sim, SIM_BOTH_WAYS);
    copy_steer(copy, STEER_PROMOTE);
    copy_do(copy, hand_over_to);
    assert_false(copy->steered);
    sim_paths_heal_all(cohort->world);
    UNTIL(cohort, copy->steered);
    assert_int_equal(copy->steer.err, ERR_OK);
    assert_true(copy_leads(copy));
    cohort_close(cohort);
}

/* It leads in the epoch that it has promised, and in no other. */
static bool leads_as_promised(const struct copy *copy)
{
    const struct node *node = copy->bed.node;
    return !copy_leads(copy) || epoch_compare(log_promised(node->log), node->progress.epoch) == 0;
}

TEST(node_votes, nobody_leads_while_a_promise_to_another_is_being_written)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1], *other = &cohort->copies[2];
    cohort_kill(cohort, 0);
    copy_steer(copy, STEER_PROMOTE);
    while (log_promised(copy->bed.node->log).copy != copy_id(copy)) {
        assert_false(copy->steered);
        assert_true(sim_world_step(cohort->world));
    }
    sim_paths_clog(copy->bed.sim, other->bed.sim, SIM_BOTH_WAYS); /* its promise is not here yet */
    struct sim_fault slow = {.ops = 1u << DISK_WRITE_SYNC | 1u << DISK_SYNC | 1u << DISK_WRITE,
                             .kind = SIM_FAULT_STALL,
                             .amount = SIM_SECOND};
    (void)sim_disk_fault(sim_node_disk(copy->bed.sim), &slow);
    struct asker *asker = memory_alloc(sizeof *asker);
    struct promise_request request = request_of(40, false);
    asker_open(asker, copy, &request);
    while (!log_is_promising(copy->bed.node->log)) assert_true(sim_world_step(cohort->world));
    assert_false(copy->steered);
    sim_paths_heal_all(cohort->world);
    for (unsigned i = 0; i < 200; i++) {
        cohort_run(cohort, 20 * SIM_MILLISECOND);
        assert_true(leads_as_promised(copy));
    }
    assert_true(copy->steered && copy->steer.err != ERR_OK);
    assert_false(copy_leads(copy));
    assert_true(asker->candidate.answered && asker->candidate.answer.granted);
    sim_disk_unfault(sim_node_disk(copy->bed.sim), 0);
    asker_close(asker);
    memory_free(asker);
    cohort_close(cohort);
}

TEST(node_votes, a_rule_that_wants_more_than_are_named_is_no_reason_to_break)
{
    struct cohort *cohort = cohort_whole(2, local);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_steer_so(leader, (struct steer){.kind = STEER_RULE, .min_in_sync = 2});
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_OK);
    copy_steer_at(leader, STEER_REMOVE, copy);
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_OK);
    UNTIL(cohort, copy->bed.node->membership.now.count == 1);
    assert_int_equal(copy->bed.node->membership.now.min_in_sync, 2);
    cohort_kill(cohort, 0);
    promote(copy);
    expect_refused(copy, "NOPROMISE");
    cohort_close(cohort);
}
