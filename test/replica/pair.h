/* SPDX-License-Identifier: Apache-2.0 */
/* pair: a primary and a replica with small logs in memory, joined by two pipes that cut bytes
 * anywhere, with results that come late and in the order that the dice give. What the two do must
 * be right whatever happens to them. */
#ifndef TEST_REPLICA_PAIR_H
#define TEST_REPLICA_PAIR_H

#include "base/dice.h"
#include "base/memory.h"
#include "log/log.h"
#include "replica/replica.h"
#include "test/test.h"

enum { PAIR_LOG_MAX = 600, PAIR_RESULTS_MAX = 64, PAIR_PAYLOAD_BYTES = 8 };

struct pair_copy {
    uint64_t id, incarnation;
    struct epoch promised;
    struct entry log[PAIR_LOG_MAX + 1]; /* by LSN; [0] is before everything */
    uint8_t payload[PAIR_LOG_MAX + 1][PAIR_PAYLOAD_BYTES];
    uint64_t size, floor, durable, committed, applied, flushed;
    struct epochs epochs;
    bool wipe;
    uint8_t history;
};

struct pair_result {
    bool to_primary;
    struct session_effect effect;
    struct message_hello hello; /* of EFFECT_FACTS */
};

struct pair {
    struct dice dice;
    struct session_options options[2]; /* primary's, replica's */
    struct pair_copy copies[2];
    struct primary *primary; /* NULL: not connected */
    struct follower *follower;
    struct session_effects effects;
    struct buffer pipes[2]; /* to the primary, to the replica */
    struct pair_result results[PAIR_RESULTS_MAX];
    unsigned result_count;
    struct progress progress;
    uint64_t now_us, sessions, value, endpoint;
    uint64_t pin; /* 0: none */
    unsigned pins, closes[2];
    bool pin_fails, image_busy;
    struct mark image;      /* of the newest that the primary has */
    struct buffer received; /* of an image, at the replica; what stays there when it loses touch */
    struct mark received_mark;
    uint64_t acked_installs, images_resumed;
    enum session_state states[2];
    enum bye_reason reasons[2];
    struct recover_plan plan; /* of the newest session */
};

static inline uint8_t pair_image_byte(const struct mark *mark, uint64_t offset)
{
    return (uint8_t)((mark->lineage.hash >> offset % 56) + offset);
}

static inline uint64_t pair_image_size(const struct mark *mark)
{
    return 900 + 10 * mark->lsn.at;
}

static inline struct mark pair_mark(const struct pair_copy *copy, uint64_t lsn)
{
    const struct entry *entry = &copy->log[lsn];
    return (struct mark){{{copy->history}}, entry->epoch, {lsn}, entry->lineage};
}

static inline void pair_append(struct pair_copy *copy, struct epoch epoch, struct stamp stamp,
                               uint64_t value)
{
    assert_true(copy->size < PAIR_LOG_MAX);
    struct entry *entry = &copy->log[++copy->size];
    store_le64(copy->payload[copy->size], value);
    *entry = (struct entry){.lsn = {copy->size},
                            .epoch = epoch,
                            .stamp = stamp,
                            .payload = bytes_of(copy->payload[copy->size], PAIR_PAYLOAD_BYTES)};
    entry->lineage = log_lineage(copy->log[copy->size - 1].lineage, entry);
    if (epoch_compare(epoch, copy->log[copy->size - 1].epoch) != 0) {
        struct epoch_start start = {epoch, {copy->size}, 0};
        assert_int_equal(epochs_append(&copy->epochs, &start, NULL), ERR_OK);
    }
}

static inline void pair_facts(struct pair_copy *copy, struct recover_facts *out)
{
    *out = (struct recover_facts){.cluster = 3,
                                  .level = 1,
                                  .copy = copy->id,
                                  .incarnation = copy->incarnation,
                                  .promised = copy->promised,
                                  .last = pair_mark(copy, copy->size),
                                  .floor = {copy->floor},
                                  .durable = {copy->durable},
                                  .committed = {copy->committed},
                                  .applied = {copy->applied},
                                  .applied_lineage = copy->log[copy->applied].lineage,
                                  .flushed = {copy->flushed},
                                  .epochs = epochs_view(&copy->epochs),
                                  .wipe = copy->wipe};
}

