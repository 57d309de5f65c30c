/* SPDX-License-Identifier: Apache-2.0 */
#include "node/steer.h"

#include <inttypes.h>

#include "base/host.h"
#include "base/memory.h"
#include "node/internal.h"

static void steer_end(struct steer *steer, enum err err, const char *text)
{
    steer->err = err;
    steer->why = (struct why){0};
    if (text != NULL) (void)why_fail(&steer->why, err, "%s", text);
    steer->done(steer);
}

/* --- Whom to follow --- */

void node_follow_copy(struct node *node, uint64_t copy)
{
    const struct member *member = members_find(&node->membership.now, copy);
    if (node->force.on) return; /* it follows nobody any more */
    if (member == NULL || copy == node->site.identity.copy) return;
    /* A primary may not know by which address it is reached: then whoever is followed stays so, or
     * a start goes round all copies. */
    bool known = member->redis[0] != '\0' || member->peer[0] != '\0';
    if (!known && node->follows != NULL) return;
    node_votes_end(node);
    node_follows_end(node, BYE_STOP);
    node_follows_begin(node, member->redis, member->peer, false);
}

/* Written down first: a start follows it too. */
static void follow(struct node *node, struct steer *steer)
{
    struct site_follow follow = {.wipe = true};
    if (!host_format(steer->host, steer->port, follow.address, sizeof follow.address)) {
        steer_end(steer, ERR_CONFIG, "the host's name is too long");
        return;
    }
    if (node->turn.taken && node->turn.own) {
        steer_end(steer, ERR_REFUSED, "the copy is being changed: try again");
        return;
    }
    bool anew = node_intake_is_stopped(node, follow.address);
    enum err err = site_follow_write(&node->site, &follow, &steer->why);
    if (err != ERR_OK) {
        steer->err = err;
        steer->done(steer);
        return;
    }
    node->failover.given_until_us = 0; /* it follows whom it is told to */
    node_votes_end(node);
    node_unlead(node, "REPLICAOF");
    node_follows_end(node, BYE_STOP);
    node_follows_begin(node, follow.address, "", true);
    node->intake.anew = anew;
    steer_end(steer, ERR_OK, NULL);
}

/* It leads already, but for its only writer. */
static void promote_follower(struct node *node, struct steer *steer)
{
    steer->err = site_follow_remove(&node->site, &steer->why);
    if (steer->err == ERR_OK) {
        steer->why = (struct why){0};
        node_intake_end(node);
    }
    steer->done(steer);
}

static void promote(struct node *node, struct steer *steer)
{
    bool follows = node_intake_is_on(&node->intake);
    if (node->leads && follows) promote_follower(node, steer);
    else if (node->leads) steer_end(steer, ERR_OK, "this copy leads already");
    else if (node->turn.kind != TURN_NONE)
        steer_end(steer, ERR_REFUSED, "the copy is being cut or rebuilt: try again");
    else {
        node_intake_end(node);
        node_votes_promote(node, steer);
    }
}

/* --- Failover --- */

static const struct copy_status *choose(const struct copies_status *status, const char *redis)
{
    const struct copy_status *best = NULL;
    for (unsigned i = 0; i < status->count; i++) {
        const struct copy_status *copy = &status->at[i];
        if (!copy->connected || !copy->configured) continue;
        if (redis[0] != '\0' && strcmp(redis, copy->redis) != 0) continue;
        if (best == NULL || lsn_before(best->durable, copy->durable)) best = copy;
    }
    return best;
}

static void failover_over(struct node *node, enum err err, const char *text)
{
    struct steer *steer = node->failover.steer;
    node->failover = (struct failover){0};
    if (steer != NULL) steer_end(steer, err, text);
}

