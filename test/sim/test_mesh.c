/* SPDX-License-Identifier: Apache-2.0 */
/* A mesh: a small program on each of three nodes calls both others and sends numbered, checksummed
 * frames, each of which is answered, while everything that can happen between nodes does. It knows
 * nothing of the product: what breaks here is a mistake of the model's. */
#include <stdlib.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "sim/net.h"
#include "sim/paths.h"
#include "sim/weather.h"
#include "test/sim/bench.h"

enum {
    MEMBERS = 3,
    FRAME_HEAD = 20, /* le32 size of the body, le64 name of the connection, le64 number */
    FRAME_TAIL = 8,  /* le64 checksum of all before */
    FRAME_BODY_MAX = 100000,
    UNSENT_MAX = 300000,
    DIAL_TIMEOUT_US = 3 * SIM_SECOND,
    BACK_WITHIN_US = 90 * SIM_SECOND,
};

struct mesh;

struct member {
    struct sim_program program;
    struct mesh *mesh;
    struct sim_node *node;
    unsigned index;
    struct site *site;         /* on the node's heap; NULL: down */
    uint64_t answers[MEMBERS]; /* that it had from each other, ever */
};

struct mesh {
    struct sim_world *sim;
    struct member members[MEMBERS];
    struct sim_node *nodes[MEMBERS];
    struct weather weather;
    uint64_t flips_found, answers_at_heal[MEMBERS][MEMBERS];
};

/* One call to another member: from its dial to the end of its talk, again and again. */
struct call {
    struct site *site;
    unsigned to;
    struct dial dial;
    struct timer again;
    struct talk *talk;
};

struct site {
    struct member *member;
    struct world *world;
    struct dice dice;
    uint64_t patience_us;
    struct listener listener;
    struct call calls[MEMBERS];
    struct list talks;
};

struct talk {
    struct stream_owner owner;
    struct list node;
    struct site *site;
    struct call *call; /* NULL: accepted */
    struct stream *stream;
    struct buffer in, out;
    uint64_t name; /* 0: not known yet */
    uint64_t heard, said, heard_us;
    struct timer tick;
};

static const struct net_ops *site_net(const struct site *site)
{
    return site->world->net->ops;
}

static void call_later(struct call *call, uint64_t delay_us)
{
    clock_timer_start(call->site->world->clock, &call->again, delay_us);
}

static void talk_close(struct talk *talk)
{
    struct site *site = talk->site;
    clock_timer_stop(site->world->clock, &talk->tick);
    site_net(site)->close(talk->stream, dice_chance(&site->dice, 1, 2));
    list_remove(&talk->node);
    if (talk->call != NULL) {
        talk->call->talk = NULL;
        call_later(talk->call, dice_below(&site->dice, 300 * SIM_MILLISECOND));
    }
    buffer_release(&talk->in);
    buffer_release(&talk->out);
    memory_free(talk);
}

static void talk_say(struct talk *talk, uint64_t number, size_t body)
{
    struct buffer *out = &talk->out;
    buffer_clear(out);
    buffer_append_le32(out, (uint32_t)body);
    buffer_append_le64(out, talk->name);
    buffer_append_le64(out, number);
    for (size_t i = 0; i < body; i++) {
        uint8_t byte = (uint8_t)(talk->name + number * 7 + i);
        buffer_append(out, bytes_of(&byte, 1));
    }
    buffer_append_le64(out, checksum64(buffer_bytes(out), 0));
    site_net(talk->site)->send(talk->stream, buffer_bytes(out));
}

/* 0: not whole yet. What no checksum covers decides nothing. */
static size_t frame_size(const struct talk *talk)
{
    if (talk->in.size < FRAME_HEAD + FRAME_TAIL) return 0;
    uint64_t body = load_le32(talk->in.data);
    if (body > FRAME_BODY_MAX) return FRAME_HEAD + FRAME_TAIL;
    size_t size = FRAME_HEAD + (size_t)body + FRAME_TAIL;
    return talk->in.size >= size ? size : 0;
}

