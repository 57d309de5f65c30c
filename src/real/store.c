/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads a store: one flushes, one warms, so that a long flush keeps no reader waiting. Reads
 * are made where they are asked for.
 *
 * After lack of space the database must be opened again before the next flush (engine_run.c). That
 * is done here, on the loop, because then nobody else can be using it: no cursor and no view is
 * open (else the flush answers ERR_SPACE, to be tried again), and no warming is under way (the
 * flush waits for what is, and new ones wait for the flush). It holds the loop up for as long as a
 * database takes to close and open, once after a full disk. */
#include "real/store.h"

#include <string.h>

#include "base/memory.h"
#include "real/real.h"

static struct store_real *store_of(struct store *store)
{
    return CONTAINER_OF(store, struct store_real, store);
}

static enum err store_real_get(struct store *base, struct bytes key, enum store_patience patience,
                               struct buffer *value)
{
    struct store_real *store = store_of(base);
    struct why why;
    why.text[0] = '\0'; /* the rest of it is long, and this is the path of every read */
    enum err err = engine_get(&store->engine, key, patience, value, &why);
    if (err == ERR_IO || err == ERR_CORRUPT)
        trace_event(store->stores->trace, TRACE_WARNING, "store", "read_failed", "error=\"%s\"",
                    why.text);
    return err;
}

static uint64_t store_real_bytes(struct store *base)
{
    return atomic_load(&store_of(base)->bytes);
}

static void store_measure(struct store_real *store)
{
    atomic_store(&store->bytes, engine_property(&store->engine, "rocksdb.live-sst-files-size"));
}

/* ---- Flush ---- */

static void store_submit(struct store_real *store, struct worker *worker, struct list *asked,
                         struct list *item)
{
    if (store->stores->loop != NULL) worker_submit(worker, item);
    else list_append(asked, item);
}

static void store_flush_work(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, flusher);
    struct store_flush *flush = CONTAINER_OF(item, struct store_flush, node);
    flush->why.text[0] = '\0';
    if (store->poisoned) {
        flush->err = why_fail(&flush->why, ERR_SHUT, "store: an earlier flush has failed");
        return;
    }
    flush->err = engine_flush(&store->engine, flush->run, &flush->why);
    store_measure(store);
}

static void store_flush_end(struct store_real *store, struct store_flush *flush)
{
    store->flushing = false;
    if (flush->err != ERR_OK && flush->err != ERR_SPACE) store->poisoned = true;
    if (flush->err != ERR_OK) {
        trace_event(store->stores->trace, TRACE_WARNING, "store", "flush_failed",
                    "err=%s error=\"%s\"", err_name(flush->err), flush->why.text);
    }
    flush->done(flush);
}

static void store_warm_submit(struct store_real *store, struct list *item)
{
    store->warming += 1;
    store_submit(store, &store->warmer, &store->asked_warms, item);
}

/* Opens the database again for the flush that waits for it, and sends the flush on its way. */
static void store_reopen(struct store_real *store)
{
    struct store_flush *flush = store->held_flush;
    store->held_flush = NULL;
    if (store->cursors > 0 || store->views > 0) {
        flush->err = why_fail(&flush->why, ERR_SPACE,
                              "store: waits for readers before it is opened again");
    } else {
        flush->err = engine_reopen(&store->engine, &flush->why);
        if (flush->err == ERR_OK)
            trace_event(store->stores->trace, TRACE_NOTICE, "store", "reopened",
                        "reason=lack_of_space");
    }
    /* A database that is gone cannot be waited for. */
    if (store->engine.db == NULL && flush->err == ERR_SPACE) flush->err = ERR_IO;
    for (struct list *item; (item = list_first(&store->held_warms)) != NULL;) {
        list_remove(item);
        store_warm_submit(store, item);
    }
    if (flush->err == ERR_OK)
        store_submit(store, &store->flusher, &store->asked_flushes, &flush->node);
    else store_flush_end(store, flush); /* may close the store */
}

static void store_reopen_task(struct task *task)
{
    store_reopen(CONTAINER_OF(task, struct store_real, reopen));
}

static bool store_may_reopen(const struct store_real *store)
{
    return store->held_flush != NULL && store->warming == 0;
}

static void store_flush_done(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, flusher);
    struct store_flush *flush = CONTAINER_OF(item, struct store_flush, node);
    if (flush->err != ERR_PENDING) {
        store_flush_end(store, flush);
        return;
    }
    store->held_flush = flush;
    if (store->stores->loop != NULL && store_may_reopen(store))
        clock_defer(&store->stores->loop->clock, &store->reopen);
}

static void store_real_flush(struct store *base, struct store_flush *flush)
{
    struct store_real *store = store_of(base);
    MUST(!store->flushing && flush->done != NULL);
    store->flushing = true;
    store_submit(store, &store->flusher, &store->asked_flushes, &flush->node);
}

/* ---- Warming ---- */

