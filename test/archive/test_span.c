/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a span, and names in an archive. */
#include "archive/span.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "log/log.h"
#include "test/log/vectors.h"
#include "test/snapshot/memory_source.h"

enum { FIRST = 40, ENTRIES = 9 };

/* Payloads of a hundred bytes; one that makes a block of its own, when `large`. */
static struct entry entry_at(uint64_t lsn, struct lineage previous, uint8_t *payload, bool large)
{
    size_t size = large && lsn == FIRST + 4 ? SPAN_BLOCK_BYTES : 100;
    memset(payload, (int)lsn, size);
    struct entry entry = {.lsn = {lsn},
                          .epoch = {lsn < FIRST + 6 ? 3 : 4, 77},
                          .stamp = {1000 + lsn},
                          .payload = bytes_of(payload, size)};
    entry.lineage = log_lineage(previous, &entry);
    return entry;
}

static void make(struct buffer *out, struct span_facts *facts, bool large, uint64_t wrong)
{
    uint8_t *payload = memory_alloc(SPAN_BLOCK_BYTES);
    *facts = (struct span_facts){.cluster = 9, .shard = 2, .history = {{1, 2, 3}}};
    facts->before = (struct span_edge){{FIRST - 1}, {55}, {2, 77}, {900}};
    struct span_writer writer;
    struct buffer part;
    buffer_init(&part);
    span_begin(&writer, facts, &part);
    struct lineage lineage = facts->before.lineage;
    for (uint64_t lsn = FIRST; lsn < FIRST + ENTRIES; lsn++) {
        struct entry entry = entry_at(lsn, lineage, payload, large);
        if (lsn == wrong) entry.lineage.hash ^= 1;
        lineage = entry.lineage;
        span_add(&writer, &entry, &part);
        if (!span_is_whole(&writer)) continue;
        buffer_append(out, buffer_bytes(&part));
        span_written(&writer, &part);
    }
    span_end(&writer, &part);
    buffer_append(out, buffer_bytes(&part));
    facts->end = writer.at;
    buffer_release(&part);
    memory_free(payload);
}

