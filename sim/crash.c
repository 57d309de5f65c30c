/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/crash.h"

#include <inttypes.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/storming.h"

/* What is drawn for a seed is replaced by what the script says, so that each is what it is for. */
struct script {
    const char *name;
    enum workload_kind workload;
    enum config_durability durability;
    bool direct, expiry, transactions;
    uint64_t segment_bytes, flush_bytes;
    size_t value_bytes_max;
    unsigned clients, lives;
    uint64_t life_us;
    bool kills;       /* lives end by a kill, not a clean stop */
    unsigned images;  /* that are saved, at least, unless it is crashed */
    bool takes_store; /* between two lives, so that each begins with an install */
    bool archives;
    bool streams; /* the stream of effects is on when the clients begin */
};

static const struct script scripts[] = {
    {"strings", WORKLOAD_STRINGS, CONFIG_DURABILITY_ALWAYS, true, false, false, 64 << 10, 16 << 10,
     60, 3, 1, 30 * SIM_MILLISECOND, false, 0, false, false, false},
    {"rolls", WORKLOAD_MIXED, CONFIG_DURABILITY_ALWAYS, true, false, false, 64 << 10, 4 << 10, 9000,
     2, 1, 60 * SIM_MILLISECOND, false, 0, false, false, false},
    {"waits", WORKLOAD_WAITS, CONFIG_DURABILITY_ALWAYS, false, true, true, 64 << 10, 8 << 10, 100,
     4, 1, 60 * SIM_MILLISECOND, false, 0, false, false, false},
    {"lives", WORKLOAD_MIXED, CONFIG_DURABILITY_ALWAYS, true, true, true, 64 << 10, 4 << 10, 300, 2,
     3, 12 * SIM_MILLISECOND, false, 0, false, false, false},
    {"kills", WORKLOAD_STRINGS, CONFIG_DURABILITY_ALWAYS, false, false, false, 64 << 10, 1 << 20,
     2000, 2, 3, 12 * SIM_MILLISECOND, true, 0, false, false, false},
    {"everysec", WORKLOAD_MIXED, CONFIG_DURABILITY_EVERYSEC, false, false, true, 64 << 10, 8 << 10,
     1500, 2, 1, 40 * SIM_MILLISECOND, false, 0, false, false, false},
    {"images", WORKLOAD_MIXED, CONFIG_DURABILITY_ALWAYS, false, false, false, 64 << 10, 64 << 10,
     100, 2, 1, 40 * SIM_MILLISECOND, false, 3, false, false, false},
    {"installs", WORKLOAD_MIXED, CONFIG_DURABILITY_ALWAYS, false, false, false, 64 << 10, 64 << 10,
     100, 2, 3, 20 * SIM_MILLISECOND, false, 2, true, false, false},
    {"archives", WORKLOAD_STRINGS, CONFIG_DURABILITY_ALWAYS, false, false, false, 64 << 10,
     64 << 10, 100, 1, 1, 230 * SIM_MILLISECOND, true, 0, false, true, false},
    {"effects", WORKLOAD_MIXED, CONFIG_DURABILITY_ALWAYS, false, true, true, 64 << 10, 4 << 10, 100,
     2, 3, 15 * SIM_MILLISECOND, false, 1, true, false, true},
};
enum {
    SCRIPTS = sizeof scripts / sizeof scripts[0],
    LOSING_VARIANT = 3, /* with the power cut right behind the operation */
};

/* Where to crash; UINT64_MAX: nowhere. The second one counts from the start after the first. */
struct point {
    uint64_t io, again_io;
    unsigned variant, again_variant;
    bool loses; /* after the last crash the newest segment of the log is removed */
};

struct course {
    uint64_t io;          /* operations of the whole script, when it was not crashed */
    uint64_t recovery_io; /* of the start after the first crash */
    bool crashed;
};

