/* SPDX-License-Identifier: Apache-2.0 */
/* verify: `tidemark verify HOST:PORT HOST:PORT...`: whether running copies hold the same. */
#ifndef APP_VERIFY_H
#define APP_VERIFY_H

#include <stddef.h>

#include "app/exit_status.h"

/* CLEAN: they are equal; DIGEST: they differ, and each key that does was named; REFUSED: it cannot
 * be told, with the reason. *what is set where the usage is wrong. */
enum exit_status tool_verify(size_t count, const char *const *words, const char **what);

#endif
