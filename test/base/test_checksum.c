/* SPDX-License-Identifier: Apache-2.0 */
#include "base/checksum.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/dice.h"
#include "test/test.h"

enum { INPUT_BYTES = 5000, PARTS = 5 };

static void fill_input(uint8_t input[INPUT_BYTES])
{
    uint64_t word = 2654435761u;
    for (size_t i = 0; i < INPUT_BYTES; i++) {
        input[i] = (uint8_t)(word >> 56);
        word *= 11400714785074694797u;
    }
}

TEST(checksum, equals_the_documented_vectors)
{
    static uint8_t input[INPUT_BYTES];
    fill_input(input);
    FILE *file = fopen("docs/formats/vectors/checksum.txt", "r");
    assert_non_null(file);
    char line[256];
    unsigned vectors = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        size_t size;
        uint64_t seed, hash;
        char text[DIGEST_TEXT_BYTES], own[DIGEST_TEXT_BYTES];
        if (line[0] == '#') continue;
        int fields = sscanf(line, "%zu %" SCNx64 " %" SCNx64 " %32s", &size, &seed, &hash, text);
        assert_int_equal(fields, 4);
        assert_int_equal(checksum64(bytes_of(input, size), seed), hash);
        digest_format(digest_of(bytes_of(input, size)), own);
        assert_string_equal(own, text);
        vectors++;
    }
    (void)fclose(file);
    assert_true(vectors >= 20);
}

TEST(checksum, parts_are_hashed_as_if_they_were_one_run)
{
    static uint8_t input[INPUT_BYTES];
    fill_input(input);
    struct dice dice;
    dice_init(&dice, 3);
    for (int round = 0; round < 3000; round++) {
        size_t limit = dice_chance(&dice, 1, 2) ? 600 : INPUT_BYTES;
        size_t size = (size_t)dice_below(&dice, limit);
        uint64_t seed = dice_chance(&dice, 1, 3) ? 0 : dice_roll(&dice);
        size_t count = (size_t)dice_below(&dice, PARTS) + 1;
        struct bytes parts[PARTS];
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            size_t part = i + 1 == count ? size - at : (size_t)dice_below(&dice, size - at + 1);
            parts[i] = bytes_of(part > 0 ? input + at : NULL, part);
            at += part;
        }
        struct bytes whole = bytes_of(input, size);
        assert_int_equal(checksum64_parts(parts, count, seed), checksum64(whole, seed));
        assert_true(digest_equal(digest_of_parts(parts, count), digest_of(whole)));
    }
}

TEST(checksum, a_stream_is_hashed_as_if_it_were_one_run)
{
    static uint8_t input[INPUT_BYTES];
    fill_input(input);
    struct dice dice;
    dice_init(&dice, 5);
    struct checksum_stream *stream = checksum_stream_open();
    for (int round = 0; round < 1000; round++) {
        size_t size = (size_t)dice_below(&dice, INPUT_BYTES);
        uint64_t seed = dice_chance(&dice, 1, 3) ? 0 : dice_roll(&dice);
        checksum_stream_begin(stream, seed);
        for (size_t at = 0; at < size;) {
            size_t part = (size_t)dice_below(&dice, dice_chance(&dice, 1, 2) ? 20 : 2000);
            if (part > size - at) part = size - at;
            checksum_stream_add(stream, bytes_of(input + at, part));
            at += part;
        }
        assert_int_equal(checksum_stream_value(stream), checksum64(bytes_of(input, size), seed));
    }
    checksum_stream_close(stream);
    checksum_stream_close(NULL);
}

TEST(checksum, no_parts_are_an_empty_run)
{
    struct bytes nothing = {NULL, 0};
    assert_int_equal(checksum64_parts(NULL, 0, 9), checksum64(nothing, 9));
    assert_true(digest_equal(digest_of_parts(NULL, 0), digest_of(nothing)));
}

TEST(checksum, a_sum_of_digests_carries_and_borrows)
{
    struct digest one = {1, 0}, ones = {UINT64_MAX, 0}, most = {UINT64_MAX, UINT64_MAX};
    assert_true(digest_equal(digest_add(ones, one), (struct digest){0, 1}));
    assert_true(digest_equal(digest_add(most, one), (struct digest){0, 0}));
    assert_true(digest_equal(digest_subtract((struct digest){0, 1}, one), ones));
    assert_true(digest_equal(digest_subtract((struct digest){0, 0}, one), most));
}

TEST(checksum, a_sum_of_digests_does_not_know_its_order)
{
    struct dice dice;
    dice_init(&dice, 4);
    struct digest sum = {0, 0}, values[100];
    for (int i = 0; i < 100; i++) {
        values[i] = (struct digest){dice_roll(&dice), dice_roll(&dice)};
        sum = digest_add(sum, values[i]);
    }
    for (int i = 0; i < 100; i++) sum = digest_subtract(sum, values[i]);
    assert_true(digest_equal(sum, (struct digest){0, 0}));
}

TEST(checksum, a_digest_is_stored_low_half_first_and_written_high_half_first)
{
    struct digest digest = {.low = 0x0102030405060708u, .high = 0xa0b0c0d0e0f00010u};
    uint8_t stored[DIGEST_ENCODED_BYTES];
    digest_encode(digest, stored);
    assert_memory_equal(stored, "\x08\x07\x06\x05\x04\x03\x02\x01\x10\x00\xf0\xe0\xd0\xc0\xb0\xa0",
                        16);
    assert_true(digest_equal(digest_decode(stored), digest));
    char text[DIGEST_TEXT_BYTES];
    digest_format(digest, text);
    assert_string_equal(text, "a0b0c0d0e0f000100102030405060708");
}
