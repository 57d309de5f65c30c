/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * bed: a keys machine over a memory store, driven by lines of words: "SET key value". Each line is
 * an entry with the next lsn, or a read; the reply comes back as text. The entries are kept, so
 * that a machine that was opened again can be given those that it has lost.
 */
#ifndef TEST_STATE_BED_H
#define TEST_STATE_BED_H

#include "base/memory.h"
#include "base/must.h"
#include "base/number.h"
#include "command/command.h"
#include "state/state.h"
#include "test/state/memory_store.h"
#include <stdio.h>

struct bed_entry {
    struct entry entry;
    struct buffer payload;
};

struct bed {
    struct memory_store store;
    struct machine *machine;
    uint64_t cache_bytes, effects_bytes;
    struct bed_entry *entries; /* entries[i] has lsn i + 1 */
    size_t count, capacity;
    uint64_t now_ms;
    struct buffer reply;  /* of the last line, as text, with a final zero */
    struct buffer events; /* "set:0:key " ..., since bed_forget */
    bool waits, changed;  /* of the last entry */
    size_t pendings;      /* evaluations that were not final */
    struct machine_flush flush;
    bool flushing;
    unsigned attempt; /* to begin with */
    struct clock *clock;
};

/* --- The reply as text --- */

struct text_reply {
    struct reply base;
    struct buffer *out;
    size_t left[64]; /* elements to come in each open container; SIZE_MAX: not known */
    char close[64];
    unsigned depth;
};

static inline struct digest bed_digest(const struct bed *bed);
static inline uint64_t bed_applied(const struct bed *bed);

static inline struct text_reply *text_of(struct reply *reply)
{
    return CONTAINER_OF(reply, struct text_reply, base);
}

static inline void text_close(struct text_reply *text)
{
    while (text->depth > 0 && text->left[text->depth - 1] == 0) {
        text->depth--;
        buffer_append_byte(text->out, (uint8_t)text->close[text->depth]);
        if (text->depth > 0 && text->left[text->depth - 1] != SIZE_MAX)
            text->left[text->depth - 1]--;
    }
}

static inline void text_space(struct text_reply *text)
{
    if (text->out->size > 0 && text->out->data[text->out->size - 1] != '[' &&
        text->out->data[text->out->size - 1] != '{' &&
        text->out->data[text->out->size - 1] != '<') {
        buffer_append_byte(text->out, ' ');
    }
}

static inline void text_put(struct reply *reply, struct bytes bytes)
{
    struct text_reply *text = text_of(reply);
    text_space(text);
    buffer_append(text->out, bytes);
    if (text->depth > 0 && text->left[text->depth - 1] != SIZE_MAX) text->left[text->depth - 1]--;
    text_close(text);
}

static inline void put_simple(struct reply *reply, const char *word)
{
    text_put(reply, bytes_text(word));
}

static inline void put_error(struct reply *reply, const char *word)
{
    struct buffer all;
    buffer_init(&all);
    buffer_append_text(&all, "(error) ");
    buffer_append_text(&all, word);
    text_put(reply, buffer_bytes(&all));
    buffer_release(&all);
}

static inline void put_integer(struct reply *reply, int64_t value)
{
    char digits[NUMBER_TEXT_BYTES];
    text_put(reply, bytes_of(digits, number_format_int64(value, digits)));
}

static inline void put_bulk(struct reply *reply, struct bytes bytes)
{
    struct buffer all;
    buffer_init(&all);
    buffer_append_byte(&all, '"');
    buffer_append(&all, bytes);
    buffer_append_byte(&all, '"');
    text_put(reply, buffer_bytes(&all));
    buffer_release(&all);
}

static inline void put_number(struct reply *reply, double value)
{
    char digits[NUMBER_TEXT_BYTES];
    text_put(reply, bytes_of(digits, number_format_double(value, digits)));
}

