/* SPDX-License-Identifier: Apache-2.0 */
/* Looking ahead. Whoever applies a long row of entries whose records are not in memory would wait
 * for one after the other. So while the first are applied, threads of the store read what the next
 * ones will ask for, and give it to the table before they come.
 *
 * What was read is of some moment in between. The table knows of every change that was not flushed,
 * and stays; once a flush is done it may have forgotten one: then all that was read is dropped. */
#include "base/memory.h"
#include "base/plant.h"
#include "state/foresee.h"

/* In one go; bytes of the values of a part. The store has a thread more: for who waits. */
enum { PARTS = 3, LOOK_AHEAD_KEYS_MAX = 1024, LOOK_AHEAD_BYTES_MAX = 4 << 20 };

struct look_ahead;

/* What one thread reads: the ranges from `first` on. */
struct part {
    struct store_warm base;
    struct look_ahead *ahead;
    size_t first, at; /* `at`: the next that may be found */
};

struct look_ahead {
    struct machine_warm *asked;
    struct foresight foresight;
    uint64_t namespaces[DATABASES]; /* that were asked for */
    struct lsn flushed;             /* when it was asked */
    struct store_range *ranges;
    struct change **changes; /* of these ranges */
    struct buffer bytes;     /* their keys */
    struct part parts[PARTS];
    unsigned reading; /* parts that are not done */
    enum err err;     /* of the first that failed */
};

static void look_ahead_free(struct look_ahead *ahead)
{
    for (unsigned i = 0; i < DATABASES; i++) {
        struct changes *named = &ahead->foresight.named[i];
        for (size_t k = 0; k < named->count; k++) memory_free(named->at[k].record);
        changes_release(named);
    }
    buffer_release(&ahead->bytes);
    memory_free(ahead->changes);
    memory_free(ahead->ranges);
    memory_free(ahead);
}

/* Those up to there that were not found are not in the store. */
static void pass(struct part *part, size_t to)
{
    while (part->at < to) (void)foresight_found(part->ahead->changes[part->at++], NULL);
}

/* On another thread; in the order of the ranges. */
static void found(struct store_warm *warm, struct bytes key, struct bytes value)
{
    struct part *part = CONTAINER_OF(warm, struct part, base);
    struct look_ahead *ahead = part->ahead;
    size_t at = part->at;
    while (!bytes_equal(ahead->ranges[at].from, key)) at++;
    pass(part, at);
    (void)foresight_found(ahead->changes[part->at++], &value);
}

static void keep(struct state *state, struct look_ahead *ahead)
{
    for (unsigned i = 0; i < DATABASES; i++) {
        struct changes *named = &ahead->foresight.named[i];
        struct keyspace *space = state->databases[i];
        if (space->meta.namespace != ahead->namespaces[i]) continue;
        for (size_t k = 0; k < named->count; k++) foresight_keep(state, space, named->at[k].record);
        named->count = 0;
    }
}

static void looked(struct store_warm *warm)
{
    struct part *part = CONTAINER_OF(warm, struct part, base);
    struct look_ahead *ahead = part->ahead;
    struct state *state = ahead->foresight.state;
    struct machine_warm *asked = ahead->asked;
    if (warm->err == ERR_OK) pass(part, part->first + warm->read); /* beyond it nobody has looked */
    if (warm->err != ERR_OK && ahead->err == ERR_OK) {
        ahead->err = warm->err;
        asked->why = warm->why;
    }
    if (--ahead->reading > 0) return;
    bool holds = state->flushed.lsn.at == ahead->flushed.at || PLANTED(LOOK_AHEAD_OUTLIVES_FLUSH);
    if (ahead->err == ERR_OK && holds) keep(state, ahead);
    asked->err = ahead->err;
    state->ahead = NULL;
    look_ahead_free(ahead);
    asked->done(asked);
}

static size_t sort_out(struct foresight *foresight)
{
    size_t count = 0;
    for (unsigned i = 0; i < DATABASES; i++) {
        foresight_sort(&foresight->named[i]);
        count += foresight->named[i].count;
    }
    return count;
}

static void set_ranges(struct look_ahead *ahead, size_t count)
{
    struct state *state = ahead->foresight.state;
    struct bytes *keys = memory_zeroed(count, sizeof *keys);
    size_t done = 0;
    ahead->changes = memory_zeroed(count, sizeof(struct change *));
    for (unsigned i = 0; i < DATABASES; i++) {
        const struct changes *named = &ahead->foresight.named[i];
        ahead->namespaces[i] = state->databases[i]->meta.namespace;
        foresight_keys(state, state->databases[i], named, keys + done, &ahead->bytes);
        for (size_t k = 0; k < named->count; k++) ahead->changes[done++] = &named->at[k];
    }
    ahead->ranges = memory_zeroed(count, sizeof *ahead->ranges);
    const uint8_t *at = ahead->bytes.data;
    for (size_t i = 0; i < count; i++) {
        ahead->ranges[i].from = bytes_of(at, keys[i].size);
        at += keys[i].size;
    }
    memory_free(keys);
}

/* Neighbours stay together. */
static void read_parts(struct look_ahead *ahead, size_t count)
{
    struct store *store = ahead->foresight.state->store;
    size_t share = (count + PARTS - 1) / PARTS;
    ahead->reading = (unsigned)((count + share - 1) / share);
    for (size_t i = 0; i < ahead->reading; i++) {
        size_t at = i * share, left = count - at;
        ahead->parts[i] = (struct part){.base = {.ranges = ahead->ranges + at,
                                                 .count = left < share ? left : share,
                                                 .bytes_max = LOOK_AHEAD_BYTES_MAX,
                                                 .found = found,
                                                 .done = looked},
                                        .ahead = ahead,
                                        .first = at,
                                        .at = at};
        store->ops->warm(store, &ahead->parts[i].base);
    }
}

bool state_look_ahead(struct machine *machine, const struct entry *entries, size_t count,
                      struct machine_warm *asked)
{
    struct state *state = state_of(machine);
    struct look_ahead *ahead = memory_zeroed(1, sizeof *ahead);
    MUST(state->ahead == NULL);
    ahead->foresight.state = state;
    ahead->foresight.most = LOOK_AHEAD_KEYS_MAX;
    buffer_init(&ahead->bytes);
    for (size_t i = 0; i < count; i++) foresight_name(&ahead->foresight, entries[i].payload);
    size_t missing = sort_out(&ahead->foresight);
    if (missing == 0) {
        look_ahead_free(ahead);
        return false;
    }
    set_ranges(ahead, missing);
    ahead->asked = asked;
    ahead->flushed = state->flushed.lsn;
    state->ahead = ahead;
    read_parts(ahead, missing);
    return true;
}

void state_look_ahead_forget(struct state *state)
{
    if (state->ahead != NULL) look_ahead_free(state->ahead);
    state->ahead = NULL;
}
