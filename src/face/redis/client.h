/* SPDX-License-Identifier: Apache-2.0 */
/* client: one connection, what it has under way, and how it ends. Private to the room. */
#ifndef FACE_REDIS_CLIENT_H
#define FACE_REDIS_CLIENT_H

#include "base/table.h"
#include "face/psync/psync.h"
#include "face/redis/limits.h"
#include "face/redis/resp.h"
#include "seam/net.h"
#include "seam/service.h"

struct client;
struct redis_face;

/* One call in the service's hands. */
struct client_call {
    struct call call;
    struct client *client;
    struct list link; /* in client->calls, or face->spare_calls */
    const struct command *command;
    /* CALL_LOCAL: the reply that waits for its place; else the start of the payload. */
    struct buffer text;
    struct exec *exec; /* EXEC with commands of the face's own, or WATCH; else NULL */
    uint64_t began_us;
    uint64_t bytes;     /* in flight: of its payload */
    uint64_t number;    /* tells a call from a later one in the same storage */
    bool unblock_error; /* CLIENT UNBLOCK ... ERROR */
};

/* MULTI */
struct transaction {
    bool open;
    bool failed;          /* a command was refused: EXEC answers EXECABORT */
    struct buffer queued; /* transaction.c says how commands stand in it */
    uint32_t count;
    bool writes;
};

/* WATCH: what was seen of one key. */
struct client_watch {
    struct watch watch;
    struct watched seen;
    struct list link; /* in client->watches */
    uint64_t hash;
    uint8_t *key; /* owned */
};

/* A command that answers later than it was read; its client is held meanwhile. */
struct later {
    struct timer timer;
    bool (*step)(struct client *client); /* true: it has answered; else it is asked again */
    uint64_t pause_us;                   /* before the next step */
    uint64_t until_us;                   /* 0: for ever */
    bool muted;                          /* CLIENT REPLY had silenced it */
};

enum client_hold {
    HOLD_CALLS = 1 << 0,  /* until nothing is in flight */
    HOLD_PAUSED = 1 << 1, /* CLIENT PAUSE */
    HOLD_OUTPUT = 1 << 2, /* its replies are not taken */
    HOLD_LATER = 1 << 3,  /* its command answers later */
};

struct client {
    struct stream_owner owner;
    struct stream *stream;
    struct redis_face *face;
    struct list all; /* in face->clients */
    uint64_t id;
    uint64_t connected_us, active_us;
    uint64_t unauthenticated_us; /* since when it has not been authenticated */
    char peer[NET_ADDRESS_TEXT_BYTES], local[NET_ADDRESS_TEXT_BYTES];
    char name[REDIS_NAME_BYTES_MAX];
    char library[REDIS_NAME_BYTES_MAX], library_version[REDIS_NAME_BYTES_MAX];

    struct resp_reader reader;
    struct buffer in; /* not yet understood */
    bool reading;     /* client_read is on the stack */
    bool stream_paused;
    unsigned holds;     /* enum client_hold */
    bool again;         /* the command at hand could not run now: read it again */
    struct list resume; /* in face->resuming */

    struct resp_writer writer;
    struct buffer out;
    struct list dirty;                           /* in face->dirty */
    uint64_t ended_us;                           /* when `ended` became true */
    uint64_t output_soft_us;                     /* above the soft limit since then; 0: it is not */
    bool ended;                                  /* the peer sends no more: finish, then close */
    bool closing;                                /* after what is in `out` has been sent */
    bool dead;                                   /* close at once */
    bool reply_off, reply_skip, reply_skip_next; /* CLIENT REPLY */
    uint64_t errors_counted;                     /* of writer.errors */

    bool authenticated;
    uint8_t database;
    bool no_evict, no_touch;
    struct mark position; /* POS.GET */
    struct lsn written;   /* of the last write that was answered; 0: none */
    const struct command *last_command;

    struct list calls; /* in flight, oldest first */
    unsigned calls_count;
    struct client_call *blocked; /* a CALL_WAIT in flight */
    struct transaction transaction;
    struct list watches;
    struct table watched; /* the same, by {database, key} */
    struct later later;
    struct steering *steering;   /* in the service's hands; NULL: none */
    struct waiting *waiting;     /* likewise */
    struct verifying *verifying; /* likewise */
    struct list subscriptions;   /* struct subscription by its client link */
    unsigned channels, patterns, shard_channels;
    struct list monitoring;        /* in face->monitors */
    struct psync_replica *replica; /* NULL: it has never spoken of replication */
    struct psync_link link;        /* lent to it */
    uint64_t stream_offset;        /* of the stream of effects, behind its last write */
};

struct stream_owner *client_accepted(struct listener *listener, struct stream *stream);
/* Where go messages and what else nothing can mute; commands answer to client_reply(). What passes
 * the client's limit of unread replies is not kept, and closes it. */
struct reply *client_push(struct client *client);
void client_touch(struct client *client); /* it has output: send at the end of the turn */
void client_hold(struct client *client, enum client_hold hold);
void client_unhold(struct client *client, enum client_hold hold);
void client_close_soon(struct client *client); /* after its output */
void client_kill(struct client *client); /* without more output; freed at the end of the turn */
void client_free(struct client *client);
struct client *client_by_id(struct redis_face *face, uint64_t id); /* NULL: gone */
/* Closes the client if what waits for it, in its buffer and at the net, is above its limits. */
void client_check_output(struct client *client);
/* Closes the client if it waits for what may never come and its peer has gone: behind a paused
 * stream nobody says so. */
void client_check_peer(struct client *client);
/* After the peer's end: closes the client once nothing of it is under way. */
void client_settle(struct client *client);

bool client_name_is_fit(struct bytes name);
void client_name_copy(char out[REDIS_NAME_BYTES_MAX], struct bytes name); /* cut to fit */
bool client_is_trusted(const struct client *client); /* authenticated, or none is asked to be */

/* CLIENT REPLY OFF or SKIP: the command at hand gets no reply. */
static inline bool client_is_muted(const struct client *client)
{
    return client->reply_off || client->reply_skip;
}

#endif
