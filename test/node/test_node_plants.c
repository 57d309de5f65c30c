/* SPDX-License-Identifier: Apache-2.0 */
/* The planted bugs of copies in this room. */
#include "base/plant.h"

#include "test/node/cohort.h"

static const struct cohort_rule all_two = {.all = true, .min_in_sync = 2};

static void is_unproven(struct copy *copy)
{
    struct why why;
    assert_int_equal(site_set_unproven(&copy->bed.node->site, &why), ERR_OK);
}

static bool vouches(bool on)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *copy = &cohort->copies[1];
    copy_do(copy, is_unproven);
    plant_set(PLANT_VOUCH_WHILE_REBUILT, on);
    struct promise_request request = {{1000, 77}, 77, true};
    bool vouches = copy_asked(copy, request).vouches;
    plant_set(PLANT_VOUCH_WHILE_REBUILT, false);
    cohort_close(cohort);
    return vouches;
}

TEST(node_plants, who_was_rebuilt_and_not_in_sync_since_does_not_vouch)
{
    assert_false(vouches(false));
    assert_true(vouches(true));
}

/* What is promised after a power cut that follows the answer at once. */
static uint64_t promised_after(bool on)
{
    struct cohort *cohort = cohort_whole(2, all_two);
    struct copy *copy = &cohort->copies[1];
    struct asker *asker = memory_alloc(sizeof *asker);
    struct promise_request request = {{1000, 77}, 77, false};
    plant_set(PLANT_PROMISE_NOT_DURABLE, on);
    asker_open(asker, copy, &request);
    while (!asker->candidate.answered) assert_true(sim_world_step(cohort->world));
    cohort_kill(cohort, 1);
    plant_set(PLANT_PROMISE_NOT_DURABLE, false);
    asker_close(asker);
    memory_free(asker);
    cohort_start(cohort, 1);
    uint64_t promised = log_promised(copy->bed.node->log).number;
    cohort_close(cohort);
    return promised;
}

TEST(node_plants, a_promise_is_on_disk_before_it_is_given)
{
    assert_int_equal(promised_after(false), 1000);
    assert_int_equal(promised_after(true), 1);
}

static bool leads_alone(bool on)
{
    struct cohort *cohort = cohort_whole(3, all_two);
    sim_net_isolate(cohort->copies[0].bed.sim, true);
    plant_set(PLANT_LEAD_OUT_OF_REACH, on);
    cohort_run(cohort, 5 * SIM_SECOND);
    bool leads = copy_leads(&cohort->copies[0]);
    plant_set(PLANT_LEAD_OUT_OF_REACH, false);
    sim_net_isolate(cohort->copies[0].bed.sim, false);
    cohort_close(cohort);
    return leads;
}

TEST(node_plants, a_primary_out_of_reach_of_all_is_none)
{
    assert_false(leads_alone(false));
    assert_true(leads_alone(true));
}
