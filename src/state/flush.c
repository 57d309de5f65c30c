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
#include "state/run.h"

struct flush_job {
    struct state *state;
    struct machine_flush *asked;
    struct store_flush request;
    struct store_warm warm;
    struct store_range warm_range;
    unsigned attempts; /* to read the mark back, in vain */
    struct run run;
};

/* --- Freezing --- */

static void freeze_meta(const struct state *state, struct buffer *out)
{
    struct meta meta = {.mark = state->active.mark,
                        .stamp = state->stamp,
                        .namespaces = state->namespaces,
                        .effects = state->effects.place,
                        .followed = state->followed,
                        .epochs = state->epochs,
                        .epoch_count = state->epoch_count,
                        .members = buffer_bytes(&state->members)};
    for (unsigned i = 0; i < DATABASES; i++) meta.databases[i] = state->databases[i]->meta;
    if (PLANTED(STREAM_OFFSET_NOT_IN_META)) meta.effects.end = meta.effects.first;
    meta_encode(&meta, out);
}

static void freeze(struct state *state)
{
    MUST(state->phase == FROZEN_NONE && state->job == NULL);
    MUST(journal_is_empty(&state->journal));
    struct flush_job *job = memory_zeroed(1, sizeof *job);
    job->state = state;
    run_init(&job->run, &state->frozen);
    freeze_meta(state, &job->run.meta);
    for (unsigned i = 0; i < DATABASES; i++) {
        struct keyspace *space = state->databases[i];
        if (space->active.count == 0) continue;
        space->frozen = space->active;
        space->active = (struct changes){0};
        space->stored = true;
        run_add(&job->run, space->meta.namespace, &space->frozen);
    }
    generation_release(&state->frozen);
    state->frozen = state->active;
    generation_init(&state->active, state->frozen.number + 1);
    state->active.mark = state->frozen.mark;
    effects_frozen(state, &job->run);
    state->job = job;
}

/* --- The flush --- */

static void verify(struct flush_job *job);

static void job_end(struct flush_job *job, enum err err)
{
    struct machine_flush *asked = job->asked;
    struct state *state = job->state;
    job->asked = NULL;
    job->attempts = 0;
    asked->err = err;
    asked->flushed = state->flushed.lsn;
    if (err == ERR_OK) {
        run_release(&job->run);
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
    if (!bytes_equal(value, buffer_bytes(&job->run.meta))) {
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
    /* A cache that is too small may have lost it again: at last it is waited for. */
    bool waits = job->attempts++ >= MACHINE_ATTEMPTS_MAX;
    enum err err = state->store->ops->get(state->store, bytes_text("M"),
                                          waits ? STORE_WAIT : STORE_NO_WAIT, &value);
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
    run_begin(&job->run);
    job->request.run = &job->run.base;
    state->store->ops->flush(state->store, &job->request);
}

static void flushed(struct store_flush *request)
{
    struct flush_job *job = CONTAINER_OF(request, struct flush_job, request);
    if (request->err != ERR_OK) {
        job->asked->why = request->why;
        job_end(job, request->err);
    } else if (job->run.half == HALF_FIRST) {
        job->run.half = HALF_SECOND;
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
    job->run.half = PLANTED(FLUSH_HALF) ? HALF_FIRST : HALF_NONE;
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

void state_thaw(struct state *state, size_t limit)
{
    MUST(state->phase == FROZEN_THAWING);
    limit = thaw_keys(state, limit);
    limit = generation_drain(&state->frozen, limit);
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
    run_release(&state->job->run);
    memory_free(state->job);
    state->job = NULL;
}
