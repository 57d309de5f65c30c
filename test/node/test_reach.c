/* SPDX-License-Identifier: Apache-2.0 */
/* How long a primary that hears too few others shows what it has. */
#include "test/node/cohort.h"

static const struct cohort_rule all_two = {.all = true, .min_in_sync = 2};
static const struct cohort_rule local = {.min_in_sync = 1};

static void is_unsure(struct copy *copy)
{
    copy->bed.node->membership.sure_until_us = 0;
}

TEST(node_reach, a_primary_that_others_may_have_left_for_good_gives_up_its_role)
{
    struct cohort *cohort = cohort_whole(3, (struct cohort_rule){true, 2, 2 * SIM_SECOND});
    struct copy *old = &cohort->copies[0], *copy = &cohort->copies[1];
    copy_write(old, "SET k v");
    cohort_run(cohort, 10 * SIM_SECOND); /* nothing to do is no silence */
    assert_true(copy_leads(old));
    sim_net_isolate(old->bed.sim, true);
    uint64_t cut_us = sim_world_now_us(cohort->world);
    cohort_run(cohort, 1500 * SIM_MILLISECOND);
    assert_true(copy_leads(old));
    assert_string_equal(copy_read(old, "GET k"), "$v");
    copy_steer(copy, STEER_PROMOTE);
    cohort_run(cohort, cut_us + 4 * SIM_SECOND - sim_world_now_us(cohort->world));
    assert_false(copy_leads(old));
    assert_false(copy_is_open(copy)); /* so that no two of them answer at a time */
    UNTIL(cohort, copy->steered && copy_leads(copy));
    uint64_t led_us = sim_world_now_us(cohort->world);
    UNTIL(cohort, copy_is_open(copy)); /* not before the old one has had its time */
    assert_true(sim_world_now_us(cohort->world) - led_us > 5 * SIM_SECOND);
    copy_write(copy, "SET k w");
    sim_net_isolate(old->bed.sim, false);
    UNTIL(cohort, copy_follows(old, copy));
    cohort_close(cohort);
}

TEST(node_reach, it_answers_no_reads_once_it_is_not_sure)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *leader = &cohort->copies[0];
    copy_write(leader, "SET k v");
    copy_do(leader, is_unsure); /* as behind a pause of the process, before its next look */
    assert_string_equal(copy_read(leader, "GET k"), "-LOADING");
    cohort_run(cohort, SIM_SECOND);
    assert_string_equal(copy_read(leader, "GET k"), "$v");
    cohort_close(cohort);
}

TEST(node_reach, without_whom_nobody_could_go_on_stays_a_primary)
{
    for (unsigned all = 0; all < 2; all++) {
        struct cohort *cohort = cohort_whole(2, all == 1 ? all_two : local);
        struct copy *leader = &cohort->copies[0];
        copy_write(leader, "SET k v");
        cohort_kill(cohort, 1);
        cohort_run(cohort, 20 * SIM_SECOND);
        assert_true(copy_leads(leader));
        assert_string_equal(copy_read(leader, "GET k"), "$v");
        cohort_close(cohort);
    }
}

TEST(node_reach, one_that_is_heard_is_enough_of_three)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *leader = &cohort->copies[0];
    copy_write(leader, "SET k v");
    cohort_kill(cohort, 2);
    cohort_run(cohort, 20 * SIM_SECOND);
    assert_true(copy_leads(leader));
    assert_string_equal(copy_read(leader, "GET k"), "$v");
    cohort_close(cohort);
}

/* Two cannot go on without it in mode all with three. Three can: and the third may know already
 * that it is one of them. */
TEST(node_reach, whom_it_has_named_and_not_committed_may_take_its_place)
{
    struct cohort *cohort = cohort_open(4, (struct cohort_rule){.all = true, .min_in_sync = 3});
    struct copy *leader = &cohort->copies[0], *late = &cohort->copies[3];
    cohort_join(cohort, 1);
    cohort_join(cohort, 2);
    UNTIL(cohort, !leader->bed.node->membership.proposes);
    copy_write(leader, "SET k v");
    cohort_visit(cohort, 3);
    for (unsigned i = 1; i < 3; i++)
        sim_paths_cut(leader->bed.sim, cohort->copies[i].bed.sim, SIM_BOTH_WAYS);
    cohort_run(cohort, 5 * SIM_SECOND);
    assert_true(copy_leads(leader));
    copy_steer_at(leader, STEER_ADD, late);
    cohort_run(cohort, SIM_SECOND);
    assert_int_equal(late->bed.node->membership.now.count, 4);
    assert_int_equal(leader->bed.node->progress.count, 3);
    assert_true(copy_leads(leader));
    sim_net_isolate(leader->bed.sim, true);
    cohort_run(cohort, 4 * SIM_SECOND);
    assert_false(copy_leads(leader));
    cohort_close(cohort);
}

