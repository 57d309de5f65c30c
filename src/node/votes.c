/* SPDX-License-Identifier: Apache-2.0 */
#include "node/votes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "node/internal.h"

enum {
    ROUND_US = 3 * 1000 * 1000,   /* for the answers of a round */
    ROUND_START_US = 500 * 1000,  /* of a copy that may lead without them */
    ROUND_AGAIN_US = 1000 * 1000, /* between two rounds */
    TRIES_MAX = 3,
};

enum round { ROUND_NONE, ROUND_ASKING, ROUND_OWN, ROUND_BINDING, ROUND_PAUSE };

/* One connection to one other copy. */
struct asking {
    struct peer peer;
    struct candidate candidate;
    struct session_options options;
    struct dial dial;
    struct votes *votes;
    uint64_t copy;
    bool dials, speaks; /* neither: it has ended, or was not begun */
};

/* The epoch that a copy had promised when it was asked whether it would promise. */
struct given {
    uint64_t copy;
    struct epoch epoch;
};

struct votes {
    struct node *node;
    bool promotes;       /* somebody asked for it; else a start looks who leads */
    struct steer *steer; /* NULL: nobody waits for the outcome */
    enum round round;
    uint64_t until_us;
    struct promise_request request;
    struct promotion promotion;
    struct promise_answer leader; /* copy 0: nobody said that it leads */
    struct log_promising own;
    bool own_asked; /* `own` is with the log */
    unsigned tries; /* rounds that a later promise of somebody has beaten */
    struct given given[COPIES_MAX + 1];
    unsigned given_count;
    struct why why;
    unsigned count;
    struct asking asks[COPIES_MAX];
};

void node_vote_options(const struct node *node, const struct stream *stream,
                       struct session_options *out)
{
    *out = (struct session_options){
        .cluster = site_cluster(&node->site),
        .copy = node->site.identity.copy,
        .shard = node->options.shard.number,
        .secret = bytes_text(node->copies.secret),
        .plain = stream != NULL && peer_is_private(&node->world, stream),
        .keepalive_us = NODE_SESSION_KEEPALIVE_US,
        .silent_us = NODE_SESSION_SILENT_US,
        .hello_us = NODE_SESSION_HELLO_US,
    };
}

/* --- What is enough --- */

static bool mode_all(const struct node *node)
{
    return node->membership.now.all;
}

static unsigned configured(const struct node *node)
{
    return node->membership.now.count == 0 ? 1 : node->membership.now.count;
}

/* With more than are named, as a removal in mode local may leave it, all must promise. */
static unsigned wanted_in_sync(const struct node *node)
{
    unsigned wanted = node->membership.now.min_in_sync;
    return wanted == 0 || wanted > configured(node) ? 1 : wanted;
}

static bool is_member(const struct node *node, uint64_t copy)
{
    bool alone = node->membership.now.count == 0 && copy == node->site.identity.copy;
    return alone || members_find(&node->membership.now, copy) != NULL;
}

static uint64_t last_primary(const struct node *node)
{
    struct epoch epoch = log_last(node->log).epoch;
    return epoch.number == 0 ? node->site.identity.copy : epoch.copy;
}

static bool has_promise(const struct promotion *promotion, uint64_t copy)
{
    for (unsigned i = 0; i < promotion->count; i++) {
        if (promotion->answers[i].copy == copy) return true;
    }
    return false;
}

static struct epoch given_by(const struct votes *votes, uint64_t copy)
{
    for (unsigned i = 0; i < votes->given_count; i++) {
        if (votes->given[i].copy == copy) return votes->given[i].epoch;
    }
    return (struct epoch){0};
}

static void note_given(struct votes *votes, uint64_t copy, struct epoch epoch)
{
    if (votes->given_count <= COPIES_MAX)
        votes->given[votes->given_count++] = (struct given){copy, epoch};
}

/* Mode local: who led last must promise; and if that one has promised its role to another one
 * since, which its log tells nothing of, that one may have led by it, and must promise too, and so
 * on. 0: all of them do. */
static uint64_t missing_leader(const struct votes *votes)
{
    const struct node *node = votes->node;
    uint64_t copy = last_primary(node);
    struct epoch since = log_last(node->log).epoch;
    while (has_promise(&votes->promotion, copy)) {
        struct epoch given = given_by(votes, copy);
        bool may_lead = epoch_compare(given, since) > 0 && given.copy != copy &&
                        is_member(node, given.copy) && !PLANTED(LEAD_AFTER_PROMISE);
        if (!may_lead) return 0;
        since = given;
        copy = given.copy;
    }
    return copy;
}

