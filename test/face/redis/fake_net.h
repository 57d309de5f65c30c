/* SPDX-License-Identifier: Apache-2.0 */
/* fake_net: streams whose other end is the test. */
#ifndef TEST_FACE_REDIS_FAKE_NET_H
#define TEST_FACE_REDIS_FAKE_NET_H

#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "seam/net.h"
#include "test/face/redis/fake_clock.h"

struct stream {
    struct stream_owner *owner; /* NULL: closed, or refused */
    struct list link;           /* in fake_net.streams */
    struct buffer out;          /* what the peer has got; the test takes it away */
    struct buffer waiting;      /* what it has not taken */
    size_t window;              /* how much more it takes */
    bool closed, flushed, paused, elsewhere;
    bool gone; /* the peer's end stands behind what a pause keeps unread */
    unsigned number, sends;
};

struct fake_net {
    struct net base;
    struct listener *listener; /* the last one */
    char address[NET_ADDRESS_TEXT_BYTES];
    struct list streams;
    unsigned count, listening;
};

static enum err fake_listen(struct net *net, struct listener *listener, const char *address,
                            unsigned mode, struct why *why)
{
    struct fake_net *fake = CONTAINER_OF(net, struct fake_net, base);
    (void)mode;
    (void)why;
    fake->listener = listener;
    fake->listening++;
    snprintf(fake->address, sizeof fake->address, "%s", address);
    return ERR_OK;
}

static void fake_unlisten(struct net *net, struct listener *listener)
{
    (void)listener;
    CONTAINER_OF(net, struct fake_net, base)->listening--;
}

static void fake_stream_move(struct stream *stream)
{
    size_t size = stream->waiting.size < stream->window ? stream->waiting.size : stream->window;
    buffer_append(&stream->out, bytes_of(stream->waiting.data, size));
    buffer_consume(&stream->waiting, size);
    stream->window -= size;
}

static void fake_send(struct stream *stream, struct bytes bytes)
{
    stream->sends++;
    MUST(!stream->closed);
    buffer_append(&stream->waiting, bytes);
    fake_stream_move(stream);
}

static size_t fake_unsent(const struct stream *stream)
{
    MUST(!stream->closed);
    return stream->waiting.size;
}

static void fake_pause(struct stream *stream, bool paused)
{
    MUST(!stream->closed && stream->paused != paused);
    stream->paused = paused;
}

static bool fake_has_ended(const struct stream *stream)
{
    MUST(!stream->closed);
    return stream->gone;
}

static void fake_stream_close(struct stream *stream, bool flush)
{
    MUST(!stream->closed);
    stream->closed = true;
    stream->flushed = flush;
    stream->owner = NULL;
    if (flush) buffer_append(&stream->out, buffer_bytes(&stream->waiting));
}

static void fake_peer(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    snprintf(out, NET_ADDRESS_TEXT_BYTES, "%s:%u", stream->elsewhere ? "192.0.2.7" : "127.0.0.1",
             1000 + stream->number);
}

static void fake_local(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    (void)stream;
    snprintf(out, NET_ADDRESS_TEXT_BYTES, "127.0.0.1:7379");
}

static bool fake_is_loopback(const struct stream *stream)
{
    return !stream->elsewhere;
}

static void TEST_UNUSED fake_net_init(struct fake_net *fake)
{
    static const struct net_ops ops = {.listen = fake_listen,
                                       .unlisten = fake_unlisten,
                                       .send = fake_send,
                                       .unsent = fake_unsent,
                                       .pause = fake_pause,
                                       .has_ended = fake_has_ended,
                                       .close = fake_stream_close,
                                       .peer = fake_peer,
                                       .local = fake_local,
                                       .is_loopback = fake_is_loopback};
    *fake = (struct fake_net){.base.ops = &ops};
    list_init(&fake->streams);
}

/* A connection; its owner is NULL when the face refused it. The fake's until fake_net_release. */
static TEST_UNUSED struct stream *fake_connect(struct fake_net *fake, bool elsewhere)
{
    struct stream *stream = memory_zeroed(1, sizeof *stream);
    buffer_init(&stream->out);
    buffer_init(&stream->waiting);
    stream->window = SIZE_MAX;
    stream->elsewhere = elsewhere;
    stream->number = ++fake->count;
    list_append(&fake->streams, &stream->link);
    stream->owner = fake->listener->accepted(fake->listener, stream);
    if (stream->owner == NULL) fake_stream_close(stream, true);
    return stream;
}

static void TEST_UNUSED fake_net_release(struct fake_net *fake)
{
    struct list *first;
    while ((first = list_first(&fake->streams)) != NULL) {
        struct stream *stream = CONTAINER_OF(first, struct stream, link);
        list_remove(first);
        buffer_release(&stream->out);
        buffer_release(&stream->waiting);
        memory_free(stream);
    }
}

#endif
