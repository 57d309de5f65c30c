/* SPDX-License-Identifier: Apache-2.0 */
/* The flushed mark, while entries are applied beside flushes that end well or do not. */
#include <stdio.h>

#include "test/state/bed.h"
#include "test/test.h"

static void write_some(struct bed *bed, struct dice *dice)
{
    for (uint64_t left = dice_below(dice, 6); left > 0; left--) {
        char line[64];
        (void)snprintf(line, sizeof line, "SET key%u %u", (unsigned)dice_below(dice, 20),
                       (unsigned)dice_below(dice, 1000));
        assert_string_equal(bed_write(bed, line), "OK");
    }
}

static struct mark applied(const struct bed *bed)
{
    return bed->machine->ops->applied(bed->machine);
}

static struct mark flushed(const struct bed *bed)
{
    return bed->machine->ops->flushed(bed->machine);
}

TEST(state_flush, the_mark_never_goes_back_and_is_that_of_a_moment_whatever_is_applied_beside_it)
{
    struct bed bed;
    struct dice dice;
    bed_init(&bed, 1);
    dice_init(&dice, 7);
    struct mark kept = flushed(&bed), frozen = kept;
    unsigned moved = 0, failed = 0;
    bool waits = false; /* what was frozen is tried again */
    for (unsigned i = 0; i < 400; i++) {
        write_some(&bed, &dice);
        if (!waits) frozen = applied(&bed);
        if (dice_below(&dice, 4) == 0) bed.store.flush_fails = ERR_SPACE;
        bed_flush_begin(&bed);
        write_some(&bed, &dice);
        struct mark now = flushed(&bed);
        assert_true(mark_equal(&now, &kept)); /* not before it has ended */
        uint64_t beside = bed_applied(&bed);
        bed_settle(&bed);
        assert_int_equal(bed_applied(&bed), beside);
        now = flushed(&bed);
        waits = bed.flush.err != ERR_OK;
        failed += waits;
        assert_true(mark_equal(&now, waits ? &kept : &frozen));
        assert_false(lsn_before(now.lsn, kept.lsn));
        moved += lsn_before(kept.lsn, now.lsn);
        kept = now;
        if (i % 50 != 49) continue;
        bed_reopen(&bed); /* which applies the rest again */
        waits = false;
        now = flushed(&bed);
        assert_true(mark_equal(&now, &kept));
        assert_int_equal(bed_applied(&bed), beside);
    }
    assert_true(moved > 200 && failed > 50);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}
