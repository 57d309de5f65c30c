/* SPDX-License-Identifier: Apache-2.0 */
/* One replica, from its PSYNC to its end: internal.h has the diagram. */
#include "face/psync/internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/plant.h"

static void go_on(struct psync_replica *replica)
{
    clock_timer_start(replica->psync->options.clock, &replica->again, 0);
}

static void send(struct psync_replica *replica, struct bytes bytes)
{
    replica->sent = true;
    replica->link->ops->send(replica->link, bytes);
}

static void send_text(struct psync_replica *replica, const char *text)
{
    send(replica, bytes_text(text));
}

/* --- Its end --- */

static void let_go_of_view(struct psync_replica *replica)
{
    dump_close(replica->dump);
    replica->dump = NULL;
    replica->source = NULL;
    replica->waits = false;
    if (replica->view != NULL) replica->view->ops->close(replica->view);
    replica->view = NULL;
}

static void let_go(struct psync_replica *replica)
{
    struct psync *psync = replica->psync;
    clock_timer_stop(psync->options.clock, &replica->again);
    if (psync->feed != NULL) {
        psync->feed->ops->forget(psync->feed, &replica->export);
        psync->feed->ops->drop(psync->feed, &replica->read);
    }
    replica->reads = false;
    let_go_of_view(replica);
    replica->phase = REPLICA_CLOSED;
}

static void end(struct psync_replica *replica, const char *event, const char *why)
{
    trace_event(replica->psync->options.trace, TRACE_NOTICE, "psync", event,
                "peer=%s next=%" PRIu64 " acked=%" PRIu64 " why=\"%s\"", replica->peer,
                replica->next, replica->acked, why);
    let_go(replica);
    psync_keep(replica->psync);
}

void replica_lose(struct psync_replica *replica, const char *why)
{
    end(replica, "replica_lost", why);
    replica->link->ops->close(replica->link, false);
}

/* NOMASTERLINK: a stock replica tries again later; every other error it takes for an old server. */
void replica_refuse(struct psync_replica *replica, const char *text)
{
    char line[640];
    (void)snprintf(line, sizeof line, "-NOMASTERLINK %s\r\n", text);
    send_text(replica, line);
    end(replica, "replica_refused", text);
    replica->link->ops->close(replica->link, true);
}

/* --- The stream --- */

static void take_name(struct psync_replica *replica, const struct mark *mark)
{
    replica->epoch = mark->epoch;
    place_replid(&mark->history, mark->epoch, replica->replid);
}

static void read_done(struct feed_read *read);

static void read_on(struct psync_replica *replica, bool joins)
{
    struct psync *psync = replica->psync;
    replica->reads = true;
    buffer_clear(&replica->piece);
    replica->read = (struct feed_read){.read = {.offset = replica->next,
                                                .joins = joins,
                                                .bytes_max = PSYNC_PIECE_BYTES,
                                                .out = &replica->piece},
                                       .done = read_done};
    psync->feed->ops->read(psync->feed, &replica->read);
}

static void acked(struct psync *psync)
{
    psync->options.host->acked(psync->options.host);
}

static void enter_stream(struct psync_replica *replica)
{
    replica->phase = REPLICA_STREAM;
    replica->heard_us = replica->moved_us = clock_now_us(replica->psync->options.clock);
    go_on(replica);
    acked(replica->psync);
}

/* Everything that was read is for it. */
static void pass_on(struct psync_replica *replica)
{
    struct psync *psync = replica->psync;
    size_t size = replica->piece.size;
    if (size == 0) return;
    replica->next += size;
    send(replica, buffer_bytes(&replica->piece));
    buffer_clear(&replica->piece);
    if (replica->next < psync->feed->ops->place(psync->feed).end) go_on(replica);
}

static void joined(struct psync_replica *replica)
{
    char line[64];
    struct mark mark = replica->psync->feed->ops->mark(replica->psync->feed);
    take_name(replica, &mark);
    (void)snprintf(line, sizeof line, replica->knows_psync2 ? "+CONTINUE %s\r\n" : "+CONTINUE\r\n",
                   replica->replid);
    send_text(replica, line);
    replica->psync->partial++;
    trace_event(replica->psync->options.trace, TRACE_NOTICE, "psync", "replica_goes_on",
                "peer=%s offset=%" PRIu64, replica->peer, replica->next);
    enter_stream(replica);
    pass_on(replica);
}

/* What was read may be of an epoch whose name it was not told: by the old name it would go on
 * beyond where that epoch ended. */
