/* SPDX-License-Identifier: Apache-2.0 */
/* site: a data directory: whose it is, and which log and which store in it count.
 *
 *   DIR/lock             held by the process that uses it
 *   DIR/identity         the cluster that was drawn for it, its copy, whether a first start ended
 *   DIR/follow           whom this copy follows; none: nobody
 *   DIR/unproven         there while this copy may lack something that it has acked
 *   DIR/keys/current     the pointer: which log, which store, of which cluster and history
 *   DIR/keys/log-N/      logs and stores; those that the pointer does not name are leftovers
 *   DIR/keys/store-N/
 *   DIR/keys/images/
 *
 * To change what counts, whatever is new is made beside the old and is durable, and then the
 * pointer is written, in one step: after a crash the old counts whole or the new does. Formats:
 * docs/formats/identity.md. Everything here blocks: start-up and tools. */
#ifndef SITE_SITE_H
#define SITE_SITE_H

#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"
#include "base/trace.h"
#include "seam/copies.h"
#include "seam/disk.h"
#include "seam/entropy.h"

struct identity {
    uint64_t cluster; /* drawn at random when the directory is made; see site_cluster() */
    uint64_t copy;    /* this copy's id, likewise */
    bool started;     /* a pointer was written once: without one now, data is missing */
};

/* What counts. */
struct site_pointer {
    uint64_t log, store; /* numbers of their directories, from 1 */
    uint64_t cluster;    /* its own, or that of the copy whose state it has taken over */
    struct history history;
};

/* Caller-owned; all paths are the site's. */
struct site {
    struct disk *disk;
    struct trace *trace; /* NULL is fine */
    char *directory, *keys, *images;
    struct identity identity;
    bool pointed; /* there is a pointer, and these three: */
    struct site_pointer pointer;
    char *log, *store;
    bool unproven; /* as site_unproven_read() has found it, and the two below have set it */
};

/* What is to count next, as it is being made. Paths: owned until site_switch or site_abandon. */
struct site_next {
    struct site_pointer pointer;
    char *log; /* NULL: the log stays */
    char *store;
};

/* Makes the directory and its identity where nothing is yet, takes its lock, and reads the
 * pointer. ERR_REFUSED: it is another process's, or not ours, or has lost its identity or its
 * pointer; ERR_CORRUPT: a file does not read. On failure nothing is to be released. */
MUST_USE enum err site_open(struct site *site, struct disk *disk, struct entropy *entropy,
                            const char *directory, struct why *why);
/* The same, but makes nothing: ERR_CONFIG if this is no data directory. */
MUST_USE enum err site_look(struct site *site, struct disk *disk, const char *directory,
                            struct why *why);
/* The lock is held until the process ends. Zeroed or released is fine. */
void site_release(struct site *site);
/* Of all that is in it: the pointer's, or, before there is one, the identity's. */
uint64_t site_cluster(const struct site *site);

/* Chooses names that nothing bears yet; nothing is made. With `new_log` the log is another one
 * too; else there is a pointer, and its log stays. `history` is what the pointer will say; its
 * cluster stays what it is, unless next->pointer.cluster is set before the switch. */
MUST_USE enum err site_prepare(struct site *site, bool new_log, struct history history,
                               struct site_next *next, struct why *why);
/* From now on `next` counts. Its store, and its log if it has one, are there, whole and durable
 * but for their own names. ERR_IO, ERR_SPACE: as long as the power stays it may be either; the
 * process should end, and the next site_open() sees which. `next` is released in every case. */
MUST_USE enum err site_switch(struct site *site, struct site_next *next, struct why *why);
/* Removes what was made for `next`, as far as it can be, and releases it. Zeroed is fine. */
void site_abandon(struct site *site, struct site_next *next);
/* Removes the logs and stores that do not count. What cannot be removed stays for the next time. */
void site_sweep(struct site *site);

/* The same beside all else, one file after the other: where removing takes long, nobody waits. */
struct site_sweeper; /* fields: site/sweeper.c */
struct site_sweeper *site_sweeper_open(const struct site *site);
/* The logs and stores that do not count; without `all` only those from before what counts, since a
 * later one may be in the making. Blocks for the listing of names. */
void site_sweeper_find(struct site_sweeper *sweeper, const struct site *site, bool all);
/* What was made for `next`, which is released. Zeroed is fine. */
void site_sweeper_take(struct site_sweeper *sweeper, struct site_next *next);
/* Begins with what it was told of, unless it is at it. What cannot be removed is traced, and stays
 * for the next start. */
void site_sweeper_go(struct site_sweeper *sweeper);
void site_sweeper_stop(struct site_sweeper *sweeper); /* nothing more is begun */
bool site_sweeper_is_quiet(const struct site_sweeper *sweeper); /* no request is under way */
/* One under way ends by itself. The disk stays. NULL is fine. */
void site_sweeper_close(struct site_sweeper *sweeper);

/* Takes away all of a site that never counted (no pointer, never started), its directory too if
 * asked for, and releases it. What cannot be removed stays a site that never counted. */
void site_unmake(struct site *site, bool directory_too);

/* Whom this copy follows. */
struct site_follow {
    char address[COPY_ADDRESS_BYTES]; /* host:port of its Redis port */
    bool wipe;                        /* what is here may be given up, once */
    bool redis;                       /* a Redis server is there: it may replace all, always */
};
/* ERR_NOT_FOUND: nobody; ERR_CORRUPT, ERR_REFUSED (a later format), ERR_IO. */
MUST_USE enum err site_follow_read(const struct site *site, struct site_follow *follow,
                                   struct why *why);
/* In one step, durable when it returns. ERR_CONFIG: this is no address; ERR_IO, ERR_SPACE: it may
 * say the one or the other. */
MUST_USE enum err site_follow_write(const struct site *site, const struct site_follow *follow,
                                    struct why *why);
/* Durable when it returns; none there is fine. */
MUST_USE enum err site_follow_remove(const struct site *site, struct why *why);

/* Whether this copy was rebuilt and may lack something that it has acked before. All three say so
 * durably when they return ERR_OK. ERR_IO, ERR_SPACE: it may be either. */
MUST_USE enum err site_unproven_read(struct site *site, struct why *why);
MUST_USE enum err site_set_unproven(struct site *site, struct why *why);
MUST_USE enum err site_set_proven(struct site *site, struct why *why);

#endif
