/* SPDX-License-Identifier: Apache-2.0 */
/* Dials of a node's, on the seam of seam/net.h.
 *
 * A name is looked up for a while. Then the first packet is on its way; whether it is answered is
 * decided when the answer would be back, by how the two paths and the called machine are then. What
 * is not answered is sent again until the time of the dial is up. A process that is gone is
 * answered for by its machine (refused), a machine without power by nobody. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/must.h"
#include "base/number.h"
#include "sim/heap.h"
#include "sim/link.h"

enum { DIAL_HOST_BYTES = 256, DIAL_TARGET_BYTES = 8, DIAL_AGAIN_US = SIM_SECOND };

struct sim_dial {
    struct list node; /* in net->dials */
    struct sim_net *net;
    struct dial *dial;   /* the node's */
    struct sim_node *to; /* NULL: there is no such machine */
    bool is_named;       /* a name that has not been looked up yet */
    bool is_swallowed;   /* an address that nobody answers for, not even with a refusal */
    struct sim_event step, expiry;
    char host[DIAL_HOST_BYTES], target[DIAL_TARGET_BYTES];
};

static bool is_six(const char *host, size_t size)
{
    return size > 1 && strspn(host, "0123456789abcdefABCDEF:") == size &&
           memchr(host, ':', size) != NULL;
}

/* "HOST:PORT" or "[V6]:PORT"; the brackets stay with the host. */
static bool dial_split(struct sim_dial *real, const char *address)
{
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;
    if (colon == NULL || !number_parse_uint64(bytes_text(colon + 1), &port)) return false;
    size_t size = (size_t)(colon - address);
    if (port == 0 || port > UINT16_MAX || size == 0 || size >= DIAL_HOST_BYTES) return false;
    memcpy(real->host, address, size);
    real->host[size] = '\0';
    (void)snprintf(real->target, sizeof(real->target), ":%u", (unsigned)port);
    if (strcmp(real->host, "*") == 0) return false;
    if (real->host[0] != '[') return strchr(real->host, ':') == NULL;
    return size > 2 && real->host[size - 1] == ']' &&
           strspn(real->host + 1, "0123456789abcdefABCDEF:") == size - 2 &&
           is_six(address + 1, strspn(address + 1, "0123456789abcdefABCDEF:"));
}

static struct sim_node *dial_find(struct sim_node *from, const char *host)
{
    if (strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0 ||
        strcmp(host, "localhost") == 0)
        return from;
    struct list *nodes = &from->world->nodes;
    for (struct list *at = nodes->next; at != nodes; at = at->next) {
        struct sim_node *node = CONTAINER_OF(at, struct sim_node, node);
        char six[DIAL_HOST_BYTES];
        (void)snprintf(six, sizeof(six), "[fd00::%x]", node->index + 1);
        if (strcmp(host, node->address) == 0 || strcmp(host, node->name) == 0 ||
            strcmp(host, six) == 0)
            return node;
    }
    return NULL;
}

/* The node's struct is free from here on; returned, to be told. */
static struct dial *dial_over(struct sim_dial *real)
{
    struct dial *dial = real->dial;
    struct sim_world *world = real->net->node->world;
    sim_world_cancel(world, &real->step);
    sim_world_cancel(world, &real->expiry);
    list_remove(&real->node);
    memory_free(real);
    return dial;
}

static void dial_fail(struct sim_dial *real, enum dial_failure failure, enum sim_hit hit)
{
    static const char *const words[] = {"refused", "unreachable", "timed out", "no such name",
                                        "out of descriptors"};
    struct sim_node *node = real->net->node;
    struct why why;
    (void)why_fail(&why, ERR_IO, "%s%s: %s", real->host, real->target, words[failure]);
    node->world->hits[hit]++;
    struct dial *dial = dial_over(real);
    dial->world = NULL;
    SIM_CALL_NODE(node, dial->failed(dial, failure, &why));
}

static struct net_link *dial_link(struct sim_dial *real)
{
    struct sim_node *from = real->net->node;
    struct net_link *link = sim_link_make(from->world, from, real->to);
    struct stream *client = &link->ends[0], *server = &link->ends[1];
    (void)snprintf(link->target, sizeof(link->target), "%s", real->target);
    const char *local = from == real->to ? "127.0.0.1" : from->address;
    (void)snprintf(client->local, sizeof(client->local), "%s:%u", local, from->world->next_port++);
    const char *address = from == real->to ? "127.0.0.1" : real->to->address;
    (void)snprintf(server->local, sizeof(server->local), "%s%s", address, real->target);
    list_append(&real->to->net->ends, &server->in_ends);
    sim_world_plan(from->world, &server->own, sim_end_delay_us(client));
    return link;
}

static void dial_connect(struct sim_dial *real)
{
    struct sim_node *node = real->net->node;
    struct net_link *link = dial_link(real);
    struct stream *stream = &link->ends[0];
    list_append(&node->net->ends, &stream->in_ends);
    struct dial *dial = dial_over(real);
    dial->world = NULL;
    struct stream_owner *owner = NULL;
    sim_link_enter(link, node);
    SIM_CALL_NODE(node, owner = dial->connected(dial, stream));
    if (stream->state != END_CLOSED) {
        stream->owner = owner;
        if (owner == NULL) sim_end_close(stream, sim_end_delay_us(stream));
    }
    sim_link_leave(link);
}

