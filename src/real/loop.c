/* SPDX-License-Identifier: Apache-2.0 */
/* A turn is one pass of libuv's loop: it polls and delivers events (streams, the timer descriptor,
 * finished work), then `after_poll` runs the deferred tasks until there are none. Whatever else may
 * defer a task, such as the callback of a closed handle or work done before the first turn, is
 * caught by `before_poll`: the loop never sleeps with a task in the queue.
 *
 * Timers are a heap behind one timerfd on CLOCK_BOOTTIME, which is set just before polling and only
 * when the earliest time moved closer. A timer that was stopped or moved away costs at most one
 * empty wake-up. */
#include "real/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/worker.h"

enum { LOOP_TIMERS_FIRST = 16 };

static struct loop *loop_of(struct clock *clock)
{
    return CONTAINER_OF(clock, struct loop, clock);
}

/* ---- Time ---- */

static uint64_t loop_now_us(struct clock *clock)
{
    (void)clock;
    struct timespec now;
    MUST(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t loop_wall_ms(struct clock *clock)
{
    (void)clock;
    struct timespec now;
    MUST(clock_gettime(CLOCK_REALTIME, &now) == 0);
    if (now.tv_sec < 0) return 0; /* someone has set it before 1970 */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- Timers ---- */

static bool timer_before(const struct timer_entry *a, const struct timer_entry *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void heap_place(struct loop *loop, size_t at, struct timer_entry entry)
{
    loop->heap[at] = entry;
    entry.timer->order = at;
}

static void heap_up(struct loop *loop, size_t at)
{
    struct timer_entry entry = loop->heap[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!timer_before(&entry, &loop->heap[parent])) break;
        heap_place(loop, at, loop->heap[parent]);
        at = parent;
    }
    heap_place(loop, at, entry);
}

static void heap_down(struct loop *loop, size_t at)
{
    struct timer_entry entry = loop->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= loop->timers) break;
        if (child + 1 < loop->timers && timer_before(&loop->heap[child + 1], &loop->heap[child]))
            child++;
        if (!timer_before(&loop->heap[child], &entry)) break;
        heap_place(loop, at, loop->heap[child]);
        at = child;
    }
    heap_place(loop, at, entry);
}

static void loop_timer_stop(struct clock *clock, struct timer *timer)
{
    struct loop *loop = loop_of(clock);
    if (!timer->armed) return;
    timer->armed = false;
    size_t at = (size_t)timer->order;
    MUST(at < loop->timers && loop->heap[at].timer == timer);
    loop->timers -= 1;
    if (at == loop->timers) return;
    heap_place(loop, at, loop->heap[loop->timers]);
    heap_up(loop, at);
    heap_down(loop, (size_t)loop->heap[at].timer->order);
}

static void loop_timer_start(struct clock *clock, struct timer *timer, uint64_t delay_us)
{
    struct loop *loop = loop_of(clock);
    loop_timer_stop(clock, timer);
    if (loop->timers == loop->timers_capacity) {
        size_t capacity = loop->timers_capacity > 0 ? 2 * loop->timers_capacity : LOOP_TIMERS_FIRST;
        loop->heap = memory_resize(loop->heap, capacity * sizeof(*loop->heap));
        loop->timers_capacity = capacity;
    }
    uint64_t now = loop_now_us(clock);
    timer->due_us = delay_us > UINT64_MAX / 2 - now ? UINT64_MAX / 2 : now + delay_us;
    timer->armed = true;
    size_t at = loop->timers++;
    heap_place(loop, at, (struct timer_entry){timer->due_us, loop->orders++, timer});
    heap_up(loop, at);
}

/* Fires what is due. A timer started meanwhile waits for its own turn, even with no delay. */
static void loop_fire(struct loop *loop)
{
    uint64_t now = loop_now_us(&loop->clock);
    uint64_t first_new = loop->orders;
    while (loop->timers > 0) {
        struct timer_entry top = loop->heap[0];
        if (top.due_us > now || top.order >= first_new) break;
        loop_timer_stop(&loop->clock, top.timer);
        top.timer->fired(top.timer);
    }
}

static void loop_arm(struct loop *loop)
{
    if (loop->timers == 0) return;
    uint64_t due = loop->heap[0].due_us;
    if (loop->armed_us != 0 && loop->armed_us <= due) return;
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(due / 1000000), .tv_nsec = (long)(due % 1000000) * 1000}};
    MUST(timerfd_settime(loop->timer_descriptor, TFD_TIMER_ABSTIME, &spec, NULL) == 0);
    loop->armed_us = due;
}

