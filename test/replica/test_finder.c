/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/finder.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/must.h"
#include "test/test.h"

#define TIDEMARK_INFO \
    "# Replication\r\nrole:master\r\nconnected_slaves:0\r\ntidemark_copy:3735928559\r\n" \
    "tidemark_peer_port:7379\r\nmaster_repl_offset:12\r\n"
#define REDIS_INFO "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:aa\r\n"

/* Told in pieces of so many bytes at first, then the rest; each in a block of its own size, so that
 * a read beyond it is seen. */
static enum finder_outcome told(struct finder *finder, const char *text, size_t first)
{
    struct bytes pieces[2] = {bytes_of(text, first), bytes_of(text + first, strlen(text) - first)};
    enum finder_outcome outcome = FINDER_MORE;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *copy = memory_alloc(pieces[i].size + 1);
        memcpy(copy, pieces[i].data, pieces[i].size);
        if (pieces[i].size > 0) outcome = finder_take(finder, bytes_of(copy, pieces[i].size));
        memory_free(copy);
    }
    return outcome;
}

static struct finder asked(const char *user, const char *password, struct buffer *send)
{
    struct finder finder;
    buffer_init(send);
    finder_init(&finder, bytes_text(user), bytes_text(password), send);
    return finder;
}

static void bulk_of(const char *info, char out[1024])
{
    snprintf(out, 1024, "$%zu\r\n%s\r\n", strlen(info), info);
}

/* The outcome of an answer without AUTH, the same wherever it is split. */
static void expect(const char *answer, enum finder_outcome outcome, const char *why)
{
    for (size_t first = 0; first <= strlen(answer); first++) {
        struct buffer send;
        struct finder finder = asked("", "", &send);
        assert_int_equal(told(&finder, answer, first), outcome);
        if (why != NULL) assert_non_null(strstr(finder.why.text, why));
        else assert_string_equal(finder.why.text, "");
        finder_release(&finder);
        buffer_release(&send);
    }
}

static void expect_info(const char *info, enum finder_outcome outcome, const char *why)
{
    char answer[1024];
    bulk_of(info, answer);
    expect(answer, outcome, why);
}

TEST(replica_finder, a_tidemark_says_its_peer_port_and_its_copy)
{
    char answer[1024];
    bulk_of(TIDEMARK_INFO, answer);
    for (size_t first = 0; first <= strlen(answer); first++) {
        struct buffer send;
        struct finder finder = asked("", "", &send);
        assert_true(bytes_equal(buffer_bytes(&send),
                                bytes_text("*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n")));
        assert_int_equal(told(&finder, answer, first), FINDER_FOUND);
        assert_int_equal(finder.port, 7379);
        assert_int_equal(finder.copy, 0xdeadbeef);
        assert_string_equal(finder.why.text, "");
        assert_null(finder.held.data);
        finder_release(&finder);
        buffer_release(&send);
    }
}

TEST(replica_finder, an_answer_that_is_not_whole_is_waited_for)
{
    char answer[1024];
    bulk_of(TIDEMARK_INFO, answer);
    for (size_t size = 0; size < strlen(answer); size++) {
        struct buffer send;
        struct finder finder = asked("", "", &send);
        assert_int_equal(finder_take(&finder, bytes_of(answer, size)), FINDER_MORE);
        finder_release(&finder);
        buffer_release(&send);
    }
}

TEST(replica_finder, a_password_is_sent_first_and_its_answer_comes_first)
{
    struct buffer send;
    struct finder finder = asked("copy", "se\r\ncret", &send);
    const char *wanted = "*3\r\n$4\r\nAUTH\r\n$4\r\ncopy\r\n$8\r\nse\r\ncret\r\n"
                         "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
    assert_true(bytes_equal(buffer_bytes(&send), bytes_text(wanted)));
    char bulk[1024], answer[1100];
    bulk_of(TIDEMARK_INFO, bulk);
    snprintf(answer, sizeof answer, "+OK\r\n%s", bulk);
    assert_int_equal(told(&finder, answer, 3), FINDER_FOUND);
    finder_release(&finder);
    buffer_release(&send);

    finder = asked("", "secret", &send);
    wanted = "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
    assert_true(bytes_equal(buffer_bytes(&send), bytes_text(wanted)));
    /* The bulk is no answer to AUTH. */
    assert_int_equal(told(&finder, bulk, 0), FINDER_FOREIGN);
    finder_release(&finder);
    buffer_release(&send);

    finder = asked("", "secret", &send);
    answer[0] = ':';
    assert_int_equal(told(&finder, answer, 0), FINDER_FOREIGN);
    finder_release(&finder);
    buffer_release(&send);
}

