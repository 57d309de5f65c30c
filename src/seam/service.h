/* SPDX-License-Identifier: Apache-2.0 */
/* service: what a face asks of the pipeline behind it.
 *
 * A client's calls are answered in the order of their submission as long as each later one is
 * submitted with `ordered` set while an earlier one is in flight. A write is answered when it is
 * committed and applied; a read on applied state only. */
#ifndef SEAM_SERVICE_H
#define SEAM_SERVICE_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/hlc.h"
#include "base/list.h"
#include "base/mark.h"
#include "seam/clock.h"
#include "seam/copies.h"
#include "seam/feed.h"
#include "seam/intake.h"
#include "seam/reply.h"
#include "seam/verification.h"

struct service {
    const struct service_ops *ops;
    bool read_only; /* the service's: this copy follows someone, or may not lead yet */
};

enum call_kind {
    CALL_READ,  /* payload of commands that only read */
    CALL_WRITE, /* payload that becomes an entry */
    CALL_WAIT,  /* a write that may find nothing and then waits for one of its keys (BLPOP) */
    CALL_LOCAL, /* no payload: done() is called at its place in the order */
};

enum call_end {
    CALL_ANSWERED,  /* the reply has been written (CALL_LOCAL: it is its turn) */
    CALL_TIMED_OUT, /* CALL_WAIT: nothing came in time; no reply was written */
    CALL_UNBLOCKED, /* CALL_WAIT: by service_ops.unblock; no reply was written */
    CALL_REFUSED,   /* it changed nothing and never will; the error reply has been written */
    CALL_UNKNOWN,   /* it has an LSN and its outcome cannot be told: close the connection */
};

/* Caller-owned, from submit() until done() or cancel(). */
struct call {
    enum call_kind kind;
    bool ordered;         /* stay behind every call submitted before (a CALL_LOCAL always does) */
    struct bytes payload; /* borrowed for submit() only */
    struct reply *reply;  /* borrowed until the end */
    uint64_t timeout_us;  /* CALL_WAIT: 0 = for ever */
    void (*done)(struct call *call, enum call_end end); /* may come from inside submit() */

    struct mark mark; /* out: of this call's entry, or of the state that it read */

    /* The service's own, between submit() and the end. */
    struct list node;
    struct buffer kept;
    bool refused; /* `kept` holds the error, which waits for its place */
    struct lsn lsn;
    struct stamp now;
    uint64_t began_us; /* of an entry: the turn in which it was appended */
    unsigned attempt;
    unsigned state;
    void *waiter;
};

/* Someone who wants to know whether any entry that names a key was admitted since. Caller-owned. */
struct watch {
    uint8_t database;
    struct bytes key; /* borrowed while watched */
    bool touched;     /* out */
    struct list node; /* the service's */
};

/* The face's side of keyspace notifications. */
struct service_listener {
    void (*keyspace)(struct service_listener *listener, unsigned class, const char *name,
                     uint8_t database, struct bytes key);
};

/* Images of the data: what was saved last, and what is being saved. */
struct service_images {
    bool saving;
    bool failed;          /* the last attempt of this process */
    uint64_t ended;       /* attempts of this process that have ended, well or not */
    uint64_t images, bad; /* that are there: good ones, all others */
    uint64_t checked_s;   /* when the bytes of one were checked last, since 1970; 0: not yet */
    uint64_t changes;     /* entries since the newest */
    struct lsn lsn;       /* of the newest image; 0: there is none */
    uint64_t saved_s;     /* when it was taken, seconds since 1970; 0: there is none */
    uint64_t bytes;       /* of it */
    uint64_t took_us;     /* to save it; 0: an earlier process did */
    uint64_t began_us, bytes_done, bytes_expected; /* of the one being saved */
    struct why why;                                /* of the last attempt that failed */
};

/* Copies of the log and of images in a directory elsewhere. */
struct service_archive {
    bool on;
    bool failing;         /* the last attempt failed: */
    bool covered;         /* an image, or nothing, leads to `lsn` without a hole */
    struct lsn lsn;       /* of the newest archived entry; 0: none, or not known yet */
    struct lsn image;     /* of the newest archived image; likewise */
    uint64_t lag_entries; /* committed and not archived */
    uint64_t lag_us;      /* how long the oldest of them waits, about */
    uint64_t spans, bytes, failures, gaps; /* of this process */
    struct why why;                        /* of the last failure */
};

