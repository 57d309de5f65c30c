/* SPDX-License-Identifier: Apache-2.0 */
/* The reader keeps offsets, never pointers, between calls: the input may have moved and grown. Its
 * place is
 *
 *   between commands --'*'--> words --'$'--> bulk --bytes--> words ... --last--> between commands
 *                    --other--> an inline line, whole
 *
 * and each step either finishes or leaves the place as it was, so pieces of any size give the same
 * result. */
#include "face/redis/resp.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"

struct resp_word {
    size_t offset, size;
};

enum { WORDS_KEPT = 64, WORDS_STEP = 16 };

void resp_reader_init(struct resp_reader *reader)
{
    *reader = (struct resp_reader){.words = -1, .bulk = -1, .bulk_bytes_max = 512ULL << 20};
    buffer_init(&reader->unquoted);
}

void resp_reader_release(struct resp_reader *reader)
{
    memory_free(reader->found);
    buffer_release(&reader->unquoted);
    reader->found = NULL;
}

static enum resp_result bad(struct resp_reader *reader, const char *text)
{
    snprintf(reader->error, sizeof reader->error, "ERR Protocol error: %s", text);
    return RESP_BAD;
}

static void add_word(struct resp_reader *reader, size_t offset, size_t size)
{
    if (reader->found_count == reader->found_capacity) {
        size_t more = reader->found_capacity == 0 ? WORDS_STEP : reader->found_capacity * 2;
        reader->found = memory_resize(reader->found, more * sizeof *reader->found);
        reader->found_capacity = more;
    }
    reader->found[reader->found_count++] = (struct resp_word){offset, size};
}

/* Looks for the end of the line that begins at `scanned`: RESP_COMMAND when it is there, *line
 * without its end and *next after that; RESP_BAD when it is too long, which depends on the bytes
 * alone. */
static enum resp_result find_line(const struct resp_reader *reader, struct bytes input,
                                  struct bytes *line, size_t *next)
{
    const uint8_t *from = input.data + reader->scanned;
    size_t rest = input.size - reader->scanned;
    size_t looked = rest <= RESP_INLINE_BYTES_MAX ? rest : RESP_INLINE_BYTES_MAX + 1;
    const uint8_t *end = rest == 0 ? NULL : memchr(from, '\r', looked);
    if (end == NULL) return rest > RESP_INLINE_BYTES_MAX ? RESP_BAD : RESP_MORE;
    if (end + 1 == input.data + input.size) return RESP_MORE;
    *line = bytes_of(from, (size_t)(end - from));
    *next = (size_t)(end - input.data) + 2;
    return RESP_COMMAND;
}

/* Up to the words of a whole command: offsets become borrowed bytes. */
static void give_words(struct resp_reader *reader, const uint8_t *base, struct args *args)
{
    args_clear(args);
    for (size_t i = 0; i < reader->found_count; i++) {
        args_push(args, bytes_of(base + reader->found[i].offset, reader->found[i].size));
    }
    reader->found_count = 0;
    if (reader->found_capacity > WORDS_KEPT) {
        memory_free(reader->found);
        reader->found = NULL;
        reader->found_capacity = 0;
    }
}

/* "*<count>\r\n" at the start of the input. */
static enum resp_result read_count(struct resp_reader *reader, struct bytes input)
{
    struct bytes line;
    size_t next = 0;
    enum resp_result found = find_line(reader, input, &line, &next);
    if (found == RESP_BAD) return bad(reader, "too big mbulk count string");
    if (found != RESP_COMMAND) return found;
    int64_t count = 0;
    bool number = number_parse_int64(bytes_of(line.data + 1, line.size - 1), &count);
    if (!number || count > RESP_WORDS_MAX) return bad(reader, "invalid multibulk length");
    if (count > RESP_WORDS_UNAUTHENTICATED_MAX && !reader->authenticated) {
        return bad(reader, "unauthenticated multibulk length");
    }
    reader->scanned = next;
    reader->words = count;
    reader->bulk = -1;
    reader->found_count = 0;
    return RESP_COMMAND;
}

/* "$<length>\r\n" of the next word. */
static enum resp_result read_bulk_header(struct resp_reader *reader, struct bytes input)
{
    if (reader->scanned == input.size) return RESP_MORE;
    struct bytes line;
    size_t next = 0;
    enum resp_result found = find_line(reader, input, &line, &next);
    if (found == RESP_BAD) return bad(reader, "too big bulk count string");
    if (found != RESP_COMMAND) return found;
    uint8_t first = input.data[reader->scanned];
    if (first != '$') {
        char text[64];
        snprintf(text, sizeof text, "expected '$', got '%c'", first == 0 ? '?' : first);
        return bad(reader, text);
    }
    int64_t length = 0;
    bool number = number_parse_int64(bytes_of(line.data + 1, line.size - 1), &length);
    if (!number || length < 0 || (uint64_t)length > reader->bulk_bytes_max) {
        return bad(reader, "invalid bulk length");
    }
    if (length > RESP_BULK_UNAUTHENTICATED_BYTES_MAX && !reader->authenticated) {
        return bad(reader, "unauthenticated bulk length");
    }
    reader->scanned = next;
    reader->bulk = length;
    return RESP_COMMAND;
}

