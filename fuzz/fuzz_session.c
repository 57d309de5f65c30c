/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_session: what a peer can send.
 *
 * As raw bytes: frames in one piece and in many are the same, memory is bounded by what was sent,
 * and each payload is refused or written again as the same bytes. As payloads in good frames, to
 * either end of a session that has proved itself: whatever comes, the end goes on or closes, with
 * what it took given back; and again the pieces make no difference. */
#include <stddef.h>
#include <stdint.h>

#include "base/checksum.h"
#include "base/dice.h"
#include "log/log.h"
#include "replica/follower.h"
#include "replica/primary.h"
#include "test/replica/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- Raw --- */

struct feed {
    struct frame_reader reader;
    struct buffer out;
    size_t sent;
    bool over;
};

static void feed_frame(struct feed *feed, const struct frame *frame)
{
    struct buffer again;
    buffer_init(&again);
    buffer_append_byte(&feed->out, (uint8_t)frame->head.type);
    buffer_append_le64(&feed->out, checksum64(frame->payload, frame->head.session));
    enum err err = rewrite_message(frame->head.type, frame->payload, &again);
    MUST(err == ERR_OK || err == ERR_PROTOCOL || err == ERR_CORRUPT);
    if (err == ERR_OK) MUST(bytes_equal(buffer_bytes(&again), frame->payload));
    buffer_release(&again);
}

static void feed_bytes(struct feed *feed, struct bytes bytes)
{
    feed->sent += bytes.size;
    while (!feed->over) {
        struct frame frame;
        enum err err = frame_take(&feed->reader, &bytes, &frame, NULL);
        MUST(feed->reader.held.capacity <= 256 + 2 * feed->sent);
        if (err == ERR_PENDING) {
            MUST(bytes.size == 0);
            return;
        }
        feed->over = err != ERR_OK;
        if (feed->over) buffer_append_byte(&feed->out, 0xff);
        else feed_frame(feed, &frame);
    }
}

static void feed_open(struct feed *feed)
{
    *feed = (struct feed){.over = false};
    frame_reader_init(&feed->reader);
    feed->reader.payload_max = FRAME_PAYLOAD_BYTES_MAX;
    buffer_init(&feed->out);
}

static void feed_close(struct feed *feed)
{
    frame_reader_release(&feed->reader);
    buffer_release(&feed->out);
}

static void run_raw(struct bytes bytes, uint64_t seed)
{
    struct feed whole, pieces;
    struct dice dice;
    feed_open(&whole);
    feed_open(&pieces);
    feed_bytes(&whole, bytes);
    dice_init(&dice, seed);
    for (size_t at = 0; at < bytes.size;) {
        size_t piece = 1 + (size_t)dice_below(&dice, 1 + seed);
        if (piece > bytes.size - at) piece = bytes.size - at;
        feed_bytes(&pieces, bytes_of(bytes.data + at, piece));
        at += piece;
    }
    MUST(bytes_equal(buffer_bytes(&whole.out), buffer_bytes(&pieces.out)));
    feed_close(&whole);
    feed_close(&pieces);
}

/* --- An end of a session --- */

enum { LOG_ENTRIES = 30, IMAGE_BYTES = 500, ANSWERS_MAX = 2000 };

struct end {
    bool is_primary;
    struct session_options options, peer_options;
    struct primary primary;
    struct follower follower;
    struct link peer; /* proves itself for the fuzzer */
    struct session_effects effects, peer_effects;
    struct entry log[LOG_ENTRIES + 1];
    struct epoch_start epochs[2];
    struct buffer story; /* everything that came out */
    uint64_t now_us;
    unsigned pins, answers;
};

static void end_step(struct end *end, struct session_event *event);

static void make_log(struct end *end)
{
    for (uint64_t lsn = 1; lsn <= LOG_ENTRIES; lsn++) {
        end->log[lsn] = (struct entry){.lsn = {lsn},
                                       .epoch = {lsn < 10 ? 3 : 4, 1},
                                       .stamp = {lsn * 5},
                                       .payload = bytes_of("payload", 1 + lsn % 7)};
        end->log[lsn].lineage = log_lineage(end->log[lsn - 1].lineage, &end->log[lsn]);
    }
    end->epochs[0] = (struct epoch_start){{3, 1}, {1}, 0};
    end->epochs[1] = (struct epoch_start){{4, 1}, {10}, 0};
}

static struct mark mark_at(const struct end *end, uint64_t lsn)
{
    return (struct mark){{{7}}, end->log[lsn].epoch, {lsn}, end->log[lsn].lineage};
}

