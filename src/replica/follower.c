/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/follower.h"

#include "base/plant.h"

#define TO(phase) (1u << (phase))
static const struct phase_rule {
    const char *name;
    unsigned to;
} rules[FOLLOWER_PHASES] = {
    [FOLLOWER_PROOF] = {"proof", TO(FOLLOWER_ASKING) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_ASKING] = {"asking", TO(FOLLOWER_HELLO) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_HELLO] = {"hello", TO(FOLLOWER_PROMISING) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_PROMISING] = {"promising", TO(FOLLOWER_CUTTING) | TO(FOLLOWER_CATCH_UP) |
                                             TO(FOLLOWER_TRANSFER) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_CUTTING] = {"cutting", TO(FOLLOWER_CATCH_UP) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_CATCH_UP] = {"catch_up", TO(FOLLOWER_STREAM) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_TRANSFER] = {"transfer", TO(FOLLOWER_INSTALLING) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_INSTALLING] = {"installing", TO(FOLLOWER_TAIL) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_TAIL] = {"tail", TO(FOLLOWER_STREAM) | TO(FOLLOWER_CLOSED)},
    [FOLLOWER_STREAM] = {"stream", TO(FOLLOWER_CLOSED)},
    [FOLLOWER_CLOSED] = {"closed", 0},
};

const char *follower_phase_name(enum follower_phase phase)
{
    return phase < FOLLOWER_PHASES ? rules[phase].name : "unknown";
}

void follower_init(struct follower *follower, const struct session_options *options,
                   uint64_t endpoint)
{
    *follower = (struct follower){.phase = FOLLOWER_PROOF};
    link_init(&follower->link, options, ROLE_REPLICA, ROLE_PRIMARY);
    follower->link.key.endpoint = endpoint;
}

void follower_release(struct follower *follower)
{
    link_release(&follower->link);
}

static bool is_following(const struct follower *follower)
{
    return follower->phase == FOLLOWER_CATCH_UP || follower->phase == FOLLOWER_TAIL ||
           follower->phase == FOLLOWER_STREAM;
}

static void follower_check(const struct follower *follower)
{
    if (!is_following(follower)) return;
    MUST(!lsn_before(follower->last.lsn, follower->own.durable));
    MUST(!lsn_before(follower->own.durable, follower->acked.durable));
    MUST(!lsn_before(follower->own.durable, follower->committed) || PLANTED(APPLY_BEYOND_DURABLE));
}

static void move(struct follower *follower, enum follower_phase phase)
{
    MUST(rules[follower->phase].to & TO(phase));
    follower->phase = phase;
}

static void close_session(struct follower *follower)
{
    if (follower->phase == FOLLOWER_CLOSED) return;
    move(follower, FOLLOWER_CLOSED);
    follower->link.over = true;
    if (follower->link.state != STATE_NEEDS_REBUILD)
        link_state(&follower->link, STATE_DISCONNECTED);
    (void)link_effect(&follower->link, EFFECT_CLOSE);
}

static void fail(struct follower *follower, enum bye_reason reason, const char *text)
{
    link_bye(&follower->link, reason, text);
    close_session(follower);
}

/* --- Hello and verdict --- */

static void take_facts(struct follower *follower, const struct session_event *event)
{
    if (follower->phase != FOLLOWER_ASKING) return;
    if (event->err != ERR_OK) {
        fail(follower, BYE_LOCAL, "what this copy has is not known");
        return;
    }
    const struct recover_facts *facts = &event->hello->facts;
    follower->facts = *facts;
    follower->facts.epochs = (struct epochs_view){NULL, 0}; /* borrowed */
    follower->last = facts->last;
    follower->last_stamp = event->last_stamp;
    follower->own = (struct message_ack){.incarnation = facts->incarnation,
                                         .durable = facts->durable,
                                         .applied = facts->applied,
                                         .flushed = facts->flushed};
    size_t begin = link_begin(&follower->link);
    hello_put(&follower->link.out->send, event->hello);
    link_send(&follower->link, begin, FRAME_HELLO);
    follower->link.key.incarnation = facts->incarnation;
    move(follower, FOLLOWER_HELLO);
}

static bool plan_rebuilds(const struct recover_plan *plan)
{
    return plan->kind == RECOVER_REBUILD || plan->kind == RECOVER_REBUILD_BASE;
}

