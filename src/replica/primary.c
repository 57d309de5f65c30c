/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/primary.h"

#include "base/plant.h"

#define TO(phase) (1u << (phase))
static const struct phase_rule {
    const char *name;
    unsigned to;
} rules[PRIMARY_PHASES] = {
    [PRIMARY_PROOF] = {"proof", TO(PRIMARY_HELLO) | TO(PRIMARY_CLOSED)},
    [PRIMARY_HELLO] = {"hello", TO(PRIMARY_PLANNING) | TO(PRIMARY_CLOSED)},
    [PRIMARY_PLANNING] = {"planning", TO(PRIMARY_PREPARING) | TO(PRIMARY_CLOSED)},
    [PRIMARY_PREPARING] = {"preparing",
                           TO(PRIMARY_CATCH_UP) | TO(PRIMARY_TRANSFER) | TO(PRIMARY_CLOSED)},
    [PRIMARY_CATCH_UP] = {"catch_up", TO(PRIMARY_STREAM) | TO(PRIMARY_CLOSED)},
    [PRIMARY_TRANSFER] = {"transfer", TO(PRIMARY_TAIL) | TO(PRIMARY_CLOSED)},
    [PRIMARY_TAIL] = {"tail", TO(PRIMARY_STREAM) | TO(PRIMARY_CLOSED)},
    [PRIMARY_STREAM] = {"stream", TO(PRIMARY_CLOSED)},
    [PRIMARY_CLOSED] = {"closed", 0},
};

const char *primary_phase_name(enum primary_phase phase)
{
    return phase < PRIMARY_PHASES ? rules[phase].name : "unknown";
}

void primary_init(struct primary *primary, const struct session_options *options, uint64_t endpoint)
{
    *primary = (struct primary){.phase = PRIMARY_PROOF, .told = true};
    link_init(&primary->link, options, ROLE_PRIMARY, ROLE_REPLICA);
    primary->link.key.endpoint = endpoint;
}

void primary_release(struct primary *primary)
{
    epochs_release(&primary->hello.epochs);
    link_release(&primary->link);
}

static void primary_check(const struct primary *primary)
{
    MUST(!lsn_before(primary->sent.lsn, primary->ack.durable));
    MUST(primary->flight_count <= PRIMARY_FLIGHTS_MAX);
    MUST(primary->phase != PRIMARY_CLOSED || !primary->pinned);
    bool before_target = primary->phase == PRIMARY_CATCH_UP || primary->phase == PRIMARY_TAIL;
    MUST(!before_target || !lsn_before(primary->plan.target, primary->sent.lsn));
}

static void move(struct primary *primary, enum primary_phase phase)
{
    MUST(rules[primary->phase].to & TO(phase));
    primary->phase = phase;
    primary->progress_us = primary->link.now_us;
}

static struct session_effect *effect(struct primary *primary, enum session_effect_kind kind)
{
    struct session_effect *made = link_effect(&primary->link, kind);
    made->plan = &primary->plan;
    made->hello = &primary->hello;
    return made;
}

/* The one way out: every pin goes back, and the world hears of it once. */
static void close_session(struct primary *primary)
{
    if (primary->phase == PRIMARY_CLOSED) return;
    move(primary, PRIMARY_CLOSED);
    primary->link.over = true;
    if (primary->image_asked) (void)effect(primary, EFFECT_IMAGE_END);
    if (primary->pinned) (void)effect(primary, EFFECT_UNPIN);
    primary->pinned = false;
    if (primary->link.state != STATE_NEEDS_REBUILD) link_state(&primary->link, STATE_DISCONNECTED);
    (void)effect(primary, EFFECT_CLOSE);
}

static void fail(struct primary *primary, enum bye_reason reason, const char *text)
{
    link_bye(&primary->link, reason, text);
    close_session(primary);
}

/* --- Hello, plan, pins --- */

/* The frame that it came in goes away. */
static struct bytes keep_text(struct bytes text, char out[MESSAGE_ENDPOINT_BYTES_MAX + 1])
{
    if (text.size > 0) memcpy(out, text.data, text.size);
    return bytes_of(out, text.size);
}

