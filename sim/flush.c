/* SPDX-License-Identifier: Apache-2.0 */
/* A flush of a simulated store: reads the run, puts the new version in place, tells. */
#include "sim/stores.h"

#include "base/checksum.h"
#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"

enum { STORE_NOTE = 64, STORE_PIECE_ITEMS_MAX = 256, STORE_LOW_BYTES = 320 << 10 };

void sim_store_look_after_space(struct sim_store *store)
{
    store->is_low = !sim_disk_has_room(store->stores->node->disk, STORE_LOW_BYTES);
}

void sim_flushing_drop(struct sim_flushing *flushing)
{
    sim_world_cancel(flushing->store->stores->node->world, &flushing->event);
    flushing->store->flushing = NULL;
    sim_tree_drop(flushing->next);
    buffer_release(&flushing->last);
    memory_free(flushing);
}

static void flushing_apply(struct sim_flushing *flushing, const struct store_item *item)
{
    uint64_t sizes[3] = {(uint64_t)item->change, item->key.size, item->value.size};
    struct bytes parts[4] = {bytes_of(&flushing->hash, sizeof(flushing->hash)),
                             bytes_of(sizes, sizeof(sizes)), item->key, item->value};
    flushing->hash = checksum64_parts(parts, 4, 0);
    flushing->items++;
    if (item->change == STORE_DELETE_RANGE) {
        MUST(!flushing->has_last); /* ranges come first */
        flushing->next = sim_tree_delete_range(flushing->next, item->key, item->value);
        return;
    }
    struct bytes last = buffer_bytes(&flushing->last);
    MUST(!flushing->has_last || bytes_compare(last, item->key) < 0); /* strictly ascending */
    flushing->has_last = true;
    buffer_clear(&flushing->last);
    buffer_append(&flushing->last, item->key);
    if (item->change == STORE_PUT) {
        flushing->next = sim_tree_put(flushing->next, item->key, item->value);
    } else {
        MUST(item->change == STORE_DELETE);
        flushing->next = sim_tree_delete(flushing->next, item->key);
    }
}

/* Reads up to `count` items. True at the end of the run. */
static bool flushing_read(struct sim_flushing *flushing, uint64_t count)
{
    struct sim_node *node = flushing->store->stores->node;
    struct store_run *run = flushing->flush->run;
    for (uint64_t i = 0; i < count; i++) {
        struct store_item item;
        bool more;
        SIM_CALL_NODE(node, more = run->next(run, &item));
        if (!more) return true;
        flushing_apply(flushing, &item);
    }
    return false;
}

static void flushing_put_in_place(struct sim_flushing *flushing)
{
    struct sim_held *held = flushing->store->held;
    sim_tree_drop(held->tree);
    held->tree = flushing->next;
    held->base.bytes = sim_tree_bytes(held->tree);
    flushing->next = NULL;
    flushing->phase = FLUSH_TELLING;
}

/* The commit, one I/O operation: all or nothing. */
static void flushing_commit(struct sim_flushing *flushing)
{
    struct sim_node *node = flushing->store->stores->node;
    enum sim_moment moment = sim_node_count_io(node);
    if (moment == SIM_BEFORE) {
        flushing->phase = FLUSH_READING; /* nothing of it is to survive */
        sim_node_die(node);
    }
    if (moment == SIM_DURING) sim_node_die(node); /* the cut decides */
    uint64_t old = flushing->store->held->base.bytes, new = sim_tree_bytes(flushing->next);
    if (flushing->err == ERR_OK && new > old && !sim_disk_has_room(node->disk, new - old)) {
        flushing->err = ERR_SPACE;
    }
    sim_store_look_after_space(flushing->store);
    if (flushing->err == ERR_OK) {
        flushing_put_in_place(flushing);
        uint64_t facts[2] = {flushing->items, flushing->hash};
        sim_world_note_bytes(node->world, STORE_NOTE, bytes_of(facts, sizeof(facts)));
    } else if (flushing->err != ERR_SPACE) {
        flushing->store->is_shut = true;
    }
    flushing->phase = FLUSH_TELLING;
    if (moment == SIM_AFTER) sim_node_die(node);
}

static void flushing_answer(struct sim_flushing *flushing)
{
    struct store_flush *flush = flushing->flush;
    flush->err = flushing->err;
    flush->why.text[0] = '\0';
    if (flush->err != ERR_OK) {
        (void)why_fail(&flush->why, flush->err, "cannot flush %s: %s", flushing->store->path,
                       err_name(flush->err));
    }
}