/* Fills in *best: whose log has most of those that promise. */
static bool is_enough(const struct votes *votes, const struct promise_answer **best)
{
    const struct node *node = votes->node;
    const struct promotion *promotion = &votes->promotion;
    struct promotion all = *promotion;
    if (!mode_all(node)) all.min_in_sync = all.configured; /* whoever promises; but this one: */
    bool enough = promotion_won(&all, best);
    *best = enough ? &promotion->answers[*best - all.answers] : NULL;
    if (!mode_all(node)) enough = enough && missing_leader(votes) == 0;
    return enough;
}

static struct promise_answer own_answer(const struct votes *votes)
{
    const struct node *node = votes->node;
    return (struct promise_answer){.copy = node->site.identity.copy,
                                   .incarnation = node->incarnation,
                                   .granted = true,
                                   .vouches = !node->site.unproven || PLANTED(VOUCH_WHILE_REBUILT),
                                   .promised = votes->request.epoch,
                                   .last = log_last(node->log),
                                   .durable = log_durable(node->log),
                                   .committed = node->committed};
}

/* --- A round --- */

static void hang_up(struct votes *votes)
{
    struct net *net = votes->node->world.peers;
    for (unsigned i = 0; i < votes->count; i++) {
        struct asking *asking = &votes->asks[i];
        net->ops->cancel(net, &asking->dial);
        if (asking->speaks) {
            peer_drop(&asking->peer);
            candidate_release(&asking->candidate);
        }
        asking->dials = asking->speaks = false;
    }
    votes->count = 0;
}

static void round_check(struct votes *votes);

static void asking_over(struct asking *asking)
{
    asking->dials = asking->speaks = false;
    round_check(asking->votes);
}

static void ask_step(struct peer *peer, const struct session_event *event,
                     struct session_effects *out)
{
    candidate_step(&CONTAINER_OF(peer, struct asking, peer)->candidate, event, out);
}

/* A copy of another history has given up what it had of this one, and promises nothing of it. */
static void take_answer(struct votes *votes, const struct promise_answer *answer)
{
    struct history own = log_last(votes->node->log).history;
    if (answer->leads) votes->leader = *answer;
    if (memcmp(own.id, answer->last.history.id, sizeof own.id) != 0) return;
    struct promise_answer counted = *answer;
    if (votes->request.only_asks && answer->granted) counted.promised = votes->request.epoch;
    if (votes->request.only_asks) note_given(votes, answer->copy, answer->promised);
    if (is_member(votes->node, answer->copy)) (void)promotion_answer(&votes->promotion, &counted);
}

static void ask_ended(struct peer *peer)
{
    struct asking *asking = CONTAINER_OF(peer, struct asking, peer);
    if (asking->candidate.answered) take_answer(asking->votes, &asking->candidate.answer);
    candidate_release(&asking->candidate);
    asking_over(asking);
}

static struct stream_owner *dial_connected(struct dial *dial, struct stream *stream)
{
    static const struct peer_ops ops = {.step = ask_step, .ended = ask_ended};
    struct asking *asking = CONTAINER_OF(dial, struct asking, dial);
    struct node *node = asking->votes->node;
    asking->dials = false;
    asking->speaks = true;
    node_vote_options(node, stream, &asking->options);
    candidate_init(&asking->candidate, &asking->options, &asking->votes->request);
    peer_open(&asking->peer, &ops, &node->world, stream);
    return &asking->peer.owner;
}

static void dial_failed(struct dial *dial, enum dial_failure failure, const struct why *why)
{
    (void)failure;
    (void)why;
    asking_over(CONTAINER_OF(dial, struct asking, dial));
}

static void ask(struct votes *votes, const struct member *member)
{
    struct net *net = votes->node->world.peers;
    struct asking *asking = &votes->asks[votes->count++];
    *asking = (struct asking){.votes = votes, .copy = member->id};
    asking->dial = (struct dial){.connected = dial_connected, .failed = dial_failed};
    struct why why;
    asking->dials = member->peer[0] != '\0' &&
                    net->ops->dial(net, &asking->dial, member->peer, ROUND_US, &why) == ERR_OK;
}

static void begin_round(struct votes *votes, bool only_asks)
{
    struct node *node = votes->node;
    const struct members *now = &node->membership.now;
    bool may_lead = !votes->promotes && last_primary(node) == node->site.identity.copy &&
                    !mode_all(node);
    hang_up(votes);
    votes->round = only_asks ? ROUND_ASKING : ROUND_BINDING;
    votes->until_us = clock_now_us(node->world.clock) + (may_lead ? ROUND_START_US : ROUND_US);
    votes->request.only_asks = only_asks;
    votes->leader.copy = 0;
    struct epoch beaten = votes->promotion.beaten;
    promotion_init(&votes->promotion, votes->request.epoch, configured(node), wanted_in_sync(node));
    votes->promotion.beaten = beaten;
    if (only_asks) {
        votes->given_count = 0;
        note_given(votes, node->site.identity.copy, log_promised(node->log));
    }
    struct promise_answer own = own_answer(votes);
    if (is_member(node, own.copy)) (void)promotion_answer(&votes->promotion, &own);
    for (unsigned i = 0; i < now->count; i++) {
        if (now->at[i].id != own.copy) ask(votes, &now->at[i]);
    }
    round_check(votes);
}

