/* SPDX-License-Identifier: Apache-2.0 */
/* The order of replies, whatever is answered when, and who has to wait for whom. */
#include "test/face/redis/harness.h"

TEST(face_redis_dispatch, replies_keep_the_order_of_the_commands)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET k v\r\nPING\r\nGET k\r\nECHO hi\r\nnosuch x\r\n");
    expect_submitted(h, "write set k v\nlocal*\nread* get k\nlocal*\nlocal*\n");
    expect_got(a, "");
    harness_answer(h, "OK");
    expect_got(a, "+OK\r\n");
    for (int i = 0; i < 4; i++) harness_answer(h, i == 1 ? "v" : NULL);
    expect_got(a, "+PONG\r\n+v\r\n$2\r\nhi\r\n-ERR unknown command 'nosuch', with args beginning "
                  "with: 'x' \r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, what_is_answered_at_once_is_sent_as_one)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.at_once = true;
    harness_send(h, a, "GET a\r\nPING\r\nGET b\r\n");
    expect_got(a, "+READ\r\n+PONG\r\n+READ\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, a_read_that_must_fetch_holds_what_is_behind_it)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "GET a\r\nSET b 1\r\n");
    expect_submitted(h, "read get a\n");
    harness_answer(h, "1");
    expect_submitted(h, "write set b 1\n");
    harness_answer(h, "OK");
    expect_got(a, "+1\r\n+OK\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, a_command_about_the_connection_waits_for_what_is_in_flight)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET a 1\r\nSELECT 3\r\nSET b 1\r\nCLIENT ID\r\nSET c 1\r\n");
    expect_submitted(h, "write set a 1\nlocal*\nwrite* @3 set b 1\n");
    harness_answer(h, "OK");
    harness_answer(h, NULL);
    expect_submitted(h, "");
    harness_answer(h, "OK");
    expect_submitted(h, "write @3 set c 1\n");
    expect_got(a, "+OK\r\n+OK\r\n+OK\r\n:1\r\n");
    harness_answer(h, "OK");
    expect_got(a, "+OK\r\n");
    harness_close(h);
}

static void send_large(struct harness *h, struct stream *stream, unsigned count)
{
    enum { VALUE_BYTES = 2 << 20 };
    struct buffer bytes;
    buffer_init(&bytes);
    for (unsigned i = 0; i < count; i++) {
        buffer_append_format(&bytes, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", VALUE_BYTES);
        memset(buffer_reserve(&bytes, VALUE_BYTES), 'v', VALUE_BYTES);
        bytes.size += VALUE_BYTES;
        buffer_append_text(&bytes, "\r\n");
    }
    harness_send_bytes(h, stream, buffer_bytes(&bytes));
    buffer_release(&bytes);
}

static unsigned calls_in_flight(const struct harness *h)
{
    unsigned count = 0;
    for (const struct list *at = h->service.calls.next; at != &h->service.calls; at = at->next)
        count++;
    return count;
}

TEST(face_redis_dispatch, many_bytes_in_flight_hold_whoever_sends_more)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    struct stream *b = harness_connect(h);
    send_large(h, a, 40);
    assert_int_equal(calls_in_flight(h), 32);
    send_large(h, b, 3);
    assert_int_equal(calls_in_flight(h), 33);
    for (unsigned i = 0; i < 31; i++) harness_answer(h, "OK");
    assert_int_equal(calls_in_flight(h), 2);
    harness_answer(h, "OK"); /* all of a's */
    assert_int_equal(calls_in_flight(h), 9);
    harness_answer(h, "OK"); /* b's */
    assert_int_equal(calls_in_flight(h), 10);
    while (calls_in_flight(h) > 0) harness_answer(h, "OK");
    harness_close(h);
}

TEST(face_redis_dispatch, quit_answers_everything_before_it_and_nothing_behind_it)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET a 1\r\nSET b 1\r\nQUIT\r\nSET c 1\r\n");
    expect_submitted(h, "write set a 1\nwrite* set b 1\n");
    harness_send(h, a, "SET d 1\r\n");
    harness_answer(h, "OK");
    assert_false(a->closed);
    harness_answer(h, "OK");
    expect_got(a, "+OK\r\n+OK\r\n+OK\r\n");
    assert_true(a->closed && a->flushed);
    expect_submitted(h, "");
    harness_close(h);
}

