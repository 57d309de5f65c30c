/* SPDX-License-Identifier: Apache-2.0 */
/* An image as a store that can only be read. Opening goes through the whole image once, so every
 * byte is checked before any is given, and notes where each chunk is and with which key it begins.
 * Then a record is found by its key: the chunk by a search of those keys, the record by a search in
 * the chunk. Chunks that were read are kept, up to a bound, and checked whenever they are read. */
#include "base/list.h"
#include "base/memory.h"
#include "seam/store.h"
#include "snapshot/image.h"

/* Kept of the chunks beside those that a cursor stands in. */
enum { KEPT_BYTES = 64 << 20, MOVES_A_REPORT = 4096 };

struct chunk {        /* in memory */
    struct list node; /* in store->kept, the one used last at the end */
    size_t number;
    unsigned users; /* cursors that stand in it */
    struct buffer bytes;
    size_t *records; /* where each begins in `bytes` */
    size_t count;
};

struct chunk_place {
    uint64_t offset, size; /* in the file, with its head */
    size_t key_at;         /* of its first key in store->keys */
    size_t key_size;
    struct chunk *chunk; /* NULL: not in memory */
};

struct image_store {
    struct store base;
    struct image_source *source;
    struct image_reader *reader; /* kept for its facts */
    struct image_watch *watch;   /* NULL: nobody */
    uint64_t seed;               /* of the chunks' checksums */
    struct chunk_place *places;
    size_t count, capacity;
    struct buffer keys;
    struct list kept;
    uint64_t kept_bytes;
    uint64_t moves; /* of cursors */
};

struct image_cursor {
    struct store_cursor base;
    struct image_store *store;
    struct chunk *chunk; /* NULL: stands nowhere */
    size_t at;           /* record in it */
};

static struct image_store *store_of(const struct store *base)
{
    return (struct image_store *)((uintptr_t)base - offsetof(struct image_store, base));
}

static struct image_cursor *cursor_of(const struct store_cursor *base)
{
    return (struct image_cursor *)((uintptr_t)base - offsetof(struct image_cursor, base));
}

/* --- Chunks --- */

static void chunk_free(struct image_store *store, struct chunk *chunk)
{
    store->places[chunk->number].chunk = NULL;
    store->kept_bytes -= chunk->bytes.size;
    list_remove(&chunk->node);
    buffer_release(&chunk->bytes);
    memory_free(chunk->records);
    memory_free(chunk);
}

/* What was used longest ago goes first. */
static void make_room(struct image_store *store)
{
    struct list *node = list_first(&store->kept);
    while (node != NULL && node != &store->kept && store->kept_bytes > KEPT_BYTES) {
        struct chunk *chunk = CONTAINER_OF(node, struct chunk, node);
        node = node->next;
        if (chunk->users == 0) chunk_free(store, chunk);
    }
}

/* Reads the chunk and proves it once more: the file may be another one by now. */
static enum err chunk_read(struct image_store *store, size_t number, struct buffer *bytes)
{
    const struct chunk_place *place = &store->places[number];
    struct image_chain chain = {.seed = store->seed, .offset = place->offset};
    struct image_chunk_head head;
    uint8_t *at = buffer_reserve(bytes, (size_t)place->size);
    enum err err = store->source->read(store->source, place->offset, at, place->size, NULL);
    if (err != ERR_OK) return err;
    bytes->size = (size_t)place->size;
    if (!image_chunk_head_decode(at, &head)) return ERR_CORRUPT;
    if (head.size != place->size - IMAGE_CHUNK_HEAD_BYTES) return ERR_CORRUPT;
    return image_chunk_check(at, &head, &chain) ? ERR_OK : ERR_CORRUPT;
}

static void chunk_note(struct chunk *chunk)
{
    const uint8_t *begin = chunk->bytes.data;
    struct bytes body = bytes_of(begin + IMAGE_CHUNK_HEAD_BYTES,
                                 chunk->bytes.size - IMAGE_CHUNK_HEAD_BYTES);
    struct image_chunk_head head;
    bool sound = image_chunk_head_decode(begin, &head);
    MUST(sound);
    chunk->records = memory_zeroed(head.records, sizeof *chunk->records);
    struct bytes key, value;
    for (;;) {
        size_t at = (size_t)(body.data - begin);
        if (!image_record_take(&body, &key, &value)) break;
        chunk->records[chunk->count++] = at;
    }
}

