/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/workload.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[WORKLOADS] = {"strings", "mixed", "waits", "registers"};

bool workload_by_name(const char *name, enum workload_kind *out)
{
    for (unsigned i = 0; i < WORKLOADS; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (enum workload_kind)i;
        return true;
    }
    return false;
}

const char *workload_name(enum workload_kind kind)
{
    return names[kind];
}

void workload_init(struct workload *workload, enum workload_kind kind, struct dice *dice)
{
    *workload = (struct workload){
        .kind = kind, .dice = dice, .keys = 6, .value_bytes_max = 60, .transactions = true};
    drawn_init(&workload->words);
    args_init(&workload->args);
}

void workload_release(struct workload *workload)
{
    drawn_release(&workload->words);
    args_release(&workload->args);
}

static unsigned below(struct workload *workload, unsigned bound)
{
    return (unsigned)dice_below(workload->dice, bound);
}

static void say(struct workload *workload, const char *word)
{
    drawn_add(&workload->words, bytes_text(word));
}

/* Now and then a key of another type, for WRONGTYPE. */
static void say_key(struct workload *workload, char type)
{
    static const char types[] = "snlehz";
    if (type != 'r' && below(workload, 40) == 0) type = types[below(workload, sizeof types - 1)];
    drawn_format(&workload->words, "%c%u", type, below(workload, workload->keys));
}

static void say_value(struct workload *workload)
{
    char text[32];
    int size = snprintf(text, sizeof text, "v%" PRIu64, ++workload->tags);
    size_t tag = (size_t)size;
    size_t most = below(workload, 16) == 0 ? workload->value_bytes_max : 40;
    size_t more = below(workload, (unsigned)most + 1);
    struct buffer value;
    buffer_init(&value);
    buffer_append(&value, bytes_of(text, tag));
    for (size_t i = 0; i < more; i++) buffer_append_byte(&value, (uint8_t)('a' + i % 26));
    drawn_add(&workload->words, buffer_bytes(&value));
    buffer_release(&value);
}

static void say_member(struct workload *workload)
{
    drawn_format(&workload->words, "m%u", below(workload, 24));
}

/* --- Commands --- */

enum row_flag {
    ROW_READ = 1,
    ROW_UNIQUE = 2,
    ROW_UNORDERED = 4,
    ROW_PAIRS = 8,
    ROW_ALONE = 16, /* not in a transaction, nor between others */
    ROW_EXPIRY = 32,
};

struct row {
    const char *name;
    char type;
    const char *form; /* v: value, m: member, i: score, t: lifetime, k: another key, r: range,
                         u: a key or member that nobody else names, which makes it unique */
    unsigned weight, flags;
};

static const struct row strings[] = {
    {"SET", 's', "v", 30, ROW_UNIQUE},   {"GET", 's', "", 30, ROW_READ},
    {"SET", 's', "vN", 4, ROW_UNIQUE},   {"SET", 's', "vP", 8, ROW_UNIQUE | ROW_EXPIRY},
    {"APPEND", 's', "v", 5, ROW_UNIQUE}, {"INCR", 'n', "", 10, 0},
    {"GET", 'n', "", 5, ROW_READ},       {"DEL", 's', "u", 5, ROW_UNIQUE},
    {"EXISTS", 's', "", 3, ROW_READ},    {"PEXPIRE", 's', "t", 4, ROW_EXPIRY},
    {"PERSIST", 's', "", 2, ROW_EXPIRY}, {"RENAME", 's', "k", 2, 0},
    {"MSET", 's', "vkv", 3, ROW_UNIQUE}, {"GETDEL", 's', "", 2, 0},
    {"COPY", 's', "kC", 2, 0},           {NULL, 0, NULL, 0, 0},
};

