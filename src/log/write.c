/* SPDX-License-Identifier: Apache-2.0 */
/* Batches to the disk.
 *
 * One batch is in flight at most; what is appended meanwhile forms the next one, which is started
 * in the turn in which the first has been answered, after the owner has been told. `durable` moves
 *   always     with the write, which is synced in the same step;
 *   everysec   with a sync, at most a second after the write;
 *   none       with a sync that somebody asked for, or that a new segment needs.
 * A sync covers the writes that had returned when it was asked for, and no others.
 *
 * Any write or sync that fails poisons the log. What reached the platter is then unknown and stays
 * unknown: the page cache may show bytes that the disk does not have. Nothing is tried again,
 * nothing becomes durable any more, and recovery decides after a restart. */
#include <inttypes.h>

#include "log/parts.h"

#include "base/plant.h"

enum { LOG_SYNC_PERIOD_US = 1000000 };

void log_submit(struct log *log, struct disk_request *request)
{
    log->requests++;
    request->err = ERR_OK;
    request->why.text[0] = '\0';
    if (!log->blocking) {
        disk_submit(log->disk, request);
        return;
    }
    (void)disk_run(log->disk, request);
    MUST(log->ran_count < LOG_JOBS);
    log->ran[log->ran_count++] = request;
}

bool log_returned(struct log *log, struct disk_request *request)
{
    MUST(log->requests > 0);
    log->requests--;
    if (!log->gone) {
        if (log->closing && log->requests == 0 && !log->blocking)
            clock_defer(log->clock, &log->push_task); /* which may find it quiet */
        return false;
    }
    bool opened = request->op == DISK_CREATE || request->op == DISK_OPEN;
    if (opened && request->err == ERR_OK) {
        struct log_home home = {log->disk, log->directory.text};
        log_file_close(home, request->file);
    }
    if (log->requests == 0) log_free(log);
    return true;
}

static void failed_run(struct task *task)
{
    struct log *log = CONTAINER_OF(task, struct log, failed_task);
    log->listener->failed(log->listener, &log->why);
}

void log_fail(struct log *log, const struct disk_request *request, const char *doing)
{
    if (log->poison != ERR_OK) return;
    log->poison = request->err;
    const char *text = request->why.text[0] != '\0' ? request->why.text : err_name(request->err);
    (void)why_fail(&log->why, request->err, "%s: %s: %s", log->directory.text, doing, text);
    trace_event(log->trace, TRACE_WARNING, "log", "failed",
                "shard=%" PRIu32 " written=%" PRIu64 " durable=%" PRIu64 " reason=\"%s\"",
                log->options.shard, log->written.at, log->durable.at, log->why.text);
    clock_timer_stop(log->clock, &log->sync_timer);
    clock_timer_stop(log->clock, &log->space_timer);
    if (!log->blocking) clock_defer(log->clock, &log->failed_task);
}

bool log_unsynced(const struct log *log)
{
    return log->writes != log->writes_synced;
}

static void tell(struct log *log)
{
    if (!log->blocking) log->listener->advanced(log->listener);
}

/* The last thing that a done() does, since the owner may call back from here. */
static void advance(struct log *log)
{
    log_check(log);
    if (log->blocking) log_write_start(log);
    else if (!list_empty(&log->memory.queue) || log->memory.forming != NULL)
        clock_defer(log->clock, &log->push_task);
    tell(log);
}

static void push_run(struct task *task)
{
    struct log *log = CONTAINER_OF(task, struct log, push_task);
    log_write_start(log);
    log_sync_kick(log);
    if (log->closing && log_is_quiet(log)) tell(log);
}

/* A second at most from the first write that is not synced. */
static void sync_timer_kick(struct log *log)
{
    if (log->options.durability != LOG_EVERYSEC || log->closing) return;
    if (!log_unsynced(log) || log->sync_timer.armed) return;
    clock_timer_start(log->clock, &log->sync_timer, LOG_SYNC_PERIOD_US);
}

/* What counts may not move back when the mode changes. */
static void count(struct log *log)
{
    bool always = log->options.durability == LOG_ALWAYS;
    log->counted = lsn_max(log->counted, always ? log->durable : log->written);
}

