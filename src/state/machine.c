/* SPDX-License-Identifier: Apache-2.0 */
/* The doors of seam/machine.h: open, apply, query, and what is told of the state. */
#include <inttypes.h>

#include "base/memory.h"
#include "base/plant.h"
#include "seam/copies.h"
#include "state/dispatch.h"
#include "state/followed.h"
#include "state/foresee.h"
#include "state/inside.h"
#include "state/proof.h"
#include "state/ranges.h"
#include "state/tx_effects.h"
#include "state/views.h"

enum {
    ENTRY_REPLAY_BYTES = 64, /* what replaying an entry costs beside its payload */
    THAW_AN_ENTRY = 4,       /* records: as many as an entry makes, and some more; and one for */
    THAW_BYTES = 128,        /* each so many bytes of its payload. tidy() does most */
    SCRATCH_KEPT_BYTES = 256 << 10, /* of each scratch buffer, between evaluations */
    SCRATCH_KEPT_WORDS = 16 << 10,
};

static const struct state *state_of_const(const struct machine *machine)
{
    return (const struct state *)(const void *)((const char *)machine -
                                                offsetof(struct state, base));
}

bool state_may_be_frozen(const struct state *state, struct version version)
{
    bool readable = state->phase == FROZEN_FLUSHING || state->phase == FROZEN_WAITING ||
                    state->phase == FROZEN_VERIFYING;
    return readable && version.lsn <= state->frozen.mark.lsn.at;
}

bool state_may_be_stored(const struct state *state, struct version version)
{
    return state->flushed.lsn.at > 0 && version.lsn <= state->flushed.lsn.at;
}

/* --- One evaluation --- */

static void evaluation_begin(struct state *state, struct tx *tx, struct tx_inside *inside,
                             unsigned attempt)
{
    state->patience = attempt >= MACHINE_ATTEMPTS_MAX ? STORE_WAIT : STORE_NO_WAIT;
    state->wanted.count = 0;
    buffer_clear(&state->wanted.bytes);
    effects_clear(&state->effects);
    inside->state = state;
    inside->err = ERR_OK;
    inside->events_end = &inside->events;
    tx->inside = inside;
    tx->reply = inside->outcome->reply;
    tx->streams = state->effects.place.on;
}

/* Of an entry: the same on every copy. */
static uint64_t entry_seed(const struct state *state, const struct entry *entry)
{
    uint8_t seed[16 + 8 + 8];
    memcpy(seed, state->applied.history.id, 16);
    store_le64(seed + 16, entry->lsn.at);
    store_le64(seed + 24, entry->stamp.bits);
    return checksum64(bytes_of(seed, sizeof seed), 0);
}

/* A read that comes again rolls what it rolled before: it would wait for other places for ever, and
 * what is in memory already would be picked more often than the rest. */
static uint64_t query_seed(struct state *state, const struct query *query)
{
    if (query->attempt > 0 && state->pending_seed != 0) return state->pending_seed;
    uint8_t seed[16 + 8];
    memcpy(seed, state->applied.history.id, 16);
    store_le64(seed + 16, ++state->queries);
    return checksum64(bytes_of(seed, sizeof seed), 1);
}

static void buffer_trim(struct buffer *buffer)
{
    if (buffer->capacity <= SCRATCH_KEPT_BYTES) return;
    buffer_release(buffer);
    buffer_init(buffer);
}

/* What one evaluation borrowed goes; what a large one made grow is given back. */
static void evaluation_end(struct state *state)
{
    arena_clear(&state->arena);
    buffer_trim(&state->key_scratch);
    buffer_trim(&state->value_scratch);
    if (state->args.capacity <= SCRATCH_KEPT_WORDS) return;
    args_release(&state->args);
    args_init(&state->args);
}

static void tell_events(const struct tx_inside *inside)
{
    struct outcome *outcome = inside->outcome;
    for (const struct event *event = inside->events; event != NULL; event = event->next) {
        outcome->notify(outcome, event->class, event->name, event->database, event->key);
    }
}

static enum err evaluate_command(struct tx *tx, struct payload_reader *reader)
{
    struct state *state = tx_state(tx);
    const struct command *command = NULL;
    enum err err = payload_next_command(reader, &tx->database, &command, &state->args);
    if (err != ERR_OK) return err;
    if (tx->database >= DATABASES) return ERR_CORRUPT;
    if (tx->inside->reading && (command->flags & FLAG_WRITE) != 0) return ERR_PROTOCOL;
    tx->inside->wrote = tx->inside->told = false;
    dispatch_find(command->id)(tx, &state->args);
    if (tx->inside->wrote && !tx->inside->told) tx_effect_same(tx, &state->args);
    return tx->inside->err;
}

