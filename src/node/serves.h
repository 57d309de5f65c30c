/* SPDX-License-Identifier: Apache-2.0 */
/* serves: the other copies that follow this one: their sessions, what they need of log and images,
 * how far they are. A primary serves; so does a replica, whose followers form a chain. */
#ifndef NODE_SERVES_H
#define NODE_SERVES_H

#include "replica/replica.h"
#include "seam/copies.h"
#include "seam/net.h"

struct node;
struct serves; /* fields: serving.h */
struct senders;

/* The shard is open and an epoch is led, or followed in a session that streams: from now on others
 * are served, as of that epoch. */
void node_serves_begin(struct node *node);
/* Says goodbye in every session and ends it; node->serves is NULL when it returns. Before log and
 * images are closed; not from inside a session's step. Nobody being served is fine. */
void node_serves_end(struct node *node, enum bye_reason reason);
/* Nobody is served, and the disk has no request of a session any more; node_stop_step() follows. */
bool node_serves_quiet(const struct node *node);
void node_serves_close(struct node *node); /* with the node: what is known of copies goes too */
/* A stream whose first frame says that a replica is there. `first`: bytes that were read of it
 * already. NULL: nobody is served here. */
struct stream_owner *node_serves_accept(struct node *node, struct stream *stream,
                                        struct bytes first);
/* The log, what is committed or what is applied moved on. Once a turn is enough. */
void node_serves_advanced(struct node *node);
void node_serves_tick(struct node *node);
/* The configured copies are others now. */
void node_serves_members(struct node *node);
/* Entries from here on are held for copies; 0: all, since a configured copy has not reported yet,
 * or the primary has not said what it keeps; `none` when nobody holds any. */
struct lsn node_serves_floor(const struct node *node, struct lsn none);
/* When that copy was heard last in its session of now; 0: it has none. */
uint64_t node_serves_heard_us(const struct node *node, uint64_t copy);
/* How many other copies have synced the log through `lsn`, by sessions of now. */
unsigned node_serves_durable(const struct node *node, struct lsn lsn);
/* Ends the session of that copy with BYE_LEAD: it is to lead. No session of it is fine. */
void node_serves_hand_over(struct node *node, uint64_t copy);
MUST_USE enum err node_serves_rebuild(struct node *node, uint64_t copy);
/* What is told of them: fills in at[], count, in_sync. */
void node_serves_status(const struct node *node, struct copies_status *out);
/* An event of that copy, or of this one. */
void node_serves_tell(struct node *node, uint64_t copy, enum orchestrator_event_kind kind);
bool node_serves_event(const struct node *node, uint64_t number, struct copy_event *out);

/* Tells it to every copy that has asked about a digest. */
struct message_stamp;
void node_serves_stamp(struct node *node, const struct message_stamp *stamp);

#endif
