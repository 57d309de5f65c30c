/* SPDX-License-Identifier: Apache-2.0 */
/* proof: what whoever walks over the records of a store (recount.c, source.c) asks of each of them
 * before it believes it. */
#ifndef STATE_PROOF_H
#define STATE_PROOF_H

#include "seam/store.h"
#include "state/layout.h"
#include "state/meta.h"

/* ERR_OK: nothing is in the store; ERR_EXISTS: something is. Blocks. */
MUST_USE enum err proof_empty(struct store *store, struct why *why);

/* ERR_CORRUPT; `why` names the record: its key in hexadecimal, cut. */
enum err proof_misfit(struct why *why, struct bytes key, const char *what);

/* What a move of the cursor has found: ERR_OK if it begins with the prefix, ERR_NOT_FOUND if it
 * does not or there is none; other errors as they are. */
MUST_USE enum err proof_within(const struct store_cursor *cursor, const struct prefix *prefix,
                               enum err err);

/* The cursor's record, of layout_keys(), as a key of the database; borrowed by *key. ERR_CORRUPT.
 */
MUST_USE enum err proof_key(const struct store_cursor *cursor, const struct prefix *prefix,
                            const struct mark *mark, struct key *key, struct why *why);

struct proof_element {
    int64_t index; /* of a list's item */
    double score;  /* of a sorted set's rank */
    struct bytes name, value;
    struct digest digest; /* what it adds to its key's; of a rank: what its element adds */
};

/* The cursor's record, of a strand of the key (elements, items or ranks); borrowed by *element.
 * ERR_CORRUPT. */
MUST_USE enum err proof_element(const struct store_cursor *cursor, const struct prefix *prefix,
                                const struct key *key, struct proof_element *element,
                                struct why *why);

#endif
