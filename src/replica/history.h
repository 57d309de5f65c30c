/* SPDX-License-Identifier: Apache-2.0 */
/* history: which epoch wrote which part of a log, and where two logs part (I10).
 *
 * An epoch has one writer, so two logs that both hold its entry hold the same entries up to the
 * end that it has in the shorter of them: the epoch histories alone say where the common part
 * ends, and the lineage there proves it. */
#ifndef REPLICA_HISTORY_H
#define REPLICA_HISTORY_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"

enum {
    HISTORY_EPOCHS_MAX = 4096, /* older ones are forgotten */
    HISTORY_EPOCH_BYTES = 32,  /* encoded */
};

/* The epochs of one log, the oldest first; epoch, first LSN and stream offset never go back. */
struct epochs {
    struct epoch_start *at;
    size_t count;
};

/* What is told of another copy: borrowed. */
struct epochs_view {
    const struct epoch_start *at;
    size_t count;
};

void epochs_init(struct epochs *epochs);
void epochs_release(struct epochs *epochs);
struct epochs_view epochs_view(const struct epochs *epochs);
/* ERR_REFUSED: not after the newest. The oldest is forgotten when there are too many. */
MUST_USE enum err epochs_append(struct epochs *epochs, const struct epoch_start *start,
                                struct why *why);
/* Entries after `last` are gone: so are the epochs that began there. */
void epochs_cut(struct epochs *epochs, struct lsn last);

/* Ascending, bounded, none beginning after `last`, and the newest is `last`'s epoch. */
bool epochs_are_sound(struct epochs_view epochs, const struct mark *last);
/* The epoch whose entry or a later one of it has this LSN. False: it is forgotten, or there is no
 * such entry. */
bool epochs_find(struct epochs_view epochs, struct lsn lsn, struct epoch *out);

enum common_kind {
    COMMON_FOUND,     /* lsn and epoch: the last entry that both logs hold */
    COMMON_NOTHING,   /* for certain they have no entry in common: the first one of the shard may
                         be lost at the primary, and here at the replica that it was sent to */
    COMMON_FORGOTTEN, /* what they have in common is older than what one of them remembers */
    COMMON_FORK,      /* one epoch in two shapes: one of the copies was rolled back or damaged */
};

struct common {
    enum common_kind kind;
    struct lsn lsn; /* 0 unless COMMON_FOUND */
    struct epoch epoch;
};

/* Of two logs with sound epochs that end with these marks. */
struct common epochs_common(struct epochs_view a, struct lsn a_last, struct epochs_view b,
                            struct lsn b_last);

void epochs_encode(struct epochs_view epochs, struct buffer *out);
/* Takes `count` epochs off the front of *in. ERR_PROTOCOL: too few bytes, too many, or not
 * ascending; then nothing is allocated. */
MUST_USE enum err epochs_decode(struct bytes *in, size_t count, struct epochs *out);

#endif
