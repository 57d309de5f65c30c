/* SPDX-License-Identifier: Apache-2.0 */
/* A store is made of an image while that still comes. */
#include "node/staging.h"

#include "base/memory.h"
#include "node/internal.h"
#include "node/limits.h"
#include "snapshot/image.h"
#include "test/node/bed.h"

enum act { ACT_BEGIN, ACT_ARRIVE, ACT_FINISH, ACT_GIVE, ACT_DROP, ACT_ANSWER };

struct scene {
    struct bed bed;
    struct staging staging;
    struct buffer image;
    struct image_offer offer;
    struct turn turn;
    unsigned told;
    enum staging_phase told_phase;
    uint64_t there; /* bytes in the file */
    struct sim_visit visit;
    enum act act;
    uint64_t amount;
};

static void told(struct staging *staging)
{
    struct scene *scene = CONTAINER_OF(staging, struct scene, staging);
    scene->told++;
    scene->told_phase = staging->phase;
}

/* The file gets as long as `size`. */
static void put(struct scene *scene, struct disk *disk, uint64_t size)
{
    struct image_place place = node_image_place(scene->bed.node);
    char *path = incoming_path(&place);
    struct disk_request gone = {.op = DISK_REMOVE, .path = path};
    if (scene->there == 0) (void)disk_run(disk, &gone);
    struct disk_request open = {.op = scene->there == 0 ? DISK_CREATE : DISK_OPEN, .path = path};
    assert_int_equal(disk_run(disk, &open), ERR_OK);
    struct disk_request write = {.op = DISK_WRITE,
                                 .file = open.file,
                                 .offset = scene->there,
                                 .data = scene->image.data + scene->there,
                                 .size = size - scene->there};
    if (write.size > 0) assert_int_equal(disk_run(disk, &write), ERR_OK);
    struct disk_request end = {.op = DISK_CLOSE, .file = open.file};
    assert_int_equal(disk_run(disk, &end), ERR_OK);
    memory_free(path);
    scene->there = size;
}

static void visit(struct sim_visit *base, struct world *world)
{
    struct scene *scene = CONTAINER_OF(base, struct scene, visit);
    struct staging *staging = &scene->staging;
    switch (scene->act) {
    case ACT_BEGIN:
        *staging = (struct staging){.node = scene->bed.node, .told = told};
        put(scene, world->disk, 1);
        staging_begin(staging, &scene->offer);
        break;
    case ACT_ARRIVE:
        put(scene, world->disk, scene->amount);
        staging_arrived(staging, scene->amount);
        break;
    case ACT_FINISH: staging_finish(staging); break;
    case ACT_GIVE: staging_give(staging, &scene->turn); break;
    case ACT_DROP: staging_drop(staging); break;
    case ACT_ANSWER: scene->amount = fake_answer_fill(&scene->bed.fake); break;
    }
}

static void act(struct scene *scene, enum act act, uint64_t amount)
{
    scene->act = act;
    scene->amount = amount;
    scene->visit.run = visit;
    assert_true(sim_node_visit(scene->bed.sim, &scene->visit));
    bed_run(&scene->bed, 20 * SIM_MILLISECOND);
}

/* What comes is an image of this node's own. */
static struct scene *scene_open(void)
{
    struct scene *scene = memory_zeroed(1, sizeof *scene);
    struct bed *bed = &scene->bed;
    buffer_init(&scene->image);
    bed_open(bed);
    (void)bed_ask(bed, CALL_WRITE, "LPUSH k a");
    bed_settle(bed);
    assert_int_equal(bed_save(bed), ERR_OK);
    if (bed->fake.flush != NULL) (void)bed_do(bed, DEED_FLUSH, NULL, ERR_OK);
    bed_run(bed, SIM_SECOND);
    char path[80];
    snprintf(path, sizeof path, "data/keys/images/%016llx.image",
             (unsigned long long)bed->fake.flushed.lsn.at);
    assert_true(sim_disk_seen(sim_node_disk(bed->sim), path, &scene->image));
    scene->offer = (struct image_offer){bed->fake.flushed, scene->image.size, 0};
    return scene;
}

