/* SPDX-License-Identifier: Apache-2.0 */
/* worker: a queue of work for helper threads. An item is a list node inside its owner's struct; it
 * belongs to the queue from worker_submit until done(). */
#ifndef REAL_WORKER_H
#define REAL_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"
#include "real/loop.h"

enum { WORKER_THREADS_MAX = 4 };

struct worker {
    void (*work)(struct worker *worker, struct list *item); /* on a thread of the worker */
    void (*done)(struct worker *worker, struct list *item); /* on the loop */
    const char *name;     /* of its threads, at most 15 characters */
    unsigned threads_max; /* started when there is work for them */

    struct mail *mail;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list queue;         /* under lock */
    unsigned queued;           /* under lock: its length */
    unsigned threads, waiting; /* under lock: started; of them idle */
    bool stopping;             /* under lock */
    pthread_t ids[WORKER_THREADS_MAX];
    struct list finished;        /* under the mail's lock */
    struct list ready_node;      /* under the mail's lock: in mail->ready */
    struct list delivering;      /* the loop's */
    struct list delivering_node; /* the loop's: in mail->delivering */
};

/* The first four fields are set by the caller. `mail` is borrowed until worker_release. */
void worker_init(struct worker *worker, struct mail *mail);
void worker_submit(struct worker *worker, struct list *item);
/* Waits for what the threads are doing now and drops all other work; no done() is called any
 * more. */
void worker_release(struct worker *worker);
/* Moves what has been finished to the loop's side. */
void worker_collect(struct mail *mail);

#endif
