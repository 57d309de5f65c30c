/* SPDX-License-Identifier: Apache-2.0 */
/* mark: an exact place in one history. Every copy of the data carries the mark of what it holds. */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/must.h"

/* A 128-bit id made with the shard, and again by whatever starts a new history. */
struct history {
    uint8_t id[16];
};

/* Who may append: the number grows at every start as primary; the claiming copy's id breaks
 * ties. */
struct epoch {
    uint64_t number;
    uint64_t copy;
};

/* A log sequence number. The first entry of a shard has 1; 0 is "before everything". Dense. */
struct lsn {
    uint64_t at;
};

/* XXH3-64 over {previous lineage, epoch, lsn, stamp, payload}: equal on every copy (log.md). */
struct lineage {
    uint64_t hash;
};

/* Where an epoch began: a line of the epoch history. */
struct epoch_start {
    struct epoch epoch;
    struct lsn first;       /* of the entry that opened it */
    uint64_t stream_offset; /* of the stream of effects before it; 0: there is none */
};

struct mark {
    struct history history;
    struct epoch epoch;
    struct lsn lsn;
    struct lineage lineage;
};

enum {
    MARK_ENCODED_BYTES = 48, /* history 16, epoch number 8, epoch copy 8, lsn 8, lineage 8 */
    MARK_TEXT_BYTES = 113,   /* the longest mark_format with its terminating zero */
    HISTORY_TEXT_BYTES = 33,
};

static inline bool lsn_before(struct lsn a, struct lsn b)
{
    return a.at < b.at;
}

static inline struct lsn lsn_next(struct lsn lsn)
{
    return (struct lsn){lsn.at + 1};
}

static inline struct lsn lsn_min(struct lsn a, struct lsn b)
{
    return a.at < b.at ? a : b;
}

static inline struct lsn lsn_max(struct lsn a, struct lsn b)
{
    return a.at < b.at ? b : a;
}

/* By number, then by copy: <0, 0, >0. */
int epoch_compare(struct epoch a, struct epoch b);
bool mark_equal(const struct mark *a, const struct mark *b);

/* Fixed little-endian layout in the order of the struct (docs/formats/log.md). */
void mark_encode(const struct mark *mark, uint8_t out[MARK_ENCODED_BYTES]);
void mark_decode(const uint8_t in[MARK_ENCODED_BYTES], struct mark *mark);

/* `<history, 32 hex>:<epoch number>.<copy id>:<lsn>:<lineage, 16 hex>`, zero-terminated. */
void mark_format(const struct mark *mark, char out[MARK_TEXT_BYTES]);
/* The exact reverse; anything else is ERR_PROTOCOL and *mark is untouched. */
MUST_USE enum err mark_parse(struct bytes text, struct mark *mark);

/* 32 hex digits in lower case, zero-terminated. */
void history_format(const struct history *history, char out[HISTORY_TEXT_BYTES]);
/* The exact reverse; else false, and *history is untouched. */
MUST_USE bool history_parse(struct bytes text, struct history *history);

#endif
