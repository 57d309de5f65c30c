/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <math.h>
#include <stdio.h>

#include "test/state/carry.h"
#include "test/state/keyspace.h"

enum { WINDOW_BYTES = 4096 };

static const struct epoch_start epochs[] = {{{1, 1}, {1}, 0}, {{2, 9}, {500}, 77}};

static struct state_sink_options options_of(const struct mark *mark)
{
    return (struct state_sink_options){.mark = *mark,
                                       .stamp = {UINT64_C(1700000000000) << 16},
                                       .effects = {.on = true, .database = 3, .end = 100},
                                       .epochs = epochs,
                                       .epoch_count = 2,
                                       .window_bytes = WINDOW_BYTES};
}

static struct record_sink *open_sink(struct memory_store *store)
{
    struct mark mark = {.history = {.id = {7}}, .epoch = {2, 9}, .lsn = {700}, .lineage = {5}};
    struct state_sink_options options = options_of(&mark);
    struct record_sink *sink = NULL;
    struct why why;
    assert_int_equal(state_sink_open(&sink, &store->base, &options, &why), ERR_OK);
    return sink;
}

/* A machine over a store that a sink has filled. */
static void bed_over(struct bed *bed, struct memory_store *store)
{
    *bed = (struct bed){.cache_bytes = 1 << 20, .now_ms = 1700000000000, .store = *store};
    list_init(&bed->store.warms);
    buffer_init(&bed->reply);
    buffer_init(&bed->events);
    bed->machine = open_machine(bed);
}

static struct record_key key_of(const char *name, enum record_type type, uint64_t count)
{
    return (struct record_key){.type = type, .name = bytes_text(name), .count = count};
}

static enum err take(struct memory_store *store, struct record_sink *sink, const char *element)
{
    struct record_element one = {.first = bytes_text(element), .second = bytes_text("value")};
    return carry_take_element(store, sink, &one);
}

/* A key of one element. */
static enum err take_one(struct memory_store *store, struct record_sink *sink,
                         const struct record_key *key)
{
    enum err err = carry_take_key(store, sink, key);
    if (err == ERR_OK) err = take(store, sink, "text");
    return err == ERR_OK ? carry_take_end(store, sink) : err;
}

/* --- There and back --- */

static void carry_keyspace(uint64_t seed, bool origins, unsigned pending_of)
{
    struct bed from, to;
    struct dice dice;
    struct memory_store store;
    bed_init(&from, seed);
    dice_init(&dice, seed);
    keyspace_grow(&from, &dice, 250);
    struct digest digest = bed_digest(&from);
    struct mark mark = from.machine->ops->applied(from.machine);
    memory_store_init(&store, seed);
    store.run_at_once = seed % 2 == 0;
    struct state_sink_options options = options_of(&mark);
    options.epoch_count = 0;
    struct record_sink *sink;
    struct why why;
    assert_int_equal(state_sink_open(&sink, &store.base, &options, &why), ERR_OK);
    from.store.pending_of = store.pending_of = pending_of;
    struct record_source *source = state_source_open(&from.store.base, NULL, STORE_NO_WAIT);
    assert_int_equal(carry_all(&from.store, source, &store, sink, origins), ERR_OK);
    assert_int_equal(carry_finish(&store, sink, origins ? &digest : NULL), ERR_OK);
    assert_true(digest_equal(state_sink_digest(sink), digest) == origins);
    struct digest taken = state_sink_digest(sink);
    assert_true(store.flushes > 5);
    state_source_close(source);
    state_sink_close(sink);
    from.store.pending_of = store.pending_of = 0;
    bed_over(&to, &store);
    struct mark got = to.machine->ops->applied(to.machine);
    assert_true(mark_equal(&got, &mark));
    assert_true(digest_equal(bed_digest(&to), taken));
    assert_true(bed_recounts(&to));
    to.now_ms = from.now_ms;
    for (uint8_t i = 0; i < KEYSPACE_DATABASES; i++) assert_true(keyspace_same(&from, &to, i));
    bed_release(&from);
    bed_release(&to);
}

