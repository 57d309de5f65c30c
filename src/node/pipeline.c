/* SPDX-License-Identifier: Apache-2.0 */
/* The path of a call: submit -> (log ->) order -> evaluate -> done.
 *
 * One queue, node->order, holds in the order of admission every entry that is not applied yet and
 * every read or local call that must come after some of them. The head is taken when it may be: an
 * entry when it is committed, the others at once. A read that needs no place (its client has
 * nothing in flight) is evaluated inside submit().
 *
 * An evaluation that misses memory stalls the queue until the store has fetched what was missing;
 * then it runs again from its beginning, in its place. A read outside the queue is parked instead
 * and holds up nobody. */
#include "node/pipeline.h"

#include "node/internal.h"
#include "node/replay.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"

void node_read_clock(struct node *node)
{
    if (node->clock_read) return;
    node->clock_read = true; /* once a turn is enough */
    node->wall_ms = clock_wall_ms(node->world.clock);
    node->boot_us = clock_now_us(node->world.clock);
    clock_defer(node->world.clock, &node->push);
}

/* A replica's clock is that of the newest entry: what it shows, its primary has shown. */
struct stamp node_now(struct node *node)
{
    if (!node->leads) return node->machine->ops->stamp(node->machine);
    node_read_clock(node);
    return hlc_now(&node->hlc, node->wall_ms, node->boot_us / 1000);
}

void node_fail(struct node *node, enum node_failure failure, const struct why *why)
{
    if (node->phase == NODE_FAILED || node->phase == NODE_STOPPED) return;
    node->phase = NODE_FAILED;
    node->failure = failure;
    node->failure_why = *why;
    clock_defer(node->world.clock, &node->tell);
}

/* --- Into the order --- */

bool node_append(struct node *node, struct call *call, struct bytes payload)
{
    if (!node->leads || node->phase == NODE_FAILED || node->phase == NODE_STOPPED) return false;
    node_read_clock(node);
    struct stamp stamp = hlc_next(&node->hlc, node->wall_ms, node->boot_us / 1000);
    struct lsn at;
    if (log_append(node->log, stamp, payload, &at) != ERR_OK) return false;
    call->lsn = at;
    call->began_us = node->boot_us;
    call->attempt = 0;
    node_order_add(node, call);
    node->upkeep.last_append_us = node->boot_us;
    clock_defer(node->world.clock, &node->push);
    node_serves_advanced(node);
    return true;
}

struct lsn node_append_own(struct node *node, struct bytes payload)
{
    struct ghost *ghost = node_ghost();
    if (node_append(node, &ghost->call, payload)) return ghost->call.lsn;
    memory_free(ghost);
    return (struct lsn){0};
}

void node_append_ghost(struct node *node, struct bytes payload)
{
    if (node_append_own(node, payload).at != 0) node_wait_named(node, payload);
}

void node_append_proposals(struct node *node, const struct buffer *proposals)
{
    for (size_t at = 0; at + 4 <= proposals->size;) {
        size_t size = load_le32(proposals->data + at);
        node->upkeep.expired_keys++;
        node_append_ghost(node, bytes_of(proposals->data + at + 4, size));
        at += 4 + size;
    }
}

static void order_add_read(struct node *node, struct call *call, struct bytes payload)
{
    call->lsn = (struct lsn){0};
    call->attempt = 0;
    call->now = node_now(node);
    buffer_append(&call->kept, payload);
    node_order_add(node, call);
    clock_defer(node->world.clock, &node->apply);
}

/* The error, too, keeps its place behind what the client has in flight. */
static void call_refuse(struct node *node, struct call *call, const char *error)
{
    if (call->ordered && !PLANTED(REFUSAL_OVERTAKES)) {
        call->refused = true;
        order_add_read(node, call, bytes_of(error, strlen(error) + 1));
        return;
    }
    call->reply->ops->error(call->reply, error);
    call->done(call, CALL_REFUSED);
}

