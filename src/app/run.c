/* SPDX-License-Identifier: Apache-2.0 */
/* `tidemark server`: configuration, log lines, loop, signals. SIGTERM and SIGINT stop it cleanly; a
 * second one at once. */
#include "app/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/server.h"
#include "base/memory.h"
#include "real/real.h"

enum {
    CONFIG_FILE_BYTES_MAX = 1 << 20,
    STREAMS_BESIDE_CLIENTS = 32, /* listeners, and connections that are told why they end */
};

struct run {
    struct server_host host;
    struct real_signals signals;
    struct real_world *real;
    struct real_tls *tls; /* NULL: copies meet in the clear */
    struct world world;
    struct trace *trace;
    struct config *config;
    struct server *server;
    enum exit_status status;
    bool asked;
};

static enum exit_status fail(enum exit_status status, const char *what, const struct why *why)
{
    fprintf(stderr, "tidemark: %s%s%s\n", what, what[0] == 0 ? "" : ": ", why->text);
    return status;
}

static void help(void)
{
    struct buffer text;
    buffer_init(&text);
    buffer_append_text(
        &text, "Usage: tidemark server [CONFIG] [--option value ...]\n\n"
               "CONFIG holds one `option value` a line, as redis.conf does; the command line is "
               "last and wins.\nSizes take k, m, g (1024). Options:\n\n");
    config_describe(true, &text);
    buffer_append_text(&text, "\nKept for Redis's clients and tools, without effect here:\n\n");
    config_describe(false, &text);
    fwrite(text.data, 1, text.size, stdout);
    buffer_release(&text);
}

static enum err read_file(const char *path, struct buffer *out, struct why *why)
{
    struct disk *disk = NULL;
    real_disk_open(&disk, REAL_LOG_SYNC_FDATASYNC);
    struct disk_request open = {.op = DISK_OPEN, .path = path, .read_only = true};
    enum err err = disk_run(disk, &open);
    if (err != ERR_OK) {
        why_fail(why, ERR_CONFIG, "%s: %s", path, open.why.text);
    } else if (open.size > CONFIG_FILE_BYTES_MAX) {
        err = why_fail(why, ERR_CONFIG, "%s: larger than a configuration file may be", path);
    } else {
        struct disk_request read = {.op = DISK_READ,
                                    .file = open.file,
                                    .data = buffer_reserve(out, open.size + 1),
                                    .size = open.size};
        err = disk_run(disk, &read);
        out->size = read.moved;
        if (err != ERR_OK) why_fail(why, ERR_CONFIG, "%s: %s", path, read.why.text);
    }
    if (open.file != NULL) {
        struct disk_request close = {.op = DISK_CLOSE, .file = open.file};
        (void)disk_run(disk, &close);
    }
    real_disk_close(disk);
    return err == ERR_OK ? ERR_OK : ERR_CONFIG;
}

/* The file first, then the command line. */
static enum err read_config(struct run *run, size_t count, const char *const *words,
                            struct why *why)
{
    run->config = config_open();
    if (count > 0 && strncmp(words[0], "--", 2) != 0) {
        struct buffer text;
        buffer_init(&text);
        enum err err = read_file(words[0], &text, why);
        if (err == ERR_OK) err = config_read_text(run->config, buffer_bytes(&text), why);
        buffer_release(&text);
        if (err != ERR_OK) return err;
        run->host.config_file = words[0];
        words++;
        count--;
    }
    return config_read_arguments(run->config, words, count, why);
}

static void server_ended(struct server_host *host, enum exit_status status)
{
    struct run *run = CONTAINER_OF(host, struct run, host);
    run->status = status;
    real_world_stop(run->real);
}

static void asked_to_stop(struct real_signals *signals, int number)
{
    struct run *run = CONTAINER_OF(signals, struct run, signals);
    trace_event(run->trace, TRACE_NOTICE, "server", "signal", "number=%d again=%d", number,
                (int)run->asked);
    if (run->asked || run->server == NULL) {
        /* As in a crash: what was acked is with the kernel, but with `everysec` and `none` perhaps
         * not on disk. The status says so. */
        if (run->status == EXIT_STATUS_CLEAN) run->status = EXIT_STATUS_HURRY;
        real_world_stop(run->real);
    } else {
        run->asked = true;
        server_stop(run->server);
    }
}

static uint64_t used_memory(struct server_host *host)
{
    (void)host;
    return real_process_memory_bytes();
}

static uint64_t used_cpu_us(struct server_host *host, bool user)
{
    (void)host;
    return real_process_cpu_us(user);
}

static void log_sync(struct server_host *host, const char **method, const char **place)
{
    struct real_sync_status status;
    real_sync_status(CONTAINER_OF(host, struct run, host)->real, &status);
    *method = status.method;
    *place = status.place;
}

static void set_keepalive(struct server_host *host, unsigned seconds)
{
    real_world_set_keepalive(CONTAINER_OF(host, struct run, host)->real, seconds);
}

/* Texts are the config's. */
static struct real_tls_options tls_options(const struct config *config)
{
    return (struct real_tls_options){
        .cert_file = (const char *)config_text(config, CONFIG_TLS_CERT_FILE).data,
        .key_file = (const char *)config_text(config, CONFIG_TLS_KEY_FILE).data,
        .key_pass = (const char *)config_text(config, CONFIG_TLS_KEY_FILE_PASS).data,
        .ca_file = (const char *)config_text(config, CONFIG_TLS_CA_CERT_FILE).data,
        .ca_dir = (const char *)config_text(config, CONFIG_TLS_CA_CERT_DIR).data,
        .protocols = (const char *)config_text(config, CONFIG_TLS_PROTOCOLS).data,
    };
}

