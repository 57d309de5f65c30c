/* SPDX-License-Identifier: Apache-2.0 */
/* world: everything outside of the server's rooms, simulated on one thread from one seed.
 *
 * How a harness uses it:
 *
 *     world = sim_world_open(seed);
 *     node = sim_node_open(world, &harness.program, &options);     (sim/node.h)
 *     sim_node_start(node);         program->start() builds the server on the node's struct world
 *     stream = sim_connect(world, node, 7379, &client.owner);      (sim/net.h)
 *     sim_world_run_for(world, 5 * SIM_SECOND);
 *     sim_node_crash(node, cut);    program->ended() tells that its memory is gone
 *     sim_node_start(node);         the same disk, less what the cut took
 *     sim_world_failure(world)      NULL, or the first broken check: print it with the seed
 *     sim_world_close(world);
 *
 * - Faults: sim_disk_fault (sim/disk.h), sim_stores_fault (sim/store.h), the profiles of disk,
 * stores and net, sim_stream_* (sim/net.h), what lies between nodes (sim/paths.h, sim/weather.h),
 * clocks and pauses (sim/node.h).
 * - Every crash point of a script: run it once and take sim_node_io(); then for each k below it,
 * and each `variant` while sim_crash_variant() says true, make the world anew with the same seed,
 * call sim_node_crash_at(), run the script until ended() was called, start the node again, and
 * check. A second sim_node_crash_at() before that start is a crash during recovery.
 * - Determinism: everything that happens goes into sim_world_hash(). Two runs of one seed must have
 * the same. Draw only from sim_world_dice(), one kind per concern, so that more of one does not
 * shift another.
 * - Memory: a node's code allocates on the node's heap, everything else on the harness's. What a
 * harness keeps must not be allocated from inside a node (start, stop, a visit): see
 * sim_heap_enter. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/dice.h"
#include "sim/event.h"

struct sim_world; /* fields: sim/inside.h */

enum {
    SIM_MILLISECOND = 1000,
    SIM_SECOND = 1000 * 1000,
};

enum sim_dice {
    SIM_DICE_DISK,
    SIM_DICE_NET,
    SIM_DICE_WORKLOAD,
    SIM_DICE_FAULTS,
    SIM_DICE_STORE,
    SIM_DICE_SCHEDULE,
    SIM_DICE_ENTROPY,
    SIM_DICE_PEERS,   /* what happens between nodes, as SIM_DICE_NET with the harness's clients */
    SIM_DICE_WEATHER, /* sim/weather.h */
    SIM_DICE_KINDS,
};

/* Owned by the caller until sim_world_close. */
struct sim_world *sim_world_open(uint64_t seed);
/* Drops the nodes too, running no code of theirs and telling nobody. NULL is fine. */
void sim_world_close(struct sim_world *world);

uint64_t sim_world_seed(const struct sim_world *world);
uint64_t sim_world_now_us(const struct sim_world *world); /* from 0 */
uint64_t sim_world_turns(const struct sim_world *world);  /* events delivered so far */
uint64_t sim_world_hash(const struct sim_world *world);
struct dice *sim_world_dice(struct sim_world *world, enum sim_dice kind); /* the world's */

/* Plans the event (caller-owned, borrowed until it fires) `delay_us` from now. */
void sim_world_plan(struct sim_world *world, struct sim_event *event, uint64_t delay_us);
void sim_world_cancel(struct sim_world *world, struct sim_event *event); /* not planned is fine */

/* One turn. False: nothing is planned, or a check has failed. */
bool sim_world_step(struct sim_world *world);
/* Turns until that much time has passed, or a check fails (false). */
bool sim_world_run_for(struct sim_world *world, uint64_t duration_us);

/* Something to wait for; embed it and find the owner with CONTAINER_OF. */
struct sim_condition {
    bool (*met)(struct sim_condition *condition);
};
/* Turns until the condition is met; false if `limit_us` pass first, nothing is left to happen, or a
 * check fails. */
bool sim_world_run_until(struct sim_world *world, struct sim_condition *condition,
                         uint64_t limit_us);
/* Turns until nothing is under way but timers; false as above. */
bool sim_world_settle(struct sim_world *world, uint64_t limit_us);

/* Mixes a fact into the hash. */
void sim_world_note(struct sim_world *world, uint64_t what, uint64_t value);
void sim_world_note_bytes(struct sim_world *world, uint64_t what, struct bytes bytes);

/* Reports a broken check. The first one is kept and stops the runs above. */
__attribute__((format(printf, 2, 3))) void sim_world_fail(struct sim_world *world,
                                                          const char *format, ...);
const char *sim_world_failure(const struct sim_world *world); /* NULL: none so far */

/* Trace lines of the nodes ("12.345678 n1 log cut lsn=7") are hashed; they also go to `out`, NULL:
 * nowhere. */
void sim_world_print(struct sim_world *world, FILE *out);
/* A line from the harness in the same form; hashed too. */
__attribute__((format(printf, 2, 3))) void sim_world_say(struct sim_world *world,
                                                         const char *format, ...);
/* And each line is shown to one reader (borrowed; NULL: nobody), which may look for what it must
 * contain. */
struct sim_reader {
    void (*line)(struct sim_reader *reader, const char *line);
};
void sim_world_read(struct sim_world *world, struct sim_reader *reader);

#endif
