/* SPDX-License-Identifier: Apache-2.0 */
/* The planted bugs of copies in this room, and the archive's that takes copies to show. */
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

static void make_archive(struct copy *copy)
{
    struct disk_request make = {.op = DISK_MAKE_DIR, .path = "archive"};
    enum err err = disk_run(copy->bed.node->world.disk, &make);
    assert_int_equal(err, ERR_OK);
}

/* From its next start on. */
static void archives(struct copy *copy)
{
    copy->started = make_archive;
    copy->bed.options.archive = (struct node_archive){"archive", SIM_MILLISECOND, 1 << 30};
}

static uint64_t archived(const struct copy *copy)
{
    struct service_status status;
    copy->bed.service->ops->status(copy->bed.service, &status);
    assert_int_equal(status.archive.failures, 0);
    return status.archive.lsn.at;
}

/* How many entries a replica archives beyond what it knows to be committed, when it has one more on
 * disk: the primary still waits for the third copy. */
static uint64_t archived_early(bool on)
{
    struct cohort *cohort = cohort_open(3, all_two);
    struct copy *leader = &cohort->copies[0], *copy = &cohort->copies[1];
    archives(copy);
    cohort_join(cohort, 1);
    cohort_join(cohort, 2);
    copy_write(leader, "SET k v");
    const struct node *node = copy->bed.node;
    UNTIL(cohort, node->committed.at == copy_last(leader) && archived(copy) == node->committed.at);
    uint64_t committed = node->committed.at;
    cohort_kill(cohort, 2);
    plant_set(PLANT_ARCHIVE_UNCOMMITTED, on);
    (void)bed_ask(&leader->bed, CALL_WRITE, "SET k w");
    cohort_run(cohort, 5 * SIM_SECOND);
    plant_set(PLANT_ARCHIVE_UNCOMMITTED, false);
    assert_int_equal(node->committed.at, committed);
    assert_int_equal(log_durable(node->log).at, committed + 1);
    uint64_t early = archived(copy) - committed;
    cohort_start(cohort, 2); /* once it is committed, it is archived */
    UNTIL(cohort, node->committed.at > committed && archived(copy) == node->committed.at);
    cohort_close(cohort);
    return early;
}

TEST(node_plants, what_is_durable_and_not_committed_is_not_archived)
{
    assert_int_equal(archived_early(false), 0);
    assert_int_equal(archived_early(true), 1);
}

/* The most entries that are archived and not on disk, in a mode that answers before it syncs. */
static uint64_t archived_unsynced(bool on)
{
    struct cohort *cohort = cohort_open(1, (struct cohort_rule){.min_in_sync = 1});
    struct copy *copy = &cohort->copies[0];
    cohort_kill(cohort, 0);
    archives(copy);
    copy->bed.options.durability = LOG_EVERYSEC;
    cohort_start(cohort, 0);
    UNTIL(cohort, copy_is_open(copy) && archived(copy) == copy_last(copy));
    const struct node *node = copy->bed.node;
    uint64_t most = 0, unsynced = 0;
    plant_set(PLANT_ARCHIVE_UNCOMMITTED, on);
    for (unsigned i = 0; i < 100; i++) {
        copy_write(copy, "SET k v");
        uint64_t durable = log_durable(node->log).at;
        if (node->committed.at > durable) unsynced++;
        if (archived(copy) > durable + most) most = archived(copy) - durable;
    }
    plant_set(PLANT_ARCHIVE_UNCOMMITTED, false);
    assert_true(unsynced > 0);
    UNTIL(cohort, archived(copy) == copy_last(copy));
    cohort_close(cohort);
    return most;
}

TEST(node_plants, what_is_committed_and_not_durable_is_not_archived)
{
    assert_int_equal(archived_unsynced(false), 0);
    assert_true(archived_unsynced(true) > 0);
}
