/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sibling.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static struct sibling *sibling_of(struct sim_program *base)
{
    return CONTAINER_OF(base, struct sibling, base);
}

static void host_ready(struct server_host *host)
{
    CONTAINER_OF(host, struct sibling, host)->ready = true;
}

static void close_all(struct sibling *copy)
{
    server_close(copy->server);
    config_close(copy->config);
    copy->server = NULL;
    copy->config = NULL;
}

static void close_task(struct task *task)
{
    struct sibling *copy = CONTAINER_OF(task, struct sibling, close);
    close_all(copy);
    sim_node_exit(copy->node, copy->status);
}

static void host_ended(struct server_host *host, enum exit_status status)
{
    struct sibling *copy = CONTAINER_OF(host, struct sibling, host);
    copy->status = (int)status;
    copy->ready = false;
    clock_defer(copy->seams.clock, &copy->close);
}

static struct machine_maker *host_observe(struct server_host *host, struct machine_maker *maker)
{
    return witness_observe(&CONTAINER_OF(host, struct sibling, host)->witness, maker);
}

static enum err configure(struct sibling *copy, struct why *why)
{
    const struct sibling_settings *settings = &copy->settings;
    char numbers[7][SIBLING_WORD_BYTES];
    const uint64_t values[7] = {settings->segment_bytes, settings->flush_bytes_max,
                                settings->min_in_sync,   settings->behind_bytes,
                                settings->drop_after_s,  settings->image_bytes_per_s,
                                settings->ahead_bytes};
    for (unsigned i = 0; i < 7; i++) {
        (void)snprintf(numbers[i], sizeof numbers[i], "%" PRIu64, values[i]);
    }
    const char *words[] = {"--dir",
                           "data",
                           "--bind",
                           "0.0.0.0",
                           "--protected-mode",
                           "no",
                           "--loglevel",
                           "debug",
                           "--cache-size",
                           "8m",
                           "--log-sync",
                           settings->direct ? "direct" : "fdatasync",
                           "--log-segment-size",
                           numbers[0],
                           "--log-reserve-size",
                           "256k",
                           "--flush-budget-min",
                           "4k",
                           "--flush-budget-max",
                           numbers[1],
                           "--image-keep",
                           "2",
                           "--save",
                           settings->save,
                           "--repl-secret",
                           "a secret of the copies",
                           "--repl-mode",
                           settings->all ? "all" : "local",
                           "--min-in-sync",
                           numbers[2],
                           "--replica-bytes-budget",
                           numbers[3],
                           "--replica-drop-after",
                           numbers[4],
                           "--rebuild-rate",
                           numbers[5],
                           "--replica-apply-backlog",
                           numbers[6],
                           "--replicaof",
                           copy->follow};
    size_t count = sizeof words / sizeof words[0] - (copy->follow[0] == '\0' ? 2 : 0);
    return config_read_arguments(copy->config, words, count, why);
}

static bool program_start(struct sim_program *base, struct world *world)
{
    struct sibling *copy = sibling_of(base);
    copy->seams = *world;
    copy->ready = false;
    copy->event_next = 1;
    copy->read_back = 0;
    copy->why.text[0] = '\0';
    copy->config = config_open();
    enum err err = configure(copy, &copy->why);
    if (err != ERR_OK) sim_world_fail(copy->world, "configuration: %s", copy->why.text);
    if (err == ERR_OK) {
        err = server_open(&copy->server, world, copy->config, &copy->host, &copy->why);
    }
    if (err == ERR_OK) return true;
    copy->status = (int)exit_status_of(err);
    close_all(copy);
    return false;
}

static void program_ended(struct sim_program *base, enum sim_end end, int status)
{
    struct sibling *copy = sibling_of(base);
    copy->end = end;
    if (end == SIM_END_EXIT) copy->status = status;
    copy->ready = false;
    copy->config = NULL;
    copy->server = NULL;
    copy->close = (struct task){.run = close_task};
}

void sibling_init(struct sibling *copy, struct annals *annals, unsigned index,
                  const struct sibling_settings *settings, const struct sim_node_options *options)
{
    *copy = (struct sibling){
        .base = {.start = program_start, .ended = program_ended},
        .host = {.ready = host_ready,
                 .ended = host_ended,
                 .observe = host_observe,
                 .process_id = 1,
                 .version = "simulated"},
        .settings = *settings,
        .world = annals->world,
        .annals = annals,
        .index = index,
        .close.run = close_task,
    };
    witness_init(&copy->witness, annals, index);
    copy->node = sim_node_open(annals->world, &copy->base, options);
}

static void stop_visit(struct sim_visit *visit, struct world *world)
{
    (void)world;
    struct sibling *copy = CONTAINER_OF(visit, struct sibling, visit);
    if (copy->server != NULL) server_stop(copy->server);
}

void sibling_stop(struct sibling *copy)
{
    copy->visit.run = stop_visit;
    if (sim_node_is_up(copy->node)) (void)sim_node_visit(copy->node, &copy->visit);
}

static void count_event(struct sibling_told *told, const struct copy_event *event)
{
    for (unsigned i = 0; i < ORCHESTRATOR_EVENT_KINDS; i++) {
        const char *name = orchestrator_event_name((enum orchestrator_event_kind)i);
        told->events[i] += strcmp(event->what, name) == 0;
    }
    for (unsigned i = 0; i < RECOVER_RULES; i++)
        told->rules[i] += strcmp(event->rule, recover_rule_name((enum recover_rule)i)) == 0;
    for (unsigned i = 0; i < BYE_REASONS; i++)
        told->ends[i] += strcmp(event->reason, bye_reason_name((enum bye_reason)i)) == 0;
}

/* Those that are overwritten already are missed. */
static void count_events(struct sibling *copy, struct service *service)
{
    struct copy_event event;
    while (service->ops->copy_event(service, copy->event_next, &event) ||
           (service->ops->copy_event(service, 0, &event) && event.number > copy->event_next)) {
        count_event(copy->told, &event);
        copy->event_next = event.number + 1;
    }
}

static void look_visit(struct sim_visit *visit, struct world *world)
{
    (void)world;
    struct sibling *copy = CONTAINER_OF(visit, struct sibling, visit);
    if (copy->server == NULL) return;
    struct service *service = server_service(copy->server);
    service->ops->copies(service, &copy->look->copies);
    service->ops->status(service, &copy->look->service);
    copy->look->looked = true;
    if (copy->told == NULL) return;
    count_events(copy, service);
    copy->told->read_back += copy->look->service.read_back - copy->read_back;
    copy->read_back = copy->look->service.read_back;
}

void sibling_look(struct sibling *copy, struct sibling_look *out)
{
    *out = (struct sibling_look){.looked = false};
    copy->visit.run = look_visit;
    copy->look = out;
    if (sim_node_is_up(copy->node)) (void)sim_node_visit(copy->node, &copy->visit);
    copy->look = NULL;
}

uint64_t sibling_reign(struct sibling *copy)
{
    struct sibling_look look;
    if (sim_node_stands(copy->node)) return 0;
    sibling_look(copy, &look);
    return look.looked && look.copies.role == COPIES_LEADS ? look.copies.epoch.number : 0;
}
