/* SPDX-License-Identifier: Apache-2.0 */
/* records: the keys of a shard one after the other, by type, for codecs that know neither store nor
 * machine (RDB, comparisons). The machine gives them out of a store view and takes them into an
 * empty store.
 *
 * Elements: a string has one, its value in `first`. A list's are its items from head to tail; a
 * set's its members; a hash's `first` is the field and `second` its value; a sorted set's `first`
 * is the member and `score` its score, never NaN; a source gives it ascending by (score, member),
 * a sink takes it in any order, as it takes sets and hashes: dumps have them in none.
 *
 * On the loop any call may say ERR_PENDING: nothing was given or taken. Whoever gets it keeps its
 * place, lets wait() tell when it is worth while, and makes the same call again. */
#ifndef SEAM_RECORDS_H
#define SEAM_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/must.h"

enum record_type { RECORD_STRING, RECORD_LIST, RECORD_SET, RECORD_ZSET, RECORD_HASH };

/* What a key has beside what clients see, and what its digest covers too: a copy that is to be
 * equal needs it. All zero: not known, as in a file of another make; a sink then gives its own. */
struct record_origin {
    uint64_t version_lsn, changed_lsn; /* of the entries that created and last changed it */
    uint32_t version_ordinal;
    int64_t head; /* a list: index of its first item */
};

struct record_key {
    uint8_t database;
    enum record_type type;
    struct bytes name;
    uint64_t expires_ms; /* Unix time; 0: never */
    uint64_t count;      /* of elements, >= 1; for a sink only a claim, 0: not known before */
    struct record_origin origin;
};

struct record_element {
    struct bytes first, second;
    double score;
};

/* Caller-owned. */
struct record_wait {
    enum err err;                           /* what was waited for has failed: the call would too */
    void (*done)(struct record_wait *wait); /* on the loop */
};

/* Gives. Borrowed bytes are good until the next call. After an error other than ERR_PENDING and
 * ERR_NOT_FOUND every call answers the same. */
struct record_source {
    const struct record_source_ops *ops;
    struct why why; /* of the last error */
};

struct record_source_ops {
    /* The next key; what is left of the elements of the one before is passed over. ERR_NOT_FOUND:
     * that was all. ERR_PENDING, ERR_CORRUPT, ERR_IO. Keys come by database, ascending. */
    enum err (*key)(struct record_source *source, struct record_key *key);
    /* The next of its `count` elements; ERR_NOT_FOUND behind the last. */
    enum err (*element)(struct record_source *source, struct record_element *element);
    /* After ERR_PENDING. False: ask again at once, done() will not be called. */
    bool (*wait)(struct record_source *source, struct record_wait *wait);
};

/* Takes. Everything is borrowed for the call. After an error other than ERR_PENDING every call
 * answers the same. */
struct record_sink {
    const struct record_sink_ops *ops;
    struct why why; /* of the last error; it names the key */
};

struct record_sink_ops {
    /* A key; its elements follow, at least one and exactly key->count if that is not 0, then `end`.
     * The claim may be a lie that comes to light later: allocate nothing by it. ERR_EXISTS: the key
     * was given before. ERR_LIMIT: more than the machine can hold, or no such database. */
    enum err (*key)(struct record_sink *sink, const struct record_key *key);
    /* ERR_EXISTS: the member or field was given before. ERR_LIMIT. */
    enum err (*element)(struct record_sink *sink, const struct record_element *element);
    /* The key's last element was given. */
    enum err (*end)(struct record_sink *sink);
    /* After ERR_PENDING. False: make the call again at once, done() will not be called. */
    bool (*wait)(struct record_sink *sink, struct record_wait *wait);
};

#endif
