/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that change who leads, who follows and who counts: REPLICAOF, PROMOTE, FAILOVER,
 * REPL.ADD and its kind. The service does it in its own time; the client is held until it is done.
 * EXEC does not wait: there a change that goes on behind its back is answered with OK, as by Redis.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "face/redis/internal.h"

struct steering {
    struct steer steer;
    struct client *client;
};

static void answer_steer(const struct steer *steer, struct reply *reply)
{
    if (steer->err != ERR_OK) {
        reply_errorf(reply, "ERR %s", steer->why.text);
        return;
    }
    char text[sizeof steer->why.text + 3];
    bool told = steer->why.text[0] != '\0';
    (void)snprintf(text, sizeof text, "OK%s%s", told ? " " : "", steer->why.text);
    reply->ops->simple(reply, text);
}

static void steered(struct steer *steer)
{
    struct steering *steering = CONTAINER_OF(steer, struct steering, steer);
    struct client *client = steering->client;
    client->steering = NULL;
    answer_steer(steer, later_or_now(client));
    memory_free(steering);
    later_or_now_done(client);
}

static void ask(struct client *client, const struct steer *wanted)
{
    struct service *service = client->face->options.service;
    struct steering *steering = memory_zeroed(1, sizeof *steering);
    steering->steer = *wanted;
    steering->steer.done = steered;
    steering->client = client;
    client->steering = steering;
    bool waits = !client->face->in_exec;
    if (waits) later_begin(client, NULL, 0, 0);
    service->ops->steer(service, &steering->steer);
    if (waits || client->steering == NULL) return;
    steer_forget(client);
    answer_ok(client);
}

void steer_forget(struct client *client)
{
    if (client->steering == NULL) return;
    struct service *service = client->face->options.service;
    service->ops->unsteer(service, &client->steering->steer);
    memory_free(client->steering);
    client->steering = NULL;
}

/* --- Who leads --- */

/* False: it is no name or address; nothing was answered. */
static bool take_host(struct bytes word, char out[COPY_ADDRESS_BYTES])
{
    enum { PORT_AND_BRACKETS_BYTES = 9 };
    if (word.size == 0 || word.size >= COPY_ADDRESS_BYTES - PORT_AND_BRACKETS_BYTES) return false;
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '[' || byte == ']') return false;
    }
    memcpy(out, word.data, word.size);
    out[word.size] = '\0';
    return true;
}

static void promote(struct client *client, bool force)
{
    struct copies_status copies;
    face_copies(client->face, &copies);
    if (copies.role == COPIES_LEADS && !force) answer_ok(client);
    else ask(client, &(struct steer){.kind = force ? STEER_PROMOTE_FORCE : STEER_PROMOTE});
}

static void replicaof(struct client *client, const struct args *args)
{
    if (bytes_is_word(args->at[1], "no") && bytes_is_word(args->at[2], "one")) {
        promote(client, false);
        return;
    }
    struct steer steer = {.kind = STEER_FOLLOW};
    int64_t port = 0;
    if (!number_parse_int64(args->at[2], &port) || port < 1 || port > UINT16_MAX) {
        answer_error(client, "ERR Invalid master port");
        return;
    }
    if (!take_host(args->at[1], steer.host)) {
        answer_error(client, "ERR Invalid master host");
        return;
    }
    steer.port = (unsigned)port;
    struct copies_status copies;
    face_copies(client->face, &copies);
    bool followed = copies.role == COPIES_FOLLOWS && copies.primary_port == steer.port &&
                    bytes_is_word(args->at[1], copies.primary_host);
    /* Whom that one refuses asks again, and gives up now what it has here. */
    followed = followed && copies.link != NULL && strcmp(copies.link, "connected") == 0;
    if (copies.failing_over) {
        answer_error(client, "ERR REPLICAOF not allowed while failing over.");
    } else if (followed) {
        client_reply(client)->ops->simple(client_reply(client),
                                          "OK Already connected to specified master");
    } else {
        ask(client, &steer);
    }
}

void face_REPLICAOF(struct client *client, const struct args *args)
{
    replicaof(client, args);
}

void face_SLAVEOF(struct client *client, const struct args *args)
{
    replicaof(client, args);
}

/* PROMOTE [FORCE] */
void face_PROMOTE(struct client *client, const struct args *args)
{
    bool force = args->count == 2 && bytes_is_word(args->at[1], "force");
    if (args->count > 1 && !force) answer_error(client, "ERR syntax error");
    else promote(client, force);
}

