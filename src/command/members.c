/* SPDX-License-Identifier: Apache-2.0 */
/* members: the copies and the rule of commits as an entry carries them (docs/formats/payload.md):
 *
 *     kind u8, mode u8, min_in_sync u8, count u8, then so many of:
 *     copy      id le64, counts u8, peer, redis
 *     address   length u8, bytes
 */
#include "base/must.h"
#include "command/command.h"
#include "seam/copies.h"
#include "seam/entry.h"

enum { MEMBERS_HEAD_BYTES = 4, MEMBER_HEAD_BYTES = 9 };

_Static_assert(PAYLOAD_MEMBERS_BYTES_MAX ==
                   MEMBERS_HEAD_BYTES + COPIES_MAX * (MEMBER_HEAD_BYTES + 2 * COPY_ADDRESS_BYTES),
               "the longest there can be");
_Static_assert(COPY_ADDRESS_BYTES - 1 <= UINT8_MAX, "a length is one byte");

/* An address goes into lines for people and for clients: no space, no control byte. */
static bool is_address(struct bytes text)
{
    if (text.size >= COPY_ADDRESS_BYTES) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') return false;
    }
    return true;
}

static bool is_rule(const struct members *members)
{
    return members->min_in_sync >= 1 && members->min_in_sync <= COPIES_MAX &&
           members->count <= COPIES_MAX;
}

/* The id of at[i] is one, and no other's before it. */
static bool is_new_id(const struct members *members, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (members->at[j].id == members->at[i].id) return false;
    }
    return members->at[i].id != 0;
}

static void put_address(struct buffer *out, const char at[COPY_ADDRESS_BYTES])
{
    struct bytes text = bytes_of(at, strnlen(at, COPY_ADDRESS_BYTES));
    if (!is_address(text)) text.size = 0; /* a peer may have said it */
    buffer_append_byte(out, (uint8_t)text.size);
    buffer_append(out, text);
}

void payload_put_members(struct buffer *out, const struct members *members)
{
    MUST(is_rule(members));
    buffer_append_byte(out, ENTRY_MEMBERS);
    buffer_append_byte(out, members->all ? 1 : 0);
    buffer_append_byte(out, (uint8_t)members->min_in_sync);
    buffer_append_byte(out, (uint8_t)members->count);
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->at[i];
        MUST(is_new_id(members, i));
        buffer_append_le64(out, member->id);
        buffer_append_byte(out, member->counts ? 1 : 0);
        put_address(out, member->peer);
        put_address(out, member->redis);
    }
}

static bool take_address(struct bytes *rest, char at[COPY_ADDRESS_BYTES])
{
    if (rest->size < 1 || rest->data[0] > rest->size - 1) return false;
    struct bytes text = bytes_of(rest->data + 1, rest->data[0]);
    if (!is_address(text)) return false;
    if (text.size > 0) memcpy(at, text.data, text.size);
    *rest = bytes_of(text.data + text.size, rest->size - 1 - text.size);
    return true;
}

static bool take_member(struct bytes *rest, struct member *member)
{
    if (rest->size < MEMBER_HEAD_BYTES || rest->data[8] > 1) return false;
    member->id = load_le64(rest->data);
    member->counts = rest->data[8] == 1;
    *rest = bytes_of(rest->data + MEMBER_HEAD_BYTES, rest->size - MEMBER_HEAD_BYTES);
    return take_address(rest, member->peer) && take_address(rest, member->redis);
}

enum err payload_members(struct bytes payload, struct members *out)
{
    *out = (struct members){.count = 0};
    if (payload.size < MEMBERS_HEAD_BYTES || payload.data[0] != ENTRY_MEMBERS) return ERR_CORRUPT;
    struct members read = {
        .all = payload.data[1] == 1, .min_in_sync = payload.data[2], .count = payload.data[3]};
    if (payload.data[1] > 1 || !is_rule(&read)) return ERR_CORRUPT;
    struct bytes rest = bytes_of(payload.data + MEMBERS_HEAD_BYTES,
                                 payload.size - MEMBERS_HEAD_BYTES);
    for (size_t i = 0; i < read.count; i++) {
        if (!take_member(&rest, &read.at[i]) || !is_new_id(&read, i)) return ERR_CORRUPT;
    }
    if (rest.size > 0) return ERR_CORRUPT;
    *out = read;
    return ERR_OK;
}
