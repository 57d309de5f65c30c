/* SPDX-License-Identifier: Apache-2.0 */
/* Foresight. After a crash memory is empty, and an entry that is applied again reads the record of
 * its key before it changes it. But a start knows which entries come: so the records of many are
 * read together, on all cores and in the order of the store.
 *
 * What a start reads goes where state_fetch() would have put it, and nothing else is touched: what
 * the table knows of a name is newer, and stays. Whatever is left out (for its size, for an error,
 * for another database after a SWAPDB) is read when it is asked for. */
#include "state/foresee.h"

#include "base/memory.h"
#include "base/plant.h"
#include "command/command.h"

struct fetching {
    struct store_fetch fetch;
    struct changes *asked; /* those that are being fetched */
};

static void name_key(struct payload_visit *visit, uint8_t database, struct bytes name)
{
    struct foresight *foresight = CONTAINER_OF(visit, struct foresight, visit);
    if (database >= DATABASES || foresight->count == foresight->most) return;
    const struct state *state = foresight->state;
    const struct keyspace *space = state->databases[database];
    uint64_t hash = layout_hash(name);
    if (state_is_complete(state, space)) return;
    if (table_find(&space->keys, hash, name) != NULL && !PLANTED(FORESIGHT_IS_NEWER)) return;
    changes_add(&foresight->named[database], record_of_absent(name, hash));
    foresight->count++;
}

void foresight_name(struct foresight *foresight, struct bytes payload)
{
    struct state *state = foresight->state;
    struct payload_reader reader;
    uint8_t database;
    struct bytes name;
    foresight->visit.key = name_key;
    payload_visit_keys(payload, &state->args, &foresight->visit);
    if (payload_read(&reader, payload) != ERR_OK || reader.kind != ENTRY_EXPIRE) return;
    if (payload_expire(&reader, &database, &name) == ERR_OK)
        name_key(&foresight->visit, database, name);
}

void foresight_sort(struct changes *named)
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

void foresight_keys(struct state *state, const struct keyspace *space, const struct changes *named,
                    struct bytes *keys, struct buffer *bytes)
{
    for (size_t i = 0; i < named->count; i++) {
        const struct change *change = &named->at[i];
        layout_put_key(&state->key_scratch, space->meta.namespace, change->hash,
                       record_name(change->record));
        keys[i].size = state->key_scratch.size;
        buffer_append(bytes, buffer_bytes(&state->key_scratch));
    }
}

bool foresight_found(struct change *named, const struct bytes *value)
{
    if (value != NULL) {
        struct record *record = record_of_value(record_name(named->record), named->hash, *value);
        if (record == NULL) return false; /* corrupt: whoever asks for it will say so */
        memory_free(named->record);
        named->record = record;
    }
    named->record->used = true;
    return true;
}

void foresight_keep(struct state *state, struct keyspace *space, struct record *record)
{
    bool known = table_find(&space->keys, record->hash, record_name(record)) != NULL &&
                 !PLANTED(FORESIGHT_IS_NEWER);
    if (record->used && !known) state_keep(state, space, record);
    else memory_free(record);
}

/* On any thread. */
static void found(struct store_fetch *fetch, size_t at, const struct bytes *value)
{
    struct fetching *fetching = CONTAINER_OF(fetch, struct fetching, fetch);
    (void)foresight_found(&fetching->asked->at[at], value);
}

static void fetch_named(struct state *state, const struct keyspace *space, struct changes *named)
{
    struct bytes *keys = memory_zeroed(named->count, sizeof *keys);
    struct buffer bytes;
    buffer_init(&bytes);
    foresight_keys(state, space, named, keys, &bytes);
    const uint8_t *at = bytes.data;
    for (size_t i = 0; i < named->count; i++) {
        keys[i].data = at;
        at += keys[i].size;
    }
    struct fetching fetching = {.asked = named,
                                .fetch = {.keys = keys,
                                          .count = named->count,
                                          .bytes_max = state->cache_bytes_max / 2,
                                          .found = found}};
    state->store->ops->fetch(state->store, &fetching.fetch);
    buffer_release(&bytes);
    memory_free(keys);
}

void state_foresee(struct machine *machine, const struct entry *entries, size_t count)
{
    struct state *state = state_of(machine);
    struct foresight foresight = {.state = state, .most = SIZE_MAX};
    for (size_t i = 0; i < count; i++) foresight_name(&foresight, entries[i].payload);
    for (unsigned i = 0; i < DATABASES; i++) {
        struct changes *named = &foresight.named[i];
        if (named->count == 0) continue;
        foresight_sort(named);
        fetch_named(state, state->databases[i], named);
        for (size_t k = 0; k < named->count; k++)
            foresight_keep(state, state->databases[i], named->at[k].record);
        changes_release(named);
    }
}
