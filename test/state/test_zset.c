/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "state/score.h"
#include "test/state/talk_waits.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

TEST(state_score, every_double_survives_its_encoding_and_there_is_one_zero)
{
    static const double scores[] = {0,      1,        -1,        0.1,       -1e308,
                                    5e-324, HUGE_VAL, -HUGE_VAL, 1.0 / 3.0, 9007199254740993.0};
    uint8_t value[SCORE_BYTES], other[SCORE_BYTES];
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        score_encode(scores[i], value);
        assert_true(score_decode(bytes_of(value, sizeof value)) == scores[i]);
    }
    score_encode(0.0, value);
    score_encode(-0.0, other);
    assert_memory_equal(value, other, SCORE_BYTES);
    score_encode(1.5, value);
    assert_memory_equal(value, "\0\0\0\0\0\0\xf8\x3f", SCORE_BYTES);
}

TEST(state_score, what_is_no_score_reads_as_zero)
{
    uint8_t value[SCORE_BYTES];
    store_le64(value, UINT64_C(0x7ff8000000000000)); /* not a number */
    assert_true(score_decode(bytes_of(value, sizeof value)) == 0);
    assert_true(score_decode(bytes_of(value, 7)) == 0);
    assert_true(score_decode(bytes_of(NULL, 0)) == 0);
}

TEST(state_zset, zadd_adds_and_changes)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2 b 3 c", ":3");
    expect(&talk, "ZADD z 1 a 5 b 4 d", ":1");
    expect(&talk, "ZADD z CH 1 a 6 b 7 e", ":2");
    expect(&talk, "ZRANGE z 0 -1 WITHSCORES",
           "*10 $1 a $1 1 $1 c $1 3 $1 d $1 4 $1 b $1 6 $1 e $1 7");
    expect(&talk, "ZADD z 1 a", ":0");
    expect_events(&talk, "new z, zadd z, zadd z, zadd z");
    expect(&talk, "ZADD z 1 x 2 x 3 x", ":1");
    expect(&talk, "ZSCORE z x", "$1 3");
    expect(&talk, "ZCARD z", ":6");
    talk_close_counted(&talk);
}

TEST(state_zset, zadd_options_choose_what_is_changed)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD none XX 1 a", ":0");
    expect(&talk, "ZADD none XX INCR 1 a", "$-1");
    expect(&talk, "EXISTS none", ":0");
    expect(&talk, "ZADD z 10 a 20 b", ":2");
    expect(&talk, "ZADD z NX CH 1 a 30 c", ":1");
    expect(&talk, "ZADD z XX CH 11 a 40 d", ":1");
    expect(&talk, "ZADD z GT CH 5 a 25 b 1 e", ":2");
    expect(&talk, "ZADD z LT CH 5 a 30 b", ":1");
    expect(&talk, "ZADD z XX GT CH 6 a 1 f", ":1");
    expect(&talk, "ZRANGE z 0 -1 WITHSCORES", "*8 $1 e $1 1 $1 a $1 6 $1 b $2 25 $1 c $2 30");
    expect(&talk, "ZADD z INCR 4 a", "$2 10");
    expect(&talk, "ZADD z GT INCR -1 a", "$-1");
    expect(&talk, "ZADD z NX INCR 1 a", "$-1");
    expect(&talk, "ZINCRBY z -1.5 a", "$3 8.5");
    expect(&talk, "ZINCRBY z 2 new", "$1 2");
    expect_events(&talk, "new z, zadd z, zadd z, zadd z, zadd z, zadd z, zadd z, zincr z, zincr z, "
                         "zincr z");
    talk_close_counted(&talk);
}

