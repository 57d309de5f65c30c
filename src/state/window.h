/* SPDX-License-Identifier: Apache-2.0 */
/* window: what a sink has taken since its last flush, as the machine holds what it has changed. */
#ifndef STATE_WINDOW_H
#define STATE_WINDOW_H

#include "state/generation.h"
#include "state/run.h"

struct window {
    struct generation generation;      /* strands */
    struct table names[DATABASES];     /* of records, */
    struct changes changes[DATABASES]; /* which are all listed here */
};

struct window *window_new(void); /* the caller's */
uint64_t window_bytes(const struct window *window);
/* Whether the database has no such name yet. */
bool window_lacks(const struct window *window, uint8_t database, uint64_t hash, struct bytes name);
/* Takes the record, whose name the database lacks. */
void window_add(struct window *window, uint8_t database, struct record *record);
/* The run that writes all of it; `databases` are those of the names. */
void window_run(struct window *window, const struct meta_database databases[DATABASES],
                struct run *run);
/* Frees about `limit` records. True: all are gone, and the window too. */
bool window_free(struct window *window, size_t limit);

#endif
