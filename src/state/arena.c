/* SPDX-License-Identifier: Apache-2.0 */
#include "state/arena.h"

#include "base/memory.h"

enum { ARENA_CHUNK_BYTES = 16 << 10 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t size;
    _Alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

void arena_release(struct arena *arena)
{
    while (arena->chunks != NULL) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->older;
        memory_free(chunk);
    }
    arena_init(arena);
}

void *arena_take(struct arena *arena, size_t size)
{
    size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (size > arena->left) {
        size_t room = size > ARENA_CHUNK_BYTES ? size : ARENA_CHUNK_BYTES;
        struct arena_chunk *chunk = memory_alloc(sizeof *chunk + room);
        *chunk = (struct arena_chunk){.older = arena->chunks, .size = room};
        arena->chunks = chunk;
        arena->bytes += room;
        arena->at = chunk->data;
        arena->left = room;
    }
    void *taken = arena->at;
    arena->at += size;
    arena->left -= size;
    return taken;
}

void arena_clear(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    if (chunk == NULL) return;
    if (chunk->older == NULL && chunk->size == ARENA_CHUNK_BYTES) {
        arena->at = chunk->data;
        arena->left = chunk->size;
        return;
    }
    arena_release(arena);
}
