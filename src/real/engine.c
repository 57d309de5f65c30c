/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing and reading of a RocksDB database (7.8.3; what is said of its insides was read
 * there and tried).
 *
 * Nothing is ever put into its memtable or write-ahead log: the only change is the ingestion of a
 * file (engine_run.c), so RocksDB has nothing to flush and an empty log at all times.
 *
 * A read that may not wait asks for the block-cache tier. Then a block that is not in the cache
 * gives the status Incomplete, but a *table* that is not open gives OK with an empty value
 * (TableCache::Get, "treat as kFound if no_io set"). So an empty value is believed only after
 * rocksdb_key_may_exist has said that it saw the value itself. */
#include "real/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/path.h"
#include "real/engine_files.h"
#include "real/real.h"

enum {
    ENGINE_BLOCK_BYTES = 8 * 1024,
    ENGINE_METADATA_BLOCK_BYTES = 16 * 1024, /* of index and filter partitions */
    ENGINE_BLOOM_BITS = 10,
    ENGINE_CACHE_SHARD_BITS = 4,
    /* A run is small, so that a crash leaves little to replay; and a merge of many runs rewrites no
     * more than a merge of few. Each costs a read one more look into a filter. */
    ENGINE_LEVEL0_TRIGGER = 12,
    ENGINE_LEVEL0_NEVER = 1000, /* the flush waits (engine_run.c), not whoever probes the health */
    ENGINE_MEMTABLE_BYTES = 64 * 1024, /* stays empty */
    ENGINE_INFO_LOG_BYTES = 1 << 20,
    ENGINE_READ_TIER_CACHE = 1, /* rocksdb::kBlockCacheTier */
    ENGINE_SPACE_TO_OPEN_BYTES = 4 << 20,
};

/* ---- Errors ---- */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static enum err engine_err_of(const char *text)
{
    if (starts_with(text, "Result incomplete")) return ERR_PENDING;
    if (starts_with(text, "Corruption")) return ERR_CORRUPT;
    if (starts_with(text, "NotFound")) return ERR_NOT_FOUND;
    if (starts_with(text, "Shutdown in progress")) return ERR_SHUT;
    if (strstr(text, strerror(ENOSPC)) != NULL || strstr(text, strerror(EDQUOT)) != NULL)
        return ERR_SPACE;
    if (starts_with(text, "IO error") && strstr(text, "/LOCK: ") != NULL) return ERR_REFUSED;
    return ERR_IO;
}

enum err engine_err(char *error, const char *what, struct why *why)
{
    enum err err = engine_err_of(error);
    if (err != ERR_PENDING) (void)why_fail(why, err, "store: %s: %s", what, error);
    rocksdb_free(error);
    return err;
}

uint64_t engine_property(const struct engine *engine, const char *name)
{
    uint64_t value = 0;
    if (engine->db == NULL) return 0;
    char *text = rocksdb_property_value(engine->db, name);
    if (text == NULL || !number_parse_uint64(bytes_text(text), &value)) value = 0;
    if (text != NULL) rocksdb_free(text);
    return value;
}

/* An empty batch changes nothing, but it is refused while a background error has stopped the
 * database. */
static enum err engine_probe(struct engine *engine, struct why *why)
{
    char *error = NULL;
    rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
    rocksdb_write(engine->db, engine->write, nothing, &error);
    rocksdb_writebatch_destroy(nothing);
    return error == NULL ? ERR_OK : engine_err(error, "background work", why);
}

enum err engine_health(struct engine *engine, struct why *why)
{
    if (engine->db == NULL) return why_fail(why, ERR_IO, "store: could not be opened again");
    enum err err = engine_probe(engine, why);
    if (err != ERR_OK && err != ERR_SPACE) return err;
    bool clean = err == ERR_OK && !engine->unsure &&
                 engine_property(engine, "rocksdb.background-errors") == 0;
    return clean ? ERR_OK : ERR_PENDING;
}

/* ---- Options ---- */

