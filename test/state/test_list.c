/* SPDX-License-Identifier: Apache-2.0 */
#include "test/state/talk_waits.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

TEST(state_list, pushes_meet_in_the_middle)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l a b", ":2");
    expect(&talk, "LPUSH l c d", ":4");
    expect(&talk, "LRANGE l 0 -1", "*4 $1 d $1 c $1 a $1 b");
    expect_events(&talk, "new l, rpush l, lpush l");
    expect(&talk, "LPUSHX none a", ":0");
    expect(&talk, "RPUSHX none a", ":0");
    expect(&talk, "EXISTS none", ":0");
    expect(&talk, "RPUSHX l e f", ":6");
    expect(&talk, "LPUSHX l g", ":7");
    expect(&talk, "LLEN l", ":7");
    expect_events(&talk, "rpush l, lpush l");
    talk_close_counted(&talk);
}

TEST(state_list, the_last_pop_takes_the_key_along)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l a b c d e", ":5");
    expect_events(&talk, "new l, rpush l");
    expect(&talk, "LPOP l", "$1 a");
    expect(&talk, "RPOP l", "$1 e");
    expect(&talk, "RPOP l 2", "*2 $1 d $1 c");
    expect_events(&talk, "lpop l, rpop l, rpop l");
    expect(&talk, "LPOP l 10", "*1 $1 b");
    expect_events(&talk, "lpop l, del l");
    expect(&talk, "EXISTS l", ":0");
    expect(&talk, "LPOP l", "$-1");
    expect(&talk, "LPOP l 1", "*-1");
    expect_events(&talk, "");
    talk_close_counted(&talk);
}

TEST(state_list, a_pop_checks_its_count_before_its_key)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "LPOP none -1", "-ERR value is out of range, must be positive");
    expect(&talk, "LPOP s x", "-ERR value is out of range, must be positive");
    expect(&talk, "LPOP s 1", WRONGTYPE);
    expect(&talk, "LPOP l 1 1", "-ERR wrong number of arguments for 'lpop' command");
    expect(&talk, "RPUSH l a", ":1");
    talk.events[0] = '\0';
    expect(&talk, "LPOP l 0", "*0");
    expect(&talk, "LLEN l", ":1");
    expect_events(&talk, "");
    talk_close_counted(&talk);
}

TEST(state_list, ranges_are_clipped_and_counted_from_either_end)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l a b c d", ":4");
    expect(&talk, "LRANGE l 1 2", "*2 $1 b $1 c");
    expect(&talk, "LRANGE l -2 100", "*2 $1 c $1 d");
    expect(&talk, "LRANGE l -100 0", "*1 $1 a");
    expect(&talk, "LRANGE l 3 2", "*0");
    expect(&talk, "LRANGE l 4 9223372036854775807", "*0");
    expect(&talk, "LRANGE l -9223372036854775808 9223372036854775807", "*4 $1 a $1 b $1 c $1 d");
    expect(&talk, "LRANGE none x 1", "-ERR value is not an integer or out of range");
    expect(&talk, "LRANGE none 0 1", "*0");
    expect(&talk, "LINDEX l -1", "$1 d");
    expect(&talk, "LINDEX l 4", "$-1");
    expect(&talk, "LINDEX l -9223372036854775808", "$-1");
    expect(&talk, "LINDEX none x", "$-1");
    talk_close_counted(&talk);
}

TEST(state_list, lset_overwrites_one_item)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "LSET l 0 x", "-ERR no such key");
    expect(&talk, "RPUSH l a b c", ":3");
    expect(&talk, "LSET l -1 z", "+OK");
    expect(&talk, "LSET l 3 x", "-ERR index out of range");
    expect(&talk, "LSET l x x", "-ERR value is not an integer or out of range");
    expect(&talk, "LRANGE l 0 -1", "*3 $1 a $1 b $1 z");
    expect_events(&talk, "new l, rpush l, lset l");
    talk_close_counted(&talk);
}

TEST(state_list, lrem_removes_from_either_end_and_closes_the_gaps)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l x a x b x c d e x", ":9");
    expect(&talk, "LREM l 2 x", ":2");
    expect(&talk, "LRANGE l 0 -1", "*7 $1 a $1 b $1 x $1 c $1 d $1 e $1 x");
    expect(&talk, "LREM l -1 x", ":1");
    expect(&talk, "LRANGE l 0 -1", "*6 $1 a $1 b $1 x $1 c $1 d $1 e");
    expect(&talk, "LREM l 0 y", ":0");
    expect(&talk, "LREM none 0 y", ":0");
    expect(&talk, "LPUSH l d", ":7");
    expect(&talk, "LREM l 0 d", ":2");
    expect(&talk, "LRANGE l 0 -1", "*5 $1 a $1 b $1 x $1 c $1 e");
    expect_events(&talk, "new l, rpush l, lrem l, lrem l, lpush l, lrem l");
    expect(&talk, "RPUSH m x x x", ":3");
    expect(&talk, "LREM m -9223372036854775808 x", ":3");
    expect(&talk, "EXISTS m", ":0");
    expect_events(&talk, "new m, rpush m, lrem m, del m");
    talk_close_counted(&talk);
}

