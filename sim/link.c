/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/link.h"

#include <string.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"

enum { NET_NOTE = 128, NET_RATE_STEP_US = 10 * SIM_MILLISECOND };

struct dice *sim_net_dice(struct sim_world *world)
{
    return sim_world_dice(world, SIM_DICE_NET);
}

uint64_t sim_net_delay_us(struct sim_world *world)
{
    const struct sim_net_profile *profile = &world->net;
    uint64_t span = profile->delay_us_max - profile->delay_us_min;
    return profile->delay_us_min + (span > 0 ? dice_below(sim_net_dice(world), span + 1) : 0);
}

static void end_drop(struct stream *end)
{
    sim_world_cancel(end->link->world, &end->deliver);
    sim_world_cancel(end->link->world, &end->own);
    list_remove(&end->in_ends);
    buffer_release(&end->unsent);
    buffer_release(&end->flight);
}

void sim_link_settle(struct net_link *link)
{
    if (link->world->calling == link) return;
    if (link->ends[0].state != END_CLOSED || link->ends[1].state != END_CLOSED) return;
    for (size_t i = 0; i < 2; i++) {
        if (link->ends[i].unsent.size > 0 && !link->ends[i].is_broken) return; /* lingers */
    }
    end_drop(&link->ends[0]);
    end_drop(&link->ends[1]);
    memory_free(link);
}

void sim_link_enter(struct net_link *link, struct sim_node *node)
{
    MUST(link->world->calling == NULL);
    link->world->calling = link;
    link->world->calling_node = node;
}

void sim_link_leave(struct net_link *link)
{
    struct sim_world *world = link->world;
    world->calling = NULL;
    memory_free(world->lent);
    world->lent = NULL;
    sim_link_settle(link);
}

void sim_link_abandon(struct sim_world *world, const struct sim_node *node)
{
    if (world->calling != NULL && world->calling_node == node) sim_link_leave(world->calling);
}

bool sim_end_is_isolated(const struct stream *end)
{
    return end->node != NULL && end->node->net->is_isolated;
}

void sim_end_kick(struct stream *end, uint64_t delay_us)
{
    const struct stream *peer = end->peer;
    if (end->deliver.queued || peer->state != END_OPEN || peer->is_told) return;
    if (end->link->is_clogged || sim_end_is_isolated(end) || sim_end_is_isolated(peer)) return;
    if (peer->paused && !end->is_broken) return;
    if (end->flight.size == 0 && !end->is_finished && !end->is_broken) return;
    sim_world_plan(end->link->world, &end->deliver, delay_us);
}

/* Moves what waits into flight as far as the window allows. */
static void end_refill(struct stream *end)
{
    uint64_t window = end->link->world->net.window_bytes;
    if (end->unsent.size == 0 || end->flight.size >= window) return;
    size_t more = (size_t)window - end->flight.size;
    if (more > end->unsent.size) more = end->unsent.size;
    buffer_append(&end->flight, bytes_of(end->unsent.data, more));
    buffer_consume(&end->unsent, more);
    if (end->unsent.size > 0 || end->state != END_OPEN) return;
    if (end->own.queued) return;
    sim_world_plan(end->link->world, &end->own, dice_below(sim_net_dice(end->link->world), 50));
}

void sim_end_break(struct stream *end)
{
    end->is_broken = true;
    buffer_clear(&end->flight);
    buffer_clear(&end->unsent);
}

void sim_end_close(struct stream *end, uint64_t delay_us)
{
    end->state = END_CLOSED;
    end->owner = NULL;
    end->is_finished = true;
    list_remove(&end->in_ends);
    sim_world_cancel(end->link->world, &end->own);
    sim_end_kick(end, delay_us);
    struct stream *peer = end->peer; /* nothing arrives here any more */
    sim_world_cancel(end->link->world, &peer->deliver);
    buffer_clear(&peer->flight);
    buffer_clear(&peer->unsent);
}

static size_t piece_size(struct stream *from)
{
    const struct sim_net_profile *profile = &from->link->world->net;
    struct dice *dice = sim_net_dice(from->link->world);
    size_t size = from->flight.size;
    if (!dice_chance(dice, profile->whole_per_million, 1000000)) {
        size = dice_chance(dice, 1, 4) ? 1 : 1 + (size_t)dice_below(dice, size);
    }
    uint64_t step = from->peer->rate * NET_RATE_STEP_US / SIM_SECOND + 1;
    if (from->peer->rate > 0 && size > step) size = (size_t)step;
    return size;
}

static void piece_arrives(struct stream *from)
{
    struct stream *to = from->peer;
    struct sim_world *world = from->link->world;
    size_t size = piece_size(from);
    world->lent = memory_alloc(size); /* of its own, so that who keeps the pointer is found */
    memcpy(world->lent, from->flight.data, size);
    struct bytes piece = bytes_of(world->lent, size);
    buffer_consume(&from->flight, size);
    end_refill(from);
    uint64_t gap = world->net.gap_us_max > 0
                       ? dice_below(sim_net_dice(world), world->net.gap_us_max)
                       : 0;
    sim_end_kick(from, to->rate > 0 ? NET_RATE_STEP_US : gap);
    sim_world_note_bytes(world, NET_NOTE, piece);
    SIM_CALL_NODE(to->node, to->owner->events->received(to->owner, piece));
}

static void end_deliver(struct sim_event *event)
{
    struct stream *from = CONTAINER_OF(event, struct stream, deliver);
    struct stream *to = from->peer;
    struct net_link *link = from->link;
    MUST(to->state == END_OPEN);
    if (link->is_clogged || sim_end_is_isolated(from) || sim_end_is_isolated(to)) return;
    if (to->paused && !from->is_broken) return;
    const struct sim_net_profile *profile = &link->world->net;
    sim_link_enter(link, to->node);
    if (from->flight.size > 0 && profile->reset_per_million > 0 &&
        dice_chance(sim_net_dice(link->world), profile->reset_per_million, 1000000)) {
        sim_end_break(from);
        sim_end_break(to);
        sim_end_kick(to, sim_net_delay_us(link->world));
    }
    if (from->flight.size > 0) {
        piece_arrives(from);
    } else if (from->is_broken || (from->is_finished && from->unsent.size == 0)) {
        to->is_told = true;
        sim_world_note(link->world, NET_NOTE + 1, from->is_broken);
        SIM_CALL_NODE(to->node, to->owner->events->ended(to->owner));
    }
    sim_link_leave(link);
}

static void end_init(struct net_link *link, size_t at, struct sim_node *node)
{
    struct stream *end = &link->ends[at];
    struct stream *peer = &link->ends[1 - at];
    end->link = link;
    end->peer = peer;
    end->node = node;
    list_init(&end->in_ends);
    buffer_init(&end->unsent);
    buffer_init(&end->flight);
    end->own = (struct sim_event){.fired = sim_end_own, .node = node, .kind = SIM_EVENT_DRAIN};
    peer->deliver = (struct sim_event){
        .fired = end_deliver, .node = node, .kind = SIM_EVENT_DELIVER};
}

struct net_link *sim_link_make(struct sim_world *world, struct sim_node *from, struct sim_node *to)
{
    struct net_link *link = memory_zeroed(1, sizeof(*link));
    link->world = world;
    end_init(link, 0, from);
    end_init(link, 1, to);
    link->ends[0].state = END_OPEN;
    link->ends[1].own.kind = SIM_EVENT_ACCEPT;
    return link;
}
