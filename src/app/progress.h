/* SPDX-License-Identifier: Apache-2.0 */
/* progress: how far a tool is, on standard error where that is a terminal: percent, rate, time
 * left. */
#ifndef APP_PROGRESS_H
#define APP_PROGRESS_H

#include <stdbool.h>

#include "seam/clock.h"

enum progress_unit { PROGRESS_BYTES, PROGRESS_RECORDS, PROGRESS_FILES };

/* Caller-owned. */
struct progress {
    struct clock *clock;
    const char *what; /* a constant */
    enum progress_unit unit;
    bool seen; /* by somebody */
    uint64_t began_us, shown_us;
};

void progress_begin(struct progress *progress, struct clock *clock, const char *what,
                    enum progress_unit unit);
/* Called as often as one likes; `all` is 0 where it is not known. */
void progress_show(struct progress *progress, uint64_t done, uint64_t all);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
