/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing of a block is believed before its checksum, no entry before its lineage; the end is
 * reached only where the footer says so. Memory is bounded by one block. */
#include <inttypes.h>

#include "archive/span.h"
#include "base/memory.h"
#include "log/log.h"

struct span_reader {
    struct image_source *source;
    struct span_facts facts;
    uint64_t seed;
    uint64_t blocks_told, running_told; /* by the footer */
    uint64_t blocks, running, offset;
    struct span_edge at; /* behind the entry given last */
    struct epoch epoch;  /* of the block */
    uint32_t left;       /* entries of it */
    struct bytes rest;   /* of it */
    struct buffer block;
};

static enum err read_at(struct span_reader *reader, uint64_t offset, void *data, uint64_t size,
                        struct why *why)
{
    return reader->source->read(reader->source, offset, data, size, why);
}

static enum err read_ends(struct span_reader *reader, struct why *why)
{
    uint64_t size = reader->source->size;
    uint8_t header[SPAN_HEADER_BYTES], footer[SPAN_FOOTER_BYTES];
    if (size < sizeof header + sizeof footer)
        return why_fail(why, ERR_CORRUPT, "%" PRIu64 " bytes are too few for a span", size);
    enum err err = read_at(reader, 0, header, sizeof header, why);
    if (err == ERR_OK) err = span_header_decode(header, &reader->facts, why);
    if (err == ERR_OK) err = read_at(reader, size - sizeof footer, footer, sizeof footer, why);
    if (err == ERR_OK) err = span_footer_decode(footer, header, size, &reader->facts, why);
    if (err != ERR_OK) return err;
    reader->seed = load_le64(header + SPAN_HEADER_BYTES - 8);
    reader->blocks_told = span_footer_blocks(footer);
    reader->running_told = span_footer_running(footer);
    reader->offset = sizeof header;
    reader->at = reader->facts.before;
    return ERR_OK;
}

enum err span_open(struct span_reader **out, struct image_source *source, struct why *why)
{
    *out = NULL;
    struct span_reader *reader = memory_zeroed(1, sizeof *reader);
    reader->source = source;
    buffer_init(&reader->block);
    enum err err = read_ends(reader, why);
    if (err == ERR_OK) *out = reader;
    else span_close(reader);
    return err;
}

const struct span_facts *span_facts(const struct span_reader *reader)
{
    return &reader->facts;
}

static enum err broken(const struct span_reader *reader, const char *what, struct why *why)
{
    return why_fail(why, ERR_CORRUPT, "offset %" PRIu64 ": LSN %" PRIu64 ": %s", reader->offset,
                    reader->at.lsn.at + 1, what);
}

static enum err read_block(struct span_reader *reader, struct why *why)
{
    uint64_t room = reader->facts.bytes - SPAN_FOOTER_BYTES - reader->offset;
    uint8_t head[SPAN_BLOCK_HEAD_BYTES];
    struct span_block block;
    if (room < sizeof head) return broken(reader, "there is no block", why);
    enum err err = read_at(reader, reader->offset, head, sizeof head, why);
    if (err != ERR_OK) return err;
    if (!span_block_decode(head, &block) || block.entries == 0 || block.size > room - sizeof head)
        return broken(reader, "there is no block", why);
    size_t whole = sizeof head + (size_t)block.size;
    buffer_clear(&reader->block);
    uint8_t *at = buffer_reserve(&reader->block, whole);
    err = read_at(reader, reader->offset, at, whole, why);
    if (err != ERR_OK) return err;
    uint64_t seed = reader->seed + reader->offset;
    /* The head is read twice: the checksum is of the bytes that were believed. */
    bool good = memcmp(at, head, sizeof head) == 0 &&
                span_block_check(at, &block, seed, &reader->running);
    if (!good) return broken(reader, "the checksum of the block is wrong", why);
    reader->offset += whole;
    reader->blocks++;
    reader->rest = bytes_of(at + sizeof head, (size_t)block.size);
    reader->left = block.entries;
    reader->epoch = block.epoch;
    return ERR_OK;
}

static enum err at_end(const struct span_reader *reader, struct why *why)
{
    const struct span_edge *told = &reader->facts.end, *at = &reader->at;
    bool same = told->lineage.hash == at->lineage.hash && told->stamp.bits == at->stamp.bits &&
                epoch_compare(told->epoch, at->epoch) == 0;
    if (same && reader->offset == reader->facts.bytes - SPAN_FOOTER_BYTES &&
        reader->blocks == reader->blocks_told && reader->running == reader->running_told)
        return why_fail(why, ERR_NOT_FOUND, "the end of the span");
    return why_fail(why, ERR_CORRUPT, "the footer is of other entries");
}

enum err span_next(struct span_reader *reader, struct entry *entry, struct why *why)
{
    if (reader->at.lsn.at == reader->facts.end.lsn.at) return at_end(reader, why);
    if (reader->left == 0) {
        enum err err = read_block(reader, why);
        if (err != ERR_OK) return err;
    }
    entry->lsn = lsn_next(reader->at.lsn);
    entry->epoch = reader->epoch;
    if (!span_entry_take(&reader->rest, entry)) return broken(reader, "there is no entry", why);
    reader->left--;
    if ((reader->left == 0) != (reader->rest.size == 0))
        return broken(reader, "the block does not end with its last entry", why);
    if (log_lineage(reader->at.lineage, entry).hash != entry->lineage.hash)
        return broken(reader, "its lineage is another one", why);
    if (entry->stamp.bits < reader->at.stamp.bits ||
        epoch_compare(entry->epoch, reader->at.epoch) < 0)
        return broken(reader, "its stamp or epoch is before the one before", why);
    if (reader->at.lsn.at == reader->facts.before.lsn.at &&
        entry->stamp.bits != reader->facts.first.bits)
        return broken(reader, "the footer says another first stamp", why);
    reader->at = (struct span_edge){entry->lsn, entry->lineage, entry->epoch, entry->stamp};
    return ERR_OK;
}

uint64_t span_offset(const struct span_reader *reader)
{
    return reader->offset;
}

void span_close(struct span_reader *reader)
{
    if (reader == NULL) return;
    buffer_release(&reader->block);
    memory_free(reader);
}
