/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/span.h"

#include <inttypes.h>

#include "base/checksum.h"

enum { HEADER_CHECKSUM_AT = SPAN_HEADER_BYTES - 8, FOOTER_CHECKSUM_AT = SPAN_FOOTER_BYTES - 8 };

static const char header_magic[] = "tidgSpn1", footer_magic[] = "tidgSpnE", block_magic[] = "tidB";

static void edge_encode(const struct span_edge *edge, uint8_t out[32])
{
    store_le64(out, edge->lineage.hash);
    store_le64(out + 8, edge->epoch.number);
    store_le64(out + 16, edge->epoch.copy);
    store_le64(out + 24, edge->stamp.bits);
}

static void edge_decode(const uint8_t in[32], struct lsn lsn, struct span_edge *edge)
{
    *edge = (struct span_edge){.lsn = lsn,
                               .lineage = {load_le64(in)},
                               .epoch = {load_le64(in + 8), load_le64(in + 16)},
                               .stamp = {load_le64(in + 24)}};
}

void span_begin(struct span_writer *writer, const struct span_facts *facts, struct buffer *out)
{
    uint8_t header[SPAN_HEADER_BYTES] = {0};
    memcpy(header, header_magic, 8);
    store_le32(header + 8, SPAN_FORMAT);
    store_le32(header + 12, facts->shard);
    store_le64(header + 16, facts->cluster);
    memcpy(header + 24, facts->history.id, sizeof facts->history.id);
    store_le64(header + 40, facts->before.lsn.at + 1);
    edge_encode(&facts->before, header + 48);
    *writer = (struct span_writer){.at = facts->before};
    writer->seed = checksum64(bytes_of(header, HEADER_CHECKSUM_AT), 0);
    store_le64(header + HEADER_CHECKSUM_AT, writer->seed);
    buffer_append(out, bytes_of(header, sizeof header));
}

static void chain_add(uint64_t *running, uint64_t checksum)
{
    uint8_t bytes[8];
    store_le64(bytes, checksum);
    *running = checksum64(bytes_of(bytes, sizeof bytes), *running);
}

static uint64_t block_checksum(const uint8_t *head, struct bytes body, uint64_t seed)
{
    struct bytes parts[2] = {bytes_of(head, SPAN_BLOCK_HEAD_BYTES - 8), body};
    return checksum64_parts(parts, 2, seed);
}

static void seal(struct span_writer *writer, struct buffer *out)
{
    if (writer->block_entries == 0) return;
    uint8_t *head = out->data + writer->block_at;
    struct bytes body = bytes_of(head + SPAN_BLOCK_HEAD_BYTES,
                                 out->size - writer->block_at - SPAN_BLOCK_HEAD_BYTES);
    memcpy(head, block_magic, 4);
    store_le32(head + 4, writer->block_entries);
    store_le64(head + 8, body.size);
    store_le64(head + 16, writer->at.epoch.number);
    store_le64(head + 24, writer->at.epoch.copy);
    uint64_t sum = block_checksum(head, body, writer->seed + writer->offset + writer->block_at);
    store_le64(head + 32, sum);
    chain_add(&writer->running, sum);
    writer->blocks++;
    writer->block_entries = 0;
}

void span_add(struct span_writer *writer, const struct entry *entry, struct buffer *out)
{
    MUST(entry->lsn.at == writer->at.lsn.at + 1);
    if (epoch_compare(entry->epoch, writer->at.epoch) != 0) seal(writer, out);
    if (writer->entries == 0) writer->first = entry->stamp;
    writer->at = (struct span_edge){entry->lsn, entry->lineage, entry->epoch, entry->stamp};
    if (writer->block_entries == 0) {
        writer->block_at = out->size;
        memset(buffer_reserve(out, SPAN_BLOCK_HEAD_BYTES), 0, SPAN_BLOCK_HEAD_BYTES);
        out->size += SPAN_BLOCK_HEAD_BYTES;
    }
    buffer_append_le32(out, (uint32_t)entry->payload.size);
    buffer_append_le64(out, entry->stamp.bits);
    buffer_append_le64(out, entry->lineage.hash);
    buffer_append(out, entry->payload);
    writer->block_entries++;
    writer->entries++;
    if (out->size - writer->block_at >= SPAN_BLOCK_BYTES) seal(writer, out);
}

void span_end(struct span_writer *writer, struct buffer *out)
{
    seal(writer, out);
    uint8_t footer[SPAN_FOOTER_BYTES] = {0};
    memcpy(footer, footer_magic, 8);
    store_le64(footer + 8, writer->blocks);
    store_le64(footer + 16, writer->entries);
    store_le64(footer + 24, writer->at.lsn.at);
    edge_encode(&writer->at, footer + 32);
    store_le64(footer + 64, writer->first.bits);
    store_le64(footer + 72, writer->running);
    store_le64(footer + 80, writer->offset + out->size);
    store_le64(footer + FOOTER_CHECKSUM_AT,
               checksum64(bytes_of(footer, FOOTER_CHECKSUM_AT), writer->seed));
    buffer_append(out, bytes_of(footer, sizeof footer));
}

