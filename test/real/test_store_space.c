/* SPDX-License-Identifier: Apache-2.0 */
/* The reserve of a store, and getting back the space of what was deleted, on small disks. */
#define _DEFAULT_SOURCE
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "real/store.h"
#include "test/real/help.h"

enum { CACHE_BYTES = 8 << 20, DISK_BYTES = 64 << 20, RESERVE_BYTES = 32 << 20, RUN_KEYS = 250 };
enum { VALUE_BYTES = 8000 };

struct disk_test {
    struct place_for_test place;
    char store_path[PLACE_BYTES * 2], reserve[PLACE_BYTES * 3], filler[PLACE_BYTES * 2];
    struct stores_real real;
    struct store *store;
    uint64_t runs; /* that the store holds: keys r * RUN_KEYS up to (r + 1) * RUN_KEYS */
};

static enum err try_open(struct disk_test *test)
{
    struct why why = {.text = ""};
    return test->real.stores.ops->open(&test->real.stores, test->store_path, true, CACHE_BYTES,
                                       &test->store, &why);
}

static void shut(struct disk_test *test)
{
    test->store->ops->close(test->store);
    test->store = NULL;
}

static bool begin(struct disk_test *test, uint64_t reserve_bytes)
{
    memset(test, 0, sizeof(*test));
    place_make(&test->place, "/tmp");
    if (mount("tmpfs", test->place.path, "tmpfs", 0, "size=64m") != 0) {
        place_remove(&test->place);
        return false;
    }
    (void)snprintf(test->store_path, sizeof(test->store_path), "%s/store", test->place.path);
    (void)snprintf(test->reserve, sizeof(test->reserve), "%s/scratch/reserve", test->store_path);
    (void)snprintf(test->filler, sizeof(test->filler), "%s/filler", test->place.path);
    stores_real_init(&test->real, NULL, NULL);
    test->real.reserve_bytes = reserve_bytes;
    assert_int_equal(try_open(test), ERR_OK);
    return true;
}

static void end(struct disk_test *test)
{
    if (test->store != NULL) shut(test);
    stores_real_release(&test->real);
    assert_int_equal(umount(test->place.path), 0);
    place_remove(&test->place);
}

static uint64_t free_bytes(const struct disk_test *test)
{
    struct statvfs facts;
    assert_int_equal(statvfs(test->place.path, &facts), 0);
    return (uint64_t)facts.f_bavail * facts.f_frsize;
}

static uint64_t reserve_size(const struct disk_test *test)
{
    struct stat facts;
    return stat(test->reserve, &facts) == 0 ? (uint64_t)facts.st_size : 0;
}

/* Leaves so much of the disk. */
static void fill(const struct disk_test *test, uint64_t leave_bytes)
{
    FILE *file = fopen(test->filler, "a");
    assert_non_null(file);
    static const char zeros[1 << 16];
    while (free_bytes(test) > leave_bytes && fwrite(zeros, sizeof(zeros), 1, file) == 1)
        assert_int_equal(fflush(file), 0);
    assert_int_equal(fclose(file), 0);
}

static bool is_low(const struct disk_test *test)
{
    return test->store->ops->is_low(test->store);
}

static void reclaim(struct disk_test *test)
{
    test->store->ops->reclaim(test->store);
    real_stores_settle(&test->real.stores);
}

static bool is_stuck(const struct disk_test *test)
{
    return CONTAINER_OF(test->store, struct store_real, store)->engine.clean.stuck;
}

/* As a node does, again and again; a step that was ended is not tried again at once. */
static void reclaim_all(struct disk_test *test)
{
    struct timespec pause = {.tv_nsec = 10000000};
    for (unsigned i = 0; i < 500 && (i == 0 || is_low(test) || is_stuck(test)); i++) {
        reclaim(test);
        (void)nanosleep(&pause, NULL);
    }
    assert_false(is_low(test));
    assert_false(is_stuck(test));
}

static enum err add_run(struct disk_test *test)
{
    struct count_run run = {.prefix = "k",
                            .from = test->runs * RUN_KEYS,
                            .to = (test->runs + 1) * RUN_KEYS,
                            .value_bytes = VALUE_BYTES,
                            .stamp = test->runs};
    enum err err = flush_count(&test->real.stores, test->store, run);
    if (err == ERR_OK) test->runs++;
    return err;
}

