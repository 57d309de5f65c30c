/* SPDX-License-Identifier: Apache-2.0 */
/* clock: a node's clocks, timers and deferred tasks. Its clocks run at their own pace against the
 * world's time, and the wall clock jumps when told. Timers fire a little late, as drawn. */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include "seam/clock.h"
#include "sim/event.h"

struct sim_world;

struct sim_clock {
    struct clock base;
    struct sim_world *world;
    struct sim_node *node;
    struct list timers;      /* by due_us, then order; in the node's memory */
    struct task_queue tasks; /* in the node's memory */
    uint64_t timer_order;
    struct sim_event timer_event; /* for the first timer */
    uint64_t world_us, boot_us;   /* a moment in both times; later ones follow by drift_ppm */
    int64_t drift_ppm, wall_offset_ms;
    uint64_t late_us_max; /* how late a timer may fire */
};

void sim_clock_init(struct sim_clock *clock, struct sim_world *world, struct sim_node *node);
/* Boottime starts anew at `boot_us`; no timers, no tasks. */
void sim_clock_boot(struct sim_clock *clock, uint64_t boot_us);
/* Forgets timers and tasks without touching them: the node's memory is about to go. */
void sim_clock_forget(struct sim_clock *clock);
void sim_clock_drift(struct sim_clock *clock, int64_t ppm);
/* Runs the first deferred task, inside the node's heap. False: there is none. */
bool sim_clock_run_task(struct sim_clock *clock);
size_t sim_clock_left(const struct sim_clock *clock); /* timers and tasks that are still held */

#endif
