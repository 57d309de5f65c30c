/* SPDX-License-Identifier: Apache-2.0 */
/* The unproven file: from a rebuild until the copy is in sync again, over every crash. */
#include "site/site.h"
#include "test/sim/bench.h"

#define UNPROVEN_PATH "data/unproven"

static struct bench opened(struct site *site)
{
    struct bench bench = bench_open(1);
    struct world *world = sim_node_world(bench.node);
    struct why why;
    assert_int_equal(site_open(site, world->disk, world->entropy, "data", &why), ERR_OK);
    return bench;
}

/* As the next start sees it. */
static bool is_unproven(struct site *site)
{
    struct why why;
    site->unproven = false;
    assert_int_equal(site_unproven_read(site, &why), ERR_OK);
    return site->unproven;
}

TEST(site_unproven, it_is_durable_from_when_it_is_said_until_the_contrary_is)
{
    struct site site;
    struct bench bench = opened(&site);
    struct why why;
    assert_false(is_unproven(&site));
    assert_int_equal(site_set_proven(&site, &why), ERR_OK);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(site_set_unproven(&site, &why), ERR_OK);
        assert_true(site.unproven);
        assert_int_equal(site_set_unproven(&site, &why), ERR_OK); /* rebuilt once more */
        bench_cut(&bench, SIM_KEEP_NOTHING, 0);
        assert_true(is_unproven(&site));
        assert_int_equal(site_set_proven(&site, &why), ERR_OK);
        assert_false(site.unproven);
        bench_cut(&bench, SIM_KEEP_NOTHING, 0);
        assert_false(is_unproven(&site));
    }
    site_release(&site);
    bench_close(&bench);
}

TEST(site_unproven, the_bytes_are_those_that_the_format_says)
{
    struct site site;
    struct bench bench = opened(&site);
    struct why why;
    struct buffer bytes;
    buffer_init(&bytes);
    assert_int_equal(site_set_unproven(&site, &why), ERR_OK);
    assert_true(sim_disk_seen(bench.hands, UNPROVEN_PATH, &bytes));
    static const char wanted[] = "tidemark-unproven 1\ncheck 59db03b80b5ad264\n";
    assert_true(bytes_equal(buffer_bytes(&bytes), bytes_text(wanted)));
    buffer_release(&bytes);
    site_release(&site);
    bench_close(&bench);
}

TEST(site_unproven, one_that_does_not_read_is_a_doubt_and_can_be_ended)
{
    static const char *const texts[] = {"", "tidemark-unproven 1\n", "tidemark-unproven 2\nx\n",
                                        "something else"};
    struct site site;
    struct bench bench = opened(&site);
    struct why why;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sim_disk_put(bench.hands, UNPROVEN_PATH, bytes_text(texts[i]));
        assert_true(is_unproven(&site));
        assert_int_equal(site_set_proven(&site, &why), ERR_OK);
        assert_false(is_unproven(&site));
    }
    site_release(&site);
    bench_close(&bench);
}

static void fail_next(struct bench *bench, enum disk_op op)
{
    const struct sim_fault fault = {.ops = 1u << op, .hits = 1, .kind = SIM_FAULT_ERROR};
    (void)sim_disk_fault(bench->hands, &fault);
}

TEST(site_unproven, when_it_cannot_be_read_the_error_is_told_and_it_is_a_doubt)
{
    static const enum disk_op ops[] = {DISK_OPEN, DISK_READ};
    struct site site;
    struct bench bench = opened(&site);
    struct why why;
    assert_int_equal(site_set_unproven(&site, &why), ERR_OK);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        site.unproven = false;
        fail_next(&bench, ops[i]);
        assert_int_equal(site_unproven_read(&site, &why), ERR_IO);
        assert_non_null(strstr(why.text, UNPROVEN_PATH));
        assert_true(site.unproven);
        assert_true(is_unproven(&site));
    }
    site_release(&site);
    bench_close(&bench);
}

TEST(site_unproven, what_could_not_be_said_for_sure_is_a_doubt_until_its_end_is_durable)
{
    static const enum disk_op ops[] = {DISK_CREATE, DISK_WRITE_SYNC, DISK_RENAME, DISK_SYNC_DIR};
    struct site site;
    struct bench bench = opened(&site);
    struct why why;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        fail_next(&bench, ops[i]);
        assert_int_equal(site_set_unproven(&site, &why), ERR_IO);
        assert_true(site.unproven);
        fail_next(&bench, DISK_SYNC_DIR);
        assert_int_equal(site_set_proven(&site, &why), ERR_IO);
        assert_true(site.unproven); /* it may come back */
        assert_int_equal(site_set_proven(&site, &why), ERR_OK);
        bench_cut(&bench, SIM_KEEP_NOTHING, 0);
        assert_false(is_unproven(&site));
    }
    site_release(&site);
    bench_close(&bench);
}

/* --- Crashes --- */

/* The first life makes the directory, and says that it is unproven if `ends`; the second one says
 * so, or the contrary. */
struct turner {
    struct sim_program program;
    bool turns, ends, made;
    bool found;
};

static bool turner_start(struct sim_program *program, struct world *world)
{
    struct turner *turner = CONTAINER_OF(program, struct turner, program);
    struct site site;
    struct why why;
    enum err err = site_open(&site, world->disk, world->entropy, "data", &why);
    if (err != ERR_OK) return false;
    err = site_unproven_read(&site, &why);
    turner->found = site.unproven;
    if (err == ERR_OK && !turner->made && turner->ends) err = site_set_unproven(&site, &why);
    if (err == ERR_OK && turner->turns)
        err = turner->ends ? site_set_proven(&site, &why) : site_set_unproven(&site, &why);
    site_release(&site);
    return err == ERR_OK;
}

static void turner_stop(struct sim_program *program)
{
    (void)program;
}

static struct sim_node *turner_open(struct turner *turner, struct sim_world *world, bool ends)
{
    *turner = (struct turner){.program = {turner_start, turner_stop, NULL}, .ends = ends};
    struct sim_node *node = sim_node_open(world, &turner->program, NULL);
    assert_true(sim_node_start(node));
    assert_true(sim_node_stop(node));
    turner->made = turner->turns = true;
    return node;
}

TEST(site_unproven, a_crash_at_any_operation_leaves_it_said_or_not_and_the_next_can_say_either)
{
    for (unsigned ends = 0; ends < 2; ends++) {
        struct turner turner;
        struct sim_world *world = sim_world_open(1);
        struct sim_node *node = turner_open(&turner, world, ends == 1);
        uint64_t before = sim_node_io(node);
        assert_true(sim_node_start(node));
        uint64_t io = sim_node_io(node);
        sim_world_close(world);
        unsigned unproven = 0, all = 0;
        for (uint64_t at = before; at < io; at++) {
            struct sim_crash crash = {0};
            for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++, all++) {
                world = sim_world_open(1);
                node = turner_open(&turner, world, ends == 1);
                crash.io = at;
                sim_node_crash_at(node, &crash);
                assert_false(sim_node_start(node));
                turner.turns = false;
                assert_true(sim_node_start(node));
                unproven += turner.found;
                assert_true(sim_node_stop(node));
                turner.turns = true;
                assert_true(sim_node_start(node));
                sim_node_crash(node, (struct sim_cut){SIM_KEEP_NOTHING, 0});
                turner.turns = false;
                assert_true(sim_node_start(node));
                assert_int_equal(turner.found, ends == 0);
                assert_null(sim_world_failure(world));
                sim_world_close(world);
            }
        }
        assert_true(unproven > 2 && unproven < all);
    }
}
