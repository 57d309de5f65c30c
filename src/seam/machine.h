/* SPDX-License-Identifier: Apache-2.0 */
/* machine: what the pipeline needs of the thing that a log drives. The keys machine is one; a
 * volume will be another. Deterministic: what apply() does is a function of the state and the entry
 * alone. */
#ifndef SEAM_MACHINE_H
#define SEAM_MACHINE_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/err.h"
#include "base/mark.h"
#include "seam/capture.h"
#include "seam/effects.h"
#include "seam/entry.h"
#include "seam/export.h"
#include "seam/followed.h"
#include "seam/records.h"
#include "seam/reply.h"
#include "seam/survey.h"

struct machine {
    const struct machine_ops *ops;
};

/* What one evaluation gave. The caller sets the first group; the machine fills the second. */
struct outcome {
    struct reply *reply; /* where the answer goes; never NULL (reply_nobody) */
    /* Something happened to a key that someone may have asked to hear of; NULL: nobody has. Called
     * only by an evaluation that is final. `name` and `key` are borrowed for the call. */
    void (*notify)(struct outcome *outcome, unsigned class, const char *name, uint8_t database,
                   struct bytes key);

    bool waits;   /* a blocking command found nothing: no reply was written */
    bool changed; /* something was changed beside the mark */
    /* Out of query() with ERR_PENDING: payloads of entries to append first (each a le32 length,
     * then the payload); the query is asked again after they are applied. Empty: wait for warm().
     * Caller-owned. */
    struct buffer *proposals;
};

struct query {
    struct bytes payload; /* ENTRY_COMMAND or ENTRY_TRANSACTION of commands that only read */
    struct stamp now;
    bool final_expiry; /* no entry can be appended: treat expired keys as absent at once */
    unsigned attempt;  /* how often this query has been PENDING */
};

/* Caller-owned; asks for what the evaluation before it, which said ERR_PENDING, was missing. */
struct machine_warm {
    enum err err; /* a failed read: ERR_CORRUPT, ERR_IO */
    struct why why;
    void (*done)(struct machine_warm *warm); /* on the loop */
    void *machine;                           /* the machine's, from warm() until done() */
};

struct machine_flush {
    struct lsn flushed; /* out: what the store comes back with after a power cut */
    enum err err;       /* ERR_SPACE: nothing lost, try later; anything else: end the process */
    struct why why;
    void (*done)(struct machine_flush *flush); /* on the loop */
};

struct machine_ops {
    /* The mark of what is applied, and of what is flushed. */
    struct mark (*applied)(const struct machine *machine);
    struct mark (*flushed)(const struct machine *machine);
    struct stamp (*stamp)(const struct machine *machine); /* of the newest applied entry */
    /* The epochs of what is applied, the oldest first; borrowed until the next apply(). */
    const struct epoch_start *(*epochs)(const struct machine *machine, size_t *count);
    /* The payload of the newest applied ENTRY_MEMBERS; empty: there was none. Likewise. */
    struct bytes (*members)(const struct machine *machine);
    /* Where a primary of another make holds what is applied. */
    struct followed (*followed)(const struct machine *machine);
    /* Applies the next entry (lsn = applied + 1): effects, mark and digest in one step.
     * ERR_PENDING: nothing was changed; call warm(), then apply() it again with `attempt` one
     * higher. ERR_CORRUPT, ERR_IO: end the process. */
    enum err (*apply)(struct machine *machine, const struct entry *entry, unsigned attempt,
                      struct outcome *outcome);
    /* Start-up only: blocks. Entries that are applied next, in this order: what they will ask for
     * first is read at once, which is faster than one by one. Only the time that apply() takes is
     * another one. */
    void (*foresee)(struct machine *machine, const struct entry *entries, size_t count);
    /* While it serves: entries that are applied soon, each shown once. What they will ask for first
     * is read beside all else; likewise only time differs. One at a time. False: they miss nothing,
     * and done() is not called. */
    bool (*look_ahead)(struct machine *machine, const struct entry *entries, size_t count,
                       struct machine_warm *warm);
    /* Evaluates a read on applied state. ERR_PENDING as above. */
    enum err (*query)(struct machine *machine, const struct query *query, struct outcome *outcome);
    void (*warm)(struct machine *machine, struct machine_warm *warm);
    /* Bytes held in memory that a crash would have to replay. */
    uint64_t (*unflushed_bytes)(const struct machine *machine);
    /* Records changed in them: about as many a replay would have to read before. */
    uint64_t (*unflushed_records)(const struct machine *machine);
    /* Freezes what is applied and hands it to the store; apply() goes on meanwhile. One at a time.
     * The caller has made the log durable through applied() first. */
    void (*flush)(struct machine *machine, struct machine_flush *flush);
    /* What the newest flush left, for an image: opens now, reads as it is asked to. One at a time;
     * closed by the caller before the store and the machine are. */
    struct capture *(*capture)(struct machine *machine);
    /* Of what the newest flush left: opens now, answers beside all else. Closed likewise. */
    struct survey *(*survey)(struct machine *machine);
    struct effects_place (*effects)(const struct machine *machine);
    /* Reads the stream of effects. ERR_NOT_FOUND: it is off, or what is asked for is not kept any
     * more, or not there yet, or no place to join. ERR_PENDING: warm(), then ask again.
     * ERR_CORRUPT, ERR_IO. On error nothing is appended. */
    enum err (*effects_read)(struct machine *machine, const struct effects_read *read);
    void (*effects_keep)(struct machine *machine, const struct effects_keep *keep);
    /* What the newest flush left, by type. There was one. Closed by the caller before the store and
     * the machine are. */
    struct export *(*export)(struct machine *machine);
    /* Payloads of entries that are due at `now` (expired keys) into `proposals` (le32 length,
     * payload), at most `limit`. Returns how many; ERR_PENDING-like misses only make it fewer. */
    size_t (*due)(struct machine *machine, struct stamp now, size_t limit,
                  struct buffer *proposals);
    /* One bounded step of work that is local to this copy (clean-up). True while there is more. */
    bool (*tidy)(struct machine *machine);
    /* Space is short: goes on freeing what deletions have left in the store, in the background.
     * Asked again and again as long as space is short. */
    void (*reclaim)(struct machine *machine);
    /* Whether the store has too little space for more data; flushes of deletions help. */
    bool (*is_low)(const struct machine *machine);
    struct digest (*digest)(const struct machine *machine);
    /* Lines for INFO ("db0:keys=1,expires=0,avg_ttl=0\r\n"), appended. */
    void (*describe)(const struct machine *machine, struct buffer *out);
    uint64_t (*memory_bytes)(const struct machine *machine); /* held by tables and caches */
    void (*close)(struct machine *machine);                  /* nothing is flushed by it */
};

/* With this many attempts an evaluation waits for the disk instead of saying ERR_PENDING. */
enum { MACHINE_ATTEMPTS_MAX = 8 };

#endif
