/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: to whom, in which form, and never inside a reply. */
#include "face/redis/client.h"
#include "test/face/redis/harness.h"

#include <time.h>

#include "seam/notify.h"

TEST(face_redis_pubsub, a_message_goes_to_channels_and_then_to_patterns)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "SUBSCRIBE foo\r\nPSUBSCRIBE f* g*\r\nSUBSCRIBE foo\r\n");
    expect_got(a, "*3\r\n$9\r\nsubscribe\r\n$3\r\nfoo\r\n:1\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\nf*"
                  "\r\n:2\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\ng*\r\n:3\r\n*3\r\n$9\r\nsubscribe\r\n"
                  "$3\r\nfoo\r\n:3\r\n");
    harness_send(h, b, "PUBLISH foo hi\r\nPUBLISH bar hi\r\nSPUBLISH foo hi\r\n");
    expect_got(b, ":2\r\n:0\r\n:0\r\n");
    expect_got(a, "*3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$2\r\nhi\r\n*4\r\n$8\r\npmessage\r\n$2\r\nf*"
                  "\r\n$3\r\nfoo\r\n$2\r\nhi\r\n");
    harness_send(h, b, "PUBSUB NUMSUB foo bar\r\nPUBSUB NUMPAT\r\nPUBSUB CHANNELS f*\r\n");
    expect_got(b, "*4\r\n$3\r\nfoo\r\n:1\r\n$3\r\nbar\r\n:0\r\n:2\r\n*1\r\n$3\r\nfoo\r\n");
    harness_close(h);
}

TEST(face_redis_pubsub, in_resp2_a_listener_may_only_listen)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SSUBSCRIBE s\r\nGET a\r\nPUBSUB NUMPAT\r\nPING\r\nPING x\r\n");
    expect_got(a,
               "*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n"
               "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
               "RESET are allowed in this context\r\n"
               "-ERR Can't execute 'pubsub|numpat': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING "
               "/ QUIT / RESET are allowed in this context\r\n"
               "*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
    harness_send(h, a, "SUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nPING\r\n");
    expect_got(a, "*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n"
                  "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_pubsub, in_resp3_messages_are_pushes_and_everything_is_allowed)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    h->service.at_once = true;
    harness_send(h, a, "HELLO 3\r\n");
    buffer_clear(&a->out);
    harness_send(h, a, "SUBSCRIBE c\r\nGET a\r\nPING\r\n");
    expect_got(a, ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n+READ\r\n+PONG\r\n");
    harness_send(h, b, "PUBLISH c hi\r\n");
    expect_got(a, ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n");
    harness_close(h);
}

TEST(face_redis_pubsub, who_publishes_to_itself_gets_the_answer_first)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "HELLO 3\r\nSUBSCRIBE c\r\n");
    buffer_clear(&a->out);
    harness_send(h, a, "PUBLISH c 1\r\nPUBLISH c 2\r\nPING\r\n");
    expect_got(a, ":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n"
                  ":1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n2\r\n+PONG\r\n");
    harness_send(h, a, "MULTI\r\nPING\r\nPUBLISH c 3\r\nPING\r\nEXEC\r\nPING\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+PONG\r\n:1\r\n+PONG\r\n"
                  ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n3\r\n+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_pubsub, subscribing_inside_a_transaction_answers_in_its_place)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nSUBSCRIBE c\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n*1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    harness_send(h, harness_connect(h), "PUBLISH c hi\r\n");
    expect_got(a, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n");
    harness_close(h);
}

TEST(face_redis_pubsub, messages_keep_their_order_between_now_and_later)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "SUBSCRIBE c\r\n");
    buffer_clear(&a->out);
    harness_send(h, b, "MULTI\r\nPUBLISH c 1\r\nEXEC\r\nPUBLISH c 2\r\n");
    expect_got(a, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n"
                  "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n2\r\n");
    harness_close(h);
}

TEST(face_redis_pubsub, a_listener_that_does_not_read_is_closed_and_the_others_are_served)
{
    struct harness *h = harness_open("client-output-buffer-limit pubsub 1m 0 0");
    struct stream *a = harness_connect(h), *b = harness_connect(h), *c = harness_connect(h);
    harness_send(h, a, "SUBSCRIBE c\r\n");
    harness_send(h, b, "SUBSCRIBE c\r\n");
    a->window = 0;
    struct buffer line;
    buffer_init(&line);
    buffer_append_text(&line, "PUBLISH c ");
    for (int i = 0; i < 60000; i++) buffer_append_byte(&line, 'x');
    buffer_append_text(&line, "\r\n");
    for (int i = 0; i < 20; i++) harness_send_bytes(h, c, buffer_bytes(&line));
    buffer_release(&line);
    assert_true(a->closed);
    assert_false(b->closed);
    assert_true(b->out.size > 20 * 60000);
    harness_close(h);
}

