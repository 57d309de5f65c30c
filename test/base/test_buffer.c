/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include "base/dice.h"
#include "test/test.h"

static void assert_content(const struct buffer *buffer, const char *text, size_t size)
{
    assert_int_equal(buffer->size, size);
    if (size > 0) assert_memory_equal(buffer->data, text, size);
}

TEST(buffer, begins_empty_without_storage)
{
    struct buffer buffer;
    buffer_init(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer_bytes(&buffer).size, 0);
    buffer_append(&buffer, (struct bytes){NULL, 0});
    assert_null(buffer.data);
    buffer_consume(&buffer, 0);
    buffer_clear(&buffer);
    buffer_release(&buffer);
}

TEST(buffer, appends_in_order_in_the_byte_order_of_their_name)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_text(&buffer, "ab");
    buffer_append_byte(&buffer, 0xff);
    buffer_append_le16(&buffer, 0x0102);
    buffer_append_le32(&buffer, 0x01020304);
    buffer_append_le64(&buffer, 0x0102030405060708u);
    buffer_append_be64(&buffer, 0x0102030405060708u);
    assert_content(&buffer,
                   "ab\xff\x02\x01\x04\x03\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01"
                   "\x01\x02\x03\x04\x05\x06\x07\x08",
                   25);
    buffer_release(&buffer);
    assert_null(buffer.data);
}

TEST(buffer, a_format_longer_than_the_room_is_written_whole)
{
    struct buffer buffer;
    buffer_init(&buffer);
    char text[301];
    memset(text, 'x', 300);
    text[300] = '\0';
    for (int size = 0; size <= 300; size++) {
        size_t before = buffer.size;
        buffer_append_format(&buffer, "%.*s", size, text);
        assert_int_equal(buffer.size, before + (size_t)size);
        if (size > 0) assert_memory_equal(buffer.data + before, text, (size_t)size);
    }
    buffer_release(&buffer);
}

TEST(buffer, reserved_room_is_not_content_until_the_owner_says_so)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_text(&buffer, "ab");
    uint8_t *at = buffer_reserve(&buffer, 1000);
    assert_ptr_equal(at, buffer.data + 2);
    assert_int_equal(buffer.size, 2);
    assert_true(buffer.capacity >= 1002);
    memset(at, 'c', 1000);
    buffer.size += 1000;
    assert_int_equal(buffer.data[1001], 'c');
    assert_non_null(buffer_reserve(&buffer, 0));
    buffer_release(&buffer);
}

TEST(buffer, consuming_drops_from_the_front)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_text(&buffer, "abcdef");
    buffer_consume(&buffer, 2);
    assert_content(&buffer, "cdef", 4);
    buffer_consume(&buffer, 4);
    assert_content(&buffer, "", 0);
    buffer_release(&buffer);
}

TEST(buffer, shrinking_keeps_content_and_asked_for_storage)
{
    struct buffer buffer;
    buffer_init(&buffer);
    (void)buffer_reserve(&buffer, 10000);
    buffer_append_text(&buffer, "abc");
    buffer_shrink(&buffer, 2);
    assert_true(buffer.capacity >= 10000);
    buffer_shrink(&buffer, 100);
    assert_int_equal(buffer.capacity, 100);
    assert_content(&buffer, "abc", 3);
    buffer_clear(&buffer);
    assert_int_equal(buffer.capacity, 100);
    buffer_shrink(&buffer, 0);
    assert_null(buffer.data);
    buffer_append_text(&buffer, "again");
    assert_content(&buffer, "again", 5);
    buffer_release(&buffer);
}

TEST(buffer, growth_is_amortised)
{
    struct buffer buffer;
    buffer_init(&buffer);
    unsigned moves = 0;
    for (int i = 0; i < 1000000; i++) {
        size_t before = buffer.capacity;
        buffer_append_byte(&buffer, (uint8_t)i);
        if (buffer.capacity != before) moves++;
    }
    assert_true(moves < 20);
    buffer_release(&buffer);
}

TEST(buffer, random_appends_and_consumes_equal_a_plain_array)
{
    static uint8_t plain[200000];
    size_t begin = 0, end = 0;
    struct dice dice;
    dice_init(&dice, 1);
    struct buffer buffer;
    buffer_init(&buffer);
    while (end + 300 < sizeof(plain)) {
        size_t size = (size_t)dice_below(&dice, 300);
        for (size_t i = 0; i < size; i++) plain[end + i] = (uint8_t)dice_roll(&dice);
        buffer_append(&buffer, bytes_of(plain + end, size));
        end += size;
        size_t count = (size_t)dice_below(&dice, end - begin + 1);
        buffer_consume(&buffer, count);
        begin += count;
        if (dice_chance(&dice, 1, 4)) buffer_shrink(&buffer, (size_t)dice_below(&dice, 500));
        assert_int_equal(buffer.size, end - begin);
        if (end > begin) assert_memory_equal(buffer.data, plain + begin, end - begin);
    }
    buffer_release(&buffer);
}
