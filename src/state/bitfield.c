/* SPDX-License-Identifier: Apache-2.0 */
/* BITFIELD: integers of any width at any place of a string. */
#include "base/number.h"
#include "state/arguments.h"
#include "state/bitmap_words.h"
#include "state/evals.h"
#include "state/string_words.h"

enum field_kind { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct field_operation {
    enum field_kind kind;
    enum overflow overflow;
    bool is_signed;
    unsigned width;
    uint64_t offset;
    int64_t value;
};

struct field_operations {
    struct field_operation *at;
    size_t count;
    bool writes;
    uint64_t last_written; /* the highest offset of a bit */
};

/* --- Words --- */

static bool parse_type(struct tx *tx, struct bytes word, struct field_operation *out)
{
    int64_t width = 0;
    bool known = word.size > 1 && (word.data[0] == 'i' || word.data[0] == 'u');
    out->is_signed = known && word.data[0] == 'i';
    if (known) known = number_parse_int64(bytes_of(word.data + 1, word.size - 1), &width);
    if (known && width >= 1 && width <= (out->is_signed ? 64 : 63)) {
        out->width = (unsigned)width;
        return true;
    }
    tx->reply->ops->error(tx->reply,
                          "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is "
                          "not supported but i64 is.");
    return false;
}

static bool parse_overflow(struct tx *tx, struct bytes word, enum overflow *out)
{
    static const char *const words[] = {"wrap", "sat", "fail"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!bytes_is_word(word, words[i])) continue;
        *out = (enum overflow)i;
        return true;
    }
    tx->reply->ops->error(tx->reply, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* GET type offset, SET type offset value, INCRBY type offset value; the words from args->at[at] on.
 * Returns how many they are; 0: the error has been written. */
static size_t parse_operation(struct tx *tx, const struct args *args, size_t at,
                              struct field_operation *out)
{
    static const char *const words[] = {"get", "set", "incrby"};
    unsigned kind = 0;
    while (kind < 3 && !bytes_is_word(args->at[at], words[kind])) kind++;
    size_t taken = kind == FIELD_GET ? 3 : 4;
    if (kind == 3 || args->count - at < taken) {
        tx->reply->ops->error(tx->reply, ERROR_SYNTAX);
        return 0;
    }
    out->kind = (enum field_kind)kind;
    if (!parse_type(tx, args->at[at + 1], out)) return 0;
    if (!argument_bit_offset(tx, args->at[at + 2], out->width, &out->offset)) return 0;
    if (kind == FIELD_GET) return taken;
    return argument_integer(tx, args->at[at + 3], ERROR_NOT_INTEGER, &out->value) ? taken : 0;
}

static bool parse_all(struct tx *tx, const struct args *args, struct field_operations *out)
{
    enum overflow overflow = OVERFLOW_WRAP;
    *out = (struct field_operations){.at = tx_scratch(tx, args->count * sizeof *out->at)};
    for (size_t i = 2; i < args->count;) {
        if (bytes_is_word(args->at[i], "overflow") && i + 1 < args->count) {
            if (!parse_overflow(tx, args->at[i + 1], &overflow)) return false;
            i += 2;
            continue;
        }
        struct field_operation *operation = &out->at[out->count++];
        *operation = (struct field_operation){.overflow = overflow};
        size_t taken = parse_operation(tx, args, i, operation);
        if (taken == 0) return false;
        i += taken;
        if (operation->kind == FIELD_GET) continue;
        out->writes = true;
        uint64_t last = operation->offset + operation->width - 1;
        if (last > out->last_written) out->last_written = last;
    }
    return true;
}

/* --- Fields --- */

static uint64_t read_field(struct bytes text, uint64_t offset, unsigned width)
{
    uint64_t value = 0;
    for (uint64_t at = offset; at < offset + width; at++) {
        size_t byte = (size_t)(at >> 3);
        uint64_t bit = byte < text.size ? text.data[byte] >> (7 - (at & 7)) & 1U : 0;
        value = value << 1 | bit;
    }
    return value;
}

static void write_field(uint8_t *data, uint64_t offset, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++) {
        uint64_t at = offset + i;
        unsigned mask = 0x80U >> (at & 7);
        bool on = (value >> (width - 1 - i) & 1) != 0;
        data[at >> 3] = (uint8_t)(on ? data[at >> 3] | mask : data[at >> 3] & ~mask);
    }
}

static uint64_t mask_of(unsigned width)
{
    return width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* The low bits of a field as the number that they mean, in two's complement. */
static uint64_t field_number(uint64_t bits, unsigned width, bool is_signed)
{
    bits &= mask_of(width);
    bool negative = is_signed && (bits >> (width - 1) & 1) != 0;
    return negative ? bits | ~mask_of(width) : bits;
}

/* The two checks are Redis's to the letter, in integers that wrap: for a SET of a number far
 * outside of a narrow field they saturate to the other end, and so do we. Each tells -1 or 1 where
 * value + change lies below or above the field's range. */
static int signed_overflow(int64_t value, int64_t change, unsigned width)
{
    int64_t most = (int64_t)(mask_of(width) >> 1);
    int64_t least = -most - 1;
    int64_t up = (int64_t)((uint64_t)most - (uint64_t)value);
    int64_t down = (int64_t)((uint64_t)least - (uint64_t)value);
    bool narrow = width != 64;
    if (value > most || (narrow && change > up) || (value >= 0 && change > 0 && change > up))
        return 1;
    if (value < least || (narrow && change < down) || (value < 0 && change < 0 && change < down)) {
        return -1;
    }
    return 0;
}

static int unsigned_overflow(uint64_t value, int64_t change, unsigned width)
{
    uint64_t most = mask_of(width);
    if (value > most || (change > 0 && change > (int64_t)(most - value))) return 1;
    if (change < 0 && change < (int64_t)(0 - value)) return -1;
    return 0;
}

/* value + change, brought into the field's range as the operation says. False: it is not to be
 * written. */
static bool fit(const struct field_operation *operation, uint64_t value, int64_t change,
                uint64_t *number)
{
    unsigned width = operation->width;
    bool is_signed = operation->is_signed;
    int over = is_signed ? signed_overflow((int64_t)value, change, width)
                         : unsigned_overflow(value, change, width);
    uint64_t most = is_signed ? mask_of(width) >> 1 : mask_of(width);
    *number = field_number(value + (uint64_t)change, width, is_signed);
    if (over == 0) return true;
    if (operation->overflow == OVERFLOW_SAT && over > 0) *number = most;
    if (operation->overflow == OVERFLOW_SAT && over < 0) *number = is_signed ? ~most : 0;
    return operation->overflow != OVERFLOW_FAIL;
}

/* Runs a SET or INCRBY on the bytes. Returns whether the field has changed, or, in a string that
 * grows, is there now. */
static bool run_write(struct tx *tx, const struct field_operation *operation, uint8_t *data,
                      size_t size, bool grows)
{
    uint64_t bits = read_field(bytes_of(data, size), operation->offset, operation->width);
    uint64_t old = field_number(bits, operation->width, operation->is_signed);
    uint64_t new;
    bool written = operation->kind == FIELD_INCRBY
                       ? fit(operation, old, operation->value, &new)
                       : fit(operation, (uint64_t)operation->value, 0, &new);
    if (!written) {
        tx->reply->ops->null(tx->reply);
        return false;
    }
    tx->reply->ops->integer(tx->reply, (int64_t)(operation->kind == FIELD_SET ? old : new));
    write_field(data, operation->offset, operation->width, new);
    return grows || new != old;
}

static void run_read(struct tx *tx, const struct field_operation *operation, struct bytes text)
{
    uint64_t bits = read_field(text, operation->offset, operation->width);
    tx->reply->ops->integer(tx->reply,
                            (int64_t)field_number(bits, operation->width, operation->is_signed));
}

static void run_reads(struct tx *tx, const struct field_operations *operations, struct bytes text)
{
    tx->reply->ops->array(tx->reply, operations->count);
    for (size_t i = 0; i < operations->count; i++) run_read(tx, &operations->at[i], text);
}

static void run_all(struct tx *tx, const struct field_operations *operations, struct key *key)
{
    size_t size = (size_t)(operations->last_written >> 3) + 1;
    bool grows = size > key->text.size;
    if (!grows) size = key->text.size;
    uint8_t *data = string_copy(tx, key, size);
    bool changed = false;
    tx->reply->ops->array(tx->reply, operations->count);
    for (size_t i = 0; i < operations->count; i++) {
        const struct field_operation *operation = &operations->at[i];
        if (operation->kind == FIELD_GET) {
            run_read(tx, operation, bytes_of(data, size));
        } else if (run_write(tx, operation, data, size, grows)) {
            changed = true;
        }
    }
    if (!grows && !changed) return;
    tx_store_text(tx, key, bytes_of(data, size));
    if (changed) tx_notify(tx, NOTIFY_STRING, "setbit", key->database, key->name);
}

void eval_BITFIELD(struct tx *tx, const struct args *args)
{
    struct field_operations operations;
    struct key key;
    if (!parse_all(tx, args, &operations)) return;
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    if (!operations.writes) {
        run_reads(tx, &operations, found == FOUND_KEY ? key.text : (struct bytes){0});
        return;
    }
    if (found == FOUND_ABSENT) tx_create(tx, args->at[1], KEY_STRING, &key);
    run_all(tx, &operations, &key);
}

void eval_BITFIELD_RO(struct tx *tx, const struct args *args)
{
    struct field_operations operations;
    struct key key;
    if (!parse_all(tx, args, &operations)) return;
    if (operations.writes) {
        tx->reply->ops->error(tx->reply, "ERR BITFIELD_RO only supports the GET subcommand");
        return;
    }
    enum found found = tx_find_typed(tx, args->at[1], KEY_STRING, &key);
    if (found == FOUND_WRONG) return;
    run_reads(tx, &operations, found == FOUND_KEY ? key.text : (struct bytes){0});
}
