/* SPDX-License-Identifier: Apache-2.0 */
/* Memory is bounded by the window, or by one batch where a batch is larger: the header's checksum
 * vouches for the length, and the file must be long enough to hold it. */
#include "log/scan.h"

#include "base/memory.h"
#include "log/log.h"

/* Behind a batch that was passed a read asks for more than the next header only if batches are so
 * small that more headers stand there. */
enum {
    LOG_SCAN_WINDOW_BYTES = 1 << 20,
    LOG_PASS_WINDOW_BYTES = 64 << 10,
    LOG_PASS_SMALL_BYTES = 16 << 10,
    LOG_PASS_HEADER_BYTES = 4096,
};

enum err log_scan_open(struct log_scan *scan, struct log_home home,
                       const struct log_segment *segment, struct why *why)
{
    *scan = (struct log_scan){.home = home,
                              .salt = segment->header.salt,
                              .offset = LOG_SEGMENT_HEADER_BYTES,
                              .ahead = LOG_SCAN_WINDOW_BYTES};
    log_segment_name(segment->header.shard, segment->header.start.next, scan->name);
    struct disk_request opened;
    enum err err = log_file_open(home, scan->name, LOG_FILE_READ, &opened, why);
    if (err != ERR_OK) {
        why_prefix(why, scan->name);
        return err;
    }
    scan->file = opened.file;
    scan->size = opened.size;
    return ERR_OK;
}

void log_scan_close(struct log_scan *scan)
{
    if (scan->home.disk != NULL) log_file_close(scan->home, scan->file);
    memory_free(scan->window);
    *scan = (struct log_scan){0};
}

static void window_grow(struct log_scan *scan, uint64_t need)
{
    uint64_t capacity = scan->size < LOG_SCAN_WINDOW_BYTES ? scan->size : LOG_SCAN_WINDOW_BYTES;
    if (capacity < need) capacity = need;
    if (capacity <= scan->window_capacity) return;
    memory_free(scan->window);
    scan->window = memory_alloc(capacity);
    scan->window_capacity = capacity;
    scan->window_size = 0;
}

/* Points *at to `need` bytes of the file from `offset` on. ERR_NOT_FOUND: the file ends before. */
static enum err window_need(struct log_scan *scan, uint64_t offset, uint64_t need,
                            const uint8_t **at, struct why *why)
{
    if (offset > scan->size || need > scan->size - offset) return ERR_NOT_FOUND;
    bool inside = offset >= scan->window_at && offset + need <= scan->window_at + scan->window_size;
    if (!inside) {
        window_grow(scan, need);
        struct disk_request request = {.op = DISK_READ,
                                       .file = scan->file,
                                       .offset = offset,
                                       .data = scan->window,
                                       .size = need > scan->ahead ? need : scan->ahead};
        if (request.size > scan->window_capacity) request.size = scan->window_capacity;
        if (request.size > scan->size - offset) request.size = scan->size - offset;
        scan->window_size = 0;
        enum err err = log_run(scan->home.disk, &request, why);
        if (err != ERR_OK) {
            why_prefix(why, scan->name);
            return err;
        }
        scan->window_at = offset;
        scan->window_size = request.moved;
        if (request.moved < need) return ERR_NOT_FOUND;
    }
    *at = scan->window + (offset - scan->window_at);
    return ERR_OK;
}

static uint64_t whole_batch(const struct log_batch_view *view)
{
    return log_padded(LOG_BATCH_HEADER_BYTES + view->header.length);
}

static enum err header_at(struct log_scan *scan, uint64_t offset, struct log_batch_view *view,
                          struct why *why)
{
    const uint8_t *at;
    enum err err = window_need(scan, offset, LOG_BATCH_HEADER_BYTES, &at, why);
    if (err != ERR_OK) return err;
    if (!log_batch_decode(at, scan->salt, offset, &view->header)) return ERR_NOT_FOUND;
    view->offset = offset;
    view->body = (struct bytes){NULL, 0};
    return whole_batch(view) > scan->size - offset ? ERR_NOT_FOUND : ERR_OK;
}

/* The batch at `offset`, wherever the scan stands. */
static enum err batch_at(struct log_scan *scan, uint64_t offset, struct log_batch_view *view,
                         struct why *why)
{
    const uint8_t *at;
    enum err err = header_at(scan, offset, view, why);
    if (err == ERR_OK) err = window_need(scan, offset, whole_batch(view), &at, why);
    if (err != ERR_OK) return err;
    if (!log_batch_body_is_good(at, &view->header, scan->salt, offset)) return ERR_NOT_FOUND;
    view->body = bytes_of(at + LOG_BATCH_HEADER_BYTES, view->header.length);
    return ERR_OK;
}

