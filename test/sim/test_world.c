/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "test/sim/bench.h"

enum { NOTES_MAX = 64 };

/* An event that notes who it is. */
struct noted {
    struct sim_event event;
    char name;
};

static char notes[NOTES_MAX + 1];
static size_t note_count;

static void note(char name)
{
    if (note_count < NOTES_MAX) notes[note_count++] = name;
    notes[note_count] = '\0';
}

static void notes_clear(void)
{
    note_count = 0;
    notes[0] = '\0';
}

static void noted_fired(struct sim_event *event)
{
    note(CONTAINER_OF(event, struct noted, event)->name);
}

TEST(sim_world, events_fire_by_time_and_at_one_time_in_the_order_of_planning)
{
    notes_clear();
    struct sim_world *world = sim_world_open(1);
    struct noted events[26];
    static const uint64_t delays[26] = {9, 3, 3, 7, 1, 3, 9, 0, 0, 2, 5, 5, 5,
                                        8, 8, 1, 1, 1, 6, 6, 4, 4, 4, 2, 2, 9};
    for (size_t i = 0; i < 26; i++) {
        events[i] = (struct noted){.event = {.fired = noted_fired}, .name = (char)('a' + i)};
        sim_world_plan(world, &events[i].event, delays[i]);
    }
    sim_world_cancel(world, &events['k' - 'a'].event);
    sim_world_cancel(world, &events['a' - 'a'].event);
    assert_true(sim_world_run_for(world, 5));
    assert_string_equal(notes, "hiepqrjxybcfuvwlm");
    assert_int_equal(sim_world_now_us(world), 5);
    assert_true(sim_world_run_for(world, 100));
    assert_string_equal(notes, "hiepqrjxybcfuvwlmstdnogz");
    assert_int_equal(sim_world_now_us(world), 105);
    sim_world_close(world);
}

TEST(sim_world, a_failed_check_stops_the_run_and_the_first_one_is_kept)
{
    struct sim_world *world = sim_world_open(1);
    struct noted event = {.event = {.fired = noted_fired}, .name = 'x'};
    sim_world_plan(world, &event.event, 1);
    sim_world_fail(world, "the %s", "first");
    sim_world_fail(world, "the second");
    assert_string_equal(sim_world_failure(world), "at 0.000000 s, turn 0: the first");
    assert_false(sim_world_step(world));
    assert_false(sim_world_run_for(world, 10));
    sim_world_cancel(world, &event.event);
    sim_world_close(world);
}

/* A program with timers, disk writes and dice, that notes what it does. */
struct busy {
    struct sim_program program;
    struct sim_world *sim;
    struct sim_node *node;
    struct state *state; /* on the node's heap */
    bool writes;
    unsigned ended;
    enum sim_end end;
    int status;
};

struct state {
    struct world *world;
    struct timer timer;
    struct task task;
    struct disk_request request;
    struct disk_file *file;
    uint64_t writes;
    uint8_t bytes[64];
};

static void state_written(struct disk_request *request)
{
    struct state *state = CONTAINER_OF(request, struct state, request);
    trace_event(state->world->trace, TRACE_NOTICE, "busy", "written", "n=%llu us=%llu",
                (unsigned long long)++state->writes,
                (unsigned long long)clock_now_us(state->world->clock));
    clock_timer_start(state->world->clock, &state->timer, 1000);
}

static void state_write(struct task *task)
{
    struct state *state = CONTAINER_OF(task, struct state, task);
    entropy_fill(state->world->entropy, state->bytes, sizeof(state->bytes));
    state->request = (struct disk_request){.op = DISK_WRITE_SYNC, .file = state->file};
    state->request.offset = state->writes * 64;
    state->request.data = state->bytes;
    state->request.size = 64;
    state->request.done = state_written;
    disk_submit(state->world->disk, &state->request);
}

static void state_fired(struct timer *timer)
{
    struct state *state = CONTAINER_OF(timer, struct state, timer);
    clock_defer(state->world->clock, &state->task);
    clock_defer(state->world->clock, &state->task);
}

