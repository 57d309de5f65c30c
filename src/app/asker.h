/* SPDX-License-Identifier: Apache-2.0 */
/* asker: a tool's connection to the Redis port of a server: one request, one answer. */
#ifndef APP_ASKER_H
#define APP_ASKER_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/must.h"

/* A status, a number or a string; of an array, one of its elements. */
struct asker_item {
    char kind; /* '+', ':' or '$'; '-': an error, which is an answer of its own */
    int64_t number;
    struct bytes text; /* until the next request; empty where nothing was said */
};

/* Caller-owned. */
struct asker {
    const char *address;
    struct real_line *line; /* NULL: not connected */
    struct buffer out, in;
    size_t at; /* in it: what is to be read next */
    struct asker_item *items;
    size_t count, capacity;
};

MUST_USE enum err asker_open(struct asker *asker, const char *address, uint64_t timeout_us,
                             struct why *why);
void asker_close(struct asker *asker); /* not opened is fine */
/* Items are those of the answer: of an array that has no arrays in it, each element. ERR_REFUSED:
 * the server answered with an error, which `why` gives and items[0] is; ERR_IO, ERR_PROTOCOL. */
MUST_USE enum err asker_ask(struct asker *asker, const struct bytes *words, size_t count,
                            struct why *why);

#endif
