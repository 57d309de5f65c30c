/* SPDX-License-Identifier: Apache-2.0 */
/* zset_range: a part of a sorted set, by place, score or member, and the walk over it. */
#ifndef STATE_ZSET_RANGE_H
#define STATE_ZSET_RANGE_H

#include "state/zset.h"

enum zset_order { ZSET_BY_RANK, ZSET_BY_SCORE, ZSET_BY_LEX };

struct lex_bound {
    enum { LEX_LOWEST, LEX_HIGHEST, LEX_AT, LEX_BEYOND } kind; /* AT includes the member */
    struct bytes member;
};

/* `order`, `reverse`, `offset` and `limit` are the caller's; the rest is zset_range_parse's. */
struct zset_range {
    enum zset_order order;
    bool reverse; /* from the highest to the lowest */
    int64_t offset,
        limit;           /* pairs left out first, and given at most; limit < 0: all. Not by rank */
    int64_t start, stop; /* places in the order of giving, from the end if negative */
    double low, high;    /* both included; low > high: nothing */
    struct lex_bound lowest, highest;
};

/* Reads the lower and the upper end. False: the error has been written. */
MUST_USE bool zset_range_parse(struct tx *tx, struct zset_range *range, struct bytes low,
                               struct bytes high);

struct zset_walk {
    struct tx_cursor *cursor;
    const struct zset_range *range; /* borrowed */
    uint64_t left;
    bool begun;             /* the lower end, of the walk, is behind it */
    struct zset_pairs held; /* gathered from the farther end: given from the last to the first */
};

/* Begins at the first pair of the range; the key may not change until the close. */
void zset_walk_open(struct zset_walk *walk, struct tx *tx, const struct key *key,
                    const struct zset_range *range);
/* The member is borrowed until the next call. */
MUST_USE bool zset_walk_next(struct zset_walk *walk, struct zset_pair *pair);
void zset_walk_close(struct zset_walk *walk);

/* All pairs of the range, in its order, added to `pairs`. */
void zset_gather(struct tx *tx, const struct key *key, const struct zset_range *range,
                 struct zset_pairs *pairs);
/* How many there are: without a walk by rank, or when the range has no ends. */
uint64_t zset_range_size(struct tx *tx, const struct key *key, const struct zset_range *range);

#endif
