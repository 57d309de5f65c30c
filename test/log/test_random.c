/* SPDX-License-Identifier: Apache-2.0 */
/* Random days in the life of a log: every call in any order, any durability, failing disks, full
 * disks, kills and power cuts at any moment. LOG_SEEDS=n runs more of them. */
#include "test/log/steps.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/plant.h"

enum { PINS = 3, LIVES = 6, STEPS_MAX = 60 };

/* What a day draws from, and what only it keeps. */
struct day {
    struct keeper *keeper;
    struct dice dice;
    struct log_pin pins[PINS];
    bool pinned[PINS];
    uint64_t lives, failures, refusals;
};

static struct day *day_of; /* the visits below have no other way to it */

static uint64_t draw(uint64_t bound)
{
    return dice_below(&day_of->dice, bound);
}

static uint64_t draw_size(void)
{
    static const uint64_t sizes[] = {60, 200, 900, 5000, 13000, 40000};
    return KEEPER_PAYLOAD_LEAST + draw(sizes[draw(draw(4) == 0 ? 6 : 4)]);
}

static void live_read(struct keeper *keeper)
{
    uint64_t floor = log_floor(keeper->log).at;
    uint64_t durable = log_durable(keeper->log).at;
    keeper->argument[0] = floor + draw(durable + 2 - floor);
    uint64_t from = keeper->argument[0];
    step_read(keeper);
    if (keeper->result != ERR_NOT_FOUND) {
        sim_world_fail(keeper->world, "live read: %s", keeper->why.text);
        return;
    }
    MUST(from + keeper->count > durable);
}

static void memory_read(struct keeper *keeper)
{
    struct entry entry;
    uint64_t last = log_appended(keeper->log).at;
    if (last == 0 || !log_entry(keeper->log, (struct lsn){last}, &entry)) return;
    MUST(entry.lsn.at == last && entry.payload.size == keeper->size_of[last]);
    MUST(load_le64(entry.payload.data + 5) == last);
    MUST(load_le32(entry.payload.data + 1) == keeper->life_of[last]);
    MUST(entry.lineage.hash == log_last(keeper->log).lineage.hash);
}

static void pin_one(struct keeper *keeper)
{
    size_t i = draw(PINS);
    if (day_of->pinned[i]) {
        MUST(log_floor(keeper->log).at <= day_of->pins[i].from.at);
        log_unpin(keeper->log, &day_of->pins[i]);
        day_of->pinned[i] = false;
        return;
    }
    struct lsn from = {1 + draw(log_appended(keeper->log).at + 1)};
    enum err err = log_pin(keeper->log, &day_of->pins[i], from);
    MUST((err == ERR_OK) == (from.at >= log_floor(keeper->log).at));
    day_of->pinned[i] = err == ERR_OK;
}

static void step_any(struct keeper *keeper)
{
    struct log *log = keeper->log;
    uint64_t durable = log_durable(log).at;
    switch (draw(14)) {
    case 0: log_sync_soon(log); break;
    case 1: log_forget(log, (struct lsn){durable}); break;
    case 2: log_trim(log, (struct lsn){draw(durable + 1)}); break;
    case 3: log_note_committed(log, log_written(log)); break;
    case 4: log_note_idle(log); break;
    case 5: log_set_durability(log, (enum log_durability)draw(3)); break;
    case 6: live_read(keeper); break;
    case 7: memory_read(keeper); break;
    case 8: pin_one(keeper); break;
    default:
        keeper->argument[0] = 1 + draw(8);
        keeper->argument[1] = draw_size();
        step_append(keeper);
        if (keeper->result == ERR_SPACE) day_of->refusals++;
        MUST(keeper->result != ERR_SPACE || log_is_low(log) || keeper->argument[1] > 8000);
        break;
    }
}

