/* SPDX-License-Identifier: Apache-2.0 */
/* talk_waits: what talk.h leaves out: transactions, the attempts of commands that wait, and a close
 * that first counts what is stored. */
#ifndef TEST_STATE_TALK_WAITS_H
#define TEST_STATE_TALK_WAITS_H

#include "seam/entry.h"
#include "test/state/talk.h"

/* ENTRY_SERVE: a further attempt. ENTRY_TRANSACTION: the lines, up to a NULL. */
struct talk_entry {
    struct sim_visit base;
    struct talk *talk;
    enum entry_kind kind;
    const char *const *lines;
    unsigned attempt;
    enum err err;
};

static inline void talk_put_lines(const struct talk_entry *entry, struct buffer *payload)
{
    struct payload_transaction transaction;
    if (entry->kind == ENTRY_TRANSACTION) payload_begin_transaction(&transaction, payload);
    for (size_t i = 0; entry->lines[i] != NULL; i++) {
        struct args args;
        args_init(&args);
        talk_words(entry->lines[i], &args);
        const struct command *command = command_find(args.at[0]);
        MUST(command != NULL && command_arity_fits(command, args.count));
        if (entry->kind == ENTRY_TRANSACTION) {
            payload_add_command(&transaction, 0, command, &args);
        } else {
            payload_put_command(payload, 0, command, &args);
            payload->data[0] = (uint8_t)entry->kind;
        }
        args_release(&args);
    }
}

static inline void talk_entry_visit(struct sim_visit *base, struct world *world)
{
    struct talk_entry *entry = CONTAINER_OF(base, struct talk_entry, base);
    struct talk *talk = entry->talk;
    struct buffer payload, out;
    struct resp_writer writer;
    (void)world;
    buffer_init(&payload);
    buffer_init(&out);
    resp_writer_init(&writer, &out);
    writer.resp3 = talk->resp3;
    talk_put_lines(entry, &payload);
    talk->outcome = (struct outcome){.reply = &writer.reply, .notify = talk_notify};
    entry->err = talk_evaluate(talk, entry->attempt, true, buffer_bytes(&payload));
    MUST(out.size < TALK_OUT_BYTES);
    size_t size = 0;
    for (size_t i = 0; i < out.size; i++) {
        if (out.data[i] != '\r') talk->out[size++] = out.data[i] == '\n' ? ' ' : (char)out.data[i];
    }
    talk->out[size > 0 ? size - 1 : 0] = '\0';
    buffer_release(&out);
    buffer_release(&payload);
}

static inline const char *say_entry(struct talk *talk, enum entry_kind kind,
                                    const char *const *lines)
{
    struct talk_entry entry = {
        .base.run = talk_entry_visit, .talk = talk, .kind = kind, .lines = lines};
    do {
        if (entry.attempt > 0) {
            struct talk_deed warm = {.kind = TALK_WARM};
            talk_do(talk, &warm);
            talk->pendings++;
        }
        assert_true(sim_node_visit(talk->node, &entry.base));
        entry.attempt++;
    } while (entry.err == ERR_PENDING);
    assert_int_equal(entry.err, ERR_OK);
    return talk->out;
}

#define expect_together(talk, reply, ...) \
    assert_string_equal( \
        say_entry(talk, ENTRY_TRANSACTION, (const char *const[]){__VA_ARGS__, NULL}), reply)

/* A blocking command found nothing: it waits, and has said nothing. */
static inline void expect_wait(struct talk *talk, const char *line)
{
    assert_string_equal(say(talk, line), "");
    assert_true(talk->outcome.waits);
}

static inline void expect_wait_again(struct talk *talk, const char *line)
{
    assert_string_equal(say_entry(talk, ENTRY_SERVE, (const char *const[]){line, NULL}), "");
    assert_true(talk->outcome.waits);
}

#define expect_served(talk, line, reply) \
    do { \
        assert_string_equal(say_entry(talk, ENTRY_SERVE, (const char *const[]){line, NULL}), \
                            reply); \
        assert_false((talk)->outcome.waits); \
    } while (0)

struct talk_count {
    struct sim_visit base;
    struct talk *talk;
    struct state_recount recount;
    enum err err;
    struct why why;
};

static inline void talk_count_visit(struct sim_visit *base, struct world *world)
{
    struct talk_count *count = CONTAINER_OF(base, struct talk_count, base);
    (void)world;
    count->err = state_recount(count->talk->store, NULL, &count->recount, &count->why);
}

/* Flushes everything; then the records in the store must fit each other and the running digest. */
static inline void talk_recount(struct talk *talk)
{
    struct talk_count count = {.base.run = talk_count_visit, .talk = talk};
    talk_flush(talk);
    assert_true(sim_node_visit(talk->node, &count.base));
    if (count.err != ERR_OK) fail_msg("%s", count.why.text);
    assert_true(digest_equal(count.recount.running, count.recount.recounted));
}

static inline void talk_close_counted(struct talk *talk)
{
    talk_recount(talk);
    talk_close(talk);
}

/* What waits in memory for the next flush. */
static inline uint64_t talk_unflushed(const struct talk *talk)
{
    return talk->machine->ops->unflushed_bytes(talk->machine);
}

#endif
