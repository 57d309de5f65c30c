/* SPDX-License-Identifier: Apache-2.0 */
#include "app/keys.h"

#include "base/must.h"
#include "state/state.h"

enum { KEYS_FILL_CACHE_BYTES = 8 << 20 };

static struct keys *keys_of(struct machine_maker *maker)
{
    return CONTAINER_OF(maker, struct keys, maker);
}

/* What an open() that failed says of what is there. */
static enum machine_found found_by(enum err err)
{
    return err == ERR_NOT_FOUND ? MACHINE_ABSENT : MACHINE_UNREADABLE;
}

static enum err keys_open(struct machine_maker *maker, const char *directory, bool create,
                          struct history history, struct machine **machine, struct why *why)
{
    struct keys *keys = keys_of(maker);
    const struct world *world = &keys->world;
    *machine = NULL;
    MUST(keys->store == NULL);
    struct store *store = NULL;
    /* Most for records, which answer at once; the rest for the blocks that they come from. */
    uint64_t blocks = keys->cache_bytes / 4;
    enum err err = world->stores->ops->open(world->stores, directory, create, blocks, &store, why);
    maker->found = found_by(err);
    if (err != ERR_OK) return err;
    maker->found = state_found(store, history);
    struct state_options options = {.history = history,
                                    .cache_bytes = keys->cache_bytes - blocks,
                                    .effects_bytes = keys->effects_bytes};
    err = state_open(machine, store, world->clock, &options, world->trace, why);
    if (err != ERR_OK) {
        store->ops->close(store);
        return err;
    }
    keys->store = store;
    return ERR_OK;
}

static void keys_fill_close(struct machine_maker *maker)
{
    struct keys *keys = keys_of(maker);
    if (keys->filling != NULL) keys->filling->ops->close(keys->filling); /* it reads the filler's */
    state_filler_close(keys->filler);
    keys->filling = NULL;
    keys->filler = NULL;
}

static enum err keys_fill(struct machine_maker *maker, const char *directory,
                          const struct machine_fill *fill, struct machine_filler **filler,
                          struct why *why)
{
    struct keys *keys = keys_of(maker);
    struct stores *stores = keys->world.stores;
    MUST(keys->filling == NULL);
    *filler = NULL;
    enum err err = stores->ops->open(stores, directory, true, KEYS_FILL_CACHE_BYTES, &keys->filling,
                                     why);
    if (err != ERR_OK) return err;
    err = state_filler_open(&keys->filler, keys->filling, fill, why);
    if (err != ERR_OK) keys_fill_close(maker);
    *filler = keys->filler;
    return err;
}

static void keys_take_close(struct machine_maker *maker)
{
    struct keys *keys = keys_of(maker);
    if (keys->taking != NULL) keys->taking->ops->close(keys->taking); /* it reads from the sink */
    state_sink_close(keys->taker);
    keys->taking = NULL;
    keys->taker = NULL;
}

static enum err keys_take(struct machine_maker *maker, const char *directory,
                          const struct machine_intake *intake, struct record_sink **sink,
                          struct why *why)
{
    struct keys *keys = keys_of(maker);
    struct stores *stores = keys->world.stores;
    MUST(keys->taking == NULL);
    *sink = NULL;
    enum err err = stores->ops->open(stores, directory, true, KEYS_FILL_CACHE_BYTES, &keys->taking,
                                     why);
    if (err != ERR_OK) return err;
    struct state_sink_options options = {.mark = intake->mark,
                                         .stamp = intake->stamp,
                                         .effects.database = EFFECTS_DATABASE_NONE,
                                         .epochs = &intake->epoch,
                                         .epoch_count = 1,
                                         .window_bytes = intake->window_bytes,
                                         .patience = STORE_NO_WAIT};
    err = state_sink_open(&keys->taker, keys->taking, &options, why);
    if (err != ERR_OK) keys_take_close(maker);
    *sink = keys->taker;
    return err;
}

static enum err keys_take_end(struct machine_maker *maker, const struct followed *place)
{
    struct keys *keys = keys_of(maker);
    state_sink_follow(keys->taker, place);
    return state_sink_finish(keys->taker, NULL);
}

/* The store first, which ends a flush under way: it reads the machine's records. */
static void keys_close(struct machine_maker *maker, struct machine *machine)
{
    struct keys *keys = keys_of(maker);
    if (keys->store != NULL) keys->store->ops->close(keys->store);
    keys->store = NULL;
    machine->ops->close(machine);
}

void keys_init(struct keys *keys, const struct world *world, uint64_t cache_bytes,
               uint64_t effects_bytes)
{
    *keys = (struct keys){.maker = {.open = keys_open,
                                    .fill = keys_fill,
                                    .fill_close = keys_fill_close,
                                    .take = keys_take,
                                    .take_end = keys_take_end,
                                    .take_close = keys_take_close,
                                    .close = keys_close},
                          .world = *world,
                          .cache_bytes = cache_bytes,
                          .effects_bytes = effects_bytes};
}
