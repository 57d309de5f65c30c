/* SPDX-License-Identifier: Apache-2.0 */
/* clock: time, timers and the end of the turn. The loop thread's view of "later".
 *
 * A *turn* is: wait for events, deliver them, then run deferred tasks until there are none. Work
 * that should be done once for all events of a turn (one log write, one send per connection) is
 * deferred. */
#ifndef SEAM_CLOCK_H
#define SEAM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

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

struct task {
    void (*run)(struct task *task);
    bool queued;
    struct list node; /* the world's */
};

struct clock_ops {
    /* CLOCK_BOOTTIME in microseconds: never goes back, counts through a suspend. */
    uint64_t (*now_us)(struct clock *clock);
    /* The wall clock in milliseconds since 1970, wherever an operator may have set it. */
    uint64_t (*wall_ms)(struct clock *clock);
    /* (Re)starts the timer; it fires once, not before `delay_us` from now. */
    void (*timer_start)(struct clock *clock, struct timer *timer, uint64_t delay_us);
    void (*timer_stop)(struct clock *clock, struct timer *timer); /* stopped already is fine */
    /* Runs the task later in this turn, once, after the tasks deferred before it. Queued already:
     * nothing. */
    void (*defer)(struct clock *clock, struct task *task);
    void (*cancel)(struct clock *clock, struct task *task); /* not queued is fine */
};

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
