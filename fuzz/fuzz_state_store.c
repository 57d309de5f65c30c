/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The keys machine over a store with any records in it: opening, reads, writes, clean-up, a flush,
 * a recount and a walk over its keys end with an answer or an error, never with a broken promise.
 * What such a walk gives without an error makes an equal store.
 *
 * Input: records of {key size u8, value size u16 le, key, value}. A record `M` gets the history
 * that is asked for and a right checksum, or no input would get past it.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/checksum.h"
#include "test/state/carry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { META_HISTORY_AT = 1, META_BYTES_MIN = 80 };

struct fuzz_run {
    struct store_run run;
    struct buffer key, value;
    bool given;
};

static bool one_item(struct store_run *base, struct store_item *item)
{
    struct fuzz_run *run = CONTAINER_OF(base, struct fuzz_run, run);
    if (run->given) return false;
    run->given = true;
    *item = (struct store_item){STORE_PUT, buffer_bytes(&run->key), buffer_bytes(&run->value)};
    return true;
}

static void repair_meta(struct buffer *value)
{
    if (value->size < META_BYTES_MIN) return;
    memset(value->data + META_HISTORY_AT, 0, 16);
    value->data[META_HISTORY_AT] = 7;
    size_t body = value->size - 8;
    store_le64(value->data + body, checksum64(bytes_of(value->data, body), 0));
}

static void put(struct memory_store *store, struct bytes key, struct bytes value)
{
    struct fuzz_run run = {.run.next = one_item};
    buffer_init(&run.key);
    buffer_init(&run.value);
    buffer_append(&run.key, key);
    buffer_append(&run.value, value);
    if (key.size == 1 && key.data[0] == 'M') repair_meta(&run.value);
    if (key.size > 0) apply_run(store, &run.run);
    buffer_release(&run.key);
    buffer_release(&run.value);
}

static void fill(struct memory_store *store, const uint8_t *data, size_t size)
{
    while (size >= 3) {
        size_t key = data[0], value = load_le16(data + 1);
        data += 3;
        size -= 3;
        if (key > size) key = size;
        if (value > size - key) value = size - key;
        put(store, bytes_of(data, key), bytes_of(data + key, value));
        data += key + value;
        size -= key + value;
    }
}

static void drive(struct bed *bed)
{
    static const char *const reads[] = {
        "GET s",        "HGETALL h",   "HGET h f",   "ZRANGE z 0 5",    "ZREVRANGE z 0 5",
        "LRANGE l 0 5", "LINDEX l -1", "SMEMBERS x", "SRANDMEMBER x 3", "KEYS *",
        "SCAN 0",       "DBSIZE",      "RANDOMKEY",  "DEBUG OBJECT h",  "OBSERVE s h"};
    static const char *const writes[] = {"APPEND s x", "HSET h f v",  "HDEL h f g",   "ZADD z 1 a",
                                         "ZPOPMIN z",  "RPUSH l x",   "LPOP l",       "SADD x a",
                                         "SPOP x",     "RENAME h h2", "DEL z l x h2", "SWAPDB 0 1",
                                         "FLUSHALL"};
    struct buffer payload;
    buffer_init(&payload);
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        struct outcome outcome = {.reply = reply_nobody()};
        buffer_clear(&payload);
        bed_payload(&payload, 0, reads[i]);
        struct query query = {.payload = buffer_bytes(&payload), .final_expiry = true};
        (void)bed->machine->ops->query(bed->machine, &query, &outcome);
    }
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        struct outcome outcome = {.reply = reply_nobody()};
        buffer_clear(&payload);
        bed_payload(&payload, 0, writes[i]);
        struct mark mark = bed->machine->ops->applied(bed->machine);
        struct entry entry = {.lsn = lsn_next(mark.lsn),
                              .epoch = mark.epoch,
                              .stamp = bed->machine->ops->stamp(bed->machine),
                              .payload = buffer_bytes(&payload)};
        (void)bed->machine->ops->apply(bed->machine, &entry, 0, &outcome);
    }
    buffer_release(&payload);
}

/* What is not of one piece is refused on the way; else the copy has the digest of the store. */
static void copy(struct memory_store *from)
{
    struct memory_store to;
    memory_store_init(&to, 1);
    struct record_source *source = state_source_open(&from->base, NULL, STORE_NO_WAIT);
    const struct state_facts *facts = NULL;
    struct record_sink *sink = NULL;
    enum err err = state_source_facts(source, &facts);
    if (err == ERR_OK) {
        struct state_sink_options options = {
            .mark = facts->mark, .stamp = facts->stamp, .window_bytes = 512};
        err = state_sink_open(&sink, &to.base, &options, NULL);
    }
    if (err == ERR_OK) err = carry_all(from, source, &to, sink, true);
    if (err == ERR_OK) MUST(carry_finish(&to, sink, &facts->digest) == ERR_OK);
    if (err != ERR_OK) MUST(memory_store_count(&to, 'M') == 0);
    state_source_close(source);
    memory_store_crash(&to);
    state_sink_close(sink);
    memory_store_release(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bed bed = {.cache_bytes = 1 << 20};
    struct state_options options = {.history = {.id = {7}}, .cache_bytes = 1 << 20};
    memory_store_init(&bed.store, 1);
    buffer_init(&bed.reply);
    buffer_init(&bed.events);
    fill(&bed.store, data, size);
    copy(&bed.store);
    struct why why;
    struct state_recount recount;
    (void)state_recount(&bed.store.base, NULL, &recount, &why);
    enum err err = state_open(&bed.machine, &bed.store.base, NULL, &options, NULL, &why);
    if (err == ERR_OK) {
        drive(&bed);
        for (unsigned i = 0; i < 100 && bed.machine->ops->tidy(bed.machine); i++) continue;
        struct buffer proposals;
        buffer_init(&proposals);
        (void)bed.machine->ops->due(bed.machine, stamp_of_ms(UINT64_C(1) << 47), 8, &proposals);
        buffer_release(&proposals);
        (void)bed_flush(&bed);
        (void)state_recount(&bed.store.base, NULL, &recount, &why);
        bed_release(&bed);
    } else {
        memory_store_release(&bed.store);
    }
    return 0;
}
