/* SPDX-License-Identifier: Apache-2.0 */
#include "base/plant.h"

#include <string.h>

#include "test/test.h"

TEST(plant, every_switch_is_off_until_it_is_set)
{
    for (int i = 0; i < PLANTS; i++) assert_false(plant_is_set((enum plant)i));
    assert_false(PLANTED(SKIP_SYNC));
    plant_set(PLANT_SKIP_SYNC, true);
    assert_true(PLANTED(SKIP_SYNC));
    assert_false(PLANTED(ACK_BEFORE_SYNC));
    plant_set(PLANT_SKIP_SYNC, false);
    assert_false(PLANTED(SKIP_SYNC));
}

TEST(plant, every_switch_has_a_name_and_says_what_it_removes)
{
    assert_string_equal(plant_name(PLANT_SKIP_SYNC), "SKIP_SYNC");
    for (int a = 0; a < PLANTS; a++) {
        assert_true(strlen(plant_text((enum plant)a)) > 10);
        for (int b = 0; b < a; b++)
            assert_string_not_equal(plant_name((enum plant)a), plant_name((enum plant)b));
    }
}