static void engine_table_options(struct engine *engine, uint64_t cache_bytes)
{
    rocksdb_lru_cache_options_t *lru = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(lru, (size_t)cache_bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(lru, ENGINE_CACHE_SHARD_BITS);
    engine->cache = rocksdb_cache_create_lru_opts(lru);
    rocksdb_lru_cache_options_destroy(lru);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, engine->cache);
    rocksdb_block_based_options_set_block_size(table, ENGINE_BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(ENGINE_BLOOM_BITS));
    rocksdb_block_based_options_set_whole_key_filtering(table, 1);
    /* Index and filter count against the cache, and are read in partitions under a pinned top: the
     * whole filter of a file of small records has several MiB, which a read of one record would
     * wait for, and which would push everything else out. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_index_type(
        table, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(table, 1);
    rocksdb_block_based_options_set_metadata_block_size(table, ENGINE_METADATA_BLOCK_BYTES);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    engine->table = table;
}

static void engine_common_options(struct engine *engine, rocksdb_options_t *options)
{
    rocksdb_options_set_env(options, engine->env);
    rocksdb_options_set_block_based_table_factory(options, engine->table);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_bytes_per_sync(options, 1 << 20); /* no burst before the log's own syncs */
}

/* What the C interface has no setter for. Space allocated ahead of what a compaction writes, as
 * much as all that it reads, would be missing on a disk that is nearly full. */
static rocksdb_options_t *engine_base_options(void)
{
    char *error = NULL;
    rocksdb_options_t *plain = rocksdb_options_create();
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_get_options_from_string(plain,
                                    "max_bgerror_resume_count=0;"
                                    "avoid_flush_during_shutdown=true;"
                                    "allow_fallocate=false;"
                                    "force_consistency_checks=true;",
                                    options, &error);
    MUST(error == NULL);
    rocksdb_options_destroy(plain);
    return options;
}

rocksdb_readoptions_t *engine_view_options(enum store_patience patience,
                                           const rocksdb_snapshot_t *snapshot)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(options, 1);
    if (patience == STORE_NO_WAIT)
        rocksdb_readoptions_set_read_tier(options, ENGINE_READ_TIER_CACHE);
    if (snapshot != NULL) rocksdb_readoptions_set_snapshot(options, snapshot);
    return options;
}

static void engine_make_options(struct engine *engine, uint64_t cache_bytes)
{
    engine->env = rocksdb_create_default_env();
    rocksdb_env_set_background_threads(engine->env, 1);
    rocksdb_env_set_high_priority_background_threads(engine->env, 1);
    rocksdb_env_lower_thread_pool_cpu_priority(engine->env);
    rocksdb_env_lower_thread_pool_io_priority(engine->env);
    engine_table_options(engine, cache_bytes);
    engine->run_options = rocksdb_options_create();
    engine_common_options(engine, engine->run_options);
    rocksdb_options_t *options = engine->options = engine_base_options();
    engine_common_options(engine, options);
    rocksdb_options_set_bottommost_compression(options, rocksdb_zstd_compression);
    /* Level 1: most of the gain for half the time of the default; compaction shares the cores with
     * the loop. */
    rocksdb_options_set_bottommost_compression_options(options, -14, 1, 0, 0, 1);
    rocksdb_options_set_max_background_jobs(options, 2);
    struct real_files files;
    real_process_files(&files);
    rocksdb_options_set_max_open_files(options, (int)files.tables);
    rocksdb_options_set_max_file_opening_threads(options, 2);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    rocksdb_options_set_write_buffer_size(options, ENGINE_MEMTABLE_BYTES);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, ENGINE_LEVEL0_TRIGGER);
    rocksdb_options_set_level0_slowdown_writes_trigger(options, ENGINE_LEVEL0_NEVER);
    rocksdb_options_set_level0_stop_writes_trigger(options, ENGINE_LEVEL0_NEVER);
    rocksdb_options_set_max_bytes_for_level_base(options, 256 << 20);
    rocksdb_options_set_target_file_size_base(options, 64 << 20);
    rocksdb_options_set_info_log_level(options, 2); /* warnings */
    rocksdb_options_set_max_log_file_size(options, ENGINE_INFO_LOG_BYTES);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    engine->file_options = rocksdb_envoptions_create();
    engine->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(engine->ingest, 1);
    rocksdb_ingestexternalfileoptions_set_snapshot_consistency(engine->ingest, 1);
    rocksdb_ingestexternalfileoptions_set_allow_global_seqno(engine->ingest, 1);
    rocksdb_ingestexternalfileoptions_set_allow_blocking_flush(engine->ingest, 0);
    engine->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(engine->write, 1);
    engine->wait = engine_view_options(STORE_WAIT, NULL);
    engine->no_wait = engine_view_options(STORE_NO_WAIT, NULL);
}

