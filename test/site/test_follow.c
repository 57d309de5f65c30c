/* SPDX-License-Identifier: Apache-2.0 */
/* The follow file: whom this copy follows, from one start to the next. */
#include <stdio.h>
#include <string.h>

#include "site/site.h"
#include "site/text_file.h"
#include "test/sim/bench.h"

#define FOLLOW_PATH "data/follow"

static const struct site_follow first = {"10.0.0.7:6379", true, false},
                                second = {"[::1]:7000", false, false}, third = {"h:1", true, true};

static struct bench opened(struct site *site)
{
    struct bench bench = bench_open(1);
    struct world *world = sim_node_world(bench.node);
    struct why why;
    assert_int_equal(site_open(site, world->disk, world->entropy, "data", &why), ERR_OK);
    return bench;
}

static void expect_follow(const struct site *site, const struct site_follow *wanted)
{
    struct site_follow found;
    struct why why;
    assert_int_equal(site_follow_read(site, &found, &why), ERR_OK);
    assert_string_equal(found.address, wanted->address);
    assert_int_equal(found.wipe, wanted->wipe);
    assert_int_equal(found.redis, wanted->redis);
}

TEST(site_follow, what_was_written_is_read_until_it_is_removed_and_all_of_it_is_durable)
{
    struct site site;
    struct bench bench = opened(&site);
    struct site_follow found;
    struct why why;
    assert_int_equal(site_follow_read(&site, &found, &why), ERR_NOT_FOUND);
    assert_int_equal(site_follow_remove(&site, &why), ERR_OK);
    assert_int_equal(site_follow_write(&site, &first, &why), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    expect_follow(&site, &first);
    assert_int_equal(site_follow_write(&site, &second, &why), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    expect_follow(&site, &second);
    assert_int_equal(site_follow_write(&site, &third, &why), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    expect_follow(&site, &third);
    assert_int_equal(site_follow_remove(&site, &why), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_int_equal(site_follow_read(&site, &found, &why), ERR_NOT_FOUND);
    site_release(&site);
    bench_close(&bench);
}

/* A start between the two has only seen that it is gone. */
TEST(site_follow, one_that_is_gone_already_is_removed_durably_all_the_same)
{
    struct site site;
    struct bench bench = opened(&site);
    struct site_follow found;
    struct why why;
    assert_int_equal(site_follow_write(&site, &first, &why), ERR_OK);
    const struct sim_fault fault = {.ops = 1 << DISK_SYNC_DIR, .hits = 1, .kind = SIM_FAULT_ERROR};
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(site_follow_remove(&site, &why), ERR_IO);
    assert_int_equal(site_follow_read(&site, &found, &why), ERR_NOT_FOUND);
    assert_int_equal(site_follow_remove(&site, &why), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_int_equal(site_follow_read(&site, &found, &why), ERR_NOT_FOUND);
    site_release(&site);
    bench_close(&bench);
}

TEST(site_follow, what_would_not_be_read_again_is_not_written)
{
    static const char *const bad[] = {"",         "host",       ":6379",       "host:",
                                      "host:63x", "a b:1",      "host:1\nx:2", "h\xc3\xb6st:1",
                                      "host:1 ",  "host\x7f:1", "\thost:1",    "host:-1"};
    struct site site;
    struct bench bench = opened(&site);
    struct site_follow follow = {.wipe = true};
    struct why why;
    assert_int_equal(site_follow_write(&site, &first, &why), ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(follow.address, sizeof follow.address, "%s", bad[i]);
        assert_int_equal(site_follow_write(&site, &follow, &why), ERR_CONFIG);
    }
    memset(follow.address, '1', sizeof follow.address); /* without its zero */
    follow.address[4] = ':';
    assert_int_equal(site_follow_write(&site, &follow, &why), ERR_CONFIG);
    expect_follow(&site, &first);
    follow.address[sizeof follow.address - 1] = '\0'; /* the longest */
    assert_int_equal(site_follow_write(&site, &follow, &why), ERR_OK);
    expect_follow(&site, &follow);
    site_release(&site);
    bench_close(&bench);
}

TEST(site_follow, every_flipped_bit_and_every_cut_is_noticed)
{
    struct site site;
    struct bench bench = opened(&site);
    struct site_follow found;
    struct why why;
    assert_int_equal(site_follow_write(&site, &first, &why), ERR_OK);
    struct buffer good;
    buffer_init(&good);
    assert_true(sim_disk_seen(bench.hands, FOLLOW_PATH, &good));
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sim_disk_put(bench.hands, FOLLOW_PATH, buffer_bytes(&good));
        enum err err = site_follow_read(&site, &found, &why);
        assert_true(err == ERR_CORRUPT || err == ERR_REFUSED);
        good.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < good.size; size++) {
        sim_disk_put(bench.hands, FOLLOW_PATH, bytes_of(good.data, size));
        assert_int_equal(site_follow_read(&site, &found, &why), ERR_CORRUPT);
        assert_non_null(strstr(why.text, FOLLOW_PATH));
    }
    sim_disk_put(bench.hands, FOLLOW_PATH, bytes_text("tidemark-follow 2\nsomething\n"));
    assert_int_equal(site_follow_read(&site, &found, &why), ERR_REFUSED);
    assert_non_null(strstr(why.text, "format 2"));
    buffer_release(&good);
    site_release(&site);
    bench_close(&bench);
}

/* --- Crashes --- */

/* The first life writes the one; the second writes the other, or removes it. */
struct turner {
    struct sim_program program;
    bool turns, removes;
    struct site_follow found;
    enum err err;
};

static bool turner_start(struct sim_program *program, struct world *world)
{
    struct turner *turner = CONTAINER_OF(program, struct turner, program);
    struct site site;
    struct why why;
    enum err err = site_open(&site, world->disk, world->entropy, "data", &why);
    if (err != ERR_OK) return false;
    turner->err = site_follow_read(&site, &turner->found, &why);
    if (turner->err == ERR_NOT_FOUND && turner->turns) err = site_follow_write(&site, &first, &why);
    else if (turner->turns && turner->removes) err = site_follow_remove(&site, &why);
    else if (turner->turns) err = site_follow_write(&site, &second, &why);
    site_release(&site);
    return err == ERR_OK;
}

static void turner_stop(struct sim_program *program)
{
    (void)program;
}

static struct sim_node *turner_open(struct turner *turner, struct sim_world *world, bool removes)
{
    *turner = (struct turner){
        .program = {turner_start, turner_stop, NULL}, .turns = true, .removes = removes};
    struct sim_node *node = sim_node_open(world, &turner->program, NULL);
    assert_true(sim_node_start(node));
    assert_true(sim_node_stop(node));
    return node;
}

/* After it: the old one, or what followed it; never neither, never a mixture. */
static unsigned crash_at(uint64_t at, const struct sim_crash *where, bool removes)
{
    struct turner turner;
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = turner_open(&turner, world, removes);
    struct sim_crash crash = *where;
    crash.io = at;
    sim_node_crash_at(node, &crash);
    assert_false(sim_node_start(node));
    turner.turns = false;
    assert_true(sim_node_start(node));
    bool is_old = turner.err == ERR_OK && strcmp(turner.found.address, first.address) == 0;
    if (is_old) assert_true(turner.found.wipe);
    else if (removes) assert_int_equal(turner.err, ERR_NOT_FOUND);
    else assert_true(turner.err == ERR_OK && !turner.found.wipe);
    if (!is_old && !removes) assert_string_equal(turner.found.address, second.address);
    assert_null(sim_world_failure(world));
    sim_world_close(world);
    return is_old;
}

TEST(site_follow, a_crash_at_any_operation_leaves_the_old_one_or_the_new)
{
    for (unsigned removes = 0; removes < 2; removes++) {
        struct turner turner;
        struct sim_world *world = sim_world_open(1);
        struct sim_node *node = turner_open(&turner, world, removes == 1);
        uint64_t before = sim_node_io(node);
        assert_true(sim_node_start(node));
        uint64_t io = sim_node_io(node);
        sim_world_close(world);
        unsigned old = 0, all = 0;
        for (uint64_t at = before; at < io; at++) {
            struct sim_crash crash = {0};
            for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++, all++)
                old += crash_at(at, &crash, removes == 1);
        }
        assert_true(old > 5 && old < all);
    }
}
