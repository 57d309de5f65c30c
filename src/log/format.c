/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a log. The layouts, with every offset, are in docs/formats/log.md; this file is
 * their only other home. All integers are little-endian. Three rules hold everywhere:
 *   - every byte is covered by a checksum, padding and reserved bytes too, and those must be zero;
 *   - a batch's checksums are seeded with its segment's salt and its place in the file, so a valid
 * batch in the wrong place, or left over from the file's earlier life, is not valid;
 *   - a decoder never believes a number that the checksum did not cover. */
#include "log/format.h"

#include "base/checksum.h"
#include "base/plant.h"
#include "log/log.h"

enum {
    SEGMENT_CHECKSUM_AT = LOG_SEGMENT_HEADER_BYTES - 8,
    BATCH_CHECKSUM_AT = LOG_BATCH_HEADER_BYTES - 8,
    SUPERBLOCK_CHECKSUM_AT = LOG_SUPERBLOCK_BYTES - 8,
    LINEAGE_PREFIX_BYTES = 40,
    EPOCH_BYTES = 16,
};

#define SEGMENT_MAGIC 0x3167655367646974u    /* "tidgSeg1" */
#define SUPERBLOCK_MAGIC 0x3170755367646974u /* "tidgSup1" */
#define BATCH_MAGIC 0x31624774u              /* "tGb1" */

_Static_assert(sizeof(((struct history *)0)->id) == 16, "a history takes 16 bytes on disk");
_Static_assert(LOG_SEGMENT_HEADER_BYTES % LOG_SECTOR_BYTES == 0,
               "the first batch begins on a sector");
_Static_assert((int)LOG_SUPERBLOCK_BYTES <= (int)DISK_TORN_BYTES,
               "a slot is never torn within itself");
_Static_assert(LOG_BATCH_HEADER_BYTES + LOG_ENTRY_HEADER_BYTES < LOG_SECTOR_BYTES,
               "a small batch takes one sector");
_Static_assert(LOG_BODY_BYTES_MAX <= UINT32_MAX, "the length of a body is stored in 32 bits");

static void epoch_store(uint8_t *at, struct epoch epoch)
{
    store_le64(at, epoch.number);
    store_le64(at + 8, epoch.copy);
}

static struct epoch epoch_load(const uint8_t *at)
{
    return (struct epoch){.number = load_le64(at), .copy = load_le64(at + 8)};
}

static bool all_zero(const uint8_t *at, size_t size)
{
    return size == 0 || (at[0] == 0 && memcmp(at, at + 1, size - 1) == 0);
}

static bool refuse(const char **what, const char *text)
{
    *what = text;
    return false;
}

void log_segment_encode(const struct log_segment_header *header,
                        uint8_t out[LOG_SEGMENT_HEADER_BYTES])
{
    memset(out, 0, LOG_SEGMENT_HEADER_BYTES);
    store_le64(out, SEGMENT_MAGIC);
    store_le32(out + 8, LOG_FORMAT_VERSION);
    store_le32(out + 12, header->shard);
    store_le64(out + 16, header->cluster);
    memcpy(out + 24, header->history.id, sizeof(header->history.id));
    store_le64(out + 40, header->salt);
    store_le64(out + 48, header->sequence);
    store_le64(out + 56, header->previous_salt);
    store_le64(out + 64, header->start.next.at);
    store_le64(out + 72, header->start.lineage.hash);
    epoch_store(out + 80, header->start.epoch);
    store_le64(out + 96, header->start.stamp.bits);
    store_le64(out + SEGMENT_CHECKSUM_AT, checksum64(bytes_of(out, SEGMENT_CHECKSUM_AT), 0));
}

bool log_segment_decode(const uint8_t in[LOG_SEGMENT_HEADER_BYTES],
                        struct log_segment_header *header, const char **what)
{
    if (load_le64(in) != SEGMENT_MAGIC) return refuse(what, "no segment header");
    if (load_le64(in + SEGMENT_CHECKSUM_AT) != checksum64(bytes_of(in, SEGMENT_CHECKSUM_AT), 0))
        return refuse(what, "damaged segment header");
    if (load_le32(in + 8) != LOG_FORMAT_VERSION) return refuse(what, "unknown format of a segment");
    header->shard = load_le32(in + 12);
    header->cluster = load_le64(in + 16);
    memcpy(header->history.id, in + 24, sizeof(header->history.id));
    header->salt = load_le64(in + 40);
    header->sequence = load_le64(in + 48);
    header->previous_salt = load_le64(in + 56);
    header->start.next.at = load_le64(in + 64);
    header->start.lineage.hash = load_le64(in + 72);
    header->start.epoch = epoch_load(in + 80);
    header->start.stamp.bits = load_le64(in + 96);
    bool sane = header->start.next.at >= 1 && header->start.next.at <= LOG_LSN_MAX &&
                header->salt != 0 && header->sequence >= 1 && header->sequence <= LOG_COUNT_MAX &&
                all_zero(in + 104, SEGMENT_CHECKSUM_AT - 104);
    return sane || refuse(what, "segment header with impossible fields");
}

