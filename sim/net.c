/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/net.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/must.h"
#include "base/number.h"
#include "sim/heap.h"
#include "sim/link.h"

enum { NET_LINGER_US = SIM_SECOND };

/* Loopback addresses are those of the machine itself. */
static bool address_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

const struct listening *sim_net_listening(const struct sim_net *net, const char *target,
                                          const struct sim_node *from)
{
    for (struct list *at = net->listenings.next; at != &net->listenings; at = at->next) {
        struct listening *listening = CONTAINER_OF(at, struct listening, node);
        const char *tail = listening->address;
        if (!listening->is_path) tail = strrchr(tail, ':');
        if (tail == NULL || strcmp(tail, target) != 0) continue;
        bool is_elsewhere = from != NULL && from != net->node;
        if (!is_elsewhere || !address_is_loopback(listening->address)) return listening;
    }
    return NULL;
}

static void end_accept(struct stream *end)
{
    struct net_link *link = end->link;
    if (sim_end_is_isolated(end) ||
        (end->way != NULL && sim_path_is_shut(end->peer->way, end->way))) {
        sim_world_plan(link->world, &end->own, 100 * SIM_MILLISECOND);
        return;
    }
    const struct listening *listening = sim_net_listening(end->node->net, link->target,
                                                          end->peer->node);
    sim_link_enter(link, end->node);
    struct stream_owner *owner = NULL;
    if (listening != NULL) {
        if (end->way == NULL)
            (void)snprintf(end->local, sizeof(end->local), "%s", listening->address);
        end->state = END_OPEN;
        SIM_CALL_NODE(end->node, owner = listening->listener->accepted(listening->listener, end));
    }
    if (end->state != END_CLOSED) {
        end->owner = owner;
        if (owner == NULL) {
            sim_end_break(end);
            sim_end_close(end, 0);
        } else {
            sim_end_kick(end->peer, end->peer->is_gone ? sim_end_silence_us(end->peer) : 0);
        }
    }
    sim_link_leave(link);
}

void sim_end_own(struct sim_event *event)
{
    struct stream *end = CONTAINER_OF(event, struct stream, own);
    struct net_link *link = end->link;
    switch (end->state) {
    case END_WAITING: end_accept(end); return;
    case END_OPEN:
        if (end->unsent.size > 0 || end->is_told) return;
        sim_link_enter(link, end->node);
        SIM_CALL_NODE(end->node, end->owner->events->drained(end->owner));
        sim_link_leave(link);
        return;
    case END_CLOSED: /* it has lingered for long enough */
        if (end->unsent.size > 0) sim_end_break(end);
        sim_end_kick(end, 0);
        sim_link_settle(link);
        return;
    }
    MUST(false);
}

static void net_send_of_sim(struct stream *stream, struct bytes bytes)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(stream->state == END_OPEN);
    struct stream *peer = stream->peer;
    bool is_dead = stream->is_told || stream->is_broken ||
                   (peer->state == END_CLOSED && !peer->is_gone);
    if (!is_dead && bytes.size > 0) {
        bool was_idle = stream->flight.size == 0;
        size_t now = stream->unsent.size > 0 ? 0 : sim_end_room(stream);
        if (now > bytes.size) now = bytes.size;
        buffer_append(&stream->flight, bytes_of(bytes.data, now));
        buffer_append(&stream->unsent, bytes_of(bytes.data + now, bytes.size - now));
        stream->sends++;
        if (stream->way != NULL) stream->sent = ++stream->link->world->sent;
        sim_end_kick(stream, was_idle ? sim_end_delay_us(stream) : 0);
        if (peer->is_gone) sim_end_find_out(peer);
    }
    (void)sim_heap_enter(before);
}

static size_t net_unsent_of_sim(const struct stream *stream)
{
    return stream->unsent.size;
}

static void net_pause_of_sim(struct stream *stream, bool paused)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(stream->state != END_CLOSED);
    stream->paused = paused;
    sim_end_kick(stream->peer, 1);
    (void)sim_heap_enter(before);
}

static void net_hand_on_of_sim(struct stream *stream, struct stream_owner *owner)
{
    MUST(stream->owner != NULL);
    stream->owner = owner;
}

static bool net_has_ended_of_sim(const struct stream *stream)
{
    const struct stream *peer = stream->peer;
    if (stream->is_told) return true;
    if (peer->is_gone || sim_end_is_held(peer)) return false; /* nobody can say so */
    return peer->is_broken || (peer->is_finished && peer->unsent.size == 0);
}

static void net_close_of_sim(struct stream *stream, bool flush)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(stream->state != END_CLOSED);
    struct net_link *link = stream->link;
    if (!flush) {
        buffer_clear(&stream->unsent);
        /* Closed with something unread: a TCP resets, and what was in flight is gone. */
        if (stream->peer->flight.size > 0 && dice_chance(sim_end_dice(stream), 1, 2)) {
            sim_end_break(stream);
        }
    }
    sim_end_close(stream, sim_end_delay_us(stream));
    if (stream->unsent.size > 0) {
        stream->own.node = NULL; /* the system's business now, not the node's */
        sim_world_plan(link->world, &stream->own, NET_LINGER_US);
    }
    sim_link_settle(link);
    (void)sim_heap_enter(before);
}

static void net_peer_of_sim(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    (void)snprintf(out, NET_ADDRESS_TEXT_BYTES, "%s", stream->peer->local);
}

