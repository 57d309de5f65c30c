/* SPDX-License-Identifier: Apache-2.0 */
/* rewrite: reads a payload of any type and writes what it says again. */
#ifndef TEST_REPLICA_REWRITE_H
#define TEST_REPLICA_REWRITE_H

#include "replica/frame.h"
#include "replica/message.h"

static inline enum err again_challenge(struct bytes payload, struct buffer *out)
{
    struct message_challenge message;
    enum err err = challenge_take(payload, &message);
    if (err == ERR_OK) challenge_put(out, &message);
    return err;
}

static inline enum err again_hello(struct bytes payload, struct buffer *out)
{
    struct message_hello message;
    enum err err = hello_take(payload, &message);
    if (err != ERR_OK) return err;
    hello_put(out, &message);
    epochs_release(&message.epochs);
    return ERR_OK;
}

static inline enum err again_verdict(struct bytes payload, struct buffer *out)
{
    struct message_verdict message;
    enum err err = verdict_take(payload, &message);
    if (err == ERR_OK) verdict_put(out, &message);
    return err;
}

static inline enum err again_entries(struct bytes payload, struct buffer *out)
{
    struct message_entries message;
    struct entry entries[8];
    enum err err = entries_take(payload, &message);
    if (err != ERR_OK) return err;
    struct lineage before = message.before, stated = message.last;
    size_t count = 0;
    while (count < 8 && entries_next(&message, count == 0 ? before : entries[count - 1].lineage,
                                     &entries[count]))
        count++;
    if (entries[count - 1].lineage.hash != stated.hash) return ERR_CORRUPT; /* the session's part */
    entries_put(out, entries, count, before);
    return ERR_OK;
}

static inline enum err again_ack(struct bytes payload, struct buffer *out)
{
    struct message_ack message;
    enum err err = ack_take(payload, &message);
    if (err == ERR_OK) ack_put(out, &message);
    return err;
}

static inline enum err again_watermarks(struct bytes payload, struct buffer *out)
{
    struct message_watermarks message;
    enum err err = watermarks_take(payload, &message);
    if (err == ERR_OK) watermarks_put(out, &message);
    return err;
}

static inline enum err again_image(struct bytes payload, struct buffer *out)
{
    struct message_image message;
    enum err err = image_take(payload, &message);
    if (err == ERR_OK) image_put(out, &message);
    return err;
}

static inline enum err again_chunk(struct bytes payload, struct buffer *out)
{
    struct message_chunk message;
    enum err err = chunk_take(payload, &message);
    if (err == ERR_OK) chunk_put(out, &message);
    return err;
}

static inline enum err again_image_ack(struct bytes payload, struct buffer *out)
{
    struct message_image_ack message;
    enum err err = image_ack_take(payload, &message);
    if (err == ERR_OK) image_ack_put(out, &message);
    return err;
}

static inline enum err again_request(struct bytes payload, struct buffer *out)
{
    struct promise_request message;
    enum err err = promise_request_take(payload, &message);
    if (err == ERR_OK) promise_request_put(out, &message);
    return err;
}

static inline enum err again_answer(struct bytes payload, struct buffer *out)
{
    struct promise_answer message;
    enum err err = promise_answer_take(payload, &message);
    if (err == ERR_OK) promise_answer_put(out, &message);
    return err;
}

static inline enum err again_stamp(struct bytes payload, struct buffer *out)
{
    struct message_stamp message;
    enum err err = stamp_take(payload, &message);
    if (err == ERR_OK) stamp_put(out, &message);
    return err;
}

static inline enum err again_bye(struct bytes payload, struct buffer *out)
{
    struct message_bye message;
    enum err err = bye_take(payload, &message);
    if (err == ERR_OK) bye_put(out, &message);
    return err;
}

static inline enum err again_as_it_is(struct bytes payload, struct buffer *out)
{
    buffer_append(out, payload);
    return ERR_OK;
}

/* ERR_PROTOCOL: refused; ERR_CORRUPT: a lineage, which is for the session to see. */
static inline enum err rewrite_message(enum frame_type type, struct bytes payload,
                                       struct buffer *out)
{
    static enum err (*const again_of[FRAME_TYPES])(struct bytes payload, struct buffer * out) = {
        [FRAME_CHALLENGE] = again_challenge,   [FRAME_PROOF] = again_as_it_is,
        [FRAME_HELLO] = again_hello,           [FRAME_VERDICT] = again_verdict,
        [FRAME_ENTRIES] = again_entries,       [FRAME_ACK] = again_ack,
        [FRAME_WATERMARKS] = again_watermarks, [FRAME_IMAGE_OFFER] = again_image,
        [FRAME_IMAGE_CHUNK] = again_chunk,     [FRAME_IMAGE_DONE] = again_image,
        [FRAME_IMAGE_ACK] = again_image_ack,   [FRAME_PROMISE_REQUEST] = again_request,
        [FRAME_PROMISE_ANSWER] = again_answer, [FRAME_STAMP] = again_stamp,
        [FRAME_PING] = again_as_it_is,         [FRAME_BYE] = again_bye,
    };
    return again_of[type](payload, out);
}

#endif
