/* SPDX-License-Identifier: Apache-2.0 */
/* The session to the copy that is followed: what replica/follower.h asks for is carried out here.
 *
 *   FACTS             looked up when no turn of the shard is under way
 *   PROMISE           by the log; the epoch of another cluster or history is promised by the log
 *                     that begins with its image
 *   CUT, INSTALL      turns of the shard, whose end node_follows_reopened() tells
 *   APPEND, COMMIT    at once
 *   IMAGE_*           follows_image.c
 *
 * A result carries the key of who asked, and each session has an endpoint of its own: what comes
 * late is not taken for another's. */
#include <inttypes.h>

#include "base/host.h"
#include "node/follows_parts.h"
#include "node/internal.h"

static struct follows *follows_of(struct peer *peer)
{
    return CONTAINER_OF(peer, struct follows, peer);
}

static bool in_session(const struct follows *follows)
{
    return follows->phase == FOLLOWS_SESSION;
}

static void result_is(struct follows *follows, enum follows_result result,
                      const struct session_key *key, enum err err)
{
    if (!in_session(follows) || key->endpoint != follows->sessions) return;
    follows->due[result] = (struct follows_due){.due = true, .key = *key, .err = err};
    peer_wake(&follows->peer);
}

/* Something failed here that has no result of its own. */
static void stop(struct follows *follows, const char *what, const struct why *why)
{
    trace_event(follows->node->world.trace, TRACE_WARNING, "node", what, "shard=%s why=\"%s\"",
                follows->node->options.shard.name, why->text);
    peer_stop(&follows->peer, BYE_LOCAL);
}

/* Nothing may be asked of a shard that is closed, or about to be. */
static bool is_open(const struct node *node)
{
    return node->turn.kind == TURN_NONE && node->phase != NODE_FAILED && node->log != NULL;
}

/* --- Facts --- */

/* An address without a host says: where this connection comes from. */
static struct bytes put_address(const struct node *node, unsigned port,
                                char out[COPY_ADDRESS_BYTES])
{
    const char *host = node->copies.announced_host;
    out[0] = '\0';
    if (port != 0) (void)host_format(host == NULL ? "" : host, port, out, COPY_ADDRESS_BYTES);
    return bytes_text(out);
}

static void put_facts(struct follows *follows, struct session_event *event)
{
    struct node *node = follows->node;
    struct message_hello *hello = &follows->hello;
    *hello = (struct message_hello){.digest = node->machine->ops->digest(node->machine)};
    node_facts(node, &hello->facts);
    hello->facts.wipe = follows->wipe;
    hello->peer = put_address(node, node->copies.peer_port, follows->hello_peer);
    hello->redis = put_address(node, node->copies.redis_port, follows->hello_redis);
    event->hello = hello;
    event->last_stamp = log_last_stamp(node->log);
}

/* --- The promise --- */

static void ask_promise(struct follows *follows)
{
    struct node *node = follows->node;
    struct epoch epoch = follows->promise_epoch;
    if (follows->follower.foreign || epoch_compare(epoch, log_promised(node->log)) == 0) {
        result_is(follows, RESULT_PROMISED, &follows->promise_key, ERR_OK);
        return;
    }
    follows->promise_busy = true;
    follows->promising.epoch = epoch;
    log_promise_soon(node->log, &follows->promising);
}

static void promised(struct log_promising *promising)
{
    struct follows *follows = CONTAINER_OF(promising, struct follows, promising);
    follows->promise_busy = false;
    if (!follows->promise_waits) {
        result_is(follows, RESULT_PROMISED, &follows->promise_key, promising->err);
        return;
    }
    follows->promise_waits = false;
    if (in_session(follows)) ask_promise(follows);
}

/* Whoever was not named must lead to be followed; and a copy that the log names goes to the primary
 * itself, which waits for its answers, when another replica says who that is. */
static bool goes_elsewhere(struct follows *follows, struct epoch epoch)
{
    const struct node *node = follows->node;
    if (epoch.copy == follows->follower.link.peer.copy) return false;
    const struct member *leader = members_find(&node->membership.now, epoch.copy);
    bool named = follows->attempt == 0;
    bool is_member = members_find(&node->membership.now, node->site.identity.copy) != NULL;
    if (is_member && leader != NULL && epoch.copy != node->site.identity.copy)
        follows->leader = epoch.copy;
    return !named || follows->leader != 0;
}

