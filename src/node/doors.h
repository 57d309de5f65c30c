/* SPDX-License-Identifier: Apache-2.0 */
/* doors: where other copies knock: listeners, and who is meant by the first frame of each
 * connection. */
#ifndef NODE_DOORS_H
#define NODE_DOORS_H

#include "base/err.h"
#include "base/must.h"

struct node;
struct doors; /* fields: doors.c */

/* Listens at the configured addresses. ERR_IO, ERR_CONFIG: one cannot be had. */
MUST_USE enum err node_doors_open(struct node *node, struct why *why);
void node_doors_tick(struct node *node);  /* who says nothing is sent away */
void node_doors_close(struct node *node); /* not open is fine */
/* What keeps others out, for people: "tls", "tls, secret", "secret", or "this machine": only copies
 * on it are let in. A constant text. */
const char *node_doors_guard(const struct node *node);

#endif
