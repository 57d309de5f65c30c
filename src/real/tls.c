/* SPDX-License-Identifier: Apache-2.0 */
/* Listening and dialling. A connection of the net below is told to nobody until its handshake is
 * over: accepted() and connected() mean that the peer has shown a good certificate. */
#include "real/tls.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "real/tls_context.h"

struct tls_dial {
    struct dial below;
    struct tls_waiter waiter;
    struct real_tls *tls;
    struct dial *dial;
    struct stream *stream; /* in its handshake; NULL: not connected yet */
    uint64_t until_us;
    struct list node; /* in tls->dials */
};

static struct real_tls *tls_of(struct net *net)
{
    return CONTAINER_OF(net, struct real_tls, net);
}

/* ---- Listening ---- */

static struct stream_owner *listener_shaken(struct tls_waiter *waiter, struct stream *stream)
{
    struct listener *listener = CONTAINER_OF(waiter, struct tls_listener, waiter)->listener;
    return listener->accepted(listener, stream);
}

static void listener_failed(struct tls_waiter *waiter, enum dial_failure failure,
                            const struct why *why)
{
    (void)waiter; /* the log has it */
    (void)failure;
    (void)why;
}

static struct stream_owner *below_accepted(struct listener *below, struct stream *stream)
{
    struct tls_listener *listener = CONTAINER_OF(below, struct tls_listener, below);
    struct real_tls *tls = listener->tls;
    struct stream *shaking = NULL;
    if (tls->shaking < TLS_SHAKING_MAX)
        shaking = tls_stream_begin(tls, stream, &listener->waiter, tls->handshake_us);
    if (shaking != NULL) return tls_stream_ear(shaking);
    char peer[NET_ADDRESS_TEXT_BYTES];
    struct why why;
    tls->below->ops->peer(stream, peer);
    (void)why_fail(&why, ERR_LIMIT, "too many handshakes are under way");
    tls_refuse(tls, peer, &why);
    return NULL;
}

static enum err tls_listen(struct net *net, struct listener *listener, const char *address,
                           unsigned mode, struct why *why)
{
    struct real_tls *tls = tls_of(net);
    struct tls_listener *real = memory_zeroed(1, sizeof *real);
    *real = (struct tls_listener){
        .below.accepted = below_accepted,
        .waiter = {.shaken = listener_shaken, .failed = listener_failed, .accepts = true},
        .tls = tls,
        .listener = listener};
    listener->world = NULL;
    enum err err = tls->below->ops->listen(tls->below, &real->below, address, mode, why);
    if (err != ERR_OK) {
        memory_free(real);
        return err;
    }
    list_append(&tls->listeners, &real->node);
    listener->world = real;
    return ERR_OK;
}

static void listener_shut(struct tls_listener *listener)
{
    struct real_tls *tls = listener->tls;
    tls->below->ops->unlisten(tls->below, &listener->below);
    tls_streams_drop(tls, &listener->waiter);
    list_remove(&listener->node);
    memory_free(listener);
}

static void tls_unlisten(struct net *net, struct listener *listener)
{
    (void)net;
    struct tls_listener *real = listener->world;
    listener->world = NULL;
    if (real != NULL) listener_shut(real);
}

/* ---- Dialling ---- */

/* The caller's struct is free from here on; returned, to be told. */
static struct dial *dial_over(struct tls_dial *real)
{
    struct dial *dial = real->dial;
    struct real_tls *tls = real->tls;
    tls->below->ops->cancel(tls->below, &real->below);
    list_remove(&real->node);
    dial->world = NULL;
    memory_free(real);
    return dial;
}

static struct stream_owner *dial_shaken(struct tls_waiter *waiter, struct stream *stream)
{
    struct dial *dial = dial_over(CONTAINER_OF(waiter, struct tls_dial, waiter));
    return dial->connected(dial, stream);
}

static void dial_not_shaken(struct tls_waiter *waiter, enum dial_failure failure,
                            const struct why *why)
{
    struct dial *dial = dial_over(CONTAINER_OF(waiter, struct tls_dial, waiter));
    dial->failed(dial, failure, why);
}

