/* SPDX-License-Identifier: Apache-2.0 */
/* hlc: the stamp of an entry, a hybrid logical clock that never goes back in a log.
 *
 * Source: Kulkarni et al., "Logical Physical Clocks" (2014), with one bound of our own: the wall
 * clock is followed exactly within 1 s of CLOCK_BOOTTIME's pace; a larger jump forward is
 * followed at double speed at most (and reported by hlc_jump_ms); a jump backwards holds the
 * stamp still, counting. Nothing stops writing for a clock. */
#ifndef BASE_HLC_H
#define BASE_HLC_H

#include <stdbool.h>
#include <stdint.h>

/* Wall milliseconds in the upper 48 bits, a counter in the lower 16; ordered as an integer. */
struct stamp {
    uint64_t bits;
};

static inline uint64_t stamp_ms(struct stamp stamp)
{
    return stamp.bits >> 16;
}

static inline struct stamp stamp_of_ms(uint64_t ms)
{
    return (struct stamp){ms << 16};
}

enum { HLC_JUMP_MS_MAX = 1000 };

struct hlc {
    struct stamp last;       /* given last, or read from the log at start */
    uint64_t anchor_wall_ms; /* the wall clock we believe, at anchor_boot_ms */
    uint64_t anchor_boot_ms;
    int64_t jump_ms; /* wall clock less believed clock, when beyond the bound; else 0 */
};

/* `last` is the newest stamp in the log, or zero. The wall clock is believed as it is at the
 * start. */
void hlc_init(struct hlc *hlc, struct stamp last, uint64_t wall_ms, uint64_t boot_ms);
/* A stamp after every earlier one. */
struct stamp hlc_next(struct hlc *hlc, uint64_t wall_ms, uint64_t boot_ms);
/* The clock for a read: not before the newest stamp given, and no entry stamped later gets less. */
struct stamp hlc_now(struct hlc *hlc, uint64_t wall_ms, uint64_t boot_ms);
/* A stamp seen in the log of another copy, or at replay: later stamps are after it. */
void hlc_observe(struct hlc *hlc, struct stamp seen);
/* How far the wall clock stands from what we follow, in ms, when beyond the bound; else 0. */
int64_t hlc_jump_ms(const struct hlc *hlc);

#endif
