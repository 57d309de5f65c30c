/* SPDX-License-Identifier: Apache-2.0 */
/* format: the bytes of a log, encoded and decoded; docs/formats/log.md is the authority. No I/O. */
#ifndef LOG_FORMAT_H
#define LOG_FORMAT_H

#include "base/hlc.h"
#include "base/mark.h"
#include "seam/disk.h"
#include "seam/entry.h"

enum {
    LOG_FORMAT_VERSION = 1,
    LOG_SECTOR_BYTES = DISK_SECTOR_BYTES, /* batches begin on a multiple of this */
    LOG_SEGMENT_HEADER_BYTES = 4096,
    LOG_BATCH_HEADER_BYTES = 104,
    LOG_ENTRY_HEADER_BYTES = 20,
    LOG_SUPERBLOCK_BYTES = 512,
    LOG_SUPERBLOCK_SLOTS = 2,
    LOG_NAME_BYTES = 40, /* room for any name in the directory with its zero */
};

/* The longest body: one entry with the longest payload (LOG_PAYLOAD_BYTES_MAX). */
#define LOG_BODY_BYTES_MAX ((uint64_t)(1 << 30) + LOG_ENTRY_HEADER_BYTES)

/* Beyond this no LSN is believed, so that sums with one never wrap. */
#define LOG_LSN_MAX (UINT64_MAX >> 1)
/* Likewise for what is counted up at each start or segment. */
#define LOG_COUNT_MAX (UINT64_MAX >> 1)

/* The state between two entries: what the next one must follow. */
struct log_chain {
    struct lsn next;
    struct lineage lineage; /* of the entry before `next` */
    struct epoch epoch;     /* likewise */
    struct stamp stamp;     /* likewise */
};

struct log_segment_header {
    uint32_t shard;
    uint64_t cluster;
    struct history history;
    uint64_t salt;     /* seeds every checksum of the segment; never used twice */
    uint64_t sequence; /* order of making */
    uint64_t
        previous_salt; /* of the segment that holds the entry before; 0: this is the first one */
    struct log_chain start; /* next = the segment's first LSN */
};

enum log_batch_flags {
    LOG_BATCH_EPOCH = 1, /* its first entry is the first of its epoch */
    LOG_BATCH_EMPTY = 2, /* no entry: it carries the watermarks of a log going idle */
};

struct log_batch_header {
    uint16_t flags;
    uint64_t cluster;
    uint32_t shard;
    struct epoch epoch;
    struct lsn first;
    uint32_t count;
    uint64_t length;        /* of the entries, without header and padding */
    struct stamp stamp;     /* of its last entry; of the entry before when empty */
    struct lsn durable;     /* known when it was written; never the batch itself */
    struct lsn committed;   /* likewise */
    struct lineage lineage; /* of the entry before its first */
    uint64_t body_checksum;
};

enum log_superblock_state { LOG_MAKING = 1, LOG_OPEN = 2, LOG_CLEAN = 3 };

struct log_superblock {
    uint32_t shard;
    uint64_t cluster;
    struct history history;
    uint64_t sequence;
    enum log_superblock_state state;
    uint64_t incarnation;
    struct epoch promised;
    struct lsn durable, committed, floor;
    struct lsn newest;        /* first LSN of the newest segment when this was written */
    uint64_t newest_sequence; /* of it: that one or a later one must be there */
};

enum log_name_kind {
    LOG_NAME_FOREIGN,    /* not a name of ours */
    LOG_NAME_SEGMENT,    /* number = first LSN */
    LOG_NAME_SPARE,      /* number = which */
    LOG_NAME_SUPERBLOCK, /* number = slot */
    LOG_NAME_TEMPORARY,  /* left behind by a crash */
};

struct log_name {
    enum log_name_kind kind;
    uint32_t shard;
    uint64_t number;
};

/* Bytes up to the next sector. */
static inline uint64_t log_padded(uint64_t size)
{
    return (size + LOG_SECTOR_BYTES - 1) & ~(uint64_t)(LOG_SECTOR_BYTES - 1);
}

void log_segment_encode(const struct log_segment_header *header,
                        uint8_t out[LOG_SEGMENT_HEADER_BYTES]);
/* False, and `what` names the field, unless `in` is whole and of this format. */
bool log_segment_decode(const uint8_t in[LOG_SEGMENT_HEADER_BYTES],
                        struct log_segment_header *header, const char **what);

/* Completes a batch in place: `at` holds room for the header, then header->length bytes of entries;
 * zeroes the padding (at has room for it), fills body_checksum and writes the header. */
void log_batch_seal(uint8_t *at, struct log_batch_header *header, uint64_t salt, uint64_t offset);
/* Whether `in` is a header that was written with this salt at this offset, and is sane. */
bool log_batch_decode(const uint8_t in[LOG_BATCH_HEADER_BYTES], uint64_t salt, uint64_t offset,
                      struct log_batch_header *header);
/* Whether the body behind a decoded header is whole: checksum, padding and the shape of the
 * entries. `at` is where the header begins, with log_padded(header + length) bytes. */
bool log_batch_body_is_good(const uint8_t *at, const struct log_batch_header *header, uint64_t salt,
                            uint64_t offset);

void log_entry_encode(uint8_t *at, struct stamp stamp, struct lineage lineage,
                      struct bytes payload);
/* Takes the first entry of `*rest`; lsn and epoch are the caller's. False: no whole entry is left.
 */
bool log_entry_decode(struct bytes *rest, struct entry *entry);

void log_superblock_encode(const struct log_superblock *superblock, unsigned slot,
                           uint8_t out[LOG_SUPERBLOCK_BYTES]);
bool log_superblock_decode(const uint8_t in[LOG_SUPERBLOCK_BYTES], unsigned slot,
                           struct log_superblock *superblock, const char **what);

/* Zero-terminated name of a file of this kind. */
void log_name_format(struct log_name name, char out[LOG_NAME_BYTES]);
/* Strict: only what log_name_format writes is ours. */
struct log_name log_name_parse(const char *text);

#endif
