/* SPDX-License-Identifier: Apache-2.0 */
/* crash: exhaustive crash points. A script runs once to count its I/O operations; then it is run
 * again for every operation and every variant of what is left (sim_crash_variant), crashed there,
 * started, checked; and crashed once more during that recovery. In one variant more the newest
 * segment of the log is gone after the last crash: refused, or nothing acknowledged is missing. */
#ifndef SIM_CRASH_H
#define SIM_CRASH_H

#include "sim/storm.h"

struct crash_options {
    const char *script;  /* NULL: all */
    bool deep;           /* every operation of each recovery in every variant, not one of them */
    uint64_t points_max; /* stop after so many; 0: no bound */
    bool first_failure;  /* stop at it */
};

struct crash_result {
    uint64_t points, again, failures;
    char failure[800]; /* the first */
};

bool crash_script_known(const char *name);
const char *crash_script_name(size_t i); /* NULL: past the end */
void crash_run(const struct crash_options *options, struct crash_result *result);

#endif
