/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/store.h"

#include <string.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/cut.h"
#include "sim/heap.h"
#include "sim/stores.h"

struct sim_cursor {
    struct store_cursor base;
    struct list node;
    struct sim_store *store;
    const struct store_view *view; /* NULL: the newest flush */
    struct sim_tree *tree;
    enum store_patience patience;
    uint8_t *item; /* key and value, lent until the cursor moves; NULL: at no place */
    size_t key_size, value_size;
};

static struct sim_world *store_world(const struct sim_store *store)
{
    return store->stores->node->world;
}

static struct dice *store_dice(const struct sim_store *store)
{
    return sim_world_dice(store_world(store), SIM_DICE_STORE);
}

static struct sim_store *store_of(struct store *base)
{
    return CONTAINER_OF(base, struct sim_store, base);
}

enum err sim_store_roll(struct sim_stores *stores, enum sim_store_op op, const char *path)
{
    struct sim_fault fault;
    return sim_faults_roll(&stores->faults, op, path, &fault) ? fault.err : ERR_OK;
}

uint64_t sim_store_latency(struct sim_store *store, enum sim_store_op op, uint64_t low,
                           uint64_t high)
{
    uint64_t latency = low + (high > low ? dice_below(store_dice(store), high - low + 1) : 0);
    return latency + sim_faults_stall_us(&store->stores->faults, op, store->path);
}

void sim_item_warm(const struct sim_store *store, struct sim_item *item)
{
    if (item == NULL) return;
    item->opening = store->opening;
    item->is_cached = true;
}

/* ERR_OK: it may be read. ERR_PENDING: not by somebody who cannot wait. NULL: nothing to read. */
static enum err item_touch(const struct sim_store *store, struct sim_item *item,
                           enum store_patience patience)
{
    if (item == NULL) return ERR_OK;
    const struct sim_stores_profile *profile = &store->stores->profile;
    if (patience == STORE_WAIT) {
        sim_item_warm(store, item);
        return ERR_OK;
    }
    if (item->opening != store->opening) {
        item->opening = store->opening;
        item->is_cached = dice_chance(store_dice(store), profile->cached_per_million, 1000000);
    } else if (item->is_cached && profile->evicted_per_million > 0 &&
               dice_chance(store_dice(store), profile->evicted_per_million, 1000000)) {
        item->is_cached = false;
    }
    if (item->is_cached) return ERR_OK;
    store->stores->pendings++;
    return ERR_PENDING;
}

static enum err store_get_of_sim(struct store *base, struct bytes key, enum store_patience patience,
                                 struct buffer *value)
{
    struct sim_store *store = store_of(base);
    enum err err = sim_store_roll(store->stores, SIM_STORE_GET, store->path);
    if (err != ERR_OK) return err;
    struct sim_item *item = sim_tree_at_or_after(store->held->tree, key);
    bool found = item != NULL && bytes_equal(sim_item_key(item), key);
    err = item_touch(store, item != NULL ? item : sim_tree_last(store->held->tree), patience);
    if (err != ERR_OK) return err;
    if (!found) return ERR_NOT_FOUND;
    buffer_append(value, sim_item_value(item)); /* the caller's, on the caller's heap */
    return ERR_OK;
}

/* Leaves some keys out, as a world does that is short of memory or cannot read them. */
static void store_fetch_of_sim(struct store *base, struct store_fetch *fetch)
{
    struct sim_store *store = store_of(base);
    uint64_t bytes = 0;
    for (size_t i = 0; i < fetch->count && bytes < fetch->bytes_max; i++) {
        MUST(i == 0 || bytes_compare(fetch->keys[i - 1], fetch->keys[i]) < 0);
        if (dice_chance(store_dice(store), 1, 16)) continue;
        if (sim_store_roll(store->stores, SIM_STORE_GET, store->path) != ERR_OK) continue;
        struct sim_item *item = sim_tree_at_or_after(store->held->tree, fetch->keys[i]);
        bool there = item != NULL && bytes_equal(sim_item_key(item), fetch->keys[i]);
        struct bytes value = there ? sim_item_value(item) : (struct bytes){0};
        fetch->found(fetch, i, there ? &value : NULL);
        bytes += value.size;
    }
}

static void cursor_leave(struct sim_cursor *cursor)
{
    memory_free(cursor->item);
    cursor->item = NULL;
}

