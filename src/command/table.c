/* SPDX-License-Identifier: Apache-2.0 */
/* table: the rows of commands.def, found by name, by number and by place. All of it is constant.
 *
 * The search by name runs for each request. There is no hash to keep right by hand: within
 * find_among the length is a constant, so the compiler drops every row of another length and turns
 * each remaining row into a comparison of one or two constant integers. What is left is a short
 * chain, or a tree, of comparisons for each length: 5 to 9 ns a name. */
#include "command/command.h"

#include "base/must.h"

#define COMMAND(id_, number, parent_, name_, arity_, place_, flags_, first, last, step, group_, \
                categories_, since_, summary_) \
    [number] = {.id = COMMAND_##id_, \
                .parent = COMMAND_##parent_, \
                .name = (name_), \
                .arity = (arity_), \
                .place = (place_), \
                .flags = (flags_), \
                .first_key = (first), \
                .last_key = (last), \
                .key_step = (step), \
                .group = (group_), \
                .categories = (categories_), \
                .since = (since_), \
                .summary = (summary_)},
static const struct command rows[] = {
#include "command/commands.def"
};
#undef COMMAND

enum { ROWS = sizeof(rows) / sizeof(rows[0]), NAME_BYTES_MAX = 16 };

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

/* A name of up to 16 bytes as two integers, filled up with zeros. */
struct word {
    uint64_t low, high;
};

__attribute__((always_inline)) static inline struct word word_of(const char padded[NAME_BYTES_MAX])
{
    struct word word;
    memcpy(&word.low, padded, sizeof(word.low));
    memcpy(&word.high, padded + sizeof(word.low), sizeof(word.high));
    return word;
}

/* The number of the row that is called `word`, or COMMAND_NONE. Rows that clients name by two
 * words, or not at all, are left out. `length` is a constant wherever this is called, and so is
 * each name. */
__attribute__((always_inline)) static inline unsigned find_among(struct word word, size_t length)
{
#define COMMAND(id, number, parent, name, arity, place, flags, ...) \
    if (COMMAND_##parent == COMMAND_NONE && ((flags)&FLAG_INTERNAL) == 0 && \
        sizeof(name) - 1 == length) { \
        const struct word own = word_of(name "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"); \
        if (word.low == own.low && (length <= sizeof(own.low) || word.high == own.high)) \
            return (number); \
    }
#include "command/commands.def"
#undef COMMAND
    return COMMAND_NONE;
}

static unsigned find_folded(struct word word, size_t length)
{
    switch (length) {
    case 3: return find_among(word, 3);
    case 4: return find_among(word, 4);
    case 5: return find_among(word, 5);
    case 6: return find_among(word, 6);
    case 7: return find_among(word, 7);
    case 8: return find_among(word, 8);
    case 9: return find_among(word, 9);
    case 10: return find_among(word, 10);
    case 11: return find_among(word, 11);
    case 12: return find_among(word, 12);
    case 13: return find_among(word, 13);
    case 14: return find_among(word, 14);
    case 15: return find_among(word, 15);
    case 16: return find_among(word, 16);
    default: return COMMAND_NONE;
    }
}

const struct command *command_find(struct bytes name)
{
    char padded[NAME_BYTES_MAX] = {0};
    if (name.size > sizeof(padded)) return NULL;
    for (size_t i = 0; i < name.size; i++) padded[i] = (char)lower(name.data[i]);
    unsigned number = find_folded(word_of(padded), name.size);
    return number == COMMAND_NONE ? NULL : &rows[number];
}

const struct command *command_find_sub(const struct command *parent, struct bytes name)
{
    size_t skip = strlen(parent->name) + 1;
    for (size_t i = 1; i < ROWS; i++) {
        if (rows[i].parent == parent->id && bytes_is_word(name, rows[i].name + skip))
            return &rows[i];
    }
    return NULL;
}

const struct command *command_find_path(struct bytes path)
{
    const uint8_t *bar = path.size > 0 ? memchr(path.data, '|', path.size) : NULL;
    if (bar == NULL) return command_find(path);
    size_t before = (size_t)(bar - path.data);
    const struct command *parent = command_find(bytes_of(path.data, before));
    if (parent == NULL) return NULL;
    return command_find_sub(parent, bytes_of(bar + 1, path.size - before - 1));
}

const struct command *command_by_id(unsigned id)
{
    return id == COMMAND_NONE || id >= ROWS || rows[id].name == NULL ? NULL : &rows[id];
}

const struct command *command_at(size_t i)
{
    return i < ROWS - 1 ? command_by_id((unsigned)i + 1) : NULL;
}

bool command_arity_fits(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity
                               : argc >= (size_t)(-(int64_t)command->arity);
}
