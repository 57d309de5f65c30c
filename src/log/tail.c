/* SPDX-License-Identifier: Apache-2.0 */
/* The first segment after an unclean end.
 *
 * What was read back beyond the recorded watermark may exist in the page cache only; behind it
 * there may be a torn batch, and good ones behind that. So every unclean start begins a new
 * segment, right behind the watermark: it repeats the entries that were found beyond it, is synced,
 * and is named only then. From that moment it hides whatever the older one holds from its first LSN
 * on, for ever.
 *
 *   take a file -> copy batches -> header, sync -> rename, sync the directory -> both slots name it
 *
 * A crash before the rename leaves the old segment as it was; after it, everything copied counts.
 * Where the new segment begins at the same LSN as the old one it takes its name, and with it its
 * place. */
#include "log/parts.h"

#include "base/memory.h"
#include "base/plant.h"

/* Copying in progress; all of it is released by log_tail_begin. */
struct tail {
    struct log *log;
    const struct log_directory *directory;
    const struct log_recovery *recovery;
    struct log_home home;
    const struct log_segment *old; /* the last one that was found */
    struct log_segment segment;    /* the new one */
    struct log_spare spare;        /* the file that becomes it */
    char name[LOG_NAME_BYTES];     /* of that file */
    uint64_t offset;               /* where the next batch goes */
    uint64_t old_end;              /* bytes of the old one that still count */
    struct log_scan scan;
    struct log_chain chain;
    uint8_t *buffer;
    uint64_t capacity;
};

/* A spare of the usual size that the last process left. */
static bool take_spare(struct tail *tail)
{
    for (size_t i = 0; i < tail->directory->spare_count; i++) {
        uint8_t number = tail->directory->spares[i];
        log_name_format((struct log_name){LOG_NAME_SPARE, tail->log->options.shard, number},
                        tail->name);
        struct disk_request opened;
        enum log_file_mode mode = tail->log->options.direct ? LOG_FILE_DIRECT : LOG_FILE_WRITE;
        if (log_file_open(tail->home, tail->name, mode, &opened, NULL) != ERR_OK) continue;
        if (opened.size == tail->log->options.segment_bytes) {
            tail->spare = (struct log_spare){opened.file, opened.size, number};
            return true;
        }
        log_file_close(tail->home, opened.file);
    }
    return false;
}

static enum err make_file(struct tail *tail, uint64_t size, struct why *why)
{
    log_name_format((struct log_name){LOG_NAME_TEMPORARY, tail->log->options.shard, 0}, tail->name);
    enum err err = log_file_remove(tail->home, tail->name, why);
    if (err != ERR_OK) return err;
    enum log_file_mode mode = tail->log->options.direct ? LOG_FILE_DIRECT : LOG_FILE_WRITE;
    err = log_file_create(tail->home, tail->name, mode, &tail->spare.file, why);
    if (err != ERR_OK) return err;
    tail->spare.size = size;
    struct disk_request fill = {.op = DISK_FILL, .file = tail->spare.file, .size = size};
    err = log_run(tail->home.disk, &fill, why);
    if (err == ERR_OK) return ERR_OK;
    log_file_close(tail->home, tail->spare.file);
    tail->spare.file = NULL;
    enum err removed = log_file_remove(tail->home, tail->name, NULL);
    return err == ERR_SPACE && removed != ERR_OK ? removed : err;
}

/* A full disk must not keep a log from being opened: a small segment will do until space returns.
 */
static enum err take_file(struct tail *tail, struct why *why)
{
    if (take_spare(tail)) return ERR_OK;
    enum err err = make_file(tail, tail->log->options.segment_bytes, why);
    if (err == ERR_SPACE) err = make_file(tail, LOG_SEGMENT_BYTES_LEAST, why);
    return err;
}

static enum err write_at(struct tail *tail, uint64_t offset, uint8_t *data, uint64_t size,
                         struct why *why)
{
    struct disk_request request = {
        .op = DISK_WRITE, .file = tail->spare.file, .offset = offset, .data = data, .size = size};
    return log_run(tail->home.disk, &request, why);
}

