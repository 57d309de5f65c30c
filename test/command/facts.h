/* SPDX-License-Identifier: Apache-2.0 */
/* facts: reading the text files of facts and vectors, for the tests of this folder. */
#ifndef TEST_COMMAND_FACTS_H
#define TEST_COMMAND_FACTS_H

#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "test/test.h"

enum { FACT_BYTES_MAX = 2048, FACT_WORDS_MAX = 64 };

/* Opens one of the files; tests run from the root of the repository. */
static inline FILE *facts_open(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) fail_msg("%s cannot be opened", path);
    return file;
}

/* The next line that is no comment, without its end; false at the end of the file. */
static inline bool facts_line(FILE *file, char line[FACT_BYTES_MAX])
{
    while (fgets(line, FACT_BYTES_MAX, file) != NULL) {
        size_t size = strlen(line);
        assert_true(size > 0 && line[size - 1] == '\n');
        line[size - 1] = '\0';
        if (line[0] != '#') return true;
    }
    return false;
}

/* Cuts `text` at each `separator`, in place; returns how many words. */
static inline size_t facts_split(char *text, char separator, char *out[FACT_WORDS_MAX])
{
    size_t count = 0;
    for (char *at = text; at != NULL && *at != '\0';) {
        assert_true(count < FACT_WORDS_MAX);
        out[count++] = at;
        at = strchr(at, separator);
        if (at != NULL) *at++ = '\0';
    }
    return count;
}

/* Puts the words together again, `separator` between them. */
static inline void facts_join(const char *const *words, size_t count, char separator,
                              char out[FACT_BYTES_MAX])
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        int more = snprintf(out + size, FACT_BYTES_MAX - size, "%s%.*s", words[i],
                            i + 1 < count ? 1 : 0, &separator);
        assert_true(more >= 0 && size + (size_t)more < FACT_BYTES_MAX);
        size += (size_t)more;
    }
    out[size] = '\0';
}

#endif
