/* SPDX-License-Identifier: Apache-2.0 */
/* journal: every change of tables and strands goes through here, at once, and can be taken back
 * until it is kept. An evaluation that turns out to need the disk, or whose effects are dropped,
 * leaves no trace: so later commands of the same entry simply see what earlier ones did, and
 * readers see no layers for it.
 *
 * What a change replaces stays valid until the end: borrowed names and values do too. */
#ifndef STATE_JOURNAL_H
#define STATE_JOURNAL_H

#include "state/generation.h"
#include "state/meta.h"

struct state;

struct undo_key {
    struct keyspace *space;
    struct record *old, *new; /* NULL: nothing in the table */
};

struct undo_cell {
    struct strand *strand;
    struct cell *old, *new;
};

/* A collection that has lost its key: its elements go when the changes are kept. */
struct dropped {
    uint64_t namespace;
    struct version version;
    enum key_type type;
    uint64_t size;
};

struct journal {
    struct undo_key *keys;
    size_t key_count, key_capacity;
    struct undo_cell *cells;
    size_t cell_count, cell_capacity;
    struct dropped *dropped;
    size_t dropped_count, dropped_capacity;
    uint32_t databases_saved; /* a bit a database */
    uint64_t namespaces;      /* state->namespaces before the first change of a database */
    struct keyspace *spaces[DATABASES];    /* of each database that is saved, */
    struct meta_database metas[DATABASES]; /* and what stood in it */
};

void journal_release(struct journal *journal);
bool journal_is_empty(const struct journal *journal);

/* Puts `new` (NULL: nothing) where `old` (NULL: nothing) stands in the table. Takes `new`. */
void journal_key(struct state *state, struct keyspace *space, struct record *old,
                 struct record *new);
/* Puts the cell into the strand of the active generation, over what stood there, which is returned
 * (NULL: nothing). Takes the cell. */
const struct cell *journal_cell(struct state *state, struct strand *strand, struct cell *cell);
/* Takes out what stands there and returns it, borrowed until the end; NULL: nothing. */
const struct cell *journal_cell_out(struct state *state, struct strand *strand, uint64_t order,
                                    struct bytes tail);
void journal_drop(struct state *state, struct dropped dropped);
/* To be called before the keyspace of a database changes, or what is in its meta. */
void journal_database(struct state *state, unsigned database);

void journal_keep(struct state *state);
void journal_undo(struct state *state);

#endif
