/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The vectors of docs/formats/state.md and docs/formats/digest.md.
 */
#include "test/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "command/command.h"
#include "seam/copies.h"
#include "state/layout.h"
#include "state/meta.h"
#include "state/record.h"

enum { WORDS_MAX = 12 };

struct vector {
    char *words[WORDS_MAX]; /* what it is, and its fields */
    size_t count;
    struct buffer fields[WORDS_MAX]; /* the words as bytes, where they are hex */
    char *result;
};

static void hex(const char *text, struct buffer *out)
{
    buffer_clear(out);
    for (; text[0] > ' ' && text[0] != '-' && text[1] > ' '; text += 2) {
        char digits[3] = {text[0], text[1], '\0'};
        buffer_append_byte(out, (uint8_t)strtoul(digits, NULL, 16));
    }
}

static void vector_split(struct vector *vector, char *line)
{
    vector->count = 0;
    vector->result = strstr(line, "= ") + 2;
    *strstr(line, "= ") = '\0';
    vector->result[strcspn(vector->result, "\n")] = '\0';
    for (char *word = line; *word != '\0';) {
        char *end = word + strcspn(word, " ");
        vector->words[vector->count] = word;
        if (*end == ' ') *end++ = '\0';
        hex(word, &vector->fields[vector->count++]);
        word = end;
    }
}

static size_t each_vector(const char *path, void (*check)(const struct vector *vector))
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char line[1 << 14];
    size_t count = 0;
    struct vector vector = {0};
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#') continue;
        vector_split(&vector, line);
        check(&vector);
        count++;
    }
    for (size_t i = 0; i < WORDS_MAX; i++) buffer_release(&vector.fields[i]);
    fclose(file);
    return count;
}

static uint64_t number(const struct vector *vector, size_t i)
{
    return strtoull(vector->words[i], NULL, 10);
}

static int64_t signed_number(const struct vector *vector, size_t i)
{
    return strtoll(vector->words[i], NULL, 10);
}

static struct bytes field(const struct vector *vector, size_t i)
{
    return buffer_bytes(&vector->fields[i]);
}

static bool is(const struct vector *vector, const char *what)
{
    return strcmp(vector->words[0], what) == 0;
}

static void assert_hex(struct bytes bytes, const char *wanted)
{
    struct buffer expected;
    buffer_init(&expected);
    hex(wanted, &expected);
    assert_int_equal(bytes.size, expected.size);
    assert_memory_equal(bytes.data, expected.data, bytes.size);
    buffer_release(&expected);
}

static struct digest digest_word(const char *text)
{
    char half[17] = {0};
    memcpy(half, text, 16);
    return (struct digest){.high = strtoull(half, NULL, 16), .low = strtoull(text + 16, NULL, 16)};
}

/* --- Keys of the store --- */

/* A strand's key and back. */
static void check_strand(const struct vector *vector, enum layout kind, uint64_t order,
                         struct bytes tail)
{
    struct version version = {0};
    uint64_t namespace = 0;
    if (kind != LAYOUT_EXPIRY && kind != LAYOUT_QUEUE && kind != LAYOUT_STREAM) {
        namespace = number(vector, 1);
        version = (struct version){number(vector, 2), (uint32_t)number(vector, 3)};
    }
    struct prefix prefix = layout_strand(kind, namespace, version);
    struct buffer key;
    buffer_init(&key);
    layout_put_strand(&key, &prefix, order, tail);
    assert_hex(buffer_bytes(&key), vector->result);
    uint64_t order_back;
    struct bytes tail_back;
    assert_true(layout_split(&prefix, buffer_bytes(&key), &order_back, &tail_back));
    assert_int_equal(order_back, order);
    assert_true(bytes_equal(tail_back, tail));
    struct prefix end = layout_end(&prefix);
    assert_true(bytes_compare(prefix_bytes(&prefix), buffer_bytes(&key)) < 0);
    assert_true(bytes_compare(buffer_bytes(&key), prefix_bytes(&end)) < 0);
    buffer_release(&key);
}

static void check_key(const struct vector *vector)
{
    struct buffer key;
    buffer_init(&key);
    layout_put_key(&key, number(vector, 1), layout_hash(field(vector, 2)), field(vector, 2));
    assert_hex(buffer_bytes(&key), vector->result);
    buffer_release(&key);
}