static enum err chunk_get(struct image_store *store, size_t number, struct chunk **out)
{
    struct chunk *chunk = store->places[number].chunk;
    *out = NULL;
    if (chunk != NULL) {
        list_remove(&chunk->node);
        list_append(&store->kept, &chunk->node);
        *out = chunk;
        return ERR_OK;
    }
    struct buffer bytes;
    buffer_init(&bytes);
    enum err err = chunk_read(store, number, &bytes);
    if (err != ERR_OK) {
        buffer_release(&bytes);
        return err;
    }
    chunk = memory_zeroed(1, sizeof *chunk);
    chunk->number = number;
    chunk->bytes = bytes;
    chunk_note(chunk);
    store->places[number].chunk = chunk;
    store->kept_bytes += chunk->bytes.size;
    list_append(&store->kept, &chunk->node);
    *out = chunk;
    return ERR_OK;
}

static void chunk_record(const struct chunk *chunk, size_t at, struct bytes *key,
                         struct bytes *value)
{
    size_t from = chunk->records[at];
    struct bytes body = bytes_of(chunk->bytes.data + from, chunk->bytes.size - from);
    bool there = image_record_take(&body, key, value);
    MUST(there); /* chunk_note has been over it */
}

/* The first record at or behind the key; chunk->count: none. */
static size_t chunk_search(const struct chunk *chunk, struct bytes key)
{
    size_t low = 0, high = chunk->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct bytes there, value;
        chunk_record(chunk, middle, &there, &value);
        if (bytes_compare(there, key) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* --- Cursors --- */

static void cursor_leave(struct image_cursor *cursor)
{
    if (cursor->chunk != NULL) cursor->chunk->users--;
    cursor->chunk = NULL;
}

/* Stands on a record of the chunk. */
static void cursor_stand(struct image_cursor *cursor, struct chunk *chunk, size_t at)
{
    struct image_store *store = cursor->store;
    cursor_leave(cursor);
    chunk->users++;
    cursor->chunk = chunk;
    cursor->at = at;
    make_room(store);
    store->moves++;
    if (store->watch != NULL && store->moves % MOVES_A_REPORT == 0)
        store->watch->moved(store->watch, store->moves, image_facts(store->reader)->records);
}

/* The first record of the chunk, or its last; past the ends there is nothing. */
static enum err cursor_enter(struct image_cursor *cursor, size_t number, bool last)
{
    struct chunk *chunk = NULL;
    enum err err = ERR_NOT_FOUND;
    if (number < cursor->store->count) err = chunk_get(cursor->store, number, &chunk);
    if (err == ERR_OK) cursor_stand(cursor, chunk, last ? chunk->count - 1 : 0);
    else cursor_leave(cursor);
    return err;
}

static struct bytes first_key(const struct image_store *store, size_t number)
{
    const struct chunk_place *place = &store->places[number];
    return bytes_of(store->keys.data + place->key_at, place->key_size);
}

/* The last chunk that begins at or before the key; the first one if none does. */
static size_t chunk_of(const struct image_store *store, struct bytes key)
{
    size_t low = 0, high = store->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(first_key(store, middle), key) <= 0) low = middle + 1;
        else high = middle;
    }
    return low == 0 ? 0 : low - 1;
}

static enum err cursor_seek(struct store_cursor *base, struct bytes key)
{
    struct image_cursor *cursor = cursor_of(base);
    struct image_store *store = cursor->store;
    size_t number = chunk_of(store, key);
    struct chunk *chunk = NULL;
    cursor_leave(cursor);
    if (store->count == 0) return ERR_NOT_FOUND;
    enum err err = chunk_get(store, number, &chunk);
    if (err != ERR_OK) return err;
    size_t at = chunk_search(chunk, key);
    if (at == chunk->count) return cursor_enter(cursor, number + 1, false);
    cursor_stand(cursor, chunk, at);
    return ERR_OK;
}

static enum err cursor_next(struct store_cursor *base)
{
    struct image_cursor *cursor = cursor_of(base);
    struct chunk *chunk = cursor->chunk;
    MUST(chunk != NULL);
    if (cursor->at + 1 == chunk->count) return cursor_enter(cursor, chunk->number + 1, false);
    cursor_stand(cursor, chunk, cursor->at + 1);
    return ERR_OK;
}

static enum err cursor_previous(struct store_cursor *base)
{
    struct image_cursor *cursor = cursor_of(base);
    struct chunk *chunk = cursor->chunk;
    MUST(chunk != NULL);
    if (cursor->at == 0) return cursor_enter(cursor, chunk->number - 1, true); /* 0 - 1: none */
    cursor_stand(cursor, chunk, cursor->at - 1);
    return ERR_OK;
}

