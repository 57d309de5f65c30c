/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/orchestrator.h"

#include <stdio.h>

#include "replica/lag.h"
#include "test/test.h"

static const struct orchestrator_options options = {
    .silent_us = 1000, .behind_bytes_max = 5000, .failures_max = 3, .rebuilds_max = 1};

static struct assignment assign_to(uint64_t epoch, const char *second)
{
    struct assignment assignment = {.epoch = {epoch, 1}, .count = 2};
    for (unsigned i = 0; i < 2; i++) assignment.replicas[i].id = i + 2;
    (void)snprintf(assignment.replicas[0].endpoint, 20, "10.0.0.2:7000");
    (void)snprintf(assignment.replicas[1].endpoint, 20, "%s", second);
    return assignment;
}

static struct orchestrator usual(void)
{
    struct orchestrator orchestrator;
    struct orchestrator_ends ends;
    struct assignment assignment = assign_to(5, "10.0.0.3:7000");
    orchestrator_init(&orchestrator, &options);
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 10, &ends), ERR_OK);
    assert_non_null(orchestrator_begin(&orchestrator, 2, 71, 20, &ends));
    assert_non_null(orchestrator_begin(&orchestrator, 3, 72, 20, &ends));
    return orchestrator;
}

static void follow(struct orchestrator *orchestrator, uint64_t session, uint64_t acked,
                   uint64_t now_us)
{
    struct recover_plan plan = {.kind = RECOVER_CATCH_UP, .rule = RULE_BEHIND};
    assert_true(orchestrator_planned(orchestrator, session, &plan, 4, now_us));
    assert_true(orchestrator_state(orchestrator, session, STATE_CATCHING_UP, now_us));
    assert_true(orchestrator_acked(orchestrator, session, (struct lsn){acked}, 0, now_us));
}

/* How many events of that kind there are, about that copy. */
static unsigned told(const struct orchestrator *orchestrator, enum orchestrator_event_kind kind,
                     uint64_t copy)
{
    struct orchestrator_event event;
    unsigned count = 0;
    for (uint64_t number = 0; number < orchestrator->event_count; number++) {
        assert_true(orchestrator_event(orchestrator, number, &event));
        count += event.kind == kind && event.copy == copy;
    }
    return count;
}

TEST(replica_orchestrator, changed_endpoint_keeps_the_sender_and_ends_its_session)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    follow(&orchestrator, 71, 40, 30);
    follow(&orchestrator, 72, 30, 30);
    struct assignment assignment = assign_to(5, "10.0.0.9:7000");
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 40, &ends), ERR_OK);
    assert_int_equal(ends.count, 1);
    assert_int_equal(ends.sessions[0], 72);
    const struct sender *sender = orchestrator_sender(&orchestrator, 3);
    assert_int_equal(sender->acked.at, 30);
    assert_int_equal(sender->endpoint_version, 2);
    assert_int_equal(told(&orchestrator, TOLD_ENDPOINT_CHANGED, 3), 1);
    assert_int_equal(told(&orchestrator, TOLD_SESSION_INVALIDATED, 3), 1);
    assert_int_equal(told(&orchestrator, TOLD_SESSION_INVALIDATED, 2), 0);
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 50, &ends), ERR_OK);
    assert_int_equal(told(&orchestrator, TOLD_ENDPOINT_CHANGED, 3), 1); /* it did not change */
    assert_false(orchestrator_acked(&orchestrator, 72, (struct lsn){99}, 0, 60));
    assert_int_equal(orchestrator_sender(&orchestrator, 3)->acked.at, 30);
}

TEST(replica_orchestrator, later_epoch_ends_every_session_and_an_earlier_one_changes_nothing)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    follow(&orchestrator, 71, 40, 30);
    struct assignment assignment = assign_to(6, "10.0.0.3:7000");
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 40, &ends), ERR_OK);
    assert_int_equal(ends.count, 2);
    assert_int_equal(orchestrator_sender(&orchestrator, 2)->acked.at, 0);
    assignment = assign_to(5, "10.0.0.8:7000");
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 50, &ends), ERR_REFUSED);
    assert_string_equal(orchestrator_sender(&orchestrator, 3)->endpoint, "10.0.0.3:7000");
    assignment = assign_to(7, "10.0.0.3:7000");
    assignment.replicas[1].id = 2; /* one id twice */
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 50, &ends), ERR_REFUSED);
    assert_int_equal(orchestrator.epoch.number, 6);
}

