/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <stdio.h>

#include "state/layout.h"
#include "state/meta.h"
#include "state/record.h"
#include "test/state/carry.h"
#include "test/state/keyspace.h"

static const char *const type_names[] = {"string", "list", "set", "zset", "hash"};

/* All keys as a line: "0 list l 3 @0: a b c | ...". */
static char *spell(struct bed *bed, struct record_source *source, struct buffer *out)
{
    struct record_key key;
    enum err err;
    buffer_clear(out);
    while ((err = carry_give_key(&bed->store, source, &key)) == ERR_OK) {
        buffer_append_format(out, "%u %s %.*s %u @%llu:", key.database, type_names[key.type],
                             (int)key.name.size, (const char *)key.name.data, (unsigned)key.count,
                             (unsigned long long)key.expires_ms);
        enum record_type type = key.type;
        for (uint64_t i = key.count; i > 0; i--) {
            struct record_element element;
            assert_int_equal(carry_give_element(&bed->store, source, &element), ERR_OK);
            buffer_append_byte(out, ' ');
            buffer_append(out, element.first);
            if (type == RECORD_HASH) {
                buffer_append_byte(out, '=');
                buffer_append(out, element.second);
            }
            if (type == RECORD_ZSET) buffer_append_format(out, "=%g", element.score);
        }
        struct record_element none;
        assert_int_equal(carry_give_element(&bed->store, source, &none), ERR_NOT_FOUND);
        buffer_append_text(out, " | ");
    }
    assert_int_equal(err, ERR_NOT_FOUND);
    buffer_append_byte(out, 0);
    return (char *)out->data;
}

static void write_some(struct bed *bed)
{
    (void)bed_write(bed, "RPUSH l b c");
    (void)bed_write(bed, "LPUSH l a");
    (void)bed_write_in(bed, 1, "SET s text PXAT 1700000900000");
    (void)bed_write_in(bed, 2, "ZADD z 2 b 2 a -1.5 c inf d -inf e 0 f");
    (void)bed_write_in(bed, 3, "HSET h f v");
    (void)bed_write_in(bed, 15, "SADD x one");
}

static const char SOME[] = "0 list l 3 @0: a b c | 1 string s 1 @1700000900000: text | "
                           "2 zset z 6 @0: e=-inf c=-1.5 f=0 a=2 b=2 d=inf | "
                           "3 hash h 1 @0: f=v | 15 set x 1 @0: one | ";

TEST(state_source, keys_come_by_database_and_elements_in_their_order)
{
    struct bed bed;
    struct buffer text;
    bed_init(&bed, 1);
    buffer_init(&text);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct record_source *source = state_source_open(&bed.store.base, NULL, STORE_WAIT);
    assert_string_equal(spell(&bed, source, &text), SOME);
    struct record_key key;
    assert_int_equal(source->ops->key(source, &key), ERR_NOT_FOUND);
    state_source_close(source);
    buffer_release(&text);
    bed_release(&bed);
}

