/* SPDX-License-Identifier: Apache-2.0 */
/* Work that is local to this copy and changes neither mark nor digest: freeing what nothing leads
 * to any more, in memory and in the store. Each step is bounded.
 *
 * A removed collection that may be in the store stands in the queue ('Q'). A small one is removed
 * record by record, a big one by ranges: the store goes over them on its own thread. */
#include "base/memory.h"
#include "state/layers.h"

enum {
    TIDY_RECORDS = 512,
    TIDY_RANGE_RECORDS = 512, /* a collection with more elements goes by ranges, */
    TIDY_STRAND_RECORDS = 2 * TIDY_RANGE_RECORDS, /* or with so many records in the store, */
    TIDY_ATTEMPTS_MAX = 8,                        /* or that memory cannot hold */
};

/* --- Memory --- */

void state_discard(struct state *state, struct strand *strand)
{
    if (state->garbage_count == state->garbage_capacity) {
        state->garbage_capacity = state->garbage_capacity == 0 ? 16 : state->garbage_capacity * 2;
        state->garbage = memory_resize(state->garbage,
                                       state->garbage_capacity * sizeof *state->garbage);
    }
    state->garbage[state->garbage_count++] = strand;
}

static bool free_strands(struct state *state)
{
    if (state->garbage_count == 0) return false;
    for (size_t limit = TIDY_RECORDS; limit > 0 && state->garbage_count > 0;) {
        struct strand *strand = state->garbage[state->garbage_count - 1];
        size_t freed = strand_drain(strand, limit) + 1;
        limit -= freed < limit ? freed : limit;
        if (strand->count > 0) continue;
        memory_free(strand);
        state->garbage_count--;
    }
    return true;
}

/* One step for a keyspace that no database holds; true if there was one. */
static bool free_keyspaces(struct state *state)
{
    if (state->phase != FROZEN_NONE) return false; /* its records may be listed as frozen */
    struct keyspace *space = CONTAINER_OF(state->spaces.next, struct keyspace, node);
    if (!space->dead) return false;
    struct table_cursor cursor;
    for (size_t i = 0; i < TIDY_RECORDS; i++) {
        struct record *record = table_seek(&space->keys, &cursor, space->drained);
        if (record == NULL) {
            keyspace_free(space);
            return true;
        }
        space->drained = record->hash;
        table_remove(&space->keys, record->hash, record);
        memory_free(record);
    }
    return true;
}

void state_tidy_forget(struct state *state)
{
    for (size_t i = 0; i < state->garbage_count; i++) {
        (void)strand_drain(state->garbage[i], SIZE_MAX);
        memory_free(state->garbage[i]);
    }
    memory_free(state->garbage);
    state->garbage = NULL;
    state->garbage_count = 0;
}

/* --- The store --- */

static void own_warmed(struct machine_warm *warm)
{
    struct state *state = CONTAINER_OF(warm, struct state, own_warm);
    state->own_warm_asked = false; /* a read that failed is asked again, and says so then */
}

void state_warm_own(struct state *state)
{
    if (state->own_warm_asked) return;
    state->own_warm_asked = true;
    state->own_warm = (struct machine_warm){.done = own_warmed};
    state_warm(&state->base, &state->own_warm);
}

static bool is_held(const struct state *state, uint64_t namespace)
{
    for (unsigned i = 0; i < DATABASES; i++) {
        if (state->databases[i]->meta.namespace == namespace) return true;
    }
    return false;
}

/* Removes the records of a strand, one by one, up to a limit. ERR_PENDING, ERR_LIMIT: not all. */
static enum err clear_strand(struct state *state, struct layers *layers)
{
    struct walk walk;
    size_t cleared = 0;
    walk_open(&walk, state, layers, 0, (struct bytes){0}, false);
    while (cleared++ < TIDY_STRAND_RECORDS && walk_next(&walk)) {
        layers_remove(layers, state, walk.order, walk.tail);
    }
    enum err err = walk.err;
    if (err == ERR_OK && !walk.ended) err = ERR_LIMIT;
    walk_close(&walk);
    return err;
}

static enum err clear_kind(struct state *state, const struct dropped *dropped, enum layout kind)
{
    struct layers layers;
    layers_open(&layers, state, kind, dropped->namespace, dropped->version);
    bool small = dropped->size <= TIDY_RANGE_RECORDS && state->queue_attempts < TIDY_ATTEMPTS_MAX;
    enum err err = small ? clear_strand(state, &layers) : ERR_LIMIT;
    if (err != ERR_LIMIT) return err;
    generation_add_range(&state->active, layers.prefix);
    return ERR_OK;
}

static enum err clear_collection(struct state *state, const struct dropped *dropped)
{
    if (!is_held(state, dropped->namespace)) return ERR_OK; /* went with its namespace */
    if (dropped->type == KEY_LIST) return clear_kind(state, dropped, LAYOUT_ITEM);
    enum err err = clear_kind(state, dropped, LAYOUT_ELEMENT);
    if (err != ERR_OK || dropped->type != KEY_ZSET) return err;
    return clear_kind(state, dropped, LAYOUT_RANK);
}

/* A record of the queue; false: it is not one. */
static bool queued(const struct walk *walk, struct dropped *dropped)
{
    *dropped = (struct dropped){.version.lsn = walk->order};
    if (walk->value.size != 9) return false;
    dropped->type = (enum key_type)walk->value.data[0];
    dropped->size = load_le64(walk->value.data + 1);
    return layout_split_queue_tail(walk->tail, &dropped->namespace, &dropped->version.ordinal);
}

/* Cleans up what one record of the queue names. True if there may be more. */
static bool clear_queued(struct state *state)
{
    if (state->queue_is_empty || state->own_warm_asked) return false;
    state->patience = STORE_NO_WAIT;
    state->wanted.count = 0;
    buffer_clear(&state->wanted.bytes);
    struct layers layers;
    layers_open(&layers, state, LAYOUT_QUEUE, 0, (struct version){0});
    struct walk walk;
    walk_open(&walk, state, &layers, 0, (struct bytes){0}, false);
    bool there = walk_next(&walk);
    enum err err = walk.err;
    if (there) {
        struct dropped dropped;
        if (queued(&walk, &dropped)) err = clear_collection(state, &dropped);
        if (err == ERR_OK) layers_remove(&layers, state, walk.order, walk.tail);
    }
    state->queue_attempts = err == ERR_PENDING ? state->queue_attempts + 1 : 0;
    if (!there && err == ERR_OK) state->queue_is_empty = true;
    walk_close(&walk);
    journal_keep(state);
    if (err == ERR_PENDING) state_warm_own(state);
    return there && err == ERR_OK;
}

bool state_tidy(struct machine *machine)
{
    struct state *state = state_of(machine);
    MUST(journal_is_empty(&state->journal));
    if (state->phase == FROZEN_THAWING) {
        state_thaw(state, TIDY_RECORDS);
        return true;
    }
    if (free_strands(state) || free_keyspaces(state)) return true;
    if (state->cache_bytes > state->cache_bytes_max) {
        state_evict(state);
        return true;
    }
    effects_trim(state);
    return clear_queued(state);
}
