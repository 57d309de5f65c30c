/* SPDX-License-Identifier: Apache-2.0 */
/* follows: the session to the copy that this one follows. It outlives the shard's being closed and
 * opened again, which a cut and an installed image need. */
#ifndef NODE_FOLLOWS_H
#define NODE_FOLLOWS_H

#include "replica/replica.h"
#include "seam/copies.h"

struct node;
struct follows; /* fields: follows.c */

/* Begins to look for that copy at its Redis port, or at its peer port, and goes on looking until
 * the end. Both texts are "host:port"; one of them may be empty. `wipe`: what is here may be given
 * up, once. */
void node_follows_begin(struct node *node, const char *redis, const char *peer, bool wipe);
void node_follows_end(struct node *node, enum bye_reason reason); /* not following is fine */
/* A later epoch is promised: whoever is followed has to show that it leads it, or a later one. */
void node_follows_fence(struct node *node);
void node_follows_close(struct node *node); /* lets go of all that is left; again is fine */
/* The image of the turn under way counts from now on: what was here is given up, once. */
void node_follows_switched(struct node *node);
/* The shard is open again after a cut or an install: the session goes on. */
void node_follows_reopened(struct node *node, enum err err);
/* Log or state moved on. */
void node_follows_advanced(struct node *node);
void node_follows_tick(struct node *node);
/* The epoch that is followed; number 0: none yet. */
struct epoch node_follows_epoch(const struct node *node);
/* What the primary said last. False: nothing yet. */
bool node_follows_watermarks(const struct node *node, struct message_watermarks *out);
bool node_follows_streams(const struct node *node);
bool node_follows_catches_up(const struct node *node); /* in a session that does not stream yet */
/* Of the log, for what waits to be applied; and whether more waits there than may: what comes then
 * is to wait in the log's files. */
uint64_t node_follows_memory_bytes(const struct node *node);
bool node_follows_overflows(const struct node *node);
void node_follows_status(const struct node *node, struct copies_status *out);

/* Host and port of "host:port", without the brackets of a v6 address; port 0: there is none. */
void node_address_split(const char *address, char host[COPY_ADDRESS_BYTES], unsigned *port);

/* Asks the primary whether it stands by its digest at that mark, of which this is the own one.
 * False: there is no session for it now. */
struct message_stamp;
bool node_follows_stamp(struct node *node, const struct message_stamp *stamp);

#endif
