/* SPDX-License-Identifier: Apache-2.0 */
/* Who is served.
 *
 * A primary assigns its sender to each copy that the log names, and to visitors: copies that have
 * come without being named. They get the same and count for nothing. A visitor that is gone is
 * forgotten when its time is over, or when another needs the room. A replica that is followed
 * itself has visitors only: what the log names is its primary's to serve. */
#include "node/serves.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/plant.h"
#include "node/serving.h"

static struct serve *serve_at(struct list *at)
{
    return CONTAINER_OF(at, struct serve, node);
}

static uint64_t now_us(const struct node *node)
{
    return clock_now_us(node->world.clock);
}

/* Of the sessions of a copy it is the one that counts. */
static bool is_current(const struct serve *serve)
{
    const struct sender *sender = orchestrator_sender(&serve->senders->orchestrator, serve->copy);
    return serve->session != 0 && sender != NULL && sender->session == serve->session;
}

/* --- Who is assigned --- */

struct served *served_of(struct senders *senders, uint64_t copy)
{
    for (unsigned i = 0; i < senders->count; i++) {
        if (senders->at[i].id == copy) return &senders->at[i];
    }
    return NULL;
}

/* There is one for each sender. */
static void reconcile(struct senders *senders)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < senders->count; i++) {
        if (orchestrator_sender(&senders->orchestrator, senders->at[i].id) != NULL)
            senders->at[kept++] = senders->at[i];
    }
    senders->count = kept;
    for (unsigned i = 0; i < senders->orchestrator.count; i++) {
        uint64_t id = senders->orchestrator.senders[i].id;
        if (served_of(senders, id) != NULL) continue;
        senders->at[senders->count++] = (struct served){.id = id, .plan = "", .rule = ""};
    }
}

void serves_end_sessions(struct serves *serves, const struct orchestrator_ends *ends)
{
    for (unsigned i = 0; i < ends->count; i++) {
        for (struct list *at = serves->serves.next; at != &serves->serves; at = at->next) {
            if (serve_at(at)->session == ends->sessions[i])
                peer_stop(&serve_at(at)->peer, BYE_SUPERSEDED);
        }
    }
}

static bool is_in(const struct assignment *assignment, uint64_t copy)
{
    for (unsigned i = 0; i < assignment->count; i++) {
        if (assignment->replicas[i].id == copy) return true;
    }
    return false;
}

static void put(struct assignment *assignment, uint64_t copy, const char *endpoint)
{
    if (is_in(assignment, copy) || assignment->count == PROGRESS_COPIES_MAX) return;
    unsigned at = assignment->count++;
    assignment->replicas[at].id = copy;
    (void)snprintf(assignment->replicas[at].endpoint, ORCHESTRATOR_ENDPOINT_BYTES, "%s", endpoint);
}

/* Those that are connected go first. */
static void put_visitors(struct assignment *assignment, const struct senders *senders, bool here)
{
    const struct orchestrator *orchestrator = &senders->orchestrator;
    for (unsigned i = 0; i < orchestrator->count; i++) {
        const struct sender *sender = &orchestrator->senders[i];
        if ((sender->session != 0) == here) put(assignment, sender->id, sender->endpoint);
    }
}

void serves_assign(struct serves *serves, uint64_t copy, const char *endpoint)
{
    struct node *node = serves->node;
    struct senders *senders = serves->senders;
    const struct members *members = &node->membership.now;
    uint64_t own = node->site.identity.copy;
    struct assignment assignment = {.epoch = serves->epoch};
    for (unsigned i = 0; i < members->count && serves->leads; i++) {
        if (members->at[i].id != own) put(&assignment, members->at[i].id, members->at[i].peer);
    }
    if (copy != 0 && orchestrator_sender(&senders->orchestrator, copy) != NULL)
        put(&assignment, copy, endpoint); /* it may be reached elsewhere now */
    put_visitors(&assignment, senders, true);
    if (copy != 0) put(&assignment, copy, endpoint);
    put_visitors(&assignment, senders, false);
    struct orchestrator_ends ends;
    enum err err = orchestrator_assign(&senders->orchestrator, &assignment, now_us(node), &ends);
    if (err != ERR_OK) return;
    serves_end_sessions(serves, &ends);
    reconcile(senders);
}

void node_serves_members(struct node *node)
{
    if (node->serves != NULL) serves_assign(node->serves, 0, "");
}

