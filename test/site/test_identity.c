/* SPDX-License-Identifier: Apache-2.0 */
/* The identity file: made once, read ever after, and refused where it is missing or damaged. */
#include "site/identity.h"

#include <string.h>

#include "test/sim/bench.h"

static enum err open_it(struct bench *bench, struct identity *identity, bool *made, struct why *why)
{
    struct world *world = sim_node_world(bench->node);
    return identity_open(world->disk, world->entropy, "data", identity, made, why);
}

static struct bench bench_with_directory(void)
{
    struct bench bench = bench_open(1);
    assert_int_equal(bench_path(&bench, DISK_MAKE_DIR, "data"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    return bench;
}

TEST(site_identity, is_made_in_an_empty_directory_and_read_from_then_on)
{
    struct bench bench = bench_with_directory();
    struct identity made_one, read_one, only_read;
    struct why why;
    bool made = false;
    assert_int_equal(identity_read(bench.disk, "data", &only_read, &why), ERR_NOT_FOUND);
    assert_int_equal(open_it(&bench, &made_one, &made, &why), ERR_OK);
    assert_true(made);
    assert_true(made_one.copy > 0 && made_one.copy <= UINT32_MAX);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0); /* it is durable */
    assert_int_equal(open_it(&bench, &read_one, &made, &why), ERR_OK);
    assert_false(made);
    assert_memory_equal(&made_one, &read_one, sizeof made_one);
    assert_int_equal(identity_read(bench.disk, "data", &only_read, &why), ERR_OK);
    assert_memory_equal(&made_one, &only_read, sizeof made_one);
    bench_close(&bench);
}

TEST(site_identity, leftovers_of_a_start_that_was_cut_off_do_not_stand_in_the_way)
{
    struct bench bench = bench_with_directory();
    sim_disk_put(bench.hands, "data/identity.tmp", bytes_text("tidemark 1\nclus"));
    sim_disk_put(bench.hands, "data/lock", bytes_text(""));
    struct identity identity;
    struct why why;
    bool made = false;
    assert_int_equal(open_it(&bench, &identity, &made, &why), ERR_OK);
    assert_true(made);
    bench_close(&bench);
}

TEST(site_identity, a_directory_with_other_files_and_no_identity_is_refused_and_left_alone)
{
    static const char *const names[] = {"data/keys", "data/notes.txt", "data/dump.rdb"};
    for (size_t i = 0; i < 3; i++) {
        struct bench bench = bench_with_directory();
        sim_disk_put(bench.hands, names[i], bytes_text("x"));
        struct identity identity;
        struct why why;
        bool made = false;
        char text[8192];
        assert_int_equal(open_it(&bench, &identity, &made, &why), ERR_REFUSED);
        assert_non_null(strstr(why.text, "is not empty and has no identity file"));
        assert_false(made);
        assert_string_equal(bench_read(&bench, "data/identity", text), "-");
        bench_close(&bench);
    }
}

TEST(site_identity, every_flipped_bit_and_every_cut_is_noticed)
{
    struct bench bench = bench_with_directory();
    struct identity identity;
    struct why why;
    bool made;
    assert_int_equal(open_it(&bench, &identity, &made, &why), ERR_OK);
    struct buffer good;
    buffer_init(&good);
    assert_true(sim_disk_seen(bench.hands, "data/identity", &good));
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sim_disk_put(bench.hands, "data/identity", buffer_bytes(&good));
        enum err err = open_it(&bench, &identity, &made, &why);
        assert_true(err == ERR_CORRUPT || err == ERR_REFUSED);
        good.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < good.size; size++) {
        sim_disk_put(bench.hands, "data/identity", bytes_of(good.data, size));
        assert_int_equal(open_it(&bench, &identity, &made, &why), ERR_CORRUPT);
    }
    buffer_append(&good, bytes_of("\0more", 5));
    sim_disk_put(bench.hands, "data/identity", buffer_bytes(&good));
    assert_int_equal(open_it(&bench, &identity, &made, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "data/identity"));
    buffer_release(&good);
    bench_close(&bench);
}

