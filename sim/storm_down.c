/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a server's files while it is down: bad sectors, garbage, and what operators do.
 */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "sim/disk.h"
#include "sim/probe.h"
#include "sim/storming.h"
#include "sim/swap.h"

#define IDENTITY "data/identity"
#define POINTER "data/keys/current"

static struct sim_disk *disk_of(const struct storm *storm)
{
    return sim_node_disk(storm->program.node);
}

static bool one_in(struct storm *storm, uint64_t n)
{
    return storm_below(storm, n) == 0;
}

/* --- What a start must survive --- */

/* One slot; the other one must be on the platter, else a power cut could take that one too. */
static void damage_slot(struct storm *storm, const struct probe *seen, const struct probe *kept)
{
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        if (!seen->slot_good[i] || !kept->slot_good[i]) return;
        if (seen->slot[i].sequence != kept->slot[i].sequence) return;
    }
    const char *path = probe_slot_path((unsigned)storm_below(storm, 2));
    (void)sim_disk_damage(disk_of(storm), path, 0, LOG_SUPERBLOCK_BYTES,
                          one_in(storm, 2) ? SIM_DAMAGE_FLIP : SIM_DAMAGE_GARBAGE);
    storm->result->faults[FAULT_DAMAGE_SLOT]++;
    sim_world_say(storm->world, "storm damage %s", path);
}

static void damage_above(struct storm *storm, const struct probe *probe)
{
    if (probe->end >= probe->size) return;
    (void)sim_disk_damage(disk_of(storm), probe->segment, probe->end, 1 + storm_below(storm, 6000),
                          SIM_DAMAGE_GARBAGE);
    storm->result->faults[FAULT_DAMAGE_ABOVE]++;
}

/* --- What a start must refuse --- */

static void save(struct storm *storm)
{
    buffer_clear(&storm->whole);
    swap_save(disk_of(storm), &storm->whole);
}

/* How many batches of the newest segment are recorded as durable, so that it stays recorded
 * whatever the next power cut takes. */
static unsigned batches_below(const struct probe *kept)
{
    unsigned below = 0;
    while (below < kept->batch_count && kept->batches[below].last <= kept->durable &&
           kept->batches[below].last >= kept->batches[below].first) {
        below++;
    }
    return below;
}

/* Whether every slot that can be read names the newest segment. */
static bool newest_is_named(const struct probe *kept)
{
    bool named = false;
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        if (!kept->slot_good[i]) continue;
        named = kept->slot[i].state != LOG_MAKING &&
                kept->slot[i].newest_sequence >= kept->sequence;
        if (!named) return false;
    }
    return named;
}

/* One that is not named yet may be missed by nobody: then it held nothing that counted. */
static void lose_newest(struct storm *storm, const struct probe *seen, const struct probe *kept)
{
    if (kept->segment[0] == '\0' || seen->sequence != kept->sequence) return;
    save(storm);
    (void)sim_disk_unlink(disk_of(storm), kept->segment);
    storm->may_serve = !newest_is_named(kept) || !probe_started(disk_of(storm));
    storm->spoiled = "the newest segment was removed";
}

void storm_lose_newest(struct storm *storm)
{
    struct probe *probes = memory_zeroed(2, sizeof *probes);
    probe_log(disk_of(storm), false, &probes[0]);
    probe_log(disk_of(storm), true, &probes[1]);
    lose_newest(storm, &probes[0], &probes[1]);
    memory_free(probes);
}

static void damage_below(struct storm *storm, const struct probe *kept)
{
    unsigned below = batches_below(kept);
    if (below == 0) return;
    const struct probe_batch *batch = &kept->batches[storm_below(storm, below)];
    save(storm);
    uint64_t at = batch->offset + storm_below(storm, batch->size);
    (void)sim_disk_damage(disk_of(storm), kept->segment, at, 1, SIM_DAMAGE_FLIP);
    storm->spoiled = "a durable batch was damaged";
    storm->result->faults[FAULT_DAMAGE_BELOW]++;
    sim_world_say(storm->world,
                  "storm damage %s at=%" PRIu64 " lsn=%" PRIu64 "..%" PRIu64 " durable=%" PRIu64,
                  kept->segment, at, batch->first, batch->last, kept->durable);
}

