/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a log behind an entry, before it is opened: entries that another copy's history does not
 * have are taken back, durably, before anything new is appended (I10).
 *
 * It is the start after an unclean end with a chosen place for that end: a new segment begins
 * behind the entry and hides the rest. Both slots record the lower `durable` before that segment is
 * named, or the log would look damaged. A crash in between leaves the log as it was, with a tail
 * that is written again. */
#include <inttypes.h>

#include "log/parts.h"

static enum err refuse(struct lsn last, const char *what, struct lsn other, struct why *why)
{
    return why_fail(why, ERR_REFUSED, "the log cannot be cut behind LSN %" PRIu64 ": %s %" PRIu64,
                    last.at, what, other.at);
}

/* Moves the end of what was recovered to where the segment that shows `last` has it. */
static enum err find(const struct log_directory *directory, const struct log_segment *segment,
                     struct lsn last, struct log_recovery *recovery, struct why *why)
{
    struct log_scan scan;
    recovery->end = segment->header.start;
    recovery->resume = log_resume_begin(segment); /* the other one may be behind the new end */
    enum err err = log_scan_open(&scan, directory->home, segment, why);
    while (err == ERR_OK && !lsn_before(last, recovery->end.next)) {
        struct log_batch_view view;
        const char *wrong = NULL;
        err = log_scan_next(&scan, &view, why);
        if (err == ERR_NOT_FOUND)
            err = log_tail_missing(&scan, recovery->end.next, lsn_next(last), why);
        if (err != ERR_OK) break;
        wrong = log_batch_wrong(directory, &recovery->end, &view.header);
        if (wrong == NULL) wrong = log_chain_take(&recovery->end, &view, lsn_next(last));
        if (wrong != NULL) err = log_chain_broken(&scan, &view, wrong, why);
    }
    recovery->end_offset = scan.offset;
    log_scan_close(&scan);
    return err;
}

enum err log_recovery_cut(struct log_directory *directory, struct lsn last,
                          struct log_recovery *recovery, struct why *why)
{
    struct lsn end = {recovery->end.next.at - 1};
    struct lsn floor = directory->segments[0].header.start.next;
    if (!lsn_before(last, end)) return ERR_OK;
    if (lsn_before(last, recovery->committed))
        return refuse(last, "committed is", recovery->committed, why);
    if (lsn_before(lsn_next(last), floor)) return refuse(last, "the first one kept is", floor, why);
    size_t count = directory->count;
    recovery->sequence = directory->segments[count - 1].header.sequence;
    while (count > 1 && lsn_before(last, directory->segments[count - 1].header.start.next)) {
        char name[LOG_NAME_BYTES];
        const struct log_segment_header *header = &directory->segments[--count].header;
        if (header->start.next.at == lsn_next(last).at) continue; /* the new one takes its name */
        log_segment_name(header->shard, header->start.next, name);
        buffer_append(&directory->cut, bytes_of(name, strlen(name) + 1));
    }
    enum err err = find(directory, &directory->segments[count - 1], last, recovery, why);
    if (err != ERR_OK) return err;
    directory->count = count;
    recovery->durable = lsn_min(recovery->durable, last);
    recovery->clean = false;
    recovery->cut = true;
    return ERR_OK;
}
