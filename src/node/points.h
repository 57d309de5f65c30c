/* SPDX-License-Identifier: Apache-2.0 */
/* points: views of this copy right behind an ENTRY_VERIFY, for whoever compares copies.
 *
 *   FREE --entry applied--> WANTED --a flush of exactly that freezes--> FLUSHING --flushed-->
 *     COUNTING --summed up--> COUNTED --asked for keys--> LISTING --listed--> COUNTED
 *   any --it failed, its time is over, space is short--> FREE
 *
 * While WANTED nothing more is applied: no run of entries crosses a view. That lasts for the rest
 * of a flush that is under way, and one sync. */
#ifndef NODE_POINTS_H
#define NODE_POINTS_H

#include "seam/entry.h"
#include "seam/machine.h"
#include "seam/service.h"

struct node;

enum { POINTS_MAX = 4 };

enum point_phase {
    POINT_FREE,
    POINT_WANTED,
    POINT_FLUSHING,
    POINT_COUNTING,
    POINT_COUNTED,
    POINT_LISTING
};

struct point {
    struct node *node;
    enum point_phase phase;
    struct verify_point asked;
    struct mark mark;
    uint64_t until_us; /* COUNTED: then it is let go */
    struct survey *survey;
    struct survey_ask ask;
    struct digest *sums; /* owned: as many as ranges */
    struct digest digest;
    uint64_t keys, misfits;
    struct verification *caller; /* LISTING; NULL: it has gone */
    uint32_t wanted[VERIFICATION_WANTED_MAX];
    struct buffer found;
};

struct points {
    struct point at[POINTS_MAX];
};

/* --- The service's side --- */

void node_verify(struct service *service, struct verification *verification);
void node_unverify(struct service *service, struct verification *verification);

/* --- Calls of the node's other files --- */

void node_points_applied(struct node *node, const struct entry *entry);
bool node_points_hold(const struct node *node); /* nothing more is applied now */
void node_points_step(struct node *node);       /* a flush may begin */
void node_points_freezing(struct node *node);   /* a flush begins, of what is applied */
void node_points_flushed(struct node *node, enum err err);
void node_points_tick(struct node *node);
/* The machine is about to be closed, which ends surveys; it was. */
void node_points_close(struct node *node);
void node_points_reset(struct node *node);

#endif
