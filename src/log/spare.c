/* SPDX-License-Identifier: Apache-2.0 */
/* Files kept ready to become segments, and the space for them.
 *
 *   CREATE -> FILL -> ready        FILL, disk full -> CLOSE -> REMOVE -> wait for the timer
 *
 * Beyond those that waiting batches will take, two spares are wanted, and a file of its own size
 * for an entry larger than a usual segment. What trimming leaves over is welcome too (trim.c).
 *
 * Below the reserve log_is_low(), but goes on: its owner then admits only what frees space, and for
 * that are the reserve and the second spare. So the log is low as well as soon as a segment is
 * promised that would be made out of the reserve, or be the last one ready: who stops adding then
 * leaves at least the rest of that segment. While low, one spare is kept ready as long as there is
 * room for one.
 *
 * Making one may fail for want of space, and for nothing else: then the log is low, appends that
 * would need it answer ERR_SPACE, and it is tried again when the timer finds room. */
#include <inttypes.h>

#include "log/parts.h"

enum { LOG_SPACE_PERIOD_US = 1000000 };

void log_spare_path(const struct log *log, uint8_t number, struct log_path *path)
{
    char name[LOG_NAME_BYTES];
    log_name_format((struct log_name){LOG_NAME_SPARE, log->options.shard, number}, name);
    log_path_make(path, log->directory.text, name);
}

uint8_t log_spare_number(struct log *log)
{
    uint8_t number = 0;
    while (number < LOG_SPARE_NUMBERS && (log->spare_numbers & 1u << number)) number++;
    if (number < LOG_SPARE_NUMBERS) log->spare_numbers |= (uint8_t)(1u << number);
    return number;
}

void log_spare_forget(struct log *log, const struct log_spare *spare)
{
    log->spare_numbers &= (uint8_t) ~(1u << spare->number);
}

/* The first batch that needs a segment of its own size and has no file for it yet. */
static const struct log_batch *own_batch(const struct log *log)
{
    const struct log_batch *forming = log->memory.forming;
    bool first_has_one = log->rolling.file != NULL;
    for (struct list *node = list_first(&log->memory.queue);
         node != NULL && node != &log->memory.queue; node = node->next) {
        const struct log_batch *batch = CONTAINER_OF(node, struct log_batch, node);
        if (batch->rolls && batch->segment_bytes > 0 && !first_has_one) return batch;
        first_has_one = false;
    }
    return forming != NULL && forming->rolls && forming->segment_bytes > 0 ? forming : NULL;
}

static void low_set(struct log *log, bool low)
{
    if (low == log->low) return;
    log->low = low;
    trace_event(log->trace, low ? TRACE_WARNING : TRACE_NOTICE, "log",
                low ? "space_low" : "space_back",
                "shard=%" PRIu32 " free=%" PRIu64 " reserve=%" PRIu64, log->options.shard,
                log->free_bytes, log->options.reserve_bytes);
}

static void low_update(struct log *log)
{
    low_set(log, log->make_failed || log->free_bytes < log->options.reserve_bytes);
}

/* Whether so much can be made with the reserve untouched or, while low, out of it. */
static bool can_make(const struct log *log, uint64_t bytes)
{
    uint64_t reserve = log->low ? 0 : log->options.reserve_bytes;
    return !log->make_failed && bytes <= log->free_bytes && log->free_bytes - bytes >= reserve;
}

enum err log_segment_promised(struct log *log, uint64_t own_bytes)
{
    if (own_bytes > 0) return can_make(log, own_bytes) ? ERR_OK : ERR_SPACE;
    if (log->make_failed && own_batch(log) != NULL) return ERR_SPACE; /* all wait for its file */
    if (log->spare_count > log->plan_rolls + 1) return ERR_OK;
    uint64_t missing = log->plan_rolls + 1 - log->spare_count; /* for this one; one more to keep */
    if (!can_make(log, (missing + 1) * log->options.segment_bytes)) low_set(log, true);
    return can_make(log, missing * log->options.segment_bytes) || missing == 0 ? ERR_OK : ERR_SPACE;
}

/* The size that is wanted next; 0: none. */
static uint64_t make_wanted(const struct log *log)
{
    const struct log_batch *own = own_batch(log);
    if (own != NULL && log->own.file == NULL) return own->segment_bytes;
    size_t target = log->plan_rolls + (log->closing ? 0 : log->low ? 1 : 2);
    if (log->spare_count < target && log->spare_count < LOG_SPARES_MAX)
        return log->options.segment_bytes;
    return 0;
}

