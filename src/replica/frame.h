/* SPDX-License-Identifier: Apache-2.0 */
/* frame: the envelope of every message between two copies; docs/formats/session.md. No I/O. */
#ifndef REPLICA_FRAME_H
#define REPLICA_FRAME_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"

/* On the wire, so append only. */
enum frame_type {
    FRAME_CHALLENGE = 1,        /* both: a nonce, and who asks */
    FRAME_PROOF = 2,            /* both: of the secret */
    FRAME_HELLO = 3,            /* replica: what it has */
    FRAME_VERDICT = 4,          /* primary: what is to be done, with its proof */
    FRAME_ENTRIES = 5,          /* primary: entries of one epoch */
    FRAME_ACK = 6,              /* replica: what is synced, applied, flushed */
    FRAME_WATERMARKS = 7,       /* primary: durable, committed, floor, the rule of commits */
    FRAME_IMAGE_OFFER = 8,      /* primary: an image begins */
    FRAME_IMAGE_CHUNK = 9,      /* primary: a piece of it */
    FRAME_IMAGE_DONE = 10,      /* primary: that was all of it */
    FRAME_IMAGE_ACK = 11,       /* replica: how much of it is stored; also where to go on */
    FRAME_PROMISE_REQUEST = 12, /* a copy that would lead */
    FRAME_PROMISE_ANSWER = 13,
    FRAME_STAMP = 14, /* both: a mark and its digest */
    FRAME_PING = 15,  /* both: nothing else was to be said */
    FRAME_BYE = 16,   /* both: the end, and why */
    FRAME_TYPES
};

enum {
    FRAME_FORMAT = 1,
    FRAME_HEADER_BYTES = 64,
    FRAME_STRANGER_BYTES_MAX = 1024,   /* payload while the peer has not proved itself */
    FRAME_CONTROL_BYTES_MAX = 1 << 18, /* payload of all but entries and chunks */
};
/* Payload of entries and chunks: the longest entry with its heads. */
#define FRAME_PAYLOAD_BYTES_MAX (((size_t)1 << 30) + 4096)

struct frame_head {
    enum frame_type type;
    uint32_t shard;
    uint64_t cluster;
    struct epoch epoch; /* of the primary of the session: authority, not lineage */
    uint64_t session;   /* 0 until the verdict */
};

struct frame {
    struct frame_head head;
    struct bytes payload;
};

/* Appends room for a header and returns where the frame begins; the caller appends the payload and
 * seals it. */
size_t frame_begin(struct buffer *out);
void frame_seal(struct buffer *out, size_t begin, const struct frame_head *head);

/* Puts frames together from any pieces. Holds at most one frame, and of that no more than twice
 * what has arrived. */
struct frame_reader {
    struct buffer held;
    size_t payload_max; /* the caller's; FRAME_STRANGER_BYTES_MAX at first */
    bool begun;         /* a frame was read: the peer speaks this protocol */
    bool over;          /* something bad was read: nothing more is */
};

void frame_reader_init(struct frame_reader *reader);
void frame_reader_release(struct frame_reader *reader);
/* Takes bytes off the front of *in. ERR_OK: *frame is whole; its payload is borrowed until the next
 * call, and no longer than *in's bytes live. ERR_PENDING: *in is used up. ERR_CORRUPT: damaged on
 * the way; ERR_PROTOCOL: not our protocol, or a bound; ERR_REFUSED: a later format. */
MUST_USE enum err frame_take(struct frame_reader *reader, struct bytes *in, struct frame *frame,
                             struct why *why);

/* "entries"; for traces and reasons. */
const char *frame_name(enum frame_type type);

#endif
