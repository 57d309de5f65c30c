/* SPDX-License-Identifier: Apache-2.0 */
/* COMMAND and its subcommands: the table of commands as Redis 7.0 shows its own. */
#include <string.h>

#include "base/glob.h"
#include "base/memory.h"
#include "face/redis/internal.h"

/* Rows that clients can name, in the order of their numbers; `parent` NONE: those named by one
 * word. */
static const struct command *next_row(size_t *i, enum command_id parent)
{
    const struct command *command;
    while ((command = command_at((*i)++)) != NULL) {
        if (command->parent == parent && (command->flags & FLAG_INTERNAL) == 0) return command;
    }
    return NULL;
}

static size_t count_rows(enum command_id parent)
{
    size_t count = 0;
    for (size_t i = 0; next_row(&i, parent) != NULL;) count++;
    return count;
}

static void put_text(struct reply *reply, const char *text)
{
    reply->ops->bulk(reply, bytes_text(text));
}

static void put_words(struct reply *reply, const char *const *words, size_t count)
{
    reply->ops->set(reply, count);
    for (size_t i = 0; i < count; i++) reply->ops->simple(reply, words[i]);
}

static void put_number(struct reply *reply, const char *name, int64_t value)
{
    put_text(reply, name);
    reply->ops->integer(reply, value);
}

/* Where the keys begin, or how far they go: a kind and its figures follow. */
static void put_part(struct reply *reply, const char *part, const char *kind, size_t figures)
{
    put_text(reply, part);
    reply->ops->map(reply, 2);
    put_text(reply, "type");
    put_text(reply, kind);
    put_text(reply, "spec");
    reply->ops->map(reply, figures);
}

/* One specification: positions that are fixed, or unknown where other words decide. */
static void put_key_spec(struct reply *reply, const struct command *command)
{
    struct args none = {NULL, 0, 0};
    const char *words[COMMAND_WORDS_MAX];
    reply->ops->map(reply, 3);
    put_text(reply, "flags");
    put_words(reply, words, command_use_words(command, &none, true, words));
    if ((command->flags & FLAG_MOVABLEKEYS) != 0) {
        put_part(reply, "begin_search", "unknown", 0);
        put_part(reply, "find_keys", "unknown", 0);
        return;
    }
    int last = command->last_key;
    put_part(reply, "begin_search", "index", 1);
    put_number(reply, "index", command->first_key);
    put_part(reply, "find_keys", "range", 3);
    put_number(reply, "lastkey", last >= 0 ? last - command->first_key : last);
    put_number(reply, "keystep", command->key_step);
    put_number(reply, "limit", 0);
}

static void put_info(struct reply *reply, const struct command *command)
{
    const char *words[COMMAND_WORDS_MAX];
    reply->ops->array(reply, 10);
    put_text(reply, command->name);
    reply->ops->integer(reply, command->arity);
    put_words(reply, words, command_flag_words(command, words));
    reply->ops->integer(reply, command->first_key);
    reply->ops->integer(reply, command->last_key);
    reply->ops->integer(reply, command->key_step);
    put_words(reply, words, command_category_words(command, words));
    reply->ops->set(reply, 0); /* tips */
    bool keys = command_has_keys(command);
    reply->ops->set(reply, keys ? 1 : 0);
    if (keys) put_key_spec(reply, command);
    const struct command *sub;
    reply->ops->set(reply, count_rows(command->id));
    for (size_t i = 0; (sub = next_row(&i, command->id)) != NULL;) put_info(reply, sub);
}

void face_COMMAND(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    const struct command *command;
    reply->ops->array(reply, count_rows(COMMAND_NONE));
    for (size_t i = 0; (command = next_row(&i, COMMAND_NONE)) != NULL;) put_info(reply, command);
}

void face_COMMAND_COUNT(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->integer(client_reply(client), (int64_t)count_rows(COMMAND_NONE));
}

static const struct command *find_named(struct bytes path)
{
    const struct command *command = command_find_path(path);
    return command == NULL || (command->flags & FLAG_INTERNAL) != 0 ? NULL : command;
}

void face_COMMAND_INFO(struct client *client, const struct args *args)
{
    if (args->count == 2) {
        face_COMMAND(client, args);
        return;
    }
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, args->count - 2);
    for (size_t i = 2; i < args->count; i++) {
        const struct command *command = find_named(args->at[i]);
        if (command == NULL) {
            reply->ops->null(reply);
        } else {
            put_info(reply, command);
        }
    }
}

static void put_docs(struct reply *reply, const struct command *command)
{
    size_t subs = count_rows(command->id);
    put_text(reply, command->name);
    reply->ops->map(reply, subs > 0 ? 4 : 3);
    put_text(reply, "summary");
    put_text(reply, command->summary);
    put_text(reply, "since");
    put_text(reply, command->since);
    put_text(reply, "group");
    put_text(reply, command->group);
    if (subs == 0) return;
    const struct command *sub;
    put_text(reply, "subcommands");
    reply->ops->map(reply, subs);
    for (size_t i = 0; (sub = next_row(&i, command->id)) != NULL;) put_docs(reply, sub);
}

