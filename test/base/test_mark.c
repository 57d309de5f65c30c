/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mark.h"

#include "base/dice.h"
#include "test/test.h"

static const char sample_text[] =
    "000102030405060708090a0b0c0d0eff:7.18446744073709551615:412:00000000deadbeef";

static struct mark sample_mark(void)
{
    struct mark mark = {.epoch = {7, UINT64_MAX}, .lsn = {412}, .lineage = {0xdeadbeef}};
    for (uint8_t i = 0; i < 15; i++) mark.history.id[i] = i;
    mark.history.id[15] = 0xff;
    return mark;
}

TEST(mark, text_is_as_documented)
{
    struct mark mark = sample_mark();
    char text[MARK_TEXT_BYTES];
    mark_format(&mark, text);
    assert_string_equal(text, sample_text);
}

TEST(mark, encoding_is_as_documented)
{
    struct mark mark = sample_mark();
    uint8_t encoded[MARK_ENCODED_BYTES];
    mark_encode(&mark, encoded);
    static const uint8_t expected[MARK_ENCODED_BYTES] = {
        0,    1, 2, 3, 4, 5, 6, 7, 8,    9,    10,   11,   12,  13,  14,  0xff, /* history */
        7,    0, 0, 0, 0, 0, 0, 0, 255,  255,  255,  255,  255, 255, 255, 255,  /* epoch */
        0x9c, 1, 0, 0, 0, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde, 0,   0,   0,   0,    /* lsn, lineage */
    };
    assert_memory_equal(encoded, expected, sizeof(expected));
}

TEST(mark, text_and_encoding_come_back_as_they_went)
{
    struct dice dice;
    dice_init(&dice, 2);
    for (int i = 0; i < 2000; i++) {
        struct mark mark, back = {.lsn = {0}};
        uint64_t mask = UINT64_MAX >> dice_below(&dice, 64);
        store_le64(mark.history.id, dice_roll(&dice));
        store_le64(mark.history.id + 8, dice_roll(&dice));
        mark.epoch = (struct epoch){dice_roll(&dice) & mask, dice_roll(&dice) & mask};
        mark.lsn.at = dice_roll(&dice) & mask;
        mark.lineage.hash = dice_roll(&dice) & mask;
        uint8_t encoded[MARK_ENCODED_BYTES];
        mark_encode(&mark, encoded);
        mark_decode(encoded, &back);
        assert_true(mark_equal(&mark, &back));
        char text[MARK_TEXT_BYTES];
        mark_format(&mark, text);
        back = (struct mark){.lsn = {0}};
        assert_int_equal(mark_parse(bytes_text(text), &back), ERR_OK);
        assert_true(mark_equal(&mark, &back));
    }
}

TEST(mark, the_longest_text_fits_and_one_more_digit_is_refused)
{
    struct mark mark;
    memset(&mark, 0xff, sizeof(mark));
    char text[MARK_TEXT_BYTES];
    mark_format(&mark, text);
    struct mark back;
    assert_int_equal(mark_parse(bytes_text(text), &back), ERR_OK);
    assert_int_equal(
        mark_parse(bytes_text("000102030405060708090a0b0c0d0eff:18446744073709551616.1:1:"
                              "0000000000000000"),
                   &back),
        ERR_PROTOCOL);
}

TEST(mark, other_text_is_refused_and_changes_nothing)
{
    static const char *const bad[] = {
        "",
        "x",
        "000102030405060708090a0b0c0d0eff",
        "000102030405060708090a0b0c0d0eff:7.1:412",
        "000102030405060708090a0b0c0d0eff:7.1:412:00000000deadbee",
        "000102030405060708090a0b0c0d0eff:7.1:412:00000000deadbeef0",
        "000102030405060708090a0b0c0d0eff:7.1:412:00000000deadbeef ",
        " 000102030405060708090a0b0c0d0eff:7.1:412:00000000deadbeef",
        "000102030405060708090A0B0C0D0EFF:7.1:412:00000000deadbeef",
        "000102030405060708090a0b0c0d0eff:07.1:412:00000000deadbeef",
        "000102030405060708090a0b0c0d0eff:7.:412:00000000deadbeef",
        "000102030405060708090a0b0c0d0eff:7.1::00000000deadbeef",
        "000102030405060708090a0b0c0d0eff:+7.1:4:00000000deadbeef",
        "000102030405060708090a0b0c0d0eff:7,1:4:00000000deadbeef",
        "000102030405060708090a0b0c0d0efg:7.1:4:00000000deadbeef",
        "000102030405060708090a0b0c0d0eff.7.1:4:00000000deadbeef",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mark mark = sample_mark(), untouched = sample_mark();
        assert_int_equal(mark_parse(bytes_text(bad[i]), &mark), ERR_PROTOCOL);
        assert_true(mark_equal(&mark, &untouched));
    }
}

TEST(mark, no_prefix_of_a_text_is_a_mark)
{
    for (size_t size = 0; size < sizeof(sample_text) - 1; size++) {
        struct mark mark;
        assert_int_equal(mark_parse(bytes_of(sample_text, size), &mark), ERR_PROTOCOL);
    }
}

TEST(mark, equality_sees_every_field)
{
    struct mark a = sample_mark(), b;
    b = a, b.history.id[15] ^= 1;
    assert_false(mark_equal(&a, &b));
    b = a, b.epoch.number++;
    assert_false(mark_equal(&a, &b));
    b = a, b.epoch.copy--;
    assert_false(mark_equal(&a, &b));
    b = a, b.lsn.at++;
    assert_false(mark_equal(&a, &b));
    b = a, b.lineage.hash++;
    assert_false(mark_equal(&a, &b));
    b = a;
    assert_true(mark_equal(&a, &b));
}

TEST(mark, epochs_are_ordered_by_number_then_copy)
{
    assert_true(epoch_compare((struct epoch){1, 9}, (struct epoch){2, 1}) < 0);
    assert_true(epoch_compare((struct epoch){2, 1}, (struct epoch){1, 9}) > 0);
    assert_true(epoch_compare((struct epoch){2, 1}, (struct epoch){2, 2}) < 0);
    assert_true(epoch_compare((struct epoch){2, 2}, (struct epoch){2, 1}) > 0);
    assert_int_equal(epoch_compare((struct epoch){2, 2}, (struct epoch){2, 2}), 0);
}

TEST(mark, lsns_are_ordered_and_dense)
{
    struct lsn one = {1}, two = {2};
    assert_true(lsn_before(one, two));
    assert_false(lsn_before(two, two));
    assert_int_equal(lsn_next(one).at, 2);
    assert_int_equal(lsn_min(one, two).at, 1);
    assert_int_equal(lsn_min(two, one).at, 1);
    assert_int_equal(lsn_max(one, two).at, 2);
    assert_int_equal(lsn_max(two, one).at, 2);
}
