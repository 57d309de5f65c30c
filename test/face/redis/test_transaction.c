/* SPDX-License-Identifier: Apache-2.0 */
/* MULTI, EXEC, WATCH: one entry, one reply, and the face's own commands in their places. */
#include "test/face/redis/harness.h"

static struct call *first_call(struct harness *h)
{
    struct list *first = list_first(&h->service.calls);
    assert_non_null(first);
    return CONTAINER_OF(first, struct call, node);
}

/* EXEC's answer with so many of the machine's replies: "+0", "+1" ... */
static void answer_exec(struct harness *h, size_t count)
{
    struct call *call = first_call(h);
    call->reply->ops->array(call->reply, count);
    for (size_t i = 0; i < count; i++) {
        char text[] = {(char)('0' + i), 0};
        call->reply->ops->simple(call->reply, text);
    }
    harness_answer(h, NULL);
}

TEST(face_redis_transaction, commands_on_data_become_one_entry)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nSET a 1\r\nGET a\r\nBLPOP l 0\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    expect_submitted(h, "");
    harness_send(h, a, "EXEC\r\nMULTI\r\nGET b\r\nEXEC\r\n");
    expect_submitted(h, "write<0> set a 1; get a; blpop l 0\nlocal*\nlocal*\nread*<0> get b\n");
    answer_exec(h, 3);
    harness_answer(h, NULL);
    harness_answer(h, NULL);
    answer_exec(h, 1);
    expect_got(a, "*3\r\n+0\r\n+1\r\n+2\r\n+OK\r\n+QUEUED\r\n*1\r\n+0\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, commands_of_the_face_stand_in_their_places)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nPING\r\nSET a 1\r\nECHO x\r\nCLIENT ID\r\nLPUSH l 1\r\nEXEC\r\n");
    expect_submitted(h, "write<0> set a 1; lpush l 1\n");
    struct call *call = first_call(h);
    call->reply->ops->array(call->reply, 2);
    call->reply->ops->map(call->reply, 1); /* a reply with replies inside */
    call->reply->ops->bulk(call->reply, bytes_text("*3\r\n"));
    call->reply->ops->null(call->reply);
    harness_answer(h, "last");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*5\r\n+PONG\r\n"
                  "*2\r\n$4\r\n*3\r\n\r\n$-1\r\n$1\r\nx\r\n:1\r\n+last\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, the_face_alone_answers_without_an_entry)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nPING\r\nTIME\r\nEXEC\r\nMULTI\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n*2\r\n$10\r\n1700000000\r\n$6\r\n"
                  "123000\r\n+OK\r\n*0\r\n");
    expect_submitted(h, "");
    harness_send(h, a, "SET a 1\r\nMULTI\r\nPING\r\nEXEC\r\nMULTI\r\nEXEC\r\nSET b 1\r\n");
    expect_submitted(h, "write set a 1\nlocal*\nlocal*\nlocal*\n");
    for (int i = 0; i < 4; i++) harness_answer(h, i == 0 ? "OK" : NULL);
    expect_submitted(h, "write set b 1\n"); /* what is behind EXEC has waited for it */
    harness_send(h, a, "MULTI\r\nEXEC\r\n");
    buffer_clear(&a->out);
    for (int i = 0; i < 3; i++) harness_answer(h, i == 0 ? "OK" : NULL);
    expect_got(a, "+OK\r\n+OK\r\n*0\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, select_inside_reaches_what_is_behind_it)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nGET a\r\nSELECT 5\r\nSET a 1\r\nEXEC\r\nGET b\r\n");
    expect_submitted(h, "write<0> get a; @5 set a 1\n");
    answer_exec(h, 2);
    expect_submitted(h, "read @5 get b\n");
    harness_answer(h, "b");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+0\r\n+OK\r\n+1\r\n+b\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, an_error_while_queueing_drops_all_of_it)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nSET a 1\r\nnosuch\r\nEXEC\r\nPING\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n-ERR unknown command 'nosuch', with args beginning with: \r\n"
                  "-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n");
    harness_send(h, a, "MULTI\r\nSHUTDOWN\r\nSAVE\r\nEXEC\r\nEXEC\r\nDISCARD\r\n");
    expect_got(a, "+OK\r\n-ERR Command not allowed inside a transaction\r\n"
                  "-ERR Command not allowed inside a transaction\r\n"
                  "-EXECABORT Transaction discarded because of previous errors.\r\n"
                  "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n");
    assert_int_equal(h->shutdowns, 0);
    expect_submitted(h, "");
    harness_close(h);
}

