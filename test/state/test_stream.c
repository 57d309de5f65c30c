/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The stream of effects as it is kept: over flushes and crashes, in pieces, and for how long.
 */
#include "test/test.h"

#include <stdlib.h>

#include "base/plant.h"
#include "sim/ops.h"
#include "state/layout.h"
#include "test/state/shipped.h"
#include "test/state/stream.h"

static size_t stored_pieces(const struct bed *bed)
{
    size_t count = 0;
    for (size_t i = 0; i < bed->store.count; i++) {
        if (bed->store.items[i].key.data[0] == LAYOUT_STREAM) count++;
    }
    return count;
}

static void write_sized(struct bed *bed, unsigned key, size_t size, uint8_t database)
{
    struct buffer line;
    buffer_init(&line);
    buffer_append_format(&line, "SET k%u ", key);
    for (size_t j = 0; j < size; j++) buffer_append_byte(&line, (uint8_t)('a' + j % 26));
    buffer_append_byte(&line, 0);
    (void)bed_write_in(bed, database, (const char *)line.data);
    buffer_release(&line);
}

/* Forty entries; some of them long, so that they are several records. */
static void write_some(struct bed *bed)
{
    for (unsigned i = 0; i < 40; i++) {
        write_sized(bed, i, i % 10 == 3 ? 150000 : 10, (uint8_t)(i / 15));
    }
}

TEST(state_stream, it_costs_nothing_while_it_is_off)
{
    struct bed bed;
    bed_init(&bed, 1);
    write_some(&bed);
    struct effects_place place = stream_place(&bed);
    assert_false(place.on);
    assert_int_equal(place.end, 0);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(stored_pieces(&bed), 0);
    struct buffer out;
    buffer_init(&out);
    assert_int_equal(stream_read(&bed, 0, 1, &out), ERR_NOT_FOUND);
    buffer_release(&out);
    bed_release(&bed);
}

/* The same bytes wherever they are: in memory, frozen, in the store, half and half. */
TEST(state_stream, it_is_read_from_every_layer_in_any_pieces)
{
    struct bed bed;
    stream_bed_init(&bed);
    struct buffer wanted, out;
    buffer_init(&wanted);
    buffer_init(&out);
    write_some(&bed);
    uint64_t first = stream_place(&bed).first;
    stream_read_all(&bed, first, UINT64_MAX, &wanted);
    assert_true(wanted.size > 4 * 150000);
    for (unsigned stage = 0; stage < 5; stage++) {
        if (stage == 1) bed_flush_begin(&bed); /* frozen */
        if (stage == 2) bed_settle(&bed);      /* stored, and thawing */
        if (stage == 3) bed_tidy(&bed);
        if (stage == 4) {
            bed.store.pending_of = 3;
            bed_reopen(&bed);
        }
        stream_read_all(&bed, first, 50000, &out);
        assert_true(bytes_equal(buffer_bytes(&out), buffer_bytes(&wanted)));
        for (uint64_t at = 1; at < wanted.size; at += 9973) {
            stream_read_all(&bed, first + at, 100000, &out);
            assert_true(bytes_equal(buffer_bytes(&out),
                                    bytes_of(wanted.data + at, wanted.size - (size_t)at)));
        }
    }
    assert_true(bed.store.pendings > 0);
    for (size_t i = 0; i < bed.store.count; i++) {
        const struct memory_item *item = &bed.store.items[i];
        if (item->key.data[0] == LAYOUT_STREAM) assert_true(item->value.size <= 65536 + 9);
    }
    (void)bed_write(&bed, "SET more 1"); /* in memory, behind what is stored */
    stream_read_all(&bed, first, 10000, &out);
    assert_true(bytes_starts_with(buffer_bytes(&out), buffer_bytes(&wanted)));
    assert_true(bed_recounts(&bed));
    buffer_release(&wanted);
    buffer_release(&out);
    bed_release(&bed);
}

