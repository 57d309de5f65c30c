/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The keys that the table of commands declares are the keys that a command touches: routing,
 * waiters and watches rely on it.
 */
#include "test/test.h"

#include "test/state/bed.h"

static const char *const lines[] = {
    "GET a",
    "SET a v",
    "SET a v XX GET",
    "SETNX a v",
    "SETEX a 10 v",
    "PSETEX a 10 v",
    "GETSET a v",
    "GETDEL a",
    "GETEX a",
    "MGET a b c",
    "MSET a 1 b 2 c 3",
    "MSETNX a 1 b 2",
    "APPEND a v",
    "STRLEN a",
    "INCR n",
    "DECR n",
    "INCRBY n 2",
    "DECRBY n 2",
    "INCRBYFLOAT n 2",
    "GETRANGE a 0 1",
    "SUBSTR a 0 1",
    "SETRANGE a 1 v",
    "LCS a b",
    "SETBIT a 1 1",
    "GETBIT a 1",
    "BITCOUNT a",
    "BITPOS a 1",
    "BITOP AND a b c",
    "BITFIELD a GET u8 0",
    "BITFIELD_RO a GET u8 0",
    "DEL a b",
    "UNLINK a b",
    "EXISTS a b",
    "TOUCH a b",
    "TYPE a",
    "EXPIRE a 9",
    "PEXPIRE a 9",
    "EXPIREAT a 9",
    "PEXPIREAT a 9",
    "TTL a",
    "PTTL a",
    "EXPIRETIME a",
    "PEXPIRETIME a",
    "PERSIST a",
    "RENAME a b",
    "RENAMENX a b",
    "COPY a b",
    "OBJECT ENCODING a",
    "OBJECT FREQ a",
    "OBJECT IDLETIME a",
    "OBJECT REFCOUNT a",
    "MEMORY USAGE a",
    "DEBUG OBJECT a",
    "DEBUG DIGEST-VALUE a b",
    "OBSERVE a b",
    "HSET h a 1",
    "HGET h a",
    "HMSET h a 1",
    "HMGET h a b",
    "HGETALL h",
    "HDEL h a",
    "HEXISTS h a",
    "HLEN h",
    "HKEYS h",
    "HVALS h",
    "HINCRBY h n 1",
    "HINCRBYFLOAT h n 1",
    "HSETNX h a 1",
    "HSTRLEN h a",
    "HRANDFIELD h 2",
    "HSCAN h 0",
    "LPUSH l a",
    "RPUSH l a",
    "LPUSHX l a",
    "RPUSHX l a",
    "LPOP l",
    "RPOP l",
    "LLEN l",
    "LRANGE l 0 -1",
    "LINDEX l 0",
    "LSET l 0 v",
    "LINSERT l BEFORE 1 v",
    "LPOS l 1",
    "LREM l 1 1",
    "LTRIM l 0 1",
    "LMOVE l l2 LEFT LEFT",
    "RPOPLPUSH l l2",
    "LMPOP 2 none l LEFT",
    "BLPOP none l 0",
    "BRPOP none l 0",
    "BLMOVE l l2 LEFT LEFT 0",
    "BRPOPLPUSH l l2 0",
    "BLMPOP 0 2 none l RIGHT",
    "SADD s a",
    "SREM s a",
    "SMEMBERS s",
    "SISMEMBER s a",
    "SMISMEMBER s a b",
    "SCARD s",
    "SPOP s",
    "SRANDMEMBER s 2",
    "SMOVE s s2 a",
    "SINTER s s2",
    "SUNION s s2",
    "SDIFF s s2",
    "SINTERSTORE d s s2",
    "SUNIONSTORE d s s2",
    "SDIFFSTORE d s s2",
    "SINTERCARD 2 s s2",
    "SSCAN s 0",
    "ZADD z 1 a",
    "ZREM z a",
    "ZSCORE z a",
    "ZMSCORE z a b",
    "ZCARD z",
    "ZCOUNT z 0 9",
    "ZLEXCOUNT z - +",
    "ZINCRBY z 1 a",
    "ZRANK z a",
    "ZREVRANK z a",
    "ZRANGE z 0 -1",
    "ZREVRANGE z 0 -1",
    "ZRANGEBYSCORE z 0 9",
    "ZREVRANGEBYSCORE z 9 0",
    "ZRANGEBYLEX z - +",
    "ZREVRANGEBYLEX z + -",
    "ZRANGESTORE d z 0 1",
    "ZREMRANGEBYSCORE z 0 1",
    "ZREMRANGEBYRANK z 0 0",
    "ZREMRANGEBYLEX z [a [a",
    "ZPOPMIN z",
    "ZPOPMAX z",
    "ZMPOP 2 none z MIN",
    "BZPOPMIN none z 0",
    "BZPOPMAX none z 0",
    "BZMPOP 0 2 none z MAX",
    "ZUNION 2 z z2",
    "ZINTER 2 z z2",
    "ZDIFF 2 z z2",
    "ZINTERCARD 2 z z2",
    "ZUNIONSTORE d 2 z z2",
    "ZINTERSTORE d 2 z z2",
    "ZDIFFSTORE d 2 z z2",
    "ZRANDMEMBER z 2",
    "ZSCAN z 0",
    "SORT l STORE d",
    "SORT_RO l",
};