static void take_promise(struct follows *follows, const struct session_effect *effect)
{
    if (goes_elsewhere(follows, effect->epoch)) {
        peer_stop(&follows->peer, BYE_STOP);
        return;
    }
    char plan[RECOVER_TEXT_BYTES];
    recover_format(&follows->follower.plan, plan);
    trace_event(follows->node->world.trace, TRACE_NOTICE, "node", "follow_plan",
                "shard=%s address=%s copy=%" PRIu64 " epoch=%" PRIu64 " %s",
                follows->node->options.shard.name, follows->place.peer, follows->copy,
                effect->epoch.number, plan);
    follows->epoch = follows->promise_epoch = effect->epoch;
    follows->promise_key = effect->key;
    follows->promise_waits = follows->promise_busy; /* with one of a session that is over */
    if (!follows->promise_busy) ask_promise(follows);
}

/* --- Turns --- */

static void turn(struct follows *follows, enum follows_result result, const struct session_key *key,
                 const struct turn *turn)
{
    follows->turn_result = result;
    follows->turn_key = *key;
    follows->turn_begun = follows->begun;
    node_turn(follows->node, turn);
}

static void take_cut(struct follows *follows, const struct session_effect *effect)
{
    turn(follows, RESULT_CUT, &effect->key, &(struct turn){.kind = TURN_CUT, .mark = effect->mark});
}

/* Once is enough: what this copy takes from now on is given up for nobody without another word. A
 * crash before this is written leaves the word in force until the copy is in sync again. */
static void wipe_no_more(struct follows *follows)
{
    struct node *node = follows->node;
    struct site_follow follow;
    struct why why;
    follows->wipe = false;
    enum err err = site_follow_read(&node->site, &follow, &why);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && !follow.wipe)) return;
    follow.wipe = false;
    if (err == ERR_OK) err = site_follow_write(&node->site, &follow, &why);
    if (err != ERR_OK)
        trace_event(node->world.trace, TRACE_WARNING, "node", "follow_not_written",
                    "shard=%s why=\"%s\"", node->options.shard.name, why.text);
}

void node_follows_switched(struct node *node)
{
    struct follows *follows = node->follows;
    if (follows != NULL && follows->turn_begun == follows->begun) wipe_no_more(follows);
}

void node_follows_reopened(struct node *node, enum err err)
{
    struct follows *follows = node->follows;
    if (follows == NULL) return;
    result_is(follows, follows->turn_result, &follows->turn_key, err);
    if (in_session(follows)) peer_wake(&follows->peer); /* facts may have been asked for since */
}

/* What the log ends with now: behind a cut, or behind an image. */
static void put_reopened(struct follows *follows, struct session_event *event)
{
    event->last = log_last(follows->node->log);
    event->last_stamp = log_last_stamp(follows->node->log);
}

/* --- The image --- */

static void image_tells(struct follows *follows, enum follows_result result, enum err err,
                        const struct why *why)
{
    if (err != ERR_OK)
        trace_event(follows->node->world.trace, TRACE_WARNING, "node", "incoming_failed",
                    "shard=%s why=\"%s\"", follows->node->options.shard.name, why->text);
    result_is(follows, result, &follows->image_key, err);
    follows->due[result].offset = follows->image.stored;
}

static void image_moved(struct follows_image *image)
{
    staging_arrived(&CONTAINER_OF(image, struct follows, image)->staging, image->written);
}

static void image_opened(struct follows_image *image, enum err err, const struct why *why)
{
    struct follows *follows = CONTAINER_OF(image, struct follows, image);
    image_tells(follows, RESULT_IMAGE_AT, err, why);
    /* An image that is there is the turn's at once: sessions that end again and again would begin
     * to stage it each time, and never come to the turn. */
    if (err != ERR_OK || image->stored == image->offer.size) return;
    staging_begin(&follows->staging, &image->offer);
    image_moved(image);
}

static void image_synced(struct follows_image *image, enum err err, const struct why *why)
{
    image_tells(CONTAINER_OF(image, struct follows, image), RESULT_IMAGE_STORED, err, why);
}

static void image_finished(struct follows_image *image)
{
    staging_finish(&CONTAINER_OF(image, struct follows, image)->staging);
}

static void staging_told(struct staging *staging)
{
    struct follows *follows = CONTAINER_OF(staging, struct follows, staging);
    const struct follower *follower = &follows->follower;
    struct turn install = {.kind = TURN_INSTALL,
                           .mark = follower->image.mark,
                           .cluster = follower->link.cluster,
                           .epoch = follower->primary_epoch};
    staging_give(staging, &install);
    turn(follows, RESULT_INSTALLED, &follows->image_key, &install);
}

