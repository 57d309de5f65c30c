/* SPDX-License-Identifier: Apache-2.0 */
#include "state/zset.h"

#include "base/memory.h"
#include "state/score.h"

void zset_pairs_init(struct zset_pairs *pairs)
{
    *pairs = (struct zset_pairs){NULL, 0, 0};
}

void zset_pairs_release(struct zset_pairs *pairs)
{
    memory_free(pairs->at);
}

void zset_pairs_add(struct zset_pairs *pairs, struct zset_pair pair)
{
    if (pairs->count == pairs->capacity) {
        pairs->capacity = pairs->capacity == 0 ? 16 : pairs->capacity * 2;
        pairs->at = memory_resize(pairs->at, pairs->capacity * sizeof pairs->at[0]);
    }
    pairs->at[pairs->count++] = pair;
}

bool zset_score(struct tx *tx, const struct key *key, struct bytes member, double *score)
{
    struct bytes value;
    if (!tx_element(tx, key, member, &value)) return false;
    *score = score_decode(value);
    return true;
}

void zset_put(struct tx *tx, struct key *key, const struct zset_pair *pair, const double *old)
{
    uint8_t value[SCORE_BYTES];
    score_encode(pair->score, value);
    tx_element_put(tx, key, pair->member, bytes_of(value, sizeof value));
    if (old != NULL) tx_rank_remove(tx, key, *old, pair->member);
    tx_rank_put(tx, key, pair->score, pair->member);
}

void zset_remove(struct tx *tx, struct key *key, const struct zset_pair *pair)
{
    if (!tx_element_remove(tx, key, pair->member)) return;
    tx_rank_remove(tx, key, pair->score, pair->member);
}

void zset_remove_pairs(struct tx *tx, struct key *key, const struct zset_pairs *pairs)
{
    if (pairs->count == key->size) { /* the whole key goes, and its elements with it */
        key->size = 0;
        return;
    }
    for (size_t i = 0; i < pairs->count; i++) zset_remove(tx, key, &pairs->at[i]);
}

void zset_cut(struct tx *tx, struct key *key, const char *event)
{
    uint8_t database = key->database;
    struct bytes name = tx_scratch_copy(tx, key->name);
    bool empty = key->size == 0;
    tx_store(tx, key); /* an empty one is removed */
    tx_notify(tx, NOTIFY_ZSET, event, database, name);
    if (empty) tx_notify(tx, NOTIFY_GENERIC, "del", database, name);
}

void zset_replace(struct tx *tx, struct bytes name, const struct zset_pairs *pairs,
                  const char *event)
{
    struct key key;
    bool existed = tx_find(tx, name, &key);
    if (pairs->count > 0) {
        tx_create(tx, name, KEY_ZSET, &key); /* storing it takes the old one away */
        for (size_t i = 0; i < pairs->count && !tx_pending(tx); i++)
            zset_put(tx, &key, &pairs->at[i], NULL);
        tx_store(tx, &key);
        tx_notify(tx, NOTIFY_ZSET, event, tx->database, name);
    } else if (existed) {
        tx_remove(tx, &key);
        tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, name);
    }
    tx->reply->ops->integer(tx->reply, (int64_t)pairs->count);
}

void zset_reply_count(struct reply *reply, size_t count, bool scores)
{
    reply->ops->array(reply, scores && !reply->ops->is_resp3(reply) ? 2 * count : count);
}

void zset_reply_pair(struct reply *reply, const struct zset_pair *pair, bool scores)
{
    if (scores && reply->ops->is_resp3(reply)) reply->ops->array(reply, 2);
    reply->ops->bulk(reply, pair->member);
    if (scores) reply->ops->number(reply, pair->score);
}
