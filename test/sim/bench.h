/* SPDX-License-Identifier: Apache-2.0 */
/* bench: one world with one node and no program, for the tests of the simulated world. */
#ifndef TEST_SIM_BENCH_H
#define TEST_SIM_BENCH_H

#include "base/buffer.h"
#include "sim/disk.h"
#include "sim/node.h"
#include "sim/world.h"
#include "test/test.h"

struct bench {
    struct sim_world *world;
    struct sim_node *node;
    struct disk *disk; /* the seam */
    struct sim_disk *hands;
};

static inline struct bench bench_open(uint64_t seed)
{
    struct bench bench = {.world = sim_world_open(seed)};
    bench.node = sim_node_open(bench.world, NULL, NULL);
    bench.disk = sim_node_world(bench.node)->disk;
    bench.hands = sim_node_disk(bench.node);
    assert_true(sim_node_start(bench.node));
    return bench;
}

static inline void bench_close(struct bench *bench)
{
    assert_null(sim_world_failure(bench->world));
    sim_world_close(bench->world);
}

/* Cuts the power and boots again. */
static inline void bench_cut(struct bench *bench, enum sim_keep keep, uint64_t number)
{
    sim_node_crash(bench->node, (struct sim_cut){keep, number});
    assert_true(sim_node_start(bench->node));
}

static inline struct disk_file *bench_create(struct bench *bench, const char *path)
{
    struct disk_request request = {.op = DISK_CREATE, .path = path};
    assert_int_equal(disk_run(bench->disk, &request), ERR_OK);
    return request.file;
}

static inline struct disk_file *bench_open_file(struct bench *bench, const char *path)
{
    struct disk_request request = {.op = DISK_OPEN, .path = path};
    assert_int_equal(disk_run(bench->disk, &request), ERR_OK);
    return request.file;
}

static inline enum err bench_path(struct bench *bench, enum disk_op op, const char *path)
{
    struct disk_request request = {.op = op, .path = path};
    return disk_run(bench->disk, &request);
}

static inline enum err bench_file(struct bench *bench, enum disk_op op, struct disk_file *file)
{
    struct disk_request request = {.op = op, .file = file};
    return disk_run(bench->disk, &request);
}

/* `text` is not changed by a write. */
static inline enum err bench_write(struct bench *bench, enum disk_op op, struct disk_file *file,
                                   uint64_t offset, const char *text)
{
    struct disk_request request = {.op = op, .file = file, .offset = offset, .size = strlen(text)};
    request.data = (void *)(uintptr_t)text;
    return disk_run(bench->disk, &request);
}

/* What a reader finds at the path, as text; "-" if there is no such file. */
static inline const char *bench_read(struct bench *bench, const char *path, char out[8192])
{
    struct disk_request request = {.op = DISK_OPEN, .path = path, .read_only = true};
    if (disk_run(bench->disk, &request) == ERR_NOT_FOUND) return "-";
    struct disk_file *file = request.file;
    request = (struct disk_request){.op = DISK_READ, .file = file, .data = out, .size = 8191};
    assert_int_equal(disk_run(bench->disk, &request), ERR_OK);
    out[request.moved] = '\0';
    assert_int_equal(bench_file(bench, DISK_CLOSE, file), ERR_OK);
    return out;
}

#endif
