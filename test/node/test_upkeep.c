/* SPDX-License-Identifier: Apache-2.0 */
/* Flush, the hold on memory, a full disk, and the orderly stop. */
#include "node/internal.h"
#include "test/node/bed.h"

static const struct bed_extra ordered = {.ordered = true};

/* Lets the budget be passed and the flush begin. */
static void begin_flush(struct bed *bed, uint64_t unflushed)
{
    bed->fake.unflushed = unflushed;
    bed_run(bed, 300 * SIM_MILLISECOND);
    assert_non_null(bed->fake.flush);
}

TEST(node_upkeep, what_is_unflushed_beyond_the_budget_is_flushed)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.unflushed = (1 << 20) - 1;
    bed_run(&bed, SIM_SECOND);
    assert_null(bed.fake.flush);
    begin_flush(&bed, 1 << 20);
    assert_int_equal(bed.fake.flush_mark.lsn.at, bed.fake.applied.lsn.at);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_run(&bed, SIM_SECOND);
    assert_int_equal(bed.fake.flushes, 1);
    bed_close(&bed);
}

TEST(node_upkeep, a_flush_waits_until_the_log_is_durable_through_what_is_applied)
{
    struct bed bed;
    bed_make(&bed, 1);
    bed.options.durability = LOG_NONE;
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    struct sim_fault fault = {
        .ops = 1u << DISK_SYNC, .kind = SIM_FAULT_STALL, .amount = 5 * SIM_SECOND};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &fault);
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_run(&bed, 10 * SIM_MILLISECOND);
    expect_answer(write, ":1"); /* in this mode before it is durable */
    bed.fake.unflushed = 1 << 20;
    bed_run(&bed, 4 * SIM_SECOND);
    assert_null(bed.fake.flush);
    bed_run(&bed, 8 * SIM_SECOND);
    assert_non_null(bed.fake.flush);
    sim_disk_unfault(sim_node_disk(bed.sim), 0);
    bed_close(&bed);
}

TEST(node_upkeep, entries_wait_while_twice_the_budget_is_unflushed_and_go_on_after_the_flush)
{
    for (unsigned way = 0; way < 2; way++) {
        struct bed bed;
        bed_open(&bed);
        begin_flush(&bed, 3 << 20);
        struct asked *first = bed_ask(&bed, CALL_WRITE, "LPUSH k a"); /* its end holds the next */
        bed_settle(&bed);
        struct asked *second = bed_ask(&bed, CALL_WRITE, "LPUSH k b");
        struct asked *read = bed_ask_so(&bed, CALL_READ, "GET k", ordered);
        bed_run(&bed, SIM_SECOND);
        assert_false(second->ended);
        assert_false(read->ended);
        assert_true(bed_do(&bed, DEED_FLUSH, NULL, way == 0 ? ERR_OK : ERR_SPACE));
        bed_settle(&bed);
        expect_end(first, CALL_ANSWERED);
        expect_answer(second, ":2");
        expect_answer(read, ":2");
        bed_close(&bed);
    }
}

TEST(node_upkeep, a_flush_that_finds_the_disk_full_refuses_more_data_until_one_succeeds)
{
    struct bed bed;
    bed_open(&bed);
    begin_flush(&bed, 1 << 20);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_SPACE));
    expect_end(bed_ask(&bed, CALL_WRITE, "LPUSH k a"), CALL_REFUSED);
    struct asked *removal = bed_ask(&bed, CALL_WRITE, "DEL k");
    bed_settle(&bed);
    expect_answer(removal, "+OK");
    expect_answer(bed_ask(&bed, CALL_READ, "GET k"), ":0");
    assert_null(bed.fake.flush);
    bed_run(&bed, 1200 * SIM_MILLISECOND); /* tried again by itself */
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_SPACE));
    bed_run(&bed, 1200 * SIM_MILLISECOND);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    struct asked *again = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(again, ":1");
    assert_int_equal(bed.failures, 0);
    bed_close(&bed);
}

