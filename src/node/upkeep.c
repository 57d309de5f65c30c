/* SPDX-License-Identifier: Apache-2.0 */
/* Upkeep: flush, trim, expiry, clean-up, the idle note; and the orderly stop.
 *
 * The flush budget bounds what a crash leaves to replay by time, not only by bytes: a flush is due
 * when a replay would take NODE_REPLAY_US, within the configured bounds of bytes. A replay applies
 * entries, which is measured while this machine runs; and it reads the records that they change,
 * which this machine has in memory: that takes as long as the last start took for it, or as is
 * assumed.
 *
 * A flush begins by making the log durable through what is applied, so the store never gets ahead
 * of the log. */
#include "node/upkeep.h"

#include "base/plant.h"
#include "node/internal.h"
#include "node/replay.h"

static void measure_applying(struct node *node)
{
    enum { SAMPLE_US = 50 * 1000 };
    if (node->upkeep.applied_us < SAMPLE_US || node->upkeep.applied_calls == 0) return;
    node->upkeep.replay_entry_ns = node_replay_entry_ns(
        node->upkeep.replay_entry_ns, node->upkeep.applied_us, node->upkeep.applied_calls);
    node->upkeep.applied_calls = node->upkeep.applied_us = 0;
}

static void flush_begin(struct node *node)
{
    node->upkeep.flush_wanted = false;
    node->upkeep.flushing = true;
    node_points_freezing(node);
    node->machine->ops->flush(node->machine, &node->upkeep.flush);
}

static void flush_done(struct machine_flush *flush)
{
    struct node *node = CONTAINER_OF(flush, struct node, upkeep.flush);
    node->upkeep.flushing = false;
    if (node->phase == NODE_FAILED) return;
    if (flush->err == ERR_SPACE) {
        if (!node->upkeep.store_low) {
            trace_event(node->world.trace, TRACE_WARNING, "node", "flush_no_space", "why=\"%s\"",
                        flush->why.text);
        }
        node->upkeep.store_low = true;
        node->upkeep.flush_not_before_us = clock_now_us(node->world.clock) + NODE_FLUSH_RETRY_US;
    } else if (flush->err != ERR_OK) {
        node_fail(node, flush->err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE,
                  &flush->why);
        return;
    } else {
        if (node->upkeep.store_low)
            trace_event(node->world.trace, TRACE_NOTICE, "node", "flush_space_back", " ");
        node->upkeep.store_low = false;
        /* The flushed mark's own entry stays, so that a start can compare its lineage. */
        struct lsn through = flush->flushed;
        if (PLANTED(TRIM_ABOVE_FLUSHED)) through = lsn_next(node_applied_lsn(node));
        /* Nor what a copy still needs of it (I6). */
        struct lsn floor = node_serves_floor(node, through);
        if (!PLANTED(TRIM_BELOW_COPY)) through = lsn_min(through, floor);
        if (through.at > 1) log_trim(node->log, (struct lsn){through.at - 1});
    }
    node_images_flushed(node, flush->err);
    node_feed_flushed(node, flush->err);
    node_points_flushed(node, flush->err);
    node_stamps_step(node);
    node->held = false;
    node_run(node);
}

void node_flush_advanced(struct node *node)
{
    if (!node->upkeep.flush_wanted || node->upkeep.flushing || node->phase == NODE_FAILED) return;
    if (lsn_before(log_durable(node->log), node->upkeep.flush_through)) return;
    flush_begin(node);
}

void node_flush_now(struct node *node)
{
    if (node->upkeep.flushing || node->upkeep.flush_wanted) return;
    node->upkeep.flush.done = flush_done;
    node->upkeep.flush_wanted = true;
    node->upkeep.flush_through = node_applied_lsn(node);
    if (lsn_before(log_durable(node->log), node->upkeep.flush_through) &&
        !PLANTED(FLUSH_BEYOND_DURABLE)) {
        log_sync_soon(node->log);
        return; /* node_flush_advanced() goes on */
    }
    flush_begin(node);
}

/* How long a replay of what is unflushed would take. */
static uint64_t replay_us(const struct node *node)
{
    const struct machine_ops *ops = node->machine->ops;
    uint64_t entries = node_applied_lsn(node).at - ops->flushed(node->machine).lsn.at;
    uint64_t records = ops->unflushed_records(node->machine);
    return (entries * node->upkeep.replay_entry_ns + records * node->upkeep.replay_record_ns) /
           1000;
}