/* One seed for both checksums of a batch: its segment, its place, and nothing else. */
static uint64_t batch_seed(uint64_t salt, uint64_t offset)
{
    if (PLANTED(CHECKSUM_WITHOUT_PLACE)) return 0;
    return salt ^ offset;
}

static uint64_t batch_body_checksum(const uint8_t *at, uint64_t length, uint64_t seed)
{
    uint64_t whole = log_padded(LOG_BATCH_HEADER_BYTES + length);
    return checksum64(bytes_of(at + LOG_BATCH_HEADER_BYTES, whole - LOG_BATCH_HEADER_BYTES), seed);
}

void log_batch_seal(uint8_t *at, struct log_batch_header *header, uint64_t salt, uint64_t offset)
{
    uint64_t used = LOG_BATCH_HEADER_BYTES + header->length;
    uint64_t seed = batch_seed(salt, offset);
    memset(at + used, 0, log_padded(used) - used);
    header->body_checksum = batch_body_checksum(at, header->length, seed);
    store_le32(at, BATCH_MAGIC);
    store_le16(at + 4, LOG_FORMAT_VERSION);
    store_le16(at + 6, header->flags);
    store_le64(at + 8, header->cluster);
    store_le32(at + 16, header->shard);
    store_le32(at + 20, header->count);
    epoch_store(at + 24, header->epoch);
    store_le64(at + 40, header->first.at);
    store_le64(at + 48, header->stamp.bits);
    store_le64(at + 56, header->durable.at);
    store_le64(at + 64, header->committed.at);
    store_le32(at + 72, (uint32_t)header->length);
    store_le32(at + 76, 0);
    store_le64(at + 80, header->lineage.hash);
    store_le64(at + 88, header->body_checksum);
    store_le64(at + BATCH_CHECKSUM_AT, checksum64(bytes_of(at, BATCH_CHECKSUM_AT), seed));
}

static bool batch_is_sane(const struct log_batch_header *header)
{
    bool empty = header->flags & LOG_BATCH_EMPTY;
    if (header->flags & ~(LOG_BATCH_EPOCH | LOG_BATCH_EMPTY)) return false;
    if (empty != (header->count == 0) || empty != (header->length == 0)) return false;
    if (empty && (header->flags & LOG_BATCH_EPOCH)) return false;
    if (header->length > LOG_BODY_BYTES_MAX) return false;
    if ((uint64_t)header->count * (LOG_ENTRY_HEADER_BYTES + 1) > header->length) return false;
    if (header->first.at < 1 || header->first.at > LOG_LSN_MAX) return false;
    return header->durable.at < header->first.at && header->committed.at < header->first.at;
}

bool log_batch_decode(const uint8_t in[LOG_BATCH_HEADER_BYTES], uint64_t salt, uint64_t offset,
                      struct log_batch_header *header)
{
    if (load_le32(in) != BATCH_MAGIC) return false;
    uint64_t checksum = checksum64(bytes_of(in, BATCH_CHECKSUM_AT), batch_seed(salt, offset));
    if (load_le64(in + BATCH_CHECKSUM_AT) != checksum) return false;
    if (load_le16(in + 4) != LOG_FORMAT_VERSION || load_le32(in + 76) != 0) return false;
    header->flags = load_le16(in + 6);
    header->cluster = load_le64(in + 8);
    header->shard = load_le32(in + 16);
    header->count = load_le32(in + 20);
    header->epoch = epoch_load(in + 24);
    header->first.at = load_le64(in + 40);
    header->stamp.bits = load_le64(in + 48);
    header->durable.at = load_le64(in + 56);
    header->committed.at = load_le64(in + 64);
    header->length = load_le32(in + 72);
    header->lineage.hash = load_le64(in + 80);
    header->body_checksum = load_le64(in + 88);
    return batch_is_sane(header);
}

bool log_batch_body_is_good(const uint8_t *at, const struct log_batch_header *header, uint64_t salt,
                            uint64_t offset)
{
    uint64_t seed = batch_seed(salt, offset);
    if (batch_body_checksum(at, header->length, seed) != header->body_checksum) return false;
    uint64_t used = LOG_BATCH_HEADER_BYTES + header->length;
    if (!all_zero(at + used, log_padded(used) - used)) return false;
    struct bytes rest = bytes_of(at + LOG_BATCH_HEADER_BYTES, header->length);
    struct entry entry;
    for (uint32_t i = 0; i < header->count; i++) {
        if (!log_entry_decode(&rest, &entry)) return false;
    }
    return rest.size == 0;
}

