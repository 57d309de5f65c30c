/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/checksum.h"
#include "sim/clustering.h"
#include "sim/disk.h"
#include "sim/net.h"
#include "sim/store.h"

static bool one_in(struct cluster *cluster, uint64_t n)
{
    return cluster_below(cluster, n) == 0;
}

static void count(struct cluster *cluster, enum cluster_fault fault)
{
    cluster->result->faults[fault]++;
}

static struct sim_disk *disk_of(const struct cluster *cluster, unsigned index)
{
    return sim_node_disk(cluster->nodes[index]);
}

/* --- What a seed is like --- */

static void draw_settings(struct cluster *cluster)
{
    static const uint64_t segments[] = {64 << 10, 128 << 10, 256 << 10};
    static const uint64_t budgets[] = {16 << 10, 64 << 10, 1 << 20};
    static const uint64_t behind[] = {60 << 10, 400 << 10, 64 << 20};
    static const uint64_t ahead[] = {0, 2 << 10, 64 << 10, 1 << 30};
    static const uint64_t rates[] = {0, 0, 100 << 10};
    static const char *const saves[] = {"", "1 20", "3 200"};
    unsigned most = cluster->count < 3 ? cluster->count : 2;
    cluster->settings = (struct sibling_settings){
        .all = one_in(cluster, 2),
        .min_in_sync = 1 + (unsigned)cluster_below(cluster, most),
        .direct = one_in(cluster, 2),
        .segment_bytes = segments[cluster_below(cluster, 3)],
        .flush_bytes_max = budgets[cluster_below(cluster, 3)],
        .save = saves[cluster_below(cluster, 3)],
        .behind_bytes = behind[cluster_below(cluster, 3)],
        .ahead_bytes = ahead[cluster_below(cluster, 4)],
        .drop_after_s = cluster_below(cluster, 6),
        .image_bytes_per_s = rates[cluster_below(cluster, 3)],
    };
}

static void draw_copy(struct cluster *cluster, unsigned index)
{
    struct sim_node_options options = {
        .drift_ppm = cluster->on[CLUSTER_DRIFT] ? (int64_t)cluster_below(cluster, 2000) - 1000 : 0,
        .wall_offset_ms = INT64_C(1700000000000) + (int64_t)cluster_below(cluster, 2000) - 1000,
        .memory_bytes_max = 256 << 20,
    };
    struct sibling *copy = &cluster->copies[index];
    sibling_init(copy, &cluster->annals, index, &cluster->settings, &options);
    cluster->nodes[index] = copy->node;
    copy->told = &cluster->result->told;
    if (index > 0) (void)snprintf(copy->follow, sizeof copy->follow, "n1 %u", SIBLING_PORT);
    bool fast = one_in(cluster, 2);
    *sim_disk_profile(disk_of(cluster, index)) = sim_disk_like(fast,
                                                               1 + cluster_below(cluster, 10));
    *sim_stores_profile(sim_node_stores(copy->node)) = (struct sim_stores_profile){
        .cached_per_million = one_in(cluster, 2) ? 200000 : 950000,
        .evicted_per_million = 1000,
        .flush_us_min = 200,
        .flush_us_max = 200 + cluster_below(cluster, 20000),
        .warm_us_min = 50,
        .warm_us_max = 2000,
    };
}

static void draw_clients(struct cluster *cluster)
{
    struct dice *dice = sim_world_dice(cluster->world, SIM_DICE_WORKLOAD);
    workload_init(&cluster->workload, (enum workload_kind)cluster_below(cluster, WORKLOADS), dice);
    cluster->workload.expiry = one_in(cluster, 2);
    cluster->workload.transactions = cluster->workload.kind != WORKLOAD_REGISTERS &&
                                     !one_in(cluster, 4);
    cluster->workload.keys = 2 + (unsigned)cluster_below(cluster, 12);
    static const size_t sizes[] = {50, 400, 3000};
    cluster->workload.value_bytes_max = sizes[cluster_below(cluster, 3)];
    struct talkers_options options = {
        .count = 2 + (unsigned)cluster_below(cluster, 4),
        .think_us_max = 1000 + cluster_below(cluster, 60000),
        .hang_up_per_million = cluster->on[CLUSTER_CLIENT_RESET] ? 20000 : 0,
        .patience_us = 20 * SIM_SECOND,
    };
    sim_net_profile(cluster->world)->silence_us_max = 200 * SIM_MILLISECOND;
    talkers_init(&cluster->talkers, cluster->nodes[0], &cluster->workload, &cluster->ops, &options);
    /* Where too few copies are in sync no entry can remove what has expired. */
    talkers_relax(&cluster->talkers, true);
}

