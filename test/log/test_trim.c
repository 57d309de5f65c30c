/* SPDX-License-Identifier: Apache-2.0 */
/* The floor, pins, recycled files, and what happens when the disk is full. */
#include "base/buffer.h"
#include "test/log/steps.h"

#include <stdio.h>

static uint64_t spares(struct keeper *keeper)
{
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(keeper_disk(keeper), &paths);
    buffer_append_byte(&paths, 0);
    uint64_t count = 0;
    for (const char *at = (const char *)paths.data; (at = strstr(at, ".spare")) != NULL; at++)
        count++;
    buffer_release(&paths);
    return count;
}

static struct keeper *filled(unsigned batches)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < batches; i++) assert_int_equal(keeper_append(keeper, 2, 900), ERR_OK);
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    return keeper;
}

static void step_trim(struct keeper *keeper)
{
    log_trim(keeper->log, (struct lsn){keeper->argument[0]});
}

static void trim(struct keeper *keeper, uint64_t through)
{
    keeper->argument[0] = through;
    assert_true(keeper_do(keeper, step_trim));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
}

TEST(log_trim, whole_segments_go_and_the_floor_is_the_first_entry_kept)
{
    struct keeper *keeper = filled(60);
    struct log_stats before, after;
    log_stats(keeper->log, &before);
    assert_true(before.segments >= 6);
    trim(keeper, 50);
    log_stats(keeper->log, &after);
    uint64_t floor = log_floor(keeper->log).at;
    assert_true(floor > 30 && floor <= 51);
    assert_true(after.segments < before.segments);
    assert_int_equal(keeper_append(keeper, 1, 100), ERR_OK);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper->found.first.at, floor);
    keeper_check(keeper);
    keeper->argument[0] = floor - 1;
    assert_true(keeper_do(keeper, step_read));
    assert_int_equal(keeper->result, ERR_NOT_FOUND);
    assert_non_null(strstr(keeper->why.text, "is not kept"));
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_trim, trimmed_segments_become_spares_and_spares_become_segments)
{
    struct keeper *keeper = filled(60);
    trim(keeper, log_durable(keeper->log).at);
    assert_int_equal(spares(keeper), 3);
    uint64_t used = sim_disk_used(keeper_disk(keeper));
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 6; i++) assert_int_equal(keeper_append(keeper, 2, 900), ERR_OK);
        trim(keeper, log_durable(keeper->log).at);
    }
    assert_true(sim_disk_used(keeper_disk(keeper)) <= used + 2 * 16384);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    keeper_check(keeper);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

struct pinner {
    struct log_pin pin;
    enum err err;
};
static struct pinner pinner;

static void step_pin(struct keeper *keeper)
{
    pinner.err = log_pin(keeper->log, &pinner.pin, (struct lsn){keeper->argument[0]});
}

static void step_unpin(struct keeper *keeper)
{
    log_unpin(keeper->log, &pinner.pin);
    log_unpin(keeper->log, &pinner.pin); /* twice is fine */
}

