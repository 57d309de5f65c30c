/* SPDX-License-Identifier: Apache-2.0 */
/* visit: which keys an entry names, for those who wait for a key or watch it. */
#include "command/command.h"

#include "base/number.h"
#include "command/keys.h"
#include "seam/entry.h"

/* A database that a word names; false: it names none, and the command will be refused. */
static bool parse_database(struct bytes word, uint8_t *out)
{
    int64_t number;
    if (!number_parse_int64(word, &number)) return false;
    if (number < 0 || number >= PAYLOAD_DATABASES_MAX) return false;
    *out = (uint8_t)number;
    return true;
}

/* MOVE key database, COPY from to [DB database]: the key that is filled may be in another database.
 */
static void visit_elsewhere(struct payload_visit *visit, const struct command *command,
                            const struct args *args)
{
    uint8_t database;
    visit->fills = true;
    if (command->id == COMMAND_MOVE && parse_database(args->at[2], &database))
        visit->key(visit, database, args->at[1]);
    if (command->id != COMMAND_COPY) return;
    for (size_t i = 3; i + 1 < args->count; i++) {
        if (bytes_is_word(args->at[i], "db") && parse_database(args->at[i + 1], &database))
            visit->key(visit, database, args->at[2]);
    }
}

static void visit_command(struct payload_visit *visit, uint8_t database,
                          const struct command *command, const struct args *args)
{
    if ((command->flags & FLAG_WRITE) == 0) return;
    if (command->id == COMMAND_SWAPDB) visit->everything = true;
    struct key_ranges ranges;
    if (keys_find(command, args, &ranges) != ERR_OK) return;
    for (size_t i = 0; i < ranges.count; i++) {
        const struct key_range *range = &ranges.at[i];
        for (size_t at = range->first; at <= range->last; at += range->step) {
            visit->fills = command_fills(command, args, i == 0 && at == range->first);
            visit->key(visit, database, args->at[at]);
        }
    }
    visit_elsewhere(visit, command, args);
}

/* Reads to the end without visiting, so that a malformed payload visits nothing. */
static bool is_whole(struct payload_reader reader, struct args *scratch)
{
    struct watched watched;
    const struct command *command;
    uint8_t database;
    while (reader.watches > 0) {
        if (payload_next_watch(&reader, &watched) != ERR_OK) return false;
    }
    while (reader.commands > 0) {
        if (payload_next_command(&reader, &database, &command, scratch) != ERR_OK) return false;
    }
    return true;
}

void payload_visit_keys(struct bytes payload, struct args *scratch, struct payload_visit *visit)
{
    visit->everything = false;
    struct payload_reader reader;
    if (payload_read(&reader, payload) != ERR_OK) return;
    if (reader.kind != ENTRY_COMMAND && !is_whole(reader, scratch)) return;
    struct watched watched;
    while (reader.watches > 0) {
        if (payload_next_watch(&reader, &watched) != ERR_OK) return;
    }
    const struct command *command;
    uint8_t database;
    while (reader.commands > 0) {
        if (payload_next_command(&reader, &database, &command, scratch) != ERR_OK) return;
        visit_command(visit, database, command, scratch);
    }
}