enum err log_scan_next(struct log_scan *scan, struct log_batch_view *view, struct why *why)
{
    scan->ahead = LOG_SCAN_WINDOW_BYTES;
    enum err err = batch_at(scan, scan->offset, view, why);
    if (err == ERR_OK) scan->offset += whole_batch(view);
    return err;
}

enum err log_scan_peek(struct log_scan *scan, struct log_batch_view *view, struct why *why)
{
    return header_at(scan, scan->offset, view, why);
}

void log_scan_pass(struct log_scan *scan, const struct log_batch_view *view)
{
    uint64_t whole = whole_batch(view);
    scan->offset += whole;
    scan->ahead = whole < LOG_PASS_SMALL_BYTES ? LOG_PASS_WINDOW_BYTES : LOG_PASS_HEADER_BYTES;
}

enum err log_scan_evidence(struct log_scan *scan, struct log_evidence *evidence, struct why *why)
{
    *evidence = (struct log_evidence){.end = scan->offset};
    for (uint64_t offset = scan->offset;; offset += LOG_SECTOR_BYTES) {
        const uint8_t *at;
        enum err err = window_need(scan, offset, LOG_BATCH_HEADER_BYTES, &at, why);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        if (err != ERR_OK) return err;
        struct log_batch_header header;
        if (!log_batch_decode(at, scan->salt, offset, &header)) continue;
        if (header.durable.at > evidence->durable.at) {
            evidence->durable = header.durable;
            evidence->at = offset;
        }
        evidence->end = offset + log_padded(LOG_BATCH_HEADER_BYTES + header.length);
        if (evidence->end > scan->size) evidence->end = scan->size;
        if (evidence->next_whole != 0) continue;
        struct log_batch_view view;
        err = batch_at(scan, offset, &view, why);
        if (err == ERR_OK) evidence->next_whole = offset;
        else if (err != ERR_NOT_FOUND) return err;
    }
}

const char *log_chain_entry(struct log_chain *chain, struct epoch epoch, struct entry *entry)
{
    entry->lsn = chain->next;
    entry->epoch = epoch;
    if (entry->stamp.bits < chain->stamp.bits) return "its stamp goes back";
    if (log_lineage(chain->lineage, entry).hash != entry->lineage.hash)
        return "its lineage is not that of the entries before";
    *chain = (struct log_chain){lsn_next(entry->lsn), entry->lineage, epoch, entry->stamp};
    return NULL;
}

const char *log_chain_follows(const struct log_chain *chain, const struct log_batch_header *header)
{
    if (header->first.at > chain->next.at) return "a hole before it";
    if (header->first.at < chain->next.at) return "its entries are there already";
    if (header->lineage.hash != chain->lineage.hash)
        return "its lineage is not that of the entries before";
    int order = epoch_compare(header->epoch, chain->epoch);
    if (order < 0) return "its epoch goes back";
    if (header->count > 0 && (order > 0) != ((header->flags & LOG_BATCH_EPOCH) != 0))
        return "its epoch flag is wrong";
    return NULL;
}

const char *log_chain_take(struct log_chain *chain, const struct log_batch_view *view,
                           struct lsn limit)
{
    const char *wrong = NULL;
    struct bytes rest = view->body;
    for (uint32_t i = 0; i < view->header.count && wrong == NULL; i++) {
        struct entry entry;
        if (chain->next.at >= limit.at) return NULL;
        MUST(log_entry_decode(&rest, &entry)); /* the scan has checked the shape */
        wrong = log_chain_entry(chain, view->header.epoch, &entry);
    }
    if (wrong == NULL && chain->stamp.bits != view->header.stamp.bits && view->header.count > 0)
        wrong = "its stamp is not that of its last entry";
    return wrong;
}

const char *log_chain_pass(struct log_chain *chain, const struct log_batch_header *header)
{
    if (header->count == 0) return NULL;
    if (header->stamp.bits < chain->stamp.bits) return "its stamp goes back";
    chain->next.at += header->count;
    chain->epoch = header->epoch;
    chain->stamp = header->stamp;
    return NULL;
}

bool log_chain_equal(const struct log_chain *a, const struct log_chain *b)
{
    return a->next.at == b->next.at && a->lineage.hash == b->lineage.hash &&
           epoch_compare(a->epoch, b->epoch) == 0 && a->stamp.bits == b->stamp.bits;
}
