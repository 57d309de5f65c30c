/* SPDX-License-Identifier: Apache-2.0 */
#include "rdb/cursor.h"

#include <inttypes.h>
#include <liblzf/lzf.h>
#include <limits.h>
#include <math.h>

#include "base/number.h"
#include "rdb/format.h"

enum {
    /* Three bytes of LZF can stand for at most 264. */
    LZF_FACTOR_MAX = 88,
    SCORE_MINUS_INFINITE = 255,
    SCORE_INFINITE = 254,
    SCORE_NAN = 253,
};

enum err cursor_take(struct cursor *cursor, uint64_t count, const uint8_t **out)
{
    size_t left = cursor->in.size - cursor->at;
    if (count > left) {
        cursor->need = cursor->at + (size_t)count; /* if it wraps it is only too modest */
        return ERR_PENDING;
    }
    *out = cursor->in.data + cursor->at;
    cursor->at += (size_t)count;
    return ERR_OK;
}

enum err cursor_byte(struct cursor *cursor, uint8_t *out)
{
    const uint8_t *at;
    enum err err = cursor_take(cursor, 1, &at);
    if (err == ERR_OK) *out = *at;
    return err;
}

static enum err cursor_corrupt(struct cursor *cursor, const char *what)
{
    return why_fail(cursor->why, ERR_CORRUPT, "offset %" PRIu64 ": %s", cursor->offset + cursor->at,
                    what);
}

/* *special: *out is not a length but the form of a string. */
static enum err any_length(struct cursor *cursor, uint64_t *out, bool *special)
{
    uint8_t first;
    const uint8_t *at;
    enum err err = cursor_byte(cursor, &first);
    if (err != ERR_OK) return err;
    *special = first >> 6 == RDB_LENGTH_SPECIAL;
    *out = first & 63;
    if (*special || first >> 6 == RDB_LENGTH_6) return ERR_OK;
    if (first >> 6 == RDB_LENGTH_14) {
        err = cursor_take(cursor, 1, &at);
        if (err == ERR_OK) *out = *out << 8 | *at;
    } else if (first == RDB_LENGTH_32) {
        err = cursor_take(cursor, 4, &at);
        if (err == ERR_OK) *out = load_be32(at);
    } else if (first == RDB_LENGTH_64) {
        err = cursor_take(cursor, 8, &at);
        if (err == ERR_OK) *out = load_be64(at);
    } else {
        err = cursor_corrupt(cursor, "a length of no known form");
    }
    return err;
}

enum err cursor_length(struct cursor *cursor, uint64_t *out)
{
    bool special;
    enum err err = any_length(cursor, out, &special);
    if (err != ERR_OK || !special) return err;
    return cursor_corrupt(cursor, "the form of a string where a length should be");
}

static enum err check_bound(struct cursor *cursor, uint64_t size)
{
    if (cursor->string_bytes_max == 0 || size <= cursor->string_bytes_max) return ERR_OK;
    return why_fail(cursor->why, ERR_LIMIT,
                    "offset %" PRIu64 ": a string of %" PRIu64 " bytes, the bound is %" PRIu64,
                    cursor->offset + cursor->at, size, cursor->string_bytes_max);
}

static enum err integer_string(struct cursor *cursor, unsigned bytes, struct buffer *scratch,
                               struct bytes *out)
{
    const uint8_t *at;
    enum err err = cursor_take(cursor, bytes, &at);
    if (err != ERR_OK) return err;
    int64_t value = bytes == 1   ? (int8_t)*at
                    : bytes == 2 ? (int16_t)load_le16(at)
                                 : (int32_t)load_le32(at);
    buffer_clear(scratch);
    char *text = (char *)buffer_reserve(scratch, NUMBER_TEXT_BYTES);
    scratch->size = number_format_int64(value, text);
    *out = buffer_bytes(scratch);
    return ERR_OK;
}

static enum err compressed_string(struct cursor *cursor, struct buffer *scratch, struct bytes *out)
{
    uint64_t stored, size;
    const uint8_t *at;
    enum err err = cursor_length(cursor, &stored);
    if (err == ERR_OK) err = cursor_length(cursor, &size);
    if (err == ERR_OK) err = check_bound(cursor, stored);
    if (err == ERR_OK) err = check_bound(cursor, size);
    if (err != ERR_OK) return err;
    if (stored == 0 || size == 0 || stored > UINT_MAX || size > UINT_MAX)
        return cursor_corrupt(cursor, "a compressed string of an impossible size");
    if ((size - 1) / LZF_FACTOR_MAX >= stored)
        return cursor_corrupt(cursor, "a compressed string that cannot become so long");
    err = cursor_take(cursor, stored, &at);
    if (err != ERR_OK) return err;
    buffer_clear(scratch);
    uint8_t *to = buffer_reserve(scratch, (size_t)size);
    if (lzf_decompress(at, (unsigned)stored, to, (unsigned)size) != size)
        return cursor_corrupt(cursor, "a compressed string that does not decompress");
    scratch->size = (size_t)size;
    *out = buffer_bytes(scratch);
    return ERR_OK;
}

enum err cursor_string(struct cursor *cursor, struct buffer *scratch, struct bytes *out)
{
    uint64_t length;
    bool special;
    enum err err = any_length(cursor, &length, &special);
    if (err != ERR_OK) return err;
    if (special) {
        switch (length) {
        case RDB_STRING_INT8: return integer_string(cursor, 1, scratch, out);
        case RDB_STRING_INT16: return integer_string(cursor, 2, scratch, out);
        case RDB_STRING_INT32: return integer_string(cursor, 4, scratch, out);
        case RDB_STRING_LZF: return compressed_string(cursor, scratch, out);
        }
        return cursor_corrupt(cursor, "a string of no known form");
    }
    const uint8_t *at;
    err = check_bound(cursor, length);
    if (err == ERR_OK) err = cursor_take(cursor, length, &at);
    if (err == ERR_OK) *out = bytes_of(at, (size_t)length);
    return err;
}

enum err cursor_text_score(struct cursor *cursor, double *out)
{
    uint8_t length;
    const uint8_t *at;
    enum err err = cursor_byte(cursor, &length);
    if (err != ERR_OK) return err;
    switch (length) {
    case SCORE_MINUS_INFINITE: *out = -INFINITY; return ERR_OK;
    case SCORE_INFINITE: *out = INFINITY; return ERR_OK;
    case SCORE_NAN: return cursor_corrupt(cursor, "a score that is not a number");
    }
    err = cursor_take(cursor, length, &at);
    if (err != ERR_OK) return err;
    if (number_parse_double(bytes_of(at, length), out)) return ERR_OK;
    return cursor_corrupt(cursor, "a score that is not a number");
}

enum err cursor_score(struct cursor *cursor, double *out)
{
    const uint8_t *at;
    enum err err = cursor_take(cursor, 8, &at);
    if (err != ERR_OK) return err;
    uint64_t bits = load_le64(at);
    memcpy(out, &bits, sizeof(*out));
    return isnan(*out) ? cursor_corrupt(cursor, "a score that is not a number") : ERR_OK;
}
