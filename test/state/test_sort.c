/* SPDX-License-Identifier: Apache-2.0 */
#include "test/state/talk.h"

TEST(state_sort, numbers_are_sorted_as_numbers)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l 10 9 -3 2.5 9", ":5");
    expect(&talk, "SORT l", "*5 $2 -3 $3 2.5 $1 9 $1 9 $2 10");
    expect(&talk, "SORT l DESC", "*5 $2 10 $1 9 $1 9 $3 2.5 $2 -3");
    expect(&talk, "SORT l ALPHA", "*5 $2 -3 $2 10 $3 2.5 $1 9 $1 9");
    expect(&talk, "SORT l LIMIT 1 2", "*2 $3 2.5 $1 9");
    expect(&talk, "SORT l LIMIT -5 2", "*2 $2 -3 $3 2.5");
    expect(&talk, "SORT l LIMIT 3 -1", "*2 $1 9 $2 10");
    expect(&talk, "SORT l LIMIT 9 2", "*0");
    expect(&talk, "SORT l LIMIT 0 0", "*0");
    expect(&talk, "SORT l DESC ASC LIMIT 0 1", "*1 $2 -3");
    expect(&talk, "SORT_RO l LIMIT 0 1", "*1 $2 -3");
    talk_close(&talk);
}

TEST(state_sort, what_is_no_number_is_an_error)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l 1 x 2", ":3");
    expect(&talk, "SORT l", "-ERR One or more scores can't be converted into double");
    expect(&talk, "SORT l STORE out", "-ERR One or more scores can't be converted into double");
    expect(&talk, "SORT l ALPHA", "*3 $1 1 $1 2 $1 x");
    expect(&talk, "SORT l BY w_*", "*3 $1 1 $1 2 $1 x");
    expect(&talk, "SORT l BY nosort", "*3 $1 1 $1 x $1 2");
    expect(&talk, "RPUSH odd 0x10 ' 3' '' inf -inf", ":5");
    expect(&talk, "SORT odd", "*5 $4 -inf $0  $2  3 $4 0x10 $3 inf");
    expect(&talk, "RPUSH odd nan", ":6");
    expect(&talk, "SORT odd", "-ERR One or more scores can't be converted into double");
    expect(&talk, "RPUSH tiny 1e-300", ":1");
    expect(&talk, "SORT tiny", "*1 $6 1e-300");
    expect(&talk, "RPUSH tiny 1e-310", ":2"); /* strtod says that it is out of range */
    expect(&talk, "SORT tiny", "-ERR One or more scores can't be converted into double");
    expect(&talk, "EXISTS out", ":0");
    talk_close(&talk);
}

TEST(state_sort, equal_numbers_are_in_the_order_of_their_bytes)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l 2 1.0 01 1 2.0", ":5");
    expect(&talk, "SORT l", "*5 $2 01 $1 1 $3 1.0 $1 2 $3 2.0");
    expect(&talk, "SORT l DESC", "*5 $3 2.0 $1 2 $3 1.0 $1 1 $2 01");
    talk_close(&talk);
}

TEST(state_sort, by_names_the_weights)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l a b c", ":3");
    expect(&talk, "SET w_a 3", "+OK");
    expect(&talk, "SET w_c 1", "+OK");
    expect(&talk, "HSET h_b f 5 g x", ":2");
    expect(&talk, "SORT l BY w_*", "*3 $1 b $1 c $1 a"); /* b has none: 0 */
    expect(&talk, "SORT l BY w_* ALPHA DESC", "*3 $1 a $1 c $1 b");
    expect(&talk, "SORT l BY h_*->f DESC", "*3 $1 b $1 c $1 a");
    expect(&talk, "SORT l BY h_*->none", "*3 $1 a $1 b $1 c");
    expect(&talk, "SORT l BY h_*", "*3 $1 a $1 b $1 c"); /* a hash is no weight */
    expect(&talk, "SORT l BY h_*->g", "-ERR One or more scores can't be converted into double");
    expect(&talk, "SORT l BY w_* BY nosort", "*3 $1 a $1 b $1 c");
    expect(&talk, "SORT l BY nosort BY w_*", "*3 $1 a $1 b $1 c");
    talk_close(&talk);
}

TEST(state_sort, get_names_what_is_shown)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l 2 1", ":2");
    expect(&talk, "SET name_1 one", "+OK");
    expect(&talk, "HSET h_2 f two '' none", ":2");
    expect(&talk, "SET h_1-> arrow", "+OK");
    expect(&talk, "SORT l GET name_*", "*2 $3 one $-1");
    expect(&talk, "SORT l GET # GET h_*->f GET constant", "*6 $1 1 $-1 $-1 $1 2 $3 two $-1");
    expect(&talk, "SORT l GET h_*->", "*2 $5 arrow $-1"); /* an arrow at the end is a name's */
    expect(&talk, "SADD s_1 f", ":1");
    expect(&talk, "SORT l GET h_* GET s_* GET s_*->f GET name_*->f",
           "*8 $-1 $-1 $-1 $-1 $-1 $-1 $-1 $-1");
    talk.resp3 = true;
    expect(&talk, "SORT l GET name_* LIMIT 0 2", "*2 $3 one _");
    talk_close(&talk);
}

