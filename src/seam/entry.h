/* SPDX-License-Identifier: Apache-2.0 */
/* entry: what the log carries and the machines apply. */
#ifndef SEAM_ENTRY_H
#define SEAM_ENTRY_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/hlc.h"
#include "base/mark.h"
#include "seam/followed.h"

/* The first byte of each payload; on disk, so append only. */
enum entry_kind {
    ENTRY_EPOCH =
        1, /* opens an epoch; the rest is empty. The log's own batch header names the epoch */
    ENTRY_COMMAND = 2,     /* one command: command/payload.h */
    ENTRY_TRANSACTION = 3, /* MULTI ... EXEC as one: command/payload.h */
    ENTRY_EXPIRE = 4,      /* removes one key if its time has come: command/payload.h */
    ENTRY_NOOP = 5,        /* nothing; keeps the log going */
    ENTRY_SERVE = 6,     /* a further attempt of a blocked command, at one key; as ENTRY_COMMAND */
    ENTRY_STREAM = 7,    /* a word to the stream of effects: command/payload.h */
    ENTRY_MEMBERS = 8,   /* the copies and the rule of commits: command/payload.h */
    ENTRY_STAMP = 9,     /* what the digest was at a mark */
    ENTRY_VERIFY = 10,   /* a place at which copies are to be compared */
    ENTRY_FOLLOWED = 11, /* what a primary of another make has said, and where: command/payload.h */
};

struct entry {
    struct lsn lsn;
    struct epoch epoch;
    struct stamp stamp;
    struct lineage lineage; /* including this entry */
    struct bytes payload;   /* borrowed; at least the kind byte */
};

/* Digest stamp: whoever made the entry had this digest at this mark. */
struct stamped {
    struct mark mark;
    struct digest digest;
};
void entry_put_stamp(struct buffer *out, const struct stamped *stamped);
MUST_USE enum err entry_take_stamp(struct bytes payload, struct stamped *out); /* ERR_CORRUPT */

/* A point of verification: every copy takes a view behind this entry, and sums up its keys in
 * `ranges` ranges, into which the salt spreads them. */
enum { VERIFY_RANGES_MAX = 65536 };
struct verify_point {
    uint64_t id, salt;
    uint32_t ranges; /* 1 to VERIFY_RANGES_MAX */
};
void entry_put_verify(struct buffer *out, const struct verify_point *point);
MUST_USE enum err entry_take_verify(struct bytes payload, struct verify_point *out); /* likewise */

/* The payload of a transaction without watches, or without commands too, becomes that of an
 * ENTRY_FOLLOWED: what a primary of another make has said, and the place behind it. */
void entry_make_followed(struct buffer *payload, const struct followed *place);
MUST_USE enum err entry_take_followed(struct bytes payload, struct followed *out); /* likewise */

#endif
