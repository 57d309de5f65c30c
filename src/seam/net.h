/* SPDX-License-Identifier: Apache-2.0 */
/* net: listeners and byte streams.
 *
 * All events come on the loop, and never from inside a call into the net. */
#ifndef SEAM_NET_H
#define SEAM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct net {
    const struct net_ops *ops;
};

enum { NET_ADDRESS_TEXT_BYTES = 128 };

struct stream; /* the world's; from accepted() until stream_close() returns */

/* Embedded in the connection that owns the stream. */
struct stream_owner {
    const struct stream_events *events;
};

struct stream_events {
    /* Bytes arrived; borrowed for the call. The owner may close the stream here. */
    void (*received)(struct stream_owner *owner, struct bytes bytes);
    /* What was unsent has gone out completely, after net_stream_unsent() had been above zero. */
    void (*drained)(struct stream_owner *owner);
    /* The peer has closed, or an error; nothing more arrives. The owner must still close the
     * stream. */
    void (*ended)(struct stream_owner *owner);
};

/* Caller-owned; one per address. */
struct listener {
    /* A new stream; the callee returns the owner, or NULL to have it closed at once. */
    struct stream_owner *(*accepted)(struct listener *listener, struct stream *stream);
    void *world; /* the world's */
};

struct net_ops {
    /* `address` is "ADDR:PORT", "[V6]:PORT" or "unix:PATH" (`mode`: its permission bits, 0 =
     * umask's). */
    enum err (*listen)(struct net *net, struct listener *listener, const char *address,
                       unsigned mode, struct why *why);
    void (*unlisten)(struct net *net, struct listener *listener);
    /* Sends what the peer takes now and keeps a copy of the rest; `bytes` borrowed for the call. */
    void (*send)(struct stream *stream, struct bytes bytes);
    size_t (*unsent)(const struct stream *stream); /* bytes kept and not yet taken by the peer */
    /* Stops and resumes reading; a paused stream keeps the peer waiting. Streams begin reading. */
    void (*pause)(struct stream *stream, bool paused);
    /* The peer has ended its side, or the connection is broken: also while bytes from before stand
     * unread, as behind a pause, where ended() may come no sooner than they are read. */
    bool (*has_ended)(const struct stream *stream);
    /* Ends the stream; with `flush` what is unsent still goes out (for up to a second). No event
     * follows. */
    void (*close)(struct stream *stream, bool flush);
    /* "ADDR:PORT" or "unix:PATH" of the peer and of our end; zero-terminated. */
    void (*peer)(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES]);
    void (*local)(const struct stream *stream, char out[NET_ADDRESS_TEXT_BYTES]);
    bool (*is_loopback)(const struct stream *stream); /* the peer is on this machine */
};

#endif
