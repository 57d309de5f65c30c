/* SPDX-License-Identifier: Apache-2.0 */
/* followed: a place in the stream of a primary of another make (Redis). A state that has one holds
 * what that primary held there, and nothing else: whatever changes a key otherwise takes the place
 * away. */
#ifndef SEAM_FOLLOWED_H
#define SEAM_FOLLOWED_H

#include <stdbool.h>
#include <stdint.h>

enum { FOLLOWED_NAME_BYTES = 40 };

struct followed {
    bool known;                     /* else there is no place, and the rest is zero */
    char name[FOLLOWED_NAME_BYTES]; /* of the primary's history; printable, not terminated */
    uint64_t offset;                /* of the last byte that is in the state */
    uint8_t database;               /* that is selected behind it, 0 to 15 */
};

/* As entries and the store's meta record have a place that is known: name 40, offset le64,
 * database 1. */
enum { FOLLOWED_BYTES = FOLLOWED_NAME_BYTES + 8 + 1, FOLLOWED_DATABASES_MAX = 16 };
void followed_encode(const struct followed *place, uint8_t out[FOLLOWED_BYTES]);
bool followed_decode(const uint8_t at[FOLLOWED_BYTES], struct followed *out); /* false: none */

#endif
