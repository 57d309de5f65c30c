/* SPDX-License-Identifier: Apache-2.0 */
/* orchestrator: who is to be served, and the only one who begins, supersedes or ends a session.
 * Pure: it keeps a sender for each copy and says what to do; every decision is an event, per copy.
 *
 * Evaluating budgets and reading the floor are separate calls: the first changes senders, the
 * second changes nothing. */
#ifndef REPLICA_ORCHESTRATOR_H
#define REPLICA_ORCHESTRATOR_H

#include "replica/session.h"

enum {
    ORCHESTRATOR_EVENTS_MAX = 1024,
    ORCHESTRATOR_ENDPOINT_BYTES = MESSAGE_ENDPOINT_BYTES_MAX + 1,
};

/* Who follows in which epoch. Ids are unique; endpoints are texts, zero-terminated. */
struct assignment {
    struct epoch epoch;
    unsigned count;
    struct {
        uint64_t id;
        char endpoint[ORCHESTRATOR_ENDPOINT_BYTES];
    } replicas[PROGRESS_COPIES_MAX];
};

enum orchestrator_event_kind {
    TOLD_ADDED,
    TOLD_REMOVED,
    TOLD_ENDPOINT_CHANGED,
    TOLD_EPOCH_CHANGED,
    TOLD_SESSION_BEGUN,
    TOLD_SESSION_SUPERSEDED,
    TOLD_SESSION_INVALIDATED, /* its epoch or endpoint is none any more */
    TOLD_SESSION_ENDED,       /* with its reason */
    TOLD_SESSION_REFUSED,     /* a copy that is not assigned, or a rebuild that waits */
    TOLD_STATE,
    TOLD_PLAN, /* with its rule */
    TOLD_NEEDS_REBUILD,
    TOLD_REBUILD_ALLOWED,
    TOLD_HOLD_DROPPED,       /* a budget is used up */
    TOLD_PIN_FAILED,         /* what a plan needs of log or images cannot be held */
    TOLD_PINS_RELEASED,      /* nothing is held for that session any more */
    TOLD_IMAGE_FAILED,       /* none could be made, or what was held is damaged */
    TOLD_ASSIGNMENT_REFUSED, /* of a past epoch, or with this copy twice: nothing was changed */
    /* Of this copy, which follows a Redis server: */
    TOLD_REDIS_FULL_SYNC, /* all of its keys are being taken */
    TOLD_REDIS_INSTALLED, /* and are the state now */
    TOLD_REDIS_CONTINUES, /* its stream goes on where it was */
    TOLD_REDIS_LINK_LOST,
    TOLD_REDIS_STOPPED, /* it has said what cannot be done here */
    ORCHESTRATOR_EVENT_KINDS
};

struct orchestrator_event {
    uint64_t number, at_us; /* numbers are dense: what is missing has been overwritten */
    enum orchestrator_event_kind kind;
    uint64_t copy, session;
    struct epoch epoch;
    enum session_state state;
    enum bye_reason reason;
    enum recover_rule rule;
};

/* What is known of one copy, over all of its sessions. */
struct sender {
    uint64_t id;
    char endpoint[ORCHESTRATOR_ENDPOINT_BYTES];
    uint64_t endpoint_version; /* grows when the endpoint does change, only then */
    uint64_t session;          /* 0: none lives */
    enum session_state state;
    bool needs_rebuild; /* sticky, until orchestrator_allow_rebuild() */
    bool may_rebuild, rebuilding;
    bool reported; /* since this start */
    bool held;     /* its place holds the log */
    uint64_t incarnation_seen;
    struct lsn acked; /* in this epoch */
    struct lsn need;  /* from here on, by the plan of its rebuild; nothing before it */
    uint64_t contact_us, behind_bytes;
    unsigned failures; /* sessions in a row that ended before in_sync and brought nothing */
};

struct orchestrator_options {
    uint64_t silent_us, behind_bytes_max; /* budgets of a copy: time without contact, bytes */
    unsigned failures_max;                /* then it needs a rebuild */
    unsigned rebuilds_max;                /* at a time, on this node */
};

struct orchestrator {
    struct orchestrator_options options;
    struct epoch epoch;
    unsigned count;
    struct sender senders[PROGRESS_COPIES_MAX];
    struct orchestrator_event events[ORCHESTRATOR_EVENTS_MAX]; /* a ring */
    uint64_t event_count;                                      /* ever */
    uint64_t now_us;
};

/* Sessions that the caller ends now, with BYE_SUPERSEDED. */
struct orchestrator_ends {
    unsigned count;
    uint64_t sessions[PROGRESS_COPIES_MAX];
};

void orchestrator_init(struct orchestrator *orchestrator,
                       const struct orchestrator_options *options);
/* Reconciled in place: a copy that stays keeps what is known of it. ERR_REFUSED: an epoch below the
 * present one, or an id twice; then nothing was changed. */
MUST_USE enum err orchestrator_assign(struct orchestrator *orchestrator,
                                      const struct assignment *assignment, uint64_t now_us,
                                      struct orchestrator_ends *ends);
/* A copy has proved who it is and asks to be served by this new session; one that lived is ended.
 * NULL: it is not assigned. */
const struct sender *orchestrator_begin(struct orchestrator *orchestrator, uint64_t copy,
                                        uint64_t session, uint64_t now_us,
                                        struct orchestrator_ends *ends);
/* Whether a plan that needs a rebuild may be carried out now; if so it has its slot. */
bool orchestrator_take_rebuild(struct orchestrator *orchestrator, uint64_t copy);
/* An operator, or a plan, clears needs_rebuild. */
MUST_USE enum err orchestrator_allow_rebuild(struct orchestrator *orchestrator, uint64_t copy,
                                             uint64_t now_us);
/* What a session tells. Of one that is not the copy's present one nothing is believed: false. */
bool orchestrator_planned(struct orchestrator *orchestrator, uint64_t session,
                          const struct recover_plan *plan, uint64_t incarnation, uint64_t now_us);
bool orchestrator_state(struct orchestrator *orchestrator, uint64_t session,
                        enum session_state state, uint64_t now_us);
bool orchestrator_acked(struct orchestrator *orchestrator, uint64_t session, struct lsn durable,
                        uint64_t behind_bytes, uint64_t now_us);
/* How far it is behind now, whether it has a session or not. */
void orchestrator_behind(struct orchestrator *orchestrator, uint64_t copy, uint64_t bytes);
bool orchestrator_ended(struct orchestrator *orchestrator, uint64_t session, enum bye_reason reason,
                        uint64_t now_us);
/* What became of what a session needs, also when it is not the copy's present one any more. */
void orchestrator_tell(struct orchestrator *orchestrator, uint64_t copy, uint64_t session,
                       enum orchestrator_event_kind kind, uint64_t now_us);
/* Copies beyond a budget lose their hold and need a rebuild. */
void orchestrator_evaluate(struct orchestrator *orchestrator, uint64_t now_us);
/* Entries from here on are held for copies; the LSN 0: all of them, since one that is assigned has
 * not reported yet. `none` when nobody holds any. */
struct lsn orchestrator_floor(const struct orchestrator *orchestrator, struct lsn none);
const struct sender *orchestrator_sender(const struct orchestrator *orchestrator, uint64_t copy);
unsigned orchestrator_in_sync(const struct orchestrator *orchestrator);
/* The event of that number. False: it is overwritten, or yet to come. */
bool orchestrator_event(const struct orchestrator *orchestrator, uint64_t number,
                        struct orchestrator_event *event);
const char *orchestrator_event_name(enum orchestrator_event_kind kind);

#endif
