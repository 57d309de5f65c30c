/* SPDX-License-Identifier: Apache-2.0 */
/* arena: scratch memory that goes all at once, at the end of an evaluation. */
#ifndef STATE_ARENA_H
#define STATE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* the newest first */
    uint8_t *at;
    size_t left;
    size_t bytes; /* held */
};

void arena_init(struct arena *arena);
void arena_release(struct arena *arena);
/* Aligned for any type; never NULL; valid until arena_clear. */
void *arena_take(struct arena *arena, size_t size);
/* Takes everything back; keeps one chunk of the usual size for the next evaluation. */
void arena_clear(struct arena *arena);

#endif
