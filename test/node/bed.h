/* SPDX-License-Identifier: Apache-2.0 */
/* bed: a node on a fake machine and a simulated disk, and clients that ask it.
 *
 *     struct bed bed;
 *     bed_open(&bed);                                      serving
 *     struct asked *push = bed_ask(&bed, CALL_WRITE, "LPUSH k a");
 *     bed_settle(&bed);
 *     expect_answer(push, ":1");
 *     bed_close(&bed);                                     a clean stop, nothing leaked
 *
 * Between two calls of the bed no time passes: what was asked in a row is in flight together. */
#ifndef TEST_NODE_BED_H
#define TEST_NODE_BED_H

#include "node/node.h"
#include "sim/disk.h"
#include "sim/heap.h"
#include "sim/node.h"
#include "test/node/fake_answers.h"
#include "test/node/fake_filler.h"
#include "test/test.h"

enum { BED_CALLS = 64, BED_ANSWER_BYTES = 64 };

struct asked {
    struct call call;
    struct reply reply;
    struct bed *bed;
    char answer[BED_ANSWER_BYTES];
    bool ended;
    enum call_end end;
    unsigned place; /* among the ends, from 1 */
    struct asked *then_cancels, *then_asks;
};

struct bed {
    struct sim_program program;
    struct sim_world *world;
    struct sim_node *sim;
    struct fake fake;
    struct node_options options;
    struct node_listener listener;
    struct node *node;
    struct service *service;
    enum err start_err;
    struct why why;
    unsigned readies, stops, failures;
    enum node_failure failure;
    enum err save_err;
    struct asked calls[BED_CALLS];
    unsigned count, ends;
};

/* --- A reply as text --- */

static inline void bed_write(struct reply *reply, const char *sign, struct bytes text)
{
    struct asked *asked = CONTAINER_OF(reply, struct asked, reply);
    size_t size = strlen(asked->answer);
    snprintf(asked->answer + size, sizeof asked->answer - size, "%s%.*s", sign, (int)text.size,
             (const char *)text.data);
}

static inline void bed_simple(struct reply *reply, const char *text)
{
    bed_write(reply, "+", bytes_text(text));
}

static inline void bed_error(struct reply *reply, const char *text)
{
    bed_write(reply, "-", bytes_of(text, strcspn(text, " ")));
}

static inline void bed_integer(struct reply *reply, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%d", (int)value);
    bed_write(reply, ":", bytes_text(text));
}

static inline void bed_bulk(struct reply *reply, struct bytes bytes)
{
    bed_write(reply, "$", bytes);
}

static inline void bed_null(struct reply *reply)
{
    bed_write(reply, "(nil)", bytes_text(""));
}

static inline size_t bed_mark(struct reply *reply)
{
    return strlen(CONTAINER_OF(reply, struct asked, reply)->answer);
}

static inline void bed_rewind(struct reply *reply, size_t mark)
{
    CONTAINER_OF(reply, struct asked, reply)->answer[mark] = 0;
}

/* --- Inside the node --- */

enum bed_deed {
    DEED_SUBMIT,
    DEED_CANCEL,
    DEED_UNBLOCK,
    DEED_STOP,
    DEED_WARM,
    DEED_AHEAD,
    DEED_FLUSH,
    DEED_SAVE
};

struct bed_visit {
    struct sim_visit base;
    struct bed *bed;
    enum bed_deed deed;
    struct asked *asked;
    enum err err;
    bool done;
};

static inline void bed_done(struct call *call, enum call_end end)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);
    struct bed *bed = asked->bed;
    assert_false(asked->ended);
    asked->ended = true;
    asked->end = end;
    asked->place = ++bed->ends;
    if (asked->then_cancels != NULL) {
        bed->service->ops->cancel(bed->service, &asked->then_cancels->call);
    }
    if (asked->then_asks != NULL) {
        bed->service->ops->submit(bed->service, &asked->then_asks->call);
    }
}

static inline void bed_visit(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct bed_visit *visit = CONTAINER_OF(base, struct bed_visit, base);
    struct bed *bed = visit->bed;
    struct service *service = bed->service;
    switch (visit->deed) {
    case DEED_SUBMIT: service->ops->submit(service, &visit->asked->call); break;
    case DEED_CANCEL: service->ops->cancel(service, &visit->asked->call); break;
    case DEED_UNBLOCK: visit->done = service->ops->unblock(service, &visit->asked->call); break;
    case DEED_STOP: node_stop(bed->node); break;
    case DEED_WARM: visit->done = fake_answer_warm(&bed->fake, visit->err); break;
    case DEED_AHEAD: visit->done = fake_answer_ahead(&bed->fake, visit->err); break;
    case DEED_FLUSH: visit->done = fake_answer_flush(&bed->fake, visit->err); break;
    case DEED_SAVE: bed->save_err = service->ops->save(service, &bed->why); break;
    }
}

