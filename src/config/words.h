/* SPDX-License-Identifier: Apache-2.0 */
/* words: a line of a configuration file taken apart, and put together. */
#ifndef CONFIG_WORDS_H
#define CONFIG_WORDS_H

#include "base/buffer.h"

enum { WORDS_MAX = 256 };

/* Words are borrowed from what was split, or from `storage` where an escape made them differ. */
struct words {
    struct buffer storage;
    struct bytes word[WORDS_MAX];
    size_t count;
};

enum words_result { WORDS_GOOD, WORDS_UNBALANCED, WORDS_TOO_MANY };

void words_init(struct words *words);
void words_release(struct words *words);

/* Splits at white space; understands "..." with \n \r \t \b \a \xHH \\ \" and '...' with \'.
 * `line` stays borrowed while the words are used. */
enum words_result words_split(struct words *words, struct bytes line);
/* Splits at each single space, as CONFIG SET does with the value of a list; no quotes. */
enum words_result words_split_plain(struct words *words, struct bytes line);
void words_take_one(struct words *words, struct bytes word);

/* Appends the word so that words_split gives it back; quoted only where that is needed, or always.
 */
void words_quote(struct buffer *out, struct bytes word, bool always);

/* Without white space at both ends. */
struct bytes words_trim(struct bytes text);
/* Cuts the first line off *text, without its line feed. False when nothing is left. */
bool words_next_line(struct bytes *text, struct bytes *line);

#endif