static bool busy_start(struct sim_program *program, struct world *world)
{
    struct busy *busy = CONTAINER_OF(program, struct busy, program);
    struct state *state = memory_zeroed(1, sizeof(*state));
    state->world = world;
    state->timer.fired = state_fired;
    state->task.run = state_write;
    struct disk_request request = {.op = DISK_CREATE, .path = "a"};
    enum err err = disk_run(world->disk, &request);
    if (err == ERR_EXISTS) {
        request = (struct disk_request){.op = DISK_OPEN, .path = "a"};
        err = disk_run(world->disk, &request);
    }
    assert_int_equal(err, ERR_OK);
    state->file = request.file;
    request = (struct disk_request){.op = DISK_SYNC_DIR, .path = "."};
    assert_int_equal(disk_run(world->disk, &request), ERR_OK);
    if (busy->writes) clock_timer_start(world->clock, &state->timer, 10);
    busy->state = state;
    return true;
}

static void busy_stop(struct sim_program *program)
{
    struct busy *busy = CONTAINER_OF(program, struct busy, program);
    struct state *state = busy->state;
    clock_timer_stop(state->world->clock, &state->timer);
    struct disk_request request = {.op = DISK_CLOSE, .file = state->file};
    assert_int_equal(disk_run(state->world->disk, &request), ERR_OK);
    memory_free(state);
}

static void busy_ended(struct sim_program *program, enum sim_end end, int status)
{
    struct busy *busy = CONTAINER_OF(program, struct busy, program);
    busy->state = NULL;
    busy->ended++;
    busy->end = end;
    busy->status = status;
}

static void busy_open(struct busy *busy, uint64_t seed, const struct sim_node_options *options)
{
    *busy = (struct busy){.program = {busy_start, busy_stop, busy_ended}, .writes = true};
    busy->sim = sim_world_open(seed);
    busy->node = sim_node_open(busy->sim, &busy->program, options);
    assert_true(sim_node_start(busy->node));
}

static uint64_t busy_hash(uint64_t seed, bool damage)
{
    struct busy busy;
    busy_open(&busy, seed, NULL);
    assert_true(sim_world_run_for(busy.sim, 50 * SIM_MILLISECOND));
    sim_node_crash(busy.node, (struct sim_cut){SIM_KEEP_GARBAGE, seed});
    assert_int_equal(busy.ended, 1);
    assert_true(sim_node_start(busy.node));
    if (damage) busy.state->bytes[0] ^= 1;
    if (damage) (void)sim_disk_damage(sim_node_disk(busy.node), "a", 0, 1, SIM_DAMAGE_FLIP);
    assert_true(sim_world_run_for(busy.sim, 50 * SIM_MILLISECOND));
    uint64_t hash = sim_world_hash(busy.sim);
    sim_world_close(busy.sim);
    return hash;
}

TEST(sim_world, the_same_seed_gives_the_same_hash_and_another_seed_another)
{
    size_t before = sim_heap_bytes(NULL);
    uint64_t hash = busy_hash(7, false);
    assert_true(hash == busy_hash(7, false));
    assert_true(hash != busy_hash(8, false));
    assert_int_equal(sim_heap_bytes(NULL), before);
}

TEST(sim_world, another_draw_of_one_kind_changes_no_other_kind)
{
    struct sim_world *a = sim_world_open(5), *b = sim_world_open(5);
    (void)dice_roll(sim_world_dice(a, SIM_DICE_NET));
    assert_true(dice_roll(sim_world_dice(a, SIM_DICE_DISK)) ==
                dice_roll(sim_world_dice(b, SIM_DICE_DISK)));
    assert_true(dice_roll(sim_world_dice(a, SIM_DICE_NET)) !=
                dice_roll(sim_world_dice(b, SIM_DICE_NET)));
    sim_world_close(a);
    sim_world_close(b);
}

TEST(sim_node, a_clean_stop_leaves_nothing_and_a_leak_is_a_failed_check)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    busy.writes = false;
    assert_true(sim_world_run_for(busy.sim, SIM_SECOND + 5));
    while (busy.state->request.op == DISK_WRITE_SYNC && !busy.state->timer.armed) {
        assert_true(sim_world_step(busy.sim));
    }
    assert_true(sim_node_stop(busy.node));
    assert_null(sim_world_failure(busy.sim));
    assert_int_equal(busy.end, SIM_END_STOP);
    assert_true(sim_node_start(busy.node));
    (void)sim_heap_enter(sim_node_heap(busy.node));
    (void)memory_alloc(77);
    (void)sim_heap_enter(NULL);
    assert_true(sim_node_stop(busy.node));
    assert_non_null(strstr(sim_world_failure(busy.sim), "n1 leaked 1 blocks, 77 bytes"));
    sim_world_close(busy.sim);
}

