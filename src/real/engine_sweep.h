/* SPDX-License-Identifier: Apache-2.0 */
/* engine_sweep: a run whose delete-ranges have become deletes of the keys that are there. */
#ifndef REAL_ENGINE_SWEEP_H
#define REAL_ENGINE_SWEEP_H

#include "real/engine.h"

/* [from, to), in the buffer of their bytes. */
struct sweep_range {
    size_t from, from_size, to, to_size;
};

struct sweep {
    struct store_run run; /* what to write instead: strictly ascending keys, no delete-range */
    struct why why;
    enum err err; /* of reading the keys: the run has ended early and must not be used */
    struct store_run *source;
    struct buffer bytes;
    struct sweep_range *ranges; /* ascending, apart from each other */
    size_t range_count, range_capacity, at;
    struct store_item item;         /* the source's next one */
    bool has_item, item_given;      /* item_given: the last one given was the source's, */
    bool key_given;                 /* or stood at the iterator */
    rocksdb_readoptions_t *options; /* NULL without ranges, as the iterator */
    rocksdb_iterator_t *iterator;
};

/* Takes the ranges off `source`, which outlives the sweep. Both end with sweep_close(). */
void sweep_open(struct sweep *sweep, const struct engine *engine, struct store_run *source);
void sweep_close(struct sweep *sweep);

#endif
