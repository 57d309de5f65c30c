/* SPDX-License-Identifier: Apache-2.0 */
/* vectors: reads docs/formats/vectors/log-*.txt and image.txt. */
#ifndef TEST_LOG_VECTORS_H
#define TEST_LOG_VECTORS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "test/test.h"

enum { VECTOR_FIELDS_MAX = 24 };

struct vector {
    FILE *file;
    char name[64];
    char *keys[VECTOR_FIELDS_MAX], *values[VECTOR_FIELDS_MAX];
    size_t fields;
    struct buffer bytes;
    char *line; /* read ahead */
    size_t line_size;
};

static inline unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Appends what the hex digits say, up to the first that is none. */
static inline void hex_take(const char *text, struct buffer *out)
{
    for (; text[0] > ' ' && text[1] > ' '; text += 2)
        buffer_append_byte(out, (uint8_t)(nibble(text[0]) << 4 | nibble(text[1])));
}

static inline void vector_clear(struct vector *vector)
{
    for (size_t i = 0; i < vector->fields; i++) {
        memory_free(vector->keys[i]);
        memory_free(vector->values[i]);
    }
    vector->fields = 0;
    buffer_release(&vector->bytes);
    buffer_init(&vector->bytes);
}

static inline void vector_open(struct vector *vector, const char *path)
{
    *vector = (struct vector){.file = fopen(path, "r")};
    assert_non_null(vector->file);
    vector->line_size = 1 << 16;
    vector->line = memory_zeroed(1, vector->line_size);
}

static inline void vector_close(struct vector *vector)
{
    vector_clear(vector);
    memory_free(vector->line);
    assert_int_equal(fclose(vector->file), 0);
}

static inline char *text_copy(const char *text, size_t size)
{
    char *copy = memory_alloc(size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

static inline void vector_line(struct vector *vector, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "field ", 6) == 0) {
        const char *value = strchr(line + 6, ' ');
        assert_non_null(value);
        assert_true(vector->fields < VECTOR_FIELDS_MAX);
        vector->keys[vector->fields] = text_copy(line + 6, (size_t)(value - line - 6));
        vector->values[vector->fields++] = text_copy(value + 1, strlen(value + 1));
    } else if (strncmp(line, "size ", 5) == 0) {
        size_t size = strtoull(line + 5, NULL, 10);
        memset(buffer_reserve(&vector->bytes, size), 0, size);
        vector->bytes.size = size;
    } else if (strncmp(line, "bytes ", 6) == 0) {
        char *hex;
        size_t at = strtoull(line + 6, &hex, 10);
        struct buffer part;
        buffer_init(&part);
        hex_take(hex + 1, &part);
        assert_true(at + part.size <= vector->bytes.size);
        memcpy(vector->bytes.data + at, part.data, part.size);
        buffer_release(&part);
    } else {
        assert_true(line[0] == '\0' || line[0] == '#');
    }
}

static inline void vector_take_name(struct vector *vector)
{
    (void)snprintf(vector->name, sizeof(vector->name), "%.*s", (int)strcspn(vector->line + 7, "\n"),
                   vector->line + 7);
}

/* The next one of the file; false at the end. */
static inline bool vector_next(struct vector *vector)
{
    vector_clear(vector);
    bool found = strncmp(vector->line, "vector ", 7) == 0;
    if (found) vector_take_name(vector);
    while (fgets(vector->line, (int)vector->line_size, vector->file) != NULL) {
        if (strncmp(vector->line, "vector ", 7) == 0) {
            if (found) return true;
            found = true;
            vector_take_name(vector);
        } else {
            vector_line(vector, vector->line);
        }
    }
    vector->line[0] = '\0';
    return found;
}

static inline const char *vector_text(const struct vector *vector, const char *key)
{
    for (size_t i = 0; i < vector->fields; i++) {
        if (strcmp(vector->keys[i], key) == 0) return vector->values[i];
    }
    fail_msg("no field %s", key);
    return "";
}

static inline uint64_t vector_number(const struct vector *vector, const char *key)
{
    return strtoull(vector_text(vector, key), NULL, 10);
}

static inline uint64_t vector_hex(const struct vector *vector, const char *key)
{
    return strtoull(vector_text(vector, key), NULL, 16);
}

#endif
