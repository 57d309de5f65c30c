/* SPDX-License-Identifier: Apache-2.0 */
/* The source: the keys of a view one after the other.
 *
 * A namespace at a time, in the order of the hashes; a collection's elements come out of its own
 * strand, a sorted set's out of its ranks. Namespaces that no database holds, and collections that
 * wait for their clean-up, are not on the way. Digests are added up as records go by. */
#include "base/memory.h"
#include "state/proof.h"
#include "state/record.h"
#include "state/state.h"

/* Quartered with each attempt: a small cache drops what came first. */
enum { WARM_BYTES = 1 << 20 };

/* A walk over what begins with a prefix, which finds its place again after ERR_PENDING. */
struct reach {
    struct store_cursor *cursor; /* NULL: not asked yet */
    struct prefix prefix;
    struct buffer at; /* the next record is the first one at or behind it, */
    bool stands;      /* or the one behind the cursor's */
    bool waits;       /* the cursor is one that waits, for once: memory did not keep the place */
    unsigned attempts;
};

struct source {
    struct record_source base;
    struct store *store;
    struct store_view *view;
    enum store_patience patience;
    enum err failed;

    bool has_meta;
    struct meta meta;
    struct state_facts facts;

    struct reach keys, within;
    struct reach *wanting;   /* said ERR_PENDING last */
    unsigned database;       /* of the walk over keys; */
    bool begun;              /* it has begun there */
    uint64_t found;          /* keys there, */
    struct digest found_sum; /* and their sum */
    struct key key;          /* given last; borrowed from the cursor */
    uint64_t left;           /* elements of it */
    struct digest sum;       /* of its elements so far */

    struct store_warm warm;
    struct store_range range;
    struct prefix range_end;
    struct record_wait *waiting;
    bool is_left; /* nobody asks any more */
};

static struct source *source_of(struct record_source *base)
{
    return CONTAINER_OF(base, struct source, base);
}

/* --- Reaching records --- */

static void reach_begin(struct reach *reach, const struct prefix *prefix)
{
    reach->prefix = *prefix;
    reach->stands = false;
    buffer_clear(&reach->at);
    buffer_append(&reach->at, prefix_bytes(prefix));
}

static void reach_leave(struct reach *reach)
{
    if (reach->cursor != NULL) reach->cursor->ops->close(reach->cursor);
    reach->cursor = NULL;
    reach->stands = false;
}

/* Keeps the place behind the cursor's record: a move that fails loses it. */
static void reach_note(struct reach *reach)
{
    if (!reach->stands) return;
    buffer_clear(&reach->at);
    buffer_append(&reach->at, reach->cursor->ops->key(reach->cursor));
    buffer_append_byte(&reach->at, 0);
}

static enum err reach_move(struct source *source, struct reach *reach, enum store_patience patience)
{
    if (reach->cursor == NULL) {
        reach->cursor = source->store->ops->cursor(source->store, source->view, patience);
    }
    const struct store_cursor_ops *ops = reach->cursor->ops;
    enum err err = reach->stands ? ops->next(reach->cursor)
                                 : ops->seek(reach->cursor, buffer_bytes(&reach->at));
    reach->stands = err == ERR_OK;
    return err;
}

/* ERR_OK: the cursor stands on the next record; ERR_NOT_FOUND: there are no more. */
static enum err reach_next(struct source *source, struct reach *reach)
{
    MUST(source->waiting == NULL);
    reach_note(reach);
    if (reach->waits) {
        reach_leave(reach);
        reach->waits = false;
    }
    enum err err = reach_move(source, reach, source->patience);
    if (err == ERR_PENDING && ++reach->attempts >= MACHINE_ATTEMPTS_MAX) {
        reach_leave(reach);
        reach->waits = true;
        err = reach_move(source, reach, STORE_WAIT);
    }
    if (err == ERR_PENDING) source->wanting = reach;
    else reach->attempts = 0;
    return proof_within(reach->cursor, &reach->prefix, err);
}

static enum err fail(struct source *source, enum err err)
{
    if (err == ERR_OK || err == ERR_PENDING) return err;
    bool is_told = err == ERR_CORRUPT || err == ERR_REFUSED;
    if (!is_told || source->base.why.text[0] == '\0') {
        (void)why_fail(&source->base.why, err, "the store cannot be read: %s", err_name(err));
    }
    source->failed = err;
    return err;
}

/* --- What the view says of itself --- */

