/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "sim/disk.h"
#include "sim/net.h"
#include "sim/store.h"
#include "sim/storming.h"

static struct sim_disk *disk_of(const struct storm *storm)
{
    return sim_node_disk(storm->program.node);
}

static struct sim_stores *stores_of(const struct storm *storm)
{
    return sim_node_stores(storm->program.node);
}

static bool one_in(struct storm *storm, uint64_t n)
{
    return storm_below(storm, n) == 0;
}

static void count(struct storm *storm, enum storm_fault fault)
{
    storm->result->faults[fault]++;
}

/* --- What a seed is like --- */

static void draw_settings(struct storm *storm, struct server_settings *out)
{
    static const uint64_t segments[] = {64 << 10, 128 << 10, 256 << 10};
    static const uint64_t budgets[] = {4 << 10, 16 << 10, 64 << 10, 1 << 20};
    *out = (struct server_settings){
        .durability = CONFIG_DURABILITY_ALWAYS,
        .direct = one_in(storm, 2),
        .segment_bytes = segments[storm_below(storm, 3)],
        .reserve_bytes = 256 << 10,
        .flush_bytes_min = 4 << 10,
        .flush_bytes_max = budgets[storm_below(storm, 4)],
    };
    static const uint64_t kept[] = {500, 5000, 50000, 1 << 20};
    out->effects_bytes = kept[dice_below(&storm->stream_dice, 4)];
    if (one_in(storm, 6)) {
        out->durability = one_in(storm, 2) ? CONFIG_DURABILITY_EVERYSEC : CONFIG_DURABILITY_NONE;
    }
}

static void draw_disk(struct storm *storm)
{
    bool fast = one_in(storm, 2);
    *sim_disk_profile(disk_of(storm)) = sim_disk_like(fast, 1 + storm_below(storm, 10));
    uint32_t cached = storm->on[FAULT_COLD_STORE] ? 200000 : 950000;
    *sim_stores_profile(stores_of(storm)) = (struct sim_stores_profile){
        .cached_per_million = cached,
        .evicted_per_million = storm->on[FAULT_COLD_STORE] ? 50000 : 1000,
        .flush_us_min = 200,
        .flush_us_max = 200 + storm_below(storm, 20000),
        .warm_us_min = 50,
        .warm_us_max = 2000,
    };
    if (storm->on[FAULT_COLD_STORE]) count(storm, FAULT_COLD_STORE);
}

static void draw_clients(struct storm *storm, int kind)
{
    struct dice *dice = sim_world_dice(storm->world, SIM_DICE_WORKLOAD);
    enum workload_kind drawn = (enum workload_kind)storm_below(storm, WORKLOADS);
    if (kind < 0 && one_in(storm, 2)) drawn = WORKLOAD_MIXED;
    workload_init(&storm->workload, kind >= 0 ? (enum workload_kind)kind : drawn, dice);
    storm->workload.expiry = !one_in(storm, 4);
    storm->workload.transactions = !one_in(storm, 4);
    if (storm->workload.kind == WORKLOAD_REGISTERS) storm->workload.transactions = false;
    storm->workload.keys = 2 + (unsigned)storm_below(storm, 12);
    static const size_t sizes[] = {50, 400, 3000, 120000};
    storm->workload.value_bytes_max = sizes[one_in(storm, 8) ? 3 : storm_below(storm, 3)];
    struct talkers_options options = {
        .count = 2 + (unsigned)storm_below(storm, 7),
        .think_us_max = 200 + storm_below(storm, 20000),
        .hang_up_per_million = storm->on[FAULT_RESET] ? 20000 : 0,
        .split_per_million = one_in(storm, 2) ? 100000 : 0,
        .slow_bytes_per_second = one_in(storm, 4) ? 20000 : 0,
        .patience_us = 20 * SIM_SECOND,
    };
    struct sim_net_profile *net = sim_net_profile(storm->world);
    net->silence_us_max = 200 * SIM_MILLISECOND;
    if (storm->on[FAULT_RESET]) net->reset_per_million = 200;
    talkers_init(&storm->talkers, storm->program.node, &storm->workload, &storm->ops, &options);
}

