/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator sees of the copies, and does about it. He believes in one history and in the
 * copy that leads it in the highest epoch; whoever leads another one, or follows somebody else, is
 * told to follow that copy. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/caller.h"
#include "sim/clustering.h"
#include "sim/probe.h"

enum { ANSWER_US = 8 * SIM_SECOND };

static uint64_t now(const struct cluster *cluster)
{
    return sim_world_now_us(cluster->world);
}

bool cluster_say(struct cluster *cluster, unsigned index, const char *line)
{
    if (!sim_node_is_up(cluster->nodes[index])) return false;
    return caller_ask(cluster->nodes[index], SIBLING_PORT, line, ANSWER_US, &cluster->reply);
}

bool cluster_said_ok(const struct cluster *cluster)
{
    return bytes_starts_with(buffer_bytes(&cluster->reply), bytes_text("+"));
}

static bool leads(const struct cluster *cluster, unsigned index)
{
    const struct sibling_look *look = &cluster->looks[index];
    return look->looked && look->copies.role == COPIES_LEADS;
}

static struct annal *annal_of(struct cluster *cluster, unsigned index)
{
    return annals_find(&cluster->annals, &cluster->looks[index].service.mark.history);
}

/* --- Processes --- */

static void fell(struct cluster *cluster, unsigned index)
{
    struct site_state *state = &cluster->states[index];
    const struct sibling *copy = &cluster->copies[index];
    static const char *const ends[] = {"stop", "exit", "refused", "crash", "must"};
    bool fine = copy->end == SIM_END_CRASH && state->crash_armed;
    bool failed_sync = cluster_may_end(cluster, index);
    if (copy->end == SIM_END_EXIT && copy->status == 0) fine = state->stopping;
    else if (copy->end == SIM_END_EXIT || copy->end == SIM_END_REFUSED) fine = failed_sync;
    if (!fine) {
        sim_world_fail(cluster->world, "n%u went down: end=%s status=%d %s", index + 1,
                       ends[copy->end], copy->status,
                       copy->end == SIM_END_REFUSED ? copy->why.text : "");
    }
    if (failed_sync) state->sync_rule = 0;
    if (copy->end == SIM_END_CRASH) state->crash_armed = false;
    state->down = true;
    state->up_us = now(cluster) + (cluster->calm ? 0 : cluster_below(cluster, 3 * SIM_SECOND));
}

static void start(struct cluster *cluster, unsigned index)
{
    struct site_state *state = &cluster->states[index];
    struct sibling *copy = &cluster->copies[index];
    unsigned leader = cluster->leader;
    if (state->fresh && leader == index) { /* it has nothing any more; somebody else has to lead */
        leader = CLUSTER_NOBODY;
        for (unsigned i = 0; i < cluster->count && leader == CLUSTER_NOBODY; i++) {
            if (i != index && cluster->looks[i].looked) leader = i;
        }
        if (leader == CLUSTER_NOBODY) return;
    }
    if (state->fresh)
        (void)snprintf(copy->follow, sizeof copy->follow, "n%u %u", leader + 1, SIBLING_PORT);
    state->down = state->stopping = false;
    cluster->result->lives++;
    sim_world_say(cluster->world, "cluster start n%u follow='%s'", index + 1, copy->follow);
    if (!sim_node_start(copy->node)) fell(cluster, index);
}

static void see_processes(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count && !cluster_failed(cluster); i++) {
        struct site_state *state = &cluster->states[i];
        bool up = sim_node_is_up(cluster->nodes[i]);
        if (!up && !state->down) fell(cluster, i);
        if (!up && now(cluster) >= state->up_us) start(cluster, i);
    }
}

/* --- What is seen --- */