static void sync_measured(struct log *log, uint64_t began_us)
{
    uint64_t us = clock_now_us(log->clock) - began_us;
    log->stats.syncs++;
    log->stats.sync_us_last = us;
    log->stats.sync_us_total += us;
    if (us > log->stats.sync_us_worst) log->stats.sync_us_worst = us;
    histogram_add(&log->sync_us, us, 1);
}

static void sync_done(struct disk_request *request)
{
    struct log *log = CONTAINER_OF(request, struct log, sync);
    if (log_returned(log, request)) return;
    log->sync_busy = false;
    if (log->poison != ERR_OK) return;
    if (request->err != ERR_OK && !PLANTED(IGNORE_FAILED_SYNC)) {
        log_fail(log, request, "sync");
        return;
    }
    log->durable = lsn_max(log->durable, log->sync_target);
    log->writes_synced = log->sync_writes;
    count(log);
    sync_measured(log, log->sync_began_us);
    sync_timer_kick(log);
    if (log->roll_phase == ROLL_OLD_SYNC) {
        log->roll_phase = ROLL_IDLE;
        log_write_start(log);
    }
    log_sync_kick(log);
    log_trim_kick(log);
    advance(log);
}

static void sync_start(struct log *log)
{
    if (log->poison != ERR_OK || log->sync_busy || !log_unsynced(log)) return;
    log->sync_busy = true;
    log->sync_target = log->written;
    log->sync_writes = log->writes;
    log->sync_began_us = clock_now_us(log->clock);
    log->sync = (struct disk_request){.op = DISK_SYNC, .file = log->file, .done = sync_done};
    if (PLANTED(SKIP_SYNC)) {
        log->sync.op = DISK_FREE_SPACE;
        log->sync.path = log->directory.text;
    }
    log_submit(log, &log->sync);
}

void log_sync_kick(struct log *log)
{
    bool idle = list_empty(&log->memory.queue) && log->memory.forming == NULL;
    bool asked = log->sync_wanted.at > log->durable.at && log->written.at >= log->sync_wanted.at;
    if (asked || log->options.durability == LOG_ALWAYS || log->roll_phase == ROLL_OLD_SYNC ||
        (log->closing && idle && log->flying == NULL))
        sync_start(log);
}

static void sync_timer_fired(struct timer *timer)
{
    sync_start(CONTAINER_OF(timer, struct log, sync_timer));
}

static void space_timer_fired(struct timer *timer)
{
    log_space_ask(CONTAINER_OF(timer, struct log, space_timer));
}

void log_timers_init(struct log *log)
{
    log->sync_timer = (struct timer){.fired = sync_timer_fired};
    log->space_timer = (struct timer){.fired = space_timer_fired};
    log->push_task = (struct task){.run = push_run, .late = true};
    log->failed_task = (struct task){.run = failed_run};
}

/* The write has returned: what it carried counts as its mode says. */
static void write_counts(struct log *log, const struct log_batch *batch)
{
    bool synced = log->write.op == DISK_WRITE_SYNC || PLANTED(SKIP_SYNC);
    bool alone = !log_unsynced(log); /* else an earlier write waits for a sync of its own */
    log->offset += log->write.size;
    log->written = log_batch_last(batch);
    log->writes++;
    if (synced && alone) {
        log->writes_synced = log->writes;
        log->durable = log->written;
    }
    count(log);
    sync_timer_kick(log);
    log->stats.batches++;
    log->stats.entries += batch->count;
    log->stats.bytes += log->write.size;
    if (log->write.op == DISK_WRITE_SYNC) sync_measured(log, log->write_began_us);
}

static void write_done(struct disk_request *request)
{
    struct log *log = CONTAINER_OF(request, struct log, write);
    if (log_returned(log, request)) return;
    struct log_batch *batch = log->flying;
    log->flying = NULL;
    list_append(&log->memory.kept, &batch->node);
    if (log->poison != ERR_OK) return;
    if (request->err != ERR_OK && !PLANTED(IGNORE_FAILED_SYNC)) {
        log_fail(log, request, "write");
        return;
    }
    write_counts(log, batch);
    log_release_forgotten(log);
    log_sync_kick(log);
    log_trim_kick(log);
    advance(log);
}

