/* SPDX-License-Identifier: Apache-2.0 */
/* checksum_wide: XXH3 of long runs with the widest instructions that the processor has; for
 * checksum.c. The results are those of every other way. */
#ifndef BASE_CHECKSUM_WIDE_H
#define BASE_CHECKSUM_WIDE_H

#include "base/checksum.h"

/* Up to here XXH3 uses no wide instructions, and a call into the library costs as much. */
enum { CHECKSUM_WIDE_BYTES = 240 };

uint64_t checksum_wide(struct bytes bytes, uint64_t seed);
struct digest digest_wide(struct bytes bytes);
/* `state`: an XXH3_state_t. */
void checksum_wide_add(void *state, struct bytes bytes);
void digest_wide_add(void *state, struct bytes bytes);

#endif
