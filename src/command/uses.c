/* SPDX-License-Identifier: Apache-2.0 */
/* uses: what a command does to each of its keys, in the words of COMMAND GETKEYSANDFLAGS. */
#include "command/command.h"

#include "base/must.h"

/* The first four say what happens to the whole key, the others what happens to what it holds. */
enum {
    RO = 1 << 0, /* read only */
    RW = 1 << 1, /* changed, with regard to what it held */
    OW = 1 << 2, /* overwritten */
    RM = 1 << 3, /* removed */
    ACCESS = 1 << 4,
    UPDATE = 1 << 5,
    INSERT = 1 << 6,
    DELETE = 1 << 7,
};

static const struct use_word {
    unsigned use;
    const char *word;
} use_words[] = {
    {RO, "RO"},         {RW, "RW"},         {OW, "OW"},         {RM, "RM"},
    {ACCESS, "access"}, {UPDATE, "update"}, {INSERT, "insert"}, {DELETE, "delete"},
};

/* By command: of the key that is named first, and of the others (0: the same). Commands that are
 * not here read what their keys hold. */
static const struct use {
    uint8_t first, others;
} uses[] = {
    [COMMAND_DEL] = {RM | DELETE, 0},
    [COMMAND_UNLINK] = {RM | DELETE, 0},
    [COMMAND_EXISTS] = {RO, 0},
    [COMMAND_TYPE] = {RO, 0},
    [COMMAND_EXPIRE] = {RW | UPDATE, 0},
    [COMMAND_PEXPIRE] = {RW | UPDATE, 0},
    [COMMAND_EXPIREAT] = {RW | UPDATE, 0},
    [COMMAND_PEXPIREAT] = {RW | UPDATE, 0},
    [COMMAND_PERSIST] = {RW | UPDATE, 0},
    [COMMAND_RENAME] = {RW | ACCESS | DELETE, OW | UPDATE},
    [COMMAND_RENAMENX] = {RW | ACCESS | DELETE, OW | INSERT},
    [COMMAND_TOUCH] = {RO, 0},
    [COMMAND_COPY] = {RO | ACCESS, OW | UPDATE},
    [COMMAND_MOVE] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_SORT] = {RO | ACCESS, OW | UPDATE},
    [COMMAND_OBJECT_ENCODING] = {RO, 0},
    [COMMAND_OBJECT_FREQ] = {RO, 0},
    [COMMAND_OBJECT_IDLETIME] = {RO, 0},
    [COMMAND_OBJECT_REFCOUNT] = {RO, 0},
    [COMMAND_MEMORY_USAGE] = {RO, 0},
    [COMMAND_SET] = {OW | UPDATE, 0},
    [COMMAND_SETNX] = {OW | INSERT, 0},
    [COMMAND_SETEX] = {OW | UPDATE, 0},
    [COMMAND_PSETEX] = {OW | UPDATE, 0},
    [COMMAND_GETSET] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_GETDEL] = {RW | ACCESS | DELETE, 0},
    [COMMAND_GETEX] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_MSET] = {OW | UPDATE, 0},
    [COMMAND_MSETNX] = {OW | INSERT, 0},
    [COMMAND_APPEND] = {RW | INSERT, 0},
    [COMMAND_STRLEN] = {RO, 0},
    [COMMAND_INCR] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_DECR] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_INCRBY] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_DECRBY] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_INCRBYFLOAT] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_SETRANGE] = {RW | UPDATE, 0},
    [COMMAND_SETBIT] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_BITOP] = {OW | UPDATE, RO | ACCESS},
    [COMMAND_BITFIELD] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_HSET] = {RW | UPDATE, 0},
    [COMMAND_HMSET] = {RW | UPDATE, 0},
    [COMMAND_HDEL] = {RW | DELETE, 0},
    [COMMAND_HEXISTS] = {RO, 0},
    [COMMAND_HLEN] = {RO, 0},
    [COMMAND_HINCRBY] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_HINCRBYFLOAT] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_HSETNX] = {RW | INSERT, 0},
    [COMMAND_HSTRLEN] = {RO, 0},
    [COMMAND_LPUSH] = {RW | INSERT, 0},
    [COMMAND_RPUSH] = {RW | INSERT, 0},
    [COMMAND_LPUSHX] = {RW | INSERT, 0},
    [COMMAND_RPUSHX] = {RW | INSERT, 0},
    [COMMAND_LPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_RPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_LLEN] = {RO, 0},
    [COMMAND_LSET] = {RW | UPDATE, 0},
    [COMMAND_LINSERT] = {RW | INSERT, 0},
    [COMMAND_LREM] = {RW | DELETE, 0},
    [COMMAND_LTRIM] = {RW | DELETE, 0},
    [COMMAND_LMOVE] = {RW | ACCESS | DELETE, RW | INSERT},
    [COMMAND_RPOPLPUSH] = {RW | ACCESS | DELETE, RW | INSERT},
    [COMMAND_LMPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_BLPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_BRPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_BLMOVE] = {RW | ACCESS | DELETE, RW | INSERT},
    [COMMAND_BRPOPLPUSH] = {RW | ACCESS | DELETE, RW | INSERT},
    [COMMAND_BLMPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_SADD] = {RW | INSERT, 0},
    [COMMAND_SREM] = {RW | DELETE, 0},
    [COMMAND_SISMEMBER] = {RO, 0},
    [COMMAND_SCARD] = {RO, 0},
    [COMMAND_SPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_SMOVE] = {RW | ACCESS | DELETE, RW | INSERT},
    [COMMAND_SINTERSTORE] = {RW | UPDATE, RO | ACCESS},
    [COMMAND_SUNIONSTORE] = {OW | UPDATE, RO | ACCESS},
    [COMMAND_SDIFFSTORE] = {OW | UPDATE, RO | ACCESS},
    [COMMAND_ZADD] = {RW | UPDATE, 0},
    [COMMAND_ZREM] = {RW | DELETE, 0},
    [COMMAND_ZCARD] = {RO, 0},
    [COMMAND_ZINCRBY] = {RW | ACCESS | UPDATE, 0},
    [COMMAND_ZRANGESTORE] = {OW | UPDATE, RO | ACCESS},
    [COMMAND_ZREMRANGEBYSCORE] = {RW | DELETE, 0},
    [COMMAND_ZREMRANGEBYRANK] = {RW | DELETE, 0},
    [COMMAND_ZREMRANGEBYLEX] = {RW | DELETE, 0},
    [COMMAND_ZPOPMIN] = {RW | ACCESS | DELETE, 0},
    [COMMAND_ZPOPMAX] = {RW | ACCESS | DELETE, 0},
    [COMMAND_ZMPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_BZPOPMIN] = {RW | ACCESS | DELETE, 0},
    [COMMAND_BZPOPMAX] = {RW | ACCESS | DELETE, 0},
    [COMMAND_BZMPOP] = {RW | ACCESS | DELETE, 0},
    [COMMAND_ZUNIONSTORE] = {OW | UPDATE, RO | ACCESS},
    [COMMAND_ZINTERSTORE] = {OW | UPDATE, RO | ACCESS},
    [COMMAND_ZDIFFSTORE] = {OW | UPDATE, RO | ACCESS},
    [COMMAND_WATCH] = {RO, 0},
};

