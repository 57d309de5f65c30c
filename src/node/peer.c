/* SPDX-License-Identifier: Apache-2.0 */
#include "node/peer.h"

#include "node/limits.h"

static struct peer *peer_of(struct stream_owner *owner)
{
    return CONTAINER_OF(owner, struct peer, owner);
}

static void wake(struct peer *peer)
{
    if (peer->stream != NULL && !peer->again.armed) clock_defer(peer->world->clock, &peer->turn);
}

/* What the steps of a turn have to say goes in one piece, that the other side wakes up once. */
static void send_out(struct peer *peer)
{
    if (peer->out.size == 0) return;
    peer->world->peers->ops->send(peer->stream, buffer_bytes(&peer->out));
    buffer_clear(&peer->out);
    buffer_shrink(&peer->out, NODE_SESSION_BATCH_BYTES * 2);
}

static void close_stream(struct peer *peer, bool flush)
{
    if (peer->stream == NULL) return;
    if (flush) send_out(peer);
    peer->world->peers->ops->close(peer->stream, flush);
    peer->stream = NULL;
}

void peer_drop(struct peer *peer)
{
    clock_cancel(peer->world->clock, &peer->turn);
    clock_timer_stop(peer->world->clock, &peer->again);
    close_stream(peer, false);
    buffer_release(&peer->received);
    buffer_init(&peer->received);
    peer->taken = 0;
    buffer_release(&peer->out);
    buffer_init(&peer->out);
    session_effects_release(&peer->effects);
    session_effects_init(&peer->effects);
}

/* --- Steps --- */

static void step(struct peer *peer, struct session_event *event)
{
    MUST(!peer->stepping);
    peer->stepping = true;
    event->now_us = peer->now_us;
    peer->ops->step(peer, event, &peer->effects);
    struct session_effects *effects = &peer->effects;
    buffer_append(&peer->out, buffer_bytes(&effects->send));
    if (peer->out.size >= NODE_SESSION_BATCH_BYTES) send_out(peer);
    for (unsigned i = 0; i < effects->count; i++) {
        if (effects->at[i].kind == EFFECT_CLOSE) peer->over = true;
        else if (peer->ops->effect != NULL) peer->ops->effect(peer, &effects->at[i]);
    }
    peer->stepping = false;
    buffer_shrink(&effects->send, NODE_SESSION_BATCH_BYTES * 2);
}

static void step_opened(struct peer *peer)
{
    uint8_t nonce[MESSAGE_NONCE_BYTES];
    entropy_fill(peer->world->entropy, nonce, sizeof nonce);
    peer->opened = true;
    step(peer, &(struct session_event){.kind = EVENT_OPENED, .nonce = nonce});
}

static void step_log(struct peer *peer)
{
    struct session_event event = {.kind = EVENT_LOG};
    peer->log_due = false;
    peer->ops->log(peer, &event);
    step(peer, &event);
}

static void step_received(struct peer *peer)
{
    struct bytes rest = bytes_of(peer->received.data + peer->taken,
                                 peer->received.size - peer->taken);
    step(peer, &(struct session_event){.kind = EVENT_RECEIVED, .bytes = &rest});
    peer->taken = peer->received.size - rest.size;
}

static bool is_full(struct peer *peer)
{
    return peer->ops->full != NULL && peer->ops->full(peer);
}

/* What waits is told one by one. False: nothing waits. */
static bool step_next(struct peer *peer)
{
    struct session_event result = {0};
    if (!peer->opened) step_opened(peer);
    else if (peer->stop_due)
        step(peer, &(struct session_event){.kind = EVENT_STOP, .reason = peer->stop_reason});
    else if (peer->ops->result != NULL && peer->ops->result(peer, &result)) step(peer, &result);
    else if (peer->log_due && peer_unsent(peer) <= NODE_PEER_UNSENT_BYTES) step_log(peer);
    else if (peer->taken < peer->received.size && !is_full(peer)) step_received(peer);
    else if (peer->tick_due) {
        peer->tick_due = false;
        step(peer, &(struct session_event){.kind = EVENT_TICK});
    } else if (peer->end_due) step(peer, &(struct session_event){.kind = EVENT_ENDED});
    else return false;
    return true;
}

