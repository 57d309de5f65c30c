/* SPDX-License-Identifier: Apache-2.0 */
/* By score and by member a walk begins with a seek. Places are not stored: a place is found by
 * steps from the nearer end of the set. */
#include "state/zset_range.h"

#include <math.h>

#include "base/number.h"
#include "state/arguments.h"

/* --- Reading the ends --- */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Redis reads these as strtod does, more freely than scores: nothing is zero, spaces may lead, what
 * is too large is infinite. */
static bool parse_bound(struct bytes word, double *out)
{
    *out = 0;
    if (word.size == 0) return true;
    while (word.size > 0 && is_space(word.data[0])) word = bytes_of(word.data + 1, word.size - 1);
    if (number_parse_double(word, out)) return true;
    long double large;
    if (!number_parse_long_double(word, &large)) return false;
    *out = (double)large;
    return true;
}

/* An excluded bound is the next number inside it. */
static bool parse_score(struct bytes word, double inwards, double *out, bool *empty)
{
    bool excluded = word.size > 0 && word.data[0] == '(';
    if (excluded) word = bytes_of(word.data + 1, word.size - 1);
    if (!parse_bound(word, out)) return false;
    if (!excluded) return true;
    if (*out == inwards) *empty = true;
    *out = nextafter(*out, inwards);
    return true;
}

static bool parse_lex(struct bytes word, struct lex_bound *out)
{
    if (word.size == 0) return false;
    uint8_t first = word.data[0];
    out->member = bytes_of(word.data + 1, word.size - 1);
    if (first == '-' || first == '+') {
        out->kind = first == '-' ? LEX_LOWEST : LEX_HIGHEST;
        return word.size == 1;
    }
    out->kind = first == '[' ? LEX_AT : LEX_BEYOND;
    return first == '[' || first == '(';
}

static bool refuse(struct tx *tx, const char *error)
{
    tx->reply->ops->error(tx->reply, error);
    return false;
}

bool zset_range_parse(struct tx *tx, struct zset_range *range, struct bytes low, struct bytes high)
{
    bool empty = false;
    switch (range->order) {
    case ZSET_BY_RANK:
        return argument_integer(tx, low, ERROR_NOT_INTEGER, &range->start) &&
               argument_integer(tx, high, ERROR_NOT_INTEGER, &range->stop);
    case ZSET_BY_SCORE:
        if (!parse_score(low, HUGE_VAL, &range->low, &empty) ||
            !parse_score(high, -HUGE_VAL, &range->high, &empty))
            return refuse(tx, "ERR min or max is not a float");
        if (empty) {
            range->low = HUGE_VAL;
            range->high = -HUGE_VAL;
        }
        return true;
    case ZSET_BY_LEX:
        if (!parse_lex(low, &range->lowest) || !parse_lex(high, &range->highest))
            return refuse(tx, "ERR min or max not valid string range item");
        return true;
    }
    return true;
}

/* --- Comparing with the ends --- */

static bool above_lowest(const struct zset_range *range, struct bytes member)
{
    const struct lex_bound *bound = &range->lowest;
    if (bound->kind == LEX_LOWEST || bound->kind == LEX_HIGHEST) return bound->kind == LEX_LOWEST;
    return bytes_compare(member, bound->member) >= (bound->kind == LEX_AT ? 0 : 1);
}

static bool below_highest(const struct zset_range *range, struct bytes member)
{
    const struct lex_bound *bound = &range->highest;
    if (bound->kind == LEX_LOWEST || bound->kind == LEX_HIGHEST) return bound->kind == LEX_HIGHEST;
    return bytes_compare(bound->member, member) >= (bound->kind == LEX_AT ? 0 : 1);
}

/* Whether a walk in the range's direction has reached the range. */
static bool has_begun(const struct zset_range *range, const struct zset_pair *pair)
{
    if (range->order != ZSET_BY_LEX) return true; /* the seek did it */
    return range->reverse ? below_highest(range, pair->member) : above_lowest(range, pair->member);
}

static bool has_ended(const struct zset_range *range, const struct zset_pair *pair)
{
    switch (range->order) {
    case ZSET_BY_RANK: return false;
    case ZSET_BY_SCORE:
        return range->reverse ? pair->score < range->low : pair->score > range->high;
    case ZSET_BY_LEX:
        return range->reverse ? !above_lowest(range, pair->member)
                              : !below_highest(range, pair->member);
    }
    return true;
}

/* --- Walking --- */

static struct tx_cursor *from_end(struct tx *tx, const struct key *key, bool backwards)
{
    double end = backwards ? HUGE_VAL : -HUGE_VAL;
    return tx_rank_from(tx, key, end, bytes_of(NULL, 0), backwards);
}