/* Writes `count` entries, which are the bytes `entries` of the batch `view`, as a batch of the new
 * segment. */
static enum err write_batch(struct tail *tail, const struct log_batch_view *view,
                            struct bytes entries, const struct log_chain *before, struct why *why)
{
    uint64_t size = log_padded(LOG_BATCH_HEADER_BYTES + entries.size);
    if (size > tail->capacity) {
        memory_free(tail->buffer);
        tail->capacity = size > 2 * tail->capacity ? size : 2 * tail->capacity;
        tail->buffer = memory_aligned(LOG_SEGMENT_HEADER_BYTES, tail->capacity);
    }
    struct log_batch_header header = view->header;
    header.flags = epoch_compare(header.epoch, before->epoch) != 0 ? LOG_BATCH_EPOCH : 0;
    header.first = before->next;
    header.count = (uint32_t)(tail->chain.next.at - before->next.at);
    header.length = entries.size;
    header.stamp = tail->chain.stamp;
    header.durable = tail->recovery->durable;
    header.committed = lsn_min(header.committed, (struct lsn){before->next.at - 1});
    header.lineage = before->lineage;
    memcpy(tail->buffer + LOG_BATCH_HEADER_BYTES, entries.data, entries.size);
    log_batch_seal(tail->buffer, &header, tail->segment.header.salt, tail->offset);
    enum err err = write_at(tail, tail->offset, tail->buffer, size, why);
    tail->offset += size;
    return err;
}

/* Moves the chain behind the batch and copies those of its entries that are beyond the watermark.
 */
static enum err copy_batch(struct tail *tail, const struct log_batch_view *view, struct why *why)
{
    struct bytes rest = view->body;
    struct bytes wanted = {NULL, 0};
    struct log_chain before = tail->chain;
    for (uint32_t i = 0; i < view->header.count; i++) {
        if (tail->chain.next.at == tail->recovery->end.next.at) break; /* cut here */
        if (tail->chain.next.at > tail->recovery->durable.at && wanted.data == NULL) {
            wanted = rest;
            before = tail->chain;
        }
        struct entry entry;
        MUST(log_entry_decode(&rest, &entry)); /* recovery has read it a moment ago */
        const char *wrong = log_chain_entry(&tail->chain, view->header.epoch, &entry);
        if (wrong != NULL && !PLANTED(TAIL_KEEPS_LATER_BATCHES))
            return log_chain_broken(&tail->scan, view, wrong, why);
    }
    if (view->header.count > 0 && view->header.first.at <= tail->recovery->durable.at)
        tail->old_end = tail->scan.offset;
    if (tail->chain.next.at == tail->recovery->durable.at + 1)
        tail->segment.header.start = tail->chain;
    if (wanted.data == NULL) return ERR_OK;
    if (before.next.at == tail->recovery->durable.at + 1) tail->segment.header.start = before;
    wanted.size -= rest.size;
    return write_batch(tail, view, wanted, &before, why);
}

/* Recovery has read it all a moment ago: only what lies around the watermark is read again. */
static enum err copy_batches(struct tail *tail, struct why *why)
{
    enum err err = log_scan_open(&tail->scan, tail->home, tail->old, why);
    tail->scan.offset = tail->recovery->resume.offset;
    tail->chain = tail->recovery->resume.chain;
    while (err == ERR_OK && tail->scan.offset < tail->recovery->end_offset) {
        struct log_batch_view view;
        err = log_scan_next(&tail->scan, &view, why);
        if (err == ERR_NOT_FOUND)
            err = why_fail(why, ERR_IO, "%s: offset %llu: reads differ", tail->scan.name,
                           (unsigned long long)tail->scan.offset);
        if (err == ERR_OK) err = copy_batch(tail, &view, why);
    }
    log_scan_close(&tail->scan);
    return err;
}

/* Salt and sequence are needed before the first batch, the place of the first entry only at the
 * end. */
