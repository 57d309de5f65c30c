/* SPDX-License-Identifier: Apache-2.0 */
/* All replicas of a server: the words that the stream needs for them, what of it is kept for them,
 * and what is told of them. */
#include "face/psync/psync.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "face/psync/internal.h"

static struct psync_replica *replica_at(struct list *node)
{
    return CONTAINER_OF(node, struct psync_replica, node);
}

/* --- Words to the stream --- */

static void switched(struct psync *psync)
{
    psync->switching = false;
    bool on = psync->feed->ops->place(psync->feed).on;
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next) {
        struct psync_replica *replica = replica_at(at);
        if (replica->phase == REPLICA_SWITCH) replica_switched(replica, on);
    }
}

static void word_done(struct call *call, enum call_end end)
{
    (void)end; /* a word that was refused is not said; what it was for shows what is */
    struct psync_word *word = CONTAINER_OF(call, struct psync_word, call);
    struct psync *psync = word->psync;
    bool switches = word->switches;
    list_remove(&word->node);
    memory_free(word);
    if (switches) switched(psync);
}

void psync_say(struct psync *psync, enum stream_word what, const struct published *published)
{
    struct service *service = psync->options.service;
    struct psync_word *word = memory_zeroed(1, sizeof *word);
    word->psync = psync;
    word->switches = what == STREAM_ON;
    buffer_clear(&psync->payload);
    payload_put_stream(&psync->payload, what, published);
    word->call = (struct call){.kind = CALL_WRITE,
                               .payload = buffer_bytes(&psync->payload),
                               .reply = reply_nobody(),
                               .done = word_done};
    list_append(&psync->words, &word->node);
    service->ops->submit(service, &word->call);
}

/* Whether anything may be appended for replicas. */
static bool leads(const struct psync *psync)
{
    return !psync->options.service->read_only;
}

static bool may_say(const struct psync *psync)
{
    return psync->feed != NULL && leads(psync) && psync->feed->ops->place(psync->feed).on;
}

void psync_switch_on(struct psync *psync)
{
    if (psync->switching) return;
    psync->switching = true;
    psync_say(psync, STREAM_ON, NULL);
}

void psync_publish(struct psync *psync, bool sharded, const struct published *published)
{
    if (may_say(psync)) psync_say(psync, sharded ? STREAM_SPUBLISH : STREAM_PUBLISH, published);
}

/* --- What of the stream is kept --- */

static bool is_fed(const struct psync_replica *replica)
{
    switch (replica->phase) {
    case REPLICA_JOIN:
    case REPLICA_EXPORT:
    case REPLICA_COUNT:
    case REPLICA_SEND:
    case REPLICA_LOAD:
    case REPLICA_STREAM: return !replica->dump_only;
    case REPLICA_NEW:
    case REPLICA_SWITCH:
    case REPLICA_CLOSED: break;
    }
    return false;
}

/* Replicas that are there keep what they have not got, however much that is; but when the disk is
 * nearly full, space for what clients write comes first. */
void psync_keep(struct psync *psync)
{
    if (psync->feed == NULL) return;
    struct effects_keep keep = {.bytes = psync->settings.backlog_bytes, .from = UINT64_MAX};
    struct service_status status;
    psync->options.service->ops->status(psync->options.service, &status);
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next) {
        const struct psync_replica *replica = replica_at(at);
        if (is_fed(replica) && !status.low_space && replica->next < keep.from)
            keep.from = replica->next;
    }
    psync->feed->ops->keep(psync->feed, &keep);
}

static void moved(struct feed_listener *listener)
{
    struct psync *psync = CONTAINER_OF(listener, struct psync, listener);
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next) {
        struct psync_replica *replica = replica_at(at);
        if (replica->phase == REPLICA_STREAM) replica_step(replica);
    }
}

/* What is there of the stream is true, but nobody would say a word in it: they come again. */
static void cut(struct feed_listener *listener, const char *why)
{
    struct psync *psync = CONTAINER_OF(listener, struct psync, listener);
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next) {
        struct psync_replica *replica = replica_at(at);
        if (psync_is_attached(replica)) replica_lose(replica, why);
    }
}

