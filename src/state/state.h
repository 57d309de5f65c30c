/* SPDX-License-Identifier: Apache-2.0 */
/* state: the keys machine. Sixteen databases of typed keys over the ordered store; what apply()
 * does is a function of the state and the entry alone, so equal marks have equal digests
 * (docs/formats/digest.md).
 *
 * Everything changed since the last flush is held here; a flush writes it out, with mark, stamp and
 * digest, as one atomic step of the store. The rest is read from the store and cached within
 * bounds. */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "base/trace.h"
#include "seam/clock.h"
#include "seam/machine.h"
#include "seam/store.h"

struct state_options {
    struct history history; /* of the shard: a new store gets it, another one's is refused */
    uint64_t cache_bytes;   /* bound on clean key records kept in memory */
};

/* Opens the machine over `store`, which is borrowed. The store is closed before the machine, since
 * its thread may be reading from here (a flush under way). Blocks: start-up only. On failure
 * *machine is NULL. ERR_REFUSED: the store's history is another one; ERR_CORRUPT, ERR_IO. `clock`
 * is seen by no evaluation but a planted bug's; it and `trace` may be NULL. */
MUST_USE enum err state_open(struct machine **machine, struct store *store, struct clock *clock,
                             const struct state_options *options, struct trace *trace,
                             struct why *why);

/* What a store holds, counted again record by record. */
struct state_recount {
    struct mark mark;
    struct digest running;   /* as the flush of that mark recorded it */
    struct digest recounted; /* over the records that are there */
    uint64_t keys, elements;
};

/* Fills *recount from the newest flush, or from `view` when not NULL. Blocks: tools and workers.
 * ERR_NOT_FOUND: nothing was flushed yet. ERR_CORRUPT: a record does not fit the others; `why`
 * names the first one. A difference of the two digests alone is not an error here: the caller
 * compares. */
MUST_USE enum err state_recount(struct store *store, struct store_view *view,
                                struct state_recount *recount, struct why *why);

#endif
