/* SPDX-License-Identifier: Apache-2.0 */
#include "state/random_reply.h"

#include "state/arguments.h"
#include "state/pick.h"
#include "state/score.h"

enum { PICKS_AT_ONCE = 1024 };

static const char error_too_large[] = "ERR value is out of range, the answer would be too large";

static void put_picked(struct reply *reply, enum key_type type, const struct picked *picked,
                       bool pairs)
{
    if (pairs && reply->ops->is_resp3(reply)) reply->ops->array(reply, 2);
    reply->ops->bulk(reply, picked->name);
    if (!pairs) return;
    if (type == KEY_ZSET) reply->ops->number(reply, score_decode(picked->value));
    else reply->ops->bulk(reply, picked->value);
}

static void put_count(struct reply *reply, size_t count, bool pairs)
{
    reply->ops->array(reply, pairs && !reply->ops->is_resp3(reply) ? 2 * count : count);
}

static void reply_repeated(struct tx *tx, const struct key *key, uint64_t count, bool pairs)
{
    struct reply *reply = tx->reply;
    if (count > RANDOM_REPLY_BYTES_MAX / RANDOM_REPLY_PICK_BYTES) {
        reply->ops->error(reply, error_too_large);
        return;
    }
    struct picked *picked = tx_scratch(tx, PICKS_AT_ONCE * sizeof *picked);
    size_t mark = reply->ops->mark(reply), bytes = 0;
    put_count(reply, (size_t)count, pairs);
    while (count > 0) {
        size_t part = count < PICKS_AT_ONCE ? (size_t)count : PICKS_AT_ONCE;
        part = pick_any(tx, key, part, picked);
        if (part == 0) return; /* it is pending */
        for (size_t i = 0; i < part; i++) {
            bytes += picked[i].name.size + RANDOM_REPLY_PICK_BYTES;
            if (pairs) bytes += picked[i].value.size;
            put_picked(reply, key->type, &picked[i], pairs);
        }
        count -= part;
        if (bytes > RANDOM_REPLY_BYTES_MAX) {
            reply->ops->rewind(reply, mark);
            reply->ops->error(reply, error_too_large);
            return;
        }
    }
}

static void reply_all(struct tx *tx, const struct key *key, bool pairs)
{
    put_count(tx->reply, (size_t)key->size, pairs);
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct picked each;
    while (tx_scan_next(cursor, &each.name, &each.value))
        put_picked(tx->reply, key->type, &each, pairs);
    tx_cursor_close(cursor);
}

static void reply_different(struct tx *tx, const struct key *key, uint64_t count, bool pairs)
{
    struct picked *picked = tx_scratch(tx, (size_t)count * sizeof *picked);
    size_t drawn = pick_distinct(tx, key, (size_t)count, picked);
    put_count(tx->reply, drawn, pairs);
    for (size_t i = 0; i < drawn; i++) put_picked(tx->reply, key->type, &picked[i], pairs);
}

void random_reply(struct tx *tx, struct bytes name, enum key_type type,
                  const struct random_reply *want)
{
    struct key key;
    struct reply *reply = tx->reply;
    enum found found = tx_find_typed(tx, name, type, &key);
    if (found == FOUND_WRONG) return;
    if (want->one) {
        struct picked picked;
        if (found == FOUND_KEY && pick_any(tx, &key, 1, &picked) == 1)
            reply->ops->bulk(reply, picked.name);
        else reply->ops->null(reply);
        return;
    }
    if (found == FOUND_ABSENT || want->count == 0) reply->ops->array(reply, 0);
    else if (want->count < 0) reply_repeated(tx, &key, 0 - (uint64_t)want->count, want->pairs);
    else if ((uint64_t)want->count >= key.size) reply_all(tx, &key, want->pairs);
    else reply_different(tx, &key, (uint64_t)want->count, want->pairs);
}

void random_reply_pairs(struct tx *tx, const struct args *args, enum key_type type,
                        const char *with)
{
    struct random_reply want = {.one = args->count == 2};
    if (!want.one) {
        if (!argument_within(tx, args->at[2], INT64_MAX, &want.count)) return;
        want.pairs = args->count == 4 && bytes_is_word(args->at[3], with);
        if (args->count > 4 || (args->count == 4 && !want.pairs)) {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
            return;
        }
        if (want.pairs && (want.count > INT64_MAX / 2 || want.count < -(INT64_MAX / 2))) {
            tx->reply->ops->error(tx->reply, "ERR value is out of range");
            return;
        }
    }
    random_reply(tx, args->at[1], type, &want);
}
