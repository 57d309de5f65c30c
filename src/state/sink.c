/* SPDX-License-Identifier: Apache-2.0 */
/* The sink: keys into an empty store.
 *
 *   TAKING --window full--> FLUSHING --done--> TAKING
 *     |                        |
 *     +--finish--> ENDING --done, meta record read back--> ENDED        any --error--> FAILED
 *
 * What is taken stands in a window: records and strands as the machine has them, flushed by the
 * same run. Only the run of ENDING has a meta record. A flushed window is freed in small steps
 * while the next one fills.
 *
 * That a name was given before is seen in the window, and once there were flushes in the store. A
 * collection's elements are looked up there only if a flush came in between.
 *
 * A collection's record is written at its end, when size and sum are known; a string's with its
 * text, which is the caller's. */
#include <math.h>

#include "base/memory.h"
#include "state/proof.h"
#include "state/score.h"
#include "state/state.h"
#include "state/string_words.h"
#include "state/window.h"

enum { FREE_A_CALL = 8, TEXT_SHOWN = 64 };

enum phase { SINK_TAKING, SINK_FLUSHING, SINK_ENDING, SINK_ENDED, SINK_FAILED };

struct sink {
    struct record_sink base;
    struct store *store;
    enum phase phase;
    enum err failed;
    struct meta meta; /* its databases grow */
    uint64_t window_bytes;
    enum store_patience patience;
    struct window *window, *old; /* being filled; being flushed or freed, NULL: none */
    bool stored;                 /* there were flushes */
    uint64_t ordinals;           /* given to keys without an origin */
    bool origins, has_origins;   /* whether keys have one; known from the first on */

    bool begun;     /* a key is being taken: */
    struct key key; /* its name is in `name`, its size counts what was taken */
    struct buffer name;
    uint64_t hash, claimed; /* of its name; how many elements it says to have, 0: not known */
    bool spilled;           /* a flush came in between */
    struct state_sink_progress progress;

    struct run run;
    struct store_flush flush;
    struct buffer scratch; /* a store key, or the tail of one */
    struct buffer wanted;  /* a store key whose look-up was pending */
    struct buffer value;
    unsigned attempts;
    struct store_warm warm;
    struct store_range range;
    struct record_wait *waiting;
};

static struct sink *sink_of(struct record_sink *base)
{
    return CONTAINER_OF(base, struct sink, base);
}

static const struct sink *sink_of_const(const struct record_sink *base)
{
    return (const struct sink *)(const void *)((const char *)base - offsetof(struct sink, base));
}

/* --- Errors --- */

static enum err fail(struct sink *sink, enum err err)
{
    sink->failed = err;
    sink->phase = SINK_FAILED;
    return err;
}

/* Names the key, cut, without what is not printed. */
static enum err refuse(struct sink *sink, enum err err, struct bytes name, const char *what)
{
    char text[TEXT_SHOWN + 1];
    size_t shown = name.size < TEXT_SHOWN ? name.size : TEXT_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        text[i] = name.data[i] >= 32 && name.data[i] < 127 ? (char)name.data[i] : '?';
    }
    text[shown] = '\0';
    (void)why_fail(&sink->base.why, err, "key '%s'%s: %s", text, shown < name.size ? "..." : "",
                   what);
    return fail(sink, err);
}

/* --- Flushes --- */

static void tell(struct sink *sink, enum err err)
{
    struct record_wait *wait = sink->waiting;
    sink->waiting = NULL;
    if (wait == NULL) return;
    wait->err = err;
    wait->done(wait);
}

static void flushed(struct store_flush *flush)
{
    struct sink *sink = CONTAINER_OF(flush, struct sink, flush);
    run_release(&sink->run);
    run_init(&sink->run, NULL);
    sink->stored = true;
    sink->spilled = sink->begun;
    if (flush->err != ERR_OK) {
        sink->base.why = flush->why;
        (void)fail(sink, flush->err);
    } else if (sink->phase == SINK_FLUSHING) {
        sink->phase = SINK_TAKING;
    }
    tell(sink, flush->err);
}

static void flush_window(struct sink *sink, enum phase phase)
{
    if (sink->old != NULL) (void)window_free(sink->old, SIZE_MAX);
    sink->old = sink->window;
    sink->window = window_new();
    window_run(sink->old, sink->meta.databases, &sink->run);
    if (phase == SINK_ENDING) meta_encode(&sink->meta, &sink->run.meta);
    run_begin(&sink->run);
    sink->phase = phase;
    sink->flush = (struct store_flush){.run = &sink->run.base, .done = flushed};
    sink->store->ops->flush(sink->store, &sink->flush);
}

