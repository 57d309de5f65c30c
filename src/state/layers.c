/* SPDX-License-Identifier: Apache-2.0 */
#include "state/layers.h"

#include "base/memory.h"

void layers_open(struct layers *layers, struct state *state, enum layout kind, uint64_t namespace,
                 struct version version)
{
    *layers = (struct layers){.kind = kind,
                              .namespace = namespace,
                              .version = version,
                              .prefix = layout_strand(kind, namespace, version),
                              .stored = state_may_be_stored(state, version)};
    layers->active = generation_find(&state->active, &layers->prefix);
    if (state_may_be_frozen(state, version)) {
        layers->frozen = generation_find(&state->frozen, &layers->prefix);
    }
}

static enum err found(const struct cell *cell, struct bytes *value, bool *present)
{
    *present = !cell->absent;
    *value = cell_value(cell);
    return ERR_OK;
}

enum err layers_get(struct layers *layers, struct state *state, uint64_t order, struct bytes tail,
                    struct bytes *value, bool *present)
{
    *present = false;
    const struct cell *cell = NULL;
    if (layers->active != NULL) cell = strand_find(layers->active, order, tail);
    if (cell != NULL) return found(cell, value, present);
    if (layers->frozen != NULL) cell = strand_find(layers->frozen, order, tail);
    if (cell != NULL) return found(cell, value, present);
    if (!layers->stored) return ERR_OK;
    layout_put_strand(&state->key_scratch, &layers->prefix, order, tail);
    buffer_clear(&state->value_scratch);
    struct bytes store_key = buffer_bytes(&state->key_scratch);
    enum err err = state->store->ops->get(state->store, store_key, state->patience,
                                          &state->value_scratch);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err == ERR_PENDING) state_want(state, store_key, (struct bytes){0}, false);
    if (err != ERR_OK) return err;
    *present = true;
    *value = buffer_bytes(&state->value_scratch);
    return ERR_OK;
}

/* Whether nothing older than the active generation holds such a record, so that its removal may
 * leave nothing behind. In doubt it does. */
static bool is_fresh(const struct layers *layers, const struct cell *cell, const struct cell *old,
                     bool known_absent)
{
    if (old != NULL) return old->fresh;
    if (layers->frozen == NULL && !layers->stored) return true;
    if (!known_absent) return false;
    return layers->frozen == NULL ||
           strand_find(layers->frozen, cell->order, cell_tail(cell)) == NULL;
}

static struct strand *active_strand(struct layers *layers, struct state *state)
{
    if (layers->active == NULL) {
        layers->active = generation_get(&state->active, layers->kind, layers->namespace,
                                        layers->version);
    }
    return layers->active;
}

void layers_put(struct layers *layers, struct state *state, struct cell *cell, bool known_absent)
{
    const struct cell *old = journal_cell(state, active_strand(layers, state), cell);
    cell->fresh = is_fresh(layers, cell, old, known_absent);
}

void layers_remove(struct layers *layers, struct state *state, uint64_t order, struct bytes tail)
{
    const struct cell *old = NULL;
    if (layers->active != NULL) old = journal_cell_out(state, layers->active, order, tail);
    if (old != NULL && old->fresh) return;
    if (layers->frozen == NULL && !layers->stored) return;
    struct cell *cell = cell_new(order, tail, (struct bytes){0});
    cell->absent = true;
    (void)journal_cell(state, active_strand(layers, state), cell);
}

/* --- Walks over a strand --- */

void walk_open(struct walk *walk, struct state *state, const struct layers *layers, uint64_t order,
               struct bytes tail, bool backward)
{
    *walk = (struct walk){.state = state,
                          .layers = *layers,
                          .backward = backward,
                          .start_order = order,
                          .err = ERR_OK};
    buffer_init(&walk->start);
    buffer_append(&walk->start, tail);
}

void walk_close(struct walk *walk)
{
    if (walk->cursor != NULL) walk->cursor->ops->close(walk->cursor);
    walk->cursor = NULL;
    buffer_release(&walk->start);
}

static const struct cell *strand_begin(struct walk *walk, unsigned layer)
{
    const struct strand *strand = layer == 0 ? walk->layers.active : walk->layers.frozen;
    struct strand_place *place = &walk->places[layer];
    if (strand == NULL) return NULL;
    if (walk->backward) return strand_seek_before(strand, walk->order, walk->tail, place);
    return strand_seek(strand, walk->order, walk->tail, place);
}

/* What the store's cursor stands on, after a move that ended so. */
static void cursor_settle(struct walk *walk, enum err err)
{
    walk->cursor_on = false;
    if (err == ERR_NOT_FOUND) return;
    if (err != ERR_OK) {
        walk->err = err;
        return;
    }
    walk->cursor_on = layout_split(&walk->layers.prefix, walk->cursor->ops->key(walk->cursor),
                                   &walk->cursor_order, &walk->cursor_tail);
}

