/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: what its session asks for is carried out, and told to it when the peer comes by.
 * A session has one question at a time, so there is one place for it. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/plant.h"
#include "node/internal.h"
#include "node/serving.h"

static struct serve *serve_of(struct peer *peer)
{
    return CONTAINER_OF(peer, struct serve, peer);
}

static struct orchestrator *orchestrator_of(struct serve *serve)
{
    return &serve->senders->orchestrator;
}

static void step(struct peer *peer, const struct session_event *event, struct session_effects *out)
{
    primary_step(&serve_of(peer)->primary, event, out);
}

/* --- Pins --- */

void serve_tell(struct serve *serve, enum orchestrator_event_kind kind)
{
    orchestrator_tell(orchestrator_of(serve), serve->copy, serve->session, kind,
                      clock_now_us(serve->serves->node->world.clock));
}

static void unpin(struct serve *serve)
{
    if (serve->pin_held) {
        log_unpin(serve->serves->node->log, &serve->pin);
        serve_tell(serve, TOLD_PINS_RELEASED);
    }
    serve->pin_held = false;
    log_follow_close(serve->follow);
    serve->follow = NULL;
    serve_image_end(serve);
}

/* Both or none. */
static enum err pin(struct serve *serve, const struct recover_plan *plan)
{
    enum err err = log_pin(serve->serves->node->log, &serve->pin, plan->pin);
    serve->pin_held = err == ERR_OK;
    if (err == ERR_OK && plan->kind == RECOVER_REBUILD) err = serve_image_pin(serve, &plan->image);
    if (err != ERR_OK) {
        serve_tell(serve, TOLD_PIN_FAILED);
        unpin(serve);
    }
    if (err == ERR_OK && PLANTED(PIN_RELEASED_EARLY)) {
        log_unpin(serve->serves->node->log, &serve->pin);
        serve->pin_held = false;
    }
    return err;
}

static void plan_begins(struct serve *serve, const struct recover_plan *plan)
{
    struct served *served = served_of(serve->senders, serve->copy);
    const struct recover_facts *facts = &serve->primary.hello.facts;
    bool is_rebuild = plan->kind == RECOVER_REBUILD || plan->kind == RECOVER_REBUILD_BASE;
    (void)orchestrator_planned(orchestrator_of(serve), serve->session, plan, facts->incarnation,
                               serve->peer.now_us);
    serve->pinned = pin(serve, plan);
    if (served == NULL) return;
    struct lsn least = is_rebuild ? (struct lsn){0} : plan->common.lsn;
    served->ack = (struct message_ack){.incarnation = facts->incarnation,
                                       .durable = least,
                                       .applied = lsn_min(least, facts->applied),
                                       .flushed = lsn_min(least, facts->flushed)};
    served->plan = recover_kind_name(plan->kind);
    served->rule = recover_rule_name(plan->rule);
}

/* --- Acks --- */

static void acked(struct serve *serve, const struct session_effect *effect)
{
    const struct message_ack *ack = &effect->ack;
    struct served *served = served_of(serve->senders, serve->copy);
    if (served != NULL) {
        served->ack = *ack;
        served->heard_us = serve->peer.now_us;
    }
    uint64_t behind = serves_lag(serve->serves, ack->applied).bytes;
    (void)orchestrator_acked(orchestrator_of(serve), serve->session, ack->durable, behind,
                             serve->peer.now_us);
    struct lsn from = lsn_next(ack->durable);
    if (serve->pin_held && lsn_before(serve->pin.from, from))
        log_pin_move(serve->serves->node->log, &serve->pin, from);
    serve->ack_due = true;
    serve->ack = (struct progress_ack){effect->key.epoch, serve->copy, ack->incarnation,
                                       serve->session, ack->durable};
    clock_defer(serve->serves->node->world.clock, &serve->serves->acks);
}

/* --- Effects --- */

static void ask(struct serve *serve, const struct session_effect *effect)
{
    MUST(!serve->asked.waits);
    serve->asked = (struct serve_asked){.waits = true,
                                        .kind = effect->kind,
                                        .key = effect->key,
                                        .lsn = effect->lsn,
                                        .through = effect->through,
                                        .offset = effect->offset,
                                        .size = effect->size};
}

static void carry_out(struct peer *peer, const struct session_effect *effect)
{
    struct serve *serve = serve_of(peer);
    switch (effect->kind) {
    case EFFECT_STATE:
        if (effect->state != STATE_DISCONNECTED) /* the session's end says more */
            (void)orchestrator_state(orchestrator_of(serve), serve->session, effect->state,
                                     peer->now_us);
        break;
    case EFFECT_PIN:
        plan_begins(serve, effect->plan);
        ask(serve, effect);
        break;
    case EFFECT_FACTS:
    case EFFECT_READ:
    case EFFECT_IMAGE_BEGIN:
    case EFFECT_IMAGE_READ: ask(serve, effect); break;
    case EFFECT_UNPIN: unpin(serve); break;
    case EFFECT_IMAGE_END: serve_image_end(serve); break;
    case EFFECT_ACKED: acked(serve, effect); break;
    case EFFECT_STAMP:
        serve->stamp_asked = true;
        node_stamps_asked(serve->serves->node, &effect->stamp);
        break;
    case EFFECT_CLOSE: break; /* the peer's */
    case EFFECT_PROMISE:
    case EFFECT_CUT:
    case EFFECT_APPEND:
    case EFFECT_COMMIT:
    case EFFECT_IMAGE_OPEN:
    case EFFECT_IMAGE_WRITE:
    case EFFECT_INSTALL:
    case EFFECT_VOTE:
    case SESSION_EFFECTS: MUST(false); /* the other end's */
    }
}

/* --- Results --- */

