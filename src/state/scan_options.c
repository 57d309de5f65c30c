/* SPDX-License-Identifier: Apache-2.0 */
#include "state/scan_options.h"

#include "base/glob.h"
#include "base/memory.h"
#include "base/must.h"
#include "base/number.h"

/* What strtoul reads: digits after a sign, wrapping for a minus; nothing at all is 0. */
static bool parse_cursor(struct bytes word, uint64_t *out)
{
    size_t i = 0;
    bool negative = word.size > 0 && word.data[0] == '-';
    if (negative || (word.size > 0 && word.data[0] == '+')) i++;
    if (i == word.size && i > 0) return false;
    uint64_t value = 0;
    for (; i < word.size; i++) {
        unsigned digit = (unsigned)word.data[i] - '0';
        if (digit > 9) return false;
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, digit, &value)) return false;
    }
    *out = negative ? 0 - value : value;
    return true;
}

bool scan_options_cursor(struct tx *tx, struct bytes word, struct scan_options *out)
{
    *out = (struct scan_options){.count = SCAN_COUNT_DEFAULT};
    if (parse_cursor(word, &out->cursor)) return true;
    tx->reply->ops->error(tx->reply, "ERR invalid cursor");
    return false;
}

static bool parse_count(struct tx *tx, struct bytes word, uint64_t *out)
{
    int64_t count;
    if (!number_parse_int64(word, &count)) {
        tx->reply->ops->error(tx->reply, "ERR value is not an integer or out of range");
        return false;
    }
    if (count < 1) {
        tx->reply->ops->error(tx->reply, "ERR syntax error");
        return false;
    }
    *out = (uint64_t)count;
    return true;
}

bool scan_options_parse(struct tx *tx, const struct args *args, size_t from, bool typed,
                        struct scan_options *out)
{
    for (size_t i = from; i < args->count; i += 2) {
        bool paired = i + 1 < args->count;
        if (paired && bytes_is_word(args->at[i], "count")) {
            if (!parse_count(tx, args->at[i + 1], &out->count)) return false;
        } else if (paired && bytes_is_word(args->at[i], "match")) {
            out->pattern = args->at[i + 1];
            if (bytes_equal(out->pattern, bytes_text("*"))) out->pattern = bytes_of(NULL, 0);
            else if (out->pattern.size == 0) out->pattern = bytes_text("");
        } else if (paired && typed && bytes_is_word(args->at[i], "type")) {
            out->type = args->at[i + 1].size > 0 ? args->at[i + 1] : bytes_text("");
        } else {
            tx->reply->ops->error(tx->reply, "ERR syntax error");
            return false;
        }
    }
    return true;
}

bool scan_options_match(const struct scan_options *options, struct bytes name)
{
    return options->pattern.data == NULL || glob_match(options->pattern, name, false);
}

uint64_t scan_options_from(const struct scan_options *options)
{
    return options->cursor == 0 ? 0 : options->cursor - 1;
}

static void put_cursor(struct reply *reply, uint64_t cursor)
{
    char text[NUMBER_TEXT_BYTES];
    reply->ops->bulk(reply, bytes_of(text, number_format_uint64(cursor, text)));
}

void scan_options_put_end(struct reply *reply)
{
    put_cursor(reply, 0);
}

void scan_options_put_next(struct reply *reply, uint64_t hash)
{
    put_cursor(reply, hash + 1);
}

/* --- The walk over elements --- */

struct found_element {
    struct bytes name, value;
};

struct found_elements {
    struct found_element *at;
    size_t count, capacity;
};

static void keep_element(struct tx *tx, struct found_elements *found, struct bytes name,
                         struct bytes value)
{
    if (found->count == found->capacity) {
        found->capacity = found->capacity == 0 ? SCAN_COUNT_DEFAULT : found->capacity * 2;
        found->at = memory_resize(found->at, found->capacity * sizeof found->at[0]);
    }
    struct bytes kept = tx_scratch_copy(tx, name);
    found->at[found->count++] = (struct found_element){kept, tx_scratch_copy(tx, value)};
}

/* The cursor stands before the elements in the answer but is known only after them: they are kept
 * meanwhile. */
static void walk_elements(struct tx *tx, const struct key *key, const struct scan_options *options,
                          scan_give *give)
{
    bool whole = key->size <= SCAN_WHOLE_ELEMENTS_MAX;
    struct found_elements found = {NULL, 0, 0};
    uint64_t seen = 0, last = 0;
    bool more = false;
    struct tx_cursor *cursor = tx_scan(tx, key, whole ? 0 : scan_options_from(options));
    struct bytes name, value;
    while (tx_scan_next(cursor, &name, &value)) {
        uint64_t hash = tx_scan_hash(cursor);
        more = !whole && seen >= options->count && hash != last;
        last = hash;
        if (more) break;
        seen++;
        if (scan_options_match(options, name)) keep_element(tx, &found, name, value);
    }
    tx_cursor_close(cursor);
    struct reply *reply = tx->reply;
    reply->ops->array(reply, 2);
    if (more) scan_options_put_next(reply, last);
    else scan_options_put_end(reply);
    size_t opened = reply->ops->array_open(reply), given = 0;
    for (size_t i = 0; i < found.count; i++)
        given += give(reply, found.at[i].name, found.at[i].value);
    reply->ops->array_close(reply, opened, given);
    memory_free(found.at);
}

void scan_elements(struct tx *tx, const struct args *args, enum key_type type, scan_give *give)
{
    struct scan_options options;
    if (!scan_options_cursor(tx, args->at[2], &options)) return;
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], type, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) {
        tx->reply->ops->array(tx->reply, 2);
        scan_options_put_end(tx->reply);
        tx->reply->ops->array(tx->reply, 0);
        return;
    }
    if (!scan_options_parse(tx, args, 3, false, &options)) return;
    walk_elements(tx, &key, &options, give);
}
