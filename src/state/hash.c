/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on hashes. A hash's fields are its key's elements: they are listed in the order of
 * their names' hashes, whatever the order in which they were written. */
#include <math.h>

#include "base/must.h"
#include "base/number.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/random_reply.h"
#include "state/scan_options.h"
#include "state/tx_effects.h"

/* Finds the hash or begins one. False: the key is of another type; the error has been written. */
static bool open_or_create(struct tx *tx, struct bytes name, struct key *key)
{
    enum found found = tx_find_typed(tx, name, KEY_HASH, key);
    if (found == FOUND_ABSENT) tx_create(tx, name, KEY_HASH, key);
    return found != FOUND_WRONG;
}

static void keep_and_notify(struct tx *tx, struct key *key, const char *event, struct bytes name)
{
    tx_store(tx, key);
    tx_notify(tx, NOTIFY_HASH, event, tx->database, name);
}

/* --- Writing --- */

static void put_pairs(struct tx *tx, const struct args *args, bool counted)
{
    if (args->count % 2 != 0) {
        argument_wrong_count(tx, args);
        return;
    }
    struct key key;
    if (!open_or_create(tx, args->at[1], &key)) return;
    int64_t created = 0;
    for (size_t i = 2; i < args->count; i += 2) {
        if (tx_element_put(tx, &key, args->at[i], args->at[i + 1])) created++;
    }
    keep_and_notify(tx, &key, "hset", args->at[1]);
    if (counted) tx->reply->ops->integer(tx->reply, created);
    else tx->reply->ops->simple(tx->reply, "OK");
}

void eval_HSET(struct tx *tx, const struct args *args)
{
    put_pairs(tx, args, true);
}

void eval_HMSET(struct tx *tx, const struct args *args)
{
    put_pairs(tx, args, false);
}

void eval_HSETNX(struct tx *tx, const struct args *args)
{
    struct key key;
    struct bytes value;
    if (!open_or_create(tx, args->at[1], &key)) return;
    if (key.size > 0 && tx_element(tx, &key, args->at[2], &value)) {
        tx->reply->ops->integer(tx->reply, 0);
        return;
    }
    tx_element_put(tx, &key, args->at[2], args->at[3]);
    keep_and_notify(tx, &key, "hset", args->at[1]);
    tx->reply->ops->integer(tx->reply, 1);
}

void eval_HDEL(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_HASH, &key);
    if (found == FOUND_WRONG) return;
    int64_t removed = 0;
    for (size_t i = 2; found == FOUND_KEY && i < args->count && key.size > 0; i++) {
        if (tx_element_remove(tx, &key, args->at[i])) removed++;
    }
    if (removed > 0) {
        keep_and_notify(tx, &key, "hdel", args->at[1]);
        if (key.size == 0) tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, args->at[1]);
    }
    tx->reply->ops->integer(tx->reply, removed);
}

void eval_HINCRBY(struct tx *tx, const struct args *args)
{
    int64_t increment, value = 0;
    if (!argument_integer(tx, args->at[3], ERROR_NOT_INTEGER, &increment)) return;
    struct key key;
    struct bytes old;
    if (!open_or_create(tx, args->at[1], &key)) return;
    if (key.size > 0 && tx_element(tx, &key, args->at[2], &old) &&
        !argument_integer(tx, old, "ERR hash value is not an integer", &value))
        return;
    if (!number_add_int64(value, increment, &value)) {
        tx->reply->ops->error(tx->reply, "ERR increment or decrement would overflow");
        return;
    }
    char text[NUMBER_TEXT_BYTES];
    tx_element_put(tx, &key, args->at[2], bytes_of(text, number_format_int64(value, text)));
    keep_and_notify(tx, &key, "hincrby", args->at[1]);
    tx->reply->ops->integer(tx->reply, value);
}