static void check_expiry(const struct vector *vector)
{
    struct buffer tail;
    buffer_init(&tail);
    struct bytes name = field(vector, 3);
    layout_put_expiry_tail(&tail, number(vector, 2), layout_hash(name), name);
    check_strand(vector, LAYOUT_EXPIRY, number(vector, 1), buffer_bytes(&tail));
    uint64_t namespace;
    assert_true(layout_split_expiry_tail(buffer_bytes(&tail), &namespace, &name));
    assert_int_equal(namespace, number(vector, 2));
    assert_true(bytes_equal(name, field(vector, 3)));
    buffer_release(&tail);
}

static void check_queue(const struct vector *vector)
{
    uint8_t tail[LAYOUT_QUEUE_TAIL_BYTES];
    layout_put_queue_tail(tail, number(vector, 2), (uint32_t)number(vector, 3));
    check_strand(vector, LAYOUT_QUEUE, number(vector, 1), bytes_of(tail, sizeof tail));
}

/* --- Values --- */

static void check_value(const struct vector *vector)
{
    struct key key = {.name = bytes_text("any"),
                      .type = (enum key_type)number(vector, 1),
                      .version = {number(vector, 2), (uint32_t)number(vector, 3)},
                      .changed_lsn = number(vector, 4),
                      .expire_ms = number(vector, 5)};
    if (key.type == KEY_STRING) {
        key.text = field(vector, 6);
        key.size = 1;
    } else {
        key.size = number(vector, 6);
        key.elements = digest_word(vector->words[7]);
    }
    if (key.type == KEY_LIST) {
        key.head = signed_number(vector, 8);
        key.tail = key.head + (int64_t)key.size;
    }
    struct record *record = memory_alloc(record_bytes_of(key.name.size, record_value_size(&key)));
    record_write(record, &key, layout_hash(key.name));
    assert_hex(record_value(record), vector->result);
    assert_true(digest_equal(record->digest, record_digest(key.name, record_value(record))));
    struct key back = {0};
    assert_true(record_value_is_sound(record_value(record)));
    record_decode(key.name, record_value(record), &back);
    assert_int_equal(back.type, key.type);
    assert_int_equal(back.version.lsn, key.version.lsn);
    assert_int_equal(back.version.ordinal, key.version.ordinal);
    assert_int_equal(back.changed_lsn, key.changed_lsn);
    assert_int_equal(back.expire_ms, key.expire_ms);
    assert_int_equal(back.size, key.size);
    assert_int_equal(back.head, key.head);
    assert_int_equal(back.tail, key.tail);
    assert_true(digest_equal(back.elements, key.elements));
    assert_true(bytes_equal(back.text, key.text));
    memory_free(record);
}

static void check_meta(const struct vector *vector)
{
    struct buffer bytes, again;
    buffer_init(&bytes);
    buffer_init(&again);
    hex(vector->result, &bytes);
    struct meta meta;
    struct why why;
    assert_int_equal(meta_decode(buffer_bytes(&bytes), &meta, &why), ERR_OK);
    char mark[MARK_TEXT_BYTES];
    mark_format(&meta.mark, mark);
    assert_string_equal(mark, "000102030405060708090a0b0c0d0e0f:3.11:1000:1122334455667788");
    assert_int_equal(meta.stamp.bits, 0x018bcfe568000001);
    assert_int_equal(meta.namespaces, 20);
    assert_int_equal(meta.databases[2].namespace, 20);
    assert_int_equal(meta.databases[2].keys, 7);
    assert_int_equal(meta.databases[2].expires, 2);
    assert_int_equal(meta.databases[15].namespace, 16);
    assert_int_equal(meta.epoch_count, 2);
    assert_int_equal(meta.epochs[1].epoch.number, 3);
    assert_int_equal(meta.epochs[1].first.at, 900);
    assert_int_equal(meta.epochs[1].stream_offset, 4999);
    assert_true(meta.effects.on);
    assert_int_equal(meta.effects.database, 3);
    assert_int_equal(meta.effects.first, 5000);
    assert_int_equal(meta.effects.end, 123456);
    assert_true(meta.followed.known);
    assert_memory_equal(meta.followed.name, "0123456789abcdef0123456789abcdef01234567", 40);
    assert_int_equal(meta.followed.offset, 777777);
    assert_int_equal(meta.followed.database, 5);
    struct members members;
    assert_int_equal(payload_members(meta.members, &members), ERR_OK);
    assert_true(members.all && members.min_in_sync == 2 && members.count == 2);
    assert_true(members.at[0].id == 11 && members.at[0].counts);
    assert_string_equal(members.at[0].peer, "10.0.0.1:7400");
    assert_string_equal(members.at[0].redis, "");
    assert_true(members.at[1].id == 12 && !members.at[1].counts);
    assert_string_equal(members.at[1].peer, "");
    assert_string_equal(members.at[1].redis, "b:7379");
    meta_encode(&meta, &again);
    assert_true(bytes_equal(buffer_bytes(&again), buffer_bytes(&bytes)));
    memory_free(meta.epochs);
    for (size_t i = 0; i < bytes.size; i++) { /* any flipped bit is noticed */
        bytes.data[i] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(meta_decode(buffer_bytes(&bytes), &meta, &why), ERR_CORRUPT);
        bytes.data[i] ^= (uint8_t)(1 << i % 8);
    }
    bytes.data[0]++; /* a later format */
    assert_int_equal(meta_decode(buffer_bytes(&bytes), &meta, &why), ERR_REFUSED);
    bytes.data[0]--;
    for (size_t size = 0; size < bytes.size; size++) {
        assert_int_equal(meta_decode(bytes_of(bytes.data, size), &meta, &why), ERR_CORRUPT);
    }
    buffer_release(&bytes);
    buffer_release(&again);
}

