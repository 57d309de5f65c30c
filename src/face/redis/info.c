/* SPDX-License-Identifier: Apache-2.0 */
/* INFO: what Redis's tools look for, and a section of our own with the watermarks. */
#include <inttypes.h>
#include <string.h>

#include "face/redis/internal.h"

struct info {
    struct redis_face *face;
    struct service_status status;
    struct buffer *out;
    uint64_t now_us;
};

static void section_server(const struct info *info)
{
    const struct redis_face *face = info->face;
    uint64_t uptime = (info->now_us - face->started_us) / 1000000;
    buffer_append_format(info->out,
                         "redis_version:" REDIS_VERSION_SPOKEN "\r\ntidemark_version:%s\r\n"
                         "redis_mode:standalone\r\nos:Linux\r\narch_bits:64\r\n"
                         "multiplexing_api:libuv\r\nprocess_id:%" PRIu64 "\r\nrun_id:",
                         face->options.host->version, face->options.host->process_id);
    for (size_t i = 0; i < sizeof info->status.mark.history.id; i++) {
        buffer_append_format(info->out, "%02x", info->status.mark.history.id[i]);
    }
    buffer_append_format(
        info->out,
        "%08x\r\ntcp_port:%lld\r\nserver_time_usec:%" PRIu64 "\r\nuptime_in_seconds:%" PRIu64
        "\r\nuptime_in_days:%" PRIu64 "\r\nhz:%lld\r\nconfig_file:%s\r\n",
        (unsigned)info->status.mark.epoch.number,
        (long long)config_int(face->options.config, CONFIG_PORT),
        clock_wall_ms(face->options.clock) * 1000, uptime, uptime / 86400,
        (long long)config_int(face->options.config, CONFIG_HZ),
        face->options.host->config_file == NULL ? "" : face->options.host->config_file);
}

static void section_clients(const struct info *info)
{
    const struct redis_face *face = info->face;
    size_t largest_in = 0, largest_out = 0;
    for (const struct list *at = face->clients.next; at != &face->clients; at = at->next) {
        const struct client *one =
            (const struct client *)(const void *)((const char *)at - offsetof(struct client, all));
        if (one->in.size > largest_in) largest_in = one->in.size;
        if (one->out.size > largest_out) largest_out = one->out.size;
    }
    buffer_append_format(info->out,
                         "connected_clients:%" PRIu64 "\r\ncluster_connections:0\r\n"
                         "maxclients:%lld\r\nclient_recent_max_input_buffer:%zu\r\n"
                         "client_recent_max_output_buffer:%zu\r\nblocked_clients:%" PRIu64
                         "\r\ntracking_clients:0\r\n",
                         face->clients_count,
                         (long long)config_int(face->options.config, CONFIG_MAXCLIENTS), largest_in,
                         largest_out, info->status.waiters + face->waiting);
}

static void section_memory(const struct info *info)
{
    struct redis_host *host = info->face->options.host;
    uint64_t used = host->used_memory == NULL ? 0 : host->used_memory(host);
    buffer_append_format(info->out,
                         "used_memory:%" PRIu64 "\r\nused_memory_human:%.2fM\r\n"
                         "used_memory_rss:%" PRIu64 "\r\nused_memory_dataset:%" PRIu64
                         "\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
                         "mem_allocator:libc\r\n",
                         used, (double)used / 1048576.0, used, info->status.memory_bytes);
}

/* Of the image under way. */
static void describe_saving(const struct info *info)
{
    const struct service_images *images = &info->status.images;
    if (images->began_us == 0) return;
    uint64_t us = clock_now_us(info->face->options.clock) - images->began_us;
    uint64_t done = images->bytes_done, all = images->bytes_expected;
    uint64_t percent = all == 0 ? 0 : done * 100 / all;
    uint64_t rate = us == 0 ? 0 : done * 1000000 / us;
    buffer_append_format(info->out,
                         "image_progress_percent:%" PRIu64 "\r\nimage_bytes_per_second:%" PRIu64
                         "\r\nimage_seconds_left:%" PRIu64 "\r\n",
                         percent > 99 ? 99 : percent, rate,
                         rate == 0 || all < done ? 0 : (all - done) / rate);
}

static void describe_archive(const struct info *info)
{
    const struct service_archive *archive = &info->status.archive;
    buffer_append_format(info->out, "archive_enabled:%d\r\n", archive->on ? 1 : 0);
    if (!archive->on) return;
    buffer_append_format(
        info->out,
        "archive_lsn:%" PRIu64 "\r\narchive_image_lsn:%" PRIu64 "\r\narchive_covered:%d\r\n"
        "archive_lag_entries:%" PRIu64 "\r\narchive_lag_seconds:%" PRIu64
        "\r\narchive_written_bytes:%" PRIu64 "\r\narchive_failures:%" PRIu64
        "\r\narchive_gaps:%" PRIu64 "\r\narchive_status:%s\r\narchive_error:%s\r\n",
        archive->lsn.at, archive->image.at, archive->covered ? 1 : 0, archive->lag_entries,
        archive->lag_us / 1000000, archive->bytes, archive->failures, archive->gaps,
        archive->failing ? "err" : "ok", archive->failing ? archive->why.text : "");
}

