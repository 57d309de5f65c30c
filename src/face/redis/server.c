/* SPDX-License-Identifier: Apache-2.0 */
/* Small commands about the server as a whole: time, role, stopping, marks; and by name what this
 * version does not offer, since a clear refusal is better than a guess. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "face/redis/internal.h"

enum { WAIT_STEP_US = 10 * 1000 };

void answer_ok(struct client *client)
{
    client_reply(client)->ops->simple(client_reply(client), "OK");
}

void answer_error(struct client *client, const char *error)
{
    client_reply(client)->ops->error(client_reply(client), error);
}

/* Seconds and microseconds of the clock that expiry goes by. */
void face_TIME(struct client *client, const struct args *args)
{
    (void)args;
    struct service *service = client->face->options.service;
    uint64_t now_ms = stamp_ms(service->ops->now(service));
    struct reply *reply = client_reply(client);
    char text[NUMBER_TEXT_BYTES];
    reply->ops->array(reply, 2);
    reply->ops->bulk(reply, bytes_of(text, number_format_uint64(now_ms / 1000, text)));
    reply->ops->bulk(reply, bytes_of(text, number_format_uint64(now_ms % 1000 * 1000, text)));
}

/* --- Marks --- */

void face_DIGEST(struct client *client, const struct args *args)
{
    (void)args;
    struct service *service = client->face->options.service;
    struct service_status status;
    service->ops->status(service, &status);
    char mark[MARK_TEXT_BYTES], digest[DIGEST_TEXT_BYTES];
    mark_format(&status.mark, mark);
    digest_format(status.digest, digest);
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, 2);
    reply->ops->bulk(reply, bytes_text(mark));
    reply->ops->bulk(reply, bytes_text(digest));
}

/* Nil before the connection's first read or write. */
void face_POS_GET(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    if (client->position.lsn.at == 0) {
        reply->ops->null(reply);
        return;
    }
    char mark[MARK_TEXT_BYTES];
    mark_format(&client->position, mark);
    reply->ops->bulk(reply, bytes_text(mark));
}

/* --- Images, under the names that Redis has for its dumps --- */

static void read_images(const struct client *client, struct service_images *images)
{
    struct service *service = client->face->options.service;
    struct service_status status;
    service->ops->status(service, &status);
    *images = status.images;
}

static bool begin_image(struct client *client)
{
    struct service *service = client->face->options.service;
    struct why why;
    if (service->ops->save(service, &why) == ERR_OK) return true;
    reply_errorf(client_reply(client), "ERR %s", why.text);
    return false;
}

/* `until_us` holds how many attempts had ended when it began. */
static bool save_step(struct client *client)
{
    struct service_images images;
    read_images(client, &images);
    if (images.ended == client->later.until_us) return false;
    struct reply *reply = later_reply(client);
    if (images.failed) reply_errorf(reply, "ERR the image was not saved: %s", images.why.text);
    else reply->ops->simple(reply, "OK");
    later_done(client);
    return true;
}

/* Answers when the image is durable. Everyone else is served meanwhile. */
void face_SAVE(struct client *client, const struct args *args)
{
    (void)args;
    struct service_images images;
    read_images(client, &images);
    if (begin_image(client)) later_begin(client, save_step, WAIT_STEP_US, images.ended);
}

/* BGSAVE [SCHEDULE]. There is never anything else to wait for. */
void face_BGSAVE(struct client *client, const struct args *args)
{
    if (args->count > 2 || (args->count == 2 && !bytes_is_word(args->at[1], "schedule"))) {
        answer_error(client, "ERR syntax error");
    } else if (begin_image(client)) {
        client_reply(client)->ops->simple(client_reply(client), "Background saving started");
    }
}

void face_BGREWRITEAOF(struct client *client, const struct args *args)
{
    (void)args;
    answer_error(client, "ERR BGREWRITEAOF is not offered by this version: the log trims itself");
}

/* 0: there is no image. */
void face_LASTSAVE(struct client *client, const struct args *args)
{
    (void)args;
    struct service_images images;
    read_images(client, &images);
    client_reply(client)->ops->integer(client_reply(client), (int64_t)images.saved_s);
}

/* SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] | ABORT. Every way loses nothing that was answered. */
void face_SHUTDOWN(struct client *client, const struct args *args)
{
    bool save = false, nosave = false, abort = false, other = false, bad = false;
    for (size_t i = 1; i < args->count; i++) {
        if (bytes_is_word(args->at[i], "save")) save = true;
        else if (bytes_is_word(args->at[i], "nosave")) nosave = true;
        else if (bytes_is_word(args->at[i], "abort")) abort = true;
        else if (bytes_is_word(args->at[i], "now") || bytes_is_word(args->at[i], "force"))
            other = true;
        else bad = true;
    }
    if (bad || (save && nosave) || (abort && (save || nosave || other))) {
        answer_error(client, "ERR syntax error");
    } else if (abort) {
        answer_error(client, "ERR No shutdown in progress.");
    } else {
        struct redis_host *host = client->face->options.host;
        trace_event(client->face->options.trace, TRACE_NOTICE, "redis", "shutdown_asked",
                    "client=%" PRIu64 " peer=%s", client->id, client->peer);
        client_close_soon(client);
        host->shutdown(host);
    }
}

/* --- What a stand-alone server without scripts says --- */

/* FUNCTION FLUSH [ASYNC|SYNC]: there are no functions to remove. */
void face_FUNCTION_FLUSH(struct client *client, const struct args *args)
{
    bool fits = args->count == 2 || (args->count == 3 && (bytes_is_word(args->at[2], "async") ||
                                                          bytes_is_word(args->at[2], "sync")));
    if (fits) {
        answer_ok(client);
    } else {
        answer_error(client, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    }
}

static const char no_cluster[] = "ERR This instance has cluster support disabled";

void face_CLUSTER(struct client *client, const struct args *args)
{
    (void)args;
    answer_error(client, no_cluster);
}

void face_READONLY(struct client *client, const struct args *args)
{
    (void)args;
    answer_error(client, no_cluster);
}

void face_READWRITE(struct client *client, const struct args *args)
{
    (void)args;
    answer_error(client, no_cluster);
}

void face_ASKING(struct client *client, const struct args *args)
{
    (void)args;
    answer_error(client, no_cluster);
}

/* LOLWUT [VERSION version] [...]: one picture for all versions. */
void face_LOLWUT(struct client *client, const struct args *args)
{
    bool version = args->count > 2 && bytes_is_word(args->at[1], "version");
    int64_t number;
    if (version && !number_parse_int64(args->at[2], &number)) {
        answer_error(client, "ERR value is not an integer or out of range");
        return;
    }
    struct buffer text;
    buffer_init(&text);
    buffer_append_format(&text,
                         "         .-.             .-.             .-.\n"
                         "  .-.   (   )     .-.   (   )     .-.   (   )\n"
                         "_(   )_(     )___(   )_(     )___(   )_(     )_\n"
                         "------------------ the mark of the tide -------\n"
                         "tidemark ver. %s, speaks Redis ver. " REDIS_VERSION_SPOKEN "\n",
                         client->face->options.host->version);
    client_reply(client)->ops->verbatim(client_reply(client), buffer_bytes(&text));
    buffer_release(&text);
}