/* A visitor that is gone for as long as the log is held for anyone. */
static void drop_visitors(struct serves *serves)
{
    struct orchestrator *orchestrator = &serves->senders->orchestrator;
    struct assignment assignment = {.epoch = serves->epoch};
    uint64_t now = now_us(serves->node);
    for (unsigned i = 0; i < orchestrator->count; i++) {
        const struct sender *sender = &orchestrator->senders[i];
        bool late = now - sender->contact_us > orchestrator->options.silent_us;
        bool named = false;
        for (unsigned k = 0; k < serves->node->membership.now.count && serves->leads; k++)
            named = named || serves->node->membership.now.at[k].id == sender->id;
        if (named || !late) put(&assignment, sender->id, sender->endpoint);
    }
    if (assignment.count == orchestrator->count) return;
    struct orchestrator_ends ends;
    if (orchestrator_assign(orchestrator, &assignment, now, &ends) != ERR_OK) return;
    serves_end_sessions(serves, &ends);
    reconcile(serves->senders);
}

/* --- Begin and end --- */

/* CONFIG SET may change them. */
static void take_budgets(const struct node *node, struct orchestrator *orchestrator)
{
    const struct node_copies *copies = &node->copies;
    orchestrator->options = (struct orchestrator_options){
        .silent_us = copies->silent_us == 0 ? UINT64_MAX : copies->silent_us,
        .behind_bytes_max = copies->behind_bytes_max == 0 ? UINT64_MAX : copies->behind_bytes_max,
        .failures_max = NODE_SERVES_FAILURES,
        .rebuilds_max = copies->rebuilds_max == 0 ? 1 : copies->rebuilds_max};
}

static struct senders *senders_of(struct node *node)
{
    if (node->senders == NULL) {
        node->senders = memory_zeroed(1, sizeof *node->senders);
        node->senders->node = node;
        orchestrator_init(&node->senders->orchestrator, &(struct orchestrator_options){0});
    }
    take_budgets(node, &node->senders->orchestrator);
    return node->senders;
}

void senders_release(struct senders *senders)
{
    if (senders->flying == 0) memory_free(senders);
}

void node_serves_close(struct node *node)
{
    node_serves_end(node, BYE_STOP);
    if (node->senders == NULL) return;
    node->senders->node = NULL;
    senders_release(node->senders);
    node->senders = NULL;
}

bool node_serves_quiet(const struct node *node)
{
    return node->serves == NULL && (node->senders == NULL || node->senders->flying == 0);
}

static void look(struct serves *serves)
{
    node_watermarks(serves->node, &serves->watermarks);
    serves->appended = log_appended(serves->node->log);
}

static void advanced(struct task *task)
{
    struct serves *serves = CONTAINER_OF(task, struct serves, advanced);
    look(serves);
    if (serves->watermarks.copy_count == 0) return;
    for (struct list *at = serves->serves.next; at != &serves->serves; at = at->next)
        peer_log(&serve_at(at)->peer);
}

static void tell_acks(struct task *task)
{
    struct serves *serves = CONTAINER_OF(task, struct serves, acks);
    struct node *node = serves->node;
    struct list *at = serves->serves.next;
    while (at != &serves->serves) {
        struct serve *serve = serve_at(at);
        at = at->next;
        if (!serve->ack_due) continue;
        serve->ack_due = false;
        if (serves->leads) (void)node_acked(node, &serve->ack);
        if (node->serves != serves) return; /* it was the end of more than an entry's wait */
        at = serves->serves.next;
    }
    node_awaits_check(node); /* who waits for copies does so beyond the commit */
}

void node_serves_advanced(struct node *node)
{
    if (node->serves != NULL) clock_defer(node->world.clock, &node->serves->advanced);
}

static void note_lag(struct serves *serves)
{
    struct log_stats stats;
    log_stats(serves->node->log, &stats);
    lag_note(&serves->lag, log_durable(serves->node->log), stats.bytes - serves->bytes_then,
             now_us(serves->node));
}

/* What others knew of another epoch, or of another role of this copy, is not of now. */
static void forget_all(struct senders *senders, uint64_t now)
{
    struct assignment nobody = {.epoch = senders->orchestrator.epoch};
    struct orchestrator_ends ends;
    MUST(orchestrator_assign(&senders->orchestrator, &nobody, now, &ends) == ERR_OK);
    senders->orchestrator.epoch = (struct epoch){0};
    reconcile(senders);
}

void node_serves_begin(struct node *node)
{
    MUST(node->serves == NULL);
    struct serves *serves = memory_zeroed(1, sizeof *serves);
    struct senders *senders = senders_of(node);
    struct log_stats stats;
    log_stats(node->log, &stats);
    node->serves = serves;
    serves->node = node;
    serves->senders = senders;
    serves->leads = node->leads;
    serves->epoch = node->leads ? node->progress.epoch : node_follows_epoch(node);
    serves->advanced.run = advanced;
    serves->acks.run = tell_acks;
    list_init(&serves->serves);
    serves->bytes_then = stats.bytes;
    bool other = senders->led != node->leads ||
                 epoch_compare(serves->epoch, senders->orchestrator.epoch) < 0;
    if (other) forget_all(senders, now_us(node));
    senders->led = node->leads;
    look(serves);
    note_lag(serves);
    serves_assign(serves, 0, "");
}

