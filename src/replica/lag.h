/* SPDX-License-Identifier: Apache-2.0 */
/* lag: how far a copy stands behind, in entries, bytes and time. Samples of where the primary was
 * when, thinned out with age; it rises while a copy is stuck, whatever the copy says. */
#ifndef REPLICA_LAG_H
#define REPLICA_LAG_H

#include "base/mark.h"

enum { LAG_SAMPLES_MAX = 128 }; /* even */

struct lag_sample {
    struct lsn durable;
    uint64_t bytes; /* of all entries through it, counted from anywhere */
    uint64_t at_us;
};

struct lag {
    struct lag_sample samples[LAG_SAMPLES_MAX]; /* ascending */
    unsigned count;
};

struct lag_figures {
    uint64_t entries, bytes, ms;
};

/* The primary's log is durable through here now. */
void lag_note(struct lag *lag, struct lsn durable, uint64_t bytes, uint64_t now_us);
/* No copy will ask for less than this any more. */
void lag_forget(struct lag *lag, struct lsn applied);
/* Of a copy that has applied through here. Bytes and time are never too few. */
struct lag_figures lag_of(const struct lag *lag, struct lsn applied, uint64_t now_us);

#endif
