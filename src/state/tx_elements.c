/* SPDX-License-Identifier: Apache-2.0 */
/* What collections hold: elements by name, items by index, ranks by score. */
#include <math.h>

#include "base/memory.h"
#include "base/plant.h"
#include "state/inside.h"
#include "state/layers.h"

static void key_layers(struct tx *tx, const struct key *key, enum layout kind,
                       struct layers *layers)
{
    struct state *state = tx_state(tx);
    uint64_t namespace = state->databases[key->database]->meta.namespace;
    layers_open(layers, state, kind, namespace, key->version);
}

static bool get(struct tx *tx, struct layers *layers, uint64_t order, struct bytes tail,
                struct bytes *value)
{
    bool present = false;
    *value = (struct bytes){0};
    enum err err = layers_get(layers, tx_state(tx), order, tail, value, &present);
    if (tx_ok(tx, err) && present) return true;
    *value = (struct bytes){0};
    return false;
}

/* A name that may be borrowed from what the next read overwrites. */
static struct bytes steady(struct tx *tx, struct bytes name)
{
    const struct buffer *scratch = &tx_state(tx)->value_scratch;
    bool inside = scratch->capacity > 0 && name.data >= scratch->data &&
                  name.data < scratch->data + scratch->capacity;
    return inside ? tx_scratch_copy(tx, name) : name;
}

static bool may_change(const struct tx *tx)
{
    MUST(!tx->inside->reading);
    return !tx_pending(tx);
}

/* --- Elements --- */

bool tx_element(struct tx *tx, const struct key *key, struct bytes name, struct bytes *value)
{
    *value = (struct bytes){0};
    if (!tx_looks(tx)) return false;
    struct layers layers;
    key_layers(tx, key, LAYOUT_ELEMENT, &layers);
    return get(tx, &layers, layout_hash(name), name, value);
}

bool tx_element_put(struct tx *tx, struct key *key, struct bytes name, struct bytes value)
{
    struct bytes old;
    if (!may_change(tx)) return tx_element(tx, key, name, &old);
    struct layers layers;
    key_layers(tx, key, LAYOUT_ELEMENT, &layers);
    /* Copied first: name and value may be borrowed from what the read overwrites. */
    struct cell *cell = cell_new(layout_hash(name), name, value);
    bool present = get(tx, &layers, cell->order, cell_tail(cell), &old);
    if (tx_pending(tx)) {
        memory_free(cell);
        return false;
    }
    key->elements = digest_add(key->elements, element_digest(cell_tail(cell), cell_value(cell)));
    if (present) {
        key->elements = digest_subtract(key->elements, element_digest(cell_tail(cell), old));
    } else {
        key->size++;
    }
    layers_put(&layers, tx_state(tx), cell, !present);
    return !present;
}

bool tx_element_remove(struct tx *tx, struct key *key, struct bytes name)
{
    struct bytes old;
    if (!may_change(tx)) return tx_element(tx, key, name, &old);
    struct layers layers;
    key_layers(tx, key, LAYOUT_ELEMENT, &layers);
    uint64_t hash = layout_hash(name);
    name = steady(tx, name);
    if (!get(tx, &layers, hash, name, &old)) return false;
    if (!PLANTED(DIGEST_MISSES_LEAF)) {
        key->elements = digest_subtract(key->elements, element_digest(name, old));
    }
    key->size--;
    layers_remove(&layers, tx_state(tx), hash, name);
    return true;
}

/* --- Ranks --- */

void tx_rank_put(struct tx *tx, const struct key *key, double score, struct bytes member)
{
    if (!may_change(tx)) return;
    struct layers layers;
    key_layers(tx, key, LAYOUT_RANK, &layers);
    layers_put(&layers, tx_state(tx), cell_new(layout_score(score), member, (struct bytes){0}),
               false);
}

