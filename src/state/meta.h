/* SPDX-License-Identifier: Apache-2.0 */
/* meta: the one record of the store that says what the store is: written by each flush in the same
 * atomic step as everything else (docs/formats/state.md). */
#ifndef STATE_META_H
#define STATE_META_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/hlc.h"
#include "base/mark.h"
#include "seam/effects.h"
#include "seam/followed.h"
#include "state/tx.h"

struct meta_database {
    uint64_t namespace;
    uint64_t keys, expires; /* keys, and those of them that end some time */
    struct digest sum;
};

enum { META_EPOCHS_MAX = 4096 }; /* older ones are forgotten */

struct meta {
    struct mark mark;
    struct stamp stamp;
    uint64_t namespaces; /* given so far */
    struct effects_place effects;
    struct followed followed; /* where a primary of another make holds the same */
    struct meta_database databases[DATABASES];
    struct epoch_start *epochs; /* the oldest first */
    size_t epoch_count;
    struct bytes members; /* payload of the newest ENTRY_MEMBERS; empty: there was none */
};

/* Of an empty state at that mark: no epochs, namespaces from 1, no stream of effects, no
 * members. */
void meta_init(struct meta *meta, const struct mark *mark);
/* The sum over databases that hold keys; a database's number is hashed with its sum. */
struct digest meta_digest(const struct meta_database databases[DATABASES]);

void meta_encode(const struct meta *meta, struct buffer *out);
/* ERR_CORRUPT, ERR_REFUSED (a later format); then nothing is allocated. meta->epochs is the
 * caller's to free, and the members go with it: they are in the same piece of memory. */
MUST_USE enum err meta_decode(struct bytes value, struct meta *meta, struct why *why);

#endif
