/* SPDX-License-Identifier: Apache-2.0 */
#include "face/psync/upstream.h"

#include <string.h>

enum {
    DIAL_US = 5 * 1000 * 1000,
    TICK_US = 1000 * 1000,
    /* The pause behind a failure doubles from the first to the second figure; behind what time
       alone hardly mends it is the third. */
    PAUSE_US_MIN = 100 * 1000,
    PAUSE_US_MAX = 2 * 1000 * 1000,
    PAUSE_US_LATER = 5 * 1000 * 1000,
};

static const struct net_ops *net_of(const struct upstream *upstream)
{
    return upstream->options->net->ops;
}

static struct clock *clock_of(const struct upstream *upstream)
{
    return upstream->options->clock;
}

static uint64_t now_us(const struct upstream *upstream)
{
    return clock_now_us(clock_of(upstream));
}

/* --- The end of a link --- */

static void hang_up(struct upstream *upstream)
{
    clock_timer_stop(clock_of(upstream), &upstream->timer);
    clock_timer_stop(clock_of(upstream), &upstream->again);
    net_of(upstream)->cancel(upstream->options->net, &upstream->dial);
    if (upstream->phase == UPSTREAM_LINKED) {
        upstream->installs = upstream->follow.phase == FOLLOW_INSTALL;
        upstream->heard_us = upstream->follow.heard_us;
        net_of(upstream)->close(upstream->stream, false);
        follow_close(&upstream->follow);
    }
    upstream->stream = NULL;
}

static uint64_t pause_us(const struct upstream *upstream, enum follow_end end)
{
    if (end == FOLLOW_LATER) return PAUSE_US_LATER;
    uint64_t pause = PAUSE_US_MIN;
    for (unsigned i = 0; i < upstream->failures && pause < PAUSE_US_MAX; i++) pause *= 2;
    return pause < PAUSE_US_MAX ? pause : PAUSE_US_MAX;
}

static void note_why(struct upstream *upstream, const struct why *why, bool stops)
{
    struct intake_order order;
    upstream->why = *why;
    if (strcmp(why->text, upstream->why_traced.text) == 0) return;
    upstream->why_traced = *why;
    upstream->intake->ops->order(upstream->intake, &order);
    trace_event(upstream->options->trace, TRACE_WARNING, "psync",
                stops ? "follow_stopped" : "follow_failed", "address=%s why=\"%s\"", order.address,
                why->text);
}

static void over(struct upstream *upstream, enum follow_end end, const struct why *why)
{
    struct why kept = *why;
    bool was_up = upstream->phase == UPSTREAM_LINKED && upstream->follow.streamed;
    hang_up(upstream);
    if (was_up) upstream->why_traced = (struct why){""};
    note_why(upstream, &kept, end == FOLLOW_STOPS);
    if (was_up) upstream->failures = 0;
    if (was_up && end != FOLLOW_STOPS)
        upstream->intake->ops->tell(upstream->intake, INTAKE_LINK_LOST);
    if (was_up) upstream->down_us = now_us(upstream);
    if (end == FOLLOW_STOPS) {
        upstream->phase = UPSTREAM_STOPPED;
        upstream->intake->ops->tell(upstream->intake, INTAKE_STOPPED);
        return;
    }
    upstream->phase = UPSTREAM_WAITING;
    clock_timer_start(clock_of(upstream), &upstream->timer, pause_us(upstream, end));
    upstream->failures++;
}

/* --- A link --- */

/* What has come of what was told to it. */
static void look(struct upstream *upstream)
{
    struct follow *follow = &upstream->follow;
    if (upstream->phase != UPSTREAM_LINKED) return;
    if (follow->out.size > 0) {
        net_of(upstream)->send(upstream->stream, buffer_bytes(&follow->out));
        buffer_clear(&follow->out);
    }
    if (follow->phase == FOLLOW_OVER) {
        over(upstream, follow->end, &follow->why);
        return;
    }
    net_of(upstream)->pause(upstream->stream, !follow_reads(follow));
    if (follow->again) clock_timer_start(clock_of(upstream), &upstream->again, 0);
}

static void received(struct stream_owner *owner, struct bytes bytes)
{
    struct upstream *upstream = CONTAINER_OF(owner, struct upstream, owner);
    follow_take(&upstream->follow, bytes, now_us(upstream));
    look(upstream);
}

static void drained(struct stream_owner *owner)
{
    (void)owner;
}

static void ended(struct stream_owner *owner)
{
    struct upstream *upstream = CONTAINER_OF(owner, struct upstream, owner);
    struct why why;
    (void)why_fail(&why, ERR_IO, "the connection broke");
    over(upstream, FOLLOW_SOON, &why);
}

static void go_on(struct upstream *upstream)
{
    if (upstream->phase != UPSTREAM_LINKED) return;
    follow_go_on(&upstream->follow, now_us(upstream));
    look(upstream);
}

static void fired_again(struct timer *timer)
{
    go_on(CONTAINER_OF(timer, struct upstream, again));
}

/* May come from inside the sink: not now. */
static void woken(struct follow *follow)
{
    struct upstream *upstream = CONTAINER_OF(follow, struct upstream, follow);
    clock_timer_start(clock_of(upstream), &upstream->again, 0);
}

static void publish(struct follow *follow, bool sharded, const struct published *published)
{
    struct upstream *upstream = CONTAINER_OF(follow, struct upstream, follow);
    struct psync_host *host = upstream->options->host;
    if (host->publish != NULL) host->publish(host, sharded, published);
}

/* --- An attempt --- */

