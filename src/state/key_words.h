/* SPDX-License-Identifier: Apache-2.0 */
/* key_words: words that several commands on keys share. */
#ifndef STATE_KEY_WORDS_H
#define STATE_KEY_WORDS_H

#include "state/tx.h"

const char *key_type_name(enum key_type type); /* as TYPE says it */

#endif