static bool is_foreign(const struct follower *follower, const struct frame *verdict)
{
    const struct history *own = &follower->facts.last.history;
    const struct history *other = &follower->plan.common.history;
    return verdict->head.cluster != follower->link.options->cluster ||
           memcmp(own->id, other->id, sizeof own->id) != 0;
}

static void take_verdict(struct follower *follower, const struct frame *frame)
{
    struct message_verdict verdict;
    if (frame->head.type != FRAME_VERDICT || frame->head.session == 0 ||
        verdict_take(frame->payload, &verdict) != ERR_OK) {
        fail(follower, BYE_PROTOCOL, "a verdict was expected");
        return;
    }
    follower->plan = verdict.plan;
    if (verdict.plan.kind == RECOVER_REFUSE) {
        close_session(follower); /* its goodbye follows, and says no more */
        return;
    }
    follower->foreign = is_foreign(follower, frame);
    bool rebuilds = plan_rebuilds(&verdict.plan);
    if (follower->foreign && (!follower->facts.wipe || !rebuilds)) {
        fail(follower, BYE_PROTOCOL, "a verdict of another cluster or history");
        return;
    }
    /* The promise is a fence: who may not lead any more is not followed. */
    bool stale = epoch_compare(frame->head.epoch, follower->facts.promised) < 0;
    if (!follower->foreign && stale && !PLANTED(ACCEPT_STALE_EPOCH)) {
        fail(follower, BYE_FENCED, "a later epoch is promised");
        return;
    }
    follower->primary_epoch = frame->head.epoch;
    follower->link.key.epoch = frame->head.epoch;
    follower->link.key.session = frame->head.session;
    follower->link.cluster = frame->head.cluster;
    move(follower, FOLLOWER_PROMISING);
    link_state(&follower->link, STATE_CATCHING_UP);
    link_effect(&follower->link, EFFECT_PROMISE)->epoch = frame->head.epoch;
}

static void send_ack(struct follower *follower)
{
    size_t begin = link_begin(&follower->link);
    ack_put(&follower->link.out->send, &follower->own);
    link_send(&follower->link, begin, FRAME_ACK);
    follower->acked = follower->own;
}

/* What was to be caught up is on this disk. */
static void arrive(struct follower *follower)
{
    bool there = !lsn_before(follower->own.durable, follower->plan.target);
    if (!there || follower->phase == FOLLOWER_STREAM) return;
    move(follower, FOLLOWER_STREAM);
    link_state(&follower->link, STATE_IN_SYNC);
}

/* Appending may begin. */
static void follow(struct follower *follower, enum follower_phase phase)
{
    move(follower, phase);
    follower->own.durable = lsn_min(follower->own.durable, follower->last.lsn);
    send_ack(follower);
    arrive(follower);
}

static void take_promised(struct follower *follower, const struct session_event *event)
{
    if (follower->phase != FOLLOWER_PROMISING) return;
    const struct recover_plan *plan = &follower->plan;
    if (event->err != ERR_OK && !PLANTED(ACCEPT_STALE_EPOCH)) {
        fail(follower, event->err == ERR_REFUSED ? BYE_FENCED : BYE_LOCAL,
             "the epoch is not promised");
        return;
    }
    if (plan_rebuilds(plan)) {
        /* From here on nothing that it has counts. */
        follower->own.durable = follower->own.applied = follower->own.flushed = (struct lsn){0};
        move(follower, FOLLOWER_TRANSFER);
        send_ack(follower);
        return;
    }
    if (plan->kind == RECOVER_CUT) {
        if (lsn_before(plan->common.lsn, follower->facts.applied) && !PLANTED(CUT_BELOW_APPLIED)) {
            fail(follower, BYE_FORK, "what is applied cannot be cut off");
            return;
        }
        move(follower, FOLLOWER_CUTTING);
        link_effect(&follower->link, EFFECT_CUT)->mark = plan->common;
        return;
    }
    /* The proof once more, from this side: what is sent will follow what is here. */
    bool other = plan->common.lineage.hash != follower->last.lineage.hash;
    if (plan->from.at != follower->last.lsn.at || (other && !PLANTED(RESUME_WITHOUT_LINEAGE))) {
        fail(follower, BYE_FORK, "the verdict is about another log");
        return;
    }
    follow(follower, FOLLOWER_CATCH_UP);
}

