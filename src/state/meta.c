/* SPDX-License-Identifier: Apache-2.0 */
#include "state/meta.h"

#include "base/memory.h"
#include "command/command.h"
#include "seam/copies.h"

enum {
    META_FORMAT = 3,
    META_EPOCH_BYTES = 32,
    META_DATABASE_BYTES = 40,
    META_EFFECTS_BYTES = 18,
    META_FOLLOWED_BYTES = 1 + FOLLOWED_BYTES,
    META_FIXED_BYTES = 1 + MARK_ENCODED_BYTES + 8 + 8 + DATABASES * META_DATABASE_BYTES +
                       META_EFFECTS_BYTES + META_FOLLOWED_BYTES + 4,
    META_MEMBERS_HEAD_BYTES = 4,
    META_CHECKSUM_BYTES = 8,
};

void meta_init(struct meta *meta, const struct mark *mark)
{
    *meta = (struct meta){
        .mark = *mark, .namespaces = DATABASES, .effects.database = EFFECTS_DATABASE_NONE};
    for (unsigned i = 0; i < DATABASES; i++) meta->databases[i].namespace = i + 1;
}

struct digest meta_digest(const struct meta_database databases[DATABASES])
{
    struct digest total = {0};
    for (unsigned i = 0; i < DATABASES; i++) {
        if (databases[i].keys == 0) continue;
        uint8_t leaf[1 + DIGEST_ENCODED_BYTES] = {(uint8_t)i};
        digest_encode(databases[i].sum, leaf + 1);
        total = digest_add(total, digest_of(bytes_of(leaf, sizeof leaf)));
    }
    return total;
}

void meta_encode(const struct meta *meta, struct buffer *out)
{
    MUST(meta->epoch_count <= META_EPOCHS_MAX && meta->members.size <= PAYLOAD_MEMBERS_BYTES_MAX);
    buffer_clear(out);
    buffer_append_byte(out, META_FORMAT);
    uint8_t mark[MARK_ENCODED_BYTES];
    mark_encode(&meta->mark, mark);
    buffer_append(out, bytes_of(mark, sizeof mark));
    buffer_append_le64(out, meta->stamp.bits);
    buffer_append_le64(out, meta->namespaces);
    for (unsigned i = 0; i < DATABASES; i++) {
        const struct meta_database *database = &meta->databases[i];
        uint8_t sum[DIGEST_ENCODED_BYTES];
        digest_encode(database->sum, sum);
        buffer_append_le64(out, database->namespace);
        buffer_append_le64(out, database->keys);
        buffer_append_le64(out, database->expires);
        buffer_append(out, bytes_of(sum, sizeof sum));
    }
    buffer_append_byte(out, meta->effects.on ? 1 : 0);
    buffer_append_byte(out, meta->effects.database);
    buffer_append_le64(out, meta->effects.first);
    buffer_append_le64(out, meta->effects.end);
    uint8_t followed[META_FOLLOWED_BYTES] = {meta->followed.known ? 1 : 0};
    if (meta->followed.known) followed_encode(&meta->followed, followed + 1);
    buffer_append(out, bytes_of(followed, sizeof followed));
    buffer_append_le32(out, (uint32_t)meta->epoch_count);
    for (size_t i = 0; i < meta->epoch_count; i++) {
        buffer_append_le64(out, meta->epochs[i].epoch.number);
        buffer_append_le64(out, meta->epochs[i].epoch.copy);
        buffer_append_le64(out, meta->epochs[i].first.at);
        buffer_append_le64(out, meta->epochs[i].stream_offset);
    }
    buffer_append_le32(out, (uint32_t)meta->members.size);
    buffer_append(out, meta->members);
    buffer_append_le64(out, checksum64(buffer_bytes(out), 0));
}

static void decode_databases(const uint8_t *at, struct meta *meta)
{
    for (unsigned i = 0; i < DATABASES; i++, at += META_DATABASE_BYTES) {
        meta->databases[i] = (struct meta_database){.namespace = load_le64(at),
                                                    .keys = load_le64(at + 8),
                                                    .expires = load_le64(at + 16),
                                                    .sum = digest_decode(at + 24)};
    }
}

static enum err check_databases(const struct meta *meta, struct why *why)
{
    for (unsigned i = 0; i < DATABASES; i++) {
        const struct meta_database *database = &meta->databases[i];
        bool sound = database->namespace > 0 && database->namespace <= meta->namespaces &&
                     database->expires <= database->keys;
        for (unsigned j = 0; j < i; j++) {
            if (meta->databases[j].namespace == database->namespace) sound = false;
        }
        if (!sound)
            return why_fail(why, ERR_CORRUPT, "the meta record: database %u is not sound", i);
    }
    return ERR_OK;
}

