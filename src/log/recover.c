/* SPDX-License-Identifier: Apache-2.0 */
/* Where a log ends.
 *
 * Batches are read in order; the log ends before the first place without a good one. Whether that
 * is the torn end of an interrupted write or damage to something that was promised is decided by
 * what was recorded:
 *   - a superblock (either slot), or any batch behind that place, says that an entry from there
 *     on was durable: damage. Nothing is changed; an operator or another copy must decide.
 *   - nobody says so: torn tail. Everything from there on is dropped, later good batches
 *     included: without a sync between them the disk may have kept a later write and lost an
 *     earlier one.
 * That a segment follows says as much as a record: it is named only once all before it is durable.
 *
 * A batch whose checksums hold but which does not continue the chain (LSN, lineage, epoch, stamp)
 * was never written here by a crash: no place of a segment is written twice. It is damage too.
 *
 * Entries beyond the recorded watermark may have been read back from the page cache of a machine
 * whose disk never got them (a sync failed, the process ended). log_open writes them again before
 * they count. */
#include "log/recover.h"

#include <inttypes.h>

#include "base/plant.h"

enum err log_chain_broken(const struct log_scan *scan, const struct log_batch_view *view,
                          const char *wrong, struct why *why)
{
    uint64_t first = view->header.first.at;
    uint64_t last = view->header.count > 0 ? first + view->header.count - 1 : first;
    return why_fail(why, ERR_CORRUPT,
                    "%s: offset %" PRIu64 ": batch of LSN %" PRIu64 " to %" PRIu64 ": %s",
                    scan->name, view->offset, first, last, wrong);
}

const char *log_batch_wrong(const struct log_directory *directory, const struct log_chain *chain,
                            const struct log_batch_header *header)
{
    if (header->cluster != directory->superblock.cluster) return "of another cluster";
    if (header->shard != directory->superblock.shard) return "of another shard";
    return log_chain_follows(chain, header);
}

static enum err tail_is_damage(const struct log_scan *scan, struct lsn next, struct lsn durable,
                               const char *source, struct why *why)
{
    return why_fail(why, ERR_CORRUPT,
                    "%s: offset %" PRIu64 ": no good batch for LSN %" PRIu64 ", but LSN %" PRIu64
                    " to %" PRIu64 " were durable (recorded by %s)",
                    scan->name, scan->offset, next.at, next.at, durable.at, source);
}

enum err log_tail_missing(const struct log_scan *scan, struct lsn next, struct lsn limit,
                          struct why *why)
{
    return tail_is_damage(scan, next, (struct lsn){limit.at - 1}, "the segment that follows", why);
}

enum err log_tail_judge(const struct log_directory *directory, struct log_scan *scan,
                        struct lsn next, struct log_evidence *evidence, struct why *why)
{
    enum err err = log_scan_evidence(scan, evidence, why);
    if (err != ERR_OK) return err;
    if (PLANTED(CUT_BELOW_WATERMARK)) return ERR_OK;
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        const struct log_superblock *slot = &directory->slots.slot[i];
        if (directory->slots.good[i] && slot->durable.at >= next.at)
            return tail_is_damage(scan, next, slot->durable,
                                  i == 0 ? "superblock a" : "superblock b", why);
    }
    if (evidence->durable.at >= next.at)
        return tail_is_damage(scan, next, evidence->durable, "a later batch", why);
    return ERR_OK;
}

/* What one segment adds to what is known. */
struct walk {
    const struct log_directory *directory;
    struct log_recovery *recovery;
    struct log_scan scan;
    struct lsn limit; /* the next segment's first LSN, or LOG_LSN_MAX */
    bool last;
    struct log_resume candidate; /* becomes the recovery's when `durable` has passed it */
};

struct log_resume log_resume_begin(const struct log_segment *segment)
{
    return (struct log_resume){LOG_SEGMENT_HEADER_BYTES, segment->header.start};
}

/* The scan stands behind a batch. What is recorded as durable grows with the batches: a place that
 * it has passed, and one that it has not, are enough to stay near it. */
static void walk_remember(struct walk *walk)
{
    struct log_recovery *recovery = walk->recovery;
    if (lsn_before(recovery->durable, walk->candidate.chain.next)) return;
    recovery->resume = walk->candidate;
    walk->candidate = (struct log_resume){walk->scan.offset, recovery->end};
}

static enum err walk_batch(struct walk *walk, const struct log_batch_view *view, struct why *why)
{
    struct log_recovery *recovery = walk->recovery;
    const char *wrong = log_batch_wrong(walk->directory, &recovery->end, &view->header);
    if (wrong == NULL) wrong = log_chain_take(&recovery->end, view, walk->limit);
    if (wrong != NULL) return log_chain_broken(&walk->scan, view, wrong, why);
    recovery->durable = lsn_max(recovery->durable, view->header.durable);
    recovery->committed = lsn_max(recovery->committed, view->header.committed);
    walk_remember(walk);
    return ERR_OK;
}

