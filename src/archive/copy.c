/* SPDX-License-Identifier: Apache-2.0 */
/* Images, copied as they are, a piece at a time. One that cannot be read here is passed over, and
 * the next one is waited for; one that cannot be written there is tried again. */
#include "archive/copy.h"

#include <inttypes.h>

#include "archive/internal.h"
#include "base/memory.h"
#include "base/path.h"

static void request_done(struct disk_request *request);

static struct archive *archive_of(struct copy *copy)
{
    return CONTAINER_OF(copy, struct archive, copy);
}

static void ask(struct copy *copy, enum copy_step step, const struct disk_request *request)
{
    copy->step = step;
    copy->request = *request;
    copy->request.done = request_done;
    copy->asked = true;
    disk_submit(archive_of(copy)->site.disk, &copy->request);
}

static void ask_path(struct copy *copy, enum copy_step step, enum disk_op op, const char *path)
{
    struct disk_request request = {.op = op, .path = path, .path_to = copy->path_to};
    request.read_only = op == DISK_OPEN;
    ask(copy, step, &request);
}

static void ask_close(struct copy *copy, enum copy_step step, struct disk_file **file)
{
    struct disk_request close = {.op = DISK_CLOSE, .file = *file};
    *file = NULL;
    ask(copy, step, &close);
}

static void forget(struct copy *copy)
{
    memory_free(copy->path_from);
    memory_free(copy->path_tmp);
    memory_free(copy->path_to);
    memory_free(copy->piece);
    copy->path_from = copy->path_tmp = copy->path_to = NULL;
    copy->piece = NULL;
}

static void ended(struct copy *copy)
{
    copy->step = COPY_IDLE;
    forget(copy);
    archive_settled(archive_of(copy));
}

static void drop(struct copy *copy)
{
    if (copy->file != NULL) {
        ask_close(copy, COPY_DROP_CLOSE, &copy->file);
    } else if (copy->source != NULL) {
        ask_close(copy, COPY_DROP_SOURCE, &copy->source);
    } else if (copy->made) {
        copy->made = false;
        ask_path(copy, COPY_DROP_REMOVE, DISK_REMOVE, copy->path_tmp);
    } else {
        ended(copy);
    }
}

static void fail(struct copy *copy, bool here)
{
    struct archive *archive = archive_of(copy);
    const struct disk_request *request = &copy->request;
    if (here) {
        copy->passed = copy->lsn;
        trace_event(archive->site.trace, TRACE_WARNING, "archive", "image_passed_over",
                    "path=%s why=\"%s\"", copy->path_from, request->why.text);
    } else {
        char text[600];
        (void)snprintf(text, sizeof text, "%s: %s", copy->path_tmp, request->why.text);
        archive_note(archive, request->err, text);
        copy->not_before_us = clock_now_us(archive->site.clock) + copy->retry_us;
        copy->retry_us *= 2;
        if (copy->retry_us > ARCHIVE_RETRY_US_MAX) copy->retry_us = ARCHIVE_RETRY_US_MAX;
    }
    drop(copy);
}

static void read_piece(struct copy *copy)
{
    uint64_t left = copy->size - copy->offset;
    if (left == 0) {
        struct disk_request sync = {.op = DISK_SYNC, .file = copy->file};
        ask(copy, COPY_SYNC, &sync);
        return;
    }
    struct disk_request read = {.op = DISK_READ,
                                .file = copy->source,
                                .offset = copy->offset,
                                .data = copy->piece,
                                .size = left < ARCHIVE_PIECE_BYTES ? left : ARCHIVE_PIECE_BYTES};
    ask(copy, COPY_READ, &read);
}

static void write_piece(struct copy *copy)
{
    struct disk_request write = {.op = DISK_WRITE,
                                 .file = copy->file,
                                 .offset = copy->offset,
                                 .data = copy->piece,
                                 .size = copy->request.moved};
    ask(copy, COPY_WRITE, &write);
}

static void pause(struct copy *copy)
{
    copy->step = COPY_PAUSE;
    clock_timer_start(archive_of(copy)->site.clock, &copy->timer, ARCHIVE_PIECE_PAUSE_US);
}

static void timer_fired(struct timer *timer)
{
    read_piece(CONTAINER_OF(timer, struct copy, timer));
}

static void piece_written(struct copy *copy)
{
    copy->offset += copy->request.size;
    copy->unsynced += copy->request.size;
    if (copy->unsynced < ARCHIVE_SYNC_BYTES) {
        pause(copy);
        return;
    }
    copy->unsynced = 0;
    struct disk_request sync = {.op = DISK_SYNC, .file = copy->file};
    ask(copy, COPY_SYNC_PART, &sync);
}

