/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a new store with the records of another one, as an image has them.
 *
 * They are flushed in windows, each a sorted run of its own. The meta record is held back and goes
 * with the last window, whatever its place in the order: so a crash on the way leaves a store that
 * holds records and no mark, which nobody opens, and the mark is never written alone (I1).
 *
 * The stream of effects does not come along, and goes on at its end. */
#include <inttypes.h>

#include "base/memory.h"
#include "state/layout.h"
#include "state/meta.h"
#include "state/proof.h"
#include "state/state.h"

enum { FILL_HEAD_BYTES = 8 };

struct filling {
    struct store_run run;
    struct store *store;
    const struct machine_fill *fill;
    struct buffer items; /* of the window: {le32 key size, le32 value size, key, value} */
    size_t at;
    struct buffer meta;   /* empty: it has not come yet */
    bool last, meta_gone; /* this run is the last one; it has given the meta record */
};

static void take_item(struct filling *filling, struct store_item *item)
{
    const uint8_t *head = filling->items.data + filling->at;
    size_t key = load_le32(head), value = load_le32(head + 4);
    item->change = STORE_PUT;
    item->key = bytes_of(head + FILL_HEAD_BYTES, key);
    item->value = bytes_of(head + FILL_HEAD_BYTES + key, value);
    filling->at += FILL_HEAD_BYTES + key + value;
}

static bool next_item(struct store_run *run, struct store_item *item)
{
    struct filling *filling = CONTAINER_OF(run, struct filling, run);
    size_t before = filling->at;
    bool there = before < filling->items.size;
    if (there) take_item(filling, item);
    if (!filling->last || filling->meta_gone) return there;
    if (there && bytes_compare(item->key, bytes_text("M")) < 0) return true;
    filling->at = before;
    filling->meta_gone = true;
    *item = (struct store_item){STORE_PUT, bytes_text("M"), buffer_bytes(&filling->meta)};
    return true;
}

static enum err flush(struct filling *filling, bool last, struct why *why)
{
    filling->at = 0;
    filling->last = last;
    struct store_flush request = {.run = &filling->run};
    enum err err = filling->store->ops->flush_wait(filling->store, &request);
    buffer_clear(&filling->items);
    return err == ERR_OK ? err : why_fail(why, err, "%s", request.why.text);
}

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
    const struct machine_fill *fill = filling->fill;
    struct meta meta;
    enum err err = meta_decode(value, &meta, why);
    if (err != ERR_OK) return err;
    uint64_t keys = 0;
    for (unsigned i = 0; i < DATABASES; i++) keys += meta.databases[i].keys;
    if (!mark_equal(&meta.mark, &fill->mark)) {
        err = why_fail(why, ERR_CORRUPT,
                       "the records are of LSN %" PRIu64
                       " or of another lineage, not of LSN %" PRIu64,
                       meta.mark.lsn.at, fill->mark.lsn.at);
    } else if (!digest_equal(meta_digest(meta.databases), fill->digest) || keys != fill->keys) {
        err = why_fail(why, ERR_CORRUPT, "the records have another digest than was said of them");
    } else if (meta.effects.first != meta.effects.end) {
        err = why_fail(why, ERR_CORRUPT, "the records say that the stream of effects is with them");
    } else {
        become(&meta, fill->history);
        meta_encode(&meta, &filling->meta);
    }
    memory_free(meta.epochs);
    return err;
}

static enum err take_all(struct filling *filling, struct why *why)
{
    struct machine_records *records = filling->fill->records;
    for (;;) {
        struct bytes key, value;
        enum err err = records->next(records, &key, &value, why);
        if (err == ERR_NOT_FOUND) return ERR_OK;
        if (err == ERR_OK && bytes_equal(key, bytes_text("M"))) {
            err = take_meta(filling, value, why);
            if (err != ERR_OK) return err;
            continue;
        }
        if (err == ERR_OK && key.size > 0 && key.data[0] == LAYOUT_STREAM)
            err = why_fail(why, ERR_CORRUPT, "a record is a piece of the stream of effects");
        if (err == ERR_OK && filling->items.size >= filling->fill->window_bytes)
            err = flush(filling, false, why);
        if (err != ERR_OK) return err;
        buffer_append_le32(&filling->items, (uint32_t)key.size);
        buffer_append_le32(&filling->items, (uint32_t)value.size);
        buffer_append(&filling->items, key);
        buffer_append(&filling->items, value);
    }
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

enum err state_fill(struct store *store, const struct machine_fill *fill, struct why *why)
{
    struct filling filling = {.run = {.next = next_item}, .store = store, .fill = fill};
    buffer_init(&filling.items);
    buffer_init(&filling.meta);
    enum err err = proof_empty(store, why);
    if (err == ERR_EXISTS) err = why_fail(why, ERR_REFUSED, "the store is not empty");
    if (err == ERR_OK) err = take_all(&filling, why);
    if (err == ERR_OK && filling.meta.size == 0)
        err = why_fail(why, ERR_CORRUPT, "the records have no mark");
    if (err == ERR_OK) err = flush(&filling, true, why);
    if (err == ERR_OK) err = read_back(&filling, why);
    buffer_release(&filling.items);
    buffer_release(&filling.meta);
    return err;
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
