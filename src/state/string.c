/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that read and write strings whole. */
#include "base/plant.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/lifetime.h"
#include "state/tx_effects.h"

static void reply_ok(struct tx *tx)
{
    tx->reply->ops->simple(tx->reply, "OK");
}

/* --- SET and its relatives --- */

enum set_option {
    SET_NX = 1 << 0,
    SET_XX = 1 << 1,
    SET_GET = 1 << 2,
    SET_KEEPTTL = 1 << 3,
    SET_PERSIST = 1 << 4, /* of GETEX */
};

struct set_words {
    unsigned options;
    struct lifetime lifetime;
};

static bool take_flag(struct set_words *words, struct bytes word, bool getex)
{
    static const struct {
        const char *word;
        unsigned option, not_with;
        bool getex;
    } flags[] = {
        {"nx", SET_NX, SET_XX, false},     {"xx", SET_XX, SET_NX, false},
        {"get", SET_GET, 0, false},        {"keepttl", SET_KEEPTTL, 0, false},
        {"persist", SET_PERSIST, 0, true},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (flags[i].getex != getex || !bytes_is_word(word, flags[i].word)) continue;
        bool of_time = flags[i].option == SET_KEEPTTL || flags[i].option == SET_PERSIST;
        if ((words->options & flags[i].not_with) != 0) return false;
        if (of_time && words->lifetime.kind != LIFETIME_NONE) return false;
        words->options |= flags[i].option;
        return true;
    }
    return false;
}

/* The words of SET behind the value, or of GETEX behind the key. False: the error has been written.
 */
static bool set_words_parse(struct tx *tx, const struct args *args, size_t from, bool getex,
                            struct set_words *out)
{
    *out = (struct set_words){0};
    for (size_t i = from; i < args->count; i++) {
        if (take_flag(out, args->at[i], getex)) continue;
        bool kept = (out->options & (SET_KEEPTTL | SET_PERSIST)) != 0;
        if (!kept && i + 1 < args->count &&
            lifetime_take(&out->lifetime, args->at[i], args->at[i + 1])) {
            i++;
            continue;
        }
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return false;
    }
    return true;
}

/* The key as it is to be written over: its version and expiry if it is a string, else a new one.
 * Returns whether there was a key. */
static bool find_to_write(struct tx *tx, struct bytes name, struct key *key)
{
    bool lives = tx_find(tx, name, key);
    if (!lives || key->type != KEY_STRING) {
        uint64_t expire_ms = lives ? key->expire_ms : 0;
        tx_create(tx, name, KEY_STRING, key);
        key->expire_ms = expire_ms;
    }
    return lives;
}

static void write_text(struct tx *tx, struct key *key, struct bytes text, uint64_t expire_ms)
{
    key->expire_ms = expire_ms;
    tx_store_text(tx, key, text);
    tx_notify(tx, NOTIFY_STRING, "set", key->database, key->name);
}

/* A new value without a lifetime, whatever was there. */
static void write_plain(struct tx *tx, struct bytes name, struct bytes text)
{
    struct key key;
    (void)find_to_write(tx, name, &key);
    write_text(tx, &key, text, 0);
}

/* GET's reply. False: the error has been written. */
static bool reply_value(struct tx *tx, struct bytes name, struct key *key, bool *lives)
{
    enum found found = tx_find_typed(tx, name, KEY_STRING, key);
    *lives = found == FOUND_KEY;
    if (found == FOUND_ABSENT) tx->reply->ops->null(tx->reply);
    if (found == FOUND_KEY) tx->reply->ops->bulk(tx->reply, key->text);
    return found != FOUND_WRONG;
}

static void tell_set(struct tx *tx, struct bytes name, struct bytes text, uint64_t end_ms)
{
    if (!tx->streams || PLANTED(EFFECT_BY_OWN_CLOCK)) return;
    struct bytes end = tx_effect_number(tx, (int64_t)end_ms);
    tx_effect(tx, (const struct bytes[]){bytes_text("SET"), name, text, bytes_text("PXAT"), end},
              5);
}

/* The same words without GET. */
static void tell_without_get(struct tx *tx, const struct args *args)
{
    if (!tx->streams) return;
    struct args told = {.at = tx_scratch(tx, args->count * sizeof *told.at)};
    for (size_t i = 0; i < args->count; i++) {
        if (i < 3 || !bytes_is_word(args->at[i], "get")) told.at[told.count++] = args->at[i];
    }
    tx_effect_same(tx, &told);
}

static void set_with_words(struct tx *tx, const struct args *args, const struct set_words *words)
{
    struct key key;
    uint64_t end_ms;
    if (!lifetime_end(tx, &words->lifetime, "set", &end_ms)) return;
    bool get = (words->options & SET_GET) != 0;
    bool lives;
    if (get && !reply_value(tx, args->at[1], &key, &lives)) return;
    lives = find_to_write(tx, args->at[1], &key);
    if (((words->options & SET_NX) != 0 && lives) || ((words->options & SET_XX) != 0 && !lives)) {
        if (!get) tx->reply->ops->null(tx->reply);
        return;
    }
    bool keeps = (words->options & SET_KEEPTTL) != 0;
    write_text(tx, &key, args->at[2], keeps ? key.expire_ms : end_ms);
    if (end_ms != 0) {
        tell_set(tx, args->at[1], args->at[2], end_ms);
        tx_notify(tx, NOTIFY_GENERIC, "expire", tx->database, args->at[1]);
    } else if (get) {
        tell_without_get(tx, args);
    }
    if (!get) reply_ok(tx);
}

