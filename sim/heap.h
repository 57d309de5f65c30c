/* SPDX-License-Identifier: Apache-2.0 */
/* heap: memory of simulated nodes. Replaces base/memory.c.
 *
 * Every block belongs to the heap that was entered when it was allocated: a node's while its code
 * runs, the harness's own (NULL) everywhere else. A crash drops a node's heap whole. Fresh blocks
 * are filled with 0xcd and freed ones with 0xdd, so that a use of either is the same in every run;
 * a guard word on each side is checked when the block is freed. A node's code may not free or
 * resize what is not its own. */
#ifndef SIM_HEAP_H
#define SIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct sim_heap;

/* `name` is copied. Owned by the caller until sim_heap_close, which drops what is left in it. */
struct sim_heap *sim_heap_open(const char *name);
void sim_heap_close(struct sim_heap *heap); /* NULL is fine */
/* Frees every block; the heap stays. Returns how many there were. */
size_t sim_heap_drop(struct sim_heap *heap);

/* Makes `heap` (NULL: the harness's) the one that allocations go to and returns the one before. */
struct sim_heap *sim_heap_enter(struct sim_heap *heap);

/* Beyond `bytes` (0: no bound) sim_heap_is_over() is true from then on. Nothing fails by it. */
void sim_heap_bound(struct sim_heap *heap, size_t bytes);
bool sim_heap_is_over(const struct sim_heap *heap);

/* NULL asks about the harness's own heap. Sizes are those asked for, without our headers. */
size_t sim_heap_bytes(const struct sim_heap *heap);
size_t sim_heap_blocks(const struct sim_heap *heap);
size_t sim_heap_peak(const struct sim_heap *heap);
/* The number of the newest allocation: the same in each run of a seed. */
uint64_t sim_heap_serial(const struct sim_heap *heap);

/* Checks the guards of every block: a MUST names a damaged one. */
void sim_heap_check(const struct sim_heap *heap);
/* Appends one line for each block, at most `lines`: serial, size, caller, first bytes. */
void sim_heap_describe(const struct sim_heap *heap, size_t lines, struct buffer *out);

#endif
