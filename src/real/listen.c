/* SPDX-License-Identifier: Apache-2.0 */
/* Listening, accepting, and the net as a whole.
 *
 * A unix socket's file gets its permission bits before listen(): until then the kernel refuses
 * every connection, so nobody slips in under wider bits. A file that is in the way is removed only
 * if it is a socket and a connection to it is refused, which says that its process is gone.
 *
 * Descriptors are shared with log and store, which must never be without, so there is a largest
 * number of streams, also of those that only linger: above it a connection is closed at once.
 *
 * When descriptors run out all the same a connection cannot be accepted, and it would keep the loop
 * spinning. One descriptor is held in reserve: it is closed, the connection accepted and closed at
 * once, and the reserve opened again. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/net.h"

enum {
    NET_BACKLOG = 511, /* until another is set */
    NET_ACCEPTS_PER_EVENT = 64,
    NET_ACCEPT_PAUSE_US = 100000,    /* after an error that will not go away by itself */
    NET_REFUSED_TRACE_US = 10000000, /* one line for all refused connections of this time */
};

struct listener_real {
    uv_poll_t poll;
    struct net_real *net;
    struct listener *listener;
    struct list node; /* in net->listeners */
    int descriptor;
    struct address address;
    struct timer resume;
    dev_t device; /* of the unix socket's file, to remove no other */
    ino_t inode;
};

/* ---- Accepting ---- */

static void listener_on_connection(uv_poll_t *poll, int status, int events);

static void listener_resume(struct timer *timer)
{
    struct listener_real *real = CONTAINER_OF(timer, struct listener_real, resume);
    (void)uv_poll_start(&real->poll, UV_READABLE, listener_on_connection);
}

static void net_trace_refused(struct net_real *net, int number)
{
    uint64_t now = clock_now_us(&net->loop->clock);
    if (net->refused_traced_us != 0 && now - net->refused_traced_us < NET_REFUSED_TRACE_US) return;
    net->refused_traced_us = now;
    trace_event(net->trace, TRACE_WARNING, "net", "connection_refused", "reason=\"%s\"",
                strerror(number));
}

/* No descriptor is left: takes one connection off the queue and closes it. False: that failed
 * too. */
static bool listener_refuse_one(struct listener_real *real)
{
    struct net_real *net = real->net;
    if (net->reserve_descriptor < 0) return false;
    (void)close(net->reserve_descriptor);
    int descriptor = accept4(real->descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor >= 0) (void)close(descriptor);
    net->reserve_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return descriptor >= 0;
}

