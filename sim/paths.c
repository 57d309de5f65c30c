/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/paths.h"

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "sim/link.h"

static const char *const hit_names[SIM_HITS] = {
    "partition",  "one_way",     "unheard",   "clog",    "gave_up", "orphan",
    "halted",     "found_out",   "reset",     "flip",    "split",   "single",
    "coalesced",  "overtaken",   "ghost",     "delayed", "lost",    "refused",
    "unanswered", "unreachable", "timed_out", "no_name",
};

const char *sim_hit_name(enum sim_hit hit)
{
    MUST(hit < SIM_HITS);
    return hit_names[hit];
}

uint64_t sim_paths_hits(const struct sim_world *world, enum sim_hit hit)
{
    MUST(hit < SIM_HITS);
    return world->hits[hit];
}

void sim_paths_profile_init(struct sim_paths_profile *profile)
{
    *profile = (struct sim_paths_profile){.delay_us_min = 50,
                                          .delay_us_max = 500,
                                          .give_up_us_min = 5 * (uint64_t)SIM_SECOND,
                                          .give_up_us_max = 20 * (uint64_t)SIM_SECOND,
                                          .lookup_us_max = 5 * SIM_MILLISECOND};
}

struct sim_paths_profile *sim_paths_profile(struct sim_world *world)
{
    return &world->peers;
}

static uint64_t draw_between(struct sim_world *world, uint64_t low, uint64_t high)
{
    struct dice *dice = sim_world_dice(world, SIM_DICE_PEERS);
    return low + (high > low ? dice_below(dice, high - low + 1) : 0);
}

uint64_t sim_path_delay_us(const struct sim_path *path)
{
    struct sim_world *world = path->from->world;
    if (path->delay_us_max > 0) return draw_between(world, path->delay_us_min, path->delay_us_max);
    return draw_between(world, world->peers.delay_us_min, world->peers.delay_us_max);
}

struct sim_path *sim_path_of(struct sim_node *from, struct sim_node *to)
{
    struct sim_world *world = from->world;
    MUST(world == to->world);
    for (struct list *at = world->paths.next; at != &world->paths; at = at->next) {
        struct sim_path *path = CONTAINER_OF(at, struct sim_path, node);
        if (path->from == from && path->to == to) return path;
    }
    struct sim_heap *before = sim_heap_enter(NULL);
    struct sim_path *path = memory_zeroed(1, sizeof(*path));
    (void)sim_heap_enter(before);
    path->from = from;
    path->to = to;
    list_append(&world->paths, &path->node);
    return path;
}

void sim_paths_release(struct sim_world *world)
{
    struct list *node;
    while ((node = list_first(&world->paths)) != NULL) {
        list_remove(node);
        memory_free(CONTAINER_OF(node, struct sim_path, node));
    }
}

bool sim_path_is_shut(const struct sim_path *there, const struct sim_path *back)
{
    uint64_t *hits = there->from->world->hits;
    if (there->is_cut || back->is_cut) {
        hits[there->is_cut && back->is_cut ? SIM_HIT_PARTITION : SIM_HIT_ONE_WAY]++;
        return true;
    }
    if (!there->is_clogged && !back->is_clogged) return false;
    hits[SIM_HIT_CLOG]++;
    return true;
}

void sim_end_watch(struct stream *end)
{
    struct sim_world *world = end->link->world;
    if (end->way == NULL || end->is_doomed) return;
    if (!end->way->is_cut && !end->peer->way->is_cut && !sim_end_is_isolated(end) &&
        !sim_end_is_isolated(end->peer)) {
        sim_world_cancel(world, &end->expire);
        return;
    }
    if (end->expire.queued || end->state != END_OPEN || end->is_told) return;
    sim_world_plan(world, &end->expire,
                   draw_between(world, world->peers.give_up_us_min, world->peers.give_up_us_max));
}

/* Both ends of a link between these nodes (NULL: any) go by how its paths are now. */
static void path_changed(struct sim_world *world, const struct sim_node *a,
                         const struct sim_node *b)
{
    for (struct list *at = world->links.next; at != &world->links; at = at->next) {
        struct net_link *link = CONTAINER_OF(at, struct net_link, node);
        const struct sim_node *from = link->ends[0].node, *to = link->ends[1].node;
        if (a != NULL && !(from == a && to == b) && !(from == b && to == a)) continue;
        for (size_t i = 0; i < 2; i++) {
            struct stream *end = &link->ends[i];
            sim_end_watch(end);
            if (end->way == NULL) continue;
            if (!end->peer->way->is_cut) end->unheard = 0;
            sim_end_refill(end);
            sim_end_kick(end, end->is_gone ? sim_end_silence_us(end) : sim_end_delay_us(end));
        }
    }
}

