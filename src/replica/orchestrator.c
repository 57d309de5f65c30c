/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/orchestrator.h"

void orchestrator_init(struct orchestrator *orchestrator,
                       const struct orchestrator_options *options)
{
    memset(orchestrator, 0, sizeof *orchestrator);
    orchestrator->options = *options;
}

static struct sender *find(struct orchestrator *orchestrator, uint64_t copy)
{
    for (unsigned i = 0; i < orchestrator->count; i++) {
        if (orchestrator->senders[i].id == copy) return &orchestrator->senders[i];
    }
    return NULL;
}

static struct sender *find_session(struct orchestrator *orchestrator, uint64_t session)
{
    for (unsigned i = 0; i < orchestrator->count && session != 0; i++) {
        if (orchestrator->senders[i].session == session) return &orchestrator->senders[i];
    }
    return NULL;
}

/* One record a copy, never one for several. */
static struct orchestrator_event *note(struct orchestrator *orchestrator,
                                       enum orchestrator_event_kind kind,
                                       const struct sender *sender)
{
    uint64_t number = orchestrator->event_count++;
    struct orchestrator_event *event = &orchestrator->events[number % ORCHESTRATOR_EVENTS_MAX];
    *event = (struct orchestrator_event){.number = number,
                                         .at_us = orchestrator->now_us,
                                         .kind = kind,
                                         .copy = sender->id,
                                         .session = sender->session,
                                         .epoch = orchestrator->epoch,
                                         .state = sender->state};
    return event;
}

static void sender_check(const struct sender *sender)
{
    MUST(!sender->held || !sender->needs_rebuild);
    MUST(sender->session != 0 || !sender->rebuilding);
}

static void let_go(struct orchestrator *orchestrator, struct sender *sender,
                   enum orchestrator_event_kind kind, struct orchestrator_ends *ends)
{
    if (sender->session == 0) return;
    (void)note(orchestrator, kind, sender);
    ends->sessions[ends->count++] = sender->session;
    sender->session = 0;
    sender->rebuilding = false;
    sender->state = sender->needs_rebuild ? STATE_NEEDS_REBUILD : STATE_DISCONNECTED;
}

static void need_rebuild(struct orchestrator *orchestrator, struct sender *sender)
{
    if (sender->held) (void)note(orchestrator, TOLD_HOLD_DROPPED, sender);
    sender->held = false;
    if (!sender->needs_rebuild) (void)note(orchestrator, TOLD_NEEDS_REBUILD, sender);
    sender->needs_rebuild = true;
    sender->may_rebuild = false;
    if (sender->session == 0) sender->state = STATE_NEEDS_REBUILD;
    sender_check(sender);
}

/* --- Assignments --- */

static bool is_assigned(const struct assignment *assignment, uint64_t id)
{
    for (unsigned i = 0; i < assignment->count; i++) {
        if (assignment->replicas[i].id == id) return true;
    }
    return false;
}

/* The id that is there twice; 0: none. */
static uint64_t find_twice(const struct assignment *assignment)
{
    for (unsigned i = 0; i < assignment->count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (assignment->replicas[i].id == assignment->replicas[k].id)
                return assignment->replicas[i].id;
        }
    }
    return 0;
}

static void remove_others(struct orchestrator *orchestrator, const struct assignment *assignment,
                          struct orchestrator_ends *ends)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < orchestrator->count; i++) {
        struct sender *sender = &orchestrator->senders[i];
        if (is_assigned(assignment, sender->id)) {
            orchestrator->senders[kept++] = *sender;
            continue;
        }
        let_go(orchestrator, sender, TOLD_SESSION_INVALIDATED, ends);
        (void)note(orchestrator, TOLD_REMOVED, sender);
    }
    orchestrator->count = kept;
}

