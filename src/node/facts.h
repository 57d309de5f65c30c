/* SPDX-License-Identifier: Apache-2.0 */
/* facts: what the start gate decides by, read out of log, store and images. */
#ifndef NODE_FACTS_H
#define NODE_FACTS_H

#include "log/log.h"
#include "seam/machine.h"
#include "snapshot/snapshot.h"
#include "snapshot/start/start.h"

struct node;

struct facts {
    struct start_facts gate;
    struct log_found found; /* by the log */
    struct image_list list;
    struct start_image images[IMAGE_LIST_MAX];
    enum err store_err; /* why the store could not be opened */
    struct why store_why;
};

/* The log is open, if there is one. Opens the store, if it can be opened. An error is no fact: the
 * start ends with it. Blocks. */
MUST_USE enum err facts_read(struct node *node, struct facts *facts, struct why *why);
/* Fills in the place of the image, for a gate that has asked. */
MUST_USE enum err facts_place(struct node *node, struct facts *facts, int image, struct why *why);
/* The error that the start ends with, and the line for people: what does not fit, and what to do.
 */
enum err facts_refusal(const struct node *node, const struct facts *facts,
                       const struct start_plan *plan, struct why *why);

#endif
