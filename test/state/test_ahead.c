/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What is read while earlier entries are applied: it comes into the table unless something newer
 * may be there, and changes nothing but the time.
 */
#include "test/test.h"

#include "base/plant.h"
#include "test/state/loss.h"

struct asked {
    struct machine_warm base;
    unsigned answers;
};

static void answered(struct machine_warm *warm)
{
    CONTAINER_OF(warm, struct asked, base)->answers++;
}

/* Shows the entries [from, to); how many keys are asked for. */
static size_t look(struct bed *bed, struct asked *asked, uint64_t from, uint64_t to)
{
    struct entry entries[1024];
    MUST(to - from <= 1024);
    for (uint64_t i = from; i < to; i++) entries[i - from] = bed->entries[i].entry;
    *asked = (struct asked){.base.done = answered};
    size_t before = bed->store.wants;
    bool asks = bed->machine->ops->look_ahead(bed->machine, entries, to - from, &asked->base);
    assert_int_equal(asks, bed->store.wants > before);
    return bed->store.wants - before;
}

static void arrive(struct bed *bed, const struct asked *asked)
{
    while (asked->answers == 0) assert_true(memory_store_step(&bed->store));
    assert_int_equal(asked->answers, 1);
}

/* Keys that were asked for since: by their names, which the machine looks up first. */
static size_t asked_keys(struct bed *bed)
{
    size_t keys = 0;
    for (size_t at = 0; at < bed->store.asked.size;) {
        keys += bed->store.asked.data[at + 4] == 'K';
        at += 4 + load_le32(bed->store.asked.data + at);
    }
    buffer_clear(&bed->store.asked);
    return keys;
}

static void finish(struct bed *bed, struct digest digest)
{
    assert_true(digest_equal(digest, bed_digest(bed)));
    assert_int_equal(bed_flush(bed), ERR_OK);
    assert_true(bed_recounts(bed));
    bed_release(bed);
}

TEST(state_ahead, entries_that_were_looked_at_ask_the_store_for_no_key)
{
    struct bed bed;
    struct asked asked;
    prepare(&bed);
    for (size_t i = 0; i < LINES; i++) (void)bed_write(&bed, lines[i]);
    (void)bed_write_in(&bed, 1, "SET s new");
    struct digest digest = bed_digest(&bed);
    uint64_t from = lose(&bed);
    struct mark mark = bed.machine->ops->applied(bed.machine);
    /* s n fresh e none x far other, and s of database 1 */
    assert_int_equal(look(&bed, &asked, from, bed.count), 9);
    arrive(&bed, &asked);
    struct mark after = bed.machine->ops->applied(bed.machine);
    assert_true(mark_equal(&mark, &after));
    assert_int_equal(look(&bed, &asked, from, bed.count), 0); /* it is all there */
    apply(&bed, from, bed.count);
    assert_int_equal(asked_keys(&bed), 0);
    finish(&bed, digest);
}

TEST(state_ahead, what_was_changed_meanwhile_stays)
{
    struct bed bed;
    struct asked asked;
    prepare(&bed);
    for (size_t i = 0; i < LINES; i++) (void)bed_write(&bed, lines[i]);
    struct digest digest = bed_digest(&bed);
    uint64_t from = lose(&bed), middle = from + 5;
    (void)look(&bed, &asked, from, bed.count);
    struct list reading; /* what entries wait for overtakes it */
    list_init(&reading);
    list_move_all(&reading, &bed.store.warms);
    apply(&bed, from, middle);
    list_move_all(&bed.store.warms, &reading);
    arrive(&bed, &asked);
    apply(&bed, middle, bed.count);
    assert_string_equal(bed_read(&bed, "GET far"), "\"end\"");
    finish(&bed, digest);
}

/* Reads what the store has now of up to `most` ranges of each; the machine hears of it when
 * deliver() is called. */
static void read_now(struct bed *bed, struct list *reading, size_t most)
{
    list_init(reading);
    list_move_all(reading, &bed->store.warms);
    for (struct list *at = reading->next; at != reading; at = at->next) {
        struct store_warm *warm = CONTAINER_OF(at, struct store_warm, node);
        warm->read = warm->count < most ? warm->count : most;
        for (size_t i = 0; i < warm->read; i++) memory_give(&bed->store, warm, &warm->ranges[i]);
    }
}

static void deliver(struct list *reading, enum err err)
{
    struct list *node;
    while ((node = list_first(reading)) != NULL) {
        struct store_warm *warm = CONTAINER_OF(node, struct store_warm, node);
        list_remove(node);
        warm->err = err;
        warm->done(warm);
    }
}

