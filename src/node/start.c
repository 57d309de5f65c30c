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

static struct log_options log_options_of(const struct node *node,
                                         const struct node_options *options)
{
    return (struct log_options){.segment_bytes = options->segment_bytes,
                                .reserve_bytes = options->reserve_bytes,
                                .durability = options->durability,
                                .direct = options->log_direct,
                                .cluster = node->site.identity.cluster,
                                .copy = node->site.identity.copy,
                                .shard = SHARD_KEYS};
}

/* The first log and store; only when both are there the pointer is. What is there without one is
 * left from a first start that nobody was answered by. */
static enum err make_first(struct node *node, const struct node_options *options, struct why *why)
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
    struct log_options log_options = log_options_of(node, options);
    err = log_create(&log_site, &log_options, history, why);
    if (err == ERR_OK)
        err = node->maker->open(node->maker, next.store, true, history, &node->machine, why);
    if (err == ERR_OK) return site_switch(site, &next, why);
    site_abandon(site, &next);
    return err;
}

/* Without a log the facts say so. */
static enum err open_log(struct node *node, const struct node_options *options, struct facts *facts,
                         struct why *why)
{
    const struct world *world = &node->world;
    struct log_site site = {node->site.log, world->disk,  world->entropy,
                            world->clock,   world->trace, &node->log_listener};
    struct log_options log_options = log_options_of(node, options);
    enum err err = log_open(&node->log, &site, &log_options, &facts->found, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
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

enum err node_apply_tail(struct node *node, struct why *why)
{
    struct lsn from = node->start.tail_from;
    node->start.tail_from = lsn_next(node->start.tail_to); /* once */
    enum err err = node_replay(node, from, node->start.tail_to, why);
    log_reader_close(node->start.reader);
    node->start.reader = NULL;
    if (err != ERR_OK) {
        node_fail(node, err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE, why);
    }
    return err;
}

static enum err open_epoch(struct node *node, const struct log_found *found, struct why *why)
{
    struct epoch above = found->last.epoch;
    if (epoch_compare(above, found->promised) < 0) above = found->promised;
    struct epoch epoch = {above.number + 1, node->site.identity.copy};
    if (PLANTED(SAME_EPOCH_AFTER_RESTART) && above.number > 0) epoch = above;
    enum err err = log_promise(node->log, epoch, why);
    if (err != ERR_OK) return err;
    struct buffer payload;
    buffer_init(&payload);
    payload_put_epoch(&payload);
    struct ghost *ghost = node_ghost();
    bool appended = node_append(node, &ghost->call, buffer_bytes(&payload));
    buffer_release(&payload);
    if (!appended) {
        memory_free(ghost);
        return why_fail(why, ERR_SPACE, "there is no space for the first entry of this start");
    }
    node->start.epoch_lsn = ghost->call.lsn;
    node->start.stamp = node->hlc.last;
    return ERR_OK;
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
    if (err != ERR_OK) return err;
    site_sweep(&node->site);
    node->committed = to;
    node->start.tail_from = lsn_next(to);
    node->start.tail_to = found->last.lsn;
    return open_epoch(node, found, why);
}

enum err node_start(struct node *node, const struct node_options *options, struct why *why)
{
    const struct world *world = &node->world;
    enum err err = site_open(&node->site, world->disk, world->entropy, options->directory, why);
    if (err != ERR_OK) return err;
    node->site.trace = world->trace;
    struct facts *facts = memory_zeroed(1, sizeof *facts);
    facts->gate.fresh = !node->site.pointed;
    if (facts->gate.fresh) err = make_first(node, options, why);
    if (err == ERR_OK) err = open_log(node, options, facts, why);
    if (err == ERR_OK) err = facts_read(node, facts, why);
    node->start.store = facts->gate.mark;
    if (err == ERR_OK) err = pass_gate(node, facts, why);
    if (err == ERR_OK) err = begin(node, &facts->found, why);
    memory_free(facts);
    return err;
}

uint64_t node_start_gap(const struct node *node)
{
    const struct start *start = &node->start;
    uint64_t end = start->epoch_lsn.at - 1, mark = start->store.lsn.at;
    return end > mark ? end - mark : mark - end;
}

void node_start_report(const struct node *node)
{
    const struct start *start = &node->start;
    char store[MARK_TEXT_BYTES] = "none", image[MARK_TEXT_BYTES] = "none";
    if (start->store.lsn.at > 0) mark_format(&start->store, store);
    if (start->image.lsn.at > 0) mark_format(&start->image, image);
    trace_event(node->world.trace, TRACE_NOTICE, "node", "ready",
                "shard=keys outcome=%s reason=%s store=%s image=%s gap_entries=%" PRIu64
                " replayed=%" PRIu64 " seconds=%.3f epoch_lsn=%" PRIu64,
                start_outcome_name(start->outcome),
                start->reason == REASON_NONE ? "none" : start_reason_name(start->reason), store,
                image, node_start_gap(node), start->replayed, (double)start->took_us / 1e6,
                start->epoch_lsn.at);
}
