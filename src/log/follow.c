/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of an open log in order, while the log goes on.
 *
 * An entry that is still in memory is given from there. Others are read from their segment, a
 * window of whole sectors at a time:
 *
 *   IDLE --a segment to open--> OPEN --> IDLE        IDLE --bytes are missing--> READ --> IDLE
 *   IDLE --the segment has ended, or memory is ahead of it--> CLOSE --> IDLE
 *   IDLE --a window is in use--> AHEAD --> IDLE
 *
 * In OPEN, READ and CLOSE one request is at the disk, and next() says ERR_PENDING. In AHEAD the
 * disk reads the window behind the one that is in use, which goes on until its bytes are used up;
 * then what is left of it, the beginning of a batch, is put in front of the other one, and they
 * take turns. A window is what the segment held when it was read: a batch that is not good in it
 * is damage only if it had been written before. The follower's own pin keeps the segment of the
 * next entry, and all behind it. */
#include <inttypes.h>

#include "base/memory.h"
#include "log/parts.h"
#include "log/scan.h"

/* A window is this part of a segment, so that a few follow one another in each, up to what holds a
 * whole batch of many clients. */
enum { FOLLOW_WINDOW_SHARE = 8, FOLLOW_WINDOW_BYTES_MAX = 2 << 20 };

enum follow_step { FOLLOW_IDLE, FOLLOW_OPEN, FOLLOW_READ, FOLLOW_AHEAD, FOLLOW_CLOSE };

/* Bytes of the segment from `at`. */
struct follow_window {
    uint8_t *memory;
    uint64_t capacity;
    uint8_t *data; /* inside memory; what is before it has room for the rest of the other */
    uint64_t at;
    uint64_t asked, size; /* size is less: the file was shorter; asked 0: there is none */
    struct lsn written;   /* of the log, when it was asked for */
};

struct log_follow {
    struct log *log;
    struct disk *disk; /* the log's, which may be gone when the disk answers */
    struct log_follow_listener *listener;
    struct log_pin pin; /* pin.from: the next entry to give */
    bool gone;          /* the owner has let go: freed when the disk has answered */

    enum follow_step step;
    struct disk_request request;
    struct log_path path;
    enum err err; /* of a request: every call says so */
    struct why why;

    /* The segment that is open; file NULL: none. */
    struct disk_file *file;
    struct log_segment segment;
    uint64_t offset;        /* of the batch that holds what `chain` is in front of */
    struct log_chain chain; /* behind the last entry of it that was checked */
    struct log_batch_header header;
    struct bytes rest; /* of the body of a batch in the window: what was not given yet */

    struct follow_window window, ahead;
    uint64_t window_bytes; /* of each, unless a batch is larger; whole sectors */
};

static void follow_free(struct log_follow *follow)
{
    memory_free(follow->window.memory);
    memory_free(follow->ahead.memory);
    memory_free(follow);
}

static void follow_done(struct disk_request *request);

static enum err submit(struct log_follow *follow, enum follow_step step,
                       const struct disk_request *request)
{
    follow->step = step;
    follow->request = *request;
    follow->request.done = follow_done;
    log_submit(follow->log, &follow->request);
    return ERR_PENDING;
}

static enum err close_segment(struct log_follow *follow)
{
    if (follow->step != FOLLOW_IDLE) return ERR_PENDING; /* what is read ahead was too much */
    follow->rest = (struct bytes){NULL, 0};
    follow->window.asked = follow->window.size = follow->ahead.asked = 0;
    struct disk_request request = {.op = DISK_CLOSE, .file = follow->file};
    follow->file = NULL;
    return submit(follow, FOLLOW_CLOSE, &request);
}

static void follow_done(struct disk_request *request)
{
    struct log_follow *follow = CONTAINER_OF(request, struct log_follow, request);
    enum follow_step step = follow->step;
    follow->step = FOLLOW_IDLE;
    if (log_returned(follow->log, request)) { /* which has closed what was opened */
        log_file_close((struct log_home){follow->disk, ""}, follow->file);
        follow_free(follow);
        return;
    }
    if (step == FOLLOW_OPEN && request->err == ERR_OK) follow->file = request->file;
    if (follow->gone) {
        if (follow->file != NULL) (void)close_segment(follow);
        else follow_free(follow);
        return;
    }
    if (step == FOLLOW_READ) follow->window.size = request->err == ERR_OK ? request->moved : 0;
    if (step == FOLLOW_AHEAD) follow->ahead.size = request->err == ERR_OK ? request->moved : 0;
    if (step == FOLLOW_AHEAD && request->err != ERR_OK) follow->ahead.asked = 0; /* see READ */
    bool needed = step == FOLLOW_OPEN || step == FOLLOW_READ;
    if (needed && request->err != ERR_OK)
        follow->err = why_fail(&follow->why, request->err, "LSN %" PRIu64 ": %s",
                               follow->pin.from.at, request->why.text);
    follow->listener->ready(follow->listener);
}