/* The listener got a connection that this side has forgotten. */
static void dial_ghost(struct sim_dial *real)
{
    struct net_link *link = dial_link(real);
    struct stream *client = &link->ends[0];
    client->is_gone = client->is_told = true;
    sim_end_break(client);
    sim_end_close(client, 0);
    real->net->node->world->hits[SIM_HIT_GHOST]++;
}

/* Nothing answers now; true: something may later. */
static bool dial_is_unanswered(struct sim_dial *real)
{
    struct sim_node *from = real->net->node, *to = real->to;
    struct sim_world *world = from->world;
    bool is_off = !to->up && to->rebooted;
    bool is_out = from->net->is_isolated || to->net->is_isolated;
    bool is_shut = sim_path_is_shut(sim_path_of(from, to), sim_path_of(to, from));
    if (!is_off && !is_out && !is_shut) return false;
    world->hits[SIM_HIT_UNANSWERED]++;
    uint64_t wait = 1 + dice_below(sim_world_dice(world, SIM_DICE_PEERS), DIAL_AGAIN_US);
    sim_world_plan(world, &real->step, wait);
    return true;
}

static void dial_step(struct sim_event *event)
{
    struct sim_dial *real = CONTAINER_OF(event, struct sim_dial, step);
    struct sim_node *from = real->net->node;
    struct sim_world *world = from->world;
    struct dice *dice = sim_world_dice(world, SIM_DICE_PEERS);
    const struct sim_paths_profile *profile = &world->peers;
    if (real->is_named) {
        real->is_named = false;
        if (real->to == NULL || dice_chance(dice, profile->no_name_per_million, 1000000)) {
            dial_fail(real, DIAL_NO_NAME, SIM_HIT_NO_NAME);
            return;
        }
        sim_world_plan(world, &real->step,
                       sim_path_delay_us(sim_path_of(from, real->to)) +
                           sim_path_delay_us(sim_path_of(real->to, from)));
        return;
    }
    if (real->is_swallowed) {
        world->hits[SIM_HIT_UNANSWERED]++;
        return;
    }
    if (real->to == NULL) {
        dial_fail(real, DIAL_UNREACHABLE, SIM_HIT_UNREACHABLE);
        return;
    }
    if (dial_is_unanswered(real)) return;
    bool is_there = sim_net_listening(real->to->net, real->target, from) != NULL;
    if (!is_there || dice_chance(dice, profile->refuse_per_million, 1000000)) {
        dial_fail(real, DIAL_REFUSED, SIM_HIT_REFUSED);
        return;
    }
    if (dice_chance(dice, profile->ghost_per_million, 1000000)) dial_ghost(real);
    dial_connect(real);
}

static void dial_expire(struct sim_event *event)
{
    dial_fail(CONTAINER_OF(event, struct sim_dial, expiry), DIAL_TIMED_OUT, SIM_HIT_TIMED_OUT);
}

static void dial_plan(struct sim_dial *real, uint64_t timeout_us)
{
    struct sim_node *from = real->net->node;
    struct sim_world *world = from->world;
    struct dice *dice = sim_world_dice(world, SIM_DICE_PEERS);
    struct sim_event event = {.node = from, .kind = SIM_EVENT_DIAL};
    real->step = real->expiry = event;
    real->step.fired = dial_step;
    real->expiry.fired = dial_expire;
    bool is_number = real->host[0] == '[' ||
                     strspn(real->host, "0123456789.") == strlen(real->host);
    real->to = dial_find(from, real->host);
    real->is_named = !is_number;
    real->is_swallowed = is_number && real->to == NULL && dice_chance(dice, 1, 2);
    const struct sim_paths_profile *profile = &world->peers;
    uint64_t wait = profile->delay_us_min + profile->delay_us_max;
    if (real->to != NULL) {
        wait = sim_path_delay_us(sim_path_of(from, real->to)) +
               sim_path_delay_us(sim_path_of(real->to, from));
    }
    if (real->is_named) wait = dice_below(dice, profile->lookup_us_max + 1);
    sim_world_plan(world, &real->step, wait);
    sim_world_plan(world, &real->expiry, timeout_us < UINT64_MAX / 4 ? timeout_us : UINT64_MAX / 4);
}

enum err sim_dial_begin(struct net *base, struct dial *dial, const char *address,
                        uint64_t timeout_us, struct why *why)
{
    struct sim_net *net = CONTAINER_OF(base, struct sim_net, base);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct sim_dial *real = memory_zeroed(1, sizeof(*real));
    MUST(dial->connected != NULL && dial->failed != NULL);
    dial->world = NULL;
    bool is_address = dial_split(real, address);
    if (is_address) {
        real->net = net;
        real->dial = dial;
        dial->world = real;
        list_append(&net->dials, &real->node);
        dial_plan(real, timeout_us);
    } else {
        memory_free(real);
    }
    (void)sim_heap_enter(before);
    if (is_address) return ERR_OK;
    return why_fail(why, ERR_CONFIG, "not HOST:PORT or [V6]:PORT: %s", address);
}

void sim_dial_cancel(struct net *base, struct dial *dial)
{
    (void)base;
    if (dial->world == NULL) return;
    struct sim_heap *before = sim_heap_enter(NULL);
    struct sim_dial *real = dial->world;
    MUST(real->dial == dial);
    (void)dial_over(real);
    dial->world = NULL;
    (void)sim_heap_enter(before);
}

void sim_dials_cut(struct sim_net *net)
{
    struct list *node;
    while ((node = list_first(&net->dials)) != NULL) {
        (void)dial_over(CONTAINER_OF(node, struct sim_dial, node));
    }
}
