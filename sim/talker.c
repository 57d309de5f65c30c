/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/talker.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/net.h"
#include "sim/server_program.h"

enum { TALKER_AGAIN_US = 3 * SIM_MILLISECOND, TALKER_DATABASES = 2 };

static struct talker *talker_of(struct stream_owner *owner)
{
    return CONTAINER_OF(owner, struct talker, owner);
}

static bool chance(struct talkers *talkers, uint32_t per_million)
{
    return dice_chance(talkers->dice, per_million, 1000000);
}

static uint64_t reign_of(struct talkers *talkers)
{
    return talkers->reign == NULL ? 1 : talkers->reign(talkers);
}

static bool is_waiting(const struct talker *talker)
{
    return talker->slot_at < talker->slot_count;
}

static void plan(struct talker *talker, uint64_t delay_us)
{
    sim_world_cancel(talker->all->world, &talker->next);
    sim_world_plan(talker->all->world, &talker->next, delay_us);
}

static void think(struct talker *talker)
{
    struct talkers *all = talker->all;
    if (!all->going) return;
    plan(talker, 1 + dice_below(all->dice, all->options.think_us_max));
}

/* The go is over: what has no answer has an unknown outcome. */
static void give_up(struct talker *talker)
{
    for (unsigned i = talker->slot_at; i < talker->slot_count; i++) {
        struct op *op = talker->slots[i].op;
        if (op == NULL || op->state != OP_SENT) continue;
        op->state = OP_UNKNOWN;
        talker->all->unknown++;
    }
    talker->slot_count = talker->slot_at = 0;
    talker->watching = false;
    buffer_clear(&talker->in);
    buffer_clear(&talker->wire);
    talker->sent = 0;
}

static void drop(struct talker *talker)
{
    if (talker->stream != NULL) sim_hang_up(talker->stream, false);
    talker->stream = NULL;
    give_up(talker);
    sim_world_cancel(talker->all->world, &talker->next);
    if (talker->all->going) plan(talker, TALKER_AGAIN_US + dice_below(talker->all->dice, 20000));
}

/* --- What is sent --- */

static void add_slot(struct talker *talker, enum slot_kind kind, struct op *op)
{
    MUST(talker->slot_count < TALKER_SLOTS_MAX);
    talker->slots[talker->slot_count++] = (struct slot){kind, op};
}

static struct op *add_op(struct talker *talker, enum op_kind kind, bool unique)
{
    struct talkers *all = talker->all;
    struct op *op = ops_add(all->ops, kind);
    op->unique = unique;
    op->sent = ++all->moments;
    op->floor = all->told;
    op->relaxed = all->relaxed;
    op->before = talker->last;
    talker->last = op;
    return op;
}

static const struct command *drawn_command(struct talker *talker)
{
    struct workload *workload = talker->all->workload;
    drawn_args(&workload->words, &workload->args);
    const struct command *command = command_find(workload->args.at[0]);
    MUST(command != NULL);
    return command;
}

static void send_one(struct talker *talker, enum draw draw)
{
    struct workload *workload = talker->all->workload;
    struct drawn drawn = workload_draw(workload, draw);
    struct op *op = add_op(talker, drawn.kind, drawn.unique);
    op->unordered = drawn.unordered;
    op->pairs = drawn.pairs;
    const struct command *command = drawn_command(talker);
    payload_put_command(&op->payload, talker->database, command, &workload->args);
    drawn_wire(&workload->words, &talker->wire);
    add_slot(talker, SLOT_OP, op);
}

static void send_text(struct talker *talker, const char *text)
{
    buffer_append_text(&talker->wire, text);
}

static void send_transaction(struct talker *talker)
{
    struct workload *workload = talker->all->workload;
    struct payload_transaction payload;
    bool reads = !talker->watching && dice_chance(talker->all->dice, 1, 5);
    struct op *op = add_op(talker, reads ? OP_READ : OP_WRITE, !reads);
    payload_begin_transaction(&payload, &op->payload);
    send_text(talker, "*1\r\n$5\r\nMULTI\r\n");
    add_slot(talker, SLOT_OK, NULL);
    unsigned count = 1 + (unsigned)dice_below(talker->all->dice, 4);
    for (unsigned i = 0; i < count; i++) {
        if (i == 0 && !reads) (void)workload_draw_set(workload);
        else (void)workload_draw(workload, reads ? DRAW_READ : DRAW_QUEUED);
        const struct command *command = drawn_command(talker);
        payload_add_command(&payload, talker->database, command, &workload->args);
        drawn_wire(&workload->words, &talker->wire);
        add_slot(talker, SLOT_QUEUED, NULL);
    }
    send_text(talker, "*1\r\n$4\r\nEXEC\r\n");
    add_slot(talker, SLOT_EXEC, op);
    talker->watching = false;
}

