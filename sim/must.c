/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/must.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

/* A file-level variable because must_fail() has no argument that could lead to the world; of the
 * thread, because tests with threads of their own are linked with this too. */
static _Thread_local struct sim_must *catcher;

struct sim_must *sim_must_catch(struct sim_must *must)
{
    struct sim_must *before = catcher;
    catcher = must;
    return before;
}

void must_fail(const char *condition, const char *file, int line)
{
    struct sim_must *must = catcher;
    if (must == NULL) {
        (void)fprintf(stderr, "tidemark: %s:%d: must hold: %s\n", file, line, condition);
        (void)fflush(stderr);
        abort();
    }
    catcher = NULL; /* one that breaks on the way out is not to come back here */
    (void)snprintf(must->text, sizeof(must->text), "%s:%d: must hold: %s", file, line, condition);
    longjmp(*must->to, must->value);
}
