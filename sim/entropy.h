/* SPDX-License-Identifier: Apache-2.0 */
/* entropy: unpredictable to the node, the same in each run of a seed. */
#ifndef SIM_ENTROPY_H
#define SIM_ENTROPY_H

#include <stdint.h>

#include "base/dice.h"
#include "seam/entropy.h"

struct sim_entropy {
    struct entropy base;
    struct dice dice;
};

/* Goes on over the lives of a node: an id made after a restart is a new one. */
void sim_entropy_init(struct sim_entropy *entropy, uint64_t seed);

#endif