TEST(replica_finder, an_error_is_told_in_its_own_words_on_one_line)
{
    expect("-NOAUTH Authentication required.\r\n", FINDER_REFUSED,
           "it answers: NOAUTH Authentication required.");
    expect("-ERR \"x\" \x01\xff\n y\r\n", FINDER_FOREIGN, "malformed");
    expect("-ERR \"x\" \x01\xff y\r\n", FINDER_REFUSED, "it answers: ERR ?x? ?? y");
    struct buffer send;
    struct finder finder = asked("", "secret", &send);
    assert_int_equal(told(&finder, "-WRONGPASS no\r\n-NOAUTH no\r\n", 5), FINDER_REFUSED);
    assert_string_equal(finder.why.text, "it answers: WRONGPASS no");
    finder_release(&finder);
    buffer_release(&send);
}

TEST(replica_finder, a_server_that_loads_is_told_from_one_that_refuses)
{
    expect("-LOADING tidemark is applying the end of its log\r\n", FINDER_LOADING, "LOADING");
    expect("-LOADINGS\r\n", FINDER_REFUSED, "LOADINGS");
}

TEST(replica_finder, a_copy_is_not_taken_for_a_redis_server_when_a_bit_of_its_answer_changes)
{
    expect_info("role:master\r\ntidemark_copy:7\r\ntidemark_peer_poru:7\r\n", FINDER_FOREIGN,
                "no peer port");
}

TEST(replica_finder, a_redis_server_is_recognised)
{
    expect_info(REDIS_INFO, FINDER_REDIS, "it is a Redis server");
    /* The name alone, or as the end of another, is not the field. */
    expect_info(REDIS_INFO "tidemark_peer_port\r\nxtidemark_peer_port:7\r\ntidemark_peer_port7\r\n",
                FINDER_REDIS, "");
}

TEST(replica_finder, a_tidemark_without_a_peer_port_is_recognised)
{
    expect_info("role:master\r\ntidemark_peer_port:0\r\n", FINDER_CLOSED, "accepts no other");
}

TEST(replica_finder, garbage_is_refused_with_its_reason)
{
    expect("HTTP/1.1 400 Bad Request\r\n\r\n", FINDER_FOREIGN, "another kind");
    expect("+OK\r\n", FINDER_FOREIGN, "another kind");
    expect("\n", FINDER_FOREIGN, "malformed");
    expect("\r\n", FINDER_FOREIGN, "malformed");
    expect("$\r\n", FINDER_FOREIGN, "no number");
    expect("$-1\r\n", FINDER_FOREIGN, "no number");
    expect("$18446744073709551615\r\n", FINDER_FOREIGN, "too long");
    expect("$65537\r\n", FINDER_FOREIGN, "too long");
    expect("$4\r\nroleXX", FINDER_FOREIGN, "does not end");
    expect("$4\r\nrole\rX", FINDER_FOREIGN, "does not end");
    expect("$0\r\n\r\n", FINDER_FOREIGN, "names no role");
    expect_info("tidemark_peer_port:7379\r\n", FINDER_FOREIGN, "names no role");
    expect_info("role:master\ntidemark_peer_port:65536\n", FINDER_FOREIGN, "no number of a port");
    expect_info("role:master\ntidemark_peer_port:\n", FINDER_FOREIGN, "no number of a port");
    expect_info("role:master\ntidemark_peer_port:-1\n", FINDER_FOREIGN, "no number of a port");
    expect_info("role:master\ntidemark_copy:xyz\n", FINDER_FOREIGN, "no number");
    expect_info("role:master\ntidemark_copy:\n", FINDER_FOREIGN, "no number");
    expect_info("role:master\ntidemark_copy:18446744073709551616\n", FINDER_FOREIGN, "no number");
}

TEST(replica_finder, a_line_without_an_end_is_bounded)
{
    struct buffer send;
    struct finder finder = asked("", "", &send);
    char text[64];
    memset(text, 'x', sizeof text);
    unsigned taken = 0;
    while (finder_take(&finder, bytes_of(text, sizeof text)) == FINDER_MORE) taken++;
    assert_int_equal(finder.outcome, FINDER_FOREIGN);
    assert_int_equal((taken + 1) * sizeof text, FINDER_LINE_BYTES_MAX);
    /* What comes later changes nothing, and is not held. */
    assert_int_equal(finder_take(&finder, bytes_of(text, sizeof text)), FINDER_FOREIGN);
    assert_null(finder.held.data);
    finder_release(&finder);
    buffer_release(&send);
}
