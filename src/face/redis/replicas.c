/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas of another make: clients whose connection is lent to face/psync from their PSYNC on. A
 * client stays one, with its limits, its line in CLIENT LIST and its end; but from then on it is
 * sent nothing by anybody else, and may say nothing but REPLCONF. */
#include "face/redis/replicas.h"

#include <inttypes.h>

#include "base/number.h"
#include "face/redis/internal.h"
#include "face/redis/observe.h"

enum { SECOND_US = 1000 * 1000 };

/* --- The link --- */

static struct client *client_of_link(const struct psync_link *link)
{
    return (struct client *)(uintptr_t)((const char *)link - offsetof(struct client, link));
}

static void link_send(struct psync_link *link, struct bytes bytes)
{
    struct client *client = client_of_link(link);
    if (client->dead || client->closing) return;
    buffer_append(&client->out, bytes);
    client_touch(client);
}

static size_t link_unsent(const struct psync_link *link)
{
    const struct client *client = client_of_link(link);
    if (client->dead) return client->out.size;
    return client->out.size + client->face->options.net->ops->unsent(client->stream);
}

static void link_close(struct psync_link *link, bool flush)
{
    struct client *client = client_of_link(link);
    if (flush) client_close_soon(client);
    else client_kill(client);
}

static const struct psync_link_ops link_ops = {
    .send = link_send, .unsent = link_unsent, .close = link_close};

/* --- Commands --- */

bool client_is_replica(const struct client *client)
{
    return client->replica != NULL && psync_is_attached(client->replica);
}

static struct psync_replica *replica_of(struct client *client)
{
    if (client->replica == NULL) {
        client->link.ops = &link_ops;
        client->replica = psync_replica_open(client->face->psync, &client->link, client->peer);
    }
    return client->replica;
}

void face_REPLCONF(struct client *client, const struct args *args)
{
    bool attached = client_is_replica(client);
    struct reply *reply = attached ? reply_nobody() : client_reply(client);
    if (client->face->in_exec) {
        reply->ops->error(reply, "ERR REPLCONF is not allowed inside a transaction");
        return;
    }
    psync_replconf(replica_of(client), args, reply);
}

/* What else may be sent to it without being asked for, ends. */
static void attach(struct client *client, const struct args *args)
{
    if (monitor_active(client)) return; /* as Redis does */
    struct reply *reply = client_reply(client);
    psync_sync(replica_of(client), args, reply);
    if (!client_is_replica(client)) return;
    transaction_drop(client);
    pubsub_forget(client);
}

void face_PSYNC(struct client *client, const struct args *args)
{
    attach(client, args);
}

void face_SYNC(struct client *client, const struct args *args)
{
    attach(client, args);
}

bool replica_may_say(struct client *client, const struct args *args)
{
    if (!client_is_replica(client)) return true;
    if (bytes_is_word(args->at[0], "replconf")) return true;
    trace_event(client->face->options.trace, TRACE_WARNING, "redis", "replica_out_of_step",
                "client=%" PRIu64 " peer=%s", client->id, client->peer);
    client_kill(client);
    return false;
}

/* --- What is told of them --- */

unsigned replicas_acked(const struct client *client, bool durable)
{
    return psync_acked(client->face->psync, client->stream_offset, durable);
}

void replicas_ask(struct client *client)
{
    psync_ask(client->face->psync);
}

unsigned replicas_count(const struct redis_face *face)
{
    struct psync_status status;
    psync_status(face->psync, &status);
    return status.attached;
}

/* --- Places --- */

uint64_t replicas_offset(const struct redis_face *face, struct lsn lsn)
{
    struct psync_status status;
    psync_status(face->psync, &status);
    return status.on ? status.offset : lsn.at;
}

/* Copies say where they are in the log, and replicas of Redis where they are in the stream. Who
 * compares their lines of INFO wants one measure: what both were at some moments is remembered. */
uint64_t replicas_offset_at(const struct redis_face *face, struct lsn lsn)
{
    struct psync_status status;
    struct service_status now;
    psync_status(face->psync, &status);
    if (!status.on) return lsn.at;
    face->options.service->ops->status(face->options.service, &now);
    if (!lsn_before(lsn, now.applied)) return status.offset;
    uint64_t offset = 0;
    for (size_t i = 0; i < REDIS_PLACES_KEPT; i++) {
        const struct place_pair *pair = &face->places[i];
        if (!lsn_before(lsn, pair->lsn) && pair->offset > offset) offset = pair->offset;
    }
    return offset;
}

void replicas_note_offset(struct redis_face *face)
{
    struct service_status status;
    face->options.service->ops->status(face->options.service, &status);
    struct place_pair *pair = &face->places[face->places_next];
    face->places_next = (face->places_next + 1) % REDIS_PLACES_KEPT;
    *pair = (struct place_pair){.lsn = status.applied, .offset = psync_offset(face->psync)};
}

