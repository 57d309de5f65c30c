/* SPDX-License-Identifier: Apache-2.0 */
/* The library chooses by what the processor says of itself, where it knows how to ask; a program
 * that runs everywhere cannot be compiled for more than the least of them. */
#include "base/checksum_wide.h"

#include "base/must.h"

#define XXH_STATIC_LINKING_ONLY
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* its names take the place of the others' */
#else
#include <xxhash.h>
#endif

uint64_t checksum_wide(struct bytes bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

struct digest digest_wide(struct bytes bytes)
{
    XXH128_hash_t hash = XXH3_128bits(bytes.data, bytes.size);
    return (struct digest){.low = hash.low64, .high = hash.high64};
}

void checksum_wide_add(void *state, struct bytes bytes)
{
    MUST(XXH3_64bits_update(state, bytes.data, bytes.size) == XXH_OK);
}

void digest_wide_add(void *state, struct bytes bytes)
{
    MUST(XXH3_128bits_update(state, bytes.data, bytes.size) == XXH_OK);
}
