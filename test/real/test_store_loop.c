/* SPDX-License-Identifier: Apache-2.0 */
/* The store on a loop: flushes and warming on their threads, reads between them, a close in the
 * middle of it. */
#include "test/real/help.h"

enum { CACHE_BYTES = 8 << 20, KEYS = 20000 };

struct loop_store {
    struct place_for_test place;
    struct real_world *real;
    struct world world;
    struct store *store;
    struct count_run run;
    uint8_t value[128];
    struct store_flush flush;
    struct store_warm warm;
    struct store_range range;
    char wanted[32];
    struct timer beat, overtime;
    uint64_t stamp, stamps_max;
    unsigned flushes, warms, reads, pendings, beats;
    bool inside, closed, never;
    unsigned key;
};

static void ask_flush(struct loop_store *test)
{
    test->stamp += 1;
    test->run = (struct count_run){.run = {count_run_next},
                                   .prefix = "k",
                                   .to = KEYS,
                                   .step = 1,
                                   .stamp = test->stamp,
                                   .value_bytes = 100,
                                   .value = test->value};
    test->flush.run = &test->run.run;
    test->inside = true;
    test->store->ops->flush(test->store, &test->flush);
    test->inside = false;
}

static void read_on(struct loop_store *test);

static void flush_done(struct store_flush *flush)
{
    struct loop_store *test = CONTAINER_OF(flush, struct loop_store, flush);
    assert_false(test->inside);
    assert_false(test->closed);
    assert_int_equal(flush->err, ERR_OK);
    test->flushes += 1;
    if (test->stamp < test->stamps_max) ask_flush(test);
    else real_world_stop(test->real);
}

static void warm_done(struct store_warm *warm)
{
    struct loop_store *test = CONTAINER_OF(warm, struct loop_store, warm);
    assert_false(test->inside);
    assert_false(test->closed);
    assert_int_equal(warm->err, ERR_OK);
    test->warms += 1;
    read_on(test);
}

/* Reads key after key without waiting; what is pending is warmed and read again. A value's stamp is
 * never older than the last flush that has ended, nor newer than the one under way. */
static void read_on(struct loop_store *test)
{
    for (int i = 0; i < 50; i++) {
        struct buffer value;
        buffer_init(&value);
        (void)snprintf(test->wanted, sizeof(test->wanted), "k%010u", test->key);
        enum err err = test->store->ops->get(test->store, bytes_text(test->wanted), STORE_NO_WAIT,
                                             &value);
        test->reads += 1;
        if (err == ERR_PENDING) {
            test->pendings += 1;
            test->range = (struct store_range){.from = bytes_text(test->wanted)};
            test->warm.ranges = &test->range;
            test->warm.count = 1;
            test->inside = true;
            test->store->ops->warm(test->store, &test->warm);
            test->inside = false;
            buffer_release(&value);
            return;
        }
        if (test->flushes > 0) {
            assert_int_equal(err, ERR_OK);
            assert_int_equal(value.size, 100);
            assert_in_range(load_le64(value.data), test->flushes, test->stamp);
        }
        buffer_release(&value);
        test->key = (test->key + 7919) % KEYS;
    }
    clock_timer_start(test->world.clock, &test->beat, 1000);
}

static void beat(struct timer *timer)
{
    struct loop_store *test = CONTAINER_OF(timer, struct loop_store, beat);
    test->beats += 1;
    if (!test->closed) read_on(test);
}

static void overtime(struct timer *timer)
{
    struct loop_store *test = CONTAINER_OF(timer, struct loop_store, overtime);
    if (!test->never) fail_msg("the loop was not stopped in time");
    real_world_stop(test->real);
}

static void begin(struct loop_store *test)
{
    memset(test, 0, sizeof(*test));
    place_make(&test->place, "/tmp");
    struct real_options options = {.trace = NULL};
    assert_int_equal(real_world_open(&test->real, &options, &test->world, NULL), ERR_OK);
    assert_int_equal(test->world.stores->ops->open(test->world.stores,
                                                   place_path(&test->place, "store"), true,
                                                   CACHE_BYTES, &test->store, NULL),
                     ERR_OK);
    test->flush.done = flush_done;
    test->warm.done = warm_done;
    test->beat.fired = beat;
    test->overtime.fired = overtime;
}

static void end(struct loop_store *test)
{
    clock_timer_stop(test->world.clock, &test->beat);
    clock_timer_stop(test->world.clock, &test->overtime);
    real_world_close(test->real);
    place_remove(&test->place);
}

TEST(real_store_loop, reads_between_flushes_see_the_last_or_the_next_one_and_are_never_wrong)
{
    struct loop_store test;
    begin(&test);
    test.stamps_max = 12;
    clock_timer_start(test.world.clock, &test.overtime, 60 * 1000000);
    ask_flush(&test);
    read_on(&test);
    real_world_run(test.real);
    assert_int_equal(test.flushes, 12);
    assert_true(test.pendings > 0);
    assert_true(test.warms > 0);
    assert_true(test.reads > test.pendings);
    test.closed = true;
    test.store->ops->close(test.store);
    end(&test);
}

