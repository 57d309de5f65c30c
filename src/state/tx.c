/* SPDX-License-Identifier: Apache-2.0 */
#include "state/tx.h"

#include "base/memory.h"
#include "base/plant.h"
#include "state/inside.h"

bool tx_pending(const struct tx *tx)
{
    return tx->inside->err != ERR_OK;
}

void *tx_scratch(struct tx *tx, size_t size)
{
    return arena_take(&tx_state(tx)->arena, size);
}

struct bytes tx_scratch_copy(struct tx *tx, struct bytes bytes)
{
    uint8_t *copy = tx_scratch(tx, bytes.size);
    if (bytes.size > 0) memcpy(copy, bytes.data, bytes.size);
    return bytes_of(copy, bytes.size);
}

void tx_notify(struct tx *tx, enum notify_class class, const char *event, uint8_t database,
               struct bytes key)
{
    struct tx_inside *inside = tx->inside;
    if (inside->outcome->notify == NULL) return;
    struct event *added = tx_scratch(tx, sizeof *added);
    *added = (struct event){NULL, class, event, database, tx_scratch_copy(tx, key)};
    *inside->events_end = added;
    inside->events_end = &added->next;
}

/* --- Finding --- */

bool tx_is_expired(const struct tx *tx, uint64_t expire_ms)
{
    if (expire_ms == 0 || tx->follows) return false;
    uint64_t now_ms = tx_now_ms(tx);
    if (PLANTED(EXPIRE_BY_WALL_CLOCK) && tx_state(tx)->clock != NULL) {
        now_ms = clock_wall_ms(tx_state(tx)->clock);
    }
    return expire_ms <= now_ms;
}

/* A key whose time has come: an entry removes it, a read asks for an entry that does. */
static void meet_expired(struct tx *tx, uint8_t database, struct record *record)
{
    struct tx_inside *inside = tx->inside;
    if (!inside->reading) {
        struct bytes name = record_name(record);
        tx_record_remove(tx, database, record, true);
        if (tx->streams && !PLANTED(EXPIRED_NOT_TOLD)) {
            effects_add(&tx_state(tx)->effects, database,
                        (const struct bytes[]){bytes_text("DEL"), name}, 2);
        }
        tx_notify(tx, NOTIFY_EXPIRED, "expired", database, name);
        return;
    }
    struct buffer *proposals = inside->outcome->proposals;
    if (inside->final_expiry || proposals == NULL) return;
    size_t at = proposals->size;
    buffer_append_le32(proposals, 0);
    payload_put_expire(proposals, database, record_name(record));
    store_le32(proposals->data + at, (uint32_t)(proposals->size - at - 4));
    (void)tx_ok(tx, ERR_PENDING);
}

struct record *tx_record(struct tx *tx, uint8_t database, struct bytes name, uint64_t hash)
{
    MUST(database < DATABASES);
    if (!tx_looks(tx)) return NULL;
    tx_settle(tx);
    struct state *state = tx_state(tx);
    struct record *record = NULL;
    enum err err = state_fetch(state, state->databases[database], name, hash, &record);
    (void)tx_ok(tx, err);
    if (err != ERR_OK || record == NULL || record->absent) return NULL;
    if (tx_is_expired(tx, record_expire_ms(record))) {
        meet_expired(tx, database, record);
        return NULL;
    }
    return record;
}

bool tx_find_in(struct tx *tx, uint8_t database, struct bytes name, struct key *key)
{
    const struct record *record = tx_record(tx, database, name, layout_hash(name));
    if (record == NULL) return false;
    key->database = database;
    record_decode(record_name(record), record_value(record), key);
    return true;
}

bool tx_find(struct tx *tx, struct bytes name, struct key *key)
{
    return tx_find_in(tx, tx->database, name, key);
}

enum found tx_find_typed(struct tx *tx, struct bytes name, enum key_type type, struct key *key)
{
    if (!tx_find(tx, name, key)) return FOUND_ABSENT;
    if (key->type == type) return FOUND_KEY;
    tx->reply->ops->error(tx->reply,
                          "WRONGTYPE Operation against a key holding the wrong kind of value");
    return FOUND_WRONG;
}

uint64_t tx_hash_of(struct bytes name)
{
    return layout_hash(name);
}

/* --- Changing --- */