TEST(state_sink, a_keyspace_with_its_origins_arrives_with_equal_digest_and_answers)
{
    for (uint64_t seed = 1; seed <= 8; seed++) carry_keyspace(seed, true, 0);
}

TEST(state_sink, a_keyspace_without_origins_arrives_with_equal_answers)
{
    for (uint64_t seed = 1; seed <= 4; seed++) carry_keyspace(seed, false, 0);
}

TEST(state_sink, pending_reads_change_nothing_of_what_arrives)
{
    for (uint64_t seed = 1; seed <= 4; seed++) carry_keyspace(seed, seed % 2 == 0, 2);
}

TEST(state_sink, the_machine_goes_on_where_the_mark_says)
{
    struct memory_store store;
    struct bed bed;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("h", RECORD_HASH, 2);
    key.database = 3;
    key.expires_ms = 1700000005000;
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
    assert_int_equal(take(&store, sink, "a"), ERR_OK);
    assert_int_equal(take(&store, sink, "b"), ERR_OK);
    assert_int_equal(carry_take_end(&store, sink), ERR_OK);
    assert_int_equal(carry_finish(&store, sink, NULL), ERR_OK);
    struct state_sink_progress progress = state_sink_progress(sink);
    assert_int_equal(progress.keys, 1);
    assert_int_equal(progress.elements, 2);
    assert_int_equal(progress.bytes, 1 + 2 * 6);
    state_sink_close(sink);
    bed_over(&bed, &store);
    assert_int_equal(bed_applied(&bed), 700);
    bed.count = 700; /* entries before it are nobody's here */
    bed.entries = memory_zeroed(700, sizeof *bed.entries);
    bed.capacity = 700;
    struct buffer payload;
    buffer_init(&payload);
    bed_payload(&payload, 3, "HSET h a new c 3");
    struct entry entry = next_entry(&bed, buffer_bytes(&payload));
    entry.epoch = (struct epoch){2, 9};
    assert_int_equal(apply_all(&bed, &entry), ERR_OK);
    buffer_release(&payload);
    assert_string_equal(bed_read_in(&bed, 3, "HLEN h"), "3");
    assert_string_equal(bed_read_in(&bed, 3, "HGET h b"), "\"value\"");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    struct record_source *source = state_source_open(&bed.store.base, NULL, STORE_WAIT);
    const struct state_facts *facts;
    assert_int_equal(state_source_facts(source, &facts), ERR_OK);
    assert_int_equal(facts->epoch_count, 2);
    assert_int_equal(facts->epochs[1].first.at, 500);
    assert_int_equal(facts->epochs[1].epoch.copy, 9);
    assert_int_equal(facts->epochs[1].stream_offset, 77);
    assert_true(facts->effects.on && facts->effects.first == 100);
    assert_true(facts->effects.end > 100); /* the entry is in it */
    state_source_close(source);
    struct buffer due;
    buffer_init(&due);
    assert_int_equal(bed.machine->ops->due(bed.machine, stamp_of_ms(1700000006000), 8, &due), 1);
    buffer_release(&due);
    bed_release(&bed);
}

/* --- What is not whole is not taken for whole --- */

TEST(state_sink, a_store_without_its_end_is_refused)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    char name[32];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "key%u", i);
        struct record_key key = key_of(name, RECORD_STRING, 1);
        assert_int_equal(take_one(&store, sink, &key), ERR_OK);
    }
    assert_true(store.flushes > 2);
    assert_int_equal(memory_store_count(&store, 'M'), 0);
    memory_store_crash(&store);
    state_sink_close(sink);
    struct machine *machine;
    struct state_options options = {.history = {.id = {7}}, .cache_bytes = 1 << 20};
    struct state_sink_options again = options_of(&(struct mark){.lsn = {1}});
    struct state_recount recount;
    struct why why;
    assert_int_equal(state_open(&machine, &store.base, NULL, &options, NULL, &why), ERR_CORRUPT);
    assert_null(machine);
    assert_int_equal(state_recount(&store.base, NULL, &recount, &why), ERR_NOT_FOUND);
    assert_int_equal(state_sink_open(&sink, &store.base, &again, &why), ERR_REFUSED);
    assert_null(sink);
    memory_store_release(&store);
}

