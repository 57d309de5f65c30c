/* SPDX-License-Identifier: Apache-2.0 */
/* maker: opens the machine of a shard on its store, and makes new stores: of an image's records, or
 * of keys that come from elsewhere. */
#ifndef SEAM_MAKER_H
#define SEAM_MAKER_H

#include "seam/machine.h"

/* What is to be put into a new store: records as a capture gave them. */
struct machine_fill {
    struct mark mark;       /* as whoever wrote them says; what they say themselves must fit */
    struct history history; /* that the store is to be of; usually the mark's */
    uint64_t window_bytes;  /* of records, held in memory at a time, about; twice unless it waits */
    bool waits;             /* its calls block, for flushes, and none says ERR_PENDING */
};

/* Takes the records. After an error other than ERR_PENDING every call answers the same. */
struct machine_filler {
    const struct machine_filler_ops *ops;
};

struct machine_filler_ops {
    /* The next one, ascending by key; both are borrowed for the call. ERR_PENDING: nothing was
     * taken. ERR_CORRUPT: it is no record of such a store; ERR_IO, ERR_SPACE. */
    enum err (*add)(struct machine_filler *filler, struct bytes key, struct bytes value,
                    struct why *why);
    /* That was all, and whoever wrote them says that they are so many keys of this digest. The mark
     * is written in one step with the last of the records. ERR_CORRUPT: they are not what was said
     * of them, or have no mark. */
    enum err (*end)(struct machine_filler *filler, struct digest digest, uint64_t keys,
                    struct why *why);
    /* After ERR_PENDING: done() follows, then the call is made again. False: it may be at once. */
    bool (*wait)(struct machine_filler *filler, struct record_wait *wait);
};

/* Keys that are to become a new store, as they come. */
struct machine_intake {
    struct mark mark;   /* of the store when it is whole */
    struct stamp stamp; /* likewise */
    struct epoch_start epoch;
    uint64_t window_bytes; /* held in memory at a time, about, and once more */
};

/* What an open() has found. Its doubts are the start gate's to decide. */
enum machine_found {
    MACHINE_MARK,       /* it was opened: its mark is flushed() */
    MACHINE_EMPTY,      /* it was opened: nothing was ever flushed, LSN 0 */
    MACHINE_ABSENT,     /* there is nothing */
    MACHINE_NO_MARK,    /* it holds records, but no mark */
    MACHINE_BAD_MARK,   /* its mark does not read */
    MACHINE_UNREADABLE, /* it could not be read */
    MACHINE_LATER,      /* it is of a format that this program has no reader for */
    MACHINE_FOREIGN,    /* it is of another history */
};

/* Makes the machine of a shard. All of it blocks: start-up and tools. */
struct machine_maker {
    /* On failure *machine is NULL. ERR_NOT_FOUND: `create` is false and there is nothing;
     * ERR_CORRUPT, ERR_IO, ERR_SPACE, ERR_REFUSED. Sets `found`. */
    enum err (*open)(struct machine_maker *maker, const char *directory, bool create,
                     struct history history, struct machine **machine, struct why *why);
    /* Opens a new store in `directory`, which is not there yet, for the records of an image; beside
     * the machine that is open, if there is one. Until its end() has said ERR_OK nothing opens what
     * is there. ERR_IO, ERR_SPACE. What was made stays, as the caller's to remove. One at a time.
     */
    enum err (*fill)(struct machine_maker *maker, const char *directory,
                     const struct machine_fill *fill, struct machine_filler **filler,
                     struct why *why);
    /* Closes store and filler. Nothing open is fine. Before the end it leaves what is no store. */
    void (*fill_close)(struct machine_maker *maker);
    /* Opens a new store in `directory`, which is not there yet, for keys that are given one by one;
     * beside the machine that is open. On the loop it blocks for no more than that. Until take_end
     * has said ERR_OK nothing opens what is there. ERR_IO, ERR_SPACE. One at a time. */
    enum err (*take)(struct machine_maker *maker, const char *directory,
                     const struct machine_intake *intake, struct record_sink **sink,
                     struct why *why);
    /* All keys were given; `place` is where their primary holds the same. ERR_PENDING: as the
     * sink's calls. Else its errors, with the reason in sink->why. */
    enum err (*take_end)(struct machine_maker *maker, const struct followed *place);
    /* Closes store and sink. Nothing open is fine. Before the end it leaves what is no store. */
    void (*take_close)(struct machine_maker *maker);
    /* Closes what open() gave, its store first; nothing is flushed. Captures are closed. */
    void (*close)(struct machine_maker *maker, struct machine *machine);
    enum machine_found found; /* by the newest open() */
};

#endif
