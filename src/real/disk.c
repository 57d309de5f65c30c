/* SPDX-License-Identifier: Apache-2.0 */
/* Who carries a disk request out.
 *
 *   DISK_WRITE_SYNC, DISK_WRITE   inline on the loop while that is fast (real/place.h), else, and
 *                                 when they are long, on the log's own thread
 *   everything else               a pool of two threads
 *
 * Inline means within submit(); done() still comes later in the same turn, from a deferred task. */
#include "real/disk.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

/* Above this the copy and the transfer count for more than the hand-over to a thread. */
enum { DISK_INLINE_BYTES_MAX = 512 * 1024 };

uint64_t disk_real_now_us(void)
{
    struct timespec now;
    MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct disk_real *disk_of(struct disk *disk)
{
    return CONTAINER_OF(disk, struct disk_real, disk);
}

static struct place *disk_place(struct disk_real *disk, const struct disk_request *request)
{
    if (request->size > DISK_INLINE_BYTES_MAX) return NULL;
    if (request->op == DISK_WRITE_SYNC) return &disk->sync_place;
    if (request->op == DISK_WRITE) return &disk->write_place;
    return NULL;
}

static void disk_measure(struct disk_real *disk, const struct disk_request *request)
{
    struct place *place = disk_place(disk, request);
    if (place == NULL || request->err != ERR_OK) return;
    uint64_t median = place_median_us(place);
    if (!place_note(place, request->world)) return;
    trace_event(disk->trace, TRACE_VERBOSE, "disk", "write_place", "op=%s place=%s median_us=%llu",
                request->op == DISK_WRITE_SYNC ? "write_sync" : "write",
                place->thread ? "thread" : "inline", (unsigned long long)median);
}

static void disk_perform_timed(struct disk_real *disk, struct disk_request *request)
{
    uint64_t begin = disk_real_now_us();
    disk_real_perform(disk, request);
    request->world = disk_real_now_us() - begin;
}

static void disk_done(struct disk_real *disk, struct disk_request *request)
{
    disk->outstanding -= 1;
    request->done(request);
}

static void disk_log_work(struct worker *worker, struct list *item)
{
    struct disk_real *disk = CONTAINER_OF(worker, struct disk_real, log_worker);
    disk_perform_timed(disk, CONTAINER_OF(item, struct disk_request, node));
}

static void disk_log_done(struct worker *worker, struct list *item)
{
    struct disk_real *disk = CONTAINER_OF(worker, struct disk_real, log_worker);
    struct disk_request *request = CONTAINER_OF(item, struct disk_request, node);
    disk_measure(disk, request);
    disk_done(disk, request);
}

static void disk_pool_work(struct worker *worker, struct list *item)
{
    struct disk_real *disk = CONTAINER_OF(worker, struct disk_real, pool);
    disk_real_perform(disk, CONTAINER_OF(item, struct disk_request, node));
}

static void disk_pool_done(struct worker *worker, struct list *item)
{
    struct disk_real *disk = CONTAINER_OF(worker, struct disk_real, pool);
    disk_done(disk, CONTAINER_OF(item, struct disk_request, node));
}

/* Hands out what was carried out inline before this task began; a done() that submits more defers
 * the task again. */
static void disk_deliver(struct task *task)
{
    struct disk_real *disk = CONTAINER_OF(task, struct disk_real, deliver);
    struct list now;
    list_init(&now);
    list_move_all(&now, &disk->delivered);
    for (struct list *node; (node = list_first(&now)) != NULL;) {
        struct disk_request *request = CONTAINER_OF(node, struct disk_request, node);
        list_remove(node);
        disk_done(disk, request);
    }
}

static void disk_real_submit(struct disk *base, struct disk_request *request)
{
    struct disk_real *disk = disk_of(base);
    MUST(disk->loop != NULL && request->done != NULL);
    disk->outstanding += 1;
    struct place *place = disk_place(disk, request);
    if (place != NULL && !place->thread) {
        disk_perform_timed(disk, request);
        disk_measure(disk, request);
        list_append(&disk->delivered, &request->node);
        clock_defer(&disk->loop->clock, &disk->deliver);
    } else if (request->op == DISK_WRITE_SYNC || request->op == DISK_WRITE) {
        worker_submit(&disk->log_worker, &request->node);
    } else {
        worker_submit(&disk->pool, &request->node);
    }
}

static enum err disk_real_run(struct disk *base, struct disk_request *request)
{
    disk_real_perform(disk_of(base), request);
    return request->err;
}

static const struct disk_ops disk_real_ops = {.submit = disk_real_submit, .run = disk_real_run};

void disk_real_init(struct disk_real *disk, enum real_log_sync log_sync, struct loop *loop,
                    struct trace *trace)
{
    memset(disk, 0, sizeof(*disk));
    disk->disk.ops = &disk_real_ops;
    disk->log_sync = log_sync;
    disk->trace = trace;
    disk->loop = loop;
    disk->deliver.run = disk_deliver;
    list_init(&disk->delivered);
    atomic_init(&disk->opened_direct, log_sync != REAL_LOG_SYNC_FDATASYNC);
    MUST(pthread_mutex_init(&disk->lock, NULL) == 0);
    if (loop == NULL) return;
    disk->log_worker.work = disk_log_work;
    disk->log_worker.done = disk_log_done;
    disk->log_worker.name = "log-sync";
    disk->log_worker.threads_max = 1;
    worker_init(&disk->log_worker, &loop->mail);
    disk->pool.work = disk_pool_work;
    disk->pool.done = disk_pool_done;
    disk->pool.name = "disk";
    disk->pool.threads_max = 2;
    worker_init(&disk->pool, &loop->mail);
}

void disk_real_release(struct disk_real *disk)
{
    if (disk->loop != NULL) {
        MUST(disk->outstanding == 0);
        worker_release(&disk->log_worker);
        worker_release(&disk->pool);
    }
    for (size_t i = 0; i < disk->held_count; i++) (void)close(disk->held[i]);
    memory_free(disk->held);
    MUST(pthread_mutex_destroy(&disk->lock) == 0);
}

/* ---- Without a loop ---- */

void real_disk_open(struct disk **disk, enum real_log_sync log_sync)
{
    struct disk_real *real = memory_zeroed(1, sizeof(*real));
    disk_real_init(real, log_sync, NULL, NULL);
    *disk = &real->disk;
}

void real_disk_close(struct disk *disk)
{
    if (disk == NULL) return;
    struct disk_real *real = disk_of(disk);
    MUST(real->loop == NULL);
    disk_real_release(real);
    memory_free(real);
}
