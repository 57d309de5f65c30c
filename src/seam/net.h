/* SPDX-License-Identifier: Apache-2.0 */
/* net: listeners, dials and byte streams.
 *
 * All events come on the loop, and never from inside a call into the net. */
#ifndef SEAM_NET_H
#define SEAM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* What a net does for its streams: both ends have proved by a certificate that they belong
 * together before either is told of a stream, and between them nobody can read, change or cut off
 * what goes over it unnoticed. */
struct net_guard {
    const char *name; /* "tls" */
    uint64_t refused; /* connections that were not let in, or that did not let us in */
    uint64_t cut;     /* streams that ended without the peer's word that this is all, or broken */
};

struct net {
    const struct net_ops *ops;
    const struct net_guard *guard; /* NULL: its streams are what the wire is */
};

enum { NET_ADDRESS_TEXT_BYTES = 128 };

struct stream; /* the world's; from accepted() or connected() until stream_close() returns */

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

enum dial_failure {
    DIAL_REFUSED,     /* the machine is there, and nobody listens or is let in */
    DIAL_UNREACHABLE, /* no way leads there */
    DIAL_TIMED_OUT,   /* no word within the time that was given */
    DIAL_NO_NAME,     /* the name is unknown, or nobody could be asked */
    DIAL_HERE,        /* for a reason of this machine's: no descriptor, no memory */
};

/* An outgoing connection. Caller-owned; busy from dial() until one of its two events or cancel(),
 * and free to be dialled again or released within the event. */
struct dial {
    /* The new stream; the callee returns the owner, or NULL to have it closed at once. */
    struct stream_owner *(*connected)(struct dial *dial, struct stream *stream);
    /* `why` is one line for people, borrowed for the call. */
    void (*failed)(struct dial *dial, enum dial_failure failure, const struct why *why);
    void *world; /* the world's; NULL: not busy */
};

struct net_ops {
    /* `address` is "ADDR:PORT", "[V6]:PORT" or "unix:PATH" (`mode`: its permission bits, 0 =
     * umask's). */
    enum err (*listen)(struct net *net, struct listener *listener, const char *address,
                       unsigned mode, struct why *why);
    void (*unlisten)(struct net *net, struct listener *listener);
    /* Connects to "HOST:PORT" or "[V6]:PORT" (copied); a name is looked up beside the loop and its
     * addresses are tried in turn, all within `timeout_us`. Only what is no such address is refused
     * at once, and no event follows. The dial is not busy. */
    enum err (*dial)(struct net *net, struct dial *dial, const char *address, uint64_t timeout_us,
                     struct why *why);
    void (*cancel)(struct net *net, struct dial *dial); /* no event follows; not busy is fine */
    /* Sends what the peer takes now and keeps a copy of the rest; `bytes` borrowed for the call. */
    void (*send)(struct stream *stream, struct bytes bytes);
    size_t (*unsent)(const struct stream *stream); /* bytes kept and not yet taken by the peer */
    /* Stops and resumes reading; a paused stream keeps the peer waiting. Streams begin reading. */
    void (*pause)(struct stream *stream, bool paused);
    /* From now on `owner` is told; an owner may hand on its stream within received() too. */
    void (*hand_on)(struct stream *stream, struct stream_owner *owner);
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