void storm_draw(struct storm *storm, const struct storm_options *options)
{
    uint64_t seed = options->seed;
    dice_init(&storm->dice, checksum64(bytes_of(&seed, sizeof seed), 7));
    dice_init(&storm->stream_dice, checksum64(bytes_of(&seed, sizeof seed), 8));
    storm->streams = dice_chance(&storm->stream_dice, 1, 2);
    for (unsigned i = 0; i < STORM_FAULTS; i++) storm->on[i] = one_in(storm, 2);
    storm->finish_us = 300 * SIM_MILLISECOND;
    storm->lives = 2 + (unsigned)storm_below(storm, 5);
    storm->ticks_max = 8 + (unsigned)storm_below(storm, 30);
    struct server_settings settings;
    draw_settings(storm, &settings);
    storm_draw_images(storm, seed, &settings);
    storm_draw_archive(storm, seed, &settings);
    storm->lossy = storm->ever_lossy = settings.durability != CONFIG_DURABILITY_ALWAYS;
    struct sim_node_options node = {
        .drift_ppm = storm->on[FAULT_DRIFT] ? (int64_t)storm_below(storm, 2000) - 1000 : 0,
        .wall_offset_ms = INT64_C(1700000000000),
        .memory_bytes_max = 256 << 20,
    };
    server_program_init(&storm->program, storm->world, &settings, &node);
    sim_world_say(storm->world,
                  "storm durability=%u direct=%d segment=%" PRIu64 " flush=%" PRIu64 " lives=%u",
                  (unsigned)settings.durability, (int)settings.direct, settings.segment_bytes,
                  settings.flush_bytes_max, storm->lives);
    ops_init(&storm->ops);
    buffer_init(&storm->whole);
    buffer_init(&storm->old_log);
    draw_disk(storm);
    draw_clients(storm, options->workload);
    storm_draw_archivist(storm, seed);
    storm_stores_init(storm, seed);
}

/* --- While it lives --- */

void storm_life_begins(struct storm *storm)
{
    storm->lossy = storm->program.settings.durability != CONFIG_DURABILITY_ALWAYS;
    storm->ever_lossy = storm->ever_lossy || storm->lossy;
    storm->rule = storm->file_rule = storm->store_rule = storm->image_rule = 0;
    storm->may_fail_log = storm->may_fail_store = storm->may_be_corrupt = false;
    storm->low = false;
    storm->talkers.relaxed = false;
}

bool storm_may_exit(const struct storm *storm, int status)
{
    if (status == EXIT_STATUS_LOG_SYNC) return storm->may_fail_log;
    if (status == EXIT_STATUS_STORE) return storm->may_fail_store;
    if (status == EXIT_STATUS_CORRUPT) return storm->may_be_corrupt;
    return false;
}

static void wall_jump(struct storm *storm)
{
    static const int64_t jumps_ms[] = {-3600000, -5000, -800, 700, 4000, 3600000};
    sim_node_wall_jump(storm->program.node, jumps_ms[storm_below(storm, 6)]);
    count(storm, FAULT_WALL_JUMP);
}

static void slow_disk(struct storm *storm)
{
    if (storm->stall != 0) {
        sim_disk_unfault(disk_of(storm), storm->stall);
        storm->stall = 0;
        return;
    }
    if (storm->rule != 0) return;
    const struct sim_fault fault = {
        .ops = UINT64_MAX, .kind = SIM_FAULT_STALL, .amount = 1000 + storm_below(storm, 80000)};
    storm->stall = sim_disk_fault(disk_of(storm), &fault);
    count(storm, FAULT_SLOW_DISK);
}

/* A sync, or a synced write, fails: the server must end and acknowledge nothing more. */
static void break_disk(struct storm *storm, enum storm_fault which)
{
    if (storm->rule != 0 || storm->file_rule != 0 || storm->stall != 0) return;
    struct sim_fault fault = {.ops = 1 << DISK_SYNC | 1 << DISK_WRITE_SYNC,
                              .except = STORM_IMAGES, /* without one the server goes on */
                              .hits = 1,
                              .kind = SIM_FAULT_ERROR};
    fault.skip = storm_below(storm, 20);
    if (which == FAULT_SYNC_ERROR_KEPT) fault.amount = 1000000 - storm_below(storm, 300000);
    if (which == FAULT_SHORT_WRITE) {
        fault.ops = 1 << DISK_WRITE | 1 << DISK_WRITE_SYNC;
        fault.kind = SIM_FAULT_SHORT;
    }
    storm->may_fail_log = true;
    storm->rule = sim_disk_fault(disk_of(storm), &fault);
    count(storm, which);
}

