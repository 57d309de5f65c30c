/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * keyspace: random keys of all types in several databases of a bed, with what leaves traces in the
 * store beside them: removed collections, cleared and swapped databases, moved and renamed keys.
 */
#ifndef TEST_STATE_KEYSPACE_H
#define TEST_STATE_KEYSPACE_H

#include "base/dice.h"
#include "test/state/bed.h"

enum { KEYSPACE_DATABASES = 4, KEYSPACE_NAMES = 24, KEYSPACE_LINE_BYTES = 8192 };

/* A command with `count` elements, at most what a line holds. */
static inline void keyspace_collection(struct bed *bed, struct dice *dice, uint8_t database,
                                       unsigned count)
{
    static const char *const commands[] = {"RPUSH l", "LPUSH l", "SADD x", "HSET h", "ZADD z"};
    char line[KEYSPACE_LINE_BYTES];
    unsigned kind = (unsigned)dice_below(dice, 5);
    int used = snprintf(line, sizeof line, "%s%u", commands[kind],
                        (unsigned)dice_below(dice, KEYSPACE_NAMES));
    for (unsigned i = 0; i < count && used + 64 < (int)sizeof line; i++) {
        unsigned element = (unsigned)dice_below(dice, 4 * count);
        size_t room = sizeof line - (size_t)used;
        if (kind == 3) used += snprintf(line + used, room, " field%u v%u", element, i);
        else if (kind == 4)
            used += snprintf(line + used, room, " %d.5 member%u",
                             (int)dice_below(dice, count + 2) - 2, element);
        else used += snprintf(line + used, room, " item%u", element);
    }
    (void)bed_write_in(bed, database, line);
}

/* A line about one key: what stands before its number and behind it. */
struct keyspace_form {
    const char *before, *behind;
};

static inline void keyspace_line(char line[128], const struct keyspace_form *form, unsigned name)
{
    (void)snprintf(line, 128, "%s%u%s", form->before, name, form->behind);
}

static inline void keyspace_one(struct bed *bed, struct dice *dice, uint8_t database)
{
    static const struct keyspace_form forms[] = {
        {"SET s", " text"},      {"SET s", " text PX 900000"},
        {"APPEND s", " more"},   {"PEXPIRE h", " 5000"},
        {"PEXPIRE z", " 70000"}, {"LPOP l", ""},
        {"RPOP l", " 2"},        {"SPOP x", ""},
        {"ZPOPMAX z", ""},       {"PERSIST h", ""},
        {"DEL l", ""},           {"RENAME s", " s1"},
        {"DEL z", ""},
    };
    char line[128];
    keyspace_line(line, &forms[dice_below(dice, sizeof forms / sizeof forms[0])],
                  (unsigned)dice_below(dice, KEYSPACE_NAMES));
    (void)bed_write_in(bed, database, line);
}

static inline void keyspace_rare(struct bed *bed, struct dice *dice, uint8_t database)
{
    char line[64];
    switch (dice_below(dice, 5)) {
    case 0:
        snprintf(line, sizeof line, "SWAPDB %u %u", database, (database + 1) % KEYSPACE_DATABASES);
        (void)bed_write(bed, line);
        break;
    case 1: (void)bed_write_in(bed, database, "FLUSHDB"); break;
    case 2:
        snprintf(line, sizeof line, "MOVE h%u %u", (unsigned)dice_below(dice, KEYSPACE_NAMES),
                 (database + 1) % KEYSPACE_DATABASES);
        (void)bed_write_in(bed, database, line);
        break;
    default: (void)bed_flush(bed); break;
    }
}

/* So many steps; flushed at the end, without the clean-up of what was removed. */
static inline void keyspace_grow(struct bed *bed, struct dice *dice, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        uint8_t database = (uint8_t)dice_below(dice, KEYSPACE_DATABASES);
        uint64_t roll = dice_below(dice, 100);
        if (roll < 40) keyspace_collection(bed, dice, database, 1 + (unsigned)(roll % 8));
        else if (roll < 45) keyspace_collection(bed, dice, database, 300);
        else if (roll < 96) keyspace_one(bed, dice, database);
        else keyspace_rare(bed, dice, database);
    }
    MUST(bed_flush(bed) == ERR_OK);
}

/* The same answers of both machines about all keys of a database. */
static inline bool keyspace_same(struct bed *a, struct bed *b, uint8_t database)
{
    static const struct keyspace_form forms[] = {
        {"GET s", ""},         {"LRANGE l", " 0 -1"},   {"HGETALL h", ""},
        {"SMEMBERS x", ""},    {"PEXPIRETIME h", ""},   {"ZRANGE z", " 0 -1 WITHSCORES"},
        {"PEXPIRETIME s", ""}, {"ZREVRANGE z", " 0 3"}, {"PEXPIRETIME z", ""},
    };
    for (unsigned i = 0; i < KEYSPACE_NAMES; i++) {
        for (size_t form = 0; form < sizeof forms / sizeof forms[0]; form++) {
            char line[128];
            keyspace_line(line, &forms[form], i);
            char kept[1 << 15];
            (void)snprintf(kept, sizeof kept, "%s", bed_read_in(a, database, line));
            if (strcmp(kept, bed_read_in(b, database, line)) == 0) continue;
            fprintf(stderr, "db%u differs: %s\n", database, line);
            return false;
        }
    }
    return true;
}

#endif