/* Whether a watched key is as it was when the client began to watch it. */
static bool watch_holds(struct tx *tx, const struct watched *watched)
{
    struct key key;
    if (watched->database >= DATABASES) return false;
    bool there = tx_find_in(tx, watched->database, watched->key, &key);
    if (PLANTED(WATCH_IGNORED)) return true;
    if (!there) return !watched->present;
    return watched->present && key.version.lsn == watched->version_lsn &&
           key.version.ordinal == watched->version_ordinal &&
           key.changed_lsn == watched->changed_lsn;
}

static enum err evaluate_transaction(struct tx *tx, struct payload_reader *reader)
{
    bool holds = true;
    while (reader->watches > 0) {
        struct watched watched;
        enum err err = payload_next_watch(reader, &watched);
        if (err != ERR_OK) return err;
        if (!watch_holds(tx, &watched)) holds = false;
    }
    if (tx_pending(tx)) return tx->inside->err;
    if (!holds) {
        tx->reply->ops->null_array(tx->reply);
        return ERR_OK;
    }
    tx->in_transaction = true;
    tx->reply->ops->array(tx->reply, reader->commands);
    while (reader->commands > 0) {
        enum err err = evaluate_command(tx, reader);
        if (err != ERR_OK && err != ERR_PENDING) return err;
        MUST(!tx->waits); /* in a transaction nobody waits */
    }
    return tx->inside->err;
}

/* What its primary has done is done here, or the two are not equal any more. */
static enum err evaluate_followed(struct tx *tx, struct payload_reader *reader)
{
    struct followed_reply reply;
    struct reply *outer = tx->reply;
    followed_reply_init(&reply);
    tx->follows = tx->in_transaction = true;
    tx->reply = &reply.base;
    enum err err = ERR_OK;
    while (reader->commands > 0 && (err == ERR_OK || err == ERR_PENDING)) {
        err = evaluate_command(tx, reader);
        followed_reply_name(&reply, tx_state(tx)->args.at[0]);
    }
    tx->reply = outer;
    tx->inside->differs = reply.error[0] != '\0';
    if (err == ERR_OK && tx->inside->differs) outer->ops->error(outer, reply.error);
    return err == ERR_OK ? tx->inside->err : err;
}

static enum err evaluate_expire(struct tx *tx, struct payload_reader *reader)
{
    struct bytes name;
    enum err err = payload_expire(reader, &tx->database, &name);
    if (err != ERR_OK) return err;
    if (tx->database >= DATABASES) return ERR_CORRUPT;
    struct key key;
    if (PLANTED(EXPIRE_UNCONDITIONALLY) && tx_find(tx, name, &key)) tx_remove(tx, &key);
    /* To find a key whose time has come is to remove it. */
    (void)tx_record(tx, tx->database, name, layout_hash(name));
    return tx->inside->err;
}

static enum err evaluate_stream(struct tx *tx, struct payload_reader *reader)
{
    enum stream_word word;
    struct published published;
    enum err err = payload_stream(reader, &word, &published);
    if (err == ERR_OK) effects_say(&tx_state(tx)->effects, word, &published);
    return err;
}

/* Nothing but what entry_keep() makes of it. */
static enum err evaluate_members(const struct tx *tx, struct bytes payload)
{
    struct members members;
    return tx->inside->reading ? ERR_PROTOCOL : payload_members(payload, &members);
}

static enum err evaluate(struct tx *tx, struct bytes payload)
{
    struct payload_reader reader;
    enum err err = payload_read(&reader, payload);
    if (err != ERR_OK) return err;
    switch (reader.kind) {
    case ENTRY_COMMAND: return evaluate_command(tx, &reader);
    case ENTRY_SERVE:
        tx->serving = true;
        return tx->inside->reading ? ERR_PROTOCOL : evaluate_command(tx, &reader);
    case ENTRY_TRANSACTION: return evaluate_transaction(tx, &reader);
    case ENTRY_EXPIRE: return tx->inside->reading ? ERR_PROTOCOL : evaluate_expire(tx, &reader);
    case ENTRY_STREAM: return tx->inside->reading ? ERR_PROTOCOL : evaluate_stream(tx, &reader);
    case ENTRY_MEMBERS: return evaluate_members(tx, payload);
    case ENTRY_FOLLOWED: return tx->inside->reading ? ERR_PROTOCOL : evaluate_followed(tx, &reader);
    case ENTRY_STAMP: /* these two are for whoever drives the machine */
    case ENTRY_VERIFY:
    case ENTRY_EPOCH:
    case ENTRY_NOOP: return tx->inside->reading ? ERR_PROTOCOL : ERR_OK;
    default: return ERR_CORRUPT;
    }
}

