/* SPDX-License-Identifier: Apache-2.0 */
#include "node/archiving.h"

#include "node/internal.h"

static struct node *node_of_listener(struct archive_listener *listener)
{
    struct archiving *archiving = CONTAINER_OF(listener, struct archiving, listener);
    return CONTAINER_OF(archiving, struct node, archiving);
}

/* One that is being saved already is as good. */
static void want_image(struct archive_listener *listener)
{
    struct node *node = node_of_listener(listener);
    struct why why;
    enum err err = node_save(&node->service, &why);
    if (err != ERR_OK && err != ERR_EXISTS)
        trace_event(node->world.trace, TRACE_WARNING, "node", "image_for_archive_not_begun",
                    "why=\"%s\"", why.text);
}

static void quiet(struct archive_listener *listener)
{
    struct node *node = node_of_listener(listener);
    if (node->phase != NODE_FAILED) node_stop_step(node);
}

static struct archive_options options_of(const struct node_archive *options)
{
    return (struct archive_options){options->interval_us, options->budget_bytes};
}

void node_archiving_open(struct node *node, const struct node_archive *options)
{
    if (options->directory == NULL || options->directory[0] == '\0') return;
    struct archive_site site = {.directory = options->directory,
                                .images = node->site.images,
                                .disk = node->world.disk,
                                .clock = node->world.clock,
                                .trace = node->world.trace,
                                .log = node->log,
                                .cluster = site_cluster(&node->site),
                                .shard = node->options.shard.number,
                                .history = node->site.pointer.history};
    struct archive_options archive_options = options_of(options);
    node->archiving.listener = (struct archive_listener){want_image, quiet};
    archive_open(&node->archiving.archive, &site, &archive_options, &node->archiving.listener);
}

void node_archiving_tick(struct node *node)
{
    if (node->archiving.archive == NULL) return;
    struct snapshot_status images;
    snapshot_status(node->images.snapshot, &images);
    struct archive_now now = {
        .committed = node->committed, .image = images.mark.lsn, .low = log_is_low(node->log)};
    archive_tick(node->archiving.archive, &now);
}

void node_archiving_stop(struct node *node)
{
    if (node->archiving.archive != NULL) archive_stop(node->archiving.archive);
}

bool node_archiving_quiet(const struct node *node)
{
    return node->archiving.archive == NULL || archive_is_quiet(node->archiving.archive);
}

void node_set_archive(struct node *node, const struct node_archive *options)
{
    struct archive_options archive_options = options_of(options);
    if (node->archiving.archive != NULL)
        archive_set_options(node->archiving.archive, &archive_options);
}

void node_archiving_status(const struct node *node, struct service_archive *out)
{
    *out = (struct service_archive){.on = node->archiving.archive != NULL};
    if (!out->on) return;
    struct archive_status status;
    archive_status(node->archiving.archive, &status);
    *out = (struct service_archive){.on = true,
                                    .failing = status.failing,
                                    .covered = status.covered,
                                    .lsn = status.lsn,
                                    .image = status.image,
                                    .lag_entries = status.lag_entries,
                                    .lag_us = status.lag_us,
                                    .spans = status.spans,
                                    .bytes = status.bytes,
                                    .failures = status.failures,
                                    .gaps = status.gaps,
                                    .why = status.why};
}
