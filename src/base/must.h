/* SPDX-License-Identifier: Apache-2.0 */
/* must: assertions that stay on in every build, and the two macros that the language lacks. */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))

/* A programmer error: prints expression and place on standard error and aborts. Bytes from a peer,
 * a client or a disk may never trip one. */
#define MUST(cond) ((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))
__attribute__((noreturn, cold)) void must_fail(const char *condition, const char *file, int line);

/* From a pointer to a member back to the struct that embeds it. */
#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
