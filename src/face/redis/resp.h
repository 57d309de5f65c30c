/* SPDX-License-Identifier: Apache-2.0 */
/* resp: the Redis serialization protocol, both ways. Pure: bytes in, words out; replies in, bytes
 * out.
 *
 * Source: the RESP2 and RESP3 specifications (redis.io/docs/reference/protocol-spec) and the limits
 * and error texts of redis-server 7.0. */
#ifndef FACE_REDIS_RESP_H
#define FACE_REDIS_RESP_H

#include "base/buffer.h"
#include "command/command.h"
#include "seam/reply.h"

enum {
    RESP_INLINE_BYTES_MAX = 64 << 10,
    RESP_WORDS_MAX = 1 << 20, /* in one command */
    RESP_WORDS_UNAUTHENTICATED_MAX = 10,
    RESP_BULK_UNAUTHENTICATED_BYTES_MAX = 16 << 10,
};

/* Reads commands out of a byte stream that arrives in any pieces: what it says depends on the bytes
 * alone. */
struct resp_reader {
    bool authenticated;      /* set by the owner: lifts the limits above */
    uint64_t bulk_bytes_max; /* set by the owner */

    size_t scanned;          /* of the input: everything before is understood */
    int64_t words;           /* still to come in this command; -1: between commands */
    int64_t bulk;            /* length of the word being awaited; -1: its header is awaited */
    struct resp_word *found; /* words of this command, as offsets into the input */
    size_t found_count, found_capacity;
    struct buffer unquoted; /* words of an inline command */
    char error[128];
};

enum resp_result {
    RESP_MORE,    /* the command is not complete */
    RESP_COMMAND, /* *args holds it; *consumed bytes are done with */
    RESP_EMPTY,   /* an empty line or array: nothing to do; *consumed bytes are done with */
    RESP_BAD,     /* reader->error says why ("ERR Protocol error: ..."); nothing more may be read */
    RESP_FOREIGN, /* an HTTP request or a TLS hello: close at once, without a word */
};

void resp_reader_init(struct resp_reader *reader);
void resp_reader_release(struct resp_reader *reader);

/* `input` begins at the first byte not consumed yet and holds at least what earlier calls for this
 * command held. The words in *args are borrowed from `input` (or the reader) until the next call.
 */
MUST_USE enum resp_result resp_read(struct resp_reader *reader, struct bytes input,
                                    struct args *args, size_t *consumed);
/* Writes replies into a buffer, up to a bound: what passes it is dropped, and `over` says that the
 * buffer is of no use any more. */
struct resp_writer {
    struct reply reply;
    struct buffer *out; /* borrowed */
    size_t bytes_max;   /* of *out; set by the owner */
    bool over;
    bool resp3;
    uint64_t errors; /* written so far */
};

void resp_writer_init(struct resp_writer *writer, struct buffer *out); /* without a bound */
/* Puts replies that are bytes already behind what is written. */
void resp_writer_put(struct resp_writer *writer, struct bytes bytes);

#endif
