/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cluster.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "sim/clustering.h"
#include "sim/oracle.h"
#include "sim/probe.h"
#include "sim/search.h"

enum {
    OPERATE_US = 200 * SIM_MILLISECOND,
    WHOLE_WITHIN_US = 30 * SIM_SECOND,
    ANSWERED_WITHIN_US = 60 * SIM_SECOND,
};

static const char *const fault_names[CLUSTER_FAULTS] = {
    "kill",     "power_cut", "crash_at_io", "crash_in_start", "clean_stop", "kill_all",
    "wipe",     "slow_disk", "sync_error",  "wall_jump",      "drift",      "client_reset",
    "failover", "promote",   "remove",      "follow",
};

static const char *const word_names[CLUSTER_WORDS] = {
    "added",       "removed",         "promoted", "not_promoted", "forced",
    "failed_over", "not_failed_over", "attached", "buried",       "led",
};

const char *cluster_fault_name(enum cluster_fault fault)
{
    return fault_names[fault];
}

const char *cluster_word_name(enum cluster_word word)
{
    return word_names[word];
}

uint64_t cluster_below(struct cluster *cluster, uint64_t bound)
{
    return dice_below(&cluster->dice, bound);
}

bool cluster_failed(const struct cluster *cluster)
{
    return sim_world_failure(cluster->world) != NULL;
}

/* --- Checks --- */

static void check_ops(struct cluster *cluster)
{
    struct oracle_result checked;
    if (cluster->annal == NULL) return;
    oracle_check(&cluster->annal->canon, &cluster->ops, &checked);
    if (checked.failure[0] != '\0') sim_world_fail(cluster->world, "%s", checked.failure);
}

void cluster_drop_ops(struct cluster *cluster, uint64_t keep)
{
    talkers_drop(&cluster->talkers);
    check_ops(cluster);
    cluster->result->lost += cluster->annal->canon.count - keep;
    oracle_forget(&cluster->ops, keep);
    if (cluster->talkers.told > keep) cluster->talkers.told = keep;
    if (cluster->talkers.written > keep) cluster->talkers.written = keep;
}

static void search(struct cluster *cluster)
{
    if (annals_born(&cluster->annals) > 1 || cluster->workload.kind != WORKLOAD_REGISTERS) return;
    struct search_result result;
    search_ops(&cluster->ops, &result);
    cluster->result->searched += result.ops;
    if (result.failure[0] != '\0') sim_world_fail(cluster->world, "%s", result.failure);
}

/* What a copy says of itself over a connection: the digest that all had at its mark. */
static void check_digest(struct cluster *cluster, unsigned index)
{
    char mark_text[MARK_TEXT_BYTES] = "", told[DIGEST_TEXT_BYTES] = "", known[DIGEST_TEXT_BYTES];
    struct mark mark;
    bool said = cluster_say(cluster, index, "DIGEST");
    buffer_append_byte(&cluster->reply, 0);
    const char *reply = (const char *)cluster->reply.data;
    said = said && sscanf(reply, "*2\r\n$%*u\r\n%112[^\r]\r\n$32\r\n%32s", mark_text, told) == 2 &&
           mark_parse(bytes_text(mark_text), &mark) == ERR_OK;
    struct annal *annal = said ? annals_find(&cluster->annals, &mark.history) : NULL;
    if (annal == NULL || mark.lsn.at == 0 || mark.lsn.at > annal->canon.count) {
        sim_world_fail(cluster->world, "n%u does not tell its digest: %s", index + 1, reply);
        return;
    }
    const struct fact *fact = &annal->canon.facts[mark.lsn.at - 1];
    digest_format(fact->digest, known);
    if (fact->lineage.hash == mark.lineage.hash && strcmp(known, told) == 0) return;
    sim_world_fail(cluster->world, "n%u says %s of %s, others %s", index + 1, told, mark_text,
                   known);
}

static void expect_wait(struct cluster *cluster, unsigned index, const struct mark *mark,
                        const char *wanted)
{
    char text[MARK_TEXT_BYTES], line[MARK_TEXT_BYTES + 20];
    mark_format(mark, text);
    (void)snprintf(line, sizeof line, "POS.WAIT %s 1000", text);
    bool said = cluster_say(cluster, index, line);
    if (said && bytes_starts_with(buffer_bytes(&cluster->reply), bytes_text(wanted))) return;
    buffer_append_byte(&cluster->reply, 0);
    sim_world_fail(cluster->world, "n%u is asked for the mark %s and says %s", index + 1, text,
                   (const char *)cluster->reply.data);
}