/* Everything after `last` is gone. */
static inline void pair_cut(struct pair_copy *copy, uint64_t last)
{
    assert_true(copy->applied <= last);
    copy->size = last;
    epochs_cut(&copy->epochs, (struct lsn){last});
    if (copy->durable > last) copy->durable = last;
    if (copy->committed > last) copy->committed = last;
}

static void pair_step(struct pair *pair, bool primary, struct session_event *event);

static inline void pair_log_event(struct pair *pair, bool primary)
{
    struct pair_copy *copy = &pair->copies[primary ? 0 : 1];
    struct message_watermarks watermarks = {.durable = {copy->durable},
                                            .committed = {copy->committed},
                                            .floor = {copy->floor},
                                            .mode = pair->progress.rule.mode,
                                            .min_in_sync = pair->progress.rule.min_in_sync,
                                            .copy_count = 2,
                                            .copies = {{1, true}, {2, true}}};
    struct session_event event = {.kind = EVENT_LOG,
                                  .appended = {copy->size},
                                  .durable = {copy->durable},
                                  .applied = {copy->applied},
                                  .flushed = {copy->flushed},
                                  .watermarks = &watermarks};
    pair_step(pair, primary, &event);
}

static inline void pair_commit(struct pair *pair)
{
    struct pair_copy *copy = &pair->copies[0];
    progress_own(&pair->progress, (struct lsn){copy->durable});
    (void)progress_commit(&pair->progress);
    copy->committed = pair->progress.committed.at;
    copy->applied = copy->committed;
    if (pair->primary != NULL) pair_log_event(pair, true);
}

/* Opens a new epoch at the primary, as a start does. */
static inline void pair_lead(struct pair *pair, struct commit_rule rule, bool second_counts)
{
    struct pair_copy *copy = &pair->copies[0];
    copy->promised = (struct epoch){copy->promised.number + 1, copy->id};
    uint64_t committed = copy->committed;
    pair_append(copy, copy->promised, copy->log[copy->size].stamp, 0);
    progress_init(&pair->progress, copy->promised, copy->id);
    progress_recall(&pair->progress, rule, (struct lsn){committed}, (struct lsn){copy->size});
    assert_int_equal(progress_admit(&pair->progress, 2, second_counts), ERR_OK);
    progress_own(&pair->progress, (struct lsn){copy->durable});
}

static inline void pair_open(struct pair *pair, uint64_t seed, struct commit_rule rule)
{
    memset(pair, 0, sizeof *pair);
    dice_init(&pair->dice, seed);
    session_effects_init(&pair->effects);
    for (unsigned i = 0; i < 2; i++) {
        struct pair_copy *copy = &pair->copies[i];
        copy->id = i + 1;
        copy->floor = 1;
        copy->history = 7;
        copy->log[0] = (struct entry){.lsn = {0}};
        buffer_init(&pair->pipes[i]);
        pair->options[i] = (struct session_options){.cluster = 3,
                                                    .copy = i + 1,
                                                    .level = 1,
                                                    .secret = bytes_text("sesame"),
                                                    .may_rebuild = true,
                                                    .keepalive_us = 1000,
                                                    .silent_us = 5000,
                                                    .hello_us = 10000,
                                                    .degrade_us = 3000,
                                                    .stall_us = 20000,
                                                    .window_bytes = 700,
                                                    .window_entries = 12,
                                                    .image_window_bytes = 700,
                                                    .batch_bytes = 200};
    }
    buffer_init(&pair->received);
    pair_lead(pair, rule, rule.mode == COMMIT_ALL);
}

