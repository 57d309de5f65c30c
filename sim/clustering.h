/* SPDX-License-Identifier: Apache-2.0 */
/* clustering: what cluster.c (a seed), cluster_faults.c (what goes wrong in it) and
 * cluster_operator.c (what is done about it) share. */
#ifndef SIM_CLUSTERING_H
#define SIM_CLUSTERING_H

#include "sim/cluster.h"
#include "sim/sibling.h"
#include "sim/talker.h"

enum { CLUSTER_NOBODY = CLUSTER_COPIES_MAX };

/* A copy, as the harness knows it. */
struct site_state {
    bool down;            /* that it went down has been seen */
    bool stopping;        /* it was told to stop */
    bool crash_armed;     /* it may go down at any moment */
    bool fresh;           /* its disk is new, and it was not in sync since */
    bool forced;          /* it was told to begin a new history, which was not seen yet */
    uint64_t forced_life; /* of its process then */
    uint64_t up_us;       /* when it is started again */
    uint64_t id;          /* that was seen last; 0: none */
    uint64_t floor;       /* of its log, as seen last; of a machine of its: */
    uint64_t opened;      /* the number of that, and its epoch then */
    struct epoch epoch;
    uint64_t stray_us;   /* since when it does not follow whom it should; 0: it does */
    uint64_t sync_rule;  /* a sync that fails: it may end; 0: none */
    uint64_t stall_rule; /* its disk is slow; 0: it is not */
};

struct cluster {
    struct sim_world *world;
    struct annals annals;
    unsigned count;
    struct sibling copies[CLUSTER_COPIES_MAX];
    struct sibling_look looks[CLUSTER_COPIES_MAX]; /* of the last look */
    struct site_state states[CLUSTER_COPIES_MAX];
    struct sibling_settings settings;
    struct sim_node *nodes[CLUSTER_COPIES_MAX];
    struct workload workload;
    struct ops ops;
    struct talkers talkers;
    struct weather weather;
    struct dice dice; /* what is drawn here */
    struct buffer reply;
    struct cluster_result *result;

    bool on[CLUSTER_FAULTS]; /* drawn for the seed */
    bool forces;             /* likewise: a new history is begun where that is needed */
    bool asking;             /* clients go on asking */
    bool calm;               /* no faults any more, and the operator does not wait */
    unsigned ticks;
    unsigned leader;        /* whom clients ask; CLUSTER_NOBODY: nobody was seen to lead yet */
    struct annal *annal;    /* the history that the operator takes for the true one */
    uint64_t leaderless_us; /* since when nobody is seen to lead it; 0: somebody does */
    uint64_t kept;          /* so many entries of it were applied when calm began */
    uint64_t patience_us;   /* so long until something is done about that */
};

/* cluster.c */
uint64_t cluster_below(struct cluster *cluster, uint64_t bound);
bool cluster_failed(const struct cluster *cluster);
void cluster_drop_ops(struct cluster *cluster, uint64_t keep);

/* cluster_faults.c */
void cluster_draw(struct cluster *cluster, const struct cluster_options *options);
void cluster_strike(struct cluster *cluster);
void cluster_crash(struct cluster *cluster, unsigned index, bool power);
void cluster_mend(struct cluster *cluster); /* disks and clocks; what lies between is weather's */
bool cluster_may_end(const struct cluster *cluster, unsigned index);

/* cluster_operator.c */
/* Starts those whose time has come; looks at everyone, and says what is wrong with that. */
void cluster_see(struct cluster *cluster);
/* And does something about what is not as it should be. */
void cluster_operate(struct cluster *cluster);
/* One copy leads, all others are in sync with it. `why`: what is missing. */
bool cluster_is_whole(struct cluster *cluster, struct why *why);
/* Says it to a copy. False: no answer. */
bool cluster_say(struct cluster *cluster, unsigned index, const char *line);
bool cluster_said_ok(const struct cluster *cluster);

#endif
