/* SPDX-License-Identifier: Apache-2.0 */
#include "state/member_table.h"

#include "base/checksum.h"
#include "base/memory.h"

enum { MEMBERS_FIRST = 64, MEMBERS_MAX = INT32_MAX };

void member_table_init(struct member_table *table, uint64_t seed)
{
    *table = (struct member_table){.seed = seed};
}

void member_table_release(struct member_table *table)
{
    memory_free(table->members);
    memory_free(table->slots);
}

/* The slot that holds the name, or the free one where it belongs. Half of the slots are free. */
static size_t find_slot(const struct member_table *table, struct bytes name, uint64_t hash)
{
    size_t mask = 2 * table->capacity - 1, slot = (size_t)hash & mask;
    while (table->slots[slot] != 0) {
        const struct table_member *member = &table->members[table->slots[slot] - 1];
        if (member->hash == hash && bytes_equal(member->name, name)) break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static void grow(struct member_table *table)
{
    size_t capacity = table->capacity == 0 ? MEMBERS_FIRST : 2 * table->capacity;
    MUST(capacity <= MEMBERS_MAX); /* memory ends long before */
    table->members = memory_resize(table->members, capacity * sizeof table->members[0]);
    memory_free(table->slots);
    table->slots = memory_zeroed(2 * capacity, sizeof table->slots[0]);
    table->capacity = capacity;
    size_t mask = 2 * capacity - 1;
    for (size_t i = 0; i < table->used; i++) {
        size_t slot = (size_t)table->members[i].hash & mask;
        while (table->slots[slot] != 0) slot = (slot + 1) & mask;
        table->slots[slot] = (uint32_t)i + 1;
    }
}

struct bytes *member_table_add(struct member_table *table, struct bytes name)
{
    if (table->used == table->capacity) grow(table);
    uint64_t hash = checksum64(name, table->seed);
    size_t slot = find_slot(table, name, hash);
    if (table->slots[slot] != 0) return NULL;
    struct table_member *member = &table->members[table->used++];
    *member = (struct table_member){name, hash, false};
    table->slots[slot] = (uint32_t)table->used;
    table->count++;
    return &member->name;
}

bool member_table_drop(struct member_table *table, struct bytes name)
{
    if (table->count == 0) return false;
    size_t slot = find_slot(table, name, checksum64(name, table->seed));
    if (table->slots[slot] == 0) return false;
    struct table_member *member = &table->members[table->slots[slot] - 1];
    if (member->dropped) return false;
    member->dropped = true;
    table->count--;
    return true;
}