static void send_go(struct talker *talker)
{
    struct talkers *all = talker->all;
    struct workload *workload = all->workload;
    talker->last = NULL;
    talker->reign = reign_of(all);
    unsigned dice = (unsigned)dice_below(all->dice, 100);
    if (talker->watching || (workload->transactions && dice < 12)) {
        send_transaction(talker);
    } else if (workload->transactions && dice < 18) {
        workload_draw_watch(workload);
        drawn_wire(&workload->words, &talker->wire);
        add_slot(talker, SLOT_OK, NULL);
        talker->watching = true;
        return; /* the transaction comes later: others may write meanwhile */
    } else if (dice < 50) {
        unsigned before = 1 + (unsigned)dice_below(all->dice, 4);
        for (unsigned i = 0; i < before; i++) send_one(talker, DRAW_INNER);
        send_one(talker, DRAW_ANY);
    } else {
        send_one(talker, DRAW_ANY);
    }
    send_text(talker, "*1\r\n$7\r\nPOS.GET\r\n");
    add_slot(talker, SLOT_POSITION, NULL);
}

static void send_wire(struct talker *talker)
{
    struct talkers *all = talker->all;
    size_t left = talker->wire.size - talker->sent;
    size_t size = left;
    if (talker->sent == 0 && left > 1 && chance(all, all->options.split_per_million)) {
        size = 1 + (size_t)dice_below(all->dice, left - 1);
    }
    sim_send(talker->stream, bytes_of(talker->wire.data + talker->sent, size));
    talker->sent += size;
    bool whole = talker->sent == talker->wire.size;
    bool hangs_up = chance(all, all->options.hang_up_per_million);
    if (hangs_up) all->hang_ups++;
    if (!whole || hangs_up) plan(talker, dice_below(all->dice, 3000));
    else plan(talker, all->options.patience_us);
    if (hangs_up) talker->sent = talker->wire.size; /* at the next event it looks like impatience */
}

/* --- What is received --- */

/* A command that has no place in the log, and never will: who follows takes no writes, nor does who
 * leads with too few copies in sync. */
static bool is_refusal(struct bytes reply)
{
    static const char *const refusals[] = {"-MISCONF",   "-LOADING",   "-READONLY",  "-NOREPLICAS",
                                           "-EXECABORT", "-UNBLOCKED", "-MASTERDOWN"};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (bytes_starts_with(reply, bytes_text(refusals[i]))) return true;
    }
    return false;
}

/* Whoever did not lead all the time since the go was sent may be behind. */
static bool may_be_old(const struct talker *talker)
{
    return talker->reign == 0 || reign_of(talker->all) != talker->reign;
}

static void answered(struct talker *talker, struct op *op, struct bytes reply)
{
    struct talkers *all = talker->all;
    all->answers++;
    op->returned = ++all->moments;
    buffer_append(&op->reply, reply);
    bool refused = is_refusal(reply);
    bool empty = bytes_equal(reply, bytes_text("*-1\r\n"));
    op->state = refused ? OP_REFUSED : empty ? OP_EMPTY : OP_ANSWERED;
    op->old = op->kind == OP_READ && may_be_old(talker);
    if (op->old) op->floor = 0;
    if (refused) all->refused++;
}

/* Every op of the go that was answered is at or below the mark of its last one. */
static void positioned(struct talker *talker, struct bytes reply)
{
    struct talkers *all = talker->all;
    struct op *last = talker->last;
    if (last == NULL || last->state != OP_ANSWERED) return;
    size_t line = 0;
    while (line < reply.size && reply.data[line] != '\n') line++;
    struct mark mark;
    bool old = last->old || may_be_old(talker);
    bool read = reply.size > line + 3 &&
                mark_parse(bytes_of(reply.data + line + 1, reply.size - line - 3), &mark) == ERR_OK;
    if (!read && old && bytes_starts_with(reply, bytes_text("$-1"))) { /* it is empty as yet */
        last->state = OP_LOST;
        return;
    }
    if (!read) {
        sim_world_fail(all->world, "a client got no mark: %.*s", (int)reply.size,
                       (const char *)reply.data);
        return;
    }
    last->lsn = mark.lsn.at;
    last->lineage = mark.lineage;
    for (struct op *op = last->before; op != NULL; op = op->before) op->below = mark.lsn.at;
    if (old && last->kind == OP_READ) return;
    if (mark.lsn.at > all->told) all->told = mark.lsn.at;
    if (mark.lsn.at > all->written && last->kind == OP_WRITE) all->written = mark.lsn.at;
}

static void take(struct talker *talker, struct bytes reply)
{
    const struct slot *slot = &talker->slots[talker->slot_at++];
    const char *expected = NULL;
    switch (slot->kind) {
    case SLOT_OK: expected = "+OK\r\n"; break;
    case SLOT_QUEUED: expected = "+QUEUED\r\n"; break;
    case SLOT_OP:
    case SLOT_EXEC: answered(talker, slot->op, reply); break;
    case SLOT_POSITION: positioned(talker, reply); break;
    }
    if (expected != NULL && !is_refusal(reply) && !bytes_equal(reply, bytes_text(expected))) {
        sim_world_fail(talker->all->world, "a client expected %.7s, not %.*s", expected,
                       (int)(reply.size < 100 ? reply.size : 100), (const char *)reply.data);
    }
}