static void section_persistence(const struct info *info)
{
    const struct service_status *status = &info->status;
    const struct service_images *images = &status->images;
    uint64_t now_us = clock_now_us(info->face->options.clock);
    buffer_append_format(
        info->out,
        "loading:0\r\nasync_loading:0\r\nrdb_changes_since_last_save:%" PRIu64
        "\r\nrdb_bgsave_in_progress:%d\r\nrdb_last_save_time:%" PRIu64
        "\r\nrdb_last_bgsave_status:%s\r\nrdb_last_bgsave_time_sec:%" PRId64
        "\r\nrdb_current_bgsave_time_sec:%" PRId64
        "\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\n"
        "aof_last_write_status:%s\r\naof_current_size:%" PRIu64 "\r\nimage_lsn:%" PRIu64
        "\r\nimage_bytes:%" PRIu64 "\r\nimages:%" PRIu64 "\r\nimages_bad:%" PRIu64
        "\r\nimage_last_scrub_time:%" PRIu64 "\r\n",
        images->changes, images->saving ? 1 : 0, images->saved_s, images->failed ? "err" : "ok",
        images->took_us == 0 ? INT64_C(-1) : (int64_t)(images->took_us / 1000000),
        images->began_us == 0 ? INT64_C(-1) : (int64_t)((now_us - images->began_us) / 1000000),
        status->low_space ? "err" : "ok", status->log_bytes, images->lsn.at, images->bytes,
        images->images, images->bad, images->checked_s);
    describe_saving(info);
    describe_archive(info);
}

static void section_stats(const struct info *info)
{
    const struct redis_face *face = info->face;
    buffer_append_format(
        info->out,
        "total_connections_received:%" PRIu64 "\r\ntotal_commands_processed:%" PRIu64
        "\r\ninstantaneous_ops_per_sec:%" PRIu64 "\r\ntotal_net_input_bytes:%" PRIu64
        "\r\ntotal_net_output_bytes:%" PRIu64 "\r\nrejected_connections:%" PRIu64
        "\r\nexpired_keys:%" PRIu64 "\r\nevicted_keys:0\r\ntotal_error_replies:%" PRIu64 "\r\n",
        face->connections_total, face->commands_total, face->commands_a_second, face->input_bytes,
        face->output_bytes, face->rejected_connections,
        info->status.expired_keys - face->expired_before, face->errors_total);
    replicas_describe_syncs(face, info->out);
    pubsub_describe(face, info->out);
}

static void section_replication(const struct info *info)
{
    copies_describe(info->face, &info->status, info->out);
}

static void section_cpu(const struct info *info)
{
    struct redis_host *host = info->face->options.host;
    uint64_t user = host->used_cpu_us == NULL ? 0 : host->used_cpu_us(host, true);
    uint64_t system = host->used_cpu_us == NULL ? 0 : host->used_cpu_us(host, false);
    buffer_append_format(info->out,
                         "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\n"
                         "used_cpu_sys_children:0.000000\r\nused_cpu_user_children:0.000000\r\n",
                         (double)system / 1e6, (double)user / 1e6);
}

static void section_modules(const struct info *info)
{
    (void)info;
}

static void section_commandstats(const struct info *info)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        const struct command_stats *stats = &info->face->stats[command->id];
        if (stats->calls == 0 && stats->rejected == 0) continue;
        double per_call = stats->calls == 0 ? 0
                                            : (double)stats->microseconds / (double)stats->calls;
        buffer_append_format(info->out,
                             "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f"
                             ",rejected_calls=%" PRIu64 ",failed_calls=%" PRIu64 "\r\n",
                             command->name, stats->calls, stats->microseconds, per_call,
                             stats->rejected, stats->failed);
    }
}

static void section_cluster(const struct info *info)
{
    buffer_append_text(info->out, "cluster_enabled:0\r\n");
}

static void section_keyspace(const struct info *info)
{
    struct service *service = info->face->options.service;
    service->ops->describe(service, info->out);
}