TEST(state_list, linsert_shifts_either_side)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l a b c d e", ":5");
    expect(&talk, "LINSERT l BEFORE b x", ":6");
    expect(&talk, "LINSERT l AFTER d y", ":7");
    expect(&talk, "LINSERT l before a 1", ":8");
    expect(&talk, "LINSERT l after e 2", ":9");
    expect(&talk, "LRANGE l 0 -1", "*9 $1 1 $1 a $1 x $1 b $1 c $1 d $1 y $1 e $1 2");
    expect(&talk, "LINSERT l AFTER none y", ":-1");
    expect(&talk, "LINSERT none AFTER a y", ":0");
    expect(&talk, "LINSERT none aft3r a y", "-ERR syntax error");
    expect(&talk, "LLEN l", ":9");
    expect_events(&talk, "new l, rpush l, linsert l, linsert l, linsert l, linsert l");
    talk_close_counted(&talk);
}

TEST(state_list, ltrim_keeps_what_is_in_the_range)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l a b c d e f", ":6");
    expect(&talk, "LTRIM l 1 -2", "+OK");
    expect(&talk, "LRANGE l 0 -1", "*4 $1 b $1 c $1 d $1 e");
    expect(&talk, "LTRIM l 0 -1", "+OK");
    expect(&talk, "LLEN l", ":4");
    expect_events(&talk, "new l, rpush l, ltrim l, ltrim l");
    expect(&talk, "LTRIM l 5 10", "+OK");
    expect_events(&talk, "ltrim l, del l");
    expect(&talk, "EXISTS l", ":0");
    expect(&talk, "LTRIM l 5 10", "+OK");
    expect_events(&talk, "");
    talk_close_counted(&talk);
}

TEST(state_list, lpos_counts_ranks_from_either_end)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l a b c 1 2 3 c c", ":8");
    expect(&talk, "LPOS l c", ":2");
    expect(&talk, "LPOS l c RANK 2", ":6");
    expect(&talk, "LPOS l c RANK -1", ":7");
    expect(&talk, "LPOS l c RANK -1 COUNT 2", "*2 :7 :6");
    expect(&talk, "LPOS l c COUNT 0", "*3 :2 :6 :7");
    expect(&talk, "LPOS l c COUNT 0 RANK 2", "*2 :6 :7");
    expect(&talk, "LPOS l c COUNT 0 MAXLEN 7", "*2 :2 :6");
    expect(&talk, "LPOS l c COUNT 0 MAXLEN 2 RANK -1", "*2 :7 :6");
    expect(&talk, "LPOS l x", "$-1");
    expect(&talk, "LPOS l x COUNT 0", "*0");
    expect(&talk, "LPOS none x COUNT 0", "*0");
    expect(&talk, "LPOS l c RANK 9", "$-1");
    talk_close_counted(&talk);
}

TEST(state_list, lpos_refuses_what_makes_no_sense)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "LPOS l c RANK 0",
           "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or "
           "use negative to start from the end of the list");
    expect(&talk, "LPOS l c RANK -9223372036854775808",
           "-ERR value is out of range, value must between -9223372036854775807 and "
           "9223372036854775807");
    expect(&talk, "LPOS l c RANK x", "-ERR value is not an integer or out of range");
    expect(&talk, "LPOS l c COUNT -1", "-ERR COUNT can't be negative");
    expect(&talk, "LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative");
    expect(&talk, "LPOS l c COUNT", "-ERR syntax error");
    talk_close_counted(&talk);
}

TEST(state_list, moves_take_from_one_and_give_to_another)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH a 1 2 3", ":3");
    expect_events(&talk, "new a, rpush a");
    expect(&talk, "RPOPLPUSH a b", "$1 3");
    expect_events(&talk, "new b, lpush b, rpop a");
    expect(&talk, "LMOVE a b LEFT RIGHT", "$1 1");
    expect_events(&talk, "rpush b, lpop a");
    expect(&talk, "LMOVE a b right left", "$1 2");
    expect_events(&talk, "lpush b, rpop a, del a");
    expect(&talk, "LRANGE b 0 -1", "*3 $1 2 $1 3 $1 1");
    expect(&talk, "LMOVE b b LEFT RIGHT", "$1 2");
    expect_events(&talk, "rpush b, lpop b");
    expect(&talk, "LRANGE b 0 -1", "*3 $1 3 $1 1 $1 2");
    expect(&talk, "RPUSH one x", ":1");
    expect(&talk, "RPOPLPUSH one one", "$1 x");
    expect(&talk, "LLEN one", ":1");
    expect(&talk, "LMOVE none b LEFT RIGHT", "$-1");
    expect(&talk, "LMOVE b a UP LEFT", "-ERR syntax error");
    talk_close_counted(&talk);
}

