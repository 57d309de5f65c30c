/* SPDX-License-Identifier: Apache-2.0 */
/* DEBUG: what test suites and tools ask for and what can be answered truthfully. DEBUG OBJECT and
 * DIGEST-VALUE are the machine's; dispatch.c hands them on. What would pretend (RELOAD, LOADAOF) is
 * refused by name. */
#include <math.h>
#include <stdio.h>

#include "base/number.h"
#include "face/redis/internal.h"

/* --- DEBUG PROTOCOL type: one reply of each type, for the tests of client libraries --- */

static void protocol_string(struct client *client)
{
    client_reply(client)->ops->bulk(client_reply(client), bytes_text("Hello World"));
}

static void protocol_integer(struct client *client)
{
    client_reply(client)->ops->integer(client_reply(client), 12345);
}

static void protocol_double(struct client *client)
{
    client_reply(client)->ops->number(client_reply(client), 3.141);
}

static void protocol_null(struct client *client)
{
    client_reply(client)->ops->null(client_reply(client));
}

static void protocol_array(struct client *client)
{
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, 3);
    for (int64_t i = 0; i < 3; i++) reply->ops->integer(reply, i);
}

static void protocol_set(struct client *client)
{
    struct reply *reply = client_reply(client);
    reply->ops->set(reply, 3);
    for (int64_t i = 0; i < 3; i++) reply->ops->integer(reply, i);
}

static void protocol_map(struct client *client)
{
    struct reply *reply = client_reply(client);
    reply->ops->map(reply, 3);
    for (int64_t i = 0; i < 3; i++) {
        reply->ops->integer(reply, i);
        reply->ops->boolean(reply, i == 1);
    }
}

/* Attributes and big numbers exist in RESP3 only, and nowhere else in this server. */
static void put_raw(struct client *client, const char *text)
{
    if (!client_is_muted(client)) buffer_append_text(&client->out, text);
}

static void protocol_attribute(struct client *client)
{
    struct reply *reply = client_reply(client);
    if (client->writer.resp3) {
        put_raw(client, "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
    }
    reply->ops->bulk(reply, bytes_text("Some real reply following the attribute"));
}

static void protocol_push(struct client *client)
{
    struct reply *reply = client_reply(client);
    if (!client->writer.resp3) {
        answer_error(client, "ERR RESP2 is not supported by this command");
        return;
    }
    reply->ops->push(reply, 2);
    reply->ops->bulk(reply, bytes_text("server-cpu-usage"));
    reply->ops->integer(reply, 42);
    reply->ops->bulk(reply, bytes_text("Some real reply following the push reply"));
}

static void protocol_verbatim(struct client *client)
{
    struct reply *reply = client_reply(client);
    reply->ops->verbatim(reply, bytes_text("This is a verbatim\nstring"));
}

static void protocol_true(struct client *client)
{
    client_reply(client)->ops->boolean(client_reply(client), true);
}

static void protocol_false(struct client *client)
{
    client_reply(client)->ops->boolean(client_reply(client), false);
}

static void protocol_bignum(struct client *client)
{
    static const char digits[] = "1234567999999999999999999999999999999";
    if (!client->writer.resp3) {
        client_reply(client)->ops->bulk(client_reply(client), bytes_text(digits));
    } else {
        put_raw(client, "(");
        put_raw(client, digits);
        put_raw(client, "\r\n");
    }
}

static void debug_protocol(struct client *client, const struct args *args)
{
    static const struct {
        const char *name;
        void (*answer)(struct client *client);
    } types[] = {
        {"string", protocol_string},     {"integer", protocol_integer},
        {"double", protocol_double},     {"bignum", protocol_bignum},
        {"null", protocol_null},         {"array", protocol_array},
        {"set", protocol_set},           {"map", protocol_map},
        {"attrib", protocol_attribute},  {"push", protocol_push},
        {"verbatim", protocol_verbatim}, {"true", protocol_true},
        {"false", protocol_false},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!bytes_is_word(args->at[2], types[i].name)) continue;
        types[i].answer(client);
        return;
    }
    answer_error(client, "ERR Wrong protocol type name. Please use one of the following: "
                         "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|"
                         "true|false");
}

/* --- The rest --- */

static bool slept(struct client *client)
{
    struct reply *reply = later_reply(client);
    reply->ops->simple(reply, "OK");
    later_done(client);
    return true;
}

/* Holds this client; the server goes on, which is what a test of time-outs needs. */
static void debug_sleep(struct client *client, const struct args *args)
{
    double seconds = 0;
    if (!number_parse_double(args->at[2], &seconds) || !(seconds > 0)) {
        answer_ok(client);
    } else if (client->face->in_exec) {
        answer_error(client, "ERR DEBUG SLEEP holds its client, which EXEC cannot do");
    } else {
        later_begin(client, slept, seconds > 1e9 ? UINT64_MAX / 4 : (uint64_t)(seconds * 1e6), 0);
    }
}

static void debug_set_active_expire(struct client *client, const struct args *args)
{
    struct service *service = client->face->options.service;
    bool on = bytes_equal(args->at[2], bytes_text("1"));
    if (!on && !bytes_equal(args->at[2], bytes_text("0"))) {
        answer_error(client, "ERR DEBUG SET-ACTIVE-EXPIRE takes 0 or 1");
        return;
    }
    service->ops->set_expiry(service, on);
    answer_ok(client);
}