void storm_give_space(struct storm *storm)
{
    sim_disk_set_capacity(disk_of(storm), UINT64_C(1) << 40);
    storm->low = false; /* talkers stay relaxed until the life's end */
}

static void no_space(struct storm *storm)
{
    struct sim_disk *disk = disk_of(storm);
    if (storm->low) {
        storm_give_space(storm);
        return;
    }
    sim_disk_set_capacity(disk, sim_disk_used(disk) + storm_below(storm, 600 << 10));
    storm->low = true;
    talkers_relax(&storm->talkers, true);
    count(storm, FAULT_NO_SPACE);
}

static void break_store(struct storm *storm, bool space)
{
    if (storm->store_rule != 0) {
        sim_stores_unfault(stores_of(storm), storm->store_rule);
        storm->store_rule = 0;
        return;
    }
    const struct sim_fault fault = {.ops = 1 << SIM_STORE_FLUSH,
                                    .hits = space ? 1 + storm_below(storm, 3) : 1,
                                    .kind = SIM_FAULT_ERROR,
                                    .err = space ? ERR_SPACE : ERR_IO};
    storm->store_rule = sim_stores_fault(stores_of(storm), &fault);
    if (space) talkers_relax(&storm->talkers, true);
    else storm->may_fail_store = true;
    count(storm, space ? FAULT_FLUSH_NO_SPACE : FAULT_FLUSH_ERROR);
}

/* What is done with files beside writing the log itself: making, naming and removing segments. */
static void break_files(struct storm *storm)
{
    const struct sim_fault fault = {.ops = 1 << DISK_CREATE | 1 << DISK_OPEN | 1 << DISK_RENAME |
                                           1 << DISK_REMOVE | 1 << DISK_SYNC_DIR | 1 << DISK_FILL |
                                           1 << DISK_TRUNCATE | 1 << DISK_FREE_SPACE,
                                    .skip = storm_below(storm, 6),
                                    .hits = 1 + storm_below(storm, 2),
                                    .kind = SIM_FAULT_ERROR,
                                    .err = one_in(storm, 2) ? ERR_IO : ERR_SPACE};
    if (storm->rule != 0 || storm->file_rule != 0) return;
    storm->may_fail_log = true;
    talkers_relax(&storm->talkers, true); /* it may look like want of space */
    storm->file_rule = sim_disk_fault(disk_of(storm), &fault);
    count(storm, FAULT_FILE_ERROR);
}

static void break_store_reads(struct storm *storm)
{
    const struct sim_fault fault = {.ops = 1 << SIM_STORE_GET | 1 << SIM_STORE_WALK |
                                           1 << SIM_STORE_WARM,
                                    .skip = storm_below(storm, 30),
                                    .hits = 1,
                                    .kind = SIM_FAULT_ERROR,
                                    .err = one_in(storm, 2) ? ERR_IO : ERR_CORRUPT};
    storm->may_fail_store = storm->may_be_corrupt = true;
    (void)sim_stores_fault(stores_of(storm), &fault);
    count(storm, FAULT_STORE_READ_ERROR);
}

static void reconfigure(struct storm *storm)
{
    static const char *const modes[] = {"always", "everysec", "none"};
    static const char *const budgets[] = {"4096", "20000", "1000000"};
    size_t mode = storm_below(storm, 3);
    count(storm, FAULT_RECONFIGURED);
    if (one_in(storm, 2)) {
        server_program_configure(&storm->program, "flush-budget-max", budgets[mode]);
        return;
    }
    if (mode != 0) storm->lossy = storm->ever_lossy = true;
    server_program_configure(&storm->program, "durability", modes[mode]);
}

void storm_before_start(struct storm *storm)
{
    storm->start_rule = 0;
    storm->start_hits = sim_disk_fault_hits(disk_of(storm)) +
                        sim_stores_fault_hits(stores_of(storm));
    if (!storm->on[FAULT_START_ERROR] || !one_in(storm, 5)) return;
    const struct sim_fault fault = {.ops = UINT64_MAX,
                                    .skip = storm_below(storm, 60),
                                    .hits = 1,
                                    .kind = SIM_FAULT_ERROR,
                                    .err = one_in(storm, 4) ? ERR_SPACE : ERR_IO};
    storm->start_rule = sim_disk_fault(disk_of(storm), &fault);
    count(storm, FAULT_START_ERROR);
}

