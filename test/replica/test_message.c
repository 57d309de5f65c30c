/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of frame against its vector, both ways; then whatever a vector is not. */
#include "replica/message.h"

#include "replica/frame.h"
#include "test/log/vectors.h"
#include "test/replica/rewrite.h"

#define VECTORS "docs/formats/vectors/session.txt"

static struct mark mark_of(const struct vector *vector, const char *key)
{
    struct mark mark;
    assert_int_equal(mark_parse(bytes_text(vector_text(vector, key)), &mark), ERR_OK);
    return mark;
}

static struct lsn lsn_of(const struct vector *vector, const char *key)
{
    return (struct lsn){vector_number(vector, key)};
}

static void bytes_field(const struct vector *vector, const char *key, struct buffer *out)
{
    hex_take(vector_text(vector, key), out);
}

static void put_challenge(const struct vector *vector, struct buffer *out)
{
    struct message_challenge message = {.role = (enum message_role)vector_number(vector, "role"),
                                        .level = (uint32_t)vector_number(vector, "level"),
                                        .copy = vector_number(vector, "copy")};
    struct buffer nonce;
    buffer_init(&nonce);
    bytes_field(vector, "nonce", &nonce);
    memcpy(message.nonce, nonce.data, sizeof message.nonce);
    buffer_release(&nonce);
    challenge_put(out, &message);
}

static void put_proof(const struct vector *vector, struct buffer *out)
{
    bytes_field(vector, "proof", out);
}

static void put_hello(const struct vector *vector, struct buffer *out)
{
    struct epoch_start epochs[4];
    size_t count = 0;
    const char *text = vector_text(vector, "epochs");
    while (*text != '\0') {
        uint64_t numbers[4];
        for (unsigned i = 0; i < 4; i++) {
            char *rest;
            numbers[i] = strtoull(text, &rest, 10);
            text = rest;
        }
        epochs[count++] = (struct epoch_start){{numbers[0], numbers[1]}, {numbers[2]}, numbers[3]};
    }
    struct message_hello message = {
        .facts = {.level = (uint32_t)vector_number(vector, "level"),
                  .wipe = vector_number(vector, "wipe") == 1,
                  .copy = vector_number(vector, "copy"),
                  .incarnation = vector_number(vector, "incarnation"),
                  .promised = {vector_number(vector, "promised_number"),
                               vector_number(vector, "promised_copy")},
                  .last = mark_of(vector, "last"),
                  .floor = lsn_of(vector, "floor"),
                  .durable = lsn_of(vector, "durable"),
                  .committed = lsn_of(vector, "committed"),
                  .applied = lsn_of(vector, "applied"),
                  .applied_lineage = {vector_hex(vector, "applied_lineage")},
                  .flushed = lsn_of(vector, "flushed"),
                  .epochs = {epochs, count}},
        .digest = {vector_hex(vector, "digest_low"), vector_hex(vector, "digest_high")},
        .peer = bytes_text(vector_text(vector, "peer")),
        .redis = bytes_text(vector_text(vector, "redis"))};
    hello_put(out, &message);
}

static void put_verdict(const struct vector *vector, struct buffer *out)
{
    struct message_verdict message = {
        .plan = {.kind = (enum recover_kind)vector_number(vector, "kind"),
                 .rule = (enum recover_rule)vector_number(vector, "rule"),
                 .refusal = (enum recover_refusal)vector_number(vector, "refusal"),
                 .common = mark_of(vector, "common"),
                 .from = lsn_of(vector, "from"),
                 .target = lsn_of(vector, "target"),
                 .image = mark_of(vector, "image"),
                 .pin = lsn_of(vector, "pin"),
                 .head = lsn_of(vector, "head"),
                 .floor = lsn_of(vector, "floor"),
                 .replica_last = lsn_of(vector, "replica_last"),
                 .replica_committed = lsn_of(vector, "replica_committed")}};
    verdict_put(out, &message);
}