static inline bool bed_do(struct bed *bed, enum bed_deed deed, struct asked *asked, enum err err)
{
    struct bed_visit visit = {
        .base.run = bed_visit, .bed = bed, .deed = deed, .asked = asked, .err = err};
    assert_true(sim_node_visit(bed->sim, &visit.base));
    return visit.done;
}

static inline void bed_ready(struct node_listener *listener)
{
    CONTAINER_OF(listener, struct bed, listener)->readies++;
}

static inline void bed_failed(struct node_listener *listener, enum node_failure failure,
                              const struct why *why)
{
    struct bed *bed = CONTAINER_OF(listener, struct bed, listener);
    bed->failures++;
    bed->failure = failure;
    bed->why = *why;
}

static inline void bed_stopped(struct node_listener *listener)
{
    CONTAINER_OF(listener, struct bed, listener)->stops++;
}

static inline bool bed_start(struct sim_program *program, struct world *world)
{
    struct bed *bed = CONTAINER_OF(program, struct bed, program);
    bed->readies = bed->stops = bed->failures = 0;
    bed->start_err = node_open(&bed->node, world, &bed->fake.maker, &bed->options, &bed->listener,
                               &bed->why);
    bed->service = bed->start_err == ERR_OK ? node_service(bed->node) : NULL;
    return bed->start_err == ERR_OK;
}

static inline void bed_let_go(struct sim_program *program)
{
    node_close(CONTAINER_OF(program, struct bed, program)->node);
}

/* The memory of a node that has crashed is gone, and the machine's with it. */
static inline void bed_ended(struct sim_program *program, enum sim_end end, int status)
{
    struct bed *bed = CONTAINER_OF(program, struct bed, program);
    (void)end;
    (void)status;
    bed->fake.open = false;
    bed->fake.warm_count = 0;
    bed->fake.flush = NULL;
    bed->fake.captures_closed = bed->fake.captures;
    bed->node = NULL;
}

/* --- For tests --- */

/* One turn after the other until only timers are left, or a check has failed. */
static inline void bed_settle(struct bed *bed)
{
    (void)sim_world_settle(bed->world, SIM_SECOND);
    if (sim_world_failure(bed->world) != NULL) fail_msg("%s", sim_world_failure(bed->world));
}

static inline void bed_run(struct bed *bed, uint64_t us)
{
    (void)sim_world_run_for(bed->world, us);
    if (sim_world_failure(bed->world) != NULL) fail_msg("%s", sim_world_failure(bed->world));
}

/* Without a start. */
static inline void bed_make(struct bed *bed, uint64_t seed)
{
    memset(bed, 0, sizeof *bed);
    bed->world = sim_world_open(seed);
    bed->program = (struct sim_program){bed_start, bed_let_go, bed_ended};
    bed->sim = sim_node_open(bed->world, &bed->program, NULL);
    bed->fake.maker.open = fake_open;
    bed->fake.maker.close = fake_let_go;
    bed->fake.maker.fill = fake_fill;
    bed->fake.maker.fill_close = fake_fill_close;
    bed->listener = (struct node_listener){bed_ready, bed_failed, bed_stopped};
    bed->options = (struct node_options){.shard = {0, "keys"},
                                         .directory = "data",
                                         .durability = LOG_ALWAYS,
                                         .segment_bytes = 1 << 16,
                                         .reserve_bytes = 1 << 16,
                                         .flush_bytes_min = 1 << 20,
                                         .flush_bytes_max = 1 << 20};
}

static inline void bed_open(struct bed *bed)
{
    bed_make(bed, 1);
    assert_true(sim_node_start(bed->sim));
    bed_settle(bed);
    assert_int_equal(bed->readies, 1);
}

/* Stops the node in order; the fake flush succeeds. */
static inline void bed_stop(struct bed *bed)
{
    (void)bed_do(bed, DEED_STOP, NULL, ERR_OK);
    for (unsigned i = 0; i < 10 && bed->stops == 0; i++) {
        bed_settle(bed);
        (void)bed_do(bed, DEED_FLUSH, NULL, ERR_OK);
    }
    assert_int_equal(bed->stops, 1);
    assert_true(sim_node_stop(bed->sim)); /* and nothing is leaked */
    if (sim_world_failure(bed->world) != NULL) fail_msg("%s", sim_world_failure(bed->world));
}

