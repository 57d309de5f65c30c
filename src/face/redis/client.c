/* SPDX-License-Identifier: Apache-2.0 */
/* A client: its bytes in, its bytes out, its end.
 *
 * Bytes are read in place: only what is left of an incomplete command, or what a client that may
 * not go on has sent ahead, is copied. Replies gather in `out` and go to the net once a turn. A
 * client is freed only between turns or at the end of a read, never under the feet of code that
 * holds it: `dead` says so until then. */
#include "face/redis/client.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "face/redis/internal.h"
#include "face/redis/observe.h"

static void client_read(struct client *client, struct bytes bytes);

static struct client *client_of(struct stream_owner *owner)
{
    return CONTAINER_OF(owner, struct client, owner);
}

/* How much a client may send of one command, or ahead of what it may. */
static uint64_t unread_max(const struct client *client)
{
    uint64_t limit = config_size(client->face->options.config, CONFIG_CLIENT_QUERY_BUFFER_LIMIT);
    bool bounded = client_is_trusted(client) || limit < REDIS_UNAUTHENTICATED_BYTES_MAX;
    return bounded ? limit : REDIS_UNAUTHENTICATED_BYTES_MAX;
}

static void received(struct stream_owner *owner, struct bytes bytes)
{
    struct client *client = client_of(owner);
    struct redis_face *face = client->face;
    face->input_bytes += bytes.size;
    if (client->replica != NULL) psync_heard(client->replica);
    if (client->dead || client->closing || client->ended) return;
    if (client->in.size > 0 || client->holds != 0) {
        if (client->in.size + bytes.size > unread_max(client)) {
            trace_event(face->options.trace, TRACE_WARNING, "redis", "client_query_too_big",
                        "client=%" PRIu64 " peer=%s", client->id, client->peer);
            client_kill(client);
            return;
        }
        buffer_append(&client->in, bytes);
        if (client->holds == 0) client_read(client, bytes_of(NULL, 0));
    } else {
        client_read(client, bytes);
    }
    if (client->holds != 0 && client->in.size > REDIS_HELD_BYTES_MAX && !client->stream_paused) {
        client->stream_paused = true;
        face->options.net->ops->pause(client->stream, true);
    }
}

static void drained(struct stream_owner *owner)
{
    struct client *client = client_of(owner);
    client_unhold(client, HOLD_OUTPUT);
    if (client->replica != NULL) psync_drained(client->replica);
}

/* A peer may send commands, end its side, and read the answers until ours ends too. */
static void ended(struct stream_owner *owner)
{
    struct client *client = client_of(owner);
    if (client->dead) return;
    client->ended = true;
    client->ended_us = clock_now_us(client->face->options.clock);
    client_settle(client);
}

static const struct stream_events client_events = {
    .received = received, .drained = drained, .ended = ended};

static bool refuse_connection(struct redis_face *face, struct stream *stream)
{
    struct net *net = face->options.net;
    const char *error = NULL;
    if (face->clients_count >= (uint64_t)config_int(face->options.config, CONFIG_MAXCLIENTS)) {
        error = "-ERR max number of clients reached\r\n";
        face->rejected_connections++;
    } else if (config_bool(face->options.config, CONFIG_PROTECTED_MODE) &&
               config_text(face->options.config, CONFIG_REQUIREPASS).size == 0 &&
               !net->ops->is_loopback(stream)) {
        error = "-DENIED tidemark is in protected mode: no password is set, and connections are "
                "accepted from this machine only. Set `requirepass`, or `protected-mode no` if you "
                "know that the network is safe.\r\n";
        face->rejected_connections++;
    }
    if (error == NULL) return false;
    net->ops->send(stream, bytes_text(error));
    return true;
}

struct stream_owner *client_accepted(struct listener *listener, struct stream *stream)
{
    struct redis_face *face = CONTAINER_OF(listener, struct face_listener, listener)->face;
    if (refuse_connection(face, stream)) return NULL;
    struct client *client = memory_zeroed(1, sizeof *client);
    client->owner.events = &client_events;
    client->stream = stream;
    client->face = face;
    client->id = ++face->next_client_id;
    client->connected_us = client->active_us = clock_now_us(face->options.clock);
    client->unauthenticated_us = client->connected_us;
    face->options.net->ops->peer(stream, client->peer);
    face->options.net->ops->local(stream, client->local);
    resp_reader_init(&client->reader);
    buffer_init(&client->in);
    buffer_init(&client->out);
    resp_writer_init(&client->writer, &client->out);
    client->authenticated = config_text(face->options.config, CONFIG_REQUIREPASS).size == 0;
    list_init(&client->resume);
    list_init(&client->dirty);
    list_init(&client->calls);
    list_init(&client->subscriptions);
    list_init(&client->monitoring);
    transaction_init(client);
    list_append(&face->clients, &client->all);
    face->clients_count++;
    face->connections_total++;
    return &client->owner;
}

