/* SPDX-License-Identifier: Apache-2.0 */
/* layout: the keys of the store's records (docs/formats/state.md). Big-endian, so that the store's
 * order of bytes is the order that walks need:
 *
 *     'E' namespace 8, version 12, hash 6, name     an element of a hash, set or sorted set
 *     'K' namespace 8, hash 6, name                 a key
 *     'L' namespace 8, version 12, index 8          an item of a list
 *     'M'                                           mark, stamp, databases (state/meta.h)
 *     'Q' version's lsn 8, namespace 8, ordinal 4   a removed collection, to be cleaned up
 *     'R' namespace 8, version 12, score 8, member  the order of a sorted set
 *     'S' offset 8                                  a piece of the stream of effects
 *     'X' time in ms 8, namespace 8, hash 6, name   a key that ends then
 *
 * All but 'K' and 'M' are *strands*: a prefix that says which strand, then an integer that orders
 * it (6 or 8 bytes), then a tail. */
#ifndef STATE_LAYOUT_H
#define STATE_LAYOUT_H

#include "base/buffer.h"
#include "state/tx.h"

enum layout {
    LAYOUT_ELEMENT = 'E',
    LAYOUT_KEY = 'K',
    LAYOUT_ITEM = 'L',
    LAYOUT_META = 'M',
    LAYOUT_QUEUE = 'Q',
    LAYOUT_RANK = 'R',
    LAYOUT_STREAM = 'S',
    LAYOUT_EXPIRY = 'X',
};

enum { PREFIX_BYTES_MAX = 21, LAYOUT_HASH_BYTES = 6, LAYOUT_KEY_HEAD_BYTES = 15 };

/* What all keys of a strand, or all key records of a namespace, begin with. */
struct prefix {
    uint8_t size;
    uint8_t at[PREFIX_BYTES_MAX];
};

struct prefix layout_strand(enum layout kind, uint64_t namespace, struct version version);
struct prefix layout_keys(uint64_t namespace);
/* Everything of one kind in a namespace. */
struct prefix layout_namespace(enum layout kind, uint64_t namespace);
static inline struct bytes prefix_bytes(const struct prefix *prefix)
{
    return bytes_of(prefix->at, prefix->size);
}
/* The least key above everything that begins with the prefix. */
struct prefix layout_end(const struct prefix *prefix);

size_t layout_order_bytes(enum layout kind); /* of a strand: 6 or 8 */
/* The store key into `out`, which is cleared first. */
void layout_put_strand(struct buffer *out, const struct prefix *prefix, uint64_t order,
                       struct bytes tail);
void layout_put_key(struct buffer *out, uint64_t namespace, uint64_t hash, struct bytes name);
/* Takes a store key apart; false: it does not begin with the prefix or is too short. *tail is
 * borrowed. */
bool layout_split(const struct prefix *prefix, struct bytes key, uint64_t *order,
                  struct bytes *tail);

uint64_t layout_hash(struct bytes name); /* the upper 48 bits of its XXH3-64 */
uint64_t layout_score(double score);     /* an integer in the order of the scores; -0 is 0 */
double layout_unscore(uint64_t order);
uint64_t layout_index(int64_t index); /* an integer in the order of the indexes */
int64_t layout_unindex(uint64_t order);

/* The tail of an expiry record: namespace, hash, name; appended. */
void layout_put_expiry_tail(struct buffer *out, uint64_t namespace, uint64_t hash,
                            struct bytes name);
bool layout_split_expiry_tail(struct bytes tail, uint64_t *namespace, struct bytes *name);
enum { LAYOUT_QUEUE_TAIL_BYTES = 12 };
void layout_put_queue_tail(uint8_t out[LAYOUT_QUEUE_TAIL_BYTES], uint64_t namespace,
                           uint32_t ordinal);
bool layout_split_queue_tail(struct bytes tail, uint64_t *namespace, uint32_t *ordinal);

#endif
