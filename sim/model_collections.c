/* SPDX-License-Identifier: Apache-2.0 */
/* The model's lists, sets, hashes and sorted sets. Scores are small integers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sim/model.h"

static int64_t integer_of(struct bytes text)
{
    char digits[24];
    size_t size = text.size < sizeof digits - 1 ? text.size : sizeof digits - 1;
    memcpy(digits, text.data, size);
    digits[size] = '\0';
    return strtoll(digits, NULL, 10);
}

/* The key, made if it is absent; NULL: WRONGTYPE has been answered. */
static struct model_key *obtain(struct model *model, struct bytes name, enum model_type type)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, name, type, &wrong);
    if (wrong) return NULL;
    return key != NULL ? key : model_create(model, name, type);
}

static size_t index_of(const struct model_key *key, const struct model_item *item)
{
    return (size_t)(item - key->items);
}

/* Redis's rule for ranges; false: empty. */
static bool range_of(const struct args *args, size_t count, size_t *from, size_t *to)
{
    int64_t size = (int64_t)count;
    int64_t start = integer_of(args->at[2]), stop = integer_of(args->at[3]);
    if (start < 0) start += size;
    if (stop < 0) stop += size;
    if (start < 0) start = 0;
    if (stop >= size) stop = size - 1;
    if (start > stop || start >= size) return false;
    *from = (size_t)start;
    *to = (size_t)stop + 1;
    return true;
}

/* --- Lists --- */

static void push(struct model *model, const struct args *args, bool front)
{
    struct model_key *key = obtain(model, args->at[1], MODEL_LIST);
    if (key == NULL) return;
    for (size_t i = 2; i < args->count; i++) {
        (void)model_item_insert(key, front ? 0 : key->count, args->at[i]);
    }
    model_changed(model, key);
    model_say_integer(model, (int64_t)key->count);
}

static void run_rpush(struct model *model, const struct args *args)
{
    push(model, args, false);
}

static void run_lpush(struct model *model, const struct args *args)
{
    push(model, args, true);
}

static void pop_item(struct model *model, struct model_key *key, bool front)
{
    size_t at = front ? 0 : key->count - 1;
    model_say_bulk(model, buffer_bytes(&key->items[at].name));
    model_item_remove(key, at);
    model_changed(model, key);
}

static void pop(struct model *model, const struct args *args, bool front)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, args->at[1], MODEL_LIST, &wrong);
    if (wrong) return;
    if (key == NULL) model_say_null(model);
    else pop_item(model, key, front);
}

static void run_lpop(struct model *model, const struct args *args)
{
    pop(model, args, true);
}

static void run_rpop(struct model *model, const struct args *args)
{
    pop(model, args, false);
}

static void run_blpop(struct model *model, const struct args *args)
{
    for (size_t i = 1; i + 1 < args->count; i++) {
        struct model_key *key = model_find(model, args->at[i]);
        if (key == NULL) continue;
        if (key->type != MODEL_LIST) {
            if (model->serving) continue;
            model_say_text(model,
                           "-WRONGTYPE Operation against a key holding the wrong kind of value");
            return;
        }
        model_say_array(model, 2);
        model_say_bulk(model, args->at[i]);
        pop_item(model, key, true);
        return;
    }
}

static void run_lrange(struct model *model, const struct args *args)
{
    bool wrong;
    const struct model_key *key = model_find_typed(model, args->at[1], MODEL_LIST, &wrong);
    if (wrong) return;
    size_t from = 0, to = 0;
    if (key != NULL && !range_of(args, key->count, &from, &to)) to = from;
    model_say_array(model, to - from);
    for (size_t i = from; i < to; i++) model_say_bulk(model, buffer_bytes(&key->items[i].name));
}

/* --- Sets --- */

static void run_sadd(struct model *model, const struct args *args)
{
    struct model_key *key = obtain(model, args->at[1], MODEL_SET);
    if (key == NULL) return;
    int64_t added = 0;
    for (size_t i = 2; i < args->count; i++) {
        if (model_item(key, args->at[i]) != NULL) continue;
        (void)model_item_insert(key, key->count, args->at[i]);
        added++;
    }
    if (added > 0) model_changed(model, key);
    model_say_integer(model, added);
}

/* SREM, HDEL, ZREM */
static void remove_items(struct model *model, const struct args *args, enum model_type type)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, args->at[1], type, &wrong);
    if (wrong) return;
    int64_t removed = 0;
    for (size_t i = 2; key != NULL && i < args->count; i++) {
        struct model_item *item = model_item(key, args->at[i]);
        if (item == NULL) continue;
        model_item_remove(key, index_of(key, item));
        removed++;
    }
    if (removed > 0) model_changed(model, key);
    model_say_integer(model, removed);
}

static void run_srem(struct model *model, const struct args *args)
{
    remove_items(model, args, MODEL_SET);
}

static void run_sismember(struct model *model, const struct args *args)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, args->at[1], MODEL_SET, &wrong);
    if (!wrong) model_say_integer(model, model_item(key, args->at[2]) != NULL ? 1 : 0);
}

