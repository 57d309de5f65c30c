/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks are filled from front to back by one batch after the other. One that has no batch left
 * begins at its front again at once, so that a log with little to do stays in the same few pages of
 * cache. */
#include "log/batch.h"

#include "base/memory.h"

enum {
    LOG_CHUNK_ALIGNMENT = 4096,
    LOG_CHUNKS_FREE_MAX = 2,                    /* kept for the next burst */
    LOG_BATCH_ROOM_LEAST = LOG_CHUNK_BYTES / 4, /* less is left at a chunk's end: take a new one */
    LOG_RING_LEAST = 1024,
};

void log_memory_init(struct log_memory *memory)
{
    *memory = (struct log_memory){.ring_size = LOG_RING_LEAST};
    list_init(&memory->queue);
    list_init(&memory->kept);
    list_init(&memory->free_chunks);
    list_init(&memory->free_batches);
    memory->ring = memory_zeroed(LOG_RING_LEAST, sizeof(memory->ring[0]));
}

static void chunk_free(struct log_chunk *chunk)
{
    memory_free(chunk->data);
    memory_free(chunk);
}

static struct log_chunk *chunk_make(uint64_t size)
{
    struct log_chunk *chunk = memory_alloc(sizeof(*chunk));
    *chunk = (struct log_chunk){.size = size};
    list_init(&chunk->node);
    chunk->data = memory_aligned(LOG_CHUNK_ALIGNMENT, size);
    return chunk;
}

/* Nothing points into the chunk any more. */
static void chunk_retire(struct log_memory *memory, struct log_chunk *chunk)
{
    if (chunk->size != LOG_CHUNK_BYTES || memory->free_chunk_count == LOG_CHUNKS_FREE_MAX) {
        chunk_free(chunk);
        return;
    }
    chunk->used = 0;
    list_append(&memory->free_chunks, &chunk->node);
    memory->free_chunk_count++;
}

static struct log_chunk *chunk_take(struct log_memory *memory, uint64_t need)
{
    struct list *node = list_first(&memory->free_chunks);
    if (need > LOG_CHUNK_BYTES || node == NULL)
        return chunk_make(need > LOG_CHUNK_BYTES ? need : LOG_CHUNK_BYTES);
    list_remove(node);
    memory->free_chunk_count--;
    return CONTAINER_OF(node, struct log_chunk, node);
}

/* Makes memory->chunk one with at least `need` bytes left. */
static void chunk_ready(struct log_memory *memory, uint64_t need)
{
    struct log_chunk *chunk = memory->chunk;
    if (chunk != NULL && chunk->batches == 0) chunk->used = 0;
    uint64_t left = chunk == NULL ? 0 : chunk->size - chunk->used;
    if (left >= need && left >= LOG_BATCH_ROOM_LEAST) return;
    if (chunk != NULL && chunk->batches == 0) chunk_retire(memory, chunk);
    memory->chunk = chunk_take(memory, need);
}

struct log_batch *log_batch_begin(struct log_memory *memory, uint64_t need, uint64_t room_max)
{
    need = log_padded(LOG_BATCH_HEADER_BYTES + need);
    MUST(need <= room_max);
    chunk_ready(memory, need);
    struct list *node = list_first(&memory->free_batches);
    struct log_batch *batch;
    if (node == NULL) {
        batch = memory_alloc(sizeof(*batch));
    } else {
        list_remove(node);
        batch = CONTAINER_OF(node, struct log_batch, node);
    }
    struct log_chunk *chunk = memory->chunk;
    uint64_t left = chunk->size - chunk->used;
    *batch = (struct log_batch){.chunk = chunk,
                                .at = chunk->data + chunk->used,
                                .used = LOG_BATCH_HEADER_BYTES,
                                .room = left < room_max ? left : room_max};
    list_init(&batch->node);
    chunk->batches++;
    return batch;
}

void log_batch_end(struct log_memory *memory, struct log_batch *batch)
{
    struct log_chunk *chunk = batch->chunk;
    MUST(memory->chunk == chunk && batch->at == chunk->data + chunk->used);
    chunk->used += log_padded(batch->used);
    memory->bytes += log_padded(batch->used);
    batch->ended = true;
    MUST(chunk->used <= chunk->size);
}

void log_batch_release(struct log_memory *memory, struct log_batch *batch)
{
    struct log_chunk *chunk = batch->chunk;
    MUST(chunk->batches > 0);
    chunk->batches--;
    if (batch->ended) memory->bytes -= log_padded(batch->used);
    bool stays = chunk == memory->chunk && chunk->size == LOG_CHUNK_BYTES;
    if (chunk->batches == 0 && !stays) {
        if (chunk == memory->chunk) memory->chunk = NULL;
        chunk_retire(memory, chunk);
    }
    list_append(&memory->free_batches, &batch->node);
}

void log_ring_grow(struct log_memory *memory, struct lsn oldest, struct lsn newest)
{
    uint64_t size = memory->ring_size;
    while (newest.at - oldest.at >= size) size *= 2;
    if (size == memory->ring_size) return;
    struct log_place *ring = memory_zeroed(size, sizeof(ring[0]));
    for (uint64_t at = oldest.at; at < newest.at; at++)
        ring[at & (size - 1)] = *log_ring_at(memory, (struct lsn){at});
    memory_free(memory->ring);
    memory->ring = ring;
    memory->ring_size = size;
}

static void batches_free(struct list *list)
{
    for (struct list *node = list_first(list); node != NULL; node = list_first(list)) {
        list_remove(node);
        memory_free(CONTAINER_OF(node, struct log_batch, node));
    }
}

void log_memory_release(struct log_memory *memory)
{
    /* Every batch that is not released holds its chunk; those go through the same door. */
    if (memory->forming != NULL) list_append(&memory->queue, &memory->forming->node);
    list_move_all(&memory->kept, &memory->queue);
    for (struct list *node = list_first(&memory->kept); node != NULL;
         node = list_first(&memory->kept)) {
        list_remove(node);
        log_batch_release(memory, CONTAINER_OF(node, struct log_batch, node));
    }
    if (memory->chunk != NULL) chunk_free(memory->chunk);
    for (struct list *node = list_first(&memory->free_chunks); node != NULL;
         node = list_first(&memory->free_chunks)) {
        list_remove(node);
        chunk_free(CONTAINER_OF(node, struct log_chunk, node));
    }
    batches_free(&memory->free_batches);
    memory_free(memory->ring);
    *memory = (struct log_memory){0};
}
