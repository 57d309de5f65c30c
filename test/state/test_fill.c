/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a new store: what comes of it, and what never does. */
#include "state/layout.h"
#include "state/meta.h"
#include "test/state/keyspace.h"
#include "test/state/shipped.h"
#include "test/state/stream.h"
#include "test/test.h"

/* The records of a bed's store, one after the other. */
struct given {
    const struct memory_store *store;
    size_t at, stop; /* an error comes there */
    bool no_mark, no_stream;
};

static enum err given_next(struct given *given, struct bytes *key, struct bytes *value,
                           struct why *why)
{
    if (given->at == given->stop) return why_fail(why, ERR_IO, "told so");
    if (given->no_mark && given->at < given->store->count &&
        bytes_equal(buffer_bytes(&given->store->items[given->at].key), bytes_text("M")))
        given->at++;
    while (given->no_stream && given->at < given->store->count &&
           given->store->items[given->at].key.data[0] == LAYOUT_STREAM)
        given->at++;
    if (given->at == given->store->count) return ERR_NOT_FOUND;
    const struct memory_item *item = &given->store->items[given->at++];
    *key = buffer_bytes(&item->key);
    *value = buffer_bytes(&item->value);
    return ERR_OK;
}

struct scene {
    struct bed bed;
    struct given given;
    struct machine_fill fill;
    struct digest digest; /* what is said of the records */
    uint64_t keys;
    struct memory_store made;
    struct record_wait wait;
    size_t waits;
    struct why why;
};

/* What is to be filled with the records that a flush of the bed leaves. */
static void scene_set(struct scene *scene)
{
    assert_int_equal(bed_flush(&scene->bed), ERR_OK);
    struct state_recount recount;
    assert_int_equal(state_recount(&scene->bed.store.base, NULL, &recount, &scene->why), ERR_OK);
    scene->given = (struct given){.store = &scene->bed.store, .stop = SIZE_MAX};
    scene->digest = recount.running;
    scene->keys = recount.keys;
    scene->fill = (struct machine_fill){
        .mark = recount.mark, .history = recount.mark.history, .window_bytes = 500, .waits = true};
    memory_store_init(&scene->made, 1);
}

static void scene_open(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    bed_init(&scene->bed, 5);
    struct dice dice;
    dice_init(&dice, 5);
    keyspace_grow(&scene->bed, &dice, 120);
    scene_set(scene);
}

static void scene_open_stream(struct scene *scene)
{
    memset(scene, 0, sizeof *scene);
    stream_bed_init(&scene->bed);
    (void)bed_write(&scene->bed, "SET a 1 EX 1000");
    (void)bed_write_in(&scene->bed, 2, "RPUSH l 1 2 3");
    scene_set(scene);
}

static void scene_close(struct scene *scene)
{
    memory_store_release(&scene->made);
    bed_release(&scene->bed);
}

static void waited(struct record_wait *wait)
{
    CONTAINER_OF(wait, struct scene, wait)->waits++;
}

/* False: the call may be made again at once. */
static bool wait(struct scene *scene, struct machine_filler *filler)
{
    size_t waits = scene->waits;
    scene->wait.done = waited;
    if (!filler->ops->wait(filler, &scene->wait)) return false;
    while (scene->waits == waits) assert_true(memory_store_step(&scene->made));
    return true;
}

static enum err add(struct scene *scene, struct machine_filler *filler)
{
    for (;;) {
        struct bytes key, value;
        enum err err = given_next(&scene->given, &key, &value, &scene->why);
        if (err != ERR_OK) return err;
        while ((err = filler->ops->add(filler, key, value, &scene->why)) == ERR_PENDING)
            assert_true(wait(scene, filler));
        if (err == ERR_OK) continue;
        assert_int_equal(filler->ops->add(filler, key, value, &scene->why), err);
        return err;
    }
}

static enum err fill(struct scene *scene)
{
    struct machine_filler *filler;
    scene->given.at = 0;
    enum err err = state_filler_open(&filler, &scene->made.base, &scene->fill, &scene->why);
    if (err == ERR_OK) err = add(scene, filler);
    while (err == ERR_NOT_FOUND || err == ERR_PENDING) {
        if (err == ERR_PENDING) assert_true(wait(scene, filler));
        err = filler->ops->end(filler, scene->digest, scene->keys, &scene->why);
    }
    memory_store_crash(&scene->made);
    state_filler_close(filler);
    return err;
}

