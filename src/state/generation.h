/* SPDX-License-Identifier: Apache-2.0 */
/* generation: what was changed between two flushes; and keyspace: the key records of one namespace.
 *
 * Key records stand in one table a namespace, whatever their age; each says in which generation it
 * was made:
 *
 *     generation == active          changed since the last freeze
 *     settled < generation < active frozen: being flushed, or flushed and still listed for it
 *     generation <= settled         clean: as the store has it; may be evicted
 *
 * So a freeze touches no record, and a flush that is done makes its records clean by raising one
 * number, once their list has been gone through. All other records stand in strands, one set a
 * generation. */
#ifndef STATE_GENERATION_H
#define STATE_GENERATION_H

#include "base/list.h"
#include "base/mark.h"
#include "base/table.h"
#include "state/meta.h"
#include "state/record.h"
#include "state/strand.h"

struct change {
    uint64_t hash;
    struct record *record;
};

/* The records of a generation in one namespace, in no order. */
struct changes {
    struct change *at;
    size_t count, capacity;
    uint64_t bytes;  /* of the records */
    size_t name_max; /* the longest name there was */
};

void changes_add(struct changes *changes, struct record *record); /* sets record->change */
/* Takes `record` out, or puts `by` (not NULL) in its place. */
void changes_remove(struct changes *changes, const struct record *record);
void changes_replace(struct changes *changes, const struct record *record, struct record *by);
void changes_release(struct changes *changes); /* empty afterwards; not the records */

struct keyspace {
    struct meta_database meta; /* namespace, counters, sum: of all its keys, in memory or not */
    struct table keys;         /* of struct record; at most one a name */
    uint64_t live;             /* of them, those that are not absent */
    uint64_t clean_bytes;      /* of them, those that are clean */
    bool stored; /* the store, or the flush under way, may hold something of this namespace */
    bool dead;   /* no database holds it any more */
    struct changes active, frozen;
    uint64_t drained; /* dead: records up to this hash are freed */
    struct list node; /* in state->spaces: the dead ones stand before the others */
};

struct keyspace *keyspace_new(uint64_t namespace, bool stored);
/* Frees the keyspace, its table and what the table holds. */
void keyspace_free(struct keyspace *space);

/* [from, to) of the store's keys. */
struct span {
    struct prefix from, to;
};

struct generation {
    uint32_t number;
    struct table strands; /* of struct strand, by prefix */
    struct strand **list; /* the same, in no order */
    size_t count, capacity;
    size_t tail_max;       /* the longest tail there was in a strand */
    uint64_t record_bytes; /* of listed key records */
    uint64_t strand_bytes;
    uint64_t cells;        /* of the strands */
    uint64_t replay_bytes; /* payloads and a share for each entry: what a crash has to replay */
    struct mark mark;      /* of the newest entry in it */
    struct span *ranges;   /* what its flush removes from the store at once */
    size_t range_count, range_capacity;
    uint64_t *dead; /* namespaces that ended in it, rising; none of their strands is flushed */
    size_t dead_count, dead_capacity;
};

void generation_init(struct generation *generation, uint32_t number);
void generation_release(struct generation *generation); /* with strands and cells */
/* NULL: there is none. */
struct strand *generation_find(const struct generation *generation, const struct prefix *prefix);
struct strand *generation_get(struct generation *generation, enum layout kind, uint64_t namespace,
                              struct version version); /* made if there is none */
/* Takes the strand out; it is the caller's then. */
void generation_detach(struct generation *generation, struct strand *strand);
/* Puts the cell into the strand, which is one of its own, and returns the one that stood there, now
 * the caller's, or NULL. */
struct cell *generation_put(struct generation *generation, struct strand *strand,
                            struct cell *cell);
/* Frees strands and cells, about `limit` of them, on the way to a release: nothing is found in it
 * any more. Returns what is left of `limit`: not 0 when all are gone. */
size_t generation_drain(struct generation *generation, size_t limit);
/* Everything that begins with the prefix. */
void generation_add_range(struct generation *generation, struct prefix range);
void generation_add_span(struct generation *generation, struct span span);
void generation_add_dead(struct generation *generation, uint64_t namespace);
bool generation_is_dead(const struct generation *generation, uint64_t namespace);
uint64_t generation_bytes(const struct generation *generation);

#endif
