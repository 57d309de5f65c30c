/* SPDX-License-Identifier: Apache-2.0 */
/* engine: one RocksDB database with our options, and its errors in our words. Every call is safe
 * from any thread. */
#ifndef REAL_ENGINE_H
#define REAL_ENGINE_H

#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/must.h"
#include "base/trace.h"
#include "real/engine_reserve.h"
#include "seam/store.h"

struct engine_options {
    uint64_t cache_bytes;
    uint64_t reserve_bytes; /* at most; 0: no reserve, and one that is there is left alone */
    struct trace *trace;    /* NULL drops the lines */
};

/* How far the space of what was deleted has been got back (engine_clean.c). `due` is everybody's,
 * the rest belongs to whoever calls engine_reclaim. */
struct engine_clean {
    atomic_bool due; /* something was deleted since the pass under way began */
    bool under_way;
    bool stuck;                /* the last step was ended for want of space, */
    uint64_t stuck_free_bytes; /* which left so much */
    uint64_t not_before_us;
    struct buffer from; /* where the next step begins */
};

struct engine {
    rocksdb_t *db; /* NULL after a failed engine_reopen: everything answers ERR_IO */
    rocksdb_column_family_handle_t *family; /* the only one; with the database */
    char *path;
    char *scratch;                  /* path of the directory for runs being written */
    char *run;                      /* path of the one file in it */
    rocksdb_options_t *options;     /* of the database */
    rocksdb_options_t *run_options; /* of the files that we write */
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_envoptions_t *file_options;
    rocksdb_env_t *env;
    rocksdb_ingestexternalfileoptions_t *ingest;
    rocksdb_writeoptions_t *write; /* for engine_health only */
    rocksdb_readoptions_t *no_wait, *wait;
    atomic_bool hurry; /* set by whoever closes it: nothing under way waits for anything any more */
    atomic_bool unsure; /* a flush failed half-way: it must be opened again before the next */
    /* It compacts only inside engine_reclaim: space is short, or it was just opened. */
    atomic_bool careful;
    atomic_bool starved;            /* the last run did not fit */
    atomic_uint_fast64_t run_bytes; /* of the last run that was written */
    struct engine_reserve reserve;
    struct engine_clean clean;
    struct trace *trace;
};

/* Opens or makes the database in `path`; see stores_ops.open. On failure nothing stays open. */
MUST_USE enum err engine_open(struct engine *engine, const char *path, bool create,
                              const struct engine_options *options, struct why *why);
void engine_close(struct engine *engine); /* waits for its background work */
/* Gives up the reserve, closes the database and opens it again, after lack of space; nobody else
 * uses it meanwhile. ERR_SPACE: there is too little still, and it was not closed. */
MUST_USE enum err engine_reopen(struct engine *engine, struct why *why);

/* Frees RocksDB's error text and says what it means. */
enum err engine_err(char *error, const char *what, struct why *why);
/* ERR_OK; ERR_PENDING after lack of space: engine_reopen comes before the next flush; else the
 * background error that has stopped the database for good. */
enum err engine_health(struct engine *engine, struct why *why);
uint64_t engine_property(const struct engine *engine, const char *name); /* 0 when it has none */

/* Options of reads through the snapshot; destroyed by the caller, before the snapshot. */
rocksdb_readoptions_t *engine_view_options(enum store_patience patience,
                                           const rocksdb_snapshot_t *snapshot);
/* Appends the value; ERR_OK, ERR_NOT_FOUND, ERR_PENDING, ERR_CORRUPT, ERR_IO. */
enum err engine_get(const struct engine *engine, struct bytes key, enum store_patience patience,
                    struct buffer *value, struct why *why);
/* Writes the run into a file and puts it into the database in one step (engine_run.c). Blocks.
 * ERR_PENDING: see engine_health; the run was not touched. */
enum err engine_flush(struct engine *engine, struct store_run *run, struct why *why);
/* Whether it lives on what its reserve was: then only what deletes should be added. */
bool engine_is_low(const struct engine *engine);
/* Frees, within a step of bounded size, space that deletions have left in the tables, and takes the
 * reserve back when there is room for it (engine_clean.c). Blocks; one at a time, beside flushes
 * and reads. ERR_PENDING: see engine_health. */
MUST_USE enum err engine_reclaim(struct engine *engine, struct why *why);
void engine_give_up_reserve(struct engine *engine);
void engine_hold_reserve(struct engine *engine); /* as far as there is room */
MUST_USE enum err engine_resume_compactions(struct engine *engine, struct why *why);
enum { ENGINE_BATCH_KEYS = 32 }; /* as many as RocksDB reads together */

/* How many keys to read together: a batch is in memory whole before its values are known, so it
 * begins small, and goes by the largest value seen so far. At most ENGINE_BATCH_KEYS. */
size_t engine_batch_keys(size_t batches, uint64_t largest);
/* Reads many keys, on all cores (engine_fetch.c). Blocks. */
void engine_fetch(const struct engine *engine, struct store_fetch *fetch);
/* Reads the ranges of the warm into the cache, or for its found(), as `options` sees them, and sets
 * its err and why (engine_run.c). Blocks. */
void engine_warm(const struct engine *engine, const rocksdb_readoptions_t *options,
                 struct store_warm *warm);

#endif
