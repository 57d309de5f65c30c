/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on strings that are numbers. */
#include <math.h>

#include "base/number.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/tx_effects.h"

/* The key's value; an absent key is 0. False: the error has been written. */
static bool find_integer(struct tx *tx, struct bytes name, struct key *key, int64_t *value)
{
    enum found found = tx_find_typed(tx, name, KEY_STRING, key);
    *value = 0;
    if (found == FOUND_WRONG) return false;
    if (found == FOUND_ABSENT) {
        tx_create(tx, name, KEY_STRING, key);
        return true;
    }
    return argument_integer(tx, key->text, ERROR_NOT_INTEGER, value);
}

static void add(struct tx *tx, struct bytes name, int64_t change)
{
    struct key key;
    int64_t value;
    if (!find_integer(tx, name, &key, &value)) return;
    if (!number_add_int64(value, change, &value)) {
        tx->reply->ops->error(tx->reply, "ERR increment or decrement would overflow");
        return;
    }
    char text[NUMBER_TEXT_BYTES];
    tx_store_text(tx, &key, bytes_of(text, number_format_int64(value, text)));
    tx_notify(tx, NOTIFY_STRING, "incrby", tx->database, name);
    tx->reply->ops->integer(tx->reply, value);
}

void eval_INCR(struct tx *tx, const struct args *args)
{
    add(tx, args->at[1], 1);
}

void eval_DECR(struct tx *tx, const struct args *args)
{
    add(tx, args->at[1], -1);
}

void eval_INCRBY(struct tx *tx, const struct args *args)
{
    int64_t change;
    if (argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &change)) add(tx, args->at[1], change);
}

void eval_DECRBY(struct tx *tx, const struct args *args)
{
    int64_t change;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &change)) return;
    if (change == INT64_MIN) {
        tx->reply->ops->error(tx->reply, "ERR decrement would overflow");
        return;
    }
    add(tx, args->at[1], -change);
}

void eval_INCRBYFLOAT(struct tx *tx, const struct args *args)
{
    struct key key;
    long double value = 0, change;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) tx_create(tx, args->at[1], KEY_STRING, &key);
    if ((found == FOUND_KEY && !number_parse_long_double(key.text, &value)) ||
        !number_parse_long_double(args->at[2], &change)) {
        tx->reply->ops->error(tx->reply, ERROR_NOT_FLOAT);
        return;
    }
    value += change;
    if (isnan(value) || isinf(value)) {
        tx->reply->ops->error(tx->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[NUMBER_LONG_TEXT_BYTES];
    struct bytes written = bytes_of(text, number_format_long_double(value, text));
    tx_store_text(tx, &key, written);
    /* The replica's long double may be another one. */
    tx_effect(
        tx, (const struct bytes[]){bytes_text("SET"), args->at[1], written, bytes_text("KEEPTTL")},
        4);
    tx_notify(tx, NOTIFY_STRING, "incrbyfloat", tx->database, args->at[1]);
    tx->reply->ops->bulk(tx->reply, written);
}