static void keep(struct orchestrator *orchestrator, struct sender *sender, const char *endpoint,
                 bool new_epoch, struct orchestrator_ends *ends)
{
    bool moved = strcmp(sender->endpoint, endpoint) != 0;
    if (moved || new_epoch) let_go(orchestrator, sender, TOLD_SESSION_INVALIDATED, ends);
    if (moved) {
        memcpy(sender->endpoint, endpoint, sizeof sender->endpoint);
        sender->endpoint_version++;
        (void)note(orchestrator, TOLD_ENDPOINT_CHANGED, sender);
    }
    if (!new_epoch) return;
    sender->acked = (struct lsn){0}; /* what it acked to another primary is not known here */
    sender->need = (struct lsn){0};
    (void)note(orchestrator, TOLD_EPOCH_CHANGED, sender);
}

static void add(struct orchestrator *orchestrator, uint64_t id, const char *endpoint)
{
    struct sender *sender = &orchestrator->senders[orchestrator->count++];
    *sender = (struct sender){.id = id,
                              .endpoint_version = 1,
                              .state = STATE_DISCONNECTED,
                              .held = true,
                              .contact_us = orchestrator->now_us};
    memcpy(sender->endpoint, endpoint, sizeof sender->endpoint);
    (void)note(orchestrator, TOLD_ADDED, sender);
}

enum err orchestrator_assign(struct orchestrator *orchestrator, const struct assignment *assignment,
                             uint64_t now_us, struct orchestrator_ends *ends)
{
    ends->count = 0;
    int order = epoch_compare(assignment->epoch, orchestrator->epoch);
    uint64_t twice = find_twice(assignment);
    orchestrator->now_us = now_us;
    MUST(assignment->count <= PROGRESS_COPIES_MAX);
    if (order < 0 || twice != 0) {
        orchestrator_tell(orchestrator, twice, 0, TOLD_ASSIGNMENT_REFUSED, now_us);
        return ERR_REFUSED;
    }
    orchestrator->epoch = assignment->epoch;
    remove_others(orchestrator, assignment, ends);
    for (unsigned i = 0; i < assignment->count; i++) {
        uint64_t id = assignment->replicas[i].id;
        char endpoint[ORCHESTRATOR_ENDPOINT_BYTES] = {
            0}; /* compared and kept without what follows */
        memcpy(endpoint, assignment->replicas[i].endpoint,
               strnlen(assignment->replicas[i].endpoint, ORCHESTRATOR_ENDPOINT_BYTES - 1));
        struct sender *sender = find(orchestrator, id);
        if (sender == NULL) add(orchestrator, id, endpoint);
        else keep(orchestrator, sender, endpoint, order > 0, ends);
    }
    return ERR_OK;
}

/* --- Sessions --- */

const struct sender *orchestrator_begin(struct orchestrator *orchestrator, uint64_t copy,
                                        uint64_t session, uint64_t now_us,
                                        struct orchestrator_ends *ends)
{
    ends->count = 0;
    orchestrator->now_us = now_us;
    MUST(session != 0 && find_session(orchestrator, session) == NULL);
    struct sender *sender = find(orchestrator, copy);
    if (sender == NULL) {
        struct sender stranger = {.id = copy};
        (void)note(orchestrator, TOLD_SESSION_REFUSED, &stranger);
        return NULL;
    }
    let_go(orchestrator, sender, TOLD_SESSION_SUPERSEDED, ends);
    sender->session = session;
    sender->state = STATE_CONNECTING;
    (void)note(orchestrator, TOLD_SESSION_BEGUN, sender);
    sender_check(sender);
    return sender;
}

bool orchestrator_take_rebuild(struct orchestrator *orchestrator, uint64_t copy)
{
    struct sender *sender = find(orchestrator, copy);
    unsigned busy = 0;
    for (unsigned i = 0; i < orchestrator->count; i++) busy += orchestrator->senders[i].rebuilding;
    bool may = sender != NULL && sender->session != 0 &&
               (sender->rebuilding || busy < orchestrator->options.rebuilds_max) &&
               (!sender->needs_rebuild || sender->may_rebuild);
    if (may) sender->rebuilding = true;
    else if (sender != NULL) (void)note(orchestrator, TOLD_SESSION_REFUSED, sender);
    return may;
}