TEST(state_zset, zadd_refuses_before_it_changes_anything)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2", "-ERR syntax error");
    expect(&talk, "ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible");
    expect(&talk, "ZADD z GT LT 1 a",
           "-ERR GT, LT, and/or NX options at the same time are not compatible");
    expect(&talk, "ZADD z NX GT 1 a",
           "-ERR GT, LT, and/or NX options at the same time are not compatible");
    expect(&talk, "ZADD z INCR 1 a 2 b",
           "-ERR INCR option supports a single increment-element pair");
    expect(&talk, "ZADD z 1 a nan b", "-ERR value is not a valid float");
    expect(&talk, "ZADD z 1 a 2.x b", "-ERR value is not a valid float");
    expect(&talk, "ZINCRBY z '' b", "-ERR value is not a valid float");
    expect(&talk, "EXISTS z", ":0");
    expect(&talk, "ZADD z inf a", ":1");
    expect(&talk, "ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)");
    expect(&talk, "ZSCORE z a", "$3 inf");
    expect_events(&talk, "new z, zadd z");
    talk_close_counted(&talk);
}

TEST(state_zset, zero_has_no_sign)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z -0 b 0 a", ":2");
    expect(&talk, "ZRANGE z 0 -1 WITHSCORES", "*4 $1 a $1 0 $1 b $1 0");
    expect(&talk, "ZADD z CH 0 b", ":0");
    expect(&talk, "ZRANK z b", ":1");
    talk_close_counted(&talk);
}

TEST(state_zset, scores_are_doubles_in_resp3)
{
    struct talk talk;
    talk_open(&talk);
    talk.resp3 = true;
    expect(&talk, "ZADD z 1 a 2.5 b", ":2");
    expect(&talk, "ZSCORE z b", ",2.5");
    expect(&talk, "ZMSCORE z a none", "*2 ,1 _");
    expect(&talk, "ZINCRBY z 1 a", ",2");
    expect(&talk, "ZADD z NX INCR 1 a", "_");
    expect(&talk, "ZRANGE z 0 -1 WITHSCORES", "*2 *2 $1 a ,2 *2 $1 b ,2.5");
    expect(&talk, "ZRANGEBYSCORE z 2 2 WITHSCORES", "*1 *2 $1 a ,2");
    expect(&talk, "ZUNION 1 z WITHSCORES", "*2 *2 $1 a ,2 *2 $1 b ,2.5");
    expect(&talk, "ZSCAN z 0 MATCH b", "*2 $1 0 *2 $1 b $3 2.5");
    expect(&talk, "ZPOPMIN z 1", "*1 *2 $1 a ,2");
    expect(&talk, "ZMPOP 1 z MIN", "*2 $1 z *1 *2 $1 b ,2.5");
    expect(&talk, "ZADD z 3 c 4 d", ":2");
    expect(&talk, "BZPOPMAX z 0", "*3 $1 z $1 d ,4");
    expect(&talk, "ZPOPMIN z", "*2 $1 c ,3");
    expect(&talk, "ZSCORE z c", "_");
    talk_close_counted(&talk);
}

TEST(state_zset, the_last_member_takes_its_key_along)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2 b 3 c", ":3");
    talk.events[0] = '\0';
    expect(&talk, "ZREM z a a x", ":1");
    expect_events(&talk, "zrem z");
    expect(&talk, "ZREM z x", ":0");
    expect_events(&talk, "");
    expect(&talk, "ZREM z b c d", ":2");
    expect_events(&talk, "zrem z, del z");
    expect(&talk, "EXISTS z", ":0");
    expect(&talk, "ZADD z 1 b", ":1");
    expect(&talk, "ZRANGE z 0 -1", "*1 $1 b");
    talk_close_counted(&talk);
}

TEST(state_zset, scores_of_what_is_not_there_are_null)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZSCORE z a", "$-1");
    expect(&talk, "ZMSCORE z a b", "*2 $-1 $-1");
    expect(&talk, "ZADD z 1 a", ":1");
    expect(&talk, "ZMSCORE z b a", "*2 $-1 $1 1");
    expect(&talk, "ZCARD none", ":0");
    expect(&talk, "ZRANK z b", "$-1");
    expect(&talk, "ZREVRANK none b", "$-1");
    talk_close_counted(&talk);
}