/* Everyone has the last mark of all, and tells one of another epoch from it: that is lost. */
static void check_waits(struct cluster *cluster, unsigned index)
{
    const struct annal *annal = cluster->annal;
    if (annal == NULL || annal->canon.count == 0) return;
    const struct fact *fact = &annal->canon.facts[annal->canon.count - 1];
    struct mark mark = {annal->history, fact->epoch, {annal->canon.count}, fact->lineage};
    expect_wait(cluster, index, &mark, "+OK");
    mark.epoch.copy ^= 1;
    if (!cluster_failed(cluster)) expect_wait(cluster, index, &mark, "-LOST");
}

/* What was applied anywhere is there, unless a new history was begun without it. */
static void check_kept(struct cluster *cluster)
{
    const struct annals_copy *copy = &cluster->annals.copies[cluster->leader];
    if (copy->at != cluster->annal || copy->applied < cluster->kept) {
        sim_world_fail(cluster->world,
                       "n%u leads at LSN %" PRIu64 ", but before %" PRIu64 " were applied",
                       cluster->leader + 1, copy->applied, cluster->kept);
    }
    uint64_t forced = cluster->result->words[CLUSTER_FORCED];
    unsigned histories = annals_born(&cluster->annals);
    if (histories <= 1 + forced) return;
    sim_world_fail(cluster->world, "%u histories, but only %" PRIu64 " were forced", histories,
                   forced);
}

/* Mode all: what clients were told of would outlive a power cut on so many copies as must be in
 * sync. A copy that is being built anew had it before, and so this cannot be said meanwhile. */
static void check_disks(struct cluster *cluster)
{
    uint64_t told = cluster->talkers.written;
    unsigned held = 0;
    if (!cluster->settings.all) return;
    struct probe *probe = memory_zeroed(1, sizeof *probe);
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->states[i].fresh || cluster->states[i].forced) told = 0;
        probe_log(sim_node_disk(cluster->nodes[i]), true, probe);
        if (probe->last >= told) held++;
    }
    memory_free(probe);
    if (told == 0 || held >= cluster->settings.min_in_sync) return;
    sim_world_fail(cluster->world,
                   "a client was told of its write at LSN %" PRIu64
                   ", which is on %u disks instead of %u",
                   told, held, cluster->settings.min_in_sync);
}

/* --- The seed --- */

static uint64_t reign(struct talkers *talkers)
{
    struct cluster *cluster = CONTAINER_OF(talkers, struct cluster, talkers);
    unsigned index = 0;
    while (cluster->nodes[index] != talkers->node) index++;
    return sibling_reign(&cluster->copies[index]);
}

static void storm(struct cluster *cluster)
{
    cluster->talkers.reign = reign;
    cluster->asking = true;
    talkers_go(&cluster->talkers, true);
    for (unsigned i = 0; i < cluster->ticks && !cluster_failed(cluster); i++) {
        (void)sim_world_run_for(cluster->world, 1 + cluster_below(cluster, 600 * SIM_MILLISECOND));
        if (!cluster_failed(cluster)) check_disks(cluster);
        if (!cluster_failed(cluster)) cluster_operate(cluster);
        if (!cluster_failed(cluster)) cluster_strike(cluster);
    }
}

/* Within so much time one copy leads and all others are in sync with it. */
static void become_whole(struct cluster *cluster)
{
    uint64_t until = sim_world_now_us(cluster->world) + WHOLE_WITHIN_US;
    struct why why = {.text = ""};
    while (!cluster_failed(cluster)) {
        cluster_operate(cluster);
        if (cluster_failed(cluster) || cluster_is_whole(cluster, &why)) return;
        if (sim_world_now_us(cluster->world) >= until) {
            sim_world_fail(cluster->world, "not whole half a minute after all was mended: %s",
                           why.text);
            return;
        }
        (void)sim_world_run_for(cluster->world, OPERATE_US);
    }
}

struct all_idle {
    struct sim_condition base;
    struct cluster *cluster;
};

static bool met_idle(struct sim_condition *base)
{
    return talkers_idle(&CONTAINER_OF(base, struct all_idle, base)->cluster->talkers);
}

static bool met_down(struct sim_condition *base)
{
    const struct cluster *cluster = CONTAINER_OF(base, struct all_idle, base)->cluster;
    for (unsigned i = 0; i < cluster->count; i++) {
        if (sim_node_is_up(cluster->nodes[i])) return false;
    }
    return true;
}