TEST(replica_orchestrator, every_result_of_an_assignment_is_told_of_each_copy)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    for (uint64_t copy = 2; copy <= 3; copy++) {
        assert_int_equal(told(&orchestrator, TOLD_ADDED, copy), 1);
        assert_int_equal(told(&orchestrator, TOLD_SESSION_BEGUN, copy), 1);
    }
    struct assignment assignment = assign_to(6, "10.0.0.3:7000");
    assignment.replicas[1].id = 4; /* in the place of copy 3, in a later epoch */
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 40, &ends), ERR_OK);
    assert_int_equal(told(&orchestrator, TOLD_SESSION_INVALIDATED, 2), 1);
    assert_int_equal(told(&orchestrator, TOLD_EPOCH_CHANGED, 2), 1);
    assert_int_equal(told(&orchestrator, TOLD_SESSION_INVALIDATED, 3), 1);
    assert_int_equal(told(&orchestrator, TOLD_REMOVED, 3), 1);
    assert_int_equal(told(&orchestrator, TOLD_EPOCH_CHANGED, 3), 0); /* it is gone */
    assert_int_equal(told(&orchestrator, TOLD_ADDED, 4), 1);
    assert_int_equal(told(&orchestrator, TOLD_EPOCH_CHANGED, 4), 0); /* it was not there before */
    assert_non_null(orchestrator_begin(&orchestrator, 4, 80, 50, &ends));
    assert_non_null(orchestrator_begin(&orchestrator, 4, 81, 60, &ends));
    assert_int_equal(told(&orchestrator, TOLD_SESSION_SUPERSEDED, 4), 1);
    assignment.epoch.number = 5; /* which is over */
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 70, &ends), ERR_REFUSED);
    assert_int_equal(told(&orchestrator, TOLD_ASSIGNMENT_REFUSED, 0), 1);
    assignment.epoch.number = 7;
    assignment.replicas[0].id = 4; /* twice */
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 80, &ends), ERR_REFUSED);
    assert_int_equal(told(&orchestrator, TOLD_ASSIGNMENT_REFUSED, 4), 1);
    assert_int_equal(orchestrator_sender(&orchestrator, 4)->session, 81);
}

TEST(replica_orchestrator, what_becomes_of_pins_is_told_of_their_session_also_behind_its_end)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    struct orchestrator_event event;
    assert_non_null(orchestrator_begin(&orchestrator, 2, 80, 40, &ends)); /* instead of 71 */
    orchestrator_tell(&orchestrator, 2, 71, TOLD_PINS_RELEASED, 50);
    assert_true(orchestrator_event(&orchestrator, orchestrator.event_count - 1, &event));
    assert_int_equal(event.copy, 2);
    assert_int_equal(event.session, 71);
    assert_int_equal(event.at_us, 50);
    assert_string_equal(orchestrator_event_name(event.kind), "pins_released");
    assert_int_equal(orchestrator_sender(&orchestrator, 2)->session, 80);
}

TEST(replica_orchestrator, removed_copy_is_gone_with_its_session)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    struct assignment assignment = assign_to(5, "10.0.0.3:7000");
    assignment.count = 1;
    assert_int_equal(orchestrator_assign(&orchestrator, &assignment, 40, &ends), ERR_OK);
    assert_int_equal(ends.count, 1);
    assert_null(orchestrator_sender(&orchestrator, 3));
    assert_int_equal(told(&orchestrator, TOLD_REMOVED, 3), 1);
    assert_null(orchestrator_begin(&orchestrator, 3, 90, 50, &ends)); /* a stranger now */
    assert_int_equal(told(&orchestrator, TOLD_SESSION_REFUSED, 3), 1);
}

TEST(replica_orchestrator, new_session_supersedes_and_the_old_one_is_not_believed)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    assert_non_null(orchestrator_begin(&orchestrator, 2, 80, 40, &ends));
    assert_int_equal(ends.count, 1);
    assert_int_equal(ends.sessions[0], 71);
    assert_int_equal(told(&orchestrator, TOLD_SESSION_SUPERSEDED, 2), 1);
    assert_false(orchestrator_state(&orchestrator, 71, STATE_IN_SYNC, 50));
    assert_false(orchestrator_ended(&orchestrator, 71, BYE_SUPERSEDED, 50));
    assert_int_equal(orchestrator_in_sync(&orchestrator), 0);
    assert_true(orchestrator_state(&orchestrator, 80, STATE_IN_SYNC, 50));
    assert_int_equal(orchestrator_in_sync(&orchestrator), 1);
}

TEST(replica_orchestrator, floor_waits_for_everyone_who_has_not_reported)
{
    struct orchestrator orchestrator = usual();
    struct lsn none = {1000};
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 0);
    follow(&orchestrator, 71, 40, 30);
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 0);
    follow(&orchestrator, 72, 30, 30);
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 31);
    assert_true(orchestrator_acked(&orchestrator, 72, (struct lsn){70}, 0, 40));
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 41);
}

