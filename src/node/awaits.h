/* SPDX-License-Identifier: Apache-2.0 */
/* awaits: who waits until copies have an entry, or until this copy has a mark (WAIT, POS.WAIT).
 * They are few, and looked at whenever log, copies or state have moved. */
#ifndef NODE_AWAITS_H
#define NODE_AWAITS_H

#include "base/list.h"
#include "seam/clock.h"
#include "seam/copies.h"

struct node;
struct service;

struct awaits {
    struct list waiting; /* struct await */
    struct timer timer;  /* for the first that is late */
};

void node_awaits_init(struct awaits *awaits);
void node_await(struct service *service, struct await *await);
void node_unawait(struct service *service, struct await *await);
void node_await_again(struct service *service);
/* Something moved on. */
void node_awaits_check(struct node *node);
/* This copy does not lead any more: who waits for others is told so. Marks are waited for on. */
void node_awaits_unlead(struct node *node);
/* The node stops, or has failed: nobody waits any more. Nothing is fine. */
void node_awaits_end(struct node *node);

#endif