TEST(state_zset, places_are_counted_from_the_nearer_end)
{
    struct talk talk;
    char line[64], wanted[64];
    talk_open(&talk);
    for (int i = 0; i < 101; i++) {
        snprintf(line, sizeof line, "ZADD z %d m%03d", i / 2, i);
        expect(&talk, line, ":1");
    }
    for (int i = 0; i < 101; i++) {
        snprintf(line, sizeof line, "ZRANK z m%03d", i);
        snprintf(wanted, sizeof wanted, ":%d", i);
        expect(&talk, line, wanted);
        snprintf(line, sizeof line, "ZREVRANK z m%03d", i);
        snprintf(wanted, sizeof wanted, ":%d", 100 - i);
        expect(&talk, line, wanted);
        snprintf(line, sizeof line, "ZRANGE z %d %d", i, i + 1);
        if (i == 100) snprintf(wanted, sizeof wanted, "*1 $4 m100");
        else snprintf(wanted, sizeof wanted, "*2 $4 m%03d $4 m%03d", i, i + 1);
        expect(&talk, line, wanted);
        snprintf(line, sizeof line, "ZREVRANGE z %d %d", 100 - i, 100 - i);
        snprintf(wanted, sizeof wanted, "*1 $4 m%03d", i);
        expect(&talk, line, wanted);
    }
    talk_close_counted(&talk);
}

TEST(state_zset, ranges_by_place_are_clipped)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2 b 3 c 4 d", ":4");
    expect(&talk, "ZRANGE z -2 -1", "*2 $1 c $1 d");
    expect(&talk, "ZRANGE z 0 100 REV", "*4 $1 d $1 c $1 b $1 a");
    expect(&talk, "ZRANGE z -100 1", "*2 $1 a $1 b");
    expect(&talk, "ZRANGE z 4 9223372036854775807", "*0");
    expect(&talk, "ZRANGE z 2 1", "*0");
    expect(&talk, "ZREVRANGE z 1 2 WITHSCORES", "*4 $1 c $1 3 $1 b $1 2");
    expect(&talk, "ZRANGE none 0 -1", "*0");
    expect(&talk, "ZRANGE z a 1", "-ERR value is not an integer or out of range");
    talk_close_counted(&talk);
}

TEST(state_zset, ranges_by_score_include_their_ends_unless_told_otherwise)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z -inf a 1 b 2 c 2 d 3 e +inf f", ":6");
    expect(&talk, "ZRANGEBYSCORE z 1 2", "*3 $1 b $1 c $1 d");
    expect(&talk, "ZRANGEBYSCORE z (1 2", "*2 $1 c $1 d");
    expect(&talk, "ZRANGEBYSCORE z 1 (2", "*1 $1 b");
    expect(&talk, "ZRANGEBYSCORE z -inf (1", "*1 $1 a");
    expect(&talk, "ZRANGEBYSCORE z (-inf +inf", "*5 $1 b $1 c $1 d $1 e $1 f");
    expect(&talk, "ZRANGEBYSCORE z (inf inf", "*0");
    expect(&talk, "ZRANGEBYSCORE z -inf (-inf", "*0");
    expect(&talk, "ZRANGEBYSCORE z 3 1", "*0");
    expect(&talk, "ZREVRANGEBYSCORE z 3 (1", "*3 $1 e $1 d $1 c");
    expect(&talk, "ZRANGE z 3 1 BYSCORE REV LIMIT 1 2", "*2 $1 d $1 c");
    expect(&talk, "ZRANGE z 1 3 BYSCORE LIMIT 1 2 WITHSCORES", "*4 $1 c $1 2 $1 d $1 2");
    expect(&talk, "ZRANGEBYSCORE z 1 3 LIMIT 3 -1", "*1 $1 e");
    expect(&talk, "ZRANGEBYSCORE z 1 3 LIMIT 0 0", "*0");
    expect(&talk, "ZRANGEBYSCORE z 1 3 LIMIT -1 2", "*0");
    expect(&talk, "ZRANGEBYSCORE z 1 3 LIMIT 9 2", "*0");
    expect(&talk, "ZRANGEBYSCORE z '' 1", "*1 $1 b");
    expect(&talk, "ZRANGEBYSCORE z -1e400 1e400", "*6 $1 a $1 b $1 c $1 d $1 e $1 f");
    expect(&talk, "ZCOUNT z 1 (3", ":3");
    expect(&talk, "ZCOUNT z -inf +inf", ":6");
    expect(&talk, "ZCOUNT none 0 1", ":0");
    talk_close_counted(&talk);
}