TEST(state_stream, a_replay_writes_the_same_bytes_at_the_same_offsets)
{
    for (unsigned flushed = 0; flushed < 2; flushed++) {
        struct bed bed;
        stream_bed_init(&bed);
        struct buffer wanted, out;
        buffer_init(&wanted);
        buffer_init(&out);
        (void)bed_write(&bed, "SADD s a b c d e f g h i j k l m n o p");
        (void)bed_write(&bed, "SET e 1 PX 5");
        if (flushed == 1) assert_int_equal(bed_flush(&bed), ERR_OK);
        (void)bed_write(&bed, "SPOP s 5");
        bed.now_ms += 10;
        (void)bed_write(&bed, "INCR e ; SPOP s");
        (void)bed_write_in(&bed, 2, "EXPIRE none 5 ; SET a 1 EX 5");
        struct effects_place before = stream_place(&bed);
        stream_read_all(&bed, before.first, UINT64_MAX, &wanted);
        bed.now_ms += 100000; /* it is not read */
        bed_reopen(&bed);
        struct effects_place after = stream_place(&bed);
        assert_true(after.on && after.first == before.first && after.end == before.end);
        assert_int_equal(after.database, 2);
        stream_read_all(&bed, after.first, 64, &out);
        assert_true(bytes_equal(buffer_bytes(&out), buffer_bytes(&wanted)));
        assert_int_equal(bed_flush(&bed), ERR_OK);
        assert_true(bed_recounts(&bed));
        buffer_release(&wanted);
        buffer_release(&out);
        bed_release(&bed);
    }
}

TEST(state_stream, nobody_reads_over_the_time_in_which_it_was_off)
{
    struct bed bed;
    stream_bed_init(&bed);
    struct buffer out;
    buffer_init(&out);
    (void)bed_write(&bed, "SET a 1");
    uint64_t end = stream_place(&bed).end;
    stream_say(&bed, STREAM_ON); /* it is */
    assert_int_equal(stream_place(&bed).end, end);
    stream_say(&bed, STREAM_OFF);
    stream_say(&bed, STREAM_OFF);
    assert_int_equal(stream_read(&bed, end, 100, &out), ERR_NOT_FOUND);
    (void)bed_write(&bed, "SET a 2"); /* which whoever stands at `end` has not seen */
    stream_say(&bed, STREAM_ON);
    struct effects_place place = stream_place(&bed);
    assert_int_equal(place.first, end + 1);
    assert_int_equal(place.end, end + 1);
    assert_int_equal(stream_read(&bed, end, 100, &out), ERR_NOT_FOUND);
    assert_int_equal(stream_read(&bed, end + 1, 100, &out), ERR_OK);
    assert_int_equal(out.size, 0);
    assert_int_equal(stream_read(&bed, end + 2, 100, &out), ERR_NOT_FOUND);
    (void)bed_write(&bed, "SET a 3");
    assert_string_equal(stream_text(&bed, end + 1), "SELECT 0 | SET a 3");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(stored_pieces(&bed), 1); /* what stood before is not written any more */
    assert_true(bed_recounts(&bed));
    buffer_release(&out);
    bed_release(&bed);
}

static bool may_join(struct bed *bed, uint64_t offset)
{
    struct buffer out;
    buffer_init(&out);
    struct effects_read read = {.offset = offset, .joins = true, .bytes_max = 1, .out = &out};
    enum err err = bed->machine->ops->effects_read(bed->machine, &read);
    assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    assert_int_equal(out.size, err == ERR_OK ? 1 : 0);
    buffer_release(&out);
    return err == ERR_OK;
}

