/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/annals.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"

/* The first failure is kept. */
__attribute__((format(printf, 2, 3))) static void fail(struct annals *annals, const char *format,
                                                       ...)
{
    if (annals->failure[0] != '\0') return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(annals->failure, sizeof annals->failure, format, args);
    va_end(args);
    if (annals->world != NULL) sim_world_fail(annals->world, "annals: %s", annals->failure);
}

void annals_init(struct annals *annals, struct sim_world *world)
{
    *annals = (struct annals){.world = world};
}

void annals_release(struct annals *annals)
{
    for (unsigned i = 0; i < annals->count; i++) {
        canon_release(&annals->list[i]->canon);
        memory_free(annals->list[i]);
    }
    annals->count = 0;
}

unsigned annals_born(const struct annals *annals)
{
    unsigned born = 0;
    for (unsigned i = 0; i < annals->count; i++) born += !annals->list[i]->unborn;
    return born;
}

struct annal *annals_find(struct annals *annals, const struct history *history)
{
    for (unsigned i = 0; i < annals->count; i++) {
        struct annal *annal = annals->list[i];
        if (memcmp(&annal->history, history, sizeof *history) == 0) return annal;
    }
    return NULL;
}

/* Of a history, the first `fork` entries are those of `parent`. */
static struct annal *begin(struct annals *annals, const struct history *history,
                           struct annal *parent, uint64_t fork)
{
    MUST(annals->count < ANNALS_MAX);
    struct sim_heap *before = sim_heap_enter(NULL);
    struct annal *annal = memory_zeroed(1, sizeof *annal);
    annal->history = *history;
    annal->parent = parent;
    annal->fork = fork;
    canon_init(&annal->canon, annals->world);
    for (uint64_t i = 0; i < fork; i++) {
        const struct fact *fact = &parent->canon.facts[i];
        struct entry entry = {{i + 1}, fact->epoch, fact->stamp, fact->lineage, fact->payload};
        canon_add(&annal->canon, &entry, fact->digest);
    }
    annals->list[annals->count++] = annal;
    (void)sim_heap_enter(before);
    return annal;
}

/* Whether the history has this mark, with this digest. */
static bool has(struct annals *annals, const struct annal *annal, const struct mark *mark,
                const struct digest *digest)
{
    uint64_t at = mark->lsn.at;
    if (at == 0) return true;
    if (at > annal->canon.count) {
        fail(annals, "LSN %" PRIu64 " is held, but only %" PRIu64 " were ever applied", at,
             annal->canon.count);
        return false;
    }
    const struct fact *fact = &annal->canon.facts[at - 1];
    if (fact->lineage.hash != mark->lineage.hash || epoch_compare(fact->epoch, mark->epoch) != 0) {
        fail(annals, "two lineages at LSN %" PRIu64 ": another one is held than was applied", at);
        return false;
    }
    if (digest == NULL || digest_equal(fact->digest, *digest)) return true;
    fail(annals, "LSN %" PRIu64 " is held with another digest than it was applied with", at);
    return false;
}

static bool fits(const struct annal *annal, const struct mark *mark)
{
    uint64_t at = mark->lsn.at;
    return at > 0 && at <= annal->canon.count &&
           annal->canon.facts[at - 1].lineage.hash == mark->lineage.hash;
}

static bool knows(const struct annal *annal, const struct entry *entry)
{
    uint64_t at = entry->lsn.at;
    return at <= annal->canon.count &&
           annal->canon.facts[at - 1].lineage.hash == entry->lineage.hash;
}

void annals_force(struct annals *annals, unsigned index, bool on)
{
    struct annals_copy *copy = &annals->copies[index];
    bool unborn = copy->at != NULL && copy->at->unborn;
    copy->leaving = NULL;
    if (on) copy->leaving = unborn ? copy->at->parent : copy->at;
}

uint64_t annals_fork(const struct annal *annal)
{
    const struct annal *parent = annal->parent;
    uint64_t last = annal->fork;
    while (last < annal->canon.count && last < parent->canon.count &&
           annal->canon.facts[last].lineage.hash == parent->canon.facts[last].lineage.hash)
        last++;
    return last;
}

void annals_wiped(struct annals *annals, unsigned copy)
{
    annals->copies[copy] = (struct annals_copy){.opened = annals->copies[copy].opened};
}

/* The history of this mark for a copy whose own has no name yet: that one now has, or is meant. */
static struct annal *find_unborn(struct annals_copy *copy, struct annal *named,
                                 const struct mark *mark)
{
    struct annal *own = copy->at;
    if (own == NULL || !own->unborn || !fits(own, mark)) return named;
    if (named == NULL) {
        own->history = mark->history;
        own->unborn = false;
        copy->stray = NULL;
        return own;
    }
    return named == own->parent && !fits(named, mark) ? own : named;
}

