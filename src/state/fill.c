/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a new store with the records of another one, as an image has them.
 *
 * They are flushed in windows, each a sorted run of its own; while one is flushed the next one
 * fills. The meta record is held back and goes with the last window, whatever its place in the
 * order: so a crash on the way leaves a store that holds records and no mark, which nobody opens,
 * and the mark is never written alone (I1).
 *
 * The stream of effects does not come along, and goes on at its end. */
#include <inttypes.h>

#include "base/memory.h"
#include "state/layout.h"
#include "state/meta.h"
#include "state/proof.h"
#include "state/state.h"

enum { FILL_HEAD_BYTES = 8 };

/* A window: {le32 key size, le32 value size, key, value} each; flushed from `at` on. */
struct window_run {
    struct store_run base;
    struct buffer items;
    size_t at;
    const struct buffer *meta; /* NULL: without one */
    bool meta_gone;            /* it was given */
};

struct filling {
    struct machine_filler base;
    struct store *store;
    struct mark mark;
    struct history history;
    uint64_t window_bytes;
    bool waits;
    struct buffer items; /* the window that fills */
    struct window_run run;
    struct store_flush flush;
    bool flushing, ending; /* ending: the last one is flushed, or was */
    struct buffer meta;    /* empty: it has not come yet */
    struct digest digest;  /* as that says, and: */
    uint64_t keys;
    enum err failed;
    struct why why;
    struct record_wait *waiting;
};

static struct filling *filling_of(struct machine_filler *base)
{
    return CONTAINER_OF(base, struct filling, base);
}

/* --- Windows --- */

static void take_item(struct window_run *run, struct store_item *item)
{
    const uint8_t *head = run->items.data + run->at;
    size_t key = load_le32(head), value = load_le32(head + 4);
    item->change = STORE_PUT;
    item->key = bytes_of(head + FILL_HEAD_BYTES, key);
    item->value = bytes_of(head + FILL_HEAD_BYTES + key, value);
    run->at += FILL_HEAD_BYTES + key + value;
}

static bool next_item(struct store_run *base, struct store_item *item)
{
    struct window_run *run = CONTAINER_OF(base, struct window_run, base);
    size_t before = run->at;
    bool there = before < run->items.size;
    if (there) take_item(run, item);
    if (run->meta == NULL || run->meta_gone) return there;
    if (there && bytes_compare(item->key, bytes_text("M")) < 0) return true;
    run->at = before;
    run->meta_gone = true;
    *item = (struct store_item){STORE_PUT, bytes_text("M"), buffer_bytes(run->meta)};
    return true;
}

static enum err fail(struct filling *filling, enum err err, const struct why *why)
{
    filling->failed = err;
    filling->why = *why;
    return err;
}

static void flushed(struct store_flush *flush)
{
    struct filling *filling = CONTAINER_OF(flush, struct filling, flush);
    filling->flushing = false;
    buffer_clear(&filling->run.items);
    if (filling->run.items.capacity > 2 * filling->window_bytes) /* of a large value */
        buffer_shrink(&filling->run.items, 0);
    if (flush->err != ERR_OK) (void)fail(filling, flush->err, &flush->why);
    struct record_wait *wait = filling->waiting;
    filling->waiting = NULL;
    if (wait == NULL) return;
    wait->err = flush->err;
    wait->done(wait);
}

/* None is under way. */
static void flush_window(struct filling *filling)
{
    struct buffer items = filling->items;
    filling->items = filling->run.items;
    filling->run = (struct window_run){.base.next = next_item, .items = items};
    if (filling->ending) filling->run.meta = &filling->meta;
    filling->flush = (struct store_flush){.run = &filling->run.base, .done = flushed};
    filling->flushing = true;
    if (!filling->waits) {
        filling->store->ops->flush(filling->store, &filling->flush);
        return;
    }
    filling->flush.err = filling->store->ops->flush_wait(filling->store, &filling->flush);
    flushed(&filling->flush);
    items = filling->items; /* one window's memory is enough */
    filling->items = filling->run.items;
    filling->run.items = items;
}

/* --- Records --- */

/* What is said of a history here. The copies of one are none of another that is made of it: who is
 * asked for a promise there, or waited for, would be a stranger. */
static void become(struct meta *meta, struct history history)
{
    bool same = memcmp(meta->mark.history.id, history.id, sizeof history.id) == 0;
    if (!same) meta->members = (struct bytes){0};
    meta->mark.history = history;
}

/* What the records say of themselves must be what was said of them. */
static enum err take_meta(struct filling *filling, struct bytes value, struct why *why)
{
    struct meta meta;
    enum err err = meta_decode(value, &meta, why);
    if (err != ERR_OK) return err;
    if (!mark_equal(&meta.mark, &filling->mark)) {
        err = why_fail(why, ERR_CORRUPT,
                       "the records are of LSN %" PRIu64
                       " or of another lineage, not of LSN %" PRIu64,
                       meta.mark.lsn.at, filling->mark.lsn.at);
    } else if (meta.effects.first != meta.effects.end) {
        err = why_fail(why, ERR_CORRUPT, "the records say that the stream of effects is with them");
    } else {
        filling->keys = 0;
        for (unsigned i = 0; i < DATABASES; i++) filling->keys += meta.databases[i].keys;
        filling->digest = meta_digest(meta.databases);
        become(&meta, filling->history);
        meta_encode(&meta, &filling->meta);
    }
    memory_free(meta.epochs);
    return err;
}

