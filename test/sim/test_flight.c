/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are submitted: their order, their time, and what a crash does to them on their way.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "test/sim/bench.h"

enum { REQUESTS_MAX = 8 };

/* Runs `act` inside the node with everything that a test needs at hand. */
struct pilot {
    struct sim_visit base;
    struct bench *bench;
    struct disk_file *file;
    void (*act)(struct pilot *pilot);
};

/* Static, because a request must outlive the visit that submits it. */
static struct disk_request requests[REQUESTS_MAX];
static uint8_t *blocks[REQUESTS_MAX];
static unsigned order[REQUESTS_MAX], done_count;

static void request_done(struct disk_request *request)
{
    order[done_count++] = (unsigned)(request - requests);
}

static void pilot_run(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct pilot *pilot = CONTAINER_OF(base, struct pilot, base);
    pilot->act(pilot);
}

static bool fly(struct bench *bench, struct disk_file *file, void (*act)(struct pilot *pilot))
{
    done_count = 0;
    struct pilot pilot = {{pilot_run}, bench, file, act};
    return sim_node_visit(bench->node, &pilot.base);
}

static void submit(const struct pilot *pilot, unsigned at, enum disk_op op, uint64_t offset)
{
    requests[at] = (struct disk_request){.op = op, .file = pilot->file, .offset = offset};
    if (op != DISK_SYNC && op != DISK_CLOSE) {
        requests[at].data = blocks[at];
        requests[at].size = DISK_SECTOR_BYTES;
    }
    requests[at].done = request_done;
    disk_submit(pilot->bench->disk, &requests[at]);
}

static void blocks_make(void)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        blocks[i] = memory_aligned(DISK_SECTOR_BYTES, DISK_SECTOR_BYTES * 2);
        memset(blocks[i], 'a' + (int)i, DISK_SECTOR_BYTES * 2);
    }
}

static void blocks_free(void)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) memory_free(blocks[i]);
}

static struct disk_file *file_make(struct bench *bench, bool direct)
{
    struct disk_request request = {.op = DISK_CREATE, .path = "a", .direct = direct};
    assert_int_equal(disk_run(bench->disk, &request), ERR_OK);
    assert_int_equal(bench_path(bench, DISK_SYNC_DIR, "."), ERR_OK);
    return request.file;
}

static void act_write_apart(struct pilot *pilot)
{
    for (unsigned i = 0; i < REQUESTS_MAX; i++) {
        submit(pilot, i, DISK_WRITE, (uint64_t)i * DISK_SECTOR_BYTES);
    }
    assert_int_equal(done_count, 0);
}

TEST(sim_flight, requests_complete_later_each_once_and_in_an_order_of_the_worlds)
{
    bool was_reordered = false;
    blocks_make();
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct bench bench = bench_open(seed);
        struct disk_file *file = file_make(&bench, true);
        assert_true(fly(&bench, file, act_write_apart));
        assert_int_equal(done_count, 0);
        assert_true(sim_world_settle(bench.world, SIM_SECOND));
        assert_int_equal(done_count, REQUESTS_MAX);
        unsigned seen = 0;
        for (size_t i = 0; i < REQUESTS_MAX; i++) {
            seen |= 1u << order[i];
            was_reordered |= order[i] != i;
            assert_int_equal(requests[i].err, ERR_OK);
            assert_int_equal(requests[i].moved, DISK_SECTOR_BYTES);
        }
        assert_int_equal(seen, (1u << REQUESTS_MAX) - 1);
        bench_close(&bench);
    }
    assert_true(was_reordered);
    blocks_free();
}

TEST(sim_flight, a_stall_takes_as_long_as_it_says_and_hits_only_what_it_is_for)
{
    blocks_make();
    struct bench bench = bench_open(1);
    struct disk_file *file = file_make(&bench, true);
    struct sim_fault fault = {.ops = 1u << DISK_WRITE, .skip = 2, .hits = 1};
    fault.kind = SIM_FAULT_STALL;
    fault.amount = 10 * SIM_SECOND;
    (void)sim_disk_fault(bench.hands, &fault);
    assert_true(fly(&bench, file, act_write_apart));
    assert_true(sim_world_run_for(bench.world, 9 * SIM_SECOND));
    assert_int_equal(done_count, REQUESTS_MAX - 1);
    assert_true(sim_world_run_for(bench.world, 2 * SIM_SECOND));
    assert_int_equal(order[REQUESTS_MAX - 1], 2);
    bench_close(&bench);
    blocks_free();
}

TEST(sim_flight, what_is_in_flight_at_a_crash_has_happened_or_not)
{
    unsigned outcomes = 0;
    blocks_make();
    for (uint64_t number = 0; number < 20; number++) {
        for (enum sim_keep keep = SIM_KEEP_CACHE; keep <= SIM_KEEP_SECTORS; keep++) {
            struct bench bench = bench_open(1);
            struct disk_file *file = file_make(&bench, true);
            assert_true(fly(&bench, file, act_write_apart));
            bench_cut(&bench, keep, number);
            struct buffer kept;
            buffer_init(&kept);
            assert_true(sim_disk_seen(bench.hands, "a", &kept));
            if (keep == SIM_KEEP_NOTHING) assert_int_equal(kept.size, 0);
            if (keep == SIM_KEEP_ALL) assert_int_equal(kept.size, REQUESTS_MAX * DISK_SECTOR_BYTES);
            if (keep == SIM_KEEP_CACHE && kept.size > 0) outcomes |= kept.data[0] == 'a' ? 1u : 2u;
            buffer_release(&kept);
            assert_true(sim_world_run_for(bench.world, SIM_SECOND));
            assert_int_equal(done_count, 0); /* nobody is told any more */
            bench_close(&bench);
        }
    }
    assert_int_equal(outcomes, 3);
    blocks_free();
}

