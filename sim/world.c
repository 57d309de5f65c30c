/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <stdarg.h>
#include <string.h>

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "sim/inside.h"

struct sim_world *sim_world_open(uint64_t seed)
{
    /* A test that failed inside a node jumped over the end of that turn. */
    (void)sim_heap_enter(NULL);
    (void)sim_must_catch(NULL);
    struct sim_world *world = memory_zeroed(1, sizeof(*world));
    world->seed = seed;
    sim_events_init(&world->events);
    for (unsigned i = 0; i < SIM_DICE_KINDS; i++) {
        dice_init(&world->dice[i], checksum64(bytes_of(&i, sizeof(i)), seed));
    }
    list_init(&world->nodes);
    list_init(&world->clients);
    list_init(&world->links);
    list_init(&world->paths);
    sim_paths_profile_init(&world->peers);
    world->next_port = 40000;
    sim_net_profile_init(&world->net);
    return world;
}

void sim_world_close(struct sim_world *world)
{
    if (world == NULL) return;
    MUST(world->inside == NULL);
    struct list *node;
    while ((node = list_first(&world->nodes)) != NULL) {
        sim_node_discard(CONTAINER_OF(node, struct sim_node, node));
    }
    sim_net_discard_clients(world);
    sim_paths_release(world);
    sim_events_release(&world->events);
    memory_free(world);
}

uint64_t sim_world_seed(const struct sim_world *world)
{
    return world->seed;
}

uint64_t sim_world_now_us(const struct sim_world *world)
{
    return world->now_us;
}

uint64_t sim_world_turns(const struct sim_world *world)
{
    return world->turns;
}

uint64_t sim_world_hash(const struct sim_world *world)
{
    return world->hash;
}

struct dice *sim_world_dice(struct sim_world *world, enum sim_dice kind)
{
    MUST(kind < SIM_DICE_KINDS);
    return &world->dice[kind];
}

void sim_world_plan(struct sim_world *world, struct sim_event *event, uint64_t delay_us)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(delay_us <= UINT64_MAX / 2);
    sim_events_add(&world->events, event, world->now_us + delay_us);
    (void)sim_heap_enter(before);
}

void sim_world_cancel(struct sim_world *world, struct sim_event *event)
{
    sim_events_remove(&world->events, event);
}

void sim_world_note_bytes(struct sim_world *world, uint64_t what, struct bytes bytes)
{
    world->hash = checksum64(bytes, world->hash + what);
}

void sim_world_note(struct sim_world *world, uint64_t what, uint64_t value)
{
    sim_world_note_bytes(world, what, bytes_of(&value, sizeof(value)));
}

struct sim_event *sim_world_take(struct sim_world *world)
{
    struct sim_event *event = sim_events_first(&world->events);
    MUST(event != NULL);
    sim_events_remove(&world->events, event);
    MUST(event->at_us >= world->now_us);
    world->now_us = event->at_us;
    world->turns++;
    uint64_t facts[4] = {event->at_us, event->order, (uint64_t)event->kind,
                         event->node != NULL ? event->node->index + 1 : 0};
    sim_world_note_bytes(world, 0, bytes_of(facts, sizeof(facts)));
    return event;
}

/* A node that stands still gets its events when it goes on again, in their order. */
static bool world_postpone(struct sim_world *world)
{
    struct sim_event *event = sim_events_first(&world->events);
    struct sim_node *node = event->node;
    if (node == NULL || node->paused_until_us <= event->at_us) return false;
    sim_events_remove(&world->events, event);
    sim_events_add(&world->events, event, node->paused_until_us);
    return true;
}

/* What happens next; NULL: nothing. */
static struct sim_event *world_next(struct sim_world *world)
{
    do {
        if (sim_events_first(&world->events) == NULL) return NULL;
    } while (world_postpone(world));
    return sim_events_first(&world->events);
}

bool sim_world_step(struct sim_world *world)
{
    MUST(world->inside == NULL);
    if (world->failure[0] != '\0' || world_next(world) == NULL) return false;
    struct sim_event *event = sim_world_take(world);
    if (event->node != NULL) {
        sim_node_turn(event->node, event);
    } else {
        event->fired(event);
    }
    return true;
}

/* False: nothing happens up to then. */
static bool world_step_before(struct sim_world *world, uint64_t end_us)
{
    const struct sim_event *event = world_next(world);
    if (event == NULL || event->at_us > end_us) return false;
    return sim_world_step(world);
}

bool sim_world_run_for(struct sim_world *world, uint64_t duration_us)
{
    uint64_t end = world->now_us + duration_us;
    while (world_step_before(world, end)) continue;
    if (world->failure[0] != '\0') return false;
    world->now_us = end > world->now_us ? end : world->now_us;
    return true;
}

bool sim_world_run_until(struct sim_world *world, struct sim_condition *condition,
                         uint64_t limit_us)
{
    uint64_t end = world->now_us + limit_us;
    while (!condition->met(condition)) {
        if (!world_step_before(world, end)) return false;
    }
    return world->failure[0] == '\0';
}

bool sim_world_settle(struct sim_world *world, uint64_t limit_us)
{
    uint64_t end = world->now_us + limit_us;
    while (world->events.busy > 0) {
        if (!world_step_before(world, end)) return false;
    }
    return world->failure[0] == '\0';
}

void sim_world_fail(struct sim_world *world, const char *format, ...)
{
    if (world->failure[0] != '\0') return;
    int size = snprintf(
        world->failure, sizeof(world->failure),
        "at %llu.%06llu s, turn %llu: ", (unsigned long long)(world->now_us / SIM_SECOND),
        (unsigned long long)(world->now_us % SIM_SECOND), (unsigned long long)world->turns);
    MUST(size > 0 && (size_t)size < sizeof(world->failure));
    va_list list;
    va_start(list, format);
    (void)vsnprintf(world->failure + size, sizeof(world->failure) - (size_t)size, format, list);
    va_end(list);
    if (world->print != NULL) (void)fprintf(world->print, "FAILED %s\n", world->failure);
}

const char *sim_world_failure(const struct sim_world *world)
{
    return world->failure[0] != '\0' ? world->failure : NULL;
}

void sim_world_print(struct sim_world *world, FILE *out)
{
    world->print = out;
}

void sim_world_read(struct sim_world *world, struct sim_reader *reader)
{
    world->reader = reader;
}

void sim_world_say(struct sim_world *world, const char *format, ...)
{
    char line[1400];
    int size = snprintf(line, sizeof(line), "%llu.%06llu ",
                        (unsigned long long)(world->now_us / SIM_SECOND),
                        (unsigned long long)(world->now_us % SIM_SECOND));
    MUST(size > 0 && (size_t)size < sizeof(line));
    va_list list;
    va_start(list, format);
    (void)vsnprintf(line + size, sizeof(line) - (size_t)size, format, list);
    va_end(list);
    sim_world_note_bytes(world, 1, bytes_text(line));
    if (world->print != NULL) (void)fprintf(world->print, "%s\n", line);
    if (world->reader == NULL) return;
    struct sim_heap *before = sim_heap_enter(NULL);
    world->reader->line(world->reader, line);
    (void)sim_heap_enter(before);
}
