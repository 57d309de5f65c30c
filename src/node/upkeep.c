/* SPDX-License-Identifier: Apache-2.0 */
/* Upkeep: flush, trim, expiry, clean-up, the idle note; and the orderly stop.
 *
 * The flush budget bounds what a crash leaves to replay by time, not only by bytes: it is what this
 * machine applies in NODE_REPLAY_US, measured while it runs, within the configured bounds. A flush
 * begins by making the log durable through what is applied, so the store never gets ahead of the
 * log. */
#include "node/internal.h"

#include "base/plant.h"

static struct lsn applied_lsn(const struct node *node)
{
    return node->machine->ops->applied(node->machine).lsn;
}

static void measure_budget(struct node *node)
{
    enum { SAMPLE_US = 100 * 1000 };
    if (node->applied_us < SAMPLE_US) return;
    uint64_t fits = node->applied_bytes * NODE_REPLAY_US / node->applied_us;
    node->applied_bytes = node->applied_us = 0;
    /* A moving average, so that one slow second does not make a storm of small flushes. */
    uint64_t mean = (node->flush_bytes * 3 + fits) / 4;
    if (mean < node->flush_bytes_min) mean = node->flush_bytes_min;
    if (mean > node->flush_bytes_max) mean = node->flush_bytes_max;
    node->flush_bytes = mean;
}

static void flush_begin(struct node *node)
{
    node->flush_wanted = false;
    node->flushing = true;
    node->machine->ops->flush(node->machine, &node->flush);
}

static void flush_done(struct machine_flush *flush)
{
    struct node *node = CONTAINER_OF(flush, struct node, flush);
    node->flushing = false;
    if (node->phase == NODE_FAILED) return;
    if (flush->err == ERR_SPACE) {
        if (!node->store_low) {
            trace_event(node->world.trace, TRACE_WARNING, "node", "flush_no_space", "why=\"%s\"",
                        flush->why.text);
        }
        node->store_low = true;
        node->flush_not_before_us = clock_now_us(node->world.clock) + NODE_FLUSH_RETRY_US;
    } else if (flush->err != ERR_OK) {
        node_fail(node, flush->err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_STORE,
                  &flush->why);
        return;
    } else {
        if (node->store_low)
            trace_event(node->world.trace, TRACE_NOTICE, "node", "flush_space_back", " ");
        node->store_low = false;
        /* The flushed mark's own entry stays, so that a start can compare its lineage. */
        struct lsn through = flush->flushed;
        if (PLANTED(TRIM_ABOVE_FLUSHED)) through = lsn_next(applied_lsn(node));
        if (through.at > 1) log_trim(node->log, (struct lsn){through.at - 1});
    }
    node->held = false;
    node_run(node);
}

void node_flush_advanced(struct node *node)
{
    if (!node->flush_wanted || node->flushing || node->phase == NODE_FAILED) return;
    if (lsn_before(log_durable(node->log), node->flush_through)) return;
    flush_begin(node);
}

void node_flush_now(struct node *node)
{
    if (node->flushing || node->flush_wanted) return;
    node->flush.done = flush_done;
    node->flush_wanted = true;
    node->flush_through = applied_lsn(node);
    if (lsn_before(log_durable(node->log), node->flush_through) && !PLANTED(FLUSH_BEYOND_DURABLE)) {
        log_sync_soon(node->log);
        return; /* node_flush_advanced() goes on */
    }
    flush_begin(node);
}

void node_flush_if_due(struct node *node)
{
    if (node->phase != NODE_SERVING && node->phase != NODE_DRAINING) return;
    uint64_t unflushed = node->machine->ops->unflushed_bytes(node->machine);
    if (unflushed < node->flush_bytes) return;
    if (node->flushing || node->flush_wanted) {
        /* Memory is bounded: past twice the budget, entries wait in the log until the flush is
         * done. */
        node->held = unflushed > 2 * node->flush_bytes;
        return;
    }
    if (clock_now_us(node->world.clock) < node->flush_not_before_us) return;
    node_flush_now(node);
}

/* --- The stop --- */

/* The log ends what it has under way (a trim, the note of an idle log): only a quiet one can be
 * closed cleanly. */
static void stop_log(struct node *node)
{
    node->phase = NODE_CLOSING;
    node_upkeep_stop(node);
    log_stop(node->log); /* advanced() follows */
}

