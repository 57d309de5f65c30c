/* SPDX-License-Identifier: Apache-2.0 */
/* internal: the face, for the files of this room. */
#ifndef FACE_REDIS_INTERNAL_H
#define FACE_REDIS_INTERNAL_H

#include "face/redis/client.h"
#include "face/redis/copies.h"
#include "face/redis/redis.h"
#include "face/redis/replicas.h"

struct command_stats {
    uint64_t calls, microseconds, rejected, failed;
};

struct face_listener {
    struct listener listener;
    struct redis_face *face;
    bool open;
};

struct redis_face {
    struct redis_options options;
    struct face_listener listeners[REDIS_LISTENERS_MAX];
    size_t listeners_count;
    struct list clients;
    uint64_t clients_count, next_client_id;
    struct list dirty;    /* clients with output for the end of the turn */
    struct list resuming; /* clients that may read on */
    struct list monitors;
    struct task send, resume;
    struct list spare_calls;
    size_t spare_calls_count;
    struct resp_writer silent; /* what CLIENT REPLY mutes goes to `silenced` and is dropped */
    struct buffer silenced;
    struct args args;      /* of the command at hand */
    struct buffer payload; /* of the call at hand */
    struct service_listener keyspace;
    struct pubsub *pubsub;
    struct psync *psync;
    struct psync_host psync_host;
    struct place_pair places[REDIS_PLACES_KEPT]; /* of the last seconds, in a ring */
    size_t places_next;
    struct slowlog *slowlog;
    struct rewrite *rewrite;            /* a CONFIG REWRITE at work, or NULL */
    bool container[REDIS_COMMANDS_MAX]; /* has subcommands */
    uint64_t waiting;                   /* clients in WAIT and its kind */
    bool in_exec; /* a reply of EXEC is half written: messages wait, and nothing answers later */
    uint64_t next_call, turn_us, started_us, timeout_us;
    uint64_t flight_bytes; /* of the payloads in flight */
    struct timer timer;    /* idle clients, limits, figures */
    struct timer pause;    /* the end of CLIENT PAUSE */
    uint64_t pause_until_us;
    bool pause_all; /* else writes only */
    /* Figures for INFO. */
    uint64_t connections_total, commands_total, rejected_connections, input_bytes, output_bytes;
    uint64_t errors_total, expired_before;                  /* by CONFIG RESETSTAT */
    uint64_t commands_a_second, commands_then, measured_us; /* the last whole second's */
    struct command_stats stats[REDIS_COMMANDS_MAX];
};

typedef void face_fn(struct client *client, const struct args *args); /* one per PLACE_FACE row */

/* dispatch.c */
void dispatch(struct client *client, const struct args *args);
/* Hands a payload to the service. */
void dispatch_call(struct client *client, const struct command *command, enum call_kind kind,
                   struct bytes payload, struct exec *exec);
void face_refuse(struct client *client, const struct command *command, const char *error);
/* Takes a place in the order of replies for `text`, which is a whole reply. */
void dispatch_text(struct client *client, const struct command *command, const char *text);
/* Why this copy refuses a command that writes. */
#define READONLY_ERROR "READONLY You can't write against a read only replica."
/* Runs one command of the face's own, now; counts it. */
void face_run(struct client *client, const struct command *command, const struct args *args);
void face_call_free(struct redis_face *face, struct client_call *call);
void face_calls_trim(struct redis_face *face, size_t keep); /* frees spare calls */

/* transaction.c */
/* False: it would pass the limit; nothing was queued. */
MUST_USE bool transaction_queue(struct client *client, const struct command *command,
                                const struct args *args);
void transaction_drop(struct client *client); /* forgets MULTI and every WATCH */
void transaction_init(struct client *client);
void exec_done(struct client_call *call, enum call_end end); /* EXEC or WATCH has been answered */
void exec_drop(struct exec *exec);                           /* its client has gone; NULL is fine */
struct reply *exec_reply(struct exec *exec); /* where the machine's replies are kept */

/* pubsub.c */
void pubsub_open(struct redis_face *face);
void pubsub_close(struct redis_face *face);
void pubsub_deliver(struct redis_face *face); /* messages that wait; no reply is half written */
void pubsub_forget(struct client *client);    /* all its subscriptions, without replies */
bool pubsub_active(const struct client *client);
void pubsub_describe(const struct redis_face *face, struct buffer *out); /* lines for INFO */

/* clients.c */
void face_unpause(struct redis_face *face); /* the end of CLIENT PAUSE */

/* later.c: commands that answer later, none inside EXEC. Holds the client and calls `step` after
 * each `pause_us` until it says true; NULL: whoever holds it answers. `until_us` is the step's. */
void later_begin(struct client *client, bool (*step)(struct client *client), uint64_t pause_us,
                 uint64_t until_us);
struct reply *later_reply(struct client *client);  /* where it answers; later_done() follows */
void later_done(struct client *client);            /* the client goes on */
struct reply *later_or_now(struct client *client); /* the same, if it may end in its command */
void later_or_now_done(struct client *client);
void later_end(struct client *client); /* stops what waits; nothing is fine */

/* steers.c */
void steer_forget(struct client *client); /* what was asked for goes on; nothing is fine */

/* verify.c */
void verify_forget(struct client *client); /* nothing is fine */

/* waits.c */
void wait_forget(struct client *client);             /* nothing is fine */
void wait_look_again(const struct redis_face *face); /* a replica has said how far it is */
/* CLIENT UNBLOCK. False: it does not wait. */
bool wait_unblock(struct client *client, bool error);

/* rewrite.c */
void rewrite_begin(struct client *client);    /* CONFIG REWRITE; the client is held */
void rewrite_forget(struct redis_face *face); /* the face closes */

/* client.c */
void face_send(struct task *task);
void face_resume(struct task *task);

/* server.c */
void answer_ok(struct client *client);
void answer_error(struct client *client, const char *error); /* with its code */

/* Where the command at hand answers. */
static inline struct reply *client_reply(struct client *client)
{
    if (!client_is_muted(client)) return client_push(client);
    client->face->silent.resp3 = client->writer.resp3;
    return &client->face->silent.reply;
}

/* face_<ID> for each PLACE_FACE row of the table. */
#define FACE_DECLARE_PLACE_FACE(id) face_fn face_##id;
#define FACE_DECLARE_PLACE_STATE(id)
#define COMMAND(id, number, parent, name, arity, place, ...) FACE_DECLARE_##place(id)
#include "command/commands.def"
#undef COMMAND
#undef FACE_DECLARE_PLACE_FACE
#undef FACE_DECLARE_PLACE_STATE

#endif
