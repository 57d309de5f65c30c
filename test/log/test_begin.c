/* SPDX-License-Identifier: Apache-2.0 */
/* A log that begins behind a mark: what an install gives to a store that was not made by entries of
 * this log. */
#include "base/memory.h"
#include "log/log.h"
#include "sim/disk.h"
#include "sim/node.h"
#include "test/test.h"

#define BEGIN_DIRECTORY "log-2"

struct beginner {
    struct sim_program program;
    struct log_listener listener;
    struct log_options options;
    struct mark after;
    struct log *log;
    struct log_found found;
    struct why why;
    enum err err;
    bool creates;
};

static void advanced(struct log_listener *listener)
{
    (void)listener;
}

static void failed(struct log_listener *listener, const struct why *why)
{
    (void)listener;
    fail_msg("%s", why->text);
}

/* Each life opens the next epoch and appends one entry. */
static enum err live(struct beginner *beginner, struct world *world)
{
    struct why *why = &beginner->why;
    struct log_site site = {BEGIN_DIRECTORY, world->disk,  world->entropy,
                            world->clock,    world->trace, &beginner->listener};
    enum err err = ERR_OK;
    if (beginner->creates) {
        struct stamp stamp = {UINT64_C(5000) << 16};
        err = log_create_after(&site, &beginner->options, &beginner->after, stamp, why);
    }
    if (err == ERR_OK)
        err = log_open(&beginner->log, &site, &beginner->options, &beginner->found, why);
    if (err != ERR_OK) return err;
    beginner->creates = false;
    uint64_t above = beginner->found.last.epoch.number;
    if (beginner->found.promised.number > above) above = beginner->found.promised.number;
    err = log_promise(beginner->log, (struct epoch){above + 1, 1}, why);
    struct lsn at;
    struct stamp stamp = {beginner->found.stamp.bits + 1};
    if (err == ERR_OK) err = log_append(beginner->log, stamp, bytes_text("entry"), &at);
    if (err == ERR_OK) log_push(beginner->log);
    if (err != ERR_OK) log_abandon(beginner->log);
    return err;
}

static bool start(struct sim_program *program, struct world *world)
{
    struct beginner *beginner = CONTAINER_OF(program, struct beginner, program);
    beginner->err = live(beginner, world);
    return beginner->err == ERR_OK;
}

static void stop(struct sim_program *program)
{
    struct beginner *beginner = CONTAINER_OF(program, struct beginner, program);
    beginner->err = log_close(beginner->log, &beginner->why);
}

static void begin(struct beginner *beginner)
{
    *beginner = (struct beginner){
        .program = {start, stop, NULL},
        .listener = {advanced, failed},
        .options = {.segment_bytes = 16384, .copy = 1},
        .after = {.history = {{7}}, .epoch = {3, 9}, .lsn = {41}, .lineage = {0x1234}},
        .creates = true};
}

static void expect_entries(struct sim_node *node, const struct beginner *beginner)
{
    struct disk *disk = sim_node_world(node)->disk;
    struct log_reader *reader = NULL;
    struct why why;
    struct entry entry;
    assert_int_equal(log_reader_open(&reader, disk, BEGIN_DIRECTORY, (struct lsn){41}, &why),
                     ERR_NOT_FOUND);
    assert_int_equal(log_reader_open(&reader, disk, BEGIN_DIRECTORY, (struct lsn){42}, &why),
                     ERR_OK);
    for (uint64_t lsn = 42; lsn <= beginner->found.last.lsn.at; lsn++) {
        assert_int_equal(log_reader_next(reader, &entry, &why), ERR_OK);
        assert_int_equal(entry.lsn.at, lsn);
    }
    log_reader_close(reader);
}

TEST(log_begin, a_log_that_begins_behind_a_mark_says_so_and_goes_on_from_there)
{
    struct beginner beginner;
    begin(&beginner);
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = sim_node_open(world, &beginner.program, NULL);
    for (uint64_t life = 0; life < 4; life++) {
        if (!sim_node_start(node)) fail_msg("%s", beginner.why.text);
        const struct log_found *found = &beginner.found;
        assert_int_equal(found->first.at, 42);
        assert_int_equal(found->last.lsn.at, 41 + life);
        assert_int_equal(found->last.epoch.number, 3 + life);
        assert_int_equal(found->last.history.id[0], 7);
        assert_true(mark_equal(&found->before, &beginner.after));
        if (life == 0) {
            assert_true(found->fresh);
            assert_int_equal(found->committed.at, 41);
            assert_int_equal(found->stamp.bits, UINT64_C(5000) << 16);
            assert_true(mark_equal(&found->last, &beginner.after));
        }
        expect_entries(node, &beginner);
        (void)sim_world_run_for(world, 50 * 1000);
        if (life % 2 == 0) assert_true(sim_node_stop(node));
        else sim_node_crash(node, (struct sim_cut){SIM_KEEP_ALL, 0});
    }
    sim_world_close(world);
}

TEST(log_begin, a_crash_at_any_operation_of_its_making_leaves_nothing_or_all_of_it)
{
    struct beginner beginner;
    begin(&beginner);
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = sim_node_open(world, &beginner.program, NULL);
    assert_true(sim_node_start(node));
    uint64_t io = sim_node_io(node);
    sim_world_close(world);
    for (uint64_t at = 0; at < io; at++) {
        struct sim_crash crash = {0};
        for (unsigned variant = 0; sim_crash_variant(variant, &crash); variant++) {
            begin(&beginner);
            world = sim_world_open(1);
            node = sim_node_open(world, &beginner.program, NULL);
            crash.io = at;
            sim_node_crash_at(node, &crash);
            (void)sim_node_start(node);
            if (sim_node_is_up(node)) sim_node_crash(node, crash.cut);
            beginner.creates = false;
            if (!sim_node_start(node)) {
                assert_int_equal(beginner.err, ERR_NOT_FOUND); /* it was not finished */
                beginner.creates = true;
                if (!sim_node_start(node)) fail_msg("%s", beginner.why.text);
            }
            assert_true(mark_equal(&beginner.found.before, &beginner.after));
            assert_int_equal(beginner.found.first.at, 42);
            sim_world_close(world);
        }
    }
}