/* The words of FAILOVER, in the order and with the errors of redis-server 7.0. False: answered. */
static bool read_failover(struct client *client, const struct args *args, struct steer *steer,
                          bool *force)
{
    int64_t ms = 0, port = 0;
    for (size_t i = 1; i < args->count; i++) {
        size_t left = args->count - i - 1;
        const struct bytes *word = &args->at[i];
        const char *error = NULL;
        if (bytes_is_word(*word, "timeout") && left >= 1 && ms == 0) {
            if (!number_parse_int64(word[1], &ms) || ms > INT64_MAX / 2000)
                error = "ERR value is not an integer or out of range";
            else if (ms <= 0) error = "ERR FAILOVER timeout must be greater than 0";
            i += 1;
        } else if (bytes_is_word(*word, "to") && left >= 2 && steer->host[0] == '\0') {
            if (!number_parse_int64(word[2], &port))
                error = "ERR value is not an integer or out of range";
            else if (!take_host(word[1], steer->host) || port < 1 || port > UINT16_MAX)
                error = "ERR FAILOVER target HOST and PORT is not a replica.";
            i += 2;
        } else if (bytes_is_word(*word, "force") && !*force) {
            *force = true;
        } else {
            error = "ERR syntax error";
        }
        if (error != NULL) {
            answer_error(client, error);
            return false;
        }
    }
    steer->timeout_us = (uint64_t)ms * 1000;
    steer->port = (unsigned)port;
    return true;
}

/* FAILOVER [TO host port [FORCE]] [TIMEOUT ms] | ABORT */
void face_FAILOVER(struct client *client, const struct args *args)
{
    struct steer steer = {.kind = STEER_FAILOVER};
    struct copies_status copies;
    face_copies(client->face, &copies);
    bool abort = args->count == 2 && bytes_is_word(args->at[1], "abort"), force = false;
    if (abort) steer.kind = STEER_FAILOVER_ABORT;
    else if (!read_failover(client, args, &steer, &force)) return;
    const char *error = NULL;
    if (abort && !copies.failing_over) {
        error = "ERR No failover in progress.";
    } else if (!abort && copies.failing_over) {
        error = "ERR FAILOVER already in progress.";
    } else if (!abort && copies.role != COPIES_LEADS) {
        error = "ERR FAILOVER is not valid when server is a replica.";
    } else if (force) {
        error = "ERR FAILOVER FORCE is not offered: what has not arrived would be lost without a "
                "word. PROMOTE FORCE at the other copy begins a new history, and says so";
    }
    if (error != NULL) answer_error(client, error);
    else ask(client, &steer);
}

/* --- Who counts --- */

static bool take_copy(struct client *client, struct bytes word, uint64_t *copy)
{
    if (number_parse_uint64(word, copy) && *copy != 0) return true;
    answer_error(client, "ERR the id of a copy is a number, as REPL.STATUS shows it");
    return false;
}

static void steer_copy(struct client *client, enum steer_kind kind, struct bytes id)
{
    struct steer steer = {.kind = kind};
    if (take_copy(client, id, &steer.copy)) ask(client, &steer);
}

void face_REPL_ADD(struct client *client, const struct args *args)
{
    steer_copy(client, STEER_ADD, args->at[1]);
}

void face_REPL_REMOVE(struct client *client, const struct args *args)
{
    steer_copy(client, STEER_REMOVE, args->at[1]);
}

void face_REPL_REBUILD(struct client *client, const struct args *args)
{
    steer_copy(client, STEER_REBUILD, args->at[1]);
}

/* REPL.RULE local|all [min-in-sync] */
void face_REPL_RULE(struct client *client, const struct args *args)
{
    struct steer steer = {.kind = STEER_RULE, .all = bytes_is_word(args->at[1], "all")};
    int64_t least = 1;
    if (args->count > 3 || (!steer.all && !bytes_is_word(args->at[1], "local"))) {
        answer_error(client, "ERR syntax error");
    } else if (args->count == 3 &&
               (!number_parse_int64(args->at[2], &least) || least < 1 || least > COPIES_MAX)) {
        answer_error(client, "ERR min-in-sync is a number of copies from 1 to 16");
    } else {
        steer.min_in_sync = (unsigned)least;
        ask(client, &steer);
    }
}
