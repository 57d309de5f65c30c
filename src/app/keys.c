/* SPDX-License-Identifier: Apache-2.0 */
#include "app/keys.h"

#include "base/must.h"
#include "state/state.h"

static enum err keys_open(struct machine_maker *maker, const char *directory, bool create,
                          struct history history, struct machine **machine, struct why *why)
{
    struct keys *keys = CONTAINER_OF(maker, struct keys, maker);
    const struct world *world = &keys->world;
    *machine = NULL;
    struct store *store = NULL;
    /* Most for records, which answer at once; the rest for the blocks that they come from. */
    uint64_t blocks = keys->cache_bytes / 4;
    enum err err = world->stores->ops->open(world->stores, directory, create, blocks, &store, why);
    if (err != ERR_OK) return err;
    struct state_options options = {.history = history,
                                    .cache_bytes = keys->cache_bytes - blocks};
    err = state_open(machine, store, world->clock, &options, world->trace, why);
    if (err != ERR_OK) {
        store->ops->close(store);
        return err;
    }
    keys->store = store;
    return ERR_OK;
}

void keys_init(struct keys *keys, const struct world *world, uint64_t cache_bytes)
{
    *keys = (struct keys){.maker.open = keys_open, .world = *world, .cache_bytes = cache_bytes};
}

void keys_release(struct keys *keys)
{
    if (keys->store != NULL) keys->store->ops->close(keys->store);
    keys->store = NULL;
}
