/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/canon.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/memory.h"
#include "sim/heap.h"

static struct recording *recording_of(struct machine *machine)
{
    return CONTAINER_OF(machine, struct recording, base);
}

static struct machine *inner_of(const struct machine *machine)
{
    _Static_assert(offsetof(struct recording, base) == 0, "the machine comes first");
    return ((const struct recording *)(const void *)machine)->inner;
}

void canon_add(struct canon *canon, const struct entry *entry, struct digest digest)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    if (canon->count == canon->capacity) {
        canon->capacity = canon->capacity == 0 ? 256 : canon->capacity * 2;
        canon->facts = memory_resize(canon->facts, canon->capacity * sizeof *canon->facts);
    }
    uint8_t *copy = memory_alloc(entry->payload.size + 1);
    memcpy(copy, entry->payload.data, entry->payload.size);
    canon->facts[canon->count++] = (struct fact){.epoch = entry->epoch,
                                                 .stamp = entry->stamp,
                                                 .lineage = entry->lineage,
                                                 .digest = digest,
                                                 .payload = bytes_of(copy, entry->payload.size)};
    (void)sim_heap_enter(before);
}

static void drop_from(struct canon *canon, uint64_t keep)
{
    union {
        const uint8_t *lent;
        uint8_t *owned;
    } payload;
    while (canon->count > keep) {
        payload.lent = canon->facts[--canon->count].payload.data;
        memory_free(payload.owned);
    }
}

/* What stands from `keep` on was lost with the power. */
static void lose(struct canon *canon, uint64_t keep)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    canon->lost += canon->count - keep;
    if (canon->listener != NULL) canon->listener->losing(canon->listener, keep);
    drop_from(canon, keep);
    canon->loss_allowed = false;
    canon->life_from = keep;
    (void)sim_heap_enter(before);
}

static bool fact_is(const struct fact *fact, const struct entry *entry)
{
    return epoch_compare(fact->epoch, entry->epoch) == 0 && fact->stamp.bits == entry->stamp.bits &&
           fact->lineage.hash == entry->lineage.hash && bytes_equal(fact->payload, entry->payload);
}

/* A new entry must be the next in every respect. */
static void check_new(struct canon *canon, const struct entry *entry)
{
    uint64_t at = entry->lsn.at;
    if (at != canon->count + 1) {
        sim_world_fail(canon->world, "history: LSN %" PRIu64 " applied after %" PRIu64, at,
                       canon->count);
        return;
    }
    bool opens = entry->payload.data[0] == ENTRY_EPOCH;
    if (canon->count == 0) {
        if (!opens) sim_world_fail(canon->world, "history: it does not begin with an epoch");
        return;
    }
    const struct fact *last = &canon->facts[canon->count - 1];
    if (entry->stamp.bits <= last->stamp.bits) {
        sim_world_fail(canon->world, "history: the stamp goes back at LSN %" PRIu64, at);
    }
    int step = epoch_compare(last->epoch, entry->epoch);
    if (opens && (step >= 0 || last->epoch.number >= entry->epoch.number)) {
        sim_world_fail(canon->world, "history: LSN %" PRIu64 " opens an epoch that is not higher",
                       at);
    }
    if (!opens && step != 0) {
        sim_world_fail(canon->world, "history: the epoch changes at LSN %" PRIu64, at);
    }
    if (!opens && canon->life_new == 0 && canon->opened) {
        sim_world_fail(canon->world, "history: a life did not open an epoch before LSN %" PRIu64,
                       at);
    }
}

static void check_mark(struct canon *canon, const struct entry *entry)
{
    const struct machine *inner = canon->recording.inner;
    struct mark mark = inner->ops->applied(inner);
    if (mark.lsn.at != entry->lsn.at || mark.lineage.hash != entry->lineage.hash ||
        epoch_compare(mark.epoch, entry->epoch) != 0) {
        sim_world_fail(canon->world,
                       "history: after LSN %" PRIu64 " the mark names LSN %" PRIu64 " of epoch "
                       "%" PRIu64,
                       entry->lsn.at, mark.lsn.at, mark.epoch.number);
    }
    if (inner->ops->stamp(inner).bits != entry->stamp.bits) {
        sim_world_fail(canon->world, "history: LSN %" PRIu64 " did not leave its stamp",
                       entry->lsn.at);
    }
}

