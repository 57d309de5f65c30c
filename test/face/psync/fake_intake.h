/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * fake_intake: the pipeline's side of following, which writes down what it is asked for:
 *
 *     entries  "@777.3 3:set <k> <v> 3:del <k>\n" for each, in order: place, then commands
 *     keys     "0:k=v " for each element that the sink took
 *     told     "full continues lost stopped installed(777.3) unstaged "
 */
#ifndef TEST_FACE_PSYNC_FAKE_INTAKE_H
#define TEST_FACE_PSYNC_FAKE_INTAKE_H

#include "base/must.h"
#include "command/command.h"
#include "seam/entry.h"
#include "seam/intake.h"

struct fake_intake {
    struct intake base;
    struct intake_listener *listener;
    struct intake_order order;
    struct followed appended, applied;
    bool follows_at_once; /* what is appended is applied at once */
    bool full, shut;      /* append() refuses */
    enum err stage_err, sink_err;
    bool sink_waits; /* each call of the sink says ERR_PENDING once before it takes */
    bool sink_asked;
    struct record_wait *waiting;
    struct record_sink sink;
    uint8_t database;
    struct buffer key;
    bool staged, installs;
    struct followed installed;
    struct buffer entries, keys, told;
    struct args args;
};

static inline struct fake_intake *fake_intake_of(struct intake *base)
{
    return CONTAINER_OF(base, struct fake_intake, base);
}

static inline void fake_intake_order(struct intake *base, struct intake_order *out)
{
    *out = fake_intake_of(base)->order;
}

static inline struct followed fake_intake_place(struct intake *base)
{
    return fake_intake_of(base)->appended;
}

static inline struct followed fake_intake_applied(struct intake *base)
{
    return fake_intake_of(base)->applied;
}

static inline void fake_intake_listen(struct intake *base, struct intake_listener *listener)
{
    fake_intake_of(base)->listener = listener;
}

/* Everything that is appended is applied now. */
static inline void fake_intake_apply(struct fake_intake *fake)
{
    fake->applied = fake->appended;
}

static inline enum err fake_intake_append(struct intake *base, struct bytes payload,
                                          const struct followed *place)
{
    struct fake_intake *fake = fake_intake_of(base);
    struct payload_reader reader;
    struct followed said;
    if (fake->shut) return ERR_SHUT;
    if (fake->full) return ERR_PENDING;
    MUST(payload_read(&reader, payload) == ERR_OK && reader.kind == ENTRY_FOLLOWED);
    MUST(entry_take_followed(payload, &said) == ERR_OK && said.offset == place->offset);
    MUST(said.database == place->database && memcmp(said.name, place->name, 40) == 0);
    MUST(!fake->appended.known || said.offset >= fake->appended.offset);
    buffer_append_format(&fake->entries, "@%llu.%u", (unsigned long long)said.offset,
                         (unsigned)said.database);
    while (reader.commands > 0) {
        uint8_t database;
        const struct command *command;
        MUST(payload_next_command(&reader, &database, &command, &fake->args) == ERR_OK);
        buffer_append_format(&fake->entries, " %u:%s", (unsigned)database, command->name);
        for (size_t i = 1; i < fake->args.count; i++) {
            buffer_append_text(&fake->entries, " <");
            buffer_append(&fake->entries, fake->args.at[i]);
            buffer_append_text(&fake->entries, ">");
        }
    }
    buffer_append_text(&fake->entries, "\n");
    fake->appended = said;
    if (fake->follows_at_once) fake_intake_apply(fake);
    return ERR_OK;
}

/* --- A new state --- */

static inline enum err fake_sink_ready(struct fake_intake *fake)
{
    MUST(fake->staged);
    if (fake->sink_err != ERR_OK) return why_fail(&fake->sink.why, fake->sink_err, "the sink");
    fake->sink_asked = fake->sink_waits && !fake->sink_asked;
    return fake->sink_asked ? ERR_PENDING : ERR_OK;
}

static inline enum err fake_sink_key(struct record_sink *sink, const struct record_key *key)
{
    struct fake_intake *fake = CONTAINER_OF(sink, struct fake_intake, sink);
    enum err err = fake_sink_ready(fake);
    if (err != ERR_OK) return err;
    fake->database = key->database;
    buffer_clear(&fake->key);
    buffer_append(&fake->key, key->name);
    return ERR_OK;
}