static void take_cut(struct follower *follower, const struct session_event *event)
{
    if (follower->phase != FOLLOWER_CUTTING) return;
    if (event->err != ERR_OK) {
        bool fork = event->err == ERR_CORRUPT;
        fail(follower, fork ? BYE_FORK : BYE_LOCAL, "the log is not cut");
        return;
    }
    follower->last = follower->plan.common;
    follower->last_stamp = event->last_stamp;
    follow(follower, FOLLOWER_CATCH_UP);
}

/* --- Entries --- */

struct checked {
    struct message_entries fresh; /* what is new */
    struct lineage before;        /* of the entry before the first that is new */
    struct mark last;
    struct stamp stamp;
};

/* Goes through all entries before one is appended: a copy never takes half of a bad frame. Returns
 * what is wrong, or NULL. */
static const char *check_entries(const struct follower *follower, struct message_entries entries,
                                 struct checked *out)
{
    const struct mark *have = &follower->last;
    struct lineage before = entries.before, stated = entries.last;
    struct entry entry;
    *out = (struct checked){.last = *have, .stamp = follower->last_stamp};
    if (entries.first.at > have->lsn.at + 1) return "entries are missing";
    if (entries.first.at + entries.count - 1 <= have->lsn.at) return NULL; /* nothing is new */
    if (epoch_compare(entries.epoch, have->epoch) < 0) return "an epoch goes back";
    bool later = epoch_compare(entries.epoch, follower->primary_epoch) > 0;
    if (later && !PLANTED(EPOCH_FROM_STREAM)) return "an epoch of nobody";
    while (entries.count > 0) {
        if (entries.first.at == have->lsn.at + 1) {
            bool other = before.hash != have->lineage.hash;
            if (other && !PLANTED(RESUME_WITHOUT_LINEAGE)) return "they follow another log";
            out->fresh = entries;
            out->before = before;
        }
        bool is_new = lsn_before(have->lsn, entries.first);
        MUST(entries_next(&entries, before, &entry));
        before = entry.lineage;
        if (is_new && entry.stamp.bits < out->stamp.bits) return "a stamp goes back";
        if (is_new) out->stamp = entry.stamp;
    }
    if (before.hash != stated.hash) return "their lineage is another one";
    out->last = (struct mark){have->history, entry.epoch, entry.lsn, entry.lineage};
    return NULL;
}

static void take_entries(struct follower *follower, const struct frame *frame)
{
    struct message_entries entries;
    struct checked checked;
    if (entries_take(frame->payload, &entries) != ERR_OK) {
        fail(follower, BYE_PROTOCOL, "entries are malformed");
        return;
    }
    const char *bad = check_entries(follower, entries, &checked);
    if (bad != NULL) {
        fail(follower, BYE_FORK, bad);
        return;
    }
    follower->duplicates += entries.count - checked.fresh.count;
    if (checked.fresh.count == 0) return;
    struct session_effect *effect = link_effect(&follower->link, EFFECT_APPEND);
    effect->entries = checked.fresh;
    effect->before = checked.before;
    follower->last = checked.last;
    follower->last_stamp = checked.stamp;
}

/* --- Watermarks --- */

static void commit(struct follower *follower)
{
    struct lsn have = PLANTED(APPLY_BEYOND_DURABLE) ? follower->last.lsn : follower->own.durable;
    struct lsn most = lsn_min(follower->watermarks.committed, have);
    if (!lsn_before(follower->committed, most)) return;
    follower->committed = most;
    struct session_effect *effect = link_effect(&follower->link, EFFECT_COMMIT);
    effect->lsn = most;
    effect->watermarks = &follower->watermarks;
}

static void take_watermarks(struct follower *follower, const struct frame *frame)
{
    struct message_watermarks watermarks;
    if (watermarks_take(frame->payload, &watermarks) != ERR_OK) {
        fail(follower, BYE_PROTOCOL, "watermarks are malformed");
        return;
    }
    follower->watermarks = watermarks;
    commit(follower);
}

/* Whether it was told all that there is to tell. */
static bool is_told(const struct follower *follower)
{
    return follower->own.durable.at == follower->acked.durable.at &&
           follower->own.applied.at == follower->acked.applied.at &&
           follower->own.flushed.at == follower->acked.flushed.at;
}

