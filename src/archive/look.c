/* SPDX-License-Identifier: Apache-2.0 */
/* What the directory holds, and so where the archiver goes on: behind the newest span, if the log
 * still has what follows; else anew, behind the first entry that it has. */
#include <inttypes.h>

#include "archive/internal.h"
#include "base/memory.h"
#include "base/path.h"

void look_begin(struct archive *archive)
{
    struct disk_request make = {.op = DISK_MAKE_DIR, .path = archive->directory};
    archive->begun = false;
    archive->run_before = archive->image = (struct lsn){0};
    archive->newest = (struct span_name){.kind = SPAN_NAME_FOREIGN};
    span_ask(archive, SPAN_MAKE, &make);
}

/* The next name in the list; NULL: that was all. */
static const char *next_name(struct archive *archive)
{
    if (archive->names_at >= archive->names.size) return NULL;
    const char *name = (const char *)archive->names.data + archive->names_at;
    archive->names_at += strlen(name) + 1;
    return name;
}

/* Names ascend as first LSNs do. */
static void read_names(struct archive *archive)
{
    const char *text;
    archive->names_at = 0;
    while ((text = next_name(archive)) != NULL) {
        struct span_name name = span_name_parse(text);
        if (name.kind == SPAN_NAME_IMAGE) archive->image = lsn_max(archive->image, name.last);
        if (name.kind != SPAN_NAME_SPAN) continue;
        bool follows = archive->newest.kind == SPAN_NAME_SPAN &&
                       name.first.at <= archive->newest.last.at + 1;
        if (!follows) archive->run_before = (struct lsn){name.first.at - 1};
        if (!follows || lsn_before(archive->newest.last, name.last)) archive->newest = name;
    }
    archive->names_at = 0;
}

static void ask_read(struct archive *archive, enum span_step step, void *data, uint64_t size)
{
    uint64_t offset = step == SPAN_HEADER ? 0 : archive->size - size;
    struct disk_request read = {
        .op = DISK_READ, .file = archive->file, .offset = offset, .data = data, .size = size};
    span_ask(archive, step, &read);
}

/* One that a crash left, and one more at a time. */
static void sweep(struct archive *archive)
{
    const char *text;
    while ((text = next_name(archive)) != NULL) {
        struct span_name name = span_name_parse(text);
        if (name.kind != SPAN_NAME_SPAN_LEFTOVER && name.kind != SPAN_NAME_IMAGE_LEFTOVER) continue;
        /* The image that is being copied bears one, too. */
        if (archive->copy.step != COPY_IDLE && name.kind == SPAN_NAME_IMAGE_LEFTOVER) continue;
        memory_free(archive->path);
        archive->path = archive_path(archive, &name);
        struct disk_request remove = {.op = DISK_REMOVE, .path = archive->path};
        span_ask(archive, SPAN_SWEEP, &remove);
        return;
    }
    archive->step = SPAN_IDLE;
    archive_settled(archive);
}

/* The log has no more of what followed: the archive begins anew and has a gap. */
static void begin_anew(struct archive *archive)
{
    uint64_t floor = log_floor(archive->site.log).at;
    if (archive->newest.kind == SPAN_NAME_SPAN) {
        archive->status.gaps++;
        trace_event(archive->site.trace, TRACE_WARNING, "archive", "gap",
                    "from=%" PRIu64 " to=%" PRIu64, archive->newest.last.at + 1, floor);
    }
    /* Before LSN 1 there is nothing; else the first entry says what the second one follows. */
    archive->begun = floor == 1;
    archive->edge = (struct span_edge){0};
    archive->run_before = (struct lsn){archive->begun ? 0 : floor};
    archive->status.lsn = (struct lsn){0};
}

static void decide(struct archive *archive)
{
    struct log *log = archive->site.log;
    archive->hurry = true;
    uint64_t floor = log_floor(log).at;
    uint64_t next = archive->begun ? archive->edge.lsn.at + 1 : floor;
    if (!archive->begun || next < floor) {
        begin_anew(archive);
        next = floor;
    } else if (next > log_durable(log).at + 1) {
        char text[200];
        (void)snprintf(text, sizeof text,
                       "%s holds LSN %" PRIu64 ", but this log ends at %" PRIu64
                       ": it is of another branch of this history",
                       archive->directory, next - 1, log_durable(log).at);
        span_fail(archive, ERR_REFUSED, text);
        return;
    } else {
        archive->status.lsn = archive->edge.lsn;
    }
    if (archive->pinned && lsn_before(archive->pin.from, (struct lsn){next}))
        log_pin_move(log, &archive->pin, (struct lsn){next});
    trace_event(archive->site.trace, TRACE_NOTICE, "archive", "found",
                "directory=%s lsn=%" PRIu64 " image=%" PRIu64 " next=%" PRIu64, archive->directory,
                archive->status.lsn.at, archive->image.at, next);
    sweep(archive);
}

