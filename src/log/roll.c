/* SPDX-License-Identifier: Apache-2.0 */
/* The next segment.
 *
 * When a batch does not fit into the current segment any more, a file that was kept ready (spare.c)
 * becomes the next one. Its content means nothing: a new salt makes old batches invalid.
 *
 *   OLD_SYNC -> HEADER -> RENAME -> DIRECTORY -> both slots -> (the batch is written)
 *                                             -> CLOSE of the old file
 *
 *   OLD_SYNC   everything before is durable, so that a named segment proves it: recovery relies
 *              on that
 *   HEADER     salt, first LSN and the chain so far, synced under the spare's name
 *   RENAME     to the segment's name
 *   DIRECTORY  that name is durable: only now may the superblock name it
 *   both slots name it, so that its loss is noticed: only now may a batch go there
 *
 * Each step waits for the one before; appends go on forming batches meanwhile. A failure of any of
 * them poisons the log. A segment to which nothing was written yet (its first entry does not fit)
 * is replaced by the next one, which begins at the same LSN and so has the same name. */
#include "log/parts.h"

#include "base/memory.h"
#include "base/plant.h"

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
    if (!PLANTED(NEWEST_NOT_NAMED)) log_slots_write(log); /* slot_done goes on with the batch */
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