static void net_local_of_sim(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES])
{
    (void)snprintf(out, NET_ADDRESS_TEXT_BYTES, "%s", stream->local);
}

static bool net_is_loopback_of_sim(const struct stream *stream)
{
    return stream->link->is_loopback;
}

static bool address_is_valid(const char *address, bool is_path)
{
    if (strlen(address) >= NET_ADDRESS_TEXT_BYTES) return false;
    if (is_path) return address[5] != '\0';
    const char *colon = strrchr(address, ':');
    uint64_t port;
    return colon != NULL && colon != address && number_parse_uint64(bytes_text(colon + 1), &port) &&
           port > 0 && port < 65536;
}

static enum err net_listen_of_sim(struct net *base, struct listener *listener, const char *address,
                                  unsigned mode, struct why *why)
{
    (void)mode;
    struct sim_net *net = CONTAINER_OF(base, struct sim_net, base);
    bool is_path = strncmp(address, "unix:", 5) == 0;
    if (!address_is_valid(address, is_path)) {
        return why_fail(why, ERR_CONFIG, "cannot listen on %s: not an address", address);
    }
    MUST(listener->accepted != NULL);
    if (sim_net_listening(net, is_path ? address : strrchr(address, ':'), NULL) != NULL) {
        return why_fail(why, ERR_REFUSED, "cannot listen on %s: in use", address);
    }
    struct sim_heap *before = sim_heap_enter(NULL);
    struct listening *listening = memory_zeroed(1, sizeof(*listening));
    listening->listener = listener;
    listening->is_path = is_path;
    (void)snprintf(listening->address, sizeof(listening->address), "%s", address);
    list_append(&net->listenings, &listening->node);
    listener->world = listening;
    (void)sim_heap_enter(before);
    return ERR_OK;
}

static void net_unlisten_of_sim(struct net *base, struct listener *listener)
{
    (void)base;
    struct sim_heap *before = sim_heap_enter(NULL);
    struct listening *listening = listener->world;
    MUST(listening != NULL && listening->listener == listener);
    list_remove(&listening->node);
    memory_free(listening);
    listener->world = NULL;
    (void)sim_heap_enter(before);
}

const struct net_ops sim_net_ops = {
    .listen = net_listen_of_sim,
    .unlisten = net_unlisten_of_sim,
    .dial = sim_dial_begin,
    .cancel = sim_dial_cancel,
    .send = net_send_of_sim,
    .unsent = net_unsent_of_sim,
    .pause = net_pause_of_sim,
    .hand_on = net_hand_on_of_sim,
    .has_ended = net_has_ended_of_sim,
    .close = net_close_of_sim,
    .peer = net_peer_of_sim,
    .local = net_local_of_sim,
    .is_loopback = net_is_loopback_of_sim,
};

void sim_net_cut(struct sim_net *net, const struct sim_cut *cut)
{
    struct sim_world *world = net->node->world;
    sim_link_abandon(world, net->node);
    sim_dials_cut(net);
    struct list *node;
    while ((node = list_first(&net->listenings)) != NULL) {
        list_remove(node);
        memory_free(CONTAINER_OF(node, struct listening, node));
    }
    while ((node = list_first(&net->ends)) != NULL) {
        struct stream *end = CONTAINER_OF(node, struct stream, in_ends);
        struct net_link *link = end->link;
        uint64_t delay = sim_end_delay_us(end);
        buffer_clear(&end->unsent);
        if (dice_chance(sim_end_dice(end), 1, 2)) sim_end_break(end);
        if (cut->keep != SIM_KEEP_CACHE) {
            sim_end_break(end);
            sim_world_cancel(world, &end->deliver);
            delay += sim_end_silence_us(end);
            end->is_gone = end->way != NULL;
            if (end->is_gone) world->hits[SIM_HIT_HALTED]++;
        }
        sim_end_close(end, delay);
        sim_link_settle(link);
    }
}

void sim_net_leftovers(const struct sim_net *net, struct buffer *out)
{
    for (struct list *at = net->listenings.next; at != &net->listenings; at = at->next) {
        buffer_append_format(out, "listener %s; ",
                             CONTAINER_OF(at, struct listening, node)->address);
    }
    size_t streams = 0;
    for (struct list *at = net->ends.next; at != &net->ends; at = at->next) {
        if (CONTAINER_OF(at, struct stream, in_ends)->state == END_OPEN) streams++;
    }
    if (streams > 0) buffer_append_format(out, "%zu streams; ", streams);
    size_t dials = 0;
    for (struct list *at = net->dials.next; at != &net->dials; at = at->next) dials++;
    if (dials > 0) buffer_append_format(out, "%zu dials; ", dials);
}

struct sim_net *sim_net_open(struct sim_node *node)
{
    struct sim_net *net = memory_zeroed(1, sizeof(*net));
    net->base.ops = &sim_net_ops;
    net->node = node;
    list_init(&net->listenings);
    list_init(&net->ends);
    list_init(&net->dials);
    return net;
}

void sim_net_close(struct sim_net *net)
{
    MUST(list_empty(&net->ends));
    memory_free(net);
}

struct net *sim_net_seam(struct sim_net *net)
{
    return &net->base;
}

void sim_net_discard_clients(struct sim_world *world)
{
    struct list *node;
    while ((node = list_first(&world->clients)) != NULL) {
        struct stream *end = CONTAINER_OF(node, struct stream, in_ends);
        sim_end_break(end);
        sim_end_close(end, 0);
        sim_link_settle(end->link);
    }
}
