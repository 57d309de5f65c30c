/* SPDX-License-Identifier: Apache-2.0 */
/* zset: what the commands on sorted sets share. A member stands twice: as an element that holds its
 * score, and in the order by (score, member). Both change together, here only. */
#ifndef STATE_ZSET_H
#define STATE_ZSET_H

#include "state/tx.h"

struct zset_pair {
    struct bytes member;
    double score;
};

/* Pairs in an array of their own; members are in the evaluation's scratch memory. */
struct zset_pairs {
    struct zset_pair *at;
    size_t count, capacity;
};
void zset_pairs_init(struct zset_pairs *pairs);
void zset_pairs_release(struct zset_pairs *pairs);
/* Adds a pair as it is: the member must outlive the array. */
void zset_pairs_add(struct zset_pairs *pairs, struct zset_pair pair);

/* Whether the member is there. */
MUST_USE bool zset_score(struct tx *tx, const struct key *key, struct bytes member, double *score);
/* Adds the member, or gives it another score: `old` is the one it has, NULL if it is new. The
 * caller stores the key. */
void zset_put(struct tx *tx, struct key *key, const struct zset_pair *pair, const double *old);
/* Removes a member that is there with that score. Its bytes may not be borrowed from a walk over
 * the key. The caller ends with zset_cut. */
void zset_remove(struct tx *tx, struct key *key, const struct zset_pair *pair);
/* Removes all of them; when that is everything, zset_cut will remove the key with its elements. */
void zset_remove_pairs(struct tx *tx, struct key *key, const struct zset_pairs *pairs);
/* Stores the key, or removes it when nothing is left, and tells of it. */
void zset_cut(struct tx *tx, struct key *key, const char *event);
/* Puts a sorted set of these pairs in the place of whatever stood there, nothing if there are none;
 * tells of it and replies with their number. Each member comes once. */
void zset_replace(struct tx *tx, struct bytes name, const struct zset_pairs *pairs,
                  const char *event);

/* A reply of `count` members, flat or, with scores in RESP3, of pairs. */
void zset_reply_count(struct reply *reply, size_t count, bool scores);
void zset_reply_pair(struct reply *reply, const struct zset_pair *pair, bool scores);

#endif
