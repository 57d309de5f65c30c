/* SPDX-License-Identifier: Apache-2.0 */
/* The next segment.
 *
 * Making a file whose every byte has been written takes long, so one is always kept ready (a
 * spare), made in the background or left over by a trim. Its content means nothing: a new salt
 * makes old batches invalid. When a batch does not fit into the current segment any more, the spare
 * becomes the next one:
 *
 *   OLD_SYNC -> HEADER -> RENAME -> DIRECTORY -> (the batch is written) CLOSE of the old file
 *
 *   OLD_SYNC   everything before is durable, so that a named segment proves it: recovery relies
 *              on that
 *   HEADER     salt, first LSN and the chain so far, synced under the spare's name
 *   RENAME     to the segment's name
 *   DIRECTORY  that name is durable: only now may a batch go there
 *
 * Each step waits for the one before; appends go on forming batches meanwhile. A failure of any of
 * them poisons the log. Only the making of a spare may fail, for want of space: then log_is_low(),
 * appends that would need it answer ERR_SPACE, and a timer tries again. An entry larger than a
 * usual segment gets one of its own size, made when its turn comes. */
#include <inttypes.h>

#include "log/parts.h"

#include "base/memory.h"
#include "base/plant.h"

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

void log_segment_push(struct log *log, const struct log_segment *segment)
{
    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = log->segment_capacity == 0 ? 8 : 2 * log->segment_capacity;
        log->segments = memory_resize(log->segments,
                                      log->segment_capacity * sizeof(log->segments[0]));
    }
    log->segments[log->segment_count++] = *segment;
    log->sequence = segment->header.sequence;
}

