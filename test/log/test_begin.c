/* SPDX-License-Identifier: Apache-2.0 */
/* A log that begins behind a mark: what an install gives to a store that was not made by entries of
 * this log. */
#include "base/memory.h"
#include "log/format.h"
#include "log/log.h"
#include "sim/disk.h"
#include "sim/node.h"
#include "test/test.h"

#define BEGIN_DIRECTORY "log-2"

struct beginner {
    struct sim_program program;
    struct log_listener listener;
    struct log_options options;
    struct log_beginning beginning;
    struct log *log;
    struct log_found found;
    struct why why;
    enum err err;
    bool creates;
    void (*first)(struct beginner *beginner); /* done by a life instead of its epoch and entry */
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
    if (beginner->creates)
        err = log_create_after(&site, &beginner->options, &beginner->beginning, why);
    if (err == ERR_OK)
        err = log_open(&beginner->log, &site, &beginner->options, &beginner->found, why);
    if (err != ERR_OK) return err;
    beginner->creates = false;
    if (beginner->first != NULL) {
        beginner->first(beginner);
        return ERR_OK;
    }
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
        .beginning = {.after = {{{7}}, {3, 9}, {41}, {0x1234}}, .stamp = {UINT64_C(5000) << 16}},
        .creates = true};
}

/* What a replica has of the log that it had before. */
static void carry_over(struct beginner *beginner)
{
    beginner->beginning.promised = (struct epoch){6, 2};
    beginner->beginning.incarnation = 12;
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
        assert_true(mark_equal(&found->before, &beginner.beginning.after));
        if (life == 0) {
            assert_int_equal(found->incarnation, 1);
            assert_int_equal(found->committed.at, 41);
            assert_int_equal(found->stamp.bits, UINT64_C(5000) << 16);
            assert_true(mark_equal(&found->last, &beginner.beginning.after));
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
            carry_over(&beginner);
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
            assert_true(mark_equal(&beginner.found.before, &beginner.beginning.after));
            assert_int_equal(beginner.found.first.at, 42);
            assert_true(beginner.found.promised.number >= 6);
            assert_true(beginner.found.incarnation >= 12);
            sim_world_close(world);
        }
    }
}

static void look_only(struct beginner *beginner)
{
    (void)beginner;
}

/* A new log forgets neither: an epoch that is promised stays refused to others, and a copy that
 * ended uncleanly stays known for it. */
TEST(log_begin, a_promise_and_an_incarnation_are_carried_over_in_both_slots)
{
    for (unsigned bad = 0; bad < 3; bad++) { /* the slot that a disk lost; 2: none */
        struct beginner beginner;
        begin(&beginner);
        carry_over(&beginner);
        beginner.first = look_only;
        struct sim_world *world = sim_world_open(1);
        struct sim_node *node = sim_node_open(world, &beginner.program, NULL);
        if (!sim_node_start(node)) fail_msg("%s", beginner.why.text);
        assert_int_equal(beginner.found.promised.number, 6);
        assert_int_equal(beginner.found.promised.copy, 2);
        assert_int_equal(beginner.found.incarnation, 12);
        assert_int_equal(log_promised(beginner.log).number, 6);
        struct why why;
        assert_int_equal(log_promise(beginner.log, (struct epoch){6, 2}, &why), ERR_REFUSED);
        assert_int_equal(log_promise(beginner.log, (struct epoch){5, 9}, &why), ERR_REFUSED);
        assert_true(sim_node_stop(node));
        sim_world_close(world);
        if (bad == 2) continue;
        begin(&beginner);
        carry_over(&beginner);
        beginner.first = look_only;
        world = sim_world_open(1);
        node = sim_node_open(world, NULL, NULL);
        assert_true(sim_node_start(node));
        struct world *seams = sim_node_world(node);
        struct log_site site = {
            .directory = BEGIN_DIRECTORY, .disk = seams->disk, .entropy = seams->entropy};
        assert_int_equal(log_create_after(&site, &beginner.options, &beginner.beginning, &why),
                         ERR_OK);
        char path[64], name[LOG_NAME_BYTES];
        log_name_format((struct log_name){LOG_NAME_SUPERBLOCK, 0, bad}, name);
        snprintf(path, sizeof path, BEGIN_DIRECTORY "/%s", name);
        assert_true(sim_disk_damage(sim_node_disk(node), path, 60, 1, SIM_DAMAGE_FLIP));
        struct log_found found;
        assert_int_equal(log_verify(seams->disk, BEGIN_DIRECTORY, &found, &why), ERR_OK);
        assert_int_equal(found.promised.number, 6);
        assert_int_equal(found.incarnation, 12);
        sim_world_close(world);
    }
}

