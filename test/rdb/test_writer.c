/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Writing dumps, and reading back what was written.
 */
#include "test/rdb/book.h"
#include "test/rdb/draw.h"
#include "test/test.h"

static const struct rdb_writer_options plain = {.fields_count = 0};

static void check_text(const struct buffer *a, const struct buffer *b)
{
    assert_true(bytes_equal(buffer_bytes(a), buffer_bytes(b)));
}

static void describe(const struct book *book, struct buffer *out)
{
    buffer_init(out);
    book_describe(book, out);
}

static void check_round_trip(uint64_t seed)
{
    struct dice dice;
    struct book book, back;
    struct buffer dump, again, texts[2];
    struct why why;
    dice_init(&dice, seed);
    book_init(&book);
    book_init(&back);
    buffer_init(&dump);
    buffer_init(&again);
    book_draw(&book, &dice);
    dice_init(&book.dice, seed);
    dice_init(&back.dice, seed);
    book.pending = back.pending = seed % 2 == 0 ? 0 : 5;
    assert_int_equal(book_write(&book, &plain, 1 + seed % 100, &dump, &why), ERR_OK);
    assert_int_equal(book_write(&book, &plain, 0, &again, &why), ERR_OK);
    check_text(&dump, &again); /* the pieces change nothing */
    enum err err = book_read(&back, buffer_bytes(&dump), 1 + seed % 1000, &why);
    assert_int_equal(err, ERR_OK);
    assert_int_equal(back.rest.size, 0);
    assert_true(back.facts.checked && back.counts_are_given);
    assert_int_equal(back.facts.version, RDB_VERSION_WRITTEN);
    assert_int_equal(back.facts.keys, book.count);
    describe(&book, &texts[0]);
    describe(&back, &texts[1]);
    check_text(&texts[0], &texts[1]);
    buffer_clear(&again);
    assert_int_equal(book_write(&back, &plain, 0, &again, &why), ERR_OK);
    check_text(&dump, &again); /* so the order is kept too */
    buffer_release(&texts[0]);
    buffer_release(&texts[1]);
    buffer_release(&again);
    buffer_release(&dump);
    book_release(&back);
    book_release(&book);
}

TEST(rdb_writer, what_is_written_is_read_back_the_same_whatever_it_is)
{
    for (uint64_t seed = 1; seed <= 300; seed++) check_round_trip(seed);
}

static void add_key(struct book *book, struct record_key key, const char *name)
{
    key.name = bytes_text(name);
    book_begin(book, &key);
}

static void add_text(struct book *book, const char *first, const char *second, double score)
{
    book_add(book, &(struct record_element){bytes_text(first), bytes_text(second), score});
}

/* The bytes of a string key named k, as hex, between its type and the end of the dump. */
static void check_string(const char *value, const char *hex)
{
    struct book book;
    struct buffer dump, text;
    struct why why;
    book_init(&book);
    buffer_init(&dump);
    buffer_init(&text);
    add_key(&book, (struct record_key){0}, "k");
    add_text(&book, value, "", 0);
    assert_int_equal(book_write(&book, &plain, 0, &dump, &why), ERR_OK);
    enum { BEFORE = 14, BEHIND = 9 };
    for (size_t i = BEFORE; i < dump.size - BEHIND; i++)
        buffer_append_format(&text, "%02x", dump.data[i]);
    buffer_append_byte(&text, '\0');
    assert_string_equal((char *)text.data, hex);
    buffer_release(&text);
    buffer_release(&dump);
    book_release(&book);
}

TEST(rdb_writer, a_number_is_written_in_as_few_bytes_as_hold_it)
{
    check_string("0", "c000");
    check_string("127", "c07f");
    check_string("-128", "c080");
    check_string("128", "c18000");
    check_string("-129", "c17fff");
    check_string("32767", "c1ff7f");
    check_string("-32768", "c10080");
    check_string("32768", "c200800000");
    check_string("2147483647", "c2ffffff7f");
    check_string("-2147483648", "c200000080");
    check_string("2147483648", "0a32313437343833363438");
}

TEST(rdb_writer, text_that_only_looks_like_a_number_stays_text)
{
    check_string("", "00");
    check_string("-0", "022d30");
    check_string("007", "03303037");
    check_string("+1", "022b31");
    check_string(" 1", "022031");
}

/* Checked once by hand against docs/formats/rdb.md, and loaded by redis-server 7.0.15. */
TEST(rdb_writer, one_key_of_each_type_is_written_as_these_bytes)
{
    static const char expected[] = "524544495330303130"                   /* REDIS0010 */
                                   "fa0972656469732d76657206372e302e3135" /* redis-ver 7.0.15 */
                                   "fe00fb0302"                   /* database 0: 3 keys, 2 expire */
                                   "fc7b00000000000000000173c005" /* string s, 123 ms: 5 */
                                   "fcffffffffffffff7f01016c0201610162" /* list l: a b */
                                   "02027365020178c1e803"               /* set se: x 1000 */
                                   "fe03"                               /* database 3, no hint */
                                   "0401680101660176"                   /* hash h: f v */
                                   "05017a01016d000000000000f83f"       /* zset z: m 1.5 */
                                   "ff";
    struct book book;
    struct buffer dump, text;
    struct why why;
    book_init(&book);
    buffer_init(&dump);
    buffer_init(&text);
    add_key(&book, (struct record_key){.expires_ms = 123}, "s");
    add_text(&book, "5", "", 0);
    add_key(&book, (struct record_key){.type = RECORD_LIST, .expires_ms = INT64_MAX}, "l");
    add_text(&book, "a", "", 0);
    add_text(&book, "b", "", 0);
    add_key(&book, (struct record_key){.type = RECORD_SET}, "se");
    add_text(&book, "x", "", 0);
    add_text(&book, "1000", "", 0);
    add_key(&book, (struct record_key){.database = 3, .type = RECORD_HASH}, "h");
    add_text(&book, "f", "v", 0);
    add_key(&book, (struct record_key){.database = 3, .type = RECORD_ZSET}, "z");
    add_text(&book, "m", "", 1.5);
    struct rdb_field field = {bytes_text("redis-ver"), bytes_text("7.0.15")};
    struct rdb_hint hint = {3, 2};
    struct rdb_writer_options options = {
        .fields = &field, .fields_count = 1, .hints = &hint, .hints_count = 1};
    assert_int_equal(book_write(&book, &options, 0, &dump, &why), ERR_OK);
    for (size_t i = 0; i < dump.size - 8; i++) buffer_append_format(&text, "%02x", dump.data[i]);
    buffer_append_byte(&text, '\0');
    assert_string_equal((char *)text.data, expected);
    buffer_release(&text);
    buffer_release(&dump);
    book_release(&book);
}

