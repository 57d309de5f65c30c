/* SPDX-License-Identifier: Apache-2.0 */
/* follower: the receiving end of a session, at the replica. */
#ifndef REPLICA_FOLLOWER_H
#define REPLICA_FOLLOWER_H

#include "replica/link.h"

/*   PROOF --> ASKING --> HELLO --> PROMISING --+--> CUTTING --+
 *                                              |              v
 *                                              +-----------> CATCH_UP --> STREAM
 *                                              |                           ^
 *                                              +--> TRANSFER --> INSTALLING --> TAIL
 *   any --> CLOSED
 *
 *   ASKING      what this copy has is being looked up.
 *   PROMISING   the verdict's epoch is written to both slots; an epoch below the promised one ends
 *               the session (fenced), whatever it says. What was promised in another cluster or
 *               history does not count; then nothing but an image is taken, if this copy may be
 *               wiped, and the log that begins behind it promises the epoch.
 *   CUTTING     only to a place whose lineage is the primary's: the copy proves it by its own log.
 *               Never below what is applied.
 *   CATCH_UP, TAIL, STREAM
 *               entries are appended that follow the last one, by LSN, lineage, epoch and stamp.
 *               What came already is dropped and counted; anything else ends the session.
 *   TRANSFER    chunks follow each other; INSTALLING: the image is whole.
 *
 *   acked <= durable here; committed = min(announced in this session, durable here), so nothing is
 *   applied that the primary has not called committed, and nothing that is not on this disk. */
enum follower_phase {
    FOLLOWER_PROOF,
    FOLLOWER_ASKING,
    FOLLOWER_HELLO,
    FOLLOWER_PROMISING,
    FOLLOWER_CUTTING,
    FOLLOWER_CATCH_UP,
    FOLLOWER_TRANSFER,
    FOLLOWER_INSTALLING,
    FOLLOWER_TAIL,
    FOLLOWER_STREAM,
    FOLLOWER_CLOSED,
    FOLLOWER_PHASES
};

struct follower {
    struct link link;
    enum follower_phase phase;
    struct recover_facts facts; /* as told in the hello; its epochs are not kept */
    struct recover_plan plan;
    bool foreign;               /* the primary is of another cluster or history than what is here */
    struct epoch primary_epoch; /* of the verdict */
    struct mark last;           /* of the log, with what is being appended */
    struct stamp last_stamp;
    struct message_ack own, acked;        /* as it is; as it was told */
    struct message_watermarks watermarks; /* of this session */
    struct lsn committed;                 /* given out in this session */
    struct message_image image;
    uint64_t image_next;   /* offset of the next chunk */
    uint64_t image_stored; /* told to the primary */
    uint64_t duplicates;   /* entries that were dropped because they were here */
};

void follower_init(struct follower *follower, const struct session_options *options,
                   uint64_t endpoint);
void follower_release(struct follower *follower);
/* One event; what is to be done about it is in *out. An effect that fails is told by EVENT_STOP
 * with BYE_LOCAL, if it has no result of its own. */
void follower_step(struct follower *follower, const struct session_event *event,
                   struct session_effects *out);
const char *follower_phase_name(enum follower_phase phase);

#endif