static inline void pair_connect(struct pair *pair)
{
    uint8_t nonce[MESSAGE_NONCE_BYTES];
    pair->primary = memory_alloc(sizeof *pair->primary);
    pair->follower = memory_alloc(sizeof *pair->follower);
    primary_init(pair->primary, &pair->options[0], ++pair->endpoint);
    follower_init(pair->follower, &pair->options[1], pair->endpoint);
    for (unsigned i = 0; i < 2; i++) {
        memset(nonce, (int)(pair->endpoint * 2 + i), sizeof nonce);
        struct session_event event = {.kind = EVENT_OPENED, .nonce = nonce};
        pair_step(pair, i == 0, &event);
    }
    pair_log_event(pair, true);
}

static inline void pair_disconnect(struct pair *pair)
{
    if (pair->primary == NULL) return;
    for (unsigned i = 0; i < 2; i++) {
        struct session_event event = {.kind = EVENT_ENDED};
        pair_step(pair, i == 0, &event);
    }
    assert_int_equal(pair->primary->phase, PRIMARY_CLOSED);
    assert_int_equal(pair->follower->phase, FOLLOWER_CLOSED);
    progress_detach(&pair->progress, 2, pair->primary->link.key.session);
    /* What was asked for and is on its way comes in the end: a pin then goes back. */
    for (unsigned i = 0; i < pair->result_count; i++) {
        struct pair_result *result = &pair->results[i];
        if (result->effect.kind != EFFECT_PIN || pair->pin_fails) continue;
        struct session_event event = {.kind = EVENT_PINNED, .key = result->effect.key};
        pair->pins++;
        pair_step(pair, true, &event);
    }
    assert_int_equal(pair->pins, 0); /* every way out gives back what was taken */
    pair->result_count = 0;
    primary_release(pair->primary);
    follower_release(pair->follower);
    memory_free(pair->primary);
    memory_free(pair->follower);
    pair->primary = NULL;
    pair->follower = NULL;
    buffer_clear(&pair->pipes[0]);
    buffer_clear(&pair->pipes[1]);
}

static inline void pair_close(struct pair *pair)
{
    pair_disconnect(pair);
    for (unsigned i = 0; i < 2; i++) {
        epochs_release(&pair->copies[i].epochs);
        buffer_release(&pair->pipes[i]);
    }
    buffer_release(&pair->received);
    session_effects_release(&pair->effects);
}

/* --- What each end asks for --- */

static inline void pair_take_append(struct pair_copy *copy, const struct session_effect *effect)
{
    struct message_entries entries = effect->entries;
    struct lineage before = effect->before;
    struct entry entry;
    assert_int_equal(before.hash, copy->log[copy->size].lineage.hash);
    while (entries_next(&entries, before, &entry)) {
        before = entry.lineage;
        assert_int_equal(entry.lsn.at, copy->size + 1);
        assert_int_equal(entry.payload.size, PAIR_PAYLOAD_BYTES);
        pair_append(copy, entry.epoch, entry.stamp, load_le64(entry.payload.data));
        assert_int_equal(copy->log[copy->size].lineage.hash, entry.lineage.hash);
    }
}

static inline void pair_take_ack(struct pair *pair, const struct session_effect *effect)
{
    struct progress_ack ack = {effect->key.epoch, 2, effect->ack.incarnation, effect->key.session,
                               effect->ack.durable};
    assert_true(effect->ack.durable.at <= pair->copies[1].durable); /* only what is synced */
    (void)progress_ack(&pair->progress, &ack);
    if (pair->pin > 0) pair->pin = effect->ack.durable.at + 1;
}

