/* SPDX-License-Identifier: Apache-2.0 */
/* must: where a broken MUST goes in the simulator. Replaces base/must.c. Inside a node's turn it
 * ends that turn and becomes the world's first broken check, so that a run can report its seed and
 * go on with the next one; everywhere else it aborts, as in the product. */
#ifndef SIM_MUST_H
#define SIM_MUST_H

#include <setjmp.h>

enum { SIM_MUST_TEXT_BYTES = 400 };

struct sim_must {
    jmp_buf *to;                    /* jumped to with `value` when a MUST is broken */
    int value;                      /* not 0 */
    char text[SIM_MUST_TEXT_BYTES]; /* out: which, and where */
};

/* Installs `must` (borrowed until replaced) and returns what was installed before; NULL: abort. */
struct sim_must *sim_must_catch(struct sim_must *must);

#endif
