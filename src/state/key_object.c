/* SPDX-License-Identifier: Apache-2.0 */
/* What is told about a key's inside: OBJECT, MEMORY USAGE, DEBUG, and what WATCH keeps. Here a key
 * has no encodings: the words are those that Redis would use for the same content with its default
 * limits. */
#include <limits.h>

#include "base/number.h"
#include "state/arguments.h"
#include "state/evals.h"
#include "state/record.h"

enum {
    LISTPACK_ELEMENTS_MAX = 128,
    LISTPACK_BYTES_MAX = 64, /* of an element */
    INTSET_ELEMENTS_MAX = 512,
    EMBEDDED_BYTES_MAX = 44,
    INTEGER_BYTES_MAX = 20,
    SHARED_INTEGERS = 10000,
};

/* --- Encodings --- */

static const char *string_encoding(struct bytes text)
{
    int64_t number;
    if (text.size <= INTEGER_BYTES_MAX && number_parse_int64(text, &number)) return "int";
    return text.size <= EMBEDDED_BYTES_MAX ? "embstr" : "raw";
}

typedef bool element_test(struct bytes name, struct bytes value);

static bool is_small(struct bytes name, struct bytes value)
{
    return name.size <= LISTPACK_BYTES_MAX && value.size <= LISTPACK_BYTES_MAX;
}

static bool is_integer(struct bytes name, struct bytes value)
{
    int64_t number;
    (void)value;
    return number_parse_int64(name, &number);
}

/* Whether there are at most `most` elements and all pass. */
static bool all_pass(struct tx *tx, const struct key *key, uint64_t most, element_test *test)
{
    if (key->size > most) return false;
    struct tx_cursor *cursor = tx_scan(tx, key, 0);
    struct bytes name, value;
    bool pass = true;
    while (pass && tx_scan_next(cursor, &name, &value)) pass = test(name, value);
    tx_cursor_close(cursor);
    return pass;
}

static const char *encoding(struct tx *tx, const struct key *key)
{
    switch (key->type) {
    case KEY_STRING: return string_encoding(key->text);
    case KEY_LIST: return "quicklist";
    case KEY_SET:
        return all_pass(tx, key, INTSET_ELEMENTS_MAX, is_integer) ? "intset" : "hashtable";
    case KEY_ZSET:
        return all_pass(tx, key, LISTPACK_ELEMENTS_MAX, is_small) ? "listpack" : "skiplist";
    case KEY_HASH:
        return all_pass(tx, key, LISTPACK_ELEMENTS_MAX, is_small) ? "listpack" : "hashtable";
    }
    return "unknown";
}

/* --- OBJECT --- */

static bool find_or_null(struct tx *tx, struct bytes name, struct key *key)
{
    if (tx_find(tx, name, key)) return true;
    tx->reply->ops->null(tx->reply);
    return false;
}

void eval_OBJECT_ENCODING(struct tx *tx, const struct args *args)
{
    struct key key;
    if (!find_or_null(tx, args->at[2], &key)) return;
    tx->reply->ops->bulk(tx->reply, bytes_text(encoding(tx, &key)));
}

/* Redis shares small integers and tells so by the greatest count. */
void eval_OBJECT_REFCOUNT(struct tx *tx, const struct args *args)
{
    struct key key;
    int64_t number;
    if (!find_or_null(tx, args->at[2], &key)) return;
    bool is_shared = key.type == KEY_STRING && number_parse_int64(key.text, &number) &&
                     number >= 0 && number < SHARED_INTEGERS;
    tx->reply->ops->integer(tx->reply, is_shared ? INT_MAX : 1);
}

/* The time of the last use is not kept for each key: it would make every read a write. */
void eval_OBJECT_IDLETIME(struct tx *tx, const struct args *args)
{
    struct key key;
    if (find_or_null(tx, args->at[2], &key)) tx->reply->ops->integer(tx->reply, 0);
}

void eval_OBJECT_FREQ(struct tx *tx, const struct args *args)
{
    struct key key;
    if (!find_or_null(tx, args->at[2], &key)) return;
    tx->reply->ops->error(tx->reply,
                          "ERR An LFU maxmemory policy is not selected, access frequency not "
                          "tracked. Please note that when switching between policies at runtime "
                          "LRU and LFU data will take some time to adjust.");
}

/* --- MEMORY USAGE --- */

enum { USAGE_SAMPLES = 5, USAGE_RECORD_BYTES = 64, USAGE_ELEMENT_BYTES = 48 };