TEST(state_sink, a_mark_of_nothing_is_refused)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct state_sink_options options = options_of(&(struct mark){.history = {.id = {7}}});
    struct record_sink *sink;
    struct why why;
    assert_int_equal(state_sink_open(&sink, &store.base, &options, &why), ERR_REFUSED);
    memory_store_release(&store);
}

TEST(state_sink, another_digest_than_was_told_ends_without_a_meta_record)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("s", RECORD_STRING, 1);
    assert_int_equal(take_one(&store, sink, &key), ERR_OK);
    struct digest digest = state_sink_digest(sink);
    digest.low++;
    assert_int_equal(carry_finish(&store, sink, &digest), ERR_CORRUPT);
    assert_int_equal(carry_finish(&store, sink, NULL), ERR_CORRUPT); /* it stays so */
    assert_int_equal(memory_store_count(&store, 'M'), 0);
    state_sink_close(sink);
    memory_store_release(&store);
}

TEST(state_sink, a_flush_that_fails_ends_it)
{
    for (unsigned at_end = 0; at_end < 2; at_end++) {
        struct memory_store store;
        memory_store_init(&store, 1);
        struct record_sink *sink = open_sink(&store);
        struct record_key key = key_of("l", RECORD_LIST, 1000);
        assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
        if (at_end == 0) store.flush_fails = ERR_SPACE;
        enum err err = ERR_OK;
        for (unsigned i = 0; i < 1000 && err == ERR_OK; i++) err = take(&store, sink, "item");
        if (at_end == 1) {
            assert_int_equal(err, ERR_OK);
            assert_int_equal(carry_take_end(&store, sink), ERR_OK);
            store.flush_fails = ERR_SPACE;
            err = carry_finish(&store, sink, NULL);
        }
        assert_int_equal(err, ERR_SPACE);
        assert_int_equal(memory_store_count(&store, 'M'), 0);
        state_sink_close(sink);
        memory_store_release(&store);
    }
}

TEST(state_sink, a_meta_record_that_does_not_read_back_is_an_error)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    assert_int_equal(state_sink_finish(sink, NULL), ERR_PENDING);
    carry_await(&store, sink);
    assert_int_equal(store.count, 1);
    store.items[0].value.data[20] ^= 1;
    assert_int_equal(state_sink_finish(sink, NULL), ERR_CORRUPT);
    state_sink_close(sink);
    memory_store_release(&store);
}

TEST(state_sink, nothing_is_taken_while_a_window_is_flushed)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("l", RECORD_LIST, 1000);
    struct record_element element = {.first = bytes_text("item")};
    assert_int_equal(sink->ops->key(sink, &key), ERR_OK);
    uint64_t taken = 0;
    while (sink->ops->element(sink, &element) == ERR_OK) taken++;
    assert_true(taken > 10 && taken < 200);
    assert_non_null(store.flush);
    assert_int_equal(sink->ops->element(sink, &element), ERR_PENDING);
    assert_int_equal(state_sink_finish(sink, NULL), ERR_PENDING);
    assert_int_equal(state_sink_progress(sink).elements, taken);
    assert_true(memory_store_step(&store));
    struct carry_wait wait = {.base.done = carry_done};
    assert_false(sink->ops->wait(sink, &wait.base)); /* it is over already */
    assert_int_equal(sink->ops->element(sink, &element), ERR_OK);
    state_sink_close(sink);
    memory_store_release(&store);
}

