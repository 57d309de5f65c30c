/* SPDX-License-Identifier: Apache-2.0 */
/* A client's life and bounds: who may come in, what it may send and leave unread, how it ends. */
#include "face/redis/client.h"
#include "test/face/redis/harness.h"

/* --- Coming in --- */

TEST(face_redis_client, without_a_password_only_this_machine_is_served)
{
    struct harness *h = harness_open("");
    struct stream *a = fake_connect(&h->net, true);
    assert_null(a->owner);
    buffer_append_byte(&a->out, 0);
    assert_true(strncmp((const char *)a->out.data, "-DENIED ", 8) == 0);
    harness_close(h);
    h = harness_open("requirepass secret");
    assert_non_null(fake_connect(&h->net, true)->owner);
    harness_close(h);
    h = harness_open("protected-mode no");
    assert_non_null(fake_connect(&h->net, true)->owner);
    harness_close(h);
}

TEST(face_redis_client, no_more_than_maxclients_come_in)
{
    struct harness *h = harness_open("maxclients 2");
    struct stream *a = harness_connect(h);
    (void)harness_connect(h);
    struct stream *c = fake_connect(&h->net, false);
    expect_got(c, "-ERR max number of clients reached\r\n");
    harness_send(h, a, "QUIT\r\n");
    (void)harness_connect(h);
    harness_close(h);
}

TEST(face_redis_client, a_password_is_asked_for_before_anything_else)
{
    struct harness *h = harness_open("requirepass secret");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "GET a\r\nPING\r\nHELLO\r\nAUTH wrong\r\nAUTH secre\r\nAUTH secrets\r\n");
    expect_got(a,
               "-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n"
               "-NOAUTH HELLO must be called with the client already authenticated, otherwise the "
               "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and "
               "select the RESP protocol version at the same time\r\n"
               "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
               "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
               "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    harness_send(h, a, "AUTH other secret\r\nAUTH default secret\r\nPING\r\n");
    expect_got(a, "-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n"
                  "+PONG\r\n");
    harness_send(h, a, "RESET\r\nPING\r\nAUTH secret\r\nPING\r\n");
    expect_got(a, "+RESET\r\n-NOAUTH Authentication required.\r\n+OK\r\n+PONG\r\n");
    expect_submitted(h, "");
    harness_close(h);
}

TEST(face_redis_client, when_the_password_is_taken_away_everyone_may_go_on)
{
    struct harness *h = harness_open("requirepass secret");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "AUTH secret\r\nCONFIG SET requirepass \"\"\r\n");
    harness_send(h, b, "PING\r\n");
    expect_got(b, "+PONG\r\n");
    fake_clock_pass(&h->clock, 60 * 1000000);
    assert_false(b->closed);
    harness_close(h);
}

TEST(face_redis_client, who_does_not_give_the_password_in_ten_seconds_is_closed)
{
    struct harness *h = harness_open("requirepass secret");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "AUTH secret\r\n");
    fake_clock_pass(&h->clock, 9900000);
    assert_false(b->closed);
    fake_clock_pass(&h->clock, 300000);
    assert_true(b->closed);
    assert_false(a->closed);
    harness_send(h, a, "RESET\r\n"); /* the ten seconds begin anew */
    fake_clock_pass(&h->clock, 9000000);
    assert_false(a->closed);
    fake_clock_pass(&h->clock, 2000000);
    assert_true(a->closed);
    harness_close(h);
}

TEST(face_redis_client, what_looks_like_http_or_tls_is_closed_without_a_word)
{
    static const char *const inputs[] = {"POST /x HTTP/1.1\r\n", "PING\r\nHost: x\r\n",
                                         "\x16\x03\x01", "GET / HTTP/1.1\r\n"};
    for (size_t i = 0; i < 4; i++) {
        struct harness *h = harness_open("");
        struct stream *a = harness_connect(h);
        harness_send(h, a, inputs[i]);
        expect_got(a, "");
        assert_true(a->closed && !a->flushed);
        expect_submitted(h, "");
        harness_close(h);
    }
}

/* --- Sending ahead --- */

static void send_many(struct harness *h, struct stream *a, size_t bytes)
{
    struct buffer block;
    buffer_init(&block);
    for (int i = 0; i < 4096; i++) buffer_append_text(&block, "INCR a\r\n");
    for (size_t sent = 0; sent < bytes && !a->paused && !a->closed; sent += block.size) {
        harness_send_bytes(h, a, buffer_bytes(&block));
    }
    buffer_release(&block);
}