static void failover_begin(struct node *node, struct steer *steer)
{
    struct copies_status status;
    char redis[COPY_ADDRESS_BYTES] = "";
    node_copies(&node->service, &status);
    if (steer->port != 0) (void)host_format(steer->host, steer->port, redis, sizeof redis);
    const struct copy_status *to = choose(&status, redis);
    if (!node->leads || node_intake_is_on(&node->intake)) {
        steer_end(steer, ERR_REFUSED, "FAILOVER is for the copy that leads");
    } else if (node->failover.copy != 0) {
        steer_end(steer, ERR_EXISTS, "FAILOVER already in progress.");
    } else if (to == NULL) {
        steer_end(steer, ERR_NOT_FOUND,
                  redis[0] == '\0' ? "FAILOVER requires connected replicas that the log names: "
                                     "see REPL.STATUS, REPL.ADD"
                                   : "FAILOVER target HOST and PORT is not a replica.");
    } else {
        uint64_t now_us = clock_now_us(node->world.clock);
        node->failover = (struct failover){
            .copy = to->id,
            .until_us = steer->timeout_us == 0 ? UINT64_MAX : now_us + steer->timeout_us};
        steer_end(steer, ERR_OK, NULL); /* as in Redis: it goes on in the background */
        node_failover_step(node);
    }
}

/* In mode local the promise of who led last is enough: then who has given it is no candidate. */
static bool may_take_back(const struct node *node)
{
    return node->membership.now.all || log_promised(node->log).copy == node->site.identity.copy;
}

/* Whoever says what this copy is to do, which may take long, leads. */
static void look_whether_taken(struct node *node)
{
    if (node->failover.given_until_us == 0) return;
    bool over = node->leads || node->force.on || node->follows == NULL || !may_take_back(node) ||
                node->turn.kind != TURN_NONE || node_follows_epoch(node).number > 0;
    bool late = clock_now_us(node->world.clock) >= node->failover.given_until_us;
    if (!over && !late) return;
    node->failover.given_until_us = 0;
    if (over) return;
    trace_event(node->world.trace, TRACE_WARNING, "node", "failover_not_taken", "shard=%s",
                node->options.shard.name);
    node_follows_end(node, BYE_STOP); /* who follows nobody asks who leads */
}

void node_failover_step(struct node *node)
{
    uint64_t copy = node->failover.copy;
    look_whether_taken(node);
    if (copy == 0) return;
    struct copies_status status;
    node_copies(&node->service, &status);
    const struct copy_status *to = NULL;
    for (unsigned i = 0; i < status.count; i++) {
        if (status.at[i].id == copy && status.at[i].connected) to = &status.at[i];
    }
    if (!node->leads || clock_now_us(node->world.clock) >= node->failover.until_us) {
        trace_event(node->world.trace, TRACE_WARNING, "node", "failover_given_up", "copy=%" PRIu64,
                    copy);
        failover_over(node, ERR_REFUSED, "the time is over");
        return;
    }
    struct lsn all = log_appended(node->log);
    if (to == NULL || to->durable.at != all.at || node->committed.at != all.at) return;
    failover_over(node, ERR_OK, NULL);
    trace_event(node->world.trace, TRACE_NOTICE, "node", "failover", "copy=%" PRIu64, copy);
    node_serves_hand_over(node, copy);
    node_unlead(node, "FAILOVER");
    node_follow_copy(node, copy);
    node->failover.given_until_us = clock_now_us(node->world.clock) + NODE_FAILOVER_TAKEN_US;
}

/* --- The service's side --- */

void node_steer(struct service *service, struct steer *steer)
{
    struct node *node = node_of(service);
    list_init(&steer->node);
    if (node->phase != NODE_SERVING) {
        steer_end(steer, ERR_REFUSED, "the server is being started or stopped");
        return;
    }
    if (node->force.on) {
        steer_end(steer, ERR_REFUSED, "PROMOTE FORCE is under way");
        return;
    }
    switch (steer->kind) {
    case STEER_FOLLOW: follow(node, steer); return;
    case STEER_PROMOTE: promote(node, steer); return;
    case STEER_PROMOTE_FORCE:
        if (node->leads && node_intake_is_on(&node->intake)) promote(node, steer);
        else node_force(node, steer);
        return;
    case STEER_FAILOVER: failover_begin(node, steer); return;
    case STEER_FAILOVER_ABORT:
        if (node->failover.copy == 0) {
            steer_end(steer, ERR_REFUSED, "No failover in progress.");
            return;
        }
        failover_over(node, ERR_REFUSED, "it was aborted");
        steer_end(steer, ERR_OK, NULL);
        return;
    case STEER_ADD:
    case STEER_REMOVE:
    case STEER_RULE:
        if (node->leads) node_members_steer(node, steer);
        else steer_end(steer, ERR_REFUSED, "only the copy that leads can do this");
        return;
    case STEER_REBUILD:
        if (node_serves_rebuild(node, steer->copy) == ERR_OK) steer_end(steer, ERR_OK, NULL);
        else steer_end(steer, ERR_NOT_FOUND, "no copy of that id is known here");
        return;
    }
}

