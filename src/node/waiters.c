/* SPDX-License-Identifier: Apache-2.0 */
/* The tables by key: chained, with a fixed number of buckets. */
#include "node/waiters.h"

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"

static uint64_t key_hash(uint8_t database, struct bytes key)
{
    return checksum64(key, database);
}

static struct list *bucket_of(struct list *buckets, uint64_t hash)
{
    return &buckets[hash % NODE_KEY_TABLE_BUCKETS];
}

void waiters_init(struct waiters *waiters)
{
    for (size_t i = 0; i < NODE_KEY_TABLE_BUCKETS; i++) {
        list_init(&waiters->buckets[i]);
        list_init(&waiters->ready_buckets[i]);
    }
    list_init(&waiters->all);
    list_init(&waiters->paused);
    waiters->count = waiters->entangled = 0;
}

static bool is_entangled(const struct waiter *waiter)
{
    return waiter->moves || waiter->places_count > 1;
}

void waiters_add(struct waiters *waiters, struct waiter *waiter, uint8_t database,
                 const struct bytes *keys, size_t count)
{
    waiter->places_count = count;
    waiter->places = memory_zeroed(count == 0 ? 1 : count, sizeof *waiter->places);
    for (size_t i = 0; i < count; i++) {
        struct waiter_place *place = &waiter->places[i];
        place->waiter = waiter;
        place->database = database;
        place->key = keys[i];
        place->hash = key_hash(database, keys[i]);
        list_append(bucket_of(waiters->buckets, place->hash), &place->bucket);
    }
    list_append(&waiters->all, &waiter->all);
    waiters->count++;
    if (is_entangled(waiter)) waiters->entangled++;
}

void waiters_remove(struct waiters *waiters, struct waiter *waiter)
{
    if (is_entangled(waiter)) waiters->entangled--;
    for (size_t i = 0; i < waiter->places_count; i++) list_remove(&waiter->places[i].bucket);
    memory_free(waiter->places);
    waiter->places = NULL;
    waiter->places_count = 0;
    list_remove(&waiter->all);
    MUST(waiters->count > 0);
    waiters->count--;
}

/* --- Keys that were filled --- */

static struct waiter *line_next(struct waiters *waiters, uint8_t database, struct bytes key,
                                uint64_t hash, const char *but_not)
{
    struct list *bucket = bucket_of(waiters->buckets, hash);
    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct waiter_place *place = CONTAINER_OF(at, struct waiter_place, bucket);
        if (place->hash != hash || place->database != database) continue;
        if (place->waiter->group == but_not || !bytes_equal(place->key, key)) continue;
        return place->waiter;
    }
    return NULL;
}

static struct ready *ready_find(struct waiters *waiters, uint8_t database, struct bytes key,
                                uint64_t hash)
{
    struct list *bucket = bucket_of(waiters->ready_buckets, hash);
    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct ready *ready = CONTAINER_OF(at, struct ready, bucket);
        if (ready->hash != hash || ready->database != database) continue;
        if (bytes_equal(buffer_bytes(&ready->key), key)) return ready;
    }
    return NULL;
}

/* Where nobody is entangled, keys are served independently. */
static void put_behind(const struct waiters *waiters, struct ready *ready, struct ready *last)
{
    if (last == NULL || waiters->entangled == 0) return;
    while (last->behind != NULL) last = last->behind;
    last->behind = ready;
    ready->before = last;
}

void waiters_fill(struct waiters *waiters, uint8_t database, struct bytes key, struct ready **last)
{
    uint64_t hash = key_hash(database, key);
    if (line_next(waiters, database, key, hash, NULL) == NULL) return;
    struct ready *ready = ready_find(waiters, database, key, hash);
    if (ready != NULL) {
        if (ready->trying) ready->again = true;
        else ready->missed = NULL;
        return;
    }
    ready = memory_zeroed(1, sizeof *ready);
    ready->hash = hash;
    ready->database = database;
    buffer_init(&ready->key);
    buffer_append(&ready->key, key);
    list_init(&ready->paused);
    list_append(bucket_of(waiters->ready_buckets, hash), &ready->bucket);
    put_behind(waiters, ready, *last);
    *last = ready;
    if (ready->before == NULL) waiters_pause(waiters, ready);
}

struct waiter *waiters_next(struct waiters *waiters, const struct ready *ready)
{
    return line_next(waiters, ready->database, buffer_bytes(&ready->key), ready->hash,
                     ready->missed);
}

void waiters_pause(struct waiters *waiters, struct ready *ready)
{
    MUST(ready->before == NULL && !ready->trying);
    list_append(&waiters->paused, &ready->paused);
}

void waiters_part(struct waiters *waiters, struct ready *ready)
{
    MUST(ready->before == NULL);
    struct ready *next = ready->behind;
    if (next == NULL) return;
    ready->behind = next->before = NULL;
    waiters_pause(waiters, next);
}

void waiters_unready(struct waiters *waiters, struct ready *ready)
{
    waiters_part(waiters, ready);
    list_remove(&ready->bucket);
    buffer_release(&ready->key);
    memory_free(ready);
}

/* --- Watches --- */

void watches_init(struct watches *watches)
{
    for (size_t i = 0; i < NODE_KEY_TABLE_BUCKETS; i++) list_init(&watches->buckets[i]);
    watches->count = 0;
}

void watches_add(struct watches *watches, struct watch *watch)
{
    watch->touched = false;
    list_append(bucket_of(watches->buckets, key_hash(watch->database, watch->key)), &watch->node);
    watches->count++;
}

void watches_remove(struct watches *watches, struct watch *watch)
{
    if (watch->node.next == NULL || list_empty(&watch->node)) return;
    list_remove(&watch->node);
    MUST(watches->count > 0);
    watches->count--;
}

void watches_touch(struct watches *watches, uint8_t database, struct bytes key)
{
    if (watches->count == 0) return;
    struct list *bucket = bucket_of(watches->buckets, key_hash(database, key));
    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct watch *watch = CONTAINER_OF(at, struct watch, node);
        if (watch->database == database && bytes_equal(watch->key, key)) watch->touched = true;
    }
}
