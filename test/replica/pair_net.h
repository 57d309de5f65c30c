/* SPDX-License-Identifier: Apache-2.0 */
/* pair_net: the two ends of test/replica/pair.h on nodes of the simulated world, joined by
 * connections of its network: several at a time at the primary, of which one is served. */
#ifndef TEST_REPLICA_PAIR_NET_H
#define TEST_REPLICA_PAIR_NET_H

#include "base/must.h"
#include "sim/heap.h"
#include "sim/net.h"
#include "sim/weather.h"
#include "test/replica/pair.h"

enum { SHARDS = 2, NODES = 3, DIAL_US = 3 * SIM_SECOND, BACK_US = 200 * SIM_SECOND };

struct shard;

/* One end of a connection; at the primary there may be several, of which one at most is served. */
struct conn {
    struct stream_owner owner;
    struct list node; /* in shard->conns, at the primary */
    struct shard *shard;
    struct stream *stream;   /* NULL: the node is down */
    struct primary *primary; /* one of the two */
    struct follower *follower;
    enum session_state state;
    uint64_t endpoint, attached; /* session; 0: not attached */
};

struct shard {
    struct pair pair;
    struct trial *trial;
    struct world *worlds[2]; /* the primary's, the replica's; NULL: down */
    struct listener listener;
    struct list conns;
    struct conn *served, *follower; /* NULL: none */
    struct dial dial;
    struct timer again, answers[2], ticks[2];
    unsigned port;
};

struct seat {
    struct sim_program program;
    struct trial *trial;
    struct sim_node *node;
};

struct trial {
    struct sim_world *sim;
    struct seat seats[NODES];
    struct sim_node *nodes[NODES];
    struct shard shards[SHARDS];
    struct weather weather;
    struct dice dice;
    bool is_calm;
    unsigned seen[RECOVER_KINDS];
    uint64_t in_sync, superseded, broken;
};

static inline uint64_t draw(struct shard *shard, uint64_t bound)
{
    return dice_below(&shard->trial->dice, bound);
}

static inline void check_shard(const struct shard *shard)
{
    const struct pair *pair = &shard->pair;
    const struct pair_copy *primary = &pair->copies[0], *replica = &pair->copies[1];
    assert_true(replica->applied <= primary->size);
    assert_int_equal(replica->log[replica->applied].lineage.hash,
                     primary->log[replica->applied].lineage.hash);
    assert_true(replica->committed <= primary->committed);
    assert_true(pair->pins <= 1);
    if (pair->progress.copies[1].counting == COUNTING_OUT) return;
    assert_true(replica->durable >= primary->committed);
    assert_int_equal(replica->log[primary->committed].lineage.hash,
                     primary->log[primary->committed].lineage.hash);
}

/* ---- Steps ---- */

static inline void conn_drop(struct conn *conn);

/* The harness's pair works on one connection at a time: on this one. */
static inline void conn_select(struct conn *conn)
{
    struct pair *pair = &conn->shard->pair;
    unsigned side = conn->primary != NULL ? 0 : 1;
    if (side == 0) pair->primary = conn->primary;
    else pair->follower = conn->follower;
    pair->states[side] = conn->state;
    if (conn->shard->worlds[side] != NULL)
        pair->now_us = clock_now_us(conn->shard->worlds[side]->clock);
}

static inline bool conn_is_closed(const struct conn *conn)
{
    return conn->primary != NULL ? conn->primary->phase == PRIMARY_CLOSED
                                 : conn->follower->phase == FOLLOWER_CLOSED;
}

