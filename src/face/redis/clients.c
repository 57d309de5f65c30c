/* SPDX-License-Identifier: Apache-2.0 */
/* CLIENT and its subcommands. */
#include "face/redis/internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/number.h"
#include "face/redis/observe.h"

/* One line of CLIENT LIST, in the words of redis-server 7.0. */
static void describe(const struct client *client, struct buffer *out)
{
    const struct redis_face *face = client->face;
    uint64_t now_us = clock_now_us(face->options.clock);
    char flags[8];
    size_t count = 0;
    if (client_is_replica(client)) flags[count++] = 'S';
    if (monitor_active(client)) flags[count++] = 'O';
    if (pubsub_active(client)) flags[count++] = 'P';
    if (client->transaction.open) flags[count++] = 'x';
    if (client->blocked != NULL || client->waiting != NULL) flags[count++] = 'b';
    if (client->closing) flags[count++] = 'c';
    if (count == 0) flags[count++] = 'N';
    flags[count] = 0;
    long long queued = client->transaction.open ? (long long)client->transaction.count : -1;
    size_t unsent = client->dead ? 0 : face->options.net->ops->unsent(client->stream);
    buffer_append_format(
        out,
        "id=%" PRIu64 " addr=%s laddr=%s fd=%" PRIu64 " name=%s age=%" PRIu64 " idle=%" PRIu64
        " flags=%s db=%u sub=%u psub=%u ssub=%u multi=%lld qbuf=%zu qbuf-free=%zu argv-mem=0"
        " multi-mem=%zu rbs=%zu rbp=0 obl=%zu oll=0 omem=%zu tot-mem=%zu events=r cmd=%s"
        " user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
        client->id, client->peer, client->local, client->id, client->name,
        (now_us - client->connected_us) / 1000000, (now_us - client->active_us) / 1000000, flags,
        client->database, client->channels, client->patterns, client->shard_channels, queued,
        client->in.size, client->in.capacity - client->in.size, client->transaction.queued.size,
        client->out.capacity, client->out.size, unsent,
        sizeof *client + client->in.capacity + client->out.capacity + unsent,
        client->last_command == NULL ? "NULL" : client->last_command->name,
        client->writer.resp3 ? 3 : 2, client->library, client->library_version);
}

void face_CLIENT_ID(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->integer(client_reply(client), (int64_t)client->id);
}

void face_CLIENT_INFO(struct client *client, const struct args *args)
{
    (void)args;
    struct buffer text;
    buffer_init(&text);
    describe(client, &text);
    client_reply(client)->ops->verbatim(client_reply(client), buffer_bytes(&text));
    buffer_release(&text);
}

/* The kinds of client that TYPE names; primaries are none here. */
static bool type_is_known(struct bytes type)
{
    static const char *const types[] = {"normal", "pubsub", "master", "replica", "slave"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (bytes_is_word(type, types[i])) return true;
    }
    return false;
}

static bool type_fits(const struct client *client, struct bytes type)
{
    if (client_is_replica(client)) {
        return bytes_is_word(type, "replica") || bytes_is_word(type, "slave");
    }
    return bytes_is_word(type, pubsub_active(client) ? "pubsub" : "normal");
}

static void answer_unknown_type(struct client *client, struct bytes type)
{
    reply_errorf(client_reply(client), "ERR Unknown client type '%.*s'",
                 (int)(type.size > 64 ? 64 : type.size), (const char *)type.data);
}

static void describe_types(const struct redis_face *face, const struct bytes *type,
                           struct buffer *out)
{
    for (const struct list *at = face->clients.next; at != &face->clients; at = at->next) {
        const struct client *one =
            (const struct client *)(const void *)((const char *)at - offsetof(struct client, all));
        if (!one->dead && (type == NULL || type_fits(one, *type))) describe(one, out);
    }
}

/* False: one of the words from the fourth on is no id. */
static bool describe_ids(struct redis_face *face, const struct args *args, struct buffer *out)
{
    for (size_t i = 3; i < args->count; i++) {
        int64_t id = 0;
        if (!number_parse_int64(args->at[i], &id)) return false;
        const struct client *one = client_by_id(face, (uint64_t)id);
        if (one != NULL && !one->dead) describe(one, out);
    }
    return true;
}

/* CLIENT LIST [TYPE type | ID id ...] */
void face_CLIENT_LIST(struct client *client, const struct args *args)
{
    struct redis_face *face = client->face;
    bool by_type = args->count == 4 && bytes_is_word(args->at[2], "type");
    bool by_id = args->count >= 4 && bytes_is_word(args->at[2], "id");
    struct buffer text;
    buffer_init(&text);
    if (args->count > 2 && !by_type && !by_id) {
        answer_error(client, "ERR syntax error");
    } else if (by_type && !type_is_known(args->at[3])) {
        answer_unknown_type(client, args->at[3]);
    } else if (by_id && !describe_ids(face, args, &text)) {
        answer_error(client, "ERR Invalid client ID");
    } else {
        if (!by_id) describe_types(face, by_type ? &args->at[3] : NULL, &text);
        client_reply(client)->ops->verbatim(client_reply(client), buffer_bytes(&text));
    }
    buffer_release(&text);
}

