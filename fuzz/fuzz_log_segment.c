/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the segment reader and the recovery behind it.
 *
 * The input is a recipe for the files of a log: good batches, batches with good checksums and any
 * fields, raw bytes, holes, flipped bits, more segments, any watermarks in the superblock. Whatever
 * comes out of it:
 *   - verifying and reading never crash, and take memory in proportion to the files;
 *   - what verifies can be read to exactly the end that was found;
 *   - what verifies can be opened, appended to, and opened again after a crash, with nothing lost.
 */
#include <stdlib.h>

#include "base/checksum.h"
#include "log/format.h"
#include "log/log.h"
#include "sim/heap.h"
#include "test/log/memory_world.h"

enum { SHARD = 5, CLUSTER = 77, SEGMENT_BYTES = 16384, FILE_BYTES_MAX = 1 << 20 };

struct input {
    const uint8_t *at;
    size_t left;
};

struct recipe {
    struct memory_disk disk;
    struct input input;
    struct log_segment_header header;
    struct log_superblock superblock;
    struct log_chain chain;
    struct disk_file *file;
    uint64_t offset;
    bool opens, appends;
};

static uint64_t take(struct input *input, unsigned bytes)
{
    uint64_t value = 0;
    for (; bytes > 0 && input->left > 0; bytes--, input->left--) value = value << 8 | *input->at++;
    return value;
}

static struct bytes take_bytes(struct input *input, size_t size)
{
    if (size > input->left) size = input->left;
    struct bytes taken = bytes_of(input->at, size);
    input->at += size;
    input->left -= size;
    return taken;
}

static void put(struct recipe *recipe, uint64_t offset, const void *data, uint64_t size)
{
    if (offset + size <= FILE_BYTES_MAX)
        memory_write(&recipe->disk, recipe->file, offset, bytes_of(data, size));
}

static void segment_begin(struct recipe *recipe, uint64_t lie)
{
    static uint8_t page[LOG_SEGMENT_HEADER_BYTES];
    char name[LOG_NAME_BYTES], path[100];
    recipe->header.previous_salt = recipe->header.salt;
    recipe->header.salt = recipe->header.salt * 3 + 1;
    recipe->header.sequence++;
    recipe->header.start = recipe->chain;
    if (lie == 1) recipe->header.previous_salt++;
    if (lie == 2) recipe->header.start.next.at++;
    if (lie == 3) recipe->header.start.lineage.hash++;
    if (lie == 4) recipe->header.sequence -= 2;
    log_segment_encode(&recipe->header, page);
    log_name_format((struct log_name){LOG_NAME_SEGMENT, SHARD, recipe->header.start.next.at}, name);
    (void)snprintf(path, sizeof(path), "log/%s", name);
    recipe->file = memory_find(&recipe->disk, path);
    if (recipe->file == NULL) recipe->file = memory_create(&recipe->disk, path);
    recipe->file->size = recipe->file->content.size = 0;
    recipe->offset = LOG_SEGMENT_HEADER_BYTES;
    put(recipe, 0, page, sizeof(page));
}

static void batch_put(struct recipe *recipe, uint8_t *at, struct log_batch_header *header)
{
    log_batch_seal(at, header, recipe->header.salt, recipe->offset);
    uint64_t size = log_padded(LOG_BATCH_HEADER_BYTES + header->length);
    put(recipe, recipe->offset, at, size);
    recipe->offset += size;
}