enum err orchestrator_allow_rebuild(struct orchestrator *orchestrator, uint64_t copy,
                                    uint64_t now_us)
{
    struct sender *sender = find(orchestrator, copy);
    if (sender == NULL) return ERR_NOT_FOUND;
    orchestrator->now_us = now_us;
    sender->may_rebuild = true;
    sender->failures = 0;
    sender->contact_us = now_us;
    (void)note(orchestrator, TOLD_REBUILD_ALLOWED, sender);
    return ERR_OK;
}

bool orchestrator_planned(struct orchestrator *orchestrator, uint64_t session,
                          const struct recover_plan *plan, uint64_t incarnation, uint64_t now_us)
{
    struct sender *sender = find_session(orchestrator, session);
    if (sender == NULL) return false;
    orchestrator->now_us = now_us;
    note(orchestrator, TOLD_PLAN, sender)->rule = plan->rule;
    if (plan->kind == RECOVER_REFUSE) return true;
    sender->incarnation_seen = incarnation;
    sender->contact_us = now_us;
    bool rebuild = plan->kind == RECOVER_REBUILD || plan->kind == RECOVER_REBUILD_BASE;
    if (!rebuild && sender->needs_rebuild) return true; /* sticky: only a rebuild clears it */
    sender->reported = true;
    sender->needs_rebuild = false;
    sender->held = true;
    sender->acked = rebuild ? (struct lsn){0} : sender->acked;
    sender->need = rebuild ? plan->pin : (struct lsn){0};
    return true;
}

bool orchestrator_state(struct orchestrator *orchestrator, uint64_t session,
                        enum session_state state, uint64_t now_us)
{
    struct sender *sender = find_session(orchestrator, session);
    if (sender == NULL) return false;
    orchestrator->now_us = now_us;
    sender->state = state;
    if (state == STATE_IN_SYNC) {
        sender->failures = 0;
        sender->rebuilding = false;
        sender->may_rebuild = false;
    }
    (void)note(orchestrator, TOLD_STATE, sender);
    if (state == STATE_NEEDS_REBUILD) need_rebuild(orchestrator, sender);
    return true;
}

bool orchestrator_acked(struct orchestrator *orchestrator, uint64_t session, struct lsn durable,
                        uint64_t behind_bytes, uint64_t now_us)
{
    struct sender *sender = find_session(orchestrator, session);
    if (sender == NULL) return false;
    orchestrator->now_us = now_us;
    if (lsn_before(sender->acked, durable)) sender->failures = 0; /* a link that breaks is none */
    sender->acked = durable;
    sender->behind_bytes = behind_bytes;
    sender->contact_us = now_us;
    return true;
}

void orchestrator_behind(struct orchestrator *orchestrator, uint64_t copy, uint64_t bytes)
{
    struct sender *sender = find(orchestrator, copy);
    if (sender != NULL) sender->behind_bytes = bytes;
}

bool orchestrator_ended(struct orchestrator *orchestrator, uint64_t session, enum bye_reason reason,
                        uint64_t now_us)
{
    struct sender *sender = find_session(orchestrator, session);
    if (sender == NULL) return false;
    orchestrator->now_us = now_us;
    bool fell = sender->state == STATE_CATCHING_UP && reason != BYE_STOP;
    note(orchestrator, TOLD_SESSION_ENDED, sender)->reason = reason;
    sender->session = 0;
    sender->rebuilding = false;
    sender->state = sender->needs_rebuild ? STATE_NEEDS_REBUILD : STATE_DISCONNECTED;
    if (fell && ++sender->failures >= orchestrator->options.failures_max)
        need_rebuild(orchestrator, sender);
    sender_check(sender);
    return true;
}

void orchestrator_tell(struct orchestrator *orchestrator, uint64_t copy, uint64_t session,
                       enum orchestrator_event_kind kind, uint64_t now_us)
{
    const struct sender stranger = {.id = copy}, *sender = find(orchestrator, copy);
    orchestrator->now_us = now_us;
    note(orchestrator, kind, sender == NULL ? &stranger : sender)->session = session;
}

