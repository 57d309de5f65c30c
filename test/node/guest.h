/* SPDX-License-Identifier: Apache-2.0 */
/* guest: a copy that follows the node of a bed: the receiving end of a session over a stream that
 * the test holds, with a log of which it keeps the last mark only.
 *
 *     struct party party;
 *     party_open(&party);                       a node that leads
 *     struct guest *guest = guest_open(&party, 2);
 *     guest_meet(guest);                        connected, and everything settled
 *     assert_int_equal(guest->state, STATE_IN_SYNC);
 *     party_close(&party);
 */
#ifndef TEST_NODE_GUEST_H
#define TEST_NODE_GUEST_H

#include "node/internal.h"
#include "test/face/redis/fake_net.h"
#include "test/node/bed.h"

enum { PARTY_GUESTS = 24 };

struct guest {
    struct party *party;
    struct stream *stream; /* of the node's heap */
    struct stream_owner *owner;
    struct follower follower;
    struct session_options options;
    struct session_effects effects;
    struct buffer outgoing, in, image;
    bool connected, over, log_due;
    bool syncs_not; /* what it gets is not durable there */
    bool deaf;      /* it takes nothing off the stream */
    bool dawdles;   /* its promise is not durable yet: */
    struct session_event promised;
    bool loads; /* what it was sent is not its state yet: */
    struct session_event installed;
    struct recover_facts facts;
    struct epochs epochs;
    struct stamp stamp;
    const char *peer;
    enum session_state state;
    unsigned taken, appends, images, sessions;
    struct message_image offer;
};

struct party {
    struct bed bed;
    struct fake_net net;
    struct net_ops ops;
    struct guest guests[PARTY_GUESTS];
    unsigned count;
};

struct party_visit {
    struct sim_visit base;
    struct guest *guest;
    struct party *party;
    void (*run)(struct party *party, struct guest *guest);
};

static inline void party_visited(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct party_visit *visit = CONTAINER_OF(base, struct party_visit, base);
    visit->run(visit->party, visit->guest);
}

static inline void party_do(struct party *party, struct guest *guest,
                            void (*run)(struct party *party, struct guest *guest))
{
    struct party_visit visit = {
        .base.run = party_visited, .guest = guest, .party = party, .run = run};
    assert_true(sim_node_visit(party->bed.sim, &visit.base));
}

static inline void party_swap_net(struct party *party, struct guest *guest)
{
    (void)guest;
    party->bed.node->world.net = party->bed.node->world.peers = &party->net.base;
}

/* Nobody is to be reached from the node. */
static inline enum err party_dial(struct net *net, struct dial *dial, const char *address,
                                  uint64_t timeout_us, struct why *why)
{
    (void)net, (void)dial, (void)timeout_us;
    return why_fail(why, ERR_REFUSED, "%s", address);
}

static inline void party_cancel(struct net *net, struct dial *dial)
{
    (void)net, (void)dial;
}

static inline void party_open_as(struct party *party, enum log_durability durability)
{
    memset(party, 0, sizeof *party);
    bed_make(&party->bed, 1);
    party->bed.options.durability = durability;
    assert_true(sim_node_start(party->bed.sim));
    bed_settle(&party->bed);
    assert_int_equal(party->bed.readies, 1);
    fake_net_init(&party->net);
    party->ops = *party->net.base.ops;
    party->ops.dial = party_dial;
    party->ops.cancel = party_cancel;
    party->net.base.ops = &party->ops;
    party_do(party, NULL, party_swap_net);
}

static inline void party_open(struct party *party)
{
    party_open_as(party, LOG_ALWAYS);
}

/* --- The guest's own part --- */

static inline void guest_step(struct guest *guest, struct session_event *event);

static inline void guest_append(struct guest *guest, const struct session_effect *effect)
{
    struct message_entries entries = effect->entries;
    struct lineage before = effect->before;
    struct entry entry;
    while (entries_next(&entries, before, &entry)) {
        before = entry.lineage;
        assert_int_equal(entry.lsn.at, guest->facts.last.lsn.at + 1);
        if (epoch_compare(entry.epoch, guest->facts.last.epoch) != 0) {
            struct epoch_start start = {entry.epoch, entry.lsn, 0};
            assert_int_equal(epochs_append(&guest->epochs, &start, NULL), ERR_OK);
        }
        guest->facts.last.epoch = entry.epoch;
        guest->facts.last.lsn = entry.lsn;
        guest->facts.last.lineage = entry.lineage;
        guest->stamp = entry.stamp;
        guest->taken++;
    }
    guest->appends++;
    if (!guest->syncs_not) guest->facts.durable = guest->facts.last.lsn;
    guest->log_due = true;
}