static void want_from_here(struct walk *walk, struct bytes here)
{
    struct prefix end = layout_end(&walk->layers.prefix);
    if (walk->backward) state_want(walk->state, prefix_bytes(&walk->layers.prefix), here, true);
    else state_want(walk->state, here, prefix_bytes(&end), false);
}

static void cursor_begin(struct walk *walk)
{
    struct state *state = walk->state;
    if (!walk->layers.stored) return;
    walk->cursor = state->store->ops->cursor(state->store, NULL, state->patience);
    layout_put_strand(&state->key_scratch, &walk->layers.prefix, walk->order, walk->tail);
    struct bytes from = buffer_bytes(&state->key_scratch);
    enum err err = walk->backward ? walk->cursor->ops->seek_before(walk->cursor, from)
                                  : walk->cursor->ops->seek(walk->cursor, from);
    if (err == ERR_PENDING) want_from_here(walk, from);
    cursor_settle(walk, err);
}

static void cursor_move(struct walk *walk)
{
    struct state *state = walk->state;
    layout_put_strand(&state->key_scratch, &walk->layers.prefix, walk->cursor_order,
                      walk->cursor_tail);
    enum err err = walk->backward ? walk->cursor->ops->previous(walk->cursor)
                                  : walk->cursor->ops->next(walk->cursor);
    if (err == ERR_PENDING) want_from_here(walk, buffer_bytes(&state->key_scratch));
    cursor_settle(walk, err);
}

static bool is_last(const struct walk *walk, uint64_t order, struct bytes tail)
{
    return order == walk->order && bytes_equal(tail, walk->tail);
}

/* Behind the record given last, in a strand that has changed since. */
static void active_again(struct walk *walk)
{
    struct state *state = walk->state;
    if (walk->layers.active == NULL) {
        walk->layers.active = generation_find(&state->active, &walk->layers.prefix);
        if (walk->layers.active == NULL) return;
    }
    walk->active_changes = walk->layers.active->changes;
    walk->cells[0] = strand_begin(walk, 0);
    if (walk->cells[0] != NULL && is_last(walk, walk->cells[0]->order, cell_tail(walk->cells[0]))) {
        walk->cells[0] = strand_next(&walk->places[0]);
    }
}

static void walk_begin(struct walk *walk)
{
    struct place start = {walk->start_order, buffer_bytes(&walk->start)};
    if (walk->layers.active != NULL) {
        start = gaps_skip(&walk->layers.active->gaps, start, walk->backward);
    }
    walk->begun = true;
    walk->order = start.order;
    walk->tail = start.tail;
    walk->strands_changes = walk->state->active.strands.changes;
    if (walk->layers.active != NULL) walk->active_changes = walk->layers.active->changes;
    for (unsigned layer = 0; layer < 2; layer++) walk->cells[layer] = strand_begin(walk, layer);
    cursor_begin(walk);
}

static void walk_step(struct walk *walk)
{
    const struct strand *active = walk->layers.active;
    bool changed = active != NULL ? active->changes != walk->active_changes
                                  : walk->state->active.strands.changes != walk->strands_changes;
    if (changed) active_again(walk);
    for (unsigned layer = changed ? 1 : 0; layer < 2; layer++) {
        const struct cell *cell = walk->cells[layer];
        if (cell == NULL || !is_last(walk, cell->order, cell_tail(cell))) continue;
        struct strand_place *place = &walk->places[layer];
        walk->cells[layer] = walk->backward ? strand_previous(place) : strand_next(place);
    }
    /* The cursor moves last: the tail given last may be its own. */
    if (walk->cursor_on && is_last(walk, walk->cursor_order, walk->cursor_tail)) cursor_move(walk);
}

/* Whether (order, tail) comes before what is chosen so far. */
static bool is_nearer(const struct walk *walk, uint64_t order, struct bytes tail)
{
    int compared = place_compare((struct place){order, tail},
                                 (struct place){walk->order, walk->tail});
    return walk->backward ? compared > 0 : compared < 0;
}

/* The nearest of what the layers have next; of equals the newest layer's. False: none is left. */
static bool walk_choose(struct walk *walk, bool *absent)
{
    bool chosen = false;
    for (unsigned layer = 0; layer < 2; layer++) {
        const struct cell *cell = walk->cells[layer];
        if (cell == NULL || (chosen && !is_nearer(walk, cell->order, cell_tail(cell)))) continue;
        walk->order = cell->order;
        walk->tail = cell_tail(cell);
        walk->value = cell_value(cell);
        *absent = cell->absent;
        chosen = true;
    }
    if (walk->cursor_on && (!chosen || is_nearer(walk, walk->cursor_order, walk->cursor_tail))) {
        walk->order = walk->cursor_order;
        walk->tail = walk->cursor_tail;
        walk->value = walk->cursor->ops->value(walk->cursor);
        *absent = false;
        chosen = true;
    }
    return chosen;
}

