/* SPDX-License-Identifier: Apache-2.0 */
/* psync: feeds copies of another make, as a Redis primary feeds its replicas: REPLCONF, PSYNC,
 * SYNC, a dump of all keys or the place where it stopped, and then the stream of effects; and
 * follows a Redis primary, when the service says so (docs/psync.md).
 *
 * It owns no connection of a replica: whoever has one lends it as a link, gives what the peer says
 * in words, and tells when there is room for more. Nothing of the stream is kept here: it is read
 * from where the replica stands, as fast as that takes it, however far behind that is. */
#ifndef FACE_PSYNC_PSYNC_H
#define FACE_PSYNC_PSYNC_H

#include "base/err.h"
#include "base/trace.h"
#include "command/command.h"
#include "seam/clock.h"
#include "seam/entropy.h"
#include "seam/net.h"
#include "seam/reply.h"
#include "seam/service.h"

struct psync;         /* all replicas of a server; fields: face/psync/internal.h */
struct psync_replica; /* one of them; likewise */

/* What may change while it runs. */
struct psync_settings {
    uint64_t ping_us;        /* between words to the stream while replicas are there */
    uint64_t timeout_us;     /* of silence, or without taking a byte; then the link is closed */
    uint64_t backlog_bytes;  /* of the stream that are kept, about */
    uint64_t backlog_ttl_us; /* without a replica: then the stream is switched off; 0: never */
    /* A replica that has been within them is closed when so much of the stream waits for it; 0: any
     * may wait. */
    uint64_t hard_bytes, soft_bytes, soft_us;
};

struct psync_host {
    void (*settings)(struct psync_host *host, struct psync_settings *out);
    void (*acked)(struct psync_host *host); /* what psync_acked() tells may have grown */
    /* The primary that this server follows has sent a message, for subscribers here. NULL is fine.
     */
    void (*publish)(struct psync_host *host, bool sharded, const struct published *published);
};

struct psync_options {
    struct clock *clock;
    struct net *net; /* NULL: no Redis server is followed */
    struct entropy *entropy;
    struct trace *trace;     /* NULL is fine */
    struct service *service; /* its feed may be NULL: then all are refused */
    struct psync_host *host;
};

/* All pointers are borrowed until psync_close. */
void psync_open(struct psync **psync, const struct psync_options *options);
void psync_close(struct psync *psync); /* no replica is left. NULL is fine */

/* --- One connection --- */

enum { PSYNC_HOST_BYTES = 256 };

/* The connection, as its owner lends it. */
struct psync_link {
    const struct psync_link_ops *ops;
};
struct psync_link_ops {
    void (*send)(struct psync_link *link, struct bytes bytes); /* borrowed for the call */
    size_t (*unsent)(const struct psync_link *link);           /* not yet taken by the peer */
    /* Ends it, soon; with `flush` what is unsent goes out first. psync_replica_close() follows. */
    void (*close)(struct psync_link *link, bool flush);
};

/* For whoever says REPLCONF, PSYNC or SYNC first. `link` and `peer` ("10.0.0.1:4711") are borrowed
 * until psync_replica_close. */
struct psync_replica *psync_replica_open(struct psync *psync, struct psync_link *link,
                                         const char *peer);
void psync_replica_close(struct psync_replica *replica); /* NULL is fine */

/* What it said, name and words; errors go to `reply`, and the answers of REPLCONF. Everything else
 * goes to the link. */
void psync_replconf(struct psync_replica *replica, const struct args *args, struct reply *reply);
void psync_sync(struct psync_replica *replica, const struct args *args, struct reply *reply);
/* From PSYNC or SYNC on: nothing but REPLCONF may be said, and nothing is answered any more. */
bool psync_is_attached(const struct psync_replica *replica);
void psync_heard(struct psync_replica *replica);   /* bytes of any kind came */
void psync_drained(struct psync_replica *replica); /* what was unsent has gone out */

/* --- All of them --- */

/* How many have the stream up to `offset`, as they say; `durable`: on their disks. Only those of
 * Redis 7.2 and later that keep an append-only file say that. */
unsigned psync_acked(const struct psync *psync, uint64_t offset, bool durable);
/* Where the stream ends, as offsets of replicas go: of the last byte; 0: it is off. */
uint64_t psync_offset(const struct psync *psync);
void psync_ask(struct psync *psync); /* all of them to say how far they are, soon */
/* A message, for the subscribers of replicas; nothing while the stream is off, or another copy
 * leads. */
void psync_publish(struct psync *psync, bool sharded, const struct published *published);

enum { PSYNC_REPLID_BYTES = 41 }; /* with a zero */
struct psync_status {
    bool on; /* there is a stream: */
    uint64_t offset, first, bytes;
    char replid[PSYNC_REPLID_BYTES], replid_before[PSYNC_REPLID_BYTES]; /* "": none */
    uint64_t before_until; /* the first offset that replid_before does not name */
    unsigned attached;
    uint64_t full, partial, partial_refused; /* since psync_open */
};
void psync_status(const struct psync *psync, struct psync_status *out);

struct psync_brief {
    char host[PSYNC_HOST_BYTES];
    unsigned port;
    const char *state; /* "wait_bgsave", "send_bulk" or "online", as Redis says it */
    bool online;
    uint64_t offset, lag_s;
};
/* The i-th that is attached, from 0; false: there are not so many. */
bool psync_brief(const struct psync *psync, unsigned i, struct psync_brief *out);

#endif