static void apply_script(struct storm *storm, const struct script *script)
{
    memset(storm->on, 0, sizeof storm->on);
    storm->scripted = true;
    struct server_settings *settings = &storm->program.settings;
    settings->durability = script->durability;
    storm->lossy = storm->ever_lossy = script->durability != CONFIG_DURABILITY_ALWAYS;
    settings->direct = script->direct;
    settings->segment_bytes = script->segment_bytes;
    settings->flush_bytes_min = 4 << 10;
    settings->flush_bytes_max = script->flush_bytes;
    settings->image_keep = 1;
    settings->save = "";
    settings->archives = script->archives;
    storm->images = script->images > 0;
    storm->streams = script->streams;
    settings->effects_bytes = 5000;
    storm->archivist.pause_us = 3 * SIM_MILLISECOND;
    storm->workload.kind = script->workload;
    storm->workload.expiry = script->expiry;
    storm->workload.transactions = script->transactions;
    storm->workload.keys = 4;
    storm->workload.value_bytes_max = script->value_bytes_max;
    storm->finish_us = 10 * SIM_MILLISECOND;
    struct talkers_options options = {.count = script->clients, .patience_us = 20 * SIM_SECOND};
    /* The archiver works by the tick, so that takes long. */
    options.think_us_max = script->archives ? 200 * SIM_MILLISECOND : 500;
    talkers_release(&storm->talkers);
    talkers_init(&storm->talkers, storm->program.node, &storm->workload, &storm->ops, &options);
}

static void arm_at(struct storm *storm, uint64_t io, unsigned variant)
{
    struct sim_crash crash;
    bool known = sim_crash_variant(variant, &crash);
    MUST(known);
    crash.io = io;
    storm->armed = crash.cut;
    sim_node_crash_at(storm->program.node, &crash);
}

/* The lives of the script; false: it was crashed on the way (or a check failed). */
static bool run_lives(struct storm *storm, const struct script *script, const struct point *point)
{
    struct sim_node *node = storm->program.node;
    for (unsigned i = 0; i < script->lives; i++) {
        if (point->io != UINT64_MAX && point->io >= sim_node_io(node)) {
            arm_at(storm, point->io, point->variant);
        }
        if (script->takes_store && i > 0) storm_take_store(storm);
        if (!storm_start(storm)) return false;
        /* A word to the stream goes with what expires, and so waits for its tick. */
        if (script->streams) (void)sim_world_run_for(storm->world, 110 * SIM_MILLISECOND);
        if (storm_failed(storm) || !sim_node_is_up(node)) return false;
        storm_go(storm, true);
        (void)sim_world_run_for(storm->world, script->life_us);
        if (storm_failed(storm) || !sim_node_is_up(node)) return false;
        if (script->kills) {
            sim_node_crash(node, (struct sim_cut){SIM_KEEP_CACHE, 0});
            continue;
        }
        storm_stop(storm);
        if (storm_failed(storm) || storm->program.end == SIM_END_CRASH) return false;
    }
    return true;
}

/* Starts the crashed node, perhaps to be crashed in the middle of that; leaves it down. */
static void recover(struct storm *storm, const struct point *point, struct course *course)
{
    struct sim_node *node = storm->program.node;
    course->crashed = true;
    storm_crashed(storm, storm->armed);
    bool again = point->again_io != UINT64_MAX;
    if (point->loses && !again) storm_lose_newest(storm);
    uint64_t from = sim_node_io(node);
    if (again) arm_at(storm, from + point->again_io, point->again_variant);
    if (storm_start(storm)) {
        course->recovery_io = sim_node_io(node) - from;
        sim_node_crash(node, (struct sim_cut){SIM_KEEP_CACHE, 0});
    } else if (!storm_failed(storm)) {
        storm_crashed(storm, storm->armed);
        if (point->loses) storm_lose_newest(storm);
    }
}

static void run_script(const struct script *script, const struct point *point,
                       struct course *course, struct storm_result *result)
{
    uint64_t seed = (uint64_t)(script - scripts) + 1;
    struct storm_options options = {.seed = seed, .workload = (int)script->workload, .trace = NULL};
    struct storm *storm = storm_open(&options, result);
    *course = (struct course){.io = 0};
    apply_script(storm, script);
    bool whole = run_lives(storm, script, point);
    course->io = sim_node_io(storm->program.node);
    if (whole && storm->program.gallery.saved < script->images)
        sim_world_fail(storm->world, "the script saves fewer than %u images", script->images);
    if (whole && script->archives && storm->program.archived == 0)
        sim_world_fail(storm->world, "the script archives nothing");
    const struct canon *canon = &storm->program.canon;
    if (whole && script->streams &&
        (canon->flushed.at == 0 || canon->facts[canon->flushed.at - 1].stream_end == 0))
        sim_world_fail(storm->world, "the last life of the script begins without the stream");
    if (!whole && !storm_failed(storm)) recover(storm, point, course);
    storm->scripted = false;
    if (!storm_failed(storm)) storm_finish(storm);
    storm_close(storm);
}

