/* SPDX-License-Identifier: Apache-2.0 */
/* Both slots of the superblock, always written one after the other, each synced before the next:
 * whatever a crash or a bad sector does to one, the other is whole. Nobody relies on a change
 * before it is in both.
 *
 * A start begins with the bad slot or, when both are good, with the newer one: the process before
 * may have died while it was being synced, so that only the page cache has it. The other one is
 * durable for certain. From then on they alternate. */
#include "log/parts.h"

#include "base/plant.h"

static void superblock_now(struct log *log, enum log_superblock_state state)
{
    struct log_superblock *superblock = &log->superblock;
    superblock->state = state;
    superblock->durable = log->durable;
    superblock->committed = log->committed;
    superblock->floor = log->floor;
    const struct log_segment *newest = &log->segments[log->segment_count - 1];
    superblock->newest = newest->header.start.next;
    superblock->newest_sequence = newest->header.sequence;
    if (PLANTED(DURABLE_RECORDED_AHEAD)) superblock->durable = log_appended(log);
}

/* Both slots hold what was encoded last. */
static void slots_written(struct log *log)
{
    log->floor_durable = log->superblock.floor;
    log->sequence_named = log->superblock.newest_sequence;
}

static void slot_prepare(struct log *log)
{
    log->superblock.sequence++;
    log_superblock_encode(&log->superblock, log->slot_next, log->slot_page);
    log->slot = (struct disk_request){.op = DISK_WRITE_SYNC,
                                      .file = log->slot_file[log->slot_next],
                                      .data = log->slot_page,
                                      .size = LOG_SUPERBLOCK_BYTES};
    log->slot_next = (log->slot_next + 1) % LOG_SUPERBLOCK_SLOTS;
}

static void slot_done(struct disk_request *request);

static void slot_submit(struct log *log)
{
    slot_prepare(log);
    log->slot.done = slot_done;
    log_submit(log, &log->slot);
}

static void slot_done(struct disk_request *request)
{
    struct log *log = CONTAINER_OF(request, struct log, slot);
    if (log_returned(log, request)) return;
    if (log->poison != ERR_OK) return;
    if (request->err != ERR_OK && !PLANTED(IGNORE_FAILED_SYNC)) {
        log_fail(log, request, "superblock");
        return;
    }
    log->slots_left--;
    if (log->slots_left > 0) {
        slot_submit(log);
        return;
    }
    slots_written(log);
    if (log->slots_again) log_slots_write(log);
    log_trim_kick(log);
    log_write_start(log);
    log_promise_written(log);
}

void log_slots_write(struct log *log)
{
    if (log->poison != ERR_OK) return;
    log->slots_again = log->slots_left > 0;
    if (log->slots_again) return;
    superblock_now(log, LOG_OPEN);
    log->slots_left = LOG_SUPERBLOCK_SLOTS;
    slot_submit(log);
}

enum err log_slots_write_some(struct log *log, enum log_superblock_state state, unsigned slots,
                              struct why *why)
{
    MUST(log->slots_left == 0);
    superblock_now(log, state);
    for (unsigned i = 0; i < slots; i++) {
        slot_prepare(log);
        enum err err = log_run(log->disk, &log->slot, why);
        if (err != ERR_OK) {
            why_prefix(why, "superblock");
            return err;
        }
    }
    slots_written(log);
    return ERR_OK;
}

enum err log_slots_write_now(struct log *log, enum log_superblock_state state, struct why *why)
{
    return log_slots_write_some(log, state, LOG_SUPERBLOCK_SLOTS, why);
}
