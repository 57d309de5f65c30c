/* SPDX-License-Identifier: Apache-2.0 */
/* key_words: words that several commands on keys share. */
#ifndef STATE_KEY_WORDS_H
#define STATE_KEY_WORDS_H

#include "state/tx.h"

const char *key_type_name(enum key_type type); /* as TYPE says it */
/* The number of a database. False: the error has been written; `error` where the word is no int, NULL: the usual
 * ones. */
MUST_USE bool argument_database(struct tx *tx, struct bytes word, const char *error, uint8_t *out);

#endif