static bool wait_for(struct cluster *cluster, bool (*met)(struct sim_condition *), uint64_t limit)
{
    struct all_idle condition = {{met}, cluster};
    return sim_world_run_until(cluster->world, &condition.base, limit);
}

/* Calm: everyone is started anew, and serves; clients are answered; a clean stop ends it. */
static void finish(struct cluster *cluster)
{
    if (cluster->count > 1) weather_end(&cluster->weather);
    sim_paths_heal_all(cluster->world);
    cluster_mend(cluster);
    cluster->calm = true;
    cluster->patience_us = 2 * SIM_SECOND;
    if (cluster->annal != NULL) cluster->kept = cluster->annal->canon.count;
    for (unsigned i = 0; i < cluster->count; i++) cluster_crash(cluster, i, false);
    for (unsigned i = 0; i < cluster->count; i++) cluster->states[i].up_us = 0;
    become_whole(cluster);
    (void)sim_world_run_for(cluster->world, SIM_SECOND);
    cluster->asking = false;
    talkers_go(&cluster->talkers, false);
    if (!cluster_failed(cluster) && !wait_for(cluster, met_idle, ANSWERED_WITHIN_US))
        sim_world_fail(cluster->world, "a client is not answered within a minute of calm");
    become_whole(cluster);
    for (unsigned i = 0; i < cluster->count && !cluster_failed(cluster); i++)
        check_digest(cluster, i);
    for (unsigned i = 0; i < cluster->count && !cluster_failed(cluster); i++)
        check_waits(cluster, i);
    if (!cluster_failed(cluster)) check_kept(cluster);
    for (unsigned i = 0; i < cluster->count; i++) {
        cluster->states[i].stopping = true;
        sibling_stop(&cluster->copies[i]);
    }
    if (!cluster_failed(cluster) && !wait_for(cluster, met_down, ANSWERED_WITHIN_US))
        sim_world_fail(cluster->world, "a clean stop does not end");
    for (unsigned i = 0; i < cluster->count && !cluster_failed(cluster); i++) {
        const struct sibling *copy = &cluster->copies[i];
        if (copy->end == SIM_END_EXIT && copy->status == 0) continue;
        sim_world_fail(cluster->world, "n%u did not stop cleanly: status %d", i + 1, copy->status);
    }
    if (!cluster_failed(cluster)) check_ops(cluster);
    if (!cluster_failed(cluster)) search(cluster);
}

static void fill_result(struct cluster *cluster)
{
    struct cluster_result *result = cluster->result;
    const char *failure = sim_world_failure(cluster->world);
    if (failure != NULL) snprintf(result->failure, sizeof result->failure, "%s", failure);
    result->hash = sim_world_hash(cluster->world);
    result->ops = cluster->ops.count;
    result->entries = cluster->annal != NULL ? cluster->annal->canon.count : 0;
    result->again = cluster->annals.again;
    result->histories = annals_born(&cluster->annals);
    result->simulated_us = sim_world_now_us(cluster->world);
    result->turns = sim_world_turns(cluster->world);
    for (unsigned i = 0; i < WEATHER_KINDS; i++) result->weather[i] = cluster->weather.drawn[i];
    for (unsigned i = 0; i < SIM_HITS; i++)
        result->hits[i] = sim_paths_hits(cluster->world, (enum sim_hit)i);
}

void cluster_run(const struct cluster_options *options, struct cluster_result *result)
{
    *result = (struct cluster_result){.hash = 0};
    struct cluster *cluster = memory_zeroed(1, sizeof *cluster);
    cluster->result = result;
    cluster->leader = CLUSTER_NOBODY;
    cluster->world = sim_world_open(options->seed);
    sim_world_print(cluster->world, options->trace);
    annals_init(&cluster->annals, cluster->world);
    buffer_init(&cluster->reply);
    ops_init(&cluster->ops);
    cluster_draw(cluster, options);
    for (unsigned i = 0; i < cluster->count; i++) cluster->states[i].down = true;
    cluster->calm = true;
    become_whole(cluster);
    cluster->calm = false;
    if (cluster->count > 1) weather_begin(&cluster->weather, cluster->world);
    storm(cluster);
    if (!cluster_failed(cluster)) finish(cluster);
    fill_result(cluster);
    talkers_release(&cluster->talkers);
    workload_release(&cluster->workload);
    ops_release(&cluster->ops);
    buffer_release(&cluster->reply);
    sim_world_close(cluster->world);
    annals_release(&cluster->annals);
    memory_free(cluster);
}