static void take_hello(struct primary *primary, const struct frame *frame)
{
    if (frame->head.type != FRAME_HELLO || hello_take(frame->payload, &primary->hello) != ERR_OK) {
        fail(primary, BYE_PROTOCOL, "a hello was expected");
        return;
    }
    struct recover_facts *facts = &primary->hello.facts;
    facts->cluster = frame->head.cluster;
    facts->shard = frame->head.shard;
    if (facts->copy != primary->link.peer.copy) {
        fail(primary, BYE_PROTOCOL, "it is not who proved itself");
        return;
    }
    move(primary, PRIMARY_PLANNING);
    primary->link.key.incarnation = facts->incarnation;
    primary->hello.peer = keep_text(primary->hello.peer, primary->peer);
    primary->hello.redis = keep_text(primary->hello.redis, primary->redis);
    (void)effect(primary, EFFECT_FACTS);
}

static void send_verdict(struct primary *primary)
{
    size_t begin = link_begin(&primary->link);
    verdict_put(&primary->link.out->send, &(struct message_verdict){primary->plan});
    link_send(&primary->link, begin, FRAME_VERDICT);
}

static bool is_rebuild(const struct recover_plan *plan)
{
    return plan->kind == RECOVER_REBUILD || plan->kind == RECOVER_REBUILD_BASE;
}

static void take_facts(struct primary *primary, const struct session_event *event)
{
    if (primary->phase != PRIMARY_PLANNING || primary->pin_asked) return;
    if (event->err != ERR_OK) {
        fail(primary, BYE_LOCAL, "the log cannot be read");
        return;
    }
    MUST(event->session != 0 && event->source->own.cluster == primary->link.cluster);
    primary->link.key.session = event->session;
    primary->link.key.epoch = event->source->own.promised;
    primary->appended = lsn_max(primary->appended, event->source->own.last.lsn);
    recover_decide(event->source, &primary->hello.facts, &primary->plan);
    if (primary->plan.kind == RECOVER_REFUSE) {
        send_verdict(primary);
        fail(primary, primary->plan.refusal == REFUSAL_FENCED ? BYE_FENCED : BYE_REFUSED,
             recover_rule_name(primary->plan.rule));
    } else if (is_rebuild(&primary->plan) && !primary->link.options->may_rebuild) {
        link_state(&primary->link, STATE_NEEDS_REBUILD);
        fail(primary, BYE_REFUSED, "it needs a rebuild, which waits for its turn");
    } else {
        primary->pin_asked = true;
        (void)effect(primary, EFFECT_PIN);
    }
}

static void take_pin(struct primary *primary, const struct session_event *event)
{
    if (primary->phase == PRIMARY_CLOSED) {
        /* Granted to a session that is over: nobody else would ever give it back. */
        if (event->err == ERR_OK) (void)effect(primary, EFFECT_UNPIN);
        return;
    }
    if (primary->phase != PRIMARY_PLANNING || !primary->pin_asked || primary->pinned) return;
    if (event->err != ERR_OK) {
        fail(primary, BYE_LOCAL, "what the plan needs cannot be held");
        return;
    }
    primary->pinned = true;
    primary->sent = primary->plan.common;
    primary->sent.lsn = primary->plan.from;
    send_verdict(primary);
    move(primary, PRIMARY_PREPARING);
    link_state(&primary->link, STATE_CATCHING_UP);
}

/* --- Entries --- */

static struct lsn limit(const struct primary *primary)
{
    switch (primary->phase) {
    case PRIMARY_CATCH_UP:
    case PRIMARY_TAIL: return primary->plan.target;
    case PRIMARY_STREAM: return primary->appended;
    case PRIMARY_PROOF:
    case PRIMARY_HELLO:
    case PRIMARY_PLANNING:
    case PRIMARY_PREPARING:
    case PRIMARY_TRANSFER:
    case PRIMARY_CLOSED:
    case PRIMARY_PHASES: break;
    }
    return primary->sent.lsn;
}

static bool window_is_open(const struct primary *primary)
{
    const struct session_options *options = primary->link.options;
    return primary->flight_count < PRIMARY_FLIGHTS_MAX &&
           primary->flight_bytes < options->window_bytes &&
           primary->sent.lsn.at - primary->ack.durable.at < options->window_entries;
}

