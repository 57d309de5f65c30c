/* SPDX-License-Identifier: Apache-2.0 */
#include "test/state/fair.h"
#include "test/state/talk_waits.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

TEST(state_zset_pick, a_scan_of_a_small_one_gives_all_at_once)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2.5 b inf c", ":3");
    expect(&talk, "ZSCAN z 0 MATCH b", "*2 $1 0 *2 $1 b $3 2.5");
    expect(&talk, "ZSCAN z 77 MATCH c COUNT 1", "*2 $1 0 *2 $1 c $3 inf");
    expect(&talk, "ZSCAN none 0", "*2 $1 0 *0");
    expect(&talk, "ZSCAN none x", "-ERR invalid cursor");
    expect(&talk, "ZSCAN none 18446744073709551616", "-ERR invalid cursor");
    expect(&talk, "ZSCAN none +", "-ERR invalid cursor");
    expect(&talk, "ZSCAN none +12", "*2 $1 0 *0");
    expect(&talk, "ZSCAN none -1", "*2 $1 0 *0");
    expect(&talk, "ZSCAN none ''", "*2 $1 0 *0");
    expect(&talk, "ZSCAN z 0 MATCH ''", "*2 $1 0 *0");
    expect(&talk, "ZSCAN none 0 COUNT x", "*2 $1 0 *0");
    expect(&talk, "ZSCAN z 0 COUNT 0", "-ERR syntax error");
    expect(&talk, "ZSCAN z 0 COUNT x", "-ERR value is not an integer or out of range");
    expect(&talk, "ZSCAN z 0 TYPE zset", "-ERR syntax error");
    talk_close_counted(&talk);
}

TEST(state_zset_pick, a_scan_meets_every_member_that_stays)
{
    enum { MEMBERS = 400 };
    struct talk talk;
    char line[64], cursor[32] = "0";
    static int seen[MEMBERS];
    unsigned calls = 0;
    memset(seen, 0, sizeof seen);
    talk_open(&talk);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(line, sizeof line, "ZADD z %d m%03d", i, i);
        expect(&talk, line, ":1");
    }
    talk_flush(&talk);
    do {
        snprintf(line, sizeof line, "ZSCAN z %s COUNT 7", cursor);
        const char *reply = say(&talk, line);
        assert_int_equal(sscanf(reply, "*2 $%*d %31s", cursor), 1);
        for (const char *at = strstr(reply, " m"); at != NULL; at = strstr(at + 1, " m"))
            seen[strtol(at + 2, NULL, 10)]++;
        snprintf(line, sizeof line, "ZREM z m%03d", 399 - (int)calls); /* others come and go */
        say(&talk, line);
        snprintf(line, sizeof line, "ZADD z 0 new%u", calls++);
        expect(&talk, line, ":1");
        assert_true(calls < 100);
    } while (strcmp(cursor, "0") != 0);
    assert_true(calls > 40);
    for (int i = 0; i < 400 - (int)calls; i++) assert_int_equal(seen[i], 1);
    assert_true(talk.pendings > 0);
    talk_close_counted(&talk);
}

TEST(state_zset_pick, random_members_come_equally_often)
{
    struct talk talk;
    struct fair fair = {.kinds = 10};
    talk_open(&talk);
    expect(&talk, "ZADD z 0 0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9", ":10");
    fair_add(&fair, say(&talk, "ZRANDMEMBER z -5000"), 0);
    fair_check(&fair, 5000);
    for (int i = 0; i < 1000; i++) fair_add(&fair, say(&talk, "ZRANDMEMBER z 3"), 3);
    for (int i = 0; i < 1000; i++) fair_add(&fair, say(&talk, "ZRANDMEMBER z"), 0);
    fair_check(&fair, 9000);
    talk_close_counted(&talk);
}

TEST(state_zset_pick, zrandmember_gives_as_many_as_asked_for)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2 b", ":2");
    expect_sorted(&talk, 2, "ZRANDMEMBER z 9", "*2 $1 a $1 b");
    expect_sorted(&talk, 4, "ZRANDMEMBER z 9 WITHSCORES", "*4 $1 a $1 1 $1 b $1 2");
    assert_memory_equal(say(&talk, "ZRANDMEMBER z -3 WITHSCORES"), "*6 ", 3);
    talk.resp3 = true;
    assert_memory_equal(say(&talk, "ZRANDMEMBER z -3 WITHSCORES"), "*3 *2 ", 6);
    talk.resp3 = false;
    assert_memory_equal(say(&talk, "ZRANDMEMBER z 1"), "*1 $1 ", 6);
    assert_memory_equal(say(&talk, "ZRANDMEMBER z 1 WITHSCORES"), "*2 $1 ", 6);
    expect(&talk, "ZRANDMEMBER z 0", "*0");
    expect(&talk, "ZRANDMEMBER none", "$-1");
    expect(&talk, "ZRANDMEMBER none -3", "*0");
    expect(&talk, "ZRANDMEMBER z x", "-ERR value is not an integer or out of range");
    expect(&talk, "ZRANDMEMBER z -9223372036854775808",
           "-ERR value is out of range, value must between -9223372036854775807 and "
           "9223372036854775807");
    expect(&talk, "ZRANDMEMBER z -9223372036854775807 WITHSCORES", "-ERR value is out of range");
    expect(&talk, "ZRANDMEMBER z -9223372036854775807",
           "-ERR value is out of range, the answer would be too large");
    expect(&talk, "ZRANDMEMBER z 1 scores", "-ERR syntax error");
    talk_close_counted(&talk);
}

TEST(state_zset_pick, random_members_come_out_of_the_store)
{
    struct talk talk;
    char line[64];
    talk_open(&talk);
    for (int i = 0; i < 1500; i++) {
        snprintf(line, sizeof line, "ZADD z %d m%04d", i, i);
        say(&talk, line);
    }
    talk_flush(&talk);
    assert_memory_equal(say(&talk, "ZRANDMEMBER z -2"), "*2 $5 m", 7);
    assert_memory_equal(say(&talk, "ZRANDMEMBER z 2"), "*2 $5 m", 7);
    assert_memory_equal(say(&talk, "ZRANDMEMBER z"), "$5 m", 4);
    assert_true(talk.pendings > 0);
    assert_memory_equal(say(&talk, "ZRANDMEMBER z 2000"), "*1500 $5 m", 10);
    talk_close_counted(&talk);
}
