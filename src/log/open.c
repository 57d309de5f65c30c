/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a log: read and judge everything first, and only then change anything.
 *
 *   clean end      goes on in the last segment, behind its last batch
 *   unclean end    begins a new segment (tail.c)
 *
 * and in both cases both superblock slots say "open", with a grown incarnation after an unclean
 * end, before the first entry is appended. A crash at any point in here leaves a log that opens the
 * same way again. */
#include <inttypes.h>

#include "log/parts.h"

#include "base/memory.h"
#include "base/plant.h"

static enum err belongs(const struct log_directory *directory, const struct log_options *options,
                        struct why *why)
{
    const struct log_superblock *superblock = &directory->superblock;
    if (superblock->shard != options->shard)
        return why_fail(why, ERR_CORRUPT, "a log of shard %08" PRIx32 ", not %08" PRIx32,
                        superblock->shard, options->shard);
    if (superblock->cluster != options->cluster)
        return why_fail(why, ERR_CORRUPT, "a log of another cluster");
    return ERR_OK;
}

static enum err open_slots(struct log *log, const struct log_directory *directory, struct why *why)
{
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        char name[LOG_NAME_BYTES];
        log_name_format((struct log_name){LOG_NAME_SUPERBLOCK, log->options.shard, i}, name);
        enum err err;
        if (directory->slots.there[i]) {
            struct disk_request opened;
            err = log_file_open(directory->home, name, LOG_FILE_WRITE, &opened, why);
            if (err == ERR_OK) log->slot_file[i] = opened.file;
        } else {
            err = log_file_create(directory->home, name, LOG_FILE_WRITE, &log->slot_file[i], why);
            if (err == ERR_OK) err = log_home_sync(directory->home, why);
        }
        if (err != ERR_OK) return err;
    }
    log->slot_next = directory->write_first;
    return ERR_OK;
}

/* Goes on where the last process has ended. */
static enum err open_last(struct log *log, const struct log_recovery *recovery, struct why *why)
{
    struct log_home home = {log->disk, log->directory.text};
    const struct log_segment *last = &log->segments[log->segment_count - 1];
    char name[LOG_NAME_BYTES];
    log_segment_name(log->options.shard, last->header.start.next, name);
    struct disk_request opened;
    enum log_file_mode mode = log->options.direct ? LOG_FILE_DIRECT : LOG_FILE_WRITE;
    enum err err = log_file_open(home, name, mode, &opened, why);
    if (err != ERR_OK) return err;
    log->file = opened.file;
    log->offset = recovery->end_offset;
    log->durable = log->written;
    return log_slots_write_now(log, LOG_OPEN, why);
}

/* Also before a new segment takes a name that one of them may bear. The floor may stand in one slot
 * only: it must be in both before what lies below it goes. */
static enum err remove_names(struct log *log, const struct log_directory *directory,
                             const struct buffer *names, struct why *why)
{
    if (names->size == 0) return ERR_OK;
    enum err err = log_slots_write_now(log, LOG_OPEN, why);
    for (size_t at = 0; at < names->size && err == ERR_OK;) {
        const char *name = (const char *)names->data + at;
        at += strlen(name) + 1;
        err = log_file_remove(directory->home, name, why);
    }
    return err == ERR_OK ? log_home_sync(directory->home, why) : err;
}

/* Spares of the usual size are kept, up to a few; anything else under such a name goes. */
static enum err adopt_spares(struct log *log, const struct log_directory *directory,
                             struct why *why)
{
    for (size_t i = 0; i < directory->spare_count; i++) {
        uint8_t number = directory->spares[i];
        char name[LOG_NAME_BYTES];
        log_name_format((struct log_name){LOG_NAME_SPARE, log->options.shard, number}, name);
        struct disk_request opened;
        enum log_file_mode mode = log->options.direct ? LOG_FILE_DIRECT : LOG_FILE_WRITE;
        enum err err = log_file_open(directory->home, name, mode, &opened, why);
        if (err == ERR_NOT_FOUND) continue; /* it is the current segment now */
        if (err != ERR_OK) return err;
        if (opened.size == log->options.segment_bytes && log->spare_count < LOG_SPARES_KEPT) {
            log->spares[log->spare_count++] = (struct log_spare){opened.file, opened.size, number};
            log->spare_numbers |= (uint8_t)(1u << number);
            continue;
        }
        log_file_close(directory->home, opened.file);
        err = log_file_remove(directory->home, name, why);
        if (err != ERR_OK) return err;
    }
    return ERR_OK;
}

static void take_places(struct log *log, const struct log_directory *directory,
                        const struct log_recovery *recovery)
{
    log->superblock = directory->superblock;
    log->promised = log->superblock.promised; /* in both before the start ends */
    log->chain = recovery->end;
    log->epoch = epoch_compare(log->superblock.promised, log->chain.epoch) > 0
                     ? log->superblock.promised
                     : log->chain.epoch;
    struct lsn last = {recovery->end.next.at - 1};
    log->written = log->counted = log->forgotten = last;
    log->durable = recovery->durable; /* until the rest has been written again */
    log->committed = recovery->committed;
    log->floor = log->floor_durable = log->superblock.floor;
    for (size_t i = 0; i < directory->count; i++) log_segment_push(log, &directory->segments[i]);
    if (recovery->cut) log->sequence = recovery->sequence; /* the next one hides all of these */
}