/* Sends what the last step gave; drops the connection when that has closed it. */
static inline void conn_settle(struct conn *conn)
{
    struct shard *shard = conn->shard;
    struct pair *pair = &shard->pair;
    unsigned side = conn->primary != NULL ? 0 : 1;
    struct buffer *pipe = &pair->pipes[1 - side];
    const struct world *world = shard->worlds[side];
    conn->state = pair->states[side];
    if (conn->state == STATE_IN_SYNC && side == 0) shard->trial->in_sync++;
    if (pipe->size > 0) world->net->ops->send(conn->stream, buffer_bytes(pipe));
    buffer_clear(pipe);
    if (conn->primary != NULL && conn->primary->phase == PRIMARY_PREPARING)
        shard->trial->seen[conn->primary->plan.kind]++;
    if (conn->primary != NULL && conn->primary->phase == PRIMARY_CLOSED &&
        conn->primary->plan.kind == RECOVER_REFUSE && conn->attached != 0) {
        char text[RECOVER_TEXT_BYTES];
        recover_format(&conn->primary->plan, text);
        sim_world_fail(shard->trial->sim, "refused: %s", text);
    }
    if (conn_is_closed(conn)) conn_drop(conn);
    pair->primary = shard->served != NULL ? shard->served->primary : NULL;
    pair->follower = shard->follower != NULL ? shard->follower->follower : NULL;
    for (unsigned i = 0; i < 2; i++) {
        if (shard->worlds[i] == NULL || pair->result_count == 0 || shard->answers[i].armed)
            continue;
        clock_timer_start(shard->worlds[i]->clock, &shard->answers[i], draw(shard, 5000));
    }
}

static inline void conn_step(struct conn *conn, struct session_event *event)
{
    conn_select(conn);
    pair_step(&conn->shard->pair, conn->primary != NULL, event);
    conn_settle(conn);
}

static inline void results_forget(struct conn *conn)
{
    struct pair *pair = &conn->shard->pair;
    unsigned kept = 0;
    for (unsigned i = 0; i < pair->result_count; i++) {
        struct pair_result result = pair->results[i];
        bool is_its = result.to_primary == (conn->primary != NULL) &&
                      result.effect.key.endpoint == conn->endpoint;
        if (!is_its) pair->results[kept++] = result;
        if (!is_its || result.effect.kind != EFFECT_PIN || conn->stream == NULL) continue;
        /* A pin that was asked for comes in the end, and goes back. */
        struct session_event event = {.kind = EVENT_PINNED, .key = result.effect.key};
        pair->pins++;
        pair_step(pair, true, &event);
    }
    pair->result_count = kept;
}

/* The session is closed, or its node is down. */
static inline void conn_drop(struct conn *conn)
{
    struct shard *shard = conn->shard;
    struct pair *pair = &shard->pair;
    results_forget(conn);
    if (conn->stream != NULL) {
        unsigned side = conn->primary != NULL ? 0 : 1;
        shard->worlds[side]->net->ops->close(conn->stream, true);
        if (side == 1)
            clock_timer_start(shard->worlds[1]->clock, &shard->again, draw(shard, 300000));
    }
    if (conn->primary != NULL) {
        if (conn->attached != 0) progress_detach(&pair->progress, 2, conn->attached);
        primary_release(conn->primary);
        list_remove(&conn->node);
    } else {
        follower_release(conn->follower);
        shard->follower = NULL;
    }
    if (shard->served == conn) shard->served = NULL;
    memory_free(conn->primary);
    memory_free(conn->follower);
    memory_free(conn);
}

static inline struct conn *conn_by_result(struct shard *shard, const struct pair_result *result)
{
    if (!result->to_primary) return shard->follower;
    for (struct list *at = shard->conns.next; at != &shard->conns; at = at->next) {
        struct conn *conn = CONTAINER_OF(at, struct conn, node);
        if (conn->endpoint == result->effect.key.endpoint) return conn;
    }
    return NULL;
}

/* A replica that has proved itself and told its facts takes the place of its older session. */
static inline void shard_supersede(struct shard *shard, struct conn *conn)
{
    if (shard->served != NULL && shard->served != conn) {
        struct session_event event = {.kind = EVENT_STOP, .reason = BYE_SUPERSEDED};
        shard->trial->superseded++;
        conn_step(shard->served, &event);
        assert_null(shard->served);
        assert_int_equal(shard->pair.pins, 0);
    }
    shard->served = conn;
    conn->attached = shard->pair.sessions + 1;
}

