/* SPDX-License-Identifier: Apache-2.0 */
/* copy: an image on its way into an archive. */
#ifndef ARCHIVE_COPY_H
#define ARCHIVE_COPY_H

#include "base/mark.h"
#include "seam/clock.h"
#include "seam/disk.h"

struct archive;

/* An image:
 *
 *   IDLE --a newer one is there--> OPEN --> CREATE --> READ --> WRITE --> [SYNC_PART] --> PAUSE -->
 *     READ ... --end--> SYNC --> CLOSE --> CLOSE_SOURCE --> RENAME --> SYNC_NAME --> IDLE
 *   any --failed or stopped--> DROP_CLOSE --> DROP_SOURCE --> DROP_REMOVE --> IDLE */
enum copy_step {
    COPY_IDLE,
    COPY_OPEN,
    COPY_CREATE,
    COPY_READ,
    COPY_WRITE,
    COPY_SYNC_PART,
    COPY_PAUSE,
    COPY_SYNC,
    COPY_CLOSE,
    COPY_CLOSE_SOURCE,
    COPY_RENAME,
    COPY_SYNC_NAME,
    COPY_DROP_CLOSE,
    COPY_DROP_SOURCE,
    COPY_DROP_REMOVE,
};

struct copy {
    enum copy_step step;
    bool asked; /* the disk is at work */
    bool made;  /* the temporary is there */
    struct disk_request request;
    struct timer timer;
    struct disk_file *source, *file;
    char *path_from, *path_tmp, *path_to;
    struct lsn lsn;
    uint64_t size, offset, unsynced;
    uint8_t *piece;
    struct lsn passed; /* one that could not be read here is passed over */
    uint64_t not_before_us, retry_us;
};

void copy_init(struct archive *archive);
void copy_try(struct archive *archive); /* begins one if it is due */
void copy_stop(struct archive *archive);
void copy_release(struct archive *archive);

#endif
