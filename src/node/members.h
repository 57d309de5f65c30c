/* SPDX-License-Identifier: Apache-2.0 */
/* members: which copies the log names, by which rule its entries commit, and the steps that change
 * either. A step is an entry like any other; one at a time is under way. */
#ifndef NODE_MEMBERS_H
#define NODE_MEMBERS_H

#include "replica/replica.h"
#include "seam/copies.h"

struct node;

/* One step. Order is law: it counts before its entry is appended. */
enum change_stage {
    CHANGE_NONE,
    CHANGE_CONFIGURE, /* the copy is named; then it counts for promotions */
    CHANGE_ADD,       /* it counts for commits */
    CHANGE_REMOVE,
    CHANGE_FORGET, /* it is named no more */
    CHANGE_RULE,
};

/* A session of now, of a copy that may be no member yet. */
struct attached {
    uint64_t copy, incarnation, session; /* session 0: nobody */
    struct lsn durable;                  /* acked in it */
};

/* When another copy was heard last. */
struct heard {
    uint64_t copy, us; /* copy 0: free */
};

enum { HEARD_MAX = PROGRESS_COPIES_MAX + COPIES_MAX };

struct membership {
    struct members now; /* by the newest entry that names copies, committed or not */
    bool proposes;      /* the configured rule is to be proposed: the log has none yet */
    enum change_stage stage;
    struct members next;
    uint64_t copy;
    struct lsn entry;   /* of the step; 0: the log had no room for it yet */
    struct list steers; /* struct steer: the first is under way */
    struct attached attached[PROGRESS_COPIES_MAX];
    uint64_t gone_us[PROGRESS_COPIES_MAX]; /* of progress->copies: a session lived last */
    struct heard heard[HEARD_MAX];         /* reach.h: of this epoch */
    uint64_t sure_until_us;                /* likewise */
    bool out_of_reach;                     /* likewise: so many that no write is committed */
};

/* An entry that names copies is in the log, applied or not. */
void node_members_note(struct node *node, struct bytes payload);
/* This copy leads: its epoch's entry has that LSN, `committed` is what is known to be. */
void node_members_lead(struct node *node, struct epoch epoch, struct lsn committed,
                       struct lsn epoch_entry);
/* It does not any more: steps that were asked for end with the reason. */
void node_members_unlead(struct node *node, const char *reason);
/* The own log, or an ack, moved on: what is committed now. */
void node_members_commit(struct node *node);
void node_members_name(struct node *node); /* it leads: appends who it says that there is */
void node_members_step(struct node *node); /* goes on with steps; now and then */
/* STEER_ADD, STEER_REMOVE, STEER_RULE. */
void node_members_steer(struct node *node, struct steer *steer);
/* NULL: writes may be admitted; else why not, as an error reply in *text. */
bool node_members_may_write(struct node *node, const char **error);
/* The rule in force, as told to others. */
void node_members_watermarks(const struct node *node, struct message_watermarks *out);

#endif
