/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions ask of the shard, and whether it leads.
 *
 * A role is whose entries the log takes. Neither change of it touches the log or the state: a
 * primary that is one no more leaves what it had not committed in the log, for whoever leads then
 * to commit or to have cut off; a replica that leads goes on behind what it has, and commits none
 * of that before the entry that opens its epoch. */
#include "node/shard.h"

#include <inttypes.h>

#include "base/memory.h"
#include "base/plant.h"
#include "node/internal.h"

enum { NODE_LEVEL = 1 };

void node_epochs_note(struct node *node, const struct entry *entry)
{
    struct epochs *epochs = &node->epochs;
    const struct epoch_start *newest = epochs->count == 0 ? NULL : &epochs->at[epochs->count - 1];
    if (newest != NULL && epoch_compare(newest->epoch, entry->epoch) == 0) return;
    /* Where the stream of effects stands then is known once the entry is applied. */
    struct epoch_start start = {.epoch = entry->epoch,
                                .first = entry->lsn,
                                .stream_offset = newest == NULL ? 0 : newest->stream_offset};
    struct why why;
    if (epochs_append(epochs, &start, &why) != ERR_OK)
        trace_event(node->world.trace, TRACE_WARNING, "node", "epoch_out_of_order", "why=\"%s\"",
                    why.text);
}

void node_facts(const struct node *node, struct recover_facts *facts)
{
    const struct machine *machine = node->machine;
    struct mark applied = machine->ops->applied(machine);
    *facts = (struct recover_facts){
        .cluster = site_cluster(&node->site),
        .shard = node->options.shard.number,
        .level = NODE_LEVEL,
        .copy = node->site.identity.copy,
        .incarnation = node->incarnation,
        .promised = log_promised(node->log),
        .last = log_last(node->log),
        .floor = log_floor(node->log),
        .durable = log_durable(node->log),
        .committed = lsn_min(node->committed, log_durable(node->log)),
        .applied = applied.lsn,
        .flushed = machine->ops->flushed(machine).lsn,
        .applied_lineage = applied.lineage,
        .epochs = epochs_view(&node->epochs),
    };
}

void node_watermarks(const struct node *node, struct message_watermarks *out)
{
    if (node->leads) {
        node_members_watermarks(node, out);
        return;
    }
    if (!node_follows_watermarks(node, out)) *out = (struct message_watermarks){.copy_count = 1};
    out->durable = log_durable(node->log);
    out->committed = lsn_min(node->committed, out->durable);
    out->floor = log_floor(node->log);
}

void node_sessions_advanced(struct node *node)
{
    if (node->serves != NULL) node_serves_advanced(node);
    if (node->follows != NULL) node_follows_advanced(node);
    node_awaits_check(node);
    node_feed_moved(node);
}

/* --- A replica's log --- */

static void order_entry(struct node *node, const struct entry *entry)
{
    if (node_is_behind(node)) node_behind_append(node, entry);
    else node_order_entry(node, entry->lsn);
}

enum err node_follow_append(struct node *node, struct message_entries entries,
                            struct lineage before, struct why *why)
{
    if (node->leads || node->turn.kind != TURN_NONE || node->phase == NODE_FAILED)
        return why_fail(why, ERR_SHUT, "this copy takes no entries of others now");
    if (node_follows_overflows(node)) node_behind_begin(node);
    struct entry entry;
    struct lineage previous = before;
    enum err err = ERR_OK;
    while (err == ERR_OK && entries_next(&entries, previous, &entry)) {
        err = log_append_entry(node->log, &entry, why);
        if (err != ERR_OK) break;
        previous = entry.lineage;
        node_epochs_note(node, &entry);
        hlc_observe(&node->hlc, entry.stamp);
        if (entry.payload.size > 0 && entry.payload.data[0] == ENTRY_MEMBERS)
            node_members_note(node, entry.payload);
        order_entry(node, &entry);
        node_wait_named(node, entry.payload);
    }
    clock_defer(node->world.clock, &node->push);
    node_serves_advanced(node);
    return err;
}

void node_follow_commit(struct node *node, struct lsn lsn)
{
    if (node->leads || node->turn.kind != TURN_NONE || node->phase == NODE_FAILED) return;
    node->committed = lsn_max(node->committed, lsn);
    log_note_committed(node->log, node->committed);
    clock_defer(node->world.clock, &node->apply);
}

/* --- Roles --- */

static void set_leads(struct node *node, bool leads)
{
    node->leads = leads;
    node->apply.late = !leads;
    node->service.read_only = !leads || node_intake_is_on(&node->intake);
}