/* --- Time --- */

static unsigned attached(const struct psync *psync)
{
    unsigned count = 0;
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next)
        count += psync_is_attached(replica_at(at)) ? 1 : 0;
    return count;
}

/* Their answer is wanted of those who are there; an entry for nobody would be one for each WAIT. */
void psync_ask(struct psync *psync)
{
    if (attached(psync) > 0 && may_say(psync)) psync_say(psync, STREAM_GETACK, NULL);
}

/* Another epoch has another name: who knows the old one comes back and is told the new one, as long
 * as what it has is part of both. */
static void check_epoch(struct psync *psync)
{
    struct epoch epoch = psync->feed->ops->mark(psync->feed).epoch;
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next) {
        struct psync_replica *replica = replica_at(at);
        bool knows = replica->phase == REPLICA_LOAD || replica->phase == REPLICA_STREAM;
        if (knows && epoch_compare(epoch, replica->epoch) != 0)
            replica_lose(replica, "another epoch has begun");
    }
}

static void feed_tick(struct psync *psync, uint64_t now_us)
{
    const struct psync_settings *settings = &psync->settings;
    check_epoch(psync);
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next)
        replica_tick(replica_at(at), now_us);
    psync_keep(psync);
    bool on = psync->feed->ops->place(psync->feed).on;
    if (attached(psync) > 0 || !leads(psync)) { /* who leads knows whether replicas are there */
        psync->alone_us = now_us;
        bool due = now_us - psync->pinged_us >= settings->ping_us;
        if (due && may_say(psync)) {
            psync->pinged_us = now_us;
            psync_say(psync, STREAM_PING, NULL);
        }
    } else if (on && settings->backlog_ttl_us != 0 &&
               now_us - psync->alone_us > settings->backlog_ttl_us) {
        psync->alone_us = now_us;
        psync_say(psync, STREAM_OFF, NULL);
    }
}

static void tick(struct timer *timer)
{
    struct psync *psync = CONTAINER_OF(timer, struct psync, timer);
    psync->options.host->settings(psync->options.host, &psync->settings);
    psync->upstream.timeout_us = psync->settings.timeout_us;
    if (psync->feed != NULL) feed_tick(psync, clock_now_us(psync->options.clock));
    clock_timer_start(psync->options.clock, &psync->timer, PSYNC_TICK_US);
}

/* --- What is told --- */

void psync_facts(const struct psync *psync, struct place_facts *out)
{
    struct feed *feed = psync->feed;
    *out = (struct place_facts){.history = feed->ops->mark(feed).history,
                                .place = feed->ops->place(feed)};
    out->epochs = feed->ops->epochs(feed, &out->count);
}

unsigned psync_acked(const struct psync *psync, uint64_t offset, bool durable)
{
    unsigned count = 0;
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next) {
        const struct psync_replica *replica = replica_at(at);
        bool has = durable ? replica->says_durable && replica->durable >= offset
                           : replica->acked >= offset;
        if (replica->phase == REPLICA_STREAM && has) count++;
    }
    return count;
}

uint64_t psync_offset(const struct psync *psync)
{
    if (psync->feed == NULL) return 0;
    struct effects_place place = psync->feed->ops->place(psync->feed);
    return place.on ? place.end - 1 : 0;
}

void psync_status(const struct psync *psync, struct psync_status *out)
{
    *out = (struct psync_status){.attached = attached(psync),
                                 .full = psync->full,
                                 .partial = psync->partial,
                                 .partial_refused = psync->partial_refused};
    if (psync->feed == NULL) return;
    struct place_facts facts;
    psync_facts(psync, &facts);
    struct mark mark = psync->feed->ops->mark(psync->feed);
    place_replid(&mark.history, mark.epoch, out->replid);
    out->on = facts.place.on;
    if (!facts.place.on) return;
    out->offset = facts.place.end - 1;
    out->first = facts.place.first;
    out->bytes = facts.place.end - facts.place.first;
    if (facts.count < 2) return;
    const struct epoch_start *newest = &facts.epochs[facts.count - 1];
    if (newest->stream_offset == 0) return; /* it was off until then */
    place_replid(&facts.history, facts.epochs[facts.count - 2].epoch, out->replid_before);
    out->before_until = newest->stream_offset;
}