static void expect_behind_flush(const char *value)
{
    struct bed bed;
    struct asked asked;
    prepare(&bed);
    bed.cache_bytes = 1; /* nothing that is clean is kept for long */
    (void)bed_write(&bed, "SET s new");
    uint64_t from = lose(&bed);
    assert_int_equal(look(&bed, &asked, from, bed.count), 1);
    struct list reading;
    read_now(&bed, &reading, SIZE_MAX);
    apply(&bed, from, bed.count);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    for (unsigned i = 0; i < 100; i++) (void)bed_write(&bed, "INCR n");
    deliver(&reading, ERR_OK);
    assert_int_equal(asked.answers, 1);
    assert_string_equal(bed_read(&bed, "GET s"), value);
    bed_release(&bed);
}

TEST(state_ahead, what_was_read_before_a_flush_was_done_is_dropped)
{
    expect_behind_flush("\"new\"");
    plant_set(PLANT_LOOK_AHEAD_OUTLIVES_FLUSH, true);
    expect_behind_flush("\"text\"");
    plant_set(PLANT_LOOK_AHEAD_OUTLIVES_FLUSH, false);
}

TEST(state_ahead, what_belongs_to_a_keyspace_that_is_gone_is_dropped)
{
    static const char *const ends[] = {"FLUSHDB", "SWAPDB 0 1"};
    for (size_t i = 0; i < 2; i++) {
        struct bed bed;
        struct asked asked;
        prepare(&bed);
        (void)bed_write(&bed, ends[i]);
        (void)bed_write(&bed, "APPEND s more");
        struct digest digest = bed_digest(&bed);
        uint64_t from = lose(&bed);
        assert_int_equal(look(&bed, &asked, from, bed.count), 1);
        struct list reading;
        read_now(&bed, &reading, SIZE_MAX);
        apply(&bed, from, from + 1);
        deliver(&reading, ERR_OK);
        apply(&bed, from + 1, bed.count);
        assert_string_equal(bed_read(&bed, "GET s"), i == 0 ? "\"more\"" : "\"elsewheremore\"");
        finish(&bed, digest);
    }
}

TEST(state_ahead, what_cannot_be_read_is_told_by_the_entry_that_asks_for_it)
{
    struct bed bed;
    struct asked asked;
    prepare(&bed);
    (void)bed_write(&bed, "SET s new");
    uint64_t from = lose(&bed);
    (void)look(&bed, &asked, from, bed.count);
    struct list reading;
    read_now(&bed, &reading, SIZE_MAX);
    deliver(&reading, ERR_IO);
    assert_int_equal(asked.base.err, ERR_IO);
    for (size_t i = 0; i < bed.store.count; i++) {
        if (bed.store.items[i].key.data[0] == 'K') buffer_clear(&bed.store.items[i].value);
    }
    (void)look(&bed, &asked, from, bed.count);
    arrive(&bed, &asked);
    assert_int_equal(apply_all(&bed, &bed.entries[from].entry), ERR_CORRUPT);
    bed_release(&bed);
}

/* A store that has read enough: nobody knows of the rest. */
TEST(state_ahead, what_was_not_read_is_not_taken_for_absent)
{
    struct bed bed;
    struct asked asked;
    prepare(&bed);
    for (size_t i = 0; i < LINES; i++) (void)bed_write(&bed, lines[i]);
    struct digest digest = bed_digest(&bed);
    uint64_t from = lose(&bed);
    (void)look(&bed, &asked, from, bed.count);
    for (struct list *at = bed.store.warms.next; at != &bed.store.warms; at = at->next)
        assert_true(CONTAINER_OF(at, struct store_warm, node)->bytes_max > 0);
    struct list reading;
    read_now(&bed, &reading, 1);
    deliver(&reading, ERR_OK);
    apply(&bed, from, bed.count);
    assert_true(asked_keys(&bed) > 0);
    finish(&bed, digest);
}

TEST(state_ahead, what_is_under_way_at_a_close_is_forgotten)
{
    struct bed bed;
    struct asked asked;
    prepare(&bed);
    (void)bed_write(&bed, "SET s new");
    uint64_t from = lose(&bed);
    (void)look(&bed, &asked, from, bed.count);
    (void)lose(&bed);
    assert_int_equal(asked.answers, 0);
    bed_release(&bed);
}

TEST(state_ahead, no_more_than_a_thousand_keys_are_asked_for_at_once)
{
    struct bed bed;
    struct asked asked;
    prepare(&bed);
    for (unsigned i = 0; i < 700; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "MSET a%u 1 b%u 1", i, i);
        (void)bed_write(&bed, line);
    }
    struct digest digest = bed_digest(&bed);
    uint64_t from = lose(&bed);
    assert_int_equal(look(&bed, &asked, from, bed.count), 1024);
    arrive(&bed, &asked);
    assert_int_equal(look(&bed, &asked, from, bed.count), 1400 - 1024);
    arrive(&bed, &asked);
    apply(&bed, from, bed.count);
    assert_int_equal(asked_keys(&bed), 0);
    finish(&bed, digest);
}
