/* SPDX-License-Identifier: Apache-2.0 */
/* The two tables by key: chained, with a fixed number of buckets. */
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
    for (size_t i = 0; i < NODE_KEY_TABLE_BUCKETS; i++) list_init(&waiters->buckets[i]);
    list_init(&waiters->all);
    waiters->count = 0;
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
}

void waiters_remove(struct waiters *waiters, struct waiter *waiter)
{
    for (size_t i = 0; i < waiter->places_count; i++) list_remove(&waiter->places[i].bucket);
    memory_free(waiter->places);
    waiter->places = NULL;
    waiter->places_count = 0;
    list_remove(&waiter->all);
    MUST(waiters->count > 0);
    waiters->count--;
}

struct waiter *waiters_at(struct waiters *waiters, uint8_t database, struct bytes key,
                          const struct waiter *after)
{
    if (waiters->count == 0) return NULL;
    uint64_t hash = key_hash(database, key);
    struct list *bucket = bucket_of(waiters->buckets, hash);
    bool passed = after == NULL;
    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct waiter_place *place = CONTAINER_OF(at, struct waiter_place, bucket);
        if (place->hash != hash || place->database != database) continue;
        if (!bytes_equal(place->key, key)) continue;
        if (passed && place->waiter != after) return place->waiter;
        if (place->waiter == after) passed = true;
    }
    return NULL;
}

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