void log_segment_prepare(struct log *log, const struct log_chain *start,
                         struct log_segment_header *header)
{
    *header = (struct log_segment_header){.shard = log->options.shard,
                                          .cluster = log->options.cluster,
                                          .history = log->superblock.history,
                                          .sequence = log->sequence + 1,
                                          .start = *start};
    /* 0 stands for "none"; the odds are those of a wrong checksum. */
    do entropy_fill(log->entropy, &header->salt, sizeof(header->salt));
    while (header->salt == 0);
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

enum err log_segment_promised(struct log *log, uint64_t own_bytes)
{
    if (own_bytes > 0) {
        bool fits = own_bytes <= log->free_bytes &&
                    log->free_bytes - own_bytes >= log->options.reserve_bytes;
        return fits && !log->make_failed ? ERR_OK : ERR_SPACE;
    }
    if (!log->make_failed) return ERR_OK;
    bool stuck = own_batch(log) != NULL;
    return log->spare_count > log->plan_rolls && !stuck ? ERR_OK : ERR_SPACE;
}

/* ---- Spares ---------------------------------------------------------------------------------- */

static void low_update(struct log *log)
{
    bool low = log->make_failed || log->free_bytes < log->options.reserve_bytes;
    if (low == log->low) return;
    log->low = low;
    trace_event(log->trace, low ? TRACE_WARNING : TRACE_NOTICE, "log",
                low ? "space_low" : "space_back",
                "shard=%" PRIu32 " free=%" PRIu64 " reserve=%" PRIu64, log->options.shard,
                log->free_bytes, log->options.reserve_bytes);
}

/* The size that is wanted next; 0: none. */
static uint64_t make_wanted(const struct log *log)
{
    const struct log_batch *own = own_batch(log);
    if (own != NULL && log->own.file == NULL) return own->segment_bytes;
    size_t target = log->plan_rolls + (log->closing ? 0 : 1);
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
    case MAKE_CLOSE:
        log->making.file = NULL;
        make_step(log, MAKE_REMOVE);
        return;
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
    if (log->make_failed && make_wanted(log) <= log->free_bytes) {
        log->make_failed = false;
        log_make_kick(log);
    }
    low_update(log);
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

/* ---- The roll ------------------------------------------------------------------------------- */

static bool spare_take(struct log *log, const struct log_batch *batch)
{
    if (batch->segment_bytes > 0) {
        if (log->own.file == NULL || log->own.size < batch->segment_bytes) return false;
        log->rolling = log->own;
        log->own = (struct log_spare){0};
        return true;
    }
    if (log->spare_count == 0) return false;
    log->rolling = log->spares[0];
    log->spare_count--;
    memmove(log->spares, log->spares + 1, log->spare_count * sizeof(log->spares[0]));
    MUST(log->plan_rolls > 0);
    log->plan_rolls--;
    return true;
}

static void roll_done(struct disk_request *request);

static void roll_step(struct log *log, enum log_roll_phase phase)
{
    static const enum disk_op ops[] = {[ROLL_HEADER] = DISK_WRITE_SYNC,
                                       [ROLL_RENAME] = DISK_RENAME,
                                       [ROLL_DIRECTORY] = DISK_SYNC_DIR,
                                       [ROLL_CLOSE] = DISK_CLOSE};
    log->roll_phase = phase;
    if (phase == ROLL_IDLE) return;
    log->roll = (struct disk_request){.op = ops[phase], .done = roll_done};
    if (phase == ROLL_HEADER) {
        log->roll.file = log->rolling.file;
        log->roll.data = log->page;
        log->roll.size = LOG_SEGMENT_HEADER_BYTES;
    } else if (phase == ROLL_RENAME) {
        log->roll.path = log->roll_path.text;
        log->roll.path_to = log->roll_path_to.text;
    } else if (phase == ROLL_DIRECTORY) {
        log->roll.path = log->directory.text;
    }
    if (phase == ROLL_CLOSE) log->roll.file = log->file;
    log_submit(log, &log->roll);
}

/* Nothing was ever written to the current segment (the first entry does not fit into it): the new
 * one takes its name, and with it its place. */
static bool is_empty(const struct log_segment_header *current, const struct log_chain *before)
{
    return current->start.next.at == before->next.at;
}

/* The new segment is durable by name and header: it becomes the current one. */
static void roll_switch(struct log *log)
{
    struct list *node = list_first(&log->memory.queue);
    struct log_batch *batch = CONTAINER_OF(node, struct log_batch, node);
    MUST(node != NULL && batch->rolls);
    batch->rolls = false;
    if (is_empty(&log->segments[log->segment_count - 1].header, &batch->before))
        log->segment_count--;
    log_segment_push(log, &log->roll_segment);
    log_spare_forget(log, &log->rolling);
    roll_step(log, ROLL_CLOSE); /* of the file that was current until here */
    log->file = log->rolling.file;
    log->rolling = (struct log_spare){0};
    log->offset = LOG_SEGMENT_HEADER_BYTES;
    log_write_start(log);
    log_slots_write(log);
    log_make_kick(log);
    log_trim_kick(log);
}

static void roll_done(struct disk_request *request)
{
    struct log *log = CONTAINER_OF(request, struct log, roll);
    if (log_returned(log, request)) return;
    if (log->poison != ERR_OK) return;
    if (request->err != ERR_OK && !PLANTED(IGNORE_FAILED_SYNC)) {
        log_fail(log, request, "begin a segment");
        return;
    }
    switch (log->roll_phase) {
    case ROLL_HEADER: roll_step(log, ROLL_RENAME); return;
    case ROLL_RENAME:
        if (PLANTED(SKIP_DIRECTORY_SYNC)) roll_switch(log);
        else roll_step(log, ROLL_DIRECTORY);
        return;
    case ROLL_DIRECTORY: roll_switch(log); return;
    case ROLL_CLOSE:
        roll_step(log, ROLL_IDLE);
        log_write_start(log);
        return;
    case ROLL_IDLE:
    case ROLL_OLD_SYNC: break;
    }
    MUST(false);
}

void log_roll_start(struct log *log, struct log_batch *batch)
{
    if ((log_unsynced(log) && !PLANTED(ROLL_WITHOUT_SYNC)) || log->sync_busy) {
        log->roll_phase = ROLL_OLD_SYNC; /* sync_done comes back here */
        log_sync_kick(log);
        return;
    }
    if (!spare_take(log, batch)) {
        log_make_kick(log); /* make_finished comes back here */
        return;
    }
    const struct log_segment_header *current = &log->segments[log->segment_count - 1].header;
    log_segment_prepare(log, &batch->before, &log->roll_segment.header);
    log->roll_segment.header.previous_salt = is_empty(current, &batch->before)
                                                 ? current->previous_salt
                                                 : current->salt;
    if (PLANTED(SALT_USED_TWICE)) log->roll_segment.header.salt = current->salt;
    log->roll_segment.size = log->rolling.size;
    log_segment_encode(&log->roll_segment.header, log->page);
    char name[LOG_NAME_BYTES];
    log_segment_name(log->options.shard, batch->before.next, name);
    log_path_make(&log->roll_path_to, log->directory.text, name);
    log_spare_path(log, log->rolling.number, &log->roll_path);
    roll_step(log, ROLL_HEADER);
}
