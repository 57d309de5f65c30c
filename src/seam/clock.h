/* SPDX-License-Identifier: Apache-2.0 */
/* clock: time, timers and the end of the turn. The loop thread's view of "later".
 *
 * A *turn* is: wait for events, deliver them, then run deferred tasks until there are none. Work
 * that should be done once for all events of a turn (one log write, one send per connection) is
 * deferred. Work that others should not wait for, since it takes the loop's time, is `late`: it
 * runs when nothing else is deferred. */
#ifndef SEAM_CLOCK_H
#define SEAM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/must.h"

struct clock {
    const struct clock_ops *ops;
};

/* Caller-owned; embed it and find the owner with CONTAINER_OF. Set `fired` once, before the first
 * start. */
struct timer {
    void (*fired)(struct timer *timer); /* on the loop; the timer is stopped by then */
    bool armed;
    uint64_t due_us;  /* the world's: when, on now_us */
    uint64_t order;   /* the world's: ties are fired in the order of their start */
    struct list node; /* the world's */
};

/* Set `run`, and `late` if it is, before a deferral. */
struct task {
    void (*run)(struct task *task);
    bool late;
    bool queued;
    struct list node; /* the world's */
};

/* What is deferred, for whoever is a clock. */
struct task_queue {
    struct list tasks, late;
};

struct clock_ops {
    /* CLOCK_BOOTTIME in microseconds: never goes back, counts through a suspend. */
    uint64_t (*now_us)(struct clock *clock);
    /* The wall clock in milliseconds since 1970, wherever an operator may have set it. */
    uint64_t (*wall_ms)(struct clock *clock);
    /* (Re)starts the timer; it fires once, not before `delay_us` from now. */
    void (*timer_start)(struct clock *clock, struct timer *timer, uint64_t delay_us);
    void (*timer_stop)(struct clock *clock, struct timer *timer); /* stopped already is fine */
    /* Runs the task later in this turn, once, after the tasks deferred before it; a late one when
     * only late ones are left. Queued already: nothing. */
    void (*defer)(struct clock *clock, struct task *task);
    void (*cancel)(struct clock *clock, struct task *task); /* not queued is fine */
};

static inline void task_queue_init(struct task_queue *queue)
{
    list_init(&queue->tasks);
    list_init(&queue->late);
}

static inline void task_queue_add(struct task_queue *queue, struct task *task)
{
    if (task->queued) return;
    task->queued = true;
    list_append(task->late ? &queue->late : &queue->tasks, &task->node);
}

static inline void task_queue_remove(struct task *task) /* not queued is fine */
{
    if (task->queued) list_remove(&task->node);
    task->queued = false;
}

/* The next one, which is queued no more; NULL: there is none. */
static inline struct task *task_queue_take(struct task_queue *queue)
{
    struct list *node = list_first(&queue->tasks);
    if (node == NULL) node = list_first(&queue->late);
    if (node == NULL) return NULL;
    struct task *task = CONTAINER_OF(node, struct task, node);
    task_queue_remove(task);
    return task;
}

static inline uint64_t clock_now_us(struct clock *clock)
{
    return clock->ops->now_us(clock);
}

static inline uint64_t clock_wall_ms(struct clock *clock)
{
    return clock->ops->wall_ms(clock);
}

static inline void clock_timer_start(struct clock *clock, struct timer *timer, uint64_t delay_us)
{
    clock->ops->timer_start(clock, timer, delay_us);
}

static inline void clock_timer_stop(struct clock *clock, struct timer *timer)
{
    clock->ops->timer_stop(clock, timer);
}

static inline void clock_defer(struct clock *clock, struct task *task)
{
    clock->ops->defer(clock, task);
}

static inline void clock_cancel(struct clock *clock, struct task *task)
{
    clock->ops->cancel(clock, task);
}

#endif