static bool knows_epoch(const struct psync_replica *replica)
{
    struct mark mark = replica->psync->feed->ops->mark(replica->psync->feed);
    return epoch_compare(mark.epoch, replica->epoch) == 0;
}

static void read_done(struct feed_read *read)
{
    struct psync_replica *replica = CONTAINER_OF(read, struct psync_replica, read);
    replica->reads = false;
    if (replica->phase == REPLICA_JOIN && read->err == ERR_NOT_FOUND) {
        replica->psync->partial_refused++;
        replica_begin(replica);
    } else if (read->err == ERR_NOT_FOUND) {
        replica_lose(replica, "what it needs of the stream is kept no more");
    } else if (read->err != ERR_OK) {
        replica_lose(replica, "the stream cannot be read");
    } else if (replica->phase == REPLICA_JOIN) {
        joined(replica);
    } else if (!knows_epoch(replica)) {
        replica_lose(replica, "another epoch has begun");
    } else {
        pass_on(replica);
    }
}

void replica_join(struct psync_replica *replica, uint64_t offset)
{
    replica->phase = REPLICA_JOIN;
    replica->next = offset;
    replica->acked = offset - 1;
    psync_keep(replica->psync);
    read_on(replica, true);
}

void replica_acked(struct psync_replica *replica, uint64_t offset)
{
    if (replica->phase == REPLICA_LOAD) {
        enter_stream(replica);
        psync_keep(replica->psync);
    }
    /* What it was not given it cannot have. */
    bool can_be = replica->phase == REPLICA_STREAM && offset < replica->next;
    if (!can_be || offset <= replica->acked) return;
    replica->acked = offset;
    acked(replica->psync);
}

void replica_acked_durable(struct psync_replica *replica, uint64_t offset)
{
    if (replica->phase != REPLICA_STREAM || offset >= replica->next) return;
    bool grows = !replica->says_durable || offset > replica->durable;
    replica->says_durable = true;
    if (!grows) return;
    replica->durable = offset;
    acked(replica->psync);
}

/* --- Everything --- */

static void export_done(struct feed_export *request);

void replica_begin(struct psync_replica *replica)
{
    struct psync *psync = replica->psync;
    replica->began_us = clock_now_us(psync->options.clock);
    replica->made_s = clock_wall_ms(psync->options.clock) / 1000;
    psync->full++;
    replica->phase = REPLICA_SWITCH;
    if (psync->feed->ops->place(psync->feed).on) replica_switched(replica, true);
    else psync_switch_on(psync);
}

void replica_switched(struct psync_replica *replica, bool on)
{
    struct psync *psync = replica->psync;
    if (!on) {
        replica_refuse(replica, "the stream of changes cannot be switched on now");
        return;
    }
    replica->phase = REPLICA_EXPORT;
    replica->next = psync->feed->ops->place(psync->feed).end; /* the view has at least that */
    psync_keep(psync);
    replica->export.done = export_done;
    psync->feed->ops->open(psync->feed, &replica->export);
}

static void export_done(struct feed_export *request)
{
    struct psync_replica *replica = CONTAINER_OF(request, struct psync_replica, export);
    if (request->err != ERR_OK) {
        replica_refuse(replica, request->why.text);
        return;
    }
    replica->view = request->export;
    replica->source = replica->view->ops->records(replica->view);
    go_on(replica);
}

static void waited(struct record_wait *wait)
{
    struct psync_replica *replica = CONTAINER_OF(wait, struct psync_replica, wait);
    replica->waits = false;
    if (wait->err == ERR_OK) replica_step(replica);
    else replica_lose(replica, "the store cannot be read");
}

static void wait_for_records(struct psync_replica *replica)
{
    replica->wait.done = waited;
    replica->waits = true;
    if (replica->source->ops->wait(replica->source, &replica->wait)) return;
    replica->waits = false;
    go_on(replica);
}

static void open_dump(struct psync_replica *replica)
{
    struct dump_options options = {.source = replica->without_keys ? NULL : replica->source,
                                   .facts = &replica->facts,
                                   .replid = replica->replid,
                                   .made_s = replica->made_s};
    dump_close(replica->dump);
    replica->dump = dump_open(&options);
}

