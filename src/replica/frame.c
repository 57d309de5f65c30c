/* SPDX-License-Identifier: Apache-2.0 */
/* A header has its own checksum, so a flipped bit in a length is noticed at once and not after as
 * many bytes as it says. The payload's checksum stands in the header, and is covered by the
 * header's. Nothing is handed out that was not checked. */
#include "replica/frame.h"

#include "base/checksum.h"

enum {
    MAGIC = 0x31536474, /* "tdS1" */
    OFFSET_CHECKSUM = FRAME_HEADER_BYTES - 8,
};

const char *frame_name(enum frame_type type)
{
    static const char *const names[FRAME_TYPES] = {
        [FRAME_CHALLENGE] = "challenge",
        [FRAME_PROOF] = "proof",
        [FRAME_HELLO] = "hello",
        [FRAME_VERDICT] = "verdict",
        [FRAME_ENTRIES] = "entries",
        [FRAME_ACK] = "ack",
        [FRAME_WATERMARKS] = "watermarks",
        [FRAME_IMAGE_OFFER] = "image_offer",
        [FRAME_IMAGE_CHUNK] = "image_chunk",
        [FRAME_IMAGE_DONE] = "image_done",
        [FRAME_IMAGE_ACK] = "image_ack",
        [FRAME_PROMISE_REQUEST] = "promise_request",
        [FRAME_PROMISE_ANSWER] = "promise_answer",
        [FRAME_STAMP] = "stamp",
        [FRAME_PING] = "ping",
        [FRAME_BYE] = "bye",
    };
    return type > 0 && type < FRAME_TYPES ? names[type] : "unknown";
}

size_t frame_begin(struct buffer *out)
{
    size_t begin = out->size;
    memset(buffer_reserve(out, FRAME_HEADER_BYTES), 0, FRAME_HEADER_BYTES);
    out->size += FRAME_HEADER_BYTES;
    return begin;
}

void frame_seal(struct buffer *out, size_t begin, const struct frame_head *head)
{
    MUST(out->size >= begin + FRAME_HEADER_BYTES);
    uint8_t *at = out->data + begin;
    size_t size = out->size - begin - FRAME_HEADER_BYTES;
    MUST(size <= FRAME_PAYLOAD_BYTES_MAX);
    store_le32(at, MAGIC);
    at[4] = FRAME_FORMAT;
    at[5] = (uint8_t)head->type;
    store_le32(at + 8, (uint32_t)size);
    store_le32(at + 12, head->shard);
    store_le64(at + 16, head->cluster);
    store_le64(at + 24, head->epoch.number);
    store_le64(at + 32, head->epoch.copy);
    store_le64(at + 40, head->session);
    store_le64(at + 48, checksum64(bytes_of(at + FRAME_HEADER_BYTES, size), 0));
    store_le64(at + OFFSET_CHECKSUM, checksum64(bytes_of(at, OFFSET_CHECKSUM), 0));
}

void frame_reader_init(struct frame_reader *reader)
{
    *reader = (struct frame_reader){.payload_max = FRAME_STRANGER_BYTES_MAX};
    buffer_init(&reader->held);
}

void frame_reader_release(struct frame_reader *reader)
{
    buffer_release(&reader->held);
}

static size_t payload_max(const struct frame_reader *reader, enum frame_type type)
{
    size_t max = type == FRAME_ENTRIES || type == FRAME_IMAGE_CHUNK ? FRAME_PAYLOAD_BYTES_MAX
                                                                    : FRAME_CONTROL_BYTES_MAX;
    return max < reader->payload_max ? max : reader->payload_max;
}