TEST(node_upkeep, while_the_store_is_low_data_is_refused_and_deletions_are_flushed_at_once)
{
    struct bed bed;
    bed_open(&bed);
    bed_run(&bed, 2 * SIM_SECOND);
    assert_int_equal(bed.fake.reclaims, 0);
    bed.fake.low = true;
    expect_end(bed_ask(&bed, CALL_WRITE, "LPUSH k a"), CALL_REFUSED);
    struct asked *removal = bed_ask(&bed, CALL_WRITE, "DEL k");
    bed_settle(&bed);
    expect_answer(removal, "+OK");
    bed_run(&bed, 1200 * SIM_MILLISECOND);
    assert_int_equal(bed.fake.flush_mark.lsn.at, bed.fake.applied.lsn.at);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    unsigned reclaims = bed.fake.reclaims;
    bed_run(&bed, 3 * SIM_SECOND);
    assert_in_range(bed.fake.reclaims, reclaims + 2, reclaims + 4);
    assert_null(bed.fake.flush); /* nothing is new */
    bed.fake.low = false;
    struct asked *again = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(again, ":1");
    bed_close(&bed);
}

TEST(node_upkeep, while_the_log_is_low_deletions_are_flushed_and_what_they_leave_is_freed)
{
    struct bed bed;
    bed_open(&bed);
    struct sim_disk *disk = sim_node_disk(bed.sim);
    sim_disk_set_capacity(disk, sim_disk_used(disk) + (1 << 15)); /* half of the log's reserve */
    bed_run(&bed, 3 * SIM_SECOND);
    if (bed.fake.flush != NULL) assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    struct asked *removal = bed_ask(&bed, CALL_WRITE, "DEL k");
    bed_settle(&bed);
    expect_answer(removal, "+OK");
    bed_run(&bed, 1200 * SIM_MILLISECOND);
    assert_non_null(bed.fake.flush);
    assert_int_equal(bed.fake.flush_mark.lsn.at, bed.fake.applied.lsn.at);
    assert_true(bed.fake.reclaims > 0);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    sim_disk_set_capacity(disk, (uint64_t)1 << 30);
    bed_close(&bed);
}

TEST(node_upkeep, entries_wait_at_twice_the_budget_too_while_the_next_flush_must_wait)
{
    struct bed bed;
    bed_open(&bed);
    begin_flush(&bed, 1 << 20);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_SPACE)); /* tried again in a second */
    bed.fake.unflushed = 3 << 20;
    struct asked *first = bed_ask(&bed, CALL_WRITE, "DEL k"); /* its end holds the next */
    bed_settle(&bed);
    struct asked *second = bed_ask(&bed, CALL_WRITE, "DEL k");
    bed_settle(&bed);
    expect_end(first, CALL_ANSWERED);
    assert_false(second->ended);
    bed_run(&bed, 1200 * SIM_MILLISECOND);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    expect_answer(second, "+OK");
    bed_close(&bed);
}

TEST(node_stop, flushes_at_once_when_entries_wait_for_a_flush_that_is_no_longer_due)
{
    struct bed bed;
    bed_open(&bed);
    begin_flush(&bed, 1 << 20);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_SPACE));
    bed.fake.unflushed = 3 << 20;
    struct asked *first = bed_ask(&bed, CALL_WRITE, "DEL k"); /* its end holds the next */
    bed_settle(&bed);
    struct asked *second = bed_ask(&bed, CALL_WRITE, "DEL k");
    bed_settle(&bed);
    expect_end(first, CALL_ANSWERED);
    assert_false(second->ended);
    bed.fake.unflushed = 0; /* as if the budget had grown */
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    bed_settle(&bed);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    expect_answer(second, "+OK");
    bed_close(&bed);
}

TEST(node_upkeep, a_flush_that_ends_after_the_log_has_failed_changes_nothing)
{
    struct bed bed;
    bed_open(&bed);
    begin_flush(&bed, 1 << 20);
    struct sim_fault fault = {.ops = 1u << DISK_WRITE_SYNC};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &fault);
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_IO));
    bed_settle(&bed);
    assert_false(write->ended);
    assert_int_equal(bed.failure, NODE_FAILED_LOG);
    bed_close_failed(&bed);
}

/* --- The stop --- */

