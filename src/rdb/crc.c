/* SPDX-License-Identifier: Apache-2.0 */
#include "rdb/crc.h"

/* 0xad93d23594c935a9 with its bits reversed. */
static const uint64_t polynomial = UINT64_C(0x95ac9329ac4bc9b5);

/* tables[n][b] is what byte b does to the value when n bytes follow it. */
void crc_init(struct crc *crc)
{
    crc->value = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t value = byte;
        for (unsigned bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? polynomial : 0);
        crc->tables[0][byte] = value;
    }
    for (unsigned n = 1; n < 8; n++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint64_t before = crc->tables[n - 1][byte];
            crc->tables[n][byte] = before >> 8 ^ crc->tables[0][before & 255];
        }
    }
}

void crc_add(struct crc *crc, struct bytes bytes)
{
    uint64_t value = crc->value;
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; at += 8, left -= 8) {
        value ^= load_le64(at);
        uint64_t next = 0;
        for (unsigned i = 0; i < 8; i++) next ^= crc->tables[7 - i][value >> (8 * i) & 255];
        value = next;
    }
    for (; left > 0; at++, left--) value = value >> 8 ^ crc->tables[0][(value ^ *at) & 255];
    crc->value = value;
}
