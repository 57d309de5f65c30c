/* SPDX-License-Identifier: Apache-2.0 */
#include "state/journal.h"

#include "base/memory.h"
#include "state/core.h"

enum { JOURNAL_KEPT = 16 << 10 }; /* changes that there is room for between evaluations */

void journal_release(struct journal *journal)
{
    memory_free(journal->keys);
    memory_free(journal->cells);
    memory_free(journal->dropped);
    *journal = (struct journal){0};
}

bool journal_is_empty(const struct journal *journal)
{
    return journal->key_count == 0 && journal->cell_count == 0 && journal->databases_saved == 0;
}

/* A bigger array for one more element than there are; doubles. */
static void *grown(void *array, size_t *capacity, size_t size)
{
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    return memory_resize(array, *capacity * size);
}

/* --- Changes --- */

static void table_change(struct keyspace *space, struct record *old, struct record *new)
{
    if (old != NULL && !old->absent) space->live--;
    if (new != NULL && !new->absent) space->live++;
    if (old == NULL && new != NULL) {
        table_insert(&space->keys, new->hash, record_name(new), new);
    } else if (new == NULL) {
        table_remove(&space->keys, old->hash, old);
    } else {
        table_replace(&space->keys, old->hash, old, new);
    }
}

void journal_key(struct state *state, struct keyspace *space, struct record *old,
                 struct record *new)
{
    struct journal *journal = &state->journal;
    if (journal->key_count == journal->key_capacity) {
        journal->keys = grown(journal->keys, &journal->key_capacity, sizeof *journal->keys);
    }
    MUST(old != NULL || new != NULL);
    if (new != NULL) new->generation = state->active.number;
    journal->keys[journal->key_count++] = (struct undo_key){space, old, new};
    table_change(space, old, new);
}

static void cell_log(struct state *state, struct undo_cell undo)
{
    struct journal *journal = &state->journal;
    if (journal->cell_count == journal->cell_capacity) {
        journal->cells = grown(journal->cells, &journal->cell_capacity, sizeof *journal->cells);
    }
    journal->cells[journal->cell_count++] = undo;
}

static struct cell *strand_out(struct state *state, struct strand *strand, struct place place)
{
    state->active.strand_bytes -= strand->bytes;
    state->active.cells -= strand->count;
    struct cell *was = strand_take(strand, place.order, place.tail);
    state->active.strand_bytes += strand->bytes;
    state->active.cells += strand->count;
    return was;
}

const struct cell *journal_cell(struct state *state, struct strand *strand, struct cell *cell)
{
    struct cell *old = generation_put(&state->active, strand, cell);
    cell_log(state, (struct undo_cell){strand, old, cell});
    return old;
}

const struct cell *journal_cell_out(struct state *state, struct strand *strand, uint64_t order,
                                    struct bytes tail)
{
    struct cell *old = strand_out(state, strand, (struct place){order, tail});
    if (old != NULL) cell_log(state, (struct undo_cell){strand, old, NULL});
    return old;
}

void journal_drop(struct state *state, struct dropped dropped)
{
    struct journal *journal = &state->journal;
    if (journal->dropped_count == journal->dropped_capacity) {
        journal->dropped = grown(journal->dropped, &journal->dropped_capacity, sizeof dropped);
    }
    journal->dropped[journal->dropped_count++] = dropped;
}

void journal_database(struct state *state, unsigned database)
{
    struct journal *journal = &state->journal;
    if ((journal->databases_saved >> database & 1) != 0) return;
    if (journal->databases_saved == 0) journal->namespaces = state->namespaces;
    journal->databases_saved |= UINT32_C(1) << database;
    journal->spaces[database] = state->databases[database];
    journal->metas[database] = state->databases[database]->meta;
}

/* --- Taking back --- */

static void undo_databases(struct state *state)
{
    struct journal *journal = &state->journal;
    if (journal->databases_saved == 0) return;
    for (unsigned i = 0; i < DATABASES; i++) {
        if ((journal->databases_saved >> i & 1) == 0) continue;
        state->databases[i] = journal->spaces[i];
        state->databases[i]->meta = journal->metas[i];
    }
    /* Keyspaces that this evaluation made, the last ones in the list: their namespaces were never
     * given, after all. */
    for (;;) {
        struct keyspace *last = CONTAINER_OF(state->spaces.previous, struct keyspace, node);
        if (last->meta.namespace <= journal->namespaces) break;
        keyspace_free(last);
    }
    state->namespaces = journal->namespaces;
}

void journal_undo(struct state *state)
{
    struct journal *journal = &state->journal;
    while (journal->key_count > 0) {
        struct undo_key *undo = &journal->keys[--journal->key_count];
        table_change(undo->space, undo->new, undo->old);
        memory_free(undo->new);
    }
    while (journal->cell_count > 0) {
        struct undo_cell *undo = &journal->cells[--journal->cell_count];
        struct cell *was = undo->old != NULL
                               ? generation_put(&state->active, undo->strand, undo->old)
                               : strand_out(state, undo->strand, cell_place(undo->new));
        MUST(was == undo->new);
        memory_free(was);
    }
    undo_databases(state);
    journal->dropped_count = 0;
    journal->databases_saved = 0;
}

