/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/canon.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/memory.h"
#include "sim/heap.h"
#include "state/meta.h"

static struct recording *recording_of(struct machine *machine)
{
    return CONTAINER_OF(machine, struct recording, base);
}

static struct machine *inner_of(const struct machine *machine)
{
    _Static_assert(offsetof(struct recording, base) == 0, "the machine comes first");
    return ((const struct recording *)(const void *)machine)->inner;
}

/* What stands from `keep` on was lost with the power. */
static void lose(struct canon *canon, uint64_t keep)
{
    struct sim_heap *before = sim_heap_enter(NULL);
    canon->lost += canon->count - keep;
    if (canon->listener != NULL) canon->listener->losing(canon->listener, keep);
    canon_drop_from(canon, keep);
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
    if (entry->stamp.bits <= last->stamp.bits)
        sim_world_fail(canon->world, "history: the stamp goes back at LSN %" PRIu64, at);
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

/* --- The stream of effects --- */

/* Everything from `from` on into canon->stream, on the harness's heap. */
static bool read_stream(struct canon *canon, uint64_t from)
{
    enum { TRIES = 3 }; /* a read that the harness lets fail works when it comes again */
    struct machine *inner = canon->recording.inner;
    struct effects_place place = inner->ops->effects(inner);
    struct buffer piece;
    unsigned failures = 0;
    buffer_clear(&canon->stream);
    buffer_init(&piece);
    while (from + canon->stream.size < place.end && failures < TRIES) {
        struct effects_read read = {.offset = from + canon->stream.size,
                                    .bytes_max = 5000,
                                    .attempt = MACHINE_ATTEMPTS_MAX,
                                    .out = &piece};
        buffer_clear(&piece);
        if (inner->ops->effects_read(inner, &read) != ERR_OK) failures++;
        struct sim_heap *before = sim_heap_enter(NULL);
        buffer_append(&canon->stream, buffer_bytes(&piece));
        (void)sim_heap_enter(before);
    }
    buffer_release(&piece);
    return from + canon->stream.size == place.end;
}

/* What the entry that was just applied has put into it. */
static void note_stream(struct canon *canon, struct fact *fact, uint64_t end_before, bool known)
{
    const struct machine *inner = canon->recording.inner;
    struct effects_place place = inner->ops->effects(inner);
    uint64_t from = end_before > place.first ? end_before : place.first;
    uint64_t lsn = canon->recording.inner->ops->applied(inner).lsn.at;
    if (!read_stream(canon, from)) {
        sim_world_fail(canon->world, "history: what LSN %" PRIu64 " told cannot be read", lsn);
    }
    if (known) {
        if (fact->streams != place.on || fact->stream_end != place.end ||
            !bytes_equal(fact->stream, buffer_bytes(&canon->stream))) {
            sim_world_fail(canon->world,
                           "history: LSN %" PRIu64 " has told something else than before", lsn);
        }
        return;
    }
    fact->streams = place.on;
    fact->stream_end = place.end;
    struct sim_heap *before = sim_heap_enter(NULL);
    uint8_t *copy = memory_alloc(canon->stream.size + 1);
    if (canon->stream.size > 0) memcpy(copy, canon->stream.data, canon->stream.size);
    fact->stream = bytes_of(copy, canon->stream.size);
    (void)sim_heap_enter(before);
}

/* What the store came back with of it is what was told up to its mark. */
static void check_stored_stream(struct canon *canon, const struct fact *fact)
{
    const struct machine *inner = canon->recording.inner;
    struct effects_place place = inner->ops->effects(inner);
    if (place.on != fact->streams || place.end != fact->stream_end) {
        sim_world_fail(canon->world,
                       "history: the store's stream of effects ends at %" PRIu64
                       ", but what was told at %" PRIu64,
                       place.end, fact->stream_end);
        return;
    }
    if (!place.on) return;
    bool whole = read_stream(canon, place.first);
    size_t left = canon->stream.size;
    while (whole && left > 0 && fact >= canon->facts) {
        size_t size = fact->stream.size < left ? fact->stream.size : left;
        const uint8_t *own = fact->stream.data + (fact->stream.size - size);
        left -= size;
        if (size > 0 && memcmp(own, canon->stream.data + left, size) != 0) whole = false;
        fact--;
    }
    if (whole && left == 0) return;
    sim_world_fail(canon->world,
                   "history: the store's stream of effects is not what was told: from %" PRIu64
                   " to %" PRIu64,
                   place.first, place.end);
}

void canon_propose(struct canon *canon, struct bytes payload)
{
    buffer_append_le32(&canon->proposals, (uint32_t)payload.size);
    buffer_append(&canon->proposals, payload);
}

/* Applied for good. */
static void note(struct canon *canon, const struct entry *entry, uint64_t stream_before)
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
    bool known = at <= canon->count;
    if (known) {
        canon->again++;
        if (!digest_equal(canon->facts[at - 1].digest, digest)) {
            sim_world_fail(canon->world, "history: LSN %" PRIu64 " left another digest", at);
        }
    } else {
        check_new(canon, entry);
        canon->life_new++;
        canon_add(canon, entry, digest);
    }
    if (at <= canon->count) note_stream(canon, &canon->facts[at - 1], stream_before, known);
    check_mark(canon, entry);
    canon_check_stamp(canon, entry);
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
    uint64_t stream_end = inner->ops->effects(inner).end;
    enum err err = inner->ops->apply(inner, entry, attempt, outcome);
    if (err == ERR_OK) {
        note(canon, entry, stream_end);
        return err;
    }
    canon->pendings++;
    struct mark after = inner->ops->applied(inner);
    if (!mark_equal(&mark, &after) || !digest_equal(digest, inner->ops->digest(inner)) ||
        inner->ops->effects(inner).end != stream_end) {
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

static const struct epoch_start *recording_epochs(const struct machine *machine, size_t *count)
{
    return inner_of(machine)->ops->epochs(inner_of(machine), count);
}

static struct bytes recording_members(const struct machine *machine)
{
    return inner_of(machine)->ops->members(inner_of(machine));
}

static void recording_warm(struct machine *machine, struct machine_warm *warm)
{
    inner_of(machine)->ops->warm(inner_of(machine), warm);
}

static bool recording_look_ahead(struct machine *machine, const struct entry *entries, size_t count,
                                 struct machine_warm *warm)
{
    return inner_of(machine)->ops->look_ahead(inner_of(machine), entries, count, warm);
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

static struct survey *recording_survey(struct machine *machine)
{
    return inner_of(machine)->ops->survey(inner_of(machine));
}

static size_t recording_due(struct machine *machine, struct stamp now, size_t limit,
                            struct buffer *proposals)
{
    struct canon *canon = recording_of(machine)->canon;
    size_t due = inner_of(machine)->ops->due(inner_of(machine), now, limit, proposals);
    buffer_append(proposals, buffer_bytes(&canon->proposals));
    buffer_clear(&canon->proposals);
    return due;
}

static struct effects_place recording_effects(const struct machine *machine)
{
    return inner_of(machine)->ops->effects(inner_of(machine));
}

static enum err recording_effects_read(struct machine *machine, const struct effects_read *read)
{
    return inner_of(machine)->ops->effects_read(inner_of(machine), read);
}

static void recording_effects_keep(struct machine *machine, const struct effects_keep *keep)
{
    inner_of(machine)->ops->effects_keep(inner_of(machine), keep);
}

static struct export *recording_export(struct machine *machine)
{
    return inner_of(machine)->ops->export(inner_of(machine));
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

static struct followed recording_followed(const struct machine *machine)
{
    return inner_of(machine)->ops->followed(inner_of(machine));
}

static const struct machine_ops recording_ops = {
    .applied = recording_applied,
    .flushed = recording_flushed,
    .stamp = recording_stamp,
    .epochs = recording_epochs,
    .members = recording_members,
    .followed = recording_followed,
    .apply = recording_apply,
    .foresee = recording_foresee,
    .look_ahead = recording_look_ahead,
    .query = recording_query,
    .warm = recording_warm,
    .unflushed_bytes = recording_unflushed,
    .unflushed_records = recording_unflushed_records,
    .flush = recording_flush,
    .capture = recording_capture,
    .survey = recording_survey,
    .effects = recording_effects,
    .effects_read = recording_effects_read,
    .effects_keep = recording_effects_keep,
    .export = recording_export,
    .due = recording_due,
    .tidy = recording_tidy,
    .reclaim = recording_reclaim,
    .is_low = recording_is_low,
    .digest = recording_digest,
    .describe = recording_describe,
    .memory_bytes = recording_memory,
    .close = recording_close,
};

/* What the machine says of the history that it has applied. Only so many epochs are kept. */
static void check_told(struct canon *canon)
{
    const struct machine *inner = canon->recording.inner;
    uint64_t at = inner->ops->applied(inner).lsn.at;
    size_t count, left;
    const struct epoch_start *epochs = inner->ops->epochs(inner, &count);
    if (!bytes_equal(inner->ops->members(inner), canon_members(canon, at))) {
        sim_world_fail(canon->world, "history: at LSN %" PRIu64 " other copies are named", at);
    }
    bool same = true;
    for (left = count; at > 0 && same; at--) {
        const struct fact *fact = &canon->facts[at - 1];
        if (fact->payload.data[0] != ENTRY_EPOCH) continue;
        if (left == 0) {
            same = count == META_EPOCHS_MAX;
            break;
        }
        const struct epoch_start *epoch = &epochs[--left];
        same = epoch->first.at == at && epoch_compare(epoch->epoch, fact->epoch) == 0;
    }
    if (!same || left > 0) sim_world_fail(canon->world, "history: other epochs are named");
}

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
    check_told(canon);
    check_stored_stream(canon, fact);
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
                           const struct machine_fill *fill, struct machine_filler **filler,
                           struct why *why)
{
    struct canon *canon = CONTAINER_OF(maker, struct canon, maker);
    return canon->inner_maker->fill(canon->inner_maker, directory, fill, filler, why);
}

static void canon_fill_close(struct machine_maker *maker)
{
    struct canon *canon = CONTAINER_OF(maker, struct canon, maker);
    canon->inner_maker->fill_close(canon->inner_maker);
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
    *canon = (struct canon){.world = world,
                            .maker = {.open = canon_open,
                                      .fill = canon_fill,
                                      .fill_close = canon_fill_close,
                                      .close = canon_close}};
    buffer_init(&canon->proposals);
    buffer_init(&canon->stream);
}

void canon_release(struct canon *canon)
{
    canon_drop_from(canon, 0);
    memory_free(canon->facts);
    buffer_release(&canon->proposals);
    buffer_release(&canon->stream);
}

struct machine_maker *canon_observe(struct canon *canon, struct machine_maker *inner)
{
    canon->inner_maker = inner;
    canon->life_from = canon->count;
    canon->life_applied = canon->life_new = canon->life_stamps = 0;
    canon->opened = false;
    return &canon->maker;
}

void canon_ready(struct canon *canon)
{
    const struct machine *inner = canon->recording.inner;
    uint64_t applied = inner->ops->applied(inner).lsn.at;
    canon->opened = true;
    canon->loss_allowed = false;
    if (applied <= canon->count) check_told(canon);
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