TEST(state_source, what_was_removed_cleared_or_swapped_away_does_not_appear)
{
    struct bed bed;
    struct buffer text;
    bed_init(&bed, 1);
    buffer_init(&text);
    (void)bed_write(&bed, "HSET gone a 1 b 2");
    (void)bed_write_in(&bed, 1, "RPUSH cleared 1 2 3");
    (void)bed_write_in(&bed, 1, "SET ends v PX 1000");
    (void)bed_write_in(&bed, 3, "SADD swapped m");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    (void)bed_write(&bed, "DEL gone");
    bed_flush_begin(&bed); /* what is cleared now stays in the store for one flush more */
    (void)bed_write_in(&bed, 1, "FLUSHDB");
    (void)bed_write(&bed, "SWAPDB 3 5");
    (void)bed_write_in(&bed, 3, "SET here v");
    bed_settle(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(memory_store_count(&bed.store, 'Q') == 1);
    assert_true(memory_store_count(&bed.store, 'E') == 3);
    assert_true(memory_store_count(&bed.store, 'X') == 1);
    struct record_source *source = state_source_open(&bed.store.base, NULL, STORE_WAIT);
    assert_string_equal(spell(&bed, source, &text),
                        "3 string here 1 @0: v | 5 set swapped 1 @0: m | ");
    state_source_close(source);
    buffer_release(&text);
    bed_release(&bed);
}

static void disturb(unsigned pending_of)
{
    struct bed bed;
    struct buffer text;
    bed_init(&bed, 1);
    buffer_init(&text);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct digest digest = bed_digest(&bed);
    struct store *store = &bed.store.base;
    struct store_view *view = store->ops->view_open(store);
    struct record_source *source = state_source_open(store, view, STORE_NO_WAIT);
    (void)bed_write(&bed, "FLUSHALL");
    (void)bed_write(&bed, "SET later v");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed.store.pending_of = pending_of;
    assert_string_equal(spell(&bed, source, &text), SOME);
    const struct state_facts *facts;
    assert_int_equal(state_source_facts(source, &facts), ERR_OK);
    assert_int_equal(facts->mark.lsn.at, 6);
    assert_true(digest_equal(facts->digest, digest));
    state_source_close(source);
    store->ops->view_close(store, view);
    buffer_release(&text);
    bed_release(&bed);
}

TEST(state_source, a_view_is_not_disturbed_by_what_is_flushed_later)
{
    disturb(0);
    disturb(1); /* each read is pending until it waits */
}

TEST(state_source, the_facts_are_those_of_the_flush)
{
    struct bed bed;
    bed_init(&bed, 1);
    struct record_source *source = state_source_open(&bed.store.base, NULL, STORE_WAIT);
    const struct state_facts *facts;
    struct record_key key;
    assert_int_equal(state_source_facts(source, &facts), ERR_NOT_FOUND);
    assert_null(facts);
    assert_int_equal(source->ops->key(source, &key), ERR_NOT_FOUND);
    state_source_close(source);
    struct buffer payload;
    buffer_init(&payload);
    payload_put_epoch(&payload);
    (void)bed_apply(&bed, buffer_bytes(&payload));
    buffer_release(&payload);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed.store.pending_at = bed.store.reads + 1;
    source = state_source_open(&bed.store.base, NULL, STORE_NO_WAIT);
    assert_int_equal(state_source_facts(source, &facts), ERR_PENDING);
    assert_int_equal(state_source_facts(source, &facts), ERR_OK);
    struct mark applied = bed.machine->ops->applied(bed.machine);
    assert_true(mark_equal(&facts->mark, &applied));
    assert_int_equal(facts->stamp.bits, bed.machine->ops->stamp(bed.machine).bits);
    assert_true(digest_equal(facts->digest, bed_digest(&bed)));
    assert_int_equal(facts->keys, 5);
    assert_int_equal(facts->expires, 1);
    assert_int_equal(facts->epoch_count, 1);
    assert_int_equal(facts->epochs[0].first.at, 1);
    state_source_close(source);
    bed_release(&bed);
}

TEST(state_source, pending_reads_change_nothing_of_what_is_given)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct bed bed;
        struct dice dice;
        struct buffer plain, pending;
        bed_init(&bed, seed);
        dice_init(&dice, seed);
        buffer_init(&plain);
        buffer_init(&pending);
        keyspace_grow(&bed, &dice, 200);
        struct record_source *source = state_source_open(&bed.store.base, NULL, STORE_WAIT);
        (void)spell(&bed, source, &plain);
        state_source_close(source);
        bed.store.pending_of = 2 + (unsigned)(seed % 2);
        source = state_source_open(&bed.store.base, NULL, STORE_NO_WAIT);
        assert_string_equal(spell(&bed, source, &pending), plain.data);
        state_source_close(source);
        assert_true(bed.store.pendings > 10 && plain.size > 1000);
        buffer_release(&plain);
        buffer_release(&pending);
        bed_release(&bed);
    }
}

TEST(state_source, a_place_that_memory_does_not_keep_is_waited_for_in_the_end)
{
    struct bed bed;
    struct buffer text;
    bed_init(&bed, 1);
    buffer_init(&text);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed.store.pending_of = 1; /* all */
    struct record_source *source = state_source_open(&bed.store.base, NULL, STORE_NO_WAIT);
    assert_string_equal(spell(&bed, source, &text), SOME);
    assert_true(bed.store.wants > 20);
    state_source_close(source);
    buffer_release(&text);
    bed_release(&bed);
}

TEST(state_source, elements_may_be_passed_over)
{
    struct bed bed;
    bed_init(&bed, 1);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct record_source *source = state_source_open(&bed.store.base, NULL, STORE_WAIT);
    struct record_key key;
    struct record_element element;
    uint64_t keys = 0;
    while (source->ops->key(source, &key) == ERR_OK) {
        keys++;
        if (key.count > 2) assert_int_equal(source->ops->element(source, &element), ERR_OK);
    }
    assert_int_equal(keys, 5);
    state_source_close(source);
    bed_release(&bed);
}

