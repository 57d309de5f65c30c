/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/server_program.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sim/heap.h"
#include "sim/probe.h"

static const char *const durabilities[] = {"always", "everysec", "none"};

static struct server_program *program_of(struct sim_program *base)
{
    return CONTAINER_OF(base, struct server_program, base);
}

/* No entry of an epoch before both slots promise it (I9). */
static void check_promise(struct server_program *program)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    const struct canon *canon = &program->canon;
    struct probe *probe = memory_zeroed(1, sizeof *probe);
    probe_log(sim_node_disk(program->node), false, probe);
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS && canon->count > 0; i++) {
        struct epoch epoch = canon->facts[canon->count - 1].epoch;
        if (probe->slot_good[i] && epoch_compare(probe->slot[i].promised, epoch) >= 0) continue;
        sim_world_fail(program->world, "superblock %u does not promise epoch %" PRIu64, i,
                       epoch.number);
    }
    memory_free(probe);
    (void)sim_heap_enter(before);
}

static void host_ready(struct server_host *host)
{
    struct server_program *program = CONTAINER_OF(host, struct server_program, host);
    canon_ready(&program->canon);
    if (!program->flawed) gallery_ready(&program->gallery);
    check_promise(program);
    program->ready = true;
}

static void archive_line(struct server_program *program, const char *line)
{
    static const char span[] = " archive span lsn=";
    const char *at = strstr(line, span);
    if (at != NULL) program->archived = strtoull(at + strlen(span), NULL, 10);
    bool lets_go = strstr(line, " archive failed err=limit ") != NULL;
    if (lets_go || strstr(line, " archive gap ") != NULL) program->archive_gaps++;
}

static void trace_line(struct sim_reader *reader, const char *line)
{
    struct server_program *program = CONTAINER_OF(reader, struct server_program, reader);
    gallery_line(&program->gallery, line);
    gate_line(&program->told, line);
    archive_line(program, line);
    if (strstr(line, " log opened ") == NULL) return;
    const char *committed = strstr(line, " committed=");
    MUST(committed != NULL);
    program->canon.recorded = strtoull(committed + strlen(" committed="), NULL, 10);
}

static void close_all(struct server_program *program)
{
    server_close(program->server);
    config_close(program->config);
    program->server = NULL;
    program->config = NULL;
}

static void close_task(struct task *task)
{
    struct server_program *program = CONTAINER_OF(task, struct server_program, close);
    close_all(program);
    sim_node_exit(program->node, program->status);
}

/* Each digest in the log was compared, or this life had not seen its mark (I11). */
static void check_stamps(struct server_program *program)
{
    struct service *service = server_service(program->server);
    struct service_status status;
    service->ops->status(service, &status);
    uint64_t seen = status.stamps.checked + status.stamps.skipped;
    if (seen == program->canon.life_stamps) return;
    sim_world_fail(program->world,
                   "stamps: %" PRIu64 " were applied, but %" PRIu64 " compared or passed over",
                   program->canon.life_stamps, seen);
}

static void host_ended(struct server_host *host, enum exit_status status)
{
    struct server_program *program = CONTAINER_OF(host, struct server_program, host);
    check_stamps(program);
    program->status = (int)status;
    program->ready = false;
    clock_defer(program->seams.clock, &program->close);
}

static struct machine_maker *host_observe(struct server_host *host, struct machine_maker *maker)
{
    struct server_program *program = CONTAINER_OF(host, struct server_program, host);
    return canon_observe(&program->canon, maker);
}

static enum err configure(struct server_program *program, struct why *why)
{
    const struct server_settings *settings = &program->settings;
    char numbers[6][SERVER_OPTION_BYTES];
    const uint64_t values[6] = {settings->segment_bytes,   settings->reserve_bytes,
                                settings->flush_bytes_min, settings->flush_bytes_max,
                                settings->image_keep,      settings->effects_bytes};
    for (unsigned i = 0; i < 6; i++) {
        (void)snprintf(numbers[i], sizeof numbers[i], "%" PRIu64, values[i]);
    }
    const char *words[] = {"--dir",
                           "data",
                           "--loglevel",
                           "debug",
                           "--cache-size",
                           "8m",
                           "--durability",
                           durabilities[settings->durability],
                           "--log-sync",
                           settings->direct ? "direct" : "fdatasync",
                           "--log-segment-size",
                           numbers[0],
                           "--log-reserve-size",
                           numbers[1],
                           "--flush-budget-min",
                           numbers[2],
                           "--flush-budget-max",
                           numbers[3],
                           "--image-keep",
                           numbers[4],
                           "--save",
                           settings->save,
                           "--archive-interval",
                           "0",
                           "--archive-dir",
                           settings->archives ? SERVER_ARCHIVE : "",
                           "--repl-backlog-size",
                           numbers[5]};
    return config_read_arguments(program->config, words, sizeof words / sizeof words[0], why);
}

static bool recount(struct server_program *program, struct world *world)
{
    struct store *store = NULL;
    char path[PROBE_PATH_BYTES];
    struct sim_heap *before = sim_heap_enter(NULL);
    (void)probe_store_path(sim_node_disk(program->node), path);
    (void)sim_heap_enter(before);
    program->recount_err = world->stores->ops->open(world->stores, path, false, 1 << 20, &store,
                                                    &program->why);
    if (program->recount_err != ERR_OK) return false;
    program->recount_err = state_recount(store, NULL, &program->recount, &program->why);
    store->ops->close(store);
    return program->recount_err == ERR_OK;
}