void tx_rank_remove(struct tx *tx, const struct key *key, double score, struct bytes member)
{
    if (!may_change(tx)) return;
    struct layers layers;
    key_layers(tx, key, LAYOUT_RANK, &layers);
    layers_remove(&layers, tx_state(tx), layout_score(score), member);
}

/* --- Items --- */

bool tx_item(struct tx *tx, const struct key *key, int64_t index, struct bytes *value)
{
    *value = (struct bytes){0};
    if (!tx_looks(tx) || index < key->head || index >= key->tail) return false;
    struct layers layers;
    key_layers(tx, key, LAYOUT_ITEM, &layers);
    return get(tx, &layers, layout_index(index), (struct bytes){0}, value);
}

void tx_item_put(struct tx *tx, struct key *key, int64_t index, struct bytes value)
{
    if (!may_change(tx)) return;
    struct layers layers;
    key_layers(tx, key, LAYOUT_ITEM, &layers);
    struct cell *cell = cell_new(layout_index(index), (struct bytes){0}, value);
    struct bytes old;
    bool present = get(tx, &layers, cell->order, (struct bytes){0}, &old);
    if (tx_pending(tx)) {
        memory_free(cell);
        return;
    }
    key->elements = digest_add(key->elements, item_digest(index, cell_value(cell)));
    if (present) key->elements = digest_subtract(key->elements, item_digest(index, old));
    layers_put(&layers, tx_state(tx), cell, !present);
}

void tx_item_remove(struct tx *tx, struct key *key, int64_t index)
{
    if (!may_change(tx)) return;
    struct layers layers;
    key_layers(tx, key, LAYOUT_ITEM, &layers);
    struct bytes old;
    if (!get(tx, &layers, layout_index(index), (struct bytes){0}, &old)) return;
    key->elements = digest_subtract(key->elements, item_digest(index, old));
    layers_remove(&layers, tx_state(tx), layout_index(index), (struct bytes){0});
}

/* --- Walks --- */

struct tx_cursor {
    struct tx *tx;
    bool keys;
    uint8_t database;
    struct walk walk;         /* unless keys */
    struct key_walk key_walk; /* keys */
};

static struct tx_cursor *cursor_new(struct tx *tx)
{
    struct tx_cursor *cursor = tx_scratch(tx, sizeof *cursor);
    *cursor = (struct tx_cursor){.tx = tx};
    return cursor;
}

static struct tx_cursor *strand_cursor(struct tx *tx, const struct layers *layers, uint64_t order,
                                       struct bytes tail, bool backward)
{
    struct tx_cursor *cursor = cursor_new(tx);
    walk_open(&cursor->walk, tx_state(tx), layers, order, tail, backward);
    return cursor;
}

static bool cursor_next(struct tx_cursor *cursor)
{
    MUST(!cursor->keys);
    if (!tx_looks(cursor->tx)) return false;
    bool there = walk_next(&cursor->walk); /* false also once it has failed itself */
    (void)tx_ok(cursor->tx, cursor->walk.err);
    return there;
}

void tx_cursor_close(struct tx_cursor *cursor)
{
    if (cursor == NULL) return;
    if (cursor->keys) key_walk_close(&cursor->key_walk);
    else walk_close(&cursor->walk);
}

struct tx_cursor *tx_scan(struct tx *tx, const struct key *key, uint64_t from)
{
    struct layers layers;
    key_layers(tx, key, LAYOUT_ELEMENT, &layers);
    if (from >> TX_HASH_BITS != 0) from = UINT64_C(1) << TX_HASH_BITS;
    struct tx_cursor *cursor = strand_cursor(tx, &layers, from, (struct bytes){0}, false);
    if (from >> TX_HASH_BITS != 0) cursor->walk.ended = true; /* behind the greatest hash */
    return cursor;
}

bool tx_scan_next(struct tx_cursor *cursor, struct bytes *name, struct bytes *value)
{
    if (!cursor_next(cursor)) return false;
    *name = cursor->walk.tail;
    *value = cursor->walk.value;
    return true;
}

