/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Reading dumps: every encoding, every damage, every split.
 */
#include "rdb/crc.h"
#include "test/rdb/book.h"
#include "test/rdb/vectors.h"
#include "test/test.h"

enum { VECTORS = 84 };

/* What reading says, as in the vectors; the line for people goes to *why. */
static enum err meaning_of(struct bytes dump, size_t piece, unsigned pending, struct buffer *out,
                           struct why *why)
{
    struct book book;
    book_init(&book);
    book.pending = pending;
    enum err err = book_read(&book, dump, piece, why);
    if (err == ERR_OK) assert_int_equal(book.facts.bytes + book.rest.size, dump.size);
    if (err == ERR_OK) assert_int_equal(book.facts.keys, book.count);
    buffer_append_format(out, "v%u %s empty %d", book.facts.version,
                         book.facts.checked ? "checked" : "unchecked", (int)book.facts.empty_keys);
    book_describe(&book, out);
    buffer_append_byte(out, '\0');
    book_release(&book);
    return err;
}

static void check_split(const struct vector *vector, size_t piece, unsigned pending)
{
    struct buffer text;
    struct why why = {""};
    buffer_init(&text);
    enum err err = meaning_of(buffer_bytes(&vector->dump), piece, pending, &text, &why);
    if (err != vector->err)
        fail_msg("%s: %s, not %s: %s", vector->name, err_name(err), err_name(vector->err),
                 why.text);
    if (err == ERR_OK) {
        if (strcmp((char *)text.data, vector->text) != 0)
            fail_msg("%s: %s, not %s", vector->name, (char *)text.data, vector->text);
    } else if (strstr(why.text, vector->text) == NULL) {
        fail_msg("%s: the line says %s, not %s", vector->name, why.text, vector->text);
    }
    buffer_release(&text);
}

static void check_whole(const struct vector *vector)
{
    check_split(vector, 0, 0);
}

TEST(rdb_reader, each_vector_means_what_is_written_beside_it)
{
    assert_int_equal(each_vector(check_whole), VECTORS);
}

static void check_pieces(const struct vector *vector)
{
    check_split(vector, 1, 0);
    check_split(vector, 2, 0);
    check_split(vector, 30, 0);
}

TEST(rdb_reader, a_dump_that_comes_in_pieces_of_any_size_means_the_same)
{
    assert_int_equal(each_vector(check_pieces), VECTORS);
}

static void check_pending(const struct vector *vector)
{
    check_split(vector, 0, 2);
    check_split(vector, 1, 2);
    check_split(vector, 30, 3);
}

TEST(rdb_reader, a_sink_that_is_not_ready_is_asked_again_and_gets_everything_once)
{
    assert_int_equal(each_vector(check_pending), VECTORS);
}

/* One split at each byte. */
static void check_each_split(const struct vector *vector)
{
    if (vector->err != ERR_OK) return;
    struct bytes dump = buffer_bytes(&vector->dump);
    for (size_t at = 0; at <= dump.size; at++) {
        struct book book;
        struct buffer text;
        struct why why;
        size_t taken;
        book_init(&book);
        buffer_init(&text);
        struct rdb_reader *reader = rdb_reader_open(
            &(struct rdb_reader_options){.sink = &book.sink, .listener = &book.listener});
        assert_int_equal(rdb_reader_feed(reader, bytes_of(dump.data, at), &taken, &why), ERR_OK);
        assert_int_equal(taken, at);
        assert_int_equal(rdb_reader_is_done(reader), at == dump.size);
        enum err err = rdb_reader_feed(reader, bytes_of(dump.data + at, dump.size - at), &taken,
                                       &why);
        assert_int_equal(err, ERR_OK);
        assert_int_equal(taken, dump.size - at);
        assert_int_equal(rdb_reader_end(reader, &why), ERR_OK);
        book_describe(&book, &text);
        buffer_append_byte(&text, '\0');
        const char *words = strstr(vector->text, " empty ");
        assert_string_equal((char *)text.data, words + strlen(" empty N"));
        rdb_reader_close(reader);
        buffer_release(&text);
        book_release(&book);
    }
}

TEST(rdb_reader, a_split_at_each_byte_changes_nothing)
{
    assert_int_equal(each_vector(check_each_split), VECTORS);
}

