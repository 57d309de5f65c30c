/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The planted bugs of the keys machine: without the line that each removes, something here is
 * wrong.
 */
#include "test/test.h"

#include "base/plant.h"
#include "test/state/bed.h"

TEST(state_plants, a_mark_that_forgets_a_no_op_stops_the_next_entry)
{
    struct bed bed;
    bed_init(&bed, 1);
    plant_set(PLANT_FORGET_MARK_IN_NOOP, true);
    (void)bed_write(&bed, "SET a 1");
    (void)bed_write(&bed, "DEL none");
    plant_set(PLANT_FORGET_MARK_IN_NOOP, false);
    assert_int_equal(bed_applied(&bed), 1);
    struct buffer payload;
    buffer_init(&payload);
    bed_payload(&payload, 0, "SET a 2");
    assert_int_equal(bed_try(&bed, buffer_bytes(&payload)), ERR_CORRUPT);
    buffer_release(&payload);
    bed_release(&bed);
}

/* Thirty writes; whether the digest is then that of a machine without the plant. */
static bool same_digest(enum plant plant, bool on)
{
    struct bed bed;
    bed_init(&bed, 1);
    plant_set(plant, on);
    for (unsigned i = 0; i < 30; i++) (void)bed_write(&bed, i % 2 == 0 ? "INCR a" : "LPUSH l x");
    plant_set(plant, false);
    char text[DIGEST_TEXT_BYTES];
    digest_format(bed_digest(&bed), text);
    static char plain[DIGEST_TEXT_BYTES];
    if (!on) memcpy(plain, text, sizeof plain);
    bed_release(&bed);
    return strcmp(plain, text) == 0;
}

TEST(state_plants, a_mark_without_its_effects_is_another_digest_at_the_same_mark)
{
    assert_true(same_digest(PLANT_MARK_WITHOUT_EFFECTS, false));
    assert_false(same_digest(PLANT_MARK_WITHOUT_EFFECTS, true));
}

static uint64_t wall_ms(struct clock *clock)
{
    (void)clock;
    return 1800000000000; /* long after the stamps */
}

TEST(state_plants, the_wall_clock_ends_keys_that_the_stamp_does_not)
{
    static const struct clock_ops ops = {.wall_ms = wall_ms};
    struct clock clock = {&ops};
    struct bed bed;
    bed_init(&bed, 1);
    bed.clock = &clock;
    bed_reopen(&bed);
    (void)bed_write(&bed, "SET a 1 PX 1000");
    assert_string_equal(bed_write(&bed, "APPEND a 2"), "2");
    plant_set(PLANT_EXPIRE_BY_WALL_CLOCK, true);
    assert_string_equal(bed_write(&bed, "APPEND a 3"), "1");
    plant_set(PLANT_EXPIRE_BY_WALL_CLOCK, false);
    bed_release(&bed);
}

TEST(state_plants, a_version_that_is_used_again_brings_old_elements_back_or_takes_new_ones)
{
    struct bed bed;
    bed_init(&bed, 1);
    plant_set(PLANT_REUSE_KEY_VERSION, true);
    (void)bed_write(&bed, "HSET h old 1");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    (void)bed_write(&bed, "DEL h");
    (void)bed_write(&bed, "HSET h new 2");
    plant_set(PLANT_REUSE_KEY_VERSION, false);
    assert_string_not_equal(bed_read(&bed, "HGETALL h"), "{\"new\" \"2\"}");
    bed_release(&bed);
}

TEST(state_plants, an_end_that_was_moved_would_be_ignored)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct buffer payload;
    buffer_init(&payload);
    payload_put_expire(&payload, 0, bytes_text("a"));
    (void)bed_write(&bed, "SET a 1 PX 1000");
    plant_set(PLANT_EXPIRE_UNCONDITIONALLY, true);
    (void)bed_apply(&bed, buffer_bytes(&payload));
    plant_set(PLANT_EXPIRE_UNCONDITIONALLY, false);
    assert_string_equal(bed_read(&bed, "EXISTS a"), "0");
    buffer_release(&payload);
    bed_release(&bed);
}
