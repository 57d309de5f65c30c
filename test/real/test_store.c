/* SPDX-License-Identifier: Apache-2.0 */
/* The store on RocksDB, without a loop: what a flush does, what comes back, what is refused. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "test/real/help.h"

enum { CACHE_BYTES = 8 << 20 };

struct store_test {
    struct place_for_test place;
    struct stores *stores;
    struct store *store;
};

static void reopen(struct store_test *test, uint64_t cache_bytes)
{
    struct why why = {.text = ""};
    if (test->store != NULL) test->store->ops->close(test->store);
    enum err err = test->stores->ops->open(test->stores, place_path(&test->place, "store"), true,
                                           cache_bytes, &test->store, &why);
    if (err != ERR_OK) fail_msg("%s: %s", err_name(err), why.text);
}

static void begin(struct store_test *test, const char *parent)
{
    memset(test, 0, sizeof(*test));
    place_make(&test->place, parent);
    real_stores_open(&test->stores, NULL);
    reopen(test, CACHE_BYTES);
}

static void end(struct store_test *test)
{
    if (test->store != NULL) test->store->ops->close(test->store);
    real_stores_close(test->stores);
    place_remove(&test->place);
}

#define FLUSH(test, ...) \
    flush_items((test)->stores, (test)->store, (const struct store_item[]){__VA_ARGS__}, \
                sizeof((const struct store_item[]){__VA_ARGS__}) / sizeof(struct store_item))

static void expect(struct store_test *test, const char *key, const char *value)
{
    char out[64];
    enum err err = get_text(test->store, key, STORE_WAIT, out, sizeof(out));
    if (value == NULL) {
        assert_int_equal(err, ERR_NOT_FOUND);
    } else {
        assert_int_equal(err, ERR_OK);
        assert_string_equal(out, value);
    }
}

TEST(real_store, what_was_flushed_is_there_after_a_reopen_and_nothing_else_is)
{
    struct store_test test;
    begin(&test, "/tmp");
    expect(&test, "a", NULL);
    assert_int_equal(FLUSH(&test, put("a", "1"), put("b", "2")), ERR_OK);
    expect(&test, "a", "1");
    reopen(&test, CACHE_BYTES);
    expect(&test, "a", "1");
    expect(&test, "b", "2");
    assert_int_equal(FLUSH(&test, del("a"), put("b", "3"), put("c", "")), ERR_OK);
    reopen(&test, CACHE_BYTES);
    expect(&test, "a", NULL);
    expect(&test, "b", "3");
    expect(&test, "c", "");
    end(&test);
}

TEST(real_store, an_empty_run_is_a_success)
{
    struct store_test test;
    begin(&test, "/tmp");
    assert_int_equal(flush_items(test.stores, test.store, NULL, 0), ERR_OK);
    assert_int_equal(FLUSH(&test, put("a", "1")), ERR_OK);
    assert_int_equal(flush_items(test.stores, test.store, NULL, 0), ERR_OK);
    assert_int_equal(FLUSH(&test, del_range("a", "a"), del_range("z", "a")), ERR_OK);
    expect(&test, "a", "1");
    end(&test);
}

TEST(real_store, a_delete_range_hits_earlier_flushes_and_not_its_own_run)
{
    struct store_test test;
    begin(&test, "/tmp");
    /* In the very first run too, which overlaps nothing. */
    assert_int_equal(
        FLUSH(&test, del_range("k", "l"), put("k1", "old"), put("k2", "old"), put("m", "old")),
        ERR_OK);
    expect(&test, "k1", "old");
    assert_int_equal(
        FLUSH(&test, del_range("m", "n"), del_range("k", "l"), put("k2", "new"), put("k3", "new")),
        ERR_OK);
    for (int i = 0; i < 2; i++) {
        expect(&test, "k1", NULL);
        expect(&test, "k2", "new");
        expect(&test, "k3", "new");
        expect(&test, "m", NULL);
        reopen(&test, CACHE_BYTES);
    }
    end(&test);
}

TEST(real_store, a_run_of_one_delete_range_is_a_run)
{
    struct store_test test;
    begin(&test, "/tmp");
    assert_int_equal(FLUSH(&test, put("a", "1"), put("b", "1"), put("c", "1")), ERR_OK);
    assert_int_equal(FLUSH(&test, del_range("a", "c")), ERR_OK);
    expect(&test, "a", NULL);
    expect(&test, "b", NULL);
    expect(&test, "c", "1");
    end(&test);
}

