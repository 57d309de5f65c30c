/* SPDX-License-Identifier: Apache-2.0 */
/* A crash at every I/O operation of a script, in every variant; then again during the recovery from
 * it; then the loss of the newest segment. */
#include "test/log/damage.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/plant.h"

static void step_trim(struct keeper *keeper)
{
    log_trim(keeper->log, (struct lsn){keeper->argument[0]});
}

static void step_idle(struct keeper *keeper)
{
    log_note_committed(keeper->log, log_durable(keeper->log));
    log_note_idle(keeper->log);
}

static void trim(struct keeper *keeper, uint64_t through)
{
    keeper->argument[0] = through;
    if (keeper->log == NULL || !keeper_do(keeper, step_trim)) return;
    (void)sim_world_settle(keeper->world, SIM_SECOND);
}

static void forget(struct keeper *keeper)
{
    log_forget(keeper->log, log_durable(keeper->log));
}

static void step_sync(struct keeper *keeper)
{
    log_sync_soon(keeper->log);
}

/* A sync, by the clock or on demand, as the mode has it. */
static void sync_now(struct keeper *keeper)
{
    if (keeper->log == NULL) return;
    if (keeper->options.durability == LOG_NONE && !keeper_do(keeper, step_sync)) return;
    (void)sim_world_run_for(keeper->world, 1100 * SIM_MILLISECOND);
}

/* Appends of several sizes over several segments, an own-sized one, trims, idle batches, a clean
 * end. */
static void script(struct keeper *keeper)
{
    if (!sim_node_start(keeper->node)) return;
    (void)keeper_append(keeper, 3, 200);
    (void)keeper_append(keeper, 20, 300);
    sync_now(keeper);
    if (keeper->log != NULL) (void)keeper_do(keeper, step_idle);
    for (unsigned i = 0; i < 6; i++) {
        (void)keeper_append(keeper, 1, 40 + 900 * i);
        (void)keeper_append(keeper, 10, 100 + 50 * i);
        if (i == 3) (void)keeper_append(keeper, 1, 30000);
    }
    if (keeper->log != NULL) (void)keeper_do(keeper, forget);
    trim(keeper, keeper->acked);
    (void)keeper_append(keeper, 10, 600);
    sync_now(keeper);
    (void)keeper_append(keeper, 30, 400);
    trim(keeper, keeper->acked);
    (void)keeper_append(keeper, 5, 64);
    if (keeper->log == NULL || keeper_end(keeper) != ERR_OK) return;
    if (!sim_node_start(keeper->node)) return;
    (void)keeper_append(keeper, 2, 500);
    (void)keeper_end(keeper);
}

/* After a crash: the log opens, holds what was promised, and goes on. */
static void recover_and_check(struct keeper *keeper)
{
    if (!sim_node_is_up(keeper->node) && !sim_node_start(keeper->node)) {
        if (keeper->opened != ERR_OK)
            sim_world_fail(keeper->world, "refused: %s", keeper->why.text);
        return;
    }
    keeper_check(keeper);
    if (keeper->log == NULL) return;
    if (keeper_append(keeper, 3, 120) != ERR_OK)
        sim_world_fail(keeper->world, "no append after recovery");
    uint64_t last = keeper->acked;
    sim_node_crash(keeper->node, (struct sim_cut){SIM_KEEP_NOTHING, 1});
    if (!sim_node_start(keeper->node)) {
        sim_world_fail(keeper->world, "refused at once: %s", keeper->why.text);
        return;
    }
    bool always = keeper->options.durability == LOG_ALWAYS;
    if (always && keeper->found.last.lsn.at != last)
        sim_world_fail(keeper->world, "ends at %llu after a quiet crash at %llu",
                       (unsigned long long)keeper->found.last.lsn.at, (unsigned long long)last);
    keeper_check(keeper);
}