static inline void put_boolean(struct reply *reply, bool value)
{
    text_put(reply, bytes_text(value ? "true" : "false"));
}

static inline void put_null(struct reply *reply)
{
    text_put(reply, bytes_text("nil"));
}

static inline void put_null_array(struct reply *reply)
{
    text_put(reply, bytes_text("nil-array"));
}

static inline void text_open(struct reply *reply, size_t count, const char *brackets)
{
    struct text_reply *text = text_of(reply);
    text_space(text);
    buffer_append_byte(text->out, (uint8_t)brackets[0]);
    MUST(text->depth < 64);
    text->left[text->depth] = count;
    text->close[text->depth++] = brackets[1];
    text_close(text);
}

static inline void put_array(struct reply *reply, size_t count)
{
    text_open(reply, count, "[]");
}

static inline void put_set(struct reply *reply, size_t count)
{
    text_open(reply, count, "<>");
}

static inline void put_map(struct reply *reply, size_t pairs)
{
    text_open(reply, 2 * pairs, "{}");
}

static inline size_t open_array(struct reply *reply)
{
    text_open(reply, SIZE_MAX, "[]");
    return text_of(reply)->depth;
}

static inline void close_opened(struct reply *reply, size_t opened, size_t count)
{
    (void)count;
    struct text_reply *text = text_of(reply);
    MUST(text->depth == opened);
    text->left[opened - 1] = 0;
    text_close(text);
}

static inline size_t put_mark(struct reply *reply)
{
    MUST(text_of(reply)->depth == 0);
    return text_of(reply)->out->size;
}

static inline void put_rewind(struct reply *reply, size_t mark)
{
    text_of(reply)->out->size = mark;
    text_of(reply)->depth = 0;
}

static inline bool is_resp3(const struct reply *reply)
{
    (void)reply;
    return true;
}

static const struct reply_ops text_ops = {
    .simple = put_simple,
    .error = put_error,
    .integer = put_integer,
    .bulk = put_bulk,
    .number = put_number,
    .boolean = put_boolean,
    .verbatim = put_bulk,
    .null = put_null,
    .null_array = put_null_array,
    .array = put_array,
    .set = put_set,
    .map = put_map,
    .push = put_array,
    .array_open = open_array,
    .array_close = close_opened,
    .set_close = close_opened,
    .map_close = close_opened,
    .mark = put_mark,
    .rewind = put_rewind,
    .is_resp3 = is_resp3,
};

/* --- Payloads --- */

static inline void put_line(struct buffer *out, uint8_t database, const char *line)
{
    struct args args;
    args_init(&args);
    while (*line != '\0') {
        size_t size = strcspn(line, " ");
        /* '' is the empty word */
        if (size == 2 && line[0] == '\'' && line[1] == '\'') args_push(&args, bytes_of(line, 0));
        else args_push(&args, bytes_of(line, size));
        line += size;
        while (*line == ' ') line++;
    }
    const struct command *command = command_find(args.at[0]);
    if (command == NULL && args.count > 0 && bytes_is_word(args.at[0], "observe")) {
        command = command_by_id(COMMAND_WATCH_OBSERVE);
    }
    MUST(command != NULL);
    if (args.count > 1 && command_find_sub(command, args.at[1]) != NULL) {
        command = command_find_sub(command, args.at[1]);
    }
    if (command->id == COMMAND_DEBUG) { /* no client can name these */
        bool object = bytes_is_word(args.at[1], "object");
        command = command_by_id(object ? COMMAND_DEBUG_OBJECT : COMMAND_DEBUG_DIGEST_VALUE);
    }
    payload_put_command(out, database, command, &args);
    args_release(&args);
}

