/* SPDX-License-Identifier: Apache-2.0 */
#include "state/run.h"

#include "state/sort.h"

static bool next_range(struct run *run, struct store_item *item)
{
    const struct generation *generation = run->generation;
    if (run->at == generation->range_count) return false;
    run->range = generation->ranges[run->at++];
    *item = (struct store_item){STORE_DELETE_RANGE, prefix_bytes(&run->range.from),
                                prefix_bytes(&run->range.to)};
    return true;
}

static bool next_key(struct run *run, struct store_item *item)
{
    while (run->at < run->space_count) {
        const struct changes *changes = run->changes[run->at];
        if (run->record == changes->count) {
            run->at++;
            run->record = 0;
            continue;
        }
        const struct record *record = changes->at[run->record++].record;
        layout_put_key(&run->key, run->namespaces[run->at], record->hash, record_name(record));
        *item = (struct store_item){record->absent ? STORE_DELETE : STORE_PUT,
                                    buffer_bytes(&run->key), record_value(record)};
        return true;
    }
    return false;
}

/* The cells of the strands from run->at on, as long as their kind is not above `last`. */
static bool next_cell(struct run *run, enum layout last, struct store_item *item)
{
    const struct generation *generation = run->generation;
    for (; run->at < generation->count; run->at++) {
        const struct strand *strand = generation->list[run->at];
        if (strand->prefix.at[0] > (uint8_t)last) return false;
        if (run->cell == NULL && !generation_is_dead(generation, strand->namespace)) {
            bool stream = strand->prefix.at[0] == LAYOUT_STREAM;
            uint64_t from = stream ? run->stream_first : 0;
            run->cell = strand_seek(strand, from, (struct bytes){0}, &run->place);
        }
        const struct cell *cell = run->cell;
        if (cell == NULL) continue;
        layout_put_strand(&run->key, &strand->prefix, cell->order, cell_tail(cell));
        *item = (struct store_item){cell->absent ? STORE_DELETE : STORE_PUT,
                                    buffer_bytes(&run->key), cell_value(cell)};
        run->cell = strand_next(&run->place);
        if (run->cell == NULL) run->at++;
        return true;
    }
    return false;
}

static bool next_of_stage(struct run *run, struct store_item *item)
{
    switch (run->stage) {
    case STAGE_RANGES: return run->half != HALF_SECOND && next_range(run, item);
    case STAGE_ELEMENTS: return run->half != HALF_FIRST && next_cell(run, LAYOUT_ELEMENT, item);
    case STAGE_KEYS: return run->half != HALF_SECOND && next_key(run, item);
    case STAGE_ITEMS: return run->half != HALF_FIRST && next_cell(run, LAYOUT_ITEM, item);
    case STAGE_META:
        if (run->half == HALF_SECOND || run->at > 0 || run->meta.size == 0) return false;
        run->at = 1;
        *item = (struct store_item){STORE_PUT, bytes_text("M"), buffer_bytes(&run->meta)};
        return true;
    case STAGE_REST: return run->half != HALF_FIRST && next_cell(run, LAYOUT_EXPIRY, item);
    case STAGE_END: break;
    }
    return false;
}

/* The first strand whose kind is above `kind`. */
static size_t strands_behind(const struct generation *generation, enum layout kind)
{
    size_t at = 0;
    while (at < generation->count && generation->list[at]->prefix.at[0] <= (uint8_t)kind) at++;
    return at;
}

static void begin_stage(struct run *run)
{
    run->record = 0;
    run->cell = NULL;
    run->at = 0;
    if (run->stage == STAGE_ITEMS) run->at = strands_behind(run->generation, LAYOUT_ELEMENT);
    if (run->stage == STAGE_REST) run->at = strands_behind(run->generation, LAYOUT_ITEM);
}

static bool run_next(struct store_run *base, struct store_item *item)
{
    struct run *run = CONTAINER_OF(base, struct run, base);
    if (!run->sorted) {
        run->sorted = true;
        sort_strands(run->generation->list, run->generation->count);
        for (size_t i = 0; i < run->space_count; i++) {
            sort_changes(run->changes[i]->at, run->changes[i]->count);
        }
    }
    while (run->stage != STAGE_END) {
        if (next_of_stage(run, item)) return true;
        run->stage++;
        begin_stage(run);
    }
    return false;
}

void run_init(struct run *run, struct generation *generation)
{
    *run = (struct run){.base.next = run_next, .generation = generation};
    buffer_init(&run->meta);
    buffer_init(&run->key);
}

void run_release(struct run *run)
{
    buffer_release(&run->meta);
    buffer_release(&run->key);
}

void run_add(struct run *run, uint64_t namespace, struct changes *changes)
{
    size_t at = run->space_count++;
    for (; at > 0 && run->namespaces[at - 1] > namespace; at--) {
        run->changes[at] = run->changes[at - 1];
        run->namespaces[at] = run->namespaces[at - 1];
    }
    run->changes[at] = changes;
    run->namespaces[at] = namespace;
}

/* Room for the longest key, so that the store's thread need not ask for more. */
static void reserve_key(struct run *run)
{
    size_t most = run->generation->tail_max + PREFIX_BYTES_MAX + 8;
    for (size_t i = 0; i < run->space_count; i++) {
        size_t size = LAYOUT_KEY_HEAD_BYTES + run->changes[i]->name_max;
        if (size > most) most = size;
    }
    (void)buffer_reserve(&run->key, most);
}

void run_begin(struct run *run)
{
    buffer_clear(&run->key);
    reserve_key(run);
    run->stage = STAGE_RANGES;
    begin_stage(run);
}
