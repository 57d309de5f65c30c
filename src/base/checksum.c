/* SPDX-License-Identifier: Apache-2.0 */
#include "base/checksum.h"

#include <stdlib.h>

#include "base/checksum_wide.h"
#include "base/memory.h"
#include "base/must.h"

/* The header's own static code instead of calls into the library: short records are most of what is
 * hashed, and there the call costs as much as the hash. Its functions for states on the heap are
 * never called here; should one be, it goes through our door. */
#undef malloc
#undef free
#define malloc(size) memory_alloc(size)
#define free(pointer) memory_free(pointer)
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CHECKSUM_JOIN_BYTES = 512, /* up to here copying together is cheaper than streaming */
};

uint64_t checksum64(struct bytes bytes, uint64_t seed)
{
    if (bytes.size > CHECKSUM_WIDE_BYTES) return checksum_wide(bytes, seed);
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

/* Copies the parts together when they are short enough: true, and *joined borrows `room`. */
static bool parts_join(const struct bytes *parts, size_t count, uint8_t room[CHECKSUM_JOIN_BYTES],
                       struct bytes *joined)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size > CHECKSUM_JOIN_BYTES - size) return false;
        if (parts[i].size == 0) continue;
        memcpy(room + size, parts[i].data, parts[i].size);
        size += parts[i].size;
    }
    *joined = bytes_of(room, size);
    return true;
}

/* Under AddressSanitizer gcc places locals at multiples of 32, and a state wants more: it takes its
 * place by itself. */
struct state_room {
    uint8_t bytes[sizeof(XXH3_state_t) + _Alignof(XXH3_state_t) - 1];
};

static XXH3_state_t *state_in(struct state_room *room)
{
    uintptr_t mask = _Alignof(XXH3_state_t) - 1;
    return (void *)(((uintptr_t)room->bytes + mask) & ~mask);
}

uint64_t checksum64_parts(const struct bytes *parts, size_t count, uint64_t seed)
{
    if (count == 1) return checksum64(parts[0], seed);
    uint8_t room[CHECKSUM_JOIN_BYTES];
    struct bytes joined;
    if (parts_join(parts, count, room, &joined)) return checksum64(joined, seed);
    struct state_room state_room;
    XXH3_state_t *state = state_in(&state_room);
    XXH3_INITSTATE(state);
    state->extSecret = NULL; /* version 0.8.1 reads it before it sets it */
    MUST(XXH3_64bits_reset_withSeed(state, seed) == XXH_OK);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size == 0) continue;
        checksum_wide_add(state, parts[i]);
    }
    return XXH3_64bits_digest(state);
}

struct checksum_stream {
    XXH3_state_t state;
};

struct checksum_stream *checksum_stream_open(void)
{
    struct checksum_stream *stream = memory_aligned(_Alignof(struct checksum_stream),
                                                    sizeof *stream);
    XXH3_INITSTATE(&stream->state);
    checksum_stream_begin(stream, 0);
    return stream;
}

void checksum_stream_begin(struct checksum_stream *stream, uint64_t seed)
{
    stream->state.extSecret = NULL; /* as above */
    MUST(XXH3_64bits_reset_withSeed(&stream->state, seed) == XXH_OK);
}

void checksum_stream_add(struct checksum_stream *stream, struct bytes bytes)
{
    if (bytes.size > 0) checksum_wide_add(&stream->state, bytes);
}

uint64_t checksum_stream_value(const struct checksum_stream *stream)
{
    return XXH3_64bits_digest(&stream->state);
}

void checksum_stream_close(struct checksum_stream *stream)
{
    memory_free(stream);
}

static struct digest digest_from(XXH128_hash_t hash)
{
    return (struct digest){.low = hash.low64, .high = hash.high64};
}

struct digest digest_of(struct bytes bytes)
{
    if (bytes.size > CHECKSUM_WIDE_BYTES) return digest_wide(bytes);
    return digest_from(XXH3_128bits(bytes.data, bytes.size));
}

struct digest digest_of_parts(const struct bytes *parts, size_t count)
{
    if (count == 1) return digest_of(parts[0]);
    uint8_t room[CHECKSUM_JOIN_BYTES];
    struct bytes joined;
    if (parts_join(parts, count, room, &joined)) return digest_of(joined);
    struct state_room state_room;
    XXH3_state_t *state = state_in(&state_room);
    MUST(XXH3_128bits_reset(state) == XXH_OK);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size == 0) continue;
        digest_wide_add(state, parts[i]);
    }
    return digest_from(XXH3_128bits_digest(state));
}

void digest_encode(struct digest digest, uint8_t out[DIGEST_ENCODED_BYTES])
{
    store_le64(out, digest.low);
    store_le64(out + 8, digest.high);
}

struct digest digest_decode(const uint8_t in[DIGEST_ENCODED_BYTES])
{
    return (struct digest){.low = load_le64(in), .high = load_le64(in + 8)};
}

void digest_format(struct digest digest, char out[DIGEST_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++) {
        out[i] = digits[digest.high >> (60 - 4 * i) & 15];
        out[16 + i] = digits[digest.low >> (60 - 4 * i) & 15];
    }
    out[DIGEST_TEXT_BYTES - 1] = '\0';
}
