/* SPDX-License-Identifier: Apache-2.0 */
/* One span: what is committed and durable here, out of the log, into a file that has its name only
 * when all of it is durable. Whatever fails, the file is taken away, and the next look says from
 * where on to try again. */
#include <inttypes.h>

#include "archive/internal.h"
#include "base/memory.h"
#include "base/plant.h"

static void request_done(struct disk_request *request);
static void fill(struct archive *archive);

void span_ask(struct archive *archive, enum span_step step, const struct disk_request *request)
{
    archive->step = step;
    archive->request = *request;
    archive->request.done = request_done;
    archive->asked = true;
    disk_submit(archive->site.disk, &archive->request);
}

bool span_is_busy(const struct archive *archive)
{
    return archive->step != SPAN_UNKNOWN && archive->step != SPAN_IDLE;
}

/* --- Failure --- */

static void drop_file(struct archive *archive)
{
    if (archive->made) {
        struct disk_request remove = {.op = DISK_REMOVE, .path = archive->path_tmp};
        archive->made = false;
        span_ask(archive, SPAN_DROP_REMOVE, &remove);
        return;
    }
    archive->step = SPAN_UNKNOWN;
    archive_settled(archive);
}

void span_fail(struct archive *archive, enum err err, const char *text)
{
    uint64_t retry_us = archive->retry_us;
    if (err != ERR_SHUT) archive_note(archive, err, text);
    archive->not_before_us = clock_now_us(archive->site.clock) + retry_us;
    archive->retry_us = retry_us * 2 < ARCHIVE_RETRY_US_MAX ? retry_us * 2 : ARCHIVE_RETRY_US_MAX;
    log_follow_close(archive->follow);
    archive->follow = NULL;
    buffer_clear(&archive->out);
    if (archive->file != NULL) {
        struct disk_request close = {.op = DISK_CLOSE, .file = archive->file};
        archive->file = NULL;
        span_ask(archive, SPAN_DROP_CLOSE, &close);
    } else {
        drop_file(archive);
    }
}

/* What is at the disk is waited for: its end sees `stopping` or `given_up`. */
void span_stop(struct archive *archive, enum err err, const char *text)
{
    bool busy = span_is_busy(archive);
    if (archive->step == SPAN_FILL || !busy) {
        span_fail(archive, err, text);
        return;
    }
    archive->given_up = true;
    if (err != ERR_SHUT) archive_note(archive, err, text);
}

static void request_failed(struct archive *archive)
{
    char text[600];
    (void)snprintf(text, sizeof text, "%s: %s", archive->path_tmp, archive->request.why.text);
    span_fail(archive, archive->request.err, text);
}

/* --- The way of a span --- */

static void publish(struct archive *archive)
{
    struct span_name name = {SPAN_NAME_SPAN,
                             {archive->writer.at.lsn.at - archive->writer.entries + 1},
                             archive->writer.at.lsn};
    memory_free(archive->path);
    archive->path = archive_path(archive, &name);
    struct disk_request rename = {
        .op = DISK_RENAME, .path = archive->path_tmp, .path_to = archive->path};
    span_ask(archive, SPAN_RENAME, &rename);
}

static void published(struct archive *archive)
{
    struct archive_status *status = &archive->status;
    archive->edge = archive->writer.at;
    status->lsn = archive->edge.lsn;
    status->spans++;
    status->bytes += archive->writer.offset;
    status->failing = archive->copy.retry_us > ARCHIVE_RETRY_US;
    archive->retry_us = ARCHIVE_RETRY_US;
    archive->hurry = archive->more;
    archive->oldest_us = archive->low_us = 0;
    if (archive->pinned)
        log_pin_move(archive->site.log, &archive->pin, lsn_next(archive->edge.lsn));
    trace_event(archive->site.trace, TRACE_VERBOSE, "archive", "span",
                "lsn=%" PRIu64 " entries=%" PRIu64 " bytes=%" PRIu64, archive->edge.lsn.at,
                archive->writer.entries, archive->writer.offset);
    archive->step = SPAN_IDLE;
    if (archive->stopping) { /* while the log can still wait for it */
        log_follow_close(archive->follow);
        archive->follow = NULL;
    }
    archive_settled(archive);
    if (archive->hurry && !archive->stopping) span_try(archive);
}

