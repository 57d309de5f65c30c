/* SPDX-License-Identifier: Apache-2.0 */
/* net: the net seam on libuv: listeners (listen.c), dials (dial.c) and streams (stream.c). */
#ifndef REAL_NET_H
#define REAL_NET_H

#include "base/buffer.h"
#include "base/trace.h"
#include "real/address.h"
#include "real/loop.h"
#include "seam/net.h"

enum {
    NET_RECEIVE_BYTES = 128 * 1024, /* one for all streams of a loop */
    NET_LINGER_US = 1000000,        /* for what is unsent at a close with `flush` */
    NET_KEPT_BYTES = 16 * 1024,     /* storage for unsent bytes that an idle stream keeps */
};

struct net_real {
    struct net net;
    struct loop *loop;
    struct trace *trace;
    unsigned keepalive_seconds;
    unsigned backlog;     /* of listeners made from now on */
    uint64_t handles_max; /* more streams are closed as soon as they are accepted */
    char *receive;        /* NET_RECEIVE_BYTES; holds bytes only during received() */
    struct list listeners;
    struct list dials;
    struct list streams;    /* owned by somebody */
    struct list lingering;  /* closed with `flush`, still sending */
    int reserve_descriptor; /* given up for a moment to refuse when no descriptor is left */
    uint64_t refused_traced_us;
    size_t handles; /* of listeners, dials and streams, until libuv has let go of them */
};

/* fields: stream.c */
struct stream;

/* On failure nothing stays open. */
MUST_USE enum err net_real_init(struct net_real *net, struct loop *loop, unsigned keepalive_seconds,
                                struct trace *trace, struct why *why);
/* Closes what is still open, without an event. The loop has to be run while net->handles > 0: a
 * name that is being looked up holds it until the system's resolver gives up. */
void net_real_shut(struct net_real *net);
void net_real_release(struct net_real *net); /* libuv has let go of everything */

/* ---- Between listen.c, dial.c and stream.c ---- */

enum err net_real_listen(struct net *net, struct listener *listener, const char *address,
                         unsigned mode, struct why *why);
void net_real_unlisten(struct net *net, struct listener *listener);
enum err net_real_dial(struct net *net, struct dial *dial, const char *address, uint64_t timeout_us,
                       struct why *why);
void net_real_cancel(struct net *net, struct dial *dial);
/* Ends the dial with this node of net->dials, without an event. */
void dial_drop_node(struct list *node);
/* Takes the connected descriptor over; `local` is the address of this end. The stream is to be
 * offered to somebody, whose answer goes to stream_owned. NULL: libuv did not take it. */
struct stream *stream_begin(struct net_real *net, int descriptor, const struct address *local);
void stream_owned(struct stream *stream, struct stream_owner *owner); /* NULL closes it */
/* Closes the stream with this node of net->streams at once, without an event. */
void stream_finish_node(struct list *node);
void stream_real_send(struct stream *stream, struct bytes bytes);
size_t stream_real_unsent(const struct stream *stream);
void stream_real_pause(struct stream *stream, bool paused);
void stream_real_hand_on(struct stream *stream, struct stream_owner *owner);
bool stream_real_has_ended(const struct stream *stream);
void stream_real_close(struct stream *stream, bool flush);
void stream_real_peer(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES]);
void stream_real_local(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES]);
bool stream_real_is_loopback(const struct stream *stream);

/* The address that a listener really has (a port of 0 was replaced), as net_ops.listen takes it. */
void listener_real_address(const struct listener *listener, char out[NET_ADDRESS_TEXT_BYTES]);

#endif
