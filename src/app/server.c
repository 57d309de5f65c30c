/* SPDX-License-Identifier: Apache-2.0 */
/* The wiring. Start: HTTP, so that a long start can be watched, and a taken port is told before
 * anything is touched; node (which opens the keys machine through `maker`); once that is ready, the
 * Redis face listens. Stop: that face stops listening, the node drains and flushes, HTTP is closed,
 * the clients are closed. */
#include "app/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/keys.h"
#include "base/memory.h"
#include "face/http/http.h"
#include "face/redis/redis.h"
#include "node/node.h"

enum { SERVER_KEYS_SHARD = 0 };

struct server {
    struct world world;
    struct config *config;
    struct server_host *host;
    struct keys keys;
    struct node *node;
    struct node_listener node_listener;
    struct redis_face *redis;
    struct redis_host redis_host;
    struct http_face *http; /* NULL: off */
    struct http_host http_host;
    struct config_watch config_watch;
    struct task end; /* tells the host, outside every call */
    enum exit_status status;
    bool stopping;
};

enum exit_status exit_status_of(enum err err)
{
    switch (err) {
    case ERR_OK: return EXIT_STATUS_CLEAN;
    case ERR_CONFIG: return EXIT_STATUS_USAGE;
    case ERR_CORRUPT: return EXIT_STATUS_CORRUPT;
    case ERR_PENDING:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_IO:
    case ERR_SPACE:
    case ERR_LIMIT:
    case ERR_PROTOCOL:
    case ERR_REFUSED:
    case ERR_NOT_LEADER:
    case ERR_SHUT: break;
    }
    return EXIT_STATUS_REFUSED;
}

/* --- The node --- */

static struct node_images node_images_of(const struct config *config)
{
    struct node_images images = {.keep = (unsigned)config_int(config, CONFIG_IMAGE_KEEP)};
    struct config_save_point points[NODE_SAVE_POINTS_MAX];
    size_t count = config_save_points(config, points, NODE_SAVE_POINTS_MAX);
    images.point_count = count < NODE_SAVE_POINTS_MAX ? count : NODE_SAVE_POINTS_MAX;
    for (size_t i = 0; i < images.point_count; i++)
        images.points[i] = (struct node_save_point){points[i].seconds, points[i].changes};
    return images;
}

/* Texts that a struct node_copies points to. */
struct copies_texts {
    char follow[CONFIG_PRIMARY_BYTES];
    char peers[CONFIG_ADDRESSES_MAX][CONFIG_ADDRESS_BYTES + 1];
};

/* `texts`: caller's, as long as the result is used; other texts are the config's. */
static struct node_copies node_copies_of(const struct config *config, struct copies_texts *texts)
{
    struct node_copies copies = {
        .follow = texts->follow,
        .announced_host = (const char *)config_text(config, CONFIG_ANNOUNCE_HOST).data,
        .peer_port = config_peer_port(config),
        .redis_port = (unsigned)config_int(config, CONFIG_PORT),
        .secret = (const char *)config_text(config, CONFIG_REPL_SECRET).data,
        .user = (const char *)config_text(config, CONFIG_PRIMARYUSER).data,
        .password = (const char *)config_text(config, CONFIG_PRIMARYAUTH).data,
        .all = config_enum(config, CONFIG_REPL_MODE) == CONFIG_MODE_ALL,
        .min_in_sync = (unsigned)config_int(config, CONFIG_MIN_IN_SYNC),
        .drop_after_us = (uint64_t)config_int(config, CONFIG_REPLICA_DROP_AFTER) * 1000000,
        .silent_us = (uint64_t)config_int(config, CONFIG_REPLICA_SILENT_BUDGET) * 1000000,
        .behind_bytes_max = config_size(config, CONFIG_REPLICA_BYTES_BUDGET),
        .ahead_bytes = config_size(config, CONFIG_REPLICA_APPLY_BACKLOG),
        .rebuilds_max = (unsigned)config_int(config, CONFIG_REBUILDS_MAX),
        .image_bytes_per_s = config_size(config, CONFIG_REBUILD_RATE),
    };
    config_primary(config, texts->follow);
    if (copies.peer_port == 0) return copies;
    struct config_address found[CONFIG_ADDRESSES_MAX];
    size_t count = config_addresses(config, copies.peer_port, found);
    for (size_t i = 0; i < count && i < NODE_PEER_ADDRESSES_MAX; i++) {
        (void)snprintf(texts->peers[i], sizeof texts->peers[i], "%s%.*s",
                       found[i].optional ? "-" : "", CONFIG_ADDRESS_BYTES - 1, found[i].text);
        copies.peer_addresses[i] = texts->peers[i];
    }
    return copies;
}