/* What nobody can take for a store: no mark, whatever else. */
static void expect_no_mark(struct scene *scene)
{
    enum machine_found found = state_found(&scene->made.base, scene->fill.history);
    assert_true(found == MACHINE_EMPTY || found == MACHINE_NO_MARK);
    assert_int_equal(memory_store_count(&scene->made, 'M'), 0);
}

TEST(state_fill, gives_a_store_that_is_equal_record_by_record_and_brings_its_mark)
{
    static const uint64_t windows[] = {1, 500, 1 << 20};
    for (size_t i = 0; i < 6; i++) {
        struct scene scene;
        scene_open(&scene);
        scene.fill.window_bytes = windows[i / 2];
        scene.fill.waits = i % 2 == 0;
        assert_int_equal(fill(&scene), ERR_OK);
        assert_int_equal(scene.waits > 0, i % 2 == 1);
        assert_int_equal(scene.made.count, scene.bed.store.count);
        for (size_t at = 0; at < scene.made.count; at++) {
            const struct memory_item *a = &scene.made.items[at], *b = &scene.bed.store.items[at];
            assert_true(bytes_equal(buffer_bytes(&a->key), buffer_bytes(&b->key)));
            assert_true(bytes_equal(buffer_bytes(&a->value), buffer_bytes(&b->value)));
        }
        assert_true(windows[i / 2] > 500 ? scene.made.flushes == 1 : scene.made.flushes > 5);
        struct state_recount recount;
        assert_int_equal(state_recount(&scene.made.base, NULL, &recount, &scene.why), ERR_OK);
        assert_true(digest_equal(recount.recounted, scene.digest));
        assert_true(mark_equal(&recount.mark, &scene.fill.mark));
        scene_close(&scene);
    }
}

TEST(state_fill, mark_alone_is_never_written)
{
    for (uint64_t window = 1; window < 4000; window += 131) {
        struct scene scene;
        scene_open(&scene);
        scene.fill.window_bytes = window;
        scene.fill.waits = window % 2 == 0;
        scene.made.watch_meta = true; /* a run of one record that is the mark is a failed check */
        assert_int_equal(fill(&scene), ERR_OK);
        assert_true(scene.made.meta_beside > 0);
        scene_close(&scene);
    }
}

TEST(state_fill, a_flush_that_fails_at_any_window_leaves_no_mark)
{
    bool waits = false;
    for (size_t at = 0;; at++) {
        struct scene scene;
        scene_open(&scene);
        scene.fill.waits = waits;
        scene.made.flush_fails_at = at + 1;
        enum err err = fill(&scene);
        size_t flushes = scene.made.flushes;
        if (err != ERR_OK) expect_no_mark(&scene);
        scene_close(&scene);
        if (err != ERR_OK) continue;
        assert_true(at > 5 && flushes == at);
        if (waits) break;
        waits = true;
        at = SIZE_MAX; /* once more */
    }
}

TEST(state_fill, records_that_end_early_leave_no_mark)
{
    struct scene scene;
    scene_open(&scene);
    size_t count = scene.bed.store.count;
    scene_close(&scene);
    for (size_t at = 0; at <= count; at += 7) {
        scene_open(&scene);
        scene.given.stop = at;
        assert_int_equal(fill(&scene), ERR_IO);
        expect_no_mark(&scene);
        scene_close(&scene);
    }
}

TEST(state_fill, records_without_a_mark_are_corrupt)
{
    struct scene scene;
    scene_open(&scene);
    scene.given.no_mark = true;
    assert_int_equal(fill(&scene), ERR_CORRUPT);
    assert_non_null(strstr(scene.why.text, "no mark"));
    expect_no_mark(&scene);
    scene_close(&scene);
}

TEST(state_fill, records_that_are_not_what_was_said_of_them_are_corrupt)
{
    for (unsigned what = 0; what < 4; what++) {
        struct scene scene;
        scene_open(&scene);
        if (what == 0) scene.fill.mark.lsn.at++;
        if (what == 1) scene.fill.mark.lineage.hash ^= 1;
        if (what == 2) scene.digest.low ^= 1;
        if (what == 3) scene.keys++;
        assert_int_equal(fill(&scene), ERR_CORRUPT);
        expect_no_mark(&scene);
        scene_close(&scene);
    }
}

TEST(state_fill, a_store_that_is_not_empty_is_left_alone)
{
    struct scene scene;
    scene_open(&scene);
    assert_int_equal(fill(&scene), ERR_OK);
    size_t flushes = scene.made.flushes;
    assert_int_equal(fill(&scene), ERR_REFUSED);
    assert_int_equal(scene.made.flushes, flushes);
    scene_close(&scene);
}

