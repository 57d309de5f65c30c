/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted sets: ranges read, counted, stored and removed; places of members. */
#include "state/arguments.h"
#include "state/evals.h"
#include "state/zset.h"
#include "state/zset_range.h"

/* --- ZRANGE and its older forms --- */

/* What the name of a command settles before its options are read. */
enum form {
    FORM_ANY,     /* BYSCORE, BYLEX and REV may come */
    FORM_SETTLED, /* order and direction are given */
};

struct query_range {
    struct zset_range range;
    bool scores;
};

/* Reads `key first second [options]`. Where the result is stored the target stands before them, and
 * WITHSCORES is no option. */
static bool parse_query(struct tx *tx, const struct args *args, enum form form, bool storing,
                        struct query_range *out)
{
    size_t at = storing ? 2 : 1;
    struct zset_range *range = &out->range;
    range->limit = -1;
    bool ordered = range->order != ZSET_BY_RANK || form == FORM_SETTLED;
    for (size_t i = at + 3; i < args->count; i++) {
        struct bytes word = args->at[i];
        if (!storing && bytes_is_word(word, "withscores")) {
            out->scores = true;
        } else if (bytes_is_word(word, "limit") && i + 2 < args->count) {
            if (!argument_integer(tx, args->at[i + 1], ERROR_NOT_INTEGER, &range->offset))
                return false;
            if (!argument_integer(tx, args->at[i + 2], ERROR_NOT_INTEGER, &range->limit))
                return false;
            i += 2;
        } else if (form == FORM_ANY && !range->reverse && bytes_is_word(word, "rev")) {
            range->reverse = true;
        } else if (!ordered && bytes_is_word(word, "bylex")) {
            range->order = ZSET_BY_LEX;
            ordered = true;
        } else if (!ordered && bytes_is_word(word, "byscore")) {
            range->order = ZSET_BY_SCORE;
            ordered = true;
        } else {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
            return false;
        }
    }
    if (range->limit != -1 && range->order == ZSET_BY_RANK) {
        tx->reply->ops->error(tx->reply, "ERR syntax error, LIMIT is only supported in combination "
                                         "with either BYSCORE or BYLEX");
        return false;
    }
    if (out->scores && range->order == ZSET_BY_LEX) {
        tx->reply->ops->error(
            tx->reply, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    bool high_first = range->reverse && range->order != ZSET_BY_RANK;
    return zset_range_parse(tx, range, args->at[high_first ? at + 2 : at + 1],
                            args->at[high_first ? at + 1 : at + 2]);
}

static void reply_range(struct tx *tx, const struct key *key, const struct query_range *query)
{
    struct reply *reply = tx->reply;
    bool by_rank = query->range.order == ZSET_BY_RANK;
    size_t opened = 0, count = 0;
    if (by_rank) {
        uint64_t size = zset_range_size(tx, key, &query->range);
        zset_reply_count(reply, (size_t)size, query->scores);
    } else {
        opened = reply->ops->array_open(reply);
    }
    struct zset_walk walk;
    struct zset_pair pair;
    zset_walk_open(&walk, tx, key, &query->range);
    for (; zset_walk_next(&walk, &pair); count++) zset_reply_pair(reply, &pair, query->scores);
    zset_walk_close(&walk);
    bool flat = query->scores && !reply->ops->is_resp3(reply);
    if (!by_rank) reply->ops->array_close(reply, opened, flat ? 2 * count : count);
}

static void answer_range(struct tx *tx, const struct args *args, enum form form,
                         struct zset_range range)
{
    struct query_range query = {range, false};
    if (!parse_query(tx, args, form, false, &query)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) tx->reply->ops->array(tx->reply, 0);
    else reply_range(tx, &key, &query);
}

void eval_ZRANGE(struct tx *tx, const struct args *args)
{
    answer_range(tx, args, FORM_ANY, (struct zset_range){.order = ZSET_BY_RANK});
}

void eval_ZREVRANGE(struct tx *tx, const struct args *args)
{
    answer_range(tx, args, FORM_SETTLED,
                 (struct zset_range){.order = ZSET_BY_RANK, .reverse = true});
}

void eval_ZRANGEBYSCORE(struct tx *tx, const struct args *args)
{
    answer_range(tx, args, FORM_SETTLED, (struct zset_range){.order = ZSET_BY_SCORE});
}

void eval_ZREVRANGEBYSCORE(struct tx *tx, const struct args *args)
{
    answer_range(tx, args, FORM_SETTLED,
                 (struct zset_range){.order = ZSET_BY_SCORE, .reverse = true});
}

void eval_ZRANGEBYLEX(struct tx *tx, const struct args *args)
{
    answer_range(tx, args, FORM_SETTLED, (struct zset_range){.order = ZSET_BY_LEX});
}

void eval_ZREVRANGEBYLEX(struct tx *tx, const struct args *args)
{
    answer_range(tx, args, FORM_SETTLED,
                 (struct zset_range){.order = ZSET_BY_LEX, .reverse = true});
}

void eval_ZRANGESTORE(struct tx *tx, const struct args *args)
{
    struct query_range query = {{.order = ZSET_BY_RANK}, false};
    if (!parse_query(tx, args, FORM_ANY, true, &query)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[2], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    struct zset_pairs pairs;
    zset_pairs_init(&pairs);
    if (found == FOUND_KEY) zset_gather(tx, &key, &query.range, &pairs);
    zset_replace(tx, args->at[1], &pairs, "zrangestore");
    zset_pairs_release(&pairs);
}

/* --- Counting and removing --- */

static void answer_count(struct tx *tx, const struct args *args, enum zset_order order)
{
    struct zset_range range = {.order = order, .limit = -1};
    if (!zset_range_parse(tx, &range, args->at[2], args->at[3])) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    uint64_t count = found == FOUND_KEY ? zset_range_size(tx, &key, &range) : 0;
    tx->reply->ops->integer(tx->reply, (int64_t)count);
}

void eval_ZCOUNT(struct tx *tx, const struct args *args)
{
    answer_count(tx, args, ZSET_BY_SCORE);
}

void eval_ZLEXCOUNT(struct tx *tx, const struct args *args)
{
    answer_count(tx, args, ZSET_BY_LEX);
}

static void remove_range(struct tx *tx, const struct args *args, enum zset_order order,
                         const char *event)
{
    struct zset_range range = {.order = order, .limit = -1};
    if (!zset_range_parse(tx, &range, args->at[2], args->at[3])) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    struct zset_pairs pairs;
    zset_pairs_init(&pairs);
    if (found == FOUND_KEY) zset_gather(tx, &key, &range, &pairs);
    tx->reply->ops->integer(tx->reply, (int64_t)pairs.count);
    if (pairs.count > 0) {
        zset_remove_pairs(tx, &key, &pairs);
        zset_cut(tx, &key, event);
    }
    zset_pairs_release(&pairs);
}

void eval_ZREMRANGEBYRANK(struct tx *tx, const struct args *args)
{
    remove_range(tx, args, ZSET_BY_RANK, "zremrangebyrank");
}

void eval_ZREMRANGEBYSCORE(struct tx *tx, const struct args *args)
{
    remove_range(tx, args, ZSET_BY_SCORE, "zremrangebyscore");
}

void eval_ZREMRANGEBYLEX(struct tx *tx, const struct args *args)
{
    remove_range(tx, args, ZSET_BY_LEX, "zremrangebylex");
}

/* --- Places --- */

/* How many pairs are before this one, which is there. Two walks leave it in both directions, step
 * by step: the one that ends first tells. */
static uint64_t rank_of(struct tx *tx, const struct key *key, const struct zset_pair *pair)
{
    struct tx_cursor *down = tx_rank_from(tx, key, pair->score, pair->member, true);
    struct tx_cursor *up = tx_rank_from(tx, key, pair->score, pair->member, false);
    struct zset_pair passed;
    uint64_t below = 0, above = 0;
    for (;;) {
        if (!tx_rank_next(down, &passed.score, &passed.member)) break;
        below++;
        if (!tx_rank_next(up, &passed.score, &passed.member)) {
            below = key->size - above + 1;
            break;
        }
        above++;
    }
    tx_cursor_close(down);
    tx_cursor_close(up);
    return below - 1; /* each walk began with the pair itself */
}

static void answer_rank(struct tx *tx, const struct args *args, bool reverse)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    struct zset_pair pair = {.member = args->at[2]};
    if (found == FOUND_ABSENT || !zset_score(tx, &key, pair.member, &pair.score)) {
        tx->reply->ops->null(tx->reply);
        return;
    }
    uint64_t rank = rank_of(tx, &key, &pair);
    tx->reply->ops->integer(tx->reply, (int64_t)(reverse ? key.size - 1 - rank : rank));
}

void eval_ZRANK(struct tx *tx, const struct args *args)
{
    answer_rank(tx, args, false);
}

void eval_ZREVRANK(struct tx *tx, const struct args *args)
{
    answer_rank(tx, args, true);
}