/* False: the talk is over. */
static bool talk_take(struct talk *talk, size_t size)
{
    struct site *site = talk->site;
    struct mesh *mesh = site->member->mesh;
    const uint8_t *frame = talk->in.data;
    struct bytes covered = bytes_of(frame, size - FRAME_TAIL);
    if (load_le64(frame + size - FRAME_TAIL) != checksum64(covered, 0)) {
        if (sim_stream_flips(talk->stream) == 0)
            sim_world_fail(mesh->sim, "n%u: bytes changed on their way", site->member->index + 1);
        mesh->flips_found++;
        talk_close(talk);
        return false;
    }
    uint64_t name = load_le64(frame + 4), number = load_le64(frame + 12);
    if (talk->name == 0) talk->name = name;
    if (name != talk->name || number != talk->heard) {
        sim_world_fail(mesh->sim, "n%u: frame %llu of %llx in the place of %llu of %llx",
                       site->member->index + 1, (unsigned long long)number,
                       (unsigned long long)name, (unsigned long long)talk->heard,
                       (unsigned long long)talk->name);
    }
    talk->heard++;
    if (talk->call == NULL) talk_say(talk, number, (size_t)dice_below(&site->dice, 30));
    else site->member->answers[talk->call->to]++;
    if (talk->call != NULL && number >= talk->said)
        sim_world_fail(mesh->sim, "n%u: an answer to nothing", site->member->index + 1);
    buffer_consume(&talk->in, size);
    return true;
}

static void talk_received(struct stream_owner *owner, struct bytes bytes)
{
    struct talk *talk = CONTAINER_OF(owner, struct talk, owner);
    struct mesh *mesh = talk->site->member->mesh;
    talk->heard_us = clock_now_us(talk->site->world->clock);
    buffer_append(&talk->in, bytes);
    for (size_t size; (size = frame_size(talk)) > 0;) {
        if (!talk_take(talk, size)) return;
    }
    if (talk->in.size == 0 && sim_stream_flips(talk->stream) > 0)
        sim_world_fail(mesh->sim, "a flip that no checksum found");
}

static void talk_drained(struct stream_owner *owner)
{
    struct talk *talk = CONTAINER_OF(owner, struct talk, owner);
    if (site_net(talk->site)->unsent(talk->stream) > 0)
        sim_world_fail(talk->site->member->mesh->sim, "drained with something unsent");
}

static void talk_ended(struct stream_owner *owner)
{
    talk_close(CONTAINER_OF(owner, struct talk, owner));
}

static const struct stream_events talk_events = {talk_received, talk_drained, talk_ended};

static void talk_ticks(struct timer *timer)
{
    struct talk *talk = CONTAINER_OF(timer, struct talk, tick);
    struct site *site = talk->site;
    if (clock_now_us(site->world->clock) - talk->heard_us > site->patience_us) {
        talk_close(talk);
        return;
    }
    clock_timer_start(site->world->clock, timer, 1 + dice_below(&site->dice, 200000));
    if (talk->call == NULL || site_net(site)->unsent(talk->stream) > UNSENT_MAX) return;
    uint64_t frames = dice_chance(&site->dice, 1, 4) ? 1 + dice_below(&site->dice, 8) : 1;
    bool is_large = dice_chance(&site->dice, 1, 16);
    for (uint64_t i = 0; i < frames; i++) {
        talk_say(talk, talk->said++, (size_t)dice_below(&site->dice, is_large ? 40000 : 60));
    }
}

static struct stream_owner *talk_open(struct site *site, struct call *call, struct stream *stream)
{
    struct talk *talk = memory_zeroed(1, sizeof(*talk));
    *talk = (struct talk){.owner = {&talk_events}, .site = site, .call = call, .stream = stream};
    talk->heard_us = clock_now_us(site->world->clock);
    talk->tick.fired = talk_ticks;
    buffer_init(&talk->in);
    buffer_init(&talk->out);
    list_append(&site->talks, &talk->node);
    if (call != NULL) {
        call->talk = talk;
        talk->name = dice_roll(&site->dice) | 1;
    }
    clock_timer_start(site->world->clock, &talk->tick, 1);
    return &talk->owner;
}

static struct stream_owner *site_accepted(struct listener *listener, struct stream *stream)
{
    struct site *site = CONTAINER_OF(listener, struct site, listener);
    if (dice_chance(&site->dice, 1, 50)) return NULL;
    return talk_open(site, NULL, stream);
}

static struct stream_owner *call_connected(struct dial *dial, struct stream *stream)
{
    struct call *call = CONTAINER_OF(dial, struct call, dial);
    return talk_open(call->site, call, stream);
}

static void call_failed(struct dial *dial, enum dial_failure failure, const struct why *why)
{
    struct call *call = CONTAINER_OF(dial, struct call, dial);
    trace_event(call->site->world->trace, TRACE_NOTICE, "mesh", "failed", "how=%d %s", (int)failure,
                why->text);
    call_later(call, dice_below(&call->site->dice, 300 * SIM_MILLISECOND));
}