/* --- Entries --- */

static bool entry_follows(const struct state *state, const struct entry *entry)
{
    return entry->lsn.at == state->applied.lsn.at + 1 &&
           epoch_compare(entry->epoch, state->applied.epoch) >= 0 &&
           entry->stamp.bits >= state->stamp.bits && entry->payload.size > 0;
}

static void epoch_add(struct state *state, const struct entry *entry)
{
    if (state->epoch_count == META_EPOCHS_MAX) {
        state->epoch_count--;
        memmove(state->epochs, state->epochs + 1, state->epoch_count * sizeof *state->epochs);
    }
    state->epochs = memory_resize(state->epochs, (state->epoch_count + 1) * sizeof *state->epochs);
    state->epochs[state->epoch_count++] = (struct epoch_start){entry->epoch, entry->lsn,
                                                               state->effects.place.end};
}

static void members_set(struct state *state, struct bytes payload)
{
    buffer_clear(&state->members);
    buffer_append(&state->members, payload);
}

/* A place is the state's only as long as nothing else has changed a key; one that is gone comes
 * back with other keys only (state_sink_follow). */
static void followed_keep(struct state *state, const struct tx_inside *inside,
                          const struct entry *entry)
{
    if (entry->payload.data[0] == ENTRY_FOLLOWED && !inside->differs) {
        if (!state->followed.known) return;
        enum err err = entry_take_followed(entry->payload, &state->followed);
        MUST(err == ERR_OK); /* it was evaluated */
    } else if (inside->outcome->changed || inside->differs) {
        state->followed = (struct followed){.known = false};
    }
}

/* The effects are there; mark and stamp follow them in the same step (I1). */
static void entry_keep(struct tx *tx, const struct entry *entry)
{
    struct state *state = tx_state(tx);
    struct outcome *outcome = tx->inside->outcome;
    outcome->changed = tx->inside->staged != NULL || !journal_is_empty(&state->journal);
    if (PLANTED(MARK_WITHOUT_EFFECTS) && entry->lsn.at % 16 == 0) journal_undo(state);
    else tx_finish(tx);
    journal_keep(state);
    effects_keep(state, entry->lsn);
    followed_keep(state, tx->inside, entry);
    if (entry->payload.data[0] == ENTRY_EPOCH) epoch_add(state, entry);
    if (entry->payload.data[0] == ENTRY_MEMBERS) members_set(state, entry->payload);
    if (PLANTED(FORGET_MARK_IN_NOOP) && !outcome->changed) return;
    state->applied.epoch = entry->epoch;
    state->applied.lsn = entry->lsn;
    state->applied.lineage = entry->lineage;
    state->stamp = entry->stamp;
    state->active.mark = state->applied;
    state->active.replay_bytes += entry->payload.size + ENTRY_REPLAY_BYTES;
}

static enum err state_apply(struct machine *machine, const struct entry *entry, unsigned attempt,
                            struct outcome *outcome)
{
    struct state *state = state_of(machine);
    if (!entry_follows(state, entry)) return ERR_CORRUPT;
    struct tx_inside inside = {.outcome = outcome};
    struct tx tx = {.now = entry->stamp, .lsn = entry->lsn.at};
    evaluation_begin(state, &tx, &inside, attempt);
    dice_init(&tx.dice, entry_seed(state, entry));
    size_t place = outcome->reply->ops->mark(outcome->reply);
    enum err err = evaluate(&tx, entry->payload);
    if (err == ERR_OK) {
        outcome->waits = tx.waits;
        entry_keep(&tx, entry);
        if (inside.events != NULL) tell_events(&inside);
    } else {
        if (PLANTED(PENDING_KEEPS_CHANGES)) journal_keep(state);
        else journal_undo(state);
        outcome->reply->ops->rewind(outcome->reply, place);
    }
    evaluation_end(state);
    if (state->phase == FROZEN_THAWING) {
        state_thaw(state, THAW_AN_ENTRY + entry->payload.size / THAW_BYTES);
    }
    if (state->cache_bytes > state->cache_bytes_max) state_evict(state);
    return err;
}

