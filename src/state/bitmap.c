/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on strings as rows of bits; bit 0 is the highest of the first byte. */
#include "base/number.h"
#include "state/arguments.h"
#include "state/bitmap_words.h"
#include "state/evals.h"
#include "state/string_words.h"

bool argument_bit_offset(struct tx *tx, struct bytes word, unsigned width, uint64_t *out)
{
    bool scaled = width > 0 && word.size > 0 && word.data[0] == '#';
    if (scaled) word = bytes_of(word.data + 1, word.size - 1);
    int64_t offset;
    bool fits = number_parse_int64(word, &offset) && offset >= 0;
    if (fits && scaled) fits = !__builtin_mul_overflow(offset, (int64_t)width, &offset);
    if (fits && offset >> 3 < STRING_BYTES_MAX) {
        *out = (uint64_t)offset;
        return true;
    }
    tx->reply->ops->error(tx->reply, "ERR bit offset is not an integer or out of range");
    return false;
}

static bool bit_at(struct bytes text, uint64_t offset)
{
    size_t byte = (size_t)(offset >> 3);
    return byte < text.size && (text.data[byte] >> (7 - (offset & 7)) & 1) != 0;
}

void eval_SETBIT(struct tx *tx, const struct args *args)
{
    uint64_t offset;
    int64_t on;
    if (!argument_bit_offset(tx, args->at[2], 0, &offset)) return;
    if (!number_parse_int64(args->at[3], &on) || (on != 0 && on != 1)) {
        tx->reply->ops->error(tx->reply, "ERR bit is not an integer or out of range");
        return;
    }
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) tx_create(tx, args->at[1], KEY_STRING, &key);
    size_t byte = (size_t)(offset >> 3);
    bool was = bit_at(key.text, offset);
    if (byte >= key.text.size || was != (on == 1)) {
        size_t size = byte >= key.text.size ? byte + 1 : key.text.size;
        uint8_t *text = string_copy(tx, &key, size);
        unsigned mask = 0x80U >> (offset & 7);
        text[byte] = (uint8_t)(on == 1 ? text[byte] | mask : text[byte] & ~mask);
        tx_store_text(tx, &key, bytes_of(text, size));
        tx_notify(tx, NOTIFY_STRING, "setbit", tx->database, args->at[1]);
    }
    tx->reply->ops->integer(tx->reply, was ? 1 : 0);
}

void eval_GETBIT(struct tx *tx, const struct args *args)
{
    uint64_t offset;
    struct key key;
    if (!argument_bit_offset(tx, args->at[2], 0, &offset)) return;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    tx->reply->ops->integer(tx->reply, found == FOUND_KEY && bit_at(key.text, offset) ? 1 : 0);
}

/* --- Counting and searching --- */

/* A range of bits, both ends included. */
struct bit_range {
    int64_t from, to;
};

/* The word BIT or BYTE; data NULL: bytes. False: the error has been written. */
static bool bit_unit(struct tx *tx, struct bytes word, bool *bits)
{
    *bits = word.data != NULL && bytes_is_word(word, "bit");
    if (word.data == NULL || *bits || bytes_is_word(word, "byte")) return true;
    tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
    return false;
}

/* Ends in bits or bytes, counted from the end when negative, to bits of a text of `size` bytes.
 * False: nothing is in the range. */
static bool bit_range(bool bits, int64_t size, struct bit_range *range)
{
    if (!string_clip(&range->from, &range->to, bits ? size * 8 : size)) return false;
    if (!bits) *range = (struct bit_range){range->from * 8, range->to * 8 + 7};
    return true;
}

static int64_t count_bits(const uint8_t *data, struct bit_range range)
{
    size_t first = (size_t)(range.from >> 3);
    size_t last = (size_t)(range.to >> 3);
    int64_t count = 0;
    size_t i = first;
    for (; i + 8 <= last + 1; i += 8) count += __builtin_popcountll(load_le64(data + i));
    for (; i <= last; i++) count += __builtin_popcount(data[i]);
    unsigned before = (unsigned)data[first] >> (8 - (range.from & 7)); /* of the first byte */
    unsigned behind = (unsigned)data[last] & ((1U << (7 - (range.to & 7))) - 1);
    return count - __builtin_popcount(before) - __builtin_popcount(behind);
}

void eval_BITCOUNT(struct tx *tx, const struct args *args)
{
    struct key key;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) {
        tx->reply->ops->integer(tx->reply, 0);
        return;
    }
    if (args->count == 3 || args->count > 5) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    struct bit_range range = {0, -1};
    bool bits = false;
    if (args->count > 2) {
        if (!argument_integer(tx, args->at[2], ERROR_NOT_INTEGER, &range.from)) return;
        if (!argument_integer(tx, args->at[3], ERROR_NOT_INTEGER, &range.to)) return;
    }
    if (args->count > 2 && range.from < 0 && range.to < 0 && range.from > range.to) {
        tx->reply->ops->integer(tx->reply, 0);
        return;
    }
    if (args->count == 5 && !bit_unit(tx, args->at[4], &bits)) return;
    bool any = bit_range(bits, (int64_t)key.text.size, &range);
    tx->reply->ops->integer(tx->reply, any ? count_bits(key.text.data, range) : 0);
}