static void prepare(struct bed *bed)
{
    static const char *const writes[] = {"MSET a text b texts c t n 5",
                                         "HSET h a 1 b 2 n 3",
                                         "RPUSH l 1 2 3",
                                         "RPUSH l2 4",
                                         "SADD s a b c",
                                         "SADD s2 b c d",
                                         "ZADD z 1 a 2 b 3 c",
                                         "ZADD z2 1 b",
                                         "SET d old"};
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) (void)bed_write(bed, writes[i]);
    assert_int_equal(bed_flush(bed), ERR_OK);
    bed_reopen(bed);
    buffer_clear(&bed->store.asked);
    bed->store.cursors = 0;
}

struct declared {
    struct args args;
    size_t places[64], count;
    struct buffer payload;
};

static void declare(struct declared *declared, const char *line)
{
    struct payload_reader reader;
    uint8_t database;
    const struct command *command;
    buffer_init(&declared->payload);
    args_init(&declared->args);
    bed_payload(&declared->payload, 0, line);
    assert_int_equal(payload_read(&reader, buffer_bytes(&declared->payload)), ERR_OK);
    assert_int_equal(payload_next_command(&reader, &database, &command, &declared->args), ERR_OK);
    assert_int_equal(command_keys(command, &declared->args, declared->places, &declared->count),
                     ERR_OK);
}

static bool is_declared(const struct declared *declared, struct bytes name)
{
    for (size_t i = 0; i < declared->count; i++) {
        if (bytes_equal(declared->args.at[declared->places[i]], name)) return true;
    }
    return false;
}

/* Every key record that was asked of the store, and that all of the declared ones were, up to the
 * first that gave the answer. */
static size_t check_asked(const struct bed *bed, const struct declared *declared, const char *line)
{
    const struct buffer *asked = &bed->store.asked;
    size_t keys = 0;
    for (size_t at = 0; at < asked->size;) {
        struct bytes key = bytes_of(asked->data + at + 4, load_le32(asked->data + at));
        at += 4 + key.size;
        if (key.data[0] != 'K') continue;
        struct bytes name = bytes_of(key.data + 15, key.size - 15);
        if (!is_declared(declared, name))
            fprintf(stderr, "%s: %.*s\n", line, (int)name.size, name.data);
        assert_true(is_declared(declared, name));
        keys++;
    }
    return keys;
}

TEST(state_touched, commands_look_only_at_the_keys_that_the_table_declares)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct bed bed;
        struct declared declared;
        bed_init(&bed, 1);
        prepare(&bed);
        declare(&declared, lines[i]);
        (void)bed_write(&bed, lines[i]);
        assert_true(check_asked(&bed, &declared, lines[i]) > 0);
        args_release(&declared.args);
        buffer_release(&declared.payload);
        bed_release(&bed);
    }
}