static void take_log(struct follower *follower, const struct session_event *event)
{
    if (!is_following(follower)) return;
    follower->own.durable = lsn_min(event->durable, follower->last.lsn);
    if (PLANTED(ACK_WHEN_RECEIVED)) follower->own.durable = follower->last.lsn;
    follower->own.applied = event->applied;
    follower->own.flushed = event->flushed;
    /* What was synced is told at once, since others wait for it; the rest with it or by the clock.
     */
    if (lsn_before(follower->acked.durable, follower->own.durable)) send_ack(follower);
    commit(follower);
    arrive(follower);
}

/* --- The image --- */

static void take_offer(struct follower *follower, const struct frame *frame)
{
    struct message_image image;
    bool good = image_take(frame->payload, &image) == ERR_OK && follower->image.size == 0 &&
                image.size > 0 && image.mark.lsn.at >= follower->plan.from.at;
    if (!good) {
        fail(follower, BYE_PROTOCOL, "an offer of an image that was not asked for");
        return;
    }
    follower->image = image;
    follower->image_next = UINT64_MAX; /* until it is known what there is of it */
    link_effect(&follower->link, EFFECT_IMAGE_OPEN)->image = image;
}

static void send_image_ack(struct follower *follower, uint64_t offset)
{
    size_t begin = link_begin(&follower->link);
    image_ack_put(&follower->link.out->send,
                  &(struct message_image_ack){follower->image.mark.lsn, offset});
    link_send(&follower->link, begin, FRAME_IMAGE_ACK);
    follower->image_stored = offset;
}

static void take_image_at(struct follower *follower, const struct session_event *event)
{
    if (follower->phase != FOLLOWER_TRANSFER || follower->image_next != UINT64_MAX) return;
    if (event->err != ERR_OK) {
        fail(follower, BYE_LOCAL, "there is no place for an image");
        return;
    }
    MUST(event->offset <= follower->image.size);
    follower->image_next = event->offset;
    send_image_ack(follower, event->offset);
}

static void take_chunk(struct follower *follower, const struct frame *frame)
{
    struct message_chunk chunk;
    bool good = chunk_take(frame->payload, &chunk) == ERR_OK &&
                chunk.offset == follower->image_next &&
                chunk.bytes.size <= follower->image.size - follower->image_next;
    if (!good) {
        fail(follower, BYE_PROTOCOL, "a piece of an image out of place");
        return;
    }
    struct session_effect *effect = link_effect(&follower->link, EFFECT_IMAGE_WRITE);
    effect->offset = chunk.offset;
    effect->bytes = chunk.bytes;
    follower->image_next += chunk.bytes.size;
}

static void take_image_stored(struct follower *follower, const struct session_event *event)
{
    bool transfers = follower->phase == FOLLOWER_TRANSFER || follower->phase == FOLLOWER_INSTALLING;
    if (!transfers || follower->image_next == UINT64_MAX) return;
    if (event->err != ERR_OK) {
        fail(follower, BYE_LOCAL, "the image cannot be written");
        return;
    }
    MUST(event->offset <= follower->image_next);
    if (event->offset > follower->image_stored) send_image_ack(follower, event->offset);
}

static void take_done(struct follower *follower, const struct frame *frame)
{
    struct message_image done;
    bool good = image_take(frame->payload, &done) == ERR_OK && follower->image.size > 0 &&
                mark_equal(&done.mark, &follower->image.mark) &&
                done.size == follower->image.size && done.checksum == follower->image.checksum &&
                follower->image_next == done.size;
    if (!good) {
        fail(follower, BYE_PROTOCOL, "an image ends where it does not");
        return;
    }
    move(follower, FOLLOWER_INSTALLING);
    link_effect(&follower->link, EFFECT_INSTALL)->image = follower->image;
}

static void take_installed(struct follower *follower, const struct session_event *event)
{
    if (follower->phase != FOLLOWER_INSTALLING) return;
    if (event->err != ERR_OK) {
        fail(follower, BYE_LOCAL, "the image is not installed");
        return;
    }
    MUST(mark_equal(&event->last, &follower->image.mark)); /* the log opens behind it */
    struct lsn at = event->last.lsn;
    follower->last = event->last;
    follower->last_stamp = event->last_stamp;
    follower->own.durable = follower->own.applied = follower->own.flushed = at;
    follower->plan.target = lsn_max(follower->plan.target, at);
    follow(follower, FOLLOWER_TAIL);
}