/* Lines separated by " ; " are a transaction. */
static inline void bed_payload(struct buffer *out, uint8_t database, const char *line)
{
    if (strstr(line, " ; ") == NULL) {
        put_line(out, database, line);
        return;
    }
    struct payload_transaction transaction;
    payload_begin_transaction(&transaction, out);
    while (line != NULL) {
        const char *end = strstr(line, " ; ");
        struct buffer one, each;
        buffer_init(&one);
        buffer_init(&each);
        buffer_append(&one, bytes_of(line, end == NULL ? strlen(line) : (size_t)(end - line)));
        buffer_append_byte(&one, 0);
        put_line(&each, database, (const char *)one.data);
        struct payload_reader reader;
        const struct command *command;
        struct args args;
        args_init(&args);
        MUST(payload_read(&reader, buffer_bytes(&each)) == ERR_OK);
        MUST(payload_next_command(&reader, &database, &command, &args) == ERR_OK);
        payload_add_command(&transaction, database, command, &args);
        args_release(&args);
        buffer_release(&one);
        buffer_release(&each);
        line = end == NULL ? NULL : end + 3;
    }
}

/* --- The bed --- */

struct bed_outcome {
    struct outcome base;
    struct bed *bed;
};

static inline void told(struct outcome *outcome, unsigned class, const char *name, uint8_t database,
                        struct bytes key)
{
    struct bed *bed = CONTAINER_OF(outcome, struct bed_outcome, base)->bed;
    (void)class;
    buffer_append_format(&bed->events, "%s%s:%u:%.*s", bed->events.size > 0 ? " " : "", name,
                         database, (int)key.size, (const char *)key.data);
}

static inline struct machine *open_machine(struct bed *bed)
{
    struct state_options options = {.history = {.id = {7}},
                                    .cache_bytes = bed->cache_bytes,
                                    .effects_bytes = bed->effects_bytes};
    struct why why;
    struct machine *machine = NULL;
    enum err err = state_open(&machine, &bed->store.base, bed->clock, &options, NULL, &why);
    if (err != ERR_OK) fprintf(stderr, "state_open: %s\n", why.text);
    MUST(err == ERR_OK);
    return machine;
}

static inline void bed_init(struct bed *bed, uint64_t seed)
{
    *bed = (struct bed){
        .cache_bytes = 64 << 20, .effects_bytes = UINT64_MAX, .now_ms = 1700000000000};
    memory_store_init(&bed->store, seed);
    buffer_init(&bed->reply);
    buffer_init(&bed->events);
    bed->machine = open_machine(bed);
}

static inline void bed_release(struct bed *bed)
{
    MUST(bed->store.open_cursors == 0);
    memory_store_crash(&bed->store);
    bed->machine->ops->close(bed->machine);
    memory_store_release(&bed->store);
    for (size_t i = 0; i < bed->count; i++) buffer_release(&bed->entries[i].payload);
    memory_free(bed->entries);
    buffer_release(&bed->reply);
    buffer_release(&bed->events);
}

struct bed_warm {
    struct machine_warm base;
    bool done;
};

static inline void warm_done(struct machine_warm *warm)
{
    CONTAINER_OF(warm, struct bed_warm, base)->done = true;
}

static inline void bed_warm_now(struct bed *bed)
{
    struct bed_warm warm = {.base.done = warm_done};
    bed->pendings++;
    bed->machine->ops->warm(bed->machine, &warm.base);
    while (!warm.done) MUST(memory_store_step(&bed->store));
    MUST(warm.base.err == ERR_OK);
}

static inline enum err apply_once(struct bed *bed, const struct entry *entry, unsigned attempt)
{
    struct text_reply text = {.base.ops = &text_ops, .out = &bed->reply};
    struct bed_outcome outcome = {.base = {.reply = &text.base, .notify = told}, .bed = bed};
    buffer_clear(&bed->reply);
    struct digest before = bed_digest(bed);
    enum err err = bed->machine->ops->apply(bed->machine, entry, attempt, &outcome.base);
    MUST(text.depth == 0);
    if (err != ERR_OK) MUST(bed->reply.size == 0 && digest_equal(before, bed_digest(bed)));
    bed->waits = outcome.base.waits;
    bed->changed = outcome.base.changed;
    return err;
}

