/* SPDX-License-Identifier: Apache-2.0 */
/* Key records: from the table, else from the store, and then into the table as clean ones. That a
 * name is not in the store is kept too, as an absent record, so that it is asked once. */
#include "base/memory.h"
#include "state/core.h"

enum { EVICT_STEPS = 8, EVICT_STEPS_MAX = 64 };

bool state_is_complete(const struct state *state, const struct keyspace *space)
{
    (void)state;
    return !space->stored || space->live == space->meta.keys;
}

void state_keep(struct state *state, struct keyspace *space, struct record *record)
{
    record->used = true;
    table_insert(&space->keys, record->hash, record_name(record), record);
    if (!record->absent) space->live++;
    space->clean_bytes += record_bytes(record);
    state->cache_bytes += record_bytes(record);
}

static enum err fetch_stored(struct state *state, struct keyspace *space, struct bytes name,
                             uint64_t hash, struct record **record)
{
    layout_put_key(&state->key_scratch, space->meta.namespace, hash, name);
    buffer_clear(&state->value_scratch);
    struct bytes store_key = buffer_bytes(&state->key_scratch);
    enum err err = state->store->ops->get(state->store, store_key, state->patience,
                                          &state->value_scratch);
    if (err == ERR_PENDING) state_want(state, store_key, (struct bytes){0}, false);
    if (err == ERR_NOT_FOUND) {
        *record = record_of_absent(name, hash);
    } else if (err == ERR_OK) {
        *record = record_of_value(name, hash, buffer_bytes(&state->value_scratch));
        if (*record == NULL) return ERR_CORRUPT;
    } else {
        return err;
    }
    state_keep(state, space, *record);
    return ERR_OK;
}

enum err state_fetch(struct state *state, struct keyspace *space, struct bytes name, uint64_t hash,
                     struct record **record)
{
    *record = table_find(&space->keys, hash, name);
    if (*record != NULL) {
        if (!(*record)->used) (*record)->used = true; /* most often no line is written */
        return ERR_OK;
    }
    if (state_is_complete(state, space)) return ERR_OK;
    return fetch_stored(state, space, name, hash, record);
}

/* One record under the hand: kept if it was used since the hand came by last, or is not clean. */
static void hand_step(struct state *state)
{
    struct keyspace *space = state->databases[state->hand_database];
    struct table_cursor cursor;
    struct record *record = table_seek(&space->keys, &cursor, state->hand_hash);
    if (record == NULL) {
        state->hand_database = (state->hand_database + 1) % DATABASES;
        state->hand_hash = 0;
        return;
    }
    state->hand_hash = record->hash + 1;
    if (record->generation > state->settled) return;
    if (record->used) {
        record->used = false;
        return;
    }
    table_remove(&space->keys, record->hash, record);
    if (!record->absent) space->live--;
    space->clean_bytes -= record_bytes(record);
    state->cache_bytes -= record_bytes(record);
    memory_free(record);
}

void state_evict(struct state *state)
{
    uint64_t over = state->cache_bytes_max + state->cache_bytes_max / 8;
    unsigned steps = state->cache_bytes > over ? EVICT_STEPS_MAX : EVICT_STEPS;
    for (unsigned i = 0; i < steps && state->cache_bytes > state->cache_bytes_max; i++) {
        hand_step(state);
    }
}

/* --- What a read was missing --- */

/* A name is often looked up twice in a row: to see what is there, and to change it. */
static bool is_wanted(const struct wanted *wanted, struct bytes from, struct bytes to)
{
    if (wanted->count == 0) return false;
    const struct store_range *last = &wanted->ranges[wanted->count - 1];
    if (last->from.size != from.size || last->to.size != 0 || to.size != 0) return false;
    return bytes_equal(bytes_of(wanted->bytes.data + wanted->bytes.size - from.size, from.size),
                       from);
}

void state_want(struct state *state, struct bytes from, struct bytes to, bool backward)
{
    enum { WANT_BYTES_MAX = 1 << 20 };
    struct wanted *wanted = &state->wanted;
    if (is_wanted(wanted, from, to)) return;
    if (wanted->count == wanted->capacity) {
        wanted->capacity = wanted->capacity == 0 ? 8 : wanted->capacity * 2;
        wanted->ranges = memory_resize(wanted->ranges, wanted->capacity * sizeof *wanted->ranges);
    }
    buffer_append(&wanted->bytes, from);
    buffer_append(&wanted->bytes, to);
    wanted->ranges[wanted->count++] = (struct store_range){.from = {NULL, from.size},
                                                           .to = {NULL, to.size},
                                                           .backward = backward,
                                                           .bytes_max = WANT_BYTES_MAX};
}

struct warming {
    struct store_warm base;
    struct list node; /* in state->warmings */
    struct machine_warm *asked;
    struct buffer bytes;
    struct store_range *ranges;
};

static void warming_free(struct warming *warming)
{
    list_remove(&warming->node);
    buffer_release(&warming->bytes);
    memory_free(warming->ranges);
    memory_free(warming);
}

static void warmed(struct store_warm *warm)
{
    struct warming *warming = CONTAINER_OF(warm, struct warming, base);
    struct machine_warm *asked = warming->asked;
    asked->err = warm->err;
    asked->why = warm->why;
    asked->machine = NULL;
    warming_free(warming);
    asked->done(asked);
}

void state_warm(struct machine *machine, struct machine_warm *asked)
{
    struct state *state = state_of(machine);
    struct wanted *wanted = &state->wanted;
    struct warming *warming = memory_zeroed(1, sizeof *warming);
    *warming = (struct warming){.asked = asked,
                                .bytes = wanted->bytes,
                                .ranges = wanted->ranges,
                                .base = {.count = wanted->count, .done = warmed}};
    const uint8_t *at = warming->bytes.data;
    for (size_t i = 0; i < wanted->count; i++) {
        struct store_range *range = &warming->ranges[i];
        range->from.data = at;
        range->to.data = at + range->from.size;
        at = range->to.data + range->to.size;
    }
    warming->base.ranges = warming->ranges;
    list_append(&state->warmings, &warming->node);
    *wanted = (struct wanted){0};
    buffer_init(&wanted->bytes);
    asked->machine = warming;
    state->store->ops->warm(state->store, &warming->base);
}

void state_warm_forget(struct state *state)
{
    while (!list_empty(&state->warmings)) {
        warming_free(CONTAINER_OF(list_first(&state->warmings), struct warming, node));
    }
}