TEST(state_stream, one_joins_only_where_a_command_or_a_transaction_begins)
{
    struct bed bed;
    stream_bed_init(&bed);
    (void)bed_write_in(&bed, 11, "SET a 1 ; SET b 2"); /* SELECT 11, MULTI ... */
    (void)bed_write_in(&bed, 11, "SET c 3");
    write_some(&bed);
    (void)bed_write_in(&bed, 3, "SET a 1 ; SET b 2");
    struct effects_place place = stream_place(&bed);
    struct buffer all;
    buffer_init(&all);
    stream_read_all(&bed, place.first, UINT64_MAX, &all);
    bool within = false;
    size_t joins = 0;
    for (size_t at = 0; at < all.size;) {
        struct bytes rest = bytes_of(all.data + at, all.size - at);
        assert_int_equal(may_join(&bed, place.first + at), !within);
        if (!within) joins++;
        if (bytes_starts_with(rest, bytes_text("*1\r\n$5\r\nMULTI"))) within = true;
        if (bytes_starts_with(rest, bytes_text("*1\r\n$4\r\nEXEC"))) within = false;
        size_t size = resp_whole(rest);
        for (size_t i = 1; i < size; i += 1 + size / 50) {
            assert_false(may_join(&bed, place.first + at + i));
        }
        at += size;
    }
    /* SELECT, MULTI, c; k0 to k39 and three times SELECT; SELECT, MULTI */
    assert_int_equal(joins, 3 + 40 + 3 + 2);
    uint64_t before = stream_place(&bed).end; /* of an entry of several records */
    write_sized(&bed, 99, 200000, 3);
    assert_true(may_join(&bed, before));
    for (unsigned i = 1; i <= 3; i++) assert_false(may_join(&bed, before + 65536 * i));
    place = stream_place(&bed);
    struct effects_read end = {.offset = place.end, .joins = true, .bytes_max = 1, .out = &all};
    assert_int_equal(bed.machine->ops->effects_read(bed.machine, &end), ERR_OK);
    buffer_release(&all);
    bed_release(&bed);
}

TEST(state_stream, what_a_replay_reads_is_counted_without_it)
{
    uint64_t records[2];
    for (unsigned on = 0; on < 2; on++) {
        struct bed bed;
        bed_init(&bed, 1);
        if (on == 1) stream_say(&bed, STREAM_ON);
        (void)bed_write(&bed, "HSET h a 1 b 2");
        for (unsigned i = 0; i < 10; i++) (void)bed_write(&bed, "INCR n");
        bed_flush_begin(&bed);
        (void)bed_write(&bed, "INCR n");
        records[on] = bed.machine->ops->unflushed_records(bed.machine);
        bed_settle(&bed);
        bed_release(&bed);
    }
    assert_int_equal(records[0], records[1]);
}

/* --- For how long --- */

TEST(state_stream, what_is_beyond_the_budget_goes_with_the_next_flush)
{
    struct bed bed;
    bed_init(&bed, 1);
    bed.effects_bytes = 1000;
    bed_reopen(&bed);
    stream_say(&bed, STREAM_ON);
    struct buffer out;
    buffer_init(&out);
    for (unsigned round = 0; round < 6; round++) {
        struct digest before = bed_digest(&bed);
        for (unsigned i = 0; i < 100; i++) (void)bed_write(&bed, "INCR n");
        if (round == 2) bed.store.flush_fails = ERR_SPACE;
        if (round >= 4) bed.store.pending_of = 2;
        bed_tidy(&bed);
        struct effects_place place = stream_place(&bed);
        assert_true(place.end - place.first <= 1000 && place.end - place.first > 900);
        assert_int_equal(stream_read(&bed, place.first - 1, 100, &out), ERR_NOT_FOUND);
        stream_read_all(&bed, place.first, 100, &out);
        assert_true(bytes_starts_with(buffer_bytes(&out), bytes_text("*2\r\n$4\r\nINCR")));
        assert_int_equal(bed_flush(&bed), round == 2 ? ERR_SPACE : ERR_OK);
        if (round == 2) bed.store.flush_fails = ERR_OK;
        if (round == 2) assert_int_equal(bed_flush(&bed), ERR_OK);
        assert_true(bed_recounts(&bed));
        assert_in_range(stored_pieces(&bed), 30, 60);
        assert_false(digest_equal(before, bed_digest(&bed)));
        if (round % 2 == 1) bed_reopen(&bed);
        struct effects_place again = stream_place(&bed);
        assert_true(again.first == place.first && again.end == place.end);
    }
    buffer_release(&out);
    bed_release(&bed);
}

