/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the copies: ROLE, REPL.STATUS, REPL.LAG, REPL.EVENTS, INFO's section. Places that
 * Redis gives as offsets are such of the stream of effects while it is on, else places in the log:
 * LSNs. */
#include "face/redis/copies.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "face/redis/internal.h"

enum { EVENTS_SHOWN = 64, HEX_TEXT_BYTES = 17 };

void face_copies(const struct redis_face *face, struct copies_status *out)
{
    struct service *service = face->options.service;
    service->ops->copies(service, out);
}

void face_primary(const struct redis_face *face, struct buffer *out)
{
    struct copies_status copies;
    face_copies(face, &copies);
    if (copies.role == COPIES_LEADS || copies.primary_host[0] == '\0') return;
    buffer_append_format(out, "%s %u", copies.primary_host, copies.primary_port);
}

/* "host:port" or "[v6]:port" in two. */
struct place {
    struct bytes host, port;
};

static struct place place_of(const char *address)
{
    struct place place = {.host = bytes_text(address)};
    const char *colon = strrchr(address, ':');
    if (colon == NULL) return place;
    place.host.size = (size_t)(colon - address);
    place.port = bytes_text(colon + 1);
    if (place.host.size >= 2 && address[0] == '[')
        place.host = bytes_of(place.host.data + 1, place.host.size - 2);
    return place;
}

/* As clients are to reach it; what is not known is shown by what is. */
static struct place client_place(const struct copy_status *copy)
{
    return place_of(copy->redis[0] != '\0' ? copy->redis : copy->peer);
}

static const char *redis_state(const struct copy_status *copy)
{
    return copy->image_bytes > 0 ? "send_bulk" : "online";
}

/* In Redis's words; before a link was ever tried, the first of them. */
static const char *link_name(const struct copies_status *copies)
{
    return copies->link == NULL ? "connect" : copies->link;
}

static bool link_is_up(const struct copies_status *copies)
{
    return strcmp(link_name(copies), "connected") == 0;
}

/* --- ROLE --- */

static void put_number_text(struct reply *reply, uint64_t number)
{
    char text[NUMBER_TEXT_BYTES];
    reply->ops->bulk(reply, bytes_of(text, number_format_uint64(number, text)));
}

static void role_of_primary(const struct redis_face *face, const struct copies_status *copies,
                            struct reply *reply)
{
    struct service_status status;
    face->options.service->ops->status(face->options.service, &status);
    reply->ops->array(reply, 3);
    reply->ops->bulk(reply, bytes_text("master"));
    reply->ops->integer(reply, (int64_t)replicas_offset(face, status.durable));
    size_t opened = reply->ops->array_open(reply), count = 0;
    for (unsigned i = 0; i < copies->count; i++) {
        const struct copy_status *copy = &copies->at[i];
        if (!copy->connected || copy->image_bytes > 0) continue;
        struct place place = client_place(copy);
        reply->ops->array(reply, 3);
        reply->ops->bulk(reply, place.host);
        reply->ops->bulk(reply, place.port);
        put_number_text(reply, replicas_offset_at(face, copy->applied));
        count++;
    }
    count += replicas_role(face, reply);
    reply->ops->array_close(reply, opened, count);
}

void face_ROLE(struct client *client, const struct args *args)
{
    (void)args;
    struct copies_status copies;
    face_copies(client->face, &copies);
    struct reply *reply = client_reply(client);
    if (copies.role == COPIES_LEADS) {
        role_of_primary(client->face, &copies, reply);
        return;
    }
    struct service_status status;
    client->face->options.service->ops->status(client->face->options.service, &status);
    reply->ops->array(reply, 5);
    reply->ops->bulk(reply, bytes_text("slave"));
    reply->ops->bulk(reply, bytes_text(copies.primary_host));
    reply->ops->integer(reply, copies.primary_port);
    reply->ops->bulk(reply, bytes_text(link_name(&copies)));
    int64_t offset = (int64_t)replicas_offset(client->face, status.applied);
    if (copies.redis) offset = (int64_t)copies.redis_offset;
    reply->ops->integer(reply, link_is_up(&copies) ? offset : -1);
}

/* --- REPL.STATUS, REPL.LAG --- */

/* A map whose size is known when it is closed. */
struct fields {
    struct reply *reply;
    size_t opened, count;
};