/* --- Keeping --- */

static void keep_key(struct state *state, const struct undo_key *undo)
{
    struct generation *active = &state->active;
    struct changes *changes = &undo->space->active;
    struct record *old = undo->old;
    struct record *new = undo->new;
    if (new != NULL) active->record_bytes += record_bytes(new);
    if (old != NULL && old->generation == active->number) {
        active->record_bytes -= record_bytes(old);
        if (new != NULL) changes_replace(changes, old, new);
        else changes_remove(changes, old);
        memory_free(old);
        return;
    }
    MUST(new != NULL); /* only what is fresh, and so of this generation, leaves nothing behind */
    changes_add(changes, new);
    if (old == NULL) return;
    if (old->generation > state->settled) {
        old->superseded = true;
    } else {
        undo->space->clean_bytes -= record_bytes(old);
        state->cache_bytes -= record_bytes(old);
        memory_free(old);
    }
}

/* Takes the strands of a collection out of the active generation: nothing leads there any more. */
static void drop_strand(struct state *state, enum layout kind, const struct dropped *dropped)
{
    struct prefix prefix = layout_strand(kind, dropped->namespace, dropped->version);
    struct strand *strand = generation_find(&state->active, &prefix);
    if (strand == NULL) return;
    generation_detach(&state->active, strand);
    state_discard(state, strand);
}

static void keep_dropped(struct state *state, const struct dropped *dropped)
{
    if (dropped->type == KEY_LIST) drop_strand(state, LAYOUT_ITEM, dropped);
    else drop_strand(state, LAYOUT_ELEMENT, dropped);
    if (dropped->type == KEY_ZSET) drop_strand(state, LAYOUT_RANK, dropped);
    if (!state_may_be_frozen(state, dropped->version) &&
        !state_may_be_stored(state, dropped->version)) {
        return;
    }
    uint8_t tail[LAYOUT_QUEUE_TAIL_BYTES];
    layout_put_queue_tail(tail, dropped->namespace, dropped->version.ordinal);
    uint8_t value[9] = {(uint8_t)dropped->type};
    store_le64(value + 1, dropped->size);
    struct cell *cell = cell_new(dropped->version.lsn, bytes_of(tail, sizeof tail),
                                 bytes_of(value, sizeof value));
    cell->fresh = true; /* a version is queued once */
    struct strand *queue = generation_get(&state->active, LAYOUT_QUEUE, 0, (struct version){0});
    memory_free(generation_put(&state->active, queue,
                               cell)); /* two keys of one version: only if it is broken */
    state->queue_is_empty = false;
}

/* Namespaces that no database holds any more. What the active generation has of them is not
 * flushed, and what was flushed before goes with ranges. */
static void keep_databases(struct state *state)
{
    struct list *before = state->spaces.previous;
    for (struct list *node = before; node != &state->spaces; node = before) {
        struct keyspace *space = CONTAINER_OF(node, struct keyspace, node);
        before = node->previous;
        if (space->dead) break;
        bool held = false;
        for (unsigned i = 0; i < DATABASES && !held; i++) held = state->databases[i] == space;
        if (held) continue;
        space->dead = true;
        list_remove(&space->node);
        list_prepend(&state->spaces, &space->node);
        state->cache_bytes -= space->clean_bytes;
        state->active.record_bytes -= space->active.bytes;
        changes_release(&space->active);
        generation_add_dead(&state->active, space->meta.namespace);
        if (!space->stored) continue;
        static const enum layout kinds[] = {LAYOUT_ELEMENT, LAYOUT_KEY, LAYOUT_ITEM, LAYOUT_RANK};
        for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            generation_add_range(&state->active, layout_namespace(kinds[i], space->meta.namespace));
        }
    }
}

void journal_keep(struct state *state)
{
    struct journal *journal = &state->journal;
    for (size_t i = 0; i < journal->key_count; i++) keep_key(state, &journal->keys[i]);
    for (size_t i = 0; i < journal->cell_count; i++) memory_free(journal->cells[i].old);
    for (size_t i = 0; i < journal->dropped_count; i++) keep_dropped(state, &journal->dropped[i]);
    bool spaces_changed = false;
    for (unsigned i = 0; i < DATABASES && journal->databases_saved != 0; i++) {
        if ((journal->databases_saved >> i & 1) == 0) continue;
        if (journal->spaces[i] != state->databases[i]) spaces_changed = true;
    }
    if (spaces_changed) keep_databases(state);
    journal->key_count = journal->cell_count = journal->dropped_count = 0;
    journal->databases_saved = 0;
    if (journal->key_capacity + journal->cell_capacity > JOURNAL_KEPT) journal_release(journal);
}
