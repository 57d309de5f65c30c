/* SPDX-License-Identifier: Apache-2.0 */
#include "node/behind.h"

#include "base/memory.h"
#include "node/internal.h"

bool node_is_behind(const struct node *node)
{
    return lsn_before(node_applied_lsn(node), node->behind.to);
}

uint64_t node_behind_entries(const struct node *node)
{
    return node_is_behind(node) ? node->behind.to.at - node_applied_lsn(node).at : 0;
}

bool node_behind_gives_way(const struct node *node)
{
    return node_follows_catches_up(node) &&
           node->behind.bytes < node->copies.ahead_bytes / NODE_BEHIND_WAY_SHARE;
}

static struct entry *ring_at(const struct behind *behind, unsigned place)
{
    return &behind->ring[(behind->first + place) % NODE_BEHIND_ENTRIES];
}

/* --- In --- */

void node_behind_begin(struct node *node)
{
    struct behind *behind = &node->behind;
    node_order_cut(node, node_applied_lsn(node));
    behind->to = log_appended(node->log);
    behind->bytes = behind->least = log_kept_bytes(node->log);
    node_behind_advanced(node);
}

void node_behind_append(struct node *node, const struct entry *entry)
{
    struct behind *behind = &node->behind;
    /* While it led, others were ordered behind these. */
    if (entry->lsn.at != behind->to.at + 1) node_order_cut(node, behind->to);
    behind->to = entry->lsn;
    behind->bytes += entry->payload.size;
    if (!node_follows_streams(node)) behind->least = behind->bytes;
}

/* Only what is written can be read again. */
void node_behind_advanced(struct node *node)
{
    if (!node_is_behind(node)) return;
    log_forget(node->log, lsn_min(log_written(node->log), node->behind.to));
    clock_defer(node->world.clock, &node->apply);
}

/* While it streams the primary waits for this copy: what waits to be applied becomes less, and a
 * promotion sooner possible. */
bool node_behind_has_room(const struct node *node)
{
    const struct behind *behind = &node->behind;
    if (!node_follows_streams(node)) return behind->bytes <= node->copies.ahead_bytes;
    return behind->bytes <= behind->least + node_follows_memory_bytes(node);
}

/* --- Out --- */

static void follow_ready(struct log_follow_listener *listener)
{
    struct node *node = CONTAINER_OF(listener, struct node, behind.listener);
    clock_defer(node->world.clock, &node->apply);
}

static enum err follow_open(struct node *node, struct why *why)
{
    struct behind *behind = &node->behind;
    if (behind->follow != NULL) return ERR_OK;
    behind->listener.ready = follow_ready;
    struct lsn from = {node_applied_lsn(node).at + behind->count + 1};
    return log_follow_open(&behind->follow, node->log, from, &behind->listener, why);
}

static void ring_push(struct behind *behind, const struct entry *entry)
{
    struct entry *place = ring_at(behind, behind->count);
    size_t size = entry->payload.size;
    *place = *entry;
    place->payload = bytes_of(memcpy(memory_alloc(size), entry->payload.data, size), size);
    behind->ring_bytes += size;
    behind->count++;
}

static void ring_pop(struct behind *behind)
{
    struct entry *first = ring_at(behind, 0);
    behind->ring_bytes -= first->payload.size;
    memory_free((void *)(uintptr_t)first->payload.data);
    behind->first = (behind->first + 1) % NODE_BEHIND_ENTRIES;
    behind->count--;
}

static bool ring_has_room(const struct behind *behind)
{
    return behind->count < NODE_BEHIND_ENTRIES && behind->ring_bytes < NODE_BEHIND_BYTES;
}

static void ring_make(struct behind *behind)
{
    if (behind->ring == NULL)
        behind->ring = memory_zeroed(NODE_BEHIND_ENTRIES, sizeof *behind->ring);
}

bool node_behind_hold(struct node *node, const struct entry *entry)
{
    struct behind *behind = &node->behind;
    ring_make(behind);
    ring_push(behind, entry);
    return ring_has_room(behind);
}

/* Reads on while there is room; what is being read tells its arrival. */
static enum err fill(struct node *node, struct why *why)
{
    struct behind *behind = &node->behind;
    if (node->turn.kind != TURN_NONE) return ERR_NOT_FOUND;    /* the log is about to be closed */
    struct lsn through = lsn_min(node->committed, behind->to); /* and so it is written */
    enum err err = follow_open(node, why);
    ring_make(behind);
    while (err == ERR_OK && ring_has_room(behind)) {
        struct entry entry;
        err = log_follow_next(behind->follow, through, &entry, why);
        if (err == ERR_OK) ring_push(behind, &entry);
    }
    return err;
}

bool node_behind_next(struct node *node, struct entry *entry)
{
    struct behind *behind = &node->behind;
    struct why why;
    enum err err = ERR_OK;
    bool room = behind->count <= NODE_BEHIND_ENTRIES / 2 &&
                behind->ring_bytes <= NODE_BEHIND_BYTES / 2;
    if (room) err = fill(node, &why);
    if (err != ERR_OK && err != ERR_PENDING && err != ERR_NOT_FOUND) {
        node_fail(node, err == ERR_CORRUPT ? NODE_FAILED_CORRUPT : NODE_FAILED_LOG, &why);
        return false;
    }
    if (behind->count == 0) return false;
    *entry = *ring_at(behind, 0);
    return !lsn_before(node->committed, entry->lsn);
}

void node_behind_applied(struct node *node, const struct entry *entry)
{
    struct behind *behind = &node->behind;
    uint64_t size = entry->payload.size;
    behind->attempt = 0;
    behind->read_back++;
    if (!lsn_before(node->start.last, entry->lsn)) node->start.replayed++;
    behind->bytes -= size < behind->bytes ? size : behind->bytes;
    if (behind->bytes < behind->least) behind->least = behind->bytes;
    ring_pop(behind);
    if (!node_is_behind(node)) node_behind_drop(node);
}

bool node_behind_entry(const struct node *node, struct lsn lsn, struct entry *entry)
{
    const struct behind *behind = &node->behind;
    if (behind->count == 0) return false;
    uint64_t first = ring_at(behind, 0)->lsn.at;
    if (lsn.at < first || lsn.at - first >= behind->count) return false;
    *entry = *ring_at(behind, (unsigned)(lsn.at - first));
    return true;
}

/* --- The end --- */

void node_behind_pause(struct node *node)
{
    log_follow_close(node->behind.follow);
    node->behind.follow = NULL;
}

void node_behind_drop(struct node *node)
{
    struct behind *behind = &node->behind;
    node_behind_pause(node);
    while (behind->count > 0) ring_pop(behind);
    memory_free(behind->ring);
    *behind = (struct behind){.read_back = behind->read_back};
}