static void call_begin(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, again);
    struct site *site = call->site;
    struct net *net = site->world->net;
    static const char *const heads[] = {"n", "10.0.0.", "[fd00::", "m", "10.0.9."};
    size_t form = (size_t)dice_below(&site->dice, dice_chance(&site->dice, 1, 10) ? 5 : 3);
    char address[NET_ADDRESS_TEXT_BYTES];
    (void)snprintf(address, sizeof(address), "%s%u%s:%u", heads[form], call->to + 1,
                   form == 2 ? "]" : "", dice_chance(&site->dice, 1, 20) ? 7380 : 7379);
    if (net->ops->dial(net, &call->dial, address, DIAL_TIMEOUT_US, NULL) != ERR_OK)
        sim_world_fail(site->member->mesh->sim, "refused to dial %s", address);
    if (!dice_chance(&site->dice, 1, 20)) return;
    net->ops->cancel(net, &call->dial);
    call_later(call, 1);
}

static bool member_start(struct sim_program *program, struct world *world)
{
    struct member *member = CONTAINER_OF(program, struct member, program);
    struct site *site = memory_zeroed(1, sizeof(*site));
    uint64_t seed;
    entropy_fill(world->entropy, &seed, sizeof(seed));
    dice_init(&site->dice, seed);
    site->member = member;
    site->world = world;
    site->patience_us = (1 + dice_below(&site->dice, 40)) * SIM_SECOND;
    site->listener.accepted = site_accepted;
    list_init(&site->talks);
    enum err err = world->net->ops->listen(world->net, &site->listener, "0.0.0.0:7379", 0, NULL);
    if (err != ERR_OK) sim_world_fail(member->mesh->sim, "cannot listen");
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct call *call = &site->calls[i];
        *call = (struct call){.site = site, .to = i};
        call->dial = (struct dial){.connected = call_connected, .failed = call_failed};
        call->again.fired = call_begin;
        if (i != member->index) call_later(call, 1);
    }
    member->site = site;
    return true;
}

static void member_stop(struct sim_program *program)
{
    struct site *site = CONTAINER_OF(program, struct member, program)->site;
    struct world *world = site->world;
    for (struct list *node; (node = list_first(&site->talks)) != NULL;)
        talk_close(CONTAINER_OF(node, struct talk, node));
    for (unsigned i = 0; i < MEMBERS; i++) {
        clock_timer_stop(world->clock, &site->calls[i].again);
        world->net->ops->cancel(world->net, &site->calls[i].dial);
    }
    world->net->ops->unlisten(world->net, &site->listener);
    memory_free(site);
}

static void member_ended(struct sim_program *program, enum sim_end end, int status)
{
    (void)end;
    (void)status;
    CONTAINER_OF(program, struct member, program)->site = NULL;
}

static void mesh_open(struct mesh *mesh, uint64_t seed)
{
    *mesh = (struct mesh){.sim = sim_world_open(seed)};
    struct dice *dice = sim_world_dice(mesh->sim, SIM_DICE_WORKLOAD);
    sim_net_profile(mesh->sim)->window_bytes = 1000 + dice_below(dice, 60000);
    sim_net_profile(mesh->sim)->whole_per_million = (uint32_t)dice_below(dice, 1000000);
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *member = &mesh->members[i];
        struct sim_node_options options = {.drift_ppm = (int64_t)dice_below(dice, 100000) - 50000,
                                           .wall_offset_ms = (int64_t)dice_below(dice, 7200000) -
                                                             3600000,
                                           .memory_bytes_max = 64 << 20};
        member->program = (struct sim_program){member_start, member_stop, member_ended};
        member->mesh = mesh;
        member->index = i;
        member->node = sim_node_open(mesh->sim, &member->program, &options);
        mesh->nodes[i] = member->node;
    }
    mesh->weather = (struct weather){.nodes = mesh->nodes,
                                     .count = MEMBERS,
                                     .gap_us_max = 2 * SIM_SECOND,
                                     .pause_us_max = 20 * (uint64_t)SIM_SECOND};
}

