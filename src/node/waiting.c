/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking commands.
 *
 * A blocking pop is an entry like any other: an *attempt*. One that finds nothing is a no-op, and
 * its client stays in the table of waiters under its keys. A write that may fill such a key is
 * followed at once, in the same batch, by an attempt of the oldest waiter there. Rules that keep it
 * exact:
 *  - a waiter has at most one attempt in the order, so no client can be served twice;
 *  - a key named while an attempt is under way marks it *touched*: if it finds nothing, it is tried
 * again at once;
 *  - an attempt that succeeds hands on to the next waiter at each of its keys (there may be more
 * elements); one that fails hands on to the next that wants another type, and so does whoever
 * leaves while touched, to any type: what touched it was meant for the one behind it then. All of
 * these may turn out to be no-ops; none can be missed. A client joins the table when its first
 * attempt is appended, not when it is applied: nothing falls between. */
#include "base/memory.h"
#include "node/internal.h"

static void waiter_attempt(struct node *node, struct waiter *waiter)
{
    waiter->touched = false;
    waiter->attempting = node_append(node, waiter->call, buffer_bytes(&waiter->payload));
    if (!waiter->attempting) {
        waiter->touched = true; /* the log has no room: upkeep comes back to it */
        return;
    }
    if (waiter->payload.data[0] == ENTRY_SERVE) node->serving = waiter->call->lsn;
    node_wait_named(node, buffer_bytes(&waiter->payload)); /* a blocking move may fill a key */
}

static void waiter_wake(struct node *node, struct waiter *waiter)
{
    if (waiter == NULL) return;
    if (waiter->attempting) {
        waiter->touched = true;
    } else {
        waiter_attempt(node, waiter);
    }
}

static void waiter_free(struct node *node, struct waiter *waiter)
{
    clock_timer_stop(node->world.clock, &waiter->timer);
    waiters_remove(&node->waiters, waiter);
    buffer_release(&waiter->payload);
    memory_free(waiter);
}

static void waiter_end(struct node *node, struct waiter *waiter, enum call_end end)
{
    struct call *call = waiter->call;
    waiter_free(node, waiter);
    call->waiter = NULL;
    call->state = CALL_NOWHERE;
    call->done(call, end);
}

/* Wakes the next waiter at each key of `waiter`; with `other_type` only one whose command wants
 * another type. */
static void waiter_hand_on(struct node *node, const struct waiter *waiter, bool other_type)
{
    for (size_t i = 0; i < waiter->places_count; i++) {
        const struct waiter_place *place = &waiter->places[i];
        struct waiter *next = waiters_at(&node->waiters, place->database, place->key, waiter);
        while (next != NULL && other_type && next->group == waiter->group) {
            next = waiters_at(&node->waiters, place->database, place->key, next);
        }
        waiter_wake(node, next);
    }
}

/* Ends it when its attempt, if one is under way, has found nothing. */
static void waiter_give_up(struct node *node, struct waiter *waiter, enum call_end end)
{
    if (waiter->attempting) {
        waiter->ending = true;
        waiter->end = end;
        return;
    }
    if (waiter->touched) waiter_hand_on(node, waiter, false);
    waiter_end(node, waiter, end);
}

static void waiter_timed_out(struct timer *timer)
{
    struct waiter *waiter = CONTAINER_OF(timer, struct waiter, timer);
    waiter_give_up(waiter->node, waiter, CALL_TIMED_OUT);
}

void node_wait_admit(struct node *node, struct call *call, struct bytes payload)
{
    struct waiter *waiter = memory_zeroed(1, sizeof *waiter);
    waiter->call = call;
    waiter->node = node;
    waiter->timer.fired = waiter_timed_out;
    buffer_init(&waiter->payload);
    buffer_append(&waiter->payload, payload);

    struct payload_reader reader;
    uint8_t database = 0;
    const struct command *command = NULL;
    enum err err = payload_read(&reader, buffer_bytes(&waiter->payload));
    if (err == ERR_OK) err = payload_next_command(&reader, &database, &command, &node->scratch);
    MUST(err == ERR_OK); /* the face has just made it */
    waiter->group = command->group;
    size_t *positions = memory_zeroed(node->scratch.count, sizeof *positions);
    struct bytes *keys = memory_zeroed(node->scratch.count, sizeof *keys);
    size_t count = 0;
    if (command_keys(command, &node->scratch, positions, &count) != ERR_OK) count = 0;
    /* A move waits at its source only; its target, the second key, is not what it lacks. */
    bool moves = command->id == COMMAND_BLMOVE || command->id == COMMAND_BRPOPLPUSH;
    if (moves && count > 1) count = 1;
    for (size_t i = 0; i < count; i++) keys[i] = node->scratch.at[positions[i]];
    waiters_add(&node->waiters, waiter, database, keys, count);
    memory_free(keys);
    memory_free(positions);

    call->waiter = waiter;
    waiter_attempt(node, waiter);
    if (!waiter->attempting) call->state = CALL_IDLE;
    if (call->timeout_us > 0) {
        clock_timer_start(node->world.clock, &waiter->timer, call->timeout_us);
    }
}