static void take_image_open(struct follows *follows, const struct session_effect *effect)
{
    struct image_place place = node_image_place(follows->node);
    const struct message_image *image = &effect->image;
    place.cluster = follows->follower.link.cluster;
    place.history = image->mark.history;
    follows->image_key = effect->key;
    follows_image_begin(&follows->image, &place,
                        &(struct image_offer){image->mark, image->size, image->checksum});
}

/* --- Entries --- */

static void take_entries(struct follows *follows, const struct session_effect *effect)
{
    struct why why;
    enum err err = node_follow_append(follows->node, effect->entries, effect->before, &why);
    if (err != ERR_OK) stop(follows, "follow_append_failed", &why);
}

static void tell_log(struct peer *peer, struct session_event *event)
{
    struct follows *follows = follows_of(peer);
    const struct node *node = follows->node;
    if (is_open(node)) {
        follows->appended = log_appended(node->log);
        follows->durable = log_durable(node->log);
        follows->applied = node_applied_lsn(node);
        follows->flushed = node->machine->ops->flushed(node->machine).lsn;
    }
    event->appended = follows->appended;
    event->durable = follows->durable;
    event->applied = follows->applied;
    event->flushed = follows->flushed;
}

/* --- The session --- */

/* It holds again all that it ever acked: its promise counts. */
static void note_proven(struct node *node)
{
    struct why why;
    if (site_set_proven(&node->site, &why) != ERR_OK)
        trace_event(node->world.trace, TRACE_WARNING, "node", "copy_stays_unproven",
                    "shard=%s why=\"%s\"", node->options.shard.name, why.text);
}

/* It streams for the first time: from now on others may follow this copy. */
static void take_state(struct follows *follows, enum session_state state)
{
    struct node *node = follows->node;
    if (state != STATE_IN_SYNC) return; /* once a session */
    follows->streamed = true;
    follows->why = follows->why_traced = (struct why){""};
    trace_event(node->world.trace, TRACE_NOTICE, "node", "follows",
                "shard=%s address=%s copy=%" PRIu64 " epoch=%" PRIu64 " last=%" PRIu64,
                node->options.shard.name, follows->place.peer, follows->copy, follows->epoch.number,
                follows->follower.last.lsn.at);
    struct image_place place = node_image_place(node);
    note_proven(node);
    /* Without an image too: then there was nothing to give up. */
    if (follows->wipe) wipe_no_more(follows);
    if (!follows_image_is_busy(&follows->image))
        incoming_discard(&place); /* of a transfer that is not needed now */
    if (is_open(node) && node->serves == NULL) node_serves_begin(node);
}

static void take_effect(struct peer *peer, const struct session_effect *effect)
{
    struct follows *follows = follows_of(peer);
    switch (effect->kind) {
    case EFFECT_STATE: take_state(follows, effect->state); break;
    case EFFECT_STAMP: node_stamps_answered(follows->node, &effect->stamp); break;
    case EFFECT_FACTS: result_is(follows, RESULT_FACTS, &effect->key, ERR_OK); break;
    case EFFECT_PROMISE: take_promise(follows, effect); break;
    case EFFECT_CUT: take_cut(follows, effect); break;
    case EFFECT_APPEND: take_entries(follows, effect); break;
    case EFFECT_COMMIT: node_follow_commit(follows->node, effect->lsn); break;
    case EFFECT_IMAGE_OPEN: take_image_open(follows, effect); break;
    case EFFECT_IMAGE_WRITE:
        if (!follows_image_write(&follows->image, effect->bytes))
            peer_stop(peer, BYE_PROTOCOL); /* more than was ever acked for */
        break;
    case EFFECT_INSTALL: follows_image_finish(&follows->image); break;
    case EFFECT_CLOSE: break; /* the peer's */
    case EFFECT_PIN:
    case EFFECT_UNPIN:
    case EFFECT_READ:
    case EFFECT_IMAGE_BEGIN:
    case EFFECT_IMAGE_READ:
    case EFFECT_IMAGE_END:
    case EFFECT_ACKED:
    case EFFECT_VOTE:
    case SESSION_EFFECTS: MUST(false); /* the other end's */
    }
}