/* Applied for good. */
static void note(struct canon *canon, const struct entry *entry)
{
    const struct machine *inner = canon->recording.inner;
    struct digest digest = inner->ops->digest(inner);
    uint64_t at = entry->lsn.at;
    canon->life_applied++;
    if (canon->starting && at > canon->recorded) {
        sim_world_fail(canon->world,
                       "history: a start applied LSN %" PRIu64 ", but %" PRIu64
                       " is recorded as committed",
                       at, canon->recorded);
    }
    if (at <= canon->count && !fact_is(&canon->facts[at - 1], entry)) {
        if (canon->loss_allowed && at > canon->flushed.at &&
            entry->payload.data[0] == ENTRY_EPOCH) {
            lose(canon, at - 1);
        } else {
            sim_world_fail(canon->world, "history: LSN %" PRIu64 " has changed", at);
            return;
        }
    }
    if (at <= canon->count) {
        canon->again++;
        if (!digest_equal(canon->facts[at - 1].digest, digest)) {
            sim_world_fail(canon->world, "history: LSN %" PRIu64 " left another digest", at);
        }
    } else {
        check_new(canon, entry);
        canon->life_new++;
        canon_add(canon, entry, digest);
    }
    check_mark(canon, entry);
}

static enum err recording_apply(struct machine *machine, const struct entry *entry,
                                unsigned attempt, struct outcome *outcome)
{
    struct recording *recording = recording_of(machine);
    struct canon *canon = recording->canon;
    struct machine *inner = recording->inner;
    struct mark mark = inner->ops->applied(inner);
    struct digest digest = inner->ops->digest(inner);
    if (entry->lsn.at != mark.lsn.at + 1) {
        sim_world_fail(canon->world, "history: LSN %" PRIu64 " is applied on LSN %" PRIu64,
                       entry->lsn.at, mark.lsn.at);
    }
    enum err err = inner->ops->apply(inner, entry, attempt, outcome);
    if (err == ERR_OK) {
        note(canon, entry);
        return err;
    }
    canon->pendings++;
    struct mark after = inner->ops->applied(inner);
    if (!mark_equal(&mark, &after) || !digest_equal(digest, inner->ops->digest(inner))) {
        sim_world_fail(canon->world, "history: LSN %" PRIu64 " was refused and left something",
                       entry->lsn.at);
    }
    return err;
}

static enum err recording_query(struct machine *machine, const struct query *query,
                                struct outcome *outcome)
{
    struct recording *recording = recording_of(machine);
    struct machine *inner = recording->inner;
    struct mark mark = inner->ops->applied(inner);
    struct digest digest = inner->ops->digest(inner);
    enum err err = inner->ops->query(inner, query, outcome);
    if (err == ERR_PENDING) recording->canon->pendings++;
    struct mark after = inner->ops->applied(inner);
    if (!mark_equal(&mark, &after) || !digest_equal(digest, inner->ops->digest(inner))) {
        sim_world_fail(recording->canon->world, "history: a read at LSN %" PRIu64 " left something",
                       mark.lsn.at);
    }
    return err;
}

static struct mark recording_applied(const struct machine *machine)
{
    return inner_of(machine)->ops->applied(inner_of(machine));
}

static struct mark recording_flushed(const struct machine *machine)
{
    return inner_of(machine)->ops->flushed(inner_of(machine));
}

static struct stamp recording_stamp(const struct machine *machine)
{
    return inner_of(machine)->ops->stamp(inner_of(machine));
}

static void recording_warm(struct machine *machine, struct machine_warm *warm)
{
    inner_of(machine)->ops->warm(inner_of(machine), warm);
}

static uint64_t recording_unflushed(const struct machine *machine)
{
    return inner_of(machine)->ops->unflushed_bytes(inner_of(machine));
}

static uint64_t recording_unflushed_records(const struct machine *machine)
{
    return inner_of(machine)->ops->unflushed_records(inner_of(machine));
}

/* Whatever is read ahead, nothing has happened. */
static void recording_foresee(struct machine *machine, const struct entry *entries, size_t count)
{
    struct recording *recording = recording_of(machine);
    struct machine *inner = recording->inner;
    struct mark mark = inner->ops->applied(inner);
    struct digest digest = inner->ops->digest(inner);
    inner->ops->foresee(inner, entries, count);
    struct mark after = inner->ops->applied(inner);
    if (!mark_equal(&mark, &after) || !digest_equal(digest, inner->ops->digest(inner))) {
        sim_world_fail(recording->canon->world,
                       "history: foresight at LSN %" PRIu64 " left something", mark.lsn.at);
    }
}

static void recording_flush(struct machine *machine, struct machine_flush *flush)
{
    recording_of(machine)->canon->flushes++;
    inner_of(machine)->ops->flush(inner_of(machine), flush);
}

static struct capture *recording_capture(struct machine *machine)
{
    return inner_of(machine)->ops->capture(inner_of(machine));
}

static size_t recording_due(struct machine *machine, struct stamp now, size_t limit,
                            struct buffer *proposals)
{
    return inner_of(machine)->ops->due(inner_of(machine), now, limit, proposals);
}

static bool recording_tidy(struct machine *machine)
{
    return inner_of(machine)->ops->tidy(inner_of(machine));
}

static void recording_reclaim(struct machine *machine)
{
    inner_of(machine)->ops->reclaim(inner_of(machine));
}

static bool recording_is_low(const struct machine *machine)
{
    return inner_of(machine)->ops->is_low(inner_of(machine));
}

