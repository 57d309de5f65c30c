/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * memory_store: a store of seam/store.h in memory, for tests of the keys machine alone. A flush is
 * done, and work is told as done, only when the test says so; any read may be made to say
 * ERR_PENDING; a crash is to open a machine over the same store again.
 */
#ifndef TEST_STATE_MEMORY_STORE_H
#define TEST_STATE_MEMORY_STORE_H

#include "base/dice.h"
#include "base/memory.h"
#include "base/must.h"
#include "seam/store.h"

struct memory_item {
    struct buffer key, value;
};

struct memory_store {
    struct store base;
    struct memory_item *items; /* in order */
    size_t count, capacity;
    struct store_flush *flush; /* asked and not done yet */
    struct list warms;
    /* What the test sets. */
    struct dice dice;
    unsigned pending_of;   /* one read in so many says ERR_PENDING; 0: none */
    enum err flush_fails;  /* the next flush ends so; ERR_OK: it works */
    size_t flush_fails_at; /* the flush of this number fails; 0: none */
    bool watch_meta;       /* a run that is nothing but a meta record is a broken MUST; */
    size_t meta_beside;    /* those that hold more beside it are counted */
    size_t pending_at;     /* the read of this number says ERR_PENDING; 0: none */
    size_t fetch_leaves;   /* a fetch leaves out one key in so many; 0: none */
    bool run_at_once;      /* a flush reads its run when it is asked, not when it is done */
    /* What the test may look at. */
    size_t reads; /* that would rather not wait: gets, and moves of cursors */
    size_t pendings, gets, cursors, ranges, flushes;
    size_t open_cursors;
    struct store_view *views;            /* open ones, and those that nobody closed */
    uint64_t warm_bytes;                 /* the bound of the last range that was warmed */
    size_t view_warms;                   /* warms of a view */
    uint64_t surveyed, survey_bytes_max; /* bytes; 0: no surveys are ended */
    size_t wants;                        /* ranges, in warms */
    size_t fetched;                      /* keys, in fetches */
    struct buffer asked;                 /* the store keys of all gets: size le32, bytes */
};

static inline struct memory_store *memory_of(struct store *store)
{
    return CONTAINER_OF(store, struct memory_store, base);
}

static inline bool says_pending(struct memory_store *store, enum store_patience patience)
{
    if (patience == STORE_WAIT) return false;
    bool says = ++store->reads == store->pending_at;
    if (store->pending_of != 0 && dice_chance(&store->dice, 1, store->pending_of)) says = true;
    if (says) store->pendings++;
    return says;
}