/* Moves to the item; without one, the answer depends on the neighbour. */
static enum err cursor_place(struct sim_cursor *cursor, struct sim_item *item,
                             struct sim_item *neighbour)
{
    struct sim_store *store = cursor->store;
    struct sim_heap *before = sim_heap_enter(NULL);
    cursor_leave(cursor);
    enum err err = sim_store_roll(store->stores, SIM_STORE_WALK, store->path);
    if (err == ERR_OK) {
        err = item_touch(store, item != NULL ? item : neighbour, cursor->patience);
        if (err == ERR_OK && item == NULL) err = ERR_NOT_FOUND;
    }
    if (err == ERR_OK) {
        cursor->key_size = item->key_size;
        cursor->value_size = item->value_size;
        cursor->item = memory_alloc(item->key_size + item->value_size);
        memcpy(cursor->item, item->bytes, item->key_size + item->value_size);
    }
    (void)sim_heap_enter(before);
    return err;
}

static struct sim_cursor *cursor_of(struct store_cursor *base)
{
    return CONTAINER_OF(base, struct sim_cursor, base);
}

static struct bytes cursor_key(const struct store_cursor *base)
{
    const struct sim_cursor *cursor = (const struct sim_cursor *)(const void *)base;
    MUST(cursor->item != NULL);
    return bytes_of(cursor->item, cursor->key_size);
}
_Static_assert(offsetof(struct sim_cursor, base) == 0,
               "cursor_key() and cursor_value() rely on it");

static struct bytes cursor_value(const struct store_cursor *base)
{
    const struct sim_cursor *cursor = (const struct sim_cursor *)(const void *)base;
    MUST(cursor->item != NULL);
    return bytes_of(cursor->item + cursor->key_size, cursor->value_size);
}

static enum err cursor_seek(struct store_cursor *base, struct bytes key)
{
    struct sim_cursor *cursor = cursor_of(base);
    return cursor_place(cursor, sim_tree_at_or_after(cursor->tree, key),
                        sim_tree_last(cursor->tree));
}

static enum err cursor_seek_before(struct store_cursor *base, struct bytes key)
{
    struct sim_cursor *cursor = cursor_of(base);
    return cursor_place(cursor, sim_tree_before(cursor->tree, key),
                        sim_tree_at_or_after(cursor->tree, bytes_of(NULL, 0)));
}

static enum err cursor_next(struct store_cursor *base)
{
    struct sim_cursor *cursor = cursor_of(base);
    return cursor_place(cursor, sim_tree_after(cursor->tree, cursor_key(base)),
                        sim_tree_last(cursor->tree));
}

static enum err cursor_previous(struct store_cursor *base)
{
    return cursor_seek_before(base, cursor_key(base));
}

static void cursor_drop(struct sim_cursor *cursor)
{
    cursor_leave(cursor);
    list_remove(&cursor->node);
    sim_tree_drop(cursor->tree);
    memory_free(cursor);
}

static void cursor_close(struct store_cursor *base)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    cursor_drop(cursor_of(base));
    (void)sim_heap_enter(before);
}

static const struct store_cursor_ops cursor_ops_of_sim = {
    .seek = cursor_seek,
    .seek_before = cursor_seek_before,
    .next = cursor_next,
    .previous = cursor_previous,
    .key = cursor_key,
    .value = cursor_value,
    .close = cursor_close,
};

static struct store_cursor *store_cursor_of_sim(struct store *base, struct store_view *view,
                                                enum store_patience patience)
{
    struct sim_store *store = store_of(base);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct sim_cursor *cursor = memory_zeroed(1, sizeof(*cursor));
    cursor->base.ops = &cursor_ops_of_sim;
    cursor->store = store;
    cursor->tree = sim_tree_share(view != NULL ? view->tree : store->held->tree);
    cursor->view = view;
    cursor->patience = patience;
    list_append(&store->cursors, &cursor->node);
    (void)sim_heap_enter(before);
    return &cursor->base;
}

static struct store_view *store_view_open_of_sim(struct store *base)
{
    struct sim_store *store = store_of(base);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct store_view *view = memory_zeroed(1, sizeof(*view));
    view->tree = sim_tree_share(store->held->tree);
    list_append(&store->views, &view->node);
    (void)sim_heap_enter(before);
    return view;
}

static void view_drop(struct store_view *view)
{
    list_remove(&view->node);
    sim_tree_drop(view->tree);
    memory_free(view);
}

static void store_view_close_of_sim(struct store *base, struct store_view *view)
{
    const struct sim_store *store = store_of(base);
    struct sim_heap *before = sim_heap_enter(NULL);
    for (struct list *at = store->cursors.next; at != &store->cursors; at = at->next) {
        MUST(CONTAINER_OF(at, struct sim_cursor, node)->view != view);
    }
    view_drop(view);
    (void)sim_heap_enter(before);
}