static struct epoch epoch_above(const struct votes *votes)
{
    struct epoch above = node_newest_epoch(votes->node);
    if (epoch_compare(above, votes->promotion.beaten) < 0) above = votes->promotion.beaten;
    return (struct epoch){above.number + 1, votes->node->site.identity.copy};
}

static void begin(struct votes *votes)
{
    votes->request = (struct promise_request){.epoch = epoch_above(votes),
                                              .candidate = votes->node->site.identity.copy};
    begin_round(votes, true);
}

/* --- Its end --- */

static void steer_over(struct votes *votes, enum err err)
{
    struct steer *steer = votes->steer;
    votes->steer = NULL;
    if (steer == NULL) return;
    steer->err = err;
    steer->why = votes->why;
    steer->done(steer);
}

/* A promotion ends; a start tries again. */
static void fail(struct votes *votes, const char *text)
{
    struct node *node = votes->node;
    hang_up(votes);
    (void)why_fail(&votes->why, ERR_REFUSED, "%s", text);
    if (votes->promotes) {
        trace_event(node->world.trace, TRACE_WARNING, "node", "not_promoted", "why=\"%s\"", text);
        votes->round = ROUND_NONE;
        steer_over(votes, ERR_REFUSED);
        return;
    }
    votes->tries = 0;
    votes->round = ROUND_PAUSE;
    votes->until_us = clock_now_us(node->world.clock) + ROUND_AGAIN_US;
}

/* An epoch that is promised meanwhile, or will be in a moment, is somebody else's: entries of this
 * copy would be taken for theirs. */
static void lead(struct votes *votes)
{
    struct node *node = votes->node;
    struct why why;
    bool own = epoch_compare(log_promised(node->log), votes->request.epoch) == 0;
    if ((!own || log_is_promising(node->log)) && !PLANTED(SKIP_PROMISE)) {
        fail(votes, "a later epoch was promised meanwhile: try again");
        return;
    }
    hang_up(votes);
    votes->round = ROUND_NONE;
    node_follows_end(node, BYE_STOP);
    enum err err = ERR_OK; /* whoever leads for a primary of another make goes on following it */
    if (!node_intake_is_on(&node->intake)) err = site_follow_remove(&node->site, &why);
    if (err == ERR_OK) err = node_lead(node, &why);
    if (err != ERR_OK) votes->why = why;
    steer_over(votes, err);
    node_run(node);
}

static void own_promised(struct log_promising *promising)
{
    struct votes *votes = CONTAINER_OF(promising, struct votes, own);
    votes->own_asked = false;
    if (votes->round != ROUND_OWN) return;
    if (promising->err == ERR_OK) begin_round(votes, false);
    else fail(votes, "a later epoch was promised meanwhile: try again");
}

static void tell_missing(struct votes *votes)
{
    const struct node *node = votes->node;
    char text[sizeof votes->why.text];
    unsigned needed = promise_quorum(votes->promotion.configured, votes->promotion.min_in_sync);
    if (mode_all(node)) {
        (void)snprintf(text, sizeof text,
                       "NOPROMISE %u of %u promises are there: the copies that are missing must "
                       "answer first, or PROMOTE FORCE begins a new history",
                       votes->promotion.count, needed);
    } else {
        (void)snprintf(text, sizeof text,
                       "NOPROMISE the promise of copy %" PRIu64 ", which led last or was to lead, "
                       "is missing: FAILOVER there, or PROMOTE FORCE here, which begins a new "
                       "history",
                       missing_leader(votes));
    }
    fail(votes, text);
}

/* A start finds that somebody leads: follows it. */
static bool follow_leader(struct votes *votes)
{
    struct node *node = votes->node;
    if (votes->leader.copy == 0 || votes->promotes) return false;
    uint64_t copy = votes->leader.copy;
    hang_up(votes);
    votes->round = ROUND_NONE;
    node_follow_copy(node, copy);
    return true;
}

/* This copy follows while it asks. If it has promised an epoch of this number meanwhile, what it
 * would lead is named by a number that its log may have already. */
static bool is_overtaken(const struct votes *votes)
{
    return node_newest_epoch(votes->node).number >= votes->request.epoch.number;
}

