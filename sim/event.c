/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/event.h"

#include "base/memory.h"
#include "base/must.h"

void sim_events_init(struct sim_events *events)
{
    *events = (struct sim_events){.heap = NULL};
}

void sim_events_release(struct sim_events *events)
{
    memory_free(events->heap);
    sim_events_init(events);
}

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->at_us != b->at_us) return a->at_us < b->at_us;
    return a->order < b->order;
}

static void events_put(struct sim_events *events, size_t place, struct sim_event *event)
{
    events->heap[place] = event;
    event->place = place;
}

/* Moves the event towards the root, then towards the leaves: only one of the two does anything. */
static void events_settle(struct sim_events *events, struct sim_event *event)
{
    size_t place = event->place;
    while (place > 0 && event_before(event, events->heap[(place - 1) / 2])) {
        events_put(events, place, events->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        size_t child = place * 2 + 1;
        if (child >= events->count) break;
        if (child + 1 < events->count &&
            event_before(events->heap[child + 1], events->heap[child])) {
            child++;
        }
        if (!event_before(events->heap[child], event)) break;
        events_put(events, place, events->heap[child]);
        place = child;
    }
    events_put(events, place, event);
}

void sim_events_add(struct sim_events *events, struct sim_event *event, uint64_t at_us)
{
    MUST(!event->queued);
    MUST(event->fired != NULL);
    if (events->count == events->capacity) {
        events->capacity = events->capacity > 0 ? events->capacity * 2 : 64;
        events->heap = memory_resize(events->heap, events->capacity * sizeof(events->heap[0]));
    }
    event->at_us = at_us;
    event->order = events->order++;
    event->queued = true;
    if (!event->idle) events->busy++;
    events_put(events, events->count++, event);
    events_settle(events, event);
}

void sim_events_remove(struct sim_events *events, struct sim_event *event)
{
    if (!event->queued) return;
    MUST(event->place < events->count);
    MUST(events->heap[event->place] == event);
    event->queued = false;
    if (!event->idle) events->busy--;
    struct sim_event *last = events->heap[--events->count];
    if (last == event) return;
    events_put(events, event->place, last);
    events_settle(events, last);
}

struct sim_event *sim_events_first(const struct sim_events *events)
{
    return events->count > 0 ? events->heap[0] : NULL;
}