static inline void shard_answer(struct shard *shard, bool primary)
{
    struct pair *pair = &shard->pair;
    unsigned mine = 0, chosen = 0;
    for (unsigned i = 0; i < pair->result_count; i++) {
        if (pair->results[i].to_primary != primary) continue;
        mine++;
        if (draw(shard, mine) == 0) chosen = i;
    }
    if (mine == 0) return;
    struct conn *conn = conn_by_result(shard, &pair->results[chosen]);
    assert_non_null(conn);
    if (primary && pair->results[chosen].effect.kind == EFFECT_FACTS) {
        uint64_t endpoint = conn->endpoint;
        shard_supersede(shard, conn);
        for (chosen = 0; pair->results[chosen].effect.key.endpoint != endpoint ||
                         !pair->results[chosen].to_primary;)
            chosen++;
    }
    conn_select(conn);
    pair_answer(pair, chosen);
    conn_settle(conn);
}

/* ---- Both ends ---- */

static inline void conn_received(struct stream_owner *owner, struct bytes bytes)
{
    struct conn *conn = CONTAINER_OF(owner, struct conn, owner);
    struct shard *shard = conn->shard;
    struct sim_heap *before = sim_heap_enter(NULL);
    bool is_flipped = sim_stream_flips(conn->stream) > 0;
    bool is_over = false;
    while (bytes.size > 0 && !is_over) {
        struct session_event event = {.kind = EVENT_RECEIVED, .bytes = &bytes};
        conn_select(conn);
        pair_step(&shard->pair, conn->primary != NULL, &event);
        is_over = conn_is_closed(conn);
        conn_settle(conn);
    }
    if (is_over && is_flipped) shard->trial->broken++;
    check_shard(shard);
    (void)sim_heap_enter(before);
}

static inline void conn_drained(struct stream_owner *owner)
{
    (void)owner;
}

static inline void conn_ended(struct stream_owner *owner)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    struct session_event event = {.kind = EVENT_ENDED};
    conn_step(CONTAINER_OF(owner, struct conn, owner), &event);
    (void)sim_heap_enter(before);
}

static const struct stream_events conn_events = {conn_received, conn_drained, conn_ended};

static inline struct stream_owner *conn_open(struct shard *shard, bool primary,
                                             struct stream *stream)
{
    struct pair *pair = &shard->pair;
    struct sim_heap *before = sim_heap_enter(NULL);
    struct conn *conn = memory_zeroed(1, sizeof *conn);
    *conn = (struct conn){.owner = {&conn_events}, .shard = shard, .stream = stream};
    conn->endpoint = ++pair->endpoint;
    if (primary) {
        conn->primary = memory_alloc(sizeof *conn->primary);
        primary_init(conn->primary, &pair->options[0], conn->endpoint);
        list_append(&shard->conns, &conn->node);
    } else {
        conn->follower = memory_alloc(sizeof *conn->follower);
        follower_init(conn->follower, &pair->options[1], conn->endpoint);
        shard->follower = conn;
    }
    uint8_t nonce[MESSAGE_NONCE_BYTES];
    entropy_fill(shard->worlds[primary ? 0 : 1]->entropy, nonce, sizeof nonce);
    struct session_event event = {.kind = EVENT_OPENED, .nonce = nonce};
    conn_step(conn, &event);
    if (primary) {
        conn_select(conn);
        pair_log_event(pair, true);
        conn_settle(conn);
    }
    (void)sim_heap_enter(before);
    return &conn->owner;
}

static inline struct stream_owner *shard_accepted(struct listener *listener, struct stream *stream)
{
    return conn_open(CONTAINER_OF(listener, struct shard, listener), true, stream);
}

static inline struct stream_owner *shard_connected(struct dial *dial, struct stream *stream)
{
    return conn_open(CONTAINER_OF(dial, struct shard, dial), false, stream);
}

static inline void shard_failed(struct dial *dial, enum dial_failure failure, const struct why *why)
{
    (void)failure;
    (void)why;
    struct shard *shard = CONTAINER_OF(dial, struct shard, dial);
    clock_timer_start(shard->worlds[1]->clock, &shard->again, draw(shard, 300000));
}

static inline void shard_again(struct timer *timer)
{
    struct shard *shard = CONTAINER_OF(timer, struct shard, again);
    struct net *net = shard->worlds[1]->net;
    char address[32];
    (void)snprintf(address, sizeof address, "n1:%u", shard->port);
    assert_int_equal(net->ops->dial(net, &shard->dial, address, DIAL_US, NULL), ERR_OK);
}

