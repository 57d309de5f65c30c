/* SPDX-License-Identifier: Apache-2.0 */
/* Surveys on their threads: beside all other work, at their rate, and ended when they have to. */
#include <stdatomic.h>
#include <time.h>

#include "base/memory.h"
#include "test/real/help.h"

enum { CACHE_BYTES = 8 << 20, KEYS = 2000, VALUE_BYTES = 100 };

struct survey_bed {
    struct place_for_test place;
    struct real_world *real;
    struct world world;
    struct store *store;
    struct store_view *view;
    struct count_run run;
    uint8_t value[VALUE_BYTES];
    struct store_flush flush;
    struct store_warm survey, warm;
    struct store_range range;
    uint64_t walk_bytes; /* it reads so much, then it ends; 0: all that there is */
    atomic_bool begun;
    uint64_t keys, took_us;
    bool ended, went_on, warmed;
    struct timer overtime;
};

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void nap(void)
{
    struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
}

static void overtime(struct timer *timer)
{
    (void)timer;
    fail_msg("the loop was not stopped in time");
}

static void flushed(struct store_flush *flush)
{
    struct survey_bed *bed = CONTAINER_OF(flush, struct survey_bed, flush);
    assert_int_equal(flush->err, ERR_OK);
    real_world_stop(bed->real);
}

static void surveyed(struct store_warm *warm)
{
    struct survey_bed *bed = CONTAINER_OF(warm, struct survey_bed, survey);
    bed->ended = true;
    real_world_stop(bed->real);
}

/* The whole view; then, as a rate asks for time, what was asked for. */
static void walk(struct store_warm *warm)
{
    struct survey_bed *bed = CONTAINER_OF(warm, struct survey_bed, survey);
    struct store *store = bed->store;
    uint64_t began_us = now_us();
    atomic_store(&bed->begun, true);
    struct store_cursor *cursor = store->ops->cursor(store, warm->view, STORE_WAIT);
    enum err err = cursor->ops->seek(cursor, bytes_text("k"));
    bed->went_on = true;
    for (; err == ERR_OK && bed->went_on; err = cursor->ops->next(cursor)) {
        bed->keys++;
        bed->went_on = store->ops->goes_on(store, warm, VALUE_BYTES);
    }
    while (bed->went_on && bed->walk_bytes > 0) bed->went_on = store->ops->goes_on(store, warm, 1);
    cursor->ops->close(cursor);
    bed->took_us = now_us() - began_us;
    warm->err = bed->went_on ? ERR_OK : ERR_SHUT;
}

static void begin(struct survey_bed *bed)
{
    memset(bed, 0, sizeof *bed);
    place_make(&bed->place, "/tmp");
    struct real_options options = {.trace = NULL};
    assert_int_equal(real_world_open(&bed->real, &options, &bed->world, NULL), ERR_OK);
    enum err err = bed->world.stores->ops->open(bed->world.stores, place_path(&bed->place, "store"),
                                                true, CACHE_BYTES, &bed->store, NULL);
    assert_int_equal(err, ERR_OK);
    bed->overtime.fired = overtime;
    clock_timer_start(bed->world.clock, &bed->overtime, 60 * 1000 * 1000);
    bed->run = (struct count_run){.run = {count_run_next},
                                  .prefix = "k",
                                  .to = KEYS,
                                  .step = 1,
                                  .stamp = 1,
                                  .value_bytes = VALUE_BYTES,
                                  .value = bed->value};
    bed->flush = (struct store_flush){.run = &bed->run.run, .done = flushed};
    bed->store->ops->flush(bed->store, &bed->flush);
    real_world_run(bed->real);
    bed->view = bed->store->ops->view_open(bed->store);
    bed->survey = (struct store_warm){.view = bed->view, .survey = walk, .done = surveyed};
}

static void end(struct survey_bed *bed)
{
    clock_timer_stop(bed->world.clock, &bed->overtime);
    real_world_close(bed->real);
    place_remove(&bed->place);
}

static void let_go(struct survey_bed *bed)
{
    bed->store->ops->view_close(bed->store, bed->view);
    bed->store->ops->close(bed->store);
    end(bed);
}

TEST(real_store_survey, sees_its_view_and_says_how_far_it_went)
{
    struct survey_bed bed;
    begin(&bed);
    bed.store->ops->warm(bed.store, &bed.survey);
    real_world_run(bed.real);
    assert_true(bed.ended);
    assert_int_equal(bed.survey.err, ERR_OK);
    assert_int_equal(bed.keys, KEYS);
    let_go(&bed);
}

TEST(real_store_survey, keeps_to_its_rate)
{
    struct survey_bed bed;
    begin(&bed);
    bed.survey.bytes_per_s = KEYS * VALUE_BYTES * 4; /* a quarter of a second */
    bed.store->ops->warm(bed.store, &bed.survey);
    real_world_run(bed.real);
    assert_int_equal(bed.keys, KEYS);
    assert_true(bed.took_us >= 240000);
    let_go(&bed);
}

static void warm_done(struct store_warm *warm)
{
    struct survey_bed *bed = CONTAINER_OF(warm, struct survey_bed, warm);
    bed->warmed = true;
    assert_false(bed->ended);
    assert_true(bed->store->ops->went(bed->store, &bed->survey) > 0);
    bed->store->ops->hurry(bed->store, &bed->survey);
}

TEST(real_store_survey, keeps_no_reader_waiting_and_ends_when_it_is_told_to)
{
    struct survey_bed bed;
    begin(&bed);
    bed.walk_bytes = 1;           /* for ever */
    bed.survey.bytes_per_s = 100; /* asleep nearly all the time */
    bed.store->ops->warm(bed.store, &bed.survey);
    while (!atomic_load(&bed.begun)) nap();
    nap();
    bed.range = (struct store_range){.from = bytes_text("k0000000000")};
    bed.warm = (struct store_warm){.ranges = &bed.range, .count = 1, .done = warm_done};
    bed.store->ops->warm(bed.store, &bed.warm);
    real_world_run(bed.real);
    assert_true(bed.warmed && bed.ended);
    assert_int_equal(bed.survey.err, ERR_SHUT);
    let_go(&bed);
}

TEST(real_store_survey, a_close_ends_it_and_takes_its_view_along)
{
    struct survey_bed bed;
    begin(&bed);
    bed.walk_bytes = 1;
    bed.survey.bytes_per_s = 100;
    bed.store->ops->warm(bed.store, &bed.survey);
    while (!atomic_load(&bed.begun)) nap();
    bed.store->ops->close(bed.store);
    assert_false(bed.went_on);
    assert_false(bed.ended); /* its done() is never called */
    end(&bed);
}
