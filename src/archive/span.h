/* SPDX-License-Identifier: Apache-2.0 */
/* span: the bytes of a span, encoded and decoded, and the names of an archive's files;
 * docs/formats/archive.md is the authority. No I/O but for the reader's source. */
#ifndef ARCHIVE_SPAN_H
#define ARCHIVE_SPAN_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/must.h"
#include "seam/entry.h"
#include "snapshot/snapshot.h"

enum {
    SPAN_FORMAT = 1,
    SPAN_HEADER_BYTES = 128,
    SPAN_BLOCK_HEAD_BYTES = 40,
    SPAN_ENTRY_HEAD_BYTES = 20,
    SPAN_FOOTER_BYTES = 96,
    SPAN_BLOCK_BYTES = 128 << 10, /* a block ends with the entry that reaches this */
    SPAN_NAME_BYTES = 48,         /* room for any name in the directory with its zero */
};

/* Beyond this no LSN is believed. */
#define SPAN_LSN_MAX (UINT64_MAX >> 1)

/* Behind an entry: what the next one must follow. */
struct span_edge {
    struct lsn lsn;
    struct lineage lineage;
    struct epoch epoch;
    struct stamp stamp;
};

/* What a span says of itself. */
struct span_facts {
    uint64_t cluster;
    uint32_t shard;
    struct history history;
    struct span_edge before, end; /* its first entry follows `before`, its last is at `end` */
    struct stamp first;           /* of its first entry */
    uint64_t entries, bytes;      /* of the file */
};

/* One that is being written. A block is open in `out` from `block_at` on, or none is. */
struct span_writer {
    struct span_edge at;
    struct stamp first;
    uint64_t seed, running, blocks, entries;
    uint64_t offset; /* in the file, of the first byte that is in `out` */
    size_t block_at;
    uint32_t block_entries; /* 0: no block is open */
};

/* These append to `out`, which the caller writes behind what it has written and tells of with
 * span_written(). */
void span_begin(struct span_writer *writer, const struct span_facts *facts, struct buffer *out);
/* The entry follows the one before; a full block is closed. */
void span_add(struct span_writer *writer, const struct entry *entry, struct buffer *out);
void span_end(struct span_writer *writer, struct buffer *out);
/* Whether `out` ends with a whole block, as it must to be written. */
bool span_is_whole(const struct span_writer *writer);
void span_written(struct span_writer *writer, struct buffer *out); /* clears it */

/* ERR_CORRUPT, ERR_REFUSED (a later format). Fills what the header has. */
MUST_USE enum err span_header_decode(const uint8_t in[SPAN_HEADER_BYTES], struct span_facts *facts,
                                     struct why *why);
/* `header` is of the same file, whose size is `size`, and good. Fills the rest. ERR_CORRUPT. */
MUST_USE enum err span_footer_decode(const uint8_t in[SPAN_FOOTER_BYTES],
                                     const uint8_t header[SPAN_HEADER_BYTES], uint64_t size,
                                     struct span_facts *facts, struct why *why);

/* What the reader needs of the bytes between them. */
struct span_block {
    uint32_t entries;
    uint64_t size; /* of the body */
    struct epoch epoch;
};
/* False: these bytes begin no block. */
bool span_block_decode(const uint8_t in[SPAN_BLOCK_HEAD_BYTES], struct span_block *block);
/* Whether head and body are what was written there; `seed`: the header's checksum plus the offset.
 * Then its checksum joins the chain. */
bool span_block_check(const uint8_t *in, const struct span_block *block, uint64_t seed,
                      uint64_t *running);
/* Takes the first entry of `*rest`, all but its LSN and epoch; false: no whole one is left. */
bool span_entry_take(struct bytes *rest, struct entry *entry);
uint64_t span_footer_blocks(const uint8_t footer[SPAN_FOOTER_BYTES]);
uint64_t span_footer_running(const uint8_t footer[SPAN_FOOTER_BYTES]);

/* Reads one back and checks every byte and every lineage. */
struct span_reader; /* fields: archive/span_reader.c */
/* Reads header and footer. `source` is borrowed until span_close. ERR_CORRUPT, ERR_REFUSED, ERR_IO;
 * then *reader is NULL. */
MUST_USE enum err span_open(struct span_reader **reader, struct image_source *source,
                            struct why *why);
const struct span_facts *span_facts(const struct span_reader *reader); /* until span_close */
/* The next entry, borrowed until the next call. ERR_NOT_FOUND: that was all, and all of it was
 * right. ERR_CORRUPT, ERR_IO. */
MUST_USE enum err span_next(struct span_reader *reader, struct entry *entry, struct why *why);
uint64_t span_offset(const struct span_reader *reader); /* bytes of the file read so far */
void span_close(struct span_reader *reader);            /* NULL is fine */

enum span_name_kind {
    SPAN_NAME_FOREIGN,
    SPAN_NAME_SPAN,
    SPAN_NAME_SPAN_LEFTOVER,
    SPAN_NAME_IMAGE,
    SPAN_NAME_IMAGE_LEFTOVER,
};
struct span_name {
    enum span_name_kind kind;
    struct lsn first, last; /* an image: `last` is its LSN; a leftover of a span has no `last` */
};
/* Strict: only what span_name_format writes is ours. */
struct span_name span_name_parse(const char *text);
void span_name_format(const struct span_name *name, char out[SPAN_NAME_BYTES]);

#endif
