/* SPDX-License-Identifier: Apache-2.0 */
/* Turns, timers, deferred tasks, signals, entropy, trace. */
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "test/real/help.h"

struct loop_test {
    struct real_world *real;
    struct world world;
    char log[64]; /* what happened, a letter each */
    size_t logged;
};

struct letter {
    struct timer timer;
    struct task task;
    struct loop_test *test;
    char letter;
    bool stops;
    struct letter *defers, *starts;
};

static void begin(struct loop_test *test)
{
    memset(test, 0, sizeof(*test));
    struct real_options options = {.trace = NULL};
    struct why why = {.text = ""};
    if (real_world_open(&test->real, &options, &test->world, &why) != ERR_OK)
        fail_msg("%s", why.text);
}

static void happened(struct letter *letter)
{
    struct loop_test *test = letter->test;
    assert_true(test->logged + 1 < sizeof(test->log));
    test->log[test->logged++] = letter->letter;
    if (letter->defers != NULL) clock_defer(test->world.clock, &letter->defers->task);
    if (letter->starts != NULL) clock_timer_start(test->world.clock, &letter->starts->timer, 0);
    if (letter->stops) real_world_stop(test->real);
}

static void letter_fired(struct timer *timer)
{
    assert_false(timer->armed);
    happened(CONTAINER_OF(timer, struct letter, timer));
}

static void letter_ran(struct task *task)
{
    assert_false(task->queued);
    happened(CONTAINER_OF(task, struct letter, task));
}

static struct letter letter_of(struct loop_test *test, char name)
{
    return (struct letter){.timer = {.fired = letter_fired},
                           .task = {.run = letter_ran},
                           .test = test,
                           .letter = name};
}

TEST(real_loop, timers_fire_by_their_time_and_ties_by_their_start)
{
    struct loop_test test;
    begin(&test);
    struct clock *clock = test.world.clock;
    struct letter letters[26];
    for (int i = 0; i < 26; i++) letters[i] = letter_of(&test, (char)('a' + i));
    uint64_t begun = clock_now_us(clock);
    clock_timer_start(clock, &letters[3].timer, 9000);
    clock_timer_start(clock, &letters[1].timer, 3000);
    clock_timer_start(clock, &letters[2].timer, 6000);
    clock_timer_start(clock, &letters[0].timer, 0);
    clock_timer_start(clock, &letters[4].timer, 20000);
    clock_timer_start(clock, &letters[25].timer, 4000);
    clock_timer_stop(clock, &letters[25].timer);
    clock_timer_stop(clock, &letters[25].timer);
    clock_timer_start(clock, &letters[4].timer, 12000); /* again, and earlier */
    letters[4].stops = true;
    real_world_run(test.real);
    assert_string_equal(test.log, "abcde");
    uint64_t took = clock_now_us(clock) - begun;
    assert_in_range(took, 12000, 10 * 1000000);
    real_world_close(test.real);
}

struct crowd_timer {
    struct timer timer;
    struct crowd *crowd;
    unsigned started; /* the how-manieth start */
};

struct crowd {
    struct loop_test test;
    uint64_t last_due;
    unsigned last_started, starts, fired;
};

static void crowd_fired(struct timer *timer)
{
    struct crowd_timer *one = CONTAINER_OF(timer, struct crowd_timer, timer);
    struct crowd *crowd = one->crowd;
    assert_true(clock_now_us(crowd->test.world.clock) >= timer->due_us);
    assert_true(timer->due_us >= crowd->last_due);
    if (timer->due_us == crowd->last_due) assert_true(one->started > crowd->last_started);
    crowd->last_due = timer->due_us;
    crowd->last_started = one->started;
    crowd->fired += 1;
}

static void crowd_start(struct crowd *crowd, struct crowd_timer *one, uint64_t delay_us)
{
    one->started = ++crowd->starts;
    clock_timer_start(crowd->test.world.clock, &one->timer, delay_us);
}

