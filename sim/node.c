/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/node.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/must.h"
#include "sim/disk.h"
#include "sim/heap.h"
#include "sim/inside.h"
#include "sim/store.h"

enum { ESCAPE_ENDING = 1, ESCAPE_MUST = 2, NODE_TURN_EVENTS_MAX = 32 };

static void node_trace_line(struct trace *trace, enum trace_level level, const char *room,
                            const char *event, const char *fields)
{
    struct sim_node *node = CONTAINER_OF(trace, struct sim_node, trace);
    static const char *const levels[] = {"debug", "verbose", "notice", "warning"};
    sim_world_say(node->world, "%s %s %s %s%s%s", node->name, levels[level], room, event,
                  fields[0] != '\0' ? " " : "", fields);
}

struct sim_node *sim_node_open(struct sim_world *world, struct sim_program *program,
                               const struct sim_node_options *options)
{
    static const struct sim_node_options none;
    if (options == NULL) options = &none;
    struct sim_node *node = memory_zeroed(1, sizeof(*node));
    node->world = world;
    node->index = world->node_count++;
    node->program = program;
    list_append(&world->nodes, &node->node);
    if (options->name != NULL) {
        (void)snprintf(node->name, sizeof(node->name), "%s", options->name);
    } else {
        (void)snprintf(node->name, sizeof(node->name), "n%u", node->index + 1);
    }
    (void)snprintf(node->address, sizeof(node->address), "10.0.0.%u", node->index + 1);
    node->trace.line = node_trace_line;
    sim_clock_init(&node->clock, world, node);
    node->clock.wall_offset_ms = options->wall_offset_ms;
    sim_clock_drift(&node->clock, options->drift_ppm);
    sim_entropy_init(&node->entropy, dice_roll(sim_world_dice(world, SIM_DICE_ENTROPY)));
    node->heap = sim_heap_open(node->name);
    sim_heap_bound(node->heap, options->memory_bytes_max);
    node->disk = sim_disk_open(node, options->disk_bytes);
    node->stores = sim_stores_open(node);
    node->net = sim_net_open(node);
    node->seams = (struct world){
        .clock = &node->clock.base,
        .disk = sim_disk_seam(node->disk),
        .entropy = &node->entropy.base,
        .net = sim_net_seam(node->net),
        .peers = sim_net_seam(node->net),
        .stores = sim_stores_seam(node->stores),
        .trace = &node->trace,
    };
    node->rebooted = true;
    return node;
}

static void node_forget(struct sim_node *node, const struct sim_cut *cut)
{
    sim_net_cut(node->net, cut);
    sim_stores_cut(node->stores, cut);
    sim_disk_cut(node->disk, cut);
    sim_clock_forget(&node->clock);
    (void)sim_heap_drop(node->heap);
}

void sim_node_discard(struct sim_node *node)
{
    const struct sim_cut cut = {SIM_KEEP_CACHE, 0};
    node_forget(node, &cut);
    sim_net_close(node->net);
    sim_stores_close(node->stores);
    sim_disk_close(node->disk);
    sim_heap_close(node->heap);
    list_remove(&node->node);
    memory_free(node);
}

/* A clean end leaves nothing: neither memory nor anything of the world. */
static void node_check_leaks(struct sim_node *node)
{
    struct buffer text;
    buffer_init(&text);
    sim_net_leftovers(node->net, &text);
    sim_stores_leftovers(node->stores, &text);
    sim_disk_leftovers(node->disk, &text);
    size_t timers = sim_clock_left(&node->clock);
    if (timers > 0) buffer_append_format(&text, "%zu timers and tasks; ", timers);
    if (sim_heap_blocks(node->heap) > 0) {
        buffer_append_format(&text, "%zu blocks, %zu bytes\n", sim_heap_blocks(node->heap),
                             sim_heap_bytes(node->heap));
        sim_heap_describe(node->heap, 5, &text);
    }
    if (text.size > 0) {
        sim_world_fail(node->world, "%s leaked %.*s", node->name, (int)text.size,
                       (const char *)text.data);
    }
    buffer_release(&text);
}