static enum err cursor_seek_before(struct store_cursor *base, struct bytes key)
{
    struct image_cursor *cursor = cursor_of(base);
    enum err err = cursor_seek(base, key);
    if (err == ERR_OK) return cursor_previous(base);
    if (err != ERR_NOT_FOUND || cursor->store->count == 0) return err;
    return cursor_enter(cursor, cursor->store->count - 1, true);
}

static struct bytes cursor_key(const struct store_cursor *base)
{
    const struct image_cursor *cursor = cursor_of(base);
    struct bytes key, value;
    chunk_record(cursor->chunk, cursor->at, &key, &value);
    return key;
}

static struct bytes cursor_value(const struct store_cursor *base)
{
    const struct image_cursor *cursor = cursor_of(base);
    struct bytes key, value;
    chunk_record(cursor->chunk, cursor->at, &key, &value);
    return value;
}

static void cursor_close(struct store_cursor *base)
{
    struct image_cursor *cursor = cursor_of(base);
    cursor_leave(cursor);
    memory_free(cursor);
}

static struct store_cursor *store_cursor(struct store *base, struct store_view *view,
                                         enum store_patience patience)
{
    static const struct store_cursor_ops ops = {
        .seek = cursor_seek,
        .seek_before = cursor_seek_before,
        .next = cursor_next,
        .previous = cursor_previous,
        .key = cursor_key,
        .value = cursor_value,
        .close = cursor_close,
    };
    MUST(view == NULL && patience == STORE_WAIT);
    struct image_cursor *cursor = memory_zeroed(1, sizeof *cursor);
    cursor->base.ops = &ops;
    cursor->store = store_of(base);
    return &cursor->base;
}

/* --- The store --- */

static void store_close(struct store *base)
{
    struct image_store *store = store_of(base);
    struct list *node;
    while ((node = list_first(&store->kept)) != NULL)
        chunk_free(store, CONTAINER_OF(node, struct chunk, node));
    image_close(store->reader);
    buffer_release(&store->keys);
    memory_free(store->places);
    memory_free(store);
}

static void note_chunk(struct image_store *store, uint64_t offset, struct bytes key)
{
    if (store->count == store->capacity) {
        store->capacity = store->capacity == 0 ? 64 : store->capacity * 2;
        store->places = memory_resize(store->places, store->capacity * sizeof *store->places);
    }
    store->places[store->count++] = (struct chunk_place){
        .offset = offset,
        .size = image_offset(store->reader) - offset,
        .key_at = store->keys.size,
        .key_size = key.size,
    };
    buffer_append(&store->keys, key);
}

/* Goes through all of it. */
static enum err prove(struct image_store *store, struct why *why)
{
    uint64_t offset = image_offset(store->reader);
    uint8_t seed[8];
    enum err err = store->source->read(store->source, offset - sizeof seed, seed, sizeof seed, why);
    store->seed = load_le64(seed); /* the header's checksum, its last bytes */
    while (err == ERR_OK) {
        struct bytes key, value;
        err = image_next(store->reader, &key, &value, why);
        uint64_t now = image_offset(store->reader);
        if (err != ERR_OK || now == offset) continue;
        note_chunk(store, offset, key);
        offset = now;
        if (store->watch != NULL) store->watch->moved(store->watch, offset, store->source->size);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err image_store_open(struct store **out, struct image_source *source,
                          struct image_watch *watch, struct why *why)
{
    static const struct store_ops ops = {.cursor = store_cursor, .close = store_close};
    *out = NULL;
    struct image_reader *reader = NULL;
    enum err err = image_open(&reader, source, why);
    if (err != ERR_OK) return err;
    struct image_store *store = memory_zeroed(1, sizeof *store);
    store->base.ops = &ops;
    store->source = source;
    store->reader = reader;
    store->watch = watch;
    buffer_init(&store->keys);
    list_init(&store->kept);
    err = prove(store, why);
    store->watch = NULL;
    if (err != ERR_OK) {
        store_close(&store->base);
        return err;
    }
    *out = &store->base;
    return ERR_OK;
}

const struct image_facts *image_store_facts(const struct store *base)
{
    return image_facts(store_of(base)->reader);
}

void image_store_watch(struct store *base, struct image_watch *watch)
{
    store_of(base)->watch = watch;
    store_of(base)->moves = 0;
}
