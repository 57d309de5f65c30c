/* SPDX-License-Identifier: Apache-2.0 */
/* LATENCY and MEMORY: what Redis's tools ask for beside INFO, as far as it can be told truthfully.
 */
#include <inttypes.h>

#include "face/redis/internal.h"

/* Delays by event are not kept: the slow log and the figures of INFO are. */
void face_LATENCY_LATEST(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->array(client_reply(client), 0);
}

void face_LATENCY_HISTORY(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->array(client_reply(client), 0);
}

void face_LATENCY_RESET(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->integer(client_reply(client), 0);
}

void face_LATENCY_DOCTOR(struct client *client, const struct args *args)
{
    (void)args;
    struct redis_face *face = client->face;
    struct service_status status;
    face->options.service->ops->status(face->options.service, &status);
    uint64_t mean_us = status.syncs == 0 ? 0 : status.sync_us_total / status.syncs;
    struct buffer text;
    buffer_init(&text);
    buffer_append_format(
        &text,
        "Delays by event are not recorded. A write waits for the log's disk: %" PRIu64
        " us on average over %" PRIu64 " syncs, %" PRIu64 " us the last time. "
        "SLOWLOG GET lists slow commands.\n",
        mean_us, status.syncs, status.sync_us_last);
    client_reply(client)->ops->verbatim(client_reply(client), buffer_bytes(&text));
    buffer_release(&text);
}

static uint64_t used_memory(const struct redis_face *face)
{
    struct redis_host *host = face->options.host;
    return host->used_memory == NULL ? 0 : host->used_memory(host);
}

static uint64_t clients_memory(const struct redis_face *face)
{
    uint64_t bytes = 0;
    for (struct list *at = face->clients.next; at != &face->clients; at = at->next) {
        const struct client *one = CONTAINER_OF(at, struct client, all);
        bytes += sizeof *one + one->in.capacity + one->out.capacity +
                 one->transaction.queued.capacity;
    }
    return bytes;
}

static void put_figure(struct reply *reply, const char *name, uint64_t value)
{
    reply->ops->bulk(reply, bytes_text(name));
    reply->ops->integer(reply, (int64_t)value);
}

void face_MEMORY_STATS(struct client *client, const struct args *args)
{
    (void)args;
    struct redis_face *face = client->face;
    struct service_status status;
    face->options.service->ops->status(face->options.service, &status);
    struct reply *reply = client_reply(client);
    reply->ops->map(reply, 5);
    put_figure(reply, "total.allocated", used_memory(face));
    put_figure(reply, "replication.backlog", 0);
    put_figure(reply, "clients.normal", clients_memory(face));
    put_figure(reply, "dataset.bytes", status.memory_bytes);
    put_figure(reply, "unflushed.bytes", status.unflushed_bytes);
}

void face_MEMORY_DOCTOR(struct client *client, const struct args *args)
{
    (void)args;
    struct redis_face *face = client->face;
    struct service_status status;
    face->options.service->ops->status(face->options.service, &status);
    struct buffer text;
    buffer_init(&text);
    buffer_append_format(&text,
                         "Data are on disk; memory holds %" PRIu64
                         " bytes of recent records and caches, "
                         "of %" PRIu64 " bytes that the process uses. Nothing is evicted.\n",
                         status.memory_bytes, used_memory(face));
    client_reply(client)->ops->verbatim(client_reply(client), buffer_bytes(&text));
    buffer_release(&text);
}
