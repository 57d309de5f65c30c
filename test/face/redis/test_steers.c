/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that change who leads, follows and counts; and those that wait for copies. */
#include "test/face/redis/harness.h"

static void ask(struct harness *h, struct stream *a, const char *lines, const char *wanted)
{
    harness_send(h, a, lines);
    expect_got(a, wanted);
}

/* The service ends what is under way. */
static void steer_end(struct harness *h, enum err err, const char *why)
{
    struct steer *steer = h->service.steer;
    assert_non_null(steer);
    h->service.steer = NULL;
    steer->err = err;
    if (why != NULL) (void)why_fail(&steer->why, err, "%s", why);
    steer->done(steer);
    harness_turn(h);
}

static struct await *first_await(struct harness *h)
{
    struct list *first = list_first(&h->service.awaits);
    assert_non_null(first);
    return CONTAINER_OF(first, struct await, node);
}

static void await_end(struct harness *h, enum err err, unsigned found)
{
    struct await *await = first_await(h);
    list_remove(&await->node);
    await->err = err;
    await->found = found;
    await->done(await);
    harness_turn(h);
}

/* --- Steers --- */

TEST(face_redis_steers, replicaof_is_answered_when_it_is_done_and_holds_its_client_alone)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    h->service.steer_err = ERR_PENDING;
    ask(h, a, "REPLICAOF other 7001\r\nPING\r\n", "");
    ask(h, b, "PING\r\n", "+PONG\r\n");
    assert_int_equal(h->service.asked.kind, STEER_FOLLOW);
    assert_string_equal(h->service.asked.host, "other");
    assert_int_equal(h->service.asked.port, 7001);
    steer_end(h, ERR_OK, NULL);
    expect_got(a, "+OK\r\n+PONG\r\n");
    ask(h, a, "SLAVEOF ::1 7002\r\nPING\r\n", "");
    assert_string_equal(h->service.asked.host, "::1");
    steer_end(h, ERR_REFUSED, "no\r\nway");
    expect_got(a, "-ERR no  way\r\n+PONG\r\n");
    ask(h, a, "CLIENT REPLY SKIP\r\nREPLICAOF other 7001\r\nPING\r\n", "");
    steer_end(h, ERR_OK, NULL);
    expect_got(a, "+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_steers, replicaof_checks_its_words)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "REPLICAOF a 0\r\nREPLICAOF a x\r\nREPLICAOF a 65536\r\nREPLICAOF \"a b\" 1\r\n",
        "-ERR Invalid master port\r\n-ERR Invalid master port\r\n-ERR Invalid master port\r\n"
        "-ERR Invalid master host\r\n");
    struct buffer line;
    buffer_init(&line);
    buffer_append_text(&line, "REPLICAOF ");
    for (unsigned i = 0; i < COPY_ADDRESS_BYTES; i++) buffer_append_byte(&line, 'a');
    buffer_append_text(&line, " 1\r\n");
    harness_send_bytes(h, a, buffer_bytes(&line));
    buffer_release(&line);
    expect_got(a, "-ERR Invalid master host\r\n");
    h->service.copies.failing_over = true;
    ask(h, a, "REPLICAOF a 1\r\n", "-ERR REPLICAOF not allowed while failing over.\r\n");
    h->service.copies = (struct copies_status){
        .role = COPIES_FOLLOWS, .primary_host = "Other", .primary_port = 7001};
    h->service.copies.link = "connected";
    ask(h, a, "REPLICAOF other 7001\r\n", "+OK Already connected to specified master\r\n");
    assert_int_equal(h->service.steers, 0);
    h->service.copies.link = "connect"; /* it may be refused there until it is told so again */
    ask(h, a, "REPLICAOF other 7001\r\n", "+OK\r\n");
    assert_int_equal(h->service.steers, 1);
    assert_int_equal(h->service.asked.kind, STEER_FOLLOW);
    harness_close(h);
}

