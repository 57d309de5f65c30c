/* SPDX-License-Identifier: Apache-2.0 */
#include "command/keys.h"

#include "base/number.h"

static void add_range(struct key_ranges *out, size_t first, size_t last, size_t step)
{
    out->at[out->count++] = (struct key_range){first, last, step};
}

/* Keys that follow a word which counts them. */
static enum err add_counted(const struct args *args, size_t counter, struct key_ranges *out)
{
    int64_t keys;
    if (counter >= args->count || !number_parse_int64(args->at[counter], &keys))
        return ERR_PROTOCOL;
    if (keys < 1 || (uint64_t)keys > args->count - counter - 1) return ERR_PROTOCOL;
    add_range(out, counter + 1, counter + (size_t)keys, 1);
    return ERR_OK;
}

/* SORT key ... STORE result: of several results the last counts. A word that belongs to an option
 * before it is not an option, so that `GET store` names no result. */
static void add_sorted_result(const struct args *args, struct key_ranges *out)
{
    size_t result = 0;
    for (size_t i = 2; i < args->count; i++) {
        if (bytes_is_word(args->at[i], "limit")) {
            i += 2;
        } else if (bytes_is_word(args->at[i], "get") || bytes_is_word(args->at[i], "by")) {
            i += 1;
        } else if (bytes_is_word(args->at[i], "store") && i + 1 < args->count) {
            result = ++i;
        }
    }
    if (result != 0) add_range(out, result, result, 1);
}

/* Where the counting word stands of each command whose keys are counted, and the key before it that
 * takes the result, or 0. */
static const struct counted {
    enum command_id id;
    size_t counter, result;
} counted[] = {
    {COMMAND_LMPOP, 1, 0},       {COMMAND_BLMPOP, 2, 0},      {COMMAND_ZMPOP, 1, 0},
    {COMMAND_BZMPOP, 2, 0},      {COMMAND_SINTERCARD, 1, 0},  {COMMAND_ZINTERCARD, 1, 0},
    {COMMAND_ZUNION, 1, 0},      {COMMAND_ZINTER, 1, 0},      {COMMAND_ZDIFF, 1, 0},
    {COMMAND_ZUNIONSTORE, 2, 1}, {COMMAND_ZINTERSTORE, 2, 1}, {COMMAND_ZDIFFSTORE, 2, 1},
};

/* The commands whose keys are found by reading other words (FLAG_MOVABLEKEYS). */
static enum err add_movable(const struct command *command, const struct args *args,
                            struct key_ranges *out)
{
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        if (counted[i].id != command->id) continue;
        if (counted[i].result != 0) add_range(out, counted[i].result, counted[i].result, 1);
        return add_counted(args, counted[i].counter, out);
    }
    add_range(out, 1, 1, 1);
    if (command->id == COMMAND_SORT) add_sorted_result(args, out);
    return ERR_OK;
}

static enum err add_fixed(const struct command *command, const struct args *args,
                          struct key_ranges *out)
{
    size_t first = (size_t)command->first_key;
    size_t last = command->last_key >= 0 ? (size_t)command->last_key
                                         : args->count - (size_t)(-(int64_t)command->last_key);
    if (last < first || last >= args->count) return ERR_PROTOCOL;
    add_range(out, first, last, (size_t)command->key_step);
    return ERR_OK;
}

/* Shard channels stand where keys would, for the sake of a cluster's slots, but are not keys. */
static bool has_channels(const struct command *command)
{
    return command->id == COMMAND_SSUBSCRIBE || command->id == COMMAND_SUNSUBSCRIBE ||
           command->id == COMMAND_SPUBLISH;
}

bool command_has_keys(const struct command *command)
{
    if ((command->flags & FLAG_MOVABLEKEYS) != 0) return true;
    return command->first_key != 0 && !has_channels(command);
}

enum err keys_find(const struct command *command, const struct args *args, struct key_ranges *out)
{
    out->count = 0;
    if (!command_arity_fits(command, args->count)) return ERR_PROTOCOL;
    if (!command_has_keys(command)) return ERR_OK;
    enum err err = (command->flags & FLAG_MOVABLEKEYS) != 0 ? add_movable(command, args, out)
                                                            : add_fixed(command, args, out);
    if (err != ERR_OK) out->count = 0;
    return err;
}

enum err command_keys(const struct command *command, const struct args *args, size_t *out,
                      size_t *count)
{
    struct key_ranges ranges;
    *count = 0;
    enum err err = keys_find(command, args, &ranges);
    for (size_t i = 0; i < ranges.count; i++) {
        const struct key_range *range = &ranges.at[i];
        for (size_t at = range->first; at <= range->last; at += range->step) out[(*count)++] = at;
    }
    return err;
}