static void learn(struct source *source)
{
    const struct meta *meta = &source->meta;
    source->has_meta = true;
    source->facts = (struct state_facts){.mark = meta->mark,
                                         .stamp = meta->stamp,
                                         .digest = meta_digest(meta->databases),
                                         .effects = meta->effects,
                                         .epochs = meta->epochs,
                                         .epoch_count = meta->epoch_count};
    for (unsigned i = 0; i < DATABASES; i++) {
        source->facts.keys += meta->databases[i].keys;
        source->facts.expires += meta->databases[i].expires;
    }
}

/* The meta record is read through the cursor of the keys, before the first of them. */
static enum err read_meta(struct source *source)
{
    if (source->failed != ERR_OK) return source->failed;
    if (source->has_meta) return ERR_OK;
    struct reach *reach = &source->keys;
    enum err err = reach_next(source, reach);
    if (err == ERR_NOT_FOUND) {
        source->failed = why_fail(&source->base.why, err, "nothing was flushed yet");
        return err;
    }
    if (err != ERR_OK) return fail(source, err);
    struct bytes value = reach->cursor->ops->value(reach->cursor);
    err = meta_decode(value, &source->meta, &source->base.why);
    if (err != ERR_OK) return fail(source, err);
    learn(source);
    return ERR_OK;
}

enum err state_source_facts(struct record_source *base, const struct state_facts **facts)
{
    struct source *source = source_of(base);
    enum err err = read_meta(source);
    *facts = err == ERR_OK ? &source->facts : NULL;
    return err;
}

/* --- Keys --- */

static enum err end_database(struct source *source)
{
    const struct meta_database *told = &source->meta.databases[source->database];
    if (source->found != told->keys || !digest_equal(source->found_sum, told->sum)) {
        return why_fail(&source->base.why, ERR_CORRUPT,
                        "database %u: its keys are not those that the meta record says",
                        source->database);
    }
    source->database++;
    source->begun = false;
    return ERR_OK;
}

/* The cursor on the next key of the databases that are left. */
static enum err next_key(struct source *source)
{
    enum err err = ERR_NOT_FOUND;
    while (source->database < DATABASES) {
        if (!source->begun) {
            struct prefix prefix = layout_keys(source->meta.databases[source->database].namespace);
            reach_begin(&source->keys, &prefix);
            source->begun = true;
            source->found = 0;
            source->found_sum = (struct digest){0};
        }
        err = reach_next(source, &source->keys);
        if (err != ERR_NOT_FOUND) return err;
        enum err ended = end_database(source);
        if (ended != ERR_OK) return ended;
    }
    return err;
}

static enum layout layout_of(enum key_type type)
{
    switch (type) {
    case KEY_LIST: return LAYOUT_ITEM;
    case KEY_ZSET: return LAYOUT_RANK;
    case KEY_STRING:
    case KEY_SET:
    case KEY_HASH: break;
    }
    return LAYOUT_ELEMENT;
}

static enum record_type type_of(enum key_type type)
{
    switch (type) {
    case KEY_STRING: break;
    case KEY_LIST: return RECORD_LIST;
    case KEY_SET: return RECORD_SET;
    case KEY_ZSET: return RECORD_ZSET;
    case KEY_HASH: return RECORD_HASH;
    }
    return RECORD_STRING;
}

static void give_key(struct source *source, struct record_key *out)
{
    const struct key *key = &source->key;
    struct bytes value = source->keys.cursor->ops->value(source->keys.cursor);
    source->found++;
    source->found_sum = digest_add(source->found_sum, record_digest(key->name, value));
    source->left = key->size;
    source->sum = (struct digest){0};
    struct prefix strand = layout_strand(
        layout_of(key->type), source->meta.databases[source->database].namespace, key->version);
    reach_begin(&source->within, &strand);
    *out = (struct record_key){.database = (uint8_t)source->database,
                               .type = type_of(key->type),
                               .name = key->name,
                               .expires_ms = key->expire_ms,
                               .count = key->size,
                               .origin = {.version_lsn = key->version.lsn,
                                          .version_ordinal = key->version.ordinal,
                                          .changed_lsn = key->changed_lsn,
                                          .head = key->head}};
}

static enum err source_key(struct record_source *base, struct record_key *key)
{
    struct source *source = source_of(base);
    enum err err = read_meta(source);
    if (err != ERR_OK) return err;
    source->left = 0;
    err = next_key(source);
    if (err == ERR_NOT_FOUND) return err;
    if (err == ERR_OK) {
        err = proof_key(source->keys.cursor, &source->keys.prefix, &source->meta.mark, &source->key,
                        &source->base.why);
    }
    if (err != ERR_OK) return fail(source, err);
    give_key(source, key);
    return ERR_OK;
}