static uint64_t store_approximate_bytes_of_sim(struct store *base)
{
    return sim_tree_bytes(store_of(base)->held->tree);
}

static bool store_is_low_of_sim(const struct store *base)
{
    const struct sim_store *store = (const struct sim_store *)(const void *)base;
    return store->is_low;
}
_Static_assert(offsetof(struct sim_store, base) == 0, "store_is_low_of_sim() relies on it");

/* A deletion is gone with the flush that brings it: there is nothing left to free. */
static void store_reclaim_of_sim(struct store *base)
{
    sim_store_look_after_space(store_of(base));
}

static void store_drop(struct sim_store *store)
{
    struct list *node;
    if (store->flushing != NULL) sim_flushing_drop(store->flushing);
    sim_warmings_drop(store);
    while ((node = list_first(&store->cursors)) != NULL) {
        cursor_drop(CONTAINER_OF(node, struct sim_cursor, node));
    }
    while ((node = list_first(&store->views)) != NULL) {
        view_drop(CONTAINER_OF(node, struct store_view, node));
    }
    store->held->base.is_open = false;
    list_remove(&store->node);
    memory_free(store);
}

static void store_close_of_sim(struct store *base)
{
    struct sim_store *store = store_of(base);
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(list_empty(&store->cursors));
    MUST(list_empty(&store->views) || !list_empty(&store->warmings));
    if (store->flushing != NULL) sim_flushing_finish(store->flushing);
    store_drop(store);
    (void)sim_heap_enter(before);
}

static const struct store_ops store_ops_of_sim = {
    .get = store_get_of_sim,
    .cursor = store_cursor_of_sim,
    .flush = sim_store_flush,
    .flush_wait = sim_store_flush_wait,
    .warm = sim_store_warm,
    .goes_on = sim_store_goes_on,
    .went = sim_store_went,
    .hurry = sim_store_hurry,
    .fetch = store_fetch_of_sim,
    .view_open = store_view_open_of_sim,
    .view_close = store_view_close_of_sim,
    .approximate_bytes = store_approximate_bytes_of_sim,
    .reclaim = store_reclaim_of_sim,
    .is_low = store_is_low_of_sim,
    .close = store_close_of_sim,
};

static void held_drop(struct sim_attached *base)
{
    struct sim_held *held = CONTAINER_OF(base, struct sim_held, base);
    MUST(!held->base.is_open);
    sim_tree_drop(held->tree);
    memory_free(held);
}

static void held_make(struct sim_attached **place)
{
    struct sim_held *made = memory_zeroed(1, sizeof(*made));
    made->base.drop = held_drop;
    *place = &made->base;
}

static enum err held_find(struct sim_stores *stores, const char *path, bool create,
                          struct sim_held **held, struct why *why)
{
    enum err err = sim_store_roll(stores, SIM_STORE_OPEN, path);
    if (err != ERR_OK) return why_fail(why, err, "cannot open %s: injected", path);
    struct sim_attached **place = sim_disk_attached(stores->node->disk, path, create);
    if (place == NULL || (*place == NULL && !create)) {
        return why_fail(why, ERR_NOT_FOUND, "cannot open %s: no store there", path);
    }
    if (*place == NULL) held_make(place);
    *held = CONTAINER_OF(*place, struct sim_held, base);
    if ((*held)->base.is_open)
        return why_fail(why, ERR_REFUSED, "cannot open %s: it is open", path);
    return ERR_OK;
}

static enum err stores_open_of_sim(struct stores *base, const char *path, bool create,
                                   uint64_t cache_bytes, struct store **out, struct why *why)
{
    (void)cache_bytes; /* what is in memory is drawn, whatever the bound */
    struct sim_stores *stores = CONTAINER_OF(base, struct sim_stores, base);
    struct sim_heap *before = sim_heap_enter(NULL);
    *out = NULL;
    enum sim_moment moment = sim_node_count_io(stores->node);
    if (moment == SIM_BEFORE) sim_node_die(stores->node);
    struct sim_held *held = NULL;
    enum err err = held_find(stores, path, create, &held, why);
    if (moment != SIM_MOMENT_NONE) sim_node_die(stores->node);
    if (err == ERR_OK) {
        MUST(held != NULL);
        size_t size = strlen(path) + 1;
        struct sim_store *store = memory_zeroed(1, sizeof(*store) + size);
        store->base.ops = &store_ops_of_sim;
        store->stores = stores;
        store->held = held;
        store->opening = ++stores->node->world->store_openings;
        held->base.is_open = true;
        list_init(&store->cursors);
        list_init(&store->views);
        list_init(&store->warmings);
        list_append(&stores->opened, &store->node);
        memcpy(store->path, path, size);
        *out = &store->base;
    }
    (void)sim_heap_enter(before);
    return err;
}

