/* SPDX-License-Identifier: Apache-2.0 */
/* directory: what a log's directory holds, judged by names and headers; nothing is changed. */
#ifndef LOG_DIRECTORY_H
#define LOG_DIRECTORY_H

#include "log/files.h"

enum { LOG_SPARES_MAX = 4, LOG_SPARE_NUMBERS = 8 };

/* A segment file. */
struct log_segment {
    struct log_segment_header header;
    uint64_t size;
};

struct log_slots {
    struct log_superblock slot[LOG_SUPERBLOCK_SLOTS];
    bool good[LOG_SUPERBLOCK_SLOTS];
    bool there[LOG_SUPERBLOCK_SLOTS];
    const char *what[LOG_SUPERBLOCK_SLOTS]; /* why it is not good */
};

/* Owned by whoever read it; log_directory_release. */
struct log_directory {
    struct log_home home;
    struct log_slots slots;
    struct log_superblock superblock; /* the newest good one */
    unsigned write_first;             /* the slot without which the other must do meanwhile */
    struct log_segment *segments;     /* those that count, by first LSN; the last is the newest */
    size_t count;
    struct buffer
        dropped;       /* names to remove, each with its zero: hidden, below the floor, temporary */
    struct buffer cut; /* likewise, but only when they are hidden (cut.c) */
    uint8_t spares[LOG_SPARES_MAX]; /* numbers of spare files */
    size_t spare_count;
};

/* ERR_NOT_FOUND: no log was ever completed here. ERR_CORRUPT: with the reason. Else the segments
 * form one chain, by their headers, from the floor to the end. On failure nothing is to be
 * released. */
MUST_USE enum err log_directory_read(struct log_directory *directory, struct log_home home,
                                     struct why *why);
void log_directory_release(struct log_directory *directory);

/* The name of the segment that begins at `first`. */
void log_segment_name(uint32_t shard, struct lsn first, char out[LOG_NAME_BYTES]);

/* Reads both slots; false if there is no file for either. */
MUST_USE enum err log_slots_read(struct log_home home, uint32_t shard, struct log_slots *slots,
                                 struct why *why);

#endif