/* The first item at or behind the key. */
static inline size_t memory_search(const struct memory_store *store, struct bytes key)
{
    size_t low = 0;
    size_t high = store->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bytes_compare(buffer_bytes(&store->items[middle].key), key) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static inline bool is_at(const struct memory_store *store, size_t at, struct bytes key)
{
    return at < store->count && bytes_equal(buffer_bytes(&store->items[at].key), key);
}

static inline enum err memory_get(struct store *base, struct bytes key,
                                  enum store_patience patience, struct buffer *value)
{
    struct memory_store *store = memory_of(base);
    store->gets++;
    buffer_append_le32(&store->asked, (uint32_t)key.size);
    buffer_append(&store->asked, key);
    if (says_pending(store, patience)) return ERR_PENDING;
    size_t at = memory_search(store, key);
    if (!is_at(store, at, key)) return ERR_NOT_FOUND;
    buffer_append(value, buffer_bytes(&store->items[at].value));
    return ERR_OK;
}

static inline void memory_fetch(struct store *base, struct store_fetch *fetch)
{
    struct memory_store *store = memory_of(base);
    uint64_t bytes = 0;
    for (size_t i = 0; i < fetch->count && bytes < fetch->bytes_max; i++) {
        MUST(i == 0 || bytes_compare(fetch->keys[i - 1], fetch->keys[i]) < 0);
        store->fetched++;
        if (store->fetch_leaves != 0 && store->fetched % store->fetch_leaves == 0) continue;
        size_t at = memory_search(store, fetch->keys[i]);
        bool there = is_at(store, at, fetch->keys[i]);
        struct bytes value = there ? buffer_bytes(&store->items[at].value) : (struct bytes){0};
        fetch->found(fetch, i, there ? &value : NULL);
        bytes += value.size;
    }
}

/* A copy of everything. */
struct store_view {
    struct memory_store kept;
    struct store_view *next;
};

/* --- Cursors: they lend copies, which change when they move --- */

struct memory_cursor {
    struct store_cursor base;
    struct memory_store *store;
    const struct memory_store *seen; /* itself, or what a view kept */
    enum store_patience patience;
    size_t at;
    struct buffer key, value;
};

static inline enum err lend(struct memory_cursor *cursor, bool there)
{
    buffer_release(&cursor->key);
    buffer_release(&cursor->value);
    buffer_init(&cursor->key);
    buffer_init(&cursor->value);
    if (says_pending(cursor->store, cursor->patience)) return ERR_PENDING;
    if (!there) return ERR_NOT_FOUND;
    buffer_append(&cursor->key, buffer_bytes(&cursor->seen->items[cursor->at].key));
    buffer_append(&cursor->value, buffer_bytes(&cursor->seen->items[cursor->at].value));
    return ERR_OK;
}

static inline struct memory_cursor *cursor_of(struct store_cursor *base)
{
    return CONTAINER_OF(base, struct memory_cursor, base);
}

static inline enum err cursor_seek(struct store_cursor *base, struct bytes key)
{
    struct memory_cursor *cursor = cursor_of(base);
    cursor->at = memory_search(cursor->seen, key);
    return lend(cursor, cursor->at < cursor->seen->count);
}

static inline enum err cursor_seek_before(struct store_cursor *base, struct bytes key)
{
    struct memory_cursor *cursor = cursor_of(base);
    size_t at = memory_search(cursor->seen, key);
    cursor->at = at - 1;
    return lend(cursor, at > 0);
}

static inline enum err cursor_next(struct store_cursor *base)
{
    struct memory_cursor *cursor = cursor_of(base);
    MUST(cursor->key.size > 0);
    cursor->at++;
    return lend(cursor, cursor->at < cursor->seen->count);
}

static inline enum err cursor_previous(struct store_cursor *base)
{
    struct memory_cursor *cursor = cursor_of(base);
    MUST(cursor->key.size > 0);
    return lend(cursor, cursor->at-- > 0);
}

static inline struct bytes cursor_key(const struct store_cursor *base)
{
    const struct memory_cursor *cursor = (const void *)base;
    return buffer_bytes(&cursor->key);
}

static inline struct bytes cursor_value(const struct store_cursor *base)
{
    const struct memory_cursor *cursor = (const void *)base;
    return buffer_bytes(&cursor->value);
}

static inline void cursor_close(struct store_cursor *base)
{
    struct memory_cursor *cursor = cursor_of(base);
    cursor->store->open_cursors--;
    buffer_release(&cursor->key);
    buffer_release(&cursor->value);
    memory_free(cursor);
}

static const struct store_cursor_ops memory_cursor_ops = {
    .seek = cursor_seek,
    .seek_before = cursor_seek_before,
    .next = cursor_next,
    .previous = cursor_previous,
    .key = cursor_key,
    .value = cursor_value,
    .close = cursor_close,
};

static inline struct store_cursor *memory_cursor(struct store *base, struct store_view *view,
                                                 enum store_patience patience)
{
    struct memory_store *store = memory_of(base);
    struct memory_cursor *cursor = memory_zeroed(1, sizeof *cursor);
    cursor->base.ops = &memory_cursor_ops;
    cursor->store = store;
    cursor->seen = view != NULL ? &view->kept : store;
    cursor->patience = patience;
    store->cursors++;
    store->open_cursors++;
    return &cursor->base;
}

/* --- Flushes --- */

static inline void item_release(struct memory_item *item)
{
    buffer_release(&item->key);
    buffer_release(&item->value);
}

static inline void delete_range(struct memory_store *store, struct bytes from, struct bytes to)
{
    size_t first = memory_search(store, from);
    size_t end = memory_search(store, to);
    if (first == end) return;
    for (size_t i = first; i < end; i++) item_release(&store->items[i]);
    memmove(store->items + first, store->items + end, (store->count - end) * sizeof *store->items);
    store->count -= end - first;
}

static inline void memory_append(struct memory_store *to, struct memory_item item)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity == 0 ? 64 : to->capacity * 2;
        to->items = memory_resize(to->items, to->capacity * sizeof *to->items);
    }
    to->items[to->count++] = item;
}