/* --- Budgets and the floor --- */

void orchestrator_evaluate(struct orchestrator *orchestrator, uint64_t now_us)
{
    orchestrator->now_us = now_us;
    for (unsigned i = 0; i < orchestrator->count; i++) {
        struct sender *sender = &orchestrator->senders[i];
        bool late = now_us - sender->contact_us > orchestrator->options.silent_us;
        bool far = sender->behind_bytes > orchestrator->options.behind_bytes_max;
        if (sender->held && !sender->rebuilding && (late || far))
            need_rebuild(orchestrator, sender);
    }
}

struct lsn orchestrator_floor(const struct orchestrator *orchestrator, struct lsn none)
{
    struct lsn floor = none;
    for (unsigned i = 0; i < orchestrator->count; i++) {
        const struct sender *sender = &orchestrator->senders[i];
        if (!sender->held) continue;
        /* Also of one that is being rebuilt: its pin goes with its session. */
        struct lsn from = sender->reported ? lsn_max(lsn_next(sender->acked), sender->need)
                                           : (struct lsn){0};
        floor = lsn_min(floor, from);
    }
    return floor;
}

const struct sender *orchestrator_sender(const struct orchestrator *orchestrator, uint64_t copy)
{
    for (unsigned i = 0; i < orchestrator->count; i++) {
        if (orchestrator->senders[i].id == copy) return &orchestrator->senders[i];
    }
    return NULL;
}

unsigned orchestrator_in_sync(const struct orchestrator *orchestrator)
{
    unsigned count = 0;
    for (unsigned i = 0; i < orchestrator->count; i++)
        count += orchestrator->senders[i].state == STATE_IN_SYNC;
    return count;
}

bool orchestrator_event(const struct orchestrator *orchestrator, uint64_t number,
                        struct orchestrator_event *event)
{
    if (number >= orchestrator->event_count) return false;
    if (orchestrator->event_count - number > ORCHESTRATOR_EVENTS_MAX) return false;
    *event = orchestrator->events[number % ORCHESTRATOR_EVENTS_MAX];
    return true;
}

const char *orchestrator_event_name(enum orchestrator_event_kind kind)
{
    static const char *const names[ORCHESTRATOR_EVENT_KINDS] = {
        [TOLD_ADDED] = "added",
        [TOLD_REMOVED] = "removed",
        [TOLD_ENDPOINT_CHANGED] = "endpoint_changed",
        [TOLD_EPOCH_CHANGED] = "epoch_changed",
        [TOLD_SESSION_BEGUN] = "session_begun",
        [TOLD_SESSION_SUPERSEDED] = "session_superseded",
        [TOLD_SESSION_INVALIDATED] = "session_invalidated",
        [TOLD_SESSION_ENDED] = "session_ended",
        [TOLD_SESSION_REFUSED] = "session_refused",
        [TOLD_STATE] = "state",
        [TOLD_PLAN] = "plan",
        [TOLD_NEEDS_REBUILD] = "needs_rebuild",
        [TOLD_REBUILD_ALLOWED] = "rebuild_allowed",
        [TOLD_HOLD_DROPPED] = "hold_dropped",
        [TOLD_PIN_FAILED] = "pin_failed",
        [TOLD_PINS_RELEASED] = "pins_released",
        [TOLD_IMAGE_FAILED] = "image_failed",
        [TOLD_ASSIGNMENT_REFUSED] = "assignment_refused",
        [TOLD_REDIS_FULL_SYNC] = "redis_full_sync",
        [TOLD_REDIS_INSTALLED] = "redis_installed",
        [TOLD_REDIS_CONTINUES] = "redis_continues",
        [TOLD_REDIS_LINK_LOST] = "redis_link_lost",
        [TOLD_REDIS_STOPPED] = "redis_stopped",
    };
    return kind < ORCHESTRATOR_EVENT_KINDS ? names[kind] : "unknown";
}
