/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says of itself to those who watch: times, queues, the phase of its life. */
#include "test/node/bed.h"

static struct service_status status_of(const struct bed *bed)
{
    struct service_status status;
    bed->service->ops->status(bed->service, &status);
    return status;
}

enum { POWER_OF_131_MS = 17 };

TEST(node_figures, every_entry_is_noted_with_its_time_from_append_to_applied)
{
    struct bed bed;
    bed_open(&bed);
    const struct histogram *commit = status_of(&bed).commit_us;
    uint64_t before = histogram_count(commit), before_us = commit->total_us;
    uint64_t fast = histogram_at_most(commit, POWER_OF_131_MS);
    struct sim_fault slow = {.ops = 1u << DISK_WRITE_SYNC,
                             .kind = SIM_FAULT_STALL,
                             .hits = 1,
                             .amount = 200 * SIM_MILLISECOND};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &slow);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    bed_run(&bed, 150 * SIM_MILLISECOND);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k c"); /* begins later, and is answered with them */
    (void)bed_ask(&bed, CALL_READ, "GET k");      /* is no entry */
    bed_settle(&bed);
    assert_int_equal(bed.ends, 4);
    assert_int_equal(histogram_count(commit), before + 3);
    assert_int_equal(histogram_at_most(commit, POWER_OF_131_MS), fast + 1);
    assert_true(commit->total_us - before_us >= (200 + 200 + 50) * SIM_MILLISECOND);
    assert_true(commit->total_us - before_us < 600 * SIM_MILLISECOND);
    bed_close(&bed);
}

TEST(node_figures, an_entry_that_waits_for_the_store_is_noted_once_with_all_of_its_time)
{
    struct bed bed;
    bed_open(&bed);
    const struct histogram *commit = status_of(&bed).commit_us;
    uint64_t before = histogram_count(commit);
    uint64_t fast = histogram_at_most(commit, POWER_OF_131_MS);
    bed.fake.pending = 2;
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_run(&bed, 200 * SIM_MILLISECOND);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(histogram_count(commit), before);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(bed.ends, 1);
    assert_int_equal(histogram_count(commit), before + 1);
    assert_int_equal(histogram_at_most(commit, POWER_OF_131_MS), fast);
    bed_close(&bed);
}

TEST(node_figures, a_cancelled_call_leaves_the_time_of_its_entry)
{
    struct bed bed;
    bed_open(&bed);
    const struct histogram *commit = status_of(&bed).commit_us;
    uint64_t before = histogram_count(commit);
    uint64_t slow = before - histogram_at_most(commit, HISTOGRAM_POWERS - 1);
    bed_run(&bed, 100 * SIM_SECOND); /* so that a time of 0 would be seen */
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_cancel(&bed, write);
    bed_settle(&bed);
    assert_int_equal(histogram_count(commit), before + 1);
    assert_int_equal(before + 1 - histogram_at_most(commit, HISTOGRAM_POWERS - 1), slow);
    bed_close(&bed);
}

TEST(node_figures, reads_that_wait_for_the_disk_are_counted_as_long_as_they_do)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.pending = 1;
    (void)bed_ask(&bed, CALL_READ, "GET k");
    assert_int_equal(status_of(&bed).reads_fetching, 1);
    bed.fake.pending = 1;
    struct asked *gone = bed_ask(&bed, CALL_READ, "GET k");
    bed_cancel(&bed, gone); /* what it asked the disk for is still under way */
    assert_int_equal(status_of(&bed).reads_fetching, 2);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_int_equal(status_of(&bed).reads_fetching, 0);
    bed_close(&bed);
}

TEST(node_figures, the_log_s_own_are_passed_on)
{
    struct bed bed;
    bed_open(&bed);
    struct service_status before = status_of(&bed);
    uint64_t syncs = histogram_count(before.sync_us);
    assert_int_equal(syncs, before.syncs);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    struct service_status after = status_of(&bed);
    assert_int_equal(histogram_count(after.sync_us), syncs + 1);
    assert_int_equal(after.sync_us->total_us, after.sync_us_total);
    assert_true(after.log_segments >= 1);
    assert_true(after.log_written_bytes > before.log_written_bytes);
    bed_close(&bed);
}

TEST(node_figures, the_phase_goes_with_the_life_of_the_node)
{
    struct bed bed;
    bed_make(&bed, 1);
    assert_true(sim_node_start(bed.sim));
    assert_int_equal(status_of(&bed).phase, SERVICE_OPENING);
    bed_settle(&bed);
    assert_int_equal(status_of(&bed).phase, SERVICE_SERVING);
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    assert_int_equal(status_of(&bed).phase, SERVICE_STOPPING);
    bed_close(&bed);
}
