/* SPDX-License-Identifier: Apache-2.0 */
#include "node/awaits.h"

#include <string.h>

#include "base/plant.h"
#include "node/internal.h"

static void timer_fired(struct timer *timer);

void node_awaits_init(struct awaits *awaits)
{
    list_init(&awaits->waiting);
    awaits->timer = (struct timer){.fired = timer_fired};
}

/* --- What holds now --- */

/* The epoch that wrote the entry; false: it is older than what is remembered. */
static bool epoch_at(const struct node *node, struct lsn lsn, struct epoch *out)
{
    return epochs_find(epochs_view(&node->epochs), lsn, out);
}

/* Whether a later epoch, of which entries are applied, began at or before the mark: then the entry
 * there is another one. */
static bool is_overtaken(const struct node *node, const struct mark *mark, struct lsn applied)
{
    for (size_t i = 0; i < node->epochs.count; i++) {
        const struct epoch_start *start = &node->epochs.at[i];
        if (epoch_compare(start->epoch, mark->epoch) <= 0) continue;
        if (!lsn_before(applied, start->first) && !lsn_before(mark->lsn, start->first)) return true;
    }
    return false;
}

/* ERR_OK: the state holds it; ERR_PENDING: not yet; ERR_NOT_FOUND: it never will. A replica that is
 * not in a session may get another state: what it lacks now says nothing of later. */
static enum err look_for_mark(const struct node *node, const struct mark *mark)
{
    const struct mark applied = node->machine->ops->applied(node->machine);
    bool sure = node->leads || node_follows_streams(node);
    enum err lost = sure ? ERR_NOT_FOUND : ERR_PENDING;
    if (PLANTED(WAIT_BY_LSN_ALONE))
        return lsn_before(applied.lsn, mark->lsn) ? ERR_PENDING : ERR_OK;
    if (memcmp(&applied.history, &mark->history, sizeof applied.history) != 0) return lost;
    if (mark->lsn.at == 0) return ERR_OK;
    if (is_overtaken(node, mark, applied.lsn)) return lost;
    if (lsn_before(applied.lsn, mark->lsn)) return ERR_PENDING;
    struct epoch epoch;
    if (epoch_at(node, mark->lsn, &epoch) && epoch_compare(epoch, mark->epoch) != 0) return lost;
    bool newest = applied.lsn.at == mark->lsn.at;
    return newest && applied.lineage.hash != mark->lineage.hash ? lost : ERR_OK;
}

/* True: it is over. */
static bool look(const struct node *node, struct await *await)
{
    if (await->marked) {
        await->err = look_for_mark(node, &await->mark);
        return await->err != ERR_PENDING;
    }
    await->err = ERR_OK;
    await->found = node->serves == NULL ? 0 : node_serves_durable(node, await->lsn);
    if (await->others != NULL) await->found += await->others(await);
    await->found_local = !lsn_before(log_durable(node->log), await->lsn);
    return await->found >= await->copies && (await->found_local || !await->local);
}

/* --- Who waits --- */

/* The timer may fire too early, never too late. */
static void note_end(struct node *node, uint64_t until_us)
{
    struct timer *timer = &node->awaits.timer;
    uint64_t now_us = clock_now_us(node->world.clock);
    if (until_us == 0 || (timer->armed && timer->due_us <= until_us)) return;
    clock_timer_start(node->world.clock, timer, until_us > now_us ? until_us - now_us : 0);
}

void node_await(struct service *service, struct await *await)
{
    struct node *node = node_of(service);
    list_init(&await->node);
    await->until_us = 0;
    bool shut = node->phase != NODE_OPENING && node->phase != NODE_SERVING;
    if (shut || (!await->marked && !node->leads)) {
        await->err = shut ? ERR_SHUT : ERR_NOT_LEADER;
        await->done(await);
        return;
    }
    if (node->turn.kind == TURN_NONE && look(node, await)) {
        await->done(await);
        return;
    }
    if (await->timeout_us != 0)
        await->until_us = clock_now_us(node->world.clock) + await->timeout_us;
    list_append(&node->awaits.waiting, &await->node);
    note_end(node, await->until_us);
}

void node_unawait(struct service *service, struct await *await)
{
    (void)service;
    list_remove(&await->node);
}

void node_await_again(struct service *service)
{
    node_awaits_check(node_of(service));
}

/* Shows each that waited when this began once; done() may ask for another one. */
static void walk(struct node *node, bool (*is_over)(struct node *node, struct await *await))
{
    struct list now;
    list_init(&now);
    list_move_all(&now, &node->awaits.waiting);
    struct list *first;
    while ((first = list_first(&now)) != NULL) {
        struct await *await = CONTAINER_OF(first, struct await, node);
        list_remove(first);
        if (is_over(node, await)) await->done(await);
        else list_append(&node->awaits.waiting, first);
    }
    if (list_empty(&node->awaits.waiting)) clock_timer_stop(node->world.clock, &node->awaits.timer);
}

static bool has_come(struct node *node, struct await *await)
{
    return look(node, await);
}

void node_awaits_check(struct node *node)
{
    /* While the shard is closed there is nothing to look at. */
    if (list_empty(&node->awaits.waiting) || node->turn.kind != TURN_NONE) return;
    if (node->phase != NODE_FAILED) walk(node, has_come);
}

static bool is_late(struct node *node, struct await *await)
{
    bool late = await->until_us != 0 && await->until_us <= clock_now_us(node->world.clock);
    if (late && !await->marked) (void)look(node, await);
    if (late && await->marked) await->err = ERR_PENDING;
    if (!late) note_end(node, await->until_us);
    return late;
}

static void timer_fired(struct timer *timer)
{
    struct awaits *awaits = CONTAINER_OF(timer, struct awaits, timer);
    walk(CONTAINER_OF(awaits, struct node, awaits), is_late);
}

static bool was_led(struct node *node, struct await *await)
{
    (void)node;
    await->err = ERR_NOT_LEADER;
    return !await->marked;
}

void node_awaits_unlead(struct node *node)
{
    walk(node, was_led);
}

static bool is_shut(struct node *node, struct await *await)
{
    (void)node;
    await->err = ERR_SHUT;
    return true;
}

void node_awaits_end(struct node *node)
{
    walk(node, is_shut);
}