static inline enum err apply_all(struct bed *bed, const struct entry *entry)
{
    enum err err = ERR_PENDING;
    for (unsigned attempt = bed->attempt; err == ERR_PENDING; attempt++) {
        MUST(attempt <= MACHINE_ATTEMPTS_MAX);
        err = apply_once(bed, entry, attempt);
        if (err == ERR_PENDING) bed_warm_now(bed);
    }
    return err;
}

static inline struct entry next_entry(const struct bed *bed, struct bytes payload)
{
    uint64_t lsn = bed->count + 1;
    return (struct entry){.lsn = {lsn},
                          .epoch = {1, 1},
                          .stamp = {(bed->now_ms << 16) + (lsn & 0xffff)},
                          .lineage = {lsn * 0x9e3779b97f4a7c15u},
                          .payload = payload};
}

static inline void keep_entry(struct bed *bed, const struct entry *entry)
{
    if (bed->count == bed->capacity) {
        bed->capacity = bed->capacity == 0 ? 64 : bed->capacity * 2;
        bed->entries = memory_resize(bed->entries, bed->capacity * sizeof *bed->entries);
    }
    struct bed_entry *kept = &bed->entries[bed->count++];
    kept->entry = *entry;
    buffer_init(&kept->payload);
    buffer_append(&kept->payload, entry->payload);
    kept->entry.payload = buffer_bytes(&kept->payload);
}

static const char *reply_text(struct bed *bed)
{
    buffer_append_byte(&bed->reply, 0);
    return (const char *)bed->reply.data;
}

/* An entry of this payload. */
static inline const char *bed_apply(struct bed *bed, struct bytes payload)
{
    struct entry entry = next_entry(bed, payload);
    enum err err = apply_all(bed, &entry);
    MUST(err == ERR_OK);
    keep_entry(bed, &entry);
    return reply_text(bed);
}

/* one attempt, at the next lsn; kept if it is final */
static inline enum err bed_try(struct bed *bed, struct bytes payload)
{
    struct entry entry = next_entry(bed, payload);
    enum err err = apply_once(bed, &entry, bed->attempt);
    if (err == ERR_OK) keep_entry(bed, &entry);
    return err;
}

/* The same in another database. */
static inline const char *bed_write_in(struct bed *bed, uint8_t database, const char *line)
{
    struct buffer payload;
    buffer_init(&payload);
    bed_payload(&payload, database, line);
    const char *text = bed_apply(bed, buffer_bytes(&payload));
    buffer_release(&payload);
    return text;
}

/* Evaluates the line as an entry, or as a read, until it is final. The reply as text: OK, (error)
 * ..., 7, "bytes", nil, [a b], {k v}. Borrowed until the next line. */
static inline const char *bed_write(struct bed *bed, const char *line)
{
    return bed_write_in(bed, 0, line);
}

static inline void apply_proposals(struct bed *bed, const struct buffer *proposals)
{
    struct buffer kept;
    buffer_init(&kept);
    buffer_append(&kept, buffer_bytes(proposals));
    for (size_t at = 0; at < kept.size;) {
        uint32_t size = load_le32(kept.data + at);
        (void)bed_apply(bed, bytes_of(kept.data + at + 4, size));
        at += 4 + size;
    }
    buffer_release(&kept);
}