void node_serves_end(struct node *node, enum bye_reason reason)
{
    struct serves *serves = node->serves;
    if (serves == NULL) return;
    struct list *first;
    while ((first = list_first(&serves->serves)) != NULL) {
        peer_bye(&serve_at(first)->peer, reason);
        serve_close(serve_at(first));
    }
    clock_cancel(node->world.clock, &serves->advanced);
    clock_cancel(node->world.clock, &serves->acks);
    node->serves = NULL;
    memory_free(serves);
}

void node_serves_hand_over(struct node *node, uint64_t copy)
{
    struct serves *serves = node->serves;
    if (serves == NULL) return;
    for (struct list *at = serves->serves.next; at != &serves->serves; at = at->next) {
        struct serve *serve = serve_at(at);
        if (serve->copy != copy || !is_current(serve)) continue;
        peer_bye(&serve->peer, BYE_LEAD);
        serve_close(serve);
        return;
    }
}

struct stream_owner *node_serves_accept(struct node *node, struct stream *stream,
                                        struct bytes first)
{
    struct serves *serves = node->serves;
    if (serves == NULL || serves->count == NODE_SERVES_MAX) return NULL;
    struct serve *serve = serve_open(serves, stream);
    struct stream_owner *owner = &serve->peer.owner;
    if (first.size > 0) owner->events->received(owner, first);
    if (serves->watermarks.copy_count > 0) peer_log(&serve->peer);
    return owner;
}

/* --- Time --- */

struct lag_figures serves_lag(const struct serves *serves, struct lsn applied)
{
    return lag_of(&serves->lag, applied, now_us(serves->node));
}

/* A copy that is heard is in contact, also when it has nothing to say; one that is gone falls
 * behind all the same. */
static void note_contact(struct serves *serves)
{
    struct orchestrator *orchestrator = &serves->senders->orchestrator;
    uint64_t now = now_us(serves->node);
    for (unsigned i = 0; i < orchestrator->count; i++) {
        const struct sender *sender = &orchestrator->senders[i];
        const struct served *served = served_of(serves->senders, sender->id);
        if (served == NULL || !sender->reported) continue;
        uint64_t behind = serves_lag(serves, served->ack.applied).bytes;
        orchestrator_behind(orchestrator, sender->id, behind);
        if (sender->session != 0)
            (void)orchestrator_acked(orchestrator, sender->session, sender->acked, behind, now);
    }
}

void node_serves_tick(struct node *node)
{
    struct serves *serves = node->serves;
    if (serves == NULL) return;
    (void)senders_of(node);                /* options may be others now */
    if (serves->fenced && serves->leads) { /* whoever leads now is asked for, or a later epoch */
        node_unlead(node, "a copy has promised a later epoch");
        return;
    }
    note_lag(serves);
    note_contact(serves);
    take_budgets(node, &serves->senders->orchestrator);
    orchestrator_evaluate(&serves->senders->orchestrator, now_us(node));
    drop_visitors(serves);
    for (struct list *at = serves->serves.next; at != &serves->serves; at = at->next) {
        peer_tick(&serve_at(at)->peer);
    }
}

/* --- What others ask --- */

static bool has_others(const struct node *node)
{
    const struct members *members = &node->membership.now;
    for (unsigned i = 0; i < members->count; i++) {
        if (members->at[i].id != node->site.identity.copy) return true;
    }
    return false;
}

/* A replica keeps what its primary keeps for all copies: any of them may lead next. */
static struct lsn floor_of_primary(const struct node *node, struct lsn none)
{
    struct message_watermarks watermarks;
    if (node->leads || PLANTED(REPLICA_TRIMS_ALONE)) return none;
    if (node_follows_watermarks(node, &watermarks)) return watermarks.floor;
    return has_others(node) ? (struct lsn){0} : none;
}

struct lsn node_serves_floor(const struct node *node, struct lsn none)
{
    struct lsn floor = lsn_min(none, floor_of_primary(node, none));
    if (node->senders != NULL) return orchestrator_floor(&node->senders->orchestrator, floor);
    return node->leads && has_others(node) ? (struct lsn){0} : floor;
}

unsigned node_serves_durable(const struct node *node, struct lsn lsn)
{
    if (node->serves == NULL) return 0;
    const struct serves *serves = node->serves;
    unsigned count = 0;
    for (struct list *at = serves->serves.next; at != &serves->serves; at = at->next) {
        const struct serve *serve = serve_at(at);
        count += is_current(serve) && !lsn_before(serve->primary.ack.durable, lsn);
    }
    return count;
}