static enum err state_query(struct machine *machine, const struct query *query,
                            struct outcome *outcome)
{
    struct state *state = state_of(machine);
    struct tx_inside inside = {
        .outcome = outcome, .reading = true, .final_expiry = query->final_expiry};
    struct tx tx = {.now = query->now};
    evaluation_begin(state, &tx, &inside, query->attempt);
    uint64_t seed = query_seed(state, query);
    dice_init(&tx.dice, seed);
    size_t place = outcome->reply->ops->mark(outcome->reply);
    enum err err = evaluate(&tx, query->payload);
    MUST(inside.staged == NULL && journal_is_empty(&state->journal));
    if (err == ERR_PENDING) state->pending_seed = seed;
    if (err != ERR_OK) outcome->reply->ops->rewind(outcome->reply, place);
    evaluation_end(state);
    if (state->cache_bytes > state->cache_bytes_max) state_evict(state);
    return err;
}

/* --- What is told --- */

static struct mark state_applied(const struct machine *machine)
{
    return state_of_const(machine)->applied;
}

static struct mark state_flushed(const struct machine *machine)
{
    return state_of_const(machine)->flushed;
}

static struct stamp state_stamp(const struct machine *machine)
{
    return state_of_const(machine)->stamp;
}

static const struct epoch_start *state_epochs(const struct machine *machine, size_t *count)
{
    *count = state_of_const(machine)->epoch_count;
    return state_of_const(machine)->epochs;
}

static struct bytes state_members(const struct machine *machine)
{
    return buffer_bytes(&state_of_const(machine)->members);
}

static struct followed state_followed(const struct machine *machine)
{
    return state_of_const(machine)->followed;
}

static bool is_unflushed(const struct state *state)
{
    return state->phase != FROZEN_NONE && state->phase != FROZEN_THAWING;
}

static uint64_t state_unflushed_bytes(const struct machine *machine)
{
    const struct state *state = state_of_const(machine);
    uint64_t replay = state->active.replay_bytes;
    uint64_t held = generation_bytes(&state->active);
    if (is_unflushed(state)) {
        replay += state->frozen.replay_bytes;
        held += generation_bytes(&state->frozen);
    }
    return replay > held ? replay : held;
}

static uint64_t state_unflushed_records(const struct machine *machine)
{
    const struct state *state = state_of_const(machine);
    /* The stream of effects is written, never read, by a replay. */
    uint64_t records = state->active.cells - state->effects.active_records;
    if (is_unflushed(state)) records += state->frozen.cells - state->effects.frozen_records;
    for (unsigned i = 0; i < DATABASES; i++) {
        records += state->databases[i]->active.count;
        if (is_unflushed(state)) records += state->databases[i]->frozen.count;
    }
    return records;
}

static struct digest state_digest(const struct machine *machine)
{
    const struct state *state = state_of_const(machine);
    struct meta_database databases[DATABASES];
    for (unsigned i = 0; i < DATABASES; i++) databases[i] = state->databases[i]->meta;
    return meta_digest(databases);
}

static struct effects_place state_effects(const struct machine *machine)
{
    return state_of_const(machine)->effects.place;
}

static void state_describe(const struct machine *machine, struct buffer *out)
{
    const struct state *state = state_of_const(machine);
    for (unsigned i = 0; i < DATABASES; i++) {
        const struct meta_database *database = &state->databases[i]->meta;
        if (database->keys == 0) continue;
        buffer_append_format(out, "db%u:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0\r\n", i,
                             database->keys, database->expires);
    }
}

static uint64_t state_memory_bytes(const struct machine *machine)
{
    const struct state *state = state_of_const(machine);
    uint64_t bytes = sizeof *state + state->cache_bytes + generation_bytes(&state->active) +
                     state->active.strands.bytes + state->arena.bytes;
    if (state->phase != FROZEN_NONE) {
        bytes += generation_bytes(&state->frozen) + state->frozen.strands.bytes;
    }
    for (const struct list *node = state->spaces.next; node != &state->spaces; node = node->next) {
        const struct keyspace *space =
            (const struct keyspace *)(const void *)((const char *)node -
                                                    offsetof(struct keyspace, node));
        bytes += sizeof *space + space->keys.bytes +
                 (space->active.capacity + space->frozen.capacity) * sizeof(struct change);
        if (space->dead) bytes += space->clean_bytes;
    }
    return bytes;
}

/* --- Opening and closing --- */

static void state_close(struct machine *machine)
{
    struct state *state = state_of(machine);
    state_flush_forget(state);
    state_capture_forget(state);
    state_export_forget(state);
    state_survey_forget(state);
    state_tidy_forget(state);
    state_warm_forget(state);
    state_look_ahead_forget(state);
    while (!list_empty(&state->spaces)) {
        keyspace_free(CONTAINER_OF(list_first(&state->spaces), struct keyspace, node));
    }
    generation_release(&state->active);
    generation_release(&state->frozen);
    journal_release(&state->journal);
    effects_release(&state->effects);
    args_release(&state->args);
    arena_release(&state->arena);
    buffer_release(&state->wanted.bytes);
    memory_free(state->wanted.ranges);
    buffer_release(&state->stage);
    buffer_release(&state->key_scratch);
    buffer_release(&state->value_scratch);
    memory_free(state->epochs);
    buffer_release(&state->members);
    memory_free(state);
}