/* --- In --- */

/* One command from the front of `input`; how many bytes it took, 0 if none was complete. */
static size_t read_one(struct client *client, struct bytes input, bool *more)
{
    struct redis_face *face = client->face;
    size_t consumed = 0;
    uint64_t word_bytes = config_size(face->options.config, CONFIG_PROTO_MAX_BULK_LEN);
    client->reader.authenticated = client_is_trusted(client);
    client->reader.bulk_bytes_max = word_bytes < REDIS_WORD_BYTES_MAX ? word_bytes
                                                                      : REDIS_WORD_BYTES_MAX;
    switch (resp_read(&client->reader, input, &face->args, &consumed)) {
    case RESP_MORE: *more = false; break;
    case RESP_EMPTY: break;
    case RESP_COMMAND:
        client->again = false;
        dispatch(client, &face->args);
        if (client->again) consumed = 0;
        break;
    case RESP_BAD:
        if (client_is_replica(client)) { /* it would take the error for a part of the stream */
            client_kill(client);
            *more = false;
            break;
        }
        face_refuse(client, NULL, client->reader.error);
        client_close_soon(client);
        *more = false;
        break;
    case RESP_FOREIGN:
        trace_event(face->options.trace, TRACE_WARNING, "redis", "foreign_protocol",
                    "client=%" PRIu64 " peer=%s", client->id, client->peer);
        client_kill(client);
        *more = false;
        break;
    }
    return consumed;
}

/* Reads what is there: first `in`, which then holds all there is; or, when that is empty, `bytes`
 * in place. */
static void client_read(struct client *client, struct bytes bytes)
{
    if (client->reading) return;
    client->reading = true;
    bool in_place = client->in.size == 0;
    struct bytes input = in_place ? bytes : buffer_bytes(&client->in);
    size_t done = 0;
    bool more = true;
    while (more && client->holds == 0 && !client->closing && !client->dead && done < input.size) {
        struct bytes rest = bytes_of(input.data + done, input.size - done);
        done += read_one(client, rest, &more);
        if (client->out.size > REDIS_OUTPUT_STEP_BYTES &&
            !client_is_replica(client)) { /* face_send() lets it go on */
            client_hold(client, HOLD_OUTPUT);
            client_touch(client);
        }
    }
    if (client->dead || client->closing) {
        buffer_clear(&client->in);
    } else if (in_place) {
        if (done < input.size) {
            buffer_append(&client->in, bytes_of(input.data + done, input.size - done));
        }
    } else {
        buffer_consume(&client->in, done);
        if (client->in.size == 0) buffer_shrink(&client->in, REDIS_BUFFER_KEPT_BYTES);
    }
    client->reading = false;
    client_settle(client);
}

/* What it waits for may never come. */
static bool waits_for_ever(const struct client *client)
{
    return client->blocked != NULL || (client->holds & (HOLD_PAUSED | HOLD_LATER)) != 0;
}

void client_check_peer(struct client *client)
{
    if (!client->stream_paused || client->dead || !waits_for_ever(client)) return;
    if (client->face->options.net->ops->has_ended(client->stream)) client_kill(client);
}

void client_settle(struct client *client)
{
    if (!client->ended || client->dead || client->closing || client->reading) return;
    if (waits_for_ever(client) || client_is_replica(client)) {
        client_kill(client); /* nobody may be there */
        return;
    }
    /* It may still read, for so long as tick() lets it. */
    bool unread = (client->holds & HOLD_OUTPUT) != 0;
    if (client->calls_count > 0 || unread || !list_empty(&client->resume)) return;
    client_close_soon(client);
}

void client_hold(struct client *client, enum client_hold hold)
{
    client->holds |= (unsigned)hold;
}

void client_unhold(struct client *client, enum client_hold hold)
{
    if ((client->holds & (unsigned)hold) == 0) return;
    client->holds &= ~(unsigned)hold;
    if (client->holds != 0 || client->dead) return;
    if (list_empty(&client->resume)) list_append(&client->face->resuming, &client->resume);
    clock_defer(client->face->options.clock, &client->face->resume);
}

void face_resume(struct task *task)
{
    struct redis_face *face = CONTAINER_OF(task, struct redis_face, resume);
    struct list now;
    list_init(&now);
    list_move_all(&now, &face->resuming);
    struct list *first;
    while ((first = list_first(&now)) != NULL) {
        struct client *client = CONTAINER_OF(first, struct client, resume);
        list_remove(first);
        if (client->holds != 0 || client->dead) continue;
        client_read(client, bytes_of(NULL, 0));
        if (client->stream_paused && client->holds == 0 && !client->dead) {
            client->stream_paused = false;
            face->options.net->ops->pause(client->stream, false);
        }
    }
}