static struct entry next_entry(const struct log *log)
{
    struct mark last = log_last(log);
    struct entry entry = {.lsn = lsn_next(last.lsn),
                          .epoch = {4, 2},
                          .stamp = {UINT64_C(6000) << 16},
                          .payload = bytes_text("of another copy")};
    entry.lineage = log_lineage(last.lineage, &entry);
    return entry;
}

/* Its image was at the mark: what follows must follow that. */
static void take_entry(struct beginner *beginner)
{
    struct log *log = beginner->log;
    struct mark before = log_before(log);
    MUST(mark_equal(&before, &beginner->beginning.after));
    struct entry good = next_entry(log), bad = good;
    bad.lineage = log_lineage((struct lineage){0x1235}, &bad); /* behind another entry 41 */
    struct why why;
    MUST(log_append_entry(log, &bad, &why) == ERR_CORRUPT);
    bad = good;
    bad.lsn = (struct lsn){1};
    MUST(log_append_entry(log, &bad, &why) == ERR_CORRUPT);
    bad = good;
    bad.stamp = (struct stamp){1};
    MUST(log_append_entry(log, &bad, &why) == ERR_CORRUPT);
    bad = good;
    bad.epoch = (struct epoch){2, 9};
    MUST(log_append_entry(log, &bad, &why) == ERR_CORRUPT);
    MUST(log_append_entry(log, &good, &why) == ERR_OK);
    log_push(log);
}

TEST(log_begin, the_first_entry_of_another_copy_must_follow_the_mark_by_its_lineage)
{
    struct beginner beginner;
    begin(&beginner);
    carry_over(&beginner);
    beginner.first = take_entry;
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = sim_node_open(world, &beginner.program, NULL);
    if (!sim_node_start(node)) fail_msg("%s", beginner.why.text);
    (void)sim_world_run_for(world, 50 * 1000);
    assert_true(sim_node_stop(node));
    beginner.first = look_only;
    assert_true(sim_node_start(node));
    assert_int_equal(beginner.found.last.lsn.at, 42);
    assert_int_equal(beginner.found.last.epoch.number, 4);
    assert_int_equal(beginner.found.promised.number, 6); /* what was written is not a promise */
    assert_true(mark_equal(&beginner.found.before, &beginner.beginning.after));
    expect_entries(node, &beginner);
    assert_true(sim_node_stop(node));
    assert_null(sim_world_failure(world));
    sim_world_close(world);
}

TEST(log_begin, no_log_begins_behind_what_no_slot_could_say)
{
    struct sim_world *world = sim_world_open(1);
    struct sim_node *node = sim_node_open(world, NULL, NULL);
    assert_true(sim_node_start(node));
    struct world *seams = sim_node_world(node);
    struct beginner beginner;
    struct why why;
    begin(&beginner);
    beginner.beginning.incarnation = LOG_COUNT_MAX + 1;
    struct log_site site = {
        .directory = BEGIN_DIRECTORY, .disk = seams->disk, .entropy = seams->entropy};
    assert_int_equal(log_create_after(&site, &beginner.options, &beginner.beginning, &why),
                     ERR_LIMIT);
    sim_world_close(world);
}
