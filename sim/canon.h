/* SPDX-License-Identifier: Apache-2.0 */
/* canon: what a node's machine was given to apply, over all its lives: the one true order of
 * events that every checker compares with. It stands between the pipeline and the keys machine and
 * checks at once what can be checked at once:
 *
 * - the store comes back with a mark and digest that were applied once, with that very digest;
 * - a life applies densely from flushed + 1; what was applied before is applied again with the same
 *   epoch, stamp, lineage, payload, and leaves the same digest;
 * - each entry puts the same bytes at the same offset of the stream of effects again, and the store
 *   comes back with those that it says it keeps;
 * - the machine says of epochs and copies what the entries up to its mark have said;
 * - what is new is exactly the next; stamps rise; epochs rise with each ENTRY_EPOCH and only there;
 * - the machine's mark names the entry just applied, and nothing moves on ERR_PENDING;
 * - a start applies nothing beyond the recorded commit before its own epoch is open;
 * - at ready nothing that was ever applied is missing, and the newest entry is this life's epoch.
 *
 * With less than durability `always` a power cut may take the end: canon_allow_loss. */
#ifndef SIM_CANON_H
#define SIM_CANON_H

#include "base/checksum.h"
#include "seam/maker.h"
#include "sim/world.h"

/* One applied entry; its LSN is its place + 1. */
struct fact {
    struct epoch epoch;
    struct stamp stamp;
    struct lineage lineage;
    struct digest digest; /* after it */
    struct bytes payload; /* the history's */
    /* The stream of effects behind it, and what it has put there; the history's too. */
    bool streams;
    uint64_t stream_end;
    struct bytes stream;
};

/* Told before facts are dropped that a power cut took, inside the node but on the harness's heap.
 */
struct canon_listener {
    void (*losing)(struct canon_listener *listener, uint64_t keep);
};

struct recording {
    struct machine base;
    struct machine *inner; /* the node's; NULL between lives */
    struct canon *canon;
};

struct canon {
    struct sim_world *world; /* for failures; NULL: they are only kept in `failure` */
    struct canon_listener *listener;
    struct fact *facts;
    uint64_t count, capacity;

    struct machine_maker maker;        /* to be given to the node */
    struct machine_maker *inner_maker; /* the real one */
    struct recording recording;
    bool loss_allowed, opened;
    bool starting;         /* within the start: only what is recorded as committed is applied */
    uint64_t recorded;     /* by the log that is being started: committed */
    uint64_t life_from;    /* count at this life's opening */
    uint64_t life_applied; /* entries applied in this life */
    uint64_t life_new;     /* of them, those that were not known */
    uint64_t life_stamps;  /* of the applied ones, those that stamp a digest */
    uint64_t again, pendings, flushes, lost;
    struct lsn flushed;      /* of this life's opening */
    struct buffer proposals; /* payloads of entries, as machine_ops.due gives them */
    struct buffer stream;    /* scratch */
};

void canon_init(struct canon *canon, struct sim_world *world);
void canon_release(struct canon *canon);
/* The maker to put in place of `inner` (borrowed until the life ends); a life begins. */
struct machine_maker *canon_observe(struct canon *canon, struct machine_maker *inner);
/* The node serves: see above. */
void canon_ready(struct canon *canon);
/* The node's memory is gone. */
void canon_ended(struct canon *canon);
/* Power went with less than durability `always`: the next life may come back with less. */
void canon_allow_loss(struct canon *canon);
/* Has the node append an entry of this payload soon, if it can. */
void canon_propose(struct canon *canon, struct bytes payload);
/* Payload of the newest ENTRY_MEMBERS up to there; empty: none. Borrowed from the facts. */
struct bytes canon_members(const struct canon *canon, uint64_t lsn);
/* Adds a fact as if it had been applied; copies the payload. For tests of checkers too. */
void canon_add(struct canon *canon, const struct entry *entry, struct digest digest);
void canon_drop_from(struct canon *canon, uint64_t keep); /* what follows so many */
/* canon_stamps.c: of an entry that was just applied */
void canon_check_stamp(struct canon *canon, const struct entry *entry);

#endif
