/* SPDX-License-Identifier: Apache-2.0 */
/* A data directory: the pointer, the switch, and what is removed. */
#include "site/pointer.h"

#include <stdio.h>
#include <string.h>

#include "site/text_file.h"
#include "test/sim/bench.h"

static enum err open_site(struct bench *bench, struct site *site, struct why *why)
{
    struct world *world = sim_node_world(bench->node);
    return site_open(site, world->disk, world->entropy, "data", why);
}

/* The lock ends with its process. */
static enum err reopen_site(struct bench *bench, struct site *site, struct why *why)
{
    bench_cut(bench, SIM_KEEP_CACHE, 0);
    return open_site(bench, site, why);
}

static bool is_there(struct bench *bench, const char *path)
{
    struct buffer names;
    buffer_init(&names);
    struct disk_request list = {.op = DISK_LIST, .path = path, .names = &names};
    enum err err = disk_run(bench->disk, &list);
    buffer_release(&names);
    return err == ERR_OK;
}

static void make(struct bench *bench, const char *directory)
{
    assert_int_equal(bench_path(bench, DISK_MAKE_DIR, directory), ERR_OK);
    char path[128];
    snprintf(path, sizeof path, "%s/file", directory);
    sim_disk_put(bench->hands, path, bytes_text("x"));
}

/* The next generation, as an install makes it. */
static enum err go_on(struct bench *bench, struct site *site, bool new_log, struct why *why)
{
    struct site_next next;
    struct history history = site->pointer.history;
    if (new_log) history.id[0]++;
    enum err err = site_prepare(site, new_log, history, &next, why);
    if (err != ERR_OK) return err;
    if (next.log != NULL) make(bench, next.log);
    make(bench, next.store);
    return site_switch(site, &next, why);
}

static struct bench started(struct site *site)
{
    struct bench bench = bench_open(1);
    struct why why;
    assert_int_equal(open_site(&bench, site, &why), ERR_OK);
    assert_false(site->pointed);
    assert_int_equal(go_on(&bench, site, true, &why), ERR_OK);
    return bench;
}

TEST(site, a_first_generation_counts_once_its_pointer_is_written)
{
    struct site site;
    struct bench bench = started(&site);
    struct why why;
    assert_string_equal(site.log, "data/keys/log-1");
    assert_string_equal(site.store, "data/keys/store-1");
    site_release(&site);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0); /* all of it is durable */
    assert_int_equal(open_site(&bench, &site, &why), ERR_OK);
    assert_true(site.pointed && site.identity.started);
    assert_int_equal(site.pointer.log, 1);
    assert_int_equal(site.pointer.history.id[0], 1);
    assert_true(is_there(&bench, site.log) && is_there(&bench, site.store));
    site_release(&site);
    bench_close(&bench);
}

TEST(site, a_switch_changes_history_log_and_store_at_once_and_the_old_is_swept)
{
    struct site site;
    struct bench bench = started(&site);
    struct why why;
    assert_int_equal(go_on(&bench, &site, false, &why), ERR_OK);
    assert_string_equal(site.log, "data/keys/log-1");
    assert_string_equal(site.store, "data/keys/store-2");
    assert_int_equal(go_on(&bench, &site, true, &why), ERR_OK);
    assert_string_equal(site.log, "data/keys/log-2");
    assert_string_equal(site.store, "data/keys/store-3");
    assert_int_equal(site.pointer.history.id[0], 2);
    assert_true(is_there(&bench, "data/keys/store-1"));
    site_sweep(&site);
    assert_false(is_there(&bench, "data/keys/store-1") || is_there(&bench, "data/keys/store-2") ||
                 is_there(&bench, "data/keys/log-1"));
    assert_true(is_there(&bench, site.log) && is_there(&bench, site.store));
    site_release(&site);
    bench_close(&bench);
}

TEST(site, only_names_of_logs_and_stores_are_swept)
{
    static const char *const foreign[] = {"store-01", "store-", "store-2x", "Store-2",
                                          "log-0",    "log--1", "logs-2",   "old-store-2"};
    struct site site;
    struct bench bench = started(&site);
    char path[128];
    for (size_t i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "data/keys/%s", foreign[i]);
        make(&bench, path);
    }
    make(&bench, "data/keys/store-9");
    make(&bench, "data/keys/store-9/deep");
    make(&bench, "data/keys/store-9/deep/deeper");
    site_sweep(&site);
    for (size_t i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "data/keys/%s", foreign[i]);
        assert_true(is_there(&bench, path));
    }
    assert_false(is_there(&bench, "data/keys/store-9"));
    site_release(&site);
    bench_close(&bench);
}

