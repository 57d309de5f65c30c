/* SPDX-License-Identifier: Apache-2.0 */
#include "test/state/fair.h"
#include "test/state/talk.h"

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"

/* Members are named by numbers. */
static void put_numbers(struct talk *talk, const char *name, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char line[64];
        snprintf(line, sizeof line, "SADD %s %u", name, i);
        expect(talk, line, ":1");
    }
}

TEST(state_set, sadd_and_srem_count_what_changed)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SADD s a b a", ":2");
    expect(&talk, "SADD s a b", ":0");
    expect_events(&talk, "new s, sadd s");
    expect(&talk, "SCARD s", ":2");
    expect(&talk, "SMISMEMBER s a x b", "*3 :1 :0 :1");
    expect(&talk, "SISMEMBER s x", ":0");
    expect(&talk, "SREM s x y", ":0");
    expect_events(&talk, "");
    expect(&talk, "SREM s a a", ":1");
    expect(&talk, "SREM s b x", ":1");
    expect_events(&talk, "srem s, srem s, del s");
    expect(&talk, "EXISTS s", ":0");
    talk_close(&talk);
}

TEST(state_set, a_key_that_is_not_there_reads_as_empty)
{
    struct talk talk;
    talk_open(&talk);
    for (unsigned protocol = 2; protocol <= 3; protocol++) {
        talk.resp3 = protocol == 3;
        const char *null = talk.resp3 ? "_" : "$-1", *empty = talk.resp3 ? "~0" : "*0";
        expect(&talk, "SMEMBERS no", empty);
        expect(&talk, "SPOP no", null);
        expect(&talk, "SPOP no 3", empty);
        expect(&talk, "SRANDMEMBER no", null);
        expect(&talk, "SRANDMEMBER no 3", "*0");
        expect(&talk, "SINTER no no2", empty);
        expect(&talk, "SUNION no no2", empty);
        expect(&talk, "SDIFF no no2", empty);
        expect(&talk, "SMISMEMBER no a b", "*2 :0 :0");
        expect(&talk, "SSCAN no 0 COUNT nonsense", "*2 $1 0 *0");
        expect(&talk, "SINTERCARD 1 no", ":0");
        expect(&talk, "SREM no a", ":0");
        expect(&talk, "SMOVE no no2 a", ":0");
    }
    talk_close(&talk);
}

TEST(state_set, every_command_refuses_a_key_of_another_type)
{
    static const char *const lines[] = {
        "SADD h a",
        "SREM h a",
        "SISMEMBER h a",
        "SMISMEMBER h a",
        "SCARD h",
        "SMEMBERS h",
        "SPOP h",
        "SPOP h 1",
        "SRANDMEMBER h",
        "SRANDMEMBER h 1",
        "SSCAN h 0",
        "SMOVE h s a",
        "SMOVE s h a",
        "SMOVE s h x",
        "SINTER no h",
        "SUNION no h",
        "SDIFF no h",
        "SDIFF no no h",
        "SINTERSTORE s no h",
        "SUNIONSTORE s s h",
        "SDIFFSTORE s s h",
        "SINTERCARD 2 no h",
    };
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "HSET h a 1", ":1");
    expect(&talk, "SADD s a", ":1");
    expect_events(&talk, "new h, hset h, new s, sadd s");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) expect(&talk, lines[i], WRONGTYPE);
    expect_events(&talk, "");
    expect(&talk, "SMEMBERS s", "*1 $1 a");
    expect(&talk, "SMOVE no h a", ":0");
    talk_close(&talk);
}

