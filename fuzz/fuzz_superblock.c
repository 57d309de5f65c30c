/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the superblock: one slot as raw bytes, and as bytes under a good checksum. What is read is
 * sane, and is written back as the same bytes. */
#include "base/checksum.h"
#include "base/must.h"
#include "log/format.h"

static void decode(const uint8_t bytes[LOG_SUPERBLOCK_BYTES])
{
    for (unsigned slot = 0; slot < LOG_SUPERBLOCK_SLOTS; slot++) {
        struct log_superblock superblock;
        const char *what = NULL;
        if (!log_superblock_decode(bytes, slot, &superblock, &what)) {
            MUST(what != NULL);
            continue;
        }
        MUST(superblock.floor.at >= 1 && superblock.floor.at <= superblock.durable.at + 1);
        MUST(superblock.newest.at >= superblock.floor.at && superblock.newest_sequence >= 1);
        MUST(superblock.state >= LOG_MAKING && superblock.state <= LOG_CLEAN);
        uint8_t again[LOG_SUPERBLOCK_BYTES];
        log_superblock_encode(&superblock, slot, again);
        MUST(memcmp(again, bytes, sizeof(again)) == 0);
    }
}

static void decode_segment(const uint8_t bytes[LOG_SEGMENT_HEADER_BYTES])
{
    struct log_segment_header header;
    const char *what = NULL;
    if (!log_segment_decode(bytes, &header, &what)) {
        MUST(what != NULL);
        return;
    }
    uint8_t again[LOG_SEGMENT_HEADER_BYTES];
    log_segment_encode(&header, again);
    MUST(memcmp(again, bytes, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[LOG_SUPERBLOCK_BYTES] = {0};
    if (size > 0) memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
    decode(bytes);
    store_le64(bytes + 504, checksum64(bytes_of(bytes, 504), 0));
    decode(bytes);

    uint8_t page[LOG_SEGMENT_HEADER_BYTES] = {0};
    if (size > 0) memcpy(page, data, size < sizeof(page) ? size : sizeof(page));
    decode_segment(page);
    store_le64(page + 4088, checksum64(bytes_of(page, 4088), 0));
    decode_segment(page);
    return 0;
}
