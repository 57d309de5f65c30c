/* SPDX-License-Identifier: Apache-2.0 */
/* storm: one seed. A server over several lives, clients that keep asking, faults drawn from the
 * seed, and at the end every check: oracle, recount, a start after a clean stop. */
#ifndef SIM_STORM_H
#define SIM_STORM_H

#include <stdio.h>

#include "sim/oracle.h"
#include "sim/workload.h"

/* In the order of the summary line. */
enum storm_fault {
    FAULT_KILL,
    FAULT_POWER_CUT,
    FAULT_CRASH_AT_IO,
    FAULT_CRASH_IN_RECOVERY,
    FAULT_CLEAN_STOP,
    FAULT_SYNC_ERROR,
    FAULT_SYNC_ERROR_KEPT,
    FAULT_SHORT_WRITE,
    FAULT_NO_SPACE,
    FAULT_FLUSH_NO_SPACE,
    FAULT_FLUSH_ERROR,
    FAULT_WALL_JUMP,
    FAULT_DRIFT,
    FAULT_COLD_STORE,
    FAULT_SLOW_DISK,
    FAULT_PAUSE,
    FAULT_RESET,
    FAULT_DAMAGE_BELOW,
    FAULT_DAMAGE_ABOVE,
    FAULT_DAMAGE_SLOT,
    FAULT_START_ERROR,
    FAULT_FILE_ERROR,
    FAULT_STORE_READ_ERROR,
    FAULT_SPOILED,
    FAULT_RECONFIGURED,
    STORM_FAULTS,
};
const char *storm_fault_name(enum storm_fault fault);

struct storm_options {
    uint64_t seed;
    int workload; /* enum workload_kind; -1: drawn */
    FILE *trace;  /* NULL: none */
};

enum { STORM_FAILURE_BYTES = 700 };
struct storm_result {
    char failure[STORM_FAILURE_BYTES]; /* "": it passed */
    uint64_t hash;
    uint64_t ops, entries, lives, simulated_us, replayed, pendings, lost, relaxed, turns, searched;
    uint64_t told; /* bytes of the stream of effects */
    uint64_t images, image_errors, restores;
    uint64_t doctored, executed, fell_back, gate_refused; /* stores; starts */
    uint64_t faults[STORM_FAULTS];
};

void storm_run(const struct storm_options *options, struct storm_result *result);

#endif
