/* SPDX-License-Identifier: Apache-2.0 */
/* VERIFY: whether copies hold the same; `tidemark verify` asks each of them. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/number.h"
#include "face/redis/internal.h"
#include "seam/survey.h"

enum { VERIFY_RANGES_USUAL = 4096, ID_TEXT_BYTES = 17 };

struct verifying {
    struct verification verification;
    struct client *client;
};

static void bulk_digest(struct reply *reply, struct digest digest)
{
    char text[DIGEST_TEXT_BYTES];
    digest_format(digest, text);
    reply->ops->bulk(reply, bytes_text(text));
}

static void answer_status(const struct verification *verification, struct reply *reply)
{
    char mark[MARK_TEXT_BYTES];
    mark_format(&verification->mark, mark);
    reply->ops->array(reply, 8);
    reply->ops->bulk(reply, bytes_text(verification->state));
    reply->ops->integer(reply, verification->percent);
    reply->ops->bulk(reply, bytes_text(mark));
    bulk_digest(reply, verification->digest);
    reply->ops->integer(reply, (int64_t)verification->keys);
    reply->ops->integer(reply, (int64_t)verification->misfits);
    reply->ops->integer(reply, (int64_t)verification->bytes);
    reply->ops->integer(reply, (int64_t)verification->bytes_all);
}

/* How many there are, then range, database, digest and name of each that is named. */
static void answer_keys(const struct verification *verification, struct reply *reply)
{
    struct bytes found = verification->found;
    size_t opened = reply->ops->array_open(reply), count = 1;
    reply->ops->integer(reply, (int64_t)verification->keys);
    for (size_t at = 0; at < found.size;) {
        const uint8_t *head = found.data + at;
        uint32_t size = load_le32(head + SURVEY_KEY_HEAD_BYTES - 4);
        reply->ops->integer(reply, load_le32(head));
        reply->ops->integer(reply, head[4]);
        bulk_digest(reply, digest_decode(head + 5));
        reply->ops->bulk(reply, bytes_of(head + SURVEY_KEY_HEAD_BYTES, size));
        at += SURVEY_KEY_HEAD_BYTES + size;
        count += 4;
    }
    reply->ops->array_close(reply, opened, count);
}

static void answer_verification(const struct verification *verification, struct reply *reply)
{
    static const char *const codes[] = {
        [ERR_NOT_FOUND] = "NOTFOUND", [ERR_PENDING] = "PENDING", [ERR_NOT_LEADER] = "READONLY"};
    enum err err = verification->err;
    if (err != ERR_OK) {
        const char *code = (size_t)err < sizeof codes / sizeof codes[0] ? codes[err] : NULL;
        char text[sizeof verification->why.text + 16];
        (void)snprintf(text, sizeof text, "%s %s", code == NULL ? "ERR" : code,
                       verification->why.text);
        reply->ops->error(reply, text);
        return;
    }
    char id[ID_TEXT_BYTES];
    switch (verification->kind) {
    case VERIFICATION_BEGIN:
        (void)snprintf(id, sizeof id, "%016" PRIx64, verification->id);
        reply->ops->bulk(reply, bytes_text(id));
        break;
    case VERIFICATION_STATUS: answer_status(verification, reply); break;
    case VERIFICATION_RANGES:
        reply->ops->array(reply, verification->ranges);
        for (uint32_t i = 0; i < verification->ranges; i++)
            bulk_digest(reply, verification->sums[i]);
        break;
    case VERIFICATION_KEYS: answer_keys(verification, reply); break;
    }
}

static void verified(struct verification *verification)
{
    struct verifying *verifying = CONTAINER_OF(verification, struct verifying, verification);
    struct client *client = verifying->client;
    client->verifying = NULL;
    answer_verification(verification, later_or_now(client));
    memory_free(verifying);
    later_or_now_done(client);
}

static void ask(struct client *client, const struct verification *wanted)
{
    struct service *service = client->face->options.service;
    struct verifying *verifying = memory_zeroed(1, sizeof *verifying);
    verifying->verification = *wanted;
    verifying->verification.done = verified;
    verifying->client = client;
    client->verifying = verifying;
    if (wanted->kind == VERIFICATION_KEYS) later_begin(client, NULL, 0, 0);
    service->ops->verify(service, &verifying->verification);
}

void verify_forget(struct client *client)
{
    if (client->verifying == NULL) return;
    struct service *service = client->face->options.service;
    service->ops->unverify(service, &client->verifying->verification);
    memory_free(client->verifying);
    client->verifying = NULL;
}

static bool take_id(struct client *client, struct bytes word, uint64_t *id)
{
    bool good = word.size == ID_TEXT_BYTES - 1;
    *id = 0;
    for (size_t i = 0; i < word.size && good; i++) {
        uint8_t byte = word.data[i], low = byte | 0x20;
        good = (byte >= '0' && byte <= '9') || (low >= 'a' && low <= 'f');
        *id = *id << 4 | (uint64_t)(byte <= '9' ? byte - '0' : low - 'a' + 10);
    }
    if (!good) answer_error(client, "ERR the id of a verification has 16 hexadecimal digits");
    return good;
}

/* VERIFY BEGIN [ranges] */
void face_VERIFY_BEGIN(struct client *client, const struct args *args)
{
    uint64_t ranges = VERIFY_RANGES_USUAL;
    bool good = args->count == 2 || (args->count == 3 && number_parse_uint64(args->at[2], &ranges));
    if (!good || ranges > UINT32_MAX) answer_error(client, "ERR syntax error");
    else
        ask(client, &(struct verification){.kind = VERIFICATION_BEGIN, .ranges = (uint32_t)ranges});
}

void face_VERIFY_STATUS(struct client *client, const struct args *args)
{
    struct verification wanted = {.kind = VERIFICATION_STATUS};
    if (take_id(client, args->at[2], &wanted.id)) ask(client, &wanted);
}

void face_VERIFY_RANGES(struct client *client, const struct args *args)
{
    struct verification wanted = {.kind = VERIFICATION_RANGES};
    if (take_id(client, args->at[2], &wanted.id)) ask(client, &wanted);
}

/* VERIFY KEYS id keys-max range [range ...], ranges ascending */
void face_VERIFY_KEYS(struct client *client, const struct args *args)
{
    struct verification wanted = {.kind = VERIFICATION_KEYS};
    if (!take_id(client, args->at[2], &wanted.id)) return;
    bool good = !client->face->in_exec && number_parse_uint64(args->at[3], &wanted.keys_max) &&
                wanted.keys_max <= VERIFICATION_KEYS_MAX &&
                args->count - 4 <= VERIFICATION_WANTED_MAX;
    for (size_t i = 4; i < args->count && good; i++) {
        uint64_t range = 0;
        good = number_parse_uint64(args->at[i], &range) && range <= UINT32_MAX &&
               (i == 4 || range > wanted.wanted[wanted.wanted_count - 1]);
        if (good) wanted.wanted[wanted.wanted_count++] = (uint32_t)range;
    }
    if (good) ask(client, &wanted);
    else
        answer_error(client, "ERR VERIFY KEYS id keys-max range [range ...]: ranges ascending, "
                             "at most 64, keys-max up to 65536, not in a transaction");
}