static void fault_any(struct day *day)
{
    struct sim_disk *disk = keeper_disk(day->keeper);
    struct sim_fault fault = {.skip = draw(20), .hits = 1, .err = ERR_IO};
    static const enum disk_op ops[] = {DISK_SYNC,     DISK_WRITE_SYNC, DISK_WRITE,
                                       DISK_SYNC_DIR, DISK_FILL,       DISK_RENAME};
    fault.ops = (uint64_t)1 << ops[draw(6)];
    fault.kind = draw(4) == 0 ? SIM_FAULT_SHORT : SIM_FAULT_ERROR;
    switch (draw(4)) {
    case 0: (void)sim_disk_fault(disk, &fault); break;
    case 1: sim_disk_set_capacity(disk, sim_disk_used(disk) + draw(100000)); break;
    case 2: sim_disk_set_capacity(disk, (uint64_t)1 << 40); break;
    default: break;
    }
}

static void live(struct day *day)
{
    struct keeper *keeper = day->keeper;
    uint64_t steps = draw(STEPS_MAX);
    for (uint64_t i = 0; i < steps && sim_node_is_up(keeper->node); i++) {
        if (sim_world_failure(keeper->world) != NULL) return;
        if (log_appended(keeper->log).at > KEEPER_ENTRIES_MAX - 1000 || keeper->failed) return;
        if (draw(30) == 0) fault_any(day);
        if (!keeper_do(keeper, step_any)) return;
        static const uint64_t waits[] = {10, 200, 2000, 3 * SIM_SECOND};
        (void)sim_world_run_for(keeper->world, draw(waits[draw(4)]));
    }
}

/* With room on the disk, nothing that was appended may stay unwritten, and nobody low. */
static void must_come_to_rest(struct keeper *keeper)
{
    sim_disk_set_capacity(keeper_disk(keeper), (uint64_t)1 << 40);
    (void)sim_world_run_for(keeper->world, 5 * SIM_SECOND);
    keeper_wait(keeper);
    if (keeper->failed || sim_world_failure(keeper->world) != NULL) return;
    if (log_written(keeper->log).at != log_appended(keeper->log).at || log_is_low(keeper->log))
        sim_world_fail(keeper->world, "stuck: written %llu of %llu, low %d",
                       (unsigned long long)log_written(keeper->log).at,
                       (unsigned long long)log_appended(keeper->log).at, log_is_low(keeper->log));
}

static void end_any(struct day *day)
{
    struct keeper *keeper = day->keeper;
    struct sim_disk *disk = keeper_disk(keeper);
    if (keeper->failed) day->failures++;
    sim_disk_unfault(disk, 0);
    if (draw(3) > 0) sim_disk_set_capacity(disk, (uint64_t)1 << 40);
    if (!sim_node_is_up(keeper->node)) return;
    if (draw(4) == 0) must_come_to_rest(keeper);
    if (draw(3) == 0 && !keeper->failed) {
        (void)keeper_end(keeper);
        if (!sim_node_is_up(keeper->node)) return;
    }
    struct sim_cut cut = {keeper->failed && draw(2) == 0 ? SIM_KEEP_CACHE
                                                         : (enum sim_keep)draw(SIM_KEEPS),
                          draw(1000000)};
    sim_node_crash(keeper->node, cut);
}

/* A start that may be cut off anywhere, and the next one, and the next. */
static bool start_at_last(struct day *day)
{
    struct keeper *keeper = day->keeper;
    while (draw(2) == 0) {
        struct sim_crash crash = {.io = sim_node_io(keeper->node) + draw(50)};
        unsigned variants = 0;
        while (sim_crash_variant(variants, &crash)) variants++;
        (void)sim_crash_variant((unsigned)draw(variants), &crash);
        crash.cut.number += draw(1000);
        sim_node_crash_at(keeper->node, &crash);
        bool started = sim_node_start(keeper->node);
        sim_node_crash_at(keeper->node, NULL);
        if (started || keeper->opened != ERR_OK) return started;
        if (sim_world_failure(keeper->world) != NULL) return false;
    }
    return sim_node_start(keeper->node);
}