static bool next_result(struct peer *peer, struct session_event *event)
{
    static const enum session_event_kind kinds[RESULTS] = {
        [RESULT_FACTS] = EVENT_FACTS,
        [RESULT_PROMISED] = EVENT_PROMISED,
        [RESULT_CUT] = EVENT_CUT,
        [RESULT_IMAGE_AT] = EVENT_IMAGE_AT,
        [RESULT_IMAGE_STORED] = EVENT_IMAGE_STORED,
        [RESULT_INSTALLED] = EVENT_INSTALLED,
    };
    struct follows *follows = follows_of(peer);
    if (follows->stamp_due) {
        follows->stamp_due = false;
        event->kind = EVENT_STAMP;
        event->stamp = &follows->stamp;
        return true;
    }
    for (unsigned i = 0; i < RESULTS; i++) {
        struct follows_due *due = &follows->due[i];
        bool of_shard = i == RESULT_FACTS || i == RESULT_CUT || i == RESULT_INSTALLED;
        if (!due->due || (of_shard && !is_open(follows->node))) continue;
        due->due = false;
        event->kind = kinds[i];
        event->key = due->key;
        event->err = due->err;
        event->offset = due->offset;
        if (i == RESULT_FACTS) put_facts(follows, event);
        else if (of_shard) put_reopened(follows, event);
        return true;
    }
    return false;
}

bool node_follows_stamp(struct node *node, const struct message_stamp *stamp)
{
    struct follows *follows = node->follows;
    if (follows == NULL || !in_session(follows) || !follows->streamed) return false;
    follows->stamp_due = true;
    follows->stamp = *stamp;
    peer_wake(&follows->peer);
    return true;
}

static void step(struct peer *peer, const struct session_event *event, struct session_effects *out)
{
    struct follows *follows = follows_of(peer);
    const struct follower *follower = &follows->follower;
    follower_step(&follows->follower, event, out);
    if (follower->link.phase == LINK_PROVEN) follows->copy = follower->link.peer.copy;
    follows->has_watermarks = follows->has_watermarks || follower->watermarks.copy_count > 0;
    if (follower->watermarks.copy_count > 0) follows->watermarks = follower->watermarks;
}

uint64_t node_follows_memory_bytes(const struct node *node)
{
    uint64_t ahead = node->copies.ahead_bytes, share = ahead / NODE_FOLLOW_MEMORY_SHARE;
    bool small = ahead > 0 && share < NODE_FOLLOW_MEMORY_BYTES;
    return small ? share : NODE_FOLLOW_MEMORY_BYTES;
}

/* What waits for the primary's word cannot: that word may be what is left unread. */
static bool something_waits(const struct node *node)
{
    struct lsn may_apply = lsn_min(node->committed, log_durable(node->log));
    return lsn_before(node_applied_lsn(node), may_apply);
}

static bool memory_is_full(const struct node *node)
{
    return log_kept_bytes(node->log) > node_follows_memory_bytes(node);
}

static bool spills(const struct node *node)
{
    return node->copies.ahead_bytes > 0 && !node_follows_streams(node);
}

bool node_follows_overflows(const struct node *node)
{
    return spills(node) && !node_is_behind(node) && memory_is_full(node) && something_waits(node);
}

bool node_follows_catches_up(const struct node *node)
{
    const struct follows *follows = node->follows;
    return follows != NULL && in_session(follows) && !node_follows_streams(node);
}

/* Nothing more is taken for a while: what came is to be applied, or written, first. */
static bool is_full(struct peer *peer)
{
    const struct node *node = follows_of(peer)->node;
    if (!is_open(node) || !something_waits(node)) return false;
    if (node_is_behind(node))
        return memory_is_full(node) || log_is_low(node->log) || !node_behind_has_room(node);
    return memory_is_full(node) && !spills(node);
}

/* --- Its end --- */

static void session_over(struct follows *follows)
{
    struct node *node = follows->node;
    if (follows->follower.link.received_us > follows->heard_us)
        follows->heard_us = follows->follower.link.received_us;
    if (follows->streamed) {
        follows->down_us = clock_now_us(node->world.clock);
        node_serves_end(node, BYE_STOP);
    }
    node->damaged_frames += follows->follower.link.damaged;
    follows->stamp_due = false;
    node_stamps_session_over(node);
    follower_release(&follows->follower);
    follows_image_let_go(&follows->image);
    staging_drop(&follows->staging);
    memset(follows->due, 0, sizeof follows->due);
}

static const char *refusal_text(enum recover_refusal refusal)
{
    switch (refusal) {
    case REFUSAL_NONE: break;
    case REFUSAL_FENCED: return "this copy has promised a later epoch: that one leads no more";
    case REFUSAL_FOREIGN: return "the data here is of another cluster, shard or history";
    case REFUSAL_DAMAGED: return "what this copy says of its data contradicts itself, or the log";
    case REFUSAL_ROLLED_BACK: return "this copy had more once: its disk went back in time";
    case REFUSAL_LEVEL: return "this program is too old for it";
    case REFUSAL_CONFLICT: return "this copy has as committed what that one lacks";
    case REFUSALS: break;
    }
    return "for no known reason";
}

