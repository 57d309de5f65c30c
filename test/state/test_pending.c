/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Each read of the store, one after the other, says once that it must wait: nothing may come of it
 * but the wait.
 */
#include "test/test.h"

#include <stdio.h>

#include "base/plant.h"
#include "test/state/bed.h"

/* Against the records that prepare() leaves in the store. */
static const char *const lines[] = {
    "SET s new",
    "APPEND s more",
    "INCR n",
    "MSET s 1 n 2 fresh 3",
    "MSETNX s 1 fresh 3",
    "SETRANGE s 2 xx",
    "SETBIT n 7 1",
    "BITOP OR d s n",
    "RENAME s s2",
    "RENAME h h2",
    "RENAME h z",
    "COPY h h3",
    "COPY z z2 DB 1",
    "MOVE l 1",
    "EXPIRE s 100",
    "PERSIST e",
    "DEL s h z l x none",
    "HSET h a 1 new 2",
    "HDEL h a b none",
    "HINCRBY h n 5",
    "HGETALL h",
    "ZADD z 9 a 3 new",
    "ZINCRBY z 4 b",
    "ZREM z a none",
    "ZPOPMIN z 2",
    "ZPOPMAX z",
    "ZRANGESTORE z3 z 0 1",
    "ZRANGEBYSCORE z 1 3",
    "ZREMRANGEBYRANK z 0 0",
    "ZREVRANGE z 0 -1",
    "ZUNIONSTORE u 2 z x",
    "LPUSH l a",
    "RPUSH l b c",
    "LPOP l 2",
    "RPOP l",
    "LINSERT l BEFORE 3 w",
    "LREM l 1 3",
    "LSET l 1 w",
    "LTRIM l 1 2",
    "LMOVE l l LEFT RIGHT",
    "LRANGE l 0 -1",
    "SADD x a new",
    "SREM x a none",
    "SPOP x 2",
    "SMOVE x y b",
    "SINTERSTORE i x x",
    "SUNIONSTORE i x y",
    "SORT l",
    "KEYS *",
    "SCAN 0",
    "FLUSHDB ; SET s 1",
    "SWAPDB 0 1 ; SET s 1 ; SWAPDB 0 1 ; GET s",
    "SET s 1 ; HSET h a 9 ; RPUSH l 9 ; ZADD z 9 a",
    /* A long row of removed records, noted and then taken back. */
    "ZREMRANGEBYRANK q 0 39 ; ZPOPMIN q ; ZREMRANGEBYRANK q -19 -1 ; ZREVRANGE q 0 3 ; GET s",
    "DEL h ; HSET h only 1 ; HGETALL h",
    "RANDOMKEY",
    "DEBUG OBJECT h",
};

static void prepare(struct bed *bed)
{
    static const char *const writes[] = {"SET s text",
                                         "SET n 10",
                                         "SET e 1 EX 1000",
                                         "HSET h a 1 b 2 c 3 n 4",
                                         "ZADD z 1 a 2 b 3 c 4 d",
                                         "RPUSH l 1 2 3 4",
                                         "SADD x a b c d"};
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) (void)bed_write(bed, writes[i]);
    for (unsigned i = 0; i < 60; i++) {
        char line[32];
        snprintf(line, sizeof line, "ZADD q %u m%u", i, i);
        (void)bed_write(bed, line);
    }
    assert_int_equal(bed_flush(bed), ERR_OK);
    bed_reopen(bed);
    bed->store.reads = 0;
}

struct result {
    char reply[512], events[512];
    struct digest digest;
    size_t reads, pendings;
};

static struct result run(const char *line, size_t pending_at, bool wait)
{
    struct bed bed;
    struct result result;
    bed_init(&bed, 1);
    prepare(&bed);
    bed_forget(&bed);
    bed.store.pending_at = pending_at;
    if (wait) bed.store.pending_of = 1;
    snprintf(result.reply, sizeof result.reply, "%s", bed_write(&bed, line));
    buffer_append_byte(&bed.events, 0);
    snprintf(result.events, sizeof result.events, "%s", (const char *)bed.events.data);
    result.digest = bed_digest(&bed);
    result.reads = bed.store.reads;
    result.pendings = bed.pendings;
    bed.store.pending_at = bed.store.pending_of = 0;
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
    return result;
}

static void assert_same(const char *line, const struct result *a, const struct result *b)
{
    if (strcmp(a->reply, b->reply) != 0) fprintf(stderr, "%s\n", line);
    assert_string_equal(a->reply, b->reply);
    assert_string_equal(a->events, b->events);
    assert_true(digest_equal(a->digest, b->digest));
}

TEST(state_pending, a_wait_at_any_read_changes_nothing)
{
    size_t waits = 0;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct result plain = run(lines[i], 0, false);
        for (size_t at = 1; at <= plain.reads; at++) {
            struct result waited = run(lines[i], at, false);
            assert_int_equal(waited.pendings, 1);
            assert_same(lines[i], &plain, &waited);
            waits++;
        }
    }
    assert_true(waits > 250);
}

TEST(state_pending, after_its_last_attempt_an_evaluation_waits_for_the_disk_itself)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct result plain = run(lines[i], 0, false);
        struct result waited = run(lines[i], 0, true);
        if (plain.reads > 0) assert_int_equal(waited.pendings, MACHINE_ATTEMPTS_MAX);
        assert_same(lines[i], &plain, &waited);
    }
}

TEST(state_pending, what_is_looked_up_twice_in_a_row_is_fetched_once)
{
    struct bed bed;
    bed_init(&bed, 1);
    prepare(&bed);
    (void)bed_read(&bed, "ZCARD z"); /* only the element is missing then */
    bed.store.wants = 0;
    bed.store.pending_of = 1;
    assert_string_equal(bed_write(&bed, "ZADD z 9 a"), "0");
    assert_int_equal(bed.store.wants, MACHINE_ATTEMPTS_MAX); /* one each */
    bed.store.pending_of = 0;
    bed_release(&bed);
}

TEST(state_pending, an_evaluation_that_kept_its_changes_would_be_noticed)
{
    struct result plain = run("SET s 1 ; HSET h a 9 ; RPUSH l 9 ; APPEND s 2", 0, false);
    plant_set(PLANT_PENDING_KEEPS_CHANGES, true);
    struct bed bed;
    bed_init(&bed, 1);
    prepare(&bed);
    bed.store.pending_at = plain.reads;
    struct buffer payload;
    buffer_init(&payload);
    bed_payload(&payload, 0, "SET s 1 ; HSET h a 9 ; RPUSH l 9 ; APPEND s 2");
    struct digest before = bed_digest(&bed);
    struct entry entry = next_entry(&bed, buffer_bytes(&payload));
    struct outcome outcome = {.reply = reply_nobody()};
    assert_int_equal(bed.machine->ops->apply(bed.machine, &entry, 0, &outcome), ERR_PENDING);
    plant_set(PLANT_PENDING_KEEPS_CHANGES, false);
    assert_false(digest_equal(before, bed_digest(&bed)));
    buffer_release(&payload);
    bed_release(&bed);
}