/* --- Records that do not fit --- */

static enum err walk(struct bed *bed)
{
    uint64_t elements;
    struct record_source *source = state_source_open(&bed->store.base, NULL, STORE_WAIT);
    enum err err = carry_walk(&bed->store, source, &elements);
    struct record_key key;
    assert_int_equal(source->ops->key(source, &key), err); /* it stays so */
    if (err == ERR_CORRUPT) assert_true(source->why.text[0] != '\0');
    if (err == ERR_REFUSED) assert_non_null(strstr(source->why.text, "is of format"));
    state_source_close(source);
    return err;
}

TEST(state_source, any_byte_that_is_changed_in_a_value_is_noticed)
{
    struct bed bed;
    bed_init(&bed, 1);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    for (size_t i = 0; i < bed.store.count; i++) {
        struct memory_item *item = &bed.store.items[i];
        /* A sorted set's scores are given out of its ranks. */
        if (item->key.data[0] == 'E' && item->value.size == 8) continue;
        for (size_t at = 0; at < item->value.size; at++) {
            item->value.data[at] ^= 0x41;
            bool is_format = item->key.data[0] == 'M' && at == 0; /* a later one */
            assert_int_equal(walk(&bed), is_format ? ERR_REFUSED : ERR_CORRUPT);
            item->value.data[at] ^= 0x41;
        }
        size_t size = item->value.size;
        for (item->value.size = 0; item->value.size < size; item->value.size++) {
            assert_int_equal(walk(&bed), ERR_CORRUPT);
        }
    }
    assert_int_equal(walk(&bed), ERR_NOT_FOUND);
    bed_release(&bed);
}

TEST(state_source, any_byte_that_is_changed_in_a_key_is_noticed)
{
    struct bed bed;
    bed_init(&bed, 1);
    write_some(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    for (size_t i = 0; i < bed.store.count; i++) {
        struct memory_item *item = &bed.store.items[i];
        char letter = (char)item->key.data[0];
        if (letter == 'X' || (letter == 'E' && item->value.size == 8)) continue;
        /* The last byte alone keeps the order of the store. */
        uint8_t *last = &item->key.data[item->key.size - 1];
        *last ^= 1;
        enum err err = walk(&bed);
        assert_true(letter == 'M' ? err == ERR_NOT_FOUND : err == ERR_CORRUPT);
        *last ^= 1;
    }
    bed_release(&bed);
}

TEST(state_source, a_record_that_is_missing_is_noticed)
{
    for (size_t i = 0;; i++) {
        struct bed bed;
        bed_init(&bed, 1);
        write_some(&bed);
        assert_int_equal(bed_flush(&bed), ERR_OK);
        bool more = i < bed.store.count;
        if (more) {
            struct memory_item *item = &bed.store.items[i];
            char letter = (char)item->key.data[0];
            bool given = letter != 'M' && letter != 'X' &&
                         !(letter == 'E' && item->value.size == 8);
            item_release(item);
            memmove(item, item + 1, (bed.store.count - i - 1) * sizeof *item);
            bed.store.count--;
            assert_int_equal(walk(&bed), given ? ERR_CORRUPT : ERR_NOT_FOUND);
        }
        bed_release(&bed);
        if (!more) break;
    }
}

/* --- Records that do not fit, in a store whose sums say that they do --- */

/* Makes sum and digest of the only key, in database 0, those of the records that are there. */
static void mend(struct memory_store *store, struct digest elements, bool has_elements)
{
    struct meta meta;
    struct memory_item *last = NULL;
    for (size_t i = 0; i < store->count; i++) {
        struct memory_item *item = &store->items[i];
        if (item->key.data[0] == 'K') {
            if (has_elements) digest_encode(elements, item->value.data + 37);
            last = item;
        }
        if (item->key.data[0] != 'M') continue;
        assert_non_null(last);
        assert_int_equal(meta_decode(buffer_bytes(&item->value), &meta, NULL), ERR_OK);
        struct bytes name = bytes_of(last->key.data + LAYOUT_KEY_HEAD_BYTES,
                                     last->key.size - LAYOUT_KEY_HEAD_BYTES);
        meta.databases[0].sum = record_digest(name, buffer_bytes(&last->value));
        meta_encode(&meta, &item->value);
        memory_free(meta.epochs);
    }
}

static struct memory_item *item_of(struct bed *bed, char letter)
{
    size_t i = 0;
    while (bed->store.items[i].key.data[0] != (uint8_t)letter) i++;
    return &bed->store.items[i];
}

static void assert_misfit(struct bed *bed, const char *what)
{
    uint64_t elements;
    struct record_source *source = state_source_open(&bed->store.base, NULL, STORE_WAIT);
    assert_int_equal(carry_walk(&bed->store, source, &elements), ERR_CORRUPT);
    if (strstr(source->why.text, what) == NULL) fail_msg("%s", source->why.text);
    state_source_close(source);
}

TEST(state_source, key_records_that_cannot_be_are_named)
{
    static const struct {
        size_t at; /* in the value */
        uint8_t byte;
        const char *what;
    } wrongs[] = {
        {1, 0, "(K): its version is not of an entry up to the mark"},
        {1, 9, "(K): its version is not of an entry up to the mark"},
        {13, 9, "(K): it was changed after the mark"},
        {29, 0, "(K): it has no elements"},
        {0, 6, "(K): its value is no key's"},
    };
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct bed bed;
        bed_init(&bed, 1);
        (void)bed_write(&bed, "SADD x m");
        assert_int_equal(bed_flush(&bed), ERR_OK);
        item_of(&bed, 'K')->value.data[wrongs[i].at] = wrongs[i].byte;
        mend(&bed.store, (struct digest){0}, false);
        assert_misfit(&bed, wrongs[i].what);
        bed_release(&bed);
    }
}