static void write_submit(struct log *log, struct log_batch *batch)
{
    bool opens = epoch_compare(batch->epoch, batch->before.epoch) != 0;
    struct log_batch_header header = {
        .flags = batch->count == 0 ? LOG_BATCH_EMPTY
                 : opens           ? LOG_BATCH_EPOCH
                                   : 0,
        .cluster = log->options.cluster,
        .shard = log->options.shard,
        .epoch = batch->epoch,
        .first = batch->before.next,
        .count = batch->count,
        .length = batch->used - LOG_BATCH_HEADER_BYTES,
        .stamp = batch->stamp,
        .durable = log->durable,
        .committed = lsn_min(log->committed, log->written),
        .lineage = batch->before.lineage,
    };
    const struct log_segment *segment = &log->segments[log->segment_count - 1];
    log_batch_seal(batch->at, &header, segment->header.salt, log->offset);
    log->recorded_durable = header.durable;
    log->recorded_committed = header.committed;
    bool synced = log->options.durability == LOG_ALWAYS && !PLANTED(SKIP_SYNC);
    log->write = (struct disk_request){.op = synced ? DISK_WRITE_SYNC : DISK_WRITE,
                                       .file = log->file,
                                       .offset = log->offset,
                                       .data = batch->at,
                                       .size = log_padded(batch->used),
                                       .done = write_done};
    MUST(log->offset + log->write.size <= segment->size);
    log->flying = batch;
    log->write_began_us = clock_now_us(log->clock);
    log_submit(log, &log->write);
}

void log_write_start(struct log *log)
{
    if (log->poison != ERR_OK || log->flying != NULL) return;
    if (log->roll_phase != ROLL_IDLE && log->roll_phase != ROLL_CLOSE) return;
    if (log->sequence_named < log->sequence && !PLANTED(NEWEST_NOT_NAMED)) return; /* roll.c */
    if (list_empty(&log->memory.queue)) log_seal(log);
    struct list *node = list_first(&log->memory.queue);
    if (node == NULL) return;
    struct log_batch *batch = CONTAINER_OF(node, struct log_batch, node);
    if (batch->rolls) {
        if (log->roll_phase == ROLL_IDLE) log_roll_start(log, batch);
        return;
    }
    list_remove(node);
    write_submit(log, batch);
}

void log_push(struct log *log)
{
    log_write_start(log);
    log_check(log);
}

void log_sync_soon(struct log *log)
{
    log->sync_wanted = log_appended(log);
    log_write_start(log);
    log_sync_kick(log);
    log_check(log);
}

void log_set_durability(struct log *log, enum log_durability durability)
{
    log->options.durability = durability;
    if (durability == LOG_ALWAYS) log_sync_soon(log);
    sync_timer_kick(log);
    log_check(log);
}

void log_note_committed(struct log *log, struct lsn committed)
{
    MUST(committed.at < log->chain.next.at);
    log->committed = lsn_max(log->committed, committed);
    log_check(log);
}

void log_note_idle(struct log *log)
{
    bool busy = log->flying != NULL || log->memory.forming != NULL ||
                log->roll_phase != ROLL_IDLE || !list_empty(&log->memory.queue);
    bool recorded = log->recorded_durable.at >= log->durable.at &&
                    log->recorded_committed.at >= lsn_min(log->committed, log->written).at;
    if (busy || recorded || log->poison != ERR_OK || log->closing) return;
    if (log->plan_room < LOG_SECTOR_BYTES) { /* the superblock can say it too */
        log->recorded_durable = log->durable;
        log->recorded_committed = lsn_min(log->committed, log->written);
        log_slots_write(log);
        return;
    }
    struct log_batch *batch = log_batch_begin(&log->memory, 0, log->plan_room);
    batch->before = log->chain;
    batch->epoch = log->chain.epoch;
    batch->stamp = log->chain.stamp;
    log->plan_room -= log_padded(batch->used);
    log_batch_end(&log->memory, batch);
    list_append(&log->memory.queue, &batch->node);
    log_write_start(log);
    log_check(log);
}
