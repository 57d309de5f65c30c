/* SPDX-License-Identifier: Apache-2.0 */
/* faults: which operations of a disk or store go wrong, and how. A fault is a rule: the operations
 * it is for, how many of them pass first, how many it then hits. */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dice.h"
#include "base/err.h"

enum sim_fault_kind {
    SIM_FAULT_ERROR,    /* answers `err`; a write writes nothing; a sync drops what was unsynced */
    SIM_FAULT_SHORT,    /* write, fill: a part is written, then `err` */
    SIM_FAULT_STALL,    /* `amount` microseconds more */
    SIM_FAULT_FLIP,     /* one bit of what is read (and only there), or of what is written */
    SIM_FAULT_LOSE,     /* write: answered, never done */
    SIM_FAULT_MISPLACE, /* read, write: at another place of the same file */
    SIM_FAULT_LIE,      /* sync: answered, not done */
    SIM_FAULT_LATE, /* sync: drops what was unsynced, and the next sync of the file answers `err` */
};

struct sim_fault {
    uint64_t ops;         /* bits 1 << enum disk_op, or 1 << enum sim_store_op */
    const char *paths;    /* glob; NULL: all. Copied by sim_faults_add */
    const char *except;   /* glob of those it is not for; NULL: none. Copied likewise */
    uint64_t skip;        /* operations that match and pass first */
    uint64_t hits;        /* then so many are hit; 0: all from then on */
    uint32_t per_million; /* the chance of each hit; 0: certain */
    enum sim_fault_kind kind;
    enum err err;    /* ERR_OK: ERR_IO */
    uint64_t amount; /* STALL: microseconds. ERROR on a sync: chance per million that a write got
                        through all the same */
};

struct sim_faults {
    struct sim_fault *list;
    uint64_t *ids;
    size_t count, capacity;
    uint64_t newest_id;
    struct dice *dice;
    uint64_t hits; /* so far, of all rules: a run in which nothing was hit proves nothing */
};

void sim_faults_init(struct sim_faults *faults, struct dice *dice); /* the world's dice */
void sim_faults_release(struct sim_faults *faults);
/* Returns an id for sim_faults_remove. */
uint64_t sim_faults_add(struct sim_faults *faults, const struct sim_fault *fault);
void sim_faults_remove(struct sim_faults *faults, uint64_t id); /* gone already is fine */
void sim_faults_clear(struct sim_faults *faults);
/* Whether it has hits left, so long as it was not removed. */
bool sim_faults_waits(const struct sim_faults *faults, uint64_t id);
/* The first rule that hits this operation is copied into *hit; every rule that matches counts it.
 * STALL rules are not looked at here. */
bool sim_faults_roll(struct sim_faults *faults, unsigned op, const char *path,
                     struct sim_fault *hit);
/* How much longer this operation takes, by the STALL rules alone. */
uint64_t sim_faults_stall_us(struct sim_faults *faults, unsigned op, const char *path);

#endif