/* Adds until the store says that it is short of space, and still does so after having cleaned. */
static void run_full(struct disk_test *test)
{
    struct timespec pause = {.tv_nsec = 10000000};
    for (unsigned refusals = 0; refusals < 50;) {
        enum err err = is_low(test) ? ERR_SPACE : add_run(test);
        assert_true(err == ERR_OK || err == ERR_SPACE);
        refusals = err == ERR_OK ? 0 : refusals + 1;
        if (is_low(test)) reclaim(test);
        if (err != ERR_OK) (void)nanosleep(&pause, NULL);
        assert_true(test->runs < 1000);
    }
}

/* Deletes, key by key, all but each `keep`-th; 0: all, by one range. */
struct removal {
    struct store_run run;
    uint64_t at, to, keep;
    char key[32];
};

static bool removal_next(struct store_run *run, struct store_item *item)
{
    struct removal *removal = CONTAINER_OF(run, struct removal, run);
    if (removal->keep > 0 && removal->at % removal->keep == 0) removal->at++;
    if (removal->at >= removal->to) return false;
    (void)snprintf(removal->key, sizeof(removal->key), "k%010llu",
                   (unsigned long long)removal->at++);
    *item = del(removal->key);
    return true;
}

static void remove_keys(struct disk_test *test, uint64_t keep)
{
    struct removal removal = {.run = {removal_next}, .to = test->runs * RUN_KEYS, .keep = keep};
    struct store_item all = del_range("k", "l");
    enum err err = ERR_SPACE;
    for (unsigned i = 0; i < 5 && err == ERR_SPACE; i++) {
        removal.at = 0;
        err = keep > 0 ? flush_run(&test->real.stores, test->store, &removal.run)
                       : flush_items(&test->real.stores, test->store, &all, 1);
    }
    assert_int_equal(err, ERR_OK);
}

static void expect_kept(struct disk_test *test, uint64_t keep)
{
    char out[VALUE_BYTES + 1], key[32];
    for (uint64_t i = 0; i < test->runs * RUN_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "k%010llu", (unsigned long long)i);
        bool kept = keep > 0 && i % keep == 0;
        assert_int_equal(get_text(test->store, key, STORE_WAIT, out, sizeof(out)),
                         kept ? ERR_OK : ERR_NOT_FOUND);
        if (kept) assert_int_equal(load_le64((const uint8_t *)out), i / RUN_KEYS);
    }
}

TEST(real_store_space, the_reserve_follows_the_size_of_the_store_up_to_its_bound)
{
    struct disk_test test;
    if (!begin(&test, 16 << 20)) skip(); /* needs the right to mount */
    uint64_t least = reserve_size(&test);
    assert_true(least > 0);
    assert_true(least < 16 << 20);
    for (unsigned i = 0; i < 6; i++) assert_int_equal(add_run(&test), ERR_OK);
    assert_in_range(reserve_size(&test), least + 1, 16 << 20);
    for (unsigned i = 0; i < 6; i++) assert_int_equal(add_run(&test), ERR_OK);
    assert_in_range(reserve_size(&test), 14 << 20, 16 << 20); /* not for every few bytes more */
    assert_false(is_low(&test));
    end(&test);
}

TEST(real_store_space, a_store_without_a_reserve_is_never_low_and_leaves_anothers_file_alone)
{
    struct disk_test test;
    if (!begin(&test, RESERVE_BYTES)) skip();
    uint64_t size = reserve_size(&test);
    shut(&test);
    test.real.reserve_bytes = 0;
    assert_int_equal(try_open(&test), ERR_OK);
    fill(&test, 1 << 20);
    assert_int_equal(add_run(&test), ERR_SPACE);
    assert_false(is_low(&test));
    assert_int_equal(reserve_size(&test), size);
    end(&test);
}

