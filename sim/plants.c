/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/plants.h"

#include <inttypes.h>
#include <string.h>

#include "base/plant.h"
#include "sim/cluster.h"
#include "sim/crash.h"
#include "sim/storm.h"

enum {
    SEEDS_FIRST = 1,
    SEEDS_LAST = 300,
    POINTS_MAX = 12000,
    CLUSTER_SEEDS_LAST = 200,
    COPIES = 3,
};

/* They show in situations that these seeds do not draw; a unit test switches on each of them
 * (test/replica/test_replica_plants.c, test/node/, test/face/psync/test_psync_plants.c). By name
 * they are tried all the same. */
static const enum plant of_units[] = {
    PLANT_COMMIT_BEFORE_OWN_EPOCH, PLANT_IN_SYNC_AT_STALE_TARGET, PLANT_ACCEPT_STALE_EPOCH,
    PLANT_CUT_BELOW_APPLIED,       PLANT_RESUME_WITHOUT_LINEAGE,  PLANT_REMOVE_BEFORE_CONFIRMED,
    PLANT_VOUCH_WHILE_REBUILT,     PLANT_APPLY_BEYOND_DURABLE,    PLANT_STALE_SESSION_COUNTED,
    PLANT_PIN_RELEASED_EARLY,      PLANT_LEAD_OUT_OF_REACH,       PLANT_LONGEST_LOG_WINS,
    PLANT_EPOCH_FROM_STREAM,       PLANT_TARGET_IGNORED,          PLANT_OFFSET_BESIDE_VIEW,
    PLANT_LOOK_AHEAD_OUTLIVES_FLUSH,
    PLANT_ARCHIVE_UNCOMMITTED,     PLANT_LEAD_AFTER_PROMISE,
};

static bool is_of_units(enum plant plant)
{
    for (size_t i = 0; i < sizeof of_units / sizeof of_units[0]; i++) {
        if (of_units[i] == plant) return true;
    }
    return false;
}

/* They need another copy to show: the cluster is asked first. */
static bool is_of_copies(enum plant plant)
{
    return plant >= PLANT_SKIP_PROMISE && plant != PLANT_STAMP_SKIPPED;
}

/* The check that broke, in one line. */
static void print_caught(FILE *out, enum plant plant, const char *failure, const char *where)
{
    const char *check = strstr(failure, "turn ");
    check = check != NULL ? strchr(check, ':') : NULL;
    check = check != NULL ? check + 2 : failure;
    int size = (int)strcspn(check, "\n");
    fprintf(out, "caught %s by \"%.*s\" at %s\n", plant_name(plant), size > 160 ? 160 : size, check,
            where);
}

static bool caught_by_seed(enum plant plant, FILE *out)
{
    for (uint64_t seed = SEEDS_FIRST; seed <= SEEDS_LAST; seed++) {
        struct storm_options options = {.seed = seed, .workload = -1, .trace = NULL};
        struct storm_result result;
        storm_run(&options, &result);
        if (result.failure[0] == '\0') continue;
        char where[64];
        (void)snprintf(where, sizeof where, "seed %" PRIu64, seed);
        print_caught(out, plant, result.failure, where);
        return true;
    }
    return false;
}

static bool caught_by_crash(enum plant plant, FILE *out)
{
    struct crash_options options = {.points_max = POINTS_MAX, .first_failure = true};
    const char *name;
    for (size_t i = 0; (name = crash_script_name(i)) != NULL; i++) {
        struct crash_result result;
        options.script = name;
        crash_run(&options, &result);
        if (result.failures == 0) continue;
        char where[64];
        (void)snprintf(where, sizeof where, "script %s, point %" PRIu64, name,
                       result.points + result.again);
        print_caught(out, plant, result.failure, where);
        return true;
    }
    return false;
}

static bool caught_by_cluster(enum plant plant, FILE *out)
{
    for (uint64_t seed = SEEDS_FIRST; seed <= CLUSTER_SEEDS_LAST; seed++) {
        struct cluster_options options = {.seed = seed, .copies = COPIES};
        struct cluster_result result;
        cluster_run(&options, &result);
        if (result.failure[0] == '\0') continue;
        char where[64];
        (void)snprintf(where, sizeof where, "cluster seed %" PRIu64, seed);
        print_caught(out, plant, result.failure, where);
        return true;
    }
    return false;
}

/* Without any switch the same seeds pass; else nothing that follows means anything. */
static bool all_pass(FILE *out)
{
    for (uint64_t seed = SEEDS_FIRST; seed <= SEEDS_LAST; seed++) {
        struct storm_options options = {.seed = seed, .workload = -1, .trace = NULL};
        struct storm_result result;
        storm_run(&options, &result);
        if (result.failure[0] == '\0') continue;
        fprintf(out, "without any plant seed %" PRIu64 " fails: %s\n", seed, result.failure);
        return false;
    }
    for (uint64_t seed = SEEDS_FIRST; seed <= CLUSTER_SEEDS_LAST; seed++) {
        struct cluster_options options = {.seed = seed, .copies = COPIES};
        struct cluster_result result;
        cluster_run(&options, &result);
        if (result.failure[0] == '\0') continue;
        fprintf(out, "without any plant cluster seed %" PRIu64 " fails: %s\n", seed,
                result.failure);
        return false;
    }
    fprintf(out, "without any plant %u seeds pass, and %u of the cluster\n",
            SEEDS_LAST - SEEDS_FIRST + 1, CLUSTER_SEEDS_LAST - SEEDS_FIRST + 1);
    return true;
}

void plants_run(const char *only, FILE *out, struct plants_result *result)
{
    *result = (struct plants_result){0, 0};
    if (only == NULL && !all_pass(out)) {
        result->missed = PLANTS;
        return;
    }
    for (unsigned i = 0; i < PLANTS; i++) {
        enum plant plant = (enum plant)i;
        if (only != NULL && strcmp(only, plant_name(plant)) != 0) continue;
        if (only == NULL && is_of_units(plant)) {
            fprintf(out, "left to unit tests: %s\n", plant_name(plant));
            continue;
        }
        plant_set(plant, true);
        bool caught = (is_of_copies(plant) && caught_by_cluster(plant, out)) ||
                      caught_by_seed(plant, out) || caught_by_cluster(plant, out) ||
                      caught_by_crash(plant, out);
        plant_set(plant, false);
        if (caught) {
            result->caught++;
        } else {
            result->missed++;
            fprintf(out, "missed %s: %s\n", plant_name(plant), plant_text(plant));
        }
        fflush(out);
    }
}