static bool name_is_fit_or_error(struct client *client, struct bytes name)
{
    if (client_name_is_fit(name)) return true;
    answer_error(client, "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}

void face_CLIENT_SETNAME(struct client *client, const struct args *args)
{
    if (!name_is_fit_or_error(client, args->at[2])) return;
    client_name_copy(client->name, args->at[2]);
    answer_ok(client);
}

void face_CLIENT_GETNAME(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    if (client->name[0] == 0) {
        reply->ops->null(reply);
    } else {
        reply->ops->bulk(reply, bytes_text(client->name));
    }
}

void face_CLIENT_SETINFO(struct client *client, const struct args *args)
{
    bool library = bytes_is_word(args->at[2], "lib-name");
    if (!library && !bytes_is_word(args->at[2], "lib-ver")) {
        answer_error(client, "ERR Unrecognized option for CLIENT SETINFO");
        return;
    }
    if (!client_name_is_fit(args->at[3])) {
        reply_errorf(client_reply(client),
                     "ERR %s cannot contain spaces, newlines or special characters.",
                     library ? "lib-name" : "lib-ver");
        return;
    }
    client_name_copy(library ? client->library : client->library_version, args->at[3]);
    answer_ok(client);
}

void face_CLIENT_REPLY(struct client *client, const struct args *args)
{
    if (client->face->in_exec) { /* it would cut the reply of EXEC in half */
        answer_error(client, "ERR CLIENT REPLY is not allowed inside a transaction");
        return;
    }
    if (bytes_is_word(args->at[2], "on")) {
        client->reply_off = client->reply_skip = client->reply_skip_next = false;
        answer_ok(client);
    } else if (bytes_is_word(args->at[2], "off")) {
        client->reply_off = true;
    } else if (bytes_is_word(args->at[2], "skip")) {
        if (!client->reply_off) client->reply_skip_next = true;
    } else {
        answer_error(client, "ERR syntax error");
    }
}

static void set_switch(struct client *client, struct bytes word, bool *value)
{
    if (bytes_is_word(word, "on") || bytes_is_word(word, "off")) {
        *value = bytes_is_word(word, "on");
        answer_ok(client);
    } else {
        answer_error(client, "ERR syntax error");
    }
}

void face_CLIENT_NO_EVICT(struct client *client, const struct args *args)
{
    set_switch(client, args->at[2], &client->no_evict);
}

void face_CLIENT_NO_TOUCH(struct client *client, const struct args *args)
{
    set_switch(client, args->at[2], &client->no_touch);
}

/* --- UNBLOCK, KILL, PAUSE --- */

void face_CLIENT_UNBLOCK(struct client *client, const struct args *args)
{
    int64_t id = 0;
    bool error = args->count == 4 && bytes_is_word(args->at[3], "error");
    if (args->count == 4 && !error && !bytes_is_word(args->at[3], "timeout")) {
        answer_error(client, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (!number_parse_int64(args->at[2], &id)) {
        answer_error(client, "ERR value is not an integer or out of range");
        return;
    }
    struct client *other = client_by_id(client->face, (uint64_t)id); /* none is negative */
    bool done = false;
    if (other != NULL && other->blocked != NULL) {
        struct service *service = client->face->options.service;
        other->blocked->unblock_error = error;
        done = service->ops->unblock(service, &other->blocked->call);
    } else if (other != NULL) {
        done = wait_unblock(other, error);
    }
    client_reply(client)->ops->integer(client_reply(client), done ? 1 : 0);
}

/* What CLIENT KILL asks for; a NULL text matches everything. */
struct kill_filter {
    struct bytes address, local, type, user;
    int64_t id;
    bool skip_me;
};

static bool kill_fits(const struct kill_filter *filter, const struct client *one)
{
    if (filter->id != 0 && (int64_t)one->id != filter->id) return false;
    if (filter->address.data != NULL && !bytes_equal(filter->address, bytes_text(one->peer))) {
        return false;
    }
    if (filter->local.data != NULL && !bytes_equal(filter->local, bytes_text(one->local)))
        return false;
    return filter->type.data == NULL || type_fits(one, filter->type);
}

/* The options from the third word on; NULL, or the error. */
static const char *read_filter(const struct args *args, struct kill_filter *filter)
{
    if (args->count % 2 != 0) return "ERR syntax error";
    for (size_t i = 2; i < args->count; i += 2) {
        struct bytes value = args->at[i + 1];
        if (bytes_is_word(args->at[i], "id")) {
            if (!number_parse_int64(value, &filter->id) || filter->id < 1) {
                return "ERR client-id should be greater than 0";
            }
        } else if (bytes_is_word(args->at[i], "addr")) {
            filter->address = value;
        } else if (bytes_is_word(args->at[i], "laddr")) {
            filter->local = value;
        } else if (bytes_is_word(args->at[i], "type")) {
            filter->type = value;
        } else if (bytes_is_word(args->at[i], "user")) {
            filter->user = value;
        } else if (bytes_is_word(args->at[i], "skipme") && bytes_is_word(value, "yes")) {
            filter->skip_me = true;
        } else if (bytes_is_word(args->at[i], "skipme") && bytes_is_word(value, "no")) {
            filter->skip_me = false;
        } else {
            return "ERR syntax error";
        }
    }
    return NULL;
}

static void kill_one(struct client *client, struct client *one)
{
    if (one == client) {
        client_close_soon(one); /* after its reply */
    } else {
        client_kill(one);
    }
}

void face_CLIENT_KILL(struct client *client, const struct args *args)
{
    struct redis_face *face = client->face;
    struct kill_filter filter = {.skip_me = args->count != 3};
    if (args->count == 3) {
        filter.address = args->at[2];
    } else {
        const char *error = read_filter(args, &filter);
        if (error != NULL) {
            answer_error(client, error);
            return;
        }
    }
    if (filter.user.data != NULL && !bytes_equal(filter.user, bytes_text("default"))) {
        reply_errorf(client_reply(client), "ERR No such user '%.*s'",
                     (int)(filter.user.size > 64 ? 64 : filter.user.size),
                     (const char *)filter.user.data);
        return;
    }
    if (filter.type.data != NULL && !type_is_known(filter.type)) {
        answer_unknown_type(client, filter.type);
        return;
    }
    int64_t killed = 0;
    for (struct list *at = face->clients.next; at != &face->clients; at = at->next) {
        struct client *one = CONTAINER_OF(at, struct client, all);
        if (one->dead || (one == client && filter.skip_me)) continue;
        if (!kill_fits(&filter, one)) continue;
        kill_one(client, one);
        killed++;
    }
    if (args->count == 3 && killed == 0) {
        answer_error(client, "ERR No such client");
    } else if (args->count == 3) {
        answer_ok(client);
    } else {
        client_reply(client)->ops->integer(client_reply(client), killed);
    }
}

void face_unpause(struct redis_face *face)
{
    face->pause_until_us = 0;
    clock_timer_stop(face->options.clock, &face->pause);
    for (struct list *at = face->clients.next; at != &face->clients; at = at->next) {
        client_unhold(CONTAINER_OF(at, struct client, all), HOLD_PAUSED);
    }
}

void face_CLIENT_PAUSE(struct client *client, const struct args *args)
{
    struct redis_face *face = client->face;
    int64_t ms = 0;
    bool writes = args->count == 4 && bytes_is_word(args->at[3], "write");
    if (args->count > 4 || (args->count == 4 && !writes && !bytes_is_word(args->at[3], "all"))) {
        answer_error(client, "ERR CLIENT PAUSE mode must be WRITE or ALL");
        return;
    }
    if (!number_parse_int64(args->at[2], &ms) || ms > INT64_MAX / 2000) {
        answer_error(client, "ERR timeout is not an integer or out of range");
        return;
    }
    if (ms < 0) {
        answer_error(client, "ERR timeout is negative");
        return;
    }
    uint64_t until_us = clock_now_us(face->options.clock) + (uint64_t)ms * 1000;
    bool paused = face->pause_until_us != 0;
    face->pause_all = (paused && face->pause_all) || !writes;
    if (until_us > face->pause_until_us) face->pause_until_us = until_us;
    uint64_t now_us = clock_now_us(face->options.clock);
    clock_timer_start(face->options.clock, &face->pause, face->pause_until_us - now_us);
    answer_ok(client);
}

void face_CLIENT_UNPAUSE(struct client *client, const struct args *args)
{
    (void)args;
    face_unpause(client->face);
    answer_ok(client);
}

/* --- Tracking is not offered --- */

void face_CLIENT_TRACKING(struct client *client, const struct args *args)
{
    bool off = bytes_is_word(args->at[2], "off"), on = bytes_is_word(args->at[2], "on");
    if (off && args->count == 3) {
        answer_ok(client);
    } else if (!on) {
        answer_error(client, "ERR syntax error");
    } else {
        answer_error(client,
                     "ERR client-side caching (CLIENT TRACKING) is not offered by this server");
    }
}

void face_CLIENT_CACHING(struct client *client, const struct args *args)
{
    (void)args;
    answer_error(client,
                 "ERR CLIENT CACHING can be called only when the client is in tracking mode "
                 "with OPTIN or OPTOUT mode enabled");
}

void face_CLIENT_GETREDIR(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->integer(client_reply(client), -1);
}

void face_CLIENT_TRACKINGINFO(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    reply->ops->map(reply, 3);
    reply->ops->bulk(reply, bytes_text("flags"));
    reply->ops->set(reply, 1);
    reply->ops->bulk(reply, bytes_text("off"));
    reply->ops->bulk(reply, bytes_text("redirect"));
    reply->ops->integer(reply, -1);
    reply->ops->bulk(reply, bytes_text("prefixes"));
    reply->ops->array(reply, 0);
}
