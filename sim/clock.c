/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/clock.h"

#include "base/must.h"
#include "sim/heap.h"
#include "sim/node.h"

enum { MILLION = 1000000 };

/* 2025-01-01 00:00:00 UTC: what every wall clock would show at the world's beginning. */
#define CLOCK_WALL_EPOCH_MS 1735689600000u

static uint64_t scaled(uint64_t value, uint64_t by, uint64_t of)
{
    /* In two steps, so that a century of microseconds does not overflow. */
    return value / of * by + value % of * by / of;
}

static uint64_t clock_boot_us(const struct sim_clock *clock)
{
    uint64_t passed = sim_world_now_us(clock->world) - clock->world_us;
    return clock->boot_us + scaled(passed, (uint64_t)(MILLION + clock->drift_ppm), MILLION);
}

/* The first moment of the world at which clock_boot_us() is at least `boot_us`, which is in the
 * future. */
static uint64_t clock_world_us(const struct sim_clock *clock, uint64_t boot_us)
{
    uint64_t rate = (uint64_t)(MILLION + clock->drift_ppm);
    uint64_t passed = scaled(boot_us - clock->boot_us, MILLION, rate);
    while (scaled(passed, rate, MILLION) < boot_us - clock->boot_us) passed++;
    return clock->world_us + passed;
}

static struct sim_clock *clock_of(struct clock *base)
{
    return CONTAINER_OF(base, struct sim_clock, base);
}

static uint64_t clock_now_us_of_sim(struct clock *base)
{
    return clock_boot_us(clock_of(base));
}

static uint64_t clock_wall_ms_of_sim(struct clock *base)
{
    const struct sim_clock *clock = clock_of(base);
    uint64_t now = sim_world_now_us(clock->world);
    int64_t wall = (int64_t)(CLOCK_WALL_EPOCH_MS +
                             scaled(now, (uint64_t)(MILLION + clock->drift_ppm), MILLION) / 1000);
    wall += clock->wall_offset_ms;
    return wall > 0 ? (uint64_t)wall : 0;
}

static struct timer *timer_first(const struct sim_clock *clock)
{
    struct list *node = list_first(&clock->timers);
    return node != NULL ? CONTAINER_OF(node, struct timer, node) : NULL;
}

/* Plans the event for the first timer, anew whenever that changes. */
static void clock_plan(struct sim_clock *clock)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    sim_world_cancel(clock->world, &clock->timer_event);
    struct timer *timer = timer_first(clock);
    if (timer != NULL) {
        uint64_t now = sim_world_now_us(clock->world);
        uint64_t at = timer->due_us > clock_boot_us(clock) ? clock_world_us(clock, timer->due_us)
                                                           : now;
        struct dice *dice = sim_world_dice(clock->world, SIM_DICE_SCHEDULE);
        uint64_t late = clock->late_us_max > 0 ? dice_below(dice, clock->late_us_max + 1) : 0;
        sim_world_plan(clock->world, &clock->timer_event, at + late - now);
    }
    (void)sim_heap_enter(before);
}

static void clock_timer_stop_of_sim(struct clock *base, struct timer *timer)
{
    struct sim_clock *clock = clock_of(base);
    if (!timer->armed) return;
    bool was_first = timer_first(clock) == timer;
    timer->armed = false;
    list_remove(&timer->node);
    if (was_first) clock_plan(clock);
}

static void clock_timer_start_of_sim(struct clock *base, struct timer *timer, uint64_t delay_us)
{
    struct sim_clock *clock = clock_of(base);
    MUST(timer->fired != NULL);
    clock_timer_stop_of_sim(base, timer);
    timer->armed = true;
    timer->due_us = clock_boot_us(clock) + delay_us;
    timer->order = clock->timer_order++;
    struct list *after = clock->timers.previous;
    while (after != &clock->timers &&
           CONTAINER_OF(after, struct timer, node)->due_us > timer->due_us) {
        after = after->previous;
    }
    timer->node.previous = after;
    timer->node.next = after->next;
    after->next->previous = &timer->node;
    after->next = &timer->node;
    if (timer_first(clock) == timer) clock_plan(clock);
}

