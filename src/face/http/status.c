/* SPDX-License-Identifier: Apache-2.0 */
/* The page /status: what /metrics says, with names of things beside the numbers, for people and
 * scripts. Fields are only ever added. What is no UTF-8, or finds no memory, is left out. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/number.h"
#include "face/http/internal.h"

static void put(json_t *object, const char *name, uint64_t value)
{
    (void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_text(json_t *object, const char *name, const char *value)
{
    (void)json_object_set_new(object, name, json_string(value));
}

static void put_bool(json_t *object, const char *name, bool value)
{
    (void)json_object_set_new(object, name, json_boolean(value));
}

static json_t *latency(const struct histogram *histogram)
{
    json_t *object = json_object();
    put(object, "count", histogram_count(histogram));
    put(object, "total_us", histogram->total_us);
    static const struct {
        const char *name;
        unsigned parts;
    } quantiles[] = {{"p50_us", 500}, {"p90_us", 900}, {"p99_us", 990}, {"p999_us", 999}};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        uint64_t bound = histogram_quantile(histogram, quantiles[i].parts, 1000);
        if (bound > INT64_MAX) bound = INT64_MAX;
        put(object, quantiles[i].name, bound);
    }
    return object;
}

static json_t *watermarks(const struct service_status *status)
{
    json_t *object = json_object();
    put(object, "appended", status->appended.at);
    put(object, "durable", status->durable.at);
    put(object, "committed", status->committed.at);
    put(object, "applied", status->applied.at);
    put(object, "flushed", status->flushed.at);
    put(object, "floor", status->floor.at);
    return object;
}

static json_t *start(const struct service_status *status)
{
    json_t *object = json_object();
    put_text(object, "outcome", status->start_outcome);
    put_text(object, "reason", status->start_reason);
    put(object, "gap_entries", status->start_gap_entries);
    put(object, "us", status->start_us);
    return object;
}

static json_t *log_of(const struct http_view *view)
{
    const struct service_status *status = &view->status;
    json_t *object = json_object();
    put_text(object, "durability", view->figures.durability);
    put_text(object, "sync_method", view->figures.sync_method);
    put_text(object, "sync_place", view->figures.sync_place);
    put(object, "bytes", status->log_bytes);
    put(object, "segments", status->log_segments);
    put(object, "entries", status->entries);
    put(object, "batches", status->batches);
    put(object, "written_bytes", status->log_written_bytes);
    put(object, "sync_us_last", status->sync_us_last);
    put(object, "sync_us_worst", status->sync_us_worst);
    (void)json_object_set_new(object, "sync", latency(status->sync_us));
    return object;
}

static json_t *databases(const struct http_view *view)
{
    json_t *object = json_object();
    struct http_database database;
    for (struct bytes rest = view->databases; http_next_database(&rest, &database);) {
        char number[16];
        (void)snprintf(number, sizeof number, "%u", database.number);
        json_t *one = json_object();
        put(one, "keys", database.keys);
        put(one, "with_expiry", database.expires);
        (void)json_object_set_new(object, number, one);
    }
    return object;
}

static json_t *images_of(const struct service_images *images)
{
    json_t *object = json_object();
    put(object, "count", images->images);
    put(object, "bad", images->bad);
    put(object, "lsn", images->lsn.at);
    put(object, "bytes", images->bytes);
    put(object, "changes", images->changes);
    put(object, "saved_at", images->saved_s);
    put(object, "checked_at", images->checked_s);
    put(object, "save_us", images->took_us);
    put_bool(object, "saving", images->saving);
    put(object, "done_bytes", images->bytes_done);
    put(object, "expected_bytes", images->bytes_expected);
    put(object, "attempts", images->ended);
    put_bool(object, "failed", images->failed);
    if (images->failed) put_text(object, "why", images->why.text);
    return object;
}

static void put_id(json_t *object, const char *name, uint64_t id)
{
    char text[NUMBER_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%" PRIu64, id);
    put_text(object, name, text);
}

/* No address: who may read this page need not know them. */
static json_t *copy_of(const struct copy_status *copy)
{
    json_t *object = json_object();
    put_id(object, "id", copy->id);
    put(object, "incarnation", copy->incarnation);
    put_bool(object, "configured", copy->configured);
    put_bool(object, "counts", copy->counts);
    put_bool(object, "connected", copy->connected);
    put_bool(object, "needs_rebuild", copy->needs_rebuild);
    put_text(object, "state", copy->state);
    put_text(object, "plan", copy->plan);
    put_text(object, "rule", copy->rule);
    put(object, "durable", copy->durable.at);
    put(object, "applied", copy->applied.at);
    put(object, "flushed", copy->flushed.at);
    put(object, "lag_entries", copy->lag_entries);
    put(object, "lag_bytes", copy->lag_bytes);
    put(object, "lag_ms", copy->lag_ms);
    put(object, "heard_us", copy->contact_us);
    put(object, "image_done_bytes", copy->image_done);
    put(object, "image_bytes", copy->image_bytes);
    return object;
}

