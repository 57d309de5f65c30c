/* SPDX-License-Identifier: Apache-2.0 */
/* Many reads at once, for a start: every core takes batches of neighbouring keys until all are
 * read. One key at a time a read costs about 13 us with 10 million keys, half of it to unpack the
 * block; a batch looks into the filters side by side and unpacks a block once for all of its keys.
 *
 * What is read goes to whoever asked, and is most often asked for once: it is kept out of the block
 * cache, as long as that has room. A cache that is nearly full may have dropped filters and
 * indexes, which would then be read again for each key.
 *
 * A batch is in memory whole before anybody knows how large its values are. So batches begin small,
 * and are as small as the largest value seen so far asks for. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "real/engine.h"

enum {
    FETCH_THREADS_MAX = 4,
    FETCH_BATCH_FIRST_KEYS = 4,
    FETCH_BATCH_BYTES = 8 << 20,
};

struct fetching {
    const struct engine *engine;
    struct store_fetch *fetch;
    rocksdb_readoptions_t *options;
    atomic_size_t next; /* the first key that nobody has taken */
    atomic_uint_fast64_t bytes, largest;
};

size_t engine_batch_keys(size_t batches, uint64_t largest)
{
    uint64_t keys = batches < 3 ? (uint64_t)FETCH_BATCH_FIRST_KEYS << batches : ENGINE_BATCH_KEYS;
    uint64_t fit = FETCH_BATCH_BYTES / (largest + 1) + 1;
    return (size_t)(keys < fit ? keys : fit);
}

static void batch_give(struct fetching *fetching, size_t at, rocksdb_pinnableslice_t *slice)
{
    size_t size = 0;
    const char *data = slice != NULL ? rocksdb_pinnableslice_value(slice, &size) : NULL;
    struct bytes value = bytes_of(data, size);
    fetching->fetch->found(fetching->fetch, at, slice != NULL ? &value : NULL);
    rocksdb_pinnableslice_destroy(slice);
    atomic_fetch_add(&fetching->bytes, size);
    uint64_t largest = atomic_load(&fetching->largest);
    while (size > largest && !atomic_compare_exchange_weak(&fetching->largest, &largest, size)) {
    }
}

static void batch_read(struct fetching *fetching, size_t first, size_t count)
{
    const char *keys[ENGINE_BATCH_KEYS] = {NULL};
    size_t sizes[ENGINE_BATCH_KEYS] = {0};
    rocksdb_pinnableslice_t *slices[ENGINE_BATCH_KEYS] = {NULL};
    char *errors[ENGINE_BATCH_KEYS] = {NULL};
    for (size_t i = 0; i < count; i++) {
        keys[i] = (const char *)fetching->fetch->keys[first + i].data;
        sizes[i] = fetching->fetch->keys[first + i].size;
    }
    rocksdb_batched_multi_get_cf(fetching->engine->db, fetching->options, fetching->engine->family,
                                 count, keys, sizes, slices, errors, true);
    for (size_t i = 0; i < count; i++) {
        if (errors[i] != NULL) rocksdb_free(errors[i]);
        else batch_give(fetching, first + i, slices[i]);
    }
}

static void *fetch_main(void *argument)
{
    struct fetching *fetching = argument;
    const struct store_fetch *fetch = fetching->fetch;
    for (size_t batches = 0; atomic_load(&fetching->bytes) < fetch->bytes_max; batches++) {
        size_t count = engine_batch_keys(batches, atomic_load(&fetching->largest));
        size_t first = atomic_fetch_add(&fetching->next, count);
        if (first >= fetch->count) break;
        if (count > fetch->count - first) count = fetch->count - first;
        batch_read(fetching, first, count);
    }
    return NULL;
}

static size_t fetch_threads(const struct store_fetch *fetch)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = cores < FETCH_THREADS_MAX ? (cores > 1 ? (size_t)cores : 1) : FETCH_THREADS_MAX;
    size_t useful = fetch->count / ENGINE_BATCH_KEYS + 1;
    return useful < most ? useful : most;
}

/* This thread works too: the others are help, and may be missing. Signals are the loop's. */
static void fetch_all(struct fetching *fetching)
{
    pthread_t threads[FETCH_THREADS_MAX];
    size_t wanted = fetch_threads(fetching->fetch) - 1, started = 0;
    sigset_t all, before;
    MUST(sigfillset(&all) == 0);
    MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    while (started < wanted && pthread_create(&threads[started], NULL, fetch_main, fetching) == 0)
        started++;
    MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    (void)fetch_main(fetching);
    for (size_t i = 0; i < started; i++) MUST(pthread_join(threads[i], NULL) == 0);
}

void engine_fetch(const struct engine *engine, struct store_fetch *fetch)
{
    if (engine->db == NULL) return;
    struct fetching fetching = {.engine = engine, .fetch = fetch};
    fetching.options = engine_view_options(STORE_WAIT, NULL);
    bool full = rocksdb_cache_get_usage(engine->cache) >
                rocksdb_cache_get_capacity(engine->cache) / 2;
    rocksdb_readoptions_set_fill_cache(fetching.options, full ? 1 : 0);
    fetch_all(&fetching);
    rocksdb_readoptions_destroy(fetching.options);
}
