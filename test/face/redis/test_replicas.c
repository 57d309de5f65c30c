/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas as clients: what they are sent, what they may say, what is told of them, and WAIT. */
#include "face/redis/internal.h"
#include "test/face/redis/harness.h"

static void add(struct harness *h, const char *text)
{
    fake_feed_add(&h->service.feed, bytes_text(text));
    harness_turn(h);
}

/* A replica in the stream, which is on; what it was sent by then is taken away. */
static struct stream *follow(struct harness *h)
{
    struct stream *a = harness_connect(h);
    fake_feed_switch(&h->service.feed, true);
    harness_send(h, a, "REPLCONF listening-port 7000\r\nSYNC\r\n");
    fake_clock_pass(&h->clock, 10000);
    add(h, "begin ");
    assert_true(a->out.size > 100);
    assert_memory_equal(a->out.data, "+OK\r\n$", 6);
    assert_memory_equal(a->out.data + a->out.size - 6, "begin ", 6);
    buffer_clear(&a->out);
    return a;
}

static void ask(struct harness *h, struct stream *stream, const char *line, const char *wanted)
{
    harness_send(h, stream, line);
    expect_got(stream, wanted);
}

static bool shows(struct harness *h, struct stream *stream, const char *line, const char *part)
{
    harness_send(h, stream, line);
    buffer_append_byte(&stream->out, 0);
    bool found = strstr((const char *)stream->out.data, part) != NULL;
    buffer_clear(&stream->out);
    return found;
}

TEST(face_redis_replicas, a_replica_stays_a_client_that_others_see)
{
    struct harness *h = harness_open("");
    struct stream *b = harness_connect(h);
    ask(h, b, "ROLE\r\n", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    assert_true(shows(h, b, "INFO replication\r\n", "repl_backlog_active:0\r\n"));
    struct stream *a = follow(h);
    harness_send(h, a, "REPLCONF ACK 6\r\n");
    expect_got(a, "");
    assert_true(shows(h, b, "CLIENT LIST TYPE replica\r\n", " flags=S "));
    assert_true(shows(h, b, "CLIENT LIST TYPE slave\r\n", " flags=S "));
    assert_false(shows(h, b, "CLIENT LIST TYPE normal\r\n", " flags=S "));
    assert_true(shows(h, b, "INFO replication\r\n",
                      "connected_slaves:1\r\n"
                      "slave0:ip=127.0.0.1,port=7000,state=online,offset=6,lag=0\r\n"));
    assert_true(shows(h, b, "INFO replication\r\n", "master_repl_offset:6\r\n"));
    assert_true(shows(h, b, "INFO stats\r\n", "sync_full:1\r\nsync_partial_ok:0\r\n"));
    ask(h, b, "ROLE\r\n",
        "*3\r\n$6\r\nmaster\r\n:6\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n$1\r\n6\r\n");
    ask(h, b, "CLIENT KILL TYPE replica\r\n", ":1\r\n");
    assert_true(a->closed);
    assert_true(shows(h, b, "INFO replication\r\n", "connected_slaves:0\r\n"));
    harness_close(h);
}

/* An answer would be taken for a part of the stream. */
TEST(face_redis_replicas, a_replica_that_says_anything_else_is_closed_without_a_word)
{
    static const char *const lines[] = {"GET a\r\n", "SET a 1\r\n",       "PING\r\n",
                                        "QUIT\r\n",  "SUBSCRIBE a\r\n",   "NO-COMMAND\r\n",
                                        "MULTI\r\n", "*1\r\n$-5\r\nx\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct harness *h = harness_open("");
        struct stream *a = follow(h);
        harness_send(h, a, lines[i]);
        assert_true(a->closed);
        expect_got(a, "");
        expect_submitted(h, "");
        harness_close(h);
    }
}

TEST(face_redis_replicas, whatever_it_says_as_a_replica_is_not_answered)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h);
    ask(h, a, "REPLCONF capa eof\r\nREPLCONF what ever\r\nREPLCONF x\r\n\r\n", "");
    assert_false(a->closed);
    ask(h, a, "PSYNC ? -1\r\n", "");
    assert_true(a->closed);
    harness_close(h);
}