/* No entry of an epoch before both slots promise it, durably (I9). */
static void check_promise(struct cluster *cluster, unsigned index)
{
    const struct copies_status *copies = &cluster->looks[index].copies;
    struct probe *probe = memory_zeroed(1, sizeof *probe);
    probe_log(sim_node_disk(cluster->nodes[index]), true, probe);
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        if (probe->slot_good[i] && epoch_compare(probe->slot[i].promised, copies->epoch) >= 0)
            continue;
        sim_world_fail(cluster->world,
                       "n%u leads epoch %" PRIu64 ", which slot %u does not promise", index + 1,
                       copies->epoch.number, i);
    }
    memory_free(probe);
}

static void check_leader(struct cluster *cluster, unsigned index)
{
    const struct sibling_look *look = &cluster->looks[index];
    const struct copies_status *copies = &look->copies;
    if (look->service.phase != SERVICE_SERVING) return;
    if (copies->epoch.copy != copies->copy) {
        sim_world_fail(cluster->world, "n%u leads in epoch %" PRIu64 " of another copy", index + 1,
                       copies->epoch.number);
    }
    check_promise(cluster, index);
    for (unsigned i = 0; i < copies->count; i++) {
        const struct copy_status *status = &copies->at[i];
        bool holds = status->configured && !status->needs_rebuild && status->durable.at > 0;
        if (!holds || look->service.floor.at <= status->durable.at + 1) continue;
        sim_world_fail(cluster->world,
                       "n%u keeps its log from LSN %" PRIu64
                       " on, and a copy needs it from %" PRIu64,
                       index + 1, look->service.floor.at, status->durable.at + 1);
    }
    for (unsigned i = 0; i < index; i++) {
        if (leads(cluster, i) && cluster->looks[i].copies.copy == copies->copy)
            sim_world_fail(cluster->world, "n%u and n%u are one copy", i + 1, index + 1);
    }
}

/* While nobody is started anew, or takes the role, the floor of a replica's log rises no higher
 * than that of others: or who follows could not be served once this copy leads (I6). */
static void check_floors(struct cluster *cluster)
{
    uint64_t most[2] = {0, 0}; /* the highest floor, and the next */
    bool comparable = true;
    for (unsigned i = 0; i < cluster->count; i++) {
        uint64_t floor = cluster->looks[i].service.floor.at;
        const struct site_state *state = &cluster->states[i];
        bool same = state->opened == cluster->annals.copies[i].opened &&
                    epoch_compare(state->epoch, cluster->looks[i].copies.epoch) == 0;
        comparable = comparable && cluster->looks[i].looked && same;
        if (floor > most[0]) most[1] = most[0];
        if (floor > most[0]) most[0] = floor;
        else if (floor > most[1]) most[1] = floor;
    }
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct sibling_look *look = &cluster->looks[i];
        uint64_t before = cluster->states[i].floor, floor = look->service.floor.at;
        if (!look->looked) continue;
        cluster->states[i].floor = floor;
        cluster->states[i].opened = cluster->annals.copies[i].opened;
        cluster->states[i].epoch = look->copies.epoch;
        bool alone = floor > before && floor == most[0] && floor > most[1];
        bool led = look->copies.epoch.copy == look->copies.copy; /* at the last look, or since */
        if (!comparable || !alone || led) continue;
        sim_world_fail(cluster->world,
                       "n%u follows and keeps its log from LSN %" PRIu64 " on, others from %" PRIu64
                       " on",
                       i + 1, floor, most[1]);
    }
}

static void look_at_all(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        if (sim_node_stands(cluster->nodes[i])) cluster->looks[i].looked = false;
        else sibling_look(&cluster->copies[i], &cluster->looks[i]);
        if (cluster->looks[i].looked) cluster->states[i].id = cluster->looks[i].copies.copy;
        if (leads(cluster, i)) check_leader(cluster, i);
    }
    check_floors(cluster);
}

/* A copy that was forced leads its new history: from now on that is the true one. Or it has died
 * before it began one. Until then clients ask nobody: it may be whom they asked before. */
