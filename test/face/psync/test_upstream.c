/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to a primary: when it is made, and made again. */
#include "test/test.h"

#include "face/psync/upstream.h"
#include "test/face/psync/fake_intake.h"
#include "test/face/redis/fake_clock.h"

enum { MILLISECOND = 1000, SECOND = 1000 * MILLISECOND };

struct scene {
    struct fake_clock clock;
    struct net net;
    struct fake_intake intake;
    struct service service;
    struct psync_host host;
    struct psync_options options;
    struct upstream upstream;
    unsigned dials, cancels, closes;
    struct dial *dial;          /* under way */
    struct stream_owner *owner; /* of the stream; NULL: there is none */
    bool paused;
    struct buffer sent;
};

static struct scene *scene_now; /* a stream has no room of its own */

static enum err dial(struct net *net, struct dial *dialled, const char *address,
                     uint64_t timeout_us, struct why *why)
{
    struct scene *scene = CONTAINER_OF(net, struct scene, net);
    (void)timeout_us;
    (void)why;
    assert_string_equal(address, "10.0.0.1:6379");
    assert_null(scene->dial);
    scene->dial = dialled;
    scene->dials++;
    return ERR_OK;
}

static void cancel(struct net *net, struct dial *dialled)
{
    struct scene *scene = CONTAINER_OF(net, struct scene, net);
    if (scene->dial == dialled) scene->dial = NULL;
    scene->cancels++;
}

static void send_bytes(struct stream *stream, struct bytes bytes)
{
    (void)stream;
    buffer_append(&scene_now->sent, bytes);
}

static void pause_stream(struct stream *stream, bool paused)
{
    (void)stream;
    scene_now->paused = paused;
}

static void close_stream(struct stream *stream, bool flush)
{
    (void)stream;
    (void)flush;
    assert_non_null(scene_now->owner);
    scene_now->owner = NULL;
    scene_now->closes++;
}

static struct intake *intake_of(struct service *service)
{
    return &CONTAINER_OF(service, struct scene, service)->intake.base;
}

static void scene_open(struct scene *scene)
{
    static const struct net_ops net_ops = {.dial = dial,
                                           .cancel = cancel,
                                           .send = send_bytes,
                                           .pause = pause_stream,
                                           .close = close_stream};
    static const struct service_ops service_ops = {.intake = intake_of};
    *scene = (struct scene){.net.ops = &net_ops, .service.ops = &service_ops};
    scene_now = scene;
    fake_clock_init(&scene->clock);
    fake_intake_open(&scene->intake);
    buffer_init(&scene->sent);
    scene->options = (struct psync_options){.clock = &scene->clock.base,
                                            .net = &scene->net,
                                            .service = &scene->service,
                                            .host = &scene->host};
    upstream_open(&scene->upstream, &scene->options, 60 * (uint64_t)SECOND);
    scene->intake.listener->begin(scene->intake.listener);
    fake_clock_pass(&scene->clock, 0);
}

static void scene_close(struct scene *scene)
{
    upstream_close(&scene->upstream);
    assert_null(scene->intake.listener);
    assert_true(list_empty(&scene->clock.timers));
    buffer_release(&scene->sent);
    fake_intake_close(&scene->intake);
}

static void answer(struct scene *scene)
{
    struct dial *dialled = scene->dial;
    assert_non_null(dialled);
    scene->dial = NULL;
    scene->owner = dialled->connected(dialled, NULL);
}

static void refuse(struct scene *scene)
{
    struct dial *dialled = scene->dial;
    struct why why;
    assert_non_null(dialled);
    scene->dial = NULL;
    (void)why_fail(&why, ERR_IO, "nobody is there");
    dialled->failed(dialled, DIAL_REFUSED, &why);
}

static void hear(struct scene *scene, const char *text)
{
    assert_non_null(scene->owner);
    scene->owner->events->received(scene->owner, bytes_text(text));
}

static struct intake_status status_of(struct scene *scene)
{
    struct intake_status status;
    scene->intake.listener->status(scene->intake.listener, &status);
    return status;
}

/* How long until it dials again. */
static uint64_t pause_of(struct scene *scene)
{
    uint64_t from = scene->clock.us;
    while (scene->dial == NULL && scene->clock.us < from + 20 * (uint64_t)SECOND)
        fake_clock_pass(&scene->clock, 10 * MILLISECOND);
    return (scene->clock.us - from) / MILLISECOND;
}

#define HELLO "+PONG\r\n+OK\r\n+OK\r\n"

TEST(upstream, a_primary_that_is_not_there_is_asked_again_and_again_more_and_more_slowly)
{
    static const uint64_t pauses[] = {100, 200, 400, 800, 1600, 2000, 2000};
    struct scene scene;
    scene_open(&scene);
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        assert_string_equal(status_of(&scene).link, "connecting");
        refuse(&scene);
        assert_string_equal(status_of(&scene).link, "connect");
        assert_string_equal(status_of(&scene).why.text, "nobody is there");
        assert_int_equal(pause_of(&scene), pauses[i]);
    }
    scene_close(&scene);
    assert_null(scene.dial);
}

