/* SPDX-License-Identifier: Apache-2.0 */
/* The start, in the order that makes it safe:
 *
 *   directory, lock, identity, pointer (site) -> log recovered -> store opened, images listed: the
 * facts -> gate: this store, or a new one from an image (restore.c) -> replay of (flushed,
 * recorded committed] -> promise of a new epoch, durable -> its epoch entry appended -> the loop
 * runs -> that entry is durable, so everything before it is committed: the rest of the old log is
 * applied, then it -> ready
 *
 * The gate (snapshot/start) refuses what cannot be put right without losing something. What was
 * found beyond the recorded commit stays in the log, unapplied, until our own epoch entry has
 * committed (with one copy: at once). Logs and stores that do not count are removed once the start
 * is sure of those that do. */
#include "node/start.h"

#include <inttypes.h>

#include "base/memory.h"
#include "base/plant.h"
#include "node/facts.h"
#include "node/internal.h"
#include "node/replay.h"
#include "node/restore.h"

struct log_options node_log_options(const struct node *node)
{
    const struct node_options *options = &node->options;
    return (struct log_options){.segment_bytes = options->segment_bytes,
                                .reserve_bytes = options->reserve_bytes,
                                .durability = options->durability,
                                .direct = options->log_direct,
                                .cluster = site_cluster(&node->site),
                                .copy = node->site.identity.copy,
                                .shard = options->shard.number};
}

/* The first log and store; only when both are there the pointer is. What is there without one is
 * left from a first start that nobody was answered by. */
static enum err make_first(struct node *node, struct why *why)
{
    struct site *site = &node->site;
    const struct world *world = &node->world;
    struct history history;
    struct site_next next;
    entropy_fill(world->entropy, &history, sizeof history);
    site_sweep(site);
    enum err err = site_prepare(site, true, history, &next, why);
    if (err != ERR_OK) return err;
    struct log_site log_site = {
        .directory = next.log, .disk = world->disk, .entropy = world->entropy};
    struct log_options log_options = node_log_options(node);
    err = log_create(&log_site, &log_options, history, why);
    if (err == ERR_OK)
        err = node->maker->open(node->maker, next.store, true, history, &node->machine, why);
    if (err == ERR_OK) return site_switch(site, &next, why);
    site_abandon(site, &next);
    return err;
}

enum err node_open_log(struct node *node, const struct lsn *cut, struct log_found *found,
                       struct why *why)
{
    const struct world *world = &node->world;
    struct log_site site = {node->site.log, world->disk,  world->entropy,
                            world->clock,   world->trace, &node->log_listener};
    struct log_options options = node_log_options(node);
    options.cuts = cut != NULL;
    if (cut != NULL) options.last = *cut;
    return log_open(&node->log, &site, &options, found, why);
}

/* It was closed if an image was tried in vain. */
static enum err keep_store(struct node *node, struct why *why)
{
    if (node->machine != NULL) return ERR_OK;
    return node->maker->open(node->maker, node->site.store, false, node->site.pointer.history,
                             &node->machine, why);
}

/* Decides, and does what was decided; a flawed image leads to another decision. */
static enum err pass_gate(struct node *node, struct facts *facts, struct why *why)
{
    for (;;) {
        struct start_plan plan;
        start_decide(&facts->gate, &plan);
        node->start.decided_us = clock_now_us(node->world.clock) - node->start.began_us;
        node->start.outcome = plan.outcome;
        node->start.reason = plan.reason;
        enum err err = ERR_OK;
        switch (plan.outcome) {
        case START_FRESH:
        case START_SKIP: return keep_store(node, why);
        case START_REFUSE: return facts_refusal(node, facts, &plan, why);
        case START_ASK: err = facts_place(node, facts, plan.image, why); break;
        case START_EXECUTE:
        case START_FALLBACK: {
            const struct mark *image = NULL;
            if (plan.image != START_NO_IMAGE) image = &facts->images[plan.image].mark;
            err = node_restore(node, image, why);
            if (err != ERR_CORRUPT || image == NULL) return err;
            trace_event(node->world.trace, TRACE_WARNING, "node", "image_unusable", "why=\"%s\"",
                        why->text);
            facts->images[plan.image].place = PLACE_DIFFERS;
            err = ERR_OK;
            break;
        }
        }
        if (err != ERR_OK) return err;
    }
}

static void note_entry(struct node *node, const struct entry *entry)
{
    node_epochs_note(node, entry);
    if (entry->payload.size > 0 && entry->payload.data[0] == ENTRY_MEMBERS)
        node_members_note(node, entry->payload);
    hlc_observe(&node->hlc, entry->stamp);
}