void node_stop_step(struct node *node)
{
    if (node->phase == NODE_CLOSING && log_is_poisoned(node->log)) return; /* failed() follows */
    if (node->phase == NODE_CLOSING && log_is_quiet(node->log)) {
        node->phase = NODE_STOPPED;
        clock_defer(node->world.clock, &node->tell);
        return;
    }
    if (node->phase == NODE_DRAINING && node->order_count == 0 && list_empty(&node->parked)) {
        node->phase = NODE_FLUSHING;
    }
    if (node->phase != NODE_FLUSHING || node->flushing || node->flush_wanted) return;
    bool behind = lsn_before(node->machine->ops->flushed(node->machine).lsn, applied_lsn(node));
    if (!behind || node->store_low || PLANTED(STOP_WITHOUT_FLUSH)) {
        stop_log(node); /* with a full disk the log has everything: the next start replays it */
        return;
    }
    node_flush_now(node);
}

void node_stop(struct node *node)
{
    if (node->phase == NODE_OPENING || node->phase == NODE_SERVING) {
        trace_event(node->world.trace, TRACE_NOTICE, "node", "stopping", "in_order=%llu",
                    (unsigned long long)node->order_count);
        node->phase = NODE_DRAINING;
        node->store_low = false;
        node_wait_end_all(node);
        clock_defer(node->world.clock, &node->push);
        clock_defer(node->world.clock, &node->apply);
    }
}

/* --- Timers --- */

static void expire_fired(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, expire);
    if (node->phase != NODE_SERVING) return;
    size_t found = 0;
    if (node->expiry_on && !log_is_low(node->log) && !node->held) {
        buffer_clear(&node->proposals);
        found = node->machine->ops->due(node->machine, node_now(node), NODE_EXPIRE_STEP_KEYS,
                                        &node->proposals);
        node_append_proposals(node, &node->proposals);
    }
    uint64_t next = found == NODE_EXPIRE_STEP_KEYS ? NODE_EXPIRE_AGAIN_US : NODE_TICK_US;
    clock_timer_start(node->world.clock, &node->expire, next);
}

static void tidy_fired(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, tidy);
    if (node->phase != NODE_SERVING) return;
    uint64_t until_us = clock_now_us(node->world.clock) + NODE_TIDY_STEP_US;
    bool more = !node->held;
    while (more && clock_now_us(node->world.clock) < until_us) {
        more = node->machine->ops->tidy(node->machine);
    }
    clock_timer_start(node->world.clock, &node->tidy, more ? NODE_TIDY_PAUSE_US : NODE_TICK_US);
}

static void tick_fired(struct timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, tick);
    if (node->phase == NODE_FAILED || node->phase == NODE_STOPPED) return;
    clock_timer_start(node->world.clock, &node->tick, NODE_TICK_US);
    if (node->phase != NODE_SERVING) return;
    measure_budget(node);
    uint64_t now_us = clock_now_us(node->world.clock);
    if (node->store_low && !node->flushing && now_us >= node->flush_not_before_us) {
        node_flush_now(node);
    }
    node_flush_if_due(node);
    node_wait_retry(node);
    if (now_us - node->last_append_us >= NODE_IDLE_US) log_note_idle(node->log);
}

void node_upkeep_start(struct node *node)
{
    node->tick.fired = tick_fired;
    node->expire.fired = expire_fired;
    node->tidy.fired = tidy_fired;
    node->expiry_on = true;
    node->flush_bytes = node->flush_bytes_max < (64U << 20) ? node->flush_bytes_max : 64U << 20;
    if (node->flush_bytes < node->flush_bytes_min) node->flush_bytes = node->flush_bytes_min;
    clock_timer_start(node->world.clock, &node->tick, NODE_TICK_US);
    clock_timer_start(node->world.clock, &node->expire, NODE_TICK_US);
    clock_timer_start(node->world.clock, &node->tidy, NODE_TICK_US);
}

void node_upkeep_stop(struct node *node)
{
    clock_timer_stop(node->world.clock, &node->again);
    clock_timer_stop(node->world.clock, &node->tick);
    clock_timer_stop(node->world.clock, &node->expire);
    clock_timer_stop(node->world.clock, &node->tidy);
}
