/* SPDX-License-Identifier: Apache-2.0 */
/* image: the bytes of an image, encoded and decoded; docs/formats/image.md is the authority. No
 * I/O. */
#ifndef SNAPSHOT_IMAGE_H
#define SNAPSHOT_IMAGE_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "snapshot/snapshot.h"

enum {
    IMAGE_FORMAT = 1,
    IMAGE_HEADER_FIXED_BYTES = 120,
    IMAGE_EPOCH_BYTES = 32,
    IMAGE_EPOCHS_MAX = 4096,
    IMAGE_HEADER_BYTES_MAX = IMAGE_HEADER_FIXED_BYTES + IMAGE_EPOCHS_MAX * IMAGE_EPOCH_BYTES + 8,
    IMAGE_CHUNK_HEAD_BYTES = 24,
    IMAGE_RECORD_HEAD_BYTES = 8,
    IMAGE_FOOTER_BYTES = 120,
    IMAGE_BYTES_MIN = IMAGE_HEADER_FIXED_BYTES + 8 + IMAGE_FOOTER_BYTES,
    IMAGE_CHUNK_BYTES = 128 << 10, /* a chunk ends with the record that reaches this */
    IMAGE_NAME_BYTES = 32,         /* room for any name in the directory with its zero */
};

/* What ties the parts of one image together, while it is written or read. */
struct image_chain {
    uint64_t seed;    /* of the chunks: the header's checksum */
    uint64_t offset;  /* of the next part in the file */
    uint64_t running; /* over the checksums of all parts so far */
    uint64_t chunks, records, bytes;
    uint64_t footer; /* its checksum, once it is there */
};

/* Both append. image_begin starts the chain. */
void image_begin(struct buffer *out, const struct image_facts *facts, struct image_chain *chain);
/* Behind the last chunk; facts->keys and facts->digest go in here. */
void image_end(struct buffer *out, const struct image_facts *facts, struct image_chain *chain);

/* A chunk is built in a buffer of its own: begin, add, seal. */
void image_chunk_begin(struct buffer *chunk);
void image_chunk_add(struct buffer *chunk, struct bytes key, struct bytes value);
void image_chunk_seal(struct buffer *chunk, uint32_t records, struct image_chain *chain);

/* The size of the whole header by its first IMAGE_HEADER_FIXED_BYTES; ERR_CORRUPT, ERR_REFUSED (a
 * later format). */
MUST_USE enum err image_header_size(const uint8_t *fixed, size_t *size, struct why *why);
/* Fills everything but what is in the footer, and begins the chain; for image_facts_release().
 * ERR_CORRUPT, ERR_REFUSED; then nothing is allocated. */
MUST_USE enum err image_header_decode(struct bytes header, struct image_facts *facts,
                                      struct image_chain *chain, struct why *why);

void image_facts_release(struct image_facts *facts); /* all zero is fine */

struct image_footer {
    uint64_t chunks, records, bytes, keys, running;
    struct digest digest;
    uint64_t checksum; /* its own */
};
/* `seed` is the chain's, `mark` the header's, which it must repeat. ERR_CORRUPT. */
MUST_USE enum err image_footer_decode(const uint8_t in[IMAGE_FOOTER_BYTES], uint64_t seed,
                                      const struct mark *mark, struct image_footer *footer,
                                      struct why *why);
/* Whether all chunks are what the footer says; the chain is behind the last. ERR_CORRUPT. */
MUST_USE enum err image_footer_check(const struct image_footer *footer,
                                     const struct image_chain *chain, struct why *why);

struct image_chunk_head {
    uint32_t records;
    uint64_t size; /* of the body */
    uint64_t checksum;
};
/* False: these bytes begin no chunk. */
bool image_chunk_head_decode(const uint8_t in[IMAGE_CHUNK_HEAD_BYTES],
                             struct image_chunk_head *head);
/* Begins the checksum of the chunk with this head, where the chain stands; its body is added. */
void image_chunk_hash(const uint8_t in[IMAGE_CHUNK_HEAD_BYTES], const struct image_chain *chain,
                      struct checksum_stream *stream);
/* The chunk is right: the chain goes on behind it. */
void image_chunk_pass(struct image_chain *chain, const struct image_chunk_head *head);
/* Whether head and body are what was written there; then the chain goes on behind them. */
bool image_chunk_check(const uint8_t *in, const struct image_chunk_head *head,
                       struct image_chain *chain);
/* Takes the first record of `*body`; false: no whole one is left. */
bool image_record_take(struct bytes *body, struct bytes *key, struct bytes *value);

enum image_name_kind {
    IMAGE_NAME_FOREIGN,
    IMAGE_NAME_IMAGE,
    IMAGE_NAME_LEFTOVER, /* what a crash left of one */
    IMAGE_NAME_BAD,      /* one that was found corrupt, set aside */
};
/* Strict: only what image_name_format writes is ours. */
enum image_name_kind image_name_parse(const char *text, struct lsn *lsn);
void image_name_format(struct lsn lsn, enum image_name_kind kind, char out[IMAGE_NAME_BYTES]);

#endif
