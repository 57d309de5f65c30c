/* SPDX-License-Identifier: Apache-2.0 */
/* place: where a synced write is carried out, on the loop or on a helper thread, by how long it
 * takes.
 *
 * On a fast disk (a sync below 100 us) a hand-over to a thread and back costs as much as the write
 * itself, so it is made inline; on a slow one an inline write would keep every reader waiting. The
 * median of the last PLACE_SAMPLES writes decides: above PLACE_SLOW_US the thread, below
 * PLACE_FAST_US the loop again. The gap between the two, and a window that begins anew with each
 * change, keep it from swinging. */
#ifndef REAL_PLACE_H
#define REAL_PLACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PLACE_SAMPLES = 15,
    PLACE_SAMPLES_TO_LEAVE = 5, /* enough to leave the loop: each slow one holds everybody up */
    PLACE_SLOW_US = 1000,
    PLACE_FAST_US = 300,
};

struct place {
    uint64_t samples[PLACE_SAMPLES]; /* us, a ring */
    unsigned count, next;
    bool thread; /* false: inline; begins so */
};

/* Takes in one write's time; true when the place has changed by it. */
bool place_note(struct place *place, uint64_t us);
uint64_t place_median_us(const struct place *place); /* 0 without samples */

#endif
