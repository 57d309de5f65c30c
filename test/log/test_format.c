/* SPDX-License-Identifier: Apache-2.0 */
#include "log/format.h"

#include "base/checksum.h"
#include "log/log.h"
#include "test/log/vectors.h"

#define VECTORS "docs/formats/vectors/"

static struct history history_of(const struct vector *vector)
{
    struct buffer bytes;
    buffer_init(&bytes);
    hex_take(vector_text(vector, "history"), &bytes);
    struct history history;
    assert_int_equal(bytes.size, sizeof(history.id));
    memcpy(history.id, bytes.data, sizeof(history.id));
    buffer_release(&bytes);
    return history;
}

static struct epoch epoch_of(const struct vector *vector, const char *number, const char *copy)
{
    return (struct epoch){vector_number(vector, number), vector_number(vector, copy)};
}

static struct log_segment_header segment_of(const struct vector *vector)
{
    return (struct log_segment_header){
        .shard = (uint32_t)vector_number(vector, "shard"),
        .cluster = vector_number(vector, "cluster"),
        .history = history_of(vector),
        .salt = vector_hex(vector, "salt"),
        .sequence = vector_number(vector, "sequence"),
        .previous_salt = vector_hex(vector, "previous_salt"),
        .start = {.next = {vector_number(vector, "first")},
                  .lineage = {vector_hex(vector, "lineage")},
                  .epoch = epoch_of(vector, "epoch_number", "epoch_copy"),
                  .stamp = {vector_hex(vector, "stamp")}},
    };
}

TEST(log_format, segment_headers_are_written_and_read_as_the_vectors_say)
{
    struct vector vector;
    unsigned count = 0;
    vector_open(&vector, VECTORS "log-segment.txt");
    for (; vector_next(&vector); count++) {
        struct log_segment_header header = segment_of(&vector), read;
        memset(&read, 0, sizeof(read));
        uint8_t bytes[LOG_SEGMENT_HEADER_BYTES];
        const char *what;
        log_segment_encode(&header, bytes);
        assert_int_equal(vector.bytes.size, sizeof(bytes));
        assert_memory_equal(bytes, vector.bytes.data, sizeof(bytes));
        assert_true(log_segment_decode(vector.bytes.data, &read, &what));
        log_segment_encode(&read, bytes);
        assert_memory_equal(bytes, vector.bytes.data, sizeof(bytes));
        assert_int_equal(read.start.next.at, header.start.next.at);
        assert_int_equal(read.previous_salt, header.previous_salt);
    }
    vector_close(&vector);
    assert_int_equal(count, 2);
}

TEST(log_format, superblocks_are_written_and_read_as_the_vectors_say)
{
    struct vector vector;
    unsigned count = 0;
    vector_open(&vector, VECTORS "log-superblock.txt");
    for (; vector_next(&vector); count++) {
        struct log_superblock superblock = {
            .shard = (uint32_t)vector_number(&vector, "shard"),
            .cluster = vector_number(&vector, "cluster"),
            .history = history_of(&vector),
            .sequence = vector_number(&vector, "sequence"),
            .state = (enum log_superblock_state)vector_number(&vector, "state"),
            .incarnation = vector_number(&vector, "incarnation"),
            .promised = epoch_of(&vector, "promised_number", "promised_copy"),
            .durable = {vector_number(&vector, "durable")},
            .committed = {vector_number(&vector, "committed")},
            .floor = {vector_number(&vector, "floor")},
            .newest = {vector_number(&vector, "newest")},
            .newest_sequence = vector_number(&vector, "newest_sequence"),
        };
        unsigned slot = (unsigned)vector_number(&vector, "slot");
        uint8_t bytes[LOG_SUPERBLOCK_BYTES];
        const char *what = NULL;
        struct log_superblock read;
        log_superblock_encode(&superblock, slot, bytes);
        assert_int_equal(vector.bytes.size, sizeof(bytes));
        assert_memory_equal(bytes, vector.bytes.data, sizeof(bytes));
        assert_true(log_superblock_decode(vector.bytes.data, slot, &read, &what));
        log_superblock_encode(&read, slot, bytes);
        assert_memory_equal(bytes, vector.bytes.data, sizeof(bytes));
        assert_false(log_superblock_decode(vector.bytes.data, 1 - slot, &read, &what));
        assert_string_equal(what, "superblock of the other slot");
    }
    vector_close(&vector);
    assert_int_equal(count, 2);
}

