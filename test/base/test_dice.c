/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dice.h"

#include "test/test.h"

TEST(dice, rolls_are_those_of_xoshiro256_starstar)
{
    struct dice dice = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < 4; i++) assert_int_equal(dice_roll(&dice), expected[i]);
}

TEST(dice, the_seed_is_spread_by_splitmix64)
{
    struct dice dice;
    dice_init(&dice, 1234567);
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
                                        9817491932198370423u, 4593380528125082431u};
    for (size_t i = 0; i < 4; i++) assert_int_equal(dice.state[i], expected[i]);
}

TEST(dice, the_same_seed_rolls_the_same)
{
    struct dice a, b, other;
    dice_init(&a, 77);
    dice_init(&b, 77);
    dice_init(&other, 78);
    bool differs = false;
    for (int i = 0; i < 1000; i++) {
        uint64_t roll = dice_roll(&a);
        assert_int_equal(dice_roll(&b), roll);
        differs |= dice_roll(&other) != roll;
    }
    assert_true(differs);
}

TEST(dice, below_stays_below_and_reaches_every_value_evenly)
{
    struct dice dice;
    dice_init(&dice, 5);
    unsigned counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t value = dice_below(&dice, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    for (int i = 0; i < 7; i++) assert_in_range(counts[i], 9600, 10400);
    for (int i = 0; i < 100; i++) assert_int_equal(dice_below(&dice, 1), 0);
}

TEST(dice, a_bound_that_does_not_divide_the_range_is_still_even)
{
    /* With a plain remainder the lower half of this bound would come twice as often. */
    struct dice dice;
    dice_init(&dice, 6);
    uint64_t bound = (uint64_t)3 << 62;
    unsigned thirds[3] = {0};
    for (int i = 0; i < 30000; i++) thirds[dice_below(&dice, bound) >> 62]++;
    for (int i = 0; i < 3; i++) assert_in_range(thirds[i], 9600, 10400);
}

TEST(dice, a_chance_is_n_times_in_so_many)
{
    struct dice dice;
    dice_init(&dice, 7);
    unsigned hits = 0;
    for (int i = 0; i < 30000; i++) hits += dice_chance(&dice, 1, 3) ? 1 : 0;
    assert_in_range(hits, 9600, 10400);
    for (int i = 0; i < 100; i++) {
        assert_false(dice_chance(&dice, 0, 3));
        assert_true(dice_chance(&dice, 3, 3));
    }
}