static bool is_ready(struct serve *serve, struct session_event *event)
{
    /* What a copy does not take is not read for it. */
    bool clogged = peer_unsent(&serve->peer) > serve->options.window_bytes;
    switch (serve->asked.kind) {
    case EFFECT_FACTS: return serve_facts(serve, event);
    case EFFECT_PIN:
        event->kind = EVENT_PINNED;
        event->err = serve->pinned;
        return true;
    case EFFECT_READ: return !clogged && serve_read(serve, event);
    case EFFECT_IMAGE_BEGIN: return serve_image_begin(serve, event);
    case EFFECT_IMAGE_READ: return !clogged && serve_image_read(serve, event);
    case EFFECT_STATE:
    case EFFECT_CLOSE:
    case EFFECT_STAMP:
    case EFFECT_UNPIN:
    case EFFECT_IMAGE_END:
    case EFFECT_ACKED:
    case EFFECT_PROMISE:
    case EFFECT_CUT:
    case EFFECT_APPEND:
    case EFFECT_COMMIT:
    case EFFECT_IMAGE_OPEN:
    case EFFECT_IMAGE_WRITE:
    case EFFECT_INSTALL:
    case EFFECT_VOTE:
    case SESSION_EFFECTS: break;
    }
    return false;
}

static bool result(struct peer *peer, struct session_event *event)
{
    struct serve *serve = serve_of(peer);
    if (serve->stamp_due) {
        serve->stamp_due = false;
        event->kind = EVENT_STAMP;
        event->stamp = &serve->stamp;
        return true;
    }
    if (!serve->asked.waits || !is_ready(serve, event)) return false;
    event->key = serve->asked.key;
    serve->asked.waits = false;
    return true;
}

void node_serves_stamp(struct node *node, const struct message_stamp *stamp)
{
    if (node->serves == NULL) return;
    struct list *all = &node->serves->serves;
    for (struct list *at = all->next; at != all; at = at->next) {
        struct serve *serve = CONTAINER_OF(at, struct serve, node);
        if (!serve->stamp_asked) continue;
        serve->stamp_asked = false;
        serve->stamp_due = true;
        serve->stamp = *stamp;
        peer_wake(&serve->peer);
    }
}

static void tell_log(struct peer *peer, struct session_event *event)
{
    const struct serves *serves = serve_of(peer)->serves;
    event->appended = serves->appended;
    event->durable = serves->watermarks.durable;
    event->watermarks = &serves->watermarks;
}

static void drained(struct peer *peer)
{
    if (serve_of(peer)->asked.waits) peer_wake(peer);
}

static void ended(struct peer *peer)
{
    serve_close(serve_of(peer));
}

/* --- Life --- */

struct serve *serve_open(struct serves *serves, struct stream *stream)
{
    static const struct peer_ops ops = {.step = step,
                                        .effect = carry_out,
                                        .result = result,
                                        .log = tell_log,
                                        .drained = drained,
                                        .ended = ended};
    struct node *node = serves->node;
    struct serve *serve = memory_zeroed(1, sizeof *serve);
    const char *secret = node->copies.secret;
    serve->serves = serves;
    serve->senders = serves->senders;
    serve->image.disk = node->world.disk;
    buffer_init(&serve->copied);
    buffer_init(&serve->image.bytes);
    node->world.peers->ops->peer(stream, serve->from);
    serve->options = (struct session_options){.cluster = site_cluster(&node->site),
                                              .copy = node->site.identity.copy,
                                              .shard = node->options.shard.number,
                                              .level = NODE_SESSION_LEVEL,
                                              .secret = bytes_text(secret == NULL ? "" : secret),
                                              .plain = peer_is_private(&node->world, stream),
                                              .keepalive_us = NODE_SESSION_KEEPALIVE_US,
                                              .silent_us = NODE_SESSION_SILENT_US,
                                              .hello_us = NODE_SESSION_HELLO_US,
                                              .degrade_us = NODE_SESSION_DEGRADE_US,
                                              .stall_us = NODE_SESSION_STALL_US,
                                              .window_bytes = NODE_SESSION_WINDOW_BYTES,
                                              .window_entries = NODE_SESSION_WINDOW_ENTRIES,
                                              .image_window_bytes = NODE_SESSION_IMAGE_WINDOW_BYTES,
                                              .batch_bytes = NODE_SESSION_BATCH_BYTES,
                                              .image_bytes_per_s = node->copies.image_bytes_per_s};
    primary_init(&serve->primary, &serve->options, ++serves->endpoints);
    peer_open(&serve->peer, &ops, &node->world, stream);
    list_append(&serves->serves, &serve->node);
    serves->count++;
    return serve;
}

static void serve_free(struct serve *serve)
{
    buffer_release(&serve->image.bytes);
    memory_free(serve->image.path);
    memory_free(serve);
}

void serve_landed(struct serve *serve)
{
    struct senders *senders = serve->senders;
    serve_free(serve);
    senders->flying--;
    if (senders->node == NULL) senders_release(senders);
    else if (senders->node->phase != NODE_FAILED) node_stop_step(senders->node);
}

void serve_close(struct serve *serve)
{
    struct serves *serves = serve->serves;
    serves->node->damaged_frames += serve->primary.link.damaged;
    unpin(serve);
    if (serve->session != 0) {
        (void)orchestrator_ended(orchestrator_of(serve), serve->session, serve->primary.link.reason,
                                 clock_now_us(serves->node->world.clock));
        node_detached(serves->node, serve->copy, serve->session);
    }
    peer_drop(&serve->peer);
    primary_release(&serve->primary);
    buffer_release(&serve->copied);
    memory_free(serve->entries);
    list_remove(&serve->node);
    serves->count--;
    serve->serves = NULL;
    if (serve->image.flies) serve->senders->flying++;
    else serve_free(serve);
}
