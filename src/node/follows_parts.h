/* SPDX-License-Identifier: Apache-2.0 */
/* follows_parts: what the files of follows ask of each other. */
#ifndef NODE_FOLLOWS_PARTS_H
#define NODE_FOLLOWS_PARTS_H

#include "log/log.h"
#include "node/follows.h"
#include "node/follows_image.h"
#include "node/peer.h"
#include "node/shard.h"
#include "node/staging.h"
#include "replica/replica.h"

/*   IDLE --begin--> WAITING --the time has come--+--> ASKING --the Redis port says where--+
 *                      ^                         +-----------------------------------> DIALLING
 *                      |                                                                 |
 *                      +--failed, or the session is over--------------- SESSION <--------+
 *   any --end--> IDLE
 *
 * It never gives up, and while it waits it holds no connection. */
enum follows_phase {
    FOLLOWS_IDLE,
    FOLLOWS_WAITING,
    FOLLOWS_ASKING,
    FOLLOWS_DIALLING,
    FOLLOWS_SESSION
};

/* Results that wait to be told to the session, in the order in which they are told. */
enum follows_result {
    RESULT_FACTS,
    RESULT_PROMISED,
    RESULT_CUT,
    RESULT_IMAGE_AT,
    RESULT_IMAGE_STORED,
    RESULT_INSTALLED,
    RESULTS
};

struct follows_due {
    bool due;
    struct session_key key;
    enum err err;
    uint64_t offset;
};

/* Where a copy is looked for; either may be empty. */
struct follows_place {
    char redis[COPY_ADDRESS_BYTES], peer[COPY_ADDRESS_BYTES];
};

struct follows {
    struct node *node;
    enum follows_phase phase;
    struct follows_place named; /* as it was told to follow */
    bool wipe;
    uint64_t begun; /* how often it was told whom to follow */

    /* Looking. */
    struct follows_place place; /* of the attempt under way, or the last one */
    unsigned attempt;           /* of a round through all places */
    uint64_t leader;    /* a replica has said that this copy leads: it is tried next; 0: none */
    unsigned failures;  /* in a row */
    struct timer timer; /* WAITING: until the next attempt; ASKING: until that is given up */
    struct dial dial;
    struct stream_owner asker;
    struct stream *asked; /* ASKING: the Redis port; NULL: not connected yet */
    struct finder finder;

    /* The session. */
    struct peer peer;
    struct follower follower;
    struct session_options options;
    struct follows_due due[RESULTS];
    struct message_hello hello;
    char hello_peer[COPY_ADDRESS_BYTES], hello_redis[COPY_ADDRESS_BYTES];
    uint64_t
        sessions;  /* the version of an endpoint: of results that come later than their session */
    bool streamed; /* in this session, or in the one that has just ended */
    struct lsn appended, durable, applied, flushed; /* as told last */
    enum follows_result turn_result;                /* of the newest cut or install */
    uint64_t turn_begun;                            /* `begun` then */
    struct session_key turn_key, image_key;

    /* What goes on when its session is over. */
    struct log_promising promising;
    bool promise_busy, promise_waits; /* in the log; the one of now waits for its end */
    struct epoch promise_epoch;       /* of now */
    struct session_key promise_key;
    struct follows_image image;
    struct staging staging; /* of that one */

    /* What is told of it. */
    struct epoch epoch;
    bool has_watermarks;
    struct message_watermarks watermarks;
    uint64_t copy;              /* of the primary; 0: not known yet */
    uint64_t heard_us, down_us; /* of the session before; since then it streams no more */
    bool stamp_due;             /* the own digest, to be told: */
    struct message_stamp stamp;
    struct why why, why_traced;
};

/* follows.c */
/* The attempt or the session is over: the next attempt follows. `lasting`: not soon. */
void follows_retry(struct follows *follows, bool lasting, const char *reason);

/* follows_session.c */
void follows_session_init(struct follows *follows);
struct stream_owner *follows_session_open(struct follows *follows, struct stream *stream);
void follows_session_end(struct follows *follows, enum bye_reason reason); /* none is fine */

#endif
