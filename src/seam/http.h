/* SPDX-License-Identifier: Apache-2.0 */
/* http: requests of web clients. The world reads them and sends the answers, off the loop, and
 * bounds their size, number and time; what they ask for and what they get is a face's to say.
 *
 * A connection carries one request; a body is read and dropped. While the loop does not answer, the
 * world tells the client so by itself (503) and goes on. */
#ifndef SEAM_HTTP_H
#define SEAM_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/err.h"

struct http {
    const struct http_ops *ops;
};

struct http_answer {
    unsigned status;    /* 200 ... */
    const char *type;   /* Content-Type; a constant */
    const char *allow;  /* of a 405: the methods that there are, a constant; else NULL */
    struct buffer body; /* left out of what is sent to a HEAD */
};

/* The world's. */
struct http_request {
    const char *method; /* "GET" */
    const char *path;   /* as it was sent, nothing decoded, without the query */
    struct http_answer answer;
};

/* Caller-owned. */
struct http_listener {
    /* On the loop: write request->answer, then give the request back with answer(), now or later.
     */
    void (*asked)(struct http_listener *listener, struct http_request *request);
    /* In the loop's place, as long as it has not begun to turn: a long start. Not on the loop
     * thread: a function of the request alone. */
    void (*early)(struct http_request *request);
    void *world; /* the world's */
};

struct http_address {
    const char *text; /* "ADDR:PORT" or "[V6]:PORT"; borrowed for listen() */
    bool optional;    /* this one may fail */
};

struct http_ops {
    /* One listener at a time. On failure nothing is left listening. */
    enum err (*listen)(struct http *http, struct http_listener *listener,
                       const struct http_address *addresses, size_t count, struct why *why);
    /* Stops listening, closes every connection, and takes back requests that are not answered: none
     * may be touched any more. Not listening is fine. */
    void (*unlisten)(struct http *http, struct http_listener *listener);
    void (*answer)(struct http *http, struct http_request *request);
};

#endif
