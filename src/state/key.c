/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on keys of any type, one at a time: their presence, their names, their places. */
#include <limits.h>

#include "base/number.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/key_words.h"
#include "state/tx_effects.h"

const char *key_type_name(enum key_type type)
{
    switch (type) {
    case KEY_STRING: return "string";
    case KEY_LIST: return "list";
    case KEY_SET: return "set";
    case KEY_ZSET: return "zset";
    case KEY_HASH: return "hash";
    }
    return "unknown";
}

static void remove_keys(struct tx *tx, const struct args *args)
{
    int64_t removed = 0;
    for (size_t i = 1; i < args->count; i++) {
        struct key key;
        if (!tx_find(tx, args->at[i], &key)) continue;
        tx_remove(tx, &key);
        tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, args->at[i]);
        removed++;
    }
    tx->reply->ops->integer(tx->reply, removed);
}

void eval_DEL(struct tx *tx, const struct args *args)
{
    remove_keys(tx, args);
}

void eval_UNLINK(struct tx *tx, const struct args *args)
{
    remove_keys(tx, args);
}

static void count_keys(struct tx *tx, const struct args *args)
{
    int64_t count = 0;
    for (size_t i = 1; i < args->count; i++) {
        struct key key;
        if (tx_find(tx, args->at[i], &key)) count++;
    }
    tx->reply->ops->integer(tx->reply, count);
}

void eval_EXISTS(struct tx *tx, const struct args *args)
{
    count_keys(tx, args);
}

void eval_TOUCH(struct tx *tx, const struct args *args)
{
    count_keys(tx, args);
}

void eval_TYPE(struct tx *tx, const struct args *args)
{
    struct key key;
    bool lives = tx_find(tx, args->at[1], &key);
    tx->reply->ops->simple(tx->reply, lives ? key_type_name(key.type) : "none");
}

/* --- Other names --- */

static void remove_what_stands_there(struct tx *tx, uint8_t database, struct bytes name)
{
    struct key there;
    if (tx_find_in(tx, database, name, &there)) tx_remove(tx, &there);
}

/* False: nothing was renamed, and the answer is written; *lives tells whether there is a key. */
static bool rename_key(struct tx *tx, const struct args *args, bool only_free)
{
    struct key key, there;
    if (!tx_find(tx, args->at[1], &key)) {
        tx->reply->ops->error(tx->reply, "ERR no such key");
        return false;
    }
    bool same = bytes_equal(args->at[1], args->at[2]);
    if (only_free && (same || tx_find(tx, args->at[2], &there))) {
        tx->reply->ops->integer(tx->reply, 0);
        return false;
    }
    if (same) return true;
    remove_what_stands_there(tx, tx->database, args->at[2]);
    tx_rename(tx, &key, tx->database, args->at[2]);
    tx_notify(tx, NOTIFY_GENERIC, "rename_from", tx->database, args->at[1]);
    tx_notify(tx, NOTIFY_GENERIC, "rename_to", tx->database, args->at[2]);
    return true;
}

void eval_RENAME(struct tx *tx, const struct args *args)
{
    if (rename_key(tx, args, false)) tx->reply->ops->simple(tx->reply, "OK");
}

void eval_RENAMENX(struct tx *tx, const struct args *args)
{
    if (rename_key(tx, args, true)) tx->reply->ops->integer(tx->reply, 1);
}

/* --- Other databases --- */

/* A C int; `error` where it is none, NULL: the usual ones. False: the error has been written. */
static bool argument_int(struct tx *tx, struct bytes word, const char *error, int *out)
{
    int64_t number;
    bool integer = number_parse_int64(word, &number);
    if (integer && number >= INT_MIN && number <= INT_MAX) {
        *out = (int)number;
        return true;
    }
    if (error != NULL || !integer) {
        tx->reply->ops->error(tx->reply, error != NULL ? error : ERROR_NOT_INTEGER);
        return false;
    }
    reply_errorf(tx->reply, "ERR value is out of range, value must between %d and %d", INT_MIN,
                 INT_MAX);
    return false;
}

static bool is_database(struct tx *tx, int number)
{
    if (number >= 0 && number < DATABASES) return true;
    tx->reply->ops->error(tx->reply, "ERR DB index is out of range");
    return false;
}

