/* SPDX-License-Identifier: Apache-2.0 */
/* message: what the payload of each frame says; docs/formats/session.md.
 *
 * Each `put` appends one payload; each `take` reads one whole payload and answers ERR_PROTOCOL for
 * anything that `put` would not have written. */
#ifndef REPLICA_MESSAGE_H
#define REPLICA_MESSAGE_H

#include "base/checksum.h"
#include "replica/decide.h"
#include "replica/progress.h"
#include "seam/entry.h"

enum {
    MESSAGE_NONCE_BYTES = 32,
    MESSAGE_ENDPOINT_BYTES_MAX = 255,
    MESSAGE_TEXT_BYTES_MAX = 255,
    MESSAGE_ENTRIES_HEAD_BYTES = 48,
    MESSAGE_ENTRY_HEAD_BYTES = 12,
    MESSAGE_CHUNK_HEAD_BYTES = 8,
};

enum message_role { ROLE_REPLICA = 1, ROLE_PRIMARY = 2, ROLE_CANDIDATE = 3, ROLE_VOTER = 4 };

struct message_challenge {
    enum message_role role;
    uint32_t level;
    uint64_t copy;
    uint8_t nonce[MESSAGE_NONCE_BYTES];
};

struct message_hello {
    struct recover_facts facts; /* decoded: its epochs are `epochs` */
    struct digest digest;       /* of the state at facts.applied */
    struct bytes peer, redis;   /* where the copy is reached, host:port; borrowed */
    struct epochs epochs;       /* decoded only: the caller's to release */
};

struct message_verdict {
    struct recover_plan plan;
};

/* Entries of one epoch, one after the other. */
struct message_entries {
    struct lsn first;
    struct lineage before; /* of the entry before the first */
    struct lineage last;   /* of the last */
    struct epoch epoch;    /* that wrote them: lineage, not authority */
    uint32_t count;        /* still in `rest` */
    struct bytes rest;     /* borrowed */
};

struct message_ack {
    uint64_t incarnation;
    struct lsn durable, applied, flushed;
};

struct message_watermarks {
    struct lsn durable, committed, floor;
    enum commit_mode mode;
    unsigned min_in_sync;
    unsigned copy_count;
    struct {
        uint64_t id;
        bool counts;
    } copies[PROGRESS_COPIES_MAX];
};

struct message_image {
    struct mark mark;
    uint64_t size, checksum; /* of the file; the checksum is the one of its footer */
};

struct message_chunk {
    uint64_t offset;
    struct bytes bytes; /* borrowed */
};

struct message_image_ack {
    struct lsn lsn;  /* of the image's mark */
    uint64_t offset; /* stored and synced up to here; the first one says where to begin */
};

struct message_stamp {
    struct mark mark;
    struct digest digest;
};

enum bye_reason {
    BYE_STOP = 1,        /* the process ends, or the role does */
    BYE_REFUSED = 2,     /* the verdict */
    BYE_FENCED = 3,      /* a later epoch is promised */
    BYE_PROTOCOL = 4,    /* what came may not be sent */
    BYE_PROOF = 5,       /* the secret */
    BYE_FORK = 6,        /* lineages differ where they must not */
    BYE_SILENT = 7,      /* nothing was heard for too long */
    BYE_STALLED = 8,     /* nothing was acked for too long */
    BYE_LOCAL = 9,       /* a failure of the sender's own: disk, log, image */
    BYE_SUPERSEDED = 10, /* another session has taken its place */
    BYE_LEAD = 11,       /* the primary gives its role away: to whom it says this */
    BYE_DAMAGED = 12,    /* what came was changed on the way */
    BYE_REASONS
};

struct message_bye {
    enum bye_reason reason;
    struct bytes text; /* for people; borrowed */
};

void challenge_put(struct buffer *out, const struct message_challenge *message);
MUST_USE enum err challenge_take(struct bytes payload, struct message_challenge *message);
void hello_put(struct buffer *out, const struct message_hello *message);
/* On success message->epochs is allocated. */
MUST_USE enum err hello_take(struct bytes payload, struct message_hello *message);
void verdict_put(struct buffer *out, const struct message_verdict *message);
MUST_USE enum err verdict_take(struct bytes payload, struct message_verdict *message);

/* `entries` follow each other and are of one epoch; `before` is the lineage before the first. */
void entries_put(struct buffer *out, const struct entry *entries, size_t count,
                 struct lineage before);
MUST_USE enum err entries_take(struct bytes payload, struct message_entries *message);
/* The next entry, with the lineage that it must have after `previous`. False: that was the last.
 * entries_take() has checked lengths; stamps and lineage are the caller's to check. */
bool entries_next(struct message_entries *message, struct lineage previous, struct entry *entry);

void ack_put(struct buffer *out, const struct message_ack *message);
MUST_USE enum err ack_take(struct bytes payload, struct message_ack *message);
void watermarks_put(struct buffer *out, const struct message_watermarks *message);
MUST_USE enum err watermarks_take(struct bytes payload, struct message_watermarks *message);
/* Whether they differ in what a replica acts on; `durable` alone is told with the next that do. */
bool watermarks_are_news(const struct message_watermarks *a, const struct message_watermarks *b);
void image_put(struct buffer *out, const struct message_image *message); /* offer and done */
MUST_USE enum err image_take(struct bytes payload, struct message_image *message);
void chunk_put(struct buffer *out, const struct message_chunk *message);
MUST_USE enum err chunk_take(struct bytes payload, struct message_chunk *message);
void image_ack_put(struct buffer *out, const struct message_image_ack *message);
MUST_USE enum err image_ack_take(struct bytes payload, struct message_image_ack *message);
void promise_request_put(struct buffer *out, const struct promise_request *message);
MUST_USE enum err promise_request_take(struct bytes payload, struct promise_request *message);
void promise_answer_put(struct buffer *out, const struct promise_answer *message);
MUST_USE enum err promise_answer_take(struct bytes payload, struct promise_answer *message);
void stamp_put(struct buffer *out, const struct message_stamp *message);
MUST_USE enum err stamp_take(struct bytes payload, struct message_stamp *message);
void bye_put(struct buffer *out, const struct message_bye *message);
MUST_USE enum err bye_take(struct bytes payload, struct message_bye *message);

const char *bye_reason_name(enum bye_reason reason);

#endif