void tx_create_in(struct tx *tx, uint8_t database, struct bytes name, enum key_type type,
                  struct key *key)
{
    MUST(database < DATABASES);
    *key = (struct key){.database = database,
                        .name = name,
                        .type = type,
                        .version = {tx->lsn, tx->inside->ordinals++},
                        .changed_lsn = tx->lsn,
                        .size = type == KEY_STRING ? 1 : 0};
    if (PLANTED(REUSE_KEY_VERSION)) {
        key->version = (struct version){1, (uint32_t)layout_hash(name)};
    }
}

void tx_create(struct tx *tx, struct bytes name, enum key_type type, struct key *key)
{
    tx_create_in(tx, tx->database, name, type, key);
}

static bool version_equal(struct version a, struct version b)
{
    return a.lsn == b.lsn && a.ordinal == b.ordinal;
}

/* The collection's elements go when this evaluation is kept. */
static void drop_elements(struct tx *tx, const struct keyspace *space, const struct record *record)
{
    struct key key;
    record_decode(record_name(record), record_value(record), &key);
    if (key.type == KEY_STRING) return;
    journal_drop(tx_state(tx),
                 (struct dropped){space->meta.namespace, key.version, key.type, key.size});
}

/* Whether nothing older than the active generation can have a record of the name of `old`, which is
 * in the table or NULL. */
static bool is_fresh(const struct state *state, const struct record *old)
{
    if (old == NULL) return true; /* a fetch would have put what the store has into the table */
    if (old->generation == state->active.number) return old->fresh;
    return old->generation <= state->settled && old->absent;
}

void tx_record_remove(struct tx *tx, uint8_t database, struct record *record, bool with_elements)
{
    struct state *state = tx_state(tx);
    MUST(!tx->inside->reading);
    journal_database(state, database);
    struct keyspace *space = state->databases[database];
    space->meta.keys--;
    space->meta.sum = digest_subtract(space->meta.sum, record->digest);
    if (record_expire_ms(record) != 0) {
        space->meta.expires--;
        state_expiry_remove(state, space, record);
    }
    if (with_elements) drop_elements(tx, space, record);
    struct record *absent = NULL;
    if (record->generation != state->active.number || !record->fresh) {
        absent = record_of_absent(record_name(record), record->hash);
    }
    journal_key(state, space, record, absent);
}

/* What the new record does to the database's counters and to the index of expiries. */
static void count_change(struct state *state, struct keyspace *space, const struct record *old,
                         const struct record *new)
{
    struct meta_database *meta = &space->meta;
    uint64_t old_ms = old == NULL ? 0 : record_expire_ms(old);
    uint64_t new_ms = record_expire_ms(new);
    meta->sum = digest_add(meta->sum, new->digest);
    if (old == NULL) meta->keys++;
    else meta->sum = digest_subtract(meta->sum, old->digest);
    if (old_ms == new_ms) return;
    meta->expires += (new_ms != 0 ? 1U : 0U);
    meta->expires -= (old_ms != 0 ? 1U : 0U);
    if (old_ms != 0) state_expiry_remove(state, space, old);
    if (new_ms != 0) state_expiry_put(state, space, new);
}

/* Puts the new record where `old` (present, or NULL) was. Takes it. */
static void put_record(struct tx *tx, uint8_t database, struct record *old, struct record *new)
{
    struct state *state = tx_state(tx);
    journal_database(state, database);
    struct keyspace *space = state->databases[database];
    count_change(state, space, old, new);
    struct record *stands = old;
    if (old == NULL) stands = table_find(&space->keys, new->hash, record_name(new));
    new->fresh = is_fresh(state, stands);
    journal_key(state, space, stands, new);
}

void tx_settle(struct tx *tx)
{
    struct tx_inside *inside = tx->inside;
    struct record *staged = inside->staged;
    if (staged == NULL) return;
    inside->staged = NULL;
    put_record(tx, inside->staged_in, inside->staged_over, record_copy(staged));
}

void tx_finish(struct tx *tx)
{
    struct tx_inside *inside = tx->inside;
    struct state *state = inside->state;
    struct record *old = inside->staged_over;
    struct record *staged = inside->staged;
    if (staged == NULL) return;
    bool in_place = old != NULL && old->generation == state->active.number &&
                    record_has_room(old, staged);
    if (!in_place) {
        tx_settle(tx);
        return;
    }
    inside->staged = NULL;
    count_change(state, state->databases[inside->staged_in], old, staged);
    record_overwrite(old, staged);
}

