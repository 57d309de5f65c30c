/* SPDX-License-Identifier: Apache-2.0 */
/* parts: what the files of an open log ask of each other.
 *
 *   append.c       entries into batches, and out of memory again
 *   write.c        batches to the disk, syncs, failure
 *   roll.c         the next segment
 *   spare.c        files kept ready for it, and space
 *   trim.c         pins, the floor, removal
 *   follow.c       entries in order, while the log goes on
 *   superblock.c   both slots
 *   promise.c      epochs in them
 *   make.c open.c cut.c tail.c close.c   the beginnings and the end */
#ifndef LOG_PARTS_H
#define LOG_PARTS_H

#include "log/internal.h"

/* Programmer's errors, after every public mutator. */
void log_check(const struct log *log);

/* append.c */
void log_seal(struct log *log); /* the forming batch, if any, joins the queue */
void log_release_forgotten(struct log *log);

/* write.c. Each done() of a request begins with log_returned(): true means that the log is gone. */
void log_submit(struct log *log, struct disk_request *request);
MUST_USE bool log_returned(struct log *log, struct disk_request *request);
void log_write_start(struct log *log); /* the next batch, if it can go now */
void log_sync_kick(struct log *log);   /* a sync, if somebody waits for one */
bool log_unsynced(const struct log *log);
void log_fail(struct log *log, const struct disk_request *request, const char *doing);
void log_timers_init(struct log *log);

/* roll.c */
void log_roll_start(struct log *log, struct log_batch *batch);
void log_segment_push(struct log *log, const struct log_segment *segment);
/* Everything but previous_salt, for a segment whose first entry follows `start`. */
void log_segment_prepare(struct log *log, const struct log_chain *start,
                         struct log_segment_header *header);

/* spare.c */
MUST_USE enum err log_segment_promised(struct log *log, uint64_t own_bytes); /* else ERR_SPACE */
void log_make_kick(struct log *log); /* makes a file, if one is wanted */
void log_space_ask(struct log *log);
void log_space_watch(struct log *log); /* asks a while later */
void log_spare_path(const struct log *log, uint8_t number, struct log_path *path);
uint8_t log_spare_number(struct log *log); /* a free one, now in use; LOG_SPARE_NUMBERS: none */
void log_spare_forget(struct log *log, const struct log_spare *spare);

/* trim.c */
void log_trim_kick(struct log *log);

/* superblock.c */
void log_slots_write(struct log *log);
MUST_USE enum err log_slots_write_some(struct log *log, enum log_superblock_state state,
                                       unsigned slots, struct why *why);
MUST_USE enum err log_slots_write_now(struct log *log, enum log_superblock_state state,
                                      struct why *why);

/* promise.c */
void log_promise_init(struct log *log);
void log_promise_written(struct log *log); /* both slots: the last thing that a done() does */

/* make.c */
MUST_USE enum err log_options_check(const struct log_options *options, struct why *why);

/* tail.c */
MUST_USE enum err log_tail_begin(struct log *log, const struct log_directory *directory,
                                 const struct log_recovery *recovery, struct why *why);

/* close.c */
void log_free(struct log *log);

#endif
