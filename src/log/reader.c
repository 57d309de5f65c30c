/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of a directory in order, batch by batch. What is given has been checked: both checksums
 * of its batch, its LSN and its lineage. The end is reached only where recovery would end the log
 * too; anything else that stops the reading is an error.
 *
 * On the way to the first entry asked for, batches of entries that are recorded as durable are
 * passed by their headers: those must be good and follow one another, but the entries are not read.
 * What is not recorded so is read and checked: it may be a torn end, and what stands behind that
 * does not count. */
#include "log/log.h"

#include <inttypes.h>

#include "base/memory.h"
#include "base/path.h"
#include "log/recover.h"

struct log_reader {
    char *path; /* of the directory */
    struct log_directory directory;
    size_t index;     /* of the segment that is being read */
    struct lsn limit; /* the next segment's first LSN, or LOG_LSN_MAX */
    struct lsn from;  /* earlier entries are left out */
    struct log_scan scan;
    struct log_chain chain;
    bool passed; /* the batch before: the chain's lineage is what the next header names */
    struct log_batch_view view;
    struct bytes rest; /* entries of the batch that have not been given */
    uint64_t offset;   /* of the entry given last */
};

static bool is_last(const struct log_reader *reader)
{
    return reader->index + 1 == reader->directory.count;
}

static enum err segment_begin(struct log_reader *reader, struct why *why)
{
    const struct log_segment *segment = &reader->directory.segments[reader->index];
    log_scan_close(&reader->scan);
    reader->rest = (struct bytes){NULL, 0};
    reader->limit = (struct lsn){LOG_LSN_MAX};
    if (!is_last(reader)) reader->limit = segment[1].header.start.next;
    enum err err = log_scan_open(&reader->scan, reader->directory.home, segment, why);
    /* Its header has been read: one that is gone by now is no end. */
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

enum err log_reader_open(struct log_reader **out, struct disk *disk, const char *directory,
                         struct lsn from, struct why *why)
{
    *out = NULL;
    struct log_reader *reader = memory_zeroed(1, sizeof(*reader));
    reader->path = path_join(directory, "");
    struct log_home home = {disk, reader->path};
    enum err err = log_directory_read(&reader->directory, home, why);
    if (err != ERR_OK) {
        memory_free(reader->path);
        memory_free(reader);
        return err;
    }
    const struct log_segment *segments = reader->directory.segments;
    uint64_t first = segments[0].header.start.next.at;
    if (from.at < first) {
        err = why_fail(why, ERR_NOT_FOUND, "LSN %" PRIu64 " is not kept, the first one is %" PRIu64,
                       from.at, first);
    } else {
        while (!is_last(reader) && segments[reader->index + 1].header.start.next.at <= from.at)
            reader->index++;
        reader->from = from;
        reader->chain = segments[reader->index].header.start;
        err = segment_begin(reader, why);
    }
    if (err == ERR_OK) *out = reader;
    else log_reader_close(reader);
    return err;
}

static enum err segment_next(struct log_reader *reader, struct why *why)
{
    reader->index++;
    const struct log_segment *segment = &reader->directory.segments[reader->index];
    if (!log_chain_equal(&reader->chain, &segment->header.start))
        return why_fail(why, ERR_CORRUPT,
                        "segment of LSN %" PRIu64 ": offset 0: does not continue the one before",
                        segment->header.start.next.at);
    return segment_begin(reader, why);
}

/* Of the header in the view. */
static const char *header_wrong(struct log_reader *reader)
{
    if (reader->passed) reader->chain.lineage = reader->view.header.lineage;
    reader->passed = false;
    return log_batch_wrong(&reader->directory, &reader->chain, &reader->view.header);
}

/* That a segment follows records as much as a superblock does. */
static struct lsn durable_end(const struct log_reader *reader)
{
    return is_last(reader) ? lsn_next(reader->directory.superblock.durable) : reader->limit;
}

/* Passes the batches that lie wholly below both `from` and the end of what is recorded as durable.
 * A place without a good header is left to whoever reads on. */
static enum err batches_pass(struct log_reader *reader, struct why *why)
{
    struct log_batch_view *view = &reader->view;
    struct lsn end = lsn_min(reader->from, durable_end(reader));
    while (lsn_before(reader->chain.next, end)) {
        enum err err = log_scan_peek(&reader->scan, view, why);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        if (err != ERR_OK) return err;
        if (view->header.first.at + view->header.count > end.at) return ERR_OK;
        const char *wrong = header_wrong(reader);
        if (wrong == NULL) wrong = log_chain_pass(&reader->chain, &view->header);
        if (wrong != NULL) return log_chain_broken(&reader->scan, view, wrong, why);
        reader->passed = view->header.count > 0;
        log_scan_pass(&reader->scan, view);
    }
    return ERR_OK;
}

static enum err batch_next(struct log_reader *reader, struct why *why)
{
    enum err err = batches_pass(reader, why);
    if (err != ERR_OK) return err;
    err = log_scan_next(&reader->scan, &reader->view, why);
    if (err == ERR_OK) {
        const char *wrong = header_wrong(reader);
        if (wrong != NULL) return log_chain_broken(&reader->scan, &reader->view, wrong, why);
        reader->rest = reader->view.body;
        return ERR_OK;
    }
    if (err != ERR_NOT_FOUND) return err;
    if (!is_last(reader))
        return log_tail_missing(&reader->scan, reader->chain.next, reader->limit, why);
    struct log_evidence evidence;
    err = log_tail_judge(&reader->directory, &reader->scan, reader->chain.next, &evidence, why);
    return err == ERR_OK ? why_fail(why, ERR_NOT_FOUND, "the end of the log") : err;
}

static enum err entry_next(struct log_reader *reader, struct entry *entry, struct why *why)
{
    size_t before = reader->view.body.size - reader->rest.size;
    reader->offset = reader->view.offset + LOG_BATCH_HEADER_BYTES + before;
    MUST(log_entry_decode(&reader->rest, entry)); /* the scan has checked the shape */
    const char *wrong = log_chain_entry(&reader->chain, reader->view.header.epoch, entry);
    return wrong == NULL ? ERR_OK : log_chain_broken(&reader->scan, &reader->view, wrong, why);
}

enum err log_reader_next(struct log_reader *reader, struct entry *entry, struct why *why)
{
    for (;;) {
        enum err err;
        if (reader->chain.next.at >= reader->limit.at) {
            err = segment_next(reader, why);
        } else if (reader->rest.size == 0) {
            err = batch_next(reader, why);
        } else {
            err = entry_next(reader, entry, why);
            if (err == ERR_OK && entry->lsn.at >= reader->from.at) return ERR_OK;
        }
        if (err != ERR_OK) return err;
    }
}

void log_reader_place(const struct log_reader *reader, const char **file, uint64_t *offset)
{
    *file = reader->scan.name;
    *offset = reader->offset;
}

void log_reader_close(struct log_reader *reader)
{
    if (reader == NULL) return;
    log_scan_close(&reader->scan);
    log_directory_release(&reader->directory);
    memory_free(reader->path);
    memory_free(reader);
}