static enum err header_check(const struct frame_reader *reader, const uint8_t *at, struct why *why)
{
    if (load_le32(at) != MAGIC && !reader->begun)
        return why_fail(why, ERR_PROTOCOL, "not a session of copies");
    if (load_le64(at + OFFSET_CHECKSUM) != checksum64(bytes_of(at, OFFSET_CHECKSUM), 0))
        return why_fail(why, ERR_CORRUPT, "a frame's header is damaged");
    if (at[4] > FRAME_FORMAT)
        return why_fail(why, ERR_REFUSED, "format %u is later than %d", at[4], FRAME_FORMAT);
    if (at[4] != FRAME_FORMAT || load_le16(at + 6) != 0)
        return why_fail(why, ERR_PROTOCOL, "a frame's header has bytes that mean nothing");
    if (at[5] == 0 || at[5] >= FRAME_TYPES)
        return why_fail(why, ERR_PROTOCOL, "frame type %u is unknown", at[5]);
    enum frame_type type = (enum frame_type)at[5];
    if (load_le32(at + 8) > payload_max(reader, type))
        return why_fail(why, ERR_PROTOCOL, "a frame %s of %u bytes is too long", frame_name(type),
                        load_le32(at + 8));
    return ERR_OK;
}

static enum err frame_open(const uint8_t *at, struct frame *frame, struct why *why)
{
    struct bytes payload = bytes_of(at + FRAME_HEADER_BYTES, load_le32(at + 8));
    if (load_le64(at + 48) != checksum64(payload, 0))
        return why_fail(why, ERR_CORRUPT, "a frame %s is damaged",
                        frame_name((enum frame_type)at[5]));
    frame->head = (struct frame_head){.type = (enum frame_type)at[5],
                                      .shard = load_le32(at + 12),
                                      .cluster = load_le64(at + 16),
                                      .epoch = {load_le64(at + 24), load_le64(at + 32)},
                                      .session = load_le64(at + 40)};
    frame->payload = payload;
    return ERR_OK;
}

/* Moves bytes over until `size` are held; false: there were too few. */
static bool hold(struct frame_reader *reader, struct bytes *in, size_t size)
{
    size_t missing = reader->held.size < size ? size - reader->held.size : 0;
    size_t moved = missing < in->size ? missing : in->size;
    if (moved > 0) buffer_append(&reader->held, bytes_of(in->data, moved));
    *in = bytes_of(in->data + moved, in->size - moved);
    return moved == missing;
}

static enum err take(struct frame_reader *reader, struct bytes *in, struct frame *frame,
                     struct why *why)
{
    if (reader->held.size == 0 && in->size >= FRAME_HEADER_BYTES) {
        /* Whole in one piece, as nearly always: nothing is copied. */
        enum err err = header_check(reader, in->data, why);
        if (err != ERR_OK) return err;
        size_t size = FRAME_HEADER_BYTES + load_le32(in->data + 8);
        if (in->size >= size) {
            const uint8_t *at = in->data;
            *in = bytes_of(at + size, in->size - size);
            return frame_open(at, frame, why);
        }
    }
    if (reader->held.size < FRAME_HEADER_BYTES) {
        if (!hold(reader, in, FRAME_HEADER_BYTES)) return ERR_PENDING;
        enum err err = header_check(reader, reader->held.data, why);
        if (err != ERR_OK) return err;
    }
    if (!hold(reader, in, FRAME_HEADER_BYTES + load_le32(reader->held.data + 8)))
        return ERR_PENDING;
    return frame_open(reader->held.data, frame, why);
}

enum { HELD_BYTES_KEPT = 1 << 16 };

enum err frame_take(struct frame_reader *reader, struct bytes *in, struct frame *frame,
                    struct why *why)
{
    if (reader->over) return why_fail(why, ERR_SHUT, "nothing is read after a bad frame");
    if (reader->held.size >= FRAME_HEADER_BYTES &&
        reader->held.size == FRAME_HEADER_BYTES + (size_t)load_le32(reader->held.data + 8)) {
        buffer_clear(&reader->held); /* it was handed out by the call before */
        buffer_shrink(&reader->held, HELD_BYTES_KEPT);
    }
    if (in->size == 0) return ERR_PENDING;
    enum err err = take(reader, in, frame, why);
    reader->begun = reader->begun || err == ERR_OK;
    reader->over = err != ERR_OK && err != ERR_PENDING;
    return err;
}
