/* SPDX-License-Identifier: Apache-2.0 */
/* plants: proves that the harness can fail. Each planted bug (base/plant.def) is switched on, and
 * seeds and crash points are run until a check breaks. One that nothing notices is a hole in the
 * harness, or a safety line that guards nothing. */
#ifndef SIM_PLANTS_H
#define SIM_PLANTS_H

#include <stdio.h>

struct plants_result {
    unsigned caught, missed;
};

/* `only`: the name of one; NULL: all, and first of all none, which must pass. */
void plants_run(const char *only, FILE *out, struct plants_result *result);

#endif
