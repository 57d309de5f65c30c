/* SPDX-License-Identifier: Apache-2.0 */
/* strand: the changed records under one prefix of the store, in order: the elements of a
 * collection, its ranks, its items; the index of expiries; the clean-up queue. A B+ tree whose
 * nodes hold the integer part of each place, so that a search seldom touches the cells themselves.
 * Cells are the caller's. */
#ifndef STATE_STRAND_H
#define STATE_STRAND_H

#include "base/bytes.h"
#include "base/must.h"
#include "state/gap.h"
#include "state/layout.h"

/* A record that was changed. Once in a strand its content never changes. */
struct cell {
    uint64_t order;
    uint32_t tail_size, value_size;
    bool absent;    /* removed: hides what older layers hold */
    bool fresh;     /* no older layer holds it: its removal leaves nothing behind */
    uint8_t data[]; /* tail, value */
};

static inline struct bytes cell_tail(const struct cell *cell)
{
    return bytes_of(cell->data, cell->tail_size);
}
static inline struct bytes cell_value(const struct cell *cell)
{
    return bytes_of(cell->data + cell->tail_size, cell->value_size);
}
static inline size_t cell_bytes(const struct cell *cell)
{
    return sizeof *cell + cell->tail_size + cell->value_size;
}
/* The caller's; freed by memory_free. */
struct cell *cell_new(uint64_t order, struct bytes tail, struct bytes value);

struct strand_node;

struct strand {
    struct prefix prefix;
    uint64_t namespace;
    struct version version;   /* zero for the strands that belong to no collection */
    struct strand_node *root; /* NULL: empty */
    size_t count;             /* of cells, absent ones included */
    size_t bytes;             /* of cells and nodes */
    size_t index;             /* in its generation's list */
    uint64_t hash;            /* of the prefix, for the generation's table */
    uint64_t changes;         /* for cursors */
    struct gaps gaps;         /* in all layers together */
};

static inline struct place cell_place(const struct cell *cell)
{
    return (struct place){cell->order, cell_tail(cell)};
}

void strand_init(struct strand *strand, enum layout kind, uint64_t namespace,
                 struct version version);

/* NULL: it is not there. */
struct cell *strand_find(const struct strand *strand, uint64_t order, struct bytes tail);
/* Puts the cell in its place and returns the one that stood there, now the caller's, or NULL. */
struct cell *strand_put(struct strand *strand, struct cell *cell);
/* Takes it out and returns it, now the caller's, or NULL. */
struct cell *strand_take(struct strand *strand, uint64_t order, struct bytes tail);
/* Frees the first cells and their nodes, about `limit` of them; returns how many cells. */
size_t strand_drain(struct strand *strand, size_t limit);

/* A place in a strand that does not change meanwhile. */
struct strand_place {
    const struct strand_node *leaf;
    unsigned at;
};
/* The first cell at or behind (order, tail); NULL: none. */
const struct cell *strand_seek(const struct strand *strand, uint64_t order, struct bytes tail,
                               struct strand_place *place);
/* The last cell before (order, tail). */
const struct cell *strand_seek_before(const struct strand *strand, uint64_t order,
                                      struct bytes tail, struct strand_place *place);
const struct cell *strand_last(const struct strand *strand, struct strand_place *place);
const struct cell *strand_next(struct strand_place *place);
const struct cell *strand_previous(struct strand_place *place);

void strand_check_deep(const struct strand *strand);

#endif
