/* SPDX-License-Identifier: Apache-2.0 */
/* node: one simulated machine with its clock, disk, stores, address and heap, and the program that
 * runs on it.
 *
 *     DOWN --start--> UP --stop, exit, start refused--> DOWN   checked for leaks, heap dropped
 *                      +--crash, broken MUST----------> DOWN   heap dropped, disk cut
 *
 * A node's code runs only inside a turn: an event is delivered, perhaps more that came while the
 * loop was busy, then deferred tasks run until there are none. When a crash point is reached in the
 * middle of its code, the turn ends by a long jump: nothing of the node runs any more, as in a
 * power cut. */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seam/world.h"
#include "sim/world.h"

struct sim_node; /* fields: sim/inside.h */
struct sim_disk;
struct sim_stores;
struct sim_heap;

enum sim_end {
    SIM_END_STOP,    /* sim_node_stop */
    SIM_END_EXIT,    /* sim_node_exit, with its status */
    SIM_END_REFUSED, /* start() said no */
    SIM_END_CRASH,   /* sim_node_crash, sim_node_crash_at */
    SIM_END_MUST,    /* a MUST was broken in its code: also a failed check */
};

/* What runs on a node. Embed it in the harness's own struct; borrowed until the world is closed. */
struct sim_program {
    /* Inside the node: builds the server on `world`. False: it refused and holds nothing. */
    bool (*start)(struct sim_program *program, struct world *world);
    /* Inside the node: shuts down and lets go of everything; what is left is reported as leaked.
     * NULL: no clean stop. */
    void (*stop)(struct sim_program *program);
    /* Outside: the node's memory is gone, forget every pointer into it. May start it again. NULL:
     * nobody asks. */
    void (*ended)(struct sim_program *program, enum sim_end end, int status);
};

struct sim_node_options {
    const char *name;  /* for traces; NULL: n1, n2, ... */
    int64_t drift_ppm; /* its clocks against the world's, within +-100,000 */
    int64_t wall_offset_ms;
    uint64_t memory_bytes_max; /* a node that holds more is a failed check; 0: no bound */
    uint64_t disk_bytes;       /* capacity; 0: 1 TiB */
};

/* What of the unsynced state survives. The power went, except for the first. */
enum sim_keep {
    SIM_KEEP_CACHE,   /* only the process died: everything that reached the page cache */
    SIM_KEEP_NOTHING, /* of what was unsynced */
    SIM_KEEP_ALL,
    SIM_KEEP_PREFIX,  /* the first so many operations over the whole disk; how many: by `number` */
    SIM_KEEP_SECTORS, /* any subset of sectors, of names, of lengths */
    SIM_KEEP_TORN,    /* the same, and sectors cut in the middle */
    SIM_KEEP_GARBAGE, /* the same, and random bytes behind the cut */
    SIM_KEEP_ZEROS,   /* names and lengths survive, contents do not: zeros */
    SIM_KEEP_ALL_BUT_ONE, /* sector; which: by `number` */
    SIM_KEEPS,
};
struct sim_cut {
    enum sim_keep keep;
    uint64_t number; /* seeds this cut's own dice: the same number, the same cut */
};

enum sim_moment { SIM_MOMENT_NONE, SIM_BEFORE, SIM_DURING, SIM_AFTER };

/* A crash at one I/O operation: not begun, carried out in part, or whole but with nobody told. */
struct sim_crash {
    uint64_t io; /* sim_node_io() when it happens; the first operation is 0 */
    enum sim_moment moment;
    struct sim_cut cut;
};

/* `program` may be NULL (a node for visits only). Owned by the world. `options` is copied; NULL:
 * all zero. */
struct sim_node *sim_node_open(struct sim_world *world, struct sim_program *program,
                               const struct sim_node_options *options);

/* Boots and runs program->start(). The node is down. False: it refused, crashed, or broke a MUST.
 */
bool sim_node_start(struct sim_node *node);
/* Runs program->stop() and takes the node down; leaks are a failed check. False: it crashed on the
 * way. */
bool sim_node_stop(struct sim_node *node);
/* Takes the node down at once, from outside of it. Down already: nothing. */
void sim_node_crash(struct sim_node *node, struct sim_cut cut);
/* Arms one crash for later; NULL disarms. */
void sim_node_crash_at(struct sim_node *node, const struct sim_crash *crash);
/* The standard variants, numbered from 0: fills everything but crash->io. False: there is no such
 * variant. */
bool sim_crash_variant(unsigned variant, struct sim_crash *crash);
/* From inside the node: its process ends, the page cache stays. Status 0: leaks are a failed check.
 */
__attribute__((noreturn)) void sim_node_exit(struct sim_node *node, int status);

/* A piece of code to run inside a node; caller-owned. */
struct sim_visit {
    void (*run)(struct sim_visit *visit, struct world *world);
};
/* Runs it as one turn of a node that is up. False: the node went down under it. */
bool sim_node_visit(struct sim_node *node, struct sim_visit *visit);

bool sim_node_is_up(const struct sim_node *node);
bool sim_node_is_inside(const struct sim_node *node); /* its code is running right now */
uint64_t sim_node_io(const struct sim_node *node); /* I/O operations so far, over all its lives */
uint64_t sim_node_lives(const struct sim_node *node); /* times started */
struct sim_world *sim_node_of(const struct sim_node *node);
struct world *sim_node_world(struct sim_node *node);
struct sim_disk *sim_node_disk(struct sim_node *node);
struct sim_stores *sim_node_stores(struct sim_node *node);
struct sim_heap *sim_node_heap(struct sim_node *node);
const char *sim_node_name(const struct sim_node *node);
const char *sim_node_address(const struct sim_node *node); /* "10.0.0.1" */

/* The process stands still (SIGSTOP) while its clocks and the others go on. */
void sim_node_pause(struct sim_node *node, uint64_t duration_us);
bool sim_node_stands(const struct sim_node *node); /* still, right now */
void sim_node_wall_jump(struct sim_node *node, int64_t milliseconds);
void sim_node_drift(struct sim_node *node, int64_t ppm);

#endif