/* Those that are carried out at once; false: the result comes later. */
static inline bool pair_now(struct pair *pair, bool primary, const struct session_effect *effect)
{
    struct pair_copy *copy = &pair->copies[1];
    if (effect->kind == EFFECT_STATE) pair->states[primary ? 0 : 1] = effect->state;
    else if (effect->kind == EFFECT_CLOSE) pair->closes[primary ? 0 : 1]++;
    else if (effect->kind == EFFECT_UNPIN) {
        assert_true(pair->pins > 0);
        pair->pins--;
        pair->pin = 0;
    } else if (effect->kind == EFFECT_ACKED) pair_take_ack(pair, effect);
    else if (effect->kind == EFFECT_IMAGE_END) pair->image_busy = false;
    else if (effect->kind == EFFECT_APPEND) pair_take_append(copy, effect);
    else if (effect->kind == EFFECT_COMMIT) {
        assert_true(effect->lsn.at <= copy->durable && effect->lsn.at >= copy->committed);
        copy->committed = copy->applied = effect->lsn.at;
    } else if (effect->kind == EFFECT_IMAGE_WRITE) {
        assert_int_equal(effect->offset, pair->received.size);
        buffer_append(&pair->received, effect->bytes);
        return false; /* stored later */
    } else return effect->kind == EFFECT_STAMP;
    return true;
}

static void pair_step(struct pair *pair, bool primary, struct session_event *event)
{
    event->now_us = pair->now_us;
    if (primary) primary_step(pair->primary, event, &pair->effects);
    else follower_step(pair->follower, event, &pair->effects);
    buffer_append(&pair->pipes[primary ? 1 : 0], buffer_bytes(&pair->effects.send));
    struct session_effects out = pair->effects; /* nothing below steps, but the copy is cheap */
    for (unsigned i = 0; i < out.count; i++) {
        if (pair_now(pair, primary, &out.at[i])) continue;
        assert_true(pair->result_count < PAIR_RESULTS_MAX);
        struct pair_result *result = &pair->results[pair->result_count++];
        *result = (struct pair_result){.to_primary = primary, .effect = out.at[i]};
        result->effect.bytes = bytes_of(NULL, out.at[i].bytes.size);
    }
}

static inline void pair_answer_facts(struct pair *pair, const struct pair_result *result,
                                     struct session_event *event)
{
    if (!result->to_primary) {
        struct message_hello hello = {.peer = bytes_text("10.0.0.2:7000"),
                                      .redis = bytes_text("10.0.0.2:6379")};
        pair_facts(&pair->copies[1], &hello.facts);
        event->hello = &hello;
        event->last_stamp = pair->copies[1].log[pair->copies[1].size].stamp;
        pair_step(pair, false, event);
        return;
    }
    struct pair_copy *copy = &pair->copies[0];
    struct recover_source source = {.strict = true, .level_least = 1, .image = pair->image};
    pair_facts(copy, &source.own);
    struct lsn common = recover_common(&source.own, &result->effect.hello->facts);
    source.has_lineage = common.at + 1 >= copy->floor;
    if (source.has_lineage) source.lineage = copy->log[common.at].lineage;
    event->source = &source;
    event->session = ++pair->sessions;
    pair_step(pair, true, event);
    pair->plan = pair->primary->plan;
    progress_attach(&pair->progress, 2, pair->copies[1].incarnation, pair->sessions);
}

static inline void pair_answer_read(struct pair *pair, const struct session_effect *effect,
                                    struct session_event *event)
{
    struct pair_copy *copy = &pair->copies[0];
    assert_true(effect->lsn.at >= copy->floor); /* held by the pin */
    uint64_t count = effect->through.at - effect->lsn.at + 1;
    uint64_t most = 1 + dice_below(&pair->dice, 6);
    event->entries = &copy->log[effect->lsn.at];
    event->entry_count = count < most ? count : most;
    pair_step(pair, true, event);
}

static inline void pair_answer_image(struct pair *pair, const struct session_effect *effect,
                                     struct session_event *event)
{
    struct pair_copy *copy = &pair->copies[0];
    if (effect->plan->kind == RECOVER_REBUILD_BASE) {
        copy->flushed = copy->applied;
        pair->image = pair_mark(copy, copy->flushed);
    }
    struct message_image image = {.mark = pair->image, .size = pair_image_size(&pair->image)};
    image.checksum = image.mark.lineage.hash;
    pair->image_busy = true;
    event->image = &image;
    pair_step(pair, true, event);
}

