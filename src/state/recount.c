/* SPDX-License-Identifier: Apache-2.0 */
/* The recount: everything that a store holds, counted again from its records alone. A running
 * digest proves that operations were the same; a recount proves that the bytes are (I11).
 *
 * Passes: the meta record; every key record with what belongs to it (elements, items, ranks, its
 * record in the index of expiries); the clean-up queue; and then every strand, which must belong to
 * a key that was seen, stand in the queue, or be left from a namespace that ended; the stream of
 * effects, without a hole. */
#include <inttypes.h>

#include "base/memory.h"
#include "state/effects.h"
#include "state/proof.h"
#include "state/ranges.h"
#include "state/record.h"
#include "state/state.h"

/* A collection's identity, hashed: 64 bits are enough to find a record that belongs to nobody. */
struct owners {
    uint64_t *at;
    size_t count, capacity;
};

struct recount {
    struct store_cursor *keys;   /* the pass over the keys */
    struct store_cursor *within; /* what belongs to one of them */
    struct meta meta;
    struct meta_database found[DATABASES];
    uint64_t indexed; /* records of the index that belong to a namespace in use */
    struct owners owners;
    struct buffer place;
    struct state_recount *out;
    struct why *why;
    struct store *store;
    struct store_warm *survey; /* that this is; NULL: none */
    uint64_t unpaced_bytes;    /* read since it asked whether it goes on */
};

/* --- Owners: an open table, never more than half full --- */

static void owners_put(struct owners *owners, uint64_t id)
{
    size_t at = (size_t)id & (owners->capacity - 1);
    while (owners->at[at] != 0 && owners->at[at] != id) at = (at + 1) & (owners->capacity - 1);
    if (owners->at[at] == 0) owners->count++;
    owners->at[at] = id;
}

static void owners_add(struct owners *owners, uint64_t id)
{
    if (owners->count * 2 >= owners->capacity) {
        struct owners old = *owners;
        owners->capacity = old.capacity == 0 ? 1024 : old.capacity * 2;
        owners->count = 0;
        owners->at = memory_zeroed(owners->capacity, sizeof *owners->at);
        for (size_t i = 0; i < old.capacity; i++) {
            if (old.at[i] != 0) owners_put(owners, old.at[i]);
        }
        memory_free(old.at);
    }
    owners_put(owners, id);
}

static bool owners_have(const struct owners *owners, uint64_t id)
{
    if (owners->capacity == 0) return false;
    size_t at = (size_t)id & (owners->capacity - 1);
    while (owners->at[at] != 0 && owners->at[at] != id) at = (at + 1) & (owners->capacity - 1);
    return owners->at[at] == id;
}

static uint64_t owner_id(uint64_t namespace, struct version version, enum layout kind)
{
    struct prefix prefix = layout_strand(kind, namespace, version);
    return checksum64(prefix_bytes(&prefix), 0) | 1;
}

/* --- Reading --- */

static enum err first_of(struct store_cursor *cursor, const struct prefix *prefix)
{
    return proof_within(cursor, prefix, cursor->ops->seek(cursor, prefix_bytes(prefix)));
}

static enum err next_of(struct store_cursor *cursor, const struct prefix *prefix)
{
    return proof_within(cursor, prefix, cursor->ops->next(cursor));
}

static enum err misfit_here(struct recount *recount, const struct store_cursor *cursor,
                            const char *what)
{
    return proof_misfit(recount->why, cursor->ops->key(cursor), what);
}

/* After so much was read. ERR_SHUT: a survey that has to end. */
static enum err pace(struct recount *recount, const struct store_cursor *cursor)
{
    enum { PACE_BYTES = 64 << 10, RECORD_BYTES = 16 };
    if (recount->survey == NULL) return ERR_OK;
    recount->unpaced_bytes += RECORD_BYTES + cursor->ops->key(cursor).size +
                              cursor->ops->value(cursor).size;
    if (recount->unpaced_bytes < PACE_BYTES) return ERR_OK;
    uint64_t bytes = recount->unpaced_bytes;
    recount->unpaced_bytes = 0;
    if (recount->store->ops->goes_on(recount->store, recount->survey, bytes)) return ERR_OK;
    return why_fail(recount->why, ERR_SHUT, "the survey was ended before it was done");
}