TEST(real_loop, a_thousand_timers_fire_in_order_and_not_early)
{
    struct crowd crowd = {.last_due = 0};
    begin(&crowd.test);
    enum { MANY = 1000 };
    struct crowd_timer *timers = memory_zeroed(MANY, sizeof(*timers));
    for (unsigned i = 0; i < MANY; i++) {
        timers[i] = (struct crowd_timer){.timer = {.fired = crowd_fired}, .crowd = &crowd};
        crowd_start(&crowd, &timers[i], (i * 7919) % 5000);
    }
    for (unsigned i = 0; i < MANY; i += 3)
        clock_timer_stop(crowd.test.world.clock, &timers[i].timer);
    for (unsigned i = 0; i < MANY; i += 6) crowd_start(&crowd, &timers[i], (i * 104729) % 5000);
    unsigned expected = 0;
    for (unsigned i = 0; i < MANY; i++) expected += timers[i].timer.armed ? 1 : 0;
    struct letter stop = letter_of(&crowd.test, '.');
    stop.stops = true;
    clock_timer_start(crowd.test.world.clock, &stop.timer, 20000);
    real_world_run(crowd.test.real);
    assert_int_equal(crowd.fired, expected);
    memory_free(timers);
    real_world_close(crowd.test.real);
}

TEST(real_loop, a_timer_started_by_a_timer_waits_for_its_own_turn)
{
    struct loop_test test;
    begin(&test);
    struct letter a = letter_of(&test, 'a'), b = letter_of(&test, 'b'), c = letter_of(&test, 'c'),
                  d = letter_of(&test, 'd');
    a.starts = &b; /* b would be due at once */
    a.defers = &c; /* still in a's turn, so before b */
    b.defers = &d;
    d.stops = true;
    clock_timer_start(test.world.clock, &a.timer, 1000);
    real_world_run(test.real);
    assert_string_equal(test.log, "acbd");
    real_world_close(test.real);
}

struct echo_timer {
    struct timer timer;
    struct task task;
    struct loop_test *test;
    unsigned fired, ran;
};

static void echo_fired(struct timer *timer)
{
    struct echo_timer *echo = CONTAINER_OF(timer, struct echo_timer, timer);
    assert_int_equal(echo->ran, echo->fired); /* one turn, one shot */
    echo->fired += 1;
    clock_defer(echo->test->world.clock, &echo->task);
    if (echo->fired < 20000) clock_timer_start(echo->test->world.clock, timer, 0);
    else real_world_stop(echo->test->real);
}

static void echo_ran(struct task *task)
{
    CONTAINER_OF(task, struct echo_timer, task)->ran += 1;
}

TEST(real_loop, a_timer_without_delay_lets_the_loop_turn_each_time)
{
    struct loop_test test;
    begin(&test);
    struct echo_timer echo = {
        .timer = {.fired = echo_fired}, .task = {.run = echo_ran}, .test = &test};
    clock_timer_start(test.world.clock, &echo.timer, 0);
    real_world_run(test.real);
    assert_int_equal(echo.ran, 20000);
    real_world_close(test.real);
}

TEST(real_loop, deferred_tasks_run_in_order_until_there_are_none_before_the_loop_sleeps)
{
    struct loop_test test;
    begin(&test);
    struct clock *clock = test.world.clock;
    struct letter a = letter_of(&test, 'a'), b = letter_of(&test, 'b'), c = letter_of(&test, 'c'),
                  d = letter_of(&test, 'd'), e = letter_of(&test, 'e');
    a.defers = &c; /* goes behind b */
    c.defers = &d;
    d.stops = true;
    clock_defer(clock, &a.task);
    clock_defer(clock, &b.task);
    clock_defer(clock, &a.task); /* queued already */
    clock_defer(clock, &e.task);
    clock_cancel(clock, &e.task);
    clock_cancel(clock, &e.task);
    uint64_t begun = clock_now_us(clock);
    real_world_run(test.real); /* nothing else would ever wake it */
    assert_string_equal(test.log, "abcd");
    assert_true(clock_now_us(clock) - begun < 10 * 1000000);
    real_world_close(test.real);
}

TEST(real_loop, a_late_task_runs_when_no_other_is_left)
{
    struct loop_test test;
    begin(&test);
    struct clock *clock = test.world.clock;
    struct letter a = letter_of(&test, 'a'), b = letter_of(&test, 'b'), c = letter_of(&test, 'c'),
                  l = letter_of(&test, 'l'), m = letter_of(&test, 'm');
    l.task.late = m.task.late = true;
    a.defers = &b;
    l.defers = &c; /* before the next late one */
    m.stops = true;
    clock_defer(clock, &l.task);
    clock_defer(clock, &m.task);
    clock_defer(clock, &a.task);
    real_world_run(test.real);
    assert_string_equal(test.log, "ablcm");
    real_world_close(test.real);
}

