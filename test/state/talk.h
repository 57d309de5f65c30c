/* SPDX-License-Identifier: Apache-2.0 */
/* talk: a keys machine on a simulated store, asked in words and answered in the wire's own text:
 *
 *     struct talk talk;
 *     talk_open(&talk);
 *     expect(&talk, "HSET h a 1", ":1");
 *     expect_sorted(&talk, 2, "SMEMBERS s", "*2 $1 a $1 b");
 *     talk_close(&talk);
 *
 * Words are separated by spaces; 'quotes' keep one together. In replies a space stands for each
 * line end. What a real loop does around the machine is done here: reads that are PENDING are
 * warmed and asked again. At the end everything allocated must be free again. */
#ifndef TEST_STATE_TALK_H
#define TEST_STATE_TALK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "command/command.h"
#include "face/redis/resp.h"
#include "seam/machine.h"
#include "sim/node.h"
#include "sim/store.h"
#include "sim/world.h"
#include "state/state.h"
#include "test/test.h"

enum { TALK_OUT_BYTES = 1 << 20, TALK_TOKENS_MAX = 1 << 14, TALK_EVENTS_BYTES = 1 << 12 };

struct talk {
    struct sim_program program;
    struct sim_world *world;
    struct sim_node *node;
    struct store *store;
    struct machine *machine;
    bool resp3;
    uint64_t lsn, ms, stamp;
    struct outcome outcome;
    struct machine_warm warm;
    struct machine_flush flush;
    bool is_done;
    struct sim_condition done;
    unsigned pendings;
    char events[TALK_EVENTS_BYTES]; /* "hset h, del h" since talk_forget_events */
    char *out;                      /* the last reply */
};

/* --- Inside the node --- */

static inline bool talk_start(struct sim_program *program, struct world *world)
{
    struct talk *talk = CONTAINER_OF(program, struct talk, program);
    struct state_options options = {.history = {{7}}, .cache_bytes = 1 << 16};
    struct why why;
    return world->stores->ops->open(world->stores, "keys", true, 1 << 20, &talk->store, &why) ==
               ERR_OK &&
           state_open(&talk->machine, talk->store, NULL, &options, NULL, &why) == ERR_OK;
}

static inline void talk_stop(struct sim_program *program)
{
    struct talk *talk = CONTAINER_OF(program, struct talk, program);
    talk->machine->ops->close(talk->machine);
    talk->store->ops->close(talk->store);
}

static inline void talk_notify(struct outcome *outcome, unsigned class, const char *name,
                               uint8_t database, struct bytes key)
{
    struct talk *talk = CONTAINER_OF(outcome, struct talk, outcome);
    (void)class;
    (void)database;
    size_t size = strlen(talk->events);
    snprintf(talk->events + size, sizeof talk->events - size, "%s%s %.*s", size > 0 ? ", " : "",
             name, (int)key.size, (const char *)key.data);
}

static inline void talk_warmed(struct machine_warm *warm)
{
    CONTAINER_OF(warm, struct talk, warm)->is_done = true;
}

static inline void talk_flushed(struct machine_flush *flush)
{
    CONTAINER_OF(flush, struct talk, flush)->is_done = true;
}

struct talk_deed {
    struct sim_visit base;
    enum { TALK_ASK, TALK_WARM, TALK_FLUSH } kind;
    struct talk *talk;
    const char *line;
    unsigned attempt;
    enum err err;
};

/* The words of a line into `args`; their bytes are the line's. */
static inline void talk_words(const char *line, struct args *args)
{
    args_clear(args);
    while (*line != '\0') {
        const char *end = *line == '\'' ? strchr(line + 1, '\'') : line + strcspn(line, " ");
        const char *begin = *line == '\'' ? line + 1 : line;
        args_push(args, bytes_of(begin, (size_t)(end - begin)));
        line = *end == '\'' ? end + 1 : end;
        while (*line == ' ') line++;
    }
}

static inline enum err talk_evaluate(struct talk *talk, unsigned attempt, bool writes,
                                     struct bytes payload)
{
    struct stamp now = stamp_of_ms(talk->ms);
    if (now.bits <= talk->stamp) now.bits = talk->stamp + (writes ? 1 : 0);
    if (!writes) {
        struct query query = {.payload = payload, .now = now, .attempt = attempt};
        return talk->machine->ops->query(talk->machine, &query, &talk->outcome);
    }
    struct entry entry = {.lsn = {talk->lsn + 1},
                          .epoch = {1, 1},
                          .stamp = now,
                          .lineage = {talk->lsn + 1},
                          .payload = payload};
    enum err err = talk->machine->ops->apply(talk->machine, &entry, attempt, &talk->outcome);
    if (err == ERR_OK) {
        talk->lsn++;
        talk->stamp = now.bits;
    }
    return err;
}

