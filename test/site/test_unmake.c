/* SPDX-License-Identifier: Apache-2.0 */
/* A site that never counted is taken away as if it had never been. */
#include <string.h>

#include "base/memory.h"
#include "site/site.h"
#include "test/sim/bench.h"

static struct site open_site(struct bench *bench, const char *directory)
{
    struct world *world = sim_node_world(bench->node);
    struct site site;
    struct why why;
    if (site_open(&site, world->disk, world->entropy, directory, &why) != ERR_OK)
        fail_msg("%s", why.text);
    return site;
}

/* Something in a store that is being made. */
static void fill(struct bench *bench, struct site *site)
{
    struct site_next next;
    struct why why;
    assert_int_equal(site_prepare(site, true, (struct history){{1}}, &next, &why), ERR_OK);
    assert_int_equal(bench_path(bench, DISK_MAKE_DIR, next.store), ERR_OK);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/table", next.store);
    sim_disk_put(bench->hands, path, bytes_text("x"));
    memory_free(next.log);
    memory_free(next.store);
}

static bool is_there(struct bench *bench, const char *directory, struct buffer *names)
{
    buffer_clear(names);
    struct disk_request list = {.op = DISK_LIST, .path = directory, .names = names};
    return disk_run(bench->disk, &list) == ERR_OK;
}

TEST(site_unmake, leaves_an_empty_directory_or_none)
{
    for (unsigned absent = 0; absent < 2; absent++) {
        struct bench bench = bench_open(1);
        struct buffer names;
        buffer_init(&names);
        if (absent == 0) assert_int_equal(bench_path(&bench, DISK_MAKE_DIR, "data"), ERR_OK);
        struct site site = open_site(&bench, "data");
        fill(&bench, &site);
        site_unmake(&site, absent == 1);
        assert_null(site.directory);
        assert_int_equal(is_there(&bench, "data", &names), absent == 0);
        assert_int_equal(names.size, 0);
        buffer_release(&names);
        bench_close(&bench);
    }
}

TEST(site_unmake, keeps_its_identity_as_long_as_something_of_it_is_there)
{
    struct bench bench = bench_open(1);
    struct site site = open_site(&bench, "data");
    fill(&bench, &site);
    struct sim_fault fault = {
        .ops = 1u << DISK_REMOVE, .paths = "*/table", .kind = SIM_FAULT_ERROR, .hits = 1};
    (void)sim_disk_fault(bench.hands, &fault);
    site_unmake(&site, true);
    bench_cut(&bench, SIM_KEEP_ALL, 0); /* the lock was the process's */
    site = open_site(&bench, "data");   /* not refused */
    assert_false(site.pointed);
    site_release(&site);
    bench_close(&bench);
}