static struct stream_owner *below_connected(struct dial *below, struct stream *stream)
{
    struct tls_dial *real = CONTAINER_OF(below, struct tls_dial, below);
    struct real_tls *tls = real->tls;
    uint64_t now_us = clock_now_us(tls->clock);
    uint64_t left_us = real->until_us > now_us ? real->until_us - now_us : 0;
    if (left_us > tls->handshake_us) left_us = tls->handshake_us;
    real->stream = tls_stream_begin(tls, stream, &real->waiter, left_us);
    if (real->stream != NULL) return tls_stream_ear(real->stream);
    struct why why;
    (void)why_fail(&why, ERR_IO, "TLS cannot begin here");
    dial_not_shaken(&real->waiter, DIAL_HERE, &why);
    return NULL;
}

static void below_failed(struct dial *below, enum dial_failure failure, const struct why *why)
{
    struct tls_dial *real = CONTAINER_OF(below, struct tls_dial, below);
    dial_not_shaken(&real->waiter, failure, why);
}

static enum err tls_dial(struct net *net, struct dial *dial, const char *address,
                         uint64_t timeout_us, struct why *why)
{
    struct real_tls *tls = tls_of(net);
    struct tls_dial *real = memory_zeroed(1, sizeof *real);
    uint64_t now_us = clock_now_us(tls->clock);
    *real = (struct tls_dial){.below = {.connected = below_connected, .failed = below_failed},
                              .waiter = {.shaken = dial_shaken, .failed = dial_not_shaken},
                              .tls = tls,
                              .dial = dial,
                              .until_us = timeout_us > UINT64_MAX - now_us ? UINT64_MAX
                                                                           : now_us + timeout_us};
    dial->world = NULL;
    enum err err = tls->below->ops->dial(tls->below, &real->below, address, timeout_us, why);
    if (err != ERR_OK) {
        memory_free(real);
        return err;
    }
    list_append(&tls->dials, &real->node);
    dial->world = real;
    return ERR_OK;
}

static void tls_cancel(struct net *net, struct dial *dial)
{
    (void)net;
    struct tls_dial *real = dial->world;
    if (real == NULL) return;
    if (real->stream != NULL) tls_stream_drop(real->stream);
    (void)dial_over(real);
}

/* ---- The net ---- */

static const struct net_ops tls_ops = {
    .listen = tls_listen,
    .unlisten = tls_unlisten,
    .dial = tls_dial,
    .cancel = tls_cancel,
    .send = tls_stream_send,
    .unsent = tls_stream_unsent,
    .pause = tls_stream_pause,
    .hand_on = tls_stream_hand_on,
    .has_ended = tls_stream_has_ended,
    .close = tls_stream_close,
    .peer = tls_stream_peer,
    .local = tls_stream_local,
    .is_loopback = tls_stream_is_loopback,
};

enum err real_tls_open(struct real_tls **out, const struct world *world,
                       const struct real_tls_options *options, struct net **net, struct why *why)
{
    SSL_CTX *context;
    *out = NULL;
    enum err err = tls_context_open(&context, options, world->trace, why);
    if (err != ERR_OK) return err;
    struct real_tls *tls = memory_zeroed(1, sizeof *tls);
    *tls = (struct real_tls){.net = {.ops = &tls_ops, .guard = &tls->guard},
                             .guard.name = "tls",
                             .below = world->net,
                             .clock = world->clock,
                             .trace = world->trace,
                             .context = context,
                             .handshake_us = TLS_HANDSHAKE_US,
                             .plain = memory_alloc(TLS_PLAIN_BYTES),
                             .wire = memory_alloc(TLS_WIRE_BYTES)};
    list_init(&tls->listeners);
    list_init(&tls->dials);
    list_init(&tls->streams);
    *out = tls;
    *net = &tls->net;
    return ERR_OK;
}

enum err real_tls_reload(struct real_tls *tls, const struct real_tls_options *options,
                         struct why *why)
{
    SSL_CTX *context;
    enum err err = tls_context_open(&context, options, tls->trace, why);
    if (err != ERR_OK) return err;
    SSL_CTX_free(tls->context); /* streams that have begun hold it */
    tls->context = context;
    return ERR_OK;
}

void real_tls_close(struct real_tls *tls)
{
    if (tls == NULL) return;
    for (struct list *node; (node = list_first(&tls->listeners)) != NULL;)
        listener_shut(CONTAINER_OF(node, struct tls_listener, node));
    tls_streams_drop(tls, NULL);
    for (struct list *node; (node = list_first(&tls->dials)) != NULL;)
        (void)dial_over(CONTAINER_OF(node, struct tls_dial, node));
    SSL_CTX_free(tls->context);
    memory_free(tls->plain);
    memory_free(tls->wire);
    memory_free(tls);
}