/* --- All points --- */

struct walk {
    const struct crash_options *options;
    struct crash_result *result;
    const struct script *script;
};

static bool is_over(const struct walk *walk)
{
    const struct crash_options *options = walk->options;
    uint64_t done = walk->result->points + walk->result->again;
    return (options->points_max != 0 && done >= options->points_max) ||
           (options->first_failure && walk->result->failures > 0);
}

static void run_point(struct walk *walk, const struct point *point, struct course *course)
{
    struct storm_result storm;
    run_script(walk->script, point, course, &storm);
    struct crash_result *result = walk->result;
    if (point->again_io == UINT64_MAX) result->points++;
    else result->again++;
    if (storm.failure[0] == '\0') return;
    result->failures++;
    if (result->failure[0] != '\0') return;
    char again[64] = "";
    if (point->again_io != UINT64_MAX) {
        (void)snprintf(again, sizeof again, ", again at I/O %" PRIu64 " variant %u",
                       point->again_io, point->again_variant);
    }
    (void)snprintf(result->failure, sizeof result->failure,
                   "script %s crashed at I/O %" PRIu64 " variant %u%s%s: %.500s",
                   walk->script->name, point->io, point->variant, again,
                   point->loses ? ", newest segment removed" : "", storm.failure);
}

/* Crashes again in the recovery from this point. */
static void run_again(struct walk *walk, struct point point, uint64_t recovery_io)
{
    struct course course;
    struct sim_crash crash;
    unsigned variants = 0;
    while (sim_crash_variant(variants, &crash)) variants++;
    if (recovery_io == 0) return;
    if (!walk->options->deep) { /* one of them, another one for each point */
        uint64_t facts[2] = {point.io, point.variant};
        uint64_t dice = checksum64(bytes_of(facts, sizeof facts), 1);
        point.again_io = dice % recovery_io;
        point.again_variant = (unsigned)(dice >> 32) % variants;
        run_point(walk, &point, &course);
        return;
    }
    for (point.again_io = 0; point.again_io < recovery_io && !is_over(walk); point.again_io++) {
        for (point.again_variant = 0; point.again_variant < variants; point.again_variant++) {
            run_point(walk, &point, &course);
        }
    }
}

static void run_all(struct walk *walk)
{
    struct point point = {.io = UINT64_MAX, .again_io = UINT64_MAX};
    struct course whole, course;
    run_point(walk, &point, &whole);
    struct sim_crash crash;
    for (point.io = 0; point.io < whole.io; point.io++) {
        for (point.variant = 0; sim_crash_variant(point.variant, &crash); point.variant++) {
            if (is_over(walk)) return;
            run_point(walk, &point, &course);
            if (course.crashed) run_again(walk, point, course.recovery_io);
        }
        point.variant = LOSING_VARIANT;
        point.loses = true;
        if (is_over(walk)) return;
        run_point(walk, &point, &course);
        if (course.crashed) run_again(walk, point, course.recovery_io);
        point.loses = false;
    }
}

const char *crash_script_name(size_t i)
{
    return i < SCRIPTS ? scripts[i].name : NULL;
}

bool crash_script_known(const char *name)
{
    for (size_t i = 0; i < SCRIPTS; i++) {
        if (strcmp(scripts[i].name, name) == 0) return true;
    }
    return false;
}

void crash_run(const struct crash_options *options, struct crash_result *result)
{
    *result = (struct crash_result){.points = 0};
    struct walk walk = {options, result, NULL};
    for (size_t i = 0; i < SCRIPTS; i++) {
        walk.script = &scripts[i];
        if (options->script != NULL && strcmp(options->script, scripts[i].name) != 0) continue;
        if (!is_over(&walk)) run_all(&walk);
    }
}
