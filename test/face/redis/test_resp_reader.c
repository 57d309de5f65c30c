/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader makes of bytes; whatever the pieces in which they arrive. Each expectation
 * without a note was compared with redis-server 7.0.15. */
#include "test/test.h"

#include <stdio.h>
#include <string.h>

#include "face/redis/resp.h"

/* "[word][word]" for each command, "~" for an empty one, "!error" or "!foreign" at the end. */
static void put_result(struct buffer *out, enum resp_result result, const struct args *args,
                       const struct resp_reader *reader)
{
    if (result == RESP_EMPTY) buffer_append_byte(out, '~');
    if (result == RESP_FOREIGN) buffer_append_text(out, "!foreign");
    if (result == RESP_BAD) buffer_append_format(out, "!%s", reader->error);
    for (size_t i = 0; result == RESP_COMMAND && i < args->count; i++) {
        buffer_append_byte(out, '[');
        buffer_append(out, args->at[i]);
        buffer_append_byte(out, ']');
    }
    if (result == RESP_COMMAND) buffer_append_byte(out, ';');
}

struct feed {
    struct resp_reader reader;
    struct args args;
    struct buffer in, out;
    bool over;
};

static void feed_open(struct feed *feed)
{
    memset(feed, 0, sizeof *feed);
    resp_reader_init(&feed->reader);
    feed->reader.authenticated = true;
    args_init(&feed->args);
    buffer_init(&feed->in);
    buffer_init(&feed->out);
}

static void feed_close(struct feed *feed)
{
    resp_reader_release(&feed->reader);
    args_release(&feed->args);
    buffer_release(&feed->in);
    buffer_release(&feed->out);
}

/* Each call moves the input, so that a pointer kept between calls would show. */
static void feed_bytes(struct feed *feed, struct bytes bytes)
{
    struct buffer moved;
    buffer_init(&moved);
    buffer_append(&moved, buffer_bytes(&feed->in));
    buffer_append(&moved, bytes);
    buffer_release(&feed->in);
    feed->in = moved;
    while (!feed->over) {
        size_t consumed = 0;
        enum resp_result result = resp_read(&feed->reader, buffer_bytes(&feed->in), &feed->args,
                                            &consumed);
        if (result == RESP_MORE) {
            assert_int_equal(consumed, 0);
            break;
        }
        put_result(&feed->out, result, &feed->args, &feed->reader);
        feed->over = result == RESP_BAD || result == RESP_FOREIGN;
        buffer_consume(&feed->in, consumed);
    }
}