static void stage(struct tx *tx, const struct key *key, uint64_t hash, struct record *old)
{
    enum { STAGED_BYTES_MAX = 64 << 10 };
    struct tx_inside *inside = tx->inside;
    struct buffer *room = &inside->state->stage;
    size_t bytes = record_bytes_of(key->name.size, record_value_size(key));
    if (bytes > STAGED_BYTES_MAX) { /* to copy it twice would cost more than the journal */
        struct record *new = memory_alloc(bytes);
        record_write(new, key, hash);
        put_record(tx, key->database, old, new);
        return;
    }
    buffer_clear(room);
    void *at = buffer_reserve(room, bytes);
    inside->staged = at;
    inside->staged_over = old;
    inside->staged_in = key->database;
    record_write(inside->staged, key, hash);
}

void tx_store(struct tx *tx, struct key *key)
{
    if (tx_pending(tx)) return;
    MUST(!tx->inside->reading);
    MUST(key->name.size <= KEY_NAME_BYTES_MAX);
    uint64_t hash = layout_hash(key->name);
    struct record *old = tx_record(tx, key->database, key->name, hash);
    if (tx_pending(tx)) return;
    if (key->type == KEY_LIST) key->size = (uint64_t)(key->tail - key->head);
    if (key->type != KEY_STRING && key->size == 0) {
        if (old == NULL) return;
        tx->inside->wrote = true;
        tx_record_remove(tx, key->database, old, true);
        return;
    }
    tx->inside->wrote = true;
    key->changed_lsn = tx->lsn;
    if (old != NULL && record_is_collection(old)) {
        struct key before;
        record_decode(record_name(old), record_value(old), &before);
        if (!version_equal(before.version, key->version)) {
            drop_elements(tx, tx_state(tx)->databases[key->database], old);
        }
    }
    stage(tx, key, hash, old);
    if (old == NULL) tx_notify(tx, NOTIFY_NEW, "new", key->database, key->name);
}

void tx_store_text(struct tx *tx, struct key *key, struct bytes text)
{
    key->type = KEY_STRING;
    key->text = text;
    key->size = 1;
    tx_store(tx, key);
}

void tx_remove(struct tx *tx, const struct key *key)
{
    if (tx_pending(tx)) return;
    struct record *record = tx_record(tx, key->database, key->name, layout_hash(key->name));
    if (record == NULL) return;
    tx->inside->wrote = true;
    tx_record_remove(tx, key->database, record, true);
}

static void copy_to(struct tx *tx, const struct key *key, uint8_t database, struct bytes name,
                    struct key *copy)
{
    tx_create_in(tx, database, name, key->type, copy);
    copy->expire_ms = key->expire_ms;
    copy->text = key->text;
    tx_copy_elements(tx, key, copy);
    tx_store(tx, copy);
}

void tx_copy(struct tx *tx, const struct key *key, uint8_t database, struct bytes name)
{
    struct key copy;
    if (!tx_pending(tx)) copy_to(tx, key, database, name, &copy);
}

void tx_rename(struct tx *tx, struct key *key, uint8_t database, struct bytes name)
{
    if (tx_pending(tx)) return;
    struct record *record = tx_record(tx, key->database, key->name, layout_hash(key->name));
    if (record == NULL) return;
    tx->inside->wrote = true;
    if (key->database == database) {
        tx_record_remove(tx, database, record, false);
        key->name = name;
        tx_store(tx, key);
        return;
    }
    struct key moved;
    copy_to(tx, key, database, name, &moved);
    tx_settle(tx);
    tx_record_remove(tx, key->database, record, true);
    *key = moved;
}

/* --- Databases --- */

void tx_clear_database(struct tx *tx, uint8_t database)
{
    MUST(database < DATABASES && !tx->inside->reading);
    struct state *state = tx_state(tx);
    if (tx_pending(tx)) return;
    tx_settle(tx);
    if (state->databases[database]->meta.keys == 0) return;
    journal_database(state, database);
    struct keyspace *space = keyspace_new(++state->namespaces, false);
    list_append(&state->spaces, &space->node);
    state->databases[database] = space;
}

void tx_swap_databases(struct tx *tx, uint8_t a, uint8_t b)
{
    MUST(a < DATABASES && b < DATABASES && !tx->inside->reading);
    struct state *state = tx_state(tx);
    if (tx_pending(tx) || a == b) return;
    tx_settle(tx);
    journal_database(state, a);
    journal_database(state, b);
    struct keyspace *space = state->databases[a];
    state->databases[a] = state->databases[b];
    state->databases[b] = space;
}

uint64_t tx_database_size(struct tx *tx, uint8_t database)
{
    MUST(database < DATABASES);
    tx_settle(tx);
    return tx_state(tx)->databases[database]->meta.keys;
}
