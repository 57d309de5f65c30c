/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ranges.h"

#include "base/memory.h"
#include "state/proof.h"
#include "state/record.h"

struct ranges {
    struct store *store;
    struct store_warm *warm;
    struct survey_ask *ask;
    struct store_cursor *keys;   /* the walk over the keys */
    struct store_cursor *within; /* what belongs to one of them */
    struct meta meta;
    struct meta_database found[DATABASES];
    uint64_t unpaced_bytes;
    bool fits; /* the key that is looked at */
};

static enum err pace(struct ranges *ranges, const struct store_cursor *cursor)
{
    enum { PACE_BYTES = 64 << 10, RECORD_BYTES = 16 };
    ranges->unpaced_bytes += RECORD_BYTES + cursor->ops->key(cursor).size +
                             cursor->ops->value(cursor).size;
    if (ranges->unpaced_bytes < PACE_BYTES) return ERR_OK;
    uint64_t bytes = ranges->unpaced_bytes;
    ranges->unpaced_bytes = 0;
    if (ranges->store->ops->goes_on(ranges->store, ranges->warm, bytes)) return ERR_OK;
    return why_fail(&ranges->ask->why, ERR_SHUT, "the survey was ended before it was done");
}

/* --- One key --- */

/* The elements that are there, whatever the key says of them. */
static enum err sum_strand(struct ranges *ranges, const struct key *key, enum layout kind,
                           struct digest *sum, uint64_t *count)
{
    uint64_t namespace = ranges->found[key->database].namespace;
    struct prefix prefix = layout_strand(kind, namespace, key->version);
    struct store_cursor *cursor = ranges->within;
    enum err err = proof_within(cursor, &prefix, cursor->ops->seek(cursor, prefix_bytes(&prefix)));
    while (err == ERR_OK) {
        struct proof_element element;
        if (proof_element(cursor, &prefix, key, &element, NULL) != ERR_OK) {
            struct bytes parts[] = {cursor->ops->key(cursor), cursor->ops->value(cursor)};
            element.digest = digest_of_parts(parts, 2);
            ranges->fits = false;
        }
        *sum = digest_add(*sum, element.digest);
        (*count)++;
        err = pace(ranges, cursor);
        if (err == ERR_OK) err = proof_within(cursor, &prefix, cursor->ops->next(cursor));
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

struct elements {
    struct digest sum, ranks;
    uint64_t count, rank_count;
};

static enum err sum_elements(struct ranges *ranges, const struct key *key, struct elements *out)
{
    if (key->type == KEY_STRING) return ERR_OK;
    enum layout kind = key->type == KEY_LIST ? LAYOUT_ITEM : LAYOUT_ELEMENT;
    enum err err = sum_strand(ranges, key, kind, &out->sum, &out->count);
    if (err == ERR_OK && key->type == KEY_ZSET)
        err = sum_strand(ranges, key, LAYOUT_RANK, &out->ranks, &out->rank_count);
    bool same = out->count == key->size && digest_equal(out->sum, key->elements);
    if (key->type == KEY_ZSET)
        same = same && out->rank_count == key->size && digest_equal(out->ranks, key->elements);
    if (!same) ranges->fits = false;
    return err;
}

/* {database, digest of the record, then of the elements: sum and count, ranks: sum and count} */
static struct digest digest_of_key(unsigned database, struct digest record,
                                   const struct elements *elements)
{
    uint8_t at[1 + 3 * DIGEST_ENCODED_BYTES + 16] = {(uint8_t)database};
    digest_encode(record, at + 1);
    digest_encode(elements->sum, at + 1 + DIGEST_ENCODED_BYTES);
    digest_encode(elements->ranks, at + 1 + 2 * DIGEST_ENCODED_BYTES);
    store_le64(at + 1 + 3 * DIGEST_ENCODED_BYTES, elements->count);
    store_le64(at + 1 + 3 * DIGEST_ENCODED_BYTES + 8, elements->rank_count);
    return digest_of(bytes_of(at, sizeof at));
}

static uint32_t range_of(const struct survey_ask *ask, unsigned database, struct bytes name)
{
    uint8_t head = (uint8_t)database;
    struct bytes parts[] = {bytes_of(&head, 1), name};
    return (uint32_t)(checksum64_parts(parts, 2, ask->salt) % ask->ranges);
}

static bool is_wanted(const struct survey_ask *ask, uint32_t range)
{
    size_t low = 0, high = ask->wanted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ask->wanted[middle] == range) return true;
        if (ask->wanted[middle] < range) low = middle + 1;
        else high = middle;
    }
    return false;
}

