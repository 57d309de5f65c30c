/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted sets: members in no order, some at random or all step by step. */
#include "base/number.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/pick.h"
#include "state/scan_options.h"
#include "state/score.h"
#include "state/zset.h"

/* --- ZSCAN --- */

static size_t give_pair(struct reply *reply, struct bytes name, struct bytes value)
{
    char text[NUMBER_TEXT_BYTES];
    reply->ops->bulk(reply, name);
    reply->ops->bulk(reply, bytes_of(text, number_format_double(score_decode(value), text)));
    return 2;
}

void eval_ZSCAN(struct tx *tx, const struct args *args)
{
    scan_elements(tx, args, KEY_ZSET, give_pair);
}

/* --- ZRANDMEMBER --- */

enum {
    PICKS_AT_ONCE = 1024,
    PICK_BYTES = 32,              /* what a member costs in a reply beside its bytes, about */
    PICKED_BYTES_MAX = 256 << 20, /* nothing else bounds an answer that may repeat members */
};

static const char error_too_large[] = "ERR value is out of range, the answer would be too large";

static void put_picked(struct reply *reply, const struct picked *picked, bool scores)
{
    struct zset_pair pair = {picked->name, score_decode(picked->value)};
    zset_reply_pair(reply, &pair, scores);
}

/* `count` members, each drawn from all. */
static void reply_repeated(struct tx *tx, const struct key *key, uint64_t count, bool scores)
{
    struct reply *reply = tx->reply;
    if (count > PICKED_BYTES_MAX / PICK_BYTES) {
        reply->ops->error(reply, error_too_large);
        return;
    }
    struct picked *picked = tx_scratch(tx, PICKS_AT_ONCE * sizeof *picked);
    size_t mark = reply->ops->mark(reply), bytes = 0;
    zset_reply_count(reply, (size_t)count, scores);
    while (count > 0) {
        size_t part = count < PICKS_AT_ONCE ? (size_t)count : PICKS_AT_ONCE;
        part = pick_any(tx, key, part, picked);
        if (part == 0) return; /* it is pending */
        for (size_t i = 0; i < part; i++) {
            bytes += picked[i].name.size + PICK_BYTES;
            put_picked(reply, &picked[i], scores);
        }
        count -= part;
        if (bytes > PICKED_BYTES_MAX) {
            reply->ops->rewind(reply, mark);
            reply->ops->error(reply, error_too_large);
            return;
        }
    }
}

static void reply_all(struct tx *tx, const struct key *key, bool scores)
{
    zset_reply_count(tx->reply, (size_t)key->size, scores);
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct picked each;
    while (tx_scan_next(cursor, &each.name, &each.value)) put_picked(tx->reply, &each, scores);
    tx_cursor_close(cursor);
}

static void reply_distinct(struct tx *tx, const struct key *key, uint64_t count, bool scores)
{
    struct picked *picked = tx_scratch(tx, (size_t)count * sizeof *picked);
    size_t drawn = pick_distinct(tx, key, (size_t)count, picked);
    zset_reply_count(tx->reply, drawn, scores);
    for (size_t i = 0; i < drawn; i++) put_picked(tx->reply, &picked[i], scores);
}

static void reply_one(struct tx *tx, struct bytes name)
{
    struct key key;
    struct picked picked;
    enum found found = tx_find_typed(tx, name, KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_KEY && pick_any(tx, &key, 1, &picked) == 1)
        tx->reply->ops->bulk(tx->reply, picked.name);
    else tx->reply->ops->null(tx->reply);
}

void eval_ZRANDMEMBER(struct tx *tx, const struct args *args)
{
    if (args->count == 2) {
        reply_one(tx, args->at[1]);
        return;
    }
    int64_t count;
    if (!argument_within(tx, args->at[2], INT64_MAX, &count)) return;
    bool scores = args->count == 4;
    if (args->count > 4 || (scores && !bytes_is_word(args->at[3], "withscores"))) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    if (scores && (count < -(INT64_MAX / 2) || count > INT64_MAX / 2)) {
        tx->reply->ops->error(tx->reply, "ERR value is out of range");
        return;
    }
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_ZSET, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT || count == 0) tx->reply->ops->array(tx->reply, 0);
    else if (count > 0 && (uint64_t)count >= key.size) reply_all(tx, &key, scores);
    else if (count > 0) reply_distinct(tx, &key, (uint64_t)count, scores);
    else reply_repeated(tx, &key, (uint64_t)-count, scores);
}
