/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * What is left in memory and in the store by removals, and that it goes.
 */
#include "test/test.h"

#include <stdio.h>

#include "test/state/bed.h"

#define ASSERT_WRITE(bed, line, reply) assert_string_equal(bed_write(bed, line), reply)
#define ASSERT_READ(bed, line, reply) assert_string_equal(bed_read(bed, line), reply)

/* `count` elements, a hundred a line. */
static void fill(struct bed *bed, const char *command, const char *key, unsigned count)
{
    static char line[8192];
    for (unsigned i = 0; i < count;) {
        int used = snprintf(line, sizeof line, "%s %s", command, key);
        for (unsigned end = i + 100; i < end && i < count; i++) {
            char *at = line + used;
            size_t room = sizeof line - (size_t)used;
            if (strcmp(command, "HSET") == 0) used += snprintf(at, room, " field%u %u", i, i);
            else if (strcmp(command, "ZADD") == 0) used += snprintf(at, room, " %u member%u", i, i);
            else used += snprintf(at, room, " item%u", i);
        }
        (void)bed_write(bed, line);
    }
}

static size_t orphans(const struct bed *bed)
{
    return memory_store_count(&bed->store, 'E') + memory_store_count(&bed->store, 'L') +
           memory_store_count(&bed->store, 'R') + memory_store_count(&bed->store, 'Q');
}

static void remove_and_clean(unsigned count, bool by_range)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, "HSET", "h", count);
    fill(&bed, "ZADD", "z", count);
    fill(&bed, "RPUSH", "l", count);
    fill(&bed, "SADD", "s", count);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(orphans(&bed), 5 * count);
    struct digest kept = bed_digest(&bed);
    ASSERT_WRITE(&bed, "SET other 1", "OK");
    ASSERT_WRITE(&bed, "DEL h z l s other", "5");
    struct digest digest = bed_digest(&bed);
    assert_false(digest_equal(kept, digest));
    uint64_t applied = bed_applied(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    assert_int_equal(orphans(&bed), 5 * count + 4); /* and the queue */
    bed_tidy(&bed);
    assert_true(digest_equal(bed_digest(&bed), digest)); /* local: no mark, no digest */
    assert_int_equal(bed_applied(&bed), applied);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(orphans(&bed), 0);
    assert_int_equal(bed.store.ranges, by_range ? 5 : 0);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_clean_up, elements_of_removed_collections_leave_the_store_one_by_one_when_they_are_few)
{
    remove_and_clean(30, false);
}

TEST(state_clean_up, elements_of_removed_collections_leave_the_store_by_ranges_when_they_are_many)
{
    remove_and_clean(700, true);
}

/* What has no place in the log is flushed with the mark that is there, not with one of its own. */
TEST(state_clean_up, what_has_no_entry_leaves_the_mark_where_it_is_in_memory_and_in_the_store)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, "HSET", "h", 700);
    ASSERT_WRITE(&bed, "DEL h", "1");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    const struct machine_ops *ops = bed.machine->ops;
    struct mark applied = ops->applied(bed.machine), flushed = ops->flushed(bed.machine);
    struct digest digest = bed_digest(&bed);
    assert_true(mark_equal(&applied, &flushed));
    bed_tidy(&bed);
    struct mark now = ops->applied(bed.machine);
    assert_true(mark_equal(&applied, &now));
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(orphans(&bed), 0); /* it has done something */
    now = ops->flushed(bed.machine);
    assert_true(mark_equal(&flushed, &now));
    bed_reopen(&bed);
    now = bed.machine->ops->applied(bed.machine);
    assert_true(mark_equal(&applied, &now));
    assert_true(digest_equal(bed_digest(&bed), digest));
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_clean_up, a_clean_up_that_was_begun_is_ended_after_a_reopen)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, "HSET", "h", 50);
    fill(&bed, "HSET", "g", 50);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    ASSERT_WRITE(&bed, "DEL h g", "2");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed_reopen(&bed);
    assert_int_equal(orphans(&bed), 102);
    bed_tidy(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(orphans(&bed), 0);
    bed_release(&bed);
}

TEST(state_clean_up, a_collection_that_was_never_stored_leaves_nothing_to_the_store)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, "ZADD", "z", 700);
    ASSERT_WRITE(&bed, "DEL z", "1");
    bed_tidy(&bed);
    assert_true(bed.machine->ops->memory_bytes(bed.machine) < 256 << 10);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(bed.store.count, 1); /* the meta record */
    bed_release(&bed);
}

