/* SPDX-License-Identifier: Apache-2.0 */
/* RocksDB has delete-ranges of its own, and we write none. Where a table holds one, the merging
 * iterator of the versions that Debian has (7.8; mended upstream by its pull requests 11782 to
 * 11786) drops the status of the sources below it: a source that says "not in memory" to a read
 * that must not wait, or "cannot be read" to a compaction, counts as one that has ended. A walk
 * then leaves records out and says nothing.
 *
 * So a range is resolved here, on the worker's thread, while the run is written: the keys that
 * stand in it are read, and each gets a delete of its own. It hits only what earlier flushes have
 * left, as a range would, and a key that the run itself names is the run's. It costs a pass over
 * the range; the loop does not wait for it. */
#include "real/engine_sweep.h"

#include <stdlib.h>

#include "base/memory.h"

static struct bytes range_from(const struct sweep *sweep, const struct sweep_range *range)
{
    return bytes_of(sweep->bytes.data + range->from, range->from_size);
}

static struct bytes range_to(const struct sweep *sweep, const struct sweep_range *range)
{
    return bytes_of(sweep->bytes.data + range->to, range->to_size);
}

static void range_add(struct sweep *sweep, struct bytes from, struct bytes to)
{
    if (bytes_compare(from, to) >= 0) return;
    if (sweep->range_count == sweep->range_capacity) {
        sweep->range_capacity = sweep->range_capacity == 0 ? 16 : sweep->range_capacity * 2;
        sweep->ranges = memory_resize(sweep->ranges,
                                      sweep->range_capacity * sizeof(*sweep->ranges));
    }
    sweep->ranges[sweep->range_count++] = (struct sweep_range){
        sweep->bytes.size, from.size, sweep->bytes.size + from.size, to.size};
    buffer_append(&sweep->bytes, from);
    buffer_append(&sweep->bytes, to);
}

static int range_order(const void *a, const void *b, void *context)
{
    const struct sweep *sweep = context;
    return bytes_compare(range_from(sweep, a), range_from(sweep, b));
}

/* Those that overlap become one. */
static void ranges_settle(struct sweep *sweep)
{
    struct sweep_range *ranges = sweep->ranges;
    size_t kept = 0;
    qsort_r(ranges, sweep->range_count, sizeof(*ranges), range_order, sweep);
    for (size_t i = 1; i < sweep->range_count; i++) {
        struct bytes end = range_to(sweep, &ranges[kept]);
        if (bytes_compare(range_from(sweep, &ranges[i]), end) > 0) {
            ranges[++kept] = ranges[i];
        } else if (bytes_compare(range_to(sweep, &ranges[i]), end) > 0) {
            ranges[kept].to = ranges[i].to;
            ranges[kept].to_size = ranges[i].to_size;
        }
    }
    sweep->range_count = kept + 1;
}

static void range_seek(struct sweep *sweep)
{
    struct bytes from = range_from(sweep, &sweep->ranges[sweep->at]);
    rocksdb_iter_seek(sweep->iterator, (const char *)from.data, from.size);
}

/* The next key in a range; false: there is none, or it cannot be read. */
static bool sweep_key(struct sweep *sweep, struct bytes *key)
{
    if (sweep->key_given) rocksdb_iter_next(sweep->iterator);
    sweep->key_given = false;
    while (sweep->at < sweep->range_count) {
        if (rocksdb_iter_valid(sweep->iterator)) {
            size_t size;
            const char *at = rocksdb_iter_key(sweep->iterator, &size);
            *key = bytes_of(at, size);
            if (bytes_compare(*key, range_to(sweep, &sweep->ranges[sweep->at])) < 0) return true;
        } else {
            char *error = NULL;
            rocksdb_iter_get_error(sweep->iterator, &error);
            if (error != NULL) {
                sweep->err = engine_err(error, "read of what a run deletes", &sweep->why);
                return false;
            }
        }
        if (++sweep->at < sweep->range_count) range_seek(sweep);
    }
    return false;
}

static bool sweep_next(struct store_run *run, struct store_item *item)
{
    struct sweep *sweep = CONTAINER_OF(run, struct sweep, run);
    if (sweep->err != ERR_OK) return false;
    if (sweep->item_given) sweep->has_item = sweep->source->next(sweep->source, &sweep->item);
    sweep->item_given = false;
    struct bytes key;
    bool has_key = sweep_key(sweep, &key);
    if (sweep->err != ERR_OK) return false;
    int order = 1;
    if (has_key) order = sweep->has_item ? bytes_compare(key, sweep->item.key) : -1;
    if (order > 0 && !sweep->has_item) return false;
    if (order >= 0) {
        *item = sweep->item;
        sweep->item_given = true;
    } else {
        *item = (struct store_item){STORE_DELETE, key, {NULL, 0}};
    }
    sweep->key_given = has_key && order <= 0;
    return true;
}

void sweep_open(struct sweep *sweep, const struct engine *engine, struct store_run *source)
{
    *sweep = (struct sweep){.run = {sweep_next}, .source = source};
    buffer_init(&sweep->bytes);
    while ((sweep->has_item = source->next(source, &sweep->item)) &&
           sweep->item.change == STORE_DELETE_RANGE) {
        range_add(sweep, sweep->item.key, sweep->item.value);
    }
    if (sweep->range_count == 0) return;
    ranges_settle(sweep);
    sweep->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(sweep->options, 1);
    rocksdb_readoptions_set_fill_cache(sweep->options, 0); /* nobody reads these again */
    sweep->iterator = rocksdb_create_iterator(engine->db, sweep->options);
    range_seek(sweep);
}

void sweep_close(struct sweep *sweep)
{
    if (sweep->iterator != NULL) rocksdb_iter_destroy(sweep->iterator);
    if (sweep->options != NULL) rocksdb_readoptions_destroy(sweep->options);
    buffer_release(&sweep->bytes);
    memory_free(sweep->ranges);
}