/* How reading it to its end ends; ERR_OK: well. */
static enum err read_all(struct bytes bytes, uint64_t *entries)
{
    struct memory_source source = {{memory_source_read, bytes.size}, bytes};
    struct span_reader *reader = NULL;
    struct why why;
    struct entry entry;
    *entries = 0;
    enum err err = span_open(&reader, &source.base, &why);
    while (err == ERR_OK) {
        err = span_next(reader, &entry, &why);
        if (err == ERR_OK) ++*entries;
    }
    span_close(reader);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

TEST(archive_span, is_read_back_as_it_was_written)
{
    for (int large = 0; large < 2; large++) {
        struct buffer span;
        buffer_init(&span);
        struct span_facts facts;
        make(&span, &facts, large != 0, 0);
        struct memory_source source = {{memory_source_read, span.size}, buffer_bytes(&span)};
        struct span_reader *reader = NULL;
        struct why why;
        struct entry entry;
        assert_int_equal(span_open(&reader, &source.base, &why), ERR_OK);
        const struct span_facts *read = span_facts(reader);
        assert_int_equal(read->cluster, 9);
        assert_int_equal(read->shard, 2);
        assert_memory_equal(&read->history, &facts.history, sizeof facts.history);
        assert_memory_equal(&read->before, &facts.before, sizeof facts.before);
        assert_memory_equal(&read->end, &facts.end, sizeof facts.end);
        assert_int_equal(read->entries, ENTRIES);
        assert_int_equal(read->first.bits, 1000 + FIRST);
        for (uint64_t lsn = FIRST; lsn < FIRST + ENTRIES; lsn++) {
            assert_int_equal(span_next(reader, &entry, &why), ERR_OK);
            assert_int_equal(entry.lsn.at, lsn);
            assert_int_equal(entry.epoch.number, lsn < FIRST + 6 ? 3 : 4);
            assert_int_equal(entry.stamp.bits, 1000 + lsn);
            assert_int_equal(entry.payload.data[entry.payload.size - 1], lsn);
        }
        assert_int_equal(span_next(reader, &entry, &why), ERR_NOT_FOUND);
        assert_int_equal(span_offset(reader), span.size - SPAN_FOOTER_BYTES);
        span_close(reader);
        buffer_release(&span);
    }
}

TEST(archive_span, any_flipped_bit_and_any_cut_is_noticed)
{
    struct buffer span;
    struct span_facts facts;
    uint64_t entries;
    buffer_init(&span);
    make(&span, &facts, false, 0);
    for (size_t i = 0; i < span.size * 8; i++) {
        span.data[i / 8] ^= (uint8_t)(1 << i % 8);
        enum err err = read_all(buffer_bytes(&span), &entries);
        assert_true(err == ERR_CORRUPT || err == ERR_REFUSED);
        span.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size < span.size; size++)
        assert_int_equal(read_all(bytes_of(span.data, size), &entries), ERR_CORRUPT);
    assert_int_equal(read_all(buffer_bytes(&span), &entries), ERR_OK);
    assert_int_equal(entries, ENTRIES);
    buffer_release(&span);
}

TEST(archive_span, an_entry_of_another_lineage_is_noticed_though_every_checksum_is_right)
{
    for (uint64_t wrong = FIRST; wrong < FIRST + ENTRIES; wrong++) {
        struct buffer span;
        struct span_facts facts;
        uint64_t entries;
        buffer_init(&span);
        make(&span, &facts, false, wrong);
        assert_int_equal(read_all(buffer_bytes(&span), &entries), ERR_CORRUPT);
        assert_int_equal(entries, wrong - FIRST);
        buffer_release(&span);
    }
}

TEST(archive_span, a_later_format_is_refused)
{
    struct buffer span;
    struct span_facts facts;
    uint64_t entries;
    buffer_init(&span);
    make(&span, &facts, false, 0);
    store_le32(span.data + 8, SPAN_FORMAT + 1);
    store_le64(span.data + SPAN_HEADER_BYTES - 8,
               checksum64(bytes_of(span.data, SPAN_HEADER_BYTES - 8), 0));
    assert_int_equal(read_all(buffer_bytes(&span), &entries), ERR_REFUSED);
    buffer_release(&span);
}

TEST(archive_span, blocks_of_a_span_cannot_change_places)
{
    struct buffer span;
    struct span_facts facts;
    uint64_t entries;
    buffer_init(&span);
    make(&span, &facts, true, 0);
    size_t first = SPAN_HEADER_BYTES;
    size_t size = SPAN_BLOCK_HEAD_BYTES + (size_t)load_le64(span.data + first + 8);
    /* The first one twice: its checksum is right only at its own offset. */
    struct buffer twice;
    buffer_init(&twice);
    buffer_append(&twice, bytes_of(span.data, first + size));
    buffer_append(&twice, bytes_of(span.data + first, size));
    buffer_append(&twice, bytes_of(span.data + span.size - SPAN_FOOTER_BYTES, SPAN_FOOTER_BYTES));
    uint8_t *footer = twice.data + twice.size - SPAN_FOOTER_BYTES;
    store_le64(footer + 80, twice.size - SPAN_FOOTER_BYTES);
    store_le64(footer + 88, checksum64(bytes_of(footer, SPAN_FOOTER_BYTES - 8),
                                       load_le64(span.data + SPAN_HEADER_BYTES - 8)));
    assert_int_equal(read_all(buffer_bytes(&twice), &entries), ERR_CORRUPT);
    assert_int_equal(entries, 5);
    buffer_release(&twice);
    buffer_release(&span);
}

/* --- Names --- */

static void check_name(const char *text, enum span_name_kind kind, uint64_t first, uint64_t last)
{
    struct span_name name = span_name_parse(text);
    assert_int_equal(name.kind, kind);
    if (kind == SPAN_NAME_FOREIGN) return;
    assert_int_equal(name.first.at, first);
    assert_int_equal(name.last.at, last);
    char again[SPAN_NAME_BYTES];
    span_name_format(&name, again);
    assert_string_equal(again, text);
}

TEST(archive_span, names_are_ours_only_as_they_are_written)
{
    check_name("0000000000000001-00000000000000a7.entries", SPAN_NAME_SPAN, 1, 0xa7);
    check_name("00000000000000a8.entries.tmp", SPAN_NAME_SPAN_LEFTOVER, 0xa8, 0);
    check_name("00000000000000a8.image", SPAN_NAME_IMAGE, 0, 0xa8);
    check_name("00000000000000a8.image.tmp", SPAN_NAME_IMAGE_LEFTOVER, 0, 0xa8);
    static const char *const foreign[] = {
        "",
        "lock",
        "0000000000000001-00000000000000a7.entries.tmp",
        "0000000000000001-00000000000000A7.entries",
        "0000000000000001.entries",
        "0000000000000002-0000000000000001.entries",
        "0000000000000000-0000000000000001.entries",
        "0000000000000001-00000000000000a7.image",
        "00000000000000a8.image.bad",
        "00000000000000a8.entries.tmp ",
        "0000000000000001-00000000000000a7.entries.away",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        check_name(foreign[i], SPAN_NAME_FOREIGN, 0, 0);
}

/* --- Vectors --- */

static void take_span(struct vector *vector)
{
    struct span_facts facts = {.cluster = vector_number(vector, "cluster"),
                               .shard = (uint32_t)vector_number(vector, "shard")};
    assert_true(history_parse(bytes_text(vector_text(vector, "history")), &facts.history));
    facts.before = (struct span_edge){{vector_number(vector, "before_lsn")},
                                      {vector_hex(vector, "before_lineage")},
                                      {vector_number(vector, "before_epoch"), 9},
                                      {vector_hex(vector, "before_stamp")}};
    struct span_writer writer;
    struct buffer out, payload;
    buffer_init(&out);
    buffer_init(&payload);
    span_begin(&writer, &facts, &out);
    for (size_t i = 0; i < vector->fields; i++) {
        if (strcmp(vector->keys[i], "entry") != 0) continue;
        unsigned long long epoch, stamp, lineage;
        int at = 0;
        int fields = sscanf(vector->values[i], "%llu %llx %llx %n", &epoch, &stamp, &lineage, &at);
        assert_int_equal(fields, 3);
        buffer_clear(&payload);
        hex_take(vector->values[i] + at, &payload);
        struct entry entry = {
            lsn_next(writer.at.lsn), {epoch, 9}, {stamp}, {lineage}, buffer_bytes(&payload)};
        span_add(&writer, &entry, &out);
    }
    span_end(&writer, &out);
    assert_int_equal(out.size, vector->bytes.size);
    assert_memory_equal(out.data, vector->bytes.data, out.size);
    uint64_t entries;
    assert_int_equal(read_all(buffer_bytes(&vector->bytes), &entries), ERR_OK);
    assert_int_equal(entries, writer.entries);
    buffer_release(&out);
    buffer_release(&payload);
}

TEST(archive_span, vectors_of_the_document_are_written_and_read)
{
    struct vector vector;
    unsigned count = 0;
    for (vector_open(&vector, "docs/formats/vectors/archive.txt"); vector_next(&vector); count++)
        take_span(&vector);
    vector_close(&vector);
    assert_int_equal(count, 2);
}
