/* SPDX-License-Identifier: Apache-2.0 */
/* stamps: whether this copy holds what the others hold (I11).
 *
 * Every copy notes its digest at each mark whose LSN is a multiple of STAMPS_EVERY. The primary
 * puts the newest of these into the log; whoever applies such an entry compares it with its own
 * note. A running digest proves operations; that the bytes are right is proven by a recount, of
 * which one is made now and then, and another when digests differ.
 *
 *   AGREES --a stamp differs, or a copy that follows says so--> FLUSHING
 *   FLUSHING --what is applied is flushed--> RECOUNTING
 *   RECOUNTING --the recount is another than the own digest--> the process ends, the bytes are kept
 *              --it is the same, others follow and have asked--> they are answered, AGREES
 *              --it is the same, the stamp was another copy's--> ASKING the primary
 *   ASKING --the primary stands by its digest--> the process ends: evaluation is not deterministic
 *          --it has the same digest after all, or this copy leads by now--> AGREES
 *
 * From FLUSHING on, and in ASKING as long as the session lasts, a copy that differs applies nothing
 * more. A session that ends may be the primary's own end, for its bytes: so the copy goes on, and
 * asks the next primary. */
#ifndef NODE_STAMPS_H
#define NODE_STAMPS_H

#include "replica/replica.h"
#include "seam/entry.h"
#include "seam/service.h"
#include "seam/survey.h"

struct node;

enum { STAMPS_PLACES = 256, STAMPS_EVERY = 256 };

enum stamps_phase { STAMPS_AGREES, STAMPS_FLUSHING, STAMPS_RECOUNTING, STAMPS_ASKING };

struct stamps {
    struct message_stamp notes[STAMPS_PLACES]; /* by LSN / STAMPS_EVERY; LSN 0: none */
    struct lsn noted;                          /* the newest of them */
    struct lsn stamped;                        /* the newest that an entry names */
    uint64_t stamped_us;                       /* when this copy made one last */

    enum stamps_phase phase;
    bool differs;                    /* this copy's own note does; else it was asked */
    bool told;                       /* to the primary of the session under way */
    struct message_stamp own, other; /* that differ; of `own` only the mark when it was asked */
    struct lsn flush_through;
    struct survey *survey, *scrub; /* NULL: none is open */
    struct survey_ask ask, scrub_ask;
    uint64_t scrub_due_us; /* 0: not planned yet */

    struct service_stamps figures;
};

/* --- Calls of the node's other files --- */

void node_stamps_applied(struct node *node, const struct entry *entry); /* also by a replay */
void node_stamps_tick(struct node *node);
void node_stamps_step(struct node *node);       /* a flush has ended */
bool node_stamps_hold(const struct node *node); /* nothing more is applied now */
/* The machine is about to be closed, which ends surveys; it was, and another state may come. */
void node_stamps_close(struct node *node);
void node_stamps_reset(struct node *node);

/* A copy that follows has another digest there. The answer: node_serves_stamp(). */
void node_stamps_asked(struct node *node, const struct message_stamp *stamp);
/* The primary's answer; the session to it is over. */
void node_stamps_answered(struct node *node, const struct message_stamp *stamp);
void node_stamps_session_over(struct node *node);

#endif
