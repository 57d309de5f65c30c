/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of effects as it is kept: read from any offset, and given up from its beginning. */
#include "base/plant.h"
#include "state/layers.h"
#include "state/run.h"

static struct prefix stream_prefix(void)
{
    return layout_strand(LAYOUT_STREAM, 0, (struct version){0});
}

static const struct strand *strand_of(const struct generation *generation)
{
    struct prefix prefix = stream_prefix();
    return generation_find(generation, &prefix);
}

static const struct strand *frozen_strand(const struct state *state)
{
    bool readable = state_may_be_frozen(state, (struct version){0});
    return readable ? strand_of(&state->frozen) : NULL;
}

/* --- Reading --- */

struct taking {
    const struct effects_read *read;
    uint64_t offset, left; /* what comes next, and how much more is wanted */
};

/* The bytes of a record, and whether its entry's begin with it. False: it is none. */
static bool record_split(struct bytes value, bool *begins, struct bytes *bytes)
{
    if (value.size <= EFFECTS_RECORD_HEAD_BYTES || value.data[8] > 1) return false;
    *begins = value.data[8] == 1;
    *bytes = bytes_of(value.data + EFFECTS_RECORD_HEAD_BYTES,
                      value.size - EFFECTS_RECORD_HEAD_BYTES);
    return true;
}

/* Bytes of the SELECT that an entry may begin with; 0: there is none. */
static size_t select_bytes(struct bytes bytes)
{
    static const char head[] = "*2\r\n$6\r\nSELECT\r\n$";
    size_t at = sizeof head - 1;
    if (!bytes_starts_with(bytes, bytes_text(head)) || bytes.size <= at) return 0;
    return at + 3 + (size_t)(bytes.data[at] - '0') + 2;
}

/* An entry's effects are one command or one transaction, before which a database may be selected:
 * nobody can begin in their middle. */
static bool may_join(struct bytes bytes, bool begins, uint64_t within)
{
    return begins && (within == 0 || within == select_bytes(bytes));
}

/* Appends what the record at `start` has. ERR_CORRUPT: it does not hold the byte that is next. */
static enum err take(struct taking *taking, uint64_t start, struct bytes value)
{
    bool begins;
    struct bytes bytes;
    if (!record_split(value, &begins, &bytes) || start > taking->offset ||
        taking->offset - start >= bytes.size) {
        return ERR_CORRUPT;
    }
    uint64_t within = taking->offset - start;
    bool first = taking->offset == taking->read->offset;
    if (first && taking->read->joins && !may_join(bytes, begins, within)) return ERR_NOT_FOUND;
    uint64_t size = bytes.size - within;
    if (size > taking->left) size = taking->left;
    buffer_append(taking->read->out, bytes_of(bytes.data + within, (size_t)size));
    taking->offset += size;
    taking->left -= size;
    return ERR_OK;
}

/* Whether something was taken: then what comes behind it may wait for the next read. */
static enum err taken(const struct taking *taking, enum err err)
{
    return taking->offset > taking->read->offset ? ERR_OK : err;
}

static enum err read_strand(struct taking *taking, const struct cell *cell,
                            struct strand_place *place)
{
    enum err err = ERR_OK;
    while (cell != NULL && taking->left > 0 && err == ERR_OK) {
        err = take(taking, cell->order, cell_value(cell));
        cell = strand_next(place);
    }
    return taken(taking, err);
}

/* A read that goes on from here asks for what comes behind it too. */
static void want_from(struct state *state, struct bytes behind)
{
    struct prefix prefix = stream_prefix();
    struct prefix end = layout_end(&prefix);
    state_want(state, prefix_bytes(&prefix), behind, true);
    state_want(state, behind, prefix_bytes(&end), false);
}

static enum err read_stored(struct state *state, struct taking *taking)
{
    struct prefix prefix = stream_prefix();
    struct store_cursor *cursor = state->store->ops->cursor(state->store, NULL, state->patience);
    layout_put_strand(&state->key_scratch, &prefix, taking->offset + 1, (struct bytes){0});
    struct bytes behind = buffer_bytes(&state->key_scratch);
    enum err err = cursor->ops->seek_before(cursor, behind);
    if (err == ERR_PENDING) want_from(state, behind);
    if (err == ERR_NOT_FOUND) err = ERR_CORRUPT; /* a hole */
    while (err == ERR_OK && taking->left > 0) {
        uint64_t start;
        struct bytes tail;
        if (!layout_split(&prefix, cursor->ops->key(cursor), &start, &tail)) {
            err = ERR_CORRUPT; /* or the end of what is stored */
            break;
        }
        err = take(taking, start, cursor->ops->value(cursor));
        if (err == ERR_OK && taking->left > 0) err = cursor->ops->next(cursor);
    }
    cursor->ops->close(cursor);
    return taken(taking, err);
}

