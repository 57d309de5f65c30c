/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * One random sequence of commands against two machines: one that holds everything in memory, and
 * one that flushes, forgets, waits for its store, cleans up and is opened anew at random. What they
 * answer, their marks and their digests must be the same at each step, and each flush must recount.
 */
#include "test/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/state/bed.h"

enum { STEPS = 3000, KEYS = 12, FIELDS = 40 };

struct duel {
    struct bed plain, other;
    struct dice dice;
    char line[4096];
    uint8_t database;
};

static uint64_t roll(struct duel *duel, uint64_t below)
{
    return dice_below(&duel->dice, below);
}

/* A key of a type's own, mostly; sometimes another's, so that errors happen too. */
static const char *key_of(struct duel *duel, char type, char *room)
{
    static const char types[] = "shzlt";
    if (roll(duel, 20) == 0) type = types[roll(duel, 5)];
    snprintf(room, 32, "%c%u", type, (unsigned)roll(duel, KEYS));
    return room;
}

static void words_of(struct duel *duel, char *out, size_t size, bool pairs, bool scores)
{
    size_t count = roll(duel, 50) == 0 ? 700 : 1 + roll(duel, 6);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(out);
        if (used + 40 > size) break;
        unsigned field = (unsigned)roll(duel, count > 100 ? 2000 : FIELDS);
        if (scores) snprintf(out + used, size - used, " %u f%u", (unsigned)roll(duel, 9), field);
        else if (pairs)
            snprintf(out + used, size - used, " f%u v%u", field, (unsigned)roll(duel, 9));
        else snprintf(out + used, size - used, " f%u", field);
    }
}

/* A command that writes, into `out`. */
static void draw_write(struct duel *duel, char *out, size_t size)
{
    char a[32], b[32], many[3500];
    unsigned n = (unsigned)roll(duel, 100);
    unsigned field = (unsigned)roll(duel, FIELDS);
    switch (roll(duel, 34)) {
    case 0:
    case 1: snprintf(out, size, "SET %s v%u", key_of(duel, 's', a), n); break;
    case 2: snprintf(out, size, "SET %s v%u PX %u", key_of(duel, 's', a), n, 1 + 40 * n); break;
    case 3: snprintf(out, size, "APPEND %s x%u", key_of(duel, 's', a), n); break;
    case 4: snprintf(out, size, "INCRBY %s %u", key_of(duel, 't', a), n); break;
    case 5: snprintf(out, size, "SETBIT %s %u 1", key_of(duel, 't', a), n * 7); break;
    case 6:
        snprintf(out, size, "DEL %s %s", key_of(duel, "shzlt"[n % 5], a), key_of(duel, 's', b));
        break;
    case 7: snprintf(out, size, "PEXPIRE %s %u", key_of(duel, "shzlt"[n % 5], a), 30 * n); break;
    case 8: snprintf(out, size, "PERSIST %s", key_of(duel, "shzlt"[n % 5], a)); break;
    case 9: {
        char type = "shzlt"[n % 5];
        snprintf(out, size, "RENAME %s %s", key_of(duel, type, a), key_of(duel, type, b));
        break;
    }
    case 10: {
        char type = "shzlt"[n % 5];
        snprintf(out, size, "COPY %s %s REPLACE DB %u", key_of(duel, type, a),
                 key_of(duel, type, b), (unsigned)roll(duel, 3));
        break;
    }
    case 11:
        snprintf(out, size, "MOVE %s %u", key_of(duel, "shzlt"[n % 5], a), (unsigned)roll(duel, 3));
        break;
    case 12:
        if (n < 8) snprintf(out, size, "FLUSHDB");
        else if (n < 10) snprintf(out, size, "FLUSHALL");
        else if (n < 20) snprintf(out, size, "SWAPDB %u %u", n % 3, (n + 1) % 3);
        else snprintf(out, size, "GETDEL %s", key_of(duel, 's', a));
        break;
    case 13:
    case 14:
    case 15:
        words_of(duel, many, sizeof many, true, false);
        snprintf(out, size, "HSET %s%s", key_of(duel, 'h', a), many);
        break;
    case 16: snprintf(out, size, "HDEL %s f%u f%u", key_of(duel, 'h', a), field, field + 1); break;
    case 17: snprintf(out, size, "HINCRBY %s n%u %u", key_of(duel, 'h', a), field, n); break;
    case 18:
    case 19:
        words_of(duel, many, sizeof many, false, true);
        snprintf(out, size, "ZADD %s%s", key_of(duel, 'z', a), many);
        break;
    case 20: snprintf(out, size, "ZREM %s f%u f%u", key_of(duel, 'z', a), field, field + 2); break;
    case 21: snprintf(out, size, "ZINCRBY %s %u f%u", key_of(duel, 'z', a), n % 5, field); break;
    case 22: snprintf(out, size, "ZPOPMIN %s %u", key_of(duel, 'z', a), n % 4); break;
    case 23:
        snprintf(out, size, "ZREMRANGEBYSCORE %s %u %u", key_of(duel, 'z', a), n % 9, n % 9 + 1);
        break;
    case 24:
    case 25:
        words_of(duel, many, sizeof many, false, false);
        snprintf(out, size, "%s %s%s", n % 2 == 0 ? "RPUSH" : "LPUSH", key_of(duel, 'l', a), many);
        break;
    case 26:
        snprintf(out, size, "%s %s %u", n % 2 == 0 ? "LPOP" : "RPOP", key_of(duel, 'l', a), n % 5);
        break;
    case 27:
        snprintf(out, size, "LINSERT %s BEFORE f%u w%u", key_of(duel, 'l', a), field, n);
        break;
    case 28:
        snprintf(out, size, "LREM %s %d f%u", key_of(duel, 'l', a), (int)(n % 5) - 2, field);
        break;
    case 29:
        snprintf(out, size, "LTRIM %s %u %d", key_of(duel, 'l', a), n % 3, -(int)(n % 4) - 1);
        break;
    case 30:
        snprintf(out, size, "LMOVE %s %s LEFT RIGHT", key_of(duel, 'l', a), key_of(duel, 'l', b));
        break;
    case 31:
        words_of(duel, many, sizeof many, false, false);
        snprintf(out, size, "SADD x%u%s", n % 4, many);
        break;
    case 32:
        snprintf(out, size, n % 2 == 0 ? "SPOP x%u %u" : "SREM x%u f%u", n % 4, field % 5 + 1);
        break;
    default: snprintf(out, size, "SMOVE x%u x%u f%u", n % 4, (n + 1) % 4, field); break;
    }
}

