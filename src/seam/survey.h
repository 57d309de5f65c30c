/* SPDX-License-Identifier: Apache-2.0 */
/* survey: questions about the records of a machine as one flush left them, answered beside all
 * other work. The machine applies and flushes on meanwhile. */
#ifndef SEAM_SURVEY_H
#define SEAM_SURVEY_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/err.h"
#include "base/mark.h"

struct survey { /* the machine's; from machine_ops.survey until close */
    const struct survey_ops *ops;
};

enum survey_kind {
    SURVEY_RECOUNT, /* every record: whether it fits the others, and the digest of all */
    SURVEY_RANGES,  /* sums: one for each range of keys */
    SURVEY_KEYS,    /* found: the keys of the ranges `wanted` */
};

enum { SURVEY_KEY_HEAD_BYTES = 4 + 1 + DIGEST_ENCODED_BYTES + 4 };

/* Caller-owned until done(). What it points to is the survey's until then. */
struct survey_ask {
    enum survey_kind kind;
    uint64_t bytes_per_s; /* 0: as fast as it can be */
    /* SURVEY_RANGES, SURVEY_KEYS: */
    uint64_t salt;
    uint32_t ranges;
    struct digest *sums;    /* caller-owned, `ranges` of them, zero */
    const uint32_t *wanted; /* ascending */
    size_t wanted_count;
    uint64_t keys_max; /* to be found; the others are only counted */
    /* Caller-owned: {range le32, database, digest, le32 size, name} of each. */
    struct buffer *found;

    /* Out. */
    struct mark mark;
    struct digest running;   /* as the flush recorded it */
    struct digest recounted; /* of the key records that are there */
    uint64_t keys;           /* that were seen; SURVEY_KEYS: of the ranges */
    uint64_t misfits;        /* SURVEY_RANGES: keys whose records do not fit one another */
    enum err err; /* ERR_CORRUPT: SURVEY_RECOUNT: records do not fit, `why` names the first one;
                     ERR_IO; ERR_SHUT: it was ended, try again; ERR_NOT_FOUND: nothing flushed */
    struct why why;
    void (*done)(struct survey_ask *ask); /* on the loop */
};

struct survey_ops {
    void (*ask)(struct survey *survey, struct survey_ask *ask); /* one at a time */
    /* Of the question under way: bytes read, and about how many there are. */
    void (*progress)(const struct survey *survey, uint64_t *bytes, uint64_t *of);
    /* While a question is under way: its done() is not called any more; what it points to stays
     * until the machine is closed. Before that. */
    void (*close)(struct survey *survey);
};

#endif