static void want_entries(struct primary *primary)
{
    struct lsn through = limit(primary);
    if (primary->reading || !lsn_before(primary->sent.lsn, through)) return;
    if (!window_is_open(primary)) return;
    const struct session_options *options = primary->link.options;
    uint64_t entries = options->window_entries - (primary->sent.lsn.at - primary->ack.durable.at);
    struct lsn most = {primary->sent.lsn.at + entries};
    struct session_effect *read = effect(primary, EFFECT_READ);
    read->lsn = lsn_next(primary->sent.lsn);
    read->through = lsn_min(through, most);
    read->size = options->batch_bytes;
    primary->reading = true;
}

static void send_batch(struct primary *primary, const struct entry *entries, size_t count)
{
    size_t begin = link_begin(&primary->link);
    entries_put(&primary->link.out->send, entries, count, primary->sent.lineage);
    link_send(&primary->link, begin, FRAME_ENTRIES);
    if (primary->flight_count == 0) primary->progress_us = primary->link.now_us;
    unsigned at = (primary->flight_first + primary->flight_count++) % PRIMARY_FLIGHTS_MAX;
    const struct entry *last = &entries[count - 1];
    uint64_t bytes = primary->link.out->send.size - begin;
    primary->flights[at] = (struct primary_flight){last->lsn, bytes, primary->link.now_us};
    primary->flight_bytes += bytes;
    primary->sent.lsn = last->lsn;
    primary->sent.lineage = last->lineage;
    primary->sent.epoch = last->epoch;
}

static bool is_sending(const struct primary *primary)
{
    return primary->phase == PRIMARY_CATCH_UP || primary->phase == PRIMARY_TAIL ||
           primary->phase == PRIMARY_STREAM;
}

static void send_watermarks(struct primary *primary)
{
    if (primary->told || !is_sending(primary)) return;
    size_t begin = link_begin(&primary->link);
    watermarks_put(&primary->link.out->send, &primary->watermarks);
    link_send(&primary->link, begin, FRAME_WATERMARKS);
    primary->told = true;
    primary->durable = primary->watermarks.durable;
}

/* A replica commits what it has acked: while an ack is on its way they wait for that, or go behind
 * the next entries, and wake nobody up for themselves. */
static void tell_watermarks(struct primary *primary)
{
    if (primary->flight_count == 0 && !primary->reading) send_watermarks(primary);
}

static void take_entries(struct primary *primary, const struct session_event *event)
{
    if (!primary->reading) return;
    primary->reading = false;
    if (event->err != ERR_OK) {
        fail(primary, BYE_LOCAL, "the log cannot be read");
        return;
    }
    size_t from = 0, count = event->entry_count;
    MUST(count > 0 && event->entries[0].lsn.at == primary->sent.lsn.at + 1);
    MUST(event->entries[count - 1].lsn.at <= limit(primary).at);
    while (from < count && primary->flight_count < PRIMARY_FLIGHTS_MAX) { /* a frame an epoch */
        size_t to = from + 1;
        while (to < count &&
               epoch_compare(event->entries[to].epoch, event->entries[from].epoch) == 0)
            to++;
        send_batch(primary, event->entries + from, to - from);
        from = to;
    }
    bool more = lsn_before(primary->durable, primary->watermarks.durable); /* it wakes nobody up */
    primary->told = primary->told && !more;
    send_watermarks(primary);
    want_entries(primary);
}

static void take_log(struct primary *primary, const struct session_event *event)
{
    MUST(!lsn_before(event->appended, primary->appended));
    primary->appended = event->appended;
    if (watermarks_are_news(&primary->watermarks, event->watermarks)) primary->told = false;
    primary->watermarks = *event->watermarks;
    want_entries(primary);
    tell_watermarks(primary);
}

/* --- Acks --- */

