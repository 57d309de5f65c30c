/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an image. The layouts, with every offset, are in docs/formats/image.md. Every byte
 * is covered by a checksum; a chunk's is seeded with the header's and its own place, so that a
 * chunk of another image, or of another place, is none here. */
#include "snapshot/image.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/checksum.h"
#include "base/memory.h"

static const char header_magic[] = "tidgImg1", footer_magic[] = "tidgImgE", chunk_magic[] = "tidC";
enum { IMAGE_LEVEL = 1 };

static void chain_add(struct image_chain *chain, uint64_t checksum, uint64_t size)
{
    uint8_t bytes[8];
    store_le64(bytes, checksum);
    chain->running = checksum64(bytes_of(bytes, sizeof bytes), chain->running);
    chain->offset += size;
}

static void put_mark(struct buffer *out, const struct mark *mark)
{
    uint8_t bytes[MARK_ENCODED_BYTES];
    mark_encode(mark, bytes);
    buffer_append(out, bytes_of(bytes, sizeof bytes));
}

/* --- Header --- */

void image_begin(struct buffer *out, const struct image_facts *facts, struct image_chain *chain)
{
    MUST(facts->epoch_count <= IMAGE_EPOCHS_MAX);
    size_t begin = out->size;
    size_t size = IMAGE_HEADER_FIXED_BYTES + facts->epoch_count * IMAGE_EPOCH_BYTES + 8;
    buffer_append(out, bytes_text(header_magic));
    buffer_append_le32(out, IMAGE_FORMAT);
    buffer_append_le32(out, (uint32_t)size);
    buffer_append_le32(out, facts->shard);
    buffer_append_le32(out, IMAGE_LEVEL);
    buffer_append_le64(out, facts->cluster);
    buffer_append_le64(out, facts->taken_ms);
    put_mark(out, &facts->mark);
    buffer_append_le64(out, facts->stamp.bits);
    buffer_append_le64(out, facts->stream_offset);
    buffer_append_le64(out, 0);
    buffer_append_le64(out, facts->epoch_count);
    MUST(out->size - begin == IMAGE_HEADER_FIXED_BYTES);
    for (size_t i = 0; i < facts->epoch_count; i++) {
        const struct epoch_start *epoch = &facts->epochs[i];
        buffer_append_le64(out, epoch->epoch.number);
        buffer_append_le64(out, epoch->epoch.copy);
        buffer_append_le64(out, epoch->first.at);
        buffer_append_le64(out, epoch->stream_offset);
    }
    uint64_t checksum = checksum64(bytes_of(out->data + begin, out->size - begin), 0);
    buffer_append_le64(out, checksum);
    *chain = (struct image_chain){.seed = checksum};
    chain_add(chain, checksum, size);
}

enum err image_header_size(const uint8_t *fixed, size_t *size, struct why *why)
{
    if (memcmp(fixed, header_magic, 8) != 0)
        return why_fail(why, ERR_CORRUPT, "this does not begin as an image does");
    uint32_t format = load_le32(fixed + 8);
    if (format > IMAGE_FORMAT) {
        return why_fail(why, ERR_REFUSED, "the image is of format %u; this program knows %u",
                        (unsigned)format, (unsigned)IMAGE_FORMAT);
    }
    uint64_t epochs = load_le64(fixed + 112);
    *size = load_le32(fixed + 12);
    if (format == IMAGE_FORMAT && epochs <= IMAGE_EPOCHS_MAX &&
        *size == IMAGE_HEADER_FIXED_BYTES + epochs * IMAGE_EPOCH_BYTES + 8)
        return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the header of the image is not sound");
}