TEST(log_trim, a_pin_holds_its_entry_until_it_is_taken_out)
{
    struct keeper *keeper = filled(60);
    pinner = (struct pinner){.err = ERR_OK};
    assert_true(keeper_do(keeper, step_unpin)); /* never pinned is fine */
    keeper->argument[0] = 40;
    assert_true(keeper_do(keeper, step_pin));
    assert_int_equal(pinner.err, ERR_OK);
    trim(keeper, 120);
    uint64_t floor = log_floor(keeper->log).at;
    assert_true(floor > 1 && floor <= 40);
    keeper->argument[0] = 40;
    assert_true(keeper_do(keeper, step_read));
    assert_int_equal(keeper->count, 81);
    assert_true(keeper_do(keeper, step_unpin));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    assert_true(log_floor(keeper->log).at > 100);
    keeper->argument[0] = 40;
    assert_true(keeper_do(keeper, step_pin));
    assert_int_equal(pinner.err, ERR_NOT_FOUND);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

static struct log_pin pins[3];

static void step_pin_three(struct keeper *keeper)
{
    static const uint64_t from[3] = {80, 40, 60};
    memset(pins, 0, sizeof pins);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(log_pin(keeper->log, &pins[i], (struct lsn){from[i]}), ERR_OK);
    log_trim(keeper->log, (struct lsn){120});
}

static void step_unpin_least(struct keeper *keeper)
{
    log_unpin(keeper->log, &pins[1]);
}

static void step_move_least(struct keeper *keeper)
{
    log_pin_move(keeper->log, &pins[2], (struct lsn){100});
}

static void step_unpin_rest(struct keeper *keeper)
{
    log_unpin(keeper->log, &pins[0]);
    log_unpin(keeper->log, &pins[2]);
}

/* The first entry kept, once nothing is under way. A segment has about ten entries. */
static uint64_t floor_behind(struct keeper *keeper, void (*step)(struct keeper *keeper))
{
    assert_true(keeper_do(keeper, step));
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    return log_floor(keeper->log).at;
}

TEST(log_trim, the_least_of_all_pins_holds_the_log)
{
    struct keeper *keeper = filled(60);
    uint64_t floor = floor_behind(keeper, step_pin_three);
    assert_true(floor > 20 && floor <= 40);
    floor = floor_behind(keeper, step_unpin_least);
    assert_true(floor > 40 && floor <= 60);
    floor = floor_behind(keeper, step_move_least);
    assert_true(floor > 60 && floor <= 80);
    assert_true(floor_behind(keeper, step_unpin_rest) > 100);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

/* A trim is under way from its call on, though nothing has gone yet: who comes behind it gets what
 * it leaves, and what it has got is left by the next one. */
static void step_trim_and_pin(struct keeper *keeper)
{
    struct log *log = keeper->log;
    log_trim(log, (struct lsn){50});
    struct lsn floor = log_floor(log);
    MUST(floor.at > 1);
    keeper->argument[0] = floor.at;
    memset(pins, 0, sizeof pins);
    assert_int_equal(log_pin(log, &pins[0], (struct lsn){floor.at - 1}), ERR_NOT_FOUND);
    assert_int_equal(log_pin(log, &pins[1], floor), ERR_OK);
    log_trim(log, (struct lsn){120});
}

TEST(log_trim, a_pin_that_is_asked_for_while_a_trim_is_under_way_is_refused_or_kept)
{
    struct keeper *keeper = filled(60);
    struct log_stats before, after;
    log_stats(keeper->log, &before);
    assert_true(keeper_do(keeper, step_trim_and_pin));
    uint64_t floor = keeper->argument[0];
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    log_stats(keeper->log, &after);
    assert_true(after.segments < before.segments);
    assert_int_equal(log_floor(keeper->log).at, floor);
    keeper->argument[0] = floor;
    assert_true(keeper_do(keeper, step_read));
    assert_int_equal(keeper->count, 120 - floor + 1);
    assert_true(floor_behind(keeper, step_unpin_least) > 100); /* both wishes are remembered */
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_trim, nothing_is_removed_before_the_floor_is_in_the_superblock)
{
    struct keeper *keeper = filled(60);
    struct log_stats before, after;
    log_stats(keeper->log, &before);
    struct sim_fault fault = {
        .ops = 1 << DISK_WRITE_SYNC, .paths = "*superblock", .hits = 1, .kind = SIM_FAULT_ERROR};
    (void)sim_disk_fault(keeper_disk(keeper), &fault);
    trim(keeper, 120);
    assert_true(keeper->failed);
    log_stats(keeper->log, &after);
    assert_int_equal(after.segments, before.segments);
    keeper_free(keeper);
}

TEST(log_trim, entries_that_are_not_durable_stay)
{
    struct keeper *keeper = keeper_new(1, LOG_NONE);
    assert_true(sim_node_start(keeper->node));
    for (unsigned i = 0; i < 3; i++) assert_int_equal(keeper_append(keeper, 2, 900), ERR_OK);
    trim(keeper, 6);
    assert_int_equal(log_floor(keeper->log).at, 1);
    keeper_free(keeper);
}

TEST(log_space, a_full_disk_is_low_refuses_and_comes_back_without_a_restart)
{
    struct keeper *keeper = filled(10);
    struct sim_disk *disk = keeper_disk(keeper);
    assert_false(log_is_low(keeper->log));
    sim_disk_set_capacity(disk, sim_disk_used(disk) + 20000);
    unsigned taken = 0;
    while (keeper_append(keeper, 1, 900) == ERR_OK && taken < 100) taken++;
    assert_true(taken > 10 && taken < 100);
    assert_true(log_is_low(keeper->log));
    assert_int_equal(keeper->result, ERR_SPACE);
    uint64_t last = log_appended(keeper->log).at;
    assert_int_equal(log_durable(keeper->log).at, last); /* what got a number was written */
    assert_true(sim_world_run_for(keeper->world, 5 * SIM_SECOND));
    assert_int_equal(keeper_append(keeper, 1, 900), ERR_SPACE);
    sim_disk_set_capacity(disk, (uint64_t)1 << 40);
    assert_true(sim_world_run_for(keeper->world, 3 * SIM_SECOND));
    assert_false(log_is_low(keeper->log));
    assert_int_equal(keeper_append(keeper, 30, 900), ERR_OK);
    assert_int_equal(log_durable(keeper->log).at, last + 30);
    assert_false(keeper->failed);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_space, below_the_reserve_it_is_low_but_goes_on)
{
    struct keeper *keeper = filled(10);
    struct sim_disk *disk = keeper_disk(keeper);
    sim_disk_set_capacity(disk, sim_disk_used(disk) + keeper->options.reserve_bytes - 4096);
    assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND));
    assert_true(log_is_low(keeper->log));
    assert_int_equal(keeper_append(keeper, 20, 900),
                     ERR_OK); /* the owner decides what is admitted */
    sim_disk_set_capacity(disk, (uint64_t)1 << 40);
    assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND));
    assert_false(log_is_low(keeper->log));
    keeper_free(keeper);
}