static void see_forced(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->count; i++) {
        struct site_state *state = &cluster->states[i];
        if (!state->forced || !cluster->looks[i].looked) continue;
        struct annal *annal = annal_of(cluster, i);
        bool born = annal != NULL && annal != cluster->annal && leads(cluster, i);
        bool unborn = annal == cluster->annal &&
                      cluster->looks[i].service.phase == SERVICE_SERVING &&
                      sim_node_lives(cluster->nodes[i]) > state->forced_life;
        if (!born && !unborn) continue;
        state->forced = false;
        annals_force(&cluster->annals, i, false);
        if (born && annal->parent == cluster->annal) {
            uint64_t fork = annals_fork(annal);
            cluster_drop_ops(cluster, fork);
            if (cluster->kept > fork) cluster->kept = fork;
            cluster->annal = annal;
            cluster->leader = CLUSTER_NOBODY;
        }
        talkers_go(&cluster->talkers, cluster->asking);
    }
}

static unsigned find_leader(struct cluster *cluster)
{
    unsigned best = CLUSTER_NOBODY;
    for (unsigned i = 0; i < cluster->count; i++) {
        if (!leads(cluster, i)) continue;
        if (cluster->annal != NULL && annal_of(cluster, i) != cluster->annal) continue;
        if (best != CLUSTER_NOBODY &&
            epoch_compare(cluster->looks[i].copies.epoch, cluster->looks[best].copies.epoch) <= 0)
            continue;
        best = i;
    }
    return best;
}

static void see_leader(struct cluster *cluster)
{
    unsigned leader = find_leader(cluster);
    if (leader == CLUSTER_NOBODY) {
        if (cluster->leaderless_us == 0) cluster->leaderless_us = now(cluster);
        return;
    }
    cluster->leaderless_us = 0;
    if (cluster->annal == NULL) cluster->annal = annal_of(cluster, leader);
    if (leader == cluster->leader) return;
    talkers_drop(&cluster->talkers);
    cluster->talkers.node = cluster->nodes[leader];
    if (cluster->leader != CLUSTER_NOBODY) cluster->result->words[CLUSTER_LED]++;
    cluster->leader = leader;
    sim_world_say(cluster->world, "cluster leader n%u", leader + 1);
}

/* What the leader says of a copy; NULL: nothing. */
static const struct copy_status *status_of(const struct cluster *cluster, unsigned index)
{
    if (cluster->leader == CLUSTER_NOBODY || !cluster->looks[index].looked) return NULL;
    const struct copies_status *copies = &cluster->looks[cluster->leader].copies;
    if (!leads(cluster, cluster->leader)) return NULL;
    for (unsigned i = 0; i < copies->count; i++) {
        if (copies->at[i].id == cluster->looks[index].copies.copy) return &copies->at[i];
    }
    return NULL;
}

static bool is_in_sync(const struct copy_status *status)
{
    return status != NULL && status->connected && strcmp(status->state, "in_sync") == 0;
}

void cluster_see(struct cluster *cluster)
{
    see_processes(cluster);
    if (cluster_failed(cluster)) return;
    look_at_all(cluster);
    see_forced(cluster);
    see_leader(cluster);
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct copy_status *status = status_of(cluster, i);
        if (is_in_sync(status) && status->counts) cluster->states[i].fresh = false;
    }
}

/* --- What is done --- */

/* Where a copy is built anew, or its disk is gone, the others may be too few for a promise. */
static bool may_force(const struct cluster *cluster)
{
    bool force = cluster->forces;
    for (unsigned i = 0; i < cluster->count; i++) force |= cluster->states[i].fresh;
    return force;
}

