/* SPDX-License-Identifier: Apache-2.0 */
/* A cursor makes its iterator at the first seek. After ERR_PENDING the next seek makes a new one:
 * an iterator over a table that was not open keeps that answer for ever. */
#include "base/memory.h"
#include "real/store.h"

struct cursor_real {
    struct store_cursor cursor;
    struct store_real *store;
    rocksdb_readoptions_t *options; /* owned only with a view */
    bool owns_options;
    bool stale; /* the last answer was ERR_PENDING */
    rocksdb_iterator_t *iterator;
};

static struct cursor_real *cursor_of(const struct store_cursor *cursor)
{
    return (struct cursor_real *)((uintptr_t)cursor - offsetof(struct cursor_real, cursor));
}

static enum err cursor_answer(struct cursor_real *cursor)
{
    if (rocksdb_iter_valid(cursor->iterator)) return ERR_OK;
    char *error = NULL;
    rocksdb_iter_get_error(cursor->iterator, &error);
    if (error == NULL) return ERR_NOT_FOUND;
    struct why why;
    why.text[0] = '\0';
    enum err err = engine_err(error, "read", &why);
    cursor->stale = true;
    if (err != ERR_PENDING) {
        trace_event(cursor->store->stores->trace, TRACE_WARNING, "store", "read_failed",
                    "error=\"%s\"", why.text);
    }
    return err;
}

/* NULL when there is no database any more. */
static rocksdb_iterator_t *cursor_iterator(struct cursor_real *cursor)
{
    if (cursor->store->engine.db == NULL) return NULL;
    if (cursor->iterator != NULL && cursor->stale) {
        rocksdb_iter_destroy(cursor->iterator);
        cursor->iterator = NULL;
    }
    cursor->stale = false;
    if (cursor->iterator == NULL)
        cursor->iterator = rocksdb_create_iterator(cursor->store->engine.db, cursor->options);
    return cursor->iterator;
}

static enum err cursor_seek(struct store_cursor *base, struct bytes key)
{
    struct cursor_real *cursor = cursor_of(base);
    rocksdb_iterator_t *iterator = cursor_iterator(cursor);
    if (iterator == NULL) return ERR_IO;
    rocksdb_iter_seek(iterator, (const char *)key.data, key.size);
    return cursor_answer(cursor);
}

static enum err cursor_previous(struct store_cursor *base)
{
    struct cursor_real *cursor = cursor_of(base);
    MUST(cursor->iterator != NULL && rocksdb_iter_valid(cursor->iterator));
    rocksdb_iter_prev(cursor->iterator);
    return cursor_answer(cursor);
}

static enum err cursor_next(struct store_cursor *base)
{
    struct cursor_real *cursor = cursor_of(base);
    MUST(cursor->iterator != NULL && rocksdb_iter_valid(cursor->iterator));
    rocksdb_iter_next(cursor->iterator);
    return cursor_answer(cursor);
}

static struct bytes cursor_key(const struct store_cursor *base)
{
    size_t size;
    const char *key = rocksdb_iter_key(cursor_of(base)->iterator, &size);
    return bytes_of(key, size);
}

static struct bytes cursor_value(const struct store_cursor *base)
{
    size_t size;
    const char *value = rocksdb_iter_value(cursor_of(base)->iterator, &size);
    return bytes_of(value, size);
}

static enum err cursor_seek_before(struct store_cursor *base, struct bytes key)
{
    struct cursor_real *cursor = cursor_of(base);
    rocksdb_iterator_t *iterator = cursor_iterator(cursor);
    if (iterator == NULL) return ERR_IO;
    rocksdb_iter_seek_for_prev(iterator, (const char *)key.data, key.size);
    enum err err = cursor_answer(cursor);
    if (err != ERR_OK || !bytes_equal(cursor_key(base), key)) return err;
    return cursor_previous(base);
}

static void cursor_close(struct store_cursor *base)
{
    if (base == NULL) return;
    struct cursor_real *cursor = cursor_of(base);
    cursor->store->cursors -= 1;
    if (cursor->iterator != NULL) rocksdb_iter_destroy(cursor->iterator);
    if (cursor->owns_options) rocksdb_readoptions_destroy(cursor->options);
    memory_free(cursor);
}

static const struct store_cursor_ops cursor_ops = {
    .seek = cursor_seek,
    .seek_before = cursor_seek_before,
    .next = cursor_next,
    .previous = cursor_previous,
    .key = cursor_key,
    .value = cursor_value,
    .close = cursor_close,
};

struct store_view {
    struct list node; /* in store->views */
    const rocksdb_snapshot_t *snapshot;
};

struct store_cursor *store_real_cursor(struct store *base, struct store_view *view,
                                       enum store_patience patience)
{
    struct store_real *store = CONTAINER_OF(base, struct store_real, store);
    struct cursor_real *cursor = memory_zeroed(1, sizeof(*cursor));
    cursor->cursor.ops = &cursor_ops;
    cursor->store = store;
    cursor->options = patience == STORE_WAIT ? store->engine.wait : store->engine.no_wait;
    if (view != NULL) {
        cursor->options = engine_view_options(patience, view->snapshot);
        cursor->owns_options = true;
    }
    store->cursors += 1;
    return &cursor->cursor;
}

rocksdb_readoptions_t *store_real_view_options(const struct store_view *view)
{
    return engine_view_options(STORE_WAIT, view != NULL ? view->snapshot : NULL);
}

struct store_view *store_real_view_open(struct store *base)
{
    struct store_real *store = CONTAINER_OF(base, struct store_real, store);
    struct store_view *view = memory_zeroed(1, sizeof(*view));
    view->snapshot = rocksdb_create_snapshot(store->engine.db);
    list_append(&store->views, &view->node);
    return view;
}

void store_real_view_drop(struct store_real *store, struct list *node)
{
    struct store_view *view = CONTAINER_OF(node, struct store_view, node);
    list_remove(node);
    rocksdb_release_snapshot(store->engine.db, view->snapshot);
    memory_free(view);
}

void store_real_view_close(struct store *base, struct store_view *view)
{
    MUST(view != NULL);
    store_real_view_drop(CONTAINER_OF(base, struct store_real, store), &view->node);
}
