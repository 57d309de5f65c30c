/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions over the simulated network: n1 is the primary of two shards, n2 holds a copy of the one
 * and n3 of the other, with small logs in memory, while everything that can happen between nodes
 * does, processes are killed and stand still, and clocks differ. */
#include <inttypes.h>
#include <stdlib.h>

#include "test/replica/pair_net.h"

static void shard_lead(struct shard *shard)
{
    struct pair *pair = &shard->pair;
    bool counts = pair->progress.copies[1].counting != COUNTING_OUT;
    if (pair->copies[0].size + 40 <= PAIR_LOG_MAX) pair_lead(pair, pair->progress.rule, counts);
}

static void side_starts(struct shard *shard, unsigned side, struct world *world)
{
    shard->worlds[side] = world;
    shard->answers[side].armed = shard->ticks[side].armed = false;
    clock_timer_start(world->clock, &shard->ticks[side], 1);
    if (side == 1) {
        shard->again.armed = false;
        clock_timer_start(world->clock, &shard->again, 1);
        return;
    }
    char address[32];
    (void)snprintf(address, sizeof address, "0.0.0.0:%u", shard->port);
    assert_int_equal(world->net->ops->listen(world->net, &shard->listener, address, 0, NULL),
                     ERR_OK);
}

static bool seat_start(struct sim_program *program, struct world *world)
{
    struct seat *seat = CONTAINER_OF(program, struct seat, program);
    struct trial *trial = seat->trial;
    for (unsigned i = 0; i < SHARDS; i++) {
        if (seat->node == trial->nodes[0]) side_starts(&trial->shards[i], 0, world);
        if (seat->node == trial->nodes[1 + i]) side_starts(&trial->shards[i], 1, world);
    }
    return true;
}

/* Its memory is gone; of what was not durable, a part. */
static void side_ended(struct shard *shard, unsigned side)
{
    struct pair *pair = &shard->pair;
    struct pair_copy *copy = &pair->copies[side];
    shard->worlds[side] = NULL;
    for (struct list *node; side == 0 && (node = list_first(&shard->conns)) != NULL;) {
        struct conn *conn = CONTAINER_OF(node, struct conn, node);
        conn->stream = NULL;
        conn_drop(conn);
    }
    if (side == 0) pair->primary = NULL, pair->pins = 0, pair->pin = 0;
    if (side == 1 && shard->follower != NULL) {
        shard->follower->stream = NULL;
        conn_drop(shard->follower);
    }
    if (side == 1) pair->follower = NULL;
    uint64_t kept = copy->durable + draw(shard, copy->size - copy->durable + 1);
    if (kept < copy->applied) kept = copy->applied;
    pair_cut(copy, kept);
    copy->durable = copy->size;
    copy->incarnation++;
    if (side == 0) shard_lead(shard);
}

static void seat_ended(struct sim_program *program, enum sim_end end, int status)
{
    (void)end;
    (void)status;
    struct seat *seat = CONTAINER_OF(program, struct seat, program);
    struct trial *trial = seat->trial;
    for (unsigned i = 0; i < SHARDS; i++) {
        if (seat->node == trial->nodes[0]) side_ended(&trial->shards[i], 0);
        if (seat->node == trial->nodes[1 + i]) side_ended(&trial->shards[i], 1);
    }
}

static void shard_open(struct shard *shard, struct trial *trial, unsigned i, uint64_t seed)
{
    static const struct commit_rule modes[] = {{COMMIT_LOCAL, 1}, {COMMIT_ALL, 2}};
    shard->trial = trial;
    pair_open(&shard->pair, seed * 2 + i, modes[(seed + i) & 1]);
    for (unsigned side = 0; side < 2; side++) {
        struct session_options *options = &shard->pair.options[side];
        options->keepalive_us = SIM_SECOND;
        options->silent_us = 5 * SIM_SECOND;
        options->hello_us = 10 * SIM_SECOND;
        options->degrade_us = 3 * SIM_SECOND;
        options->stall_us = 20 * SIM_SECOND;
    }
    list_init(&shard->conns);
    shard->listener.accepted = shard_accepted;
    shard->dial = (struct dial){.connected = shard_connected, .failed = shard_failed};
    shard->again.fired = shard_again;
    shard->answers[0].fired = primary_answers;
    shard->answers[1].fired = replica_answers;
    shard->ticks[0].fired = primary_ticks;
    shard->ticks[1].fired = replica_ticks;
    shard->port = 7001 + i;
}