static void listener_on_connection(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct listener_real *real = CONTAINER_OF(poll, struct listener_real, poll);
    for (int i = 0; i < NET_ACCEPTS_PER_EVENT && !uv_is_closing((uv_handle_t *)poll); i++) {
        int descriptor = accept4(real->descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor >= 0 && real->net->handles >= real->net->handles_max) {
            net_trace_refused(real->net, EMFILE);
            (void)close(descriptor);
            continue;
        }
        if (descriptor >= 0) {
            struct stream *stream = stream_begin(real->net, descriptor, &real->address);
            if (stream != NULL)
                stream_owned(stream, real->listener->accepted(real->listener, stream));
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
        int number = errno;
        net_trace_refused(real->net, number);
        if ((number == EMFILE || number == ENFILE) && listener_refuse_one(real)) continue;
        (void)uv_poll_stop(&real->poll);
        clock_timer_start(&real->net->loop->clock, &real->resume, NET_ACCEPT_PAUSE_US);
        return;
    }
}

/* ---- Binding ---- */

static bool socket_is_stale(const struct address *address)
{
    struct stat facts;
    if (lstat(address_path(address), &facts) != 0 || !S_ISSOCK(facts.st_mode)) return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return false;
    int result = connect(probe, (const struct sockaddr *)&address->socket, address->size);
    bool refused = result != 0 && errno == ECONNREFUSED;
    (void)close(probe);
    return refused;
}

static enum err bind_unix(struct listener_real *real, unsigned mode, struct why *why)
{
    const char *path = address_path(&real->address);
    const struct sockaddr *name = (const struct sockaddr *)&real->address.socket;
    /* The bits that the new file begins with are those of the descriptor, less the umask. */
    (void)fchmod(real->descriptor, mode != 0 ? mode & 0777 : 0777);
    int result = bind(real->descriptor, name, real->address.size);
    if (result != 0 && errno == EADDRINUSE) {
        if (!socket_is_stale(&real->address)) {
            return why_fail(why, ERR_EXISTS, "%s: in use by another process, or no socket of ours",
                            path);
        }
        if (unlink(path) != 0 && errno != ENOENT)
            return why_fail(why, ERR_IO, "remove stale socket %s: %s", path, strerror(errno));
        result = bind(real->descriptor, name, real->address.size);
    }
    if (result != 0) return why_fail(why, ERR_IO, "bind %s: %s", path, strerror(errno));
    struct stat facts;
    if ((mode != 0 && chmod(path, mode & 0777) != 0) || lstat(path, &facts) != 0) {
        enum err err = why_fail(why, ERR_IO, "permissions of %s: %s", path, strerror(errno));
        (void)unlink(path);
        return err;
    }
    real->device = facts.st_dev;
    real->inode = facts.st_ino;
    return ERR_OK;
}

static void listener_remove_file(const struct listener_real *real)
{
    struct stat facts;
    if (!address_is_unix(&real->address) || real->inode == 0) return;
    const char *path = address_path(&real->address);
    if (lstat(path, &facts) != 0 || facts.st_dev != real->device || facts.st_ino != real->inode)
        return;
    (void)unlink(path);
}

static enum err listener_open(struct listener_real *real, const char *text, unsigned mode,
                              struct why *why)
{
    enum err err = address_parse(&real->address, text, why);
    if (err != ERR_OK) return err;
    real->descriptor = socket(real->address.socket.ss_family,
                              SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (real->descriptor < 0)
        return why_fail(why, ERR_IO, "socket for %s: %s", text, strerror(errno));
    err = address_is_unix(&real->address) ? bind_unix(real, mode, why)
                                          : address_bind(&real->address, real->descriptor, why);
    if (err == ERR_OK && listen(real->descriptor, (int)real->net->backlog) != 0)
        err = why_fail(why, errno == EADDRINUSE ? ERR_EXISTS : ERR_IO, "listen on %s: %s", text,
                       strerror(errno));
    int result = err == ERR_OK ? uv_poll_init(&real->net->loop->uv, &real->poll, real->descriptor)
                               : 0;
    if (result != 0) err = why_fail(why, ERR_IO, "listen on %s: %s", text, uv_strerror(result));
    if (err != ERR_OK) {
        listener_remove_file(real);
        (void)close(real->descriptor);
        return err;
    }
    if (!address_is_unix(&real->address)) {
        real->address.size = sizeof(real->address.socket);
        (void)getsockname(real->descriptor, (struct sockaddr *)&real->address.socket,
                          &real->address.size);
    }
    return ERR_OK;
}

enum err net_real_listen(struct net *base, struct listener *listener, const char *address,
                         unsigned mode, struct why *why)
{
    struct net_real *net = CONTAINER_OF(base, struct net_real, net);
    struct listener_real *real = memory_zeroed(1, sizeof(*real));
    real->net = net;
    real->listener = listener;
    real->resume.fired = listener_resume;
    listener->world = NULL;
    enum err err = listener_open(real, address, mode, why);
    if (err != ERR_OK) {
        memory_free(real);
        return err;
    }
    net->handles += 1;
    list_append(&net->listeners, &real->node);
    MUST(uv_poll_start(&real->poll, UV_READABLE, listener_on_connection) == 0);
    listener->world = real;
    char text[NET_ADDRESS_TEXT_BYTES];
    address_format(&real->address, text);
    trace_event(net->trace, TRACE_NOTICE, "net", "listening", "address=%s", text);
    return ERR_OK;
}

static void listener_on_closed(uv_handle_t *handle)
{
    struct listener_real *real = CONTAINER_OF((uv_poll_t *)handle, struct listener_real, poll);
    real->net->handles -= 1;
    memory_free(real);
}

static void listener_shut(struct listener_real *real)
{
    list_remove(&real->node);
    clock_timer_stop(&real->net->loop->clock, &real->resume);
    uv_close((uv_handle_t *)&real->poll, listener_on_closed);
    listener_remove_file(real);
    (void)close(real->descriptor);
}

void net_real_unlisten(struct net *base, struct listener *listener)
{
    (void)base;
    struct listener_real *real = listener->world;
    if (real == NULL) return;
    listener->world = NULL;
    listener_shut(real);
}

void listener_real_address(const struct listener *listener, char out[NET_ADDRESS_TEXT_BYTES])
{
    const struct listener_real *real = listener->world;
    address_format(&real->address, out);
}

/* ---- The net ---- */

static const struct net_ops net_real_ops = {
    .listen = net_real_listen,
    .unlisten = net_real_unlisten,
    .dial = net_real_dial,
    .cancel = net_real_cancel,
    .send = stream_real_send,
    .unsent = stream_real_unsent,
    .pause = stream_real_pause,
    .hand_on = stream_real_hand_on,
    .has_ended = stream_real_has_ended,
    .close = stream_real_close,
    .peer = stream_real_peer,
    .local = stream_real_local,
    .is_loopback = stream_real_is_loopback,
};

enum err net_real_init(struct net_real *net, struct loop *loop, unsigned keepalive_seconds,
                       struct trace *trace, struct why *why)
{
    memset(net, 0, sizeof(*net));
    net->net.ops = &net_real_ops;
    net->loop = loop;
    net->trace = trace;
    net->keepalive_seconds = keepalive_seconds;
    net->backlog = NET_BACKLOG;
    net->handles_max = UINT64_MAX;
    list_init(&net->listeners);
    list_init(&net->dials);
    list_init(&net->streams);
    list_init(&net->lingering);
    net->reserve_descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (net->reserve_descriptor < 0) return why_fail(why, ERR_IO, "/dev/null: %s", strerror(errno));
    net->receive = memory_alloc(NET_RECEIVE_BYTES);
    return ERR_OK;
}

void net_real_shut(struct net_real *net)
{
    for (struct list *node; (node = list_first(&net->listeners)) != NULL;)
        listener_shut(CONTAINER_OF(node, struct listener_real, node));
    for (struct list *node; (node = list_first(&net->dials)) != NULL;) dial_drop_node(node);
    for (struct list *node; (node = list_first(&net->streams)) != NULL;) stream_finish_node(node);
}

void net_real_release(struct net_real *net)
{
    MUST(net->handles == 0);
    (void)close(net->reserve_descriptor);
    memory_free(net->receive);
}