enum err node_read_history(struct node *node, struct lsn last, struct why *why)
{
    const struct machine *machine = node->machine;
    struct lsn applied = machine->ops->applied(machine).lsn;
    size_t count;
    const struct epoch_start *epochs = machine->ops->epochs(machine, &count);
    epochs_cut(&node->epochs, (struct lsn){0});
    for (size_t i = 0; i < count; i++) {
        enum err err = epochs_append(&node->epochs, &epochs[i], why);
        if (err != ERR_OK) return err;
    }
    node->membership.now = (struct members){0};
    node_members_note(node, machine->ops->members(machine));
    if (!lsn_before(applied, last)) return ERR_OK;
    struct log_reader *reader;
    enum err err = log_reader_open(&reader, node->world.disk, node->site.log, lsn_next(applied),
                                   why);
    if (err != ERR_OK) return err;
    struct entry entry = {0};
    while (err == ERR_OK && lsn_before(entry.lsn, last)) {
        err = log_reader_next(reader, &entry, why);
        if (err == ERR_OK) note_entry(node, &entry);
    }
    log_reader_close(reader);
    return err;
}

static enum err begin(struct node *node, const struct log_found *found, struct why *why)
{
    hlc_init(&node->hlc, found->stamp, clock_wall_ms(node->world.clock),
             clock_now_us(node->world.clock) / 1000);
    struct lsn from = lsn_next(node->machine->ops->flushed(node->machine).lsn);
    if (PLANTED(REPLAY_ONE_TWICE) && from.at > 1) from.at--;
    struct lsn to = lsn_max(found->committed, (struct lsn){from.at - 1});
    if (PLANTED(FORGET_RECORDED_COMMIT)) to = found->last.lsn;
    enum err err = node_images_open(node, why);
    if (err == ERR_OK) err = node_replay(node, from, to, why);
    if (err == ERR_OK) err = node_read_ahead(node, found->last.lsn, why);
    log_reader_close(node->start.reader);
    node->start.reader = NULL;
    if (err == ERR_OK) err = node_read_history(node, found->last.lsn, why);
    if (err != ERR_OK) return err;
    site_sweeper_find(node->sweeper, &node->site, node->phase == NODE_OPENING);
    node->committed = to;
    node->incarnation = found->incarnation;
    node->start.last = node->behind.to = found->last.lsn; /* beyond `to`: waits for our epoch's */
    node->start.epoch_lsn = found->last.lsn;
    node->start.stamp = found->stamp;
    return ERR_OK;
}

enum err node_open_shard(struct node *node, struct why *why)
{
    struct facts *facts = memory_zeroed(1, sizeof *facts);
    enum err err = ERR_OK;
    node->start = (struct start){.began_us = clock_now_us(node->world.clock)};
    facts->gate.fresh = !node->site.pointed;
    if (facts->gate.fresh) err = make_first(node, why);
    if (err == ERR_OK) err = node_open_log(node, NULL, &facts->found, why);
    if (err == ERR_NOT_FOUND) err = ERR_OK; /* the facts say so */
    if (err == ERR_OK) err = facts_read(node, facts, why);
    node->start.store = facts->gate.mark;
    if (err == ERR_OK) err = pass_gate(node, facts, why);
    if (err == ERR_OK) err = begin(node, &facts->found, why);
    memory_free(facts);
    return err;
}

enum err node_start(struct node *node, struct why *why)
{
    const struct world *world = &node->world;
    enum err err = site_open(&node->site, world->disk, world->entropy, node->options.directory,
                             why);
    if (err != ERR_OK) return err;
    node->site.trace = world->trace;
    node->sweeper = site_sweeper_open(&node->site);
    err = site_unproven_read(&node->site, why);
    if (err == ERR_OK) err = node_open_shard(node, why);
    return err == ERR_OK ? node_take_role(node, why) : err;
}

uint64_t node_start_gap(const struct node *node)
{
    const struct start *start = &node->start;
    uint64_t end = start->last.at, mark = start->store.lsn.at;
    return end > mark ? end - mark : mark - end;
}

void node_start_report(const struct node *node)
{
    const struct start *start = &node->start;
    char store[MARK_TEXT_BYTES] = "none", image[MARK_TEXT_BYTES] = "none";
    if (start->store.lsn.at > 0) mark_format(&start->store, store);
    if (start->image.lsn.at > 0) mark_format(&start->image, image);
    trace_event(node->world.trace, TRACE_NOTICE, "node", "ready",
                "shard=%s outcome=%s reason=%s store=%s image=%s gap_entries=%" PRIu64
                " replayed=%" PRIu64 " decided=%.3f seconds=%.3f epoch_lsn=%" PRIu64,
                node->options.shard.name, start_outcome_name(start->outcome),
                start->reason == REASON_NONE ? "none" : start_reason_name(start->reason), store,
                image, node_start_gap(node), start->replayed, (double)start->decided_us / 1e6,
                (double)start->took_us / 1e6, start->epoch_lsn.at);
}