TEST(state_set, smove_takes_from_one_and_gives_to_the_other)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SADD a x y", ":2");
    expect(&talk, "SADD b y", ":1");
    expect_events(&talk, "new a, sadd a, new b, sadd b");
    expect(&talk, "SMOVE a a x", ":1");
    expect(&talk, "SMOVE a a q", ":0");
    expect(&talk, "SMOVE a b q", ":0");
    expect_events(&talk, "");
    expect(&talk, "SMOVE a b y", ":1"); /* it was there already */
    expect_events(&talk, "srem a");
    expect(&talk, "SMOVE a c x", ":1");
    expect_events(&talk, "srem a, del a, new c, sadd c");
    expect(&talk, "EXISTS a b c", ":2");
    expect(&talk, "SMEMBERS b", "*1 $1 y");
    expect(&talk, "SMEMBERS c", "*1 $1 x");
    talk_close(&talk);
}

TEST(state_set, spop_takes_out_what_it_gives)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SPOP s -1", "-ERR value is out of range, must be positive");
    expect(&talk, "SPOP s x", "-ERR value is out of range, must be positive");
    expect(&talk, "SPOP s 1 2", "-ERR syntax error");
    expect(&talk, "SADD s a", ":1");
    expect_events(&talk, "new s, sadd s");
    expect(&talk, "SPOP s 0", "*0");
    expect_events(&talk, "");
    expect(&talk, "SPOP s", "$1 a");
    expect_events(&talk, "spop s, del s");
    put_numbers(&talk, "s", 0, 10);
    talk.events[0] = '\0';
    struct fair fair = {.kinds = 10};
    fair_add(&fair, say(&talk, "SPOP s 4"), 4);
    expect_events(&talk, "spop s");
    expect(&talk, "SCARD s", ":6");
    fair_add(&fair, say(&talk, "SPOP s"), 1);
    talk.resp3 = true;
    assert_true(strncmp(say(&talk, "SPOP s 99"), "~5 ", 3) == 0);
    fair_add(&fair, talk.out, 5);
    for (unsigned i = 0; i < 10; i++) assert_int_equal(fair.counts[i], 1);
    expect_events(&talk, "spop s, spop s, del s");
    expect(&talk, "EXISTS s", ":0");
    talk_close(&talk);
}

TEST(state_set, random_members_are_uniform)
{
    struct talk talk;
    talk_open(&talk);
    put_numbers(&talk, "s", 0, 1000);
    struct fair fair = {.kinds = 1000};
    fair_add(&fair, say(&talk, "SRANDMEMBER s -20000"), 0);
    fair_check(&fair, 20000);
    fair = (struct fair){.kinds = 1000};
    for (unsigned i = 0; i < 40; i++) fair_add(&fair, say(&talk, "SRANDMEMBER s 300"), 300);
    fair_check(&fair, 12000);
    fair = (struct fair){.kinds = 1000};
    for (unsigned i = 0; i < 5000; i++) fair_add(&fair, say(&talk, "SRANDMEMBER s"), 0);
    fair_check(&fair, 5000);
    talk_close(&talk);
}

TEST(state_set, popped_members_are_uniform)
{
    struct talk talk;
    talk_open(&talk);
    struct fair fair = {.kinds = 10};
    for (unsigned i = 0; i < 1000; i++) {
        say(&talk, "SADD s 0 1 2 3 4 5 6 7 8 9");
        fair_add(&fair, say(&talk, "SPOP s"), 0);
        say(&talk, "SADD s 0 1 2 3 4 5 6 7 8 9");
        fair_add(&fair, say(&talk, "SPOP s 3"), 3);
    }
    fair_check(&fair, 4000);
    talk_close(&talk);
}

TEST(state_set, srandmember_checks_its_words_before_it_looks)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SRANDMEMBER no x", "-ERR value is not an integer or out of range");
    expect(&talk, "SRANDMEMBER no -9223372036854775808",
           "-ERR value is out of range, value must between -9223372036854775807 and "
           "9223372036854775807");
    expect(&talk, "SRANDMEMBER no x x", "-ERR syntax error");
    talk_close(&talk);
}

