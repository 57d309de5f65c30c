/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: header and footer first, which say what the image is; then the chunks in their order,
 * of which no byte is believed before its checksum was. Memory is taken for the largest chunk that
 * was written, whatever the bytes say. */
#include <inttypes.h>

#include "base/memory.h"
#include "snapshot/image.h"

struct image_reader {
    struct image_source *source;
    uint64_t there;      /* bytes of it from the beginning; UINT64_MAX: all are */
    bool headed, footed; /* header and footer were read */
    struct image_facts facts;
    struct image_footer footer;
    struct image_chain chain;
    struct buffer chunk;
    struct bytes body;   /* of the chunk: what is left */
    struct buffer place; /* the key given last */
    bool begun;
};

static enum err read_header(struct image_reader *reader, struct why *why)
{
    struct image_source *source = reader->source;
    if (source->size < IMAGE_BYTES_MIN)
        return why_fail(why, ERR_CORRUPT, "the file is too short for an image");
    if (reader->there < IMAGE_HEADER_FIXED_BYTES) return ERR_PENDING;
    uint8_t *at = buffer_reserve(&reader->chunk, IMAGE_HEADER_BYTES_MAX);
    enum err err = source->read(source, 0, at, IMAGE_HEADER_FIXED_BYTES, why);
    size_t size = 0;
    if (err == ERR_OK) err = image_header_size(at, &size, why);
    if (err != ERR_OK) return err;
    if (size > source->size - IMAGE_FOOTER_BYTES)
        return why_fail(why, ERR_CORRUPT, "the file is shorter than its header says");
    if (reader->there < size) return ERR_PENDING;
    err = source->read(source, IMAGE_HEADER_FIXED_BYTES, at + IMAGE_HEADER_FIXED_BYTES,
                       size - IMAGE_HEADER_FIXED_BYTES, why);
    if (err != ERR_OK) return err;
    err = image_header_decode(bytes_of(at, size), &reader->facts, &reader->chain, why);
    reader->headed = err == ERR_OK;
    return err;
}

static enum err read_footer(struct image_reader *reader, struct why *why)
{
    struct image_source *source = reader->source;
    struct image_footer *footer = &reader->footer;
    uint8_t bytes[IMAGE_FOOTER_BYTES];
    if (reader->there < source->size) return ERR_PENDING;
    enum err err = source->read(source, source->size - sizeof bytes, bytes, sizeof bytes, why);
    if (err == ERR_OK)
        err = image_footer_decode(bytes, reader->chain.seed, &reader->facts.mark, footer, why);
    if (err != ERR_OK) return err;
    reader->facts.keys = footer->keys;
    reader->facts.digest = footer->digest;
    reader->facts.chunks = footer->chunks;
    reader->facts.records = footer->records;
    reader->facts.bytes = source->size;
    reader->facts.checksum = footer->checksum;
    reader->footed = true;
    return ERR_OK;
}

struct image_reader *image_open_early(struct image_source *source)
{
    struct image_reader *reader = memory_zeroed(1, sizeof *reader);
    reader->source = source;
    buffer_init(&reader->chunk);
    buffer_init(&reader->place);
    return reader;
}

void image_arrived(struct image_reader *reader, uint64_t there)
{
    MUST(there >= reader->there);
    reader->there = there;
}

enum err image_open(struct image_reader **out, struct image_source *source, struct why *why)
{
    *out = NULL;
    struct image_reader *reader = image_open_early(source);
    reader->there = UINT64_MAX;
    enum err err = read_header(reader, why);
    if (err == ERR_OK) err = read_footer(reader, why);
    if (err != ERR_OK) {
        image_close(reader);
        return err;
    }
    *out = reader;
    return ERR_OK;
}

const struct image_facts *image_facts(const struct image_reader *reader)
{
    return &reader->facts;
}

static enum err bad_chunk(const struct image_reader *reader, const char *what, struct why *why)
{
    return why_fail(why, ERR_CORRUPT, "chunk %" PRIu64 " at offset %" PRIu64 ": %s",
                    reader->chain.chunks, reader->chain.offset, what);
}

/* A large one is read twice, for no memory is taken because of a size that is not proven. */
static enum err prove_large(const struct image_reader *reader, const uint8_t *head_bytes,
                            const struct image_chunk_head *head, struct why *why)
{
    struct image_source *source = reader->source;
    uint64_t offset = reader->chain.offset + IMAGE_CHUNK_HEAD_BYTES, left = head->size;
    struct checksum_stream *stream = checksum_stream_open();
    uint8_t *piece = memory_alloc(IMAGE_CHUNK_BYTES);
    enum err err = ERR_OK;
    image_chunk_hash(head_bytes, &reader->chain, stream);
    while (err == ERR_OK && left > 0) {
        uint64_t size = left < IMAGE_CHUNK_BYTES ? left : IMAGE_CHUNK_BYTES;
        err = source->read(source, offset, piece, size, why);
        if (err == ERR_OK) checksum_stream_add(stream, bytes_of(piece, (size_t)size));
        offset += size;
        left -= size;
    }
    if (err == ERR_OK && checksum_stream_value(stream) != head->checksum)
        err = bad_chunk(reader, "it has another checksum", why);
    memory_free(piece);
    checksum_stream_close(stream);
    return err;
}

