/* SPDX-License-Identifier: Apache-2.0 */
/* The end that is asked for a promise. What is promised is in both slots of the superblock before
 * it is answered (I9); from then on no earlier primary is followed. */
#include "base/memory.h"
#include "base/plant.h"
#include "node/internal.h"

enum { VOTERS_MAX = 32 };

struct vote {
    struct peer peer;
    struct voter voter;
    struct session_options options;
    struct node *node;
    struct log_promising promising;
    bool promises; /* `promising` is with the log */
    bool ready;    /* `answer` is to be sent */
    bool gone;     /* the connection is over: freed when the log has answered */
    struct promise_answer answer;
    struct list link; /* in node->voters */
};

static void vote_free(struct vote *vote)
{
    list_remove(&vote->link);
    vote->node->voter_count--;
    peer_drop(&vote->peer);
    voter_release(&vote->voter);
    memory_free(vote);
}

static void answer_now(struct vote *vote, bool granted)
{
    const struct node *node = vote->node;
    vote->answer = (struct promise_answer){.copy = node->site.identity.copy,
                                           .incarnation = node->incarnation,
                                           .granted = granted,
                                           .vouches = !node->site.unproven ||
                                                      PLANTED(VOUCH_WHILE_REBUILT),
                                           .leads = node->leads,
                                           .promised = log_promised(node->log),
                                           .last = log_last(node->log),
                                           .durable = log_durable(node->log),
                                           .committed = node->committed};
    if (granted) vote->answer.promised = vote->voter.request.epoch;
    vote->ready = true;
    peer_wake(&vote->peer);
}

static void promised(struct log_promising *promising)
{
    struct vote *vote = CONTAINER_OF(promising, struct vote, promising);
    struct node *node = vote->node;
    vote->promises = false;
    bool granted = promising->err == ERR_OK;
    if (granted) {
        node_votes_end(node);
        node_follow_copy(node, vote->voter.request.candidate);
        node_follows_fence(node); /* the log may name no such copy */
    }
    if (vote->gone) vote_free(vote);
    else answer_now(vote, granted);
}

/* A primary gives its role away only to the copy that it hands it to. */
static bool may_grant(const struct node *node, const struct promise_request *request)
{
    bool above = epoch_compare(request->epoch, log_last(node->log).epoch) > 0;
    bool free = !node->leads && !node->force.on && node->turn.kind == TURN_NONE &&
                node->phase == NODE_SERVING;
    return free && above && promise_may_grant(log_promised(node->log), request);
}

static void decide(struct vote *vote)
{
    struct node *node = vote->node;
    const struct promise_request *request = &vote->voter.request;
    bool grants = may_grant(node, request);
    bool again = epoch_compare(log_promised(node->log), request->epoch) == 0;
    if (!grants || request->only_asks || again || PLANTED(PROMISE_NOT_DURABLE)) {
        answer_now(vote, grants);
        return;
    }
    vote->promising = (struct log_promising){.epoch = request->epoch, .done = promised};
    vote->promises = true;
    log_promise_soon(node->log, &vote->promising);
}

static void vote_step(struct peer *peer, const struct session_event *event,
                      struct session_effects *out)
{
    struct vote *vote = CONTAINER_OF(peer, struct vote, peer);
    if (event->kind == EVENT_VOTED) voter_answer(&vote->voter, &vote->answer, out);
    else voter_step(&vote->voter, event, out);
}

static void vote_effect(struct peer *peer, const struct session_effect *effect)
{
    if (effect->kind == EFFECT_VOTE) decide(CONTAINER_OF(peer, struct vote, peer));
}

static bool vote_result(struct peer *peer, struct session_event *event)
{
    struct vote *vote = CONTAINER_OF(peer, struct vote, peer);
    if (!vote->ready) return false;
    vote->ready = false;
    *event = (struct session_event){.kind = EVENT_VOTED};
    return true;
}

static void vote_ended(struct peer *peer)
{
    struct vote *vote = CONTAINER_OF(peer, struct vote, peer);
    if (vote->promises) vote->gone = true;
    else vote_free(vote);
}

struct stream_owner *node_voters_accept(struct node *node, struct stream *stream,
                                        struct bytes first)
{
    static const struct peer_ops ops = {
        .step = vote_step, .effect = vote_effect, .result = vote_result, .ended = vote_ended};
    if (node->voter_count == VOTERS_MAX) return NULL;
    struct vote *vote = memory_zeroed(1, sizeof *vote);
    vote->node = node;
    node_vote_options(node, stream, &vote->options);
    voter_init(&vote->voter, &vote->options);
    list_append(&node->voters, &vote->link);
    node->voter_count++;
    peer_open(&vote->peer, &ops, &node->world, stream);
    vote->peer.owner.events->received(&vote->peer.owner, first);
    return &vote->peer.owner;
}

void node_voters_tick(struct node *node)
{
    for (struct list *at = node->voters.next; at != &node->voters; at = at->next)
        peer_tick(&CONTAINER_OF(at, struct vote, link)->peer);
}

/* The log, which may hold promises of theirs, is closed before or right behind. */
void node_voters_close(struct node *node)
{
    struct list *first;
    while ((first = list_first(&node->voters)) != NULL)
        vote_free(CONTAINER_OF(first, struct vote, link));
}
