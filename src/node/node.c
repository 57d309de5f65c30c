/* SPDX-License-Identifier: Apache-2.0 */
/* A node's life: made, opened by its start (start.c), its turns, closed. */
#include "node/node.h"

#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "node/internal.h"

static void tell_listener(struct task *task)
{
    struct node *node = CONTAINER_OF(task, struct node, tell);
    switch (node->phase) {
    case NODE_SERVING:
        node_start_report(node);
        node->listener->ready(node->listener);
        break;
    case NODE_STOPPED: node->listener->stopped(node->listener); break;
    case NODE_FAILED:
        node_upkeep_stop(node);
        node_images_abort(node, ERR_SHUT, "the server has failed");
        node->listener->failed(node->listener, node->failure, &node->failure_why);
        break;
    case NODE_OPENING:
    case NODE_DRAINING:
    case NODE_FLUSHING:
    case NODE_CLOSING: break;
    }
}

static void push_turn(struct task *task)
{
    struct node *node = CONTAINER_OF(task, struct node, push);
    node->clock_read = false;
    if (node->phase == NODE_FAILED) return;
    log_push(node->log);
    if (PLANTED(ACK_BEFORE_SYNC)) {
        node->committed = log_appended(node->log);
        node_run(node);
    }
}

static void apply_turn(struct task *task)
{
    struct node *node = CONTAINER_OF(task, struct node, apply);
    if (node->phase != NODE_FAILED) node_run(node);
}

static void apply_again(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, again);
    if (node->phase != NODE_FAILED) node_run(node);
}

/* --- Options: their texts are the node's own --- */

static const char *keep_text(struct node *node, const char *text)
{
    if (text == NULL) text = "";
    size_t size = strlen(text) + 1;
    MUST(node->text_count < NODE_TEXTS_MAX);
    char *kept = memcpy(memory_alloc(size), text, size);
    node->texts[node->text_count++] = kept;
    return kept;
}

static void keep_options(struct node *node, const struct node_options *options)
{
    node->options = *options;
    node->options.shard.name = keep_text(node, options->shard.name);
    node->options.directory = keep_text(node, options->directory);
    node->options.archive.directory = keep_text(node, options->archive.directory);
    struct node_copies *copies = &node->options.copies;
    copies->follow = keep_text(node, copies->follow);
    copies->announced_host = keep_text(node, copies->announced_host);
    copies->secret = keep_text(node, copies->secret);
    copies->user = keep_text(node, copies->user);
    copies->password = keep_text(node, copies->password);
    for (size_t i = 0; i < NODE_PEER_ADDRESSES_MAX; i++) {
        const char *address = copies->peer_addresses[i];
        copies->peer_addresses[i] = address == NULL ? NULL : keep_text(node, address);
    }
    if (copies->min_in_sync == 0) copies->min_in_sync = 1;
    node->copies = *copies;
}

static struct node *node_make(const struct world *world, const struct node_options *options,
                              struct node_listener *listener)
{
    struct node *node = memory_zeroed(1, sizeof *node);
    node->service.ops = &node_service_ops;
    node->service.read_only = true; /* until it leads */
    node->world = *world;
    node->listener = listener;
    node->phase = NODE_OPENING;
    node->log_listener = (struct log_listener){node_log_advanced, node_log_failed};
    node->push = (struct task){.run = push_turn, .late = true};
    node->apply = (struct task){.run = apply_turn, .late = true};
    node->again.fired = apply_again;
    node->tell.run = tell_listener;
    node->upkeep.replay_entry_ns = NODE_REPLAY_ENTRY_NS;
    node->upkeep.replay_record_ns = NODE_REPLAY_RECORD_NS;
    node->upkeep.flush_bytes_min = options->flush_bytes_min;
    node->upkeep.flush_bytes_max = options->flush_bytes_max;
    node->images.options = options->images;
    keep_options(node, options);
    epochs_init(&node->epochs);
    list_init(&node->membership.steers);
    list_init(&node->voters);
    node_awaits_init(&node->awaits);
    list_init(&node->order);
    list_init(&node->parked);
    node_feed_init(&node->feed);
    node_intake_init(node);
    waiters_init(&node->waiters);
    watches_init(&node->watches);
    args_init(&node->scratch);
    args_init(&node->named_scratch);
    buffer_init(&node->proposals);
    return node;
}

