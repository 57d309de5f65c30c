/* SPDX-License-Identifier: Apache-2.0 */
#include "state/layout.h"

#include "base/checksum.h"
#include "base/must.h"

static void put48(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < LAYOUT_HASH_BYTES; i++) at[i] = (uint8_t)(value >> (40 - 8 * i));
}

static uint64_t get48(const uint8_t *at)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < LAYOUT_HASH_BYTES; i++) value = value << 8 | at[i];
    return value;
}

struct prefix layout_namespace(enum layout kind, uint64_t namespace)
{
    struct prefix prefix = {.size = 9};
    prefix.at[0] = (uint8_t)kind;
    store_be64(prefix.at + 1, namespace);
    return prefix;
}

struct prefix layout_keys(uint64_t namespace)
{
    return layout_namespace(LAYOUT_KEY, namespace);
}

struct prefix layout_strand(enum layout kind, uint64_t namespace, struct version version)
{
    if (kind == LAYOUT_EXPIRY || kind == LAYOUT_QUEUE || kind == LAYOUT_STREAM) {
        return (struct prefix){.size = 1, .at = {(uint8_t)kind}};
    }
    struct prefix prefix = layout_namespace(kind, namespace);
    store_be64(prefix.at + 9, version.lsn);
    store_be32(prefix.at + 17, version.ordinal);
    prefix.size = PREFIX_BYTES_MAX;
    return prefix;
}

struct prefix layout_end(const struct prefix *prefix)
{
    struct prefix end = *prefix;
    while (end.size > 0 && ++end.at[end.size - 1] == 0) end.size--;
    MUST(end.size > 0); /* the kind byte is a letter */
    return end;
}

size_t layout_order_bytes(enum layout kind)
{
    return kind == LAYOUT_ELEMENT ? LAYOUT_HASH_BYTES : 8;
}

void layout_put_strand(struct buffer *out, const struct prefix *prefix, uint64_t order,
                       struct bytes tail)
{
    buffer_clear(out);
    uint8_t *at = buffer_reserve(out, prefix->size + 8 + tail.size);
    memcpy(at, prefix->at, prefix->size);
    at += prefix->size;
    size_t order_bytes = layout_order_bytes((enum layout)prefix->at[0]);
    if (order_bytes == LAYOUT_HASH_BYTES) put48(at, order);
    else store_be64(at, order);
    at += order_bytes;
    if (tail.size > 0) memcpy(at, tail.data, tail.size);
    out->size = prefix->size + order_bytes + tail.size;
}

void layout_put_key(struct buffer *out, uint64_t namespace, uint64_t hash, struct bytes name)
{
    buffer_clear(out);
    uint8_t *at = buffer_reserve(out, LAYOUT_KEY_HEAD_BYTES + name.size);
    at[0] = LAYOUT_KEY;
    store_be64(at + 1, namespace);
    put48(at + 9, hash);
    if (name.size > 0) memcpy(at + LAYOUT_KEY_HEAD_BYTES, name.data, name.size);
    out->size = LAYOUT_KEY_HEAD_BYTES + name.size;
}

bool layout_split(const struct prefix *prefix, struct bytes key, uint64_t *order,
                  struct bytes *tail)
{
    enum layout kind = (enum layout)prefix->at[0];
    size_t order_bytes = kind == LAYOUT_KEY ? LAYOUT_HASH_BYTES : layout_order_bytes(kind);
    if (key.size < prefix->size + order_bytes) return false;
    if (memcmp(key.data, prefix->at, prefix->size) != 0) return false;
    const uint8_t *at = key.data + prefix->size;
    *order = order_bytes == LAYOUT_HASH_BYTES ? get48(at) : load_be64(at);
    *tail = bytes_of(at + order_bytes, key.size - prefix->size - order_bytes);
    return true;
}

uint64_t layout_hash(struct bytes name)
{
    return checksum64(name, 0) >> 16;
}

/* IEEE 754: positive numbers order as their bits; negative ones in reverse, below them. */
uint64_t layout_score(double score)
{
    if (score == 0) score = 0; /* one zero */
    uint64_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

double layout_unscore(uint64_t order)
{
    uint64_t bits = order >> 63 != 0 ? order & ~(UINT64_C(1) << 63) : ~order;
    double score;
    memcpy(&score, &bits, sizeof score);
    return score;
}

uint64_t layout_index(int64_t index)
{
    return (uint64_t)index ^ UINT64_C(1) << 63;
}

int64_t layout_unindex(uint64_t order)
{
    return (int64_t)(order ^ UINT64_C(1) << 63);
}

void layout_put_expiry_tail(struct buffer *out, uint64_t namespace, uint64_t hash,
                            struct bytes name)
{
    uint8_t *at = buffer_reserve(out, 14 + name.size);
    store_be64(at, namespace);
    put48(at + 8, hash);
    if (name.size > 0) memcpy(at + 14, name.data, name.size);
    out->size += 14 + name.size;
}

bool layout_split_expiry_tail(struct bytes tail, uint64_t *namespace, struct bytes *name)
{
    if (tail.size < 14) return false;
    *namespace = load_be64(tail.data);
    *name = bytes_of(tail.data + 14, tail.size - 14);
    return true;
}

void layout_put_queue_tail(uint8_t out[LAYOUT_QUEUE_TAIL_BYTES], uint64_t namespace,
                           uint32_t ordinal)
{
    store_be64(out, namespace);
    store_be32(out + 8, ordinal);
}

bool layout_split_queue_tail(struct bytes tail, uint64_t *namespace, uint32_t *ordinal)
{
    if (tail.size != LAYOUT_QUEUE_TAIL_BYTES) return false;
    *namespace = load_be64(tail.data);
    *ordinal = load_be32(tail.data + 8);
    return true;
}
