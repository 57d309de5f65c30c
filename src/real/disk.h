/* SPDX-License-Identifier: Apache-2.0 */
/* disk: the disk seam on the operating system's files. */
#ifndef REAL_DISK_H
#define REAL_DISK_H

#include <stdatomic.h>

#include "base/trace.h"
#include "real/loop.h"
#include "real/place.h"
#include "real/real.h"
#include "real/worker.h"
#include "seam/disk.h"

struct disk_file {
    int descriptor;
    char *name;         /* for people */
    bool read_only;     /* then `direct` is a wish, and nobody is told what came of it */
    atomic_bool direct; /* writes go past the page cache */
    atomic_bool
        damaged; /* a sync has failed: nothing on this descriptor counts as durable any more */
};

struct disk_real {
    struct disk disk;
    enum real_log_sync log_sync;
    struct trace *trace;                  /* NULL without a loop */
    struct loop *loop;                    /* NULL: run() only */
    struct worker log_worker;             /* one thread: writes that someone waits for */
    struct worker pool;                   /* two threads: everything else */
    struct place sync_place, write_place; /* of DISK_WRITE_SYNC and of DISK_WRITE */
    struct list delivered; /* carried out inline, done() to come with the deferred tasks */
    struct task deliver;
    size_t outstanding;        /* submitted, and done() not called yet */
    atomic_bool opened_direct; /* what the last file asked for with `direct` got */
    pthread_mutex_t lock;
    int *held; /* under lock: descriptors of DISK_LOCKs */
    size_t held_count;
};

void disk_real_init(struct disk_real *disk, enum real_log_sync log_sync, struct loop *loop,
                    struct trace *trace);
/* On a loop: nothing is outstanding. */
void disk_real_release(struct disk_real *disk);
/* Carries the request out on the calling thread and sets its results; no done(). */
void disk_real_perform(struct disk_real *disk, struct disk_request *request);
/* After EINVAL of a direct transfer: nothing was moved, so it may be done again through the page
 * cache. False: only direct writes are wanted. */
bool disk_real_fall_back(struct disk_real *disk, struct disk_file *file);
uint64_t disk_real_now_us(void); /* for measuring */

#endif
