/* SPDX-License-Identifier: Apache-2.0 */
/* What holds in a segment, and why it is enough:
 *   - slots ascend by (hash, name), with empty ones between;
 *   - an object stands at its home or after it, and no slot from its home to it is empty.
 * So a search begins at the home and ends at the first empty slot or greater hash, and what stands
 * before the home of h is less than h. The last slot of a segment stays empty and ends every
 * search. */
#include "base/table.h"

#include "base/checksum.h"
#include "base/memory.h"

enum {
    SEGMENT_BITS_MIN = 3,
    SEGMENT_BITS = 9, /* of homes: a full segment of this size splits, a smaller one doubles */
    DIRECTORY_KEYS_MIN = 16, /* objects for each pointer of the directory, before it may double */
};

/* What the directory knows of a segment. */
struct way {
    struct segment *segment;
    uint8_t depth, bits; /* as the segment has them */
};

struct slot {
    uint64_t hash;
    void *object; /* NULL: empty */
};

struct segment {
    uint32_t count;
    uint32_t
        size; /* slots: homes, spare ones behind them for what is pushed up, and the empty last */
    uint8_t depth; /* leading bits of the hash that all in here share */
    uint8_t bits;  /* homes = 2^bits */
    struct slot at[];
};

uint64_t table_hash(struct bytes name, uint64_t seed)
{
    return checksum64(name, seed) >> (64 - TABLE_HASH_BITS);
}

static size_t segment_bytes(uint32_t size)
{
    return sizeof(struct segment) + size * sizeof(struct slot);
}

static uint32_t home_of(uint64_t hash, unsigned depth, unsigned bits)
{
    uint64_t rest = hash << (64 - TABLE_HASH_BITS + depth); /* depth stays below 48 */
    return (uint32_t)(rest >> (64 - bits));
}

static struct segment *segment_new(struct table *table, unsigned depth, unsigned bits,
                                   uint32_t spare)
{
    uint32_t size = (UINT32_C(1) << bits) + spare + 1;
    struct segment *segment = memory_zeroed(1, segment_bytes(size));
    segment->size = size;
    segment->depth = (uint8_t)depth;
    segment->bits = (uint8_t)bits;
    table->bytes += segment_bytes(size);
    return segment;
}

static void segment_free(struct table *table, struct segment *segment)
{
    table->bytes -= segment_bytes(segment->size);
    memory_free(segment);
}

void table_init(struct table *table, table_compare *compare)
{
    *table = (struct table){.compare = compare};
}

static size_t directory_size(const struct table *table)
{
    return table->directory == NULL ? 0 : (size_t)1 << table->depth;
}

/* How many pointers of the directory lead to the segment. */
static size_t segment_share(const struct table *table, const struct segment *segment)
{
    return (size_t)1 << (table->depth - segment->depth);
}

void table_release(struct table *table)
{
    for (size_t i = 0; i < directory_size(table);) {
        struct segment *segment = table->directory[i].segment;
        i += segment_share(table, segment);
        segment_free(table, segment);
    }
    memory_free(table->directory);
    table_init(table, table->compare);
}

static size_t directory_index(const struct table *table, uint64_t hash)
{
    return (size_t)(hash >> (TABLE_HASH_BITS - table->depth));
}

/* The first slot at or behind the home of `hash` that is empty or has a hash at or above it. The
 * shape comes from the directory: the segment's own first line need not be fetched. */
static uint32_t segment_search(struct way way, uint64_t hash)
{
    const struct segment *segment = way.segment;
    uint32_t i = home_of(hash, way.depth, way.bits);
    while (segment->at[i].object != NULL && segment->at[i].hash < hash) i++;
    return i;
}

void *table_find(const struct table *table, uint64_t hash, struct bytes name)
{
    if (table->count == 0) return NULL;
    struct way way = table->directory[directory_index(table, hash)];
    const struct segment *segment = way.segment;
    for (uint32_t i = segment_search(way, hash);
         segment->at[i].object != NULL && segment->at[i].hash == hash; i++) {
        /* It is the one, most likely: its later lines come while the first is waited for. */
        __builtin_prefetch((const char *)segment->at[i].object + 64);
        __builtin_prefetch((const char *)segment->at[i].object + 128);
        if (table->compare(segment->at[i].object, name) == 0) return segment->at[i].object;
    }
    return NULL;
}

static struct slot *slot_of(const struct table *table, uint64_t hash, const void *object)
{
    MUST(table->count > 0);
    struct way way = table->directory[directory_index(table, hash)];
    struct segment *segment = way.segment;
    uint32_t i = segment_search(way, hash);
    while (segment->at[i].object != object) {
        MUST(segment->at[i].object != NULL && segment->at[i].hash == hash);
        i++;
    }
    return &segment->at[i];
}

void table_replace(struct table *table, uint64_t hash, const void *old, void *new)
{
    slot_of(table, hash, old)->object = new;
}

/* --- Growth --- */

