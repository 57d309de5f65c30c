/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on parts of strings, and on their length. */
#include "state/arguments.h"
#include "state/evals.h"
#include "state/string_words.h"

bool string_fits(struct tx *tx, uint64_t size, uint64_t more)
{
    if (size <= STRING_BYTES_MAX && more <= STRING_BYTES_MAX - size) return true;
    tx->reply->ops->error(tx->reply,
                          "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

uint8_t *string_copy(struct tx *tx, const struct key *key, size_t size)
{
    uint8_t *copy = tx_scratch(tx, size);
    size_t kept = key->text.size < size ? key->text.size : size;
    if (kept > 0) memcpy(copy, key->text.data, kept);
    memset(copy + kept, 0, size - kept);
    return copy;
}

void eval_STRLEN(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->integer(tx->reply, found == FOUND_KEY ? (int64_t)key.text.size : 0);
}

void eval_APPEND(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) tx_create(tx, args->at[1], KEY_STRING, &key);
    size_t at = key.text.size;
    struct bytes tail = args->at[2];
    if (!string_fits(tx, at, tail.size)) return;
    uint8_t *text = string_copy(tx, &key, at + tail.size);
    if (tail.size > 0) memcpy(text + at, tail.data, tail.size);
    tx_store_text(tx, &key, bytes_of(text, at + tail.size));
    tx_notify(tx, NOTIFY_STRING, "append", tx->database, args->at[1]);
    tx->reply->ops->integer(tx->reply, (int64_t)(at + tail.size));
}

void eval_SETRANGE(struct tx *tx, const struct args *args)
{
    int64_t offset;
    struct key key;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &offset)) return;
    if (offset < 0) {
        tx->reply->ops->error(tx->reply, "ERR offset is out of range");
        return;
    }
    struct bytes part = args->at[3];
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) tx_create(tx, args->at[1], KEY_STRING, &key);
    if (part.size == 0) {
        tx->reply->ops->integer(tx->reply, (int64_t)key.text.size);
        return;
    }
    if (!string_fits(tx, (uint64_t)offset, part.size)) return;
    size_t end = (size_t)offset + part.size;
    size_t size = end > key.text.size ? end : key.text.size;
    uint8_t *text = string_copy(tx, &key, size);
    memcpy(text + offset, part.data, part.size);
    tx_store_text(tx, &key, bytes_of(text, size));
    tx_notify(tx, NOTIFY_STRING, "setrange", tx->database, args->at[1]);
    tx->reply->ops->integer(tx->reply, (int64_t)size);
}

bool string_clip(int64_t *start, int64_t *end, int64_t size)
{
    if (*start < 0) *start += size;
    if (*end < 0) *end += size;
    if (*start < 0) *start = 0;
    if (*end < 0) *end = 0;
    if (*end >= size) *end = size - 1;
    return *start <= *end;
}

static void reply_range(struct tx *tx, const struct args *args)
{
    int64_t start, end;
    struct key key;
    if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &start)) return;
    if (!argument_integer(tx, args->at[3], ERROR_NOT_INTEGER, &end)) return;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    struct bytes part = {0};
    bool backwards = start < 0 && end < 0 && start > end;
    if (found == FOUND_KEY && !backwards && string_clip(&start, &end, (int64_t)key.text.size)) {
        part = bytes_of(key.text.data + start, (size_t)(end - start + 1));
    }
    tx->reply->ops->bulk(tx->reply, part);
}

void eval_GETRANGE(struct tx *tx, const struct args *args)
{
    reply_range(tx, args);
}

void eval_SUBSTR(struct tx *tx, const struct args *args)
{
    reply_range(tx, args);
}