static struct node_options node_options_of(const struct config *config)
{
    static const enum log_durability durabilities[] = {
        [CONFIG_DURABILITY_ALWAYS] = LOG_ALWAYS,
        [CONFIG_DURABILITY_EVERYSEC] = LOG_EVERYSEC,
        [CONFIG_DURABILITY_NONE] = LOG_NONE,
    };
    return (struct node_options){
        .shard = {SERVER_KEYS_SHARD, "keys"},
        .directory = (const char *)config_text(config, CONFIG_DIR).data,
        .durability = durabilities[config_enum(config, CONFIG_DURABILITY)],
        .log_direct = config_enum(config, CONFIG_LOG_SYNC) != CONFIG_LOG_SYNC_FDATASYNC,
        .segment_bytes = config_size(config, CONFIG_LOG_SEGMENT_SIZE),
        .reserve_bytes = config_size(config, CONFIG_LOG_RESERVE_SIZE),
        .flush_bytes_min = config_size(config, CONFIG_FLUSH_BUDGET_MIN),
        .flush_bytes_max = config_size(config, CONFIG_FLUSH_BUDGET_MAX),
        .images = node_images_of(config),
        .archive = {.directory = (const char *)config_text(config, CONFIG_ARCHIVE_DIR).data,
                    .interval_us = (uint64_t)config_int(config, CONFIG_ARCHIVE_INTERVAL) * 1000000,
                    .budget_bytes = config_size(config, CONFIG_ARCHIVE_BUDGET)},
    };
}

static void end_task(struct task *task)
{
    struct server *server = CONTAINER_OF(task, struct server, end);
    server->host->ended(server->host, server->status);
}

static void end(struct server *server, enum exit_status status)
{
    server->status = status;
    clock_defer(server->world.clock, &server->end);
}

static void node_ready(struct node_listener *listener)
{
    struct server *server = CONTAINER_OF(listener, struct server, node_listener);
    if (server->stopping) return;
    struct why why;
    if (redis_listen(server->redis, &why) != ERR_OK) {
        trace_event(server->world.trace, TRACE_WARNING, "server", "listen_failed", "why=\"%s\"",
                    why.text);
        server->status = EXIT_STATUS_REFUSED;
        server_stop(server);
        return;
    }
    if (server->host->ready != NULL) server->host->ready(server->host);
}

static void node_failed(struct node_listener *listener, enum node_failure failure,
                        const struct why *why)
{
    struct server *server = CONTAINER_OF(listener, struct server, node_listener);
    static const struct {
        const char *event;
        enum exit_status status;
    } failures[] = {
        [NODE_FAILED_LOG] = {"log_failed", EXIT_STATUS_LOG_SYNC},
        [NODE_FAILED_STORE] = {"store_failed", EXIT_STATUS_STORE},
        [NODE_FAILED_CORRUPT] = {"corrupt", EXIT_STATUS_CORRUPT},
        [NODE_FAILED_DIVERGED] = {"diverged", EXIT_STATUS_DIGEST},
    };
    trace_event(server->world.trace, TRACE_WARNING, "server", failures[failure].event,
                "why=\"%s\" exit_status=%d", why->text, (int)failures[failure].status);
    redis_unlisten(server->redis);
    end(server, failures[failure].status);
}

static void node_stopped(struct node_listener *listener)
{
    struct server *server = CONTAINER_OF(listener, struct server, node_listener);
    trace_event(server->world.trace, TRACE_NOTICE, "server", "stopped", "exit_status=%d",
                (int)server->status);
    end(server, server->status);
}