static void ask_file(struct archive *archive, enum span_step step, enum disk_op op)
{
    struct disk_request request = {.op = op, .file = archive->file};
    span_ask(archive, step, &request);
}

static void write_out(struct archive *archive)
{
    struct disk_request write = {.op = DISK_WRITE,
                                 .file = archive->file,
                                 .offset = archive->writer.offset,
                                 .data = archive->out.data,
                                 .size = archive->out.size};
    span_ask(archive, SPAN_WRITE, &write);
}

static bool is_ended(const struct archive *archive)
{
    return !lsn_before(archive->writer.at.lsn, archive->through);
}

/* The first of all: the second one follows it. */
static void take_edge(struct archive *archive, const struct entry *entry)
{
    archive->edge = (struct span_edge){entry->lsn, entry->lineage, entry->epoch, entry->stamp};
    archive->begun = true;
}

static void span_head(struct archive *archive)
{
    struct span_facts facts = {.cluster = archive->site.cluster,
                               .shard = archive->site.shard,
                               .history = archive->site.history,
                               .before = archive->edge};
    span_begin(&archive->writer, &facts, &archive->out);
}

static bool take_entry(struct archive *archive, const struct entry *entry)
{
    if (!archive->begun) {
        take_edge(archive, entry);
        span_head(archive);
        return true;
    }
    struct lineage lineage = log_lineage(archive->writer.at.lineage, entry);
    if (lineage.hash != entry->lineage.hash) {
        char text[200];
        (void)snprintf(text, sizeof text,
                       "%s: LSN %" PRIu64 " is followed by another entry in this log: it is of "
                       "another branch of this history",
                       archive->directory, archive->writer.at.lsn.at);
        span_fail(archive, ERR_REFUSED, text);
        return false;
    }
    span_add(&archive->writer, entry, &archive->out);
    uint64_t size = archive->writer.offset + archive->out.size;
    if (size < ARCHIVE_SPAN_BYTES) return true;
    archive->more = lsn_before(entry->lsn, archive->through);
    archive->through = entry->lsn;
    return true;
}

/* Takes entries until a block is full, or all are there, or the follower has to read. */
static void fill(struct archive *archive)
{
    archive->step = SPAN_FILL;
    struct why why;
    while (!archive->begun || !is_ended(archive)) {
        struct entry entry;
        enum err err = log_follow_next(archive->follow, archive->through, &entry, &why);
        if (err == ERR_PENDING) return;
        if (err != ERR_OK) {
            span_fail(archive, err, why.text);
            return;
        }
        if (!take_entry(archive, &entry)) return;
        if (archive->writer.entries > 0 && span_is_whole(&archive->writer)) break;
    }
    if (is_ended(archive)) span_end(&archive->writer, &archive->out);
    write_out(archive);
}

static void follow_ready(struct log_follow_listener *listener)
{
    struct archive *archive = CONTAINER_OF(listener, struct archive, follow_listener);
    if (archive->step == SPAN_FILL) fill(archive);
}

static void written(struct archive *archive)
{
    bool ended = is_ended(archive);
    span_written(&archive->writer, &archive->out);
    if (!ended && archive->given_up) { /* it was noted */
        span_fail(archive, ERR_SHUT, "");
    } else if (!ended) {
        fill(archive);
    } else if (PLANTED(SPAN_WITHOUT_SYNC)) {
        struct disk_request close = {.op = DISK_CLOSE, .file = archive->file};
        archive->file = NULL;
        span_ask(archive, SPAN_SHUT, &close);
    } else {
        ask_file(archive, SPAN_SYNC, DISK_SYNC);
    }
}

