/* SPDX-License-Identifier: Apache-2.0 */
/* feed: what a face asks of the pipeline to feed copies of another make: all keys as they are at
 * one mark, and the stream of effects from there on. */
#ifndef SEAM_FEED_H
#define SEAM_FEED_H

#include "base/err.h"
#include "base/list.h"
#include "base/mark.h"
#include "seam/effects.h"
#include "seam/export.h"

struct feed {
    const struct feed_ops *ops;
};

/* Caller-owned, from open() until done() or forget(). */
struct feed_export {
    struct export *export; /* out: the caller's to close, before the service's machine is */
    enum err err;          /* out: ERR_SPACE, ERR_REFUSED, ERR_SHUT; then there is no export */
    struct why why;
    void (*done)(struct feed_export *request); /* on the loop; may come from inside open() */

    struct list node; /* the feed's */
    struct lsn through;
};

/* Caller-owned, from read() until done() or drop(). */
struct feed_read {
    struct effects_read read; /* but for its `attempt` */
    enum err err;             /* out: of machine_ops.effects_read, never ERR_PENDING */
    void (*done)(struct feed_read *request); /* on the loop; may come from inside read() */

    void *fetching; /* the feed's */
};

/* Someone who is told. Caller-owned. */
struct feed_listener {
    /* The stream of effects goes on, or was switched; at most once for many entries. */
    void (*moved)(struct feed_listener *listener);
    /* Whoever is fed is to be let go of, for this reason: this copy leads no more, and another
     * state may take the place of the one at hand. When it returns no export is open, and none and
     * no read is asked for. */
    void (*cut)(struct feed_listener *listener, const char *why);
};

struct feed_ops {
    /* This copy leads, and has applied all that another one may have fed while that one led. */
    bool (*is_open)(struct feed *feed);
    struct effects_place (*place)(struct feed *feed); /* of what is applied */
    struct mark (*mark)(struct feed *feed);           /* likewise */
    /* The epochs of what is applied, the oldest first; borrowed for this turn. */
    const struct epoch_start *(*epochs)(struct feed *feed, size_t *count);
    /* All keys, at what is applied now or at something later. */
    void (*open)(struct feed *feed, struct feed_export *request);   /* only while it leads */
    void (*forget)(struct feed *feed, struct feed_export *request); /* not waiting is fine */
    void (*read)(struct feed *feed, struct feed_read *request);
    void (*drop)(struct feed *feed, struct feed_read *request); /* not under way is fine */
    /* What is kept of the stream, from now on: struct effects_keep. */
    void (*keep)(struct feed *feed, const struct effects_keep *keep);
    void (*listen)(struct feed *feed, struct feed_listener *listener); /* NULL: nobody */
};

#endif
