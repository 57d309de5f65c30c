/* SPDX-License-Identifier: Apache-2.0 */
/* fake_service: calls that end when the test says so. */
#ifndef TEST_FACE_REDIS_FAKE_SERVICE_H
#define TEST_FACE_REDIS_FAKE_SERVICE_H

#include "base/memory.h"
#include "base/must.h"
#include "command/command.h"
#include "seam/entry.h"
#include "seam/service.h"
#include "test/face/psync/fake_feed.h"
#include "test/face/redis/fake_clock.h"
#include "test/test.h"

struct fake_service {
    struct service base;
    struct list calls;    /* in flight, oldest first */
    struct buffer log;    /* what was submitted: a line a call, zero-terminated by fake_log() */
    size_t at_once_bytes; /* with so many bytes; 0: "+READ" */
    bool at_once;         /* reads are answered from inside submit: "+<command>" */
    unsigned cancelled, unblocked, watches;
    struct watch *watch; /* the last one */
    struct service_listener *listener;
    struct service_status status;
    struct histogram sync_us;
    bool expiry;
    struct copies_status copies;
    const struct copy_event *events;
    size_t event_count;
    struct steer *steer;   /* under way; one at a time */
    enum err steer_err;    /* ERR_PENDING: it stays under way; else its end, at once */
    struct steer asked;    /* the newest */
    const char *steer_why; /* for its end; NULL: nothing */
    unsigned steers, unsteered;
    struct list awaits;
    bool await_at_once; /* they are answered from inside */
    bool awaits_end;    /* as soon as enough have it */
    struct fake_feed feed;
    struct verification *verification;          /* under way; NULL: none */
    struct verification verified, verify_asked; /* what is answered; what was asked last */
};

/* "set a b", "stream 2", and for a transaction "<n watches> cmd; cmd". */
static void fake_write_payload(struct buffer *out, struct bytes payload)
{
    struct payload_reader reader;
    struct watched watched;
    struct args args;
    args_init(&args);
    MUST(payload_read(&reader, payload) == ERR_OK);
    if (reader.kind == ENTRY_STREAM) buffer_append_format(out, " stream %u", reader.rest.data[0]);
    if (reader.kind == ENTRY_TRANSACTION) buffer_append_format(out, "<%u>", reader.watches);
    while (reader.watches > 0) MUST(payload_next_watch(&reader, &watched) == ERR_OK);
    while (reader.commands > 0) {
        uint8_t database;
        const struct command *command;
        MUST(payload_next_command(&reader, &database, &command, &args) == ERR_OK);
        if (database != 0) buffer_append_format(out, " @%u", database);
        for (size_t i = 0; i < args.count; i++) {
            buffer_append_byte(out, ' ');
            buffer_append(out, args.at[i]);
        }
        if (reader.commands > 0) buffer_append_byte(out, ';');
    }
    args_release(&args);
}

static void fake_submit(struct service *service, struct call *call)
{
    static const char *const kinds[] = {"read", "write", "wait", "local"};
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    buffer_append_text(&fake->log, kinds[call->kind]);
    if (call->ordered) buffer_append_text(&fake->log, "*");
    if (call->kind != CALL_LOCAL) fake_write_payload(&fake->log, call->payload);
    buffer_append_text(&fake->log, "\n");
    if (fake->at_once && call->kind == CALL_READ && !call->ordered) {
        uint8_t *value = memory_zeroed(1, fake->at_once_bytes + 1);
        if (fake->at_once_bytes == 0) call->reply->ops->simple(call->reply, "READ");
        else call->reply->ops->bulk(call->reply, bytes_of(value, fake->at_once_bytes));
        memory_free(value);
        call->done(call, CALL_ANSWERED);
        return;
    }
    list_append(&fake->calls, &call->node);
}

static void fake_cancel_call(struct service *service, struct call *call)
{
    CONTAINER_OF(service, struct fake_service, base)->cancelled++;
    list_remove(&call->node);
}

static bool fake_unblock(struct service *service, struct call *call)
{
    CONTAINER_OF(service, struct fake_service, base)->unblocked++;
    list_remove(&call->node);
    call->done(call, CALL_UNBLOCKED);
    return true;
}

static void fake_watch(struct service *service, struct watch *watch)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    fake->watches++;
    fake->watch = watch;
}

static void fake_unwatch(struct service *service, struct watch *watch)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    fake->watches--;
    if (fake->watch == watch) fake->watch = NULL;
}

static struct stamp fake_service_now(struct service *service)
{
    (void)service;
    return stamp_of_ms(FAKE_WALL_MS);
}

static void fake_listen_to(struct service *service, struct service_listener *listener)
{
    CONTAINER_OF(service, struct fake_service, base)->listener = listener;
}

static void fake_status(struct service *service, struct service_status *out)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    *out = fake->status;
    out->sync_us = &fake->sync_us;
}

static void fake_describe(struct service *service, struct buffer *out)
{
    (void)service;
    buffer_append_text(out, "db0:keys=1,expires=0,avg_ttl=0\r\n");
}

static void fake_set_expiry(struct service *service, bool on)
{
    CONTAINER_OF(service, struct fake_service, base)->expiry = on;
}

