/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * banned: functions that no room may call. The Makefile includes this file before the first line of
 * every source of src/ and sim/. No source includes it.
 *
 * A poisoned word stops the compiler wherever it appears later, in system headers too. So the three
 * headers that declare the words come first; their include guards make any later #include empty.
 * Names that are too good to be poisoned (`random` is a seam, `malloc` an attribute) are macros
 * with arguments instead: only a call is refused. Calls by pointer escape this file; they
 * are found in the objects by scripts/check-style, which refuses the same names once more.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No bound on what they write, or a bound that leaves the text without its end. */
#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef gets
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets

/* Hidden state between calls, or no way to report a bad number. */
#undef strtok
#undef atoi
#undef atol
#undef atoll
#undef atof
#pragma GCC poison strtok atoi atol atoll atof

/* The stack is bounded by design. */
#undef alloca
#pragma GCC poison alloca

/* Time enters through the clock seam. real/ includes <time.h>, which declares these: there the
 * objects are checked instead. */
#ifndef BANNED_IN_REAL
#pragma GCC poison gmtime localtime ctime asctime
#endif

#define BANNED(name) sorry_##name##_is_a_banned_function

/* Dice enter through the random seam. */
#undef rand
#undef srand
#undef random
#undef srandom
#define rand() BANNED(rand)
#define srand(seed) BANNED(srand)
#define random() BANNED(random)
#define srandom(seed) BANNED(srandom)

/* Memory comes from base/memory.h, so that a simulated node's heap can be dropped whole. */
#ifndef BANNED_ALLOCATION_FREE
#undef malloc
#undef calloc
#undef realloc
#undef free
#define malloc(size) BANNED(malloc)
#define calloc(count, size) BANNED(calloc)
#define realloc(old, size) BANNED(realloc)
#define free(old) BANNED(free)
#endif

#endif
