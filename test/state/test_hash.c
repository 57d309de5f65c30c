/* SPDX-License-Identifier: Apache-2.0 */
#include "test/state/talk.h"

#include "test/state/fair.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

TEST(state_hash, hset_counts_the_fields_that_are_new)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1 b 2", ":2");
    expect(&talk, "HSET h b 3 c 4", ":1");
    expect(&talk, "HSET h d 1 d 2", ":1");
    expect(&talk, "HGET h d", "$1 2");
    expect(&talk, "HGET h b", "$1 3");
    expect(&talk, "HLEN h", ":4");
    expect(&talk, "HMSET h a 5 e 6", "+OK");
    expect(&talk, "HMGET h a e x", "*3 $1 5 $1 6 $-1");
    talk_close(&talk);
}

TEST(state_hash, fields_come_in_pairs)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command");
    expect(&talk, "HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command");
    expect(&talk, "HLEN h", ":0");
    expect_events(&talk, "");
    talk_close(&talk);
}

TEST(state_hash, hsetnx_writes_only_a_field_that_is_not_there)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSETNX h a 1", ":1");
    expect(&talk, "HSETNX h a 2", ":0");
    expect(&talk, "HSETNX h '' 3", ":1");
    expect(&talk, "HMGET h a ''", "*2 $1 1 $1 3");
    expect_events(&talk, "new h, hset h, hset h");
    talk_close(&talk);
}

TEST(state_hash, the_last_field_takes_its_key_along)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1 b 2 c 3", ":3");
    expect_events(&talk, "new h, hset h");
    expect(&talk, "HDEL h a a x", ":1");
    expect_events(&talk, "hdel h");
    expect(&talk, "HDEL h x", ":0");
    expect_events(&talk, "");
    expect(&talk, "HDEL h b c d", ":2");
    expect_events(&talk, "hdel h, del h");
    expect(&talk, "EXISTS h", ":0");
    expect(&talk, "HDEL h a", ":0");
    talk_close(&talk);
}

TEST(state_hash, a_key_that_is_not_there_reads_as_empty)
{
    struct talk talk;
    talk_open(&talk);
    for (unsigned protocol = 2; protocol <= 3; protocol++) {
        talk.resp3 = protocol == 3;
        const char *null = talk.resp3 ? "_" : "$-1";
        expect(&talk, "HGET no a", null);
        expect(&talk, "HRANDFIELD no", null);
        expect(&talk, "HMGET no a", talk.resp3 ? "*1 _" : "*1 $-1");
        expect(&talk, "HGETALL no", talk.resp3 ? "%0" : "*0");
        expect(&talk, "HKEYS no", "*0");
        expect(&talk, "HVALS no", "*0");
        expect(&talk, "HRANDFIELD no 3", "*0");
        expect(&talk, "HRANDFIELD no -3 WITHVALUES", "*0");
        expect(&talk, "HSCAN no 0", "*2 $1 0 *0");
        expect(&talk, "HLEN no", ":0");
        expect(&talk, "HEXISTS no a", ":0");
        expect(&talk, "HSTRLEN no a", ":0");
    }
    talk_close(&talk);
}

TEST(state_hash, every_command_refuses_a_key_of_another_type)
{
    static const char *const lines[] = {
        "HSET s a 1",
        "HMSET s a 1",
        "HSETNX s a 1",
        "HGET s a",
        "HMGET s a",
        "HGETALL s",
        "HKEYS s",
        "HVALS s",
        "HDEL s a",
        "HLEN s",
        "HEXISTS s a",
        "HSTRLEN s a",
        "HINCRBY s a 1",
        "HSCAN s 0",
        "HRANDFIELD s",
        "HRANDFIELD s 1",
        "HINCRBYFLOAT s a 1",
        "HRANDFIELD s -1 WITHVALUES",
    };
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SADD s a", ":1");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) expect(&talk, lines[i], WRONGTYPE);
    expect_events(&talk, "new s, sadd s");
    expect(&talk, "SMEMBERS s", "*1 $1 a");
    talk_close(&talk);
}