TEST(state_sort, without_sorting_each_type_keeps_its_order)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l c a b", ":3");
    expect(&talk, "SORT l BY nosort", "*3 $1 c $1 a $1 b");
    expect(&talk, "SORT l BY nosort DESC", "*3 $1 b $1 a $1 c");
    expect(&talk, "SORT l BY nosort LIMIT 1 1", "*1 $1 a");
    expect(&talk, "SORT l BY nosort LIMIT 2 9223372036854775807", "*1 $1 b");
    expect(&talk, "SORT l BY nosort DESC LIMIT 1 9", "*2 $1 a $1 c");
    expect(&talk, "ZADD z 1 c 2 a 3 b", ":3");
    expect(&talk, "SORT z BY nosort", "*3 $1 c $1 a $1 b");
    expect(&talk, "SORT z BY nosort DESC", "*3 $1 b $1 a $1 c");
    expect(&talk, "SORT z BY nosort LIMIT 1 1", "*1 $1 a");
    expect(&talk, "SORT z BY nosort DESC LIMIT 1 9", "*2 $1 a $1 c");
    expect(&talk, "SORT z ALPHA DESC", "*3 $1 c $1 b $1 a");
    expect(&talk, "SADD s c a b", ":3");
    expect_sorted(&talk, 2, "SORT s BY nosort", "*3 $1 a $1 b $1 c");
    expect(&talk, "SORT s BY nosort STORE out", ":3"); /* a list must not depend on hashes */
    expect(&talk, "LRANGE out 0 -1", "*3 $1 a $1 b $1 c");
    expect(&talk, "SORT s BY nosort DESC LIMIT 0 2 STORE out", ":2");
    expect(&talk, "LRANGE out 0 -1", "*2 $1 c $1 b");
    talk_close(&talk);
}

TEST(state_sort, a_stored_result_replaces_what_stood_there)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l 3 1 2", ":3");
    expect(&talk, "SET name_1 one", "+OK");
    talk.events[0] = '\0';
    expect(&talk, "SORT l STORE l", ":3"); /* the key that is sorted */
    expect_events(&talk, "sortstore l");
    expect(&talk, "LRANGE l 0 -1", "*3 $1 1 $1 2 $1 3");
    expect(&talk, "SORT l GET # GET name_* STORE name_1", ":6"); /* one that GET reads */
    expect_events(&talk, "sortstore name_1");
    expect(&talk, "LRANGE name_1 0 -1", "*6 $1 1 $3 one $1 2 $0  $1 3 $0 ");
    expect(&talk, "SORT l STORE new", ":3");
    expect_events(&talk, "new new, sortstore new");
    expect(&talk, "SORT none STORE new", ":0");
    expect(&talk, "SORT none STORE none", ":0");
    expect_events(&talk, "del new");
    expect(&talk, "EXISTS new none", ":0");
    talk_close(&talk);
}

TEST(state_sort, options_are_read_before_the_key_is_looked_at)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1", ":1");
    expect(&talk, "SORT h nonsense", "-ERR syntax error");
    expect(&talk, "SORT h LIMIT 1", "-ERR syntax error");
    expect(&talk, "SORT h LIMIT x 1", "-ERR value is not an integer or out of range");
    expect(&talk, "SORT h BY", "-ERR syntax error");
    expect(&talk, "SORT_RO h STORE l", "-ERR syntax error");
    expect(&talk, "SORT h", "-WRONGTYPE Operation against a key holding the wrong kind of value");
    expect(&talk, "SORT none", "*0");
    expect(&talk, "SORT none BY w_* GET # LIMIT 1 2", "*0");
    talk_close(&talk);
}

TEST(state_sort, many_elements_come_out_in_order)
{
    struct talk talk;
    talk_open(&talk);
    static char line[1 << 16], wanted[1 << 16];
    int size = snprintf(line, sizeof line, "RPUSH l"), length;
    for (unsigned i = 0; i < 1000; i++)
        size += snprintf(line + size, sizeof line - (size_t)size, " %u", 1000 + i * 619 % 1000);
    expect(&talk, line, ":1000");
    length = snprintf(wanted, sizeof wanted, "*1000");
    for (unsigned i = 0; i < 1000; i++)
        length += snprintf(wanted + length, sizeof wanted - (size_t)length, " $4 %u", 1000 + i);
    expect(&talk, "SORT l", wanted);
    talk_close(&talk);
}

/* Merging keeps the order of what is equal; Redis's sort does too, on a list. */
TEST(state_sort, equal_texts_stay_in_the_order_of_the_list)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "RPUSH l d b c a", ":4");
    expect(&talk, "SET w_a 1", "+OK");
    expect(&talk, "SET w_b 1", "+OK");
    expect(&talk, "SORT l BY w_* ALPHA", "*4 $1 d $1 c $1 b $1 a");
    expect(&talk, "SORT l BY w_* ALPHA DESC", "*4 $1 b $1 a $1 d $1 c");
    talk_close(&talk);
}

TEST(state_sort, answers_are_the_same_when_records_must_be_fetched)
{
    struct talk talk;
    talk_open(&talk);
    for (unsigned i = 0; i < 50; i++) {
        char line[64];
        snprintf(line, sizeof line, "RPUSH l %u", i);
        say(&talk, line);
        snprintf(line, sizeof line, "SET w_%u %u", i, (i + 30) % 50);
        say(&talk, line);
    }
    talk_flush(&talk);
    expect(&talk, "SORT l BY w_* LIMIT 0 3 GET # GET w_*", "*6 $2 20 $1 0 $2 21 $1 1 $2 22 $1 2");
    expect(&talk, "SORT l BY w_* DESC STORE out", ":50");
    expect(&talk, "LRANGE out 0 1", "*2 $2 19 $2 18");
    assert_true(talk.pendings > 1);
    talk_close(&talk);
}