void cluster_draw(struct cluster *cluster, const struct cluster_options *options)
{
    uint64_t seed = options->seed;
    dice_init(&cluster->dice, checksum64(bytes_of(&seed, sizeof seed), 11));
    cluster->count = options->copies;
    for (unsigned i = 0; i < CLUSTER_FAULTS; i++) cluster->on[i] = one_in(cluster, 2);
    cluster->forces = one_in(cluster, 2);
    cluster->ticks = 10 + (unsigned)cluster_below(cluster, 60);
    cluster->patience_us = SIM_SECOND + cluster_below(cluster, 4 * SIM_SECOND);
    draw_settings(cluster);
    for (unsigned i = 0; i < cluster->count; i++) draw_copy(cluster, i);
    draw_clients(cluster);
    cluster->weather = (struct weather){.nodes = cluster->nodes,
                                        .count = cluster->count,
                                        .gap_us_max = 1 + cluster_below(cluster, 3 * SIM_SECOND),
                                        .pause_us_max = 4 * SIM_SECOND};
    sim_world_say(cluster->world,
                  "cluster mode=%s min_in_sync=%u segment=%" PRIu64 " behind=%" PRIu64
                  " drop_after=%" PRIu64 " forces=%d workload=%s",
                  cluster->settings.all ? "all" : "local", cluster->settings.min_in_sync,
                  cluster->settings.segment_bytes, cluster->settings.behind_bytes,
                  cluster->settings.drop_after_s, (int)cluster->forces,
                  workload_name(cluster->workload.kind));
}

/* --- Processes and power --- */

static struct sim_crash draw_crash(struct cluster *cluster)
{
    struct sim_crash crash = {.io = 0};
    unsigned variants = 0;
    while (sim_crash_variant(variants, &crash)) variants++;
    (void)sim_crash_variant((unsigned)cluster_below(cluster, variants), &crash);
    return crash;
}

static uint64_t soon(struct cluster *cluster)
{
    uint64_t within = one_in(cluster, 3) ? 8 * SIM_SECOND : SIM_SECOND;
    return sim_world_now_us(cluster->world) + cluster_below(cluster, within);
}

void cluster_crash(struct cluster *cluster, unsigned index, bool power)
{
    struct sim_cut cut = {SIM_KEEP_CACHE, 0};
    if (power) cut = (struct sim_cut){draw_crash(cluster).cut.keep, cluster_below(cluster, 1000)};
    if (!sim_node_is_up(cluster->nodes[index])) return;
    sim_world_say(cluster->world, "cluster crash n%u keep=%u", index + 1, (unsigned)cut.keep);
    sim_node_crash(cluster->nodes[index], cut);
    cluster->states[index].down = true;
    cluster->states[index].up_us = soon(cluster);
}

static void crash_at_io(struct cluster *cluster, unsigned index, uint64_t within)
{
    struct sim_crash crash = draw_crash(cluster);
    crash.io = sim_node_io(cluster->nodes[index]) + cluster_below(cluster, within);
    sim_node_crash_at(cluster->nodes[index], &crash);
    cluster->states[index].crash_armed = true;
}

static void stop(struct cluster *cluster, unsigned index)
{
    struct site_state *state = &cluster->states[index];
    if (!sim_node_is_up(cluster->nodes[index]) || state->stopping) return;
    state->stopping = true;
    sibling_stop(&cluster->copies[index]);
}

