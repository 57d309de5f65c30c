/* SPDX-License-Identifier: Apache-2.0 */
/* random_reply: the answers of HRANDFIELD, SRANDMEMBER and ZRANDMEMBER. */
#ifndef STATE_RANDOM_REPLY_H
#define STATE_RANDOM_REPLY_H

#include "state/tx.h"

struct random_reply {
    bool one;      /* no count was given: one name, or null */
    int64_t count; /* negative: that many, the same one may come again */
    bool pairs;    /* with values or scores */
};

/* Finds the key, which is to be of that type, and answers. */
void random_reply(struct tx *tx, struct bytes name, enum key_type type,
                  const struct random_reply *want);
/* The whole command, `key [count [with]]`, where elements come in pairs. */
void random_reply_pairs(struct tx *tx, const struct args *args, enum key_type type,
                        const char *with);

/* What the answer to one request for repeated picks may hold: names, values and
 * RANDOM_REPLY_PICK_BYTES for each. More is an error: nothing else bounds their number. */
enum { RANDOM_REPLY_BYTES_MAX = 256 << 20, RANDOM_REPLY_PICK_BYTES = 32 };

#endif
