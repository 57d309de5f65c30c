/* SPDX-License-Identifier: Apache-2.0 */
/* scan: reads the batches of one segment file in order, in a bounded window. Blocks. */
#ifndef LOG_SCAN_H
#define LOG_SCAN_H

#include "log/directory.h"

/* A whole batch whose checksums hold; only its header's when it was peeked at. */
struct log_batch_view {
    struct log_batch_header header;
    uint64_t offset;
    struct bytes body; /* the entries; borrowed until the scan moves */
};

/* Owned by its opener; log_scan_close. */
struct log_scan {
    struct log_home home;
    struct disk_file *file;
    char name[LOG_NAME_BYTES];
    uint64_t size, salt;
    uint64_t offset; /* where the next batch begins */
    uint8_t *window;
    uint64_t window_capacity, window_at, window_size;
    uint64_t ahead; /* bytes that a read asks for, if it needs no more */
};

/* What lies behind the first place without a good batch. */
struct log_evidence {
    struct lsn durable;  /* the greatest recorded; 0: none */
    uint64_t at;         /* offset of the batch that records it */
    uint64_t end;        /* end of the last batch whose header is good; the place itself if none */
    uint64_t next_whole; /* offset of the next batch that is wholly good; 0: none */
};

/* On failure nothing stays open. */
MUST_USE enum err log_scan_open(struct log_scan *scan, struct log_home home,
                                const struct log_segment *segment, struct why *why);
void log_scan_close(struct log_scan *scan); /* opened or zeroed */
/* ERR_OK: *view is the batch at scan->offset, which moves behind it. ERR_NOT_FOUND: no good batch
 * begins there; nothing moved. ERR_IO. */
MUST_USE enum err log_scan_next(struct log_scan *scan, struct log_batch_view *view,
                                struct why *why);
/* The same by the header alone: a body of its length fits into the file, but is neither read nor
 * checked, and view->body is empty. Nothing moves. */
MUST_USE enum err log_scan_peek(struct log_scan *scan, struct log_batch_view *view,
                                struct why *why);
/* Moves behind the batch that was peeked at. */
void log_scan_pass(struct log_scan *scan, const struct log_batch_view *view);
/* Looks at every sector from scan->offset to the end. Does not move it. */
MUST_USE enum err log_scan_evidence(struct log_scan *scan, struct log_evidence *evidence,
                                    struct why *why);

/* NULL, or the reason why a batch with this header is not the next one of the chain. */
const char *log_chain_follows(const struct log_chain *chain, const struct log_batch_header *header);
/* For a batch that follows. Moves the chain behind the batch's entries, but never behind `limit`.
 * NULL, or the reason why the batch does not continue the chain (which is then somewhere within the
 * batch). */
const char *log_chain_take(struct log_chain *chain, const struct log_batch_view *view,
                           struct lsn limit);
/* For a batch that follows and whose entries are not read: moves the chain behind them, but for the
 * lineage, which is the one that the next header names. NULL, or the reason why it cannot be. */
const char *log_chain_pass(struct log_chain *chain, const struct log_batch_header *header);
/* Moves the chain behind the entry, whose stamp, lineage and payload are given; fills in lsn and
 * epoch. */
const char *log_chain_entry(struct log_chain *chain, struct epoch epoch, struct entry *entry);
bool log_chain_equal(const struct log_chain *a, const struct log_chain *b);

#endif