static void clock_defer_of_sim(struct clock *base, struct task *task)
{
    struct sim_clock *clock = clock_of(base);
    MUST(task->run != NULL);
    if (task->queued) return;
    MUST(sim_node_is_inside(clock->node)); /* else no turn would run it */
    task_queue_add(&clock->tasks, task);
}

static void clock_cancel_of_sim(struct clock *base, struct task *task)
{
    (void)base;
    task_queue_remove(task);
}

static const struct clock_ops clock_ops_of_sim = {
    .now_us = clock_now_us_of_sim,
    .wall_ms = clock_wall_ms_of_sim,
    .timer_start = clock_timer_start_of_sim,
    .timer_stop = clock_timer_stop_of_sim,
    .defer = clock_defer_of_sim,
    .cancel = clock_cancel_of_sim,
};

/* Fires what is due, but not what is started meanwhile: a timer that restarts itself with no delay
 * lets the turn end. */
static void clock_fire(struct sim_event *event)
{
    struct sim_clock *clock = CONTAINER_OF(event, struct sim_clock, timer_event);
    uint64_t newer = clock->timer_order;
    struct timer *timer;
    while ((timer = timer_first(clock)) != NULL) {
        if (timer->due_us > clock_boot_us(clock) || timer->order >= newer) break;
        timer->armed = false;
        list_remove(&timer->node);
        (void)sim_heap_enter(sim_node_heap(clock->node));
        timer->fired(timer);
        (void)sim_heap_enter(NULL);
    }
    clock_plan(clock);
}

void sim_clock_init(struct sim_clock *clock, struct sim_world *world, struct sim_node *node)
{
    *clock = (struct sim_clock){.base = {&clock_ops_of_sim}, .world = world, .node = node};
    clock->timer_event = (struct sim_event){
        .fired = clock_fire, .node = node, .kind = SIM_EVENT_TIMER, .idle = true};
    clock->late_us_max = 200;
    sim_clock_forget(clock);
}

void sim_clock_boot(struct sim_clock *clock, uint64_t boot_us)
{
    clock->world_us = sim_world_now_us(clock->world);
    clock->boot_us = boot_us;
    sim_clock_forget(clock);
}

void sim_clock_forget(struct sim_clock *clock)
{
    list_init(&clock->timers);
    task_queue_init(&clock->tasks);
    sim_world_cancel(clock->world, &clock->timer_event);
}

void sim_clock_drift(struct sim_clock *clock, int64_t ppm)
{
    MUST(ppm > -MILLION / 10 - 1 && ppm < MILLION / 10 + 1);
    /* Both clocks go on from where they stand. */
    int64_t wall = (int64_t)clock_wall_ms_of_sim(&clock->base);
    uint64_t boot = clock_boot_us(clock);
    clock->world_us = sim_world_now_us(clock->world);
    clock->boot_us = boot;
    clock->drift_ppm = ppm;
    clock->wall_offset_ms += wall - (int64_t)clock_wall_ms_of_sim(&clock->base);
    clock_plan(clock);
}

bool sim_clock_run_task(struct sim_clock *clock)
{
    struct task *task = task_queue_take(&clock->tasks);
    if (task == NULL) return false;
    struct sim_heap *before = sim_heap_enter(sim_node_heap(clock->node));
    task->run(task);
    (void)sim_heap_enter(before);
    return true;
}

static size_t count_of(const struct list *list)
{
    size_t count = 0;
    for (struct list *at = list->next; at != list; at = at->next) count++;
    return count;
}

size_t sim_clock_left(const struct sim_clock *clock)
{
    return count_of(&clock->timers) + count_of(&clock->tasks.tasks) + count_of(&clock->tasks.late);
}