static void scene_close(struct scene *scene)
{
    act(scene, ACT_DROP, 0);
    struct site_next next = scene->turn.next;
    memory_free(next.log);
    memory_free(next.store);
    bed_close(&scene->bed);
    buffer_release(&scene->image);
    memory_free(scene);
}

TEST(node_staging, a_record_is_taken_when_all_of_its_chunk_is_there)
{
    struct scene *scene = scene_open();
    unsigned steps = 0, before = 0;
    act(scene, ACT_BEGIN, 0);
    assert_false(scene->bed.fake.fill.waits);
    for (uint64_t size = 1; size < scene->image.size; size++) {
        act(scene, ACT_ARRIVE, size);
        assert_int_equal(scene->staging.phase, STAGING_TAKES);
        steps += scene->bed.fake.filled > before;
        before = scene->bed.fake.filled;
    }
    assert_true(steps > 0 && before > 0);
    act(scene, ACT_ARRIVE, scene->image.size);
    assert_int_equal(scene->staging.phase, STAGING_WHOLE);
    assert_int_equal(scene->bed.fake.fill_closes, 1); /* the turn opens it */
    assert_int_equal(scene->told, 0);
    act(scene, ACT_FINISH, 0);
    assert_int_equal(scene->told, 1);
    act(scene, ACT_GIVE, 0);
    assert_true(scene->turn.taken);
    assert_string_equal(scene->turn.next.store, scene->bed.fake.fill_directory);
    assert_int_equal(scene->staging.phase, STAGING_OFF);
    scene_close(scene);
}

/* What is asked to wait is asked again, with the same record. */
TEST(node_staging, whoever_waits_for_a_flush_goes_on_behind_it)
{
    struct scene *scene = scene_open();
    struct fake *fake = &scene->bed.fake;
    act(scene, ACT_BEGIN, 0);
    fake->fill_pending = 1;
    act(scene, ACT_ARRIVE, scene->image.size - 1);
    assert_true(fake->filled == 0 && fake->fill_wait != NULL);
    act(scene, ACT_ARRIVE, scene->image.size); /* it waits for that only */
    act(scene, ACT_FINISH, 0);
    assert_true(fake->filled == 0 && scene->told == 0);
    fake->fill_pending = 1;
    act(scene, ACT_ANSWER, 0);
    assert_true(fake->filled == 0 && fake->fill_wait != NULL);
    act(scene, ACT_ANSWER, 0);
    assert_true(fake->filled > 0);
    assert_true(scene->told == 1 && scene->told_phase == STAGING_WHOLE);
    scene_close(scene);
}

TEST(node_staging, its_end_may_wait_too)
{
    struct scene *scene = scene_open();
    struct fake *fake = &scene->bed.fake;
    act(scene, ACT_BEGIN, 0);
    act(scene, ACT_ARRIVE, scene->image.size - 1);
    act(scene, ACT_FINISH, 0);
    fake->fill_pending = 1;
    act(scene, ACT_ARRIVE, scene->image.size);
    assert_true(scene->staging.phase == STAGING_ENDS && fake->fill_wait != NULL);
    assert_int_equal(scene->told, 0);
    act(scene, ACT_GIVE, 0);
    assert_false(scene->turn.taken); /* not whole */
    act(scene, ACT_ANSWER, 0);
    assert_true(scene->told == 1 && scene->told_phase == STAGING_WHOLE);
    scene_close(scene);
}