static struct recover_facts facts_of(const struct end *end, uint64_t last, uint64_t floor)
{
    return (struct recover_facts){.cluster = 3,
                                  .level = 1,
                                  .copy = end->is_primary ? 1 : 2,
                                  .incarnation = 2,
                                  .promised = {5, 1},
                                  .last = mark_at(end, last),
                                  .floor = {floor},
                                  .durable = {last},
                                  .committed = {last - 2},
                                  .applied = {last - 3},
                                  .applied_lineage = end->log[last - 3].lineage,
                                  .flushed = {last - 4},
                                  .epochs = {end->epochs, last < 10 ? 1 : 2}};
}

static void answer_primary(struct end *end, const struct session_effect *effect)
{
    struct session_event event = {.key = effect->key};
    struct recover_source source = {.own = facts_of(end, LOG_ENTRIES, 5), .strict = true};
    uint8_t bytes[IMAGE_BYTES] = {0};
    struct message_image image = {mark_at(end, LOG_ENTRIES - 2), IMAGE_BYTES, 9};
    if (effect->kind == EFFECT_FACTS) {
        struct lsn common = recover_common(&source.own, &effect->hello->facts);
        source.has_lineage = common.at >= 4;
        source.lineage = end->log[common.at].lineage;
        source.image = image.mark;
        event.kind = EVENT_FACTS;
        event.source = &source;
        event.session = 1;
    } else if (effect->kind == EFFECT_PIN) {
        event.kind = EVENT_PINNED;
        end->pins++;
    } else if (effect->kind == EFFECT_READ) {
        MUST(effect->lsn.at >= 1 && effect->through.at <= LOG_ENTRIES);
        event.kind = EVENT_ENTRIES;
        event.entries = &end->log[effect->lsn.at];
        event.entry_count = effect->through.at - effect->lsn.at + 1;
    } else if (effect->kind == EFFECT_IMAGE_BEGIN) {
        event.kind = EVENT_IMAGE;
        event.image = &image;
    } else if (effect->kind == EFFECT_IMAGE_READ) {
        MUST(effect->offset + effect->size <= IMAGE_BYTES);
        event.kind = EVENT_IMAGE_BYTES;
        event.image_bytes = bytes_of(bytes, effect->size);
    } else {
        if (effect->kind == EFFECT_UNPIN) end->pins--;
        return;
    }
    end_step(end, &event);
}

static void answer_follower(struct end *end, const struct session_effect *effect)
{
    struct session_event event = {.key = effect->key};
    struct message_hello hello = {.facts = facts_of(end, 12, 1)};
    if (effect->kind == EFFECT_FACTS) {
        event.kind = EVENT_FACTS;
        event.hello = &hello;
        event.last_stamp = end->log[12].stamp;
    } else if (effect->kind == EFFECT_PROMISE) {
        event.kind = EVENT_PROMISED;
    } else if (effect->kind == EFFECT_CUT) {
        event.kind = EVENT_CUT;
        event.last_stamp.bits = 1;
    } else if (effect->kind == EFFECT_IMAGE_OPEN) {
        event.kind = EVENT_IMAGE_AT;
    } else if (effect->kind == EFFECT_IMAGE_WRITE) {
        event.kind = EVENT_IMAGE_STORED;
        event.offset = effect->offset + effect->bytes.size;
    } else if (effect->kind == EFFECT_INSTALL) {
        event.kind = EVENT_INSTALLED;
        event.last = effect->image.mark;
    } else if (effect->kind == EFFECT_APPEND) {
        struct lsn last = end->follower.last.lsn;
        event.kind = EVENT_LOG;
        event.durable = last;
        event.applied = event.flushed = end->follower.committed;
    } else {
        return;
    }
    end_step(end, &event);
}

static void end_step(struct end *end, struct session_event *event)
{
    event->now_us = end->now_us;
    if (end->is_primary) primary_step(&end->primary, event, &end->effects);
    else follower_step(&end->follower, event, &end->effects);
    buffer_append(&end->story, buffer_bytes(&end->effects.send));
    struct session_effects out = end->effects;
    for (unsigned i = 0; i < out.count; i++)
        buffer_append_byte(&end->story, (uint8_t)out.at[i].kind);
    for (unsigned i = 0; i < out.count && end->answers++ < ANSWERS_MAX; i++) {
        if (end->is_primary) answer_primary(end, &out.at[i]);
        else answer_follower(end, &out.at[i]);
    }
}

static void end_bytes(struct end *end, struct bytes bytes, struct dice *dice)
{
    while (bytes.size > 0) {
        size_t size = dice == NULL ? bytes.size : 1 + (size_t)dice_below(dice, 200);
        if (size > bytes.size) size = bytes.size;
        struct bytes piece = bytes_of(bytes.data, size);
        bytes = bytes_of(bytes.data + size, bytes.size - size);
        while (piece.size > 0) {
            struct session_event event = {.kind = EVENT_RECEIVED, .bytes = &piece};
            end_step(end, &event);
        }
    }
}