TEST(real_store, a_cursor_walks_in_unsigned_byte_order_both_ways)
{
    struct store_test test;
    begin(&test, "/tmp");
    assert_int_equal(FLUSH(&test, put("a", "1"), put("b", "2"), put("\x7f", "3"), put("\xff", "4")),
                     ERR_OK);
    assert_int_equal(FLUSH(&test, del("b"), put("c", "5")), ERR_OK);
    struct store_cursor *cursor = test.store->ops->cursor(test.store, NULL, STORE_WAIT);
    static const char *const keys[] = {"a", "c", "\x7f", "\xff"};
    size_t at = 0;
    enum err err = cursor->ops->seek(cursor, bytes_text(""));
    for (; err == ERR_OK; err = cursor->ops->next(cursor))
        assert_true(bytes_equal(cursor->ops->key(cursor), bytes_text(keys[at++])));
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(at, 4);
    err = cursor->ops->seek_before(cursor, bytes_text("\xff\xff"));
    for (; err == ERR_OK; err = cursor->ops->previous(cursor))
        assert_true(bytes_equal(cursor->ops->key(cursor), bytes_text(keys[--at])));
    assert_int_equal(err, ERR_NOT_FOUND);
    assert_int_equal(at, 0);
    assert_int_equal(cursor->ops->seek_before(cursor, bytes_text("c")), ERR_OK);
    assert_true(bytes_equal(cursor->ops->value(cursor), bytes_text("1")));
    assert_int_equal(cursor->ops->seek_before(cursor, bytes_text("a")), ERR_NOT_FOUND);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("b")), ERR_OK);
    assert_true(bytes_equal(cursor->ops->key(cursor), bytes_text("c")));
    assert_int_equal(cursor->ops->previous(cursor), ERR_OK);
    assert_true(bytes_equal(cursor->ops->key(cursor), bytes_text("a")));
    cursor->ops->close(cursor);
    end(&test);
}

TEST(real_store, a_view_stays_as_one_flush_left_it)
{
    struct store_test test;
    begin(&test, "/tmp");
    struct store_view *empty = test.store->ops->view_open(test.store);
    assert_int_equal(FLUSH(&test, put("a", "1"), put("z", "1")), ERR_OK);
    struct store_view *first = test.store->ops->view_open(test.store);
    assert_int_equal(FLUSH(&test, del_range("b", "y"), put("a", "2"), del("z")), ERR_OK);
    struct store_cursor *cursor = test.store->ops->cursor(test.store, empty, STORE_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("")), ERR_NOT_FOUND);
    cursor->ops->close(cursor);
    cursor = test.store->ops->cursor(test.store, first, STORE_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("")), ERR_OK);
    assert_true(bytes_equal(cursor->ops->value(cursor), bytes_text("1")));
    assert_int_equal(cursor->ops->next(cursor), ERR_OK);
    assert_true(bytes_equal(cursor->ops->key(cursor), bytes_text("z")));
    cursor->ops->close(cursor);
    test.store->ops->view_close(test.store, first);
    test.store->ops->view_close(test.store, empty);
    expect(&test, "a", "2");
    expect(&test, "z", NULL);
    end(&test);
}

static void warm_done(struct store_warm *warm)
{
    (void)warm;
}

static enum err warm_range(struct store_test *test, struct store_range range)
{
    struct store_warm warm = {.ranges = &range, .count = 1, .done = warm_done};
    test->store->ops->warm(test->store, &warm);
    real_stores_settle(test->stores);
    return warm.err;
}

struct taking {
    struct store_warm base;
    unsigned count;
    uint64_t stamps; /* added up */
    struct buffer last;
};

static void take(struct store_warm *warm, struct bytes key, struct bytes value)
{
    struct taking *taking = CONTAINER_OF(warm, struct taking, base);
    assert_true(bytes_compare(buffer_bytes(&taking->last), key) < 0);
    buffer_clear(&taking->last);
    buffer_append(&taking->last, key);
    taking->stamps += load_le64(value.data);
    taking->count++;
}

static void take_range(struct store_test *test, struct taking *taking, struct store_view *view,
                       struct store_range range)
{
    buffer_release(&taking->last);
    *taking = (struct taking){
        .base = {.ranges = &range, .count = 1, .view = view, .found = take, .done = warm_done}};
    buffer_init(&taking->last);
    test->store->ops->warm(test->store, &taking->base);
    real_stores_settle(test->stores);
    assert_int_equal(taking->base.err, ERR_OK);
}

