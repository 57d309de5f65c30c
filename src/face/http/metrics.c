/* SPDX-License-Identifier: Apache-2.0 */
/* The page /metrics. docs/metrics.md has a line for each family; a test compares the two. */
#include <inttypes.h>
#include <stdio.h>

#include "base/number.h"
#include "face/http/internal.h"
#include "face/http/text.h"

/* A sample of the shard. */
static void begin(struct text *text)
{
    text_begin(text, "");
    text_label(text, "shard", text->shard);
}

static void one(struct text *text, enum text_kind kind, const char *name, const char *help,
                uint64_t value)
{
    text_family(text, kind, name, help);
    begin(text);
    text_end_number(text, value);
}

static void plain(struct text *text, enum text_kind kind, const char *name, const char *help,
                  uint64_t value)
{
    text_family(text, kind, name, help);
    text_begin(text, "");
    text_end_number(text, value);
}

static void one_us(struct text *text, const char *name, const char *help, uint64_t us)
{
    text_family(text, TEXT_GAUGE, name, help);
    begin(text);
    text_end_us(text, us);
}

static void write_process(const struct http_view *view, struct text *text)
{
    const struct http_figures *figures = &view->figures;
    text_family(text, TEXT_GAUGE, "build_info", "Always 1; the labels say what runs.");
    text_begin(text, "");
    text_label(text, "version", view->version);
    text_label(text, "commit", view->commit);
    text_end_number(text, 1);
    text_family(text, TEXT_GAUGE, "uptime_seconds", "Time since the start of the process.");
    text_begin(text, "");
    text_end_us(text, view->uptime_us);
    plain(text, TEXT_GAUGE, "ready", "1 when commands are served, as /readyz says.",
          view->not_ready == NULL);
    plain(text, TEXT_GAUGE, "process_memory_bytes", "Resident memory of the process.",
          figures->memory_bytes);
    text_family(text, TEXT_COUNTER, "process_cpu_seconds_total", "Processor time of the process.");
    text_begin(text, "");
    text_label(text, "mode", "user");
    text_end_us(text, figures->cpu_user_us);
    text_begin(text, "");
    text_label(text, "mode", "system");
    text_end_us(text, figures->cpu_system_us);
}

static void write_clients(const struct http_figures *figures, struct text *text)
{
    plain(text, TEXT_GAUGE, "connected_clients", "Clients of the Redis protocol now.",
          figures->clients);
    plain(text, TEXT_GAUGE, "connected_clients_max", "Most clients at a time: maxclients.",
          figures->clients_max);
    plain(text, TEXT_COUNTER, "connections_total", "Connections of clients accepted.",
          figures->connections);
    plain(text, TEXT_COUNTER, "rejected_connections_total",
          "Connections closed because of maxclients.", figures->rejected_connections);
    plain(text, TEXT_COUNTER, "commands_total", "Commands that have run.", figures->commands);
    plain(text, TEXT_COUNTER, "command_errors_total", "Commands answered with an error.",
          figures->command_errors);
    plain(text, TEXT_COUNTER, "received_bytes_total", "Bytes read from clients.",
          figures->received_bytes);
    plain(text, TEXT_COUNTER, "sent_bytes_total", "Bytes written to clients.", figures->sent_bytes);
}

static void write_watermarks(const struct service_status *status, struct text *text)
{
    one(text, TEXT_GAUGE, "appended_lsn", "Newest entry of the log.", status->appended.at);
    one(text, TEXT_GAUGE, "durable_lsn", "Newest entry that is on disk.", status->durable.at);
    one(text, TEXT_GAUGE, "committed_lsn", "Newest entry that counts.", status->committed.at);
    one(text, TEXT_GAUGE, "applied_lsn", "Newest entry that the data hold.", status->applied.at);
    one(text, TEXT_GAUGE, "flushed_lsn", "Newest entry that the store holds.", status->flushed.at);
    one(text, TEXT_GAUGE, "floor_lsn", "Oldest entry that the log keeps.", status->floor.at);
    one(text, TEXT_GAUGE, "epoch", "Number of the present epoch: one more at each start.",
        status->mark.epoch.number);
}