static inline void pair_answer_image_read(struct pair *pair, const struct session_effect *effect,
                                          struct session_event *event)
{
    struct buffer bytes;
    buffer_init(&bytes);
    const struct mark *mark = &pair->primary->image.mark;
    for (uint64_t i = 0; i < effect->size; i++)
        buffer_append_byte(&bytes, pair_image_byte(mark, effect->offset + i));
    event->image_bytes = buffer_bytes(&bytes);
    pair_step(pair, true, event);
    buffer_release(&bytes);
}

static inline void pair_install(struct pair *pair, struct session_event *event)
{
    struct pair_copy *copy = &pair->copies[1], *truth = &pair->copies[0];
    const struct mark *mark = &pair->follower->image.mark;
    assert_int_equal(pair->received.size, pair_image_size(mark));
    for (uint64_t i = 0; i < pair->received.size; i++)
        assert_int_equal(pair->received.data[i], pair_image_byte(mark, i));
    assert_int_equal(truth->log[mark->lsn.at].lineage.hash, mark->lineage.hash);
    copy->size = 0;
    epochs_cut(&copy->epochs, (struct lsn){0});
    while (copy->size < mark->lsn.at) {
        const struct entry *entry = &truth->log[copy->size + 1];
        pair_append(copy, entry->epoch, entry->stamp, load_le64(entry->payload.data));
    }
    copy->durable = copy->committed = copy->applied = copy->flushed = copy->size;
    copy->floor = copy->size + 1;
    copy->wipe = false;
    if (copy->history != truth->history) copy->promised = pair->follower->primary_epoch;
    copy->history = truth->history;
    buffer_clear(&pair->received);
    event->last = *mark;
    event->last_stamp = copy->log[copy->size].stamp;
    pair_step(pair, false, event);
}

static inline void pair_answer_cut(struct pair *pair, const struct session_effect *effect,
                                   struct session_event *event)
{
    struct pair_copy *copy = &pair->copies[1];
    uint64_t at = effect->mark.lsn.at;
    if (at > copy->size || copy->log[at].lineage.hash != effect->mark.lineage.hash)
        event->err = ERR_CORRUPT;
    else pair_cut(copy, at);
    event->last_stamp = copy->log[copy->size].stamp;
    pair_step(pair, false, event);
}

static inline void pair_answer_pin(struct pair *pair, const struct session_effect *effect,
                                   struct session_event *event)
{
    event->err = pair->pin_fails || effect->plan->pin.at < pair->copies[0].floor ? ERR_NOT_FOUND
                                                                                 : ERR_OK;
    if (event->err == ERR_OK) {
        pair->pins++;
        pair->pin = effect->plan->pin.at;
    }
    pair_step(pair, true, event);
}

static inline void pair_answer_stored(struct pair *pair, const struct session_effect *effect,
                                      struct session_event *event)
{
    const struct message_image *image = &effect->image;
    if (effect->kind == EFFECT_IMAGE_OPEN) {
        bool same = mark_equal(&pair->received_mark, &image->mark);
        if (!same) buffer_clear(&pair->received);
        pair->images_resumed += pair->received.size > 0;
        pair->received_mark = image->mark;
        event->offset = pair->received.size;
    } else {
        event->offset = effect->offset + effect->bytes.size;
    }
    pair_step(pair, false, event);
}

