/* SPDX-License-Identifier: Apache-2.0 */
/* replicas: clients that face/psync feeds, and what is told of them. */
#ifndef FACE_REDIS_REPLICAS_H
#define FACE_REDIS_REPLICAS_H

#include "base/buffer.h"
#include "base/mark.h"
#include "command/command.h"
#include "seam/reply.h"

struct client;
struct redis_face;

/* A place in the log, and in the stream of effects. */
struct place_pair {
    struct lsn lsn;
    uint64_t offset;
};
enum { REDIS_PLACES_KEPT = 64 };

bool client_is_replica(const struct client *client); /* face/psync feeds it */
void replicas_open(struct redis_face *face);
/* False: it is fed, and has said what a replica does not say; it is closed. */
bool replica_may_say(struct client *client, const struct args *args);
/* How many have the client's last write; `durable`: on their disks. */
unsigned replicas_acked(const struct client *client, bool durable);
void replicas_ask(struct client *client);               /* them to say what they have */
unsigned replicas_count(const struct redis_face *face); /* those that are there */
/* Places as Redis gives them: of the stream while it is on, else `lsn`. */
uint64_t replicas_offset(const struct redis_face *face, struct lsn lsn);
/* Where the stream was at that place in the log, or before; `lsn` itself while it is off. */
uint64_t replicas_offset_at(const struct redis_face *face, struct lsn lsn);
void replicas_note_offset(struct redis_face *face); /* from time to time, for that */
/* Elements of ROLE's list; returns how many. */
size_t replicas_role(const struct redis_face *face, struct reply *reply);
/* For INFO: lines of replicas, which are numbered from `at` on; the stream; syncs. */
void replicas_describe(const struct redis_face *face, unsigned at, struct buffer *out);
void replicas_describe_stream(const struct redis_face *face, struct lsn lsn, struct buffer *out);
void replicas_describe_syncs(const struct redis_face *face, struct buffer *out);
/* A message of the primary that is followed, to subscribers here (pubsub.c). */
void pubsub_tell(struct redis_face *face, bool sharded, const struct published *published);

#endif
