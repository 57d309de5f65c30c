/* SPDX-License-Identifier: Apache-2.0 */
/* fake: a machine that does what a test tells it. It knows LPUSH, BLPOP, BLMOVE, BZPOPMIN and GET
 * on a handful of keys, each a count of elements; every other write is answered with +OK. It keeps
 * its state over restarts of its node, as a store does, and everything else as told. */
#ifndef TEST_NODE_FAKE_H
#define TEST_NODE_FAKE_H

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "command/command.h"
#include "seam/maker.h"

enum {
    FAKE_KEYS = 16,
    FAKE_NAME_BYTES = 16,
    FAKE_TEXT_BYTES = 8192,
    FAKE_WARMS = 8,
    FAKE_EPOCHS = 64,
    FAKE_SURVEYS = 8
};

struct fake_key {
    char name[FAKE_NAME_BYTES];
    unsigned elements;
};

/* What its store says of the history. */
struct fake_told {
    struct epoch_start epochs[FAKE_EPOCHS];
    size_t epoch_count, members_size;
    uint8_t members[PAYLOAD_MEMBERS_BYTES_MAX];
};

struct fake {
    struct machine base;
    struct machine_maker maker;
    bool exists, open; /* the store; the machine on it */
    char directory[FAKE_TEXT_BYTES];
    enum machine_found found; /* what the store is taken for; MACHINE_MARK: what it is */
    unsigned opens, closes, fills;
    struct machine_filler filler;
    struct machine_fill fill;
    char fill_directory[FAKE_TEXT_BYTES];
    unsigned filled, fill_closes; /* records; */
    unsigned fill_pending;        /* so many calls say ERR_PENDING first, and */
    struct record_wait *fill_wait; /* wait for fake_answer_fill() */
    enum err fill_err;             /* what its end says */

    struct mark applied, flushed;
    struct stamp stamp, queried_at;
    struct fake_key keys[FAKE_KEYS], frozen_keys[FAKE_KEYS], flushed_keys[FAKE_KEYS];
    struct fake_told told, frozen_told, flushed_told;
    struct args args;
    char applied_words[FAKE_TEXT_BYTES]; /* the command of each entry: "epoch LPUSH BLPOP ..." */

    unsigned pending;     /* so many evaluations say ERR_PENDING first */
    enum err apply_err;   /* what the next apply says; ERR_OK: it works */
    const char *proposes; /* the next query wants this key removed first */
    bool queried_final;   /* final_expiry of the last query */
    unsigned tidies;

    struct machine_warm *warms[FAKE_WARMS]; /* asked for and not yet answered */
    unsigned warm_count;
    struct machine_flush *flush; /* under way */
    struct mark flush_mark;
    unsigned flushes;
    uint64_t unflushed, unflushed_records;
    uint64_t foreseen; /* up to this LSN */
    unsigned foresights;
    bool misses_ahead;          /* what look_ahead() says */
    struct machine_warm *ahead; /* not yet answered; NULL: none */
    uint64_t looked_at;         /* up to this LSN */
    unsigned looks;             /* at entries */
    bool low;                   /* what is_low() says */
    struct fake_capture {
        struct capture base;
        struct mark mark; /* of what the newest flush left, when it was opened */
        unsigned records, given;
        char key[16];
    } capture;
    unsigned captures, captures_closed;
    unsigned capture_records; /* of the next one, each of a kilobyte; 0: one, without a value */
    int64_t capture_off;      /* its LSN is so far from what is flushed */
    unsigned reclaims;

    struct effects_place stream;
    struct effects_keep keep;
    unsigned stream_grows;   /* by each entry */
    unsigned stream_pending; /* so many reads of the stream say ERR_PENDING first */
    struct export export;
    unsigned exports;     /* opened */
    struct digest digest; /* what digest() says */
    struct fake_survey {
        struct survey base;
        struct mark mark;       /* of what the newest flush left, when it was opened */
        struct survey_ask *ask; /* under way */
        bool open;
    } surveys[FAKE_SURVEYS];
};

