/* SPDX-License-Identifier: Apache-2.0 */
/* talk: what tests of one promise of a session have in common. */
#ifndef TEST_REPLICA_TALK_H
#define TEST_REPLICA_TALK_H

#include "test/replica/pair.h"

static inline void write_some(struct pair *pair, unsigned count)
{
    struct pair_copy *copy = &pair->copies[0];
    for (unsigned i = 0; i < count; i++)
        pair_append(copy, copy->promised, copy->log[copy->size].stamp, ++pair->value);
    copy->durable = copy->size;
    pair_commit(pair);
}

static inline void tick(struct pair *pair, bool primary, uint64_t passed_us)
{
    struct session_event event = {.kind = EVENT_TICK};
    pair->now_us += passed_us;
    pair_step(pair, primary, &event);
}

/* Everything that is on its way arrives; the replica syncs nothing. */
static inline void exchange(struct pair *pair)
{
    for (unsigned i = 0; i < 200; i++) {
        while (pair->result_count > 0) pair_answer(pair, 0);
        pair_deliver(pair, true, SIZE_MAX);
        pair_deliver(pair, false, SIZE_MAX);
    }
}

static inline void sync_replica(struct pair *pair)
{
    pair->copies[1].durable = pair->copies[1].size;
    pair_log_event(pair, false);
}

/* Sessions point into the pair: it stays where it is. */
static inline void usual(struct pair *pair, unsigned entries)
{
    pair_open(pair, 1, (struct commit_rule){COMMIT_LOCAL, 1});
    write_some(pair, entries);
}

/* A frame to one end, as its peer of now would send it. */
static inline void inject(struct pair *pair, bool primary, enum frame_type type,
                          struct bytes payload)
{
    const struct link *link = primary ? &pair->primary->link : &pair->follower->link;
    struct frame_head head = {
        .type = type, .cluster = 3, .epoch = link->key.epoch, .session = link->key.session};
    struct buffer *pipe = &pair->pipes[primary ? 0 : 1];
    size_t begin = frame_begin(pipe);
    buffer_append(pipe, payload);
    frame_seal(pipe, begin, &head);
    pair_deliver(pair, primary, SIZE_MAX);
}

static inline void inject_ack(struct pair *pair, uint64_t incarnation, uint64_t durable)
{
    struct buffer out;
    buffer_init(&out);
    ack_put(&out, &(struct message_ack){incarnation, {durable}, {0}, {0}});
    inject(pair, true, FRAME_ACK, buffer_bytes(&out));
    buffer_release(&out);
}

static inline void inject_entries(struct pair *pair, const struct entry *entries, size_t count,
                                  struct lineage before)
{
    struct buffer out;
    buffer_init(&out);
    entries_put(&out, entries, count, before);
    inject(pair, false, FRAME_ENTRIES, buffer_bytes(&out));
    buffer_release(&out);
}

#endif