static enum err damaged(struct log_follow *follow, const char *what)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(follow->segment.header.shard, follow->segment.header.start.next, name);
    follow->err = why_fail(&follow->why, ERR_CORRUPT, "%s: offset %" PRIu64 ": LSN %" PRIu64 ": %s",
                           name, follow->offset, follow->chain.next.at, what);
    return follow->err;
}

/* The segment that holds the LSN, and where it ends; the pin keeps it. */
static const struct log_segment *segment_of(const struct log *log, struct lsn lsn, struct lsn *end)
{
    size_t i = log->segment_count - 1;
    *end = (struct lsn){LOG_LSN_MAX};
    while (i > 0 && lsn_before(lsn, log->segments[i].header.start.next)) {
        *end = log->segments[i].header.start.next;
        i--;
    }
    MUST(!lsn_before(lsn, log->segments[i].header.start.next));
    return &log->segments[i];
}

static enum err open_segment(struct log_follow *follow, const struct log_segment *segment)
{
    const struct log *log = follow->log;
    follow->segment = *segment;
    follow->chain = segment->header.start;
    follow->offset = LOG_SEGMENT_HEADER_BYTES;
    char name[LOG_NAME_BYTES];
    log_segment_name(segment->header.shard, segment->header.start.next, name);
    log_path_make(&follow->path, log->directory.text, name);
    struct disk_request request = {.op = DISK_OPEN,
                                   .path = follow->path.text,
                                   .direct = log->options.direct,
                                   .read_only = true};
    return submit(follow, FOLLOW_OPEN, &request);
}

/* READ: in place of the window. AHEAD: beside it, behind room for what will be left of it. */
static enum err read_window(struct log_follow *follow, enum follow_step step, uint64_t at,
                            uint64_t size)
{
    bool ahead = step == FOLLOW_AHEAD;
    struct follow_window *window = ahead ? &follow->ahead : &follow->window;
    uint64_t before = ahead ? follow->window_bytes : 0;
    if (before + size > window->capacity) {
        memory_free(window->memory);
        window->capacity = before + size;
        window->memory = memory_aligned(LOG_SEGMENT_HEADER_BYTES, window->capacity);
    }
    window->data = window->memory + before;
    window->at = at;
    window->asked = size;
    window->size = 0;
    window->written = follow->log->written;
    struct disk_request request = {
        .op = DISK_READ, .file = follow->file, .offset = at, .data = window->data, .size = size};
    return submit(follow, step, &request);
}

/* While the log goes on behind this window, the next one is read beside its use. */
static void read_ahead(struct log_follow *follow)
{
    const struct log *log = follow->log;
    const struct follow_window *window = &follow->window;
    uint64_t at = window->at + window->size;
    if (follow->step != FOLLOW_IDLE || follow->ahead.asked > 0) return;
    bool newest = follow->segment.header.sequence == log->sequence;
    uint64_t end = newest ? log->offset : follow->segment.size;
    uint64_t left = end > at ? end - at : 0;
    if (left < (newest ? follow->window_bytes : LOG_SECTOR_BYTES)) return;
    (void)read_window(follow, FOLLOW_AHEAD, at,
                      left < follow->window_bytes ? left : follow->window_bytes);
}

static bool is_stale(const struct log_follow *follow)
{
    return lsn_before(follow->window.written, follow->chain.next);
}

/* Goes over to the window that was read ahead, with what is left of this one: no more than a
 * window, since a batch was taken from this one before the other was asked for. */
static void turn_to_ahead(struct log_follow *follow)
{
    struct follow_window *window = &follow->window, *ahead = &follow->ahead;
    if (ahead->asked > 0 && !is_stale(follow)) {
        struct follow_window other = *window;
        uint64_t left = window->at + window->size - follow->offset;
        MUST(left <= follow->window_bytes && ahead->at - left == follow->offset);
        ahead->data -= left;
        ahead->at -= left;
        ahead->asked += left;
        ahead->size += left;
        if (left > 0) memcpy(ahead->data, window->data + (follow->offset - window->at), left);
        *window = *ahead;
        *ahead = other;
    }
    ahead->asked = 0;
}

/* Points *at to `need` bytes of the window at the batch; else reads them. ERR_NOT_FOUND: the
 * segment has no room for them. */
static enum err window_need(struct log_follow *follow, uint64_t need, const uint8_t **at)
{
    struct follow_window *window = &follow->window;
    uint64_t most = follow->segment.size - follow->offset;
    uint64_t end = follow->offset + need;
    if (need > most) return ERR_NOT_FOUND;
    if (end > window->at + window->size || is_stale(follow)) {
        if (follow->step != FOLLOW_IDLE) return ERR_PENDING; /* it may be among what is read */
        turn_to_ahead(follow);
    }
    bool inside = follow->offset >= window->at && end <= window->at + window->size;
    bool asked = follow->offset >= window->at && end <= window->at + window->asked;
    if (!is_stale(follow) && asked && !inside)
        return ERR_NOT_FOUND; /* the file is shorter than it was */
    if (is_stale(follow) || !inside) {
        uint64_t size = need > follow->window_bytes ? need : follow->window_bytes;
        return read_window(follow, FOLLOW_READ, follow->offset, size < most ? size : most);
    }
    *at = window->data + (follow->offset - window->at);
    return ERR_OK;
}