TEST(face_redis_steers, promote_names_what_is_missing_and_force_what_may_be_lost)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "REPLICAOF NO ONE\r\nPROMOTE\r\nPROMOTE x\r\nPROMOTE FORCE x\r\n",
        "+OK\r\n+OK\r\n-ERR syntax error\r\n-ERR syntax error\r\n");
    assert_int_equal(h->service.steers, 0); /* it leads */
    h->service.copies.role = COPIES_FOLLOWS;
    h->service.steer_err = ERR_REFUSED;
    h->service.steer_why = "the promise of copy 1 is missing";
    ask(h, a, "SLAVEOF no one\r\nPROMOTE\r\n",
        "-ERR the promise of copy 1 is missing\r\n-ERR the promise of copy 1 is missing\r\n");
    assert_int_equal(h->service.asked.kind, STEER_PROMOTE);
    h->service.steer_err = ERR_OK;
    h->service.steer_why = "writes behind 7 may be lost";
    ask(h, a, "PROMOTE force\r\n", "+OK writes behind 7 may be lost\r\n");
    assert_int_equal(h->service.asked.kind, STEER_PROMOTE_FORCE);
    harness_close(h);
}

TEST(face_redis_steers, failover_reads_its_words_as_redis_does)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "FAILOVER x\r\nFAILOVER TO a\r\nFAILOVER TIMEOUT 0\r\nFAILOVER TIMEOUT a\r\n",
        "-ERR syntax error\r\n-ERR syntax error\r\n-ERR FAILOVER timeout must be greater than 0\r\n"
        "-ERR value is not an integer or out of range\r\n");
    ask(h, a, "FAILOVER TO a x\r\nFAILOVER TO a 0\r\nFAILOVER ABORT\r\n",
        "-ERR value is not an integer or out of range\r\n"
        "-ERR FAILOVER target HOST and PORT is not a replica.\r\n"
        "-ERR No failover in progress.\r\n");
    ask(h, a, "FAILOVER TO a 1 TIMEOUT 500\r\n", "+OK\r\n");
    assert_int_equal(h->service.asked.kind, STEER_FAILOVER);
    assert_string_equal(h->service.asked.host, "a");
    assert_int_equal(h->service.asked.port, 1);
    assert_int_equal(h->service.asked.timeout_us, 500000);
    ask(h, a, "FAILOVER\r\n", "+OK\r\n");
    assert_int_equal(h->service.asked.port, 0);
    h->service.copies.failing_over = true;
    ask(h, a, "FAILOVER\r\nFAILOVER ABORT\r\n", "-ERR FAILOVER already in progress.\r\n+OK\r\n");
    assert_int_equal(h->service.asked.kind, STEER_FAILOVER_ABORT);
    h->service.copies.failing_over = false;
    harness_send(h, a, "FAILOVER TO a 1 TIMEOUT 5 FORCE\r\n");
    buffer_append_byte(&a->out, 0);
    assert_non_null(strstr((const char *)a->out.data, "-ERR FAILOVER FORCE is not offered"));
    buffer_clear(&a->out);
    h->service.copies.role = COPIES_FOLLOWS;
    ask(h, a, "FAILOVER\r\n", "-ERR FAILOVER is not valid when server is a replica.\r\n");
    assert_int_equal(h->service.steers, 3);
    harness_close(h);
}

TEST(face_redis_steers, copies_and_rules_are_named_exactly)
{
    static const char bad[] = "-ERR the id of a copy is a number, as REPL.STATUS shows it\r\n";
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "REPL.ADD 171\r\n", "+OK\r\n");
    assert_int_equal(h->service.asked.kind, STEER_ADD);
    assert_int_equal(h->service.asked.copy, 0xab);
    ask(h, a, "REPL.REMOVE 18446744073709551615\r\n", "+OK\r\n");
    assert_int_equal(h->service.asked.kind, STEER_REMOVE);
    assert_true(h->service.asked.copy == UINT64_MAX);
    ask(h, a, "REPL.REBUILD 1\r\n", "+OK\r\n");
    assert_int_equal(h->service.asked.kind, STEER_REBUILD);
    static const char *const words[] = {"0", "g", "0x1", "18446744073709551616", "-1", "\"\""};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        harness_send(h, a, "REPL.ADD ");
        harness_send(h, a, words[i]);
        ask(h, a, "\r\n", bad);
    }
    ask(h, a, "REPL.RULE all 2\r\n", "+OK\r\n");
    assert_int_equal(h->service.asked.kind, STEER_RULE);
    assert_true(h->service.asked.all && h->service.asked.min_in_sync == 2);
    ask(h, a, "REPL.RULE LOCAL\r\n", "+OK\r\n");
    assert_true(!h->service.asked.all && h->service.asked.min_in_sync == 1);
    ask(h, a, "REPL.RULE some\r\nREPL.RULE all 0\r\nREPL.RULE all 17\r\nREPL.RULE all 1 1\r\n",
        "-ERR syntax error\r\n-ERR min-in-sync is a number of copies from 1 to 16\r\n"
        "-ERR min-in-sync is a number of copies from 1 to 16\r\n-ERR syntax error\r\n");
    assert_int_equal(h->service.steers, 5);
    harness_close(h);
}