static void check_state(const struct vector *vector)
{
    if (is(vector, "element")) {
        check_strand(vector, LAYOUT_ELEMENT, layout_hash(field(vector, 4)), field(vector, 4));
    } else if (is(vector, "key")) {
        check_key(vector);
    } else if (is(vector, "item")) {
        check_strand(vector, LAYOUT_ITEM, layout_index(signed_number(vector, 4)),
                     (struct bytes){0});
        assert_int_equal(layout_unindex(layout_index(signed_number(vector, 4))),
                         signed_number(vector, 4));
    } else if (is(vector, "rank")) {
        double score = strtod(vector->words[4], NULL);
        check_strand(vector, LAYOUT_RANK, layout_score(score), field(vector, 5));
        assert_true(layout_unscore(layout_score(score)) == score);
    } else if (is(vector, "expiry")) {
        check_expiry(vector);
    } else if (is(vector, "queue")) {
        check_queue(vector);
    } else if (is(vector, "stream")) {
        check_strand(vector, LAYOUT_STREAM, number(vector, 1), (struct bytes){0});
    } else if (is(vector, "value")) {
        check_value(vector);
    } else {
        assert_true(is(vector, "meta"));
        check_meta(vector);
    }
}

TEST(state_formats, a_stream_of_effects_that_makes_no_sense_is_refused)
{
    static const struct {
        struct effects_place place;
        enum err err;
    } cases[] = {
        {{false, 255, 0, 0}, ERR_OK},     {{true, 255, 1, 1}, ERR_OK},
        {{true, 15, 5, 9}, ERR_OK},       {{false, 255, 9, 9}, ERR_OK},
        {{true, 16, 5, 9}, ERR_CORRUPT},  {{true, 0, 9, 5}, ERR_CORRUPT},
        {{false, 0, 9, 9}, ERR_CORRUPT},  {{false, 255, 5, 9}, ERR_CORRUPT},
        {{true, 255, 0, 0}, ERR_CORRUPT},
    };
    struct buffer bytes;
    struct why why;
    buffer_init(&bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct meta meta, back;
        meta_init(&meta, &(struct mark){.lsn = {1}});
        meta.effects = cases[i].place;
        meta_encode(&meta, &bytes);
        assert_int_equal(meta_decode(buffer_bytes(&bytes), &back, &why), cases[i].err);
        if (cases[i].err == ERR_OK) memory_free(back.epochs);
    }
    buffer_release(&bytes);
}

TEST(state_formats, a_place_to_follow_that_makes_no_sense_is_refused)
{
    enum { AT_BEFORE_EPOCHS = 8 + 4 + 4 + 50 }; /* from the end: checksum, members, epochs, it */
    static const struct {
        uint8_t at, value;
        enum err err;
    } cases[] = {
        {0, 1, ERR_OK},          {0, 0, ERR_CORRUPT},     {0, 2, ERR_CORRUPT},
        {1, ' ', ERR_CORRUPT},   {40, 0x7f, ERR_CORRUPT}, {1, '!', ERR_OK},
        {48, 0x80, ERR_CORRUPT}, {48, 0x7f, ERR_OK},      {49, 16, ERR_CORRUPT},
        {49, 15, ERR_OK},
    };
    struct buffer bytes;
    struct why why;
    buffer_init(&bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct meta meta, back;
        meta_init(&meta, &(struct mark){.lsn = {1}});
        meta.followed = (struct followed){.known = true, .offset = 7, .database = 3};
        memset(meta.followed.name, 'a', sizeof meta.followed.name);
        meta_encode(&meta, &bytes);
        bytes.data[bytes.size - AT_BEFORE_EPOCHS + cases[i].at] = cases[i].value;
        size_t body = bytes.size - 8;
        store_le64(bytes.data + body, checksum64(bytes_of(bytes.data, body), 0));
        assert_int_equal(meta_decode(buffer_bytes(&bytes), &back, &why), cases[i].err);
        if (cases[i].err == ERR_OK) assert_true(back.followed.known);
        if (cases[i].err == ERR_OK) memory_free(back.epochs);
    }
    buffer_release(&bytes);
}