/* Puts a slot behind all that are there. False: no room. */
static bool segment_append(struct segment *segment, struct slot slot, uint32_t *end)
{
    uint32_t home = home_of(slot.hash, segment->depth, segment->bits);
    uint32_t at = home > *end ? home : *end;
    if (at + 1 >= segment->size) return false;
    segment->at[at] = slot;
    segment->count++;
    *end = at + 1;
    return true;
}

struct shape {
    unsigned depth, bits;
    uint32_t spare;
};

/* Slots [from, to) of a segment. */
struct part {
    const struct segment *segment;
    uint32_t from, to;
};

/* A segment with the slots of both parts, the second behind the first; it gets more spare room than
 * its shape has if they need it. */
static struct segment *segment_copy(struct table *table, const struct part parts[2],
                                    struct shape shape)
{
    for (uint32_t spare = shape.spare;; spare *= 2) {
        struct segment *new = segment_new(table, shape.depth, shape.bits, spare);
        uint32_t end = 0;
        bool fits = true;
        for (const struct part *part = parts; part < parts + 2; part++) {
            for (uint32_t i = part->from; i < part->to && fits; i++) {
                struct slot slot = part->segment->at[i];
                if (slot.object != NULL) fits = segment_append(new, slot, &end);
            }
        }
        if (fits) return new;
        segment_free(table, new);
    }
}

static uint32_t spare_of(unsigned bits)
{
    return 8 + (UINT32_C(1) << bits) / 16;
}

static void directory_point(struct table *table, size_t at, struct segment *segment)
{
    size_t share = segment_share(table, segment);
    size_t first = at & ~(share - 1);
    struct way way = {segment, segment->depth, segment->bits};
    for (size_t i = 0; i < share; i++) table->directory[first + i] = way;
}

static void directory_double(struct table *table)
{
    size_t size = directory_size(table);
    struct way *directory = memory_alloc(2 * size * sizeof *directory);
    for (size_t i = 0; i < size; i++) directory[2 * i] = directory[2 * i + 1] = table->directory[i];
    memory_free(table->directory);
    table->directory = directory;
    table->depth++;
    table->bytes += size * sizeof *directory;
}

static void segment_split(struct table *table, size_t at)
{
    struct segment *old = table->directory[at].segment;
    if (old->depth == table->depth) {
        directory_double(table);
        at *= 2;
    }
    unsigned depth = old->depth + 1U;
    uint32_t middle = 0;
    unsigned bit = TABLE_HASH_BITS - depth;
    while (middle < old->size &&
           (old->at[middle].object == NULL || (old->at[middle].hash >> bit & 1) == 0)) {
        middle++;
    }
    struct shape shape = {depth, SEGMENT_BITS, spare_of(SEGMENT_BITS)};
    struct segment *low = segment_copy(table, (struct part[2]){{old, 0, middle}}, shape);
    struct segment *high = segment_copy(table, (struct part[2]){{old, middle, old->size}}, shape);
    size_t first = at & ~(segment_share(table, old) - 1);
    directory_point(table, first, low);
    directory_point(table, first + segment_share(table, low), high);
    segment_free(table, old);
}

static void segment_grow(struct table *table, size_t at, unsigned bits, uint32_t spare)
{
    struct segment *old = table->directory[at].segment;
    struct segment *new = segment_copy(table, (struct part[2]){{old, 0, old->size}},
                                       (struct shape){old->depth, bits, spare});
    directory_point(table, at, new);
    segment_free(table, old);
}

/* Whether a full segment may split: the directory stays in proportion to what it leads to, whatever
 * the hashes are, and the bits suffice for the homes. */
static bool may_split(const struct table *table, const struct segment *segment)
{
    if (segment->depth + SEGMENT_BITS + 1 >= TABLE_HASH_BITS) return false;
    if (segment->depth < table->depth) return true;
    return directory_size(table) * DIRECTORY_KEYS_MIN <= table->count;
}

static void make_room(struct table *table, size_t at)
{
    const struct segment *segment = table->directory[at].segment;
    uint32_t homes = UINT32_C(1) << segment->bits;
    uint32_t spare = segment->size - homes - 1;
    table->changes++;
    if (segment->count < homes / 4 || segment->depth + segment->bits + 1 >= TABLE_HASH_BITS) {
        segment_grow(table, at, segment->bits, 2 * spare); /* many of nearly one hash */
    } else if (segment->bits < SEGMENT_BITS || !may_split(table, segment)) {
        segment_grow(table, at, segment->bits + 1U, spare_of(segment->bits + 1U));
    } else {
        segment_split(table, at);
    }
}

static bool segment_is_full(const struct segment *segment)
{
    return segment->count >= (UINT32_C(13) << segment->bits) / 16;
}

static void table_begin(struct table *table)
{
    table->directory = memory_alloc(sizeof(struct way));
    directory_point(table, 0, segment_new(table, 0, SEGMENT_BITS_MIN, spare_of(SEGMENT_BITS_MIN)));
    table->bytes += sizeof(struct way);
}