/* A record that is larger than what is read at a time. */
TEST(node_staging, a_large_record_is_taken_too)
{
    struct scene *scene = scene_open();
    struct image_facts facts = {.mark = scene->offer.mark, .keys = 2};
    struct image_chain chain;
    struct buffer chunk;
    size_t large = 5 * NODE_STAGING_STEP_BYTES + 7, at = 0;
    uint8_t *value = memory_zeroed(1, large);
    buffer_init(&chunk);
    buffer_clear(&scene->image);
    image_begin(&scene->image, &facts, &chain);
    for (unsigned i = 0; i < 3; i++) {
        char key[] = {'K', (char)('a' + i), 0};
        image_chunk_begin(&chunk);
        image_chunk_add(&chunk, bytes_text(key), bytes_of(value, i == 1 ? large : 9));
        image_chunk_seal(&chunk, 1, &chain);
        buffer_append(&scene->image, buffer_bytes(&chunk));
    }
    image_end(&scene->image, &facts, &chain);
    scene->offer.size = scene->image.size;
    act(scene, ACT_BEGIN, 0);
    act(scene, ACT_FINISH, 0);
    while (at < scene->image.size) {
        at += 700000;
        act(scene, ACT_ARRIVE, at < scene->image.size ? at : scene->image.size);
    }
    bed_run(&scene->bed, SIM_SECOND);
    assert_true(scene->told == 1 && scene->told_phase == STAGING_WHOLE);
    assert_int_equal(scene->bed.fake.filled, 3);
    memory_free(value);
    buffer_release(&chunk);
    scene_close(scene);
}

TEST(node_staging, an_image_of_another_mark_than_was_offered_is_given_up)
{
    struct scene *scene = scene_open();
    scene->offer.mark.lineage.hash ^= 1;
    act(scene, ACT_BEGIN, 0);
    act(scene, ACT_FINISH, 0);
    act(scene, ACT_ARRIVE, scene->image.size);
    assert_true(scene->told == 1 && scene->told_phase == STAGING_OFF);
    scene_close(scene);
}

/* The request that is under way is nobody's any more. */
TEST(node_staging, who_drops_it_while_the_file_is_read_leaves_nothing)
{
    for (uint64_t us = 0; us < 400; us += 20) {
        struct scene *scene = scene_open();
        act(scene, ACT_BEGIN, 0);
        scene->act = ACT_ARRIVE;
        scene->amount = scene->image.size;
        assert_true(sim_node_visit(scene->bed.sim, &scene->visit));
        bed_run(&scene->bed, us);
        act(scene, ACT_DROP, 0);
        assert_int_equal(scene->told, 0);
        scene_close(scene); /* a leak fails it */
    }
}

TEST(node_staging, what_is_no_image_is_given_up_and_told)
{
    struct scene *scene = scene_open();
    for (uint64_t at = 3; at < scene->image.size; at += 31) {
        scene->there = 0;
        scene->told = 0;
        scene->image.data[at] ^= 0x10;
        unsigned closes = scene->bed.fake.fill_closes;
        act(scene, ACT_BEGIN, 0);
        act(scene, ACT_ARRIVE, scene->image.size);
        assert_int_equal(scene->staging.phase, STAGING_OFF);
        assert_int_equal(scene->bed.fake.fill_closes, closes + 1);
        act(scene, ACT_FINISH, 0);
        assert_true(scene->told == 1 && scene->told_phase == STAGING_OFF);
        act(scene, ACT_GIVE, 0);
        assert_false(scene->turn.taken);
        scene->image.data[at] ^= 0x10;
    }
    scene_close(scene);
}

TEST(node_staging, what_the_records_are_not_is_given_up_at_the_end)
{
    struct scene *scene = scene_open();
    act(scene, ACT_BEGIN, 0);
    act(scene, ACT_FINISH, 0);
    scene->bed.fake.fill_err = ERR_CORRUPT;
    act(scene, ACT_ARRIVE, scene->image.size);
    assert_true(scene->told == 1 && scene->told_phase == STAGING_OFF);
    scene_close(scene);
}

TEST(node_staging, who_drops_it_is_told_nothing_and_nothing_is_left)
{
    struct scene *scene = scene_open();
    struct fake *fake = &scene->bed.fake;
    act(scene, ACT_BEGIN, 0);
    fake->fill_pending = 1;
    act(scene, ACT_ARRIVE, scene->image.size);
    act(scene, ACT_FINISH, 0);
    assert_non_null(fake->fill_wait);
    act(scene, ACT_DROP, 0);
    assert_int_equal(fake->fill_closes, 1);
    assert_null(scene->staging.next.store);
    act(scene, ACT_ARRIVE, scene->image.size);
    bed_run(&scene->bed, SIM_SECOND);
    assert_int_equal(scene->told, 0);
    scene_close(scene);
}
