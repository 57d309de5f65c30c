/* SPDX-License-Identifier: Apache-2.0 */
/* What is out of use goes file by file, and nothing else does. */
#include <string.h>

#include "base/memory.h"
#include "site/site.h"
#include "test/sim/bench.h"

struct scene {
    struct bench bench;
    struct site site;
    struct site_sweeper *sweeper;
    struct buffer paths;
    struct sim_visit visit;
};

static void put(struct scene *scene, const char *directory, const char *file)
{
    char path[128];
    (void)bench_path(&scene->bench, DISK_MAKE_DIR, directory);
    (void)snprintf(path, sizeof path, "%s/%s", directory, file);
    sim_disk_put(scene->bench.hands, path, bytes_text("x"));
}

static void go_inside(struct sim_visit *visit, struct world *world)
{
    (void)world;
    site_sweeper_go(CONTAINER_OF(visit, struct scene, visit)->sweeper);
}

static void go(struct scene *scene)
{
    scene->visit.run = go_inside;
    assert_true(sim_node_visit(scene->bench.node, &scene->visit));
}

static void settle(struct scene *scene)
{
    (void)sim_world_settle(scene->bench.world, SIM_SECOND);
}

/* Log 3 and store 3 count; there are others from before and behind them. */
static struct scene *scene_open(void)
{
    struct scene *scene = memory_zeroed(1, sizeof *scene);
    scene->bench = bench_open(1);
    struct world *world = sim_node_world(scene->bench.node);
    struct why why;
    assert_int_equal(site_open(&scene->site, world->disk, world->entropy, "data", &why), ERR_OK);
    scene->site.pointed = true;
    scene->site.pointer.log = scene->site.pointer.store = 3;
    static const char *const names[] = {"log-2",   "log-3",   "log-4",    "store-1",
                                        "store-3", "store-9", "store-01", "my-store-1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "data/keys/%s", names[i]);
        put(scene, path, "a");
        put(scene, path, "b");
    }
    put(scene, "data/keys/store-1/inner", "c");
    buffer_init(&scene->paths);
    scene->sweeper = site_sweeper_open(&scene->site);
    return scene;
}

static void scene_close(struct scene *scene)
{
    site_sweeper_close(scene->sweeper);
    settle(scene);
    site_release(&scene->site);
    buffer_release(&scene->paths);
    bench_close(&scene->bench);
    memory_free(scene);
}

static bool is_there(struct scene *scene, const char *path)
{
    buffer_clear(&scene->paths);
    sim_disk_paths(scene->bench.hands, &scene->paths);
    buffer_append_byte(&scene->paths, 0);
    char line[64];
    (void)snprintf(line, sizeof line, "data/keys/%s/\n", path);
    return strstr((const char *)scene->paths.data, line) != NULL;
}

static void expect_kept(struct scene *scene)
{
    static const char *const kept[] = {"log-3", "store-3", "store-01", "my-store-1"};
    for (size_t i = 0; i < 4; i++) assert_true(is_there(scene, kept[i]));
}

TEST(site_sweeper, takes_what_does_not_count_with_all_that_is_in_it)
{
    struct scene *scene = scene_open();
    site_sweeper_find(scene->sweeper, &scene->site, true);
    site_sweeper_find(scene->sweeper, &scene->site, true); /* once is enough */
    settle(scene);
    assert_true(is_there(scene, "log-2")); /* not before it is told to go */
    go(scene);
    assert_false(site_sweeper_is_quiet(scene->sweeper));
    go(scene);
    while (is_there(scene, "log-2")) (void)sim_world_step(scene->bench.world);
    put(scene, "data/keys/log-2", "a"); /* the name may be given again */
    settle(scene);
    assert_true(is_there(scene, "log-2"));
    assert_true(site_sweeper_is_quiet(scene->sweeper));
    static const char *const gone[] = {"log-4", "store-1", "store-1/inner", "store-9"};
    for (size_t i = 0; i < 4; i++) assert_false(is_there(scene, gone[i]));
    expect_kept(scene);
    scene_close(scene);
}

TEST(site_sweeper, leaves_what_may_be_in_the_making)
{
    struct scene *scene = scene_open();
    site_sweeper_find(scene->sweeper, &scene->site, false);
    go(scene);
    settle(scene);
    assert_true(is_there(scene, "log-4") && is_there(scene, "store-9"));
    assert_false(is_there(scene, "log-2") || is_there(scene, "store-1"));
    expect_kept(scene);
    scene_close(scene);
}

/* A name that nothing bears when it is given up is somebody else's when it is born. */
TEST(site_sweeper, takes_what_was_made_and_no_later_one_of_the_same_name)
{
    struct scene *scene = scene_open();
    struct site_next next;
    struct why why;
    assert_int_equal(site_prepare(&scene->site, true, (struct history){{1}}, &next, &why), ERR_OK);
    assert_string_equal(next.log, "data/keys/log-5");
    assert_string_equal(next.store, "data/keys/store-10");
    put(scene, "data/keys/store-10", "a");
    site_sweeper_take(scene->sweeper, &next);
    assert_null(next.store);
    put(scene, "data/keys/log-5", "a");
    go(scene);
    settle(scene);
    assert_true(is_there(scene, "log-5"));
    assert_false(is_there(scene, "store-10"));
    expect_kept(scene);
    scene_close(scene);
}

TEST(site_sweeper, what_cannot_be_removed_stays_and_the_rest_goes)
{
    static const char *const stuck[] = {"*/store-1/b", "*/store-1/inner/c", "*/store-1"};
    for (size_t i = 0; i < 3; i++) {
        struct scene *scene = scene_open();
        struct sim_fault fault = {
            .ops = 1u << DISK_REMOVE, .paths = stuck[i], .kind = SIM_FAULT_ERROR, .hits = 100};
        (void)sim_disk_fault(scene->bench.hands, &fault);
        site_sweeper_find(scene->sweeper, &scene->site, true);
        go(scene);
        settle(scene);
        assert_true(site_sweeper_is_quiet(scene->sweeper));
        assert_true(is_there(scene, "store-1"));
        assert_false(is_there(scene, "log-4") || is_there(scene, "store-9"));
        expect_kept(scene);
        scene_close(scene);
    }
}

TEST(site_sweeper, who_stops_it_waits_for_one_request_at_most)
{
    for (uint64_t turns = 0; turns < 12; turns++) {
        struct scene *scene = scene_open();
        site_sweeper_find(scene->sweeper, &scene->site, true);
        go(scene);
        for (uint64_t i = 0; i < turns; i++) (void)sim_world_step(scene->bench.world);
        site_sweeper_stop(scene->sweeper);
        settle(scene);
        assert_true(site_sweeper_is_quiet(scene->sweeper));
        go(scene);
        assert_true(site_sweeper_is_quiet(scene->sweeper));
        assert_true(is_there(scene, "store-9"));
        scene_close(scene);
    }
}