void node_flush_if_due(struct node *node)
{
    if (node->phase != NODE_SERVING && node->phase != NODE_DRAINING) return;
    bool busy = node->upkeep.flushing || node->upkeep.flush_wanted;
    bool early = node->phase == NODE_SERVING &&
                 clock_now_us(node->world.clock) < node->upkeep.flush_not_before_us;
    if (node->held && !busy && !early) { /* only its end lets the entries go */
        node_flush_now(node);
        return;
    }
    uint64_t bytes = node->machine->ops->unflushed_bytes(node->machine);
    if (bytes < node->upkeep.flush_bytes_min) return;
    uint64_t us = replay_us(node);
    if (us < NODE_REPLAY_US && bytes < node->upkeep.flush_bytes_max) return;
    if (busy || early) {
        /* Memory and replay are bounded: past that, entries wait in the log until the flush is
         * done. */
        node->held = (us > NODE_REPLAY_US_MAX && bytes > 2 * node->upkeep.flush_bytes_min) ||
                     bytes > 2 * node->upkeep.flush_bytes_max;
        return;
    }
    node_flush_now(node);
}

bool node_is_low(const struct node *node)
{
    return log_is_low(node->log) || node->upkeep.store_low ||
           node->machine->ops->is_low(node->machine);
}

/* A command that may add data says so (FLAG_DENYOOM). */
bool node_adds_data(struct node *node, struct bytes payload)
{
    struct payload_reader reader;
    if (payload_read(&reader, payload) != ERR_OK) return true;
    struct watched watched;
    while (reader.watches > 0) {
        if (payload_next_watch(&reader, &watched) != ERR_OK) return true;
    }
    while (reader.commands > 0) {
        uint8_t database;
        const struct command *command;
        if (payload_next_command(&reader, &database, &command, &node->scratch) != ERR_OK)
            return true;
        if ((command->flags & FLAG_DENYOOM) != 0) return true;
    }
    return false;
}

/* While space is short, what was deleted goes to the store at once: only there it frees space. */
static void free_space(struct node *node)
{
    uint64_t now_us = clock_now_us(node->world.clock);
    if (!node_is_low(node) || now_us < node->upkeep.reclaim_not_before_us) return;
    node->upkeep.reclaim_not_before_us = now_us + NODE_FLUSH_RETRY_US;
    node->machine->ops->reclaim(node->machine);
    bool behind = lsn_before(node->machine->ops->flushed(node->machine).lsn,
                             node_applied_lsn(node));
    if (behind && now_us >= node->upkeep.flush_not_before_us) node_flush_now(node);
}

/* --- The stop --- */

/* The log ends what it has under way (a trim, the note of an idle log): only a quiet one can be
 * closed cleanly. */
static void stop_log(struct node *node)
{
    node->phase = NODE_CLOSING;
    node_upkeep_stop(node);
    node_serves_end(node, BYE_STOP);
    log_stop(node->log); /* advanced() follows */
}

/* What this copy cannot commit by itself it leaves in the log, for whoever leads then: a replica,
 * whose session is over, at once. What a replica has taken faster than it could apply it leaves
 * there too, after a while, for its next start, which applies faster; what waits in the log's
 * files, at once. */
static void give_up_entries(struct node *node)
{
    if (node->phase != NODE_DRAINING) return;
    bool late = clock_now_us(node->world.clock) >= node->upkeep.drain_until_us;
    if (node_is_behind(node) && (late || !node->leads)) {
        node_behind_drop(node);
        node_order_cut(node, node_applied_lsn(node));
    }
    if (!node->leads) node_order_cut(node, late ? node_applied_lsn(node) : node->committed);
    else if (late && progress_rule(&node->progress).mode == COMMIT_ALL)
        node_order_cut(node, node->committed);
}

void node_stop_step(struct node *node)
{
    if (node->phase == NODE_CLOSING && log_is_poisoned(node->log)) return; /* failed() follows */
    if (node->phase == NODE_CLOSING && log_is_quiet(node->log) && node_images_quiet(node) &&
        node_archiving_quiet(node) && node_serves_quiet(node)) {
        node->phase = NODE_STOPPED;
        clock_defer(node->world.clock, &node->tell);
        return;
    }
    give_up_entries(node);
    bool waits = node->stalled || !list_empty(&node->parked); /* for records */
    bool quiet = !node_is_behind(node) && site_sweeper_is_quiet(node->sweeper);
    if (node->phase == NODE_DRAINING && node->order_count == 0 && !waits && quiet) {
        node->phase = NODE_FLUSHING;
    }
    if (node->phase != NODE_FLUSHING || node->upkeep.flushing || node->upkeep.flush_wanted) return;
    bool behind = lsn_before(node->machine->ops->flushed(node->machine).lsn,
                             node_applied_lsn(node));
    if (!behind || node->upkeep.store_low || PLANTED(STOP_WITHOUT_FLUSH)) {
        stop_log(node); /* with a full disk the log has everything: the next start replays it */
        return;
    }
    node_flush_now(node);
}

