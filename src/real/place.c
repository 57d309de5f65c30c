/* SPDX-License-Identifier: Apache-2.0 */
#include "real/place.h"

#include <string.h>

uint64_t place_median_us(const struct place *place)
{
    uint64_t sorted[PLACE_SAMPLES];
    for (unsigned i = 0; i < place->count; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] > place->samples[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = place->samples[i];
    }
    return place->count > 0 ? sorted[place->count / 2] : 0;
}

bool place_note(struct place *place, uint64_t us)
{
    place->samples[place->next] = us;
    place->next = (place->next + 1) % PLACE_SAMPLES;
    if (place->count < PLACE_SAMPLES) place->count += 1;
    /* The usual case, before the sorting. */
    if (!place->thread && us <= PLACE_SLOW_US) return false;
    if (place->thread && us >= PLACE_FAST_US) return false;
    uint64_t median = place_median_us(place);
    bool leave = !place->thread && place->count >= PLACE_SAMPLES_TO_LEAVE && median > PLACE_SLOW_US;
    bool back = place->thread && place->count == PLACE_SAMPLES && median < PLACE_FAST_US;
    if (!leave && !back) return false;
    place->thread = leave;
    place->count = place->next = 0;
    return true;
}
