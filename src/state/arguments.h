/* SPDX-License-Identifier: Apache-2.0 */
/* arguments: words to numbers, with the errors that Redis writes when they are none. */
#ifndef STATE_ARGUMENTS_H
#define STATE_ARGUMENTS_H

#include "state/tx.h"

#define ERROR_SYNTAX "ERR syntax error"
#define ERROR_NOT_INTEGER "ERR value is not an integer or out of range"
#define ERROR_NOT_FLOAT "ERR value is not a valid float"
#define ERROR_NOT_POSITIVE "ERR value is out of range, must be positive"

/* In all of these: false means that an error has been written and the command ends. */

/* `error` is what is written for a word that is no integer. */
MUST_USE bool argument_integer(struct tx *tx, struct bytes word, const char *error, int64_t *out);
/* The same error for an integer below `least`. */
MUST_USE bool argument_at_least(struct tx *tx, struct bytes word, int64_t least, const char *error,
                                int64_t *out);
/* From -`most` to `most`; Redis has two errors for this. */
MUST_USE bool argument_within(struct tx *tx, struct bytes word, int64_t most, int64_t *out);
MUST_USE bool argument_score(struct tx *tx, struct bytes word, const char *error, double *out);
/* A blocking command's seconds are only checked here: who waits, and how long, is not the state's
 * business. */
MUST_USE bool argument_timeout(struct tx *tx, struct bytes word);
/* Writes the error for a number of words that the command's own code refuses. */
void argument_wrong_count(struct tx *tx, const struct args *args);

/* `numkeys key [key ...] <first | second> [COUNT count]`: the words of LMPOP, ZMPOP and their
 * blocking forms. */
struct argument_pops {
    const struct bytes *keys; /* borrowed from the words */
    size_t keys_count;
    bool second; /* the second of the two words was given */
    uint64_t count;
};
/* Reads them from args->at[from] to the end; `words` are the two words. */
MUST_USE bool argument_pops(struct tx *tx, const struct args *args, size_t from,
                            const char *const words[2], struct argument_pops *out);

/* `start stop` of a collection with `size` elements, each counted from the end when negative.
 * False: nothing is in the range. Else *start <= *stop < size. */
MUST_USE bool argument_clip_range(int64_t *start, int64_t *stop, uint64_t size);

#endif
