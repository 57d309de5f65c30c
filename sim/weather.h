/* SPDX-License-Identifier: Apache-2.0 */
/* weather: what goes wrong between nodes over time, drawn: paths are cut, clogged, slow, turn bits
 * over and are healed again, connections are reset or orphaned, processes stand still. Crashes are
 * the harness's own: it knows what has to be true after one. Dice: SIM_DICE_WEATHER. */
#ifndef SIM_WEATHER_H
#define SIM_WEATHER_H

#include "sim/node.h"
#include "sim/paths.h"

enum weather_kind {
    WEATHER_HEAL, /* between two nodes; drawn as often as all others */
    WEATHER_CUT,
    WEATHER_ONE_WAY,
    WEATHER_CABLE, /* a node is cut off from everybody, also from the harness's clients */
    WEATHER_CLOG,
    WEATHER_RESET,
    WEATHER_RESET_NODE,
    WEATHER_ORPHAN,
    WEATHER_PAUSE,
    WEATHER_FLIPS,
    WEATHER_SLOW,
    WEATHER_KINDS,
};

/* Caller-owned. The first four fields are the caller's, before weather_begin; borrowed until
 * weather_end. */
struct weather {
    struct sim_node *const *nodes; /* at least two */
    size_t count;
    uint64_t gap_us_max;   /* between two changes */
    uint64_t pause_us_max; /* of one process */

    struct sim_world *world;
    struct sim_event event;
    uint64_t drawn[WEATHER_KINDS];
};

/* Draws the profile of the world's paths too. */
void weather_begin(struct weather *weather, struct sim_world *world);
/* Everything is mended, and the profile is calm; a process may stand still for a while yet. */
void weather_end(struct weather *weather);
const char *weather_name(enum weather_kind kind);

#endif