TEST(state_fill, the_store_may_become_one_of_another_history)
{
    struct scene scene;
    scene_open(&scene);
    scene.fill.history.id[3] ^= 0x55;
    assert_int_equal(fill(&scene), ERR_OK);
    assert_int_equal(state_found(&scene.made.base, scene.fill.history), MACHINE_MARK);
    assert_int_equal(state_found(&scene.made.base, scene.fill.mark.history), MACHINE_FOREIGN);
    scene_close(&scene);
}

TEST(state_fill, the_stream_of_effects_goes_on_at_its_end_and_nothing_of_it_is_kept)
{
    struct scene scene;
    scene_open_stream(&scene);
    struct bed *bed = &scene.bed;
    struct effects_place was = stream_place(bed);
    struct shipped shipped;
    shipped_open(&shipped, bed);
    assert_int_equal(shipped_fill(&shipped, &scene.made.base, &scene.fill, &scene.why), ERR_OK);
    shipped_close(&shipped);
    memory_store_release(&bed->store);
    bed->store = scene.made;
    memory_store_init(&scene.made, 1);
    bed_reopen(bed);
    struct effects_place is = stream_place(bed);
    assert_true(is.on && is.database == 2 && is.first == was.end && is.end == was.end);
    struct buffer out;
    buffer_init(&out);
    assert_int_equal(stream_read(bed, was.end, 100, &out), ERR_OK);
    assert_int_equal(out.size, 0);
    assert_int_equal(stream_read(bed, was.end - 1, 100, &out), ERR_NOT_FOUND);
    buffer_release(&out);
    assert_string_equal(stream_of(bed, "SET a 2"), "SELECT 0 | SET a 2");
    assert_int_equal(bed_flush(bed), ERR_OK);
    assert_true(bed_recounts(bed));
    assert_string_equal(stream_text(bed, was.end), "SELECT 0 | SET a 2");
    scene_close(&scene);
}

/* The mark in the bed's store says, as an image's does, that nothing of the stream is kept. */
static void hide_stream(struct scene *scene)
{
    for (size_t i = 0; i < scene->bed.store.count; i++) {
        struct memory_item *item = &scene->bed.store.items[i];
        if (!bytes_equal(buffer_bytes(&item->key), bytes_text("M"))) continue;
        struct meta meta;
        assert_int_equal(meta_decode(buffer_bytes(&item->value), &meta, &scene->why), ERR_OK);
        assert_true(meta.effects.first < meta.effects.end);
        meta.effects.first = meta.effects.end;
        meta_encode(&meta, &item->value);
        memory_free(meta.epochs);
    }
}

TEST(state_fill, pieces_of_the_stream_of_effects_are_no_part_of_what_is_given)
{
    for (unsigned what = 0; what < 2; what++) {
        struct scene scene;
        scene_open_stream(&scene);
        if (what == 0) hide_stream(&scene);
        if (what == 1) scene.given.no_stream = true;
        assert_int_equal(fill(&scene), ERR_CORRUPT);
        assert_non_null(strstr(scene.why.text, "the stream of effects"));
        expect_no_mark(&scene);
        scene_close(&scene);
    }
}

TEST(state_found, tells_what_a_store_is)
{
    struct scene scene;
    scene_open(&scene);
    struct store *store = &scene.made.base;
    struct history history = scene.fill.history;
    assert_int_equal(state_found(store, history), MACHINE_EMPTY);
    assert_int_equal(fill(&scene), ERR_OK);
    assert_int_equal(state_found(store, history), MACHINE_MARK);
    size_t at = memory_search(&scene.made, bytes_text("M"));
    struct buffer *mark = &scene.made.items[at].value;
    size_t size = mark->size;
    for (mark->size = 0; mark->size < size; mark->size += 9) /* mark_truncated */
        assert_int_equal(state_found(store, history), MACHINE_BAD_MARK);
    mark->size = size;
    mark->data[20] ^= 1;
    assert_int_equal(state_found(store, history), MACHINE_BAD_MARK);
    mark->data[20] ^= 1;
    mark->data[0] = 9;
    assert_int_equal(state_found(store, history), MACHINE_LATER);
    delete_range(&scene.made, bytes_text("M"), bytes_text("N"));
    assert_int_equal(state_found(store, history), MACHINE_NO_MARK);
    scene_close(&scene);
}
