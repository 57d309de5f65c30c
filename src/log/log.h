/* SPDX-License-Identifier: Apache-2.0 */
/* log: the ordered, checksummed record of what happened. Knows places and payloads, not commands.
 *
 * Format: docs/formats/log.md. One log is one directory of segment files and two superblock slots.
 * appended >= written >= durable, and none moves back while the log is open. After a failed sync or
 * write it is poisoned: appends answer ERR_SHUT, nothing becomes durable any more, and the
 * listener's failed() is called once. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/err.h"
#include "base/histogram.h"
#include "base/hlc.h"
#include "base/mark.h"
#include "base/trace.h"
#include "seam/clock.h"
#include "seam/disk.h"
#include "seam/entropy.h"
#include "seam/entry.h"

struct log;        /* fields: log/internal.h */
struct log_reader; /* fields: log/reader.c */
struct log_follow; /* fields: log/follow.c */

enum log_durability { LOG_ALWAYS, LOG_EVERYSEC, LOG_NONE };

struct log_options {
    uint64_t segment_bytes; /* size of a segment file, zero-filled before its use */
    uint64_t reserve_bytes; /* disk space kept free: below it log_is_low() */
    enum log_durability durability;
    bool direct;      /* synced writes past the page cache */
    uint64_t cluster; /* repeated in every batch header; a foreign one is corruption */
    uint64_t copy;    /* this copy's id, for the epochs that it opens */
    uint32_t shard;
    bool cuts;       /* log_open: entries above `last`, which another copy's history does not */
    struct lsn last; /* have, are cut off, durably, before it returns */
};

/* Told by the log on the loop, never from inside a call into it. */
struct log_listener {
    void (*advanced)(struct log_listener *listener); /* written or durable moved */
    void (*failed)(struct log_listener *listener, const struct why *why);
};

/* Borrowed: the directory's name for the call, the rest for the life of the log. */
struct log_site {
    const char *directory;
    struct disk *disk;
    struct entropy *entropy;
    struct clock *clock; /* this and what follows: of an open log only */
    struct trace *trace; /* NULL is fine */
    struct log_listener *listener;
};

/* What recovery found; the epoch and history are those of the last entry. */
struct log_found {
    bool clean;         /* the last process closed it */
    struct mark last;   /* of the last entry that counts */
    struct stamp stamp; /* of it */
    struct lsn first;   /* floor: the first entry kept; last + 1 when there is none */
    struct mark before; /* of the entry before that one, by its segment; LSN 0: there was none */
    struct lsn committed, durable; /* recorded; the first is never beyond `last` */
    uint64_t torn_bytes;           /* dropped after the last good batch */
    uint64_t copied_entries;       /* beyond the recorded durable, written again and synced (I14) */
    struct epoch promised;
    uint64_t incarnation; /* grows at the first start and at each unclean one */
};

/* Makes the directory's first segment and superblock. ERR_EXISTS: there is a log. Blocks. */
MUST_USE enum err log_create(const struct log_site *site, const struct log_options *options,
                             struct history history, struct why *why);
/* Where a log begins that goes on behind what a store holds and entries of it did not make. */
struct log_beginning {
    struct mark after;     /* its entry is nowhere in the log; LSN 0: as log_create */
    struct stamp stamp;    /* of that entry */
    struct epoch promised; /* of the log that this copy had before, and with the next one */
    uint64_t incarnation;  /* what others believe of this copy; 0, 0: it had none */
};
MUST_USE enum err log_create_after(const struct log_site *site, const struct log_options *options,
                                   const struct log_beginning *beginning, struct why *why);
/* Recovers the directory and opens it for append; an unclean end has its unsynced tail written
 * again first. Blocks. ERR_NOT_FOUND: no log here. ERR_CORRUPT names file, offset and LSN range;
 * ERR_REFUSED: what is to be cut off is recorded as committed, or `last` is below the first one
 * kept by more than one: then nothing was changed. On failure nothing stays open. */
MUST_USE enum err log_open(struct log **log, const struct log_site *site,
                           const struct log_options *options, struct log_found *found,
                           struct why *why);
/* Writes the promise to both superblock slots, each synced (start-up). Entries appended from now on
 * carry the epoch. ERR_REFUSED: it is not above every earlier one; ERR_PENDING: the superblock is
 * being written. Trims wait for the first promise or entry of a start. */
MUST_USE enum err log_promise(struct log *log, struct epoch epoch, struct why *why);
/* The same while the log runs. Caller-owned until done(), on the loop, or until the log goes. */
struct log_promising {
    struct epoch epoch;
    enum err err; /* ERR_REFUSED as above; ERR_SHUT */
    void (*done)(struct log_promising *promising);
    struct list node;
};
void log_promise_soon(struct log *log, struct log_promising *promising);
struct epoch log_promised(const struct log *log); /* the highest that is durable */
bool log_is_promising(const struct log *log);     /* another one is asked for */

/* Copies `payload` into the forming batch and gives the entry its place and lineage. `stamp` must
 * be at or above the last one. ERR_LIMIT: payload above LOG_PAYLOAD_BYTES_MAX. ERR_SPACE; ERR_SHUT:
 * poisoned or closing. On failure no LSN was given. */
MUST_USE enum err log_append(struct log *log, struct stamp stamp, struct bytes payload,
                             struct lsn *at);
/* The same for an entry of another copy's log, which keeps its LSN, epoch, stamp and lineage. Its
 * bytes come from a peer: ERR_CORRUPT, with the reason, unless it is the one that follows here. */
