/* SPDX-License-Identifier: Apache-2.0 */
/* help: what the tests of real/ share: a directory to work in, a world to run, runs to flush. */
#ifndef TEST_REAL_HELP_H
#define TEST_REAL_HELP_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/must.h"
#include "real/real.h"
#include "test/test.h"

/* RocksDB and its compressors are not built for the thread sanitizer, which so misses their
 * atomics. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:librocksdb.so\nrace:libzstd.so\nrace:liblz4.so\nrace:libstdc++.so\n";
}

enum { PLACE_BYTES = 64 };

/* A fresh directory below `parent` that place_remove takes away with all that is in it. */
struct place_for_test {
    char path[PLACE_BYTES];
};

static inline void place_make(struct place_for_test *place, const char *parent)
{
    (void)snprintf(place->path, sizeof(place->path), "%s/tidemark-test-XXXXXX", parent);
    assert_non_null(mkdtemp(place->path));
}

static inline void place_remove(struct place_for_test *place)
{
    char command[PLACE_BYTES + 16];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", place->path);
    assert_int_equal(system(command), 0);
}

/* A path in the directory; good until the fourth call after it. */
static inline const char *place_path(const struct place_for_test *place, const char *name)
{
    static char paths[4][PLACE_BYTES * 2];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PLACE_BYTES * 2, "%s/%s", place->path, name);
    return path;
}

/* A sorted run out of an array. */
struct array_run {
    struct store_run run;
    const struct store_item *items;
    size_t count, at;
};

static inline bool array_run_next(struct store_run *run, struct store_item *item)
{
    struct array_run *array = CONTAINER_OF(run, struct array_run, run);
    if (array->at == array->count) return false;
    *item = array->items[array->at++];
    return true;
}

struct flush_wait {
    struct store_flush flush;
    bool done;
};

static inline void flush_wait_done(struct store_flush *flush)
{
    CONTAINER_OF(flush, struct flush_wait, flush)->done = true;
}

/* Flushes a run into a store without a loop. */
static inline enum err flush_run(struct stores *stores, struct store *store, struct store_run *run)
{
    struct flush_wait wait = {.flush = {.run = run, .done = flush_wait_done}};
    store->ops->flush(store, &wait.flush);
    assert_false(wait.done);
    real_stores_settle(stores);
    assert_true(wait.done);
    if (wait.flush.err != ERR_OK) assert_true(wait.flush.why.text[0] != '\0');
    return wait.flush.err;
}

static inline enum err flush_items(struct stores *stores, struct store *store,
                                   const struct store_item *items, size_t count)
{
    struct array_run array = {.run = {array_run_next}, .items = items, .count = count};
    return flush_run(stores, store, &array.run);
}

static inline struct store_item put(const char *key, const char *value)
{
    return (struct store_item){STORE_PUT, bytes_text(key), bytes_text(value)};
}

static inline struct store_item del(const char *key)
{
    return (struct store_item){STORE_DELETE, bytes_text(key), bytes_of(NULL, 0)};
}

static inline struct store_item del_range(const char *from, const char *to)
{
    return (struct store_item){STORE_DELETE_RANGE, bytes_text(from), bytes_text(to)};
}

/* Keys of ten digits, "<prefix>0000000017"; values of `value_bytes` that repeat the stamp and
 * compress badly. */
struct count_run {
    struct store_run run;
    const char *prefix;
    uint64_t from, to, step, stamp;
    size_t value_bytes;
    char key[32];
    uint8_t *value;
};

static inline bool count_run_next(struct store_run *run, struct store_item *item)
{
    struct count_run *count = CONTAINER_OF(run, struct count_run, run);
    if (count->from >= count->to) return false;
    (void)snprintf(count->key, sizeof(count->key), "%s%010llu", count->prefix,
                   (unsigned long long)count->from);
    uint64_t noise = (count->from + 1) * 0x9e3779b97f4a7c15u ^ count->stamp;
    for (size_t i = 0; i < count->value_bytes; i++) {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        count->value[i] = (uint8_t)noise;
    }
    *item = (struct store_item){STORE_PUT, bytes_text(count->key),
                                bytes_of(count->value, count->value_bytes)};
    if (count->value_bytes >= 8) store_le64(count->value, count->stamp);
    count->from += count->step;
    return true;
}

static inline enum err flush_count(struct stores *stores, struct store *store,
                                   struct count_run count)
{
    count.run.next = count_run_next;
    if (count.step == 0) count.step = 1;
    count.value = memory_alloc(count.value_bytes + 1);
    enum err err = flush_run(stores, store, &count.run);
    memory_free(count.value);
    return err;
}

static inline enum err get_text(struct store *store, const char *key, enum store_patience patience,
                                char *out, size_t room)
{
    struct buffer value;
    buffer_init(&value);
    enum err err = store->ops->get(store, bytes_text(key), patience, &value);
    if (err == ERR_OK) {
        assert_true(value.size < room);
        if (value.size > 0) memcpy(out, value.data, value.size);
        out[value.size] = '\0';
    }
    buffer_release(&value);
    return err;
}

#endif