TEST(real_store_loop, a_close_waits_for_work_under_way_and_its_done_is_never_called)
{
    for (int round = 0; round < 5; round++) {
        struct loop_store test;
        begin(&test);
        test.stamps_max = 100;
        test.never = true;
        ask_flush(&test);
        test.range = (struct store_range){
            .from = bytes_text("a"), .to = bytes_text("z"), .bytes_max = 1 << 20};
        test.warm.ranges = &test.range;
        test.warm.count = 1;
        test.store->ops->warm(test.store, &test.warm);
        if (round > 0) {
            clock_timer_start(test.world.clock, &test.overtime, (uint64_t)round * 3000);
            real_world_run(test.real);
        }
        test.closed = true;
        test.store->ops->close(test.store);
        clock_timer_start(test.world.clock, &test.overtime, 20000);
        real_world_run(test.real);
        end(&test);
    }
}

/* --- A view, walked without waiting --- */

struct view_walk {
    struct store_run run;
    bool given;
    unsigned found, warms;
    struct store_view *view;
    struct store_cursor *cursor;
    struct buffer place;
    struct loop_store *test;
    struct store_warm warm;
};

static bool delete_all(struct store_run *run, struct store_item *item)
{
    struct view_walk *walk = CONTAINER_OF(run, struct view_walk, run);
    if (walk->given) return false;
    walk->given = true;
    *item = del_range("a", "z");
    return true;
}

struct loop_flush {
    struct store_flush base;
    struct loop_store *test;
};

static void flushed(struct store_flush *flush)
{
    real_world_stop(CONTAINER_OF(flush, struct loop_flush, base)->test->real);
}

static void flush_on_loop(struct loop_store *test, struct store_run *run)
{
    struct loop_flush flush = {.base = {.run = run, .done = flushed}, .test = test};
    test->store->ops->flush(test->store, &flush.base);
    real_world_run(test->real);
    assert_int_equal(flush.base.err, ERR_OK);
}

static void fill(struct loop_store *test)
{
    clock_timer_start(test->world.clock, &test->overtime, 60 * 1000000);
    struct count_run run = {.run = {count_run_next},
                            .prefix = "k",
                            .to = KEYS,
                            .step = 1,
                            .value_bytes = 100,
                            .value = test->value};
    flush_on_loop(test, &run.run);
}

static void walk_on(struct view_walk *walk);

static void walk_warmed(struct store_warm *warm)
{
    struct view_walk *walk = CONTAINER_OF(warm, struct view_walk, warm);
    assert_int_equal(warm->err, ERR_OK);
    assert_true(++walk->warms < 200); /* each brings it on */
    walk_on(walk);
}

static void walk_on(struct view_walk *walk)
{
    struct loop_store *test = walk->test;
    enum err err = walk->cursor->ops->seek(walk->cursor, buffer_bytes(&walk->place));
    while (err == ERR_OK) {
        walk->found++;
        buffer_clear(&walk->place);
        buffer_append(&walk->place, walk->cursor->ops->key(walk->cursor));
        buffer_append_byte(&walk->place, 0);
        err = walk->cursor->ops->next(walk->cursor);
    }
    if (err == ERR_NOT_FOUND) {
        real_world_stop(test->real);
        return;
    }
    assert_int_equal(err, ERR_PENDING);
    test->range = (struct store_range){
        .from = buffer_bytes(&walk->place), .to = bytes_text("\xff"), .bytes_max = 256 << 10};
    walk->warm = (struct store_warm){
        .ranges = &test->range, .count = 1, .view = walk->view, .done = walk_warmed};
    test->store->ops->warm(test->store, &walk->warm);
}

/* What the newest flush has deleted is in no cache, and a warm of what is there now would not read
 * it. */
TEST(real_store_loop, a_view_is_warmed_as_it_is_though_the_newest_flush_has_deleted_it_all)
{
    struct loop_store test;
    begin(&test);
    fill(&test);
    test.store->ops->close(test.store);
    assert_int_equal(test.world.stores->ops->open(test.world.stores,
                                                  place_path(&test.place, "store"), false,
                                                  CACHE_BYTES, &test.store, NULL),
                     ERR_OK);
    struct view_walk walk = {.run.next = delete_all, .test = &test};
    walk.view = test.store->ops->view_open(test.store);
    flush_on_loop(&test, &walk.run);
    walk.cursor = test.store->ops->cursor(test.store, walk.view, STORE_NO_WAIT);
    buffer_init(&walk.place);
    buffer_append_byte(&walk.place, 0);
    walk_on(&walk);
    real_world_run(test.real);
    assert_int_equal(walk.found, KEYS);
    assert_true(walk.warms > 4); /* a bounded piece each time */
    walk.cursor->ops->close(walk.cursor);
    test.store->ops->view_close(test.store, walk.view);
    test.closed = true;
    test.store->ops->close(test.store);
    buffer_release(&walk.place);
    end(&test);
}

TEST(real_store_loop, a_close_takes_a_view_whose_warm_is_under_way_with_it)
{
    struct loop_store test;
    begin(&test);
    fill(&test);
    struct store_view *view = test.store->ops->view_open(test.store);
    test.range = (struct store_range){
        .from = bytes_text("a"), .to = bytes_text("z"), .bytes_max = 1 << 20};
    test.warm.ranges = &test.range;
    test.warm.count = 1;
    test.warm.view = view;
    test.store->ops->warm(test.store, &test.warm);
    test.closed = true; /* warm_done would fail */
    test.store->ops->close(test.store);
    test.never = true;
    clock_timer_start(test.world.clock, &test.overtime, 20000);
    real_world_run(test.real);
    end(&test);
}
