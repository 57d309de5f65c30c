/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot: images of a shard: the state at exactly one mark, in one file (docs/formats/image.md).
 *
 * A keeper writes them, a bounded step at a time, and keeps the newest; a scrubber sees to it that
 * they stay what was written; a reader reads one back and checks every byte of it. */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include "base/must.h"
#include "base/trace.h"
#include "seam/clock.h"
#include "seam/disk.h"
#include "seam/maker.h"

/* What an image says of itself, in its header and its footer. */
struct image_facts {
    uint32_t shard, level; /* of features that reading it needs */
    uint64_t cluster;
    uint64_t taken_ms; /* wall clock, since 1970 */
    struct mark mark;
    struct stamp stamp; /* of the entry at the mark */
    uint64_t stream_offset;
    const struct epoch_start *epochs; /* the oldest first */
    size_t epoch_count;
    uint64_t keys;
    struct digest digest;
    uint64_t chunks, records; /* read back only, as is what follows: */
    uint64_t bytes;           /* of the file */
    uint64_t checksum;        /* of its footer, and so of this very file */
};

/* A directory of images. */
struct image_place {
    const char *directory; /* is there */
    struct disk *disk;
    struct trace *trace; /* NULL is fine */
    uint64_t cluster;
    struct history history;
    uint32_t shard;
};

/* --- The keeper --- */

struct snapshot; /* fields: snapshot/keeper.h */

struct snapshot_listener { /* told on the loop; caller-owned */
    /* The view says what it is. Anything but ERR_OK: no image is made of it. */
    enum err (*begun)(struct snapshot_listener *listener, const struct capture_facts *facts,
                      struct why *why);
    /* The image is durable under its name (ERR_OK), or there is none. */
    void (*ended)(struct snapshot_listener *listener, enum err err, const struct why *why);
    /* The scrubber is done with an image, well or not, or one that was held has been removed. */
    void (*scrubbed)(struct snapshot_listener *listener);
};

struct snapshot_status {
    bool busy;
    struct mark mark;                              /* of the newest image; LSN 0: there is none */
    uint64_t taken_ms, bytes;                      /* when it was taken; of it */
    uint64_t took_us;                              /* 0: an earlier process did it */
    size_t images, images_bad;                     /* that are there: good ones, all others */
    uint64_t scrubbed_ms;                          /* when one was checked last; 0: none yet */
    uint64_t began_us, bytes_done, bytes_expected; /* of the one under way */
};

/* Reads what the images say. Removes what a crash has left of one, and one of another cluster or
 * history, which an install has made void; one that cannot be read is left there and not counted.
 * Blocks (start-up). ERR_IO: the directory cannot be read. */
MUST_USE enum err snapshot_open(struct snapshot **snapshot, const struct image_place *place,
                                struct clock *clock, struct snapshot_listener *listener,
                                struct why *why);
/* Begins an image of `capture`, which it takes over and closes; nothing is under way. ended()
 * follows, not from inside. Older images beyond `keep` are removed behind it, but for held ones. */
void snapshot_take(struct snapshot *snapshot, struct capture *capture, unsigned keep);
/* Lets go of the capture at once, removes what was written; ended() follows with this error. One
 * that has its name already is finished instead. Nothing under way is fine. */
void snapshot_abort(struct snapshot *snapshot, enum err err, const char *text);
bool snapshot_is_idle(const struct snapshot *snapshot); /* snapshot_take() may be called */
/* To be called now and then: begins to check an image that was not checked within `period_us`,
 * unless one is being checked or written. One that is corrupt is renamed, and kept. */
void snapshot_scrub(struct snapshot *snapshot, uint64_t bytes_per_second, uint64_t period_us);
void snapshot_scrub_stop(struct snapshot *snapshot);     /* for good; scrubbed() may follow */
bool snapshot_is_quiet(const struct snapshot *snapshot); /* nothing at all is under way */
void snapshot_status(const struct snapshot *snapshot, struct snapshot_status *out);
/* Lets go of everything; nothing is held, ended() is not called any more. A file under way stays
 * for the next start to remove. NULL is fine. */
void snapshot_close(struct snapshot *snapshot);

/* An image that somebody needs: until it is let go of, none is removed because there are newer
 * ones. Caller-owned from snapshot_hold() to snapshot_unhold(). */
struct image_hold {
    struct mark mark;
    uint64_t size, checksum; /* of the file; of its footer */
    char *path;              /* the hold's */
    bool checked;            /* every byte was read, and it is what was written */
    bool lost;               /* it is corrupt, gone, or another file has its name: of no use now */
    void (*done)(struct image_hold *hold); /* of a check; not from inside, not after the unhold */
    enum err err; /* then: ERR_OK checked, ERR_CORRUPT, ERR_NOT_FOUND lost, ERR_IO, ERR_SHUT */
    struct why why;
    uint64_t id, bytes_per_second; /* these and what follows: the snapshot's */
    bool asked, answered;
    struct list node;
};
/* The newest good one, or the good one that has `mark` (NULL: the newest). ERR_NOT_FOUND. */
MUST_USE enum err snapshot_hold(struct snapshot *snapshot, struct image_hold *hold,
                                const struct mark *mark, struct why *why);
