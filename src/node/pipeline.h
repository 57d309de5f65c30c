/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline: the path of a call, for the other files of this room: into the order, and out of it. */
#ifndef NODE_PIPELINE_H
#define NODE_PIPELINE_H

#include "log/log.h"
#include "node/node.h"
#include "seam/machine.h"
#include "seam/service.h"

/* A read, out of the order, whose records are being fetched. */
struct parked {
    struct machine_warm warm;
    struct node *node;
    struct call *call; /* NULL: its client has gone */
    struct buffer payload;
    struct list link; /* in node->parked */
};

void node_submit(struct service *service, struct call *call);
void node_cancel(struct service *service, struct call *call);
void node_run(struct node *node); /* apply what may be applied, answer what may be answered */
/* Gives the payload an LSN and the call its place at the end of the order. False: refused by the
 * log. */
bool node_append(struct node *node, struct call *call, struct bytes payload);
void node_append_ghost(struct node *node, struct bytes payload);
/* An entry of the node itself: its LSN; 0: the log has no room, or this copy does not lead. */
struct lsn node_append_own(struct node *node, struct bytes payload);
void node_commit(struct node *node, struct lsn through); /* committed, by the rule or the primary */
void node_append_proposals(struct node *node, const struct buffer *proposals);
void node_log_advanced(struct log_listener *listener);
void node_log_failed(struct log_listener *listener, const struct why *why);
void node_fail(struct node *node, enum node_failure failure, const struct why *why);
struct stamp node_now(struct node *node);
void node_read_clock(struct node *node); /* once a turn */

#endif