void eval_HINCRBYFLOAT(struct tx *tx, const struct args *args)
{
    struct reply *reply = tx->reply;
    long double increment, value = 0;
    if (!number_parse_long_double(args->at[3], &increment)) {
        reply->ops->error(reply, ERROR_NOT_FLOAT);
        return;
    }
    if (isinf(increment)) {
        reply->ops->error(reply, "ERR value is NaN or Infinity");
        return;
    }
    struct key key;
    struct bytes old;
    if (!open_or_create(tx, args->at[1], &key)) return;
    if (key.size > 0 && tx_element(tx, &key, args->at[2], &old) &&
        !number_parse_long_double(old, &value)) {
        reply->ops->error(reply, "ERR hash value is not a float");
        return;
    }
    value += increment;
    if (isnan(value) || isinf(value)) {
        reply->ops->error(reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[NUMBER_LONG_TEXT_BYTES];
    struct bytes sum = bytes_of(text, number_format_long_double(value, text));
    tx_element_put(tx, &key, args->at[2], sum);
    keep_and_notify(tx, &key, "hincrbyfloat", args->at[1]);
    tx_effect(tx, (const struct bytes[]){bytes_text("HSET"), args->at[1], args->at[2], sum}, 4);
    reply->ops->bulk(reply, sum);
}

/* --- Reading --- */

/* `found` says whether there is a key to look into. */
static void reply_field(struct tx *tx, enum found found, const struct key *key, struct bytes field)
{
    struct bytes value;
    if (found == FOUND_KEY && tx_element(tx, key, field, &value))
        tx->reply->ops->bulk(tx->reply, value);
    else tx->reply->ops->null(tx->reply);
}

void eval_HGET(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_HASH, &key);
    if (found != FOUND_WRONG) reply_field(tx, found, &key, args->at[2]);
}

void eval_HMGET(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_HASH, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->array(tx->reply, args->count - 2);
    for (size_t i = 2; i < args->count; i++) reply_field(tx, found, &key, args->at[i]);
}

void eval_HEXISTS(struct tx *tx, const struct args *args)
{
    struct key key;
    struct bytes value;
    enum found found = tx_find_typed(tx, args->at[1], KEY_HASH, &key);
    if (found == FOUND_WRONG) return;
    bool exists = found == FOUND_KEY && tx_element(tx, &key, args->at[2], &value);
    tx->reply->ops->integer(tx->reply, exists);
}

void eval_HSTRLEN(struct tx *tx, const struct args *args)
{
    struct key key;
    struct bytes value = {NULL, 0};
    enum found found = tx_find_typed(tx, args->at[1], KEY_HASH, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT || !tx_element(tx, &key, args->at[2], &value))
        value = bytes_of(NULL, 0);
    tx->reply->ops->integer(tx->reply, (int64_t)value.size);
}

void eval_HLEN(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_HASH, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->integer(tx->reply, found == FOUND_KEY ? (int64_t)key.size : 0);
}

enum listed { LISTED_NAMES, LISTED_VALUES, LISTED_PAIRS };

static void list_fields(struct tx *tx, struct bytes name, enum listed listed)
{
    struct key key;
    enum found found = tx_find_typed(tx, name, KEY_HASH, &key);
    if (found == FOUND_WRONG) return;
    struct reply *reply = tx->reply;
    size_t count = found == FOUND_KEY ? (size_t)key.size : 0;
    if (listed == LISTED_PAIRS) reply->ops->map(reply, count);
    else reply->ops->array(reply, count);
    if (count == 0) return;
    struct tx_cursor *cursor = tx_scan(tx, &key, 0);
    struct bytes field, value;
    while (tx_scan_next(cursor, &field, &value)) {
        if (listed != LISTED_VALUES) reply->ops->bulk(reply, field);
        if (listed != LISTED_NAMES) reply->ops->bulk(reply, value);
    }
    tx_cursor_close(cursor);
}

void eval_HGETALL(struct tx *tx, const struct args *args)
{
    list_fields(tx, args->at[1], LISTED_PAIRS);
}

void eval_HKEYS(struct tx *tx, const struct args *args)
{
    list_fields(tx, args->at[1], LISTED_NAMES);
}

void eval_HVALS(struct tx *tx, const struct args *args)
{
    list_fields(tx, args->at[1], LISTED_VALUES);
}

/* --- Random fields, and the walk in parts --- */

void eval_HRANDFIELD(struct tx *tx, const struct args *args)
{
    random_reply_pairs(tx, args, KEY_HASH, "withvalues");
}

static size_t give_pair(struct reply *reply, struct bytes name, struct bytes value)
{
    reply->ops->bulk(reply, name);
    reply->ops->bulk(reply, value);
    return 2;
}

void eval_HSCAN(struct tx *tx, const struct args *args)
{
    scan_elements(tx, args, KEY_HASH, give_pair);
}
