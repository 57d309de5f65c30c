/* SPDX-License-Identifier: Apache-2.0 */
/* score: how a sorted set's element holds its score (docs/formats/state.md): the IEEE 754 binary64
 * as a little-endian integer. There is one zero. */
#ifndef STATE_SCORE_H
#define STATE_SCORE_H

#include "base/bytes.h"

enum { SCORE_BYTES = 8 };

void score_encode(double score, uint8_t out[SCORE_BYTES]); /* -0 becomes 0 */
double score_decode(struct bytes value);                   /* 0 for what is no score */

#endif
