/* SPDX-License-Identifier: Apache-2.0 */
/* disk: files and directories. One caller-owned request in, one completion out.
 *
 * `submit` never blocks and never calls done() before it returns; done() comes on the loop, in the
 * order that the world draws. `run` carries the same request out before it returns and calls no
 * done(): only start-up, shutdown and the command-line tools may use it, never a serving loop.
 *
 * Durability: DISK_WRITE is durable after a later DISK_SYNC of the file; a created, renamed or
 * removed name after a later DISK_SYNC_DIR of its directory. After a sync that failed, what reached
 * the platter is unknown and stays unknown: nobody may retry it. */
#ifndef SEAM_DISK_H
#define SEAM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"

struct disk {
    const struct disk_ops *ops;
};

struct disk_file; /* the world's; from DISK_OPEN or DISK_CREATE until DISK_CLOSE */

enum disk_op {
    DISK_OPEN,       /* path, direct, read_only -> file, size = its length; ERR_NOT_FOUND */
    DISK_CREATE,     /* path, direct -> file, empty, exclusive; ERR_EXISTS */
    DISK_CLOSE,      /* file; the pointer is gone afterwards whatever the result */
    DISK_READ,       /* file, offset, data, size -> moved (short at the end of the file) */
    DISK_WRITE,      /* file, offset, data, size: all of it or an error */
    DISK_SYNC,       /* file: its data, and the length that finds it */
    DISK_WRITE_SYNC, /* DISK_WRITE + DISK_SYNC as one step */
    DISK_FILL, /* file, offset, size: writes zeros there and syncs; ERR_SPACE leaves a shorter file
                */
    DISK_TRUNCATE,   /* file, offset = the new length */
    DISK_RENAME,     /* path, path_to: replaces an existing file */
    DISK_REMOVE,     /* path: a file or an empty directory; ERR_NOT_FOUND */
    DISK_MAKE_DIR,   /* path; ERR_EXISTS */
    DISK_SYNC_DIR,   /* path of a directory */
    DISK_LIST,       /* path of a directory -> names: each name and a zero byte, sorted */
    DISK_FREE_SPACE, /* path of a directory -> size = bytes that we may still use */
    DISK_LOCK, /* path of a lock file: held by this process until it ends; ERR_REFUSED if another
                  has it */
};

/* With `direct`, offset, size and the data's address must be multiples of DISK_SECTOR_BYTES, and a
 * write reaches the disk without the page cache. A world that cannot do so (no O_DIRECT, larger
 * sectors) falls back, silently and safely. A crash tears a write at DISK_TORN_BYTES. */
enum { DISK_SECTOR_BYTES = 512, DISK_TORN_BYTES = 512 };

struct disk_request {
    enum disk_op op;
    const char *path, *path_to; /* relative to the working directory; borrowed until done */
    struct disk_file *file;
    bool direct, read_only;
    uint64_t offset;
    void *data; /* borrowed until done */
    uint64_t size;
    uint64_t moved;
    struct buffer *names; /* borrowed until done */
    enum err err;
    struct why why;
    void (*done)(struct disk_request *request);
    struct list node; /* the world's */
    uint64_t world;   /* the world's */
};

struct disk_ops {
    void (*submit)(struct disk *disk, struct disk_request *request);
    enum err (*run)(struct disk *disk, struct disk_request *request); /* returns request->err */
};

static inline void disk_submit(struct disk *disk, struct disk_request *request)
{
    disk->ops->submit(disk, request);
}

static inline enum err disk_run(struct disk *disk, struct disk_request *request)
{
    return disk->ops->run(disk, request);
}

#endif
