/* SPDX-License-Identifier: Apache-2.0 */
/* The face itself: made, listening, closed. */
#include "face/redis/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "face/redis/observe.h"

enum { FACE_TICK_US = 100 * 1000 };

/* A client that has not read its replies. After the peer's end the net may never say that they went
 * out: it may have found that nobody is there any more, and have dropped them. */
static void check_unread(struct client *client, uint64_t now_us)
{
    client_check_output(client);
    if (client->dead || !client->ended) return;
    const struct net_ops *ops = client->face->options.net->ops;
    bool gone = client->out.size == 0 && ops->unsent(client->stream) == 0;
    if (gone || now_us - client->ended_us > REDIS_ENDED_US_MAX) client_kill(client);
}

static void tick(struct timer *timer)
{
    struct redis_face *face = CONTAINER_OF(timer, struct redis_face, timer);
    uint64_t now_us = clock_now_us(face->options.clock);
    uint64_t idle_us = (uint64_t)config_int(face->options.config, CONFIG_TIMEOUT) * 1000000;
    if (now_us - face->measured_us >= 1000000) {
        uint64_t passed = now_us - face->measured_us;
        face->commands_a_second = (face->commands_total - face->commands_then) * 1000000 / passed;
        face->commands_then = face->commands_total;
        face->measured_us = now_us;
        replicas_note_offset(face);
    }
    for (struct list *at = face->clients.next; at != &face->clients; at = at->next) {
        struct client *client = CONTAINER_OF(at, struct client, all);
        uint64_t idle = now_us - client->active_us;
        bool listens = pubsub_active(client) || monitor_active(client);
        bool waits = client->calls_count > 0 || (client->holds & HOLD_LATER) != 0;
        bool fed = client_is_replica(client);
        if (idle_us > 0 && !listens && !waits && !fed && idle > idle_us) client_kill(client);
        if (!fed && !client_is_trusted(client) &&
            now_us - client->unauthenticated_us > REDIS_AUTH_US_MAX) {
            client_kill(client);
        }
        client_check_peer(client);
        if ((client->holds & HOLD_OUTPUT) != 0) check_unread(client, now_us);
    }
    face_calls_trim(face, REDIS_SPARE_CALLS_KEPT);
    clock_timer_start(face->options.clock, &face->timer, FACE_TICK_US);
}

static void pause_over(struct timer *timer)
{
    face_unpause(CONTAINER_OF(timer, struct redis_face, pause));
}

void redis_open(struct redis_face **out, const struct redis_options *options)
{
    struct redis_face *face = memory_zeroed(1, sizeof *face);
    face->options = *options;
    list_init(&face->clients);
    list_init(&face->dirty);
    list_init(&face->resuming);
    list_init(&face->spare_calls);
    list_init(&face->monitors);
    buffer_init(&face->silenced);
    resp_writer_init(&face->silent, &face->silenced);
    args_init(&face->args);
    buffer_init(&face->payload);
    face->send.run = face_send;
    face->resume.run = face_resume;
    face->timer.fired = tick;
    face->pause.fired = pause_over;
    face->started_us = face->measured_us = clock_now_us(options->clock);
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        MUST((size_t)command->id < REDIS_COMMANDS_MAX);
        if (command->parent != COMMAND_NONE) face->container[command->parent] = true;
    }
    pubsub_open(face);
    slowlog_open(face);
    replicas_open(face);
    clock_timer_start(options->clock, &face->timer, FACE_TICK_US);
    *out = face;
}

static enum err listen_at(struct redis_face *face, const char *address, unsigned mode,
                          struct why *why)
{
    if (face->listeners_count == REDIS_LISTENERS_MAX) {
        return why_fail(why, ERR_CONFIG, "too many addresses to listen on");
    }
    struct face_listener *slot = &face->listeners[face->listeners_count];
    slot->listener.accepted = client_accepted;
    slot->face = face;
    struct net *net = face->options.net;
    enum err err = net->ops->listen(net, &slot->listener, address, mode, why);
    if (err != ERR_OK) return err;
    slot->open = true;
    face->listeners_count++;
    trace_event(face->options.trace, TRACE_NOTICE, "redis", "listening", "address=%s", address);
    return ERR_OK;
}

enum err redis_listen(struct redis_face *face, struct why *why)
{
    struct config *config = face->options.config;
    struct config_address addresses[CONFIG_ADDRESSES_MAX];
    int64_t port = config_int(config, CONFIG_PORT);
    size_t count = port == 0 ? 0 : config_addresses(config, port, addresses);
    enum err err = ERR_OK;
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = listen_at(face, addresses[i].text, 0, why);
        if (addresses[i].optional) err = ERR_OK;
    }
    struct bytes path = config_text(config, CONFIG_UNIXSOCKET);
    if (err == ERR_OK && path.size > 0) {
        char address[NET_ADDRESS_TEXT_BYTES];
        snprintf(address, sizeof address, "unix:%.*s", (int)path.size, (const char *)path.data);
        err = listen_at(face, address, (unsigned)config_int(config, CONFIG_UNIXSOCKETPERM), why);
    }
    if (err != ERR_OK) redis_unlisten(face);
    return err;
}

void redis_unlisten(struct redis_face *face)
{
    struct net *net = face->options.net;
    for (size_t i = 0; i < face->listeners_count; i++) {
        if (face->listeners[i].open) net->ops->unlisten(net, &face->listeners[i].listener);
        face->listeners[i].open = false;
    }
    face->listeners_count = 0;
}

void redis_figures(const struct redis_face *face, struct redis_figures *out)
{
    *out = (struct redis_figures){.clients = face->clients_count,
                                  .connections = face->connections_total,
                                  .rejected_connections = face->rejected_connections,
                                  .commands = face->commands_total,
                                  .command_errors = face->errors_total,
                                  .received_bytes = face->input_bytes,
                                  .sent_bytes = face->output_bytes};
}

void redis_close(struct redis_face *face)
{
    if (face == NULL) return;
    redis_unlisten(face);
    face_send(&face->send);
    struct list *first;
    while ((first = list_first(&face->clients)) != NULL) {
        client_free(CONTAINER_OF(first, struct client, all));
    }
    psync_close(face->psync);
    pubsub_close(face);
    slowlog_close(face);
    rewrite_forget(face);
    clock_timer_stop(face->options.clock, &face->timer);
    clock_timer_stop(face->options.clock, &face->pause);
    clock_cancel(face->options.clock, &face->send);
    clock_cancel(face->options.clock, &face->resume);
    face_calls_trim(face, 0);
    buffer_release(&face->silenced);
    args_release(&face->args);
    buffer_release(&face->payload);
    memory_free(face);
}