/* --- The Redis face --- */

static void redis_shutdown(struct redis_host *host)
{
    server_stop(CONTAINER_OF(host, struct server, redis_host));
}

static uint64_t redis_used_memory(struct redis_host *host)
{
    struct server *server = CONTAINER_OF(host, struct server, redis_host);
    return server->host->used_memory == NULL ? 0 : server->host->used_memory(server->host);
}

static uint64_t redis_used_cpu(struct redis_host *host, bool user)
{
    struct server *server = CONTAINER_OF(host, struct server, redis_host);
    return server->host->used_cpu_us == NULL ? 0 : server->host->used_cpu_us(server->host, user);
}

static void redis_log_sync(struct redis_host *host, const char **method, const char **place)
{
    struct server *server = CONTAINER_OF(host, struct server, redis_host);
    *method = *place = "unknown";
    if (server->host->log_sync != NULL) server->host->log_sync(server->host, method, place);
}

/* --- The HTTP face --- */

static void http_figures(struct http_host *host, struct http_figures *out)
{
    struct server *server = CONTAINER_OF(host, struct server, http_host);
    static const char *const durabilities[] = {"always", "everysec", "none"};
    struct redis_figures redis;
    redis_figures(server->redis, &redis);
    *out = (struct http_figures){
        .clients = redis.clients,
        .clients_max = (uint64_t)config_int(server->config, CONFIG_MAXCLIENTS),
        .connections = redis.connections,
        .rejected_connections = redis.rejected_connections,
        .commands = redis.commands,
        .command_errors = redis.command_errors,
        .received_bytes = redis.received_bytes,
        .sent_bytes = redis.sent_bytes,
        .memory_bytes = redis_used_memory(&server->redis_host),
        .cpu_user_us = redis_used_cpu(&server->redis_host, true),
        .cpu_system_us = redis_used_cpu(&server->redis_host, false),
        .durability = durabilities[config_enum(server->config, CONFIG_DURABILITY)],
    };
    redis_log_sync(&server->redis_host, &out->sync_method, &out->sync_place);
}

static enum err open_http(struct server *server, struct why *why)
{
    int64_t port = config_int(server->config, CONFIG_HTTP_PORT);
    if (server->world.http == NULL || port == 0) return ERR_OK;
    struct config_address found[CONFIG_ADDRESSES_MAX];
    struct http_address addresses[CONFIG_ADDRESSES_MAX];
    size_t count = config_addresses(server->config, port, found);
    for (size_t i = 0; i < count; i++)
        addresses[i] = (struct http_address){found[i].text, found[i].optional};
    server->http_host = (struct http_host){http_figures, server->host->version,
                                           server->host->commit};
    struct http_options options = {server->world.clock, server->world.http, &server->http_host};
    http_open(&server->http, &options);
    enum err err = http_listen(server->http, addresses, count, why);
    if (err == ERR_OK) return ERR_OK;
    http_close(server->http);
    server->http = NULL;
    why_prefix(why, "http-port");
    return ERR_REFUSED;
}