TEST(site, a_name_that_is_there_is_not_taken_again)
{
    struct site site;
    struct bench bench = started(&site);
    struct why why;
    struct site_next next;
    make(&bench, "data/keys/store-7");
    assert_int_equal(site_prepare(&site, false, site.pointer.history, &next, &why), ERR_OK);
    assert_string_equal(next.store, "data/keys/store-8");
    make(&bench, next.store);
    site_abandon(&site, &next);
    assert_false(is_there(&bench, "data/keys/store-8"));
    site_release(&site);
    bench_close(&bench);
}

/* As when `keys` is a mount that is not there. */
TEST(site, a_pointer_that_is_gone_is_refused_and_nothing_is_made)
{
    struct site site;
    struct bench bench = started(&site);
    struct why why;
    site_release(&site);
    assert_true(sim_disk_unlink(bench.hands, "data/keys/current"));
    assert_int_equal(reopen_site(&bench, &site, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "data/keys/current is gone"));
    assert_true(sim_disk_unlink(bench.hands, "data/keys"));
    assert_int_equal(reopen_site(&bench, &site, &why), ERR_REFUSED);
    assert_false(is_there(&bench, "data/keys"));
    bench_cut(&bench, SIM_KEEP_CACHE, 0);
    assert_int_equal(site_look(&site, bench.disk, "data", &why), ERR_REFUSED);
    bench_close(&bench);
}

TEST(site, every_flipped_bit_and_every_cut_of_the_pointer_is_noticed)
{
    struct site site;
    struct bench bench = started(&site);
    struct why why;
    site_release(&site);
    struct buffer good;
    buffer_init(&good);
    assert_true(sim_disk_seen(bench.hands, "data/keys/current", &good));
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sim_disk_put(bench.hands, "data/keys/current", buffer_bytes(&good));
        enum err err = reopen_site(&bench, &site, &why);
        assert_true(err == ERR_CORRUPT || err == ERR_REFUSED);
        good.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < good.size; size++) {
        sim_disk_put(bench.hands, "data/keys/current", bytes_of(good.data, size));
        assert_int_equal(reopen_site(&bench, &site, &why), ERR_CORRUPT);
    }
    buffer_append(&good, bytes_of("\0more", 5));
    sim_disk_put(bench.hands, "data/keys/current", buffer_bytes(&good));
    assert_int_equal(reopen_site(&bench, &site, &why), ERR_CORRUPT);
    sim_disk_put(bench.hands, "data/keys/current", bytes_text("tidemark-keys 3\nsomething\n"));
    assert_int_equal(reopen_site(&bench, &site, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "it has format 3"));
    buffer_release(&good);
    bench_close(&bench);
}

TEST(site, what_it_holds_is_of_its_own_cluster_until_a_switch_says_otherwise)
{
    struct bench bench = bench_open(1);
    struct site site;
    struct site_next next;
    struct why why;
    assert_int_equal(open_site(&bench, &site, &why), ERR_OK);
    uint64_t own = site.identity.cluster;
    assert_true(own != 0 && own != 77);
    assert_int_equal(site_cluster(&site), own);
    assert_int_equal(go_on(&bench, &site, true, &why), ERR_OK);
    assert_int_equal(site_cluster(&site), own);
    assert_int_equal(site_prepare(&site, true, (struct history){{9}}, &next, &why), ERR_OK);
    next.pointer.cluster = 77;
    make(&bench, next.log);
    make(&bench, next.store);
    assert_int_equal(site_cluster(&site), own); /* not before the switch */
    assert_int_equal(site_switch(&site, &next, &why), ERR_OK);
    assert_int_equal(site_cluster(&site), 77);
    assert_int_equal(go_on(&bench, &site, false, &why), ERR_OK); /* and it stays that */
    site_release(&site);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_int_equal(open_site(&bench, &site, &why), ERR_OK);
    assert_int_equal(site_cluster(&site), 77);
    assert_int_equal(site.identity.cluster, own);
    assert_int_equal(site.pointer.history.id[0], 9);
    assert_int_equal(site.pointer.store, 3);
    site_release(&site);
    bench_close(&bench);
}

