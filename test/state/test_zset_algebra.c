/* SPDX-License-Identifier: Apache-2.0 */
#include "test/state/talk_waits.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

TEST(state_zset_algebra, unions_weigh_and_aggregate)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD a 1 x 2 y", ":2");
    expect(&talk, "ZADD b 10 y 20 z", ":2");
    expect(&talk, "SADD s y w", ":2");
    expect(&talk, "ZUNION 2 a b WITHSCORES", "*6 $1 x $1 1 $1 y $2 12 $1 z $2 20");
    expect(&talk, "ZUNION 2 a b WITHSCORES AGGREGATE MIN", "*6 $1 x $1 1 $1 y $1 2 $1 z $2 20");
    expect(&talk, "ZUNION 3 a b s AGGREGATE max WEIGHTS 2 1 30 WITHSCORES",
           "*8 $1 x $1 2 $1 z $2 20 $1 w $2 30 $1 y $2 30");
    expect(&talk, "ZUNION 2 a b WITHSCORES AGGREGATE MAX WEIGHTS 6 1",
           "*6 $1 x $1 6 $1 y $2 12 $1 z $2 20");
    expect(&talk, "ZUNION 2 a b WITHSCORES AGGREGATE MIN WEIGHTS 6 1",
           "*6 $1 x $1 6 $1 y $2 10 $1 z $2 20");
    expect(&talk, "ZUNION 2 a b WITHSCORES AGGREGATE Sum", "*6 $1 x $1 1 $1 y $2 12 $1 z $2 20");
    expect(&talk, "ZUNION 2 none a", "*2 $1 x $1 y");
    expect(&talk, "ZUNION 2 a a WITHSCORES", "*4 $1 x $1 2 $1 y $1 4");
    expect(&talk, "ZADD i inf x", ":1");
    expect(&talk, "ZADD j -inf x", ":1");
    expect(&talk, "ZUNION 2 i j WITHSCORES", "*2 $1 x $1 0");
    expect(&talk, "ZUNION 1 i WEIGHTS 0 WITHSCORES", "*2 $1 x $1 0");
    expect(&talk, "ZINTER 2 i j WITHSCORES", "*2 $1 x $1 0");
    talk_close_counted(&talk);
}

TEST(state_zset_algebra, intersections_and_differences_look_into_every_input)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD a 1 x 2 y 3 z", ":3");
    expect(&talk, "ZADD b 10 y 20 z 30 w 40 v", ":4");
    expect(&talk, "SADD s y q", ":2");
    expect(&talk, "ZINTER 2 a b WITHSCORES", "*4 $1 y $2 12 $1 z $2 23");
    expect(&talk, "ZINTER 3 a b s WEIGHTS 1 2 3 WITHSCORES", "*2 $1 y $2 25");
    expect(&talk, "ZINTER 2 a none", "*0");
    expect(&talk, "ZINTERCARD 2 a b", ":2");
    expect(&talk, "ZINTERCARD 2 a b LIMIT 1", ":1");
    expect(&talk, "ZINTERCARD 2 a b LIMIT 0", ":2");
    expect(&talk, "ZDIFF 2 a b WITHSCORES", "*2 $1 x $1 1");
    expect(&talk, "ZDIFF 2 a s", "*2 $1 x $1 z");
    expect(&talk, "ZDIFF 3 a none s", "*2 $1 x $1 z");
    expect(&talk, "ZDIFF 2 s a WITHSCORES", "*2 $1 q $1 1");
    expect(&talk, "ZDIFF 2 a a", "*0");
    expect(&talk, "ZDIFF 2 none a", "*0");
    expect(&talk, "ZDIFF 1 a", "*3 $1 x $1 y $1 z");
    talk_close_counted(&talk);
}

TEST(state_zset_algebra, a_difference_from_many_is_the_same_by_either_way)
{
    struct talk talk;
    char line[64], many[256] = "ZDIFF 9 a";
    talk_open(&talk);
    for (int i = 0; i < 60; i++) {
        snprintf(line, sizeof line, "ZADD a %d m%02d", i, i);
        expect(&talk, line, ":1");
    }
    for (int i = 0; i < 8; i++) { /* together far fewer than eight looks for each of a */
        snprintf(line, sizeof line, "ZADD o%d 1 m%02d", i, i * 7);
        expect(&talk, line, ":1");
        snprintf(many + strlen(many), sizeof many - strlen(many), " o%d", i);
    }
    assert_memory_equal(say(&talk, many), "*52 $3 m01 $3 m02", 17);
    expect(&talk, "ZINTERCARD 2 a o3", ":1");
    expect(&talk, "ZDIFFSTORE d 2 o3 a", ":0");
    expect(&talk, "ZDIFFSTORE d 2 a o3", ":59");
    talk_close_counted(&talk);
}

