/* SPDX-License-Identifier: Apache-2.0 */
/* start: from a directory to the entry of a new epoch, in the order that makes it safe (start.c).
 */
#ifndef NODE_START_H
#define NODE_START_H

#include "base/err.h"
#include "base/hlc.h"
#include "base/mark.h"
#include "base/must.h"
#include "seam/machine.h"

struct node;
struct node_options;

/* What the start found, and what it left to be done. */
struct start {
    const char *outcome;           /* the gate's word */
    uint64_t gap_entries, took_us; /* replayed; of all */
    struct lsn tail_from, tail_to; /* beyond the recorded commit: wait for our epoch's */
    struct lsn epoch_lsn;          /* of this start's epoch entry */
    struct stamp stamp;            /* of that entry */
};

/* Blocks. On failure the node is to be closed. */
MUST_USE enum err node_start(struct node *node, struct machine_maker *maker,
                             const struct node_options *options, struct why *why);
/* Our epoch's entry has committed: applies what was in the log before it. Blocks. */
MUST_USE enum err node_apply_tail(struct node *node, struct why *why);

#endif