static bool is_flushing(const struct sink *sink)
{
    return sink->run.generation != NULL;
}

/* Whether one more record may be taken. */
static enum err ready(struct sink *sink)
{
    MUST(sink->waiting == NULL && sink->phase != SINK_ENDING && sink->phase != SINK_ENDED);
    if (sink->phase == SINK_FAILED) return sink->failed;
    if (sink->phase == SINK_FLUSHING) return ERR_PENDING;
    if (sink->old != NULL && window_free(sink->old, FREE_A_CALL)) sink->old = NULL;
    if (window_bytes(sink->window) < sink->window_bytes) return ERR_OK;
    flush_window(sink, SINK_FLUSHING);
    return ERR_PENDING;
}

/* --- Looking into the store --- */

static enum err look(struct sink *sink, struct bytes at)
{
    enum store_patience patience = sink->patience;
    if (sink->attempts >= MACHINE_ATTEMPTS_MAX) patience = STORE_WAIT;
    buffer_clear(&sink->value);
    enum err err = sink->store->ops->get(sink->store, at, patience, &sink->value);
    if (err != ERR_PENDING) {
        sink->attempts = 0;
        return err;
    }
    sink->attempts++;
    buffer_clear(&sink->wanted);
    buffer_append(&sink->wanted, at);
    return err;
}

/* ERR_OK: the store does not have it. `what`: the refusal if it has. */
static enum err look_for_twin(struct sink *sink, struct bytes at, struct bytes name,
                              const char *what)
{
    enum err err = look(sink, at);
    if (err == ERR_NOT_FOUND) return ERR_OK;
    if (err == ERR_OK) return refuse(sink, ERR_EXISTS, name, what);
    if (err == ERR_PENDING) return err;
    return fail(sink,
                why_fail(&sink->base.why, err, "the store cannot be read: %s", err_name(err)));
}

static void warmed(struct store_warm *warm)
{
    tell(CONTAINER_OF(warm, struct sink, warm), warm->err);
}

static bool sink_wait(struct record_sink *base, struct record_wait *wait)
{
    struct sink *sink = sink_of(base);
    MUST(sink->waiting == NULL);
    if (!is_flushing(sink) && sink->wanted.size == 0) return false;
    sink->waiting = wait;
    if (is_flushing(sink)) return true;
    buffer_clear(&sink->scratch);
    buffer_append(&sink->scratch, buffer_bytes(&sink->wanted));
    buffer_clear(&sink->wanted);
    sink->range = (struct store_range){.from = buffer_bytes(&sink->scratch), .bytes_max = 1};
    sink->warm = (struct store_warm){.ranges = &sink->range, .count = 1, .done = warmed};
    sink->store->ops->warm(sink->store, &sink->warm);
    return true;
}

/* --- Keys --- */

static bool type_of(enum record_type type, enum key_type *out)
{
    switch (type) {
    case RECORD_STRING: *out = KEY_STRING; return true;
    case RECORD_LIST: *out = KEY_LIST; return true;
    case RECORD_SET: *out = KEY_SET; return true;
    case RECORD_ZSET: *out = KEY_ZSET; return true;
    case RECORD_HASH: *out = KEY_HASH; return true;
    }
    return false;
}

static const char no_room[] = "its list has no room for so many items";

static enum err check_origin(struct sink *sink, const struct record_key *key)
{
    const struct record_origin *origin = &key->origin;
    bool has = origin->version_lsn != 0;
    uint64_t mark = sink->meta.mark.lsn.at;
    if (sink->origins && has != sink->has_origins) {
        return refuse(sink, ERR_PROTOCOL, key->name, "all keys have an origin, or none has");
    }
    sink->origins = true;
    sink->has_origins = has;
    if (!has && sink->ordinals > UINT32_MAX) {
        return refuse(sink, ERR_LIMIT, key->name, "there are too many keys");
    }
    if (origin->version_lsn > mark || origin->changed_lsn > mark) {
        return refuse(sink, ERR_PROTOCOL, key->name, "it was changed after the mark");
    }
    if (key->type == RECORD_LIST && !record_list_fits(origin->head, key->count)) {
        return refuse(sink, ERR_LIMIT, key->name, no_room);
    }
    return ERR_OK;
}