/* The first such bit in the range, or -1. */
static int64_t search_bit(const uint8_t *data, struct bit_range range, bool bit)
{
    uint8_t none = bit ? 0x00 : 0xff; /* a byte without one */
    for (int64_t at = range.from; at <= range.to;) {
        if ((at & 7) == 0 && data[at >> 3] == none) {
            at += 8;
            continue;
        }
        if ((data[at >> 3] >> (7 - (at & 7)) & 1) == (bit ? 1 : 0)) return at;
        at++;
    }
    return -1;
}

static bool parse_searched(struct tx *tx, struct bytes word, bool *bit)
{
    int64_t value;
    if (!argument_integer(tx, word, ERROR_NOT_INTEGER, &value)) return false;
    *bit = value == 1;
    if (value == 0 || value == 1) return true;
    tx->reply->ops->error(tx->reply, "ERR The bit argument must be 1 or 0.");
    return false;
}

void eval_BITPOS(struct tx *tx, const struct args *args)
{
    bool bit;
    struct key key;
    if (!parse_searched(tx, args->at[2], &bit)) return;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    if (found == FOUND_ABSENT) { /* zeros without end */
        tx->reply->ops->integer(tx->reply, bit ? -1 : 0);
        return;
    }
    if (args->count > 6) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    struct bit_range range = {0, -1};
    bool bits = false;
    bool to_given = args->count >= 5;
    if (args->count >= 4 && !argument_integer(tx, args->at[3], ERROR_NOT_INTEGER, &range.from))
        return;
    if (args->count == 6 && !bit_unit(tx, args->at[5], &bits)) return;
    if (to_given && !argument_integer(tx, args->at[4], ERROR_NOT_INTEGER, &range.to)) return;
    if (!to_given) range.to = INT64_MAX; /* the end, also where the start is behind it */
    int64_t size = (int64_t)key.text.size;
    bool any = bit_range(bits, size, &range);
    int64_t found_at = any ? search_bit(key.text.data, range, bit) : -1;
    /* Without an end the string goes on with zeros. */
    if (any && found_at < 0 && !bit && !to_given) found_at = size * 8;
    tx->reply->ops->integer(tx->reply, found_at);
}

/* --- BITOP --- */

enum bit_operation { BIT_AND, BIT_OR, BIT_XOR, BIT_NOT, BIT_OPERATIONS };

static uint8_t combine(enum bit_operation operation, uint8_t a, uint8_t b)
{
    switch (operation) {
    case BIT_AND: return a & b;
    case BIT_OR: return a | b;
    case BIT_XOR: return a ^ b;
    case BIT_NOT:
    case BIT_OPERATIONS: break;
    }
    return (uint8_t)~a;
}

static void combine_all(enum bit_operation operation, const struct bytes *sources, size_t count,
                        uint8_t *out, size_t size)
{
    memset(out, 0, size);
    if (sources[0].size > 0) memcpy(out, sources[0].data, sources[0].size);
    if (operation == BIT_NOT) {
        for (size_t i = 0; i < size; i++) out[i] = combine(operation, out[i], 0);
    }
    for (size_t s = 1; s < count; s++) {
        size_t there = sources[s].size;
        for (size_t i = 0; i < there; i++) out[i] = combine(operation, out[i], sources[s].data[i]);
        if (operation == BIT_AND) memset(out + there, 0, size - there);
    }
}

/* The texts of the keys args->at[3] on; an absent key is empty. False: the error has been written.
 */
static bool find_sources(struct tx *tx, const struct args *args, struct bytes *sources,
                         size_t *size)
{
    *size = 0;
    for (size_t i = 3; i < args->count; i++) {
        struct key key;
        enum found found = tx_find_typed(tx, args->at[i], KEY_STRING, &key);
        if (found == FOUND_WRONG) return false;
        sources[i - 3] = found == FOUND_KEY ? key.text : (struct bytes){0};
        if (sources[i - 3].size > *size) *size = sources[i - 3].size;
    }
    return true;
}

void eval_BITOP(struct tx *tx, const struct args *args)
{
    static const char *const words[] = {"and", "or", "xor", "not"};
    unsigned operation = 0;
    while (operation < BIT_OPERATIONS && !bytes_is_word(args->at[1], words[operation])) operation++;
    if (operation == BIT_OPERATIONS) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return;
    }
    if (operation == BIT_NOT && args->count != 4) {
        tx->reply->ops->error(tx->reply, "ERR BITOP NOT must be called with a single source key.");
        return;
    }
    size_t count = args->count - 3;
    size_t size;
    struct bytes *sources = tx_scratch(tx, count * sizeof *sources);
    if (!find_sources(tx, args, sources, &size)) return;
    struct key key;
    bool lives = tx_find(tx, args->at[2], &key);
    if (size > 0) {
        uint8_t *text = tx_scratch(tx, size);
        combine_all((enum bit_operation)operation, sources, count, text, size);
        if (!lives || key.type != KEY_STRING) tx_create(tx, args->at[2], KEY_STRING, &key);
        key.expire_ms = 0;
        tx_store_text(tx, &key, bytes_of(text, size));
        tx_notify(tx, NOTIFY_STRING, "set", tx->database, args->at[2]);
    } else if (lives) {
        tx_remove(tx, &key);
        tx_notify(tx, NOTIFY_GENERIC, "del", tx->database, args->at[2]);
    }
    tx->reply->ops->integer(tx->reply, (int64_t)size);
}