static const struct row collections[] = {
    {"RPUSH", 'l', "v", 8, ROW_UNIQUE},
    {"RPUSH", 'l', "vvv", 3, ROW_UNIQUE},
    {"LPUSH", 'l', "v", 6, ROW_UNIQUE},
    {"LPOP", 'l', "", 10, 0},
    {"RPOP", 'l', "", 7, 0},
    {"LRANGE", 'l', "a", 5, ROW_READ},
    {"LRANGE", 'l', "r", 5, ROW_READ},
    {"SADD", 'e', "m", 8, 0},
    {"SADD", 'e', "mv", 3, ROW_UNIQUE},
    {"SREM", 'e', "mmu", 5, ROW_UNIQUE},
    {"SISMEMBER", 'e', "m", 5, ROW_READ},
    {"SCARD", 'e', "", 4, ROW_READ},
    {"SMEMBERS", 'e', "", 4, ROW_READ | ROW_UNORDERED | ROW_ALONE},
    {"HSET", 'h', "mv", 8, ROW_UNIQUE},
    {"HSET", 'h', "mvmv", 3, ROW_UNIQUE},
    {"HGET", 'h', "m", 7, ROW_READ},
    {"HDEL", 'h', "mmu", 5, ROW_UNIQUE},
    {"HGETALL", 'h', "", 4, ROW_READ | ROW_UNORDERED | ROW_PAIRS | ROW_ALONE},
    {"ZADD", 'z', "im", 8, 0},
    {"ZADD", 'z', "imim", 3, 0},
    {"ZREM", 'z', "mu", 4, ROW_UNIQUE},
    {"ZSCORE", 'z', "m", 4, ROW_READ},
    {"ZRANGE", 'z', "aW", 5, ROW_READ},
    {"DEL", 'l', "u", 1, ROW_UNIQUE},
    {"DEL", 'h', "u", 1, ROW_UNIQUE},
    {"DEL", 'z', "u", 1, ROW_UNIQUE},
    {"DEL", 'e', "u", 1, ROW_UNIQUE},
    {"EXISTS", 'z', "", 1, ROW_READ},
    {"PEXPIRE", 'l', "t", 2, ROW_EXPIRY},
    {"PEXPIRE", 'h', "t", 2, ROW_EXPIRY},
    {"RENAME", 'l', "k", 1, 0},
    {"RENAME", 'z', "k", 1, 0},
    {"FLUSHDB", 0, "", 1, ROW_ALONE},
    {"SWAPDB", 0, "D", 1, ROW_ALONE},
    {"LMOVE", 'l', "kLL", 4, 0},
    {"SMOVE", 'e', "km", 4, 0},
    {"SUNIONSTORE", 'e', "kku", 2, ROW_UNIQUE},
    {"COPY", 'h', "kC", 2, 0},
    {"COPY", 'z', "kC", 1, 0},
    {"COPY", 'l', "kC", 1, 0},
    {NULL, 0, NULL, 0, 0},
};

static const struct row waits[] = {
    {"BLPOP", 'l', "kT", 20, ROW_UNIQUE | ROW_ALONE},
    {"BLMOVE", 'l', "kLLT", 8, ROW_UNIQUE | ROW_ALONE},
    {"LMOVE", 'l', "kLL", 2, 0},
    {"RPUSH", 'l', "v", 16, ROW_UNIQUE},
    {"LPUSH", 'l', "vv", 4, ROW_UNIQUE},
    {"LPOP", 'l', "", 3, 0},
    {"LRANGE", 'l', "a", 5, ROW_READ},
    {"DEL", 'l', "", 1, 0},
    {"PEXPIRE", 'l', "t", 1, ROW_EXPIRY},
    {"SET", 'l', "v", 1, ROW_UNIQUE},
    {NULL, 0, NULL, 0, 0},
};

/* For sim/search.h: a few keys, and no way to change one but SET. */
static const struct row registers[] = {
    {"SET", 'r', "v", 10, ROW_UNIQUE},
    {"GET", 'r', "", 14, ROW_READ},
    {NULL, 0, NULL, 0, 0},
};

static bool row_fits(const struct workload *workload, const struct row *row, enum draw draw)
{
    if ((row->flags & ROW_EXPIRY) != 0 && !workload->expiry) return false;
    bool reads = (row->flags & ROW_READ) != 0, alone = (row->flags & ROW_ALONE) != 0;
    switch (draw) {
    case DRAW_ANY: return true;
    case DRAW_INNER: return reads || ((row->flags & ROW_UNIQUE) != 0 && !alone);
    case DRAW_READ: return reads && !alone;
    case DRAW_QUEUED: return !alone;
    }
    return false;
}

