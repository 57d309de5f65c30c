/* SPDX-License-Identifier: Apache-2.0 */
/* The entries that compare copies: what a digest was, and where copies are to be compared; and
 * those that a primary of another make has caused. */
#include "seam/entry.h"

enum {
    STAMP_BYTES = 1 + MARK_ENCODED_BYTES + DIGEST_ENCODED_BYTES,
    VERIFY_BYTES = 1 + 8 + 8 + 4,
};

void entry_put_stamp(struct buffer *out, const struct stamped *stamped)
{
    uint8_t at[STAMP_BYTES] = {ENTRY_STAMP};
    mark_encode(&stamped->mark, at + 1);
    digest_encode(stamped->digest, at + 1 + MARK_ENCODED_BYTES);
    buffer_append(out, bytes_of(at, sizeof at));
}

enum err entry_take_stamp(struct bytes payload, struct stamped *out)
{
    if (payload.size != STAMP_BYTES || payload.data[0] != ENTRY_STAMP) return ERR_CORRUPT;
    mark_decode(payload.data + 1, &out->mark);
    out->digest = digest_decode(payload.data + 1 + MARK_ENCODED_BYTES);
    return ERR_OK;
}

void entry_put_verify(struct buffer *out, const struct verify_point *point)
{
    MUST(point->ranges >= 1 && point->ranges <= VERIFY_RANGES_MAX);
    buffer_append_byte(out, ENTRY_VERIFY);
    buffer_append_le64(out, point->id);
    buffer_append_le64(out, point->salt);
    buffer_append_le32(out, point->ranges);
}

enum err entry_take_verify(struct bytes payload, struct verify_point *out)
{
    if (payload.size != VERIFY_BYTES || payload.data[0] != ENTRY_VERIFY) return ERR_CORRUPT;
    uint32_t ranges = load_le32(payload.data + 17);
    if (ranges < 1 || ranges > VERIFY_RANGES_MAX) return ERR_CORRUPT;
    *out = (struct verify_point){load_le64(payload.data + 1), load_le64(payload.data + 9), ranges};
    return ERR_OK;
}

void entry_make_followed(struct buffer *payload, const struct followed *place)
{
    uint8_t at[FOLLOWED_BYTES];
    MUST(payload->size > 0 && payload->data[0] == ENTRY_TRANSACTION);
    followed_encode(place, at);
    payload->data[0] = ENTRY_FOLLOWED;
    buffer_append(payload, bytes_of(at, sizeof at));
}

enum err entry_take_followed(struct bytes payload, struct followed *out)
{
    *out = (struct followed){.known = false};
    if (payload.size < 1 + FOLLOWED_BYTES || payload.data[0] != ENTRY_FOLLOWED) return ERR_CORRUPT;
    const uint8_t *at = payload.data + payload.size - FOLLOWED_BYTES;
    return followed_decode(at, out) ? ERR_OK : ERR_CORRUPT;
}