static enum err check_key(struct sink *sink, const struct record_key *key)
{
    enum key_type type;
    if (key->database >= DATABASES) {
        return refuse(sink, ERR_LIMIT, key->name, "there are 16 databases only");
    }
    if (key->name.size > KEY_NAME_BYTES_MAX) {
        return refuse(sink, ERR_LIMIT, key->name, "its name is too long");
    }
    if (key->expires_ms > INT64_MAX) {
        return refuse(sink, ERR_LIMIT, key->name, "it ends too late");
    }
    if (!type_of(key->type, &type)) return refuse(sink, ERR_PROTOCOL, key->name, "it has no type");
    if (type == KEY_STRING && key->count > 1) {
        return refuse(sink, ERR_PROTOCOL, key->name, "it cannot have so many elements");
    }
    return check_origin(sink, key);
}

static void begin_key(struct sink *sink, const struct record_key *from, uint64_t hash)
{
    const struct record_origin *origin = &from->origin;
    struct key *key = &sink->key;
    buffer_clear(&sink->name);
    buffer_append(&sink->name, from->name);
    *key = (struct key){.database = from->database,
                        .name = buffer_bytes(&sink->name),
                        .version = {origin->version_lsn, origin->version_ordinal},
                        .expire_ms = from->expires_ms,
                        .changed_lsn = origin->changed_lsn};
    (void)type_of(from->type, &key->type);
    if (!sink->has_origins) {
        key->version = (struct version){sink->meta.mark.lsn.at, (uint32_t)sink->ordinals++};
        key->changed_lsn = sink->meta.mark.lsn.at;
    }
    if (key->type == KEY_LIST) key->head = key->tail = origin->head;
    sink->begun = true;
    sink->hash = hash;
    sink->claimed = key->type == KEY_STRING ? 1 : from->count;
    sink->spilled = false;
    sink->progress.bytes += from->name.size;
}

/* The kind of strand that its elements go to. */
static enum layout layout_of(const struct key *key)
{
    return key->type == KEY_LIST ? LAYOUT_ITEM : LAYOUT_ELEMENT;
}

static const char not_ended[] = "it was not ended";

static enum err sink_key(struct record_sink *base, const struct record_key *key)
{
    static const char twin[] = "it was given before";
    struct sink *sink = sink_of(base);
    enum err err = ready(sink);
    if (err != ERR_OK) return err;
    if (sink->begun) return refuse(sink, ERR_PROTOCOL, sink->key.name, not_ended);
    err = check_key(sink, key);
    if (err != ERR_OK) return err;
    uint64_t hash = layout_hash(key->name);
    if (!window_lacks(sink->window, key->database, hash, key->name)) {
        return refuse(sink, ERR_EXISTS, key->name, twin);
    }
    if (sink->stored) {
        uint64_t namespace = sink->meta.databases[key->database].namespace;
        layout_put_key(&sink->scratch, namespace, hash, key->name);
        err = look_for_twin(sink, buffer_bytes(&sink->scratch), key->name, twin);
        if (err != ERR_OK) return err;
    }
    begin_key(sink, key, hash);
    struct prefix strand = layout_strand(
        layout_of(&sink->key), sink->meta.databases[key->database].namespace, sink->key.version);
    if (sink->key.type == KEY_STRING) return ERR_OK;
    if (generation_find(&sink->window->generation, &strand) == NULL) return ERR_OK;
    return refuse(sink, ERR_EXISTS, key->name, "another key has its version");
}

static void index_expiry(struct sink *sink, uint64_t namespace)
{
    struct generation *generation = &sink->window->generation;
    buffer_clear(&sink->scratch);
    layout_put_expiry_tail(&sink->scratch, namespace, sink->hash, sink->key.name);
    struct strand *index = generation_get(generation, LAYOUT_EXPIRY, 0, (struct version){0});
    struct cell *cell = cell_new(sink->key.expire_ms, buffer_bytes(&sink->scratch),
                                 (struct bytes){0});
    memory_free(generation_put(generation, index, cell));
}

/* All of it is there: now its record can be written, with the sum of its elements. */
static void write_key(struct sink *sink)
{
    const struct key *key = &sink->key;
    struct meta_database *database = &sink->meta.databases[key->database];
    struct record *record = memory_alloc(record_bytes_of(key->name.size, record_value_size(key)));
    record_write(record, key, sink->hash);
    window_add(sink->window, key->database, record);
    database->keys++;
    database->sum = digest_add(database->sum, record->digest);
    if (key->expire_ms != 0) {
        database->expires++;
        index_expiry(sink, database->namespace);
    }
    sink->progress.keys++;
}

/* --- Elements --- */

/* Whether the strand got the cell, which is taken: it had none at that place. */
static bool put(struct sink *sink, enum layout kind, struct cell *cell)
{
    struct generation *generation = &sink->window->generation;
    uint64_t namespace = sink->meta.databases[sink->key.database].namespace;
    struct strand *strand = generation_get(generation, kind, namespace, sink->key.version);
    struct cell *was = generation_put(generation, strand, cell);
    memory_free(was);
    return was == NULL;
}

