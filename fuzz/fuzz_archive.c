/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Spans of an archive: any bytes, read to their end. What is read can be written and read back the
 * same; memory is bounded by the size of the input.
 *
 * Input: a byte that says which checksums are made right, for none would be by chance; then the
 * file. */
#include <stddef.h>
#include <stdint.h>

#include "archive/span.h"
#include "base/checksum.h"
#include "log/log.h"
#include "sim/heap.h"
#include "test/snapshot/memory_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPAIR_HEADER = 1, REPAIR_BLOCKS = 2, REPAIR_FOOTER = 4, MEMORY_BYTES = 1 << 20 };

struct repair {
    uint64_t seed, running, blocks, entries;
    struct span_edge at;
    struct stamp first;
};

/* Its lineages too, so that something is read. */
static void repair_block(uint8_t *block, uint64_t size, struct repair *repair)
{
    struct epoch epoch = {load_le64(block + 16), load_le64(block + 24)};
    struct bytes rest = bytes_of(block + SPAN_BLOCK_HEAD_BYTES, (size_t)size);
    uint32_t count = 0;
    struct entry entry = {.epoch = epoch};
    for (;;) {
        uint8_t *at = block + (rest.data - block);
        if (!span_entry_take(&rest, &entry)) break;
        entry.lsn = lsn_next(repair->at.lsn);
        entry.lineage = log_lineage(repair->at.lineage, &entry);
        store_le64(at + 12, entry.lineage.hash);
        if (repair->entries++ == 0) repair->first = entry.stamp;
        repair->at = (struct span_edge){entry.lsn, entry.lineage, epoch, entry.stamp};
        count++;
    }
    store_le32(block + 4, count);
}

static void repair_blocks(uint8_t *file, size_t end, bool mends, struct repair *repair)
{
    for (size_t at = SPAN_HEADER_BYTES; end - at >= SPAN_BLOCK_HEAD_BYTES;) {
        uint8_t *block = file + at;
        uint64_t room = end - at - SPAN_BLOCK_HEAD_BYTES, size = load_le64(block + 8);
        if (size > room) {
            if (!mends) return;
            store_le64(block + 8, size = room);
        }
        if (mends) repair_block(block, size, repair);
        struct bytes parts[2] = {bytes_of(block, SPAN_BLOCK_HEAD_BYTES - 8),
                                 bytes_of(block + SPAN_BLOCK_HEAD_BYTES, (size_t)size)};
        uint64_t sum = checksum64_parts(parts, 2, repair->seed + at);
        if (mends) store_le64(block + 32, sum);
        repair->running = checksum64(bytes_of(block + 32, 8), repair->running);
        repair->blocks++;
        at += SPAN_BLOCK_HEAD_BYTES + (size_t)size;
    }
}

static void repair_footer(uint8_t *footer, size_t at, const struct repair *repair)
{
    store_le64(footer + 8, repair->blocks);
    store_le64(footer + 16, repair->entries);
    store_le64(footer + 24, repair->at.lsn.at);
    store_le64(footer + 32, repair->at.lineage.hash);
    store_le64(footer + 40, repair->at.epoch.number);
    store_le64(footer + 48, repair->at.epoch.copy);
    store_le64(footer + 56, repair->at.stamp.bits);
    store_le64(footer + 64, repair->first.bits);
    store_le64(footer + 72, repair->running);
    store_le64(footer + 80, at);
    store_le64(footer + 88, checksum64(bytes_of(footer, SPAN_FOOTER_BYTES - 8), repair->seed));
}

static void mend(uint8_t *file, size_t size, unsigned what)
{
    if (size < SPAN_HEADER_BYTES + SPAN_FOOTER_BYTES || what == 0) return;
    uint8_t *sum = file + SPAN_HEADER_BYTES - 8;
    if (what & REPAIR_HEADER) store_le64(sum, checksum64(bytes_of(file, SPAN_HEADER_BYTES - 8), 0));
    struct repair repair = {.seed = load_le64(sum)};
    struct span_facts facts;
    struct why why;
    if (span_header_decode(file, &facts, &why) != ERR_OK) return;
    repair.at = facts.before;
    size_t end = size - SPAN_FOOTER_BYTES;
    repair_blocks(file, end, (what & REPAIR_BLOCKS) != 0, &repair);
    if (what & REPAIR_FOOTER) repair_footer(file + end, end, &repair);
}

/* Writes what is read; where all of it was, so is what was written. */
static enum err read_and_write(struct bytes bytes, struct buffer *out)
{
    struct memory_source source = {{memory_source_read, bytes.size}, bytes};
    struct span_reader *reader = NULL;
    struct span_writer writer;
    struct entry entry;
    struct why why;
    enum err err = span_open(&reader, &source.base, &why);
    if (err != ERR_OK) return err;
    struct buffer part;
    buffer_init(&part);
    span_begin(&writer, span_facts(reader), &part);
    while ((err = span_next(reader, &entry, &why)) == ERR_OK) {
        MUST(entry.payload.size > 0 && entry.payload.size <= bytes.size);
        span_add(&writer, &entry, &part);
        if (!span_is_whole(&writer)) continue;
        buffer_append(out, buffer_bytes(&part));
        span_written(&writer, &part);
    }
    if (err == ERR_NOT_FOUND) span_end(&writer, &part);
    buffer_append(out, buffer_bytes(&part));
    buffer_release(&part);
    span_close(reader);
    return err;
}

static void exercise(struct bytes bytes)
{
    struct buffer once, twice;
    buffer_init(&once);
    buffer_init(&twice);
    enum err err = read_and_write(bytes, &once);
    MUST(err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_REFUSED);
    if (err == ERR_NOT_FOUND) {
        MUST(read_and_write(buffer_bytes(&once), &twice) == ERR_NOT_FOUND);
        MUST(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
    }
    buffer_release(&once);
    buffer_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct sim_heap *heap = sim_heap_open("archive");
    (void)sim_heap_enter(heap);
    struct buffer file;
    buffer_init(&file);
    buffer_append(&file, bytes_of(data + 1, size - 1));
    if (file.size > 0) mend(file.data, file.size, data[0]);
    exercise(buffer_bytes(&file));
    buffer_release(&file);
    (void)sim_heap_enter(NULL);
    MUST(sim_heap_peak(heap) <= MEMORY_BYTES + 16 * size);
    MUST(sim_heap_blocks(heap) == 0);
    sim_heap_close(heap);
    return 0;
}
