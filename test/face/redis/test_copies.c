/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about copies, before a service that has as many as the test says. */
#include "test/face/redis/harness.h"

#include "command/command.h"

static const char readonly[] = "-READONLY You can't write against a read only replica.\r\n";

static void ask(struct harness *h, struct stream *a, const char *lines, const char *wanted)
{
    harness_send(h, a, lines);
    expect_got(a, wanted);
}

/* What came back has this in it. */
static void expect_has(struct stream *a, const char *wanted)
{
    buffer_append_byte(&a->out, 0);
    if (strstr((const char *)a->out.data, wanted) == NULL)
        fail_msg("no %s in %s", wanted, (const char *)a->out.data);
    a->out.size--;
}

static void expect_has_not(struct stream *a, const char *unwanted)
{
    buffer_append_byte(&a->out, 0);
    if (strstr((const char *)a->out.data, unwanted) != NULL)
        fail_msg("%s is in %s", unwanted, (const char *)a->out.data);
    a->out.size--;
}

static void one_copy(struct harness *h)
{
    h->service.copies.copy = 0x11;
    h->service.copies.in_sync = 1;
    h->service.copies.peer_port = 17379;
    h->service.copies.tls_refused = 7;
    h->service.copies.tls_cut = 8;
    h->service.copies.count = 2;
    h->service.copies.at[0] = (struct copy_status){.id = 0xabc,
                                                   .peer = "10.0.0.1:17380",
                                                   .redis = "10.0.0.1:7380",
                                                   .configured = true,
                                                   .connected = true,
                                                   .state = "in_sync",
                                                   .plan = "catch_up",
                                                   .rule = "behind",
                                                   .durable = {9},
                                                   .applied = {8},
                                                   .flushed = {7},
                                                   .lag_entries = 3,
                                                   .lag_bytes = 100,
                                                   .lag_ms = 20,
                                                   .contact_us = 2500000};
    h->service.copies.at[1] = (struct copy_status){
        .id = 0xdef, .state = "disconnected", .plan = "", .rule = "", .peer = "[::1]:17381"};
    h->service.status.durable.at = 11;
}

static void follow(struct harness *h)
{
    h->service.base.read_only = true;
    h->service.copies.role = COPIES_FOLLOWS;
    strcpy(h->service.copies.primary_host, "10.0.0.9");
    h->service.copies.primary_port = 7379;
    h->service.copies.link = "connected";
    h->service.copies.link_state = "in_sync";
    h->service.copies.heard_us = 3000000;
    h->service.copies.primary_durable.at = 30;
    h->service.status.applied.at = 25;
    h->service.status.appended.at = 28;
}

/* --- Who may write --- */

/* As many words as the row wants, each of them "1". */
static void send_row(struct harness *h, struct stream *a, const struct command *command)
{
    struct buffer line;
    buffer_init(&line);
    for (const char *at = command->name; *at != 0; at++)
        buffer_append_byte(&line, *at == '|' ? ' ' : (uint8_t)*at);
    int words = command->arity < 0 ? -command->arity : command->arity;
    for (int i = command->parent == COMMAND_NONE ? 1 : 2; i < words; i++)
        buffer_append_text(&line, " 1");
    buffer_append_text(&line, "\r\n");
    harness_send_bytes(h, a, buffer_bytes(&line));
    buffer_release(&line);
}

TEST(face_redis_copies, a_replica_refuses_every_row_that_writes_before_it_is_submitted)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    follow(h);
    const struct command *command;
    unsigned rows = 0;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if ((command->flags & FLAG_WRITE) == 0 || (command->flags & FLAG_INTERNAL) != 0) continue;
        send_row(h, a, command);
        expect_got(a, readonly);
        rows++;
    }
    assert_true(rows > 75);
    expect_submitted(h, "");
    ask(h, a, "PUBLISH a b\r\n", ":0\r\n");
    h->service.at_once = true;
    ask(h, a, "GET a\r\n", "+READ\r\n");
    h->service.base.read_only = false;
    send_row(h, a, command_find(bytes_text("incr")));
    harness_answer(h, "OK");
    expect_got(a, "+OK\r\n");
    harness_close(h);
}

TEST(face_redis_copies, a_replica_refuses_a_write_when_it_is_queued_and_when_the_role_changed_since)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    follow(h);
    ask(h, a, "MULTI\r\nGET a\r\nSET a 1\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n-READONLY You can't write against a read only replica.\r\n"
        "-EXECABORT Transaction discarded because of previous errors.\r\n");
    h->service.base.read_only = false;
    ask(h, a, "MULTI\r\nSET a 1\r\n", "+OK\r\n+QUEUED\r\n");
    h->service.base.read_only = true;
    ask(h, a, "EXEC\r\nEXEC\r\n",
        "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only "
        "replica.\r\n-ERR EXEC without MULTI\r\n");
    ask(h, a, "MULTI\r\nPUBLISH a b\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:0\r\n");
    expect_submitted(h, "");
    harness_close(h);
}

