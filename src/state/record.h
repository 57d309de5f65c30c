/* SPDX-License-Identifier: Apache-2.0 */
/* record: a key as the tables hold it. Once it is in a table its name and value never change: a
 * change makes a new record. So one that is being flushed can be read by the store's thread
 * meanwhile.
 *
 * Its value is what the store holds (docs/formats/state.md), little-endian:
 *     type 1, version lsn 8, version ordinal 4, changed lsn 8, expire ms 8 (0: never), then
 *     a string: its bytes
 *     a list: size 8, digest of its items 16, head 8, tail 8
 *     a hash, set, sorted set: size 8, digest of its elements 16 */
#ifndef STATE_RECORD_H
#define STATE_RECORD_H

#include "base/err.h"
#include "base/must.h"
#include "base/table.h"
#include "state/tx.h"

struct record {
    uint64_t hash;        /* layout_hash of the name */
    struct digest digest; /* what it adds to the sum of its database; of an absent one zero */
    uint32_t generation;  /* that made it; see state/generation.h. Read from the store: 0 */
    uint32_t change;      /* its place among the changes of that generation */
    uint32_t value_size;
    uint32_t room;   /* bytes for a value */
    bool absent;     /* the name is known to have no key: removed, or not found in the store */
    bool fresh;      /* nothing older of this name is in the frozen generation or the store */
    bool superseded; /* no longer in its table; kept for the flush that is under way */
    bool used;       /* since the hand of the cache came by */
    uint8_t data[];  /* name size le32, name, value: the bytes of the digest */
};

enum {
    RECORD_HEAD_BYTES = 4,
    RECORD_TEXT_AT = 29, /* of a string's value: where its text begins */
    RECORD_COLLECTION_BYTES = 53,
    RECORD_LIST_BYTES = 69,
};

static inline struct bytes record_name(const struct record *record)
{
    return bytes_of(record->data + RECORD_HEAD_BYTES, load_le32(record->data));
}
static inline struct bytes record_value(const struct record *record)
{
    return bytes_of(record->data + RECORD_HEAD_BYTES + load_le32(record->data), record->value_size);
}
static inline size_t record_bytes_of(size_t name_size, size_t room)
{
    return sizeof(struct record) + RECORD_HEAD_BYTES + name_size + room;
}
/* What it takes of the heap. */
static inline size_t record_bytes(const struct record *record)
{
    return record_bytes_of(load_le32(record->data), record->room);
}
static inline uint64_t record_expire_ms(const struct record *record)
{
    return record->absent ? 0 : load_le64(record_value(record).data + 21);
}
static inline bool record_is_collection(const struct record *record)
{
    return record_value(record).data[0] != KEY_STRING;
}

/* Bytes of the value that the key's record has. */
size_t record_value_size(const struct key *key);
/* Writes the record, of record_bytes_of(name, value) bytes, into aligned storage. */
void record_write(struct record *record, const struct key *key, uint64_t hash);
/* Each returns a new record, the caller's; freed by memory_free. */
struct record *record_copy(const struct record *record);
struct record *record_of_absent(struct bytes name, uint64_t hash);
/* `value` as the store holds it: NULL if it is not one. */
struct record *record_of_value(struct bytes name, uint64_t hash, struct bytes value);
/* Whether the value of `from` may stand in `record`, of the same name: there is room, and not far
 * too much. */
bool record_has_room(const struct record *record, const struct record *from);
/* Gives `record`, which nobody else reads, the content of `from`. */
void record_overwrite(struct record *record, const struct record *from);

/* Whether bytes of the store are a key's value. */
bool record_value_is_sound(struct bytes value);
/* Whether a list may have so many items from that index on. */
bool record_list_fits(int64_t head, uint64_t count);
/* Fills all but the database; `name` and `value` are borrowed by *key. The value is sound. */
void record_decode(struct bytes name, struct bytes value, struct key *key);
/* What a key of that name and value adds to the digest. */
struct digest record_digest(struct bytes name, struct bytes value);

/* What an element, or an item of a list, adds to its key's digest. */
struct digest element_digest(struct bytes name, struct bytes value);
struct digest item_digest(int64_t index, struct bytes value);

table_compare record_compare; /* base/table.h */

#endif
