/* SPDX-License-Identifier: Apache-2.0 */
/* memory_world: the clock and the turns beside a memory_disk. */
#ifndef TEST_LOG_MEMORY_WORLD_H
#define TEST_LOG_MEMORY_WORLD_H

#include "test/log/memory_disk.h"

static inline void memory_submit(struct disk *base, struct disk_request *request)
{
    struct memory_disk *disk = CONTAINER_OF(base, struct memory_disk, base);
    (void)memory_run(base, request);
    list_append(&disk->submitted, &request->node);
}

static inline uint64_t memory_now_us(struct clock *clock)
{
    return ++CONTAINER_OF(clock, struct memory_disk, clock)->us;
}

static inline uint64_t memory_wall_ms(struct clock *clock)
{
    return memory_now_us(clock) / 1000;
}

/* No timer ever fires. */
static inline void memory_timer_start(struct clock *clock, struct timer *timer, uint64_t delay_us)
{
    (void)clock;
    (void)timer;
    (void)delay_us;
}

static inline void memory_timer_stop(struct clock *clock, struct timer *timer)
{
    (void)clock;
    (void)timer;
}

static inline void memory_defer(struct clock *clock, struct task *task)
{
    struct memory_disk *disk = CONTAINER_OF(clock, struct memory_disk, clock);
    task_queue_add(&disk->tasks, task);
}

static inline void memory_cancel(struct clock *clock, struct task *task)
{
    (void)clock;
    task_queue_remove(task);
}

static inline void memory_fill(struct entropy *entropy, void *out, size_t size)
{
    struct memory_disk *disk = CONTAINER_OF(entropy, struct memory_disk, entropy);
    memset(out, (int)(++disk->drawn & 0xff), size);
}

/* One turn: answers what was submitted, then runs what was deferred. False: there was nothing to
 * do. */
static inline bool memory_turn(struct memory_disk *disk)
{
    bool any = false;
    for (struct list *node; (node = list_first(&disk->submitted)) != NULL; any = true) {
        list_remove(node);
        struct disk_request *request = CONTAINER_OF(node, struct disk_request, node);
        request->done(request);
    }
    for (struct task *task; (task = task_queue_take(&disk->tasks)) != NULL; any = true)
        task->run(task);
    return any;
}

static inline void memory_disk_init(struct memory_disk *disk, uint64_t keep_max)
{
    static const struct disk_ops disk_ops = {memory_submit, memory_run};
    static const struct clock_ops clock_ops = {memory_now_us,      memory_wall_ms,
                                               memory_timer_start, memory_timer_stop,
                                               memory_defer,       memory_cancel};
    static const struct entropy_ops entropy_ops = {memory_fill};
    memset(disk, 0, sizeof(*disk));
    disk->base.ops = &disk_ops;
    disk->clock.ops = &clock_ops;
    disk->entropy.ops = &entropy_ops;
    disk->keep_max = keep_max;
    list_init(&disk->submitted);
    task_queue_init(&disk->tasks);
}

/* Of a log on it. */
static inline struct log_site memory_site(struct memory_disk *disk, const char *directory,
                                          struct log_listener *listener)
{
    return (struct log_site){directory, &disk->base, &disk->entropy, &disk->clock, NULL, listener};
}

/* An empty disk again, which keeps its memory for the next files. */
static inline void memory_disk_clear(struct memory_disk *disk)
{
    for (unsigned i = 0; i < MEMORY_FILES; i++) {
        disk->files[i].there = false;
        disk->files[i].size = disk->files[i].content.size = 0;
    }
    disk->drawn = disk->us = 0;
    list_init(&disk->submitted);
    task_queue_init(&disk->tasks);
}

static inline void memory_disk_release(struct memory_disk *disk)
{
    for (unsigned i = 0; i < MEMORY_FILES; i++) buffer_release(&disk->files[i].content);
}

#endif