/* Merges the rest of the run into what is there. */
static inline void memory_merge(struct memory_store *store, struct store_run *run,
                                struct store_item item)
{
    struct memory_store merged = {0};
    struct buffer last;
    buffer_init(&last);
    size_t at = 0;
    bool more = true;
    while (more) {
        MUST(item.change != STORE_DELETE_RANGE);
        MUST(last.size == 0 || bytes_compare(buffer_bytes(&last), item.key) < 0);
        buffer_clear(&last);
        buffer_append(&last, item.key);
        size_t until = memory_search(store, item.key);
        while (at < until) memory_append(&merged, store->items[at++]);
        if (is_at(store, at, item.key)) item_release(&store->items[at++]);
        if (item.change == STORE_PUT) {
            struct memory_item put;
            buffer_init(&put.key);
            buffer_init(&put.value);
            buffer_append(&put.key, item.key);
            buffer_append(&put.value, item.value);
            memory_append(&merged, put);
        }
        more = run->next(run, &item);
    }
    while (at < store->count) memory_append(&merged, store->items[at++]);
    buffer_release(&last);
    memory_free(store->items);
    store->items = merged.items;
    store->count = merged.count;
    store->capacity = merged.capacity;
}

static inline void apply_run(struct memory_store *store, struct store_run *run)
{
    struct store_item item;
    while (run->next(run, &item)) {
        if (item.change == STORE_DELETE_RANGE) {
            store->ranges++;
            delete_range(store, item.key, item.value);
        } else {
            memory_merge(store, run, item);
            break;
        }
    }
    store->flushes++;
}

static inline void memory_flush(struct store *base, struct store_flush *flush)
{
    struct memory_store *store = memory_of(base);
    MUST(store->flush == NULL);
    store->flush = flush;
    if (store->run_at_once && store->flush_fails == ERR_OK) apply_run(store, flush->run);
}

static inline size_t memory_metas(const struct memory_store *store)
{
    return is_at(store, memory_search(store, bytes_text("M")), bytes_text("M")) ? 1 : 0;
}

static inline enum err memory_flush_wait(struct store *base, struct store_flush *flush)
{
    struct memory_store *store = memory_of(base);
    flush->err = store->flushes + 1 == store->flush_fails_at ? ERR_IO : store->flush_fails;
    store->flush_fails = ERR_OK;
    size_t metas = memory_metas(store), count = store->count;
    if (flush->err == ERR_OK && !store->run_at_once) apply_run(store, flush->run);
    if (memory_metas(store) > metas) {
        store->meta_beside++;
        MUST(!store->watch_meta || store->count > count + 1);
    }
    if (flush->err != ERR_OK) (void)why_fail(&flush->why, flush->err, "told so");
    return flush->err;
}

static inline void memory_warm(struct store *base, struct store_warm *warm)
{
    struct memory_store *store = memory_of(base);
    MUST(warm->count > 0 || warm->survey != NULL);
    store->wants += warm->count;
    store->view_warms += warm->view != NULL;
    if (warm->count > 0) store->warm_bytes = warm->ranges[warm->count - 1].bytes_max;
    for (size_t i = 0; i < warm->count; i++) MUST(warm->ranges[i].from.size > 0);
    list_append(&store->warms, &warm->node);
}

static inline bool memory_goes_on(struct store *base, struct store_warm *warm, uint64_t bytes)
{
    struct memory_store *store = memory_of(base);
    (void)warm;
    store->surveyed += bytes;
    return store->survey_bytes_max == 0 || store->surveyed <= store->survey_bytes_max;
}

static inline uint64_t memory_went(struct store *base, const struct store_warm *warm)
{
    (void)warm;
    return memory_of(base)->surveyed;
}

static inline void memory_hurry(struct store *base, struct store_warm *warm)
{
    (void)warm;
    memory_of(base)->survey_bytes_max = 1;
}

static inline struct store_view *memory_view_open(struct store *base)
{
    struct memory_store *store = memory_of(base);
    struct store_view *view = memory_zeroed(1, sizeof *view);
    view->next = store->views;
    store->views = view;
    for (size_t i = 0; i < store->count; i++) {
        struct memory_item copy;
        buffer_init(&copy.key);
        buffer_init(&copy.value);
        buffer_append(&copy.key, buffer_bytes(&store->items[i].key));
        buffer_append(&copy.value, buffer_bytes(&store->items[i].value));
        memory_append(&view->kept, copy);
    }
    return view;
}

