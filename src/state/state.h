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
#include "seam/maker.h"
#include "seam/records.h"
#include "seam/store.h"

struct state_options {
    struct history history; /* of the shard: a new store gets it, another one's is refused */
    uint64_t cache_bytes;   /* bound on clean key records kept in memory */
    uint64_t effects_bytes; /* of the stream of effects that are kept, about */
};

/* Opens the machine over `store`, which is borrowed. The store is closed before the machine, since
 * its thread may be reading from here (a flush under way). Blocks: start-up only. On failure
 * *machine is NULL. ERR_REFUSED: the store's history is another one; ERR_CORRUPT (also a store that
 * holds records, but not what says which: a sink that never ended), ERR_IO. `clock` is seen by no
 * evaluation but a planted bug's; it and `trace` may be NULL. */
MUST_USE enum err state_open(struct machine **machine, struct store *store, struct clock *clock,
                             const struct state_options *options, struct trace *trace,
                             struct why *why);

/* What the store is, of a shard of this history. Blocks: start-up and tools. */
enum machine_found state_found(struct store *store, struct history history);
/* Takes records into a store that is empty, and writes the mark with the last of them
 * (seam/machine.h, fill); the store is borrowed, and nobody else flushes it. The loop's. Blocks for
 * one look into the store, and for one at the end. On failure *filler is NULL. ERR_REFUSED: the
 * store is not empty; ERR_CORRUPT, ERR_IO. */
MUST_USE enum err state_filler_open(struct machine_filler **filler, struct store *store,
                                    const struct machine_fill *fill, struct why *why);
/* Not while a wait or a flush is under way, unless the store is closed by then: its thread reads
 * from here. NULL is fine. */
void state_filler_close(struct machine_filler *filler);

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

/* What a store says of itself, written by each flush in the same step as all else. */
struct state_facts {
    struct mark mark;
    struct stamp stamp;
    struct digest digest;
    uint64_t keys, expires;       /* keys, and those of them that end some time */
    struct effects_place effects; /* the stream of effects */
    struct epoch_start *epochs;   /* the oldest first */
    size_t epoch_count;
};

/* Gives the keys of `view`, whatever is flushed later; NULL: of the newest flush, if none follows
 * it meanwhile. Store and view are borrowed. With STORE_NO_WAIT it is the loop's, and says
 * ERR_PENDING; with STORE_WAIT its calls may be made on another thread, but it is opened and closed
 * on the loop. Holds no more than a record at a time. What it gives it has checked: each collection
 * against its own digest before the last element is given, each database's keys against its sum
 * before the next begins; so whoever takes everything has recounted the digest. Never NULL. */
struct record_source *state_source_open(struct store *store, struct store_view *view,
                                        enum store_patience patience);
/* Read out of the same view (I4). Borrowed until close. ERR_NOT_FOUND: nothing was flushed yet.
 * ERR_PENDING, ERR_CORRUPT, ERR_REFUSED (of a later format), ERR_IO. */
MUST_USE enum err state_source_facts(struct record_source *source,
                                     const struct state_facts **facts);
/* Lets go of what it holds of the view; only its close follows. A wait may be under way. */
void state_source_leave(struct record_source *source);
/* Not while a wait is under way, unless it was left and the store is closed. Before the view is
 * closed. NULL is fine. */
void state_source_close(struct record_source *source);

struct state_sink_options {
    struct mark mark; /* what the store is to hold when all is given; its LSN is not 0 */
    struct stamp stamp;
    struct effects_place effects; /* the stream goes on at its end; nothing before that is kept */
    const struct epoch_start *epochs; /* the oldest first; copied */
    size_t epoch_count;
    uint64_t window_bytes; /* held in memory before they are flushed, and once more while freed */
    enum store_patience patience; /* of looks into the store: STORE_WAIT only off a serving loop */
};

struct state_sink_progress {
    uint64_t keys, elements, bytes; /* taken; bytes of names, elements and values */
};

/* Takes keys into a store that is empty; it is borrowed, and nobody else flushes it. The loop's.
 * Blocks for one look into the store. Until the end has come the store has no meta record, and
 * state_open() and state_recount() refuse it: a crash leaves a store that cannot be taken for whole
 * and is made anew. Memory is bounded by two windows, whatever a key holds.
 *
 * Without origins each key gets a version of its own. With them, that two collections share one is
 * seen only while both are in the window: it would take a look into the store for each collection,
 * and whoever has origins is a source, which has proven each collection against its digest. What it
 * would leave is two keys with the elements of both: a recount tells, unless they are the same.
 *
 * On failure *sink is NULL. ERR_REFUSED: the store is not empty, or the mark is of nothing;
 * ERR_CORRUPT, ERR_IO. */
MUST_USE enum err state_sink_open(struct record_sink **sink, struct store *store,
                                  const struct state_sink_options *options, struct why *why);
/* All keys were given: the last flush, with the meta record, which is then read back. ERR_PENDING
 * as the sink's other calls. ERR_CORRUPT: the digest of what was given is not `digest` (NULL: not
 * known), or the record cannot be read back; ERR_PROTOCOL: the last key is not whole. */
MUST_USE enum err state_sink_finish(struct record_sink *sink, const struct digest *digest);
/* Before the finish: where a primary of another make holds these keys. */
void state_sink_follow(struct record_sink *sink, const struct followed *place);
struct digest state_sink_digest(const struct record_sink *sink); /* of the keys that are whole */
struct state_sink_progress state_sink_progress(const struct record_sink *sink);
/* Not while a wait or a flush is under way, unless the store is closed by then: the store's thread
 * reads from here. Before the end it leaves a store that is not whole. NULL is fine. */
void state_sink_close(struct record_sink *sink);

#endif