TEST(state_zset, ranges_by_member_order_by_bytes)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 0 '' 0 a 0 aa 0 b 0 c 0 d", ":6");
    expect(&talk, "ZRANGEBYLEX z - [b", "*4 $0  $1 a $2 aa $1 b");
    expect(&talk, "ZRANGEBYLEX z (a (c", "*2 $2 aa $1 b");
    expect(&talk, "ZRANGEBYLEX z (d +", "*0");
    expect(&talk, "ZRANGEBYLEX z + -", "*0");
    expect(&talk, "ZRANGEBYLEX z [ [a", "*2 $0  $1 a");
    expect(&talk, "ZRANGEBYLEX z ( [a", "*1 $1 a");
    expect(&talk, "ZRANGEBYLEX z - + LIMIT 1 2", "*2 $1 a $2 aa");
    expect(&talk, "ZREVRANGEBYLEX z (c [aa", "*2 $1 b $2 aa");
    expect(&talk, "ZREVRANGEBYLEX z + -  LIMIT 4 5", "*2 $1 a $0 ");
    expect(&talk, "ZRANGE z [b - BYLEX REV", "*4 $1 b $2 aa $1 a $0 ");
    expect(&talk, "ZLEXCOUNT z - +", ":6");
    expect(&talk, "ZLEXCOUNT z [a (c", ":3");
    expect(&talk, "ZLEXCOUNT z + -", ":0");
    expect(&talk, "ZRANGEBYLEX none foo +", "-ERR min or max not valid string range item");
    expect(&talk, "ZREMRANGEBYLEX z (a [c", ":3");
    expect(&talk, "ZRANGE z 0 -1", "*3 $0  $1 a $1 d");
    talk_close_counted(&talk);
}

TEST(state_zset, a_range_refuses_options_that_do_not_go_together)
{
    struct talk talk;
    talk_open(&talk);
    expect(
        &talk, "ZRANGE z 0 1 LIMIT 0 1",
        "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    expect(&talk, "ZRANGE z - + BYLEX WITHSCORES",
           "-ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    expect(&talk, "ZRANGE z 0 1 REV REV", "-ERR syntax error");
    expect(&talk, "ZRANGE z 0 1 BYSCORE BYLEX", "-ERR syntax error");
    expect(&talk, "ZREVRANGE z 0 1 BYSCORE", "-ERR syntax error");
    expect(&talk, "ZREVRANGE z 0 1 REV", "-ERR syntax error");
    expect(&talk, "ZRANGEBYSCORE z 0 1 REV", "-ERR syntax error");
    expect(&talk, "ZRANGEBYSCORE z 0 1 LIMIT 0", "-ERR syntax error");
    expect(&talk, "ZRANGESTORE d z 0 1 WITHSCORES", "-ERR syntax error");
    expect(&talk, "ZRANGEBYSCORE z nan 1", "-ERR min or max is not a float");
    expect(&talk, "ZCOUNT z 0 str", "-ERR min or max is not a float");
    expect(&talk, "ZRANGEBYSCORE z ' ' 1", "-ERR min or max is not a float");
    talk_close_counted(&talk);
}

TEST(state_zset, a_range_is_stored_in_the_place_of_whatever_stood_there)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2 b 3 c", ":3");
    expect(&talk, "SET d x", "+OK");
    talk.events[0] = '\0';
    expect(&talk, "ZRANGESTORE d z 0 1", ":2");
    expect(&talk, "ZRANGE d 0 -1 WITHSCORES", "*4 $1 a $1 1 $1 b $1 2");
    expect_events(&talk, "zrangestore d");
    expect(&talk, "ZRANGESTORE z z 2 inf BYSCORE", ":2");
    expect(&talk, "ZRANGE z 0 -1", "*2 $1 b $1 c");
    expect(&talk, "ZSCORE z a", "$-1");
    expect_events(&talk, "zrangestore z");
    expect(&talk, "ZRANGESTORE d none 0 -1", ":0");
    expect(&talk, "EXISTS d", ":0");
    expect_events(&talk, "del d");
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "ZRANGESTORE z s 0 -1", WRONGTYPE);
    expect(&talk, "ZCARD z", ":2");
    talk_close_counted(&talk);
}

