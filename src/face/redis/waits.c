/* SPDX-License-Identifier: Apache-2.0 */
/* WAIT, WAITAOF, POS.WAIT: the client is held until copies have its last write, or this one has a
 * mark, or the time is over. Inside EXEC nothing waits: the answer is what holds now. */
#include "base/memory.h"
#include "base/number.h"
#include "face/redis/internal.h"

enum wait_form { FORM_WAIT, FORM_WAITAOF, FORM_POS_WAIT };

struct waiting {
    struct await await;
    struct client *client;
    enum wait_form form;
};

static void answer_mark(const struct await *await, struct reply *reply)
{
    if (await->err == ERR_OK) {
        reply->ops->simple(reply, "OK");
    } else if (await->err == ERR_NOT_FOUND) {
        reply->ops->error(reply, "LOST that mark is no part of the history of this copy, and will "
                                 "never be");
    } else {
        reply->ops->error(reply, "STALE this copy has not reached that mark yet");
    }
}

static void answer_wait(const struct waiting *waiting, struct reply *reply)
{
    const struct await *await = &waiting->await;
    bool told = await->err == ERR_OK || waiting->form == FORM_POS_WAIT;
    if (!told) {
        reply->ops->error(reply, "UNBLOCKED force unblock from blocking operation, instance state "
                                 "changed (master -> replica?)");
        return;
    }
    switch (waiting->form) {
    case FORM_WAIT: reply->ops->integer(reply, await->found); break;
    case FORM_WAITAOF:
        reply->ops->array(reply, 2);
        reply->ops->integer(reply, await->found_local ? 1 : 0);
        reply->ops->integer(reply, await->found);
        break;
    case FORM_POS_WAIT: answer_mark(await, reply); break;
    }
}

/* Redis's own replicas, which are no copies of the service. */
static unsigned others(struct await *await)
{
    const struct waiting *waiting = CONTAINER_OF(await, struct waiting, await);
    return replicas_acked(waiting->client, waiting->form == FORM_WAITAOF);
}

void wait_look_again(const struct redis_face *face)
{
    struct service *service = face->options.service;
    if (face->waiting > 0) service->ops->await_again(service);
}

/* The await is not the service's any more. */
static void wait_end(struct waiting *waiting)
{
    struct client *client = waiting->client;
    client->waiting = NULL;
    client->face->waiting--;
    answer_wait(waiting, later_or_now(client));
    memory_free(waiting);
    later_or_now_done(client);
}

static void awaited(struct await *await)
{
    wait_end(CONTAINER_OF(await, struct waiting, await));
}

static void wait_begin(struct client *client, enum wait_form form, const struct await *wanted)
{
    struct redis_face *face = client->face;
    struct service *service = face->options.service;
    struct waiting *waiting = memory_zeroed(1, sizeof *waiting);
    waiting->await = *wanted;
    waiting->await.done = awaited;
    waiting->await.others = form == FORM_POS_WAIT ? NULL : others;
    waiting->client = client;
    waiting->form = form;
    client->waiting = waiting;
    face->waiting++;
    bool waits = !face->in_exec;
    if (waits) later_begin(client, NULL, 0, 0);
    service->ops->await(service, &waiting->await);
    if (client->waiting == NULL) return;
    if (waits) {
        if (form != FORM_POS_WAIT && wanted->copies > 0) replicas_ask(client);
        return;
    }
    service->ops->unawait(service, &waiting->await);
    waiting->await.err = form == FORM_POS_WAIT ? ERR_PENDING : ERR_OK;
    wait_end(waiting);
}

void wait_forget(struct client *client)
{
    if (client->waiting == NULL) return;
    struct service *service = client->face->options.service;
    service->ops->unawait(service, &client->waiting->await);
    memory_free(client->waiting);
    client->waiting = NULL;
    client->face->waiting--;
}

bool wait_unblock(struct client *client, bool error)
{
    struct waiting *waiting = client->waiting;
    if (waiting == NULL) return false;
    struct service *service = client->face->options.service;
    service->ops->unawait(service, &waiting->await);
    waiting->await.err = waiting->form == FORM_POS_WAIT ? ERR_PENDING : ERR_OK;
    if (!error) {
        wait_end(waiting);
        return true;
    }
    struct reply *reply = later_reply(client);
    reply->ops->error(reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    client->waiting = NULL;
    client->face->waiting--;
    memory_free(waiting);
    later_done(client);
    return true;
}

/* --- The words --- */

static bool read_count(struct client *client, struct bytes word, int64_t *count)
{
    if (number_parse_int64(word, count)) return true;
    answer_error(client, "ERR value is not an integer or out of range");
    return false;
}

static bool read_timeout(struct client *client, struct bytes word, uint64_t *timeout_us)
{
    int64_t ms = 0;
    if (!number_parse_int64(word, &ms) || ms > INT64_MAX / 2000) {
        answer_error(client, "ERR timeout is not an integer or out of range");
    } else if (ms < 0) {
        answer_error(client, "ERR timeout is negative");
    } else {
        *timeout_us = (uint64_t)ms * 1000;
        return true;
    }
    return false;
}

static unsigned copies_of(int64_t count)
{
    if (count < 0) return 0;
    return count > UINT16_MAX ? UINT16_MAX : (unsigned)count;
}

/* WAIT numreplicas timeout */
void face_WAIT(struct client *client, const struct args *args)
{
    struct await await = {.lsn = client->written};
    int64_t copies = 0;
    if (client->face->options.service->read_only) {
        answer_error(client, "ERR WAIT cannot be used with replica instances. Please also note "
                             "that since Redis 4.0 if a replica is configured to be writable "
                             "(which is not the default) writes to replicas are just local and "
                             "are not propagated.");
        return;
    }
    if (!read_count(client, args->at[1], &copies)) return;
    if (!read_timeout(client, args->at[2], &await.timeout_us)) return;
    await.copies = copies_of(copies);
    wait_begin(client, FORM_WAIT, &await);
}

/* WAITAOF numlocal numreplicas timeout. With `durability always` an answered write is on disk here
 * already. */
void face_WAITAOF(struct client *client, const struct args *args)
{
    struct await await = {.lsn = client->written};
    int64_t local = 0, copies = 0;
    if (!read_count(client, args->at[1], &local)) return;
    if (local < 0 || local > 1) {
        answer_error(client, "ERR value is out of range, value must between 0 and 1");
        return;
    }
    if (!number_parse_int64(args->at[2], &copies) || copies < 0) {
        answer_error(client, "ERR value is out of range, must be positive");
        return;
    }
    if (!read_timeout(client, args->at[3], &await.timeout_us)) return;
    if (client->face->options.service->read_only) {
        answer_error(client, "ERR WAITAOF cannot be used with replica instances. Please also note "
                             "that writes to replicas are just local and are not propagated.");
        return;
    }
    await.local = local == 1;
    await.copies = copies_of(copies);
    wait_begin(client, FORM_WAITAOF, &await);
}

/* POS.WAIT mark milliseconds; 0: for ever. */
void face_POS_WAIT(struct client *client, const struct args *args)
{
    struct await await = {.marked = true};
    if (mark_parse(args->at[1], &await.mark) != ERR_OK) {
        answer_error(client, "ERR that is no mark, as POS.GET gives it");
        return;
    }
    if (!read_timeout(client, args->at[2], &await.timeout_us)) return;
    wait_begin(client, FORM_POS_WAIT, &await);
}
