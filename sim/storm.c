/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/storm.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "sim/disk.h"
#include "sim/net.h"
#include "sim/search.h"
#include "sim/store.h"
#include "sim/storming.h"

static const char *const fault_names[STORM_FAULTS] = {
    "kill",         "power_cut",      "crash_at_io",      "crash_in_recovery",
    "clean_stop",   "sync_error",     "sync_error_kept",  "short_write",
    "no_space",     "flush_no_space", "flush_error",      "wall_jump",
    "drift",        "cold_store",     "slow_disk",        "pause",
    "reset",        "damage_below",   "damage_above",     "damage_slot",
    "start_error",  "file_error",     "store_read_error", "spoiled",
    "reconfigured",
};

const char *storm_fault_name(enum storm_fault fault)
{
    return fault_names[fault];
}

uint64_t storm_below(struct storm *storm, uint64_t bound)
{
    return dice_below(&storm->dice, bound);
}

bool storm_failed(const struct storm *storm)
{
    return sim_world_failure(storm->world) != NULL;
}

/* --- What a power cut takes, in the modes that allow it --- */

static void check_ops(struct storm *storm)
{
    struct oracle_result checked;
    oracle_check(&storm->program.canon, &storm->ops, &checked);
    storm->result->relaxed += checked.relaxed;
    storm->result->told += checked.told;
    if (checked.failure[0] != '\0') sim_world_fail(storm->world, "%s", checked.failure);
}

/* Where nothing may be lost and keys are registers, a checker that knows no log has its say too. */
static void search(struct storm *storm)
{
    if (storm->ever_lossy || storm->workload.kind != WORKLOAD_REGISTERS) return;
    struct search_result result;
    search_ops(&storm->ops, &result);
    storm->result->searched += result.ops;
    if (result.failure[0] != '\0') sim_world_fail(storm->world, "%s", result.failure);
}

static void losing(struct canon_listener *listener, uint64_t keep)
{
    struct storm *storm = CONTAINER_OF(listener, struct storm, listener);
    check_ops(storm);
    oracle_forget(&storm->ops, keep);
    if (storm->talkers.told > keep) storm->talkers.told = keep;
    if (storm->archivist.floor > keep) storm->archivist.floor = keep; /* asked in between */
}

/* The node is down after a crash with this cut. */
void storm_crashed(struct storm *storm, struct sim_cut cut)
{
    storm->stopped_clean = false;
    if (cut.keep == SIM_KEEP_CACHE) return;
    if (!storm->lossy) return;
    canon_allow_loss(&storm->program.canon);
    talkers_drop(&storm->talkers);
}

/* --- Conditions --- */

struct up_or_down {
    struct sim_condition base;
    struct storm *storm;
};

static bool met_ready_or_down(struct sim_condition *base)
{
    const struct storm *storm = CONTAINER_OF(base, struct up_or_down, base)->storm;
    return storm->program.ready || !sim_node_is_up(storm->program.node);
}

static bool met_down(struct sim_condition *base)
{
    return !sim_node_is_up(CONTAINER_OF(base, struct up_or_down, base)->storm->program.node);
}

static bool met_idle(struct sim_condition *base)
{
    const struct storm *storm = CONTAINER_OF(base, struct up_or_down, base)->storm;
    return talkers_idle(&storm->talkers) && archivist_idle(&storm->archivist);
}

static bool met_tidy(struct sim_condition *base)
{
    struct storm *storm = CONTAINER_OF(base, struct up_or_down, base)->storm;
    return gallery_is_tidy(&storm->program.gallery);
}

static bool wait_for(struct storm *storm, bool (*met)(struct sim_condition *), uint64_t limit_us)
{
    struct up_or_down condition = {{met}, storm};
    return sim_world_run_until(storm->world, &condition.base, limit_us);
}

bool storm_wait_down(struct storm *storm, uint64_t limit_us)
{
    return wait_for(storm, met_down, limit_us);
}