static void put_entries(const struct vector *vector, struct buffer *out)
{
    struct entry entries[4];
    struct buffer payloads[4];
    size_t count = 0;
    for (size_t i = 0; i < vector->fields; i++) {
        if (strcmp(vector->keys[i], "entry") != 0) continue;
        char *at = vector->values[i];
        struct entry *entry = &entries[count];
        *entry = (struct entry){.lsn = {vector_number(vector, "first") + count},
                                .epoch = {vector_number(vector, "entry_epoch_number"),
                                          vector_number(vector, "entry_epoch_copy")}};
        entry->stamp.bits = strtoull(at, &at, 16);
        entry->lineage.hash = strtoull(at, &at, 16);
        buffer_init(&payloads[count]);
        hex_take(at + 1, &payloads[count]);
        entry->payload = buffer_bytes(&payloads[count++]);
    }
    entries_put(out, entries, count, (struct lineage){vector_hex(vector, "before")});
    assert_int_equal(entries[count - 1].lineage.hash, vector_hex(vector, "last"));
    for (size_t i = 0; i < count; i++) buffer_release(&payloads[i]);
}

static void put_ack(const struct vector *vector, struct buffer *out)
{
    struct message_ack message = {vector_number(vector, "incarnation"), lsn_of(vector, "durable"),
                                  lsn_of(vector, "applied"), lsn_of(vector, "flushed")};
    ack_put(out, &message);
}

static void put_watermarks(const struct vector *vector, struct buffer *out)
{
    struct message_watermarks message = {
        .durable = lsn_of(vector, "durable"),
        .committed = lsn_of(vector, "committed"),
        .floor = lsn_of(vector, "floor"),
        .mode = (enum commit_mode)vector_number(vector, "mode"),
        .min_in_sync = (unsigned)vector_number(vector, "min_in_sync")};
    const char *text = vector_text(vector, "copies");
    while (*text != '\0') {
        char *rest;
        message.copies[message.copy_count].id = strtoull(text, &rest, 10);
        message.copies[message.copy_count++].counts = strtoull(rest, &rest, 10) == 1;
        text = rest;
    }
    watermarks_put(out, &message);
}

static void put_image(const struct vector *vector, struct buffer *out)
{
    struct message_image message = {mark_of(vector, "mark"), vector_number(vector, "size"),
                                    vector_hex(vector, "checksum")};
    image_put(out, &message);
}

static void put_chunk(const struct vector *vector, struct buffer *out)
{
    struct buffer bytes;
    buffer_init(&bytes);
    bytes_field(vector, "bytes", &bytes);
    chunk_put(out, &(struct message_chunk){vector_number(vector, "offset"), buffer_bytes(&bytes)});
    buffer_release(&bytes);
}

static void put_image_ack(const struct vector *vector, struct buffer *out)
{
    image_ack_put(
        out, &(struct message_image_ack){lsn_of(vector, "lsn"), vector_number(vector, "offset")});
}

static void put_request(const struct vector *vector, struct buffer *out)
{
    promise_request_put(out, &(struct promise_request){{vector_number(vector, "promise_number"),
                                                        vector_number(vector, "promise_copy")},
                                                       vector_number(vector, "candidate"),
                                                       vector_number(vector, "only_asks") == 1});
}

static void put_answer(const struct vector *vector, struct buffer *out)
{
    struct promise_answer message = {.copy = vector_number(vector, "copy"),
                                     .incarnation = vector_number(vector, "incarnation"),
                                     .granted = vector_number(vector, "granted") == 1,
                                     .vouches = vector_number(vector, "vouches") == 1,
                                     .leads = vector_number(vector, "leads") == 1,
                                     .promised = {vector_number(vector, "promised_number"),
                                                  vector_number(vector, "promised_copy")},
                                     .last = mark_of(vector, "last"),
                                     .durable = lsn_of(vector, "durable"),
                                     .committed = lsn_of(vector, "committed")};
    promise_answer_put(out, &message);
}

static void put_stamp(const struct vector *vector, struct buffer *out)
{
    struct message_stamp message = {
        mark_of(vector, "mark"),
        {vector_hex(vector, "digest_low"), vector_hex(vector, "digest_high")}};
    stamp_put(out, &message);
}

static void put_ping(const struct vector *vector, struct buffer *out)
{
    (void)vector;
    (void)out;
}

static void put_bye(const struct vector *vector, struct buffer *out)
{
    bye_put(out, &(struct message_bye){(enum bye_reason)vector_number(vector, "reason"),
                                       bytes_text(vector_text(vector, "text"))});
}