static bool begin_any(struct day *day)
{
    struct keeper *keeper = day->keeper;
    memset(day->pinned, 0, sizeof(day->pinned));
    keeper->options.durability = (enum log_durability)draw(3);
    keeper->options.direct = draw(2) == 0;
    keeper->options.segment_bytes = (4 + draw(3)) * 4096;
    if (!start_at_last(day)) {
        /* Only a full disk may keep it from starting. */
        if (sim_world_failure(keeper->world) == NULL && keeper->opened != ERR_SPACE)
            sim_world_fail(keeper->world, "refused: %s", keeper->why.text);
        sim_disk_set_capacity(keeper_disk(keeper), (uint64_t)1 << 40);
        return false;
    }
    keeper_check(keeper);
    return sim_world_failure(keeper->world) == NULL;
}

/* False: something was broken, as `text` says. */
static bool day_run(uint64_t seed, uint64_t totals[3], char text[800])
{
    struct day day = {.keeper = keeper_new(seed, LOG_ALWAYS)};
    day_of = &day;
    if (getenv("LOG_TRACE") != NULL) sim_world_print(day.keeper->world, stderr);
    dice_init(&day.dice, seed);
    for (unsigned i = 0; i < LIVES && sim_world_failure(day.keeper->world) == NULL; i++) {
        if (begin_any(&day)) {
            day.lives++;
            live(&day);
        }
        if (sim_world_failure(day.keeper->world) == NULL) end_any(&day);
    }
    totals[0] += day.lives;
    totals[1] += day.failures;
    totals[2] += day.refusals;
    const char *failure = sim_world_failure(day.keeper->world);
    if (failure != NULL) snprintf(text, 800, "seed %llu: %s", (unsigned long long)seed, failure);
    keeper_free(day.keeper);
    return failure == NULL;
}

TEST(log_random, any_day_ends_with_everything_that_was_promised)
{
    const char *seeds = getenv("LOG_SEEDS");
    const char *from = getenv("LOG_SEED");
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : 300;
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    uint64_t totals[3] = {0};
    char text[800];
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!day_run(seed, totals, text)) fail_msg("%s", text);
    }
    if (count < 100) return;
    assert_true(totals[0] > count); /* lives, failed disks, refused appends: all of it happened */
    assert_true(totals[1] > count / 50);
    assert_true(totals[2] > 0);
    if (seeds != NULL)
        fprintf(stderr, "lives %llu failures %llu refusals %llu\n", (unsigned long long)totals[0],
                (unsigned long long)totals[1], (unsigned long long)totals[2]);
}

static bool days_catch(enum plant plant)
{
    uint64_t totals[3] = {0};
    char text[800];
    bool caught = false;
    plant_set(plant, true);
    for (uint64_t seed = 1; seed <= 300 && !caught; seed++) caught = !day_run(seed, totals, text);
    plant_set(plant, false);
    if (getenv("LOG_SEEDS") != NULL)
        fprintf(stderr, "%s: %s\n", plant_name(plant), caught ? text : "not caught");
    return caught;
}

TEST(log_random, a_failed_sync_taken_for_a_success_is_noticed)
{
    assert_true(days_catch(PLANT_IGNORE_FAILED_SYNC));
}

TEST(log_random, any_guard_of_crash_safety_left_out_is_noticed)
{
    assert_true(days_catch(PLANT_SKIP_SYNC));
    assert_true(days_catch(PLANT_SKIP_DIRECTORY_SYNC));
    assert_true(days_catch(PLANT_KEEP_UNSYNCED_TAIL));
    assert_true(days_catch(PLANT_TAIL_KEEPS_LATER_BATCHES));
    assert_true(days_catch(PLANT_DURABLE_RECORDED_AHEAD));
    assert_true(days_catch(PLANT_TRIM_BEFORE_SUPERBLOCK));
    assert_true(days_catch(PLANT_SALT_USED_TWICE));
    assert_true(days_catch(PLANT_ROLL_WITHOUT_SYNC));
}
