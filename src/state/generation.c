/* SPDX-License-Identifier: Apache-2.0 */
#include "state/generation.h"

#include "base/memory.h"

/* --- Changes --- */

void changes_add(struct changes *changes, struct record *record)
{
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity == 0 ? 64 : changes->capacity * 2;
        changes->at = memory_resize(changes->at, changes->capacity * sizeof *changes->at);
    }
    MUST(changes->count < UINT32_MAX);
    size_t name_size = record_name(record).size;
    if (name_size > changes->name_max) changes->name_max = name_size;
    changes->bytes += record_bytes(record);
    record->change = (uint32_t)changes->count;
    changes->at[changes->count++] = (struct change){record->hash, record};
}

void changes_replace(struct changes *changes, const struct record *record, struct record *by)
{
    MUST(changes->at[record->change].record == record);
    changes->bytes += record_bytes(by) - record_bytes(record);
    by->change = record->change;
    changes->at[by->change].record = by;
}

void changes_remove(struct changes *changes, const struct record *record)
{
    MUST(changes->at[record->change].record == record);
    changes->bytes -= record_bytes(record);
    struct change last = changes->at[--changes->count];
    if (last.record == record) return;
    changes->at[record->change] = last;
    last.record->change = record->change;
}

void changes_release(struct changes *changes)
{
    memory_free(changes->at);
    *changes = (struct changes){0};
}

/* --- Keyspaces --- */

struct keyspace *keyspace_new(uint64_t namespace, bool stored)
{
    struct keyspace *space = memory_zeroed(1, sizeof *space);
    space->meta.namespace = namespace;
    space->stored = stored;
    table_init(&space->keys, record_compare);
    list_init(&space->node);
    return space;
}

void keyspace_free(struct keyspace *space)
{
    struct table_cursor cursor;
    struct record *record = table_seek(&space->keys, &cursor, 0);
    while (record != NULL) {
        struct record *next = table_next(&cursor, (struct bytes){0});
        memory_free(record);
        record = next;
    }
    table_release(&space->keys);
    changes_release(&space->active);
    changes_release(&space->frozen);
    list_remove(&space->node);
    memory_free(space);
}

/* --- Strands --- */

static int strand_compare(const void *object, struct bytes name)
{
    const struct strand *strand = object;
    return bytes_compare(prefix_bytes(&strand->prefix), name);
}

void generation_init(struct generation *generation, uint32_t number)
{
    *generation = (struct generation){.number = number};
    table_init(&generation->strands, strand_compare);
}

void generation_release(struct generation *generation)
{
    for (size_t i = 0; i < generation->count; i++) {
        strand_drain(generation->list[i], SIZE_MAX);
        memory_free(generation->list[i]);
    }
    table_release(&generation->strands);
    memory_free(generation->list);
    memory_free(generation->ranges);
    memory_free(generation->dead);
    generation_init(generation, generation->number);
}

struct strand *generation_find(const struct generation *generation, const struct prefix *prefix)
{
    if (generation->count == 0) return NULL;
    struct bytes name = prefix_bytes(prefix);
    return table_find(&generation->strands, layout_hash(name), name);
}

struct strand *generation_get(struct generation *generation, enum layout kind, uint64_t namespace,
                              struct version version)
{
    struct prefix prefix = layout_strand(kind, namespace, version);
    struct strand *strand = generation_find(generation, &prefix);
    if (strand != NULL) return strand;
    strand = memory_alloc(sizeof *strand);
    strand_init(strand, kind, namespace, version);
    table_insert(&generation->strands, strand->hash, prefix_bytes(&strand->prefix), strand);
    if (generation->count == generation->capacity) {
        generation->capacity = generation->capacity == 0 ? 16 : generation->capacity * 2;
        generation->list = memory_resize(generation->list,
                                         generation->capacity * sizeof *generation->list);
    }
    strand->index = generation->count;
    generation->list[generation->count++] = strand;
    generation->strand_bytes += sizeof *strand;
    return strand;
}

void generation_detach(struct generation *generation, struct strand *strand)
{
    table_remove(&generation->strands, strand->hash, strand);
    struct strand *last = generation->list[--generation->count];
    generation->list[strand->index] = last;
    last->index = strand->index;
    generation->strand_bytes -= sizeof *strand + strand->bytes;
    generation->cells -= strand->count;
}

struct cell *generation_put(struct generation *generation, struct strand *strand, struct cell *cell)
{
    if (cell->tail_size > generation->tail_max) generation->tail_max = cell->tail_size;
    generation->strand_bytes -= strand->bytes;
    generation->cells -= strand->count;
    struct cell *was = strand_put(strand, cell);
    generation->strand_bytes += strand->bytes;
    generation->cells += strand->count;
    return was;
}

size_t generation_drain(struct generation *generation, size_t limit)
{
    while (limit > 0 && generation->count > 0) {
        struct strand *strand = generation->list[generation->count - 1];
        size_t freed = strand_drain(strand, limit) + 1;
        if (strand->count == 0) {
            memory_free(strand);
            generation->count--;
        }
        limit -= freed < limit ? freed : limit;
    }
    return limit;
}

void generation_add_span(struct generation *generation, struct span span)
{
    if (generation->range_count == generation->range_capacity) {
        size_t capacity = generation->range_capacity == 0 ? 8 : generation->range_capacity * 2;
        generation->ranges = memory_resize(generation->ranges, capacity * sizeof span);
        generation->range_capacity = capacity;
    }
    generation->ranges[generation->range_count++] = span;
}

void generation_add_range(struct generation *generation, struct prefix range)
{
    generation_add_span(generation, (struct span){range, layout_end(&range)});
}

void generation_add_dead(struct generation *generation, uint64_t namespace)
{
    if (generation->dead_count == generation->dead_capacity) {
        size_t capacity = generation->dead_capacity == 0 ? 16 : generation->dead_capacity * 2;
        generation->dead = memory_resize(generation->dead, capacity * sizeof *generation->dead);
        generation->dead_capacity = capacity;
    }
    /* Most often it is the youngest. */
    size_t at = generation->dead_count++;
    for (; at > 0 && generation->dead[at - 1] > namespace; at--)
        generation->dead[at] = generation->dead[at - 1];
    generation->dead[at] = namespace;
}

bool generation_is_dead(const struct generation *generation, uint64_t namespace)
{
    size_t low = 0, high = generation->dead_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (generation->dead[middle] == namespace) return true;
        if (generation->dead[middle] < namespace) low = middle + 1;
        else high = middle;
    }
    return false;
}

uint64_t generation_bytes(const struct generation *generation)
{
    return generation->record_bytes + generation->strand_bytes;
}
