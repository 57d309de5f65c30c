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
#include "seam/store.h"

struct engine {
    rocksdb_t *db; /* NULL after a failed engine_reopen: everything answers ERR_IO */
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
    atomic_bool hurry; /* set by whoever closes it: a flush under way waits for nothing any more */
    bool unsure;       /* a flush failed half-way: it must be opened again before the next */
};

/* Opens or makes the database in `path`; see stores_ops.open. On failure nothing stays open. */
MUST_USE enum err engine_open(struct engine *engine, const char *path, bool create,
                              uint64_t cache_bytes, struct why *why);
void engine_close(struct engine *engine); /* waits for its background work */
/* Closes and opens it again, after lack of space; nobody else uses it meanwhile. ERR_SPACE: there
 * is too little still, and nothing was done. */
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
/* Reads the range into the cache (engine_run.c). Blocks. */
enum err engine_warm(const struct engine *engine, const struct store_range *range, struct why *why);

#endif
