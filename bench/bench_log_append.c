/* SPDX-License-Identifier: Apache-2.0 */
/* bench_log_append: what the log room costs without a disk: log_append of a payload, and the
 * sealing (checksums) and submission of its batches, to a disk that takes everything at once.
 * Prints ns an entry and MB/s of batches.
 *
 *     bench_log_append [payload bytes [entries a push]] */
#include <stdlib.h>
#include <time.h>

#include "test/log/memory_world.h"

enum { KEPT_BYTES = 1 << 16, ENTRIES = 4000000, ROUNDS_OF_BYTES = 2000 };

struct bench {
    struct memory_disk disk;
    struct log_listener listener;
    struct log *log;
    size_t payload_bytes, burst;
    uint64_t append_ns, write_ns;
};

static void advanced(struct log_listener *listener)
{
    (void)listener;
}

static void failed(struct log_listener *listener, const struct why *why)
{
    (void)listener;
    (void)fprintf(stderr, "%s\n", why->text);
    abort();
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void must(enum err err, const struct why *why)
{
    if (err == ERR_OK) return;
    (void)fprintf(stderr, "%s: %s\n", err_name(err), why->text);
    exit(1);
}

/* A burst is what a turn of the server appends; the clock is read a few times for each. */
static void burst_run(struct bench *bench, const uint8_t *payload)
{
    struct why why = {""};
    struct lsn at = {0};
    uint64_t begin = now_ns();
    for (size_t i = 0; i < bench->burst; i++)
        must(
            log_append(bench->log, (struct stamp){1}, bytes_of(payload, bench->payload_bytes), &at),
            &why);
    uint64_t appended = now_ns();
    log_push(bench->log);
    while (log_durable(bench->log).at < at.at) (void)memory_turn(&bench->disk);
    bench->append_ns += appended - begin;
    bench->write_ns += now_ns() - appended;
    log_note_committed(bench->log, at);
    log_forget(bench->log, at);
    log_trim(bench->log, at);
    (void)memory_turn(&bench->disk);
}

static void bench_open(struct bench *bench)
{
    struct log_options options = {
        .segment_bytes = 64 << 20, .durability = LOG_ALWAYS, .direct = true};
    struct why why = {""};
    struct log_found found;
    struct memory_disk *disk = &bench->disk;
    memory_disk_init(disk, KEPT_BYTES); /* the headers; batches are thrown away */
    bench->listener = (struct log_listener){advanced, failed};
    struct log_site site = memory_site(disk, "bench", &bench->listener);
    must(log_create(&site, &options, (struct history){{1}}, &why), &why);
    must(log_open(&bench->log, &site, &options, &found, &why), &why);
    must(log_promise(bench->log, (struct epoch){1, 1}, &why), &why);
}

int main(int argc, char **argv)
{
    static struct bench bench = {.payload_bytes = 150, .burst = 800};
    if (argc > 1) bench.payload_bytes = strtoull(argv[1], NULL, 10);
    if (argc > 2) bench.burst = strtoull(argv[2], NULL, 10);
    bench_open(&bench);
    uint8_t *payload = memory_alloc(bench.payload_bytes + 1);
    memset(payload, 'x', bench.payload_bytes);
    payload[0] = ENTRY_COMMAND;
    uint64_t entries = ENTRIES / (1 + bench.payload_bytes / ROUNDS_OF_BYTES);
    for (uint64_t done = 0; done < entries; done += bench.burst) burst_run(&bench, payload);
    struct log_stats stats;
    log_stats(bench.log, &stats);
    double count = (double)stats.entries;
    printf("payload %zu, %zu a push: append %.0f ns, seal and submit %.0f ns an entry, "
           "%.0f MB/s of batches\n",
           bench.payload_bytes, bench.burst, (double)bench.append_ns / count,
           (double)bench.write_ns / count,
           (double)stats.bytes * 1000 / (double)(bench.append_ns + bench.write_ns));
    struct why why = {""};
    log_stop(bench.log);
    while (memory_turn(&bench.disk)) continue;
    must(log_close(bench.log, &why), &why);
    memory_free(payload);
    memory_disk_release(&bench.disk);
    return 0;
}
