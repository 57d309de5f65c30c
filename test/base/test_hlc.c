/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hlc.h"

#include "base/dice.h"
#include "test/test.h"

enum { WALL = 1700000000, SECOND = 1000, HOUR = 3600 * SECOND };

static const struct stamp nothing = {0};

TEST(hlc, the_wall_clock_is_believed_at_the_start)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 5);
    assert_int_equal(hlc_jump_ms(&hlc), 0);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL, 5)), WALL);
}

TEST(hlc, entries_of_one_millisecond_are_counted)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    uint64_t first = hlc_next(&hlc, WALL, 0).bits;
    assert_int_equal(first, stamp_of_ms(WALL).bits);
    for (uint64_t i = 1; i < 200000; i++) assert_int_equal(hlc_next(&hlc, WALL, 0).bits, first + i);
    /* The carry took the stamp three milliseconds ahead; the clock overtakes it again. */
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL, 0)), WALL + 3);
    assert_int_equal(hlc_next(&hlc, WALL + 4, 4).bits, stamp_of_ms(WALL + 4).bits);
}

TEST(hlc, small_steps_and_drift_are_followed_exactly)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + 1000, 0)), WALL + 1000);
    /* 500 ppm for a day: 43 s in all, never a jump. */
    uint64_t wall = WALL + 1000, boot = 0;
    for (int i = 0; i < 8640; i++) {
        wall += 10005;
        boot += 10000;
        assert_int_equal(stamp_ms(hlc_next(&hlc, wall, boot)), wall);
        assert_int_equal(hlc_jump_ms(&hlc), 0);
    }
}

TEST(hlc, a_long_idle_time_is_not_a_jump)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + 30 * HOUR, 30 * HOUR)), WALL + 30 * HOUR);
    assert_int_equal(hlc_jump_ms(&hlc), 0);
}

TEST(hlc, a_jump_forward_is_followed_at_double_speed_and_reported)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    (void)hlc_next(&hlc, WALL, 0);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + HOUR, 0)), WALL);
    assert_int_equal(hlc_jump_ms(&hlc), HOUR);
    uint64_t boot = 0;
    for (; boot < HOUR - SECOND; boot += 100) {
        uint64_t wall = WALL + HOUR + boot;
        assert_int_equal(stamp_ms(hlc_next(&hlc, wall, boot)), WALL + 2 * boot);
        assert_int_equal(hlc_jump_ms(&hlc), HOUR - boot);
    }
    /* Within the bound again: followed exactly, nothing to report. */
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + HOUR + boot, boot)), WALL + 2 * boot);
    assert_int_equal(hlc_jump_ms(&hlc), 0);
    boot += 10;
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + HOUR + boot, boot)), WALL + HOUR + boot);
}

TEST(hlc, the_bound_itself_is_no_jump_and_one_more_is)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + HLC_JUMP_MS_MAX, 0)), WALL + HLC_JUMP_MS_MAX);
    hlc_init(&hlc, nothing, WALL, 0);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + HLC_JUMP_MS_MAX + 1, 0)), WALL);
    assert_int_equal(hlc_jump_ms(&hlc), HLC_JUMP_MS_MAX + 1);
}

TEST(hlc, a_jump_backwards_holds_the_stamp_still_and_counts)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    uint64_t before = hlc_next(&hlc, WALL, 0).bits;
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t boot = i * 10;
        assert_int_equal(hlc_next(&hlc, WALL - HOUR + boot, boot).bits, before + i);
        assert_int_equal(hlc_jump_ms(&hlc), (int64_t)boot - HOUR);
    }
    /* Once the wall clock has passed the held stamp again it leads. */
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + 5, HOUR + 5)), WALL + 5);
    assert_int_equal(hlc_jump_ms(&hlc), 0);
}

