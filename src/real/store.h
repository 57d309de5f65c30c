/* SPDX-License-Identifier: Apache-2.0 */
/* store: the store seam on RocksDB (real/engine.h). */
#ifndef REAL_STORE_H
#define REAL_STORE_H

#include <stdatomic.h>

#include "base/trace.h"
#include "real/engine.h"
#include "real/loop.h"
#include "real/worker.h"
#include "seam/store.h"

struct stores_real {
    struct stores stores;
    struct loop *loop;      /* NULL: work is done inside real_stores_settle */
    uint64_t reserve_bytes; /* of each store: engine_options */
    struct trace *trace;    /* NULL drops the lines */
    struct list open;       /* the stores */
};

struct store_real {
    struct store store;
    struct stores_real *stores;
    struct engine engine;
    struct list node; /* in stores->open */
    struct worker flusher, warmer, cleaner, surveyor;
    bool
        poisoned; /* a flush failed for good; written by done(), read through the flusher's queue */
    bool flushing, starved;     /* the last flush failed for want of space */
    atomic_uint_fast64_t bytes; /* on disk, as of the last flush */
    atomic_uint cursors;        /* open ones, of surveys too */
    struct list views;          /* likewise: struct store_view */
    unsigned warming;           /* at the worker and not done */
    bool cleaning;              /* likewise */
    enum err cleaned;           /* what came of the last cleaning */
    struct list clean;          /* for the cleaner's queue */
    bool reopening; /* the database is opened again as soon as nobody uses it; meanwhile wait: */
    struct store_flush *held_flush;
    struct list held_warms;
    struct task reopen;
    struct list asked_flushes, asked_warms,
        asked_cleans;    /* without a loop: what settle has to do */
    struct list surveys; /* struct survey_real, under way or waiting for a thread */
};

void stores_real_init(struct stores_real *stores, struct loop *loop, struct trace *trace);
void stores_real_release(struct stores_real *stores); /* every store is closed */

/* store_survey.c */
void store_real_survey(struct store_real *store, struct store_warm *warm);
void store_real_survey_work(struct worker *worker, struct list *item); /* the surveyor's */
void store_real_survey_done(struct worker *worker, struct list *item);
void store_real_surveys_hurry(struct store_real *store); /* all of them */
void store_real_surveys_drop(struct store_real *store);  /* no thread has any */
bool store_real_goes_on(struct store *store, struct store_warm *warm, uint64_t bytes);
uint64_t store_real_went(struct store *store, const struct store_warm *warm);
void store_real_hurry(struct store *store, struct store_warm *warm);

/* store.c */
void store_real_warmed(struct store_real *store); /* a warm or a survey has ended */

/* store_cursor.c */
struct store_cursor *store_real_cursor(struct store *store, struct store_view *view,
                                       enum store_patience patience);
struct store_view *store_real_view_open(struct store *store);
void store_real_view_close(struct store *store, struct store_view *view);
void store_real_view_drop(struct store_real *store, struct list *view);
/* For a reader that may wait, on any thread; owned by the caller. NULL: of no view. */
rocksdb_readoptions_t *store_real_view_options(const struct store_view *view);

#endif