TEST(state_clean_up, keys_that_come_and_go_between_flushes_leave_nothing_to_the_store)
{
    struct bed bed;
    bed_init(&bed, 1);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    for (unsigned i = 0; i < 2000; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET k%u v PX 1000", i);
        ASSERT_WRITE(&bed, line, "OK");
        snprintf(line, sizeof line, "DEL k%u", i);
        ASSERT_WRITE(&bed, line, "1");
    }
    bed_flush_begin(&bed);
    bed_settle(&bed);
    assert_int_equal(bed.store.count, 1);
    bed_release(&bed);
}

TEST(state_clean_up, a_cleared_database_is_freed_and_leaves_the_store_by_ranges)
{
    struct bed bed;
    bed_init(&bed, 1);
    for (unsigned i = 0; i < 3000; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET key%u value", i);
        ASSERT_WRITE(&bed, line, "OK");
    }
    fill(&bed, "HSET", "h", 300);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    ASSERT_WRITE(&bed, "SET later 1", "OK");
    ASSERT_WRITE(&bed, "FLUSHDB", "OK");
    ASSERT_READ(&bed, "DBSIZE", "0");
    ASSERT_WRITE(&bed, "SET key5 again", "OK");
    ASSERT_READ(&bed, "KEYS *", "[\"key5\"]");
    bed_tidy(&bed);
    assert_true(bed.machine->ops->memory_bytes(bed.machine) < 128 << 10);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(bed.store.count, 2);
    assert_true(bed_recounts(&bed));
    bed_reopen(&bed);
    ASSERT_READ(&bed, "KEYS *", "[\"key5\"]");
    bed_release(&bed);
}

TEST(state_clean_up, databases_cleared_in_any_order_leave_nothing_to_the_store)
{
    struct bed bed;
    bed_init(&bed, 1);
    for (uint8_t database = 0; database < 5; database++) {
        assert_string_equal(bed_write_in(&bed, database, "HSET h f v"), "1");
    }
    static const uint8_t order[] = {3, 1, 4, 2};
    for (size_t i = 0; i < sizeof order; i++) {
        assert_string_equal(bed_write_in(&bed, order[i], "FLUSHDB"), "OK");
    }
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(bed.store.count, 3); /* the mark, the hash that is left and its element */
    ASSERT_READ(&bed, "HGET h f", "\"v\"");
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_clean_up, a_database_that_is_cleared_during_a_flush_is_gone_after_the_next)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, "HSET", "h", 20);
    bed_flush_begin(&bed);
    ASSERT_WRITE(&bed, "FLUSHALL", "OK");
    bed_settle(&bed);
    assert_true(memory_store_count(&bed.store, 'E') == 20);
    assert_true(bed_recounts(&bed));
    bed_tidy(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_int_equal(bed.store.count, 1);
    bed_release(&bed);
}

TEST(state_clean_up, popping_a_stored_queue_looks_at_a_few_records_each_time)
{
    struct bed bed;
    bed_init(&bed, 1);
    fill(&bed, "ZADD", "z", 3000);
    fill(&bed, "RPUSH", "l", 3000);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed_tidy(&bed);
    bed.store.reads = 0;
    for (unsigned i = 0; i < 1400; i++) {
        char reply[64];
        snprintf(reply, sizeof reply, "[\"member%u\" %u]", i, i);
        ASSERT_WRITE(&bed, "ZPOPMIN z", reply);
        snprintf(reply, sizeof reply, "[\"member%u\" %u]", 2999 - i, 2999 - i);
        ASSERT_WRITE(&bed, "ZPOPMAX z", reply);
        (void)bed_write(&bed, "LPOP l");
        (void)bed_write(&bed, "RPOP l");
    }
    assert_true(bed.store.reads < 1400 * 40); /* not in proportion to what was popped before */
    ASSERT_WRITE(&bed, "ZADD z 5 back", "1");
    ASSERT_WRITE(&bed, "ZADD z 2990 end", "1");
    ASSERT_WRITE(&bed, "ZPOPMIN z", "[\"back\" 5]");
    ASSERT_WRITE(&bed, "ZPOPMAX z", "[\"end\" 2990]");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}

TEST(state_clean_up, the_cache_of_clean_records_keeps_its_bound)
{
    struct bed bed;
    bed_init(&bed, 1);
    bed.cache_bytes = 20000;
    bed_reopen(&bed);
    for (unsigned i = 0; i < 3000; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET key%u value", i);
        ASSERT_WRITE(&bed, line, "OK");
    }
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed_tidy(&bed);
    uint64_t idle = bed.machine->ops->memory_bytes(bed.machine);
    assert_true(idle < 120000);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3000; i++) {
            char line[64];
            snprintf(line, sizeof line, "GET key%u", (i * 7) % 3000);
            ASSERT_READ(&bed, line, "\"value\"");
        }
    }
    assert_true(bed.machine->ops->memory_bytes(bed.machine) < idle + 40000);
    ASSERT_READ(&bed, "DBSIZE", "3000");
    bed_release(&bed);
}
