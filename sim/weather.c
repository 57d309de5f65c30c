/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/weather.h"

#include "base/dice.h"
#include "base/must.h"
#include "sim/net.h"

static const char *const weather_names[WEATHER_KINDS] = {
    "heal",       "cut",    "one_way", "cable", "clog", "reset",
    "reset_node", "orphan", "pause",   "flips", "slow",
};

const char *weather_name(enum weather_kind kind)
{
    MUST(kind < WEATHER_KINDS);
    return weather_names[kind];
}

static uint64_t draw(const struct weather *weather, uint64_t bound)
{
    return dice_below(sim_world_dice(weather->world, SIM_DICE_WEATHER), bound);
}

static void weather_heal(struct sim_node *a, struct sim_node *b)
{
    sim_net_isolate(a, false);
    sim_paths_flips(a, b, SIM_BOTH_WAYS, 0);
    sim_paths_delay(a, b, SIM_BOTH_WAYS, 0, 0);
    sim_paths_heal(a, b);
}

static void weather_strike(struct weather *weather, enum weather_kind kind, struct sim_node *a,
                           struct sim_node *b)
{
    uint64_t slow = 1 + draw(weather, 300 * SIM_MILLISECOND);
    enum sim_ways ways = (enum sim_ways)(1 + draw(weather, 3));
    switch (kind) {
    case WEATHER_HEAL: weather_heal(a, b); return;
    case WEATHER_CUT: sim_paths_cut(a, b, SIM_BOTH_WAYS); return;
    case WEATHER_ONE_WAY: sim_paths_cut(a, b, SIM_THERE); return;
    case WEATHER_CABLE: sim_net_isolate(a, true); return;
    case WEATHER_CLOG: sim_paths_clog(a, b, ways); return;
    case WEATHER_RESET: sim_paths_reset(a, b); return;
    case WEATHER_RESET_NODE: sim_paths_reset_node(a); return;
    case WEATHER_ORPHAN: sim_paths_orphan(a, b); return;
    case WEATHER_PAUSE: sim_node_pause(a, 1 + draw(weather, weather->pause_us_max)); return;
    case WEATHER_FLIPS: sim_paths_flips(a, b, ways, 1 + (uint32_t)draw(weather, 20000)); return;
    case WEATHER_SLOW: sim_paths_delay(a, b, ways, slow / 2, slow); return;
    case WEATHER_KINDS: break;
    }
    MUST(false);
}

static void weather_changes(struct sim_event *event)
{
    struct weather *weather = CONTAINER_OF(event, struct weather, event);
    enum weather_kind kind = WEATHER_HEAL;
    if (draw(weather, 2) == 0) kind = (enum weather_kind)(1 + draw(weather, WEATHER_KINDS - 1));
    size_t a = (size_t)draw(weather, weather->count);
    size_t b = (a + 1 + (size_t)draw(weather, weather->count - 1)) % weather->count;
    weather->drawn[kind]++;
    sim_world_say(weather->world, "weather %s %s %s", weather_names[kind],
                  sim_node_name(weather->nodes[a]), sim_node_name(weather->nodes[b]));
    weather_strike(weather, kind, weather->nodes[a], weather->nodes[b]);
    sim_world_plan(weather->world, event, 1 + draw(weather, weather->gap_us_max));
}

void weather_begin(struct weather *weather, struct sim_world *world)
{
    MUST(weather->count > 1 && weather->gap_us_max > 0 && weather->pause_us_max > 0);
    weather->world = world;
    weather->event = (struct sim_event){.fired = weather_changes, .idle = true};
    struct sim_paths_profile *profile = sim_paths_profile(world);
    if (draw(weather, 2) == 0) profile->reset_per_million = (uint32_t)draw(weather, 2000);
    if (draw(weather, 2) == 0) profile->refuse_per_million = (uint32_t)draw(weather, 300000);
    if (draw(weather, 2) == 0) profile->ghost_per_million = (uint32_t)draw(weather, 300000);
    if (draw(weather, 2) == 0) profile->no_name_per_million = (uint32_t)draw(weather, 300000);
    sim_world_plan(world, &weather->event, 1 + draw(weather, weather->gap_us_max));
}

void weather_end(struct weather *weather)
{
    sim_world_cancel(weather->world, &weather->event);
    sim_paths_profile_init(sim_paths_profile(weather->world));
    for (size_t a = 0; a < weather->count; a++) {
        for (size_t b = a + 1; b < weather->count; b++) {
            sim_paths_flips(weather->nodes[a], weather->nodes[b], SIM_BOTH_WAYS, 0);
            sim_paths_delay(weather->nodes[a], weather->nodes[b], SIM_BOTH_WAYS, 0, 0);
        }
    }
    sim_paths_heal_all(weather->world);
}