static enum err put_member(struct sink *sink, struct bytes name, struct bytes value)
{
    static const char twin[] = "it has a member twice";
    struct key *key = &sink->key;
    uint64_t hash = layout_hash(name);
    if (sink->spilled) {
        uint64_t namespace = sink->meta.databases[key->database].namespace;
        struct prefix strand = layout_strand(LAYOUT_ELEMENT, namespace, key->version);
        layout_put_strand(&sink->scratch, &strand, hash, name);
        enum err err = look_for_twin(sink, buffer_bytes(&sink->scratch), key->name, twin);
        if (err != ERR_OK) return err;
    }
    if (!put(sink, LAYOUT_ELEMENT, cell_new(hash, name, value))) {
        return refuse(sink, ERR_EXISTS, key->name, twin);
    }
    key->elements = digest_add(key->elements, element_digest(name, value));
    return ERR_OK;
}

static enum err put_scored(struct sink *sink, const struct record_element *element)
{
    if (isnan(element->score)) {
        return refuse(sink, ERR_PROTOCOL, sink->key.name, "a score of it is no number");
    }
    uint8_t score[SCORE_BYTES];
    score_encode(element->score, score);
    enum err err = put_member(sink, element->first, bytes_of(score, sizeof score));
    if (err != ERR_OK) return err;
    struct cell *rank = cell_new(layout_score(element->score), element->first, (struct bytes){0});
    (void)put(sink, LAYOUT_RANK, rank);
    return ERR_OK;
}

static enum err put_item(struct sink *sink, struct bytes value)
{
    struct key *key = &sink->key;
    if (!record_list_fits(key->head, key->size + 1)) {
        return refuse(sink, ERR_LIMIT, key->name, no_room);
    }
    (void)put(sink, LAYOUT_ITEM, cell_new(layout_index(key->tail), (struct bytes){0}, value));
    key->elements = digest_add(key->elements, item_digest(key->tail, value));
    key->tail++;
    return ERR_OK;
}

static void put_text(struct sink *sink, struct bytes text)
{
    sink->key.text = text;
    write_key(sink);
    sink->key.text = (struct bytes){0};
}

static enum err put_element(struct sink *sink, const struct record_element *element)
{
    switch (sink->key.type) {
    case KEY_STRING: put_text(sink, element->first); return ERR_OK;
    case KEY_LIST: return put_item(sink, element->first);
    case KEY_SET: return put_member(sink, element->first, (struct bytes){0});
    case KEY_ZSET: return put_scored(sink, element);
    case KEY_HASH: return put_member(sink, element->first, element->second);
    }
    return ERR_OK;
}

static enum err sink_element(struct record_sink *base, const struct record_element *element)
{
    struct sink *sink = sink_of(base);
    enum err err = ready(sink);
    if (err != ERR_OK) return err;
    if (!sink->begun) return refuse(sink, ERR_PROTOCOL, sink->key.name, "it was ended");
    if (sink->claimed != 0 && sink->key.size == sink->claimed) {
        return refuse(sink, ERR_PROTOCOL, sink->key.name, "it has more elements than it says");
    }
    if (element->first.size > STRING_BYTES_MAX || element->second.size > STRING_BYTES_MAX) {
        return refuse(sink, ERR_LIMIT, sink->key.name, "an element of it is too long");
    }
    err = put_element(sink, element);
    if (err != ERR_OK) return err;
    sink->key.size++;
    sink->progress.elements++;
    sink->progress.bytes += element->first.size;
    if (sink->key.type == KEY_HASH) sink->progress.bytes += element->second.size;
    return ERR_OK;
}

static enum err sink_end(struct record_sink *base)
{
    struct sink *sink = sink_of(base);
    enum err err = ready(sink);
    if (err != ERR_OK) return err;
    if (!sink->begun) return refuse(sink, ERR_PROTOCOL, sink->key.name, "it was ended");
    if (sink->key.size == 0 || sink->key.size < sink->claimed) {
        return refuse(sink, ERR_PROTOCOL, sink->key.name, "it has fewer elements than it says");
    }
    if (sink->key.type != KEY_STRING) write_key(sink);
    sink->begun = false;
    return ERR_OK;
}

/* --- The end --- */

static enum err check_whole(struct sink *sink, const struct digest *digest)
{
    if (sink->begun) return refuse(sink, ERR_PROTOCOL, sink->key.name, not_ended);
    if (digest == NULL || digest_equal(*digest, meta_digest(sink->meta.databases))) return ERR_OK;
    (void)why_fail(&sink->base.why, ERR_CORRUPT, "the keys have another digest than was told");
    return fail(sink, ERR_CORRUPT);
}