static void debug_log(struct client *client, const struct args *args)
{
    char text[256];
    size_t size = args->at[2].size < sizeof text - 1 ? args->at[2].size : sizeof text - 1;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = args->at[2].data[i];
        text[i] = (char)(c >= ' ' && c <= '~' && c != '"' ? c : '.');
    }
    text[size] = 0;
    trace_event(client->face->options.trace, TRACE_NOTICE, "redis", "debug_log", "text=\"%s\"",
                text);
    answer_ok(client);
}

static void debug_digest(struct client *client, const struct args *args)
{
    (void)args;
    struct service *service = client->face->options.service;
    struct service_status status;
    service->ops->status(service, &status);
    char text[DIGEST_TEXT_BYTES];
    digest_format(status.digest, text);
    client_reply(client)->ops->simple(client_reply(client), text);
}

static void debug_error(struct client *client, const struct args *args)
{
    char text[256];
    size_t size = args->at[2].size;
    snprintf(text, sizeof text, "%.*s", (int)(size < 200 ? size : 200),
             (const char *)args->at[2].data);
    answer_error(client, text);
}

/* It tunes what this server does not have: encodings, buffers, scripts. */
static void debug_nothing(struct client *client, const struct args *args)
{
    (void)args;
    answer_ok(client);
}

static void debug_refused(struct client *client, const struct args *args)
{
    size_t size = args->at[1].size;
    reply_errorf(client_reply(client), "ERR DEBUG %.*s is not offered by this server",
                 (int)(size < 64 ? size : 64), (const char *)args->at[1].data);
}

static void debug_help(struct client *client, const struct args *args);

static const struct debug_word {
    const char *name, *syntax, *summary;
    int least, most; /* words in all */
    void (*run)(struct client *client, const struct args *args);
} words[] = {
    {"digest", "", "Tells the digest of what is applied.", 2, 2, debug_digest},
    {"digest-value", " <key> [<key> ...]", "Tells the digest of each key's value.", 0, 0, NULL},
    {"error", " <text>", "Answers with this error.", 3, 3, debug_error},
    {"log", " <message>", "Writes a line to the server's log.", 3, 3, debug_log},
    {"object", " <key>", "Tells how a key is stored.", 0, 0, NULL},
    {"protocol", " <type>", "Answers with a value of this type.", 3, 3, debug_protocol},
    {"set-active-expire", " <0|1>",
     "Stops and resumes the removal of expired keys that nobody reads.", 3, 3,
     debug_set_active_expire},
    {"sleep", " <seconds>", "Holds this connection; others are served.", 3, 3, debug_sleep},
    {"quicklist-packed-threshold", " <size>", "Has no effect.", 3, 3, debug_nothing},
    {"replybuffer", " <word> <value>", "Has no effect.", 4, 4, debug_nothing},
    {"dict-resizing", " <0|1>", "Has no effect.", 3, 3, debug_nothing},
    {"set-disable-deny-scripts", " <0|1>", "Has no effect.", 3, 3, debug_nothing},
    {"help", "", "Prints this help.", 2, 2, debug_help},
    {"reload", NULL, NULL, 2, 64, debug_refused},
    {"loadaof", NULL, NULL, 2, 2, debug_refused},
    {"change-repl-id", NULL, NULL, 2, 2, debug_refused},
    {"restart", NULL, NULL, 2, 3, debug_refused},
    {"crash-and-recover", NULL, NULL, 2, 3, debug_refused},
    {"replicate", NULL, NULL, 3, 64, debug_refused},
    {"populate", NULL, NULL, 3, 5, debug_refused},
    {"jmap", NULL, NULL, 2, 2, debug_refused},
};

enum { DEBUG_WORDS = sizeof words / sizeof words[0] };

static void debug_help(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    size_t opened = reply->ops->array_open(reply), count = 1;
    reply->ops->simple(reply, "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (size_t i = 0; i < DEBUG_WORDS; i++) {
        if (words[i].syntax == NULL) continue;
        char line[128];
        int size = snprintf(line, sizeof line, "%s%s", words[i].name, words[i].syntax);
        for (int k = 0; k < size && line[k] != ' '; k++) {
            if (line[k] >= 'a' && line[k] <= 'z') line[k] = (char)(line[k] - 32);
        }
        reply->ops->simple(reply, line);
        snprintf(line, sizeof line, "    %s", words[i].summary);
        reply->ops->simple(reply, line);
        count += 2;
    }
    reply->ops->array_close(reply, opened, count);
}

void face_DEBUG(struct client *client, const struct args *args)
{
    for (size_t i = 0; i < DEBUG_WORDS; i++) {
        const struct debug_word *word = &words[i];
        if (!bytes_is_word(args->at[1], word->name)) continue;
        if (args->count < (size_t)word->least || args->count > (size_t)word->most) break;
        word->run(client, args);
        return;
    }
    size_t size = args->at[1].size;
    reply_errorf(client_reply(client),
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                 (int)(size < 128 ? size : 128), (const char *)args->at[1].data);
}
