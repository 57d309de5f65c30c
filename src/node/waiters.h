/* SPDX-License-Identifier: Apache-2.0 */
/* waiters: who waits for a key to be filled, oldest first; and who watches a key.
 *
 * Two small hash tables by {database, key}. Both are empty on a server without blocking commands
 * and WATCH, and a write then pays one comparison. */
#ifndef NODE_WAITERS_H
#define NODE_WAITERS_H

#include "node/limits.h"
#include "seam/service.h"

struct waiter;

/* One waiter at one of its keys. */
struct waiter_place {
    struct waiter *waiter;
    struct list bucket; /* among all places of the bucket, oldest first */
    uint64_t hash;
    uint8_t database;
    struct bytes key; /* into waiter->payload */
};

/* A client in BLPOP and its like. At most one attempt of it is in the log and unapplied at any
 * time. */
struct waiter {
    struct call *call;
    struct buffer payload;
    struct timer timer;
    struct node *node;
    struct list all;   /* in waiters->all */
    const char *group; /* of its command: which type it waits for */
    bool attempting;   /* an entry of it is in the order */
    bool touched;      /* one of its keys was named by an entry after the attempt */
    bool ending;       /* its time came, or it was unblocked, during the attempt */
    enum call_end end;
    size_t places_count;
    struct waiter_place *places;
};

struct waiters {
    struct list buckets[NODE_KEY_TABLE_BUCKETS];
    struct list all;
    uint64_t count;
};

void waiters_init(struct waiters *waiters);
/* Adds the waiter at each of `keys` (borrowed out of waiter->payload). */
void waiters_add(struct waiters *waiters, struct waiter *waiter, uint8_t database,
                 const struct bytes *keys, size_t count);
void waiters_remove(struct waiters *waiters, struct waiter *waiter); /* frees its places */
/* The oldest waiter at the key after `after` (NULL: from the start); NULL: none. */
struct waiter *waiters_at(struct waiters *waiters, uint8_t database, struct bytes key,
                          const struct waiter *after);

struct watches {
    struct list buckets[NODE_KEY_TABLE_BUCKETS];
    uint64_t count;
};

void watches_init(struct watches *watches);
void watches_add(struct watches *watches, struct watch *watch);
void watches_remove(struct watches *watches, struct watch *watch);
void watches_touch(struct watches *watches, uint8_t database, struct bytes key);

#endif