TEST(state_set, intersection_union_and_difference)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SADD a 1 2 3 4", ":4");
    expect(&talk, "SADD b 2 4 6", ":3");
    expect(&talk, "SADD c 4", ":1");
    expect_sorted(&talk, 2, "SINTER a b", "*2 $1 2 $1 4");
    expect_sorted(&talk, 2, "SINTER b b", "*3 $1 2 $1 4 $1 6");
    expect(&talk, "SINTER a b c", "*1 $1 4");
    expect(&talk, "SINTER a no b", "*0");
    expect_sorted(&talk, 2, "SUNION a b c no", "*5 $1 1 $1 2 $1 3 $1 4 $1 6");
    expect_sorted(&talk, 2, "SUNION b no b", "*3 $1 2 $1 4 $1 6");
    expect_sorted(&talk, 2, "SDIFF a b", "*2 $1 1 $1 3");
    expect(&talk, "SDIFF b a no", "*1 $1 6");
    expect(&talk, "SDIFF a b a", "*0");
    expect(&talk, "SDIFF no a", "*0");
    expect_sorted(&talk, 2, "SDIFF b", "*3 $1 2 $1 4 $1 6");
    talk.resp3 = true;
    expect_sorted(&talk, 2, "SDIFF b", "~3 $1 2 $1 4 $1 6");
    expect_sorted(&talk, 2, "SINTER a b", "~2 $1 2 $1 4");
    expect_sorted(&talk, 2, "SUNION c b", "~3 $1 2 $1 4 $1 6");
    talk_close(&talk);
}

/* Both ways of taking a difference, by probes and by walks, against each other. */
TEST(state_set, a_difference_does_not_depend_on_the_sizes)
{
    struct talk talk;
    talk_open(&talk);
    put_numbers(&talk, "large", 0, 400);
    put_numbers(&talk, "small", 390, 410);
    for (unsigned i = 0; i < 12; i++) {
        char line[64];
        snprintf(line, sizeof line, "SADD s%u %u x", i, 30 * i);
        expect(&talk, line, ":2");
    }
    expect(&talk, "SDIFFSTORE out small large", ":10");
    expect(&talk, "SDIFFSTORE out large small", ":390");
    expect(&talk, "SDIFFSTORE out large s0 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11", ":388");
    expect(&talk, "SISMEMBER out 30", ":0");
    expect(&talk, "SISMEMBER out 31", ":1");
    expect(&talk, "SISMEMBER out x", ":0");
    expect(&talk, "SUNIONSTORE out large small s0 s1", ":411");
    expect(&talk, "SINTERCARD 2 large small", ":10");
    talk_close(&talk);
}

TEST(state_set, a_stored_result_replaces_what_stood_there)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SADD a 1 2 3", ":3");
    expect(&talk, "SADD b 2 3 4", ":3");
    expect_events(&talk, "new a, sadd a, new b, sadd b");
    expect(&talk, "SINTERSTORE a a b", ":2"); /* one of the operands */
    expect_events(&talk, "sinterstore a");
    expect_sorted(&talk, 2, "SMEMBERS a", "*2 $1 2 $1 3");
    expect(&talk, "SUNIONSTORE out a b", ":3");
    expect_events(&talk, "new out, sunionstore out");
    expect(&talk, "SDIFFSTORE out b a", ":1");
    expect_events(&talk, "sdiffstore out");
    expect(&talk, "SMEMBERS out", "*1 $1 4");
    expect(&talk, "HSET h f v", ":1");
    expect_events(&talk, "new h, hset h");
    expect(&talk, "SUNIONSTORE h b", ":3"); /* of another type */
    expect_events(&talk, "sunionstore h");
    expect(&talk, "SCARD h", ":3");
    expect(&talk, "SINTERSTORE h a no", ":0");
    expect(&talk, "SDIFFSTORE out a a", ":0");
    expect(&talk, "SUNIONSTORE none no", ":0");
    expect_events(&talk, "del h, del out");
    expect(&talk, "EXISTS h out none", ":0");
    talk_close(&talk);
}

