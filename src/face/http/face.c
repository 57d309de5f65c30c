/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for, by path and method, and the answer. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "face/http/internal.h"

enum page { PAGE_METRICS, PAGE_HEALTH, PAGE_READY, PAGE_STATUS };

static const char text_type[] = "text/plain; charset=utf-8";

static const struct route {
    const char *path;
    enum page page;
} routes[] = {
    {"/metrics", PAGE_METRICS},
    {"/healthz", PAGE_HEALTH},
    {"/readyz", PAGE_READY},
    {"/status", PAGE_STATUS},
};

static void answer_text(struct http_answer *answer, unsigned status, const char *text)
{
    answer->status = status;
    answer->type = text_type;
    buffer_append_text(&answer->body, text);
    buffer_append_byte(&answer->body, '\n');
}

/* The page that is asked for; NULL: there is none, and that has been answered. */
static const struct route *find_route(struct http_request *request)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(request->path, routes[i].path) != 0) continue;
        if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
            return &routes[i];
        request->answer.allow = "GET, HEAD";
        answer_text(&request->answer, 405, "only GET and HEAD are known here");
        return NULL;
    }
    answer_text(&request->answer, 404, "there are /metrics, /healthz, /readyz and /status");
    return NULL;
}

static void answer_early(struct http_request *request)
{
    const struct route *route = find_route(request);
    if (route == NULL) return;
    bool healthy = route->page == PAGE_HEALTH;
    answer_text(&request->answer, healthy ? 200 : 503, healthy ? "ok" : "not ready: starting");
}

bool http_next_database(struct bytes *rest, struct http_database *out)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
    if (end == NULL) return false;
    char line[128];
    size_t size = (size_t)(end - rest->data);
    MUST(size < sizeof line);
    memcpy(line, rest->data, size);
    line[size] = '\0';
    MUST(sscanf(line, "db%u:keys=%" SCNu64 ",expires=%" SCNu64, &out->number, &out->keys,
                &out->expires) == 3);
    *rest = bytes_of(end + 1, rest->size - size - 1);
    return true;
}

const char *http_role_name(enum copies_role role)
{
    switch (role) {
    case COPIES_LEADS: return "primary";
    case COPIES_FOLLOWS: return "replica";
    case COPIES_ASKS: break;
    }
    return "asking";
}

uint64_t http_own_lag(const struct http_view *view)
{
    uint64_t durable = view->copies.primary_durable.at, applied = view->status.applied.at;
    return durable > applied ? durable - applied : 0;
}

static const char *why_not_ready(const struct service_status *status,
                                 const struct copies_status *copies)
{
    bool in_sync = copies->link_state != NULL && strcmp(copies->link_state, "in_sync") == 0;
    switch (status->phase) {
    case SERVICE_OPENING: return "starting";
    case SERVICE_STOPPING: return "stopping";
    case SERVICE_SERVING: break;
    }
    if (copies->role == COPIES_ASKS) return "the other copies are asked who leads";
    if (copies->role == COPIES_FOLLOWS) return in_sync ? NULL : "not in sync with its primary";
    if (!copies->may_write) return "writes are refused: too few copies count and are in reach";
    return status->low_space ? "writes are refused: the disk is nearly full" : NULL;
}

/* `databases` holds what view->databases borrows. */
static void look(struct http_face *face, struct http_view *view, struct buffer *databases)
{
    const struct http_options *options = &face->options;
    face->service->ops->status(face->service, &view->status);
    face->service->ops->copies(face->service, &view->copies);
    options->host->figures(options->host, &view->figures);
    face->service->ops->describe(face->service, databases);
    view->databases = buffer_bytes(databases);
    view->version = options->host->version;
    view->commit = options->host->commit;
    view->not_ready = why_not_ready(&view->status, &view->copies);
    view->uptime_us = clock_now_us(options->clock) - face->started_us;
    view->wall_ms = clock_wall_ms(options->clock);
}

static void answer_ready(struct http_answer *answer, const char *not_ready)
{
    char text[128];
    (void)snprintf(text, sizeof text, "not ready: %s", not_ready == NULL ? "" : not_ready);
    if (not_ready == NULL) answer_text(answer, 200, "ready");
    else answer_text(answer, 503, text);
}

static void answer_page(struct http_face *face, enum page page, struct http_answer *answer)
{
    if (page == PAGE_HEALTH) {
        answer_text(answer, 200, "ok");
        return;
    }
    struct buffer databases;
    buffer_init(&databases);
    struct http_view view;
    look(face, &view, &databases);
    answer->status = 200;
    switch (page) {
    case PAGE_HEALTH: break;
    case PAGE_READY: answer_ready(answer, view.not_ready); break;
    case PAGE_METRICS:
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        http_write_metrics(&view, &answer->body);
        break;
    case PAGE_STATUS:
        answer->type = "application/json";
        if (http_write_status(&view, &answer->body)) break;
        buffer_clear(&answer->body);
        answer_text(answer, 500, "no memory");
        break;
    }
    buffer_release(&databases);
}

static void asked(struct http_listener *listener, struct http_request *request)
{
    struct http_face *face = CONTAINER_OF(listener, struct http_face, listener);
    MUST(face->service != NULL);
    const struct route *route = find_route(request);
    if (route != NULL) answer_page(face, route->page, &request->answer);
    face->options.http->ops->answer(face->options.http, request);
}

void http_open(struct http_face **out, const struct http_options *options)
{
    struct http_face *face = memory_zeroed(1, sizeof *face);
    face->options = *options;
    face->listener = (struct http_listener){.asked = asked, .early = answer_early};
    face->started_us = clock_now_us(options->clock);
    *out = face;
}

enum err http_listen(struct http_face *face, const struct http_address *addresses, size_t count,
                     struct why *why)
{
    struct http *http = face->options.http;
    return http->ops->listen(http, &face->listener, addresses, count, why);
}

void http_serve(struct http_face *face, struct service *service)
{
    face->service = service;
}

void http_close(struct http_face *face)
{
    if (face == NULL) return;
    face->options.http->ops->unlisten(face->options.http, &face->listener);
    memory_free(face);
}
