/* SPDX-License-Identifier: Apache-2.0 */
#include "node/waiters.h"

#include "base/memory.h"
#include "base/must.h"

/* --- Lines --- */

/* What a line is found by; its name in the table are the bytes of this struct. */
struct line_name {
    uint8_t database;
    struct bytes key;
};

static int line_compare(const void *object, struct bytes bytes)
{
    const struct line *line = object;
    const struct line_name *name = (const void *)bytes.data;
    if (line->database != name->database) return line->database < name->database ? -1 : 1;
    return bytes_compare(line->key, name->key);
}

static uint64_t line_hash(uint8_t database, struct bytes key)
{
    return table_hash(key, database);
}

static struct line *line_find(const struct table *lines, uint8_t database, struct bytes key)
{
    if (lines->count == 0) return NULL;
    struct line_name name = {database, key};
    return table_find(lines, line_hash(database, key), bytes_of(&name, sizeof name));
}

static struct line *line_get(struct table *lines, uint8_t database, struct bytes key)
{
    struct line_name name = {database, key};
    uint64_t hash = line_hash(database, key);
    struct line *line = table_find(lines, hash, bytes_of(&name, sizeof name));
    if (line != NULL) return line;
    line = memory_alloc(sizeof *line + key.size);
    uint8_t *copy = (uint8_t *)(line + 1);
    if (key.size > 0) memcpy(copy, key.data, key.size);
    *line = (struct line){.hash = hash, .key = bytes_of(copy, key.size), .database = database};
    list_init(&line->members);
    table_insert(lines, hash, bytes_of(&name, sizeof name), line);
    return line;
}

/* One of its members has gone, or it is not ready any more. */
static void line_left(struct table *lines, struct line *line)
{
    if (!list_empty(&line->members) || line->ready != NULL) return;
    table_remove(lines, line->hash, line);
    memory_free(line);
}

/* --- Waiters --- */

void waiters_init(struct waiters *waiters)
{
    table_init(&waiters->lines, line_compare);
    list_init(&waiters->all);
    list_init(&waiters->due);
    waiters->count = waiters->waiting = waiters->entangled = 0;
}

void waiters_release(struct waiters *waiters)
{
    MUST(waiters->count == 0);
    MUST(waiters->lines.count == 0);
    table_release(&waiters->lines);
}

static bool is_entangled(const struct waiter *waiter)
{
    return waiter->moves || waiter->places_count > 1;
}

void waiters_add(struct waiters *waiters, struct waiter *waiter, uint8_t database,
                 const struct bytes *keys, size_t count)
{
    list_init(&waiter->held);
    waiter->places_count = count;
    waiter->places = memory_zeroed(count == 0 ? 1 : count, sizeof *waiter->places);
    for (size_t i = 0; i < count; i++) {
        struct waiter_place *place = &waiter->places[i];
        place->waiter = waiter;
        place->line = line_get(&waiters->lines, database, keys[i]);
        list_append(&place->line->members, &place->node);
    }
    list_append(&waiters->all, &waiter->all);
    waiters->count++;
    if (is_entangled(waiter)) waiters->entangled++;
}

void waiters_remove(struct waiters *waiters, struct waiter *waiter)
{
    if (is_entangled(waiter)) waiters->entangled--;
    list_move_all(&waiters->due, &waiter->held);
    for (size_t i = 0; i < waiter->places_count; i++) {
        list_remove(&waiter->places[i].node);
        line_left(&waiters->lines, waiter->places[i].line);
    }
    memory_free(waiter->places);
    waiter->places = NULL;
    waiter->places_count = 0;
    list_remove(&waiter->all);
    MUST(waiters->count > 0);
    waiters->count--;
}

/* --- Keys that were filled --- */

/* Where nobody is entangled, keys are served independently. */
static void put_behind(const struct waiters *waiters, struct ready *ready, struct ready *last)
{
    if (last == NULL || waiters->entangled == 0) return;
    while (last->behind != NULL) last = last->behind;
    last->behind = ready;
    ready->before = last;
}

/* It was ready before. */
static void fill_again(struct waiters *waiters, struct ready *ready)
{
    if (ready->trying) {
        ready->again = true;
    } else if (ready->missed != NULL) { /* its next in line may be another now */
        ready->missed = NULL;
        list_remove(&ready->paused);
        waiters_pause(waiters, ready);
    }
}

static void line_fill(struct waiters *waiters, struct line *line, struct ready **last)
{
    if (line->ready != NULL) {
        fill_again(waiters, line->ready);
        return;
    }
    struct ready *ready = memory_zeroed(1, sizeof *ready);
    ready->line = line;
    line->ready = ready;
    list_init(&ready->paused);
    put_behind(waiters, ready, *last);
    *last = ready;
    if (ready->before == NULL) waiters_pause(waiters, ready);
}

void waiters_fill(struct waiters *waiters, uint8_t database, struct bytes key, struct ready **last)
{
    struct line *line = line_find(&waiters->lines, database, key);
    if (line != NULL) line_fill(waiters, line, last);
}

void waiters_fill_all(struct waiters *waiters)
{
    for (struct list *at = waiters->all.next; at != &waiters->all; at = at->next) {
        struct waiter *waiter = CONTAINER_OF(at, struct waiter, all);
        for (size_t i = 0; i < waiter->places_count; i++) {
            struct ready *last = NULL;
            line_fill(waiters, waiter->places[i].line, &last);
        }
    }
}

struct waiter *waiters_next(const struct ready *ready)
{
    const struct list *members = &ready->line->members;
    for (struct list *at = members->next; at != members; at = at->next) {
        struct waiter *waiter = CONTAINER_OF(at, struct waiter_place, node)->waiter;
        if (waiter->group != ready->missed) return waiter;
    }
    return NULL;
}

void waiters_pause(struct waiters *waiters, struct ready *ready)
{
    MUST(ready->before == NULL && !ready->trying);
    list_append(&waiters->due, &ready->paused);
}

void waiters_hold(struct waiter *next, struct ready *ready)
{
    list_append(&next->held, &ready->paused);
}

void waiters_resume(struct waiters *waiters, struct waiter *waiter)
{
    struct list *first = list_first(&waiter->held);
    if (first == NULL) return;
    list_remove(first);
    list_append(&waiters->due, first);
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
    ready->line->ready = NULL;
    line_left(&waiters->lines, ready->line);
    memory_free(ready);
}

/* --- Watches --- */

void watches_init(struct watches *watches)
{
    table_init(&watches->lines, line_compare);
}

void watches_release(struct watches *watches)
{
    MUST(watches->lines.count == 0);
    table_release(&watches->lines);
}

void watches_add(struct watches *watches, struct watch *watch)
{
    watch->touched = false;
    list_append(&line_get(&watches->lines, watch->database, watch->key)->members, &watch->node);
}

void watches_remove(struct watches *watches, struct watch *watch)
{
    if (watch->node.next == NULL || list_empty(&watch->node)) return;
    struct list *next = watch->node.next;
    list_remove(&watch->node);
    /* Who is left alone in a list is the list itself. */
    if (list_empty(next)) line_left(&watches->lines, CONTAINER_OF(next, struct line, members));
}

void watches_touch(struct watches *watches, uint8_t database, struct bytes key)
{
    struct line *line = line_find(&watches->lines, database, key);
    if (line == NULL) return;
    for (struct list *at = line->members.next; at != &line->members; at = at->next) {
        CONTAINER_OF(at, struct watch, node)->touched = true;
    }
}
