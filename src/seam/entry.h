/* SPDX-License-Identifier: Apache-2.0 */
/* entry: what the log carries and the machines apply. */
#ifndef SEAM_ENTRY_H
#define SEAM_ENTRY_H

#include "base/bytes.h"
#include "base/hlc.h"
#include "base/mark.h"

/* The first byte of each payload; on disk, so append only. */
enum entry_kind {
    ENTRY_EPOCH =
        1, /* opens an epoch; the rest is empty. The log's own batch header names the epoch */
    ENTRY_COMMAND = 2,     /* one command: command/payload.h */
    ENTRY_TRANSACTION = 3, /* MULTI ... EXEC as one: command/payload.h */
    ENTRY_EXPIRE = 4,      /* removes one key if its time has come: command/payload.h */
    ENTRY_NOOP = 5,        /* nothing; keeps the log going */
    ENTRY_SERVE = 6,   /* a further attempt of a blocked command, at one key; as ENTRY_COMMAND */
    ENTRY_STREAM = 7,  /* a word to the stream of effects: command/payload.h */
    ENTRY_MEMBERS = 8, /* the copies and the rule of commits: command/payload.h */
};

struct entry {
    struct lsn lsn;
    struct epoch epoch;
    struct stamp stamp;
    struct lineage lineage; /* including this entry */
    struct bytes payload;   /* borrowed; at least the kind byte */
};

#endif