/* --- Elements --- */

static enum err misfit_key(struct source *source, const char *what)
{
    const struct store_cursor *cursor = source->keys.cursor;
    return proof_misfit(&source->base.why, cursor->ops->key(cursor), what);
}

/* The cursor's element is the one that is due. */
static enum err check_element(struct source *source, const struct proof_element *proof)
{
    const struct key *key = &source->key;
    if (key->type == KEY_LIST && proof->index != key->tail - (int64_t)source->left) {
        return misfit_key(source, "an item of it is missing");
    }
    source->sum = digest_add(source->sum, proof->digest);
    if (source->left > 1 || digest_equal(source->sum, key->elements)) return ERR_OK;
    return misfit_key(source, "its elements have another sum than it says");
}

static enum err stored_element(struct source *source, struct record_element *element)
{
    struct reach *within = &source->within;
    struct proof_element proof;
    enum err err = reach_next(source, within);
    if (err == ERR_NOT_FOUND) err = misfit_key(source, "it has fewer elements than it says");
    if (err != ERR_OK) return err;
    err = proof_element(within->cursor, &within->prefix, &source->key, &proof, &source->base.why);
    if (err == ERR_OK) err = check_element(source, &proof);
    if (err != ERR_OK) return err;
    bool is_item = source->key.type == KEY_LIST;
    *element = (struct record_element){.first = is_item ? proof.value : proof.name,
                                       .score = proof.score};
    if (source->key.type == KEY_HASH) element->second = proof.value;
    return ERR_OK;
}

static enum err source_element(struct record_source *base, struct record_element *element)
{
    struct source *source = source_of(base);
    if (source->failed != ERR_OK) return source->failed;
    if (source->left == 0) return ERR_NOT_FOUND;
    enum err err = ERR_OK;
    if (source->key.type == KEY_STRING) {
        *element = (struct record_element){.first = source->key.text};
    } else {
        err = stored_element(source, element);
    }
    if (err == ERR_OK) source->left--;
    return fail(source, err);
}

/* --- Waiting --- */

static void warmed(struct store_warm *warm)
{
    struct source *source = CONTAINER_OF(warm, struct source, warm);
    struct record_wait *wait = source->waiting;
    source->waiting = NULL;
    wait->err = warm->err;
    wait->done(wait);
}

static bool source_wait(struct record_source *base, struct record_wait *wait)
{
    struct source *source = source_of(base);
    MUST(source->waiting == NULL);
    struct reach *reach = source->wanting;
    if (reach == NULL) return false;
    source->wanting = NULL;
    source->waiting = wait;
    source->range_end = layout_end(&reach->prefix);
    source->range = (struct store_range){.from = buffer_bytes(&reach->at),
                                         .to = prefix_bytes(&source->range_end),
                                         .bytes_max = WARM_BYTES >> 2 * reach->attempts};
    source->warm = (struct store_warm){
        .ranges = &source->range, .count = 1, .view = source->view, .done = warmed};
    source->store->ops->warm(source->store, &source->warm);
    return true;
}

/* --- Opening and closing --- */

static const struct record_source_ops source_ops = {
    .key = source_key,
    .element = source_element,
    .wait = source_wait,
};

struct record_source *state_source_open(struct store *store, struct store_view *view,
                                        enum store_patience patience)
{
    struct source *source = memory_zeroed(1, sizeof *source);
    source->base.ops = &source_ops;
    source->store = store;
    source->view = view;
    source->patience = patience;
    buffer_init(&source->keys.at);
    buffer_init(&source->within.at);
    source->keys.cursor = store->ops->cursor(store, view, patience);
    source->within.cursor = store->ops->cursor(store, view, patience);
    struct prefix meta = {.size = 1, .at = {LAYOUT_META}};
    reach_begin(&source->keys, &meta);
    return &source->base;
}

void state_source_leave(struct record_source *base)
{
    struct source *source = source_of(base);
    source->is_left = true;
    reach_leave(&source->keys);
    reach_leave(&source->within);
}

void state_source_close(struct record_source *base)
{
    if (base == NULL) return;
    struct source *source = source_of(base);
    MUST(source->waiting == NULL || source->is_left);
    state_source_leave(base);
    buffer_release(&source->keys.at);
    buffer_release(&source->within.at);
    memory_free(source->meta.epochs);
    memory_free(source);
}
