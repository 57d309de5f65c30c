/* SPDX-License-Identifier: Apache-2.0 */
/* The HELP of every command that has subcommands, out of the table of commands: its syntax is here,
 * the rest there. */
#include <stdio.h>

#include "face/redis/internal.h"

/* Words after the name, of those that take any. */
static const struct syntax {
    enum command_id id;
    const char *words;
} syntaxes[] = {
    {COMMAND_OBJECT_ENCODING, "<key>"},
    {COMMAND_OBJECT_FREQ, "<key>"},
    {COMMAND_OBJECT_IDLETIME, "<key>"},
    {COMMAND_OBJECT_REFCOUNT, "<key>"},
    {COMMAND_MEMORY_USAGE, "<key> [SAMPLES <count>]"},
    {COMMAND_PUBSUB_CHANNELS, "[<pattern>]"},
    {COMMAND_PUBSUB_NUMSUB, "[<channel> ...]"},
    {COMMAND_PUBSUB_SHARDCHANNELS, "[<pattern>]"},
    {COMMAND_PUBSUB_SHARDNUMSUB, "[<shardchannel> ...]"},
    {COMMAND_CLIENT_SETNAME, "<name>"},
    {COMMAND_CLIENT_SETINFO, "(LIB-NAME|LIB-VER) <value>"},
    {COMMAND_CLIENT_LIST, "[TYPE (NORMAL|MASTER|REPLICA|PUBSUB) | ID <id> ...]"},
    {COMMAND_CLIENT_KILL, "<ip:port> | (ID|ADDR|LADDR|TYPE|USER|SKIPME) <value> ..."},
    {COMMAND_CLIENT_PAUSE, "<milliseconds> [WRITE|ALL]"},
    {COMMAND_CLIENT_REPLY, "(ON|OFF|SKIP)"},
    {COMMAND_CLIENT_NO_EVICT, "(ON|OFF)"},
    {COMMAND_CLIENT_NO_TOUCH, "(ON|OFF)"},
    {COMMAND_CLIENT_UNBLOCK, "<id> [TIMEOUT|ERROR]"},
    {COMMAND_CLIENT_TRACKING, "(ON|OFF) [<option> ...]"},
    {COMMAND_CLIENT_CACHING, "(YES|NO)"},
    {COMMAND_COMMAND_DOCS, "[<command> ...]"},
    {COMMAND_COMMAND_INFO, "[<command> ...]"},
    {COMMAND_COMMAND_LIST, "[FILTERBY (MODULE|ACLCAT|PATTERN) <value>]"},
    {COMMAND_COMMAND_GETKEYS, "<command> <arg> ..."},
    {COMMAND_COMMAND_GETKEYSANDFLAGS, "<command> <arg> ..."},
    {COMMAND_CONFIG_GET, "<pattern> [<pattern> ...]"},
    {COMMAND_CONFIG_SET, "<parameter> <value> [<parameter> <value> ...]"},
    {COMMAND_SLOWLOG_GET, "[<count>]"},
    {COMMAND_LATENCY_HISTORY, "<event>"},
    {COMMAND_LATENCY_RESET, "[<event> ...]"},
};

static const char *syntax_of(enum command_id id)
{
    for (size_t i = 0; i < sizeof syntaxes / sizeof syntaxes[0]; i++) {
        if (syntaxes[i].id == id) return syntaxes[i].words;
    }
    return "";
}

static void put_upper(char *out, size_t room, const char *name)
{
    size_t i = 0;
    for (; name[i] != 0 && i + 1 < room; i++) {
        out[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);
    }
    out[i] = 0;
}

static void put_sub(struct reply *reply, const struct command *sub)
{
    char name[64], line[192];
    put_upper(name, sizeof name, strchr(sub->name, '|') + 1);
    const char *words = syntax_of(sub->id);
    snprintf(line, sizeof line, "%s%s%s", name, words[0] == 0 ? "" : " ", words);
    reply->ops->simple(reply, line);
    bool help = strcmp(name, "HELP") == 0;
    snprintf(line, sizeof line, "    %s.", help ? "Prints this help" : sub->summary);
    reply->ops->simple(reply, line);
}

static void answer_help(struct client *client, enum command_id container)
{
    struct reply *reply = client_reply(client);
    char name[64], line[192];
    put_upper(name, sizeof name, command_by_id(container)->name);
    size_t opened = reply->ops->array_open(reply), count = 1;
    snprintf(line, sizeof line,
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name);
    reply->ops->simple(reply, line);
    const struct command *sub;
    for (size_t i = 0; (sub = command_at(i)) != NULL; i++) {
        if (sub->parent != container || (sub->flags & FLAG_INTERNAL) != 0) continue;
        put_sub(reply, sub);
        count += 2;
    }
    reply->ops->array_close(reply, opened, count);
}

void face_OBJECT_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_OBJECT);
}

void face_MEMORY_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_MEMORY);
}

void face_PUBSUB_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_PUBSUB);
}

void face_CLIENT_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_CLIENT);
}

void face_COMMAND_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_COMMAND);
}

void face_CONFIG_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_CONFIG);
}

void face_SLOWLOG_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_SLOWLOG);
}

void face_LATENCY_HELP(struct client *client, const struct args *args)
{
    (void)args;
    answer_help(client, COMMAND_LATENCY);
}

/* A container by itself never fits its arity, and with a second word its subcommand is what runs.
 */
static void answer_alone(struct client *client)
{
    answer_error(client, "ERR a subcommand is missing");
}

void face_OBJECT(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_MEMORY(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_PUBSUB(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_CLIENT(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_VERIFY(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_CONFIG(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_SLOWLOG(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_LATENCY(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_FUNCTION(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}

void face_ACL(struct client *client, const struct args *args)
{
    (void)args;
    answer_alone(client);
}
