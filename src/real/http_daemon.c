/* SPDX-License-Identifier: Apache-2.0 */
/* The only calls of libmicrohttpd, which runs on our descriptors and our thread: it has no listener
 * and no thread of its own.
 *
 * A connection carries one request ("Connection: close") and has one bound for all of it: reading,
 * waiting and sending together. So a client that is slow in any way holds its place for no longer,
 * and no second clock is needed. At its end the socket is shut down, which the library takes for
 * the end of the client.
 *
 *   HEAD READ --body read and dropped--> READ --asked()--> WAITING --answered--> SENT
 *     READ --too long, or the owner is late with another one--> SENT (414, 503)
 *     WAITING --HTTP_OWNER_US_MAX--> SENT (503); the owner still has the exchange: it is `late`
 * While an exchange is late nobody is asked: everyone is told 503 at once. So the owner never has
 * more exchanges than there may be connections.
 *
 * A waiting connection is suspended. Resumed, the library calls handle() once more for it. */
#include "real/http_daemon.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

enum { HTTP_RUNS_AT_CLOSE = 4 };

static const char told_late[] = "the server does not answer\n";
static const char told_stopping[] = "the server is stopping\n";

struct http_link {
    struct list node; /* in daemon->links, unless it has been cut */
    struct MHD_Connection *connection;
    uint64_t due_us;
};

/* ---- Exchanges ---- */

static struct http_exchange *exchange_open(const char *method, const char *path)
{
    struct http_exchange *exchange = memory_zeroed(1, sizeof(*exchange));
    (void)snprintf(exchange->method, sizeof(exchange->method), "%s", method);
    (void)snprintf(exchange->path, sizeof(exchange->path), "%s", path);
    exchange->request.method = exchange->method;
    exchange->request.path = exchange->path;
    buffer_init(&exchange->request.answer.body);
    list_init(&exchange->node);
    list_init(&exchange->asked_node);
    exchange->with_client = true;
    return exchange;
}

void http_exchange_free(struct http_exchange *exchange)
{
    MUST(!exchange->with_client);
    buffer_release(&exchange->request.answer.body);
    memory_free(exchange);
}

static void exchange_drop(struct http_exchange *exchange)
{
    if (!exchange->with_owner && !exchange->with_client) http_exchange_free(exchange);
}

/* The client waits no longer for the owner, which still has the exchange. */
static void exchange_give_up(struct http_daemon *daemon, struct http_exchange *exchange,
                             const char *instead)
{
    exchange->instead = instead;
    list_remove(&exchange->asked_node);
    daemon->late++;
    MHD_resume_connection(exchange->connection);
}

void http_daemon_answer(struct http_daemon *daemon, struct http_exchange *exchange)
{
    MUST(exchange->with_owner);
    exchange->with_owner = false;
    if (exchange->instead != NULL) {
        MUST(daemon->late > 0);
        daemon->late--;
        exchange_drop(exchange);
        return;
    }
    list_remove(&exchange->asked_node);
    MHD_resume_connection(exchange->connection);
}

/* ---- Sending ---- */

static enum MHD_Result send_answer(struct MHD_Connection *connection,
                                   const struct http_answer *answer)
{
    MUST(answer->status >= 200 && answer->status <= 599);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->body.size, answer->body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return MHD_NO; /* no memory: the connection is closed */
    bool good = MHD_add_response_header(response, "Content-Type", answer->type) == MHD_YES &&
                MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
                MHD_add_response_header(response, "Connection", "close") == MHD_YES &&
                (answer->allow == NULL ||
                 MHD_add_response_header(response, "Allow", answer->allow) == MHD_YES);
    enum MHD_Result result = MHD_NO;
    if (good) result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status,
                                 const char *text)
{
    struct http_answer answer = {.status = status, .type = "text/plain; charset=utf-8"};
    buffer_init(&answer.body);
    buffer_append_text(&answer.body, text);
    enum MHD_Result result = send_answer(connection, &answer);
    buffer_release(&answer.body);
    return result;
}

/* ---- Reading ---- */

static enum MHD_Result ask(struct http_daemon *daemon, struct MHD_Connection *connection,
                           struct http_exchange *exchange)
{
    if (daemon->closing) return send_text(connection, 503, told_stopping);
    if (daemon->late > 0) return send_text(connection, 503, told_late);
    exchange->connection = connection;
    exchange->with_owner = true;
    if (!daemon->owner->asked(daemon->owner, exchange)) {
        exchange->with_owner = false;
        return send_answer(connection, &exchange->request.answer);
    }
    exchange->due_us = daemon->now_us + HTTP_OWNER_US_MAX;
    list_append(&daemon->asked, &exchange->asked_node);
    MHD_suspend_connection(connection);
    return MHD_YES;
}

