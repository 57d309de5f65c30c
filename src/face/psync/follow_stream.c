/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of a primary: its commands become entries, in its order. Its offsets are those of its
 * bytes, all of them: also of what changes nothing. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/number.h"
#include "face/psync/follow.h"
#include "seam/entry.h"

enum {
    NUMBER_LINE_BYTES_MAX = 32,
    COMMAND_BYTES_MAX = INTAKE_PAYLOAD_BYTES_MAX - (1 << 20), /* leaves room for what is beside */
    WORD_ENTRY_BYTES = 4, /* that a word needs in an entry beside itself */
};

static struct intake *intake_of(const struct follow *follow)
{
    return follow->options.intake;
}

/* --- One command off the front --- */

enum read { READ_MORE, READ_DONE, READ_BAD };

/* "*3\r\n" or "$5\r\n", `at` bytes behind the command's first one, which is moved on. */
static enum read read_number(const struct follow *follow, char sign, size_t *at, uint64_t *out)
{
    const uint8_t *from = follow->held.data + follow->at + *at;
    size_t size = follow->held.size - follow->at - *at;
    size_t looked = size < NUMBER_LINE_BYTES_MAX ? size : NUMBER_LINE_BYTES_MAX;
    if (size > 0 && from[0] != (uint8_t)sign) return READ_BAD;
    const uint8_t *end = looked == 0 ? NULL : memchr(from, '\n', looked);
    if (end == NULL) return looked == NUMBER_LINE_BYTES_MAX ? READ_BAD : READ_MORE;
    size_t line = (size_t)(end - from);
    if (line < 3 || from[line - 1] != '\r') return READ_BAD;
    if (!number_parse_uint64(bytes_of(from + 1, line - 2), out)) return READ_BAD;
    *at += line + 1;
    return READ_DONE;
}

static void add_word(struct follow *follow, size_t at, size_t size)
{
    if (follow->word_count == follow->word_capacity) {
        follow->word_capacity = follow->word_capacity == 0 ? 16 : 2 * follow->word_capacity;
        follow->words = memory_resize(follow->words, follow->word_capacity * sizeof *follow->words);
    }
    follow->words[follow->word_count++] = (struct follow_word){at, size};
}

static enum read read_word(struct follow *follow)
{
    size_t at = follow->scanned;
    uint64_t size;
    enum read read = read_number(follow, '$', &at, &size);
    if (read != READ_DONE) return read;
    if (size > COMMAND_BYTES_MAX || at + size > COMMAND_BYTES_MAX) {
        follow_over(follow, FOLLOW_STOPS,
                    "behind offset %" PRIu64 " a command is larger than one "
                    "entry may be",
                    follow->place.offset);
        return READ_MORE;
    }
    size_t there = follow->held.size - follow->at;
    if (there < at + size + 2) return READ_MORE;
    const uint8_t *end = follow->held.data + follow->at + at + size;
    if (end[0] != '\r' || end[1] != '\n') return READ_BAD;
    add_word(follow, at, (size_t)size);
    follow->scanned = at + (size_t)size + 2;
    return READ_DONE;
}

/* Fills follow->args. What was read of a command that is not whole is not read again. */
static enum read read_command(struct follow *follow)
{
    uint64_t count;
    if (!follow->headed) {
        follow->word_count = follow->scanned = 0;
        enum read read = read_number(follow, '*', &follow->scanned, &count);
        if (read != READ_DONE) return read;
        if (count > FOLLOW_WORDS_MAX) return READ_BAD;
        follow->headed = true;
        follow->word_claim = (size_t)count;
    }
    while (follow->word_count < follow->word_claim) {
        enum read read = read_word(follow);
        if (read != READ_DONE) return read;
    }
    args_clear(&follow->args);
    const uint8_t *from = follow->held.data + follow->at;
    for (size_t i = 0; i < follow->word_count; i++)
        args_push(&follow->args, bytes_of(from + follow->words[i].at, follow->words[i].size));
    follow->headed = false;
    return READ_DONE;
}

/* --- Entries --- */

/* False: there is no room, or the link is over. */
static bool put_entry(struct follow *follow)
{
    struct intake *intake = intake_of(follow);
    enum err err = intake->ops->append(intake, buffer_bytes(&follow->entry), &follow->entry_place);
    follow->waits = err == ERR_PENDING;
    if (err != ERR_OK && !follow->waits)
        follow_over(follow, FOLLOW_SOON, "this copy takes nothing now");
    if (err != ERR_OK) return false;
    buffer_clear(&follow->entry);
    buffer_shrink(&follow->entry, FOLLOW_HELD_BYTES_KEPT);
    return true;
}

static void begin_entry(struct follow *follow)
{
    buffer_clear(&follow->entry);
    payload_begin_transaction(&follow->transaction, &follow->entry);
}

static bool end_entry(struct follow *follow)
{
    follow->entry_place = follow->place;
    entry_make_followed(&follow->entry, &follow->entry_place);
    return put_entry(follow);
}

/* What was appended last is the whole of what was taken, or will be in a moment. */
static bool is_noted(const struct follow *follow)
{
    struct followed place = intake_of(follow)->ops->place(intake_of(follow));
    return place.known && place.offset == follow->place.offset &&
           memcmp(place.name, follow->place.name, FOLLOWED_NAME_BYTES) == 0;
}

static void note_place(struct follow *follow)
{
    if (follow->multi || follow->waits || is_noted(follow)) return;
    begin_entry(follow);
    (void)end_entry(follow);
}

