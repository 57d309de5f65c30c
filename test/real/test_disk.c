/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories: each operation, the two methods and two places of a synced write,
 * failures. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "real/disk.h"
#include "test/real/help.h"

/* Stands before the C library's, so that a sync can fail, be counted and be slow. */
static int sync_errno;
static int sync_count;

int fdatasync(int descriptor)
{
    sync_count += 1;
    if (sync_errno == 0) return fsync(descriptor);
    errno = sync_errno;
    return -1;
}

/* Likewise: the next write comes short, and the flags of the last one are kept. */
static bool write_short;
static int write_flags;

ssize_t pwritev2(int descriptor, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t pwritev2(int descriptor, const struct iovec *parts, int count, off_t offset, int flags)
{
    struct iovec part = parts[0];
    if (write_short) part.iov_len = part.iov_len / 2 / 512 * 512;
    write_short = false;
    write_flags = flags;
    assert_int_equal(count, 1);
    return syscall(SYS_pwritev2, descriptor, &part, 1, offset, 0L, flags);
}

struct disk_test {
    struct place_for_test place;
    struct disk *disk;
};

static struct disk_test *disk_now; /* the one that is open */

static void begin_on(struct disk_test *test, const char *parent, enum real_log_sync log_sync)
{
    sync_errno = sync_count = 0;
    disk_now = test;
    place_make(&test->place, parent);
    real_disk_open(&test->disk, log_sync);
}

static void begin(struct disk_test *test)
{
    begin_on(test, "/tmp", REAL_LOG_SYNC_AUTO);
}

static void end(struct disk_test *test)
{
    real_disk_close(test->disk);
    place_remove(&test->place);
}

static enum err run(struct disk_test *test, struct disk_request *request)
{
    enum err err = disk_run(test->disk, request);
    assert_int_equal(err, request->err);
    if (err != ERR_OK) assert_true(request->why.text[0] != '\0');
    return err;
}

static enum err run_path(struct disk_test *test, enum disk_op op, const char *name)
{
    struct disk_request request = {.op = op, .path = place_path(&test->place, name)};
    return run(test, &request);
}

static struct disk_file *open_file(struct disk_test *test, enum disk_op op, const char *name,
                                   bool direct)
{
    struct disk_request request = {
        .op = op, .path = place_path(&test->place, name), .direct = direct};
    if (run(test, &request) != ERR_OK) fail_msg("%s", request.why.text);
    assert_non_null(request.file);
    return request.file;
}

static enum err move(enum disk_op op, struct disk_file *file, uint64_t offset, void *data,
                     uint64_t size)
{
    struct disk_request request = {
        .op = op, .file = file, .offset = offset, .data = data, .size = size};
    enum err err = run(disk_now, &request);
    if (err == ERR_OK && op == DISK_READ) assert_int_equal(request.moved, size);
    return err;
}

static void close_file(struct disk_test *test, struct disk_file *file)
{
    struct disk_request request = {.op = DISK_CLOSE, .file = file};
    assert_int_equal(run(test, &request), ERR_OK);
}

static uint64_t size_of(struct disk_test *test, const char *name)
{
    struct disk_request request = {
        .op = DISK_OPEN, .path = place_path(&test->place, name), .read_only = true};
    assert_int_equal(run(test, &request), ERR_OK);
    uint64_t size = request.size;
    close_file(test, request.file);
    return size;
}

/* ---- Names ---- */

TEST(real_disk, creates_exclusively_with_private_bits_and_opens_with_the_length)
{
    struct disk_test test;
    begin(&test);
    struct disk_file *file = open_file(&test, DISK_CREATE, "a", false);
    char text[] = "hello";
    assert_int_equal(move(DISK_WRITE, file, 10, text, 5), ERR_OK);
    close_file(&test, file);
    struct stat facts;
    assert_int_equal(stat(place_path(&test.place, "a"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(run_path(&test, DISK_CREATE, "a"), ERR_EXISTS);
    assert_int_equal(run_path(&test, DISK_OPEN, "b"), ERR_NOT_FOUND);
    assert_int_equal(run_path(&test, DISK_CREATE, "no/b"), ERR_NOT_FOUND);
    assert_int_equal(run_path(&test, DISK_OPEN, "."), ERR_REFUSED);
    assert_int_equal(size_of(&test, "a"), 15);
    struct disk_request request = {
        .op = DISK_OPEN, .path = place_path(&test.place, "a"), .read_only = true};
    assert_int_equal(run(&test, &request), ERR_OK);
    assert_int_equal(move(DISK_WRITE, request.file, 0, text, 5), ERR_IO);
    close_file(&test, request.file);
    end(&test);
}

TEST(real_disk, reads_come_short_only_at_the_end)
{
    struct disk_test test;
    begin(&test);
    struct disk_file *file = open_file(&test, DISK_CREATE, "a", false);
    char text[] = "hello", got[16] = "";
    assert_int_equal(move(DISK_WRITE, file, 0, text, 5), ERR_OK);
    struct disk_request read = {
        .op = DISK_READ, .file = file, .offset = 2, .data = got, .size = 16};
    assert_int_equal(run(&test, &read), ERR_OK);
    assert_int_equal(read.moved, 3);
    assert_string_equal(got, "llo");
    read.offset = 100;
    assert_int_equal(run(&test, &read), ERR_OK);
    assert_int_equal(read.moved, 0);
    struct disk_request cut = {.op = DISK_TRUNCATE, .file = file, .offset = 2};
    assert_int_equal(run(&test, &cut), ERR_OK);
    close_file(&test, file);
    assert_int_equal(size_of(&test, "a"), 2);
    end(&test);
}

TEST(real_disk, lists_sorted_renames_over_and_removes)
{
    struct disk_test test;
    begin(&test);
    assert_int_equal(run_path(&test, DISK_MAKE_DIR, "dir"), ERR_OK);
    assert_int_equal(run_path(&test, DISK_MAKE_DIR, "dir"), ERR_EXISTS);
    static const char *const names[] = {"dir/c", "dir/a10", "dir/a9", "dir/b", "dir/.hidden"};
    for (size_t i = 0; i < 5; i++)
        close_file(&test, open_file(&test, DISK_CREATE, names[i], false));
    struct buffer listed;
    buffer_init(&listed);
    struct disk_request list = {
        .op = DISK_LIST, .path = place_path(&test.place, "dir"), .names = &listed};
    assert_int_equal(run(&test, &list), ERR_OK);
    static const char expected[] = ".hidden\0a10\0a9\0b\0c";
    assert_int_equal(listed.size, sizeof(expected));
    assert_memory_equal(listed.data, expected, sizeof(expected));
    buffer_release(&listed);
    char path[PLACE_BYTES * 2];
    (void)snprintf(path, sizeof(path), "%s/dir/b", test.place.path);
    struct disk_request rename_one = {
        .op = DISK_RENAME, .path = path, .path_to = place_path(&test.place, "dir/c")};
    assert_int_equal(run(&test, &rename_one), ERR_OK);
    assert_int_equal(run(&test, &rename_one), ERR_NOT_FOUND);
    assert_int_equal(run_path(&test, DISK_SYNC_DIR, "dir"), ERR_OK);
    assert_int_equal(run_path(&test, DISK_SYNC_DIR, "no"), ERR_NOT_FOUND);
    assert_int_equal(run_path(&test, DISK_REMOVE, "dir"), ERR_REFUSED);
    static const char *const left[] = {"dir/c", "dir/a10", "dir/a9", "dir/.hidden", "dir"};
    for (size_t i = 0; i < 5; i++) assert_int_equal(run_path(&test, DISK_REMOVE, left[i]), ERR_OK);
    assert_int_equal(run_path(&test, DISK_REMOVE, "dir"), ERR_NOT_FOUND);
    list.path = place_path(&test.place, "dir");
    assert_int_equal(run(&test, &list), ERR_NOT_FOUND);
    end(&test);
}

TEST(real_disk, free_space_is_what_the_system_says)
{
    struct disk_test test;
    begin(&test);
    struct disk_request request = {.op = DISK_FREE_SPACE, .path = test.place.path};
    assert_int_equal(run(&test, &request), ERR_OK);
    assert_true(request.size > 1 << 20 && request.size < (uint64_t)1 << 60);
    end(&test);
}

TEST(real_disk, a_lock_keeps_everybody_else_out_until_its_process_ends)
{
    struct disk_test test;
    begin(&test);
    const char *path = place_path(&test.place, "lock");
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct disk_request lock = {.op = DISK_LOCK, .path = path};
        struct disk *disk;
        real_disk_open(&disk, REAL_LOG_SYNC_AUTO);
        char byte = disk_run(disk, &lock) == ERR_OK ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        for (;;) (void)pause();
    }
    char byte = 0;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    struct disk_request lock = {.op = DISK_LOCK, .path = path};
    assert_int_equal(run(&test, &lock), ERR_REFUSED);
    char holder[32];
    (void)snprintf(holder, sizeof(holder), "process %d", (int)child);
    assert_non_null(strstr(lock.why.text, holder));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(run(&test, &lock), ERR_OK);
    assert_int_equal(run(&test, &lock),
                     ERR_REFUSED); /* twice is once too often, in one process too */
    (void)close(ready[0]);
    (void)close(ready[1]);
    end(&test);
}

/* ---- Synced writes ---- */

static void check_write_sync(const char *parent, enum real_log_sync log_sync, bool direct)
{
    struct disk_test test;
    begin_on(&test, parent, log_sync);
    struct disk_file *file = open_file(&test, DISK_CREATE, "log", direct);
    enum { SIZE = 3 * DISK_SECTOR_BYTES };
    struct disk_request fill = {
        .op = DISK_FILL, .file = file, .size = (4 << 20) + DISK_SECTOR_BYTES};
    assert_int_equal(run(&test, &fill), ERR_OK);
    uint8_t *data = memory_aligned(DISK_SECTOR_BYTES, 2 * SIZE);
    memset(data, 0xa5, SIZE);
    assert_int_equal(move(DISK_WRITE_SYNC, file, DISK_SECTOR_BYTES, data, SIZE), ERR_OK);
    assert_int_equal(move(DISK_WRITE, file, 1 << 20, data, SIZE), ERR_OK);
    assert_int_equal(move(DISK_SYNC, file, 0, NULL, 0), ERR_OK);
    assert_int_equal(move(DISK_READ, file, DISK_SECTOR_BYTES, data + SIZE, SIZE), ERR_OK);
    assert_memory_equal(data, data + SIZE, SIZE);
    close_file(&test, file);
    assert_int_equal(size_of(&test, "log"), fill.size);
    file = open_file(&test, DISK_OPEN, "log", direct);
    assert_int_equal(move(DISK_READ, file, 0, data, DISK_SECTOR_BYTES), ERR_OK);
    for (size_t i = 0; i < DISK_SECTOR_BYTES; i++) assert_int_equal(data[i], 0);
    assert_int_equal(move(DISK_READ, file, 1 << 20, data, SIZE), ERR_OK);
    assert_memory_equal(data, data + SIZE, SIZE);
    close_file(&test, file);
    memory_free(data);
    end(&test);
}

TEST(real_disk, a_synced_write_reads_back_by_every_method)
{
    check_write_sync("/tmp", REAL_LOG_SYNC_AUTO, true);
    check_write_sync("/tmp", REAL_LOG_SYNC_AUTO, false);
    check_write_sync("/tmp", REAL_LOG_SYNC_FDATASYNC, true);
    check_write_sync("/dev/shm", REAL_LOG_SYNC_AUTO, true);
}

TEST(real_disk, direct_writes_need_no_fdatasync_and_the_others_have_one_each)
{
    struct disk_test test;
    begin(&test);
    uint8_t *data = memory_aligned(DISK_SECTOR_BYTES, DISK_SECTOR_BYTES);
    memset(data, 1, DISK_SECTOR_BYTES);
    for (int direct = 0; direct < 2; direct++) {
        struct disk_file *file = open_file(&test, DISK_CREATE, direct ? "direct" : "plain", direct);
        if (direct && !atomic_load(&file->direct)) skip(); /* a file system without direct writes */
        sync_count = 0;
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(
                move(DISK_WRITE_SYNC, file, i * DISK_SECTOR_BYTES, data, DISK_SECTOR_BYTES),
                ERR_OK);
        }
        assert_int_equal(sync_count, direct ? 0 : 3);
        assert_int_equal(write_flags, direct ? RWF_DSYNC : 0);
        close_file(&test, file);
    }
    memory_free(data);
    end(&test);
}

/* A file system that takes the flag and refuses the write: EINVAL comes before anything is
 * written. */
TEST(real_disk, a_refused_direct_write_falls_back_and_is_still_synced)
{
    struct disk_test test;
    begin(&test);
    struct disk_file *file = open_file(&test, DISK_CREATE, "log", true);
    if (!atomic_load(&file->direct)) skip();
    /* An odd address stands for what such a file system would refuse. The device may take small
     * alignment, hence 1. */
    uint8_t *data = memory_aligned(DISK_SECTOR_BYTES, 2 * DISK_SECTOR_BYTES);
    memset(data, 7, 2 * DISK_SECTOR_BYTES);
    int flags = fcntl(file->descriptor, F_GETFL);
    assert_true(flags >= 0);
    struct disk_real *real = CONTAINER_OF(test.disk, struct disk_real, disk);
    assert_true(disk_real_fall_back(real, file));
    assert_int_equal(fcntl(file->descriptor, F_GETFL), flags & ~040000); /* O_DIRECT */
    sync_count = 0;
    assert_int_equal(move(DISK_WRITE_SYNC, file, 1, data + 1, 100), ERR_OK);
    assert_int_equal(sync_count, 1);
    close_file(&test, file);
    real->log_sync = REAL_LOG_SYNC_DIRECT;
    file = open_file(&test, DISK_OPEN, "log", true);
    assert_false(disk_real_fall_back(real, file)); /* asked for direct and nothing else */
    close_file(&test, file);
    memory_free(data);
    end(&test);
}

/* A file that is only read may lie where direct access is refused, whatever the log asks for; and
 * the method that is told is the log's. */
TEST(real_disk, direct_is_only_a_wish_of_who_only_reads)
{
    struct disk_test test;
    begin_on(&test, "/tmp", REAL_LOG_SYNC_DIRECT);
    struct disk_real *real = CONTAINER_OF(test.disk, struct disk_real, disk);
    struct disk_request open = {
        .op = DISK_OPEN, .path = "/proc/version", .direct = true, .read_only = true};
    assert_int_equal(disk_run(test.disk, &open), ERR_OK);
    assert_false(atomic_load(&open.file->direct)); /* refused there */
    assert_true(atomic_load(&real->opened_direct));
    uint8_t *data = memory_aligned(DISK_SECTOR_BYTES, DISK_SECTOR_BYTES);
    struct disk_request read = {
        .op = DISK_READ, .file = open.file, .data = data, .size = DISK_SECTOR_BYTES};
    assert_int_equal(disk_run(test.disk, &read), ERR_OK);
    assert_memory_equal(data, "Linux", 5);
    close_file(&test, open.file);
    memory_free(data);
    end(&test);
}

/* A file system that takes the flag and refuses the read. */
TEST(real_disk, a_refused_direct_read_falls_back_whatever_the_log_asks_for)
{
    struct disk_test test;
    begin_on(&test, "/tmp", REAL_LOG_SYNC_DIRECT);
    struct disk_real *real = CONTAINER_OF(test.disk, struct disk_real, disk);
    struct disk_file *file = open_file(&test, DISK_CREATE, "image", false);
    close_file(&test, file);
    struct disk_request open = {.op = DISK_OPEN,
                                .path = place_path(&test.place, "image"),
                                .direct = true,
                                .read_only = true};
    assert_int_equal(disk_run(test.disk, &open), ERR_OK);
    if (atomic_load(&open.file->direct)) assert_true(disk_real_fall_back(real, open.file));
    assert_true(atomic_load(&real->opened_direct));
    close_file(&test, open.file);
    end(&test);
}

TEST(real_disk, a_failed_sync_is_an_error_and_the_file_never_counts_as_synced_again)
{
    for (int lack_of_space = 0; lack_of_space < 2; lack_of_space++) {
        struct disk_test test;
        begin_on(&test, "/tmp", REAL_LOG_SYNC_FDATASYNC);
        struct disk_file *file = open_file(&test, DISK_CREATE, "log", true);
        struct disk_file *other = open_file(&test, DISK_CREATE, "other", true);
        uint8_t data[512] = {1};
        assert_int_equal(move(DISK_WRITE_SYNC, file, 0, data, sizeof(data)), ERR_OK);
        sync_errno = lack_of_space ? ENOSPC : EIO;
        sync_count = 0;
        assert_int_equal(move(DISK_WRITE_SYNC, file, 0, data, sizeof(data)), ERR_IO);
        assert_int_equal(sync_count, 1);
        sync_errno = 0;
        assert_int_equal(move(DISK_WRITE_SYNC, file, 0, data, sizeof(data)), ERR_SHUT);
        assert_int_equal(move(DISK_SYNC, file, 0, NULL, 0), ERR_SHUT);
        assert_int_equal(sync_count, 1);
        assert_int_equal(move(DISK_WRITE_SYNC, other, 0, data, sizeof(data)), ERR_OK);
        sync_errno = EIO;
        assert_int_equal(move(DISK_SYNC, other, 0, NULL, 0), ERR_IO);
        sync_errno = 0;
        assert_int_equal(move(DISK_SYNC, other, 0, NULL, 0), ERR_SHUT);
        close_file(&test, file);
        close_file(&test, other);
        end(&test);
    }
}

TEST(real_disk, a_write_beyond_the_size_limit_comes_short_or_fails_and_poisons_a_synced_file)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
    for (int direct = 0; direct < 2; direct++) {
        struct disk_test test;
        begin(&test);
        struct disk_file *file = open_file(&test, DISK_CREATE, "log", direct);
        struct disk_file *plain = open_file(&test, DISK_CREATE, "plain", false);
        uint8_t *data = memory_aligned(DISK_SECTOR_BYTES, 4 * DISK_SECTOR_BYTES);
        memset(data, 1, 4 * DISK_SECTOR_BYTES);
        struct rlimit before, now;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        now = before;
        now.rlim_cur = 2 * DISK_SECTOR_BYTES;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
        enum err synced = move(DISK_WRITE_SYNC, file, 0, data, 4 * DISK_SECTOR_BYTES);
        enum err unsynced = move(DISK_WRITE, plain, 0, data, 4 * DISK_SECTOR_BYTES);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(synced, ERR_IO);
        assert_int_equal(unsynced, ERR_IO);
        assert_int_equal(move(DISK_WRITE_SYNC, file, 0, data, DISK_SECTOR_BYTES), ERR_SHUT);
        assert_int_equal(move(DISK_SYNC, plain, 0, NULL, 0), ERR_OK);
        close_file(&test, file);
        close_file(&test, plain);
        memory_free(data);
        end(&test);
    }
}

TEST(real_disk, a_short_write_goes_on_unless_it_is_a_synced_one)
{
    enum { SIZE = 16 * DISK_SECTOR_BYTES };
    for (int direct = 0; direct < 2; direct++) {
        struct disk_test test;
        begin(&test);
        struct disk_file *file = open_file(&test, DISK_CREATE, "log", direct);
        uint8_t *data = memory_aligned(4096, SIZE);
        memset(data, 1, SIZE);
        write_short = true;
        assert_int_equal(move(DISK_WRITE, file, 0, data, SIZE), ERR_OK);
        assert_false(write_short);
        assert_int_equal(move(DISK_READ, file, 0, data, SIZE), ERR_OK);
        write_short = true;
        assert_int_equal(move(DISK_WRITE_SYNC, file, 0, data, SIZE), ERR_IO);
        assert_false(write_short);
        assert_int_equal(move(DISK_SYNC, file, 0, NULL, 0), ERR_SHUT);
        close_file(&test, file);
        memory_free(data);
        end(&test);
    }
}
