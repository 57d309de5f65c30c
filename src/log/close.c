/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a log. A request in flight borrows memory and files of the log, so both are given back
 * only when the last one has returned; until then the log is gone for its owner and silent.
 *
 * A clean superblock claims that nothing is missing: it is written only when every entry is
 * durable. */
#include "log/parts.h"

#include "base/memory.h"

void log_stop(struct log *log)
{
    if (log->closing) return;
    log->closing = true;
    clock_timer_stop(log->clock, &log->sync_timer);
    clock_timer_stop(log->clock, &log->space_timer);
    /* Started, or told, in the next turn: never from inside this call. */
    clock_defer(log->clock, &log->push_task);
}

/* Requests of which the files' content, or names, depend. */
static bool in_flight(const struct log *log)
{
    return log->flying != NULL || log->sync_busy || log->roll_phase != ROLL_IDLE ||
           log->slots_left > 0 || log->trim_phase != TRIM_IDLE;
}

bool log_is_quiet(const struct log *log)
{
    if (log->requests > 0) return false;
    if (log->poison != ERR_OK) return true;
    return !in_flight(log) && log->memory.forming == NULL && list_empty(&log->memory.queue) &&
           !log_unsynced(log);
}

/* Answers the requests that were run, until none leads to another. */
static void pump(struct log *log)
{
    while (log->ran_count > 0) {
        struct disk_request *request = log->ran[0];
        log->ran_count--;
        memmove(&log->ran[0], &log->ran[1], log->ran_count * sizeof(log->ran[0]));
        request->done(request);
    }
}

static enum err finish(struct log *log, struct why *why)
{
    if (log->poison == ERR_OK && !in_flight(log)) {
        log->blocking = true;
        log_write_start(log);
        pump(log);
        log_sync_kick(log);
        pump(log);
    }
    if (log->poison != ERR_OK) return why_fail(why, log->poison, "%s", log->why.text);
    bool written = log->memory.forming == NULL && list_empty(&log->memory.queue) &&
                   !log_unsynced(log) && !in_flight(log);
    if (!written) return why_fail(why, ERR_REFUSED, "closed with entries that are not durable");
    return log_slots_write_now(log, LOG_CLEAN, why);
}

/* The owner lets go; what is in flight ends by itself. */
static void let_go(struct log *log)
{
    clock_cancel(log->clock, &log->push_task);
    clock_cancel(log->clock, &log->promise_task);
    clock_cancel(log->clock, &log->failed_task);
    clock_timer_stop(log->clock, &log->sync_timer);
    clock_timer_stop(log->clock, &log->space_timer);
    for (struct list *node = list_first(&log->pins); node != NULL; node = list_first(&log->pins))
        list_remove(node);
    log->gone = true;
    if (log->requests == 0) log_free(log);
}

enum err log_close(struct log *log, struct why *why)
{
    if (log == NULL) return ERR_OK;
    log->closing = true;
    enum err err = finish(log, why);
    let_go(log);
    return err;
}

void log_abandon(struct log *log)
{
    if (log != NULL) let_go(log);
}

void log_free(struct log *log)
{
    struct log_home home = {log->disk, log->directory.text};
    log_file_close(home, log->file);
    for (size_t i = 0; i < log->spare_count; i++) log_file_close(home, log->spares[i].file);
    log_file_close(home, log->own.file);
    log_file_close(home, log->making.file);
    log_file_close(home, log->rolling.file);
    log_file_close(home, log->cutting);
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) log_file_close(home, log->slot_file[i]);
    if (log->flying != NULL) list_append(&log->memory.kept, &log->flying->node);
    log_memory_release(&log->memory);
    memory_free(log->segments);
    memory_free(log->page);
    memory_free(log->slot_page);
    memory_free(log);
}
