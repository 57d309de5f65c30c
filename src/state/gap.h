/* SPDX-License-Identifier: Apache-2.0 */
/* gap: stretches of a strand where a walk found nothing but removed records.
 *
 * A queue that is in the store and is popped from one end leaves a row of removed records at that
 * end until the next flush. Without a note each pop would walk over all of them again. A gap is
 * only a note: that no record is in [from, to), in any layer. Whatever may put a record there says
 * so first. */
#ifndef STATE_GAP_H
#define STATE_GAP_H

#include "base/buffer.h"

struct place {
    uint64_t order;
    struct bytes tail; /* borrowed */
};

struct gap;

/* A strand's: one noted by walks forwards, one by walks backwards. NULL: none. */
struct gaps {
    struct gap *at[2];
};

enum { GAP_SKIPPED_MIN = 16 }; /* fewer are not worth a note */

void gaps_release(struct gaps *gaps);
/* Where a walk that begins at `place` may begin as well: forwards at or behind it; backwards (from
 * the last record before it) at or before it. The tail is borrowed until the gaps change. */
struct place gaps_skip(const struct gaps *gaps, struct place place, bool backward);
/* A walk from `from` found its first record at `to`; NULL: it found none. */
void gaps_note(struct gaps *gaps, struct place from, const struct place *to, bool backward);
/* A record may be at `place` from now on. */
void gaps_touch(struct gaps *gaps, struct place place);

int place_compare(struct place a, struct place b);

#endif