/* ---- Time ---- */

static inline void side_answers(struct shard *shard, bool primary)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    shard_answer(shard, primary);
    check_shard(shard);
    (void)sim_heap_enter(before);
    unsigned side = primary ? 0 : 1;
    if (shard->pair.result_count > 0 && !shard->answers[side].armed)
        clock_timer_start(shard->worlds[side]->clock, &shard->answers[side], draw(shard, 5000));
}

static inline void primary_answers(struct timer *timer)
{
    side_answers(CONTAINER_OF(timer, struct shard, answers[0]), true);
}

static inline void replica_answers(struct timer *timer)
{
    side_answers(CONTAINER_OF(timer, struct shard, answers[1]), false);
}

/* The log of one side is synced a little further; its sessions hear of it. */
static inline void side_syncs(struct shard *shard, unsigned side)
{
    struct pair_copy *copy = &shard->pair.copies[side];
    copy->durable += draw(shard, copy->size - copy->durable + 1);
    if (shard->trial->is_calm) copy->durable = copy->size;
    if (draw(shard, 4) == 0) copy->flushed = copy->applied;
    if (copy->flushed > copy->durable) copy->flushed = copy->durable;
    if (side == 1 && shard->follower != NULL) {
        conn_select(shard->follower);
        pair_log_event(&shard->pair, false);
        conn_settle(shard->follower);
    }
    if (side == 1) return;
    shard->pair.primary = NULL;
    pair_commit(&shard->pair);
    for (struct list *at = shard->conns.next, *next; at != &shard->conns; at = next) {
        next = at->next;
        struct conn *conn = CONTAINER_OF(at, struct conn, node);
        conn_select(conn);
        pair_log_event(&shard->pair, true);
        conn_settle(conn);
    }
}

static inline void primary_writes(struct shard *shard)
{
    struct pair_copy *copy = &shard->pair.copies[0];
    if (shard->trial->is_calm || copy->size + 60 > PAIR_LOG_MAX || draw(shard, 6) > 0) return;
    struct stamp stamp = {copy->log[copy->size].stamp.bits + draw(shard, 3)};
    for (uint64_t i = draw(shard, 5) + 1; i > 0; i--)
        pair_append(copy, copy->promised, stamp, ++shard->pair.value);
}

static inline void primary_trims(struct shard *shard)
{
    struct pair *pair = &shard->pair;
    struct pair_copy *copy = &pair->copies[0];
    uint64_t most = copy->flushed + 1;
    if (pair->pin > 0 && pair->pin < most) most = pair->pin;
    if (draw(shard, 10) > 0 || pair->progress.copies[1].counting != COUNTING_OUT) return;
    if (most > copy->floor) copy->floor += draw(shard, most - copy->floor + 1);
    if (copy->flushed > 0 && draw(shard, 3) == 0) pair->image = pair_mark(copy, copy->flushed);
}

static inline void primary_ticks(struct timer *timer)
{
    struct shard *shard = CONTAINER_OF(timer, struct shard, ticks[0]);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct session_event event = {.kind = EVENT_TICK};
    for (struct list *at = shard->conns.next, *next; at != &shard->conns; at = next) {
        next = at->next;
        conn_step(CONTAINER_OF(at, struct conn, node), &event);
    }
    primary_writes(shard);
    side_syncs(shard, 0);
    primary_trims(shard);
    check_shard(shard);
    (void)sim_heap_enter(before);
    clock_timer_start(shard->worlds[0]->clock, timer, 1 + draw(shard, 200000));
}

static inline void replica_ticks(struct timer *timer)
{
    struct shard *shard = CONTAINER_OF(timer, struct shard, ticks[1]);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct session_event event = {.kind = EVENT_TICK};
    if (shard->follower != NULL) conn_step(shard->follower, &event);
    side_syncs(shard, 1);
    check_shard(shard);
    (void)sim_heap_enter(before);
    clock_timer_start(shard->worlds[1]->clock, timer, 1 + draw(shard, 200000));
}

#endif
