/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's life:
 *
 *   OPEN --close()----------------------------------------------> CLOSED   libuv's until it lets go
 *     `--close(flush), not all has arrived--> LINGER --the peer's end, or 1 s--^
 *
 * OPEN has an owner, who hears received(), drained() and ended(); after close() nobody hears
 * anything. A failed send ends the stream too, but the owner hears of it from a deferred task,
 * never from inside its own send().
 *
 * LINGER sends what is unsent, then its own end (shutdown), then reads and drops until the peer
 * ends as well. Closing a socket that has unread bytes, or gets some later, makes the kernel reset
 * the connection and drop what the peer has not confirmed: the last reply could be lost.
 *
 * Sending: first one direct write. What the peer does not take is copied into `waiting`; while
 * libuv writes `sending`, `waiting` grows, and the two change places when it is done. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/net.h"

enum stream_phase { STREAM_OPEN, STREAM_LINGER, STREAM_CLOSED };

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_write_t write;
    struct net_real *net;
    struct stream_owner *owner; /* while OPEN and accepted */
    enum stream_phase phase;
    bool writing; /* libuv has `sending` */
    bool broken;  /* a send failed: nothing goes out any more */
    bool ended;   /* the peer's end was seen */
    bool paused;
    bool told; /* ended() was called */
    struct buffer sending, waiting;
    struct task tell_ended;
    struct timer linger;
    struct list node; /* in net->streams or net->lingering */
    struct address local;
};

static struct stream *stream_of(uv_handle_t *handle)
{
    return handle->data;
}

static int stream_descriptor(const struct stream *stream)
{
    uv_os_fd_t descriptor = -1;
    return uv_fileno(&stream->uv.handle, &descriptor) == 0 ? descriptor : -1;
}

/* ---- Ending ---- */

static void stream_on_closed(uv_handle_t *handle)
{
    struct stream *stream = stream_of(handle);
    stream->net->handles -= 1;
    buffer_release(&stream->sending);
    buffer_release(&stream->waiting);
    memory_free(stream);
}

static void stream_finish(struct stream *stream)
{
    if (stream->phase == STREAM_CLOSED) return;
    stream->phase = STREAM_CLOSED;
    stream->owner = NULL;
    list_remove(&stream->node);
    clock_cancel(&stream->net->loop->clock, &stream->tell_ended);
    clock_timer_stop(&stream->net->loop->clock, &stream->linger);
    uv_close(&stream->uv.handle, stream_on_closed);
}

void stream_finish_node(struct list *node)
{
    stream_finish(CONTAINER_OF(node, struct stream, node));
}

static void stream_tell_ended(struct stream *stream)
{
    if (stream->phase == STREAM_LINGER) stream_finish(stream);
    if (stream->owner == NULL || stream->told) return;
    stream->told = true;
    stream->owner->events->ended(stream->owner);
}

static void stream_tell_ended_task(struct task *task)
{
    stream_tell_ended(CONTAINER_OF(task, struct stream, tell_ended));
}

static void stream_linger_over(struct timer *timer)
{
    stream_finish(CONTAINER_OF(timer, struct stream, linger));
}

/* ---- Receiving ---- */

static void stream_on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    buffer->base = stream_of(handle)->net->receive;
    buffer->len = NET_RECEIVE_BYTES;
}

static void stream_on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *buffer)
{
    struct stream *stream = stream_of((uv_handle_t *)handle);
    if (got == 0) return;
    if (got > 0) {
        if (stream->owner != NULL)
            stream->owner->events->received(stream->owner, bytes_of(buffer->base, (size_t)got));
        return;
    }
    (void)uv_read_stop(handle);
    stream->ended = true;
    if (stream->phase == STREAM_LINGER && stream->writing)
        return; /* a half-closed peer still reads */
    stream_tell_ended(stream);
}

static void stream_read(struct stream *stream, bool on)
{
    if (stream->ended) return;
    if (on) (void)uv_read_start(&stream->uv.stream, stream_on_buffer, stream_on_read);
    else (void)uv_read_stop(&stream->uv.stream);
}

/* ---- Sending ---- */

/* All is sent: says so to the peer and waits for its end. */
static void stream_shut(struct stream *stream)
{
    int descriptor = stream_descriptor(stream);
    if (stream->ended || descriptor < 0 || shutdown(descriptor, SHUT_WR) != 0)
        stream_finish(stream);
}

static void stream_write(struct stream *stream);

static void stream_on_written(uv_write_t *request, int status)
{
    struct stream *stream = CONTAINER_OF(request, struct stream, write);
    stream->writing = false;
    buffer_clear(&stream->sending);
    if (stream->phase == STREAM_CLOSED) return;
    if (status < 0) {
        stream->broken = true;
        buffer_release(&stream->waiting);
        stream_tell_ended(stream);
        return;
    }
    if (stream->waiting.size > 0) {
        stream_write(stream);
        return;
    }
    buffer_shrink(&stream->sending, NET_KEPT_BYTES);
    buffer_shrink(&stream->waiting, NET_KEPT_BYTES);
    if (stream->phase == STREAM_LINGER) stream_shut(stream);
    else if (stream->owner != NULL) stream->owner->events->drained(stream->owner);
}

/* A failed send: whoever called must not hear of it before its call returns. */
static void stream_break(struct stream *stream)
{
    stream->broken = true;
    buffer_release(&stream->waiting);
    clock_defer(&stream->net->loop->clock, &stream->tell_ended);
}

static void stream_write(struct stream *stream)
{
    MUST(!stream->writing && stream->sending.size == 0);
    struct buffer next = stream->waiting;
    stream->waiting = stream->sending;
    stream->sending = next;
    uv_buf_t part = {.base = (char *)stream->sending.data, .len = stream->sending.size};
    int result = uv_write(&stream->write, &stream->uv.stream, &part, 1, stream_on_written);
    if (result == 0) {
        stream->writing = true;
    } else {
        buffer_clear(&stream->sending);
        stream_break(stream);
    }
}

void stream_real_send(struct stream *stream, struct bytes bytes)
{
    MUST(stream->phase == STREAM_OPEN);
    if (stream->broken || bytes.size == 0) return;
    if (!stream->writing) {
        /* libuv only reads from the buffer, its type just does not say so. */
        uv_buf_t part = {.base = (char *)(uintptr_t)bytes.data, .len = bytes.size};
        int sent = uv_try_write(&stream->uv.stream, &part, 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            stream_break(stream);
            return;
        }
        size_t taken = sent > 0 ? (size_t)sent : 0;
        if (taken == bytes.size) return;
        bytes.data += taken;
        bytes.size -= taken;
    }
    buffer_append(&stream->waiting, bytes);
    if (!stream->writing) stream_write(stream);
}

size_t stream_real_unsent(const struct stream *stream)
{
    size_t in_flight = stream->writing ? uv_stream_get_write_queue_size(&stream->uv.stream) : 0;
    return in_flight + stream->waiting.size;
}

void stream_real_pause(struct stream *stream, bool paused)
{
    MUST(stream->phase == STREAM_OPEN);
    stream->paused = paused;
    if (stream->owner != NULL) stream_read(stream, !paused);
}

void stream_real_hand_on(struct stream *stream, struct stream_owner *owner)
{
    MUST(stream->owner != NULL);
    stream->owner = owner;
}

bool stream_real_has_ended(const struct stream *stream)
{
    struct pollfd socket = {.fd = stream_descriptor(stream), .events = POLLRDHUP};
    if (stream->ended || stream->broken) return true;
    return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Whether closing the socket now could reset the connection before the peer has all of it: there
 * is something from it that nobody read, or it has not confirmed all yet and may still say more. */
static bool stream_is_busy(const struct stream *stream)
{
    int unread = 0, unconfirmed = 0;
    int descriptor = stream_descriptor(stream);
    if (descriptor < 0 || stream->ended) return false;
    if (ioctl(descriptor, FIONREAD, &unread) == 0 && unread > 0) return true;
    return ioctl(descriptor, SIOCOUTQ, &unconfirmed) == 0 && unconfirmed > 0;
}

void stream_real_close(struct stream *stream, bool flush)
{
    MUST(stream->phase == STREAM_OPEN);
    stream->owner = NULL;
    bool waits = flush && !stream->broken && (stream->writing || stream_is_busy(stream));
    if (!waits) {
        stream_finish(stream);
        return;
    }
    stream->phase = STREAM_LINGER;
    list_remove(&stream->node);
    list_append(&stream->net->lingering, &stream->node);
    clock_timer_start(&stream->net->loop->clock, &stream->linger, NET_LINGER_US);
    stream_read(stream, true);
    if (!stream->writing) stream_shut(stream);
}

/* ---- Names ---- */

void stream_real_peer(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    struct address peer = {.size = sizeof(peer.socket)};
    int descriptor = stream_descriptor(stream);
    if (address_is_unix(&stream->local) || descriptor < 0 ||
        getpeername(descriptor, (struct sockaddr *)&peer.socket, &peer.size) != 0)
        peer = stream->local; /* the other end of a unix socket has no name of its own */
    address_format(&peer, out);
}

void stream_real_local(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    struct address local = {.size = sizeof(local.socket)};
    int descriptor = stream_descriptor(stream);
    if (address_is_unix(&stream->local) || descriptor < 0 ||
        getsockname(descriptor, (struct sockaddr *)&local.socket, &local.size) != 0)
        local = stream->local;
    address_format(&local, out);
}

bool stream_real_is_loopback(const struct stream *stream)
{
    struct address peer = {.size = sizeof(peer.socket)};
    if (address_is_unix(&stream->local)) return true;
    int descriptor = stream_descriptor(stream);
    return descriptor >= 0 &&
           getpeername(descriptor, (struct sockaddr *)&peer.socket, &peer.size) == 0 &&
           address_is_loopback(&peer);
}

/* ---- Beginning ---- */

static void stream_tune(const struct net_real *net, int descriptor)
{
    int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (net->keepalive_seconds == 0) return;
    int idle = net->keepalive_seconds > 32767
                   ? 32767
                   : (int)net->keepalive_seconds; /* the kernel's bound */
    int interval = idle / 3 > 0 ? idle / 3 : 1;
    int probes = 3;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

struct stream *stream_begin(struct net_real *net, int descriptor, const struct address *local)
{
    struct stream *stream = memory_zeroed(1, sizeof(*stream));
    stream->net = net;
    stream->local = *local;
    stream->tell_ended.run = stream_tell_ended_task;
    stream->linger.fired = stream_linger_over;
    buffer_init(&stream->sending);
    buffer_init(&stream->waiting);
    int result;
    if (address_is_unix(local)) {
        MUST(uv_pipe_init(&net->loop->uv, &stream->uv.pipe, 0) == 0);
        result = uv_pipe_open(&stream->uv.pipe, descriptor);
    } else {
        stream_tune(net, descriptor);
        MUST(uv_tcp_init(&net->loop->uv, &stream->uv.tcp) == 0);
        result = uv_tcp_open(&stream->uv.tcp, descriptor);
    }
    if (result != 0) (void)close(descriptor);
    stream->uv.handle.data = stream;
    net->handles += 1;
    list_append(&net->streams, &stream->node);
    if (result == 0) return stream;
    stream_finish(stream);
    return NULL;
}

void stream_owned(struct stream *stream, struct stream_owner *owner)
{
    if (stream->phase != STREAM_OPEN) return; /* closed already by who was offered it */
    if (owner == NULL) {
        stream_real_close(stream, true);
        return;
    }
    stream->owner = owner;
    if (!stream->paused) stream_read(stream, true);
}