TEST(real_loop, the_turn_of_a_stop_is_finished_and_the_loop_can_run_again)
{
    struct loop_test test;
    begin(&test);
    struct letter a = letter_of(&test, 'a'), b = letter_of(&test, 'b');
    a.stops = true;
    a.defers = &b;
    clock_timer_start(test.world.clock, &a.timer, 100);
    real_world_run(test.real);
    assert_string_equal(test.log, "ab");
    clock_timer_start(test.world.clock, &a.timer, 100);
    real_world_run(test.real);
    assert_string_equal(test.log, "abab");
    real_world_close(test.real);
}

TEST(real_loop, clocks_agree_with_the_system)
{
    struct loop_test test;
    begin(&test);
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    uint64_t wall = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    assert_in_range(clock_wall_ms(test.world.clock), wall, wall + 10000);
    uint64_t first = clock_now_us(test.world.clock);
    struct timespec pause = {.tv_nsec = 2000000};
    (void)nanosleep(&pause, NULL);
    assert_in_range(clock_now_us(test.world.clock) - first, 2000, 10 * 1000000);
    real_world_close(test.real);
}

struct signal_test {
    struct real_signals signals;
    struct real_world *real;
    int number;
};

static void signal_asked(struct real_signals *signals, int number)
{
    struct signal_test *test = CONTAINER_OF(signals, struct signal_test, signals);
    test->number = number;
    real_world_stop(test->real);
}

TEST(real_loop, sigterm_and_sigint_are_told_and_sigpipe_is_ignored)
{
    struct signal_test test = {.signals = {signal_asked}};
    struct real_options options = {.signals = &test.signals};
    struct world world;
    assert_int_equal(real_world_open(&test.real, &options, &world, NULL), ERR_OK);
    assert_int_equal(raise(SIGPIPE), 0);
    static const int numbers[] = {SIGTERM, SIGINT, SIGTERM};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(raise(numbers[i]), 0);
        real_world_run(test.real);
        assert_int_equal(test.number, numbers[i]);
        test.number = 0;
    }
    real_world_close(test.real);
}

TEST(real_loop, freed_chunks_are_merged_at_once_however_small)
{
    struct loop_test test;
    begin(&test);
    void *chunks[64]; /* more of one size than a thread's cache holds */
    for (size_t i = 0; i < 64; i++) chunks[i] = memory_alloc(1);
    for (size_t i = 0; i < 64; i++) memory_free(chunks[i]);
    assert_int_equal(mallinfo2().smblks, 0);
    real_world_close(test.real);
}

TEST(real_entropy, fills_all_of_it_and_differs)
{
    struct loop_test test;
    begin(&test);
    enum { SIZE = 100000 };
    uint8_t *bytes = memory_zeroed(2, SIZE);
    entropy_fill(test.world.entropy, bytes, SIZE);
    entropy_fill(test.world.entropy, bytes + SIZE, SIZE);
    assert_memory_not_equal(bytes, bytes + SIZE, 32);
    size_t zeros = 0;
    for (size_t i = SIZE - 1000; i < SIZE; i++) zeros += bytes[i] == 0 ? 1 : 0;
    assert_true(zeros < 50);
    memory_free(bytes);
    real_world_close(test.real);
}

TEST(real_trace, writes_one_line_an_event_that_cannot_be_broken_by_its_fields)
{
    struct place_for_test place;
    place_make(&place, "/tmp");
    struct trace *trace;
    const char *path = place_path(&place, "log");
    assert_int_equal(real_trace_open(&trace, path, TRACE_NOTICE, NULL), ERR_OK);
    trace_event(trace, TRACE_NOTICE, "log", "segment_rolled", "first_lsn=%d", 17);
    trace_event(trace, TRACE_VERBOSE, "log", "too_low", "a=1");
    trace_event(trace, TRACE_WARNING, "net", "odd", "name=\"%s\"", "a\nb\x1b[31m");
    real_trace_close(trace);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char line[256];
    assert_non_null(fgets(line, sizeof(line), file));
    assert_int_equal(strlen(line),
                     strlen("2026-01-02T03:04:05.678Z notice log segment_rolled first_lsn=17\n"));
    assert_string_equal(line + 23, "Z notice log segment_rolled first_lsn=17\n");
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[19], '.');
    assert_non_null(fgets(line, sizeof(line), file));
    assert_string_equal(line + 23, "Z warning net odd name=\"a?b?[31m\"\n");
    assert_null(fgets(line, sizeof(line), file));
    assert_int_equal(fclose(file), 0);
    struct why why = {.text = ""};
    assert_int_equal(real_trace_open(&trace, place_path(&place, "no/such/log"), TRACE_NOTICE, &why),
                     ERR_IO);
    assert_null(trace);
    place_remove(&place);
}