void node_unsteer(struct service *service, struct steer *steer)
{
    struct node *node = node_of(service);
    list_remove(&steer->node);
    node_votes_forget(node, steer);
    if (node->failover.steer == steer) node->failover.steer = NULL;
    if (node->force.steer == steer) node->force.steer = NULL;
}

void node_copies(struct service *service, struct copies_status *out)
{
    struct node *node = node_of(service);
    const char *error;
    *out = (struct copies_status){.role = COPIES_FOLLOWS,
                                  .cluster = site_cluster(&node->site),
                                  .copy = node->site.identity.copy,
                                  .epoch = log_promised(node->log),
                                  .peer_port = node->copies.peer_port,
                                  .failing_over = node->failover.copy != 0,
                                  .all = node->membership.now.all,
                                  .min_in_sync = node->membership.now.min_in_sync,
                                  .counting = 1,
                                  .damaged_frames = node->damaged_frames};
    if (out->min_in_sync == 0) out->min_in_sync = 1;
    const struct net_guard *guard = node->world.peers->guard;
    out->peer_guard = node_doors_guard(node);
    if (guard != NULL) out->tls_refused = guard->refused;
    if (guard != NULL) out->tls_cut = guard->cut;
    if (node->leads) {
        struct commit_rule rule = progress_rule(&node->progress);
        out->role = COPIES_LEADS;
        out->all = rule.mode == COMMIT_ALL || node->membership.proposes;
        out->min_in_sync = node->membership.proposes ? node->copies.min_in_sync : rule.min_in_sync;
        out->counting = progress_counting(&node->progress);
        out->may_write = node_members_may_write(node, &error);
    } else if (node->follows == NULL) {
        out->role = COPIES_ASKS;
        if (node_votes_why(node) != NULL) out->why = *node_votes_why(node);
    }
    if (node->follows != NULL) node_follows_status(node, out);
    node_intake_status(node, out);
    if (node->serves != NULL) node_serves_status(node, out);
}

bool node_copy_event(struct service *service, uint64_t number, struct copy_event *out)
{
    const struct node *node = node_of(service);
    return node_serves_event(node, number, out);
}

/* --- The node's side --- */

void node_copies_tick(struct node *node)
{
    node_doors_tick(node);
    node_voters_tick(node);
    node_votes_tick(node);
    if (node->follows != NULL) node_follows_tick(node);
    if (node->serves != NULL) node_serves_tick(node);
    if (node->leads && !node_reach_look(node))
        node_unlead(node, "so many copies are out of reach that another one may lead by now");
    node_members_step(node);
    node_failover_step(node);
    node_force_step(node);
    node_intake_step(node);
    bool lost = !node->leads && !node->force.on && node->follows == NULL &&
                !node_votes_are_on(node) && !node_intake_is_on(&node->intake);
    if (lost && node->turn.kind == TURN_NONE) node_votes_ask(node);
}

void node_copies_stop(struct node *node)
{
    node_votes_end(node);
    node_intake_end(node);
    node_members_unlead(node, "the server is being stopped");
    node_follows_end(node, BYE_STOP);
}

void node_copies_close(struct node *node)
{
    node_doors_close(node);
    node_votes_end(node);
    node_intake_end(node);
    node_follows_end(node, BYE_STOP);
    node_serves_close(node);
    node_voters_close(node);
    memory_free(node->votes);
    node->votes = NULL;
}