TEST(state_source, a_name_that_stands_at_another_hash_is_named)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "SADD x m");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct memory_item *item = item_of(&bed, 'K');
    item->key.data[item->key.size - 1] ^= 1;
    mend(&bed.store, (struct digest){0}, false);
    assert_misfit(&bed, "(K): its hash is not its name's");
    item->key.data[item->key.size - 1] ^= 1;
    item = item_of(&bed, 'E');
    item->key.data[item->key.size - 1] ^= 1;
    mend(&bed.store,
         element_digest(bytes_of(&item->key.data[item->key.size - 1], 1), (struct bytes){0}), true);
    assert_misfit(&bed, "(E): its hash is not its name's");
    bed_release(&bed);
}

TEST(state_source, items_outside_of_their_list_and_scores_that_are_no_numbers_are_named)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "RPUSH l a");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct memory_item *item = item_of(&bed, 'L');
    item->key.data[item->key.size - 1] = 7;
    mend(&bed.store, item_digest(7, bytes_text("a")), true);
    assert_misfit(&bed, "(L): it lies outside of its list");
    bed_release(&bed);
    bed_init(&bed, 1);
    (void)bed_write(&bed, "ZADD z 1 m");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    item = item_of(&bed, 'R');
    memset(item->key.data + 21, 0xff, 8);
    assert_misfit(&bed, "(R): its score is no number");
    bed_release(&bed);
}

TEST(state_source, an_item_in_the_place_of_another_is_noticed)
{
    struct bed bed;
    bed_init(&bed, 1);
    (void)bed_write(&bed, "RPUSH l a b");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct memory_item *item = item_of(&bed, 'L');
    size_t behind = bed.store.count - (size_t)(item - bed.store.items) - 1;
    item_release(item);
    memmove(item, item + 1, behind * sizeof *item);
    bed.store.count--;
    assert_misfit(&bed, "(K): an item of it is missing");
    bed_release(&bed);
}

TEST(state_source, keys_that_the_meta_record_does_not_count_are_noticed)
{
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        struct bed bed;
        struct meta meta;
        bed_init(&bed, 1);
        (void)bed_write(&bed, "SET s text");
        assert_int_equal(bed_flush(&bed), ERR_OK);
        struct memory_item *item = item_of(&bed, 'M');
        assert_int_equal(meta_decode(buffer_bytes(&item->value), &meta, NULL), ERR_OK);
        if (wrong == 0) meta.databases[0].keys = 2;
        else meta.databases[0].sum.low ^= 1;
        meta_encode(&meta, &item->value);
        memory_free(meta.epochs);
        assert_misfit(&bed, "database 0: its keys are not those that the meta record says");
        bed_release(&bed);
    }
}
