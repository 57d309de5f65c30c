/* SPDX-License-Identifier: Apache-2.0 */
/* Entries into batches. An LSN is given only when the entry cannot fail any more: its bytes stand
 * in a batch whose place on the disk is planned, in the current segment or in one that is ready or
 * being made. */
#include <inttypes.h>

#include "log/parts.h"
#include "log/scan.h"

void log_check(const struct log *log)
{
    uint64_t appended = log->chain.next.at - 1;
    MUST(log->durable.at <= log->written.at);
    MUST(log->written.at <= appended);
    MUST(log->counted.at >= log->durable.at);
    MUST(log->counted.at <= log->written.at);
    MUST(log->committed.at <= appended);
    MUST(log->forgotten.at <= appended);
    MUST(log->floor.at <= log->durable.at + 1);
    MUST(log->floor_durable.at <= log->floor.at);
    MUST(log->writes_synced <= log->writes);
    MUST(log->segment_count > log->trim_count);
    MUST(log->spare_count <= LOG_SPARE_NUMBERS);
    MUST(log->memory.forming == NULL || log->memory.forming->count > 0);
}

void log_seal(struct log *log)
{
    struct log_batch *batch = log->memory.forming;
    if (batch == NULL) return;
    uint64_t size = log_padded(batch->used);
    MUST(size <= log->plan_room);
    log->plan_room -= size;
    batch->stamp = log->chain.stamp;
    log_batch_end(&log->memory, batch);
    list_append(&log->memory.queue, &batch->node);
    log->memory.forming = NULL;
}

/* Begins a batch whose first entry takes `size` bytes; all its entries are of the epoch. */
static enum err form(struct log *log, struct epoch epoch, uint64_t size)
{
    log_seal(log);
    uint64_t need = log_padded(LOG_BATCH_HEADER_BYTES + size);
    uint64_t usual = log->options.segment_bytes - LOG_SEGMENT_HEADER_BYTES;
    bool rolls = need > log->plan_room;
    uint64_t own_bytes = rolls && need > usual ? LOG_SEGMENT_HEADER_BYTES + need : 0;
    if (rolls) {
        enum err err = log_segment_promised(log, own_bytes);
        if (err != ERR_OK) return err;
        log->plan_room = own_bytes > 0 ? need : usual;
        if (own_bytes == 0) log->plan_rolls++;
    }
    struct log_batch *batch = log_batch_begin(&log->memory, size, log->plan_room);
    batch->rolls = rolls;
    batch->segment_bytes = own_bytes;
    batch->before = log->chain;
    batch->epoch = epoch;
    log->memory.forming = batch;
    log->started = true;
    log_make_kick(log);
    return ERR_OK;
}

/* The entry is the next one; its lineage is right. */
static enum err append(struct log *log, const struct entry *entry)
{
    MUST(entry->payload.size > 0);
    if (log->poison != ERR_OK || log->closing) return ERR_SHUT;
    if (entry->payload.size > LOG_PAYLOAD_BYTES_MAX) return ERR_LIMIT;
    uint64_t size = LOG_ENTRY_HEADER_BYTES + entry->payload.size;
    struct log_batch *batch = log->memory.forming;
    if (batch == NULL || size > batch->room - batch->used ||
        epoch_compare(batch->epoch, entry->epoch) != 0) {
        enum err err = form(log, entry->epoch, size);
        if (err != ERR_OK) return err;
        batch = log->memory.forming;
    }
    struct lsn lsn = entry->lsn;
    if (lsn.at - log->forgotten.at >= log->memory.ring_size)
        log_ring_grow(&log->memory, lsn_next(log->forgotten), lsn);

    uint8_t *place = batch->at + batch->used;
    log_entry_encode(place, entry->stamp, entry->lineage, entry->payload);
    *log_ring_at(&log->memory, lsn) = (struct log_place){place, batch};
    batch->used += size;
    batch->count++;
    log->chain = (struct log_chain){lsn_next(lsn), entry->lineage, entry->epoch, entry->stamp};
    log_check(log);
    return ERR_OK;
}

