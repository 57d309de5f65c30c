/* SPDX-License-Identifier: Apache-2.0 */
/* bed: the HTTP face over a service, a host, a clock and an http seam that do what a test says. */
#ifndef TEST_FACE_HTTP_BED_H
#define TEST_FACE_HTTP_BED_H

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "face/http/internal.h"
#include "test/test.h"

struct http_bed {
    struct clock clock;
    uint64_t now_us, wall_ms;
    struct service service;
    struct service_status status;
    struct copies_status copies;
    const char *databases;
    struct http_host host;
    struct http_figures figures;
    unsigned asked_service;
    struct http http;
    struct http_listener *listener;
    enum err listen_err;
    char
        listened[256]; /* the addresses, each followed by a space, optional ones by "?" before it */
    unsigned answered;
    struct histogram commit_us, sync_us;
    struct http_face *face;
};

static inline uint64_t http_bed_now_us(struct clock *clock)
{
    return CONTAINER_OF(clock, struct http_bed, clock)->now_us;
}

static inline uint64_t http_bed_wall_ms(struct clock *clock)
{
    return CONTAINER_OF(clock, struct http_bed, clock)->wall_ms;
}

static inline void http_bed_status(struct service *service, struct service_status *out)
{
    struct http_bed *bed = CONTAINER_OF(service, struct http_bed, service);
    bed->asked_service++;
    *out = bed->status;
}

static inline void http_bed_copies(struct service *service, struct copies_status *out)
{
    *out = CONTAINER_OF(service, struct http_bed, service)->copies;
}

static inline void http_bed_describe(struct service *service, struct buffer *out)
{
    buffer_append_text(out, CONTAINER_OF(service, struct http_bed, service)->databases);
}

static inline void http_bed_figures(struct http_host *host, struct http_figures *out)
{
    *out = CONTAINER_OF(host, struct http_bed, host)->figures;
}

static inline enum err http_bed_listen(struct http *http, struct http_listener *listener,
                                       const struct http_address *addresses, size_t count,
                                       struct why *why)
{
    struct http_bed *bed = CONTAINER_OF(http, struct http_bed, http);
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(bed->listened);
        (void)snprintf(bed->listened + used, sizeof bed->listened - used, "%s%s ",
                       addresses[i].text, addresses[i].optional ? "?" : "");
    }
    if (bed->listen_err != ERR_OK) return why_fail(why, bed->listen_err, "no");
    bed->listener = listener;
    return ERR_OK;
}

static inline void http_bed_unlisten(struct http *http, struct http_listener *listener)
{
    struct http_bed *bed = CONTAINER_OF(http, struct http_bed, http);
    assert_true(bed->listener == NULL || bed->listener == listener);
    bed->listener = NULL;
}

static inline void http_bed_answer(struct http *http, struct http_request *request)
{
    assert_non_null(request->answer.type);
    CONTAINER_OF(http, struct http_bed, http)->answered++;
}