/* What the two directions from `a` to `b` are to be; -1: as they are. */
static void paths_set(struct sim_node *a, struct sim_node *b, enum sim_ways ways, int cut, int clog)
{
    MUST(a != b);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct sim_path *both[2] = {sim_path_of(a, b), sim_path_of(b, a)};
    for (unsigned i = 0; i < 2; i++) {
        if ((ways >> i & 1) == 0) continue;
        if (cut >= 0) both[i]->is_cut = cut > 0;
        if (clog >= 0) both[i]->is_clogged = clog > 0;
    }
    path_changed(a->world, a, b);
    (void)sim_heap_enter(before);
}

void sim_paths_cut(struct sim_node *a, struct sim_node *b, enum sim_ways ways)
{
    paths_set(a, b, ways, 1, -1);
}

void sim_paths_clog(struct sim_node *a, struct sim_node *b, enum sim_ways ways)
{
    paths_set(a, b, ways, -1, 1);
}

void sim_paths_heal(struct sim_node *a, struct sim_node *b)
{
    paths_set(a, b, SIM_BOTH_WAYS, 0, 0);
}

void sim_paths_heal_all(struct sim_world *world)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    for (struct list *at = world->paths.next; at != &world->paths; at = at->next) {
        struct sim_path *path = CONTAINER_OF(at, struct sim_path, node);
        path->is_cut = path->is_clogged = false;
    }
    for (struct list *at = world->nodes.next; at != &world->nodes; at = at->next) {
        struct sim_node *node = CONTAINER_OF(at, struct sim_node, node);
        if (node->net->is_isolated) sim_net_isolate(node, false);
    }
    path_changed(world, NULL, NULL);
    (void)sim_heap_enter(before);
}

void sim_paths_delay(struct sim_node *a, struct sim_node *b, enum sim_ways ways, uint64_t us_min,
                     uint64_t us_max)
{
    struct sim_path *both[2] = {sim_path_of(a, b), sim_path_of(b, a)};
    for (unsigned i = 0; i < 2; i++) {
        if ((ways >> i & 1) == 0) continue;
        both[i]->delay_us_min = us_min;
        both[i]->delay_us_max = us_max;
    }
}

void sim_paths_flips(struct sim_node *a, struct sim_node *b, enum sim_ways ways,
                     uint32_t per_million)
{
    struct sim_path *both[2] = {sim_path_of(a, b), sim_path_of(b, a)};
    for (unsigned i = 0; i < 2; i++) {
        if ((ways >> i & 1) != 0) both[i]->flip_per_million = per_million;
    }
}

/* The end of the link that is on `node`, if the other is on `other` (NULL: another node). */
static struct stream *link_end(struct net_link *link, const struct sim_node *node,
                               const struct sim_node *other)
{
    for (size_t i = 0; i < 2; i++) {
        struct stream *end = &link->ends[i];
        if (end->way == NULL || end->node != node || end->state != END_OPEN) continue;
        if (other == NULL || end->peer->node == other) return end;
    }
    return NULL;
}

static void paths_reset(struct sim_node *node, const struct sim_node *other)
{
    struct sim_world *world = node->world;
    struct list *next;
    for (struct list *at = world->links.next; at != &world->links; at = next) {
        next = at->next;
        struct net_link *link = CONTAINER_OF(at, struct net_link, node);
        struct stream *end = link_end(link, node, other);
        if (end != NULL) sim_stream_reset(end);
    }
}

void sim_paths_reset(struct sim_node *a, struct sim_node *b)
{
    paths_reset(a, b);
}

void sim_paths_reset_node(struct sim_node *node)
{
    paths_reset(node, NULL);
}

void sim_paths_orphan(struct sim_node *a, struct sim_node *b)
{
    struct sim_world *world = a->world;
    for (struct list *at = world->links.next; at != &world->links; at = at->next) {
        struct stream *end = link_end(CONTAINER_OF(at, struct net_link, node), a, b);
        if (end == NULL || end->is_doomed) continue;
        end->is_doomed = true;
        sim_world_cancel(world, &end->expire);
        sim_world_plan(world, &end->expire, sim_end_delay_us(end));
    }
}

uint64_t sim_paths_links(struct sim_node *a, struct sim_node *b)
{
    uint64_t count = 0;
    for (struct list *at = a->world->links.next; at != &a->world->links; at = at->next) {
        const struct net_link *link = CONTAINER_OF(at, struct net_link, node);
        const struct sim_node *from = link->ends[0].node, *to = link->ends[1].node;
        if ((from == a && to == b) || (from == b && to == a)) count++;
    }
    return count;
}

uint64_t sim_stream_flips(const struct stream *stream)
{
    return stream->flips;
}