bool storm_start_failed(struct storm *storm)
{
    uint64_t hits = sim_disk_fault_hits(disk_of(storm)) + sim_stores_fault_hits(stores_of(storm));
    if (storm->start_rule != 0) sim_disk_unfault(disk_of(storm), storm->start_rule);
    return hits > storm->start_hits;
}

void storm_stream(struct storm *storm, bool begins)
{
    static const enum stream_word words[] = {STREAM_ON,      STREAM_ON,      STREAM_PING,
                                             STREAM_GETACK,  STREAM_PUBLISH, STREAM_SPUBLISH,
                                             STREAM_PUBLISH, STREAM_OFF};
    struct dice *dice = &storm->stream_dice;
    if (!storm->streams || (!begins && !dice_chance(dice, 1, 4))) return;
    enum stream_word word = begins ? STREAM_ON : words[dice_below(dice, 8)];
    struct published published = {(uint8_t)dice_below(dice, 3), bytes_text("news"),
                                  bytes_text("so be it")};
    bool publishes = word == STREAM_PUBLISH || word == STREAM_SPUBLISH;
    struct buffer payload;
    buffer_init(&payload);
    payload_put_stream(&payload, word, publishes ? &published : NULL);
    canon_propose(&storm->program.canon, buffer_bytes(&payload));
    buffer_release(&payload);
}

void storm_tick(struct storm *storm)
{
    if (storm->images) storm_image_tick(storm);
    storm_stream(storm, false);
    if (!one_in(storm, 3)) return;
    enum storm_fault fault = (enum storm_fault)storm_below(storm, STORM_FAULTS);
    if (!storm->on[fault]) return;
    switch (fault) {
    case FAULT_WALL_JUMP: wall_jump(storm); break;
    case FAULT_DRIFT:
        sim_node_drift(storm->program.node, (int64_t)storm_below(storm, 4000) - 2000);
        count(storm, fault);
        break;
    case FAULT_SLOW_DISK: slow_disk(storm); break;
    case FAULT_PAUSE:
        sim_node_pause(storm->program.node, storm_below(storm, 2 * SIM_SECOND));
        count(storm, fault);
        break;
    case FAULT_RESET:
        talkers_reset_one(&storm->talkers);
        count(storm, fault);
        break;
    case FAULT_SYNC_ERROR:
    case FAULT_SYNC_ERROR_KEPT:
    case FAULT_SHORT_WRITE:
        if (one_in(storm, 3)) break_disk(storm, fault);
        break;
    case FAULT_RECONFIGURED: reconfigure(storm); break;
    case FAULT_FILE_ERROR:
        if (one_in(storm, 3)) break_files(storm);
        break;
    case FAULT_STORE_READ_ERROR:
        if (one_in(storm, 3)) break_store_reads(storm);
        break;
    case FAULT_NO_SPACE: no_space(storm); break;
    case FAULT_FLUSH_NO_SPACE: break_store(storm, true); break;
    case FAULT_FLUSH_ERROR:
        if (one_in(storm, 4)) break_store(storm, false);
        break;
    case FAULT_KILL:
    case FAULT_POWER_CUT:
    case FAULT_CRASH_AT_IO:
    case FAULT_CRASH_IN_RECOVERY:
    case FAULT_CLEAN_STOP:
    case FAULT_COLD_STORE:
    case FAULT_DAMAGE_BELOW:
    case FAULT_DAMAGE_ABOVE:
    case FAULT_DAMAGE_SLOT:
    case FAULT_START_ERROR:
    case FAULT_SPOILED:
    case STORM_FAULTS: break;
    }
}

/* Whoever was hit by a failing sync must end, and soon. */
void storm_calm_before_end(struct storm *storm)
{
    if (storm->rule == 0 || sim_disk_fault_waits(disk_of(storm), storm->rule)) return;
    if (sim_node_is_up(storm->program.node) && !storm_wait_down(storm, 30 * SIM_SECOND) &&
        !storm_failed(storm)) {
        sim_world_fail(storm->world, "the server went on after a sync or write had failed");
    }
}

void storm_heal(struct storm *storm)
{
    sim_disk_unfault(disk_of(storm), 0);
    sim_stores_unfault(stores_of(storm), 0);
    sim_disk_set_capacity(disk_of(storm), UINT64_C(1) << 40);
    storm->stall = storm->rule = storm->file_rule = storm->store_rule = storm->image_rule = 0;
    storm->low = false;
    storm->talkers.relaxed = false;
}