MUST_USE enum err log_append_entry(struct log *log, const struct entry *entry, struct why *why);
/* Starts the write of the forming batch, now or when the one in flight ends. Call once a turn. */
void log_push(struct log *log);
/* Asks for a sync of all that was appended, in modes that leave it out; advanced() follows. */
void log_sync_soon(struct log *log);

struct lsn log_appended(const struct log *log);
/* What counts by the mode: durable with LOG_ALWAYS, else what write() has returned for. */
struct lsn log_written(const struct log *log);
struct lsn log_durable(const struct log *log);
struct lsn log_floor(const struct log *log);   /* first entry kept */
struct mark log_before(const struct log *log); /* of the entry before it; LSN 0: there is none */
struct mark log_last(const struct log *log);   /* of the last appended entry */
struct stamp log_last_stamp(const struct log *log);
bool log_is_low(const struct log *log); /* space: refuse writers, but go on otherwise */
bool log_is_poisoned(const struct log *log);
/* Changes the mode from the next batch on; towards LOG_ALWAYS a sync of what is there follows. */
void log_set_durability(struct log *log, enum log_durability durability);
/* The committed watermark to record with the next batch and superblock. Never moves back. */
void log_note_committed(struct log *log, struct lsn committed);
/* Nothing was appended for a while: an empty batch records durable and committed. */
void log_note_idle(struct log *log);
/* The entry at `lsn`, if it is in memory still. Borrowed until log_forget covers it. */
bool log_entry(const struct log *log, struct lsn lsn, struct entry *entry);
void log_forget(struct log *log, struct lsn lsn); /* all through it is applied: memory is free */
uint64_t log_kept_bytes(const struct log *log); /* about: of what is not forgotten, or written */

struct log_pin {     /* caller-owned */
    struct lsn from; /* this and later entries are not trimmed */
    struct list node;
};
/* ERR_NOT_FOUND if `from` is below the floor. */
MUST_USE enum err log_pin(struct log *log, struct log_pin *pin, struct lsn from);
void log_unpin(struct log *log, struct log_pin *pin);                     /* not pinned is fine */
void log_pin_move(struct log *log, struct log_pin *pin, struct lsn from); /* never back */
/* Whole segments whose entries are all <= `through`, and below every pin, are recycled or removed,
 * once the new floor is durable. */
void log_trim(struct log *log, struct lsn through);

struct log_stats {
    uint64_t batches, entries, bytes, syncs, sync_us_total, sync_us_last, sync_us_worst;
    uint64_t segments, segment_bytes_total;
};
void log_stats(const struct log *log, struct log_stats *out);
const struct histogram *log_sync_us(const struct log *log); /* since it was opened; borrowed */

/* The first half of a clean end: appends answer ERR_SHUT, what was appended is written and synced,
 * background work stops. advanced() comes at least once when log_is_quiet() has become true. */
void log_stop(struct log *log);
/* Nothing appended waits for the disk (or it is poisoned), and no request is in flight. */
bool log_is_quiet(const struct log *log);
/* Writes what has not been pushed yet, the watermarks and a clean superblock, and closes; `log` is
 * gone in every case. Blocks (shutdown). ERR_REFUSED: it is not quiet, and the next start is an
 * unclean one. Poisoned: only closes, and returns the failure. NULL is fine. */
MUST_USE enum err log_close(struct log *log, struct why *why);
void log_abandon(struct log *log); /* lets go at once, writing nothing; NULL is fine */

/* Reads entries of a directory in order; a live log only appends behind it. Blocks. `from` at or
 * above the first entry kept. Of batches below it that are recorded as durable only the headers are
 * checked, and that they follow one another; everything else is checked in full. */
MUST_USE enum err log_reader_open(struct log_reader **reader, struct disk *disk,
                                  const char *directory, struct lsn from, struct why *why);
/* Borrowed until the next call. ERR_NOT_FOUND: the valid end; ERR_CORRUPT: with place. */
MUST_USE enum err log_reader_next(struct log_reader *reader, struct entry *entry, struct why *why);
void log_reader_place(const struct log_reader *reader, const char **file, uint64_t *offset);
void log_reader_close(struct log_reader *reader); /* NULL is fine */

/* Follows an open log from an entry on, for whoever copies it elsewhere. Closed before the log. */
struct log_follow_listener {
    void (*ready)(struct log_follow_listener *listener); /* after ERR_PENDING: ask again */
};
/* `from`, and all behind it that was not given yet, is pinned. ERR_NOT_FOUND: below the floor;
 * ERR_LIMIT: more than one beyond the end. Then *follow is NULL. */
MUST_USE enum err log_follow_open(struct log_follow **follow, struct log *log, struct lsn from,
                                  struct log_follow_listener *listener, struct why *why);
/* The next entry, if it is at or below `through`; borrowed until the next call, or until log_forget
 * covers it. ERR_NOT_FOUND: there is none yet; ERR_PENDING: it is being read. ERR_CORRUPT, ERR_IO:
 * with the place; every later call says the same. */
MUST_USE enum err log_follow_next(struct log_follow *follow, struct lsn through,
                                  struct entry *entry, struct why *why);
struct lsn log_follow_at(const struct log_follow *follow); /* of the entry given next */
void log_follow_close(struct log_follow *follow);          /* NULL is fine */

/* Checks every byte of a closed log by the rules of recovery; `found` as log_open would say. */
MUST_USE enum err log_verify(struct disk *disk, const char *directory, struct log_found *found,
                             struct why *why);
/* Of an entry after one with the lineage `previous`; its own field is not read. */
struct lineage log_lineage(struct lineage previous, const struct entry *entry);
enum { LOG_PAYLOAD_BYTES_MAX = 1 << 30 };

#endif
