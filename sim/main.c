/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator:
 *
 *     sim run --seeds FROM..TO [--workload NAME] [--trace]
 *     sim cluster [--seeds FROM..TO] [--copies N] [--trace]     (sim/cluster.h)
 *     sim crash [--script NAME] [--deep]
 *     sim plants [NAME]
 *     sim seeds FILE ...
 *     sim derive                  (sim/derive.h)
 *
 * A seed that once found a defect is kept in a file of test/seeds/, whose first line is `seed N`,
 * or `seed N WORKLOAD`, or `seed N cluster`; what follows is for people.
 *
 * Exit status 0: everything passed. The last line is `N passed, N failed`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/cluster.h"
#include "sim/crash.h"
#include "sim/derive.h"
#include "sim/plants.h"
#include "sim/storm.h"

#ifndef TIDEMARK_COMMIT
#define TIDEMARK_COMMIT "unknown"
#endif

struct run_options {
    uint64_t from, to;
    int workload;
    unsigned copies;
    bool trace;
};

static int usage(void)
{
    fprintf(stderr,
            "Usage: sim run --seeds FROM..TO [--workload strings|mixed|waits|registers] [--trace]\n"
            "       sim cluster [--seeds FROM..TO] [--copies N] [--trace]\n"
            "       sim crash [--script NAME] [--deep]\n"
            "       sim plants [NAME]\n"
            "       sim seeds FILE ...\n"
            "       sim derive\n");
    return 2;
}

static bool parse_seeds(const char *text, struct run_options *options)
{
    char *end = NULL;
    options->from = strtoull(text, &end, 10);
    if (end == text) return false;
    options->to = options->from;
    if (*end == '\0') return true;
    if (strncmp(end, "..", 2) != 0) return false;
    const char *second = end + 2;
    options->to = strtoull(second, &end, 10);
    return end != second && *end == '\0' && options->to >= options->from;
}

static bool parse_copies(const char *text, struct run_options *options)
{
    char *end = NULL;
    options->copies = (unsigned)strtoul(text, &end, 10);
    return *end == '\0' && options->copies >= 1 && options->copies <= CLUSTER_COPIES_MAX;
}

static bool parse_run(int count, char **words, struct run_options *options)
{
    *options = (struct run_options){.from = 1, .to = 200, .workload = -1, .copies = 3};
    for (int i = 0; i < count; i++) {
        bool more = i + 1 < count;
        enum workload_kind kind;
        if (strcmp(words[i], "--trace") == 0) {
            options->trace = true;
        } else if (more && strcmp(words[i], "--seeds") == 0) {
            if (!parse_seeds(words[++i], options)) return false;
        } else if (more && strcmp(words[i], "--copies") == 0) {
            if (!parse_copies(words[++i], options)) return false;
        } else if (more && strcmp(words[i], "--workload") == 0) {
            if (!workload_by_name(words[++i], &kind)) return false;
            options->workload = (int)kind;
        } else {
            return false;
        }
    }
    return true;
}

static double seconds_now(void)
{
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add(struct storm_result *sum, const struct storm_result *one)
{
    sum->ops += one->ops;
    sum->entries += one->entries;
    sum->lives += one->lives;
    sum->simulated_us += one->simulated_us;
    sum->replayed += one->replayed;
    sum->pendings += one->pendings;
    sum->lost += one->lost;
    sum->relaxed += one->relaxed;
    sum->turns += one->turns;
    sum->searched += one->searched;
    sum->images += one->images;
    sum->image_errors += one->image_errors;
    sum->restores += one->restores;
    sum->doctored += one->doctored;
    sum->executed += one->executed;
    sum->fell_back += one->fell_back;
    sum->gate_refused += one->gate_refused;
    sum->told += one->told;
    for (unsigned i = 0; i < STORM_FAULTS; i++) sum->faults[i] += one->faults[i];
}

static void print_sum(const struct run_options *options, const struct storm_result *sum,
                      double seconds, uint64_t failures)
{
    printf("seeds=%" PRIu64 " ops=%" PRIu64 " entries=%" PRIu64 " lives=%" PRIu64 " turns=%" PRIu64
           " replayed=%" PRIu64 " pending=%" PRIu64 " lost=%" PRIu64 " relaxed=%" PRIu64
           " searched=%" PRIu64 " images=%" PRIu64 " image_errors=%" PRIu64 " restores=%" PRIu64
           " doctored=%" PRIu64 " executed=%" PRIu64 " fell_back=%" PRIu64 " gate_refused=%" PRIu64
           " told=%" PRIu64,
           options->to - options->from + 1, sum->ops, sum->entries, sum->lives, sum->turns,
           sum->replayed, sum->pendings, sum->lost, sum->relaxed, sum->searched, sum->images,
           sum->image_errors, sum->restores, sum->doctored, sum->executed, sum->fell_back,
           sum->gate_refused, sum->told);
    for (unsigned i = 0; i < STORM_FAULTS; i++) {
        printf(" %s=%" PRIu64, storm_fault_name((enum storm_fault)i), sum->faults[i]);
    }
    double simulated = (double)sum->simulated_us / 1e6;
    printf(" simulated_s=%.1f real_s=%.1f ratio=%.1f failures=%" PRIu64 "\n", simulated, seconds,
           seconds > 0 ? simulated / seconds : 0.0, failures);
}

/* One seed in a hundred is run twice: the second time must be the same, bit for bit. */
static void run_again(const struct storm_options *options, struct storm_result *result)
{
    struct storm_result again;
    storm_run(options, &again);
    if (again.hash != result->hash || again.turns != result->turns) {
        snprintf(result->failure, sizeof result->failure,
                 "two runs of the seed differ: hashes %016" PRIx64 " and %016" PRIx64, result->hash,
                 again.hash);
    }
}

static int run(int count, char **words)
{
    struct run_options options;
    if (!parse_run(count, words, &options)) return usage();
    struct storm_result sum = {.hash = 0};
    uint64_t failures = 0;
    double began = seconds_now();
    for (uint64_t seed = options.from; seed <= options.to; seed++) {
        struct storm_options one = {seed, options.workload, options.trace ? stdout : NULL};
        struct storm_result result;
        storm_run(&one, &result);
        if (seed % 100 == 0 && result.failure[0] == '\0' && !options.trace) {
            run_again(&one, &result);
        }
        add(&sum, &result);
        if (result.failure[0] == '\0') continue;
        failures++;
        printf("seed %" PRIu64 " commit %s: %s\n", seed, TIDEMARK_COMMIT, result.failure);
        fflush(stdout);
    }
    print_sum(&options, &sum, seconds_now() - began, failures);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", options.to - options.from + 1 - failures,
           failures);
    return failures == 0 ? 0 : 1;
}

