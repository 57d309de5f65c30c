/* SPDX-License-Identifier: Apache-2.0 */
/* oracle: whether what clients were told fits the one history. Every acknowledgement and every read
 * names its place in the log, so the answer is exact and costs n log n:
 *
 * - an acknowledged write stands in the history at its LSN, with its lineage and its words, once;
 * - a write stands above every LSN that anyone had been told of when it was sent, a read at or
 * above it; ops of one connection stand in their order;
 * - each reply is the model's reply at its LSN;
 * - what was refused is absent; what is unknown is there once or not at all; nobody else's entry is
 *   there; what a blocking pop took, its client was told (or its connection was lost);
 * - while the stream of effects is on, a second model that is given only that holds the same. */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "sim/canon.h"
#include "sim/ops.h"

struct oracle_result {
    char failure[400]; /* "": everything fits */
    uint64_t checked, reads, writes, unknown_found, unknown_absent, relaxed;
    uint64_t told; /* bytes of the stream of effects */
};

/* Gives unknown ops an LSN where the history has them. */
void oracle_check(const struct canon *canon, struct ops *ops, struct oracle_result *result);
/* The end of the history from `keep` on was lost with the power: ops that were checked and stand
 * there are gone with it. */
void oracle_forget(struct ops *ops, uint64_t keep);

#endif