static void draw_read(struct duel *duel, char *out, size_t size)
{
    char a[32], b[32];
    unsigned n = (unsigned)roll(duel, 100);
    unsigned field = (unsigned)roll(duel, FIELDS);
    switch (roll(duel, 16)) {
    case 0: snprintf(out, size, "MGET %s %s", key_of(duel, 's', a), key_of(duel, 't', b)); break;
    case 1: snprintf(out, size, "HGETALL %s", key_of(duel, 'h', a)); break;
    case 2: snprintf(out, size, "HGET %s f%u", key_of(duel, 'h', a), field); break;
    case 3: snprintf(out, size, "ZRANGE %s 0 -1 WITHSCORES", key_of(duel, 'z', a)); break;
    case 4:
        snprintf(out, size, "ZRANGEBYSCORE %s %u +inf LIMIT 1 5", key_of(duel, 'z', a), n % 9);
        break;
    case 5: snprintf(out, size, "ZREVRANGE %s 0 7", key_of(duel, 'z', a)); break;
    case 6: snprintf(out, size, "LRANGE %s 0 -1", key_of(duel, 'l', a)); break;
    case 7: snprintf(out, size, "LINDEX %s %d", key_of(duel, 'l', a), (int)n - 50); break;
    case 8: snprintf(out, size, "KEYS *"); break;
    case 9: snprintf(out, size, "SCAN 0 COUNT %u", n + 1); break;
    case 10: snprintf(out, size, "PTTL %s", key_of(duel, "shzlt"[n % 5], a)); break;
    case 11: snprintf(out, size, "EXISTS %s %s", key_of(duel, 'h', a), key_of(duel, 'z', b)); break;
    case 12: snprintf(out, size, "SMEMBERS x%u", n % 4); break;
    case 13: snprintf(out, size, "OBSERVE %s", key_of(duel, "shzlt"[n % 5], a)); break;
    case 14: snprintf(out, size, "ZRANK %s f%u", key_of(duel, 'z', a), field); break;
    default: snprintf(out, size, "DBSIZE"); break;
    }
}

/* What only the other machine suffers. */
static void trouble(struct duel *duel)
{
    struct bed *other = &duel->other;
    switch (roll(duel, 12)) {
    case 0:
        if (!other->flushing) bed_flush_begin(other);
        break;
    case 1:
        if (other->flushing && roll(duel, 4) == 0) other->store.flush_fails = ERR_SPACE;
        (void)memory_store_step(&other->store);
        break;
    case 2: (void)other->machine->ops->tidy(other->machine); break;
    case 3:
        if (roll(duel, 4) == 0) bed_reopen(other);
        break;
    case 4:
        if (roll(duel, 4) != 0) break;
        bed_settle(other);
        if (bed_flush(other) == ERR_OK) assert_true(bed_recounts(other));
        break;
    default: break;
    }
}

