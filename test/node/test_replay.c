/* SPDX-License-Identifier: Apache-2.0 */
/* Replay: what the machine is shown before it is applied, and what a flush leaves to it. */
#include "base/memory.h"
#include "node/limits.h"
#include "node/replay.h"
#include "test/node/bed.h"

enum { LARGE_BYTES = NODE_REPLAY_WINDOW_BYTES / 2 + 1 };

static void start_again(struct bed *bed)
{
    bed_run(bed, 2 * SIM_SECOND); /* what is committed is recorded */
    sim_node_crash(bed->sim, (struct sim_cut){SIM_KEEP_ALL, 0});
    bed->fake.applied_words[0] = 0;
    bed->fake.foreseen = bed->fake.foresights = 0;
    assert_true(sim_node_start(bed->sim));
    bed_settle(bed);
    assert_int_equal(bed->start_err, ERR_OK);
}

TEST(node_replay, the_machine_sees_every_entry_of_the_old_log_before_it_is_applied)
{
    struct bed bed;
    bed_open(&bed);
    for (unsigned i = 0; i < 5; i++) (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    start_again(&bed);
    assert_string_equal(bed.fake.applied_words, "epoch lpush lpush lpush lpush lpush epoch");
    assert_int_equal(bed.fake.foreseen, 6); /* all but the own epoch entry */
    bed_close(&bed);
}

static char *large_write(void)
{
    char *words = memory_alloc(6 + LARGE_BYTES + 1);
    memcpy(words, "SET k ", 6);
    memset(words + 6, 'v', LARGE_BYTES);
    words[6 + LARGE_BYTES] = 0;
    return words;
}

static void write_large(struct bed *bed, unsigned count)
{
    char *words = large_write();
    for (unsigned i = 0; i < count; i++) {
        struct asked *write = bed_ask(bed, CALL_WRITE, words);
        bed_run(bed, SIM_SECOND);
        expect_answer(write, "+OK");
    }
    memory_free(words);
}

TEST(node_replay, what_does_not_fit_into_one_window_is_applied_in_several)
{
    struct bed bed;
    bed_open(&bed);
    write_large(&bed, 5);
    start_again(&bed);
    assert_string_equal(bed.fake.applied_words, "epoch set set set set set epoch");
    assert_int_equal(bed.fake.foreseen, 6);
    assert_in_range(bed.fake.foresights, 3, 4);
    bed_close(&bed);
}

TEST(node_replay, of_a_large_backlog_a_start_applies_the_first_part_before_it_goes_on)
{
    enum { FIRST = NODE_REPLAY_BYTES / LARGE_BYTES + 1, REST = 4 };
    struct bed bed;
    bed_open(&bed);
    write_large(&bed, FIRST + REST);
    start_again(&bed);
    assert_in_range(bed.fake.foreseen, FIRST, FIRST + 3);
    struct service_status status;
    bed.service->ops->status(bed.service, &status);
    assert_int_equal(status.applied.at, 1 + FIRST + REST + 1);
    assert_int_equal(status.start_replayed_entries, 1 + FIRST + REST);
    assert_in_range(status.read_back, REST - 2, REST + 1);
    bed_close(&bed);
}

TEST(node_replay, a_flush_is_due_by_the_records_that_a_replay_would_have_to_read)
{
    enum { RECORDS = NODE_REPLAY_US / (NODE_REPLAY_RECORD_NS / 1000) };
    struct bed bed;
    bed_make(&bed, 1);
    bed.options.flush_bytes_max = (uint64_t)1 << 40;
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    bed.fake.unflushed = bed.options.flush_bytes_min;
    bed.fake.unflushed_records = RECORDS / 2;
    bed_run(&bed, SIM_SECOND);
    assert_null(bed.fake.flush);
    bed.fake.unflushed_records = RECORDS;
    bed.fake.unflushed = bed.options.flush_bytes_min - 1; /* less is never flushed for its time */
    bed_run(&bed, SIM_SECOND);
    assert_null(bed.fake.flush);
    bed.fake.unflushed++;
    bed_run(&bed, SIM_SECOND);
    assert_non_null(bed.fake.flush);
    bed_close(&bed);
}

TEST(node_replay, entries_wait_while_a_replay_would_take_too_long)
{
    enum { RECORDS = NODE_REPLAY_US_MAX / (NODE_REPLAY_RECORD_NS / 1000) };
    struct bed bed;
    bed_make(&bed, 1);
    bed.options.flush_bytes_max = (uint64_t)1 << 40;
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    bed.fake.unflushed = 2 * bed.options.flush_bytes_min + 1;
    bed.fake.unflushed_records = RECORDS + 1;
    bed_run(&bed, SIM_SECOND);
    assert_non_null(bed.fake.flush);
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a"); /* its end holds the next */
    bed_settle(&bed);
    struct asked *second = bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    bed_run(&bed, SIM_SECOND);
    assert_false(second->ended);
    bed.fake.unflushed_records = 0;
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    expect_answer(second, ":2");
    bed_close(&bed);
}

TEST(node_replay, a_record_costs_what_the_last_replay_took_for_it_beside_its_entries)
{
    enum { MANY = 10000, FEW = NODE_REPLAY_SAMPLE_RECORDS - 1 };
    uint64_t entries_us = (uint64_t)MANY * NODE_REPLAY_ENTRY_NS / 1000;
    assert_int_equal(node_replay_record_ns(5000, entries_us + MANY * 7, MANY, MANY), 7000);
    assert_int_equal(node_replay_record_ns(5000, entries_us + MANY * 7, MANY, FEW), 5000);
    assert_int_equal(node_replay_record_ns(5000, entries_us * 100, MANY, MANY),
                     NODE_REPLAY_RECORD_NS_MAX);
    assert_int_equal(node_replay_record_ns(5000, 0, MANY, MANY), NODE_REPLAY_RECORD_NS_MIN);
}

TEST(node_replay, an_entry_costs_the_best_of_what_was_seen_lately)
{
    assert_int_equal(node_replay_entry_ns(1500, 900, 1000), 900);
    uint64_t ns = node_replay_entry_ns(1500, 9500, 1000); /* others use the machine */
    assert_int_equal(ns, 2000);
    for (unsigned i = 0; i < 100; i++) ns = node_replay_entry_ns(ns, 9500, 1000);
    assert_in_range(ns, 9400, 9500); /* it is the entries */
}