TEST(state_zset, ranges_are_removed)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6");
    talk.events[0] = '\0';
    expect(&talk, "ZREMRANGEBYRANK z 1 2", ":2");
    expect(&talk, "ZREMRANGEBYSCORE z (4 5", ":1");
    expect(&talk, "ZREMRANGEBYSCORE z 100 200", ":0");
    expect(&talk, "ZRANGE z 0 -1", "*3 $1 a $1 d $1 f");
    expect_events(&talk, "zremrangebyrank z, zremrangebyscore z");
    expect(&talk, "ZREMRANGEBYRANK z -100 100", ":3");
    expect_events(&talk, "zremrangebyrank z, del z");
    expect(&talk, "EXISTS z", ":0");
    expect(&talk, "ZREMRANGEBYSCORE none x 1", "-ERR min or max is not a float");
    talk_close_counted(&talk);
}

TEST(state_zset, pops_take_from_either_end)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZADD z 1 a 2 b 3 c 3 d 5 e", ":5");
    talk.events[0] = '\0';
    expect(&talk, "ZPOPMIN z", "*2 $1 a $1 1");
    expect(&talk, "ZPOPMAX z 2", "*4 $1 e $1 5 $1 d $1 3");
    expect(&talk, "ZPOPMIN z 0", "*0");
    expect_events(&talk, "zpopmin z, zpopmax z");
    expect(&talk, "ZPOPMAX z 10", "*4 $1 c $1 3 $1 b $1 2");
    expect_events(&talk, "zpopmax z, del z");
    expect(&talk, "ZPOPMIN z", "*0");
    expect(&talk, "ZPOPMIN z 1 2", "-ERR syntax error");
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "ZPOPMIN s -1", "-ERR value is out of range, must be positive");
    expect(&talk, "ZPOPMIN s 0", WRONGTYPE);
    talk_close_counted(&talk);
}

TEST(state_zset, blocking_pops_serve_at_once_or_wait)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "ZMPOP 2 y z MIN", "*-1");
    expect_wait(&talk, "BZPOPMIN y z 0");
    expect_wait(&talk, "BZPOPMAX z 0.01");
    expect_wait(&talk, "BZMPOP 0 2 y z MAX COUNT 2");
    expect(&talk, "ZADD z 1 a 2 b 3 c 4 d 5 e", ":5");
    expect_served(&talk, "BZPOPMIN y z 0", "*3 $1 z $1 a $1 1");
    expect_served(&talk, "BZPOPMAX z 0", "*3 $1 z $1 e $1 5");
    expect_served(&talk, "BZMPOP 0 2 y z MAX COUNT 2", "*2 $1 z *2 *2 $1 d $1 4 *2 $1 c $1 3");
    expect(&talk, "ZMPOP 2 y z MIN COUNT 9", "*2 $1 z *1 *2 $1 b $1 2");
    expect(&talk, "ZMPOP 1 z LEFT", "-ERR syntax error");
    expect(&talk, "BZMPOP x 1 z MIN", "-ERR timeout is not a float or out of range");
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "BZPOPMIN y s 0", WRONGTYPE);
    expect_wait_again(&talk, "BZPOPMIN y s 0");
    expect_wait_again(&talk, "BZMPOP 0 1 s MIN");
    expect_together(&talk, "*2 *-1 *-1", "BZPOPMIN z 0", "BZMPOP 0 1 z MIN");
    talk_close_counted(&talk);
}

