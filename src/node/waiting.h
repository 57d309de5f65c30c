/* SPDX-License-Identifier: Apache-2.0 */
/* waiting: blocking commands, over the table of waiters. */
#ifndef NODE_WAITING_H
#define NODE_WAITING_H

#include "seam/service.h"

struct node;

void node_wait_admit(struct node *node, struct call *call, struct bytes payload);
void node_wait_applied(struct node *node, struct call *call, bool found);
void node_wait_named(struct node *node, struct bytes payload); /* an entry names keys: watches */
void node_wait_filled(struct node *node,
                      struct bytes payload); /* it may have filled them: waiters */
bool node_wait_cancel(struct node *node, struct call *call);
bool node_wait_unblock(struct node *node, struct call *call);
void node_wait_retry(struct node *node); /* attempts that the log had no room for */
void node_wait_end_all(struct node *node);
void node_wait_forget(struct node *node); /* frees waiters without a word to their calls */

#endif
