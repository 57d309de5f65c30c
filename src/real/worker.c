/* SPDX-License-Identifier: Apache-2.0 */
/* Threads are started as work arrives and stay. They block every signal, so that signals are the
 * loop's. The first result in an empty letter box wakes the loop; those behind it ride along. */
#include "real/worker.h"

#include <signal.h>

#include "base/must.h"

static void worker_post(struct worker *worker, struct list *item)
{
    struct mail *mail = worker->mail;
    MUST(pthread_mutex_lock(&mail->lock) == 0);
    bool wake = list_empty(&mail->ready);
    if (list_empty(&worker->finished)) list_append(&mail->ready, &worker->ready_node);
    list_append(&worker->finished, item);
    MUST(pthread_mutex_unlock(&mail->lock) == 0);
    if (wake) MUST(uv_async_send(&mail->wake) == 0);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    (void)pthread_setname_np(pthread_self(), worker->name);
    MUST(pthread_mutex_lock(&worker->lock) == 0);
    for (;;) {
        struct list *item = list_first(&worker->queue);
        if (worker->stopping) break;
        if (item == NULL) {
            worker->waiting += 1;
            MUST(pthread_cond_wait(&worker->more, &worker->lock) == 0);
            worker->waiting -= 1;
            continue;
        }
        list_remove(item);
        worker->queued -= 1;
        MUST(pthread_mutex_unlock(&worker->lock) == 0);
        worker->work(worker, item);
        worker_post(worker, item);
        MUST(pthread_mutex_lock(&worker->lock) == 0);
    }
    MUST(pthread_mutex_unlock(&worker->lock) == 0);
    return NULL;
}

void worker_init(struct worker *worker, struct mail *mail)
{
    MUST(worker->work != NULL && worker->done != NULL && worker->name != NULL);
    MUST(worker->threads_max > 0 && worker->threads_max <= WORKER_THREADS_MAX);
    worker->mail = mail;
    MUST(pthread_mutex_init(&worker->lock, NULL) == 0);
    MUST(pthread_cond_init(&worker->more, NULL) == 0);
    list_init(&worker->queue);
    list_init(&worker->finished);
    list_init(&worker->ready_node);
    list_init(&worker->delivering);
    list_init(&worker->delivering_node);
    worker->threads = worker->waiting = worker->queued = 0;
    worker->stopping = false;
}

/* Called with the lock held. Without its first thread a worker is of no use: that is as fatal as no
 * memory. */
static void worker_start_thread(struct worker *worker)
{
    sigset_t all, before;
    MUST(sigfillset(&all) == 0);
    MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int result = pthread_create(&worker->ids[worker->threads], NULL, worker_main, worker);
    MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    MUST(result == 0 || worker->threads > 0);
    if (result == 0) worker->threads += 1;
}

void worker_submit(struct worker *worker, struct list *item)
{
    MUST(pthread_mutex_lock(&worker->lock) == 0);
    list_append(&worker->queue, item);
    worker->queued += 1;
    if (worker->queued > worker->waiting && worker->threads < worker->threads_max)
        worker_start_thread(worker);
    MUST(pthread_cond_signal(&worker->more) == 0);
    MUST(pthread_mutex_unlock(&worker->lock) == 0);
}

void worker_release(struct worker *worker)
{
    MUST(pthread_mutex_lock(&worker->lock) == 0);
    worker->stopping = true;
    unsigned threads = worker->threads;
    MUST(pthread_cond_broadcast(&worker->more) == 0);
    MUST(pthread_mutex_unlock(&worker->lock) == 0);
    for (unsigned i = 0; i < threads; i++) MUST(pthread_join(worker->ids[i], NULL) == 0);
    MUST(pthread_mutex_lock(&worker->mail->lock) == 0);
    list_remove(&worker->ready_node);
    list_init(&worker->finished);
    MUST(pthread_mutex_unlock(&worker->mail->lock) == 0);
    list_remove(&worker->delivering_node);
    list_init(&worker->delivering);
    MUST(pthread_cond_destroy(&worker->more) == 0);
    MUST(pthread_mutex_destroy(&worker->lock) == 0);
}

void worker_collect(struct mail *mail)
{
    MUST(pthread_mutex_lock(&mail->lock) == 0);
    for (struct list *node; (node = list_first(&mail->ready)) != NULL;) {
        struct worker *worker = CONTAINER_OF(node, struct worker, ready_node);
        list_remove(node);
        list_move_all(&worker->delivering, &worker->finished);
        list_remove(&worker->delivering_node);
        list_append(&mail->delivering, &worker->delivering_node);
    }
    MUST(pthread_mutex_unlock(&mail->lock) == 0);
}