static struct digest recording_digest(const struct machine *machine)
{
    return inner_of(machine)->ops->digest(inner_of(machine));
}

static void recording_describe(const struct machine *machine, struct buffer *out)
{
    inner_of(machine)->ops->describe(inner_of(machine), out);
}

static uint64_t recording_memory(const struct machine *machine)
{
    return inner_of(machine)->ops->memory_bytes(inner_of(machine));
}

static void recording_close(struct machine *machine)
{
    struct recording *recording = recording_of(machine);
    recording->inner->ops->close(recording->inner);
    recording->inner = NULL;
}

static const struct machine_ops recording_ops = {
    .applied = recording_applied,
    .flushed = recording_flushed,
    .stamp = recording_stamp,
    .apply = recording_apply,
    .foresee = recording_foresee,
    .query = recording_query,
    .warm = recording_warm,
    .unflushed_bytes = recording_unflushed,
    .unflushed_records = recording_unflushed_records,
    .flush = recording_flush,
    .capture = recording_capture,
    .due = recording_due,
    .tidy = recording_tidy,
    .reclaim = recording_reclaim,
    .is_low = recording_is_low,
    .digest = recording_digest,
    .describe = recording_describe,
    .memory_bytes = recording_memory,
    .close = recording_close,
};

/* What the store came back with was applied once. */
static void check_opening(struct canon *canon)
{
    const struct machine *inner = canon->recording.inner;
    struct mark flushed = inner->ops->flushed(inner), applied = inner->ops->applied(inner);
    canon->flushed = flushed.lsn;
    uint64_t at = flushed.lsn.at;
    if (!mark_equal(&flushed, &applied)) {
        sim_world_fail(canon->world, "history: a store opens with more than was flushed");
    }
    if (at > canon->count) {
        sim_world_fail(canon->world,
                       "history: the store holds LSN %" PRIu64 ", applied was %" PRIu64, at,
                       canon->count);
        return;
    }
    if (at == 0) return;
    const struct fact *fact = &canon->facts[at - 1];
    if (fact->lineage.hash != flushed.lineage.hash ||
        !digest_equal(fact->digest, inner->ops->digest(inner))) {
        sim_world_fail(canon->world,
                       "history: the store's digest at LSN %" PRIu64 " is another one", at);
    }
}

static enum err canon_open(struct machine_maker *maker, const char *directory, bool create,
                           struct history history, struct machine **machine, struct why *why)
{
    struct canon *canon = CONTAINER_OF(maker, struct canon, maker);
    *machine = NULL;
    struct machine *inner = NULL;
    enum err err = canon->inner_maker->open(canon->inner_maker, directory, create, history, &inner,
                                            why);
    maker->found = canon->inner_maker->found;
    if (err != ERR_OK) return err;
    canon->recording = (struct recording){{&recording_ops}, inner, canon};
    check_opening(canon);
    *machine = &canon->recording.base;
    return ERR_OK;
}

static enum err canon_fill(struct machine_maker *maker, const char *directory,
                           const struct machine_fill *fill, struct why *why)
{
    struct canon *canon = CONTAINER_OF(maker, struct canon, maker);
    return canon->inner_maker->fill(canon->inner_maker, directory, fill, why);
}

static void canon_close(struct machine_maker *maker, struct machine *machine)
{
    struct canon *canon = CONTAINER_OF(maker, struct canon, maker);
    struct recording *recording = recording_of(machine);
    canon->inner_maker->close(canon->inner_maker, recording->inner);
    recording->inner = NULL;
}

void canon_init(struct canon *canon, struct sim_world *world)
{
    *canon = (struct canon){
        .world = world, .maker = {.open = canon_open, .fill = canon_fill, .close = canon_close}};
}

void canon_release(struct canon *canon)
{
    drop_from(canon, 0);
    memory_free(canon->facts);
}

struct machine_maker *canon_observe(struct canon *canon, struct machine_maker *inner)
{
    canon->inner_maker = inner;
    canon->life_from = canon->count;
    canon->life_applied = canon->life_new = 0;
    canon->opened = false;
    return &canon->maker;
}

void canon_ready(struct canon *canon)
{
    const struct machine *inner = canon->recording.inner;
    uint64_t applied = inner->ops->applied(inner).lsn.at;
    canon->opened = true;
    canon->loss_allowed = false;
    if (applied < canon->count) {
        sim_world_fail(canon->world,
                       "history: ready at LSN %" PRIu64 ", but %" PRIu64 " was applied before",
                       applied, canon->count);
        return;
    }
    bool own = canon->count > canon->life_from &&
               canon->facts[canon->count - 1].payload.data[0] == ENTRY_EPOCH;
    if (!own) sim_world_fail(canon->world, "history: ready without an epoch of its own");
}

void canon_ended(struct canon *canon)
{
    canon->recording.inner = NULL;
}

void canon_allow_loss(struct canon *canon)
{
    canon->loss_allowed = true;
}
