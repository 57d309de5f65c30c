/* SPDX-License-Identifier: Apache-2.0 */
/* waiters: who waits for a key to be filled, oldest first; which of these keys were filled; and who
 * watches a key.
 *
 * Small hash tables by {database, key}. All are empty on a server without blocking commands and
 * WATCH, and a write then pays one comparison. */
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
    bool moves;        /* what it takes fills another key */
    bool attempting;   /* an entry of it is in the order */
    bool tried;        /* its first attempt is behind it */
    bool ending;       /* its time came, or it was unblocked, during the attempt */
    enum call_end end;
    struct ready *ready; /* the key of its further attempt, while that is in the order */
    size_t places_count;
    struct waiter_place *places;
};

/* A key that was filled, until nobody in its line can be served from it any more. */
struct ready {
    struct list bucket;
    struct list paused; /* in waiters->paused: nothing is under way for it, and it may be served */
    struct ready *before, *behind; /* of the same entry: one is served after the other */
    uint64_t hash;
    uint8_t database;
    struct buffer key;
    bool trying;        /* an attempt at it is in the order */
    bool again;         /* it was filled since */
    const char *missed; /* the group of which an attempt found nothing: it holds another type */
};

struct waiters {
    struct list buckets[NODE_KEY_TABLE_BUCKETS], ready_buckets[NODE_KEY_TABLE_BUCKETS];
    struct list all;
    struct list paused; /* struct ready */
    uint64_t count;
    uint64_t waiting;   /* of them, those whose first attempt has found nothing */
    uint64_t entangled; /* of them: those whose attempt at a key matters to another key */
};

void waiters_init(struct waiters *waiters);
/* Adds the waiter at each of `keys` (borrowed out of waiter->payload). */
void waiters_add(struct waiters *waiters, struct waiter *waiter, uint8_t database,
                 const struct bytes *keys, size_t count);
void waiters_remove(struct waiters *waiters, struct waiter *waiter); /* frees its places */

/* Notes that the key was filled, if anyone waits there. A key that becomes ready is put behind the
 * row of *last, unless that is NULL, and becomes *last. */
void waiters_fill(struct waiters *waiters, uint8_t database, struct bytes key, struct ready **last);
/* The oldest waiter at the key whose group was not missed; NULL: none. */
struct waiter *waiters_next(struct waiters *waiters, const struct ready *ready);
void waiters_pause(struct waiters *waiters, struct ready *ready);
/* Takes it out of its row; the one behind it may be served then. */
void waiters_part(struct waiters *waiters, struct ready *ready);
void waiters_unready(struct waiters *waiters, struct ready *ready); /* parts it and frees it */

struct watches {
    struct list buckets[NODE_KEY_TABLE_BUCKETS];
    uint64_t count;
};

void watches_init(struct watches *watches);
void watches_add(struct watches *watches, struct watch *watch);
void watches_remove(struct watches *watches, struct watch *watch);
void watches_touch(struct watches *watches, uint8_t database, struct bytes key);

#endif
