/* SPDX-License-Identifier: Apache-2.0 */
/* keeper: a log on a simulated node, and what the outside remembers of it: which entry was appended
 * where, and up to where it was told that they are durable. Shared by the tests of this room. */
#ifndef TEST_LOG_KEEPER_H
#define TEST_LOG_KEEPER_H

#include "base/memory.h"
#include "log/log.h"
#include "sim/disk.h"
#include "sim/node.h"
#include "sim/world.h"
#include "test/test.h"

enum { KEEPER_ENTRIES_MAX = 20000, KEEPER_PAYLOAD_LEAST = 13 };
#define KEEPER_DIRECTORY "log"

struct keeper {
    struct sim_program program;
    struct sim_world *world;
    struct sim_node *node;
    struct log_options options;
    struct log_listener listener;
    struct sim_condition condition;
    struct sim_visit visit;
    void (*visit_run)(struct keeper *keeper);
    uint64_t argument[2]; /* of the visit */
    bool cuts;            /* the next start cuts the log behind `cut` */
    struct lsn cut;
    /* The present life. */
    struct world *seams;
    struct log *log;
    struct log_found found;
    enum err opened;
    struct why why;
    unsigned told;
    bool failed;
    uint32_t life;
    /* What was promised to the outside. */
    uint64_t acked, epoch;
    uint32_t life_of[KEEPER_ENTRIES_MAX], size_of[KEEPER_ENTRIES_MAX];
    enum err result; /* of the visit */
    uint64_t count;  /* likewise */
};

static inline void keeper_advanced(struct log_listener *listener)
{
    struct keeper *keeper = CONTAINER_OF(listener, struct keeper, listener);
    keeper->told++;
    if (log_durable(keeper->log).at > keeper->acked) keeper->acked = log_durable(keeper->log).at;
}

static inline void keeper_failed(struct log_listener *listener, const struct why *why)
{
    struct keeper *keeper = CONTAINER_OF(listener, struct keeper, listener);
    MUST(!keeper->failed);
    keeper->failed = true;
    keeper->why = *why;
}

static inline enum err keeper_open_log(struct keeper *keeper, struct world *world)
{
    struct log_site site = {KEEPER_DIRECTORY, world->disk,  world->entropy,
                            world->clock,     world->trace, &keeper->listener};
    keeper->options.cuts = keeper->cuts;
    keeper->options.last = keeper->cut;
    return log_open(&keeper->log, &site, &keeper->options, &keeper->found, &keeper->why);
}

/* Opens the log, made if need be, and promises the next epoch. */
static inline bool keeper_start(struct sim_program *program, struct world *world)
{
    struct keeper *keeper = CONTAINER_OF(program, struct keeper, program);
    struct history history = {{'h', 'i', 's', 't', 'o', 'r', 'y'}};
    keeper->seams = world;
    keeper->told = 0;
    keeper->failed = false;
    keeper->life++;
    keeper->opened = keeper_open_log(keeper, world);
    if (keeper->opened == ERR_NOT_FOUND) {
        MUST(keeper->acked == 0 && keeper->epoch == 0);
        struct log_site site = {
            .directory = KEEPER_DIRECTORY, .disk = world->disk, .entropy = world->entropy};
        keeper->opened = log_create(&site, &keeper->options, history, &keeper->why);
        if (keeper->opened == ERR_OK) keeper->opened = keeper_open_log(keeper, world);
    }
    if (keeper->opened != ERR_OK) return false;
    MUST(keeper->found.promised.number >= keeper->epoch);
    struct epoch next = {keeper->found.promised.number + 1, keeper->options.copy};
    keeper->opened = log_promise(keeper->log, next, &keeper->why);
    if (keeper->opened == ERR_OK) keeper->epoch = next.number;
    else log_abandon(keeper->log);
    return keeper->opened == ERR_OK;
}

static inline void keeper_stop(struct sim_program *program)
{
    struct keeper *keeper = CONTAINER_OF(program, struct keeper, program);
    keeper->result = log_close(keeper->log, &keeper->why);
    keeper->log = NULL;
}

static inline void keeper_ended(struct sim_program *program, enum sim_end end, int status)
{
    struct keeper *keeper = CONTAINER_OF(program, struct keeper, program);
    (void)status;
    if (end == SIM_END_CRASH) keeper->opened = ERR_OK; /* it was not refused */
    keeper->log = NULL;
}

/* A new world with a node that is down. Small segments, so that they are often rolled. */
static inline struct keeper *keeper_new(uint64_t seed, enum log_durability durability)
{
    struct keeper *keeper = memory_zeroed(1, sizeof(*keeper));
    keeper->options = (struct log_options){.segment_bytes = 16384,
                                           .reserve_bytes = 65536,
                                           .durability = durability,
                                           .direct = seed % 2 == 0,
                                           .cluster = 77,
                                           .copy = 3,
                                           .shard = 5};
    keeper->program = (struct sim_program){keeper_start, keeper_stop, keeper_ended};
    keeper->listener = (struct log_listener){keeper_advanced, keeper_failed};
    keeper->world = sim_world_open(seed);
    keeper->node = sim_node_open(keeper->world, &keeper->program, NULL);
    return keeper;
}

static inline void keeper_free(struct keeper *keeper)
{
    sim_world_close(keeper->world);
    memory_free(keeper);
}

static inline struct sim_disk *keeper_disk(struct keeper *keeper)
{
    return sim_node_disk(keeper->node);
}

static inline void keeper_visited(struct sim_visit *visit, struct world *world)
{
    struct keeper *keeper = CONTAINER_OF(visit, struct keeper, visit);
    (void)world;
    keeper->visit_run(keeper);
}

/* Runs code inside the node. False: it went down under it. */
static inline bool keeper_do(struct keeper *keeper, void (*run)(struct keeper *keeper))
{
    keeper->visit_run = run;
    keeper->visit = (struct sim_visit){keeper_visited};
    return sim_node_visit(keeper->node, &keeper->visit);
}

#endif