TEST(real_store_space, deleting_brings_back_the_space_of_a_disk_that_the_store_itself_has_filled)
{
    static const uint64_t keeps[] = {10, 0, 2, 10};
    struct disk_test test;
    if (!begin(&test, 1 << 30)) skip();
    for (unsigned round = 0; round < sizeof(keeps) / sizeof(keeps[0]); round++) {
        run_full(&test);
        assert_true(test.runs * RUN_KEYS * VALUE_BYTES > DISK_BYTES / 3);
        remove_keys(&test, keeps[round]);
        reclaim_all(&test);
        assert_true(reserve_size(&test) > 0);
        assert_int_equal(add_run(&test), ERR_OK);
        test.runs--; /* it is there whole, unlike the others */
        expect_kept(&test, keeps[round]);
        if (round % 2 == 1) {
            shut(&test);
            assert_int_equal(try_open(&test), ERR_OK);
            expect_kept(&test, keeps[round]);
        }
        test.runs++;
        remove_keys(&test, 0);
        reclaim_all(&test);
        test.runs = 0;
    }
    end(&test);
}

TEST(real_store_space, a_cleaning_that_would_fill_the_disk_is_ended_and_leaves_nothing_behind)
{
    struct disk_test test;
    if (!begin(&test, RESERVE_BYTES)) skip();
    /* Too much is alive for the merging of it to fit beside it. */
    for (unsigned i = 0; i < 12; i++) assert_int_equal(add_run(&test), ERR_OK);
    test.real.reserve_bytes = 0;
    shut(&test);
    assert_int_equal(unlink(test.reserve), 0);
    assert_int_equal(try_open(&test), ERR_OK);
    fill(&test, 5 << 20);
    remove_keys(&test, 2);
    uint64_t before = free_bytes(&test);
    reclaim(&test);
    /* More is fine: files that the removal has made needless may go only now. */
    assert_true(free_bytes(&test) >= before - (1 << 20));
    struct store_real *store = CONTAINER_OF(test.store, struct store_real, store);
    struct why why;
    assert_int_equal(engine_health(&store->engine, &why), ERR_OK); /* it did not run into the end */
    assert_true(is_stuck(&test));
    assert_int_equal(unlink(test.filler), 0);
    reclaim_all(&test); /* there is more space: tried again */
    assert_true(test.store->ops->approximate_bytes(test.store) < 8 * RUN_KEYS * VALUE_BYTES);
    end(&test);
}

TEST(real_store_space, a_start_on_a_full_disk_gives_the_reserve_up_and_takes_it_back_with_space)
{
    struct disk_test test;
    if (!begin(&test, RESERVE_BYTES)) skip();
    for (unsigned i = 0; i < 6; i++) assert_int_equal(add_run(&test), ERR_OK);
    shut(&test);
    assert_int_equal(truncate(test.reserve, 6 << 20), 0); /* less than such a store wants */
    fill(&test, 0);
    assert_int_equal(try_open(&test), ERR_OK);
    assert_true(is_low(&test));
    assert_int_equal(reserve_size(&test), 0);
    remove_keys(&test, 2);
    expect_kept(&test, 2);
    assert_int_equal(unlink(test.filler), 0);
    reclaim(&test);
    assert_false(is_low(&test));
    assert_true(reserve_size(&test) > 0);
    expect_kept(&test, 2);
    end(&test);
}

TEST(real_store_space, a_reserve_that_was_given_up_is_taken_again_when_most_of_it_fits)
{
    struct disk_test test;
    if (!begin(&test, RESERVE_BYTES)) skip();
    for (unsigned i = 0; i < 6; i++) assert_int_equal(add_run(&test), ERR_OK); /* 12 MB */
    shut(&test);
    assert_int_equal(unlink(test.reserve), 0);
    fill(&test, 13 << 20);
    assert_int_equal(try_open(&test), ERR_OK);
    reclaim(&test);
    assert_true(is_low(&test)); /* what must stay free beside it counts too */
    assert_int_equal(truncate(test.filler, 0), 0);
    fill(&test, 16 << 20);
    reclaim(&test);
    assert_false(is_low(&test));
    assert_in_range(reserve_size(&test), 9 << 20, 12 << 20);
    assert_true(free_bytes(&test) >= 5 << 20);
    end(&test);
}