/* The last line before the dump. `bytes`: of the dump, when it is known. */
static void send_head(struct psync_replica *replica, uint64_t bytes)
{
    char line[128];
    if (!replica->is_old) {
        (void)snprintf(line, sizeof line, "+FULLRESYNC %s %" PRIu64 "\r\n", replica->replid,
                       replica->next - 1);
        send_text(replica, line);
    }
    if (replica->knows_mark) {
        static const char digits[] = "0123456789abcdef";
        entropy_fill(replica->psync->options.entropy, replica->mark, sizeof replica->mark);
        for (size_t i = 0; i < sizeof replica->mark; i++)
            replica->mark[i] = digits[(uint8_t)replica->mark[i] % 16];
        (void)snprintf(line, sizeof line, "$EOF:%.*s\r\n", PSYNC_MARK_BYTES, replica->mark);
    } else {
        (void)snprintf(line, sizeof line, "$%" PRIu64 "\r\n", bytes);
    }
    send_text(replica, line);
    replica->phase = REPLICA_SEND;
    replica->moved_us = clock_now_us(replica->psync->options.clock);
}

static void learn_facts(struct psync_replica *replica)
{
    enum err err = replica->view->ops->facts(replica->view, &replica->facts);
    if (err == ERR_PENDING) {
        wait_for_records(replica);
        return;
    }
    if (err == ERR_OK && !replica->facts.effects.on) {
        err = why_fail(&replica->source->why, ERR_REFUSED, "the stream was switched off meanwhile");
    }
    if (err != ERR_OK) {
        replica_refuse(replica, replica->source->why.text);
        return;
    }
    replica->next = replica->facts.effects.end;
    if (PLANTED(OFFSET_BESIDE_VIEW)) replica->next = psync_offset(replica->psync) + 1;
    replica->acked = replica->next - 1;
    take_name(replica, &replica->facts.mark);
    char mark[MARK_TEXT_BYTES];
    mark_format(&replica->facts.mark, mark);
    trace_event(replica->psync->options.trace, TRACE_NOTICE, "psync", "full_sync_begun",
                "peer=%s mark=%s offset=%" PRIu64 " keys=%" PRIu64, replica->peer, mark,
                replica->acked, replica->facts.keys);
    open_dump(replica);
    if (replica->knows_mark) send_head(replica, 0);
    else replica->phase = REPLICA_COUNT;
    go_on(replica);
}

static void sent_all(struct psync_replica *replica)
{
    struct psync *psync = replica->psync;
    uint64_t us = clock_now_us(psync->options.clock) - replica->began_us;
    if (replica->knows_mark) send(replica, bytes_of(replica->mark, sizeof replica->mark));
    trace_event(psync->options.trace, TRACE_NOTICE, "psync", "full_sync_sent",
                "peer=%s bytes=%" PRIu64 " us=%" PRIu64, replica->peer, dump_bytes(replica->dump),
                us);
    let_go_of_view(replica);
    if (replica->dump_only) {
        end(replica, "replica_done", "it wanted the dump alone");
        replica->link->ops->close(replica->link, true);
    } else if (replica->knows_mark) {
        replica->phase = REPLICA_LOAD;
        replica->heard_us = clock_now_us(psync->options.clock);
    } else {
        enter_stream(replica);
    }
}

/* The dump was gone through once: it is good, and so long. */
static void counted(struct psync_replica *replica)
{
    uint64_t bytes = dump_bytes(replica->dump);
    dump_close(replica->dump);
    replica->dump = NULL;
    replica->source = replica->view->ops->records(replica->view);
    open_dump(replica);
    send_head(replica, bytes);
    go_on(replica);
}

static void next_piece(struct psync_replica *replica)
{
    struct why why = {""};
    buffer_clear(&replica->piece);
    enum err err = dump_fill(replica->dump, &replica->piece, PSYNC_PIECE_BYTES, &why);
    if (err != ERR_OK && err != ERR_PENDING) {
        trace_event(replica->psync->options.trace, TRACE_WARNING, "psync", "full_sync_failed",
                    "peer=%s why=\"%s\"", replica->peer, why.text);
        if (replica->phase == REPLICA_COUNT) replica_refuse(replica, why.text);
        else replica_lose(replica, why.text);
        return;
    }
    if (replica->phase == REPLICA_SEND && replica->piece.size > 0)
        send(replica, buffer_bytes(&replica->piece));
    if (err == ERR_PENDING) wait_for_records(replica);
    else if (!dump_is_done(replica->dump)) go_on(replica);
    else if (replica->phase == REPLICA_COUNT) counted(replica);
    else sent_all(replica);
}

