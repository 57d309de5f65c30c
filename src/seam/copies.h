/* SPDX-License-Identifier: Apache-2.0 */
/* copies: what a face may see and ask of the copies of a shard.
 *
 * One copy leads: the primary. The others follow it, or one another. Who is configured and who
 * counts stands in the log itself (struct members), so every copy knows it. */
#ifndef SEAM_COPIES_H
#define SEAM_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mark.h"

enum {
    COPIES_MAX = 16,
    COPY_ADDRESS_BYTES = 256, /* of "host:port", zero-terminated; empty: not known */
};

/* The copies that the log has named, and the rule of its commits: the entry that is newest. */
struct member {
    uint64_t id;
    bool counts;                                              /* its sync is needed for a commit */
    char peer[COPY_ADDRESS_BYTES], redis[COPY_ADDRESS_BYTES]; /* where it is reached */
};
struct members {
    bool all;             /* mode all; else local */
    unsigned min_in_sync; /* mode all: so many copies that count, or no writes; >= 1 */
    unsigned count;       /* 0: none was ever named; then the copy that leads is alone */
    struct member at[COPIES_MAX];
};
/* NULL: it is not among them. */
static inline const struct member *members_find(const struct members *members, uint64_t copy)
{
    for (unsigned i = 0; i < members->count; i++) {
        if (members->at[i].id == copy) return &members->at[i];
    }
    return NULL;
}

/* A copy as its primary sees it (or, in a chain, the copy that it follows). */
struct copy_status {
    uint64_t id, incarnation;
    char peer[COPY_ADDRESS_BYTES], redis[COPY_ADDRESS_BYTES];
    bool configured, counts, connected, needs_rebuild;
    const char *state;       /* "disconnected", "connecting", "catching_up", "in_sync", "degraded",
                                "needs_rebuild" */
    const char *plan, *rule; /* of its newest session: "catch_up", "behind"; "" before */
    struct lsn durable, applied, flushed; /* as it said last */
    uint64_t lag_entries, lag_bytes, lag_ms;
    uint64_t image_done, image_bytes; /* of an image under way to it; 0, 0: none */
    uint64_t contact_us;              /* since it was heard last */
};

enum copies_role {
    COPIES_LEADS,
    COPIES_FOLLOWS,
    COPIES_ASKS, /* a start, or a promotion: the others are asked first */
};

struct copies_status {
    enum copies_role role;
    uint64_t cluster, copy;
    struct epoch epoch; /* that it leads, or follows */
    bool all;
    unsigned min_in_sync, counting, in_sync;
    bool may_write;
    bool failing_over;       /* the lead is being handed over */
    unsigned peer_port;      /* where this copy accepts others; 0: nowhere */
    uint64_t damaged_frames; /* that came of other copies changed on the way, and were refused */
    const char *peer_guard;  /* "tls", "tls, secret", "secret" or "this machine" */
    uint64_t tls_refused, tls_cut; /* connections to other copies, as struct net_guard has them */
    unsigned count;
    struct copy_status at[COPIES_MAX]; /* that it serves; never itself */
    /* COPIES_FOLLOWS: */
    char primary_host[COPY_ADDRESS_BYTES]; /* of the Redis port; empty: nobody is known */
    unsigned primary_port;
    uint64_t primary_copy;  /* 0: not known yet */
    const char *link;       /* "connect", "connecting", "sync" or "connected", as Redis says it */
    const char *link_state; /* the session's, as above */
    uint64_t link_down_us;  /* since it was up last; 0: it is up */
    uint64_t heard_us;      /* since something was heard */
    struct lsn primary_durable, primary_committed; /* as it said last */
    uint64_t sync_done, sync_bytes;                /* of an image under way; 0, 0: none */
    bool redis;                                    /* the primary is of another make: */
    bool syncing;          /* all keys are being taken; sync_bytes 0: how many bytes is not known */
    uint64_t redis_offset; /* of its stream, that is in the state here; 0: none */
    struct why why;        /* of the last end of the link, or why a promotion waits; "": nothing */
};

/* One decision about one copy. */
struct copy_event {
    uint64_t number, at_us; /* dense from 1; since the start of the process */
    uint64_t copy, session;
    struct epoch epoch;
    const char *what;                  /* "session_begun" */
    const char *state, *rule, *reason; /* "": does not apply */
};

enum steer_kind {
    STEER_FOLLOW,        /* host, port; port 0: the Redis port is not told, `host` is nobody */
    STEER_PROMOTE,       /* ERR_REFUSED names the promise that is missing */
    STEER_PROMOTE_FORCE, /* a new history */
    STEER_FAILOVER,      /* host, port of a copy, or port 0: the one that has most; timeout_us */
    STEER_FAILOVER_ABORT,
    STEER_ADD,     /* copy: from now on it counts */
    STEER_REMOVE,  /* copy: it is configured no more, once that is confirmed */
    STEER_REBUILD, /* copy: it may be rebuilt, though it was given up */
    STEER_RULE,    /* all, min_in_sync */
};

/* Something to be done about the copies, which may take its time. Caller-owned until done(), which
 * may come from inside steer(), or until unsteer(). */
struct steer {
    enum steer_kind kind;
    char host[COPY_ADDRESS_BYTES];
    unsigned port;
    uint64_t copy, timeout_us;
    bool all;
    unsigned min_in_sync;
    enum err err;   /* out; ERR_REFUSED, ERR_NOT_FOUND, ERR_EXISTS with the reason */
    struct why why; /* out: the reason, or with ERR_OK what is to be told beside it */
    void (*done)(struct steer *steer);
    struct list node; /* the service's */
};

/* Waits until so many copies have it. Caller-owned until done() or unawait(). */
struct await {
    bool marked; /* for the state of this copy to reach `mark`; else for copies: */
    struct mark mark;
    struct lsn lsn;      /* of the caller's last write */
    unsigned copies;     /* others that are to have it durable */
    bool local;          /* here too */
    uint64_t timeout_us; /* 0: for ever */
    /* How many have it beside the copies of the service, as the caller knows; NULL: none. */
    unsigned (*others)(struct await *await);
    unsigned found;   /* out, also while it waits: copies that have it, and others */
    bool found_local; /* likewise: it is durable here */
    enum err err;     /* out: ERR_OK also when the time is over, but for `marked`: ERR_PENDING (not
                         there yet), ERR_NOT_FOUND (lost: it will never be part of this history);
                         ERR_NOT_LEADER, ERR_SHUT: nobody can tell any more */
    void (*done)(struct await *await); /* may come from inside await() */
    struct list node;                  /* the service's */
    uint64_t until_us;                 /* the service's */
};

#endif