TEST(face_redis_client, a_client_that_may_not_go_on_is_not_read_either)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "BLPOP k 0\r\n");
    send_many(h, a, 1 << 20);
    assert_true(a->paused); /* after 256 KiB; nothing was lost */
    assert_false(a->closed);
    harness_end(h, CALL_TIMED_OUT, NULL);
    while (!list_empty(&h->service.calls)) harness_answer(h, "OK");
    assert_false(a->paused);
    assert_int_equal(a->out.size, 5 + 5 * (9 * 4096));
    harness_close(h);
}

TEST(face_redis_client, who_goes_while_it_waits_is_noticed_behind_unread_bytes_too)
{
    static const char *const waits[] = {"BLPOP k 0\r\n", "DEBUG SLEEP 1000\r\n",
                                        "CLIENT PAUSE 1000000\r\nSET a 1\r\n"};
    for (size_t i = 0; i < 3; i++) {
        struct harness *h = harness_open("");
        struct stream *a = harness_connect(h);
        harness_send(h, a, waits[i]);
        send_many(h, a, 1 << 20);
        assert_true(a->paused);
        fake_clock_pass(&h->clock, 1000000);
        assert_false(a->closed);
        a->gone = true;
        fake_clock_pass(&h->clock, 200000);
        assert_true(a->closed);
        harness_close(h);
    }
}

TEST(face_redis_client, an_end_behind_unread_commands_waits_until_they_are_run)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    send_many(h, a, 1 << 20);
    assert_true(a->paused); /* 1024 calls are in flight */
    a->gone = true;
    fake_clock_pass(&h->clock, 200000);
    assert_false(a->closed);
    while (!list_empty(&h->service.calls)) harness_answer(h, "OK");
    assert_false(a->paused);
    assert_int_equal(a->out.size, 5 * (9 * 4096));
    harness_close(h);
}

TEST(face_redis_client, an_unfinished_command_has_a_largest_size)
{
    struct harness *h = harness_open("client-query-buffer-limit 1m");
    struct stream *a = harness_connect(h);
    uint8_t block[4096];
    memset(block, 'x', sizeof block);
    harness_send(h, a, "*2\r\n$4\r\nECHO\r\n$10000000\r\n");
    for (int i = 0; i < 255; i++) harness_send_bytes(h, a, bytes_of(block, sizeof block));
    assert_false(a->closed);
    harness_send_bytes(h, a, bytes_of(block, sizeof block));
    assert_true(a->closed);
    harness_close(h);
}

TEST(face_redis_client, without_the_password_that_is_one_mebibyte)
{
    struct harness *h = harness_open("requirepass secret");
    struct stream *a = harness_connect(h);
    struct buffer words;
    buffer_init(&words);
    for (int i = 0; i < 16000; i++) buffer_append_byte(&words, 'x');
    harness_send(h, a, "CLIENT REPLY OFF\r\n"); /* not without the password */
    a->window = 0;
    harness_send(h, a, "GET a\r\nGET a\r\n"); /* its replies are not taken: it is held */
    for (int i = 0; i < 80 && !a->closed && !a->paused; i++) {
        harness_send_bytes(h, a, buffer_bytes(&words));
    }
    assert_true(a->paused || a->closed);
    buffer_release(&words);
    harness_close(h);
    h = harness_open("requirepass secret");
    a = harness_connect(h);
    harness_send(h, a, "*11\r\n");
    assert_true(a->closed);
    struct stream *b = harness_connect(h);
    b->window = 0;
    harness_send(h, b, "GET a\r\n");
    uint8_t *block = memory_zeroed(1, (1 << 20) + 1);
    harness_send_bytes(h, b, bytes_of(block, (1 << 20) + 1));
    assert_true(b->closed);
    harness_close(h);
    h = harness_open("");
    b = harness_connect(h);
    b->window = 0;
    harness_send(h, b, "PING\r\n");
    harness_send_bytes(h, b, bytes_of(block, (1 << 20) + 1));
    assert_false(b->closed);
    memory_free(block);
    harness_close(h);
}

/* --- Leaving replies unread --- */

