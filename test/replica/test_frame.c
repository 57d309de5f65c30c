/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/frame.h"

#include "base/checksum.h"
#include "base/dice.h"
#include "test/test.h"

static const struct frame_head usual_head = {
    .type = FRAME_ENTRIES, .shard = 1, .cluster = 2, .epoch = {3, 4}, .session = 5};

static void put(struct buffer *out, enum frame_type type, size_t size)
{
    struct frame_head head = usual_head;
    head.type = type;
    size_t begin = frame_begin(out);
    for (size_t i = 0; i < size; i++) buffer_append_byte(out, (uint8_t)i);
    frame_seal(out, begin, &head);
}

/* The header says so, and its checksum is right. */
static void set_byte(struct buffer *frame, size_t at, uint8_t value)
{
    frame->data[at] = value;
    store_le64(frame->data + FRAME_HEADER_BYTES - 8,
               checksum64(bytes_of(frame->data, FRAME_HEADER_BYTES - 8), 0));
}

static enum err read_one(struct bytes in, size_t payload_max)
{
    struct frame_reader reader;
    struct frame frame;
    frame_reader_init(&reader);
    reader.payload_max = payload_max;
    enum err err = frame_take(&reader, &in, &frame, NULL);
    frame_reader_release(&reader);
    return err;
}

TEST(replica_frame, any_split_gives_the_same_frames_and_holds_no_more_than_one)
{
    struct buffer stream;
    struct dice dice;
    buffer_init(&stream);
    static const size_t sizes[] = {0, 1, 300, 0, 5000, 63, 64, 65, 0};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    for (unsigned i = 0; i < COUNT; i++) put(&stream, FRAME_ENTRIES, sizes[i]);
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct frame_reader reader;
        frame_reader_init(&reader);
        reader.payload_max = FRAME_PAYLOAD_BYTES_MAX;
        dice_init(&dice, seed);
        size_t at = 0, most = 1 + (size_t)dice_below(&dice, 800);
        unsigned count = 0;
        while (at < stream.size) {
            size_t size = 1 + (size_t)dice_below(&dice, most);
            if (size > stream.size - at) size = stream.size - at;
            struct bytes in = bytes_of(stream.data + at, size);
            struct frame frame;
            at += size;
            while (frame_take(&reader, &in, &frame, NULL) == ERR_OK) {
                assert_int_equal(frame.payload.size, sizes[count++]);
                for (size_t i = 0; i < frame.payload.size; i++)
                    assert_int_equal(frame.payload.data[i], (uint8_t)i);
                assert_int_equal(frame.head.session, 5);
            }
            assert_int_equal(in.size, 0);
            assert_true(reader.held.capacity <= 2 * (FRAME_HEADER_BYTES + 5000));
        }
        assert_int_equal(count, COUNT);
        frame_reader_release(&reader);
    }
    buffer_release(&stream);
}

TEST(replica_frame, any_flipped_bit_is_noticed_and_nothing_is_read_after_it)
{
    struct buffer frame;
    buffer_init(&frame);
    put(&frame, FRAME_ACK, 40);
    for (size_t bit = 0; bit < frame.size * 8; bit++) {
        struct frame_reader reader;
        struct frame read;
        frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct bytes in = buffer_bytes(&frame);
        frame_reader_init(&reader);
        enum err err = frame_take(&reader, &in, &read, NULL);
        assert_true(err == ERR_CORRUPT || err == ERR_PROTOCOL);
        frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        in = buffer_bytes(&frame);
        assert_int_equal(frame_take(&reader, &in, &read, NULL), ERR_SHUT);
        frame_reader_release(&reader);
    }
    buffer_release(&frame);
}

/* Of a peer that has spoken the protocol, any other bytes are damage: they are counted as such. */
TEST(replica_frame, behind_a_frame_that_was_good_any_flipped_bit_is_damage)
{
    struct buffer frame;
    buffer_init(&frame);
    put(&frame, FRAME_PING, 0);
    put(&frame, FRAME_ACK, 40);
    for (size_t bit = FRAME_HEADER_BYTES * 8; bit < frame.size * 8; bit++) {
        struct frame_reader reader;
        struct frame read;
        frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct bytes in = buffer_bytes(&frame);
        frame_reader_init(&reader);
        assert_int_equal(frame_take(&reader, &in, &read, NULL), ERR_OK);
        assert_int_equal(frame_take(&reader, &in, &read, NULL), ERR_CORRUPT);
        frame.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        frame_reader_release(&reader);
    }
    buffer_release(&frame);
}

TEST(replica_frame, damaged_length_is_noticed_before_its_bytes_are_waited_for)
{
    struct buffer frame;
    buffer_init(&frame);
    put(&frame, FRAME_ENTRIES, 40);
    frame.data[10] = 0x20; /* 2 MiB more */
    assert_int_equal(read_one(bytes_of(frame.data, FRAME_HEADER_BYTES), 1 << 30), ERR_CORRUPT);
    buffer_release(&frame);
}

TEST(replica_frame, stranger_cannot_announce_a_large_frame)
{
    struct buffer frame;
    buffer_init(&frame);
    put(&frame, FRAME_ENTRIES, FRAME_STRANGER_BYTES_MAX + 1);
    struct bytes head = bytes_of(frame.data, FRAME_HEADER_BYTES);
    assert_int_equal(read_one(head, FRAME_STRANGER_BYTES_MAX), ERR_PROTOCOL);
    assert_int_equal(read_one(head, FRAME_PAYLOAD_BYTES_MAX), ERR_PENDING);
    buffer_clear(&frame);
    put(&frame, FRAME_ACK, FRAME_CONTROL_BYTES_MAX + 1);
    head = bytes_of(frame.data, FRAME_HEADER_BYTES);
    assert_int_equal(read_one(head, FRAME_PAYLOAD_BYTES_MAX), ERR_PROTOCOL);
    buffer_release(&frame);
}

TEST(replica_frame, later_formats_and_unknown_types_are_named_as_such)
{
    struct buffer frame;
    buffer_init(&frame);
    put(&frame, FRAME_PING, 0);
    set_byte(&frame, 4, FRAME_FORMAT + 1);
    assert_int_equal(read_one(buffer_bytes(&frame), 1024), ERR_REFUSED);
    set_byte(&frame, 4, 0);
    assert_int_equal(read_one(buffer_bytes(&frame), 1024), ERR_PROTOCOL);
    set_byte(&frame, 4, FRAME_FORMAT);
    set_byte(&frame, 5, FRAME_TYPES);
    assert_int_equal(read_one(buffer_bytes(&frame), 1024), ERR_PROTOCOL);
    set_byte(&frame, 5, 0);
    assert_int_equal(read_one(buffer_bytes(&frame), 1024), ERR_PROTOCOL);
    set_byte(&frame, 5, FRAME_PING);
    assert_int_equal(read_one(buffer_bytes(&frame), 1024), ERR_OK);
    set_byte(&frame, 6, 1);
    assert_int_equal(read_one(buffer_bytes(&frame), 1024), ERR_PROTOCOL);
    buffer_release(&frame);
}