static void make_gave_up(struct log *log)
{
    log->make_failed = true;
    log->making = (struct log_spare){0};
    low_update(log);
}

static void make_finished(struct log *log)
{
    log->free_bytes -= log->making.size < log->free_bytes ? log->making.size : log->free_bytes;
    if (log->making.size != log->options.segment_bytes) log->own = log->making;
    else log->spares[log->spare_count++] = log->making;
    log->making = (struct log_spare){0};
    low_update(log);
    log_write_start(log);
    log_make_kick(log);
    log_space_ask(log);
}

static void make_done(struct disk_request *request);

static void make_step(struct log *log, enum log_make_phase phase)
{
    static const enum disk_op ops[] = {[MAKE_CREATE] = DISK_CREATE,
                                       [MAKE_FILL] = DISK_FILL,
                                       [MAKE_CLOSE] = DISK_CLOSE,
                                       [MAKE_REMOVE] = DISK_REMOVE};
    log->make_phase = phase;
    if (phase == MAKE_IDLE) return;
    log->make = (struct disk_request){.op = ops[phase],
                                      .path = log->make_path.text,
                                      .file = log->making.file,
                                      .direct = log->options.direct,
                                      .size = phase == MAKE_FILL ? log->making.size : 0,
                                      .done = make_done};
    /* Gone whatever the answer, and also when the log is let go before it comes. */
    if (phase == MAKE_CLOSE) log->making.file = NULL;
    log_submit(log, &log->make);
}

/* Only want of space is expected; anything else is a disk that fails. */
static void make_failed_at(struct log *log, const struct disk_request *request)
{
    enum log_make_phase at = log->make_phase;
    make_step(log, MAKE_IDLE);
    if (request->err != ERR_SPACE) {
        struct disk_request failed = *request;
        log_fail(log, &failed, "make a segment");
        return;
    }
    if (at == MAKE_FILL) {
        make_step(log, MAKE_CLOSE); /* then removed: a part of a file is of no use */
        return;
    }
    log_spare_forget(log, &log->making);
    make_gave_up(log);
}

static void make_done(struct disk_request *request)
{
    struct log *log = CONTAINER_OF(request, struct log, make);
    if (log_returned(log, request)) return;
    if (log->make_phase == MAKE_CREATE && request->err == ERR_OK) log->making.file = request->file;
    if (log->poison != ERR_OK) return; /* the file goes with the log */
    if (request->err != ERR_OK) {
        make_failed_at(log, request);
        return;
    }
    switch (log->make_phase) {
    case MAKE_CREATE: make_step(log, MAKE_FILL); return;
    case MAKE_FILL:
        make_step(log, MAKE_IDLE);
        make_finished(log);
        return;
    case MAKE_CLOSE: make_step(log, MAKE_REMOVE); return;
    case MAKE_REMOVE:
        make_step(log, MAKE_IDLE);
        log_spare_forget(log, &log->making);
        make_gave_up(log);
        return;
    case MAKE_IDLE: break;
    }
    MUST(false);
}

void log_make_kick(struct log *log)
{
    if (log->make_phase != MAKE_IDLE || log->make_failed || log->poison != ERR_OK) return;
    if (!log->started) return;
    uint64_t size = make_wanted(log);
    if (size == 0) return;
    uint8_t number = log_spare_number(log);
    if (number == LOG_SPARE_NUMBERS) return;
    log->making = (struct log_spare){.size = size, .number = number};
    log_spare_path(log, number, &log->make_path);
    make_step(log, MAKE_CREATE);
}

void log_space_watch(struct log *log)
{
    clock_timer_start(log->clock, &log->space_timer, LOG_SPACE_PERIOD_US);
}

static void space_done(struct disk_request *request)
{
    struct log *log = CONTAINER_OF(request, struct log, space);
    if (log_returned(log, request)) return;
    log->space_busy = false;
    if (log->poison != ERR_OK) return;
    if (request->err == ERR_OK) log->free_bytes = request->size;
    if (log->make_failed && make_wanted(log) <= log->free_bytes) log->make_failed = false;
    low_update(log);
    log_make_kick(log);
    if (!log->closing) log_space_watch(log);
}

void log_space_ask(struct log *log)
{
    if (log->space_busy || log->poison != ERR_OK || log->closing) return;
    log->space_busy = true;
    log->space = (struct disk_request){
        .op = DISK_FREE_SPACE, .path = log->directory.text, .done = space_done};
    log_submit(log, &log->space);
}
