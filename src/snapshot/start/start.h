/* SPDX-License-Identifier: Apache-2.0 */
/* start: the gate: what a start does with the log, the store and the images that it finds. A pure
 * function over facts that were read before; no I/O.
 *
 * Any doubt about the store restores in full: an image is installed in a new store and the log is
 * replayed from there, or the whole log if it has its beginning. That is never wrong, only slow. A
 * store that is ahead of its log is no doubt about the store but about the log, which has lost
 * what was acked: refused. So is whatever can only be restored with a gap. */
#ifndef START_START_H
#define START_START_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mark.h"
#include "base/must.h"

/* How the log stands to a mark. */
enum start_place {
    PLACE_NOT_ASKED,
    PLACE_BELOW,   /* before everything that the log still knows */
    PLACE_AGREES,  /* the log has, or had just before its first entry, this epoch and lineage */
    PLACE_DIFFERS, /* it has others there */
    PLACE_ABOVE,   /* behind its end */
};

enum start_store {
    STORE_MARKED,     /* it has a mark */
    STORE_EMPTY,      /* nothing was ever flushed to it */
    STORE_ABSENT,     /* there is none where the pointer leads */
    STORE_NO_MARK,    /* records without a mark */
    STORE_BAD_MARK,   /* its mark does not read */
    STORE_UNREADABLE, /* it cannot be read */
    STORE_LATER,      /* of a format that has no reader here */
    STORE_FOREIGN,    /* of another history */
};

/* An image whose header reads. */
struct start_image {
    struct mark mark;
    enum start_place place;
};

struct start_facts {
    struct history history; /* the pointer's */
    bool fresh;             /* the first start: log and store were made just now */
    bool log;               /* there is one; else nothing of what follows */
    struct history log_history;
    struct lsn first, last, committed; /* kept; recorded */
    enum start_store store;
    struct mark mark; /* of STORE_MARKED */
    enum start_place place;
    const struct start_image *images; /* the newest first */
    size_t image_count;
};

enum start_outcome {
    START_FRESH,
    START_SKIP,     /* the store is good: replay behind its mark */
    START_EXECUTE,  /* the store is behind or gone: plan.image into a new one, then replay */
    START_FALLBACK, /* the store is in doubt: the same */
    START_REFUSE,
    START_ASK, /* the place of plan.image is wanted: fill it in and decide again */
};

enum start_reason {
    REASON_NONE,
    /* execute */
    REASON_BEHIND_IMAGE,
    REASON_BEHIND_LOG,
    REASON_STORE_MISSING,
    /* fallback */
    REASON_NO_MARK,
    REASON_BAD_MARK,
    REASON_READ_ERROR,
    REASON_NO_READER,
    /* refuse */
    REASON_LOG_MISSING,
    REASON_LOG_ENDS_BEFORE_STORE,
    REASON_LOG_ENDS_BEFORE_IMAGE,
    REASON_LINEAGE_DIFFERS,
    REASON_HOLE,
    REASON_NO_IMAGE,
    START_REASONS,
};

enum { START_NO_IMAGE = -1 };

struct start_plan {
    enum start_outcome outcome;
    enum start_reason reason;
    int image; /* to install, to ask about, or that the log does not reach; START_NO_IMAGE: none,
                  the log has its beginning */
};

void start_decide(const struct start_facts *facts, struct start_plan *plan);

const char *start_outcome_name(enum start_outcome outcome); /* "fresh", "skip", ... */
const char *start_reason_name(enum start_reason reason);    /* "no_mark"; "" for none */
/* What an operator can do about a refusal, one sentence. */
const char *start_reason_advice(enum start_reason reason);

#endif
