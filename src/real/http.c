/* SPDX-License-Identifier: Apache-2.0 */
/* One thread has all connections of web clients, so that a slow one, or many, cost the loop
 * nothing. A request goes to the loop as the work of a worker comes back from one: by a list under
 * a lock and a wake-up; the answer goes back the same way.
 *
 * The wake-up is a handle of its own and not the letter box of the workers: that one is also
 * emptied by those who wait for a worker, within a start for example, where nobody can answer yet.
 * The loop's first turn marks the end of the start; until then the thread answers (early()). One
 * request is handed over a turn: a crowd of scrapes delays the commands of clients by one page at a
 * time. */
#include "real/http.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/address.h"

enum {
    HTTP_BACKLOG = 128,
    HTTP_ACCEPT_PAUSE_US = 100 * 1000, /* after an error that will not go away by itself */
};

static struct http_real *real_of(struct http *http)
{
    return CONTAINER_OF(http, struct http_real, http);
}

static struct http_exchange *exchange_of(struct list *node)
{
    return CONTAINER_OF(node, struct http_exchange, node);
}

static void http_lock(struct http_real *real)
{
    MUST(pthread_mutex_lock(&real->lock) == 0);
}

static void http_unlock(struct http_real *real)
{
    MUST(pthread_mutex_unlock(&real->lock) == 0);
}

static void wake_thread(struct http_real *real)
{
    uint64_t one = 1;
    (void)!write(real->wake_thread, &one, sizeof(one)); /* it fails only while it is set already */
}

/* ---- On the loop ---- */

static void loop_asked(uv_async_t *async)
{
    struct http_real *real = CONTAINER_OF(async, struct http_real, wake_loop);
    if (real->listener == NULL) return;
    http_lock(real);
    real->turning = true;
    struct list *node = list_first(&real->waiting);
    if (node != NULL) list_remove(node);
    bool more = !list_empty(&real->waiting);
    http_unlock(real);
    if (more) MUST(uv_async_send(&real->wake_loop) == 0);
    if (node == NULL) return;
    list_append(&real->handed, node);
    real->listener->asked(real->listener, &exchange_of(node)->request);
}

static void http_real_answer(struct http *http, struct http_request *request)
{
    struct http_real *real = real_of(http);
    struct http_exchange *exchange = CONTAINER_OF(request, struct http_exchange, request);
    list_remove(&exchange->node);
    http_lock(real);
    list_append(&real->answered, &exchange->node);
    http_unlock(real);
    wake_thread(real);
}

/* ---- On the thread ---- */

static bool thread_asked(struct http_daemon_owner *owner, struct http_exchange *exchange)
{
    struct http_real *real = CONTAINER_OF(owner, struct http_real, owner);
    http_lock(real);
    bool turning = real->turning;
    if (turning) list_append(&real->waiting, &exchange->node);
    http_unlock(real);
    if (turning) MUST(uv_async_send(&real->wake_loop) == 0);
    else real->listener->early(&exchange->request);
    return turning;
}

/* What the loop has answered; false: it is time to stop. */
static bool thread_collect(struct http_real *real)
{
    struct list answered;
    list_init(&answered);
    http_lock(real);
    list_move_all(&answered, &real->answered);
    bool stopping = real->stopping;
    http_unlock(real);
    for (struct list *node; (node = list_first(&answered)) != NULL;) {
        list_remove(node);
        http_daemon_answer(&real->daemon, exchange_of(node));
    }
    return !stopping;
}

/* False: nobody can be accepted for a while. */
static bool thread_accept(struct http_real *real, int listening)
{
    while (!http_daemon_is_full(&real->daemon)) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer);
        int descriptor = accept4(listening, (struct sockaddr *)&peer, &size,
                                 SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor >= 0) {
            http_daemon_add(&real->daemon, descriptor, (const struct sockaddr *)&peer, size,
                            clock_now_us(&real->loop->clock));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
            return false;
        }
    }
    return true;
}

struct watched_files {
    struct pollfd files[2 + HTTP_LISTENERS_MAX];
    nfds_t count;
};

/* A new connection waits in its listener's queue while there are as many as there may be. */
static void thread_watch(const struct http_real *real, bool accepting, struct watched_files *out)
{
    out->count = 0;
    out->files[out->count++] = (struct pollfd){.fd = real->wake_thread, .events = POLLIN};
    out->files[out->count++] = (struct pollfd){.fd = real->daemon.descriptor, .events = POLLIN};
    if (!accepting || http_daemon_is_full(&real->daemon)) return;
    for (size_t i = 0; i < real->listening_count; i++)
        out->files[out->count++] = (struct pollfd){.fd = real->listening[i], .events = POLLIN};
}

static int poll_ms(uint64_t us)
{
    return us > (uint64_t)INT32_MAX * 1000 ? -1 : (int)((us + 999) / 1000);
}

static void *thread_main(void *argument)
{
    struct http_real *real = argument;
    (void)pthread_setname_np(pthread_self(), "http");
    struct watched_files watched;
    uint64_t wait_us = 0;
    bool accepting = true;
    while (thread_collect(real)) {
        if (!accepting && wait_us > HTTP_ACCEPT_PAUSE_US) wait_us = HTTP_ACCEPT_PAUSE_US;
        thread_watch(real, accepting, &watched);
        int ready = poll(watched.files, watched.count, poll_ms(wait_us));
        uint64_t rung;
        if (ready > 0 && watched.files[0].revents != 0)
            (void)!read(real->wake_thread, &rung, sizeof(rung));
        accepting = true;
        for (nfds_t i = 2; ready > 0 && i < watched.count; i++)
            if (watched.files[i].revents != 0)
                accepting = thread_accept(real, watched.files[i].fd) && accepting;
        (void)thread_collect(real);
        wait_us = http_daemon_run(&real->daemon, clock_now_us(&real->loop->clock));
    }
    http_daemon_close(&real->daemon);
    return NULL;
}

