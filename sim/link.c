/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/link.h"

#include <string.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"

enum { NET_NOTE = 128, NET_RATE_STEP_US = 10 * SIM_MILLISECOND };

struct dice *sim_end_dice(const struct stream *end)
{
    return sim_world_dice(end->link->world, end->way != NULL ? SIM_DICE_PEERS : SIM_DICE_NET);
}

uint64_t sim_end_delay_us(const struct stream *end)
{
    if (end->way != NULL) return sim_path_delay_us(end->way);
    const struct sim_net_profile *profile = &end->link->world->net;
    uint64_t span = profile->delay_us_max - profile->delay_us_min;
    return profile->delay_us_min + (span > 0 ? dice_below(sim_end_dice(end), span + 1) : 0);
}

uint64_t sim_end_silence_us(const struct stream *end)
{
    uint64_t most = end->link->world->net.silence_us_max;
    return most > 0 ? dice_below(sim_end_dice(end), most) : 0;
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
    list_remove(&link->node);
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

bool sim_end_is_held(const struct stream *end)
{
    const struct stream *peer = end->peer;
    if (end->link->is_clogged || sim_end_is_isolated(end) || sim_end_is_isolated(peer)) return true;
    if (end->way == NULL) return false;
    if (end->is_gone) return sim_path_is_shut(end->way, peer->way);
    if (!end->way->is_cut && !end->way->is_clogged) return false;
    return sim_path_is_shut(end->way, peer->way);
}

size_t sim_end_room(const struct stream *end)
{
    uint64_t window = end->link->world->net.window_bytes;
    uint64_t used = end->flight.size + end->unheard;
    return used < window ? (size_t)(window - used) : 0;
}

void sim_end_kick(struct stream *end, uint64_t delay_us)
{
    const struct stream *peer = end->peer;
    if (end->deliver.queued || peer->state != END_OPEN || peer->is_told) return;
    if (peer->paused && !end->is_broken) return;
    if (end->flight.size == 0 && !end->is_finished && !end->is_broken) return;
    if (sim_end_is_held(end)) return;
    sim_world_plan(end->link->world, &end->deliver, delay_us);
}

void sim_end_refill(struct stream *end)
{
    size_t more = sim_end_room(end);
    if (end->unsent.size > 0 && end->unheard > 0) end->link->world->hits[SIM_HIT_UNHEARD]++;
    if (end->unsent.size == 0 || more == 0) return;
    if (more > end->unsent.size) more = end->unsent.size;
    buffer_append(&end->flight, bytes_of(end->unsent.data, more));
    buffer_consume(&end->unsent, more);
    if (end->unsent.size > 0 || end->state != END_OPEN) return;
    if (end->own.queued) return;
    sim_world_plan(end->link->world, &end->own, dice_below(sim_end_dice(end), 50));
}

void sim_end_break(struct stream *end)
{
    bool loses = end->way != NULL && end->flight.size + end->unsent.size > 0;
    if (loses) end->link->world->hits[SIM_HIT_LOST]++;
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
    sim_world_cancel(end->link->world, &end->expire);
    sim_end_kick(end, delay_us);
    struct stream *peer = end->peer; /* nothing arrives here any more */
    sim_world_cancel(end->link->world, &peer->deliver);
    if (end->is_gone) return; /* and the peer does not know */
    buffer_clear(&peer->flight);
    buffer_clear(&peer->unsent);
}

static size_t piece_size(struct stream *from)
{
    const struct sim_net_profile *profile = &from->link->world->net;
    struct dice *dice = sim_end_dice(from);
    size_t size = from->flight.size;
    if (!dice_chance(dice, profile->whole_per_million, 1000000)) {
        size = dice_chance(dice, 1, 4) ? 1 : 1 + (size_t)dice_below(dice, size);
    }
    uint64_t step = from->peer->rate * NET_RATE_STEP_US / SIM_SECOND + 1;
    if (from->peer->rate > 0 && size > step) size = (size_t)step;
    return size;
}

/* What happens to a piece between two nodes, and what there is to count of it. */
static void piece_passes(struct stream *from, uint8_t *bytes, size_t size)
{
    struct stream *to = from->peer;
    struct sim_path *way = from->way;
    uint64_t *hits = from->link->world->hits;
    struct dice *dice = sim_end_dice(from);
    if (to->way->is_cut) from->unheard += size;
    if (size < from->flight.size) hits[size == 1 ? SIM_HIT_SINGLE : SIM_HIT_SPLIT]++;
    if (size == from->flight.size && from->sends > 1) hits[SIM_HIT_COALESCED]++;
    if (size == from->flight.size) from->sends = 0;
    if (way->delay_us_max > 0) hits[SIM_HIT_DELAYED]++;
    if (from->sent < way->newest) hits[SIM_HIT_OVERTAKEN]++;
    else way->newest = from->sent;
    if (way->flip_per_million == 0 || !dice_chance(dice, way->flip_per_million, 1000000)) return;
    bytes[dice_below(dice, size)] ^= (uint8_t)(1 << dice_below(dice, 8));
    to->flips++;
    hits[SIM_HIT_FLIP]++;
}

static void piece_arrives(struct stream *from)
{
    struct stream *to = from->peer;
    struct sim_world *world = from->link->world;
    size_t size = piece_size(from);
    world->lent = memory_alloc(size); /* of its own, so that who keeps the pointer is found */
    memcpy(world->lent, from->flight.data, size);
    if (from->way != NULL) piece_passes(from, world->lent, size);
    struct bytes piece = bytes_of(world->lent, size);
    buffer_consume(&from->flight, size);
    sim_end_refill(from);
    uint64_t gap = world->net.gap_us_max > 0 ? dice_below(sim_end_dice(from), world->net.gap_us_max)
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
    if (sim_end_is_held(from)) return;
    if (to->paused && !from->is_broken) return;
    uint32_t resets = from->way != NULL ? link->world->peers.reset_per_million
                                        : link->world->net.reset_per_million;
    sim_link_enter(link, to->node);
    if (from->flight.size > 0 && resets > 0 && dice_chance(sim_end_dice(from), resets, 1000000)) {
        if (from->way != NULL) link->world->hits[SIM_HIT_RESET]++;
        sim_end_break(from);
        sim_end_break(to);
        sim_end_kick(to, sim_end_delay_us(to));
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

void sim_end_find_out(struct stream *end)
{
    struct sim_world *world = end->link->world;
    const struct sim_node *node = end->node;
    bool is_off = !node->up && node->rebooted;
    if (end->is_mute || is_off || end->way->is_cut || end->peer->way->is_cut) return;
    uint64_t delay = sim_end_delay_us(end->peer) + sim_end_delay_us(end);
    if (!end->deliver.queued || end->deliver.at_us <= world->now_us + delay) return;
    sim_world_cancel(world, &end->deliver);
    sim_world_plan(world, &end->deliver, delay);
    world->hits[SIM_HIT_FOUND_OUT]++;
}

/* Forgets the connection at this end, which is told; the peer is not. */
static void end_expire(struct sim_event *event)
{
    struct stream *end = CONTAINER_OF(event, struct stream, expire);
    struct net_link *link = end->link;
    if (end->is_told) return;
    link->world->hits[end->is_doomed ? SIM_HIT_ORPHAN : SIM_HIT_GAVE_UP]++;
    end->is_gone = true;
    end->is_mute = dice_chance(sim_end_dice(end), 1, 2);
    sim_end_break(end);
    sim_end_kick(end, sim_end_silence_us(end));
    end->is_told = true;
    sim_world_cancel(link->world, &end->peer->deliver);
    sim_link_enter(link, end->node);
    SIM_CALL_NODE(end->node, end->owner->events->ended(end->owner));
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
    end->expire = (struct sim_event){
        .fired = end_expire, .node = node, .kind = SIM_EVENT_EXPIRE, .idle = true};
}

struct net_link *sim_link_make(struct sim_world *world, struct sim_node *from, struct sim_node *to)
{
    struct net_link *link = memory_zeroed(1, sizeof(*link));
    link->world = world;
    end_init(link, 0, from);
    end_init(link, 1, to);
    list_append(&world->links, &link->node);
    if (from != NULL && to != NULL) {
        link->ends[0].way = sim_path_of(from, to);
        link->ends[1].way = sim_path_of(to, from);
        link->is_loopback = from == to;
    }
    link->ends[0].state = END_OPEN;
    link->ends[1].own.kind = SIM_EVENT_ACCEPT;
    return link;
}
