/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: to whom, in which form, and never inside a reply. */
#include "test/face/redis/harness.h"

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
    harness_send(h, a, "PUBLISH c 1\r\nPUBLISH c 2\r\n");
    expect_got(a, ":1\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n"
                  ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n2\r\n");
    harness_send(h, a, "MULTI\r\nPING\r\nPUBLISH c 3\r\nPING\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+PONG\r\n:1\r\n+PONG\r\n"
                  ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n3\r\n");
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
