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
