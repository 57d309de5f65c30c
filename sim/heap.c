/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/must.h"

enum { HEAP_NAME_BYTES = 32, HEAP_FRESH = 0xcd, HEAP_FREED = 0xdd };

#define HEAP_CANARY 0x5afe0b10c5afe0b1u

/* With the address sanitizer a block ends where the caller's bytes end: its red zone is sharper. */
#if defined(__SANITIZE_ADDRESS__)
#define HEAP_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_SANITIZED
#endif
#endif
#ifdef HEAP_SANITIZED
enum { HEAP_TAIL_BYTES = 0 };
#else
enum { HEAP_TAIL_BYTES = 8 };
#endif

struct sim_heap {
    struct list blocks;
    size_t bytes, count, peak, bound;
    uint64_t serial;
    bool over;
    char name[HEAP_NAME_BYTES];
};

/* Lies directly before the caller's bytes. */
struct heap_block {
    struct list node;
    struct sim_heap *heap;
    size_t size;
    void *raw; /* what malloc gave */
    const void *caller;
    uint64_t serial;
    uint64_t canary;
};
_Static_assert(sizeof(struct heap_block) == 64, "keeps what follows aligned for any type");

/* File-level variables because memory_alloc() has no argument that could lead to a heap: the
 * harness's own heap, and the one that is entered (NULL: the harness's). The simulator has one
 * thread, but tests of other rooms are linked with this heap too and may have more: those threads
 * are never inside a node, and share the harness's heap under a lock. */
static struct sim_heap harness = {.blocks = {&harness.blocks, &harness.blocks}, .name = "harness"};
static _Thread_local struct sim_heap *current;
static bool lock_is_taken;

static void heap_lock(void)
{
    while (__atomic_test_and_set(&lock_is_taken, __ATOMIC_ACQUIRE)) continue;
}

static void heap_unlock(void)
{
    __atomic_clear(&lock_is_taken, __ATOMIC_RELEASE);
}

static const struct sim_heap *heap_or_harness(const struct sim_heap *heap)
{
    return heap != NULL ? heap : &harness;
}

struct sim_heap *sim_heap_open(const char *name)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    struct sim_heap *heap = memory_zeroed(1, sizeof(*heap));
    (void)sim_heap_enter(before);
    list_init(&heap->blocks);
    (void)snprintf(heap->name, sizeof(heap->name), "%s", name);
    return heap;
}

void sim_heap_close(struct sim_heap *heap)
{
    if (heap == NULL) return;
    MUST(heap != current);
    (void)sim_heap_drop(heap);
    memory_free(heap);
}

struct sim_heap *sim_heap_enter(struct sim_heap *heap)
{
    struct sim_heap *before = current;
    current = heap;
    return before;
}

/* Differs for each block, so that a header copied elsewhere is not taken for one. */
static uint64_t block_canary(const struct heap_block *block)
{
    return HEAP_CANARY ^ (uint64_t)(uintptr_t)block;
}

static void block_check(const struct heap_block *block)
{
    MUST(block->canary ==
         block_canary(block)); /* freed twice, not ours, or written before its begin */
    if (HEAP_TAIL_BYTES > 0) {
        uint64_t tail;
        memcpy(&tail, (const uint8_t *)(block + 1) + block->size, sizeof(tail));
        MUST(tail == block->canary); /* written behind its end */
    }
}

__attribute__((noreturn, cold)) static void heap_exhausted(size_t size)
{
    (void)fprintf(stderr, "tidemark: out of memory asking for %zu bytes\n", size);
    (void)fflush(stderr);
    abort();
}

static void *block_make(size_t alignment, size_t size, const void *caller)
{
    struct sim_heap *heap = current != NULL ? current : &harness;
    /* Nothing to spare behind the end, or a read beyond it would be seen by nobody. */
    size_t shift = alignment > _Alignof(max_align_t) ? alignment : 0;
    size_t more = sizeof(struct heap_block) + shift + HEAP_TAIL_BYTES;
    if (size > SIZE_MAX / 2 - more) heap_exhausted(size);
    uint8_t *raw = malloc(size + more);
    if (raw == NULL) heap_exhausted(size);
    uint8_t *data = raw + sizeof(struct heap_block);
    data += (alignment - (uintptr_t)data % alignment) % alignment;
    struct heap_block *block = (struct heap_block *)(void *)data - 1;
    *block = (struct heap_block){.heap = heap, .size = size, .raw = raw, .caller = caller};
    block->canary = block_canary(block);
    if (HEAP_TAIL_BYTES > 0) memcpy(data + size, &block->canary, sizeof(block->canary));
    heap_lock();
    block->serial = ++heap->serial;
    list_append(&heap->blocks, &block->node);
    heap->bytes += size;
    heap->count++;
    if (heap->bytes > heap->peak) heap->peak = heap->bytes;
    if (heap->bound > 0 && heap->bytes > heap->bound) heap->over = true;
    heap_unlock();
    return data;
}

