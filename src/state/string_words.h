/* SPDX-License-Identifier: Apache-2.0 */
/* string_words: what the commands on strings and on their bits share. */
#ifndef STATE_STRING_WORDS_H
#define STATE_STRING_WORDS_H

#include "state/tx.h"

enum { STRING_BYTES_MAX = 512 << 20 };

/* Whether `size` + `more` bytes may be a string. False: the error has been written. */
MUST_USE bool string_fits(struct tx *tx, uint64_t size, uint64_t more);
/* The key's text cut or, with zeros, filled to `size` bytes; in scratch memory, to be changed and
 * stored. */
uint8_t *string_copy(struct tx *tx, const struct key *key, size_t size);
/* Both ends of a range in something of `size`; negative: from its end. False: nothing is in it. */
MUST_USE bool string_clip(int64_t *start, int64_t *end, int64_t size);

#endif