/* --- What is told --- */

TEST(face_redis_copies, role_of_a_primary_names_the_copies_that_are_there)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "ROLE\r\n", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    one_copy(h);
    ask(h, a, "ROLE\r\n",
        "*3\r\n$6\r\nmaster\r\n:11\r\n*1\r\n*3\r\n$8\r\n10.0.0.1\r\n$4\r\n7380\r\n$1\r\n8\r\n");
    h->service.copies.at[0].image_bytes = 1; /* not online yet */
    ask(h, a, "ROLE\r\n", "*3\r\n$6\r\nmaster\r\n:11\r\n*0\r\n");
    harness_close(h);
}

TEST(face_redis_copies, role_of_a_replica_names_its_primary_and_the_state_of_the_link)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    follow(h);
    ask(h, a, "ROLE\r\n",
        "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.9\r\n:7379\r\n$9\r\nconnected\r\n:25\r\n");
    h->service.copies.link = "sync";
    ask(h, a, "ROLE\r\n", "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.9\r\n:7379\r\n$4\r\nsync\r\n:-1\r\n");
    h->service.copies.role = COPIES_ASKS;
    h->service.copies.link = NULL;
    ask(h, a, "ROLE\r\n",
        "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.9\r\n:7379\r\n$7\r\nconnect\r\n:-1\r\n");
    harness_send(h, a, "HELLO\r\n");
    expect_has(a, "$4\r\nrole\r\n$7\r\nreplica\r\n");
    harness_close(h);
}

TEST(face_redis_copies, info_replication_has_redis_fields_on_both_sides)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    one_copy(h);
    harness_send(h, a, "INFO replication\r\n");
    expect_has(a, "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
                  "slave0:ip=10.0.0.1,port=7380,state=online,offset=8,lag=2\r\n"
                  "master_failover_state:no-failover\r\nmaster_replid:");
    expect_has(a, "\r\nmaster_repl_offset:11\r\n");
    expect_has(a, "\r\ntidemark_peer_port:17379\r\ntidemark_copy:17\r\n");
    expect_has_not(a, "slave1");
    buffer_clear(&a->out);
    follow(h);
    h->service.copies.count = 0;
    harness_send(h, a, "INFO replication\r\n");
    expect_has(a, "role:slave\r\nmaster_host:10.0.0.9\r\nmaster_port:7379\r\n"
                  "master_link_status:up\r\nmaster_last_io_seconds_ago:3\r\n"
                  "master_sync_in_progress:0\r\nslave_read_repl_offset:28\r\n"
                  "slave_repl_offset:25\r\nslave_priority:100\r\nslave_read_only:1\r\n");
    expect_has(a, "connected_slaves:0\r\n");
    buffer_clear(&a->out);
    h->service.copies.link = "sync";
    h->service.copies.link_down_us = 7000000;
    h->service.copies.sync_bytes = 200;
    h->service.copies.sync_done = 50;
    h->service.copies.failing_over = true;
    harness_send(h, a, "INFO replication\r\n");
    expect_has(a, "master_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\n"
                  "master_sync_in_progress:1\r\n");
    expect_has(a, "master_sync_total_bytes:200\r\nmaster_sync_read_bytes:50\r\n"
                  "master_sync_left_bytes:150\r\nmaster_sync_perc:25.00\r\n");
    expect_has(a, "master_link_down_since_seconds:7\r\n");
    expect_has(a, "master_failover_state:waiting-for-sync\r\n");
    harness_close(h);
}

TEST(face_redis_copies, info_tidemark_says_what_part_this_copy_has)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    one_copy(h);
    harness_send(h, a, "INFO tidemark\r\n");
    expect_has(a, "copy:17\r\ncopy_role:primary\r\nmin_in_sync:1\r\ncopies:2\r\n"
                  "copies_counting:1\r\ncopies_in_sync:1\r\ncopies_may_write:0\r\n"
                  "copies_damaged_frames:0\r\n");
    harness_close(h);
}