enum err node_open(struct node **out, const struct world *world, struct machine_maker *maker,
                   const struct node_options *options, struct node_listener *listener,
                   struct why *why)
{
    *out = NULL;
    struct node *node = node_make(world, options, listener);
    node->maker = maker;
    uint64_t began_us = clock_now_us(world->clock);
    enum err err = node_start(node, why);
    if (err != ERR_OK) {
        node->phase = NODE_FAILED;
        node_close(node);
        return err;
    }
    node->start.took_us = clock_now_us(world->clock) - began_us;
    err = node_doors_open(node, why);
    if (err != ERR_OK) {
        node->phase = NODE_FAILED;
        node_close(node);
        return err;
    }
    node_archiving_open(node, &node->options.archive);
    node_upkeep_start(node);
    *out = node;
    return ERR_OK;
}

static void free_order(struct node *node)
{
    struct list *first;
    while ((first = list_first(&node->order)) != NULL) {
        struct call *call = CONTAINER_OF(first, struct call, node);
        list_remove(first);
        buffer_release(&call->kept);
        bool own = call->done == node_ghost_done || call->done == node_intake_done;
        if (own) call->done(call, CALL_UNKNOWN);
    }
}

/* Reads whose records the machine, closed by now, will not fetch any more. */
static void free_parked(struct node *node)
{
    struct list *first;
    while ((first = list_first(&node->parked)) != NULL) {
        struct parked *parked = CONTAINER_OF(first, struct parked, link);
        list_remove(first);
        buffer_release(&parked->payload);
        memory_free(parked);
    }
}

void node_close(struct node *node)
{
    if (node == NULL) return;
    node_upkeep_stop(node);
    clock_cancel(node->world.clock, &node->push);
    clock_cancel(node->world.clock, &node->apply);
    clock_cancel(node->world.clock, &node->tell);
    clock_cancel(node->world.clock, &node->turn_task);
    node_awaits_end(node);
    node_copies_close(node);
    node_behind_drop(node);
    log_reader_close(node->start.reader);
    struct why why;
    archive_close(node->archiving.archive);
    snapshot_close(node->images.snapshot);
    if (node->phase == NODE_STOPPED) {
        enum err err = log_close(node->log, &why);
        if (err != ERR_OK) {
            trace_event(node->world.trace, TRACE_WARNING, "node", "log_close_failed", "why=\"%s\"",
                        why.text);
        }
    } else {
        log_abandon(node->log);
    }
    node_stamps_close(node);
    node_points_close(node);
    if (node->machine != NULL) node->maker->close(node->maker, node->machine);
    node_points_reset(node);
    node_follows_close(node); /* its promise was the log's */
    free_order(node);
    free_parked(node);
    node_feed_forget(node);
    node_wait_forget(node);
    watches_release(&node->watches);
    args_release(&node->scratch);
    args_release(&node->named_scratch);
    buffer_release(&node->proposals);
    epochs_release(&node->epochs);
    while (node->text_count > 0) memory_free(node->texts[--node->text_count]);
    if (node->sweeper != NULL) site_sweeper_take(node->sweeper, &node->turn.next);
    site_sweeper_close(node->sweeper); /* the next start finds what is left */
    site_release(&node->site);
    memory_free(node);
}

struct service *node_service(struct node *node)
{
    return &node->service;
}

void node_set_durability(struct node *node, enum log_durability durability)
{
    log_set_durability(node->log, durability);
}

void node_set_flush_bytes(struct node *node, uint64_t min, uint64_t max)
{
    node->upkeep.flush_bytes_min = min;
    node->upkeep.flush_bytes_max = max < min ? min : max;
}

static void swap_text(struct node *node, const char **slot, const char *text)
{
    for (size_t i = 0; i < node->text_count; i++) {
        if (node->texts[i] != *slot) continue;
        memory_free(node->texts[i]);
        node->texts[i] = node->texts[--node->text_count];
        break;
    }
    *slot = keep_text(node, text);
}

void node_set_copies(struct node *node, const struct node_copies *copies)
{
    struct node_copies *now = &node->copies;
    swap_text(node, &now->user, copies->user);
    swap_text(node, &now->password, copies->password);
    now->drop_after_us = copies->drop_after_us;
    now->silent_us = copies->silent_us;
    now->behind_bytes_max = copies->behind_bytes_max;
    now->ahead_bytes = copies->ahead_bytes;
    now->rebuilds_max = copies->rebuilds_max;
    now->image_bytes_per_s = copies->image_bytes_per_s;
}