enum err state_effects_read(struct machine *machine, const struct effects_read *read)
{
    struct state *state = state_of(machine);
    const struct effects_place *place = &state->effects.place;
    MUST(read->bytes_max > 0);
    if (!place->on || read->offset < place->first || read->offset > place->end) {
        return ERR_NOT_FOUND;
    }
    if (read->offset == place->end) return ERR_OK;
    state->patience = read->attempt >= MACHINE_ATTEMPTS_MAX ? STORE_WAIT : STORE_NO_WAIT;
    state->wanted.count = 0;
    buffer_clear(&state->wanted.bytes);
    struct taking taking = {read, read->offset, read->bytes_max};
    const struct strand *layers[2] = {strand_of(&state->active), frozen_strand(state)};
    for (unsigned i = 0; i < 2; i++) {
        struct strand_place at;
        const struct cell *cell = NULL;
        if (layers[i] != NULL) {
            cell = strand_seek_before(layers[i], read->offset + 1, (struct bytes){0}, &at);
        }
        if (cell != NULL) return read_strand(&taking, cell, &at);
    }
    return read_stored(state, &taking);
}

/* --- Giving up --- */

void state_effects_keep(struct machine *machine, const struct effects_keep *keep)
{
    state_of(machine)->effects.keep = *keep;
}

/* Where the first record at or behind `wanted` begins. */
static enum err find_cut(struct state *state, uint64_t wanted, uint64_t *cut)
{
    *cut = state->effects.place.end;
    const struct strand *layers[2] = {strand_of(&state->active), frozen_strand(state)};
    for (unsigned i = 0; i < 2; i++) {
        struct strand_place at;
        if (layers[i] == NULL) continue;
        const struct cell *cell = strand_seek(layers[i], wanted, (struct bytes){0}, &at);
        if (cell != NULL) *cut = cell->order;
        cell = strand_seek_before(layers[i], wanted + 1, (struct bytes){0}, &at);
        if (cell != NULL) return ERR_OK; /* all that is older lies before it */
    }
    if (!state_may_be_stored(state, (struct version){0})) return ERR_OK;
    struct prefix prefix = stream_prefix();
    struct prefix end = layout_end(&prefix);
    struct store_cursor *cursor = state->store->ops->cursor(state->store, NULL, STORE_NO_WAIT);
    layout_put_strand(&state->key_scratch, &prefix, wanted, (struct bytes){0});
    struct bytes key = buffer_bytes(&state->key_scratch);
    enum err err = cursor->ops->seek(cursor, key);
    if (err == ERR_PENDING) state_want(state, key, prefix_bytes(&end), false);
    uint64_t start;
    struct bytes tail;
    if (err == ERR_OK && layout_split(&prefix, cursor->ops->key(cursor), &start, &tail)) {
        *cut = start;
    }
    cursor->ops->close(cursor);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void effects_trim(struct state *state)
{
    struct effects *effects = &state->effects;
    struct effects_place *place = &effects->place;
    const struct effects_keep *keep = &effects->keep;
    if (place->end - place->first <= keep->bytes || state->own_warm_asked) return;
    uint64_t wanted = place->end - keep->bytes;
    uint64_t held = keep->from < EFFECTS_RECORD_BYTES_MAX ? 0
                                                          : keep->from - EFFECTS_RECORD_BYTES_MAX;
    if (held < wanted) wanted = held; /* `from` may lie within a record */
    if (wanted <= place->first) return;
    state->wanted.count = 0;
    buffer_clear(&state->wanted.bytes);
    uint64_t cut;
    enum err err = find_cut(state, wanted, &cut);
    if (err == ERR_PENDING) state_warm_own(state);
    if (err == ERR_OK && cut > place->first) place->first = cut;
}

static struct prefix stream_key(uint64_t offset)
{
    struct prefix key = stream_prefix();
    store_be64(key.at + key.size, offset);
    key.size += 8;
    return key;
}

void effects_frozen(struct state *state, struct run *run)
{
    struct effects *effects = &state->effects;
    effects->frozen_records = effects->active_records;
    effects->active_records = 0;
    run->stream_first = effects->place.first;
    if (PLANTED(EFFECT_BESIDE_THE_BATCH)) run->stream_first = UINT64_MAX;
    if (effects->place.first == effects->first_frozen) return;
    generation_add_span(&state->frozen, (struct span){stream_key(effects->first_frozen),
                                                      stream_key(effects->place.first)});
    effects->first_frozen = effects->place.first;
}