TEST(node_stop, answers_what_is_in_flight_refuses_what_is_new_and_flushes)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    struct asked *read = bed_ask_so(&bed, CALL_READ, "GET k", ordered);
    bed.fake.pending = 1;
    struct asked *parked = bed_ask(&bed, CALL_READ, "GET k");
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK); /* once is enough */
    struct asked *late = bed_ask(&bed, CALL_READ, "GET k");
    expect_end(late, CALL_UNKNOWN);
    bed_settle(&bed);
    expect_answer(write, ":1");
    expect_answer(read, ":1");
    assert_false(parked->ended);
    assert_null(bed.fake.flush);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    expect_answer(parked, ":1");
    bed_settle(&bed);
    assert_int_equal(bed.stops, 0);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    assert_int_equal(bed.fake.flushed.lsn.at, 2);
    bed_close(&bed);
}

TEST(node_stop, waits_for_what_is_stalled_or_held)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.pending = 1;
    struct asked *stalled = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    begin_flush(&bed, 4 << 20);
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    bed_settle(&bed);
    assert_int_equal(bed.stops, 0);
    bed_stop(&bed);
    expect_answer(stalled, ":1");
    assert_int_equal(bed.fake.flushed.lsn.at, 2);
    bed_release(&bed);
}

TEST(node_stop, on_a_full_disk_leaves_the_rest_to_the_log_and_the_next_start_replays_it)
{
    struct bed bed;
    bed_open(&bed);
    struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    bed_settle(&bed);
    expect_answer(write, ":1");
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    bed_settle(&bed);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_SPACE));
    bed_settle(&bed);
    assert_int_equal(bed.stops, 1);
    assert_int_equal(bed.failures, 0);
    assert_true(sim_node_stop(bed.sim));
    assert_int_equal(bed.fake.flushed.lsn.at, 0);
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    expect_answer(bed_ask(&bed, CALL_READ, "GET k"), ":1");
    bed_close(&bed);
}

TEST(node_stop, before_the_first_entry_is_committed_stops_without_ever_being_ready)
{
    struct bed bed;
    bed_make(&bed, 1);
    assert_true(sim_node_start(bed.sim));
    assert_int_equal(bed.readies, 0);
    expect_end(bed_ask(&bed, CALL_READ, "GET k"), CALL_REFUSED);
    bed_stop(&bed);
    assert_int_equal(bed.readies, 0);
    bed_release(&bed);
}

struct line_reader {
    struct sim_reader base;
    bool seen;
};

static void line_read(struct sim_reader *base, const char *line)
{
    struct line_reader *reader = CONTAINER_OF(base, struct line_reader, base);
    if (strstr(line, "log_close_failed") != NULL) reader->seen = true;
}

TEST(node_stop, waits_until_the_log_is_quiet_so_that_its_end_is_a_clean_one)
{
    struct bed bed;
    bed_make(&bed, 1);
    bed.options.segment_bytes = 1 << 14;
    struct line_reader reader = {.base.line = line_read};
    sim_world_read(bed.world, &reader.base);
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    for (unsigned i = 0; i < 60; i++) { /* several segments: the last flush trims them */
        struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
        bed_settle(&bed);
        bed.count--;
        memset(write, 0, sizeof *write);
    }
    bed_stop(&bed);
    assert_false(reader.seen);
    bed_release(&bed);
}

TEST(node_stop, is_a_failure_when_the_log_fails_on_its_last_step)
{
    struct bed bed;
    bed_make(&bed, 1);
    bed.options.segment_bytes = 1 << 14;
    assert_true(sim_node_start(bed.sim));
    bed_settle(&bed);
    for (unsigned i = 0; i < 60; i++) {
        struct asked *write = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
        bed_settle(&bed);
        bed.count--;
        memset(write, 0, sizeof *write);
    }
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    bed_settle(&bed);
    struct sim_fault fault = {.ops = 1u << DISK_WRITE_SYNC}; /* the floor, for the trim */
    (void)sim_disk_fault(sim_node_disk(bed.sim), &fault);
    assert_true(bed_do(&bed, DEED_FLUSH, NULL, ERR_OK));
    bed_settle(&bed);
    assert_true(sim_disk_fault_hits(sim_node_disk(bed.sim)) > 0);
    assert_int_equal(bed.stops, 0);
    assert_int_equal(bed.failure, NODE_FAILED_LOG);
    bed_close_failed(&bed);
}

