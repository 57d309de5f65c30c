/* SPDX-License-Identifier: Apache-2.0 */
/* VERIFY: how the questions of a comparison are read, and its answers written. */
#include "seam/survey.h"
#include "test/face/redis/harness.h"

static void ask(struct harness *h, struct stream *a, const char *lines, const char *wanted)
{
    harness_send(h, a, lines);
    expect_got(a, wanted);
}

TEST(face_redis_verify, begin_answers_an_id_and_takes_a_number_of_ranges)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    h->service.verified.id = 0xabc;
    ask(h, a, "VERIFY BEGIN\r\n", "$16\r\n0000000000000abc\r\n");
    assert_int_equal(h->service.verify_asked.ranges, 4096);
    ask(h, a, "VERIFY BEGIN 7\r\n", "$16\r\n0000000000000abc\r\n");
    assert_int_equal(h->service.verify_asked.ranges, 7);
    ask(h, a, "VERIFY BEGIN x\r\n", "-ERR syntax error\r\n");
    ask(h, a, "VERIFY BEGIN 4294967296\r\n", "-ERR syntax error\r\n");
    h->service.verified.err = ERR_NOT_LEADER;
    (void)why_fail(&h->service.verified.why, ERR_NOT_LEADER, "not here");
    ask(h, a, "VERIFY BEGIN\r\n", "-READONLY not here\r\n");
    harness_close(h);
}

TEST(face_redis_verify, status_and_ranges_are_told_or_why_not)
{
    static const struct digest sums[] = {{1, 0}, {0, 2}};
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    struct verification *verified = &h->service.verified;
    verified->state = "counting";
    verified->percent = 50;
    verified->mark.lsn.at = 9;
    verified->digest = (struct digest){3, 4};
    verified->keys = 5;
    verified->misfits = 6;
    verified->bytes = 7;
    verified->bytes_all = 8;
    ask(h, a, "VERIFY STATUS 00000000000000aF\r\n",
        "*8\r\n$8\r\ncounting\r\n:50\r\n$55\r\n00000000000000000000000000000000:0.0:9:"
        "0000000000000000\r\n$32\r\n00000000000000040000000000000003\r\n:5\r\n:6\r\n:7\r\n:8\r\n");
    assert_int_equal(h->service.verify_asked.id, 0xaf);
    verified->sums = sums;
    verified->ranges = 2;
    ask(h, a, "VERIFY RANGES 00000000000000af\r\n",
        "*2\r\n$32\r\n00000000000000000000000000000001\r\n"
        "$32\r\n00000000000000020000000000000000\r\n");
    static const char bad[] = "-ERR the id of a verification has 16 hexadecimal digits\r\n";
    ask(h, a, "VERIFY STATUS af\r\n", bad);
    ask(h, a, "VERIFY RANGES 00000000000000ag\r\n", bad);
    verified->err = ERR_NOT_FOUND;
    ask(h, a, "VERIFY STATUS 00000000000000af\r\n", "-NOTFOUND \r\n");
    verified->err = ERR_PENDING;
    ask(h, a, "VERIFY RANGES 00000000000000af\r\n", "-PENDING \r\n");
    harness_close(h);
}

static void list_end(struct harness *h, struct bytes found, uint64_t keys)
{
    struct verification *verification = h->service.verification;
    assert_non_null(verification);
    h->service.verification = NULL;
    verification->found = found;
    verification->keys = keys;
    verification->done(verification);
    harness_turn(h);
}

TEST(face_redis_verify, keys_hold_their_client_alone_until_they_are_listed)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h), *b = harness_connect(h);
    ask(h, a, "VERIFY KEYS 00000000000000af 10 3 70000\r\nPING\r\n", "");
    assert_int_equal(h->service.verify_asked.keys_max, 10);
    assert_int_equal(h->service.verify_asked.wanted_count, 2);
    assert_int_equal(h->service.verify_asked.wanted[1], 70000);
    ask(h, b, "PING\r\n", "+PONG\r\n");
    struct buffer found;
    buffer_init(&found);
    uint8_t digest[DIGEST_ENCODED_BYTES] = {1};
    buffer_append_le32(&found, 3);
    buffer_append_byte(&found, 2);
    buffer_append(&found, bytes_of(digest, sizeof digest));
    buffer_append_le32(&found, 4);
    buffer_append_text(&found, "name");
    list_end(h, buffer_bytes(&found), 11);
    expect_got(a, "*5\r\n:11\r\n:3\r\n:2\r\n$32\r\n00000000000000000000000000000001\r\n$4\r\nname"
                  "\r\n+PONG\r\n");
    buffer_release(&found);
    harness_close(h);
}

TEST(face_redis_verify, keys_that_are_asked_for_oddly_are_refused)
{
    static const char *const odd[] = {"10 3 3", "10 4 3", "65537 1",
                                      "x 1",    "10 x",   "10 4294967296"};
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "VERIFY KEYS 00000000000000af %s\r\n", odd[i]);
        ask(h, a, line,
            "-ERR VERIFY KEYS id keys-max range [range ...]: ranges ascending, at most 64, "
            "keys-max up to 65536, not in a transaction\r\n");
    }
    ask(h, a, "MULTI\r\nVERIFY KEYS 00000000000000af 10 3\r\n", "+OK\r\n+QUEUED\r\n");
    ask(h, a, "EXEC\r\n",
        "*1\r\n-ERR VERIFY KEYS id keys-max range [range ...]: ranges ascending, at most 64, "
        "keys-max up to 65536, not in a transaction\r\n");
    assert_null(h->service.verification);
    harness_close(h);
}

TEST(face_redis_verify, a_client_that_goes_takes_its_question_back)
{
    struct harness *h = harness_open("");
    struct stream *a = harness_connect(h);
    ask(h, a, "VERIFY KEYS 00000000000000af 10 3\r\n", "");
    assert_non_null(h->service.verification);
    harness_hang_up(h, a);
    assert_null(h->service.verification);
    harness_close(h);
}