/* --- Lines --- */

size_t replicas_role(const struct redis_face *face, struct reply *reply)
{
    size_t count = 0;
    struct psync_brief brief;
    for (unsigned i = 0; psync_brief(face->psync, i, &brief); i++) {
        if (!brief.online) continue;
        char number[NUMBER_TEXT_BYTES];
        count++;
        reply->ops->array(reply, 3);
        reply->ops->bulk(reply, bytes_text(brief.host));
        reply->ops->bulk(reply, bytes_of(number, number_format_uint64(brief.port, number)));
        reply->ops->bulk(reply, bytes_of(number, number_format_uint64(brief.offset, number)));
    }
    return count;
}

void replicas_describe(const struct redis_face *face, unsigned at, struct buffer *out)
{
    struct psync_brief brief;
    for (unsigned i = 0; psync_brief(face->psync, i, &brief); i++) {
        buffer_append_format(
            out, "slave%u:ip=%s,port=%u,state=%s,offset=%" PRIu64 ",lag=%" PRIu64 "\r\n", at + i,
            brief.host, brief.port, brief.state, brief.offset, brief.lag_s);
    }
}

static const char no_replid[] = "0000000000000000000000000000000000000000";

void replicas_describe_stream(const struct redis_face *face, struct lsn lsn, struct buffer *out)
{
    struct psync_status status;
    psync_status(face->psync, &status);
    bool before = status.replid_before[0] != 0;
    buffer_append_format(
        out,
        "master_replid:%s\r\nmaster_replid2:%s\r\n"
        "master_repl_offset:%" PRIu64 "\r\nsecond_repl_offset:%" PRId64
        "\r\nrepl_backlog_active:%d\r\nrepl_backlog_size:%" PRIu64
        "\r\nrepl_backlog_first_byte_offset:%" PRIu64 "\r\nrepl_backlog_histlen:%" PRIu64 "\r\n",
        status.replid[0] == 0 ? no_replid : status.replid,
        before ? status.replid_before : no_replid, status.on ? status.offset : lsn.at,
        before ? (int64_t)status.before_until : INT64_C(-1), status.on ? 1 : 0,
        config_size(face->options.config, CONFIG_REPL_BACKLOG_SIZE), status.first, status.bytes);
}

void replicas_describe_syncs(const struct redis_face *face, struct buffer *out)
{
    struct psync_status status;
    psync_status(face->psync, &status);
    buffer_append_format(out,
                         "sync_full:%" PRIu64 "\r\nsync_partial_ok:%" PRIu64
                         "\r\nsync_partial_err:%" PRIu64 "\r\n",
                         status.full, status.partial, status.partial_refused);
}

/* --- Life --- */

static void settings(struct psync_host *host, struct psync_settings *out)
{
    const struct redis_face *face = CONTAINER_OF(host, struct redis_face, psync_host);
    const struct config *config = face->options.config;
    struct config_output_limit limit = config_output_limit(config, CONFIG_CLIENT_REPLICA);
    uint64_t ping_s = (uint64_t)config_int(config, CONFIG_REPL_PING_REPLICA_PERIOD);
    uint64_t timeout_s = (uint64_t)config_int(config, CONFIG_REPL_TIMEOUT);
    uint64_t ttl_s = (uint64_t)config_int(config, CONFIG_REPL_BACKLOG_TTL);
    *out = (struct psync_settings){
        .ping_us = ping_s * SECOND_US,
        .timeout_us = timeout_s * SECOND_US,
        .backlog_bytes = config_size(config, CONFIG_REPL_BACKLOG_SIZE),
        .backlog_ttl_us = ttl_s * SECOND_US,
        .hard_bytes = limit.hard_bytes,
        .soft_bytes = limit.soft_bytes,
        .soft_us = limit.soft_seconds * SECOND_US,
    };
}

static void acked(struct psync_host *host)
{
    wait_look_again(CONTAINER_OF(host, struct redis_face, psync_host));
}

static void publish(struct psync_host *host, bool sharded, const struct published *published)
{
    pubsub_tell(CONTAINER_OF(host, struct redis_face, psync_host), sharded, published);
}

void replicas_open(struct redis_face *face)
{
    struct psync_options options = {.clock = face->options.clock,
                                    .net = face->options.net,
                                    .entropy = face->options.entropy,
                                    .trace = face->options.trace,
                                    .service = face->options.service,
                                    .host = &face->psync_host};
    face->psync_host = (struct psync_host){
        .settings = settings, .acked = acked, .publish = publish};
    psync_open(&face->psync, &options);
}