TEST(state_sink, a_look_that_memory_does_not_answer_waits_in_the_end)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("l", RECORD_LIST, 300), next = key_of("s", RECORD_STRING, 1);
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
    for (unsigned i = 0; i < 300; i++) assert_int_equal(take(&store, sink, "item"), ERR_OK);
    assert_int_equal(carry_take_end(&store, sink), ERR_OK);
    store.pending_of = 1; /* all */
    store.pendings = 0;
    assert_int_equal(carry_take_key(&store, sink, &next), ERR_OK);
    assert_true(store.pendings > 2);
    assert_true(store.wants == store.pendings);
    state_sink_close(sink);
    memory_store_release(&store);
}

/* --- What cannot be --- */

/* A list so long that several flushes come. */
static void push_out(struct memory_store *store, struct record_sink *sink)
{
    struct record_key key = key_of("filler", RECORD_LIST, 300);
    assert_int_equal(carry_take_key(store, sink, &key), ERR_OK);
    for (unsigned i = 0; i < 300; i++) assert_int_equal(take(store, sink, "item"), ERR_OK);
    assert_int_equal(carry_take_end(store, sink), ERR_OK);
}

TEST(state_sink, a_key_that_comes_twice_is_refused_by_name)
{
    for (unsigned flushed = 0; flushed < 2; flushed++) {
        struct memory_store store;
        memory_store_init(&store, 1);
        struct record_sink *sink = open_sink(&store);
        struct record_key key = key_of("twin", RECORD_STRING, 1);
        assert_int_equal(take_one(&store, sink, &key), ERR_OK);
        if (flushed == 1) push_out(&store, sink);
        key.database = 1; /* another key */
        assert_int_equal(take_one(&store, sink, &key), ERR_OK);
        key.database = 0;
        assert_int_equal(carry_take_key(&store, sink, &key), ERR_EXISTS);
        assert_string_equal(sink->why.text, "key 'twin': it was given before");
        key.name = bytes_text("other");
        assert_int_equal(carry_take_key(&store, sink, &key), ERR_EXISTS); /* it stays so */
        assert_int_equal(carry_finish(&store, sink, NULL), ERR_EXISTS);
        state_sink_close(sink);
        memory_store_release(&store);
    }
}

TEST(state_sink, a_member_that_comes_twice_is_refused_by_the_name_of_its_key)
{
    static const enum record_type types[] = {RECORD_SET, RECORD_HASH, RECORD_ZSET};
    for (unsigned i = 0; i < 6; i++) {
        struct memory_store store;
        memory_store_init(&store, 1);
        struct record_sink *sink = open_sink(&store);
        struct record_key key = key_of("twins", types[i / 2], 1000);
        assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
        unsigned between = i % 2 == 0 ? 5 : 300; /* the first is flushed by then */
        char name[32];
        for (unsigned j = 0; j < between; j++) {
            snprintf(name, sizeof name, "member%u", j);
            assert_int_equal(take(&store, sink, name), ERR_OK);
        }
        assert_true((store.flushes > 1) == (i % 2 == 1));
        assert_int_equal(take(&store, sink, "member0"), ERR_EXISTS);
        assert_string_equal(sink->why.text, "key 'twins': it has a member twice");
        state_sink_close(sink);
        memory_store_release(&store);
    }
}

static void refuses(const struct record_key *key, enum err expected)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    assert_int_equal(carry_take_key(&store, sink, key), expected);
    if (expected != ERR_OK) assert_non_null(strstr(sink->why.text, "key 'k?'"));
    state_sink_close(sink);
    memory_store_release(&store);
}

