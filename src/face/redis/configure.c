/* SPDX-License-Identifier: Apache-2.0 */
/* CONFIG GET, SET, RESETSTAT, REWRITE. What a directive means is the business of config/ and of the
 * rooms that watch it. */
#include <string.h>

#include "face/redis/internal.h"

struct config_answer {
    struct config_reader reader;
    struct reply *reply;
};

static void answer_begin(struct config_reader *reader, size_t pairs)
{
    struct reply *reply = CONTAINER_OF(reader, struct config_answer, reader)->reply;
    reply->ops->map(reply, pairs);
}

static void answer_pair(struct config_reader *reader, struct bytes name, struct bytes value)
{
    struct reply *reply = CONTAINER_OF(reader, struct config_answer, reader)->reply;
    reply->ops->bulk(reply, name);
    reply->ops->bulk(reply, value);
}

/* REPLICAOF and a failover change what the directive says. */
static void note_primary(struct redis_face *face)
{
    struct buffer primary;
    buffer_init(&primary);
    face_primary(face, &primary);
    config_note(face->options.config, CONFIG_REPLICAOF, buffer_bytes(&primary));
    buffer_release(&primary);
}

void face_CONFIG_GET(struct client *client, const struct args *args)
{
    note_primary(client->face);
    struct config_answer answer = {.reader = {.begin = answer_begin, .pair = answer_pair},
                                   .reply = client_reply(client)};
    config_get(client->face->options.config, args->at + 2, args->count - 2, &answer.reader);
}

void face_CONFIG_SET(struct client *client, const struct args *args)
{
    struct why why;
    enum err err = config_set(client->face->options.config, args->at + 2, args->count - 2, &why);
    if (err == ERR_OK) {
        answer_ok(client);
    } else {
        reply_errorf(client_reply(client), "ERR %s", why.text);
    }
}

void face_CONFIG_RESETSTAT(struct client *client, const struct args *args)
{
    (void)args;
    struct redis_face *face = client->face;
    struct service_status status;
    face->options.service->ops->status(face->options.service, &status);
    face->expired_before = status.expired_keys;
    face->connections_total = face->rejected_connections = 0;
    face->commands_total = face->commands_then = face->commands_a_second = 0;
    face->input_bytes = face->output_bytes = face->errors_total = 0;
    memset(face->stats, 0, sizeof face->stats);
    answer_ok(client);
}

void face_CONFIG_REWRITE(struct client *client, const struct args *args)
{
    (void)args;
    struct redis_face *face = client->face;
    if (face->options.host->config_file == NULL) {
        answer_error(client, "ERR The server is running without a config file");
    } else if (face->in_exec) {
        answer_error(client, "ERR CONFIG REWRITE waits for the disk, which EXEC cannot do");
    } else if (face->rewrite != NULL) {
        answer_error(client, "ERR Rewriting config file: another rewrite is at work");
    } else {
        note_primary(face);
        rewrite_begin(client);
    }
}