/* The annal of a history that a copy is of now; what it holds is `mark`. */
static struct annal *join(struct annals *annals, unsigned index, const struct mark *mark,
                          const struct digest *digest)
{
    struct annals_copy *copy = &annals->copies[index];
    struct annal *annal = find_unborn(copy, annals_find(annals, &mark->history), mark);
    struct annal *parent = annal == NULL && mark->lsn.at > 0 ? copy->at : NULL;
    if (annal == NULL && mark->lsn.at > 0 && parent == NULL) {
        fail(annals, "copy %u has LSN %" PRIu64 " of a history that nobody began", index + 1,
             mark->lsn.at);
        return NULL;
    }
    if (!has(annals, annal != NULL ? annal : parent, mark, digest)) return NULL;
    if (annal == NULL) annal = begin(annals, &mark->history, parent, mark->lsn.at);
    copy->at = annal;
    copy->applied = mark->lsn.at;
    return annal;
}

void annals_opened(struct annals *annals, unsigned copy, const struct mark *mark,
                   struct digest digest)
{
    struct annals_copy *held = &annals->copies[copy];
    held->opened++;
    /* An empty machine knows of no history until it has its first entry. */
    if (mark->lsn.at > 0) (void)join(annals, copy, mark, &digest);
    else held->applied = 0;
    bool gone = held->stray != NULL && mark->lsn.at > held->stray->fork && held->at != held->stray;
    if (gone) held->stray = NULL; /* what it has now came from elsewhere, or is others' too */
}

/* A new entry must be the next in every respect. */
static void check_new(struct annals *annals, const struct annal *annal, const struct entry *entry)
{
    uint64_t at = entry->lsn.at;
    bool opens = entry->payload.data[0] == ENTRY_EPOCH;
    if (at == 1) {
        if (!opens) fail(annals, "a history does not begin with an epoch");
        return;
    }
    const struct fact *last = &annal->canon.facts[at - 2];
    if (entry->stamp.bits <= last->stamp.bits) {
        fail(annals, "the stamp goes back at LSN %" PRIu64, at);
    }
    int step = epoch_compare(last->epoch, entry->epoch);
    if (opens && (step >= 0 || last->epoch.number >= entry->epoch.number)) {
        fail(annals, "LSN %" PRIu64 " opens epoch %" PRIu64 " after epoch %" PRIu64, at,
             entry->epoch.number, last->epoch.number);
    }
    if (!opens && step != 0) fail(annals, "the epoch changes at LSN %" PRIu64, at);
}

static void check_known(struct annals *annals, const struct fact *fact, const struct entry *entry,
                        struct digest digest)
{
    uint64_t at = entry->lsn.at;
    annals->again++;
    if (epoch_compare(fact->epoch, entry->epoch) != 0 || fact->stamp.bits != entry->stamp.bits ||
        fact->lineage.hash != entry->lineage.hash || !bytes_equal(fact->payload, entry->payload)) {
        fail(annals,
             "two lineages at LSN %" PRIu64 ": applied in epoch %" PRIu64 " and in epoch %" PRIu64,
             at, fact->epoch.number, entry->epoch.number);
    } else if (!digest_equal(fact->digest, digest)) {
        fail(annals, "LSN %" PRIu64 " left another digest than elsewhere", at);
    }
}

/* What a copy has applied of its own accord is its history's after all: it goes on in it. */
static struct annal *settle(struct annals *annals, struct annal *stray)
{
    struct annal *parent = stray->parent;
    const struct fact *facts = stray->canon.facts;
    uint64_t last = annals_fork(stray);
    if (last < parent->canon.count && last < stray->canon.count) {
        fail(annals, "two lineages at LSN %" PRIu64 ": a new history was begun there, or not",
             last + 1);
        return stray;
    }
    for (uint64_t i = parent->canon.count; i < stray->canon.count; i++) {
        struct entry entry = {
            {i + 1}, facts[i].epoch, facts[i].stamp, facts[i].lineage, facts[i].payload};
        canon_add(&parent->canon, &entry, facts[i].digest);
    }
    return parent;
}

/* The history that the entry is of: a copy that was told to leave its history applies what that one
 * does not know in another one; and again, if it dies on the way, whatever became of it. */
