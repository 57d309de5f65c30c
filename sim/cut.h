/* SPDX-License-Identifier: Apache-2.0 */
/* cut: what a power cut leaves of a simulated disk. */
#ifndef SIM_CUT_H
#define SIM_CUT_H

#include "base/dice.h"
#include "sim/node.h"

/* The cut's own dice: a function of the world's seed, the node, its I/O count and cut->number. */
void sim_cut_dice(const struct sim_node *node, const struct sim_cut *cut, struct dice *dice);
/* Decides about everything pending; afterwards nothing is, and what is seen is what was kept. Not
 * for SIM_KEEP_CACHE. */
void sim_cut_disk(struct sim_disk *disk, const struct sim_cut *cut, struct dice *dice);

#endif