static struct log_batch_header batch_of(const struct vector *vector)
{
    return (struct log_batch_header){
        .flags = (uint16_t)vector_number(vector, "flags"),
        .cluster = vector_number(vector, "cluster"),
        .shard = (uint32_t)vector_number(vector, "shard"),
        .epoch = epoch_of(vector, "epoch_number", "epoch_copy"),
        .first = {vector_number(vector, "first")},
        .length = vector_number(vector, "length"),
        .stamp = {vector_hex(vector, "stamp")},
        .durable = {vector_number(vector, "durable")},
        .committed = {vector_number(vector, "committed")},
        .lineage = {vector_hex(vector, "lineage")},
    };
}

/* Encodes the entries of the vector behind the header, checking each lineage on the way. */
static void entries_encode(const struct vector *vector, struct log_batch_header *header,
                           uint8_t *at)
{
    struct lineage lineage = header->lineage;
    uint64_t used = LOG_BATCH_HEADER_BYTES;
    for (size_t i = 0; i < vector->fields; i++) {
        if (strcmp(vector->keys[i], "entry") != 0) continue;
        char *rest;
        struct entry entry = {.lsn = {header->first.at + header->count}, .epoch = header->epoch};
        entry.stamp.bits = strtoull(vector->values[i], &rest, 16);
        uint64_t expected = strtoull(rest, &rest, 16);
        struct buffer payload;
        buffer_init(&payload);
        hex_take(rest + 1, &payload);
        entry.payload = buffer_bytes(&payload);
        lineage = log_lineage(lineage, &entry);
        assert_true(lineage.hash == expected);
        log_entry_encode(at + used, entry.stamp, lineage, entry.payload);
        used += LOG_ENTRY_HEADER_BYTES + payload.size;
        header->count++;
        buffer_release(&payload);
    }
    assert_int_equal(used, LOG_BATCH_HEADER_BYTES + header->length);
}

TEST(log_format, batches_are_written_and_read_as_the_vectors_say)
{
    struct vector vector;
    unsigned count = 0;
    vector_open(&vector, VECTORS "log-batch.txt");
    for (; vector_next(&vector); count++) {
        struct log_batch_header header = batch_of(&vector), read;
        uint64_t salt = vector_hex(&vector, "salt"), offset = vector_number(&vector, "offset");
        uint64_t size = log_padded(LOG_BATCH_HEADER_BYTES + header.length);
        uint8_t *bytes = memory_alloc(size);
        memset(bytes, 0xa5, size); /* what a reused buffer held is not written */
        entries_encode(&vector, &header, bytes);
        log_batch_seal(bytes, &header, salt, offset);
        assert_true(header.body_checksum == vector_hex(&vector, "body_checksum"));
        assert_int_equal(vector.bytes.size, size);
        assert_memory_equal(bytes, vector.bytes.data, size);
        assert_true(log_batch_decode(vector.bytes.data, salt, offset, &read));
        assert_true(log_batch_body_is_good(vector.bytes.data, &read, salt, offset));
        assert_int_equal(read.count, header.count);
        assert_int_equal(read.committed.at, header.committed.at);
        assert_false(log_batch_decode(vector.bytes.data, salt, offset + 512, &read));
        assert_false(log_batch_decode(vector.bytes.data, salt + 1, offset, &read));
        memory_free(bytes);
    }
    vector_close(&vector);
    assert_int_equal(count, 4);
}

