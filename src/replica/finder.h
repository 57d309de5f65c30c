/* SPDX-License-Identifier: Apache-2.0 */
/* finder: asks at a Redis port where the copy behind it accepts sessions. No I/O: what is to be
 * sent, then the answer in any pieces.
 *
 *   [AUTH ->] INFO replication -> a bulk of lines, one of which is tidemark_peer_port:NNNN
 */
#ifndef REPLICA_FINDER_H
#define REPLICA_FINDER_H

#include "base/buffer.h"
#include "base/err.h"

enum finder_outcome {
    FINDER_MORE,    /* of the answer is to come */
    FINDER_FOUND,   /* port, copy */
    FINDER_CLOSED,  /* a tidemark that accepts no sessions */
    FINDER_REDIS,   /* a Redis server */
    FINDER_LOADING, /* it answers soon */
    FINDER_REFUSED, /* with its own words, in why */
    FINDER_FOREIGN, /* something else, or out of bounds */
};

enum { FINDER_LINE_BYTES_MAX = 4096, FINDER_BULK_BYTES_MAX = 64 << 10 };

struct finder {
    enum finder_outcome outcome;
    bool authenticates; /* the answer to AUTH comes first */
    struct buffer held;
    unsigned port;
    uint64_t copy;  /* 0: it did not say */
    struct why why; /* "" while there is none, and with FINDER_FOUND */
};

/* Appends what is to be sent. Empty password: no AUTH; empty user: that of the password alone. */
void finder_init(struct finder *finder, struct bytes user, struct bytes password,
                 struct buffer *send);
void finder_release(struct finder *finder); /* zeroed or released is fine */
/* Takes what arrived. Once the outcome is known, nothing more is looked at. */
enum finder_outcome finder_take(struct finder *finder, struct bytes bytes);

#endif
