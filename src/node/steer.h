/* SPDX-License-Identifier: Apache-2.0 */
/* steer: what people ask to be done about the copies, and what is told of them. */
#ifndef NODE_STEER_H
#define NODE_STEER_H

#include "seam/copies.h"
#include "seam/service.h"

struct node;

/* The role on its way to another copy: no write is admitted until that one has all, then it is told
 * to lead. If it does not take it, for the word may be lost, this copy asks who leads, as a start
 * does. */
struct failover {
    uint64_t copy; /* 0: none is under way */
    uint64_t until_us;
    uint64_t given_until_us; /* it was told, and is to have taken it by then; 0: nothing of that */
    struct steer *steer;     /* NULL: its caller has gone */
};

void node_copies(struct service *service, struct copies_status *out);
bool node_copy_event(struct service *service, uint64_t number, struct copy_event *out);
void node_steer(struct service *service, struct steer *steer);
void node_unsteer(struct service *service, struct steer *steer);
/* Follows the copy, by the addresses that the log names; without any, as before. */
void node_follow_copy(struct node *node, uint64_t copy);
void node_failover_step(struct node *node);

/* PROMOTE FORCE (force.c). */
struct force {
    bool on, turning;
    bool ahead;          /* it applies what the old history has not committed: reads have to wait */
    struct lsn through;  /* the end of the log when it was asked for */
    uint64_t ended;      /* images that had ended when one was asked for; UINT64_MAX: not yet */
    struct steer *steer; /* NULL: its caller has gone */
};
void node_force(struct node *node, struct steer *steer);
void node_force_step(struct node *node);
void node_force_reopened(struct node *node, enum err err); /* its turn is over */

void node_copies_tick(struct node *node); /* doors, votes, sessions, steps, a failover */
/* The node ends: sessions do. */
void node_copies_stop(struct node *node);
void node_copies_close(struct node *node);

#endif