static void round_won(struct votes *votes, const struct promise_answer *best)
{
    struct node *node = votes->node;
    struct mark own = log_last(node->log);
    bool led = last_primary(node) == node->site.identity.copy;
    /* What others have of an epoch that this copy has written and it has not itself was never
     * committed: its own sync counts for every commit. */
    bool wrote = epoch_compare(best->last.epoch, own.epoch) == 0 &&
                 own.epoch.copy == node->site.identity.copy && !node->site.unproven;
    if (promotion_is_ahead(&best->last, &own) && !wrote) {
        char text[sizeof votes->why.text];
        (void)snprintf(text, sizeof text,
                       "NOPROMISE copy %" PRIu64 " has more (LSN %" PRIu64 "): promote that one",
                       best->copy, best->last.lsn.at);
        fail(votes, text);
    } else if (!votes->promotes && !led) {
        fail(votes, "nobody leads: REPLICAOF or PROMOTE says who is to");
    } else if (votes->round == ROUND_BINDING || PLANTED(SKIP_PROMISE)) {
        lead(votes);
    } else if (is_overtaken(votes)) {
        fail(votes, "a later epoch was promised meanwhile: try again");
    } else {
        hang_up(votes);
        if (votes->own_asked) {
            fail(votes, "an earlier promise is still being written: try again");
            return;
        }
        votes->round = ROUND_OWN;
        votes->own_asked = true;
        votes->own = (struct log_promising){.epoch = votes->request.epoch, .done = own_promised};
        log_promise_soon(node->log, &votes->own);
    }
}

static bool is_waiting(const struct votes *votes)
{
    for (unsigned i = 0; i < votes->count; i++) {
        if (votes->asks[i].dials || votes->asks[i].speaks) return true;
    }
    return false;
}

/* A start hears everybody out, as long as there is time: one may lead already. */
static void round_check(struct votes *votes)
{
    struct node *node = votes->node;
    if (votes->round != ROUND_ASKING && votes->round != ROUND_BINDING) return;
    if (votes->round == ROUND_ASKING && follow_leader(votes)) return;
    const struct promise_answer *best;
    bool over = !is_waiting(votes) || clock_now_us(node->world.clock) >= votes->until_us;
    bool enough = is_enough(votes, &best);
    if (!over && !(enough && votes->round == ROUND_BINDING)) return;
    bool beaten = epoch_compare(votes->promotion.beaten, votes->request.epoch) >= 0;
    if (enough) {
        round_won(votes, best);
    } else if (beaten && votes->leader.copy == 0 && votes->tries++ < TRIES_MAX) {
        begin(votes);
    } else if (votes->leader.copy != 0) {
        fail(votes, "NOPROMISE the primary leads and does not give its promise: FAILOVER there, "
                    "or PROMOTE FORCE here, which begins a new history");
    } else {
        tell_missing(votes);
    }
}

/* --- From outside --- */

static struct votes *votes_of(struct node *node)
{
    if (node->votes != NULL) return node->votes;
    node->votes = memory_zeroed(1, sizeof *node->votes);
    node->votes->node = node;
    return node->votes;
}

void node_votes_ask(struct node *node)
{
    struct votes *votes = votes_of(node);
    if (votes->round != ROUND_NONE) return;
    votes->promotes = false;
    begin(votes);
}

void node_votes_promote(struct node *node, struct steer *steer)
{
    struct votes *votes = votes_of(node);
    if (votes->steer != NULL && steer == NULL) return; /* it is what somebody asked for already */
    if (votes->steer != NULL) {
        steer->err = why_fail(&steer->why, ERR_EXISTS, "a promotion is under way");
        steer->done(steer);
        return;
    }
    if (votes->round == ROUND_OWN) { /* of a start: it goes on, and tells */
        votes->steer = steer;
        return;
    }
    votes->promotes = true;
    votes->steer = steer;
    votes->tries = 0;
    begin(votes);
}

void node_votes_forget(struct node *node, const struct steer *steer)
{
    if (node->votes != NULL && node->votes->steer == steer) node->votes->steer = NULL;
}

bool node_votes_are_on(const struct node *node)
{
    return node->votes != NULL && node->votes->round != ROUND_NONE;
}

const struct why *node_votes_why(const struct node *node)
{
    return node->votes == NULL ? NULL : &node->votes->why;
}

void node_votes_tick(struct node *node)
{
    struct votes *votes = node->votes;
    if (votes == NULL || votes->round == ROUND_NONE) return;
    for (unsigned i = 0; i < votes->count; i++) {
        if (votes->asks[i].speaks) peer_tick(&votes->asks[i].peer);
    }
    if (votes->round != ROUND_PAUSE) round_check(votes);
    else if (clock_now_us(node->world.clock) >= votes->until_us) begin(votes);
}

void node_votes_end(struct node *node)
{
    struct votes *votes = node->votes;
    if (votes == NULL) return;
    hang_up(votes);
    votes->round = ROUND_NONE;
    (void)why_fail(&votes->why, ERR_SHUT, "the role was changed meanwhile");
    steer_over(votes, ERR_SHUT);
}
