/* SPDX-License-Identifier: Apache-2.0 */
/* tls: the net seam with TLS, over any other net: listeners and dials (tls.c), streams
 * (tls_stream.c). OpenSSL sees memory only; what it makes of it goes through the net below, whose
 * back-pressure is that of the streams here. */
#ifndef REAL_TLS_H
#define REAL_TLS_H

#include <openssl/ssl.h>

#include "base/list.h"
#include "base/trace.h"
#include "real/real.h"
#include "seam/clock.h"
#include "seam/net.h"

enum {
    TLS_HANDSHAKE_US = 10 * 1000 * 1000,
    TLS_SHAKING_MAX = 64, /* accepted connections whose handshake is not over, at a time */
    TLS_PLAIN_BYTES = 128 * 1024,
    TLS_SEND_BYTES = 64 * 1024, /* encrypted and sent at a time */
    TLS_WIRE_BYTES = 80 * 1024, /* as much, encrypted */
    /* So many lines about refused connections in so long. */
    TLS_REFUSED_LINES = 16,
    TLS_REFUSED_US = 10 * 1000 * 1000,
};

struct real_tls {
    struct net net;
    struct net_guard guard;
    struct net *below;
    struct clock *clock;
    struct trace *trace;
    SSL_CTX *context;
    uint64_t handshake_us;
    uint64_t refused_us; /* since when lines about refused connections are counted */
    unsigned refused_lines;
    uint8_t *plain; /* TLS_PLAIN_BYTES; holds bytes only during received() */
    uint8_t *wire;  /* TLS_WIRE_BYTES; only while they are given to the net below */
    struct list listeners, dials, streams;
    unsigned shaking; /* accepted streams in their handshake */
};

/* Whoever waits for a handshake to end. */
struct tls_waiter {
    /* It has; the stream is offered: returns its owner, or NULL to have it closed. */
    struct stream_owner *(*shaken)(struct tls_waiter *waiter, struct stream *stream);
    /* It has failed, and the stream is gone. */
    void (*failed)(struct tls_waiter *waiter, enum dial_failure failure, const struct why *why);
    bool accepts; /* as a server; else as a client */
};

/* What a listener's `world` is. */
struct tls_listener {
    struct listener below;
    struct tls_waiter waiter;
    struct real_tls *tls;
    struct listener *listener;
    struct list node; /* in tls->listeners */
};

/* ---- tls_stream.c ---- */

/* The handshake begins over a stream of the net below, which belongs to it from now on. NULL: it
 * could not, and the stream below is still the caller's. */
struct stream *tls_stream_begin(struct real_tls *tls, struct stream *below,
                                struct tls_waiter *waiter, uint64_t timeout_us);
/* For the net below: whom it tells. */
struct stream_owner *tls_stream_ear(struct stream *stream);
void tls_stream_drop(struct stream *stream); /* without an event */
/* Those in their handshake for this waiter; NULL: all streams. */
void tls_streams_drop(struct real_tls *tls, const struct tls_waiter *waiter);
/* Counts a connection that was refused, and says why in the log, now and then. */
void tls_refuse(struct real_tls *tls, const char *peer, const struct why *why);
void tls_stream_send(struct stream *stream, struct bytes bytes);
size_t tls_stream_unsent(const struct stream *stream);
void tls_stream_pause(struct stream *stream, bool paused);
void tls_stream_hand_on(struct stream *stream, struct stream_owner *owner);
bool tls_stream_has_ended(const struct stream *stream);
void tls_stream_close(struct stream *stream, bool flush);
void tls_stream_peer(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES]);
void tls_stream_local(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES]);
bool tls_stream_is_loopback(const struct stream *stream);

#endif
