/* SPDX-License-Identifier: Apache-2.0 */
/* batch: where entries stand in memory between log_append and log_forget. No I/O, no allocation per
 * entry.
 *
 * Entries are encoded straight into chunks, in the form in which they are written; a batch is a run
 * of one chunk that begins on a sector. So an append copies the payload once, a write hands the
 * same bytes to the disk, and log_entry borrows them until they are forgotten. */
#ifndef LOG_BATCH_H
#define LOG_BATCH_H

#include "base/list.h"
#include "log/format.h"

/* A batch is no larger, but for one of a single large entry. What a disk takes in one synced write
 * is worth the wait for it only when it is large. */
enum { LOG_CHUNK_BYTES = 2 << 20 };

struct log_chunk {
    struct list node;
    uint8_t *data;
    uint64_t size, used; /* what begins at `used` is free */
    size_t batches;      /* that have not been released */
};

struct log_batch {
    struct list node;
    struct log_chunk *chunk;
    uint8_t *at;         /* the header, then the entries */
    uint64_t used, room; /* bytes, header included */
    uint32_t count;
    bool ended;              /* it takes no more entries */
    bool rolls;              /* the first batch of a new segment */
    uint64_t segment_bytes;  /* of that segment, when it is one of a size of its own; else 0 */
    struct log_chain before; /* next = the first LSN */
    struct epoch epoch;
    struct stamp stamp; /* of the last entry; set when sealed */
};

/* Where an entry stands, by LSN: a ring over those not forgotten. */
struct log_place {
    const uint8_t *at;
    const struct log_batch *batch;
};

struct log_memory {
    struct log_batch *forming; /* takes entries; NULL or at least one entry */
    struct list queue;         /* sealed, in order, waiting to be written */
    struct list kept;          /* written, not yet forgotten */
    struct log_chunk *chunk;   /* in which batches begin now; may be NULL */
    struct list free_chunks, free_batches;
    size_t free_chunk_count;
    uint64_t bytes; /* of batches that are queued or kept */
    struct log_place *ring;
    uint64_t ring_size; /* a power of two */
};

void log_memory_init(struct log_memory *memory);
void log_memory_release(struct log_memory *memory);

/* A batch with room for a header and up to `room_max` bytes in all, at least `need`; in no list.
 * Its chunk keeps it until log_batch_release. */
struct log_batch *log_batch_begin(struct log_memory *memory, uint64_t need, uint64_t room_max);
/* The batch takes no more entries: what its chunk has left is free for the next one. */
void log_batch_end(struct log_memory *memory, struct log_batch *batch);
/* Gives the batch and its bytes back. It is in no list. */
void log_batch_release(struct log_memory *memory, struct log_batch *batch);

/* The last LSN of a batch; of an empty one, that of the entry before. */
static inline struct lsn log_batch_last(const struct log_batch *batch)
{
    return (struct lsn){batch->before.next.at + batch->count - 1};
}

/* Makes the ring large enough for the LSNs from `oldest` to `newest`, which hold their places. */
void log_ring_grow(struct log_memory *memory, struct lsn oldest, struct lsn newest);

static inline struct log_place *log_ring_at(const struct log_memory *memory, struct lsn lsn)
{
    return &memory->ring[lsn.at & (memory->ring_size - 1)];
}

#endif
