/* SPDX-License-Identifier: Apache-2.0 */
/* The harness's side of the net: its clients, and what it does to streams and cables. */
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "sim/heap.h"
#include "sim/link.h"

static struct stream *client_connect(struct sim_world *world, struct sim_node *node,
                                     const char *target, const char *from,
                                     struct stream_owner *owner)
{
    struct net_link *link = sim_link_make(world, NULL, node);
    link->is_loopback = strncmp(from, "127.", 4) == 0 || strncmp(from, "unix:", 5) == 0;
    (void)snprintf(link->target, sizeof(link->target), "%s", target);
    struct stream *client = &link->ends[0], *server = &link->ends[1];
    (void)snprintf(client->local, sizeof(client->local), "%s", from);
    (void)snprintf(server->local, sizeof(server->local), "%s", target);
    client->owner = owner;
    list_append(&world->clients, &client->in_ends);
    if (node->up) {
        list_append(&node->net->ends, &server->in_ends);
        sim_world_plan(world, &server->own, sim_end_delay_us(client));
    } else {
        sim_end_break(server);
        sim_end_close(server, sim_end_delay_us(server));
    }
    return client;
}

struct stream *sim_connect_from(struct sim_world *world, struct sim_node *node, unsigned port,
                                const char *from, struct stream_owner *owner)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    char target[16], local[NET_ADDRESS_TEXT_BYTES];
    (void)snprintf(target, sizeof(target), ":%u", port);
    (void)snprintf(local, sizeof(local), "%s:%u", from, world->next_port++);
    struct stream *stream = client_connect(world, node, target, local, owner);
    (void)sim_heap_enter(before);
    return stream;
}

struct stream *sim_connect(struct sim_world *world, struct sim_node *node, unsigned port,
                           struct stream_owner *owner)
{
    return sim_connect_from(world, node, port, "127.0.0.1", owner);
}

struct stream *sim_connect_path(struct sim_world *world, struct sim_node *node, const char *path,
                                struct stream_owner *owner)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    char target[NET_ADDRESS_TEXT_BYTES];
    (void)snprintf(target, sizeof(target), "unix:%s", path);
    struct stream *stream = client_connect(world, node, target, target, owner);
    (void)sim_heap_enter(before);
    return stream;
}

void sim_send(struct stream *stream, struct bytes bytes)
{
    sim_net_ops.send(stream, bytes);
}

void sim_hang_up(struct stream *stream, bool flush)
{
    sim_net_ops.close(stream, flush);
}

void sim_pause(struct stream *stream, bool paused)
{
    sim_net_ops.pause(stream, paused);
}

size_t sim_unsent(const struct stream *stream)
{
    return stream->unsent.size;
}

void sim_stream_reset(struct stream *stream)
{
    struct stream *peer = stream->peer;
    sim_end_break(stream);
    sim_end_break(peer);
    sim_end_kick(stream, sim_end_delay_us(stream));
    sim_end_kick(peer, sim_end_delay_us(peer));
    if (stream->way != NULL) stream->link->world->hits[SIM_HIT_RESET]++;
    sim_link_settle(stream->link);
}

void sim_stream_clog(struct stream *stream, bool clogged)
{
    stream->link->is_clogged = clogged;
    sim_end_kick(stream, sim_end_delay_us(stream));
    sim_end_kick(stream->peer, sim_end_delay_us(stream->peer));
}

void sim_stream_rate(struct stream *stream, uint64_t bytes_per_second)
{
    stream->rate = bytes_per_second;
}

void sim_net_isolate(struct sim_node *node, bool isolated)
{
    node->net->is_isolated = isolated;
    for (struct list *at = node->world->links.next; at != &node->world->links; at = at->next) {
        struct net_link *link = CONTAINER_OF(at, struct net_link, node);
        if (link->ends[0].node != node && link->ends[1].node != node) continue;
        for (size_t i = 0; i < 2; i++) {
            sim_end_kick(&link->ends[i], sim_end_delay_us(&link->ends[i]));
            sim_end_watch(&link->ends[i]);
        }
    }
}

void sim_net_profile_init(struct sim_net_profile *profile)
{
    *profile = (struct sim_net_profile){.delay_us_min = 20,
                                        .delay_us_max = 300,
                                        .gap_us_max = 20,
                                        .window_bytes = 64 * 1024,
                                        .whole_per_million = 500000,
                                        .silence_us_max = 30 * (uint64_t)SIM_SECOND};
}

struct sim_net_profile *sim_net_profile(struct sim_world *world)
{
    return &world->net;
}
