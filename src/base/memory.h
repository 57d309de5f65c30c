/* SPDX-License-Identifier: Apache-2.0 */
/* memory: the only door to the heap.
 *
 * None of these returns NULL: when the system has no memory left the process ends with a message
 * on standard error. That is safe here by construction (everything acked is on disk) and keeps
 * error paths to the errors that a caller can act on. What a client can make us allocate is
 * bounded by the limits of admission, before it gets here. The simulator links its own
 * implementation, which gives each simulated node a heap of its own and drops it whole at a
 * crash. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Uninitialised storage, aligned for any type; owned by the caller until memory_free. */
void *memory_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
/* The same, zero-filled; count * size is checked. */
void *memory_zeroed(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
/* Grows or shrinks; the old pointer is gone. NULL is fine as the old pointer. */
void *memory_resize(void *old, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
/* Storage aligned to `alignment` (a power of two), for direct I/O; freed by memory_free. */
void *memory_aligned(size_t alignment, size_t size)
    __attribute__((malloc, returns_nonnull, alloc_size(2)));
void memory_free(void *pointer); /* NULL is fine */

#endif
