/* SPDX-License-Identifier: Apache-2.0 */
/* checksum: XXH3 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md), the only hash we
 * store. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/bytes.h"

/* XXH3-64 with a seed. */
uint64_t checksum64(struct bytes bytes, uint64_t seed);

/* XXH3-64 over several runs as if they were one. */
uint64_t checksum64_parts(const struct bytes *parts, size_t count, uint64_t seed);

/* XXH3-64 over bytes that are not all there at once. */
struct checksum_stream;                             /* fields: base/checksum.c */
struct checksum_stream *checksum_stream_open(void); /* the caller's */
void checksum_stream_begin(struct checksum_stream *stream, uint64_t seed);
void checksum_stream_add(struct checksum_stream *stream, struct bytes bytes);
uint64_t checksum_stream_value(const struct checksum_stream *stream); /* of all that was added */
void checksum_stream_close(struct checksum_stream *stream);           /* NULL is fine */

/* A sum of XXH3-128 values modulo 2^128: order-free, so that it can be kept while records
 * change. */
struct digest {
    uint64_t low, high;
};

enum { DIGEST_ENCODED_BYTES = 16, DIGEST_TEXT_BYTES = 33 };

struct digest digest_of(struct bytes bytes);                            /* XXH3-128, seed 0 */
struct digest digest_of_parts(const struct bytes *parts, size_t count); /* as if one run */

static inline struct digest digest_add(struct digest a, struct digest b)
{
    uint64_t low = a.low + b.low;
    return (struct digest){low, a.high + b.high + (low < a.low ? 1 : 0)};
}

static inline struct digest digest_subtract(struct digest a, struct digest b)
{
    return (struct digest){a.low - b.low, a.high - b.high - (a.low < b.low ? 1 : 0)};
}

static inline bool digest_equal(struct digest a, struct digest b)
{
    return a.low == b.low && a.high == b.high;
}

void digest_encode(struct digest digest, uint8_t out[DIGEST_ENCODED_BYTES]); /* low, high; LE */
struct digest digest_decode(const uint8_t in[DIGEST_ENCODED_BYTES]);
void digest_format(struct digest digest, char out[DIGEST_TEXT_BYTES]); /* 32 hex, high first */

#endif