/* ---- Listening ---- */

static enum err listen_at(struct http_real *real, const char *text, struct why *why)
{
    struct address address;
    enum err err = address_parse(&address, text, why);
    if (err != ERR_OK) return err;
    if (address_is_unix(&address) || real->listening_count == HTTP_LISTENERS_MAX)
        return why_fail(why, ERR_CONFIG, "no address for HTTP, or too many: %s", text);
    int descriptor = socket(address.socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                            0);
    if (descriptor < 0) return why_fail(why, ERR_IO, "socket for %s: %s", text, strerror(errno));
    err = address_bind(&address, descriptor, why);
    if (err == ERR_OK && listen(descriptor, HTTP_BACKLOG) != 0)
        err = why_fail(why, errno == EADDRINUSE ? ERR_EXISTS : ERR_IO, "listen on %s: %s", text,
                       strerror(errno));
    if (err != ERR_OK) {
        (void)close(descriptor);
        return err;
    }
    address.size = sizeof(address.socket);
    (void)getsockname(descriptor, (struct sockaddr *)&address.socket, &address.size);
    char shown[NET_ADDRESS_TEXT_BYTES];
    address_format(&address, shown);
    trace_event(real->trace, TRACE_NOTICE, "http", "listening", "address=%s", shown);
    real->listening[real->listening_count++] = descriptor;
    return ERR_OK;
}

static void close_listening(struct http_real *real)
{
    for (size_t i = 0; i < real->listening_count; i++) (void)close(real->listening[i]);
    real->listening_count = 0;
}

/* With every signal blocked: they are the loop's. */
static enum err start_thread(struct http_real *real, struct why *why)
{
    sigset_t all, before;
    MUST(sigfillset(&all) == 0);
    MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int result = pthread_create(&real->thread, NULL, thread_main, real);
    MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return result == 0 ? ERR_OK : why_fail(why, ERR_IO, "thread for HTTP: %s", strerror(result));
}

static enum err http_real_listen(struct http *http, struct http_listener *listener,
                                 const struct http_address *addresses, size_t count,
                                 struct why *why)
{
    struct http_real *real = real_of(http);
    MUST(real->listener == NULL);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = listen_at(real, addresses[i].text, why);
        if (addresses[i].optional) err = ERR_OK;
    }
    if (err == ERR_OK) err = http_daemon_open(&real->daemon, &real->owner, why);
    if (err != ERR_OK) {
        close_listening(real);
        return err;
    }
    real->turning = real->stopping = false;
    real->listener = listener;
    err = start_thread(real, why);
    if (err != ERR_OK) {
        real->listener = NULL;
        http_daemon_close(&real->daemon);
        close_listening(real);
        return err;
    }
    MUST(uv_async_send(&real->wake_loop) == 0); /* heard in the loop's first turn */
    return ERR_OK;
}

static void free_all(struct list *exchanges)
{
    for (struct list *node; (node = list_first(exchanges)) != NULL;) {
        list_remove(node);
        http_exchange_free(exchange_of(node));
    }
}

/* The thread has ended: its clients have been told, and what remains is ours alone. */
static void http_real_unlisten(struct http *http, struct http_listener *listener)
{
    struct http_real *real = real_of(http);
    if (real->listener == NULL) return;
    MUST(real->listener == listener);
    http_lock(real);
    real->stopping = true;
    http_unlock(real);
    wake_thread(real);
    MUST(pthread_join(real->thread, NULL) == 0);
    close_listening(real);
    real->listener = NULL;
    free_all(&real->waiting);
    free_all(&real->handed);
    free_all(&real->answered);
}

/* ---- Life ---- */

enum err http_real_init(struct http_real *real, struct loop *loop, struct trace *trace,
                        struct why *why)
{
    static const struct http_ops ops = {
        .listen = http_real_listen,
        .unlisten = http_real_unlisten,
        .answer = http_real_answer,
    };
    memset(real, 0, sizeof(*real));
    real->http.ops = &ops;
    real->loop = loop;
    real->trace = trace;
    real->owner.asked = thread_asked;
    list_init(&real->handed);
    list_init(&real->waiting);
    list_init(&real->answered);
    real->wake_thread = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (real->wake_thread < 0) return why_fail(why, ERR_IO, "eventfd: %s", strerror(errno));
    int result = uv_async_init(&loop->uv, &real->wake_loop, loop_asked);
    if (result != 0) {
        (void)close(real->wake_thread);
        return why_fail(why, ERR_IO, "event loop: %s", uv_strerror(result));
    }
    MUST(pthread_mutex_init(&real->lock, NULL) == 0);
    return ERR_OK;
}

void http_real_release(struct http_real *real)
{
    if (real->listener != NULL) http_real_unlisten(&real->http, real->listener);
    uv_close((uv_handle_t *)&real->wake_loop, NULL);
    (void)close(real->wake_thread);
    MUST(pthread_mutex_destroy(&real->lock) == 0);
}