static void reached(struct primary *primary)
{
    bool before_target = primary->phase == PRIMARY_CATCH_UP || primary->phase == PRIMARY_TAIL;
    bool there = !lsn_before(primary->ack.durable, primary->plan.target) || PLANTED(TARGET_IGNORED);
    if (before_target && there) {
        /* The frozen target ends catching up, and grants nothing: for that the copy has to ack what
         * is committed now. */
        move(primary, PRIMARY_STREAM);
        primary->grant = lsn_max(primary->watermarks.committed, primary->plan.target);
        if (PLANTED(IN_SYNC_AT_STALE_TARGET)) primary->grant = primary->plan.target;
        if (PLANTED(TARGET_IGNORED)) primary->grant = primary->ack.durable;
    }
    if (primary->phase != PRIMARY_STREAM || primary->link.state == STATE_IN_SYNC) return;
    if (!lsn_before(primary->ack.durable, primary->grant))
        link_state(&primary->link, STATE_IN_SYNC);
}

static void land(struct primary *primary)
{
    while (primary->flight_count > 0) {
        const struct primary_flight *flight = &primary->flights[primary->flight_first];
        if (lsn_before(primary->ack.durable, flight->last)) return;
        primary->flight_bytes -= flight->bytes;
        primary->flight_first = (primary->flight_first + 1) % PRIMARY_FLIGHTS_MAX;
        primary->flight_count--;
    }
}

static bool ack_is_sound(const struct primary *primary, const struct message_ack *ack)
{
    /* What is installed is durable to the image's mark; before, nothing is. */
    bool gives_up = primary->phase == PRIMARY_PREPARING && is_rebuild(&primary->plan);
    if (gives_up && ack->durable.at != 0) return false;
    if (primary->phase == PRIMARY_TRANSFER && ack->durable.at != primary->sent.lsn.at) return false;
    return ack->durable.at <= primary->sent.lsn.at && ack->applied.at <= primary->sent.lsn.at &&
           ack->flushed.at <= ack->applied.at && ack->flushed.at <= ack->durable.at;
}

/* The replica is ready for what the plan says, or has installed the image. */
static void begin_sending(struct primary *primary)
{
    bool transfers = is_rebuild(&primary->plan) && !PLANTED(TAIL_BEFORE_TRANSFER);
    if (primary->phase == PRIMARY_PREPARING && transfers) {
        move(primary, PRIMARY_TRANSFER);
        primary->image_us = primary->link.now_us;
        primary->image_asked = true;
        (void)effect(primary, EFFECT_IMAGE_BEGIN);
        return;
    }
    primary->told = primary->watermarks.copy_count == 0; /* nobody has said yet what they are */
    if (primary->phase == PRIMARY_PREPARING) {
        move(primary, PRIMARY_CATCH_UP);
        return;
    }
    move(primary, PRIMARY_TAIL);
    primary->image_asked = false;
    (void)effect(primary, EFFECT_IMAGE_END);
}

static void take_ack(struct primary *primary, const struct frame *frame)
{
    struct message_ack ack;
    if (ack_take(frame->payload, &ack) != ERR_OK) {
        fail(primary, BYE_PROTOCOL, "an ack is malformed");
        return;
    }
    bool stale = ack.incarnation != primary->link.key.incarnation ||
                 lsn_before(ack.durable, primary->ack.durable);
    if (stale) {
        primary->link.stale++;
        return;
    }
    if (!ack_is_sound(primary, &ack)) {
        fail(primary, BYE_PROTOCOL, "it acks what it was not sent");
        return;
    }
    if (lsn_before(primary->ack.durable, ack.durable)) primary->progress_us = primary->link.now_us;
    primary->ack = ack;
    effect(primary, EFFECT_ACKED)->ack = ack;
    land(primary);
    if (primary->phase == PRIMARY_PREPARING || primary->phase == PRIMARY_TRANSFER)
        begin_sending(primary);
    reached(primary);
    want_entries(primary);
    tell_watermarks(primary);
}

/* --- The image --- */

static void want_image(struct primary *primary)
{
    if (primary->reading || !primary->image_open || primary->image_done) return;
    const struct session_options *options = primary->link.options;
    uint64_t left = primary->image.size - primary->image_sent;
    if (left == 0) {
        size_t begin = link_begin(&primary->link);
        image_put(&primary->link.out->send, &primary->image);
        link_send(&primary->link, begin, FRAME_IMAGE_DONE);
        primary->image_done = true;
        return;
    }
    if (primary->image_sent - primary->image_acked >= options->image_window_bytes) return;
    uint64_t size = left < options->batch_bytes ? left : options->batch_bytes;
    if (options->image_bytes_per_s > 0 && primary->image_tokens < size) return;
    struct session_effect *read = effect(primary, EFFECT_IMAGE_READ);
    read->offset = primary->image_sent;
    read->size = size;
    primary->reading = true;
}

