/* SPDX-License-Identifier: Apache-2.0 */
/* crc: the checksum of a dump: CRC-64 with the polynomial of Jones, bits reflected, from 0. */
#ifndef RDB_CRC_H
#define RDB_CRC_H

#include "base/bytes.h"

/* Owned by who uses it; the tables are made by crc_init, for eight bytes at a step. */
struct crc {
    uint64_t value; /* over what was added so far */
    uint64_t tables[8][256];
};

void crc_init(struct crc *crc);
void crc_add(struct crc *crc, struct bytes bytes);

#endif