static inline void bed_release(struct bed *bed)
{
    assert_null(sim_world_failure(bed->world));
    sim_world_close(bed->world);
}

static inline void bed_close(struct bed *bed)
{
    bed_stop(bed);
    bed_release(bed);
}

/* As bed_close, for a node that has failed: it is closed as it is. */
static inline void bed_close_failed(struct bed *bed)
{
    assert_int_equal(bed->failures, 1);
    assert_true(sim_node_stop(bed->sim));
    bed_release(bed);
}

/* The words as a payload; owned by the caller. */
static inline void bed_payload(struct buffer *out, const char *words)
{
    struct args args;
    args_init(&args);
    while (*words != 0) {
        size_t size = strcspn(words, " ");
        args_push(&args, bytes_of(words, size));
        words += size + (words[size] == ' ');
    }
    const struct command *command = command_find(args.at[0]);
    MUST(command != NULL && command_arity_fits(command, args.count));
    buffer_init(out);
    payload_put_command(out, 0, command, &args);
    args_release(&args);
}

/* A call that is not submitted yet; its payload is `payload`, borrowed. */
static inline struct asked *bed_call(struct bed *bed, enum call_kind kind, struct bytes payload)
{
    static const struct reply_ops ops = {.simple = bed_simple,
                                         .error = bed_error,
                                         .integer = bed_integer,
                                         .bulk = bed_bulk,
                                         .null = bed_null,
                                         .mark = bed_mark,
                                         .rewind = bed_rewind};
    assert_true(bed->count < BED_CALLS);
    struct asked *asked = &bed->calls[bed->count++];
    asked->bed = bed;
    asked->reply.ops = &ops;
    asked->call = (struct call){
        .kind = kind, .payload = payload, .reply = &asked->reply, .done = bed_done};
    return asked;
}

struct bed_extra {
    bool ordered;
    uint64_t timeout_us;
    struct asked *then_cancels, *then_asks;
};

static inline struct asked *bed_ask_so(struct bed *bed, enum call_kind kind, const char *words,
                                       struct bed_extra extra)
{
    struct buffer payload;
    buffer_init(&payload);
    if (kind != CALL_LOCAL) bed_payload(&payload, words);
    struct asked *asked = bed_call(bed, kind, buffer_bytes(&payload));
    asked->call.ordered = extra.ordered;
    asked->call.timeout_us = extra.timeout_us;
    asked->then_cancels = extra.then_cancels;
    asked->then_asks = extra.then_asks;
    (void)bed_do(bed, DEED_SUBMIT, asked, ERR_OK);
    buffer_release(&payload);
    return asked;
}

static inline struct asked *bed_ask(struct bed *bed, enum call_kind kind, const char *words)
{
    return bed_ask_so(bed, kind, words, (struct bed_extra){0});
}

static inline void bed_cancel(struct bed *bed, struct asked *asked)
{
    (void)bed_do(bed, DEED_CANCEL, asked, ERR_OK);
}

/* BGSAVE: what it says at once; the line is in bed->why. */
static inline enum err bed_save(struct bed *bed)
{
    (void)bed_do(bed, DEED_SAVE, NULL, ERR_OK);
    return bed->save_err;
}

static inline struct service_images bed_images(const struct bed *bed)
{
    struct service_status status;
    bed->service->ops->status(bed->service, &status);
    return status.images;
}

/* The log can get no further segment, or can again. */
static inline void bed_disk_full(struct bed *bed, bool full)
{
    struct sim_disk *disk = sim_node_disk(bed->sim);
    sim_disk_unfault(disk, 0);
    struct sim_fault fault = {.ops = 1u << DISK_CREATE | 1u << DISK_FILL, .err = ERR_SPACE};
    if (full) (void)sim_disk_fault(disk, &fault);
}

#define expect_answer(asked, text) \
    do { \
        assert_true((asked)->ended); \
        assert_int_equal((asked)->end, CALL_ANSWERED); \
        assert_string_equal((asked)->answer, (text)); \
    } while (0)
#define expect_end(asked, how) \
    do { \
        assert_true((asked)->ended); \
        assert_int_equal((asked)->end, (how)); \
    } while (0)

#endif