TEST(state_sink, keys_that_cannot_be_are_refused)
{
    struct record_key good = key_of("k\n", RECORD_STRING, 1), bad = good;
    refuses(&good, ERR_OK);
    bad.count = 2;
    refuses(&bad, ERR_PROTOCOL);
    bad = good;
    bad.database = 16;
    refuses(&bad, ERR_LIMIT);
    bad = good;
    bad.type = (enum record_type)9;
    refuses(&bad, ERR_PROTOCOL);
    bad = good;
    bad.expires_ms = UINT64_MAX;
    refuses(&bad, ERR_LIMIT);
    bad = key_of("k\n", RECORD_LIST, UINT64_MAX);
    refuses(&bad, ERR_LIMIT);
    bad = key_of("k\n", RECORD_LIST, 5);
    bad.origin = (struct record_origin){.version_lsn = 1, .head = INT64_MAX};
    refuses(&bad, ERR_LIMIT);
    bad = good;
    bad.origin = (struct record_origin){.version_lsn = 701};
    refuses(&bad, ERR_PROTOCOL);
    bad.origin = (struct record_origin){.version_lsn = 1, .changed_lsn = 701};
    refuses(&bad, ERR_PROTOCOL);
}

TEST(state_sink, origins_are_of_all_keys_or_of_none_and_no_two_collections_share_one)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("a", RECORD_SET, 1);
    key.origin = (struct record_origin){.version_lsn = 5, .changed_lsn = 5};
    assert_int_equal(take_one(&store, sink, &key), ERR_OK);
    key.name = bytes_text("b");
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_EXISTS);
    assert_string_equal(sink->why.text, "key 'b': another key has its version");
    state_sink_close(sink);
    sink = open_sink(&store);
    assert_int_equal(take_one(&store, sink, &key), ERR_OK);
    key.origin = (struct record_origin){0};
    key.name = bytes_text("c");
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_PROTOCOL);
    state_sink_close(sink);
    memory_store_release(&store);
}

static void refuses_number(enum record_type type, uint64_t said, unsigned given, const char *text)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("a", type, said);
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
    enum err err = ERR_OK;
    char name[16];
    for (unsigned i = 0; i < given && err == ERR_OK; i++) {
        snprintf(name, sizeof name, "e%u", i);
        err = take(&store, sink, name);
    }
    if (err == ERR_OK) err = carry_take_end(&store, sink);
    assert_int_equal(err, ERR_PROTOCOL);
    assert_string_equal(sink->why.text, text);
    assert_int_equal(carry_finish(&store, sink, NULL), ERR_PROTOCOL);
    state_sink_close(sink);
    memory_store_release(&store);
}

TEST(state_sink, another_number_of_elements_than_was_said_is_refused)
{
    static const char fewer[] = "key 'a': it has fewer elements than it says";
    static const char more[] = "key 'a': it has more elements than it says";
    static const enum record_type types[] = {RECORD_LIST, RECORD_SET, RECORD_ZSET, RECORD_HASH};
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        refuses_number(types[i], 2, 1, fewer);
        refuses_number(types[i], 2, 3, more);
        refuses_number(types[i], 0, 0, fewer);
    }
    for (unsigned said = 0; said < 2; said++) {
        refuses_number(RECORD_STRING, said, 0, fewer);
        refuses_number(RECORD_STRING, said, 2, more);
    }
}

TEST(state_sink, a_key_that_was_not_ended_is_refused)
{
    for (unsigned what = 0; what < 4; what++) {
        struct memory_store store;
        memory_store_init(&store, 1);
        struct record_sink *sink = open_sink(&store);
        struct record_key key = key_of("a", what % 2 == 0 ? RECORD_STRING : RECORD_SET, 0);
        assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
        assert_int_equal(take(&store, sink, "one"), ERR_OK);
        key.name = bytes_text("b");
        enum err err = what < 2 ? carry_take_key(&store, sink, &key)
                                : carry_finish(&store, sink, NULL);
        assert_int_equal(err, ERR_PROTOCOL);
        assert_string_equal(sink->why.text, "key 'a': it was not ended");
        state_sink_close(sink);
        sink = open_sink(&store);
        assert_int_equal(take_one(&store, sink, &key), ERR_OK);
        err = what < 2 ? carry_take_end(&store, sink) : take(&store, sink, "two");
        assert_int_equal(err, ERR_PROTOCOL);
        assert_string_equal(sink->why.text, "key 'b': it was ended");
        state_sink_close(sink);
        memory_store_release(&store);
    }
}

/* A collection as a dump of several nodes gives it: without its count, and its elements in an order
 * that is nobody's. */