void log_entry_encode(uint8_t *at, struct stamp stamp, struct lineage lineage, struct bytes payload)
{
    store_le32(at, (uint32_t)payload.size);
    store_le64(at + 4, stamp.bits);
    store_le64(at + 12, lineage.hash);
    memcpy(at + LOG_ENTRY_HEADER_BYTES, payload.data, payload.size);
}

bool log_entry_decode(struct bytes *rest, struct entry *entry)
{
    if (rest->size < LOG_ENTRY_HEADER_BYTES) return false;
    uint32_t length = load_le32(rest->data);
    size_t room = rest->size - LOG_ENTRY_HEADER_BYTES;
    if (length == 0 || length > room) return false;
    entry->stamp.bits = load_le64(rest->data + 4);
    entry->lineage.hash = load_le64(rest->data + 12);
    entry->payload = bytes_of(rest->data + LOG_ENTRY_HEADER_BYTES, length);
    *rest = bytes_of(entry->payload.data + length, room - length);
    return true;
}

struct lineage log_lineage(struct lineage previous, const struct entry *entry)
{
    uint8_t prefix[LINEAGE_PREFIX_BYTES];
    store_le64(prefix, previous.hash);
    epoch_store(prefix + 8, entry->epoch);
    store_le64(prefix + 8 + EPOCH_BYTES, entry->lsn.at);
    store_le64(prefix + 16 + EPOCH_BYTES, entry->stamp.bits);
    struct bytes parts[2] = {bytes_of(prefix, sizeof(prefix)), entry->payload};
    return (struct lineage){checksum64_parts(parts, 2, 0)};
}

void log_superblock_encode(const struct log_superblock *superblock, unsigned slot,
                           uint8_t out[LOG_SUPERBLOCK_BYTES])
{
    memset(out, 0, LOG_SUPERBLOCK_BYTES);
    store_le64(out, SUPERBLOCK_MAGIC);
    store_le32(out + 8, LOG_FORMAT_VERSION);
    store_le32(out + 12, superblock->shard);
    store_le64(out + 16, superblock->cluster);
    memcpy(out + 24, superblock->history.id, sizeof(superblock->history.id));
    store_le64(out + 40, superblock->sequence);
    store_le32(out + 48, superblock->state);
    store_le32(out + 52, slot);
    store_le64(out + 56, superblock->incarnation);
    epoch_store(out + 64, superblock->promised);
    store_le64(out + 80, superblock->durable.at);
    store_le64(out + 88, superblock->committed.at);
    store_le64(out + 96, superblock->floor.at);
    store_le64(out + 104, superblock->newest.at);
    store_le64(out + 112, superblock->newest_sequence);
    store_le64(out + SUPERBLOCK_CHECKSUM_AT, checksum64(bytes_of(out, SUPERBLOCK_CHECKSUM_AT), 0));
}

bool log_superblock_decode(const uint8_t in[LOG_SUPERBLOCK_BYTES], unsigned slot,
                           struct log_superblock *superblock, const char **what)
{
    if (load_le64(in) != SUPERBLOCK_MAGIC) return refuse(what, "no superblock");
    if (load_le64(in + SUPERBLOCK_CHECKSUM_AT) !=
        checksum64(bytes_of(in, SUPERBLOCK_CHECKSUM_AT), 0))
        return refuse(what, "damaged superblock");
    if (load_le32(in + 8) != LOG_FORMAT_VERSION)
        return refuse(what, "unknown format of a superblock");
    if (load_le32(in + 52) != slot) return refuse(what, "superblock of the other slot");
    uint32_t state = load_le32(in + 48);
    superblock->shard = load_le32(in + 12);
    superblock->cluster = load_le64(in + 16);
    memcpy(superblock->history.id, in + 24, sizeof(superblock->history.id));
    superblock->sequence = load_le64(in + 40);
    superblock->state = (enum log_superblock_state)state;
    superblock->incarnation = load_le64(in + 56);
    superblock->promised = epoch_load(in + 64);
    superblock->durable.at = load_le64(in + 80);
    superblock->committed.at = load_le64(in + 88);
    superblock->floor.at = load_le64(in + 96);
    superblock->newest.at = load_le64(in + 104);
    superblock->newest_sequence = load_le64(in + 112);
    bool sane = state >= LOG_MAKING && state <= LOG_CLEAN && superblock->durable.at < LOG_LSN_MAX &&
                superblock->committed.at < LOG_LSN_MAX && superblock->floor.at >= 1 &&
                superblock->floor.at <= superblock->durable.at + 1 &&
                superblock->newest.at >= superblock->floor.at &&
                superblock->newest.at < LOG_LSN_MAX && superblock->newest_sequence >= 1 &&
                superblock->newest_sequence <= LOG_COUNT_MAX &&
                superblock->sequence <= LOG_COUNT_MAX && superblock->incarnation <= LOG_COUNT_MAX &&
                all_zero(in + 120, SUPERBLOCK_CHECKSUM_AT - 120);
    return sane || refuse(what, "superblock with impossible fields");
}