static enum err fill_file(struct tail *tail, struct why *why)
{
    struct log_segment_header *header = &tail->segment.header;
    log_segment_prepare(tail->log, &tail->old->header.start, header);
    if (PLANTED(SALT_USED_TWICE)) header->salt = tail->old->header.salt;
    tail->offset = LOG_SEGMENT_HEADER_BYTES;
    tail->old_end = LOG_SEGMENT_HEADER_BYTES; /* unless it holds something that counts */
    enum err err = copy_batches(tail, why);
    if (err != ERR_OK) return err;
    bool replaces = header->start.next.at == tail->old->header.start.next.at;
    header->previous_salt = replaces ? tail->old->header.previous_salt : tail->old->header.salt;
    log_segment_encode(header, tail->log->page);
    err = write_at(tail, 0, tail->log->page, LOG_SEGMENT_HEADER_BYTES, why);
    if (err != ERR_OK) return err;
    struct disk_request sync = {.op = DISK_SYNC, .file = tail->spare.file};
    return log_run(tail->home.disk, &sync, why);
}

static enum err name_file(struct tail *tail, struct why *why)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(tail->log->options.shard, tail->segment.header.start.next, name);
    enum err err = log_file_rename(tail->home, tail->name, name, why);
    return err == ERR_OK ? log_home_sync(tail->home, why) : err;
}

/* Who cannot tell takes it for short. */
static bool space_is_short(const struct tail *tail)
{
    struct disk_request space = {.op = DISK_FREE_SPACE, .path = tail->home.directory};
    enum err err = disk_run(tail->home.disk, &space);
    return err != ERR_OK || space.size < tail->log->options.reserve_bytes;
}

/* What the new segment hides is given back to the disk: a row of crashes must not fill it. That
 * takes tens of milliseconds, which no start waits for: trim.c does it when the log runs. But where
 * the process before has written no more since its own start than the entry of an epoch, it may
 * have come no further than that; after a row of those this one waits. So it does when space is
 * short: the rest of the start may need it.
 *
 * Only when the superblock names the new segment: until then nobody would miss it. Best effort: a
 * file that stays long is only long. */
static void cut_old(struct tail *tail)
{
    struct log_segment *old = &tail->log->segments[tail->log->segment_count - 2];
    if (old->size <= tail->old_end) return;
    old->size = tail->old_end;
    bool ran = lsn_before(lsn_next(tail->directory->superblock.durable), tail->log->written);
    if (ran && !space_is_short(tail)) {
        tail->log->hidden = *old;
        return;
    }
    char name[LOG_NAME_BYTES];
    log_segment_name(tail->log->options.shard, old->header.start.next, name);
    struct disk_request opened;
    if (log_file_open(tail->home, name, LOG_FILE_WRITE, &opened, NULL) != ERR_OK) return;
    struct disk_request cut = {.op = DISK_TRUNCATE, .file = opened.file, .offset = old->size};
    (void)disk_run(tail->home.disk, &cut);
    log_file_close(tail->home, opened.file);
}

enum err log_tail_begin(struct log *log, const struct log_directory *directory,
                        const struct log_recovery *recovery, struct why *why)
{
    struct tail tail = {.log = log,
                        .directory = directory,
                        .recovery = recovery,
                        .home = directory->home,
                        .old = &directory->segments[directory->count - 1]};
    enum err err = take_file(&tail, why);
    if (err == ERR_OK) err = fill_file(&tail, why);
    if (err == ERR_OK) err = name_file(&tail, why);
    memory_free(tail.buffer);
    if (err != ERR_OK) {
        log_file_close(tail.home, tail.spare.file);
        why_prefix(why, "begin a segment after an unclean end");
        return err;
    }
    tail.segment.size = tail.spare.size > tail.offset ? tail.spare.size : tail.offset;
    bool replaces = tail.segment.header.start.next.at == tail.old->header.start.next.at;
    if (replaces) log->segment_count--; /* its name is the new one's now */
    log_segment_push(log, &tail.segment);
    log->file = tail.spare.file;
    log->offset = tail.offset;
    log->durable = log->written;
    err = log_slots_write_now(log, LOG_OPEN, why);
    if (err == ERR_OK && !replaces) cut_old(&tail);
    return err;
}
