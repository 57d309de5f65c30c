/* SPDX-License-Identifier: Apache-2.0 */
/* plant: switches for planted bugs. Each removes one safety line, so that the simulation can
 * show that it would notice. In the product PLANTED() is the constant false and the compiler
 * drops it; only the test tree (TIDEMARK_PLANTS) has the switches. */
#ifndef BASE_PLANT_H
#define BASE_PLANT_H

#include <stdbool.h>

#define PLANT(name, text) PLANT_##name,
enum plant {
#include "base/plant.def"
    PLANTS
};
#undef PLANT

#ifdef TIDEMARK_PLANTS
bool plant_is_set(enum plant plant);
void plant_set(enum plant plant, bool on); /* one at a time is the usual way */
const char *plant_name(enum plant plant);  /* "SKIP_SYNC" */
const char *plant_text(enum plant plant);
#define PLANTED(name) plant_is_set(PLANT_##name)
#else
#define PLANTED(name) false
#endif

#endif
