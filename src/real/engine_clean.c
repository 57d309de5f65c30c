/* SPDX-License-Identifier: Apache-2.0 */
/* Getting space back out of the store.
 *
 * What was deleted stays in the tables until a compaction has taken it down to the last level, and
 * a compaction writes its output before it lets go of its input. So there is a reserve
 * (engine_reserve.h), and this is what it is for:
 *
 *   HELD --a flush or a compaction lacks space, a step needs more than is free--> GIVEN UP
 *   GIVEN UP --most of it fits again, and some more--> HELD
 *   GIVEN UP: engine_is_low(); the owner admits only what deletes. A database that had to be opened
 *   again leaves compactions to the steps below, which know when to stop.
 *
 * A pass goes through the keys once, in steps that take whole files; the first step takes all of
 * level 0 along. A watcher ends a step that is about to fill the disk, for what a compaction that
 * runs into the end leaves behind is an error that only opening again gets rid of. A step that was
 * ended is tried again when something has changed: more was deleted, there is more space, or time
 * has gone by. As the
 * output is never more than what is still alive, deleting enough always helps. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "real/engine.h"
#include "real/engine_files.h"

enum {
    CLEAN_STEP_BYTES = 256 << 20,
    CLEAN_STOP_BYTES = 4 << 20,        /* a step ends with less than this free */
    CLEAN_RETRY_BYTES = 4 << 20,       /* so much more free is a reason to try again */
    CLEAN_RETRY_US = 10 * 1000 * 1000, /* and so is so much time */
    CLEAN_WATCH_NS = 5 * 1000 * 1000,
};

bool engine_is_low(const struct engine *engine)
{
    return atomic_load(&engine->reserve.given_up);
}

static uint64_t table_bytes(const struct engine *engine)
{
    return engine_property(engine, "rocksdb.live-sst-files-size");
}

/* What the reserve is to make room for: a compaction of all, or a run and its merging. */
static uint64_t reserve_bytes(const struct engine *engine)
{
    uint64_t tables = table_bytes(engine);
    uint64_t runs = 2 * (uint64_t)atomic_load(&engine->run_bytes);
    return tables > runs ? tables : runs;
}

void engine_give_up_reserve(struct engine *engine)
{
    if (engine_is_low(engine)) return;
    uint64_t free_bytes = engine_files_free_bytes(engine->path);
    uint64_t bytes = engine_reserve_give_up(&engine->reserve);
    if (!engine_is_low(engine)) return; /* none is kept */
    trace_event(engine->trace, TRACE_WARNING, "store", "reserve_given_up",
                "bytes=%" PRIu64 " free=%" PRIu64, bytes, free_bytes);
}

void engine_hold_reserve(struct engine *engine)
{
    bool was_low = engine_is_low(engine);
    uint64_t bytes = reserve_bytes(engine);
    if (atomic_load(&engine->starved)) return;
    if (!engine_reserve_hold(&engine->reserve, bytes) || !was_low) return;
    trace_event(engine->trace, TRACE_NOTICE, "store", "reserve_back",
                "bytes=%" PRIu64 " free=%" PRIu64, engine_reserve_held(&engine->reserve),
                engine_files_free_bytes(engine->path));
}

/* ---- One step ---- */

struct piece {
    struct bytes from;
    uint64_t bytes;
};

static int piece_order(const void *a, const void *b)
{
    return bytes_compare(((const struct piece *)a)->from, ((const struct piece *)b)->from);
}

/* Where the step that begins at clean->from ends (`to` empty: at the end of all keys), and what its
 * files come to. */
static uint64_t step_choose(const struct engine *engine, struct buffer *to)
{
    const struct buffer *from = &engine->clean.from;
    const rocksdb_livefiles_t *files = rocksdb_livefiles(engine->db);
    int count = rocksdb_livefiles_count(files);
    struct piece *pieces = memory_zeroed((size_t)count + 1, sizeof(*pieces));
    size_t used = 0;
    uint64_t bytes = 0, taken = 0;
    for (int i = 0; i < count; i++) {
        size_t size;
        const char *key = rocksdb_livefiles_smallestkey(files, i, &size);
        uint64_t file_bytes = rocksdb_livefiles_size(files, i);
        if (rocksdb_livefiles_level(files, i) == 0) bytes += file_bytes;
        else if (bytes_compare(bytes_of(key, size), buffer_bytes(from)) >= 0)
            pieces[used++] = (struct piece){bytes_of(key, size), file_bytes};
    }
    if (used > 1) qsort(pieces, used, sizeof(*pieces), piece_order);
    for (size_t i = 0; i < used; i++) {
        if (taken >= CLEAN_STEP_BYTES && bytes_compare(pieces[i].from, buffer_bytes(from)) > 0) {
            buffer_append(to, pieces[i].from);
            break;
        }
        taken += pieces[i].bytes;
    }
    memory_free(pieces);
    rocksdb_livefiles_destroy(files);
    return bytes + taken;
}

struct watcher {
    struct engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;    /* under lock */
    bool stopped; /* it has ended the step */
};