static void mesh_storm(struct mesh *mesh)
{
    struct dice *dice = sim_world_dice(mesh->sim, SIM_DICE_FAULTS);
    weather_begin(&mesh->weather, mesh->sim);
    for (int i = 0; i < 60 && sim_world_failure(mesh->sim) == NULL; i++) {
        struct member *member = &mesh->members[dice_below(dice, MEMBERS)];
        uint64_t what = dice_below(dice, 8);
        if (!sim_node_is_up(member->node)) (void)sim_node_start(member->node);
        else if (what == 0) sim_node_crash(member->node, (struct sim_cut){SIM_KEEP_CACHE, 0});
        else if (what == 1) sim_node_crash(member->node, (struct sim_cut){SIM_KEEP_ALL, 0});
        else if (what == 2) (void)sim_node_stop(member->node);
        (void)sim_world_run_for(mesh->sim, 1 + dice_below(dice, 4 * SIM_SECOND));
    }
    weather_end(&mesh->weather);
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (!sim_node_is_up(mesh->nodes[i])) (void)sim_node_start(mesh->nodes[i]);
    }
}

struct mesh_back {
    struct sim_condition base;
    struct mesh *mesh;
};

static bool mesh_is_back(struct sim_condition *base)
{
    struct mesh *mesh = CONTAINER_OF(base, struct mesh_back, base)->mesh;
    for (unsigned a = 0; a < MEMBERS; a++) {
        for (unsigned b = 0; b < MEMBERS; b++) {
            uint64_t now = mesh->members[a].answers[b];
            if (a != b && now < mesh->answers_at_heal[a][b] + 20) return false;
        }
    }
    return true;
}

static void mesh_calm(struct mesh *mesh)
{
    struct mesh_back back = {{mesh_is_back}, mesh};
    for (unsigned i = 0; i < MEMBERS; i++) {
        memcpy(mesh->answers_at_heal[i], mesh->members[i].answers,
               sizeof(mesh->members[i].answers));
    }
    if (!sim_world_run_until(mesh->sim, &back.base, BACK_WITHIN_US))
        sim_world_fail(mesh->sim, "not all connections are back in time");
}

/* Returns the hash. */
static uint64_t mesh_run(uint64_t seed, uint64_t hits[SIM_HITS], uint64_t drawn[WEATHER_KINDS])
{
    struct mesh mesh;
    mesh_open(&mesh, seed);
    mesh_storm(&mesh);
    mesh_calm(&mesh);
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (sim_node_is_up(mesh.nodes[i])) (void)sim_node_stop(mesh.nodes[i]);
    }
    (void)sim_world_run_for(mesh.sim, 60 * (uint64_t)SIM_SECOND);
    if (sim_paths_links(mesh.nodes[0], mesh.nodes[1]) > 0)
        sim_world_fail(mesh.sim, "a connection that nobody holds is still there");
    if (sim_world_failure(mesh.sim) != NULL)
        fail_msg("seed %llu: %s", (unsigned long long)seed, sim_world_failure(mesh.sim));
    for (unsigned i = 0; i < SIM_HITS; i++) hits[i] += sim_paths_hits(mesh.sim, (enum sim_hit)i);
    for (unsigned i = 0; i < WEATHER_KINDS; i++) drawn[i] += mesh.weather.drawn[i];
    uint64_t hash = sim_world_hash(mesh.sim);
    sim_world_close(mesh.sim);
    return hash;
}

TEST(sim_mesh, through_every_fault_bytes_stay_whole_and_in_order_and_all_calls_come_back)
{
    size_t before = sim_heap_bytes(NULL);
    uint64_t hits[SIM_HITS] = {0}, drawn[WEATHER_KINDS] = {0};
    const char *seeds = getenv("MESH_SEEDS");
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : 30;
    for (uint64_t seed = 1; seed <= count; seed++) (void)mesh_run(seed, hits, drawn);
    for (unsigned i = 0; i < SIM_HITS; i++) {
        print_message("%s=%llu ", sim_hit_name((enum sim_hit)i), (unsigned long long)hits[i]);
        if (hits[i] == 0) fail_msg("nothing was hit by %s", sim_hit_name((enum sim_hit)i));
    }
    for (unsigned i = 0; i < WEATHER_KINDS; i++) {
        print_message("%s=%llu ", weather_name((enum weather_kind)i), (unsigned long long)drawn[i]);
        assert_true(drawn[i] > 0);
    }
    print_message("\n");
    assert_int_equal(sim_heap_bytes(NULL), before);
}

TEST(sim_mesh, the_same_seed_gives_the_same_hash_and_another_seed_another)
{
    uint64_t hits[SIM_HITS] = {0}, drawn[WEATHER_KINDS] = {0};
    uint64_t hash = mesh_run(7, hits, drawn);
    assert_true(hash == mesh_run(7, hits, drawn));
    assert_true(hash != mesh_run(8, hits, drawn));
}
