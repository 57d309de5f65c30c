/* SPDX-License-Identifier: Apache-2.0 */
/* intake: this copy follows a primary of another make (seam/intake.h).
 *
 *   OFF --found, written down--> ASKS --leads, all of its log is applied; or it has never led-->
 *     LINKED --all keys are there--> ENDING --their store is whole--> TURNING --the new state is
 *     open--> LEADS --its first entry is applied--> LINKED
 *   ENDING, TURNING --failed--> as before        any --told to lead, or to follow another--> OFF
 *   LINKED --another copy leads this history--> ASKS
 *
 * What it takes goes into its own log, in epochs of its own: so it leads, but lets no client write.
 * Which primary stands in the follow file; where that one stands is part of the state. */
#ifndef NODE_INTAKE_H
#define NODE_INTAKE_H

#include "seam/clock.h"
#include "seam/intake.h"
#include "seam/maker.h"
#include "seam/service.h"
#include "site/site.h"

struct node;

enum intake_phase {
    INTAKE_OFF,
    INTAKE_ASKS,
    INTAKE_LINKED,
    INTAKE_ENDING,
    INTAKE_TURNING,
    INTAKE_LEADS,
};

struct node_intake {
    struct intake base;
    struct intake_listener *listener; /* NULL: nobody: then no such primary is followed */
    enum intake_phase phase;
    char address[COPY_ADDRESS_BYTES];
    bool anew;                /* the next link begins with everything */
    struct followed appended; /* the place behind the log's end */
    uint64_t waiting_bytes;   /* of entries that are not applied yet */
    struct task moved;

    struct record_sink *sink; /* NULL: no state is being made; else: */
    struct site_next next;
    struct machine_intake taking;
    struct followed place; /* of it, when it is whole */
    struct record_wait wait;
    struct timer again;
};

void node_intake_init(struct node *node);
struct intake *node_intake_of(struct service *service);

/* What was asked at that Redis port is a Redis server. ERR_REFUSED: it may not be followed, with
 * the reason; then nothing has changed. `wipe`: what is here may be given up. */
MUST_USE enum err node_intake_found(struct node *node, const char *address, bool wipe,
                                    struct why *why);
/* A Redis server is followed at that address, from now on. */
void node_intake_begin(struct node *node, const char *address);
static inline bool node_intake_is_on(const struct node_intake *intake)
{
    return intake->phase != INTAKE_OFF;
}
/* The role is over: the link, and a state that is being made, are let go of. Off is fine. */
void node_intake_end(struct node *node);
void node_intake_unlead(struct node *node); /* another copy leads this history, or may */
void node_intake_step(struct node *node);   /* state or role moved on */
void node_intake_reopened(struct node *node, enum err err); /* a turn is over */
/* Whom it follows, and how. */
void node_intake_status(const struct node *node, struct copies_status *out);
/* Its link has ended for good at that address: who is told to follow it again wants all anew. */
bool node_intake_is_stopped(const struct node *node, const char *address);
void node_intake_done(struct call *call, enum call_end end); /* of its entries */

#endif
