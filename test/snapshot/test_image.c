/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dice.h"
#include "base/memory.h"
#include "sim/heap.h"
#include "snapshot/check.h"
#include "test/log/vectors.h"
#include "test/snapshot/memory_source.h"

/* Three records in two chunks. */
static void make(struct buffer *out)
{
    static const struct epoch_start epochs[] = {{{1, 7}, {1}, 0}, {{2, 7}, {5}, 4999}};
    struct image_facts facts = {.cluster = 9,
                                .taken_ms = 1700000000000,
                                .mark = {.epoch = {2, 7}, .lsn = {12}, .lineage = {99}},
                                .epochs = epochs,
                                .epoch_count = 2,
                                .keys = 2,
                                .digest = {3, 4}};
    struct image_chain chain;
    struct buffer chunk;
    buffer_init(&chunk);
    image_begin(out, &facts, &chain);
    image_chunk_begin(&chunk);
    image_chunk_add(&chunk, bytes_text("Ka"), bytes_text("one"));
    image_chunk_add(&chunk, bytes_text("Kb"), bytes_text(""));
    image_chunk_seal(&chunk, 2, &chain);
    buffer_append(out, buffer_bytes(&chunk));
    image_chunk_begin(&chunk);
    image_chunk_add(&chunk, bytes_text("M"), bytes_text("meta"));
    image_chunk_seal(&chunk, 1, &chain);
    buffer_append(out, buffer_bytes(&chunk));
    image_end(out, &facts, &chain);
    buffer_release(&chunk);
}

TEST(snapshot_image, is_read_back_as_it_was_written)
{
    struct buffer image;
    buffer_init(&image);
    make(&image);
    struct memory_source source = {{memory_source_read, image.size}, buffer_bytes(&image)};
    struct image_reader *reader = NULL;
    struct why why;
    assert_int_equal(image_open(&reader, &source.base, &why), ERR_OK);
    const struct image_facts *facts = image_facts(reader);
    assert_int_equal(facts->mark.lsn.at, 12);
    assert_int_equal(facts->epoch_count, 2);
    assert_int_equal(facts->epochs[1].first.at, 5);
    assert_int_equal(facts->epochs[1].stream_offset, 4999);
    assert_int_equal(facts->taken_ms, 1700000000000);
    assert_int_equal(facts->keys, 2);
    assert_int_equal(facts->digest.high, 4);
    assert_int_equal(facts->records, 3);
    struct bytes key, value;
    assert_int_equal(image_next(reader, &key, &value, &why), ERR_OK);
    assert_true(bytes_equal(key, bytes_text("Ka")) && bytes_equal(value, bytes_text("one")));
    image_close(reader);
    uint64_t records;
    assert_int_equal(memory_source_read_all(buffer_bytes(&image), &records, &why), ERR_OK);
    assert_int_equal(records, 3);
    buffer_release(&image);
}

/* Bytes of which only some are there. */
struct coming {
    struct memory_source source;
    uint64_t there;
};

static enum err coming_read(struct image_source *source, uint64_t offset, void *data, uint64_t size,
                            struct why *why)
{
    const struct coming *coming = CONTAINER_OF(source, struct coming, source.base);
    assert_true(offset + size <= coming->there);
    return memory_source_read(source, offset, data, size, why);
}

TEST(snapshot_image, one_that_still_comes_gives_each_record_as_soon_as_its_chunk_is_there)
{
    struct buffer image;
    buffer_init(&image);
    make(&image);
    struct coming coming = {{{coming_read, image.size}, buffer_bytes(&image)}, 0};
    struct image_reader *reader = image_open_early(&coming.source.base);
    struct bytes key, value;
    struct why why;
    uint64_t records = 0, since[3] = {0};
    while (coming.there < image.size) {
        enum err err;
        while ((err = image_next(reader, &key, &value, &why)) == ERR_OK)
            since[records++] = coming.there;
        assert_int_equal(err, ERR_PENDING);
        image_arrived(reader, ++coming.there);
    }
    assert_int_equal(image_next(reader, &key, &value, &why), ERR_NOT_FOUND);
    assert_int_equal(records, 3);
    uint64_t footer = image.size - IMAGE_FOOTER_BYTES, last = IMAGE_CHUNK_HEAD_BYTES + 8 + 1 + 4;
    assert_int_equal(since[0], footer - last);
    assert_int_equal(since[1], footer - last);
    assert_int_equal(since[2], footer);
    assert_int_equal(image_facts(reader)->keys, 2);
    assert_int_equal(image_facts(reader)->digest.high, 4);
    image_close(reader);
    buffer_release(&image);
}