/* Comparisons of digests, and recounts, of this process. */
struct service_stamps {
    uint64_t checked, skipped, differing; /* stamps in the log; skipped: of a mark not known here */
    struct mark mark;                     /* of the newest that was checked; LSN 0: none */
    uint64_t asked;                       /* by copies that follow, whose digest is another */
    uint64_t recounts;                    /* of all records */
    struct lsn recounted;                 /* what the newest was of; 0: none */
};

enum service_phase {
    SERVICE_OPENING, /* calls are refused: the end of the log is being applied */
    SERVICE_SERVING,
    SERVICE_STOPPING, /* or stopped, or failed */
};

struct service_status {
    enum service_phase phase;
    struct lsn appended, durable, committed, applied, flushed, floor;
    struct mark mark; /* applied */
    struct stamp stamp;
    struct digest digest;
    struct stamp started;            /* stamp of this start's epoch entry */
    const char *mode;                /* "local", "all" */
    const char *shard;               /* "keys": what all of this is of */
    const char *start_outcome;       /* the gate's word: "fresh", "skip", "execute" or "fallback" */
    const char *start_reason;        /* why not another; "" for the first two */
    uint64_t start_gap_entries;      /* between what the store held and the end of the log */
    uint64_t start_replayed_entries; /* applied by this start */
    uint64_t start_us;
    uint64_t log_bytes, memory_bytes, unflushed_bytes;
    uint64_t log_segments, log_written_bytes;
    uint64_t syncs, sync_us_total, sync_us_last, sync_us_worst, batches, entries;
    uint64_t calls_waiting, expired_keys;
    uint64_t apply_backlog;  /* entries that a copy has in its log's files only, to be applied */
    uint64_t read_back;      /* entries that were applied from there, since the start */
    uint64_t reads_fetching; /* reads out of the order that wait for the disk */
    uint64_t waiters;        /* calls that wait, their first attempt behind them */
    /* How long entries took from their append until they were applied, and syncs of the log, since
     * the start. Borrowed as long as the service is there. */
    const struct histogram *commit_us, *sync_us;
    bool low_space; /* writes are refused until space returns */
    int64_t clock_jump_ms;
    struct service_images images;
    struct service_archive archive;
    struct service_stamps stamps;
};

struct service_ops {
    void (*submit)(struct service *service, struct call *call);
    /* The client is gone: the call ends without done(). What has an LSN is applied all the same. */
    void (*cancel)(struct service *service, struct call *call);
    /* Ends a waiting CALL_WAIT; false if it does not wait (any more). done() comes with
     * CALL_UNBLOCKED. */
    bool (*unblock)(struct service *service, struct call *call);
    void (*watch)(struct service *service, struct watch *watch);
    void (*unwatch)(struct service *service, struct watch *watch); /* not watched is fine */
    /* The clock that a read submitted now would see. */
    struct stamp (*now)(struct service *service);
    /* One listener; NULL: nobody. */
    void (*listen)(struct service *service, struct service_listener *listener);
    void (*status)(struct service *service, struct service_status *out);
    void (*describe)(struct service *service, struct buffer *out); /* INFO's keyspace lines */
    /* Switches the background removal of expired keys (DEBUG SET-ACTIVE-EXPIRE); on at the start.
     */
    void (*set_expiry)(struct service *service, bool on);
    /* Begins an image of everything that is applied now; status() tells of its end. ERR_EXISTS: one
     * is being saved; ERR_SPACE, ERR_REFUSED with the reason. */
    enum err (*save)(struct service *service, struct why *why);
    void (*copies)(struct service *service, struct copies_status *out);
    /* The event of that number; 0: the oldest that is kept. False: there is none. */
    bool (*copy_event)(struct service *service, uint64_t number, struct copy_event *out);
    void (*steer)(struct service *service, struct steer *steer);
    void (*unsteer)(struct service *service,
                    struct steer *steer); /* it goes on without the caller */
    void (*await)(struct service *service, struct await *await);
    void (*unawait)(struct service *service, struct await *await); /* not waiting is fine */
    void (*await_again)(struct service *service);      /* what others() tells may have grown */
    struct feed *(*feed)(struct service *service);     /* the service's */
    struct intake *(*intake)(struct service *service); /* likewise */
    void (*verify)(struct service *service, struct verification *verification);
    void (*unverify)(struct service *service, struct verification *verification);
};

#endif
