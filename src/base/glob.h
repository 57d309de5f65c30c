/* SPDX-License-Identifier: Apache-2.0 */
/* glob: Redis's glob patterns (`*`, `?`, `[a-z]`, `[^x]`, backslash), matched without recursion. */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include "base/bytes.h"

/* Whether the whole of `text` matches. Iterative; work is bounded by pattern size x text size,
 * and by GLOB_STEPS_MAX steps, after which the answer is false. */
enum { GLOB_STEPS_MAX = 1 << 22, GLOB_STARS_MAX = 1000 };
bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case);

#endif