/* It says how far it is while the rest is on its way, and no limit of other clients closes it. */
TEST(face_redis_replicas, a_slow_replica_is_heard_and_has_limits_of_its_own)
{
    struct harness *h = harness_open("client-output-buffer-limit normal 1k 1k 1\ntimeout 1\n"
                                     "repl-timeout 20");
    struct stream *a = follow(h), *b = harness_connect(h);
    a->window = 0;
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    add(h, text);
    for (unsigned i = 0; i < 10; i++) fake_clock_pass(&h->clock, 1000000);
    assert_false(a->closed);
    harness_send(h, a, "REPLCONF ACK 4\r\n");
    assert_true(b->closed); /* that one was idle */
    b = harness_connect(h);
    assert_true(shows(h, b, "INFO replication\r\n", "offset=4,lag=0"));
    ask(h, b, "CLIENT PAUSE 60000\r\n", "+OK\r\n");
    harness_send(h, a, "REPLCONF ACK 5\r\n");
    assert_int_equal(psync_acked(h->face->psync, 5, false), 1);
    a->window = SIZE_MAX;
    fake_stream_move(a);
    a->owner->events->drained(a->owner);
    fake_clock_pass(&h->clock, 1000);
    assert_int_equal(a->out.size, sizeof text - 1);
    a->window = 0; /* so much that no more of it is made until it has gone out */
    for (unsigned i = 0; i < 200; i++) add(h, text);
    fake_clock_pass(&h->clock, 1000);
    assert_in_range(a->waiting.size, 200 << 10, 400 << 10);
    a->window = SIZE_MAX;
    fake_stream_move(a);
    a->owner->events->drained(a->owner);
    fake_clock_pass(&h->clock, 1000);
    assert_int_equal(a->out.size, 201 * (sizeof text - 1));
    ask(h, b, "CLIENT UNPAUSE\r\n", "+OK\r\n");
    assert_true(shows(h, b, "INFO replication\r\n", "offset=5,lag=0"));
    harness_close(h);
}

TEST(face_redis_replicas, what_it_had_asked_for_before_ends_when_it_becomes_one)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    fake_feed_switch(&h->service.feed, true);
    harness_send(h, a, "HELLO 3\r\nSUBSCRIBE ch\r\nSYNC\r\n");
    fake_clock_pass(&h->clock, 10000);
    buffer_clear(&a->out);
    harness_send(h, b, "PUBLISH ch text\r\n");
    expect_got(b, ":0\r\n");
    expect_got(a, "");
    harness_hang_up(h, a);
    assert_true(a->closed);
    struct stream *c = harness_connect(h);
    harness_send(h, c, "MONITOR\r\nSYNC\r\n");
    fake_clock_pass(&h->clock, 10000);
    expect_got(c, "+OK\r\n"); /* as Redis does */
    ask(h, b, "MULTI\r\nREPLCONF ACK 1\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n-ERR REPLCONF is not allowed inside a transaction\r\n");
    harness_close(h);
}

TEST(face_redis_replicas, messages_go_into_the_stream_while_it_is_on)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "PUBLISH ch text\r\n", ":0\r\n");
    expect_submitted(h, "");
    fake_feed_switch(&h->service.feed, true);
    ask(h, a, "PUBLISH ch text\r\nSPUBLISH ch text\r\n", ":0\r\n:0\r\n");
    expect_submitted(h, "write stream 4\nwrite stream 5\n");
    harness_close(h);
}

/* --- WAIT --- */

static void answer_write(struct harness *h, const char *told)
{
    fake_feed_add(&h->service.feed, bytes_text(told));
    harness_answer(h, "OK");
}

