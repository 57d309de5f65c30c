/* SPDX-License-Identifier: Apache-2.0 */
/* effects: the stream of effects, inside the machine (docs/formats/effects.md); what commands call
 * is in tx_effects.h.
 *
 * What an evaluation tells is gathered here and dropped with it. When the evaluation is final it
 * becomes records of the active generation, in the step that moves the mark (I1). They lie in one
 * strand, at the place of their first byte: what a generation holds of the stream follows what the
 * one before it holds, so a byte is in exactly one layer. */
#ifndef STATE_EFFECTS_H
#define STATE_EFFECTS_H

#include "base/mark.h"
#include "command/command.h"
#include "seam/effects.h"
#include "seam/machine.h"

struct state;
struct run;

enum {
    EFFECTS_RECORD_BYTES_MAX = 64 << 10, /* of the stream, in one record; a longer entry has more */
    EFFECTS_RECORD_HEAD_BYTES = 9,       /* LSN, and whether the entry's bytes begin here */
};

/* One command that was told. */
struct effect {
    uint8_t database;
    size_t end; /* in `bytes` */
};

struct effects {
    struct effects_place place;
    uint64_t first_frozen; /* place.first when the last generation was frozen */
    struct effects_keep keep;
    uint64_t active_records, frozen_records;

    /* Of the evaluation under way. */
    struct buffer bytes;
    struct effect *at;
    size_t count, capacity;
    bool switches, on;         /* the entry is the one that switches the stream */
    struct buffer run, record; /* scratch */
};

/* --- effects.c --- */

void effects_init(struct effects *effects, const struct effects_place *place, uint64_t bytes_max);
void effects_release(struct effects *effects);
void effects_clear(struct effects *effects); /* an evaluation begins */
/* The command in words, at the end of what was told so far. */
void effects_add(struct effects *effects, uint8_t database, const struct bytes *words,
                 size_t count);
void effects_say(struct effects *effects, enum stream_word word, const struct published *published);
/* The evaluation is final: what was told becomes records of this entry. */
void effects_keep(struct state *state, struct lsn lsn);

/* --- stream.c --- */

/* A generation was frozen: whatever earlier flushes hold below place.first goes with its flush. */
void effects_frozen(struct state *state, struct run *run);
/* Gives up what is to be kept no longer, as far as memory knows where it may be cut. */
void effects_trim(struct state *state);
void state_effects_keep(struct machine *machine, const struct effects_keep *keep);
enum err state_effects_read(struct machine *machine, const struct effects_read *read);

#endif
