/* SPDX-License-Identifier: Apache-2.0 */
#include "state/score.h"

#include <math.h>

_Static_assert(sizeof(double) == SCORE_BYTES, "a score is a binary64");

void score_encode(double score, uint8_t out[SCORE_BYTES])
{
    if (score == 0) score = 0;
    uint64_t bits;
    memcpy(&bits, &score, sizeof bits);
    store_le64(out, bits);
}

double score_decode(struct bytes value)
{
    if (value.size != SCORE_BYTES) return 0;
    uint64_t bits = load_le64(value.data);
    double score;
    memcpy(&score, &bits, sizeof score);
    return isnan(score) ? 0 : score;
}