static inline struct fake *fake_of(const struct machine *machine)
{
    return (struct fake *)(uintptr_t)machine;
}

static inline struct fake_key *fake_key(struct fake *fake, struct bytes name)
{
    for (unsigned i = 0; i < FAKE_KEYS; i++) {
        struct fake_key *key = &fake->keys[i];
        if (key->name[0] == 0) {
            MUST(name.size < FAKE_NAME_BYTES);
            memcpy(key->name, name.data, name.size);
        }
        if (bytes_equal(bytes_text(key->name), name)) return key;
    }
    MUST(false);
    return NULL;
}

static inline void fake_note(struct fake *fake, const char *word)
{
    size_t size = strlen(fake->applied_words);
    snprintf(fake->applied_words + size, sizeof fake->applied_words - size, "%s%s",
             size > 0 ? " " : "", word);
}

/* A pop from the first of args[1..last] that has elements; a key with a long name never has. */
static inline bool fake_pop(struct fake *fake, size_t last, struct reply *reply)
{
    for (size_t i = 1; i <= last; i++) {
        if (fake->args.at[i].size >= FAKE_NAME_BYTES) continue;
        struct fake_key *key = fake_key(fake, fake->args.at[i]);
        if (key->elements == 0) continue;
        key->elements--;
        reply->ops->bulk(reply, fake->args.at[i]);
        return true;
    }
    return false;
}

static inline void fake_command(struct fake *fake, const struct command *command,
                                struct outcome *outcome)
{
    const struct args *args = &fake->args;
    struct reply *reply = outcome->reply;
    if (command->id == COMMAND_LPUSH) {
        struct fake_key *key = fake_key(fake, args->at[1]);
        key->elements += (unsigned)args->count - 2;
        reply->ops->integer(reply, key->elements);
    } else if (command->id == COMMAND_BLPOP) {
        outcome->waits = !fake_pop(fake, args->count - 2, reply);
    } else if (command->id == COMMAND_BLMOVE) {
        outcome->waits = !fake_pop(fake, 1, reply);
        if (!outcome->waits) fake_key(fake, args->at[2])->elements++;
    } else if (command->id == COMMAND_BZPOPMIN) {
        outcome->waits = true; /* nobody adds to a sorted set here */
    } else {
        reply->ops->simple(reply, "OK");
    }
}

static inline void fake_evaluate(struct fake *fake, struct bytes payload, struct outcome *outcome)
{
    struct payload_reader reader;
    MUST(payload_read(&reader, payload) == ERR_OK);
    if (reader.kind == ENTRY_EPOCH) fake_note(fake, "epoch");
    if (reader.kind == ENTRY_EXPIRE) fake_note(fake, "expire");
    while (reader.commands > 0) {
        uint8_t database;
        const struct command *command;
        MUST(payload_next_command(&reader, &database, &command, &fake->args) == ERR_OK);
        fake_note(fake, command->name);
        fake_command(fake, command, outcome);
    }
}

static inline void fake_tell(struct fake_told *told, const struct entry *entry)
{
    struct bytes payload = entry->payload;
    if (payload.data[0] == ENTRY_EPOCH) {
        MUST(told->epoch_count < FAKE_EPOCHS);
        told->epochs[told->epoch_count++] = (struct epoch_start){entry->epoch, entry->lsn, 0};
    } else if (payload.data[0] == ENTRY_MEMBERS) {
        MUST(payload.size <= PAYLOAD_MEMBERS_BYTES_MAX);
        memcpy(told->members, payload.data, payload.size);
        told->members_size = payload.size;
    }
}

static inline enum err fake_apply(struct machine *machine, const struct entry *entry,
                                  unsigned attempt, struct outcome *outcome)
{
    struct fake *fake = fake_of(machine);
    MUST(entry->lsn.at == fake->applied.lsn.at + 1); /* each once, in order */
    MUST(entry->stamp.bits > fake->stamp.bits);
    if (fake->apply_err != ERR_OK) return fake->apply_err;
    if (fake->pending > 0 && attempt < MACHINE_ATTEMPTS_MAX) {
        fake->pending--;
        outcome->reply->ops->simple(outcome->reply, "taken back");
        return ERR_PENDING;
    }
    fake_evaluate(fake, entry->payload, outcome);
    fake_tell(&fake->told, entry);
    fake->applied.epoch = entry->epoch;
    fake->applied.lsn = entry->lsn;
    fake->applied.lineage = entry->lineage;
    fake->stamp = entry->stamp;
    fake->stream.end += fake->stream_grows;
    return ERR_OK;
}