static void write_start(const struct service_status *status, struct text *text)
{
    text_family(text, TEXT_COUNTER, "start_restore_total",
                "Starts of this process, by what the start gate chose, and why.");
    begin(text);
    text_label(text, "outcome", status->start_outcome);
    text_label(text, "reason", status->start_reason);
    text_end_number(text, 1);
    text_family(text, TEXT_GAUGE, "start_gap_entries",
                "Entries that the start had to apply to what the store held.");
    begin(text);
    text_label(text, "outcome", status->start_outcome);
    text_end_number(text, status->start_gap_entries);
    one_us(text, "start_seconds", "Time that the start took.", status->start_us);
}

static void write_log(const struct service_status *status, struct text *text)
{
    text_family(text, TEXT_HISTOGRAM, "commit_seconds",
                "Time of an entry from its append until it is applied and answered.");
    text_histogram(text, "shard", text->shard, status->commit_us);
    text_family(text, TEXT_HISTOGRAM, "log_sync_seconds", "Time of a sync of the log.");
    text_histogram(text, "shard", text->shard, status->sync_us);
    one(text, TEXT_COUNTER, "log_entries_total", "Entries written to the log.", status->entries);
    one(text, TEXT_COUNTER, "log_batches_total", "Batches of entries written.", status->batches);
    one(text, TEXT_COUNTER, "log_syncs_total", "Syncs of the log.", status->syncs);
    one(text, TEXT_COUNTER, "log_written_bytes_total", "Bytes written to the log.",
        status->log_written_bytes);
    one(text, TEXT_GAUGE, "log_bytes", "Size of the log's files.", status->log_bytes);
    one(text, TEXT_GAUGE, "log_segments", "Files of the log.", status->log_segments);
}

static void write_pipeline(const struct service_status *status, struct text *text)
{
    one(text, TEXT_GAUGE, "calls_in_order", "Entries and reads that wait for their turn.",
        status->calls_waiting);
    one(text, TEXT_GAUGE, "apply_backlog_entries",
        "Entries in the log's files, and not in memory, that are to be applied.",
        status->apply_backlog);
    one(text, TEXT_COUNTER, "log_read_back_entries_total",
        "Entries that were applied from the log's files.", status->read_back);
    one(text, TEXT_GAUGE, "reads_fetching", "Reads that wait for the disk.",
        status->reads_fetching);
    one(text, TEXT_GAUGE, "waiters", "Blocking commands that wait for an element.",
        status->waiters);
    one(text, TEXT_GAUGE, "memory_bytes", "Memory held by the tables and caches of the data.",
        status->memory_bytes);
    one(text, TEXT_GAUGE, "unflushed_bytes", "Bytes in memory that a crash would have to replay.",
        status->unflushed_bytes);
    one(text, TEXT_GAUGE, "low_space", "1 while writes are refused for want of disk space.",
        status->low_space);
    text_family(text, TEXT_GAUGE, "clock_jump_seconds",
                "How far the wall clock stands from what stamps follow, beyond its bound.");
    begin(text);
    text_end_signed_ms(text, status->clock_jump_ms);
}

static void write_database(struct text *text, const struct http_database *database, uint64_t value)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%u", database->number);
    begin(text);
    text_label(text, "db", number);
    text_end_number(text, value);
}

static void write_keys(const struct http_view *view, struct text *text)
{
    struct http_database database;
    text_family(text, TEXT_GAUGE, "keys", "Keys of a database that has any.");
    for (struct bytes rest = view->databases; http_next_database(&rest, &database);)
        write_database(text, &database, database.keys);
    text_family(text, TEXT_GAUGE, "keys_with_expiry", "Of them, those with a time to live.");
    for (struct bytes rest = view->databases; http_next_database(&rest, &database);)
        write_database(text, &database, database.expires);
    one(text, TEXT_COUNTER, "expired_keys_total", "Keys removed because their time had come.",
        view->status.expired_keys);
}