static void arrives_uncounted(enum record_type type, const char *read)
{
    struct memory_store store;
    struct bed bed, plain;
    memory_store_init(&store, 1);
    bed_init(&plain, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("c", type, 0);
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
    for (unsigned i = 0; i < 300; i++) {
        char name[16], line[128];
        unsigned place = type == RECORD_LIST ? i : (i * 7 + 290) % 300;
        snprintf(name, sizeof name, "e%u", place);
        struct record_element element = {
            .first = bytes_text(name), .second = bytes_text("value"), .score = 300.0 - place};
        assert_int_equal(carry_take_element(&store, sink, &element), ERR_OK);
        if (type == RECORD_LIST) snprintf(line, sizeof line, "RPUSH c %s", name);
        if (type == RECORD_SET) snprintf(line, sizeof line, "SADD c %s", name);
        if (type == RECORD_HASH) snprintf(line, sizeof line, "HSET c %s value", name);
        if (type == RECORD_ZSET) snprintf(line, sizeof line, "ZADD c %u %s", 300 - place, name);
        (void)bed_write(&plain, line);
    }
    assert_int_equal(carry_take_end(&store, sink), ERR_OK);
    assert_true(store.flushes > 2);
    key = key_of("behind", RECORD_STRING, 0);
    assert_int_equal(take_one(&store, sink, &key), ERR_OK);
    assert_int_equal(state_sink_progress(sink).keys, 2);
    assert_int_equal(carry_finish(&store, sink, NULL), ERR_OK);
    state_sink_close(sink);
    bed_over(&bed, &store);
    assert_true(bed_recounts(&bed));
    char kept[1 << 15];
    (void)snprintf(kept, sizeof kept, "%s", bed_read(&plain, read));
    assert_string_equal(bed_read(&bed, read), kept);
    assert_true(strlen(kept) > 1000);
    bed_release(&bed);
    bed_release(&plain);
}

TEST(state_sink, collections_arrive_without_their_count_and_in_any_order)
{
    arrives_uncounted(RECORD_LIST, "LRANGE c 0 -1");
    arrives_uncounted(RECORD_SET, "SMEMBERS c");
    arrives_uncounted(RECORD_HASH, "HGETALL c");
    arrives_uncounted(RECORD_ZSET, "ZRANGE c 0 -1 WITHSCORES");
}

TEST(state_sink, a_list_without_its_count_ends_where_lists_end)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("l", RECORD_LIST, 0);
    key.origin = (struct record_origin){.version_lsn = 1, .head = (INT64_C(1) << 62) - 3};
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
    assert_int_equal(take(&store, sink, "a"), ERR_OK);
    assert_int_equal(take(&store, sink, "b"), ERR_OK);
    assert_int_equal(take(&store, sink, "c"), ERR_LIMIT);
    assert_string_equal(sink->why.text, "key 'l': its list has no room for so many items");
    state_sink_close(sink);
    memory_store_release(&store);
}

TEST(state_sink, a_score_that_is_no_number_is_refused)
{
    struct memory_store store;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    struct record_key key = key_of("z", RECORD_ZSET, 1);
    struct record_element element = {.first = bytes_text("m"), .score = NAN};
    assert_int_equal(carry_take_key(&store, sink, &key), ERR_OK);
    assert_int_equal(carry_take_element(&store, sink, &element), ERR_PROTOCOL);
    state_sink_close(sink);
    memory_store_release(&store);
}

TEST(state_sink, an_empty_state_is_a_state)
{
    struct memory_store store;
    struct bed bed;
    memory_store_init(&store, 1);
    struct record_sink *sink = open_sink(&store);
    assert_int_equal(carry_finish(&store, sink, &(struct digest){0}), ERR_OK);
    assert_int_equal(state_sink_finish(sink, NULL), ERR_OK);
    state_sink_close(sink);
    bed_over(&bed, &store);
    assert_int_equal(bed_applied(&bed), 700);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}