TEST(replica_orchestrator, what_a_rebuild_needs_is_held_also_when_its_session_breaks)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    struct lsn none = {1000};
    struct recover_plan plan = {.kind = RECOVER_REBUILD, .rule = RULE_TRIMMED, .pin = {50}};
    follow(&orchestrator, 71, 900, 30);
    assert_true(orchestrator_take_rebuild(&orchestrator, 3));
    assert_true(orchestrator_planned(&orchestrator, 72, &plan, 4, 30));
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 50);
    assert_true(orchestrator_ended(&orchestrator, 72, BYE_SILENT, 40));
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 50);
    assert_non_null(orchestrator_begin(&orchestrator, 3, 73, 50, &ends));
    assert_true(orchestrator_planned(&orchestrator, 73, &plan, 4, 50));
    assert_true(orchestrator_acked(&orchestrator, 73, (struct lsn){49}, 0, 60));
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 50);
    assert_true(orchestrator_acked(&orchestrator, 73, (struct lsn){70}, 0, 60));
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 71);
}

TEST(replica_orchestrator, budgets_of_time_and_bytes_end_the_hold_when_they_are_evaluated)
{
    struct orchestrator orchestrator = usual();
    struct lsn none = {1000};
    follow(&orchestrator, 71, 40, 100);
    follow(&orchestrator, 72, 30, 900);
    assert_true(orchestrator_ended(&orchestrator, 71, BYE_SILENT, 100));
    orchestrator_evaluate(&orchestrator, 1100);
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 31);
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 31); /* reading changes nothing */
    assert_false(orchestrator_sender(&orchestrator, 2)->needs_rebuild);
    orchestrator_evaluate(&orchestrator, 1101);
    assert_true(orchestrator_sender(&orchestrator, 2)->needs_rebuild);
    assert_int_equal(orchestrator_sender(&orchestrator, 2)->state, STATE_NEEDS_REBUILD);
    assert_int_equal(told(&orchestrator, TOLD_HOLD_DROPPED, 2), 1);
    assert_int_equal(told(&orchestrator, TOLD_HOLD_DROPPED, 3), 0);
    assert_true(orchestrator_acked(&orchestrator, 72, (struct lsn){31}, 5001, 1200));
    orchestrator_evaluate(&orchestrator, 1300);
    assert_true(orchestrator_sender(&orchestrator, 3)->needs_rebuild);
    assert_int_equal(orchestrator_floor(&orchestrator, none).at, 1000);
}

TEST(replica_orchestrator, who_is_gone_falls_behind_and_the_budget_of_bytes_is_its_own)
{
    struct orchestrator orchestrator = usual();
    follow(&orchestrator, 71, 40, 100);
    follow(&orchestrator, 72, 30, 100);
    assert_true(orchestrator_ended(&orchestrator, 71, BYE_SILENT, 100));
    orchestrator_behind(&orchestrator, 2, 5001);
    orchestrator_behind(&orchestrator, 99, 5001); /* nobody */
    orchestrator_evaluate(&orchestrator, 200);
    assert_true(orchestrator_sender(&orchestrator, 2)->needs_rebuild);
    assert_false(orchestrator_sender(&orchestrator, 3)->needs_rebuild);
}

TEST(replica_orchestrator, need_of_a_rebuild_is_sticky_until_it_is_allowed_and_planned)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    struct recover_plan plan = {.kind = RECOVER_REBUILD, .rule = RULE_GIVEN_UP};
    for (unsigned i = 0; i < 3; i++) {
        const struct sender *sender = orchestrator_sender(&orchestrator, 2);
        assert_false(sender->needs_rebuild);
        if (i > 0) assert_non_null(orchestrator_begin(&orchestrator, 2, 80 + i, 40, &ends));
        follow(&orchestrator, sender->session, 10, 50);
        assert_true(orchestrator_ended(&orchestrator, sender->session, BYE_STALLED, 60));
    }
    assert_true(orchestrator_sender(&orchestrator, 2)->needs_rebuild); /* three in a row */
    assert_non_null(orchestrator_begin(&orchestrator, 2, 90, 70, &ends));
    follow(&orchestrator, 90, 11, 80);
    assert_true(orchestrator_state(&orchestrator, 90, STATE_IN_SYNC, 85));
    assert_true(orchestrator_sender(&orchestrator, 2)->needs_rebuild);
    assert_false(orchestrator_take_rebuild(&orchestrator, 2));
    assert_int_equal(orchestrator_allow_rebuild(&orchestrator, 2, 90), ERR_OK);
    assert_true(orchestrator_take_rebuild(&orchestrator, 2));
    assert_true(orchestrator_planned(&orchestrator, 90, &plan, 4, 95));
    assert_false(orchestrator_sender(&orchestrator, 2)->needs_rebuild);
    assert_int_equal(orchestrator_sender(&orchestrator, 2)->acked.at, 0);
}