TEST(real_store, of_many_keys_its_caller_gets_those_that_are_there_in_their_order)
{
    enum { KEYS = 100, TEXT = 16 };
    struct store_test test;
    char names[KEYS][TEXT];
    struct store_range ranges[KEYS + 1] = {{{0}, {0}, false, 0}};
    begin(&test, "/tmp");
    struct count_run run = {
        .prefix = "k", .from = 0, .to = 3000, .step = 3, .value_bytes = 100, .stamp = 7};
    assert_int_equal(flush_count(test.stores, test.store, run), ERR_OK);
    reopen(&test, CACHE_BYTES);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], TEXT, "k%010u", 10 * i);
        ranges[i < 50 ? i : i + 1].from = bytes_text(names[i]);
    }
    ranges[50] = (struct store_range){
        .from = bytes_text("k0000000491"), .to = bytes_text("k0000000499"), .bytes_max = 1 << 20};
    struct taking taking = {
        .base = {.ranges = ranges, .count = KEYS + 1, .found = take, .done = warm_done}};
    buffer_init(&taking.last);
    test.store->ops->warm(test.store, &taking.base);
    real_stores_settle(test.stores);
    assert_int_equal(taking.base.err, ERR_OK);
    assert_int_equal(taking.count, 34 + 3); /* 0, 30 ... 990, and of the range 492, 495, 498 */
    assert_int_equal(taking.stamps, taking.count * 7);
    assert_int_equal(taking.base.read, KEYS + 1);
    taking.base.bytes_max = 150;
    taking.stamps = taking.count = 0;
    buffer_clear(&taking.last);
    test.store->ops->warm(test.store, &taking.base);
    real_stores_settle(test.stores);
    assert_int_equal(taking.base.read, 4); /* of the first batch 0 and 30, which are enough */
    assert_int_equal(taking.count, 2);
    buffer_release(&taking.last);
    end(&test);
}

TEST(real_store, what_is_read_for_its_caller_is_what_the_view_has_and_leaves_the_cache_alone)
{
    struct store_test test;
    begin(&test, "/tmp");
    for (uint64_t i = 0; i < 3; i++) {
        struct count_run run = {
            .prefix = "k", .from = i, .to = 3000, .step = 3, .value_bytes = 100, .stamp = i};
        assert_int_equal(flush_count(test.stores, test.store, run), ERR_OK);
    }
    reopen(&test, CACHE_BYTES);
    struct store_view *view = test.store->ops->view_open(test.store);
    struct count_run over = {.prefix = "k", .to = 3000, .step = 1, .value_bytes = 100, .stamp = 9};
    assert_int_equal(flush_count(test.stores, test.store, over), ERR_OK);
    struct taking taking = {.count = 0};
    struct store_range range = {
        .from = bytes_text("k0000000300"), .to = bytes_text("k0000000600"), .bytes_max = 1 << 20};
    take_range(&test, &taking, view, range);
    assert_int_equal(taking.count, 300);
    assert_int_equal(taking.stamps, 300);
    take_range(&test, &taking, NULL, range);
    assert_int_equal(taking.stamps, 300 * 9);
    range.bytes_max = 1000;
    take_range(&test, &taking, view, range);
    assert_int_equal(taking.count, (1000 + 110) / 111); /* each has a key of 11 bytes */
    char out[128];
    assert_int_equal(get_text(test.store, "k0000000301", STORE_NO_WAIT, out, sizeof(out)),
                     ERR_PENDING);
    range.from = bytes_text("l"), range.to = bytes_text("m");
    take_range(&test, &taking, view, range);
    assert_int_equal(taking.count, 0);
    buffer_release(&taking.last);
    test.store->ops->view_close(test.store, view);
    end(&test);
}

