/* SPDX-License-Identifier: Apache-2.0 */
/* The store on a failing and on a full disk. Faults: one call of a kind fails; the functions below
 * stand before the C library's, also for RocksDB. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "test/real/help.h"

enum call { CALL_FDATASYNC, CALL_FSYNC, CALL_LINK, CALL_PWRITE, CALL_WRITE, CALLS };

static struct {
    enum call call;
    int at; /* which one from now on; 0: none */
    int number;
    bool hit;
} fault;

/* RocksDB's own threads are left alone: which of their calls come when is chance. */
static pthread_t faulty_thread;

__attribute__((constructor)) static void remember_thread(void)
{
    faulty_thread = pthread_self();
}

static bool fails(enum call call)
{
    if (!pthread_equal(pthread_self(), faulty_thread)) return false;
    if (fault.at == 0 || fault.call != call || --fault.at > 0) return false;
    fault.hit = true;
    errno = fault.number;
    return true;
}

int fdatasync(int descriptor)
{
    return fails(CALL_FDATASYNC) ? -1 : (int)syscall(SYS_fdatasync, descriptor);
}

int fsync(int descriptor)
{
    return fails(CALL_FSYNC) ? -1 : (int)syscall(SYS_fsync, descriptor);
}

int link(const char *from, const char *to)
{
    return fails(CALL_LINK) ? -1 : (int)syscall(SYS_link, from, to);
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    return fails(CALL_PWRITE) ? -1 : syscall(SYS_pwrite64, descriptor, data, size, offset);
}

ssize_t write(int descriptor, const void *data, size_t size)
{
    return fails(CALL_WRITE) ? -1 : syscall(SYS_write, descriptor, data, size);
}

enum { CACHE_BYTES = 8 << 20, KEYS = 300 };

struct fault_test {
    struct place_for_test place;
    struct stores *stores;
    struct store *store;
    enum err err; /* of flush_with_fault */
};

static void open_again(struct fault_test *test)
{
    struct why why = {.text = ""};
    if (test->store != NULL) test->store->ops->close(test->store);
    enum err err = test->stores->ops->open(test->stores, place_path(&test->place, "store"), true,
                                           CACHE_BYTES, &test->store, &why);
    if (err != ERR_OK) fail_msg("%s: %s", err_name(err), why.text);
}

static void begin(struct fault_test *test)
{
    memset(test, 0, sizeof(*test));
    place_make(&test->place, "/tmp");
    real_stores_open(&test->stores, NULL);
    open_again(test);
}

static void end(struct fault_test *test)
{
    test->store->ops->close(test->store);
    real_stores_close(test->stores);
    place_remove(&test->place);
}

static enum err flush_stamp(struct fault_test *test, uint64_t stamp)
{
    struct count_run run = {.prefix = "k", .to = KEYS, .value_bytes = 64, .stamp = stamp};
    return flush_count(test->stores, test->store, run);
}

/* The one stamp under every key; 0 if there are none. */
static uint64_t stamp_of(struct fault_test *test)
{
    struct store_cursor *cursor = test->store->ops->cursor(test->store, NULL, STORE_WAIT);
    enum err err = cursor->ops->seek(cursor, bytes_text(""));
    uint64_t stamp = err == ERR_OK ? load_le64(cursor->ops->value(cursor).data) : 0;
    size_t seen = 0;
    for (; err == ERR_OK; err = cursor->ops->next(cursor), seen++)
        assert_int_equal(load_le64(cursor->ops->value(cursor).data), stamp);
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(seen, stamp == 0 ? 0 : KEYS);
    cursor->ops->close(cursor);
    return stamp;
}

/* Flushes 2 while the `at`-th call fails. False: there are not so many calls. */
static bool flush_with_fault(struct fault_test *test, enum call call, int at, int number)
{
    fault.call = call;
    fault.at = at;
    fault.number = number;
    fault.hit = false;
    test->err = flush_stamp(test, 2);
    fault.at = 0;
    return fault.hit;
}

