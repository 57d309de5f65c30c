/* SPDX-License-Identifier: Apache-2.0 */
/* internal: the fields of an archiver, for archive.c (when), look.c (what is there), write.c
 * (spans) and copy.c (images). */
#ifndef ARCHIVE_INTERNAL_H
#define ARCHIVE_INTERNAL_H

#include "archive/archive.h"
#include "archive/copy.h"
#include "archive/span.h"

enum {
    ARCHIVE_SPAN_BYTES = 16 << 20,  /* a span ends when it has become so large */
    ARCHIVE_PIECE_BYTES = 1 << 20,  /* of an image, copied at a time */
    ARCHIVE_PIECE_PAUSE_US = 10000, /* between two: about 100 MiB/s at most */
    ARCHIVE_SYNC_BYTES = 64 << 20,  /* of an image, between two syncs */
    ARCHIVE_RETRY_US = 1000000,     /* after a failure, twice as long after each further one: */
    ARCHIVE_RETRY_US_MAX = 60000000,
    ARCHIVE_LOW_US = 10000000, /* while space is short it may stand still for so long */
    ARCHIVE_WANT_US = 5000000, /* between two wishes for an image */
};

/* What is there, and a span:
 *
 *   UNKNOWN --tick--> MAKE --> SYNC_ROOT --> SYNC_OWN --> LOCK --> LIST --> [a span is there: OPEN
 *     --> HEADER --> FOOTER --> CLOSE] --> SWEEP* --> IDLE
 *   IDLE --due--> CREATE --> FILL <--> WRITE --> SYNC --> SHUT --> RENAME --> SYNC_NAME --> IDLE
 *   any --failed or stopped--> DROP_CLOSE --> DROP_REMOVE --> UNKNOWN
 *
 * SYNC_OWN makes durable what LIST then names: a crash may have been between RENAME and SYNC_NAME.
 * In FILL the log's follower may be reading; in all but UNKNOWN, IDLE and FILL a request is at the
 * disk. */
enum span_step {
    SPAN_UNKNOWN,
    SPAN_MAKE,
    SPAN_SYNC_ROOT,
    SPAN_SYNC_OWN,
    SPAN_LOCK,
    SPAN_LIST,
    SPAN_OPEN,
    SPAN_HEADER,
    SPAN_FOOTER,
    SPAN_CLOSE,
    SPAN_SWEEP,
    SPAN_IDLE,
    SPAN_CREATE,
    SPAN_FILL,
    SPAN_WRITE,
    SPAN_SYNC,
    SPAN_SHUT,
    SPAN_RENAME,
    SPAN_SYNC_NAME,
    SPAN_DROP_CLOSE,
    SPAN_DROP_REMOVE,
};

struct archive {
    struct archive_site site;
    struct archive_options options;
    struct archive_listener *listener;
    struct archive_now now;
    char *directory; /* of the history */
    bool stopping, gone;

    struct log_pin pin;
    bool pinned;

    enum span_step step;
    bool asked;  /* the disk is at work */
    bool locked; /* by this process, for as long as it lives */
    bool made;   /* the temporary is there */
    struct disk_request request;
    struct disk_file *file;
    char *path, *path_tmp;
    struct buffer names;
    size_t names_at;
    uint8_t header[SPAN_HEADER_BYTES], footer[SPAN_FOOTER_BYTES];
    uint64_t size; /* of the file looked at */
    struct span_name newest;
    uint64_t not_before_us, retry_us;

    /* Of what is there; meaningful from SPAN_SWEEP on. */
    bool begun;            /* `edge` is: else the first entry that is read becomes it */
    struct span_edge edge; /* behind the newest archived entry */
    struct lsn run_before; /* entries behind this one follow without a hole; of LSN 0: all */
    struct lsn image;      /* of the newest image that is archived */

    struct log_follow *follow;
    struct log_follow_listener follow_listener;
    struct span_writer writer;
    struct buffer out;
    struct lsn through;  /* of the span being written */
    uint64_t oldest_us;  /* since when something is not archived; 0: nothing is */
    uint64_t bytes_then; /* the log had written when the newest span was begun */
    bool hurry;          /* more than an interval may have passed already */
    bool more;           /* the span was ended because of its size */
    bool given_up;       /* the span being written is */
    uint64_t low_us;     /* since when space is short and nothing moves; 0: it is not */
    uint64_t want_not_before_us;

    struct copy copy;
    struct archive_status status; /* counters, failing, why */
};

/* archive.c */
/* Something of the archive failed: told, and tried again later. */
void archive_note(struct archive *archive, enum err err, const char *text);
bool archive_is_covered(const struct archive *archive);
struct lsn archive_through(const struct archive *archive); /* what may be archived now */
void archive_settled(struct archive *archive);             /* nothing is at the disk just now */
char *archive_path(const struct archive *archive, const struct span_name *name);

/* look.c: SPAN_MAKE .. SPAN_SWEEP */
void look_begin(struct archive *archive);
void look_done(struct archive *archive);

/* write.c */
void span_ask(struct archive *archive, enum span_step step, const struct disk_request *request);
void span_fail(struct archive *archive, enum err err, const char *text);
void span_try(struct archive *archive); /* begins one if it is due */
void span_init(struct archive *archive);
void span_stop(struct archive *archive, enum err err, const char *text);
bool span_is_busy(const struct archive *archive);

#endif
