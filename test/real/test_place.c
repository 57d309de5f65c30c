/* SPDX-License-Identifier: Apache-2.0 */
#include "real/place.h"

#include "test/test.h"

TEST(real_place, begins_inline_and_stays_there_while_syncs_are_fast)
{
    struct place place = {.count = 0};
    assert_int_equal(place_median_us(&place), 0);
    for (int i = 0; i < 1000; i++) assert_false(place_note(&place, 50 + (uint64_t)i % 40));
    assert_false(place.thread);
    assert_in_range(place_median_us(&place), 50, 90);
}

TEST(real_place, leaves_the_loop_after_a_few_slow_syncs_and_not_after_one)
{
    struct place place = {.count = 0};
    for (int i = 0; i < PLACE_SAMPLES; i++) assert_false(place_note(&place, 80));
    assert_false(place_note(&place, 500000));
    for (int i = 0; i < PLACE_SAMPLES; i++) assert_false(place_note(&place, 80));
    int slow = 0;
    while (!place_note(&place, 5000)) slow++;
    assert_true(place.thread);
    assert_in_range(slow + 1, PLACE_SAMPLES / 2, PLACE_SAMPLES / 2 + 1);

    struct place fresh = {.count = 0};
    for (int i = 1; i < PLACE_SAMPLES_TO_LEAVE; i++) assert_false(place_note(&fresh, 5000));
    assert_true(place_note(&fresh, 5000));
}

TEST(real_place, comes_back_only_after_a_whole_window_of_fast_syncs)
{
    struct place place = {.count = 0};
    while (!place_note(&place, 5000)) continue;
    /* Between the two bounds nothing changes. */
    for (int i = 0; i < 100; i++)
        assert_false(place_note(&place, (PLACE_FAST_US + PLACE_SLOW_US) / 2));
    assert_true(place.thread);
    int fast = 1;
    while (!place_note(&place, 100)) fast++;
    assert_false(place.thread);
    assert_in_range(fast, PLACE_SAMPLES / 2, PLACE_SAMPLES);
    for (int i = 0; i < 100; i++)
        assert_false(place_note(&place, (PLACE_FAST_US + PLACE_SLOW_US) / 2));
    assert_false(place.thread);
}