TEST(state_set, sintercard_counts_up_to_its_limit)
{
    struct talk talk;
    talk_open(&talk);
    expect(&talk, "SADD a 1 2 3 4", ":4");
    expect(&talk, "SADD b 1 2 3 5", ":4");
    expect(&talk, "SINTERCARD 2 a b", ":3");
    expect(&talk, "SINTERCARD 2 a b LIMIT 2", ":2");
    expect(&talk, "SINTERCARD 2 a b limit 0", ":3");
    expect(&talk, "SINTERCARD 2 a b LIMIT 9", ":3");
    expect(&talk, "SINTERCARD 0 a", "-ERR numkeys should be greater than 0");
    expect(&talk, "SINTERCARD x a", "-ERR numkeys should be greater than 0");
    expect(&talk, "SINTERCARD 3 a b", "-ERR Number of keys can't be greater than number of args");
    expect(&talk, "SINTERCARD 1 a b", "-ERR syntax error");
    expect(&talk, "SINTERCARD 1 a LIMIT", "-ERR syntax error");
    expect(&talk, "SINTERCARD 1 a LIMIT -1", "-ERR LIMIT can't be negative");
    expect(&talk, "SINTERCARD 1 a LIMIT x", "-ERR LIMIT can't be negative");
    talk_close(&talk);
}

/* "*2 $n CURSOR *m ..." */
static unsigned long long cursor_of(const char *reply)
{
    return strtoull(strchr(strchr(reply, '$'), ' '), NULL, 10);
}

TEST(state_set, sscan_gives_every_member_that_stays)
{
    struct talk talk;
    talk_open(&talk);
    put_numbers(&talk, "s", 0, 1000);
    static unsigned seen[1000];
    unsigned long long cursor = 0;
    unsigned calls = 0;
    do {
        char line[96];
        snprintf(line, sizeof line, "SSCAN s %llu COUNT 20", cursor);
        const char *reply = say(&talk, line);
        cursor = cursor_of(reply);
        for (const char *at = strchr(strchr(reply + 1, '*'), '$'); at != NULL;
             at = strchr(at + 1, '$'))
            seen[strtoul(strchr(at, ' '), NULL, 10)]++;
        /* Meanwhile those that are multiples of 4 go, in some order. */
        snprintf(line, sizeof line, "SREM s %u %u", calls * 28 % 1000, (calls * 28 + 500) % 1000);
        say(&talk, line);
        calls++;
        assert_true(calls < 200);
    } while (cursor != 0);
    assert_true(calls > 40);
    for (unsigned i = 0; i < 1000; i++) {
        if (i % 4 != 0) assert_int_equal(seen[i], 1);
    }
    talk_close(&talk);
}

TEST(state_set, answers_are_the_same_when_records_must_be_fetched)
{
    struct talk talk;
    talk_open(&talk);
    put_numbers(&talk, "a", 0, 200);
    put_numbers(&talk, "b", 100, 300);
    put_numbers(&talk, "c", 150, 160);
    talk_flush(&talk);
    expect(&talk, "SINTERCARD 3 a b c", ":10");
    expect(&talk, "SUNIONSTORE d a b", ":300");
    expect(&talk, "SDIFFSTORE e a b", ":100");
    expect(&talk, "SDIFFSTORE e a c c c c c c", ":190");
    expect(&talk, "SINTERSTORE c a b c", ":10");
    expect(&talk, "SMOVE a b 5", ":1");
    expect(&talk, "SMISMEMBER b 5 6", "*2 :1 :0");
    expect(&talk, "SCARD a", ":199");
    assert_true(strncmp(say(&talk, "SPOP b 50"), "*50 ", 4) == 0);
    assert_true(strncmp(say(&talk, "SRANDMEMBER b -500"), "*500 ", 5) == 0);
    expect(&talk, "SCARD b", ":151");
    assert_true(strncmp(say(&talk, "SPOP a 500"), "*199 ", 5) == 0);
    expect(&talk, "EXISTS a", ":0");
    assert_true(talk.pendings > 5);
    talk_close(&talk);
}
