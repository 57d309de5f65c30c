/* SPDX-License-Identifier: Apache-2.0 */
/* vectors: reads docs/formats/vectors/rdb.txt. */
#ifndef TEST_RDB_VECTORS_H
#define TEST_RDB_VECTORS_H

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/err.h"
#include "test/test.h"

struct vector {
    enum err err; /* what reading it says */
    const char *name;
    struct buffer dump;
    const char *text; /* the meaning, or words of the line for people */
};

static inline unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static inline enum err vector_err(const char *kind)
{
    if (strcmp(kind, "ok") == 0) return ERR_OK;
    if (strcmp(kind, "corrupt") == 0) return ERR_CORRUPT;
    if (strcmp(kind, "refused") == 0) return ERR_REFUSED;
    assert_string_equal(kind, "limit");
    return ERR_LIMIT;
}

/* Cuts the line at its spaces, in place. */
static inline void vector_parse(struct vector *vector, char *line)
{
    char *name = strchr(line, ' ');
    assert_non_null(name);
    *name++ = '\0';
    char *hex = strchr(name, ' ');
    assert_non_null(hex);
    *hex++ = '\0';
    char *text = strstr(hex, " = ");
    assert_non_null(text);
    text[3 + strcspn(text + 3, "\n")] = '\0';
    vector->err = vector_err(line);
    vector->name = name;
    vector->text = text + 3;
    buffer_clear(&vector->dump);
    for (; hex < text; hex += 2)
        buffer_append_byte(&vector->dump, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
}

/* Calls `check` for each and returns how many there are. */
static inline size_t each_vector(void (*check)(const struct vector *vector))
{
    FILE *file = fopen("docs/formats/vectors/rdb.txt", "r");
    assert_non_null(file);
    static char line[1 << 13];
    size_t count = 0;
    struct vector vector = {0};
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#') continue;
        assert_non_null(strchr(line, '\n'));
        vector_parse(&vector, line);
        check(&vector);
        count++;
    }
    buffer_release(&vector.dump);
    (void)fclose(file);
    return count;
}

#endif