static inline void memory_view_close(struct store *base, struct store_view *view)
{
    struct memory_store *store = memory_of(base);
    for (const struct list *node = store->warms.next; node != &store->warms; node = node->next)
        MUST(((const struct store_warm *)(const void *)((const char *)node -
                                                        offsetof(struct store_warm, node)))
                 ->view != view);
    struct store_view **at = &store->views;
    while (*at != view) at = &(*at)->next;
    *at = view->next;
    for (size_t i = 0; i < view->kept.count; i++) item_release(&view->kept.items[i]);
    memory_free(view->kept.items);
    memory_free(view);
}

static inline void memory_give(const struct memory_store *store, struct store_warm *warm,
                               const struct store_range *range)
{
    const struct memory_store *seen = warm->view != NULL ? &warm->view->kept : store;
    uint64_t bytes = 0;
    bool one = range->to.size == 0;
    for (size_t at = memory_search(seen, range->from); at < seen->count; at++) {
        struct bytes key = buffer_bytes(&seen->items[at].key);
        struct bytes value = buffer_bytes(&seen->items[at].value);
        if (one && !bytes_equal(key, range->from)) return;
        if (!one && (bytes >= range->bytes_max || bytes_compare(key, range->to) >= 0)) return;
        warm->found(warm, key, value);
        if (one) return;
        bytes += key.size + value.size;
    }
}

/* Ends what is under way: flushes and warms. True if there was any. */
static inline bool memory_store_step(struct memory_store *store)
{
    struct list *node = list_first(&store->warms);
    if (node != NULL) {
        list_remove(node);
        struct store_warm *warm = CONTAINER_OF(node, struct store_warm, node);
        warm->err = ERR_OK;
        warm->read = warm->count;
        for (size_t i = 0; warm->found != NULL && i < warm->count; i++)
            memory_give(store, warm, &warm->ranges[i]);
        if (warm->survey != NULL) warm->survey(warm);
        warm->done(warm);
        return true;
    }
    struct store_flush *flush = store->flush;
    if (flush == NULL) return false;
    store->flush = NULL;
    (void)memory_flush_wait(&store->base, flush);
    flush->done(flush);
    return true;
}

/* Drops what is under way, as a crash does. */
static inline void memory_store_crash(struct memory_store *store)
{
    store->flush = NULL;
    list_init(&store->warms);
}

static inline uint64_t memory_bytes(struct store *base)
{
    (void)base;
    return 0;
}

static inline void memory_reclaim(struct store *base)
{
    (void)base;
}

static inline bool memory_is_low(const struct store *base)
{
    (void)base;
    return false;
}

static inline void memory_close(struct store *base)
{
    (void)base;
}

static const struct store_ops memory_store_ops = {
    .get = memory_get,
    .cursor = memory_cursor,
    .flush = memory_flush,
    .flush_wait = memory_flush_wait,
    .warm = memory_warm,
    .goes_on = memory_goes_on,
    .went = memory_went,
    .hurry = memory_hurry,
    .fetch = memory_fetch,
    .view_open = memory_view_open,
    .view_close = memory_view_close,
    .approximate_bytes = memory_bytes,
    .reclaim = memory_reclaim,
    .is_low = memory_is_low,
    .close = memory_close,
};

static inline void memory_store_init(struct memory_store *store, uint64_t seed)
{
    *store = (struct memory_store){.base.ops = &memory_store_ops};
    list_init(&store->warms);
    dice_init(&store->dice, seed);
    buffer_init(&store->asked);
}

static inline void memory_store_release(struct memory_store *store)
{
    list_init(&store->warms);
    while (store->views != NULL) memory_view_close(&store->base, store->views);
    for (size_t i = 0; i < store->count; i++) item_release(&store->items[i]);
    memory_free(store->items);
    buffer_release(&store->asked);
}

/* How many records begin with the letter. */
static inline size_t memory_store_count(const struct memory_store *store, char letter)
{
    size_t count = 0;
    for (size_t i = 0; i < store->count; i++) count += store->items[i].key.data[0] == letter;
    return count;
}

#endif
