/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What a start reads ahead: all that its entries ask for first, nothing that changes what they do.
 */
#include "test/test.h"

#include "test/state/loss.h"

static void foresee(struct bed *bed, uint64_t from, uint64_t to)
{
    struct entry entries[64];
    MUST(to - from <= 64);
    for (uint64_t i = from; i < to; i++) entries[i - from] = bed->entries[i].entry;
    bed->machine->ops->foresee(bed->machine, entries, to - from);
}

TEST(state_foresee, entries_that_were_foreseen_ask_the_store_for_no_key)
{
    struct bed bed;
    prepare(&bed);
    for (size_t i = 0; i < LINES; i++) (void)bed_write(&bed, lines[i]);
    (void)bed_write_in(&bed, 1, "SET s new");
    struct digest digest = bed_digest(&bed);
    uint64_t from = lose(&bed);
    foresee(&bed, from, bed.count);
    assert_int_equal(bed.store.fetched, 9); /* s n fresh e none x far other, and s of database 1 */
    bed.store.gets = 0;
    buffer_clear(&bed.store.asked);
    apply(&bed, from, bed.count);
    /* The new element of x is asked for, by its own key. */
    for (size_t at = 0; at < bed.store.asked.size;) {
        assert_int_not_equal(bed.store.asked.data[at + 4], 'K');
        at += 4 + load_le32(bed.store.asked.data + at);
    }
    assert_true(digest_equal(digest, bed_digest(&bed)));
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_foresee, a_removal_of_an_expired_key_is_foreseen_too)
{
    struct bed bed;
    prepare(&bed);
    bed.now_ms += 2000 * 1000;
    assert_int_equal(bed_expire(&bed), 1);
    uint64_t from = lose(&bed);
    foresee(&bed, from, bed.count);
    assert_int_equal(bed.store.fetched, 1);
    apply(&bed, from, bed.count);
    assert_string_equal(bed_read(&bed, "EXISTS e"), "0");
    bed_release(&bed);
}

TEST(state_foresee, what_the_table_knows_is_newer_and_stays)
{
    struct bed bed;
    prepare(&bed);
    for (size_t i = 0; i < LINES; i++) (void)bed_write(&bed, lines[i]);
    struct digest digest = bed_digest(&bed);
    uint64_t from = lose(&bed), middle = from + 5;
    foresee(&bed, from, middle);
    apply(&bed, from, middle);
    size_t before = bed.store.fetched;
    foresee(&bed, middle, bed.count);
    assert_int_equal(bed.store.fetched - before, 5); /* e none x far other */
    apply(&bed, middle, bed.count);
    assert_true(digest_equal(digest, bed_digest(&bed)));
    assert_string_equal(bed_read(&bed, "GET far"), "\"end\"");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_foresee, what_is_left_out_is_read_when_it_is_asked_for)
{
    for (size_t leaves = 1; leaves < 6; leaves++) {
        struct bed bed;
        prepare(&bed);
        for (size_t i = 0; i < LINES; i++) (void)bed_write(&bed, lines[i]);
        (void)bed_write(&bed, "FLUSHDB ; SET s 1");
        (void)bed_write(&bed, "SWAPDB 0 1");
        (void)bed_write(&bed, "APPEND s more");
        struct digest digest = bed_digest(&bed);
        bed.store.fetch_leaves = leaves;
        uint64_t from = lose(&bed);
        foresee(&bed, from, bed.count);
        apply(&bed, from, bed.count);
        assert_true(digest_equal(digest, bed_digest(&bed)));
        assert_string_equal(bed_read(&bed, "GET s"), "\"elsewheremore\"");
        assert_int_equal(bed_flush(&bed), ERR_OK);
        assert_true(bed_recounts(&bed));
        bed_release(&bed);
    }
}

TEST(state_foresee, a_corrupt_record_is_told_by_the_entry_that_asks_for_it)
{
    struct bed bed;
    prepare(&bed);
    (void)bed_write(&bed, "SET s new");
    uint64_t from = lose(&bed);
    for (size_t i = 0; i < bed.store.count; i++) {
        if (bed.store.items[i].key.data[0] == 'K') buffer_clear(&bed.store.items[i].value);
    }
    foresee(&bed, from, bed.count);
    assert_int_equal(bed.store.fetched, 1);
    assert_int_equal(apply_all(&bed, &bed.entries[from].entry), ERR_CORRUPT);
    bed_release(&bed);
}

TEST(state_foresee, memory_for_it_is_bounded_by_the_cache)
{
    enum { KEYS = 60, VALUE = 2000 };
    struct bed bed;
    bed_init(&bed, 1);
    char line[32 + VALUE];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < KEYS; i++) {
            int size = snprintf(line, sizeof line, "SET k%u ", i);
            memset(line + size, 'v', VALUE);
            line[size + VALUE] = 0;
            (void)bed_write(&bed, round == 0 ? line : strcpy(line + size, "w") - size);
        }
        if (round == 0) assert_int_equal(bed_flush(&bed), ERR_OK);
    }
    struct digest digest = bed_digest(&bed);
    bed.cache_bytes = 20 * VALUE;
    uint64_t from = lose(&bed);
    foresee(&bed, from, bed.count);
    assert_in_range(bed.store.fetched, 9, 12);
    apply(&bed, from, bed.count);
    assert_true(digest_equal(digest, bed_digest(&bed)));
    bed_release(&bed);
}

TEST(state_foresee, counts_the_records_that_a_replay_would_read)
{
    struct bed bed;
    prepare(&bed);
    const struct machine_ops *ops = bed.machine->ops;
    bed_tidy(&bed);
    assert_int_equal(ops->unflushed_records(bed.machine), 0);
    (void)bed_write(&bed, "SET s 1");
    (void)bed_write(&bed, "SET s 2");
    (void)bed_write(&bed, "SET fresh 1");
    assert_int_equal(ops->unflushed_records(bed.machine), 2);
    (void)bed_write(&bed, "HSET h a 2 b 3"); /* its record, and two elements */
    assert_int_equal(ops->unflushed_records(bed.machine), 5);
    bed_flush_begin(&bed);
    (void)bed_write(&bed, "SET s 3");
    assert_int_equal(ops->unflushed_records(bed.machine), 6);
    bed_settle(&bed);
    assert_int_equal(ops->unflushed_records(bed.machine), 1);
    bed_release(&bed);
}