/* The database with the namespace; DATABASES: it is not in use. */
static unsigned database_of(const struct recount *recount, uint64_t namespace)
{
    unsigned i = 0;
    while (i < DATABASES && recount->meta.databases[i].namespace != namespace) i++;
    return i;
}

/* --- What belongs to a key --- */

struct counted {
    uint64_t count;
    struct digest sum;
};

static enum err count_strand(struct recount *recount, uint64_t namespace, const struct key *key,
                             enum layout kind, struct counted *counted)
{
    struct store_cursor *cursor = recount->within;
    struct prefix prefix = layout_strand(kind, namespace, key->version);
    *counted = (struct counted){0};
    enum err err = first_of(cursor, &prefix);
    for (; err == ERR_OK; err = next_of(cursor, &prefix)) {
        struct proof_element element;
        err = proof_element(cursor, &prefix, key, &element, recount->why);
        if (err != ERR_OK) return err;
        counted->count++;
        counted->sum = digest_add(counted->sum, element.digest);
        err = pace(recount, cursor);
        if (err != ERR_OK) return err;
    }
    owners_add(&recount->owners, owner_id(namespace, key->version, kind));
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err count_collection(struct recount *recount, uint64_t namespace, const struct key *key)
{
    struct counted counted;
    enum layout kind = key->type == KEY_LIST ? LAYOUT_ITEM : LAYOUT_ELEMENT;
    enum err err = count_strand(recount, namespace, key, kind, &counted);
    if (err != ERR_OK) return err;
    recount->out->elements += counted.count;
    if (counted.count != key->size) {
        return misfit_here(recount, recount->keys,
                           "it has another number of elements than it says");
    }
    if (!digest_equal(counted.sum, key->elements)) {
        return misfit_here(recount, recount->keys, "its elements have another sum than it says");
    }
    if (key->type != KEY_ZSET) return ERR_OK;
    err = count_strand(recount, namespace, key, LAYOUT_RANK, &counted);
    if (err == ERR_OK && counted.count != key->size) {
        return misfit_here(recount, recount->keys, "it has another number of ranks than elements");
    }
    if (err == ERR_OK && !digest_equal(counted.sum, key->elements)) {
        return misfit_here(recount, recount->keys, "its ranks are not those of its elements");
    }
    return err;
}

static enum err find_index(struct recount *recount, uint64_t namespace, const struct key *key)
{
    struct prefix prefix = layout_strand(LAYOUT_EXPIRY, 0, (struct version){0});
    struct buffer tail;
    buffer_init(&tail);
    layout_put_expiry_tail(&tail, namespace, layout_hash(key->name), key->name);
    layout_put_strand(&recount->place, &prefix, key->expire_ms, buffer_bytes(&tail));
    buffer_release(&tail);
    struct bytes place = buffer_bytes(&recount->place);
    struct store_cursor *cursor = recount->within;
    enum err err = cursor->ops->seek(cursor, place);
    if (err != ERR_OK && err != ERR_NOT_FOUND) return err;
    if (err == ERR_OK && bytes_equal(cursor->ops->key(cursor), place)) return ERR_OK;
    return misfit_here(recount, recount->keys, "the index of expiries does not have it");
}

static enum err count_key(struct recount *recount, unsigned database, const struct prefix *prefix)
{
    struct store_cursor *cursor = recount->keys;
    struct meta_database *found = &recount->found[database];
    struct key key = {.database = (uint8_t)database};
    enum err err = proof_key(cursor, prefix, &recount->meta.mark, &key, recount->why);
    if (err == ERR_OK) err = pace(recount, cursor);
    if (err != ERR_OK) return err;
    found->keys++;
    recount->out->keys++;
    found->sum = digest_add(found->sum, record_digest(key.name, cursor->ops->value(cursor)));
    if (key.expire_ms != 0) {
        found->expires++;
        err = find_index(recount, found->namespace, &key);
    }
    if (err != ERR_OK || key.type == KEY_STRING) return err;
    return count_collection(recount, found->namespace, &key);
}

/* --- The passes --- */

static enum err count_databases(struct recount *recount)
{
    for (unsigned i = 0; i < DATABASES; i++) {
        const struct meta_database *told = &recount->meta.databases[i];
        struct meta_database *found = &recount->found[i];
        found->namespace = told->namespace;
        struct prefix prefix = layout_keys(told->namespace);
        enum err err = first_of(recount->keys, &prefix);
        while (err == ERR_OK) {
            err = count_key(recount, i, &prefix);
            if (err == ERR_OK) err = next_of(recount->keys, &prefix);
        }
        if (err != ERR_NOT_FOUND) return err;
        if (found->keys != told->keys || found->expires != told->expires) {
            return why_fail(recount->why, ERR_CORRUPT,
                            "database %u: %" PRIu64 " keys, %" PRIu64
                            " of them with an end, but the "
                            "meta record says %" PRIu64 " and %" PRIu64,
                            i, found->keys, found->expires, told->keys, told->expires);
        }
    }
    return ERR_OK;
}

static enum err pass_queue(struct recount *recount)
{
    struct prefix prefix = layout_strand(LAYOUT_QUEUE, 0, (struct version){0});
    struct store_cursor *cursor = recount->keys;
    enum err err = first_of(cursor, &prefix);
    for (; err == ERR_OK; err = next_of(cursor, &prefix)) {
        uint64_t namespace;
        struct bytes tail;
        struct version version;
        if (!layout_split(&prefix, cursor->ops->key(cursor), &version.lsn, &tail) ||
            !layout_split_queue_tail(tail, &namespace, &version.ordinal)) {
            return misfit_here(recount, cursor, "it names no collection");
        }
        static const enum layout kinds[] = {LAYOUT_ELEMENT, LAYOUT_ITEM, LAYOUT_RANK};
        for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            owners_add(&recount->owners, owner_id(namespace, version, kinds[i]));
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err pass_index(struct recount *recount)
{
    struct prefix prefix = layout_strand(LAYOUT_EXPIRY, 0, (struct version){0});
    struct store_cursor *cursor = recount->keys;
    uint64_t indexed = 0, expires = 0;
    enum err err = first_of(cursor, &prefix);
    for (; err == ERR_OK; err = next_of(cursor, &prefix)) {
        uint64_t expire_ms, namespace;
        struct bytes tail, name;
        if (!layout_split(&prefix, cursor->ops->key(cursor), &expire_ms, &tail) ||
            !layout_split_expiry_tail(tail, &namespace, &name)) {
            return misfit_here(recount, cursor, "it names no key");
        }
        if (database_of(recount, namespace) < DATABASES) indexed++;
    }
    for (unsigned i = 0; i < DATABASES; i++) expires += recount->found[i].expires;
    if (err != ERR_NOT_FOUND) return err;
    if (indexed == expires) return ERR_OK; /* and each key's own record is there */
    return why_fail(recount->why, ERR_CORRUPT,
                    "the index of expiries has %" PRIu64 " records for %" PRIu64 " keys", indexed,
                    expires);
}

/* One look at each strand: it must belong to somebody. */
static enum err pass_strands(struct recount *recount, enum layout kind)
{
    struct prefix all = {.size = 1, .at = {(uint8_t)kind}};
    struct store_cursor *cursor = recount->keys;
    enum err err = first_of(cursor, &all);
    while (err == ERR_OK) {
        struct bytes key = cursor->ops->key(cursor);
        if (key.size < PREFIX_BYTES_MAX)
            return misfit_here(recount, cursor, "its key is too short");
        struct prefix strand = {.size = PREFIX_BYTES_MAX};
        memcpy(strand.at, key.data, PREFIX_BYTES_MAX);
        uint64_t id = checksum64(prefix_bytes(&strand), 0) | 1;
        if (!owners_have(&recount->owners, id)) {
            return misfit_here(recount, cursor, "it belongs to no key");
        }
        err = pace(recount, cursor);
        if (err != ERR_OK) return err;
        struct prefix end = layout_end(&strand);
        err = proof_within(cursor, &all, cursor->ops->seek(cursor, prefix_bytes(&end)));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Key records of namespaces that are not in use: they end in the same step as their namespace. */
static enum err pass_other_keys(struct recount *recount)
{
    struct prefix all = {.size = 1, .at = {LAYOUT_KEY}};
    struct store_cursor *cursor = recount->keys;
    enum err err = first_of(cursor, &all);
    while (err == ERR_OK) {
        struct bytes key = cursor->ops->key(cursor);
        if (key.size < LAYOUT_KEY_HEAD_BYTES)
            return misfit_here(recount, cursor, "its key is too short");
        uint64_t namespace = load_be64(key.data + 1);
        if (database_of(recount, namespace) == DATABASES) {
            return misfit_here(recount, cursor, "its database does not exist");
        }
        struct prefix keys = layout_keys(namespace);
        struct prefix end = layout_end(&keys);
        err = proof_within(cursor, &all, cursor->ops->seek(cursor, prefix_bytes(&end)));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Its pieces, one right behind the other, are all that the meta record says. */
static enum err pass_effects(struct recount *recount)
{
    struct prefix prefix = layout_strand(LAYOUT_STREAM, 0, (struct version){0});
    const struct effects_place *told = &recount->meta.effects;
    struct store_cursor *cursor = recount->keys;
    uint64_t next = told->first, newest = 1;
    enum err err = first_of(cursor, &prefix);
    for (; err == ERR_OK; err = next_of(cursor, &prefix)) {
        uint64_t start;
        struct bytes tail, value = cursor->ops->value(cursor);
        if (!layout_split(&prefix, cursor->ops->key(cursor), &start, &tail) || tail.size > 0 ||
            value.size <= EFFECTS_RECORD_HEAD_BYTES || value.data[8] > 1) {
            return misfit_here(recount, cursor, "it is no piece of the stream of effects");
        }
        if (start != next)
            return misfit_here(recount, cursor, "it is not the next piece of the stream");
        uint64_t lsn = load_le64(value.data);
        if (lsn < newest || lsn > recount->meta.mark.lsn.at) {
            return misfit_here(recount, cursor, "its entry is not the next of the stream");
        }
        newest = lsn;
        next += value.size - EFFECTS_RECORD_HEAD_BYTES;
    }
    if (err != ERR_NOT_FOUND) return err;
    if (next == told->end) return ERR_OK;
    return why_fail(recount->why, ERR_CORRUPT,
                    "the stream of effects ends at %" PRIu64 ", but the meta record says %" PRIu64,
                    next, told->end);
}

static enum err run_passes(struct recount *recount)
{
    static const enum layout strands[] = {LAYOUT_ELEMENT, LAYOUT_ITEM, LAYOUT_RANK};
    enum err err = count_databases(recount);
    if (err == ERR_OK) err = pass_other_keys(recount);
    if (err == ERR_OK) err = pass_queue(recount);
    if (err == ERR_OK) err = pass_index(recount);
    if (err == ERR_OK) err = pass_effects(recount);
    for (unsigned i = 0; i < sizeof strands / sizeof strands[0] && err == ERR_OK; i++) {
        err = pass_strands(recount, strands[i]);
    }
    return err;
}

static enum err read_meta(struct recount *recount)
{
    struct prefix prefix = {.size = 1, .at = {LAYOUT_META}};
    enum err err = first_of(recount->keys, &prefix);
    if (err == ERR_NOT_FOUND) return why_fail(recount->why, err, "nothing was flushed yet");
    if (err != ERR_OK) return why_fail(recount->why, err, "the meta record cannot be read");
    return meta_decode(recount->keys->ops->value(recount->keys), &recount->meta, recount->why);
}

enum err state_recount(struct store *store, struct store_view *view, struct state_recount *recount,
                       struct why *why)
{
    return recount_survey(store, view, NULL, recount, why);
}

enum err recount_survey(struct store *store, struct store_view *view, struct store_warm *warm,
                        struct state_recount *recount, struct why *why)
{
    *recount = (struct state_recount){0};
    struct recount job = {.out = recount, .why = why, .store = store, .survey = warm};
    if (why != NULL) why->text[0] = '\0';
    buffer_init(&job.place);
    job.keys = store->ops->cursor(store, view, STORE_WAIT);
    job.within = store->ops->cursor(store, view, STORE_WAIT);
    enum err err = read_meta(&job);
    if (err == ERR_OK) {
        recount->mark = job.meta.mark;
        recount->running = meta_digest(job.meta.databases);
        err = run_passes(&job);
        recount->recounted = meta_digest(job.found);
        if (err != ERR_OK && why != NULL && why->text[0] == '\0') {
            (void)why_fail(why, err, "the store cannot be read: %s", err_name(err));
        }
    }
    job.keys->ops->close(job.keys);
    job.within->ops->close(job.within);
    memory_free(job.meta.epochs);
    memory_free(job.owners.at);
    buffer_release(&job.place);
    return err;
}
