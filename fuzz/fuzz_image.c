/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Images: any bytes, read by the reader, and checked whole and in random pieces.
 *
 * The pieces change nothing; what the reader takes the check passes; memory is bounded by the size
 * of the input; what was read can be written and read back the same.
 *
 * Input: a byte that says which checksums are made right, for none would be by chance; then the
 * file. */
#include <stddef.h>
#include <stdint.h>

#include "base/checksum.h"
#include "base/must.h"
#include "sim/heap.h"
#include "test/snapshot/memory_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    REPAIR_HEADER = 1, /* its size and checksum */
    REPAIR_CHUNKS = 2, /* their checksums, and a size that goes beyond the end */
    REPAIR_FOOTER = 4, /* magic, counts, chain, mark and checksum */
    FOOTER_MARK_AT = 56,
    HEADER_MARK_AT = 40,
    HEADER_EPOCHS_AT = 112,
    MEMORY_BYTES = 512 << 10, /* beside a few times the input */
};

static size_t repair_header(uint8_t *at, size_t room)
{
    uint64_t epochs = load_le64(at + HEADER_EPOCHS_AT) % 8;
    size_t size = (size_t)(IMAGE_HEADER_FIXED_BYTES + epochs * IMAGE_EPOCH_BYTES + 8);
    if (size > room) epochs = 0, size = IMAGE_HEADER_FIXED_BYTES + 8;
    store_le64(at + HEADER_EPOCHS_AT, epochs);
    store_le32(at + 12, (uint32_t)size);
    store_le64(at + size - 8, checksum64(bytes_of(at, size - 8), 0));
    return size;
}

/* Goes over the chunks as a reader would; the chain ends where they do. */
static void repair_chunks(uint8_t *file, uint64_t end, bool repair, struct image_chain *chain)
{
    struct checksum_stream *stream = checksum_stream_open();
    while (end - chain->offset >= IMAGE_CHUNK_HEAD_BYTES) {
        uint8_t *at = file + chain->offset;
        uint64_t room = end - chain->offset - IMAGE_CHUNK_HEAD_BYTES;
        if (repair && load_le64(at + 8) > room) store_le64(at + 8, room);
        struct image_chunk_head head;
        if (!image_chunk_head_decode(at, &head) || head.size > room) break;
        image_chunk_hash(at, chain, stream);
        checksum_stream_add(stream, bytes_of(at + IMAGE_CHUNK_HEAD_BYTES, (size_t)head.size));
        head.checksum = checksum_stream_value(stream);
        if (repair) store_le64(at + 16, head.checksum);
        image_chunk_pass(chain, &head);
    }
    checksum_stream_close(stream);
}

static void repair_footer(uint8_t *file, size_t size, const struct image_chain *chain)
{
    struct image_facts facts = {.keys = size};
    struct image_chain end = *chain;
    struct buffer footer;
    buffer_init(&footer);
    mark_decode(file + HEADER_MARK_AT, &facts.mark);
    image_end(&footer, &facts, &end);
    memcpy(file + size - IMAGE_FOOTER_BYTES, footer.data, IMAGE_FOOTER_BYTES);
    buffer_release(&footer);
}

static void repair(uint8_t *file, size_t size, unsigned what)
{
    if (size < IMAGE_BYTES_MIN || what == 0) return;
    size_t header = 0;
    struct why why;
    if (what & REPAIR_HEADER) header = repair_header(file, size - IMAGE_FOOTER_BYTES);
    else if (image_header_size(file, &header, &why) != ERR_OK) return;
    if (header > size - IMAGE_FOOTER_BYTES) return;
    struct image_facts facts;
    struct image_chain chain;
    if (image_header_decode(bytes_of(file, header), &facts, &chain, &why) != ERR_OK) return;
    image_facts_release(&facts);
    repair_chunks(file, size - IMAGE_FOOTER_BYTES, what & REPAIR_CHUNKS, &chain);
    if (what & REPAIR_FOOTER) repair_footer(file, size, &chain);
}

static bool is_known(enum err err)
{
    return err == ERR_OK || err == ERR_CORRUPT || err == ERR_REFUSED;
}

/* What was read, as one chunk, is read back the same. */
static void write_back(struct bytes file)
{
    struct memory_source source = {{memory_source_read, file.size}, file};
    struct image_reader *reader = NULL;
    struct image_chain chain;
    struct buffer image, chunk;
    struct why why;
    struct bytes key, value;
    uint32_t records = 0;
    uint64_t again;
    buffer_init(&image);
    buffer_init(&chunk);
    MUST(image_open(&reader, &source.base, &why) == ERR_OK);
    image_begin(&image, image_facts(reader), &chain);
    image_chunk_begin(&chunk);
    for (; image_next(reader, &key, &value, &why) == ERR_OK; records++)
        image_chunk_add(&chunk, key, value);
    MUST(records == image_facts(reader)->records);
    if (records > 0) {
        image_chunk_seal(&chunk, records, &chain);
        buffer_append(&image, buffer_bytes(&chunk));
    }
    image_end(&image, image_facts(reader), &chain);
    image_close(reader);
    MUST(memory_source_read_all(buffer_bytes(&image), &again, &why) == ERR_OK && again == records);
    buffer_release(&chunk);
    buffer_release(&image);
}

static void read_file(struct bytes file)
{
    struct why whys[3] = {{""}, {""}, {""}};
    struct dice dice;
    uint64_t records;
    dice_init(&dice, file.size);
    enum err read = memory_source_read_all(file, &records, &whys[0]);
    enum err whole = memory_source_check(file, NULL, &whys[1]);
    enum err pieces = memory_source_check(file, &dice, &whys[2]);
    MUST(is_known(read) && is_known(whole));
    MUST(whole == pieces && strcmp(whys[1].text, whys[2].text) == 0);
    MUST(read != ERR_OK || whole == ERR_OK);
    MUST((read == ERR_OK) == (whys[0].text[0] == '\0'));
    if (read == ERR_OK) write_back(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct sim_heap *heap = sim_heap_open("image");
    (void)sim_heap_enter(heap);
    struct buffer file;
    buffer_init(&file);
    buffer_append(&file, bytes_of(data + 1, size - 1));
    if (file.size > 0) repair(file.data, file.size, data[0]);
    read_file(buffer_bytes(&file));
    buffer_release(&file);
    (void)sim_heap_enter(NULL);
    MUST(sim_heap_peak(heap) <= MEMORY_BYTES + 8 * size);
    MUST(sim_heap_blocks(heap) == 0);
    sim_heap_close(heap);
    return 0;
}
