/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Random picks of what is too big to be walked: every element, and every key, has the same chance.
 */
#include "test/test.h"

#include <stdlib.h>

#include "test/state/bed.h"

enum { BIG = 2500 };

/* How often each number came: Pearson's test, six deviations from what chance gives. */
struct count {
    unsigned total, of[BIG];
};

static void count_numbers(struct count *count, const char *reply)
{
    for (const char *at = reply; (at = strpbrk(at, "0123456789")) != NULL;) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        assert_true(number < BIG);
        count->of[number]++;
        count->total++;
        at = end;
    }
}

static void assert_fair(const struct count *count, unsigned total)
{
    assert_int_equal(count->total, total);
    double wanted = (double)total / BIG, sum = 0, freedom = BIG - 1;
    for (unsigned i = 0; i < BIG; i++) {
        sum += (count->of[i] - wanted) * (count->of[i] - wanted) / wanted;
    }
    double off = sum - freedom;
    assert_true(off * off < 36 * 2 * freedom);
}

static void add_members(struct bed *bed)
{
    static char line[BIG * 8];
    int used = snprintf(line, sizeof line, "SADD s");
    for (unsigned i = 0; i < BIG; i++) {
        used += snprintf(line + used, sizeof line - (size_t)used, " %u", i);
    }
    (void)bed_write(bed, line);
}

/* Some of the members are stored, some changed since, some removed and added again. */
static void add_in_layers(struct bed *bed)
{
    add_members(bed);
    assert_int_equal(bed_flush(bed), ERR_OK);
    bed_reopen(bed);
    for (unsigned i = 0; i < BIG; i += 3) {
        char line[32];
        snprintf(line, sizeof line, "SREM s %u", i);
        (void)bed_write(bed, line);
        snprintf(line, sizeof line, "SADD s %u", i);
        (void)bed_write(bed, line);
        if (i == 1200) bed_flush_begin(bed);
    }
}

static void pick_all_ways(struct bed *bed)
{
    static struct count count;
    count = (struct count){0};
    for (unsigned i = 0; i < 25000; i++) count_numbers(&count, bed_read(bed, "SRANDMEMBER s"));
    assert_fair(&count, 25000);
    count = (struct count){0};
    for (unsigned i = 0; i < 250; i++) count_numbers(&count, bed_read(bed, "SRANDMEMBER s -100"));
    assert_fair(&count, 25000);
    count = (struct count){0};
    for (unsigned i = 0; i < 250; i++) count_numbers(&count, bed_read(bed, "SRANDMEMBER s 100"));
    assert_fair(&count, 25000);
}

TEST(state_pick, members_of_a_big_set_come_equally_often)
{
    struct bed bed;
    bed_init(&bed, 1);
    add_members(&bed);
    pick_all_ways(&bed);
    bed_release(&bed);
}

TEST(state_pick, members_come_equally_often_wherever_they_are)
{
    struct bed bed;
    bed_init(&bed, 2);
    add_in_layers(&bed);
    pick_all_ways(&bed);
    bed_release(&bed);
}

TEST(state_pick, reads_that_wait_do_not_favour_what_is_in_memory)
{
    static struct count count;
    struct bed bed;
    bed_init(&bed, 3);
    add_members(&bed);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed_reopen(&bed);
    bed.store.pending_of = 8;
    count = (struct count){0};
    for (unsigned i = 0; i < 12500; i++) count_numbers(&count, bed_read(&bed, "SRANDMEMBER s"));
    assert_fair(&count, 12500);
    assert_true(bed.pendings > 1000);
    bed_release(&bed);
}

TEST(state_pick, distinct_picks_are_distinct_and_whole_sets_are_whole)
{
    static struct count count;
    struct bed bed;
    bed_init(&bed, 4);
    add_members(&bed);
    static const unsigned sizes[] = {1, 10, 400, 700, BIG - 1, BIG, BIG + 100};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char line[40];
        snprintf(line, sizeof line, "SRANDMEMBER s %u", sizes[i]);
        count = (struct count){0};
        count_numbers(&count, bed_read(&bed, line));
        assert_int_equal(count.total, sizes[i] < BIG ? sizes[i] : BIG);
        for (unsigned each = 0; each < BIG; each++) assert_true(count.of[each] <= 1);
    }
    bed_release(&bed);
}

TEST(state_pick, members_are_popped_equally_often)
{
    static struct count count;
    struct bed bed;
    bed_init(&bed, 5);
    add_members(&bed);
    count = (struct count){0};
    for (unsigned i = 0; i < 6000; i++) {
        char line[64];
        const char *popped = bed_write(&bed, i % 3 == 0 ? "SPOP s 3" : "SPOP s");
        count_numbers(&count, popped);
        if (i % 3 != 0)
            snprintf(line, sizeof line, "SADD s %.*s", (int)strlen(popped) - 2, popped + 1);
        else snprintf(line, sizeof line, "SADD s");
        for (const char *at = popped; i % 3 == 0 && (at = strpbrk(at, "0123456789")) != NULL;) {
            size_t digits = strspn(at, "0123456789"), used = strlen(line);
            snprintf(line + used, sizeof line - used, " %.*s", (int)digits, at);
            at += digits;
        }
        (void)bed_write(&bed, line);
    }
    assert_fair(&count, 2000 * 3 + 4000);
    assert_string_equal(bed_read(&bed, "SCARD s"), "2500");
    bed_release(&bed);
}

TEST(state_pick, keys_of_a_big_database_come_equally_often)
{
    static struct count count;
    struct bed bed;
    bed_init(&bed, 6);
    for (unsigned i = 0; i < BIG; i++) {
        char line[32];
        snprintf(line, sizeof line, "SET %u value", i);
        (void)bed_write(&bed, line);
        if (i == BIG / 2) assert_int_equal(bed_flush(&bed), ERR_OK);
    }
    count = (struct count){0};
    for (unsigned i = 0; i < 25000; i++) count_numbers(&count, bed_read(&bed, "RANDOMKEY"));
    assert_fair(&count, 25000);
    bed_release(&bed);
}

TEST(state_pick, a_random_key_is_never_one_that_has_ended)
{
    struct bed bed;
    bed_init(&bed, 7);
    for (unsigned i = 0; i < BIG; i++) {
        char line[48];
        snprintf(line, sizeof line, i == 77 ? "SET %u value" : "SET %u value PX 100", i);
        (void)bed_write(&bed, line);
    }
    bed.now_ms += 100;
    for (unsigned i = 0; i < 20; i++) assert_string_equal(bed_read(&bed, "RANDOMKEY"), "\"77\"");
    (void)bed_write(&bed, "DEL 77");
    assert_string_equal(bed_read(&bed, "RANDOMKEY"), "nil");
    bed_release(&bed);
}
