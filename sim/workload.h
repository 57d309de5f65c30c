/* SPDX-License-Identifier: Apache-2.0 */
/* workload: draws what clients ask for. Values are unique where a command has one, so that an entry
 * in the history belongs to exactly one op. */
#ifndef SIM_WORKLOAD_H
#define SIM_WORKLOAD_H

#include "base/dice.h"
#include "sim/ops.h"

enum workload_kind {
    WORKLOAD_STRINGS,
    WORKLOAD_MIXED,
    WORKLOAD_WAITS,
    WORKLOAD_REGISTERS,
    WORKLOADS
};

struct workload {
    enum workload_kind kind;
    struct dice *dice;
    uint64_t tags; /* given so far */
    unsigned keys; /* of each type */
    size_t value_bytes_max;
    bool expiry, transactions;
    struct drawn_words words;
    struct args args;
};

/* By name; false: there is none. And the name. */
bool workload_by_name(const char *name, enum workload_kind *out);
const char *workload_name(enum workload_kind kind);

void workload_init(struct workload *workload, enum workload_kind kind, struct dice *dice);
void workload_release(struct workload *workload);

/* What a draw may be. */
enum draw {
    DRAW_ANY,   /* answered together with its own mark */
    DRAW_INNER, /* a read, or a write with a unique payload */
    DRAW_READ,
    DRAW_QUEUED, /* within MULTI */
};
/* Draws one command into workload->words and says what it is. */
struct drawn {
    enum op_kind kind;
    bool unique, unordered, pairs;
};
struct drawn workload_draw(struct workload *workload, enum draw draw);
/* A unique SET, for a transaction that has nothing unique yet. */
struct drawn workload_draw_set(struct workload *workload);
/* A key that transactions watch. */
void workload_draw_watch(struct workload *workload);

#endif