TEST(state_zset_algebra, results_are_stored_even_over_an_input)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD a 1 x 2 y", ":2");
    expect(&talk, "ZADD b 3 y", ":1");
    talk.events[0] = '\0';
    expect(&talk, "ZUNIONSTORE a 2 a b", ":2");
    expect(&talk, "ZRANGE a 0 -1 WITHSCORES", "*4 $1 x $1 1 $1 y $1 5");
    expect(&talk, "ZINTERSTORE a 2 a b WEIGHTS 1 -1", ":1");
    expect(&talk, "ZRANGE a 0 -1 WITHSCORES", "*2 $1 y $1 2");
    expect(&talk, "ZDIFFSTORE c 1 b", ":1");
    expect(&talk, "ZDIFFSTORE c 2 b a", ":0");
    expect(&talk, "EXISTS c", ":0");
    expect(&talk, "ZDIFFSTORE c 2 b a", ":0");
    expect_events(&talk, "zunionstore a, zinterstore a, new c, zdiffstore c, del c");
    talk_close_counted(&talk);
}

TEST(state_zset_algebra, algebra_refuses_what_makes_no_sense)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command");
    expect(&talk, "ZINTERCARD 0 a", "-ERR at least 1 input key is needed for 'zintercard' command");
    expect(&talk, "ZUNION x a", "-ERR value is not an integer or out of range");
    expect(&talk, "ZUNION 2 a", "-ERR syntax error");
    expect(&talk, "ZUNION 9223372036854775807 a", "-ERR syntax error");
    expect(&talk, "ZUNION 1 a WEIGHTS nan", "-ERR weight value is not a float");
    expect(&talk, "ZUNION 2 a b WEIGHTS 1", "-ERR syntax error");
    expect(&talk, "ZUNION 1 a AGGREGATE avg", "-ERR syntax error");
    expect(&talk, "ZUNIONSTORE d 1 a WITHSCORES", "-ERR syntax error");
    expect(&talk, "ZDIFF 1 a WEIGHTS 1", "-ERR syntax error");
    expect(&talk, "ZINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative");
    expect(&talk, "ZINTERCARD 1 a LIMIT a", "-ERR LIMIT can't be negative");
    expect(&talk, "ZINTERCARD 1 a WITHSCORES", "-ERR syntax error");
    expect(&talk, "ZUNION 2 none s", WRONGTYPE);
    expect(&talk, "ZINTERSTORE s 2 none s", WRONGTYPE);
    expect(&talk, "TYPE s", "+string");
    talk_close_counted(&talk);
}

/* 1 - 1e16 + 1e16 is 0 in doubles, 1e16 - 1e16 + 1 is 1. */
TEST(state_zset_algebra, sums_go_from_the_smallest_input_to_the_largest)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD large 1e16 x 1 y 1 z", ":3");
    expect(&talk, "ZADD middle -1e16 x 1 y", ":2");
    expect(&talk, "ZADD small 1 x", ":1");
    expect(&talk, "ZINTER 3 large middle small WITHSCORES", "*2 $1 x $1 0");
    expect(&talk, "ZINTER 3 small middle large WITHSCORES", "*2 $1 x $1 0");
    expect(&talk, "ZUNIONSTORE d 3 large middle small", ":3");
    expect(&talk, "ZSCORE d x", "$1 0");
    talk_close_counted(&talk);
}

TEST(state_zset_algebra, large_inputs_are_read_from_the_store)
{
    struct talk talk;
    char line[64];
    talk_open(&talk);
    for (int i = 0; i < 300; i++) {
        snprintf(line, sizeof line, "ZADD %s %d m%03d", i % 2 == 0 ? "a" : "b", i, i);
        expect(&talk, line, ":1");
        snprintf(line, sizeof line, "SADD s m%03d", i);
        if (i % 3 == 0) expect(&talk, line, ":1");
    }
    talk_flush(&talk);
    expect(&talk, "ZUNIONSTORE u 2 a b", ":300");
    expect(&talk, "ZRANGE u 100 101 WITHSCORES", "*4 $4 m100 $3 100 $4 m101 $3 101");
    expect(&talk, "ZINTERCARD 2 u s", ":100");
    expect(&talk, "ZINTERCARD 3 a u s", ":50");
    expect(&talk, "ZDIFFSTORE d 3 u a s", ":100");
    expect(&talk, "ZRANGE d 0 1 WITHSCORES", "*4 $4 m001 $1 1 $4 m005 $1 5");
    assert_true(talk.pendings > 0);
    talk_close_counted(&talk);
}
