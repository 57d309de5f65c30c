/* SPDX-License-Identifier: Apache-2.0 */
/* Foresight. After a crash memory is empty, and an entry that is applied again reads the record of
 * its key before it changes it. But a start knows which entries come: so the records of many are
 * read together, on all cores and in the order of the store.
 *
 * While it serves, a machine that has to wait for a record has those that the next entries need
 * read with it: into the store's cache, so that who evaluates them finds it there.
 *
 * What a start reads goes where state_fetch() would have put it, and nothing else is touched: what
 * the table knows of a name is newer, and stays. Whatever is left out (for its size, for an error,
 * for another database after a SWAPDB) is read when it is asked for. */
#include "base/memory.h"
#include "base/plant.h"
#include "command/command.h"
#include "state/core.h"
#include "state/sort.h"

enum { EXPECTED_KEYS_MAX = 1024 }; /* in one warming */

/* Until they are read, the named keys are absent records that are not `used`. */
struct foresight {
    struct payload_visit visit;
    struct store_fetch fetch;
    struct state *state;
    struct changes named[DATABASES];
    struct changes *asked; /* those that are being fetched */
};

static void name_key(struct payload_visit *visit, uint8_t database, struct bytes name)
{
    struct foresight *foresight = CONTAINER_OF(visit, struct foresight, visit);
    if (database >= DATABASES) return;
    const struct state *state = foresight->state;
    const struct keyspace *space = state->databases[database];
    uint64_t hash = layout_hash(name);
    if (state_is_complete(state, space)) return;
    if (table_find(&space->keys, hash, name) != NULL && !PLANTED(FORESIGHT_IS_NEWER)) return;
    changes_add(&foresight->named[database], record_of_absent(name, hash));
}

static void visit_keys(struct payload_visit *visit, struct state *state, struct bytes payload)
{
    struct payload_reader reader;
    uint8_t database;
    struct bytes name;
    payload_visit_keys(payload, &state->args, visit);
    if (payload_read(&reader, payload) != ERR_OK || reader.kind != ENTRY_EXPIRE) return;
    if (payload_expire(&reader, &database, &name) == ERR_OK) visit->key(visit, database, name);
}

/* On any thread. */
static void found(struct store_fetch *fetch, size_t at, const struct bytes *value)
{
    struct foresight *foresight = CONTAINER_OF(fetch, struct foresight, fetch);
    struct change *named = &foresight->asked->at[at];
    if (value != NULL) {
        struct record *record = record_of_value(record_name(named->record), named->hash, *value);
        if (record == NULL) return; /* corrupt: whoever asks for it will say so */
        memory_free(named->record);
        named->record = record;
    }
    named->record->used = true;
}

static void sort_out(struct changes *named)
{
    sort_changes(named->at, named->count);
    size_t kept = 0;
    for (size_t i = 0; i < named->count; i++) {
        struct record *record = named->at[i].record;
        const struct record *last = kept > 0 ? named->at[kept - 1].record : NULL;
        if (last != NULL && last->hash == record->hash &&
            bytes_equal(record_name(last), record_name(record))) {
            memory_free(record);
        } else {
            named->at[kept++] = named->at[i];
        }
    }
    named->count = kept;
}

static void fetch_named(struct foresight *foresight, struct keyspace *space, struct changes *named)
{
    struct state *state = foresight->state;
    struct bytes *keys = memory_zeroed(named->count, sizeof *keys);
    struct buffer bytes;
    buffer_init(&bytes);
    for (size_t i = 0; i < named->count; i++) {
        const struct change *change = &named->at[i];
        layout_put_key(&state->key_scratch, space->meta.namespace, change->hash,
                       record_name(change->record));
        keys[i].size = state->key_scratch.size;
        buffer_append(&bytes, buffer_bytes(&state->key_scratch));
    }
    const uint8_t *at = bytes.data;
    for (size_t i = 0; i < named->count; i++) {
        keys[i].data = at;
        at += keys[i].size;
    }
    foresight->asked = named;
    foresight->fetch = (struct store_fetch){.keys = keys,
                                            .count = named->count,
                                            .bytes_max = state->cache_bytes_max / 2,
                                            .found = found};
    state->store->ops->fetch(state->store, &foresight->fetch);
    buffer_release(&bytes);
    memory_free(keys);
}

static void keep_found(struct state *state, struct keyspace *space, struct changes *named)
{
    for (size_t i = 0; i < named->count; i++) {
        struct record *record = named->at[i].record;
        if (record->used) state_keep(state, space, record);
        else memory_free(record);
    }
}

void state_foresee(struct machine *machine, const struct entry *entries, size_t count)
{
    struct state *state = state_of(machine);
    struct foresight foresight = {.visit.key = name_key, .state = state};
    for (size_t i = 0; i < count; i++) visit_keys(&foresight.visit, state, entries[i].payload);
    for (unsigned i = 0; i < DATABASES; i++) {
        struct changes *named = &foresight.named[i];
        if (named->count == 0) continue;
        sort_out(named);
        fetch_named(&foresight, state->databases[i], named);
        keep_found(state, state->databases[i], named);
        changes_release(named);
    }
}

/* --- While it serves --- */

struct expectation {
    struct payload_visit visit;
    struct state *state;
};

static void expect_key(struct payload_visit *visit, uint8_t database, struct bytes name)
{
    struct state *state = CONTAINER_OF(visit, struct expectation, visit)->state;
    if (database >= DATABASES || state->wanted.count >= EXPECTED_KEYS_MAX) return;
    const struct keyspace *space = state->databases[database];
    uint64_t hash = layout_hash(name);
    if (state_is_complete(state, space) || table_find(&space->keys, hash, name) != NULL) return;
    layout_put_key(&state->key_scratch, space->meta.namespace, hash, name);
    state_want(state, buffer_bytes(&state->key_scratch), (struct bytes){0}, false);
}

void state_expect(struct machine *machine, const struct entry *entry)
{
    struct expectation expectation = {.visit.key = expect_key, .state = state_of(machine)};
    visit_keys(&expectation.visit, expectation.state, entry->payload);
}