/* Notes a long row of removed records, for the next walk from the same place. */
static void note_gap(struct walk *walk)
{
    if (walk->skipped >= GAP_SKIPPED_MIN && walk->err == ERR_OK) {
        struct place from = {walk->start_order, buffer_bytes(&walk->start)};
        struct place to = {walk->order, walk->tail};
        struct strand *strand = active_strand(&walk->layers, walk->state);
        gaps_note(&strand->gaps, from, walk->ended ? NULL : &to, walk->backward);
    }
    walk->skipped = SIZE_MAX; /* only rows at the beginning are noted */
}

bool walk_next(struct walk *walk)
{
    while (!walk->ended && walk->err == ERR_OK) {
        if (walk->begun) walk_step(walk);
        else walk_begin(walk);
        bool absent = false;
        if (walk->err != ERR_OK) break;
        walk->ended = !walk_choose(walk, &absent);
        if (!walk->ended && absent && walk->skipped < SIZE_MAX) walk->skipped++;
        if (!absent && walk->skipped < SIZE_MAX) note_gap(walk);
        if (!walk->ended && !absent) return true;
    }
    return false;
}

/* --- Walks over the keys of a namespace --- */

void key_walk_open(struct key_walk *walk, struct state *state, struct keyspace *space,
                   uint64_t from)
{
    *walk = (struct key_walk){.state = state, .space = space, .from = from, .err = ERR_OK};
}

void key_walk_close(struct key_walk *walk)
{
    if (walk->cursor != NULL) walk->cursor->ops->close(walk->cursor);
    walk->cursor = NULL;
}

static void key_cursor_settle(struct key_walk *walk, enum err err)
{
    struct state *state = walk->state;
    struct prefix prefix = layout_keys(walk->space->meta.namespace);
    walk->cursor_on = false;
    if (err == ERR_PENDING) {
        struct prefix end = layout_end(&prefix);
        state_want(state, buffer_bytes(&state->key_scratch), prefix_bytes(&end), false);
    }
    if (err == ERR_NOT_FOUND) return;
    if (err != ERR_OK) {
        walk->err = err;
        return;
    }
    walk->cursor_on = layout_split(&prefix, walk->cursor->ops->key(walk->cursor),
                                   &walk->cursor_hash, &walk->cursor_name);
}

static void key_walk_begin(struct key_walk *walk)
{
    struct state *state = walk->state;
    uint64_t namespace = walk->space->meta.namespace;
    walk->begun = true;
    walk->record = table_seek(&walk->space->keys, &walk->place, walk->from);
    if (state_is_complete(state, walk->space) || walk->from >> TABLE_HASH_BITS != 0) return;
    walk->cursor = state->store->ops->cursor(state->store, NULL, state->patience);
    layout_put_key(&state->key_scratch, namespace, walk->from, (struct bytes){0});
    struct bytes from = buffer_bytes(&state->key_scratch);
    key_cursor_settle(walk, walk->cursor->ops->seek(walk->cursor, from));
}

static struct place record_place(const struct record *record)
{
    return (struct place){record->hash, record_name(record)};
}

static bool is_last_key(const struct key_walk *walk, uint64_t hash, struct bytes name)
{
    return hash == walk->hash && bytes_equal(name, walk->name);
}

static void key_walk_step(struct key_walk *walk)
{
    if (walk->record != NULL && is_last_key(walk, walk->record->hash, record_name(walk->record))) {
        walk->record = table_next(&walk->place, record_name(walk->record));
    }
    if (walk->cursor_on && is_last_key(walk, walk->cursor_hash, walk->cursor_name)) {
        layout_put_key(&walk->state->key_scratch, walk->space->meta.namespace, walk->cursor_hash,
                       walk->cursor_name);
        key_cursor_settle(walk, walk->cursor->ops->next(walk->cursor));
    }
}

bool key_walk_next(struct key_walk *walk)
{
    while (walk->err == ERR_OK) {
        if (walk->begun) key_walk_step(walk);
        else key_walk_begin(walk);
        if (walk->err != ERR_OK) break;
        const struct record *record = walk->record;
        struct place stored = {walk->cursor_hash, walk->cursor_name};
        if (walk->cursor_on &&
            (record == NULL || place_compare(stored, record_place(record)) < 0)) {
            walk->hash = walk->cursor_hash;
            walk->name = walk->cursor_name;
            walk->value = walk->cursor->ops->value(walk->cursor);
            if (record_value_is_sound(walk->value)) return true;
            walk->err = ERR_CORRUPT;
            break;
        }
        if (record == NULL) return false;
        walk->hash = record->hash;
        walk->name = record_name(record);
        walk->value = record_value(record);
        if (!record->absent) return true;
    }
    return false;
}