TEST(face_redis_steers, exec_does_not_wait_for_a_steer)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.steer_err = ERR_PENDING;
    ask(h, a, "MULTI\r\nREPLICAOF a 1\r\nPING\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+PONG\r\n");
    assert_int_equal(h->service.unsteered, 1);
    h->service.steer_err = ERR_REFUSED;
    h->service.steer_why = "no";
    ask(h, a, "MULTI\r\nREPL.ADD 1\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n-ERR no\r\n");
    harness_close(h);
}

TEST(face_redis_steers, a_client_that_goes_lets_go_of_its_steer_and_of_its_wait)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h), *c = harness_connect(h);
    h->service.steer_err = ERR_PENDING;
    ask(h, a, "FAILOVER\r\n", "");
    harness_hang_up(h, a);
    assert_true(a->closed);
    assert_int_equal(h->service.unsteered, 1);
    assert_null(h->service.steer);
    ask(h, b, "WAIT 1 0\r\n", "");
    harness_send(h, c, "CLIENT KILL ID 2\r\n");
    assert_true(b->closed);
    assert_true(list_empty(&h->service.awaits));
    ask(h, c, "", ":1\r\n");
    ask(h, c, "REPLICAOF a 1\r\n", ""); /* the face closes */
    harness_close(h);
}

/* --- Waits --- */

TEST(face_redis_waits, wait_counts_copies_that_have_the_last_write_of_the_connection)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "WAIT a 1\r\nWAIT 0 a\r\nWAIT 0 -1\r\n",
        "-ERR value is not an integer or out of range\r\n"
        "-ERR timeout is not an integer or out of range\r\n-ERR timeout is negative\r\n");
    ask(h, a, "WAIT 2 0\r\n", "");
    assert_int_equal(first_await(h)->lsn.at, 0); /* nothing was written */
    assert_int_equal(first_await(h)->timeout_us, 0);
    await_end(h, ERR_OK, 3);
    expect_got(a, ":3\r\n");
    harness_send(h, a, "SET a 1\r\n");
    harness_answer(h, "OK");
    harness_send(h, a, "GET a\r\n");
    harness_answer(h, "READ"); /* at a later mark, which another connection wrote */
    ask(h, a, "WAIT 1 500\r\nPING\r\n", "+OK\r\n+READ\r\n");
    assert_int_equal(first_await(h)->lsn.at, 1);
    assert_int_equal(first_await(h)->copies, 1);
    assert_false(first_await(h)->local);
    assert_int_equal(first_await(h)->timeout_us, 500000);
    await_end(h, ERR_OK, 0); /* the time is over */
    expect_got(a, ":0\r\n+PONG\r\n");
    ask(h, a, "WAIT -1 0\r\n", "");
    assert_int_equal(first_await(h)->copies, 0);
    await_end(h, ERR_NOT_LEADER, 0);
    expect_got(a, "-UNBLOCKED force unblock from blocking operation, instance state changed "
                  "(master -> replica?)\r\n");
    h->service.await_at_once = true;
    h->service.copies.in_sync = 2;
    ask(h, a, "WAIT 1 0\r\nPING\r\n", ":2\r\n+PONG\r\n");
    harness_close(h);
}

