/* SPDX-License-Identifier: Apache-2.0 */
/* stores: what sim/store.c, sim/flush.c and sim/warm.c share. */
#ifndef SIM_STORES_H
#define SIM_STORES_H

#include "base/buffer.h"
#include "sim/disk.h"
#include "sim/inside.h"
#include "sim/store.h"
#include "sim/tree.h"

/* What is attached to a store's directory. */
struct sim_held {
    struct sim_attached base;
    struct sim_tree *tree;
};

struct sim_stores {
    struct stores base;
    struct sim_node *node;
    struct sim_stores_profile profile;
    struct sim_faults faults;
    struct list opened; /* struct sim_store */
    uint64_t pendings;
};

struct sim_store {
    struct store base;
    struct list node;
    struct sim_stores *stores;
    struct sim_held *held;
    uint64_t opening;
    bool is_shut, is_low;
    struct sim_flushing *flushing;
    struct list cursors, views, warmings;
    char path[];
};

struct store_view {
    struct list node; /* in sim_store.views */
    struct sim_tree *tree;
};

/*   READING --run at its end--> COMMITTING --> TELLING --> done()
 * The version is put in place at the end of COMMITTING. */
enum sim_flush_phase { FLUSH_READING, FLUSH_COMMITTING, FLUSH_TELLING };

struct sim_flushing {
    struct sim_event event;
    struct sim_store *store;
    struct store_flush *flush; /* the node's */
    enum sim_flush_phase phase;
    enum err err; /* drawn at the begin, answered at the end */
    struct sim_tree *next;
    struct buffer last; /* the newest key of a put or delete */
    bool has_last;
    uint64_t items, hash;
};

void sim_store_look_after_space(struct sim_store *store); /* decides what is_low() says */

/* ERR_OK, or what an injected fault says. */
enum err sim_store_roll(struct sim_stores *stores, enum sim_store_op op, const char *path);
uint64_t sim_store_latency(struct sim_store *store, enum sim_store_op op, uint64_t low,
                           uint64_t high);

void sim_item_warm(const struct sim_store *store, struct sim_item *item); /* NULL: nothing */
void sim_store_warm(struct store *base, struct store_warm *warm);         /* the seam's */
/* A survey is one step here. */
bool sim_store_goes_on(struct store *base, struct store_warm *warm, uint64_t bytes);
uint64_t sim_store_went(struct store *base, const struct store_warm *warm);
void sim_store_hurry(struct store *base, struct store_warm *warm);
void sim_warmings_drop(struct sim_store *store); /* without telling */

void sim_store_flush(struct store *base, struct store_flush *flush);          /* the seam's */
enum err sim_store_flush_wait(struct store *base, struct store_flush *flush); /* likewise */
/* Carries a flush under way through to its commit, without telling; the store is closing. */
void sim_flushing_finish(struct sim_flushing *flushing);
/* All or nothing of a flush under way, as the cut says. */
void sim_flushing_cut(struct sim_flushing *flushing, enum sim_keep keep, struct dice *dice);
void sim_flushing_drop(struct sim_flushing *flushing);

#endif
