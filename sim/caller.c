/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/caller.h"

#include <string.h>

#include "base/must.h"
#include "sim/net.h"
#include "sim/ops.h"

struct caller {
    struct stream_owner owner;
    struct sim_condition condition;
    struct buffer *reply;
    bool ended;
};

static void received(struct stream_owner *owner, struct bytes bytes)
{
    buffer_append(CONTAINER_OF(owner, struct caller, owner)->reply, bytes);
}

static void drained(struct stream_owner *owner)
{
    (void)owner;
}

static void ended(struct stream_owner *owner)
{
    CONTAINER_OF(owner, struct caller, owner)->ended = true;
}

static const struct stream_events caller_events = {received, drained, ended};

static bool is_whole(const struct caller *caller)
{
    return resp_whole(buffer_bytes(caller->reply)) > 0;
}

static bool met(struct sim_condition *condition)
{
    const struct caller *caller = CONTAINER_OF(condition, struct caller, condition);
    return caller->ended || is_whole(caller);
}

static void say(struct stream *stream, const char *line)
{
    struct drawn_words words;
    struct buffer wire;
    drawn_init(&words);
    buffer_init(&wire);
    for (const char *at = line;;) {
        size_t size = strcspn(at, " ");
        drawn_add(&words, bytes_of(at, size));
        if (at[size] == '\0') break;
        at += size + 1;
    }
    drawn_wire(&words, &wire);
    sim_send(stream, buffer_bytes(&wire));
    buffer_release(&wire);
    drawn_release(&words);
}

bool caller_ask(struct sim_node *node, unsigned port, const char *line, uint64_t limit_us,
                struct buffer *reply)
{
    struct sim_world *world = sim_node_of(node);
    struct caller caller = {.owner = {&caller_events}, .condition = {met}, .reply = reply};
    buffer_clear(reply);
    struct stream *stream = sim_connect(world, node, port, &caller.owner);
    say(stream, line);
    (void)sim_world_run_until(world, &caller.condition, limit_us);
    sim_hang_up(stream, false);
    bool whole = is_whole(&caller);
    sim_world_say(world, "operator n=%s '%s' -> %.*s", sim_node_name(node), line,
                  whole ? (int)strcspn((const char *)reply->data, "\r") : 7,
                  whole ? (const char *)reply->data : "nothing");
    return whole;
}
