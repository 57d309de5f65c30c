/* SPDX-License-Identifier: Apache-2.0 */
/* annals: what the machines of all copies were given to apply: one order of events in each history,
 * whoever applied it first. It watches each copy's machine, and checks at once:
 *
 * - an LSN of a history is applied with the same epoch, stamp, lineage and payload by every copy,
 *   and leaves the same digest: no two committed lineages, and equal marks, equal digests;
 * - what is new is exactly the next; stamps rise; epochs rise with each ENTRY_EPOCH, only there;
 * - a machine opens with a mark and digest that were applied once, by whomever;
 * - a history that is new goes on from what its copy held, or begins at 0. */
#ifndef SIM_ANNALS_H
#define SIM_ANNALS_H

#include "sim/canon.h"

enum { ANNALS_MAX = 64, ANNALS_COPIES_MAX = 8 };

struct annal {
    struct history history;
    bool unborn;          /* it has no name yet: see annals_force */
    struct annal *parent; /* NULL: it began at 0 */
    uint64_t fork;        /* the last LSN that it has of its parent */
    struct canon canon;   /* all of it from LSN 1 on; only its facts are used */
};

struct annals_copy {
    struct annal *at; /* the history that its machine is of; NULL: not known yet */
    uint64_t applied;
    uint64_t opened;       /* machines, ever */
    struct annal *leaving; /* it was told to begin a new history in the place of this one; and */
    struct annal *stray;   /* has applied this beyond it, which may or may not come to be one */
};

struct annals {
    struct sim_world *world; /* for failures; NULL: only the first is kept, in `failure` */
    char failure[200];
    struct annal *list[ANNALS_MAX];
    unsigned count;
    struct annals_copy copies[ANNALS_COPIES_MAX];
    uint64_t again; /* entries that were applied before, by another copy or another life */
};

void annals_init(struct annals *annals, struct sim_world *world);
void annals_release(struct annals *annals);
/* A copy's machine was opened with this. */
void annals_opened(struct annals *annals, unsigned copy, const struct mark *mark,
                   struct digest digest);
/* It has applied the entry: its marks before and after that. */
void annals_applied(struct annals *annals, unsigned copy, const struct mark marks[2],
                    const struct entry *entry, struct digest digest);
/* A copy was told to begin a new history (or, not `on`, has done so, or has given it up): what it
 * applies meanwhile beyond what is known may be of the new one, although its marks do not say so
 * yet. If it has given up, the old one may yet go on with that, or without. */
void annals_force(struct annals *annals, unsigned copy, bool on);
void annals_wiped(struct annals *annals, unsigned copy); /* its disk is new */
/* The last LSN that it has in common with its parent, which it has. Later than `fork` if that one
 * has gone on with the same since. */
uint64_t annals_fork(const struct annal *annal);
unsigned annals_born(const struct annals *annals); /* histories that have a name */
struct annal *annals_find(struct annals *annals, const struct history *history); /* NULL: none */

/* Stands between a copy's node and its machine, over all its lives. */
struct witness {
    struct annals *annals;
    unsigned copy;
    struct machine_maker maker;        /* to be given to the node */
    struct machine_maker *inner_maker; /* the real one */
    struct machine_ops ops;            /* the machine's own, but for apply() */
    enum err (*apply)(struct machine *machine, const struct entry *entry, unsigned attempt,
                      struct outcome *outcome);
};

void witness_init(struct witness *witness, struct annals *annals, unsigned copy);
/* The maker to put in place of `inner`, which is borrowed until the life ends. */
struct machine_maker *witness_observe(struct witness *witness, struct machine_maker *inner);

#endif