void replica_step(struct psync_replica *replica)
{
    if (replica->waits || replica->reads) return;
    replica->full = replica->link->ops->unsent(replica->link) > PSYNC_UNSENT_MAX;
    if (replica->full) return; /* until it has drained */
    switch (replica->phase) {
    case REPLICA_EXPORT:
        if (replica->view != NULL) learn_facts(replica);
        break;
    case REPLICA_COUNT:
    case REPLICA_SEND: next_piece(replica); break;
    case REPLICA_STREAM: read_on(replica, false); break;
    case REPLICA_NEW:
    case REPLICA_JOIN:
    case REPLICA_SWITCH:
    case REPLICA_LOAD:
    case REPLICA_CLOSED: break;
    }
}

/* --- Time --- */

/* How much of the stream waits for it. */
static uint64_t behind(const struct psync_replica *replica, size_t unsent)
{
    const struct psync *psync = replica->psync;
    uint64_t stream_end = psync->feed->ops->place(psync->feed).end;
    return (stream_end > replica->next ? stream_end - replica->next : 0) + unsent;
}

/* While it catches up with what went by during its full sync, it may be as far behind as that is.
 */
static bool passes_limits(struct psync_replica *replica, uint64_t bytes, uint64_t now_us)
{
    const struct psync_settings *settings = &replica->psync->settings;
    bool hard = settings->hard_bytes != 0 && bytes > settings->hard_bytes;
    bool soft = settings->soft_bytes != 0 && bytes > settings->soft_bytes;
    if (!hard && !soft) {
        replica->near = true;
        replica->soft_us = 0;
        return false;
    }
    if (!replica->near) return false;
    if (replica->soft_us == 0) replica->soft_us = now_us;
    return hard || now_us - replica->soft_us > settings->soft_us;
}

/* It has taken no byte of what waits for it. */
static bool is_stuck(struct psync_replica *replica, size_t unsent, uint64_t now_us)
{
    if (unsent == 0 || unsent != replica->unsent || replica->sent) replica->moved_us = now_us;
    replica->unsent = unsent;
    replica->sent = false;
    return now_us - replica->moved_us > replica->psync->settings.timeout_us;
}

void replica_tick(struct psync_replica *replica, uint64_t now_us)
{
    size_t unsent = replica->link->ops->unsent(replica->link);
    bool silent = !replica->is_old &&
                  now_us - replica->heard_us > replica->psync->settings.timeout_us;
    switch (replica->phase) {
    case REPLICA_JOIN:
    case REPLICA_SWITCH:
    case REPLICA_EXPORT:
    case REPLICA_COUNT: send_text(replica, "\n"); break;
    case REPLICA_SEND:
        if (is_stuck(replica, unsent, now_us)) replica_lose(replica, "it takes nothing");
        break;
    case REPLICA_LOAD:
        if (silent) replica_lose(replica, "it is silent");
        break;
    case REPLICA_STREAM:
        if (silent) replica_lose(replica, "it is silent");
        else if (is_stuck(replica, unsent, now_us)) replica_lose(replica, "it takes nothing");
        else if (passes_limits(replica, behind(replica, unsent), now_us))
            replica_lose(replica, "more waits for it than client-output-buffer-limit allows");
        break;
    case REPLICA_NEW:
    case REPLICA_CLOSED: break;
    }
}

/* --- Its life --- */

static void step_again(struct timer *timer)
{
    replica_step(CONTAINER_OF(timer, struct psync_replica, again));
}

struct psync_replica *psync_replica_open(struct psync *psync, struct psync_link *link,
                                         const char *peer)
{
    struct psync_replica *replica = memory_zeroed(1, sizeof *replica);
    replica->psync = psync;
    replica->link = link;
    replica->peer = peer;
    replica->again.fired = step_again;
    replica->heard_us = clock_now_us(psync->options.clock);
    list_init(&replica->export.node);
    buffer_init(&replica->piece);
    list_append(&psync->replicas, &replica->node);
    return replica;
}

void psync_replica_close(struct psync_replica *replica)
{
    if (replica == NULL) return;
    if (psync_is_attached(replica)) end(replica, "replica_gone", "its connection was closed");
    let_go(replica);
    list_remove(&replica->node);
    buffer_release(&replica->piece);
    memory_free(replica);
}

bool psync_is_attached(const struct psync_replica *replica)
{
    return replica->phase != REPLICA_NEW && replica->phase != REPLICA_CLOSED;
}

void psync_heard(struct psync_replica *replica)
{
    replica->heard_us = clock_now_us(replica->psync->options.clock);
}

/* Not here: what is made now may be taken at once, and so on, and the turn would have no end. */
void psync_drained(struct psync_replica *replica)
{
    if (replica->full && psync_is_attached(replica)) go_on(replica);
}
