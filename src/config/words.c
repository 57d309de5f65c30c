/* SPDX-License-Identifier: Apache-2.0 */
#include "config/words.h"

void words_init(struct words *words)
{
    buffer_init(&words->storage);
    words->count = 0;
}

void words_release(struct words *words)
{
    buffer_release(&words->storage);
    words->count = 0;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    uint8_t low = byte | 0x20;
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static uint8_t escaped(uint8_t letter)
{
    switch (letter) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return letter;
    }
}

/* Appends what the escape at line[at] (a backslash) stands for; returns how much of the line it is.
 */
static size_t take_escape(struct buffer *out, struct bytes line, size_t at)
{
    const uint8_t *from = line.data + at;
    size_t left = line.size - at;
    if (left >= 4 && from[1] == 'x' && hex_digit(from[2]) >= 0 && hex_digit(from[3]) >= 0) {
        buffer_append_byte(out, (uint8_t)(hex_digit(from[2]) * 16 + hex_digit(from[3])));
        return 4;
    }
    if (left < 2) {
        buffer_append_byte(out, '\\');
        return 1;
    }
    buffer_append_byte(out, escaped(from[1]));
    return 2;
}

/* Appends the quoted run that begins behind the quote at *at and moves *at behind its end. */
static bool take_quoted(struct buffer *out, struct bytes line, size_t *at)
{
    uint8_t quote = line.data[*at];
    size_t i = *at + 1;
    while (i < line.size && line.data[i] != quote) {
        if (line.data[i] == '\\' && quote == '"') {
            i += take_escape(out, line, i);
        } else if (line.data[i] == '\\' && i + 1 < line.size && line.data[i + 1] == '\'') {
            buffer_append_byte(out, '\'');
            i += 2;
        } else {
            buffer_append_byte(out, line.data[i++]);
        }
    }
    if (i == line.size) return false;
    *at = i + 1;
    /* A closing quote ends its word. */
    return *at == line.size || is_space(line.data[*at]);
}

enum words_result words_split(struct words *words, struct bytes line)
{
    words->count = 0;
    buffer_clear(&words->storage);
    (void)buffer_reserve(&words->storage, line.size); /* no word is longer: nothing will move */
    for (size_t i = 0;;) {
        while (i < line.size && is_space(line.data[i])) i++;
        if (i == line.size) return WORDS_GOOD;
        if (words->count == WORDS_MAX) return WORDS_TOO_MANY;
        size_t begin = words->storage.size;
        while (i < line.size && !is_space(line.data[i])) {
            if (line.data[i] == '"' || line.data[i] == '\'') {
                if (!take_quoted(&words->storage, line, &i)) return WORDS_UNBALANCED;
                break;
            }
            buffer_append_byte(&words->storage, line.data[i++]);
        }
        words->word[words->count++] = bytes_of(words->storage.data + begin,
                                               words->storage.size - begin);
    }
}

enum words_result words_split_plain(struct words *words, struct bytes line)
{
    words->count = 0;
    if (line.size == 0) return WORDS_GOOD;
    size_t begin = 0;
    for (size_t i = 0; i <= line.size; i++) {
        if (i < line.size && line.data[i] != ' ') continue;
        if (words->count == WORDS_MAX) return WORDS_TOO_MANY;
        words->word[words->count++] = bytes_of(line.data + begin, i - begin);
        begin = i + 1;
    }
    return WORDS_GOOD;
}

void words_take_one(struct words *words, struct bytes word)
{
    words->word[0] = word;
    words->count = 1;
}

static bool needs_quotes(struct bytes word)
{
    if (word.size == 0 || word.data[0] == '#') return true;
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '"' || byte == '\'' || byte == '\\') return true;
    }
    return false;
}

void words_quote(struct buffer *out, struct bytes word, bool always)
{
    if (!always && !needs_quotes(word)) {
        buffer_append(out, word);
        return;
    }
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        if (byte == '"' || byte == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, byte);
        } else if (byte < ' ' || byte >= 0x7f) {
            buffer_append_format(out, "\\x%02x", byte);
        } else {
            buffer_append_byte(out, byte);
        }
    }
    buffer_append_byte(out, '"');
}

struct bytes words_trim(struct bytes text)
{
    while (text.size > 0 && is_space(text.data[0])) text = bytes_of(text.data + 1, text.size - 1);
    while (text.size > 0 && is_space(text.data[text.size - 1])) text.size--;
    return text;
}

bool words_next_line(struct bytes *text, struct bytes *line)
{
    if (text->size == 0) return false;
    const uint8_t *feed = memchr(text->data, '\n', text->size);
    size_t size = feed != NULL ? (size_t)(feed - text->data) : text->size;
    *line = bytes_of(text->data, size);
    size_t used = feed != NULL ? size + 1 : size;
    *text = bytes_of(text->data + used, text->size - used);
    return true;
}