static enum err read_chunk(struct image_reader *reader, struct why *why)
{
    struct image_source *source = reader->source;
    struct image_chain *chain = &reader->chain;
    uint64_t left = source->size - IMAGE_FOOTER_BYTES - chain->offset;
    if (left < IMAGE_CHUNK_HEAD_BYTES) return bad_chunk(reader, "it is cut", why);
    if (chain->offset + IMAGE_CHUNK_HEAD_BYTES > reader->there) return ERR_PENDING;
    uint8_t bytes[IMAGE_CHUNK_HEAD_BYTES];
    struct image_chunk_head head;
    enum err err = source->read(source, chain->offset, bytes, sizeof bytes, why);
    if (err != ERR_OK) return err;
    if (!image_chunk_head_decode(bytes, &head) || head.size > left - sizeof bytes)
        return bad_chunk(reader, "it does not begin as a chunk does", why);
    if (chain->offset + sizeof bytes + head.size > reader->there) return ERR_PENDING;
    if (head.size > 2 * IMAGE_CHUNK_BYTES) err = prove_large(reader, bytes, &head, why);
    if (err != ERR_OK) return err;
    buffer_clear(&reader->chunk);
    buffer_append(&reader->chunk, bytes_of(bytes, sizeof bytes));
    uint8_t *body = buffer_reserve(&reader->chunk, (size_t)head.size);
    err = source->read(source, chain->offset + sizeof bytes, body, head.size, why);
    if (err != ERR_OK) return err;
    if (!image_chunk_check(reader->chunk.data, &head, chain))
        return bad_chunk(reader, "it has another checksum, or no whole records", why);
    reader->body = bytes_of(reader->chunk.data + sizeof bytes, (size_t)head.size);
    return ERR_OK;
}

/* ERR_NOT_FOUND: there is no more chunk, and all is right. */
static enum err next_chunk(struct image_reader *reader, struct why *why)
{
    enum err err = reader->headed ? ERR_OK : read_header(reader, why);
    if (err != ERR_OK) return err;
    bool ended = reader->chain.offset == reader->source->size - IMAGE_FOOTER_BYTES;
    if (!ended) return read_chunk(reader, why);
    if (!reader->footed) err = read_footer(reader, why);
    if (err == ERR_OK) err = image_footer_check(&reader->footer, &reader->chain, why);
    return err == ERR_OK ? ERR_NOT_FOUND : err;
}

enum err image_next(struct image_reader *reader, struct bytes *key, struct bytes *value,
                    struct why *why)
{
    if (reader->body.size == 0) {
        enum err err = next_chunk(reader, why);
        if (err != ERR_OK) return err;
    }
    bool there = image_record_take(&reader->body, key, value);
    MUST(there); /* image_chunk_check has been over it */
    if (reader->begun && bytes_compare(buffer_bytes(&reader->place), *key) >= 0) {
        return why_fail(why, ERR_CORRUPT, "the chunk before offset %" PRIu64 ": keys do not ascend",
                        reader->chain.offset);
    }
    buffer_clear(&reader->place);
    buffer_append(&reader->place, *key);
    reader->begun = true;
    return ERR_OK;
}

uint64_t image_offset(const struct image_reader *reader)
{
    return reader->chain.offset;
}

void image_close(struct image_reader *reader)
{
    if (reader == NULL) return;
    image_facts_release(&reader->facts);
    buffer_release(&reader->chunk);
    buffer_release(&reader->place);
    memory_free(reader);
}

/* --- Files --- */

static enum err file_read(struct image_source *source, uint64_t offset, void *data, uint64_t size,
                          struct why *why)
{
    struct image_file *image = CONTAINER_OF(source, struct image_file, source);
    struct disk_request read = {
        .op = DISK_READ, .file = image->file, .offset = offset, .data = data, .size = size};
    enum err err = disk_run(image->disk, &read);
    if (err != ERR_OK) return why_fail(why, err, "%s", read.why.text);
    if (read.moved == size) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the file ends at offset %" PRIu64, offset + read.moved);
}

enum err image_file_open(struct image_file *image, struct disk *disk, const char *path,
                         struct why *why)
{
    struct disk_request open = {.op = DISK_OPEN, .path = path, .read_only = true};
    enum err err = disk_run(disk, &open);
    if (err != ERR_OK) return why_fail(why, err, "%s: %s", path, open.why.text);
    *image = (struct image_file){
        .source = {.read = file_read, .size = open.size}, .disk = disk, .file = open.file};
    return ERR_OK;
}

void image_file_close(struct image_file *image)
{
    struct disk_request close = {.op = DISK_CLOSE, .file = image->file};
    (void)disk_run(image->disk, &close);
}
