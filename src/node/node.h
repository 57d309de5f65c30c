/* SPDX-License-Identifier: Apache-2.0 */
/* node: the pipeline of a shard: admit, log, commit, apply, reply; and its start and stop.
 *
 * A write is refused at admission or gets an LSN; from there it is answered by its result or not at
 * all. It is applied once it is committed, in log order; reads see applied state only. Calls that
 * must keep their place stand in one queue with the entries, so a client's replies come in the
 * order of its calls. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/err.h"
#include "base/must.h"
#include "log/log.h"
#include "seam/maker.h"
#include "seam/service.h"
#include "seam/world.h"

struct node; /* fields: node/internal.h */

/* An image is due when so much time has passed and so much was changed since the last one. */
struct node_save_point {
    uint64_t seconds, changes;
};

enum { NODE_SAVE_POINTS_MAX = 16 };
struct node_images {
    unsigned keep; /* so many of the newest, >= 1 */
    size_t point_count;
    struct node_save_point points[NODE_SAVE_POINTS_MAX];
};

/* Copies of the log and of images, elsewhere. */
struct node_archive {
    const char *directory; /* NULL or empty: none; not to be changed while serving */
    uint64_t interval_us;
    uint64_t budget_bytes; /* the log may become so large for what is not archived */
};

enum { NODE_PEER_ADDRESSES_MAX = 16 };

/* The other copies. Texts are copied. */
struct node_copies {
    const char *follow; /* "host:port" of the primary's Redis port; "": none is named */
    /* Where sessions are accepted; a leading -: unless it cannot be; NULL: no more. */
    const char *peer_addresses[NODE_PEER_ADDRESSES_MAX];
    const char *announced_host; /* that others reach this copy by; "": as connections show it */
    unsigned peer_port, redis_port;
    const char *secret;          /* "": none; then TLS, or copies on this machine only */
    bool wipe;                   /* `follow` may bring other data: what is here may be given up */
    const char *user, *password; /* at the primary's Redis port; "": none */
    bool all;                    /* what is proposed for a shard whose log names no copies yet */
    unsigned min_in_sync;
    uint64_t drop_after_us; /* a copy that counts and is gone for so long is removed; 0: never */
    /* Budgets of one that is behind, then it is given up; 0: none. */
    uint64_t silent_us, behind_bytes_max;
    uint64_t ahead_bytes; /* may wait to be applied here while this one catches up; 0: none */
    unsigned rebuilds_max;
    uint64_t image_bytes_per_s; /* to each copy that is rebuilt; 0: no limit */
};

/* Which shard it serves: the number is in its log, its images and what it says to other copies; the
 * name is what people are told. */
struct node_shard {
    uint32_t number;
    const char *name; /* copied */
};

struct node_options {
    struct node_shard shard;
    const char *directory; /* of the data; made when absent */
    enum log_durability durability;
    bool log_direct;
    uint64_t segment_bytes, reserve_bytes;
    uint64_t flush_bytes_min, flush_bytes_max; /* bounds of the flush budget */
    struct node_images images;
    struct node_archive archive;
    struct node_copies copies;
};

/* Why a node ends by itself; the process's exit status follows from it. */
enum node_failure {
    NODE_FAILED_LOG,      /* a sync of the log failed */
    NODE_FAILED_STORE,    /* the store failed otherwise than by lack of space */
    NODE_FAILED_CORRUPT,  /* bytes on disk are not what was written */
    NODE_FAILED_DIVERGED, /* this copy does not hold what its mark says; all of it is kept */
};

/* Told on the loop, never from inside a call into the node. */
struct node_listener {
    void (*ready)(struct node_listener *listener); /* serving: everything recovered is applied */
    void (*failed)(struct node_listener *listener, enum node_failure failure,
                   const struct why *why);
    void (*stopped)(struct node_listener *listener); /* node_stop() has finished */
};

/* Recovers the directory: lock, identity, log, store, start gate, replay of (flushed, committed];
 * then promises a new epoch and appends its entry. Blocks (start-up). ready() follows when that
 * entry is committed and applied; until then calls are refused with -LOADING. ERR_REFUSED,
 * ERR_CORRUPT, ERR_IO, ERR_SPACE with the reason; then nothing stays open. */
MUST_USE enum err node_open(struct node **node, const struct world *world,
                            struct machine_maker *maker, const struct node_options *options,
                            struct node_listener *listener, struct why *why);

struct service *node_service(struct node *node); /* valid until node_close */

/* Refuses new calls, answers those in flight, flushes, and tells stopped(). */
void node_stop(struct node *node);
/* After stopped() or failed() or a failed start: lets go of everything. Blocks. NULL is fine. */
void node_close(struct node *node);

/* CONFIG SET of what may change while serving. */
void node_set_durability(struct node *node, enum log_durability durability);
void node_set_flush_bytes(struct node *node, uint64_t min, uint64_t max);
void node_set_images(struct node *node, const struct node_images *images);
void node_set_archive(struct node *node, const struct node_archive *archive);
/* User and password at the primary, budgets, rates. */
void node_set_copies(struct node *node, const struct node_copies *copies);

#endif