static struct stream_owner *connected(struct dial *dial, struct stream *stream)
{
    static const struct stream_events events = {
        .received = received, .drained = drained, .ended = ended};
    struct upstream *upstream = CONTAINER_OF(dial, struct upstream, dial);
    struct follow_options options = {.intake = upstream->intake,
                                     .trace = upstream->options->trace,
                                     .timeout_us = upstream->timeout_us,
                                     .publish = publish,
                                     .woken = woken};
    upstream->phase = UPSTREAM_LINKED;
    upstream->stream = stream;
    upstream->owner.events = &events;
    follow_open(&upstream->follow, &options, now_us(upstream));
    clock_timer_start(clock_of(upstream), &upstream->timer, TICK_US);
    look(upstream);
    return &upstream->owner;
}

static void dial_failed(struct dial *dial, enum dial_failure failure, const struct why *why)
{
    (void)failure;
    over(CONTAINER_OF(dial, struct upstream, dial), FOLLOW_SOON, why);
}

static void attempt(struct upstream *upstream)
{
    struct intake_order order;
    struct why why;
    upstream->intake->ops->order(upstream->intake, &order);
    upstream->phase = UPSTREAM_DIALLING;
    enum err err = net_of(upstream)->dial(upstream->options->net, &upstream->dial, order.address,
                                          DIAL_US, &why);
    if (err != ERR_OK) over(upstream, FOLLOW_LATER, &why);
}

static void fired(struct timer *timer)
{
    struct upstream *upstream = CONTAINER_OF(timer, struct upstream, timer);
    if (upstream->phase == UPSTREAM_LINKED) {
        clock_timer_start(clock_of(upstream), &upstream->timer, TICK_US);
        upstream->follow.options.timeout_us = upstream->timeout_us;
        follow_tick(&upstream->follow, now_us(upstream));
        look(upstream);
    } else if (upstream->phase == UPSTREAM_WAITING && !upstream->installs) {
        attempt(upstream); /* else when that has ended */
    }
}

/* --- The intake's calls --- */

static struct upstream *upstream_of(struct intake_listener *listener)
{
    return CONTAINER_OF(listener, struct upstream, listener);
}

static void begin(struct intake_listener *listener)
{
    struct upstream *upstream = upstream_of(listener);
    upstream->phase = UPSTREAM_WAITING;
    upstream->installs = false;
    upstream->failures = 0;
    upstream->why = upstream->why_traced = (struct why){""};
    upstream->heard_us = upstream->down_us = now_us(upstream);
    clock_timer_start(clock_of(upstream), &upstream->timer, 0);
}

static void end(struct intake_listener *listener)
{
    struct upstream *upstream = upstream_of(listener);
    hang_up(upstream);
    upstream->phase = UPSTREAM_IDLE;
}

static void moved(struct intake_listener *listener)
{
    struct upstream *upstream = upstream_of(listener);
    if (upstream->phase == UPSTREAM_LINKED && upstream->follow.phase == FOLLOW_STREAM)
        go_on(upstream);
}

static void installed(struct intake_listener *listener, enum err err, const struct why *why)
{
    struct upstream *upstream = upstream_of(listener);
    if (upstream->phase == UPSTREAM_LINKED) {
        follow_installed(&upstream->follow, err, why, now_us(upstream));
        look(upstream);
    } else if (upstream->phase == UPSTREAM_WAITING && upstream->installs) {
        clock_timer_start(clock_of(upstream), &upstream->timer, PAUSE_US_MIN);
    }
    upstream->installs = false;
}

static void differs(struct intake_listener *listener, const char *error)
{
    struct upstream *upstream = upstream_of(listener);
    if (upstream->phase != UPSTREAM_LINKED) return;
    follow_differs(&upstream->follow, error);
    clock_timer_start(clock_of(upstream), &upstream->again, 0);
}

static const char *link_word(const struct upstream *upstream)
{
    if (upstream->phase == UPSTREAM_DIALLING) return "connecting";
    if (upstream->phase != UPSTREAM_LINKED) return "connect";
    if (upstream->follow.phase == FOLLOW_STREAM) return "connected";
    return follow_syncs(&upstream->follow) ? "sync" : "handshake";
}

static void status(struct intake_listener *listener, struct intake_status *out)
{
    struct upstream *upstream = upstream_of(listener);
    const struct follow *follow = &upstream->follow;
    bool linked = upstream->phase == UPSTREAM_LINKED;
    uint64_t now = now_us(upstream);
    *out = (struct intake_status){
        .link = link_word(upstream),
        .heard_us = now - (linked ? follow->heard_us : upstream->heard_us),
        .down_us = linked && follow->phase == FOLLOW_STREAM ? 0 : now - upstream->down_us,
        .stopped = upstream->phase == UPSTREAM_STOPPED,
        .why = upstream->why};
    if (!linked || !follow_syncs(follow)) return;
    out->syncing = true;
    out->done = follow->taken;
    out->bytes = follow->length;
}

/* --- Life --- */

void upstream_open(struct upstream *upstream, const struct psync_options *options,
                   uint64_t timeout_us)
{
    struct service *service = options->service;
    *upstream = (struct upstream){.options = options, .timeout_us = timeout_us};
    if (options->net == NULL || service->ops->intake == NULL) return;
    upstream->intake = service->ops->intake(service);
    upstream->dial.connected = connected;
    upstream->dial.failed = dial_failed;
    upstream->timer.fired = fired;
    upstream->again.fired = fired_again;
    upstream->listener = (struct intake_listener){.begin = begin,
                                                  .end = end,
                                                  .moved = moved,
                                                  .installed = installed,
                                                  .differs = differs,
                                                  .status = status};
    upstream->intake->ops->listen(upstream->intake, &upstream->listener);
}

void upstream_close(struct upstream *upstream)
{
    if (upstream->intake == NULL) return;
    hang_up(upstream);
    upstream->phase = UPSTREAM_IDLE;
    upstream->intake->ops->listen(upstream->intake, NULL);
}
