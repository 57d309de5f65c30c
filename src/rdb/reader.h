/* SPDX-License-Identifier: Apache-2.0 */
/* reader: how a dump is read.
 *
 * The dump is a row of units: the head, an opcode with what belongs to it, the beginning of a key
 * (type, name, count), a string that holds a small collection, an element, the checksum. A unit is
 * read when all of it is there, from its beginning; nothing of it is remembered before. So it does
 * not matter how the bytes are split, and ERR_PENDING of the sink needs no further care: the unit,
 * or the item of a pack, is done again.
 *
 *   HEAD -> OPCODE <-----------------------------------------------+
 *             |  string, list, set, ... ->  GIVE -> ELEMENT ... ---+--> END (back to OPCODE)
 *             |  one pack -> PACK_READ ->   GIVE -> ITEM ... ------+
 *             |  packs -> NODE -> (GIVE) -> ITEM ... -> NODE ... --+
 *             +--> CHECKSUM -> DONE
 *
 * An empty collection goes back to OPCODE before GIVE. */
#ifndef RDB_READER_H
#define RDB_READER_H

#include "rdb/crc.h"
#include "rdb/cursor.h"
#include "rdb/format.h"
#include "rdb/pack.h"
#include "rdb/rdb.h"

enum reader_phase {
    READER_HEAD,
    READER_OPCODE,
    READER_PACK_READ,
    READER_NODE,
    READER_GIVE,
    READER_ELEMENT,
    READER_ITEM,
    READER_END,
    READER_CHECKSUM,
    READER_DONE,
};

struct rdb_reader {
    struct rdb_reader_options options;
    struct crc crc;
    struct buffer held; /* the beginning of a unit that is not whole, and what came after it */
    size_t need;        /* with fewer bytes from its beginning the unit is not whole */
    bool sink_waits;    /* the last ERR_PENDING was the sink's */
    enum reader_phase phase;
    struct rdb_facts facts; /* facts.bytes is the offset of the unit */

    /* The key under way; `key.name` is in `name`. */
    struct record_key key;
    uint8_t value; /* enum rdb_value */
    bool given;    /* the sink has the key */
    bool plain;    /* `first` is one item, not a pack */
    uint64_t left; /* elements or nodes */
    struct pack pack;
    struct buffer name, first, second; /* `first` has the pack */

    enum err failed;
    struct why reason;
};

/* One unit or one call of the sink, in the phases of a key. */
MUST_USE enum err reader_value_step(struct rdb_reader *reader, struct cursor *cursor);
/* What begins with `value`: name and count of a key. */
MUST_USE enum err reader_value_begin(struct rdb_reader *reader, struct cursor *cursor,
                                     uint8_t value);

#endif
