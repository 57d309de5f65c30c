/* SPDX-License-Identifier: Apache-2.0 */
/* upkeep: what a node does by itself now and then: flushes, removal of expired keys, clean-up, and
 * the steps of a stop. */
#ifndef NODE_UPKEEP_H
#define NODE_UPKEEP_H

#include "base/mark.h"
#include "seam/clock.h"
#include "seam/machine.h"

struct node;

struct upkeep {
    struct timer tick, expire, tidy;
    struct machine_flush flush;
    bool flushing, flush_wanted, flush_synced, expiry_on, tidying;
    struct lsn flush_through;
    uint64_t flush_bytes_min, flush_bytes_max; /* bounds of the budget */
    uint64_t flush_not_before_us, reclaim_not_before_us, last_append_us;
    bool store_low;          /* the last flush found the disk full */
    uint64_t drain_until_us; /* a stop waits so long for commits that are others' to give */
    uint64_t applied_calls, applied_us, replay_us, replay_entry_ns, replay_record_ns; /* rates */
    uint64_t expired_keys; /* proposed for removal */
};

void node_upkeep_start(struct node *node);
void node_upkeep_stop(struct node *node);
void node_flush_if_due(struct node *node);
void node_flush_now(struct node *node);
void node_flush_advanced(struct node *node); /* the log became more durable */
void node_stop_step(struct node *node);
bool node_is_low(const struct node *node); /* for want of space no data are added */
bool node_adds_data(struct node *node, struct bytes payload); /* any command of it may */

#endif
