/* SPDX-License-Identifier: Apache-2.0 */
/* foresee: the keys that entries will ask for first, and what the store has of them. For a start,
 * which reads them at once (foresee.c), and while it serves (look_ahead.c). */
#ifndef STATE_FORESEE_H
#define STATE_FORESEE_H

#include "state/core.h"
#include "state/sort.h"

/* Until they are read, the named keys are absent records that are not `used`. */
struct foresight {
    struct payload_visit visit;
    struct state *state;
    struct changes named[DATABASES]; /* owned, with their records */
    size_t count, most;              /* keys that were named, and may be */
};

/* Adds the keys of the entry that the table does not know; some of them twice. */
void foresight_name(struct foresight *foresight, struct bytes payload);
/* Into the order of the store, each once. */
void foresight_sort(struct changes *named);
/* Appends their keys in the store to `bytes`; keys[i].size says how long each is. */
void foresight_keys(struct state *state, const struct keyspace *space, const struct changes *named,
                    struct bytes *keys, struct buffer *bytes);
/* What the store has; NULL: nothing. On any thread. False: it does not read. */
bool foresight_found(struct change *named, const struct bytes *value);
/* Into the table, unless it was not read or the table knows the name by now. Takes it over. */
void foresight_keep(struct state *state, struct keyspace *space, struct record *record);

/* Of the machine. */
void state_foresee(struct machine *machine, const struct entry *entries, size_t count);
bool state_look_ahead(struct machine *machine, const struct entry *entries, size_t count,
                      struct machine_warm *asked);
void state_look_ahead_forget(struct state *state); /* at close */

#endif
