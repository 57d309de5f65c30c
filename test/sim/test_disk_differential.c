/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk against the real one: random requests on a few names; every result must be the
 * same. What a crash leaves and how long things take cannot be compared. */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/real.h"
#include "test/sim/bench.h"

enum { HANDLES = 4, STEPS = 600, PATH_BYTES = 96, DATA_BYTES = 3000 };

struct pair {
    struct bench bench;
    struct disk *real;
    struct disk_file *sim_files[HANDLES], *real_files[HANDLES];
    struct dice dice;
    unsigned done[DISK_LOCK + 1]; /* how many of each kind succeeded */
    char directory[64];
};

static const char *path_draw(struct dice *dice)
{
    static const char *const paths[] = {"a",   "b", "c",   "d",   "d/a",
                                        "d/b", "e", "e/a", "d/e", "d/e/a"};
    return paths[dice_below(dice, sizeof(paths) / sizeof(paths[0]))];
}

/* Asks both; true if both say ERR_OK. */
static bool pair_ask(struct pair *pair, struct disk_request *sim, struct disk_request *real)
{
    char path[PATH_BYTES], path_to[PATH_BYTES];
    *real = *sim;
    if (sim->path != NULL) {
        snprintf(path, sizeof(path), "%s/%s", pair->directory, sim->path);
        real->path = path;
    }
    if (sim->path_to != NULL) {
        snprintf(path_to, sizeof(path_to), "%s/%s", pair->directory, sim->path_to);
        real->path_to = path_to;
    }
    enum err err = disk_run(pair->bench.disk, sim);
    enum err real_err = disk_run(pair->real, real);
    if (err != real_err) {
        fail_msg("op %d on %s: sim %s (%s), real %s (%s)", (int)sim->op, sim->path, err_name(err),
                 sim->why.text, err_name(real_err), real->why.text);
    }
    if (err == ERR_OK) pair->done[sim->op]++;
    return err == ERR_OK;
}

static void pair_close_file(struct pair *pair, size_t at)
{
    if (pair->sim_files[at] == NULL) return;
    assert_int_equal(bench_file(&pair->bench, DISK_CLOSE, pair->sim_files[at]), ERR_OK);
    struct disk_request request = {.op = DISK_CLOSE, .file = pair->real_files[at]};
    assert_int_equal(disk_run(pair->real, &request), ERR_OK);
    pair->sim_files[at] = pair->real_files[at] = NULL;
}

static void pair_open_file(struct pair *pair, size_t at)
{
    struct disk_request sim = {.path = path_draw(&pair->dice)}, real;
    sim.op = dice_chance(&pair->dice, 1, 2) ? DISK_OPEN : DISK_CREATE;
    pair_close_file(pair, at);
    if (!pair_ask(pair, &sim, &real)) return;
    assert_int_equal(real.size, sim.size);
    pair->sim_files[at] = sim.file;
    pair->real_files[at] = real.file;
}

static void pair_names(struct pair *pair, enum disk_op op)
{
    struct disk_request real, sim = {.op = op, .path = path_draw(&pair->dice)};
    if (op == DISK_RENAME) sim.path_to = path_draw(&pair->dice);
    (void)pair_ask(pair, &sim, &real);
}

static void pair_list(struct pair *pair)
{
    struct buffer one, other;
    buffer_init(&one);
    buffer_init(&other);
    const char *path = dice_chance(&pair->dice, 1, 2) ? "." : path_draw(&pair->dice);
    struct disk_request sim = {.op = DISK_LIST, .path = path, .names = &one};
    char real_path[PATH_BYTES];
    snprintf(real_path, sizeof(real_path), "%s/%s", pair->directory, path);
    struct disk_request real = {.op = DISK_LIST, .path = real_path, .names = &other};
    assert_int_equal(disk_run(pair->bench.disk, &sim), disk_run(pair->real, &real));
    assert_true(bytes_equal(buffer_bytes(&one), buffer_bytes(&other)));
    if (one.size > 2) pair->done[DISK_LIST]++;
    buffer_release(&one);
    buffer_release(&other);
}

/* Both of the pair's files; each request has the file of its own disk. */
static void pair_data(struct pair *pair, enum disk_op op, size_t at)
{
    uint8_t bytes[2][DATA_BYTES];
    uint64_t offset = dice_below(&pair->dice, 4000), size = dice_below(&pair->dice, DATA_BYTES);
    memset(bytes, (int)dice_below(&pair->dice, 256), sizeof(bytes));
    struct disk_request requests[2];
    for (size_t i = 0; i < 2; i++) {
        requests[i] = (struct disk_request){.op = op, .offset = offset, .size = size};
        requests[i].file = i == 0 ? pair->sim_files[at] : pair->real_files[at];
        requests[i].data = bytes[i];
        enum err err = disk_run(i == 0 ? pair->bench.disk : pair->real, &requests[i]);
        assert_int_equal(err, ERR_OK);
    }
    pair->done[op]++;
    if (op != DISK_READ) return;
    assert_int_equal(requests[0].moved, requests[1].moved);
    assert_memory_equal(bytes[0], bytes[1], DATA_BYTES);
}

static void pair_run(uint64_t seed, unsigned done[DISK_LOCK + 1])
{
    struct pair pair = {.bench = bench_open(seed), .directory = "/tmp/tidemark-disk-XXXXXX"};
    dice_init(&pair.dice, seed);
    assert_non_null(mkdtemp(pair.directory));
    real_disk_open(&pair.real, REAL_LOG_SYNC_FDATASYNC);
    for (int step = 0; step < STEPS; step++) {
        static const enum disk_op on_names[] = {DISK_RENAME, DISK_REMOVE, DISK_MAKE_DIR,
                                                DISK_SYNC_DIR};
        static const enum disk_op on_data[] = {DISK_READ,     DISK_READ, DISK_WRITE,
                                               DISK_WRITE,    DISK_SYNC, DISK_WRITE_SYNC,
                                               DISK_TRUNCATE, DISK_FILL};
        size_t at = (size_t)dice_below(&pair.dice, HANDLES);
        uint64_t what = dice_below(&pair.dice, 10);
        if (what < 2) {
            pair_open_file(&pair, at);
        } else if (what < 5) {
            pair_names(&pair, on_names[dice_below(&pair.dice, 4)]);
        } else if (what < 6) {
            pair_list(&pair);
        } else if (pair.sim_files[at] != NULL) {
            pair_data(&pair, on_data[dice_below(&pair.dice, 8)], at);
        }
    }
    for (size_t i = 0; i < HANDLES; i++) pair_close_file(&pair, i);
    for (size_t i = 0; i <= DISK_LOCK; i++) done[i] += pair.done[i];
    real_disk_close(pair.real);
    char command[80];
    snprintf(command, sizeof(command), "rm -rf '%s'", pair.directory);
    assert_int_equal(system(command), 0);
    bench_close(&pair.bench);
}

TEST(sim_disk_differential, the_model_answers_as_the_real_disk_does)
{
    unsigned done[DISK_LOCK + 1] = {0};
    for (uint64_t seed = 1; seed <= 12; seed++) pair_run(seed, done);
    for (enum disk_op op = DISK_OPEN; op <= DISK_LIST; op++) {
        if (op != DISK_CLOSE) assert_true(done[op] > 20); /* else little was compared */
    }
}
