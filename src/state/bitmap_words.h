/* SPDX-License-Identifier: Apache-2.0 */
/* bitmap_words: what the commands on bits share. */
#ifndef STATE_BITMAP_WORDS_H
#define STATE_BITMAP_WORDS_H

#include "state/tx.h"

/* The offset of a bit; `#n` means n x width, unless `width` is 0. False: the error has been
 * written. */
MUST_USE bool argument_bit_offset(struct tx *tx, struct bytes word, unsigned width, uint64_t *out);

#endif