TEST(face_redis_client, a_client_that_does_not_read_is_not_served_on)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.at_once = true;
    a->window = 3;
    harness_send(h, a, "PING\r\n");
    expect_got(a, "+PO");
    harness_send(h, a, "GET b\r\n");
    expect_submitted(h, "");
    a->window = SIZE_MAX;
    fake_stream_move(a);
    a->owner->events->drained(a->owner);
    harness_turn(h);
    expect_got(a, "NG\r\n+READ\r\n");
    expect_submitted(h, "read get b\n");
    harness_close(h);
}

/* Each answer is 100 KB. */
static void answer_big(struct harness *h)
{
    uint8_t *big = memory_zeroed(1, 100000);
    struct call *call = CONTAINER_OF(list_first(&h->service.calls), struct call, node);
    call->reply->ops->bulk(call->reply, bytes_of(big, 100000));
    memory_free(big);
    harness_answer(h, NULL);
}

TEST(face_redis_client, a_client_above_its_hard_limit_of_unread_replies_is_closed)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 300k 0 0");
    struct stream *a = harness_connect(h);
    a->window = 0;
    harness_send(h, a, "SET a 1\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\n");
    harness_answer(h, "OK");
    for (int i = 0; i < 3; i++) answer_big(h);
    assert_false(a->closed);
    answer_big(h);
    assert_true(a->closed && !a->flushed);
    harness_close(h);
}

TEST(face_redis_client, a_client_above_its_soft_limit_for_too_long_is_closed)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 1m 50k 5");
    struct stream *a = harness_connect(h);
    a->window = 0;
    harness_send(h, a, "SET a 1\r\nGET a\r\n");
    harness_answer(h, "OK");
    answer_big(h);
    fake_clock_pass(&h->clock, 4800000);
    assert_false(a->closed);
    a->window = 60000; /* it reads a little, and is below again */
    fake_stream_move(a);
    fake_clock_pass(&h->clock, 5500000);
    assert_false(a->closed);
    harness_hang_up(h, a);
    struct stream *b = harness_connect(h);
    b->window = 0;
    harness_send(h, b, "SET a 1\r\nGET a\r\n");
    harness_answer(h, "OK");
    answer_big(h);
    fake_clock_pass(&h->clock, 5500000);
    assert_true(b->closed);
    harness_close(h);
}

TEST(face_redis_client, answers_in_flight_count_before_they_are_sent)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 300k 0 0");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET a 1\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\n");
    harness_answer(h, "OK");
    uint8_t *big = memory_zeroed(1, 100000);
    struct list *first;
    while ((first = list_first(&h->service.calls)) != NULL) { /* all within one turn */
        struct call *call = CONTAINER_OF(first, struct call, node);
        list_remove(first);
        call->reply->ops->bulk(call->reply, bytes_of(big, 100000));
        call->done(call, CALL_ANSWERED);
    }
    memory_free(big);
    harness_turn(h);
    assert_true(a->closed);
    harness_close(h);
}

/* The face's own view of the client. */
static const struct client *inside(const struct stream *stream)
{
    assert_non_null(stream->owner);
    return CONTAINER_OF(stream->owner, struct client, owner);
}

/* So many GETs at once, each answered at once with 100 KB. */
static void get_big(struct stream *stream, int count)
{
    struct buffer lines;
    buffer_init(&lines);
    for (int i = 0; i < count; i++) buffer_append_text(&lines, "GET a\r\n");
    stream->owner->events->received(stream->owner, buffer_bytes(&lines));
    buffer_release(&lines);
}

TEST(face_redis_client, big_replies_are_sent_before_more_are_made)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.at_once = true;
    h->service.at_once_bytes = 100000;
    get_big(a, 20);
    assert_int_equal(inside(a)->out.size, 3 * 100011); /* the first above 256 KiB */
    harness_turn(h);
    assert_int_equal(a->out.size, 20 * 100011);
    assert_false(a->closed);
    a->window = 100;
    get_big(a, 20);
    harness_turn(h);
    assert_int_equal(a->out.size + a->waiting.size, 23 * 100011);
    harness_close(h);
}

TEST(face_redis_client, a_client_that_ends_its_side_gets_big_replies_too)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.at_once = true;
    h->service.at_once_bytes = 100000;
    get_big(a, 20);
    harness_hang_up(h, a); /* in the same turn */
    assert_int_equal(a->out.size, 20 * 100011);
    assert_true(a->closed && a->flushed);
    harness_close(h);
}