/* Ages only where there is something that has one. */
static void write_images(const struct http_view *view, struct text *text)
{
    const struct service_images *images = &view->status.images;
    one(text, TEXT_GAUGE, "images", "Good images that are there.", images->images);
    one(text, TEXT_GAUGE, "images_bad", "Images that are there and cannot be used.", images->bad);
    one(text, TEXT_GAUGE, "image_lsn", "Place of the newest image in the log; 0: there is none.",
        images->lsn.at);
    one(text, TEXT_GAUGE, "image_bytes", "Size of the newest image.", images->bytes);
    one(text, TEXT_GAUGE, "image_changes", "Entries since the newest image.", images->changes);
    text_family(text, TEXT_GAUGE, "image_age_seconds", "Age of the newest image, if there is one.");
    uint64_t now_s = view->wall_ms / 1000;
    if (images->saved_s != 0) {
        begin(text);
        text_end_number(text, now_s > images->saved_s ? now_s - images->saved_s : 0);
    }
    one(text, TEXT_GAUGE, "image_checked_timestamp_seconds",
        "When the bytes of an image were last checked, since 1970; 0: not yet.", images->checked_s);
    one(text, TEXT_GAUGE, "image_saving", "1 while an image is being saved.", images->saving);
    one(text, TEXT_GAUGE, "image_failed", "1 if the last attempt to save an image failed.",
        images->failed);
    one(text, TEXT_COUNTER, "image_attempts_total", "Attempts to save an image that have ended.",
        images->ended);
    one_us(text, "image_save_seconds", "Time that saving the newest image took.", images->took_us);
    one(text, TEXT_GAUGE, "image_done_bytes", "Of the image being saved: bytes written.",
        images->bytes_done);
    one(text, TEXT_GAUGE, "image_expected_bytes", "Of the image being saved: bytes expected.",
        images->bytes_expected);
}

static void write_archive(const struct http_view *view, struct text *text)
{
    const struct service_archive *archive = &view->status.archive;
    if (!archive->on) return;
    one(text, TEXT_GAUGE, "archive_lsn", "Place of the newest archived entry in the log.",
        archive->lsn.at);
    one(text, TEXT_GAUGE, "archive_image_lsn", "Place of the newest archived image in the log.",
        archive->image.at);
    one(text, TEXT_GAUGE, "archive_covered",
        "1 if there is no hole between an archived image and the newest archived entry.",
        archive->covered);
    one(text, TEXT_GAUGE, "archive_lag_entries", "Entries committed and not archived.",
        archive->lag_entries);
    one_us(text, "archive_lag_seconds", "How long the oldest of them waits.", archive->lag_us);
    one(text, TEXT_GAUGE, "archive_failing", "1 if the last attempt to archive failed.",
        archive->failing);
    one(text, TEXT_COUNTER, "archive_failures_total", "Attempts to archive that failed.",
        archive->failures);
    one(text, TEXT_COUNTER, "archive_gaps_total", "Times that entries were never archived.",
        archive->gaps);
    one(text, TEXT_COUNTER, "archive_written_bytes_total", "Written to the archive.",
        archive->bytes);
}

/* --- Copies --- */

static void write_stamps(const struct http_view *view, struct text *text)
{
    const struct service_stamps *stamps = &view->status.stamps;
    one(text, TEXT_COUNTER, "stamps_checked_total", "Digests in the log compared with the own.",
        stamps->checked);
    one(text, TEXT_COUNTER, "stamps_skipped_total",
        "Digests in the log of marks that this process did not see.", stamps->skipped);
    one(text, TEXT_GAUGE, "stamp_lsn", "Place in the log of the newest mark compared.",
        stamps->mark.lsn.at);
    one(text, TEXT_COUNTER, "stamps_asked_total", "Other digests told by copies that follow.",
        stamps->asked);
    one(text, TEXT_COUNTER, "recounts_total", "Times that every record was counted again.",
        stamps->recounts);
    one(text, TEXT_GAUGE, "recount_lsn", "Place in the log that the newest recount was of.",
        stamps->recounted.at);
}

static void begin_copy(struct text *text, const struct copy_status *copy)
{
    char id[NUMBER_TEXT_BYTES];
    (void)snprintf(id, sizeof id, "%" PRIu64, copy->id);
    begin(text);
    text_label(text, "copy", id);
}

/* One figure of each copy that this one serves. */
static void each_copy(struct text *text, const struct copies_status *copies, const char *name,
                      const char *help, uint64_t (*figure)(const struct copy_status *copy))
{
    text_family(text, TEXT_GAUGE, name, help);
    for (unsigned i = 0; i < copies->count; i++) {
        begin_copy(text, &copies->at[i]);
        text_end_number(text, figure(&copies->at[i]));
    }
}

static uint64_t copy_counts(const struct copy_status *copy)
{
    return copy->counts;
}

static uint64_t copy_lag_entries(const struct copy_status *copy)
{
    return copy->lag_entries;
}

static uint64_t copy_lag_bytes(const struct copy_status *copy)
{
    return copy->lag_bytes;
}

static uint64_t copy_image_done(const struct copy_status *copy)
{
    return copy->image_done;
}