enum err node_serves_rebuild(struct node *node, uint64_t copy)
{
    if (node->senders == NULL) return ERR_NOT_FOUND;
    return orchestrator_allow_rebuild(&node->senders->orchestrator, copy, now_us(node));
}

static const struct serve *serve_of_session(const struct serves *serves, uint64_t session)
{
    for (struct list *at = serves->serves.next; at != &serves->serves && session != 0;
         at = at->next) {
        if (serve_at(at)->session == session) return serve_at(at);
    }
    return NULL;
}

uint64_t node_serves_heard_us(const struct node *node, uint64_t copy)
{
    if (node->serves == NULL) return 0;
    const struct orchestrator *orchestrator = &node->serves->senders->orchestrator;
    const struct sender *sender = orchestrator_sender(orchestrator, copy);
    const struct serve *serve = sender == NULL ? NULL
                                               : serve_of_session(node->serves, sender->session);
    return serve == NULL ? 0 : serve->primary.link.received_us;
}

static void status_of_session(const struct serve *serve, uint64_t now, struct copy_status *out)
{
    const struct primary *primary = &serve->primary;
    out->contact_us = now - primary->link.received_us;
    if (primary->phase != PRIMARY_TRANSFER) return;
    out->image_done = primary->image_acked;
    out->image_bytes = primary->image.size;
}

static void status_of(const struct serves *serves, const struct sender *sender,
                      struct copy_status *out)
{
    const struct served *served = served_of(serves->senders, sender->id);
    const struct members *members = &serves->node->membership.now;
    const struct serve *serve = serve_of_session(serves, sender->session);
    uint64_t now = now_us(serves->node);
    *out = (struct copy_status){.id = sender->id,
                                .incarnation = sender->incarnation_seen,
                                .connected = sender->session != 0,
                                .needs_rebuild = sender->needs_rebuild,
                                .state = session_state_name(sender->state)};
    for (unsigned i = 0; i < members->count; i++) {
        if (members->at[i].id != sender->id) continue;
        out->configured = true;
        out->counts = members->at[i].counts;
        memcpy(out->peer, members->at[i].peer, sizeof out->peer);
        memcpy(out->redis, members->at[i].redis, sizeof out->redis);
    }
    MUST(served != NULL);
    if (served->peer[0] != '\0') memcpy(out->peer, served->peer, sizeof out->peer);
    if (served->redis[0] != '\0') memcpy(out->redis, served->redis, sizeof out->redis);
    out->plan = served->plan;
    out->rule = served->rule;
    out->durable = served->ack.durable;
    out->applied = served->ack.applied;
    out->flushed = served->ack.flushed;
    struct lag_figures lag = serves_lag(serves, served->ack.applied);
    out->lag_entries = lag.entries;
    out->lag_bytes = lag.bytes;
    out->lag_ms = lag.ms;
    out->contact_us = now - served->heard_us;
    if (serve != NULL) status_of_session(serve, now, out);
}

void node_serves_status(const struct node *node, struct copies_status *out)
{
    out->count = out->in_sync = 0;
    if (node->serves == NULL) return;
    const struct orchestrator *orchestrator = &node->serves->senders->orchestrator;
    for (unsigned i = 0; i < orchestrator->count && i < COPIES_MAX; i++)
        status_of(node->serves, &orchestrator->senders[i], &out->at[out->count++]);
    out->in_sync = orchestrator_in_sync(orchestrator);
}

void node_serves_tell(struct node *node, uint64_t copy, enum orchestrator_event_kind kind)
{
    orchestrator_tell(&senders_of(node)->orchestrator, copy, 0, kind, now_us(node));
}

bool node_serves_event(const struct node *node, uint64_t number, struct copy_event *out)
{
    if (node->senders == NULL) return false;
    const struct orchestrator *orchestrator = &node->senders->orchestrator;
    uint64_t all = orchestrator->event_count;
    uint64_t oldest = all > ORCHESTRATOR_EVENTS_MAX ? all - ORCHESTRATOR_EVENTS_MAX + 1 : 1;
    struct orchestrator_event event;
    if (number == 0) number = oldest;
    if (!orchestrator_event(orchestrator, number - 1, &event)) return false;
    bool ends = event.kind == TOLD_SESSION_ENDED;
    *out = (struct copy_event){.number = number,
                               .at_us = event.at_us,
                               .copy = event.copy,
                               .session = event.session,
                               .epoch = event.epoch,
                               .what = orchestrator_event_name(event.kind),
                               .state = session_state_name(event.state),
                               .rule = "",
                               .reason = ends ? bye_reason_name(event.reason) : ""};
    if (event.kind == TOLD_PLAN) out->rule = recover_rule_name(event.rule);
    return true;
}