/* Takes the node down, from outside of it, after node->end and node->cut have been set. */
static void node_end(struct sim_node *node)
{
    node->is_ending = false;
    node->up = false;
    node->crash_is_armed = false;
    bool is_clean = node->end == SIM_END_STOP || (node->end == SIM_END_EXIT && node->status == 0);
    if (is_clean || node->end == SIM_END_REFUSED) node_check_leaks(node);
    if (node->cut.keep != SIM_KEEP_CACHE) node->rebooted = true;
    static const char *const ends[] = {"stop", "exit", "refused", "crash", "must"};
    sim_world_say(node->world, "%s world down end=%s status=%d keep=%d number=%llu io=%llu",
                  node->name, ends[node->end], node->status, (int)node->cut.keep,
                  (unsigned long long)node->cut.number, (unsigned long long)node->io);
    node_forget(node, &node->cut);
    if (node->program != NULL && node->program->ended != NULL) {
        node->program->ended(node->program, node->end, node->status);
    }
}

/* While a loop is busy more events come; it finds them all at once when it looks again. */
static uint64_t turn_busy_us(struct sim_world *world)
{
    struct dice *dice = sim_world_dice(world, SIM_DICE_SCHEDULE);
    if (!dice_chance(dice, 1, 4)) return 0;
    return dice_below(dice, 200);
}

static void turn_deliver(struct sim_node *node, struct sim_event *event)
{
    struct sim_world *world = node->world;
    event->fired(event);
    uint64_t until = world->now_us + turn_busy_us(world);
    for (unsigned i = 1; i < NODE_TURN_EVENTS_MAX; i++) {
        event = sim_events_first(&world->events);
        if (event == NULL || event->node != node || event->at_us > until) break;
        event = sim_world_take(world);
        event->fired(event);
    }
}

static void turn_run(struct sim_node *node, struct sim_event *event, struct sim_visit *visit)
{
    if (event != NULL) turn_deliver(node, event);
    if (visit != NULL) SIM_CALL_NODE(node, visit->run(visit, &node->seams));
    for (unsigned i = 0; sim_clock_run_task(&node->clock); i++) {
        if (i < NODE_TASKS_MAX) continue;
        sim_world_fail(node->world, "%s defers tasks without end", node->name);
        break;
    }
}

/* Either `event` or `visit`. False: the node went down. */
static bool node_turn(struct sim_node *node, struct sim_event *event, struct sim_visit *visit)
{
    struct sim_world *world = node->world;
    MUST(world->inside == NULL);
    MUST(node->up);
    world->inside = node;
    world->must.to = &world->escape;
    world->must.value = ESCAPE_MUST;
    (void)sim_must_catch(&world->must);
    switch (setjmp(world->escape)) {
    case 0: turn_run(node, event, visit); break;
    case ESCAPE_ENDING: break;
    default:
        node->is_ending = true;
        node->end = SIM_END_MUST;
        node->cut = (struct sim_cut){SIM_KEEP_CACHE, 0};
        sim_world_fail(world, "%s: %s", node->name, world->must.text);
    }
    (void)sim_must_catch(NULL);
    (void)sim_heap_enter(NULL);
    world->inside = NULL;
    if (sim_heap_is_over(node->heap)) {
        sim_world_fail(world, "%s held %zu bytes of memory", node->name, sim_heap_peak(node->heap));
    }
    if (node->is_ending) node_end(node);
    return node->up;
}

void sim_node_turn(struct sim_node *node, struct sim_event *event)
{
    (void)node_turn(node, event, NULL);
}

bool sim_node_visit(struct sim_node *node, struct sim_visit *visit)
{
    uint64_t life = node->lives;
    return node_turn(node, NULL, visit) && node->lives == life;
}

__attribute__((noreturn)) static void node_escape(struct sim_node *node, enum sim_end end,
                                                  int status, struct sim_cut cut)
{
    MUST(node->world->inside == node);
    node->is_ending = true;
    node->end = end;
    node->status = status;
    node->cut = cut;
    longjmp(node->world->escape, ESCAPE_ENDING);
}

enum sim_moment sim_node_count_io(struct sim_node *node)
{
    uint64_t io = node->io++;
    if (!node->crash_is_armed || io != node->crash.io) return SIM_MOMENT_NONE;
    return node->crash.moment;
}

void sim_node_die(struct sim_node *node)
{
    node_escape(node, SIM_END_CRASH, 0, node->crash.cut);
}