TEST(upstream, one_that_was_followed_is_asked_again_at_once)
{
    struct scene scene;
    scene_open(&scene);
    scene.intake.appended = (struct followed){.known = true, .offset = 100};
    memset(scene.intake.appended.name, 'a', FOLLOWED_NAME_BYTES);
    scene.intake.applied = scene.intake.appended;
    for (unsigned i = 0; i < 5; i++) {
        answer(&scene);
        assert_string_equal(status_of(&scene).link, "handshake");
        hear(&scene, HELLO "+CONTINUE\r\n");
        assert_string_equal(status_of(&scene).link, "connected");
        assert_int_equal(status_of(&scene).down_us, 0);
        scene.owner->events->ended(scene.owner);
        assert_int_equal(scene.closes, i + 1);
        assert_int_equal(pause_of(&scene), 100);
        assert_true(status_of(&scene).down_us > 0);
    }
    scene_close(&scene);
}

TEST(upstream, what_it_refuses_is_asked_again_late_and_what_cannot_be_done_here_never)
{
    struct scene scene;
    scene_open(&scene);
    answer(&scene);
    hear(&scene, HELLO "-ERR no\r\n");
    assert_int_equal(pause_of(&scene), 5000);
    scene.intake.appended = (struct followed){.known = true, .offset = 100};
    memset(scene.intake.appended.name, 'a', FOLLOWED_NAME_BYTES);
    answer(&scene);
    hear(&scene, HELLO "+CONTINUE\r\n*1\r\n$4\r\nXADD\r\n");
    assert_true(status_of(&scene).stopped);
    assert_int_equal(pause_of(&scene), 20000);
    assert_null(scene.dial);
    scene.intake.listener->end(scene.intake.listener);
    scene.intake.listener->begin(scene.intake.listener); /* it is told again */
    fake_clock_pass(&scene.clock, 0);
    assert_non_null(scene.dial);
    assert_false(status_of(&scene).stopped);
    scene_close(&scene);
}

TEST(upstream, a_silent_primary_is_let_go_of)
{
    struct scene scene;
    scene_open(&scene);
    answer(&scene);
    for (unsigned i = 0; i < 60; i++) fake_clock_pass(&scene.clock, SECOND);
    assert_non_null(scene.owner);
    for (unsigned i = 0; i < 3; i++) fake_clock_pass(&scene.clock, SECOND);
    assert_int_equal(scene.closes, 1);
    scene_close(&scene);
}

TEST(upstream, nobody_is_dialled_while_what_came_is_being_installed)
{
    static const char head[] = HELLO "+FULLRESYNC aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 700\r\n";
    static const char dump[] = "$18\r\nREDIS0010\xff\0\0\0\0\0\0\0\0";
    for (unsigned fails = 0; fails < 2; fails++) {
        struct scene scene;
        struct why why = {"no"};
        scene_open(&scene);
        answer(&scene);
        hear(&scene, head);
        scene.owner->events->received(scene.owner, bytes_of(dump, sizeof dump - 1));
        assert_true(scene.intake.installs && scene.paused);
        assert_true(status_of(&scene).syncing);
        scene.owner->events->ended(scene.owner);
        assert_int_equal(pause_of(&scene), 20000);
        assert_null(scene.dial);
        fake_intake_finish(&scene.intake);
        scene.intake.listener->installed(scene.intake.listener, fails == 0 ? ERR_OK : ERR_IO, &why);
        assert_int_equal(pause_of(&scene), 100);
        scene_close(&scene);
    }
}

TEST(upstream, behind_an_install_the_link_goes_on)
{
    static const char head[] = HELLO "+FULLRESYNC aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 700\r\n";
    static const char dump[] = "$18\r\nREDIS0010\xff\0\0\0\0\0\0\0\0";
    struct scene scene;
    struct why why = {""};
    scene_open(&scene);
    answer(&scene);
    hear(&scene, head);
    scene.owner->events->received(scene.owner, bytes_of(dump, sizeof dump - 1));
    fake_intake_finish(&scene.intake);
    buffer_clear(&scene.sent);
    scene.intake.listener->installed(scene.intake.listener, ERR_OK, &why);
    assert_false(scene.paused);
    assert_string_equal(status_of(&scene).link, "connected");
    assert_true(scene.sent.size > 0); /* it says at once what it has */
    scene.intake.full = true;
    hear(&scene, "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
    assert_true(scene.paused);
    scene.intake.full = false;
    scene.intake.listener->moved(scene.intake.listener);
    assert_false(scene.paused);
    assert_int_equal(scene.intake.appended.offset, 720);
    scene_close(&scene);
}
