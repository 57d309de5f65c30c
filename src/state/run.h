/* SPDX-License-Identifier: Apache-2.0 */
/* run: what a flush gives to the store: a generation's ranges, then its strands, the key records
 * and the meta record in the order of the store's keys.
 *
 * The store's thread calls next() and sorts what it walks, in place, and allocates nothing: until
 * the store says done() nobody may change any of it. */
#ifndef STATE_RUN_H
#define STATE_RUN_H

#include "seam/store.h"
#include "state/generation.h"

/* In the order of the store's keys, behind the ranges. */
enum run_stage {
    STAGE_RANGES,
    STAGE_ELEMENTS,
    STAGE_KEYS,
    STAGE_ITEMS,
    STAGE_META,
    STAGE_REST,
    STAGE_END
};

/* FLUSH_HALF, a planted bug, makes two runs of one. */
enum run_half { HALF_NONE, HALF_FIRST, HALF_SECOND };

struct run {
    struct store_run base;
    struct generation *generation;      /* borrowed */
    struct changes *changes[DATABASES]; /* borrowed: key records, by namespace */
    uint64_t namespaces[DATABASES];     /* theirs */
    size_t space_count;
    struct buffer meta;    /* empty: the run has no meta record */
    uint64_t stream_first; /* what the stream of effects has before this is left out */
    enum run_half half;

    /* The store's thread's, until done. */
    bool sorted;
    enum run_stage stage;
    size_t at;                 /* range, keyspace or strand */
    size_t record;             /* in the keyspace */
    struct strand_place place; /* in the strand */
    const struct cell *cell;   /* the next one there; NULL: the strand is not begun */
    struct buffer key;
    struct span range;
};

void run_init(struct run *run, struct generation *generation);
void run_release(struct run *run);
/* Adds the key records of a namespace that has some. */
void run_add(struct run *run, uint64_t namespace, struct changes *changes);
/* All is added; or the same run is to be given once more. */
void run_begin(struct run *run);

#endif