static bool argument_database(struct tx *tx, struct bytes word, uint8_t *out)
{
    int number;
    if (!argument_int(tx, word, NULL, &number) || !is_database(tx, number)) return false;
    *out = (uint8_t)number;
    return true;
}

#define ERROR_SAME_OBJECT "ERR source and destination objects are the same"

void eval_MOVE(struct tx *tx, const struct args *args)
{
    uint8_t to;
    struct key key, there;
    if (!argument_database(tx, args->at[2], &to)) return;
    if (to == tx->database) {
        tx->reply->ops->error(tx->reply, ERROR_SAME_OBJECT);
        return;
    }
    bool moves = tx_find(tx, args->at[1], &key) && !tx_find_in(tx, to, args->at[1], &there);
    if (moves) {
        tx_rename(tx, &key, to, args->at[1]);
        tx_notify(tx, NOTIFY_GENERIC, "move_from", tx->database, args->at[1]);
        tx_notify(tx, NOTIFY_GENERIC, "move_to", to, args->at[1]);
    }
    tx->reply->ops->integer(tx->reply, moves ? 1 : 0);
}

struct copy_words {
    uint8_t database;
    bool replace;
};

static bool copy_words_parse(struct tx *tx, const struct args *args, struct copy_words *out)
{
    *out = (struct copy_words){.database = tx->database};
    for (size_t i = 3; i < args->count; i++) {
        if (bytes_is_word(args->at[i], "replace")) {
            out->replace = true;
        } else if (bytes_is_word(args->at[i], "db") && i + 1 < args->count) {
            if (!argument_database(tx, args->at[++i], &out->database)) return false;
        } else {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
            return false;
        }
    }
    return true;
}

void eval_COPY(struct tx *tx, const struct args *args)
{
    struct copy_words words;
    if (!copy_words_parse(tx, args, &words)) return;
    if (words.database == tx->database && bytes_equal(args->at[1], args->at[2])) {
        tx->reply->ops->error(tx->reply, ERROR_SAME_OBJECT);
        return;
    }
    struct key key, there;
    bool copies = tx_find(tx, args->at[1], &key) &&
                  (words.replace || !tx_find_in(tx, words.database, args->at[2], &there));
    if (copies) {
        remove_what_stands_there(tx, words.database, args->at[2]);
        tx_copy(tx, &key, words.database, args->at[2]);
        tx_notify(tx, NOTIFY_GENERIC, "copy_to", words.database, args->at[2]);
    }
    tx->reply->ops->integer(tx->reply, copies ? 1 : 0);
}

/* --- Whole databases --- */

void eval_DBSIZE(struct tx *tx, const struct args *args)
{
    (void)args;
    tx->reply->ops->integer(tx->reply, (int64_t)tx_database_size(tx, tx->database));
}

/* FLUSHDB and FLUSHALL take ASYNC or SYNC; here both are O(1). */
static bool flush_words(struct tx *tx, const struct args *args)
{
    if (args->count == 1) return true;
    if (args->count == 2 &&
        (bytes_is_word(args->at[1], "sync") || bytes_is_word(args->at[1], "async"))) {
        return true;
    }
    tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
    return false;
}

void eval_FLUSHDB(struct tx *tx, const struct args *args)
{
    if (!flush_words(tx, args)) return;
    tx_clear_database(tx, tx->database);
    tx_effect_same(tx, args); /* of an empty one too, as Redis does */
    tx->reply->ops->simple(tx->reply, "OK");
}

void eval_FLUSHALL(struct tx *tx, const struct args *args)
{
    if (!flush_words(tx, args)) return;
    for (uint8_t i = 0; i < DATABASES; i++) tx_clear_database(tx, i);
    tx_effect_same(tx, args);
    tx->reply->ops->simple(tx->reply, "OK");
}

void eval_SWAPDB(struct tx *tx, const struct args *args)
{
    int a, b;
    if (!argument_int(tx, args->at[1], "ERR invalid first DB index", &a)) return;
    if (!argument_int(tx, args->at[2], "ERR invalid second DB index", &b)) return;
    if (!is_database(tx, a) || !is_database(tx, b)) return;
    tx_swap_databases(tx, (uint8_t)a, (uint8_t)b);
    tx_effect_same(tx, args);
    tx->reply->ops->simple(tx->reply, "OK");
}
