/* SPDX-License-Identifier: Apache-2.0 */
/* progress: what is committed, who counts, and who may lead. Pure: numbers in, numbers out.
 *
 * The law that all of it serves: two primaries never both commit. A commit is durable on every copy
 * that counts, and on `min_in_sync` of the `n` configured ones at least (mode all); a promotion has
 * the promises of n - min_in_sync + 1 of them; so the two have a copy in common, which either
 * tells the new primary of the entry or has refused the old one. */
#ifndef REPLICA_PROGRESS_H
#define REPLICA_PROGRESS_H

#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"

enum { PROGRESS_COPIES_MAX = 16 };

enum commit_mode {
    COMMIT_LOCAL = 1, /* durable here */
    COMMIT_ALL = 2,   /* durable on every copy that counts */
};

struct commit_rule {
    enum commit_mode mode;
    unsigned min_in_sync; /* mode all: with fewer that count nothing is committed */
};

/* Whether a copy's answer is required for a commit. It is in all states but the first. */
enum counting {
    COUNTING_OUT,
    COUNTING_JOINS, /* from before the step that adds it is proposed */
    COUNTING_IN,
    COUNTING_LEAVES, /* until the step that removes it is confirmed */
};

struct progress_copy {
    uint64_t id, incarnation;
    uint64_t session;   /* whose acks are taken; 0: none */
    struct lsn durable; /* synced there: of this session only; 0 until it says so */
    enum counting counting;
    struct lsn step; /* of the entry that adds or removes it; 0: not proposed yet */
};

/* Of one primary, for one epoch. copies[0] is its own. */
struct progress {
    struct epoch epoch;
    struct commit_rule rule, next; /* `next` is proposed while `rule_changes`: both must hold */
    bool rule_changes;
    struct lsn rule_step; /* of the entry that says `next`; 0: not proposed yet */
    unsigned count;       /* configured copies */
    struct progress_copy copies[PROGRESS_COPIES_MAX];
    struct lsn epoch_entry; /* that opens the epoch: nothing is committed before it is */
    struct lsn committed;   /* recorded when the epoch was opened, then what the rule gives */
    uint64_t stale;         /* acks that were dropped */
};

/* An answer of a copy, as it came. */
struct progress_ack {
    struct epoch epoch;
    uint64_t copy, incarnation, session;
    struct lsn durable;
};

enum progress_refusal {
    PROGRESS_OK,
    PROGRESS_TOO_FEW,  /* fewer than min_in_sync would count */
    PROGRESS_BEHIND,   /* it lacks something committed */
    PROGRESS_UNKNOWN,  /* no such copy, or no session with it */
    PROGRESS_ONE_STEP, /* another step is not confirmed yet */
};

/* Of the one copy `own`, mode local, alone. Others are configured with progress_admit(). */
void progress_init(struct progress *progress, struct epoch epoch, uint64_t own);
/* What the log says when the epoch is opened: who counts, and by which rule. */
void progress_recall(struct progress *progress, struct commit_rule rule, struct lsn committed,
                     struct lsn epoch_entry);
/* One more configured copy; `counts` only for what progress_recall() comes with. The entry that
 * configures it is committed: until then a promotion does not ask it. ERR_LIMIT: too many. */
MUST_USE enum err progress_admit(struct progress *progress, uint64_t copy, bool counts);
/* One less; it does not count. What says so is appended after its removal was confirmed. */
MUST_USE enum progress_refusal progress_forget(struct progress *progress, uint64_t copy);
/* A session with the copy begins: nothing of an earlier one counts any more. */
void progress_attach(struct progress *progress, uint64_t copy, uint64_t incarnation,
                     uint64_t session);
void progress_detach(struct progress *progress, uint64_t copy, uint64_t session);
/* False: it was stale and was dropped. A durable that goes back is stale too. */
bool progress_ack(struct progress *progress, const struct progress_ack *ack);
void progress_own(struct progress *progress, struct lsn durable); /* synced here */
/* Recomputes what is committed; it never goes back. True: it moved, or a step was confirmed. */
bool progress_commit(struct progress *progress);
/* Whether writes may be admitted: enough copies count. A member that cannot answer does not change
 * that: it holds commits up until it is removed. */
bool progress_may_write(const struct progress *progress);
bool progress_lacks_one(const struct progress *progress); /* that counts: no commit until then */
/* The rule in force: of two, the stricter in each respect. */
struct commit_rule progress_rule(const struct progress *progress);
unsigned progress_counting(const struct progress *progress);

/* Begins to count a copy; the caller then appends the entry that says so. */
MUST_USE enum progress_refusal progress_add(struct progress *progress, uint64_t copy);
/* Begins to remove one; it goes on counting until the entry is confirmed. */
MUST_USE enum progress_refusal progress_remove(struct progress *progress, uint64_t copy);
/* Begins to change the rule; the entry that says so is then appended. */
MUST_USE enum progress_refusal progress_change(struct progress *progress, struct commit_rule next);
void progress_change_step(struct progress *progress, struct lsn entry);
/* The entry of the step that was begun has this LSN. */
void progress_step(struct progress *progress, uint64_t copy, struct lsn entry);

/* --- Promises --- */

struct promise_request {
    struct epoch epoch;
    uint64_t candidate;
    bool only_asks; /* whether it would be promised: nothing is */
};

struct promise_answer {
    uint64_t copy, incarnation;
    bool granted;
    bool vouches;          /* its log holds all that it ever acked: no rebuild is under way */
    bool leads;            /* it is the primary of the epoch that it has promised */
    struct epoch promised; /* durably, now */
    struct mark last;      /* of its log */
    struct lsn durable, committed;
};

/* Whether a copy may promise: never an epoch at or below the one it has promised, but the same
 * again to the same one. */
bool promise_may_grant(struct epoch promised, const struct promise_request *request);
/* How many promises a promotion needs. */
unsigned promise_quorum(unsigned configured, unsigned min_in_sync);

struct promotion {
    struct epoch epoch;
    unsigned configured, min_in_sync;
    unsigned count;
    struct promise_answer answers[PROGRESS_COPIES_MAX];
    struct epoch beaten; /* the highest epoch that someone has promised instead */
};

void promotion_init(struct promotion *promotion, struct epoch epoch, unsigned configured,
                    unsigned min_in_sync);
/* The candidate's own promise, made durable, is one of them. False: it changes nothing. */
bool promotion_answer(struct promotion *promotion, const struct promise_answer *answer);
/* Enough promises are there. *best is the one whose log is to be adopted: the greatest {epoch of
 * the last entry, LSN}. */
bool promotion_won(const struct promotion *promotion, const struct promise_answer **best);
/* Whether a log that ends with `a` has more in that sense than one that ends with `b`. */
bool promotion_is_ahead(const struct mark *a, const struct mark *b);

#endif