static void named(struct copy *copy)
{
    struct archive *archive = archive_of(copy);
    archive->image = lsn_max(archive->image, copy->lsn);
    archive->status.bytes += copy->size;
    copy->retry_us = ARCHIVE_RETRY_US;
    archive->status.failing = archive->retry_us > ARCHIVE_RETRY_US;
    trace_event(archive->site.trace, TRACE_NOTICE, "archive", "image",
                "lsn=%" PRIu64 " bytes=%" PRIu64, copy->lsn.at, copy->size);
    ended(copy);
}

static void go_on(struct copy *copy)
{
    switch (copy->step) {
    case COPY_OPEN:
        copy->size = copy->request.size;
        ask_path(copy, COPY_CREATE, DISK_CREATE, copy->path_tmp);
        break;
    case COPY_CREATE:
        copy->piece = memory_alloc(ARCHIVE_PIECE_BYTES);
        read_piece(copy);
        break;
    case COPY_READ: write_piece(copy); break;
    case COPY_WRITE: piece_written(copy); break;
    case COPY_SYNC_PART: pause(copy); break;
    case COPY_SYNC: ask_close(copy, COPY_CLOSE, &copy->file); break;
    case COPY_CLOSE: ask_close(copy, COPY_CLOSE_SOURCE, &copy->source); break;
    case COPY_CLOSE_SOURCE: ask_path(copy, COPY_RENAME, DISK_RENAME, copy->path_tmp); break;
    case COPY_RENAME:
        ask_path(copy, COPY_SYNC_NAME, DISK_SYNC_DIR, archive_of(copy)->directory);
        break;
    case COPY_SYNC_NAME: named(copy); break;
    case COPY_DROP_CLOSE:
    case COPY_DROP_SOURCE: drop(copy); break;
    case COPY_DROP_REMOVE: ended(copy); break;
    case COPY_IDLE:
    case COPY_PAUSE: MUST(false); /* the disk is not at work then */
    }
}

static void request_done(struct disk_request *request)
{
    struct copy *copy = CONTAINER_OF(request, struct copy, request);
    struct archive *archive = archive_of(copy);
    enum copy_step step = copy->step;
    copy->asked = false;
    if (step == COPY_OPEN && request->err == ERR_OK) copy->source = request->file;
    if (step == COPY_CREATE && request->err == ERR_OK) copy->file = request->file;
    if (step == COPY_CREATE) copy->made = request->err == ERR_OK || request->err == ERR_EXISTS;
    if (step == COPY_RENAME && request->err == ERR_OK) copy->made = false;
    if (step == COPY_READ && request->err == ERR_OK && request->moved != request->size)
        request->err = why_fail(&request->why, ERR_CORRUPT, "the image is shorter than it was");
    bool here = step == COPY_OPEN || step == COPY_READ;
    bool drops = step >= COPY_DROP_CLOSE;
    if (archive->gone) archive_settled(archive);
    else if (request->err != ERR_OK && !drops && step != COPY_CLOSE_SOURCE) fail(copy, here);
    else if (archive->stopping && step < COPY_RENAME) drop(copy);
    else go_on(copy);
}

void copy_try(struct archive *archive)
{
    struct copy *copy = &archive->copy;
    struct lsn lsn = archive->now.image;
    if (copy->step != COPY_IDLE || clock_now_us(archive->site.clock) < copy->not_before_us) return;
    if (!lsn_before(archive->image, lsn) || lsn.at == copy->passed.at) return;
    char name[SPAN_NAME_BYTES];
    struct span_name image = {SPAN_NAME_IMAGE, {0}, lsn};
    struct span_name leftover = {SPAN_NAME_IMAGE_LEFTOVER, {0}, lsn};
    span_name_format(&image, name);
    copy->path_from = path_join(archive->site.images, name);
    copy->path_to = archive_path(archive, &image);
    copy->path_tmp = archive_path(archive, &leftover);
    copy->lsn = lsn;
    copy->offset = copy->unsynced = 0;
    ask_path(copy, COPY_OPEN, DISK_OPEN, copy->path_from);
}

void copy_init(struct archive *archive)
{
    archive->copy.timer.fired = timer_fired;
    archive->copy.retry_us = ARCHIVE_RETRY_US;
}

void copy_stop(struct archive *archive)
{
    struct copy *copy = &archive->copy;
    if (copy->step != COPY_PAUSE) return; /* what is at the disk sees it when it is done */
    clock_timer_stop(archive->site.clock, &copy->timer);
    drop(copy);
}

void copy_release(struct archive *archive)
{
    struct copy *copy = &archive->copy;
    struct disk_file *files[] = {copy->source, copy->file};
    for (size_t i = 0; i < 2; i++) {
        struct disk_request close = {.op = DISK_CLOSE, .file = files[i]};
        if (files[i] != NULL) (void)disk_run(archive->site.disk, &close);
    }
    forget(copy);
}