TEST(replica_orchestrator, a_copy_that_gets_further_each_time_its_link_breaks_is_not_given_up)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_ends ends;
    for (unsigned i = 0; i < 9; i++) {
        const struct sender *sender = orchestrator_sender(&orchestrator, 2);
        if (i > 0) assert_non_null(orchestrator_begin(&orchestrator, 2, 80 + i, 40, &ends));
        follow(&orchestrator, sender->session, 10 + i, 50);
        assert_true(orchestrator_ended(&orchestrator, sender->session, BYE_SILENT, 60));
        assert_false(sender->needs_rebuild);
    }
}

TEST(replica_orchestrator, only_so_many_rebuilds_run_at_a_time)
{
    struct orchestrator orchestrator = usual();
    assert_true(orchestrator_take_rebuild(&orchestrator, 2));
    assert_true(orchestrator_take_rebuild(&orchestrator, 2)); /* it has its slot */
    assert_false(orchestrator_take_rebuild(&orchestrator, 3));
    assert_true(orchestrator_ended(&orchestrator, 71, BYE_SILENT, 50));
    assert_true(orchestrator_take_rebuild(&orchestrator, 3));
    assert_false(orchestrator_take_rebuild(&orchestrator, 9));
}

TEST(replica_orchestrator, events_are_numbered_and_the_oldest_are_overwritten)
{
    struct orchestrator orchestrator = usual();
    struct orchestrator_event event;
    for (unsigned i = 0; i < ORCHESTRATOR_EVENTS_MAX; i++)
        assert_true(orchestrator_state(&orchestrator, 71, STATE_DEGRADED, i));
    assert_false(orchestrator_event(&orchestrator, 0, &event));
    uint64_t oldest = orchestrator.event_count - ORCHESTRATOR_EVENTS_MAX;
    assert_false(orchestrator_event(&orchestrator, oldest - 1, &event));
    assert_true(orchestrator_event(&orchestrator, oldest, &event));
    assert_int_equal(event.number, oldest);
    assert_false(orchestrator_event(&orchestrator, orchestrator.event_count, &event));
}

TEST(replica_lag, rises_while_a_copy_is_stuck_and_is_zero_when_it_has_everything)
{
    struct lag lag = {.count = 0};
    struct lag_figures before = {0, 0, 0};
    for (uint64_t i = 1; i <= 2000; i++) {
        lag_note(&lag, (struct lsn){i * 10}, i * 1000, i * 5000);
        struct lag_figures now = lag_of(&lag, (struct lsn){100}, i * 5000);
        if (i <= 10) {
            assert_int_equal(now.entries + now.bytes + now.ms, 0);
            continue;
        }
        assert_true(now.entries > before.entries && now.bytes > before.bytes);
        assert_true(now.ms >= before.ms);
        assert_true(now.bytes >= (i - 10) * 1000); /* never too few */
        before = now;
    }
    assert_int_equal(before.entries, 19900);
    assert_true(before.ms >= (2000 - 10 - 1) * 5); /* samples thin out, the time does not */
    struct lag_figures none = lag_of(&lag, (struct lsn){20000}, 99999999);
    assert_int_equal(none.entries + none.bytes + none.ms, 0);
}

TEST(replica_lag, bytes_are_those_of_entries_and_the_time_that_of_the_first_that_is_missing)
{
    struct lag lag = {.count = 0};
    lag_note(&lag, (struct lsn){10}, 500, 1000000);
    lag_note(&lag, (struct lsn){20}, 700, 2000000);
    lag_note(&lag, (struct lsn){20}, 700, 2500000); /* nothing new */
    lag_note(&lag, (struct lsn){21}, 5700, 3000000);
    struct lag_figures figures = lag_of(&lag, (struct lsn){20}, 4000000);
    assert_int_equal(figures.entries, 1);
    assert_int_equal(figures.bytes, 5000);
    assert_int_equal(figures.ms, 1000);
    figures = lag_of(&lag, (struct lsn){15}, 4000000);
    assert_int_equal(figures.bytes, 5200);
    assert_int_equal(figures.ms, 2000);
    lag_forget(&lag, (struct lsn){20});
    assert_int_equal(lag.count, 2);
    figures = lag_of(&lag, (struct lsn){20}, 4000000);
    assert_int_equal(figures.bytes, 5000);
}