TEST(face_redis_dispatch, a_protocol_error_is_told_behind_the_answers_in_flight)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET a 1\r\n*1\r\n$x\r\n");
    harness_answer(h, "OK");
    assert_false(a->closed);
    harness_answer(h, NULL);
    expect_got(a, "+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
    assert_true(a->closed && a->flushed);
    harness_close(h);
}

TEST(face_redis_dispatch, a_refusal_is_a_reply_and_an_unknown_outcome_closes)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET a 1\r\nSET b 1\r\nSET c 1\r\n");
    struct call *first = CONTAINER_OF(list_first(&h->service.calls), struct call, node);
    first->reply->ops->error(first->reply, "MISCONF full");
    harness_end(h, CALL_REFUSED, NULL);
    expect_got(a, "-MISCONF full\r\n");
    harness_end(h, CALL_UNKNOWN, NULL);
    expect_got(a, "");
    assert_true(a->closed);
    assert_int_equal(h->service.cancelled, 1); /* the third: nobody will read its answer */
    harness_close(h);
}

TEST(face_redis_dispatch, no_more_than_1024_calls_of_a_client_are_in_flight)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    struct buffer lines;
    buffer_init(&lines);
    for (int i = 0; i < 1500; i++) buffer_append_text(&lines, "INCR a\r\n");
    harness_send_bytes(h, a, buffer_bytes(&lines));
    buffer_release(&lines);
    for (int i = 0; i < 1023; i++) harness_answer(h, "OK");
    assert_false(list_empty(&h->service.calls));
    assert_true(h->service.calls.next->next ==
                &h->service.calls); /* one is left of the first 1024 */
    harness_answer(h, "OK");
    for (int i = 0; i < 476; i++) harness_answer(h, "OK");
    assert_true(list_empty(&h->service.calls));
    assert_int_equal(a->out.size, 1500 * 5);
    harness_close(h);
}

/* --- Blocking --- */

