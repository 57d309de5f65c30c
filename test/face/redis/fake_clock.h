/* SPDX-License-Identifier: Apache-2.0 */
/* fake_clock: a clock that stands still until a test moves it. */
#ifndef TEST_FACE_REDIS_FAKE_CLOCK_H
#define TEST_FACE_REDIS_FAKE_CLOCK_H

#include "base/must.h"
#include "seam/clock.h"

#define TEST_UNUSED __attribute__((unused))

struct fake_clock {
    struct clock base;
    uint64_t us; /* since the test began; the wall stands at FAKE_WALL_MS then */
    uint64_t order;
    struct list timers;
    struct task_queue tasks;
};

#define FAKE_WALL_MS 1700000000123ULL

static uint64_t fake_now_us(struct clock *clock)
{
    return CONTAINER_OF(clock, struct fake_clock, base)->us;
}

static uint64_t fake_wall_ms(struct clock *clock)
{
    return FAKE_WALL_MS + fake_now_us(clock) / 1000;
}

static void fake_timer_stop(struct clock *clock, struct timer *timer)
{
    (void)clock;
    if (timer->armed) list_remove(&timer->node);
    timer->armed = false;
}

static void fake_timer_start(struct clock *clock, struct timer *timer, uint64_t delay_us)
{
    struct fake_clock *fake = CONTAINER_OF(clock, struct fake_clock, base);
    fake_timer_stop(clock, timer);
    MUST(timer->fired != NULL);
    timer->armed = true;
    timer->due_us = fake->us + delay_us;
    timer->order = fake->order++;
    list_append(&fake->timers, &timer->node);
}

static void fake_defer(struct clock *clock, struct task *task)
{
    struct fake_clock *fake = CONTAINER_OF(clock, struct fake_clock, base);
    task_queue_add(&fake->tasks, task);
}

static void fake_cancel(struct clock *clock, struct task *task)
{
    (void)clock;
    task_queue_remove(task);
}

static void TEST_UNUSED fake_clock_init(struct fake_clock *fake)
{
    static const struct clock_ops ops = {.now_us = fake_now_us,
                                         .wall_ms = fake_wall_ms,
                                         .timer_start = fake_timer_start,
                                         .timer_stop = fake_timer_stop,
                                         .defer = fake_defer,
                                         .cancel = fake_cancel};
    *fake = (struct fake_clock){.base.ops = &ops, .us = 1000000};
    list_init(&fake->timers);
    task_queue_init(&fake->tasks);
}

/* The end of a turn: every deferred task. */
static void fake_clock_turn(struct fake_clock *fake)
{
    for (struct task *task; (task = task_queue_take(&fake->tasks)) != NULL;) task->run(task);
}

static struct timer *fake_clock_first(const struct fake_clock *fake)
{
    struct timer *first = NULL;
    for (struct list *at = fake->timers.next; at != &fake->timers; at = at->next) {
        struct timer *timer = CONTAINER_OF(at, struct timer, node);
        bool sooner = first == NULL || timer->due_us < first->due_us;
        if (sooner || (timer->due_us == first->due_us && timer->order < first->order))
            first = timer;
    }
    return first;
}

/* Lets time pass, in order: timers fire, each in a turn of its own. */
static void TEST_UNUSED fake_clock_pass(struct fake_clock *fake, uint64_t us)
{
    uint64_t until_us = fake->us + us;
    struct timer *timer;
    while ((timer = fake_clock_first(fake)) != NULL && timer->due_us <= until_us) {
        fake->us = timer->due_us;
        fake_timer_stop(&fake->base, timer);
        timer->fired(timer);
        fake_clock_turn(fake);
    }
    fake->us = until_us;
    fake_clock_turn(fake);
}

#endif