/* Whether everything that was acknowledged is on other disks too, now and for good. */
static bool may_wipe(const struct cluster *cluster, unsigned index)
{
    const struct sibling_look *leader = &cluster->looks[cluster->leader];
    if (cluster->count < 2 || cluster->leader == CLUSTER_NOBODY) return false;
    if (!leader->looked || cluster->leaderless_us != 0) return false;
    unsigned others = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->states[i].fresh || cluster->states[i].forced) return false;
        if (i != index) others++;
    }
    if (index != cluster->leader) return true;
    /* A promotion of one of the others must be able to find the promises that it needs. */
    if (!cluster->settings.all || cluster->settings.min_in_sync < 2) return false;
    unsigned counting = 0;
    for (unsigned i = 0; i < leader->copies.count; i++) {
        const struct copy_status *status = &leader->copies.at[i];
        if (status->counts && status->connected && strcmp(status->state, "in_sync") == 0)
            counting++;
    }
    return counting == others;
}

static void wipe(struct cluster *cluster, unsigned index)
{
    cluster_see(cluster);
    if (!may_wipe(cluster, index)) return;
    cluster_crash(cluster, index, true);
    if (sim_node_is_up(cluster->nodes[index])) return;
    sim_world_say(cluster->world, "cluster wipe n%u", index + 1);
    sim_disk_wipe(disk_of(cluster, index));
    annals_wiped(&cluster->annals, index);
    cluster->states[index].fresh = true;
    sim_disk_unfault(disk_of(cluster, index), 0);
    cluster->states[index].sync_rule = cluster->states[index].stall_rule = 0;
    count(cluster, CLUSTER_WIPE);
}

/* --- Disks and clocks --- */

static void slow_disk(struct cluster *cluster, unsigned index)
{
    struct site_state *state = &cluster->states[index];
    if (state->stall_rule != 0) {
        sim_disk_unfault(disk_of(cluster, index), state->stall_rule);
        state->stall_rule = 0;
        return;
    }
    const struct sim_fault fault = {
        .ops = UINT64_MAX, .kind = SIM_FAULT_STALL, .amount = 1000 + cluster_below(cluster, 80000)};
    state->stall_rule = sim_disk_fault(disk_of(cluster, index), &fault);
    count(cluster, CLUSTER_SLOW_DISK);
}

static void sync_error(struct cluster *cluster, unsigned index)
{
    struct site_state *state = &cluster->states[index];
    if (state->sync_rule != 0 || !one_in(cluster, 3)) return;
    const struct sim_fault fault = {.ops = 1 << DISK_SYNC | 1 << DISK_WRITE_SYNC,
                                    .except = "*/images*",
                                    .hits = 1,
                                    .skip = cluster_below(cluster, 20),
                                    .kind = SIM_FAULT_ERROR};
    state->sync_rule = sim_disk_fault(disk_of(cluster, index), &fault);
    count(cluster, CLUSTER_SYNC_ERROR);
}

bool cluster_may_end(const struct cluster *cluster, unsigned index)
{
    const struct site_state *state = &cluster->states[index];
    return state->sync_rule != 0 &&
           !sim_disk_fault_waits(disk_of(cluster, index), state->sync_rule);
}

/* Who is down, and nobody has seen it yet, may be so because of what is mended here. */
void cluster_mend(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        struct site_state *state = &cluster->states[i];
        bool unseen = !sim_node_is_up(cluster->nodes[i]) && !state->down;
        sim_node_crash_at(cluster->nodes[i], NULL);
        sim_node_drift(cluster->nodes[i], 0);
        if (!unseen || !cluster_may_end(cluster, i)) state->sync_rule = 0;
        if (!unseen) state->crash_armed = false;
        sim_disk_unfault(disk_of(cluster, i), 0);
        state->stall_rule = 0;
        state->up_us = 0;
    }
}

/* --- Orders of an operator who has other reasons --- */

static void fail_over(struct cluster *cluster, unsigned index)
{
    char line[100];
    bool named = one_in(cluster, 2);
    if (cluster->leader == CLUSTER_NOBODY || cluster->count < 2) return;
    if (named) {
        (void)snprintf(line, sizeof line, "FAILOVER TO n%u %u TIMEOUT %u", index + 1, SIBLING_PORT,
                       200 + (unsigned)cluster_below(cluster, 4000));
    } else {
        (void)snprintf(line, sizeof line, "FAILOVER TIMEOUT %u",
                       200 + (unsigned)cluster_below(cluster, 4000));
    }
    count(cluster, CLUSTER_FAILOVER);
    bool ok = cluster_say(cluster, cluster->leader, line) && cluster_said_ok(cluster);
    cluster->result->words[ok ? CLUSTER_FAILED_OVER : CLUSTER_NOT_FAILED_OVER]++;
}

