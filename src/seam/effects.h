/* SPDX-License-Identifier: Apache-2.0 */
/* effects: the stream of effects that a machine derives from its entries, for replicas that know no
 * log (docs/formats/effects.md). Its bytes are numbered from 1 on and never change: a copy that
 * applies the same entries, or applies them again, writes the same bytes at the same offsets. */
#ifndef SEAM_EFFECTS_H
#define SEAM_EFFECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

enum { EFFECTS_DATABASE_NONE = 255 };

struct effects_place {
    bool on;
    uint8_t database; /* selected at the end of the stream; EFFECTS_DATABASE_NONE: none yet */
    uint64_t first;   /* offset of the first byte that is kept here; another copy may keep more */
    uint64_t end;     /* offset of the byte that comes next; 0: the stream was never on */
};

/* How much is kept: this copy's own business. */
struct effects_keep {
    uint64_t bytes; /* about so many of the newest, */
    uint64_t from;  /* and everything from this offset on; UINT64_MAX: nothing beside */
};

struct effects_read {
    uint64_t offset; /* of the first byte that is wanted */
    bool joins; /* someone begins to read there: only where a command, or a transaction, does */
    uint64_t bytes_max; /* not 0 */
    unsigned attempt;   /* how often this read has been PENDING */
    struct buffer *out; /* the bytes, appended: some, or at the end of the stream none */
};

#endif