static void state_reclaim(struct machine *machine)
{
    const struct state *state = state_of(machine);
    state->store->ops->reclaim(state->store);
}

static bool state_is_low(const struct machine *machine)
{
    const struct state *state = state_of_const(machine);
    return state->store->ops->is_low(state->store);
}

static const struct machine_ops state_ops = {
    .applied = state_applied,
    .flushed = state_flushed,
    .stamp = state_stamp,
    .epochs = state_epochs,
    .members = state_members,
    .followed = state_followed,
    .apply = state_apply,
    .foresee = state_foresee,
    .look_ahead = state_look_ahead,
    .query = state_query,
    .warm = state_warm,
    .unflushed_bytes = state_unflushed_bytes,
    .unflushed_records = state_unflushed_records,
    .flush = state_flush,
    .capture = state_capture,
    .survey = state_survey,
    .effects = state_effects,
    .effects_read = state_effects_read,
    .effects_keep = state_effects_keep,
    .export = state_export,
    .due = state_due,
    .tidy = state_tidy,
    .reclaim = state_reclaim,
    .is_low = state_is_low,
    .digest = state_digest,
    .describe = state_describe,
    .memory_bytes = state_memory_bytes,
    .close = state_close,
};

/* Every flush of a machine writes a meta record: where there is none there may be nothing else. */
static enum err check_empty(struct store *store, struct why *why)
{
    enum err err = proof_empty(store, why);
    if (err != ERR_EXISTS) return err;
    return why_fail(why, ERR_CORRUPT,
                    "the store holds records but no meta record: it was never completed");
}

/* The store's meta record, or that of an empty store of the given history. */
static enum err meta_read(struct store *store, struct history history, struct meta *meta,
                          struct why *why)
{
    struct buffer value;
    buffer_init(&value);
    enum err err = store->ops->get(store, bytes_text("M"), STORE_WAIT, &value);
    if (err == ERR_OK) {
        err = meta_decode(buffer_bytes(&value), meta, why);
    } else if (err == ERR_NOT_FOUND) {
        meta_init(meta, &(struct mark){.history = history});
        err = check_empty(store, why);
    } else {
        (void)why_fail(why, err, "the meta record cannot be read: %s", err_name(err));
    }
    buffer_release(&value);
    if (err != ERR_OK) return err;
    if (memcmp(meta->mark.history.id, history.id, sizeof history.id) != 0) {
        memory_free(meta->epochs);
        return why_fail(why, ERR_REFUSED, "the store is of another history");
    }
    return ERR_OK;
}

enum err state_open(struct machine **machine, struct store *store, struct clock *clock,
                    const struct state_options *options, struct trace *trace, struct why *why)
{
    *machine = NULL;
    struct meta meta;
    enum err err = meta_read(store, options->history, &meta, why);
    if (err != ERR_OK) return err;
    struct state *state = memory_zeroed(1, sizeof *state);
    state->base.ops = &state_ops;
    state->store = store;
    state->clock = clock;
    state->trace = trace;
    state->applied = state->flushed = meta.mark;
    state->stamp = meta.stamp;
    state->namespaces = meta.namespaces;
    state->followed = meta.followed;
    state->epochs = meta.epochs;
    state->epoch_count = meta.epoch_count;
    buffer_init(&state->members);
    members_set(state, meta.members);
    state->cache_bytes_max = options->cache_bytes;
    list_init(&state->spaces);
    list_init(&state->warmings);
    list_init(&state->captures);
    list_init(&state->exports);
    list_init(&state->surveys);
    for (unsigned i = 0; i < DATABASES; i++) {
        struct keyspace *space = keyspace_new(meta.databases[i].namespace, meta.mark.lsn.at > 0);
        space->meta = meta.databases[i];
        list_append(&state->spaces, &space->node);
        state->databases[i] = space;
    }
    generation_init(&state->active, 1);
    generation_init(&state->frozen, 0);
    state->active.mark = state->applied;
    effects_init(&state->effects, &meta.effects, options->effects_bytes);
    args_init(&state->args);
    arena_init(&state->arena);
    buffer_init(&state->wanted.bytes);
    buffer_init(&state->stage);
    buffer_init(&state->key_scratch);
    buffer_init(&state->value_scratch);
    *machine = &state->base;
    return ERR_OK;
}
