/* SPDX-License-Identifier: Apache-2.0 */
/* capture: the records of a machine as one flush left them, for an image. The machine applies and
 * flushes on meanwhile.
 *
 * Whatever is said of the records (mark, digest, stamp, epochs) is read out of the same view as
 * they are, never passed in beside it (I4). */
#ifndef SEAM_CAPTURE_H
#define SEAM_CAPTURE_H

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/err.h"
#include "base/hlc.h"
#include "base/mark.h"

struct capture { /* the machine's; from machine_ops.capture until close */
    const struct capture_ops *ops;
};

struct capture_facts {
    struct mark mark;
    struct stamp stamp; /* of the entry at the mark */
    struct digest digest;
    uint64_t keys;
    uint64_t stream_offset;           /* where the stream of effects ends; 0: it was never on */
    const struct epoch_start *epochs; /* the oldest first; borrowed until close */
    size_t epoch_count;
    uint64_t bytes_expected; /* of all records, roughly: for a progress in percent */
};

/* Caller-owned; reads what was missing. */
struct capture_warm {
    enum err err;
    struct why why;
    void (*done)(struct capture_warm *warm); /* on the loop */
};

struct capture_ops {
    /* ERR_PENDING: warm(), then ask again. ERR_NOT_FOUND: nothing was flushed yet. ERR_CORRUPT,
     * ERR_IO. */
    enum err (*facts)(struct capture *capture, struct capture_facts *facts, struct why *why);
    /* The next record, ascending by key; borrowed until the next call. ERR_PENDING as above;
     * ERR_NOT_FOUND: that was all. */
    enum err (*next)(struct capture *capture, struct bytes *key, struct bytes *value);
    void (*warm)(struct capture *capture, struct capture_warm *warm);
    /* done() of a warm under way is not called any more. */
    void (*close)(struct capture *capture);
};

#endif
