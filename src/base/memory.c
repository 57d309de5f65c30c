/* SPDX-License-Identifier: Apache-2.0 */
/* The product's heap: the C library's, with one answer to its exhaustion. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

__attribute__((noreturn, cold)) static void memory_exhausted(size_t size)
{
    (void)fprintf(stderr, "tidemark: out of memory asking for %zu bytes\n", size);
    (void)fflush(stderr);
    abort();
}

void *memory_alloc(size_t size)
{
    void *pointer = malloc(size > 0 ? size : 1);
    if (pointer == NULL) memory_exhausted(size);
    return pointer;
}

void *memory_zeroed(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size) memory_exhausted(SIZE_MAX);
    void *pointer = count > 0 && size > 0 ? calloc(count, size) : calloc(1, 1);
    if (pointer == NULL) memory_exhausted(count * size);
    return pointer;
}

void *memory_resize(void *old, size_t size)
{
    void *pointer = realloc(old, size > 0 ? size : 1);
    if (pointer == NULL) memory_exhausted(size);
    return pointer;
}

void *memory_aligned(size_t alignment, size_t size)
{
    MUST(alignment > 0 && (alignment & (alignment - 1)) == 0);
    if (alignment < sizeof(void *)) alignment = sizeof(void *);
    if (size > SIZE_MAX - alignment) memory_exhausted(size);
    /* C17 asks for a multiple of the alignment. */
    size_t rounded = (size + alignment - 1) & ~(alignment - 1);
    void *pointer = aligned_alloc(alignment, rounded > 0 ? rounded : alignment);
    if (pointer == NULL) memory_exhausted(size);
    return pointer;
}

void memory_free(void *pointer)
{
    free(pointer);
}
