/* SPDX-License-Identifier: Apache-2.0 */
/* Disk requests on a loop: who carries them out, when done() comes, and with what. */
#include <errno.h>
#include <time.h>

#include "real/disk.h"
#include "test/real/help.h"

/* Stands before the C library's, so that a sync can fail and be slow. */
static int sync_errno;
static long sync_pause_us;

int fdatasync(int descriptor)
{
    struct timespec pause = {.tv_nsec = sync_pause_us * 1000};
    if (sync_pause_us > 0) (void)nanosleep(&pause, NULL);
    if (sync_errno == 0) return fsync(descriptor);
    errno = sync_errno;
    return -1;
}

struct loop_disk {
    struct place_for_test place;
    struct real_world *real;
    struct world world;
    struct disk_request requests[40];
    bool inside;
    int done, wanted, ran;
    struct task task;
    struct timer timer;
    bool order_seen;
};

static struct loop_disk *loop_disk_now;

static void loop_done(struct disk_request *request)
{
    struct loop_disk *test = loop_disk_now;
    (void)request;
    assert_false(test->inside);
    test->done += 1;
    if (test->done == test->wanted) real_world_stop(test->real);
}

static void loop_submit(struct loop_disk *test, struct disk_request *request)
{
    request->done = loop_done;
    test->inside = true;
    disk_submit(test->world.disk, request);
    test->inside = false;
}

static void loop_begin(struct loop_disk *test, enum real_log_sync log_sync)
{
    memset(test, 0, sizeof(*test));
    loop_disk_now = test;
    sync_errno = 0;
    sync_pause_us = 0;
    place_make(&test->place, "/tmp");
    struct real_options options = {.log_sync = log_sync};
    assert_int_equal(real_world_open(&test->real, &options, &test->world, NULL), ERR_OK);
}

static void loop_end(struct loop_disk *test)
{
    real_world_close(test->real);
    place_remove(&test->place);
}

static void loop_run_until(struct loop_disk *test, int wanted)
{
    test->wanted = test->done + wanted;
    real_world_run(test->real);
    assert_int_equal(test->done, test->wanted);
}

static struct disk_file *loop_create(struct loop_disk *test, const char *name)
{
    struct disk_request create = {.op = DISK_CREATE, .path = place_path(&test->place, name)};
    loop_submit(test, &create);
    loop_run_until(test, 1);
    assert_int_equal(create.err, ERR_OK);
    return create.file;
}

static void loop_task(struct task *task)
{
    struct loop_disk *test = CONTAINER_OF(task, struct loop_disk, task);
    /* The write was submitted before this task was deferred, so it is done by now: in the same
     * turn. */
    test->order_seen = test->done == test->wanted;
}

static void loop_timer(struct timer *timer)
{
    struct loop_disk *test = CONTAINER_OF(timer, struct loop_disk, timer);
    loop_submit(test, &test->requests[0]);
    assert_int_equal(test->done, test->wanted - 1);
    clock_defer(test->world.clock, &test->task);
}

TEST(real_disk_loop, an_inline_write_is_done_later_in_the_same_turn)
{
    struct loop_disk test;
    loop_begin(&test, REAL_LOG_SYNC_FDATASYNC);
    struct disk_file *file = loop_create(&test, "log");
    uint8_t data[512] = {1};
    test.requests[0] = (struct disk_request){
        .op = DISK_WRITE_SYNC, .file = file, .data = data, .size = sizeof(data)};
    test.timer.fired = loop_timer;
    test.task.run = loop_task;
    clock_timer_start(test.world.clock, &test.timer, 100);
    loop_run_until(&test, 1);
    assert_int_equal(test.requests[0].err, ERR_OK);
    assert_true(test.order_seen);
    struct disk_request close_it = {.op = DISK_CLOSE, .file = file};
    loop_submit(&test, &close_it);
    loop_run_until(&test, 1);
    loop_end(&test);
}

TEST(real_disk_loop, many_requests_of_all_kinds_come_back_with_their_own_results)
{
    struct loop_disk test;
    loop_begin(&test, REAL_LOG_SYNC_AUTO);
    struct disk_file *file = loop_create(&test, "log");
    enum { COUNT = 40 };
    char *paths[COUNT];
    uint8_t data[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        paths[i] = memory_alloc(128);
        (void)snprintf(paths[i], 128, "%s/f%d", test.place.path, i / 2);
        memset(data[i], i, sizeof(data[i]));
        test.requests[i] = (struct disk_request){.op = i % 2 == 0 ? DISK_MAKE_DIR : DISK_WRITE,
                                                 .path = paths[i],
                                                 .file = file,
                                                 .data = data[i],
                                                 .offset = (uint64_t)i * 16,
                                                 .size = 16};
        loop_submit(&test, &test.requests[i]);
    }
    loop_run_until(&test, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(test.requests[i].err, ERR_OK);
        memory_free(paths[i]);
    }
    uint8_t all[COUNT * 16];
    struct disk_request read = {.op = DISK_READ, .file = file, .data = all, .size = sizeof(all)};
    loop_submit(&test, &read);
    loop_run_until(&test, 1);
    assert_int_equal(read.moved, sizeof(all));
    for (size_t i = 0; i < sizeof(all); i++)
        assert_int_equal(all[i], (i / 16) % 2 == 0 ? 0 : i / 16);
    struct disk_request close_it = {.op = DISK_CLOSE, .file = file};
    loop_submit(&test, &close_it);
    loop_run_until(&test, 1);
    loop_end(&test);
}

