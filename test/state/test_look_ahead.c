/* SPDX-License-Identifier: Apache-2.0 */
/* An evaluation that has to wait asks at once for all that it is missing: commands on many records
 * that are not in memory are tried a few times, not once a record. */
#include "test/state/talk_waits.h"

enum { MANY = 1000, FEW_WAITS = 4, LINE_BYTES = 1 << 15 };

struct long_line {
    char text[LINE_BYTES];
    size_t size;
};

/* `begin`, and each of m0, m1 ... between `before` and `more`. */
static const char *many(struct long_line *line, const char *begin, const char *before,
                        const char *more)
{
    line->size = (size_t)snprintf(line->text, LINE_BYTES, "%s", begin);
    for (unsigned i = 0; i < MANY; i++) {
        line->size += (size_t)snprintf(line->text + line->size, LINE_BYTES - line->size, " %sm%u%s",
                                       before, i, more);
        assert_true(line->size < LINE_BYTES);
    }
    return line->text;
}

/* A hash h, sets s and t, a sorted set z, a list l and strings m0 ..., all in the store alone. */
static void open_cold(struct talk *talk)
{
    struct long_line line;
    talk_open(talk);
    expect(talk, many(&line, "HSET h", "", " v"), ":1000");
    expect(talk, many(&line, "SADD s", "", ""), ":1000");
    expect(talk, many(&line, "SADD t other", "", ""), ":1001");
    expect(talk, many(&line, "ZADD z", "1 ", ""), ":1000");
    expect(talk, many(&line, "RPUSH l", "", ""), ":1000");
    expect(talk, many(&line, "MSET", "", " v"), "+OK");
    talk_flush(talk);
    sim_stores_profile(sim_node_stores(talk->node))->cached_per_million = 0;
    sim_stores_profile(sim_node_stores(talk->node))->evicted_per_million = 0;
    assert_true(sim_node_stop(talk->node) && sim_node_start(talk->node)); /* and an empty cache */
}

static void expect_soon(const char *begin, const char *before, const char *more, const char *reply)
{
    struct talk talk;
    struct long_line line;
    open_cold(&talk);
    const char *said = say(&talk, many(&line, begin, before, more));
    assert_true(strncmp(said, reply, strlen(reply)) == 0);
    if (talk.pendings > FEW_WAITS) fail_msg("%s: %u waits", begin, talk.pendings);
    assert_true(talk.pendings > 0);
    talk_close_counted(&talk);
}

TEST(state_look_ahead, commands_that_name_many_elements_wait_a_few_times_only)
{
    expect_soon("HDEL h", "", "", ":1000");
    expect_soon("HMGET h", "", "", "*1000 $1 v $1 v");
    expect_soon("HSET h", "", " w", ":0");
    expect_soon("SREM s", "", "", ":1000");
    expect_soon("SMISMEMBER s", "", "", "*1000 :1 :1");
    expect_soon("SADD s", "", "", ":0");
    expect_soon("ZREM z", "", "", ":1000");
    expect_soon("ZMSCORE z", "", "", "*1000 $1 1 $1 1");
    expect_soon("ZADD z", "2 ", "", ":0");
    expect_soon("ZADD z CH", "2 ", "", ":1000");
}

TEST(state_look_ahead, commands_that_name_many_keys_wait_a_few_times_only)
{
    expect_soon("MGET", "", "", "*1000 $1 v $1 v");
    expect_soon("EXISTS", "", "", ":1000");
    expect_soon("MSET", "", " w", "+OK");
    expect_soon("DEL", "", "", ":1000");
}

static void expect_line_soon(const char *line, const char *reply)
{
    struct talk talk;
    open_cold(&talk);
    const char *said = say(&talk, line);
    if (strncmp(said, reply, strlen(reply)) != 0) fail_msg("%s: %.100s", line, said);
    if (talk.pendings > FEW_WAITS) fail_msg("%s: %u waits", line, talk.pendings);
    talk_close_counted(&talk);
}

TEST(state_look_ahead, commands_that_come_upon_many_records_wait_a_few_times_only)
{
    expect_line_soon("SINTERCARD 2 s t", ":1000");
    expect_line_soon("SDIFF s t", "*0");
    expect_line_soon("SUNIONSTORE u s t", ":1001");
    expect_line_soon("ZINTERCARD 2 z t", ":1000");
    expect_line_soon("ZREMRANGEBYRANK z 1 -1", ":999");
    expect_line_soon("LTRIM l 500 -1", "+OK");
    expect_line_soon("LPOP l 999", "*999 $2 m0");
    expect_line_soon("SORT l ALPHA BY * GET *", "*1000 $1 v");
}

TEST(state_look_ahead, so_do_transactions)
{
    struct talk talk;
    open_cold(&talk);
    const char *const lines[] = {
        "GET m1",       "GET m2",         "GET m3",       "GET m4",       "HDEL h m1",
        "HGET h m2",    "SISMEMBER s m3", "SREM t m1",    "ZSCORE z m4",  "LINDEX l 100",
        "LINDEX l 300", "LINDEX l 500",   "LINDEX l 700", "LINDEX l 900", NULL};
    assert_string_equal(say_entry(&talk, ENTRY_TRANSACTION, lines),
                        "*14 $1 v $1 v $1 v $1 v :1 $1 v :1 :1 $1 1 "
                        "$4 m100 $4 m300 $4 m500 $4 m700 $4 m900");
    assert_true(talk.pendings > 0 && talk.pendings <= FEW_WAITS);
    talk_close_counted(&talk);
}
