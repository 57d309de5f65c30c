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

static void node_status(struct service *service, struct service_status *out)
{
    struct node *node = node_of(service);
    struct log_stats stats;
    log_stats(node->log, &stats);
    const struct machine *machine = node->machine;
    *out = (struct service_status){
        .appended = log_appended(node->log),
        .durable = log_durable(node->log),
        .committed = node->committed,
        .mark = machine->ops->applied(machine),
        .flushed = machine->ops->flushed(machine).lsn,
        .floor = log_floor(node->log),
        .stamp = machine->ops->stamp(machine),
        .digest = machine->ops->digest(machine),
        .started = node->start.stamp,
        .mode = "local",
        .start_outcome = node->start.outcome,
        .start_gap_entries = node->start.gap_entries,
        .start_us = node->start.took_us,
        .log_bytes = stats.segment_bytes_total,
        .memory_bytes = machine->ops->memory_bytes(machine),
        .unflushed_bytes = machine->ops->unflushed_bytes(machine),
        .syncs = stats.syncs,
        .sync_us_total = stats.sync_us_total,
        .sync_us_last = stats.sync_us_last,
        .sync_us_worst = stats.sync_us_worst,
        .batches = stats.batches,
        .entries = stats.entries,
        .calls_waiting = node->order_count,
        .waiters = node->waiters.waiting,
        .expired_keys = node->upkeep.expired_keys,
        .low_space = node_is_low(node),
        .clock_jump_ms = hlc_jump_ms(&node->hlc),
    };
    out->applied = out->mark.lsn;
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
};
