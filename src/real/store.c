/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a store: one flushes, four warm, one cleans, so that a long flush keeps no reader
 * waiting and a long cleaning no flush. Reads are made where they are asked for.
 *
 * After lack of space the database must be opened again before the next flush (engine_run.c). That
 * is done here, on the loop, because then nobody else can be using it: no cursor and no view is
 * open (else the flush answers ERR_SPACE, to be tried again), and no warming, flush or cleaning is
 * under way (what is, is waited for, and new ones wait or are left out). It holds the loop up for
 * as long as a database takes to close and open, once after a full disk. */
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

static void store_real_fetch(struct store *base, struct store_fetch *fetch)
{
    engine_fetch(&store_of(base)->engine, fetch);
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
        bool again = flush->err == ERR_SPACE && store->starved;
        trace_event(store->stores->trace, again ? TRACE_VERBOSE : TRACE_WARNING, "store",
                    "flush_failed", "err=%s error=\"%s\"", err_name(flush->err), flush->why.text);
    }
    store->starved = flush->err == ERR_SPACE;
    flush->done(flush);
}

static void store_warm_submit(struct store_real *store, struct list *item)
{
    store->warming += 1;
    store_submit(store, &store->warmer, &store->asked_warms, item);
}

/* Opens the database again, and sends the flush that waits for it on its way. */
static void store_reopen(struct store_real *store)
{
    struct store_flush *flush = store->held_flush;
    struct why why = {.text = ""};
    enum err err = ERR_SPACE;
    store->held_flush = NULL;
    store->reopening = false;
    if (store->cursors > 0 || !list_empty(&store->views)) {
        (void)why_fail(&why, err, "store: waits for readers before it is opened again");
    } else {
        err = engine_reopen(&store->engine, &why);
        if (err == ERR_OK)
            trace_event(store->stores->trace, TRACE_NOTICE, "store", "reopened",
                        "reason=lack_of_space");
        /* A database that is gone cannot be waited for. */
        if (store->engine.db == NULL && err == ERR_SPACE) err = ERR_IO;
    }
    for (struct list *item; (item = list_first(&store->held_warms)) != NULL;) {
        list_remove(item);
        store_warm_submit(store, item);
    }
    if (flush == NULL) return; /* its outcome is what the next flush finds */
    flush->err = err;
    flush->why = why;
    if (err == ERR_OK) store_submit(store, &store->flusher, &store->asked_flushes, &flush->node);
    else store_flush_end(store, flush); /* may close the store */
}

static void store_reopen_task(struct task *task)
{
    store_reopen(CONTAINER_OF(task, struct store_real, reopen));
}

static bool store_may_reopen(const struct store_real *store)
{
    bool at_work = store->flushing && store->held_flush == NULL;
    return store->reopening && store->warming == 0 && !store->cleaning && !at_work;
}

static void store_reopen_if_idle(struct store_real *store)
{
    if (store->stores->loop != NULL && store_may_reopen(store))
        clock_defer(&store->stores->loop->clock, &store->reopen);
}

static void store_flush_done(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, flusher);
    struct store_flush *flush = CONTAINER_OF(item, struct store_flush, node);
    if (flush->err == ERR_PENDING) {
        store->held_flush = flush;
        store->reopening = true;
        store_real_surveys_hurry(store);
    }
    bool held = flush->err == ERR_PENDING;
    if (!held) store->flushing = false;
    store_reopen_if_idle(store);
    if (!held) store_flush_end(store, flush);
}

static void store_real_flush(struct store *base, struct store_flush *flush)
{
    struct store_real *store = store_of(base);
    MUST(!store->flushing && flush->done != NULL);
    store->flushing = true;
    if (store->reopening) store->held_flush = flush;
    else store_submit(store, &store->flusher, &store->asked_flushes, &flush->node);
}

static enum err store_real_flush_wait(struct store *base, struct store_flush *flush)
{
    struct store_real *store = store_of(base);
    MUST(!store->flushing);
    store_flush_work(&store->flusher, &flush->node);
    if (flush->err == ERR_PENDING) /* to be opened again; who asks here makes a new one instead */
        flush->err = why_fail(&flush->why, ERR_SPACE, "store: no space, and none was made since");
    store->poisoned = flush->err != ERR_OK && flush->err != ERR_SPACE;
    return flush->err;
}

/* ---- Warming ---- */

static void store_warm_work(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, warmer);
    struct store_warm *warm = CONTAINER_OF(item, struct store_warm, node);
    warm->why.text[0] = '\0';
    rocksdb_readoptions_t *options = store->engine.wait;
    bool own = warm->view != NULL || warm->found != NULL;
    if (own) options = store_real_view_options(warm->view);
    /* What goes to somebody does not push out what others read again. */
    if (warm->found != NULL) rocksdb_readoptions_set_fill_cache(options, 0);
    engine_warm(&store->engine, options, warm);
    if (own) rocksdb_readoptions_destroy(options);
}

void store_real_warmed(struct store_real *store)
{
    store->warming -= 1;
    store_reopen_if_idle(store);
}

static void store_warm_done(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, warmer);
    struct store_warm *warm = CONTAINER_OF(item, struct store_warm, node);
    store_real_warmed(store);
    warm->done(warm);
}