static inline enum err talk_ask(struct talk *talk, const char *line, unsigned attempt)
{
    struct args args;
    struct buffer payload, out;
    struct resp_writer writer;
    args_init(&args);
    buffer_init(&payload);
    buffer_init(&out);
    resp_writer_init(&writer, &out);
    writer.resp3 = talk->resp3;
    talk_words(line, &args);
    const struct command *command = command_find(args.at[0]);
    MUST(command != NULL && command_arity_fits(command, args.count));
    payload_put_command(&payload, 0, command, &args);
    talk->outcome = (struct outcome){.reply = &writer.reply, .notify = talk_notify};
    enum err err = talk_evaluate(talk, attempt, (command->flags & FLAG_WRITE) != 0,
                                 buffer_bytes(&payload));
    MUST(out.size < TALK_OUT_BYTES);
    size_t size = 0;
    for (size_t i = 0; i < out.size; i++) {
        if (out.data[i] != '\r') talk->out[size++] = out.data[i] == '\n' ? ' ' : (char)out.data[i];
    }
    talk->out[size > 0 ? size - 1 : 0] = '\0';
    buffer_release(&out);
    buffer_release(&payload);
    args_release(&args);
    return err;
}

static inline void talk_visit(struct sim_visit *base, struct world *world)
{
    struct talk_deed *deed = CONTAINER_OF(base, struct talk_deed, base);
    struct talk *talk = deed->talk;
    (void)world;
    talk->is_done = false;
    switch (deed->kind) {
    case TALK_ASK: deed->err = talk_ask(talk, deed->line, deed->attempt); break;
    case TALK_WARM:
        talk->warm = (struct machine_warm){.done = talk_warmed};
        talk->machine->ops->warm(talk->machine, &talk->warm);
        break;
    case TALK_FLUSH:
        talk->flush = (struct machine_flush){.done = talk_flushed};
        talk->machine->ops->flush(talk->machine, &talk->flush);
        break;
    }
}

/* --- What tests call --- */

static inline bool talk_is_done(struct sim_condition *condition)
{
    return CONTAINER_OF(condition, struct talk, done)->is_done;
}

static inline void talk_open(struct talk *talk)
{
    *talk = (struct talk){.program = {.start = talk_start, .stop = talk_stop},
                          .world = sim_world_open(1),
                          .ms = 1700000000000,
                          .done = {talk_is_done}};
    talk->out = memory_zeroed(1, TALK_OUT_BYTES);
    talk->node = sim_node_open(talk->world, &talk->program, NULL);
    assert_true(sim_node_start(talk->node));
}

static inline void talk_close(struct talk *talk)
{
    assert_true(sim_node_stop(talk->node));
    if (sim_world_failure(talk->world) != NULL) fail_msg("%s", sim_world_failure(talk->world));
    sim_world_close(talk->world);
    memory_free(talk->out);
}

static inline void talk_do(struct talk *talk, struct talk_deed *deed)
{
    deed->base.run = talk_visit;
    deed->talk = talk;
    if (!sim_node_visit(talk->node, &deed->base)) fail_msg("%s", sim_world_failure(talk->world));
    if (deed->kind != TALK_ASK)
        assert_true(sim_world_run_until(talk->world, &talk->done, 60 * SIM_SECOND));
}

/* The reply, borrowed until the next call. */
static inline const char *say(struct talk *talk, const char *line)
{
    struct talk_deed ask = {.kind = TALK_ASK, .line = line};
    for (talk_do(talk, &ask); ask.err == ERR_PENDING; talk_do(talk, &ask)) {
        struct talk_deed warm = {.kind = TALK_WARM};
        talk_do(talk, &warm);
        talk->pendings++;
        ask.attempt++;
    }
    assert_int_equal(ask.err, ERR_OK);
    return talk->out;
}

/* Everything goes to the store; from then on reads of it may be PENDING, and most will be. */
static inline void talk_flush(struct talk *talk)
{
    sim_stores_profile(sim_node_stores(talk->node))->cached_per_million = 100000;
    struct talk_deed flush = {.kind = TALK_FLUSH};
    talk_do(talk, &flush);
    assert_int_equal(talk->flush.err, ERR_OK);
}

static inline int talk_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The same with its elements, of so many tokens each, in order. */
static inline const char *say_sorted(struct talk *talk, size_t tokens, const char *line)
{
    static char text[TALK_OUT_BYTES];
    static char *elements[TALK_TOKENS_MAX];
    size_t count = 0;
    snprintf(text, sizeof text, "%s", say(talk, line));
    char *at = strchr(text, ' ');
    while (at != NULL) {
        *at++ = '\0';
        assert_true(count < TALK_TOKENS_MAX);
        elements[count++] = at;
        for (size_t i = 0; i < tokens && at != NULL; i++) {
            at = strchr(at, ' ');
            if (at != NULL && i + 1 < tokens) at++;
        }
    }
    qsort(elements, count, sizeof elements[0], talk_compare);
    int size = snprintf(talk->out, TALK_OUT_BYTES, "%s", text);
    for (size_t i = 0; i < count; i++)
        size += snprintf(talk->out + size, TALK_OUT_BYTES - (size_t)size, " %s", elements[i]);
    return talk->out;
}

#define expect(talk, line, reply) assert_string_equal(say(talk, line), reply)
#define expect_sorted(talk, tokens, line, reply) \
    assert_string_equal(say_sorted(talk, tokens, line), reply)

/* What was told since the last call. */
#define expect_events(talk, wanted) \
    do { \
        assert_string_equal((talk)->events, wanted); \
        (talk)->events[0] = '\0'; \
    } while (0)

#endif
