/* SPDX-License-Identifier: Apache-2.0 */
#include "state/record.h"

#include "base/checksum.h"
#include "base/memory.h"

enum { RECORD_SIZE_AT = 29, RECORD_ELEMENTS_AT = 37, RECORD_HEAD_AT = 53, RECORD_TAIL_AT = 61 };

/* No list gets there by pushes: so nothing that counts from a sound list's ends overflows. */
static const int64_t LIST_INDEX_MAX = INT64_C(1) << 62;

_Static_assert(RECORD_ELEMENTS_AT + DIGEST_ENCODED_BYTES == RECORD_COLLECTION_BYTES, "layout");
_Static_assert(RECORD_TAIL_AT + 8 == RECORD_LIST_BYTES, "layout");

int record_compare(const void *object, struct bytes name)
{
    return bytes_compare(record_name(object), name);
}

static void record_begin(struct record *record, struct bytes name, uint64_t hash, size_t value_size)
{
    MUST(value_size <= UINT32_MAX && name.size <= UINT32_MAX);
    *record = (struct record){
        .hash = hash, .value_size = (uint32_t)value_size, .room = (uint32_t)value_size};
    store_le32(record->data, (uint32_t)name.size);
    if (name.size > 0) memcpy(record->data + RECORD_HEAD_BYTES, name.data, name.size);
}

static struct record *record_new(struct bytes name, uint64_t hash, size_t value_size)
{
    struct record *record = memory_alloc(record_bytes_of(name.size, value_size));
    record_begin(record, name, hash, value_size);
    return record;
}

struct record *record_copy(const struct record *record)
{
    struct record *copy = memory_alloc(record_bytes(record));
    memcpy(copy, record, record_bytes(record));
    return copy;
}

bool record_has_room(const struct record *record, const struct record *from)
{
    return from->value_size <= record->room && from->value_size >= record->room / 2;
}

void record_overwrite(struct record *record, const struct record *from)
{
    size_t at = RECORD_HEAD_BYTES + record_name(record).size;
    memcpy(record->data + at, from->data + at, from->value_size);
    record->value_size = from->value_size;
    record->digest = from->digest;
}

static void record_sum(struct record *record)
{
    record->digest = digest_of(
        bytes_of(record->data, RECORD_HEAD_BYTES + record_name(record).size + record->value_size));
}

size_t record_value_size(const struct key *key)
{
    switch (key->type) {
    case KEY_STRING: return RECORD_TEXT_AT + key->text.size;
    case KEY_LIST: return RECORD_LIST_BYTES;
    case KEY_SET:
    case KEY_ZSET:
    case KEY_HASH: break;
    }
    return RECORD_COLLECTION_BYTES;
}

void record_write(struct record *record, const struct key *key, uint64_t hash)
{
    record_begin(record, key->name, hash, record_value_size(key));
    uint8_t *at = record->data + RECORD_HEAD_BYTES + key->name.size;
    at[0] = (uint8_t)key->type;
    store_le64(at + 1, key->version.lsn);
    store_le32(at + 9, key->version.ordinal);
    store_le64(at + 13, key->changed_lsn);
    store_le64(at + 21, key->expire_ms);
    if (key->type == KEY_STRING) {
        if (key->text.size > 0) memcpy(at + RECORD_TEXT_AT, key->text.data, key->text.size);
    } else {
        store_le64(at + RECORD_SIZE_AT, key->size);
        digest_encode(key->elements, at + RECORD_ELEMENTS_AT);
    }
    if (key->type == KEY_LIST) {
        store_le64(at + RECORD_HEAD_AT, (uint64_t)key->head);
        store_le64(at + RECORD_TAIL_AT, (uint64_t)key->tail);
    }
    record_sum(record);
}

struct record *record_of_absent(struct bytes name, uint64_t hash)
{
    struct record *record = record_new(name, hash, 0);
    record->absent = true;
    return record;
}

struct record *record_of_value(struct bytes name, uint64_t hash, struct bytes value)
{
    if (!record_value_is_sound(value)) return NULL;
    struct record *record = record_new(name, hash, value.size);
    memcpy(record->data + RECORD_HEAD_BYTES + name.size, value.data, value.size);
    record_sum(record);
    return record;
}

bool record_list_fits(int64_t head, uint64_t count)
{
    return head > -LIST_INDEX_MAX && head < LIST_INDEX_MAX &&
           count < (uint64_t)(LIST_INDEX_MAX - head);
}

static bool list_is_sound(const uint8_t *at)
{
    int64_t head = (int64_t)load_le64(at + RECORD_HEAD_AT);
    uint64_t count = load_le64(at + RECORD_SIZE_AT);
    return record_list_fits(head, count) &&
           (int64_t)load_le64(at + RECORD_TAIL_AT) == head + (int64_t)count;
}

bool record_value_is_sound(struct bytes value)
{
    if (value.size < RECORD_TEXT_AT) return false;
    if (value.data[0] == KEY_STRING) return value.size <= UINT32_MAX;
    if (value.data[0] == KEY_LIST) {
        return value.size == RECORD_LIST_BYTES && list_is_sound(value.data);
    }
    return value.data[0] <= KEY_HASH && value.data[0] > KEY_LIST &&
           value.size == RECORD_COLLECTION_BYTES;
}

void record_decode(struct bytes name, struct bytes value, struct key *key)
{
    const uint8_t *at = value.data;
    key->name = name;
    key->type = (enum key_type)at[0];
    key->version = (struct version){load_le64(at + 1), load_le32(at + 9)};
    key->changed_lsn = load_le64(at + 13);
    key->expire_ms = load_le64(at + 21);
    key->head = key->tail = 0;
    if (key->type == KEY_STRING) {
        key->size = 1;
        key->elements = (struct digest){0};
        key->text = bytes_of(at + RECORD_TEXT_AT, value.size - RECORD_TEXT_AT);
        return;
    }
    key->size = load_le64(at + RECORD_SIZE_AT);
    key->elements = digest_decode(at + RECORD_ELEMENTS_AT);
    key->text = (struct bytes){0};
    if (key->type == KEY_LIST) {
        key->head = (int64_t)load_le64(at + RECORD_HEAD_AT);
        key->tail = (int64_t)load_le64(at + RECORD_TAIL_AT);
    }
}

/* A name, its length before it, so that no two pairs of name and value are the same bytes. */
static struct digest named_digest(struct bytes name, struct bytes value)
{
    uint8_t head[RECORD_HEAD_BYTES];
    store_le32(head, (uint32_t)name.size);
    struct bytes parts[] = {bytes_of(head, sizeof head), name, value};
    return digest_of_parts(parts, 3);
}

struct digest record_digest(struct bytes name, struct bytes value)
{
    return named_digest(name, value);
}

struct digest element_digest(struct bytes name, struct bytes value)
{
    return named_digest(name, value);
}

struct digest item_digest(int64_t index, struct bytes value)
{
    uint8_t head[8];
    store_le64(head, (uint64_t)index);
    struct bytes parts[] = {bytes_of(head, sizeof head), value};
    return digest_of_parts(parts, 2);
}
