/* SPDX-License-Identifier: Apache-2.0 */
/* event: what happens later in a simulated world, in one order: by time, then by the order of
 * planning. Events are embedded in their owners and never move while they are queued. */
#ifndef SIM_EVENT_H
#define SIM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_node;

/* Hashed with each event, so that two runs that differ are told apart at the first difference. */
enum sim_event_kind {
    SIM_EVENT_HARNESS, /* a workload's or checker's own */
    SIM_EVENT_TIMER,
    SIM_EVENT_DISK,
    SIM_EVENT_FLUSH,
    SIM_EVENT_WARM,
    SIM_EVENT_ACCEPT,
    SIM_EVENT_DELIVER,
    SIM_EVENT_DRAIN,
    SIM_EVENT_EXPIRE,
    SIM_EVENT_DIAL,
};

/* Zero-initialised, then the first group set by the owner before it is planned. */
struct sim_event {
    void (*fired)(struct sim_event *event); /* not queued any more by then */
    struct sim_node *node;                  /* in whose turn; NULL: outside of every node */
    enum sim_event_kind kind;
    bool idle; /* a timer: does not count as work under way */

    uint64_t at_us, order; /* the queue's from here on */
    size_t place;
    bool queued;
};

struct sim_events {
    struct sim_event **heap; /* a binary heap by (at_us, order) */
    size_t count, capacity;
    size_t busy; /* of them, those that are not idle */
    uint64_t order;
};

void sim_events_init(struct sim_events *events);
void sim_events_release(struct sim_events *events); /* the events themselves are their owners' */
/* Queues the event, which is in no queue now; it is borrowed until it fires or is removed. */
void sim_events_add(struct sim_events *events, struct sim_event *event, uint64_t at_us);
void sim_events_remove(struct sim_events *events, struct sim_event *event); /* not queued is fine */
struct sim_event *sim_events_first(const struct sim_events *events); /* NULL: none; still queued */

#endif