/* --- Reads --- */

static enum err evaluate_read(struct node *node, struct call *call, const struct query *query)
{
    struct reply *reply = call->reply;
    size_t place = reply->ops->mark(reply);
    buffer_clear(&node->proposals);
    struct outcome outcome = {.reply = reply, .proposals = &node->proposals};
    enum err err = node->machine->ops->query(node->machine, query, &outcome);
    if (err == ERR_OK) {
        call->mark = node->machine->ops->applied(node->machine);
        return ERR_OK;
    }
    reply->ops->rewind(reply, place);
    if (err != ERR_PENDING) {
        struct why why;
        why_fail(&why, err, "the store failed under a read");
        node_fail(node, err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE, &why);
    }
    return err;
}

static bool may_propose(const struct node *node)
{
    return node->leads && !node_intake_is_on(&node->intake) && node->phase == NODE_SERVING &&
           !node_is_low(node);
}

static void parked_fetched(struct machine_warm *warm);

static void park(struct node *node, struct call *call, struct bytes payload)
{
    struct parked *parked = memory_zeroed(1, sizeof *parked);
    parked->node = node;
    parked->call = call;
    parked->warm.done = parked_fetched;
    buffer_init(&parked->payload);
    buffer_append(&parked->payload, payload);
    list_append(&node->parked, &parked->link);
    node->parked_count++;
    call->state = CALL_PARKED;
    call->waiter = parked;
    node->machine->ops->warm(node->machine, &parked->warm);
}

static void read_at_once(struct node *node, struct call *call, struct bytes payload)
{
    struct query query = {.payload = payload,
                          .now = node_now(node),
                          .final_expiry = !may_propose(node),
                          .attempt = call->attempt};
    enum err err = evaluate_read(node, call, &query);
    if (err == ERR_OK) {
        node_call_end(call, CALL_ANSWERED);
    } else if (err != ERR_PENDING) {
        node_call_end(call, CALL_UNKNOWN);
    } else if (node->proposals.size > 0) { /* it met an expired key: answer after its removal */
        node_append_proposals(node, &node->proposals);
        order_add_read(node, call, payload);
    } else {
        call->attempt++;
        park(node, call, payload);
    }
}

static void parked_fetched(struct machine_warm *warm)
{
    struct parked *parked = CONTAINER_OF(warm, struct parked, warm);
    struct node *node = parked->node;
    struct call *call = parked->call;
    list_remove(&parked->link);
    node->parked_count--;
    if (call != NULL) {
        call->waiter = NULL;
        call->state = CALL_NOWHERE;
        if (warm->err != ERR_OK) {
            node_fail(node, warm->err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE,
                      &warm->why);
        }
        if (node->phase == NODE_FAILED) {
            node_call_end(call, CALL_UNKNOWN);
        } else {
            read_at_once(node, call, buffer_bytes(&parked->payload));
        }
    }
    buffer_release(&parked->payload);
    memory_free(parked);
    node_stop_step(node);
}

/* --- Writes --- */

static const char refuse_space[] = "MISCONF The disk is nearly full: commands that add data are "
                                   "refused until space returns. Reads and deletions still work";

static const char refuse_replica[] = "READONLY You can't write against a read only replica.";

static void admit_write(struct node *node, struct call *call, struct bytes payload)
{
    const char *error = refuse_replica;
    if (!node->leads || node_intake_is_on(&node->intake) || !node_members_may_write(node, &error)) {
        call_refuse(node, call, error);
        return;
    }
    if (node_is_low(node) && node_adds_data(node, payload)) {
        call_refuse(node, call, refuse_space);
        return;
    }
    if (payload.size > LOG_PAYLOAD_BYTES_MAX) {
        call_refuse(node, call, "ERR the command is larger than one log entry may be");
        return;
    }
    if (call->kind == CALL_WAIT) {
        node_wait_admit(node, call, payload);
        return;
    }
    if (!node_append(node, call, payload)) {
        if (log_is_poisoned(node->log)) {
            node_call_end(call, CALL_UNKNOWN);
        } else {
            call_refuse(node, call, refuse_space);
        }
        return;
    }
    node_wait_named(node, payload);
    node_wait_filled(node, payload);
}