/* The meta record as the store has it now. */
static enum err read_back(struct sink *sink)
{
    enum err err = look(sink, bytes_text("M"));
    if (err == ERR_PENDING) return err;
    buffer_clear(&sink->scratch);
    meta_encode(&sink->meta, &sink->scratch);
    if (err == ERR_OK && bytes_equal(buffer_bytes(&sink->value), buffer_bytes(&sink->scratch))) {
        sink->phase = SINK_ENDED;
        return ERR_OK;
    }
    if (err == ERR_OK || err == ERR_NOT_FOUND) err = ERR_CORRUPT;
    (void)why_fail(&sink->base.why, err, "the mark that was flushed cannot be read back");
    return fail(sink, err);
}

enum err state_sink_finish(struct record_sink *base, const struct digest *digest)
{
    struct sink *sink = sink_of(base);
    MUST(sink->waiting == NULL);
    if (is_flushing(sink)) return ERR_PENDING;
    enum err err = sink->failed;
    switch (sink->phase) {
    case SINK_TAKING:
        err = check_whole(sink, digest);
        if (err != ERR_OK) return err;
        flush_window(sink, SINK_ENDING);
        return ERR_PENDING;
    case SINK_ENDING: return read_back(sink);
    case SINK_FLUSHING:
    case SINK_ENDED:
    case SINK_FAILED: break;
    }
    return err;
}

void state_sink_follow(struct record_sink *base, const struct followed *place)
{
    struct sink *sink = sink_of(base);
    if (sink->phase == SINK_TAKING || sink->phase == SINK_FLUSHING) sink->meta.followed = *place;
}

struct digest state_sink_digest(const struct record_sink *base)
{
    return meta_digest(sink_of_const(base)->meta.databases);
}

struct state_sink_progress state_sink_progress(const struct record_sink *base)
{
    return sink_of_const(base)->progress;
}

/* --- Opening and closing --- */

static const struct record_sink_ops sink_ops = {
    .key = sink_key,
    .element = sink_element,
    .end = sink_end,
    .wait = sink_wait,
};

static void take_options(struct sink *sink, const struct state_sink_options *options)
{
    size_t count = options->epoch_count, skipped = 0;
    if (count > META_EPOCHS_MAX) skipped = count - META_EPOCHS_MAX; /* as the machine does */
    sink->window_bytes = options->window_bytes;
    sink->patience = options->patience;
    meta_init(&sink->meta, &options->mark);
    sink->meta.stamp = options->stamp;
    sink->meta.effects = options->effects;
    sink->meta.effects.first = options->effects.end;
    if (!options->effects.on) sink->meta.effects.database = EFFECTS_DATABASE_NONE;
    sink->meta.epoch_count = count - skipped;
    sink->meta.epochs = memory_zeroed(count + 1, sizeof *sink->meta.epochs);
    if (count > 0) {
        memcpy(sink->meta.epochs, options->epochs + skipped,
               sink->meta.epoch_count * sizeof *sink->meta.epochs);
    }
}

enum err state_sink_open(struct record_sink **out, struct store *store,
                         const struct state_sink_options *options, struct why *why)
{
    *out = NULL;
    MUST(options->window_bytes > 0);
    if (options->mark.lsn.at == 0) return why_fail(why, ERR_REFUSED, "the mark has no LSN");
    enum err err = proof_empty(store, why);
    if (err == ERR_EXISTS) return why_fail(why, ERR_REFUSED, "the store is not empty");
    if (err != ERR_OK) return err;
    struct sink *sink = memory_zeroed(1, sizeof *sink);
    sink->base.ops = &sink_ops;
    sink->store = store;
    take_options(sink, options);
    sink->window = window_new();
    run_init(&sink->run, NULL);
    buffer_init(&sink->name);
    buffer_init(&sink->scratch);
    buffer_init(&sink->wanted);
    buffer_init(&sink->value);
    *out = &sink->base;
    return ERR_OK;
}

void state_sink_close(struct record_sink *base)
{
    if (base == NULL) return;
    struct sink *sink = sink_of(base);
    (void)window_free(sink->window, SIZE_MAX);
    if (sink->old != NULL) (void)window_free(sink->old, SIZE_MAX);
    run_release(&sink->run);
    memory_free(sink->meta.epochs);
    buffer_release(&sink->name);
    buffer_release(&sink->scratch);
    buffer_release(&sink->wanted);
    buffer_release(&sink->value);
    memory_free(sink);
}
