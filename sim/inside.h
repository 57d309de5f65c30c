/* SPDX-License-Identifier: Apache-2.0 */
/* inside: what world, node, disk, stores and net share. Not for harnesses. */
#ifndef SIM_INSIDE_H
#define SIM_INSIDE_H

#include <setjmp.h>

#include "base/list.h"
#include "base/trace.h"
#include "sim/clock.h"
#include "sim/entropy.h"
#include "sim/must.h"
#include "sim/net.h"
#include "sim/node.h"
#include "sim/paths.h"
#include "sim/world.h"

enum {
    WORLD_FAILURE_BYTES = 600,
    NODE_NAME_BYTES = 32,
    NODE_TASKS_MAX = 1000000, /* in one turn; more is a loop without end */
};

struct net_link; /* sim/net.c */

struct sim_world {
    uint64_t seed, now_us, turns, hash;
    struct sim_events events;
    struct dice dice[SIM_DICE_KINDS];
    struct list nodes;
    unsigned node_count;
    struct list clients; /* the harness's ends of streams */
    struct list links;   /* struct net_link: all that there are */
    struct list paths;   /* struct sim_path: between nodes that have met */
    struct sim_paths_profile peers;
    uint64_t sent; /* sends between nodes so far */
    uint64_t hits[SIM_HITS];
    struct net_link *calling;      /* one of whose owners is being called, */
    struct sim_node *calling_node; /* that of this node; NULL: the harness's */
    uint8_t *lent;                 /* the bytes that were lent to it */
    unsigned next_port;
    struct sim_net_profile net;
    uint64_t store_openings;
    struct sim_node *inside; /* whose code is running */
    jmp_buf escape;          /* out of that turn */
    struct sim_must must;
    char failure[WORLD_FAILURE_BYTES]; /* "" = none */
    FILE *print;
    struct sim_reader *reader;
};

struct sim_node {
    struct sim_world *world;
    struct list node; /* in world->nodes */
    unsigned index;
    char name[NODE_NAME_BYTES], address[NODE_NAME_BYTES];
    struct sim_program *program;
    struct world seams;
    struct sim_clock clock;
    struct sim_entropy entropy;
    struct trace trace;
    struct sim_disk *disk;
    struct sim_stores *stores;
    struct sim_net *net;
    struct sim_heap *heap;
    bool up, rebooted; /* rebooted: boottime starts anew at the next start */
    uint64_t lives, io, paused_until_us;
    bool crash_is_armed;
    struct sim_crash crash;

    bool is_ending; /* the turn was left by a long jump, for this reason */
    enum sim_end end;
    int status;
    struct sim_cut cut;
};

/* Takes the first event out of the queue and makes its time the present; counted and hashed. */
struct sim_event *sim_world_take(struct sim_world *world);
/* One turn of the node that begins with `event`. */
void sim_node_turn(struct sim_node *node, struct sim_event *event);
/* Drops the node without any code of its own and frees it. */
void sim_node_discard(struct sim_node *node);

/* Counts one I/O operation. What is not SIM_MOMENT_NONE is to be followed, then sim_node_die(). */
enum sim_moment sim_node_count_io(struct sim_node *node);
__attribute__((noreturn)) void sim_node_die(struct sim_node *node);

/* Parts of a node's end, in this order; each forgets what belongs to the node's memory. */
void sim_paths_release(struct sim_world *world);
void sim_net_cut(struct sim_net *net, const struct sim_cut *cut);
void sim_stores_cut(struct sim_stores *stores, const struct sim_cut *cut);
void sim_disk_cut(struct sim_disk *disk, const struct sim_cut *cut);
/* What a clean stop must not leave behind: appended as words ("2 files"), nothing if there is
 * nothing. */
void sim_net_leftovers(const struct sim_net *net, struct buffer *out);
void sim_stores_leftovers(const struct sim_stores *stores, struct buffer *out);
void sim_disk_leftovers(const struct sim_disk *disk, struct buffer *out);

/* Calls back into the node: `call` runs on the node's heap. Only within a turn of the node. */
#define SIM_CALL_NODE(owner, call) \
    do { \
        (void)sim_heap_enter((owner) != NULL ? (owner)->heap : NULL); \
        call; \
        (void)sim_heap_enter(NULL); \
    } while (0)

#endif
