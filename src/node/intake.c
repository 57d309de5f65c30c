/* SPDX-License-Identifier: Apache-2.0 */
#include "node/intake.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "node/internal.h"

_Static_assert((size_t)INTAKE_PAYLOAD_BYTES_MAX == (size_t)LOG_PAYLOAD_BYTES_MAX,
               "an entry is an entry");

/* An entry of the primary's. */
struct intake_entry {
    struct call call;
    struct reply reply;
    struct reply_ops ops;
    struct node *node;
    size_t bytes;
    char error[128]; /* "": it was carried out */
};

static struct node *node_of_intake(struct intake *intake)
{
    return CONTAINER_OF(intake, struct node, intake.base);
}

static struct followed applied_place(const struct node *node)
{
    if (node->machine == NULL) return (struct followed){.known = false};
    return node->machine->ops->followed(node->machine);
}

static void set_phase(struct node *node, enum intake_phase phase)
{
    node->intake.phase = phase;
    node->service.read_only = !node->leads || phase != INTAKE_OFF;
}

static void tell_event(struct node *node, enum orchestrator_event_kind kind)
{
    node_serves_tell(node, node->site.identity.copy, kind);
}

/* --- Entries --- */

static void moved(struct task *task)
{
    struct node *node = CONTAINER_OF(task, struct node, intake.moved);
    struct node_intake *intake = &node->intake;
    if (intake->phase == INTAKE_LINKED && intake->listener != NULL)
        intake->listener->moved(intake->listener);
}

static void note_error(struct reply *reply, const char *text)
{
    struct intake_entry *entry = CONTAINER_OF(reply, struct intake_entry, reply);
    (void)snprintf(entry->error, sizeof entry->error, "%s", text);
}

void node_intake_done(struct call *call, enum call_end end)
{
    struct intake_entry *entry = CONTAINER_OF(call, struct intake_entry, call);
    struct node *node = entry->node;
    struct node_intake *intake = &node->intake;
    intake->waiting_bytes -= entry->bytes;
    bool linked = intake->phase == INTAKE_LINKED && intake->listener != NULL;
    if (linked && end == CALL_ANSWERED && entry->error[0] != '\0')
        intake->listener->differs(intake->listener, entry->error);
    memory_free(entry);
    if (linked) clock_defer(node->world.clock, &intake->moved);
}

static struct intake_entry *entry_make(struct node *node, size_t bytes)
{
    struct intake_entry *entry = memory_zeroed(1, sizeof *entry);
    entry->ops = *reply_nobody()->ops;
    entry->ops.error = note_error;
    entry->reply.ops = &entry->ops;
    entry->node = node;
    entry->bytes = bytes;
    entry->call.kind = CALL_WRITE;
    entry->call.reply = &entry->reply;
    entry->call.done = node_intake_done;
    return entry;
}

static enum err intake_append(struct intake *base, struct bytes payload,
                              const struct followed *place)
{
    struct node *node = node_of_intake(base);
    struct node_intake *intake = &node->intake;
    if (intake->phase != INTAKE_LINKED || !node->leads || node->phase != NODE_SERVING)
        return ERR_SHUT;
    if (intake->waiting_bytes > NODE_INTAKE_WAITING_BYTES) return ERR_PENDING;
    if (node_is_low(node) && node_adds_data(node, payload)) return ERR_PENDING;
    struct intake_entry *entry = entry_make(node, payload.size + NODE_INTAKE_ENTRY_BYTES);
    if (!node_append(node, &entry->call, payload)) {
        memory_free(entry);
        return log_is_poisoned(node->log) ? ERR_SHUT : ERR_PENDING;
    }
    intake->waiting_bytes += entry->bytes;
    intake->appended = *place;
    node_wait_named(node, payload);
    return ERR_OK;
}

/* --- A new state --- */

static void intake_unstage(struct intake *base)
{
    struct node *node = node_of_intake(base);
    struct node_intake *intake = &node->intake;
    if (intake->sink == NULL) return;
    clock_timer_stop(node->world.clock, &intake->again);
    node->maker->take_close(node->maker);
    intake->sink = NULL;
    site_sweeper_take(node->sweeper, &intake->next);
    if (intake->phase == INTAKE_ENDING) set_phase(node, INTAKE_LINKED);
}

