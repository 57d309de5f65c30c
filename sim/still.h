/* SPDX-License-Identifier: Apache-2.0 */
/* still: a store that stands still: the records of a tree, for readers that may wait. So what an
 * image holds is counted by the same recount as a store is. */
#ifndef SIM_STILL_H
#define SIM_STILL_H

#include "seam/store.h"
#include "sim/tree.h"

struct still {
    struct store base;     /* cursors of it; all else is a programmer's error */
    struct sim_tree *tree; /* borrowed */
};

void still_init(struct still *still, struct sim_tree *tree);

#endif