TEST(face_redis_copies, repl_status_describes_each_copy)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    one_copy(h);
    harness_send(h, a, "REPL.STATUS\r\n");
    expect_has(a, "$4\r\nrole\r\n$7\r\nprimary\r\n$4\r\ncopy\r\n$2\r\n17\r\n");
    expect_has(a, "$6\r\ncopies\r\n*2\r\n*40\r\n$2\r\nid\r\n$4\r\n2748\r\n");
    expect_has(a, "$5\r\nstate\r\n$7\r\nin_sync\r\n");
    expect_has(a, "$7\r\ndurable\r\n:9\r\n$7\r\napplied\r\n:8\r\n");
    expect_has(a, "$11\r\nlag-entries\r\n:3\r\n$9\r\nlag-bytes\r\n:100\r\n$6\r\nlag-ms\r\n:20\r\n");
    expect_has(a, "$10\r\npeer-guard\r\n$6\r\nsecret\r\n$11\r\ntls-refused\r\n:7\r\n"
                  "$7\r\ntls-cut\r\n:8\r\n");
    expect_has_not(a, "primary-host");
    buffer_clear(&a->out);
    follow(h);
    harness_send(h, a, "HELLO 3\r\nREPL.STATUS\r\n");
    expect_has(a, "%27\r\n$4\r\nrole\r\n$7\r\nreplica\r\n");
    expect_has(a, "$12\r\nprimary-host\r\n$8\r\n10.0.0.9\r\n$12\r\nprimary-port\r\n:7379\r\n");
    buffer_clear(&a->out);
    ask(h, a, "REPL.LAG\r\n",
        "*3\r\n%4\r\n$2\r\nid\r\n$2\r\n17\r\n$5\r\nstate\r\n$7\r\nin_sync\r\n"
        "$11\r\nlag-entries\r\n:5\r\n$8\r\nheard-ms\r\n:3000\r\n"
        "%6\r\n$2\r\nid\r\n$4\r\n2748\r\n$5\r\nstate\r\n$7\r\nin_sync\r\n"
        "$11\r\nlag-entries\r\n:3\r\n$9\r\nlag-bytes\r\n:100\r\n$6\r\nlag-ms\r\n:20\r\n"
        "$8\r\nheard-ms\r\n:2500\r\n"
        "%6\r\n$2\r\nid\r\n$4\r\n3567\r\n$5\r\nstate\r\n$12\r\ndisconnected\r\n"
        "$11\r\nlag-entries\r\n:0\r\n$9\r\nlag-bytes\r\n:0\r\n$6\r\nlag-ms\r\n:0\r\n"
        "$8\r\nheard-ms\r\n:0\r\n");
    harness_close(h);
}

TEST(face_redis_copies, repl_events_gives_the_newest_of_those_that_are_kept)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    static const struct copy_event events[] = {
        {.number = 4, .at_us = 1, .what = "added", .state = "", .rule = "", .reason = ""},
        {.number = 5, .at_us = 2, .what = "session_begun", .state = "", .rule = "", .reason = ""},
        {.number = 6, .at_us = 3, .what = "state", .state = "in_sync", .rule = "", .reason = ""}};
    ask(h, a, "REPL.EVENTS\r\nREPL.EVENTS -1\r\nREPL.EVENTS x\r\nREPL.EVENTS 1 2\r\n",
        "*0\r\n-ERR value is not an integer or out of range\r\n"
        "-ERR value is not an integer or out of range\r\n-ERR syntax error\r\n");
    h->service.events = events;
    h->service.event_count = 3;
    harness_send(h, a, "REPL.EVENTS 2\r\n");
    expect_has(a, "*2\r\n*18\r\n$6\r\nnumber\r\n:5\r\n$5\r\nat-us\r\n:2\r\n$4\r\nwhat\r\n"
                  "$13\r\nsession_begun\r\n");
    expect_has(a, "$6\r\nnumber\r\n:6\r\n");
    expect_has(a, "$5\r\nstate\r\n$7\r\nin_sync\r\n");
    buffer_clear(&a->out);
    harness_send(h, a, "REPL.EVENTS\r\n");
    expect_has(a, "*3\r\n*18\r\n$6\r\nnumber\r\n:4\r\n");
    harness_close(h);
}

TEST(face_redis_copies, config_get_and_rewrite_know_the_present_primary)
{
    struct harness *h = harness_open("replicaof first 1000");
    struct stream *a = harness_connect(h);
    follow(h);
    ask(h, a, "CONFIG GET replicaof\r\n", "*2\r\n$9\r\nreplicaof\r\n$13\r\n10.0.0.9 7379\r\n");
    ask(h, a, "CONFIG GET slaveof\r\n", "*2\r\n$7\r\nslaveof\r\n$13\r\n10.0.0.9 7379\r\n");
    h->service.copies.role = COPIES_LEADS;
    ask(h, a, "CONFIG GET replicaof\r\n", "*2\r\n$9\r\nreplicaof\r\n$0\r\n\r\n");
    ask(h, a, "CONFIG SET replicaof \"a 1\"\r\n",
        "-ERR CONFIG SET failed (possibly related to argument 'replicaof') - can't set immutable "
        "config\r\n");
    harness_close(h);
}