/* Behind what this copy has committed there may be what was answered by the primary before. */
static const char refuse_unopened[] = "LOADING the copies that count have not confirmed this "
                                      "primary yet: see REPL.STATUS";

static const char refuse_unsure[] = "LOADING so many copies are out of reach that another one may "
                                    "lead by now: see REPL.STATUS";

static const char refuse_forced[] = "LOADING a new history is being begun (PROMOTE FORCE)";

/* Why a read is not answered; NULL: it is. A replica shows what it has. */
static const char *refused_read(struct node *node)
{
    if (node->force.ahead) return refuse_forced;
    if (!node->leads || node_intake_is_on(&node->intake)) return NULL;
    struct lsn applied = node_applied_lsn(node);
    if (lsn_before(applied, node->start.epoch_lsn)) return refuse_unopened;
    node_read_clock(node);
    return node_reach_is_sure(node, node->boot_us) ? NULL : refuse_unsure;
}

/* Whether a client that waited is about to get its element. */
static bool is_serving(struct node *node)
{
    if (node->serving.at == 0) return false;
    if (lsn_before(node_applied_lsn(node), node->serving)) return true;
    node->serving = (struct lsn){0};
    return false;
}

void node_submit(struct service *service, struct call *call)
{
    struct node *node = node_of(service);
    call->lsn = (struct lsn){0};
    call->attempt = 0;
    call->state = CALL_NOWHERE;
    call->waiter = NULL;
    call->refused = false;
    buffer_init(&call->kept);
    if (node->phase == NODE_OPENING) {
        call_refuse(node, call, "LOADING tidemark is applying the end of its log");
        return;
    }
    if (node->phase != NODE_SERVING) {
        node_call_end(call, CALL_UNKNOWN);
        return;
    }
    const char *error = call->kind == CALL_READ ? refused_read(node) : NULL;
    if (error != NULL) {
        call_refuse(node, call, error);
        return;
    }
    switch (call->kind) {
    case CALL_READ:
        if ((call->ordered && !PLANTED(REPLY_OUT_OF_PLACE)) || is_serving(node)) {
            order_add_read(node, call, call->payload);
        } else {
            read_at_once(node, call, call->payload);
        }
        break;
    case CALL_LOCAL: order_add_read(node, call, bytes_of(NULL, 0)); break;
    case CALL_WRITE:
    case CALL_WAIT: admit_write(node, call, call->payload); break;
    }
}

/* --- Out of the order --- */

static void stall_fetched(struct machine_warm *warm)
{
    struct node *node = CONTAINER_OF(warm, struct node, stall_warm);
    node->stalled = false;
    if (warm->err != ERR_OK) {
        node_fail(node, warm->err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE,
                  &warm->why);
    }
    node_run(node);
}

static void stall(struct node *node, struct lsn lsn)
{
    node->stalled = true;
    node->stall_warm = (struct machine_warm){.done = stall_fetched};
    node->machine->ops->warm(node->machine, &node->stall_warm);
    node_look_ahead_from(node, lsn);
}

/* A read or local call whose turn it is. Its clock is that of its admission, between the stamps of
 * the entries around it, so that what it sees as expired stays expired for all behind it. */