static void loop_on_time(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct loop *loop = CONTAINER_OF(poll, struct loop, timer_poll);
    uint64_t expirations;
    ssize_t got = read(loop->timer_descriptor, &expirations, sizeof(expirations));
    if (got != (ssize_t)sizeof(expirations)) return; /* set again since: not due yet */
    loop->armed_us = 0;
    loop_fire(loop);
}

/* ---- Deferred tasks ---- */

static void loop_defer(struct clock *clock, struct task *task)
{
    task_queue_add(&loop_of(clock)->deferred, task);
}

static void loop_cancel(struct clock *clock, struct task *task)
{
    (void)clock;
    task_queue_remove(task);
}

static void loop_drain(struct loop *loop)
{
    for (struct task *task; (task = task_queue_take(&loop->deferred)) != NULL;) task->run(task);
}

static void loop_before_poll(uv_prepare_t *prepare)
{
    struct loop *loop = CONTAINER_OF(prepare, struct loop, before_poll);
    loop_drain(loop);
    loop_arm(loop);
}

static void loop_after_poll(uv_check_t *check)
{
    loop_drain(CONTAINER_OF(check, struct loop, after_poll));
}

static const struct clock_ops loop_clock_ops = {
    .now_us = loop_now_us,
    .wall_ms = loop_wall_ms,
    .timer_start = loop_timer_start,
    .timer_stop = loop_timer_stop,
    .defer = loop_defer,
    .cancel = loop_cancel,
};

/* ---- Results of threads ---- */

/* A done() may stop any worker, also the one whose work it was: nothing is kept over the call. */
void loop_deliver(struct mail *mail)
{
    worker_collect(mail);
    for (struct list *node; (node = list_first(&mail->delivering)) != NULL;) {
        struct worker *worker = CONTAINER_OF(node, struct worker, delivering_node);
        struct list *item = list_first(&worker->delivering);
        if (item == NULL) {
            list_remove(node);
            continue;
        }
        list_remove(item);
        worker->done(worker, item);
    }
}

static void loop_on_mail(uv_async_t *async)
{
    loop_deliver(CONTAINER_OF(async, struct mail, wake));
}

/* ---- Life ---- */

enum err loop_init(struct loop *loop, struct why *why)
{
    memset(loop, 0, sizeof(*loop));
    loop->clock.ops = &loop_clock_ops;
    task_queue_init(&loop->deferred);
    list_init(&loop->mail.ready);
    list_init(&loop->mail.delivering);
    loop->timer_descriptor = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer_descriptor < 0)
        return why_fail(why, ERR_IO, "timerfd_create: %s", strerror(errno));
    int result = uv_loop_init(&loop->uv);
    if (result != 0) {
        (void)close(loop->timer_descriptor);
        return why_fail(why, ERR_IO, "event loop: %s", uv_strerror(result));
    }
    MUST(pthread_mutex_init(&loop->mail.lock, NULL) == 0);
    result = uv_async_init(&loop->uv, &loop->mail.wake, loop_on_mail);
    if (result == 0) result = uv_poll_init(&loop->uv, &loop->timer_poll, loop->timer_descriptor);
    if (result != 0) {
        if (loop->mail.wake.loop != NULL && !uv_is_closing((uv_handle_t *)&loop->mail.wake))
            uv_close((uv_handle_t *)&loop->mail.wake, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
        (void)uv_loop_close(&loop->uv);
        (void)close(loop->timer_descriptor);
        MUST(pthread_mutex_destroy(&loop->mail.lock) == 0);
        return why_fail(why, ERR_IO, "event loop: %s", uv_strerror(result));
    }
    MUST(uv_prepare_init(&loop->uv, &loop->before_poll) == 0);
    MUST(uv_check_init(&loop->uv, &loop->after_poll) == 0);
    MUST(uv_prepare_start(&loop->before_poll, loop_before_poll) == 0);
    MUST(uv_check_start(&loop->after_poll, loop_after_poll) == 0);
    MUST(uv_poll_start(&loop->timer_poll, UV_READABLE, loop_on_time) == 0);
    return ERR_OK;
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void loop_turn(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_ONCE);
}

void loop_release(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
    uv_close((uv_handle_t *)&loop->timer_poll, NULL);
    uv_close((uv_handle_t *)&loop->mail.wake, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    MUST(uv_loop_close(&loop->uv) == 0);
    (void)close(loop->timer_descriptor);
    MUST(pthread_mutex_destroy(&loop->mail.lock) == 0);
    memory_free(loop->heap);
}