uint64_t tx_scan_hash(const struct tx_cursor *cursor)
{
    return cursor->walk.order;
}

struct tx_cursor *tx_rank_from(struct tx *tx, const struct key *key, double score,
                               struct bytes member, bool backwards)
{
    struct layers layers;
    key_layers(tx, key, LAYOUT_RANK, &layers);
    uint64_t order = layout_score(score);
    if (!backwards) return strand_cursor(tx, &layers, order, member, false);
    if (member.data == NULL) { /* no score has the greatest of all orders: it would be no number */
        return strand_cursor(tx, &layers, order + 1, (struct bytes){0}, true);
    }
    uint8_t *behind = tx_scratch(tx, member.size + 1);
    if (member.size > 0) memcpy(behind, member.data, member.size);
    behind[member.size] = 0;
    return strand_cursor(tx, &layers, order, bytes_of(behind, member.size + 1), true);
}

bool tx_rank_next(struct tx_cursor *cursor, double *score, struct bytes *member)
{
    if (!cursor_next(cursor)) return false;
    *score = layout_unscore(cursor->walk.order);
    *member = cursor->walk.tail;
    return true;
}

struct tx_cursor *tx_items(struct tx *tx, const struct key *key, int64_t index, bool backwards)
{
    struct layers layers;
    key_layers(tx, key, LAYOUT_ITEM, &layers);
    /* Items have no tail, so that any tail is behind the item itself. */
    struct bytes tail = backwards ? bytes_of("", 1) : (struct bytes){0};
    return strand_cursor(tx, &layers, layout_index(index), tail, backwards);
}

bool tx_items_next(struct tx_cursor *cursor, int64_t *index, struct bytes *value)
{
    if (!cursor_next(cursor)) return false;
    *index = layout_unindex(cursor->walk.order);
    *value = cursor->walk.value;
    return true;
}

struct tx_cursor *tx_keys(struct tx *tx, uint8_t database, uint64_t from)
{
    MUST(database < DATABASES);
    struct tx_cursor *cursor = cursor_new(tx);
    cursor->keys = true;
    cursor->database = database;
    tx_settle(tx);
    key_walk_open(&cursor->key_walk, tx_state(tx), tx_state(tx)->databases[database], from);
    return cursor;
}

bool tx_keys_next(struct tx_cursor *cursor, struct key *key)
{
    MUST(cursor->keys);
    struct key_walk *walk = &cursor->key_walk;
    while (!tx_pending(cursor->tx)) {
        bool there = key_walk_next(walk);
        if (!tx_ok(cursor->tx, walk->err) || !there) break;
        record_decode(walk->name, walk->value, key);
        key->database = cursor->database;
        if (!tx_is_expired(cursor->tx, key->expire_ms)) return true;
    }
    return false;
}

/* --- Copies --- */

void tx_copy_elements(struct tx *tx, const struct key *from, struct key *to)
{
    if (from->type == KEY_STRING) return;
    if (from->type == KEY_LIST) {
        struct tx_cursor *items = tx_items(tx, from, from->head, false);
        int64_t index;
        struct bytes value;
        to->head = from->head;
        to->tail = from->tail;
        while (tx_items_next(items, &index, &value)) tx_item_put(tx, to, index, value);
        tx_cursor_close(items);
        return;
    }
    struct bytes name, value;
    struct tx_cursor *elements = tx_scan(tx, from, 0);
    while (tx_scan_next(elements, &name, &value)) (void)tx_element_put(tx, to, name, value);
    tx_cursor_close(elements);
    if (from->type != KEY_ZSET) return;
    struct tx_cursor *ranks = tx_rank_from(tx, from, -HUGE_VAL, (struct bytes){0}, false);
    double score;
    while (tx_rank_next(ranks, &score, &name)) tx_rank_put(tx, to, score, name);
    tx_cursor_close(ranks);
}
