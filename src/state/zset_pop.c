/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted sets: pops from either end, of the first of several keys, and the forms that wait.
 *
 * As with lists, a key of another type is an error only at a waiting command's first evaluation; at
 * the later ones (tx->serving) it is as good as an absent key. */
#include "state/arguments.h"
#include "state/evals.h"
#include "state/tx_effects.h"
#include "state/zset.h"
#include "state/zset_range.h"

static enum found find_zset(struct tx *tx, struct bytes name, struct key *key)
{
    if (!tx->serving) return tx_find_typed(tx, name, KEY_ZSET, key);
    return tx_find(tx, name, key) && key->type == KEY_ZSET ? FOUND_KEY : FOUND_ABSENT;
}

/* Takes `count` pairs (at most all) off an end. The caller releases `pairs`. */
static void take(struct tx *tx, struct key *key, bool highest, uint64_t count,
                 struct zset_pairs *pairs)
{
    if (count > key->size) count = key->size;
    struct zset_range range = {.order = ZSET_BY_RANK,
                               .reverse = highest,
                               .limit = -1,
                               .start = 0,
                               .stop = (int64_t)count - 1};
    zset_pairs_init(pairs);
    zset_gather(tx, key, &range, pairs);
    zset_remove_pairs(tx, key, pairs);
    zset_cut(tx, key, highest ? "zpopmax" : "zpopmin");
}

static void reply_pairs(struct reply *reply, const struct zset_pairs *pairs, bool nested)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (nested) reply->ops->array(reply, 2);
        reply->ops->bulk(reply, pairs->at[i].member);
        reply->ops->number(reply, pairs->at[i].score);
    }
}

/* --- ZPOPMIN, ZPOPMAX --- */

static void answer_pop(struct tx *tx, const struct args *args, bool highest)
{
    if (args->count > 3) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    bool counted = args->count == 3;
    int64_t count = 1;
    if (counted && !argument_at_least(tx, args->at[2], 0, ERROR_NOT_POSITIVE, &count)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT || count == 0) {
        tx->reply->ops->array(tx->reply, 0);
        return;
    }
    struct zset_pairs pairs;
    take(tx, &key, highest, (uint64_t)count, &pairs);
    bool nested = counted && tx->reply->ops->is_resp3(tx->reply);
    tx->reply->ops->array(tx->reply, nested ? pairs.count : 2 * pairs.count);
    reply_pairs(tx->reply, &pairs, nested);
    zset_pairs_release(&pairs);
}

void eval_ZPOPMIN(struct tx *tx, const struct args *args)
{
    answer_pop(tx, args, false);
}

void eval_ZPOPMAX(struct tx *tx, const struct args *args)
{
    answer_pop(tx, args, true);
}

/* --- The first of several sorted sets --- */

/* Replies with key, member and score; `pops->count` of 0 asks for that form. */
static void reply_one(struct tx *tx, struct bytes name, const struct zset_pairs *pairs)
{
    tx->reply->ops->array(tx->reply, 3);
    tx->reply->ops->bulk(tx->reply, name);
    reply_pairs(tx->reply, pairs, false);
}

static void reply_several(struct tx *tx, struct bytes name, const struct zset_pairs *pairs)
{
    tx->reply->ops->array(tx->reply, 2);
    tx->reply->ops->bulk(tx->reply, name);
    tx->reply->ops->array(tx->reply, pairs->count);
    reply_pairs(tx->reply, pairs, true);
}

/* ZPOPMIN or ZPOPMAX, with a count where the client gave one. */
static void tell_popped(struct tx *tx, struct bytes name, const struct argument_pops *pops,
                        size_t count)
{
    if (!tx->streams) return;
    struct bytes words[3] = {bytes_text(pops->second ? "ZPOPMAX" : "ZPOPMIN"), name};
    words[2] = tx_effect_number(tx, (int64_t)count);
    tx_effect(tx, words, pops->count == 0 ? 2 : 3);
}

/* Serves from the first key that is there. False: none is, and nothing was written. */
static bool pop_first(struct tx *tx, const struct argument_pops *pops)
{
    for (size_t i = 0; i < pops->keys_count; i++) {
        struct key key;
        enum found found = find_zset(tx, pops->keys[i], &key);
        if (found == FOUND_WRONG) return true;
        if (found == FOUND_ABSENT) continue;
        struct zset_pairs pairs;
        take(tx, &key, pops->second, pops->count == 0 ? 1 : pops->count, &pairs);
        tell_popped(tx, pops->keys[i], pops, pairs.count);
        if (pops->count == 0) reply_one(tx, pops->keys[i], &pairs);
        else reply_several(tx, pops->keys[i], &pairs);
        zset_pairs_release(&pairs);
        return true;
    }
    return false;
}

static void pop_or_wait(struct tx *tx, const struct argument_pops *pops)
{
    if (pop_first(tx, pops)) return;
    if (tx->in_transaction) tx->reply->ops->null_array(tx->reply);
    else tx->waits = true;
}

static void blocking_pop(struct tx *tx, const struct args *args, bool highest)
{
    if (!argument_timeout(tx, args->at[args->count - 1])) return;
    pop_or_wait(tx, &(struct argument_pops){.keys = &args->at[1],
                                            .keys_count = args->count - 2,
                                            .second = highest,
                                            .count = 0});
}

void eval_BZPOPMIN(struct tx *tx, const struct args *args)
{
    blocking_pop(tx, args, false);
}

void eval_BZPOPMAX(struct tx *tx, const struct args *args)
{
    blocking_pop(tx, args, true);
}

static const char *const end_words[2] = {"min", "max"};

void eval_ZMPOP(struct tx *tx, const struct args *args)
{
    struct argument_pops pops;
    if (!argument_pops(tx, args, 1, end_words, &pops)) return;
    if (!pop_first(tx, &pops)) tx->reply->ops->null_array(tx->reply);
}

void eval_BZMPOP(struct tx *tx, const struct args *args)
{
    struct argument_pops pops;
    if (!argument_pops(tx, args, 2, end_words, &pops)) return;
    if (!argument_timeout(tx, args->at[1])) return;
    pop_or_wait(tx, &pops);
}