static const struct row *pick(struct workload *workload, const struct row *rows, enum draw draw)
{
    unsigned total = 0;
    for (const struct row *row = rows; row->name != NULL; row++) {
        if (row_fits(workload, row, draw)) total += row->weight;
    }
    unsigned at = below(workload, total);
    for (const struct row *row = rows;; row++) {
        if (!row_fits(workload, row, draw)) continue;
        if (at < row->weight) return row;
        at -= row->weight;
    }
}

static const struct row *pick_table(const struct workload *workload, unsigned dice)
{
    switch (workload->kind) {
    case WORKLOAD_STRINGS:
    case WORKLOADS: return strings;
    case WORKLOAD_MIXED: return dice < 35 ? strings : dice < 92 ? collections : waits;
    case WORKLOAD_REGISTERS: return registers;
    case WORKLOAD_WAITS: return dice < 80 ? waits : strings;
    }
    return strings;
}

static void say_form(struct workload *workload, const struct row *row, char letter)
{
    struct drawn_words *words = &workload->words;
    switch (letter) {
    case 'v': say_value(workload); break;
    case 'm': say_member(workload); break;
    case 'i': drawn_format(words, "%d", (int)below(workload, 41) - 20); break;
    case 't': drawn_format(words, "%u", 1 + below(workload, 400)); break;
    case 'k': say_key(workload, row->type); break;
    case 'N': say(workload, "NX"); break;
    case 'P':
        say(workload, "PX");
        drawn_format(words, "%u", 1 + below(workload, 600));
        break;
    case 'a':
        say(workload, "0");
        say(workload, "-1");
        break;
    case 'r':
        drawn_format(words, "%d", (int)below(workload, 12) - 4);
        drawn_format(words, "%d", (int)below(workload, 12) - 4);
        break;
    case 'W': say(workload, "WITHSCORES"); break;
    case 'u': drawn_format(words, "w%" PRIu64, ++workload->tags); break;
    case 'T': /* no two wait equally long */
        drawn_format(words, "0.%03u%07" PRIu64, 20 + below(workload, 400), ++workload->tags);
        break;
    case 'L': say(workload, below(workload, 2) == 0 ? "LEFT" : "RIGHT"); break;
    case 'C':
        say(workload, "DB");
        drawn_format(words, "%u", below(workload, 2));
        say(workload, "REPLACE");
        break;
    case 'D':
        say(workload, "0");
        say(workload, "1");
        break;
    default: break;
    }
}

static struct drawn draw_row(struct workload *workload, const struct row *row)
{
    drawn_clear(&workload->words);
    say(workload, row->name);
    if (row->type != 0) say_key(workload, row->type);
    for (const char *at = row->form; *at != '\0'; at++) say_form(workload, row, *at);
    bool waiting = row->name[0] == 'B';
    bool reading = (row->flags & ROW_READ) != 0;
    return (struct drawn){.kind = waiting   ? OP_WAIT
                                  : reading ? OP_READ
                                            : OP_WRITE,
                          .unique = (row->flags & ROW_UNIQUE) != 0,
                          .unordered = (row->flags & ROW_UNORDERED) != 0,
                          .pairs = (row->flags & ROW_PAIRS) != 0};
}

struct drawn workload_draw(struct workload *workload, enum draw draw)
{
    const struct row *rows = pick_table(workload, below(workload, 100));
    return draw_row(workload, pick(workload, rows, draw));
}

struct drawn workload_draw_set(struct workload *workload)
{
    bool plain = workload->kind == WORKLOAD_REGISTERS;
    return draw_row(workload, plain ? &registers[0] : &strings[0]);
}

void workload_draw_watch(struct workload *workload)
{
    drawn_clear(&workload->words);
    say(workload, "WATCH");
    static const char types[] = "snlz";
    say_key(workload, types[below(workload, sizeof types - 1)]);
}