void sim_node_exit(struct sim_node *node, int status)
{
    node_escape(node, SIM_END_EXIT, status, (struct sim_cut){SIM_KEEP_CACHE, 0});
}

struct start_visit {
    struct sim_visit base;
    struct sim_program *program;
    bool started;
};

static void start_visit_run(struct sim_visit *base, struct world *world)
{
    struct start_visit *visit = CONTAINER_OF(base, struct start_visit, base);
    visit->started = visit->program->start(visit->program, world);
}

static void stop_visit_run(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct start_visit *visit = CONTAINER_OF(base, struct start_visit, base);
    visit->program->stop(visit->program);
}

bool sim_node_start(struct sim_node *node)
{
    MUST(!node->up);
    if (node->rebooted) {
        struct dice *dice = sim_world_dice(node->world, SIM_DICE_SCHEDULE);
        sim_clock_boot(&node->clock, SIM_SECOND + dice_below(dice, 60 * (uint64_t)SIM_SECOND));
    }
    node->rebooted = false;
    node->up = true;
    uint64_t life = ++node->lives;
    sim_world_say(node->world, "%s world up life=%llu io=%llu", node->name,
                  (unsigned long long)life, (unsigned long long)node->io);
    if (node->program == NULL) return true;
    struct start_visit visit = {.base = {start_visit_run}, .program = node->program};
    if (!node_turn(node, NULL, &visit.base) || node->lives != life) return false;
    if (visit.started) return true;
    node->end = SIM_END_REFUSED;
    node->status = 0;
    node->cut = (struct sim_cut){SIM_KEEP_CACHE, 0};
    node_end(node);
    return false;
}

bool sim_node_stop(struct sim_node *node)
{
    MUST(node->up);
    if (node->program != NULL) {
        MUST(node->program->stop != NULL);
        struct start_visit visit = {.base = {stop_visit_run}, .program = node->program};
        if (!node_turn(node, NULL, &visit.base)) return false;
    }
    node->end = SIM_END_STOP;
    node->status = 0;
    node->cut = (struct sim_cut){SIM_KEEP_CACHE, 0};
    node_end(node);
    return true;
}

void sim_node_crash(struct sim_node *node, struct sim_cut cut)
{
    MUST(node->world->inside == NULL);
    if (!node->up) return;
    node->end = SIM_END_CRASH;
    node->status = 0;
    node->cut = cut;
    node_end(node);
}

void sim_node_crash_at(struct sim_node *node, const struct sim_crash *crash)
{
    node->crash_is_armed = crash != NULL;
    if (crash == NULL) return;
    MUST(crash->moment != SIM_MOMENT_NONE);
    MUST(crash->io >= node->io);
    node->crash = *crash;
}

bool sim_node_is_up(const struct sim_node *node)
{
    return node->up;
}

bool sim_node_is_inside(const struct sim_node *node)
{
    return node->world->inside == node;
}

uint64_t sim_node_io(const struct sim_node *node)
{
    return node->io;
}

uint64_t sim_node_lives(const struct sim_node *node)
{
    return node->lives;
}

struct sim_world *sim_node_of(const struct sim_node *node)
{
    return node->world;
}

struct world *sim_node_world(struct sim_node *node)
{
    return &node->seams;
}

struct sim_disk *sim_node_disk(struct sim_node *node)
{
    return node->disk;
}

struct sim_stores *sim_node_stores(struct sim_node *node)
{
    return node->stores;
}

struct sim_heap *sim_node_heap(struct sim_node *node)
{
    return node->heap;
}

const char *sim_node_name(const struct sim_node *node)
{
    return node->name;
}

const char *sim_node_address(const struct sim_node *node)
{
    return node->address;
}

void sim_node_pause(struct sim_node *node, uint64_t duration_us)
{
    uint64_t until = node->world->now_us + duration_us;
    if (until > node->paused_until_us) node->paused_until_us = until;
}

bool sim_node_stands(const struct sim_node *node)
{
    return node->paused_until_us > node->world->now_us;
}

void sim_node_wall_jump(struct sim_node *node, int64_t milliseconds)
{
    node->clock.wall_offset_ms += milliseconds;
}

void sim_node_drift(struct sim_node *node, int64_t ppm)
{
    sim_clock_drift(&node->clock, ppm);
}
