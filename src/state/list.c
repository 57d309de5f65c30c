/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: both ends, and items by their place. A list is dense in [head, tail): a pop touches one
 * item and the key's record, whatever the length. */
#include "state/list.h"

#include "state/arguments.h"
#include "state/evals.h"

uint64_t list_length(const struct key *key)
{
    return (uint64_t)(key->tail - key->head);
}

void list_push(struct tx *tx, struct key *key, enum list_end end, struct bytes value)
{
    int64_t index = end == LIST_HEAD ? --key->head : key->tail++;
    tx_item_put(tx, key, index, value);
}

bool list_pop(struct tx *tx, struct key *key, enum list_end end, struct bytes *value)
{
    int64_t index = end == LIST_HEAD ? key->head : key->tail - 1;
    struct bytes item;
    if (!tx_item(tx, key, index, &item)) return false;
    *value = tx_scratch_copy(tx, item);
    tx_item_remove(tx, key, index);
    if (end == LIST_HEAD) key->head++;
    else key->tail--;
    return true;
}

static void drop_items(struct tx *tx, struct key *key, enum list_end end, uint64_t count)
{
    if (count == list_length(key)) { /* the whole key goes, and its items with it */
        key->head = key->tail;
        return;
    }
    for (uint64_t i = 0; i < count && !tx_pending(tx); i++)
        tx_item_remove(tx, key, end == LIST_HEAD ? key->head++ : --key->tail);
}

void list_pop_many(struct tx *tx, struct key *key, enum list_end end, uint64_t count)
{
    if (count > list_length(key)) count = list_length(key);
    tx->reply->ops->array(tx->reply, count);
    int64_t from = end == LIST_HEAD ? key->head : key->tail - 1, index;
    struct tx_cursor *cursor = tx_items(tx, key, from, end == LIST_TAIL);
    struct bytes value;
    for (uint64_t i = 0; i < count && tx_items_next(cursor, &index, &value); i++)
        tx->reply->ops->bulk(tx->reply, value);
    tx_cursor_close(cursor);
    drop_items(tx, key, end, count);
}

void list_cut(struct tx *tx, struct key *key, const char *event)
{
    uint8_t database = key->database;
    struct bytes name = tx_scratch_copy(tx, key->name);
    bool empty = list_length(key) == 0;
    tx_store(tx, key); /* an empty one is removed */
    tx_notify(tx, NOTIFY_LIST, event, database, name);
    if (empty) tx_notify(tx, NOTIFY_GENERIC, "del", database, name);
}

void list_popped(struct tx *tx, struct key *key, enum list_end end)
{
    list_cut(tx, key, end == LIST_HEAD ? "lpop" : "rpop");
}

/* --- Push and pop --- */

static void push(struct tx *tx, const struct args *args, enum list_end end, bool create)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) {
        if (!create) {
            tx->reply->ops->integer(tx->reply, 0);
            return;
        }
        tx_create(tx, args->at[1], KEY_LIST, &key);
    }
    for (size_t i = 2; i < args->count; i++) list_push(tx, &key, end, args->at[i]);
    tx->reply->ops->integer(tx->reply, (int64_t)list_length(&key));
    tx_store(tx, &key);
    const char *event = end == LIST_HEAD ? "lpush" : "rpush";
    tx_notify(tx, NOTIFY_LIST, event, tx->database, args->at[1]);
}

void eval_LPUSH(struct tx *tx, const struct args *args)
{
    push(tx, args, LIST_HEAD, true);
}

void eval_RPUSH(struct tx *tx, const struct args *args)
{
    push(tx, args, LIST_TAIL, true);
}

void eval_LPUSHX(struct tx *tx, const struct args *args)
{
    push(tx, args, LIST_HEAD, false);
}

void eval_RPUSHX(struct tx *tx, const struct args *args)
{
    push(tx, args, LIST_TAIL, false);
}

static void pop(struct tx *tx, const struct args *args, enum list_end end)
{
    bool counted = args->count == 3;
    int64_t count = 1;
    if (args->count > 3) {
        argument_wrong_count(tx, args);
        return;
    }
    if (counted && !argument_at_least(tx, args->at[2], 0, ERROR_NOT_POSITIVE, &count)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) {
        if (counted) tx->reply->ops->null_array(tx->reply);
        else tx->reply->ops->null(tx->reply);
        return;
    }
    if (counted) {
        if (count == 0) {
            tx->reply->ops->array(tx->reply, 0);
            return;
        }
        list_pop_many(tx, &key, end, (uint64_t)count);
    } else {
        struct bytes value;
        if (!list_pop(tx, &key, end, &value)) return;
        tx->reply->ops->bulk(tx->reply, value);
    }
    list_popped(tx, &key, end);
}

void eval_LPOP(struct tx *tx, const struct args *args)
{
    pop(tx, args, LIST_HEAD);
}

void eval_RPOP(struct tx *tx, const struct args *args)
{
    pop(tx, args, LIST_TAIL);
}

/* --- Reading, and one item by its place --- */

void eval_LLEN(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->integer(tx->reply, found == FOUND_KEY ? (int64_t)list_length(&key) : 0);
}

void eval_LRANGE(struct tx *tx, const struct args *args)
{
    int64_t start, stop;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &start)) return;
    if (!argument_integer(tx, args->at[3], ERROR_NOT_INTEGER, &stop)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT || !argument_clip_range(&start, &stop, list_length(&key))) {
        tx->reply->ops->array(tx->reply, 0);
        return;
    }
    tx->reply->ops->array(tx->reply, (size_t)(stop - start + 1));
    struct tx_cursor *cursor = tx_items(tx, &key, key.head + start, false);
    int64_t index;
    struct bytes value;
    for (int64_t i = start; i <= stop && tx_items_next(cursor, &index, &value); i++)
        tx->reply->ops->bulk(tx->reply, value);
    tx_cursor_close(cursor);
}

/* From the end when negative. False: there is no such item. */
static bool place_of(const struct key *key, int64_t place, int64_t *index)
{
    int64_t length = (int64_t)list_length(key);
    if (place < 0) place += length;
    if (place < 0 || place >= length) return false;
    *index = key->head + place;
    return true;
}

void eval_LINDEX(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) {
        tx->reply->ops->null(tx->reply);
        return;
    }
    int64_t place, index;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &place)) return;
    struct bytes value;
    if (place_of(&key, place, &index) && tx_item(tx, &key, index, &value))
        tx->reply->ops->bulk(tx->reply, value);
    else tx->reply->ops->null(tx->reply);
}

void eval_LSET(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_LIST, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) {
        tx->reply->ops->error(tx->reply, "ERR no such key");
        return;
    }
    int64_t place, index;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &place)) return;
    if (!place_of(&key, place, &index)) {
        tx->reply->ops->error(tx->reply, "ERR index out of range");
        return;
    }
    tx_item_put(tx, &key, index, args->at[3]);
    tx_store(tx, &key);
    tx_notify(tx, NOTIFY_LIST, "lset", tx->database, args->at[1]);
    tx->reply->ops->simple(tx->reply, "OK");
}
