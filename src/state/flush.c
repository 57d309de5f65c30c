/* SPDX-License-Identifier: Apache-2.0 */
/* The flush: freeze, one run of everything that is frozen, thaw (core.h has the diagram).
 *
 * A freeze is a swap of lists: it touches no record. The store's thread then sorts the lists in
 * place and walks them; the loop reads frozen records meanwhile and leaves them as they are: what
 * it changes becomes a new record of the active generation, and the old one is kept until the thaw.
 * The meta record with the mark goes in the same run, so that mark, digest and records are of one
 * moment (I1); it is read back before anybody hears of it (I5).
 *
 * No space: the generation stays frozen and the next flush tries the same run again. */
#include "base/memory.h"
#include "base/plant.h"
#include "base/trace.h"
#include "state/core.h"
#include "state/sort.h"

/* In the order of the store's keys, behind the ranges. */
enum stage {
    STAGE_RANGES,
    STAGE_ELEMENTS,
    STAGE_KEYS,
    STAGE_ITEMS,
    STAGE_META,
    STAGE_REST,
    STAGE_END
};
/* FLUSH_HALF, a planted bug, makes two runs of one. */
enum half { HALF_NONE, HALF_FIRST, HALF_SECOND };

struct flush_job {
    struct state *state;
    struct machine_flush *asked;
    struct store_flush request;
    struct store_warm warm;
    struct store_range warm_range;
    struct buffer meta;
    struct keyspace *spaces[DATABASES]; /* those with frozen keys, by namespace */
    uint64_t namespaces[DATABASES];     /* theirs: an evaluation taken back writes a meta whole */
    size_t space_count;
    enum half half;

    /* The run: the store's thread's, until done. */
    struct store_run run;
    bool sorted;
    enum stage stage;
    size_t at;                 /* range, keyspace or strand */
    size_t record;             /* in the keyspace */
    struct strand_place place; /* in the strand */
    const struct cell *cell;   /* the next one there; NULL: the strand is not begun */
    struct buffer key;
    struct prefix range, range_end;
};

/* --- The run --- */

static bool next_range(struct flush_job *job, struct store_item *item)
{
    const struct generation *frozen = &job->state->frozen;
    if (job->at == frozen->range_count) return false;
    job->range = frozen->ranges[job->at++];
    job->range_end = layout_end(&job->range);
    *item = (struct store_item){STORE_DELETE_RANGE, prefix_bytes(&job->range),
                                prefix_bytes(&job->range_end)};
    return true;
}

static bool next_key(struct flush_job *job, struct store_item *item)
{
    while (job->at < job->space_count) {
        const struct keyspace *space = job->spaces[job->at];
        if (job->record == space->frozen.count) {
            job->at++;
            job->record = 0;
            continue;
        }
        const struct record *record = space->frozen.at[job->record++].record;
        layout_put_key(&job->key, job->namespaces[job->at], record->hash, record_name(record));
        *item = (struct store_item){record->absent ? STORE_DELETE : STORE_PUT,
                                    buffer_bytes(&job->key), record_value(record)};
        return true;
    }
    return false;
}

/* The cells of the strands from job->at on, as long as their kind is not above `last`. */
static bool next_cell(struct flush_job *job, enum layout last, struct store_item *item)
{
    const struct generation *frozen = &job->state->frozen;
    for (; job->at < frozen->count; job->at++) {
        const struct strand *strand = frozen->list[job->at];
        if (strand->prefix.at[0] > (uint8_t)last) return false;
        if (job->cell == NULL && !generation_is_dead(frozen, strand->namespace)) {
            job->cell = strand_seek(strand, 0, (struct bytes){0}, &job->place);
        }
        const struct cell *cell = job->cell;
        if (cell == NULL) continue;
        layout_put_strand(&job->key, &strand->prefix, cell->order, cell_tail(cell));
        *item = (struct store_item){cell->absent ? STORE_DELETE : STORE_PUT,
                                    buffer_bytes(&job->key), cell_value(cell)};
        job->cell = strand_next(&job->place);
        if (job->cell == NULL) job->at++;
        return true;
    }
    return false;
}

static bool next_of_stage(struct flush_job *job, struct store_item *item)
{
    switch (job->stage) {
    case STAGE_RANGES: return job->half != HALF_SECOND && next_range(job, item);
    case STAGE_ELEMENTS: return job->half != HALF_FIRST && next_cell(job, LAYOUT_ELEMENT, item);
    case STAGE_KEYS: return job->half != HALF_SECOND && next_key(job, item);
    case STAGE_ITEMS: return job->half != HALF_FIRST && next_cell(job, LAYOUT_ITEM, item);
    case STAGE_META:
        if (job->half == HALF_SECOND || job->at > 0) return false;
        job->at = 1;
        *item = (struct store_item){STORE_PUT, bytes_text("M"), buffer_bytes(&job->meta)};
        return true;
    case STAGE_REST: return job->half != HALF_FIRST && next_cell(job, LAYOUT_EXPIRY, item);
    case STAGE_END: break;
    }
    return false;
}