TEST(snapshot_image, any_flipped_bit_is_noticed)
{
    struct buffer image;
    struct why why;
    uint64_t records;
    buffer_init(&image);
    make(&image);
    assert_int_equal(memory_source_check(buffer_bytes(&image), NULL, &why), ERR_OK);
    for (size_t i = 0; i < image.size * 8; i++) {
        image.data[i / 8] ^= (uint8_t)(1 << i % 8);
        enum err err = memory_source_read_all(buffer_bytes(&image), &records, &why);
        assert_true(err == ERR_CORRUPT || err == ERR_REFUSED);
        assert_int_equal(memory_source_check(buffer_bytes(&image), NULL, &why), err);
        image.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size < image.size; size++) {
        struct bytes cut = bytes_of(image.data, size);
        assert_int_equal(memory_source_read_all(cut, &records, &why), ERR_CORRUPT);
        assert_int_equal(memory_source_check(cut, NULL, &why), ERR_CORRUPT);
    }
    buffer_release(&image);
}

/* Says `what`, gives no record of the part that is bad, and nothing stays open. */
static void expect_refusal(const struct buffer *image, enum err err, uint64_t given,
                           const char *what)
{
    struct why why;
    uint64_t records;
    assert_int_equal(memory_source_read_all(buffer_bytes(image), &records, &why), err);
    if (strstr(why.text, what) == NULL) fail_msg("not \"%s\": %s", what, why.text);
    assert_int_equal(records, given);
}

TEST(snapshot_image, small_file_wrong_header_flipped_body_leave_state_untouched)
{
    struct buffer image;
    buffer_init(&image);
    make(&image);
    size_t size = image.size, header = 120 + 2 * 32 + 8;
    image.size = 247;
    expect_refusal(&image, ERR_CORRUPT, 0, "the file is too short for an image");
    image.size = 280;
    expect_refusal(&image, ERR_CORRUPT, 0, "the file is shorter than its header says");
    image.size = size;
    image.data[0] ^= 1;
    expect_refusal(&image, ERR_CORRUPT, 0, "this does not begin as an image does");
    image.data[0] ^= 1;
    image.data[12] ^= 8;
    expect_refusal(&image, ERR_CORRUPT, 0, "the header of the image is not sound");
    image.data[12] ^= 8;
    image.data[8] = 2;
    expect_refusal(&image, ERR_REFUSED, 0, "the image is of format 2; this program knows 1");
    image.data[8] = 1;
    image.data[70] ^= 1;
    expect_refusal(&image, ERR_CORRUPT, 0, "the header of the image has another checksum");
    image.data[70] ^= 1;
    image.data[20] = 2; /* with a checksum that fits */
    store_le64(image.data + header - 8, checksum64(bytes_of(image.data, header - 8), 0));
    expect_refusal(&image, ERR_REFUSED, 0, "the image needs feature level 2; this program has 1");
    image.data[20] = 1;
    store_le64(image.data + header - 8, checksum64(bytes_of(image.data, header - 8), 0));
    image.data[header + 30] ^= 1;
    expect_refusal(&image, ERR_CORRUPT, 0, "chunk 0 at offset 192: it has another checksum");
    image.data[header + 30] ^= 1;
    image.data[header + 24 + 11] ^= 1; /* the length of a value */
    expect_refusal(&image, ERR_CORRUPT, 0, "chunk 0 at offset 192: it has another checksum");
    image.data[header + 24 + 11] ^= 1;
    image.data[size - 121] ^= 1; /* of the second chunk */
    expect_refusal(&image, ERR_CORRUPT, 2, "chunk 1 at offset 239: it has another checksum");
    image.data[size - 121] ^= 1;
    image.data[size - 1] ^= 1;
    expect_refusal(&image, ERR_CORRUPT, 0, "the footer of the image has another checksum");
    buffer_release(&image);
}

