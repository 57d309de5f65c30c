/* SPDX-License-Identifier: Apache-2.0 */
/* order: the queue in which calls keep their place, node->order, and the end of a call. */
#ifndef NODE_ORDER_H
#define NODE_ORDER_H

#include "seam/service.h"

struct node;

/* Where a call is; struct call's `state`. */
enum call_place {
    CALL_NOWHERE = 0,
    CALL_IN_ORDER, /* in node->order */
    CALL_PARKED,   /* a read waiting for the store */
    CALL_IDLE,     /* a CALL_WAIT waiting for one of its keys */
};

/* A call without a client: an entry that the node itself proposed, or whose client has gone. */
struct ghost {
    struct call call;
};

struct ghost *node_ghost(void);
void node_ghost_done(struct call *call, enum call_end end);
void node_call_end(struct call *call, enum call_end end);

void node_order_add(struct node *node, struct call *call);
void node_order_take(struct node *node, struct call *call);
void node_order_entry(struct node *node, struct lsn lsn); /* appended by a session: to be applied */
void node_order_cut(struct node *node, struct lsn last);  /* the entries behind it are gone */
/* A ghost takes the place of a call whose entry stands in the order. */
void node_order_replace(struct call *call);

#endif
