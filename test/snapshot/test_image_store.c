/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <stdio.h>

#include "snapshot/image.h"
#include "state/state.h"
#include "test/state/carry.h"
#include "test/state/keyspace.h"

struct memory_source {
    struct image_source base;
    struct buffer bytes;
    unsigned reads;
};

static enum err memory_read(struct image_source *base, uint64_t offset, void *data, uint64_t size,
                            struct why *why)
{
    struct memory_source *source = CONTAINER_OF(base, struct memory_source, base);
    source->reads++;
    if (offset > source->bytes.size || size > source->bytes.size - offset)
        return why_fail(why, ERR_IO, "beyond the end");
    memcpy(data, source->bytes.data + offset, size);
    return ERR_OK;
}

/* An image under way: records ascending, chunks where the test says. */
struct making {
    struct memory_source *source;
    struct image_facts facts;
    struct image_chain chain;
    struct buffer chunk;
    uint32_t records;
};

static void making_begin(struct making *making, struct memory_source *source)
{
    *source = (struct memory_source){.base.read = memory_read};
    buffer_init(&source->bytes);
    *making = (struct making){.source = source, .facts = {.mark = {.lsn = {7}}}};
    buffer_init(&making->chunk);
    image_begin(&source->bytes, &making->facts, &making->chain);
    image_chunk_begin(&making->chunk);
}

static void making_seal(struct making *making)
{
    if (making->records == 0) return;
    image_chunk_seal(&making->chunk, making->records, &making->chain);
    buffer_append(&making->source->bytes, buffer_bytes(&making->chunk));
    image_chunk_begin(&making->chunk);
    making->records = 0;
}

static void making_add(struct making *making, struct bytes key, struct bytes value)
{
    image_chunk_add(&making->chunk, key, value);
    making->records++;
}

static void making_end(struct making *making)
{
    making_seal(making);
    image_end(&making->source->bytes, &making->facts, &making->chain);
    buffer_release(&making->chunk);
    making->source->base.size = making->source->bytes.size;
}

static struct store *open_store(struct memory_source *source)
{
    struct store *store = NULL;
    struct why why;
    if (image_store_open(&store, &source->base, NULL, &why) != ERR_OK) fail_msg("%s", why.text);
    return store;
}

/* --- Places --- */

enum { PLACES = 500, PLACE_KEY_BYTES = 24 };

/* The n-th key; between two of them there is always another. */
static struct bytes place_key(unsigned n, char out[PLACE_KEY_BYTES])
{
    (void)snprintf(out, PLACE_KEY_BYTES, "k%05u", 10 * n);
    return bytes_text(out);
}

static void make_places(struct memory_source *source, uint64_t seed, unsigned count)
{
    struct making making;
    struct dice dice;
    dice_init(&dice, seed);
    making_begin(&making, source);
    for (unsigned i = 0; i < count; i++) {
        char key[PLACE_KEY_BYTES], value[PLACE_KEY_BYTES];
        (void)snprintf(value, sizeof value, "value %u", i);
        making_add(&making, place_key(i, key), bytes_text(value));
        if (dice_chance(&dice, 1, 1 + (unsigned)seed)) making_seal(&making);
    }
    making_end(&making);
}

static void stands_on(struct store_cursor *cursor, enum err err, unsigned n, unsigned count)
{
    char key[PLACE_KEY_BYTES], value[PLACE_KEY_BYTES];
    assert_int_equal(err, n < count ? ERR_OK : ERR_NOT_FOUND);
    if (n >= count) return;
    (void)snprintf(value, sizeof value, "value %u", n);
    assert_true(bytes_equal(cursor->ops->key(cursor), place_key(n, key)));
    assert_true(bytes_equal(cursor->ops->value(cursor), bytes_text(value)));
}

