/* SPDX-License-Identifier: Apache-2.0 */
/* What the canon keeps of an entry. */
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
