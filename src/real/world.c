/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "real/disk.h"
#include "real/entropy.h"
#include "real/http.h"
#include "real/net.h"
#include "real/real.h"
#include "real/store.h"

enum { REAL_SIGNALS = 2, REAL_MAPPED_BYTES = 1 << 20 };

struct real_world {
    struct loop loop;
    struct disk_real disk;
    struct net_real net;
    struct http_real http;
    struct stores_real stores;
    struct entropy entropy;
    struct real_signals *signals;
    uv_signal_t watched[REAL_SIGNALS];
};

static void real_on_signal(uv_signal_t *watched, int number)
{
    struct real_world *world = watched->data;
    world->signals->asked(world->signals, number);
}

static void real_watch_signals(struct real_world *world)
{
    static const int numbers[REAL_SIGNALS] = {SIGTERM, SIGINT};
    if (world->signals == NULL) return;
    for (int i = 0; i < REAL_SIGNALS; i++) {
        world->watched[i].data = world;
        MUST(uv_signal_init(&world->loop.uv, &world->watched[i]) == 0);
        MUST(uv_signal_start(&world->watched[i], real_on_signal, numbers[i]) == 0);
    }
}

/* A broken connection and a file at its size limit are errors of a call, not the end of the
 * process.
 *
 * glibc keeps small freed chunks apart as they are, in its fast bins, and merges all of them in one
 * go when a large one is next asked for. After the removal of a sorted set of a million members
 * that one malloc took 265 ms, on the loop; without fast bins each free merges its own chunk, none
 * took 5 ms, and a SET or GET costs the same: the caches of the threads stay. */
static void real_prepare_process(struct trace *trace)
{
    (void)mallopt(M_MXFAST, 0);
    /* Large chunks are mappings of their own and go back to the system when they are freed; left to
     * itself glibc raises this bound with each one freed, and keeps them. */
    (void)mallopt(M_MMAP_THRESHOLD, REAL_MAPPED_BYTES);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    MUST(sigaction(SIGPIPE, &ignore, NULL) == 0);
    MUST(sigaction(SIGXFSZ, &ignore, NULL) == 0);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        trace_event(trace, TRACE_WARNING, "real", "open_files_limit", "error=\"%s\"",
                    strerror(errno));
}

enum err real_world_open(struct real_world **out_world, const struct real_options *options,
                         struct world *out, struct why *why)
{
    *out_world = NULL;
    struct real_world *world = memory_zeroed(1, sizeof(*world));
    enum err err = loop_init(&world->loop, why);
    if (err != ERR_OK) {
        memory_free(world);
        return err;
    }
    err = net_real_init(&world->net, &world->loop, options->keepalive_seconds, options->trace, why);
    if (err != ERR_OK) {
        loop_release(&world->loop);
        memory_free(world);
        return err;
    }
    err = http_real_init(&world->http, &world->loop, options->trace, why);
    if (err != ERR_OK) {
        net_real_release(&world->net);
        loop_release(&world->loop);
        memory_free(world);
        return err;
    }
    real_prepare_process(options->trace);
    struct real_files files;
    real_process_files(&files);
    world->net.handles_max = files.streams;
    if (options->backlog != 0) world->net.backlog = options->backlog;
    disk_real_init(&world->disk, options->log_sync, &world->loop, options->trace);
    stores_real_init(&world->stores, &world->loop, options->trace);
    world->stores.reserve_bytes = options->store_reserve_bytes;
    world->entropy.ops = &entropy_real_ops;
    world->signals = options->signals;
    real_watch_signals(world);
    *out = (struct world){
        .clock = &world->loop.clock,
        .disk = &world->disk.disk,
        .entropy = &world->entropy,
        .http = &world->http.http,
        .net = &world->net.net,
        .peers = &world->net.net,
        .stores = &world->stores.stores,
        .trace = options->trace,
    };
    *out_world = world;
    return ERR_OK;
}

void real_world_run(struct real_world *world)
{
    loop_run(&world->loop);
}

void real_world_stop(struct real_world *world)
{
    loop_stop(&world->loop);
}

void real_world_close(struct real_world *world)
{
    if (world == NULL) return;
    http_real_release(&world->http);
    net_real_shut(&world->net);
    while (world->net.handles > 0 || world->disk.outstanding > 0) loop_turn(&world->loop);
    net_real_release(&world->net);
    stores_real_release(&world->stores);
    disk_real_release(&world->disk);
    for (int i = 0; world->signals != NULL && i < REAL_SIGNALS; i++)
        uv_close((uv_handle_t *)&world->watched[i], NULL);
    loop_release(&world->loop);
    memory_free(world);
}

void real_world_set_keepalive(struct real_world *world, unsigned seconds)
{
    world->net.keepalive_seconds = seconds;
}

void real_sync_status(const struct real_world *world, struct real_sync_status *out)
{
    const struct disk_real *disk = &world->disk;
    const struct place *place = &disk->sync_place;
    out->method = atomic_load(&disk->opened_direct) ? "direct" : "fdatasync";
    out->place = place->thread ? "thread" : "inline";
    out->median_us = place_median_us(place);
}