static void *watcher_main(void *argument)
{
    struct watcher *watcher = argument;
    struct engine *engine = watcher->engine;
    MUST(pthread_mutex_lock(&watcher->lock) == 0);
    while (!watcher->over && !watcher->stopped) {
        struct timespec until;
        MUST(clock_gettime(CLOCK_REALTIME, &until) == 0);
        until.tv_nsec += CLEAN_WATCH_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&watcher->changed, &watcher->lock, &until);
        watcher->stopped = atomic_load(&engine->hurry) ||
                           !engine_files_have_space(engine->path, CLEAN_STOP_BYTES);
    }
    bool stop = watcher->stopped && !watcher->over;
    MUST(pthread_mutex_unlock(&watcher->lock) == 0);
    /* Returns when the step has ended. */
    if (stop) rocksdb_disable_manual_compaction(engine->db);
    watcher->stopped = stop;
    return NULL;
}

static void compact(struct engine *engine, const struct buffer *to)
{
    const struct buffer *from = &engine->clean.from;
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_compact_range_opt(engine->db, options, from->size > 0 ? (const char *)from->data : NULL,
                              from->size, to->size > 0 ? (const char *)to->data : NULL, to->size);
    rocksdb_compactoptions_destroy(options);
}

/* False: it was ended early. */
static bool compact_watched(struct engine *engine, const struct buffer *to)
{
    struct watcher watcher = {.engine = engine};
    pthread_t thread;
    MUST(pthread_mutex_init(&watcher.lock, NULL) == 0);
    MUST(pthread_cond_init(&watcher.changed, NULL) == 0);
    bool watched = pthread_create(&thread, NULL, watcher_main, &watcher) == 0;
    if (watched) {
        compact(engine, to);
        MUST(pthread_mutex_lock(&watcher.lock) == 0);
        watcher.over = true;
        MUST(pthread_cond_signal(&watcher.changed) == 0);
        MUST(pthread_mutex_unlock(&watcher.lock) == 0);
        MUST(pthread_join(thread, NULL) == 0);
    }
    if (watcher.stopped) {
        char *error = NULL;
        rocksdb_enable_manual_compaction(engine->db);
        /* Looks for files that nobody names: what the step has written. */
        rocksdb_disable_file_deletions(engine->db, &error);
        if (error == NULL) rocksdb_enable_file_deletions(engine->db, 0, &error);
        if (error != NULL) rocksdb_free(error);
    }
    MUST(pthread_cond_destroy(&watcher.changed) == 0);
    MUST(pthread_mutex_destroy(&watcher.lock) == 0);
    return watched && !watcher.stopped;
}

static uint64_t now_us(void)
{
    struct timespec now;
    MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool step_is_wanted(const struct engine *engine)
{
    const struct engine_clean *clean = &engine->clean;
    bool due = atomic_load(&clean->due);
    if (!clean->stuck) return due || clean->under_way;
    uint64_t now = now_us();
    bool changed = due || now >= clean->not_before_us + CLEAN_RETRY_US ||
                   engine_files_have_space(engine->path,
                                           clean->stuck_free_bytes + CLEAN_RETRY_BYTES);
    return changed && now >= clean->not_before_us;
}

static void step(struct engine *engine)
{
    struct engine_clean *clean = &engine->clean;
    struct buffer to;
    buffer_init(&to);
    if (!clean->under_way) buffer_clear(&clean->from);
    clean->under_way = true;
    /* What a flush brings from now on may lie behind this pass; a view keeps what it sees. */
    if (clean->from.size == 0 || clean->stuck)
        atomic_store(&clean->due, engine_property(engine, "rocksdb.num-snapshots") > 0);
    uint64_t bytes = step_choose(engine, &to);
    if (!engine_files_have_space(engine->path, bytes + CLEAN_STOP_BYTES))
        engine_give_up_reserve(engine);
    uint64_t began_us = now_us(), before = table_bytes(engine);
    clean->stuck = !compact_watched(engine, &to);
    uint64_t took_us = now_us() - began_us;
    uint64_t free_bytes = engine_files_free_bytes(engine->path);
    trace_event(engine->trace, TRACE_VERBOSE, "store", clean->stuck ? "clean_stuck" : "cleaned",
                "from=%" PRIu64 " to=%" PRIu64 " free=%" PRIu64 " us=%" PRIu64, before,
                table_bytes(engine), free_bytes, took_us);
    if (clean->stuck) {
        clean->stuck_free_bytes = free_bytes;
        clean->not_before_us = now_us() + 2 * took_us; /* a third of the time at most */
    } else {
        buffer_clear(&clean->from);
        buffer_append(&clean->from, buffer_bytes(&to));
        clean->under_way = to.size > 0;
    }
    buffer_release(&to);
}

enum err engine_reclaim(struct engine *engine, struct why *why)
{
    enum err err = engine_health(engine, why);
    if (err != ERR_OK) return err;
    if (step_is_wanted(engine)) {
        step(engine);
        err = engine_health(engine, why);
    }
    if (err == ERR_OK && engine_is_low(engine)) engine_hold_reserve(engine);
    if (err == ERR_OK && !engine_is_low(engine)) err = engine_resume_compactions(engine, why);
    return err;
}
