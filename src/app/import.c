/* SPDX-License-Identifier: Apache-2.0 */
/* A new data directory out of a dump of Redis:
 *
 *   dump opened -> directory and identity made -> store filled, a piece of the dump at a time,
 * while the store writes -> end of the dump, its checksum -> store's end, with mark and digest ->
 * empty log that begins behind the mark -> pointer: from here on it counts
 *
 * Before the pointer nothing counts: what fails, or is asked to stop, takes away all that it has
 * made; what a crash leaves is a directory that never began, and the next import, or a start,
 * clears it. */
#include <inttypes.h>
#include <stdio.h>

#include "app/images.h"
#include "app/progress.h"
#include "app/server.h"
#include "base/memory.h"
#include "log/log.h"
#include "rdb/rdb.h"
#include "real/real.h"
#include "site/site.h"
#include "state/state.h"

enum {
    PIECE_BYTES = 1 << 20,
    WINDOW_BYTES = 64 << 20,
    CACHE_BYTES = 64 << 20,
    SEGMENT_BYTES = 16 << 20,
    STRING_BYTES_MAX = 1 << 30, /* a small collection is one string, too */
};

struct import {
    struct real_world *real;
    struct world world;
    struct real_signals signals;
    bool asked; /* to stop */
    struct timer timer;
    struct progress progress;
    enum err err; /* of the filling */
    struct why why;

    const char *path;
    struct disk_file *file;
    uint64_t size, offset; /* of the dump; of the next piece */
    uint8_t *piece;
    struct bytes left; /* of the piece: not taken yet */

    struct site site;
    bool was_absent; /* the directory */
    struct site_next next;
    struct mark mark;
    struct stamp stamp;
    struct store *store;
    struct record_sink *sink;
    struct record_wait wait;
    struct rdb_reader *reader;
};

/* --- Filling: steps on the loop --- */

static void again(struct import *import)
{
    clock_timer_start(import->world.clock, &import->timer, 0);
}

static void waited(struct record_wait *wait)
{
    again(CONTAINER_OF(wait, struct import, wait));
}

static enum err read_piece(struct import *import)
{
    struct disk_request read = {.op = DISK_READ,
                                .file = import->file,
                                .offset = import->offset,
                                .data = import->piece,
                                .size = PIECE_BYTES};
    enum err err = disk_run(import->world.disk, &read);
    if (err != ERR_OK) return why_fail(&import->why, err, "%s: %s", import->path, read.why.text);
    import->left = bytes_of(import->piece, (size_t)read.moved);
    import->offset += read.moved;
    return ERR_OK;
}

/* The dump has been read to the end of the file, or to its own. */
static enum err end_dump(struct import *import)
{
    enum err err = rdb_reader_end(import->reader, &import->why);
    if (err != ERR_OK) return err;
    uint64_t behind = import->size - rdb_reader_facts(import->reader).bytes;
    if (behind == 0) return ERR_OK;
    return why_fail(&import->why, ERR_REFUSED,
                    "%" PRIu64 " bytes follow the end of the dump: an append-only file that begins "
                    "with one? Let Redis load it and save a dump",
                    behind);
}

/* ERR_NOT_FOUND: all of the dump is taken. */
static enum err take_piece(struct import *import)
{
    if (rdb_reader_is_done(import->reader)) return ERR_NOT_FOUND;
    enum err err = import->left.size == 0 ? read_piece(import) : ERR_OK;
    if (err != ERR_OK) return err;
    if (import->left.size == 0) return ERR_NOT_FOUND;
    size_t taken;
    err = rdb_reader_feed(import->reader, import->left, &taken, &import->why);
    import->left = bytes_of(import->left.data + taken, import->left.size - taken);
    progress_show(&import->progress, import->offset - import->left.size, import->size);
    return err;
}

static enum err fill(struct import *import)
{
    if (import->asked) return why_fail(&import->why, ERR_REFUSED, "stopped, nothing was imported");
    enum err err = take_piece(import);
    if (err != ERR_NOT_FOUND) return err;
    err = end_dump(import);
    if (err != ERR_OK) return err;
    err = state_sink_finish(import->sink, NULL);
    if (err == ERR_OK) return ERR_NOT_FOUND;
    if (err != ERR_PENDING) (void)why_fail(&import->why, err, "%s", import->sink->why.text);
    return err;
}

static void step(struct timer *timer)
{
    struct import *import = CONTAINER_OF(timer, struct import, timer);
    import->err = fill(import);
    if (import->err == ERR_PENDING) {
        import->wait = (struct record_wait){.done = waited};
        if (!import->sink->ops->wait(import->sink, &import->wait)) again(import);
    } else if (import->err == ERR_OK) {
        again(import);
    } else {
        real_world_stop(import->real);
    }
}

static void asked_to_stop(struct real_signals *signals, int number)
{
    (void)number;
    CONTAINER_OF(signals, struct import, signals)->asked = true;
}

/* --- Before and after --- */

static enum err open_dump(struct import *import)
{
    struct disk_request open = {.op = DISK_OPEN, .path = import->path, .read_only = true};
    enum err err = disk_run(import->world.disk, &open);
    if (err != ERR_OK) {
        (void)why_fail(&import->why, err, "%s: %s", import->path, open.why.text);
        return err == ERR_NOT_FOUND ? ERR_CONFIG : err;
    }
    import->file = open.file;
    import->size = open.size;
    return ERR_OK;
}