static void flushing_tell(struct sim_flushing *flushing)
{
    struct store_flush *flush = flushing->flush;
    struct sim_node *node = flushing->store->stores->node;
    flushing_answer(flushing);
    sim_flushing_drop(flushing);
    SIM_CALL_NODE(node, flush->done(flush));
}

static void flushing_arrived(struct sim_event *event)
{
    struct sim_flushing *flushing = CONTAINER_OF(event, struct sim_flushing, event);
    struct dice *dice = sim_world_dice(flushing->store->stores->node->world, SIM_DICE_STORE);
    uint64_t piece = 1 + dice_below(dice, STORE_PIECE_ITEMS_MAX);
    switch (flushing->phase) {
    case FLUSH_READING:
        if (flushing_read(flushing, piece)) flushing->phase = FLUSH_COMMITTING;
        sim_world_plan(flushing->store->stores->node->world, event,
                       1 + dice_below(dice, piece * 4));
        return;
    case FLUSH_COMMITTING:
        flushing_commit(flushing);
        sim_world_plan(flushing->store->stores->node->world, event, 1 + dice_below(dice, 100));
        return;
    case FLUSH_TELLING: flushing_tell(flushing); return;
    }
    MUST(false);
}

/* The begin, one I/O operation. */
static struct sim_flushing *flushing_begin(struct sim_store *store, struct store_flush *flush)
{
    struct sim_node *node = store->stores->node;
    MUST(store->flushing == NULL);
    MUST(flush->run != NULL);
    struct sim_flushing *flushing = memory_zeroed(1, sizeof(*flushing));
    flushing->event = (struct sim_event){
        .fired = flushing_arrived, .node = node, .kind = SIM_EVENT_FLUSH};
    flushing->store = store;
    flushing->flush = flush;
    flushing->next = sim_tree_share(store->held->tree);
    buffer_init(&flushing->last);
    store->flushing = flushing;
    if (store->is_shut) {
        flushing->err = ERR_SHUT;
        flushing->phase = FLUSH_TELLING;
        return flushing;
    }
    enum sim_moment moment = sim_node_count_io(node);
    if (moment != SIM_MOMENT_NONE) sim_node_die(node);
    flushing->err = sim_store_roll(store->stores, SIM_STORE_FLUSH, store->path);
    /* A failure comes before the run is looked at, or after its last item. */
    if (flushing->err != ERR_OK && dice_chance(sim_world_dice(node->world, SIM_DICE_STORE), 1, 2)) {
        flushing->phase = FLUSH_COMMITTING;
    }
    return flushing;
}

void sim_store_flush(struct store *base, struct store_flush *flush)
{
    struct sim_store *store = CONTAINER_OF(base, struct sim_store, base);
    struct sim_heap *before = sim_heap_enter(NULL);
    MUST(flush->done != NULL);
    const struct sim_stores_profile *profile = &store->stores->profile;
    uint64_t latency = sim_store_latency(store, SIM_STORE_FLUSH, profile->flush_us_min,
                                         profile->flush_us_max);
    struct sim_flushing *flushing = flushing_begin(store, flush);
    sim_world_plan(store->stores->node->world, &flushing->event, latency);
    (void)sim_heap_enter(before);
}

enum err sim_store_flush_wait(struct store *base, struct store_flush *flush)
{
    struct sim_store *store = CONTAINER_OF(base, struct sim_store, base);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct sim_flushing *flushing = flushing_begin(store, flush);
    sim_flushing_finish(flushing);
    flushing_answer(flushing);
    sim_flushing_drop(flushing);
    (void)sim_heap_enter(before);
    return flush->err;
}

void sim_flushing_finish(struct sim_flushing *flushing)
{
    if (flushing->phase == FLUSH_READING) {
        (void)flushing_read(flushing, UINT64_MAX);
        flushing->phase = FLUSH_COMMITTING;
    }
    if (flushing->phase == FLUSH_COMMITTING) flushing_commit(flushing);
}

void sim_flushing_cut(struct sim_flushing *flushing, enum sim_keep keep, struct dice *dice)
{
    if (flushing->phase != FLUSH_COMMITTING || flushing->err != ERR_OK) return;
    if (keep == SIM_KEEP_NOTHING) return;
    if (keep == SIM_KEEP_ALL || dice_chance(dice, 1, 2)) flushing_put_in_place(flushing);
}