TEST(face_redis_replicas, wait_counts_who_has_the_clients_last_write)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h), *b = harness_connect(h), *c = harness_connect(h);
    h->service.awaits_end = true;
    harness_send(h, b, "SET a 1\r\nWAIT 1 1000\r\nPING\r\n");
    answer_write(h, "0123456789"); /* to offset 16 */
    add(h, "more by others");
    expect_got(b, "+OK\r\n");
    fake_clock_pass(&h->clock, 100000);
    expect_submitted(h, "write set a 1\nwrite stream 3\n"); /* once */
    harness_send(h, a, "REPLCONF ACK 15\r\n");
    fake_clock_pass(&h->clock, 100000);
    expect_got(b, "");
    harness_send(h, a, "REPLCONF ACK 16\r\n");
    fake_clock_pass(&h->clock, 100000);
    expect_got(b, ":1\r\n+PONG\r\n");
    ask(h, b, "WAIT 1 0\r\n", ":1\r\n");
    ask(h, c, "WAIT 1 0\r\nWAIT 0 0\r\n", ":1\r\n:1\r\n"); /* it wrote nothing */
    ask(h, b, "MULTI\r\nWAIT 5 0\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    ask(h, b, "WAIT 2 300\r\n", "");
    fake_awaits_look(&h->service, true); /* its time is over */
    fake_clock_pass(&h->clock, 1000);
    expect_got(b, ":1\r\n");
    ask(h, b, "WAIT a 1\r\nWAIT 0 a\r\nWAIT 0 -1\r\n",
        "-ERR value is not an integer or out of range\r\n"
        "-ERR timeout is not an integer or out of range\r\n-ERR timeout is negative\r\n");
    harness_close(h);
}

/* A replica that was away when it was written, and has come back from before it. */
TEST(face_redis_replicas, wait_knows_a_write_of_the_time_before_a_replica_came)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h), *b = harness_connect(h);
    h->service.awaits_end = true;
    harness_send(h, a, "REPLCONF ACK 6\r\n");
    harness_hang_up(h, a);
    harness_send(h, b, "SET a 1\r\n");
    answer_write(h, "0123456789");
    expect_got(b, "+OK\r\n");
    char replid[PSYNC_REPLID_BYTES], line[128];
    harness_send(h, b, "INFO replication\r\n");
    buffer_append_byte(&b->out, 0);
    const char *told = strstr((const char *)b->out.data, "master_replid:");
    snprintf(replid, sizeof replid, "%s", told + strlen("master_replid:"));
    buffer_clear(&b->out);
    a = harness_connect(h);
    snprintf(line, sizeof line, "PSYNC %s 7\r\n", replid);
    harness_send(h, a, line);
    expect_got(a, "+CONTINUE\r\n0123456789");
    harness_send(h, b, "WAIT 1 50\r\n");
    fake_awaits_look(&h->service, true);
    fake_clock_pass(&h->clock, 1000);
    expect_got(b, ":0\r\n");
    harness_close(h);
}

/* A native copy that has it and a replica that has it are two. */
TEST(face_redis_replicas, wait_counts_copies_and_replicas_together)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h), *b = harness_connect(h);
    h->service.awaits_end = true;
    harness_send(h, b, "SET a 1\r\n");
    answer_write(h, "0123456789"); /* to offset 16 */
    expect_got(b, "+OK\r\n");
    expect_submitted(h, "write set a 1\n");
    h->service.copies.in_sync = 1;
    ask(h, b, "WAIT 1 0\r\n", ":1\r\n");
    expect_submitted(h, ""); /* enough: nobody was asked */
    ask(h, b, "WAIT 2 0\r\n", "");
    expect_submitted(h, "write stream 3\n");
    harness_send(h, a, "REPLCONF ACK 16\r\n");
    expect_got(b, ":2\r\n");
    ask(h, b, "MULTI\r\nWAIT 9 0\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:2\r\n");
    harness_close(h);
}

/* Only what a replica says of its disk is on its disk. */
TEST(face_redis_replicas, waitaof_counts_replicas_that_say_that_it_is_on_their_disk)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h), *b = harness_connect(h);
    h->service.awaits_end = true;
    harness_send(h, b, "SET a 1\r\n");
    answer_write(h, "0123456789"); /* to offset 16 */
    expect_got(b, "+OK\r\n");
    expect_got(a, "0123456789");
    ask(h, b, "WAITAOF 0 1 0\r\n", "");
    harness_send(h, a, "REPLCONF ACK 16\r\n");
    expect_got(b, "");
    harness_send(h, a, "REPLCONF ACK 16 FACK 15\r\n");
    expect_got(b, "");
    harness_send(h, a, "REPLCONF ACK 16 FACK 17\r\n"); /* what it was not given */
    expect_got(b, "");
    harness_send(h, a, "REPLCONF ACK 16 FACK 16\r\n");
    expect_got(b, "*2\r\n:0\r\n:1\r\n");
    expect_got(a, "");
    harness_close(h);
}

