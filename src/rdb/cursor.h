/* SPDX-License-Identifier: Apache-2.0 */
/* cursor: the small parts of a dump (bytes, lengths, strings), read from what is there. When too
 * little is there, ERR_PENDING, and `need` says how many bytes from the beginning would do for the
 * next part; the caller drops the cursor and comes again with more. */
#ifndef RDB_CURSOR_H
#define RDB_CURSOR_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/must.h"

struct cursor {
    struct bytes in;
    size_t at;
    size_t need;
    uint64_t offset;           /* of the beginning of `in` in the dump */
    uint64_t string_bytes_max; /* 0: no bound */
    struct why *why;
};

/* *out is the next `count` bytes, borrowed from `in`. */
MUST_USE enum err cursor_take(struct cursor *cursor, uint64_t count, const uint8_t **out);
MUST_USE enum err cursor_byte(struct cursor *cursor, uint8_t *out);
/* A length that is one; ERR_CORRUPT for the special forms of strings. */
MUST_USE enum err cursor_length(struct cursor *cursor, uint64_t *out);
/* *out is borrowed from `in`, or from `scratch`, which is overwritten. */
MUST_USE enum err cursor_string(struct cursor *cursor, struct buffer *scratch, struct bytes *out);
/* A score as text, with one byte for its length or meaning. */
MUST_USE enum err cursor_text_score(struct cursor *cursor, double *out);
/* A score as eight bytes. */
MUST_USE enum err cursor_score(struct cursor *cursor, double *out);

#endif
