/* SPDX-License-Identifier: Apache-2.0 */
/* http: the http seam: a thread with the connections (real/http_daemon.h), and the hand-over of
 * requests to the loop and of answers back. */
#ifndef REAL_HTTP_H
#define REAL_HTTP_H

#include "base/trace.h"
#include "real/http_daemon.h"
#include "real/loop.h"

enum {
    HTTP_LISTENERS_MAX = 16,
    HTTP_FILES_MAX = HTTP_CONNECTIONS_MAX + 8, /* open at a time, beside listeners */
};

struct http_real {
    struct http http;
    struct loop *loop;
    struct trace *trace;
    struct http_listener *listener; /* NULL: nothing listens, and there is no thread */
    uv_async_t wake_loop;
    struct list handed; /* the loop's: exchanges that the listener has */

    pthread_t thread;
    int wake_thread; /* an eventfd */
    int listening[HTTP_LISTENERS_MAX];
    size_t listening_count;
    struct http_daemon_owner owner; /* this and the next: the thread's */
    struct http_daemon daemon;

    pthread_mutex_t lock;
    struct list waiting;  /* under the lock: exchanges for the loop */
    struct list answered; /* under the lock: and back */
    bool turning;         /* under the lock: the loop has begun to turn */
    bool stopping;        /* under the lock */
};

/* On failure nothing stays open. */
MUST_USE enum err http_real_init(struct http_real *real, struct loop *loop, struct trace *trace,
                                 struct why *why);
/* Stops listening too. The loop has to let go of a handle afterwards: loop_release. */
void http_real_release(struct http_real *real);

#endif