static void engine_free(struct engine *engine)
{
    rocksdb_readoptions_destroy(engine->no_wait);
    rocksdb_readoptions_destroy(engine->wait);
    rocksdb_writeoptions_destroy(engine->write);
    rocksdb_ingestexternalfileoptions_destroy(engine->ingest);
    rocksdb_envoptions_destroy(engine->file_options);
    rocksdb_options_destroy(engine->options);
    rocksdb_options_destroy(engine->run_options);
    rocksdb_block_based_options_destroy(engine->table);
    rocksdb_cache_destroy(engine->cache);
    rocksdb_env_destroy(engine->env);
    engine_reserve_release(&engine->reserve);
    buffer_release(&engine->clean.from);
    memory_free(engine->run);
    memory_free(engine->scratch);
    memory_free(engine->path);
    *engine = (struct engine){.db = NULL};
}

/* ---- Opening ---- */

/* By its column family: reads of many keys ask for its handle. */
static rocksdb_t *engine_open_family(struct engine *engine, char **error)
{
    const char *name = "default";
    const rocksdb_options_t *options = engine->options;
    return rocksdb_open_column_families(options, engine->path, 1, &name, &options, &engine->family,
                                        error);
}

static void engine_drop(struct engine *engine)
{
    rocksdb_column_family_handle_destroy(engine->family);
    rocksdb_close(engine->db);
    engine->db = NULL;
}

static void engine_try(struct engine *engine, char **error)
{
    *error = NULL;
    engine->unsure = false;
    engine->db = engine_open_family(engine, error);
    if (engine->db != NULL || strstr(*error, "ompression type") == NULL) return;
    /* A RocksDB without zstd. */
    rocksdb_free(*error);
    *error = NULL;
    rocksdb_options_set_bottommost_compression(engine->options, rocksdb_lz4_compression);
    engine->db = engine_open_family(engine, error);
}

static enum err engine_open_here(struct engine *engine, bool make, struct why *why)
{
    char *error;
    rocksdb_options_set_create_if_missing(engine->options, make);
    engine_try(engine, &error);
    if (engine->db == NULL && engine_files_repair(engine->path, engine->run, error)) {
        rocksdb_free(error);
        engine_try(engine, &error);
    }
    if (engine->db == NULL) {
        /* What the operating system refuses is ERR_IO; a state that RocksDB cannot make sense of is
         * corrupt, and so is a file that another one names and that is not there. */
        bool missing = starts_with(error, "IO error: No such file or directory");
        enum err err = engine_err(error, missing ? "a file is missing" : engine->path, why);
        bool senseless = err == ERR_NOT_FOUND || err == ERR_PENDING || err == ERR_SHUT;
        return missing || senseless ? ERR_CORRUPT : err;
    }
    engine_files_drop_logs(engine->path);
    enum err err = engine_files_clear_scratch(engine->scratch, engine->run, why);
    if (err == ERR_OK && make) err = engine_files_sync_parent(engine->path, why);
    if (err != ERR_OK) engine_drop(engine);
    return err;
}

/* Takes the reserve, or gives it up for the open. The tables' size is what the file names say: the
 * database is not open yet. */
static void engine_reserve_begin(struct engine *engine, uint64_t reserve_bytes)
{
    engine_reserve_init(&engine->reserve, engine->scratch, reserve_bytes);
    if (reserve_bytes == 0) return;
    (void)mkdir(engine->scratch, 0700); /* made again, with its errors, once the database is open */
    if (engine_reserve_hold(&engine->reserve, engine_files_table_bytes(engine->path))) return;
    uint64_t bytes = engine_reserve_give_up(&engine->reserve);
    trace_event(engine->trace, TRACE_WARNING, "store", "reserve_given_up",
                "bytes=%" PRIu64 " free=%" PRIu64, bytes, engine_files_free_bytes(engine->path));
}

/* It compacts by itself from its first flush on. Until then nothing makes it worse, and a start has
 * the cores to itself. */