TEST(state_list, a_move_onto_another_type_changes_nothing)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "RPUSH a 1", ":1");
    talk.events[0] = '\0';
    expect(&talk, "RPOPLPUSH a s", WRONGTYPE);
    expect(&talk, "BRPOPLPUSH a s 0", WRONGTYPE);
    expect(&talk, "RPOPLPUSH s a", WRONGTYPE);
    expect(&talk, "RPOPLPUSH none s", "$-1");
    expect(&talk, "LRANGE a 0 -1", "*1 $1 1");
    expect_events(&talk, "");
    talk_close_counted(&talk);
}

TEST(state_list, lmpop_serves_from_the_first_list_that_is_there)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "LMPOP 2 a b LEFT", "*-1");
    expect(&talk, "RPUSH b 1 2 3", ":3");
    expect(&talk, "LMPOP 2 a b LEFT", "*2 $1 b *1 $1 1");
    expect(&talk, "LMPOP 2 a b RIGHT COUNT 10", "*2 $1 b *2 $1 3 $1 2");
    expect(&talk, "EXISTS b", ":0");
    expect(&talk, "LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0");
    expect(&talk, "LMPOP 9223372036854775807 a LEFT", "-ERR syntax error");
    expect(&talk, "LMPOP 2 a LEFT", "-ERR syntax error");
    expect(&talk, "LMPOP 3 a LEFT", "-ERR syntax error");
    expect(&talk, "LMPOP 1 a LEFT COUNT 0", "-ERR count should be greater than 0");
    expect(&talk, "LMPOP 1 a LEFT COUNT", "-ERR syntax error");
    expect(&talk, "LMPOP 1 a LEFT COUNT 1 COUNT 2", "-ERR syntax error");
    expect(&talk, "LMPOP 1 a UP", "-ERR syntax error");
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "LMPOP 2 a s LEFT", WRONGTYPE);
    talk_close_counted(&talk);
}

TEST(state_list, a_blocking_command_pops_at_once_or_waits)
{
    struct talk talk;
    talk_open(&talk);
    expect_wait(&talk, "BLPOP a b 0");
    expect_wait(&talk, "BRPOP a 0.5");
    expect_wait(&talk, "BLMOVE a b LEFT LEFT 0");
    expect_wait(&talk, "BRPOPLPUSH a b 0");
    expect_wait(&talk, "BLMPOP 0 2 a b LEFT");
    expect(&talk, "RPUSH b 1 2 3 4 5 6", ":6");
    expect_served(&talk, "BLPOP a b 0", "*2 $1 b $1 1");
    expect_served(&talk, "BRPOP b 0", "*2 $1 b $1 6");
    expect_served(&talk, "BLMPOP 0 2 a b LEFT COUNT 2", "*2 $1 b *2 $1 2 $1 3");
    expect(&talk, "BLMOVE b a LEFT LEFT 0", "$1 4");
    expect(&talk, "BRPOPLPUSH b a 0", "$1 5");
    expect_wait_again(&talk, "BLPOP b 0");
    expect(&talk, "LRANGE a 0 -1", "*2 $1 5 $1 4");
    talk_close_counted(&talk);
}

TEST(state_list, only_the_first_attempt_minds_another_type)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "BLPOP none s 0", WRONGTYPE);
    expect(&talk, "BLMOVE s a LEFT LEFT 0", WRONGTYPE);
    expect_wait_again(&talk, "BLPOP s 0");
    expect_wait_again(&talk, "BLMPOP 0 1 s LEFT");
    expect_wait_again(&talk, "BLMOVE s a LEFT LEFT 0");
    expect(&talk, "RPUSH l 1 2", ":2");
    expect_served(&talk, "BLPOP s l 0", "*2 $1 l $1 1");
    expect_served(&talk, "BLMOVE l s LEFT LEFT 0", WRONGTYPE); /* the target does matter */
    expect(&talk, "LLEN l", ":1");
    talk_close_counted(&talk);
}