static const struct {
    const char *input;
    size_t size;
    const char *wanted;
} cases[] = {
#define CASE(input, wanted) \
    { \
        input, sizeof(input) - 1, wanted \
    }
    CASE("*1\r\n$4\r\nPING\r\n", "[PING];"),
    CASE("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "[ECHO][];"),
    CASE("*1\r\n$0\r\n\r\n", "[];"),
    CASE("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n*$\r\nPING\r\n", "[SET][a][\r\n*$];[PING];"),
    CASE("*-10\r\n\r\nPING\r\n", "~~[PING];"),
    CASE("*0\r\nPING\r\n", "~[PING];"),
    CASE("\r\n\n  \r\n", "~~~"),
    CASE("*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", "[PING];[PING];"),
    CASE("*1\rX$4\rXPING\r\n", "[PING];"),
    CASE("*1\n$4\nPING\n", ""),
    CASE("*3000000000\r\n", "!ERR Protocol error: invalid multibulk length"),
    CASE("*03\r\n", "!ERR Protocol error: invalid multibulk length"),
    CASE("*+3\r\n", "!ERR Protocol error: invalid multibulk length"),
    CASE("*1x\r\n", "!ERR Protocol error: invalid multibulk length"),
    CASE("*\r\n", "!ERR Protocol error: invalid multibulk length"),
    CASE("*1\r\n$-10\r\n", "!ERR Protocol error: invalid bulk length"),
    CASE("*1\r\n$2000000000\r\n", "!ERR Protocol error: invalid bulk length"),
    CASE("*1\r\n$blabla\r\n", "!ERR Protocol error: invalid bulk length"),
    CASE("*1\r\n$\r\n", "!ERR Protocol error: invalid bulk length"),
    CASE("PING\r\n*1\r\nfooz\r\n", "[PING];!ERR Protocol error: expected '$', got 'f'"),
    CASE("*1\r\n:4\r\n", "!ERR Protocol error: expected '$', got ':'"),
    CASE("*1\r\n\r\n", "!ERR Protocol error: expected '$', got '\r'"), /* sent as a blank */
    CASE("PING\n", "[PING];"),
    CASE("  PING  \r\n", "[PING];"),
    CASE("PING\r\r\n", "[PING];"),
    CASE("PING a\rb\r\n", "[PING][a][b];"),
    CASE("\vPING\r\n", "[PING];"),
    CASE("ECHO a\vb\r\n", "[ECHO][a\vb];"),
    CASE("ECHO \x80\xff\r\n", "[ECHO][\x80\xff];"),
    CASE("\"PING\"\r\n", "[PING];"),
    CASE("ECHO 'it\\'s'\r\n", "[ECHO][it's];"),
    CASE("ECHO \"a\\x41\\n\\q\"\r\n", "[ECHO][aA\nq];"),
    CASE("ECHO \"\\xZZ\" \"\\x4\"\r\n", "[ECHO][xZZ][x4];"),
    CASE("ECHO \"a\tb\"\tx\r\n", "[ECHO][a\tb][x];"),
    CASE("ECHO a\"b c\"\r\n", "[ECHO][ab c];"),
    CASE("ECHO \"\"\r\n", "[ECHO][];"),
    CASE("set \"\"\"test-key\"\"\" v\r\n", "!ERR Protocol error: unbalanced quotes in request"),
    CASE("ECHO \"a\"b\r\n", "!ERR Protocol error: unbalanced quotes in request"),
    CASE("ECHO 'a'b\r\n", "!ERR Protocol error: unbalanced quotes in request"),
    CASE("ECHO \"abc\r\n", "!ERR Protocol error: unbalanced quotes in request"),
    CASE("ECHO 'abc\\'\r\n", "!ERR Protocol error: unbalanced quotes in request"),
    /* Redis closes at the first two and knows nothing of the others. */
    CASE("POST / HTTP/1.1\r\nPING\r\n", "!foreign"),
    CASE("PING\r\nHost: a\r\n", "[PING];!foreign"),
    CASE("GET /index.html HTTP/1.1\r\n", "!foreign"),
    CASE("options * http/1.0\r\n", "!foreign"),
    CASE("\x16\x03\x01\x02\x00\x01", "!foreign"),
    CASE("GET /\r\n", "[GET][/];"),
    /* Redis waits for the end of the line without end. */
    CASE("ECHO a\0b\r\n", "!ERR Protocol error: zero byte in inline request"),
#undef CASE
};

enum { CASES = sizeof cases / sizeof cases[0] };

static void check(struct feed *feed, size_t i)
{
    buffer_append_byte(&feed->out, 0);
    if (strcmp((const char *)feed->out.data, cases[i].wanted) != 0) {
        fail_msg("case %zu (%s): got %s, wanted %s", i, cases[i].input,
                 (const char *)feed->out.data, cases[i].wanted);
    }
}

TEST(face_redis_resp_reader, whole_inputs_are_read_as_by_redis)
{
    for (size_t i = 0; i < CASES; i++) {
        struct feed feed;
        feed_open(&feed);
        feed_bytes(&feed, bytes_of(cases[i].input, cases[i].size));
        check(&feed, i);
        feed_close(&feed);
    }
}

TEST(face_redis_resp_reader, every_split_in_three_gives_the_same)
{
    for (size_t i = 0; i < CASES; i++) {
        for (size_t a = 0; a <= cases[i].size; a++) {
            for (size_t b = a; b <= cases[i].size; b++) {
                struct feed feed;
                feed_open(&feed);
                feed_bytes(&feed, bytes_of(cases[i].input, a));
                feed_bytes(&feed, bytes_of(cases[i].input + a, b - a));
                feed_bytes(&feed, bytes_of(cases[i].input + b, cases[i].size - b));
                check(&feed, i);
                feed_close(&feed);
            }
        }
    }
}

TEST(face_redis_resp_reader, single_bytes_give_the_same)
{
    for (size_t i = 0; i < CASES; i++) {
        struct feed feed;
        feed_open(&feed);
        for (size_t k = 0; k < cases[i].size; k++)
            feed_bytes(&feed, bytes_of(cases[i].input + k, 1));
        check(&feed, i);
        feed_close(&feed);
    }
}

/* --- Limits --- */

static void expect_end(struct feed *feed, const char *wanted)
{
    buffer_append_byte(&feed->out, 0);
    assert_string_equal((const char *)feed->out.data, wanted);
    feed_close(feed);
}

/* `start`, then so many times x, in pieces of `step`. */
static void feed_line(struct feed *feed, const char *start, size_t count, size_t step)
{
    struct buffer line;
    buffer_init(&line);
    buffer_append_text(&line, start);
    for (size_t i = strlen(start); i < count; i++) buffer_append_byte(&line, 'x');
    for (size_t at = 0; at < line.size; at += step) {
        feed_bytes(feed, bytes_of(line.data + at, line.size - at < step ? line.size - at : step));
    }
    buffer_release(&line);
}

TEST(face_redis_resp_reader, lines_without_end_are_refused_at_64_kib_in_whatever_pieces)
{
    static const struct {
        const char *start, *wanted;
    } lines[] = {
        {"", "!ERR Protocol error: too big inline request"},
        {"*", "!ERR Protocol error: too big mbulk count string"},
        {"*1\r\n$", "!ERR Protocol error: too big bulk count string"},
    };
    for (size_t i = 0; i < 3; i++) {
        size_t head = i == 2 ? 4 : 0; /* the line before */
        static const size_t steps[] = {997, 64 << 10, 1 << 20};
        for (size_t k = 0; k < 3; k++) {
            struct feed feed;
            feed_open(&feed);
            feed_line(&feed, lines[i].start, head + RESP_INLINE_BYTES_MAX, steps[k]);
            assert_false(feed.over);
            feed_bytes(&feed, bytes_text("x"));
            expect_end(&feed, lines[i].wanted);
            feed_open(&feed);
            feed_line(&feed, lines[i].start, head + RESP_INLINE_BYTES_MAX + 1, steps[k]);
            feed_bytes(&feed, bytes_text("\r\n"));
            expect_end(&feed, lines[i].wanted);
        }
    }
}

TEST(face_redis_resp_reader, who_has_not_authenticated_may_send_ten_words_of_16_kib)
{
    struct feed feed;
    feed_open(&feed);
    feed.reader.authenticated = false;
    feed_bytes(&feed, bytes_text("*10\r\n$16384\r\n"));
    assert_false(feed.over);
    feed_close(&feed);
    feed_open(&feed);
    feed.reader.authenticated = false;
    feed_bytes(&feed, bytes_text("*11\r\n"));
    expect_end(&feed, "!ERR Protocol error: unauthenticated multibulk length");
    feed_open(&feed);
    feed.reader.authenticated = false;
    feed_bytes(&feed, bytes_text("*2\r\n$4\r\nAUTH\r\n$16385\r\n"));
    expect_end(&feed, "!ERR Protocol error: unauthenticated bulk length");
}

TEST(face_redis_resp_reader, a_promised_length_takes_no_memory)
{
    struct feed feed;
    feed_open(&feed);
    feed_bytes(&feed, bytes_text("*1048576\r\n$500000000\r\nabc"));
    assert_int_equal(feed.reader.found_capacity, 0);
    assert_int_equal(feed.args.capacity, 0);
    feed_close(&feed);
    feed_open(&feed);
    feed_bytes(&feed, bytes_text("*1048577\r\n"));
    expect_end(&feed, "!ERR Protocol error: invalid multibulk length");
}

TEST(face_redis_resp_reader, the_longest_word_is_the_owners_choice)
{
    struct feed feed;
    feed_open(&feed);
    feed.reader.bulk_bytes_max = 3;
    feed_bytes(&feed, bytes_text("*1\r\n$3\r\nabc\r\n*1\r\n$4\r\n"));
    expect_end(&feed, "[abc];!ERR Protocol error: invalid bulk length");
}

TEST(face_redis_resp_reader, storage_of_a_long_command_is_given_back)
{
    struct feed feed;
    feed_open(&feed);
    struct buffer input;
    buffer_init(&input);
    buffer_append_text(&input, "*2000\r\n");
    for (int i = 0; i < 2000; i++) buffer_append_text(&input, "$1\r\nx\r\n");
    feed_bytes(&feed, buffer_bytes(&input));
    assert_int_equal(feed.args.count, 2000);
    assert_int_equal(feed.reader.found_capacity, 0);
    buffer_release(&input);
    feed_close(&feed);
}