static void act_sync(struct pilot *pilot)
{
    submit(pilot, 0, DISK_SYNC, 0);
}

TEST(sim_flight, a_crash_during_a_sync_may_have_carried_a_part_over)
{
    unsigned sizes = 0; /* a bit for each length found */
    for (uint64_t number = 0; number < 60; number++) {
        struct bench bench = bench_open(1);
        struct disk_file *file = file_make(&bench, false);
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(bench_write(&bench, DISK_WRITE, file, i, "x"), ERR_OK);
        }
        struct sim_crash crash = {sim_node_io(bench.node), SIM_DURING, {SIM_KEEP_NOTHING, number}};
        sim_node_crash_at(bench.node, &crash);
        assert_true(fly(&bench, file, act_sync));
        while (sim_node_is_up(bench.node)) assert_true(sim_world_step(bench.world));
        struct buffer kept;
        buffer_init(&kept);
        assert_true(sim_disk_kept(bench.hands, "a", &kept));
        sizes |= 1u << kept.size;
        buffer_release(&kept);
        bench_close(&bench);
    }
    assert_int_equal(sizes, 15);
}

static void act_write(struct pilot *pilot)
{
    submit(pilot, 0, DISK_WRITE, 0);
}

TEST(sim_flight, a_crash_during_a_write_has_put_a_part_of_it_into_the_cache)
{
    unsigned parts = 0;
    blocks_make();
    for (uint64_t number = 0; number < 20; number++) {
        struct bench bench = bench_open(1);
        struct disk_file *file = file_make(&bench, true);
        struct sim_crash crash = {sim_node_io(bench.node), SIM_DURING, {SIM_KEEP_CACHE, number}};
        sim_node_crash_at(bench.node, &crash);
        assert_true(fly(&bench, file, act_write));
        while (sim_node_is_up(bench.node)) assert_true(sim_world_step(bench.world));
        assert_int_equal(done_count, 0);
        struct buffer seen;
        buffer_init(&seen);
        assert_true(sim_disk_seen(bench.hands, "a", &seen));
        assert_true(seen.size <= DISK_SECTOR_BYTES);
        if (seen.size % DISK_SECTOR_BYTES != 0) parts++;
        buffer_release(&seen);
        bench_close(&bench);
    }
    assert_true(parts > 10);
    blocks_free();
}

/* Whether doing that with a file (opened direct) breaks a MUST sooner or later. */
static bool breaks_must(void (*act)(struct pilot *pilot))
{
    blocks_make();
    struct bench bench = bench_open(1);
    struct disk_file *file = file_make(&bench, true);
    (void)fly(&bench, file, act);
    (void)sim_world_settle(bench.world, SIM_SECOND);
    const char *failure = sim_world_failure(bench.world);
    bool broken = failure != NULL && strstr(failure, "must hold") != NULL;
    assert_int_equal(broken, !sim_node_is_up(bench.node));
    sim_world_close(bench.world);
    blocks_free();
    return broken;
}

static void act_change_bytes(struct pilot *pilot)
{
    submit(pilot, 0, DISK_WRITE, 0);
    blocks[0][17] ^= 1;
}

static void act_write_over(struct pilot *pilot)
{
    submit(pilot, 0, DISK_WRITE, 0);
    submit(pilot, 1, DISK_WRITE_SYNC, 0);
}

static void act_close_early(struct pilot *pilot)
{
    submit(pilot, 0, DISK_WRITE, 0);
    submit(pilot, 1, DISK_CLOSE, 0);
}

static void act_use_closed(struct pilot *pilot)
{
    assert_int_equal(bench_file(pilot->bench, DISK_CLOSE, pilot->file), ERR_OK);
    submit(pilot, 0, DISK_WRITE, 0);
}

static void act_offset_unaligned(struct pilot *pilot)
{
    submit(pilot, 0, DISK_WRITE, DISK_SECTOR_BYTES / 2);
}

static void act_address_unaligned(struct pilot *pilot)
{
    struct disk_request request = {.op = DISK_READ, .file = pilot->file};
    request.data = blocks[0] + DISK_SECTOR_BYTES / 2;
    request.size = DISK_SECTOR_BYTES;
    (void)disk_run(pilot->bench->disk, &request);
}

static void act_size_unaligned(struct pilot *pilot)
{
    struct disk_request request = {.op = DISK_READ, .file = pilot->file, .data = blocks[0]};
    request.size = 100;
    (void)disk_run(pilot->bench->disk, &request);
}

static void act_write_read_only(struct pilot *pilot)
{
    struct disk_request request = {.op = DISK_OPEN, .path = "a", .read_only = true};
    assert_int_equal(disk_run(pilot->bench->disk, &request), ERR_OK);
    (void)bench_write(pilot->bench, DISK_WRITE, request.file, 0, "x");
}

static void act_write_apart_and_sync(struct pilot *pilot)
{
    submit(pilot, 0, DISK_WRITE, 0);
    submit(pilot, 1, DISK_WRITE, DISK_SECTOR_BYTES);
    submit(pilot, 2, DISK_SYNC, 0);
    submit(pilot, 3, DISK_READ, 0);
}

TEST(sim_flight, misuse_of_a_request_is_a_programmer_error)
{
    assert_false(breaks_must(act_write_apart_and_sync));
    assert_true(breaks_must(act_change_bytes));
    assert_true(breaks_must(act_write_over));
    assert_true(breaks_must(act_close_early));
    assert_true(breaks_must(act_use_closed));
    assert_true(breaks_must(act_offset_unaligned));
    assert_true(breaks_must(act_address_unaligned));
    assert_true(breaks_must(act_size_unaligned));
    assert_true(breaks_must(act_write_read_only));
}