/* --- Events --- */

static void take_stamp(struct follower *follower, const struct frame *frame)
{
    struct message_stamp stamp;
    if (stamp_take(frame->payload, &stamp) != ERR_OK) {
        fail(follower, BYE_PROTOCOL, "a stamp is malformed");
        return;
    }
    link_effect(&follower->link, EFFECT_STAMP)->stamp = stamp;
}

static void tell_stamp(struct follower *follower, const struct message_stamp *stamp)
{
    if (!is_following(follower)) return;
    size_t begin = link_begin(&follower->link);
    stamp_put(&follower->link.out->send, stamp);
    link_send(&follower->link, begin, FRAME_STAMP);
}

static void take_frame(struct follower *follower, const struct frame *frame)
{
    enum frame_type type = frame->head.type;
    bool transfer = follower->phase == FOLLOWER_TRANSFER;
    if (follower->phase == FOLLOWER_HELLO) take_verdict(follower, frame);
    else if (type == FRAME_ENTRIES && is_following(follower)) take_entries(follower, frame);
    else if (type == FRAME_WATERMARKS && is_following(follower)) take_watermarks(follower, frame);
    else if (type == FRAME_STAMP && is_following(follower)) take_stamp(follower, frame);
    else if (type == FRAME_IMAGE_OFFER && transfer) take_offer(follower, frame);
    else if (type == FRAME_IMAGE_CHUNK && transfer) take_chunk(follower, frame);
    else if (type == FRAME_IMAGE_DONE && transfer) take_done(follower, frame);
    else fail(follower, BYE_PROTOCOL, "it was not the time for that");
}

static void take_bytes(struct follower *follower, const struct session_event *event)
{
    struct frame frame;
    bool taken = link_take(&follower->link, event, &frame);
    if (follower->phase == FOLLOWER_PROOF && follower->link.phase == LINK_PROVEN) {
        move(follower, FOLLOWER_ASKING);
        (void)link_effect(&follower->link, EFFECT_FACTS);
    }
    if (taken) take_frame(follower, &frame);
}

static void tick(struct follower *follower)
{
    bool planned = follower->phase >= FOLLOWER_PROMISING;
    if (!link_tick(&follower->link, planned)) {
        close_session(follower);
        return;
    }
    if (is_following(follower) && !is_told(follower)) send_ack(follower);
}

static void take_result(struct follower *follower, const struct session_event *event)
{
    if (!link_is_ours(&follower->link, &event->key)) return;
    if (event->kind == EVENT_FACTS) take_facts(follower, event);
    if (event->kind == EVENT_PROMISED) take_promised(follower, event);
    if (event->kind == EVENT_CUT) take_cut(follower, event);
    if (event->kind == EVENT_IMAGE_AT) take_image_at(follower, event);
    if (event->kind == EVENT_IMAGE_STORED) take_image_stored(follower, event);
    if (event->kind == EVENT_INSTALLED) take_installed(follower, event);
}

void follower_step(struct follower *follower, const struct session_event *event,
                   struct session_effects *out)
{
    link_step(&follower->link, event, out);
    bool open = !follower->link.over;
    switch (event->kind) {
    case EVENT_RECEIVED:
        if (open) take_bytes(follower, event);
        else *event->bytes = bytes_of(NULL, 0);
        break;
    case EVENT_TICK:
        if (open) tick(follower);
        break;
    case EVENT_LOG:
        if (open) take_log(follower, event);
        break;
    case EVENT_STAMP:
        if (open) tell_stamp(follower, event->stamp);
        break;
    case EVENT_FACTS:
    case EVENT_PROMISED:
    case EVENT_CUT:
    case EVENT_IMAGE_AT:
    case EVENT_IMAGE_STORED:
    case EVENT_INSTALLED:
        if (open) take_result(follower, event);
        break;
    case EVENT_OPENED:
    case EVENT_ENDED:
    case EVENT_STOP: break; /* the link's */
    case EVENT_PINNED:
    case EVENT_ENTRIES:
    case EVENT_IMAGE:
    case EVENT_IMAGE_BYTES:
    case EVENT_VOTED:
    case SESSION_EVENTS: MUST(false); /* the other end's */
    }
    if (follower->link.over) close_session(follower);
    follower_check(follower);
}