static uint64_t copy_image_bytes(const struct copy_status *copy)
{
    return copy->image_bytes;
}

static void write_served(const struct copies_status *copies, struct text *text)
{
    text_family(text, TEXT_GAUGE, "copy_state",
                "1, with the state of the session to each copy that follows this one.");
    for (unsigned i = 0; i < copies->count; i++) {
        begin_copy(text, &copies->at[i]);
        text_label(text, "state", copies->at[i].state);
        text_end_number(text, 1);
    }
    each_copy(text, copies, "copy_counts", "1 if a commit needs the copy.", copy_counts);
    each_copy(text, copies, "copy_lag_entries", "Entries that its data lack.", copy_lag_entries);
    each_copy(text, copies, "copy_lag_bytes", "Size of these entries.", copy_lag_bytes);
    text_family(text, TEXT_GAUGE, "copy_lag_seconds", "Age of the oldest of them.");
    for (unsigned i = 0; i < copies->count; i++) {
        begin_copy(text, &copies->at[i]);
        text_end_us(text, copies->at[i].lag_ms * 1000);
    }
    text_family(text, TEXT_GAUGE, "copy_heard_seconds", "Time since it was heard last.");
    for (unsigned i = 0; i < copies->count; i++) {
        begin_copy(text, &copies->at[i]);
        text_end_us(text, copies->at[i].contact_us);
    }
    each_copy(text, copies, "copy_image_done_bytes", "Sent of an image that it is rebuilt from.",
              copy_image_done);
    each_copy(text, copies, "copy_image_bytes", "Size of that image; 0: none is under way.",
              copy_image_bytes);
}

/* Samples only where a primary is followed. */
static void write_link(const struct http_view *view, struct text *text)
{
    const struct copies_status *copies = &view->copies;
    bool follows = copies->role != COPIES_LEADS;
    text_family(text, TEXT_GAUGE, "link_state",
                "1, with the state of the session to the copy that is followed.");
    if (follows) {
        begin(text);
        text_label(text, "state", copies->link_state == NULL ? "" : copies->link_state);
        text_end_number(text, 1);
    }
    text_family(text, TEXT_GAUGE, "link_lag_entries",
                "Entries that the copy that is followed has and the data here lack.");
    if (follows) {
        begin(text);
        text_end_number(text, http_own_lag(view));
    }
    text_family(text, TEXT_GAUGE, "link_heard_seconds", "Time since that copy was heard last.");
    if (follows) {
        begin(text);
        text_end_us(text, copies->heard_us);
    }
}

static void write_copies(const struct http_view *view, struct text *text)
{
    const struct copies_status *copies = &view->copies;
    text_family(text, TEXT_GAUGE, "role", "1, with the part of this copy.");
    begin(text);
    text_label(text, "role", http_role_name(copies->role));
    text_end_number(text, 1);
    one(text, TEXT_GAUGE, "copies", "Other copies that this one knows to follow it.",
        copies->count);
    one(text, TEXT_GAUGE, "copies_counting", "Copies that a commit needs, this one among them.",
        copies->counting);
    one(text, TEXT_GAUGE, "copies_in_sync", "Other copies that have everything at once.",
        copies->in_sync);
    one(text, TEXT_GAUGE, "min_in_sync", "With fewer that count writes are refused, in mode all.",
        copies->min_in_sync);
    one(text, TEXT_GAUGE, "may_write", "1 if writes are taken, as far as copies go.",
        copies->may_write);
    one(text, TEXT_COUNTER, "damaged_frames_total",
        "Frames of other copies that had been changed on the way, and were refused.",
        copies->damaged_frames);
    one(text, TEXT_COUNTER, "tls_refused_total",
        "Connections between copies that TLS refused, at either end.", copies->tls_refused);
    one(text, TEXT_COUNTER, "tls_cut_total",
        "Connections between copies that broke, or ended without the peer's word.",
        copies->tls_cut);
    write_served(copies, text);
    write_link(view, text);
}

void http_write_metrics(const struct http_view *view, struct buffer *out)
{
    struct text text = {.out = out, .shard = view->status.shard};
    write_process(view, &text);
    write_clients(&view->figures, &text);
    write_watermarks(&view->status, &text);
    write_start(&view->status, &text);
    write_log(&view->status, &text);
    write_pipeline(&view->status, &text);
    write_keys(view, &text);
    write_images(view, &text);
    write_archive(view, &text);
    write_stamps(view, &text);
    write_copies(view, &text);
}