static void received(struct stream_owner *owner, struct bytes bytes)
{
    struct talker *talker = talker_of(owner);
    buffer_append(&talker->in, bytes);
    size_t at = 0, size;
    while (is_waiting(talker)) {
        struct bytes rest = bytes_of(talker->in.data + at, talker->in.size - at);
        size = resp_whole(rest);
        if (size == 0) break;
        take(talker, bytes_of(rest.data, size));
        at += size;
    }
    buffer_consume(&talker->in, at);
    if (is_waiting(talker) || talker->slot_count == 0) return;
    if (talker->in.size > 0) {
        sim_world_fail(talker->all->world, "a client got more than it asked for: %.*s",
                       (int)(talker->in.size < 100 ? talker->in.size : 100),
                       (const char *)talker->in.data);
    }
    talker->slot_count = talker->slot_at = 0;
    buffer_clear(&talker->wire);
    talker->sent = 0;
    sim_world_cancel(talker->all->world, &talker->next);
    think(talker);
}

static void drained(struct stream_owner *owner)
{
    (void)owner;
}

static void ended(struct stream_owner *owner)
{
    drop(talker_of(owner));
}

static const struct stream_events talker_events = {received, drained, ended};

/* --- Going --- */

static void connect(struct talker *talker)
{
    struct talkers *all = talker->all;
    all->connects++;
    talker->stream = sim_connect(all->world, all->node, SERVER_PORT, &talker->owner);
    if (talker == all->list && all->options.slow_bytes_per_second > 0) {
        sim_stream_rate(talker->stream, all->options.slow_bytes_per_second);
    }
    talker->database = (uint8_t)dice_below(all->dice, TALKER_DATABASES);
    buffer_append_format(&talker->wire, "*2\r\n$6\r\nSELECT\r\n$1\r\n%u\r\n", talker->database);
    add_slot(talker, SLOT_OK, NULL);
}

static void next_fired(struct sim_event *event)
{
    struct talker *talker = CONTAINER_OF(event, struct talker, next);
    struct talkers *all = talker->all;
    if (talker->sent < talker->wire.size) {
        send_wire(talker);
        return;
    }
    if (is_waiting(talker)) { /* it hangs up in the middle, or has waited long enough */
        drop(talker);
        return;
    }
    if (!all->going) return;
    if (talker->stream == NULL) connect(talker);
    all->goes++;
    send_go(talker);
    send_wire(talker);
}

void talkers_init(struct talkers *talkers, struct sim_node *node, struct workload *workload,
                  struct ops *ops, const struct talkers_options *options)
{
    struct sim_world *world = sim_node_of(node);
    *talkers = (struct talkers){.world = world,
                                .node = node,
                                .workload = workload,
                                .ops = ops,
                                .dice = sim_world_dice(world, SIM_DICE_WORKLOAD),
                                .options = *options};
    talkers->list = memory_zeroed(options->count, sizeof *talkers->list);
    for (unsigned i = 0; i < options->count; i++) {
        struct talker *talker = &talkers->list[i];
        talker->owner.events = &talker_events;
        talker->next.fired = next_fired;
        talker->all = talkers;
        buffer_init(&talker->in);
        buffer_init(&talker->wire);
    }
}

void talkers_release(struct talkers *talkers)
{
    talkers->going = false;
    for (unsigned i = 0; i < talkers->options.count; i++) {
        struct talker *talker = &talkers->list[i];
        drop(talker);
        buffer_release(&talker->in);
        buffer_release(&talker->wire);
    }
    memory_free(talkers->list);
}

void talkers_go(struct talkers *talkers, bool going)
{
    bool went = talkers->going;
    talkers->going = going;
    if (!going || went) return;
    for (unsigned i = 0; i < talkers->options.count; i++) {
        struct talker *talker = &talkers->list[i];
        if (!is_waiting(talker) && !talker->next.queued) think(talker);
    }
}

bool talkers_idle(const struct talkers *talkers)
{
    for (unsigned i = 0; i < talkers->options.count; i++) {
        if (is_waiting(&talkers->list[i])) return false;
    }
    return true;
}

void talkers_drop(struct talkers *talkers)
{
    for (unsigned i = 0; i < talkers->options.count; i++) drop(&talkers->list[i]);
}

void talkers_reset_one(struct talkers *talkers)
{
    struct talker *talker = &talkers->list[dice_below(talkers->dice, talkers->options.count)];
    if (talker->stream != NULL) sim_stream_reset(talker->stream);
}

void talkers_relax(struct talkers *talkers, bool on)
{
    talkers->relaxed = on;
    for (unsigned i = 0; i < talkers->options.count; i++) {
        for (struct op *op = talkers->list[i].last; op != NULL; op = op->before) {
            if (is_waiting(&talkers->list[i])) op->relaxed = true;
        }
    }
}