struct sweep {
    enum log_durability durability;
    uint64_t seed;
    uint64_t stride;  /* every so many operations */
    uint64_t second;  /* crash points during each recovery, one of so many; 0: none */
    bool loses;       /* the newest segment, after the last crash */
    uint64_t noticed; /* how often that was refused */
    uint64_t runs;
    char failure[700];
};

static void describe(struct sweep *sweep, const struct keeper *keeper,
                     const struct sim_crash *crash, unsigned variant, uint64_t second)
{
    const char *failure = sim_world_failure(keeper->world);
    if (failure == NULL || sweep->failure[0] != '\0') return;
    snprintf(sweep->failure, sizeof(sweep->failure), "seed %llu io %llu variant %u then %llu: %s",
             (unsigned long long)sweep->seed, (unsigned long long)crash->io, variant,
             (unsigned long long)second, failure);
}

/* The segment file with the greatest sequence. */
static bool newest_of(struct keeper *keeper, char out[80])
{
    uint64_t newest = 0;
    for (uint64_t first = 1; first < 200; first++) {
        char path[80];
        struct buffer content;
        struct log_segment_header header;
        const char *what;
        segment_path(first, path);
        buffer_init(&content);
        if (sim_disk_seen(keeper_disk(keeper), path, &content) &&
            content.size >= LOG_SEGMENT_HEADER_BYTES &&
            log_segment_decode(content.data, &header, &what) && header.sequence > newest) {
            newest = header.sequence;
            memcpy(out, path, sizeof(path));
        }
        buffer_release(&content);
    }
    return newest > 0;
}

/* Takes the newest segment away. True: the start is refused, as corrupt, with everything as it was;
 * else whatever was acked must still be there. */
static bool lose_newest(struct sweep *sweep, struct keeper *keeper)
{
    char path[80];
    if (!sweep->loses || sim_node_is_up(keeper->node) || !newest_of(keeper, path)) return false;
    assert_true(sim_disk_unlink(keeper_disk(keeper), path));
    uint64_t before = disk_checksum(keeper);
    if (sim_node_start(keeper->node) || keeper->opened != ERR_CORRUPT) return false;
    if (strstr(keeper->why.text, path + sizeof(KEEPER_DIRECTORY)) == NULL)
        sim_world_fail(keeper->world, "%s is lost, not: %s", path, keeper->why.text);
    if (disk_checksum(keeper) != before)
        sim_world_fail(keeper->world, "the refused start has changed files");
    sweep->noticed++;
    return true;
}

static struct keeper *run_to_crash(const struct sweep *sweep, const struct sim_crash *crash)
{
    struct keeper *keeper = keeper_new(sweep->seed, sweep->durability);
    sim_node_crash_at(keeper->node, crash);
    script(keeper);
    return keeper;
}

/* Crashes once more while the first crash is being recovered from. */
static void sweep_second(struct sweep *sweep, const struct sim_crash *crash, unsigned variant,
                         uint64_t first_io, uint64_t last_io)
{
    struct dice dice;
    dice_init(&dice, crash->io * 64 + variant);
    for (uint64_t io = first_io; io < last_io && sweep->failure[0] == '\0'; io++) {
        if (!dice_chance(&dice, 1, sweep->second)) continue;
        struct keeper *keeper = run_to_crash(sweep, crash);
        struct sim_crash again = {.io = io};
        unsigned which = 0;
        while (sim_crash_variant(which, &again)) which++;
        (void)sim_crash_variant((unsigned)dice_below(&dice, which), &again);
        sim_node_crash_at(keeper->node, &again);
        (void)sim_node_start(keeper->node);
        sim_node_crash_at(keeper->node, NULL);
        if (!lose_newest(sweep, keeper)) recover_and_check(keeper);
        describe(sweep, keeper, crash, variant, io);
        sweep->runs++;
        keeper_free(keeper);
    }
}