void table_insert(struct table *table, uint64_t hash, struct bytes name, void *object)
{
    if (table->directory == NULL) table_begin(table);
    for (;;) {
        size_t at = directory_index(table, hash);
        struct segment *segment = table->directory[at].segment;
        uint32_t i = segment_search(table->directory[at], hash);
        while (segment->at[i].object != NULL && segment->at[i].hash == hash &&
               table->compare(segment->at[i].object, name) < 0) {
            i++;
        }
        uint32_t empty = i;
        while (segment->at[empty].object != NULL) empty++;
        if (segment_is_full(segment) || empty + 1 >= segment->size) {
            make_room(table, at);
            continue;
        }
        memmove(&segment->at[i + 1], &segment->at[i], (empty - i) * sizeof segment->at[0]);
        segment->at[i] = (struct slot){hash, object};
        segment->count++;
        table->count++;
        table->changes++;
        return;
    }
}

/* --- Removal --- */

/* Two halves that have become nearly empty are one again. */
static void segment_merge(struct table *table, size_t at)
{
    struct segment *segment = table->directory[at].segment;
    if (segment->depth == 0 || segment->count > (UINT32_C(1) << SEGMENT_BITS) / 8) return;
    size_t share = segment_share(table, segment);
    size_t first = at & ~(share - 1);
    size_t low_at = first & ~share;
    struct segment *low = table->directory[low_at].segment;
    struct segment *high = table->directory[low_at + share].segment;
    if (low->depth != high->depth || low->count + high->count > (UINT32_C(1) << SEGMENT_BITS) / 4)
        return;
    struct shape shape = {low->depth - 1U, SEGMENT_BITS, spare_of(SEGMENT_BITS)};
    struct part parts[2] = {{low, 0, low->size}, {high, 0, high->size}};
    struct segment *both = segment_copy(table, parts, shape);
    directory_point(table, low_at, both);
    segment_free(table, low);
    segment_free(table, high);
}

void table_remove(struct table *table, uint64_t hash, const void *object)
{
    size_t at = directory_index(table, hash);
    struct segment *segment = table->directory[at].segment;
    uint32_t i = (uint32_t)(slot_of(table, hash, object) - segment->at);
    for (;; i++) {
        struct slot *next = &segment->at[i + 1];
        if (next->object == NULL || home_of(next->hash, segment->depth, segment->bits) == i + 1) {
            break;
        }
        segment->at[i] = *next;
    }
    segment->at[i] = (struct slot){0};
    segment->count--;
    table->count--;
    table->changes++;
    segment_merge(table, at);
}

/* --- Walks --- */

/* The first object at or behind the cursor's place. */
static void *cursor_settle(struct table_cursor *cursor)
{
    const struct table *table = cursor->table;
    while (cursor->at < directory_size(table)) {
        const struct segment *segment = table->directory[cursor->at].segment;
        for (; cursor->slot < segment->size; cursor->slot++) {
            const struct slot *slot = &segment->at[cursor->slot];
            if (slot->object == NULL) continue;
            cursor->hash = slot->hash;
            return slot->object;
        }
        cursor->at = (cursor->at & ~(segment_share(table, segment) - 1)) +
                     segment_share(table, segment);
        cursor->slot = 0;
    }
    return NULL;
}

void *table_seek(const struct table *table, struct table_cursor *cursor, uint64_t hash)
{
    *cursor = (struct table_cursor){.table = table, .changes = table->changes};
    if (table->count == 0 || hash >> TABLE_HASH_BITS != 0) {
        cursor->at = directory_size(table);
        return NULL;
    }
    cursor->at = directory_index(table, hash);
    cursor->slot = segment_search(table->directory[cursor->at], hash);
    return cursor_settle(cursor);
}

void *table_next(struct table_cursor *cursor, struct bytes name)
{
    if (cursor->changes == cursor->table->changes) {
        cursor->slot++;
        return cursor_settle(cursor);
    }
    uint64_t hash = cursor->hash;
    void *object = table_seek(cursor->table, cursor, hash);
    while (object != NULL && cursor->hash == hash && cursor->table->compare(object, name) <= 0) {
        cursor->slot++;
        object = cursor_settle(cursor);
    }
    return object;
}

void table_check_deep(const struct table *table)
{
    size_t count = 0;
    uint64_t last = 0;
    for (size_t at = 0; at < directory_size(table);) {
        const struct segment *segment = table->directory[at].segment;
        MUST(table->directory[at].depth == segment->depth);
        MUST(table->directory[at].bits == segment->bits);
        MUST(segment->at[segment->size - 1].object == NULL);
        size_t here = 0;
        for (uint32_t i = 0; i < segment->size; i++) {
            if (segment->at[i].object == NULL) continue;
            uint64_t hash = segment->at[i].hash;
            MUST(hash >= last);
            MUST(directory_index(table, hash) >= at);
            MUST(directory_index(table, hash) < at + segment_share(table, segment));
            uint32_t home = home_of(hash, segment->depth, segment->bits);
            MUST(home <= i);
            for (uint32_t j = home; j < i; j++) MUST(segment->at[j].object != NULL);
            last = hash;
            here++;
        }
        MUST(here == segment->count);
        count += here;
        at += segment_share(table, segment);
    }
    MUST(count == table->count);
}
