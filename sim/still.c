/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/still.h"

#include <stddef.h>

#include "base/memory.h"
#include "base/must.h"

struct still_cursor {
    struct store_cursor base;
    const struct sim_tree *tree;
    const struct sim_item *item; /* NULL: at no place */
};

static struct still_cursor *cursor_of(struct store_cursor *base)
{
    return CONTAINER_OF(base, struct still_cursor, base);
}

static const struct sim_item *item_of(const struct store_cursor *base)
{
    _Static_assert(offsetof(struct still_cursor, base) == 0, "the cursor comes first");
    const struct sim_item *item = ((const struct still_cursor *)(const void *)base)->item;
    MUST(item != NULL);
    return item;
}

static enum err place(struct still_cursor *cursor, const struct sim_item *item)
{
    cursor->item = item;
    return item != NULL ? ERR_OK : ERR_NOT_FOUND;
}

static enum err still_seek(struct store_cursor *base, struct bytes key)
{
    struct still_cursor *cursor = cursor_of(base);
    return place(cursor, sim_tree_at_or_after(cursor->tree, key));
}

static enum err still_seek_before(struct store_cursor *base, struct bytes key)
{
    struct still_cursor *cursor = cursor_of(base);
    return place(cursor, sim_tree_before(cursor->tree, key));
}

static enum err still_next(struct store_cursor *base)
{
    struct still_cursor *cursor = cursor_of(base);
    return place(cursor, sim_tree_after(cursor->tree, sim_item_key(item_of(base))));
}

static enum err still_previous(struct store_cursor *base)
{
    return still_seek_before(base, sim_item_key(item_of(base)));
}

static struct bytes still_key(const struct store_cursor *base)
{
    return sim_item_key(item_of(base));
}

static struct bytes still_value(const struct store_cursor *base)
{
    return sim_item_value(item_of(base));
}

static void still_close(struct store_cursor *base)
{
    memory_free(cursor_of(base));
}

static struct store_cursor *still_cursor(struct store *base, struct store_view *view,
                                         enum store_patience patience)
{
    static const struct store_cursor_ops ops = {.seek = still_seek,
                                                .seek_before = still_seek_before,
                                                .next = still_next,
                                                .previous = still_previous,
                                                .key = still_key,
                                                .value = still_value,
                                                .close = still_close};
    MUST(view == NULL && patience == STORE_WAIT);
    struct still_cursor *cursor = memory_zeroed(1, sizeof *cursor);
    cursor->base.ops = &ops;
    cursor->tree = CONTAINER_OF(base, struct still, base)->tree;
    return &cursor->base;
}

void still_init(struct still *still, struct sim_tree *tree)
{
    static const struct store_ops ops = {.cursor = still_cursor};
    *still = (struct still){.base.ops = &ops, .tree = tree};
}