/* What one copy gives up another may keep: the digest and the mark say nothing of it. */
TEST(state_stream, copies_that_keep_more_or_less_of_it_are_equal)
{
    struct bed beds[2];
    for (unsigned i = 0; i < 2; i++) {
        bed_init(&beds[i], 1);
        beds[i].effects_bytes = i == 0 ? 0 : UINT64_MAX;
        bed_reopen(&beds[i]);
        stream_say(&beds[i], STREAM_ON);
        for (unsigned j = 0; j < 50; j++) {
            (void)bed_write(&beds[i], "INCR n");
            bed_tidy(&beds[i]);
            if (j % 10 == 0) assert_int_equal(bed_flush(&beds[i]), ERR_OK);
        }
    }
    assert_true(digest_equal(bed_digest(&beds[0]), bed_digest(&beds[1])));
    struct effects_place none = stream_place(&beds[0]), all = stream_place(&beds[1]);
    assert_int_equal(none.end, all.end);
    assert_true(none.first > all.first);
    for (unsigned i = 0; i < 2; i++) bed_release(&beds[i]);
}

/* --- What is told of it elsewhere --- */

static void copy_item(struct memory_store *store, struct bytes key, struct bytes value)
{
    struct memory_item item;
    buffer_init(&item.key);
    buffer_init(&item.value);
    buffer_append(&item.key, key);
    buffer_append(&item.value, value);
    memory_append(store, item);
}

TEST(state_stream, an_image_has_its_end_and_nothing_of_it)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct buffer payload;
    buffer_init(&payload);
    payload_put_epoch(&payload);
    (void)bed_apply(&bed, buffer_bytes(&payload));
    stream_say(&bed, STREAM_ON);
    (void)bed_write(&bed, "SET a 1 EX 1000");
    uint64_t at_epoch = stream_place(&bed).end;
    (void)bed_apply(&bed, buffer_bytes(&payload));
    (void)bed_write(&bed, "ZADD z 1 a");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(stored_pieces(&bed), 2);
    uint64_t end = stream_place(&bed).end;
    struct memory_store copy;
    memory_store_init(&copy, 1);
    struct shipped shipped;
    shipped_open(&shipped, &bed);
    struct capture_facts facts;
    struct why why;
    assert_int_equal(shipped_facts(&shipped, &facts, &why), ERR_OK);
    assert_int_equal(facts.stream_offset, end);
    assert_int_equal(facts.epoch_count, 2);
    assert_int_equal(facts.epochs[0].stream_offset, 0);
    assert_int_equal(facts.epochs[1].stream_offset, at_epoch);
    struct bytes key, value;
    size_t count = 0;
    bool behind = false;
    enum err err;
    while ((err = shipped_next(&shipped, &key, &value)) == ERR_OK) {
        assert_true(key.data[0] != LAYOUT_STREAM);
        if (key.data[0] == LAYOUT_EXPIRY) behind = true; /* it stands behind the stream */
        copy_item(&copy, key, value);
        count++;
    }
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(count, bed.store.count - 2);
    assert_true(behind);
    shipped_close(&shipped);
    struct state_recount recount;
    assert_int_equal(state_recount(&copy.base, NULL, &recount, &why), ERR_OK);
    assert_true(digest_equal(recount.running, bed_digest(&bed)));
    memory_store_release(&copy);
    buffer_release(&payload);
    bed_release(&bed);
}