static json_t *link_of(const struct http_view *view)
{
    const struct copies_status *copies = &view->copies;
    json_t *object = json_object();
    put_id(object, "copy", copies->primary_copy);
    put_text(object, "state", copies->link_state == NULL ? "" : copies->link_state);
    put(object, "down_us", copies->link_down_us);
    put(object, "heard_us", copies->heard_us);
    put(object, "durable", copies->primary_durable.at);
    put(object, "committed", copies->primary_committed.at);
    put(object, "lag_entries", http_own_lag(view));
    put(object, "sync_done_bytes", copies->sync_done);
    put(object, "sync_bytes", copies->sync_bytes);
    return object;
}

static json_t *copies_of(const struct http_view *view)
{
    const struct copies_status *copies = &view->copies;
    json_t *object = json_object(), *list = json_array();
    put_text(object, "role", http_role_name(copies->role));
    put_id(object, "copy", copies->copy);
    put(object, "epoch", copies->epoch.number);
    put(object, "min_in_sync", copies->min_in_sync);
    put(object, "counting", copies->counting);
    put(object, "in_sync", copies->in_sync);
    put_bool(object, "may_write", copies->may_write);
    put_bool(object, "failing_over", copies->failing_over);
    put(object, "damaged_frames", copies->damaged_frames);
    put_text(object, "peer_guard", copies->peer_guard);
    put(object, "tls_refused", copies->tls_refused);
    put(object, "tls_cut", copies->tls_cut);
    if (copies->role != COPIES_LEADS) (void)json_object_set_new(object, "link", link_of(view));
    for (unsigned i = 0; i < copies->count; i++)
        (void)json_array_append_new(list, copy_of(&copies->at[i]));
    (void)json_object_set_new(object, "others", list);
    return object;
}

static json_t *shard_of(const struct http_view *view)
{
    const struct service_status *status = &view->status;
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES];
    mark_format(&status->mark, mark);
    digest_format(status->digest, digest);
    json_t *object = json_object();
    put_text(object, "mode", status->mode);
    put_text(object, "mark", mark);
    put_text(object, "digest", digest);
    (void)json_object_set_new(object, "lsn", watermarks(status));
    (void)json_object_set_new(object, "start", start(status));
    (void)json_object_set_new(object, "commit", latency(status->commit_us));
    (void)json_object_set_new(object, "log", log_of(view));
    put(object, "calls_in_order", status->calls_waiting);
    put(object, "apply_backlog_entries", status->apply_backlog);
    put(object, "reads_fetching", status->reads_fetching);
    put(object, "waiters", status->waiters);
    put(object, "memory_bytes", status->memory_bytes);
    put(object, "unflushed_bytes", status->unflushed_bytes);
    put_bool(object, "low_space", status->low_space);
    (void)json_object_set_new(object, "clock_jump_ms", json_integer(status->clock_jump_ms));
    (void)json_object_set_new(object, "databases", databases(view));
    put(object, "expired_keys", status->expired_keys);
    (void)json_object_set_new(object, "images", images_of(&status->images));
    (void)json_object_set_new(object, "copies", copies_of(view));
    return object;
}

static json_t *clients_of(const struct http_figures *figures)
{
    json_t *object = json_object();
    put(object, "connected", figures->clients);
    put(object, "max", figures->clients_max);
    put(object, "connections", figures->connections);
    put(object, "rejected", figures->rejected_connections);
    put(object, "commands", figures->commands);
    put(object, "errors", figures->command_errors);
    put(object, "received_bytes", figures->received_bytes);
    put(object, "sent_bytes", figures->sent_bytes);
    return object;
}

static int take(const char *bytes, size_t size, void *out)
{
    buffer_append(out, bytes_of(bytes, size));
    return 0;
}

bool http_write_status(const struct http_view *view, struct buffer *out)
{
    json_t *page = json_object(), *process = json_object(), *shards = json_object();
    put_text(page, "version", view->version);
    put_text(page, "commit", view->commit);
    put_bool(page, "ready", view->not_ready == NULL);
    if (view->not_ready != NULL) put_text(page, "reason", view->not_ready);
    put(process, "uptime_us", view->uptime_us);
    put(process, "memory_bytes", view->figures.memory_bytes);
    put(process, "cpu_user_us", view->figures.cpu_user_us);
    put(process, "cpu_system_us", view->figures.cpu_system_us);
    (void)json_object_set_new(page, "process", process);
    (void)json_object_set_new(page, "clients", clients_of(&view->figures));
    (void)json_object_set_new(shards, view->status.shard, shard_of(view));
    int failed = json_object_set_new(page, "shards", shards);
    if (failed == 0) failed = json_dump_callback(page, take, out, JSON_INDENT(2));
    json_decref(page);
    buffer_append_byte(out, '\n');
    return failed == 0;
}
