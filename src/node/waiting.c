/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking commands.
 *
 * A blocking pop is an entry like any other: an *attempt*. The first tries all keys of the command,
 * in its order. When it finds nothing it is a no-op, and its client stays in the table of waiters,
 * in the line of each of its keys. A write that may fill such a key makes the key *ready*, and is
 * followed at once, in the same batch, by a further attempt of the first in line, at this key only.
 * Rules that keep it exact:
 *  - a waiter has at most one attempt in the order, so no client can be served twice;
 *  - an attempt that succeeds is followed by one of the next in line (there may be more elements);
 *    one that fails by one of the first who wants another type. When that fails too, or when nobody
 *    is left in line, the key is not ready any more; unless it was filled again since the attempt
 *    was appended: then its line begins anew;
 *  - the keys of one entry are served one after the other, in the order in which it fills them, and
 *    so are those that a move fills then. A key that is filled again by another entry lets the next
 *    go first. Keys of several entries are served side by side.
 *  - a key whose next in line has an attempt under way *pauses*: that waiter holds it, in the order
 *    in which its keys were looked at. When the attempt has ended the first of them is looked at
 *    again, and the others when that one's has; when the waiter has left, all are.
 * Attempts may turn out to be no-ops; none can be missed. A client joins the table when its first
 * attempt is appended, not when it is applied: nothing falls between. */
#include "node/waiting.h"

#include "base/memory.h"
#include "node/internal.h"

static void attempt(struct node *node, struct waiter *waiter, struct bytes payload)
{
    waiter->attempting = node_append(node, waiter->call, payload);
    /* Otherwise the log has no room: upkeep comes back to it. */
    if (waiter->attempting) node_wait_named(node, payload); /* a blocking move may fill a key */
}

static void attempt_first(struct node *node, struct waiter *waiter)
{
    attempt(node, waiter, buffer_bytes(&waiter->payload));
    if (!waiter->attempting) waiter->call->state = CALL_IDLE;
}

static void attempt_at(struct node *node, struct waiter *waiter, struct ready *ready)
{
    struct buffer payload;
    buffer_init(&payload);
    payload_put_serve(&payload, buffer_bytes(&waiter->payload), ready->line->key, &node->scratch);
    attempt(node, waiter, buffer_bytes(&payload));
    buffer_release(&payload);
    if (!waiter->attempting) return;
    node->serving = waiter->call->lsn;
    waiter->ready = ready;
    ready->trying = true;
}

/* False: the log has no room for its attempt. */
static bool serve_key(struct node *node, struct ready *ready)
{
    struct waiter *waiter = waiters_next(ready);
    if (waiter == NULL) {
        waiters_unready(&node->waiters, ready);
        return true;
    }
    if (!waiter->tried || waiter->attempting) {
        waiters_hold(waiter, ready);
        return true;
    }
    attempt_at(node, waiter, ready);
    if (!ready->trying) waiters_resume(&node->waiters, waiter); /* there may be room for another */
    return ready->trying;
}

/* Makes the attempts that may be made. */
static void serve(struct node *node)
{
    struct list left, *first;
    list_init(&left);
    while ((first = list_first(&node->waiters.due)) != NULL) {
        list_remove(first);
        if (!serve_key(node, CONTAINER_OF(first, struct ready, paused))) list_append(&left, first);
    }
    list_move_all(&node->waiters.due, &left);
}

/* Its further attempt, if it made one, is over. */
static void attempt_over(struct node *node, struct waiter *waiter, bool found)
{
    struct ready *ready = waiter->ready;
    if (ready == NULL) return;
    waiter->ready = NULL;
    ready->trying = false;
    bool missed_all = !found && ready->missed != NULL; /* there are two types to wait for */
    if (ready->again) {
        ready->again = false;
        ready->missed = NULL;
        waiters_part(&node->waiters, ready);
    } else if (missed_all) {
        waiters_unready(&node->waiters, ready);
        return;
    } else if (!found) {
        ready->missed = waiter->group;
    }
    waiters_pause(&node->waiters, ready);
}

static void waiter_free(struct node *node, struct waiter *waiter)
{
    clock_timer_stop(node->world.clock, &waiter->timer);
    if (waiter->tried) node->waiters.waiting--;
    waiters_remove(&node->waiters, waiter);
    attempt_over(node, waiter, true);
    buffer_release(&waiter->payload);
    memory_free(waiter);
}

struct fill_visit {
    struct payload_visit visit;
    struct node *node;
    struct ready *last; /* that it made ready */
};

static void watch_key(struct payload_visit *visit, uint8_t database, struct bytes key)
{
    struct node *node = CONTAINER_OF(visit, struct fill_visit, visit)->node;
    watches_touch(&node->watches, database, key);
}