static void section_tidemark(const struct info *info)
{
    const struct service_status *status = &info->status;
    buffer_append_format(info->out,
                         "appended_lsn:%" PRIu64 "\r\ndurable_lsn:%" PRIu64
                         "\r\ncommitted_lsn:%" PRIu64 "\r\napplied_lsn:%" PRIu64
                         "\r\nflushed_lsn:%" PRIu64 "\r\nfloor_lsn:%" PRIu64 "\r\nhistory:",
                         status->appended.at, status->durable.at, status->committed.at,
                         status->applied.at, status->flushed.at, status->floor.at);
    for (size_t i = 0; i < sizeof status->mark.history.id; i++) {
        buffer_append_format(info->out, "%02x", status->mark.history.id[i]);
    }
    const char *method = "unknown", *place = "unknown";
    struct redis_host *host = info->face->options.host;
    if (host->log_sync != NULL) host->log_sync(host, &method, &place);
    uint64_t mean = status->syncs == 0 ? 0 : status->sync_us_total / status->syncs;
    static const char *const durabilities[] = {"always", "everysec", "none"};
    buffer_append_format(
        info->out,
        "\r\nepoch:%" PRIu64 ".%" PRIu64 "\r\nmode:%s\r\ndurability:%s\r\nstart_outcome:%s\r\n"
        "start_reason:%s\r\nstart_gap_entries:%" PRIu64 "\r\nstart_us:%" PRIu64
        "\r\nlog_bytes:%" PRIu64 "\r\nunflushed_bytes:%" PRIu64 "\r\nlog_batches:%" PRIu64
        "\r\nlog_entries:%" PRIu64 "\r\nlog_syncs:%" PRIu64 "\r\nlog_sync_us_mean:%" PRIu64
        "\r\nlog_sync_us_last:%" PRIu64 "\r\nlog_sync_us_worst:%" PRIu64
        "\r\nlog_sync_us_p50:%" PRIu64 "\r\nlog_sync_us_p99:%" PRIu64
        "\r\nlog_sync_method:%s\r\nlog_sync_place:%s"
        "\r\ncalls_in_order:%" PRIu64 "\r\nlow_space:%d\r\nclock_jump_ms:%" PRId64 "\r\n",
        status->mark.epoch.number, status->mark.epoch.copy, status->mode,
        durabilities[config_enum(info->face->options.config, CONFIG_DURABILITY)],
        status->start_outcome, status->start_reason, status->start_gap_entries, status->start_us,
        status->log_bytes, status->unflushed_bytes, status->batches, status->entries, status->syncs,
        mean, status->sync_us_last, status->sync_us_worst,
        histogram_quantile(status->sync_us, 50, 100), histogram_quantile(status->sync_us, 99, 100),
        method, place, status->calls_waiting, status->low_space ? 1 : 0, status->clock_jump_ms);
    const struct service_stamps *stamps = &status->stamps;
    buffer_append_format(info->out,
                         "apply_backlog_entries:%" PRIu64 "\r\nstamps_checked:%" PRIu64
                         "\r\nstamps_skipped:%" PRIu64 "\r\nstamp_lsn:%" PRIu64
                         "\r\nrecounts:%" PRIu64 "\r\nrecount_lsn:%" PRIu64 "\r\n",
                         status->apply_backlog, stamps->checked, stamps->skipped,
                         stamps->mark.lsn.at, stamps->recounts, stamps->recounted.at);
    copies_describe_own(info->face, info->out);
}

enum { SECTION_DEFAULT = 1, SECTION_ALL = 2 };

static const struct section {
    const char *name, *title;
    unsigned sets; /* `default`, `all` */
    void (*write)(const struct info *info);
} sections[] = {
    {"server", "Server", SECTION_DEFAULT | SECTION_ALL, section_server},
    {"clients", "Clients", SECTION_DEFAULT | SECTION_ALL, section_clients},
    {"memory", "Memory", SECTION_DEFAULT | SECTION_ALL, section_memory},
    {"persistence", "Persistence", SECTION_DEFAULT | SECTION_ALL, section_persistence},
    {"stats", "Stats", SECTION_DEFAULT | SECTION_ALL, section_stats},
    {"replication", "Replication", SECTION_DEFAULT | SECTION_ALL, section_replication},
    {"cpu", "CPU", SECTION_DEFAULT | SECTION_ALL, section_cpu},
    {"modules", "Modules", SECTION_DEFAULT | SECTION_ALL, section_modules},
    {"commandstats", "Commandstats", SECTION_ALL, section_commandstats},
    {"cluster", "Cluster", SECTION_DEFAULT | SECTION_ALL, section_cluster},
    {"keyspace", "Keyspace", SECTION_DEFAULT | SECTION_ALL, section_keyspace},
    {"tidemark", "Tidemark", SECTION_DEFAULT | SECTION_ALL, section_tidemark},
};

static bool is_asked(const struct section *section, const struct args *args)
{
    if (args->count == 1) return (section->sets & SECTION_DEFAULT) != 0;
    for (size_t i = 1; i < args->count; i++) {
        if (bytes_is_word(args->at[i], section->name)) return true;
        if (bytes_is_word(args->at[i], "all") || bytes_is_word(args->at[i], "everything"))
            return true;
        if (bytes_is_word(args->at[i], "default") && (section->sets & SECTION_DEFAULT) != 0)
            return true;
    }
    return false;
}

void face_INFO(struct client *client, const struct args *args)
{
    struct redis_face *face = client->face;
    struct buffer text;
    buffer_init(&text);
    struct info info = {.face = face, .out = &text, .now_us = clock_now_us(face->options.clock)};
    face->options.service->ops->status(face->options.service, &info.status);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (!is_asked(&sections[i], args)) continue;
        if (text.size > 0) buffer_append_text(&text, "\r\n");
        buffer_append_format(&text, "# %s\r\n", sections[i].title);
        sections[i].write(&info);
    }
    client_reply(client)->ops->verbatim(client_reply(client), buffer_bytes(&text));
    buffer_release(&text);
}