TEST(face_redis_dispatch, a_blocked_client_gets_nil_when_its_time_is_over)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "BLPOP k 0.25\r\nGET a\r\n");
    expect_submitted(h, "wait blpop k 0.25\n");
    struct call *call = CONTAINER_OF(list_first(&h->service.calls), struct call, node);
    assert_int_equal(call->timeout_us, 250000);
    harness_end(h, CALL_TIMED_OUT, NULL);
    expect_got(a, "*-1\r\n");
    expect_submitted(h, "read get a\n");
    harness_answer(h, "1");
    harness_send(h, a, "HELLO 3\r\n");
    buffer_clear(&a->out);
    harness_send(h, a, "BLPOP k 0\r\n");
    harness_end(h, CALL_TIMED_OUT, NULL);
    expect_got(a, "_\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, another_client_can_end_the_wait)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "BLPOP k 0\r\n");
    harness_send(h, b, "CLIENT UNBLOCK 1\r\nCLIENT UNBLOCK 1\r\nCLIENT UNBLOCK 99\r\n");
    expect_got(a, "*-1\r\n");
    expect_got(b, ":1\r\n:0\r\n:0\r\n");
    harness_send(h, a, "BLPOP k 0\r\n");
    harness_send(h, b, "CLIENT UNBLOCK 1 ERROR\r\nCLIENT UNBLOCK asd\r\n");
    expect_got(a, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    expect_got(b, ":1\r\n-ERR value is not an integer or out of range\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, the_wait_of_a_client_that_hangs_up_ends_at_once)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "SET a 1\r\nBLPOP k 0\r\n");
    harness_hang_up(h, a);
    assert_true(a->closed);
    assert_int_equal(h->service.cancelled, 2);
    harness_close(h);
}

/* --- CLIENT REPLY --- */

TEST(face_redis_dispatch, client_reply_skip_mutes_the_next_command_and_no_other)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a,
                 "CLIENT REPLY SKIP\r\nSET a 1\r\nSET b 1\r\nCLIENT REPLY SKIP\r\nPING\r\n"
                 "PING x\r\n");
    harness_answer(h, "first");
    harness_answer(h, "second");
    expect_got(a, "+second\r\n$1\r\nx\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, client_reply_off_mutes_everything_but_messages)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    h->service.at_once = true;
    harness_send(h, a, "CLIENT REPLY OFF\r\nPING\r\nGET a\r\nnosuch\r\nSUBSCRIBE c\r\n");
    expect_got(a, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    harness_send(h, b, "PUBLISH c hi\r\n");
    expect_got(a, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n");
    harness_send(h, a, "UNSUBSCRIBE\r\nBLPOP k 1\r\n");
    harness_end(h, CALL_TIMED_OUT, NULL);
    harness_send(h, a, "CLIENT REPLY ON\r\nPING\r\n");
    expect_got(a, "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n+OK\r\n+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, a_muted_transaction_answers_nothing)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "CLIENT REPLY OFF\r\nMULTI\r\nSET a 1\r\nPING\r\nEXEC\r\n");
    expect_submitted(h, "write<0> set a 1\n");
    struct call *call = CONTAINER_OF(list_first(&h->service.calls), struct call, node);
    call->reply->ops->array(call->reply, 1);
    harness_answer(h, "OK");
    harness_send(h, a, "CLIENT REPLY ON\r\n");
    expect_got(a, "+OK\r\n");
    harness_close(h);
}

/* --- Errors --- */

TEST(face_redis_dispatch, what_a_client_sends_cannot_end_an_error_line)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "*2\r\n$6\r\nCLIENT\r\n$5\r\na\r\n+b\r\n");
    expect_got(a, "-ERR unknown subcommand 'a  +b'. Try CLIENT HELP.\r\n");
    harness_send(h, a, "*2\r\n$4\r\na\r\nb\r\n$3\r\n\r\nc\r\n");
    expect_got(a, "-ERR unknown command 'a  b', with args beginning with: '  c' \r\n");
    harness_send(h, a, "*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$1\r\nb\r\n");
    expect_got(a, "-ERR Unknown option or number of arguments for CONFIG SET - 'a  '\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, refusals_have_the_words_of_redis)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "*1\r\n$0\r\n\r\n");
    expect_got(a, "-ERR unknown command '', with args beginning with: \r\n");
    harness_send(h, a, "GET\r\n");
    expect_got(a, "-ERR wrong number of arguments for 'get' command\r\n");
    harness_send(h, a, "CONFIG GET\r\nCONFIG\r\n");
    expect_got(a, "-ERR wrong number of arguments for 'config|get' command\r\n"
                  "-ERR wrong number of arguments for 'config' command\r\n");
    harness_send(h, a, "watch|observe a\r\n");
    expect_got(a, "-ERR unknown command 'watch|observe', with args beginning with: 'a' \r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, words_of_debug_that_look_at_a_key_are_the_machines)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "DEBUG OBJECT k\r\n");
    harness_answer(h, "o");
    harness_send(h, a, "MULTI\r\nDEBUG DIGEST-VALUE k l\r\nEXEC\r\n");
    expect_submitted(h,
                     "read debug|object OBJECT k\nread<0> debug|digest-value DIGEST-VALUE k l\n");
    harness_answer(h, "x");
    expect_got(a, "+o\r\n+OK\r\n+QUEUED\r\n+x\r\n");
    harness_close(h);
}

TEST(face_redis_dispatch, debug_is_for_whom_the_configuration_says)
{
    static const char refused[] =
        "-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", "
        "you can run it from a local connection, otherwise you need to set this option in the "
        "configuration file, and then restart the server.\r\n";
    static const struct {
        const char *option;
        bool here, elsewhere;
    } rows[] = {{"enable-debug-command no\nprotected-mode no", false, false},
                {"enable-debug-command yes\nprotected-mode no", true, true},
                {"protected-mode no", true, false}};
    for (size_t i = 0; i < 3; i++) {
        struct harness *h = harness_open(rows[i].option);
        struct stream *a = harness_connect(h), *b = fake_connect(&h->net, true);
        harness_send(h, a, "DEBUG SET-ACTIVE-EXPIRE 0\r\n");
        harness_send(h, b, "DEBUG SET-ACTIVE-EXPIRE 0\r\nDEBUG OBJECT k\r\n");
        expect_got(a, rows[i].here ? "+OK\r\n" : refused);
        assert_int_equal(h->service.expiry, !rows[i].here);
        if (rows[i].elsewhere) {
            harness_answer(h, "o");
            expect_got(b, "+OK\r\n+o\r\n");
        } else {
            assert_true(strncmp((const char *)b->out.data, refused, strlen(refused)) == 0);
            expect_submitted(h, "");
        }
        harness_close(h);
    }
}
