/* SPDX-License-Identifier: Apache-2.0 */
/* The floor and what lies below it.
 *
 *   CUT_OPEN -> CUT -> CUT_CLOSE
 *   FLOOR -> REMOVE each -> DIRECTORY -> OPEN each that was kept as a spare
 *
 *   CUT        once, after an unclean end: what the segment that was begun then hides is given
 *              back to the disk
 *   FLOOR      the floor is in both superblock slots before the first file goes: after a crash
 *              anything below it may be there or not
 *   REMOVE     whole segments, oldest first; a few of the usual size are renamed to be spares
 *   DIRECTORY  a renamed file is used again only when its old name is durably gone: else the
 *              old name could come back with new content
 *
 * The floor in memory moves first, so that nobody can pin what is about to go. Names that cannot be
 * removed are left for the next start; only a failing sync is fatal. */
#include <inttypes.h>

#include "log/parts.h"

#include "base/plant.h"

enum err log_pin(struct log *log, struct log_pin *pin, struct lsn from)
{
    if (lsn_before(from, log->floor)) return ERR_NOT_FOUND;
    pin->from = from;
    list_append(&log->pins, &pin->node);
    log_check(log);
    return ERR_OK;
}

void log_unpin(struct log *log, struct log_pin *pin)
{
    if (pin->node.next == NULL) return; /* never pinned */
    list_remove(&pin->node);
    log_trim_kick(log);
    log_check(log);
}

void log_pin_move(struct log *log, struct log_pin *pin, struct lsn from)
{
    MUST(!lsn_before(from, pin->from));
    pin->from = from;
    log_trim_kick(log);
    log_check(log);
}

void log_trim(struct log *log, struct lsn through)
{
    log->trim_wish = lsn_max(log->trim_wish, through);
    log_trim_kick(log);
    log_check(log);
}

/* How many of the oldest segments hold only entries that nobody needs. */
static size_t removable(const struct log *log)
{
    struct lsn through = lsn_min(log->trim_wish, log->durable);
    for (struct list *node = log->pins.next; node != &log->pins; node = node->next) {
        const struct log_pin *pin = CONTAINER_OF(node, struct log_pin, node);
        through = lsn_min(through, (struct lsn){pin->from.at - 1});
    }
    size_t count = 0;
    while (count + 1 < log->segment_count &&
           log->segments[count + 1].header.start.next.at - 1 <= through.at)
        count++;
    return count;
}

static void trim_done(struct disk_request *request);

static void trim_submit(struct log *log, enum disk_op op)
{
    log->trim = (struct disk_request){.op = op,
                                      .path = log->trim_path.text,
                                      .path_to = log->trim_path_to.text,
                                      .direct = log->options.direct,
                                      .file = log->cutting,
                                      .offset = log->hidden.size,
                                      .done = trim_done};
    log_submit(log, &log->trim);
}

static void trim_idle(struct log *log)
{
    log->trim_phase = TRIM_IDLE;
    log_write_start(log);
    log_trim_kick(log);
}

/* Renames the segment to a spare if one more is wanted. */
static bool recycle(struct log *log, const struct log_segment *segment)
{
    size_t kept = log->spare_count + log->recycled_count + (log->make_phase != MAKE_IDLE ? 1 : 0);
    if (segment->size != log->options.segment_bytes || kept >= LOG_SPARES_KEPT) return false;
    uint8_t number = log_spare_number(log);
    if (number == LOG_SPARE_NUMBERS) return false;
    log->recycled[log->recycled_count++] = (struct log_spare){.size = segment->size,
                                                              .number = number};
    log_spare_path(log, number, &log->trim_path_to);
    return true;
}

static void remove_next(struct log *log)
{
    if (log->trim_count == 0) {
        log->trim_phase = TRIM_DIRECTORY;
        memcpy(log->trim_path.text, log->directory.text, sizeof(log->trim_path.text));
        trim_submit(log, DISK_SYNC_DIR);
        return;
    }
    log->trim_phase = TRIM_REMOVE;
    struct log_segment segment = log->segments[0];
    log->trim_count--;
    log->segment_count--;
    memmove(log->segments, log->segments + 1, log->segment_count * sizeof(log->segments[0]));
    char name[LOG_NAME_BYTES];
    log_segment_name(log->options.shard, segment.header.start.next, name);
    log_path_make(&log->trim_path, log->directory.text, name);
    trim_submit(log, recycle(log, &segment) ? DISK_RENAME : DISK_REMOVE);
}

