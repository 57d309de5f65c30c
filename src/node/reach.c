/* SPDX-License-Identifier: Apache-2.0 */
#include "node/reach.h"

#include "base/plant.h"
#include "node/internal.h"

/* The other copies of a configuration, and how many of a configuration there are. */
struct group {
    uint64_t ids[PROGRESS_COPIES_MAX];
    unsigned others, count;
};

static struct group group_of_progress(const struct progress *progress)
{
    struct group group = {.count = progress->count};
    for (unsigned i = 1; i < progress->count; i++)
        group.ids[group.others++] = progress->copies[i].id;
    return group;
}

static struct group group_of_log(const struct node *node)
{
    const struct members *now = &node->membership.now;
    struct group group = {.count = now->count};
    for (unsigned i = 0; i < now->count; i++) {
        if (now->at[i].id != node->site.identity.copy) group.ids[group.others++] = now->at[i].id;
    }
    return group;
}

/* Its place in membership->heard; HEARD_MAX: of that copy nothing is known. */
static size_t place_of(const struct membership *membership, uint64_t copy)
{
    size_t place = 0;
    while (place < HEARD_MAX && membership->heard[place].copy != copy) place++;
    return place;
}

static bool is_in(const struct group *group, uint64_t copy)
{
    for (unsigned i = 0; i < group->others; i++) {
        if (group->ids[i] == copy) return true;
    }
    return false;
}

/* Who is in neither is known no more. */
static void forget(struct membership *membership, const struct group groups[2])
{
    for (size_t i = 0; i < HEARD_MAX; i++) {
        struct heard *heard = &membership->heard[i];
        bool known = is_in(&groups[0], heard->copy) || is_in(&groups[1], heard->copy);
        if (!known) *heard = (struct heard){0, 0};
    }
}

/* One that comes to be named is there, or was when this copy began to lead. */
static void hear(struct node *node, const struct group *group)
{
    struct membership *membership = &node->membership;
    for (unsigned i = 0; i < group->others; i++) {
        uint64_t us = node_serves_heard_us(node, group->ids[i]);
        size_t place = place_of(membership, group->ids[i]);
        bool is_new = place == HEARD_MAX;
        if (is_new) place = place_of(membership, 0);
        MUST(place < HEARD_MAX); /* there is one for each that can be in a group */
        struct heard *heard = &membership->heard[place];
        if (is_new) *heard = (struct heard){group->ids[i], clock_now_us(node->world.clock)};
        if (us > heard->us) heard->us = us;
    }
}

static uint64_t heard_us(const struct membership *membership, uint64_t copy)
{
    size_t place = place_of(membership, copy);
    return place == HEARD_MAX ? 0 : membership->heard[place].us;
}

/* So many of the others can take the role away, if they want to. Since when there are so many that
 * were not heard any more: the time of the one among them that was heard last. */
static void limit(struct membership *membership, const struct group *group, unsigned min_in_sync)
{
    if (min_in_sync < 1 || min_in_sync > group->count) return;
    unsigned lost = promise_quorum(group->count, min_in_sync);
    if (lost < min_in_sync) lost = min_in_sync;
    for (unsigned i = 0; i < group->others; i++) {
        uint64_t last_us = heard_us(membership, group->ids[i]);
        unsigned no_later = 0;
        for (unsigned k = 0; k < group->others; k++)
            no_later += heard_us(membership, group->ids[k]) <= last_us;
        if (no_later < lost) continue;
        uint64_t until_us = last_us + NODE_REACH_US;
        if (until_us < membership->sure_until_us) membership->sure_until_us = until_us;
    }
}

void node_reach_begin(struct node *node)
{
    memset(node->membership.heard, 0, sizeof node->membership.heard);
    (void)node_reach_look(node);
}

/* Whether fewer than the rule asks for would confirm a write. Those that were lost just now may be
 * back before a client that waits loses its patience. */
static bool too_few(const struct node *node, uint64_t now_us)
{
    const struct progress *progress = &node->progress;
    struct commit_rule rule = progress_rule(progress);
    unsigned heard = 1; /* this one */
    for (unsigned i = 1; i < progress->count; i++) {
        const struct progress_copy *copy = &progress->copies[i];
        bool counts = copy->counting != COUNTING_OUT;
        heard += counts && now_us - heard_us(&node->membership, copy->id) < NODE_REACH_US;
    }
    return rule.mode == COMMIT_ALL && heard < rule.min_in_sync;
}

/* What this copy has appended last others may know, and go by, before it is committed; or not. */
bool node_reach_look(struct node *node)
{
    const struct progress *progress = &node->progress;
    struct membership *membership = &node->membership;
    struct group groups[] = {group_of_progress(progress), group_of_log(node)};
    uint64_t now_us = clock_now_us(node->world.clock);
    membership->sure_until_us = UINT64_MAX;
    forget(membership, groups);
    for (unsigned i = 0; i < 2; i++) {
        hear(node, &groups[i]);
        if (progress->rule.mode == COMMIT_ALL)
            limit(membership, &groups[i], progress->rule.min_in_sync);
        if (membership->now.all) limit(membership, &groups[i], membership->now.min_in_sync);
    }
    membership->out_of_reach = too_few(node, now_us);
    return node_reach_is_sure(node, now_us);
}

bool node_reach_is_sure(const struct node *node, uint64_t now_us)
{
    return now_us < node->membership.sure_until_us || PLANTED(LEAD_OUT_OF_REACH);
}