/* For each request once with its head, once with each piece of its body, once at its end, and after
 * each resume. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **own)
{
    (void)data;
    struct http_daemon *daemon = context;
    struct http_exchange *exchange = *own;
    if (exchange == NULL) {
        *own = exchange_open(method, path);
        return MHD_YES;
    }
    if (*size > 0) {
        exchange->body_bytes += *size;
        *size = 0;
        return exchange->body_bytes > HTTP_BODY_BYTES_MAX ? MHD_NO : MHD_YES;
    }
    if (exchange->instead != NULL) return send_text(connection, 503, exchange->instead);
    if (exchange->read) return send_answer(connection, &exchange->request.answer);
    exchange->read = true;
    /* Not left to MHD_OPTION_STRICT_FOR_CLIENT: the library sends that answer's head twice. */
    if (strcmp(version, MHD_HTTP_VERSION_1_1) == 0 &&
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host") == NULL)
        return send_text(connection, 400, "there is no Host\n");
    if (strlen(path) > HTTP_PATH_BYTES_MAX || strlen(method) > HTTP_METHOD_BYTES_MAX)
        return send_text(connection, 414, "the request line is too long\n");
    return ask(daemon, connection, exchange);
}

static void request_ended(void *context, struct MHD_Connection *connection, void **own,
                          enum MHD_RequestTerminationCode how)
{
    (void)context;
    (void)connection;
    (void)how;
    struct http_exchange *exchange = *own;
    if (exchange == NULL) return;
    *own = NULL;
    exchange->with_client = false;
    exchange_drop(exchange);
}

/* Paths are what was sent: two spellings of one path are two paths. */
static size_t decode_nothing(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* ---- Connections ---- */

static void link_changed(void *context, struct MHD_Connection *connection, void **own,
                         enum MHD_ConnectionNotificationCode what)
{
    struct http_daemon *daemon = context;
    struct http_link *link = *own;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        link = memory_zeroed(1, sizeof(*link));
        link->connection = connection;
        link->due_us = daemon->now_us + HTTP_CONNECTION_US_MAX;
        list_append(&daemon->links, &link->node);
        daemon->count++;
        *own = link;
        return;
    }
    list_remove(&link->node);
    daemon->count--;
    memory_free(link);
    *own = NULL;
}

static void link_cut(struct http_link *link)
{
    list_remove(&link->node);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        link->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL) (void)shutdown(info->connect_fd, SHUT_RDWR);
}

void http_daemon_add(struct http_daemon *daemon, int descriptor, const struct sockaddr *peer,
                     socklen_t size, uint64_t now_us)
{
    MUST(!http_daemon_is_full(daemon));
    daemon->now_us = now_us;
    (void)MHD_add_connection(daemon->mhd, descriptor, peer, size); /* it closes what it refuses */
}

/* ---- Running ---- */

static uint64_t least_wait(uint64_t wait, uint64_t due_us, uint64_t now_us)
{
    uint64_t left = due_us > now_us ? due_us - now_us : 0;
    return left < wait ? left : wait;
}

uint64_t http_daemon_run(struct http_daemon *daemon, uint64_t now_us)
{
    daemon->now_us = now_us;
    struct list *first;
    while ((first = list_first(&daemon->asked)) != NULL) {
        struct http_exchange *exchange = CONTAINER_OF(first, struct http_exchange, asked_node);
        if (exchange->due_us > now_us) break;
        exchange_give_up(daemon, exchange, told_late);
    }
    while ((first = list_first(&daemon->links)) != NULL) {
        struct http_link *link = CONTAINER_OF(first, struct http_link, node);
        if (link->due_us > now_us) break;
        link_cut(link);
    }
    (void)MHD_run(daemon->mhd);
    uint64_t wait = UINT64_MAX;
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(daemon->mhd, &ms) == MHD_YES && ms < UINT32_MAX) wait = ms * 1000;
    if ((first = list_first(&daemon->asked)) != NULL)
        wait = least_wait(wait, CONTAINER_OF(first, struct http_exchange, asked_node)->due_us,
                          now_us);
    if ((first = list_first(&daemon->links)) != NULL)
        wait = least_wait(wait, CONTAINER_OF(first, struct http_link, node)->due_us, now_us);
    return wait;
}

enum err http_daemon_open(struct http_daemon *daemon, struct http_daemon_owner *owner,
                          struct why *why)
{
    *daemon = (struct http_daemon){.owner = owner};
    list_init(&daemon->links);
    list_init(&daemon->asked);
    daemon->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle,
        daemon, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES_MAX,
        MHD_OPTION_NOTIFY_COMPLETED, request_ended, daemon, MHD_OPTION_NOTIFY_CONNECTION,
        link_changed, daemon, MHD_OPTION_UNESCAPE_CALLBACK, decode_nothing, NULL, MHD_OPTION_END);
    if (daemon->mhd == NULL) return why_fail(why, ERR_IO, "libmicrohttpd does not start");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon->mhd, MHD_DAEMON_INFO_EPOLL_FD);
    MUST(info != NULL && info->epoll_fd >= 0);
    daemon->descriptor = info->epoll_fd;
    return ERR_OK;
}

void http_daemon_close(struct http_daemon *daemon)
{
    daemon->closing = true;
    struct list *first;
    while ((first = list_first(&daemon->asked)) != NULL)
        exchange_give_up(daemon, CONTAINER_OF(first, struct http_exchange, asked_node),
                         told_stopping);
    for (int i = 0; i < HTTP_RUNS_AT_CLOSE; i++) (void)MHD_run(daemon->mhd);
    MHD_stop_daemon(daemon->mhd);
    MUST(daemon->count == 0);
}