TEST(site_identity, a_later_format_is_refused_and_not_called_damaged)
{
    struct bench bench = bench_with_directory();
    sim_disk_put(bench.hands, "data/identity", bytes_text("tidemark 2\nsomething else\n"));
    struct identity identity;
    struct why why;
    bool made;
    assert_int_equal(open_it(&bench, &identity, &made, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "format 2"));
    bench_close(&bench);
}

TEST(site_identity, an_error_at_any_operation_is_reported_and_the_next_try_succeeds)
{
    bool hit = true;
    for (uint64_t at = 0; hit; at++) {
        struct bench bench = bench_with_directory();
        struct sim_fault fault = {.ops = UINT64_MAX, .skip = at, .hits = 1};
        (void)sim_disk_fault(bench.hands, &fault);
        struct identity identity;
        struct why why;
        bool made = false;
        (void)open_it(&bench, &identity, &made, &why);
        hit = sim_disk_fault_hits(bench.hands) > 0;
        sim_disk_unfault(bench.hands, 0);
        assert_int_equal(open_it(&bench, &identity, &made, &why), ERR_OK);
        bench_close(&bench);
        assert_true(at < 50);
    }
}

/* --- Crashes --- */

struct maker {
    struct sim_program program;
    struct identity identity;
    bool made;
    enum err err;
};

static bool maker_start(struct sim_program *program, struct world *world)
{
    struct maker *maker = CONTAINER_OF(program, struct maker, program);
    struct why why;
    maker->err = identity_open(world->disk, world->entropy, "data", &maker->identity, &maker->made,
                               &why);
    return maker->err == ERR_OK;
}

static void maker_stop(struct sim_program *program)
{
    (void)program;
}

static struct sim_node *maker_open(struct maker *maker, struct sim_world *world)
{
    *maker = (struct maker){.program = {maker_start, maker_stop, NULL}};
    struct sim_node *node = sim_node_open(world, &maker->program, NULL);
    struct disk *disk = sim_node_world(node)->disk;
    struct disk_request make = {.op = DISK_MAKE_DIR, .path = "data"};
    assert_int_equal(disk_run(disk, &make), ERR_OK);
    struct disk_request sync = {.op = DISK_SYNC_DIR, .path = "."};
    assert_int_equal(disk_run(disk, &sync), ERR_OK);
    return node;
}

TEST(site_identity, a_crash_at_any_operation_leaves_the_same_identity_or_none)
{
    struct maker maker;
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = maker_open(&maker, world);
    uint64_t before = sim_node_io(node);
    assert_true(sim_node_start(node));
    uint64_t io = sim_node_io(node);
    assert_true(io > before + 5);
    sim_world_close(world);
    for (uint64_t at = before; at < io; at++) {
        struct sim_crash crash = {0};
        for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
            world = sim_world_open(1);
            node = maker_open(&maker, world);
            crash.io = at;
            sim_node_crash_at(node, &crash);
            assert_false(sim_node_start(node));
            assert_true(sim_node_start(node)); /* what is there reads, or there is nothing */
            struct identity kept = maker.identity;
            sim_node_crash(node, (struct sim_cut){SIM_KEEP_ALL, 0});
            assert_true(sim_node_start(node));
            assert_false(maker.made);
            assert_memory_equal(&kept, &maker.identity, sizeof kept);
            assert_null(sim_world_failure(world));
            sim_world_close(world);
        }
    }
}

/* Found by simulation: the power took a name that a start before had only seen. */
TEST(site_identity, one_whose_name_could_not_be_synced_is_written_again_before_it_is_used)
{
    struct bench bench = bench_with_directory();
    struct identity first, second, third;
    struct why why;
    bool made = false;
    const struct sim_fault fault = {.ops = 1 << DISK_SYNC_DIR, .hits = 1, .kind = SIM_FAULT_ERROR};
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(open_it(&bench, &first, &made, &why), ERR_IO);
    assert_int_equal(open_it(&bench, &second, &made, &why), ERR_OK); /* it is seen */
    assert_false(made);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_int_equal(open_it(&bench, &third, &made, &why), ERR_OK);
    assert_false(made);
    assert_memory_equal(&second, &third, sizeof second);
    bench_close(&bench);
}