static const struct stores_ops stores_ops_of_sim = {.open = stores_open_of_sim};

void sim_stores_cut(struct sim_stores *stores, const struct sim_cut *cut)
{
    struct dice dice;
    sim_cut_dice(stores->node, cut, &dice);
    struct list *node;
    while ((node = list_first(&stores->opened)) != NULL) {
        struct sim_store *store = CONTAINER_OF(node, struct sim_store, node);
        if (store->flushing != NULL) sim_flushing_cut(store->flushing, cut->keep, &dice);
        store_drop(store);
    }
}

void sim_stores_leftovers(const struct sim_stores *stores, struct buffer *out)
{
    for (struct list *at = stores->opened.next; at != &stores->opened; at = at->next) {
        buffer_append_format(out, "store %s; ", CONTAINER_OF(at, struct sim_store, node)->path);
    }
}

struct sim_stores *sim_stores_open(struct sim_node *node)
{
    struct sim_stores *stores = memory_zeroed(1, sizeof(*stores));
    stores->base.ops = &stores_ops_of_sim;
    stores->node = node;
    stores->profile = (struct sim_stores_profile){.cached_per_million = 700000,
                                                  .evicted_per_million = 10000,
                                                  .flush_us_min = 200,
                                                  .flush_us_max = 20000,
                                                  .warm_us_min = 50,
                                                  .warm_us_max = 2000};
    list_init(&stores->opened);
    sim_faults_init(&stores->faults, sim_world_dice(node->world, SIM_DICE_FAULTS));
    return stores;
}

void sim_stores_close(struct sim_stores *stores)
{
    MUST(list_empty(&stores->opened));
    sim_faults_release(&stores->faults);
    memory_free(stores);
}

struct stores *sim_stores_seam(struct sim_stores *stores)
{
    return &stores->base;
}

struct sim_stores_profile *sim_stores_profile(struct sim_stores *stores)
{
    return &stores->profile;
}

uint64_t sim_stores_fault(struct sim_stores *stores, const struct sim_fault *fault)
{
    return sim_faults_add(&stores->faults, fault);
}

void sim_stores_unfault(struct sim_stores *stores, uint64_t id)
{
    if (id == 0) {
        sim_faults_clear(&stores->faults);
    } else {
        sim_faults_remove(&stores->faults, id);
    }
}

uint64_t sim_stores_fault_hits(const struct sim_stores *stores)
{
    return stores->faults.hits;
}

uint64_t sim_stores_pendings(const struct sim_stores *stores)
{
    return stores->pendings;
}

bool sim_stores_dump(struct sim_stores *stores, const char *path, struct buffer *out)
{
    struct sim_attached **place = sim_disk_attached(stores->node->disk, path, false);
    if (place == NULL || *place == NULL) return false;
    const struct sim_tree *tree = CONTAINER_OF(*place, struct sim_held, base)->tree;
    const struct sim_item *item = sim_tree_at_or_after(tree, bytes_of(NULL, 0));
    for (; item != NULL; item = sim_tree_after(tree, sim_item_key(item))) {
        buffer_append_le32(out, (uint32_t)item->key_size);
        buffer_append_le32(out, (uint32_t)item->value_size);
        buffer_append(out, bytes_of(item->bytes, item->key_size + item->value_size));
    }
    return true;
}

bool sim_stores_take(struct sim_stores *stores, const char *path, struct sim_tree **tree)
{
    *tree = NULL;
    struct sim_attached **place = sim_disk_attached(stores->node->disk, path, false);
    if (place == NULL || *place == NULL) return false;
    *tree = sim_tree_share(CONTAINER_OF(*place, struct sim_held, base)->tree);
    return true;
}

void sim_stores_put(struct sim_stores *stores, const char *path, struct sim_tree *tree)
{
    struct sim_attached **place = sim_disk_attached(stores->node->disk, path, true);
    MUST(place != NULL);
    if (*place == NULL) held_make(place);
    struct sim_held *held = CONTAINER_OF(*place, struct sim_held, base);
    sim_tree_drop(held->tree);
    held->tree = tree;
    held->base.bytes = sim_tree_bytes(tree);
}
