/* SPDX-License-Identifier: Apache-2.0 */
/* votes: promises between copies: asked for by a copy that would lead, given by the others.
 *
 *   asking (nothing is promised) --enough would--> own promise, durable --> binding: theirs
 *     --enough have--> this copy leads
 *
 * Mode all: n - min_in_sync + 1 of the n configured copies, this one among them; mode local: the
 * copy that led last. Whoever has more than this copy leads instead: the reply says who. */
#ifndef NODE_VOTES_H
#define NODE_VOTES_H

#include "seam/copies.h"
#include "seam/net.h"

struct node;
struct votes; /* fields: votes.c */

/* A start, or a replica whose primary is not known: who leads is followed; if nobody does and this
 * copy led last, it leads again. Goes on until one of them is so. */
void node_votes_ask(struct node *node);
/* STEER_PROMOTE; `steer` NULL: the primary hands its role over. */
void node_votes_promote(struct node *node, struct steer *steer);
void node_votes_forget(struct node *node, const struct steer *steer); /* its caller is gone */
bool node_votes_are_on(const struct node *node);
const struct why *node_votes_why(const struct node *node); /* why it still waits */
void node_votes_tick(struct node *node);
void node_votes_end(struct node *node); /* not voting is fine */

/* The other end. NULL: too many ask. */
struct stream_owner *node_voters_accept(struct node *node, struct stream *stream,
                                        struct bytes first);
void node_voters_tick(struct node *node);
void node_voters_close(struct node *node);

/* For both: the session options of a connection of this kind. */
struct session_options;
void node_vote_options(const struct node *node, const struct stream *stream,
                       struct session_options *out);

#endif
