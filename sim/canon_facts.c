/* SPDX-License-Identifier: Apache-2.0 */
/* What the canon keeps of entries. */
#include "base/memory.h"
#include "sim/canon.h"
#include "sim/heap.h"

void canon_add(struct canon *canon, const struct entry *entry, struct digest digest)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    if (canon->count == canon->capacity) {
        canon->capacity = canon->capacity == 0 ? 256 : canon->capacity * 2;
        canon->facts = memory_resize(canon->facts, canon->capacity * sizeof *canon->facts);
    }
    uint8_t *copy = memory_alloc(entry->payload.size + 1);
    memcpy(copy, entry->payload.data, entry->payload.size);
    canon->facts[canon->count++] = (struct fact){.epoch = entry->epoch,
                                                 .stamp = entry->stamp,
                                                 .lineage = entry->lineage,
                                                 .digest = digest,
                                                 .payload = bytes_of(copy, entry->payload.size)};
    (void)sim_heap_enter(before);
}

static void free_bytes(struct bytes bytes)
{
    union {
        const uint8_t *lent;
        uint8_t *owned;
    } data = {bytes.data};
    memory_free(data.owned);
}

void canon_drop_from(struct canon *canon, uint64_t keep)
{
    while (canon->count > keep) {
        const struct fact *fact = &canon->facts[--canon->count];
        free_bytes(fact->payload);
        free_bytes(fact->stream);
    }
}

struct bytes canon_members(const struct canon *canon, uint64_t lsn)
{
    for (uint64_t at = lsn; at > 0; at--) {
        struct bytes payload = canon->facts[at - 1].payload;
        if (payload.data[0] == ENTRY_MEMBERS) return payload;
    }
    return (struct bytes){0};
}