TEST(sim_node, a_crash_drops_memory_timers_and_requests_in_flight)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    while (busy.state->writes == 0 || busy.state->timer.armed)
        assert_true(sim_world_step(busy.sim));
    sim_node_crash(busy.node, (struct sim_cut){SIM_KEEP_NOTHING, 0});
    assert_int_equal(sim_heap_blocks(sim_node_heap(busy.node)), 0);
    assert_int_equal(busy.end, SIM_END_CRASH);
    assert_true(sim_world_run_for(busy.sim, SIM_SECOND)); /* nothing of it comes back */
    sim_world_close(busy.sim);
}

TEST(sim_node, a_crash_at_an_operation_is_exact)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    assert_int_equal(sim_node_io(busy.node), 2); /* create and sync of the directory */
    sim_world_close(busy.sim);
    for (uint64_t io = 0; io < 20; io++) {
        for (unsigned moment = SIM_BEFORE; moment <= SIM_AFTER; moment++) {
            busy = (struct busy){.program = {busy_start, busy_stop, busy_ended}, .writes = true};
            busy.sim = sim_world_open(1);
            busy.node = sim_node_open(busy.sim, &busy.program, NULL);
            struct sim_crash crash = {io, (enum sim_moment)moment, {SIM_KEEP_NOTHING, 0}};
            sim_node_crash_at(busy.node, &crash);
            if (io < 2) {
                assert_false(sim_node_start(busy.node));
            } else {
                assert_true(sim_node_start(busy.node));
                while (busy.ended == 0) assert_true(sim_world_step(busy.sim));
            }
            assert_int_equal(busy.end, SIM_END_CRASH);
            assert_int_equal(sim_node_io(busy.node), io + 1);
            struct buffer kept;
            buffer_init(&kept);
            bool named = sim_disk_kept(sim_node_disk(busy.node), "a", &kept);
            assert_int_equal(named, io > 1 || (io == 1 && moment == SIM_AFTER));
            /* Operation 2 is the first write of 64 bytes. */
            uint64_t writes = io < 2 ? 0 : io - 2 + (moment == SIM_AFTER ? 1 : 0);
            assert_int_equal(kept.size, writes * 64);
            buffer_release(&kept);
            sim_world_close(busy.sim);
        }
    }
}

TEST(sim_node, every_standard_variant_of_a_crash_keeps_what_was_acknowledged)
{
    struct sim_crash crash;
    unsigned variants = 0;
    for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
        variants++;
        struct busy busy;
        busy_open(&busy, variant, NULL);
        crash.io = 11;
        sim_node_crash_at(busy.node, &crash);
        while (busy.ended == 0) assert_true(sim_world_step(busy.sim));
        struct buffer kept;
        buffer_init(&kept);
        assert_true(sim_disk_kept(sim_node_disk(busy.node), "a", &kept) ||
                    crash.cut.keep == SIM_KEEP_CACHE);
        assert_true(kept.size >= 9 * 64); /* operations 2 to 10 */
        buffer_release(&kept);
        sim_world_close(busy.sim);
    }
    assert_true(variants >= 16);
}

static void visit_breaks_must(struct sim_visit *visit, struct world *world)
{
    (void)visit;
    (void)memory_alloc(5);
    MUST(world == NULL);
}

TEST(sim_node, a_broken_must_takes_the_node_down_and_names_itself)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    struct sim_visit visit = {visit_breaks_must};
    assert_false(sim_node_visit(busy.node, &visit));
    assert_int_equal(busy.end, SIM_END_MUST);
    assert_non_null(strstr(sim_world_failure(busy.sim), "must hold: world == NULL"));
    sim_world_close(busy.sim);
}

struct exit_visit {
    struct sim_visit base;
    struct sim_node *node;
};

static void visit_exits(struct sim_visit *visit, struct world *world)
{
    (void)world;
    sim_node_exit(CONTAINER_OF(visit, struct exit_visit, base)->node, 4);
}

TEST(sim_node, an_exit_ends_the_node_with_its_status_in_the_middle_of_its_code)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    struct exit_visit visit = {{visit_exits}, busy.node};
    assert_false(sim_node_visit(busy.node, &visit.base));
    assert_int_equal(busy.end, SIM_END_EXIT);
    assert_int_equal(busy.status, 4);
    assert_null(sim_world_failure(busy.sim));
    sim_world_close(busy.sim);
}