enum err image_header_decode(struct bytes header, struct image_facts *facts,
                             struct image_chain *chain, struct why *why)
{
    *facts = (struct image_facts){0};
    size_t size = 0;
    if (header.size < IMAGE_HEADER_FIXED_BYTES)
        return why_fail(why, ERR_CORRUPT, "the image is shorter than its header");
    enum err err = image_header_size(header.data, &size, why);
    if (err != ERR_OK) return err;
    if (header.size != size)
        return why_fail(why, ERR_CORRUPT, "the image is shorter than its header");
    const uint8_t *at = header.data;
    uint64_t checksum = load_le64(at + size - 8);
    if (checksum != checksum64(bytes_of(at, size - 8), 0))
        return why_fail(why, ERR_CORRUPT, "the header of the image has another checksum");
    if (load_le64(at + 104) != 0)
        return why_fail(why, ERR_CORRUPT, "the header of the image is not sound");
    facts->shard = load_le32(at + 16);
    facts->level = load_le32(at + 20);
    if (facts->level == 0)
        return why_fail(why, ERR_CORRUPT, "the header of the image is not sound");
    if (facts->level > IMAGE_LEVEL) {
        return why_fail(why, ERR_REFUSED, "the image needs feature level %u; this program has %u",
                        (unsigned)facts->level, (unsigned)IMAGE_LEVEL);
    }
    facts->cluster = load_le64(at + 24);
    facts->taken_ms = load_le64(at + 32);
    mark_decode(at + 40, &facts->mark);
    facts->stamp = (struct stamp){load_le64(at + 88)};
    facts->stream_offset = load_le64(at + 96);
    facts->epoch_count = (size_t)load_le64(at + 112);
    struct epoch_start *epochs = memory_zeroed(facts->epoch_count + 1, sizeof *epochs);
    at += IMAGE_HEADER_FIXED_BYTES;
    for (size_t i = 0; i < facts->epoch_count; i++, at += IMAGE_EPOCH_BYTES) {
        epochs[i] = (struct epoch_start){.epoch = {load_le64(at), load_le64(at + 8)},
                                         .first = {load_le64(at + 16)},
                                         .stream_offset = load_le64(at + 24)};
    }
    facts->epochs = epochs;
    *chain = (struct image_chain){.seed = checksum};
    chain_add(chain, checksum, size);
    return ERR_OK;
}

void image_facts_release(struct image_facts *facts)
{
    /* Lent out as const; made by image_header_decode(). */
    memory_free((void *)(uintptr_t)facts->epochs);
    facts->epochs = NULL;
}

/* --- Chunks --- */

void image_chunk_begin(struct buffer *chunk)
{
    static const uint8_t room[IMAGE_CHUNK_HEAD_BYTES];
    buffer_clear(chunk);
    buffer_append(chunk, bytes_of(room, sizeof room));
}

void image_chunk_add(struct buffer *chunk, struct bytes key, struct bytes value)
{
    buffer_append_le32(chunk, (uint32_t)key.size);
    buffer_append_le32(chunk, (uint32_t)value.size);
    buffer_append(chunk, key);
    buffer_append(chunk, value);
}

enum { CHUNK_HASHED_BYTES = 16 }; /* of the head: what stands before the checksum */

static uint64_t chunk_seed(const struct image_chain *chain)
{
    return chain->seed + chain->offset;
}

static uint64_t chunk_checksum(const uint8_t *at, uint64_t size, const struct image_chain *chain)
{
    const struct bytes parts[] = {bytes_of(at, CHUNK_HASHED_BYTES),
                                  bytes_of(at + IMAGE_CHUNK_HEAD_BYTES, size)};
    return checksum64_parts(parts, 2, chunk_seed(chain));
}

void image_chunk_seal(struct buffer *chunk, uint32_t records, struct image_chain *chain)
{
    uint64_t size = chunk->size - IMAGE_CHUNK_HEAD_BYTES;
    memcpy(chunk->data, chunk_magic, 4);
    store_le32(chunk->data + 4, records);
    store_le64(chunk->data + 8, size);
    uint64_t checksum = chunk_checksum(chunk->data, size, chain);
    store_le64(chunk->data + CHUNK_HASHED_BYTES, checksum);
    image_chunk_pass(chain, &(struct image_chunk_head){records, size, checksum});
}

bool image_chunk_head_decode(const uint8_t in[IMAGE_CHUNK_HEAD_BYTES],
                             struct image_chunk_head *head)
{
    head->records = load_le32(in + 4);
    head->size = load_le64(in + 8);
    head->checksum = load_le64(in + CHUNK_HASHED_BYTES);
    return memcmp(in, chunk_magic, 4) == 0 && head->records > 0 &&
           head->size / IMAGE_RECORD_HEAD_BYTES >= head->records;
}

void image_chunk_hash(const uint8_t in[IMAGE_CHUNK_HEAD_BYTES], const struct image_chain *chain,
                      struct checksum_stream *stream)
{
    checksum_stream_begin(stream, chunk_seed(chain));
    checksum_stream_add(stream, bytes_of(in, CHUNK_HASHED_BYTES));
}

void image_chunk_pass(struct image_chain *chain, const struct image_chunk_head *head)
{
    chain_add(chain, head->checksum, IMAGE_CHUNK_HEAD_BYTES + head->size);
    chain->chunks++;
    chain->records += head->records;
    chain->bytes += head->size;
}