/* A batch as the log itself writes it. */
static void batch_good(struct recipe *recipe)
{
    static uint8_t at[LOG_SECTOR_BYTES * 8];
    struct input *input = &recipe->input;
    uint64_t count = take(input, 1) % 5;
    bool opens = take(input, 1) % 4 == 0 && count > 0;
    struct log_batch_header header = {.flags = count == 0 ? LOG_BATCH_EMPTY
                                               : opens    ? LOG_BATCH_EPOCH
                                                          : 0,
                                      .cluster = CLUSTER,
                                      .shard = SHARD,
                                      .epoch = recipe->chain.epoch,
                                      .first = recipe->chain.next,
                                      .count = (uint32_t)count,
                                      .durable = {take(input, 1) % recipe->chain.next.at},
                                      .committed = {take(input, 1) % recipe->chain.next.at},
                                      .lineage = recipe->chain.lineage};
    if (opens) header.epoch.number++;
    for (uint64_t i = 0; i < count; i++) {
        struct entry entry = {.lsn = recipe->chain.next, .epoch = header.epoch};
        entry.stamp.bits = recipe->chain.stamp.bits + take(input, 1);
        uint8_t payload[600] = {ENTRY_COMMAND};
        entry.payload = bytes_of(payload, 1 + take(input, 1) * 2);
        entry.lineage = log_lineage(recipe->chain.lineage, &entry);
        log_entry_encode(at + LOG_BATCH_HEADER_BYTES + header.length, entry.stamp, entry.lineage,
                         entry.payload);
        header.length += LOG_ENTRY_HEADER_BYTES + entry.payload.size;
        recipe->chain = (struct log_chain){lsn_next(entry.lsn), entry.lineage, entry.epoch,
                                           entry.stamp};
    }
    header.stamp = recipe->chain.stamp;
    batch_put(recipe, at, &header);
}

/* Any fields and any body under good checksums. */
static void batch_any(struct recipe *recipe)
{
    static uint8_t at[LOG_SECTOR_BYTES * 4];
    struct input *input = &recipe->input;
    struct log_batch_header header = {.flags = (uint16_t)take(input, 1),
                                      .cluster = CLUSTER + take(input, 1) / 128,
                                      .shard = SHARD + (uint32_t)(take(input, 1) / 128),
                                      .epoch = {take(input, 1), take(input, 1)},
                                      .first = {recipe->chain.next.at + take(input, 1) - 2},
                                      .count = (uint32_t)take(input, 1),
                                      .stamp = {take(input, 8)},
                                      .durable = {take(input, 2)},
                                      .committed = {take(input, 2)},
                                      .lineage = recipe->chain.lineage};
    struct bytes body = take_bytes(input, take(input, 2) % 1500);
    if (body.size > 0) memcpy(at + LOG_BATCH_HEADER_BYTES, body.data, body.size);
    header.length = body.size;
    batch_put(recipe, at, &header);
    if (take(input, 1) % 2 == 0) return;
    uint32_t length = (uint32_t)take(input, 4); /* a length that the body does not have */
    uint8_t bytes[4];
    store_le32(bytes, length);
    put(recipe, recipe->offset - log_padded(LOG_BATCH_HEADER_BYTES + body.size) + 72, bytes, 4);
}

static void step(struct recipe *recipe)
{
    struct input *input = &recipe->input;
    switch (take(input, 1) % 8) {
    case 0:
    case 1:
    case 2: batch_good(recipe); return;
    case 3: batch_any(recipe); return;
    case 4: {
        struct bytes raw = take_bytes(input, take(input, 1) * 4);
        if (raw.size > 0) put(recipe, recipe->offset, raw.data, raw.size);
        recipe->offset += log_padded(raw.size);
        return;
    }
    case 5: recipe->offset += LOG_SECTOR_BYTES; return;
    case 6: {
        uint64_t at = take(input, 2) % (recipe->offset + 1);
        if (at < recipe->file->content.size)
            recipe->file->content.data[at] ^= (uint8_t)(1u << take(input, 1) % 8);
        return;
    }
    default: segment_begin(recipe, take(input, 1) % 16); return;
    }
}

static void slots_put(struct recipe *recipe)
{
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        uint8_t bytes[LOG_SUPERBLOCK_BYTES];
        log_superblock_encode(&recipe->superblock, i, bytes);
        recipe->file = memory_create(&recipe->disk, i == 0 ? "log/00000005-a.superblock"
                                                           : "log/00000005-b.superblock");
        put(recipe, 0, bytes, sizeof(bytes));
    }
}