static void end_open(struct end *end, bool is_primary)
{
    static const uint8_t nonces[2][MESSAGE_NONCE_BYTES] = {{1}, {2}};
    *end = (struct end){.is_primary = is_primary};
    end->options = (struct session_options){.cluster = 3,
                                            .copy = is_primary ? 1 : 2,
                                            .level = 1,
                                            .plain = true,
                                            .may_rebuild = true,
                                            .keepalive_us = 1000,
                                            .silent_us = 5000,
                                            .hello_us = 9000,
                                            .degrade_us = 2000,
                                            .stall_us = 8000,
                                            .window_bytes = 900,
                                            .image_window_bytes = 900,
                                            .window_entries = 8,
                                            .batch_bytes = 100};
    make_log(end);
    buffer_init(&end->story);
    session_effects_init(&end->effects);
    session_effects_init(&end->peer_effects);
    primary_init(&end->primary, &end->options, 1);
    follower_init(&end->follower, &end->options, 1);
    end->peer_options = end->options;
    end->peer_options.copy = is_primary ? 2 : 1;
    link_init(&end->peer, &end->peer_options, is_primary ? ROLE_REPLICA : ROLE_PRIMARY,
              is_primary ? ROLE_PRIMARY : ROLE_REPLICA);
    struct session_event event = {.kind = EVENT_OPENED, .nonce = nonces[0]};
    end_step(end, &event);
    event.nonce = nonces[1];
    link_step(&end->peer, &event, &end->peer_effects);
    end_bytes(end, buffer_bytes(&end->peer_effects.send), NULL); /* the challenge */
    struct bytes said = buffer_bytes(&end->story);
    struct frame frame;
    event = (struct session_event){.kind = EVENT_RECEIVED, .bytes = &said};
    said.size = FRAME_HEADER_BYTES + load_le32(said.data + 8); /* of the end: its challenge */
    link_step(&end->peer, &event, &end->peer_effects);
    (void)link_take(&end->peer, &event, &frame);
    end_bytes(end, buffer_bytes(&end->peer_effects.send), NULL); /* the proof */
    MUST((is_primary ? end->primary.link : end->follower.link).phase == LINK_PROVEN);
    buffer_clear(&end->story);
}

static void end_close(struct end *end)
{
    struct session_event event = {.kind = EVENT_ENDED};
    end->answers = 0;
    end_step(end, &event);
    MUST(end->pins == 0);
    primary_release(&end->primary);
    follower_release(&end->follower);
    link_release(&end->peer);
    session_effects_release(&end->effects);
    session_effects_release(&end->peer_effects);
    buffer_release(&end->story);
}

/* A type, flags, a length, the payload; type 0 lets time pass. */
static void run_end(struct end *end, struct bytes bytes, struct dice *dice)
{
    struct buffer frame;
    buffer_init(&frame);
    while (bytes.size >= 4) {
        uint8_t type = bytes.data[0] % FRAME_TYPES, flags = bytes.data[1];
        size_t size = load_le16(bytes.data + 2);
        bytes = bytes_of(bytes.data + 4, bytes.size - 4);
        if (size > bytes.size) size = bytes.size;
        if (type == 0) {
            struct session_event event = {.kind = EVENT_TICK};
            end->now_us += 100u * flags;
            end_step(end, &event);
            continue;
        }
        struct frame_head head = {.type = (enum frame_type)type,
                                  .cluster = (flags & 1) != 0 ? 4 : 3,
                                  .epoch = {5 + (flags >> 1 & 1), 1},
                                  .session = (flags & 4) != 0 ? 2 : 1};
        buffer_clear(&frame);
        size_t begin = frame_begin(&frame);
        buffer_append(&frame, bytes_of(bytes.data, size));
        frame_seal(&frame, begin, &head);
        bytes = bytes_of(bytes.data + size, bytes.size - size);
        end_bytes(end, buffer_bytes(&frame), dice);
    }
    buffer_release(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes rest = bytes_of(data + 2, size - 2);
    run_raw(rest, data[1]);
    struct end whole, pieces;
    struct dice dice;
    dice_init(&dice, data[1]);
    end_open(&whole, (data[0] & 1) != 0);
    end_open(&pieces, (data[0] & 1) != 0);
    run_end(&whole, rest, NULL);
    run_end(&pieces, rest, &dice);
    MUST(bytes_equal(buffer_bytes(&whole.story), buffer_bytes(&pieces.story)));
    end_close(&whole);
    end_close(&pieces);
    return 0;
}
