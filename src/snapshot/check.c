/* SPDX-License-Identifier: Apache-2.0 */
/* The check: every byte is under a checksum, and every checksum under the footer's chain, so bytes
 * that pass are those that the keeper wrote. What stands in the chunks is not looked at: that
 * depends on the writer, not on the disk, and the reader does it.
 *
 *   HEADER_FIXED --> HEADER --> CHUNK_HEAD <--> CHUNK_BODY, any number of them --> FOOTER --> ENDED
 */
#include "snapshot/check.h"

#include <inttypes.h>

#include "base/checksum.h"
#include "base/memory.h"

enum check_part {
    PART_HEADER_FIXED,
    PART_HEADER,
    PART_CHUNK_HEAD,
    PART_CHUNK_BODY,
    PART_FOOTER,
    PART_ENDED,
};

struct image_check {
    uint64_t size; /* of the file */
    enum check_part part;
    uint64_t left;      /* of the part: bytes that are to come */
    struct buffer held; /* what has come of it; not of a body, which is hashed as it comes */
    struct checksum_stream *body;
    struct image_chunk_head head;
    struct image_facts facts; /* of the header */
    struct image_chain chain;
    enum err err;
    struct why why;
};

static enum err bad(struct image_check *check, const char *what)
{
    return why_fail(&check->why, ERR_CORRUPT, "at offset %" PRIu64 ": %s", check->chain.offset,
                    what);
}

static void begin_part(struct image_check *check, enum check_part part, uint64_t size)
{
    check->part = part;
    check->left = size;
    if (part != PART_HEADER) buffer_clear(&check->held);
}

static enum err end_header_fixed(struct image_check *check)
{
    size_t size = 0;
    enum err err = image_header_size(check->held.data, &size, &check->why);
    if (err != ERR_OK) return err;
    if (size > check->size - IMAGE_FOOTER_BYTES)
        return bad(check, "the file is shorter than its header says");
    begin_part(check, PART_HEADER, size - IMAGE_HEADER_FIXED_BYTES);
    return ERR_OK;
}

/* A chunk, or the footer, begins where the chain stands. */
static enum err begin_next(struct image_check *check)
{
    uint64_t left = check->size - IMAGE_FOOTER_BYTES - check->chain.offset;
    if (left == 0) begin_part(check, PART_FOOTER, IMAGE_FOOTER_BYTES);
    else if (left < IMAGE_CHUNK_HEAD_BYTES) return bad(check, "the chunk is cut");
    else begin_part(check, PART_CHUNK_HEAD, IMAGE_CHUNK_HEAD_BYTES);
    return ERR_OK;
}

static enum err end_header(struct image_check *check)
{
    enum err err = image_header_decode(buffer_bytes(&check->held), &check->facts, &check->chain,
                                       &check->why);
    return err == ERR_OK ? begin_next(check) : err;
}

static enum err end_chunk_head(struct image_check *check)
{
    uint64_t left = check->size - IMAGE_FOOTER_BYTES - check->chain.offset - IMAGE_CHUNK_HEAD_BYTES;
    if (!image_chunk_head_decode(check->held.data, &check->head) || check->head.size > left)
        return bad(check, "this does not begin as a chunk does");
    image_chunk_hash(check->held.data, &check->chain, check->body);
    begin_part(check, PART_CHUNK_BODY, check->head.size);
    return ERR_OK;
}

static enum err end_chunk_body(struct image_check *check)
{
    if (checksum_stream_value(check->body) != check->head.checksum)
        return bad(check, "the chunk has another checksum");
    image_chunk_pass(&check->chain, &check->head);
    return begin_next(check);
}

static enum err end_footer(struct image_check *check)
{
    struct image_footer footer;
    enum err err = image_footer_decode(check->held.data, check->chain.seed, &check->facts.mark,
                                       &footer, &check->why);
    if (err == ERR_OK) err = image_footer_check(&footer, &check->chain, &check->why);
    if (err == ERR_OK) check->facts.checksum = footer.checksum;
    begin_part(check, PART_ENDED, 0);
    return err;
}

static enum err end_part(struct image_check *check)
{
    switch (check->part) {
    case PART_HEADER_FIXED: return end_header_fixed(check);
    case PART_HEADER: return end_header(check);
    case PART_CHUNK_HEAD: return end_chunk_head(check);
    case PART_CHUNK_BODY: return end_chunk_body(check);
    case PART_FOOTER: return end_footer(check);
    case PART_ENDED: break;
    }
    return bad(check, "the file goes on behind the footer");
}

struct image_check *image_check_open(uint64_t size)
{
    struct image_check *check = memory_zeroed(1, sizeof *check);
    check->size = size;
    check->body = checksum_stream_open();
    buffer_init(&check->held);
    begin_part(check, PART_HEADER_FIXED, IMAGE_HEADER_FIXED_BYTES);
    if (size < IMAGE_BYTES_MIN) check->err = bad(check, "the file is too short for an image");
    return check;
}

enum err image_check_add(struct image_check *check, struct bytes bytes, struct why *why)
{
    while (check->err == ERR_OK && bytes.size > 0) {
        size_t size = bytes.size < check->left ? bytes.size : (size_t)check->left;
        struct bytes piece = bytes_of(bytes.data, size);
        if (check->part == PART_CHUNK_BODY) checksum_stream_add(check->body, piece);
        else buffer_append(&check->held, piece);
        bytes = bytes_of(bytes.data + size, bytes.size - size);
        check->left -= size;
        if (check->left == 0) check->err = end_part(check);
    }
    return check->err == ERR_OK ? ERR_OK : why_fail(why, check->err, "%s", check->why.text);
}

enum err image_check_end(struct image_check *check, struct why *why)
{
    if (check->err == ERR_OK && check->part != PART_ENDED)
        check->err = bad(check, "the file ends too early");
    return check->err == ERR_OK ? ERR_OK : why_fail(why, check->err, "%s", check->why.text);
}

const struct image_facts *image_check_facts(const struct image_check *check)
{
    MUST(check->part == PART_ENDED && check->err == ERR_OK);
    return &check->facts;
}

void image_check_close(struct image_check *check)
{
    if (check == NULL) return;
    image_facts_release(&check->facts);
    checksum_stream_close(check->body);
    buffer_release(&check->held);
    memory_free(check);
}
