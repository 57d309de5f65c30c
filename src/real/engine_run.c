/* SPDX-License-Identifier: Apache-2.0 */
/* A flush: one sorted run becomes one table file, and the file a part of the database, in one step.
 *
 *   1. the run is written to scratch/run.sst and synced
 *   2. rocksdb_ingest_external_file links it as NNNNNN.sst, syncs the file and the directory
 *   3. it writes the file's sequence number into it and syncs the file again
 *   4. it appends one record to the MANIFEST and syncs that: the commit
 *   5. it removes scratch/run.sst
 *
 * Before 4 is complete a reopened database knows nothing of the run, and drops the link as a file
 * that nobody names; after it, all of the run is there. The whole file has one sequence number,
 * above all earlier ones. Of delete-ranges it holds the keys, one by one (engine_sweep.c). A
 * snapshot held over the call makes RocksDB give the file a number of its own even if it overlaps
 * nothing, so a view opened during a flush never sees the run.
 *
 * If step 4 fails, RocksDB removes the link although the record may be on disk, and a later open
 * would miss the table. Therefore scratch/run.sst stays after a failure until the next flush or
 * open has found the database whole (engine_files_repair). RocksDB begins a new MANIFEST with its
 * next change.
 *
 * Lack of space in step 1: nothing has happened, and the next flush may try. So that it is found
 * there, step 2 is only begun with ENGINE_SPACE_MARGIN_BYTES to spare. In steps 2 to 4, and in
 * compactions, RocksDB takes note of it, and takes itself out of that state as soon as it sees
 * space (its SstFileManager; max_bgerror_resume_count does not concern it). But it forgets to clear
 * one flag (ErrorHandler::is_db_stopped_), after which an ingestion proceeds with a file number of
 * 0. So after any such error the database is opened again before the next flush (engine_health,
 * engine_reopen), and until that can be done flushes answer ERR_SPACE and reads go on. Every other
 * background error stops it for good.
 *
 * Seen with strace, and tried with a kill before each of these calls and with EIO and ENOSPC out of
 * each: openat, write, fdatasync run.sst | write, fdatasync MANIFEST (the file number) | link |
 * fdatasync NNNNNN.sst | fsync the directory | pwrite, fdatasync NNNNNN.sst | write, fdatasync
 * MANIFEST | unlink run.sst. A reopened database shows the run from the last write on and not
 * before. Debian's library is built with its assertions on: what is an error elsewhere may end the
 * process there. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "real/engine.h"
#include "real/engine_files.h"
#include "real/engine_sweep.h"

enum {
    ENGINE_LEVEL0_HIGH = 24,    /* wait for compaction before a run makes it more */
    ENGINE_LEVEL0_WAITS = 3000, /* x 10 ms */
    ENGINE_SPACE_MARGIN_BYTES = 2 << 20,
};

/* Reads look into every level-0 file: when compaction is behind, the flush waits for it rather than
 * the readers. */
static void engine_await_compaction(struct engine *engine)
{
    if (atomic_load(&engine->careful)) return;
    for (int i = 0; i < ENGINE_LEVEL0_WAITS && !atomic_load(&engine->hurry); i++) {
        if (engine_property(engine, "rocksdb.num-files-at-level0") < ENGINE_LEVEL0_HIGH) return;
        if (engine_property(engine, "rocksdb.num-running-compactions") == 0 &&
            engine_property(engine, "rocksdb.compaction-pending") == 0)
            return;
        /* One that lacks space is tried again and again: do not wait for it. */
        if (engine_property(engine, "rocksdb.background-errors") > 0) return;
        if (!engine_files_have_space(engine->path, ENGINE_SPACE_MARGIN_BYTES)) return;
        struct timespec pause = {.tv_nsec = 10000000};
        (void)nanosleep(&pause, NULL);
    }
}

static void run_add(rocksdb_sstfilewriter_t *writer, const struct store_item *item, char **error)
{
    const char *key = (const char *)item->key.data;
    const char *value = (const char *)item->value.data;
    switch (item->change) {
    case STORE_PUT:
        rocksdb_sstfilewriter_put(writer, key, item->key.size, value, item->value.size, error);
        return;
    case STORE_DELETE: rocksdb_sstfilewriter_delete(writer, key, item->key.size, error); return;
    case STORE_DELETE_RANGE: break; /* engine_sweep.c has resolved it */
    }
    MUST(false);
}