static void (*const puts_of[FRAME_TYPES])(const struct vector *vector, struct buffer *out) = {
    [FRAME_CHALLENGE] = put_challenge,
    [FRAME_PROOF] = put_proof,
    [FRAME_HELLO] = put_hello,
    [FRAME_VERDICT] = put_verdict,
    [FRAME_ENTRIES] = put_entries,
    [FRAME_ACK] = put_ack,
    [FRAME_WATERMARKS] = put_watermarks,
    [FRAME_IMAGE_OFFER] = put_image,
    [FRAME_IMAGE_CHUNK] = put_chunk,
    [FRAME_IMAGE_DONE] = put_image,
    [FRAME_IMAGE_ACK] = put_image_ack,
    [FRAME_PROMISE_REQUEST] = put_request,
    [FRAME_PROMISE_ANSWER] = put_answer,
    [FRAME_STAMP] = put_stamp,
    [FRAME_PING] = put_ping,
    [FRAME_BYE] = put_bye,
};

TEST(replica_message, frames_are_written_and_read_as_the_vectors_say)
{
    struct vector vector;
    bool seen[FRAME_TYPES] = {false};
    vector_open(&vector, VECTORS);
    while (vector_next(&vector)) {
        struct frame_head head = {
            .type = (enum frame_type)vector_number(&vector, "type"),
            .shard = (uint32_t)vector_number(&vector, "shard"),
            .cluster = vector_hex(&vector, "cluster"),
            .epoch = {vector_number(&vector, "epoch_number"), vector_number(&vector, "epoch_copy")},
            .session = vector_number(&vector, "session")};
        struct buffer out;
        buffer_init(&out);
        size_t begin = frame_begin(&out);
        puts_of[head.type](&vector, &out);
        frame_seal(&out, begin, &head);
        assert_int_equal(out.size, vector.bytes.size);
        assert_memory_equal(out.data, vector.bytes.data, out.size);
        struct frame_reader reader;
        struct frame frame;
        struct bytes in = buffer_bytes(&vector.bytes);
        frame_reader_init(&reader);
        assert_int_equal(frame_take(&reader, &in, &frame, NULL), ERR_OK);
        assert_int_equal(in.size, 0);
        buffer_clear(&out);
        begin = frame_begin(&out);
        assert_int_equal(rewrite_message(head.type, frame.payload, &out), ERR_OK);
        frame_seal(&out, begin, &frame.head);
        assert_int_equal(out.size, vector.bytes.size);
        assert_memory_equal(out.data, vector.bytes.data, out.size);
        seen[head.type] = true;
        frame_reader_release(&reader);
        buffer_release(&out);
    }
    vector_close(&vector);
    for (unsigned type = 1; type < FRAME_TYPES; type++) assert_true(seen[type]);
}

/* A payload that was cut, grown or changed is refused, or means what it says. */
static void damage(const struct vector *vector, enum frame_type type)
{
    struct bytes payload = bytes_of(vector->bytes.data + FRAME_HEADER_BYTES,
                                    vector->bytes.size - FRAME_HEADER_BYTES);
    struct buffer copy, out;
    buffer_init(&out);
    for (size_t size = 0; size <= payload.size + 1; size++) {
        if (size == payload.size) continue;
        buffer_init(&copy); /* its own storage: a read beyond it is seen */
        if (size > 0) memset(buffer_reserve(&copy, size), 0, size);
        size_t kept = size < payload.size ? size : payload.size;
        if (kept > 0) memcpy(copy.data, payload.data, kept);
        copy.size = size;
        buffer_clear(&out);
        enum err err = rewrite_message(type, buffer_bytes(&copy), &out);
        assert_true(err == ERR_PROTOCOL || bytes_equal(buffer_bytes(&out), buffer_bytes(&copy)));
        buffer_release(&copy);
    }
    buffer_init(&copy);
    for (size_t bit = 0; bit < payload.size * 8; bit++) {
        buffer_clear(&copy);
        buffer_clear(&out);
        buffer_append(&copy, payload);
        copy.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum err err = rewrite_message(type, buffer_bytes(&copy), &out);
        bool noticed = err == ERR_PROTOCOL || err == ERR_CORRUPT;
        assert_true(noticed || bytes_equal(buffer_bytes(&out), buffer_bytes(&copy)));
    }
    buffer_release(&copy);
    buffer_release(&out);
}

TEST(replica_message, what_is_read_is_written_again_as_the_same_bytes_or_it_is_refused)
{
    struct vector vector;
    vector_open(&vector, VECTORS);
    while (vector_next(&vector)) {
        enum frame_type type = (enum frame_type)vector_number(&vector, "type");
        if (type != FRAME_PROOF && type != FRAME_PING) damage(&vector, type);
    }
    vector_close(&vector);
}