static struct annal *annal_for(struct annals *annals, struct annals_copy *copy, struct annal *annal,
                               const struct entry *entry)
{
    struct annal *stray = copy->stray;
    if (knows(annal, entry)) return annal;
    if (stray != NULL && stray->parent == annal && knows(stray, entry)) return stray;
    if (copy->leaving == NULL && annal->unborn) return settle(annals, annal);
    if (copy->leaving == NULL || annal != copy->leaving) return annal;
    stray = begin(annals, &(struct history){{0}}, annal, entry->lsn.at - 1);
    stray->unborn = true;
    copy->stray = stray;
    return stray;
}

void annals_applied(struct annals *annals, unsigned copy, const struct mark marks[2],
                    const struct entry *entry, struct digest digest)
{
    uint64_t at = entry->lsn.at;
    if (marks[1].lsn.at != at || marks[1].lineage.hash != entry->lineage.hash ||
        epoch_compare(marks[1].epoch, entry->epoch) != 0 || marks[0].lsn.at + 1 != at) {
        fail(annals, "copy %u: LSN %" PRIu64 " moved the mark from %" PRIu64 " to %" PRIu64,
             copy + 1, at, marks[0].lsn.at, marks[1].lsn.at);
        return;
    }
    struct mark before = marks[0];
    before.history = marks[1].history;
    struct annal *annal = join(annals, copy, &before, NULL);
    if (annal == NULL) return;
    annal = annal_for(annals, &annals->copies[copy], annal, entry);
    if (at <= annal->canon.count) {
        check_known(annals, &annal->canon.facts[at - 1], entry, digest);
    } else {
        check_new(annals, annal, entry);
        canon_add(&annal->canon, entry, digest);
    }
    annals->copies[copy].at = annal;
    annals->copies[copy].applied = at;
}

/* --- The witness --- */

static enum err witness_apply(struct machine *machine, const struct entry *entry, unsigned attempt,
                              struct outcome *outcome)
{
    union {
        const struct machine_ops *lent;
        struct machine_ops *own;
    } ops = {machine->ops};
    struct witness *witness = CONTAINER_OF(ops.own, struct witness, ops);
    struct mark marks[2];
    marks[0] = machine->ops->applied(machine);
    enum err err = witness->apply(machine, entry, attempt, outcome);
    marks[1] = machine->ops->applied(machine);
    if (err == ERR_OK) {
        annals_applied(witness->annals, witness->copy, marks, entry, machine->ops->digest(machine));
    } else if (!mark_equal(&marks[0], &marks[1])) {
        fail(witness->annals, "LSN %" PRIu64 " was refused and moved the mark", entry->lsn.at);
    }
    return err;
}

static enum err witness_open(struct machine_maker *maker, const char *directory, bool create,
                             struct history history, struct machine **machine, struct why *why)
{
    struct witness *witness = CONTAINER_OF(maker, struct witness, maker);
    enum err err = witness->inner_maker->open(witness->inner_maker, directory, create, history,
                                              machine, why);
    maker->found = witness->inner_maker->found;
    if (err != ERR_OK) return err;
    witness->ops = *(*machine)->ops;
    witness->apply = witness->ops.apply;
    witness->ops.apply = witness_apply;
    (*machine)->ops = &witness->ops;
    struct mark mark = (*machine)->ops->applied(*machine);
    annals_opened(witness->annals, witness->copy, &mark, (*machine)->ops->digest(*machine));
    return ERR_OK;
}

static enum err witness_fill(struct machine_maker *maker, const char *directory,
                             const struct machine_fill *fill, struct machine_filler **filler,
                             struct why *why)
{
    struct witness *witness = CONTAINER_OF(maker, struct witness, maker);
    return witness->inner_maker->fill(witness->inner_maker, directory, fill, filler, why);
}

static void witness_fill_close(struct machine_maker *maker)
{
    struct witness *witness = CONTAINER_OF(maker, struct witness, maker);
    witness->inner_maker->fill_close(witness->inner_maker);
}

static void witness_close(struct machine_maker *maker, struct machine *machine)
{
    struct witness *witness = CONTAINER_OF(maker, struct witness, maker);
    witness->inner_maker->close(witness->inner_maker, machine);
}

void witness_init(struct witness *witness, struct annals *annals, unsigned copy)
{
    *witness = (struct witness){.annals = annals,
                                .copy = copy,
                                .maker = {.open = witness_open,
                                          .fill = witness_fill,
                                          .fill_close = witness_fill_close,
                                          .close = witness_close}};
}

struct machine_maker *witness_observe(struct witness *witness, struct machine_maker *inner)
{
    witness->inner_maker = inner;
    return &witness->maker;
}