static inline enum err fake_query(struct machine *machine, const struct query *query,
                                  struct outcome *outcome)
{
    struct fake *fake = fake_of(machine);
    fake->queried_at = query->now;
    fake->queried_final = query->final_expiry;
    struct reply *reply = outcome->reply;
    if (fake->proposes != NULL && !query->final_expiry) {
        struct buffer payload;
        buffer_init(&payload);
        payload_put_expire(&payload, 0, bytes_text(fake->proposes));
        buffer_append_le32(outcome->proposals, (uint32_t)payload.size);
        buffer_append(outcome->proposals, buffer_bytes(&payload));
        buffer_release(&payload);
        fake->proposes = NULL;
        return ERR_PENDING;
    }
    if (fake->pending > 0) {
        fake->pending--;
        reply->ops->simple(reply, "taken back");
        return ERR_PENDING;
    }
    struct payload_reader reader;
    uint8_t database;
    const struct command *command;
    MUST(payload_read(&reader, query->payload) == ERR_OK);
    MUST(payload_next_command(&reader, &database, &command, &fake->args) == ERR_OK);
    reply->ops->integer(reply, fake_key(fake, fake->args.at[1])->elements);
    return ERR_OK;
}

static inline void fake_warm(struct machine *machine, struct machine_warm *warm)
{
    struct fake *fake = fake_of(machine);
    MUST(fake->warm_count < FAKE_WARMS);
    fake->warms[fake->warm_count++] = warm;
}

static inline void fake_flush(struct machine *machine, struct machine_flush *flush)
{
    struct fake *fake = fake_of(machine);
    MUST(fake->flush == NULL);
    fake->flush = flush;
    fake->flush_mark = fake->applied;
    fake->flushes++;
    fake->frozen_told = fake->told;
    memcpy(fake->frozen_keys, fake->keys, sizeof fake->keys);
}

static inline struct mark fake_applied(const struct machine *machine)
{
    return fake_of(machine)->applied;
}

static inline struct mark fake_flushed(const struct machine *machine)
{
    return fake_of(machine)->flushed;
}

static inline struct stamp fake_stamp(const struct machine *machine)
{
    return fake_of(machine)->stamp;
}

static inline const struct epoch_start *fake_epochs(const struct machine *machine, size_t *count)
{
    *count = fake_of(machine)->told.epoch_count;
    return fake_of(machine)->told.epochs;
}

static inline struct bytes fake_members(const struct machine *machine)
{
    const struct fake_told *told = &fake_of(machine)->told;
    return bytes_of(told->members, told->members_size);
}

static inline uint64_t fake_unflushed(const struct machine *machine)
{
    return fake_of(machine)->unflushed;
}

static inline uint64_t fake_unflushed_records(const struct machine *machine)
{
    return fake_of(machine)->unflushed_records;
}

/* Entries are foreseen in their order, each once, before they are applied. */
static inline void fake_foresee(struct machine *machine, const struct entry *entries, size_t count)
{
    struct fake *fake = fake_of(machine);
    fake->foresights++;
    for (size_t i = 0; i < count; i++) {
        MUST(entries[i].lsn.at == fake->applied.lsn.at + 1 + i);
        fake->foreseen = entries[i].lsn.at;
    }
}

/* Each is shown once, before it is applied. */
static inline bool fake_look_ahead(struct machine *machine, const struct entry *entries,
                                   size_t count, struct machine_warm *warm)
{
    struct fake *fake = fake_of(machine);
    MUST(count > 0 && entries[0].lsn.at > fake->applied.lsn.at);
    for (size_t i = 0; i < count; i++) {
        MUST(entries[i].lsn.at > fake->looked_at);
        fake->looked_at = entries[i].lsn.at;
    }
    fake->looks += (unsigned)count;
    if (!fake->misses_ahead) return false;
    MUST(fake->ahead == NULL);
    fake->ahead = warm;
    return true;
}