/* SET ... GET reads the old value too. */
static bool set_reads(const struct args *args)
{
    for (size_t i = 3; i < args->count; i++) {
        if (bytes_is_word(args->at[i], "get")) return true;
    }
    return false;
}

/* BITFIELD with nothing but GETs changes nothing. */
static bool bitfield_writes(const struct args *args)
{
    size_t i = 2;
    while (i < args->count && bytes_is_word(args->at[i], "get")) i += 3;
    return i < args->count;
}

static unsigned use_of(const struct command *command, const struct args *args, bool first)
{
    if (command->id == COMMAND_SET && set_reads(args)) return RW | ACCESS | UPDATE;
    if (command->id == COMMAND_BITFIELD && !bitfield_writes(args)) return RO | ACCESS;
    if (command->id >= sizeof(uses) / sizeof(uses[0])) return RO | ACCESS;
    const struct use *use = &uses[command->id];
    if (use->first == 0) return RO | ACCESS;
    return first || use->others == 0 ? use->first : use->others;
}

bool command_fills(const struct command *command, const struct args *args, bool first)
{
    if ((command->flags & FLAG_MAY_FILL) == 0) return false;
    return (use_of(command, args, first) & (OW | UPDATE | INSERT)) != 0;
}

size_t command_use_words(const struct command *command, const struct args *args, bool first,
                         const char *out[COMMAND_WORDS_MAX])
{
    unsigned use = use_of(command, args, first);
    size_t count = 0;
    for (size_t i = 0; i < sizeof(use_words) / sizeof(use_words[0]); i++) {
        if ((use & use_words[i].use) != 0) out[count++] = use_words[i].word;
    }
    return count;
}