/* --- A stop while commits are others' to give --- */

struct counted {
    struct sim_visit base;
    struct bed *bed;
};

/* Another copy counts, and never answers. */
static void count_another(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct progress *progress = &CONTAINER_OF(base, struct counted, base)->bed->node->progress;
    progress->rule = (struct commit_rule){COMMIT_ALL, 2};
    progress->copies[progress->count++] = (struct progress_copy){.id = 2, .counting = COUNTING_IN};
}

/* Whose entries they are is open again. */
static void unlead(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct node *node = CONTAINER_OF(base, struct counted, base)->bed->node;
    node_unlead(node, "told so");
    node->progress.rule.mode = COMMIT_LOCAL;
    node_stop(node);
}

static struct asked *write_that_waits(struct bed *bed)
{
    struct counted counted = {.base.run = count_another, .bed = bed};
    bed_open(bed);
    assert_true(sim_node_visit(bed->sim, &counted.base));
    struct asked *push = bed_ask(bed, CALL_WRITE, "LPUSH k a");
    bed_settle(bed);
    assert_false(push->ended);
    return push;
}

TEST(node_upkeep, a_stop_waits_only_so_long_for_copies_that_do_not_answer)
{
    struct bed bed;
    struct asked *push = write_that_waits(&bed);
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    bed_run(&bed, NODE_DRAIN_US / 2);
    assert_false(push->ended);
    bed_run(&bed, NODE_DRAIN_US);
    expect_end(push, CALL_UNKNOWN);
    bed_close(&bed);
}

TEST(node_upkeep, a_stop_of_a_copy_that_follows_leaves_what_is_not_committed_in_the_log)
{
    struct bed bed;
    struct asked *push = write_that_waits(&bed);
    struct counted counted = {.base.run = unlead, .bed = &bed};
    assert_true(sim_node_visit(bed.sim, &counted.base));
    bed_settle(&bed);
    expect_end(push, CALL_UNKNOWN);
    bed_close(&bed);
}

/* It follows another copy, and has more than it can apply for now. */
static void follow(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct node *node = CONTAINER_OF(base, struct counted, base)->bed->node;
    node->leads = false;
    node_stop(node);
}

TEST(node_upkeep, a_copy_that_follows_leaves_to_the_log_what_it_cannot_apply_for_a_while)
{
    struct bed bed;
    bed_open(&bed);
    bed.fake.pending = 1;
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    (void)bed_ask(&bed, CALL_WRITE, "LPUSH k b");
    bed_settle(&bed);
    struct counted counted = {.base.run = follow, .bed = &bed};
    assert_true(sim_node_visit(bed.sim, &counted.base));
    bed_run(&bed, NODE_DRAIN_US / 2);
    assert_int_equal(bed.node->order_count, 2);
    bed_run(&bed, NODE_DRAIN_US);
    assert_int_equal(bed.node->order_count, 0);
    assert_int_equal(bed.node->phase, NODE_DRAINING); /* the store has a request of its own */
    assert_true(bed_do(&bed, DEED_WARM, NULL, ERR_OK));
    assert_true(bed.node->phase > NODE_DRAINING);
    bed_close(&bed);
}

TEST(node_upkeep, a_stop_waits_for_its_own_disk_however_long_it_takes)
{
    struct bed bed;
    bed_open(&bed);
    struct sim_fault slow = {.ops = 1u << DISK_WRITE_SYNC,
                             .hits = 1,
                             .kind = SIM_FAULT_STALL,
                             .amount = 2 * NODE_DRAIN_US};
    (void)sim_disk_fault(sim_node_disk(bed.sim), &slow);
    struct asked *push = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
    (void)bed_do(&bed, DEED_STOP, NULL, ERR_OK);
    bed_run(&bed, NODE_DRAIN_US + SIM_SECOND);
    assert_false(push->ended);
    bed_run(&bed, NODE_DRAIN_US);
    expect_answer(push, ":1");
    bed_close(&bed);
}
