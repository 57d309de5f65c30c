/* SPDX-License-Identifier: Apache-2.0 */
/* between: three nodes without a program, of which n1 calls n2, for the tests of what lies between
 * them. */
#ifndef TEST_SIM_BETWEEN_H
#define TEST_SIM_BETWEEN_H

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "sim/net.h"
#include "sim/paths.h"
#include "test/sim/bench.h"

struct pair;

/* One end of a connection, or of one that was tried; the harness's memory. */
struct end {
    struct stream_owner owner;
    struct dial dial;
    struct pair *pair;
    struct stream *stream;
    struct buffer got;
    unsigned pieces, drained, ended;
    unsigned connected, failed;
    enum dial_failure failure;
    uint64_t at_us; /* of the newest event */
};

struct pair {
    struct sim_world *sim;
    struct sim_node *nodes[3];
    struct listener listener;
    struct end caller, called, other; /* `other`: the second that was accepted */
    unsigned accepted;
    char listened[NET_ADDRESS_TEXT_BYTES];
};

static inline const struct net_ops *pair_net(const struct pair *pair)
{
    return sim_node_world(pair->nodes[0])->net->ops;
}

static inline struct end *end_of(struct stream_owner *owner)
{
    struct end *end = CONTAINER_OF(owner, struct end, owner);
    end->at_us = sim_world_now_us(end->pair->sim);
    return end;
}

static inline void end_received(struct stream_owner *owner, struct bytes bytes)
{
    struct end *end = end_of(owner);
    assert_int_equal(end->ended, 0);
    struct sim_heap *before = sim_heap_enter(NULL);
    buffer_append(&end->got, bytes);
    (void)sim_heap_enter(before);
    end->pieces++;
}

static inline void end_drained(struct stream_owner *owner)
{
    end_of(owner)->drained++;
}

static inline void end_ended(struct stream_owner *owner)
{
    struct end *end = end_of(owner);
    end->ended++;
    assert_int_equal(end->ended, 1);
}

static const struct stream_events end_events = {end_received, end_drained, end_ended};

static inline struct stream_owner *pair_accepted(struct listener *listener, struct stream *stream)
{
    struct pair *pair = CONTAINER_OF(listener, struct pair, listener);
    pair->called.at_us = sim_world_now_us(pair->sim);
    struct end *end = pair->accepted++ == 0 ? &pair->called : &pair->other;
    end->stream = stream;
    return &end->owner;
}

static inline struct stream_owner *end_connected(struct dial *dial, struct stream *stream)
{
    struct end *end = CONTAINER_OF(dial, struct end, dial);
    assert_null(dial->world);
    end->connected++;
    end->stream = stream;
    end->at_us = sim_world_now_us(end->pair->sim);
    return &end->owner;
}

static inline void end_failed(struct dial *dial, enum dial_failure failure, const struct why *why)
{
    struct end *end = CONTAINER_OF(dial, struct end, dial);
    assert_null(dial->world);
    assert_true(why->text[0] != '\0');
    end->failed++;
    end->failure = failure;
    end->at_us = sim_world_now_us(end->pair->sim);
}

static inline void end_init(struct end *end, struct pair *pair)
{
    *end = (struct end){.owner = {&end_events}, .pair = pair};
    end->dial = (struct dial){.connected = end_connected, .failed = end_failed};
    buffer_init(&end->got);
}

static inline void pair_listen(struct pair *pair, const char *address)
{
    struct net *net = sim_node_world(pair->nodes[1])->net;
    pair->listener.accepted = pair_accepted;
    assert_int_equal(net->ops->listen(net, &pair->listener, address, 0, NULL), ERR_OK);
}

static inline void pair_open(struct pair *pair, uint64_t seed)
{
    *pair = (struct pair){.sim = sim_world_open(seed)};
    for (unsigned i = 0; i < 3; i++) {
        pair->nodes[i] = sim_node_open(pair->sim, NULL, NULL);
        assert_true(sim_node_start(pair->nodes[i]));
    }
    end_init(&pair->caller, pair);
    end_init(&pair->called, pair);
    end_init(&pair->other, pair);
    pair_listen(pair, "0.0.0.0:7379");
}

static inline void pair_close(struct pair *pair)
{
    assert_null(sim_world_failure(pair->sim));
    sim_world_close(pair->sim);
    buffer_release(&pair->caller.got);
    buffer_release(&pair->called.got);
    buffer_release(&pair->other.got);
}

static inline void pair_run(struct pair *pair, uint64_t seconds)
{
    assert_true(sim_world_run_for(pair->sim, seconds * SIM_SECOND));
}

static inline void pair_dial(struct pair *pair, const char *address)
{
    struct net *net = sim_node_world(pair->nodes[0])->net;
    end_init(&pair->caller, pair);
    assert_int_equal(net->ops->dial(net, &pair->caller.dial, address, 4 * SIM_SECOND, NULL),
                     ERR_OK);
    assert_non_null(pair->caller.dial.world);
}

static inline void pair_connect(struct pair *pair, uint64_t seed)
{
    pair_open(pair, seed);
    pair_dial(pair, "n2:7379");
    pair_run(pair, 1);
    assert_int_equal(pair->caller.connected, 1);
    assert_int_equal(pair->accepted, 1);
}

static inline void pair_send(struct end *from, size_t size)
{
    static const char text[100000];
    assert_true(size <= sizeof(text));
    pair_net(from->pair)->send(from->stream, bytes_of(text, size));
}

static inline uint64_t pair_hits(const struct pair *pair, enum sim_hit hit)
{
    return sim_paths_hits(pair->sim, hit);
}

#endif
