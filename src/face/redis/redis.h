/* SPDX-License-Identifier: Apache-2.0 */
/* redis: the face that speaks the Redis protocol. It reads commands, hands those on stored data to
 * the service, and answers the rest (connection, transactions, pub/sub, configuration,
 * introspection) itself. */
#ifndef FACE_REDIS_REDIS_H
#define FACE_REDIS_REDIS_H

#include "base/err.h"
#include "base/must.h"
#include "base/trace.h"
#include "config/config.h"
#include "seam/clock.h"
#include "seam/disk.h"
#include "seam/entropy.h"
#include "seam/net.h"
#include "seam/service.h"

struct redis_face; /* fields: face/redis/internal.h */

/* Asked of whoever runs the server; on the loop. */
struct redis_host {
    void (*shutdown)(struct redis_host *host); /* SHUTDOWN: stop cleanly */
    const char *version;
    uint64_t process_id;
    uint64_t (*used_memory)(struct redis_host *host);            /* bytes of the process */
    uint64_t (*used_cpu_us)(struct redis_host *host, bool user); /* of the process */
    /* How and where the log is synced now ("direct", "inline"), for INFO; NULL: nobody knows. */
    void (*log_sync)(struct redis_host *host, const char **method, const char **place);
    const char *config_file; /* NULL: none, CONFIG REWRITE is refused */
};

struct redis_options {
    struct clock *clock;
    struct net *net;
    struct disk *disk; /* the configuration file, for CONFIG REWRITE */
    struct entropy *entropy;
    struct trace *trace;
    struct config *config;
    struct service *service;
    struct redis_host *host;
};

/* What the face has seen since it was made, or since CONFIG RESETSTAT. */
struct redis_figures {
    uint64_t clients; /* now */
    uint64_t connections, rejected_connections, commands, command_errors;
    uint64_t received_bytes, sent_bytes;
};
void redis_figures(const struct redis_face *face, struct redis_figures *out);

/* Makes the face; nothing listens yet. All pointers are borrowed until redis_close. */
void redis_open(struct redis_face **face, const struct redis_options *options);
/* Listens on every `bind` address and on `unixsocket`. On failure none is left listening. */
MUST_USE enum err redis_listen(struct redis_face *face, struct why *why);
/* Stops listening; clients are served on until they are closed. */
void redis_unlisten(struct redis_face *face);
/* Closes every client (what is unsent goes out for up to a second) and frees the face. NULL is
 * fine. */
void redis_close(struct redis_face *face);

#endif