/* The i-th of the results that are on their way comes. */
static inline void pair_answer(struct pair *pair, unsigned i)
{
    struct pair_result result = pair->results[i];
    memmove(&pair->results[i], &pair->results[i + 1],
            (--pair->result_count - i) * sizeof pair->results[0]);
    static const enum session_event_kind kinds[SESSION_EFFECTS] = {
        [EFFECT_FACTS] = EVENT_FACTS,
        [EFFECT_PIN] = EVENT_PINNED,
        [EFFECT_READ] = EVENT_ENTRIES,
        [EFFECT_IMAGE_BEGIN] = EVENT_IMAGE,
        [EFFECT_IMAGE_READ] = EVENT_IMAGE_BYTES,
        [EFFECT_PROMISE] = EVENT_PROMISED,
        [EFFECT_CUT] = EVENT_CUT,
        [EFFECT_IMAGE_OPEN] = EVENT_IMAGE_AT,
        [EFFECT_IMAGE_WRITE] = EVENT_IMAGE_STORED,
        [EFFECT_INSTALL] = EVENT_INSTALLED,
    };
    const struct session_effect *effect = &result.effect;
    struct session_event event = {.kind = kinds[effect->kind], .key = effect->key};
    if (effect->kind == EFFECT_FACTS) pair_answer_facts(pair, &result, &event);
    if (effect->kind == EFFECT_PIN) pair_answer_pin(pair, effect, &event);
    if (effect->kind == EFFECT_READ) pair_answer_read(pair, effect, &event);
    if (effect->kind == EFFECT_IMAGE_BEGIN) pair_answer_image(pair, effect, &event);
    if (effect->kind == EFFECT_IMAGE_READ) pair_answer_image_read(pair, effect, &event);
    if (effect->kind == EFFECT_IMAGE_OPEN || effect->kind == EFFECT_IMAGE_WRITE)
        pair_answer_stored(pair, effect, &event);
    if (effect->kind == EFFECT_CUT) pair_answer_cut(pair, effect, &event);
    if (effect->kind == EFFECT_INSTALL) pair_install(pair, &event);
    if (effect->kind == EFFECT_PROMISE) {
        struct pair_copy *copy = &pair->copies[1];
        if (pair->follower->foreign) event.err = ERR_OK; /* by the log that begins then */
        else if (epoch_compare(effect->epoch, copy->promised) < 0) event.err = ERR_REFUSED;
        else copy->promised = effect->epoch;
        pair_step(pair, false, &event);
    }
}

/* Some of the bytes that are on their way to one end come. */
static inline void pair_deliver(struct pair *pair, bool primary, size_t most)
{
    struct buffer *pipe = &pair->pipes[primary ? 0 : 1];
    size_t size = pipe->size < most ? pipe->size : most;
    if (size == 0) return;
    struct buffer piece; /* exactly as large as it must be, so that a read beyond it is seen */
    buffer_init(&piece);
    (void)buffer_reserve(&piece, size);
    buffer_append(&piece, bytes_of(pipe->data, size));
    buffer_consume(pipe, size);
    struct bytes bytes = buffer_bytes(&piece);
    while (bytes.size > 0) {
        size_t before = bytes.size;
        struct session_event event = {.kind = EVENT_RECEIVED, .bytes = &bytes};
        pair_step(pair, primary, &event);
        assert_true(bytes.size < before);
    }
    buffer_release(&piece);
}

/* Both go on undisturbed until nothing moves any more. */
static inline void pair_settle(struct pair *pair)
{
    for (unsigned round = 0; round < 4000; round++) {
        bool idle = pair->result_count == 0 && pair->pipes[0].size == 0 && pair->pipes[1].size == 0;
        while (pair->result_count > 0) pair_answer(pair, 0);
        pair_deliver(pair, true, SIZE_MAX);
        pair_deliver(pair, false, SIZE_MAX);
        for (unsigned i = 0; i < 2; i++) {
            struct pair_copy *copy = &pair->copies[i];
            bool moved = copy->durable < copy->size;
            copy->durable = copy->size;
            if (moved && i == 1 && pair->follower != NULL) pair_log_event(pair, false);
        }
        uint64_t committed = pair->copies[0].committed;
        pair_commit(pair);
        if (idle && committed == pair->copies[0].committed && round > 20) return;
        pair->now_us += 100;
        if (round % 8 != 7 || pair->primary == NULL) continue;
        for (unsigned i = 0; i < 2; i++) {
            struct session_event tick = {.kind = EVENT_TICK};
            pair_step(pair, i == 0, &tick);
        }
    }
    fail_msg("they never come to rest");
}

#endif
