/* SPDX-License-Identifier: Apache-2.0 */
/* MONITOR and the slow log: what is seen of others' commands, and what must not be. */
#include "test/face/redis/harness.h"

TEST(face_redis_monitor, commands_are_shown_with_time_database_and_client)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "MONITOR\r\nMONITOR\r\n");
    expect_got(a, "+OK\r\n+OK\r\n");
    harness_send(h, b, "*3\r\n$3\r\nset\r\n$5\r\na\"\r\n\x01\r\n$1\r\n\\\r\n");
    expect_got(a,
               "+1700000001.123000 [0 127.0.0.1:1002] \"set\" \"a\\\"\\r\\n\\x01\" \"\\\\\"\r\n");
    harness_answer(h, "OK");
    harness_send(h, b, "CONFIG GET x\r\nnosuch\r\nCLIENT ID\r\n");
    expect_got(a, "+1700000001.123000 [0 127.0.0.1:1002] \"CLIENT\" \"ID\"\r\n");
    harness_send(h, a, "RESET\r\n");
    buffer_clear(&a->out);
    harness_send(h, b, "PING\r\n");
    expect_got(a, "");
    harness_close(h);
}

TEST(face_redis_monitor, secrets_are_not_shown)
{
    struct harness *h = harness_open("requirepass secret");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "AUTH secret\r\nMONITOR\r\n");
    buffer_clear(&a->out);
    harness_send(h, b,
                 "AUTH secret\r\nAUTH default secret\r\nHELLO 3 AUTH default secret SETNAME x\r\n");
    expect_got(a, "+1700000001.123000 [0 127.0.0.1:1002] \"AUTH\" \"(redacted)\"\r\n"
                  "+1700000001.123000 [0 127.0.0.1:1002] \"AUTH\" \"(redacted)\" \"(redacted)\"\r\n"
                  "+1700000001.123000 [0 127.0.0.1:1002] \"HELLO\" \"3\" \"AUTH\" \"(redacted)\" "
                  "\"(redacted)\" \"SETNAME\" \"x\"\r\n");
    harness_close(h);
}

TEST(face_redis_monitor, a_transaction_is_shown_when_it_is_run)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    harness_send(h, a, "MONITOR\r\n");
    harness_send(h, b, "MULTI\r\nSeT a 1\r\nClient GetName\r\n");
    expect_got(a, "+OK\r\n+1700000001.123000 [0 127.0.0.1:1002] \"MULTI\"\r\n");
    harness_send(h, b, "EXEC\r\n");
    expect_got(a, "+1700000001.123000 [0 127.0.0.1:1002] \"SeT\" \"a\" \"1\"\r\n"
                  "+1700000001.123000 [0 127.0.0.1:1002] \"Client\" \"GetName\"\r\n"
                  "+1700000001.123000 [0 127.0.0.1:1002] \"EXEC\"\r\n");
    harness_close(h);
}

/* --- The slow log --- */

TEST(face_redis_slowlog, commands_above_the_threshold_are_kept_newest_first)
{
    struct harness *h = harness_open("slowlog-log-slower-than 1000\nslowlog-max-len 2");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "CLIENT SETNAME me\r\nSET a 1\r\n");
    fake_clock_pass(&h->clock, 999);
    harness_answer(h, "OK");
    for (int i = 0; i < 3; i++) {
        harness_send(h, a, i == 0 ? "SET b 1\r\n" : i == 1 ? "GET c\r\n" : "LPUSH d 1 2\r\n");
        fake_clock_pass(&h->clock, 1000 + (uint64_t)i);
        harness_answer(h, "OK");
    }
    buffer_clear(&a->out);
    harness_send(h, a, "SLOWLOG LEN\r\nSLOWLOG GET 1\r\n");
    expect_got(a, ":2\r\n*1\r\n*6\r\n:2\r\n:1700000001\r\n:1002\r\n*4\r\n$5\r\nlpush\r\n$1\r\nd\r\n"
                  "$1\r\n1\r\n$1\r\n2\r\n$14\r\n127.0.0.1:1001\r\n$2\r\nme\r\n");
    harness_send(h, a, "SLOWLOG GET\r\nSLOWLOG RESET\r\nSLOWLOG GET -1\r\nSLOWLOG LEN\r\n");
    buffer_append_byte(&a->out, 0);
    assert_non_null(strstr((const char *)a->out.data, "$3\r\nget\r\n$1\r\nc\r\n"));
    assert_non_null(strstr((const char *)a->out.data, "\r\n+OK\r\n*0\r\n:0\r\n"));
    buffer_clear(&a->out);
    harness_send(h, a, "SLOWLOG GET x\r\nSLOWLOG GET -2\r\n");
    expect_got(a, "-ERR count should be greater than or equal to -1\r\n"
                  "-ERR count should be greater than or equal to -1\r\n");
    harness_close(h);
}

TEST(face_redis_slowlog, what_a_blocking_command_waits_for_is_not_slowness)
{
    struct harness *h = harness_open("slowlog-log-slower-than 1000");
    struct stream *a = harness_connect(h);
    harness_send(h, a, "BLPOP k 0\r\n");
    fake_clock_pass(&h->clock, 5000000);
    harness_answer(h, "x");
    harness_send(h, a, "CONFIG SET slowlog-log-slower-than -1\r\nSET a 1\r\n");
    fake_clock_pass(&h->clock, 5000000);
    harness_answer(h, "OK");
    buffer_clear(&a->out);
    harness_send(h, a, "SLOWLOG LEN\r\n");
    expect_got(a, ":0\r\n");
    harness_close(h);
}

TEST(face_redis_slowlog, long_commands_are_cut_and_secrets_hidden)
{
    struct harness *h = harness_open("slowlog-log-slower-than 0\nrequirepass secret");
    struct stream *a = harness_connect(h);
    struct buffer line;
    buffer_init(&line);
    buffer_append_text(&line, "MSET");
    for (int i = 0; i < 50; i++) buffer_append_format(&line, " %s%d x", i == 0 ? "key" : "", i);
    buffer_append_text(&line, "\r\nSET b ");
    for (int i = 0; i < 3000; i++) buffer_append_byte(&line, 'y');
    buffer_append_text(&line, "\r\n");
    harness_send(h, a, "AUTH secret\r\nCONFIG SET requirepass secret2\r\n");
    harness_send_bytes(h, a, buffer_bytes(&line));
    buffer_release(&line);
    harness_answer(h, "OK");
    harness_answer(h, "OK");
    buffer_clear(&a->out);
    harness_send(h, a, "SLOWLOG GET\r\n");
    buffer_append_byte(&a->out, 0);
    const char *text = (const char *)a->out.data;
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(text, "*2\r\n$4\r\nauth\r\n$10\r\n(redacted)\r\n"));
    assert_non_null(strstr(text, "$11\r\nrequirepass\r\n$10\r\n(redacted)\r\n"));
    assert_non_null(strstr(text, "*32\r\n$4\r\nmset\r\n$4\r\nkey0\r\n"));
    assert_non_null(strstr(text, "\r\n... (70 more arguments)\r\n"));
    assert_non_null(strstr(text, "*3\r\n$3\r\nset\r\n$1\r\nb\r\n"));
    assert_non_null(strstr(text, "yyy... (2872 more bytes)\r\n"));
    harness_close(h);
}