static void write_sync_times(struct loop_disk *test, struct disk_file *file, int times,
                             enum err expected)
{
    uint8_t data[512] = {1};
    for (int i = 0; i < times; i++) {
        struct disk_request write = {
            .op = DISK_WRITE_SYNC, .file = file, .data = data, .size = sizeof(data)};
        loop_submit(test, &write);
        loop_run_until(test, 1);
        assert_int_equal(write.err, expected);
    }
}

TEST(real_disk_loop, slow_syncs_move_to_a_thread_and_fast_ones_come_back)
{
    struct loop_disk test;
    loop_begin(&test, REAL_LOG_SYNC_FDATASYNC);
    struct disk_file *file = loop_create(&test, "log");
    struct real_sync_status status;
    real_sync_status(test.real, &status);
    assert_string_equal(status.place, "inline");
    assert_string_equal(status.method, "fdatasync");
    sync_pause_us = 2000;
    write_sync_times(&test, file, PLACE_SAMPLES, ERR_OK);
    real_sync_status(test.real, &status);
    assert_string_equal(status.place, "thread");
    write_sync_times(&test, file, 3, ERR_OK);
    real_sync_status(test.real, &status);
    assert_true(status.median_us > 1000);
    /* What a fast disk would measure; the one below us may be slow. */
    struct disk_real *disk = CONTAINER_OF(test.world.disk, struct disk_real, disk);
    for (int i = 0; i < 2 * PLACE_SAMPLES; i++) (void)place_note(&disk->sync_place, 50);
    real_sync_status(test.real, &status);
    assert_string_equal(status.place, "inline");
    sync_pause_us = 0;
    sync_errno = EIO;
    write_sync_times(&test, file, 1, ERR_IO);
    sync_errno = 0;
    write_sync_times(&test, file, 1, ERR_SHUT);
    struct disk_request close_it = {.op = DISK_CLOSE, .file = file};
    loop_submit(&test, &close_it);
    loop_run_until(&test, 1);
    loop_end(&test);
}

TEST(real_disk_loop, the_error_of_a_sync_on_the_thread_comes_back_too)
{
    struct loop_disk test;
    loop_begin(&test, REAL_LOG_SYNC_FDATASYNC);
    struct disk_file *file = loop_create(&test, "log");
    struct disk_real *disk = CONTAINER_OF(test.world.disk, struct disk_real, disk);
    disk->sync_place.thread = true;
    write_sync_times(&test, file, 1, ERR_OK);
    sync_errno = EIO;
    write_sync_times(&test, file, 1, ERR_IO);
    sync_errno = 0;
    write_sync_times(&test, file, 2, ERR_SHUT);
    struct disk_request close_it = {.op = DISK_CLOSE, .file = file};
    loop_submit(&test, &close_it);
    loop_run_until(&test, 1);
    loop_end(&test);
}

TEST(real_disk_loop, closing_the_world_first_lets_every_request_be_done)
{
    struct loop_disk test;
    loop_begin(&test, REAL_LOG_SYNC_FDATASYNC);
    struct disk_file *file = loop_create(&test, "log");
    uint8_t data[512] = {1};
    sync_pause_us = 20000;
    for (int i = 0; i < 6; i++) {
        test.requests[i] = (struct disk_request){.op = i % 2 == 0 ? DISK_SYNC : DISK_WRITE_SYNC,
                                                 .file = file,
                                                 .data = data,
                                                 .size = sizeof(data)};
        loop_submit(&test, &test.requests[i]);
    }
    struct disk_request close_it = {.op = DISK_CLOSE, .file = file};
    int before = test.done;
    real_world_close(test.real);
    assert_int_equal(test.done, before + 6);
    struct disk *disk;
    real_disk_open(&disk, REAL_LOG_SYNC_AUTO);
    assert_int_equal(disk_run(disk, &close_it), ERR_OK);
    real_disk_close(disk);
    place_remove(&test.place);
}
