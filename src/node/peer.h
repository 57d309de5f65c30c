/* SPDX-License-Identifier: Apache-2.0 */
/* peer: a connection to another copy: the bytes of a stream on one side, the steps of a session
 * (replica/session.h) on the other. Whoever owns it carries out what a step asks for.
 *
 * All steps are taken in a deferred task, so none is ever re-entered. Of what waits, a stop comes
 * first, then results, what the log did, frames in their order, the tick, the end of the stream:
 * a peer whose bytes are here is never called silent. */
#ifndef NODE_PEER_H
#define NODE_PEER_H

#include "replica/replica.h"
#include "seam/net.h"
#include "seam/world.h"

struct peer;

/* All but step() and ended() may be NULL: the session has nothing of that kind; log() only if
 * peer_log() is never called. */
struct peer_ops {
    /* One step of the session. */
    void (*step)(struct peer *peer, const struct session_event *event, struct session_effects *out);
    /* Carries out one effect of the step before, but EFFECT_CLOSE, which the peer sees to itself.
     * What the effect points to lives until the return. */
    void (*effect)(struct peer *peer, const struct session_effect *effect);
    /* The next result that waits to be told, its `key` included; false: there is none. What it
     * points to lives until result() or ended() is called next. */
    bool (*result)(struct peer *peer, struct session_event *event);
    /* Fills in what EVENT_LOG tells of. */
    void (*log)(struct peer *peer, struct session_event *event);
    /* What was unsent has gone out: results may be told that were held back for it. */
    void (*drained)(struct peer *peer);
    /* The session is over, the stream is closed, nothing is held: the owner may free the peer. Not
     * from inside a call into it. */
    void (*ended)(struct peer *peer);
    /* What was received is to be left for now: the other side has to wait. peer_log(), or
     * peer_wake(), when that may have changed. */
    bool (*full)(struct peer *peer);
};

struct peer {
    struct stream_owner owner; /* received() may be called with bytes that were read before */
    const struct peer_ops *ops;
    const struct world *world;
    struct stream *stream; /* NULL: closed */
    struct buffer received;
    size_t taken;      /* of the received */
    struct buffer out; /* of the steps of this turn */
    struct session_effects effects;
    struct task turn;
    struct timer again; /* in the next turn: there was too much for one */
    uint64_t now_us;    /* of the turn under way */
    bool opened, over;  /* EVENT_OPENED was told; EFFECT_CLOSE was seen */
    bool paused, stepping;
    bool log_due, tick_due, stop_due, end_due;
    enum bye_reason stop_reason;
};

/* Whether a session without a secret may go over the stream: nobody else's ears are in between, for
 * the peer is on this machine, or the net has seen its certificate. */
bool peer_is_private(const struct world *world, const struct stream *stream);
/* The session has been made and not stepped yet. `world` is borrowed, the stream is taken over. */
void peer_open(struct peer *peer, const struct peer_ops *ops, const struct world *world,
               struct stream *stream);
void peer_wake(struct peer *peer); /* a result waits */
void peer_log(struct peer *peer);  /* the log or the state moved on */
void peer_tick(struct peer *peer);
void peer_stop(struct peer *peer, enum bye_reason reason); /* ended() follows */
size_t peer_unsent(const struct peer *peer);
/* Says goodbye at once and lets go; ended() is not called. Not from inside a step. */
void peer_bye(struct peer *peer, enum bye_reason reason);
/* Lets go at once; ended() is not called. Again, or after ended(), is fine. */
void peer_drop(struct peer *peer);

#endif
