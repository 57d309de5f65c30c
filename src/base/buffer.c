/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/must.h"

enum { BUFFER_FIRST_BYTES = 64 };

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){NULL, 0, 0};
}

void buffer_release(struct buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct buffer){NULL, 0, 0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

/* Out of line, so that the appends' usual path stays a comparison and a copy. */
__attribute__((noinline, cold)) static void buffer_grow(struct buffer *buffer, size_t more)
{
    MUST(more <= SIZE_MAX / 2 - buffer->size);
    size_t need = buffer->size + more;
    size_t capacity = buffer->capacity > 0 ? buffer->capacity * 2 : BUFFER_FIRST_BYTES;
    if (capacity < need) capacity = need;
    buffer->data = memory_resize(buffer->data, capacity);
    buffer->capacity = capacity;
}

static inline uint8_t *buffer_room(struct buffer *buffer, size_t more)
{
    if (__builtin_expect(buffer->data == NULL || buffer->capacity - buffer->size < more, 0))
        buffer_grow(buffer, more);
    return buffer->data + buffer->size;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t more)
{
    return buffer_room(buffer, more);
}

void buffer_append(struct buffer *buffer, struct bytes bytes)
{
    if (bytes.size == 0) return;
    memcpy(buffer_room(buffer, bytes.size), bytes.data, bytes.size);
    buffer->size += bytes.size;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, bytes_text(text));
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    *buffer_room(buffer, 1) = byte;
    buffer->size += 1;
}

void buffer_append_le16(struct buffer *buffer, uint16_t value)
{
    store_le16(buffer_room(buffer, sizeof(value)), value);
    buffer->size += sizeof(value);
}

void buffer_append_le32(struct buffer *buffer, uint32_t value)
{
    store_le32(buffer_room(buffer, sizeof(value)), value);
    buffer->size += sizeof(value);
}

void buffer_append_le64(struct buffer *buffer, uint64_t value)
{
    store_le64(buffer_room(buffer, sizeof(value)), value);
    buffer->size += sizeof(value);
}

void buffer_append_be64(struct buffer *buffer, uint64_t value)
{
    store_be64(buffer_room(buffer, sizeof(value)), value);
    buffer->size += sizeof(value);
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    uint8_t *at = buffer_room(buffer, BUFFER_FIRST_BYTES);
    size_t room = buffer->capacity - buffer->size;
    int length = vsnprintf((char *)at, room, format, list);
    va_end(list);
    MUST(length >= 0);
    if ((size_t)length >= room) {
        /* vsnprintf also writes a zero, which is not part of the content. */
        at = buffer_room(buffer, (size_t)length + 1);
        (void)vsnprintf((char *)at, (size_t)length + 1, format, again);
    }
    va_end(again);
    buffer->size += (size_t)length;
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    MUST(count <= buffer->size);
    if (count == 0) return;
    size_t left = buffer->size - count;
    if (left > 0) memmove(buffer->data, buffer->data + count, left);
    buffer->size = left;
}

void buffer_shrink(struct buffer *buffer, size_t keep)
{
    if (buffer->capacity <= keep || buffer->size > keep) return;
    if (keep == 0) {
        buffer_release(buffer);
        return;
    }
    buffer->data = memory_resize(buffer->data, keep);
    buffer->capacity = keep;
}