/* A new history loses what that copy does not have. */
static void begin_anew(struct cluster *cluster, unsigned index)
{
    talkers_go(&cluster->talkers, false);
    talkers_drop(&cluster->talkers);
    bool again = cluster->states[index].forced; /* nobody knows what became of the last time */
    cluster->states[index].forced_life = sim_node_lives(cluster->nodes[index]);
    annals_force(&cluster->annals, index, true);
    bool answered = cluster_say(cluster, index, "PROMOTE FORCE");
    /* Who ends at once after an error may have begun it all the same. */
    bool refused = answered && !cluster_said_ok(cluster) && sim_node_is_up(cluster->nodes[index]);
    if (refused && again) return;
    if (refused) {
        annals_force(&cluster->annals, index, false);
        talkers_go(&cluster->talkers, cluster->asking);
        return;
    }
    cluster->result->words[CLUSTER_FORCED]++;
    cluster->states[index].forced = true;
}

/* A copy whose disk is gone has another id when it comes back: its old one is to be forgotten, or
 * it would count for ever. Where nothing can be confirmed without it, the one that leads has all
 * that there is, and goes on with that. */
static void bury(struct cluster *cluster)
{
    const struct copies_status *copies = &cluster->looks[cluster->leader].copies;
    for (unsigned i = 0; i < copies->count && !cluster_failed(cluster); i++) {
        const struct copy_status *status = &copies->at[i];
        char line[60];
        unsigned holders = 0;
        for (unsigned k = 0; k < cluster->count; k++) {
            if (cluster->states[k].id == status->id) holders++;
        }
        if (holders > 0 || !status->configured || status->connected) continue;
        (void)snprintf(line, sizeof line, "REPL.REMOVE %" PRIu64, status->id);
        bool answered = cluster_say(cluster, cluster->leader, line);
        bool buried = answered && cluster_said_ok(cluster);
        if (buried) cluster->result->words[CLUSTER_BURIED]++;
        bool anew = answered && !buried && status->counts && may_force(cluster) &&
                    (cluster->calm || cluster_below(cluster, 3) == 0);
        if (anew && sim_node_is_up(cluster->nodes[cluster->leader]))
            begin_anew(cluster, cluster->leader);
        return;
    }
}

static void add(struct cluster *cluster)
{
    char line[60];
    for (unsigned i = 0; i < cluster->count && !cluster_failed(cluster); i++) {
        const struct copy_status *status = status_of(cluster, i);
        if (i == cluster->leader || !is_in_sync(status) || status->counts) continue;
        (void)snprintf(line, sizeof line, "REPL.ADD %" PRIu64, status->id);
        if (!cluster_say(cluster, cluster->leader, line) || !cluster_said_ok(cluster)) return;
        cluster->result->words[CLUSTER_ADDED]++;
    }
}

/* Whoever does not follow the leader for a while is told to. */
static bool strays(const struct cluster *cluster, unsigned index)
{
    const struct sibling_look *look = &cluster->looks[index];
    if (!look->looked || index == cluster->leader || cluster->states[index].forced) return false;
    if (look->copies.role != COPIES_FOLLOWS) return true;
    const struct copy_status *status = status_of(cluster, index);
    return status == NULL || status->needs_rebuild || !status->connected;
}

static void attach(struct cluster *cluster)
{
    char line[60];
    for (unsigned i = 0; i < cluster->count && !cluster_failed(cluster); i++) {
        struct site_state *state = &cluster->states[i];
        if (!strays(cluster, i)) {
            state->stray_us = 0;
            continue;
        }
        if (state->stray_us == 0) state->stray_us = now(cluster);
        if (now(cluster) - state->stray_us < cluster->patience_us) continue;
        state->stray_us = 0;
        state->fresh = true; /* it may have to be built anew */
        (void)snprintf(line, sizeof line, "REPLICAOF n%u %u", cluster->leader + 1, SIBLING_PORT);
        if (cluster_say(cluster, i, line) && cluster_said_ok(cluster))
            cluster->result->words[CLUSTER_ATTACHED]++;
        const struct copy_status *status = status_of(cluster, i);
        if (status == NULL || !status->needs_rebuild) continue;
        (void)snprintf(line, sizeof line, "REPL.REBUILD %" PRIu64, status->id);
        (void)cluster_say(cluster, cluster->leader, line);
    }
}

