/* SPDX-License-Identifier: Apache-2.0 */
#include "node/reach.h"

#include "base/plant.h"
#include "node/internal.h"

/* How many others can take the role away, if they want to. */
static unsigned needed(const struct progress *progress)
{
    struct commit_rule rule = progress_rule(progress);
    if (rule.mode == COMMIT_LOCAL || rule.min_in_sync > progress->count) return UINT32_MAX;
    unsigned promises = promise_quorum(progress->count, rule.min_in_sync);
    return promises > rule.min_in_sync ? promises : rule.min_in_sync;
}

void node_reach_begin(struct node *node)
{
    for (size_t i = 0; i < PROGRESS_COPIES_MAX; i++)
        node->membership.heard_us[i] = clock_now_us(node->world.clock);
    (void)node_reach_look(node);
}

/* Whether fewer than the rule asks for would confirm a write. Those that were lost just now may be
 * back before a client that waits loses its patience. */
static bool too_few(const struct progress *progress, const uint64_t *heard_us, uint64_t now_us)
{
    struct commit_rule rule = progress_rule(progress);
    unsigned heard = 1; /* this one */
    for (unsigned i = 1; i < progress->count; i++) {
        bool counts = progress->copies[i].counting != COUNTING_OUT;
        heard += counts && now_us - heard_us[i] < NODE_REACH_US;
    }
    return rule.mode == COMMIT_ALL && heard < rule.min_in_sync;
}

/* Since when there are so many that were not heard any more: the time of the one among them that
 * was heard last. */
bool node_reach_look(struct node *node)
{
    const struct progress *progress = &node->progress;
    struct membership *membership = &node->membership;
    unsigned lost = needed(progress);
    uint64_t *heard_us = membership->heard_us;
    membership->sure_until_us = UINT64_MAX;
    for (unsigned i = 1; i < progress->count; i++) {
        uint64_t us = node_serves_heard_us(node, progress->copies[i].id);
        if (us > heard_us[i]) heard_us[i] = us;
    }
    uint64_t now_us = clock_now_us(node->world.clock);
    membership->out_of_reach = too_few(progress, heard_us, now_us);
    for (unsigned i = 1; i < progress->count; i++) {
        unsigned no_later = 0;
        for (unsigned k = 1; k < progress->count; k++) no_later += heard_us[k] <= heard_us[i];
        if (no_later < lost) continue;
        uint64_t until_us = heard_us[i] + NODE_REACH_US;
        if (until_us < membership->sure_until_us) membership->sure_until_us = until_us;
    }
    return node_reach_is_sure(node, now_us);
}

bool node_reach_is_sure(const struct node *node, uint64_t now_us)
{
    return now_us < node->membership.sure_until_us || PLANTED(LEAD_OUT_OF_REACH);
}