static void visit_takes_memory(struct sim_visit *visit, struct world *world)
{
    (void)visit;
    (void)world;
    memory_free(memory_alloc(1 << 20));
}

TEST(sim_node, too_much_memory_is_a_failed_check)
{
    struct sim_node_options options = {.name = "small", .memory_bytes_max = 100000};
    struct busy busy;
    busy_open(&busy, 1, &options);
    struct sim_visit visit = {visit_takes_memory};
    assert_true(sim_node_visit(busy.node, &visit));
    assert_non_null(strstr(sim_world_failure(busy.sim), "small held 104"));
    sim_world_close(busy.sim);
}

TEST(sim_node, a_paused_node_gets_its_events_later_and_in_order)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    assert_true(sim_world_run_for(busy.sim, 10 * SIM_MILLISECOND));
    uint64_t writes = busy.state->writes;
    sim_node_pause(busy.node, SIM_SECOND);
    assert_true(sim_world_run_for(busy.sim, 999 * SIM_MILLISECOND));
    assert_int_equal(busy.state->writes, writes);
    assert_true(sim_world_run_for(busy.sim, 10 * SIM_MILLISECOND));
    assert_true(busy.state->writes > writes);
    sim_world_close(busy.sim);
}

/* Timers that note their name. */
struct noted_timer {
    struct timer timer;
    char name;
};

static void noted_timer_fired(struct timer *timer)
{
    note(CONTAINER_OF(timer, struct noted_timer, timer)->name);
}

static struct noted_timer noted_timers[5];

static void visit_starts_timers(struct sim_visit *visit, struct world *world)
{
    (void)visit;
    static const uint64_t delays[5] = {500, 100, 100, 300, 200};
    for (size_t i = 0; i < 5; i++) {
        noted_timers[i] = (struct noted_timer){{.fired = noted_timer_fired}, (char)('a' + i)};
        clock_timer_start(world->clock, &noted_timers[i].timer, delays[i] * SIM_SECOND);
    }
    clock_timer_stop(world->clock, &noted_timers[4].timer);
    clock_timer_stop(world->clock, &noted_timers[4].timer);
    clock_timer_start(world->clock, &noted_timers[1].timer, 400 * (uint64_t)SIM_SECOND);
}

TEST(sim_clock, timers_fire_once_in_order_and_not_early_by_the_nodes_own_clock)
{
    for (int64_t ppm = -50000; ppm <= 50000; ppm += 50000) {
        notes_clear();
        struct sim_world *world = sim_world_open(3);
        struct sim_node *node = sim_node_open(world, NULL,
                                              &(struct sim_node_options){.drift_ppm = ppm});
        assert_true(sim_node_start(node));
        struct clock *clock = sim_node_world(node)->clock;
        uint64_t start = clock_now_us(clock);
        struct sim_visit visit = {visit_starts_timers};
        assert_true(sim_node_visit(node, &visit));
        static const uint64_t due[4] = {100, 300, 400, 500};
        for (size_t i = 0; i < 4; i++) {
            while (note_count == i) assert_true(sim_world_step(world));
            uint64_t passed = clock_now_us(clock) - start;
            assert_true(passed >= due[i] * SIM_SECOND);
            assert_true(passed < due[i] * SIM_SECOND + SIM_MILLISECOND);
        }
        assert_string_equal(notes, "cdba");
        uint64_t world_us = 500 * (uint64_t)SIM_SECOND * 100 / (uint64_t)(100 + ppm / 10000);
        assert_true(sim_world_now_us(world) > world_us - 2000);
        assert_true(sim_world_now_us(world) < world_us + 2000);
        sim_world_close(world);
    }
}

/* A timer that starts itself again without delay, and counts. */
static struct timer eager;
static struct clock *eager_clock;
static unsigned eager_count;

static void eager_fired(struct timer *timer)
{
    eager_count++;
    clock_timer_start(eager_clock, timer, 0);
}

static void visit_starts_eager(struct sim_visit *visit, struct world *world)
{
    (void)visit;
    eager = (struct timer){.fired = eager_fired};
    eager_clock = world->clock;
    eager_count = 0;
    clock_timer_start(world->clock, &eager, 0);
}

TEST(sim_clock, a_timer_that_restarts_itself_without_delay_lets_the_turn_end)
{
    struct bench bench = bench_open(1);
    struct sim_visit visit = {visit_starts_eager};
    assert_true(sim_node_visit(bench.node, &visit));
    unsigned turns = 0;
    for (; turns < 20; turns++) assert_true(sim_world_step(bench.world));
    assert_true(eager_count >= 20 && eager_count < 2000);
    bench_close(&bench);
}

