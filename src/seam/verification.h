/* SPDX-License-Identifier: Apache-2.0 */
/* verification: whether copies hold the same, asked of each of them. A point is put into the log;
 * each copy takes a view of its state right behind it, and answers out of that view for a while. */
#ifndef SEAM_VERIFICATION_H
#define SEAM_VERIFICATION_H

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/err.h"
#include "base/mark.h"

enum verification_kind {
    VERIFICATION_BEGIN,  /* ranges: a new point; out: id. Only the primary's */
    VERIFICATION_STATUS, /* id: how far this copy is */
    VERIFICATION_RANGES, /* id: a sum for each range of keys */
    VERIFICATION_KEYS,   /* id: the keys of the ranges `wanted` */
};

enum { VERIFICATION_WANTED_MAX = 64, VERIFICATION_KEYS_MAX = 65536 };

/* Caller-owned until done(), which may come from inside verify(), or until unverify(). */
struct verification {
    enum verification_kind kind;
    uint64_t id;
    uint32_t ranges;
    uint32_t wanted[VERIFICATION_WANTED_MAX]; /* ascending */
    size_t wanted_count;
    uint64_t keys_max; /* to be named */

    /* Out. */
    const char *state; /* "flushing", "counting", "counted" */
    unsigned percent;
    uint64_t bytes, bytes_all; /* read, and about how many there are */
    struct mark mark;          /* of the view */
    struct digest digest;      /* of the key records that are in it */
    uint64_t keys;             /* in it; VERIFICATION_KEYS: in the wanted ranges */
    uint64_t misfits;          /* keys whose records do not fit one another */
    const struct digest *sums; /* `ranges` of them; for done() only, as is: */
    struct bytes found;        /* as in struct survey_ask */
    enum err err; /* ERR_NOT_FOUND: no such point here (yet, or any more); ERR_PENDING: it is not
                     counted yet; ERR_EXISTS: another question is under way; ERR_NOT_LEADER,
                     ERR_REFUSED, ERR_SHUT; with the reason */
    struct why why;
    void (*done)(struct verification *verification);
};

#endif
