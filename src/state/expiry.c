/* SPDX-License-Identifier: Apache-2.0 */
/* The index of expiries: for each key that ends some time a record {time, namespace, hash, name},
 * kept in step with the key's own. It is outside the digest. When a namespace ends, its records
 * stay behind until their time comes and they are found to belong to nobody. */
#include "state/layers.h"

static void expiry_layers(struct state *state, struct layers *layers)
{
    layers_open(layers, state, LAYOUT_EXPIRY, 0, (struct version){0});
}

static struct bytes expiry_tail(struct buffer *tail, const struct keyspace *space,
                                const struct record *record)
{
    buffer_init(tail);
    layout_put_expiry_tail(tail, space->meta.namespace, record->hash, record_name(record));
    return buffer_bytes(tail);
}

void state_expiry_put(struct state *state, const struct keyspace *space,
                      const struct record *record)
{
    struct layers layers;
    struct buffer tail;
    expiry_layers(state, &layers);
    uint64_t expire_ms = record_expire_ms(record);
    struct bytes place = expiry_tail(&tail, space, record);
    /* The index has exactly the times that the records have, so this one is not there. */
    layers_put(&layers, state, cell_new(expire_ms, place, (struct bytes){0}), true);
    buffer_release(&tail);
    if (expire_ms < state->earliest_ms) state->earliest_ms = expire_ms;
}

void state_expiry_remove(struct state *state, const struct keyspace *space,
                         const struct record *record)
{
    struct layers layers;
    struct buffer tail;
    expiry_layers(state, &layers);
    struct bytes place = expiry_tail(&tail, space, record);
    layers_remove(&layers, state, record_expire_ms(record), place);
    buffer_release(&tail);
}

/* The database that holds the namespace; DATABASES: none does. */
static unsigned database_of(const struct state *state, uint64_t namespace)
{
    unsigned i = 0;
    while (i < DATABASES && state->databases[i]->meta.namespace != namespace) i++;
    return i;
}

static void propose(struct buffer *proposals, unsigned database, struct bytes name)
{
    size_t at = proposals->size;
    buffer_append_le32(proposals, 0);
    payload_put_expire(proposals, (uint8_t)database, name);
    store_le32(proposals->data + at, (uint32_t)(proposals->size - at - 4));
}

size_t state_due(struct machine *machine, struct stamp now, size_t limit, struct buffer *proposals)
{
    struct state *state = state_of(machine);
    uint64_t now_ms = stamp_ms(now);
    if (now_ms < state->earliest_ms) return 0;
    state->patience = STORE_NO_WAIT;
    struct layers layers;
    expiry_layers(state, &layers);
    struct walk walk;
    walk_open(&walk, state, &layers, 0, (struct bytes){0}, false);
    size_t due = 0;
    size_t orphans = 0;
    bool later = false;
    while (due < limit && orphans < limit && !later && walk_next(&walk)) {
        uint64_t namespace;
        struct bytes name;
        unsigned database = DATABASES;
        later = walk.order > now_ms;
        if (later) break;
        if (layout_split_expiry_tail(walk.tail, &namespace, &name)) {
            database = database_of(state, namespace);
        }
        if (database < DATABASES) {
            propose(proposals, database, name);
            due++;
        } else {
            layers_remove(&layers, state, walk.order, walk.tail);
            orphans++;
        }
    }
    if (due == 0 && later) state->earliest_ms = walk.order;
    if (due == 0 && walk.ended) state->earliest_ms = UINT64_MAX;
    if (walk.err == ERR_PENDING) state_warm_own(state);
    walk_close(&walk);
    journal_keep(state);
    return due;
}
