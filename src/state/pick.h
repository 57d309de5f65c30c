/* SPDX-License-Identifier: Apache-2.0 */
/* pick: uniform random elements of a hash, set or sorted set, and a random key of a database.
 *
 * Small collections are walked; in big ones a window of the hash order is drawn, and what is in it
 * is taken or rejected so that each element has the same chance. Dice are the evaluation's. */
#ifndef STATE_PICK_H
#define STATE_PICK_H

#include "state/tx.h"

struct picked {
    struct bytes name, value; /* in the evaluation's scratch memory */
};

/* Draws `count` elements, each from all of them: the same one may come again. `out` is the
 * caller's, with room for `count`. Returns how many were drawn: `count`, or 0 of an empty key or
 * while tx_pending(). */
size_t pick_any(struct tx *tx, const struct key *key, size_t count, struct picked *out);
/* Draws min(count, key->size) different elements, every such choice with the same chance; in no
 * particular order. `out` has room for as many. Returns how many were drawn. */
size_t pick_distinct(struct tx *tx, const struct key *key, size_t count, struct picked *out);
/* Draws a key that is not expired. False: there is none. key->name is borrowed until the end of the
 * evaluation; key->text is left out. */
MUST_USE bool pick_key(struct tx *tx, uint8_t database, struct key *key);

#endif