static bool take_unlogged(struct node *node, struct call *call)
{
    if (call->refused) {
        node_order_take(node, call);
        call->reply->ops->error(call->reply, (const char *)call->kept.data);
        node_call_end(call, CALL_REFUSED);
        return true;
    }
    if (call->kind != CALL_LOCAL) {
        struct query query = {.payload = buffer_bytes(&call->kept),
                              .now = call->now,
                              .final_expiry = true,
                              .attempt = call->attempt};
        enum err err = evaluate_read(node, call, &query);
        if (err == ERR_PENDING) {
            call->attempt++;
            stall(node, call->lsn);
        }
        if (err != ERR_OK) return false;
    }
    node_order_take(node, call);
    node_call_end(call, CALL_ANSWERED);
    return true;
}

struct told_outcome {
    struct outcome outcome;
    struct node *node;
};

static void tell_keyspace(struct outcome *outcome, unsigned class, const char *name,
                          uint8_t database, struct bytes key)
{
    struct told_outcome *told = CONTAINER_OF(outcome, struct told_outcome, outcome);
    struct service_listener *events = told->node->events;
    if (events != NULL) events->keyspace(events, class, name, database, key);
}

/* Entries are noted by rows that began in one turn: the clock is read once a row. */
static void row_end(struct node *node, uint64_t now_us)
{
    if (node->row_count == 0) return;
    histogram_add(&node->commit_us, now_us - node->row_began_us, node->row_count);
    node->row_count = 0;
}

static void row_add(struct node *node, const struct call *call)
{
    if (call->began_us != node->row_began_us) row_end(node, clock_now_us(node->world.clock));
    node->row_began_us = call->began_us;
    node->row_count++;
}

/* ERR_PENDING: a record is missing. Another failure is the node's. */
static enum err apply_entry(struct node *node, const struct entry *entry, unsigned attempt,
                            struct told_outcome *told)
{
    struct reply *reply = told->outcome.reply;
    size_t place = reply->ops->mark(reply);
    told->node = node;
    if (node->events != NULL) told->outcome.notify = tell_keyspace;
    enum err err = node->machine->ops->apply(node->machine, entry, attempt, &told->outcome);
    if (err == ERR_OK) {
        if (node_behind_gives_way(node)) node->behind.step++;
        node_stamps_applied(node, entry);
        node_points_applied(node, entry);
    } else if (err == ERR_PENDING) {
        reply->ops->rewind(reply, place);
        stall(node, entry->lsn);
    } else {
        struct why why;
        why_fail(&why, err, "entry %" PRIu64 " could not be applied: %s", entry->lsn.at,
                 err_name(err));
        node_fail(node, err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE, &why);
    }
    return err;
}

static bool take_entry(struct node *node, struct call *call)
{
    struct entry entry;
    bool there = log_entry(node->log, call->lsn, &entry);
    MUST(there);
    struct told_outcome told = {.outcome.reply = call->reply};
    enum err err = apply_entry(node, &entry, call->attempt, &told);
    if (err == ERR_PENDING) call->attempt++;
    if (err != ERR_OK) return false;
    node_order_take(node, call);
    row_add(node, call);
    call->mark = node->machine->ops->applied(node->machine);
    if (call->kind == CALL_WAIT) {
        node_wait_applied(node, call, !told.outcome.waits);
    } else {
        node_call_end(call, CALL_ANSWERED);
    }
    return true;
}

/* An entry without a call. */
static bool take_behind(struct node *node)
{
    struct entry entry;
    if (!node_behind_next(node, &entry)) return false;
    struct told_outcome told = {.outcome.reply = reply_nobody()};
    enum err err = apply_entry(node, &entry, node->behind.attempt, &told);
    if (err == ERR_PENDING) node->behind.attempt++;
    if (err != ERR_OK) return false;
    node_behind_applied(node, &entry);
    return true;
}

/* While entries have to come first: some are applied, then none for a while. */
static bool pauses(struct node *node)
{
    if (!node_behind_gives_way(node)) return false;
    if (node->behind.step == NODE_BEHIND_STEP_ENTRIES) {
        node->behind.step = 0;
        clock_timer_start(node->world.clock, &node->again, NODE_BEHIND_PAUSE_US);
    }
    return node->again.armed;
}