static enum err take(struct filling *filling, struct bytes key, struct bytes value, struct why *why)
{
    if (bytes_equal(key, bytes_text("M"))) return take_meta(filling, value, why);
    if (key.size > 0 && key.data[0] == LAYOUT_STREAM)
        return why_fail(why, ERR_CORRUPT, "a record is a piece of the stream of effects");
    buffer_append_le32(&filling->items, (uint32_t)key.size);
    buffer_append_le32(&filling->items, (uint32_t)value.size);
    buffer_append(&filling->items, key);
    buffer_append(&filling->items, value);
    return ERR_OK;
}

static enum err failed(const struct filling *filling, struct why *why)
{
    if (filling->failed != ERR_OK) *why = filling->why;
    return filling->failed;
}

static enum err filler_add(struct machine_filler *base, struct bytes key, struct bytes value,
                           struct why *why)
{
    struct filling *filling = filling_of(base);
    MUST(!filling->ending);
    if (filling->items.size >= filling->window_bytes && filling->failed == ERR_OK) {
        if (filling->flushing) return ERR_PENDING;
        flush_window(filling);
    }
    enum err err = failed(filling, why);
    if (err != ERR_OK) return err;
    err = take(filling, key, value, why);
    return err == ERR_OK ? err : fail(filling, err, why);
}

/* --- The end --- */

static enum err prove(const struct filling *filling, struct digest digest, uint64_t keys,
                      struct why *why)
{
    if (filling->meta.size == 0) return why_fail(why, ERR_CORRUPT, "the records have no mark");
    if (digest_equal(filling->digest, digest) && filling->keys == keys) return ERR_OK;
    return why_fail(why, ERR_CORRUPT, "the records have another digest than was said of them");
}

static enum err read_back(const struct filling *filling, struct why *why)
{
    struct buffer value;
    buffer_init(&value);
    enum err err = filling->store->ops->get(filling->store, bytes_text("M"), STORE_WAIT, &value);
    if (err != ERR_OK || !bytes_equal(buffer_bytes(&value), buffer_bytes(&filling->meta)))
        err = why_fail(why, err == ERR_IO ? ERR_IO : ERR_CORRUPT,
                       "the mark that was written cannot be read back");
    buffer_release(&value);
    return err;
}

static enum err filler_end(struct machine_filler *base, struct digest digest, uint64_t keys,
                           struct why *why)
{
    struct filling *filling = filling_of(base);
    enum err err = failed(filling, why);
    if (err != ERR_OK) return err;
    if (filling->flushing) return ERR_PENDING;
    if (!filling->ending) {
        err = prove(filling, digest, keys, why);
        if (err != ERR_OK) return fail(filling, err, why);
        filling->ending = true;
        flush_window(filling);
        if (filling->flushing) return ERR_PENDING;
        err = failed(filling, why);
    }
    if (err == ERR_OK) err = read_back(filling, why);
    return err == ERR_OK ? err : fail(filling, err, why);
}

static bool filler_wait(struct machine_filler *base, struct record_wait *wait)
{
    struct filling *filling = filling_of(base);
    MUST(filling->waiting == NULL);
    if (filling->flushing) filling->waiting = wait;
    return filling->flushing;
}

/* --- Open and closed --- */

static const struct machine_filler_ops filler_ops = {filler_add, filler_end, filler_wait};

enum err state_filler_open(struct machine_filler **out, struct store *store,
                           const struct machine_fill *fill, struct why *why)
{
    *out = NULL;
    enum err err = proof_empty(store, why);
    if (err == ERR_EXISTS) err = why_fail(why, ERR_REFUSED, "the store is not empty");
    if (err != ERR_OK) return err;
    struct filling *filling = memory_zeroed(1, sizeof *filling);
    filling->base.ops = &filler_ops;
    filling->store = store;
    filling->mark = fill->mark;
    filling->history = fill->history;
    filling->window_bytes = fill->window_bytes;
    filling->waits = fill->waits;
    buffer_init(&filling->items);
    buffer_init(&filling->run.items);
    buffer_init(&filling->meta);
    *out = &filling->base;
    return ERR_OK;
}

void state_filler_close(struct machine_filler *filler)
{
    if (filler == NULL) return;
    struct filling *filling = filling_of(filler);
    buffer_release(&filling->items);
    buffer_release(&filling->run.items);
    buffer_release(&filling->meta);
    memory_free(filling);
}

enum machine_found state_found(struct store *store, struct history history)
{
    struct buffer value;
    buffer_init(&value);
    struct meta meta = {.epoch_count = 0};
    struct why why;
    enum machine_found found = MACHINE_UNREADABLE;
    enum err err = store->ops->get(store, bytes_text("M"), STORE_WAIT, &value);
    if (err == ERR_OK) {
        err = meta_decode(buffer_bytes(&value), &meta, &why);
        found = err == ERR_REFUSED ? MACHINE_LATER : MACHINE_BAD_MARK;
        bool ours = memcmp(meta.mark.history.id, history.id, sizeof history.id) == 0;
        if (err == ERR_OK) found = ours ? MACHINE_MARK : MACHINE_FOREIGN;
    } else if (err == ERR_NOT_FOUND) {
        err = proof_empty(store, &why);
        if (err == ERR_OK) found = MACHINE_EMPTY;
        if (err == ERR_EXISTS) found = MACHINE_NO_MARK;
    }
    memory_free(meta.epochs);
    buffer_release(&value);
    return found;
}