TEST(face_redis_waits, waitaof_tells_of_this_disk_and_of_others_with_the_errors_of_redis)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "WAITAOF 2 0 0\r\nWAITAOF -1 0 0\r\nWAITAOF a 0 0\r\nWAITAOF 0 -1 0\r\n",
        "-ERR value is out of range, value must between 0 and 1\r\n"
        "-ERR value is out of range, value must between 0 and 1\r\n"
        "-ERR value is not an integer or out of range\r\n"
        "-ERR value is out of range, must be positive\r\n");
    ask(h, a, "WAITAOF 0 a 0\r\nWAITAOF 0 0 a\r\nWAITAOF 0 0 -1\r\n",
        "-ERR value is out of range, must be positive\r\n"
        "-ERR timeout is not an integer or out of range\r\n-ERR timeout is negative\r\n");
    harness_send(h, a, "SET a 1\r\nWAITAOF 1 2 100\r\n"); /* behind the write */
    assert_true(list_empty(&h->service.awaits));
    harness_answer(h, "OK");
    expect_got(a, "+OK\r\n");
    struct await *await = first_await(h);
    assert_true(await->local && await->copies == 2 && await->lsn.at == 1);
    await->found_local = true;
    await_end(h, ERR_OK, 1);
    expect_got(a, "*2\r\n:1\r\n:1\r\n");
    h->service.base.read_only = true;
    ask(h, a, "WAITAOF 0 0 0\r\nWAIT 0 0\r\n",
        "-ERR WAITAOF cannot be used with replica instances. Please also note that writes to "
        "replicas are just local and are not propagated.\r\n"
        "-ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if "
        "a replica is configured to be writable (which is not the default) writes to replicas are "
        "just local and are not propagated.\r\n");
    harness_close(h);
}

TEST(face_redis_waits, pos_wait_says_stale_or_lost_and_works_on_replicas)
{
    static const char wait[] = "POS.WAIT 00000000000000000000000000000001:3.1:77:0000000000000abc "
                               "100\r\n";
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.base.read_only = true;
    ask(h, a, "POS.WAIT x 1\r\n", "-ERR that is no mark, as POS.GET gives it\r\n");
    static const struct {
        enum err err;
        const char *reply;
    } ends[] = {{ERR_OK, "+OK\r\n"},
                {ERR_PENDING, "-STALE this copy has not reached that mark yet\r\n"},
                {ERR_SHUT, "-STALE this copy has not reached that mark yet\r\n"},
                {ERR_NOT_FOUND, "-LOST that mark is no part of the history of this copy, and will "
                                "never be\r\n"}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        ask(h, a, wait, "");
        struct await *await = first_await(h);
        assert_true(await->marked && await->mark.lsn.at == 77 && await->mark.epoch.number == 3);
        assert_int_equal(await->timeout_us, 100000);
        await_end(h, ends[i].err, 0);
        expect_got(a, ends[i].reply);
    }
    harness_close(h);
}

TEST(face_redis_waits, inside_exec_nothing_waits)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.copies.in_sync = 1;
    ask(h, a, "MULTI\r\nWAIT 5 0\r\nWAITAOF 1 5 0\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n*2\r\n:1\r\n:1\r\n");
    ask(h, a,
        "MULTI\r\nPOS.WAIT 00000000000000000000000000000001:3.1:77:0000000000000abc 0\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n-STALE this copy has not reached that mark yet\r\n");
    assert_true(list_empty(&h->service.awaits));
    harness_close(h);
}

TEST(face_redis_waits, a_waiting_client_is_blocked_and_may_be_unblocked)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    h->service.copies.in_sync = 1;
    ask(h, a, "WAIT 2 0\r\nPING\r\n", "");
    harness_send(h, b, "INFO clients\r\nCLIENT LIST ID 1\r\n");
    buffer_append_byte(&b->out, 0);
    assert_non_null(strstr((const char *)b->out.data, "blocked_clients:1\r\n"));
    assert_non_null(strstr((const char *)b->out.data, " flags=b "));
    buffer_clear(&b->out);
    ask(h, b, "CLIENT UNBLOCK 1\r\nCLIENT UNBLOCK 1\r\n", ":1\r\n:0\r\n");
    expect_got(a, ":1\r\n+PONG\r\n");
    ask(h, a, "WAIT 2 0\r\n", "");
    ask(h, b, "CLIENT UNBLOCK 1 ERROR\r\n", ":1\r\n");
    expect_got(a, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    harness_close(h);
}