/* What meta_decode() says of a record with these members, whose checksum is right. */
static enum err decode_with(struct bytes members)
{
    struct meta meta, back;
    struct buffer bytes;
    struct why why;
    buffer_init(&bytes);
    meta_init(&meta, &(struct mark){.lsn = {1}});
    meta.members = members;
    meta_encode(&meta, &bytes);
    enum err err = meta_decode(buffer_bytes(&bytes), &back, &why);
    if (err == ERR_OK) {
        assert_true(bytes_equal(back.members, members));
        memory_free(back.epochs);
    } else {
        assert_non_null(strstr(why.text, "copies"));
    }
    buffer_release(&bytes);
    return err;
}

TEST(state_formats, copies_that_do_not_read_are_refused)
{
    struct members members = {.min_in_sync = 1, .count = COPIES_MAX};
    for (size_t i = 0; i < COPIES_MAX; i++) {
        members.at[i].id = i + 1;
        memset(members.at[i].peer, 'p', COPY_ADDRESS_BYTES - 1);
        memset(members.at[i].redis, 'r', COPY_ADDRESS_BYTES - 1);
    }
    struct buffer payload;
    buffer_init(&payload);
    payload_put_members(&payload, &members);
    assert_int_equal(payload.size, PAYLOAD_MEMBERS_BYTES_MAX); /* the largest there is */
    assert_int_equal(decode_with((struct bytes){0}), ERR_OK);
    assert_int_equal(decode_with(buffer_bytes(&payload)), ERR_OK);
    payload.data[2] = 0; /* no copy in sync asked for */
    assert_int_equal(decode_with(buffer_bytes(&payload)), ERR_CORRUPT);
    assert_int_equal(decode_with(bytes_text("\5")), ERR_CORRUPT); /* a noop */
    buffer_release(&payload);
}

/* Lengths that do not fit what is there; the checksum is right. */
TEST(state_formats, counts_in_the_meta_record_are_compared_with_its_size)
{
    struct epoch_start epochs[2] = {{{1, 1}, {1}, 0}, {{2, 1}, {7}, 0}};
    struct meta meta, back;
    struct buffer payload, good, bytes;
    struct why why;
    buffer_init(&payload);
    buffer_init(&good);
    buffer_init(&bytes);
    payload_put_members(&payload, &(struct members){.min_in_sync = 1});
    meta_init(&meta, &(struct mark){.lsn = {9}});
    meta.epochs = epochs;
    meta.epoch_count = 2;
    meta.members = buffer_bytes(&payload);
    meta_encode(&meta, &good);
    size_t size_at = good.size - 8 - payload.size - 4, count_at = size_at - sizeof epochs - 4;
    assert_int_equal(load_le32(good.data + count_at), 2);
    assert_int_equal(load_le32(good.data + size_at), payload.size);
    static const uint32_t wrong[] = {0, 1, 3, 4096, 4097, 0x8000001, UINT32_MAX};
    for (size_t i = 0; i < 2 * sizeof wrong / sizeof wrong[0]; i++) {
        buffer_clear(&bytes);
        buffer_append(&bytes, buffer_bytes(&good));
        buffer_shrink(&bytes, bytes.size);
        store_le32(bytes.data + (i % 2 == 0 ? size_at : count_at), wrong[i / 2]);
        size_t body = bytes.size - 8;
        store_le64(bytes.data + body, checksum64(bytes_of(bytes.data, body), 0));
        assert_int_equal(meta_decode(buffer_bytes(&bytes), &back, &why), ERR_CORRUPT);
    }
    buffer_release(&payload);
    buffer_release(&good);
    buffer_release(&bytes);
}