TEST(real_store, a_read_that_may_not_wait_is_pending_until_warmed)
{
    struct store_test test;
    begin(&test, "/tmp");
    for (uint64_t i = 0; i < 3; i++) {
        struct count_run run = {
            .prefix = "k", .from = i, .to = 30000, .step = 3, .value_bytes = 100, .stamp = i};
        assert_int_equal(flush_count(test.stores, test.store, run), ERR_OK);
    }
    assert_int_equal(FLUSH(&test, put("k0000020000x", "")), ERR_OK);
    reopen(&test, CACHE_BYTES);
    char out[128];
    assert_int_equal(get_text(test.store, "k0000020000", STORE_NO_WAIT, out, sizeof(out)),
                     ERR_PENDING);
    assert_int_equal(get_text(test.store, "k0000020000x", STORE_NO_WAIT, out, sizeof(out)),
                     ERR_PENDING);
    struct store_range one = {.from = bytes_text("k0000020000")};
    assert_int_equal(warm_range(&test, one), ERR_OK);
    assert_int_equal(get_text(test.store, "k0000020000", STORE_NO_WAIT, out, sizeof(out)), ERR_OK);
    assert_int_equal(load_le64((const uint8_t *)out), 20000 % 3);
    /* An empty value, and an absent key, are told from what is not in memory. */
    one.from = bytes_text("k0000020000x");
    assert_int_equal(warm_range(&test, one), ERR_OK);
    assert_int_equal(get_text(test.store, "k0000020000x", STORE_NO_WAIT, out, sizeof(out)), ERR_OK);
    assert_string_equal(out, "");
    one.from = bytes_text("k0000020000y");
    assert_int_equal(warm_range(&test, one), ERR_OK);
    assert_int_equal(get_text(test.store, "k0000020000y", STORE_NO_WAIT, out, sizeof(out)),
                     ERR_NOT_FOUND);

    struct store_range range = {
        .from = bytes_text("k0000010000"), .to = bytes_text("k0000010500"), .bytes_max = 1 << 20};
    struct store_cursor *cursor = test.store->ops->cursor(test.store, NULL, STORE_NO_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, range.from), ERR_PENDING);
    assert_int_equal(warm_range(&test, range), ERR_OK);
    size_t seen = 0;
    enum err err = cursor->ops->seek(cursor, range.from);
    for (; err == ERR_OK; err = cursor->ops->next(cursor), seen++)
        if (bytes_compare(cursor->ops->key(cursor), range.to) >= 0) break;
    assert_int_equal(err, ERR_OK);
    assert_int_equal(seen, 500);
    cursor->ops->close(cursor);

    range = (struct store_range){.from = bytes_text("k0000025000"),
                                 .to = bytes_text("k0000025500"),
                                 .backward = true,
                                 .bytes_max = 1 << 20};
    assert_int_equal(warm_range(&test, range), ERR_OK);
    cursor = test.store->ops->cursor(test.store, NULL, STORE_NO_WAIT);
    seen = 0;
    err = cursor->ops->seek_before(cursor, range.to);
    for (; err == ERR_OK; err = cursor->ops->previous(cursor), seen++)
        if (bytes_compare(cursor->ops->key(cursor), range.from) < 0) break;
    assert_int_equal(err, ERR_OK);
    assert_int_equal(seen, 500);
    cursor->ops->close(cursor);
    end(&test);
}

/* At an open RocksDB loads only some of the tables. A read that may not wait finds a table that is
 * not open, and RocksDB's answer is then an empty value. */
TEST(real_store, a_read_of_a_table_that_is_not_open_is_pending_and_no_empty_value)
{
    struct store_test test;
    begin(&test, "/tmp");
    enum { TABLES = 40 };
    for (uint64_t i = 0; i < TABLES; i++) {
        struct count_run run = {
            .prefix = "k", .from = i * 1000, .to = i * 1000 + 10, .value_bytes = i % 2 * 50};
        assert_int_equal(flush_count(test.stores, test.store, run), ERR_OK);
    }
    reopen(&test, CACHE_BYTES);
    for (int warmed = 0; warmed < 2; warmed++) {
        for (uint64_t i = 0; i < TABLES; i++) {
            char key[32], out[128];
            (void)snprintf(key, sizeof(key), "k%010llu", (unsigned long long)i * 1000 + 5);
            enum err err = get_text(test.store, key, STORE_NO_WAIT, out, sizeof(out));
            assert_int_equal(err, warmed ? ERR_OK : ERR_PENDING);
            struct store_range one = {.from = bytes_text(key)};
            if (!warmed) assert_int_equal(warm_range(&test, one), ERR_OK);
        }
    }
    end(&test);
}

