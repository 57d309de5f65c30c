/* SPDX-License-Identifier: Apache-2.0 */
#include "face/psync/place.h"

#include <stdio.h>

#include "base/checksum.h"

void place_replid(const struct history *history, struct epoch epoch, char out[PSYNC_REPLID_BYTES])
{
    uint8_t name[sizeof history->id + 16];
    memcpy(name, history->id, sizeof history->id);
    store_le64(name + sizeof history->id, epoch.number);
    store_le64(name + sizeof history->id + 8, epoch.copy);
    char digest[DIGEST_TEXT_BYTES];
    digest_format(digest_of(bytes_of(name, sizeof name)), digest);
    (void)snprintf(out, PSYNC_REPLID_BYTES, "%s%08x", digest, (unsigned)epoch.number);
}

/* The offset of the first byte that is not the epoch's. */
static uint64_t epoch_end(const struct place_facts *facts, size_t at)
{
    return at + 1 == facts->count ? facts->place.end : facts->epochs[at + 1].stream_offset;
}

enum place_rule place_decide(const struct place_facts *facts, struct bytes replid, int64_t offset)
{
    if (bytes_equal(replid, bytes_text("?")) || offset < 0) return PLACE_FIRST;
    if (!facts->place.on) return PLACE_OFF;
    for (size_t i = facts->count; i > 0; i--) {
        char name[PSYNC_REPLID_BYTES];
        place_replid(&facts->history, facts->epochs[i - 1].epoch, name);
        if (!bytes_is_word(replid, name)) continue;
        if ((uint64_t)offset > epoch_end(facts, i - 1)) return PLACE_BEYOND;
        return (uint64_t)offset < facts->place.first ? PLACE_GONE : PLACE_CONTINUE;
    }
    return PLACE_FOREIGN;
}

const char *place_rule_name(enum place_rule rule)
{
    switch (rule) {
    case PLACE_CONTINUE: return "continue";
    case PLACE_FIRST: return "first";
    case PLACE_OFF: return "stream_off";
    case PLACE_FOREIGN: return "foreign";
    case PLACE_BEYOND: return "beyond_its_epoch";
    case PLACE_GONE: return "not_kept";
    }
    return "";
}