TEST(real_store_faults,
     an_error_out_of_any_call_of_a_flush_fails_it_for_good_and_a_reopen_has_all_or_none)
{
    unsigned failed = 0, kept = 0;
    for (enum call call = 0; call < CALLS; call++) {
        bool hit = true;
        for (int at = 1; hit; at++) {
            struct fault_test test;
            begin(&test);
            assert_int_equal(flush_stamp(&test, 1), ERR_OK);
            hit = flush_with_fault(&test, call, at, EIO);
            if (test.err == ERR_OK) { /* no more calls, or it was RocksDB's own log of events */
                assert_int_equal(stamp_of(&test), 2);
            } else {
                failed++;
                assert_int_equal(test.err, ERR_IO);
                assert_int_equal(stamp_of(&test), 1);
                assert_int_equal(flush_stamp(&test, 3), ERR_SHUT);
                open_again(&test);
                uint64_t stamp = stamp_of(&test);
                assert_in_range(stamp, 1, 2);
                kept += stamp == 2 ? 1 : 0;
            }
            assert_int_equal(flush_stamp(&test, 4), ERR_OK);
            open_again(&test);
            assert_int_equal(stamp_of(&test), 4);
            end(&test);
        }
    }
    assert_true(failed >= 9);
    assert_int_equal(kept, 1); /* the sync of the commit itself: the record had been written */
}

TEST(real_store_faults,
     lack_of_space_in_any_call_of_a_flush_leaves_the_store_as_before_and_the_next_flush_succeeds)
{
    unsigned failed = 0;
    for (enum call call = 0; call < CALLS; call++) {
        bool hit = true;
        for (int at = 1; hit; at++) {
            struct fault_test test;
            begin(&test);
            assert_int_equal(flush_stamp(&test, 1), ERR_OK);
            hit = flush_with_fault(&test, call, at, ENOSPC);
            if (test.err == ERR_OK) {
                assert_int_equal(stamp_of(&test), 2);
            } else {
                failed++;
                assert_int_equal(test.err, ERR_SPACE);
                assert_int_equal(stamp_of(&test), 1);
                struct timespec pause = {.tv_nsec = 20000000};
                (void)nanosleep(&pause, NULL); /* RocksDB may meanwhile think itself well again */
            }
            assert_int_equal(flush_stamp(&test, 3), ERR_OK);
            assert_int_equal(stamp_of(&test), 3);
            open_again(&test);
            assert_int_equal(stamp_of(&test), 3);
            end(&test);
        }
    }
    assert_true(failed >= 9);
}

TEST(real_store_faults, after_lack_of_space_a_flush_waits_for_views_to_be_closed)
{
    struct fault_test test;
    begin(&test);
    assert_int_equal(flush_stamp(&test, 1), ERR_OK);
    assert_true(flush_with_fault(&test, CALL_LINK, 1, ENOSPC));
    assert_int_equal(test.err, ERR_SPACE);
    struct store_view *view = test.store->ops->view_open(test.store);
    assert_int_equal(flush_stamp(&test, 2), ERR_SPACE);
    assert_int_equal(stamp_of(&test), 1);
    test.store->ops->view_close(test.store, view);
    assert_int_equal(flush_stamp(&test, 2), ERR_OK);
    assert_int_equal(stamp_of(&test), 2);
    end(&test);
}

/* ---- A full disk ---- */

struct full_test {
    struct fault_test test;
    char filler[PLACE_BYTES * 2];
};

static bool full_begin(struct full_test *full)
{
    memset(full, 0, sizeof(*full));
    place_make(&full->test.place, "/tmp");
    if (mount("tmpfs", full->test.place.path, "tmpfs", 0, "size=48m") != 0) {
        place_remove(&full->test.place);
        return false;
    }
    (void)snprintf(full->filler, sizeof(full->filler), "%s/filler", full->test.place.path);
    real_stores_open(&full->test.stores, NULL);
    open_again(&full->test);
    return true;
}