/* Before a copy could take over the cluster of another one. */
TEST(site, a_pointer_without_a_cluster_is_of_the_identity_s_and_the_next_one_says_it)
{
    struct site site;
    struct bench bench = started(&site);
    struct why why;
    uint64_t own = site.identity.cluster;
    struct text_file file;
    char history[HISTORY_TEXT_BYTES];
    history_format(&site.pointer.history, history);
    file.size = (size_t)snprintf(file.text, sizeof file.text,
                                 "tidemark-keys 1\nlog 1\nstore 1\nhistory %s\n", history);
    text_file_seal(&file);
    sim_disk_put(bench.hands, "data/keys/current", bytes_of(file.text, file.size));
    site_release(&site);
    assert_int_equal(reopen_site(&bench, &site, &why), ERR_OK);
    assert_true(site.pointed);
    assert_int_equal(site.pointer.cluster, own);
    assert_int_equal(site.pointer.history.id[0], 1);
    assert_int_equal(go_on(&bench, &site, false, &why), ERR_OK);
    char text[8192], line[64];
    snprintf(line, sizeof line, "\ncluster %016llx\n", (unsigned long long)own);
    assert_non_null(strstr(bench_read(&bench, "data/keys/current", text), line));
    site_release(&site);
    /* With a line that its format does not have it is damaged. */
    file.size = (size_t)snprintf(file.text, sizeof file.text,
                                 "tidemark-keys 1\nlog 1\nstore 1\ncluster %016llx\nhistory %s\n",
                                 (unsigned long long)own, history);
    text_file_seal(&file);
    sim_disk_put(bench.hands, "data/keys/current", bytes_of(file.text, file.size));
    assert_int_equal(reopen_site(&bench, &site, &why), ERR_CORRUPT);
    bench_close(&bench);
}

/* --- Crashes --- */

enum { OTHER_CLUSTER = 77 };

/* Opens the site and, from the second life on, goes one generation on, into another cluster. */
struct goer {
    struct sim_program program;
    struct bench bench;
    struct site_pointer before, found;
    bool pointed, switches;
    enum err err;
};

static bool goer_start(struct sim_program *program, struct world *world)
{
    struct goer *goer = CONTAINER_OF(program, struct goer, program);
    struct site site;
    struct why why;
    goer->err = site_open(&site, world->disk, world->entropy, "data", &why);
    if (goer->err != ERR_OK) return false;
    goer->pointed = site.pointed;
    goer->found = site.pointer;
    struct site_next next;
    if (goer->switches) {
        goer->err = site_prepare(&site, true, (struct history){{9}}, &next, &why);
        if (site.pointed) next.pointer.cluster = OTHER_CLUSTER;
        struct disk_request make_log = {.op = DISK_MAKE_DIR, .path = next.log};
        if (goer->err == ERR_OK) goer->err = disk_run(world->disk, &make_log);
        struct disk_request make_store = {.op = DISK_MAKE_DIR, .path = next.store};
        if (goer->err == ERR_OK) goer->err = disk_run(world->disk, &make_store);
        if (goer->err == ERR_OK) goer->err = site_switch(&site, &next, &why);
        if (goer->err == ERR_OK) site_sweep(&site);
    }
    site_release(&site);
    return goer->err == ERR_OK;
}

static void goer_stop(struct sim_program *program)
{
    (void)program;
}

static struct sim_node *goer_open(struct goer *goer, struct sim_world *world)
{
    *goer = (struct goer){.program = {goer_start, goer_stop, NULL}, .switches = true};
    struct sim_node *node = sim_node_open(world, &goer->program, NULL);
    assert_true(sim_node_start(node));
    assert_true(sim_node_stop(node));
    return node;
}

static bool has(struct sim_node *node, const char *prefix, uint64_t number)
{
    char path[64];
    struct buffer paths;
    buffer_init(&paths);
    snprintf(path, sizeof path, "data/keys/%s-%d/\n", prefix, (int)number);
    sim_disk_paths(sim_node_disk(node), &paths);
    buffer_append_byte(&paths, 0);
    bool there = strstr((const char *)paths.data, path) != NULL;
    buffer_release(&paths);
    return there;
}

TEST(site, crash_in_mid_install_keeps_the_old_generation_or_has_the_new_one)
{
    struct goer goer;
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = goer_open(&goer, world);
    uint64_t before = sim_node_io(node);
    assert_true(sim_node_start(node));
    uint64_t io = sim_node_io(node);
    assert_true(io > before + 8);
    sim_world_close(world);
    unsigned old = 0, new = 0;
    for (uint64_t at = before; at < io; at++) {
        struct sim_crash crash = {0};
        for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
            world = sim_world_open(1);
            node = goer_open(&goer, world);
            crash.io = at;
            sim_node_crash_at(node, &crash);
            assert_false(sim_node_start(node));
            goer.switches = false;
            assert_true(sim_node_start(node));
            assert_true(goer.pointed);
            bool is_old = goer.found.log == 1 && goer.found.store == 1;
            assert_true(is_old || (goer.found.log == 2 && goer.found.store == 2));
            assert_int_equal(is_old, goer.found.cluster != OTHER_CLUSTER);
            assert_true(has(node, "log", goer.found.log) && has(node, "store", goer.found.store));
            struct site_pointer kept = goer.found;
            sim_node_crash(node, (struct sim_cut){SIM_KEEP_NOTHING, 0});
            assert_true(sim_node_start(node)); /* and it stays so */
            assert_memory_equal(&kept, &goer.found, sizeof kept);
            if (is_old) old++;
            else new ++;
            sim_world_close(world);
        }
    }
    assert_true(old > 10 && new > 10);
}