static enum err open_site(struct import *import, const char *directory)
{
    struct disk *disk = import->world.disk;
    struct buffer names;
    buffer_init(&names);
    struct disk_request list = {.op = DISK_LIST, .path = directory, .names = &names};
    import->was_absent = disk_run(disk, &list) == ERR_NOT_FOUND;
    buffer_release(&names);
    enum err err = site_open(&import->site, disk, import->world.entropy, directory, &import->why);
    if (err != ERR_OK || !import->site.pointed) return err;
    site_release(&import->site);
    return why_fail(&import->why, ERR_REFUSED,
                    "%s holds data already: an import makes a new directory", directory);
}

/* What follows from the import itself: a new history, whose first place it is. */
static enum err open_store(struct import *import)
{
    struct history history;
    entropy_fill(import->world.entropy, &history, sizeof history);
    enum err err = site_prepare(&import->site, true, history, &import->next, &import->why);
    if (err != ERR_OK) return err;
    import->mark = (struct mark){
        .history = history, .epoch = {1, import->site.identity.copy}, .lsn = {1}, .lineage = {
            checksum64(bytes_of(&history, sizeof history), 0)
        }};
    import->stamp = stamp_of_ms(clock_wall_ms(import->world.clock));
    return import->world.stores->ops->open(import->world.stores, import->next.store, true,
                                           CACHE_BYTES, &import->store, &import->why);
}

static enum err fill_store(struct import *import)
{
    const struct epoch_start epoch = {.epoch = import->mark.epoch, .first = import->mark.lsn};
    struct state_sink_options options = {.mark = import->mark,
                                         .stamp = import->stamp,
                                         .epochs = &epoch,
                                         .epoch_count = 1,
                                         .window_bytes = WINDOW_BYTES,
                                         .patience = STORE_WAIT};
    enum err err = state_sink_open(&import->sink, import->store, &options, &import->why);
    if (err != ERR_OK) return err;
    struct rdb_reader_options reader = {.sink = import->sink, .string_bytes_max = STRING_BYTES_MAX};
    import->reader = rdb_reader_open(&reader);
    import->piece = memory_alloc(PIECE_BYTES);
    import->timer.fired = step;
    progress_begin(&import->progress, import->world.clock, "importing", PROGRESS_BYTES);
    again(import);
    real_world_run(import->real);
    progress_end(&import->progress);
    return import->err == ERR_NOT_FOUND ? ERR_OK : import->err;
}

static enum err make_log(struct import *import)
{
    struct log_site site = {.directory = import->next.log,
                            .disk = import->world.disk,
                            .entropy = import->world.entropy};
    struct log_options options = {.segment_bytes = SEGMENT_BYTES,
                                  .durability = LOG_ALWAYS,
                                  .cluster = site_cluster(&import->site),
                                  .copy = import->site.identity.copy};
    struct log_beginning beginning = {.after = import->mark, .stamp = import->stamp};
    return log_create_after(&site, &options, &beginning, &import->why);
}

/* The store's thread reads from the sink as long as the store is open. */
static void close_store(struct import *import)
{
    if (import->store != NULL) import->store->ops->close(import->store);
    import->store = NULL;
    state_sink_close(import->sink);
    import->sink = NULL;
    rdb_reader_close(import->reader);
    import->reader = NULL;
}

static void print_result(const struct import *import, const struct digest *digest)
{
    struct rdb_facts facts = rdb_reader_facts(import->reader);
    char mark[MARK_TEXT_BYTES], text[DIGEST_TEXT_BYTES];
    mark_format(&import->mark, mark);
    digest_format(*digest, text);
    printf("mark=%s digest=%s keys=%" PRIu64 " empty_keys=%" PRIu64 " version=%u checksum=%s\n",
           mark, text, facts.keys, facts.empty_keys, facts.version,
           facts.checked ? "good" : "none");
}

static enum err import_into(struct import *import, const char *directory)
{
    enum err err = open_site(import, directory);
    if (err != ERR_OK) return err;
    err = open_store(import);
    if (err == ERR_OK) err = fill_store(import);
    if (err == ERR_OK) err = make_log(import);
    if (err == ERR_OK) {
        struct digest digest = state_sink_digest(import->sink);
        err = site_switch(&import->site, &import->next, &import->why);
        if (err == ERR_OK) print_result(import, &digest);
    }
    close_store(import);
    if (err == ERR_OK) {
        site_sweep(&import->site);
        site_release(&import->site);
        return err;
    }
    site_abandon(&import->site, &import->next);
    site_unmake(&import->site, import->was_absent);
    return err;
}

enum exit_status tool_image_import(const char *dump_path, const char *directory)
{
    struct import import = {.path = dump_path, .signals.asked = asked_to_stop};
    struct real_options options = {.log_sync = REAL_LOG_SYNC_FDATASYNC, .signals = &import.signals};
    enum err err = real_world_open(&import.real, &options, &import.world, &import.why);
    if (err == ERR_OK) err = open_dump(&import);
    if (err == ERR_OK) err = import_into(&import, directory);
    if (import.file != NULL) {
        struct disk_request close = {.op = DISK_CLOSE, .file = import.file};
        (void)disk_run(import.world.disk, &close);
    }
    memory_free(import.piece);
    real_world_close(import.real);
    if (err == ERR_OK) return EXIT_STATUS_CLEAN;
    fprintf(stderr, "tidemark: %s\n", import.why.text);
    return exit_status_of(err);
}
