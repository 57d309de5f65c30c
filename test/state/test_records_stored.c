/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * Source and sink over the real store: more than its cache holds, read without waiting.
 */
#include "base/dice.h"
#include "state/state.h"
#include "test/real/help.h"

enum { KEYS = 6000, LARGE = 4000, CACHE_BYTES = 1 << 20, TEXT_BYTES = 600 };

struct stored {
    struct place_for_test place;
    struct stores *stores;
    struct store *from, *to;
    struct dice dice;
    struct digest digest;
    uint64_t pendings;
};

struct told {
    struct record_wait base;
    bool done;
};

static void tell(struct record_wait *wait)
{
    CONTAINER_OF(wait, struct told, base)->done = true;
}

static void sink_wait(struct stored *stored, struct record_sink *sink)
{
    struct told told = {.base.done = tell};
    if (!sink->ops->wait(sink, &told.base)) return;
    real_stores_settle(stored->stores);
    assert_true(told.done);
    assert_int_equal(told.base.err, ERR_OK);
}

static void source_wait(struct stored *stored, struct record_source *source)
{
    struct told told = {.base.done = tell};
    stored->pendings++;
    if (!source->ops->wait(source, &told.base)) return;
    real_stores_settle(stored->stores);
    assert_true(told.done);
    assert_int_equal(told.base.err, ERR_OK);
}

static void take_key(struct stored *stored, struct record_sink *sink, const struct record_key *key)
{
    enum err err;
    while ((err = sink->ops->key(sink, key)) == ERR_PENDING) sink_wait(stored, sink);
    if (err != ERR_OK) fail_msg("%s", sink->why.text);
}

static void take_element(struct stored *stored, struct record_sink *sink,
                         const struct record_element *element)
{
    enum err err;
    while ((err = sink->ops->element(sink, element)) == ERR_PENDING) sink_wait(stored, sink);
    if (err != ERR_OK) fail_msg("%s", sink->why.text);
}

static void take_end(struct stored *stored, struct record_sink *sink)
{
    enum err err;
    while ((err = sink->ops->end(sink)) == ERR_PENDING) sink_wait(stored, sink);
    if (err != ERR_OK) fail_msg("%s", sink->why.text);
}

static void finish(struct stored *stored, struct record_sink *sink, const struct digest *digest)
{
    enum err err;
    while ((err = state_sink_finish(sink, digest)) == ERR_PENDING) sink_wait(stored, sink);
    if (err != ERR_OK) fail_msg("%s", sink->why.text);
}

static struct store *open_store(struct stored *stored, const char *name, bool create)
{
    struct store *store = NULL;
    struct why why;
    enum err err = stored->stores->ops->open(stored->stores, place_path(&stored->place, name),
                                             create, CACHE_BYTES, &store, &why);
    if (err != ERR_OK) fail_msg("%s", why.text);
    return store;
}

static struct record_sink *open_sink(struct store *store, struct mark mark)
{
    struct state_sink_options options = {.mark = mark, .window_bytes = 512 << 10};
    struct record_sink *sink = NULL;
    struct why why;
    if (state_sink_open(&sink, store, &options, &why) != ERR_OK) fail_msg("%s", why.text);
    return sink;
}

static void fill_key(struct stored *stored, struct record_sink *sink, uint64_t number)
{
    static const enum record_type types[] = {RECORD_STRING, RECORD_LIST, RECORD_SET, RECORD_ZSET,
                                             RECORD_HASH};
    char name[32], member[32];
    uint8_t text[TEXT_BYTES];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)dice_roll(&stored->dice);
    (void)snprintf(name, sizeof name, "key%llu", (unsigned long long)number);
    struct record_key key = {.database = (uint8_t)(number % 3),
                             .type = number < 5 ? types[number] : types[number % 7 % 5],
                             .name = bytes_text(name),
                             .expires_ms = number % 5 == 0 ? 1 + dice_below(&stored->dice, 99) : 0,
                             .count = number < 5 ? LARGE : 3};
    if (key.type == RECORD_STRING) key.count = 1;
    take_key(stored, sink, &key);
    for (uint64_t i = 0; i < key.count; i++) {
        (void)snprintf(member, sizeof member, "member%llu", (unsigned long long)i);
        struct record_element element = {.first = bytes_text(member),
                                         .second = bytes_of(text, 100),
                                         .score = (double)dice_below(&stored->dice, 50)};
        if (key.type == RECORD_STRING) element.first = bytes_of(text, sizeof text);
        take_element(stored, sink, &element);
    }
    take_end(stored, sink);
}

static void carry(struct stored *stored, struct record_source *source, struct record_sink *sink)
{
    struct record_key key;
    struct record_element element;
    enum err err;
    uint64_t keys = 0;
    for (; (err = source->ops->key(source, &key)) != ERR_NOT_FOUND; keys++) {
        for (; err == ERR_PENDING; err = source->ops->key(source, &key))
            source_wait(stored, source);
        if (err == ERR_NOT_FOUND) break;
        if (err != ERR_OK) fail_msg("%s", source->why.text);
        take_key(stored, sink, &key);
        while ((err = source->ops->element(source, &element)) != ERR_NOT_FOUND) {
            if (err == ERR_OK) {
                take_element(stored, sink, &element);
            } else if (err == ERR_PENDING) {
                source_wait(stored, source);
            } else {
                fail_msg("%s", source->why.text);
            }
        }
        take_end(stored, sink);
    }
    assert_int_equal(keys, KEYS);
}

static void recounts(struct stored *stored, struct store *store)
{
    struct state_recount recount;
    struct why why;
    if (state_recount(store, NULL, &recount, &why) != ERR_OK) fail_msg("%s", why.text);
    assert_true(digest_equal(recount.recounted, stored->digest));
    assert_int_equal(recount.keys, KEYS);
}

TEST(state_records_stored, a_cold_view_is_carried_over_whole_while_its_store_is_emptied)
{
    struct stored stored = {.pendings = 0};
    dice_init(&stored.dice, 7);
    place_make(&stored.place, "/tmp");
    real_stores_open(&stored.stores, NULL);
    stored.from = open_store(&stored, "from", true);
    struct record_sink *sink = open_sink(stored.from, (struct mark){.lsn = {9}});
    for (uint64_t i = 0; i < KEYS; i++) fill_key(&stored, sink, i);
    finish(&stored, sink, NULL);
    stored.digest = state_sink_digest(sink);
    state_sink_close(sink);
    recounts(&stored, stored.from);
    stored.from->ops->close(stored.from);
    stored.from = open_store(&stored, "from", false);
    struct store_view *view = stored.from->ops->view_open(stored.from);
    struct store_item all = del_range("A", "Z");
    assert_int_equal(flush_items(stored.stores, stored.from, &all, 1), ERR_OK);
    struct record_source *source = state_source_open(stored.from, view, STORE_NO_WAIT);
    const struct state_facts *facts;
    enum err err;
    while ((err = state_source_facts(source, &facts)) == ERR_PENDING) source_wait(&stored, source);
    assert_int_equal(err, ERR_OK);
    assert_true(digest_equal(facts->digest, stored.digest));
    stored.to = open_store(&stored, "to", true);
    sink = open_sink(stored.to, facts->mark);
    carry(&stored, source, sink);
    finish(&stored, sink, &stored.digest);
    assert_true(stored.pendings > 10);
    state_source_close(source);
    state_sink_close(sink);
    stored.from->ops->view_close(stored.from, view);
    recounts(&stored, stored.to);
    stored.from->ops->close(stored.from);
    stored.to->ops->close(stored.to);
    real_stores_close(stored.stores);
    place_remove(&stored.place);
}