static inline size_t fake_due(struct machine *machine, struct stamp now, size_t limit,
                              struct buffer *proposals)
{
    (void)machine;
    (void)now;
    (void)limit;
    (void)proposals;
    return 0;
}

static inline bool fake_tidy(struct machine *machine)
{
    fake_of(machine)->tidies++;
    return false;
}

static inline void fake_reclaim(struct machine *machine)
{
    fake_of(machine)->reclaims++;
}

static inline bool fake_is_low(const struct machine *machine)
{
    return fake_of(machine)->low;
}

static inline struct digest fake_digest(const struct machine *machine)
{
    return fake_of(machine)->digest;
}

static inline void fake_describe(const struct machine *machine, struct buffer *out)
{
    (void)machine;
    (void)out;
}

static inline enum err fake_facts(struct capture *base, struct capture_facts *facts,
                                  struct why *why)
{
    const struct fake_capture *capture = CONTAINER_OF(base, struct fake_capture, base);
    (void)why;
    *facts = (struct capture_facts){.mark = capture->mark, .keys = capture->records};
    return ERR_OK;
}

static inline enum err fake_next(struct capture *base, struct bytes *key, struct bytes *value)
{
    static const uint8_t kilobyte[1024];
    struct fake_capture *capture = CONTAINER_OF(base, struct fake_capture, base);
    bool one = capture->records == 0;
    if (capture->given == (one ? 1 : capture->records)) return ERR_NOT_FOUND;
    snprintf(capture->key, sizeof capture->key, "K%08u", ++capture->given);
    *key = bytes_text(capture->key);
    *value = bytes_of(kilobyte, one ? 0 : sizeof kilobyte);
    return ERR_OK;
}

static inline struct effects_place fake_effects(const struct machine *machine)
{
    return fake_of(machine)->stream;
}

static inline enum err fake_effects_read(struct machine *machine, const struct effects_read *read)
{
    struct fake *fake = fake_of(machine);
    if (fake->stream_pending > 0 && read->attempt < MACHINE_ATTEMPTS_MAX) {
        fake->stream_pending--;
        return ERR_PENDING;
    }
    buffer_append_format(read->out, "from %llu", (unsigned long long)read->offset);
    return ERR_OK;
}

static inline void fake_effects_keep(struct machine *machine, const struct effects_keep *keep)
{
    fake_of(machine)->keep = *keep;
}

static inline struct export *fake_export(struct machine *machine)
{
    struct fake *fake = fake_of(machine);
    fake->exports++;
    return &fake->export;
}

static inline void fake_capture_close(struct capture *base)
{
    const struct fake_capture *capture = CONTAINER_OF(base, struct fake_capture, base);
    struct fake *fake = (struct fake *)((uintptr_t)capture - offsetof(struct fake, capture));
    fake->captures_closed++;
}

static inline struct capture *fake_capture(struct machine *machine)
{
    static const struct capture_ops ops = {
        .facts = fake_facts, .next = fake_next, .close = fake_capture_close};
    struct fake *fake = fake_of(machine);
    MUST(fake->captures == fake->captures_closed); /* one at a time */
    fake->captures++;
    fake->capture = (struct fake_capture){
        .base.ops = &ops, .mark = fake->flushed, .records = fake->capture_records};
    fake->capture.mark.lsn.at += (uint64_t)fake->capture_off;
    return &fake->capture.base;
}

static inline void fake_survey_ask(struct survey *base, struct survey_ask *ask)
{
    struct fake_survey *survey = CONTAINER_OF(base, struct fake_survey, base);
    MUST(survey->open && survey->ask == NULL);
    survey->ask = ask;
}

static inline void fake_survey_progress(const struct survey *base, uint64_t *bytes, uint64_t *of)
{
    (void)base;
    *bytes = 1;
    *of = 4;
}