static void promote(struct cluster *cluster, unsigned index)
{
    if (cluster->states[index].fresh || !sim_node_is_up(cluster->nodes[index])) return;
    count(cluster, CLUSTER_PROMOTE);
    bool ok = cluster_say(cluster, index, "REPLICAOF NO ONE") && cluster_said_ok(cluster);
    cluster->result->words[ok ? CLUSTER_PROMOTED : CLUSTER_NOT_PROMOTED]++;
}

static void remove_one(struct cluster *cluster, unsigned index)
{
    char line[60];
    if (cluster->leader == CLUSTER_NOBODY || cluster->leader == index) return;
    if (!cluster->looks[index].looked) return;
    (void)snprintf(line, sizeof line, "REPL.REMOVE %" PRIu64, cluster->looks[index].copies.copy);
    count(cluster, CLUSTER_REMOVE);
    bool ok = cluster_say(cluster, cluster->leader, line) && cluster_said_ok(cluster);
    if (ok) cluster->result->words[CLUSTER_REMOVED]++;
}

/* A chain, or even a ring, or an address that nobody has; the operator ends that later. Nobody who
 * leads is told to follow: what only it has would be given up. */
static void follow(struct cluster *cluster, unsigned index)
{
    unsigned other = (unsigned)cluster_below(cluster, cluster->count);
    const struct sibling_look *look = &cluster->looks[index];
    if (!look->looked || look->copies.role != COPIES_FOLLOWS) return;
    if (!may_wipe(cluster, index)) return;
    cluster->states[index].fresh = true;
    char line[60];
    (void)snprintf(line, sizeof line, "REPLICAOF n%u %u", other + 1, SIBLING_PORT);
    if (other == index) (void)snprintf(line, sizeof line, "REPLICAOF 10.9.9.9 %u", SIBLING_PORT);
    count(cluster, CLUSTER_FOLLOW);
    (void)cluster_say(cluster, index, line);
}

/* --- One of them --- */

void cluster_strike(struct cluster *cluster)
{
    static const int64_t jumps_ms[] = {-3600000, -5000, -800, 700, 4000, 3600000};
    enum cluster_fault fault = (enum cluster_fault)cluster_below(cluster, CLUSTER_FAULTS);
    unsigned index = (unsigned)cluster_below(cluster, cluster->count);
    struct sim_node *node = cluster->nodes[index];
    if (!cluster->on[fault] || !one_in(cluster, 2)) return;
    switch (fault) {
    case CLUSTER_KILL: cluster_crash(cluster, index, false); break;
    case CLUSTER_POWER_CUT: cluster_crash(cluster, index, true); break;
    case CLUSTER_CRASH_AT_IO: crash_at_io(cluster, index, 400); break;
    case CLUSTER_CRASH_IN_START:
        cluster_crash(cluster, index, one_in(cluster, 2));
        crash_at_io(cluster, index, 60);
        break;
    case CLUSTER_CLEAN_STOP: stop(cluster, index); break;
    case CLUSTER_KILL_ALL:
        for (unsigned i = 0; i < cluster->count; i++) cluster_crash(cluster, i, one_in(cluster, 2));
        break;
    case CLUSTER_WIPE: wipe(cluster, index); return;
    case CLUSTER_SLOW_DISK: slow_disk(cluster, index); return;
    case CLUSTER_SYNC_ERROR: sync_error(cluster, index); return;
    case CLUSTER_WALL_JUMP: sim_node_wall_jump(node, jumps_ms[cluster_below(cluster, 6)]); break;
    case CLUSTER_DRIFT: sim_node_drift(node, (int64_t)cluster_below(cluster, 4000) - 2000); break;
    case CLUSTER_CLIENT_RESET: talkers_reset_one(&cluster->talkers); break;
    case CLUSTER_FAILOVER: fail_over(cluster, index); return;
    case CLUSTER_PROMOTE: promote(cluster, index); return;
    case CLUSTER_REMOVE: remove_one(cluster, index); return;
    case CLUSTER_FOLLOW: follow(cluster, index); return;
    case CLUSTER_FAULTS: return;
    }
    count(cluster, fault);
}
