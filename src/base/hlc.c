/* SPDX-License-Identifier: Apache-2.0 */
/* Which wall clock is believed. CLOCK_BOOTTIME paces what the wall clock ought to show since the
 * last look; where it shows something else, the difference decides:
 *
 *   within HLC_JUMP_MS_MAX   the wall clock is right (slewing, small steps): believe it
 *   ahead by more            go towards it, at twice boot time's pace at most
 *   behind by more           hold: what we believe waits until the wall clock passes it
 *
 * Double speed means that a jump of n seconds is caught up with after n seconds, and that entries
 * stamped meanwhile are less than n seconds wrong: no bad time server can expire all keys at once.
 * Each look moves the anchor, so that slow drift never adds up to a jump. */
#include "base/hlc.h"

#include "base/plant.h"

static uint64_t later_ms(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Moves the anchor to now and returns what is believed to be the time. */
static uint64_t hlc_believe(struct hlc *hlc, uint64_t wall_ms, uint64_t boot_ms)
{
    uint64_t elapsed = boot_ms > hlc->anchor_boot_ms ? boot_ms - hlc->anchor_boot_ms : 0;
    uint64_t expected = hlc->anchor_wall_ms + elapsed;
    uint64_t believed = wall_ms;
    if (wall_ms > expected + HLC_JUMP_MS_MAX) {
        uint64_t fastest = expected + elapsed;
        if (believed > fastest) believed = fastest;
    } else if (wall_ms + HLC_JUMP_MS_MAX < expected) {
        believed = later_ms(wall_ms, hlc->anchor_wall_ms);
    }
    hlc->anchor_wall_ms = believed;
    hlc->anchor_boot_ms = boot_ms;
    return believed;
}

/* Followed is what stamps show: the believed clock, or the newest stamp where that is ahead. */
static void hlc_note_jump(struct hlc *hlc, uint64_t wall_ms)
{
    uint64_t followed = later_ms(hlc->anchor_wall_ms, stamp_ms(hlc->last));
    int64_t jump = (int64_t)(wall_ms - followed);
    bool within = jump >= -HLC_JUMP_MS_MAX && jump <= HLC_JUMP_MS_MAX;
    hlc->jump_ms = within ? 0 : jump;
}

void hlc_init(struct hlc *hlc, struct stamp last, uint64_t wall_ms, uint64_t boot_ms)
{
    *hlc = (struct hlc){.last = last, .anchor_wall_ms = wall_ms, .anchor_boot_ms = boot_ms};
    hlc_note_jump(hlc, wall_ms);
}

struct stamp hlc_next(struct hlc *hlc, uint64_t wall_ms, uint64_t boot_ms)
{
    struct stamp clock = stamp_of_ms(hlc_believe(hlc, wall_ms, boot_ms));
    /* The counter's carry goes into the milliseconds: more than 65536 entries in one is fine. */
    if (clock.bits > hlc->last.bits || PLANTED(STAMP_GOES_BACK)) hlc->last = clock;
    else if (hlc->last.bits < UINT64_MAX) hlc->last.bits++; /* one seen elsewhere may be the last */
    hlc_note_jump(hlc, wall_ms);
    return hlc->last;
}

struct stamp hlc_now(struct hlc *hlc, uint64_t wall_ms, uint64_t boot_ms)
{
    struct stamp clock = stamp_of_ms(hlc_believe(hlc, wall_ms, boot_ms));
    /* Kept as given: the believed clock may take a small step back before the next entry. */
    if (clock.bits > hlc->last.bits) hlc->last = clock;
    hlc_note_jump(hlc, wall_ms);
    return hlc->last;
}

void hlc_observe(struct hlc *hlc, struct stamp seen)
{
    if (seen.bits > hlc->last.bits) hlc->last = seen;
}

int64_t hlc_jump_ms(const struct hlc *hlc)
{
    return hlc->jump_ms;
}