enum twist {
    TWIST_NONE,
    TWIST_ORDER,
    TWIST_COUNT,
    TWIST_TWIN,
    TWIST_MARK,
    TWIST_LENGTH,
    TWIST_CHAIN
};

/* Checksums that fit, of bytes that no keeper writes. */
static void make_twisted(struct buffer *out, enum twist twist)
{
    struct image_facts facts = {.mark = {.lsn = {1}}};
    struct image_chain chain;
    struct buffer chunk;
    buffer_init(&chunk);
    image_begin(out, &facts, &chain);
    image_chunk_begin(&chunk);
    image_chunk_add(&chunk, bytes_text("b"), bytes_text(""));
    if (twist == TWIST_ORDER) image_chunk_add(&chunk, bytes_text("a"), bytes_text(""));
    if (twist == TWIST_TWIN) image_chunk_add(&chunk, bytes_text("b"), bytes_text(""));
    uint32_t records = twist == TWIST_ORDER || twist == TWIST_TWIN ? 2 : 1;
    if (twist == TWIST_LENGTH) chunk.data[IMAGE_CHUNK_HEAD_BYTES + 4] = 1;
    image_chunk_seal(&chunk, records, &chain);
    if (twist == TWIST_CHAIN) { /* another one, right in its place, that the footer does not know */
        struct image_chain other = {.seed = chain.seed, .offset = out->size};
        image_chunk_begin(&chunk);
        image_chunk_add(&chunk, bytes_text("c"), bytes_text(""));
        image_chunk_seal(&chunk, 1, &other);
    }
    buffer_append(out, buffer_bytes(&chunk));
    if (twist == TWIST_COUNT) chain.records++;
    if (twist == TWIST_MARK) facts.mark.lsn.at = 2;
    image_end(out, &facts, &chain);
    buffer_release(&chunk);
}

TEST(snapshot_image, what_fits_its_checksums_but_is_no_image_is_refused_too)
{
    static const struct {
        enum twist twist;
        const char *what;
    } cases[] = {
        {TWIST_ORDER, "keys do not ascend"},
        {TWIST_TWIN, "keys do not ascend"},
        {TWIST_COUNT, "the image has 1 records in 1 chunks, but its footer says 2 in 1"},
        {TWIST_MARK, "header and footer of the image name different marks"},
        {TWIST_LENGTH, "no whole records"},
        {TWIST_CHAIN, "the image has 1 records in 1 chunks, but its footer says 1 in 1"},
    };
    struct why why;
    uint64_t records;
    struct buffer image;
    buffer_init(&image);
    make_twisted(&image, TWIST_NONE);
    assert_int_equal(memory_source_read_all(buffer_bytes(&image), &records, &why), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_clear(&image);
        make_twisted(&image, cases[i].twist);
        enum err err = memory_source_read_all(buffer_bytes(&image), &records, &why);
        assert_int_equal(err, ERR_CORRUPT);
        if (strstr(why.text, cases[i].what) == NULL) fail_msg("%s", why.text);
    }
    buffer_release(&image);
}

/* A chunk of another image, or of another place in this one, has the wrong seed. */
TEST(snapshot_image, chunks_that_change_places_are_noticed)
{
    struct image_facts facts = {.mark = {.lsn = {1}}};
    struct image_chain chain;
    struct buffer image, chunk;
    struct why why;
    buffer_init(&image);
    buffer_init(&chunk);
    image_begin(&image, &facts, &chain);
    size_t first = image.size;
    for (unsigned i = 0; i < 2; i++) {
        image_chunk_begin(&chunk);
        image_chunk_add(&chunk, bytes_text(i == 0 ? "a" : "b"), bytes_text("x"));
        image_chunk_seal(&chunk, 1, &chain);
        buffer_append(&image, buffer_bytes(&chunk));
    }
    image_end(&image, &facts, &chain);
    assert_int_equal(memory_source_check(buffer_bytes(&image), NULL, &why), ERR_OK);
    uint8_t kept[64];
    size_t size = chunk.size;
    memcpy(kept, image.data + first, size);
    memcpy(image.data + first, image.data + first + size, size);
    memcpy(image.data + first + size, kept, size);
    uint64_t records;
    assert_int_equal(memory_source_check(buffer_bytes(&image), NULL, &why), ERR_CORRUPT);
    assert_int_equal(memory_source_read_all(buffer_bytes(&image), &records, &why), ERR_CORRUPT);
    buffer_release(&chunk);
    buffer_release(&image);
}