static void tell_key(struct survey_ask *ask, uint32_t range, const struct key *key,
                     struct digest digest)
{
    uint8_t at[DIGEST_ENCODED_BYTES];
    ask->keys++;
    if (ask->keys > ask->keys_max) return;
    digest_encode(digest, at);
    buffer_append_le32(ask->found, range);
    buffer_append_byte(ask->found, key->database);
    buffer_append(ask->found, bytes_of(at, sizeof at));
    buffer_append_le32(ask->found, (uint32_t)key->name.size);
    buffer_append(ask->found, key->name);
}

static enum err look_at_key(struct ranges *ranges, unsigned database, const struct prefix *prefix)
{
    struct survey_ask *ask = ranges->ask;
    struct store_cursor *cursor = ranges->keys;
    struct bytes value = cursor->ops->value(cursor);
    struct key key = {.database = (uint8_t)database};
    struct elements elements = {.count = 0};
    enum err err = pace(ranges, cursor);
    if (err != ERR_OK) return err;
    ranges->fits = proof_key(cursor, prefix, &ranges->meta.mark, &key, NULL) == ERR_OK;
    if (!ranges->fits) { /* nothing of its record can be relied on but where it stands */
        uint64_t hash;
        if (!layout_split(prefix, cursor->ops->key(cursor), &hash, &key.name)) return ERR_CORRUPT;
        key.type = KEY_STRING;
    }
    uint32_t range = range_of(ask, database, key.name);
    if (ask->kind == SURVEY_KEYS && !is_wanted(ask, range)) return ERR_OK;
    err = sum_elements(ranges, &key, &elements);
    if (err != ERR_OK) return err;
    struct digest record = record_digest(key.name, value);
    struct digest digest = digest_of_key(database, record, &elements);
    if (ask->kind == SURVEY_KEYS) {
        tell_key(ask, range, &key, digest);
        return ERR_OK;
    }
    ranges->found[database].keys++;
    ranges->found[database].sum = digest_add(ranges->found[database].sum, record);
    ask->keys++;
    ask->misfits += !ranges->fits;
    ask->sums[range] = digest_add(ask->sums[range], digest);
    return ERR_OK;
}

/* --- All keys --- */

static enum err walk(struct ranges *ranges)
{
    struct store_cursor *cursor = ranges->keys;
    for (unsigned i = 0; i < DATABASES; i++) {
        ranges->found[i].namespace = ranges->meta.databases[i].namespace;
        struct prefix prefix = layout_keys(ranges->found[i].namespace);
        struct bytes from = prefix_bytes(&prefix);
        enum err err = proof_within(cursor, &prefix, cursor->ops->seek(cursor, from));
        while (err == ERR_OK) {
            err = look_at_key(ranges, i, &prefix);
            if (err == ERR_OK) err = proof_within(cursor, &prefix, cursor->ops->next(cursor));
        }
        if (err != ERR_NOT_FOUND) return err;
    }
    return ERR_OK;
}

static enum err read_meta(struct ranges *ranges)
{
    struct store_cursor *cursor = ranges->keys;
    struct why *why = &ranges->ask->why;
    struct prefix prefix = {.size = 1, .at = {LAYOUT_META}};
    enum err err = proof_within(cursor, &prefix, cursor->ops->seek(cursor, prefix_bytes(&prefix)));
    if (err == ERR_NOT_FOUND) return why_fail(why, err, "nothing was flushed yet");
    return err == ERR_OK ? meta_decode(cursor->ops->value(cursor), &ranges->meta, why) : err;
}

void ranges_survey(struct store *store, struct store_view *view, struct store_warm *warm,
                   struct survey_ask *ask)
{
    struct ranges ranges = {.store = store, .warm = warm, .ask = ask};
    ranges.keys = store->ops->cursor(store, view, STORE_WAIT);
    ranges.within = store->ops->cursor(store, view, STORE_WAIT);
    ask->why.text[0] = '\0';
    ask->err = read_meta(&ranges);
    if (ask->err == ERR_OK) {
        ask->mark = ranges.meta.mark;
        ask->running = meta_digest(ranges.meta.databases);
        ask->err = walk(&ranges);
        ask->recounted = meta_digest(ranges.found);
    }
    if (ask->err != ERR_OK && ask->why.text[0] == '\0')
        (void)why_fail(&ask->why, ask->err, "the store cannot be read: %s", err_name(ask->err));
    ranges.keys->ops->close(ranges.keys);
    ranges.within->ops->close(ranges.within);
    memory_free(ranges.meta.epochs);
}