/* What step 1 has written; without items there is no file. */
struct run_facts {
    bool empty, deletes;
    uint64_t bytes;
};

static bool run_take(struct store_run *run, struct store_item *item, struct run_facts *facts)
{
    if (!run->next(run, item)) return false;
    if (item->change == STORE_DELETE) facts->deletes = true;
    facts->bytes += item->key.size + item->value.size;
    return true;
}

static enum err table_write(struct engine *engine, struct store_run *run, struct run_facts *facts,
                            struct why *why)
{
    struct store_item item;
    facts->empty = !run_take(run, &item, facts);
    if (facts->empty) return ERR_OK;
    char *error = NULL;
    rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(engine->file_options,
                                                                   engine->run_options);
    rocksdb_sstfilewriter_open(writer, engine->run, &error);
    if (error == NULL) {
        do {
            run_add(writer, &item, &error);
        } while (error == NULL && run_take(run, &item, facts));
    }
    if (error == NULL) rocksdb_sstfilewriter_finish(writer, &error);
    rocksdb_sstfilewriter_destroy(writer);
    if (error == NULL) return ERR_OK;
    return engine_err(error, "write of a run", why);
}

/* Step 1. */
static enum err run_write(struct engine *engine, struct store_run *run, struct run_facts *facts,
                          struct why *why)
{
    struct sweep sweep;
    sweep_open(&sweep, engine, run);
    enum err err = table_write(engine, &sweep.run, facts, why);
    if (err == ERR_OK && sweep.err != ERR_OK) err = why_fail(why, sweep.err, "%s", sweep.why.text);
    sweep_close(&sweep);
    return err;
}

static enum err run_ingest(struct engine *engine, struct why *why)
{
    char *error = NULL;
    const char *files[1] = {engine->run};
    const rocksdb_snapshot_t *snapshot = rocksdb_create_snapshot(engine->db);
    rocksdb_ingest_external_file(engine->db, files, 1, engine->ingest, &error);
    rocksdb_release_snapshot(engine->db, snapshot);
    if (error == NULL) return ERR_OK;
    engine->unsure = true;
    return engine_err(error, "ingestion of a run", why);
}

/* Before step 2. ERR_SPACE: what RocksDB writes from here on might not fit. */
static enum err run_check(struct engine *engine, struct why *why)
{
    enum err err = engine_is_low(engine) ? ERR_OK : engine_resume_compactions(engine, why);
    if (err != ERR_OK) return err;
    engine_await_compaction(engine);
    err = engine_health(engine, why); /* the wait may have been long */
    if (err == ERR_PENDING)
        return why_fail(why, ERR_SPACE, "store: %s: no space to compact", engine->path);
    if (err != ERR_OK) return err;
    if (!engine_files_have_space(engine->path, ENGINE_SPACE_MARGIN_BYTES))
        engine_give_up_reserve(engine);
    if (engine_files_have_space(engine->path, ENGINE_SPACE_MARGIN_BYTES)) return ERR_OK;
    return why_fail(why, ERR_SPACE, "store: %s: too little space for a run", engine->path);
}

enum err engine_flush(struct engine *engine, struct store_run *run, struct why *why)
{
    struct run_facts facts = {.empty = false};
    enum err err = engine_health(engine, why);
    if (err == ERR_OK) err = engine_files_clear_scratch(engine->scratch, engine->run, why);
    if (err != ERR_OK) return err;
    err = run_write(engine, run, &facts, why);
    atomic_store(&engine->run_bytes, facts.bytes);
    atomic_store(&engine->starved, err == ERR_SPACE);
    if (err == ERR_SPACE) engine_give_up_reserve(engine); /* for the next one */
    if (err == ERR_OK && !facts.empty) err = run_check(engine, why);
    if (err != ERR_OK) (void)unlink(engine->run); /* the database has not heard of it */
    if (err != ERR_OK || facts.empty) return err;
    err = run_ingest(engine, why);
    if (err != ERR_OK) return err;
    if (facts.deletes) atomic_store(&engine->clean.due, true);
    if (!engine_is_low(engine)) engine_hold_reserve(engine);
    return ERR_OK;
}