static void take_image(struct primary *primary, const struct session_event *event)
{
    if (primary->phase != PRIMARY_TRANSFER || primary->image.size > 0) return;
    const struct message_image *image = event->image;
    struct recover_plan *plan = &primary->plan;
    /* The image that was planned; or one made now, whose tail is pinned. */
    bool planned = event->err == ERR_OK && image->size > 0 &&
                   (plan->kind == RECOVER_REBUILD ? mark_equal(&image->mark, &plan->image)
                                                  : image->mark.lsn.at + 1 >= plan->pin.at);
    if (!planned) {
        fail(primary, BYE_LOCAL, "there is no image to send");
        return;
    }
    primary->image = *image;
    plan->from = image->mark.lsn;
    plan->target = lsn_max(plan->target, plan->from);
    primary->sent = image->mark;
    size_t begin = link_begin(&primary->link);
    image_put(&primary->link.out->send, image);
    link_send(&primary->link, begin, FRAME_IMAGE_OFFER);
}

static void take_image_bytes(struct primary *primary, const struct session_event *event)
{
    if (primary->phase != PRIMARY_TRANSFER || !primary->reading) return;
    primary->reading = false;
    if (event->err != ERR_OK) {
        fail(primary, BYE_LOCAL, "the image cannot be read");
        return;
    }
    uint64_t size = event->image_bytes.size;
    MUST(size > 0 && size <= primary->image.size - primary->image_sent);
    if (primary->image_sent == primary->image_acked) primary->progress_us = primary->link.now_us;
    size_t begin = link_begin(&primary->link);
    chunk_put(&primary->link.out->send,
              &(struct message_chunk){primary->image_sent, event->image_bytes});
    link_send(&primary->link, begin, FRAME_IMAGE_CHUNK);
    primary->image_sent += size;
    primary->image_tokens -= primary->image_tokens < size ? primary->image_tokens : size;
    want_image(primary);
}

static void take_image_ack(struct primary *primary, const struct frame *frame)
{
    struct message_image_ack ack;
    bool good = image_ack_take(frame->payload, &ack) == ERR_OK && primary->image.size > 0 &&
                ack.lsn.at == primary->image.mark.lsn.at && ack.offset <= primary->image.size;
    if (good && primary->image_open)
        good = ack.offset >= primary->image_acked && ack.offset <= primary->image_sent;
    if (!good) {
        fail(primary, BYE_PROTOCOL, "it acks of an image what it was not sent");
        return;
    }
    if (!primary->image_open) primary->image_sent = ack.offset; /* what it has it keeps */
    primary->image_open = true;
    primary->image_acked = ack.offset;
    primary->progress_us = primary->link.now_us;
    want_image(primary);
}

/* --- Time --- */

static void refill(struct primary *primary)
{
    const struct session_options *options = primary->link.options;
    uint64_t passed = primary->link.now_us - primary->image_us, rate = options->image_bytes_per_s;
    primary->image_us = primary->link.now_us;
    if (rate == 0) return;
    uint64_t most = rate + options->batch_bytes; /* a second's worth, and always one batch */
    uint64_t more = passed > 1000000 ? rate : rate * passed / 1000000;
    primary->image_tokens += more;
    if (primary->image_tokens > most) primary->image_tokens = most;
}

static void watch_progress(struct primary *primary)
{
    const struct session_options *options = primary->link.options;
    bool transfers = primary->phase == PRIMARY_TRANSFER;
    if (primary->flight_count == 0 && (!transfers || primary->image_sent == primary->image_acked))
        return;
    if (primary->link.now_us - primary->progress_us >= options->stall_us) {
        fail(primary, BYE_STALLED, "nothing is acked any more");
        return;
    }
    if (primary->flight_count == 0 || primary->link.state != STATE_IN_SYNC) return;
    const struct primary_flight *oldest = &primary->flights[primary->flight_first];
    if (primary->link.now_us - oldest->sent_us < options->degrade_us) return;
    primary->grant = primary->sent.lsn;
    link_state(&primary->link, STATE_DEGRADED);
}