/* --- Out --- */

void client_touch(struct client *client)
{
    if (!list_empty(&client->dirty)) return;
    list_append(&client->face->dirty, &client->dirty);
    clock_defer(client->face->options.clock, &client->face->send);
}

void client_close_soon(struct client *client)
{
    client->closing = true;
    client_touch(client);
}

void client_kill(struct client *client)
{
    client->dead = true;
    client_touch(client);
}

static struct config_output_limit output_limit(const struct client *client)
{
    bool listens = pubsub_active(client) || monitor_active(client);
    enum config_client class = listens ? CONFIG_CLIENT_PUBSUB : CONFIG_CLIENT_NORMAL;
    return config_output_limit(client->face->options.config, class);
}

struct reply *client_push(struct client *client)
{
    uint64_t hard_bytes = output_limit(client).hard_bytes;
    client->writer.bytes_max = hard_bytes == 0 ? SIZE_MAX : hard_bytes;
    return &client->writer.reply;
}

static bool output_passes_limit(struct client *client, size_t bytes)
{
    if (client->writer.over) return true;
    struct config_output_limit limit = output_limit(client);
    if (limit.hard_bytes != 0 && bytes > limit.hard_bytes) return true;
    if (limit.soft_bytes == 0 || bytes <= limit.soft_bytes) {
        client->output_soft_us = 0;
        return false;
    }
    uint64_t now_us = clock_now_us(client->face->options.clock);
    if (client->output_soft_us == 0) client->output_soft_us = now_us;
    return now_us - client->output_soft_us > limit.soft_seconds * 1000000;
}

void client_check_output(struct client *client)
{
    if (client->dead || client_is_replica(client)) return; /* that one has limits of its own */
    struct redis_face *face = client->face;
    size_t bytes = client->out.size + face->options.net->ops->unsent(client->stream);
    if (!output_passes_limit(client, bytes)) return;
    trace_event(face->options.trace, TRACE_WARNING, "redis", "client_output_too_big",
                "client=%" PRIu64 " peer=%s bytes=%zu", client->id, client->peer, bytes);
    client_kill(client);
}

static void send_out(struct client *client)
{
    struct net *net = client->face->options.net;
    client_check_output(client);
    if (client->out.size == 0 || client->dead) return;
    client->face->output_bytes += client->out.size;
    net->ops->send(client->stream, buffer_bytes(&client->out));
    buffer_clear(&client->out);
    buffer_shrink(&client->out, REDIS_BUFFER_KEPT_BYTES);
    bool unsent = net->ops->unsent(client->stream) > 0;
    if (client->replica != NULL && !unsent) psync_drained(client->replica);
    if (unsent && !client_is_replica(client)) { /* that one says meanwhile how far it is */
        client_hold(client, HOLD_OUTPUT);
    } else {
        client_unhold(client, HOLD_OUTPUT);
    }
}

void face_send(struct task *task)
{
    struct redis_face *face = CONTAINER_OF(task, struct redis_face, send);
    struct list now;
    list_init(&now);
    list_move_all(&now, &face->dirty);
    struct list *first;
    while ((first = list_first(&now)) != NULL) {
        struct client *client = CONTAINER_OF(first, struct client, dirty);
        list_remove(first);
        send_out(client);
        bool finished = client->closing && client->calls_count == 0;
        if (client->dead || finished) client_free(client);
    }
}

struct client *client_by_id(struct redis_face *face, uint64_t id)
{
    for (struct list *at = face->clients.next; at != &face->clients; at = at->next) {
        struct client *client = CONTAINER_OF(at, struct client, all);
        if (client->id == id) return client;
    }
    return NULL;
}

void client_free(struct client *client)
{
    struct redis_face *face = client->face;
    MUST(!client->reading);
    struct service *service = face->options.service;
    struct list *first;
    while ((first = list_first(&client->calls)) != NULL) {
        struct client_call *call = CONTAINER_OF(first, struct client_call, link);
        service->ops->cancel(service, &call->call);
        exec_drop(call->exec);
        face_call_free(face, call);
    }
    psync_replica_close(client->replica);
    transaction_drop(client);
    buffer_release(&client->transaction.queued);
    pubsub_forget(client);
    monitor_end(client);
    later_end(client);
    steer_forget(client);
    wait_forget(client);
    verify_forget(client);
    list_remove(&client->resume);
    list_remove(&client->dirty);
    list_remove(&client->all);
    face->clients_count--;
    face->options.net->ops->close(client->stream, !client->dead);
    resp_reader_release(&client->reader);
    buffer_release(&client->in);
    buffer_release(&client->out);
    memory_free(client);
}
