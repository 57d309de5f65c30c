/* SPDX-License-Identifier: Apache-2.0 */
/* images: what a node keeps of the images of its shard, for the files of this room. */
#ifndef NODE_IMAGES_H
#define NODE_IMAGES_H

#include "base/hlc.h"
#include "node/node.h"
#include "snapshot/snapshot.h"

struct node;

/* The image being saved, and what is told of the others. */
struct images {
    struct snapshot *snapshot;
    struct snapshot_listener listener;
    struct node_images options;
    bool wanted; /* it waits for a flush of what was applied when it was asked for: */
    struct lsn through;
    bool failed;
    uint64_t ended;
    struct why why;
    uint64_t clock_from_us; /* when the newest image was taken: what `save` counts from */
    uint64_t not_before_us; /* after a failure `save` waits */
};

MUST_USE enum err node_images_open(struct node *node, struct why *why);
enum err node_save(struct service *service, struct why *why);
void node_images_flushed(struct node *node, enum err err); /* a flush has ended */
void node_images_tick(struct node *node);
/* No image is made any more of what is not named yet; nothing of the store is held. */
void node_images_abort(struct node *node, enum err err, const char *why);
/* node_turn_step() and node_stop_step() follow when all is quiet. */
void node_images_stop(struct node *node, const char *why);
bool node_images_quiet(const struct node *node);
struct image_place node_image_place(const struct node *node);
void node_images_status(const struct node *node, struct service_images *out);

#endif
