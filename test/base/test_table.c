/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <stdio.h>

#include "base/checksum.h"
#include "base/dice.h"
#include "base/memory.h"
#include "base/table.h"

struct thing {
    uint64_t hash;
    char name[32];
    bool in;
    unsigned seen;
};

static int thing_compare(const void *object, struct bytes name)
{
    const struct thing *thing = object;
    return bytes_compare(bytes_text(thing->name), name);
}

static struct bytes name_of(const struct thing *thing)
{
    return bytes_text(thing->name);
}

/* `bits` of the hash are random, the upper ones: few bits make many names collide. */
static struct thing *make_things(size_t count, unsigned bits)
{
    struct thing *things = memory_zeroed(count, sizeof *things);
    for (size_t i = 0; i < count; i++) {
        snprintf(things[i].name, sizeof things[i].name, "thing %zu", i);
        uint64_t hash = checksum64(name_of(&things[i]), 0) >> 16;
        things[i].hash = hash >> (48 - bits) << (48 - bits);
    }
    return things;
}

static void toggle(struct table *table, struct thing *thing)
{
    void *found = table_find(table, thing->hash, name_of(thing));
    assert_ptr_equal(found, thing->in ? thing : NULL);
    if (thing->in) table_remove(table, thing->hash, thing);
    else table_insert(table, thing->hash, name_of(thing), thing);
    thing->in = !thing->in;
}

static size_t walk(struct table *table, uint64_t from)
{
    struct table_cursor cursor;
    const struct thing *last = NULL;
    size_t count = 0;
    for (struct thing *thing = table_seek(table, &cursor, from); thing != NULL;
         thing = table_next(&cursor, name_of(thing))) {
        assert_true(thing->in && thing->hash >= from);
        if (last != NULL) {
            assert_true(last->hash < thing->hash ||
                        (last->hash == thing->hash && strcmp(last->name, thing->name) < 0));
        }
        last = thing;
        count++;
    }
    return count;
}

static void churn(unsigned bits, size_t count, size_t steps)
{
    struct table table;
    struct dice dice;
    dice_init(&dice, bits);
    table_init(&table, thing_compare);
    struct thing *things = make_things(count, bits);
    for (size_t i = 0; i < steps; i++) {
        toggle(&table, &things[dice_below(&dice, count)]);
        if (i % (steps / 16) == 0) table_check_deep(&table);
    }
    size_t in = 0, behind = 0;
    uint64_t from = UINT64_C(1) << 46;
    for (size_t i = 0; i < count; i++) {
        in += things[i].in;
        behind += things[i].in && things[i].hash >= from;
    }
    assert_int_equal(table.count, in);
    assert_int_equal(walk(&table, 0), in);
    assert_int_equal(walk(&table, from), behind);
    for (size_t i = 0; i < count; i++) {
        if (things[i].in) toggle(&table, &things[i]);
    }
    table_check_deep(&table);
    assert_int_equal(walk(&table, 0), 0);
    table_release(&table);
    memory_free(things);
}

TEST(base_table, what_is_inserted_is_found_and_walked_in_order_until_it_is_removed)
{
    churn(48, 40, 4000);
    churn(48, 20000, 200000);
}

TEST(base_table, names_that_collide_are_kept_apart)
{
    churn(3, 3000, 40000);
    churn(10, 6000, 60000);
}

TEST(base_table, equal_hashes_of_all_names_leave_the_directory_small)
{
    struct table table;
    table_init(&table, thing_compare);
    struct thing *things = make_things(3000, 48);
    for (size_t i = 0; i < 3000; i++) {
        things[i].hash = 0x123456789abc; /* what someone could make who searches long enough */
        toggle(&table, &things[i]);
    }
    table_check_deep(&table);
    assert_int_equal(walk(&table, 0), 3000);
    assert_true(table.bytes < 3000 * 64);
    table_release(&table);
    memory_free(things);
}

TEST(base_table, a_walk_under_changes_gives_each_that_stays_exactly_once)
{
    enum { COUNT = 12000, STAY = 3000 };
    struct table table;
    struct dice dice;
    dice_init(&dice, 7);
    table_init(&table, thing_compare);
    struct thing *things = make_things(COUNT, 48);
    for (size_t i = 0; i < STAY; i++) toggle(&table, &things[i]);
    struct table_cursor cursor;
    struct thing *thing = table_seek(&table, &cursor, 0);
    while (thing != NULL) {
        thing->seen++;
        for (size_t i = 0; i < 4; i++) {
            toggle(&table, &things[STAY + dice_below(&dice, COUNT - STAY)]);
        }
        thing = table_next(&cursor, name_of(thing));
    }
    for (size_t i = 0; i < STAY; i++) assert_int_equal(things[i].seen, 1);
    for (size_t i = STAY; i < COUNT; i++) assert_true(things[i].seen <= 1);
    table_check_deep(&table);
    table_release(&table);
    memory_free(things);
}

TEST(base_table, growth_moves_a_bounded_number_of_objects_a_step)
{
    struct table table;
    table_init(&table, thing_compare);
    struct thing *things = make_things(60000, 48);
    size_t most = 0;
    for (size_t i = 0; i < 60000; i++) {
        size_t before = table.bytes;
        toggle(&table, &things[i]);
        if (table.bytes > before && table.bytes - before > most) most = table.bytes - before;
    }
    assert_true(most < 32 << 10); /* a split and a doubled directory, never the whole */
    table_release(&table);
    memory_free(things);
}

TEST(base_table, removal_gives_storage_back)
{
    struct table table;
    table_init(&table, thing_compare);
    struct thing *things = make_things(60000, 48);
    for (size_t i = 0; i < 60000; i++) toggle(&table, &things[i]);
    size_t full = table.bytes;
    for (size_t i = 0; i < 60000; i++) toggle(&table, &things[i]);
    assert_true(table.bytes < full / 8);
    table_release(&table);
    memory_free(things);
}

TEST(base_table, replacing_keeps_the_place)
{
    struct table table;
    table_init(&table, thing_compare);
    struct thing *things = make_things(100, 4);
    for (size_t i = 0; i < 100; i++) toggle(&table, &things[i]);
    struct thing other = things[50];
    table_replace(&table, other.hash, &things[50], &other);
    assert_ptr_equal(table_find(&table, other.hash, name_of(&other)), &other);
    assert_int_equal(walk(&table, 0), 100);
    table_release(&table);
    memory_free(things);
}