/* The first time the files are kept; later they take the place of newer ones, if the store has gone
 * on since. If it is another one since, which the pointer of then does not name, they would be an
 * older state as a whole, which no start can tell from the newest: newer files are kept then. */
static void put_old_log(struct storm *storm)
{
    const struct canon *canon = &storm->program.canon;
    if (!swap_agrees(disk_of(storm), &storm->old_log, POINTER)) buffer_clear(&storm->old_log);
    if (storm->old_log.size == 0) {
        struct probe *probe = memory_zeroed(1, sizeof *probe);
        swap_save(disk_of(storm), &storm->old_log);
        probe_log(disk_of(storm), false, probe);
        storm->old_end = probe->batch_count == 0 ? UINT64_MAX : probe->last;
        memory_free(probe);
    } else if (canon->flushed.at > storm->old_end) {
        save(storm);
        swap_put(disk_of(storm), &storm->old_log);
        storm->spoiled = "an older log was put there";
    }
}

static void spoil(struct storm *storm, const struct probe *seen, const struct probe *kept)
{
    struct sim_disk *disk = disk_of(storm);
    struct buffer nothing;
    buffer_init(&nothing);
    storm->may_serve = false;
    unsigned kind = (unsigned)storm_below(storm, 6);
    bool has_store = storm->program.canon.flushed.at > 0;
    if (kind == 0) {
        put_old_log(storm);
    } else if (kind == 1) {
        save(storm);
        for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
            (void)sim_disk_damage(disk, probe_slot_path(i), 0, LOG_SUPERBLOCK_BYTES,
                                  SIM_DAMAGE_GARBAGE);
        }
        storm->spoiled = "both superblocks were damaged";
    } else if (kind == 2) {
        lose_newest(storm, seen, kept);
    } else if (kind == 3) {
        save(storm);
        if (sim_disk_unlink(disk, IDENTITY)) storm->spoiled = "the identity was removed";
    } else if (kind == 4) {
        save(storm);
        bool there = sim_disk_damage(disk, IDENTITY, storm_below(storm, 60), 1, SIM_DAMAGE_FLIP);
        if (there) storm->spoiled = "the identity was damaged";
    } else if (kind == 5 && has_store) {
        save(storm);
        swap_put_log(disk, &nothing);
        storm->spoiled = "the log was removed";
    }
    if (storm->spoiled == NULL) return;
    storm->result->faults[FAULT_SPOILED]++;
    sim_world_say(storm->world, "storm spoiled: %s", storm->spoiled);
}

bool storm_spoiling_found(struct storm *storm)
{
    const struct server_program *program = &storm->program;
    if (storm->spoiled == NULL || program->end != SIM_END_REFUSED) return false;
    if (program->status != EXIT_STATUS_CORRUPT && program->status != EXIT_STATUS_REFUSED) {
        return false;
    }
    swap_put(disk_of(storm), &storm->whole);
    storm->spoiled = NULL;
    return true;
}

void storm_while_down(struct storm *storm)
{
    storm_heal(storm);
    struct probe *probes = memory_zeroed(2, sizeof *probes), *seen = probes, *kept = probes + 1;
    probe_log(disk_of(storm), false, seen);
    probe_log(disk_of(storm), true, kept); /* what else is seen may be lost with the power */
    if (storm->on[FAULT_DAMAGE_SLOT] && one_in(storm, 2)) damage_slot(storm, seen, kept);
    if (storm->on[FAULT_DAMAGE_ABOVE] && one_in(storm, 2)) damage_above(storm, seen);
    probe_log(disk_of(storm), true, kept);
    if (storm->on[FAULT_DAMAGE_BELOW] && one_in(storm, 2)) damage_below(storm, kept);
    if (storm->on[FAULT_SPOILED] && storm->spoiled == NULL && one_in(storm, 2)) {
        probe_log(disk_of(storm), false, seen);
        spoil(storm, seen, kept);
    }
    memory_free(probes);
    storm_doctor(storm);
    (void)sim_world_run_for(storm->world, storm_below(storm, 300 * SIM_MILLISECOND));
}