void node_wait_named(struct node *node, struct bytes payload)
{
    if (node->watches.lines.count == 0) return;
    struct fill_visit fill = {.visit.key = watch_key, .node = node};
    payload_visit_keys(payload, &node->named_scratch, &fill.visit);
}

static void fill_key(struct payload_visit *visit, uint8_t database, struct bytes key)
{
    struct fill_visit *fill = CONTAINER_OF(visit, struct fill_visit, visit);
    if (visit->fills) waiters_fill(&fill->node->waiters, database, key, &fill->last);
}

/* The keys that the entry may fill become ready, behind `last` or NULL. */
static void note_filled(struct node *node, struct bytes payload, struct ready *last)
{
    struct fill_visit fill = {.visit.key = fill_key, .node = node, .last = last};
    payload_visit_keys(payload, &node->scratch, &fill.visit);
    if (fill.visit.everything)
        waiters_fill_all(&node->waiters); /* SWAPDB may have brought any key */
}

void node_wait_filled(struct node *node, struct bytes payload)
{
    if (node->waiters.count == 0) return;
    note_filled(node, payload, NULL);
    serve(node);
}

/* Leaves the table. What its last attempt may have moved fills a key for others. */
static void waiter_leave(struct node *node, struct waiter *waiter, bool may_have_moved)
{
    struct buffer payload = waiter->payload;
    struct ready *ready = waiter->ready; /* it outlives the attempt of one who goes */
    buffer_init(&waiter->payload);
    waiter->call->waiter = NULL;
    waiter_free(node, waiter);
    if (may_have_moved) note_filled(node, buffer_bytes(&payload), ready);
    buffer_release(&payload);
    serve(node);
}

static void waiter_end(struct node *node, struct waiter *waiter, enum call_end end)
{
    struct call *call = waiter->call;
    waiter_leave(node, waiter, end == CALL_ANSWERED);
    call->state = CALL_NOWHERE;
    call->done(call, end);
}

/* Ends it when its attempt, if one is under way, has found nothing. */
static void waiter_give_up(struct node *node, struct waiter *waiter, enum call_end end)
{
    if (waiter->attempting) {
        waiter->ending = true;
        waiter->end = end;
        return;
    }
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
    waiter->moves = (command->flags & FLAG_MAY_FILL) != 0;
    if (waiter->moves && count > 1) count = 1;
    for (size_t i = 0; i < count; i++) keys[i] = node->scratch.at[positions[i]];
    waiters_add(&node->waiters, waiter, database, keys, count);
    memory_free(keys);
    memory_free(positions);

    call->waiter = waiter;
    attempt_first(node, waiter);
    if (call->timeout_us > 0) {
        clock_timer_start(node->world.clock, &waiter->timer, call->timeout_us);
    }
}

void node_wait_applied(struct node *node, struct call *call, bool found)
{
    struct waiter *waiter = call->waiter;
    MUST(waiter != NULL && waiter->attempting);
    waiter->attempting = false;
    if (!waiter->tried) node->waiters.waiting++;
    waiter->tried = true;
    if (!found) {
        waiters_resume(&node->waiters, waiter);
        attempt_over(node, waiter, false);
    }
    if (found || waiter->ending) {
        waiter_end(node, waiter, found ? CALL_ANSWERED : waiter->end);
    } else {
        call->state = CALL_IDLE;
        serve(node);
    }
}

bool node_wait_cancel(struct node *node, struct call *call)
{
    struct waiter *waiter = call->waiter;
    if (waiter == NULL) return false;
    waiter_leave(node, waiter, waiter->attempting); /* nobody will hear what the attempt has done */
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
        if (!waiter->tried && !waiter->attempting) attempt_first(node, waiter);
    }
    serve(node);
}

/* Who has no attempt in the log has taken nothing, and is told so; of any other nobody knows. */
static enum call_end send_away(struct waiter *waiter)
{
    struct reply *reply = waiter->call->reply;
    if (!waiter->tried || waiter->attempting) return CALL_UNKNOWN;
    reply->ops->error(reply, "UNBLOCKED force unblock from blocking operation, instance state "
                             "changed (master -> replica?)");
    return CALL_REFUSED;
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
        waiter_give_up(node, waiter, send_away(waiter));
    }
}

void node_wait_forget(struct node *node)
{
    struct list *first;
    while ((first = list_first(&node->waiters.all)) != NULL) {
        waiter_free(node, CONTAINER_OF(first, struct waiter, all));
    }
    serve(node); /* nobody: what was ready is freed */
    waiters_release(&node->waiters);
}
