/* SPDX-License-Identifier: Apache-2.0 */
/* behind: entries that this copy has in its log, and not in memory, on their way to be applied.
 *
 * A copy that catches up takes the log faster than it applies it. What exceeds its share of memory
 * stays in the log's files alone: so it is durable here, and may count, as soon as the log can
 * come. From there it is read again, in order and some entries ahead, while more arrives. The end
 * of a log that a start or a cut has found is applied the same way.
 *
 * None of these entries is in the order, where those that follow them have their calls. */
#ifndef NODE_BEHIND_H
#define NODE_BEHIND_H

#include <stdbool.h>
#include <stdint.h>

#include "log/log.h"

struct node;

struct behind {
    struct lsn to;             /* the last one; at or below the mark of the state: there is none */
    uint64_t bytes, least;     /* of those that a session has brought; the least since it streams */
    unsigned attempt;          /* at the first one */
    unsigned step;             /* entries applied since the last pause, while it gives way */
    struct log_follow *follow; /* NULL: nothing was read yet */
    struct log_follow_listener listener;
    struct entry *ring; /* what was read: payloads are its own; NULL: none yet */
    unsigned first, count;
    uint64_t ring_bytes;
    uint64_t read_back; /* entries that were applied, ever */
};

/* Through the end of the log nothing is in the order any more: what waits is applied from here. */
void node_behind_begin(struct node *node);
bool node_is_behind(const struct node *node);
uint64_t node_behind_entries(const struct node *node);
/* A session catches up: its entries come first, until too many wait to be applied. */
bool node_behind_gives_way(const struct node *node);
/* A session has appended this entry, behind the last one. */
void node_behind_append(struct node *node, const struct entry *entry);
/* What the disk has needs no memory. */
void node_behind_advanced(struct node *node);
/* An entry of a start's own reading, behind those that were read. False: no more are held. */
bool node_behind_hold(struct node *node, const struct entry *entry);
/* The next entry, if it is committed, borrowed until it is applied. False: node->apply runs when
 * there is one, or the node has failed. */
bool node_behind_next(struct node *node, struct entry *entry);
void node_behind_applied(struct node *node, const struct entry *entry);
/* An entry of those that were read. Borrowed until it is applied. */
bool node_behind_entry(const struct node *node, struct lsn lsn, struct entry *entry);
/* A session may bring more. */
bool node_behind_has_room(const struct node *node);
/* Before the log is closed: nothing is read any more until the next call. */
void node_behind_pause(struct node *node);
/* What is left stays in the log, for the next start. */
void node_behind_drop(struct node *node);

#endif
