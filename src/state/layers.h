/* SPDX-License-Identifier: Apache-2.0 */
/* layers: records of strands as they are now: the active generation over the frozen one over the
 * store. */
#ifndef STATE_LAYERS_H
#define STATE_LAYERS_H

#include "state/core.h"

/* A strand, and where its records may be. */
struct layers {
    enum layout kind;
    uint64_t namespace;
    struct version version;
    struct prefix prefix;
    struct strand *active;       /* NULL: there is none yet */
    const struct strand *frozen; /* NULL: nothing of it is frozen, or the store has it already */
    bool stored;                 /* the store may have some */
};

void layers_open(struct layers *layers, struct state *state, enum layout kind, uint64_t namespace,
                 struct version version);

/* Fills *value (borrowed until the next read) and *present. ERR_PENDING (noted), ERR_IO,
 * ERR_CORRUPT. */
MUST_USE enum err layers_get(struct layers *layers, struct state *state, uint64_t order,
                             struct bytes tail, struct bytes *value, bool *present);
/* Takes the cell. `known_absent`: the caller knows that no such record is there now. */
void layers_put(struct layers *layers, struct state *state, struct cell *cell, bool known_absent);
/* The record may be there or not. */
void layers_remove(struct layers *layers, struct state *state, uint64_t order, struct bytes tail);

/* A walk. Records put or removed while it stands on a place before them are seen or not; the one
 * just given may be changed freely. */
struct walk {
    struct state *state;
    struct layers layers;
    bool backward, begun, ended;
    uint64_t active_changes, strands_changes;
    struct strand_place places[2];
    const struct cell *cells[2]; /* the next of the active, of the frozen strand; NULL: no more */
    struct store_cursor *cursor; /* NULL: not asked yet, or nothing there */
    bool cursor_on;              /* stands on a record of the strand */
    uint64_t cursor_order;
    struct bytes cursor_tail;
    struct buffer start; /* the tail to begin at */
    uint64_t start_order;
    size_t skipped; /* records that are removed, before the first that is not */
    uint64_t order; /* of the record given last, and */
    struct bytes tail, value;
    enum err err; /* why it ended early */
};

/* Forwards from the first record at or behind (order, tail); backwards from the last one before it.
 */
void walk_open(struct walk *walk, struct state *state, const struct layers *layers, uint64_t order,
               struct bytes tail, bool backward);
/* False: the end, or walk->err. */
bool walk_next(struct walk *walk);
void walk_close(struct walk *walk);

/* Key records of a namespace, in the order of their hashes, absent ones left out. */
struct key_walk {
    struct state *state;
    struct keyspace *space;
    struct table_cursor place;
    const struct record *record; /* the table's next */
    struct store_cursor *cursor;
    bool begun, cursor_on;
    uint64_t from, cursor_hash;
    struct bytes cursor_name;
    uint64_t hash; /* of the key given last, and */
    struct bytes name, value;
    enum err err;
};

void key_walk_open(struct key_walk *walk, struct state *state, struct keyspace *space,
                   uint64_t from);
bool key_walk_next(struct key_walk *walk);
void key_walk_close(struct key_walk *walk);

#endif