/* The first strand whose kind is above `kind`. */
static size_t strands_behind(const struct generation *frozen, enum layout kind)
{
    size_t at = 0;
    while (at < frozen->count && frozen->list[at]->prefix.at[0] <= (uint8_t)kind) at++;
    return at;
}

static void begin_stage(struct flush_job *job)
{
    const struct generation *frozen = &job->state->frozen;
    job->record = 0;
    job->cell = NULL;
    job->at = 0;
    if (job->stage == STAGE_ITEMS) job->at = strands_behind(frozen, LAYOUT_ELEMENT);
    if (job->stage == STAGE_REST) job->at = strands_behind(frozen, LAYOUT_ITEM);
}

static bool run_next(struct store_run *run, struct store_item *item)
{
    struct flush_job *job = CONTAINER_OF(run, struct flush_job, run);
    if (!job->sorted) {
        job->sorted = true;
        sort_strands(job->state->frozen.list, job->state->frozen.count);
        for (size_t i = 0; i < job->space_count; i++) {
            sort_changes(job->spaces[i]->frozen.at, job->spaces[i]->frozen.count);
        }
    }
    while (job->stage != STAGE_END) {
        if (next_of_stage(job, item)) return true;
        job->stage++;
        begin_stage(job);
    }
    return false;
}

/* --- Freezing --- */

static void job_add_space(struct flush_job *job, struct keyspace *space)
{
    size_t at = job->space_count++;
    for (; at > 0 && job->namespaces[at - 1] > space->meta.namespace; at--) {
        job->spaces[at] = job->spaces[at - 1];
        job->namespaces[at] = job->namespaces[at - 1];
    }
    job->spaces[at] = space;
    job->namespaces[at] = space->meta.namespace;
}

static void freeze_meta(const struct state *state, struct buffer *out)
{
    struct meta meta = {.mark = state->active.mark,
                        .stamp = state->stamp,
                        .namespaces = state->namespaces,
                        .epochs = state->epochs,
                        .epoch_count = state->epoch_count};
    for (unsigned i = 0; i < DATABASES; i++) meta.databases[i] = state->databases[i]->meta;
    meta_encode(&meta, out);
}

/* Room for the longest key, so that the store's thread need not ask for more. */
static void reserve_key(struct flush_job *job)
{
    const struct generation *frozen = &job->state->frozen;
    size_t most = 0;
    for (size_t i = 0; i < job->space_count; i++) {
        size_t size = LAYOUT_KEY_HEAD_BYTES + job->spaces[i]->frozen.name_max;
        if (size > most) most = size;
    }
    size_t tail = frozen->tail_max + PREFIX_BYTES_MAX + 8;
    (void)buffer_reserve(&job->key, tail > most ? tail : most);
}

static void freeze(struct state *state)
{
    MUST(state->phase == FROZEN_NONE && state->job == NULL);
    MUST(journal_is_empty(&state->journal));
    struct flush_job *job = memory_zeroed(1, sizeof *job);
    job->state = state;
    buffer_init(&job->meta);
    buffer_init(&job->key);
    freeze_meta(state, &job->meta);
    for (unsigned i = 0; i < DATABASES; i++) {
        struct keyspace *space = state->databases[i];
        if (space->active.count == 0) continue;
        space->frozen = space->active;
        space->active = (struct changes){0};
        space->stored = true;
        job_add_space(job, space);
    }
    generation_release(&state->frozen);
    state->frozen = state->active;
    generation_init(&state->active, state->frozen.number + 1);
    state->active.mark = state->frozen.mark;
    state->job = job;
    reserve_key(job);
}

/* --- The flush --- */

static void verify(struct flush_job *job);

static void job_end(struct flush_job *job, enum err err)
{
    struct machine_flush *asked = job->asked;
    struct state *state = job->state;
    job->asked = NULL;
    asked->err = err;
    asked->flushed = state->flushed.lsn;
    if (err == ERR_OK) {
        buffer_release(&job->meta);
        buffer_release(&job->key);
        memory_free(job);
        state->job = NULL;
    } else {
        state->phase = FROZEN_WAITING;
    }
    asked->done(asked);
}

static void verified(struct flush_job *job, struct bytes value)
{
    struct state *state = job->state;
    if (!bytes_equal(value, buffer_bytes(&job->meta))) {
        job_end(job, why_fail(&job->asked->why, ERR_CORRUPT,
                              "the store gives back another mark than was flushed"));
        return;
    }
    state->flushed = state->frozen.mark;
    state->phase = FROZEN_THAWING;
    trace_event(state->trace, TRACE_VERBOSE, "state", "flushed",
                "lsn=%llu bytes=%llu collections=%zu ranges=%zu",
                (unsigned long long)state->flushed.lsn.at,
                (unsigned long long)generation_bytes(&state->frozen), state->frozen.count,
                state->frozen.range_count);
    job_end(job, ERR_OK);
}

static void verify_warmed(struct store_warm *warm)
{
    struct flush_job *job = CONTAINER_OF(warm, struct flush_job, warm);
    if (warm->err == ERR_OK) {
        verify(job);
        return;
    }
    job->asked->why = warm->why;
    job_end(job, warm->err);
}