TEST(face_redis_pubsub, reset_ends_every_subscription)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "SUBSCRIBE c\r\nPSUBSCRIBE *\r\nSSUBSCRIBE s\r\nRESET\r\n");
    buffer_clear(&a->out);
    harness_send(h, b, "PUBLISH c 1\r\nSPUBLISH s 1\r\nPUBSUB NUMPAT\r\nPUBSUB SHARDCHANNELS\r\n");
    expect_got(b, ":0\r\n:0\r\n:0\r\n*0\r\n");
    expect_got(a, "");
    harness_close(h);
}

/* The face's own view of the client. */
static const struct client *inside(const struct stream *stream)
{
    assert_non_null(stream->owner);
    return CONTAINER_OF(stream->owner, struct client, owner);
}

TEST(face_redis_pubsub, messages_and_lines_above_the_limit_of_who_listens_are_not_kept)
{
    struct harness *h = harness_open("client-output-buffer-limit pubsub 10k 0 0");
    struct stream *a = harness_connect(h), *b = harness_connect(h), *c = harness_connect(h);
    harness_send(h, a, "PSUBSCRIBE n* ne* new* news\r\n");
    harness_send(h, b, "MONITOR\r\n");
    struct buffer line;
    buffer_init(&line);
    buffer_append_text(&line, "PUBLISH news ");
    for (int i = 0; i < 4000; i++) buffer_append_byte(&line, 'x');
    buffer_append_text(&line, "\r\n");
    for (int i = 0; i < 4; i++) { /* all within one turn */
        c->owner->events->received(c->owner, buffer_bytes(&line));
        assert_true(inside(a)->out.size <= 10 << 10 && inside(b)->out.size <= 10 << 10);
    }
    buffer_release(&line);
    harness_turn(h);
    assert_true(a->closed && !a->flushed && b->closed && !b->flushed);
    expect_got(c, ":4\r\n:4\r\n:4\r\n:4\r\n");
    harness_close(h);
}

/* --- Keyspace notifications --- */

TEST(face_redis_pubsub, events_of_keys_are_heard_of_only_when_asked_for)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    assert_null(h->service.listener);
    harness_send(h, a, "CONFIG SET notify-keyspace-events KEx$\r\nPSUBSCRIBE *\r\n");
    buffer_clear(&a->out);
    struct service_listener *listener = h->service.listener;
    assert_non_null(listener);
    listener->keyspace(listener, NOTIFY_STRING, "set", 2, bytes_text("k"));
    listener->keyspace(listener, NOTIFY_LIST, "lpush", 0, bytes_text("l"));
    listener->keyspace(listener, NOTIFY_EXPIRED, "expired", 0, bytes_text("m"));
    expect_got(a, ""); /* an entry may be half applied: not before the end of the turn */
    harness_turn(h);
    expect_got(a,
               "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$16\r\n__keyspace@2__:k\r\n$3\r\nset\r\n"
               "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$18\r\n__keyevent@2__:set\r\n$1\r\nk\r\n"
               "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$16\r\n__keyspace@0__:m\r\n$7\r\nexpired\r\n"
               "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$22\r\n__keyevent@0__:expired\r\n$1\r\nm\r\n");
    harness_send(h, harness_connect(h), "CONFIG SET notify-keyspace-events \"\"\r\n");
    assert_null(h->service.listener);
    harness_close(h);
}

/* SUBSCRIBE or the like with so many names, all different; the processor seconds it took. */
static double change_many(struct harness *h, struct stream *stream, const char *word, int count)
{
    struct buffer line;
    buffer_init(&line);
    buffer_append_format(&line, "*%d\r\n$%zu\r\n%s\r\n", count + 1, strlen(word), word);
    for (int i = 0; i < count; i++) buffer_append_format(&line, "$7\r\nn%06d\r\n", i);
    clock_t began = clock();
    harness_send_bytes(h, stream, buffer_bytes(&line));
    buffer_release(&line);
    buffer_clear(&stream->out);
    return (double)(clock() - began) / CLOCKS_PER_SEC;
}

/* A list that is looked through takes 2.5 seconds and more for each of these. */
TEST(face_redis_pubsub, many_names_take_time_in_proportion)
{
    enum { NAMES = 50000 };
    static const char *const words[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
    static const char *const undone[] = {"UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"};
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    for (int i = 0; i < 3; i++) {
        (void)change_many(h, b, words[i], NAMES); /* channels that others have too */
        assert_true(change_many(h, a, words[i], NAMES) < 1);
    }
    assert_int_equal(inside(a)->channels + inside(a)->patterns, 2 * NAMES);
    for (int i = 0; i < 3; i++) assert_true(change_many(h, a, undone[i], NAMES) < 1);
    assert_int_equal(inside(a)->channels + inside(a)->patterns, 0);
    assert_int_equal(inside(b)->shard_channels, NAMES);
    harness_close(h);
}