TEST(snapshot_image, no_memory_is_taken_because_of_a_size_that_is_a_lie)
{
    struct image_facts facts = {.mark = {.lsn = {1}}};
    struct image_chain chain;
    struct buffer image, chunk;
    struct why why;
    uint64_t records;
    buffer_init(&image);
    buffer_init(&chunk);
    image_begin(&image, &facts, &chain);
    size_t at = image.size;
    static uint8_t value[8 << 20];
    image_chunk_begin(&chunk);
    image_chunk_add(&chunk, bytes_text("a"), bytes_of(value, sizeof value));
    image_chunk_seal(&chunk, 1, &chain);
    buffer_append(&image, buffer_bytes(&chunk));
    image_end(&image, &facts, &chain);
    assert_int_equal(memory_source_read_all(buffer_bytes(&image), &records, &why), ERR_OK);
    assert_int_equal(records, 1);
    buffer_release(&chunk);
    store_le64(image.data + at + 8, 4 << 20);
    struct sim_heap *heap = sim_heap_open("reader");
    (void)sim_heap_enter(heap);
    enum err read = memory_source_read_all(buffer_bytes(&image), &records, &why);
    enum err checked = memory_source_check(buffer_bytes(&image), NULL, &why);
    (void)sim_heap_enter(NULL);
    assert_int_equal(read, ERR_CORRUPT);
    assert_int_equal(checked, ERR_CORRUPT);
    assert_true(sim_heap_peak(heap) < 1 << 20);
    assert_int_equal(sim_heap_blocks(heap), 0);
    sim_heap_close(heap);
    buffer_release(&image);
}

/* Of so many bytes, told that the file has `size`. */
static void expect_fault(struct bytes bytes, uint64_t size, const char *what)
{
    struct why why = {""};
    struct image_check *check = image_check_open(size);
    enum err err = image_check_add(check, bytes, &why);
    if (err == ERR_OK) err = image_check_end(check, &why);
    assert_int_equal(err, ERR_CORRUPT);
    if (strstr(why.text, what) == NULL) fail_msg("not \"%s\": %s", what, why.text);
    struct why again;
    assert_int_equal(image_check_add(check, bytes, &again), err); /* it stays so */
    assert_string_equal(again.text, why.text);
    image_check_close(check);
}

TEST(snapshot_check, says_where_and_what_is_wrong)
{
    struct buffer image, twisted;
    buffer_init(&image);
    buffer_init(&twisted);
    make(&image);
    struct bytes all = buffer_bytes(&image);
    expect_fault(bytes_of(all.data, 247), 247, "at offset 0: the file is too short for an image");
    expect_fault(all, 300, "at offset 0: the file is shorter than its header says");
    expect_fault(bytes_of(all.data, all.size - 1), all.size, "the file ends too early");
    buffer_append(&twisted, all);
    buffer_append_byte(&twisted, 0);
    expect_fault(buffer_bytes(&twisted), all.size, "the file goes on behind the footer");
    image.data[192 + 8] ^= 1; /* the size of a chunk */
    expect_fault(all, all.size, "at offset 192: the chunk has another checksum");
    image.data[192 + 8 + 5] ^= 0x80;
    expect_fault(all, all.size, "at offset 192: this does not begin as a chunk does");
    buffer_clear(&twisted);
    make_twisted(&twisted, TWIST_CHAIN);
    expect_fault(buffer_bytes(&twisted), twisted.size, "but its footer says 1 in 1");
    buffer_release(&twisted);
    buffer_release(&image);
}

TEST(snapshot_check, pieces_of_any_size_give_the_same_answer)
{
    struct buffer image;
    buffer_init(&image);
    make(&image);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct dice dice;
        struct why whole = {""}, pieces = {""};
        dice_init(&dice, seed);
        size_t at = (size_t)dice_below(&dice, image.size);
        if (seed > 10) image.data[at] ^= 4;
        enum err err = memory_source_check(buffer_bytes(&image), NULL, &whole);
        assert_int_equal(memory_source_check(buffer_bytes(&image), &dice, &pieces), err);
        assert_string_equal(whole.text, pieces.text);
        assert_true((err == ERR_OK) == (seed <= 10));
        if (seed > 10) image.data[at] ^= 4;
    }
    buffer_release(&image);
}

