/* SPDX-License-Identifier: Apache-2.0 */
/* archive: copies of a shard's entries and images in a directory elsewhere
 * (docs/formats/archive.md), from which any moment that they cover can be made again.
 *
 * A server writes to it what is committed and durable here, and nothing else: so no cut tail and no
 * lost branch gets there. Its directory may fail as it likes: that never stops the server. */
#ifndef ARCHIVE_ARCHIVE_H
#define ARCHIVE_ARCHIVE_H

#include "log/log.h"
#include "seam/maker.h"
#include "seam/world.h"
#include "snapshot/snapshot.h"

/* --- The archiver of a running server --- */

struct archive; /* fields: archive/internal.h */

struct archive_site {
    const char *directory; /* is there, or the archive fails and tries again; copied */
    const char *images;    /* of the shard, likewise */
    struct disk *disk;
    struct clock *clock;
    struct trace *trace; /* NULL is fine */
    struct log *log;     /* stays open until archive_close */
    uint64_t cluster;
    uint32_t shard;
    struct history history;
};

struct archive_options {
    uint64_t interval_us; /* what is committed is copied after so long at the latest */
    /* The log may take so much space while it keeps what is not archived; past that, or when space
     * is short, the entries go and the archive has a gap. */
    uint64_t budget_bytes;
};

/* Told on the loop. Caller-owned. */
struct archive_listener {
    /* Nothing that is archived leads to the spans: an image is wanted. Now and then again. */
    void (*want_image)(struct archive_listener *listener);
    void (*quiet)(struct archive_listener *listener); /* after archive_stop() */
};

/* What it is told at each tick. */
struct archive_now {
    struct lsn committed;
    struct lsn image; /* of the newest image that is there; 0: there is none */
    bool low;         /* space is short where the log is */
};

struct archive_status {
    struct lsn lsn;          /* of the newest archived entry; 0: none, or not known yet */
    struct lsn image;        /* of the newest archived image; likewise */
    bool covered;            /* there is no hole between an image, or nothing, and `lsn` */
    uint64_t lag_entries;    /* committed and not archived */
    uint64_t lag_us;         /* how long the oldest of them waits, about */
    uint64_t spans, bytes;   /* written by this process; bytes with the images */
    uint64_t failures, gaps; /* of this process */
    bool failing;            /* the last attempt failed: */
    struct why why;          /* why */
};

/* Holds the log as it is from now on, within the budget. */
void archive_open(struct archive **archive, const struct archive_site *site,
                  const struct archive_options *options, struct archive_listener *listener);
void archive_set_options(struct archive *archive, const struct archive_options *options);
/* To be called a few times a second; all work begins here. */
void archive_tick(struct archive *archive, const struct archive_now *now);
/* Begins nothing more and gives up what is under way; the log stays held. */
void archive_stop(struct archive *archive);
bool archive_is_quiet(const struct archive *archive);
void archive_status(const struct archive *archive, struct archive_status *out);
/* Before the log is closed. NULL is fine. */
void archive_close(struct archive *archive);

/* --- What is in an archive. Blocks: tools --- */

struct archive_span {
    struct lsn first, last;
};
/* What is there of one history, by names. */
struct archive_history {
    struct disk *disk;
    struct history id;
    char *directory;
    struct archive_span *spans; /* by rising first LSN */
    size_t span_count;
    struct lsn *images; /* rising */
    size_t image_count;
};
struct archive_catalog {
    struct archive_history *histories;
    size_t count;
};
/* ERR_IO, ERR_NOT_FOUND. On failure nothing is to be released. */
MUST_USE enum err archive_catalog_open(struct archive_catalog *catalog, struct disk *disk,
                                       const char *directory, struct why *why);
void archive_catalog_release(struct archive_catalog *catalog);

/* What a file says of itself. */
struct archive_brief {
    struct mark mark;   /* of its last entry; an image: of itself */
    struct mark before; /* of the entry before its first; an image: of itself */
    struct stamp before_stamp;
    struct stamp first, last;
    uint64_t cluster, entries, bytes;
    uint32_t shard;
};
/* By header and footer alone; with `whole` every byte, every lineage. ERR_CORRUPT, ERR_IO,
 * ERR_REFUSED, with the file's name. */
MUST_USE enum err archive_look_at_span(const struct archive_history *history, size_t span,
                                       bool whole, struct archive_brief *brief, struct why *why);
MUST_USE enum err archive_look_at_image(const struct archive_history *history, size_t image,
                                        bool whole, struct archive_brief *brief, struct why *why);

/* --- A restore. Its steps run on the loop and block: tools --- */

enum archive_target { ARCHIVE_TO_LSN, ARCHIVE_TO_TIME, ARCHIVE_LATEST };

struct archive_restore_options {
    const char *from;    /* the archive's directory */
    const char *to;      /* of the data to be made: absent or empty */
    const char *history; /* 32 hex digits; NULL: the only one */
    enum archive_target target;
    struct lsn lsn;
    uint64_t time_ms; /* since 1970 */
    uint64_t flush_bytes;
};

struct archive_restored {
    struct mark mark;   /* of the new history */
    struct mark source; /* the same place in the archived one */
    struct stamp stamp;
    struct digest digest;
};

struct archive_restore; /* fields: archive/restore.c */
/* Told on the loop. Caller-owned. */
struct archive_restore_listener {
    /* All is done (ERR_OK), or nothing is left of it: ERR_REFUSED, ERR_CORRUPT, ERR_IO ... */
    void (*ended)(struct archive_restore_listener *listener, enum err err, const struct why *why);
    /* Bytes of the image, then entries. */
    void (*moved)(struct archive_restore_listener *listener, bool image, uint64_t done,
                  uint64_t all);
};
/* `maker` makes the shard's machine; all is borrowed until archive_restore_close(). */
void archive_restore_open(struct archive_restore **restore, const struct world *world,
                          struct machine_maker *maker,
                          const struct archive_restore_options *options,
                          struct archive_restore_listener *listener);
/* What a signal asks for: it ends as ERR_REFUSED soon. */
void archive_restore_cancel(struct archive_restore *restore);
const struct archive_restored *archive_restored(const struct archive_restore *restore);
void archive_restore_close(struct archive_restore *restore); /* after ended(); NULL is fine */

#endif