/* The place at which its history begins. Its LSN is above all of this log, so that no version of a
 * key, which a client may have seen, comes a second time. */
static void taking_init(struct node *node, struct history history)
{
    struct clock *clock = node->world.clock;
    struct machine_intake *taking = &node->intake.taking;
    struct epoch epoch = node_newest_epoch(node);
    if (epoch.number == 0) epoch = (struct epoch){1, node->site.identity.copy};
    *taking = (struct machine_intake){
        .mark = {.history = history,
                 .epoch = epoch,
                 .lsn = lsn_next(log_appended(node->log)),
                 .lineage = {checksum64(bytes_of(&history, sizeof history), 0)}},
        .stamp = hlc_now(&node->hlc, clock_wall_ms(clock), clock_now_us(clock) / 1000),
        .window_bytes = NODE_INTAKE_WINDOW_BYTES,
    };
    taking->epoch = (struct epoch_start){.epoch = epoch, .first = taking->mark.lsn};
}

static enum err intake_stage(struct intake *base, struct record_sink **sink, struct why *why)
{
    struct node *node = node_of_intake(base);
    struct node_intake *intake = &node->intake;
    *sink = NULL;
    if (intake->phase != INTAKE_LINKED || node->phase != NODE_SERVING || intake->sink != NULL)
        return why_fail(why, ERR_SHUT, "this copy takes nothing now");
    struct history history;
    entropy_fill(node->world.entropy, &history, sizeof history);
    taking_init(node, history);
    enum err err = site_prepare(&node->site, true, history, &intake->next, why);
    if (err != ERR_OK) return err;
    err = node->maker->take(node->maker, intake->next.store, &intake->taking, &intake->sink, why);
    if (err != ERR_OK) site_sweeper_take(node->sweeper, &intake->next);
    *sink = intake->sink;
    return err;
}

static void install_fails(struct node *node, enum err err, const struct why *why)
{
    struct node_intake *intake = &node->intake;
    struct why kept = *why;
    intake_unstage(&intake->base);
    set_phase(node, INTAKE_LINKED);
    intake->listener->installed(intake->listener, err, &kept);
}

/* The store is whole and closed: whoever is served by the present state is let go of. */
static void turn_to_it(struct node *node)
{
    struct node_intake *intake = &node->intake;
    struct turn turn = {.kind = TURN_INSTALL,
                        .mark = intake->taking.mark,
                        .stamp = intake->taking.stamp,
                        .cluster = site_cluster(&node->site),
                        .history = intake->taking.mark.history,
                        .own = true,
                        .taken = true,
                        .next = intake->next};
    intake->next = (struct site_next){.log = NULL};
    node->maker->take_close(node->maker);
    intake->sink = NULL;
    set_phase(node, INTAKE_TURNING);
    node_votes_end(node);
    node_unlead(node, "the keys of the primary that is followed take the place of these");
    node_turn(node, &turn);
}

static void finish(struct node *node)
{
    struct node_intake *intake = &node->intake;
    struct why why = {""};
    if (intake->phase != INTAKE_ENDING) return;
    enum err err = node->maker->take_end(node->maker, &intake->place);
    if (err == ERR_OK && node->turn.kind != TURN_NONE) err = ERR_PENDING;
    if (err == ERR_OK) {
        turn_to_it(node);
    } else if (err != ERR_PENDING) {
        (void)why_fail(&why, err, "%s", intake->sink->why.text);
        install_fails(node, err, &why);
    } else if (!intake->sink->ops->wait(intake->sink, &intake->wait)) {
        clock_timer_start(node->world.clock, &intake->again, 0);
    }
}

static void finish_again(struct timer *timer)
{
    finish(CONTAINER_OF(timer, struct node, intake.again));
}

/* May come from inside the store. */
static void waited(struct record_wait *wait)
{
    struct node *node = CONTAINER_OF(wait, struct node, intake.wait);
    if (node->intake.phase == INTAKE_ENDING)
        clock_timer_start(node->world.clock, &node->intake.again, 0);
}

static void intake_install(struct intake *base, const struct followed *place)
{
    struct node *node = node_of_intake(base);
    MUST(node->intake.sink != NULL && node->intake.phase == INTAKE_LINKED);
    node->intake.place = *place;
    set_phase(node, INTAKE_ENDING);
    clock_timer_start(node->world.clock, &node->intake.again, 0);
}