static enum err try_open(struct store_test *test, const char *name, bool create)
{
    struct store *store = NULL;
    struct why why = {.text = ""};
    enum err err = test->stores->ops->open(test->stores, place_path(&test->place, name), create,
                                           CACHE_BYTES, &store, &why);
    assert_int_equal(err == ERR_OK, store != NULL);
    if (err != ERR_OK) assert_true(why.text[0] != '\0');
    if (store != NULL) store->ops->close(store);
    return err;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

TEST(real_store, opening_tells_absent_foreign_and_held_apart)
{
    struct store_test test;
    begin(&test, "/tmp");
    assert_int_equal(try_open(&test, "nothing", false), ERR_NOT_FOUND);
    assert_int_equal(access(place_path(&test.place, "nothing"), F_OK), -1);
    assert_int_equal(try_open(&test, "store", false), ERR_REFUSED); /* open already */
    assert_int_equal(mkdir(place_path(&test.place, "foreign"), 0700), 0);
    assert_int_equal(try_open(&test, "foreign", false), ERR_NOT_FOUND);
    write_file(place_path(&test.place, "foreign/letter.txt"), "dear reader");
    assert_int_equal(try_open(&test, "foreign", false), ERR_CORRUPT);
    assert_int_equal(try_open(&test, "foreign", true), ERR_CORRUPT);
    assert_int_equal(mkdir(place_path(&test.place, "half"), 0700), 0);
    write_file(place_path(&test.place, "half/LOCK"), "");
    write_file(place_path(&test.place, "half/MANIFEST-000001"), "");
    assert_int_equal(try_open(&test, "half", false), ERR_NOT_FOUND);
    assert_int_equal(try_open(&test, "half", true), ERR_OK);
    assert_int_equal(try_open(&test, "half", false), ERR_OK);
    end(&test);
}

TEST(real_store, a_store_that_misses_a_file_is_corrupt)
{
    struct store_test test;
    begin(&test, "/tmp");
    assert_int_equal(FLUSH(&test, put("a", "1")), ERR_OK);
    test.store->ops->close(test.store);
    test.store = NULL;
    char command[256];
    static const char *const files[] = {"*.sst", "MANIFEST-*"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *path = test.place.path;
        (void)snprintf(command, sizeof(command), "cd %s/store && mv %s ..", path, files[i]);
        assert_int_equal(system(command), 0);
        assert_int_equal(try_open(&test, "store", true), ERR_CORRUPT);
        (void)snprintf(command, sizeof(command), "cd %s/store && mv ../%s .", path, files[i]);
        assert_int_equal(system(command), 0);
        assert_int_equal(try_open(&test, "store", true), ERR_OK);
    }
    (void)snprintf(command, sizeof(command), "cd %s/store && rm CURRENT", test.place.path);
    assert_int_equal(system(command), 0);
    assert_int_equal(try_open(&test, "store", true), ERR_CORRUPT);
    end(&test);
}

/* A read that fails says nothing of what was written. */
TEST(real_store, a_store_whose_file_cannot_be_read_is_not_called_corrupt)
{
    static const char *const files[] = {"CURRENT", "MANIFEST-*"};
    for (unsigned i = 0; i < 2; i++) {
        struct store_test test;
        begin(&test, "/tmp");
        assert_int_equal(FLUSH(&test, put("a", "1")), ERR_OK);
        test.store->ops->close(test.store);
        test.store = NULL;
        char command[256];
        (void)snprintf(command, sizeof(command), "cd %s/store && f=$(echo %s) && rm $f && mkdir $f",
                       test.place.path, files[i]);
        assert_int_equal(system(command), 0);
        assert_int_equal(try_open(&test, "store", true), ERR_IO);
        end(&test);
    }
}

TEST(real_store, a_changed_byte_in_a_table_is_corruption_and_not_a_value)
{
    struct store_test test;
    begin(&test, "/tmp");
    struct count_run run = {.prefix = "k", .to = 20000, .value_bytes = 100};
    assert_int_equal(flush_count(test.stores, test.store, run), ERR_OK);
    test.store->ops->close(test.store);
    test.store = NULL;
    char command[256];
    (void)snprintf(
        command, sizeof(command),
        "cd %s/store && printf X | dd of=$(ls *.sst) bs=1 seek=1000 conv=notrunc 2>/dev/null",
        test.place.path);
    assert_int_equal(system(command), 0);
    reopen(&test, CACHE_BYTES);
    char out[128];
    assert_int_equal(get_text(test.store, "k0000000000", STORE_WAIT, out, sizeof(out)),
                     ERR_CORRUPT);
    struct store_range range = {
        .from = bytes_text("k"), .to = bytes_text("l"), .bytes_max = 1 << 20};
    assert_int_equal(warm_range(&test, range), ERR_CORRUPT);
    assert_int_equal(get_text(test.store, "k0000019999", STORE_WAIT, out, sizeof(out)), ERR_OK);
    end(&test);
}

/* A process of its own, started by the test below: it flushes runs that put one stamp under every
 * key, one run after the other, until it is killed. (Not a fork: RocksDB's threads would be missing
 * in it.) */
static const char *const child_variable = "TIDEMARK_TEST_FLUSH_FOR_EVER";

__attribute__((constructor)) static void flush_for_ever(void)
{
    const char *path = getenv(child_variable);
    if (path == NULL) return;
    struct stores *stores;
    struct store *store;
    real_stores_open(&stores, NULL);
    if (stores->ops->open(stores, path, true, CACHE_BYTES, &store, NULL) != ERR_OK) _exit(1);
    char out[128];
    uint64_t stamp = 0;
    if (get_text(store, "k0000000000", STORE_WAIT, out, sizeof(out)) == ERR_OK)
        stamp = load_le64((const uint8_t *)out);
    if (write(STDOUT_FILENO, "!", 1) != 1) _exit(4);
    for (;;) {
        struct count_run run = {.prefix = "k", .to = 2000, .value_bytes = 64, .stamp = ++stamp};
        if (flush_count(stores, store, run) != ERR_OK) _exit(2);
    }
}

/* Returns once the child is about to flush. */
static pid_t start_flushing(const char *path)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv(child_variable, path, 1);
        if (dup2(ready[1], STDOUT_FILENO) == STDOUT_FILENO)
            (void)execl("/proc/self/exe", "test_store", (char *)NULL);
        _exit(3);
    }
    char byte;
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return child;
}

