/* SPDX-License-Identifier: Apache-2.0 */
/* Replay: entries of the log that the store does not hold are applied again, at a start.
 *
 * They are taken from the log a window at a time: the machine is shown the whole window before its
 * first entry is applied, so that it can read all that they need at once. How long that took for
 * each record says what the budget of flushes may leave to the next start (upkeep.c). */
#include "node/replay.h"

#include <inttypes.h>

#include "base/memory.h"
#include "node/internal.h"

struct window {
    struct entry *entries; /* their payloads are in `bytes`; offsets until it is full */
    size_t count;
    struct buffer bytes;
};

static void window_init(struct window *window)
{
    window->entries = memory_zeroed(NODE_REPLAY_WINDOW_ENTRIES, sizeof *window->entries);
    window->count = 0;
    buffer_init(&window->bytes);
}

static void window_release(struct window *window)
{
    memory_free(window->entries);
    buffer_release(&window->bytes);
}

static enum err window_fill(struct window *window, struct log_reader *reader, struct lsn to,
                            struct why *why)
{
    window->count = 0;
    buffer_clear(&window->bytes);
    while (window->count < NODE_REPLAY_WINDOW_ENTRIES &&
           window->bytes.size < NODE_REPLAY_WINDOW_BYTES) {
        struct entry *entry = &window->entries[window->count];
        enum err err = log_reader_next(reader, entry, why);
        if (err == ERR_NOT_FOUND)
            return why_fail(why, ERR_CORRUPT, "the log ends before LSN %" PRIu64, to.at);
        if (err != ERR_OK) return err;
        buffer_append(&window->bytes, entry->payload);
        window->count++;
        if (entry->lsn.at == to.at) break;
    }
    const uint8_t *at = window->bytes.data;
    for (size_t i = 0; i < window->count; i++) {
        window->entries[i].payload.data = at;
        at += window->entries[i].payload.size;
    }
    return ERR_OK;
}

static enum err window_apply(struct node *node, const struct window *window, struct why *why)
{
    struct machine *machine = node->machine;
    machine->ops->foresee(machine, window->entries, window->count);
    for (size_t i = 0; i < window->count; i++) {
        const struct entry *entry = &window->entries[i];
        struct outcome outcome = {.reply = reply_nobody()};
        enum err err = machine->ops->apply(machine, entry, MACHINE_ATTEMPTS_MAX, &outcome);
        if (err != ERR_OK)
            return why_fail(why, err, "entry %" PRIu64 " could not be applied", entry->lsn.at);
        hlc_observe(&node->hlc, entry->stamp);
        node_stamps_applied(node, entry);
        node->start.replayed++;
    }
    return ERR_OK;
}

uint64_t node_replay_record_ns(uint64_t assumed, uint64_t took_us, uint64_t entries,
                               uint64_t records)
{
    if (records < NODE_REPLAY_SAMPLE_RECORDS) return assumed;
    uint64_t applying_us = entries * NODE_REPLAY_ENTRY_NS / 1000;
    uint64_t ns = took_us > applying_us ? (took_us - applying_us) * 1000 / records : 0;
    if (ns < NODE_REPLAY_RECORD_NS_MIN) return NODE_REPLAY_RECORD_NS_MIN;
    return ns < NODE_REPLAY_RECORD_NS_MAX ? ns : NODE_REPLAY_RECORD_NS_MAX;
}

uint64_t node_replay_entry_ns(uint64_t before, uint64_t took_us, uint64_t entries)
{
    enum { SLOWLY = 16 };
    uint64_t ns = took_us * 1000 / entries;
    return ns > before ? before + (ns - before) / SLOWLY : ns;
}

static void measure(struct node *node, uint64_t took_us)
{
    uint64_t records = node->machine->ops->unflushed_records(node->machine);
    node->upkeep.replay_us += took_us;
    node->upkeep.replay_record_ns = node_replay_record_ns(
        node->upkeep.replay_record_ns, node->upkeep.replay_us, node->start.replayed, records);
}

/* The one that whoever read before has left, if it stands there: else the segment would be read
 * again from its beginning. */
