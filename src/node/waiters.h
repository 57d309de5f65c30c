/* SPDX-License-Identifier: Apache-2.0 */
/* waiters: who waits for a key to be filled, oldest first; which of these keys were filled; and who
 * watches a key.
 *
 * Tables by {database, key}. All are empty on a server without blocking commands and WATCH, and a
 * write then pays one comparison. */
#ifndef NODE_WAITERS_H
#define NODE_WAITERS_H

#include "base/table.h"
#include "seam/service.h"

struct waiter;

/* All who wait for one key, or watch it. It goes when nobody is left and it is not ready. */
struct line {
    struct list members; /* struct waiter_place or struct watch, oldest first */
    struct ready *ready; /* NULL: it was not filled; always, where it is watched */
    uint64_t hash;
    struct bytes key; /* behind the struct */
    uint8_t database;
};

/* One waiter at one of its keys. */
struct waiter_place {
    struct waiter *waiter;
    struct line *line;
    struct list node; /* in line->members */
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
    struct list held;    /* struct ready: keys that pause until an attempt of it is over */
    size_t places_count;
    struct waiter_place *places;
};

/* A key that was filled, until nobody in its line can be served from it any more. */
struct ready {
    struct line *line;
    struct list paused; /* nothing is under way for it: in waiters->due, or in `held` of its next */
    struct ready *before, *behind; /* of the same entry: one is served after the other */
    bool trying;                   /* an attempt at it is in the order */
    bool again;                    /* it was filled since */
    const char *missed; /* the group of which an attempt found nothing: it holds another type */
};

struct waiters {
    struct table lines;
    struct list all;
    struct list due; /* struct ready that may be served: they are looked at next */
    uint64_t count;
    uint64_t waiting;   /* of them, those whose first attempt has found nothing */
    uint64_t entangled; /* of them: those whose attempt at a key matters to another key */
};

void waiters_init(struct waiters *waiters);
void waiters_release(struct waiters *waiters); /* nobody waits and nothing is ready any more */
/* Adds the waiter at each of `keys`, which are copied. */
void waiters_add(struct waiters *waiters, struct waiter *waiter, uint8_t database,
                 const struct bytes *keys, size_t count);
/* Frees its places; the keys that it held are due. */
void waiters_remove(struct waiters *waiters, struct waiter *waiter);

/* Notes that the key was filled, if anyone waits there. A key that becomes ready is put behind the
 * row of *last, unless that is NULL, and becomes *last. */
void waiters_fill(struct waiters *waiters, uint8_t database, struct bytes key, struct ready **last);
/* Every key that anyone waits for, in the order of those who wait; none is behind another. */
void waiters_fill_all(struct waiters *waiters);
/* The oldest waiter at the key whose group was not missed; NULL: none. */
struct waiter *waiters_next(const struct ready *ready);
void waiters_pause(struct waiters *waiters, struct ready *ready); /* it is due */
/* It pauses until an attempt of its next in line is over. */
void waiters_hold(struct waiter *next, struct ready *ready);
/* An attempt of the waiter is over: the first key that it holds is due. The others still have it as
 * their next in line, and wait for the attempt that this one brings. */
void waiters_resume(struct waiters *waiters, struct waiter *waiter);
/* Takes it out of its row; the one behind it may be served then. */
void waiters_part(struct waiters *waiters, struct ready *ready);
void waiters_unready(struct waiters *waiters, struct ready *ready); /* parts it and frees it */

struct watches {
    struct table lines;
};

void watches_init(struct watches *watches);
void watches_release(struct watches *watches); /* nobody watches any more, or ever will */
void watches_add(struct watches *watches, struct watch *watch);
void watches_remove(struct watches *watches, struct watch *watch);
void watches_touch(struct watches *watches, uint8_t database, struct bytes key);

#endif