TEST(state_list, nobody_waits_in_a_transaction)
{
    struct talk talk;
    talk_open(&talk);
    expect_together(&talk, "*5 *-1 *-1 $-1 $-1 *-1", "BLPOP a 0", "BRPOP a 0",
                    "BLMOVE a b LEFT LEFT 0", "BRPOPLPUSH a b 0", "BLMPOP 0 1 a LEFT");
    expect_together(&talk, "*3 :1 *2 $1 a $1 x *-1", "RPUSH a x", "BLPOP a 0", "BLPOP a 0");
    talk_close_counted(&talk);
}

TEST(state_list, a_timeout_is_checked_before_anything)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SET s x", "+OK");
    expect(&talk, "BLPOP s -1", "-ERR timeout is negative");
    expect(&talk, "BLPOP s x", "-ERR timeout is not a float or out of range");
    expect(&talk, "BLPOP s 0x7FFFFFFFFFFFFF", "-ERR timeout is out of range");
    expect(&talk, "BLPOP s inf", "-ERR timeout is out of range");
    expect(&talk, "BLPOP s -inf", "-ERR timeout is negative");
    expect(&talk, "BLMPOP -1 1 s LEFT", "-ERR timeout is negative");
    expect(&talk, "BLMPOP -1 0 s LEFT", "-ERR numkeys should be greater than 0");
    expect(&talk, "BLMOVE s s UP LEFT -1", "-ERR syntax error");
    expect_wait(&talk, "BLPOP l -0.0009");
    expect_wait_again(&talk, "BLPOP l -1"); /* only when the client begins to wait */
    talk_close_counted(&talk);
}

TEST(state_list, lists_in_the_store_are_changed_in_place)
{
    struct talk talk;
    char line[64], wanted[64];
    talk_open(&talk);
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "RPUSH l v%03d", i);
        say(&talk, line);
    }
    talk_flush(&talk);
    expect(&talk, "LINDEX l 100", "$4 v100");
    expect(&talk, "LINSERT l BEFORE v150 new", ":201");
    expect(&talk, "LREM l 0 v020", ":1");
    expect(&talk, "LTRIM l 5 -6", "+OK");
    expect(&talk, "LLEN l", ":190");
    talk_flush(&talk);
    for (int place = 0, value = 5; place < 190; place++) {
        snprintf(line, sizeof line, "LINDEX l %d", place);
        if (value == 20) value++;
        if (place == 144) snprintf(wanted, sizeof wanted, "$3 new");
        else snprintf(wanted, sizeof wanted, "$4 v%03d", value++);
        expect(&talk, line, wanted);
    }
    expect(&talk, "LRANGE l 143 145", "*3 $4 v149 $3 new $4 v150");
    expect(&talk, "LPOS l v190 RANK -1", ":185");
    expect(&talk, "LPOP l 2", "*2 $4 v005 $4 v006");
    expect(&talk, "RPOP l 2", "*2 $4 v194 $4 v193");
    assert_true(talk.pendings > 0);
    talk_close_counted(&talk);
}

TEST(state_list, a_change_in_the_middle_shifts_the_shorter_side)
{
    static const char *const lines[] = {"LINSERT l BEFORE v010 x", "LINSERT l AFTER v990 x",
                                        "LREM l 1 v010", "LREM l 1 v990", "LREM l -1 v011"};
    struct talk talk;
    char line[64];
    talk_open(&talk);
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof line, "RPUSH l v%03d", i);
        say(&talk, line);
    }
    talk_flush(&talk);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        uint64_t before = talk_unflushed(&talk);
        say(&talk, lines[i]);
        assert_true(talk_unflushed(&talk) - before < 20000); /* 990 items are 60000 and more */
        talk_flush(&talk);
    }
    expect(&talk, "LLEN l", ":999");
    talk_close_counted(&talk);
}

TEST(state_list, other_types_are_refused)
{
    static const char *const lines[] = {
        "LPUSH s a",
        "RPUSH s a",
        "LPUSHX s a",
        "RPUSHX s a",
        "LPOP s",
        "RPOP s",
        "LLEN s",
        "LRANGE s 0 1",
        "LINDEX s 0",
        "LSET s 0 a",
        "LREM s 0 a",
        "LTRIM s 0 1",
        "LINSERT s AFTER a b",
        "LPOS s a",
        "RPOPLPUSH s s",
        "LMOVE s s LEFT LEFT",
        "LMPOP 1 s LEFT",
        "BLPOP s 0",
        "BRPOP s 0",
        "BRPOPLPUSH s s 0",
        "BLMOVE s s LEFT LEFT 0",
        "BLMPOP 0 1 s LEFT",
    };
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SET s x", "+OK");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) expect(&talk, lines[i], WRONGTYPE);
    expect(&talk, "TYPE s", "+string");
    talk_close_counted(&talk);
}