static void created(struct archive *archive)
{
    archive->file = archive->request.file;
    struct why why;
    struct lsn from = archive->begun ? lsn_next(archive->edge.lsn) : log_floor(archive->site.log);
    enum err err = ERR_OK;
    if (archive->follow == NULL)
        err = log_follow_open(&archive->follow, archive->site.log, from, &archive->follow_listener,
                              &why);
    if (err != ERR_OK) {
        span_fail(archive, err, why.text);
        return;
    }
    if (archive->begun) span_head(archive);
    fill(archive);
}

static void write_done(struct archive *archive)
{
    enum span_step step = archive->step;
    enum err err = archive->request.err;
    if (step == SPAN_DROP_CLOSE) {
        drop_file(archive);
        return;
    }
    if (step == SPAN_DROP_REMOVE) {
        archive->step = SPAN_UNKNOWN;
        archive_settled(archive);
        return;
    }
    if (step == SPAN_CREATE) archive->made = err == ERR_OK || err == ERR_EXISTS;
    if (step == SPAN_RENAME && err == ERR_OK) archive->made = false;
    if (err != ERR_OK) {
        request_failed(archive);
    } else if (archive->stopping && step < SPAN_RENAME) {
        if (step == SPAN_CREATE) archive->file = archive->request.file;
        span_fail(archive, ERR_SHUT, "");
    } else if (step == SPAN_CREATE) {
        created(archive);
    } else if (step == SPAN_WRITE) {
        written(archive);
    } else if (step == SPAN_SYNC) {
        struct disk_request close = {.op = DISK_CLOSE, .file = archive->file};
        archive->file = NULL;
        span_ask(archive, SPAN_SHUT, &close);
    } else if (step == SPAN_SHUT) {
        publish(archive);
    } else if (step == SPAN_RENAME) {
        struct disk_request sync = {.op = DISK_SYNC_DIR, .path = archive->directory};
        span_ask(archive, SPAN_SYNC_NAME, &sync);
    } else {
        published(archive);
    }
}

static void request_done(struct disk_request *request)
{
    struct archive *archive = CONTAINER_OF(request, struct archive, request);
    archive->asked = false;
    bool opens = archive->step == SPAN_CREATE || archive->step == SPAN_OPEN;
    if (archive->gone) {
        if (opens && request->err == ERR_OK) archive->file = request->file;
        archive_settled(archive);
    } else if (archive->step < SPAN_IDLE) {
        look_done(archive);
    } else {
        write_done(archive);
    }
}

/* --- When --- */

static bool is_due(struct archive *archive, struct lsn next, struct lsn through)
{
    if (lsn_before(through, next)) {
        archive->oldest_us = 0;
        return false;
    }
    struct log_stats stats;
    log_stats(archive->site.log, &stats);
    uint64_t now_us = clock_now_us(archive->site.clock);
    if (archive->oldest_us == 0) archive->oldest_us = now_us;
    bool old = now_us - archive->oldest_us >= archive->options.interval_us;
    if (!archive->hurry && !old && stats.bytes - archive->bytes_then < ARCHIVE_SPAN_BYTES)
        return false;
    archive->bytes_then = stats.bytes;
    return true;
}

void span_try(struct archive *archive)
{
    /* With no edge yet the first entry is not written. */
    struct lsn next = lsn_next(archive->edge.lsn), through = archive_through(archive);
    if (!archive->begun) next = lsn_next(log_floor(archive->site.log));
    if (PLANTED(ARCHIVE_UNCOMMITTED)) through = log_appended(archive->site.log);
    if (!archive->pinned || !is_due(archive, next, through)) return;
    archive->through = through;
    archive->more = archive->given_up = false;
    struct span_name name = {SPAN_NAME_SPAN_LEFTOVER, next, next};
    memory_free(archive->path_tmp);
    archive->path_tmp = archive_path(archive, &name);
    buffer_clear(&archive->out);
    archive->writer = (struct span_writer){0};
    struct disk_request create = {.op = DISK_CREATE, .path = archive->path_tmp};
    span_ask(archive, SPAN_CREATE, &create);
}

void span_init(struct archive *archive)
{
    archive->follow_listener.ready = follow_ready;
    archive->retry_us = ARCHIVE_RETRY_US;
}