TEST(snapshot_image, only_names_that_are_written_are_ours)
{
    struct lsn lsn;
    char name[IMAGE_NAME_BYTES];
    image_name_format((struct lsn){0x1234abcd}, IMAGE_NAME_IMAGE, name);
    assert_string_equal(name, "000000001234abcd.image");
    assert_int_equal(image_name_parse(name, &lsn), IMAGE_NAME_IMAGE);
    assert_int_equal(lsn.at, 0x1234abcd);
    image_name_format((struct lsn){5}, IMAGE_NAME_LEFTOVER, name);
    assert_int_equal(image_name_parse(name, &lsn), IMAGE_NAME_LEFTOVER);
    static const char *const foreign[] = {"",
                                          "5.image",
                                          "000000001234ABCD.image",
                                          "000000001234abcd.image.tmp2",
                                          "000000001234abcd.imag",
                                          "0000000001234abcd.image"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_int_equal(image_name_parse(foreign[i], &lsn), IMAGE_NAME_FOREIGN);
}

/* --- Vectors --- */

static void take_digits(const struct vector *vector, const char *key, void *out, size_t size)
{
    struct buffer bytes;
    buffer_init(&bytes);
    hex_take(vector_text(vector, key), &bytes);
    assert_int_equal(bytes.size, size);
    memcpy(out, bytes.data, size);
    buffer_release(&bytes);
}

static void take_facts(const struct vector *vector, struct image_facts *facts,
                       struct epoch_start epochs[VECTOR_FIELDS_MAX])
{
    *facts = (struct image_facts){.shard = (uint32_t)vector_number(vector, "shard"),
                                  .cluster = vector_number(vector, "cluster"),
                                  .taken_ms = vector_number(vector, "taken_ms"),
                                  .stamp = {vector_hex(vector, "stamp")},
                                  .stream_offset = vector_number(vector, "stream_offset"),
                                  .keys = vector_number(vector, "keys"),
                                  .epochs = epochs};
    struct mark *mark = &facts->mark;
    take_digits(vector, "history", mark->history.id, sizeof mark->history.id);
    mark->epoch.number = vector_number(vector, "epoch_number");
    mark->epoch.copy = vector_number(vector, "epoch_copy");
    mark->lsn.at = vector_number(vector, "lsn");
    mark->lineage.hash = vector_hex(vector, "lineage");
    uint8_t text[DIGEST_ENCODED_BYTES], digest[DIGEST_ENCODED_BYTES];
    take_digits(vector, "digest", text, sizeof text); /* as text: high first */
    for (size_t i = 0; i < sizeof text; i++) digest[i] = text[sizeof text - 1 - i];
    facts->digest = digest_decode(digest);
    for (size_t i = 0; i < vector->fields; i++) {
        if (strcmp(vector->keys[i], "epoch") != 0) continue;
        unsigned long long number, copy, first, offset;
        int fields = sscanf(vector->values[i], "%llu %llu %llu %llu", &number, &copy, &first,
                            &offset);
        assert_int_equal(fields, 4);
        epochs[facts->epoch_count++] = (struct epoch_start){{number, copy}, {first}, offset};
    }
}

/* Writes the records of a field `chunk`, or expects them of the reader. */
static uint32_t each_record(const char *text, struct buffer *chunk, struct image_reader *reader)
{
    uint32_t records = 0;
    struct buffer key, value;
    buffer_init(&key);
    buffer_init(&value);
    for (const char *at = text; at != NULL; records++) {
        buffer_clear(&key);
        buffer_clear(&value);
        at += *at == ' ';
        for (; *at != '='; at += 2) hex_take((char[]){at[0], at[1], 0, 0}, &key);
        hex_take(at + 1, &value);
        at = strchr(at, ' ');
        if (reader == NULL) {
            image_chunk_add(chunk, buffer_bytes(&key), buffer_bytes(&value));
            continue;
        }
        struct bytes got_key, got_value;
        struct why why;
        assert_int_equal(image_next(reader, &got_key, &got_value, &why), ERR_OK);
        assert_true(bytes_equal(got_key, buffer_bytes(&key)));
        assert_true(bytes_equal(got_value, buffer_bytes(&value)));
    }
    buffer_release(&key);
    buffer_release(&value);
    return records;
}

static void check_names(const struct vector *vector)
{
    struct lsn lsn = {vector_number(vector, "lsn")}, again;
    static const struct {
        const char *field;
        enum image_name_kind kind;
    } kinds[] = {{"image", IMAGE_NAME_IMAGE},
                 {"temporary", IMAGE_NAME_LEFTOVER},
                 {"corrupt", IMAGE_NAME_BAD}};
    for (unsigned i = 0; i < 3; i++) {
        char name[IMAGE_NAME_BYTES];
        image_name_format(lsn, kinds[i].kind, name);
        assert_string_equal(name, vector_text(vector, kinds[i].field));
        assert_int_equal(image_name_parse(name, &again), kinds[i].kind);
        assert_int_equal(again.at, lsn.at);
    }
}

static void check_written(const struct vector *vector, const struct image_facts *facts)
{
    struct buffer image, chunk;
    struct image_chain chain;
    buffer_init(&image);
    buffer_init(&chunk);
    image_begin(&image, facts, &chain);
    for (size_t i = 0; i < vector->fields; i++) {
        if (strcmp(vector->keys[i], "chunk") != 0) continue;
        image_chunk_begin(&chunk);
        uint32_t records = each_record(vector->values[i], &chunk, NULL);
        image_chunk_seal(&chunk, records, &chain);
        buffer_append(&image, buffer_bytes(&chunk));
    }
    image_end(&image, facts, &chain);
    assert_int_equal(image.size, vector->bytes.size);
    assert_memory_equal(image.data, vector->bytes.data, image.size);
    assert_int_equal(chain.offset, image.size);
    buffer_release(&chunk);
    buffer_release(&image);
}

static void check_read(const struct vector *vector, const struct image_facts *facts)
{
    struct bytes bytes = buffer_bytes(&vector->bytes), key, value;
    struct memory_source source = {{memory_source_read, bytes.size}, bytes};
    struct image_reader *reader = NULL;
    struct why why;
    assert_int_equal(image_open(&reader, &source.base, &why), ERR_OK);
    const struct image_facts *got = image_facts(reader);
    assert_int_equal(got->shard, facts->shard);
    assert_int_equal(got->level, 1);
    assert_int_equal(got->cluster, facts->cluster);
    assert_int_equal(got->taken_ms, facts->taken_ms);
    assert_true(mark_equal(&got->mark, &facts->mark));
    assert_int_equal(got->stamp.bits, facts->stamp.bits);
    assert_int_equal(got->stream_offset, facts->stream_offset);
    assert_int_equal(got->keys, facts->keys);
    assert_true(digest_equal(got->digest, facts->digest));
    assert_int_equal(got->epoch_count, facts->epoch_count);
    for (size_t i = 0; i < got->epoch_count; i++)
        assert_memory_equal(&got->epochs[i], &facts->epochs[i], sizeof got->epochs[i]);
    assert_int_equal(got->bytes, bytes.size);
    for (size_t i = 0; i < vector->fields; i++) {
        if (strcmp(vector->keys[i], "chunk") == 0) each_record(vector->values[i], NULL, reader);
    }
    assert_int_equal(image_next(reader, &key, &value, &why), ERR_NOT_FOUND);
    assert_int_equal(image_offset(reader), bytes.size - IMAGE_FOOTER_BYTES);
    image_close(reader);
    assert_int_equal(memory_source_check(bytes, NULL, &why), ERR_OK);
}

TEST(snapshot_image, equals_the_documented_vectors)
{
    struct vector vector;
    vector_open(&vector, "docs/formats/vectors/image.txt");
    unsigned images = 0, names = 0;
    while (vector_next(&vector)) {
        if (strcmp(vector.name, "names") == 0) {
            check_names(&vector);
            names++;
            continue;
        }
        struct epoch_start epochs[VECTOR_FIELDS_MAX];
        struct image_facts facts;
        take_facts(&vector, &facts, epochs);
        check_written(&vector, &facts);
        check_read(&vector, &facts);
        images++;
    }
    vector_close(&vector);
    assert_int_equal(names, 1);
    assert_int_equal(images, 2);
}