static void add_cluster(struct cluster_result *sum, const struct cluster_result *one)
{
    sum->ops += one->ops;
    sum->entries += one->entries;
    sum->again += one->again;
    sum->lives += one->lives;
    sum->simulated_us += one->simulated_us;
    sum->turns += one->turns;
    sum->lost += one->lost;
    sum->histories += one->histories;
    sum->searched += one->searched;
    for (unsigned i = 0; i < CLUSTER_FAULTS; i++) sum->faults[i] += one->faults[i];
    for (unsigned i = 0; i < CLUSTER_WORDS; i++) sum->words[i] += one->words[i];
    for (unsigned i = 0; i < WEATHER_KINDS; i++) sum->weather[i] += one->weather[i];
    for (unsigned i = 0; i < SIM_HITS; i++) sum->hits[i] += one->hits[i];
    for (unsigned i = 0; i < ORCHESTRATOR_EVENT_KINDS; i++)
        sum->told.events[i] += one->told.events[i];
    for (unsigned i = 0; i < RECOVER_RULES; i++) sum->told.rules[i] += one->told.rules[i];
    for (unsigned i = 0; i < BYE_REASONS; i++) sum->told.ends[i] += one->told.ends[i];
    sum->told.read_back += one->told.read_back;
}

static void print_told(const struct sibling_told *told)
{
    printf("\nread_back=%" PRIu64 "\nsessions:", told->read_back);
    for (unsigned i = 0; i < ORCHESTRATOR_EVENT_KINDS; i++)
        printf(" %s=%" PRIu64, orchestrator_event_name((enum orchestrator_event_kind)i),
               told->events[i]);
    printf("\nplans:");
    for (unsigned i = 0; i < RECOVER_RULES; i++) {
        const char *name = recover_rule_name((enum recover_rule)i);
        if (strcmp(name, "unknown") != 0) printf(" %s=%" PRIu64, name, told->rules[i]);
    }
    printf("\nends:");
    for (unsigned i = 0; i < BYE_REASONS; i++) {
        const char *name = bye_reason_name((enum bye_reason)i);
        if (strcmp(name, "unknown") != 0) printf(" %s=%" PRIu64, name, told->ends[i]);
    }
}

static void print_cluster(const struct cluster_result *sum, double seconds)
{
    printf("ops=%" PRIu64 " entries=%" PRIu64 " applied_again=%" PRIu64 " lives=%" PRIu64
           " turns=%" PRIu64 " lost=%" PRIu64 " histories=%" PRIu64 " searched=%" PRIu64,
           sum->ops, sum->entries, sum->again, sum->lives, sum->turns, sum->lost, sum->histories,
           sum->searched);
    printf("\nfaults:");
    for (unsigned i = 0; i < CLUSTER_FAULTS; i++)
        printf(" %s=%" PRIu64, cluster_fault_name((enum cluster_fault)i), sum->faults[i]);
    printf("\noperator:");
    for (unsigned i = 0; i < CLUSTER_WORDS; i++)
        printf(" %s=%" PRIu64, cluster_word_name((enum cluster_word)i), sum->words[i]);
    printf("\nweather:");
    for (unsigned i = 0; i < WEATHER_KINDS; i++)
        printf(" %s=%" PRIu64, weather_name((enum weather_kind)i), sum->weather[i]);
    printf("\nhits:");
    for (unsigned i = 0; i < SIM_HITS; i++)
        printf(" %s=%" PRIu64, sim_hit_name((enum sim_hit)i), sum->hits[i]);
    print_told(&sum->told);
    double simulated = (double)sum->simulated_us / 1e6;
    printf("\nsimulated_s=%.1f real_s=%.1f ratio=%.1f\n", simulated, seconds,
           seconds > 0 ? simulated / seconds : 0.0);
}