TEST(face_redis_client, replies_to_a_client_above_its_limit_take_no_more_memory)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 300k 0 0");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET a 1\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\nGET a\r\n");
    uint8_t *big = memory_zeroed(1, 100000);
    struct list *first;
    size_t most = 0;
    while ((first = list_first(&h->service.calls)) != NULL) {
        struct call *call = CONTAINER_OF(first, struct call, node);
        list_remove(first);
        call->reply->ops->bulk(call->reply, bytes_of(big, 100000));
        call->done(call, CALL_ANSWERED);
        if (inside(a)->out.size > most) most = inside(a)->out.size;
    }
    memory_free(big);
    assert_int_equal(most, 3 * 100011);
    assert_int_equal(inside(a)->out.size, 0);
    harness_turn(h);
    assert_true(a->closed);
    harness_close(h);
}

TEST(face_redis_client, one_reply_above_the_limit_takes_no_more_memory_either)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 300k 0 0");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MGET a b c d e f\r\n");
    uint8_t *big = memory_zeroed(1, 100000);
    struct reply *reply = CONTAINER_OF(list_first(&h->service.calls), struct call, node)->reply;
    reply->ops->array(reply, 6);
    for (int i = 0; i < 6; i++) reply->ops->bulk(reply, bytes_of(big, 100000));
    memory_free(big);
    assert_true(inside(a)->out.size < 300 << 10);
    harness_answer(h, NULL);
    assert_true(a->closed && !a->flushed);
    expect_got(a, "");
    harness_close(h);
}

TEST(face_redis_client, a_short_reply_does_not_follow_one_that_was_cut)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 50k 0 0");
    struct stream *a = harness_connect(h);
    h->service.at_once = true;
    h->service.at_once_bytes = 100000; /* below what is sent before the next command is read */
    harness_send(h, a, "GET a\r\nPING\r\n");
    assert_true(a->closed && !a->flushed);
    expect_got(a, "");
    harness_close(h);
}

/* --- Ending --- */

TEST(face_redis_client, a_client_that_ends_its_side_gets_its_answers_first)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "GET a\r\nSET b 1\r\nPING\r\n");
    harness_hang_up(h, a);
    assert_false(a->closed);
    harness_answer(h, "1");
    harness_answer(h, "OK");
    assert_false(a->closed);
    harness_answer(h, NULL);
    expect_got(a, "+1\r\n+OK\r\n+PONG\r\n");
    assert_true(a->closed && a->flushed);
    harness_close(h);
}

TEST(face_redis_client, a_client_that_ends_with_nothing_under_way_is_closed_at_once)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h), *c = harness_connect(h);
    harness_send(h, a, "*2\r\n$4\r\nECHO\r\n$5\r\nhe");
    harness_send(h, b, "SUBSCRIBE a\r\n");
    harness_send(h, c, "MONITOR\r\n");
    harness_hang_up(h, a);
    harness_hang_up(h, b);
    harness_hang_up(h, c);
    assert_true(a->closed && b->closed && c->closed);
    harness_send(h, harness_connect(h), "PUBLISH a x\r\n");
    harness_close(h);
}

/* Two replies of 300 KB wait, the first is at the net; the peer has ended its side. */
static struct stream *ended_with_unread(struct harness *h)
{
    struct stream *a = harness_connect(h);
    h->service.at_once = true;
    h->service.at_once_bytes = 300000;
    a->window = 0;
    get_big(a, 2);
    harness_hang_up(h, a);
    assert_false(a->closed);
    return a;
}

TEST(face_redis_client, a_client_that_ends_its_side_may_read_slowly)
{
    struct harness *h = harness_open("");
    struct stream *a = ended_with_unread(h);
    fake_clock_pass(&h->clock, 50 * 1000000);
    assert_false(a->closed);
    a->window = SIZE_MAX;
    fake_stream_move(a);
    a->owner->events->drained(a->owner);
    harness_turn(h);
    assert_int_equal(a->out.size, 2 * 300011);
    assert_true(a->closed && a->flushed);
    harness_close(h);
}

TEST(face_redis_client, a_client_that_ends_its_side_and_reads_nothing_is_closed)
{
    struct harness *h = harness_open("");
    struct stream *a = ended_with_unread(h);
    fake_clock_pass(&h->clock, 61 * 1000000);
    assert_true(a->closed);
    a = ended_with_unread(h);
    buffer_clear(&a->waiting); /* the net has found that nobody is there */
    fake_clock_pass(&h->clock, 200000);
    assert_true(a->closed);
    harness_close(h);
}