static void store_warm_work(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, warmer);
    struct store_warm *warm = CONTAINER_OF(item, struct store_warm, node);
    warm->why.text[0] = '\0';
    warm->err = ERR_OK;
    for (size_t i = 0; i < warm->count && warm->err == ERR_OK; i++)
        warm->err = engine_warm(&store->engine, &warm->ranges[i], &warm->why);
}

static void store_warm_done(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, warmer);
    struct store_warm *warm = CONTAINER_OF(item, struct store_warm, node);
    store->warming -= 1;
    if (store->stores->loop != NULL && store_may_reopen(store))
        clock_defer(&store->stores->loop->clock, &store->reopen);
    warm->done(warm);
}

static void store_real_warm(struct store *base, struct store_warm *warm)
{
    struct store_real *store = store_of(base);
    MUST(warm->done != NULL);
    if (store->held_flush != NULL) list_append(&store->held_warms, &warm->node);
    else store_warm_submit(store, &warm->node);
}

/* ---- Life ---- */

static void store_real_close(struct store *base)
{
    if (base == NULL) return;
    struct store_real *store = store_of(base);
    MUST(store->cursors == 0 && store->views == 0);
    atomic_store(&store->engine.hurry, true);
    if (store->stores->loop != NULL) {
        worker_release(&store->flusher);
        worker_release(&store->warmer);
        clock_cancel(&store->stores->loop->clock, &store->reopen);
    }
    engine_close(&store->engine);
    list_remove(&store->node);
    memory_free(store);
}

static const struct store_ops store_real_ops = {
    .get = store_real_get,
    .cursor = store_real_cursor,
    .flush = store_real_flush,
    .warm = store_real_warm,
    .view_open = store_real_view_open,
    .view_close = store_real_view_close,
    .approximate_bytes = store_real_bytes,
    .close = store_real_close,
};

static enum err stores_real_open(struct stores *base, const char *path, bool create,
                                 uint64_t cache_bytes, struct store **out, struct why *why)
{
    struct stores_real *stores = CONTAINER_OF(base, struct stores_real, stores);
    *out = NULL;
    struct store_real *store = memory_zeroed(1, sizeof(*store));
    enum err err = engine_open(&store->engine, path, create, cache_bytes, why);
    if (err != ERR_OK) {
        memory_free(store);
        return err;
    }
    store->store.ops = &store_real_ops;
    store->stores = stores;
    list_append(&stores->open, &store->node);
    list_init(&store->asked_flushes);
    list_init(&store->asked_warms);
    list_init(&store->held_warms);
    store->reopen.run = store_reopen_task;
    store->flusher = (struct worker){.work = store_flush_work,
                                     .done = store_flush_done,
                                     .name = "store-flush",
                                     .threads_max = 1};
    store->warmer = (struct worker){
        .work = store_warm_work, .done = store_warm_done, .name = "store-warm", .threads_max = 1};
    if (stores->loop != NULL) {
        worker_init(&store->flusher, &stores->loop->mail);
        worker_init(&store->warmer, &stores->loop->mail);
    }
    store_measure(store);
    *out = &store->store;
    return ERR_OK;
}

static const struct stores_ops stores_real_ops = {.open = stores_real_open};

void stores_real_init(struct stores_real *stores, struct loop *loop, struct trace *trace)
{
    memset(stores, 0, sizeof(*stores));
    stores->stores.ops = &stores_real_ops;
    stores->loop = loop;
    stores->trace = trace;
    list_init(&stores->open);
}

void stores_real_release(struct stores_real *stores)
{
    MUST(list_empty(&stores->open));
}

/* ---- Without a loop ---- */

void real_stores_open(struct stores **stores, struct trace *trace)
{
    struct stores_real *real = memory_zeroed(1, sizeof(*real));
    stores_real_init(real, NULL, trace);
    *stores = &real->stores;
}

/* One piece of work of one store; its done() may close the store and ask for anything. */
static bool store_settle_one(struct store_real *store)
{
    struct list *item = list_first(&store->asked_warms);
    struct worker *worker = item != NULL ? &store->warmer : &store->flusher;
    if (item == NULL) item = list_first(&store->asked_flushes);
    if (item == NULL && store_may_reopen(store)) {
        store_reopen(store);
        return true;
    }
    if (item == NULL) return false;
    list_remove(item);
    worker->work(worker, item);
    worker->done(worker, item);
    return true;
}

void real_stores_settle(struct stores *stores)
{
    struct stores_real *real = CONTAINER_OF(stores, struct stores_real, stores);
    bool more = true;
    while (more) {
        more = false;
        for (struct list *node = real->open.next; node != &real->open && !more; node = node->next)
            more = store_settle_one(CONTAINER_OF(node, struct store_real, node));
    }
}

void real_stores_close(struct stores *stores)
{
    if (stores == NULL) return;
    struct stores_real *real = CONTAINER_OF(stores, struct stores_real, stores);
    MUST(real->loop == NULL);
    stores_real_release(real);
    memory_free(real);
}