/* By the rule that it asks for three could go on without it, by the old one nobody. */
TEST(node_reach, so_may_who_goes_by_a_rule_that_is_not_committed)
{
    struct cohort *cohort = cohort_whole(4, (struct cohort_rule){.all = true, .min_in_sync = 4});
    struct copy *leader = &cohort->copies[0];
    for (unsigned i = 1; i < 4; i++)
        sim_paths_cut(leader->bed.sim, cohort->copies[i].bed.sim, SIM_BACK);
    copy_steer_so(leader, (struct steer){.kind = STEER_RULE, .all = true, .min_in_sync = 3});
    cohort_run(cohort, SIM_SECOND);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(cohort->copies[i].bed.node->membership.now.min_in_sync, 3);
    assert_int_equal(leader->bed.node->progress.rule.min_in_sync, 4);
    assert_true(copy_leads(leader));
    cohort_run(cohort, 4 * SIM_SECOND);
    assert_false(copy_leads(leader));
    cohort_close(cohort);
}

static void count_me_out(struct copy *copy)
{
    struct members *now = &copy->bed.node->membership.now;
    for (unsigned i = 0; i < now->count; i++) {
        if (now->at[i].id == copy_id(copy)) now->at[i].counts = false;
    }
}

TEST(node_reach, who_leads_is_counted_by_the_log_before_it_shows_anything)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1], *other = &cohort->copies[2];
    copy_write(&cohort->copies[0], "SET k v");
    UNTIL(cohort, copy_last(copy) == copy_last(&cohort->copies[0]));
    cohort_kill(cohort, 0);
    copy_do(copy, count_me_out);
    uint64_t last = copy_last(copy);
    copy_steer(copy, STEER_PROMOTE);
    while (!copy_leads(copy)) assert_true(sim_world_step(cohort->world));
    assert_int_equal(copy->bed.node->start.epoch_lsn.at, last + 2); /* its epoch, and its name */
    const struct members *now = &copy->bed.node->membership.now;
    assert_true(members_find(now, copy_id(copy))->counts);
    UNTIL(cohort, copy_follows(other, copy));
    UNTIL(cohort, members_find(&other->bed.node->membership.now, copy_id(copy))->counts);
    cohort_close(cohort);
}

TEST(node_reach, in_mode_local_nobody_goes_on_without_it)
{
    struct cohort *cohort = cohort_whole(3, local);
    struct copy *leader = &cohort->copies[0];
    copy_steer_so(leader, (struct steer){.kind = STEER_RULE, .min_in_sync = 2});
    UNTIL(cohort, leader->steered);
    assert_int_equal(leader->steer.err, ERR_OK);
    copy_write(leader, "SET k v");
    cohort_kill(cohort, 1);
    cohort_kill(cohort, 2);
    cohort_run(cohort, 20 * SIM_SECOND);
    assert_true(copy_leads(leader));
    assert_int_equal(leader->bed.node->progress.epoch.number, 1); /* without a break */
    assert_string_equal(copy_read(leader, "GET k"), "$v");
    cohort_close(cohort);
}

TEST(node_reach, a_new_primary_has_its_time_to_be_found)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    struct copy *copy = &cohort->copies[1], *other = &cohort->copies[2];
    cohort_run(cohort, 10 * SIM_SECOND);
    cohort_kill(cohort, 0);
    copy_steer(copy, STEER_PROMOTE);
    while (!copy_leads(copy)) assert_true(sim_world_step(cohort->world));
    uint64_t epoch = copy->bed.node->progress.epoch.number;
    sim_paths_clog(copy->bed.sim, other->bed.sim, SIM_BOTH_WAYS);
    for (unsigned i = 0; i < 20; i++) {
        cohort_run(cohort, 100 * SIM_MILLISECOND);
        assert_true(copy_leads(copy));
    }
    sim_paths_heal_all(cohort->world);
    UNTIL(cohort, copy_follows(other, copy));
    assert_int_equal(copy->bed.node->progress.epoch.number, epoch);
    cohort_close(cohort);
}
