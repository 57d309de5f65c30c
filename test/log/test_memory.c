/* SPDX-License-Identifier: Apache-2.0 */
/* Entries in memory, from their append until they are forgotten. */
#include "log/batch.h"
#include "sim/heap.h"
#include "test/log/steps.h"

static void check_entries(struct keeper *keeper)
{
    uint64_t from = keeper->argument[0], to = keeper->argument[1];
    uint64_t appended = log_appended(keeper->log).at;
    for (uint64_t lsn = 0; lsn <= appended + 1; lsn++) {
        struct entry entry;
        bool there = log_entry(keeper->log, (struct lsn){lsn}, &entry);
        MUST(there == (lsn >= from && lsn <= to));
        if (!there) continue;
        MUST(entry.lsn.at == lsn && entry.epoch.number == keeper->epoch);
        MUST(entry.stamp.bits == lsn << 16);
        MUST(entry.payload.size == keeper->size_of[lsn]);
        MUST(load_le64(entry.payload.data + 5) == lsn);
    }
}

static void must_hold(struct keeper *keeper, uint64_t from, uint64_t to)
{
    keeper->argument[0] = from;
    keeper->argument[1] = to;
    assert_true(keeper_do(keeper, check_entries));
    ASSERT_SOUND(keeper);
}

static void forget(struct keeper *keeper)
{
    log_forget(keeper->log, (struct lsn){keeper->argument[0]});
}

TEST(log_memory, entries_can_be_had_from_append_until_forget)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    keeper->argument[0] = 10;
    keeper->argument[1] = 200;
    assert_true(keeper_do(keeper, step_append));
    must_hold(keeper, 1, 10); /* not even written */
    keeper_wait(keeper);
    must_hold(keeper, 1, 10);
    keeper->argument[0] = 4; /* in the middle of a batch */
    assert_true(keeper_do(keeper, forget));
    must_hold(keeper, 5, 10);
    for (unsigned i = 0; i < 40; i++) assert_int_equal(keeper_append(keeper, 50, 100), ERR_OK);
    must_hold(keeper, 5, 2010); /* the ring has grown */
    keeper->argument[0] = 2010;
    assert_true(keeper_do(keeper, forget));
    must_hold(keeper, 2011, 2010);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

/* Appends and forgets in the same turn, before the write has returned. */
static void append_and_forget(struct keeper *keeper)
{
    step_append(keeper);
    log_forget(keeper->log, log_appended(keeper->log));
}

TEST(log_memory, bytes_in_flight_are_left_alone_when_their_entries_are_forgotten)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 100; i++) {
        keeper->argument[0] = 3;
        keeper->argument[1] = 500;
        assert_true(keeper_do(keeper, append_and_forget));
        (void)sim_world_run_for(keeper->world, 50); /* the disk checks what it was lent */
    }
    keeper_wait(keeper);
    must_hold(keeper, 301, 300);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    keeper_check(keeper);
    assert_int_equal(keeper->count, 300);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_memory, memory_is_bounded_by_what_is_not_forgotten)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    keeper->options.segment_bytes = 1 << 20;
    assert_true(sim_node_start(keeper->node));
    struct sim_heap *heap = sim_node_heap(keeper->node);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(keeper_append(keeper, 20, 1000), ERR_OK);
        keeper->argument[0] = log_durable(keeper->log).at;
        assert_true(keeper_do(keeper, forget));
    }
    uint64_t serial = sim_heap_serial(heap);
    assert_true(sim_heap_peak(heap) < 3 * LOG_CHUNK_BYTES);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(keeper_append(keeper, 20, 1000), ERR_OK);
        keeper->argument[0] = log_durable(keeper->log).at;
        assert_true(keeper_do(keeper, forget));
    }
    assert_true(sim_heap_serial(heap) <= serial + 21); /* nothing but the test's own payloads */
    /* A large entry's memory is not kept for ever. */
    assert_int_equal(keeper_append(keeper, 1, 8 << 20), ERR_OK);
    keeper->argument[0] = log_durable(keeper->log).at;
    assert_true(keeper_do(keeper, forget));
    assert_true(sim_heap_bytes(heap) < 6 * LOG_CHUNK_BYTES);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_memory, chunks_are_used_again_after_a_burst)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    keeper->options.segment_bytes = 1 << 20;
    assert_true(sim_node_start(keeper->node));
    struct sim_heap *heap = sim_node_heap(keeper->node);
    size_t after_first = 0;
    for (unsigned round = 0; round < 5; round++) {
        uint64_t before = log_appended(keeper->log).at;
        for (unsigned i = 0; i < 30; i++)
            assert_int_equal(keeper_append(keeper, 100, 1000), ERR_OK);
        must_hold(keeper, before + 1, before + 3000);
        keeper->argument[0] = log_durable(keeper->log).at;
        assert_true(keeper_do(keeper, forget));
        if (round == 0) after_first = sim_heap_bytes(heap);
        assert_true(sim_heap_bytes(heap) <= after_first + 100000);
    }
    assert_true(sim_heap_bytes(heap) < 6 * LOG_CHUNK_BYTES);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}
