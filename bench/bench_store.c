/* SPDX-License-Identifier: Apache-2.0 */
/* What the store costs by itself: flushes, cached reads, warming, opening.
 *
 *     bench_store DIR [RECORDS [VALUE_BYTES [CACHE_MIB]]]      default: 1000000 records of 100
 * bytes, 512 MiB
 *
 * DIR is made, and left for a second run to be opened. One line a figure. Built like a test,
 * against the archive:
 *     cc -std=c17 -O2 -Isrc -I. bench/bench_store.c build/release/libtidemark.a -lrocksdb -luv
 * -lxxhash -lsodium -lm */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/dice.h"
#include "base/memory.h"
#include "base/must.h"
#include "real/real.h"

enum { RUN_RECORDS = 200000, READS = 1000000 };

struct bench {
    struct stores *stores;
    struct store *store;
    uint64_t records, value_bytes, cache_bytes;
    const char *path;
};

/* Every `step`-th record from `at`, in order; the step spreads each run over all keys. */
struct bench_run {
    struct store_run run;
    struct bench *bench;
    uint64_t at, step;
    char key[32];
    uint8_t *value;
    struct store_flush flush;
};

/* Of this thread, so that a busy machine does not count; `wall_now` for what waits. */
static double now(void)
{
    struct timespec time;
    MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double wall_now(void)
{
    struct timespec time;
    MUST(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool run_next(struct store_run *base, struct store_item *item)
{
    struct bench_run *run = CONTAINER_OF(base, struct bench_run, run);
    if (run->at >= run->bench->records) return false;
    int length = snprintf(run->key, sizeof(run->key), "key:%012llu", (unsigned long long)run->at);
    /* About half of it compresses, as text does. */
    uint64_t noise = run->at * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i + 16 <= run->bench->value_bytes; i += 16) {
        noise ^= noise >> 29;
        noise *= 0xbf58476d1ce4e5b9u;
        memcpy(run->value + i, &noise, 8);
    }
    *item = (struct store_item){STORE_PUT, bytes_of(run->key, (size_t)length),
                                bytes_of(run->value, run->bench->value_bytes)};
    run->at += run->step;
    return true;
}

static void flush_done(struct store_flush *flush)
{
    if (flush->err != ERR_OK) {
        fprintf(stderr, "flush: %s\n", flush->why.text);
        exit(1);
    }
}

static double bench_flush(struct bench *bench, uint64_t first, uint64_t step)
{
    struct bench_run run = {.run = {run_next}, .bench = bench, .at = first, .step = step};
    run.value = memory_zeroed(1, bench->value_bytes + 1);
    run.flush = (struct store_flush){.run = &run.run, .done = flush_done};
    double begin = wall_now();
    bench->store->ops->flush(bench->store, &run.flush);
    real_stores_settle(bench->stores);
    memory_free(run.value);
    return wall_now() - begin;
}

static void bench_open(struct bench *bench, const char *what)
{
    struct why why = {.text = ""};
    double begin = wall_now();
    if (bench->stores->ops->open(bench->stores, bench->path, true, bench->cache_bytes,
                                 &bench->store, &why) != ERR_OK) {
        fprintf(stderr, "open: %s\n", why.text);
        exit(1);
    }
    printf("open_%s_ms %.1f\n", what, (wall_now() - begin) * 1e3);
}

static void bench_get(struct bench *bench, const char *what, uint64_t range,
                      enum store_patience patience)
{
    struct dice dice;
    struct buffer value;
    buffer_init(&value);
    dice_init(&dice, 1);
    uint64_t pending = 0, missing = 0;
    double begin = now();
    for (uint64_t i = 0; i < READS; i++) {
        char key[32];
        int length = snprintf(key, sizeof(key), "key:%012llu",
                              (unsigned long long)dice_below(&dice, range));
        buffer_clear(&value);
        enum err err = bench->store->ops->get(bench->store, bytes_of(key, (size_t)length), patience,
                                              &value);
        pending += err == ERR_PENDING ? 1 : 0;
        missing += err == ERR_NOT_FOUND ? 1 : 0;
    }
    printf("get_%s_us %.3f pending %.3f missing %.3f\n", what, (now() - begin) * 1e6 / READS,
           (double)pending / READS, (double)missing / READS);
    buffer_release(&value);
}

static void bench_absent(struct bench *bench)
{
    struct buffer value;
    buffer_init(&value);
    struct dice dice;
    dice_init(&dice, 2);
    uint64_t pending = 0;
    double begin = now();
    for (uint64_t i = 0; i < READS; i++) {
        char key[32];
        int length = snprintf(key, sizeof(key), "key:%012llux",
                              (unsigned long long)dice_below(&dice, bench->records));
        pending += bench->store->ops->get(bench->store, bytes_of(key, (size_t)length),
                                          STORE_NO_WAIT, &value) == ERR_PENDING
                       ? 1
                       : 0;
    }
    printf("get_absent_us %.3f pending %.3f\n", (now() - begin) * 1e6 / READS,
           (double)pending / READS);
    buffer_release(&value);
}

static void warm_done(struct store_warm *warm)
{
    if (warm->err != ERR_OK) exit(1);
}

static void bench_warm(struct bench *bench)
{
    struct store_range all = {
        .from = bytes_text("key:"), .to = bytes_text("key;"), .bytes_max = UINT64_MAX};
    struct store_warm warm = {.ranges = &all, .count = 1, .done = warm_done};
    double begin = now();
    bench->store->ops->warm(bench->store, &warm);
    real_stores_settle(bench->stores);
    printf("warm_all_us_per_record %.3f\n", (now() - begin) * 1e6 / (double)bench->records);
}

static void bench_cursor(struct bench *bench)
{
    struct dice dice;
    dice_init(&dice, 3);
    enum { SEEKS = 100000 };
    uint64_t pending = 0;
    double begin = now();
    for (int i = 0; i < SEEKS; i++) {
        char key[32];
        int length = snprintf(key, sizeof(key), "key:%012llu",
                              (unsigned long long)dice_below(&dice, bench->records));
        struct store_cursor *cursor = bench->store->ops->cursor(bench->store, NULL, STORE_NO_WAIT);
        enum err err = cursor->ops->seek(cursor, bytes_of(key, (size_t)length));
        for (int j = 0; j < 9 && err == ERR_OK; j++) err = cursor->ops->next(cursor);
        pending += err == ERR_PENDING ? 1 : 0;
        cursor->ops->close(cursor);
    }
    printf("cursor_seek_and_10_us %.3f pending %.3f\n", (now() - begin) * 1e6 / SEEKS,
           (double)pending / SEEKS);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_store DIR [RECORDS [VALUE_BYTES [CACHE_MIB]]]\n");
        return 1;
    }
    struct bench bench = {.path = argv[1],
                          .records = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000,
                          .value_bytes = argc > 3 ? strtoull(argv[3], NULL, 10) : 100,
                          .cache_bytes = (argc > 4 ? strtoull(argv[4], NULL, 10) : 512) << 20};
    real_stores_open(&bench.stores, NULL);
    bench_open(&bench, "first");
    printf("memory_after_open_mib %.1f\n", (double)real_process_memory_bytes() / (1 << 20));
    uint64_t runs = (bench.records + RUN_RECORDS - 1) / RUN_RECORDS;
    double spent = 0, worst = 0;
    for (uint64_t i = 0; i < runs; i++) {
        double took = bench_flush(&bench, i, runs);
        spent += took;
        if (took > worst) worst = took;
    }
    printf("flush_records_per_s %.0f worst_run_ms %.0f\n", (double)bench.records / spent,
           worst * 1e3);
    bench.store->ops->close(bench.store);
    bench_open(&bench, "again");
    printf("memory_after_open_mib %.1f\n", (double)real_process_memory_bytes() / (1 << 20));
    bench_get(&bench, "cold", bench.records < 10000 ? bench.records : 10000, STORE_WAIT);
    bench_warm(&bench);
    bench_get(&bench, "cached", bench.records, STORE_NO_WAIT);
    bench_get(&bench, "cached_wait", bench.records, STORE_WAIT);
    bench_absent(&bench);
    bench_cursor(&bench);
    printf("disk_bytes_per_record %.1f\n",
           (double)bench.store->ops->approximate_bytes(bench.store) / (double)bench.records);
    bench.store->ops->close(bench.store);
    real_stores_close(bench.stores);
    return 0;
}