/* --- What must be noticed --- */

static void recount_says(struct bed *bed, const char *what)
{
    struct state_recount recount;
    struct why why;
    assert_int_equal(state_recount(&bed->store.base, NULL, &recount, &why), ERR_CORRUPT);
    if (strstr(why.text, what) == NULL) fail_msg("not '%s': %s", what, why.text);
}

TEST(state_stream, a_recount_finds_what_is_missing_or_too_much)
{
    struct bed bed;
    stream_bed_init(&bed);
    for (unsigned i = 0; i < 5; i++) (void)bed_write(&bed, "INCR n");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    size_t at = 0;
    while (bed.store.items[at].key.data[0] != LAYOUT_STREAM) at++;
    struct memory_item *last = &bed.store.items[at + 4];
    last->value.size--;
    recount_says(&bed, "ends at");
    last->value.size++;
    struct memory_item *middle = &bed.store.items[at + 2];
    middle->value.size--; /* a hole */
    recount_says(&bed, "not the next piece");
    middle->value.size++;
    middle->value.data[0] = 99; /* of an entry that is not there yet */
    recount_says(&bed, "entry is not the next");
    middle->value.data[0] = 4;
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

/* The next machine over what was flushed reads what was there before; or, planted, does not. */
static bool survives(enum plant plant, bool on)
{
    struct bed bed;
    stream_bed_init(&bed);
    plant_set(plant, on);
    (void)bed_write(&bed, "SET a 1");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    plant_set(plant, false);
    struct effects_place before = stream_place(&bed);
    bed_reopen(&bed);
    struct effects_place after = stream_place(&bed);
    struct buffer out;
    buffer_init(&out);
    bool there = before.end == after.end && stream_read(&bed, before.first, 100, &out) == ERR_OK &&
                 out.size == after.end - after.first;
    buffer_release(&out);
    bed_release(&bed);
    return there;
}

TEST(state_stream, each_planted_bug_is_seen)
{
    static const enum plant plants[] = {PLANT_EFFECT_BESIDE_THE_BATCH,
                                        PLANT_STREAM_OFFSET_NOT_IN_META};
    for (unsigned i = 0; i < 2; i++) {
        assert_true(survives(plants[i], false));
        assert_false(survives(plants[i], true));
    }
}

/* Someone stands in the middle of what an entry told: nothing from there on may go. */
TEST(state_stream, what_someone_still_wants_is_kept_whatever_the_budget_says)
{
    for (uint64_t within = 0; within < 150000; within += 29999) {
        struct bed bed;
        stream_bed_init(&bed);
        write_some(&bed);
        uint64_t from = stream_place(&bed).end + within;
        write_sized(&bed, 7, 150000, 0);
        write_some(&bed);
        struct buffer wanted, out;
        buffer_init(&wanted);
        buffer_init(&out);
        stream_read_all(&bed, from, UINT64_MAX, &wanted);
        struct effects_keep keep = {.bytes = 1000, .from = from};
        bed.machine->ops->effects_keep(bed.machine, &keep);
        for (unsigned i = 0; i < 3; i++) {
            bed_tidy(&bed);
            assert_int_equal(bed_flush(&bed), ERR_OK);
        }
        struct effects_place place = stream_place(&bed);
        assert_true(place.first <= from && from - place.first <= 2 * 65536);
        stream_read_all(&bed, from, 50000, &out);
        assert_true(bytes_equal(buffer_bytes(&out), buffer_bytes(&wanted)));
        keep.from = UINT64_MAX;
        bed.machine->ops->effects_keep(bed.machine, &keep);
        bed_tidy(&bed);
        assert_true(stream_place(&bed).first > from + 150000);
        assert_int_equal(stream_read(&bed, from, 1, &out), ERR_NOT_FOUND);
        buffer_release(&wanted);
        buffer_release(&out);
        bed_release(&bed);
    }
}