static void sweep_point(struct sweep *sweep, uint64_t io)
{
    struct sim_crash crash = {.io = io};
    for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
        crash.io = io;
        struct keeper *keeper = run_to_crash(sweep, &crash);
        uint64_t first_io = sim_node_io(keeper->node);
        bool crashed = !sim_node_is_up(keeper->node);
        sim_node_crash_at(keeper->node, NULL);
        if (crashed && sweep->second > 0 && sim_node_start(keeper->node)) {
            uint64_t last_io = sim_node_io(keeper->node);
            sweep_second(sweep, &crash, variant, first_io, last_io);
        }
        if (!lose_newest(sweep, keeper)) recover_and_check(keeper);
        describe(sweep, keeper, &crash, variant, 0);
        sweep->runs++;
        keeper_free(keeper);
        if (sweep->failure[0] != '\0') return;
    }
}

static void sweep_run(struct sweep *sweep)
{
    struct keeper *keeper = keeper_new(sweep->seed, sweep->durability);
    script(keeper);
    const char *failure = sim_world_failure(keeper->world);
    if (failure != NULL) snprintf(sweep->failure, sizeof(sweep->failure), "%s", failure);
    uint64_t total = sim_node_io(keeper->node);
    keeper_free(keeper);
    for (uint64_t io = 0; io < total && sweep->failure[0] == '\0'; io += sweep->stride)
        sweep_point(sweep, io);
}

static void sweep_must_pass(struct sweep sweep)
{
    sweep_run(&sweep);
    if (sweep.failure[0] != '\0') fail_msg("%s", sweep.failure);
    assert_true(sweep.runs > 100);
    if (sweep.loses) assert_true(sweep.noticed > sweep.runs / 2);
    if (getenv("KEEPER_PRINT") != NULL)
        fprintf(stderr, "%llu runs, %llu losses noticed\n", (unsigned long long)sweep.runs,
                (unsigned long long)sweep.noticed);
}

TEST(log_crash, at_any_operation_nothing_acked_is_lost_with_always)
{
    sweep_must_pass((struct sweep){.durability = LOG_ALWAYS, .seed = 11, .stride = 1});
    sweep_must_pass((struct sweep){.durability = LOG_ALWAYS, .seed = 12, .stride = 7});
}

TEST(log_crash, at_any_operation_nothing_synced_is_lost_with_everysec)
{
    sweep_must_pass((struct sweep){.durability = LOG_EVERYSEC, .seed = 13, .stride = 2});
}

TEST(log_crash, at_any_operation_nothing_synced_is_lost_with_none)
{
    sweep_must_pass((struct sweep){.durability = LOG_NONE, .seed = 14, .stride = 2});
}

TEST(log_crash, a_second_crash_during_recovery_changes_nothing)
{
    sweep_must_pass(
        (struct sweep){.durability = LOG_ALWAYS, .seed = 15, .stride = 7, .second = 16});
    sweep_must_pass(
        (struct sweep){.durability = LOG_EVERYSEC, .seed = 16, .stride = 7, .second = 16});
}

TEST(log_crash, the_loss_of_the_newest_segment_after_it_is_refused_or_costs_nothing_acked)
{
    sweep_must_pass(
        (struct sweep){.durability = LOG_ALWAYS, .seed = 18, .stride = 6, .loses = true});
    sweep_must_pass((struct sweep){
        .durability = LOG_ALWAYS, .seed = 19, .stride = 13, .second = 12, .loses = true});
}

