/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * bed: the driver of replicas between a fake feed and links whose other end is the test. Words to
 * the stream become entries at once, or when the test says so.
 */
#ifndef TEST_FACE_PSYNC_BED_H
#define TEST_FACE_PSYNC_BED_H

#include <stdlib.h>

#include "base/memory.h"
#include "face/psync/internal.h"
#include "seam/entry.h"
#include "test/face/psync/fake_feed.h"
#include "test/face/redis/fake_clock.h"

enum { BED_LINKS = 4, BED_ERROR_BYTES = 128 };

struct bed_link {
    struct psync_link base;
    struct reply reply; /* of REPLCONF and of errors */
    struct psync_replica *replica;
    struct buffer out;  /* what the peer has got */
    struct buffer text; /* bed_got()'s */
    size_t window;      /* how much more it takes */
    size_t unsent;
    bool closed, flushed;
    char answer[BED_ERROR_BYTES];
};

struct bed {
    struct fake_clock clock;
    struct fake_feed feed;
    struct service service;
    struct service_status status;
    struct entropy entropy;
    struct psync_host host;
    unsigned acks; /* how often more was told to be there */
    struct psync_settings settings;
    struct psync *psync;
    struct bed_link links[BED_LINKS];
    bool words_wait, words_refused;
    struct call *word; /* that waits; further ones are refused */
    struct buffer word_payload;
    struct buffer said; /* "on ping getack publish:ch:text " */
    unsigned cancelled, submitted;
};

/* --- The service --- */

static inline void bed_word(struct bed *bed, struct bytes payload)
{
    struct payload_reader reader;
    enum stream_word word;
    struct published published;
    MUST(payload_read(&reader, payload) == ERR_OK && reader.kind == ENTRY_STREAM);
    MUST(payload_stream(&reader, &word, &published) == ERR_OK);
    static const char *const words[] = {"off", "on", "ping", "getack", "publish", "spublish"};
    buffer_append_text(&bed->said, words[word]);
    if (word == STREAM_PUBLISH || word == STREAM_SPUBLISH) {
        buffer_append_format(&bed->said, ":%u:%.*s:%.*s", published.database,
                             (int)published.channel.size, (const char *)published.channel.data,
                             (int)published.message.size, (const char *)published.message.data);
    }
    buffer_append_byte(&bed->said, ' ');
    if (bed->words_refused) return;
    if (word <= STREAM_ON) fake_feed_switch(&bed->feed, word == STREAM_ON);
    else fake_feed_add(&bed->feed, bytes_text(words[word]));
}

static inline void bed_submit(struct service *service, struct call *call)
{
    struct bed *bed = CONTAINER_OF(service, struct bed, service);
    MUST(call->kind == CALL_WRITE);
    bed->submitted++;
    if (bed->words_wait && bed->word != NULL) {
        call->done(call, CALL_REFUSED);
        return;
    }
    if (bed->words_wait) {
        bed->word = call;
        buffer_clear(&bed->word_payload);
        buffer_append(&bed->word_payload, call->payload);
        return;
    }
    bed_word(bed, call->payload);
    call->done(call, bed->words_refused ? CALL_REFUSED : CALL_ANSWERED);
}

/* The word that waits becomes an entry. */
static inline void bed_word_done(struct bed *bed)
{
    struct call *call = bed->word;
    MUST(call != NULL);
    bed->word = NULL;
    bed_word(bed, buffer_bytes(&bed->word_payload));
    call->done(call, bed->words_refused ? CALL_REFUSED : CALL_ANSWERED);
}

static inline void bed_cancel(struct service *service, struct call *call)
{
    struct bed *bed = CONTAINER_OF(service, struct bed, service);
    if (bed->word == call) bed->word = NULL;
    bed->cancelled++;
}

static inline void bed_status(struct service *service, struct service_status *out)
{
    *out = CONTAINER_OF(service, struct bed, service)->status;
}

static inline struct feed *bed_feed(struct service *service)
{
    return &CONTAINER_OF(service, struct bed, service)->feed.base;
}

static inline void bed_entropy(struct entropy *entropy, void *out, size_t size)
{
    (void)entropy;
    for (size_t i = 0; i < size; i++) ((uint8_t *)out)[i] = (uint8_t)i;
}

static inline void bed_settings(struct psync_host *host, struct psync_settings *out)
{
    *out = CONTAINER_OF(host, struct bed, host)->settings;
}

static inline void bed_acked(struct psync_host *host)
{
    CONTAINER_OF(host, struct bed, host)->acks++;
}

/* --- Links --- */

static inline void bed_send(struct psync_link *base, struct bytes bytes)
{
    struct bed_link *link = CONTAINER_OF(base, struct bed_link, base);
    MUST(!link->closed);
    buffer_append(&link->out, bytes);
    link->unsent += bytes.size;
    size_t taken = link->unsent < link->window ? link->unsent : link->window;
    link->unsent -= taken;
    link->window -= taken;
}