static enum err configured(struct config_watch *watch, const struct config *config,
                           enum config_id id, struct why *why)
{
    struct server *server = CONTAINER_OF(watch, struct server, config_watch);
    struct node_options options = node_options_of(config);
    uint64_t clients_max = server->host->clients_max;
    if (id == CONFIG_MAXCLIENTS && clients_max != 0 &&
        (uint64_t)config_int(config, CONFIG_MAXCLIENTS) > clients_max) {
        return why_fail(why, ERR_CONFIG,
                        "The operating system is not able to handle the specified number of "
                        "clients, try with %" PRIu64,
                        clients_max);
    }
    if (id == CONFIG_TCP_KEEPALIVE && server->host->set_keepalive != NULL) {
        server->host->set_keepalive(server->host,
                                    (unsigned)config_int(config, CONFIG_TCP_KEEPALIVE));
    }
    bool tls = id == CONFIG_TLS_CERT_FILE || id == CONFIG_TLS_KEY_FILE ||
               id == CONFIG_TLS_KEY_FILE_PASS || id == CONFIG_TLS_CA_CERT_FILE ||
               id == CONFIG_TLS_CA_CERT_DIR || id == CONFIG_TLS_PROTOCOLS;
    if (tls && server->host->set_certificates != NULL)
        return server->host->set_certificates(server->host, why);
    if (id == CONFIG_DURABILITY) node_set_durability(server->node, options.durability);
    if (id == CONFIG_FLUSH_BUDGET_MIN || id == CONFIG_FLUSH_BUDGET_MAX) {
        node_set_flush_bytes(server->node, options.flush_bytes_min, options.flush_bytes_max);
    }
    if (id == CONFIG_SAVE || id == CONFIG_IMAGE_KEEP)
        node_set_images(server->node, &options.images);
    if (id == CONFIG_ARCHIVE_INTERVAL || id == CONFIG_ARCHIVE_BUDGET)
        node_set_archive(server->node, &options.archive);
    if (id == CONFIG_PRIMARYAUTH || id == CONFIG_PRIMARYUSER || id == CONFIG_REPLICA_DROP_AFTER ||
        id == CONFIG_REPLICA_SILENT_BUDGET || id == CONFIG_REPLICA_BYTES_BUDGET ||
        id == CONFIG_REPLICA_APPLY_BACKLOG || id == CONFIG_REBUILDS_MAX ||
        id == CONFIG_REBUILD_RATE) {
        struct copies_texts texts;
        struct node_copies copies = node_copies_of(config, &texts);
        node_set_copies(server->node, &copies);
    }
    if (id == CONFIG_LOGLEVEL && server->world.trace != NULL) {
        server->world.trace->least = (enum trace_level)config_enum(config, CONFIG_LOGLEVEL);
    }
    return ERR_OK;
}

/* --- Life --- */

enum err server_open(struct server **out, const struct world *world, struct config *config,
                     struct server_host *host, struct why *why)
{
    *out = NULL;
    struct server *server = memory_zeroed(1, sizeof *server);
    server->world = *world;
    server->config = config;
    server->host = host;
    keys_init(&server->keys, world, config_size(config, CONFIG_CACHE_SIZE),
              config_size(config, CONFIG_REPL_BACKLOG_SIZE));
    struct machine_maker *maker = &server->keys.maker;
    if (host->observe != NULL) maker = host->observe(host, maker);
    server->node_listener = (struct node_listener){node_ready, node_failed, node_stopped};
    server->end.run = end_task;
    struct node_options options = node_options_of(config);
    struct copies_texts texts;
    options.copies = node_copies_of(config, &texts);
    enum err err = open_http(server, why);
    if (err == ERR_OK)
        err = node_open(&server->node, world, maker, &options, &server->node_listener, why);
    if (err != ERR_OK) {
        http_close(server->http);
        memory_free(server);
        return err;
    }
    server->redis_host = (struct redis_host){
        .shutdown = redis_shutdown,
        .version = host->version,
        .process_id = host->process_id,
        .used_memory = redis_used_memory,
        .used_cpu_us = redis_used_cpu,
        .log_sync = redis_log_sync,
        .config_file = host->config_file,
    };
    struct redis_options redis = {.clock = world->clock,
                                  .net = world->net,
                                  .disk = world->disk,
                                  .entropy = world->entropy,
                                  .trace = world->trace,
                                  .config = config,
                                  .service = node_service(server->node),
                                  .host = &server->redis_host};
    redis_open(&server->redis, &redis);
    if (server->http != NULL) http_serve(server->http, node_service(server->node));
    server->config_watch.changed = configured;
    config_watch(config, &server->config_watch);
    *out = server;
    return ERR_OK;
}

struct service *server_service(struct server *server)
{
    return node_service(server->node);
}

void server_stop(struct server *server)
{
    if (server->stopping) return;
    server->stopping = true;
    redis_unlisten(server->redis);
    node_stop(server->node);
}

void server_close(struct server *server)
{
    if (server == NULL) return;
    config_unwatch(&server->config_watch);
    http_close(server->http);
    redis_close(server->redis);
    node_close(server->node);
    clock_cancel(server->world.clock, &server->end);
    memory_free(server);
}
