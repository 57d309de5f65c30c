/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator:
 *
 *     sim run --seeds FROM..TO [--workload NAME] [--trace]
 *     sim crash [--script NAME] [--deep]
 *     sim plants [NAME]
 *     sim seeds FILE ...
 *
 * A seed that once found a defect is kept in a file of test/seeds/, whose first line is `seed N`,
 * or `seed N WORKLOAD`; what follows is for people.
 *
 * Exit status 0: everything passed. The last line is `N passed, N failed`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/crash.h"
#include "sim/plants.h"
#include "sim/storm.h"

#ifndef TIDEMARK_COMMIT
#define TIDEMARK_COMMIT "unknown"
#endif

struct run_options {
    uint64_t from, to;
    int workload;
    bool trace;
};

static int usage(void)
{
    fprintf(stderr,
            "Usage: sim run --seeds FROM..TO [--workload strings|mixed|waits|registers] [--trace]\n"
            "       sim crash [--script NAME] [--deep]\n"
            "       sim plants [NAME]\n"
            "       sim seeds FILE ...\n");
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

static bool parse_run(int count, char **words, struct run_options *options)
{
    *options = (struct run_options){.from = 1, .to = 200, .workload = -1};
    for (int i = 0; i < count; i++) {
        bool more = i + 1 < count;
        enum workload_kind kind;
        if (strcmp(words[i], "--trace") == 0) {
            options->trace = true;
        } else if (more && strcmp(words[i], "--seeds") == 0) {
            if (!parse_seeds(words[++i], options)) return false;
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
    for (unsigned i = 0; i < STORM_FAULTS; i++) sum->faults[i] += one->faults[i];
}

static void print_sum(const struct run_options *options, const struct storm_result *sum,
                      double seconds, uint64_t failures)
{
    printf("seeds=%" PRIu64 " ops=%" PRIu64 " entries=%" PRIu64 " lives=%" PRIu64 " turns=%" PRIu64
           " replayed=%" PRIu64 " pending=%" PRIu64 " lost=%" PRIu64 " relaxed=%" PRIu64
           " searched=%" PRIu64 " images=%" PRIu64 " image_errors=%" PRIu64 " restores=%" PRIu64
           " doctored=%" PRIu64 " executed=%" PRIu64 " fell_back=%" PRIu64 " gate_refused=%" PRIu64,
           options->to - options->from + 1, sum->ops, sum->entries, sum->lives, sum->turns,
           sum->replayed, sum->pendings, sum->lost, sum->relaxed, sum->searched, sum->images,
           sum->image_errors, sum->restores, sum->doctored, sum->executed, sum->fell_back,
           sum->gate_refused);
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

/* False: the file cannot be read, or does not begin with a seed. */
static bool read_seed(const char *path, struct storm_options *out)
{
    char line[100] = "", name[40] = "";
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    bool read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    *out = (struct storm_options){.workload = -1};
    int fields = read ? sscanf(line, "seed %" SCNu64 " %39s", &out->seed, name) : 0;
    enum workload_kind kind = WORKLOAD_MIXED;
    if (fields == 2 && !workload_by_name(name, &kind)) return false;
    if (fields == 2) out->workload = (int)kind;
    return fields >= 1;
}

static int seeds(int count, char **paths)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        struct storm_options options;
        struct storm_result result = {.failure = "not a file with a seed"};
        if (read_seed(paths[i], &options)) storm_run(&options, &result);
        if (result.failure[0] == '\0') continue;
        printf("%s: %s\n", paths[i], result.failure);
        failed++;
    }
    printf("%d passed, %d failed\n", count - failed, failed);
    return failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) return usage();
    if (strcmp(argv[1], "run") == 0) return run(argc - 2, argv + 2);
    if (strcmp(argv[1], "crash") == 0) return crash(argc - 2, argv + 2);
    if (strcmp(argv[1], "seeds") == 0) return seeds(argc - 2, argv + 2);
    if (strcmp(argv[1], "plants") == 0) return plants(argc - 2, argv + 2);
    return usage();
}