void node_wait_applied(struct node *node, struct call *call, bool found)
{
    struct waiter *waiter = call->waiter;
    MUST(waiter != NULL && waiter->attempting);
    waiter->attempting = false;
    bool leaves_touched = waiter->ending && waiter->touched;
    waiter_hand_on(node, waiter, !found && !leaves_touched);
    if (found) {
        struct buffer payload =
            waiter->payload; /* a blocking move has filled a key: wake who waits there */
        buffer_init(&waiter->payload);
        waiter_end(node, waiter, CALL_ANSWERED);
        node_wait_filled(node, buffer_bytes(&payload));
        buffer_release(&payload);
    } else if (waiter->ending) {
        waiter_end(node, waiter, waiter->end);
    } else {
        call->state = CALL_IDLE;
        waiter->payload.data[0] =
            ENTRY_SERVE; /* from now on it waits: only the first attempt complains */
        if (waiter->touched) waiter_attempt(node, waiter);
    }
}

struct fill_visit {
    struct payload_visit visit;
    struct node *node;
    bool wake;
};

static void fill_visit_key(struct payload_visit *visit, uint8_t database, struct bytes key)
{
    struct fill_visit *fill = CONTAINER_OF(visit, struct fill_visit, visit);
    if (fill->wake) {
        waiter_wake(fill->node, waiters_at(&fill->node->waiters, database, key, NULL));
    } else {
        watches_touch(&fill->node->watches, database, key);
    }
}

void node_wait_named(struct node *node, struct bytes payload)
{
    if (node->watches.count == 0) return;
    struct fill_visit fill = {.visit.key = fill_visit_key, .node = node};
    payload_visit_keys(payload, &node->named_scratch, &fill.visit);
}

void node_wait_filled(struct node *node, struct bytes payload)
{
    if (node->waiters.count == 0) return;
    struct fill_visit fill = {.visit.key = fill_visit_key, .node = node};
    payload_visit_keys(payload, &node->scratch, &fill.visit);
    if (!(fill.visit.may_fill || fill.visit.everything)) return;
    if (fill.visit.everything) { /* SWAPDB may have brought any key */
        for (struct list *at = node->waiters.all.next; at != &node->waiters.all; at = at->next) {
            waiter_wake(node, CONTAINER_OF(at, struct waiter, all));
        }
        return;
    }
    fill.wake = true;
    payload_visit_keys(payload, &node->scratch, &fill.visit);
}

bool node_wait_cancel(struct node *node, struct call *call)
{
    struct waiter *waiter = call->waiter;
    if (waiter == NULL) return false;
    bool attempting = waiter->attempting;
    if (attempting || waiter->touched) waiter_hand_on(node, waiter, false);
    struct buffer payload = waiter->payload;
    buffer_init(&waiter->payload);
    waiter_free(node, waiter);
    call->waiter = NULL;
    /* Nobody will hear what the attempt has done: who waits where it moves to tries behind it. */
    if (attempting) node_wait_filled(node, buffer_bytes(&payload));
    buffer_release(&payload);
    return true;
}

bool node_wait_unblock(struct node *node, struct call *call)
{
    struct waiter *waiter = call->waiter;
    if (waiter == NULL) return false;
    waiter_give_up(node, waiter, CALL_UNBLOCKED);
    return true;
}

void node_wait_retry(struct node *node)
{
    for (struct list *at = node->waiters.all.next; at != &node->waiters.all; at = at->next) {
        struct waiter *waiter = CONTAINER_OF(at, struct waiter, all);
        if (waiter->touched && !waiter->attempting) waiter_attempt(node, waiter);
    }
}

void node_wait_end_all(struct node *node)
{
    /* The end of one call may be the cancel of another: each is taken from a list of what is left.
     */
    struct list left, *first;
    list_init(&left);
    list_move_all(&left, &node->waiters.all);
    while ((first = list_first(&left)) != NULL) {
        struct waiter *waiter = CONTAINER_OF(first, struct waiter, all);
        list_remove(first);
        list_append(&node->waiters.all, first);
        waiter->touched = false;
        waiter_give_up(node, waiter, CALL_UNKNOWN);
    }
}

void node_wait_forget(struct node *node)
{
    struct list *first;
    while ((first = list_first(&node->waiters.all)) != NULL) {
        waiter_free(node, CONTAINER_OF(first, struct waiter, all));
    }
}