static void walks(uint64_t seed, unsigned count)
{
    struct memory_source source;
    make_places(&source, seed, count);
    struct store *store = open_store(&source);
    struct store_cursor *cursor = store->ops->cursor(store, NULL, STORE_WAIT);
    for (unsigned i = 0; i <= count; i++) {
        char text[PLACE_KEY_BYTES];
        struct bytes key = place_key(i, text);
        stands_on(cursor, cursor->ops->seek(cursor, key), i, count);
        stands_on(cursor, cursor->ops->seek_before(cursor, key), i - 1, count);
        /* Between that and the one before. */
        if (i > 0) (void)snprintf(text, sizeof text, "k%05u", 10 * i - 5);
        else text[1] = 0;
        stands_on(cursor, cursor->ops->seek(cursor, bytes_text(text)), i, count);
        if (i < count) stands_on(cursor, cursor->ops->next(cursor), i + 1, count);
        stands_on(cursor, cursor->ops->seek_before(cursor, bytes_text(text)), i - 1, count);
        if (i > 0) stands_on(cursor, cursor->ops->previous(cursor), i - 2, count);
    }
    cursor->ops->close(cursor);
    store->ops->close(store);
    buffer_release(&source.bytes);
}

TEST(snapshot_image_store, a_cursor_finds_what_is_there_and_goes_both_ways)
{
    for (uint64_t seed = 0; seed < 9; seed++) walks(seed, PLACES);
    walks(3, 1);
    walks(3, 0);
}

/* --- Bytes --- */

TEST(snapshot_image_store, any_changed_byte_keeps_it_from_being_opened)
{
    struct memory_source source;
    make_places(&source, 2, 12);
    for (size_t i = 0; i < source.bytes.size; i++) {
        struct store *store = NULL;
        struct why why;
        source.bytes.data[i] ^= 0x20;
        enum err err = image_store_open(&store, &source.base, NULL, &why);
        if (err != ERR_CORRUPT && err != ERR_REFUSED) fail_msg("byte %zu: %d", i, (int)err);
        assert_null(store);
        source.bytes.data[i] ^= 0x20;
    }
    for (source.base.size = 0; source.base.size < source.bytes.size; source.base.size++) {
        struct store *store = NULL;
        assert_int_equal(image_store_open(&store, &source.base, NULL, NULL), ERR_CORRUPT);
    }
    buffer_release(&source.bytes);
}

TEST(snapshot_image_store, a_chunk_that_changes_after_it_was_opened_is_not_given)
{
    struct memory_source source;
    make_places(&source, 2, 12);
    for (unsigned i = 0; i < 12; i++) {
        char text[PLACE_KEY_BYTES], value[PLACE_KEY_BYTES];
        struct store *store = open_store(&source);
        struct store_cursor *cursor = store->ops->cursor(store, NULL, STORE_WAIT);
        size_t at = 0, size = (size_t)snprintf(value, sizeof value, "value %u", i);
        while (memcmp(source.bytes.data + at, value, size) != 0) at++;
        source.bytes.data[at] ^= 1;
        assert_int_equal(cursor->ops->seek(cursor, place_key(i, text)), ERR_CORRUPT);
        source.bytes.data[at] ^= 1;
        stands_on(cursor, cursor->ops->seek(cursor, place_key(i, text)), i, 12);
        cursor->ops->close(cursor);
        store->ops->close(store);
    }
    buffer_release(&source.bytes);
}

/* --- Memory --- */

enum { LARGE_CHUNKS = 100, LARGE_BYTES = 1 << 20 };