static enum err begin(struct log *log, const struct log_directory *directory,
                      const struct log_recovery *recovery, struct why *why)
{
    take_places(log, directory, recovery);
    if (!recovery->clean || log->superblock.incarnation == 0) log->superblock.incarnation++;
    bool goes_on = recovery->clean || PLANTED(KEEP_UNSYNCED_TAIL);
    /* A process that died may have left names that only the page cache knows. */
    enum err err = log_home_sync(directory->home, why);
    if (err == ERR_OK) err = open_slots(log, directory, why);
    if (err == ERR_OK) err = remove_names(log, directory, &directory->dropped, why);
    if (err == ERR_OK && recovery->cut) err = log_slots_write_now(log, LOG_OPEN, why);
    if (err == ERR_OK)
        err = goes_on ? open_last(log, recovery, why)
                      : log_tail_begin(log, directory, recovery, why);
    if (err == ERR_OK) err = remove_names(log, directory, &directory->cut, why);
    if (err == ERR_OK) err = adopt_spares(log, directory, why);
    if (err != ERR_OK) return err;
    uint64_t size = log->segments[log->segment_count - 1].size;
    log->plan_room = size > log->offset ? (size - log->offset) & ~(uint64_t)(LOG_SECTOR_BYTES - 1)
                                        : 0;
    struct disk_request space = {.op = DISK_FREE_SPACE, .path = log->directory.text};
    err = log_run(log->disk, &space, why);
    log->free_bytes = space.size;
    log->low = log->free_bytes < log->options.reserve_bytes;
    return err;
}

static struct log *log_new(const struct log_site *site, const struct log_options *options)
{
    struct log *log = memory_zeroed(1, sizeof(*log));
    log->disk = site->disk;
    log->clock = site->clock;
    log->entropy = site->entropy;
    log->trace = site->trace;
    log->listener = site->listener;
    log->options = *options;
    memcpy(log->directory.text, site->directory, strlen(site->directory) + 1);
    log_memory_init(&log->memory);
    list_init(&log->pins);
    log_promise_init(log);
    log->page = memory_aligned(LOG_SEGMENT_HEADER_BYTES, LOG_SEGMENT_HEADER_BYTES);
    log->slot_page = memory_aligned(LOG_SEGMENT_HEADER_BYTES, LOG_SUPERBLOCK_BYTES);
    log_timers_init(log);
    return log;
}

static void report(const struct log *log, const struct log_slots *slots,
                   const struct log_found *found)
{
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        if (slots->good[i]) continue;
        trace_event(log->trace, TRACE_WARNING, "log", "superblock_healed",
                    "shard=%" PRIu32 " slot=%s why=\"%s\"", log->options.shard, i == 0 ? "a" : "b",
                    slots->what[i]);
    }
    trace_event(log->trace, TRACE_NOTICE, "log", "opened",
                "shard=%" PRIu32 " clean=%d first=%" PRIu64 " last=%" PRIu64 " durable=%" PRIu64
                " committed=%" PRIu64 " copied=%" PRIu64 " torn_bytes=%" PRIu64
                " segments=%zu incarnation=%" PRIu64,
                log->options.shard, found->clean, found->first.at, found->last.lsn.at,
                found->durable.at, found->committed.at, found->copied_entries, found->torn_bytes,
                log->segment_count, found->incarnation);
}

enum err log_open(struct log **out, const struct log_site *site, const struct log_options *options,
                  struct log_found *found, struct why *why)
{
    *out = NULL;
    struct log_home home = {site->disk, site->directory};
    struct log_directory read;
    struct log_recovery recovery;
    enum err err = log_options_check(options, why);
    if (err == ERR_OK) err = log_directory_read(&read, home, why);
    if (err != ERR_OK) return err;
    err = belongs(&read, options, why);
    if (err == ERR_OK) err = log_recover(&read, LOG_DEPTH_TAIL, &recovery, why);
    if (err == ERR_OK && options->cuts) {
        err = log_recovery_cut(&read, options->last, &recovery, why);
    }
    if (err != ERR_OK) {
        log_directory_release(&read);
        return err;
    }
    struct log *log = log_new(site, options);
    err = begin(log, &read, &recovery, why);
    if (err == ERR_OK) {
        log_recovery_report(&read, &recovery, found);
        found->incarnation = log->superblock.incarnation;
        report(log, &read.slots, found);
        log_check(log);
        log_space_watch(log);
        *out = log;
    } else {
        log_free(log);
    }
    log_directory_release(&read);
    return err;
}

enum err log_verify(struct disk *disk, const char *directory, struct log_found *found,
                    struct why *why)
{
    struct log_directory read;
    struct log_recovery recovery;
    enum err err = log_directory_read(&read, (struct log_home){disk, directory}, why);
    if (err != ERR_OK) return err;
    err = log_recover(&read, LOG_DEPTH_ALL, &recovery, why);
    if (err == ERR_OK) log_recovery_report(&read, &recovery, found);
    log_directory_release(&read);
    return err;
}