/* If it is one too many, it is removed soon. Not held, but zeroed, is fine. */
void snapshot_unhold(struct snapshot *snapshot, struct image_hold *hold);
/* Has all of it read, unless this process has done so; hold->done() follows. The scrubber does it,
 * before all others; it waits while an image is written. */
void snapshot_hold_check(struct snapshot *snapshot, struct image_hold *hold,
                         uint64_t bytes_per_second);

/* --- The reader --- */

struct image_reader; /* fields: snapshot/reader.c */

struct image_source {
    /* All of [offset, offset + size). ERR_IO. */
    enum err (*read)(struct image_source *source, uint64_t offset, void *data, uint64_t size,
                     struct why *why);
    uint64_t size;
};

/* Reads and checks header and footer. `source` is borrowed until image_close. ERR_CORRUPT,
 * ERR_REFUSED (of a later format), ERR_IO; then *reader is NULL. */
MUST_USE enum err image_open(struct image_reader **reader, struct image_source *source,
                             struct why *why);
/* While it still comes: source->size is what it will be, image_next() says ERR_PENDING for what is
 * not there yet; facts are known from the first record on, the footer's at the end. */
struct image_reader *image_open_early(struct image_source *source);
void image_arrived(struct image_reader *reader, uint64_t there); /* bytes from the beginning */
const struct image_facts *image_facts(const struct image_reader *reader); /* until image_close */
/* The next record, ascending by key; borrowed until the next call. ERR_NOT_FOUND: that was all, and
 * every checksum and count is right. ERR_CORRUPT, ERR_IO. */
MUST_USE enum err image_next(struct image_reader *reader, struct bytes *key, struct bytes *value,
                             struct why *why);
uint64_t image_offset(const struct image_reader *reader); /* bytes of the file read so far */
void image_close(struct image_reader *reader);            /* NULL is fine */

struct image_watch { /* told how far it is; caller-owned */
    void (*moved)(struct image_watch *watch, uint64_t done, uint64_t all);
};

struct store;
/* The image as a store that only gives cursors, with STORE_WAIT; every byte is checked first.
 * `watch` (NULL is fine) is told the bytes. It holds the first key of each chunk, and about 64 MiB
 * of chunks. `source` is borrowed until its close. Errors as image_open(), image_next(). Blocks. */
MUST_USE enum err image_store_open(struct store **store, struct image_source *source,
                                   struct image_watch *watch, struct why *why);
const struct image_facts *image_store_facts(const struct store *store); /* until its close */
/* From now on `watch` (NULL: nobody) is told of records that cursors stood on, and of how many. */
void image_store_watch(struct store *store, struct image_watch *watch);

/* --- Of a directory of images. Blocks: start-up and tools --- */

enum { IMAGE_LIST_MAX = 64 };
struct image_list {
    struct image_brief {
        struct mark mark;
        struct digest digest;
        uint64_t keys;
    } at[IMAGE_LIST_MAX]; /* the newest first */
    size_t count;
};
/* By headers and footers alone; an image whose do not read, or that is of others, is named in the
 * trace and left out. ERR_IO, ERR_NOT_FOUND. */
MUST_USE enum err image_list(struct image_list *list, const struct image_place *place,
                             struct why *why);
/* Removes what is at `from` or above, durably, but for corrupt ones. ERR_IO: some may be gone. */
MUST_USE enum err image_remove_from(const struct image_place *place, struct lsn from,
                                    struct why *why);
/* The path of the image with this mark, which may not be there; the caller's. */
char *image_path(const struct image_place *place, struct lsn lsn);

struct image_install {
    struct image_place place;
    struct clock *clock;
    struct machine_maker *maker;
    const char *path;          /* of the image's file; NULL: by its name in the place */
    const char *store;         /* a directory that is not there yet */
    struct mark mark;          /* of the image */
    struct history history;    /* that the store is to be of */
    struct stamp *stamp;       /* out: of the entry at the mark; NULL is fine */
    struct image_watch *watch; /* NULL is fine */
};
/* Fills a new store with the image and checks every byte of it. ERR_CORRUPT, ERR_REFUSED, ERR_IO,
 * ERR_SPACE; what was made of the store then stays, without a mark. */
MUST_USE enum err image_install(const struct image_install *install, struct why *why);

struct image_file {
    struct image_source source;
    struct disk *disk;
    struct disk_file *file;
};
MUST_USE enum err image_file_open(struct image_file *image, struct disk *disk, const char *path,
                                  struct why *why);
void image_file_close(struct image_file *image);

#endif