enum err node_lead(struct node *node, struct why *why)
{
    struct epoch epoch = log_promised(node->log);
    MUST(!node->leads && epoch.copy == node->site.identity.copy);
    node_serves_end(node, BYE_STOP);
    node_follows_end(node, BYE_STOP); /* another copy may have been heard to lead meanwhile */
    set_leads(node, true);
    struct buffer payload;
    buffer_init(&payload);
    payload_put_epoch(&payload);
    struct lsn lsn = node_append_own(node, buffer_bytes(&payload));
    buffer_release(&payload);
    if (lsn.at == 0) {
        set_leads(node, false);
        return why_fail(why, ERR_SPACE, "there is no space for the first entry of the epoch");
    }
    struct epoch_start start = {.epoch = epoch, .first = lsn};
    if (node->epochs.count > 0)
        start.stream_offset = node->epochs.at[node->epochs.count - 1].stream_offset;
    enum err err = epochs_append(&node->epochs, &start, why);
    if (err != ERR_OK) return err;
    node->start.epoch_lsn = lsn;
    node->start.stamp = node->hlc.last;
    node_members_lead(node, epoch, node->committed, lsn);
    node_serves_begin(node);
    trace_event(node->world.trace, TRACE_NOTICE, "node", "leads",
                "shard=%s epoch=%" PRIu64 " epoch_lsn=%" PRIu64 " committed=%" PRIu64 " copies=%u",
                node->options.shard.name, epoch.number, lsn.at, node->committed.at,
                node->progress.count);
    return ERR_OK;
}

/* Whoever waits for an entry that is in the log learns nothing more of it: its end is another
 * copy's to decide now. */
static void give_up_calls(struct node *node)
{
    struct list left, *first;
    list_init(&left);
    list_move_all(&left, &node->order);
    while ((first = list_first(&left)) != NULL) {
        struct call *call = CONTAINER_OF(first, struct call, node);
        list_remove(first);
        list_append(&node->order, first);
        if (call->lsn.at == 0 || call->done == node_ghost_done) continue;
        node_cancel(&node->service, call); /* a ghost has its place */
        call->done(call, CALL_UNKNOWN);
    }
}

void node_unlead(struct node *node, const char *reason)
{
    if (!node->leads) return;
    set_leads(node, false);
    node_intake_unlead(node);
    node_serves_end(node, BYE_STOP);
    node_members_unlead(node, reason);
    give_up_calls(node);
    node_wait_end_all(node);
    node_awaits_unlead(node);
    node_feed_cut(node, "this copy leads no more");
    trace_event(node->world.trace, TRACE_NOTICE, "node", "leads_no_more",
                "shard=%s reason=\"%s\" committed=%" PRIu64 " last=%" PRIu64,
                node->options.shard.name, reason, node->committed.at, log_appended(node->log).at);
}

/* --- The role after a start --- */

/* Whether the log names any other copy. */
static bool is_alone(const struct node *node)
{
    const struct members *members = &node->membership.now;
    for (unsigned i = 0; i < members->count; i++) {
        if (members->at[i].id != node->site.identity.copy) return false;
    }
    return true;
}

struct epoch node_newest_epoch(const struct node *node)
{
    struct epoch last = log_last(node->log).epoch, promised = log_promised(node->log);
    return epoch_compare(last, promised) < 0 ? promised : last;
}

static struct epoch next_epoch(const struct node *node)
{
    struct epoch above = node_newest_epoch(node);
    struct epoch next = {above.number + 1, node->site.identity.copy};
    return PLANTED(SAME_EPOCH_AFTER_RESTART) && above.number > 0 ? above : next;
}

static void serve_as_replica(struct node *node)
{
    node->phase = NODE_SERVING;
    clock_defer(node->world.clock, &node->tell);
}

/* Whom REPLICAOF has named comes first; then what the log says: who led last asks the others
 * whether one of them leads now, and leads again; then the configuration, for a copy that has
 * neither. Nobody to ask: this copy leads, at once. */
enum err node_take_role(struct node *node, struct why *why)
{
    struct site_follow follow;
    struct epoch promised = log_promised(node->log);
    bool led = promised.number > 0 && promised.copy == node->site.identity.copy;
    bool fresh = promised.number == 0 && log_appended(node->log).at == 0;
    enum err err = site_follow_read(&node->site, &follow, why);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    bool configured = node->copies.follow[0] != '\0' && !led, redis = err == ERR_OK && follow.redis;
    if (redis) { /* for that one this copy leads, as it would for clients */
        node_intake_begin(node, follow.address);
    } else if (err == ERR_OK || configured) {
        serve_as_replica(node);
        if (err == ERR_OK) node_follows_begin(node, follow.address, "", follow.wipe);
        else node_follows_begin(node, node->copies.follow, "", fresh);
        return ERR_OK;
    }
    /* Nobody has led what was restored or imported: no epoch was promised in its log. */
    if ((led || promised.number == 0) && is_alone(node)) {
        err = log_promise(node->log, next_epoch(node), why);
        return err == ERR_OK ? node_lead(node, why) : err;
    }
    serve_as_replica(node);
    if (!redis) node_votes_ask(node);
    return ERR_OK;
}
