/* SPDX-License-Identifier: Apache-2.0 */
#include "base/plant.h"

#ifdef TIDEMARK_PLANTS

#include "base/must.h"

/* The one mutable global of the test tree; the product has none. */
static bool plant_switches[PLANTS];

#define PLANT(name, text) [PLANT_##name] = {#name, text},
static const struct {
    const char *name;
    const char *text;
} plant_rows[PLANTS] = {
#include "base/plant.def"
};
#undef PLANT

bool plant_is_set(enum plant plant)
{
    return plant_switches[plant];
}

void plant_set(enum plant plant, bool on)
{
    MUST(plant < PLANTS);
    plant_switches[plant] = on;
}

const char *plant_name(enum plant plant)
{
    MUST(plant < PLANTS);
    return plant_rows[plant].name;
}

const char *plant_text(enum plant plant)
{
    MUST(plant < PLANTS);
    return plant_rows[plant].text;
}

#endif