/* Reads the mark back: what was flushed is what was frozen. */
static void verify(struct flush_job *job)
{
    struct state *state = job->state;
    struct buffer value;
    buffer_init(&value);
    state->phase = FROZEN_VERIFYING;
    enum err err = state->store->ops->get(state->store, bytes_text("M"), STORE_NO_WAIT, &value);
    if (err == ERR_PENDING) {
        job->warm_range = (struct store_range){.from = bytes_text("M"), .bytes_max = 1};
        job->warm = (struct store_warm){
            .ranges = &job->warm_range, .count = 1, .done = verify_warmed};
        state->store->ops->warm(state->store, &job->warm);
    } else if (err == ERR_OK) {
        verified(job, buffer_bytes(&value));
    } else {
        job_end(job, why_fail(&job->asked->why, err == ERR_NOT_FOUND ? ERR_CORRUPT : err,
                              "the mark that was flushed cannot be read back"));
    }
    buffer_release(&value);
}

static void hand_over(struct flush_job *job)
{
    struct state *state = job->state;
    state->phase = FROZEN_FLUSHING;
    job->stage = STAGE_RANGES;
    begin_stage(job);
    job->run.next = run_next;
    job->request.run = &job->run;
    state->store->ops->flush(state->store, &job->request);
}

static void flushed(struct store_flush *request)
{
    struct flush_job *job = CONTAINER_OF(request, struct flush_job, request);
    if (request->err != ERR_OK) {
        job->asked->why = request->why;
        job_end(job, request->err);
    } else if (job->half == HALF_FIRST) {
        job->half = HALF_SECOND;
        hand_over(job);
    } else {
        verify(job);
    }
}

void state_flush(struct machine *machine, struct machine_flush *asked)
{
    struct state *state = state_of(machine);
    MUST(state->phase == FROZEN_NONE || state->phase == FROZEN_WAITING ||
         state->phase == FROZEN_THAWING);
    while (state->phase == FROZEN_THAWING) state_thaw(state, SIZE_MAX);
    if (state->phase == FROZEN_NONE) freeze(state);
    struct flush_job *job = state->job;
    job->asked = asked;
    job->half = PLANTED(FLUSH_HALF) ? HALF_FIRST : HALF_NONE;
    job->request = (struct store_flush){.done = flushed};
    hand_over(job);
}

/* --- Thawing --- */

/* A frozen record that the store has now. */
static void thaw_record(struct state *state, struct keyspace *space, struct record *record)
{
    bool room = state->cache_bytes + record_bytes(record) <= state->cache_bytes_max;
    if (record->superseded) {
        memory_free(record);
    } else if (record->absent || space->dead || (!room && !record->used)) {
        /* It is at hand now, and its neighbours in the table come next: cheaper than to find it
         * again. */
        table_remove(&space->keys, record->hash, record);
        if (!record->absent) space->live--;
        memory_free(record);
    } else {
        record->generation = 0;
        record->used = false;
        space->clean_bytes += record_bytes(record);
        state->cache_bytes += record_bytes(record);
    }
}

/* Returns what is left of `limit`. */
static size_t thaw_keys(struct state *state, size_t limit)
{
    enum { AHEAD = 8 };
    for (struct list *node = state->spaces.next; node != &state->spaces; node = node->next) {
        struct keyspace *space = CONTAINER_OF(node, struct keyspace, node);
        if (space->frozen.at == NULL) continue;
        for (; limit > 0 && space->frozen.count > 0; limit--) {
            const struct change *next = &space->frozen.at[--space->frozen.count];
            if (space->frozen.count >= AHEAD) __builtin_prefetch((next - AHEAD)->record);
            thaw_record(state, space, next->record);
        }
        if (space->frozen.count == 0) changes_release(&space->frozen);
    }
    return limit;
}

static size_t thaw_strands(struct state *state, size_t limit)
{
    struct generation *frozen = &state->frozen;
    while (limit > 0 && frozen->count > 0) {
        struct strand *strand = frozen->list[frozen->count - 1];
        size_t freed = strand_drain(strand, limit) + 1;
        if (strand->count == 0) {
            memory_free(strand);
            frozen->count--;
        }
        limit -= freed < limit ? freed : limit;
    }
    return limit;
}

void state_thaw(struct state *state, size_t limit)
{
    MUST(state->phase == FROZEN_THAWING);
    limit = thaw_keys(state, limit);
    limit = thaw_strands(state, limit);
    if (limit == 0) return;
    generation_release(&state->frozen);
    state->settled = state->frozen.number;
    state->phase = FROZEN_NONE;
}

void state_flush_forget(struct state *state)
{
    for (struct list *node = state->spaces.next; node != &state->spaces; node = node->next) {
        struct keyspace *space = CONTAINER_OF(node, struct keyspace, node);
        for (size_t i = 0; i < space->frozen.count; i++) {
            if (space->frozen.at[i].record->superseded) memory_free(space->frozen.at[i].record);
        }
    }
    if (state->job == NULL) return;
    buffer_release(&state->job->meta);
    buffer_release(&state->job->key);
    memory_free(state->job);
    state->job = NULL;
}
