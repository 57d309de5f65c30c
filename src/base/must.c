/* SPDX-License-Identifier: Apache-2.0 */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_fail(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "tidemark: %s:%d: must hold: %s\n", file, line, condition);
    (void)fflush(stderr);
    abort();
}
