/* SPDX-License-Identifier: Apache-2.0 */
/* store: the simulated stores of a node, on the seam of seam/store.h.
 *
 * A store is one version of an ordered map, attached to its directory on the node's disk; a flush
 * makes the next version and puts it in place in one step. A crash leaves the last one in place; a
 * flush whose run had been read to its end has happened or not, as the cut says.
 *
 * - The run is read in pieces spread over the flush's time, as a thread would: what it reads must
 * stand still until done(). The new version is seen by reads from the commit on, which is a little
 * before done().
 * - Whether an item is in memory is drawn when it is first touched after an opening, and stays so
 * until it is warmed or, now and then, thrown out. What is not in memory says ERR_PENDING to
 * STORE_NO_WAIT. A key that is absent depends on its neighbour: the next item, or the last one.
 * - What a cursor lends is a copy that is freed when it moves.
 * - Opening, the begin of a flush and its commit are I/O operations (sim_node_io).
 * - Programmer errors are a MUST: a run out of order, a delete-range behind a put or delete, a
 * second flush at a time, a cursor or view left open at close, a cursor moved from no place or
 * after ERR_PENDING. */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "seam/store.h"
#include "sim/faults.h"

struct sim_node;
struct sim_stores; /* fields: sim/store.c */

enum sim_store_op {
    SIM_STORE_OPEN,
    SIM_STORE_GET,
    SIM_STORE_WALK, /* a cursor's moves */
    SIM_STORE_WARM,
    SIM_STORE_FLUSH, /* ERR_SPACE: as before; other errors: shut */
};

struct sim_stores_profile {
    uint32_t cached_per_million;  /* the chance that an item not touched yet is in memory */
    uint32_t evicted_per_million; /* the chance that a touched one has just been thrown out */
    uint64_t flush_us_min, flush_us_max;
    uint64_t warm_us_min, warm_us_max;
};

struct sim_stores *sim_stores_open(struct sim_node *node);
void sim_stores_close(struct sim_stores *stores);
struct stores *sim_stores_seam(struct sim_stores *stores);
struct sim_stores_profile *sim_stores_profile(
    struct sim_stores *stores); /* to be set by the harness */

/* A rule for operations 1 << enum sim_store_op; paths are those given to open. */
uint64_t sim_stores_fault(struct sim_stores *stores, const struct sim_fault *fault);
void sim_stores_unfault(struct sim_stores *stores, uint64_t id); /* 0: all rules */
uint64_t sim_stores_fault_hits(const struct sim_stores *stores);

/* For checkers: the version in place at the path, as a run of {le32 key size, le32 value size, key,
 * value}, appended. False: no store there. */
bool sim_stores_dump(struct sim_stores *stores, const char *path, struct buffer *out);
/* For an operator's hands, while the node is down: the version in place, shared, and another one
 * (taken over; NULL: an empty store) in its place. False: no store there. */
struct sim_tree;
bool sim_stores_take(struct sim_stores *stores, const char *path, struct sim_tree **tree);
void sim_stores_put(struct sim_stores *stores, const char *path, struct sim_tree *tree);
/* How many reads have said ERR_PENDING: a run in which none did proves nothing about them. */
uint64_t sim_stores_pendings(const struct sim_stores *stores);

#endif
