/* SPDX-License-Identifier: Apache-2.0 */
/* Many reads at once, as a start makes them; and what RocksDB leaves alone until the first flush.
 */
#include <time.h>

#include "real/store.h"
#include "test/real/help.h"

enum { KEYS = 3000, KEY_BYTES = 16, VALUE_BYTES = 64 };

/* found() comes on several threads, and touches only what belongs to its key. */
struct fetched {
    struct store_fetch fetch;
    char names[KEYS][KEY_BYTES];
    struct bytes keys[KEYS];
    unsigned calls[KEYS];
    bool there[KEYS];
    char values[KEYS][VALUE_BYTES];
    size_t sizes[KEYS];
};

static void found(struct store_fetch *fetch, size_t at, const struct bytes *value)
{
    struct fetched *fetched = CONTAINER_OF(fetch, struct fetched, fetch);
    fetched->calls[at]++;
    fetched->there[at] = value != NULL;
    if (value == NULL) return;
    fetched->sizes[at] = value->size;
    memcpy(fetched->values[at], value->data, value->size < VALUE_BYTES ? value->size : VALUE_BYTES);
}

/* Keys "k00000" and on, every `step`-th. */
static struct fetched *fetch(struct store *store, unsigned step, uint64_t bytes_max)
{
    struct fetched *fetched = memory_zeroed(1, sizeof(*fetched));
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(fetched->names[i], KEY_BYTES, "k%05u", i * step);
        fetched->keys[i] = bytes_text(fetched->names[i]);
    }
    fetched->fetch = (struct store_fetch){
        .keys = fetched->keys, .count = KEYS, .bytes_max = bytes_max, .found = found};
    store->ops->fetch(store, &fetched->fetch);
    return fetched;
}

struct store_test {
    struct place_for_test place;
    struct stores *stores;
    struct store *store;
};

static void reopen(struct store_test *test)
{
    struct why why;
    if (test->store != NULL) test->store->ops->close(test->store);
    assert_int_equal(test->stores->ops->open(test->stores, place_path(&test->place, "store"), true,
                                             8 << 20, &test->store, &why),
                     ERR_OK);
}

static void begin(struct store_test *test)
{
    memset(test, 0, sizeof(*test));
    place_make(&test->place, "/tmp");
    real_stores_open(&test->stores, NULL);
    reopen(test);
}

static void end(struct store_test *test)
{
    test->store->ops->close(test->store);
    real_stores_close(test->stores);
    place_remove(&test->place);
}

/* Keys from..to-1 by `step` get `value`. */
static void write_keys(struct store_test *test, unsigned from, unsigned to, unsigned step,
                       const char *value)
{
    static char names[KEYS * 2][KEY_BYTES];
    static struct store_item items[KEYS * 2];
    size_t count = 0;
    for (unsigned i = from; i < to; i += step) {
        (void)snprintf(names[count], KEY_BYTES, "k%05u", i);
        items[count] = value != NULL ? put(names[count], value) : del(names[count]);
        count++;
    }
    assert_int_equal(flush_items(test->stores, test->store, items, count), ERR_OK);
}

TEST(real_store_fetch, each_key_has_what_its_newest_run_says)
{
    struct store_test test;
    begin(&test);
    write_keys(&test, 0, 2 * KEYS, 2, "first"); /* the even ones */
    write_keys(&test, 0, 2 * KEYS, 6, "second");
    write_keys(&test, 0, 2 * KEYS, 10, NULL);
    write_keys(&test, 4, 5, 1, "");
    for (int round = 0; round < 2; round++) {
        struct fetched *fetched = fetch(test.store, 1, UINT64_MAX);
        for (unsigned i = 0; i < KEYS; i++) {
            assert_int_equal(fetched->calls[i], 1);
            const char *wanted = i % 6 == 0 ? "second" : "first";
            if (i == 4) wanted = "";
            assert_int_equal(fetched->there[i], i % 2 == 0 && i % 10 != 0);
            if (fetched->there[i]) assert_string_equal(fetched->values[i], wanted);
            if (fetched->there[i]) assert_int_equal(fetched->sizes[i], strlen(wanted));
        }
        memory_free(fetched);
        reopen(&test);
    }
    end(&test);
}

TEST(real_store_fetch, ends_soon_after_its_bytes_also_with_large_values)
{
    enum { LARGE = 1 << 20, LARGE_KEYS = 60 };
    struct store_test test;
    begin(&test);
    char *value = memory_alloc(LARGE + 1);
    memset(value, 'v', LARGE);
    value[LARGE] = 0;
    write_keys(&test, 0, LARGE_KEYS, 1, value);
    memory_free(value);
    struct fetched *fetched = fetch(test.store, 1, 4 * LARGE);
    unsigned calls = 0;
    for (unsigned i = 0; i < KEYS; i++) calls += fetched->calls[i];
    /* A batch is begun before the size of its values is known: four threads, four keys each. */
    assert_in_range(calls, 4, 4 * 4);
    memory_free(fetched);
    end(&test);
}

TEST(real_store_fetch, leaves_out_what_cannot_be_read)
{
    struct store_test test;
    begin(&test);
    write_keys(&test, 0, KEYS, 1, "value");
    char command[256];
    (void)snprintf(command, sizeof(command),
                   "for f in %s/*.sst; do printf '\\377\\377\\377\\377' | "
                   "dd of=$f bs=1 seek=2000 conv=notrunc status=none; done",
                   place_path(&test.place, "store"));
    test.store->ops->close(test.store);
    test.store = NULL;
    assert_int_equal(system(command), 0);
    reopen(&test);
    struct fetched *fetched = fetch(test.store, 1, UINT64_MAX);
    unsigned left = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        char out[64];
        if (fetched->calls[i] > 0) continue;
        left++;
        assert_int_equal(get_text(test.store, fetched->names[i], STORE_WAIT, out, sizeof(out)),
                         ERR_CORRUPT);
    }
    assert_in_range(left, 1, KEYS - 1);
    memory_free(fetched);
    end(&test);
}

static const struct engine *engine_of(struct store *store)
{
    return &CONTAINER_OF(store, struct store_real, store)->engine;
}

static uint64_t level0(struct store *store)
{
    return engine_property(engine_of(store), "rocksdb.num-files-at-level0");
}

TEST(real_store_fetch, a_store_that_was_opened_compacts_from_its_first_flush_on)
{
    struct store_test test;
    begin(&test);
    assert_true(atomic_load(&engine_of(test.store)->careful));
    write_keys(&test, 0, 100, 1, "value");
    assert_false(atomic_load(&engine_of(test.store)->careful));
    reopen(&test);
    assert_true(atomic_load(&engine_of(test.store)->careful));
    for (int i = 0; i < 24; i++) write_keys(&test, 0, 100, 1, "value");
    struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    for (int i = 0; i < 1000 && level0(test.store) > 12; i++) (void)nanosleep(&pause, NULL);
    assert_in_range(level0(test.store), 0, 12);
    end(&test);
}