static inline void fake_survey_close(struct survey *base)
{
    struct fake_survey *survey = CONTAINER_OF(base, struct fake_survey, base);
    MUST(survey->open);
    *survey = (struct fake_survey){.open = false};
}

static inline struct survey *fake_survey(struct machine *machine)
{
    static const struct survey_ops ops = {
        .ask = fake_survey_ask, .progress = fake_survey_progress, .close = fake_survey_close};
    struct fake *fake = fake_of(machine);
    unsigned i = 0;
    while (i < FAKE_SURVEYS && fake->surveys[i].open) i++;
    MUST(i < FAKE_SURVEYS);
    fake->surveys[i] = (struct fake_survey){.base.ops = &ops, .mark = fake->flushed, .open = true};
    return &fake->surveys[i].base;
}

/* What was asked of it is forgotten: no done() comes any more. */
static inline void fake_close(struct machine *machine)
{
    struct fake *fake = fake_of(machine);
    MUST(fake->open);
    fake->open = false;
    fake->closes++;
    fake->warm_count = 0;
    fake->flush = NULL;
    MUST(fake->captures == fake->captures_closed);
    for (unsigned i = 0; i < FAKE_SURVEYS; i++) MUST(!fake->surveys[i].open);
    args_release(&fake->args);
}

/* There is one store; a new one takes the place of the old. */
static inline void fake_make(struct fake *fake, const char *directory, struct history history)
{
    MUST(strlen(directory) < sizeof fake->directory);
    strcpy(fake->directory, directory);
    fake->exists = true;
    fake->found = MACHINE_MARK;
    fake->flushed = (struct mark){.history = history};
    fake->flushed_told = (struct fake_told){.epoch_count = 0};
    memset(fake->flushed_keys, 0, sizeof fake->flushed_keys);
}

static inline void fake_let_go(struct machine_maker *maker, struct machine *machine)
{
    (void)maker;
    machine->ops->close(machine);
}

static inline enum err fake_open(struct machine_maker *maker, const char *directory, bool create,
                                 struct history history, struct machine **machine, struct why *why)
{
    static const struct machine_ops ops = {
        .applied = fake_applied,
        .flushed = fake_flushed,
        .stamp = fake_stamp,
        .epochs = fake_epochs,
        .members = fake_members,
        .apply = fake_apply,
        .query = fake_query,
        .warm = fake_warm,
        .foresee = fake_foresee,
        .look_ahead = fake_look_ahead,
        .unflushed_bytes = fake_unflushed,
        .unflushed_records = fake_unflushed_records,
        .flush = fake_flush,
        .capture = fake_capture,
        .effects = fake_effects,
        .effects_read = fake_effects_read,
        .effects_keep = fake_effects_keep,
        .export = fake_export,
        .survey = fake_survey,
        .due = fake_due,
        .tidy = fake_tidy,
        .reclaim = fake_reclaim,
        .is_low = fake_is_low,
        .digest = fake_digest,
        .describe = fake_describe,
        .memory_bytes = fake_unflushed,
        .close = fake_close,
    };
    struct fake *fake = CONTAINER_OF(maker, struct fake, maker);
    *machine = NULL;
    MUST(!fake->open);
    bool there = fake->exists && strcmp(fake->directory, directory) == 0;
    maker->found = there ? fake->found : MACHINE_ABSENT;
    if (!there && !create) return why_fail(why, ERR_NOT_FOUND, "no store");
    if (there && maker->found != MACHINE_MARK) return why_fail(why, ERR_CORRUPT, "told so");
    if (!there) fake_make(fake, directory, history);
    maker->found = fake->flushed.lsn.at == 0 ? MACHINE_EMPTY : MACHINE_MARK;
    fake->open = true;
    fake->opens++;
    fake->base.ops = &ops;
    fake->applied = fake->flushed;
    fake->stamp = (struct stamp){0};
    fake->told = fake->flushed_told;
    memcpy(fake->keys, fake->flushed_keys, sizeof fake->keys);
    args_init(&fake->args);
    *machine = &fake->base;
    return ERR_OK;
}

#endif