/* ---- Warming ---- */

/* What a warm has read of keys. */
struct warmed {
    size_t batches;
    uint64_t bytes, largest; /* of values */
};

static void warm_found(struct store_warm *warm, size_t at, const rocksdb_pinnableslice_t *slice,
                       struct warmed *warmed)
{
    size_t size;
    const char *value = rocksdb_pinnableslice_value(slice, &size);
    warmed->bytes += size;
    if (size > warmed->largest) warmed->largest = size;
    if (warm->found != NULL && warm->err == ERR_OK)
        warm->found(warm, warm->ranges[at].from, bytes_of(value, size));
}

/* Keys that are asked for one behind the other are read together, which looks into filters side by
 * side and unpacks a block once. How many. */
static size_t warm_keys(const struct engine *engine, const rocksdb_readoptions_t *options,
                        struct store_warm *warm, size_t first, struct warmed *warmed)
{
    const char *keys[ENGINE_BATCH_KEYS] = {NULL};
    size_t sizes[ENGINE_BATCH_KEYS] = {0}, count = 0;
    rocksdb_pinnableslice_t *slices[ENGINE_BATCH_KEYS] = {NULL};
    char *errors[ENGINE_BATCH_KEYS] = {NULL};
    size_t most = engine_batch_keys(warmed->batches++, warmed->largest);
    for (; count < most && first + count < warm->count; count++) {
        const struct store_range *range = &warm->ranges[first + count];
        if (range->to.size > 0) break;
        keys[count] = (const char *)range->from.data;
        sizes[count] = range->from.size;
    }
    rocksdb_batched_multi_get_cf(engine->db, options, engine->family, count, keys, sizes, slices,
                                 errors, false);
    for (size_t i = 0; i < count; i++) {
        if (errors[i] != NULL) warm->err = engine_err(errors[i], "read", &warm->why);
        if (slices[i] == NULL) continue;
        warm_found(warm, first + i, slices[i], warmed);
        rocksdb_pinnableslice_destroy(slices[i]);
    }
    return count;
}

/* Goes one item past the range: whoever walks it on the loop does so too, to see that it has
 * ended. */
static enum err warm_range(const struct engine *engine, const rocksdb_readoptions_t *options,
                           struct store_warm *warm, const struct store_range *range)
{
    MUST(warm->found == NULL || !range->backward);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(engine->db, options);
    uint64_t moved = 0;
    if (range->backward)
        rocksdb_iter_seek_for_prev(iterator, (const char *)range->to.data, range->to.size);
    else rocksdb_iter_seek(iterator, (const char *)range->from.data, range->from.size);
    while (rocksdb_iter_valid(iterator) && moved < range->bytes_max) {
        size_t key_size, value_size;
        const char *key = rocksdb_iter_key(iterator, &key_size);
        struct bytes at = bytes_of(key, key_size);
        const char *value = rocksdb_iter_value(iterator, &value_size);
        if (range->backward ? bytes_compare(at, range->from) < 0
                            : bytes_compare(at, range->to) >= 0)
            break;
        moved += key_size + value_size;
        if (warm->found != NULL) warm->found(warm, at, bytes_of(value, value_size));
        if (range->backward) rocksdb_iter_prev(iterator);
        else rocksdb_iter_next(iterator);
    }
    char *error = NULL;
    rocksdb_iter_get_error(iterator, &error);
    rocksdb_iter_destroy(iterator);
    return error == NULL ? ERR_OK : engine_err(error, "read", &warm->why);
}

void engine_warm(const struct engine *engine, const rocksdb_readoptions_t *options,
                 struct store_warm *warm)
{
    struct warmed warmed = {.bytes = 0};
    warm->err = ERR_OK;
    warm->read = 0;
    if (engine->db == NULL)
        warm->err = why_fail(&warm->why, ERR_IO, "store: could not be opened again");
    while (warm->read < warm->count && warm->err == ERR_OK) {
        const struct store_range *range = &warm->ranges[warm->read];
        if (range->to.size > 0) {
            warm->err = warm_range(engine, options, warm, range);
            warm->read++;
        } else {
            warm->read += warm_keys(engine, options, warm, warm->read, &warmed);
        }
        if (warm->bytes_max > 0 && warmed.bytes >= warm->bytes_max) break;
    }
}