static inline enum err fake_sink_element(struct record_sink *sink,
                                         const struct record_element *element)
{
    struct fake_intake *fake = CONTAINER_OF(sink, struct fake_intake, sink);
    enum err err = fake_sink_ready(fake);
    if (err != ERR_OK) return err;
    buffer_append_format(&fake->keys, "%u:", (unsigned)fake->database);
    buffer_append(&fake->keys, buffer_bytes(&fake->key));
    buffer_append_text(&fake->keys, "=");
    buffer_append(&fake->keys, element->first);
    buffer_append_text(&fake->keys, " ");
    return ERR_OK;
}

static inline enum err fake_sink_end(struct record_sink *sink)
{
    return fake_sink_ready(CONTAINER_OF(sink, struct fake_intake, sink));
}

static inline bool fake_sink_wait(struct record_sink *sink, struct record_wait *wait)
{
    struct fake_intake *fake = CONTAINER_OF(sink, struct fake_intake, sink);
    MUST(fake->waiting == NULL);
    fake->waiting = wait;
    return true;
}

/* What the sink has waited for is there. False: it does not wait. */
static inline bool fake_intake_wake(struct fake_intake *fake)
{
    struct record_wait *wait = fake->waiting;
    fake->waiting = NULL;
    if (wait != NULL) wait->done(wait);
    return wait != NULL;
}

static inline enum err fake_intake_stage(struct intake *base, struct record_sink **sink,
                                         struct why *why)
{
    static const struct record_sink_ops ops = {.key = fake_sink_key,
                                               .element = fake_sink_element,
                                               .end = fake_sink_end,
                                               .wait = fake_sink_wait};
    struct fake_intake *fake = fake_intake_of(base);
    MUST(!fake->staged);
    *sink = NULL;
    if (fake->stage_err != ERR_OK) return why_fail(why, fake->stage_err, "nothing is taken");
    fake->staged = true;
    fake->sink.ops = &ops;
    fake->sink_asked = false;
    buffer_clear(&fake->keys);
    *sink = &fake->sink;
    return ERR_OK;
}

static inline void fake_intake_unstage(struct intake *base)
{
    struct fake_intake *fake = fake_intake_of(base);
    if (!fake->staged) return;
    fake->staged = fake->installs = false;
    buffer_append_text(&fake->told, "unstaged ");
    (void)fake_intake_wake(fake);
}

static inline void fake_intake_install(struct intake *base, const struct followed *place)
{
    struct fake_intake *fake = fake_intake_of(base);
    MUST(fake->staged && !fake->installs);
    fake->installs = true;
    fake->installed = *place;
    buffer_append_format(&fake->told, "install(%llu.%u) ", (unsigned long long)place->offset,
                         (unsigned)place->database);
}

/* The new state is there. */
static inline void fake_intake_finish(struct fake_intake *fake)
{
    MUST(fake->staged && fake->installs);
    fake->staged = fake->installs = false;
    fake->appended = fake->applied = fake->installed;
}

static inline void fake_intake_tell(struct intake *base, enum intake_told told)
{
    static const char *const names[] = {"full ", "continues ", "lost ", "stopped "};
    buffer_append_text(&fake_intake_of(base)->told, names[told]);
}

static inline void fake_intake_open(struct fake_intake *fake)
{
    static const struct intake_ops ops = {.listen = fake_intake_listen,
                                          .order = fake_intake_order,
                                          .place = fake_intake_place,
                                          .applied = fake_intake_applied,
                                          .append = fake_intake_append,
                                          .stage = fake_intake_stage,
                                          .unstage = fake_intake_unstage,
                                          .install = fake_intake_install,
                                          .tell = fake_intake_tell};
    *fake = (struct fake_intake){
        .base.ops = &ops,
        .order = {.address = "10.0.0.1:6379", .user = "", .password = "", .host = "", .port = 7379},
        .follows_at_once = true};
    args_init(&fake->args);
    buffer_init(&fake->key);
    buffer_init(&fake->entries);
    buffer_init(&fake->keys);
    buffer_init(&fake->told);
}

static inline void fake_intake_close(struct fake_intake *fake)
{
    MUST(!fake->staged || fake->installs);
    args_release(&fake->args);
    buffer_release(&fake->key);
    buffer_release(&fake->entries);
    buffer_release(&fake->keys);
    buffer_release(&fake->told);
}

#endif