TEST(hlc, a_jump_back_and_forth_does_not_lose_the_pace)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    (void)hlc_next(&hlc, WALL, 0);
    (void)hlc_next(&hlc, WALL - HOUR, 500);
    /* Held half a second: that much is missing, and is within the bound. */
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + 600, 600)), WALL + 600);
}

TEST(hlc, a_stamp_in_the_log_ahead_of_the_clock_is_held_and_reported)
{
    struct hlc hlc;
    hlc_init(&hlc, stamp_of_ms(WALL + HOUR), WALL, 0);
    assert_int_equal(hlc_jump_ms(&hlc), -HOUR);
    assert_int_equal(hlc_next(&hlc, WALL, 0).bits, stamp_of_ms(WALL + HOUR).bits + 1);
    assert_int_equal(hlc_now(&hlc, WALL + 50, 50).bits, stamp_of_ms(WALL + HOUR).bits + 1);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + HOUR + 1, HOUR + 1)), WALL + HOUR + 1);
    assert_int_equal(hlc_jump_ms(&hlc), 0);
}

TEST(hlc, an_observed_stamp_is_passed_and_an_old_one_ignored)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    struct stamp seen = {stamp_of_ms(WALL + 70).bits + 3};
    hlc_observe(&hlc, seen);
    hlc_observe(&hlc, stamp_of_ms(WALL - 70));
    assert_int_equal(hlc_next(&hlc, WALL, 0).bits, seen.bits + 1);
}

TEST(hlc, the_last_stamp_of_all_does_not_wrap)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    hlc_observe(&hlc, (struct stamp){UINT64_MAX});
    assert_int_equal(hlc_next(&hlc, WALL, 0).bits, UINT64_MAX);
    assert_int_equal(hlc_now(&hlc, WALL, 0).bits, UINT64_MAX);
}

TEST(hlc, no_entry_is_stamped_before_a_read_that_came_first)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    (void)hlc_next(&hlc, WALL, 0);
    struct stamp read = hlc_now(&hlc, WALL + 900, 100);
    assert_int_equal(stamp_ms(read), WALL + 900);
    assert_true(hlc_next(&hlc, WALL + 100, 100).bits >= read.bits);
}

TEST(hlc, a_read_does_not_count_as_an_entry)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 0);
    struct stamp given = hlc_next(&hlc, WALL, 0);
    for (int i = 0; i < 10; i++) assert_int_equal(hlc_now(&hlc, WALL, 0).bits, given.bits);
    assert_int_equal(hlc_next(&hlc, WALL, 0).bits, given.bits + 1);
}

TEST(hlc, boot_time_that_goes_back_is_taken_for_no_time)
{
    struct hlc hlc;
    hlc_init(&hlc, nothing, WALL, 1000);
    assert_int_equal(stamp_ms(hlc_next(&hlc, WALL + HOUR, 500)), WALL);
}

TEST(hlc, under_any_clock_stamps_grow_and_run_at_double_speed_at_most)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct dice dice;
        dice_init(&dice, seed);
        uint64_t wall = WALL, boot = 0;
        struct hlc hlc;
        hlc_init(&hlc, nothing, wall, boot);
        uint64_t last = hlc_next(&hlc, wall, boot).bits;
        for (int i = 0; i < 2000; i++) {
            uint64_t elapsed = dice_below(&dice, 50);
            boot += elapsed;
            wall += elapsed;
            if (dice_chance(&dice, 1, 50)) wall += dice_below(&dice, HOUR);
            if (dice_chance(&dice, 1, 50)) wall -= dice_below(&dice, HOUR);
            uint64_t read = hlc_now(&hlc, wall, boot).bits;
            uint64_t next = hlc_next(&hlc, wall, boot).bits;
            assert_true(read >= last);
            assert_true(next > last && next >= read);
            /* A step within the bound may be taken at once, on top of the double speed. */
            assert_true(next >> 16 <= (last >> 16) + 2 * elapsed + HLC_JUMP_MS_MAX + 1);
            last = next;
        }
    }
}