static struct fields fields_open(struct reply *reply)
{
    return (struct fields){.reply = reply, .opened = reply->ops->array_open(reply)};
}

static void fields_close(const struct fields *fields)
{
    fields->reply->ops->map_close(fields->reply, fields->opened, fields->count);
}

static void put_name(struct fields *fields, const char *name)
{
    fields->reply->ops->bulk(fields->reply, bytes_text(name));
    fields->count++;
}

static void put_text(struct fields *fields, const char *name, const char *text)
{
    put_name(fields, name);
    fields->reply->ops->bulk(fields->reply, bytes_text(text == NULL ? "" : text));
}

static void put_number(struct fields *fields, const char *name, uint64_t number)
{
    put_name(fields, name);
    fields->reply->ops->integer(fields->reply, number > INT64_MAX ? INT64_MAX : (int64_t)number);
}

static void put_hex(struct fields *fields, const char *name, uint64_t number)
{
    char text[HEX_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%016" PRIx64, number);
    put_text(fields, name, text);
}

/* As in a mark; text, since one may be larger than a reply's integer. */
static void put_copy_id(struct fields *fields, const char *name, uint64_t id)
{
    char text[NUMBER_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%" PRIu64, id);
    put_text(fields, name, text);
}

/* As in a mark. */
static void put_epoch(struct fields *fields, struct epoch epoch)
{
    char text[2 * NUMBER_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64, epoch.number, epoch.copy);
    put_text(fields, "epoch", text);
}

static const char *role_name(enum copies_role role)
{
    switch (role) {
    case COPIES_LEADS: return "primary";
    case COPIES_FOLLOWS: return "replica";
    case COPIES_ASKS: break;
    }
    return "asking";
}

static void put_lag(struct fields *fields, const struct copy_status *copy)
{
    put_number(fields, "lag-entries", copy->lag_entries);
    put_number(fields, "lag-bytes", copy->lag_bytes);
    put_number(fields, "lag-ms", copy->lag_ms);
}

static void put_copy(struct reply *reply, const struct copy_status *copy)
{
    struct fields fields = fields_open(reply);
    put_copy_id(&fields, "id", copy->id);
    put_number(&fields, "incarnation", copy->incarnation);
    put_text(&fields, "peer", copy->peer);
    put_text(&fields, "redis", copy->redis);
    put_number(&fields, "configured", copy->configured);
    put_number(&fields, "counts", copy->counts);
    put_number(&fields, "connected", copy->connected);
    put_text(&fields, "state", copy->state);
    put_number(&fields, "needs-rebuild", copy->needs_rebuild);
    put_text(&fields, "plan", copy->plan);
    put_text(&fields, "rule", copy->rule);
    put_number(&fields, "durable", copy->durable.at);
    put_number(&fields, "applied", copy->applied.at);
    put_number(&fields, "flushed", copy->flushed.at);
    put_lag(&fields, copy);
    put_number(&fields, "heard-ms", copy->contact_us / 1000);
    put_number(&fields, "image-done-bytes", copy->image_done);
    put_number(&fields, "image-bytes", copy->image_bytes);
    fields_close(&fields);
}

static void put_link(struct fields *fields, const struct copies_status *copies)
{
    put_text(fields, "primary-host", copies->primary_host);
    put_number(fields, "primary-port", copies->primary_port);
    put_copy_id(fields, "primary-copy", copies->primary_copy);
    put_text(fields, "link", link_name(copies));
    put_text(fields, "link-state", copies->link_state);
    put_number(fields, "link-down-ms", copies->link_down_us / 1000);
    put_number(fields, "heard-ms", copies->heard_us / 1000);
    put_number(fields, "primary-durable", copies->primary_durable.at);
    put_number(fields, "primary-committed", copies->primary_committed.at);
    if (copies->redis) {
        put_text(fields, "primary-kind", "redis");
        put_number(fields, "redis-offset", copies->redis_offset);
    }
    put_number(fields, "sync-done-bytes", copies->sync_done);
    put_number(fields, "sync-bytes", copies->sync_bytes);
    put_text(fields, "why", copies->why.text);
}

void face_REPL_STATUS(struct client *client, const struct args *args)
{
    (void)args;
    struct copies_status copies;
    face_copies(client->face, &copies);
    struct reply *reply = client_reply(client);
    struct fields fields = fields_open(reply);
    put_text(&fields, "role", role_name(copies.role));
    put_copy_id(&fields, "copy", copies.copy);
    put_hex(&fields, "cluster", copies.cluster);
    put_epoch(&fields, copies.epoch);
    put_text(&fields, "mode", copies.all ? "all" : "local");
    put_number(&fields, "min-in-sync", copies.min_in_sync);
    put_number(&fields, "counting", copies.counting);
    put_number(&fields, "in-sync", copies.in_sync);
    put_number(&fields, "may-write", copies.may_write);
    put_number(&fields, "peer-port", copies.peer_port);
    put_number(&fields, "damaged-frames", copies.damaged_frames);
    put_text(&fields, "peer-guard", copies.peer_guard);
    put_number(&fields, "tls-refused", copies.tls_refused);
    put_number(&fields, "tls-cut", copies.tls_cut);
    if (copies.role != COPIES_LEADS) put_link(&fields, &copies);
    put_name(&fields, "copies");
    reply->ops->array(reply, copies.count);
    for (unsigned i = 0; i < copies.count; i++) put_copy(reply, &copies.at[i]);
    fields_close(&fields);
}

/* How far this copy is behind what its primary has told it. */
static void put_own_lag(const struct redis_face *face, const struct copies_status *copies,
                        struct reply *reply)
{
    struct service_status status;
    face->options.service->ops->status(face->options.service, &status);
    uint64_t durable = copies->primary_durable.at, applied = status.applied.at;
    struct fields fields = fields_open(reply);
    put_copy_id(&fields, "id", copies->copy);
    put_text(&fields, "state", copies->link_state);
    put_number(&fields, "lag-entries", durable > applied ? durable - applied : 0);
    put_number(&fields, "heard-ms", copies->heard_us / 1000);
    fields_close(&fields);
}

/* On a replica itself comes first, then the copies that follow it. */
void face_REPL_LAG(struct client *client, const struct args *args)
{
    (void)args;
    struct copies_status copies;
    face_copies(client->face, &copies);
    struct reply *reply = client_reply(client);
    bool own = copies.role != COPIES_LEADS;
    reply->ops->array(reply, copies.count + (own ? 1U : 0U));
    if (own) put_own_lag(client->face, &copies, reply);
    for (unsigned i = 0; i < copies.count; i++) {
        struct fields fields = fields_open(reply);
        put_copy_id(&fields, "id", copies.at[i].id);
        put_text(&fields, "state", copies.at[i].state);
        put_lag(&fields, &copies.at[i]);
        put_number(&fields, "heard-ms", copies.at[i].contact_us / 1000);
        fields_close(&fields);
    }
}

/* --- REPL.EVENTS --- */

static void put_event(struct reply *reply, const struct copy_event *event)
{
    struct fields fields = fields_open(reply);
    put_number(&fields, "number", event->number);
    put_number(&fields, "at-us", event->at_us);
    put_text(&fields, "what", event->what);
    put_copy_id(&fields, "copy", event->copy);
    put_hex(&fields, "session", event->session);
    put_epoch(&fields, event->epoch);
    put_text(&fields, "state", event->state);
    put_text(&fields, "rule", event->rule);
    put_text(&fields, "reason", event->reason);
    fields_close(&fields);
}

/* REPL.EVENTS [n]: the newest n of those that are kept, the oldest of them first. */
void face_REPL_EVENTS(struct client *client, const struct args *args)
{
    int64_t most = EVENTS_SHOWN;
    if (args->count > 2) {
        answer_error(client, "ERR syntax error");
        return;
    }
    if (args->count == 2 && (!number_parse_int64(args->at[1], &most) || most < 0)) {
        answer_error(client, "ERR value is not an integer or out of range");
        return;
    }
    struct service *service = client->face->options.service;
    struct copy_event event;
    uint64_t first = 0, count = 0;
    if (service->ops->copy_event(service, 0, &event)) {
        first = event.number;
        while (service->ops->copy_event(service, first + count, &event)) count++;
    }
    uint64_t shown = count < (uint64_t)most ? count : (uint64_t)most;
    struct reply *reply = client_reply(client);
    size_t opened = reply->ops->array_open(reply), written = 0;
    for (uint64_t at = first + count - shown; at < first + count; at++) {
        if (!service->ops->copy_event(service, at, &event)) break;
        put_event(reply, &event);
        written++;
    }
    reply->ops->array_close(reply, opened, written);
}

/* --- INFO --- */

static void describe_link(const struct redis_face *face, const struct copies_status *copies,
                          const struct service_status *status, struct buffer *out)
{
    bool up = link_is_up(copies);
    bool syncing = copies->syncing || copies->sync_bytes > 0;
    buffer_append_format(
        out,
        "role:slave\r\nmaster_host:%s\r\nmaster_port:%u\r\nmaster_link_status:%s\r\n"
        "master_last_io_seconds_ago:%" PRId64 "\r\nmaster_sync_in_progress:%d\r\n"
        "slave_read_repl_offset:%" PRIu64 "\r\nslave_repl_offset:%" PRIu64 "\r\n",
        copies->primary_host, copies->primary_port, up ? "up" : "down",
        up ? (int64_t)(copies->heard_us / 1000000) : INT64_C(-1), syncing ? 1 : 0,
        copies->redis ? copies->redis_offset : replicas_offset(face, status->appended),
        copies->redis ? copies->redis_offset : replicas_offset(face, status->applied));
    if (syncing) {
        uint64_t done = copies->sync_done, all = copies->sync_bytes;
        buffer_append_format(
            out,
            "master_sync_total_bytes:%" PRIu64 "\r\nmaster_sync_read_bytes:%" PRIu64
            "\r\nmaster_sync_left_bytes:%" PRIu64 "\r\nmaster_sync_perc:%.2f\r\n"
            "master_sync_last_io_seconds_ago:%" PRIu64 "\r\n",
            all, done, all > done ? all - done : 0, all == 0 ? 0 : (double)done * 100 / (double)all,
            copies->heard_us / 1000000);
    }
    if (!up) {
        buffer_append_format(out, "master_link_down_since_seconds:%" PRIu64 "\r\n",
                             copies->link_down_us / 1000000);
    }
    buffer_append_text(out, "slave_priority:100\r\nslave_read_only:1\r\nreplica_announced:1\r\n");
}

static void describe_copies(const struct redis_face *face, const struct copies_status *copies,
                            struct buffer *out)
{
    unsigned connected = replicas_count(face), at = 0;
    for (unsigned i = 0; i < copies->count; i++) connected += copies->at[i].connected ? 1 : 0;
    buffer_append_format(out, "connected_slaves:%u\r\n", connected);
    for (unsigned i = 0; i < copies->count; i++) {
        const struct copy_status *copy = &copies->at[i];
        if (!copy->connected) continue;
        struct place place = client_place(copy);
        buffer_append_format(
            out, "slave%u:ip=%.*s,port=%.*s,state=%s,offset=%" PRIu64 ",lag=%" PRIu64 "\r\n", at++,
            (int)place.host.size, (const char *)place.host.data, (int)place.port.size,
            (const char *)place.port.data, redis_state(copy),
            replicas_offset_at(face, copy->applied), copy->contact_us / 1000000);
    }
    replicas_describe(face, at, out);
}

void copies_describe(const struct redis_face *face, const struct service_status *status,
                     struct buffer *out)
{
    struct copies_status copies;
    face_copies(face, &copies);
    if (copies.role == COPIES_LEADS) buffer_append_text(out, "role:master\r\n");
    else describe_link(face, &copies, status, out);
    describe_copies(face, &copies, out);
    buffer_append_format(out, "master_failover_state:%s\r\n",
                         copies.failing_over ? "waiting-for-sync" : "no-failover");
    bool leads = copies.role == COPIES_LEADS;
    replicas_describe_stream(face, leads ? status->durable : status->applied, out);
    buffer_append_format(out, "tidemark_peer_port:%u\r\ntidemark_copy:%" PRIu64 "\r\n",
                         copies.peer_port, copies.copy);
}

void copies_describe_own(const struct redis_face *face, struct buffer *out)
{
    struct copies_status copies;
    face_copies(face, &copies);
    buffer_append_format(out,
                         "copy:%" PRIu64 "\r\ncopy_role:%s\r\nmin_in_sync:%u\r\n"
                         "copies:%u\r\ncopies_counting:%u\r\ncopies_in_sync:%u\r\n"
                         "copies_may_write:%d\r\ncopies_damaged_frames:%" PRIu64 "\r\n",
                         copies.copy, role_name(copies.role), copies.min_in_sync, copies.count,
                         copies.counting, copies.in_sync, copies.may_write ? 1 : 0,
                         copies.damaged_frames);
}