TEST(rdb_writer, fields_and_hints_of_any_size_are_passed_over_or_given_to_the_listener)
{
    struct book book, back;
    struct buffer dump;
    struct why why;
    book_init(&book);
    book_init(&back);
    buffer_init(&dump);
    add_key(&book, (struct record_key){0}, "k");
    add_text(&book, "v", "", 0);
    struct rdb_field fields[] = {{bytes_text("mark"), bytes_text("12.7")},
                                 {bytes_text("repl-offset"), bytes_text("4611686018427387904")}};
    struct rdb_hint hint = {UINT64_MAX, 1 << 20};
    struct rdb_writer_options options = {
        .fields = fields, .fields_count = 2, .hints = &hint, .hints_count = 1};
    assert_int_equal(book_write(&book, &options, 3, &dump, &why), ERR_OK);
    assert_int_equal(book_read(&back, buffer_bytes(&dump), 0, &why), ERR_OK);
    buffer_append_byte(&back.fields, '\0');
    assert_string_equal((char *)back.fields.data,
                        " field <mark> <12%2e7> field <repl%2doffset> <4611686018427387904>");
    buffer_release(&dump);
    book_release(&back);
    book_release(&book);
}

/* The source that `book` is, with its newest key saying `count`, and a score. */
static enum err write_bad(uint64_t count, double score, struct why *why)
{
    struct book book;
    struct buffer dump;
    book_init(&book);
    buffer_init(&dump);
    add_key(&book, (struct record_key){.type = RECORD_ZSET}, "z");
    add_text(&book, "m", "", score);
    uint64_t elements = book.keys[0].key.count;
    book.keys[0].key.count = count;
    book.elements_given = elements;
    enum err err = book_write(&book, &plain, 0, &dump, why);
    book.keys[0].key.count = elements;
    buffer_release(&dump);
    book_release(&book);
    return err;
}

TEST(rdb_writer, a_source_that_lies_gives_no_dump)
{
    struct why why;
    assert_int_equal(write_bad(1, 1, &why), ERR_OK);
    assert_int_equal(write_bad(2, 1, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "fewer elements"));
    assert_int_equal(write_bad(0, 1, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "a key of 0 elements"));
    assert_int_equal(write_bad(1, NAN, &why), ERR_CORRUPT);
}

TEST(rdb_writer, a_string_of_two_values_gives_no_dump)
{
    struct book book;
    struct buffer dump;
    struct why why;
    book_init(&book);
    buffer_init(&dump);
    add_key(&book, (struct record_key){0}, "k");
    add_text(&book, "v", "", 0);
    add_text(&book, "w", "", 0);
    assert_int_equal(book_write(&book, &plain, 0, &dump, &why), ERR_CORRUPT);
    buffer_release(&dump);
    book_release(&book);
}

/* Fails once; asked again it would say that this was all. */
struct failing {
    struct record_source source;
    bool has_failed;
};

static enum err failing_key(struct record_source *source, struct record_key *key)
{
    struct failing *failing = CONTAINER_OF(source, struct failing, source);
    *key = (struct record_key){0};
    if (failing->has_failed) return ERR_NOT_FOUND;
    failing->has_failed = true;
    return why_fail(&source->why, ERR_IO, "the disk is gone");
}

TEST(rdb_writer, after_an_error_of_the_source_every_call_answers_the_same)
{
    static const struct record_source_ops ops = {.key = failing_key};
    struct failing failing = {.source = {.ops = &ops}};
    struct buffer out;
    buffer_init(&out);
    struct rdb_writer *writer = rdb_writer_open(
        &(struct rdb_writer_options){.source = &failing.source});
    for (unsigned i = 0; i < 3; i++) {
        struct why why;
        assert_int_equal(rdb_writer_fill(writer, &out, 100, &why), ERR_IO);
        assert_string_equal(why.text, "the disk is gone");
        assert_false(rdb_writer_is_done(writer));
        assert_int_equal(out.size, 9);
    }
    rdb_writer_close(writer);
    buffer_release(&out);
}

TEST(rdb_writer, a_dump_of_nothing_is_head_end_and_checksum)
{
    struct book book;
    struct buffer dump;
    struct why why;
    book_init(&book);
    buffer_init(&dump);
    assert_int_equal(book_write(&book, &plain, 0, &dump, &why), ERR_OK);
    assert_int_equal(dump.size, 18);
    assert_memory_equal(dump.data, "REDIS0010\xff", 10);
    buffer_release(&dump);
    book_release(&book);
}
