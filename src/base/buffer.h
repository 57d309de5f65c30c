/* SPDX-License-Identifier: Apache-2.0 */
/* buffer: a growable run of bytes with one owner. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/bytes.h"

struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void buffer_init(struct buffer *buffer);    /* empty, nothing allocated */
void buffer_release(struct buffer *buffer); /* frees; init again before the next use */
void buffer_clear(struct buffer *buffer);   /* empty, storage kept */
/* Makes room for `more` bytes beyond the size and returns where they begin; the size is
 * unchanged. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t more);
void buffer_append(struct buffer *buffer, struct bytes bytes);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_byte(struct buffer *buffer, uint8_t byte);
void buffer_append_le16(struct buffer *buffer, uint16_t value);
void buffer_append_le32(struct buffer *buffer, uint32_t value);
void buffer_append_le64(struct buffer *buffer, uint64_t value);
void buffer_append_be64(struct buffer *buffer, uint64_t value);
__attribute__((format(printf, 2, 3))) void buffer_append_format(struct buffer *buffer,
                                                                const char *format, ...);
/* Drops the first `count` bytes. */
void buffer_consume(struct buffer *buffer, size_t count);
/* Gives storage above `keep` back to the heap when the content fits into `keep`. */
void buffer_shrink(struct buffer *buffer, size_t keep);

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){buffer->data, buffer->size};
}

#endif