TEST(state_hash, whole_hashes_are_maps_in_resp3)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1 b 22", ":2");
    expect_sorted(&talk, 4, "HGETALL h", "*4 $1 a $1 1 $1 b $2 22");
    expect_sorted(&talk, 2, "HKEYS h", "*2 $1 a $1 b");
    expect_sorted(&talk, 2, "HVALS h", "*2 $1 1 $2 22");
    expect_sorted(&talk, 4, "HRANDFIELD h 2 WITHVALUES", "*4 $1 a $1 1 $1 b $2 22");
    talk.resp3 = true;
    expect_sorted(&talk, 4, "HGETALL h", "%2 $1 a $1 1 $1 b $2 22");
    expect_sorted(&talk, 2, "HKEYS h", "*2 $1 a $1 b");
    expect_sorted(&talk, 5, "HRANDFIELD h 2 WITHVALUES", "*2 *2 $1 a $1 1 *2 $1 b $2 22");
    expect(&talk, "HSTRLEN h b", ":2");
    talk_close(&talk);
}

TEST(state_hash, hincrby_adds_to_integers_and_leaves_everything_else)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HINCRBY h n 5", ":5");
    expect(&talk, "HINCRBY h n -7", ":-2");
    expect_events(&talk, "new h, hincrby h, hincrby h");
    expect(&talk, "HINCRBY h n 1.5", "-ERR value is not an integer or out of range");
    expect(&talk, "HSET h big 9223372036854775800 text ' 1'", ":2");
    expect_events(&talk, "hset h");
    expect(&talk, "HINCRBY h big 8", "-ERR increment or decrement would overflow");
    expect(&talk, "HINCRBY h big 7", ":9223372036854775807");
    expect(&talk, "HINCRBY h text 1", "-ERR hash value is not an integer");
    expect(&talk, "HINCRBY none n x", "-ERR value is not an integer or out of range");
    expect(&talk, "EXISTS none", ":0");
    expect_events(&talk, "hincrby h");
    talk_close(&talk);
}

TEST(state_hash, hincrbyfloat_counts_in_long_doubles)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HINCRBYFLOAT h f 1.23", "$4 1.23");
    expect(&talk, "HINCRBYFLOAT h f 0.77", "$1 2");
    talk.resp3 = true;
    expect(&talk, "HINCRBYFLOAT h f -0.1", "$3 1.9");
    expect(&talk, "HGET h f", "$3 1.9");
    expect(&talk, "HINCRBYFLOAT h big 17179869184", "$11 17179869184");
    expect(&talk, "HINCRBYFLOAT h big 1.5e0", "$13 17179869185.5");
    expect_events(&talk, "new h, hincrbyfloat h, hincrbyfloat h, hincrbyfloat h, hincrbyfloat h, "
                         "hincrbyfloat h");
    talk_close(&talk);
}

TEST(state_hash, hincrbyfloat_refuses_what_is_no_number)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HINCRBYFLOAT none f inf", "-ERR value is NaN or Infinity");
    expect(&talk, "HINCRBYFLOAT none f nan", "-ERR value is not a valid float");
    expect(&talk, "HINCRBYFLOAT none f ' 1'", "-ERR value is not a valid float");
    expect(&talk, "HINCRBYFLOAT none f 1e-5000", "-ERR value is not a valid float");
    expect(&talk, "EXISTS none", ":0");
    expect(&talk, "HSET h text x inf inf", ":2");
    expect(&talk, "HINCRBYFLOAT h text 1", "-ERR hash value is not a float");
    expect(&talk, "HINCRBYFLOAT h inf 1", "-ERR increment would produce NaN or Infinity");
    expect(&talk, "HGET h inf", "$3 inf");
    expect_events(&talk, "new h, hset h");
    talk_close(&talk);
}