static inline void guest_install(struct guest *guest)
{
    const struct mark *mark = &guest->offer.mark;
    struct epoch_start start = {mark->epoch, mark->lsn, 0};
    epochs_cut(&guest->epochs, (struct lsn){0});
    assert_int_equal(epochs_append(&guest->epochs, &start, NULL), ERR_OK);
    guest->facts.last = *mark;
    guest->facts.floor = lsn_next(mark->lsn);
    guest->facts.durable = guest->facts.committed = mark->lsn;
    guest->facts.applied = guest->facts.flushed = mark->lsn;
    guest->facts.applied_lineage = mark->lineage;
    guest->facts.cluster = guest->follower.link.cluster;
    guest->facts.wipe = false;
    guest->images++;
}

static inline void guest_answer(struct guest *guest, const struct session_effect *effect)
{
    struct session_event event = {.key = effect->key, .last_stamp = guest->stamp};
    struct message_hello hello = {.peer = bytes_text(guest->peer), .redis = bytes_text(":6379")};
    if (effect->kind == EFFECT_FACTS) {
        guest->facts.epochs = epochs_view(&guest->epochs);
        hello.facts = guest->facts;
        event.kind = EVENT_FACTS;
        event.hello = &hello;
    } else if (effect->kind == EFFECT_PROMISE) {
        guest->facts.promised = effect->epoch;
        event.kind = EVENT_PROMISED;
        guest->promised = event;
        if (guest->dawdles) return;
    } else if (effect->kind == EFFECT_CUT) {
        guest->facts.last.lsn = effect->mark.lsn;
        guest->facts.last.epoch = effect->mark.epoch;
        guest->facts.last.lineage = effect->mark.lineage;
        epochs_cut(&guest->epochs, effect->mark.lsn);
        event.kind = EVENT_CUT;
    } else if (effect->kind == EFFECT_IMAGE_OPEN) {
        guest->offer = effect->image;
        buffer_clear(&guest->image);
        event.kind = EVENT_IMAGE_AT;
    } else if (effect->kind == EFFECT_IMAGE_WRITE) {
        assert_int_equal(effect->offset, guest->image.size);
        buffer_append(&guest->image, effect->bytes);
        event.kind = EVENT_IMAGE_STORED;
        event.offset = guest->image.size;
    } else if (effect->kind == EFFECT_INSTALL) {
        guest_install(guest);
        event.kind = EVENT_INSTALLED;
        event.last = guest->facts.last;
        guest->installed = event;
        if (guest->loads) return;
    } else return;
    guest_step(guest, &event);
}

static inline void guest_step(struct guest *guest, struct session_event *event)
{
    event->now_us = 1;
    follower_step(&guest->follower, event, &guest->effects);
    buffer_append(&guest->outgoing, buffer_bytes(&guest->effects.send));
    struct session_effect at[SESSION_EFFECTS_MAX];
    unsigned count = guest->effects.count;
    memcpy(at, guest->effects.at, sizeof at);
    for (unsigned i = 0; i < count; i++) {
        if (at[i].kind == EFFECT_STATE) guest->state = at[i].state;
        if (at[i].kind == EFFECT_CLOSE) guest->over = true;
        if (at[i].kind == EFFECT_APPEND) guest_append(guest, &at[i]);
        if (at[i].kind == EFFECT_COMMIT) {
            guest->facts.committed = guest->facts.applied = at[i].lsn;
            guest->log_due = true;
        }
        guest_answer(guest, &at[i]);
    }
}

