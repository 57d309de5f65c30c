/* SPDX-License-Identifier: Apache-2.0 */
/* internal: the fields of the face, and what a page is made of. */
#ifndef FACE_HTTP_INTERNAL_H
#define FACE_HTTP_INTERNAL_H

#include "face/http/http.h"

struct http_face {
    struct http_options options;
    struct http_listener listener;
    struct service *service; /* NULL: still starting */
    uint64_t started_us;
};

/* All that is said at one time, so that the figures of a page fit together. */
struct http_view {
    struct service_status status;
    struct copies_status copies;
    struct http_figures figures;
    struct bytes databases; /* what service_ops.describe wrote; borrowed */
    const char *version, *commit;
    const char *not_ready; /* why commands are not served now; NULL: they are */
    uint64_t uptime_us, wall_ms;
};

/* A line of the service's description of its databases. */
struct http_database {
    unsigned number;
    uint64_t keys, expires;
};

/* "primary", "replica" or "asking". */
const char *http_role_name(enum copies_role role);
/* Of entries that this copy's primary has and its own data lack. */
uint64_t http_own_lag(const struct http_view *view);

/* Takes the next line off *rest; false at the end. */
bool http_next_database(struct bytes *rest, struct http_database *out);

void http_write_metrics(const struct http_view *view, struct buffer *out);
/* False: no memory. */
bool http_write_status(const struct http_view *view, struct buffer *out);

#endif