static enum err fake_save(struct service *service, struct why *why)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    if (fake->status.images.saving)
        return why_fail(why, ERR_EXISTS, "Background save already in progress");
    fake->status.images.saving = true;
    return ERR_OK;
}

static void fake_copies(struct service *service, struct copies_status *out)
{
    *out = CONTAINER_OF(service, struct fake_service, base)->copies;
}

static bool fake_copy_event(struct service *service, uint64_t number, struct copy_event *out)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    for (size_t i = 0; i < fake->event_count; i++) {
        *out = fake->events[i];
        if (number == 0 || out->number == number) return true;
    }
    return false;
}

static void fake_steer(struct service *service, struct steer *steer)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    fake->steers++;
    fake->asked = *steer;
    if (fake->steer_err == ERR_PENDING) {
        assert_null(fake->steer);
        fake->steer = steer;
        return;
    }
    steer->err = fake->steer_err;
    if (fake->steer_why != NULL) (void)why_fail(&steer->why, ERR_OK, "%s", fake->steer_why);
    steer->done(steer);
}

static void fake_unsteer(struct service *service, struct steer *steer)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    assert_ptr_equal(fake->steer, steer);
    fake->steer = NULL;
    fake->unsteered++;
}

static bool fake_await_look(struct fake_service *fake, struct await *await)
{
    await->found = fake->copies.in_sync + (await->others == NULL ? 0 : await->others(await));
    await->found_local = !lsn_before(fake->status.durable, await->lsn);
    bool enough = await->found >= await->copies && (await->found_local || !await->local);
    return fake->awaits_end && !await->marked && enough;
}

static void fake_await(struct service *service, struct await *await)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    list_append(&fake->awaits, &await->node);
    bool ends = fake_await_look(fake, await);
    if (!ends && !fake->await_at_once) return;
    list_remove(&await->node);
    await->done(await);
}

/* Those that have enough end; `late`: all of them. */
static void fake_awaits_look(struct fake_service *fake, bool late)
{
    struct list now, *first;
    list_init(&now);
    list_move_all(&now, &fake->awaits);
    while ((first = list_first(&now)) != NULL) {
        struct await *await = CONTAINER_OF(first, struct await, node);
        list_remove(first);
        if (fake_await_look(fake, await) || late) await->done(await);
        else list_append(&fake->awaits, first);
    }
}

static void fake_await_again(struct service *service)
{
    fake_awaits_look(CONTAINER_OF(service, struct fake_service, base), false);
}

static void fake_unawait(struct service *service, struct await *await)
{
    (void)service;
    list_remove(&await->node);
}

static struct feed *fake_feed_of_service(struct service *service)
{
    return &CONTAINER_OF(service, struct fake_service, base)->feed.base;
}

/* BEGIN, STATUS and RANGES answer at once, as do all while there is an error; KEYS later. */
static void fake_verify(struct service *service, struct verification *verification)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    struct verification told = *verification;
    fake->verification = verification;
    *verification = fake->verified;
    verification->kind = told.kind;
    verification->done = told.done;
    memcpy(verification->wanted, told.wanted, sizeof told.wanted);
    verification->wanted_count = told.wanted_count;
    verification->keys_max = told.keys_max;
    if (told.kind != VERIFICATION_BEGIN) verification->id = told.id;
    fake->verify_asked = told;
    if (told.kind == VERIFICATION_KEYS && verification->err == ERR_OK) return;
    fake->verification = NULL;
    verification->done(verification);
}

static void fake_unverify(struct service *service, struct verification *verification)
{
    struct fake_service *fake = CONTAINER_OF(service, struct fake_service, base);
    assert_ptr_equal(fake->verification, verification);
    fake->verification = NULL;
}

static void TEST_UNUSED fake_service_init(struct fake_service *fake)
{
    static const struct service_ops ops = {.submit = fake_submit,
                                           .cancel = fake_cancel_call,
                                           .unblock = fake_unblock,
                                           .watch = fake_watch,
                                           .unwatch = fake_unwatch,
                                           .now = fake_service_now,
                                           .listen = fake_listen_to,
                                           .status = fake_status,
                                           .describe = fake_describe,
                                           .set_expiry = fake_set_expiry,
                                           .save = fake_save,
                                           .copies = fake_copies,
                                           .copy_event = fake_copy_event,
                                           .steer = fake_steer,
                                           .unsteer = fake_unsteer,
                                           .await = fake_await,
                                           .unawait = fake_unawait,
                                           .await_again = fake_await_again,
                                           .feed = fake_feed_of_service,
                                           .verify = fake_verify,
                                           .unverify = fake_unverify};
    *fake = (struct fake_service){.base.ops = &ops, .expiry = true};
    fake->status = (struct service_status){.shard = "keys",
                                           .phase = SERVICE_SERVING,
                                           .mode = "local",
                                           .start_outcome = "fresh",
                                           .start_reason = ""};
    fake->copies = (struct copies_status){
        .role = COPIES_LEADS, .min_in_sync = 1, .counting = 1, .peer_guard = "secret"};
    list_init(&fake->calls);
    list_init(&fake->awaits);
    buffer_init(&fake->log);
    fake_feed_init(&fake->feed);
}

#endif