/* One seed in twenty is run twice: the second time must be the same, bit for bit. */
static int cluster(int count, char **words)
{
    struct run_options options;
    if (!parse_run(count, words, &options) || options.workload >= 0) return usage();
    struct cluster_result sum = {.hash = 0};
    uint64_t failures = 0;
    double began = seconds_now();
    for (uint64_t seed = options.from; seed <= options.to; seed++) {
        struct cluster_options one = {seed, options.copies, options.trace ? stdout : NULL};
        struct cluster_result result, again;
        cluster_run(&one, &result);
        if (seed % 20 == 0 && result.failure[0] == '\0' && !options.trace) {
            cluster_run(&one, &again);
            if (again.hash != result.hash)
                snprintf(result.failure, sizeof result.failure, "two runs of the seed differ");
        }
        add_cluster(&sum, &result);
        if (result.failure[0] == '\0') continue;
        failures++;
        printf("seed %" PRIu64 " commit %s: %s\n", seed, TIDEMARK_COMMIT, result.failure);
        fflush(stdout);
    }
    print_cluster(&sum, seconds_now() - began);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", options.to - options.from + 1 - failures,
           failures);
    return failures == 0 ? 0 : 1;
}

static int crash(int count, char **words)
{
    struct crash_options options = {.script = NULL};
    const char *only = NULL;
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "--deep") == 0) {
            options.deep = true;
        } else if (i + 1 < count && strcmp(words[i], "--script") == 0) {
            only = words[++i];
            if (!crash_script_known(only)) return usage();
        } else {
            return usage();
        }
    }
    uint64_t passed = 0, failed = 0;
    const char *name;
    for (size_t i = 0; (name = crash_script_name(i)) != NULL; i++) {
        if (only != NULL && strcmp(only, name) != 0) continue;
        double began = seconds_now();
        struct crash_result result;
        options.script = name;
        crash_run(&options, &result);
        uint64_t all = result.points + result.again;
        printf("script=%s points=%" PRIu64 " in_recovery=%" PRIu64 " failures=%" PRIu64
               " real_s=%.1f\n",
               name, result.points, result.again, result.failures, seconds_now() - began);
        if (result.failures > 0) printf("commit %s: %s\n", TIDEMARK_COMMIT, result.failure);
        fflush(stdout);
        passed += all - result.failures;
        failed += result.failures;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}

static int plants(int count, char **words)
{
    struct plants_result result;
    plants_run(count > 0 ? words[0] : NULL, stdout, &result);
    printf("%u passed, %u failed\n", result.caught, result.missed);
    return result.missed == 0 && result.caught > 0 ? 0 : 1;
}

enum { SEED_COPIES = 3 };

/* Runs the seed that the file begins with; *failure is why it failed, "" if it did not. */
static void run_seed(const char *path, char failure[STORM_FAILURE_BYTES])
{
    char line[100] = "", name[40] = "";
    FILE *file = fopen(path, "r");
    bool read = file != NULL && fgets(line, sizeof line, file) != NULL;
    if (file != NULL) (void)fclose(file);
    struct storm_options options = {.workload = -1};
    int fields = read ? sscanf(line, "seed %" SCNu64 " %39s", &options.seed, name) : 0;
    enum workload_kind kind = WORKLOAD_MIXED;
    if (fields == 2 && strcmp(name, "cluster") == 0) {
        struct cluster_options several = {.seed = options.seed, .copies = SEED_COPIES};
        struct cluster_result result;
        cluster_run(&several, &result);
        snprintf(failure, STORM_FAILURE_BYTES, "%s", result.failure);
    } else if (fields == 1 || (fields == 2 && workload_by_name(name, &kind))) {
        struct storm_result result;
        if (fields == 2) options.workload = (int)kind;
        storm_run(&options, &result);
        snprintf(failure, STORM_FAILURE_BYTES, "%s", result.failure);
    } else {
        snprintf(failure, STORM_FAILURE_BYTES, "not a file with a seed");
    }
}

static int seeds(int count, char **paths)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        char failure[STORM_FAILURE_BYTES];
        run_seed(paths[i], failure);
        if (failure[0] == '\0') continue;
        printf("%s: %s\n", paths[i], failure);
        failed++;
    }
    printf("%d passed, %d failed\n", count - failed, failed);
    return failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) return usage();
    if (strcmp(argv[1], "run") == 0) return run(argc - 2, argv + 2);
    if (strcmp(argv[1], "cluster") == 0) return cluster(argc - 2, argv + 2);
    if (strcmp(argv[1], "crash") == 0) return crash(argc - 2, argv + 2);
    if (strcmp(argv[1], "seeds") == 0) return seeds(argc - 2, argv + 2);
    if (strcmp(argv[1], "plants") == 0) return plants(argc - 2, argv + 2);
    if (strcmp(argv[1], "derive") == 0) return derive_run(stdin, stdout);
    return usage();
}
