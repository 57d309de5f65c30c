/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "test/test.h"

static const struct bytes nothing = {NULL, 0};

TEST(bytes, order_is_by_unsigned_byte_and_a_prefix_comes_first)
{
    assert_true(bytes_compare(bytes_text("a"), bytes_text("b")) < 0);
    assert_true(bytes_compare(bytes_text("b"), bytes_text("a")) > 0);
    assert_true(bytes_compare(bytes_text("ab"), bytes_text("abc")) < 0);
    assert_true(bytes_compare(bytes_text("abc"), bytes_text("ab")) > 0);
    assert_true(bytes_compare(bytes_text("b"), bytes_text("abc")) > 0);
    assert_true(bytes_compare(bytes_text("\x7f"), bytes_text("\x80")) < 0);
    assert_true(bytes_compare(bytes_of("a\0b", 3), bytes_of("a\0c", 3)) < 0);
    assert_int_equal(bytes_compare(bytes_text("abc"), bytes_text("abc")), 0);
}

TEST(bytes, nothing_may_be_null)
{
    assert_int_equal(bytes_compare(nothing, nothing), 0);
    assert_true(bytes_compare(nothing, bytes_text("a")) < 0);
    assert_true(bytes_equal(nothing, bytes_text("")));
    assert_true(bytes_starts_with(bytes_text("a"), nothing));
    assert_true(bytes_starts_with(nothing, nothing));
    assert_true(bytes_is_word(nothing, ""));
}

TEST(bytes, a_word_is_compared_whole_and_without_case)
{
    assert_true(bytes_is_word(bytes_text("GeT"), "get"));
    assert_true(bytes_is_word(bytes_text("get"), "GET"));
    assert_false(bytes_is_word(bytes_text("ge"), "get"));
    assert_false(bytes_is_word(bytes_text("gets"), "get"));
    assert_false(bytes_is_word(bytes_of("get\0", 4), "get"));
    /* '@' and '`' differ from each other by the bit that differs between cases. */
    assert_false(bytes_is_word(bytes_text("@"), "`"));
    assert_false(bytes_is_word(bytes_text("["), "{"));
}

TEST(bytes, a_prefix_is_found_only_at_the_start)
{
    assert_true(bytes_starts_with(bytes_text("abc"), bytes_text("ab")));
    assert_true(bytes_starts_with(bytes_text("abc"), bytes_text("abc")));
    assert_false(bytes_starts_with(bytes_text("abc"), bytes_text("abcd")));
    assert_false(bytes_starts_with(bytes_text("abc"), bytes_text("bc")));
}

TEST(bytes, integers_have_the_byte_order_of_their_name)
{
    uint8_t at[8];
    store_le64(at, 0x1122334455667788u);
    assert_memory_equal(at, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    assert_int_equal(load_le64(at), 0x1122334455667788u);
    assert_int_equal(load_be64(at), 0x8877665544332211u);
    store_be64(at, 0x1122334455667788u);
    assert_memory_equal(at, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    assert_int_equal(load_be64(at), 0x1122334455667788u);
    store_le32(at, 0xfedcba98u);
    assert_int_equal(load_le32(at), 0xfedcba98u);
    store_be32(at, 0xfedcba98u);
    assert_memory_equal(at, "\xfe\xdc\xba\x98", 4);
    assert_int_equal(load_be32(at), 0xfedcba98u);
    store_le16(at, 0xfedcu);
    assert_memory_equal(at, "\xdc\xfe", 2);
    assert_int_equal(load_le16(at), 0xfedcu);
}