TEST(snapshot_image_store, keeps_the_chunks_used_last_and_those_where_somebody_stands)
{
    struct memory_source source;
    struct making making;
    char text[PLACE_KEY_BYTES];
    uint8_t *value = memory_zeroed(1, LARGE_BYTES);
    making_begin(&making, &source);
    for (unsigned i = 0; i < LARGE_CHUNKS; i++) {
        making_add(&making, place_key(i, text), bytes_of(value, LARGE_BYTES));
        making_seal(&making);
    }
    making_end(&making);
    memory_free(value);
    struct store *store = open_store(&source);
    struct store_cursor *stays = store->ops->cursor(store, NULL, STORE_WAIT);
    struct store_cursor *goes = store->ops->cursor(store, NULL, STORE_WAIT);
    assert_int_equal(stays->ops->seek(stays, place_key(3, text)), ERR_OK);
    source.reads = 0;
    assert_int_equal(goes->ops->seek(goes, place_key(0, text)), ERR_OK);
    while (goes->ops->next(goes) == ERR_OK) {
    }
    assert_int_equal(source.reads, LARGE_CHUNKS - 1); /* one was there */
    assert_true(bytes_equal(stays->ops->key(stays), place_key(3, text)));
    assert_int_equal(goes->ops->seek(goes, place_key(LARGE_CHUNKS - 50, text)), ERR_OK);
    assert_int_equal(source.reads, LARGE_CHUNKS - 1); /* still there */
    assert_int_equal(goes->ops->seek(goes, place_key(1, text)), ERR_OK);
    assert_int_equal(source.reads, LARGE_CHUNKS); /* was given up */
    for (unsigned i = 2; i < LARGE_CHUNKS; i++) {
        assert_int_equal(goes->ops->seek(goes, place_key(i, text)), ERR_OK);
        source.reads = 0;
        assert_int_equal(goes->ops->seek(goes, place_key(1, text)), ERR_OK);
        assert_int_equal(source.reads, 0); /* used again and again */
    }
    goes->ops->close(goes);
    stays->ops->close(stays);
    store->ops->close(store);
    buffer_release(&source.bytes);
}

/* --- As a store of the keys machine --- */

static void make_of_bed(struct memory_source *source, const struct bed *bed)
{
    struct making making;
    making_begin(&making, source);
    for (size_t i = 0; i < bed->store.count; i++) {
        const struct memory_item *item = &bed->store.items[i];
        making_add(&making, buffer_bytes(&item->key), buffer_bytes(&item->value));
        if (i % 7 == 0) making_seal(&making);
    }
    making_end(&making);
}

TEST(snapshot_image_store, records_are_given_and_counted_out_of_it_as_out_of_their_store)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct bed bed;
        struct dice dice;
        struct memory_source source;
        struct state_recount recount;
        struct why why;
        bed_init(&bed, seed);
        dice_init(&dice, seed);
        keyspace_grow(&bed, &dice, 200);
        make_of_bed(&source, &bed);
        struct store *store = open_store(&source);
        assert_int_equal(state_recount(store, NULL, &recount, &why), ERR_OK);
        assert_true(digest_equal(recount.recounted, bed_digest(&bed)));
        assert_true(recount.keys > 20 && recount.elements > 200);
        struct record_source *given = state_source_open(store, NULL, STORE_WAIT);
        uint64_t elements;
        assert_int_equal(carry_walk(NULL, given, &elements), ERR_NOT_FOUND);
        assert_true(elements >= recount.elements);
        state_source_close(given);
        store->ops->close(store);
        buffer_release(&source.bytes);
        bed_release(&bed);
    }
}

/* --- Progress --- */

struct told {
    struct image_watch base;
    uint64_t times, done, all;
};

static void tell(struct image_watch *base, uint64_t done, uint64_t all)
{
    struct told *told = CONTAINER_OF(base, struct told, base);
    assert_true(done >= told->done);
    told->times++;
    told->done = done;
    told->all = all;
}

TEST(snapshot_image_store, who_watches_is_told_of_bytes_and_then_of_records)
{
    struct memory_source source;
    make_places(&source, 1, 10000);
    struct told opening = {.base.moved = tell}, walking = {.base.moved = tell};
    struct store *store = NULL;
    assert_int_equal(image_store_open(&store, &source.base, &opening.base, NULL), ERR_OK);
    assert_true(opening.times > 1000);
    assert_int_equal(opening.all, source.bytes.size);
    assert_true(opening.done > opening.all - 200 && opening.done < opening.all);
    uint64_t times = opening.times;
    image_store_watch(store, &walking.base);
    struct store_cursor *cursor = store->ops->cursor(store, NULL, STORE_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("")), ERR_OK);
    while (cursor->ops->next(cursor) == ERR_OK) {
    }
    assert_int_equal(opening.times, times);
    assert_int_equal(walking.times, 2);
    assert_int_equal(walking.all, 10000);
    assert_int_equal(image_store_facts(store)->records, 10000);
    cursor->ops->close(cursor);
    store->ops->close(store);
    buffer_release(&source.bytes);
}