TEST(state_zset, sorted_sets_in_the_store_are_changed_in_place)
{
    struct talk talk;
    char line[64];
    talk_open(&talk);
    for (int i = 0; i < 300; i++) {
        snprintf(line, sizeof line, "ZADD z %d m%03d", i, i);
        expect(&talk, line, ":1");
    }
    talk_flush(&talk);
    expect(&talk, "ZADD z CH 500 m010 -1 new 299 m299", ":2");
    expect(&talk, "ZRANGE z 0 2", "*3 $3 new $4 m000 $4 m001");
    expect(&talk, "ZRANGE z -2 -1 WITHSCORES", "*4 $4 m299 $3 299 $4 m010 $3 500");
    expect(&talk, "ZREMRANGEBYSCORE z 20 279", ":260");
    expect(&talk, "ZRANK z m280", ":20");
    expect(&talk, "ZRANGEBYSCORE z (18 281", "*3 $4 m019 $4 m280 $4 m281");
    talk_flush(&talk);
    expect(&talk, "ZCARD z", ":41");
    expect(&talk, "ZCOUNT z -inf (281", ":21");
    expect(&talk, "ZPOPMAX z 2", "*4 $4 m010 $3 500 $4 m299 $3 299");
    expect(&talk, "ZUNIONSTORE u 1 z", ":39");
    expect(&talk, "ZREMRANGEBYRANK z 0 -1", ":39");
    expect(&talk, "EXISTS z", ":0");
    assert_true(talk.pendings > 0);
    talk_close_counted(&talk);
}

TEST(state_zset, ranges_by_member_seek_in_the_store)
{
    struct talk talk;
    char line[64];
    talk_open(&talk);
    for (int i = 0; i < 300; i++) {
        snprintf(line, sizeof line, "ZADD z 7 m%03d", i);
        expect(&talk, line, ":1");
    }
    talk_flush(&talk);
    expect(&talk, "ZRANGEBYLEX z [m150 (m152", "*2 $4 m150 $4 m151");
    expect(&talk, "ZREVRANGEBYLEX z (m200 + LIMIT 0 1", "*0");
    expect(&talk, "ZREVRANGEBYLEX z (m200 - LIMIT 1 2", "*2 $4 m198 $4 m197");
    expect(&talk, "ZLEXCOUNT z (m001 [m100", ":99");
    talk_close_counted(&talk);
}

TEST(state_zset, other_types_are_refused)
{
    static const char *const lines[] = {
        "ZADD s 1 a",
        "ZREM s a",
        "ZSCORE s a",
        "ZMSCORE s a",
        "ZCARD s",
        "ZCOUNT s 0 1",
        "ZLEXCOUNT s - +",
        "ZINCRBY s 1 a",
        "ZRANK s a",
        "ZREVRANK s a",
        "ZRANGE s 0 1",
        "ZREVRANGE s 0 1",
        "ZRANGEBYSCORE s 0 1",
        "ZREVRANGEBYSCORE s 0 1",
        "ZRANGEBYLEX s - +",
        "ZREVRANGEBYLEX s - +",
        "ZRANGESTORE d s 0 1",
        "ZREMRANGEBYSCORE s 0 1",
        "ZREMRANGEBYRANK s 0 1",
        "ZREMRANGEBYLEX s - +",
        "ZPOPMIN s",
        "ZPOPMAX s",
        "ZMPOP 1 s MIN",
        "BZPOPMIN s 0",
        "BZPOPMAX s 0",
        "BZMPOP 0 1 s MIN",
        "ZUNION 1 s",
        "ZINTER 1 s",
        "ZDIFF 1 s",
        "ZINTERCARD 1 s",
        "ZUNIONSTORE d 1 s",
        "ZINTERSTORE d 1 s",
        "ZDIFFSTORE d 1 s",
        "ZRANDMEMBER s",
        "ZRANDMEMBER s 1",
        "ZSCAN s 0",
    };
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SET s x", "+OK");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) expect(&talk, lines[i], WRONGTYPE);
    expect(&talk, "TYPE s", "+string");
    talk_close_counted(&talk);
}
