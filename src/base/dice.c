/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dice.h"

#include "base/must.h"

/* SplitMix64 (Steele, Lea, Flood 2014): what xoshiro's authors advise for seeding, since it has no
 * bad seeds and never fills all four words with zero. */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t word = *state += 0x9e3779b97f4a7c15u;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9u;
    word = (word ^ word >> 27) * 0x94d049bb133111ebu;
    return word ^ word >> 31;
}

void dice_init(struct dice *dice, uint64_t seed)
{
    for (int i = 0; i < 4; i++) dice->state[i] = split_mix(&seed);
}

static uint64_t rotate_left(uint64_t word, int count)
{
    return word << count | word >> (64 - count);
}

uint64_t dice_roll(struct dice *dice)
{
    uint64_t *s = dice->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t dice_below(struct dice *dice, uint64_t bound)
{
    MUST(bound > 0);
    /* The first 2^64 mod bound values would make the low results likelier; roll again on those. */
    uint64_t least = (0 - bound) % bound;
    uint64_t roll = dice_roll(dice);
    while (roll < least) roll = dice_roll(dice);
    return roll % bound;
}

bool dice_chance(struct dice *dice, uint64_t n, uint64_t of)
{
    return dice_below(dice, of) < n;
}