static void run_scard(struct model *model, const struct args *args)
{
    bool wrong;
    const struct model_key *key = model_find_typed(model, args->at[1], MODEL_SET, &wrong);
    if (!wrong) model_say_integer(model, key == NULL ? 0 : (int64_t)key->count);
}

static void say_items(struct model *model, const struct args *args, enum model_type type)
{
    bool wrong;
    const struct model_key *key = model_find_typed(model, args->at[1], type, &wrong);
    if (wrong) return;
    bool pairs = type == MODEL_HASH;
    size_t count = key == NULL ? 0 : key->count;
    model_say_array(model, pairs ? 2 * count : count);
    for (size_t i = 0; i < count; i++) {
        model_say_bulk(model, buffer_bytes(&key->items[i].name));
        if (pairs) model_say_bulk(model, buffer_bytes(&key->items[i].value));
    }
}

static void run_smembers(struct model *model, const struct args *args)
{
    say_items(model, args, MODEL_SET);
}

/* --- Hashes --- */

static void run_hset(struct model *model, const struct args *args)
{
    struct model_key *key = obtain(model, args->at[1], MODEL_HASH);
    if (key == NULL) return;
    int64_t added = 0;
    for (size_t i = 2; i + 1 < args->count; i += 2) {
        struct model_item *item = model_item(key, args->at[i]);
        if (item == NULL) {
            item = model_item_insert(key, key->count, args->at[i]);
            added++;
        }
        buffer_clear(&item->value);
        buffer_append(&item->value, args->at[i + 1]);
    }
    model_changed(model, key);
    model_say_integer(model, added);
}

static void run_hget(struct model *model, const struct args *args)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, args->at[1], MODEL_HASH, &wrong);
    if (wrong) return;
    const struct model_item *item = model_item(key, args->at[2]);
    if (item == NULL) model_say_null(model);
    else model_say_bulk(model, buffer_bytes(&item->value));
}

static void run_hdel(struct model *model, const struct args *args)
{
    remove_items(model, args, MODEL_HASH);
}

static void run_hgetall(struct model *model, const struct args *args)
{
    say_items(model, args, MODEL_HASH);
}

/* --- Sorted sets: items stand in the order of {score, name} --- */

static size_t rank_for(const struct model_key *key, int64_t score, struct bytes name)
{
    size_t at = 0;
    while (at < key->count) {
        const struct model_item *item = &key->items[at];
        if (item->score > score) break;
        if (item->score == score && bytes_compare(buffer_bytes(&item->name), name) > 0) break;
        at++;
    }
    return at;
}

static void run_zadd(struct model *model, const struct args *args)
{
    struct model_key *key = obtain(model, args->at[1], MODEL_ZSET);
    if (key == NULL) return;
    int64_t added = 0, changed = 0;
    for (size_t i = 2; i + 1 < args->count; i += 2) {
        int64_t score = integer_of(args->at[i]);
        const struct model_item *item = model_item(key, args->at[i + 1]);
        if (item != NULL && item->score == score) continue;
        if (item != NULL) model_item_remove(key, index_of(key, item));
        else added++;
        changed++;
        model_item_insert(key, rank_for(key, score, args->at[i + 1]), args->at[i + 1])->score =
            score;
    }
    if (changed > 0) model_changed(model, key);
    model_say_integer(model, added);
}

static void run_zrem(struct model *model, const struct args *args)
{
    remove_items(model, args, MODEL_ZSET);
}

static void say_score(struct model *model, const struct model_item *item)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, item->score);
    model_say_bulk(model, bytes_text(text));
}

static void run_zscore(struct model *model, const struct args *args)
{
    bool wrong;
    struct model_key *key = model_find_typed(model, args->at[1], MODEL_ZSET, &wrong);
    if (wrong) return;
    const struct model_item *item = model_item(key, args->at[2]);
    if (item == NULL) model_say_null(model);
    else say_score(model, item);
}

static void run_zrange(struct model *model, const struct args *args)
{
    bool wrong;
    const struct model_key *key = model_find_typed(model, args->at[1], MODEL_ZSET, &wrong);
    if (wrong) return;
    bool scores = args->count > 4;
    size_t from = 0, to = 0;
    if (key != NULL && !range_of(args, key->count, &from, &to)) to = from;
    model_say_array(model, scores ? 2 * (to - from) : to - from);
    for (size_t i = from; i < to; i++) {
        model_say_bulk(model, buffer_bytes(&key->items[i].name));
        if (scores) say_score(model, &key->items[i]);
    }
}

model_fn *model_collection_command(const char *name)
{
    static const struct {
        const char *name;
        model_fn *run;
    } rows[] = {
        {"rpush", run_rpush},   {"lpush", run_lpush}, {"lpop", run_lpop},
        {"rpop", run_rpop},     {"blpop", run_blpop}, {"lrange", run_lrange},
        {"sadd", run_sadd},     {"srem", run_srem},   {"sismember", run_sismember},
        {"scard", run_scard},   {"hset", run_hset},   {"smembers", run_smembers},
        {"hget", run_hget},     {"hdel", run_hdel},   {"hgetall", run_hgetall},
        {"zadd", run_zadd},     {"zrem", run_zrem},   {"zscore", run_zscore},
        {"zrange", run_zrange},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0) return rows[i].run;
    }
    return NULL;
}