void storm_go(struct storm *storm, bool going)
{
    talkers_go(&storm->talkers, going);
    if (storm->images) archivist_go(&storm->archivist, going);
}

/* --- Start and stop --- */

static void arm(struct storm *storm, uint64_t within)
{
    struct sim_crash crash = {.io = 0};
    unsigned variants = 0;
    while (sim_crash_variant(variants, &crash)) variants++;
    (void)sim_crash_variant((unsigned)storm_below(storm, variants), &crash);
    crash.io = sim_node_io(storm->program.node) + storm_below(storm, within);
    storm->armed = crash.cut;
    sim_node_crash_at(storm->program.node, &crash);
}

static void fail_end(struct storm *storm, const char *what)
{
    const struct server_program *program = &storm->program;
    static const char *const ends[] = {"stop", "exit", "refused", "crash", "must"};
    sim_world_fail(storm->world, "%s: end=%s status=%d %s", what, ends[program->end],
                   program->status, program->end == SIM_END_REFUSED ? program->why.text : "");
}

/* The node was brought up and has gone down again, or stands: whether to try once more. */
static bool start_once(struct storm *storm)
{
    struct server_program *program = &storm->program;
    bool crash = storm->on[FAULT_CRASH_IN_RECOVERY] && storm_below(storm, 3) == 0;
    if (crash) arm(storm, 50);
    storm_before_start(storm);
    storm_gate_before(storm);
    if (sim_node_start(program->node) && !wait_for(storm, met_ready_or_down, 60 * SIM_SECOND)) {
        sim_world_fail(storm->world, "start: not ready within a minute");
        return false;
    }
    bool failing = storm_start_failed(storm), again = storm_gate_after(storm, failing);
    if (program->ready && storm->spoiled != NULL) {
        if (!storm->may_serve) sim_world_fail(storm->world, "a start went on: %s", storm->spoiled);
        storm->spoiled = NULL;
    }
    if (program->ready) {
        storm->stopping = false;
        if (!storm->scripted) sim_node_crash_at(program->node, NULL);
        return false;
    }
    if (program->end == SIM_END_CRASH) {
        storm->result->faults[FAULT_CRASH_IN_RECOVERY]++;
        storm_crashed(storm, storm->armed);
        if (storm->scripted) return false;
    } else if (!failing && !again && !storm_spoiling_found(storm)) {
        fail_end(storm, "start refused");
    }
    return true;
}

bool storm_start(struct storm *storm)
{
    for (unsigned i = 0; i < 20 && !storm_failed(storm); i++) {
        if (!start_once(storm)) break;
        (void)sim_world_run_for(storm->world, 1 + storm_below(storm, 50 * SIM_MILLISECOND));
    }
    if (storm_failed(storm)) return false;
    if (storm->scripted && !storm->program.ready) return false;
    if (!storm->program.ready) sim_world_fail(storm->world, "start: never ready");
    storm->result->lives++;
    storm_stream(storm, true);
    return storm->program.ready;
}

/* After a clean stop the store holds everything, byte for byte what its digest says. */
static void check_stopped(struct storm *storm)
{
    struct server_program *program = &storm->program;
    const struct canon *canon = &program->canon;
    if (program->end == SIM_END_CRASH && storm->scripted) return;
    if (program->end != SIM_END_EXIT) {
        fail_end(storm, "clean stop");
        return;
    }
    if (program->status != 0) {
        if (!storm_may_exit(storm, program->status)) fail_end(storm, "clean stop");
        return;
    }
    if (storm->talkers.relaxed) return; /* with a full disk the log has everything */
    sim_stores_unfault(sim_node_stores(program->node), 0);
    if (!server_program_recount(program)) {
        sim_world_fail(storm->world, "recount: %s", program->why.text);
        return;
    }
    const struct state_recount *recount = &program->recount;
    if (recount->mark.lsn.at != canon->count) {
        sim_world_fail(storm->world, "clean stop flushed LSN %" PRIu64 " of %" PRIu64,
                       recount->mark.lsn.at, canon->count);
    }
    if (!digest_equal(recount->running, recount->recounted)) {
        sim_world_fail(storm->world,
                       "recount: the digest of LSN %" PRIu64 " is not the one of its records",
                       recount->mark.lsn.at);
    }
    if (canon->count > 0 &&
        !digest_equal(recount->running, canon->facts[canon->count - 1].digest)) {
        sim_world_fail(storm->world, "recount: another digest than LSN %" PRIu64 " left",
                       recount->mark.lsn.at);
    }
    storm->stopped_clean = true;
}

