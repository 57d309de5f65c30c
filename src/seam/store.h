/* SPDX-License-Identifier: Apache-2.0 */
/* store: an ordered key-value store whose only door for changes is a flush of one sorted run.
 *
 * A flush is atomic and durable: after a crash the store holds exactly what the last completed
 * flush left, never a part of one. There is no other write, so whatever a run carries beside its
 * records (the mark, the digest) is true of them by construction. Keys are ordered by unsigned
 * bytes.
 *
 * A read on the loop never waits for the disk: it answers from memory or says ERR_PENDING, and the
 * reader asks for the range to be warmed and comes back. */
#ifndef SEAM_STORE_H
#define SEAM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"

struct stores { /* opens stores */
    const struct stores_ops *ops;
};
struct store {
    const struct store_ops *ops;
};
struct store_view;    /* the store as one flush left it; the world's */
struct store_cursor { /* a place in the order */
    const struct store_cursor_ops *ops;
};

struct stores_ops {
    /* Opens the store in directory `path`, made if `create`. On failure *store is NULL. Blocks:
     * start-up only. ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO, ERR_SPACE. `cache_bytes` bounds what reads
     * keep in memory. */
    enum err (*open)(struct stores *stores, const char *path, bool create, uint64_t cache_bytes,
                     struct store **store, struct why *why);
};

enum store_change {
    STORE_PUT,          /* key, value */
    STORE_DELETE,       /* key */
    STORE_DELETE_RANGE, /* from key up to, not including, value; hits only what earlier flushes left
                         */
};

struct store_item {
    enum store_change change;
    struct bytes key, value;
};

/* A sorted run: strictly ascending keys of puts and deletes; delete-ranges come first, in any
 * order. */
struct store_run {
    /* Gives the next item, borrowed until the next call; false at the end. May be called on another
     * thread: it may read only what the loop leaves alone until done(). */
    bool (*next)(struct store_run *run, struct store_item *item);
};

/* Caller-owned. Failed with ERR_SPACE: the store is as before, and a later flush may succeed.
 * Failed otherwise: the store answers ERR_SHUT to every later flush. */
struct store_flush {
    struct store_run *run;
    enum err err;
    struct why why;
    void (*done)(struct store_flush *flush); /* on the loop */
    struct list node;                        /* the world's */
    void *world;
};

/* Brings ranges into memory, or reads them off the loop for its caller. Caller-owned. */
struct store_range {
    struct bytes from, to; /* [from, to); `to` empty: the one key `from`. Borrowed until done */
    bool backward;         /* warm from the end of the range */
    uint64_t bytes_max;    /* stop after about so many */
};

struct store_warm {
    const struct store_range *ranges; /* borrowed until done */
    size_t count;
    uint64_t bytes_max; /* of single keys: after values of so many no more is read; 0: all is */
    size_t read;        /* out: so many of the ranges were */
    struct store_view *view; /* read as this one has them; NULL: as the newest flush has */
    /* NULL: into memory, from where some of it may be gone again before anybody reads it. Else each
     * record is given to this, range by range in their order, borrowed for the call, and need not
     * stay in memory; only for keys and ranges forward. May be called on another thread: it may
     * touch only what the loop leaves alone until done(). Before an error, some records may have
     * been given. */
    void (*found)(struct store_warm *warm, struct bytes key, struct bytes value);
    /* Not NULL: this is called instead, beside all other work, and may take hours: it reads `view`
     * through cursors with STORE_WAIT, and asks goes_on() all the while. No ranges, no `found`. On
     * another thread: as for `found`. */
    void (*survey)(struct store_warm *warm);
    uint64_t bytes_per_s; /* of a survey; 0: as fast as it can be */
    enum err err;         /* of a survey: what it has set itself, or ERR_SHUT: it never began */
    struct why why;
    void (*done)(struct store_warm *warm); /* on the loop */
    struct list node;                      /* the world's */
    void *world;
};

/* Reads many keys at once; for a start, which would wait for each of them. Caller-owned. */
struct store_fetch {
    const struct bytes *keys; /* ascending, each once; borrowed for the call */
    size_t count;
    uint64_t bytes_max; /* stop after about so many, of values */
    /* What the key has; NULL: nothing. Borrowed for the call. In any order and on several threads
     * at once: it may write only what belongs to this key. A key that was not reached, or cannot be
     * read, is left out: whoever gets it later gets its error. */
    void (*found)(struct store_fetch *fetch, size_t at, const struct bytes *value);
};

/* Which reads may block: STORE_WAIT is for start-up, tools and worker steps, and the rare
 * evaluation that memory cannot hold. */
enum store_patience { STORE_NO_WAIT, STORE_WAIT };

struct store_ops {
    /* Appends the value to `value`. ERR_OK, ERR_NOT_FOUND, ERR_PENDING, ERR_CORRUPT, ERR_IO. */
    enum err (*get)(struct store *store, struct bytes key, enum store_patience patience,
                    struct buffer *value);
    /* A cursor over the newest flush, or over `view` when not NULL; closed by the caller before
     * either. */
    struct store_cursor *(*cursor)(struct store *store, struct store_view *view,
                                   enum store_patience patience);
    void (*flush)(struct store *store, struct store_flush *flush); /* one at a time */
    /* The same, carried out before it returns, with no done(): start-up and tools. */
    enum err (*flush_wait)(struct store *store, struct store_flush *flush);
    void (*warm)(struct store *store, struct store_warm *warm);
    /* From inside a survey, which has read so much more: waits as its rate asks for. False: it ends
     * now, with an error. */
    bool (*goes_on)(struct store *store, struct store_warm *warm, uint64_t bytes);
    uint64_t (*went)(struct store *store, const struct store_warm *warm); /* bytes of a survey */
    void (*hurry)(struct store *store,
                  struct store_warm *warm); /* goes_on() is false from now on */
    void (*fetch)(struct store *store, struct store_fetch *fetch); /* blocks: start-up only */
    struct store_view *(*view_open)(struct store *store);          /* cheap; closed by the caller */
    /* No warm of it is under way; only with the whole store does a view go from under one. */
    void (*view_close)(struct store *store, struct store_view *view);
    uint64_t (*approximate_bytes)(struct store *store); /* on disk */
    /* Space is short: goes on freeing, in the background, what earlier flushes have deleted. Asked
     * again and again as long as space is short. */
    void (*reclaim)(struct store *store);
    /* Whether the store lives on the space that it keeps for cleaning: then its owner should flush
     * nothing but what deletes. reclaim() ends this when it can. */
    bool (*is_low)(const struct store *store);
    void (*close)(struct store *store); /* waits for work under way; done() of it is not called */
};

/* Each positions the cursor and returns ERR_OK (on an item), ERR_NOT_FOUND (past the end), or an
 * error; after ERR_PENDING seek again once warmed. */
struct store_cursor_ops {
    enum err (*seek)(struct store_cursor *cursor, struct bytes key);        /* first item >= key */
    enum err (*seek_before)(struct store_cursor *cursor, struct bytes key); /* last item < key */
    enum err (*next)(struct store_cursor *cursor);
    enum err (*previous)(struct store_cursor *cursor);
    struct bytes (*key)(const struct store_cursor *cursor);   /* borrowed until the cursor moves */
    struct bytes (*value)(const struct store_cursor *cursor); /* likewise */
    void (*close)(struct store_cursor *cursor);
};

#endif
