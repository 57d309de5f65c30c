/* SPDX-License-Identifier: Apache-2.0 */
/* lifetime: the words by which a client says when a key ends: EX, PX, EXAT, PXAT and their value.
 */
#ifndef STATE_LIFETIME_H
#define STATE_LIFETIME_H

#include "state/tx.h"

enum lifetime_kind { LIFETIME_NONE, LIFETIME_EX, LIFETIME_PX, LIFETIME_EXAT, LIFETIME_PXAT };

struct lifetime {
    enum lifetime_kind kind;
    struct bytes value; /* borrowed from the words */
};

/* Whether `option` is one of the four and goes with what was given before; then *out holds it. */
MUST_USE bool lifetime_take(struct lifetime *out, struct bytes option, struct bytes value);
/* The time in ms since 1970; 0: none was given. False: the error has been written. */
MUST_USE bool lifetime_end(struct tx *tx, const struct lifetime *lifetime, const char *command,
                           uint64_t *end_ms);
/* Whether a key that is given this end is removed at once instead. */
static inline bool lifetime_is_over(const struct tx *tx, int64_t end_ms)
{
    return end_ms <= 0 || (!tx->follows && end_ms <= (int64_t)tx_now_ms(tx));
}

#endif