static enum err take_reader(struct node *node, struct lsn from, struct why *why)
{
    struct start *start = &node->start;
    if (start->reader != NULL && start->reader_at.at == from.at) return ERR_OK;
    log_reader_close(start->reader);
    start->reader_at = from;
    return log_reader_open(&start->reader, node->world.disk, node->site.log, from, why);
}

enum err node_replay(struct node *node, struct lsn from, struct lsn to, struct why *why)
{
    if (lsn_before(to, from)) return ERR_OK;
    uint64_t began_us = clock_now_us(node->world.clock);
    struct window window;
    enum err err = take_reader(node, from, why);
    if (err != ERR_OK) return err;
    window_init(&window);
    uint64_t bytes = 0;
    do {
        err = window_fill(&window, node->start.reader, to, why);
        if (err == ERR_OK) err = window_apply(node, &window, why);
        bytes += window.bytes.size;
    } while (err == ERR_OK && lsn_before(window.entries[window.count - 1].lsn, to) &&
             bytes < NODE_REPLAY_BYTES);
    window_release(&window);
    node->start.reader_at = lsn_next(node_applied_lsn(node));
    if (err == ERR_OK) measure(node, clock_now_us(node->world.clock) - began_us);
    return err;
}

enum err node_read_ahead(struct node *node, struct lsn last, struct why *why)
{
    struct entry entry = {.lsn = node_applied_lsn(node)};
    if (!lsn_before(entry.lsn, last)) return ERR_OK;
    enum err err = take_reader(node, lsn_next(entry.lsn), why);
    bool more = true;
    while (err == ERR_OK && more && lsn_before(entry.lsn, last)) {
        err = log_reader_next(node->start.reader, &entry, why);
        if (err == ERR_OK) more = node_behind_hold(node, &entry);
    }
    return err;
}

/* --- While it serves --- */

static void looked_ahead(struct machine_warm *warm)
{
    struct node *node = CONTAINER_OF(warm, struct node, ahead.warm);
    node->ahead.busy = false; /* what could not be read says so when it is asked for */
    if (node->phase != NODE_FAILED) node_look_ahead(node);
}

static bool entry_of(const struct node *node, struct lsn lsn, struct entry *entry)
{
    return node_behind_entry(node, lsn, entry) || log_entry(node->log, lsn, entry);
}

/* So far it is looked ahead now. */
static struct lsn ahead_most(const struct node *node)
{
    unsigned most = node_behind_gives_way(node) ? NODE_BEHIND_STEP_ENTRIES : NODE_AHEAD_MOST;
    return (struct lsn){node_applied_lsn(node).at + most};
}

static size_t gather(const struct node *node, struct lsn from, struct entry *entries)
{
    struct lsn most = ahead_most(node);
    size_t count = 0;
    uint64_t bytes = 0;
    while (count < NODE_AHEAD_ENTRIES && bytes < NODE_AHEAD_BYTES && from.at + count <= most.at &&
           entry_of(node, (struct lsn){from.at + count}, &entries[count])) {
        bytes += entries[count].payload.size;
        count++;
    }
    return count;
}

void node_look_ahead_from(struct node *node, struct lsn lsn)
{
    node->ahead.on = true;
    node->ahead.through = lsn_max(node->ahead.through, lsn);
    node_look_ahead(node);
}

void node_look_ahead(struct node *node)
{
    struct ahead *ahead = &node->ahead;
    struct machine *machine = node->machine;
    if (!ahead->on || ahead->busy) return;
    struct lsn from = lsn_next(lsn_max(ahead->through, node_applied_lsn(node)));
    if (lsn_before(ahead_most(node), from) || lsn_before(log_appended(node->log), from)) return;
    struct entry *entries = memory_zeroed(NODE_AHEAD_ENTRIES, sizeof *entries);
    size_t count = gather(node, from, entries);
    if (count > 0) {
        ahead->through = entries[count - 1].lsn;
        ahead->warm = (struct machine_warm){.done = looked_ahead};
        ahead->busy = machine->ops->look_ahead(machine, entries, count, &ahead->warm);
        ahead->on = ahead->busy; /* nothing was missing: until something is */
    }
    memory_free(entries);
}
