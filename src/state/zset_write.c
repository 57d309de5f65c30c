/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted sets: members one by one. */
#include <math.h>

#include "state/arguments.h"
#include "state/evals.h"
#include "state/zset.h"

/* --- ZADD, ZINCRBY --- */

struct zadd {
    bool nx, xx, gt, lt, ch, incr;
    size_t first; /* of the pairs, among the words */
    size_t pairs;
};

static bool refuse(struct tx *tx, const char *error)
{
    tx->reply->ops->error(tx->reply, error);
    return false;
}

static bool check_zadd(struct tx *tx, const struct zadd *zadd)
{
    if (zadd->nx && zadd->xx)
        return refuse(tx, "ERR XX and NX options at the same time are not compatible");
    if ((zadd->nx && (zadd->gt || zadd->lt)) || (zadd->gt && zadd->lt))
        return refuse(tx, "ERR GT, LT, and/or NX options at the same time are not compatible");
    if (zadd->incr && zadd->pairs > 1)
        return refuse(tx, "ERR INCR option supports a single increment-element pair");
    return true;
}

static bool parse_zadd(struct tx *tx, const struct args *args, struct zadd *out)
{
    const struct {
        const char *word;
        bool *flag;
    } options[] = {{"nx", &out->nx}, {"xx", &out->xx}, {"gt", &out->gt},
                   {"lt", &out->lt}, {"ch", &out->ch}, {"incr", &out->incr}};
    const size_t count = sizeof options / sizeof options[0];
    for (out->first = 2; out->first < args->count; out->first++) {
        size_t i = 0;
        while (i < count && !bytes_is_word(args->at[out->first], options[i].word)) i++;
        if (i == count) break;
        *options[i].flag = true;
    }
    size_t words = args->count - out->first;
    if (words == 0 || words % 2 != 0) return refuse(tx, ERROR_SYNTAX);
    out->pairs = words / 2;
    if (!check_zadd(tx, out)) return false;
    for (size_t i = out->first; i < args->count; i += 2) {
        double score;
        if (!argument_score(tx, args->at[i], ERROR_NOT_FLOAT, &score)) return false;
    }
    return true;
}

enum added { ADDED_NOTHING, ADDED_SAME, ADDED_CHANGED, ADDED_NEW, ADDED_NAN };

/* Adds one pair as the options want it; with INCR pair->score becomes the sum. */
static enum added add_pair(struct tx *tx, struct key *key, const struct zadd *zadd,
                           struct zset_pair *pair)
{
    double old;
    if (!zset_score(tx, key, pair->member, &old)) {
        if (zadd->xx) return ADDED_NOTHING;
        zset_put(tx, key, pair, NULL);
        return ADDED_NEW;
    }
    if (zadd->nx) return ADDED_NOTHING;
    if (zadd->incr) {
        pair->score += old;
        if (isnan(pair->score)) return ADDED_NAN;
    }
    if (zadd->lt && pair->score >= old) return ADDED_NOTHING;
    if (zadd->gt && pair->score <= old) return ADDED_NOTHING;
    if (pair->score == old) return ADDED_SAME;
    zset_put(tx, key, pair, &old);
    return ADDED_CHANGED;
}

static void store_added(struct tx *tx, struct key *key, const char *event)
{
    struct bytes name = tx_scratch_copy(tx, key->name);
    tx_store(tx, key);
    tx_notify(tx, NOTIFY_ZSET, event, tx->database, name);
}

static void increment(struct tx *tx, struct key *key, const struct zadd *zadd,
                      struct zset_pair *pair)
{
    enum added added = add_pair(tx, key, zadd, pair);
    if (added == ADDED_NAN) {
        tx->reply->ops->error(tx->reply, "ERR resulting score is not a number (NaN)");
        return;
    }
    if (added == ADDED_NOTHING) tx->reply->ops->null(tx->reply);
    else tx->reply->ops->number(tx->reply, pair->score);
    if (added == ADDED_CHANGED || added == ADDED_NEW) store_added(tx, key, "zincr");
}

static void add(struct tx *tx, const struct args *args, struct zadd *zadd)
{
    if (!parse_zadd(tx, args, zadd)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) tx_create(tx, args->at[1], KEY_ZSET, &key);
    int64_t created = 0, changed = 0;
    for (size_t i = zadd->first; i < args->count; i += 2) {
        struct zset_pair pair = {.member = args->at[i + 1]};
        if (!argument_score(tx, args->at[i], ERROR_NOT_FLOAT, &pair.score)) return;
        if (zadd->incr) {
            increment(tx, &key, zadd, &pair);
            return;
        }
        enum added added = add_pair(tx, &key, zadd, &pair);
        if (added == ADDED_NEW) created++;
        if (added == ADDED_CHANGED) changed++;
    }
    if (created + changed > 0) store_added(tx, &key, "zadd");
    tx->reply->ops->integer(tx->reply, zadd->ch ? created + changed : created);
}

void eval_ZADD(struct tx *tx, const struct args *args)
{
    struct zadd zadd = {0};
    add(tx, args, &zadd);
}

/* ZADD with INCR in other words; Redis reads the options here too. */
void eval_ZINCRBY(struct tx *tx, const struct args *args)
{
    struct zadd zadd = {.incr = true};
    add(tx, args, &zadd);
}

/* --- ZREM --- */

void eval_ZREM(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    int64_t removed = 0;
    for (size_t i = 2; found == FOUND_KEY && i < args->count && key.size > 0; i++) {
        struct zset_pair pair = {.member = args->at[i]};
        if (!zset_score(tx, &key, pair.member, &pair.score)) continue;
        zset_remove(tx, &key, &pair);
        removed++;
    }
    if (removed > 0) zset_cut(tx, &key, "zrem");
    tx->reply->ops->integer(tx->reply, removed);
}

/* --- Scores and the number of members --- */

void eval_ZSCORE(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    double score;
    if (found == FOUND_KEY && zset_score(tx, &key, args->at[2], &score))
        tx->reply->ops->number(tx->reply, score);
    else tx->reply->ops->null(tx->reply);
}

void eval_ZMSCORE(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->array(tx->reply, args->count - 2);
    for (size_t i = 2; i < args->count; i++) {
        double score;
        if (found == FOUND_KEY && zset_score(tx, &key, args->at[i], &score))
            tx->reply->ops->number(tx->reply, score);
        else tx->reply->ops->null(tx->reply);
    }
}

void eval_ZCARD(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->integer(tx->reply, found == FOUND_KEY ? (int64_t)key.size : 0);
}