static void store_real_warm(struct store *base, struct store_warm *warm)
{
    struct store_real *store = store_of(base);
    MUST(warm->done != NULL);
    if (warm->survey != NULL) store_real_survey(store, warm);
    else if (store->reopening) list_append(&store->held_warms, &warm->node);
    else store_warm_submit(store, &warm->node);
}

/* ---- Space ---- */

static void store_clean_work(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, cleaner);
    struct why why;
    (void)item;
    store->cleaned = engine_reclaim(&store->engine, &why);
    store_measure(store);
}

static void store_clean_done(struct worker *worker, struct list *item)
{
    struct store_real *store = CONTAINER_OF(worker, struct store_real, cleaner);
    (void)item;
    store->cleaning = false;
    if (store->cleaned == ERR_PENDING) {
        store->reopening = true;
        store_real_surveys_hurry(store);
    }
    store_reopen_if_idle(store);
}

static void store_real_reclaim(struct store *base)
{
    struct store_real *store = store_of(base);
    if (store->cleaning || store->reopening) return;
    store->cleaning = true;
    store_submit(store, &store->cleaner, &store->asked_cleans, &store->clean);
}

static bool store_real_is_low(const struct store *base)
{
    const struct store_real *store = (const struct store_real *)(const void *)base;
    return engine_is_low(&store->engine);
}
_Static_assert(offsetof(struct store_real, store) == 0, "store_real_is_low() relies on it");

/* ---- Life ---- */

static void store_real_close(struct store *base)
{
    if (base == NULL) return;
    struct store_real *store = store_of(base);
    MUST(list_empty(&store->views) || store->warming > 0);
    atomic_store(&store->engine.hurry, true);
    if (store->stores->loop != NULL) {
        worker_release(&store->flusher);
        worker_release(&store->warmer);
        worker_release(&store->cleaner);
        worker_release(&store->surveyor);
        clock_cancel(&store->stores->loop->clock, &store->reopen);
    }
    MUST(store->cursors == 0);
    store_real_surveys_drop(store);
    while (!list_empty(&store->views)) store_real_view_drop(store, list_first(&store->views));
    engine_close(&store->engine);
    list_remove(&store->node);
    memory_free(store);
}

static const struct store_ops store_real_ops = {
    .get = store_real_get,
    .cursor = store_real_cursor,
    .flush = store_real_flush,
    .flush_wait = store_real_flush_wait,
    .warm = store_real_warm,
    .goes_on = store_real_goes_on,
    .went = store_real_went,
    .hurry = store_real_hurry,
    .fetch = store_real_fetch,
    .view_open = store_real_view_open,
    .view_close = store_real_view_close,
    .approximate_bytes = store_real_bytes,
    .reclaim = store_real_reclaim,
    .is_low = store_real_is_low,
    .close = store_real_close,
};

static enum err stores_real_open(struct stores *base, const char *path, bool create,
                                 uint64_t cache_bytes, struct store **out, struct why *why)
{
    struct stores_real *stores = CONTAINER_OF(base, struct stores_real, stores);
    *out = NULL;
    struct store_real *store = memory_zeroed(1, sizeof(*store));
    struct engine_options options = {
        .cache_bytes = cache_bytes, .reserve_bytes = stores->reserve_bytes, .trace = stores->trace};
    enum err err = engine_open(&store->engine, path, create, &options, why);
    if (err != ERR_OK) {
        memory_free(store);
        return err;
    }
    store->store.ops = &store_real_ops;
    store->stores = stores;
    list_append(&stores->open, &store->node);
    list_init(&store->asked_flushes);
    list_init(&store->asked_warms);
    list_init(&store->asked_cleans);
    list_init(&store->held_warms);
    list_init(&store->views);
    list_init(&store->clean);
    list_init(&store->surveys);
    store->reopen.run = store_reopen_task;
    store->flusher = (struct worker){.work = store_flush_work,
                                     .done = store_flush_done,
                                     .name = "store-flush",
                                     .threads_max = 1};
    store->warmer = (struct worker){
        .work = store_warm_work, .done = store_warm_done, .name = "store-warm", .threads_max = 4};
    store->cleaner = (struct worker){.work = store_clean_work,
                                     .done = store_clean_done,
                                     .name = "store-clean",
                                     .threads_max = 1};
    store->surveyor = (struct worker){.work = store_real_survey_work,
                                      .done = store_real_survey_done,
                                      .name = "store-survey",
                                      .threads_max = WORKER_THREADS_MAX};
    if (stores->loop != NULL) {
        worker_init(&store->flusher, &stores->loop->mail);
        worker_init(&store->warmer, &stores->loop->mail);
        worker_init(&store->cleaner, &stores->loop->mail);
        worker_init(&store->surveyor, &stores->loop->mail);
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
    if (item == NULL && (item = list_first(&store->asked_cleans)) != NULL) worker = &store->cleaner;
    if (item == NULL && store_may_reopen(store)) {
        store_reopen(store);
        return true;
    }
    if (item == NULL) return false;
    if (worker == &store->warmer && CONTAINER_OF(item, struct store_warm, node)->survey != NULL)
        worker = &store->surveyor;
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
