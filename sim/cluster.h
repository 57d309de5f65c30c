/* SPDX-License-Identifier: Apache-2.0 */
/* cluster: one seed of several copies of a shard. Servers that follow one another, clients that ask
 * whoever leads, an operator who adds, promotes and attaches copies again, and faults drawn from
 * the seed: processes, power, disks, clocks, and what lies between nodes (sim/weather.h).
 *
 * Checked all the time: sim/annals.h; that nobody leads in another's epoch; that the log is kept
 * for those who need it. At the end everything is mended and every process is started anew: within
 * half a minute one copy leads, all others are in sync with it, nothing that was applied anywhere
 * is gone, and clients were told what the one history says (sim/oracle.h). A forced promotion may
 * lose what the new history does not have, and nothing else may. */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include <stdio.h>

#include "sim/sibling.h"
#include "sim/weather.h"

enum { CLUSTER_COPIES_MAX = 5 };

/* In the order of the summary line. */
enum cluster_fault {
    CLUSTER_KILL,
    CLUSTER_POWER_CUT,
    CLUSTER_CRASH_AT_IO,
    CLUSTER_CRASH_IN_START,
    CLUSTER_CLEAN_STOP,
    CLUSTER_KILL_ALL,
    CLUSTER_WIPE, /* a copy comes back with an empty disk */
    CLUSTER_SLOW_DISK,
    CLUSTER_SYNC_ERROR,
    CLUSTER_WALL_JUMP,
    CLUSTER_DRIFT,
    CLUSTER_CLIENT_RESET,
    CLUSTER_FAILOVER, /* what an operator asks for, from here on */
    CLUSTER_PROMOTE,
    CLUSTER_REMOVE,
    CLUSTER_FOLLOW, /* anybody is told to follow anybody */
    CLUSTER_FAULTS,
};
const char *cluster_fault_name(enum cluster_fault fault);

/* What an operator's words came to. */
enum cluster_word {
    CLUSTER_ADDED,
    CLUSTER_REMOVED,
    CLUSTER_PROMOTED,
    CLUSTER_NOT_PROMOTED,
    CLUSTER_FORCED,
    CLUSTER_FAILED_OVER,
    CLUSTER_NOT_FAILED_OVER,
    CLUSTER_ATTACHED,
    CLUSTER_BURIED, /* a copy that is no more */
    CLUSTER_LED,    /* somebody else leads than before */
    CLUSTER_WORDS,
};
const char *cluster_word_name(enum cluster_word word);

struct cluster_options {
    uint64_t seed;
    unsigned copies; /* 1 to CLUSTER_COPIES_MAX */
    FILE *trace;     /* NULL: none */
};

struct cluster_result {
    char failure[700]; /* "": it passed */
    uint64_t hash, ops, entries, again, lives, simulated_us, turns, lost, histories, searched;
    uint64_t faults[CLUSTER_FAULTS], words[CLUSTER_WORDS];
    uint64_t weather[WEATHER_KINDS], hits[SIM_HITS];
    struct sibling_told told;
};

void cluster_run(const struct cluster_options *options, struct cluster_result *result);

#endif
