/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot: images of a shard: the state at exactly one mark, in one file (docs/formats/image.md).
 *
 * A keeper writes them, a bounded step at a time, and keeps the newest; a scrubber sees to it that
 * they stay what was written; a reader reads one back and checks every byte of it. */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include "base/must.h"
#include "base/trace.h"
#include "seam/capture.h"
#include "seam/clock.h"
#include "seam/disk.h"
#include "seam/machine.h"

/* What an image says of itself, in its header and its footer. */
struct image_facts {
    uint32_t shard;
    uint32_t level; /* of features that reading it needs */
    uint64_t cluster;
    uint64_t taken_ms; /* wall clock, since 1970 */
    struct mark mark;
    struct stamp stamp; /* of the entry at the mark */
    uint64_t stream_offset;
    const struct epoch_start *epochs; /* the oldest first */
    size_t epoch_count;
    uint64_t keys;
    struct digest digest;
    uint64_t chunks, records; /* read back only */
    uint64_t bytes;           /* likewise: of the file */
};

/* --- The keeper --- */

struct snapshot; /* fields: snapshot/keeper.h */

struct snapshot_site {
    const char *directory; /* is there; copied */
    struct disk *disk;
    struct clock *clock;
    struct trace *trace; /* NULL is fine */
    uint64_t cluster;
    uint32_t shard;
};

/* Told on the loop. Caller-owned. */
struct snapshot_listener {
    /* The view says what it is. Anything but ERR_OK: no image is made of it. */
    enum err (*begun)(struct snapshot_listener *listener, const struct capture_facts *facts,
                      struct why *why);
    /* The image is durable under its name (ERR_OK), or there is none. */
    void (*ended)(struct snapshot_listener *listener, enum err err, const struct why *why);
    /* The scrubber is done with an image, well or not. */
    void (*scrubbed)(struct snapshot_listener *listener);
};

struct snapshot_status {
    bool busy;
    struct lsn lsn;                                /* of the newest image; 0: there is none */
    uint64_t taken_ms;                             /* when it was taken */
    uint64_t bytes;                                /* of it */
    uint64_t took_us;                              /* 0: an earlier process did it */
    size_t images, images_bad;                     /* that are there: good ones, all others */
    uint64_t scrubbed_ms;                          /* when one was checked last; 0: none yet */
    uint64_t began_us, bytes_done, bytes_expected; /* of the one under way */
};

/* Removes what a crash has left of images, by name; reads what the others say. One that cannot be
 * read is left where it is and not counted. Blocks (start-up). ERR_IO: the directory cannot be
 * read. */
MUST_USE enum err snapshot_open(struct snapshot **snapshot, const struct snapshot_site *site,
                                struct snapshot_listener *listener, struct why *why);
/* Begins an image of `capture`, which it takes over and closes; nothing is under way. ended()
 * follows, not from inside. Older images beyond `keep` are removed behind it. */
void snapshot_take(struct snapshot *snapshot, struct capture *capture, unsigned keep);
/* Lets go of the capture at once, removes what was written; ended() follows with this error. An
 * image that has its name already is finished instead. Nothing under way is fine. */
void snapshot_abort(struct snapshot *snapshot, enum err err, const char *text);
bool snapshot_is_idle(const struct snapshot *snapshot); /* snapshot_take() may be called */
/* Begins to check the bytes of an image that was not checked within `period_us`; nothing if there
 * is none, or if one is being checked or written. One that is corrupt is renamed, so that nobody
 * uses it, and kept. To be called now and then. */
void snapshot_scrub(struct snapshot *snapshot, uint64_t bytes_per_second, uint64_t period_us);
void snapshot_scrub_stop(struct snapshot *snapshot);     /* for good; scrubbed() may follow */
bool snapshot_is_quiet(const struct snapshot *snapshot); /* nothing at all is under way */
void snapshot_status(const struct snapshot *snapshot, struct snapshot_status *out);
/* Lets go of everything; ended() is not called any more. A file that is being written stays for the
 * next start to remove. NULL is fine. */
void snapshot_close(struct snapshot *snapshot);

/* --- The reader --- */

struct image_reader; /* fields: snapshot/reader.c */

/* The bytes of an image. */
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
const struct image_facts *image_facts(const struct image_reader *reader); /* until image_close */
/* The next record, ascending by key; borrowed until the next call. ERR_NOT_FOUND: that was all, and
 * every checksum and count is right. ERR_CORRUPT, ERR_IO. */
MUST_USE enum err image_next(struct image_reader *reader, struct bytes *key, struct bytes *value,
                             struct why *why);
uint64_t image_offset(const struct image_reader *reader); /* bytes of the file read so far */
void image_close(struct image_reader *reader);            /* NULL is fine */

/* Told how far it is. Caller-owned. */
struct image_watch {
    void (*moved)(struct image_watch *watch, uint64_t done, uint64_t all);
};

struct store;
/* The image as a store that only gives cursors, with STORE_WAIT. Goes through all of it first and
 * so checks every byte; `watch` (NULL is fine) is told the bytes. It holds the first key of each
 * chunk, and about 64 MiB of chunks. `source` is borrowed until the store is closed. Errors as
 * image_open() and image_next(); then *store is NULL. Blocks: tools. */
MUST_USE enum err image_store_open(struct store **store, struct image_source *source,
                                   struct image_watch *watch, struct why *why);
const struct image_facts *image_store_facts(const struct store *store); /* until its close */
/* From now on `watch` (NULL: nobody) is told of records that cursors stood on, and how many records
 * there are: who comes by twice is counted twice. */
void image_store_watch(struct store *store, struct image_watch *watch);

/* --- Of a directory of images. Blocks: start-up and tools --- */

struct image_place {
    const char *directory;
    struct disk *disk;
    struct trace *trace; /* NULL is fine */
    uint64_t cluster;
    uint32_t shard;
};
struct image_brief {
    struct mark mark;
    struct digest digest;
    uint64_t keys;
};
enum { IMAGE_LIST_MAX = 64 };
struct image_list {
    struct image_brief at[IMAGE_LIST_MAX]; /* the newest first */
    size_t count;
};
/* By headers and footers alone; an image whose do not read, or that is of others, is named in the
 * trace and left out. ERR_IO, ERR_NOT_FOUND. */
MUST_USE enum err image_list(struct image_list *list, const struct image_place *place,
                             struct why *why);

struct image_install {
    struct image_place place;
    struct clock *clock;
    struct machine_maker *maker;
    const char *store;         /* a directory that is not there yet */
    struct mark mark;          /* of the image */
    struct history history;    /* that the store is to be of */
    struct image_watch *watch; /* NULL is fine */
};
/* Fills a new store with the image and checks every byte of it. ERR_CORRUPT: the image is not what
 * it was; ERR_REFUSED, ERR_IO, ERR_SPACE. What was made of the store then stays, without a mark. */
MUST_USE enum err image_install(const struct image_install *install, struct why *why);

/* An image in a file. Blocks: start-up and tools. */
struct image_file {
    struct image_source source;
    struct disk *disk;
    struct disk_file *file;
};
MUST_USE enum err image_file_open(struct image_file *image, struct disk *disk, const char *path,
                                  struct why *why);
void image_file_close(struct image_file *image);

#endif
