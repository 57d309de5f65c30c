/* SPDX-License-Identifier: Apache-2.0 */
/* loop: libuv's loop with our clock on it, and the letter box through which threads hand results to
 * it. */
#ifndef REAL_LOOP_H
#define REAL_LOOP_H

#include <pthread.h>
#include <uv.h>

#include "base/err.h"
#include "base/must.h"
#include "seam/clock.h"

/* Workers (real/worker.h) that have finished something; the only part of a loop that threads
 * touch. */
struct mail {
    pthread_mutex_t lock;
    struct list ready;      /* under the lock: workers with finished work */
    struct list delivering; /* the loop's: workers whose work is being handed out */
    uv_async_t wake;
};

struct timer_entry {
    uint64_t due_us, order;
    struct timer *timer;
};

struct loop {
    struct clock clock;
    uv_loop_t uv;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_poll_t timer_poll;
    int timer_descriptor;     /* a timerfd on CLOCK_BOOTTIME */
    uint64_t armed_us;        /* what it is set to; 0: nothing */
    struct timer_entry *heap; /* by due_us, then order; timer->order holds the index */
    size_t timers, timers_capacity;
    uint64_t orders; /* given so far */
    struct task_queue deferred;
    struct mail mail;
};

/* On failure nothing stays open. */
MUST_USE enum err loop_init(struct loop *loop, struct why *why);
/* Every handle of others must be closing or closed. Deferred tasks and timers are forgotten. */
void loop_release(struct loop *loop);
void loop_run(struct loop *loop); /* until loop_stop; the turn of the stop is finished */
void loop_stop(struct loop *loop);
void loop_turn(struct loop *loop); /* one turn, which may wait */
/* Hands out what workers have finished; called by the loop, and by those who wait for a worker. */
void loop_deliver(struct mail *mail);

#endif