static enum err open_tls(struct run *run, struct why *why)
{
    struct real_tls_options options = tls_options(run->config);
    if (!config_bool(run->config, CONFIG_TLS_REPLICATION)) return ERR_OK;
    return real_tls_open(&run->tls, &run->world, &options, &run->world.peers, why);
}

/* A few small files, read on the loop: an operator has asked for it, and is answered at once
 * whether they are good. */
static enum err set_certificates(struct server_host *host, struct why *why)
{
    struct run *run = CONTAINER_OF(host, struct run, host);
    struct real_tls_options options = tls_options(run->config);
    return run->tls == NULL ? ERR_OK : real_tls_reload(run->tls, &options, why);
}

static void warn_without_effect(struct run *run)
{
    struct buffer names;
    buffer_init(&names);
    config_without_effect(run->config, &names);
    if (names.size > 0) {
        trace_event(run->trace, TRACE_NOTICE, "server", "config_without_effect", "names=\"%.*s\"",
                    (int)names.size, (const char *)names.data);
    }
    buffer_release(&names);
}

/* Clients beyond what the system's limit of open files leaves for them are never let in. */
static enum err fit_maxclients(struct run *run, struct why *why)
{
    struct real_files files;
    real_process_files(&files);
    if (files.streams <= STREAMS_BESIDE_CLIENTS) {
        return why_fail(why, ERR_REFUSED, "the limit of open files, %" PRIu64 ", is too low",
                        files.allowed);
    }
    uint64_t most = run->host.clients_max = files.streams - STREAMS_BESIDE_CLIENTS;
    uint64_t asked = (uint64_t)config_int(run->config, CONFIG_MAXCLIENTS);
    if (asked <= most) return ERR_OK;
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRIu64, most);
    const struct bytes words[] = {bytes_text("maxclients"), bytes_text(text)};
    trace_event(run->trace, TRACE_WARNING, "server", "maxclients_lowered",
                "from=%" PRIu64 " to=%" PRIu64 " open_files=%" PRIu64, asked, most, files.allowed);
    return config_set(run->config, words, 2, why);
}

static enum exit_status serve(struct run *run)
{
    static const enum real_log_sync methods[] = {
        [CONFIG_LOG_SYNC_AUTO] = REAL_LOG_SYNC_AUTO,
        [CONFIG_LOG_SYNC_DIRECT] = REAL_LOG_SYNC_DIRECT,
        [CONFIG_LOG_SYNC_FDATASYNC] = REAL_LOG_SYNC_FDATASYNC,
    };
    struct real_options options = {
        .log_sync = methods[config_enum(run->config, CONFIG_LOG_SYNC)],
        .backlog = (unsigned)config_int(run->config, CONFIG_TCP_BACKLOG),
        .keepalive_seconds = (unsigned)config_int(run->config, CONFIG_TCP_KEEPALIVE),
        .store_reserve_bytes = config_size(run->config, CONFIG_STORE_RESERVE_SIZE),
        .trace = run->trace,
        .signals = &run->signals,
    };
    struct why why;
    if (real_world_open(&run->real, &options, &run->world, &why) != ERR_OK) {
        return fail(EXIT_STATUS_REFUSED, "", &why);
    }
    run->world.trace = run->trace;
    enum exit_status status = EXIT_STATUS_CLEAN;
    enum err err = fit_maxclients(run, &why);
    if (err == ERR_OK) err = open_tls(run, &why);
    if (err == ERR_OK) {
        err = server_open(&run->server, &run->world, run->config, &run->host, &why);
    }
    if (err != ERR_OK) {
        status = exit_status_of(err);
        trace_event(run->trace, TRACE_WARNING, "server", "start_refused",
                    "why=\"%s\" exit_status=%d", why.text, (int)status);
    } else {
        real_world_run(run->real);
        status = run->status;
    }
    server_close(run->server);
    real_tls_close(run->tls);
    real_world_close(run->real);
    return status;
}

enum exit_status run_server(const char *version, const char *commit, size_t count,
                            const char *const *words)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) {
            help();
            return EXIT_STATUS_CLEAN;
        }
    }
    struct run run = {
        .host = {.ended = server_ended,
                 .used_memory = used_memory,
                 .used_cpu_us = used_cpu_us,
                 .log_sync = log_sync,
                 .set_keepalive = set_keepalive,
                 .set_certificates = set_certificates,
                 .process_id = real_process_id(),
                 .version = version,
                 .commit = commit},
        .signals.asked = asked_to_stop,
    };
    struct why why;
    enum exit_status status = EXIT_STATUS_USAGE;
    if (read_config(&run, count, words, &why) != ERR_OK) {
        fail(status, "configuration", &why);
        config_close(run.config);
        return status;
    }
    const char *path = (const char *)config_text(run.config, CONFIG_LOGFILE).data;
    enum trace_level least = (enum trace_level)config_enum(run.config, CONFIG_LOGLEVEL);
    if (real_trace_open(&run.trace, path[0] == 0 ? NULL : path, least, &why) != ERR_OK) {
        fail(status, "logfile", &why);
        config_close(run.config);
        return status;
    }
    trace_event(run.trace, TRACE_NOTICE, "server", "starting",
                "version=%s process=%llu port=%lld dir=%s", version,
                (unsigned long long)run.host.process_id,
                (long long)config_int(run.config, CONFIG_PORT),
                (const char *)config_text(run.config, CONFIG_DIR).data);
    warn_without_effect(&run);
    status = serve(&run);
    real_trace_close(run.trace);
    config_close(run.config);
    return status;
}