void node_stop(struct node *node)
{
    if (node->phase == NODE_OPENING || node->phase == NODE_SERVING) {
        node_images_stop(node, "the server is being stopped");
        node_feed_stop(node);
        node_archiving_stop(node);
        node_copies_stop(node);
        site_sweeper_stop(node->sweeper);
        trace_event(node->world.trace, TRACE_NOTICE, "node", "stopping", "in_order=%llu",
                    (unsigned long long)node->order_count);
        node->phase = NODE_DRAINING;
        node->upkeep.drain_until_us = clock_now_us(node->world.clock) + NODE_DRAIN_US;
        node->upkeep.store_low = false;
        node_wait_end_all(node);
        node_awaits_end(node);
        clock_defer(node->world.clock, &node->push);
        clock_defer(node->world.clock, &node->apply);
    }
}

/* --- Timers --- */

static void expire_fired(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, upkeep.expire);
    if (node->phase != NODE_SERVING) return;
    size_t found = 0;
    if (node->upkeep.expiry_on && !node->held && node->leads && !node_intake_is_on(&node->intake)) {
        buffer_clear(&node->proposals);
        found = node->machine->ops->due(node->machine, node_now(node), NODE_EXPIRE_STEP_KEYS,
                                        &node->proposals);
        node_append_proposals(node, &node->proposals);
    }
    uint64_t next = found == NODE_EXPIRE_STEP_KEYS ? NODE_EXPIRE_AGAIN_US : NODE_TICK_US;
    clock_timer_start(node->world.clock, &node->upkeep.expire, next);
}

static void tidy_fired(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, upkeep.tidy);
    if (node->phase != NODE_SERVING) return;
    uint64_t until_us = clock_now_us(node->world.clock) + NODE_TIDY_STEP_US;
    bool more = !node->held;
    while (more && clock_now_us(node->world.clock) < until_us) {
        more = node->machine->ops->tidy(node->machine);
    }
    clock_timer_start(node->world.clock, &node->upkeep.tidy,
                      more ? NODE_TIDY_PAUSE_US : NODE_TICK_US);
}

static void tick_fired(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, upkeep.tick);
    if (node->phase == NODE_FAILED || node->phase == NODE_STOPPED) return;
    clock_timer_start(node->world.clock, &node->upkeep.tick, NODE_TICK_US);
    if (node->phase == NODE_DRAINING) node_stop_step(node);
    node_stamps_tick(node);
    node_points_tick(node);
    if (node->phase != NODE_SERVING) return;
    measure_applying(node);
    free_space(node);
    node_flush_if_due(node);
    node_images_tick(node);
    node_archiving_tick(node);
    node_wait_retry(node);
    node_copies_tick(node);
    site_sweeper_go(node->sweeper);
    uint64_t idle_us = clock_now_us(node->world.clock) - node->upkeep.last_append_us;
    if (idle_us >= NODE_IDLE_US) log_note_idle(node->log);
}

void node_upkeep_start(struct node *node)
{
    node->upkeep.tick.fired = tick_fired;
    node->upkeep.expire.fired = expire_fired;
    node->upkeep.tidy.fired = tidy_fired;
    node->upkeep.expiry_on = true;
    clock_timer_start(node->world.clock, &node->upkeep.tick, NODE_TICK_US);
    clock_timer_start(node->world.clock, &node->upkeep.expire, NODE_TICK_US);
    clock_timer_start(node->world.clock, &node->upkeep.tidy, NODE_TICK_US);
}

void node_upkeep_stop(struct node *node)
{
    clock_timer_stop(node->world.clock, &node->again);
    clock_timer_stop(node->world.clock, &node->upkeep.tick);
    clock_timer_stop(node->world.clock, &node->upkeep.expire);
    clock_timer_stop(node->world.clock, &node->upkeep.tidy);
}
