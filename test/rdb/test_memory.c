/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What a dump can make us allocate.
 */
#include <time.h>

#include "rdb/reader.h"
#include "sim/heap.h"
#include "test/rdb/book.h"
#include "test/rdb/vectors.h"
#include "test/test.h"

static enum err null_key(struct record_sink *sink, const struct record_key *key)
{
    (void)sink;
    (void)key;
    return ERR_OK;
}

static enum err null_element(struct record_sink *sink, const struct record_element *element)
{
    (void)sink;
    (void)element;
    return ERR_OK;
}

static enum err null_end(struct record_sink *sink)
{
    (void)sink;
    return ERR_OK;
}

static const struct record_sink_ops null_ops = {
    .key = null_key, .element = null_element, .end = null_end};

/* The most that a reader of `dump`, in pieces, had allocated beside itself. */
static size_t peak_of(struct bytes dump, size_t piece, enum err *err)
{
    struct record_sink sink = {.ops = &null_ops};
    struct sim_heap *heap = sim_heap_open("reader");
    struct sim_heap *before = sim_heap_enter(heap);
    struct rdb_reader *reader = rdb_reader_open(&(struct rdb_reader_options){.sink = &sink});
    struct why why;
    *err = ERR_OK;
    while (*err == ERR_OK && dump.size > 0 && !rdb_reader_is_done(reader)) {
        size_t taken, size = dump.size < piece ? dump.size : piece;
        *err = rdb_reader_feed(reader, bytes_of(dump.data, size), &taken, &why);
        dump = bytes_of(dump.data + taken, dump.size - taken);
    }
    rdb_reader_close(reader);
    (void)sim_heap_enter(before);
    assert_int_equal(sim_heap_blocks(heap), 0);
    size_t peak = sim_heap_peak(heap) - sizeof(struct rdb_reader);
    sim_heap_close(heap);
    return peak;
}