TEST(face_redis_client, a_killed_client_hears_nothing_more)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "SET a 1\r\nSUBSCRIBE c\r\n");
    harness_send(h, b, "CLIENT KILL ID 1\r\nPUBLISH c x\r\nCLIENT KILL ID 1\r\n");
    expect_got(b, ":1\r\n:0\r\n:0\r\n");
    assert_true(a->closed && !a->flushed);
    assert_int_equal(h->service.cancelled, 1);
    harness_send(h, b, "CLIENT KILL 127.0.0.1:1\r\nCLIENT KILL TYPE x\r\nCLIENT KILL ID 0\r\n");
    expect_got(b, "-ERR No such client\r\n-ERR Unknown client type 'x'\r\n"
                  "-ERR client-id should be greater than 0\r\n");
    harness_close(h);
}

TEST(face_redis_client, a_client_that_kills_itself_gets_its_answer)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "CLIENT KILL ID 1 SKIPME no\r\nPING\r\n");
    expect_got(a, ":1\r\n");
    assert_true(a->closed && a->flushed);
    struct stream *b = harness_connect(h);
    harness_send(h, b,
                 "MULTI\r\nPING\r\nCLIENT KILL ID 2 SKIPME no\r\nSET a 1\r\nEXEC\r\nPING\r\n");
    struct call *call = CONTAINER_OF(list_first(&h->service.calls), struct call, node);
    call->reply->ops->array(call->reply, 1);
    harness_answer(h, "OK");
    expect_got(b, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+PONG\r\n:1\r\n+OK\r\n");
    assert_true(b->closed && b->flushed);
    harness_close(h);
}

TEST(face_redis_client, an_idle_client_is_closed_when_asked_for)
{
    struct harness *h = harness_open("timeout 3");
    struct stream *a = harness_connect(h), *b = harness_connect(h), *c = harness_connect(h);
    struct stream *d = harness_connect(h);
    harness_send(h, b, "SUBSCRIBE x\r\n");
    harness_send(h, c, "BLPOP x 0\r\n");
    harness_send(h, d, "MONITOR\r\n");
    fake_clock_pass(&h->clock, 2900000);
    assert_false(a->closed);
    fake_clock_pass(&h->clock, 300000);
    assert_true(a->closed);
    assert_false(b->closed || c->closed || d->closed);
    harness_close(h);
}

TEST(face_redis_client, the_face_can_close_with_everything_under_way)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h), *c = harness_connect(h);
    harness_send(h, a, "WATCH k\r\n");
    harness_send(h, b, "MULTI\r\nPING\r\nSET a 1\r\nEXEC\r\nGET a\r\n");
    harness_send(h, c, "DEBUG SLEEP 100\r\nPING\r\n");
    harness_close(h);
}

/* --- CLIENT PAUSE --- */

TEST(face_redis_client, a_pause_of_writes_holds_writes_and_lets_reads_go)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    h->service.at_once = true;
    harness_send(h, a, "CLIENT PAUSE 1000 WRITE\r\n");
    harness_send(h, b, "GET a\r\nSET a 1\r\nGET a\r\n");
    expect_submitted(h, "read get a\n");
    harness_send(h, a, "MULTI\r\nSET x 1\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n+OK\r\n+QUEUED\r\n");
    fake_clock_pass(&h->clock, 999000);
    expect_submitted(h, "");
    fake_clock_pass(&h->clock, 1000);
    expect_submitted(h, "write<0> set x 1\nwrite set a 1\nread* get a\n");
    harness_close(h);
}

TEST(face_redis_client, a_pause_of_all_holds_everything_but_its_end)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "CLIENT PAUSE 100000\r\n");
    harness_send(h, b, "PING\r\n");
    expect_got(b, "");
    harness_hang_up(h, b); /* held: nobody waits for it */
    assert_true(b->closed);
    struct stream *c = harness_connect(h);
    harness_send(h, c, "PING\r\n");
    harness_send(h, a, "CLIENT UNPAUSE\r\n");
    expect_got(c, "+PONG\r\n");
    expect_got(a, "+OK\r\n+OK\r\n");
    harness_close(h);
}