static void visit_starts_together(struct sim_visit *visit, struct world *world)
{
    (void)visit;
    for (size_t i = 0; i < 5; i++) {
        noted_timers[i] = (struct noted_timer){{.fired = noted_timer_fired}, (char)('a' + i)};
        clock_timer_start(world->clock, &noted_timers[i].timer, 1000);
    }
    clock_timer_start(world->clock, &noted_timers[1].timer, 1000);
}

TEST(sim_clock, timers_of_one_moment_fire_in_the_order_of_their_start)
{
    notes_clear();
    struct bench bench = bench_open(1);
    struct sim_visit visit = {visit_starts_together};
    assert_true(sim_node_visit(bench.node, &visit));
    assert_true(sim_world_run_for(bench.world, SIM_SECOND));
    assert_string_equal(notes, "acdeb");
    bench_close(&bench);
}

TEST(sim_clock, the_wall_jumps_while_boottime_goes_on_and_a_power_cut_starts_boottime_anew)
{
    struct bench bench = bench_open(1);
    struct clock *clock = sim_node_world(bench.node)->clock;
    assert_true(sim_world_run_for(bench.world, 3600 * (uint64_t)SIM_SECOND));
    uint64_t wall = clock_wall_ms(clock), boot = clock_now_us(clock);
    sim_node_wall_jump(bench.node, -5000);
    assert_int_equal(clock_wall_ms(clock), wall - 5000);
    assert_int_equal(clock_now_us(clock), boot);
    sim_node_drift(bench.node, 100000);
    assert_int_equal(clock_wall_ms(clock), wall - 5000);
    assert_int_equal(clock_now_us(clock), boot);
    assert_true(sim_world_run_for(bench.world, 10 * SIM_SECOND));
    assert_int_equal(clock_wall_ms(clock), wall - 5000 + 11000);
    assert_int_equal(clock_now_us(clock), boot + 11 * SIM_SECOND);
    bench_cut(&bench, SIM_KEEP_CACHE, 0);
    assert_true(clock_now_us(clock) > boot);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_true(clock_now_us(clock) < 100 * SIM_SECOND);
    bench_close(&bench);
}

/* A task that defers itself once more each time. */
static struct task endless;
static struct clock *endless_clock;

static void endless_run(struct task *task)
{
    clock_defer(endless_clock, task);
}

static void visit_defers_without_end(struct sim_visit *visit, struct world *world)
{
    (void)visit;
    endless = (struct task){.run = endless_run};
    endless_clock = world->clock;
    clock_defer(world->clock, &endless);
}

TEST(sim_clock, tasks_that_never_end_are_a_failed_check)
{
    struct bench bench = bench_open(1);
    struct sim_visit visit = {visit_defers_without_end};
    assert_true(sim_node_visit(bench.node, &visit));
    assert_non_null(strstr(sim_world_failure(bench.world), "defers tasks without end"));
    sim_world_close(bench.world);
}

struct line_reader {
    struct sim_reader base;
    unsigned written, lines;
};

static void line_read(struct sim_reader *base, const char *line)
{
    struct line_reader *reader = CONTAINER_OF(base, struct line_reader, base);
    reader->lines++;
    if (strstr(line, " n1 notice busy written n=") != NULL) reader->written++;
}

TEST(sim_world, a_reader_sees_each_trace_line)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    struct line_reader reader = {.base = {line_read}};
    sim_world_read(busy.sim, &reader.base);
    assert_true(sim_world_run_for(busy.sim, 20 * SIM_MILLISECOND));
    assert_true(reader.written > 5);
    assert_int_equal(reader.written, busy.state->writes);
    sim_world_say(busy.sim, "hello");
    assert_int_equal(reader.lines, reader.written + 1);
    sim_world_close(busy.sim);
}

TEST(sim_world, settling_waits_for_everything_but_timers)
{
    struct busy busy;
    busy_open(&busy, 1, NULL);
    while (busy.state->timer.armed) assert_true(sim_world_step(busy.sim));
    assert_true(sim_world_settle(busy.sim, SIM_SECOND));
    assert_true(busy.state->timer.armed);
    assert_int_equal(busy.state->writes, 1);
    sim_world_close(busy.sim);
}