/* One operation fails, whichever it is. Then the process ends, or the power. */
static void error_at(struct sweep *sweep, uint64_t io, enum err err)
{
    struct keeper *keeper = keeper_new(sweep->seed, sweep->durability);
    struct sim_fault fault = {.ops = UINT64_MAX, .skip = io, .hits = 1, .err = err};
    fault.kind = io % 3 == 0 ? SIM_FAULT_SHORT : SIM_FAULT_ERROR;
    (void)sim_disk_fault(keeper_disk(keeper), &fault);
    script(keeper);
    sim_disk_unfault(keeper_disk(keeper), 0);
    struct sim_cut cut = {io % 2 == 0 ? SIM_KEEP_CACHE : SIM_KEEP_NOTHING, 1};
    sim_node_crash(keeper->node, cut);
    recover_and_check(keeper);
    struct sim_crash at = {.io = io};
    describe(sweep, keeper, &at, err, 0);
    sweep->runs++;
    keeper_free(keeper);
}

TEST(log_crash, an_error_of_any_operation_loses_nothing_acked)
{
    for (unsigned mode = 0; mode < 3; mode++) {
        struct sweep sweep = {.durability = (enum log_durability)mode, .seed = 21 + mode};
        struct keeper *keeper = keeper_new(sweep.seed, sweep.durability);
        script(keeper);
        uint64_t total = sim_node_io(keeper->node);
        keeper_free(keeper);
        for (uint64_t io = 0; io < total && sweep.failure[0] == '\0'; io++) {
            error_at(&sweep, io, ERR_IO);
            error_at(&sweep, io, ERR_SPACE);
        }
        if (sweep.failure[0] != '\0') fail_msg("%s", sweep.failure);
        assert_true(sweep.runs > 200);
    }
}

/* The sweep must notice when a guard is removed: else it proves nothing. */
static bool sweep_catches(enum plant plant, enum log_durability durability, uint64_t stride)
{
    plant_set(plant, true);
    struct sweep sweep = {.durability = durability, .seed = 17, .stride = stride};
    sweep.loses = plant == PLANT_NEWEST_NOT_NAMED;
    sweep_run(&sweep);
    plant_set(plant, false);
    if (getenv("KEEPER_PRINT") != NULL)
        fprintf(stderr, "%s: %llu runs: %s\n", plant_name(plant), (unsigned long long)sweep.runs,
                sweep.failure);
    return sweep.failure[0] != '\0';
}

TEST(log_crash, a_sync_left_out_is_noticed)
{
    assert_true(sweep_catches(PLANT_SKIP_SYNC, LOG_ALWAYS, 5));
}

TEST(log_crash, a_directory_sync_left_out_is_noticed)
{
    assert_true(sweep_catches(PLANT_SKIP_DIRECTORY_SYNC, LOG_ALWAYS, 5));
}

TEST(log_crash, a_tail_that_was_not_written_again_is_noticed)
{
    assert_true(sweep_catches(PLANT_KEEP_UNSYNCED_TAIL, LOG_EVERYSEC, 5));
}

TEST(log_crash, later_batches_kept_after_a_hole_are_noticed)
{
    assert_true(sweep_catches(PLANT_TAIL_KEEPS_LATER_BATCHES, LOG_EVERYSEC, 5));
}

TEST(log_crash, a_watermark_recorded_ahead_is_noticed)
{
    assert_true(sweep_catches(PLANT_DURABLE_RECORDED_AHEAD, LOG_EVERYSEC, 5));
}

TEST(log_crash, a_trim_before_its_superblock_is_noticed)
{
    assert_true(sweep_catches(PLANT_TRIM_BEFORE_SUPERBLOCK, LOG_ALWAYS, 2));
}

TEST(log_crash, a_salt_used_twice_is_noticed)
{
    assert_true(sweep_catches(PLANT_SALT_USED_TWICE, LOG_ALWAYS, 5));
}

TEST(log_crash, a_segment_named_before_the_old_one_is_synced_is_noticed)
{
    assert_true(sweep_catches(PLANT_ROLL_WITHOUT_SYNC, LOG_NONE, 5));
}

TEST(log_crash, a_segment_used_before_the_superblock_names_it_is_noticed)
{
    assert_true(sweep_catches(PLANT_NEWEST_NOT_NAMED, LOG_ALWAYS, 5));
}
