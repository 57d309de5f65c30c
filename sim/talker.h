/* SPDX-License-Identifier: Apache-2.0 */
/* talker: simulated clients. Each sends a *go*: one op, or several in one piece, or a transaction,
 * always followed by POS.GET, whose answer is the mark of the last; waits for all answers; thinks;
 * goes on. Connections are lost and made again, some clients hang up in the middle, read slowly, or
 * send a command in two pieces. */
#ifndef SIM_TALKER_H
#define SIM_TALKER_H

#include "seam/net.h"
#include "sim/workload.h"
#include "sim/world.h"

struct sim_node;
struct talkers;

enum slot_kind { SLOT_OK, SLOT_QUEUED, SLOT_OP, SLOT_EXEC, SLOT_POSITION };
struct slot {
    enum slot_kind kind;
    struct op *op; /* SLOT_OP, SLOT_EXEC */
};
enum { TALKER_SLOTS_MAX = 16 };

struct talker {
    struct stream_owner owner;
    struct stream *stream; /* NULL: not connected */
    struct sim_event next; /* the next go, the rest of this one, or its time is over */
    struct talkers *all;
    uint8_t database;
    bool watching; /* its next go is a transaction */
    struct slot slots[TALKER_SLOTS_MAX];
    unsigned slot_count, slot_at;
    struct op *last; /* the newest op of this go */
    uint64_t reign;  /* when this go was sent */
    struct buffer in, wire;
    size_t sent; /* of wire */
};

struct talkers_options {
    unsigned count;
    uint64_t think_us_max;
    uint32_t hang_up_per_million;   /* after each go, before its answers */
    uint32_t split_per_million;     /* a go is sent in two pieces */
    uint64_t slow_bytes_per_second; /* the first talker reads so slowly; 0: it does not */
    uint64_t patience_us;
};

struct talkers {
    struct sim_world *world;
    struct sim_node *node;
    struct workload *workload;
    struct ops *ops;
    struct dice *dice;
    struct talkers_options options;
    struct talker *list;
    bool going; /* false: talkers finish their go and stay */
    bool relaxed;
    /* A number that names the epoch which the node leads now; 0: it leads none, and its state may
     * be old. NULL: it always leads. */
    uint64_t (*reign)(struct talkers *talkers);
    uint64_t told;    /* the newest LSN that anyone has been told of by who leads, */
    uint64_t written; /* and of a write */
    uint64_t moments; /* so many things were sent and received */
    uint64_t goes, hang_ups, connects, answers, unknown, refused;
};

void talkers_init(struct talkers *talkers, struct sim_node *node, struct workload *workload,
                  struct ops *ops, const struct talkers_options *options);
void talkers_release(struct talkers *talkers); /* before the world is closed */
void talkers_go(struct talkers *talkers, bool going);
bool talkers_idle(const struct talkers *talkers); /* nobody waits for an answer */
/* Every connection is dropped from this end: what was not answered is unknown. */
void talkers_drop(struct talkers *talkers);
/* From now on, or (not `on`) only for what is under way: reads may find expired keys gone already,
 * since no entry that removes them can be appended. */
void talkers_relax(struct talkers *talkers, bool on);
/* One connection is reset, from the middle of the net. */
void talkers_reset_one(struct talkers *talkers);

#endif