enum err log_append(struct log *log, struct stamp stamp, struct bytes payload, struct lsn *at)
{
    MUST(stamp.bits >= log->chain.stamp.bits);
    struct entry entry = {
        .lsn = log->chain.next, .epoch = log->epoch, .stamp = stamp, .payload = payload};
    entry.lineage = log_lineage(log->chain.lineage, &entry);
    enum err err = append(log, &entry);
    if (err == ERR_OK) *at = entry.lsn;
    return err;
}

enum err log_append_entry(struct log *log, const struct entry *entry, struct why *why)
{
    struct log_chain chain = log->chain;
    struct entry copy = *entry;
    const char *wrong = NULL;
    if (entry->lsn.at != chain.next.at) wrong = "it is not the next one";
    else if (entry->payload.size == 0) wrong = "it is empty";
    else if (epoch_compare(entry->epoch, chain.epoch) < 0) wrong = "its epoch goes back";
    else wrong = log_chain_entry(&chain, entry->epoch, &copy);
    if (wrong != NULL)
        return why_fail(why, ERR_CORRUPT, "entry %" PRIu64 " of another copy: %s", entry->lsn.at,
                        wrong);
    enum err err = append(log, entry);
    return err == ERR_OK
               ? err
               : why_fail(why, err, "entry %" PRIu64 ": %s", entry->lsn.at, err_name(err));
}

bool log_entry(const struct log *log, struct lsn lsn, struct entry *entry)
{
    if (lsn.at <= log->forgotten.at || lsn.at >= log->chain.next.at) return false;
    const struct log_place *place = log_ring_at(&log->memory, lsn);
    size_t left = place->batch->used - (size_t)(place->at - place->batch->at);
    struct bytes rest = bytes_of(place->at, left);
    MUST(log_entry_decode(&rest, entry));
    entry->lsn = lsn;
    entry->epoch = place->batch->epoch;
    return true;
}

/* What has been written and forgotten gives its bytes back; batches go whole. */
void log_release_forgotten(struct log *log)
{
    struct log_memory *memory = &log->memory;
    for (struct list *node = list_first(&memory->kept); node != NULL;
         node = list_first(&memory->kept)) {
        struct log_batch *batch = CONTAINER_OF(node, struct log_batch, node);
        if (log_batch_last(batch).at > log->forgotten.at) return;
        list_remove(node);
        log_batch_release(memory, batch);
    }
}

void log_forget(struct log *log, struct lsn lsn)
{
    MUST(lsn.at < log->chain.next.at);
    log->forgotten = lsn_max(log->forgotten, lsn);
    log_release_forgotten(log);
    log_check(log);
}

uint64_t log_kept_bytes(const struct log *log)
{
    return log->memory.bytes;
}

struct lsn log_appended(const struct log *log)
{
    return (struct lsn){log->chain.next.at - 1};
}

struct lsn log_written(const struct log *log)
{
    return log->counted;
}

struct lsn log_durable(const struct log *log)
{
    return log->durable;
}

struct lsn log_floor(const struct log *log)
{
    return log->floor;
}

struct mark log_before(const struct log *log)
{
    const struct log_chain *start = &log->segments[log->trim_count].header.start;
    return (struct mark){
        log->superblock.history, start->epoch, {start->next.at - 1}, start->lineage};
}

struct stamp log_last_stamp(const struct log *log)
{
    return log->chain.stamp;
}

struct mark log_last(const struct log *log)
{
    return (struct mark){
        log->superblock.history, log->chain.epoch, {log->chain.next.at - 1}, log->chain.lineage};
}

bool log_is_low(const struct log *log)
{
    return log->low;
}

bool log_is_poisoned(const struct log *log)
{
    return log->poison != ERR_OK;
}

const struct histogram *log_sync_us(const struct log *log)
{
    return &log->sync_us;
}

void log_stats(const struct log *log, struct log_stats *out)
{
    *out = log->stats;
    out->segments = log->segment_count;
    out->segment_bytes_total = 0;
    for (size_t i = 0; i < log->segment_count; i++)
        out->segment_bytes_total += log->segments[i].size;
}