static const char *bye_text(enum bye_reason reason)
{
    switch (reason) {
    case BYE_STOP: return "it stops, or does not lead any more";
    case BYE_REFUSED: return "it does not serve this copy now";
    case BYE_FENCED: return "a later epoch is promised";
    case BYE_PROTOCOL: return "the two do not understand each other";
    case BYE_PROOF:
        return "the secrets differ, or beyond this machine there is neither one nor TLS";
    case BYE_FORK: return "its log differs from this one where it must not";
    case BYE_SILENT: return "the connection broke, or nothing was heard";
    case BYE_STALLED: return "nothing was acknowledged for too long";
    case BYE_LOCAL: return "one of the two failed at its disk or its data";
    case BYE_SUPERSEDED: return "another session took its place";
    case BYE_LEAD: return "it gives its role to this copy";
    case BYE_DAMAGED: return "what came was changed on the way";
    case BYE_REASONS: break;
    }
    return "the connection ended";
}

static bool is_lasting(enum bye_reason reason)
{
    return reason == BYE_FENCED || reason == BYE_PROTOCOL || reason == BYE_PROOF ||
           reason == BYE_FORK;
}

static void ended(struct peer *peer)
{
    struct follows *follows = follows_of(peer);
    const struct follower *follower = &follows->follower;
    enum bye_reason reason = follower->link.reason;
    struct why why;
    bool refused = follower->plan.kind == RECOVER_REFUSE;
    if (refused) {
        char plan[RECOVER_TEXT_BYTES];
        recover_format(&follower->plan, plan);
        (void)why_fail(&why, ERR_REFUSED, "it refuses this copy: %s (%s)",
                       refusal_text(follower->plan.refusal), plan);
    } else {
        (void)why_fail(&why, ERR_REFUSED, "the session is over: %s", bye_text(reason));
    }
    session_over(follows);
    if (reason == BYE_LOCAL) follows->streamed = false; /* so that the pauses grow */
    follows_retry(follows, refused || is_lasting(reason), why.text);
    /* The role is handed over: to this copy, and only if the others agree. */
    if (reason == BYE_LEAD && is_open(follows->node)) node_votes_promote(follows->node, NULL);
}

void follows_session_end(struct follows *follows, enum bye_reason reason)
{
    if (!in_session(follows)) return;
    peer_bye(&follows->peer, reason);
    session_over(follows);
    follows->streamed = false;
}

/* --- Its beginning --- */

void node_follows_fence(struct node *node)
{
    if (node->follows != NULL && in_session(node->follows))
        peer_stop(&node->follows->peer, BYE_FENCED);
}

void follows_session_init(struct follows *follows)
{
    follows->promising.done = promised;
    follows_image_init(&follows->image, &follows->node->world, follows->node->site.images);
    follows->image.opened = image_opened;
    follows->image.moved = image_moved;
    follows->image.synced = image_synced;
    follows->image.finished = image_finished;
    follows->staging.node = follows->node;
    follows->staging.told = staging_told;
}

struct stream_owner *follows_session_open(struct follows *follows, struct stream *stream)
{
    static const struct peer_ops ops = {.step = step,
                                        .effect = take_effect,
                                        .result = next_result,
                                        .log = tell_log,
                                        .ended = ended,
                                        .full = is_full};
    struct node *node = follows->node;
    const char *secret = node->copies.secret;
    follows->phase = FOLLOWS_SESSION;
    follows->streamed = false;
    follows->options = (struct session_options){.cluster = site_cluster(&node->site),
                                                .copy = node->site.identity.copy,
                                                .shard = node->options.shard.number,
                                                .level = NODE_SESSION_LEVEL,
                                                .secret = bytes_text(secret == NULL ? "" : secret),
                                                .plain = peer_is_private(&node->world, stream),
                                                .keepalive_us = NODE_SESSION_KEEPALIVE_US,
                                                .silent_us = NODE_SESSION_SILENT_US,
                                                .hello_us = NODE_SESSION_HELLO_US};
    follower_init(&follows->follower, &follows->options, ++follows->sessions);
    peer_open(&follows->peer, &ops, &node->world, stream);
    return &follows->peer.owner;
}

void node_follows_advanced(struct node *node)
{
    if (node->follows != NULL && in_session(node->follows)) peer_log(&node->follows->peer);
}

void node_follows_tick(struct node *node)
{
    if (node->follows != NULL && in_session(node->follows)) peer_tick(&node->follows->peer);
}