/* The order by member is meant for members of one score, which is that of the first member met. */
static struct tx_cursor *from_member(struct tx *tx, const struct key *key,
                                     const struct zset_range *range)
{
    const struct lex_bound *bound = range->reverse ? &range->highest : &range->lowest;
    struct tx_cursor *cursor = from_end(tx, key, range->reverse);
    if (bound->kind == LEX_LOWEST || bound->kind == LEX_HIGHEST) return cursor;
    struct zset_pair first;
    bool there = tx_rank_next(cursor, &first.score, &first.member);
    tx_cursor_close(cursor);
    if (!there) return NULL;
    return tx_rank_from(tx, key, first.score, bound->member, range->reverse);
}

/* Places `start` to `stop` of the range's order. */
static void open_by_rank(struct zset_walk *walk, struct tx *tx, const struct key *key,
                         int64_t start, int64_t stop)
{
    walk->left = (uint64_t)(stop - start) + 1;
    int64_t behind = (int64_t)key->size - 1 - stop;
    bool turned = behind < start;
    walk->cursor = from_end(tx, key, walk->range->reverse != turned);
    struct zset_pair pair;
    for (int64_t skip = turned ? behind : start; skip > 0; skip--) {
        if (!tx_rank_next(walk->cursor, &pair.score, &pair.member)) return;
    }
    if (!turned) return;
    for (uint64_t i = 0; i < walk->left; i++) {
        if (!tx_rank_next(walk->cursor, &pair.score, &pair.member)) return;
        pair.member = tx_scratch_copy(tx, pair.member);
        zset_pairs_add(&walk->held, pair);
    }
    tx_cursor_close(walk->cursor);
    walk->cursor = NULL;
}

void zset_walk_open(struct zset_walk *walk, struct tx *tx, const struct key *key,
                    const struct zset_range *range)
{
    *walk = (struct zset_walk){.range = range};
    zset_pairs_init(&walk->held);
    int64_t start = range->start, stop = range->stop;
    switch (range->order) {
    case ZSET_BY_RANK:
        if (argument_clip_range(&start, &stop, key->size)) open_by_rank(walk, tx, key, start, stop);
        return;
    case ZSET_BY_SCORE:
        if (range->low > range->high) return;
        walk->cursor = tx_rank_from(tx, key, range->reverse ? range->high : range->low,
                                    bytes_of(NULL, 0), range->reverse);
        break;
    case ZSET_BY_LEX: walk->cursor = from_member(tx, key, range); break;
    }
    if (range->offset < 0) return;
    walk->left = UINT64_MAX;
    struct zset_pair pair;
    for (int64_t i = 0; i < range->offset && zset_walk_next(walk, &pair);) i++;
    if (walk->left > 0) walk->left = range->limit < 0 ? UINT64_MAX : (uint64_t)range->limit;
}

bool zset_walk_next(struct zset_walk *walk, struct zset_pair *pair)
{
    if (walk->left == 0) return false;
    walk->left--;
    if (walk->held.count > 0) {
        *pair = walk->held.at[--walk->held.count];
        return true;
    }
    while (walk->cursor != NULL && tx_rank_next(walk->cursor, &pair->score, &pair->member)) {
        if (!walk->begun && !has_begun(walk->range, pair)) continue;
        walk->begun = true;
        if (has_ended(walk->range, pair)) break;
        return true;
    }
    walk->left = 0;
    return false;
}

void zset_walk_close(struct zset_walk *walk)
{
    tx_cursor_close(walk->cursor);
    zset_pairs_release(&walk->held);
}

void zset_gather(struct tx *tx, const struct key *key, const struct zset_range *range,
                 struct zset_pairs *pairs)
{
    struct zset_walk walk;
    struct zset_pair pair;
    zset_walk_open(&walk, tx, key, range);
    while (zset_walk_next(&walk, &pair)) {
        pair.member = tx_scratch_copy(tx, pair.member);
        zset_pairs_add(pairs, pair);
    }
    zset_walk_close(&walk);
}

/* --- Counting --- */

static bool is_everything(const struct zset_range *range)
{
    switch (range->order) {
    case ZSET_BY_RANK: return false;
    case ZSET_BY_SCORE: return range->low == -HUGE_VAL && range->high == HUGE_VAL;
    case ZSET_BY_LEX: return range->lowest.kind == LEX_LOWEST && range->highest.kind == LEX_HIGHEST;
    }
    return false;
}

uint64_t zset_range_size(struct tx *tx, const struct key *key, const struct zset_range *range)
{
    int64_t start = range->start, stop = range->stop;
    if (range->order == ZSET_BY_RANK)
        return argument_clip_range(&start, &stop, key->size) ? (uint64_t)(stop - start) + 1 : 0;
    if (is_everything(range) && range->offset == 0 && range->limit < 0) return key->size;
    struct zset_walk walk;
    struct zset_pair pair;
    uint64_t count = 0;
    zset_walk_open(&walk, tx, key, range);
    while (zset_walk_next(&walk, &pair)) count++;
    zset_walk_close(&walk);
    return count;
}
