/* SPDX-License-Identifier: Apache-2.0 */
/* rdb: the codec of Redis's dump format, bytes in and records out, or records in and bytes out. It
 * does no I/O and has no policy: expired keys are passed on, the caller bounds what is large, and
 * what the fields beside the keys mean is for the caller to know. The format: docs/formats/rdb.md.
 *
 * A dump is known to be good only at its end, where the checksum is: what a reader gave to the sink
 * counts for nothing until rdb_reader_end says ERR_OK. */
#ifndef RDB_RDB_H
#define RDB_RDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/must.h"
#include "seam/records.h"

enum {
    RDB_VERSION_MIN = 1,
    RDB_VERSION_MAX = 11,     /* the last one that is read */
    RDB_VERSION_WRITTEN = 10, /* what Redis 7.0 writes; it refuses later ones */
};

/* A field beside the keys (AUX): "redis-ver", "repl-id" and what others put there. */
struct rdb_field {
    struct bytes name, value;
};

/* ---- Reading --------------------------------------------------------------------------------- */

/* Where fields go. */
struct rdb_listener {
    const struct rdb_listener_ops *ops;
};

struct rdb_listener_ops {
    /* Borrowed for the call. Any error but ERR_OK ends the reading with it; never ERR_PENDING. */
    enum err (*field)(struct rdb_listener *listener, const struct rdb_field *field);
};

struct rdb_reader_options {
    struct record_sink *sink;      /* borrowed until rdb_reader_close */
    struct rdb_listener *listener; /* the same; NULL: fields are passed over */
    /* The longest string that is taken, as stored and as decompressed; ERR_LIMIT beyond it. Small
     * collections are stored as one string. 0: no bound. */
    uint64_t string_bytes_max;
};

/* What was read so far. */
struct rdb_facts {
    unsigned version;    /* 0: the head is not there yet */
    uint64_t bytes;      /* taken and understood */
    uint64_t keys;       /* given to the sink */
    uint64_t empty_keys; /* collections without elements; passed over, as Redis does */
    bool checked;        /* at the end: there was a checksum, and it fits */
};

struct rdb_reader; /* fields: rdb/reader.h */

/* A reader at the beginning of a dump; the caller's until rdb_reader_close. `options` is copied. */
struct rdb_reader *rdb_reader_open(const struct rdb_reader_options *options);
void rdb_reader_close(struct rdb_reader *reader); /* NULL is fine */

/* Takes the next bytes of the dump; what comes of it does not depend on how they are split. *taken
 * is how many were taken: all, unless the dump ends among them, or the sink waits.
 *
 * Memory follows what really came, never what a length claims. There are four buffers (what came of
 * a thing that is not whole yet, the key's name, two strings); each is at most twice what is in it,
 * or RDB_READER_KEPT_BYTES. A compressed string of n bytes becomes at most 88 n.
 *
 *   ERR_PENDING   the sink said so. Wait as it tells, then give what was not taken again.
 *   ERR_CORRUPT   not a dump, or a damaged one; `why` has the offset. Also a key or member that is
 *                 there twice, if the sink notices.
 *   ERR_REFUSED   a version, type or part that this server has not; `why` names it.
 *   ERR_LIMIT     a string beyond the bound, a database beyond 255, or the sink said so.
 *   others        from sink or listener.
 * After any but the first every call answers the same, and so does rdb_reader_end. */
MUST_USE enum err rdb_reader_feed(struct rdb_reader *reader, struct bytes bytes, size_t *taken,
                                  struct why *why);

/* Whether the last byte of the dump was read; rdb_reader_feed then takes nothing more. */
bool rdb_reader_is_done(const struct rdb_reader *reader);

/* ERR_OK if the dump is whole and good. ERR_CORRUPT if it is cut short, or what failed before. */
MUST_USE enum err rdb_reader_end(const struct rdb_reader *reader, struct why *why);

struct rdb_facts rdb_reader_facts(const struct rdb_reader *reader);

/* What a reader keeps of each of its buffers when nothing large is in it. */
enum { RDB_READER_KEPT_BYTES = 64 * 1024 };

/* ---- Writing --------------------------------------------------------------------------------- */

/* How many keys a database will have, for the reader's tables: a hint. */
struct rdb_hint {
    uint64_t keys, expires;
};

struct rdb_writer_options {
    struct record_source *source;   /* borrowed until rdb_writer_close */
    const struct rdb_field *fields; /* in this order before the keys; the same */
    size_t fields_count;
    const struct rdb_hint *hints; /* by database; the same; NULL: none are written */
    size_t hints_count;
};

struct rdb_writer; /* fields: rdb/writer.c */

/* A writer at the beginning of a dump; the caller's until rdb_writer_close. `options` is copied. */
struct rdb_writer *rdb_writer_open(const struct rdb_writer_options *options);
void rdb_writer_close(struct rdb_writer *writer); /* NULL is fine */

/* Appends the next bytes of the dump, at most `room` and only at the end fewer; what comes of it
 * does not depend on how it is split. Allocates nothing but what `out` needs.
 *
 *   ERR_PENDING   the source said so; what was appended is good. Wait as the source tells, then
 *                 call again.
 *   ERR_CORRUPT   also: the source gave fewer elements than it said, or a score that is NaN.
 *   others        from the source.
 * After any but the first every call answers the same, and the dump is not to be used. */
MUST_USE enum err rdb_writer_fill(struct rdb_writer *writer, struct buffer *out, size_t room,
                                  struct why *why);

/* Whether the last byte was appended. */
bool rdb_writer_is_done(const struct rdb_writer *writer);

#endif
