/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/entropy.h"

#include <string.h>

#include "base/must.h"

static void entropy_fill_from_dice(struct entropy *base, void *out, size_t size)
{
    struct sim_entropy *entropy = CONTAINER_OF(base, struct sim_entropy, base);
    uint8_t *at = out;
    while (size > 0) {
        uint64_t word = dice_roll(&entropy->dice);
        size_t part = size < sizeof(word) ? size : sizeof(word);
        memcpy(at, &word, part);
        at += part;
        size -= part;
    }
}

static const struct entropy_ops entropy_ops_of_sim = {.fill = entropy_fill_from_dice};

void sim_entropy_init(struct sim_entropy *entropy, uint64_t seed)
{
    entropy->base.ops = &entropy_ops_of_sim;
    dice_init(&entropy->dice, seed);
}