/* A dump that claims something huge in its last bytes, and then has `more` bytes. */
static size_t peak_of_lie(const char *hex, size_t more, enum err *err)
{
    struct buffer dump;
    buffer_init(&dump);
    buffer_append_text(&dump, "REDIS0010");
    for (; hex[0] != '\0'; hex += 2)
        buffer_append_byte(&dump, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
    for (size_t i = 0; i < more; i++) buffer_append_byte(&dump, 'x');
    size_t peak = peak_of(buffer_bytes(&dump), 4096, err);
    buffer_release(&dump);
    return peak;
}

TEST(rdb_memory, a_length_that_lies_takes_no_memory)
{
    static const char *const lies[] = {
        "00016b81000fffffffffffff",             /* a string */
        "00016b81ffffffffffffffff",             /* the longest one */
        "0081000fffffffffffff",                 /* a name */
        "fa81000fffffffffffff",                 /* a field */
        "00016bc380100000008058000000",         /* 256 MiB that become 1.4 GiB */
        "02016b810fffffffffffffff81000fffffff", /* a member of a large set */
        "12016b810fffffffffffffff0281000fffff", /* a pack */
        "0b016b81000fffffffffffff",             /* an intset */
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        enum err err;
        assert_in_range(peak_of_lie(lies[i], 0, &err), 0, 1024);
        assert_int_equal(err, ERR_OK); /* the rest may still come */
        /* 100,000 bytes that came: held, at most twice. */
        assert_in_range(peak_of_lie(lies[i], 100000, &err), 100000, 2 * (100000 + 4096 + 64));
    }
}

TEST(rdb_memory, a_count_that_lies_takes_no_memory)
{
    enum err err;
    assert_in_range(peak_of_lie("02016b81ffffffffffffffff", 0, &err), 0, 1024);
    assert_int_equal(err, ERR_OK);
    assert_in_range(peak_of_lie("0e016b81ffffffffffffffff", 0, &err), 0, 1024);
    assert_int_equal(err, ERR_OK);
}

TEST(rdb_memory, what_compresses_best_stays_within_the_bound)
{
    struct buffer dump;
    buffer_init(&dump);
    buffer_append_text(&dump, "REDIS0010");
    /* A literal, then runs of 264 bytes out of three: 1 + 264 * 300 bytes from 902. */
    static const uint8_t head[] = {0, 1, 'k', 0xc3, 0x43, 0x86, 0x80, 0, 1, 0x35, 0x61, 0, 'a'};
    buffer_append(&dump, bytes_of(head, sizeof(head)));
    for (unsigned i = 0; i < 300; i++) buffer_append(&dump, bytes_of("\xe0\xff\0", 3));
    enum err err;
    size_t peak = peak_of(buffer_bytes(&dump), SIZE_MAX, &err);
    assert_int_equal(err, ERR_OK);
    assert_in_range(peak, 264 * 300, 2 * 88 * 902 + 1024);
    buffer_release(&dump);
}

/* What a reader has allocated after a dump that begins so and has so many bytes more, and its peak.
 */
static size_t kept_after(struct bytes head, const struct buffer *body, size_t *peak)
{
    struct record_sink sink = {.ops = &null_ops};
    struct sim_heap *heap = sim_heap_open("reader");
    struct buffer dump;
    buffer_init(&dump);
    buffer_append_text(&dump, "REDIS0010");
    buffer_append(&dump, head);
    buffer_append(&dump, buffer_bytes(body));
    struct sim_heap *before = sim_heap_enter(heap);
    struct rdb_reader *reader = rdb_reader_open(&(struct rdb_reader_options){.sink = &sink});
    for (size_t at = 0; at < dump.size;) {
        size_t taken, size = dump.size - at < 65536 ? dump.size - at : 65536;
        struct why why;
        assert_int_equal(rdb_reader_feed(reader, bytes_of(dump.data + at, size), &taken, &why),
                         ERR_OK);
        at += taken;
    }
    assert_int_equal(rdb_reader_facts(reader).keys, 1);
    *peak = sim_heap_peak(heap);
    size_t kept = sim_heap_bytes(heap);
    rdb_reader_close(reader);
    (void)sim_heap_enter(before);
    buffer_release(&dump);
    sim_heap_close(heap);
    return kept;
}

enum { LARGE = 8 << 20, KEPT = sizeof(struct rdb_reader) + 4 * RDB_READER_KEPT_BYTES };

TEST(rdb_memory, what_was_large_is_given_back_at_the_end_of_its_key)
{
    struct buffer body;
    size_t peak;
    buffer_init(&body);
    memset(buffer_reserve(&body, LARGE), 0, LARGE);
    body.size = LARGE;
    /* A string of 8 MiB. Growing, a buffer is there twice for a moment. */
    assert_in_range(kept_after(bytes_of("\0\1k\x80\0\x80\0\0", 8), &body, &peak), 0, KEPT);
    assert_in_range(peak, LARGE, 3 * LARGE + KEPT);
    /* A list of one plain node. */
    assert_in_range(kept_after(bytes_of("\x12\1k\1\1\x80\0\x80\0\0", 10), &body, &peak), 0, KEPT);
    assert_in_range(peak, 2 * LARGE, 5 * LARGE + KEPT);
    /* A name, of an empty string. */
    buffer_append_byte(&body, 0);
    assert_in_range(kept_after(bytes_of("\0\x80\0\x80\0\0", 6), &body, &peak), 0, KEPT);
    assert_in_range(peak, 2 * LARGE, 5 * LARGE + KEPT);
    buffer_release(&body);
}

/* A literal, then runs of 264 bytes out of three. */
static void append_compressed(struct buffer *out, unsigned runs)
{
    static const uint8_t literal[] = {0, 'a'};
    uint8_t head[11] = {0xc3, 0x80, [5] = 0x80};
    store_be32(head + 2, 2 + 3 * runs);
    buffer_append(out, bytes_of(head, 6));
    head[0] = 0x80;
    store_be32(head + 1, 1 + 264 * runs);
    buffer_append(out, bytes_of(head, 5));
    buffer_append(out, bytes_of(literal, 2));
    for (unsigned i = 0; i < runs; i++) buffer_append(out, bytes_of("\xe0\xff\0", 3));
}

TEST(rdb_memory, what_was_decompressed_is_given_back_at_the_end_of_its_key)
{
    struct buffer body;
    size_t peak;
    buffer_init(&body);
    append_compressed(&body, 30000);
    append_compressed(&body, 30000);
    /* A hash of one field. */
    assert_in_range(kept_after(bytes_of("\4\1k\1", 4), &body, &peak), 0, KEPT);
    assert_in_range(peak, 2 * 264 * 30000, 4 * 264 * 30000);
    buffer_release(&body);
}

/* Else the field would be decompressed once for each piece of the value: 10^12 bytes in all. */
TEST(rdb_memory, a_value_that_comes_slowly_costs_nothing_until_it_is_there)
{
    enum { VALUE = 100000 };
    struct record_sink sink = {.ops = &null_ops};
    struct buffer dump;
    struct why why;
    size_t taken;
    buffer_init(&dump);
    buffer_append_text(&dump, "REDIS0010");
    buffer_append(&dump, bytes_of("\4\1k\1", 4));
    append_compressed(&dump, 40000);
    buffer_append(&dump, bytes_of("\x80\0\1\x86\xa0", 5));
    for (size_t i = 0; i < VALUE; i++) buffer_append_byte(&dump, 'v');
    struct rdb_reader *reader = rdb_reader_open(&(struct rdb_reader_options){.sink = &sink});
    size_t at = dump.size - VALUE;
    clock_t start = clock();
    assert_int_equal(rdb_reader_feed(reader, bytes_of(dump.data, at), &taken, &why), ERR_OK);
    for (; at < dump.size && (clock() - start) / CLOCKS_PER_SEC < 30; at++)
        assert_int_equal(rdb_reader_feed(reader, bytes_of(dump.data + at, 1), &taken, &why),
                         ERR_OK);
    assert_int_equal(rdb_reader_facts(reader).keys, 1);
    rdb_reader_close(reader);
    buffer_release(&dump);
}