void storm_stop(struct storm *storm)
{
    storm->stopping = true;
    talkers_relax(&storm->talkers, storm->talkers.relaxed);
    server_program_stop(&storm->program);
    bool down = storm_wait_down(storm, 30 * SIM_SECOND);
    if (!down && storm->low && !storm_failed(storm)) {
        storm_give_space(storm); /* what was admitted when there was space waits for it */
        down = storm_wait_down(storm, 30 * SIM_SECOND);
    }
    if (!down && !storm_failed(storm)) {
        sim_world_fail(storm->world, "clean stop: still up after half a minute");
        return;
    }
    if (!storm_failed(storm)) check_stopped(storm);
}

void storm_check_gap(struct storm *storm)
{
    const struct canon *canon = &storm->program.canon;
    if (storm->stopped_clean && canon->life_applied > canon->life_new) {
        sim_world_fail(storm->world, "a start after a clean stop replayed %" PRIu64 " entries",
                       canon->life_applied - canon->life_new);
    }
    storm->stopped_clean = false;
}

/* --- A life --- */

static void storm_arm_end(struct storm *storm)
{
    if (storm->on[FAULT_CRASH_AT_IO] && storm_below(storm, 2) == 0) arm(storm, 400);
}

/* The node went down by itself in the middle of its work: was that to be? */
static void went_down(struct storm *storm)
{
    const struct server_program *program = &storm->program;
    if (program->end == SIM_END_CRASH) {
        storm->result->faults[FAULT_CRASH_AT_IO]++;
        storm_crashed(storm, storm->armed);
        return;
    }
    if (program->end == SIM_END_EXIT && storm_may_exit(storm, program->status)) return;
    fail_end(storm, "the server ended");
}

static void end_life(struct storm *storm)
{
    struct server_program *program = &storm->program;
    sim_node_crash_at(program->node, NULL);
    storm_calm_before_end(storm);
    if (!sim_node_is_up(program->node) || storm_failed(storm)) return;
    unsigned kinds[3], count = 0;
    if (storm->on[FAULT_KILL]) kinds[count++] = FAULT_KILL;
    if (storm->on[FAULT_POWER_CUT]) kinds[count++] = FAULT_POWER_CUT;
    if (storm->on[FAULT_CLEAN_STOP] || count == 0) kinds[count++] = FAULT_CLEAN_STOP;
    enum storm_fault kind = (enum storm_fault)kinds[storm_below(storm, count)];
    storm->result->faults[kind]++;
    if (kind == FAULT_CLEAN_STOP) {
        storm_stop(storm);
        return;
    }
    struct sim_cut cut = {SIM_KEEP_CACHE, 0};
    if (kind == FAULT_POWER_CUT) {
        cut.keep = (enum sim_keep)(1 + storm_below(storm, SIM_KEEPS - 1));
        cut.number = storm_below(storm, 1000);
    }
    sim_node_crash(program->node, cut);
    storm_crashed(storm, cut);
}

static void live(struct storm *storm)
{
    storm_life_begins(storm);
    storm_arm_end(storm);
    storm_go(storm, true);
    unsigned ticks = 5 + (unsigned)storm_below(storm, storm->ticks_max);
    for (unsigned i = 0; i < ticks && !storm_failed(storm); i++) {
        (void)sim_world_run_for(storm->world, 1 + storm_below(storm, 40 * SIM_MILLISECOND));
        if (!sim_node_is_up(storm->program.node)) {
            went_down(storm);
            return;
        }
        storm_tick(storm);
    }
    if (!storm_failed(storm)) end_life(storm);
    if (!storm_failed(storm) && !sim_node_is_up(storm->program.node) &&
        storm->program.end == SIM_END_EXIT && storm->program.status != 0) {
        went_down(storm);
    }
}