/* Something of what the node sent is taken in. False: there was nothing. */
static inline bool guest_take(struct guest *guest)
{
    if (guest->stream == NULL || guest->deaf || guest->stream->out.size == 0) return false;
    buffer_append(&guest->in, buffer_bytes(&guest->stream->out));
    buffer_clear(&guest->stream->out);
    struct bytes bytes = buffer_bytes(&guest->in);
    while (bytes.size > 0 && !guest->over) {
        struct session_event event = {.kind = EVENT_RECEIVED, .bytes = &bytes};
        guest_step(guest, &event);
    }
    buffer_clear(&guest->in);
    return true;
}

static inline bool guest_log(struct guest *guest)
{
    if (!guest->log_due || guest->over) return false;
    guest->log_due = false;
    struct session_event event = {.kind = EVENT_LOG,
                                  .appended = guest->facts.last.lsn,
                                  .durable = guest->facts.durable,
                                  .applied = guest->facts.applied,
                                  .flushed = guest->facts.flushed};
    guest_step(guest, &event);
    return true;
}

/* --- Between the two --- */

static inline void guest_sends(struct party *party, struct guest *guest)
{
    (void)party;
    if (!guest->stream->closed)
        guest->owner->events->received(guest->owner, buffer_bytes(&guest->outgoing));
}

static inline void guest_accepted(struct party *party, struct guest *guest)
{
    struct stream *stream = memory_zeroed(1, sizeof *stream);
    buffer_init(&stream->out);
    buffer_init(&stream->waiting);
    stream->window = SIZE_MAX;
    stream->number = ++party->net.count;
    guest->stream = stream;
    guest->owner = node_serves_accept(party->bed.node, stream, buffer_bytes(&guest->outgoing));
    if (guest->owner == NULL) stream->closed = true;
}

static inline void guest_ends(struct party *party, struct guest *guest)
{
    (void)party;
    if (!guest->stream->closed) guest->owner->events->ended(guest->owner);
}

static inline void guest_frees(struct party *party, struct guest *guest)
{
    (void)party;
    buffer_release(&guest->stream->out);
    buffer_release(&guest->stream->waiting);
    memory_free(guest->stream);
    guest->stream = NULL;
}

/* The node and all guests go on until nothing moves any more. */
static inline void party_settle(struct party *party)
{
    for (unsigned idle = 0, rounds = 0; idle < 40; rounds++) {
        assert_true(rounds < 5000);
        bool moved = false;
        for (unsigned i = 0; i < party->count; i++) {
            struct guest *guest = &party->guests[i];
            if (guest->stream == NULL) continue;
            if (guest->outgoing.size > 0) {
                party_do(party, guest, guest_sends);
                buffer_clear(&guest->outgoing);
                moved = true;
            }
            if (guest_take(guest) || guest_log(guest)) moved = true;
        }
        bed_run(&party->bed, SIM_MILLISECOND);
        idle = moved ? 0 : idle + 1;
    }
}

/* Time passes; who is connected says so. */
static inline void party_pass(struct party *party, uint64_t us)
{
    for (uint64_t passed = 0; passed < us; passed += SIM_SECOND) {
        for (unsigned i = 0; i < party->count; i++) {
            struct guest *guest = &party->guests[i];
            if (guest->stream == NULL || guest->over || guest->deaf) continue;
            struct session_event event = {.kind = EVENT_TICK};
            guest_step(guest, &event);
            size_t begin = frame_begin(&guest->outgoing);
            struct frame_head head = {.type = FRAME_PING,
                                      .cluster = guest->follower.link.cluster,
                                      .epoch = guest->follower.link.key.epoch,
                                      .session = guest->follower.link.key.session};
            frame_seal(&guest->outgoing, begin, &head);
        }
        bed_run(&party->bed, SIM_SECOND - 100 * SIM_MILLISECOND);
        party_settle(party);
    }
}

/* A copy with nothing, of the history of the node. */
static inline struct guest *guest_open(struct party *party, uint64_t copy)
{
    assert_true(party->count < PARTY_GUESTS);
    struct guest *guest = &party->guests[party->count++];
    struct node *node = party->bed.node;
    guest->party = party;
    guest->peer = "10.0.0.2:7000";
    buffer_init(&guest->outgoing);
    buffer_init(&guest->in);
    buffer_init(&guest->image);
    epochs_init(&guest->epochs);
    session_effects_init(&guest->effects);
    guest->options = (struct session_options){.cluster = site_cluster(&node->site),
                                              .copy = copy,
                                              .level = 1,
                                              .plain = true,
                                              .keepalive_us = UINT64_MAX,
                                              .silent_us = UINT64_MAX,
                                              .hello_us = UINT64_MAX};
    guest->facts = (struct recover_facts){.cluster = guest->options.cluster,
                                          .level = 1,
                                          .copy = copy,
                                          .incarnation = 1,
                                          .floor = {1}};
    guest->facts.last.history = log_last(node->log).history;
    return guest;
}

