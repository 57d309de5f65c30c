/* SPDX-License-Identifier: Apache-2.0 */
/* When an archiver does what; its doors. */
#include "archive/archive.h"

#include <inttypes.h>

#include "archive/internal.h"
#include "base/memory.h"
#include "base/path.h"

void archive_note(struct archive *archive, enum err err, const char *text)
{
    struct archive_status *status = &archive->status;
    (void)why_fail(&status->why, err, "%s", text);
    status->failing = true;
    status->failures++;
    trace_event(archive->site.trace, TRACE_WARNING, "archive", "failed", "err=%s why=\"%s\"",
                err_name(err), text);
}

bool archive_is_covered(const struct archive *archive)
{
    return archive->run_before.at == 0 || !lsn_before(archive->image, archive->run_before);
}

struct lsn archive_through(const struct archive *archive)
{
    return lsn_min(archive->now.committed, log_durable(archive->site.log));
}

char *archive_path(const struct archive *archive, const struct span_name *name)
{
    char text[SPAN_NAME_BYTES];
    span_name_format(name, text);
    return path_join(archive->directory, text);
}

static void release(struct archive *archive)
{
    if (archive->asked || archive->copy.asked) return; /* the disk has memory of ours */
    if (archive->file != NULL) {
        struct disk_request close = {.op = DISK_CLOSE, .file = archive->file};
        (void)disk_run(archive->site.disk, &close);
    }
    copy_release(archive);
    buffer_release(&archive->names);
    buffer_release(&archive->out);
    memory_free(archive->path);
    memory_free(archive->path_tmp);
    memory_free(archive->directory);
    /* Made by archive_open(). */
    memory_free((void *)(uintptr_t)archive->site.directory);
    memory_free((void *)(uintptr_t)archive->site.images);
    memory_free(archive);
}

void archive_settled(struct archive *archive)
{
    if (archive->gone) release(archive);
    else if (archive->stopping && archive_is_quiet(archive))
        archive->listener->quiet(archive->listener);
}

/* From what the log still has on. */
static void hold(struct archive *archive)
{
    if (archive->pinned) return;
    struct log *log = archive->site.log;
    archive->pinned = log_pin(log, &archive->pin, log_floor(log)) == ERR_OK;
    MUST(archive->pinned); /* the floor itself is kept */
}

static void let_go(struct archive *archive)
{
    if (!archive->pinned) return;
    log_unpin(archive->site.log, &archive->pin);
    archive->pin = (struct log_pin){0};
    archive->pinned = false;
}

/* An archive that goes on gives space back; one that does not takes it from the writers. */
static bool is_stuck_low(struct archive *archive)
{
    uint64_t now_us = clock_now_us(archive->site.clock);
    if (!archive->now.low) archive->low_us = 0;
    else if (archive->low_us == 0) archive->low_us = now_us;
    if (!archive->now.low) return false;
    return archive->status.failing || now_us - archive->low_us >= ARCHIVE_LOW_US;
}

static void keep_budget(struct archive *archive)
{
    if (!archive->pinned) return;
    struct log_stats stats;
    log_stats(archive->site.log, &stats);
    bool behind = lsn_before(archive->pin.from, log_durable(archive->site.log));
    bool over = stats.segment_bytes_total > archive->options.budget_bytes;
    if (!behind || (!over && !is_stuck_low(archive))) return;
    let_go(archive);
    char text[160];
    (void)snprintf(
        text, sizeof text, "the log lets go of what is not archived, from LSN %" PRIu64 " on: %s",
        archive->status.lsn.at + 1, over ? "it is larger than archive-budget" : "space is short");
    span_stop(archive, ERR_LIMIT, text);
}

static void want_image(struct archive *archive, uint64_t now_us)
{
    bool led = archive_is_covered(archive) || !archive->begun;
    if (led || !lsn_before(archive->now.image, archive->run_before)) return;
    if (now_us < archive->want_not_before_us) return;
    archive->want_not_before_us = now_us + ARCHIVE_WANT_US;
    archive->listener->want_image(archive->listener);
}

void archive_tick(struct archive *archive, const struct archive_now *now)
{
    uint64_t now_us = clock_now_us(archive->site.clock);
    archive->now = *now;
    if (archive->stopping) return;
    keep_budget(archive);
    if (archive->step == SPAN_IDLE && !archive->pinned) span_fail(archive, ERR_SHUT, "");
    if (archive->step == SPAN_UNKNOWN && !archive->asked && now_us >= archive->not_before_us) {
        hold(archive);
        look_begin(archive);
    } else if (archive->step == SPAN_IDLE) {
        span_try(archive);
        want_image(archive, now_us);
    }
    if (archive->step >= SPAN_IDLE) copy_try(archive);
}

void archive_open(struct archive **out, const struct archive_site *site,
                  const struct archive_options *options, struct archive_listener *listener)
{
    struct archive *archive = memory_zeroed(1, sizeof *archive);
    char name[HISTORY_TEXT_BYTES];
    history_format(&site->history, name);
    archive->site = *site;
    archive->site.directory = path_join(site->directory, "");
    archive->site.images = path_join(site->images, "");
    archive->directory = path_join(site->directory, name);
    archive->options = *options;
    archive->listener = listener;
    buffer_init(&archive->names);
    buffer_init(&archive->out);
    span_init(archive);
    copy_init(archive);
    hold(archive);
    *out = archive;
}

void archive_set_options(struct archive *archive, const struct archive_options *options)
{
    archive->options = *options;
}

void archive_stop(struct archive *archive)
{
    archive->stopping = true;
    span_stop(archive, ERR_SHUT, "the server is being stopped");
    copy_stop(archive);
}

bool archive_is_quiet(const struct archive *archive)
{
    return !span_is_busy(archive) && archive->copy.step == COPY_IDLE;
}

void archive_status(const struct archive *archive, struct archive_status *out)
{
    *out = archive->status;
    out->image = archive->image;
    out->covered = archive->begun && archive_is_covered(archive);
    struct lsn through = archive_through(archive);
    if (lsn_before(out->lsn, through)) out->lag_entries = through.at - out->lsn.at;
    uint64_t now_us = clock_now_us(archive->site.clock);
    if (archive->oldest_us != 0) out->lag_us = now_us - archive->oldest_us;
}

void archive_close(struct archive *archive)
{
    if (archive == NULL) return;
    clock_timer_stop(archive->site.clock, &archive->copy.timer);
    log_follow_close(archive->follow);
    archive->follow = NULL;
    /* Not by log_unpin(): until the log is closed it would trim what is not archived. */
    if (archive->pinned) list_remove(&archive->pin.node);
    archive->gone = true;
    release(archive);
}