/* The new history is there: to say that it is not would be wrong. The next start leads it. */
static void lead_it(struct node *node)
{
    struct why why;
    node->intake.anew = false;
    enum err err = node_lead(node, &why);
    if (err != ERR_OK) node_fail(node, NODE_FAILED_LOG, &why);
}

void node_intake_reopened(struct node *node, enum err err)
{
    struct node_intake *intake = &node->intake;
    if (intake->phase != INTAKE_TURNING) return;
    if (err == ERR_OK) {
        set_phase(node, INTAKE_LEADS);
        tell_event(node, TOLD_REDIS_INSTALLED);
        lead_it(node);
        return;
    }
    struct why why;
    (void)why_fail(&why, err, "the keys could not be installed: see the server's log");
    install_fails(node, err, &why);
    node_intake_unlead(node); /* it leads no more, and begins again */
}

/* --- The role --- */

static bool has_led(const struct node *node)
{
    struct epoch promised = log_promised(node->log);
    return promised.number > 0 && promised.copy == node->site.identity.copy;
}

static void begin_link(struct node *node)
{
    struct node_intake *intake = &node->intake;
    intake->appended = node->leads ? applied_place(node) : (struct followed){.known = false};
    set_phase(node, INTAKE_LINKED);
    intake->listener->begin(intake->listener);
}

/* A copy that has led leads again first: with what is in its log the primary goes on. */
void node_intake_step(struct node *node)
{
    struct node_intake *intake = &node->intake;
    if (intake->phase != INTAKE_ASKS && intake->phase != INTAKE_LEADS) return;
    if (node->phase != NODE_SERVING || node->turn.kind != TURN_NONE) return;
    if (has_led(node) && !node->leads) {
        if (!node_votes_are_on(node)) node_votes_ask(node);
        return;
    }
    struct lsn applied = node_applied_lsn(node);
    if (node->leads && lsn_before(applied, node->start.epoch_lsn)) return;
    if (intake->phase == INTAKE_ASKS) {
        if (intake->listener != NULL) begin_link(node);
        return;
    }
    intake->appended = applied_place(node);
    set_phase(node, INTAKE_LINKED);
    struct why why = {""};
    intake->listener->installed(intake->listener, ERR_OK, &why);
}

void node_intake_begin(struct node *node, const char *address)
{
    struct node_intake *intake = &node->intake;
    (void)snprintf(intake->address, sizeof intake->address, "%s", address);
    set_phase(node, INTAKE_ASKS);
    struct followed place = applied_place(node);
    trace_event(node->world.trace, TRACE_NOTICE, "node", "follows_redis",
                "shard=%s address=%s place=%s offset=%" PRIu64 " anew=%s", node->options.shard.name,
                intake->address, place.known ? "known" : "none", place.offset,
                intake->anew ? "yes" : "no");
}

enum err node_intake_found(struct node *node, const char *address, bool wipe, struct why *why)
{
    struct node_intake *intake = &node->intake;
    struct site_follow follow = {.redis = true};
    if (intake->listener == NULL)
        return why_fail(why, ERR_REFUSED, "it is a Redis server, and nobody here speaks to one");
    /* What is a copy of such a primary is there to be one again. */
    if (!wipe && !applied_place(node).known)
        return why_fail(why, ERR_REFUSED,
                        "it is a Redis server, and what is here would be given up for what it has: "
                        "REPLICAOF says so");
    (void)snprintf(follow.address, sizeof follow.address, "%s", address);
    enum err err = site_follow_write(&node->site, &follow, why);
    if (err != ERR_OK) return err;
    node_follows_end(node, BYE_STOP);
    node_intake_begin(node, address);
    return ERR_OK;
}

/* The link, whatever it is doing; not a turn that is under way. */
static void let_go(struct node *node)
{
    struct node_intake *intake = &node->intake;
    bool begun = intake->phase != INTAKE_OFF && intake->phase != INTAKE_ASKS;
    if (begun && intake->listener != NULL) intake->listener->end(intake->listener);
    intake_unstage(&intake->base);
    clock_cancel(node->world.clock, &intake->moved);
    clock_timer_stop(node->world.clock, &intake->again);
}

