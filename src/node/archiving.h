/* SPDX-License-Identifier: Apache-2.0 */
/* archiving: what a node keeps of its archiver, for the files of this room. All of it does nothing
 * where no archive is configured. */
#ifndef NODE_ARCHIVING_H
#define NODE_ARCHIVING_H

#include "archive/archive.h"
#include "node/node.h"

struct node;

struct archiving {
    struct archive *archive; /* NULL: off */
    struct archive_listener listener;
};

/* The log has been opened, and nothing of it is trimmed yet. */
void node_archiving_open(struct node *node, const struct node_archive *options);
void node_archiving_tick(struct node *node);
void node_archiving_stop(struct node *node); /* node_stop_step() follows when all is quiet */
bool node_archiving_quiet(const struct node *node);
void node_archiving_status(const struct node *node, struct service_archive *out);

#endif