static enum err decode_effects(const uint8_t *at, struct effects_place *place, struct why *why)
{
    *place = (struct effects_place){
        .on = at[0] == 1, .database = at[1], .first = load_le64(at + 2), .end = load_le64(at + 10)};
    bool selected = place->database < DATABASES;
    bool sound = at[0] <= 1 && place->first <= place->end && (place->on || !selected) &&
                 (selected || place->database == EFFECTS_DATABASE_NONE) &&
                 (place->on ? place->first > 0 : place->first == place->end);
    if (sound) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the meta record: the stream of effects is not sound");
}

static enum err decode_followed(const uint8_t *at, struct followed *place, struct why *why)
{
    static const uint8_t none[META_FOLLOWED_BYTES] = {0};
    *place = (struct followed){.known = false};
    if (memcmp(at, none, sizeof none) == 0) return ERR_OK;
    if (at[0] == 1 && followed_decode(at + 1, place)) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the meta record: the place that it follows is not sound");
}

/* The parts at the end whose length varies; false: they do not fill it. */
static bool find_tail(struct bytes tail, uint32_t epochs, struct bytes *members)
{
    if (epochs > META_EPOCHS_MAX) return false;
    size_t head = (size_t)epochs * META_EPOCH_BYTES + META_MEMBERS_HEAD_BYTES;
    if (tail.size < head) return false;
    *members = bytes_of(tail.data + head, tail.size - head);
    return load_le32(members->data - META_MEMBERS_HEAD_BYTES) == members->size;
}

/* In one piece of memory. */
static void decode_tail(const uint8_t *at, size_t epochs, struct bytes members, struct meta *meta)
{
    size_t size = epochs * sizeof *meta->epochs;
    meta->epochs = memory_alloc(size + members.size + 1);
    meta->epoch_count = epochs;
    for (size_t i = 0; i < epochs; i++, at += META_EPOCH_BYTES) {
        meta->epochs[i] = (struct epoch_start){.epoch = {load_le64(at), load_le64(at + 8)},
                                               .first = {load_le64(at + 16)},
                                               .stream_offset = load_le64(at + 24)};
    }
    uint8_t *copy = (uint8_t *)meta->epochs + size;
    if (members.size > 0) memcpy(copy, members.data, members.size);
    meta->members = bytes_of(copy, members.size);
}

static enum err check_members(struct bytes members, struct why *why)
{
    struct members read;
    if (members.size == 0 || payload_members(members, &read) == ERR_OK) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the meta record: the copies that it names do not read");
}

enum err meta_decode(struct bytes value, struct meta *meta, struct why *why)
{
    *meta = (struct meta){0};
    if (value.size > 0 && value.data[0] > META_FORMAT) {
        return why_fail(why, ERR_REFUSED, "the meta record is of format %u; this program knows %u",
                        (unsigned)value.data[0], (unsigned)META_FORMAT);
    }
    if (value.size < META_FIXED_BYTES + META_MEMBERS_HEAD_BYTES + META_CHECKSUM_BYTES ||
        value.data[0] != META_FORMAT) {
        return why_fail(why, ERR_CORRUPT, "the meta record is not of a format that is known here");
    }
    size_t body = value.size - META_CHECKSUM_BYTES;
    const uint8_t *at = value.data + META_FIXED_BYTES;
    uint32_t epochs = load_le32(at - 4);
    struct bytes members;
    if (load_le64(value.data + body) != checksum64(bytes_of(value.data, body), 0) ||
        !find_tail(bytes_of(at, body - META_FIXED_BYTES), epochs, &members)) {
        return why_fail(why, ERR_CORRUPT, "the meta record: its checksum does not fit");
    }
    mark_decode(value.data + 1, &meta->mark);
    meta->stamp = (struct stamp){load_le64(value.data + 1 + MARK_ENCODED_BYTES)};
    meta->namespaces = load_le64(value.data + 1 + MARK_ENCODED_BYTES + 8);
    decode_databases(value.data + 1 + MARK_ENCODED_BYTES + 16, meta);
    enum err err = check_databases(meta, why);
    const uint8_t *followed = at - 4 - META_FOLLOWED_BYTES;
    if (err == ERR_OK) err = decode_effects(followed - META_EFFECTS_BYTES, &meta->effects, why);
    if (err == ERR_OK) err = decode_followed(followed, &meta->followed, why);
    if (err == ERR_OK) err = check_members(members, why);
    if (err == ERR_OK) decode_tail(at, epochs, members, meta);
    return err;
}