/* False: what comes next may not be taken yet. */
static bool take_next(struct node *node)
{
    struct list *first = list_first(&node->order);
    struct call *call = first == NULL ? NULL : CONTAINER_OF(first, struct call, node);
    if (call != NULL && call->lsn.at == 0) return take_unlogged(node, call);
    if (pauses(node)) return false;
    if (node_is_behind(node)) return take_behind(node);
    if (call == NULL || lsn_before(node->committed, call->lsn)) return false;
    return take_entry(node, call);
}

/* A primary serves when its epoch is open; but one that has to wait for others for that, and a
 * replica, show meanwhile what was committed before. */
static void become_ready(struct node *node)
{
    if (node->phase != NODE_OPENING) return;
    bool alone = node->leads && progress_rule(&node->progress).mode == COMMIT_LOCAL;
    struct lsn applied = node_applied_lsn(node);
    if (alone && lsn_before(applied, node->start.epoch_lsn)) return;
    node->phase = NODE_SERVING;
    node->upkeep.applied_calls = node->upkeep.applied_us = 0; /* the old tail was among them */
    clock_defer(node->world.clock, &node->tell);
}

void node_run(struct node *node)
{
    if (node->applying) return;
    node->applying = true;
    uint64_t began_us = clock_now_us(node->world.clock);
    unsigned taken = 0;
    bool going = true;
    while (going && !node->stalled && !node->held && !node_stamps_hold(node) &&
           !node_points_hold(node) && node->phase != NODE_FAILED) {
        if (taken == NODE_APPLY_STEP_ENTRIES) break;
        going = take_next(node);
        if (going) taken++;
    }
    uint64_t now_us = clock_now_us(node->world.clock);
    if (taken == NODE_APPLY_STEP_ENTRIES) clock_timer_start(node->world.clock, &node->again, 0);
    row_end(node, now_us);
    if (!node->stalled) { /* a row that met a record on disk says nothing of applying */
        node->upkeep.applied_calls += taken;
        node->upkeep.applied_us += now_us - began_us;
    }
    node->applying = false;
    if (node->phase == NODE_FAILED) return;
    node_look_ahead(node);
    log_forget(node->log, node_applied_lsn(node));
    become_ready(node);
    node_sessions_advanced(node);
    node_intake_step(node);
    node_points_step(node);
    node_flush_if_due(node);
    node_stop_step(node);
}

void node_commit(struct node *node, struct lsn through)
{
    node->committed = lsn_max(node->committed, through);
    log_note_committed(node->log, node->committed);
    node_run(node);
}

void node_log_advanced(struct log_listener *listener)
{
    struct node *node = CONTAINER_OF(listener, struct node, log_listener);
    if (node->phase == NODE_FAILED) return;
    node_behind_advanced(node);
    node_members_commit(node);
    node_flush_advanced(node);
    node_sessions_advanced(node);
    node_turn_step(node);
    node_stop_step(node);
}

void node_log_failed(struct log_listener *listener, const struct why *why)
{
    struct node *node = CONTAINER_OF(listener, struct node, log_listener);
    node_fail(node, NODE_FAILED_LOG, why);
}

/* --- The rest of the service --- */

void node_cancel(struct service *service, struct call *call)
{
    struct node *node = node_of(service);
    switch ((enum call_place)call->state) {
    case CALL_NOWHERE: return;
    case CALL_PARKED: {
        struct parked *parked = call->waiter;
        parked->call = NULL;
        break;
    }
    case CALL_IDLE: (void)node_wait_cancel(node, call); break;
    case CALL_IN_ORDER:
        if (call->lsn.at != 0) {
            (void)node_wait_cancel(node, call);
            node_order_replace(call);
        } else {
            node_order_take(node, call);
        }
        break;
    }
    call->waiter = NULL;
    call->state = CALL_NOWHERE;
    buffer_release(&call->kept);
}