/* "10.0.0.1:4711" without its port; a socket's path as it is. */
static void host_of(const char *peer, char out[PSYNC_HOST_BYTES])
{
    const char *colon = strrchr(peer, ':');
    bool is_path = strncmp(peer, "unix:", 5) == 0;
    size_t size = colon == NULL || is_path ? strlen(peer) : (size_t)(colon - peer);
    if (size > 1 && peer[0] == '[' && peer[size - 1] == ']') { /* a v6 address */
        peer++;
        size -= 2;
    }
    if (size >= PSYNC_HOST_BYTES) size = PSYNC_HOST_BYTES - 1;
    memcpy(out, peer, size);
    out[size] = 0;
}

static const char *state_of_replica(const struct psync_replica *replica)
{
    switch (replica->phase) {
    case REPLICA_SEND: return "send_bulk";
    case REPLICA_LOAD:
    case REPLICA_STREAM: return "online";
    case REPLICA_NEW:
    case REPLICA_JOIN:
    case REPLICA_SWITCH:
    case REPLICA_EXPORT:
    case REPLICA_COUNT:
    case REPLICA_CLOSED: break;
    }
    return "wait_bgsave";
}

bool psync_brief(const struct psync *psync, unsigned i, struct psync_brief *out)
{
    uint64_t now_us = clock_now_us(psync->options.clock);
    for (struct list *at = psync->replicas.next; at != &psync->replicas; at = at->next) {
        const struct psync_replica *replica = replica_at(at);
        if (!psync_is_attached(replica) || i-- > 0) continue;
        *out = (struct psync_brief){.port = replica->port, .state = state_of_replica(replica)};
        if (replica->host[0] == 0) host_of(replica->peer, out->host);
        else (void)snprintf(out->host, sizeof out->host, "%s", replica->host);
        out->online = replica->phase == REPLICA_LOAD || replica->phase == REPLICA_STREAM;
        out->offset = out->online ? replica->acked : 0;
        out->lag_s = out->online ? (now_us - replica->heard_us) / 1000000 : 0;
        return true;
    }
    return false;
}

/* --- Life --- */

void psync_open(struct psync **out, const struct psync_options *options)
{
    struct psync *psync = memory_zeroed(1, sizeof *psync);
    struct service *service = options->service;
    psync->options = *options;
    psync->feed = service->ops->feed == NULL ? NULL : service->ops->feed(service);
    list_init(&psync->replicas);
    list_init(&psync->words);
    buffer_init(&psync->payload);
    psync->timer.fired = tick;
    psync->listener = (struct feed_listener){.moved = moved, .cut = cut};
    psync->pinged_us = psync->alone_us = clock_now_us(options->clock);
    options->host->settings(options->host, &psync->settings);
    if (psync->feed != NULL) {
        psync->feed->ops->listen(psync->feed, &psync->listener);
        psync_keep(psync);
    }
    upstream_open(&psync->upstream, &psync->options, psync->settings.timeout_us);
    clock_timer_start(options->clock, &psync->timer, PSYNC_TICK_US);
    *out = psync;
}

void psync_close(struct psync *psync)
{
    if (psync == NULL) return;
    MUST(list_empty(&psync->replicas));
    struct service *service = psync->options.service;
    upstream_close(&psync->upstream);
    if (psync->feed != NULL) psync->feed->ops->listen(psync->feed, NULL);
    struct list *first;
    while ((first = list_first(&psync->words)) != NULL) {
        struct psync_word *word = CONTAINER_OF(first, struct psync_word, node);
        service->ops->cancel(service, &word->call);
        list_remove(first);
        memory_free(word);
    }
    clock_timer_stop(psync->options.clock, &psync->timer);
    buffer_release(&psync->payload);
    memory_free(psync);
}