/* Everyone is answered; an image that is asked for now is saved, and those before it are gone. */
static void come_to_rest(struct storm *storm)
{
    storm_go(storm, false);
    bool idle = wait_for(storm, met_idle, 60 * SIM_SECOND);
    if (idle && storm->images) {
        archivist_save(&storm->archivist);
        idle = wait_for(storm, met_idle, 60 * SIM_SECOND);
        if (idle) {
            (void)wait_for(storm, met_tidy, 10 * SIM_SECOND);
            gallery_rests(&storm->program.gallery);
        }
    }
    if (!idle && !storm_failed(storm))
        sim_world_fail(storm->world, "a client is not answered within a minute");
}

/* The last life is calm: everyone is answered, the stop is clean, and so is the next start. */
void storm_finish(struct storm *storm)
{
    storm_heal(storm);
    memset(storm->on, 0, sizeof storm->on);
    if (!storm_start(storm)) return;
    storm_check_gap(storm);
    storm_life_begins(storm);
    storm_go(storm, true);
    (void)sim_world_run_for(storm->world, storm->finish_us);
    come_to_rest(storm);
    if (storm_failed(storm)) return;
    if (!sim_node_is_up(storm->program.node)) {
        fail_end(storm, "the server ended in calm");
        return;
    }
    storm->low = false;
    storm_stop(storm);
    if (storm_failed(storm) || !storm_start(storm)) return;
    storm_check_gap(storm);
    storm_stop(storm);
    if (storm_failed(storm)) return;
    check_ops(storm);
    search(storm);
    if (!storm_failed(storm)) storm_check_archive(storm);
}

static void fill_result(struct storm *storm)
{
    struct storm_result *result = storm->result;
    const struct canon *canon = &storm->program.canon;
    const char *failure = sim_world_failure(storm->world);
    if (failure != NULL) snprintf(result->failure, sizeof result->failure, "%s", failure);
    result->hash = sim_world_hash(storm->world);
    result->ops = storm->ops.count;
    result->entries = canon->count + canon->lost;
    result->simulated_us = sim_world_now_us(storm->world);
    result->replayed = canon->again;
    result->pendings = canon->pendings;
    result->lost = canon->lost;
    result->turns = sim_world_turns(storm->world);
    result->images = storm->program.gallery.saved;
    result->faults[FAULT_RESET] += storm->talkers.hang_ups;
}

struct storm *storm_open(const struct storm_options *options, struct storm_result *result)
{
    *result = (struct storm_result){.hash = 0};
    struct storm *storm = memory_zeroed(1, sizeof *storm);
    storm->result = result;
    storm->world = sim_world_open(options->seed);
    sim_world_print(storm->world, options->trace);
    storm_draw(storm, options);
    storm->listener.losing = losing;
    storm->program.canon.listener = &storm->listener;
    return storm;
}

void storm_close(struct storm *storm)
{
    fill_result(storm);
    archivist_release(&storm->archivist);
    talkers_release(&storm->talkers);
    workload_release(&storm->workload);
    ops_release(&storm->ops);
    storm_stores_release(storm);
    buffer_release(&storm->whole);
    buffer_release(&storm->old_log);
    sim_world_close(storm->world);
    server_program_release(&storm->program);
    memory_free(storm);
}

void storm_run(const struct storm_options *options, struct storm_result *result)
{
    struct storm *storm = storm_open(options, result);
    for (unsigned i = 0; i < storm->lives && !storm_failed(storm); i++) {
        if (!storm_start(storm)) break;
        storm_check_gap(storm);
        live(storm);
        if (!storm_failed(storm)) storm_while_down(storm);
    }
    if (!storm_failed(storm)) storm_finish(storm);
    storm_close(storm);
}
