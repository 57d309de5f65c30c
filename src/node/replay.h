/* SPDX-License-Identifier: Apache-2.0 */
/* replay: what a start applies again. */
#ifndef NODE_REPLAY_H
#define NODE_REPLAY_H

#include <stdint.h>

#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"
#include "seam/machine.h"

struct node;

/* Applies the entries of the log from `from` through `to`, or so many of them as a start may take
 * time for; none if `to` is before. Blocks. */
MUST_USE enum err node_replay(struct node *node, struct lsn from, struct lsn to, struct why *why);

/* The entries behind the state through `last`, or the first of them, are held for the time when
 * they are committed. Blocks. */
MUST_USE enum err node_read_ahead(struct node *node, struct lsn last, struct why *why);

/* What a replay takes for a record that it has to read, after one that took so long. Few records
 * say little: then what was assumed stays. */
uint64_t node_replay_record_ns(uint64_t assumed, uint64_t took_us, uint64_t entries,
                               uint64_t records);
/* What it takes to apply an entry, after a sample of at least one: the best of what was seen
 * lately. While others use the machine everything takes longer, and more and smaller flushes would
 * make it worse. */
uint64_t node_replay_entry_ns(uint64_t before, uint64_t took_us, uint64_t entries);

/* While it serves: from a record that was missed on, what the next entries ask for is read before
 * they are applied, as long as something is missing. */
struct ahead {
    bool on, busy;
    struct lsn through; /* shown to the machine */
    struct machine_warm warm;
};

/* The entry there, or what stands before the next one, waits for a record. */
void node_look_ahead_from(struct node *node, struct lsn lsn);
void node_look_ahead(struct node *node); /* entries were appended or applied; nothing is fine */

#endif