static void cook(struct recipe *recipe, struct bytes input)
{
    recipe->input = (struct input){input.data, input.size};
    recipe->header = (struct log_segment_header){.shard = SHARD, .cluster = CLUSTER, .salt = 12345};
    recipe->chain = (struct log_chain){.next = {1}};
    recipe->superblock = (struct log_superblock){
        .shard = SHARD, .cluster = CLUSTER, .sequence = 9, .incarnation = 2, .floor = {1}};
    uint64_t choice = take(&recipe->input, 1);
    recipe->superblock.state = choice % 2 == 0 ? LOG_OPEN : LOG_CLEAN;
    recipe->superblock.newest.at = 1;
    recipe->superblock.newest_sequence = choice / 8 % 8 == 7 ? 2 + choice / 64 : 1;
    recipe->opens = choice / 2 % 4 == 0;
    /* A megabyte of memory each time: seldom, and not for the fuzzer to choose. */
    recipe->appends = checksum64(input, 0) % 8 == 0;
    recipe->superblock.durable.at = take(&recipe->input, 1) % 16;
    recipe->superblock.committed.at = take(&recipe->input, 1);
    slots_put(recipe);
    segment_begin(recipe, 0);
    for (unsigned i = 0; i < 40 && recipe->input.left > 0; i++) step(recipe);
    if (recipe->file->size < SEGMENT_BYTES) /* as a filled file is */
        memory_write(&recipe->disk, recipe->file, 0, (struct bytes){NULL, SEGMENT_BYTES});
}

static void advanced(struct log_listener *listener)
{
    (void)listener;
}

static void failed(struct log_listener *listener, const struct why *why)
{
    (void)listener;
    (void)why;
    abort();
}

/* Reads from `found.first` to the end that was found. */
static void read_all(struct recipe *recipe, const struct log_found *found)
{
    struct log_reader *reader;
    struct why why;
    MUST(log_reader_open(&reader, &recipe->disk.base, "log", found->first, &why) == ERR_OK);
    struct entry entry = {.lsn = {found->first.at - 1}, .lineage = found->last.lineage};
    enum err err;
    while ((err = log_reader_next(reader, &entry, &why)) == ERR_OK) continue;
    MUST(err == ERR_NOT_FOUND);
    MUST(entry.lsn.at == found->last.lsn.at && entry.lineage.hash == found->last.lineage.hash);
    log_reader_close(reader);
}

/* Opens the log, perhaps appends an entry, and lets go, as in a crash. Returns where it ended
 * before. */
static struct log_found open_log(struct recipe *recipe, bool appends)
{
    struct log_options options = {
        .segment_bytes = SEGMENT_BYTES, .cluster = CLUSTER, .shard = SHARD};
    struct log_listener listener = {advanced, failed};
    struct memory_disk *disk = &recipe->disk;
    struct log_found found;
    struct log *log;
    struct why why;
    struct lsn at;
    uint8_t payload[40] = {ENTRY_COMMAND};
    struct log_site site = memory_site(disk, "log", &listener);
    MUST(log_open(&log, &site, &options, &found, &why) == ERR_OK);
    if (appends) {
        MUST(log_append(log, found.stamp, bytes_of(payload, sizeof(payload)), &at) == ERR_OK);
        MUST(at.at == found.last.lsn.at + 1);
        log_push(log);
        while (memory_turn(disk)) continue;
        MUST(log_durable(log).at == at.at);
    }
    log_abandon(log);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct recipe recipe; /* its memory is used again: it costs more than the reading */
    if (recipe.disk.base.ops == NULL) memory_disk_init(&recipe.disk, FILE_BYTES_MAX);
    cook(&recipe, bytes_of(data, size));
    uint64_t bytes = 0;
    for (unsigned i = 0; i < MEMORY_FILES; i++) bytes += recipe.disk.files[i].size;

    struct log_found found;
    struct why why;
    struct sim_heap *heap = sim_heap_open("log");
    struct sim_heap *before = sim_heap_enter(heap);
    enum err err = log_verify(&recipe.disk.base, "log", &found, &why);
    MUST(sim_heap_peak(heap) <= 4096 + 2 * bytes);
    MUST(sim_heap_blocks(heap) == 0);
    (void)sim_heap_enter(before);
    sim_heap_close(heap);
    MUST(err == ERR_OK || err == ERR_CORRUPT);
    if (err == ERR_OK) read_all(&recipe, &found);
    if (err == ERR_OK && recipe.opens) {
        struct log_found opened = open_log(&recipe, recipe.appends);
        MUST(mark_equal(&opened.last, &found.last));
        struct log_found again = open_log(&recipe, false);
        MUST(again.last.lsn.at == found.last.lsn.at + recipe.appends);
        MUST(log_verify(&recipe.disk.base, "log", &found, &why) == ERR_OK);
        read_all(&recipe, &found);
    }
    memory_disk_clear(&recipe.disk);
    return 0;
}