static inline size_t bed_unsent(const struct psync_link *base)
{
    return ((const struct bed_link *)(const void *)base)->unsent;
}

static inline void bed_close_link(struct psync_link *base, bool flush)
{
    struct bed_link *link = CONTAINER_OF(base, struct bed_link, base);
    MUST(!link->closed);
    link->closed = true;
    link->flushed = flush;
}

static inline void bed_simple(struct reply *reply, const char *text)
{
    struct bed_link *link = CONTAINER_OF(reply, struct bed_link, reply);
    snprintf(link->answer, sizeof link->answer, "+%s", text);
}

static inline void bed_error(struct reply *reply, const char *text)
{
    struct bed_link *link = CONTAINER_OF(reply, struct bed_link, reply);
    snprintf(link->answer, sizeof link->answer, "-%s", text);
}

/* --- For tests --- */

static inline void bed_init(struct bed *bed)
{
    static const struct service_ops service_ops = {
        .submit = bed_submit, .cancel = bed_cancel, .status = bed_status, .feed = bed_feed};
    static const struct entropy_ops entropy_ops = {.fill = bed_entropy};
    memset(bed, 0, sizeof *bed);
    fake_clock_init(&bed->clock);
    fake_feed_init(&bed->feed);
    bed->service.ops = &service_ops;
    bed->status.phase = SERVICE_SERVING;
    bed->entropy.ops = &entropy_ops;
    bed->host = (struct psync_host){.settings = bed_settings, .acked = bed_acked};
    bed->settings = (struct psync_settings){
        .ping_us = 10000000, .timeout_us = 60000000, .backlog_bytes = 1000};
    buffer_init(&bed->said);
    buffer_init(&bed->word_payload);
    struct psync_options options = {.clock = &bed->clock.base,
                                    .entropy = &bed->entropy,
                                    .service = &bed->service,
                                    .host = &bed->host};
    psync_open(&bed->psync, &options);
}

/* A peer that takes everything. */
static inline struct bed_link *bed_connect(struct bed *bed, unsigned i)
{
    static const struct psync_link_ops ops = {bed_send, bed_unsent, bed_close_link};
    static const struct reply_ops reply_ops = {.simple = bed_simple, .error = bed_error};
    struct bed_link *link = &bed->links[i];
    memset(link, 0, sizeof *link);
    link->base.ops = &ops;
    link->reply.ops = &reply_ops;
    link->window = SIZE_MAX;
    buffer_init(&link->out);
    buffer_init(&link->text);
    link->replica = psync_replica_open(bed->psync, &link->base, "10.0.0.1:4711");
    return link;
}

static inline void bed_hang_up(struct bed_link *link)
{
    psync_replica_close(link->replica);
    link->replica = NULL;
    buffer_release(&link->out);
    buffer_release(&link->text);
}

static inline void bed_release(struct bed *bed)
{
    for (unsigned i = 0; i < BED_LINKS; i++) {
        if (bed->links[i].replica != NULL) bed_hang_up(&bed->links[i]);
    }
    psync_close(bed->psync);
    MUST(list_empty(&bed->clock.timers) && bed->feed.listener == NULL);
    fake_feed_release(&bed->feed);
    buffer_release(&bed->said);
    buffer_release(&bed->word_payload);
}

/* "PSYNC ? -1": the answer of REPLCONF, or the error; "": none. */
static inline const char *bed_say(struct bed_link *link, const char *line)
{
    char words[512];
    snprintf(words, sizeof words, "%s", line);
    struct args args;
    args_init(&args);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        args_push(&args, bytes_text(word));
    link->answer[0] = 0;
    psync_heard(link->replica);
    if (bytes_is_word(args.at[0], "replconf")) psync_replconf(link->replica, &args, &link->reply);
    else psync_sync(link->replica, &args, &link->reply);
    args_release(&args);
    return link->answer;
}

/* What the peer has got since the last time, as text. Borrowed until more comes. */
static inline const char *bed_got(struct bed_link *link)
{
    buffer_clear(&link->text);
    buffer_append(&link->text, buffer_bytes(&link->out));
    buffer_append_byte(&link->text, 0);
    buffer_clear(&link->out);
    return (const char *)link->text.data;
}

static inline void bed_pass(struct bed *bed, uint64_t us)
{
    fake_clock_pass(&bed->clock, us);
}

/* The name of the stream now. */
static inline const char *bed_replid(struct bed *bed)
{
    static char replid[PSYNC_REPLID_BYTES];
    place_replid(&bed->feed.mark.history, bed->feed.mark.epoch, replid);
    return replid;
}

#endif