/* The plant TAIL_KEEPS_LATER_BATCHES: goes on behind the hole as if nothing were missing. */
static bool walk_skips_the_hole(struct walk *walk, const struct log_evidence *evidence)
{
    if (!PLANTED(TAIL_KEEPS_LATER_BATCHES) || evidence->next_whole == 0) return false;
    struct log_batch_view view;
    walk->scan.offset = evidence->next_whole;
    if (log_scan_next(&walk->scan, &view, NULL) != ERR_OK) return false;
    walk->scan.offset = view.offset;
    walk->recovery->end.next = view.header.first;
    walk->recovery->end.lineage = view.header.lineage;
    walk->recovery->end.epoch = view.header.epoch;
    return true;
}

/* No good batch begins where the scan stands. ERR_PENDING (only with a plant): go on all the same.
 */
static enum err walk_ends(struct walk *walk, struct why *why)
{
    struct log_recovery *recovery = walk->recovery;
    struct log_evidence evidence;
    if (!walk->last && !PLANTED(CUT_BELOW_WATERMARK))
        return log_tail_missing(&walk->scan, recovery->end.next, walk->limit, why);
    enum err err = log_tail_judge(walk->directory, &walk->scan, recovery->end.next, &evidence, why);
    if (err != ERR_OK) return err;
    if (walk_skips_the_hole(walk, &evidence)) return ERR_PENDING;
    recovery->torn_bytes = evidence.end - walk->scan.offset;
    return ERR_OK;
}

static enum err walk_segment(struct walk *walk, const struct log_segment *segment, struct why *why)
{
    walk->recovery->resume = walk->candidate = log_resume_begin(segment);
    enum err err = log_scan_open(&walk->scan, walk->directory->home, segment, why);
    while (err == ERR_OK && walk->recovery->end.next.at < walk->limit.at) {
        struct log_batch_view view;
        err = log_scan_next(&walk->scan, &view, why);
        if (err == ERR_OK) {
            err = walk_batch(walk, &view, why);
        } else if (err == ERR_NOT_FOUND) {
            err = walk_ends(walk, why);
            if (err == ERR_OK) break;
            if (err == ERR_PENDING) err = ERR_OK;
        }
    }
    walk->recovery->end_offset = walk->scan.offset;
    log_scan_close(&walk->scan);
    return err;
}

/* The segment in which the first entry that is not recorded as durable would be. */
static size_t first_open_segment(const struct log_directory *directory)
{
    size_t i = 0;
    while (i + 1 < directory->count &&
           directory->segments[i + 1].header.start.next.at <= directory->superblock.durable.at + 1)
        i++;
    return i;
}

enum err log_recover(const struct log_directory *directory, enum log_depth depth,
                     struct log_recovery *recovery, struct why *why)
{
    const struct log_superblock *superblock = &directory->superblock;
    size_t begin = depth == LOG_DEPTH_ALL ? 0 : first_open_segment(directory);
    *recovery = (struct log_recovery){.end = directory->segments[begin].header.start,
                                      .durable = superblock->durable,
                                      .committed = superblock->committed};
    for (size_t i = begin; i < directory->count; i++) {
        const struct log_segment *segment = &directory->segments[i];
        struct walk walk = {.directory = directory,
                            .recovery = recovery,
                            .limit = {LOG_LSN_MAX},
                            .last = i + 1 == directory->count};
        if (!walk.last) walk.limit = directory->segments[i + 1].header.start.next;
        if (!log_chain_equal(&recovery->end, &segment->header.start))
            return why_fail(why, ERR_CORRUPT,
                            "segment of LSN %" PRIu64
                            ": offset 0: does not continue the one before",
                            segment->header.start.next.at);
        enum err err = walk_segment(&walk, segment, why);
        if (err != ERR_OK) return err;
        struct lsn before = {segment->header.start.next.at - 1};
        recovery->durable = lsn_max(recovery->durable, before);
    }
    struct lsn last = {recovery->end.next.at - 1};
    recovery->clean = superblock->state == LOG_CLEAN && superblock->durable.at == last.at &&
                      recovery->torn_bytes == 0;
    recovery->committed = lsn_min(recovery->committed, last);
    if (recovery->durable.at > last.at && !PLANTED(CUT_BELOW_WATERMARK))
        return why_fail(why, ERR_CORRUPT,
                        "the log ends at LSN %" PRIu64 ", but LSN %" PRIu64 " was durable", last.at,
                        recovery->durable.at);
    recovery->durable = lsn_min(recovery->durable, last);
    return ERR_OK;
}

void log_recovery_report(const struct log_directory *directory, const struct log_recovery *recovery,
                         struct log_found *found)
{
    const struct log_superblock *superblock = &directory->superblock;
    const struct log_chain *start = &directory->segments[0].header.start;
    *found = (struct log_found){
        .clean = recovery->clean,
        .last = {superblock->history,
                 recovery->end.epoch,
                 {recovery->end.next.at - 1},
                 recovery->end.lineage},
        .stamp = recovery->end.stamp,
        .first = superblock->floor,
        .before = {superblock->history, start->epoch, {start->next.at - 1}, start->lineage},
        .committed = recovery->committed,
        .durable = recovery->durable,
        .torn_bytes = recovery->torn_bytes,
        .copied_entries = recovery->end.next.at - 1 - recovery->durable.at,
        .promised = superblock->promised,
        .incarnation = superblock->incarnation,
    };
}