static inline const char *bed_read_in(struct bed *bed, uint8_t database, const char *line)
{
    struct buffer payload, proposals;
    buffer_init(&payload);
    buffer_init(&proposals);
    bed_payload(&payload, database, line);
    struct query query = {.payload = buffer_bytes(&payload), .attempt = bed->attempt};
    for (;;) {
        struct text_reply text = {.base.ops = &text_ops, .out = &bed->reply};
        struct outcome outcome = {.reply = &text.base, .proposals = &proposals};
        buffer_clear(&bed->reply);
        buffer_clear(&proposals);
        query.now = stamp_of_ms(bed->now_ms);
        enum err err = bed->machine->ops->query(bed->machine, &query, &outcome);
        if (err == ERR_OK) break;
        MUST(err == ERR_PENDING && bed->reply.size == 0);
        if (proposals.size > 0) {
            apply_proposals(bed, &proposals);
        } else {
            MUST(query.attempt++ < MACHINE_ATTEMPTS_MAX);
            bed_warm_now(bed);
        }
    }
    buffer_release(&payload);
    buffer_release(&proposals);
    return reply_text(bed);
}

static inline const char *bed_read(struct bed *bed, const char *line)
{
    return bed_read_in(bed, 0, line);
}

static inline void flush_done(struct machine_flush *flush)
{
    CONTAINER_OF(flush, struct bed, flush)->flushing = false;
}

/* Begins a flush; bed_settle ends it. */
static inline void bed_flush_begin(struct bed *bed)
{
    MUST(!bed->flushing);
    bed->flushing = true;
    bed->flush = (struct machine_flush){.done = flush_done};
    bed->machine->ops->flush(bed->machine, &bed->flush);
}

/* all that is under way in the store */
static inline void bed_settle(struct bed *bed)
{
    while (memory_store_step(&bed->store)) continue;
    MUST(!bed->flushing);
}

/* Flushes to the end; the error of the flush. */
static inline enum err bed_flush(struct bed *bed)
{
    if (!bed->flushing) bed_flush_begin(bed);
    bed_settle(bed);
    return bed->flush.err;
}

/* until there is no more */
static inline void bed_tidy(struct bed *bed)
{
    bool more = true;
    while (more) {
        more = bed->machine->ops->tidy(bed->machine);
        if (!bed->flushing) more = memory_store_step(&bed->store) || more;
    }
}

/* Applies the removals that are due. Returns how many. */
static inline size_t bed_expire(struct bed *bed)
{
    struct buffer proposals;
    buffer_init(&proposals);
    size_t all = 0;
    for (size_t due = 1; due > 0;) {
        buffer_clear(&proposals);
        due = bed->machine->ops->due(bed->machine, stamp_of_ms(bed->now_ms), 16, &proposals);
        apply_proposals(bed, &proposals);
        if (due == 0 && memory_store_step(&bed->store)) due = 1;
        else all += due;
    }
    buffer_release(&proposals);
    return all;
}

/* Drops the machine, opens it over what was flushed, and applies what it lost. */
static inline void bed_reopen(struct bed *bed)
{
    memory_store_crash(&bed->store);
    bed->machine->ops->close(bed->machine);
    bed->flushing = false;
    bed->machine = open_machine(bed);
    struct buffer events = bed->events;
    buffer_init(&bed->events);
    for (uint64_t i = bed_applied(bed); i < bed->count; i++) {
        enum err err = apply_all(bed, &bed->entries[i].entry);
        MUST(err == ERR_OK);
    }
    buffer_release(&bed->events);
    bed->events = events;
}

static inline struct digest bed_digest(const struct bed *bed)
{
    return bed->machine->ops->digest(bed->machine);
}

static inline uint64_t bed_applied(const struct bed *bed)
{
    return bed->machine->ops->applied(bed->machine).lsn.at;
}

static inline void bed_forget(struct bed *bed)
{
    buffer_clear(&bed->events);
}

/* The recount of the store: ERR_OK and equal digests, or a line on standard error and false. */
static inline bool bed_recounts(struct bed *bed)
{
    struct state_recount recount;
    struct why why;
    enum err err = state_recount(&bed->store.base, NULL, &recount, &why);
    if (err != ERR_OK) {
        fprintf(stderr, "recount: %s\n", why.text);
        return false;
    }
    if (!digest_equal(recount.running, recount.recounted)) fprintf(stderr, "recount differs\n");
    return digest_equal(recount.running, recount.recounted);
}

#endif
