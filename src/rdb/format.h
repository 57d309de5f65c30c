/* SPDX-License-Identifier: Apache-2.0 */
/* format: the numbers of docs/formats/rdb.md, for this room. */
#ifndef RDB_FORMAT_H
#define RDB_FORMAT_H

enum {
    RDB_HEAD_BYTES = 9, /* REDIS and four digits */
    RDB_CHECKSUM_BYTES = 8,
    RDB_CHECKSUM_VERSION = 5, /* the first with a checksum */
};

/* The first byte of what is no key. */
enum rdb_opcode {
    RDB_FUNCTION = 245,
    RDB_FUNCTION_DRAFT = 246,
    RDB_MODULE_FIELD = 247,
    RDB_IDLE = 248,
    RDB_FREQUENCY = 249,
    RDB_FIELD = 250,
    RDB_HINT = 251,
    RDB_EXPIRES_MS = 252,
    RDB_EXPIRES_S = 253,
    RDB_DATABASE = 254,
    RDB_END = 255,
};

/* The first byte of a key: type and encoding of its value. */
enum rdb_value {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET_TEXT = 3,
    RDB_HASH = 4,
    RDB_ZSET = 5,
    RDB_MODULE_DRAFT = 6,
    RDB_MODULE = 7,
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_ZIPLISTS = 14,
    RDB_STREAM = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_LISTPACKS = 18,
    RDB_STREAM_2 = 19,
    RDB_SET_LISTPACK = 20,
    RDB_STREAM_3 = 21,
};

/* The two upper bits of a length, and the whole byte of the two long forms. */
enum {
    RDB_LENGTH_6 = 0,
    RDB_LENGTH_14 = 1,
    RDB_LENGTH_SPECIAL = 3,
    RDB_LENGTH_32 = 0x80,
    RDB_LENGTH_64 = 0x81,
};

/* The lower bits of a special length: a string in another form. */
enum { RDB_STRING_INT8 = 0, RDB_STRING_INT16 = 1, RDB_STRING_INT32 = 2, RDB_STRING_LZF = 3 };

/* A node of RDB_LIST_LISTPACKS. */
enum { RDB_NODE_PLAIN = 1, RDB_NODE_PACKED = 2 };

#endif