static void engine_be_careful(struct engine *engine)
{
    atomic_store(&engine->careful, true);
    rocksdb_options_set_disable_auto_compactions(engine->options, 1);
    /* What an earlier process has deleted, or a compaction that failed has left, is not known. */
    atomic_store(&engine->clean.due, true);
    engine->clean.under_way = engine->clean.stuck = false;
}

enum err engine_resume_compactions(struct engine *engine, struct why *why)
{
    static const char *const names[1] = {"disable_auto_compactions"}, *const values[1] = {"false"};
    char *error = NULL;
    if (!atomic_load(&engine->careful)) return ERR_OK;
    rocksdb_set_options(engine->db, 1, names, values, &error);
    if (error != NULL) return engine_err(error, "compactions", why);
    atomic_store(&engine->careful, false);
    return ERR_OK;
}

enum err engine_open(struct engine *engine, const char *path, bool create,
                     const struct engine_options *options, struct why *why)
{
    *engine = (struct engine){.trace = options->trace};
    enum engine_state state;
    enum err err = engine_files_look(path, &state, why);
    if (err != ERR_OK) return err;
    if (state == ENGINE_ABSENT && !create)
        return why_fail(why, ERR_NOT_FOUND, "store: %s: there is none", path);
    if (state == ENGINE_ABSENT && mkdir(path, 0700) != 0 && errno != EEXIST)
        return why_fail(why, ERR_IO, "store: make %s: %s", path, strerror(errno));
    engine->path = path_join(path, "");
    engine->scratch = path_join(path, ENGINE_SCRATCH_NAME);
    engine->run = path_join(engine->scratch, ENGINE_RUN_NAME);
    buffer_init(&engine->clean.from);
    engine_make_options(engine, options->cache_bytes);
    engine_reserve_begin(engine, options->reserve_bytes);
    engine_be_careful(engine);
    /* Without room for its manifest the library aborts the process. */
    if (!engine_files_have_space(engine->path, ENGINE_SPACE_TO_OPEN_BYTES)) {
        engine_free(engine);
        return why_fail(why, ERR_SPACE, "store: %s: the disk is full, it cannot be opened", path);
    }
    err = engine_open_here(engine, state == ENGINE_ABSENT, why);
    if (err != ERR_OK) engine_free(engine);
    return err;
}

static void engine_shut(struct engine *engine)
{
    if (engine->db == NULL) return;
    rocksdb_cancel_all_background_work(engine->db, 1);
    engine_drop(engine);
}

enum err engine_reopen(struct engine *engine, struct why *why)
{
    engine_give_up_reserve(engine);
    if (!engine_files_have_space(engine->path, ENGINE_SPACE_TO_OPEN_BYTES))
        return why_fail(why, ERR_SPACE, "store: waits for space to be opened again");
    engine_shut(engine);
    engine_be_careful(engine);
    return engine_open_here(engine, false, why);
}

void engine_close(struct engine *engine)
{
    engine_shut(engine);
    engine_free(engine);
}

/* ---- Reading ---- */

/* Whether an empty value came from the table itself; see the top. */
static bool engine_saw_value(const struct engine *engine, struct bytes key)
{
    unsigned char found = 0;
    char *value = NULL;
    size_t size = 0;
    (void)rocksdb_key_may_exist(engine->db, engine->no_wait, (const char *)key.data, key.size,
                                &value, &size, NULL, 0, &found);
    if (value != NULL) rocksdb_free(value);
    return found != 0;
}

enum err engine_get(const struct engine *engine, struct bytes key, enum store_patience patience,
                    struct buffer *value, struct why *why)
{
    char *error = NULL;
    bool waits = patience == STORE_WAIT;
    if (engine->db == NULL) return why_fail(why, ERR_IO, "store: could not be opened again");
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(engine->db,
                                                        waits ? engine->wait : engine->no_wait,
                                                        (const char *)key.data, key.size, &error);
    if (error != NULL) return engine_err(error, "read", why);
    if (slice == NULL) return ERR_NOT_FOUND;
    size_t size;
    const char *data = rocksdb_pinnableslice_value(slice, &size);
    buffer_append(value, bytes_of(data, size));
    rocksdb_pinnableslice_destroy(slice);
    if (size == 0 && !waits && !engine_saw_value(engine, key)) return ERR_PENDING;
    return ERR_OK;
}