static void full_end(struct full_test *full)
{
    full->test.store->ops->close(full->test.store);
    real_stores_close(full->test.stores);
    assert_int_equal(umount(full->test.place.path), 0);
    place_remove(&full->test.place);
}

static void fill(struct full_test *full, size_t leave_bytes)
{
    char command[PLACE_BYTES * 4];
    (void)snprintf(
        command, sizeof(command),
        "cd '%s' && free=$(df --output=avail -k . | tail -1) && dd if=/dev/zero of=filler "
        "bs=1k count=$((free - %zu)) oflag=append conv=notrunc 2>/dev/null",
        full->test.place.path, leave_bytes / 1024);
    assert_int_equal(system(command), 0);
}

static enum err flush_bulk(struct full_test *full, uint64_t stamp)
{
    /* Different keys each time, all over the range: compactions have to merge. */
    struct count_run run = {.prefix = "k",
                            .from = stamp,
                            .to = 37 * 6000,
                            .step = 37,
                            .value_bytes = 100,
                            .stamp = stamp};
    return flush_count(full->test.stores, full->test.store, run);
}

TEST(real_store_faults, on_a_full_disk_reads_go_on_and_flushes_succeed_once_space_is_freed)
{
    struct full_test full;
    if (!full_begin(&full)) skip(); /* needs the right to mount */
    uint64_t stamp = 0;
    for (; stamp < 3; stamp++) assert_int_equal(flush_bulk(&full, stamp), ERR_OK);
    fill(&full, 1500000);
    assert_int_equal(flush_bulk(&full, stamp), ERR_SPACE);
    assert_int_equal(flush_bulk(&full, stamp), ERR_SPACE);
    char out[128];
    assert_int_equal(get_text(full.test.store, "k0000000002", STORE_WAIT, out, sizeof(out)),
                     ERR_OK);
    assert_int_equal(load_le64((const uint8_t *)out), 2);
    assert_int_equal(get_text(full.test.store, "k0000000003", STORE_WAIT, out, sizeof(out)),
                     ERR_NOT_FOUND);
    assert_int_equal(unlink(full.filler), 0);
    assert_int_equal(flush_bulk(&full, stamp), ERR_OK);
    open_again(&full.test);
    for (uint64_t i = 0; i <= stamp; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%010llu", (unsigned long long)i);
        assert_int_equal(get_text(full.test.store, key, STORE_WAIT, out, sizeof(out)), ERR_OK);
        assert_int_equal(load_le64((const uint8_t *)out), i);
    }
    full_end(&full);
}

TEST(real_store_faults, a_compaction_without_space_is_survived)
{
    struct full_test full;
    if (!full_begin(&full)) skip();
    /* Room for the runs and not for their merging. */
    fill(&full, 12 << 20);
    uint64_t stamp = 0, refused = 0;
    struct timespec pause = {.tv_nsec = 50000000};
    for (int i = 0; i < 20 && refused < 3; i++) {
        enum err err = flush_bulk(&full, stamp);
        if (err == ERR_OK) stamp++;
        else assert_int_equal(err, ERR_SPACE);
        refused += err == ERR_SPACE ? 1 : 0;
        (void)nanosleep(&pause, NULL);
    }
    assert_true(stamp > 3);
    assert_true(refused > 0);
    assert_int_equal(unlink(full.filler), 0);
    for (int i = 0; i < 8; i++) assert_int_equal(flush_bulk(&full, stamp++), ERR_OK);
    open_again(&full.test);
    for (uint64_t i = 0; i < stamp; i++) {
        char key[32], out[128];
        (void)snprintf(key, sizeof(key), "k%010llu", (unsigned long long)i);
        assert_int_equal(get_text(full.test.store, key, STORE_WAIT, out, sizeof(out)), ERR_OK);
        assert_int_equal(load_le64((const uint8_t *)out), i);
    }
    full_end(&full);
}
