/* SPDX-License-Identifier: Apache-2.0 */
/* recover: where a log ends, and whether that is an end or damage. Reads only. */
#ifndef LOG_RECOVER_H
#define LOG_RECOVER_H

#include "log/log.h"
#include "log/scan.h"

/* A boundary between two batches of a segment: reading can go on there. */
struct log_resume {
    uint64_t offset;
    struct log_chain chain;
};

struct log_recovery {
    struct log_chain end; /* behind the last entry that counts */
    uint64_t end_offset;  /* in the last segment: behind its last good batch */
    /* In the last segment: the entry that follows is at or below `durable`, or else it is the
     * segment's beginning. Whoever wants what lies beyond `durable` need not read from further
     * back. */
    struct log_resume resume;
    struct lsn durable;   /* recorded: superblocks, batches, segments */
    struct lsn committed; /* recorded, at most the last entry */
    uint64_t torn_bytes;
    bool clean;
    bool cut;          /* the end was chosen: what is behind it goes */
    uint64_t sequence; /* then: of the newest segment, which goes too */
};

/* How much is read byte by byte: what the recorded watermark leaves open (what lies below it was
 * checked by headers, and is checked again by whoever reads it), or everything. */
enum log_depth { LOG_DEPTH_TAIL, LOG_DEPTH_ALL };

/* ERR_CORRUPT names file, offset and LSN range. */
MUST_USE enum err log_recover(const struct log_directory *directory, enum log_depth depth,
                              struct log_recovery *recovery, struct why *why);
void log_recovery_report(const struct log_directory *directory, const struct log_recovery *recovery,
                         struct log_found *found);

/* The segment's beginning. */
struct log_resume log_resume_begin(const struct log_segment *segment);

/* Makes `last` the end, if it is before it (cut.c). ERR_REFUSED: it is committed beyond, or not
 * kept; ERR_CORRUPT, ERR_IO. */
MUST_USE enum err log_recovery_cut(struct log_directory *directory, struct lsn last,
                                   struct log_recovery *recovery, struct why *why);

/* Whether the log may end where `scan` stands, before the entry `next`. ERR_OK: a torn tail, or
 * nothing; ERR_CORRUPT: something recorded that `next` was durable. */
MUST_USE enum err log_tail_judge(const struct log_directory *directory, struct log_scan *scan,
                                 struct lsn next, struct log_evidence *evidence, struct why *why);

/* ERR_CORRUPT: the entries from `next` up to, not including, `limit` are not where `scan` stands.
 */
enum err log_tail_missing(const struct log_scan *scan, struct lsn next, struct lsn limit,
                          struct why *why);

/* NULL, or the reason why a batch with this header is not the next one of the log. */
const char *log_batch_wrong(const struct log_directory *directory, const struct log_chain *chain,
                            const struct log_batch_header *header);
/* ERR_CORRUPT, with file, offset and LSN range of the batch. */
enum err log_chain_broken(const struct log_scan *scan, const struct log_batch_view *view,
                          const char *wrong, struct why *why);

#endif