/* Connects; what was there of an earlier connection goes. */
static inline void guest_connect(struct guest *guest)
{
    uint8_t nonce[MESSAGE_NONCE_BYTES] = {(uint8_t)guest->options.copy, (uint8_t)++guest->sessions};
    if (guest->sessions > 1) follower_release(&guest->follower);
    if (guest->stream != NULL) {
        party_do(guest->party, guest, guest_ends);
        bed_settle(&guest->party->bed);
        party_do(guest->party, guest, guest_frees);
    }
    guest->over = guest->log_due = false;
    buffer_clear(&guest->outgoing);
    follower_init(&guest->follower, &guest->options, guest->sessions);
    struct session_event event = {.kind = EVENT_OPENED, .nonce = nonce};
    guest_step(guest, &event);
    party_do(guest->party, guest, guest_accepted);
    buffer_clear(&guest->outgoing);
}

static inline void guest_meet(struct guest *guest)
{
    guest_connect(guest);
    party_settle(guest->party);
}

static inline void guest_leave(struct guest *guest)
{
    party_do(guest->party, guest, guest_ends);
    bed_settle(&guest->party->bed);
    guest->over = true;
}

static inline void guest_close(struct guest *guest)
{
    if (guest->stream != NULL) {
        party_do(guest->party, guest, guest_ends);
        bed_settle(&guest->party->bed);
        party_do(guest->party, guest, guest_frees);
    }
    if (guest->sessions > 0) follower_release(&guest->follower);
    epochs_release(&guest->epochs);
    buffer_release(&guest->outgoing);
    buffer_release(&guest->in);
    buffer_release(&guest->image);
    session_effects_release(&guest->effects);
}

/* It is of another history, and that may be given up: only an image will do. */
static inline void guest_is_foreign(struct guest *guest)
{
    guest->facts.wipe = true;
    guest->facts.last.history.id[0] ^= 1;
}

/* --- What tests do --- */

/* By LPUSH. Returns the LSN of the last entry. */
static inline uint64_t party_push(struct party *party, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        party->bed.count = 0; /* the place of a call that has ended */
        party->bed.calls[0] = (struct asked){0};
        (void)bed_ask(&party->bed, CALL_WRITE, "LPUSH k a");
        bed_settle(&party->bed);
    }
    return log_appended(party->bed.node->log).at;
}

static inline struct copies_status party_status(struct party *party)
{
    struct copies_status status;
    node_serves_status(party->bed.node, &status);
    return status;
}

static inline void party_flush(struct party *party)
{
    (void)bed_do(&party->bed, DEED_FLUSH, NULL, ERR_OK);
    bed_run(&party->bed, 100 * SIM_MILLISECOND);
}

static inline void party_save(struct party *party)
{
    assert_int_equal(bed_save(&party->bed), ERR_OK);
    if (party->bed.fake.flush != NULL) party_flush(party);
    bed_run(&party->bed, SIM_SECOND);
    assert_false(bed_images(&party->bed).failed);
}

static inline void party_trim(struct party *party, struct guest *guest)
{
    (void)guest;
    log_trim(party->bed.node->log, (struct lsn){250});
}

/* It has what the other has. */
static inline void guest_copy(struct guest *guest, const struct guest *other)
{
    guest->facts = other->facts;
    guest->facts.copy = guest->options.copy;
    guest->stamp = other->stamp;
    epochs_cut(&guest->epochs, (struct lsn){0});
    assert_int_equal(epochs_append(&guest->epochs, &other->epochs.at[0], NULL), ERR_OK);
}

static inline void party_close(struct party *party)
{
    for (unsigned i = 0; i < party->count; i++) guest_close(&party->guests[i]);
    bed_close(&party->bed);
}

#endif
