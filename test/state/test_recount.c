/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <stdio.h>

#include "base/plant.h"
#include "test/state/bed.h"

static void fill(struct bed *bed)
{
    static const char *const writes[] = {"SET s text",     "SET e text PX 1000", "HSET h a 1 b 2",
                                         "ZADD z 1 a 2 b", "RPUSH l 1 2 3",      "SADD x a b",
                                         "DEL x"};
    bed_init(bed, 1);
    (void)bed_write(bed, "SADD gone a b");
    assert_int_equal(bed_flush(bed), ERR_OK);
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) (void)bed_write(bed, writes[i]);
    (void)bed_write(bed, "DEL gone");
    assert_int_equal(bed_flush(bed), ERR_OK);
}

TEST(state_recount, a_sound_store_recounts_to_its_running_digest)
{
    struct bed bed;
    fill(&bed);
    struct state_recount recount;
    struct why why;
    assert_int_equal(state_recount(&bed.store.base, NULL, &recount, &why), ERR_OK);
    assert_true(digest_equal(recount.running, recount.recounted));
    assert_true(digest_equal(recount.running, bed_digest(&bed)));
    assert_int_equal(recount.mark.lsn.at, 9);
    assert_int_equal(recount.keys, 5);
    assert_int_equal(recount.elements, 7);
    bed_release(&bed);
}

TEST(state_recount, a_store_without_a_flush_is_told_from_an_empty_one)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct state_recount recount;
    struct why why;
    assert_int_equal(state_recount(&bed.store.base, NULL, &recount, &why), ERR_NOT_FOUND);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(state_recount(&bed.store.base, NULL, &recount, &why), ERR_OK);
    assert_true(digest_equal(recount.running, recount.recounted));
    bed_release(&bed);
}

/* The recount's error, or whether the digests differ. */
static bool notices(struct bed *bed, enum err *err, struct why *why)
{
    struct state_recount recount;
    *err = state_recount(&bed->store.base, NULL, &recount, why);
    return *err != ERR_OK || !digest_equal(recount.running, recount.recounted);
}

TEST(state_recount, any_record_that_is_missing_is_noticed)
{
    struct bed bed;
    fill(&bed);
    size_t count = bed.store.count;
    bed_release(&bed);
    for (size_t i = 0; i < count; i++) {
        fill(&bed);
        char letter = (char)bed.store.items[i].key.data[0];
        item_release(&bed.store.items[i]);
        memmove(&bed.store.items[i], &bed.store.items[i + 1],
                (count - i - 1) * sizeof bed.store.items[0]);
        bed.store.count--;
        enum err err;
        struct why why;
        bool orphan = !notices(&bed, &err, &why);
        /* The element of a removed set, while another one is left, belongs to nobody's count. */
        if (orphan) assert_int_equal(letter, 'E');
        if (letter == 'M') assert_int_equal(err, ERR_NOT_FOUND);
        bed_release(&bed);
    }
}

TEST(state_recount, any_byte_that_is_changed_in_a_value_is_noticed)
{
    struct bed bed;
    fill(&bed);
    enum err err;
    struct why why;
    for (size_t i = 0; i < bed.store.count; i++) {
        struct buffer *value = &bed.store.items[i].value;
        char letter = (char)bed.store.items[i].key.data[0];
        if (letter == 'Q') continue; /* a hint about the size of what is to be cleaned up */
        for (size_t at = 0; at < value->size; at++) {
            value->data[at] ^= 0x41;
            assert_true(notices(&bed, &err, &why));
            value->data[at] ^= 0x41;
        }
    }
    assert_false(notices(&bed, &err, &why));
    bed_release(&bed);
}

TEST(state_recount, the_first_record_that_does_not_fit_is_named)
{
    struct bed bed;
    fill(&bed);
    for (size_t i = 0; i < bed.store.count; i++) {
        struct memory_item *item = &bed.store.items[i];
        if (item->key.data[0] == 'L')
            item->key.data[item->key.size - 1] ^= 0x40; /* another index */
    }
    enum err err;
    struct why why;
    assert_true(notices(&bed, &err, &why));
    assert_int_equal(err, ERR_CORRUPT);
    assert_non_null(strstr(why.text, "(L): it lies outside of its list"));
    bed_release(&bed);
}

TEST(state_recount, a_rank_of_another_score_than_its_element_is_noticed)
{
    struct bed bed;
    fill(&bed);
    for (size_t i = 0; i < bed.store.count; i++) {
        struct memory_item *item = &bed.store.items[i];
        if (item->key.data[0] == 'R') item->key.data[28] ^= 1; /* the order stays */
    }
    enum err err;
    struct why why;
    assert_true(notices(&bed, &err, &why));
    assert_non_null(strstr(why.text, "(K): its ranks are not those of its elements"));
    bed_release(&bed);
}

TEST(state_recount, a_digest_that_misses_a_change_is_noticed)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "HSET h a 1 b 2");
    plant_set(PLANT_DIGEST_MISSES_LEAF, true);
    (void)bed_write(&bed, "HDEL h a");
    plant_set(PLANT_DIGEST_MISSES_LEAF, false);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    enum err err;
    struct why why;
    assert_true(notices(&bed, &err, &why));
    bed_release(&bed);
}

TEST(state_recount, a_flush_in_halves_is_noticed_after_a_crash_between_them)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "HSET h a 1 b 2");
    plant_set(PLANT_FLUSH_HALF, true);
    bed_flush_begin(&bed);
    assert_true(memory_store_step(&bed.store)); /* the first half, then a crash */
    plant_set(PLANT_FLUSH_HALF, false);
    bed_reopen(&bed);
    enum err err;
    struct why why;
    assert_true(notices(&bed, &err, &why));
    bed_release(&bed);
}