static enum resp_result read_words(struct resp_reader *reader, struct bytes input)
{
    while (reader->words > 0) {
        if (reader->bulk < 0) {
            enum resp_result result = read_bulk_header(reader, input);
            if (result != RESP_COMMAND) return result;
        }
        size_t length = (size_t)reader->bulk;
        if (input.size - reader->scanned < length + 2) return RESP_MORE;
        add_word(reader, reader->scanned, length);
        reader->scanned += length + 2;
        reader->bulk = -1;
        reader->words--;
    }
    return RESP_COMMAND;
}

/* --- Inline commands: words on a line, quoted as in redis-cli --- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\v' || c == '\f';
}

static bool ends_word(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* One escape inside double quotes, from after the backslash; returns how many bytes it took. */
static size_t unquote_escape(struct buffer *out, const uint8_t *at, size_t rest)
{
    if (rest >= 3 && at[0] == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
        buffer_append_byte(out, (uint8_t)(hex_digit(at[1]) << 4 | hex_digit(at[2])));
        return 3;
    }
    uint8_t c = at[0];
    switch (c) {
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 't': c = '\t'; break;
    case 'b': c = '\b'; break;
    case 'a': c = '\a'; break;
    default: break;
    }
    buffer_append_byte(out, c);
    return 1;
}

/* A quoted part from after its opening quote; *at moves past the closing one. False: unbalanced. */
static bool unquote(struct buffer *out, struct bytes line, size_t *at, uint8_t quote)
{
    for (size_t i = *at; i < line.size;) {
        uint8_t c = line.data[i];
        if (c == quote) {
            *at = i + 1;
            return i + 1 == line.size || is_space(line.data[i + 1]);
        }
        if (c == '\\' && i + 1 < line.size && quote == '"') {
            i += 1 + unquote_escape(out, line.data + i + 1, line.size - i - 1);
        } else if (c == '\\' && i + 1 < line.size && line.data[i + 1] == '\'') {
            buffer_append_byte(out, '\'');
            i += 2;
        } else {
            buffer_append_byte(out, c);
            i++;
        }
    }
    return false;
}

static bool split_line(struct resp_reader *reader, struct bytes line)
{
    struct buffer *out = &reader->unquoted;
    buffer_clear(out);
    (void)buffer_reserve(out, 1); /* words may be empty, their place may not be */
    reader->found_count = 0;
    size_t i = 0;
    while (true) {
        while (i < line.size && is_space(line.data[i])) i++;
        if (i >= line.size) return true;
        size_t begins = out->size;
        while (i < line.size && !ends_word(line.data[i])) {
            uint8_t c = line.data[i++];
            if (c == '"' || c == '\'') {
                if (!unquote(out, line, &i, c)) return false;
                break;
            }
            buffer_append_byte(out, c);
        }
        add_word(reader, begins, out->size - begins);
    }
}

static bool begins_with(struct bytes line, const char *word)
{
    size_t size = strlen(word);
    return line.size >= size && bytes_is_word(bytes_of(line.data, size), word);
}

/* A line of an HTTP request: a browser or proxy that was tricked into talking to us. */
static bool is_http(struct bytes line)
{
    static const char *const words[] = {"POST ",  "HEAD ",  "PUT ",     "DELETE ", "OPTIONS ",
                                        "PATCH ", "TRACE ", "CONNECT ", "Host:"};
    static const char version[] = " HTTP/1."; /* and a digit, at the end */
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (begins_with(line, words[i])) return true;
    }
    size_t size = sizeof version;
    return line.size > size &&
           begins_with(bytes_of(line.data + line.size - size, size - 1), version);
}

/* The start of a TLS handshake: record type, major version. */
static bool is_tls(struct bytes input)
{
    return input.size >= 2 && input.data[0] == 0x16 && input.data[1] == 0x03;
}

static enum resp_result read_inline(struct resp_reader *reader, struct bytes input,
                                    struct args *args, size_t *consumed)
{
    if (is_tls(input)) return RESP_FOREIGN;
    const uint8_t *end = memchr(input.data, '\n', input.size);
    size_t seen = end == NULL ? input.size : (size_t)(end - input.data);
    if (seen > RESP_INLINE_BYTES_MAX) return bad(reader, "too big inline request");
    if (end == NULL) return RESP_MORE;
    struct bytes line = bytes_of(input.data, seen);
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    if (is_http(line)) return RESP_FOREIGN;
    if (line.size > 0 && memchr(line.data, 0, line.size) != NULL) {
        return bad(reader, "zero byte in inline request"); /* no person types one */
    }
    if (!split_line(reader, line)) return bad(reader, "unbalanced quotes in request");
    *consumed = seen + 1;
    if (reader->found_count == 0) return RESP_EMPTY;
    give_words(reader, reader->unquoted.data, args);
    return RESP_COMMAND;
}

enum resp_result resp_read(struct resp_reader *reader, struct bytes input, struct args *args,
                           size_t *consumed)
{
    *consumed = 0;
    if (input.size == 0) return RESP_MORE;
    if (reader->words < 0) {
        if (input.data[0] != '*') return read_inline(reader, input, args, consumed);
        enum resp_result result = read_count(reader, input);
        if (result != RESP_COMMAND) return result;
    }
    enum resp_result result = read_words(reader, input);
    if (result != RESP_COMMAND) return result;
    *consumed = reader->scanned;
    reader->scanned = 0;
    reader->words = -1;
    if (reader->found_count == 0) return RESP_EMPTY;
    give_words(reader, input.data, args);
    return RESP_COMMAND;
}