/* Every figure another one, so that none can stand in another's place. */
static inline void http_bed_fill(struct http_bed *bed)
{
    bed->now_us = 5000000;
    bed->wall_ms = 1700000100000;
    bed->databases = "db0:keys=31,expires=32,avg_ttl=0\r\ndb15:keys=33,expires=34,avg_ttl=0\r\n";
    bed->figures = (struct http_figures){1, 2, 3,        4,        5,        6,        7,
                                         8, 9, 10000000, 11000000, "always", "direct", "inline"};
    histogram_add(&bed->commit_us, 1, 1);
    histogram_add(&bed->commit_us, 700, 2);
    histogram_add(&bed->sync_us, 100000000, 1);
    bed->status = (struct service_status){
        .shard = "keys",
        .phase = SERVICE_SERVING,
        .appended = {26},
        .durable = {25},
        .committed = {24},
        .applied = {23},
        .flushed = {22},
        .floor = {21},
        .mark = {.history = {{1}}, .epoch = {12, 13}, .lsn = {23}, .lineage = {14}},
        .digest = {15, 16},
        .mode = "local",
        .start_outcome = "execute",
        .start_reason = "behind_image",
        .start_gap_entries = 35,
        .start_us = 36000,
        .log_bytes = 37,
        .memory_bytes = 38,
        .unflushed_bytes = 39,
        .log_segments = 40,
        .log_written_bytes = 41,
        .syncs = 42,
        .sync_us_last = 43,
        .sync_us_worst = 44,
        .batches = 45,
        .entries = 46,
        .calls_waiting = 47,
        .expired_keys = 48,
        .apply_backlog = 51,
        .read_back = 52,
        .reads_fetching = 49,
        .waiters = 50,
        .commit_us = &bed->commit_us,
        .sync_us = &bed->sync_us,
        .clock_jump_ms = -1500,
        .archive = {.on = true,
                    .failing = true,
                    .covered = true,
                    .lsn = {71},
                    .image = {72},
                    .lag_entries = 73,
                    .lag_us = 74,
                    .bytes = 75,
                    .failures = 76,
                    .gaps = 77},
        .images = {.ended = 51,
                   .images = 52,
                   .bad = 53,
                   .checked_s = 54,
                   .changes = 55,
                   .lsn = {56},
                   .saved_s = 1700000043,
                   .bytes = 58,
                   .took_us = 59,
                   .bytes_done = 60,
                   .bytes_expected = 61,
                   .why = {"no space"}},
    };
}

/* A primary with one copy that follows it. */
static inline void http_bed_fill_copies(struct http_bed *bed)
{
    bed->status.stamps = (struct service_stamps){78, 79, 0, {.lsn = {80}}, 81, 82, {83}};
    bed->copies = (struct copies_status){.role = COPIES_LEADS,
                                         .copy = 80,
                                         .epoch = {12, 13},
                                         .all = true,
                                         .min_in_sync = 81,
                                         .counting = 82,
                                         .in_sync = 83,
                                         .may_write = true,
                                         .damaged_frames = 87,
                                         .peer_guard = "tls",
                                         .tls_refused = 92,
                                         .tls_cut = 93,
                                         .count = 1,
                                         .at = {{.id = 0xabc,
                                                 .peer = "10.0.0.1:1",
                                                 .redis = "10.0.0.1:2",
                                                 .configured = true,
                                                 .counts = true,
                                                 .connected = true,
                                                 .state = "catching_up",
                                                 .plan = "catch_up",
                                                 .rule = "behind",
                                                 .durable = {84},
                                                 .applied = {85},
                                                 .flushed = {86},
                                                 .lag_entries = 87,
                                                 .lag_bytes = 88,
                                                 .lag_ms = 89,
                                                 .image_done = 90,
                                                 .image_bytes = 91,
                                                 .contact_us = 92}}};
}

static inline void http_bed_open(struct http_bed *bed)
{
    static const struct clock_ops clock_ops = {.now_us = http_bed_now_us,
                                               .wall_ms = http_bed_wall_ms};
    static const struct service_ops service_ops = {
        .status = http_bed_status, .describe = http_bed_describe, .copies = http_bed_copies};
    static const struct http_ops http_ops = {http_bed_listen, http_bed_unlisten, http_bed_answer};
    *bed = (struct http_bed){.clock = {&clock_ops},
                             .service = {.ops = &service_ops},
                             .host = {http_bed_figures, "1.2.3", "c0ffee"},
                             .http = {&http_ops}};
    struct http_options options = {&bed->clock, &bed->http, &bed->host};
    http_open(&bed->face, &options);
    http_bed_fill(bed);
    http_bed_fill_copies(bed);
}

static inline void http_bed_close(struct http_bed *bed)
{
    http_close(bed->face);
    assert_null(bed->listener);
}

/* Asks on the loop, or before it turns; the body is zero-terminated. Released by the caller. */
static inline struct http_answer http_bed_ask(struct http_bed *bed, bool early, const char *method,
                                              const char *path)
{
    struct http_request request = {.method = method, .path = path};
    buffer_init(&request.answer.body);
    unsigned answered = bed->answered;
    if (early) bed->listener->early(&request);
    else bed->listener->asked(bed->listener, &request);
    assert_int_equal(bed->answered, answered + (early ? 0 : 1));
    buffer_append_byte(&request.answer.body, 0);
    return request.answer;
}

#endif