bool image_chunk_check(const uint8_t *in, const struct image_chunk_head *head,
                       struct image_chain *chain)
{
    if (chunk_checksum(in, head->size, chain) != head->checksum) return false;
    struct bytes body = bytes_of(in + IMAGE_CHUNK_HEAD_BYTES, (size_t)head->size), key, value;
    uint32_t records = 0;
    while (image_record_take(&body, &key, &value)) records++;
    if (body.size > 0 || records != head->records) return false;
    image_chunk_pass(chain, head);
    return true;
}

bool image_record_take(struct bytes *body, struct bytes *key, struct bytes *value)
{
    if (body->size < IMAGE_RECORD_HEAD_BYTES) return false;
    size_t left = body->size - IMAGE_RECORD_HEAD_BYTES;
    size_t key_size = load_le32(body->data), value_size = load_le32(body->data + 4);
    if (key_size > left || value_size > left - key_size) return false;
    *key = bytes_of(body->data + IMAGE_RECORD_HEAD_BYTES, key_size);
    *value = bytes_of(key->data + key_size, value_size);
    *body = bytes_of(value->data + value_size, left - key_size - value_size);
    return true;
}

/* --- Footer --- */

void image_end(struct buffer *out, const struct image_facts *facts, struct image_chain *chain)
{
    size_t begin = out->size;
    uint8_t digest[DIGEST_ENCODED_BYTES];
    digest_encode(facts->digest, digest);
    buffer_append(out, bytes_text(footer_magic));
    buffer_append_le64(out, chain->chunks);
    buffer_append_le64(out, chain->records);
    buffer_append_le64(out, chain->bytes);
    buffer_append_le64(out, facts->keys);
    buffer_append(out, bytes_of(digest, sizeof digest));
    put_mark(out, &facts->mark);
    buffer_append_le64(out, chain->running);
    uint64_t checksum = checksum64(bytes_of(out->data + begin, out->size - begin), chain->seed);
    buffer_append_le64(out, checksum);
    chain->footer = checksum;
    MUST(out->size - begin == IMAGE_FOOTER_BYTES);
    chain->offset += IMAGE_FOOTER_BYTES;
}

enum err image_footer_decode(const uint8_t in[IMAGE_FOOTER_BYTES], uint64_t seed,
                             const struct mark *mark, struct image_footer *footer, struct why *why)
{
    if (memcmp(in, footer_magic, 8) != 0)
        return why_fail(why, ERR_CORRUPT, "this does not end as an image does");
    if (load_le64(in + 112) != checksum64(bytes_of(in, 112), seed))
        return why_fail(why, ERR_CORRUPT, "the footer of the image has another checksum");
    *footer = (struct image_footer){.chunks = load_le64(in + 8),
                                    .records = load_le64(in + 16),
                                    .bytes = load_le64(in + 24),
                                    .keys = load_le64(in + 32),
                                    .digest = digest_decode(in + 40),
                                    .running = load_le64(in + 104),
                                    .checksum = load_le64(in + 112)};
    struct mark again;
    mark_decode(in + 56, &again);
    if (mark_equal(&again, mark)) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "header and footer of the image name different marks");
}

enum err image_footer_check(const struct image_footer *footer, const struct image_chain *chain,
                            struct why *why)
{
    if (chain->chunks == footer->chunks && chain->records == footer->records &&
        chain->bytes == footer->bytes && chain->running == footer->running)
        return ERR_OK;
    return why_fail(why, ERR_CORRUPT,
                    "the image has %" PRIu64 " records in %" PRIu64 " chunks, but its footer says "
                    "%" PRIu64 " in %" PRIu64,
                    chain->records, chain->chunks, footer->records, footer->chunks);
}

/* --- Names --- */

static const char *const endings[] = {
    [IMAGE_NAME_IMAGE] = ".image",
    [IMAGE_NAME_LEFTOVER] = ".image.tmp",
    [IMAGE_NAME_BAD] = ".image.bad",
};

void image_name_format(struct lsn lsn, enum image_name_kind kind, char out[IMAGE_NAME_BYTES])
{
    MUST(kind != IMAGE_NAME_FOREIGN);
    (void)snprintf(out, IMAGE_NAME_BYTES, "%016llx%s", (unsigned long long)lsn.at, endings[kind]);
}

enum image_name_kind image_name_parse(const char *text, struct lsn *lsn)
{
    lsn->at = 0;
    for (unsigned i = 0; i < 16; i++) {
        char c = text[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) return IMAGE_NAME_FOREIGN;
        lsn->at = lsn->at << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    for (enum image_name_kind kind = IMAGE_NAME_IMAGE; kind <= IMAGE_NAME_BAD; kind++) {
        if (strcmp(text + 16, endings[kind]) == 0) return kind;
    }
    return IMAGE_NAME_FOREIGN;
}
