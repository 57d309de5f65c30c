/* SPDX-License-Identifier: Apache-2.0 */
/* engine_reserve: a file that holds disk space for the store's own work, to be given up when the
 * disk is full. Every call is safe from any thread. */
#ifndef REAL_ENGINE_RESERVE_H
#define REAL_ENGINE_RESERVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define ENGINE_RESERVE_NAME "reserve"

struct engine_reserve {
    const char *directory;
    char *path;
    pthread_mutex_t lock;
    uint64_t most;        /* under lock; bytes; 0: none is kept */
    uint64_t held;        /* under lock: the size of the file */
    atomic_bool given_up; /* written under lock */
};

/* Finds the file in `directory`, which is borrowed until engine_reserve_release and need not be
 * there yet. The reserve counts as given up until engine_reserve_hold; with `most` 0 it never does,
 * and a file that is there is left alone. */
void engine_reserve_init(struct engine_reserve *reserve, const char *directory, uint64_t most);
void engine_reserve_release(struct engine_reserve *reserve); /* leaves the file */

uint64_t engine_reserve_held(struct engine_reserve *reserve); /* bytes */
/* Makes the file fit a store of `store_bytes`, as far as the disk has room for that and some more.
 * After it was given up three quarters must fit. Returns whether it is held. */
bool engine_reserve_hold(struct engine_reserve *reserve, uint64_t store_bytes);
/* Frees the space; returns how much that was. */
uint64_t engine_reserve_give_up(struct engine_reserve *reserve);

#endif