void follow_note_place(struct follow *follow)
{
    struct followed applied = intake_of(follow)->ops->applied(intake_of(follow));
    struct followed appended = intake_of(follow)->ops->place(intake_of(follow));
    bool quiet = applied.known && applied.offset == appended.offset;
    if (quiet) note_place(follow);
}

/* --- How far it is --- */

/* What is durable here, and nothing else, is said to be here. */
void follow_ack(struct follow *follow)
{
    struct followed applied = intake_of(follow)->ops->applied(intake_of(follow));
    if (!applied.known || applied.offset < follow->asked_at) return;
    char number[NUMBER_TEXT_BYTES + 1];
    size_t size = number_format_uint64(applied.offset, number);
    buffer_append_format(&follow->out, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%zu\r\n%.*s\r\n",
                         size, (int)size, number);
    follow->asked = false;
}

/* It wants to hear of everything before its question. */
static void take_getack(struct follow *follow)
{
    note_place(follow);
    follow->asked = true;
    follow->asked_at = follow->place.offset;
}

/* --- Commands --- */

static bool is_word(const struct follow *follow, const char *word)
{
    return bytes_is_word(follow->args.at[0], word);
}

static void refuse(struct follow *follow, const char *why)
{
    char shown[128];
    const char *name = follow_show(follow->args.at[0], shown);
    follow_over(follow, FOLLOW_STOPS, "behind offset %" PRIu64 " %s cannot be carried out here: %s",
                follow->before, name, why);
}

static void take_select(struct follow *follow)
{
    uint64_t database;
    bool good = follow->args.count == 2 && number_parse_uint64(follow->args.at[1], &database) &&
                database < PAYLOAD_DATABASES_MAX;
    if (good) follow->place.database = (uint8_t)database;
    else refuse(follow, "there are 16 databases");
}

static void take_publish(struct follow *follow, bool sharded)
{
    if (follow->args.count != 3) {
        refuse(follow, "it has other words than it should");
        return;
    }
    struct published published = {follow->place.database, follow->args.at[1], follow->args.at[2]};
    follow->options.publish(follow, sharded, &published);
}

static void take_multi(struct follow *follow)
{
    if (follow->multi) {
        refuse(follow, "it is within another one");
        return;
    }
    follow->multi = true;
    begin_entry(follow);
}

static void take_exec(struct follow *follow)
{
    if (!follow->multi) {
        refuse(follow, "there was no MULTI");
        return;
    }
    follow->multi = false;
    if (follow->transaction.commands > 0) (void)end_entry(follow);
}

static const char *why_not(const struct follow *follow, const struct command *command)
{
    const struct args *args = &follow->args;
    bool known = command != NULL && command->place == PLACE_STATE &&
                 (command->flags & FLAG_INTERNAL) == 0;
    if (!known) return "this server has no such command";
    if (!command_arity_fits(command, args->count)) return "it has other words than it should";
    size_t size = follow->multi ? follow->entry.size : 0;
    for (size_t i = 0; i < args->count; i++) size += args->at[i].size + WORD_ENTRY_BYTES;
    return size > COMMAND_BYTES_MAX ? "its transaction is larger than one entry may be" : NULL;
}

static void take_write(struct follow *follow)
{
    const struct command *command = command_find(follow->args.at[0]);
    const char *why = why_not(follow, command);
    if (why != NULL) {
        refuse(follow, why);
        return;
    }
    if ((command->flags & FLAG_WRITE) == 0) return; /* it changes nothing */
    if (!follow->multi) begin_entry(follow);
    payload_add_command(&follow->transaction, follow->place.database, command, &follow->args);
    if (!follow->multi) (void)end_entry(follow);
}

static void run(struct follow *follow, size_t size)
{
    uint64_t before = follow->before = follow->place.offset;
    if (is_word(follow, "replconf")) { /* its own bytes are not among those that it asks for */
        bool asks = follow->args.count >= 2 && bytes_is_word(follow->args.at[1], "getack");
        if (asks) take_getack(follow);
        follow->place.offset = before + size;
        return;
    }
    follow->place.offset = before + size;
    if (is_word(follow, "ping")) return;
    if (is_word(follow, "select")) take_select(follow);
    else if (is_word(follow, "multi")) take_multi(follow);
    else if (is_word(follow, "exec")) take_exec(follow);
    else if (is_word(follow, "publish")) take_publish(follow, false);
    else if (is_word(follow, "spublish")) take_publish(follow, true);
    else take_write(follow);
}

bool follow_command(struct follow *follow)
{
    if (follow->waits && !put_entry(follow)) return false;
    size_t there = follow->held.size - follow->at;
    if (there == 0) return false;
    if (!follow->headed && follow->held.data[follow->at] == '\n') { /* counts, as every byte does */
        follow->at++;
        follow->place.offset++;
        return true;
    }
    enum read read = read_command(follow);
    if (read == READ_BAD)
        follow_over(follow, FOLLOW_LATER, "behind offset %" PRIu64 " it sends what is no command",
                    follow->place.offset);
    if (read != READ_DONE) return false;
    size_t size = follow->scanned;
    follow->at += size;
    if (follow->args.count > 0) run(follow, size);
    else follow->place.offset += size;
    return follow->phase == FOLLOW_STREAM;
}

void follow_stream_begin(struct follow *follow)
{
    follow->phase = FOLLOW_STREAM;
    follow->streamed = true;
    follow->headed = follow->multi = follow->waits = false;
    note_place(follow); /* its history may have got another name */
}