/* What an owner does with commands that add data: argument[0] of them in one turn, at most. */
static void step_add_unless_low(struct keeper *keeper)
{
    uint64_t wanted = keeper->argument[0];
    keeper->argument[0] = 1;
    keeper->argument[1] = 900;
    while (wanted-- > 0 && !log_is_low(keeper->log)) {
        step_append(keeper);
        MUST(keeper->result == ERR_OK || log_is_low(keeper->log));
    }
}

/* Entries that free space, one after the other. */
static void must_go_on(struct keeper *keeper, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(keeper_append(keeper, 1, 100), ERR_OK);
        assert_int_equal(log_durable(keeper->log).at, log_appended(keeper->log).at);
    }
}

/* A disk that is full from one moment to the next, wherever the log stands, without its knowing
 * (the first three) or not. */
TEST(log_space, while_low_what_frees_space_has_a_segment_ready)
{
    static const uint64_t rooms[] = {0, 10000, 20000, 65536 + 20000, 65536 + 50000};
    for (unsigned i = 0; i < 5 * 25; i++) {
        bool reserve = rooms[i / 25] > 65536;
        struct keeper *keeper = filled(10);
        struct sim_disk *disk = keeper_disk(keeper);
        assert_int_equal(keeper_append(keeper, i % 25, 100), ERR_OK);
        assert_true(sim_world_settle(keeper->world, SIM_SECOND));
        sim_disk_set_capacity(disk, sim_disk_used(disk) + rooms[i / 25]);
        if (reserve) assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND));
        for (unsigned turn = 0; turn < 100 && !log_is_low(keeper->log); turn++) {
            keeper->argument[0] = reserve && i % 2 == 0 ? 300 : 1 + turn % 60;
            assert_true(keeper_do(keeper, step_add_unless_low));
            keeper_wait(keeper);
        }
        assert_true(log_is_low(keeper->log));
        assert_int_equal(log_durable(keeper->log).at, log_appended(keeper->log).at);
        must_go_on(keeper, reserve ? 50 : 20);
        if (reserve) { /* which others eat up: one spare is still there */
            assert_true(sim_world_settle(keeper->world, SIM_SECOND));
            sim_disk_set_capacity(disk, sim_disk_used(disk));
            must_go_on(keeper, 20);
        }
        assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND));
        assert_int_equal(keeper_append(keeper, 300, 900), ERR_SPACE);
        assert_int_equal(log_durable(keeper->log).at, log_appended(keeper->log).at);
        ASSERT_SOUND(keeper);
        keeper_free(keeper);
    }
}

TEST(log_space, trimming_brings_a_full_log_back)
{
    struct keeper *keeper = filled(60);
    struct sim_disk *disk = keeper_disk(keeper);
    sim_disk_set_capacity(disk, sim_disk_used(disk));
    unsigned taken = 0;
    while (keeper_append(keeper, 1, 900) == ERR_OK && taken < 100) taken++;
    assert_true(log_is_low(keeper->log));
    trim(keeper, log_durable(keeper->log).at);
    assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND));
    assert_int_equal(keeper_append(keeper, 10, 900), ERR_OK);
    keeper_free(keeper);
}