static void check_cuts(const struct vector *vector)
{
    if (vector->err != ERR_OK) return;
    for (size_t size = 0; size < vector->dump.size; size++) {
        struct buffer text;
        struct why why;
        buffer_init(&text);
        enum err err = meaning_of(bytes_of(vector->dump.data, size), 0, 0, &text, &why);
        assert_int_equal(err, ERR_CORRUPT);
        assert_non_null(strstr(why.text, "cut short"));
        char offset[32];
        (void)snprintf(offset, sizeof(offset), "offset %zu:", size);
        assert_non_null(strstr(why.text, offset));
        buffer_release(&text);
    }
}

TEST(rdb_reader, a_dump_that_ends_at_any_byte_before_its_last_is_cut_short)
{
    assert_int_equal(each_vector(check_cuts), VECTORS);
}

/* Each byte of each dump changed in two ways; with a checksum none goes unnoticed. */
static void check_flips(const struct vector *vector)
{
    if (vector->err != ERR_OK) return;
    bool is_summed = strstr(vector->text, " checked ") != NULL;
    struct buffer dump;
    copy_bytes(&dump, buffer_bytes(&vector->dump));
    for (size_t i = 0; i < 2 * dump.size; i++) {
        uint8_t mask = i % 2 == 0 ? 1 : 0xa5;
        struct buffer text;
        struct why why = {""};
        buffer_init(&text);
        dump.data[i / 2] ^= mask;
        enum err err = meaning_of(buffer_bytes(&dump), 0, 0, &text, &why);
        /* A lower version has no checksum at all. */
        bool has_lost_it = i / 2 >= 5 && i / 2 < 9;
        if (is_summed && !has_lost_it) assert_int_not_equal(err, ERR_OK);
        if (err != ERR_OK) assert_true(strlen(why.text) > 0);
        dump.data[i / 2] ^= mask;
        buffer_release(&text);
    }
    buffer_release(&dump);
}

TEST(rdb_reader, a_byte_that_was_changed_is_noticed_by_the_checksum)
{
    assert_int_equal(each_vector(check_flips), VECTORS);
}

/* The same without a checksum: what is read is sane (the book insists), or refused. */
static void check_flips_unsummed(const struct vector *vector)
{
    if (vector->err != ERR_OK || vector->dump.size < 17) return;
    struct buffer dump;
    copy_bytes(&dump, buffer_bytes(&vector->dump));
    if (dump.data[8] >= '5' || dump.data[7] > '0') memset(dump.data + dump.size - 8, 0, 8);
    for (size_t i = 9; i < dump.size; i++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            struct buffer text;
            struct why why = {""};
            buffer_init(&text);
            dump.data[i] ^= (uint8_t)(1 << bit);
            enum err err = meaning_of(buffer_bytes(&dump), 0, 0, &text, &why);
            if (err != ERR_OK) assert_true(strlen(why.text) > 0);
            dump.data[i] ^= (uint8_t)(1 << bit);
            buffer_release(&text);
        }
    }
    buffer_release(&dump);
}

TEST(rdb_reader, a_byte_that_was_changed_without_a_checksum_gives_sane_records_or_none)
{
    assert_int_equal(each_vector(check_flips_unsummed), VECTORS);
}

static void append_hex(struct buffer *out, const char *hex)
{
    for (; hex[0] != '\0'; hex += 2)
        buffer_append_byte(out, (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1])));
}

TEST(rdb_reader, what_follows_a_dump_stays_with_the_caller)
{
    struct buffer dump;
    buffer_init(&dump);
    buffer_append_text(&dump, "REDIS0010");
    append_hex(&dump, "fe00"
                      "00016b0176"
                      "ff"
                      "0000000000000000");
    size_t size = dump.size;
    buffer_append_text(&dump, "the next forty bytes are not of the dump");
    for (size_t i = 0; i < 600; i++) {
        struct book book;
        struct why why;
        book_init(&book);
        dice_init(&book.dice, i);
        book.pending = (unsigned)(i % 3);
        if (book.pending > 0) book.pending++;
        enum err err = book_read(&book, buffer_bytes(&dump), i / 10, &why);
        assert_int_equal(err, ERR_OK);
        assert_int_equal(book.rest.size, dump.size - size);
        assert_int_equal(book.count, 1);
        book_release(&book);
    }
    buffer_release(&dump);
}

/* A sink that refuses its n-th call. */
static enum err refused_at(struct bytes dump, size_t call, enum err refusal, struct why *why)
{
    struct book book;
    book_init(&book);
    book.calls_left = call;
    book.refusal = refusal;
    enum err err = book_read(&book, dump, 0, why);
    book_release(&book);
    return err;
}

