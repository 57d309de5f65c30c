/* SPDX-License-Identifier: Apache-2.0 */
/* internal: the fields of a log that is open. What its files ask of each other is in parts.h. */
#ifndef LOG_INTERNAL_H
#define LOG_INTERNAL_H

#include "log/batch.h"
#include "log/directory.h"
#include "log/log.h"
#include "log/recover.h"

enum { LOG_SPARES_KEPT = 3, LOG_JOBS = 8, LOG_SEGMENT_BYTES_LEAST = 16384 };

/* A file whose bytes were all written once, ready to become a segment. */
struct log_spare {
    struct disk_file *file;
    uint64_t size;
    uint8_t number; /* in its name */
};

enum log_roll_phase {
    ROLL_IDLE,
    ROLL_OLD_SYNC,
    ROLL_HEADER,
    ROLL_RENAME,
    ROLL_DIRECTORY,
    ROLL_CLOSE
};
enum log_make_phase { MAKE_IDLE, MAKE_CREATE, MAKE_FILL, MAKE_CLOSE, MAKE_REMOVE };
enum log_trim_phase {
    TRIM_IDLE,
    TRIM_CUT_OPEN,
    TRIM_CUT,
    TRIM_CUT_CLOSE,
    TRIM_FLOOR,
    TRIM_REMOVE,
    TRIM_DIRECTORY,
    TRIM_OPEN
};

struct log {
    struct disk *disk;
    struct clock *clock;
    struct entropy *entropy;
    struct trace *trace;
    struct log_listener *listener;
    struct log_options options;
    struct log_path directory;

    /* Places. log_check() says how they stand to each other. */
    struct log_chain chain; /* behind the last appended entry */
    struct epoch epoch;     /* of entries appended from now on */
    struct lsn written, durable, committed, forgotten, floor;
    struct lsn counted;                              /* what log_written() says */
    struct lsn recorded_durable, recorded_committed; /* by the last batch written */
    struct log_memory memory;

    /* Ends. */
    enum err poison; /* ERR_OK until a write or sync has failed */
    struct why why;
    struct task failed_task, push_task;
    bool closing;      /* nothing more is appended */
    bool gone;         /* the owner has let go; freed when the last request returns */
    bool blocking;     /* requests are run, not submitted: log_close */
    bool started;      /* the first promise or entry of this start: background work may begin */
    unsigned requests; /* submitted and not yet returned */
    struct disk_request *ran[LOG_JOBS];
    size_t ran_count;

    /* The current segment, and the one batch and the one sync in flight. */
    struct disk_file *file;
    uint64_t offset;
    struct disk_request write, sync;
    struct log_batch *flying;
    bool sync_busy;
    struct lsn sync_target, sync_wanted;
    uint64_t writes, writes_synced,
        sync_writes; /* counts: unsynced while writes != writes_synced */
    uint64_t write_began_us, sync_began_us;
    struct timer sync_timer;

    /* Segments: those that count; the last is the current one. */
    struct log_segment *segments;
    size_t segment_count, segment_capacity;
    uint64_t sequence;  /* of the current one */
    uint64_t plan_room; /* bytes left where the next batch will go */
    size_t plan_rolls;  /* batches waiting to begin a segment of the usual size */

    /* Files ready to be the next one, and the making of more. */
    struct log_spare spares[LOG_SPARE_NUMBERS];
    size_t spare_count;
    uint8_t spare_numbers; /* in use, one bit each */
    struct log_spare own;  /* for a batch that needs a size of its own; file NULL: none */
    struct disk_request make;
    enum log_make_phase make_phase;
    struct log_spare making;
    struct log_path make_path;
    bool make_failed; /* for want of space; tried again by the timer */
    struct disk_request roll;
    enum log_roll_phase roll_phase;
    struct log_spare rolling;
    struct log_segment roll_segment;
    struct log_path roll_path, roll_path_to;
    uint8_t *page; /* LOG_SEGMENT_HEADER_BYTES, aligned */

    /* Space. */
    struct disk_request space;
    struct timer space_timer;
    bool space_busy, low;
    uint64_t free_bytes; /* when asked last */

    /* The superblock: what was encoded last, and whether it stands in both slots. */
    struct log_superblock superblock;
    struct disk_file *slot_file[LOG_SUPERBLOCK_SLOTS];
    struct disk_request slot;
    unsigned slot_next, slots_left; /* the slot written next; 0 left: not busy */
    bool slots_again;
    uint8_t *slot_page; /* LOG_SUPERBLOCK_BYTES, aligned */
    struct lsn floor_durable;
    uint64_t sequence_named;         /* of the newest segment that both slots name */
    struct list promises;            /* struct log_promising, the first one asked for first */
    struct log_promising *promising; /* the slots are being written with its epoch; NULL: none */
    struct task promise_task;
    struct epoch promised; /* in both slots */

    /* Trimming. */
    struct list pins;
    struct lsn trim_wish;
    struct disk_request trim;
    enum log_trim_phase trim_phase;
    size_t trim_count;                          /* segments still to be removed, from the oldest */
    struct log_spare recycled[LOG_SPARES_KEPT]; /* renamed, not yet usable */
    size_t recycled_count;
    struct log_path trim_path, trim_path_to;
    struct log_segment hidden; /* its file is longer than what counts of it; size 0: none */
    struct disk_file *cutting; /* that file, while it is open; else NULL */

    struct log_stats stats;
    struct histogram sync_us;
};

#endif