/* The newest span is what its name says, and ours. */
static enum err check_newest(struct archive *archive, struct why *why)
{
    struct span_facts facts;
    enum err err = span_header_decode(archive->header, &facts, why);
    if (err == ERR_OK)
        err = span_footer_decode(archive->footer, archive->header, archive->size, &facts, why);
    if (err != ERR_OK) return err;
    const struct archive_site *site = &archive->site;
    bool ours = facts.cluster == site->cluster && facts.shard == site->shard &&
                memcmp(facts.history.id, site->history.id, sizeof site->history.id) == 0;
    if (!ours) return why_fail(why, ERR_REFUSED, "it is of another cluster, shard or history");
    if (facts.before.lsn.at + 1 != archive->newest.first.at ||
        facts.end.lsn.at != archive->newest.last.at)
        return why_fail(why, ERR_CORRUPT, "its name is of other entries");
    archive->edge = facts.end;
    archive->begun = true;
    return ERR_OK;
}

static void open_newest(struct archive *archive)
{
    read_names(archive);
    if (archive->newest.kind != SPAN_NAME_SPAN) {
        decide(archive);
        return;
    }
    memory_free(archive->path);
    archive->path = archive_path(archive, &archive->newest);
    struct disk_request open = {.op = DISK_OPEN, .path = archive->path, .read_only = true};
    span_ask(archive, SPAN_OPEN, &open);
}

static void close_newest(struct archive *archive)
{
    struct disk_request close = {.op = DISK_CLOSE, .file = archive->file};
    archive->file = NULL;
    span_ask(archive, SPAN_CLOSE, &close);
}

static void judge_newest(struct archive *archive)
{
    struct why why;
    enum err err = check_newest(archive, &why);
    if (err == ERR_OK) {
        decide(archive);
        return;
    }
    why_prefix(&why, archive->path);
    span_fail(archive, err, why.text);
}

static void ask_directory(struct archive *archive, enum span_step step, enum disk_op op,
                          const char *path)
{
    struct disk_request request = {.op = op, .path = path, .names = &archive->names};
    span_ask(archive, step, &request);
}

static void lock(struct archive *archive)
{
    if (archive->locked) {
        buffer_clear(&archive->names);
        ask_directory(archive, SPAN_LIST, DISK_LIST, archive->directory);
        return;
    }
    memory_free(archive->path);
    archive->path = path_join(archive->directory, "lock");
    ask_directory(archive, SPAN_LOCK, DISK_LOCK, archive->path);
}

/* A request of a look has come back. */
void look_done(struct archive *archive)
{
    const struct disk_request *request = &archive->request;
    enum span_step step = archive->step;
    bool fine = request->err == ERR_OK || (step == SPAN_MAKE && request->err == ERR_EXISTS) ||
                step == SPAN_SWEEP || step == SPAN_CLOSE;
    if (step == SPAN_OPEN && fine) archive->file = request->file;
    if ((step == SPAN_HEADER || step == SPAN_FOOTER) && fine && request->moved != request->size) {
        span_fail(archive, ERR_CORRUPT, "the newest span is too short");
        return;
    }
    if (!fine || archive->stopping) {
        char text[600];
        const char *path = request->path == NULL ? archive->path : request->path;
        (void)snprintf(text, sizeof text, "%s: %s", path, request->why.text);
        span_fail(archive, fine ? ERR_SHUT : request->err, text);
        return;
    }
    switch (step) {
    case SPAN_MAKE:
        ask_directory(archive, SPAN_SYNC_ROOT, DISK_SYNC_DIR, archive->site.directory);
        break;
    case SPAN_SYNC_ROOT:
        ask_directory(archive, SPAN_SYNC_OWN, DISK_SYNC_DIR, archive->directory);
        break;
    case SPAN_SYNC_OWN: lock(archive); break;
    case SPAN_LOCK:
        archive->locked = true;
        lock(archive);
        break;
    case SPAN_LIST: open_newest(archive); break;
    case SPAN_OPEN:
        archive->size = request->size;
        if (archive->size < SPAN_HEADER_BYTES + SPAN_FOOTER_BYTES)
            span_fail(archive, ERR_CORRUPT, "the newest span is too short");
        else ask_read(archive, SPAN_HEADER, archive->header, SPAN_HEADER_BYTES);
        break;
    case SPAN_HEADER: ask_read(archive, SPAN_FOOTER, archive->footer, SPAN_FOOTER_BYTES); break;
    case SPAN_FOOTER: close_newest(archive); break;
    case SPAN_CLOSE: judge_newest(archive); break;
    case SPAN_SWEEP: sweep(archive); break;
    case SPAN_UNKNOWN:
    case SPAN_IDLE:
    case SPAN_CREATE:
    case SPAN_FILL:
    case SPAN_WRITE:
    case SPAN_SYNC:
    case SPAN_SHUT:
    case SPAN_RENAME:
    case SPAN_SYNC_NAME:
    case SPAN_DROP_CLOSE:
    case SPAN_DROP_REMOVE: MUST(false); /* these are write.c's */
    }
}
