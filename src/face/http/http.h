/* SPDX-License-Identifier: Apache-2.0 */
/* http: the face for those who watch: metrics for Prometheus, health for whoever restarts the
 * server, and the state of things as JSON. It only reads.
 *
 *   /metrics   Prometheus's text format 0.0.4; docs/metrics.md lists every metric
 *   /healthz   200 as long as the server's loop answers, and while it starts
 *   /readyz    200 when commands are served; else 503 with the reason
 *   /status    JSON */
#ifndef FACE_HTTP_HTTP_H
#define FACE_HTTP_HTTP_H

#include "base/err.h"
#include "base/must.h"
#include "seam/clock.h"
#include "seam/http.h"
#include "seam/service.h"

struct http_face; /* fields: face/http/internal.h */

/* What the service behind the face does not know. */
struct http_figures {
    uint64_t clients, clients_max;
    uint64_t connections, rejected_connections, commands, command_errors;
    uint64_t received_bytes, sent_bytes;
    uint64_t memory_bytes, cpu_user_us, cpu_system_us; /* of the process */
    const char *durability;                            /* "always"; constants, these and below */
    const char *sync_method, *sync_place;
};

/* Asked of whoever runs the server; on the loop. */
struct http_host {
    void (*figures)(struct http_host *host, struct http_figures *out);
    const char *version, *commit;
};

struct http_options {
    struct clock *clock;
    struct http *http;
    struct http_host *host;
};

/* Makes the face; nothing listens yet. All pointers are borrowed until http_close. */
void http_open(struct http_face **face, const struct http_options *options);
/* On failure nothing is left listening. */
MUST_USE enum err http_listen(struct http_face *face, const struct http_address *addresses,
                              size_t count, struct why *why);
/* Whom to ask, once there is someone and before the loop turns; borrowed until http_close. */
void http_serve(struct http_face *face, struct service *service);
void http_close(struct http_face *face); /* NULL is fine */

#endif