void face_COMMAND_DOCS(struct client *client, const struct args *args)
{
    struct reply *reply = client_reply(client);
    const struct command *command;
    if (args->count == 2) {
        reply->ops->map(reply, count_rows(COMMAND_NONE));
        for (size_t i = 0; (command = next_row(&i, COMMAND_NONE)) != NULL;)
            put_docs(reply, command);
        return;
    }
    size_t opened = reply->ops->array_open(reply), count = 0;
    for (size_t i = 2; i < args->count; i++) {
        command = find_named(args->at[i]);
        if (command == NULL) continue;
        put_docs(reply, command);
        count++;
    }
    reply->ops->map_close(reply, opened, count);
}

/* --- COMMAND LIST [FILTERBY (MODULE name | ACLCAT category | PATTERN pattern)] --- */

enum list_filter { LIST_ALL, LIST_MODULE, LIST_CATEGORY, LIST_PATTERN };

static bool list_fits(const struct command *command, enum list_filter filter, struct bytes value)
{
    char category[64];
    switch (filter) {
    case LIST_ALL: return true;
    case LIST_MODULE: return false; /* there are none */
    case LIST_CATEGORY:
        if (value.size > sizeof category - 2) return false;
        category[0] = '@';
        for (size_t i = 0; i < value.size; i++) {
            uint8_t c = value.data[i];
            category[i + 1] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
        category[value.size + 1] = 0;
        return command_is_in_category(command, category);
    case LIST_PATTERN: return glob_match(value, bytes_text(command->name), true);
    }
    return false;
}

void face_COMMAND_LIST(struct client *client, const struct args *args)
{
    static const char *const filters[] = {
        [LIST_MODULE] = "module", [LIST_CATEGORY] = "aclcat", [LIST_PATTERN] = "pattern"};
    enum list_filter filter = LIST_ALL;
    if (args->count == 5 && bytes_is_word(args->at[2], "filterby")) {
        for (unsigned i = LIST_MODULE; i <= LIST_PATTERN; i++) {
            if (bytes_is_word(args->at[3], filters[i])) filter = (enum list_filter)i;
        }
    }
    if (args->count != 2 && filter == LIST_ALL) {
        answer_error(client, "ERR syntax error");
        return;
    }
    struct bytes value = filter == LIST_ALL ? bytes_of(NULL, 0) : args->at[4];
    struct reply *reply = client_reply(client);
    const struct command *command;
    size_t opened = reply->ops->array_open(reply), count = 0;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if ((command->flags & FLAG_INTERNAL) != 0 || !list_fits(command, filter, value)) continue;
        put_text(reply, command->name);
        count++;
    }
    reply->ops->set_close(reply, opened, count);
}

/* --- COMMAND GETKEYS, GETKEYSANDFLAGS --- */

static void answer_keys(struct client *client, const struct command *command,
                        const struct args *words, bool with_flags)
{
    struct reply *reply = client_reply(client);
    size_t *positions = memory_zeroed(words->count, sizeof *positions), count = 0;
    if (command_keys(command, words, positions, &count) != ERR_OK || count == 0) {
        answer_error(client, "ERR Invalid arguments specified for command");
        memory_free(positions);
        return;
    }
    reply->ops->array(reply, count);
    for (size_t i = 0; i < count; i++) {
        struct bytes key = words->at[positions[i]];
        if (with_flags) reply->ops->array(reply, 2);
        reply->ops->bulk(reply, key);
        if (!with_flags) continue;
        const char *uses[COMMAND_WORDS_MAX];
        put_words(reply, uses, command_use_words(command, words, i == 0, uses));
    }
    memory_free(positions);
}

static void get_keys(struct client *client, const struct args *args, bool with_flags)
{
    struct args words = {args->at + 2, args->count - 2, args->count - 2};
    const struct command *command = command_find(words.at[0]);
    if (command != NULL && client->face->container[command->id]) {
        command = words.count > 1 ? command_find_sub(command, words.at[1]) : NULL;
    }
    if (command == NULL || (command->flags & FLAG_INTERNAL) != 0) {
        answer_error(client, "ERR Invalid command specified");
    } else if (!command_has_keys(command)) {
        answer_error(client, "ERR The command has no key arguments");
    } else if (!command_arity_fits(command, words.count)) {
        answer_error(client, "ERR Invalid number of arguments specified for command");
    } else {
        answer_keys(client, command, &words, with_flags);
    }
}

void face_COMMAND_GETKEYS(struct client *client, const struct args *args)
{
    get_keys(client, args, false);
}

void face_COMMAND_GETKEYSANDFLAGS(struct client *client, const struct args *args)
{
    get_keys(client, args, true);
}