/* An operator has made it. */
static void make_archive(struct world *world)
{
    static const char *const made[] = {"archive", SERVER_ARCHIVE}, *const synced[] = {".",
                                                                                      "archive"};
    for (unsigned i = 0; i < 2; i++) {
        struct disk_request make = {.op = DISK_MAKE_DIR, .path = made[i]};
        if (disk_run(world->disk, &make) != ERR_OK) continue;
        struct disk_request sync = {.op = DISK_SYNC_DIR, .path = synced[i]};
        (void)disk_run(world->disk, &sync);
    }
}

static bool program_start(struct sim_program *base, struct world *world)
{
    struct server_program *program = program_of(base);
    program->seams = *world;
    program->ready = false;
    program->why.text[0] = '\0';
    if (program->recounting) return recount(program, world);
    if (program->restoring) {
        restorer_start(&program->restorer, world);
        return true;
    }
    if (program->settings.archives) make_archive(world);
    program->starts++;
    gallery_starts(&program->gallery, program->settings.image_keep);
    program->config = config_open();
    enum err err = configure(program, &program->why);
    MUST(err == ERR_OK);
    program->canon.starting = true;
    err = server_open(&program->server, world, program->config, &program->host, &program->why);
    program->canon.starting = false;
    if (err == ERR_OK) return true;
    program->status = (int)exit_status_of(err);
    close_all(program);
    return false;
}

static void program_stop(struct sim_program *base)
{
    struct server_program *program = program_of(base);
    MUST(program->recounting); /* a server stops by itself: server_program_stop */
}

static void program_ended(struct sim_program *base, enum sim_end end, int status)
{
    struct server_program *program = program_of(base);
    program->end = end;
    if (end == SIM_END_EXIT) {
        program->status = status;
        program->exits++;
    }
    program->ready = program->canon.starting = false;
    program->config = NULL;
    program->server = NULL;
    program->close = (struct task){.run = close_task};
    if (!program->recounting && !program->restoring) canon_ended(&program->canon);
}

void server_program_init(struct server_program *program, struct sim_world *world,
                         const struct server_settings *settings,
                         const struct sim_node_options *options)
{
    *program = (struct server_program){
        .base = {program_start, program_stop, program_ended},
        .host = {.ready = host_ready,
                 .ended = host_ended,
                 .observe = host_observe,
                 .process_id = 1,
                 .version = "simulated"},
        .settings = *settings,
        .world = world,
        .close.run = close_task,
    };
    canon_init(&program->canon, world);
    program->reader.line = trace_line;
    sim_world_read(world, &program->reader);
    program->node = sim_node_open(world, &program->base, options);
    gallery_init(&program->gallery, &program->canon, program->node);
}

void server_program_release(struct server_program *program)
{
    gallery_release(&program->gallery);
    canon_release(&program->canon);
}

static void stop_visit(struct sim_visit *visit, struct world *world)
{
    (void)world;
    struct server_program *program = CONTAINER_OF(visit, struct server_program, stop);
    if (program->server != NULL) server_stop(program->server);
}

void server_program_stop(struct server_program *program)
{
    program->stop.run = stop_visit;
    if (sim_node_is_up(program->node)) (void)sim_node_visit(program->node, &program->stop);
}

bool server_program_recount(struct server_program *program)
{
    program->recounting = true;
    bool started = sim_node_start(program->node);
    if (started) (void)sim_node_stop(program->node);
    program->recounting = false;
    return started && program->recount_err == ERR_OK;
}

static void configure_visit(struct sim_visit *visit, struct world *world)
{
    (void)world;
    struct server_program *program = CONTAINER_OF(visit, struct server_program, stop);
    if (program->server == NULL || !program->ready) return;
    struct bytes words[2] = {bytes_text(program->name), bytes_text(program->value)};
    struct why why;
    enum err err = config_set(program->config, words, 2, &why);
    if (err != ERR_OK) sim_world_fail(program->world, "CONFIG SET: %s", why.text);
}

void server_program_configure(struct server_program *program, const char *name, const char *value)
{
    program->name = name;
    program->value = value;
    program->stop.run = configure_visit;
    if (sim_node_is_up(program->node)) (void)sim_node_visit(program->node, &program->stop);
}

struct restore_ended {
    struct sim_condition base;
    const struct server_program *program;
};

static bool met_restore_ended(struct sim_condition *base)
{
    struct restore_ended *condition = CONTAINER_OF(base, struct restore_ended, base);
    return !sim_node_is_up(condition->program->node);
}

bool server_program_restore(struct server_program *program)
{
    struct restore_ended condition = {{met_restore_ended}, program};
    program->restoring = true;
    program->restorer.node = program->node;
    program->restorer.ended = false;
    bool down = sim_node_start(program->node) &&
                sim_world_run_until(program->world, &condition.base, 600 * SIM_SECOND);
    program->restoring = false;
    return down && program->restorer.ended;
}