/* Each WAIT would append an entry for nobody. */
TEST(face_redis_replicas, wait_asks_nobody_when_no_replica_is_there)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h), *b = harness_connect(h);
    harness_hang_up(h, a);
    ask(h, b, "WAIT 1 1000\r\n", "");
    expect_submitted(h, "");
    harness_close(h);
}

/* --- Beside copies of tidemark --- */

TEST(face_redis_replicas, copies_and_replicas_are_told_in_one_list_and_one_measure)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h), *b = harness_connect(h);
    harness_send(h, a, "REPLCONF ACK 6\r\n");
    h->service.copies.count = 1;
    h->service.copies.at[0] = (struct copy_status){.peer = "10.0.0.1:17380",
                                                   .redis = "10.0.0.1:7380",
                                                   .connected = true,
                                                   .applied = {8},
                                                   .state = "in_sync"};
    h->service.status.applied = (struct lsn){8};
    h->service.status.durable = (struct lsn){11};
    assert_true(shows(h, b, "INFO replication\r\n",
                      "connected_slaves:2\r\n"
                      "slave0:ip=10.0.0.1,port=7380,state=online,offset=6,lag=0\r\n"
                      "slave1:ip=127.0.0.1,port=7000,state=online,offset=6,lag=0\r\n"));
    assert_true(shows(h, b, "INFO replication\r\n", "master_repl_offset:6\r\n"));
    ask(h, b, "ROLE\r\n",
        "*3\r\n$6\r\nmaster\r\n:6\r\n*2\r\n*3\r\n$8\r\n10.0.0.1\r\n$4\r\n7380\r\n$1\r\n6\r\n"
        "*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n$1\r\n6\r\n");
    fake_clock_pass(&h->clock, 1100000); /* both places are noted */
    h->service.status.applied = (struct lsn){9};
    fake_feed_add(&h->service.feed, bytes_text("0123"));
    assert_true(shows(h, b, "INFO replication\r\n", "port=7380,state=online,offset=6,lag=0\r\n"));
    h->service.copies.at[0].applied = (struct lsn){7}; /* before anything was noted */
    assert_true(shows(h, b, "INFO replication\r\n", "port=7380,state=online,offset=0,lag=0\r\n"));
    h->service.copies.at[0].applied = (struct lsn){9};
    assert_true(shows(h, b, "INFO replication\r\n", "port=7380,state=online,offset=10,lag=0\r\n"));
    harness_close(h);
}

TEST(face_redis_replicas, a_copy_that_does_not_lead_feeds_nobody_and_appends_nothing)
{
    struct harness *h = harness_open("");
    struct stream *a = follow(h), *b = harness_connect(h);
    struct feed_listener *listener = h->service.feed.listener;
    h->service.base.read_only = true;
    listener->cut(listener, "told so");
    harness_turn(h);
    fake_clock_pass(&h->clock, 1000);
    assert_true(a->closed);
    assert_true(shows(h, b, "INFO replication\r\n", "connected_slaves:0\r\n"));
    ask(h, b, "REPLCONF capa eof\r\nPUBLISH ch text\r\n", "+OK\r\n:0\r\n");
    static const char refused[] = "-NOMASTERLINK this copy follows another one, or does not lead "
                                  "yet: only who leads feeds replicas\r\n";
    ask(h, b, "SYNC\r\n", refused);
    ask(h, b, "PSYNC ? -1\r\n", refused);
    for (unsigned i = 0; i < 30; i++) fake_clock_pass(&h->clock, 1000000); /* no ping, no end */
    expect_submitted(h, "");
    h->service.base.read_only = false;
    ask(h, b, "PUBLISH ch text\r\n", ":0\r\n");
    expect_submitted(h, "write stream 4\n");
    harness_close(h);
}
