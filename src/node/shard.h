/* SPDX-License-Identifier: Apache-2.0 */
/* shard: what the sessions ask of the shard that they copy, and how it changes its role.
 *
 * A change of role, a cut of the log and the install of an image are one thing: the shard is closed
 * as by a stop and opened again as by a start, with its site and its clients kept. A start takes
 * milliseconds whatever the size, and there is one way only in which a state comes to be. */
#ifndef NODE_SHARD_H
#define NODE_SHARD_H

#include "replica/replica.h"
#include "seam/copies.h"
#include "site/site.h"
#include "snapshot/snapshot.h"

struct node;

/* --- Facts --- */

/* Of this copy, now. facts->epochs is borrowed until the log or the state moves on. */
void node_facts(const struct node *node, struct recover_facts *facts);
/* What sessions tell those who follow: by the own rule, or what the primary said. */
void node_watermarks(const struct node *node, struct message_watermarks *out);

/* --- A replica's log --- */

/* Appends entries that follow the last one; `before` is the lineage before the first. They are with
 * the log's writer when it returns. ERR_CORRUPT with the reason; ERR_SPACE, ERR_SHUT. */
MUST_USE enum err node_follow_append(struct node *node, struct message_entries entries,
                                     struct lineage before, struct why *why);
void node_follow_commit(struct node *node, struct lsn lsn); /* may be applied */

/* --- A primary's commits --- */

/* False: it was stale. */
bool node_acked(struct node *node, const struct progress_ack *ack);
void node_attached(struct node *node, uint64_t copy, uint64_t incarnation, uint64_t session);
void node_detached(struct node *node, uint64_t copy, uint64_t session);

/* --- Roles --- */

/* Of the log's last entry, or of the newest promise: a new one is above it. */
struct epoch node_newest_epoch(const struct node *node);

/* At the end of a start: leads, follows, or asks the others who leads. */
MUST_USE enum err node_take_role(struct node *node, struct why *why);
/* The epoch that this copy has promised itself durably: opens it. ERR_SPACE: as before. */
MUST_USE enum err node_lead(struct node *node, struct why *why);
/* Makes no entries any more; calls whose entries are not applied yet are given up (CALL_UNKNOWN).
 * `reason` for those who asked for steps. Not leading is fine. */
void node_unlead(struct node *node, const char *reason);

/* --- Turns of a replica: its shard is closed and opened again --- */

enum turn_kind {
    TURN_NONE,
    TURN_CUT, /* the log behind `mark` is cut off; ERR_CORRUPT if the lineage there is another */
    TURN_INSTALL, /* the incoming image becomes the state, its history and cluster this copy's */
};

struct turn {
    enum turn_kind kind;
    struct mark mark;       /* TURN_CUT: the last that stays; TURN_INSTALL: of the image */
    uint64_t cluster;       /* TURN_INSTALL: of the primary */
    bool own;               /* TURN_INSTALL: of an image of this copy's; a new history begins: */
    struct history history; /* this one */
    bool taken;             /* TURN_INSTALL: a store of it is there, made by intake or staging: */
    struct site_next next;  /* this one, the turn's to switch to or to abandon, */
    struct stamp stamp;     /* of this stamp */
    struct epoch epoch;     /* TURN_INSTALL: of the primary; of another cluster or history it is not
                               promised yet: the log that begins then promises it */
};

/* Begins a turn; none is under way. node_follows_reopened() tells its end. A failure that leaves no
 * shard ends the process. */
void node_turn(struct node *node, const struct turn *turn);

/* --- For the files of this room --- */

struct entry;
void node_epochs_note(struct node *node, const struct entry *entry); /* it is in the log */
void node_sessions_advanced(struct node *node); /* log, commit or state moved on */
void node_turn_step(struct node *node);

#endif
