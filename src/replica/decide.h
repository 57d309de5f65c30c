/* SPDX-License-Identifier: Apache-2.0 */
/* decide: how a copy comes to have what the primary has. One pure table: facts of both in, a plan
 * with its proof out. The plan fixes source, image and target; whoever carries it out asks nothing
 * more. */
#ifndef REPLICA_DECIDE_H
#define REPLICA_DECIDE_H

#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"
#include "replica/history.h"

/* What a copy says of itself: the facts of one moment. */
struct recover_facts {
    uint64_t cluster;
    uint32_t shard;
    uint32_t level; /* of features that it understands */
    uint64_t copy, incarnation;
    struct epoch promised;
    struct mark last; /* of the log's last entry; its history is the copy's. LSN 0: nothing yet */
    struct lsn floor; /* first entry kept; last + 1 when there is none */
    struct lsn durable, committed, applied, flushed;
    struct lineage applied_lineage; /* of the entry at `applied` */
    struct epochs_view epochs;
    bool wipe; /* what it has may be given up: it is new, or someone has said so */
};

/* What the primary knows. */
struct recover_source {
    struct recover_facts own; /* `promised` is the epoch that it leads */
    uint32_t level_least;     /* that a replica must understand */
    bool given_up;            /* the copy was: nothing less than a rebuild will do */
    bool strict;              /* its mode never loses what it has committed */
    bool has_lineage;         /* of its entry at recover_common(): false when it is trimmed */
    struct lineage lineage;
    struct mark image; /* of the newest image that was verified; LSN 0: there is none */
    /* Of this copy, from earlier sessions; zero if nothing is known. */
    uint64_t incarnation_seen;
    struct lsn acked; /* in this epoch, and since it was last rebuilt */
};

/* These and the refusals are on the wire too: append only. */
enum recover_kind {
    RECOVER_IN_PLACE, /* it has everything */
    RECOVER_CATCH_UP,
    RECOVER_CUT,          /* its log to `common`, durably, then catch up */
    RECOVER_REBUILD,      /* from the image that there is, then the log after it */
    RECOVER_REBUILD_BASE, /* from an image that is made now */
    RECOVER_REFUSE,
    RECOVER_KINDS
};

enum recover_refusal {
    REFUSAL_NONE,
    REFUSAL_FENCED,      /* the copy has promised a later epoch: who asks is no primary any more */
    REFUSAL_FOREIGN,     /* another cluster, shard, history, or our own id */
    REFUSAL_DAMAGED,     /* what it says contradicts itself or the log */
    REFUSAL_ROLLED_BACK, /* it had more once */
    REFUSAL_LEVEL,       /* it does not understand what it would be sent */
    REFUSAL_CONFLICT,    /* it knows as committed what the primary lacks */
    REFUSALS
};

/* The rows of the table. Numbers are on the wire, so append only; decide.c has the order in which
 * they are tried, and the first that fits decides. */
enum recover_rule {
    RULE_OWN_FACTS,
    RULE_FACTS,
    RULE_CLUSTER,
    RULE_SHARD,
    RULE_TWIN,
    RULE_LEVEL,
    RULE_FENCED,
    RULE_INCARNATION = 8, /* 7 is given to none */
    RULE_HISTORY,
    RULE_ACKED,
    RULE_FORK_EPOCH,
    RULE_FORGOTTEN,
    RULE_CONFLICT,
    RULE_LOST_BY_MODE,
    RULE_GIVEN_UP,
    RULE_FORK_LINEAGE,
    RULE_TRIMMED,
    RULE_AHEAD,
    RULE_EQUAL,
    RULE_BEHIND,
    RECOVER_RULES
};

struct recover_plan {
    enum recover_kind kind;
    enum recover_rule rule;
    enum recover_refusal refusal;
    /* The last entry that both have. Lineage 0: its proof is the replica's, before it cuts. */
    struct mark common;
    struct lsn from;   /* entries after this one are sent ... */
    struct lsn target; /* ... through this one, frozen here, before the session may go live */
    struct mark image; /* RECOVER_REBUILD: this one */
    struct lsn pin;    /* entries from here on are to be held */
    /* The numbers that the rule looked at. */
    struct lsn head, floor, replica_last, replica_committed;
};

/* Where the two logs part by their epochs: the LSN whose lineage the primary must look up before it
 * decides. LSN 0: nothing is to be looked up. */
struct lsn recover_common(const struct recover_facts *primary, const struct recover_facts *replica);
void recover_decide(const struct recover_source *primary, const struct recover_facts *replica,
                    struct recover_plan *plan);

enum { RECOVER_TEXT_BYTES = 400 };
/* `plan=cut rule=ahead common=41 ...`: for the log and for people; zero-terminated. */
void recover_format(const struct recover_plan *plan, char out[RECOVER_TEXT_BYTES]);
const char *recover_kind_name(enum recover_kind kind);
const char *recover_rule_name(enum recover_rule rule);
const char *recover_refusal_name(enum recover_refusal refusal);

#endif