static void open_next(struct log *log)
{
    if (log->recycled_count == 0) {
        trim_idle(log);
        return;
    }
    log->trim_phase = TRIM_OPEN;
    log_spare_path(log, log->recycled[log->recycled_count - 1].number, &log->trim_path);
    trim_submit(log, DISK_OPEN);
}

static void opened(struct log *log, const struct disk_request *request)
{
    struct log_spare spare = log->recycled[--log->recycled_count];
    spare.file = request->file;
    if (request->err != ERR_OK) {
        log_spare_forget(log, &spare); /* the file stays until the next start */
    } else {
        MUST(log->spare_count < LOG_SPARE_NUMBERS);
        log->spares[log->spare_count++] = spare;
    }
    open_next(log);
}

static void trim_warn(const struct log *log, const struct disk_request *request)
{
    trace_event(log->trace, TRACE_WARNING, "log", "trim_failed",
                "shard=%" PRIu32 " path=\"%s\" reason=\"%s\"", log->options.shard,
                log->trim_path.text, request->why.text);
}

static void cut_step(struct log *log, enum log_trim_phase phase, enum disk_op op)
{
    log->trim_phase = phase;
    trim_submit(log, op);
}

static void cut_begin(struct log *log)
{
    char name[LOG_NAME_BYTES];
    log_segment_name(log->options.shard, log->hidden.header.start.next, name);
    log_path_make(&log->trim_path, log->directory.text, name);
    cut_step(log, TRIM_CUT_OPEN, DISK_OPEN);
}

/* Best effort: a file that stays long is only long. */
static void cut_next(struct log *log, const struct disk_request *request)
{
    if (request->err != ERR_OK) trim_warn(log, request);
    if (log->trim_phase == TRIM_CUT_OPEN && request->err == ERR_OK) {
        log->cutting = request->file;
        cut_step(log, TRIM_CUT, DISK_TRUNCATE);
    } else if (log->trim_phase == TRIM_CUT) {
        cut_step(log, TRIM_CUT_CLOSE, DISK_CLOSE);
    } else {
        log->hidden.size = 0;
        trim_idle(log);
    }
}

static void trim_done(struct disk_request *request)
{
    struct log *log = CONTAINER_OF(request, struct log, trim);
    if (request->op == DISK_CLOSE) log->cutting = NULL;
    if (log_returned(log, request)) return;
    if (log->poison != ERR_OK) {
        bool opens = request->op == DISK_OPEN && request->err == ERR_OK;
        if (opens) log_file_close((struct log_home){log->disk, log->directory.text}, request->file);
        return;
    }
    switch (log->trim_phase) {
    case TRIM_CUT_OPEN:
    case TRIM_CUT:
    case TRIM_CUT_CLOSE: cut_next(log, request); return;
    case TRIM_REMOVE:
        if (request->err != ERR_OK) {
            trim_warn(log, request);
            if (request->op == DISK_RENAME)
                log_spare_forget(log, &log->recycled[--log->recycled_count]);
        }
        remove_next(log);
        return;
    case TRIM_DIRECTORY:
        if (request->err != ERR_OK && !PLANTED(IGNORE_FAILED_SYNC))
            log_fail(log, request, "sync the directory");
        else open_next(log);
        return;
    case TRIM_OPEN:
        if (request->err != ERR_OK) trim_warn(log, request);
        opened(log, request);
        return;
    case TRIM_IDLE:
    case TRIM_FLOOR: break;
    }
    MUST(false);
}

void log_trim_kick(struct log *log)
{
    if (log->poison != ERR_OK || !log->started) return;
    if (log->trim_phase == TRIM_FLOOR) {
        if (log->floor_durable.at >= log->floor.at) remove_next(log);
        return;
    }
    if (log->trim_phase != TRIM_IDLE || log->closing) return;
    if (log->hidden.size > 0) {
        cut_begin(log);
        return;
    }
    size_t count = removable(log);
    if (count == 0) return;
    log->trim_count = count;
    log->floor = log->segments[count].header.start.next;
    trace_event(log->trace, TRACE_VERBOSE, "log", "trim",
                "shard=%" PRIu32 " segments=%zu floor=%" PRIu64, log->options.shard, count,
                log->floor.at);
    log->trim_phase = TRIM_FLOOR;
    if (PLANTED(TRIM_BEFORE_SUPERBLOCK)) remove_next(log);
    log_slots_write(log);
}
