/* SPDX-License-Identifier: Apache-2.0 */
/* core: the machine's own struct, and the calls between its files.
 *
 * - machine.c: the doors of seam/machine.h; tx*.c: what commands call
 * - journal.c: changes, and taking them back
 * - fetch.c: key records from table or store; the cache
 * - foresee.c, look_ahead.c: those of many entries at once
 * - layers.c: all records, layer over layer
 * - flush.c: freeze, flush, thaw; run.c: what a flush writes
 * - tidy.c: clean-up; expiry.c: the index of expiries; effects.c, stream.c: effects.h
 *
 * - capture.c: records of a flush, for an image; export.c: keys of one, for a copy of another make
 *
 * Beside the machine stand source.c and sink.c, keys out of a view and into an empty store. */
#ifndef STATE_CORE_H
#define STATE_CORE_H

#include "seam/clock.h"
#include "seam/machine.h"
#include "seam/store.h"
#include "state/arena.h"
#include "state/effects.h"
#include "state/generation.h"
#include "state/journal.h"
#include "state/meta.h"
#include "state/state.h"

/* The generation that was frozen last: NONE, FLUSHING (WAITING, when there is no space, and
 * FLUSHING again), VERIFYING (its mark is read back), THAWING, NONE. FLUSHING, WAITING, VERIFYING:
 * its strands answer reads, before the store. From THAWING on the store has it all; its records
 * become clean and its strands are freed, in bounded steps. One at a time. */
enum frozen { FROZEN_NONE, FROZEN_FLUSHING, FROZEN_WAITING, FROZEN_VERIFYING, FROZEN_THAWING };

/* What an evaluation that is PENDING needs in memory. With so many ranges it looks no further. */
enum { WANTED_MAX = 1 << 14 };
struct wanted {
    struct buffer bytes;        /* the keys of the ranges, one behind the other */
    struct store_range *ranges; /* from.data, to.data: offsets into bytes until warm() */
    size_t count, capacity;
};

struct flush_job;  /* flush.c's */
struct look_ahead; /* look_ahead.c's */

struct state {
    struct machine base;
    struct store *store;
    struct clock *clock;
    struct trace *trace;

    struct mark applied, flushed;
    struct stamp stamp;
    struct keyspace *databases[DATABASES];
    uint64_t namespaces; /* given so far */
    struct epoch_start *epochs;
    size_t epoch_count;
    struct buffer members; /* payload of the newest ENTRY_MEMBERS; empty: there was none */
    struct followed followed;
    struct list spaces; /* all keyspaces, the dead ones until they are freed */
    struct generation active, frozen;
    enum frozen phase;
    uint32_t settled; /* generations up to this one are clean */
    struct flush_job *job;
    /* Open ones, and closed ones whose view is still being read. */
    struct list captures, exports, surveys;

    struct journal journal;
    struct effects effects;
    uint64_t cache_bytes, cache_bytes_max; /* of clean records */
    unsigned hand_database;                /* where the cache's hand stands, */
    uint64_t hand_hash;                    /* and before which hash */
    enum store_patience patience;          /* of the evaluation under way */

    struct strand **garbage; /* strands that nothing leads to any more; tidy.c frees them */
    size_t garbage_count, garbage_capacity;
    struct machine_warm own_warm; /* for reads outside of evaluations */
    bool own_warm_asked;
    bool queue_is_empty;     /* of collections to be cleaned up, as far as is known */
    unsigned queue_attempts; /* to clean up the first of them */
    uint64_t earliest_ms;    /* no key ends before this */

    /* Reused by every evaluation. */
    struct args args;
    struct arena arena;
    struct wanted wanted;
    struct list warmings;     /* requests of warm() under way */
    struct look_ahead *ahead; /* NULL: none is under way */
    struct buffer key_scratch, value_scratch;
    struct buffer stage;   /* the record that is staged */
    uint64_t queries;      /* seeds the dice of reads */
    uint64_t pending_seed; /* of the newest read that was PENDING */
};

static inline struct state *state_of(struct machine *machine)
{
    return CONTAINER_OF(machine, struct state, base);
}

/* --- fetch.c --- */

/* The newest record of the name: NULL or an absent one if there is no key. It stays valid until the
 * end of the evaluation. ERR_PENDING: what is missing is noted; ERR_CORRUPT, ERR_IO. */
MUST_USE enum err state_fetch(struct state *state, struct keyspace *space, struct bytes name,
                              uint64_t hash, struct record **record);
/* A record as the store has it, whose name is not in the table, becomes a clean one there. */
void state_keep(struct state *state, struct keyspace *space, struct record *record);
/* Whether the table holds every key of the namespace, so that the store need not be asked. */
bool state_is_complete(const struct state *state, const struct keyspace *space);
/* Notes a range for warm(). `to` empty: one key. Copied. */
void state_want(struct state *state, struct bytes from, struct bytes to, bool backward);
void state_warm(struct machine *machine, struct machine_warm *asked);
void state_warm_forget(struct state *state); /* at close */
void state_evict(struct state *state);       /* one bounded step; never within an evaluation */

/* --- flush.c --- */

void state_flush(struct machine *machine, struct machine_flush *flush);
/* One step, of about `limit` records, towards FROZEN_NONE. */
void state_thaw(struct state *state, size_t limit);
void state_flush_forget(struct state *state); /* at close */

/* --- tidy.c --- */

bool state_tidy(struct machine *machine);
void state_warm_own(struct state *state); /* asks for what a walk outside of evaluations wants */
void state_tidy_forget(struct state *state);
void state_discard(struct state *state, struct strand *strand); /* frees a detached strand, later */

/* --- expiry.c --- */

void state_expiry_put(struct state *state, const struct keyspace *space,
                      const struct record *record);
void state_expiry_remove(struct state *state, const struct keyspace *space,
                         const struct record *record);
size_t state_due(struct machine *machine, struct stamp now, size_t limit, struct buffer *proposals);

/* --- machine.c --- */

/* Whether the collection may have records in the frozen strands, or in the store. */
bool state_may_be_frozen(const struct state *state, struct version version);
bool state_may_be_stored(const struct state *state, struct version version);

#endif
