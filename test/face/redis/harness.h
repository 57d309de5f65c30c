/* SPDX-License-Identifier: Apache-2.0 */
/* harness: a Redis face between a fake net and a fake service; the test is both ends. */
#ifndef TEST_FACE_REDIS_HARNESS_H
#define TEST_FACE_REDIS_HARNESS_H

#include "test/test.h"

#include <stdlib.h>
#include <string.h>

#include "face/redis/redis.h"
#include "test/face/redis/fake_clock.h"
#include "test/face/redis/fake_disk.h"
#include "test/face/redis/fake_net.h"
#include "test/face/redis/fake_service.h"

struct harness {
    struct fake_clock clock;
    struct fake_net net;
    struct fake_service service;
    struct fake_disk disk;
    struct config *config;
    struct redis_host host;
    struct entropy entropy;
    unsigned shutdowns;
    struct redis_face *face;
};

static void harness_shutdown(struct redis_host *host)
{
    CONTAINER_OF(host, struct harness, host)->shutdowns++;
}

static void harness_entropy(struct entropy *entropy, void *out, size_t size)
{
    (void)entropy;
    memset(out, 0, size);
}

/* `options`: the text of a configuration file. */
static TEST_UNUSED struct harness *harness_open(const char *options)
{
    struct harness *h = memory_zeroed(1, sizeof *h);
    struct why why = {""};
    fake_clock_init(&h->clock);
    fake_net_init(&h->net);
    fake_service_init(&h->service);
    fake_disk_init(&h->disk);
    h->config = config_open();
    assert_int_equal(config_read_text(h->config, bytes_text(options), &why), ERR_OK);
    h->host = (struct redis_host){
        .shutdown = harness_shutdown, .version = "0.0.1", .process_id = 42};
    static const struct entropy_ops entropy_ops = {.fill = harness_entropy};
    h->entropy.ops = &entropy_ops;
    struct redis_options face = {.clock = &h->clock.base,
                                 .net = &h->net.base,
                                 .disk = &h->disk.base,
                                 .entropy = &h->entropy,
                                 .config = h->config,
                                 .service = &h->service.base,
                                 .host = &h->host};
    redis_open(&h->face, &face);
    assert_int_equal(redis_listen(h->face, &why), ERR_OK);
    return h;
}

static TEST_UNUSED void harness_close(struct harness *h)
{
    redis_close(h->face);
    fake_clock_turn(&h->clock);
    assert_true(list_empty(&h->clock.timers)); /* nothing of the face is left behind */
    assert_int_equal(h->service.watches, 0);
    assert_int_equal(h->net.listening, 0);
    assert_true(list_empty(&h->service.calls));
    assert_true(list_empty(&h->service.awaits));
    assert_null(h->service.steer);
    config_close(h->config);
    fake_net_release(&h->net);
    fake_disk_release(&h->disk);
    buffer_release(&h->service.log);
    fake_feed_release(&h->service.feed);
    memory_free(h);
}

static TEST_UNUSED struct stream *harness_connect(struct harness *h)
{
    struct stream *stream = fake_connect(&h->net, false);
    assert_non_null(stream->owner);
    return stream;
}

static void TEST_UNUSED harness_turn(struct harness *h)
{
    fake_clock_turn(&h->clock);
}

/* Bytes arrive and the turn ends; what arrives after a close is lost. */
static TEST_UNUSED void harness_send_bytes(struct harness *h, struct stream *stream,
                                           struct bytes bytes)
{
    if (stream->owner != NULL) stream->owner->events->received(stream->owner, bytes);
    fake_clock_turn(&h->clock);
}

/* `lines`: inline commands, each with its line end. */
static void TEST_UNUSED harness_send(struct harness *h, struct stream *stream, const char *lines)
{
    harness_send_bytes(h, stream, bytes_text(lines));
}

/* What the peer has got since the last time is exactly this. */
static void TEST_UNUSED expect_got(struct stream *stream, const char *wanted)
{
    buffer_append_byte(&stream->out, 0);
    assert_string_equal((const char *)stream->out.data, wanted);
    buffer_clear(&stream->out);
}

/* What was submitted since the last time. */
static void TEST_UNUSED expect_submitted(struct harness *h, const char *wanted)
{
    buffer_append_byte(&h->service.log, 0);
    assert_string_equal((const char *)h->service.log.data, wanted);
    buffer_clear(&h->service.log);
}

/* The oldest call in flight ends; an answered read or write answers `text` as a status. */
static void TEST_UNUSED harness_end(struct harness *h, enum call_end end, const char *text)
{
    struct list *first = list_first(&h->service.calls);
    assert_non_null(first);
    struct call *call = CONTAINER_OF(first, struct call, node);
    list_remove(first);
    if (text != NULL) call->reply->ops->simple(call->reply, text);
    call->mark.lsn.at++;
    call->done(call, end);
    fake_clock_turn(&h->clock);
}

static void TEST_UNUSED harness_answer(struct harness *h, const char *text)
{
    harness_end(h, CALL_ANSWERED, text);
}

static void TEST_UNUSED harness_hang_up(struct harness *h, struct stream *stream)
{
    stream->owner->events->ended(stream->owner);
    fake_clock_turn(&h->clock);
}

#endif