TEST(log_format, every_flipped_bit_of_a_batch_is_noticed)
{
    struct vector vector;
    vector_open(&vector, VECTORS "log-batch.txt");
    while (vector_next(&vector)) {
        uint64_t salt = vector_hex(&vector, "salt"), offset = vector_number(&vector, "offset");
        for (size_t bit = 0; bit < vector.bytes.size * 8; bit++) {
            struct log_batch_header read;
            vector.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            bool good = log_batch_decode(vector.bytes.data, salt, offset, &read) &&
                        log_batch_body_is_good(vector.bytes.data, &read, salt, offset);
            assert_false(good);
            vector.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    vector_close(&vector);
}

/* A checksum is no proof of sense: whoever can forge one still cannot make a decoder believe this.
 */
TEST(log_format, impossible_fields_are_refused_under_a_good_checksum)
{
    struct log_batch_header good = {
        .cluster = 1, .first = {10}, .count = 1, .length = 21, .durable = {9}, .committed = {9}};
    uint8_t bytes[LOG_SECTOR_BYTES];
    for (unsigned i = 0; i < 11; i++) {
        struct log_batch_header header = good, read;
        memset(bytes, 0, sizeof(bytes));
        if (i == 1) header.flags = 4;
        if (i == 2) header.flags = LOG_BATCH_EMPTY;
        if (i == 3) header.count = 0;
        if (i == 4) header.length = 20;
        if (i == 5) header.count = 2;
        if (i == 6) header.first.at = 0;
        if (i == 7) header.first.at = LOG_LSN_MAX + 1;
        if (i == 8) header.durable.at = 10;
        if (i == 9) header.committed.at = 10;
        if (i == 10) header.flags = LOG_BATCH_EMPTY | LOG_BATCH_EPOCH;
        log_batch_seal(bytes, &header, 1, 2);
        assert_int_equal(log_batch_decode(bytes, 1, 2, &read), i == 0);
    }
}

TEST(log_format, entries_that_do_not_fill_their_body_exactly_are_refused)
{
    uint8_t bytes[LOG_SECTOR_BYTES] = {0};
    struct log_batch_header header = {.first = {1}, .count = 2, .length = 60}, read;
    uint8_t *body = bytes + LOG_BATCH_HEADER_BYTES;
    uint8_t payload[30] = {2};
    for (uint32_t second = 0; second < 14; second++) {
        log_entry_encode(body, (struct stamp){1}, (struct lineage){2}, bytes_of(payload, 10));
        log_entry_encode(body + 30, (struct stamp){1}, (struct lineage){2}, bytes_of(payload, 10));
        store_le32(body + 30, second);
        log_batch_seal(bytes, &header, 1, 2);
        assert_true(log_batch_decode(bytes, 1, 2, &read));
        assert_int_equal(log_batch_body_is_good(bytes, &read, 1, 2), second == 10);
    }
}

TEST(log_format, only_names_that_are_written_are_read)
{
    static const struct log_name names[] = {
        {LOG_NAME_SEGMENT, 7, 1000}, {LOG_NAME_SEGMENT, 0xffffffff, UINT64_MAX},
        {LOG_NAME_SPARE, 0, 3},      {LOG_NAME_SUPERBLOCK, 5, 0},
        {LOG_NAME_SUPERBLOCK, 5, 1}, {LOG_NAME_TEMPORARY, 0xabc, 0},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[LOG_NAME_BYTES];
        log_name_format(names[i], text);
        struct log_name read = log_name_parse(text);
        assert_int_equal(read.kind, names[i].kind);
        assert_int_equal(read.shard, names[i].shard);
        assert_true(read.number == names[i].number);
    }
    static const char *const foreign[] = {"",
                                          "00000007-00000000000003e8.log.old",
                                          "00000007-00000000000003E8.log",
                                          "0000007-00000000000003e8.log",
                                          "00000007-00000000000003e8.lo",
                                          "00000007-c.superblock",
                                          "00000007-0000000000000000.log",
                                          "00000007-a.superblock.tmp",
                                          "00000007",
                                          "00000007-",
                                          "00000007-1.spare",
                                          "lost+found",
                                          "00000007_00000000000003e8.log",
                                          "00000007-A.tmp"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_int_equal(log_name_parse(foreign[i]).kind, LOG_NAME_FOREIGN);
}

TEST(log_format, a_superblock_with_impossible_fields_is_refused)
{
    struct log_superblock good = {.state = LOG_OPEN,
                                  .durable = {10},
                                  .committed = {9},
                                  .floor = {11},
                                  .newest = {11},
                                  .newest_sequence = 1};
    for (unsigned i = 0; i < 10; i++) {
        struct log_superblock superblock = good, read;
        uint8_t bytes[LOG_SUPERBLOCK_BYTES];
        const char *what = NULL;
        if (i == 1) superblock.state = (enum log_superblock_state)4;
        if (i == 2) superblock.floor.at = 0;
        if (i == 3) superblock.floor.at = 12;
        if (i == 4) superblock.durable.at = LOG_LSN_MAX;
        if (i == 6) superblock.newest.at = 10;
        if (i == 7) superblock.newest.at = LOG_LSN_MAX;
        if (i == 8) superblock.newest_sequence = 0;
        if (i == 9) superblock.newest_sequence = LOG_COUNT_MAX + 1;
        log_superblock_encode(&superblock, 0, bytes);
        if (i == 5) {
            bytes[200] = 1;
            store_le64(bytes + 504, checksum64(bytes_of(bytes, 504), 0));
        }
        assert_int_equal(log_superblock_decode(bytes, 0, &read, &what), i == 0);
    }
}