/* Bytes of `samples` elements, or of all if there are fewer; *taken: how many. */
static uint64_t sample_bytes(struct tx *tx, const struct key *key, uint64_t samples,
                             uint64_t *taken)
{
    struct bytes name = {0}, value = {0};
    int64_t index;
    bool items = key->type == KEY_LIST;
    struct tx_cursor *cursor = items ? tx_items(tx, key, key->head, false) : tx_scan(tx, key, 0);
    uint64_t bytes = 0;
    for (*taken = 0; *taken < samples; (*taken)++) {
        bool there = items ? tx_items_next(cursor, &index, &value)
                           : tx_scan_next(cursor, &name, &value);
        if (!there) break;
        bytes += name.size + value.size;
    }
    tx_cursor_close(cursor);
    return bytes;
}

static uint64_t usage(struct tx *tx, const struct key *key, uint64_t samples)
{
    uint64_t own = USAGE_RECORD_BYTES + key->name.size + key->text.size;
    if (key->type == KEY_STRING) return own;
    uint64_t taken;
    uint64_t bytes = sample_bytes(tx, key, samples, &taken);
    if (taken == 0) return own;
    return own + key->size * (USAGE_ELEMENT_BYTES + bytes / taken);
}

void eval_MEMORY_USAGE(struct tx *tx, const struct args *args)
{
    int64_t samples = USAGE_SAMPLES;
    for (size_t i = 3; i < args->count; i += 2) {
        if (!bytes_is_word(args->at[i], "samples") || i + 1 == args->count) {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
            return;
        }
        if (!argument_integer(tx, args->at[i + 1], ERROR_NOT_INTEGER, &samples)) return;
        if (samples < 0) {
            tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
            return;
        }
        if (samples == 0) samples = INT64_MAX;
    }
    struct key key;
    if (!find_or_null(tx, args->at[2], &key)) return;
    tx->reply->ops->integer(tx->reply, (int64_t)usage(tx, &key, (uint64_t)samples));
}

/* --- WATCH --- */

/* For each key: is it there, the lsn and ordinal of its version, the lsn of its last change. */
void eval_WATCH_OBSERVE(struct tx *tx, const struct args *args)
{
    tx->reply->ops->array(tx->reply, 4 * (args->count - 1));
    for (size_t i = 1; i < args->count; i++) {
        struct key key = {0};
        bool lives = tx_find(tx, args->at[i], &key);
        tx->reply->ops->integer(tx->reply, lives ? 1 : 0);
        tx->reply->ops->integer(tx->reply, lives ? (int64_t)key.version.lsn : 0);
        tx->reply->ops->integer(tx->reply, lives ? (int64_t)key.version.ordinal : 0);
        tx->reply->ops->integer(tx->reply, lives ? (int64_t)key.changed_lsn : 0);
    }
}

/* --- DEBUG --- */

void eval_DEBUG_OBJECT(struct tx *tx, const struct args *args)
{
    struct key key;
    if (!tx_find(tx, args->at[2], &key)) {
        tx->reply->ops->error(tx->reply, "ERR no such key");
        return;
    }
    struct buffer text;
    buffer_init(&text);
    buffer_append_format(&text,
                         "Value at:0x0 refcount:1 encoding:%s serializedlength:%llu lru:0 "
                         "lru_seconds_idle:0",
                         encoding(tx, &key), (unsigned long long)usage(tx, &key, USAGE_SAMPLES));
    buffer_append_byte(&text, 0);
    tx->reply->ops->simple(tx->reply, (const char *)text.data);
    buffer_release(&text);
}

/* Of the content alone, so that equal content has equal sums wherever it stands. */
static struct digest content_digest(struct tx *tx, const struct key *key)
{
    if (key->type == KEY_STRING) return digest_of(key->text);
    if (key->type != KEY_LIST) return key->elements;
    struct digest sum = {0};
    struct tx_cursor *cursor = tx_items(tx, key, key->head, false);
    int64_t index;
    struct bytes value;
    while (tx_items_next(cursor, &index, &value)) {
        sum = digest_add(sum, item_digest(index - key->head, value));
    }
    tx_cursor_close(cursor);
    return sum;
}

/* Forty digits as Redis has them, of which the last eight tell the type and whether the key ends
 * some time. */
void eval_DEBUG_DIGEST_VALUE(struct tx *tx, const struct args *args)
{
    tx->reply->ops->array(tx->reply, args->count - 2);
    for (size_t i = 2; i < args->count; i++) {
        enum { TAIL_DIGITS = 8 };
        char text[DIGEST_TEXT_BYTES + TAIL_DIGITS];
        struct key key = {0};
        bool lives = tx_find(tx, args->at[i], &key);
        digest_format(lives ? content_digest(tx, &key) : (struct digest){0}, text);
        memcpy(text + DIGEST_TEXT_BYTES - 1, "00000000", TAIL_DIGITS + 1);
        if (lives) text[sizeof text - 2] = (char)('0' + key.type);
        if (lives && key.expire_ms != 0) text[sizeof text - 3] = '1';
        tx->reply->ops->simple(tx->reply, text);
    }
}
