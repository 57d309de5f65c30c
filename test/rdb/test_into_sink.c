/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The reader before the sink of the keys machine: what comes of a dump is a store that is whole, or
 * no store.
 */
#include "rdb/rdb.h"
#include "test/rdb/book.h"
#include "test/rdb/draw.h"
#include "test/rdb/vectors.h"
#include "test/state/carry.h"

enum { WINDOW_BYTES = 2048, VECTORS_MIN = 40 };

/* One import; `keys` is how many there are then. */
static enum err import(struct bytes dump, uint64_t seed, uint64_t *keys)
{
    struct memory_store store;
    struct record_sink *sink = NULL;
    struct why why = {""};
    memory_store_init(&store, seed);
    store.pending_of = (unsigned)(seed % 4);
    struct state_sink_options options = {.mark = {.lsn = {1}}, .window_bytes = WINDOW_BYTES};
    assert_int_equal(state_sink_open(&sink, &store.base, &options, &why), ERR_OK);
    struct rdb_reader_options reading = {.sink = sink, .string_bytes_max = 1 << 20};
    struct rdb_reader *reader = rdb_reader_open(&reading);
    enum err err = ERR_OK;
    while (dump.size > 0 && !rdb_reader_is_done(reader)) {
        size_t taken, piece = dump.size < 1 + seed % 50 ? dump.size : 1 + seed % 50;
        err = rdb_reader_feed(reader, bytes_of(dump.data, piece), &taken, &why);
        dump = bytes_of(dump.data + taken, dump.size - taken);
        if (err == ERR_PENDING) carry_await(&store, sink);
        else if (err != ERR_OK) break;
    }
    if (err == ERR_OK || err == ERR_PENDING) err = rdb_reader_end(reader, &why);
    if (err == ERR_OK) {
        struct state_recount recount;
        assert_int_equal(carry_finish(&store, sink, NULL), ERR_OK);
        if (state_recount(&store.base, NULL, &recount, &why) != ERR_OK) fail_msg("%s", why.text);
        assert_true(digest_equal(recount.recounted, state_sink_digest(sink)));
        assert_int_equal(recount.keys, rdb_reader_facts(reader).keys);
        *keys = recount.keys;
    } else {
        assert_true(why.text[0] != '\0');
        while (memory_store_step(&store)) {
        }
        assert_int_equal(memory_store_count(&store, 'M'), 0);
    }
    rdb_reader_close(reader);
    state_sink_close(sink);
    memory_store_release(&store);
    return err;
}

static void check_vector(const struct vector *vector)
{
    uint64_t keys = 0;
    enum err err = import(buffer_bytes(&vector->dump), 0, &keys);
    /* Databases that a dump may have and we have not. */
    if (vector->err == ERR_OK && err == ERR_LIMIT) return;
    assert_int_equal(err, vector->err);
}

TEST(rdb_into_sink, each_vector_becomes_a_store_or_none)
{
    assert_true(each_vector(check_vector) > VECTORS_MIN);
}

static void check_flips(const struct vector *vector)
{
    if (vector->err != ERR_OK || vector->dump.size < 17) return;
    struct buffer dump;
    copy_bytes(&dump, buffer_bytes(&vector->dump));
    if (dump.data[8] >= '5' || dump.data[7] > '0') memset(dump.data + dump.size - 8, 0, 8);
    for (size_t i = 9; i < dump.size; i++) {
        uint64_t keys;
        uint8_t mask = (uint8_t)(1 << i % 8);
        dump.data[i] ^= mask;
        (void)import(buffer_bytes(&dump), i, &keys);
        dump.data[i] ^= mask;
    }
    buffer_release(&dump);
}

TEST(rdb_into_sink, a_changed_byte_without_a_checksum_gives_a_whole_store_or_none)
{
    (void)each_vector(check_flips);
}

TEST(rdb_into_sink, drawn_keys_come_through_windows_and_pending_reads)
{
    unsigned whole = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct book book;
        struct dice dice;
        struct buffer dump;
        book_init(&book);
        dice_init(&dice, seed);
        buffer_init(&dump);
        book_draw(&book, &dice);
        struct rdb_writer_options options = {.source = &book.source};
        assert_int_equal(book_write(&book, &options, 0, &dump, NULL), ERR_OK);
        uint64_t keys = 0;
        enum err err = import(buffer_bytes(&dump), seed, &keys);
        /* A name or member that was drawn twice; a database or a time beyond ours. */
        if (err != ERR_CORRUPT && err != ERR_LIMIT) assert_int_equal(err, ERR_OK);
        if (err == ERR_OK) assert_int_equal(keys, book.count);
        whole += err == ERR_OK ? 1 : 0;
        buffer_release(&dump);
        book_release(&book);
    }
    assert_true(whole > 20);
}