static void trial_open(struct trial *trial, uint64_t seed)
{
    memset(trial, 0, sizeof *trial);
    trial->sim = sim_world_open(seed);
    dice_init(&trial->dice, seed);
    for (unsigned i = 0; i < SHARDS; i++) shard_open(&trial->shards[i], trial, i, seed);
    for (unsigned i = 0; i < NODES; i++) {
        struct sim_node_options options = {.drift_ppm = (int64_t)dice_below(&trial->dice, 100000) -
                                                        50000};
        struct seat *seat = &trial->seats[i];
        seat->program = (struct sim_program){seat_start, NULL, seat_ended};
        seat->trial = trial;
        seat->node = trial->nodes[i] = sim_node_open(trial->sim, &seat->program, &options);
    }
    for (unsigned i = 0; i < NODES; i++) (void)sim_node_start(trial->nodes[i]);
    trial->weather = (struct weather){.nodes = trial->nodes,
                                      .count = NODES,
                                      .gap_us_max = 4 * SIM_SECOND,
                                      .pause_us_max = 10 * SIM_SECOND};
}

static void trial_storm(struct trial *trial)
{
    weather_begin(&trial->weather, trial->sim);
    for (int i = 0; i < 40; i++) {
        struct sim_node *node = trial->nodes[dice_below(&trial->dice, NODES)];
        uint64_t what = dice_below(&trial->dice, 10);
        enum sim_keep keep = what == 0 ? SIM_KEEP_ALL : SIM_KEEP_CACHE;
        if (!sim_node_is_up(node)) (void)sim_node_start(node);
        else if (what < 2) sim_node_crash(node, (struct sim_cut){keep, 0});
        (void)sim_world_run_for(trial->sim, 1 + dice_below(&trial->dice, 4 * SIM_SECOND));
    }
    weather_end(&trial->weather);
    trial->is_calm = true;
    for (unsigned i = 0; i < NODES; i++) {
        if (!sim_node_is_up(trial->nodes[i])) (void)sim_node_start(trial->nodes[i]);
    }
}

struct trial_equal {
    struct sim_condition base;
    struct trial *trial;
};

static bool trial_is_equal(struct sim_condition *base)
{
    struct trial *trial = CONTAINER_OF(base, struct trial_equal, base)->trial;
    for (unsigned i = 0; i < SHARDS; i++) {
        const struct shard *shard = &trial->shards[i];
        const struct pair_copy *copies = shard->pair.copies;
        if (shard->served == NULL || shard->follower == NULL) return false;
        if (shard->served->state != STATE_IN_SYNC || shard->follower->state != STATE_IN_SYNC)
            return false;
        if (copies[1].applied != copies[0].size || copies[0].committed != copies[0].size)
            return false;
        assert_int_equal(copies[1].log[copies[1].size].lineage.hash,
                         copies[0].log[copies[0].size].lineage.hash);
    }
    return true;
}

static void trial_close(struct trial *trial)
{
    for (unsigned i = 0; i < NODES; i++)
        sim_node_crash(trial->nodes[i], (struct sim_cut){SIM_KEEP_CACHE, 0});
    sim_world_close(trial->sim);
    for (unsigned i = 0; i < SHARDS; i++) pair_close(&trial->shards[i].pair);
}

static void trial_run(uint64_t seed, struct trial *sum)
{
    struct trial *trial = memory_alloc(sizeof *trial);
    trial_open(trial, seed);
    trial_storm(trial);
    struct trial_equal equal = {{trial_is_equal}, trial};
    if (!sim_world_run_until(trial->sim, &equal.base, BACK_US))
        sim_world_fail(trial->sim, "the copies are not in sync in time");
    if (sim_world_failure(trial->sim) != NULL)
        fail_msg("seed %" PRIu64 ": %s", seed, sim_world_failure(trial->sim));
    for (unsigned i = 0; i < RECOVER_KINDS; i++) sum->seen[i] += trial->seen[i];
    sum->in_sync += trial->in_sync;
    sum->superseded += trial->superseded;
    sum->broken += trial->broken;
    trial_close(trial);
    memory_free(trial);
}

TEST(replica_sessions_net, through_every_fault_between_nodes_the_copies_agree_and_end_equal)
{
    const char *text = getenv("SEEDS");
    uint64_t count = text == NULL ? 60 : strtoull(text, NULL, 10);
    struct trial *sum = memory_zeroed(1, sizeof *sum);
    for (uint64_t seed = 1; seed <= count; seed++) trial_run(seed, sum);
    for (unsigned kind = 0; kind < RECOVER_REFUSE; kind++) assert_true(sum->seen[kind] > 0);
    assert_true(sum->in_sync > 0);
    assert_true(sum->superseded > 0); /* a new session of a replica whose old one still stood */
    assert_true(sum->broken > 0);     /* a bit that was turned over on the way */
    memory_free(sum);
}