TEST(face_redis_transaction, nested_multi_and_watch_are_errors_that_end_nothing)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nMULTI\r\nWATCH a\r\nPING\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n-ERR MULTI calls can not be nested\r\n"
                  "-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n*1\r\n+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, an_error_inside_is_one_of_the_replies)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nSET foo bar\r\nCONFIG SET maxmemory bla\r\nEXEC\r\n");
    answer_exec(h, 1);
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+0\r\n-ERR CONFIG SET failed (possibly "
                  "related to argument 'maxmemory') - argument must be a memory value\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, what_cannot_wait_inside_is_refused_inside)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->host.config_file = "/nowhere/a.conf";
    harness_send(h, a,
                 "MULTI\r\nMONITOR\r\nDEBUG SLEEP 1\r\nCONFIG REWRITE\r\nWAIT 1 0\r\n"
                 "WAITAOF 1 0 0\r\nEXEC\r\n");
    buffer_clear(&a->out);
    harness_send(h, a, "PING\r\n");
    expect_got(a, "+PONG\r\n");
    harness_send(h, a, "MULTI\r\nCLIENT REPLY OFF\r\nPING\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n"
                  "-ERR CLIENT REPLY is not allowed inside a transaction\r\n+PONG\r\n");
    harness_send(h, a, "MULTI\r\nMONITOR\r\nDEBUG SLEEP 1\r\nWAIT 1 0\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n"
                  "-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n"
                  "-ERR DEBUG SLEEP holds its client, which EXEC cannot do\r\n:0\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, a_refused_exec_answers_the_refusal_alone)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "MULTI\r\nPING\r\nSET a 1\r\nEXEC\r\nPING\r\n");
    struct call *call = first_call(h);
    call->reply->ops->error(call->reply, "MISCONF full");
    harness_end(h, CALL_REFUSED, NULL);
    expect_got(a, "+OK\r\n+QUEUED\r\n+QUEUED\r\n-MISCONF full\r\n+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, the_queue_has_a_largest_size)
{
    struct harness *h = harness_open("client-query-buffer-limit 1m");
    struct stream *a = harness_connect(h);
    struct buffer line;
    buffer_init(&line);
    buffer_append_text(&line, "SET a ");
    for (int i = 0; i < 60000; i++) buffer_append_byte(&line, 'x');
    buffer_append_text(&line, "\r\n");
    harness_send(h, a, "MULTI\r\n");
    for (int i = 0; i < 18; i++) harness_send_bytes(h, a, buffer_bytes(&line));
    buffer_release(&line);
    buffer_clear(&a->out);
    harness_send(h, a, "EXEC\r\n");
    expect_got(a, "-EXECABORT Transaction discarded because of previous errors.\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, replies_above_the_limit_close_the_client_and_are_not_kept)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 300k 0 0");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "MULTI\r\nMGET a b\r\nPING\r\nGET c\r\nEXEC\r\n");
    uint8_t *big = memory_zeroed(1, 200000);
    struct reply *reply = first_call(h)->reply;
    reply->ops->array(reply, 2);
    reply->ops->array(reply, 2);
    for (int i = 0; i < 2; i++) reply->ops->bulk(reply, bytes_of(big, 200000));
    assert_true(reply->ops->mark(reply) < 300 << 10);
    harness_answer(h, "last");
    assert_true(a->closed && !a->flushed);
    harness_send(h, b, "MULTI\r\nGET a\r\nECHO x\r\nEXEC\r\n"); /* together: below */
    reply = first_call(h)->reply;
    reply->ops->array(reply, 1);
    reply->ops->bulk(reply, bytes_of(big, 200000));
    harness_answer(h, NULL);
    assert_false(b->closed);
    memory_free(big);
    harness_close(h);
}

/* --- WATCH --- */

/* {present, version lsn, ordinal, changed lsn} of each key. */
static void answer_watch(struct harness *h, const int64_t (*keys)[4], size_t count)
{
    struct call *call = first_call(h);
    call->reply->ops->array(call->reply, count);
    for (size_t i = 0; i < count; i++) {
        call->reply->ops->array(call->reply, 4);
        for (size_t k = 0; k < 4; k++) call->reply->ops->integer(call->reply, keys[i][k]);
    }
    harness_answer(h, NULL);
}

TEST(face_redis_transaction, watched_keys_go_into_the_entry)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "WATCH k l\r\nMULTI\r\nSET a 1\r\nEXEC\r\n");
    expect_submitted(h, "read watch|observe k l\n");
    static const int64_t seen[][4] = {{1, 7, 2, 9}, {0, 0, 0, 0}};
    answer_watch(h, seen, 2);
    expect_submitted(h, "write<2> set a 1\n");
    assert_int_equal(h->service.watches, 0); /* EXEC forgets them */
    struct call *call = first_call(h);
    call->reply->ops->null_array(call->reply);
    harness_answer(h, NULL);
    expect_got(a, "+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, an_absent_key_that_was_named_since_ends_the_transaction_here)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    static const int64_t absent[][4] = {{0, 0, 0, 0}};
    harness_send(h, a, "WATCH k\r\n");
    answer_watch(h, absent, 1);
    h->service.watch->touched = true;
    harness_send(h, a, "MULTI\r\nSET a 1\r\nPING\r\nEXEC\r\n");
    expect_got(a, "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n");
    expect_submitted(h, "read watch|observe k\n");
    assert_int_equal(h->service.watches, 0);
    harness_close(h);
}

TEST(face_redis_transaction, a_key_is_watched_once_and_by_what_was_seen_first)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    static const int64_t seen[][4] = {{1, 7, 2, 9}};
    harness_send(h, a, "WATCH k\r\n");
    answer_watch(h, seen, 1);
    harness_send(h, a, "WATCH k k\r\nWATCH k l\r\n");
    expect_submitted(h, "read watch|observe k\nread watch|observe l\n");
    answer_watch(h, seen, 1);
    assert_int_equal(h->service.watches, 2);
    harness_send(h, a, "SELECT 1\r\nWATCH k\r\n");
    answer_watch(h, seen, 1);
    assert_int_equal(h->service.watches, 3);
    harness_send(h, a, "UNWATCH\r\n");
    assert_int_equal(h->service.watches, 0);
    expect_got(a, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, a_muted_watch_that_must_fetch_answers_nothing)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    static const int64_t seen[][4] = {{1, 7, 2, 9}};
    harness_send(h, a, "CLIENT REPLY SKIP\r\nWATCH k\r\nPING\r\n");
    answer_watch(h, seen, 1);
    expect_got(a, "+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_transaction, a_refused_watch_watches_nothing)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "WATCH k l\r\n");
    struct call *call = first_call(h);
    call->reply->ops->error(call->reply, "LOADING soon");
    harness_end(h, CALL_REFUSED, NULL);
    expect_got(a, "-LOADING soon\r\n");
    assert_int_equal(h->service.watches, 0);
    harness_close(h);
}

TEST(face_redis_transaction, a_client_that_goes_watches_nothing_more)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "WATCH k\r\n");
    harness_send(h, b, "WATCH k\r\nMULTI\r\nPING\r\n");
    static const int64_t seen[][4] = {{1, 7, 2, 9}};
    answer_watch(h, seen, 1);
    harness_hang_up(h, a);
    harness_send(h, h->net.count == 2 ? harness_connect(h) : a, "CLIENT KILL ID 2\r\n");
    assert_true(a->closed && b->closed);
    assert_int_equal(h->service.watches, 0);
    harness_close(h);
}

TEST(face_redis_transaction, discard_and_reset_forget_queue_and_watches)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    static const int64_t seen[][4] = {{1, 7, 2, 9}};
    static const char *const words[] = {"DISCARD\r\n", "RESET\r\n"};
    for (size_t i = 0; i < 2; i++) {
        harness_send(h, a, "WATCH k\r\n");
        answer_watch(h, seen, 1);
        harness_send(h, a, "MULTI\r\nSET a 1\r\n");
        harness_send(h, a, words[i]);
        assert_int_equal(h->service.watches, 0);
        buffer_clear(&a->out);
        harness_send(h, a, "EXEC\r\n");
        expect_got(a, "-ERR EXEC without MULTI\r\n");
    }
    harness_close(h);
}