void node_intake_end(struct node *node)
{
    if (!node_intake_is_on(&node->intake)) return;
    let_go(node);
    set_phase(node, INTAKE_OFF);
    trace_event(node->world.trace, TRACE_NOTICE, "node", "follows_redis_no_more",
                "shard=%s address=%s", node->options.shard.name, node->intake.address);
}

void node_intake_unlead(struct node *node)
{
    enum intake_phase phase = node->intake.phase;
    if (phase == INTAKE_OFF || phase == INTAKE_ASKS || phase == INTAKE_TURNING) return;
    let_go(node);
    set_phase(node, INTAKE_ASKS);
}

bool node_intake_is_stopped(const struct node *node, const char *address)
{
    const struct node_intake *intake = &node->intake;
    struct intake_status status = {.link = ""};
    if (intake->phase == INTAKE_OFF || intake->phase == INTAKE_ASKS || intake->listener == NULL)
        return false;
    intake->listener->status(intake->listener, &status);
    return status.stopped && strcmp(address, intake->address) == 0;
}

/* --- What is told --- */

void node_intake_status(const struct node *node, struct copies_status *out)
{
    const struct node_intake *intake = &node->intake;
    if (!node_intake_is_on(intake)) return;
    struct intake_status status = {.link = "connect"};
    if (intake->phase != INTAKE_ASKS && intake->listener != NULL)
        intake->listener->status(intake->listener, &status);
    struct followed place = applied_place(node);
    bool up = strcmp(status.link, "connected") == 0;
    out->role = COPIES_FOLLOWS;
    out->may_write = false;
    out->redis = true;
    out->redis_offset = place.known ? place.offset : 0;
    out->syncing = status.syncing;
    out->sync_done = status.done;
    out->sync_bytes = status.bytes;
    node_address_split(intake->address, out->primary_host, &out->primary_port);
    out->link = status.link;
    out->link_state = up                                    ? "in_sync"
                      : strcmp(status.link, "sync") == 0    ? "catching_up"
                      : strcmp(status.link, "connect") == 0 ? "disconnected"
                                                            : "connecting";
    out->link_down_us = status.down_us;
    out->heard_us = status.heard_us;
    out->why = status.why;
    if (intake->phase == INTAKE_ASKS && node_votes_why(node) != NULL && node_votes_are_on(node))
        out->why = *node_votes_why(node);
}

/* --- The table --- */

static void intake_listen(struct intake *base, struct intake_listener *listener)
{
    struct node *node = node_of_intake(base);
    if (listener == NULL) {
        node->intake.listener = NULL;
        node_intake_unlead(node);
    }
    node->intake.listener = listener;
}

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static void intake_order(struct intake *base, struct intake_order *out)
{
    struct node *node = node_of_intake(base);
    const struct node_copies *copies = &node->copies;
    *out = (struct intake_order){.address = node->intake.address,
                                 .user = text_of(copies->user),
                                 .password = text_of(copies->password),
                                 .host = text_of(copies->announced_host),
                                 .port = copies->redis_port,
                                 .anew = node->intake.anew};
}

static struct followed intake_place(struct intake *base)
{
    return node_of_intake(base)->intake.appended;
}

static struct followed intake_applied(struct intake *base)
{
    return applied_place(node_of_intake(base));
}

static void intake_tell(struct intake *base, enum intake_told told)
{
    static const enum orchestrator_event_kind kinds[] = {
        [INTAKE_FULL_SYNC] = TOLD_REDIS_FULL_SYNC,
        [INTAKE_CONTINUES] = TOLD_REDIS_CONTINUES,
        [INTAKE_LINK_LOST] = TOLD_REDIS_LINK_LOST,
        [INTAKE_STOPPED] = TOLD_REDIS_STOPPED,
    };
    tell_event(node_of_intake(base), kinds[told]);
}

static const struct intake_ops intake_ops = {
    .listen = intake_listen,
    .order = intake_order,
    .place = intake_place,
    .applied = intake_applied,
    .append = intake_append,
    .stage = intake_stage,
    .unstage = intake_unstage,
    .install = intake_install,
    .tell = intake_tell,
};

void node_intake_init(struct node *node)
{
    struct node_intake *intake = &node->intake;
    intake->base.ops = &intake_ops;
    intake->moved.run = moved;
    intake->again.fired = finish_again;
    intake->wait.done = waited;
}

struct intake *node_intake_of(struct service *service)
{
    return &node_of(service)->intake.base;
}
