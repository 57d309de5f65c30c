/* SPDX-License-Identifier: Apache-2.0 */
/* dice: a small seeded generator (SplitMix64 seeding xoshiro256**, Blackman and Vigna 2018).
 * Deterministic everywhere; never a source of secrets (that is seam/entropy.h). */
#ifndef BASE_DICE_H
#define BASE_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state[4];
};

void dice_init(struct dice *dice, uint64_t seed);
uint64_t dice_roll(struct dice *dice);                        /* uniform over 64 bits */
uint64_t dice_below(struct dice *dice, uint64_t bound);       /* uniform in [0, bound), bound > 0 */
bool dice_chance(struct dice *dice, uint64_t n, uint64_t of); /* true n times in `of` */

#endif