TEST(state_formats, more_epochs_than_are_kept_are_refused)
{
    struct meta meta, back;
    struct buffer bytes;
    struct why why;
    buffer_init(&bytes);
    meta_init(&meta, &(struct mark){.lsn = {9}});
    meta.epoch_count = META_EPOCHS_MAX;
    meta.epochs = memory_zeroed(META_EPOCHS_MAX, sizeof *meta.epochs);
    meta_encode(&meta, &bytes);
    memory_free(meta.epochs);
    assert_int_equal(meta_decode(buffer_bytes(&bytes), &back, &why), ERR_OK);
    memory_free(back.epochs);
    size_t epochs = (size_t)META_EPOCHS_MAX * 32;
    uint8_t *count = bytes.data + bytes.size - 8 - 4 - epochs - 4;
    assert_int_equal(load_le32(count), META_EPOCHS_MAX);
    store_le32(count, META_EPOCHS_MAX + 1); /* one more, all of it there */
    for (int i = 0; i < 4; i++) buffer_append_le64(&bytes, 0);
    size_t body = bytes.size - 8;
    memset(bytes.data + body - 36, 0, 36); /* the last epoch; no members */
    store_le64(bytes.data + body, checksum64(bytes_of(bytes.data, body), 0));
    assert_int_equal(meta_decode(buffer_bytes(&bytes), &back, &why), ERR_CORRUPT);
    buffer_release(&bytes);
}

TEST(state_formats, the_store_is_as_the_documented_vectors_say)
{
    assert_int_equal(each_vector("docs/formats/vectors/state.txt", check_state), 31);
}

static void check_digest(const struct vector *vector)
{
    struct digest digest = {0};
    if (is(vector, "element")) {
        digest = element_digest(field(vector, 1), field(vector, 2));
    } else if (is(vector, "item")) {
        digest = item_digest(signed_number(vector, 1), field(vector, 2));
    } else if (is(vector, "key")) {
        digest = record_digest(field(vector, 1), field(vector, 2));
    } else {
        struct meta_database databases[DATABASES] = {0};
        assert_true(is(vector, "state"));
        databases[15].sum.low = 99; /* without keys it does not count */
        for (size_t i = 1; i + 1 < vector->count; i += 2) {
            databases[number(vector, i)].sum = digest_word(vector->words[i + 1]);
            databases[number(vector, i)].keys = 1;
        }
        digest = meta_digest(databases);
    }
    char text[DIGEST_TEXT_BYTES];
    digest_format(digest, text);
    assert_string_equal(text, vector->result);
}

TEST(state_formats, the_digest_is_as_the_documented_vectors_say)
{
    assert_int_equal(each_vector("docs/formats/vectors/digest.txt", check_digest), 14);
}

TEST(state_formats, scores_and_indexes_are_in_the_order_of_their_integers)
{
    static const double scores[] = {-INFINITY, -1e300, -1.5, -1e-310, 0,     5e-324,
                                    1e-310,    1,      1.5,  2,       1e300, INFINITY};
    for (size_t i = 1; i < sizeof scores / sizeof scores[0]; i++) {
        assert_true(layout_score(scores[i - 1]) < layout_score(scores[i]));
    }
    assert_int_equal(layout_score(-0.0), layout_score(0.0));
    assert_true(layout_score(INFINITY) < UINT64_MAX);
    static const int64_t indexes[] = {INT64_MIN, -1000, -1, 0, 1, 1000, INT64_MAX};
    for (size_t i = 1; i < sizeof indexes / sizeof indexes[0]; i++) {
        assert_true(layout_index(indexes[i - 1]) < layout_index(indexes[i]));
    }
}

TEST(state_formats, values_that_are_no_keys_are_refused)
{
    uint8_t value[80] = {KEY_STRING};
    assert_true(record_value_is_sound(bytes_of(value, 29)));
    assert_false(record_value_is_sound(bytes_of(value, 28)));
    value[0] = 0;
    assert_false(record_value_is_sound(bytes_of(value, 53)));
    value[0] = 6;
    assert_false(record_value_is_sound(bytes_of(value, 53)));
    value[0] = KEY_SET;
    assert_true(record_value_is_sound(bytes_of(value, 53)));
    assert_false(record_value_is_sound(bytes_of(value, 54)));
    value[0] = KEY_LIST;
    assert_true(record_value_is_sound(bytes_of(value, 69)));
    value[61] = 1; /* one past the last, of a list that says it is empty */
    assert_false(record_value_is_sound(bytes_of(value, 69)));
}