TEST(real_store, a_kill_in_the_middle_of_a_flush_leaves_all_of_a_run_or_none)
{
    struct store_test test;
    begin(&test, "/tmp");
    test.store->ops->close(test.store);
    test.store = NULL;
    uint64_t last = 0;
    for (int round = 0; round < 25; round++) {
        pid_t child = start_flushing(place_path(&test.place, "store"));
        struct timespec pause = {.tv_nsec = 1700000L * round};
        (void)nanosleep(&pause, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        reopen(&test, CACHE_BYTES);
        struct store_cursor *cursor = test.store->ops->cursor(test.store, NULL, STORE_WAIT);
        enum err err = cursor->ops->seek(cursor, bytes_text(""));
        uint64_t stamp = err == ERR_OK ? load_le64(cursor->ops->value(cursor).data) : 0;
        size_t seen = 0;
        for (; err == ERR_OK; err = cursor->ops->next(cursor), seen++)
            assert_int_equal(load_le64(cursor->ops->value(cursor).data), stamp);
        assert_int_equal(err, ERR_NOT_FOUND);
        assert_true(stamp == 0 ? seen == 0 : seen == 2000);
        assert_true(stamp >= last);
        last = stamp;
        cursor->ops->close(cursor);
        test.store->ops->close(test.store);
        test.store = NULL;
    }
    assert_true(last > 0);
    /* RocksDB leaves an empty log behind for each of those processes. */
    char command[256];
    (void)snprintf(command, sizeof(command), "test $(ls %s/store/*.log | wc -l) -le 2",
                   test.place.path);
    assert_int_equal(system(command), 0);
    end(&test);
}

TEST(real_store, many_runs_keep_their_order_through_compactions)
{
    struct store_test test;
    begin(&test, "/tmp");
    enum { RUNS = 40, KEYS = 500 };
    for (uint64_t i = 1; i <= RUNS; i++) {
        struct count_run run = {.prefix = "k",
                                .from = i % 7,
                                .to = KEYS,
                                .step = 1 + i % 5,
                                .value_bytes = 64,
                                .stamp = i};
        assert_int_equal(flush_count(test.stores, test.store, run), ERR_OK);
    }
    uint64_t newest[KEYS] = {0};
    for (uint64_t i = 1; i <= RUNS; i++)
        for (uint64_t k = i % 7; k < KEYS; k += 1 + i % 5) newest[k] = i;
    for (int round = 0; round < 2; round++) {
        for (uint64_t k = 0; k < KEYS; k++) {
            char key[32], out[128];
            (void)snprintf(key, sizeof(key), "k%010llu", (unsigned long long)k);
            enum err err = get_text(test.store, key, STORE_WAIT, out, sizeof(out));
            assert_int_equal(err, newest[k] > 0 ? ERR_OK : ERR_NOT_FOUND);
            if (err == ERR_OK) assert_int_equal(load_le64((const uint8_t *)out), newest[k]);
        }
        reopen(&test, CACHE_BYTES);
    }
    assert_true(test.store->ops->approximate_bytes(test.store) > 0);
    end(&test);
}
