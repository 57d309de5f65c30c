/* SPDX-License-Identifier: Apache-2.0 */
/* feed: what a node does for a face that feeds copies of another make (seam/feed.h). */
#ifndef NODE_FEED_H
#define NODE_FEED_H

#include "base/must.h"
#include "seam/feed.h"

struct node;
struct service;

struct node_feed {
    struct feed base;
    struct feed_listener *listener; /* NULL: nobody */
    bool on;                        /* as it was told last */
    uint64_t end;                   /* likewise */
    struct effects_keep keep;       /* as it was asked for last */
    bool keeps;                     /* it was */
    struct list waiting;            /* struct feed_export, for a flush */
    struct list fetching;           /* reads that wait for the store */
};

void node_feed_init(struct node_feed *feed);
struct feed *node_feed_of(struct service *service);
void node_feed_moved(struct node *node);                 /* entries may have been applied */
void node_feed_flushed(struct node *node, enum err err); /* a flush has ended */
void node_feed_stop(struct node *node);                  /* nobody waits for a flush any more */
/* It leads no more: nobody is fed, and nothing of its state is held, when this returns. */
void node_feed_cut(struct node *node, const char *why);
void node_feed_forget(struct node *node); /* the machine is closed: it fetches nothing any more */
void node_feed_opened(struct node *node); /* another machine, or the same again, is open */

#endif
