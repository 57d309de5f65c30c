/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over a store whose tables do not fit into memory: one that may not wait, warmed where it
 * says so, sees exactly what one sees that waits. */
#include "base/dice.h"
#include "test/real/help.h"

enum { KEYS = 60000, RUNS = 24, RANGES = 12, WALKS = 400, STEPS = 200, CACHE_BYTES = 3 << 20 };

struct walk_test {
    struct place_for_test place;
    struct stores *stores;
    struct store *store;
    struct dice dice;
    uint8_t there[KEYS]; /* the run that a key is from; 0: there is none */
};

/* Delete-ranges, in any order and lying over each other, then puts. */
struct drawn_run {
    struct store_run run;
    struct walk_test *test;
    unsigned ranges;
    uint64_t at, step;
    uint8_t stamp;
    char from[16], to[16];
    uint8_t value[100];
};

static void key_write(char out[16], uint64_t number)
{
    (void)snprintf(out, 16, "k%010llu", (unsigned long long)number);
}

static bool drawn_next(struct store_run *run, struct store_item *item)
{
    struct drawn_run *drawn = CONTAINER_OF(run, struct drawn_run, run);
    struct walk_test *test = drawn->test;
    if (drawn->ranges > 0) {
        drawn->ranges--;
        uint64_t from = dice_below(&test->dice, KEYS);
        uint64_t to = from + dice_below(&test->dice, KEYS / 40);
        for (uint64_t i = from; i < to && i < KEYS; i++) test->there[i] = 0;
        key_write(drawn->from, from);
        key_write(drawn->to, to);
        *item = del_range(drawn->from, drawn->to);
        return true;
    }
    if (drawn->at >= KEYS) return false;
    key_write(drawn->from, drawn->at);
    for (size_t i = 0; i < sizeof(drawn->value); i++)
        drawn->value[i] = (uint8_t)dice_below(&test->dice, 256);
    drawn->value[0] = drawn->stamp;
    test->there[drawn->at] = drawn->stamp;
    *item = (struct store_item){STORE_PUT, bytes_text(drawn->from),
                                bytes_of(drawn->value, sizeof(drawn->value))};
    drawn->at += 1 + dice_below(&test->dice, drawn->step);
    return true;
}

static void warmed(struct store_warm *warm)
{
    (void)warm;
}

/* Seeks; where memory has not all of it, brings in what lies ahead and seeks again. */
static enum err seek_warmed(struct walk_test *test, struct store_cursor *cursor, const char *key)
{
    enum err err;
    for (int i = 0; i < 1000; i++) {
        err = cursor->ops->seek(cursor, bytes_text(key));
        if (err != ERR_PENDING) break;
        struct store_range ahead = {
            .from = bytes_text(key), .to = bytes_text("l"), .bytes_max = 2000};
        struct store_warm warm = {.ranges = &ahead, .count = 1, .done = warmed};
        test->store->ops->warm(test->store, &warm);
        real_stores_settle(test->stores);
        assert_int_equal(warm.err, ERR_OK);
    }
    return err;
}

static uint64_t next_there(const struct walk_test *test, uint64_t at)
{
    while (at < KEYS && test->there[at] == 0) at++;
    return at;
}

static void walk(struct walk_test *test, enum store_patience patience)
{
    uint64_t at = next_there(test, dice_below(&test->dice, KEYS));
    struct store_cursor *cursor = test->store->ops->cursor(test->store, NULL, patience);
    char key[16];
    key_write(key, at);
    enum err err = seek_warmed(test, cursor, key);
    for (int i = 0; i < STEPS; i++) {
        key_write(key, at);
        if (at == KEYS) {
            assert_int_equal(err, ERR_NOT_FOUND);
            break;
        }
        assert_int_equal(err, ERR_OK);
        assert_true(bytes_equal(cursor->ops->key(cursor), bytes_text(key)));
        assert_int_equal(cursor->ops->value(cursor).data[0], test->there[at]);
        at = next_there(test, at + 1);
        err = cursor->ops->next(cursor);
        key_write(key, at);
        if (err == ERR_PENDING) err = seek_warmed(test, cursor, key);
    }
    cursor->ops->close(cursor);
}

TEST(real_store_walk, what_memory_lacks_is_never_left_out_where_ranges_were_deleted)
{
    static struct walk_test test;
    struct why why;
    test = (struct walk_test){.store = NULL};
    dice_init(&test.dice, 7);
    place_make(&test.place, "/tmp");
    real_stores_open(&test.stores, NULL);
    assert_int_equal(test.stores->ops->open(test.stores, place_path(&test.place, "store"), true,
                                            CACHE_BYTES, &test.store, &why),
                     ERR_OK);
    for (uint8_t stamp = 1; stamp <= RUNS; stamp++) {
        struct drawn_run drawn = {.run = {drawn_next},
                                  .test = &test,
                                  .ranges = RANGES,
                                  .step = stamp == 1 ? 1 : 20,
                                  .stamp = stamp};
        assert_int_equal(flush_run(test.stores, test.store, &drawn.run), ERR_OK);
        for (int i = 0; i < WALKS / RUNS; i++) walk(&test, STORE_NO_WAIT);
    }
    for (int i = 0; i < WALKS / 10; i++) walk(&test, STORE_WAIT);
    test.store->ops->close(test.store);
    real_stores_close(test.stores);
    place_remove(&test.place);
}
