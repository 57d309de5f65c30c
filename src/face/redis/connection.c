/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about the connection itself: PING, AUTH, HELLO, SELECT, RESET, QUIT. */
#include "face/redis/internal.h"

#include <limits.h>
#include <string.h>

#include "base/checksum.h"
#include "base/number.h"
#include "face/redis/observe.h"

void face_PING(struct client *client, const struct args *args)
{
    struct reply *reply = client_reply(client);
    if (args->count > 2) {
        reply->ops->error(reply, "ERR wrong number of arguments for 'ping' command");
        return;
    }
    if (pubsub_active(client) && !client->writer.resp3) {
        reply->ops->array(reply, 2);
        reply->ops->bulk(reply, bytes_text("pong"));
        reply->ops->bulk(reply, args->count == 2 ? args->at[1] : bytes_text(""));
    } else if (args->count == 2) {
        reply->ops->bulk(reply, args->at[1]);
    } else {
        reply->ops->simple(reply, "PONG");
    }
}

void face_ECHO(struct client *client, const struct args *args)
{
    client_reply(client)->ops->bulk(client_reply(client), args->at[1]);
}

void face_SELECT(struct client *client, const struct args *args)
{
    struct reply *reply = client_reply(client);
    int64_t number = 0;
    if (!number_parse_int64(args->at[1], &number)) {
        reply->ops->error(reply, "ERR value is not an integer or out of range");
    } else if (number < INT_MIN || number > INT_MAX) {
        reply_errorf(reply, "ERR value is out of range, value must between %d and %d", INT_MIN,
                     INT_MAX);
    } else if (number < 0 || number >= config_int(client->face->options.config, CONFIG_DATABASES)) {
        reply->ops->error(reply, "ERR DB index is out of range");
    } else {
        client->database = (uint8_t)number;
        reply->ops->simple(reply, "OK");
    }
}

/* Compares without telling by its time how much was right: hashes of equal length, not the words.
 */
static bool password_fits(const struct client *client, struct bytes given)
{
    struct bytes wanted = config_text(client->face->options.config, CONFIG_REQUIREPASS);
    struct digest a = digest_of(given), b = digest_of(wanted);
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < given.size; i++) {
        uint8_t other = wanted.size == 0 ? 0 : wanted.data[i % wanted.size];
        difference = (uint8_t)(difference | (given.data[i] ^ other));
    }
    return difference == 0 && given.size == wanted.size && digest_equal(a, b);
}

bool client_is_trusted(const struct client *client)
{
    if (client->authenticated) return true;
    return config_text(client->face->options.config, CONFIG_REQUIREPASS).size == 0;
}

static bool authenticate(struct client *client, struct bytes user, struct bytes password)
{
    struct reply *reply = client_reply(client);
    if (bytes_equal(user, bytes_text("default"))) {
        bool none = config_text(client->face->options.config, CONFIG_REQUIREPASS).size == 0;
        if (none || password_fits(client, password)) {
            client->authenticated = true;
            return true;
        }
    }
    reply->ops->error(reply, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

void face_AUTH(struct client *client, const struct args *args)
{
    struct reply *reply = client_reply(client);
    if (args->count > 3) {
        reply->ops->error(reply, "ERR syntax error");
        return;
    }
    bool with_user = args->count == 3;
    if (!with_user && config_text(client->face->options.config, CONFIG_REQUIREPASS).size == 0) {
        reply->ops->error(reply,
                          "ERR AUTH <password> called without any password configured for the "
                          "default user. Are you sure your configuration is correct?");
        return;
    }
    struct bytes user = with_user ? args->at[1] : bytes_text("default");
    if (authenticate(client, user, args->at[args->count - 1])) reply->ops->simple(reply, "OK");
}

bool client_name_is_fit(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') return false;
    }
    return name.size < REDIS_NAME_BYTES_MAX;
}

void client_name_copy(char out[REDIS_NAME_BYTES_MAX], struct bytes name)
{
    size_t size = name.size < REDIS_NAME_BYTES_MAX ? name.size : REDIS_NAME_BYTES_MAX - 1;
    memcpy(out, name.data, size);
    out[size] = 0;
}

static void put_field(struct reply *reply, const char *name, const char *value)
{
    reply->ops->bulk(reply, bytes_text(name));
    reply->ops->bulk(reply, bytes_text(value));
}

static void answer_hello(struct client *client)
{
    struct reply *reply = client_reply(client);
    reply->ops->map(reply, 7);
    put_field(reply, "server", "redis");
    put_field(reply, "version", REDIS_VERSION_SPOKEN);
    reply->ops->bulk(reply, bytes_text("proto"));
    reply->ops->integer(reply, client->writer.resp3 ? 3 : 2);
    reply->ops->bulk(reply, bytes_text("id"));
    reply->ops->integer(reply, (int64_t)client->id);
    put_field(reply, "mode", "standalone");
    bool follows = client->face->options.service->read_only;
    put_field(reply, "role", follows ? "replica" : "master");
    reply->ops->bulk(reply, bytes_text("modules"));
    reply->ops->array(reply, 0);
}

/* HELLO [2|3 [AUTH user password] [SETNAME name]] */
void face_HELLO(struct client *client, const struct args *args)
{
    struct reply *reply = client_reply(client);
    int64_t protocol = client->writer.resp3 ? 3 : 2;
    if (args->count > 1) {
        if (!number_parse_int64(args->at[1], &protocol)) {
            reply->ops->error(reply, "ERR Protocol version is not an integer or out of range");
            return;
        }
        if (protocol < 2 || protocol > 3) {
            reply->ops->error(reply, "NOPROTO unsupported protocol version");
            return;
        }
    }
    struct bytes name = {NULL, 0};
    bool named = false;
    for (size_t i = 2; i < args->count; i++) {
        size_t more = args->count - 1 - i;
        if (bytes_is_word(args->at[i], "auth") && more >= 2) {
            if (!authenticate(client, args->at[i + 1], args->at[i + 2])) return;
            i += 2;
        } else if (bytes_is_word(args->at[i], "setname") && more >= 1) {
            name = args->at[++i];
            named = true;
            if (!client_name_is_fit(name)) {
                reply->ops->error(reply,
                                  "ERR Client names cannot contain spaces, newlines or special "
                                  "characters.");
                return;
            }
        } else {
            reply_errorf(reply, "ERR Syntax error in HELLO option '%.*s'",
                         (int)(args->at[i].size > 64 ? 64 : args->at[i].size),
                         (const char *)args->at[i].data);
            return;
        }
    }
    if (!client_is_trusted(client)) {
        reply->ops->error(reply,
                          "NOAUTH HELLO must be called with the client already authenticated, "
                          "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
                          "authenticate the client and select the RESP protocol version at the "
                          "same time");
        return;
    }
    if (named) client_name_copy(client->name, name);
    client->writer.resp3 = protocol == 3;
    answer_hello(client);
}

void face_QUIT(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->simple(client_reply(client), "OK");
    client_close_soon(client);
}

void face_RESET(struct client *client, const struct args *args)
{
    (void)args;
    transaction_drop(client);
    pubsub_forget(client);
    monitor_end(client);
    client->writer.resp3 = false;
    client->database = 0;
    client->name[0] = 0;
    client->no_evict = client->no_touch = false;
    client->reply_off = client->reply_skip = client->reply_skip_next = false;
    client->authenticated = config_text(client->face->options.config, CONFIG_REQUIREPASS).size == 0;
    client->unauthenticated_us = client->active_us;
    client_reply(client)->ops->simple(client_reply(client), "RESET");
}