static struct heap_block *block_of(void *pointer)
{
    struct heap_block *block = (struct heap_block *)pointer - 1;
    block_check(block);
    return block;
}

static void block_drop(struct heap_block *block)
{
    block_check(block);
    heap_lock();
    list_remove(&block->node);
    block->heap->bytes -= block->size;
    block->heap->count--;
    heap_unlock();
    void *raw = block->raw;
    memset(block + 1, HEAP_FREED, block->size);
    block->canary = 0;
    free(raw);
}

void *memory_alloc(size_t size)
{
    void *data = block_make(16, size, __builtin_return_address(0));
    memset(data, HEAP_FRESH, size);
    return data;
}

void *memory_zeroed(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size) heap_exhausted(SIZE_MAX);
    void *data = block_make(16, count * size, __builtin_return_address(0));
    memset(data, 0, count * size);
    return data;
}

void *memory_resize(void *old, size_t size)
{
    if (old == NULL) {
        void *fresh = block_make(16, size, __builtin_return_address(0));
        memset(fresh, HEAP_FRESH, size);
        return fresh;
    }
    struct heap_block *block = block_of(old);
    MUST(block->heap == current || current == NULL);
    /* Always moves: whoever keeps the old pointer is to be found. What is resized stays in its
     * heap. */
    struct sim_heap *before = sim_heap_enter(block->heap == &harness ? NULL : block->heap);
    uint8_t *data = block_make(16, size, __builtin_return_address(0));
    (void)sim_heap_enter(before);
    size_t kept = block->size < size ? block->size : size;
    memcpy(data, old, kept);
    memset(data + kept, HEAP_FRESH, size - kept);
    block_drop(block);
    return data;
}

void *memory_aligned(size_t alignment, size_t size)
{
    MUST(alignment > 0 && (alignment & (alignment - 1)) == 0);
    void *data = block_make(alignment < 16 ? 16 : alignment, size, __builtin_return_address(0));
    memset(data, HEAP_FRESH, size);
    return data;
}

void memory_free(void *pointer)
{
    if (pointer == NULL) return;
    struct heap_block *block = block_of(pointer);
    MUST(block->heap == (current != NULL ? current : &harness) || current == NULL);
    block_drop(block);
}

size_t sim_heap_drop(struct sim_heap *heap)
{
    size_t count = heap->count;
    struct list *node;
    while ((node = list_first(&heap->blocks)) != NULL) {
        block_drop(CONTAINER_OF(node, struct heap_block, node));
    }
    MUST(heap->count == 0);
    MUST(heap->bytes == 0);
    return count;
}

void sim_heap_bound(struct sim_heap *heap, size_t bytes)
{
    heap->bound = bytes;
    heap->over = bytes > 0 && heap->bytes > bytes;
}

bool sim_heap_is_over(const struct sim_heap *heap)
{
    return heap_or_harness(heap)->over;
}

size_t sim_heap_bytes(const struct sim_heap *heap)
{
    return heap_or_harness(heap)->bytes;
}

size_t sim_heap_blocks(const struct sim_heap *heap)
{
    return heap_or_harness(heap)->count;
}

size_t sim_heap_peak(const struct sim_heap *heap)
{
    return heap_or_harness(heap)->peak;
}

uint64_t sim_heap_serial(const struct sim_heap *heap)
{
    return heap_or_harness(heap)->serial;
}

void sim_heap_check(const struct sim_heap *heap)
{
    heap = heap_or_harness(heap);
    for (struct list *node = heap->blocks.next; node != &heap->blocks; node = node->next) {
        block_check(CONTAINER_OF(node, struct heap_block, node));
    }
}

/* The linker's: where the program was loaded. A caller less this is what addr2line wants. */
extern const char __executable_start[];

void sim_heap_describe(const struct sim_heap *heap, size_t lines, struct buffer *out)
{
    heap = heap_or_harness(heap);
    size_t shown = 0;
    for (struct list *node = heap->blocks.next; node != &heap->blocks; node = node->next) {
        const struct heap_block *block = CONTAINER_OF(node, struct heap_block, node);
        if (shown++ == lines) break;
        buffer_append_format(
            out, "%s: block %llu, %zu bytes, caller 0x%llx, begins", heap->name,
            (unsigned long long)block->serial, block->size,
            (unsigned long long)((uintptr_t)block->caller - (uintptr_t)__executable_start));
        const uint8_t *data = (const uint8_t *)(block + 1);
        for (size_t i = 0; i < block->size && i < 16; i++)
            buffer_append_format(out, " %02x", data[i]);
        buffer_append_text(out, "\n");
    }
}