TEST(rdb_reader, a_refusal_of_the_sink_ends_the_reading_with_its_words)
{
    struct buffer dump;
    buffer_init(&dump);
    buffer_append_text(&dump, "REDIS0010");
    append_hex(&dump, "fe00"
                      "0101"
                      "6c"
                      "02"
                      "0161"
                      "0162"
                      "ff"
                      "0000000000000000");
    struct why why;
    for (size_t call = 0; call < 4; call++) {
        assert_int_equal(refused_at(buffer_bytes(&dump), call, ERR_LIMIT, &why), ERR_LIMIT);
        assert_non_null(strstr(why.text, "the sink's own words"));
        assert_int_equal(refused_at(buffer_bytes(&dump), call, ERR_EXISTS, &why), ERR_CORRUPT);
        assert_int_equal(refused_at(buffer_bytes(&dump), call, ERR_IO, &why), ERR_IO);
    }
    assert_int_equal(refused_at(buffer_bytes(&dump), 4, ERR_IO, &why), ERR_OK);
    buffer_release(&dump);
}

static enum err read_bounded(const char *hex, uint64_t string_bytes_max)
{
    struct book book;
    struct buffer dump;
    struct why why;
    size_t taken;
    book_init(&book);
    buffer_init(&dump);
    buffer_append_text(&dump, "REDIS0010");
    append_hex(&dump, hex);
    struct rdb_reader *reader = rdb_reader_open(
        &(struct rdb_reader_options){.sink = &book.sink, .string_bytes_max = string_bytes_max});
    enum err err = rdb_reader_feed(reader, buffer_bytes(&dump), &taken, &why);
    rdb_reader_close(reader);
    buffer_release(&dump);
    book_release(&book);
    return err;
}

TEST(rdb_reader, without_a_listener_fields_are_passed_over)
{
    assert_int_equal(read_bounded("fa0161016200016b0176", 0), ERR_OK);
}

TEST(rdb_reader, after_an_error_every_call_answers_the_same)
{
    struct book book;
    struct why first, second;
    size_t taken;
    book_init(&book);
    struct rdb_reader *reader = rdb_reader_open(&(struct rdb_reader_options){.sink = &book.sink});
    assert_int_equal(rdb_reader_feed(reader, bytes_text("REDIS0099"), &taken, &first), ERR_REFUSED);
    assert_int_equal(rdb_reader_feed(reader, bytes_text("more"), &taken, &second), ERR_REFUSED);
    assert_string_equal(first.text, second.text);
    assert_int_equal(taken, 0);
    assert_int_equal(rdb_reader_end(reader, &second), ERR_REFUSED);
    assert_string_equal(first.text, second.text);
    rdb_reader_close(reader);
    book_release(&book);
}

TEST(rdb_reader, a_string_beyond_the_bound_is_refused_before_it_comes)
{
    assert_int_equal(read_bounded("00016b05", 5), ERR_OK);
    assert_int_equal(read_bounded("00016b06", 5), ERR_LIMIT);
    assert_int_equal(read_bounded("00016b81ffffffffffffffff", 5), ERR_LIMIT);
    assert_int_equal(read_bounded("00016bc30206", 5), ERR_LIMIT); /* after decompression */
    assert_int_equal(read_bounded("00016bc30605", 5), ERR_LIMIT);
    assert_int_equal(read_bounded("00016b81ffffffffffffffff", 0), ERR_OK);
}

TEST(rdb_crc, the_checksum_is_the_one_of_redis)
{
    struct crc crc;
    crc_init(&crc);
    crc_add(&crc, bytes_text("123456789"));
    assert_true(crc.value == UINT64_C(0xe9c6d914c4b8d9ca));
}

TEST(rdb_crc, the_checksum_does_not_depend_on_how_the_bytes_are_split)
{
    struct crc whole, split;
    uint8_t bytes[100];
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)(i * 37);
    crc_init(&whole);
    crc_add(&whole, bytes_of(bytes, sizeof(bytes)));
    for (size_t at = 0; at <= sizeof(bytes); at++) {
        crc_init(&split);
        crc_add(&split, bytes_of(bytes, at));
        crc_add(&split, bytes_of(bytes + at, sizeof(bytes) - at));
        assert_true(split.value == whole.value);
    }
}
