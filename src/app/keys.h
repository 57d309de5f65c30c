/* SPDX-License-Identifier: Apache-2.0 */
/* keys: makes the keys machine of a shard over a world's stores, when the node asks for it. */
#ifndef APP_KEYS_H
#define APP_KEYS_H

#include "seam/maker.h"
#include "seam/world.h"

/* Caller-owned; keys_init, then give &keys->maker to the node, which closes what it has opened. */
struct keys {
    struct machine_maker maker;
    struct world world;
    uint64_t cache_bytes, effects_bytes;
    struct store *store;           /* open, or NULL */
    struct store *filling;         /* likewise: into which an image's records are put, */
    struct machine_filler *filler; /* by this one */
    struct store *taking;          /* likewise: into which keys are taken, */
    struct record_sink *taker;     /* by this one */
};

/* `cache_bytes` bounds what is kept in memory of what is on disk, `effects_bytes` about what is
 * kept of the stream of effects. `world` is copied. */
void keys_init(struct keys *keys, const struct world *world, uint64_t cache_bytes,
               uint64_t effects_bytes);

#endif