void eval_SET(struct tx *tx, const struct args *args)
{
    if (args->count == 3) {
        write_plain(tx, args->at[1], args->at[2]);
        reply_ok(tx);
        return;
    }
    struct set_words words;
    if (set_words_parse(tx, args, 3, false, &words)) set_with_words(tx, args, &words);
}

void eval_SETNX(struct tx *tx, const struct args *args)
{
    struct key key;
    bool lives = find_to_write(tx, args->at[1], &key);
    if (!lives) write_text(tx, &key, args->at[2], 0);
    tx->reply->ops->integer(tx->reply, lives ? 0 : 1);
}

static void set_with_lifetime(struct tx *tx, const struct args *args, enum lifetime_kind kind,
                              const char *command)
{
    struct lifetime lifetime = {kind, args->at[2]};
    struct key key;
    uint64_t end_ms;
    if (!lifetime_end(tx, &lifetime, command, &end_ms)) return;
    (void)find_to_write(tx, args->at[1], &key);
    write_text(tx, &key, args->at[3], end_ms);
    tell_set(tx, args->at[1], args->at[3], end_ms);
    tx_notify(tx, NOTIFY_GENERIC, "expire", tx->database, args->at[1]);
    reply_ok(tx);
}

void eval_SETEX(struct tx *tx, const struct args *args)
{
    set_with_lifetime(tx, args, LIFETIME_EX, "setex");
}

void eval_PSETEX(struct tx *tx, const struct args *args)
{
    set_with_lifetime(tx, args, LIFETIME_PX, "psetex");
}

/* --- GET and its relatives --- */

void eval_GET(struct tx *tx, const struct args *args)
{
    struct key key;
    bool lives;
    (void)reply_value(tx, args->at[1], &key, &lives);
}

void eval_GETSET(struct tx *tx, const struct args *args)
{
    struct key key;
    bool lives;
    if (!reply_value(tx, args->at[1], &key, &lives)) return;
    write_plain(tx, args->at[1], args->at[2]);
    tx_effect(tx, (const struct bytes[]){bytes_text("SET"), args->at[1], args->at[2]}, 3);
}

void eval_GETDEL(struct tx *tx, const struct args *args)
{
    struct key key;
    bool lives;
    if (!reply_value(tx, args->at[1], &key, &lives) || !lives) return;
    tx_remove(tx, &key);
    tx_effect_removed(tx, args->at[1]);
    tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, args->at[1]);
}

static void tell_end(struct tx *tx, struct bytes name, uint64_t end_ms)
{
    if (!tx->streams) return;
    struct bytes end = tx_effect_number(tx, (int64_t)end_ms);
    tx_effect(tx, (const struct bytes[]){bytes_text("PEXPIREAT"), name, end}, 3);
}

void eval_GETEX(struct tx *tx, const struct args *args)
{
    struct set_words words;
    if (!set_words_parse(tx, args, 2, true, &words)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_ABSENT) tx->reply->ops->null(tx->reply);
    uint64_t end_ms;
    if (found != FOUND_KEY || !lifetime_end(tx, &words.lifetime, "getex", &end_ms)) return;
    tx->reply->ops->bulk(tx->reply, key.text);
    const char *event = NULL;
    if (end_ms != 0 && lifetime_is_over(tx, (int64_t)end_ms)) {
        tx_remove(tx, &key);
        tx_effect_removed(tx, args->at[1]);
        event = "del";
    } else if (end_ms != 0) {
        key.expire_ms = end_ms;
        tx_store(tx, &key);
        tell_end(tx, args->at[1], end_ms);
        event = "expire";
    } else if ((words.options & SET_PERSIST) != 0 && key.expire_ms != 0) {
        key.expire_ms = 0;
        tx_store(tx, &key);
        tx_effect(tx, (const struct bytes[]){bytes_text("PERSIST"), args->at[1]}, 2);
        event = "persist";
    }
    if (event != NULL) tx_notify(tx, NOTIFY_GENERIC, event, tx->database, args->at[1]);
}

/* --- Several keys --- */

void eval_MGET(struct tx *tx, const struct args *args)
{
    tx->reply->ops->array(tx->reply, args->count - 1);
    for (size_t i = 1; i < args->count; i++) {
        struct key key;
        bool there = tx_find(tx, args->at[i], &key) && key.type == KEY_STRING;
        if (there) tx->reply->ops->bulk(tx->reply, key.text);
        else tx->reply->ops->null(tx->reply);
    }
}

static void write_pairs(struct tx *tx, const struct args *args)
{
    for (size_t i = 1; i < args->count; i += 2) write_plain(tx, args->at[i], args->at[i + 1]);
}

void eval_MSET(struct tx *tx, const struct args *args)
{
    if (args->count % 2 == 0) {
        argument_wrong_count(tx, args);
        return;
    }
    write_pairs(tx, args);
    reply_ok(tx);
}

void eval_MSETNX(struct tx *tx, const struct args *args)
{
    if (args->count % 2 == 0) {
        argument_wrong_count(tx, args);
        return;
    }
    struct key key;
    for (size_t i = 1; i < args->count; i += 2) {
        if (!tx_find(tx, args->at[i], &key)) continue;
        tx->reply->ops->integer(tx->reply, 0);
        return;
    }
    write_pairs(tx, args);
    tx->reply->ops->integer(tx->reply, 1);
}