static void compare(struct duel *duel, const char *left, const char *right)
{
    if (strcmp(left, right) != 0) {
        fprintf(stderr, "lsn %llu db %u: %s\n  %.600s\n  %.600s\n",
                (unsigned long long)duel->plain.count, duel->database, duel->line, left, right);
    }
    assert_string_equal(left, right);
    assert_true(digest_equal(bed_digest(&duel->plain), bed_digest(&duel->other)));
    assert_int_equal(bed_applied(&duel->plain), bed_applied(&duel->other));
}

static void step(struct duel *duel)
{
    duel->database = (uint8_t)(roll(duel, 8) == 0 ? roll(duel, 3) : 0);
    uint64_t passed = roll(duel, 60);
    duel->plain.now_ms += passed;
    duel->other.now_ms += passed;
    trouble(duel);
    bed_forget(&duel->plain);
    bed_forget(&duel->other);
    if (roll(duel, 3) == 0) {
        draw_read(duel, duel->line, sizeof duel->line);
        const char *left = bed_read_in(&duel->plain, duel->database, duel->line);
        compare(duel, left, bed_read_in(&duel->other, duel->database, duel->line));
    } else {
        draw_write(duel, duel->line, 3700);
        if (roll(duel, 10) == 0) {
            size_t used = strlen(duel->line);
            snprintf(duel->line + used, sizeof duel->line - used, " ; ");
            draw_read(duel, duel->line + used + 3, sizeof duel->line - used - 3);
        }
        const char *left = bed_write_in(&duel->plain, duel->database, duel->line);
        compare(duel, left, bed_write_in(&duel->other, duel->database, duel->line));
    }
    if (roll(duel, 40) == 0) {
        (void)bed_expire(&duel->plain);
        (void)bed_expire(&duel->other);
        snprintf(duel->line, sizeof duel->line, "(expire)");
    }
    buffer_append_byte(&duel->plain.events, 0);
    buffer_append_byte(&duel->other.events, 0);
    compare(duel, (const char *)duel->plain.events.data, (const char *)duel->other.events.data);
}

static void fight(uint64_t seed, unsigned pending_of, uint64_t cache_bytes)
{
    struct duel duel;
    dice_init(&duel.dice, seed);
    bed_init(&duel.plain, seed);
    bed_init(&duel.other, seed + 1);
    duel.other.store.pending_of = pending_of;
    duel.other.cache_bytes = cache_bytes;
    bed_reopen(&duel.other);
    for (unsigned i = 0; i < STEPS; i++) step(&duel);
    duel.other.store.flush_fails = ERR_OK;
    bed_settle(&duel.other);
    assert_int_equal(bed_flush(&duel.other), ERR_OK);
    assert_true(bed_recounts(&duel.other));
    bed_tidy(&duel.other);
    assert_int_equal(bed_flush(&duel.other), ERR_OK);
    assert_true(bed_recounts(&duel.other));
    assert_int_equal(bed_flush(&duel.plain), ERR_OK);
    assert_true(bed_recounts(&duel.plain));
    if (pending_of != 0) assert_true(duel.other.pendings > 0);
    bed_release(&duel.plain);
    bed_release(&duel.other);
}

TEST(state_layers, flushes_reopens_and_tidying_change_no_answer)
{
    for (uint64_t seed = 1; seed <= 6; seed++) fight(seed, 0, 64 << 20);
}

TEST(state_layers, reads_that_wait_change_no_answer)
{
    for (uint64_t seed = 101; seed <= 106; seed++) fight(seed, 3, 64 << 20);
}

TEST(state_layers, a_cache_that_forgets_changes_no_answer)
{
    for (uint64_t seed = 201; seed <= 206; seed++) fight(seed, 5, 400);
}

/* For more of them: SEEDS=1000 test_layers --filter asked */
TEST(state_layers, as_many_more_seeds_as_are_asked_for_change_no_answer)
{
    const char *asked = getenv("SEEDS");
    uint64_t seeds = asked == NULL ? 1 : strtoull(asked, NULL, 10);
    for (uint64_t seed = 1000; seed < 1000 + seeds; seed++) {
        unsigned pending_of = (unsigned)(seed % 7);
        if (pending_of == 1) pending_of = 0; /* the clean-up would wait for ever */
        fight(seed, pending_of, (seed % 3) * 2000);
    }
}