static void tick(struct primary *primary)
{
    bool planned = primary->phase >= PRIMARY_PREPARING;
    if (!link_tick(&primary->link, planned)) {
        close_session(primary);
        return;
    }
    if (primary->phase == PRIMARY_TRANSFER) {
        refill(primary);
        want_image(primary);
    }
    send_watermarks(primary);
    watch_progress(primary);
}

/* --- Stamps --- */

static void tell_stamp(struct primary *primary, const struct message_stamp *stamp)
{
    if (!is_sending(primary)) return;
    size_t begin = link_begin(&primary->link);
    stamp_put(&primary->link.out->send, stamp);
    link_send(&primary->link, begin, FRAME_STAMP);
}

static void take_stamp(struct primary *primary, const struct frame *frame)
{
    struct message_stamp stamp;
    if (stamp_take(frame->payload, &stamp) != ERR_OK) {
        fail(primary, BYE_PROTOCOL, "a stamp is malformed");
        return;
    }
    effect(primary, EFFECT_STAMP)->stamp = stamp;
}

/* --- Events --- */

static void take_frame(struct primary *primary, const struct frame *frame)
{
    enum frame_type type = frame->head.type;
    bool transfer = primary->phase == PRIMARY_TRANSFER;
    bool planned = transfer || primary->phase == PRIMARY_PREPARING || is_sending(primary);
    if (primary->phase == PRIMARY_HELLO) take_hello(primary, frame);
    else if (type == FRAME_IMAGE_ACK && transfer) take_image_ack(primary, frame);
    else if (type == FRAME_ACK && planned && (!transfer || primary->image_done))
        take_ack(primary, frame);
    else if (type == FRAME_STAMP && is_sending(primary)) take_stamp(primary, frame);
    else fail(primary, BYE_PROTOCOL, "it was not asked for that");
}

static void take_bytes(struct primary *primary, const struct session_event *event)
{
    struct frame frame;
    bool taken = link_take(&primary->link, event, &frame);
    if (primary->phase == PRIMARY_PROOF && primary->link.phase == LINK_PROVEN)
        move(primary, PRIMARY_HELLO);
    if (taken) take_frame(primary, &frame);
}

static void take_result(struct primary *primary, const struct session_event *event)
{
    if (!link_is_ours(&primary->link, &event->key)) return;
    if (event->kind == EVENT_PINNED) take_pin(primary, event);
    if (primary->phase == PRIMARY_CLOSED) return;
    if (event->kind == EVENT_FACTS) take_facts(primary, event);
    if (event->kind == EVENT_ENTRIES) take_entries(primary, event);
    if (event->kind == EVENT_IMAGE) take_image(primary, event);
    if (event->kind == EVENT_IMAGE_BYTES) take_image_bytes(primary, event);
}

void primary_step(struct primary *primary, const struct session_event *event,
                  struct session_effects *out)
{
    link_step(&primary->link, event, out);
    bool open = !primary->link.over;
    switch (event->kind) {
    case EVENT_RECEIVED:
        if (open) take_bytes(primary, event);
        else *event->bytes = bytes_of(NULL, 0);
        break;
    case EVENT_TICK:
        if (open) tick(primary);
        break;
    case EVENT_LOG:
        if (open) take_log(primary, event);
        break;
    case EVENT_STAMP:
        if (open) tell_stamp(primary, event->stamp);
        break;
    case EVENT_FACTS:
    case EVENT_PINNED:
    case EVENT_ENTRIES:
    case EVENT_IMAGE:
    case EVENT_IMAGE_BYTES: take_result(primary, event); break;
    case EVENT_OPENED:
    case EVENT_ENDED:
    case EVENT_STOP: break; /* the link's */
    case EVENT_PROMISED:
    case EVENT_CUT:
    case EVENT_IMAGE_AT:
    case EVENT_IMAGE_STORED:
    case EVENT_INSTALLED:
    case EVENT_VOTED:
    case SESSION_EVENTS: MUST(false); /* the other end's */
    }
    if (primary->link.over) close_session(primary);
    primary_check(primary);
}