/* The batch at the offset, whose entries are written. */
static enum err take_batch(struct log_follow *follow)
{
    const uint8_t *at = NULL;
    uint64_t salt = follow->segment.header.salt;
    struct log_batch_header header;
    enum err err = window_need(follow, LOG_SECTOR_BYTES, &at);
    if (err == ERR_OK && !log_batch_decode(at, salt, follow->offset, &header))
        return damaged(follow, "there is no batch");
    uint64_t whole = 0;
    if (err == ERR_OK) {
        whole = log_padded(LOG_BATCH_HEADER_BYTES + header.length);
        err = window_need(follow, whole, &at);
    }
    if (err == ERR_NOT_FOUND) return damaged(follow, "the segment ends");
    if (err != ERR_OK) return err;
    if (!log_batch_body_is_good(at, &header, salt, follow->offset))
        return damaged(follow, "the checksum of the batch is wrong");
    const char *wrong = log_chain_follows(&follow->chain, &header);
    if (wrong != NULL) return damaged(follow, wrong);
    follow->header = header;
    follow->rest = bytes_of(at + LOG_BATCH_HEADER_BYTES, header.length);
    follow->offset += whole;
    read_ahead(follow);
    return ERR_OK;
}

/* One step towards the next entry, whose bytes are on the disk. ERR_OK: *entry is the one in front
 * of which the chain was. ERR_NOT_FOUND: another step. */
static enum err step_on(struct log_follow *follow, struct entry *entry)
{
    struct lsn end;
    const struct log_segment *segment = segment_of(follow->log, follow->pin.from, &end);
    if (follow->file == NULL) return open_segment(follow, segment);
    bool left = segment->header.sequence != follow->segment.header.sequence;
    if (left) return close_segment(follow);
    if (follow->rest.size == 0) {
        enum err err = take_batch(follow);
        return err == ERR_OK ? ERR_NOT_FOUND : err;
    }
    MUST(log_entry_decode(&follow->rest, entry)); /* the body is good */
    const char *wrong = log_chain_entry(&follow->chain, follow->header.epoch, entry);
    return wrong == NULL ? ERR_OK : damaged(follow, wrong);
}

enum err log_follow_next(struct log_follow *follow, struct lsn through, struct entry *entry,
                         struct why *why)
{
    struct lsn next = follow->pin.from;
    MUST(!lsn_before(log_appended(follow->log), through));
    if (follow->step != FOLLOW_IDLE && follow->step != FOLLOW_AHEAD) return ERR_PENDING;
    if (lsn_before(through, next)) return ERR_NOT_FOUND;
    enum err err = follow->err;
    while (err == ERR_OK && !log_entry(follow->log, next, entry)) {
        err = step_on(follow, entry);
        if (err == ERR_OK && entry->lsn.at == next.at) break;
        if (err == ERR_NOT_FOUND) err = ERR_OK;
    }
    if (err == ERR_PENDING) return err;
    if (err != ERR_OK) {
        *why = follow->why;
        return err;
    }
    follow->pin.from = lsn_next(next); /* the next write looks what may go now */
    return ERR_OK;
}

struct lsn log_follow_at(const struct log_follow *follow)
{
    return follow->pin.from;
}

enum err log_follow_open(struct log_follow **out, struct log *log, struct lsn from,
                         struct log_follow_listener *listener, struct why *why)
{
    *out = NULL;
    if (lsn_before(lsn_next(log_appended(log)), from))
        return why_fail(why, ERR_LIMIT,
                        "LSN %" PRIu64 " is beyond the end, the last one is %" PRIu64, from.at,
                        log_appended(log).at);
    struct log_follow *follow = memory_zeroed(1, sizeof *follow);
    enum err err = log_pin(log, &follow->pin, from);
    if (err != ERR_OK) {
        memory_free(follow);
        return why_fail(why, err, "LSN %" PRIu64 " is not kept, the first one is %" PRIu64, from.at,
                        log->floor.at);
    }
    follow->log = log;
    follow->window_bytes = log_padded(log->options.segment_bytes / FOLLOW_WINDOW_SHARE);
    if (follow->window_bytes > FOLLOW_WINDOW_BYTES_MAX)
        follow->window_bytes = FOLLOW_WINDOW_BYTES_MAX;
    follow->disk = log->disk;
    follow->listener = listener;
    *out = follow;
    return ERR_OK;
}

void log_follow_close(struct log_follow *follow)
{
    if (follow == NULL) return;
    log_unpin(follow->log, &follow->pin);
    follow->gone = true;
    if (follow->step != FOLLOW_IDLE) return;
    if (follow->file != NULL) (void)close_segment(follow);
    else follow_free(follow);
}