/* What has been taken goes; with too much left the other side has to wait. */
static void tidy(struct peer *peer)
{
    size_t left = peer->received.size - peer->taken;
    if (left <= peer->taken) { /* else more would be moved than has been taken */
        buffer_consume(&peer->received, peer->taken);
        peer->taken = 0;
    }
    bool pause = left > NODE_PEER_RECEIVED_BYTES;
    if (pause != peer->paused) peer->world->peers->ops->pause(peer->stream, pause);
    peer->paused = pause;
}

static void turn(struct task *task)
{
    struct peer *peer = CONTAINER_OF(task, struct peer, turn);
    peer->now_us = clock_now_us(peer->world->clock);
    unsigned steps = 0;
    while (!peer->over && steps < NODE_PEER_STEPS && step_next(peer)) steps++;
    if (peer->over) {
        close_stream(peer, true);
        peer_drop(peer);
        peer->ops->ended(peer); /* which may free it */
        return;
    }
    send_out(peer);
    tidy(peer);
    if (steps < NODE_PEER_STEPS) return;
    clock_cancel(peer->world->clock, &peer->turn);
    clock_timer_start(peer->world->clock, &peer->again, 0);
}

static void go_on(struct timer *timer)
{
    wake(CONTAINER_OF(timer, struct peer, again));
}

/* --- The stream --- */

static void received(struct stream_owner *owner, struct bytes bytes)
{
    struct peer *peer = peer_of(owner);
    buffer_append(&peer->received, bytes);
    if (!peer->paused && peer->received.size - peer->taken > NODE_PEER_RECEIVED_BYTES) {
        peer->paused = true;
        peer->world->peers->ops->pause(peer->stream, true);
    }
    wake(peer);
}

static void drained(struct stream_owner *owner)
{
    struct peer *peer = peer_of(owner);
    if (peer->log_due) wake(peer);
    if (peer->ops->drained != NULL) peer->ops->drained(peer);
}

static void ended(struct stream_owner *owner)
{
    struct peer *peer = peer_of(owner);
    peer->end_due = true;
    wake(peer);
}

bool peer_is_private(const struct world *world, const struct stream *stream)
{
    return world->peers->guard != NULL || world->peers->ops->is_loopback(stream);
}

void peer_open(struct peer *peer, const struct peer_ops *ops, const struct world *world,
               struct stream *stream)
{
    static const struct stream_events events = {
        .received = received, .drained = drained, .ended = ended};
    *peer = (struct peer){.owner.events = &events,
                          .ops = ops,
                          .world = world,
                          .stream = stream,
                          .turn.run = turn,
                          .again.fired = go_on};
    buffer_init(&peer->received);
    buffer_init(&peer->out);
    session_effects_init(&peer->effects);
    wake(peer);
}

/* --- What the owner tells --- */

void peer_wake(struct peer *peer)
{
    wake(peer);
}

void peer_log(struct peer *peer)
{
    peer->log_due = true;
    wake(peer);
}

void peer_tick(struct peer *peer)
{
    peer->tick_due = true;
    wake(peer);
}

void peer_stop(struct peer *peer, enum bye_reason reason)
{
    if (!peer->stop_due) peer->stop_reason = reason;
    peer->stop_due = true;
    wake(peer);
}

void peer_bye(struct peer *peer, enum bye_reason reason)
{
    peer->now_us = clock_now_us(peer->world->clock);
    if (peer->opened && peer->stream != NULL)
        step(peer, &(struct session_event){.kind = EVENT_STOP, .reason = reason});
    close_stream(peer, true);
    peer_drop(peer);
}

size_t peer_unsent(const struct peer *peer)
{
    if (peer->stream == NULL) return 0;
    return peer->out.size + peer->world->peers->ops->unsent(peer->stream);
}