bool span_is_whole(const struct span_writer *writer)
{
    return writer->block_entries == 0;
}

void span_written(struct span_writer *writer, struct buffer *out)
{
    MUST(span_is_whole(writer));
    writer->offset += out->size;
    buffer_clear(out);
}

/* --- Decoding --- */

enum err span_header_decode(const uint8_t in[SPAN_HEADER_BYTES], struct span_facts *facts,
                            struct why *why)
{
    if (memcmp(in, header_magic, 8) != 0)
        return why_fail(why, ERR_CORRUPT, "the header is not that of a span");
    if (load_le64(in + HEADER_CHECKSUM_AT) != checksum64(bytes_of(in, HEADER_CHECKSUM_AT), 0))
        return why_fail(why, ERR_CORRUPT, "the checksum of the header is wrong");
    uint32_t format = load_le32(in + 8);
    if (format > SPAN_FORMAT)
        return why_fail(why, ERR_REFUSED, "it is of format %" PRIu32 ", known are up to %d", format,
                        SPAN_FORMAT);
    *facts = (struct span_facts){.shard = load_le32(in + 12), .cluster = load_le64(in + 16)};
    memcpy(facts->history.id, in + 24, sizeof facts->history.id);
    uint64_t first = load_le64(in + 40);
    edge_decode(in + 48, (struct lsn){first - 1}, &facts->before);
    if (format == SPAN_FORMAT && first > 0 && first <= SPAN_LSN_MAX) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the header makes no sense");
}

enum err span_footer_decode(const uint8_t in[SPAN_FOOTER_BYTES],
                            const uint8_t header[SPAN_HEADER_BYTES], uint64_t size,
                            struct span_facts *facts, struct why *why)
{
    uint64_t seed = load_le64(header + HEADER_CHECKSUM_AT);
    if (memcmp(in, footer_magic, 8) != 0)
        return why_fail(why, ERR_CORRUPT, "the end is not that of a span");
    if (load_le64(in + FOOTER_CHECKSUM_AT) != checksum64(bytes_of(in, FOOTER_CHECKSUM_AT), seed))
        return why_fail(why, ERR_CORRUPT, "the checksum of the footer is wrong");
    uint64_t entries = load_le64(in + 16), last = load_le64(in + 24);
    facts->entries = entries;
    facts->bytes = size;
    facts->first.bits = load_le64(in + 64);
    edge_decode(in + 32, (struct lsn){last}, &facts->end);
    if (entries > 0 && entries <= SPAN_LSN_MAX && last == facts->before.lsn.at + entries &&
        load_le64(in + 80) == size - SPAN_FOOTER_BYTES)
        return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the footer makes no sense");
}

bool span_block_decode(const uint8_t in[SPAN_BLOCK_HEAD_BYTES], struct span_block *block)
{
    *block = (struct span_block){.entries = load_le32(in + 4),
                                 .size = load_le64(in + 8),
                                 .epoch = {load_le64(in + 16), load_le64(in + 24)}};
    return memcmp(in, block_magic, 4) == 0;
}

bool span_block_check(const uint8_t *in, const struct span_block *block, uint64_t seed,
                      uint64_t *running)
{
    struct bytes body = bytes_of(in + SPAN_BLOCK_HEAD_BYTES, (size_t)block->size);
    uint64_t sum = load_le64(in + 32);
    if (sum != block_checksum(in, body, seed)) return false;
    chain_add(running, sum);
    return true;
}

bool span_entry_take(struct bytes *rest, struct entry *entry)
{
    if (rest->size < SPAN_ENTRY_HEAD_BYTES) return false;
    uint32_t size = load_le32(rest->data);
    if (size == 0 || size > rest->size - SPAN_ENTRY_HEAD_BYTES) return false;
    entry->stamp.bits = load_le64(rest->data + 4);
    entry->lineage.hash = load_le64(rest->data + 12);
    entry->payload = bytes_of(rest->data + SPAN_ENTRY_HEAD_BYTES, size);
    size_t whole = SPAN_ENTRY_HEAD_BYTES + (size_t)size;
    *rest = bytes_of(rest->data + whole, rest->size - whole);
    return true;
}

uint64_t span_footer_blocks(const uint8_t footer[SPAN_FOOTER_BYTES])
{
    return load_le64(footer + 8);
}

uint64_t span_footer_running(const uint8_t footer[SPAN_FOOTER_BYTES])
{
    return load_le64(footer + 72);
}
