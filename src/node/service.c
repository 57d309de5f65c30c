/* SPDX-License-Identifier: Apache-2.0 */
/* What a face may ask of the pipeline beside its calls: watches, figures, switches; and the table
 * of it all. */
#include "node/internal.h"

static bool node_unblock(struct service *service, struct call *call)
{
    struct node *node = node_of(service);
    return call->kind == CALL_WAIT && call->state != CALL_NOWHERE && node_wait_unblock(node, call);
}

static void node_watch(struct service *service, struct watch *watch)
{
    watches_add(&node_of(service)->watches, watch);
}

static void node_unwatch(struct service *service, struct watch *watch)
{
    watches_remove(&node_of(service)->watches, watch);
}

static struct stamp node_service_now(struct service *service)
{
    return node_now(node_of(service));
}

static void node_listen(struct service *service, struct service_listener *listener)
{
    node_of(service)->events = listener;
}

static void node_describe(struct service *service, struct buffer *out)
{
    struct node *node = node_of(service);
    node->machine->ops->describe(node->machine, out);
}

static void node_set_expiry(struct service *service, bool on)
{
    node_of(service)->upkeep.expiry_on = on;
}

static enum service_phase phase_of(enum node_phase phase)
{
    switch (phase) {
    case NODE_OPENING: return SERVICE_OPENING;
    case NODE_SERVING: return SERVICE_SERVING;
    case NODE_DRAINING:
    case NODE_FLUSHING:
    case NODE_CLOSING:
    case NODE_STOPPED:
    case NODE_FAILED: break;
    }
    return SERVICE_STOPPING;
}

static void node_status(struct service *service, struct service_status *out)
{
    struct node *node = node_of(service);
    struct log_stats stats;
    const struct machine *machine = node->machine;
    if (node->log == NULL || machine == NULL) { /* a turn failed; the process is about to end */
        *out = (struct service_status){.phase = phase_of(node->phase),
                                       .mode = "local",
                                       .shard = node->options.shard.name,
                                       .start_outcome = "",
                                       .start_reason = "",
                                       .commit_us = &node->commit_us,
                                       .sync_us = &node->commit_us};
        return;
    }
    log_stats(node->log, &stats);
    *out = (struct service_status){
        .phase = phase_of(node->phase),
        .appended = log_appended(node->log),
        .durable = log_durable(node->log),
        .committed = node->committed,
        .mark = machine->ops->applied(machine),
        .flushed = machine->ops->flushed(machine).lsn,
        .floor = log_floor(node->log),
        .stamp = machine->ops->stamp(machine),
        .digest = machine->ops->digest(machine),
        .started = node->start.stamp,
        .mode = node->membership.now.all ? "all" : "local",
        .shard = node->options.shard.name,
        .start_outcome = start_outcome_name(node->start.outcome),
        .start_reason = start_reason_name(node->start.reason),
        .start_gap_entries = node_start_gap(node),
        .start_replayed_entries = node->start.replayed,
        .start_us = node->start.took_us,
        .log_bytes = stats.segment_bytes_total,
        .log_segments = stats.segments,
        .log_written_bytes = stats.bytes,
        .memory_bytes = machine->ops->memory_bytes(machine),
        .unflushed_bytes = machine->ops->unflushed_bytes(machine),
        .syncs = stats.syncs,
        .sync_us_total = stats.sync_us_total,
        .sync_us_last = stats.sync_us_last,
        .sync_us_worst = stats.sync_us_worst,
        .batches = stats.batches,
        .entries = stats.entries,
        .calls_waiting = node->order_count,
        .apply_backlog = node_behind_entries(node),
        .read_back = node->behind.read_back,
        .reads_fetching = node->parked_count,
        .waiters = node->waiters.waiting,
        .commit_us = &node->commit_us,
        .sync_us = log_sync_us(node->log),
        .expired_keys = node->upkeep.expired_keys,
        .low_space = node_is_low(node),
        .stamps = node->stamps.figures,
        .clock_jump_ms = hlc_jump_ms(&node->hlc),
    };
    out->applied = out->mark.lsn;
    node_images_status(node, &out->images);
    node_archiving_status(node, &out->archive);
}

const struct service_ops node_service_ops = {
    .submit = node_submit,
    .cancel = node_cancel,
    .unblock = node_unblock,
    .watch = node_watch,
    .unwatch = node_unwatch,
    .now = node_service_now,
    .listen = node_listen,
    .status = node_status,
    .describe = node_describe,
    .set_expiry = node_set_expiry,
    .save = node_save,
    .copies = node_copies,
    .copy_event = node_copy_event,
    .steer = node_steer,
    .unsteer = node_unsteer,
    .await = node_await,
    .unawait = node_unawait,
    .await_again = node_await_again,
    .feed = node_feed_of,
    .intake = node_intake_of,
    .verify = node_verify,
    .unverify = node_unverify,
};
