/* SPDX-License-Identifier: Apache-2.0 */
/* Warming a simulated store: ranges come into its memory, or are read for who asks. */
#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "sim/stores.h"

struct warming {
    struct sim_event event;
    struct list node;
    struct sim_store *store;
    struct store_warm *warm; /* the node's */
};

static void range_warm_forward(const struct sim_store *store, struct sim_tree *tree,
                               const struct store_range *range)
{
    struct sim_item *item = sim_tree_at_or_after(tree, range->from);
    if (item == NULL) sim_item_warm(store, sim_tree_last(tree));
    /* The first item beyond the range is read too: a walk looks at it to see that it is at the end.
     */
    for (uint64_t bytes = 0; item != NULL;) {
        sim_item_warm(store, item);
        bytes += item->key_size + item->value_size;
        if (bytes_compare(sim_item_key(item), range->to) >= 0 || bytes >= range->bytes_max) return;
        struct sim_item *next = sim_tree_after(tree, sim_item_key(item));
        if (next == NULL) sim_item_warm(store, sim_tree_last(tree));
        item = next;
    }
}

static void range_warm_backward(const struct sim_store *store, struct sim_tree *tree,
                                const struct store_range *range)
{
    struct sim_item *beyond = sim_tree_at_or_after(tree, range->to);
    sim_item_warm(store, beyond != NULL ? beyond : sim_tree_last(tree));
    struct sim_item *item = sim_tree_before(tree, range->to);
    for (uint64_t bytes = 0; item != NULL;) {
        sim_item_warm(store, item);
        bytes += item->key_size + item->value_size;
        if (bytes_compare(sim_item_key(item), range->from) < 0 || bytes >= range->bytes_max) return;
        item = sim_tree_before(tree, sim_item_key(item));
    }
}

static void range_warm(const struct sim_store *store, struct sim_tree *tree,
                       const struct store_range *range)
{
    if (range->to.size == 0) {
        struct sim_item *item = sim_tree_at_or_after(tree, range->from);
        sim_item_warm(store, item != NULL ? item : sim_tree_last(tree));
    } else if (range->backward) {
        range_warm_backward(store, tree, range);
    } else {
        range_warm_forward(store, tree, range);
    }
}

/* For who asked; nothing of it is in memory afterwards that was not before. */
static void range_give(const struct sim_store *store, struct store_warm *warm,
                       const struct store_range *range)
{
    struct sim_tree *tree = warm->view != NULL ? warm->view->tree : store->held->tree;
    struct sim_item *item = sim_tree_at_or_after(tree, range->from);
    MUST(!range->backward);
    if (range->to.size == 0) {
        if (item == NULL || !bytes_equal(sim_item_key(item), range->from)) return;
        SIM_CALL_NODE(store->stores->node,
                      warm->found(warm, sim_item_key(item), sim_item_value(item)));
        return;
    }
    for (uint64_t bytes = 0; item != NULL && bytes < range->bytes_max;) {
        struct bytes key = sim_item_key(item), value = sim_item_value(item);
        if (bytes_compare(key, range->to) >= 0) return;
        SIM_CALL_NODE(store->stores->node, warm->found(warm, key, value));
        bytes += key.size + value.size;
        item = sim_tree_after(tree, key);
    }
}

static void range_warm_everywhere(const struct sim_store *store, const struct store_range *range)
{
    range_warm(store, store->held->tree, range);
    for (struct list *at = store->views.next; at != &store->views; at = at->next)
        range_warm(store, CONTAINER_OF(at, struct store_view, node)->tree, range);
}

static void warming_drop(struct warming *warming)
{
    sim_world_cancel(warming->store->stores->node->world, &warming->event);
    list_remove(&warming->node);
    memory_free(warming);
}

static void warming_arrived(struct sim_event *event)
{
    struct warming *warming = CONTAINER_OF(event, struct warming, event);
    struct sim_store *store = warming->store;
    struct store_warm *warm = warming->warm;
    warm->err = sim_store_roll(store->stores, SIM_STORE_WARM, store->path);
    warm->why.text[0] = '\0';
    warm->read = 0;
    if (warm->err == ERR_OK && warm->survey != NULL)
        SIM_CALL_NODE(store->stores->node, warm->survey(warm));
    if (warm->err != ERR_OK) (void)why_fail(&warm->why, warm->err, "%s: injected", store->path);
    for (size_t i = 0; warm->err == ERR_OK && i < warm->count; i++, warm->read = i) {
        if (warm->found != NULL) range_give(store, warm, &warm->ranges[i]);
        else range_warm_everywhere(store, &warm->ranges[i]);
    }
    warming_drop(warming);
    SIM_CALL_NODE(store->stores->node, warm->done(warm));
}

void sim_store_warm(struct store *base, struct store_warm *warm)
{
    struct sim_store *store = CONTAINER_OF(base, struct sim_store, base);
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(warm->done != NULL);
    struct warming *warming = memory_zeroed(1, sizeof(*warming));
    warming->event = (struct sim_event){
        .fired = warming_arrived, .node = store->stores->node, .kind = SIM_EVENT_WARM};
    warming->store = store;
    warming->warm = warm;
    list_append(&store->warmings, &warming->node);
    const struct sim_stores_profile *profile = &store->stores->profile;
    uint64_t latency = sim_store_latency(store, SIM_STORE_WARM, profile->warm_us_min,
                                         profile->warm_us_max);
    sim_world_plan(store->stores->node->world, &warming->event, latency);
    (void)sim_heap_enter(before);
}

bool sim_store_goes_on(struct store *base, struct store_warm *warm, uint64_t bytes)
{
    (void)base;
    (void)warm;
    (void)bytes;
    return true;
}

uint64_t sim_store_went(struct store *base, const struct store_warm *warm)
{
    (void)base;
    (void)warm;
    return 0;
}

void sim_store_hurry(struct store *base, struct store_warm *warm)
{
    (void)base;
    (void)warm;
}

void sim_warmings_drop(struct sim_store *store)
{
    struct list *node;
    while ((node = list_first(&store->warmings)) != NULL)
        warming_drop(CONTAINER_OF(node, struct warming, node));
}
