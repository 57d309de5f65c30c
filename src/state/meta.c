/* SPDX-License-Identifier: Apache-2.0 */
#include "state/meta.h"

#include "base/memory.h"

enum {
    META_FORMAT = 1,
    META_EPOCH_BYTES = 24,
    META_DATABASE_BYTES = 40,
    META_FIXED_BYTES = 1 + MARK_ENCODED_BYTES + 8 + 8 + DATABASES * META_DATABASE_BYTES + 4,
    META_CHECKSUM_BYTES = 8,
};

void meta_init(struct meta *meta, const struct mark *mark)
{
    *meta = (struct meta){.mark = *mark, .namespaces = DATABASES};
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
    MUST(meta->epoch_count <= META_EPOCHS_MAX);
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
    buffer_append_le32(out, (uint32_t)meta->epoch_count);
    for (size_t i = 0; i < meta->epoch_count; i++) {
        buffer_append_le64(out, meta->epochs[i].epoch.number);
        buffer_append_le64(out, meta->epochs[i].epoch.copy);
        buffer_append_le64(out, meta->epochs[i].first.at);
    }
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

enum err meta_decode(struct bytes value, struct meta *meta, struct why *why)
{
    *meta = (struct meta){0};
    if (value.size > 0 && value.data[0] > META_FORMAT) {
        return why_fail(why, ERR_REFUSED, "the meta record is of format %u; this program knows %u",
                        (unsigned)value.data[0], (unsigned)META_FORMAT);
    }
    if (value.size < META_FIXED_BYTES + META_CHECKSUM_BYTES || value.data[0] != META_FORMAT) {
        return why_fail(why, ERR_CORRUPT, "the meta record is not of a format that is known here");
    }
    size_t body = value.size - META_CHECKSUM_BYTES;
    const uint8_t *at = value.data + META_FIXED_BYTES;
    uint32_t epochs = load_le32(at - 4);
    if (load_le64(value.data + body) != checksum64(bytes_of(value.data, body), 0) ||
        body != META_FIXED_BYTES + (size_t)epochs * META_EPOCH_BYTES || epochs > META_EPOCHS_MAX) {
        return why_fail(why, ERR_CORRUPT, "the meta record: its checksum does not fit");
    }
    mark_decode(value.data + 1, &meta->mark);
    meta->stamp = (struct stamp){load_le64(value.data + 1 + MARK_ENCODED_BYTES)};
    meta->namespaces = load_le64(value.data + 1 + MARK_ENCODED_BYTES + 8);
    decode_databases(value.data + 1 + MARK_ENCODED_BYTES + 16, meta);
    enum err err = check_databases(meta, why);
    if (err != ERR_OK) return err;
    meta->epochs = memory_alloc((epochs > 0 ? epochs : 1) * sizeof *meta->epochs);
    meta->epoch_count = epochs;
    for (size_t i = 0; i < epochs; i++, at += META_EPOCH_BYTES) {
        meta->epochs[i] = (struct epoch_start){.epoch = {load_le64(at), load_le64(at + 8)},
                                               .first = {load_le64(at + 16)}};
    }
    return ERR_OK;
}
