/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include "face/psync/dump.h"
#include "rdb/rdb.h"
#include "test/face/psync/fake_feed.h"

static void opened(struct feed_export *request)
{
    MUST(request->err == ERR_OK);
}

struct scene {
    struct fake_feed feed;
    struct feed_export request;
    struct export_facts facts;
    struct dump *dump;
    struct buffer bytes;
    struct why why;
};

static void scene_open(struct scene *scene, unsigned keys, size_t key_bytes, int lie)
{
    fake_feed_init(&scene->feed);
    fake_feed_switch(&scene->feed, true);
    scene->feed.place.database = 3;
    scene->feed.place.end = 4242;
    scene->feed.keys = keys;
    scene->feed.key_bytes = key_bytes;
    scene->feed.lie = lie;
    scene->feed.pending_of = 3;
    scene->request = (struct feed_export){.done = opened};
    list_init(&scene->request.node);
    scene->feed.base.ops->open(&scene->feed.base, &scene->request);
    struct export *export = scene->request.export;
    while (export->ops->facts(export, &scene->facts) == ERR_PENDING) continue;
    struct dump_options options = {.source = export->ops->records(export),
                                   .facts = &scene->facts,
                                   .replid = "0123456789012345678901234567890123456789",
                                   .made_s = 1700000000};
    scene->dump = dump_open(&options);
    buffer_init(&scene->bytes);
}

static enum err scene_fill(struct scene *scene, size_t room)
{
    enum err err = ERR_OK;
    while ((err == ERR_OK || err == ERR_PENDING) && !dump_is_done(scene->dump)) {
        size_t before = scene->bytes.size;
        err = dump_fill(scene->dump, &scene->bytes, room, &scene->why);
        assert_true(scene->bytes.size - before <= room);
        assert_int_equal(dump_bytes(scene->dump), scene->bytes.size);
    }
    return err;
}

static void scene_close(struct scene *scene)
{
    dump_close(scene->dump);
    scene->request.export->ops->close(scene->request.export);
    buffer_release(&scene->bytes);
    scene->feed.exports_wait = false;
    fake_feed_release(&scene->feed);
}

/* --- What a reader sees --- */

struct seen {
    struct rdb_listener listener;
    struct record_sink sink;
    struct buffer fields;
};

static enum err see_field(struct rdb_listener *listener, const struct rdb_field *field)
{
    struct seen *seen = CONTAINER_OF(listener, struct seen, listener);
    buffer_append_format(&seen->fields, "%.*s=%.*s ", (int)field->name.size,
                         (const char *)field->name.data, (int)field->value.size,
                         (const char *)field->value.data);
    return ERR_OK;
}

static enum err see_key(struct record_sink *sink, const struct record_key *key)
{
    (void)sink;
    return key->type == RECORD_STRING ? ERR_OK : ERR_CORRUPT;
}

static enum err see_element(struct record_sink *sink, const struct record_element *element)
{
    (void)sink;
    (void)element;
    return ERR_OK;
}

static enum err see_end(struct record_sink *sink)
{
    (void)sink;
    return ERR_OK;
}

/* Whether the bytes are a whole dump; *facts what is in it. */
static bool is_whole(struct bytes bytes, struct rdb_facts *facts, struct buffer *fields)
{
    static const struct rdb_listener_ops listener = {see_field};
    static const struct record_sink_ops sink = {
        .key = see_key, .element = see_element, .end = see_end};
    struct seen seen = {{&listener}, {.ops = &sink}, {0}};
    buffer_init(&seen.fields);
    struct rdb_reader_options options = {.sink = &seen.sink, .listener = &seen.listener};
    struct rdb_reader *reader = rdb_reader_open(&options);
    size_t taken;
    struct why why;
    bool whole = rdb_reader_feed(reader, bytes, &taken, &why) == ERR_OK && taken == bytes.size &&
                 rdb_reader_end(reader, &why) == ERR_OK;
    *facts = rdb_reader_facts(reader);
    rdb_reader_close(reader);
    if (fields != NULL) *fields = seen.fields;
    else buffer_release(&seen.fields);
    return whole;
}

TEST(psync_dump, it_has_every_key_and_says_where_it_is_of)
{
    struct scene scene;
    scene_open(&scene, 50, 100, 0);
    assert_int_equal(scene_fill(&scene, 64), ERR_OK);
    struct rdb_facts facts;
    struct buffer fields;
    assert_true(is_whole(buffer_bytes(&scene.bytes), &facts, &fields));
    assert_true(facts.checked);
    assert_int_equal(facts.version, 10);
    assert_int_equal(facts.keys, 50);
    buffer_append_byte(&fields, 0);
    assert_string_equal((const char *)fields.data,
                        "redis-ver=7.0.15 redis-bits=64 ctime=1700000000 repl-stream-db=3 "
                        "repl-id=0123456789012345678901234567890123456789 repl-offset=4241 "
                        "tidemark-mark=07070707070707070707070707070707:1.5:0:0000000000000000 "
                        "tidemark-digest=00000000000000000000000000000000 ");
    buffer_release(&fields);
    scene_close(&scene);
}

TEST(psync_dump, pieces_of_any_size_give_the_same)
{
    struct buffer wanted;
    buffer_init(&wanted);
    static const size_t rooms[] = {1 << 20, 1, 7, 4096};
    for (size_t i = 0; i < 4; i++) {
        struct scene scene;
        scene_open(&scene, 20, 300, 0);
        assert_int_equal(scene_fill(&scene, rooms[i]), ERR_OK);
        if (i == 0) buffer_append(&wanted, buffer_bytes(&scene.bytes));
        assert_true(bytes_equal(buffer_bytes(&wanted), buffer_bytes(&scene.bytes)));
        scene_close(&scene);
    }
    buffer_release(&wanted);
}

/* However far it got, and in whatever pieces: no replica takes it for whole. */
TEST(psync_dump, what_is_not_all_of_the_view_never_becomes_whole)
{
    static const size_t rooms[] = {1 << 20, 1, 7, 100};
    for (size_t i = 0; i < 4; i++) {
        for (int lie = -1; lie <= 1; lie += 2) {
            struct scene scene;
            scene_open(&scene, 20, 30, lie);
            assert_int_equal(scene_fill(&scene, rooms[i]), ERR_CORRUPT);
            struct rdb_facts facts;
            assert_false(is_whole(buffer_bytes(&scene.bytes), &facts, NULL));
            scene_close(&scene);
        }
    }
}

TEST(psync_dump, a_store_that_cannot_be_read_leaves_it_cut_short)
{
    struct scene scene;
    scene_open(&scene, 20, 30, 0);
    scene.feed.source_err = ERR_CORRUPT;
    assert_int_equal(scene_fill(&scene, 50), ERR_CORRUPT);
    assert_false(dump_is_done(scene.dump));
    assert_true(scene.bytes.size > 500);
    struct rdb_facts facts;
    assert_false(is_whole(buffer_bytes(&scene.bytes), &facts, NULL));
    scene_close(&scene);
}