/* Of those that are there, the one that has most of the history. */
static unsigned find_best(struct cluster *cluster)
{
    unsigned best = CLUSTER_NOBODY;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct sibling_look *look = &cluster->looks[i];
        if (!look->looked || cluster->states[i].fresh) continue;
        if (cluster->annal != NULL && annal_of(cluster, i) != cluster->annal) continue;
        if (best == CLUSTER_NOBODY ||
            look->service.durable.at > cluster->looks[best].service.durable.at)
            best = i;
    }
    return best;
}

/* Nobody leads: in mode local its old leader may come back by itself, in mode all the promises of
 * the others are enough; else a new history loses what that copy does not have. */
static void appoint(struct cluster *cluster)
{
    unsigned best = find_best(cluster);
    cluster->leaderless_us = now(cluster);
    if (best == CLUSTER_NOBODY || leads(cluster, best)) return;
    bool ok = cluster_say(cluster, best, "REPLICAOF NO ONE") && cluster_said_ok(cluster);
    cluster->result->words[ok ? CLUSTER_PROMOTED : CLUSTER_NOT_PROMOTED]++;
    if (ok || !may_force(cluster) || cluster_failed(cluster)) return;
    cluster_see(cluster);
    if (cluster->leaderless_us == 0 || cluster_failed(cluster)) return;
    begin_anew(cluster, best);
}

void cluster_operate(struct cluster *cluster)
{
    cluster_see(cluster);
    if (cluster_failed(cluster)) return;
    if (cluster->leaderless_us == 0) {
        bury(cluster);
        if (!cluster_failed(cluster)) attach(cluster);
        bool adds = cluster->calm || cluster_below(cluster, 3) == 0;
        if (adds && !cluster_failed(cluster)) add(cluster);
        return;
    }
    if (now(cluster) - cluster->leaderless_us >= cluster->patience_us) appoint(cluster);
}

static bool nobody_leads(const struct cluster *cluster, struct why *why)
{
    static const char *const roles[] = {"leads", "follows", "asks"};
    char text[sizeof why->text];
    int size = snprintf(text, sizeof text, "nobody leads:");
    for (unsigned i = 0; i < cluster->count && size < (int)sizeof text; i++) {
        const struct sibling_look *look = &cluster->looks[i];
        size += snprintf(text + size, sizeof text - (size_t)size, " n%u %s (%.100s)", i + 1,
                         look->looked ? roles[look->copies.role] : "is down",
                         look->looked ? look->copies.why.text : "");
    }
    return why_fail(why, ERR_PENDING, "%s", text) == ERR_OK;
}

bool cluster_is_whole(struct cluster *cluster, struct why *why)
{
    unsigned leader = cluster->leader;
    if (leader == CLUSTER_NOBODY || cluster->leaderless_us != 0 || !leads(cluster, leader))
        return nobody_leads(cluster, why);
    const struct sibling_look *look = &cluster->looks[leader];
    if (look->service.phase != SERVICE_SERVING || !look->copies.may_write) {
        return why_fail(why, ERR_PENDING, "n%u does not take writes", leader + 1) == ERR_OK;
    }
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct copy_status *status = status_of(cluster, i);
        if (i == leader) continue;
        if (status == NULL) {
            const struct sibling_look *other = &cluster->looks[i];
            return why_fail(why, ERR_PENDING, "n%u is not known to n%u: %s", i + 1, leader + 1,
                            other->looked ? other->copies.why.text : "it is down") == ERR_OK;
        }
        if (is_in_sync(status) && status->counts && status->lag_entries == 0) continue;
        return why_fail(why, ERR_PENDING, "n%u is %s%s, lag %" PRIu64 ", plan %s, rule %s: %s",
                        i + 1, status->state, status->counts ? "" : ", does not count",
                        status->lag_entries, status->plan, status->rule,
                        cluster->looks[i].copies.why.text) == ERR_OK;
    }
    return true;
}