TEST(log_space, an_entry_larger_than_a_segment_gets_one_of_its_own)
{
    struct keeper *keeper = filled(3);
    assert_int_equal(keeper_append(keeper, 1, 100000), ERR_OK);
    assert_int_equal(keeper_append(keeper, 2, 100), ERR_OK);
    assert_int_equal(keeper_append(keeper, 2, 20000), ERR_OK);   /* two of them in a row */
    assert_int_equal(keeper_append(keeper, 1, 1500000), ERR_OK); /* more than a chunk of memory */
    assert_int_equal(keeper_append(keeper, 5, 100), ERR_OK);
    assert_int_equal(keeper->acked, 17);
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    keeper_check(keeper);
    assert_int_equal(keeper->count, 17);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_space, an_entry_larger_than_the_disk_is_refused_before_it_gets_a_number)
{
    struct keeper *keeper = filled(3);
    struct sim_disk *disk = keeper_disk(keeper);
    sim_disk_set_capacity(disk, sim_disk_used(disk) + 300000);
    assert_true(sim_world_run_for(keeper->world, 2 * SIM_SECOND));
    assert_int_equal(keeper_append(keeper, 1, 400000), ERR_SPACE);
    assert_int_equal(log_appended(keeper->log).at, 6);
    assert_int_equal(keeper_append(keeper, 1, 100000), ERR_OK);
    keeper_free(keeper);
}

TEST(log_space, a_full_disk_does_not_keep_a_log_from_being_opened)
{
    struct keeper *keeper = filled(10);
    struct sim_disk *disk = keeper_disk(keeper);
    keeper->options.segment_bytes =
        16 * 16384; /* no spare has that size, and there is no room for one */
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    sim_disk_set_capacity(disk, sim_disk_used(disk) + 40000);
    assert_true(sim_node_start(keeper->node));
    assert_true(log_is_low(keeper->log));
    keeper_check(keeper);
    assert_int_equal(keeper_append(keeper, 1, 500), ERR_OK);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

static void step_trim_and_promise(struct keeper *keeper)
{
    log_trim(keeper->log, log_durable(keeper->log));
    keeper->result = log_promise(keeper->log, (struct epoch){99, 1}, &keeper->why);
}

TEST(log_trim, a_promise_waits_for_a_superblock_that_is_being_written)
{
    struct keeper *keeper = filled(60);
    assert_true(keeper_do(keeper, step_trim_and_promise));
    assert_int_equal(keeper->result, ERR_PENDING);
    assert_true(sim_world_settle(keeper->world, SIM_SECOND));
    assert_true(keeper_do(keeper, step_trim_and_promise));
    assert_int_equal(keeper->result, ERR_OK);
    keeper_free(keeper);
}

TEST(log_trim, a_renamed_file_is_not_used_when_its_old_name_may_come_back)
{
    struct keeper *keeper = filled(60);
    struct sim_fault fault = {.ops = 1 << DISK_SYNC_DIR, .hits = 1, .kind = SIM_FAULT_ERROR};
    (void)sim_disk_fault(keeper_disk(keeper), &fault);
    trim(keeper, log_durable(keeper->log).at);
    assert_true(keeper->failed);
    assert_non_null(strstr(keeper->why.text, "sync the directory"));
    keeper_free(keeper);
}

TEST(log_trim, a_segment_that_cannot_be_removed_is_left_for_the_next_start)
{
    struct keeper *keeper = filled(60);
    struct sim_fault fault = {.ops = 1 << DISK_REMOVE | 1 << DISK_RENAME | 1 << DISK_OPEN,
                              .hits = 3,
                              .kind = SIM_FAULT_ERROR};
    (void)sim_disk_fault(keeper_disk(keeper), &fault);
    trim(keeper, log_durable(keeper->log).at);
    assert_false(keeper->failed);
    assert_int_equal(keeper_append(keeper, 5, 900), ERR_OK);
    uint64_t used = sim_disk_used(keeper_disk(keeper));
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    assert_true(sim_node_start(keeper->node));
    keeper_check(keeper);
    assert_true(sim_disk_used(keeper_disk(keeper)) < used);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}