TEST(state_hash, hrandfield_checks_its_words_before_it_looks)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HRANDFIELD no x", "-ERR value is not an integer or out of range");
    expect(&talk, "HRANDFIELD no -9223372036854775808",
           "-ERR value is out of range, value must between -9223372036854775807 and "
           "9223372036854775807");
    expect(&talk, "HRANDFIELD no -9223372036854770000 WITHVALUES", "-ERR value is out of range");
    expect(&talk, "HRANDFIELD no 1 VALUES", "-ERR syntax error");
    expect(&talk, "HRANDFIELD no 1 WITHVALUES x", "-ERR syntax error");
    expect(&talk, "HRANDFIELD no x WITHVALUES x", "-ERR value is not an integer or out of range");
    talk_close(&talk);
}

TEST(state_hash, a_number_of_random_fields_beyond_reason_is_refused)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1", ":1");
    expect(&talk, "HRANDFIELD h -9223372036854770000",
           "-ERR value is out of range, the answer would be too large");
    expect(&talk, "HRANDFIELD h 9223372036854775807", "*1 $1 a");
    expect(&talk, "HRANDFIELD h 0", "*0");
    expect(&talk, "HRANDFIELD h -3", "*3 $1 a $1 a $1 a");
    static char line[100000 + 16];
    int size = snprintf(line, sizeof line, "HSET h a ");
    memset(line + size, 'x', 100000);
    expect(&talk, line, ":0");
    expect(&talk, "HRANDFIELD h -3000 WITHVALUES",
           "-ERR value is out of range, the answer would be too large");
    assert_true(strncmp(say(&talk, "HRANDFIELD h -3 WITHVALUES"), "*6 $1 a $100000 xxx", 19) == 0);
    talk_close(&talk);
}

/* Fields are named by numbers from 0, so that what comes can be counted. */
static void put_numbers(struct talk *talk, const char *opening, const char *ending, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s %u%s", opening, i, ending);
        expect(talk, line, ":1");
    }
}

TEST(state_hash, random_fields_are_uniform)
{
    struct talk talk;
    talk_open(&talk);
    put_numbers(&talk, "HSET h", " v", 10);
    struct fair fair = {.kinds = 10};
    fair_add(&fair, say(&talk, "HRANDFIELD h -5000"), 0);
    fair_check(&fair, 5000);
    fair = (struct fair){.kinds = 10};
    for (unsigned i = 0; i < 1500; i++) fair_add(&fair, say(&talk, "HRANDFIELD h 3"), 3);
    fair_check(&fair, 4500);
    fair = (struct fair){.kinds = 10};
    for (unsigned i = 0; i < 1500; i++) fair_add(&fair, say(&talk, "HRANDFIELD h"), 0);
    fair_check(&fair, 1500);
    talk_close(&talk);
}

TEST(state_hash, hscan_of_few_fields_gives_them_all_at_once)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1 b 2 c 3", ":3");
    expect_sorted(&talk, 4, "HSCAN h 77 COUNT 1 MATCH [c-z]", "*2 $1 0 *2 $1 c $1 3");
    expect(&talk, "HSCAN h 0 COUNT 0", "-ERR syntax error");
    expect(&talk, "HSCAN h x", "-ERR invalid cursor");
    talk_close(&talk);
}

TEST(state_hash, answers_are_the_same_when_records_must_be_fetched)
{
    struct talk talk;
    talk_open(&talk);
    put_numbers(&talk, "HSET h", " v", 300);
    expect(&talk, "HSET g n0 1 n1 1", ":2");
    talk_flush(&talk);
    assert_true(strncmp(say(&talk, "HRANDFIELD h -300"), "*300 ", 5) == 0);
    expect(&talk, "HLEN h", ":300");
    expect(&talk, "HMGET h 5 x 299", "*3 $1 v $-1 $1 v");
    expect(&talk, "HINCRBY g n0 4", ":5");
    expect(&talk, "HSETNX g n1 4", ":0");
    expect(&talk, "HDEL h 17 18 17", ":2");
    assert_true(strncmp(say(&talk, "HGETALL h"), "*596 ", 5) == 0);
    assert_true(strncmp(say(&talk, "HRANDFIELD h 250"), "*250 ", 5) == 0);
    expect(&talk, "HDEL g n0 n1", ":2");
    expect(&talk, "EXISTS g", ":0");
    assert_true(talk.pendings > 3);
    talk_close(&talk);
}
